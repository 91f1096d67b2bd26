//! The side of a predecessor under virtual time. (Simulated ports have no descriptors to pass.)

use super::*;

const PATH: &str = "/run/server/hand-over";

fn offering() -> (Simulation, Host) {
    let simulation = Simulation::new(1);
    let host = simulation.host("server", |reactor| {
        assert!(!reactor.take_over(PATH)?);
        reactor.hand_over(PATH)?;
        Ok(())
    });
    (simulation, host)
}

#[track_caller]
fn expect_refused(peer: &Peer, why: &str) {
    let said = String::from_utf8(peer.take_received()).unwrap();
    assert!(said.starts_with("refused\t") && said.contains(why), "{said}");
    assert_eq!(said.lines().count(), 1);
    assert_eq!(peer.close_kind(), Some(End::Closed));
}

#[test]
fn a_successor_that_does_not_speak_is_not_waited_for() {
    let (simulation, host) = offering();
    let peer = host.unix_peer(PATH);
    simulation.run_for(s(9));
    assert_eq!((peer.take_received(), peer.close_kind()), (Vec::new(), None));
    simulation.run_for(s(2));
    expect_refused(&peer, "it is too late");
}

#[test]
fn a_successor_has_a_minute_and_others_wait_for_it() {
    let (simulation, host) = offering();
    let first = host.unix_peer(PATH);
    first.send("take over\t1\r\n");
    simulation.run_for(s(59));
    let second = host.unix_peer(PATH);
    second.send("take over\t1\n");
    expect_refused(&second, "another process is taking over");
    assert_eq!((first.take_received(), first.close_kind()), (Vec::new(), None));
    simulation.run_for(s(2));
    expect_refused(&first, "it is too late");
    let third = host.unix_peer(PATH);
    third.send("take over\t1\nnext\n");
    assert_eq!(third.take_received(), b"end\r\n");
}

/// What a successor says, and what a process answers whose ports have no sockets.
const ASK: (&str, &str) = ("take over\t1\nnext\n", "end\r\n");
const READY: (&str, &str) = ("ready\n", "go\r\n");
const SERVING: (&str, &str) = ("serving\n", "");

#[track_caller]
fn say(peer: &Peer, (said, expected): (&str, &str)) {
    peer.send(said);
    assert_eq!(String::from_utf8(peer.take_received()).unwrap(), expected);
}

#[test]
fn what_a_successor_has_said_in_time_counts_also_if_the_loop_was_held_up() {
    let (simulation, host) = offering();
    let peer = host.unix_peer(PATH);
    say(&peer, ASK);
    say(&peer, READY);
    simulation.inject(Fault::Stall { host: "server".into(), lasting: s(20) });
    say(&peer, SERVING);
    simulation.run_for(s(21));
    assert_eq!((peer.take_received(), peer.close_kind()), (Vec::new(), Some(End::Closed)));
    assert!(host.has_stopped());
}

#[test]
fn a_successor_that_does_not_serve_in_time_is_refused() {
    let (simulation, host) = offering();
    let peer = host.unix_peer(PATH);
    say(&peer, ASK);
    say(&peer, READY);
    simulation.run_for(s(11));
    expect_refused(&peer, "it is too late");
    assert!(host.is_up() && !host.has_stopped());
}

/// It has all sockets, and serves when it is ready: that the connection has ended without a word
/// tells it that nobody else does.
#[test]
fn a_process_that_stops_does_not_refuse_a_successor_that_is_late() {
    for (said, limit) in [(&[ASK][..], s(61)), (&[ASK, READY], s(11))] {
        let (simulation, host) = offering();
        let peer = host.unix_peer(PATH);
        said.iter().for_each(|it| say(&peer, *it));
        host.reactor(|reactor| reactor.stop_gracefully(s(600)));
        simulation.run_for(limit - s(3));
        assert_eq!((peer.close_kind(), host.has_stopped()), (None, false), "the drain waits");
        simulation.run_for(s(3));
        assert_eq!((peer.take_received(), peer.close_kind()), (Vec::new(), Some(End::Closed)));
        assert!(host.has_stopped());
    }
}

#[test]
fn a_server_that_is_full_can_be_restarted() {
    let simulation = Simulation::new(1);
    let settings = Settings::default().max_connections(1);
    let host = simulation.host_with("server", settings, |reactor| {
        reactor.listen_tcp(PORT, Echo::default)?;
        reactor.hand_over(PATH)?;
        Ok(())
    });
    let echoes = |peer: &Peer| {
        peer.send("hello");
        simulation.run_for(s(1));
        peer.take_received() == b"hello"
    };
    let client = simulation.peer("ann", host.address(PORT));
    assert!(echoes(&client));
    let successor = host.unix_peer(PATH);
    say(&successor, ASK);
    assert!(!echoes(&simulation.peer("bob", host.address(PORT))), "it is full");
    client.close_write();
    simulation.run_for(s(1));
    let next = simulation.peer("cid", host.address(PORT));
    assert!(echoes(&next), "the successor has nobody's place");
    [READY, SERVING].into_iter().for_each(|it| say(&successor, it));
    next.close_write();
    simulation.run_for(s(1));
    assert!(host.has_stopped());
}

#[test]
fn a_stop_refuses_those_that_come_and_those_that_are_there() {
    let (simulation, host) = offering();
    let first = host.unix_peer(PATH);
    first.send("take over\t1\n");
    host.reactor(|reactor| reactor.stop_gracefully(s(60)));
    simulation.run_for(s(1));
    expect_refused(&first, "this process is stopping");
}

#[test]
fn a_simulated_program_starts_no_process() {
    let (_simulation, host) = offering();
    host.reactor(|reactor| {
        let started = reactor.start_successor().map_err(|error| error.kind());
        assert_eq!(started, Err(std::io::ErrorKind::Unsupported));
        assert!(!reactor.is_handed_over());
    });
}
