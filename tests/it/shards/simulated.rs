//! Shards under simulation: one room over all shards, on networks that a seed chooses.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;
use twistor::mailbox::{Mailbox, MailboxPolicy};
use twistor::shards::{Balance, SharedPort};
use twistor::testing::{
    Conditions, End, FaultPlan, Host, Peer, Random, Simulation, SystemCall, explore, single_faults,
};
use twistor::{
    Bytes, ConnectionId, Delimiter, Factory, LineContext, LineReceiver, Lines, Reactor, Reason,
    ServerEndpoint, Transport, broadcast,
};

const PORT: u16 = 8007;

/// Capacity of a mailbox that is never full here.
const ROOMY: usize = 1000;

/// A room, of which each shard has a part: what one member says all others hear.
struct Room {
    index: usize,
    members: BTreeMap<ConnectionId, Transport>,
    mailboxes: Arc<[Mailbox<Bytes>]>,
    /// Messages that a mailbox has not taken.
    rejected: usize,
}

struct Member;

impl LineReceiver<Room> for Member {
    const DELIMITER: Delimiter = Delimiter::Newline;

    fn connection_made(&mut self, cx: &mut LineContext<'_, Room>) {
        cx.factory.members.insert(cx.transport.id(), cx.transport.clone());
        cx.send_line("hello");
    }

    fn line_received(&mut self, cx: &mut LineContext<'_, Room>, line: &[u8]) {
        let said = Bytes::from([line, b"\r\n"].concat());
        cx.factory.tell(Some(cx.transport.id()), &said);
        let room = &mut *cx.factory;
        for (index, mailbox) in room.mailboxes.iter().enumerate() {
            if index != room.index && mailbox.send(said.clone()).is_err() {
                room.rejected += 1;
            }
        }
    }

    fn connection_lost(&mut self, cx: &mut LineContext<'_, Room>, _: &Reason) {
        cx.factory.members.remove(&cx.transport.id());
    }
}

impl Room {
    fn tell(&self, except: Option<ConnectionId>, said: &Bytes) {
        let members = self.members.iter().filter(|(id, _)| Some(**id) != except);
        broadcast(members.map(|(_, member)| member), said.clone());
    }
}

impl Factory for Room {
    type Protocol = Lines<Member>;

    fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Lines<Member>> {
        Some(Lines::new(Member))
    }
}

/// A client, who checks what they hear.
struct Person {
    peer: Peer,
    name: usize,
    said: usize,
    rest: Vec<u8>,
    /// The last number heard, by speaker.
    heard: BTreeMap<usize, usize>,
    /// Numbers that never came.
    missed: usize,
}

impl Person {
    fn say(&mut self) {
        self.said += 1;
        self.peer.send(format!("{} {}\n", self.name, self.said));
    }

    fn listen(&mut self) {
        self.rest.extend(self.peer.take_received());
        while let Some(at) = self.rest.windows(2).position(|end| end == b"\r\n") {
            let line: Vec<u8> = self.rest.drain(..at + 2).collect();
            let line = String::from_utf8(line).unwrap();
            let Some((name, number)) = line.trim_end().split_once(' ') else { continue };
            let (name, number): (usize, usize) = (name.parse().unwrap(), number.parse().unwrap());
            assert_ne!(name, self.name, "nobody hears themselves");
            let last = self.heard.insert(name, number);
            assert!(last.is_none_or(|last| last < number), "{number} of {name} after {last:?}");
            self.missed += last.map_or(0, |last| number - last - 1);
        }
    }
}

fn endpoint() -> ServerEndpoint {
    format!("tcp:{PORT}").parse().unwrap()
}

struct Town {
    simulation: Simulation,
    random: Random,
    shards: Vec<Host>,
    people: Vec<Person>,
    mailboxes: Arc<[Mailbox<Bytes>]>,
    capacity: usize,
}

impl Town {
    fn new(simulation: &Simulation) -> Self {
        let mut random = simulation.random();
        if random.below(4) > 0 {
            simulation.set_conditions(Conditions::rough());
        }
        let count = 2 + random.below(3);
        let capacity = *random.pick(&[1, 3, ROOMY]);
        let policy = *random.pick(&[MailboxPolicy::Reject, MailboxPolicy::DropOldest]);
        let port = match random.below(3) {
            0 => SharedPort::reuse_port(endpoint()),
            1 => SharedPort::acceptor(endpoint(), Balance::RoundRobin),
            _ => SharedPort::acceptor(endpoint(), Balance::LeastConnections),
        };
        let mailboxes = Mailbox::for_shards(count, capacity, policy);
        Self { capacity, ..Self::with_shards(simulation, random, port, mailboxes) }
    }

    /// A room on as many shards as there are mailboxes.
    fn with_shards(
        simulation: &Simulation,
        random: Random,
        port: SharedPort,
        mailboxes: Arc<[Mailbox<Bytes>]>,
    ) -> Self {
        let count = mailboxes.len();
        let shared = Arc::clone(&mailboxes);
        let shards = simulation.shards("server", count, move |reactor, shard| {
            let index = shard.index();
            // After a crash there are new ones: those of before are closed for ever.
            if shared[index].is_closed() {
                return Ok(());
            }
            let mailboxes = Arc::clone(&shared);
            let room = Room { index, members: BTreeMap::new(), mailboxes, rejected: 0 };
            let key = port.listen(reactor, shard, room)?.key();
            reactor.open_mailbox(&shared[index], move |reactor, said| {
                reactor.with_factory(key, |room, _| room.tell(None, &said)).unwrap();
            })?;
            Ok(())
        });
        let (simulation, people, capacity) = (simulation.clone(), Vec::new(), ROOMY);
        Self { simulation, random, shards, people, mailboxes, capacity }
    }

    fn enter(&mut self) {
        let name = self.people.len();
        let peer = self.simulation.peer(&format!("p{name}"), self.shards[0].address(PORT));
        let (rest, heard) = (Vec::new(), BTreeMap::new());
        self.people.push(Person { peer, name, said: 0, rest, heard, missed: 0 });
    }

    fn pass(&mut self, most: Duration) {
        let time = self.random.up_to(most);
        self.simulation.run_for(time);
        self.people.iter_mut().for_each(Person::listen);
    }

    fn talk(&mut self) {
        if !self.people.is_empty() {
            let number = self.random.below(self.people.len());
            (0..1 + self.random.below(5)).for_each(|_| self.people[number].say());
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// Members come and talk; the shards drain while some are on their way.
fn a_room(simulation: &Simulation) {
    let mut town = Town::new(simulation);
    for _ in 0..30 {
        match town.random.below(3) {
            0 if town.people.len() < 8 => town.enter(),
            _ => town.talk(),
        }
        town.pass(SECOND / 10);
    }
    // The last words are on their way, and so are the last clients.
    let lossless = town.random.below(2) == 0;
    if lossless {
        simulation.run_for(SECOND * 60);
    }
    let unheard: usize = town.mailboxes.iter().map(Mailbox::len).sum();
    assert!(!lossless || unheard == 0, "{unheard} messages wait");
    let later = town.random.below(5);
    for _ in 0..later {
        town.enter();
        town.pass(SECOND / 20);
    }
    let by = town.random.below(town.shards.len());
    town.shards[by].reactor(|reactor| reactor.stop_gracefully(SECOND * 300));
    // While it drains, they still come.
    for _ in 0..town.random.below(5) {
        town.enter();
        town.pass(SECOND / 100);
    }
    town.pass(SECOND);
    simulation.run_for(SECOND * 600);
    for shard in &town.shards {
        assert!(shard.has_stopped());
        let report = shard.report().unwrap();
        assert_eq!((report.aborted, report.bytes_lost), (0, 0), "{report}");
    }
    for person in &mut town.people {
        person.listen();
        assert!(person.missed == 0 || town.capacity < ROOMY, "{} missed some", person.name);
        // Who is still sending when the server closes sees a reset, with one reactor as well.
        let is_quiet = lossless || person.said == 0;
        let end = person.peer.close_kind();
        let in_order = matches!(end, Some(End::Closed | End::Refused));
        assert!(in_order || !is_quiet && end == Some(End::Reset), "{}: {end:?}", person.name);
    }
    assert!(town.mailboxes.iter().all(Mailbox::is_closed));
}

/// The network and the host fail meanwhile.
fn a_room_in_trouble(simulation: &Simulation) {
    let mut town = Town::new(simulation);
    (0..4).for_each(|_| town.enter());
    let hosts = ["server", "server/1", "p0", "p1", "p2", "p3"];
    let count = 1 + town.random.below(4);
    simulation.follow(&FaultPlan::random(&mut town.random, &hosts, SECOND * 5, count));
    for _ in 0..40 {
        match town.random.below(12) {
            0 => town.enter(),
            1 => {
                let at = town.random.below(town.people.len());
                town.people[at].peer.reset();
            }
            _ => town.talk(),
        }
        town.pass(SECOND / 5);
    }
    simulation.run_for(SECOND * 600);
    town.people.iter_mut().for_each(Person::listen);
}

#[test]
fn messages_of_one_sender_reach_each_member_in_order_and_once() {
    let report = explore(40, a_room);
    // Shown even though the test passes, unlike the output of `println!`: how much was tried.
    let _ = writeln!(io::stderr(), "shards: {report}; TWISTOR_RUNS=1000 runs more");
}

#[test]
fn order_survives_faults() {
    explore(40, a_room_in_trouble);
}

/// Four people, two on each shard, talk while one call on the system fails.
fn a_room_with_a_fault(simulation: &Simulation, port: SharedPort) {
    let mailboxes = Mailbox::for_shards(2, ROOMY, MailboxPolicy::Reject);
    let mut town = Town::with_shards(simulation, simulation.random(), port, mailboxes);
    for _ in 0..4 {
        town.enter();
        simulation.run_for(SECOND);
    }
    for _ in 0..3 {
        town.people.iter_mut().for_each(Person::say);
        simulation.run_for(SECOND);
    }
    town.shards[1].reactor(|reactor| reactor.stop_gracefully(SECOND * 60));
    simulation.run_for(SECOND * 120);
    town.people.iter_mut().for_each(Person::listen);
    let is_well = |person: &&Person| person.peer.close_kind() == Some(End::Closed);
    let well: Vec<&Person> = town.people.iter().filter(is_well).collect();
    match simulation.faulted_call().filter(|it| !it.fault.failure.is_transient()) {
        // When descriptors run out, the server closes a client that waits in its backlog.
        Some(call) if call.call == SystemCall::Accept => assert!(well.len() >= 3, "{call}"),
        Some(call) => {
            let is_hit = |person: &Person| Some(person.peer.address()) == call.peer;
            let hit = town.people.iter().filter(|person| is_hit(person)).count();
            assert!(well.len() + hit >= town.people.len(), "{call}");
        }
        None => assert_eq!(well.len(), town.people.len()),
    }
    for person in &well {
        let others = well.iter().filter(|other| other.name != person.name);
        for (name, said) in others.map(|other| (other.name, other.said)) {
            assert_eq!(person.heard.get(&name), Some(&said), "{} of {name}", person.name);
        }
    }
    assert!(town.shards.iter().all(|shard| shard.has_stopped() && shard.open() == 0));
    town.people.clear();
    simulation.run_for(SECOND * 120);
    assert_eq!(simulation.connections(), 0);
}

/// Number of faults that are tried by default on each kind of port.
const FAULTS: usize = 100;

#[test]
fn a_single_fault_harms_nobody_else_on_any_shard() {
    let acceptor = || SharedPort::acceptor(endpoint(), Balance::RoundRobin);
    let report = single_faults(1, FAULTS, |it| a_room_with_a_fault(it, acceptor()));
    println!("{report}");
    let reuse_port = || SharedPort::reuse_port(endpoint());
    let report = single_faults(1, FAULTS, |it| a_room_with_a_fault(it, reuse_port()));
    println!("{report}");
}
