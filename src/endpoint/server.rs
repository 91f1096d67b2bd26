//! `ServerEndpoint`: where a server listens, whatever carries its connections.

use super::description::{Arguments, Problem, write_escaped};
use super::{InheritedEndpoint, ParseEndpointError, TcpServerEndpoint, UnixServerEndpoint};
use crate::address::Address;
use crate::proxy_protocol::{ParseNetworksError, TrustedNetworks};
use crate::tls::TlsSide;
#[cfg(feature = "tls")]
use crate::tls::{Certificates, TlsAcceptor};
use std::fmt;
use std::str::FromStr;

/// Endpoint of a server: where it listens, as parsed from a description such as
/// `tcp:8007:interface=127.0.0.1`.
///
/// | description | meaning |
/// |---|---|
/// | `tcp:PORT` or just `PORT` | all IPv4 interfaces |
/// | `tcp:PORT:interface=ADDRESS:backlog=N` | one interface |
/// | `tcp:PORT:reusePort=1` | a port that other sockets listen on as well |
/// | `tcp6:PORT:interface=ADDRESS:backlog=N` | IPv6; all interfaces if none is named |
/// | `unix:PATH:mode=660:backlog=N` | a Unix socket, whose file has these permissions |
/// | `unix:@NAME` | a Unix socket in Linux's abstract namespace |
/// | `fd:3` | an inherited listening socket, by its descriptor |
/// | `systemd:name=NAME`, `systemd:index=0` | a socket from systemd |
/// | `ssl:PORT:privateKey=FILE:certKey=FILE`, `ssl:ENDPOINT:..` | TLS, over TCP or any of these |
/// | `haproxy:ENDPOINT:trust=NETWORK` | any of these, behind a proxy that sends a PROXY header |
///
/// Arguments may be given by position instead: `tcp:PORT:ADDRESS:N`, `tcp6:PORT:N:ADDRESS`,
/// `unix:PATH:660:N`. A colon, an equals sign or a backslash that belongs to an argument is escaped
/// by a backslash. An IPv6 address may be escaped (`interface=\:\:1`), in brackets
/// (`interface=[::1]`) or, if only named arguments follow, plain (`interface=::1`).
///
/// `ssl` needs the feature `tls`. `certKey` is a file of PEM with the certificate and its chain,
/// `privateKey` one with the key; one file may have both, and is then given as `privateKey`.
/// `clientRoots=FILE` requires a certificate of the client, from an authority of that file.
///
/// `trust` may be repeated; [`proxy_protocol`](Self::proxy_protocol) says what it means.
///
/// ```
/// use twistor::{ServerEndpoint, TcpServerEndpoint};
///
/// let endpoint: ServerEndpoint = "tcp:8007:interface=[::1]".parse()?;
/// let expected = TcpServerEndpoint::new(8007).interface(std::net::Ipv6Addr::LOCALHOST);
/// assert_eq!(endpoint, ServerEndpoint::from(expected));
///
/// let error = "tcp:70000".parse::<ServerEndpoint>().unwrap_err();
/// assert_eq!(error.position(), 4);
/// # Ok::<(), twistor::endpoint::ParseEndpointError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerEndpoint {
    carrier: ServerCarrier,
    /// The networks of the proxies, if each connection begins with a PROXY header.
    proxies: Option<TrustedNetworks>,
    tls: Option<TlsSide>,
}

/// What a port is made of: the driver opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ServerCarrier {
    Tcp(TcpServerEndpoint),
    Unix(UnixServerEndpoint),
    Inherited(InheritedEndpoint),
}

/// The kinds of descriptions.
#[cfg(feature = "tls")]
const KINDS: &str = "tcp, tcp6, unix, fd, systemd, ssl and haproxy";
#[cfg(not(feature = "tls"))]
const KINDS: &str = "tcp, tcp6, unix, fd, systemd and haproxy; ssl with the feature `tls`";

impl ServerEndpoint {
    /// Returns the address that it will listen on, if that is known before.
    pub fn address(&self) -> Option<Address> {
        match &self.carrier {
            ServerCarrier::Tcp(endpoint) => Some(endpoint.address().into()),
            ServerCarrier::Unix(endpoint) => Some(endpoint.address().clone().into()),
            ServerCarrier::Inherited(_) => None,
        }
    }

    /// Lets each connection begin with a PROXY header, of either version, in which a proxy such as
    /// haproxy, nginx or a cloud's balancer names its client. The transport then has the client's
    /// [`peer_address`](crate::Transport::peer_address), and limits and logs see the client; what
    /// else the header says is [`proxy_header`](crate::Transport::proxy_header).
    ///
    /// A header is believed only from the networks of `proxies`, since it could name any address.
    /// Other clients are rejected, as are those whose header is wrong or does not come within the
    /// [`handshake_timeout`](crate::Settings::handshake_timeout);
    /// [`RejectionStats::handshake`](crate::limits::RejectionStats::handshake) counts them, and a
    /// warning is logged, once in five seconds at most. No protocol is built before the header is
    /// there. (`HAProxyServerEndpoint`)
    ///
    /// ```
    /// use twistor::proxy_protocol::TrustedNetworks;
    /// use twistor::{ServerEndpoint, TcpServerEndpoint};
    ///
    /// let endpoint = ServerEndpoint::from(TcpServerEndpoint::new(8080));
    /// let endpoint = endpoint.proxy_protocol(TrustedNetworks::default());
    /// assert_eq!(endpoint, "haproxy:tcp:8080".parse()?);
    /// # Ok::<(), twistor::endpoint::ParseEndpointError>(())
    /// ```
    #[must_use]
    pub fn proxy_protocol(self, proxies: TrustedNetworks) -> Self {
        Self { proxies: Some(proxies), ..self }
    }

    pub(crate) fn proxies(&self) -> Option<&TrustedNetworks> {
        self.proxies.as_ref()
    }

    /// Encrypts the connections with this side of TLS. Their handshakes come after the PROXY
    /// header, if there is one, and before the protocol is built: a client that fails is rejected,
    /// and counted in [`RejectionStats::handshake`](crate::limits::RejectionStats::handshake).
    ///
    /// ```no_run
    /// use twistor::tls::{Certificates, TlsAcceptor};
    /// use twistor::{ServerEndpoint, TcpServerEndpoint};
    ///
    /// let certificates = Certificates::from_files("chain.pem", "key.pem")?;
    /// let endpoint = ServerEndpoint::from(TcpServerEndpoint::new(8443));
    /// let endpoint = endpoint.encrypted(&TlsAcceptor::builder(&certificates).build());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn encrypted(self, acceptor: &TlsAcceptor) -> Self {
        Self { tls: Some(acceptor.into()), ..self }
    }

    /// Returns the certificates of an endpoint that encrypts, to read them again: those that its
    /// description names, or those that its acceptor was built with.
    ///
    /// ```no_run
    /// use twistor::{Reactor, ServerEndpoint};
    ///
    /// let mut reactor = Reactor::new()?;
    /// let endpoint: ServerEndpoint = "ssl:8443:privateKey=key.pem:certKey=chain.pem".parse()?;
    /// if let Some(certificates) = endpoint.certificates().cloned() {
    ///     reactor.on_signal("SIGHUP", move |_| match certificates.reload() {
    ///         Ok(()) => log::info!("serving the new certificates"),
    ///         Err(error) => log::error!("still serving the old certificates: {error}"),
    ///     })?;
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "tls")]
    pub fn certificates(&self) -> Option<&Certificates> {
        self.tls.as_ref()?.certificates()
    }

    pub(crate) fn tls(&self) -> Option<&TlsSide> {
        self.tls.as_ref()
    }

    /// Returns the endpoint on which another socket shares the TCP port of this one, which is bound
    /// to `port`; `None` if it is not a TCP port.
    pub(crate) fn shared(&self, port: Option<u16>) -> Option<Self> {
        let ServerCarrier::Tcp(tcp) = &self.carrier else { return None };
        let tcp = tcp.clone().reuse_port(true).port(port.unwrap_or(tcp.address().port()));
        Some(Self { carrier: ServerCarrier::Tcp(tcp), ..self.clone() })
    }

    /// Returns this endpoint with the port number of an address at which it was opened, in place of
    /// one that the system chooses.
    pub(crate) fn at_port(&self, address: &Address) -> Self {
        match (&self.carrier, address.port()) {
            (ServerCarrier::Tcp(tcp), Some(port)) => {
                let carrier = ServerCarrier::Tcp(tcp.clone().port(port));
                Self { carrier, ..self.clone() }
            }
            _ => self.clone(),
        }
    }

    pub(crate) fn carrier(&self) -> &ServerCarrier {
        &self.carrier
    }

    fn parse(mut arguments: Arguments) -> Result<Self, Problem> {
        let (kind, at) = arguments.take_kind()?;
        Ok(match kind.as_str() {
            "tcp" => TcpServerEndpoint::parse(arguments)?.into(),
            "tcp6" => TcpServerEndpoint::parse_ipv6(arguments)?.into(),
            "unix" => UnixServerEndpoint::parse(arguments)?.into(),
            "fd" => InheritedEndpoint::parse_descriptor(arguments)?.into(),
            "systemd" => InheritedEndpoint::parse_systemd(arguments)?.into(),
            #[cfg(feature = "tls")]
            "ssl" => {
                let acceptor = super::tls::take_acceptor(&mut arguments, at)?;
                // Without a kind of its own it is TCP, as Twisted's is.
                let inner = match arguments.begins_with_number() {
                    true => TcpServerEndpoint::parse(arguments)?.into(),
                    false => Self::parse(arguments)?,
                };
                if inner.tls.is_some() || inner.proxies.is_some() {
                    let what = "ssl cannot be around ssl or haproxy: the header comes first, as in \
                                haproxy:ssl:8443";
                    return Problem::new(at, what.to_owned());
                }
                inner.encrypted(&acceptor)
            }
            "haproxy" => {
                let mut proxies = TrustedNetworks::default();
                for argument in arguments.take_named("trust") {
                    match argument.value.parse() {
                        Ok(networks) => proxies = proxies.and(networks),
                        Err(error) => {
                            let error: ParseNetworksError = error;
                            let at = argument.place(error.position());
                            return Problem::new(at, error.message().to_owned());
                        }
                    }
                }
                let inner = Self::parse(arguments)?;
                if inner.proxies.is_some() {
                    return Problem::new(at, "haproxy is given twice".to_owned());
                }
                inner.proxy_protocol(proxies)
            }
            _ => return Problem::new(at, unknown(&kind, KINDS)),
        })
    }
}

/// Returns the message that a description begins with none of the known kinds.
pub(super) fn unknown(kind: &str, known: &str) -> String {
    format!("unknown type of endpoint \"{kind}\"; known are {known}")
}

impl FromStr for ServerEndpoint {
    type Err = ParseEndpointError;

    fn from_str(text: &str) -> Result<Self, ParseEndpointError> {
        let parsed = Arguments::split(text).and_then(Self::parse);
        parsed.map_err(|problem| ParseEndpointError::new(text, problem))
    }
}

impl From<TcpServerEndpoint> for ServerEndpoint {
    fn from(endpoint: TcpServerEndpoint) -> Self {
        Self { carrier: ServerCarrier::Tcp(endpoint), proxies: None, tls: None }
    }
}

impl From<UnixServerEndpoint> for ServerEndpoint {
    fn from(endpoint: UnixServerEndpoint) -> Self {
        Self { carrier: ServerCarrier::Unix(endpoint), proxies: None, tls: None }
    }
}

impl From<InheritedEndpoint> for ServerEndpoint {
    fn from(endpoint: InheritedEndpoint) -> Self {
        Self { carrier: ServerCarrier::Inherited(endpoint), proxies: None, tls: None }
    }
}

impl fmt::Display for ServerEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.proxies.is_some() {
            f.write_str("haproxy:")?;
        }
        if self.tls.is_some() {
            f.write_str("ssl:")?;
        }
        match &self.carrier {
            ServerCarrier::Tcp(endpoint) => endpoint.fmt(f)?,
            ServerCarrier::Unix(endpoint) => endpoint.fmt(f)?,
            ServerCarrier::Inherited(endpoint) => endpoint.fmt(f)?,
        }
        match &self.proxies {
            Some(proxies) if *proxies != TrustedNetworks::default() => {
                f.write_str(":trust=")?;
                write_escaped(&proxies.to_string(), f)
            }
            _ => Ok(()),
        }
    }
}
