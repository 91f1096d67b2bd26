//! `ClientEndpoint`: where a client connects to, whatever carries its connections.

use super::description::{Arguments, Problem};
use super::server::unknown;
use super::{HostnameEndpoint, ParseEndpointError, TcpClientEndpoint, UnixClientEndpoint};
use crate::address::{Address, UnixAddress};
use crate::proxy_protocol::{ProxyHeader, Version};
use crate::tls::TlsSide;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::time::Duration;

/// Endpoint of a client: where it connects to, as parsed from a description such as
/// `tcp:127.0.0.1:8007`.
///
/// | description | meaning |
/// |---|---|
/// | `tcp:HOST:PORT:timeout=SECONDS:bindAddress=ADDRESS` | TCP; a host name or an IP address |
/// | `unix:PATH:timeout=SECONDS` | a Unix socket |
/// | `unix:@NAME` | a Unix socket in Linux's abstract namespace |
/// | `tls:HOST:PORT:trustRoots=FILE` | TLS; a host name or an IP address |
/// | `tls:unix:PATH:serverName=NAME` | TLS over a Unix socket |
/// | `haproxy:ENDPOINT:version=N` | any of these, with a PROXY header in front |
///
/// [`HostnameEndpoint`] says how a host is connected to, and which names there are.
///
/// `tls` needs the feature `tls`. The server's certificate has to be for the host, or for
/// `serverName`, and from an authority of the operating system or of the file `trustRoots`, in PEM.
/// `certificate=FILE` and `privateKey=FILE` are shown to a server that asks for a certificate.
///
/// Arguments may be given by position or, except the kind, by name: `tcp:host=::1:port=8007`.
/// Escapes are those of a [`ServerEndpoint`](super::ServerEndpoint). `haproxy` sends a header for a
/// connection of this program's own; the version is 2 by default, or 1.
/// [`proxy_header`](Self::proxy_header) sends any other.
///
/// ```
/// use twistor::{ClientEndpoint, TcpClientEndpoint};
///
/// let endpoint: ClientEndpoint = "tcp:[::1]:8007".parse()?;
/// let expected = TcpClientEndpoint::new((std::net::Ipv6Addr::LOCALHOST, 8007));
/// assert_eq!(endpoint, ClientEndpoint::from(expected));
/// # Ok::<(), twistor::endpoint::ParseEndpointError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientEndpoint {
    destination: Destination,
    /// Boxed, since errors hold endpoints.
    proxy_header: Option<Box<ProxyHeader>>,
    tls: Option<TlsSide>,
}

/// Where an endpoint leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// An address, which the driver connects to.
    Address(ClientCarrier),
    /// A host, whose name has to be resolved. Boxed, since errors hold endpoints.
    Host(Box<HostnameEndpoint>),
}

/// What a connection is made of: the driver opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClientCarrier {
    Tcp(TcpClientEndpoint),
    Unix(UnixClientEndpoint),
}

impl ClientCarrier {
    pub(crate) fn address(&self) -> Address {
        match self {
            Self::Tcp(endpoint) => endpoint.address().into(),
            Self::Unix(endpoint) => endpoint.address().clone().into(),
        }
    }
}

/// The kinds of descriptions.
#[cfg(feature = "tls")]
const KINDS: &str = "tcp, unix, tls and haproxy";
#[cfg(not(feature = "tls"))]
const KINDS: &str = "tcp, unix and haproxy; tls with the feature `tls`";

impl ClientEndpoint {
    /// Returns the address that it connects to: an [`Address::Host`] if that is given by its name.
    pub fn address(&self) -> Address {
        match &self.destination {
            Destination::Address(carrier) => carrier.address(),
            Destination::Host(endpoint) => endpoint.address().clone().into(),
        }
    }

    /// Sends a PROXY header before everything else, as a proxy does that connects on behalf of a
    /// client. The connect timeout covers it; the connection is made when the header is sent.
    ///
    /// ```
    /// use std::net::SocketAddr;
    /// use twistor::ClientEndpoint;
    /// use twistor::proxy_protocol::ProxyHeader;
    ///
    /// fn behind(client: SocketAddr, asked_for: SocketAddr) -> ClientEndpoint {
    ///     let server: ClientEndpoint = "tcp:127.0.0.1:8080".parse().expect("a description");
    ///     server.proxy_header(ProxyHeader::new(client, asked_for))
    /// }
    /// ```
    #[must_use]
    pub fn proxy_header(self, header: ProxyHeader) -> Self {
        Self { proxy_header: Some(Box::new(header)), ..self }
    }

    /// Returns the PROXY header to send, encoded.
    pub(crate) fn encoded_proxy_header(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        self.proxy_header.as_ref()?.encode(&mut bytes);
        Some(bytes)
    }

    /// Encrypts the connection with this side of TLS. The handshake comes after the PROXY header,
    /// if one is sent, and before the protocol is built; its time counts towards the connect
    /// timeout. If it fails, or the server's certificate is refused,
    /// [`connection_failed`](crate::Factory::connection_failed) hears why.
    ///
    /// ```no_run
    /// use twistor::tls::TlsConnector;
    /// use twistor::{ClientEndpoint, TcpClientEndpoint};
    ///
    /// let connector = TlsConnector::with_system_roots()?;
    /// let endpoint = ClientEndpoint::from(TcpClientEndpoint::new(([192, 0, 2, 7], 443)));
    /// let endpoint = endpoint.encrypted(connector.to("example.org")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn encrypted(self, side: TlsSide) -> Self {
        Self { tls: Some(side), ..self }
    }

    pub(crate) fn tls(&self) -> Option<&TlsSide> {
        self.tls.as_ref()
    }

    pub(crate) fn destination(&self) -> &Destination {
        &self.destination
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        match &self.destination {
            Destination::Address(ClientCarrier::Tcp(endpoint)) => endpoint.connect_timeout(),
            Destination::Address(ClientCarrier::Unix(endpoint)) => endpoint.connect_timeout(),
            Destination::Host(endpoint) => endpoint.connect_timeout(),
        }
    }

    /// Returns the local address, as far as it is known before the connection is established.
    pub(crate) fn local_address(&self) -> Address {
        let local = match &self.destination {
            Destination::Address(ClientCarrier::Tcp(endpoint)) => endpoint.local(),
            Destination::Address(ClientCarrier::Unix(_)) => return UnixAddress::unnamed().into(),
            Destination::Host(endpoint) => endpoint.local(),
        };
        local.unwrap_or((Ipv4Addr::UNSPECIFIED, 0).into()).into()
    }

    fn parse(mut arguments: Arguments) -> Result<Self, Problem> {
        let (kind, at) = arguments.take_kind()?;
        Ok(match kind.as_str() {
            "tcp" => HostnameEndpoint::parse(arguments)?.into(),
            "unix" => UnixClientEndpoint::parse(arguments)?.into(),
            #[cfg(feature = "tls")]
            "tls" => {
                let (connector, name) = super::tls::take_connector(&mut arguments, at)?;
                let inner: Self = match arguments.begins_with("unix") {
                    true => Self::parse(arguments)?,
                    false => HostnameEndpoint::parse(arguments)?.into(),
                };
                let host = match (&name, &inner.destination) {
                    (Some(name), _) => name.value.clone(),
                    (None, Destination::Host(endpoint)) => endpoint.host().to_owned(),
                    (None, Destination::Address(ClientCarrier::Tcp(endpoint))) => {
                        endpoint.address().ip().to_string()
                    }
                    (None, Destination::Address(ClientCarrier::Unix(_))) => {
                        let what = "no serverName is given, for which the server has a certificate";
                        return Problem::new(at, what.to_owned());
                    }
                };
                match connector.to(&host) {
                    Ok(side) => inner.encrypted(side),
                    Err(error) => {
                        let at = name.map_or(at, |name| name.value_at);
                        return Problem::new(at, error.to_string());
                    }
                }
            }
            "haproxy" => {
                let mut header = ProxyHeader::local();
                for argument in arguments.take_named("version") {
                    header = match argument.value.as_str() {
                        "1" => header.with_version(Version::V1),
                        "2" => header.with_version(Version::V2),
                        _ => return argument.error("version", "1 or 2"),
                    };
                }
                let inner = Self::parse(arguments)?;
                if inner.proxy_header.is_some() {
                    return Problem::new(at, "haproxy is given twice".to_owned());
                }
                inner.proxy_header(header)
            }
            _ => return Problem::new(at, unknown(&kind, KINDS)),
        })
    }
}

impl FromStr for ClientEndpoint {
    type Err = ParseEndpointError;

    fn from_str(text: &str) -> Result<Self, ParseEndpointError> {
        let parsed = Arguments::split(text).and_then(Self::parse);
        parsed.map_err(|problem| ParseEndpointError::new(text, problem))
    }
}

impl From<TcpClientEndpoint> for ClientEndpoint {
    fn from(endpoint: TcpClientEndpoint) -> Self {
        let destination = Destination::Address(ClientCarrier::Tcp(endpoint));
        Self { destination, proxy_header: None, tls: None }
    }
}

impl From<HostnameEndpoint> for ClientEndpoint {
    fn from(endpoint: HostnameEndpoint) -> Self {
        match endpoint.literal() {
            Some(literal) => literal.into(),
            None => {
                let destination = Destination::Host(Box::new(endpoint));
                Self { destination, proxy_header: None, tls: None }
            }
        }
    }
}

impl From<UnixClientEndpoint> for ClientEndpoint {
    fn from(endpoint: UnixClientEndpoint) -> Self {
        let destination = Destination::Address(ClientCarrier::Unix(endpoint));
        Self { destination, proxy_header: None, tls: None }
    }
}

impl fmt::Display for ClientEndpoint {
    /// Writes a description that can be parsed, unless its PROXY header speaks for a client.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.proxy_header.is_some() {
            f.write_str("haproxy:")?;
        }
        if self.tls.is_some() {
            f.write_str("tls:")?;
        }
        match &self.destination {
            Destination::Address(ClientCarrier::Tcp(endpoint)) => endpoint.fmt(f)?,
            Destination::Address(ClientCarrier::Unix(endpoint)) => endpoint.fmt(f)?,
            Destination::Host(endpoint) => endpoint.fmt(f)?,
        }
        match &self.proxy_header {
            Some(header) if header.version() == Version::V1 => f.write_str(":version=1"),
            _ => Ok(()),
        }
    }
}
