//! Why a process could not take over from its predecessor.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a process could not take over from its predecessor, which continues to serve.
///
/// Displayed and debugged as the same sentence.
#[non_exhaustive]
pub enum TakeOverError {
    /// The predecessor cannot be reached: the path is no socket, this process may not connect to
    /// it, or the system has no Unix sockets or no descriptors left.
    #[non_exhaustive]
    Connect {
        /// Where the predecessor listens.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The predecessor has refused.
    #[non_exhaustive]
    Refused {
        /// Where the predecessor listens.
        path: PathBuf,
        /// Its reason.
        why: String,
    },
    /// The predecessor has not answered.
    #[non_exhaustive]
    TimedOut {
        /// Where the predecessor listens.
        path: PathBuf,
        /// How long this process has waited.
        timeout: Duration,
    },
    /// The predecessor has ended before it had passed all sockets, or what listens there is no
    /// predecessor.
    #[non_exhaustive]
    Failed {
        /// Where the predecessor listens.
        path: PathBuf,
        /// What has happened.
        what: String,
    },
    /// It is too late: the reactor runs, or takes over already.
    TooLate,
}

impl fmt::Display for TakeOverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot take over")?;
        match self {
            Self::Connect { path, source } => write!(f, " by {}: {source}", path.display()),
            Self::Refused { path, why } => {
                write!(f, " by {}: the predecessor refuses: {why}", path.display())
            }
            Self::TimedOut { path, timeout } => write!(
                f,
                " by {}: the predecessor has not answered for {timeout:?}; is it held up?",
                path.display()
            ),
            Self::Failed { path, what } => write!(f, " by {}: {what}", path.display()),
            Self::TooLate => f.write_str(
                ": the reactor runs, or takes over already; take over once, before the first port",
            ),
        }
    }
}

impl fmt::Debug for TakeOverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for TakeOverError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Connect { source, .. } => Some(source),
            _ => None,
        }
    }
}
