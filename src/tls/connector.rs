//! `TlsConnector`: the client's side of TLS.

use super::TlsSide;
use rustls::ClientConfig;
use rustls::pki_types::{InvalidDnsNameError, ServerName};
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

    /// Returns the side of a client that connects to the server with this name: a host name, or an
    /// IP address.
    ///
    /// # Errors
    ///
    /// The name is neither.
    pub fn to(&self, name: &str) -> Result<TlsSide, InvalidDnsNameError> {
        let name = ServerName::try_from(name)?.to_owned();
        Ok(TlsSide::client(self.clone(), name))
    }

    /// Returns true if a peer may end its stream without saying so.
    pub(crate) fn accepts_truncation(&self) -> bool {
        false
    }

    /// Returns the configuration.
    pub(crate) fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }
}

/// Two are equal if one is a clone of the other.
impl PartialEq for TlsConnector {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config)
    }
}

impl Eq for TlsConnector {}
