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

    /// Returns true if a peer may end its stream without saying so.
    pub(crate) fn accepts_truncation(&self) -> bool {
        false
    }

    /// Returns the configuration.
    pub(crate) fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }
}

/// Two are equal if one is a clone of the other.
impl PartialEq for TlsAcceptor {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config)
    }
}

impl Eq for TlsAcceptor {}
