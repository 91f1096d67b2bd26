//! Peers that are waited for, and no longer than was said.

use super::*;
use crate::limits::{RateLimits, Timeouts};
use crate::socket::scripted::Closed;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Does what the default does, after noting what was waited for.
fn default(event: Event<'_>, cx: &mut Context<'_, Probes>) {
    match event {
        Event::TimedOut(deadline) => cx.transport.time_out(deadline),
        _ => echo(event, cx),
    }
}

fn stage(deadlines: Timeouts) -> Stage {
    let mut stage = Stage::new(default);
    assert!(stage.reactor.set_timeouts(&stage.port, deadlines));
    stage
}

impl Stage {
    fn pass(&mut self, time: Duration) {
        self.script.advance(time);
        self.settle();
    }
}

#[test]
fn an_idle_connection_ends_in_order_with_its_reason() {
    let mut stage = stage(Timeouts::new().idle(s(10)));
    let peer = stage.connect();
    stage.pass(s(9));
    peer.send("hello");
    stage.settle();
    stage.pass(s(9));
    stage.log.expect(&["0 made", "0 data hello"]);
    stage.pass(s(1));
    stage.log.expect(&["0 timed out: Idle", "0 lost: nothing came for too long"]);
    // Its peer has spoken, and is to blame: nobody listens to it any more.
    assert_eq!(peer.closed(), Closed::InOrder);
    stage.expect_empty();
}

#[test]
fn a_packet_moves_no_timer() {
    let mut stage = stage(Timeouts::new().idle(s(10)).max_lifetime(s(1000)));
    let peer = stage.connect();
    let timer = stage.reactor.next_deadline();
    for _ in 0..100 {
        stage.script.advance(Duration::from_millis(99));
        peer.send("hello");
        stage.turn();
        assert_eq!(stage.reactor.next_deadline(), timer);
        assert_eq!(stage.reactor.timers.len(), 1);
    }
    // It looks once, and is set for what is left.
    stage.pass(Duration::from_millis(100));
    assert_eq!(
        stage.reactor.next_deadline(),
        Some(stage.reactor.now() + s(10) - Duration::from_millis(100))
    );
}

#[test]
fn what_a_peer_takes_is_no_idleness() {
    let mut stage = stage(Timeouts::new().idle(s(10)));
    let peer = stage.connect();
    peer.set_room(0);
    stage.transport(0).write(vec![0; 1000]);
    for _ in 0..5 {
        stage.pass(s(9));
        peer.set_room(1);
        stage.settle();
    }
    assert_eq!(stage.reactor.connection_count(), 1);
    stage.pass(s(10));
    assert_eq!(stage.log.count("0 timed out: Idle"), 1);
}

#[test]
fn a_peer_that_takes_too_little_is_reset() {
    let mut stage = stage(Timeouts::new().idle(s(10)).min_rate(10, s(5)));
    let peer = stage.connect();
    stage.pass(s(8));
    assert_eq!(stage.reactor.connection_count(), 1, "nothing is asked of it");
    peer.set_room(0);
    stage.transport(0).write(vec![0; 1000]);
    stage.settle();
    for _ in 0..4 {
        stage.pass(s(1));
        peer.set_room(2);
        stage.settle();
    }
    stage.pass(s(1));
    stage.log.expect(&["0 made", "0 timed out: MinRate", "0 lost: too little was sent or taken"]);
    assert_eq!(peer.closed(), Closed::Reset);
    stage.expect_empty();
}

#[test]
fn the_first_byte_is_waited_for_once() {
    let mut stage = stage(Timeouts::new().first_byte(s(5)));
    let (quick, _slow) = (stage.connect(), stage.connect());
    stage.pass(s(4));
    quick.send("x");
    stage.settle();
    stage.pass(s(1));
    assert_eq!(stage.log.count("1 timed out: FirstByte"), 1);
    stage.pass(s(1000));
    assert_eq!(stage.log.count("0 timed out: FirstByte"), 0);
    assert_eq!(stage.reactor.timers.len(), 0);
}

#[test]
fn a_handshake_a_byte_at_a_time_ends_at_its_deadline() {
    let mut stage = stage(Timeouts::new().handshake(s(10)).idle(s(5)));
    let (slow, quick) = (stage.connect(), stage.connect());
    stage.transport(1).handshake_done();
    for _ in 0..10 {
        slow.send("x");
        quick.send("x");
        stage.pass(s(1));
    }
    assert_eq!(stage.log.count("0 timed out: Handshake"), 1);
    assert_eq!(stage.log.count("1 timed out: Handshake"), 0);
}

#[test]
fn a_lifetime_ends_whatever_happens_even_while_it_closes() {
    let mut stage = stage(Timeouts::new().max_lifetime(s(8)));
    let (talks, closes) = (stage.connect(), stage.connect());
    closes.set_room(0);
    stage.transport(1).write("more");
    stage.transport(1).lose_connection();
    for _ in 0..8 {
        talks.send("x");
        stage.pass(s(1));
    }
    assert_eq!(stage.log.count("0 timed out: MaxLifetime"), 1);
    assert_eq!(stage.log.count("1 timed out: MaxLifetime"), 1);
    assert_eq!(stage.reactor.connection_count(), 0);
}

#[test]
fn a_timeout_of_the_protocol_s_own() {
    let mut stage = Stage::new(|event, cx| match event {
        Event::Made => cx.transport.set_timeout(s(10)),
        Event::Data(b"reset") => cx.transport.reset_timeout(),
        Event::Data(b"never") => cx.transport.set_timeout(None),
        Event::TimedOut(TimeoutKind::Protocol) => {
            cx.transport.write("goodbye");
            cx.transport.lose_connection();
        }
        _ => {}
    });
    let (one, two) = (stage.connect(), stage.connect());
    stage.pass(s(9));
    one.send("reset");
    two.send("never");
    stage.settle();
    stage.pass(s(9));
    one.send("other");
    stage.settle();
    stage.pass(s(1));
    assert_eq!(stage.log.count("0 timed out: Protocol"), 1);
    assert_eq!(one.received(), b"goodbye");
    assert_eq!(stage.log.count("0 lost: connection closed in order"), 1);
    stage.pass(s(1000));
    assert_eq!(stage.log.count("1 timed out: Protocol"), 0);
}

#[test]
fn a_protocol_may_let_the_connection_live() {
    let mut stage = Stage::new(|event, cx| {
        if let Event::TimedOut(_) = event {
            cx.transport.write("still there?");
        }
    });
    stage.reactor.set_timeouts(&stage.port, Timeouts::new().idle(s(10)).first_byte(s(3)));
    let peer = stage.connect();
    stage.pass(s(3));
    stage.pass(s(3));
    assert_eq!(stage.log.count("0 timed out: FirstByte"), 2);
    peer.send("yes");
    stage.settle();
    stage.pass(s(10));
    assert_eq!(stage.log.count("0 timed out: Idle"), 1);
    stage.pass(s(10));
    assert_eq!(stage.log.count("0 timed out: Idle"), 2);
    assert_eq!(stage.reactor.connection_count(), 1);
}

#[test]
fn deadlines_can_be_changed_and_taken_back_while_it_runs() {
    let mut stage = stage(Timeouts::new().idle(s(10)));
    stage.connect();
    stage.pass(s(9));
    stage.transport(0).set_timeouts(Timeouts::new().idle(s(2)));
    stage.settle();
    stage.pass(s(1));
    stage.pass(s(1));
    assert_eq!(stage.log.count("0 timed out: Idle"), 1);
    stage.connect();
    stage.transport(1).set_timeouts(Timeouts::new());
    stage.pass(s(1000));
    assert_eq!((stage.reactor.connection_count(), stage.reactor.timers.len()), (1, 0));
    // A key that reaches nobody.
    let port = stage.port;
    let (mut other, log) = (Stage::new(quiet), stage.log.clone());
    assert!(!other.reactor.set_timeouts(&port, Timeouts::new()));
    drop(log);
}

#[test]
fn no_deadline_outlives_its_connection() {
    let mut stage = stage(Timeouts::new().idle(s(10)).max_lifetime(s(20)));
    let peer = stage.connect();
    let transport = stage.transport(0);
    peer.close();
    stage.settle();
    transport.set_timeouts(Timeouts::new().idle(s(1)));
    transport.set_timeout(s(1));
    transport.reset_timeout();
    transport.handshake_done();
    stage.settle();
    stage.expect_empty();
}

#[test]
fn a_paused_connection_is_not_idle() {
    let mut stage = stage(Timeouts::new().idle(s(10)));
    stage.connect();
    stage.transport(0).pause_reading();
    stage.pass(s(10));
    stage.pass(s(10));
    assert_eq!(stage.log.count("0 timed out: Idle"), 0);
    stage.transport(0).resume_reading();
    stage.pass(s(9));
    assert_eq!(stage.log.count("0 timed out: Idle"), 0);
    stage.pass(s(10));
    assert_eq!(stage.log.count("0 timed out: Idle"), 1);
}

#[test]
fn a_panic_in_it_ends_the_connection() {
    let mut stage = Stage::new(|event, _| {
        assert!(!matches!(event, Event::TimedOut(_)), "boom");
    });
    stage.reactor.set_timeouts(&stage.port, Timeouts::new().max_lifetime(s(1)));
    stage.connect();
    stage.pass(s(1));
    assert_eq!(stage.log.count("0 lost: a callback panicked: boom"), 1);
    stage.expect_empty();
}

#[test]
fn who_has_something_unsent_when_his_time_is_over_is_reset() {
    let mut stage = stage(Timeouts::new().idle(s(10)));
    let peer = stage.connect();
    peer.set_room(3);
    stage.transport(0).write("goodbye");
    stage.settle();
    stage.pass(s(10));
    assert_eq!(stage.log.count("0 lost: nothing came for too long"), 1);
    // Its peer must not take three bytes for all there was.
    assert_eq!((peer.received(), peer.closed()), (b"goo".to_vec(), Closed::Reset));
    stage.expect_empty();
}

#[test]
fn whoever_has_spoken_in_time_is_not_blamed_for_a_loop_that_is_late() {
    let ways: [(&str, Timeouts); 4] = [
        ("idle", Timeouts::new().idle(s(1))),
        ("first byte", Timeouts::new().first_byte(s(1))),
        ("handshake", Timeouts::new().handshake(s(1))),
        ("progress", Timeouts::new().handshake(s(1000)).min_rate(4, s(1))),
    ];
    for (name, deadlines) in ways {
        let mut stage = Stage::new(|event, cx| match event {
            Event::Data(_) => cx.transport.handshake_done(),
            _ => default(event, cx),
        });
        stage.reactor.set_timeouts(&stage.port, deadlines);
        let (spoke, silent) = (stage.connect(), stage.connect());
        // The process was stopped, or a callback took long.
        spoke.send("in time");
        stage.script.advance(s(300));
        stage.settle();
        assert_eq!(stage.log.count("0 data in time"), 1, "{name}");
        assert!(stage.transport(0).is_connected(), "{name}");
        assert!(!stage.transport(1).is_connected(), "{name}: that one is to blame");
        drop((spoke, silent));
    }
}

#[test]
fn what_the_poller_has_not_handed_out_is_found_as_well() {
    let mut stage = stage(Timeouts::new().idle(s(1)));
    let peers: Vec<Peer> = (0..20).map(|_| stage.connect()).collect();
    stage.script.limit_events(3);
    peers.iter().for_each(|peer| peer.send("in time"));
    stage.script.advance(s(300));
    stage.settle();
    assert_eq!(stage.reactor.connection_count(), 20);
}

#[test]
fn more_than_a_turn_reads_is_looked_through_before_the_verdict() {
    let mut stage = Stage::new(|event, cx| match event {
        Event::Data(b"done") => cx.transport.handshake_done(),
        _ => default(event, cx),
    });
    stage.reactor.set_timeouts(&stage.port, Timeouts::new().handshake(s(1)));
    let (long, endless) = (stage.connect(), stage.connect());
    // What a socket may hold: more than twenty turns read.
    long.send(vec![0; 6 << 20]);
    long.send("done");
    stage.script.advance(s(300));
    for _ in 0..100 {
        endless.send(vec![0; 1 << 20]);
        stage.turn();
    }
    assert_eq!(stage.log.count("0 timed out: Handshake"), 0);
    assert_eq!(stage.log.count("1 timed out: Handshake"), 1, "nobody talks his way out of it");
}

#[test]
fn what_a_peer_has_taken_in_time_counts_though_the_loop_comes_late() {
    let mut stage = stage(Timeouts::new().idle(s(10)).min_rate(5, s(10)));
    let peer = stage.connect();
    peer.set_room(0);
    stage.transport(0).write(vec![0; 10]);
    stage.settle();
    peer.set_room_unannounced(6);
    stage.script.advance(s(300));
    stage.settle();
    assert_eq!((stage.reactor.connection_count(), peer.received().len()), (1, 6));
}

#[test]
fn what_is_set_before_a_connection_stands_counts_and_not_what_the_factory_has() {
    let mut stage = Stage::new(default);
    for own in [true, false] {
        let connector = stage.reactor.connect_tcp(([127, 0, 0, 1], 8000), &stage.port).unwrap();
        stage.reactor.set_timeouts(&connector, Timeouts::new().idle(s(1)));
        stage.reactor.set_rate_limits(&connector, RateLimits::new().write(1_000_000));
        let transport = connector.transport().clone();
        if own {
            transport.set_timeouts(Timeouts::new().idle(s(100)));
            transport.set_rate_limits(RateLimits::new().write(20));
        }
        stage.script.dialled().answer();
        stage.settle();
        transport.write([0; 2]);
        stage.turn();
        assert_eq!(transport.unsent(), usize::from(own), "a byte in each portion");
        stage.pass(s(1));
        stage.pass(s(1));
        assert_eq!(transport.is_connected(), own);
        stage.pass(s(100));
        assert!(!transport.is_connected());
    }
}

#[test]
fn what_is_set_when_a_protocol_is_built_counts_and_not_what_the_factory_has() {
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
    let mut stage = Stage::new(quiet);
    assert!(stage.reactor.stop_listening(&stage.port));
    let port = stage.reactor.listen_tcp(8008, Own).unwrap();
    stage.reactor.set_timeouts(&port, Timeouts::new().idle(s(1)));
    stage.reactor.set_rate_limits(&port, RateLimits::new().write(1_000_000));
    let _peer = stage.connect();
    stage.pass(s(99));
    assert_eq!(stage.reactor.connection_count(), 1);
    stage.pass(s(1));
    assert_eq!(stage.reactor.connection_count(), 0);
}

#[test]
fn a_peer_that_takes_too_little_of_an_answer_is_given_up_after_the_close_as_well() {
    for deadlines in [Timeouts::new().min_rate(1000, s(2)), Timeouts::new().idle(s(1))] {
        let mut stage = stage(deadlines);
        let peer = stage.script.connect();
        peer.set_room(0);
        stage.turn();
        stage.transport(0).write(vec![0; 1_000_000]);
        stage.transport(0).lose_connection();
        stage.settle();
        for _ in 0..10 {
            // Long before the close timeout.
            stage.pass(s(1));
            stage.pass(s(1));
            peer.set_room(100);
            stage.settle();
        }
        assert!(!stage.transport(0).is_connected());
        assert_eq!(peer.closed(), Closed::Reset);
        assert!(peer.received().len() <= 200);
        stage.expect_empty();
    }
}
