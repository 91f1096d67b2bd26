//! Unix sockets to connect to.

use super::DEFAULT_CONNECT_TIMEOUT;
use super::description::{Arguments, Problem};
use super::unix_server::{parse_address, write_address};
use crate::address::UnixAddress;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A Unix socket to connect to.
///
/// An attempt succeeds at once, is refused at once, or finds the server's backlog full; then it is
/// repeated until the timeout.
///
/// ```no_run
/// use twistor::{Reactor, UnixClientEndpoint};
/// # use twistor::{Context, Protocol};
/// # struct Echo;
/// # impl<F> Protocol<F> for Echo {}
///
/// let mut reactor = Reactor::new()?;
/// UnixClientEndpoint::new("/run/web.sock").connect(&mut reactor, || Echo)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Twisted's `UNIXClientEndpoint`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixClientEndpoint {
    address: UnixAddress,
    timeout: Duration,
}

impl UnixClientEndpoint {
    /// Creates an endpoint from a path in the file system.
    pub fn new(path: impl AsRef<Path>) -> Self {
        UnixAddress::path(path).into()
    }

    /// Creates an endpoint from a name in Linux's abstract namespace.
    pub fn abstract_name(name: impl AsRef<[u8]>) -> Self {
        UnixAddress::abstract_name(name).into()
    }

    /// Sets the connect timeout; [`DEFAULT_CONNECT_TIMEOUT`] by default. It counts only while the
    /// server's backlog is full.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Returns the address that the endpoint connects to.
    pub fn address(&self) -> &UnixAddress {
        &self.address
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        self.timeout
    }

    /// Parses the arguments of `unix`.
    pub(super) fn parse(mut arguments: Arguments) -> Result<Self, Problem> {
        let (mut address, mut timeout) = (None, DEFAULT_CONNECT_TIMEOUT);
        while let Some((name, argument)) = arguments.next(&["address", "timeout"])? {
            match name {
                "address" => address = Some(parse_address(&argument)?),
                _ => timeout = argument.seconds("timeout")?,
            }
        }
        Ok(Self { address: arguments.require("address", address)?, timeout })
    }
}

impl From<UnixAddress> for UnixClientEndpoint {
    fn from(address: UnixAddress) -> Self {
        Self { address, timeout: DEFAULT_CONNECT_TIMEOUT }
    }
}

impl From<&Path> for UnixClientEndpoint {
    fn from(path: &Path) -> Self {
        Self::new(path)
    }
}

impl From<PathBuf> for UnixClientEndpoint {
    fn from(path: PathBuf) -> Self {
        Self::new(path)
    }
}

impl From<&str> for UnixClientEndpoint {
    fn from(path: &str) -> Self {
        Self::new(path)
    }
}

impl fmt::Display for UnixClientEndpoint {
    /// Writes a description that [`ClientEndpoint`](super::ClientEndpoint) can parse, if the name
    /// is text without control characters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_address(&self.address, f)?;
        if self.timeout != DEFAULT_CONNECT_TIMEOUT {
            write!(f, ":timeout={}", self.timeout.as_secs_f64())?;
        }
        Ok(())
    }
}
