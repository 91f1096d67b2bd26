//! `ClientEndpoint`: where a client connects to, whatever carries its connections.

use super::description::{Arguments, Problem};
use super::server::unknown;
use super::{ParseEndpointError, TcpClientEndpoint, UnixClientEndpoint};
use crate::address::{Address, UnixAddress};
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::time::Duration;

/// Endpoint of a client: where it connects to, as parsed from a description such as
/// `tcp:127.0.0.1:8007`.
///
/// | description | meaning |
/// |---|---|
/// | `tcp:HOST:PORT:timeout=SECONDS:bindAddress=ADDRESS` | TCP; the host is an IP address |
/// | `unix:PATH:timeout=SECONDS` | a Unix socket |
/// | `unix:@NAME` | a Unix socket in Linux's abstract namespace |
///
/// Arguments may be given by position or, except the kind, by name: `tcp:host=::1:port=8007`.
/// Escapes are those of a [`ServerEndpoint`](super::ServerEndpoint).
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
    carrier: ClientCarrier,
}

/// What a connection is made of: the driver opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClientCarrier {
    Tcp(TcpClientEndpoint),
    Unix(UnixClientEndpoint),
}

/// The kinds of descriptions.
const KINDS: &str = "tcp and unix";

impl ClientEndpoint {
    /// Returns the address that it connects to.
    pub fn address(&self) -> Address {
        match &self.carrier {
            ClientCarrier::Tcp(endpoint) => endpoint.address().into(),
            ClientCarrier::Unix(endpoint) => endpoint.address().clone().into(),
        }
    }

    pub(crate) fn carrier(&self) -> &ClientCarrier {
        &self.carrier
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        match &self.carrier {
            ClientCarrier::Tcp(endpoint) => endpoint.connect_timeout(),
            ClientCarrier::Unix(endpoint) => endpoint.connect_timeout(),
        }
    }

    /// Returns the local address, as far as it is known before the connection is established.
    pub(crate) fn local_address(&self) -> Address {
        match &self.carrier {
            ClientCarrier::Tcp(endpoint) => {
                endpoint.local().unwrap_or((Ipv4Addr::UNSPECIFIED, 0).into()).into()
            }
            ClientCarrier::Unix(_) => UnixAddress::unnamed().into(),
        }
    }

    fn parse(text: &str) -> Result<Self, Problem> {
        let mut arguments = Arguments::split(text)?;
        let (kind, at) = arguments.take_kind()?;
        Ok(match kind.as_str() {
            "tcp" => TcpClientEndpoint::parse(arguments)?.into(),
            "unix" => UnixClientEndpoint::parse(arguments)?.into(),
            _ => return Problem::new(at, unknown(&kind, KINDS)),
        })
    }
}

impl FromStr for ClientEndpoint {
    type Err = ParseEndpointError;

    fn from_str(text: &str) -> Result<Self, ParseEndpointError> {
        Self::parse(text).map_err(|problem| ParseEndpointError::new(text, problem))
    }
}

impl From<TcpClientEndpoint> for ClientEndpoint {
    fn from(endpoint: TcpClientEndpoint) -> Self {
        Self { carrier: ClientCarrier::Tcp(endpoint) }
    }
}

impl From<UnixClientEndpoint> for ClientEndpoint {
    fn from(endpoint: UnixClientEndpoint) -> Self {
        Self { carrier: ClientCarrier::Unix(endpoint) }
    }
}

impl fmt::Display for ClientEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.carrier {
            ClientCarrier::Tcp(endpoint) => endpoint.fmt(f),
            ClientCarrier::Unix(endpoint) => endpoint.fmt(f),
        }
    }
}
