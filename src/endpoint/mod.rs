//! Endpoints: where a server listens, as a value or as a string, and where a client connects to.
//!
//! These are Twisted's endpoints and `serverFromString`. An endpoint is only a description: nothing
//! is bound before [`listen`](crate::Reactor::listen).

mod client;
mod description;

pub use client::{DEFAULT_CONNECT_TIMEOUT, TcpClientEndpoint};

use crate::address::Address;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// The default backlog: connections that may wait to be accepted. With Twisted's 50, a burst of a
/// thousand clients waits for retransmitted SYNs, a second and more; Linux reduces a value above
/// its `somaxconn`.
pub const DEFAULT_BACKLOG: u32 = 1024;

/// A TCP port to listen on.
///
/// ```
/// use twistor::{Reactor, TcpServerEndpoint};
/// # use twistor::{Context, Protocol};
/// # struct Echo;
/// # impl<F> Protocol<F> for Echo {}
///
/// let mut reactor = Reactor::new()?;
/// let port = TcpServerEndpoint::new(0)
///     .interface([127, 0, 0, 1])
///     .backlog(16)
///     .listen(&mut reactor, || Echo)?;
/// assert!(port.local_address().port() > Some(0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpServerEndpoint {
    address: SocketAddr,
    backlog: u32,
}

impl TcpServerEndpoint {
    /// Creates an endpoint on all IPv4 interfaces; with port 0 the system chooses the port.
    pub fn new(port: u16) -> Self {
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into()
    }

    /// Sets the interface to listen on. `::` means all interfaces, for IPv6 and IPv4 alike: IPv4
    /// peers then appear as `::ffff:a.b.c.d`.
    #[must_use]
    pub fn interface(self, interface: impl Into<IpAddr>) -> Self {
        Self { address: SocketAddr::new(interface.into(), self.address.port()), ..self }
    }

    /// Sets the backlog, the number of connections that may wait to be accepted;
    /// [`DEFAULT_BACKLOG`] by default. Zero counts as one. A value above the system's limit is
    /// reduced to it.
    #[must_use]
    pub fn backlog(self, backlog: u32) -> Self {
        Self { backlog, ..self }
    }

    /// Returns the address that the socket will be bound to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn backlog_max(&self) -> u32 {
        self.backlog
    }
}

impl From<u16> for TcpServerEndpoint {
    fn from(port: u16) -> Self {
        Self::new(port)
    }
}

impl<I: Into<IpAddr>> From<(I, u16)> for TcpServerEndpoint {
    fn from((interface, port): (I, u16)) -> Self {
        Self::new(port).interface(interface)
    }
}

impl From<SocketAddr> for TcpServerEndpoint {
    /// An IPv6 address keeps its scope: `[fe80::1%2]:8007` is link-local on one link.
    fn from(address: SocketAddr) -> Self {
        Self { address, backlog: DEFAULT_BACKLOG }
    }
}

impl fmt::Display for TcpServerEndpoint {
    /// Writes a description that [`ServerEndpoint`] can parse; it cannot express a scope.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tcp:{}", self.address.port())?;
        match self.address.ip() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => {}
            IpAddr::V4(interface) => write!(f, ":interface={interface}")?,
            IpAddr::V6(interface) => write!(f, ":interface=[{interface}]")?,
        }
        if self.backlog != DEFAULT_BACKLOG {
            write!(f, ":backlog={}", self.backlog)?;
        }
        Ok(())
    }
}

/// Endpoint of a server: where it listens, as parsed from a description such as
/// `tcp:8007:interface=127.0.0.1`.
///
/// | description | meaning |
/// |---|---|
/// | `tcp:PORT` or just `PORT` | all IPv4 interfaces |
/// | `tcp:PORT:interface=ADDRESS:backlog=N` | one interface |
/// | `tcp6:PORT:interface=ADDRESS:backlog=N` | IPv6; all interfaces if none is named |
///
/// Arguments may be given by position instead: `tcp:PORT:ADDRESS:N`, `tcp6:PORT:N:ADDRESS`. A
/// colon, an equals sign or a backslash that belongs to an argument is escaped by a backslash. An
/// IPv6 address may be escaped (`interface=\:\:1`), in brackets (`interface=[::1]`) or, if only
/// named arguments follow, plain (`interface=::1`).
///
/// ```
/// use twistor::{ServerEndpoint, TcpServerEndpoint};
///
/// let endpoint: ServerEndpoint = "tcp:8007:interface=[::1]".parse()?;
/// let expected = TcpServerEndpoint::new(8007).interface(std::net::Ipv6Addr::LOCALHOST);
/// assert_eq!(endpoint, ServerEndpoint::Tcp(expected));
///
/// let error = "tcp:70000".parse::<ServerEndpoint>().unwrap_err();
/// assert_eq!(error.position(), 4);
/// # Ok::<(), twistor::endpoint::ParseEndpointError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerEndpoint {
    /// TCP, over IPv4 or IPv6.
    Tcp(TcpServerEndpoint),
}

impl ServerEndpoint {
    /// Returns the address that it will listen on.
    pub fn address(&self) -> Address {
        match self {
            Self::Tcp(endpoint) => endpoint.address().into(),
        }
    }
}

impl FromStr for ServerEndpoint {
    type Err = ParseEndpointError;

    fn from_str(text: &str) -> Result<Self, ParseEndpointError> {
        description::parse(text).map_err(|problem| ParseEndpointError {
            description: text.to_owned(),
            position: problem.at,
            message: problem.message,
        })
    }
}

impl From<TcpServerEndpoint> for ServerEndpoint {
    fn from(endpoint: TcpServerEndpoint) -> Self {
        Self::Tcp(endpoint)
    }
}

impl fmt::Display for ServerEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(endpoint) => endpoint.fmt(f),
        }
    }
}

/// Error of parsing an endpoint description: what is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseEndpointError {
    description: String,
    position: usize,
    message: String,
}

impl ParseEndpointError {
    /// Returns the byte offset of the error in the description; the length of the description, if
    /// something is missing at its end.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Returns the description that was parsed.
    pub fn description(&self) -> &str {
        &self.description
    }
}

impl fmt::Display for ParseEndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = self.description.split_at(self.position);
        write!(f, "{} (at the mark: \"{before}»{after}\")", self.message)
    }
}

impl std::error::Error for ParseEndpointError {}

/// All IPv6 interfaces, the default of `tcp6`.
const ANY_IPV6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

#[cfg(test)]
mod tests;
