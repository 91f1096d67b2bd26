//! A crowd: many nodes with many users each, and a simulated NATS server that they are cut off from
//! and that fails.
//!
//! Each user is a client on a simulated host, which checks at each line that it hears: lines of one
//! speaker come in order and once, what is missing was told before, and nobody hears another room.

mod heard;
mod stays;
mod user;
mod users;

use super::chat::Chat;
use super::tests::{node, serve_with};
use stays::{Room, Stays};
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::io::{self, Write};
use std::time::Duration;
use twistor::ListeningPort;
use twistor::testing::{Conditions, Fault, FaultPlan, Host, Random, Simulation, explore};
use user::{Stage, User, UserContext};
use users::{Users, connections, with_user};

/// Environment variable: the number of nodes and of users of each, as in `20x1000`.
const SIZE: &str = "TWISTOR_CROWD";

/// A crowd that a debug build simulates in a few seconds.
const SMALL: Size = Size { nodes: 6, users: 10 };

/// The unsent bytes for a node with which the server closes its connection: the default of
/// nats-server, and a small one, with which a node that is cut off is soon closed.
const SERVER_UNSENT_MAX: [usize; 2] = [64 * 1024 * 1024, 1024 * 1024];

const STEP: Duration = Duration::from_millis(250);

/// Steps in which the users come. They are many at once, and less than a server takes.
const STEPS_OF_COMING: usize = 80;

/// All steps. Faults begin, and end, within them.
const STEPS: usize = 240;

/// Users of each host who speak: few, so that the others hear much of each.
const SPEAKERS: usize = 5;

/// How long it takes until all is well after the last fault: connections that are dead, and
/// attempts to connect that are given up.
const RECOVERY: Duration = Duration::from_secs(90);

/// How long it takes until users have come back whose connection was dead, and a line is heard by
/// all.
const SETTLEMENT: Duration = Duration::from_secs(15);

const FAULTS_MAX: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Size {
    nodes: usize,
    /// Of each node.
    users: usize,
}

impl Size {
    fn parse(text: &str) -> Option<Self> {
        let (nodes, users) = text.split_once('x')?;
        Some(Self { nodes: nodes.parse().ok()?, users: users.parse().ok()? })
    }

    fn of_environment() -> Self {
        let Ok(text) = env::var(SIZE) else { return SMALL };
        Self::parse(&text).unwrap_or_else(|| panic!("{SIZE}={text:?} is not as in 20x1000"))
    }
}

struct Crowd {
    simulation: Simulation,
    random: Random,
    nodes: Vec<Host<ListeningPort<Chat>>>,
    users: Vec<Host<ListeningPort<Users>>>,
    stays: Stays,
    size: Size,
}

fn node_name(number: usize) -> String {
    format!("n{}", number + 1)
}

fn users_name(number: usize) -> String {
    format!("users{}", number + 1)
}

/// Returns what fails between the nodes and the server: mostly partitions, each of which cuts some
/// nodes off at once.
fn faults(random: &mut Random, nodes: usize) -> FaultPlan {
    let (mut plan, within) = (FaultPlan::new(), STEP * STEPS as u32);
    for _ in 0..random.below(FAULTS_MAX + 1) {
        let name = |random: &mut Random| node_name(random.below(nodes));
        if random.below(2) == 0 {
            let node = name(random);
            let other = FaultPlan::random(random, &["nats", &node], within, 1);
            plan =
                other.faults().iter().fold(plan, |plan, (at, fault)| plan.at(*at, fault.clone()));
            continue;
        }
        let begins = random.up_to(within);
        let ends = begins + random.up_to(within - begins);
        let resets = random.below(2) == 0;
        for _ in 0..=random.below(nodes / 2) {
            let (a, b) = (name(random), "nats".to_owned());
            let (from, to) = (a.clone(), b.clone());
            plan = plan.at(begins, Fault::Partition { a: from, b: to });
            if resets {
                plan = plan.at(begins, Fault::Reset { a: a.clone(), b: b.clone() });
            }
            plan = plan.at(ends, Fault::Heal { a, b });
        }
    }
    plan
}

impl Crowd {
    fn new(simulation: &Simulation, size: Size) -> Self {
        let mut random = simulation.random();
        // Conditions of the hosts, and of the paths between users and nodes. The other tests vary
        // those paths.
        let near = Conditions::ideal().latency(Duration::from_millis(1));
        let near = near.wakeup_delay(Duration::from_millis(2)).events_per_wait(64);
        simulation.set_conditions(near.spurious(50).yields(200).reorder(true));
        serve_with(simulation, *random.pick(&SERVER_UNSENT_MAX));
        let nodes: Vec<_> = (0..size.nodes).map(|it| node(simulation, &node_name(it))).collect();
        let stays = Stays::default();
        let is_rough = random.below(3) > 0;
        let mut users = Vec::new();
        for number in 0..size.nodes {
            let mut addresses: Vec<_> = nodes.iter().map(|node| node.address(8123)).collect();
            addresses.swap(0, number);
            let (stays, random) = (stays.clone(), random.split());
            let popular = 1 + size.nodes * size.users / 100;
            users.push(simulation.host(&users_name(number), move |reactor| {
                let (addresses, stays) = (addresses.clone(), stays.clone());
                let users = Users::new(number, addresses, popular, stays, random.clone());
                // Nobody connects there: the port keeps the factory.
                Ok(reactor.listen_tcp(1, users)?)
            }));
            if is_rough {
                let rough = Conditions::rough();
                simulation.set_conditions_between("nats", &node_name(number), rough);
            }
        }
        if is_rough {
            simulation.set_conditions_between("n1", "users1", Conditions::rough());
        }
        Self { simulation: simulation.clone(), random, nodes, users, stays, size }
    }

    fn step(&mut self, number: usize) {
        let come = |steps: usize| self.size.users * steps.min(STEPS_OF_COMING) / STEPS_OF_COMING;
        let count = come(number + 1) - come(number);
        for host in self.users.iter().filter(|_| count > 0) {
            let port = host.state();
            host.reactor(|reactor| {
                reactor.with_factory(&*port, |users, reactor| users.come(count, reactor)).unwrap();
            });
        }
        match self.random.below(4) {
            0 => self.with_one(usize::MAX, User::choose_room),
            1 => self.with_one(usize::MAX, |_, cx| cx.transport.lose_connection()),
            2 => self.with_one(usize::MAX, |_, cx| cx.transport.abort_connection()),
            _ => {}
        }
        self.with_one(SPEAKERS, |user, cx| user.talk(cx));
        self.simulation.run_for(STEP);
    }

    /// Calls a random user, one of the first of its host.
    fn with_one(&mut self, first: usize, call: impl FnOnce(&mut User, &mut UserContext<'_>)) {
        let (host, random) = (&self.users[self.random.below(self.users.len())], &mut self.random);
        let key = host.state().key();
        host.reactor(|reactor| {
            let count = connections(reactor, key).len().min(first);
            if count > 0 {
                let connection = connections(reactor, key)[random.below(count)];
                with_user(reactor, key, connection, call);
            }
        });
    }

    fn with_all(&self, mut call: impl FnMut(&mut User, &mut UserContext<'_>)) {
        for host in &self.users {
            let key = host.state().key();
            host.reactor(|reactor| {
                for connection in connections(reactor, key) {
                    with_user(reactor, key, connection, &mut call);
                }
            });
        }
    }

    /// When all is well again, all are members, names are unique, and what is said is heard by all.
    fn check(&self) {
        self.simulation.run_for(RECOVERY);
        // A client of a node without power notices the loss only when it sends.
        self.with_all(|user, cx| match user.stage {
            Stage::Member { .. } => user.ask(cx),
            // Waits for an answer, and has nothing to send.
            _ => cx.transport.abort_connection(),
        });
        self.simulation.run_for(SETTLEMENT);
        self.check_names();
        for host in 0..self.users.len() {
            let key = self.users[host].state().key();
            self.users[host].reactor(|reactor| {
                for connection in connections(reactor, key).into_iter().take(SPEAKERS) {
                    with_user(reactor, key, connection, |user, cx| user.talk(cx));
                }
            });
        }
        self.simulation.run_for(SETTLEMENT);
        self.check_heard();
    }

    fn check_names(&self) {
        let (mut names, mut users) = (BTreeSet::new(), 0);
        self.with_all(|user, _| {
            let is_member = matches!(user.stage, Stage::Member { .. });
            assert!(is_member, "{} is {:?}", user.name, user.stage);
            assert!(names.insert(user.name.to_lowercase()), "two are {}", user.name);
            users += 1;
        });
        assert_eq!(users, self.size.nodes * self.size.users, "users have not come back");
        let mut held = BTreeSet::new();
        for node in &self.nodes {
            let port = node.state();
            let own = node.reactor(|reactor| {
                let names = |chat: &mut Chat| chat.names.held().map(str::to_owned).collect();
                reactor.with_factory(&*port, |chat, _| -> Vec<String> { names(chat) }).unwrap()
            });
            own.into_iter().for_each(|name| assert!(held.insert(name)));
        }
        assert_eq!(held, names, "the nodes hold the names of their users");
    }

    /// Everyone has heard the last line of each speaker in the same room.
    fn check_heard(&self) {
        let mut speakers: BTreeMap<Room, Vec<u32>> = BTreeMap::new();
        self.with_all(|user, _| {
            if let Stage::Member { room, stay } = user.stage {
                let spoke = self.stays.said(stay) > 0;
                speakers.entry(room).or_default().extend(spoke.then_some(stay));
            }
        });
        self.with_all(|user, _| {
            let Stage::Member { room, stay: own } = user.stage else { return };
            for &stay in speakers[&room].iter().filter(|stay| **stay != own) {
                let said = self.stays.said(stay);
                assert_eq!(user.heard.last(stay), Some(said), "{}: stay {stay}", user.name);
            }
        });
    }

    /// When all have left, nothing is left of them.
    fn leave(&self) {
        for host in &self.users {
            let port = host.state();
            host.reactor(|reactor| {
                reactor.with_factory(&*port, |users, _| users.leave()).unwrap();
            });
        }
        let mut count = 0;
        self.with_all(|_, cx| {
            count += 1;
            match count % 2 {
                0 => cx.transport.lose_connection(),
                _ => cx.transport.abort_connection(),
            }
        });
        self.simulation.run_for(SETTLEMENT);
        for (node, users) in self.nodes.iter().zip(&self.users) {
            let port = node.state();
            let is_empty = node.reactor(|reactor| {
                reactor.with_factory(&*port, |chat, _| chat.is_empty()).unwrap()
            });
            assert!(is_empty, "a node has members though all have left");
            assert_eq!(node.open(), 1, "its client of the server is left");
            let left = users.open_resources();
            assert_eq!((left.connections, left.timers), (0, 0));
        }
    }
}

fn crowd(simulation: &Simulation, size: Size) {
    let mut crowd = Crowd::new(simulation, size);
    simulation.follow(&faults(&mut crowd.random, size.nodes));
    (0..STEPS).for_each(|number| crowd.step(number));
    crowd.check();
    crowd.leave();
}

#[test]
fn a_crowd_hears_each_line_once_and_in_order() {
    let size = Size::of_environment();
    let report = explore(2, |simulation| crowd(simulation, size));
    let Size { nodes, users } = size;
    let of = format!("{nodes} nodes with {users} users each");
    let _ = writeln!(io::stderr(), "crowd: {of}: {report}; {SIZE}=20x1000 is the full size");
}
