//! TCP ports to listen on.

use super::DEFAULT_BACKLOG;
use super::description::{Arguments, Problem};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

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
    reuse_port: bool,
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

    /// Sets whether other sockets may listen on the same port, so that the operating system shares
    /// its clients between them: the shards of a server, or several processes of one user. Default:
    /// false. All sockets of a port need it, the first one included. (SO_REUSEPORT, socket(7))
    ///
    /// A client belongs to one socket from the moment at which it connects. When that socket is
    /// closed, the clients in its backlog are reset, although other sockets of the port remain;
    /// [`stop_gracefully`](crate::Reactor::stop_gracefully) accepts them first.
    ///
    /// On Linux, Android, FreeBSD and DragonFly; elsewhere listening fails with
    /// [`Unsupported`](std::io::ErrorKind::Unsupported), since one socket would get all clients.
    #[must_use]
    pub fn reuse_port(self, reuse_port: bool) -> Self {
        Self { reuse_port, ..self }
    }

    pub(crate) fn port(mut self, port: u16) -> Self {
        self.address.set_port(port);
        self
    }

    pub(crate) fn reuses_port(&self) -> bool {
        self.reuse_port
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
        Self { address, backlog: DEFAULT_BACKLOG, reuse_port: false }
    }
}

impl fmt::Display for TcpServerEndpoint {
    /// Writes a description that [`ServerEndpoint`](super::ServerEndpoint) can parse; it cannot
    /// express a scope.
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
        if self.reuse_port {
            f.write_str(":reusePort=1")?;
        }
        Ok(())
    }
}

/// All IPv6 interfaces, the default of `tcp6`.
const ANY_IPV6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

impl TcpServerEndpoint {
    /// Parses the arguments of `tcp`.
    pub(super) fn parse(arguments: Arguments) -> Result<Self, Problem> {
        Self::parse_with(arguments, &["port", "interface", "backlog", "reusePort"], None)
    }

    /// Parses the arguments of `tcp6`.
    pub(super) fn parse_ipv6(arguments: Arguments) -> Result<Self, Problem> {
        Self::parse_with(arguments, &["port", "backlog", "interface", "reusePort"], Some(ANY_IPV6))
    }

    /// `names` lists the arguments in their order by position; `any` is the interface if none is
    /// named.
    fn parse_with(
        mut arguments: Arguments,
        names: &[&'static str],
        any: Option<IpAddr>,
    ) -> Result<Self, Problem> {
        let (mut port, mut interface, mut backlog) = (None, None, DEFAULT_BACKLOG);
        let mut reuse_port = false;
        while let Some((name, mut argument)) = arguments.next(names)? {
            match name {
                "port" => port = Some(argument.number::<u16>("port", u16::MAX.into())?),
                "reusePort" => reuse_port = argument.flag("reusePort")?,
                "backlog" => backlog = argument.number::<u32>("backlog", u32::MAX.into())?,
                _ => {
                    arguments.join_plain_ipv6(&mut argument);
                    if argument.value.is_empty() {
                        continue;
                    }
                    let ip = argument.ip("interface")?;
                    if any.is_some() && ip.is_ipv4() {
                        return argument.error("interface", "an IPv6 address");
                    }
                    interface = Some(ip);
                }
            }
        }
        let port = arguments.require("port", port)?;
        let interface = interface.or(any).unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        Ok(Self::new(port).interface(interface).backlog(backlog).reuse_port(reuse_port))
    }
}
