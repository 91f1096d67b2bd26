//! Liveness: once the faults are over, every client is served, and nobody spins.
//!
//! A core of hosts is healed for good, and one host stays away for good: faults that all heal would
//! hide a server that waits for it.

use std::cell::Cell;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use twistor::limits::{ConnectionLimits, RateLimits, Timeouts};
use twistor::testing::{Conditions, Fault, FaultPlan, Host, Random, Simulation, explore};
use twistor::{Context, Factory, Protocol, Reactor, Reason, TimerId, Transport};

const PORT: u16 = 7000;

/// Number of seeds that run by default.
const RUNS: u64 = 30;

const CORE: [&str; 3] = ["ann", "bob", "cleo"];

/// The host that stays away.
const LOST: &str = "dora";

const CLIENTS_PER_HOST: usize = 2;

/// Faults begin and end within this time.
const FAULTY: Duration = Duration::from_secs(60);

/// Time after which every client has been served: an attempt to connect that began before the end
/// of the faults has timed out (30 s), both sides have noticed dead connections ([`IDLE`]), and the
/// client has tried again.
const HEALED: Duration = Duration::from_secs(100);

/// Idle timeout of the server, and the time that a client waits for an answer: they end connections
/// that are dead without a word.
const IDLE: Duration = Duration::from_secs(15);

/// Delay before a client connects again.
const RETRY: Duration = Duration::from_secs(1);

/// Interval of a client's requests.
const INTERVAL: Duration = Duration::from_secs(1);

/// Answers each byte.
struct Echo;

impl<F> Protocol<F> for Echo {
    fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
        cx.transport.write(data);
    }
}

/// A client that connects again until it is told to leave.
#[derive(Clone)]
struct Client {
    server: SocketAddr,
    /// Number of answers.
    served: Rc<Cell<u64>>,
    leaves: Rc<Cell<bool>>,
}

impl Client {
    fn new(server: SocketAddr) -> Self {
        Self { server, served: Rc::default(), leaves: Rc::default() }
    }

    fn dial(self, reactor: &mut Reactor) {
        let (server, later) = (self.server, self.clone());
        if !self.leaves.get() && reactor.connect_tcp(server, self).is_err() {
            later.dial_later(reactor);
        }
    }

    fn dial_later(&self, reactor: &mut Reactor) {
        let client = self.clone();
        reactor.call_later(RETRY, move |reactor| client.dial(reactor));
    }
}

impl Factory for Client {
    type Protocol = Session;

    fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Session> {
        Some(Session)
    }

    fn connection_failed(&mut self, _: &Transport, _: &io::Error, reactor: &mut Reactor) {
        self.dial_later(reactor);
    }
}

/// A connection of a client: a request now and then.
struct Session;

impl Protocol<Client> for Session {
    fn connection_made(&mut self, cx: &mut Context<'_, Client>) {
        cx.transport.set_timeout(IDLE);
        cx.transport.write("?");
        cx.set_timer(INTERVAL);
    }

    fn timer_fired(&mut self, cx: &mut Context<'_, Client>, _: TimerId) {
        if cx.factory.leaves.get() {
            return cx.transport.lose_connection();
        }
        cx.transport.write("?");
        cx.set_timer(INTERVAL);
    }

    fn data_received(&mut self, cx: &mut Context<'_, Client>, data: &[u8]) {
        cx.factory.served.set(cx.factory.served.get() + data.len() as u64);
        // Until the next answer. The idle timeout would not do: the system takes requests as long
        // as it has room, although the peer may be gone.
        cx.transport.set_timeout(IDLE);
    }

    fn connection_lost(&mut self, cx: &mut Context<'_, Client>, _: &Reason) {
        cx.factory.dial_later(cx.reactor);
    }
}

/// Adds a server whose limits the seed decides: enough for the core, and not for all dead
/// connections besides.
fn server(simulation: &Simulation, random: &mut Random) -> Host {
    let clients = (CORE.len() + 1) * CLIENTS_PER_HOST;
    let limits = match random.below(3) {
        0 => ConnectionLimits::new(),
        1 => ConnectionLimits::new().max_connections(clients),
        _ => ConnectionLimits::new().max_per_peer(CLIENTS_PER_HOST).accept_rate(5, INTERVAL),
    };
    let rates = match random.below(2) {
        0 => RateLimits::new(),
        _ => RateLimits::new().read(100).write(100),
    };
    simulation.host("server", move |reactor| {
        let port = reactor.listen_tcp(PORT, || Echo)?;
        reactor.set_limits(&port, limits.clone());
        reactor.set_timeouts(&port, Timeouts::new().idle(IDLE));
        reactor.set_shared_rate_limits(&port, rates);
        Ok(())
    })
}

fn clients(simulation: &Simulation, name: &str, server: SocketAddr) -> (Host, Vec<Client>) {
    let clients: Vec<Client> = (0..CLIENTS_PER_HOST).map(|_| Client::new(server)).collect();
    let booted = clients.clone();
    let host = simulation.host(name, move |reactor| {
        booted.iter().cloned().for_each(|client| client.dial(reactor));
        Ok(())
    });
    (host, clients)
}

/// What the host that stays away suffers in the end.
fn final_fault(random: &mut Random) -> Fault {
    let host = LOST.to_owned();
    match random.below(3) {
        0 => Fault::Crash { host },
        1 => Fault::Partition { a: host, b: "server".to_owned() },
        _ => Fault::Stall { host, lasting: Duration::from_secs(1_000_000) },
    }
}

fn turns(hosts: &[&Host]) -> u64 {
    hosts.iter().map(|host| host.reactor(|reactor| reactor.metrics().turns)).sum()
}

fn scenario(simulation: &Simulation) {
    let mut random = simulation.random();
    simulation.set_max_turns(1000);
    if random.below(2) == 0 {
        simulation.set_conditions(Conditions::rough());
    }
    let server = server(simulation, &mut random);
    let address = server.address(PORT);
    let (hosts, core): (Vec<Host>, Vec<Vec<Client>>) =
        CORE.iter().map(|name| clients(simulation, name, address)).unzip();
    let (_, lost) = clients(simulation, LOST, address);
    let core: Vec<Client> = core.into_iter().flatten().collect();
    let names = ["server", CORE[0], CORE[1], CORE[2], LOST, "server"];
    let count = 2 + random.below(12);
    let plan = FaultPlan::random(&mut random, &names, FAULTY, count);
    simulation.follow(&plan.at(FAULTY, final_fault(&mut random)));
    simulation.run_for(FAULTY + Duration::from_nanos(1));

    let progress = |within: Duration| {
        let before: Vec<u64> = core.iter().map(|client| client.served.get()).collect();
        simulation.run_for(within);
        for (number, (client, before)) in core.iter().zip(before).enumerate() {
            let name = CORE[number / CLIENTS_PER_HOST];
            let is_served = client.served.get() > before;
            assert!(is_served, "client {number}, of {name}, is not served for {within:?}");
        }
    };
    progress(HEALED);
    let running: Vec<&Host> = hosts.iter().chain([&server]).collect();
    // A request a second of each client, which takes a few turns at either side.
    let before = turns(&running);
    for _ in 0..6 {
        progress(10 * INTERVAL);
    }
    let per_second = (turns(&running) - before) / 60;
    assert!(per_second <= 20 * core.len() as u64, "{per_second} turns a second: they spin");
    for host in &running {
        let left = host.open_resources();
        // A timer and a timeout of each connection; besides, a client waits to connect.
        assert!(left.timers <= 3 * core.len() + 2 * lost.len(), "a timer storm: {left:?}");
    }
    rest(simulation, &core, &running);
}

/// Lets the clients leave, and checks that nothing is left, and nothing happens any more.
fn rest(simulation: &Simulation, core: &[Client], running: &[&Host]) {
    core.iter().for_each(|client| client.leaves.set(true));
    simulation.run_for(HEALED);
    for host in running {
        let left = host.open_resources();
        assert_eq!((left.connections, left.timers), (0, 0), "{left:?}");
    }
    let before = turns(running);
    simulation.run_for(Duration::from_secs(1000));
    let taken = turns(running) - before;
    assert_eq!(taken, 0, "hosts with nothing to do take turns");
}

#[test]
fn once_the_faults_are_over_every_client_is_served_and_nobody_spins() {
    let report = explore(RUNS, scenario);
    // Shown even though the test passes: how much was tried.
    let _ = writeln!(io::stderr(), "liveness: {report}");
}
