//! Why a Unix socket cannot be bound or connected.

use std::error::Error;
use std::fmt;
use std::io;

/// Why a Unix socket cannot be bound or connected, where its path is to blame. It is the inner
/// error of an [`io::Error`]: that of a [`ListenError::Bind`](crate::error::ListenError::Bind), or
/// of [`connection_failed`](crate::Factory::connection_failed).
///
/// ```
/// use twistor::error::UnixSocketError;
///
/// fn is_taken(error: &std::io::Error) -> bool {
///     let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
///     matches!(inner, Some(UnixSocketError::InUse))
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnixSocketError {
    /// The path or name is longer than an address of the system can hold.
    #[non_exhaustive]
    PathTooLong {
        /// The length of the path or name, in bytes.
        length: usize,
        /// The longest that the system takes.
        max: usize,
    },
    /// The path contains a zero byte.
    ZeroByte,
    /// A file that is no socket is at the path.
    NotASocket,
    /// Another program listens at the path, or holds its lock.
    InUse,
    /// The system has no such sockets, or no abstract names.
    Unsupported,
}

impl fmt::Display for UnixSocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PathTooLong { length, max } => {
                write!(f, "the path has {length} bytes, and a Unix socket's at most {max}")
            }
            Self::ZeroByte => f.write_str("the path contains a zero byte"),
            Self::NotASocket => {
                f.write_str("a file that is no socket is at the path: remove it, or choose another")
            }
            Self::InUse => f.write_str("another program listens there, or holds the path's lock"),
            Self::Unsupported => f.write_str("the system has no such sockets"),
        }
    }
}

impl Error for UnixSocketError {}

impl From<UnixSocketError> for io::Error {
    fn from(error: UnixSocketError) -> Self {
        let kind = match error {
            UnixSocketError::PathTooLong { .. } | UnixSocketError::ZeroByte => {
                io::ErrorKind::InvalidInput
            }
            UnixSocketError::NotASocket => io::ErrorKind::AlreadyExists,
            UnixSocketError::InUse => io::ErrorKind::AddrInUse,
            UnixSocketError::Unsupported => io::ErrorKind::Unsupported,
        };
        Self::new(kind, error)
    }
}
