//! `TlsConnector`: the client's side of TLS.

use rustls::ClientConfig;
use std::sync::Arc;

/// The client's side of TLS: the certificates that it trusts, and what it negotiates. Clones share
/// them.
#[derive(Clone, Debug)]
pub struct TlsConnector {
    config: Arc<ClientConfig>,
}

impl TlsConnector {
    /// Returns the side of a client with this configuration.
    pub fn new(config: Arc<ClientConfig>) -> Self {
        Self { config }
    }

    /// Returns the configuration.
    pub(crate) fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }
}
