//! Unix sockets to listen on.

use super::DEFAULT_BACKLOG;
use super::description::{Argument, Arguments, Problem, write_escaped};
use crate::address::UnixAddress;
use std::fmt;
use std::path::{Path, PathBuf};

/// The permissions that a file can have.
const MODE_MAX: u32 = 0o777;

/// A Unix socket to listen on.
///
/// The socket's file is made with its mode before anyone can connect. A stale
/// file, of a program that no longer listens, is replaced; anything else at the path is an error.
/// A lock on a second file, the path with `.lock` appended, keeps two programs from taking each
/// other's socket; that file stays. When the port is closed, the socket's file is removed if it is
/// still the one that this program made.
///
/// ```no_run
/// use twistor::{Reactor, UnixServerEndpoint};
/// # use twistor::{Context, Protocol};
/// # struct Echo;
/// # impl<F> Protocol<F> for Echo {}
///
/// let mut reactor = Reactor::new()?;
/// UnixServerEndpoint::new("/run/web.sock").mode(0o660).listen(&mut reactor, || Echo)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Twisted's `UNIXServerEndpoint`; unix(7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixServerEndpoint {
    address: UnixAddress,
    mode: Option<u32>,
    backlog: u32,
}

impl UnixServerEndpoint {
    /// Creates an endpoint at a path in the file system.
    pub fn new(path: impl AsRef<Path>) -> Self {
        UnixAddress::path(path).into()
    }

    /// Creates an endpoint in Linux's abstract namespace: it has no file, and every program of the
    /// machine can connect to it.
    pub fn abstract_name(name: impl AsRef<[u8]>) -> Self {
        UnixAddress::abstract_name(name).into()
    }

    /// Sets the permissions of the socket's file, such as `0o660`. Who may write to it may connect.
    /// By default the process's `umask` decides. Bits above `0o777` are ignored.
    #[must_use]
    pub fn mode(self, mode: u32) -> Self {
        Self { mode: Some(mode & MODE_MAX), ..self }
    }

    /// Sets the backlog, the number of connections that may wait to be accepted;
    /// [`DEFAULT_BACKLOG`] by default. Zero counts as one.
    #[must_use]
    pub fn backlog(self, backlog: u32) -> Self {
        Self { backlog, ..self }
    }

    /// Returns the address that the socket will be bound to.
    pub fn address(&self) -> &UnixAddress {
        &self.address
    }

    #[cfg_attr(not(unix), allow(dead_code, reason = "the system has no such sockets"))]
    pub(crate) fn permissions(&self) -> Option<u32> {
        self.mode
    }

    #[cfg_attr(not(unix), allow(dead_code, reason = "the system has no such sockets"))]
    pub(crate) fn backlog_max(&self) -> u32 {
        self.backlog
    }

    /// Parses the arguments of `unix`.
    pub(super) fn parse(mut arguments: Arguments) -> Result<Self, Problem> {
        let (mut address, mut mode, mut backlog) = (None, None, DEFAULT_BACKLOG);
        while let Some((name, argument)) = arguments.next(&["address", "mode", "backlog"])? {
            match name {
                "address" => address = Some(parse_address(&argument)?),
                "backlog" => backlog = argument.number::<u32>("backlog", u32::MAX.into())?,
                _ => match u32::from_str_radix(&argument.value, 8) {
                    Ok(bits) if bits <= MODE_MAX && !argument.value.starts_with('+') => {
                        mode = Some(bits);
                    }
                    _ => return argument.error("mode", "an octal number from 0 to 777"),
                },
            }
        }
        let address = arguments.require("address", address)?;
        Ok(Self { address, mode, backlog })
    }
}

/// Parses a path, or an abstract name after `@`.
pub(super) fn parse_address(argument: &Argument) -> Result<UnixAddress, Problem> {
    match argument.value.strip_prefix('@') {
        Some(name) => Ok(UnixAddress::abstract_name(name)),
        None if argument.value.is_empty() => argument.error("address", "a path"),
        None => Ok(UnixAddress::path(&argument.value)),
    }
}

/// Writes the address as a description has it.
pub(super) fn write_address(address: &UnixAddress, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let text = address.to_string();
    let text = text.strip_prefix("unix:").unwrap_or(&text);
    f.write_str("unix:")?;
    write_escaped(text, f)
}

impl From<UnixAddress> for UnixServerEndpoint {
    fn from(address: UnixAddress) -> Self {
        Self { address, mode: None, backlog: DEFAULT_BACKLOG }
    }
}

impl From<&Path> for UnixServerEndpoint {
    fn from(path: &Path) -> Self {
        Self::new(path)
    }
}

impl From<PathBuf> for UnixServerEndpoint {
    fn from(path: PathBuf) -> Self {
        Self::new(path)
    }
}

impl From<&str> for UnixServerEndpoint {
    fn from(path: &str) -> Self {
        Self::new(path)
    }
}

impl fmt::Display for UnixServerEndpoint {
    /// Writes a description that [`ServerEndpoint`](super::ServerEndpoint) can parse, if the name
    /// is text without control characters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_address(&self.address, f)?;
        if let Some(mode) = self.mode {
            write!(f, ":mode={mode:o}")?;
        }
        if self.backlog != DEFAULT_BACKLOG {
            write!(f, ":backlog={}", self.backlog)?;
        }
        Ok(())
    }
}
