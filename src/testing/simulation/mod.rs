//! Simulation: several reactors on one network, in virtual time.

mod attempt;
mod explore;
mod host;
mod host_state;
mod replay;
mod shards;
mod single_faults;

pub use attempt::Attempt;
pub use explore::{Report, explore};
pub use host::Host;
pub use replay::replay;
pub use single_faults::{SingleFaultReport, replay_single_fault, single_faults};

#[cfg(test)]
pub(super) use explore::explore_seeds;
#[cfg(test)]
pub(super) use single_faults::try_single_faults;

use super::conditions::Conditions;
use super::driver::SharedNetwork;
use super::fault::{Fault, FaultPlan};
use super::network::{HostEvent, Network, nanos};
use super::panics::Panics;
use super::random::Random;
use super::single_fault::{FaultedCall, Injector, SingleFault};
use host_state::{HostState, Machine};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Rounds of everything that is due without time moving, after which a program counts as one that
/// never waits.
const ROUNDS_MAX: usize = 1_000_000;

/// Turns of a host without time moving, by default. A test with ten thousand clients that connect
/// at the same moment takes ten thousand.
const TURNS_MAX: u64 = 100_000;

/// A simulation: hosts with reactors, clients, a network between them, one clock, and one seed that
/// decides everything left to chance.
///
/// The reactors, transports, protocols and factories are those of production; only the driver
/// behind them differs. A handle: its clones are the same simulation.
///
/// ```
/// use std::time::Duration;
/// use twistor::testing::{Conditions, Simulation};
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
/// let simulation = Simulation::new(7);
/// simulation.set_conditions(Conditions::rough());
/// let server = simulation.host("server", |reactor| {
///     reactor.listen_tcp(8007, || Echo)?;
///     Ok(())
/// });
/// let ann = simulation.peer("ann", server.address(8007));
/// ann.send("hello");
/// assert!(simulation.run_until(Duration::from_secs(10), || ann.received() == b"hello"));
/// ```
///
/// # Panics in callbacks
///
/// A reactor contains the panics of its program: the connection is lost with
/// [`Reason::Panicked`](crate::Reason::Panicked), and everything else continues. So that an
/// assertion in a protocol fails the test, the simulation then panics itself: with the callback,
/// the protocol's type, the peer and the message. It does so at the end of the call that let it
/// happen ([`settle`](Self::settle), [`Peer::send`](super::Peer::send), ..), and when the
/// simulation is dropped, for what happens only then: its reactors stop, and protocols receive
/// `connection_lost`. Factories, timers, triggers and calls from other threads count as well, and
/// values whose drop panics. A test that expects panics calls [`allow_panics`](Self::allow_panics).
///
/// # What is virtual
///
/// Time moves only from one event to the next, and a turn takes none of it. A program that asks the
/// reactor for the time ([`Reactor::now`](crate::Reactor::now)) and waits with timers runs as fast
/// as the machine can. The reactor's random numbers ([`Reactor::random`](crate::Reactor::random))
/// follow from the seed. What it learns from elsewhere, such as `SystemTime`, the order of a
/// `HashMap` or another thread, is not virtual, and makes one run differ from the next.
#[derive(Clone)]
pub struct Simulation(pub(super) Rc<Core>);

pub(super) struct Core {
    seed: u64,
    pub(super) network: SharedNetwork,
    hosts: RefCell<Vec<HostState>>,
    random: RefCell<Random>,
    /// Plans followed so far, with their starting times, for the report.
    plans: RefCell<Vec<(Duration, FaultPlan)>>,
    /// True if the simulation was given its faults; later plans are then ignored.
    given: bool,
    running: Cell<bool>,
    /// Turns that a host may take without time moving.
    max_turns: Cell<u64>,
    pub(super) panics: Rc<Panics>,
    /// Counts the calls on the system, and makes one of them fail, if this is a run of
    /// [`single_faults`].
    injector: Option<Rc<Injector>>,
}

impl Simulation {
    /// Creates a simulation without hosts.
    pub fn new(seed: u64) -> Self {
        Self::begin(seed, None, None)
    }

    /// Creates a simulation in which only these faults happen.
    fn with_faults(seed: u64, plan: &FaultPlan) -> Self {
        Self::begin(seed, Some(plan), None)
    }

    /// Creates a simulation that counts the calls of its reactors on the system, and in which one
    /// of them fails.
    fn with_single_fault(seed: u64, fault: Option<SingleFault>) -> Self {
        Self::begin(seed, None, Some(Injector::new(fault)))
    }

    fn begin(seed: u64, plan: Option<&FaultPlan>, injector: Option<Injector>) -> Self {
        #[cfg(feature = "tls")]
        super::tls::seed(seed);
        let mut random = Random::new(seed);
        // Only differences between readings ever matter.
        let beginning = Instant::now();
        let mut network = Network::new(random.next(), beginning);
        for (after, fault) in plan.map_or(&[][..], FaultPlan::faults) {
            network.plan(*after, fault.clone());
        }
        let network = Rc::new(RefCell::new(network));
        Self(Rc::new(Core {
            seed,
            network,
            hosts: RefCell::default(),
            random: RefCell::new(random),
            plans: RefCell::default(),
            given: plan.is_some(),
            running: Cell::new(false),
            max_turns: Cell::new(TURNS_MAX),
            panics: Rc::default(),
            injector: injector.map(Rc::new),
        }))
    }

    /// Returns the seed.
    pub fn seed(&self) -> u64 {
        self.0.seed
    }

    /// Returns a generator for the decisions of a scenario, derived from the seed. Each call
    /// returns another one.
    pub fn random(&self) -> Random {
        self.0.random.borrow_mut().split()
    }

    /// Sets the conditions of all paths without conditions of their own. [`Conditions::ideal`] by
    /// default.
    pub fn set_conditions(&self, conditions: Conditions) {
        self.0.network.borrow_mut().set_conditions(conditions);
    }

    /// Sets the conditions of the path between two hosts. Conditions of hosts rather than paths
    /// (`wakeup_delay`, `events_per_wait`, `spurious`, `reorder`, `yields`) always come from
    /// [`set_conditions`](Self::set_conditions).
    ///
    /// # Panics
    ///
    /// If no host has the name.
    pub fn set_conditions_between(&self, a: &str, b: &str, conditions: Conditions) {
        let (a, b) = (self.node(a), self.node(b));
        self.0.network.borrow_mut().set_conditions_between(a, b, conditions);
    }

    /// Gives a host name these IP addresses, the most preferred first: what the reactors of all
    /// hosts resolve it to. Given again, the name has the new addresses.
    ///
    /// Each host has a name already, its own, with the addresses that [`Host::ips`] returns. An
    /// answer takes as long as a packet there and one back; [`Fault::SlowNames`],
    /// [`Fault::FailNames`] and [`Fault::MuteNames`] delay it, or keep it away. A reactor with a
    /// [`Resolver`](crate::Resolver) of its own asks that one instead.
    pub fn name(&self, name: &str, ips: impl IntoIterator<Item = IpAddr>) {
        self.0.network.borrow_mut().set_name(name, ips.into_iter().collect());
    }

    fn node(&self, name: &str) -> usize {
        let node = self.0.network.borrow().find_node(name);
        node.unwrap_or_else(|| panic!("no host has the name {name:?}"))
    }

    /// Allows panics in callbacks, factories and closures from now on: they do not fail the test,
    /// and [`take_panics`](Self::take_panics) returns their messages. (trial's `flushLoggedErrors`
    /// stands for both)
    ///
    /// ```
    /// use twistor::testing::Server;
    /// use twistor::{Context, Protocol};
    ///
    /// struct Digits;
    ///
    /// impl<F> Protocol<F> for Digits {
    ///     fn data_received(&mut self, _: &mut Context<'_, F>, data: &[u8]) {
    ///         assert!(data.is_ascii(), "not ASCII");
    ///     }
    /// }
    ///
    /// let server = Server::new(|| Digits);
    /// server.simulation().allow_panics();
    /// let peer = server.connect();
    /// peer.send(b"\xff");
    /// let panics = server.simulation().take_panics();
    /// assert!(panics[0].starts_with("Digits of ") && panics[0].ends_with(": not ASCII"));
    /// ```
    pub fn allow_panics(&self) {
        self.0.panics.allow();
    }

    /// Returns and removes the messages of the panics since the last call, in their order. Each
    /// names the callback, the protocol's type and the peer, as far as there are any, and the host.
    /// Empty unless [`allow_panics`](Self::allow_panics) has been called, since a panic then fails
    /// the test.
    pub fn take_panics(&self) -> Vec<String> {
        self.0.panics.take()
    }

    /// Sets the most turns that a host may take without time moving, 100 000 by default: one that
    /// takes more is in a livelock, and fails the test, with its last events. A test whose hosts
    /// never have that much to do at the same moment finds it sooner with a lower number.
    pub fn set_max_turns(&self, max_turns: u64) {
        self.0.max_turns.set(max_turns);
    }

    /// Injects a fault now.
    ///
    /// # Panics
    ///
    /// If it names a host that does not exist, and as [`settle`](Self::settle).
    #[track_caller]
    pub fn inject(&self, fault: Fault) {
        self.follow(&FaultPlan::new().at(Duration::ZERO, fault));
        self.settle();
    }

    /// Follows a plan of faults; its times count from now.
    ///
    /// # Panics
    ///
    /// If it names a host that does not exist.
    pub fn follow(&self, plan: &FaultPlan) {
        let mut network = self.0.network.borrow_mut();
        for (after, fault) in plan.faults() {
            network.check(fault);
            if !self.0.given {
                network.plan(*after, fault.clone());
            }
        }
        drop(network);
        self.0.plans.borrow_mut().push((self.now(), plan.clone()));
    }

    /// Returns the single fault of this run of [`single_faults`]: whether it
    /// [is transient](super::CallFailure::is_transient) tells a scenario what it can expect. `None`
    /// in the first run, which counts the calls, and in all other simulations.
    pub fn single_fault(&self) -> Option<SingleFault> {
        self.0.injector.as_ref()?.fault()
    }

    /// Returns the call that has failed in this run of [`single_faults`], once it has.
    pub fn faulted_call(&self) -> Option<FaultedCall> {
        self.0.injector.as_ref()?.faulted_call()
    }

    /// Returns the virtual time since the beginning.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.0.network.borrow().now)
    }

    /// Returns the number of events so far: packets, calls of sockets, turns, faults.
    pub fn events(&self) -> u64 {
        self.0.network.borrow().trace.events
    }

    /// Returns a hash of everything that happened: equal runs have equal hashes, on every machine.
    /// Of written bytes it covers the lengths, and the first and the last 64 bytes of each piece.
    pub fn trace_hash(&self) -> u64 {
        self.0.network.borrow().trace.hash
    }

    /// Counts the connections that the network knows, including those that only one side still
    /// knows.
    pub fn connections(&self) -> usize {
        self.0.network.borrow().link_count()
    }

    /// Runs everything that is due now. Time does not move.
    ///
    /// # Panics
    ///
    /// If a callback, a factory or a closure of a reactor panics (unless
    /// [`allow_panics`](Self::allow_panics)), if a reactor violates the order of callbacks, if a
    /// callback of the simulation calls it, if a restarting host cannot be set up, or if a host
    /// takes more turns than [`set_max_turns`](Self::set_max_turns) allows.
    #[track_caller]
    pub fn settle(&self) {
        assert!(
            !self.0.running.replace(true),
            "a simulation was asked to run by a callback that it runs"
        );
        let _running = Running(&self.0.running);
        for _ in 0..ROUNDS_MAX {
            self.0.panics.check();
            let mut any = self.0.network.borrow_mut().run_due_events();
            any |= self.run_host_events();
            let hosts = self.0.hosts.borrow().len();
            for number in 0..hosts {
                any |= self.turn(number);
            }
            if !any {
                return;
            }
        }
        panic!("after {ROUNDS_MAX} rounds there is still something to do at the same moment");
    }

    fn run_host_events(&self) -> bool {
        let host_events = self.0.network.borrow_mut().take_host_events();
        for &event in &host_events {
            let (HostEvent::Crash(node) | HostEvent::Restart(node)) = event;
            let number = self.0.hosts.borrow().iter().position(|host| host.node() == node);
            match (number, event) {
                (Some(number), HostEvent::Crash(_)) => self.crash(number),
                (Some(number), HostEvent::Restart(_)) => self.boot(number),
                (None, _) => {}
            }
        }
        !host_events.is_empty()
    }

    /// Advances the virtual time by `by`, and runs everything that becomes due.
    ///
    /// # Panics
    ///
    /// As [`settle`](Self::settle).
    #[track_caller]
    pub fn run_for(&self, by: Duration) {
        self.run_until(by, || false);
    }

    /// Advances the virtual time until `question` returns true, by `limit` at most; returns its
    /// last answer. `question` is called whenever something has happened.
    ///
    /// # Panics
    ///
    /// As [`settle`](Self::settle).
    #[track_caller]
    pub fn run_until(&self, limit: Duration, mut question: impl FnMut() -> bool) -> bool {
        let until = self.0.network.borrow().now.saturating_add(nanos(limit));
        loop {
            self.settle();
            if question() {
                return true;
            }
            let next = self.next().filter(|at| *at <= until);
            self.0.network.borrow_mut().now = next.unwrap_or(until);
            if next.is_none() {
                self.settle();
                return question();
            }
        }
    }

    /// Returns when something happens next: on the network, or in a reactor.
    fn next(&self) -> Option<u64> {
        let mut hosts = self.0.hosts.borrow_mut();
        let network = self.0.network.borrow();
        let deadlines = hosts.iter_mut().filter_map(|host| host.next(&network));
        let next = network.next().into_iter().chain(deadlines).min();
        next.map(|at| at.max(network.now))
    }

    /// Ends the simulation: drops its reactors, as the drop of the simulation does.
    #[track_caller]
    pub(super) fn finish(&self) {
        self.0.finish();
    }

    pub(super) fn is_running(&self) -> bool {
        self.0.running.get()
    }

    /// Returns all planned faults, with their times from the beginning.
    fn faults(&self) -> FaultPlan {
        let mut all = FaultPlan::new();
        for (from, plan) in &*self.0.plans.borrow() {
            for (after, fault) in plan.faults() {
                all = all.at(from.saturating_add(*after), fault.clone());
            }
        }
        all.faults.sort_by_key(|(at, _)| *at);
        all
    }

    /// Describes a failed run: its planned faults, its last events and its connections.
    fn failure_report(&self) -> String {
        let mut report = String::new();
        for (from, plan) in &*self.0.plans.borrow() {
            let from = from.as_secs_f64();
            report += &format!("faults by plan, from {from} s on:\n{plan}");
        }
        let network = self.0.network.borrow();
        report += &format!("the last events:\n{}", network.trace);
        report + &format!("connections at the end:\n{}", network.describe_links())
    }
}

impl Core {
    /// Drops the reactors, and fails if what they called before or now has panicked.
    #[track_caller]
    fn finish(&self) {
        let running = self.running.replace(true);
        let hosts = self.hosts.borrow().len();
        for number in 0..hosts {
            // The protocols, which a reactor's drop calls, may look at the simulation.
            let machine = {
                let host = &mut self.hosts.borrow_mut()[number];
                std::mem::replace(&mut host.machine, Machine::Down)
            };
            drop(machine);
        }
        self.running.set(running);
        self.panics.check();
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Resets the flag of a running simulation, even after a panic.
struct Running<'a>(&'a Cell<bool>);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation")
            .field("seed", &self.0.seed)
            .field("now", &self.now())
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}
