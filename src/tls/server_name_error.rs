//! `ServerNameError`: what cannot be the name of a server.

use std::error::Error;
use std::fmt;

/// Why a server cannot be asked for by a name: it is neither a host name nor an IP address.
#[derive(Clone, Debug, PartialEq, Eq)]
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

impl Error for ServerNameError {}
