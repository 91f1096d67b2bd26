//! A host: a reactor on the network, which may crash and be set up again.

use super::Simulation;
use crate::protocol::Factory;
use crate::reactor::{OpenResources, Reactor, Settings, ShutdownReport};
use crate::testing::driver::{Gate, HostDriver};
use crate::testing::network::{EndId, Network};
use crate::testing::observer::{CallbackCounts, Observer, Seen};
use crate::transport::ConnectionId;
use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Duration;

type Boot = Box<dyn FnMut(&mut Reactor) -> Result<(), Box<dyn Error>>>;

pub(super) struct HostState {
    node: usize,
    settings: Settings,
    /// Away while it is running.
    boot: Option<Boot>,
    machine: Machine,
    observer: Rc<Observer>,
    gate: Rc<Gate>,
    trials: Vec<Trial>,
}

enum Machine {
    Up(Reactor),
    /// Its reactor is lent to whoever runs it at the moment.
    Lent,
    /// The reactor has stopped, and stays as it is.
    Stopped(Reactor, ShutdownReport),
    /// Without power.
    Down,
}

/// A client of a host's reactor that is not over.
struct Trial {
    end: EndId,
    connection: ConnectionId,
    progress: Rc<Cell<Progress>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Waiting,
    Connected,
    Failed(ErrorKind),
    Over,
}

impl HostState {
    pub(super) fn new(node: usize, settings: Settings, boot: Boot) -> Self {
        Self {
            node,
            settings,
            boot: Some(boot),
            machine: Machine::Down,
            observer: Rc::default(),
            gate: Rc::default(),
            trials: Vec::new(),
        }
    }

    pub(super) fn node(&self) -> usize {
        self.node
    }

    /// When its reactor has something to do, by the network's time.
    pub(super) fn next(&mut self, network: &Network) -> Option<u64> {
        let Machine::Up(reactor) = &mut self.machine else { return None };
        let at = network.when(self.node, reactor.next_deadline()?);
        Some(network.after_stall(self.node, at))
    }
}

impl Simulation {
    /// Sets a host up.
    pub(super) fn boot(&self, number: usize) {
        let (mut boot, mut reactor) = {
            let host = &mut self.0.hosts.borrow_mut()[number];
            let Some(boot) = host.boot.take() else { return };
            let (network, gate) = (Rc::clone(&self.0.network), Rc::clone(&host.gate));
            let world = HostDriver { network, node: host.node, gate };
            let mut reactor = Reactor::with_driver(Box::new(world), host.settings.clone());
            reactor.watch(Rc::clone(&host.observer) as Rc<_>);
            (boot, reactor)
        };
        let booted = boot(&mut reactor);
        // So that the triggers of start-up are called even if nothing else happens.
        reactor.call_later(Duration::ZERO, |_| {});
        let host = &mut self.0.hosts.borrow_mut()[number];
        host.boot = Some(boot);
        host.machine = Machine::Up(reactor);
        if let Err(error) = booted {
            panic!("a host could not be set up: {error}");
        }
    }

    /// The power fails.
    pub(super) fn crash(&self, number: usize) {
        let crashed = {
            let host = &mut self.0.hosts.borrow_mut()[number];
            host.trials.drain(..).for_each(|trial| trial.progress.set(Progress::Over));
            host.observer.crash();
            std::mem::replace(&mut host.machine, Machine::Down)
        };
        if let Machine::Up(reactor) | Machine::Stopped(reactor, _) = crashed {
            reactor.crash();
        }
    }

    /// One turn of a host's reactor, if there is something for it to do.
    pub(super) fn turn(&self, number: usize) -> bool {
        self.mind_trials(number);
        let (mut reactor, gate, observer) = {
            let host = &mut self.0.hosts.borrow_mut()[number];
            let network = self.0.network.borrow();
            let node = host.node;
            let Machine::Up(reactor) = &mut host.machine else { return false };
            let clock = network.clock(node);
            let mut due = || reactor.next_deadline().is_some_and(|due| due <= clock);
            if network.is_stalled(node) || !(network.is_ready(node) || due()) {
                return false;
            }
            let Machine::Up(reactor) = std::mem::replace(&mut host.machine, Machine::Lent) else {
                return false;
            };
            (reactor, Rc::clone(&host.gate), Rc::clone(&host.observer))
        };
        gate.open.set(true);
        let turned = reactor.turn(Some(Duration::ZERO));
        gate.open.set(false);
        let turned = turned.expect("a simulated poller does not fail");
        self.0.hosts.borrow_mut()[number].machine = match turned {
            ControlFlow::Break(report) => Machine::Stopped(reactor, report),
            ControlFlow::Continue(()) => Machine::Up(reactor),
        };
        let faults = observer.take_faults();
        assert!(faults.is_empty(), "callbacks out of order: {}", faults.join("; "));
        true
    }

    /// What has become of its clients.
    fn mind_trials(&self, number: usize) {
        let host = &mut self.0.hosts.borrow_mut()[number];
        let network = self.0.network.borrow();
        host.trials.retain(|trial| {
            let failure = host.observer.failure(trial.connection);
            let progress = match (failure, network.outcome(trial.end)) {
                (Some(error), _) => Progress::Failed(error),
                _ if network.is_released(trial.end) => Progress::Over,
                (None, Some(Ok(()))) => Progress::Connected,
                _ => trial.progress.get(),
            };
            trial.progress.set(progress);
            matches!(progress, Progress::Waiting | Progress::Connected)
        });
    }
}

/// A host of a [`Simulation`]. A handle: its clones are the same host.
#[derive(Clone)]
pub struct Host {
    simulation: Simulation,
    number: usize,
    node: usize,
}

impl Host {
    pub(super) fn new(simulation: Simulation, number: usize, node: usize) -> Self {
        Self { simulation, number, node }
    }

    fn state<R>(&self, look: impl FnOnce(&mut HostState) -> R) -> R {
        look(&mut self.simulation.0.hosts.borrow_mut()[self.number])
    }

    /// The address of one of its ports.
    pub fn address(&self, port: u16) -> SocketAddr {
        self.simulation.0.network.borrow().address(self.node, port)
    }

    /// Calls `call` with its reactor, and then lets everything happen that is due.
    ///
    /// # Panics
    ///
    /// While the host has crashed, and from within one of its callbacks.
    pub fn reactor<R>(&self, call: impl FnOnce(&mut Reactor) -> R) -> R {
        let result = self.lend(call);
        self.simulation.settle();
        result
    }

    fn lend<R>(&self, call: impl FnOnce(&mut Reactor) -> R) -> R {
        let mut machine = self.state(|host| std::mem::replace(&mut host.machine, Machine::Lent));
        // Given back even after a panic, which is the test's own affair.
        let result = catch_unwind(AssertUnwindSafe(|| match &mut machine {
            Machine::Up(reactor) | Machine::Stopped(reactor, _) => call(reactor),
            Machine::Lent => panic!("a reactor was asked for by a callback that it runs"),
            Machine::Down => panic!("a reactor was asked for whose host has crashed"),
        }));
        self.state(|host| host.machine = machine);
        result.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// A client on this host's reactor: connects to a server and, when that has accepted, builds a
    /// protocol. The factory is started now, and stopped when the connection is over.
    ///
    /// # Panics
    ///
    /// As [`reactor`](Self::reactor), if the factory does not start, or if no host has the address.
    pub fn connect<F: Factory>(&self, to: SocketAddr, factory: F) -> Attempt {
        let gate = self.state(|host| Rc::clone(&host.gate));
        let begun = self.lend(|reactor| reactor.connect_tcp(to, factory));
        let connection = begun.expect("the client's factory starts").transport().id();
        let end = gate.connected.take().expect("some host has the address");
        let progress = Rc::new(Cell::new(Progress::Waiting));
        let trial = Trial { end, connection, progress: Rc::clone(&progress) };
        self.state(|host| host.trials.push(trial));
        self.simulation.settle();
        Attempt { progress }
    }

    /// How often each callback has run, of all protocols that it ever had.
    pub fn calls(&self) -> CallbackCounts {
        self.state(|host| host.observer.total())
    }

    /// Connections whose protocols were told `connection_made` and not yet `connection_lost`.
    pub fn open(&self) -> usize {
        self.state(|host| host.observer.open())
    }

    /// What its reactor holds; nothing while it has crashed.
    pub fn open_resources(&self) -> OpenResources {
        self.state(|host| match &host.machine {
            Machine::Up(reactor) | Machine::Stopped(reactor, _) => reactor.open_resources(),
            _ => OpenResources { ports: 0, factories: 0, connections: 0, timers: 0 },
        })
    }

    /// False while it has crashed.
    pub fn is_up(&self) -> bool {
        self.state(|host| !matches!(host.machine, Machine::Down))
    }

    /// True when its reactor has carried out a stop.
    pub fn has_stopped(&self) -> bool {
        self.state(|host| matches!(host.machine, Machine::Stopped(..)))
    }

    /// What became of its connections, when its reactor has stopped.
    pub fn report(&self) -> Option<ShutdownReport> {
        self.state(|host| match host.machine {
            Machine::Stopped(_, report) => Some(report),
            _ => None,
        })
    }

    /// A signal such as `SIGTERM` arrives at its reactor.
    pub fn signal(&self, name: &'static str) {
        self.simulation.0.network.borrow_mut().signal(self.node, name);
        self.simulation.settle();
    }
}

impl Simulation {
    /// What the host at `server` knows of the connection of `client`.
    pub(in crate::testing) fn seen(&self, server: SocketAddr, client: SocketAddr) -> Option<Seen> {
        let node = self.0.network.borrow().node_at(server.ip())?;
        let hosts = self.0.hosts.borrow();
        hosts.iter().find(|host| host.node == node)?.observer.seen(client)
    }

    pub(in crate::testing) fn network<R>(&self, call: impl FnOnce(&mut Network) -> R) -> R {
        call(&mut self.0.network.borrow_mut())
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("address", &self.address(0).ip()).finish_non_exhaustive()
    }
}

/// A client that a host's reactor connects, or has connected; see [`Host::connect`].
#[derive(Debug)]
pub struct Attempt {
    progress: Rc<Cell<Progress>>,
}

impl Attempt {
    /// True from the moment in which it is connected until its connection is over.
    pub fn is_connected(&self) -> bool {
        self.progress.get() == Progress::Connected
    }

    /// Why it could not connect.
    pub fn error(&self) -> Option<ErrorKind> {
        match self.progress.get() {
            Progress::Failed(error) => Some(error),
            _ => None,
        }
    }

    /// True when it could not connect, and when its connection is over.
    pub fn is_over(&self) -> bool {
        matches!(self.progress.get(), Progress::Failed(_) | Progress::Over)
    }
}
