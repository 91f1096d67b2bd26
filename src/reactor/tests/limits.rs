//! Clients that are too many.

use super::*;
use crate::limits::{ConnectionLimits, RejectionStats};
use crate::socket::scripted::Closed;

fn stage(limits: ConnectionLimits) -> Stage {
    let mut stage = Stage::new(echo);
    assert!(stage.reactor.set_limits(&stage.port, limits));
    stage
}

impl Stage {
    fn rejections(&self) -> RejectionStats {
        self.reactor.rejections(&self.port).unwrap()
    }

    /// Connections, and peers that the door knows.
    fn known(&self) -> (usize, usize) {
        let shelf = self.reactor.hosts.iter().next().unwrap().1;
        (self.reactor.connection_count(), shelf.door.peers())
    }
}

#[test]
fn who_is_one_too_many_is_told_so_and_closed_until_somebody_goes() {
    let mut stage = stage(ConnectionLimits::new().max_connections(2).reject_message("busy\r\n"));
    let (first, _second) = (stage.connect(), stage.connect());
    let third = stage.connect();
    assert_eq!((third.received(), third.output_finished()), (b"busy\r\n".to_vec(), true));
    third.close();
    stage.log.expect(&["0 made", "1 made"]);
    first.close();
    stage.settle();
    stage.connect();
    assert_eq!(stage.log.count("2 made"), 1);
    assert_eq!(stage.rejections(), RejectionStats { connections: 1, ..RejectionStats::default() });
}

#[test]
fn without_a_line_a_refused_client_sees_a_close() {
    let mut stage = stage(ConnectionLimits::new().max_connections(0));
    let peer = stage.connect();
    assert_eq!((peer.received(), peer.closed()), (Vec::new(), Closed::InOrder));
    stage.settle();
    stage.expect_empty();
}

#[test]
fn one_peer_has_no_more_than_its_share_and_is_forgotten_with_its_last() {
    let mut stage = stage(ConnectionLimits::new().max_per_peer(2));
    let (one, two) = (stage.connect(), stage.connect());
    assert_eq!(stage.connect().closed(), Closed::InOrder);
    assert_eq!((stage.rejections().per_peer, stage.known()), (1, (2, 1)));
    one.reset();
    stage.settle();
    stage.connect();
    assert_eq!((stage.rejections().per_peer, stage.known()), (1, (2, 1)));
    two.reset();
    stage.transport(2).abort_connection();
    stage.settle();
    assert_eq!(stage.known(), (0, 0));
}

#[test]
fn limits_that_come_later_count_who_is_there() {
    let mut stage = Stage::new(echo);
    stage.connect();
    stage.connect();
    stage
        .reactor
        .set_limits(&stage.port, ConnectionLimits::new().max_per_peer(2).max_connections(5));
    assert_eq!(stage.connect().closed(), Closed::InOrder);
    stage.reactor.set_limits(&stage.port, ConnectionLimits::new().max_connections(2));
    assert_eq!(stage.connect().closed(), Closed::InOrder);
    stage.reactor.set_limits(&stage.port, ConnectionLimits::new());
    assert_eq!(stage.connect().closed(), Closed::No);
    let expected = RejectionStats { connections: 1, per_peer: 1, ..RejectionStats::default() };
    assert_eq!(stage.rejections(), expected);
    // Everybody is counted out, whoever was counted in.
    for number in 0..3 {
        stage.transport(number).abort_connection();
    }
    stage.settle();
    assert_eq!(stage.known(), (0, 0));
}

#[test]
fn a_rate_lets_the_others_wait() {
    let limits = ConnectionLimits::new().accept_rate(2, Duration::from_secs(2)).accept_burst(2);
    let mut stage = stage(limits);
    let peers: Vec<Peer> = (0..4).map(|_| stage.script.connect()).collect();
    stage.settle();
    stage.log.expect(&["0 made", "1 made"]);
    assert_eq!(peers[2].closed(), Closed::No, "it waits");
    stage.script.advance(Duration::from_millis(999));
    stage.settle();
    stage.log.expect(&[]);
    stage.script.advance(Duration::from_millis(1));
    stage.settle();
    stage.log.expect(&["2 made"]);
    stage.script.advance(Duration::from_secs(1));
    stage.settle();
    stage.log.expect(&["3 made"]);
    assert!(stage.rejections().rests > 0);
    stage.settle();
    assert_eq!(stage.connect().closed(), Closed::No);
}

#[test]
fn what_the_factory_refuses_is_counted_apart_and_takes_no_place() {
    struct Picky(usize);
    struct Nobody;
    impl Protocol<Picky> for Nobody {}
    impl Factory for Picky {
        type Protocol = Nobody;

        fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Nobody> {
            self.0 += 1;
            assert!(self.0 != 2, "the second");
            (self.0 > 2).then_some(Nobody)
        }
    }
    let script = Script::new();
    let mut reactor = Reactor::in_world(script.world(), Settings::default());
    let port = reactor.listen_tcp(8007, Picky(0)).unwrap();
    reactor.set_limits(&port, ConnectionLimits::new().max_connections(1).max_per_peer(1));
    for _ in 0..4 {
        script.connect();
        assert!(reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
    }
    let expected = RejectionStats { factory: 2, connections: 1, ..RejectionStats::default() };
    assert_eq!(reactor.rejections(&port), Some(expected));
    assert_eq!(reactor.connection_count(), 1);
}

#[test]
fn clients_that_are_closed_when_made_take_no_place() {
    let mut stage = Stage::new(|event, cx| {
        if event == Event::Made {
            cx.transport.abort_connection();
        }
    });
    stage
        .reactor
        .set_limits(&stage.port, ConnectionLimits::new().max_connections(1).max_per_peer(1));
    for _ in 0..5 {
        stage.connect();
        stage.settle();
    }
    assert_eq!((stage.rejections(), stage.known()), (RejectionStats::default(), (0, 0)));
}

#[test]
fn the_reactor_has_a_limit_of_its_own() {
    let settings = Settings::default().max_connections(2);
    let mut stage = Stage::with(settings, echo);
    let peers = [stage.connect(), stage.connect(), stage.connect()];
    assert_eq!(peers.map(|peer| peer.closed()), [Closed::No, Closed::No, Closed::InOrder]);
    assert_eq!(stage.rejections().connections, 1);
}

#[test]
fn clients_for_want_of_descriptors_are_counted() {
    let mut stage = Stage::new(echo);
    stage.script.fail_accept(io::Error::from_raw_os_error(24));
    stage.script.connect();
    stage.settle();
    assert_eq!(stage.rejections(), RejectionStats { exhausted: 1, ..RejectionStats::default() });
}

#[test]
fn limits_that_change_when_a_client_is_lost_count_those_who_are_there() {
    let mut stage = Stage::new(|event, cx| {
        if event == Event::Lost {
            let key = cx.factory.key.get().unwrap();
            cx.reactor.set_limits(key, ConnectionLimits::new().max_per_peer(2));
        }
    });
    let key = stage.port.key();
    stage.reactor.with_factory(key, |probes, _| probes.key.set(Some(key))).unwrap();
    let peers = [stage.connect(), stage.connect()];
    peers[0].reset();
    stage.settle();
    // One is left, so there is room for one more and not for two.
    assert_eq!(stage.connect().closed(), Closed::No);
    assert_eq!(stage.connect().closed(), Closed::InOrder);
}

/// A stage with a second port of the same factory, and clients that wait at both.
fn two_ports(limits: ConnectionLimits, waiting: usize) -> (Stage, [Vec<Peer>; 2]) {
    let mut stage = stage(limits);
    stage.reactor.listen_tcp(8008, &stage.port).unwrap();
    let peers = [0, 1].map(|port| (0..waiting).map(|_| stage.script.connect_to(port)).collect());
    (stage, peers)
}

/// How many of them have been accepted.
fn accepted(stage: &Stage, port: usize) -> usize {
    stage.script.accepted_on(port)
}

#[test]
fn ports_that_share_a_rate_take_turns() {
    let (mut stage, _peers) = two_ports(
        ConnectionLimits::new().accept_rate(20, Duration::from_secs(1)).accept_burst(10),
        300,
    );
    stage.settle();
    assert_eq!(accepted(&stage, 0) + accepted(&stage, 1), 10);
    for _ in 0..100 {
        stage.script.advance(Duration::from_millis(50));
        stage.settle();
    }
    let [one, other] = [accepted(&stage, 0), accepted(&stage, 1)];
    assert_eq!(one + other, 110);
    assert!(one.abs_diff(other) <= 10, "{one} and {other}");
    // A loop that comes late makes up for no more than the burst, and for both alike.
    stage.script.advance(Duration::from_secs(60));
    stage.settle();
    let late = [accepted(&stage, 0) - one, accepted(&stage, 1) - other];
    assert_eq!(late, [5, 5]);
}

#[test]
fn a_client_that_is_refused_for_its_peer_s_limit_takes_nobody_s_turn() {
    let limits = ConnectionLimits::new().max_per_peer(1).accept_rate(10, Duration::from_secs(1));
    let mut stage = stage(limits);
    let _greedy: Vec<Peer> = (0..50).map(|_| stage.script.connect()).collect();
    let honest = stage.script.connect_from([198, 51, 100, 1]);
    stage.settle();
    stage.script.advance(Duration::from_millis(100));
    stage.settle();
    assert_eq!(stage.log.count("1 made"), 1);
    assert_eq!((stage.rejections().per_peer, honest.closed()), (49, Closed::No));
}

#[test]
fn a_rate_that_changes_wakes_those_who_wait() {
    for limits in [
        ConnectionLimits::new(),
        ConnectionLimits::new().accept_rate(1000, Duration::from_secs(1)),
        ConnectionLimits::new().accept_rate(1, Duration::from_secs(1)).accept_burst(100),
    ] {
        let mut stage = stage(ConnectionLimits::new().accept_rate(1, Duration::MAX));
        let _waiting: Vec<Peer> = (0..10).map(|_| stage.script.connect()).collect();
        stage.settle();
        assert_eq!(stage.reactor.connection_count(), 1);
        stage.reactor.set_limits(&stage.port, limits);
        assert_eq!(stage.reactor.next_deadline(), Some(stage.reactor.now()));
        stage.turn();
        assert!(stage.reactor.connection_count() >= 10);
        assert_eq!(stage.reactor.timers.len(), 0);
    }
}

#[test]
fn a_port_that_is_closed_leaves_no_timer() {
    let mut stage = stage(ConnectionLimits::new().accept_rate(1, Duration::from_secs(1)));
    let open = stage.reactor.timers.len();
    for _ in 0..300 {
        let port = stage.reactor.listen_tcp(8008, &stage.port).unwrap();
        stage.script.connect_to(1);
        stage.settle();
        stage.reactor.stop_listening(&port);
    }
    stage.settle();
    assert!(stage.reactor.timers.len() <= open + 1, "{}", stage.reactor.timers.len());
    // And one that rests for want of descriptors.
    let mut stage = stage_that_rests();
    assert_eq!(stage.reactor.timers.len(), 1);
    stage.reactor.stop_listening(&stage.port);
    stage.settle();
    stage.expect_empty();
}

fn stage_that_rests() -> Stage {
    let mut stage = Stage::new(echo);
    stage.script.fail_accept(io::Error::from_raw_os_error(24));
    stage.script.connect();
    stage.turn();
    stage
}
