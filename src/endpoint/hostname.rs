//! `HostnameEndpoint`: a host to connect to over TCP, by its name.

use super::description::{Arguments, Problem};
use super::host_name::{InvalidHostName, check};
use super::tcp_client::{TcpClientEndpoint, write_options};
use super::{DEFAULT_ATTEMPT_DELAY, DEFAULT_CONNECT_TIMEOUT};
use crate::address::HostnameAddress;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// Shortest delay between two attempts, as RFC 8305 demands: with less, all addresses of a host
/// would be connected to at once.
const ATTEMPT_DELAY_MIN: Duration = Duration::from_millis(10);

/// A host to connect to over TCP, by its name.
///
/// The name is resolved by the operating system, or a [`Resolver`](crate::Resolver), while the loop
/// continues. If the host has several addresses, they are tried in turn, each
/// [`attempt_delay`](Self::attempt_delay) after the one before unless that has failed sooner; the
/// first that answers is the connection, and the others are closed (Happy Eyeballs, RFC 8305). The
/// connect timeout covers all of this.
///
/// Until then, the transport's peer is an [`Address::Host`](crate::Address::Host); afterwards it is
/// the address that has answered. If none does, the error is an
/// [`AttemptErrors`](crate::error::AttemptErrors), and if the name cannot be resolved, a
/// [`ResolveError`](crate::error::ResolveError).
///
/// An IP address may take the place of a name; it is not resolved.
///
/// ```no_run
/// use std::time::Duration;
/// use twistor::{HostnameEndpoint, Protocol, Reactor};
///
/// struct Quiet;
///
/// impl<F> Protocol<F> for Quiet {}
///
/// let mut reactor = Reactor::new()?;
/// let endpoint = HostnameEndpoint::new("example.org", 80)?.timeout(Duration::from_secs(5));
/// endpoint.connect(&mut reactor, || Quiet)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Twisted's `HostnameEndpoint`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostnameEndpoint {
    host: HostnameAddress,
    /// The address, if the host is given by one.
    literal: Option<SocketAddr>,
    timeout: Duration,
    attempt_delay: Duration,
    local: Option<SocketAddr>,
}

impl HostnameEndpoint {
    /// Creates an endpoint from a host name or an IP address, and a port number.
    ///
    /// A name that ends with a dot is complete: the system tries it in no other domain.
    ///
    /// # Errors
    ///
    /// [`InvalidHostName`] says what is wrong with the name.
    pub fn new(host: impl AsRef<str>, port: u16) -> Result<Self, InvalidHostName> {
        let host = host.as_ref();
        Ok(Self {
            literal: check(host, port)?,
            host: HostnameAddress::new(host, port),
            timeout: DEFAULT_CONNECT_TIMEOUT,
            attempt_delay: DEFAULT_ATTEMPT_DELAY,
            local: None,
        })
    }

    /// Sets the connect timeout, from resolving the name to the connection;
    /// [`DEFAULT_CONNECT_TIMEOUT`] by default. `Duration::MAX` waits as long as the system does.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sets the delay after which another address is tried while the attempts so far have no
    /// answer; [`DEFAULT_ATTEMPT_DELAY`] by default. It never ends an attempt. Less than 10
    /// milliseconds counts as that; with `Duration::MAX` an address is tried only when the one
    /// before has failed. (`attemptDelay`)
    #[must_use]
    pub fn attempt_delay(self, attempt_delay: Duration) -> Self {
        Self { attempt_delay: attempt_delay.max(ATTEMPT_DELAY_MIN), ..self }
    }

    /// Sets the local address, as [`TcpClientEndpoint::bind`] does. Addresses of the host that have
    /// the other IP version are left out. (`bindAddress`)
    #[must_use]
    pub fn bind(self, local: impl Into<SocketAddr>) -> Self {
        Self { local: Some(local.into()), ..self }
    }

    /// Returns the host as it was given.
    pub fn host(&self) -> &str {
        self.host.name()
    }

    /// Returns the port number.
    pub fn port(&self) -> u16 {
        self.host.port()
    }

    pub(crate) fn address(&self) -> &HostnameAddress {
        &self.host
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn delay(&self) -> Duration {
        self.attempt_delay
    }

    pub(crate) fn local(&self) -> Option<SocketAddr> {
        self.local
    }

    /// Returns the endpoint of one address of the host.
    pub(crate) fn at(&self, address: SocketAddr) -> TcpClientEndpoint {
        let endpoint = TcpClientEndpoint::new(address).timeout(self.timeout);
        self.local.map_or(endpoint.clone(), |local| endpoint.bind(local))
    }

    /// Returns the endpoint of the address that was given in place of a name.
    pub(super) fn literal(&self) -> Option<TcpClientEndpoint> {
        self.literal.map(|address| self.at(address))
    }

    /// Parses the arguments of `tcp`.
    pub(super) fn parse(mut arguments: Arguments) -> Result<Self, Problem> {
        let (mut host, mut port, mut timeout, mut local) = (None, None, None, None);
        while let Some((name, mut argument)) =
            arguments.next(&["host", "port", "timeout", "bindAddress"])?
        {
            match name {
                "host" => {
                    // A number that follows a host given by position is the port.
                    if argument.is_named() {
                        arguments.join_plain_ipv6(&mut argument);
                    }
                    match Self::new(&argument.value, 0) {
                        Ok(endpoint) => host = Some(endpoint),
                        Err(error) => {
                            let what = format!("a host name or an IP address: {}", error.why());
                            return argument.error("host", &what);
                        }
                    }
                }
                "port" => port = Some(argument.number::<u16>("port", u16::MAX.into())?),
                "timeout" => timeout = Some(argument.seconds("timeout")?),
                _ => {
                    arguments.join_plain_ipv6(&mut argument);
                    local = Some((SocketAddr::new(argument.ip("bindAddress")?, 0), argument));
                }
            }
        }
        let mut endpoint = arguments.require("host", host)?;
        let port = arguments.require("port", port)?;
        endpoint.host = HostnameAddress::new(endpoint.host.name(), port);
        endpoint.literal.iter_mut().for_each(|address| address.set_port(port));
        if let Some((local, argument)) = local {
            if endpoint.literal.is_some_and(|address| address.is_ipv4() != local.is_ipv4()) {
                return argument.error("bindAddress", "of the IP version of the host");
            }
            endpoint.local = Some(local);
        }
        endpoint.timeout = timeout.unwrap_or(DEFAULT_CONNECT_TIMEOUT);
        Ok(endpoint)
    }
}

impl fmt::Display for HostnameEndpoint {
    /// Writes a description that [`ClientEndpoint`](super::ClientEndpoint) can parse; it cannot
    /// express an attempt delay, nor the port of a local address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.literal() {
            Some(literal) => literal.fmt(f),
            None => {
                write!(f, "tcp:{}", self.host)?;
                write_options(self.timeout, self.local, f)
            }
        }
    }
}
