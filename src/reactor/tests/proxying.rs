//! Connections that feed others.

use super::*;
use crate::socket::scripted::Closed;

const HIGH: usize = 64 * 1024;
const LOW: usize = 16 * 1024;

/// Even numbers feed the next odd ones.
fn proxy(event: Event<'_>, cx: &mut Context<'_, Probes>) {
    let own = cx.factory.all.iter().position(|it| it == cx.transport).unwrap();
    if own % 2 != 0 {
        return;
    }
    let Some(other) = cx.factory.all.get(own + 1) else { return };
    match event {
        Event::Data(data) => other.write(data),
        Event::ReadLost => {
            other.lose_connection();
            cx.transport.lose_connection();
        }
        _ => {}
    }
}

/// A connection that feeds another.
fn pair(stage: &mut Stage) -> (Peer, Peer) {
    let (from, to) = (stage.connect(), stage.connect());
    let producer = stage.transport(0);
    stage.transport(1).register_producer(&producer);
    (from, to)
}

#[test]
fn a_proxy_never_holds_more_than_the_mark_and_loses_nothing() {
    let mut stage = Stage::new(proxy);
    let (from, to) = pair(&mut stage);
    to.set_room(0);
    let data: Vec<u8> = (0..1_000_000_u32).map(|at| (at % 251) as u8).collect();
    // Chunks that do not divide the mark.
    for chunk in data.chunks(9_999) {
        from.send(chunk);
    }
    from.close();
    let mut received = Vec::new();
    for round in 0.. {
        stage.turn();
        let unsent = stage.transport(1).unsent();
        assert!(unsent <= HIGH, "{unsent}");
        assert!(round < 1000, "no more arrives than {}", received.len());
        if received.len() == data.len() {
            break;
        }
        to.set_room(1 + round * 997 % 30_000);
        received.extend(to.received());
    }
    stage.settle();
    received.extend(to.received());
    assert!(received == data);
    stage.settle();
    stage.expect_empty();
}

#[test]
fn a_paused_producer_is_not_read_and_goes_on_at_the_low_mark() {
    let mut stage = Stage::new(proxy);
    let (from, to) = pair(&mut stage);
    to.set_room(0);
    from.send(vec![0; 10 * HIGH]);
    stage.settle();
    let reads = from.calls().reads;
    assert_eq!(stage.transport(1).unsent(), HIGH);
    stage.settle();
    assert_eq!(from.calls().reads, reads, "it is not even asked");
    to.set_room(HIGH - LOW - 1);
    stage.settle();
    assert_eq!(from.calls().reads, reads);
    to.set_room(1);
    stage.settle();
    assert_eq!(stage.transport(1).unsent(), HIGH);
    // Reading was never paused by the protocol, and it hears nothing.
    assert!(!stage.transport(0).is_paused());
    assert_eq!(stage.log.count("0 resumed"), 0);
}

#[test]
fn a_connection_may_feed_itself() {
    let mut stage = Stage::new(echo);
    let peer = stage.connect();
    let own = stage.transport(0);
    own.register_producer(&own);
    peer.set_room(0);
    for _ in 0..100 {
        peer.send(vec![0; 10_000]);
    }
    stage.settle();
    assert_eq!(own.unsent(), HIGH);
    peer.close();
    let mut received = 0;
    for _ in 0..100 {
        peer.set_room(20_000);
        stage.turn();
        assert!(own.unsent() <= HIGH);
        received += peer.received().len();
    }
    assert_eq!(received, 1_000_000);
    stage.expect_empty();
}

#[test]
fn a_consumer_that_is_gone_ends_its_producer() {
    let mut stage = Stage::new(proxy);
    let (from, to) = pair(&mut stage);
    to.reset();
    stage.settle();
    assert_eq!(from.closed(), Closed::InOrder);
    stage.expect_empty();
    // And one that was gone already.
    let mut stage = Stage::new(proxy);
    let (gone, from) = (stage.connect(), stage.connect());
    let (consumer, producer) = (stage.transport(0), stage.transport(1));
    gone.reset();
    stage.settle();
    consumer.register_producer(&producer);
    stage.settle();
    assert_eq!(from.closed(), Closed::InOrder);
    stage.expect_empty();
}

#[test]
fn a_closing_consumer_waits_for_its_producer_and_takes_what_it_writes() {
    let mut stage = Stage::new(proxy);
    let (from, to) = pair(&mut stage);
    stage.transport(1).lose_connection();
    for piece in ["one ", "two ", "three"] {
        // It has ten seconds for each.
        stage.script.advance(Duration::from_secs(9));
        from.send(piece);
        stage.settle();
    }
    assert_eq!(to.received(), b"one two three");
    assert_eq!(stage.log.count("1 lost: connection closed in order"), 0);
    from.close();
    stage.settle();
    assert_eq!(stage.log.count("1 lost: connection closed in order"), 1);
    assert_eq!(to.closed(), Closed::InOrder);
}

#[test]
fn a_producer_that_gives_nothing_is_not_waited_for_for_ever() {
    let mut stage = Stage::new(proxy);
    let (from, to) = pair(&mut stage);
    from.send("one ");
    stage.settle();
    stage.transport(1).lose_connection();
    stage.settle();
    stage.script.advance(Duration::from_secs(10));
    stage.settle();
    assert_eq!(to.received(), b"one ");
    // It was to give more: its consumer's peer must not take this for the whole.
    assert_eq!((to.closed(), from.closed()), (Closed::Reset, Closed::No));
    assert_eq!(stage.log.count(&format!("1 lost: {CLOSE}")), 1);
    assert_eq!(stage.log.count("0 lost: connection closed in order"), 1, "it is stopped");
}

const CLOSE: &str = "the last bytes were not taken, or not produced, in time";

/// A consumer with something unsent that waits for its producer; and then that is ended.
fn end_producer(end: fn(&Transport)) -> (Stage, Peer, Peer) {
    let mut stage = Stage::new(proxy);
    let (from, to) = pair(&mut stage);
    to.set_room(0);
    from.send(vec![0; 2 * HIGH]);
    stage.settle();
    let (producer, consumer) = (stage.transport(0), stage.transport(1));
    consumer.lose_write_connection();
    end(&producer);
    stage.settle();
    to.set_room(usize::MAX / 2);
    stage.settle();
    (stage, from, to)
}

#[test]
fn a_producer_that_is_closed_by_this_side_releases_its_consumer() {
    let (stage, _from, to) = end_producer(Transport::lose_connection);
    assert_eq!(to.received().len(), HIGH);
    assert_eq!((stage.log.count("1 write lost"), to.output_finished()), (1, true));
}

#[test]
fn a_producer_that_breaks_off_fails_the_consumer_that_waits_for_it() {
    let (stage, _from, to) = end_producer(Transport::abort_connection);
    let reason = "given up: the connection that fed this one was lost before its end";
    assert_eq!(stage.log.count(&format!("1 lost: {reason}")), 1);
    assert_eq!((to.closed(), to.output_finished()), (Closed::Reset, false));
    // One that does not wait decides by itself, and a close is a close.
    let mut stage = Stage::new(proxy);
    let (from, to) = pair(&mut stage);
    from.reset();
    stage.settle();
    stage.transport(1).lose_connection();
    stage.settle();
    assert_eq!(to.closed(), Closed::InOrder);
    // What else ends it does so with a reset.
    let mut stage = Stage::new(proxy);
    let (from, to) = pair(&mut stage);
    from.reset();
    stage.settle();
    stage.transport(1).fail("because");
    stage.settle();
    assert_eq!(to.closed(), Closed::Reset);
}

#[test]
fn a_reset_is_noticed_while_a_closing_connection_waits_for_its_producer() {
    let mut stage = Stage::new(proxy);
    let (_from, to) = pair(&mut stage);
    stage.transport(1).lose_connection();
    stage.settle();
    to.reset();
    stage.settle();
    assert_eq!(stage.reactor.connection_count(), 0, "and the producer is stopped");
}

#[test]
fn a_slow_consumer_among_several_holds_the_producer() {
    let mut stage = Stage::new(|event, cx| {
        if let (Event::Data(data), true) = (event, *cx.transport == cx.factory.all[0]) {
            cx.factory.all[1].write(data);
            cx.factory.all[2].write(data);
        }
    });
    let (from, fast, slow) = (stage.connect(), stage.connect(), stage.connect());
    let producer = stage.transport(0);
    stage.transport(1).register_producer(&producer);
    stage.transport(2).register_producer(&producer);
    slow.set_room(0);
    from.send(vec![0; 3 * HIGH]);
    stage.settle();
    assert_eq!(fast.received().len(), HIGH);
    slow.set_room(usize::MAX / 2);
    stage.settle();
    assert_eq!((fast.received().len(), slow.received().len()), (2 * HIGH, 3 * HIGH));
}

#[test]
fn unregistering_in_the_producer_s_own_timer_goes_on_reading() {
    let mut stage = Stage::new(|event, cx| match event {
        Event::Made => drop(cx.set_timer(Duration::from_secs(1))),
        Event::Timer => cx.factory.all.iter().for_each(Transport::unregister_producer),
        Event::Data(data) => {
            if let (true, Some(other)) = (*cx.transport == cx.factory.all[0], cx.factory.all.get(1))
            {
                other.write(data);
            }
        }
        _ => {}
    });
    let (from, to) = pair(&mut stage);
    to.set_room(0);
    from.send(vec![0; 3 * HIGH]);
    stage.settle();
    assert_eq!(stage.transport(1).unsent(), HIGH);
    stage.script.advance(Duration::from_secs(1));
    stage.settle();
    assert_eq!(stage.transport(1).unsent(), 3 * HIGH);
}

#[test]
fn a_broken_stream_between_two_that_feed_each_other_does_not_look_whole() {
    for broken in [0, 1] {
        let mut stage = Stage::new(|event, cx| {
            let other = usize::from(*cx.transport == cx.factory.all[0]);
            match (event, cx.factory.all.get(other)) {
                (Event::Data(data), Some(other)) => other.write(data),
                (Event::ReadLost, Some(other)) => other.lose_write_connection(),
                _ => {}
            }
        });
        let peers = [stage.connect(), stage.connect()];
        let transports = [stage.transport(0), stage.transport(1)];
        transports[0].register_producer(&transports[1]);
        transports[1].register_producer(&transports[0]);
        peers[broken].send("half an answer");
        stage.settle();
        peers[broken].reset();
        stage.settle();
        assert_eq!(peers[1 - broken].received(), b"half an answer");
        assert_eq!(peers[1 - broken].closed(), Closed::Reset, "{broken}");
        stage.expect_empty();
    }
}

#[test]
fn a_peer_that_is_not_read_because_the_consumer_is_full_is_not_idle() {
    let second = Duration::from_secs(1);
    let mut stage = Stage::new(|event, cx| match event {
        Event::TimedOut(deadline) => cx.transport.time_out(deadline),
        _ => proxy(event, cx),
    });
    let (from, to) = pair(&mut stage);
    stage.transport(0).set_timeouts(crate::limits::Timeouts::new().idle(10 * second));
    to.set_room(0);
    from.send(vec![0; 3 * HIGH]);
    stage.settle();
    for _ in 0..100 {
        // A little now and then, as a slow client takes it.
        stage.script.advance(second);
        to.set_room(100);
        stage.settle();
        assert!(stage.transport(0).is_connected());
    }
    to.set_room(usize::MAX / 2);
    stage.settle();
    // From here on it is read, and has its time.
    stage.script.advance(9 * second);
    stage.settle();
    assert!(stage.transport(0).is_connected());
    stage.script.advance(second);
    stage.settle();
    assert!(!stage.transport(0).is_connected());
}

/// Though nothing lies in its socket when it is read again.
#[test]
fn the_time_behind_a_full_consumer_counts_for_no_idleness() {
    let second = Duration::from_secs(1);
    let mut stage = Stage::new(|event, cx| match event {
        Event::TimedOut(deadline) => cx.transport.time_out(deadline),
        _ => proxy(event, cx),
    });
    let (from, to) = pair(&mut stage);
    stage.transport(0).set_timeouts(crate::limits::Timeouts::new().idle(10 * second));
    to.set_room(0);
    from.send(vec![0; HIGH]);
    stage.settle();
    assert_eq!(stage.transport(1).unsent(), HIGH);
    for time in [10, 5] {
        stage.script.advance(time * second);
        stage.settle();
    }
    to.set_room(usize::MAX / 2);
    stage.settle();
    assert_eq!(stage.transport(1).unsent(), 0);
    stage.script.advance(9 * second);
    stage.settle();
    assert!(stage.transport(0).is_connected());
    stage.script.advance(second);
    stage.settle();
    assert!(!stage.transport(0).is_connected());
}

#[test]
fn a_close_that_waits_for_its_producer_looks_at_it_before_it_gives_up() {
    let mut stage = Stage::new(proxy);
    let (from, to) = pair(&mut stage);
    stage.transport(1).lose_connection();
    stage.settle();
    // The loop was held up for longer than the close timeout, which is ten seconds.
    from.send("in time");
    stage.script.advance(Duration::from_secs(3600));
    stage.turn();
    assert_eq!((to.received(), to.closed()), (b"in time".to_vec(), Closed::No));
    stage.script.advance(Duration::from_secs(10));
    stage.settle();
    assert_eq!(to.closed(), Closed::Reset);
}

#[test]
fn a_drain_leaves_no_consumer_with_half_a_stream_that_looks_whole() {
    for finishes in [true, false] {
        let mut stage = Stage::new(|event, cx| match event {
            Event::Drain => cx.transport.drain(),
            _ => proxy(event, cx),
        });
        let (from, to) = pair(&mut stage);
        from.send("half ");
        stage.settle();
        stage.reactor.stop_gracefully(Duration::from_secs(5));
        stage.settle();
        from.send("an answer");
        if finishes {
            from.close();
        }
        for _ in 0..10 {
            if stage.reactor.turn(Some(Duration::ZERO)).unwrap().is_break() {
                break;
            }
            stage.script.advance(Duration::from_secs(1));
        }
        assert_eq!(to.received(), b"half an answer");
        let end = if finishes { Closed::InOrder } else { Closed::Reset };
        assert_eq!(to.closed(), end);
        assert_eq!(stage.reactor.connection_count(), 0);
    }
}
