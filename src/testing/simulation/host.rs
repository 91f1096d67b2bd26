//! Host: a reactor on the network, which may crash and restart.

use super::Simulation;
use super::attempt::Attempt;
use super::host_state::{ConnectAttempt, HostState, Machine, Progress};
use crate::driver::{Driver, Wake};
use crate::endpoint::{ClientEndpoint, UnixClientEndpoint};
use crate::protocol::Factory;
use crate::reactor::{ConnectError, OpenResources, Reactor, Settings, ShutdownReport};
use crate::testing::driver::HostDriver;
use crate::testing::listener::Listener;
use crate::testing::network::{Network, PortName};
use crate::testing::observer::{CallbackCounts, Observer};
use crate::testing::peer::Peer;
use crate::testing::single_fault::FaultyDriver;
use crate::transport::Transport;
use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Duration;

impl Simulation {
    /// Adds a host with a reactor. `boot` sets the reactor up: immediately, and again after each
    /// restart. What it returns, such as a port or state that it shares with its factory, is the
    /// host's [`state`](Host::state).
    ///
    /// ```
    /// use twistor::testing::Simulation;
    /// # use twistor::{Factory, Protocol, Reactor, Transport};
    /// # #[derive(Default)]
    /// # struct Chat { topic: String }
    /// # struct Chatter;
    /// # impl Protocol<Chat> for Chatter {}
    /// # impl Factory for Chat {
    /// #     type Protocol = Chatter;
    /// #     fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Chatter> {
    /// #         Some(Chatter)
    /// #     }
    /// # }
    ///
    /// let simulation = Simulation::new(1);
    /// let server = simulation.host("server", |reactor| {
    ///     Ok(reactor.listen_tcp(8007, Chat::default())?)
    /// });
    /// let port = server.state();
    /// server.reactor(|reactor| {
    ///     reactor.with_factory(&*port, |chat, _reactor| chat.topic.push_str("tea"))
    /// });
    /// ```
    ///
    /// # Panics
    ///
    /// If `boot` fails, if there is a host of that name, if the name is not a word, or if there are
    /// already 255 hosts.
    #[track_caller]
    pub fn host<T: 'static>(
        &self,
        name: &str,
        boot: impl FnMut(&mut Reactor) -> Result<T, Box<dyn Error>> + 'static,
    ) -> Host<T> {
        self.host_with(name, Settings::default(), boot)
    }

    /// Adds a host whose reactor has `settings`; in all else it is [`host`](Self::host).
    ///
    /// # Panics
    ///
    /// As [`host`](Self::host).
    #[track_caller]
    pub fn host_with<T: 'static>(
        &self,
        name: &str,
        settings: Settings,
        boot: impl FnMut(&mut Reactor) -> Result<T, Box<dyn Error>> + 'static,
    ) -> Host<T> {
        let node = self.0.network.borrow_mut().add_node(name);
        let host = self.add_host(name, node, settings, boot);
        self.settle();
        host
    }

    /// Adds the host of a node, and boots it.
    pub(super) fn add_host<T: 'static>(
        &self,
        name: &str,
        node: usize,
        settings: Settings,
        mut boot: impl FnMut(&mut Reactor) -> Result<T, Box<dyn Error>> + 'static,
    ) -> Host<T> {
        let state = Rc::new(RefCell::new(None));
        let latest = Rc::clone(&state);
        let boot = move |reactor: &mut Reactor| {
            let booted = Rc::new(boot(reactor)?);
            // The value of the boot before is dropped when nothing is borrowed any more.
            drop(latest.replace(Some(booted)));
            Ok(())
        };
        let observer = Rc::new(Observer::new(name, Rc::clone(&self.0.panics)));
        let number = self.0.hosts.borrow().len();
        let added = HostState::new(node, settings, Box::new(boot), observer);
        self.0.hosts.borrow_mut().push(added);
        self.boot(number);
        Host { simulation: self.clone(), number, node, state }
    }

    /// Sets up the reactor of a host.
    pub(super) fn boot(&self, number: usize) {
        let (mut boot, mut reactor) = {
            let host = &mut self.0.hosts.borrow_mut()[number];
            let Some(boot) = host.boot.take() else { return };
            let (network, control) = (Rc::clone(&self.0.network), Rc::clone(&host.control));
            let driver = HostDriver { network, node: host.node, control, resolver: None };
            let driver = self.with_injector(host.node, Box::new(driver));
            let mut reactor = Box::new(Reactor::with_driver(driver, host.settings.clone()));
            reactor.set_observer(Rc::clone(&host.observer) as Rc<_>);
            (boot, reactor)
        };
        let booted = boot(&mut reactor);
        // A turn is due, so that the triggers of start-up run even if nothing else happens.
        reactor.call_later(Duration::ZERO, |_| {});
        let host = &mut self.0.hosts.borrow_mut()[number];
        host.boot = Some(boot);
        host.machine = Machine::Up(reactor);
        if let Err(error) = booted {
            panic!("a host could not be set up: {error}");
        }
    }

    /// Wraps the driver of a host, if calls on it are counted and may fail.
    fn with_injector(&self, node: usize, driver: Box<dyn Driver>) -> Box<dyn Driver> {
        let Some(injector) = &self.0.injector else { return driver };
        let network = self.0.network.borrow();
        Box::new(FaultyDriver::new(driver, Rc::clone(injector), network.name(node)))
    }

    /// Drops the reactor of a host whose power has failed.
    pub(super) fn crash(&self, number: usize) {
        let crashed = {
            let host = &mut self.0.hosts.borrow_mut()[number];
            host.attempts.drain(..).for_each(|attempt| attempt.progress.set(Progress::Over));
            host.observer.crash();
            std::mem::replace(&mut host.machine, Machine::Down)
        };
        if let Machine::Up(reactor) | Machine::Stopped(reactor, _) = crashed {
            reactor.crash();
        }
    }

    /// Runs one turn of a host's reactor, if it has something to do.
    pub(super) fn turn(&self, number: usize) -> bool {
        self.update_attempts(number);
        let begun = {
            let host = &mut self.0.hosts.borrow_mut()[number];
            let node = host.node;
            let Machine::Up(reactor) = &mut host.machine else { return false };
            if host.control.waker.take() {
                self.0.network.borrow_mut().call(node);
            }
            let network = self.0.network.borrow();
            let clock = network.clock(node);
            let mut due = || reactor.next_own_deadline().is_some_and(|due| due <= clock);
            if network.is_stalled(node) || !(network.is_ready(node) || due()) {
                return false;
            }
            let max_turns = self.0.max_turns.get();
            let turns = host.count_turn(network.now);
            match std::mem::replace(&mut host.machine, Machine::InUse) {
                Machine::Up(reactor) if turns > max_turns => {
                    let (name, events) = (network.name(node), reactor.last_events());
                    host.machine = Machine::Up(reactor);
                    Err(format!(
                        "livelock: host {name} has taken {max_turns} turns at the same moment, and \
                         has still something to do; its last events:\n{events}"
                    ))
                }
                Machine::Up(reactor) => {
                    Ok((reactor, Rc::clone(&host.control), Rc::clone(&host.observer)))
                }
                _ => return false,
            }
        };
        // Only now, with nothing borrowed: this drops reactors, which close their sockets.
        let (mut reactor, control, observer) =
            begun.unwrap_or_else(|livelock| panic!("{livelock}"));
        control.in_turn.set(true);
        let turned = reactor.turn(Some(Duration::ZERO));
        control.in_turn.set(false);
        let turned = turned.expect("a simulated poller does not fail");
        if reactor.has_calls() {
            // Some came meanwhile, or there were too many for one turn.
            control.waker.wake();
        }
        self.0.hosts.borrow_mut()[number].machine = match turned {
            ControlFlow::Break(report) => Machine::Stopped(reactor, report),
            ControlFlow::Continue(()) => Machine::Up(reactor),
        };
        let faults = observer.take_faults();
        assert!(faults.is_empty(), "callbacks out of order: {}", faults.join("; "));
        true
    }

    /// Updates the progress of the host's connection attempts, and drops those that are over.
    fn update_attempts(&self, number: usize) {
        let host = &mut self.0.hosts.borrow_mut()[number];
        if host.attempts.is_empty() {
            return;
        }
        let network = self.0.network.borrow();
        host.attempts.retain(|attempt| {
            let failure = host.observer.failure(attempt.connection);
            let seen = host.observer.watched_now(attempt.connection);
            let progress = match (failure, attempt.end) {
                (Some(error), _) => Progress::Failed(error),
                (None, Some(end)) if network.is_released(end) => Progress::Over,
                (None, Some(end)) if network.outcome(end) == Some(Ok(())) => Progress::Connected,
                (None, Some(_)) => attempt.progress.get(),
                // By name: which connection of the network it has become, only its reactor knows.
                (None, None) => match seen.map(|seen| seen.lost) {
                    None => attempt.progress.get(),
                    Some(None) => Progress::Connected,
                    Some(Some(_)) => Progress::Over,
                },
            };
            attempt.progress.set(progress);
            matches!(progress, Progress::Waiting | Progress::Connected)
        });
    }
}

/// A host of a [`Simulation`], with what its boot returned. A handle: its clones are the same host.
pub struct Host<T = ()> {
    simulation: Simulation,
    number: usize,
    node: usize,
    /// What the last boot returned.
    state: Rc<RefCell<Option<Rc<T>>>>,
}

impl<T> Host<T> {
    fn inner<R>(&self, look: impl FnOnce(&mut HostState) -> R) -> R {
        look(&mut self.simulation.0.hosts.borrow_mut()[self.number])
    }

    /// Returns what the last boot returned: after a restart it is another value. See
    /// [`Simulation::host`].
    pub fn state(&self) -> Rc<T> {
        let state = self.state.borrow();
        Rc::clone(state.as_ref().expect("a host whose first boot fails is not returned"))
    }

    /// Returns the simulation of this host.
    pub fn simulation(&self) -> &Simulation {
        &self.simulation
    }

    /// Returns the address of a port of this host.
    pub fn address(&self, port: u16) -> SocketAddr {
        self.simulation.0.network.borrow().address(self.node, port)
    }

    /// Returns the IP addresses of this host: the one of IPv6, which resolvers prefer, and the one
    /// of IPv4. A port that listens on any address listens on both.
    pub fn ips(&self) -> [IpAddr; 2] {
        self.simulation.0.network.borrow().nodes[self.node].ips()
    }

    /// Calls `call` with the reactor of this host, and then runs everything that is due.
    ///
    /// # Panics
    ///
    /// While the host has crashed, and from within one of its callbacks; and as
    /// [`settle`](Simulation::settle).
    #[track_caller]
    pub fn reactor<R>(&self, call: impl FnOnce(&mut Reactor) -> R) -> R {
        let result = self.with_reactor(call);
        self.simulation.settle();
        result
    }

    fn with_reactor<R>(&self, call: impl FnOnce(&mut Reactor) -> R) -> R {
        let mut machine = self.inner(|host| std::mem::replace(&mut host.machine, Machine::InUse));
        // The reactor must return to its host even after a panic, which may be what the test
        // expects.
        let result = catch_unwind(AssertUnwindSafe(|| match &mut machine {
            Machine::Up(reactor) | Machine::Stopped(reactor, _) => call(reactor),
            Machine::InUse => {
                panic!("the reactor of a host was requested by a callback that it runs")
            }
            Machine::Down => {
                panic!("the reactor of a host was requested while the host has crashed")
            }
        }));
        self.inner(|host| host.machine = machine);
        result.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Connects a client on this host's reactor to a server; once connected, the factory builds a
    /// protocol. The factory starts immediately, and stops when the connection is over.
    ///
    /// # Panics
    ///
    /// As [`reactor`](Self::reactor), if the factory does not start, or if no host has the address.
    #[track_caller]
    pub fn connect<F: Factory>(&self, to: SocketAddr, factory: F) -> Attempt {
        let has_address = self.simulation.0.network.borrow().node_at(to.ip()).is_some();
        assert!(has_address, "no host has the address {to}");
        self.attempt(|reactor| Ok(reactor.connect_tcp(to, factory)?.transport().clone()))
    }

    /// Connects a client on this host's reactor to an endpoint, such as a
    /// [`HostnameEndpoint`](crate::HostnameEndpoint); otherwise as [`connect`](Self::connect). An
    /// attempt by name [is connected](Attempt::is_connected) while its protocol is.
    ///
    /// ```
    /// use twistor::testing::Simulation;
    /// use twistor::{HostnameEndpoint, Protocol};
    ///
    /// struct Quiet;
    ///
    /// impl<F> Protocol<F> for Quiet {}
    ///
    /// let simulation = Simulation::new(1);
    /// simulation.host("db", |reactor| Ok(reactor.listen("tcp6:5432", || Quiet)?));
    /// let client = simulation.host("client", |_reactor| Ok(()));
    /// let attempt = client.connect_to(HostnameEndpoint::new("db", 5432).unwrap(), || Quiet);
    /// assert!(attempt.is_connected());
    /// ```
    ///
    /// # Panics
    ///
    /// As [`reactor`](Self::reactor), and if the factory does not start.
    #[track_caller]
    pub fn connect_to<F: Factory>(&self, to: impl Into<ClientEndpoint>, factory: F) -> Attempt {
        let to = to.into();
        self.attempt(|reactor| Ok(to.connect(reactor, factory)?.transport().clone()))
    }

    /// Connects a client on this host's reactor to a Unix socket of the same host; otherwise as
    /// [`connect`](Self::connect). Where nobody listens, the attempt fails.
    ///
    /// # Panics
    ///
    /// As [`reactor`](Self::reactor), and if the factory does not start.
    #[track_caller]
    pub fn connect_unix<F: Factory>(
        &self,
        to: impl Into<UnixClientEndpoint>,
        factory: F,
    ) -> Attempt {
        let to = to.into();
        self.attempt(|reactor| Ok(reactor.connect_unix(to, factory)?.transport().clone()))
    }

    /// Connects a test's client to a Unix socket of this host, as [`Simulation::peer`] does over
    /// TCP. Nothing is on the way between the two: what one side writes can be read at once. Where
    /// nobody listens the client is [refused](crate::testing::End::Refused); while the server's
    /// backlog is full, it tries again.
    ///
    /// ```
    /// use twistor::testing::Simulation;
    /// use twistor::{Context, Protocol};
    ///
    /// struct Quote;
    ///
    /// impl<F> Protocol<F> for Quote {
    ///     fn connection_made(&mut self, cx: &mut Context<'_, F>) {
    ///         cx.transport.write("Less is more\r\n");
    ///         cx.transport.lose_connection();
    ///     }
    /// }
    ///
    /// let simulation = Simulation::new(1);
    /// let host = simulation.host("server", |reactor| {
    ///     Ok(reactor.listen("unix:/run/quote.sock:mode=660", || Quote)?)
    /// });
    /// let peer = host.unix_peer("/run/quote.sock");
    /// assert_eq!(peer.take_received(), b"Less is more\r\n");
    /// ```
    ///
    /// # Panics
    ///
    /// As [`Simulation::settle`].
    #[track_caller]
    pub fn unix_peer(&self, to: impl Into<UnixClientEndpoint>) -> Peer {
        let peer = self.unix_late_reader(to);
        peer.resume_reading();
        peer
    }

    /// Connects a test's client to a Unix socket of this host that reads nothing until
    /// [`resume_reading`](Peer::resume_reading). Otherwise as [`unix_peer`](Self::unix_peer).
    #[track_caller]
    pub fn unix_late_reader(&self, to: impl Into<UnixClientEndpoint>) -> Peer {
        let (to, node) = (to.into(), self.node);
        let end = self.simulation.network(|network| network.connect_unix(node, to.address(), true));
        let peer = Peer::new(self.simulation.clone(), end);
        peer.stop_reading();
        self.simulation.settle();
        peer
    }

    /// Listens on a Unix socket of this host, for the test: the clients of the host's reactor
    /// connect to it.
    ///
    /// # Panics
    ///
    /// If a socket of that address is open.
    #[track_caller]
    pub fn unix_listen(&self, at: impl Into<UnixClientEndpoint>) -> Listener {
        let name = PortName::Unix(at.into().address().clone());
        Listener::open(&self.simulation, self.node, name)
    }

    pub(in crate::testing) fn node(&self) -> usize {
        self.node
    }

    /// Follows an attempt to connect that `begin` begins.
    #[track_caller]
    pub(in crate::testing) fn attempt(
        &self,
        begin: impl FnOnce(&mut Reactor) -> Result<Transport, ConnectError>,
    ) -> Attempt {
        let (control, observer) =
            self.inner(|host| (Rc::clone(&host.control), Rc::clone(&host.observer)));
        control.last_connected.set(None);
        let begun = self.with_reactor(begin);
        let connection = begun.expect("the client's factory starts").id();
        let end = control.last_connected.take();
        let progress = Rc::new(Cell::new(Progress::Waiting));
        let attempt = ConnectAttempt { end, connection, progress: Rc::clone(&progress) };
        self.inner(|host| host.attempts.push(attempt));
        let key = observer.watch(connection);
        let attempt = Attempt::new(progress, observer, key);
        self.simulation.settle();
        attempt
    }

    /// Returns how often each callback has run, summed over all protocols that the host ever had.
    pub fn calls(&self) -> CallbackCounts {
        self.inner(|host| host.observer.total())
    }

    /// Counts the connections that a test may still ask about.
    #[cfg(test)]
    pub(in crate::testing) fn remembered(&self) -> usize {
        self.inner(|host| host.observer.remembered())
    }

    /// Returns the number of open connections on this host: `connection_made` was called, and
    /// `connection_lost` was not.
    pub fn open(&self) -> usize {
        self.inner(|host| host.observer.open())
    }

    /// Returns the resources that this host's reactor holds; zeros while the host has crashed.
    pub fn open_resources(&self) -> OpenResources {
        self.inner(|host| match &host.machine {
            Machine::Up(reactor) | Machine::Stopped(reactor, _) => reactor.open_resources(),
            _ => OpenResources { ports: 0, factories: 0, connections: 0, timers: 0 },
        })
    }

    /// Returns false while the host has crashed.
    pub fn is_up(&self) -> bool {
        self.inner(|host| !matches!(host.machine, Machine::Down))
    }

    /// Returns true when this host's reactor has stopped.
    pub fn has_stopped(&self) -> bool {
        self.inner(|host| matches!(host.machine, Machine::Stopped(..)))
    }

    /// Returns the report of the reactor's shutdown, once it has stopped.
    pub fn report(&self) -> Option<ShutdownReport> {
        self.inner(|host| match host.machine {
            Machine::Stopped(_, report) => Some(report),
            _ => None,
        })
    }

    /// Returns what this host has told its service manager, with the times since the beginning of
    /// the simulation; empty unless the program calls
    /// [`notify_service_manager`](Reactor::notify_service_manager). The manager of each host
    /// expects `WATCHDOG=1` within 30 seconds, but kills no one.
    ///
    /// ```
    /// use std::time::Duration;
    /// use twistor::testing::Simulation;
    ///
    /// let simulation = Simulation::new(1);
    /// let host = simulation.host("server", |reactor| Ok(reactor.notify_service_manager()));
    /// simulation.run_for(Duration::from_secs(20));
    /// let expected = [(0, "READY=1"), (15, "WATCHDOG=1")];
    /// let expected = expected.map(|(at, it)| (Duration::from_secs(at), it.to_owned()));
    /// assert_eq!(host.service_notifications(), expected);
    /// ```
    pub fn service_notifications(&self) -> Vec<(Duration, String)> {
        self.inner(|host| host.control.notifications.borrow().clone())
    }

    /// Delivers a signal to this host's reactor. One for which [`on_signal`](Reactor::on_signal)
    /// was called gets there; of others `SIGTERM` drains the reactor, `SIGINT` stops it, and the
    /// rest do nothing. (In reality most end the process; [`Fault::Crash`](crate::testing::Fault)
    /// is the end of a host.)
    #[track_caller]
    pub fn signal(&self, name: &'static str) {
        self.simulation.0.network.borrow_mut().signal(self.node, name);
        self.simulation.settle();
    }
}

impl Simulation {
    /// Returns the observers of the reactors on the machine of a node: several if it has shards.
    pub(in crate::testing) fn observers_at(&self, node: usize) -> Vec<Rc<Observer>> {
        let (network, hosts) = (self.0.network.borrow(), self.0.hosts.borrow());
        let machine = network.machine(node);
        let on_machine = hosts.iter().filter(|host| network.machine(host.node) == machine);
        on_machine.map(|host| Rc::clone(&host.observer)).collect()
    }

    pub(in crate::testing) fn network<R>(&self, call: impl FnOnce(&mut Network) -> R) -> R {
        call(&mut self.0.network.borrow_mut())
    }
}

impl<T> Clone for Host<T> {
    fn clone(&self) -> Self {
        let (simulation, state) = (self.simulation.clone(), Rc::clone(&self.state));
        Self { simulation, state, ..*self }
    }
}

impl<T> fmt::Debug for Host<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("address", &self.address(0).ip()).finish_non_exhaustive()
    }
}
