//! `ServerEndpoint`: where a server listens, whatever carries its connections.

use super::description::{Arguments, Problem};
use super::{InheritedEndpoint, ParseEndpointError, TcpServerEndpoint, UnixServerEndpoint};
use crate::address::Address;
use std::fmt;
use std::str::FromStr;

/// Endpoint of a server: where it listens, as parsed from a description such as
/// `tcp:8007:interface=127.0.0.1`.
///
/// | description | meaning |
/// |---|---|
/// | `tcp:PORT` or just `PORT` | all IPv4 interfaces |
/// | `tcp:PORT:interface=ADDRESS:backlog=N` | one interface |
/// | `tcp6:PORT:interface=ADDRESS:backlog=N` | IPv6; all interfaces if none is named |
/// | `unix:PATH:mode=660:backlog=N` | a Unix socket, whose file has these permissions |
/// | `unix:@NAME` | a Unix socket in Linux's abstract namespace |
/// | `fd:3` | an inherited listening socket, by its descriptor |
/// | `systemd:name=NAME`, `systemd:index=0` | a socket from systemd |
///
/// Arguments may be given by position instead: `tcp:PORT:ADDRESS:N`, `tcp6:PORT:N:ADDRESS`,
/// `unix:PATH:660:N`. A colon, an equals sign or a backslash that belongs to an argument is escaped
/// by a backslash. An IPv6 address may be escaped (`interface=\:\:1`), in brackets
/// (`interface=[::1]`) or, if only named arguments follow, plain (`interface=::1`).
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
}

/// What a port is made of: the driver opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ServerCarrier {
    Tcp(TcpServerEndpoint),
    Unix(UnixServerEndpoint),
    Inherited(InheritedEndpoint),
}

/// The kinds of descriptions.
const KINDS: &str = "tcp, tcp6, unix, fd and systemd";

impl ServerEndpoint {
    /// Returns the address that it will listen on, if that is known before.
    pub fn address(&self) -> Option<Address> {
        match &self.carrier {
            ServerCarrier::Tcp(endpoint) => Some(endpoint.address().into()),
            ServerCarrier::Unix(endpoint) => Some(endpoint.address().clone().into()),
            ServerCarrier::Inherited(_) => None,
        }
    }

    pub(crate) fn carrier(&self) -> &ServerCarrier {
        &self.carrier
    }

    fn parse(text: &str) -> Result<Self, Problem> {
        let mut arguments = Arguments::split(text)?;
        let (kind, at) = arguments.take_kind()?;
        Ok(match kind.as_str() {
            "tcp" => TcpServerEndpoint::parse(arguments)?.into(),
            "tcp6" => TcpServerEndpoint::parse_ipv6(arguments)?.into(),
            "unix" => UnixServerEndpoint::parse(arguments)?.into(),
            "fd" => InheritedEndpoint::parse_descriptor(arguments)?.into(),
            "systemd" => InheritedEndpoint::parse_systemd(arguments)?.into(),
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
        Self::parse(text).map_err(|problem| ParseEndpointError::new(text, problem))
    }
}

impl From<TcpServerEndpoint> for ServerEndpoint {
    fn from(endpoint: TcpServerEndpoint) -> Self {
        Self { carrier: ServerCarrier::Tcp(endpoint) }
    }
}

impl From<UnixServerEndpoint> for ServerEndpoint {
    fn from(endpoint: UnixServerEndpoint) -> Self {
        Self { carrier: ServerCarrier::Unix(endpoint) }
    }
}

impl From<InheritedEndpoint> for ServerEndpoint {
    fn from(endpoint: InheritedEndpoint) -> Self {
        Self { carrier: ServerCarrier::Inherited(endpoint) }
    }
}

impl fmt::Display for ServerEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.carrier {
            ServerCarrier::Tcp(endpoint) => endpoint.fmt(f),
            ServerCarrier::Unix(endpoint) => endpoint.fmt(f),
            ServerCarrier::Inherited(endpoint) => endpoint.fmt(f),
        }
    }
}
