//! TCP addresses to connect to.

use super::DEFAULT_CONNECT_TIMEOUT;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// An address to connect to over TCP.
///
/// ```
/// use std::net::Ipv4Addr;
/// use std::time::Duration;
/// use twistor::{Protocol, Reactor, TcpClientEndpoint};
///
/// struct Quiet;
///
/// impl<F> Protocol<F> for Quiet {}
///
/// let mut reactor = Reactor::new()?;
/// let endpoint = TcpClientEndpoint::new((Ipv4Addr::LOCALHOST, 8007));
/// endpoint.timeout(Duration::from_secs(5)).connect(&mut reactor, || Quiet)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpClientEndpoint {
    address: SocketAddr,
    timeout: Duration,
    local: Option<SocketAddr>,
}

impl TcpClientEndpoint {
    /// Creates an endpoint from a socket address, or from a pair of an IP address and a port
    /// number.
    pub fn new(address: impl Into<SocketAddr>) -> Self {
        Self { address: address.into(), timeout: DEFAULT_CONNECT_TIMEOUT, local: None }
    }

    /// Sets the connect timeout; [`DEFAULT_CONNECT_TIMEOUT`] by default. With zero the attempt has
    /// failed by the next turn, unless the connection is established by then; with `Duration::MAX`
    /// only the system ends it.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sets the local address, which the system chooses by default; with port 0 it chooses the
    /// port. (`bindAddress`)
    ///
    /// A fixed local port can be used for connections to several servers, and on Unix again as soon
    /// as a connection is over. Only for the same server may the system refuse it for a minute or
    /// two: if this side closed first, it guards against stray packets of the former connection
    /// (TIME_WAIT).
    #[must_use]
    pub fn bind(self, local: impl Into<SocketAddr>) -> Self {
        Self { local: Some(local.into()), ..self }
    }

    /// Returns the address that the endpoint connects to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn local(&self) -> Option<SocketAddr> {
        self.local
    }
}

impl From<SocketAddr> for TcpClientEndpoint {
    fn from(address: SocketAddr) -> Self {
        Self::new(address)
    }
}

impl<I: Into<IpAddr>> From<(I, u16)> for TcpClientEndpoint {
    fn from((ip, port): (I, u16)) -> Self {
        Self::new((ip.into(), port))
    }
}

impl fmt::Display for TcpClientEndpoint {
    /// Writes a description that [`ClientEndpoint`](super::ClientEndpoint) can parse; it cannot
    /// express the port of a local address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            SocketAddr::V4(address) => write!(f, "tcp:{}:{}", address.ip(), address.port())?,
            SocketAddr::V6(address) if address.scope_id() == 0 => {
                write!(f, "tcp:[{}]:{}", address.ip(), address.port())?;
            }
            SocketAddr::V6(address) => {
                let (ip, scope, port) = (address.ip(), address.scope_id(), address.port());
                write!(f, "tcp:[{ip}%{scope}]:{port}")?;
            }
        }
        write_options(self.timeout, self.local, f)
    }
}

/// Writes the options of a description that do not have their defaults.
pub(super) fn write_options(
    timeout: Duration,
    local: Option<SocketAddr>,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    if timeout != DEFAULT_CONNECT_TIMEOUT {
        write!(f, ":timeout={}", timeout.as_secs_f64())?;
    }
    match local.map(|local| local.ip()) {
        Some(IpAddr::V4(local)) => write!(f, ":bindAddress={local}"),
        Some(IpAddr::V6(local)) => write!(f, ":bindAddress=[{local}]"),
        None => Ok(()),
    }
}
