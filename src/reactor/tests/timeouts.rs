//! Timeouts of connections.

use super::*;
use crate::driver::scripted::Closed;
use crate::limits::{RateLimits, Timeouts};

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Acts as the default callback does.
fn default(event: Event<'_>, cx: &mut Context<'_, Probes>) {
    match event {
        Event::TimedOut(kind) => cx.transport.time_out(kind),
        _ => echo(event, cx),
    }
}

fn fixture(timeouts: Timeouts) -> Fixture {
    let mut fixture = Fixture::new(default);
    assert!(fixture.reactor.set_timeouts(&fixture.port, timeouts));
    fixture
}

impl Fixture {
    fn pass(&mut self, time: Duration) {
        self.script.advance(time);
        self.settle();
    }
}

#[test]
fn an_idle_connection_ends_gracefully_with_its_reason() {
    let mut fixture = fixture(Timeouts::new().idle(s(10)));
    let peer = fixture.connect();
    fixture.pass(s(9));
    peer.send("hello");
    fixture.settle();
    fixture.pass(s(9));
    fixture.log.expect(&["0 made", "0 data hello"]);
    fixture.pass(s(1));
    fixture.log.expect(&["0 timed out: Idle", "0 lost: idle timeout"]);
    // Its peer has sent something, but is to blame: the connection does not linger.
    assert_eq!(peer.closed(), Closed::InOrder);
    fixture.expect_empty();
}

#[test]
fn a_packet_moves_no_timer() {
    let mut fixture = fixture(Timeouts::new().idle(s(10)).max_lifetime(s(1000)));
    let peer = fixture.connect();
    let timer = fixture.reactor.next_deadline();
    for _ in 0..100 {
        fixture.script.advance(Duration::from_millis(99));
        peer.send("hello");
        fixture.turn();
        assert_eq!(fixture.reactor.next_deadline(), timer);
        assert_eq!(fixture.reactor.timers.len(), 1);
    }
    // The timer fires once, and is set for the remaining time.
    fixture.pass(Duration::from_millis(100));
    assert_eq!(
        fixture.reactor.next_deadline(),
        Some(fixture.reactor.now() + s(10) - Duration::from_millis(100))
    );
}

#[test]
fn a_peer_that_takes_bytes_is_not_idle() {
    let mut fixture = fixture(Timeouts::new().idle(s(10)));
    let peer = fixture.connect();
    peer.set_room(0);
    fixture.transport(0).write(vec![0; 1000]);
    for _ in 0..5 {
        fixture.pass(s(9));
        peer.set_room(1);
        fixture.settle();
    }
    assert_eq!(fixture.reactor.connection_count(), 1);
    fixture.pass(s(10));
    assert_eq!(fixture.log.count("0 timed out: Idle"), 1);
}

#[test]
fn a_peer_that_takes_too_little_is_reset() {
    let mut fixture = fixture(Timeouts::new().idle(s(10)).min_rate(10, s(5)));
    let peer = fixture.connect();
    fixture.pass(s(8));
    assert_eq!(fixture.reactor.connection_count(), 1, "nothing is asked of it");
    peer.set_room(0);
    fixture.transport(0).write(vec![0; 1000]);
    fixture.settle();
    for _ in 0..4 {
        fixture.pass(s(1));
        peer.set_room(2);
        fixture.settle();
    }
    fixture.pass(s(1));
    fixture.log.expect(&[
        "0 made",
        "0 timed out: MinRate",
        "0 lost: below the minimum transfer rate",
    ]);
    assert_eq!(peer.closed(), Closed::Reset);
    fixture.expect_empty();
}

#[test]
fn the_first_byte_timeout_counts_once() {
    let mut fixture = fixture(Timeouts::new().first_byte(s(5)));
    let (quick, _slow) = (fixture.connect(), fixture.connect());
    fixture.pass(s(4));
    quick.send("x");
    fixture.settle();
    fixture.pass(s(1));
    assert_eq!(fixture.log.count("1 timed out: FirstByte"), 1);
    fixture.pass(s(1000));
    assert_eq!(fixture.log.count("0 timed out: FirstByte"), 0);
    assert_eq!(fixture.reactor.timers.len(), 0);
}

#[test]
fn a_handshake_a_byte_at_a_time_ends_at_its_deadline() {
    let mut fixture = fixture(Timeouts::new().handshake(s(10)).idle(s(5)));
    let (slow, quick) = (fixture.connect(), fixture.connect());
    fixture.transport(1).handshake_done();
    for _ in 0..10 {
        slow.send("x");
        quick.send("x");
        fixture.pass(s(1));
    }
    assert_eq!(fixture.log.count("0 timed out: Handshake"), 1);
    assert_eq!(fixture.log.count("1 timed out: Handshake"), 0);
}

#[test]
fn a_lifetime_ends_whatever_happens_even_while_it_closes() {
    let mut fixture = fixture(Timeouts::new().max_lifetime(s(8)));
    let (peer_sends, closes) = (fixture.connect(), fixture.connect());
    closes.set_room(0);
    fixture.transport(1).write("more");
    fixture.transport(1).lose_connection();
    for _ in 0..8 {
        peer_sends.send("x");
        fixture.pass(s(1));
    }
    assert_eq!(fixture.log.count("0 timed out: MaxLifetime"), 1);
    assert_eq!(fixture.log.count("1 timed out: MaxLifetime"), 1);
    assert_eq!(fixture.reactor.connection_count(), 0);
}

#[test]
fn a_protocol_sets_a_timeout_of_its_own() {
    let mut fixture = Fixture::new(|event, cx| match event {
        Event::Made => cx.transport.set_timeout(s(10)),
        Event::Data(b"reset") => cx.transport.reset_timeout(),
        Event::Data(b"never") => cx.transport.set_timeout(None),
        Event::TimedOut(TimeoutKind::Protocol) => {
            cx.transport.write("goodbye");
            cx.transport.lose_connection();
        }
        _ => {}
    });
    let (one, two) = (fixture.connect(), fixture.connect());
    fixture.pass(s(9));
    one.send("reset");
    two.send("never");
    fixture.settle();
    fixture.pass(s(9));
    one.send("other");
    fixture.settle();
    fixture.pass(s(1));
    assert_eq!(fixture.log.count("0 timed out: Protocol"), 1);
    assert_eq!(one.received(), b"goodbye");
    assert_eq!(fixture.log.count("0 lost: connection closed gracefully"), 1);
    fixture.pass(s(1000));
    assert_eq!(fixture.log.count("1 timed out: Protocol"), 0);
}

#[test]
fn a_protocol_may_let_the_connection_live() {
    let mut fixture = Fixture::new(|event, cx| {
        if let Event::TimedOut(_) = event {
            cx.transport.write("still there?");
        }
    });
    fixture.reactor.set_timeouts(&fixture.port, Timeouts::new().idle(s(10)).first_byte(s(3)));
    let peer = fixture.connect();
    fixture.pass(s(3));
    fixture.pass(s(3));
    assert_eq!(fixture.log.count("0 timed out: FirstByte"), 2);
    peer.send("yes");
    fixture.settle();
    fixture.pass(s(10));
    assert_eq!(fixture.log.count("0 timed out: Idle"), 1);
    fixture.pass(s(10));
    assert_eq!(fixture.log.count("0 timed out: Idle"), 2);
    assert_eq!(fixture.reactor.connection_count(), 1);
}

#[test]
fn timeouts_can_be_changed_and_removed_while_the_reactor_runs() {
    let mut fixture = fixture(Timeouts::new().idle(s(10)));
    fixture.connect();
    fixture.pass(s(9));
    fixture.transport(0).set_timeouts(Timeouts::new().idle(s(2)));
    fixture.settle();
    fixture.pass(s(1));
    fixture.pass(s(1));
    assert_eq!(fixture.log.count("0 timed out: Idle"), 1);
    fixture.connect();
    fixture.transport(1).set_timeouts(Timeouts::new());
    fixture.pass(s(1000));
    assert_eq!((fixture.reactor.connection_count(), fixture.reactor.timers.len()), (1, 0));
    // A key whose factory is gone.
    let port = fixture.port;
    let (mut other, log) = (Fixture::new(quiet), fixture.log.clone());
    assert!(!other.reactor.set_timeouts(&port, Timeouts::new()));
    drop(log);
}

#[test]
fn no_timeout_outlives_its_connection() {
    let mut fixture = fixture(Timeouts::new().idle(s(10)).max_lifetime(s(20)));
    let peer = fixture.connect();
    let transport = fixture.transport(0);
    peer.close();
    fixture.settle();
    transport.set_timeouts(Timeouts::new().idle(s(1)));
    transport.set_timeout(s(1));
    transport.reset_timeout();
    transport.handshake_done();
    fixture.settle();
    fixture.expect_empty();
}

#[test]
fn a_paused_connection_is_not_idle() {
    let mut fixture = fixture(Timeouts::new().idle(s(10)));
    fixture.connect();
    fixture.transport(0).pause_reading();
    fixture.pass(s(10));
    fixture.pass(s(10));
    assert_eq!(fixture.log.count("0 timed out: Idle"), 0);
    fixture.transport(0).resume_reading();
    fixture.pass(s(9));
    assert_eq!(fixture.log.count("0 timed out: Idle"), 0);
    fixture.pass(s(10));
    assert_eq!(fixture.log.count("0 timed out: Idle"), 1);
}

#[test]
fn a_panic_in_timed_out_ends_the_connection() {
    let mut fixture = Fixture::new(|event, _| {
        assert!(!matches!(event, Event::TimedOut(_)), "boom");
    });
    fixture.reactor.set_timeouts(&fixture.port, Timeouts::new().max_lifetime(s(1)));
    fixture.connect();
    fixture.pass(s(1));
    assert_eq!(fixture.log.count("0 lost: a callback panicked: boom"), 1);
    fixture.expect_empty();
}

#[test]
fn a_peer_that_times_out_with_something_unsent_is_reset() {
    let mut fixture = fixture(Timeouts::new().idle(s(10)));
    let peer = fixture.connect();
    peer.set_room(3);
    fixture.transport(0).write("goodbye");
    fixture.settle();
    fixture.pass(s(10));
    assert_eq!(fixture.log.count("0 lost: idle timeout"), 1);
    // Its peer must not take three bytes for the whole stream.
    assert_eq!((peer.received(), peer.closed()), (b"goo".to_vec(), Closed::Reset));
    fixture.expect_empty();
}

#[test]
fn a_peer_that_has_sent_in_time_is_not_blamed_for_a_late_loop() {
    let ways: [(&str, Timeouts); 4] = [
        ("idle", Timeouts::new().idle(s(1))),
        ("first byte", Timeouts::new().first_byte(s(1))),
        ("handshake", Timeouts::new().handshake(s(1))),
        ("progress", Timeouts::new().handshake(s(1000)).min_rate(4, s(1))),
    ];
    for (name, timeouts) in ways {
        let mut fixture = Fixture::new(|event, cx| match event {
            Event::Data(_) => cx.transport.handshake_done(),
            _ => default(event, cx),
        });
        fixture.reactor.set_timeouts(&fixture.port, timeouts);
        let (spoke, silent) = (fixture.connect(), fixture.connect());
        // As if the process was stopped, or a callback took long.
        spoke.send("in time");
        fixture.script.advance(s(300));
        fixture.settle();
        assert_eq!(fixture.log.count("0 data in time"), 1, "{name}");
        assert!(fixture.transport(0).is_connected(), "{name}");
        assert!(!fixture.transport(1).is_connected(), "{name}: that one is to blame");
        drop((spoke, silent));
    }
}

#[test]
fn data_that_the_poller_has_not_reported_counts_as_well() {
    let mut fixture = fixture(Timeouts::new().idle(s(1)));
    let peers: Vec<Peer> = (0..20).map(|_| fixture.connect()).collect();
    fixture.script.limit_events(3);
    peers.iter().for_each(|peer| peer.send("in time"));
    fixture.script.advance(s(300));
    fixture.settle();
    assert_eq!(fixture.reactor.connection_count(), 20);
}

#[test]
fn more_data_than_one_turn_reads_is_read_before_a_timeout_expires() {
    let mut fixture = Fixture::new(|event, cx| match event {
        Event::Data(b"done") => cx.transport.handshake_done(),
        _ => default(event, cx),
    });
    fixture.reactor.set_timeouts(&fixture.port, Timeouts::new().handshake(s(1)));
    let (long, endless) = (fixture.connect(), fixture.connect());
    // As much as a socket may hold: more than twenty turns read.
    long.send(vec![0; 6 << 20]);
    long.send("done");
    fixture.script.advance(s(300));
    for _ in 0..100 {
        endless.send(vec![0; 1 << 20]);
        fixture.turn();
    }
    assert_eq!(fixture.log.count("0 timed out: Handshake"), 0);
    assert_eq!(fixture.log.count("1 timed out: Handshake"), 1, "sending more does not prevent it");
}

#[test]
fn bytes_that_a_peer_has_taken_in_time_count_though_the_loop_is_late() {
    let mut fixture = fixture(Timeouts::new().idle(s(10)).min_rate(5, s(10)));
    let peer = fixture.connect();
    peer.set_room(0);
    fixture.transport(0).write(vec![0; 10]);
    fixture.settle();
    peer.set_room_unannounced(6);
    fixture.script.advance(s(300));
    fixture.settle();
    assert_eq!((fixture.reactor.connection_count(), peer.received().len()), (1, 6));
}

#[test]
fn timeouts_set_before_a_connection_is_established_override_those_of_the_factory() {
    let mut fixture = Fixture::new(default);
    for own in [true, false] {
        let connector = fixture.reactor.connect_tcp(([127, 0, 0, 1], 8000), &fixture.port).unwrap();
        fixture.reactor.set_timeouts(&connector, Timeouts::new().idle(s(1)));
        fixture.reactor.set_rate_limits(&connector, RateLimits::new().write(1_000_000));
        let transport = connector.transport().clone();
        if own {
            transport.set_timeouts(Timeouts::new().idle(s(100)));
            transport.set_rate_limits(RateLimits::new().write(20));
        }
        fixture.script.dialled().answer();
        fixture.settle();
        transport.write([0; 2]);
        fixture.turn();
        assert_eq!(transport.unsent(), usize::from(own), "a byte in each portion");
        fixture.pass(s(1));
        fixture.pass(s(1));
        assert_eq!(transport.is_connected(), own);
        fixture.pass(s(100));
        assert!(!transport.is_connected());
    }
}

#[test]
fn timeouts_set_in_build_protocol_override_those_of_the_factory() {
    struct Own;
    struct Quiet;
    impl Protocol<Own> for Quiet {}
    impl Factory for Own {
        type Protocol = Quiet;
        fn build_protocol(&mut self, transport: &Transport, _: &mut Reactor) -> Option<Quiet> {
            transport.set_timeouts(Timeouts::new().idle(s(100)));
            transport.set_rate_limits(RateLimits::new().write(20));
            Some(Quiet)
        }
    }
    let mut fixture = Fixture::new(quiet);
    assert!(fixture.reactor.stop_listening(&fixture.port));
    let port = fixture.reactor.listen_tcp(8008, Own).unwrap();
    fixture.reactor.set_timeouts(&port, Timeouts::new().idle(s(1)));
    fixture.reactor.set_rate_limits(&port, RateLimits::new().write(1_000_000));
    let _peer = fixture.connect();
    fixture.pass(s(99));
    assert_eq!(fixture.reactor.connection_count(), 1);
    fixture.pass(s(1));
    assert_eq!(fixture.reactor.connection_count(), 0);
}

#[test]
fn a_peer_below_the_minimum_rate_is_reset_after_the_close_as_well() {
    for timeouts in [Timeouts::new().min_rate(1000, s(2)), Timeouts::new().idle(s(1))] {
        let mut fixture = fixture(timeouts);
        let peer = fixture.script.connect();
        peer.set_room(0);
        fixture.turn();
        fixture.transport(0).write(vec![0; 1_000_000]);
        fixture.transport(0).lose_connection();
        fixture.settle();
        for _ in 0..10 {
            // Long before the close timeout.
            fixture.pass(s(1));
            fixture.pass(s(1));
            peer.set_room(100);
            fixture.settle();
        }
        assert!(!fixture.transport(0).is_connected());
        assert_eq!(peer.closed(), Closed::Reset);
        assert!(peer.received().len() <= 200);
        fixture.expect_empty();
    }
}
