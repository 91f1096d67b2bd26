//! Listener: a server's port that a test answers for.

use super::network::{EndId, PortName};
use super::peer::Peer;
use super::simulation::Simulation;
#[cfg(feature = "tls")]
use crate::tls::TlsSide;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// Virtual time that a listener waits for an attempt: longer than any delay of a client that tries
/// again.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// A port on a simulated host whose attempts to connect the test answers: the server's side in a
/// test of clients that a [`Simulation`] runs.
///
/// Each attempt waits until the test [accepts](Self::accept), [refuses](Self::refuse) or
/// [ignores](Self::ignore) it, or until its client gives up. These three take the attempt that has
/// waited the longest; if there is none, virtual time moves until one arrives.
///
/// A handle: its clones are the same port, which closes when the last one is dropped. Attempts that
/// wait then, and later ones, are refused.
///
/// ```
/// use std::time::Duration;
/// use twistor::testing::Simulation;
/// use twistor::{Factory, FactoryKey, Protocol, Reactor, Transport};
///
/// /// Connects, and tries again every second until it is connected.
/// struct Persistent(std::net::SocketAddr);
///
/// struct Quiet;
///
/// impl<F> Protocol<F> for Quiet {}
///
/// impl Factory for Persistent {
///     twistor::build_protocol!(Quiet, |_| Quiet);
///
///     fn connection_failed(&mut self, _: &Transport, _: &std::io::Error, reactor: &mut Reactor) {
///         let (address, key) = (self.0, reactor.key_of(self).unwrap());
///         reactor.call_later(Duration::from_secs(1), move |reactor| {
///             drop(reactor.connect_tcp(address, key));
///         });
///     }
/// }
///
/// let simulation = Simulation::new(1);
/// let listener = simulation.listen("server", 8007);
/// let address = listener.address();
/// simulation.host("client", move |reactor| {
///     let key: FactoryKey<Persistent> = reactor.add_factory(Persistent(address))?;
///     Ok(reactor.connect_tcp(address, key)?)
/// });
/// listener.refuse();
/// listener.refuse();
/// let peer = listener.accept();
/// assert!(peer.transport().unwrap().is_connected());
/// assert_eq!(listener.attempts(), [0, 1, 2].map(Duration::from_secs));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use = "a listener that is dropped refuses its clients"]
pub struct Listener {
    port: Rc<Port>,
    #[cfg(feature = "tls")]
    encryption: Option<TlsSide>,
}

struct Port {
    simulation: Simulation,
    node: usize,
    name: PortName,
}

impl Simulation {
    /// Listens on a port of the host `name`, which is added if there is none of that name. Clients
    /// reach it by the name, as they reach every host, and by [`Listener::address`].
    ///
    /// # Panics
    ///
    /// If the port is taken, if a new host would be the 256th, or if its name is not a word.
    #[track_caller]
    pub fn listen(&self, name: &str, port: u16) -> Listener {
        let node = self.network(|network| network.node(name));
        Listener::open(self, node, PortName::Tcp(port))
    }
}

impl Listener {
    #[track_caller]
    pub(super) fn open(simulation: &Simulation, node: usize, name: PortName) -> Self {
        let is_open = simulation.network(|network| network.open_raw_port(node, &name));
        assert!(is_open, "the host listens on {name} already");
        Self {
            port: Rc::new(Port { simulation: simulation.clone(), node, name }),
            #[cfg(feature = "tls")]
            encryption: None,
        }
    }

    /// Encrypts the connections that are accepted through this handle: [`accept`](Self::accept)
    /// returns when the handshake is complete. A test of handshakes that fail calls
    /// [`Peer::start_tls`] itself.
    ///
    /// ```
    /// use twistor::testing::Client;
    /// use twistor::testing::tls::{acceptor, connector};
    /// use twistor::{ClientEndpoint, Context, Protocol};
    ///
    /// struct Greeting;
    ///
    /// impl<F> Protocol<F> for Greeting {
    ///     fn connection_made(&mut self, cx: &mut Context<'_, F>) {
    ///         cx.transport.write("hello");
    ///     }
    /// }
    ///
    /// let endpoint: ClientEndpoint = "tcp:localhost:8443".parse()?;
    /// let endpoint = endpoint.encrypted(connector().to("localhost")?);
    /// let client = Client::to(endpoint, || Greeting);
    /// let peer = client.listener().clone().encrypted(acceptor()).accept();
    /// assert_eq!(peer.take_received(), b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "tls")]
    pub fn encrypted(self, side: impl Into<TlsSide>) -> Self {
        Self { encryption: Some(side.into()), ..self }
    }

    /// Returns the address of the port.
    ///
    /// # Panics
    ///
    /// On a Unix socket, which has a path.
    pub fn address(&self) -> SocketAddr {
        let Port { simulation, node, name } = &*self.port;
        match name {
            PortName::Tcp(port) => simulation.network(|network| network.address(*node, *port)),
            PortName::Unix(_) => panic!("a Unix socket has no such address"),
        }
    }

    /// Accepts an attempt, and returns the server's end of the connection.
    ///
    /// # Panics
    ///
    /// If no attempt arrives within an hour of virtual time, if the handshake of a connection to be
    /// [encrypted](Self::encrypted) fails, and as [`Simulation::settle`].
    #[track_caller]
    pub fn accept(&self) -> Peer {
        let simulation = &self.port.simulation;
        let end = self.take();
        simulation.network(|network| network.raw_port_accept(end));
        let peer = Peer::new(simulation.clone(), end);
        simulation.settle();
        #[cfg(feature = "tls")]
        if let Some(side) = &self.encryption {
            if let Err(error) = peer.start_tls(side.clone()) {
                panic!("the handshake of an accepted connection has failed: {error}");
            }
        }
        peer
    }

    /// Refuses an attempt, like a machine on which nothing listens.
    ///
    /// # Panics
    ///
    /// If no attempt arrives within an hour of virtual time, and as [`Simulation::settle`].
    #[track_caller]
    pub fn refuse(&self) {
        let end = self.take();
        self.port.simulation.network(|network| network.raw_port_refuse(end));
        self.port.simulation.settle();
    }

    /// Never answers an attempt, as a firewall that drops packets: its client waits until its
    /// timeout.
    ///
    /// # Panics
    ///
    /// If no attempt arrives within an hour of virtual time, and as [`Simulation::settle`].
    #[track_caller]
    pub fn ignore(&self) {
        self.take();
    }

    /// Waits for an attempt, and returns the server's end of what may become a connection.
    #[track_caller]
    fn take(&self) -> EndId {
        let Port { simulation, node, name } = &*self.port;
        simulation.run_until(WAIT_MAX, || self.waiting() > 0);
        let taken = simulation.network(|network| network.raw_port_take(*node, name));
        taken.unwrap_or_else(|| {
            let (now, attempts) = (simulation.now(), self.attempts());
            panic!(
                "no client tries to connect to {name}, at {now:?} of virtual time after an hour of \
                 waiting; attempts so far, which were answered or given up: {attempts:?}"
            )
        })
    }

    /// Waits up to `limit` for an attempt; true if one waits for its answer.
    #[track_caller]
    pub(super) fn wait_for_attempt(&self, limit: Duration) -> bool {
        self.port.simulation.run_until(limit, || self.waiting() > 0)
    }

    /// Returns the number of attempts that wait for an answer, and whose clients have not given up.
    pub fn waiting(&self) -> usize {
        let Port { simulation, node, name } = &*self.port;
        simulation.network(|network| network.raw_port_waiting(*node, name).len())
    }

    /// Returns when each attempt so far arrived, answered or not, in virtual time since the
    /// beginning. One whose packets the network keeps away does not arrive; one that the client's
    /// operating system repeats arrives once.
    pub fn attempts(&self) -> Vec<Duration> {
        let Port { simulation, node, name } = &*self.port;
        simulation.network(|network| network.raw_port_attempts(*node, name))
    }

    pub(super) fn simulation(&self) -> &Simulation {
        &self.port.simulation
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.simulation.network(|network| network.stop_listening(self.node, &self.name));
        if !std::thread::panicking() && !self.simulation.is_running() {
            self.simulation.settle();
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("port", &self.port.name)
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}
