//! Clients by name under random faults of names, paths and hosts, and under single faults.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use twistor::error::{AttemptErrors, ResolveError};
use twistor::testing::{
    Conditions, Fault, FaultPlan, Host, Random, Simulation, explore, single_faults,
};
use twistor::{Context, Factory, HostnameEndpoint, Protocol, Reactor, Reason, Transport};

const PORT: u16 = 7000;

/// Number of seeds that run by default.
const RUNS: u64 = 60;

/// Faults begin and end within this time.
const FAULTY: Duration = Duration::from_secs(60);

/// Connect timeout of a client, and the most that a server needs for its answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Delay after which a client tries again.
const RETRY: Duration = Duration::from_secs(1);

/// Answers each byte.
struct Echo;

impl<F> Protocol<F> for Echo {
    fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
        cx.transport.write(data);
    }
}

/// What has become of the attempts of a client.
#[derive(Default)]
struct Outcomes {
    attempts: usize,
    made: usize,
    failed: usize,
    lost: usize,
    answers: usize,
    /// Addresses that have answered.
    peers: Vec<SocketAddr>,
    /// When the last attempt began.
    began: Duration,
    leaves: bool,
}

/// A client that connects, asks once, closes, and does so again.
#[derive(Clone)]
struct Client {
    simulation: Simulation,
    endpoint: HostnameEndpoint,
    outcomes: Rc<RefCell<Outcomes>>,
}

impl Client {
    fn new(simulation: &Simulation, endpoint: HostnameEndpoint) -> Self {
        Self { simulation: simulation.clone(), endpoint, outcomes: Rc::default() }
    }

    fn dial(self, reactor: &mut Reactor) {
        let outcomes = Rc::clone(&self.outcomes);
        if outcomes.borrow().leaves {
            return;
        }
        (outcomes.borrow_mut().attempts, outcomes.borrow_mut().began) =
            (outcomes.borrow().attempts + 1, self.simulation.now());
        let connector = self.endpoint.clone().connect(reactor, self).unwrap();
        // Before any address is known.
        connector.transport().write("?");
    }

    fn dial_later(&self, reactor: &mut Reactor) {
        let client = self.clone();
        reactor.call_later(RETRY, move |reactor| client.dial(reactor));
    }
}

impl Factory for Client {
    twistor::build_protocol!(Session, |_| Session);

    fn connection_failed(&mut self, to: &Transport, error: &io::Error, reactor: &mut Reactor) {
        assert!(to.peer_address().host().is_some() && !to.is_connected());
        let outcomes = &mut *self.outcomes.borrow_mut();
        outcomes.failed += 1;
        // A host whose clock jumps ends its attempts sooner.
        let lasted = self.simulation.now() - outcomes.began;
        assert!(lasted <= TIMEOUT + FAULTY / 10, "{error} after {lasted:?}");
        if error.kind() != io::ErrorKind::ConnectionAborted {
            let inner = error.get_ref().expect("an error that says more");
            assert!(inner.is::<AttemptErrors>() || inner.is::<ResolveError>(), "{error}");
        }
        self.dial_later(reactor);
    }
}

struct Session;

impl Protocol<Client> for Session {
    fn connection_made(&mut self, cx: &mut Context<'_, Client>) {
        let outcomes = &mut *cx.factory.outcomes.borrow_mut();
        outcomes.made += 1;
        outcomes.peers.extend(cx.transport.peer_address().socket_addr());
        cx.transport.set_timeout(TIMEOUT);
    }

    fn data_received(&mut self, cx: &mut Context<'_, Client>, data: &[u8]) {
        assert_eq!(data, b"?");
        cx.factory.outcomes.borrow_mut().answers += 1;
        cx.transport.lose_connection();
    }

    fn connection_lost(&mut self, cx: &mut Context<'_, Client>, _: &Reason) {
        cx.factory.outcomes.borrow_mut().lost += 1;
        cx.factory.dial_later(cx.reactor);
    }
}

const SERVERS: [&str; 3] = ["one", "two", "three"];

/// Adds three servers behind one name, and returns their addresses.
fn servers(simulation: &Simulation) -> Vec<IpAddr> {
    let hosts: Vec<Host> = SERVERS
        .iter()
        .map(|name| {
            simulation.host(name, |reactor| Ok(reactor.listen_tcp(PORT, || Echo).map(drop)?))
        })
        .collect();
    let ips: Vec<IpAddr> = hosts.iter().flat_map(Host::ips).collect();
    simulation.name("db", ips.iter().copied());
    ips
}

fn endpoint(simulation: &Simulation) -> HostnameEndpoint {
    let delay = simulation.random().up_to(Duration::from_secs(1));
    HostnameEndpoint::new("db", PORT).unwrap().timeout(TIMEOUT).attempt_delay(delay)
}

/// Returns a plan of faults of all kinds, also of names; all are over after [`FAULTY`], but one
/// server stays away.
fn faults(random: &mut Random) -> FaultPlan {
    let hosts = ["client", "one", "two", "three"];
    let mut plan = FaultPlan::random(random, &hosts, FAULTY, 12);
    for _ in 0..6 {
        let (at, lasting) = (random.up_to(FAULTY), random.up_to(FAULTY / 6));
        let (host, lasting) = ("client".to_owned(), lasting.min(FAULTY - at));
        plan = plan.at(
            at,
            match random.below(3) {
                0 => Fault::SlowNames { host, by: random.up_to(TIMEOUT * 2), lasting },
                1 => Fault::FailNames { host, lasting },
                _ => Fault::MuteNames { host, lasting },
            },
        );
    }
    let away = (*random.pick(&SERVERS)).to_owned();
    match random.below(2) {
        0 => plan.at(FAULTY, Fault::Crash { host: away }),
        _ => plan.at(FAULTY, Fault::Partition { a: "client".to_owned(), b: away }),
    }
}

fn every_attempt_has_one_outcome_and_the_servers_are_reached_again(simulation: &Simulation) {
    simulation.set_conditions(Conditions::rough());
    let mut random = simulation.random();
    let ips = servers(simulation);
    let client = Client::new(simulation, endpoint(simulation));
    let (outcomes, begins) = (Rc::clone(&client.outcomes), client.clone());
    let host = simulation.host("client", move |reactor| {
        begins.clone().dial(reactor);
        Ok(())
    });
    simulation.follow(&faults(&mut random));
    // An attempt that began at the end of the faults, the longest delay of an answer to a question
    // that was asked by then, and attempts at the server that stays away.
    simulation.run_for(FAULTY + TIMEOUT * 8);
    let before = outcomes.borrow().answers;
    simulation.run_for(TIMEOUT * 4);
    let answers = outcomes.borrow().answers - before;
    assert!(answers > 0, "no server is reached once the faults are over");
    outcomes.borrow_mut().leaves = true;
    simulation.run_for(Duration::from_secs(100));
    let outcomes = outcomes.borrow();
    let ended = outcomes.made + outcomes.failed;
    // A crash of the client takes an attempt without an outcome.
    assert!(ended <= outcomes.attempts && outcomes.lost <= outcomes.made);
    assert!(outcomes.peers.iter().all(|peer| ips.contains(&peer.ip())));
    let left = host.open_resources();
    assert_eq!((left.connections, left.factories, left.timers), (0, 0, 0), "{left:?}");
    assert_eq!(host.open(), 0);
}

#[test]
fn under_random_faults_every_attempt_ends_and_servers_are_reached_again() {
    let scenario = every_attempt_has_one_outcome_and_the_servers_are_reached_again;
    println!("{}", explore(RUNS, scenario));
}

/// A client that connects once; any single fault leaves it with one outcome and nothing else.
fn one_attempt_has_one_outcome(simulation: &Simulation) {
    servers(simulation);
    // The first server of each family is out of reach, so that all are tried.
    simulation.inject("crash one".parse().unwrap());
    let host = simulation.host("client", |_| Ok(()));
    let client = Client::new(simulation, endpoint(simulation));
    client.outcomes.borrow_mut().leaves = false;
    let outcomes = Rc::clone(&client.outcomes);
    host.reactor(|reactor| client.dial(reactor));
    outcomes.borrow_mut().leaves = true;
    simulation.run_for(TIMEOUT * 3);
    let outcomes = outcomes.borrow();
    let fault = simulation.single_fault().map(|fault| fault.failure);
    assert_eq!((outcomes.attempts, outcomes.made + outcomes.failed), (1, 1), "{fault:?}");
    assert_eq!(outcomes.lost, outcomes.made);
    let harmless = fault.is_none_or(|failure| failure.is_transient());
    assert!(outcomes.answers == 1 || !harmless, "{fault:?}");
    simulation.run_for(Duration::from_secs(200));
    let left = host.open_resources();
    assert_eq!((left.connections, left.factories, left.timers), (0, 0, 0), "{left:?}");
    assert_eq!(simulation.connections(), 0, "also on the network");
}

#[test]
fn any_single_fault_leaves_an_attempt_with_one_outcome() {
    println!("{}", single_faults(1, 150, one_attempt_has_one_outcome));
}
