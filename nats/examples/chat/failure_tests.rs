//! The chat after single failures: each test has the one that it is about.

use super::chat::Chat;
use super::name::Name;
use super::node_id::NodeId;
use super::nodes::{GONE_AFTER, NODES_MAX};
use super::tests::simulated_server::SimulatedServer;
use super::tests::{SECOND, heal, heard, join, node, partition, serve, serve_with};
use std::time::Duration;
use twistor::ListeningPort;
use twistor::testing::{Conditions, Fault, Host, Peer, Simulation};

const MIB: usize = 1024 * 1024;
const TAKEN: &str = "Name taken, please choose another.";
const WAITS: &str = "Your name is checked when the other nodes can be reached.";

/// A partition within a cluster, without a connection that is lost: nothing passes between a node
/// and the others, or all passes again. A server that is down has no partition when it is back.
pub(crate) fn divide(
    nats: &Host<ListeningPort<SimulatedServer>>,
    node: Option<&Host<ListeningPort<Chat>>>,
) {
    if !nats.is_up() {
        return;
    }
    let port = nats.state();
    let far = node.into_iter().flat_map(Host::ips).collect();
    nats.reactor(|reactor| reactor.with_factory(&*port, |nats, _| nats.far_side = far).unwrap());
}

#[test]
fn a_name_given_twice_in_a_short_partition_has_one_holder_after_it() {
    for seed in 1..5 {
        let simulation = Simulation::new(seed);
        let nats = serve(&simulation);
        let (one, two) = (node(&simulation, "n1"), node(&simulation, "n2"));
        simulation.run_for(5 * SECOND);
        divide(&nats, Some(&two));
        let both = [join(&simulation, &one, "Ann"), join(&simulation, &two, "Ann")];
        simulation.run_for(SECOND);
        for peer in &both {
            assert_eq!(heard(peer), ["What's your name?", "Welcome, Ann!"]);
        }
        divide(&nats, None);
        simulation.run_for(10 * SECOND);
        let mut answers = both.map(|peer| heard(&peer));
        answers.sort();
        let gives_up = "* Your name is in use on another node too, please choose another.";
        assert_eq!(answers, [vec![], vec![gives_up.to_owned()]], "{seed}");
    }
}

#[test]
fn a_claim_that_is_slow_to_leave_waits_for_objections() {
    for seed in 1..9 {
        let simulation = Simulation::new(seed);
        simulation.set_conditions(Conditions::ideal().latency(Duration::from_millis(20)));
        let _nats = serve(&simulation);
        let (one, two) = (node(&simulation, "n1"), node(&simulation, "n2"));
        simulation.run_for(SECOND);
        let (ann, bob) = (join(&simulation, &one, "Ann"), join(&simulation, &two, "Bob"));
        let _ = (heard(&ann), heard(&bob));
        let slow = Conditions::ideal().latency(Duration::from_millis(20)).bandwidth(1000);
        simulation.set_conditions_between("n2", "nats", slow);
        // Two seconds of the link.
        bob.send(format!("{}\n", "x".repeat(2000)));
        simulation.run_for(Duration::from_millis(100));
        let other = join(&simulation, &two, "Ann");
        simulation.run_for(5 * SECOND);
        assert_eq!(heard(&other), ["What's your name?", TAKEN], "{seed}");
        assert_eq!(heard(&ann).len(), 1, "{seed}: what Bob has said");
    }
}

/// One of a node says so much at once that it does not fit in what is on its way to the server.
fn say_much(node: &Host<ListeningPort<Chat>>, name: &str, room: &str, bytes: usize) {
    const LINE: usize = 32 * 1024;
    let (port, name) = (node.state(), Name::new(name).unwrap());
    let say = |chat: &mut Chat| chat.say(room, &name, &"x".repeat(LINE));
    node.reactor(|reactor| {
        let all = |chat: &mut Chat, _: &mut _| (0..bytes / LINE).for_each(|_| say(chat));
        reactor.with_factory(&*port, all).unwrap();
    });
}

#[test]
fn a_claim_is_not_taken_for_heard_when_messages_were_dropped() {
    let simulation = Simulation::new(1);
    serve_with(&simulation, 64 * MIB);
    let (one, two) = (node(&simulation, "n1"), node(&simulation, "n2"));
    simulation.run_for(SECOND);
    let (ann, bob) = (join(&simulation, &one, "Ann"), join(&simulation, &two, "Bob"));
    bob.send("/join tea\n");
    simulation.run_for(SECOND);
    let _ = (heard(&ann), heard(&bob));
    let slow = Conditions::ideal().bandwidth(10_000_000);
    simulation.set_conditions_between("n2", "nats", slow);
    say_much(&two, "Bob", "tea", 4 * MIB);
    let other = simulation.peer("other", two.address(8123));
    other.send("ann\n");
    simulation.run_for(Duration::from_millis(60));
    say_much(&two, "Bob", "tea", 8 * MIB);
    simulation.run_for(20 * SECOND);
    assert_eq!(heard(&other), ["What's your name?", WAITS, TAKEN]);
    assert_eq!(heard(&ann), [""; 0]);
}

#[test]
fn a_name_is_not_lost_to_what_a_node_told_before_it_was_cut_off() {
    let simulation = Simulation::new(1);
    serve_with(&simulation, 64 * MIB);
    // The lower id wins a tie.
    let [one, two] = [1, 2].map(|number| {
        simulation.host(&format!("n{number}"), move |reactor| {
            let chat = Chat::new("nats://nats", NodeId::from_number(number));
            Ok(reactor.listen_tcp(8123, chat)?)
        })
    });
    simulation.run_for(SECOND);
    let (ann, bob) = (join(&simulation, &one, "Ann"), join(&simulation, &one, "Bob"));
    bob.send("/join tea\n");
    simulation.run_for(SECOND);
    simulation.inject(Fault::Partition { a: "n1".into(), b: "nats".into() });
    say_much(&one, "Bob", "tea", 2 * MIB);
    simulation.run_for(5 * SECOND);
    ann.close_write();
    simulation.run_for(SECOND);
    let ann = join(&simulation, &two, "Ann");
    assert_eq!(heard(&ann), ["What's your name?", "Welcome, Ann!"]);
    simulation.inject(Fault::Reset { a: "n1".into(), b: "nats".into() });
    heal(&simulation, "n1", "nats");
    simulation.run_for(20 * SECOND);
    assert_eq!(heard(&ann), [""; 0]);
}

/// Ann, alone of her node in a room, says a second line that does not arrive, and leaves before her
/// node is back; perhaps she returns, and says a third one. Returns what Bob hears in the room.
fn leave_with_a_line_on_its_way(says_more: bool) -> Vec<String> {
    let simulation = Simulation::new(1);
    simulation.set_conditions(Conditions::ideal().latency(Duration::from_millis(20)));
    let _nats = serve(&simulation);
    let (one, two) = (node(&simulation, "n1"), node(&simulation, "n2"));
    simulation.run_for(SECOND);
    let (ann, bob) = (join(&simulation, &one, "Ann"), join(&simulation, &two, "Bob"));
    for peer in [&ann, &bob] {
        peer.send("/join tea\n");
    }
    simulation.run_for(3 * SECOND);
    ann.send("1\n");
    simulation.run_for(SECOND);
    let _ = heard(&bob);
    ann.send("2\n");
    // It has reached the node, and not the server.
    simulation.run_for(Duration::from_millis(30));
    partition(&simulation, "n1", "nats");
    ann.send("/join lobby\n");
    simulation.run_for(SECOND);
    if says_more {
        ann.send("/join tea\n3\n");
    }
    simulation.run_for(SECOND);
    heal(&simulation, "n1", "nats");
    simulation.run_for(10 * SECOND);
    heard(&bob)
}

#[test]
fn a_line_that_is_missing_at_the_end_of_a_stream_is_told() {
    let told = "* A message from another node is missing.";
    assert_eq!(leave_with_a_line_on_its_way(false), [told]);
    assert_eq!(leave_with_a_line_on_its_way(true), [told, "<Ann> 3"]);
}

#[test]
fn on_a_server_without_headers_members_are_told_that_they_are_alone() {
    let simulation = Simulation::new(1);
    simulation.host("nats", |reactor| {
        let mut server = SimulatedServer::new();
        server.info.headers = false;
        Ok(reactor.listen_tcp(4222, server)?)
    });
    let nodes = ["n1", "n2"].map(|name| node(&simulation, name));
    simulation.run_for(SECOND);
    let [ann, cat] = ["Ann", "Cat"].map(|name| join(&simulation, &nodes[0], name));
    let bob = join(&simulation, &nodes[1], "Bob");
    let alone = "* The server takes no headers: the other nodes do not hear what is said here.";
    for (peer, name) in [(&ann, "Ann"), (&cat, "Cat"), (&bob, "Bob")] {
        assert_eq!(heard(peer), ["What's your name?", &format!("Welcome, {name}!"), alone]);
    }
    ann.send("hello\n");
    simulation.run_for(5 * SECOND);
    assert_eq!([heard(&cat), heard(&bob)], [vec!["<Ann> hello".to_owned()], vec![]]);
}

/// Publishes something as a client of the server that is no node.
fn publish(stranger: &Peer, subject: &str, from: &str, number: u64, payload: &str) {
    let headers = format!("NATS/1.0\r\nFrom: {from} 1 {number}\r\n\r\n");
    let (part, all) = (headers.len(), headers.len() + payload.len());
    stranger.send(format!("HPUB {subject} {part} {all}\r\n{headers}{payload}\r\n"));
}

#[test]
fn of_strangers_no_more_is_kept_than_may_be() {
    let simulation = Simulation::new(1);
    let nats = serve(&simulation);
    let node = node(&simulation, "n1");
    simulation.run_for(SECOND);
    let ann = join(&simulation, &node, "Ann");
    let stranger = simulation.peer("stranger", nats.address(4222));
    stranger.send("CONNECT {}\r\n");
    simulation.run_for(SECOND);
    let _ = heard(&ann);
    let known = || {
        let port = node.state();
        node.reactor(|reactor| reactor.with_factory(&*port, |chat, _| chat.known()).unwrap())
    };
    for id in ["x".repeat(100_000), "n".to_owned(), format!("+{:031x}", 1)] {
        publish(&stranger, "chat.nodes", &id, 1, &format!("{id} ?\n"));
        publish(&stranger, "chat.claims", &id, 1, &format!("{id}\nann"));
        publish(&stranger, "chat.room.lobby", &id, 1, "said by nobody");
    }
    simulation.run_for(SECOND);
    assert_eq!((heard(&ann), known()), (vec![], (0, 0)));
    for number in 0..NODES_MAX + 100 {
        let id = format!("{number:032x}");
        publish(&stranger, "chat.nodes", &id, 1, &format!("{id} .\n"));
        publish(&stranger, "chat.room.lobby", &id, 1, "said");
        if number % 100 == 0 {
            simulation.run_for(SECOND);
        }
    }
    simulation.run_for(SECOND);
    assert_eq!(known(), (NODES_MAX, NODES_MAX));
    assert_eq!(heard(&ann), vec!["said"; NODES_MAX + 100]);
    // Members are told of a gap of a node that is known, and of no other node's.
    let told = "* A message from another node is missing.".to_owned();
    for (number, notice) in [(0, Some(told)), (NODES_MAX, None)] {
        publish(&stranger, "chat.room.lobby", &format!("{number:032x}"), 3, "3");
        simulation.run_for(SECOND);
        assert_eq!(heard(&ann), Vec::from_iter(notice.into_iter().chain(["3".to_owned()])));
    }
    simulation.run_for(GONE_AFTER + 2 * SECOND);
    assert_eq!(known(), (0, 0));
}
