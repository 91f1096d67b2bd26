//! `TlsAcceptor`: the server's side of TLS.

use rustls::ServerConfig;
use std::sync::Arc;

/// The server's side of TLS: its certificates, and what it negotiates. Clones share them.
#[derive(Clone, Debug)]
pub struct TlsAcceptor {
    config: Arc<ServerConfig>,
}

impl TlsAcceptor {
    /// Returns the side of a server with this configuration.
    pub fn new(config: Arc<ServerConfig>) -> Self {
        Self { config }
    }

    /// Returns the configuration.
    pub(crate) fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }
}
