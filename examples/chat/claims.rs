//! The guarantees of the chat, on rough networks.

use super::Chat;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;
use twistor::testing::{
    Conditions, End, Fault, FaultPlan, Host, Peer, Random, Simulation, explore,
};

const NAMES: [&str; 4] = ["Ann", "Bob", "Cat", "Dan"];

/// A user at a terminal, who checks the guarantees.
struct Person {
    peer: Peer,
    name: &'static str,
    /// Bytes received that are not a complete line yet.
    rest: Vec<u8>,
    stage: Stage,
    /// True if they have sent a line that is too long.
    noisy: bool,
    /// Number of lines said under this name in this connection.
    said: usize,
    /// The last line heard, by speaker and connection.
    heard: BTreeMap<String, usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing heard yet.
    New,
    /// Asked for a name, and answered.
    Answered,
    Member,
}

impl Person {
    fn new(peer: Peer, name: &'static str) -> Self {
        let heard = BTreeMap::new();
        Self { peer, name, rest: Vec::new(), stage: Stage::New, noisy: false, said: 0, heard }
    }

    /// Reads the received lines, and answers.
    fn read(&mut self) {
        self.rest.extend(self.peer.take_received());
        while let Some(at) = self.rest.windows(2).position(|end| end == b"\r\n") {
            let line: Vec<u8> = self.rest.drain(..at + 2).collect();
            self.hear(std::str::from_utf8(&line[..at]).unwrap());
        }
    }

    fn hear(&mut self, line: &str) {
        match (self.stage, line) {
            (Stage::New, "What's your name?") => {
                self.stage = Stage::Answered;
                self.peer.send(format!("{}\n", self.name));
            }
            (Stage::Answered, "Name taken, please choose another.") => {
                self.peer.send(format!("{}\n", self.name));
            }
            (Stage::Answered, line) if line == format!("Welcome, {}!", self.name) => {
                self.stage = Stage::Member;
            }
            (_, "That line is too long. Goodbye.") if self.noisy => {}
            (Stage::Member, line) => self.hear_said(line),
            (stage, line) => panic!("{} hears {line:?} when {stage:?}", self.name),
        }
    }

    /// Lines are `<Ann> 49152 7`: the speaker, their connection, and the number of the line.
    fn hear_said(&mut self, line: &str) {
        let (name, text) = line.strip_prefix('<').and_then(|it| it.split_once("> ")).unwrap();
        let (connection, number) = text.split_once(' ').unwrap();
        let number: usize = number.parse().unwrap();
        assert_ne!(name, self.name, "members do not hear themselves, and names are unique");
        let last = self.heard.insert(format!("{name} {connection}"), number);
        assert!(
            last.is_none_or(|last| number == last + 1),
            "{} misses what {name} says, or hears it twice: {number} after {last:?}",
            self.name
        );
    }

    fn talk(&mut self) {
        if self.stage == Stage::Member {
            self.said += 1;
            self.peer.send(format!("{} {}\n", self.peer.address().port(), self.said));
        }
    }
}

struct Room {
    simulation: Simulation,
    random: Random,
    server: Host,
    people: Vec<Person>,
}

impl Room {
    fn new(simulation: &Simulation) -> Self {
        let mut random = simulation.random();
        if random.below(4) > 0 {
            simulation.set_conditions(Conditions::rough());
        }
        let server = simulation.host("server", |reactor| {
            reactor.listen_tcp(8123, Chat::default())?;
            Ok(())
        });
        let (simulation, people) = (simulation.clone(), Vec::new());
        let mut room = Self { simulation, random, server, people };
        for name in NAMES {
            room.enter(name, name);
        }
        room
    }

    fn enter(&mut self, host: &str, name: &'static str) {
        let peer = self.simulation.peer(host, self.server.address(8123));
        self.people.push(Person::new(peer, name));
    }

    fn pass(&mut self, time: Duration) {
        let until = self.simulation.now() + time;
        while self.simulation.now() < until {
            let step = self.random.up_to(Duration::from_millis(50));
            self.simulation.run_for(step + Duration::from_millis(1));
            self.people.iter_mut().for_each(Person::read);
        }
    }

    fn step(&mut self) {
        let time = self.random.up_to(Duration::from_millis(300));
        self.pass(time);
        self.people.retain(|person| person.peer.close_kind().is_none());
        let name = *self.random.pick(&NAMES);
        let choice = self.random.below(20);
        if choice < 3 && self.people.len() < 8 {
            // Perhaps under a name that is taken, and then they wait for it.
            return self.enter(name, name);
        }
        if self.people.is_empty() {
            return;
        }
        let number = self.random.below(self.people.len());
        match choice {
            3 => drop(self.people.remove(number)),
            4 => {
                let person = self.people.remove(number);
                person.peer.reset();
            }
            5 => {
                self.people[number].noisy = true;
                self.people[number].peer.send([b'x'; 5000]);
            }
            6 => self.people[number].peer.stop_reading(),
            7..=9 => self.people[number].peer.resume_reading(),
            _ => self.people[number].talk(),
        }
    }

    /// Without faults, every member has heard every line in the end. (A member whose connection is
    /// silently dead has not, and the chat cannot know.)
    fn check_hearing(&mut self, faulty: bool) {
        self.people.iter().for_each(|person| person.peer.resume_reading());
        self.pass(Duration::from_secs(120));
        self.people.retain(|person| person.peer.close_kind().is_none());
        let members = || self.people.iter().filter(|person| person.stage == Stage::Member);
        for listener in members() {
            for speaker in members().filter(|it| it.name != listener.name && it.said > 0) {
                let key = format!("{} {}", speaker.name, speaker.peer.address().port());
                let heard = listener.heard.get(&key);
                if let (Some(&heard), false) = (heard, faulty) {
                    assert_eq!(heard, speaker.said, "{} of {key}", listener.name);
                }
            }
        }
        for name in NAMES {
            let count = members().filter(|it| it.name == name).count();
            assert!(count <= 1 || faulty, "{count} are {name}");
        }
    }

    /// Joins as a member, when the network works again.
    fn join(&mut self, name: &'static str) {
        self.enter("witness", name);
        self.pass(Duration::from_secs(20));
        if self.people.last().is_some_and(|person| person.peer.close_kind() == Some(End::Reset)) {
            // Hit by a fault still in the plan.
            self.people.pop();
            return self.join(name);
        }
        let stage = self.people.last().map(|person| person.stage);
        assert_eq!(stage, Some(Stage::Member), "{name} is still taken");
    }

    /// Members that have gone have left nothing behind, not even a name.
    fn check_names(&mut self, faulty: bool) {
        self.people.clear();
        // Lines reach the members whose connections are dead, and that ends them.
        self.join("Eve");
        for _ in 0..20 {
            self.pass(Duration::from_secs(1));
            self.people.iter_mut().for_each(Person::talk);
            self.simulation.run_for(Duration::from_secs(120));
        }
        NAMES.iter().for_each(|name| self.join(name));
        self.people.clear();
        self.simulation.run_for(Duration::from_secs(60));
        let left = self.server.open_resources();
        // A silently dead connection without a name gets no lines, and is never detected.
        assert!(left.connections == 0 || faulty, "{left:?}");
        assert_eq!(left.timers, 0, "{left:?}");
    }
}

fn chat(simulation: &Simulation) {
    let mut room = Room::new(simulation);
    let faulty = simulation.seed() % 2 == 0;
    if faulty {
        let hosts = ["server", "Ann", "Bob", "Cat", "Dan"];
        let within = Duration::from_secs(15);
        let count = 1 + room.random.below(6);
        simulation.follow(&FaultPlan::random(&mut room.random, &hosts, within, count));
    }
    for _ in 0..60 {
        room.step();
    }
    simulation.run_for(Duration::from_secs(15));
    room.check_hearing(faulty);
    room.check_names(faulty);
}

#[test]
fn the_guarantees_hold_on_rough_and_faulty_networks() {
    let report = explore(30, chat);
    // Shown even though the test passes, unlike the output of `println!`: how much was tried.
    let _ = writeln!(io::stderr(), "chat: {report}; TWISTOR_RUNS=1000 runs more");
}

#[test]
fn a_partitioned_member_hears_every_line_after_the_partition() {
    let simulation = Simulation::new(1);
    let mut room = Room::new(&simulation);
    room.pass(Duration::from_secs(1));
    let plan: FaultPlan = "0s: partition Ann server\n20s: heal Ann server".parse().unwrap();
    simulation.follow(&plan);
    for _ in 0..10 {
        room.people[1].talk();
        room.pass(Duration::from_secs(1));
    }
    assert!(room.people[0].heard.is_empty());
    room.pass(Duration::from_secs(20));
    assert_eq!(room.people[0].heard.values().max(), Some(&10));
    simulation.inject(Fault::Reset { a: "Ann".into(), b: "server".into() });
    assert_eq!(room.people[0].peer.close_kind(), Some(End::Reset));
}
