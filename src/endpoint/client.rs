//! Client endpoints: addresses to connect to.

use crate::address::Address;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The default connect timeout: 30 s, as in Twisted. Longer than a lost packet or two, and shorter
/// than the two minutes after which the system gives up.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

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

    /// Returns the local address, as far as it is known before the connection is established.
    pub(crate) fn local_address(&self) -> Address {
        self.local.unwrap_or((Ipv4Addr::UNSPECIFIED, 0).into()).into()
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
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}
