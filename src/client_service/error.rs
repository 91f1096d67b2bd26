//! Why a client service is not connected.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

/// Why [`when_connected`](crate::ServiceKey::when_connected) has no connection to hand out.
///
/// Displayed and debugged as the same sentence.
#[derive(Clone)]
#[non_exhaustive]
pub enum NotConnectedError {
    /// The service has stopped, or is gone. (`CancelledError`)
    Stopped,
    /// There were as many failures as were allowed. The service continues to try.
    #[non_exhaustive]
    Failed {
        /// The number of failures.
        failures: u32,
        /// The last of them: what [`connection_failed`](crate::Factory::connection_failed) was
        /// told, or the reason for which a connection was lost before it was prepared.
        source: Arc<io::Error>,
    },
}

impl fmt::Display for NotConnectedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("the client service has stopped"),
            Self::Failed { failures: 1, source } => write!(f, "cannot connect: {source}"),
            Self::Failed { failures, source } => {
                write!(f, "cannot connect after {failures} attempts: {source}")
            }
        }
    }
}

impl fmt::Debug for NotConnectedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for NotConnectedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Stopped => None,
            Self::Failed { source, .. } => Some(&**source),
        }
    }
}
