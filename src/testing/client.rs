//! Client: a reactor with a factory that connects, in memory.

use super::listener::Listener;
use super::network::PortName;
use super::observer::CallbackCounts;
use super::peer::Peer;
use super::server::PORT;
use super::simulation::{Attempt, Host, Simulation};
use crate::address::Address;
use crate::endpoint::ClientEndpoint;
use crate::protocol::Factory;
use crate::reactor::{FactoryKey, Reactor, Settings};
use std::fmt;
use std::time::Duration;

/// Lets `factory` connect, in memory, and returns the server's end of its connection: the shortest
/// way to a test of a client, and the counterpart of [`connect`](super::connect).
///
/// The port is closed once the connection is made: a client that tries again is refused. A
/// [`Client`] sees each of its attempts.
///
/// ```
/// use twistor::{Context, Protocol};
///
/// struct Greeting;
///
/// impl<F> Protocol<F> for Greeting {
///     fn data_received(&mut self, cx: &mut Context<'_, F>, _data: &[u8]) {
///         cx.transport.write("HELO me\r\n");
///     }
/// }
///
/// let peer = twistor::testing::accept(|| Greeting);
/// peer.send("220 mail\r\n");
/// assert_eq!(peer.take_received(), b"HELO me\r\n");
/// ```
///
/// # Panics
///
/// If the factory does not start.
#[track_caller]
pub fn accept<F: Factory>(factory: F) -> Peer {
    Client::new(factory).accept()
}

/// Test client: a reactor whose factory connects, on a simulated network without delay, to a server
/// that is the test.
///
/// Each attempt to connect waits until the test accepts, refuses or ignores it: see [`Listener`].
/// So a client that tries again is tested step by step, and [`attempts`](Self::attempts) says when
/// it has tried.
///
/// It wraps a [`Simulation`] with one `Host` and a [`Listener`]. A program that connects in another
/// way than by one factory is set up with these three. A client cannot build its factory a second
/// time: a fault that restarts the host brings its reactor back without it.
///
/// ```
/// use std::time::Duration;
/// use twistor::testing::Client;
/// use twistor::{HostnameEndpoint, Protocol};
///
/// struct Quiet;
///
/// impl<F> Protocol<F> for Quiet {}
///
/// let endpoint = HostnameEndpoint::new("db.example", 5432)?.timeout(Duration::from_secs(5));
/// let client = Client::to(endpoint.clone(), || Quiet);
/// client.refuse();
/// assert_eq!(client.attempt().error(), Some(std::io::ErrorKind::ConnectionRefused));
///
/// // The test may let it wait, and its timeout expires.
/// let client = Client::to(endpoint, || Quiet);
/// client.advance(Duration::from_secs(5));
/// assert_eq!(client.attempt().error(), Some(std::io::ErrorKind::TimedOut));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Client<F: Factory> {
    host: Host,
    listener: Listener,
    attempt: Attempt,
    key: FactoryKey<F>,
}

impl<F: Factory> Client<F> {
    /// Starts a reactor on which `factory` connects over TCP, with the default [`Settings`].
    ///
    /// # Panics
    ///
    /// If the factory does not start.
    #[track_caller]
    pub fn new(factory: F) -> Self {
        let endpoint = format!("tcp:server:{PORT}").parse::<ClientEndpoint>();
        Self::to(endpoint.expect("a description of an endpoint"), factory)
    }

    /// Starts a reactor on which `factory` connects to `endpoint`, with the default [`Settings`].
    ///
    /// The test has whatever the endpoint leads to: an IP address, a host name, which has one
    /// address, or a Unix socket. Over TLS, [`Peer::start_tls`] or [`Listener::encrypted`] is the
    /// server's side.
    ///
    /// # Panics
    ///
    /// If the factory does not start.
    #[track_caller]
    pub fn to(endpoint: impl Into<ClientEndpoint>, factory: F) -> Self {
        Self::with_settings(Settings::default(), endpoint, factory)
    }

    /// Starts a reactor with `settings` on which `factory` connects to `endpoint`; see
    /// [`to`](Self::to).
    ///
    /// # Panics
    ///
    /// If the factory does not start.
    #[track_caller]
    pub fn with_settings(
        settings: Settings,
        endpoint: impl Into<ClientEndpoint>,
        factory: F,
    ) -> Self {
        let (endpoint, simulation) = (endpoint.into(), Simulation::new(0));
        // First of all, so that an address of the endpoint is the server's, whatever it is.
        let server = simulation.network(|network| network.add_node("server"));
        let host = simulation.host_with("client", settings, |_reactor| Ok(()));
        let address = endpoint.address();
        let node = match &address {
            Address::Unix(_) => host.node(),
            Address::Tcp(address) => {
                simulation.network(|network| network.add_address(server, address.ip()));
                server
            }
            Address::Host(address) => {
                let ip = simulation.network(|network| network.address(server, 0)).ip();
                simulation.name(address.name(), [ip]);
                server
            }
        };
        let listener = Listener::open(&simulation, node, PortName::of(&address));
        let mut key = None;
        let attempt = host.attempt(|reactor| {
            let connector = endpoint.connect(reactor, factory)?;
            key = Some(connector.key());
            Ok(connector.transport().clone())
        });
        Self { host, listener, attempt, key: key.expect("the attempt has begun") }
    }

    /// Accepts an attempt of the client, and returns the server's end of the connection. Virtual
    /// time moves until there is an attempt.
    ///
    /// # Panics
    ///
    /// As [`Listener::accept`].
    #[track_caller]
    pub fn accept(&self) -> Peer {
        self.listener.accept()
    }

    /// Refuses an attempt of the client. Virtual time moves until there is one.
    ///
    /// # Panics
    ///
    /// As [`Listener::refuse`].
    #[track_caller]
    pub fn refuse(&self) {
        self.listener.refuse();
    }

    /// Never answers an attempt of the client. Virtual time moves until there is one.
    ///
    /// # Panics
    ///
    /// As [`Listener::ignore`].
    #[track_caller]
    pub fn ignore(&self) {
        self.listener.ignore();
    }

    /// Returns the number of attempts that wait for an answer, and that the client has not given
    /// up.
    pub fn waiting(&self) -> usize {
        self.listener.waiting()
    }

    /// Returns when the client has tried to connect, in virtual time since the beginning.
    pub fn attempts(&self) -> Vec<Duration> {
        self.listener.attempts()
    }

    /// Returns the client's first attempt, with its error if it has failed.
    pub fn attempt(&self) -> &Attempt {
        &self.attempt
    }

    /// Calls `call` with the factory.
    ///
    /// # Panics
    ///
    /// If the factory is gone: when its last attempt has failed or its last connection is over,
    /// unless [`add_factory`](Reactor::add_factory) holds it.
    #[track_caller]
    pub fn factory<R>(&self, call: impl FnOnce(&mut F, &mut Reactor) -> R) -> R {
        let result = self.host.reactor(|reactor| reactor.with_factory(self.key, call));
        result.expect("the factory is there as long as it connects, or is connected")
    }

    /// Calls `call` with the reactor of this client.
    #[track_caller]
    pub fn reactor<R>(&self, call: impl FnOnce(&mut Reactor) -> R) -> R {
        self.host.reactor(call)
    }

    /// Advances the virtual time by `by`, and runs everything that becomes due.
    #[track_caller]
    pub fn advance(&self, by: Duration) {
        self.simulation().run_for(by);
    }

    /// Returns how often each callback has run, summed over all protocols that the client ever had.
    pub fn calls(&self) -> CallbackCounts {
        self.host.calls()
    }

    /// Stops the reactor, as [`Reactor::stop`] does.
    #[track_caller]
    pub fn stop(&self) {
        self.host.reactor(Reactor::stop);
    }

    /// Returns the port to which the client connects.
    pub fn listener(&self) -> &Listener {
        &self.listener
    }

    /// Returns the host of this client.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Returns the simulation of this client, to allow panics for instance.
    pub fn simulation(&self) -> &Simulation {
        self.host.simulation()
    }
}

impl<F: Factory> fmt::Debug for Client<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("listener", &self.listener).finish_non_exhaustive()
    }
}
