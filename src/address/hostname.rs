//! Hostname addresses: a host by its name, and a port number.

use std::fmt;
use std::sync::Arc;

/// A host by its name, and a port number: what a client connects to before it knows the addresses
/// of the host.
///
/// Twisted's `HostnameAddress`. Displayed as `example.org:443`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostnameAddress {
    name: Arc<str>,
    port: u16,
}

impl HostnameAddress {
    pub(crate) fn new(name: &str, port: u16) -> Self {
        Self { name: name.into(), port }
    }

    /// Returns the name of the host, as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the port number.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for HostnameAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.port)
    }
}
