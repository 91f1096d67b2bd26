//! Connection limits and accept rates.

use super::*;
use crate::driver::scripted::Closed;
use crate::limits::{ConnectionLimits, RejectionStats};

fn fixture(limits: ConnectionLimits) -> Fixture {
    let mut fixture = Fixture::new(echo);
    assert!(fixture.reactor.set_limits(&fixture.port, limits));
    fixture
}

impl Fixture {
    fn rejections(&self) -> RejectionStats {
        self.reactor.rejections(&self.port).unwrap()
    }

    /// Returns the number of connections, and of peers that the admission counts.
    fn known(&self) -> (usize, usize) {
        let slot = self.reactor.factories.iter().next().unwrap().1;
        (self.reactor.connection_count(), slot.admission.peers())
    }
}

#[test]
fn a_client_over_the_limit_gets_the_message_and_is_closed_until_another_leaves() {
    let mut fixture =
        fixture(ConnectionLimits::new().max_connections(2).reject_message("busy\r\n"));
    let (first, _second) = (fixture.connect(), fixture.connect());
    let third = fixture.connect();
    assert_eq!((third.received(), third.output_finished()), (b"busy\r\n".to_vec(), true));
    third.close();
    fixture.log.expect(&["0 made", "1 made"]);
    first.close();
    fixture.settle();
    fixture.connect();
    assert_eq!(fixture.log.count("2 made"), 1);
    assert_eq!(
        fixture.rejections(),
        RejectionStats { connections: 1, ..RejectionStats::default() }
    );
}

#[test]
fn without_a_message_a_rejected_client_sees_a_close() {
    let mut fixture = fixture(ConnectionLimits::new().max_connections(0));
    let peer = fixture.connect();
    assert_eq!((peer.received(), peer.closed()), (Vec::new(), Closed::InOrder));
    fixture.settle();
    fixture.expect_empty();
}

#[test]
fn one_peer_has_no_more_than_its_share_and_is_forgotten_with_its_last() {
    let mut fixture = fixture(ConnectionLimits::new().max_per_peer(2));
    let (one, two) = (fixture.connect(), fixture.connect());
    assert_eq!(fixture.connect().closed(), Closed::InOrder);
    assert_eq!((fixture.rejections().per_peer, fixture.known()), (1, (2, 1)));
    one.reset();
    fixture.settle();
    fixture.connect();
    assert_eq!((fixture.rejections().per_peer, fixture.known()), (1, (2, 1)));
    two.reset();
    fixture.transport(2).abort_connection();
    fixture.settle();
    assert_eq!(fixture.known(), (0, 0));
}

#[test]
fn new_limits_count_existing_connections() {
    let mut fixture = Fixture::new(echo);
    fixture.connect();
    fixture.connect();
    fixture
        .reactor
        .set_limits(&fixture.port, ConnectionLimits::new().max_per_peer(2).max_connections(5));
    assert_eq!(fixture.connect().closed(), Closed::InOrder);
    fixture.reactor.set_limits(&fixture.port, ConnectionLimits::new().max_connections(2));
    assert_eq!(fixture.connect().closed(), Closed::InOrder);
    fixture.reactor.set_limits(&fixture.port, ConnectionLimits::new());
    assert_eq!(fixture.connect().closed(), Closed::No);
    let expected = RejectionStats { connections: 1, per_peer: 1, ..RejectionStats::default() };
    assert_eq!(fixture.rejections(), expected);
    // Every client is subtracted again, whichever limit counted it.
    for number in 0..3 {
        fixture.transport(number).abort_connection();
    }
    fixture.settle();
    assert_eq!(fixture.known(), (0, 0));
}

#[test]
fn an_accept_rate_makes_further_clients_wait() {
    let limits = ConnectionLimits::new().accept_rate(2, Duration::from_secs(2)).accept_burst(2);
    let mut fixture = fixture(limits);
    let peers: Vec<Peer> = (0..4).map(|_| fixture.script.connect()).collect();
    fixture.settle();
    fixture.log.expect(&["0 made", "1 made"]);
    assert_eq!(peers[2].closed(), Closed::No, "it waits");
    fixture.script.advance(Duration::from_millis(999));
    fixture.settle();
    fixture.log.expect(&[]);
    fixture.script.advance(Duration::from_millis(1));
    fixture.settle();
    fixture.log.expect(&["2 made"]);
    fixture.script.advance(Duration::from_secs(1));
    fixture.settle();
    fixture.log.expect(&["3 made"]);
    assert!(fixture.rejections().accept_throttled > 0);
    fixture.settle();
    assert_eq!(fixture.connect().closed(), Closed::No);
}

#[test]
fn clients_that_the_factory_rejects_are_counted_apart_and_take_no_place() {
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
    let mut reactor = Reactor::with_driver(script.driver(), Settings::default());
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
    let mut fixture = Fixture::new(|event, cx| {
        if event == Event::Made {
            cx.transport.abort_connection();
        }
    });
    fixture
        .reactor
        .set_limits(&fixture.port, ConnectionLimits::new().max_connections(1).max_per_peer(1));
    for _ in 0..5 {
        fixture.connect();
        fixture.settle();
    }
    assert_eq!((fixture.rejections(), fixture.known()), (RejectionStats::default(), (0, 0)));
}

#[test]
fn max_connections_of_the_reactor_rejects_clients() {
    let settings = Settings::default().max_connections(2);
    let mut fixture = Fixture::with(settings, echo);
    let peers = [fixture.connect(), fixture.connect(), fixture.connect()];
    assert_eq!(peers.map(|peer| peer.closed()), [Closed::No, Closed::No, Closed::InOrder]);
    assert_eq!(fixture.rejections().connections, 1);
}

#[test]
fn clients_rejected_for_want_of_descriptors_are_counted() {
    let mut fixture = Fixture::new(echo);
    fixture.script.fail_accept(io::Error::from_raw_os_error(24));
    fixture.script.connect();
    fixture.settle();
    assert_eq!(fixture.rejections(), RejectionStats { exhausted: 1, ..RejectionStats::default() });
}

#[test]
fn limits_changed_in_connection_lost_count_the_remaining_clients() {
    let mut fixture = Fixture::new(|event, cx| {
        if event == Event::Lost {
            let key = cx.factory.key.get().unwrap();
            cx.reactor.set_limits(key, ConnectionLimits::new().max_per_peer(2));
        }
    });
    let key = fixture.port.key();
    fixture.reactor.with_factory(key, |probes, _| probes.key.set(Some(key))).unwrap();
    let peers = [fixture.connect(), fixture.connect()];
    peers[0].reset();
    fixture.settle();
    // One is left, so there is room for one more but not for two.
    assert_eq!(fixture.connect().closed(), Closed::No);
    assert_eq!(fixture.connect().closed(), Closed::InOrder);
}

/// Returns a fixture with a second port of the same factory, and clients that wait at both.
fn two_ports(limits: ConnectionLimits, waiting: usize) -> (Fixture, [Vec<Peer>; 2]) {
    let mut fixture = fixture(limits);
    fixture.reactor.listen_tcp(8008, &fixture.port).unwrap();
    let peers = [0, 1].map(|port| (0..waiting).map(|_| fixture.script.connect_to(port)).collect());
    (fixture, peers)
}

/// Returns the number of clients accepted on a port.
fn accepted(fixture: &Fixture, port: usize) -> usize {
    fixture.script.accepted_on(port)
}

#[test]
fn ports_that_share_a_rate_take_turns() {
    let (mut fixture, _peers) = two_ports(
        ConnectionLimits::new().accept_rate(20, Duration::from_secs(1)).accept_burst(10),
        300,
    );
    fixture.settle();
    assert_eq!(accepted(&fixture, 0) + accepted(&fixture, 1), 10);
    for _ in 0..100 {
        fixture.script.advance(Duration::from_millis(50));
        fixture.settle();
    }
    let [one, other] = [accepted(&fixture, 0), accepted(&fixture, 1)];
    assert_eq!(one + other, 110);
    assert!(one.abs_diff(other) <= 10, "{one} and {other}");
    // A late loop catches up by the burst at most, and for both ports alike.
    fixture.script.advance(Duration::from_secs(60));
    fixture.settle();
    let late = [accepted(&fixture, 0) - one, accepted(&fixture, 1) - other];
    assert_eq!(late, [5, 5]);
}

#[test]
fn a_client_rejected_for_its_peer_s_limit_takes_no_token() {
    let limits = ConnectionLimits::new().max_per_peer(1).accept_rate(10, Duration::from_secs(1));
    let mut fixture = fixture(limits);
    let _greedy: Vec<Peer> = (0..50).map(|_| fixture.script.connect()).collect();
    let honest = fixture.script.connect_from([198, 51, 100, 1]);
    fixture.settle();
    fixture.script.advance(Duration::from_millis(100));
    fixture.settle();
    assert_eq!(fixture.log.count("1 made"), 1);
    assert_eq!((fixture.rejections().per_peer, honest.closed()), (49, Closed::No));
}

#[test]
fn a_changed_accept_rate_wakes_waiting_ports() {
    for limits in [
        ConnectionLimits::new(),
        ConnectionLimits::new().accept_rate(1000, Duration::from_secs(1)),
        ConnectionLimits::new().accept_rate(1, Duration::from_secs(1)).accept_burst(100),
    ] {
        let mut fixture = fixture(ConnectionLimits::new().accept_rate(1, Duration::MAX));
        let _waiting: Vec<Peer> = (0..10).map(|_| fixture.script.connect()).collect();
        fixture.settle();
        assert_eq!(fixture.reactor.connection_count(), 1);
        fixture.reactor.set_limits(&fixture.port, limits);
        assert_eq!(fixture.reactor.next_deadline(), Some(fixture.reactor.now()));
        fixture.turn();
        assert!(fixture.reactor.connection_count() >= 10);
        assert_eq!(fixture.reactor.timers.len(), 0);
    }
}

#[test]
fn a_port_that_is_closed_leaves_no_timer() {
    let mut fixture = fixture(ConnectionLimits::new().accept_rate(1, Duration::from_secs(1)));
    let open = fixture.reactor.timers.len();
    for _ in 0..300 {
        let port = fixture.reactor.listen_tcp(8008, &fixture.port).unwrap();
        fixture.script.connect_to(1);
        fixture.settle();
        fixture.reactor.stop_listening(&port);
    }
    fixture.settle();
    assert!(fixture.reactor.timers.len() <= open + 1, "{}", fixture.reactor.timers.len());
    // A port that waits to retry leaves no timer either.
    let mut fixture = exhausted_fixture();
    assert_eq!(fixture.reactor.timers.len(), 1);
    fixture.reactor.stop_listening(&fixture.port);
    fixture.settle();
    fixture.expect_empty();
}

fn exhausted_fixture() -> Fixture {
    let mut fixture = Fixture::new(echo);
    fixture.script.fail_accept(io::Error::from_raw_os_error(24));
    fixture.script.connect();
    fixture.turn();
    fixture
}
