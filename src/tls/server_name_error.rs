//! `ServerNameError`: what cannot be the name of a server.

use std::error::Error;
use std::fmt;

/// Why a server cannot be asked for by a name: it is neither a host name nor an IP address.
///
/// Displayed and debugged as the same sentence.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerNameError {
    pub(super) name: String,
}

impl fmt::Display for ServerNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is neither a host name, of letters, digits, hyphens and dots, nor an IP address",
            self.name
        )
    }
}

impl fmt::Debug for ServerNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for ServerNameError {}
