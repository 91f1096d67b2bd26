//! Server: a reactor with one factory, in memory.

use super::peer::Peer;
use super::simulation::{Host, Simulation};
use crate::protocol::Factory;
use crate::reactor::{ListeningPort, Reactor, Settings};
use crate::testing::observer::CallbackCounts;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// The port on which the server listens.
pub(super) const PORT: u16 = 8000;

/// Connects to a protocol of `factory`, in memory: the shortest way to a test.
///
/// ```
/// use twistor::{Context, Protocol};
///
/// struct Echo;
///
/// impl<F> Protocol<F> for Echo {
///     fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
///         cx.transport.write(data);
///     }
/// }
///
/// let peer = twistor::testing::connect(|| Echo);
/// peer.send("hello");
/// assert_eq!(peer.take_received(), b"hello");
/// ```
///
/// # Panics
///
/// If the factory does not start.
#[track_caller]
pub fn connect<F: Factory>(factory: F) -> Peer {
    Server::new(factory).connect()
}

/// Test server: a reactor that serves one factory on a simulated network without delay, for tests
/// with several clients or of the factory's state.
///
/// It wraps a [`Simulation`] with one `Host`. It cannot build its factory a second time, so a fault
/// that restarts the host panics.
pub struct Server<F: Factory> {
    simulation: Simulation,
    host: Host,
    port: ListeningPort<F>,
}

impl<F: Factory> Server<F> {
    /// Starts a server that serves `factory`, with the default [`Settings`].
    ///
    /// # Panics
    ///
    /// If the factory does not start.
    #[track_caller]
    pub fn new(factory: F) -> Self {
        Self::with_settings(Settings::default(), factory)
    }

    /// Starts a server whose reactor has `settings`.
    ///
    /// # Panics
    ///
    /// If the factory does not start.
    #[track_caller]
    pub fn with_settings(settings: Settings, factory: F) -> Self {
        let simulation = Simulation::new(0);
        let (opened, factory) = (Rc::new(Cell::new(None)), RefCell::new(Some(factory)));
        let port = Rc::clone(&opened);
        let host = simulation.host_with("server", settings, move |reactor| {
            let factory = factory.take().ok_or("a server in memory cannot be restarted")?;
            port.set(Some(reactor.listen_tcp(PORT, factory)?));
            Ok(())
        });
        let port = opened.take().expect("the port is open");
        Self { simulation, host, port }
    }

    /// Connects a client.
    #[track_caller]
    pub fn connect(&self) -> Peer {
        self.simulation.peer("client", self.host.address(PORT))
    }

    /// Calls `call` with the factory.
    ///
    /// # Panics
    ///
    /// If the factory is gone: after [`stop`](Self::stop).
    #[track_caller]
    pub fn factory<R>(&self, call: impl FnOnce(&mut F, &mut Reactor) -> R) -> R {
        let result = self.host.reactor(|reactor| reactor.with_factory(&self.port, call));
        result.expect("the factory is there until the server stops")
    }

    /// Calls `call` with the reactor of this server.
    #[track_caller]
    pub fn reactor<R>(&self, call: impl FnOnce(&mut Reactor) -> R) -> R {
        self.host.reactor(call)
    }

    /// Returns the port on which the server listens.
    pub fn port(&self) -> &ListeningPort<F> {
        &self.port
    }

    /// Advances the virtual time by `by`, and runs everything that becomes due.
    #[track_caller]
    pub fn advance(&self, by: Duration) {
        self.simulation.run_for(by);
    }

    /// Returns how often each callback has run, summed over all protocols that the server ever had.
    pub fn calls(&self) -> CallbackCounts {
        self.host.calls()
    }

    /// Stops the reactor, as [`Reactor::stop`] does.
    #[track_caller]
    pub fn stop(&self) {
        self.host.reactor(Reactor::stop);
    }

    /// Returns the simulation of this server, to allow panics for instance.
    pub fn simulation(&self) -> &Simulation {
        &self.simulation
    }

    /// Returns the host of this server.
    pub fn host(&self) -> &Host {
        &self.host
    }
}

impl<F: Factory> fmt::Debug for Server<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("host", &self.host).finish_non_exhaustive()
    }
}
