//! The chat over a simulated NATS server.

// Its other tests need more of it.
#[allow(dead_code, clippy::duplicate_mod)]
#[path = "../../tests/it/simulated_server.rs"]
pub(crate) mod simulated_server;

use super::chat::Chat;
use super::failure_tests::divide;
use super::node_id::NodeId;
use simulated_server::SimulatedServer;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;
use twistor::ListeningPort;
use twistor::testing::{Conditions, Fault, FaultPlan, Host, Peer, Random, Simulation, explore};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn serve(simulation: &Simulation) -> Host<ListeningPort<SimulatedServer>> {
    simulation.host("nats", |reactor| Ok(reactor.listen_tcp(4222, SimulatedServer::new())?))
}

/// Starts a server with a limit on the unsent bytes of each client.
pub(crate) fn serve_with(simulation: &Simulation, unsent_max: usize) {
    simulation.host("nats", move |reactor| {
        let mut server = SimulatedServer::new();
        server.unsent_max = unsent_max;
        Ok(reactor.listen_tcp(4222, server)?)
    });
}

pub(crate) fn node(simulation: &Simulation, name: &str) -> Host<ListeningPort<Chat>> {
    simulation.host(name, |reactor| {
        let id = NodeId::new(reactor);
        Ok(reactor.listen_tcp(8123, Chat::new("nats://nats", id))?)
    })
}

/// Connects, says a name, and waits for the answer to it.
pub(crate) fn join(simulation: &Simulation, node: &Host<ListeningPort<Chat>>, name: &str) -> Peer {
    let host = format!("{}-user", name.to_lowercase());
    let peer = simulation.peer(&host, node.address(8123));
    peer.send(format!("{name}\n"));
    simulation.run_for(SECOND);
    peer
}

pub(crate) fn heard(peer: &Peer) -> Vec<String> {
    let text = String::from_utf8(peer.take_received()).unwrap();
    text.lines().map(str::to_owned).collect()
}

pub(crate) fn partition(simulation: &Simulation, a: &str, b: &str) {
    simulation.inject(Fault::Partition { a: a.into(), b: b.into() });
    simulation.inject(Fault::Reset { a: a.into(), b: b.into() });
}

pub(crate) fn heal(simulation: &Simulation, a: &str, b: &str) {
    simulation.inject(Fault::Heal { a: a.into(), b: b.into() });
}

#[test]
fn nodes_are_one_chat() {
    let simulation = Simulation::new(1);
    let _nats = serve(&simulation);
    let nodes = ["n1", "n2", "n3"].map(|name| node(&simulation, name));
    simulation.run_for(SECOND);
    let ann = join(&simulation, &nodes[0], "Ann");
    let bob = join(&simulation, &nodes[0], "Bob");
    let cat = join(&simulation, &nodes[1], "Cat");
    let dan = join(&simulation, &nodes[2], "Dan");
    for (peer, name) in [(&ann, "Ann"), (&bob, "Bob"), (&cat, "Cat"), (&dan, "Dan")] {
        assert_eq!(heard(peer), ["What's your name?", &format!("Welcome, {name}!")]);
    }
    ann.send("hello\nand again\n");
    simulation.run_for(SECOND);
    for peer in [&bob, &cat, &dan] {
        assert_eq!(heard(peer), ["<Ann> hello", "<Ann> and again"]);
    }
    assert!(heard(&ann).is_empty());
    dan.send("hi\n");
    simulation.run_for(SECOND);
    assert_eq!(heard(&ann), ["<Dan> hi"]);
}

#[test]
fn a_name_is_taken_on_all_nodes() {
    let simulation = Simulation::new(1);
    let _nats = serve(&simulation);
    let (one, two) = (node(&simulation, "n1"), node(&simulation, "n2"));
    simulation.run_for(SECOND);
    let ann = join(&simulation, &one, "Ann");
    let other = join(&simulation, &two, "ANN");
    let taken = "Name taken, please choose another.";
    assert_eq!(heard(&other), ["What's your name?", taken]);
    ann.close_write();
    other.send("ann\nhello\n");
    simulation.run_for(SECOND);
    assert_eq!(heard(&other), ["Welcome, ann!"]);
    // Both at once.
    let both = [&one, &two].map(|node| {
        let peer = simulation.peer("x-user", node.address(8123));
        peer.send("Bob\n");
        peer
    });
    simulation.run_for(2 * SECOND);
    let mut answers = both.map(|peer| heard(&peer).pop().unwrap());
    answers.sort();
    assert_eq!(answers, [taken, "Welcome, Bob!"]);
}

#[test]
fn nothing_is_kept_of_members_who_leave_before_the_other_nodes_can_be_asked() {
    let simulation = Simulation::new(1);
    let _nats = serve(&simulation);
    let node = node(&simulation, "n1");
    simulation.run_for(SECOND);
    partition(&simulation, "n1", "nats");
    simulation.run_for(SECOND);
    for _ in 0..3 {
        let ann = join(&simulation, &node, "Ann");
        let waits = "Your name is checked when the other nodes can be reached.";
        assert_eq!(heard(&ann), ["What's your name?", waits]);
        ann.reset();
        simulation.run_for(SECOND);
    }
    let port = node.state();
    let is_empty =
        node.reactor(|reactor| reactor.with_factory(&*port, |chat, _| chat.is_empty()).unwrap());
    assert!(is_empty);
}

#[test]
fn rooms_are_apart_and_their_names_are_tokens() {
    let simulation = Simulation::new(1);
    let nats = serve(&simulation);
    let (one, two) = (node(&simulation, "n1"), node(&simulation, "n2"));
    simulation.run_for(SECOND);
    let (ann, bob) = (join(&simulation, &one, "Ann"), join(&simulation, &two, "Bob"));
    let _ = (heard(&ann), heard(&bob));
    for room in ["a.b", "*", ">", "a b", "", "tea\tx", "x".repeat(33).as_str()] {
        ann.send(format!("/join {room}\n"));
        simulation.run_for(SECOND);
        let rule = "A room has up to 32 letters or digits, please choose another.";
        assert_eq!(heard(&ann), [rule], "{room:?}");
    }
    ann.send("/join Tea\nalone\n");
    simulation.run_for(SECOND);
    assert_eq!(heard(&ann), ["You are in tea."]);
    assert!(heard(&bob).is_empty());
    bob.send("/join tea\n");
    simulation.run_for(SECOND);
    ann.send("together\n");
    simulation.run_for(SECOND);
    assert_eq!(heard(&bob), ["You are in tea.", "<Ann> together"]);
    // Interest follows the members: nobody is in the lobby any more.
    let port = nats.state();
    let lines = nats.reactor(|reactor| {
        reactor.with_factory(&*port, |nats, _| std::mem::take(&mut nats.lines)).unwrap()
    });
    let count = |begin: &str| lines.iter().filter(|line| line.starts_with(begin)).count();
    assert_eq!((count("SUB chat.room.lobby"), count("SUB chat.room.tea")), (2, 2));
    assert_eq!(count("UNSUB"), 2);
}

#[test]
fn an_outage_and_what_is_missing_are_told() {
    let simulation = Simulation::new(1);
    let _nats = serve(&simulation);
    let (one, two) = (node(&simulation, "n1"), node(&simulation, "n2"));
    simulation.run_for(SECOND);
    let (ann, bob) = (join(&simulation, &one, "Ann"), join(&simulation, &two, "Bob"));
    ann.send("1\n");
    simulation.run_for(3 * SECOND);
    let _ = (heard(&ann), heard(&bob));
    partition(&simulation, "n2", "nats");
    simulation.run_for(SECOND);
    for line in ["2\n", "3\n", "4\n"] {
        ann.send(line);
    }
    bob.send("while alone\n");
    simulation.run_for(SECOND);
    heal(&simulation, "n2", "nats");
    simulation.run_for(10 * SECOND);
    assert_eq!(heard(&ann), ["<Bob> while alone"], "it waited");
    let told = [
        "* The other nodes cannot be reached; messages may be missing.",
        "* The other nodes can be reached again.",
        "* 3 messages from another node are missing.",
    ];
    assert_eq!(heard(&bob), told);
    ann.send("5\n");
    simulation.run_for(SECOND);
    assert_eq!(heard(&bob), ["<Ann> 5"]);
}

#[test]
fn a_name_waits_for_the_other_nodes() {
    let simulation = Simulation::new(1);
    let nodes = ["n1", "n2"].map(|name| node(&simulation, name));
    let (ann, other) = (join(&simulation, &nodes[0], "Ann"), join(&simulation, &nodes[1], "Ann"));
    let waits = "Your name is checked when the other nodes can be reached.";
    assert_eq!(heard(&ann), ["What's your name?", waits]);
    let _nats = serve(&simulation);
    simulation.run_for(20 * SECOND);
    let mut answers = [ann, other].map(|peer| heard(&peer).pop().unwrap());
    answers.sort();
    assert_eq!(answers, ["Name taken, please choose another.", "Welcome, Ann!"]);
}

/// The name of a user who wants one that another one may have too.
const NAMES: [&str; 4] = ["Ann", "Bob", "Cat", "Dan"];

/// A user at a terminal, who checks the guarantees.
struct Person {
    peer: Peer,
    name: &'static str,
    rest: Vec<u8>,
    is_member: bool,
    /// Number of times that they have lost their name.
    lives: usize,
    said: usize,
    /// Number of times that something was told to be missing, or perhaps.
    told: usize,
    /// The last line heard, by speaker and connection, and `told` at that time.
    heard: BTreeMap<String, (usize, usize)>,
}

impl Person {
    fn new(peer: Peer, name: &'static str) -> Self {
        let (rest, heard) = (Vec::new(), BTreeMap::new());
        Self { peer, name, rest, is_member: false, lives: 0, said: 0, told: 0, heard }
    }

    fn read(&mut self) {
        self.rest.extend(self.peer.take_received());
        while let Some(at) = self.rest.windows(2).position(|end| end == b"\r\n") {
            let line: Vec<u8> = self.rest.drain(..at + 2).collect();
            self.hear(std::str::from_utf8(&line[..at]).unwrap());
        }
    }

    fn hear(&mut self, line: &str) {
        let says_name = line.ends_with("your name?") || line.contains("please choose another.");
        if says_name {
            if std::mem::take(&mut self.is_member) {
                // What they have said meanwhile was taken for names.
                (self.lives, self.said) = (self.lives + 1, 0);
                // What the others say is not heard until there is a name again.
                self.told += 1;
            }
            self.peer.send(format!("{}\n", self.name));
        } else if line == format!("Welcome, {}!", self.name) {
            self.is_member = true;
        } else if line.starts_with("* ") {
            self.told += 1;
        } else if let Some((name, text)) =
            line.strip_prefix('<').and_then(|line| line.split_once("> "))
        {
            self.hear_said(name, text);
        }
    }

    /// Texts are `10.0.0.7:49152/0 7`: the connection of the speaker, and the number of the line.
    fn hear_said(&mut self, name: &str, text: &str) {
        assert!(self.is_member, "{} hears {text} before the welcome", self.name);
        // A name that was said when one was welcome already.
        let Some((connection, number)) = text.split_once(' ') else { return };
        let number: usize = number.parse().unwrap();
        let last = self.heard.insert(format!("{name} {connection}"), (number, self.told));
        let Some((last, told)) = last else { return };
        assert!(number > last, "{} hears {number} of {name} after {last}", self.name);
        assert!(number == last + 1 || self.told > told, "{}: {number} after {last}", self.name);
    }

    fn connection(&self) -> String {
        format!("{}/{}", self.peer.address(), self.lives)
    }

    fn talk(&mut self) {
        if self.is_member {
            self.said += 1;
            self.peer.send(format!("{} {}\n", self.connection(), self.said));
        }
    }
}

struct World {
    simulation: Simulation,
    random: Random,
    nats: Host<ListeningPort<SimulatedServer>>,
    nodes: Vec<Host<ListeningPort<Chat>>>,
    people: Vec<Person>,
    entered: usize,
}

impl World {
    fn enter(&mut self) {
        self.entered += 1;
        let node = self.random.below(self.nodes.len());
        let host = format!("user-{}", self.entered);
        let peer = self.simulation.peer(&host, self.nodes[node].address(8123));
        let name = *self.random.pick(&NAMES);
        self.people.push(Person::new(peer, name));
    }

    fn pass(&mut self, time: Duration) {
        let until = self.simulation.now() + time;
        while self.simulation.now() < until {
            self.simulation.run_for(Duration::from_millis(250));
            self.people.iter_mut().for_each(Person::read);
        }
        self.people.retain(|person| person.peer.close_kind().is_none());
    }

    fn step(&mut self) {
        let time = self.random.up_to(Duration::from_millis(800));
        self.pass(time);
        match self.random.below(13) {
            0..3 if self.people.len() < 8 && self.entered < 100 => self.enter(),
            12 => {
                // At most times it ends before it is noticed.
                let far = self.random.below(2) == 0;
                let node = far.then(|| self.random.pick(&self.nodes));
                divide(&self.nats, node);
            }
            3 if !self.people.is_empty() => {
                let number = self.random.below(self.people.len());
                drop(self.people.remove(number));
            }
            _ if !self.people.is_empty() => {
                let number = self.random.below(self.people.len());
                self.people[number].talk();
            }
            _ => {}
        }
    }

    /// When all is well again, names are unique, and what is said is heard by all.
    fn check(&mut self) {
        divide(&self.nats, None);
        self.pass(Duration::from_secs(150));
        // A member of a node that has lost its power notices the loss.
        self.people.iter_mut().for_each(Person::talk);
        self.pass(Duration::from_secs(30));
        let members =
            |name: &str| self.people.iter().filter(|it| it.is_member && it.name == name).count();
        for name in NAMES {
            let count = members(name);
            assert!(count <= 1, "{count} are {name}");
        }
        self.people.iter_mut().for_each(Person::talk);
        self.pass(Duration::from_secs(20));
        let members = || self.people.iter().filter(|person| person.is_member);
        for (listener, speaker) in members().flat_map(|it| members().map(move |to| (it, to))) {
            if listener.name == speaker.name {
                continue;
            }
            let key = format!("{} {}", speaker.name, speaker.connection());
            let heard = listener.heard.get(&key).map(|(number, _)| *number);
            assert_eq!(heard, Some(speaker.said), "{} of {key}", listener.name);
        }
    }
}

fn chat(simulation: &Simulation) {
    let mut random = simulation.random();
    if random.below(3) > 0 {
        simulation.set_conditions(Conditions::rough());
    }
    let nats = serve(simulation);
    let nodes = ["n1", "n2", "n3"].map(|name| node(simulation, name)).into();
    let hosts = ["nats", "n1", "n2", "n3"];
    let count = random.below(7);
    let within = Duration::from_secs(40);
    simulation.follow(&FaultPlan::random(&mut random, &hosts, within, count));
    let (simulation, people) = (simulation.clone(), Vec::new());
    let mut world = World { simulation, random, nats, nodes, people, entered: 0 };
    for _ in 0..80 {
        world.step();
    }
    world.check();
}

#[test]
fn the_guarantees_hold_whatever_fails() {
    let report = explore(6, chat);
    let _ = writeln!(io::stderr(), "chat: {report}; TWISTOR_RUNS=1000 runs more");
}
