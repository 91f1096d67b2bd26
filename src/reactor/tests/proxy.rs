//! Proxies: connections that feed others.

use super::*;
use crate::driver::scripted::Closed;

const HIGH: usize = 64 * 1024;
const LOW: usize = 16 * 1024;

/// Lets each connection with an even number feed the next one.
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

/// Connects two peers, of which the first feeds the second.
fn pair(fixture: &mut Fixture) -> (Peer, Peer) {
    let (from, to) = (fixture.connect(), fixture.connect());
    let producer = fixture.transport(0);
    fixture.transport(1).register_producer(&producer);
    (from, to)
}

#[test]
fn a_proxy_never_holds_more_than_the_mark_and_loses_nothing() {
    let mut fixture = Fixture::new(proxy);
    let (from, to) = pair(&mut fixture);
    to.set_room(0);
    let data: Vec<u8> = (0..1_000_000_u32).map(|at| (at % 251) as u8).collect();
    // Chunks that do not divide the mark.
    for producer_buffer in data.chunks(9_999) {
        from.send(producer_buffer);
    }
    from.close();
    let mut received = Vec::new();
    for round in 0.. {
        fixture.turn();
        let unsent = fixture.transport(1).unsent();
        assert!(unsent <= HIGH, "{unsent}");
        assert!(round < 1000, "no more arrives than {}", received.len());
        if received.len() == data.len() {
            break;
        }
        to.set_room(1 + round * 997 % 30_000);
        received.extend(to.received());
    }
    fixture.settle();
    received.extend(to.received());
    assert!(received == data);
    fixture.settle();
    fixture.expect_empty();
}

#[test]
fn a_paused_producer_is_not_read_and_continues_at_the_low_mark() {
    let mut fixture = Fixture::new(proxy);
    let (from, to) = pair(&mut fixture);
    to.set_room(0);
    from.send(vec![0; 10 * HIGH]);
    fixture.settle();
    let reads = from.calls().reads;
    assert_eq!(fixture.transport(1).unsent(), HIGH);
    fixture.settle();
    assert_eq!(from.calls().reads, reads, "it is not even asked");
    to.set_room(HIGH - LOW - 1);
    fixture.settle();
    assert_eq!(from.calls().reads, reads);
    to.set_room(1);
    fixture.settle();
    assert_eq!(fixture.transport(1).unsent(), HIGH);
    // Reading was never paused by the protocol, and it hears nothing.
    assert!(!fixture.transport(0).is_paused());
    assert_eq!(fixture.log.count("0 resumed"), 0);
}

#[test]
fn a_connection_may_feed_itself() {
    let mut fixture = Fixture::new(echo);
    let peer = fixture.connect();
    let own = fixture.transport(0);
    own.register_producer(&own);
    peer.set_room(0);
    for _ in 0..100 {
        peer.send(vec![0; 10_000]);
    }
    fixture.settle();
    assert_eq!(own.unsent(), HIGH);
    peer.close();
    let mut received = 0;
    for _ in 0..100 {
        peer.set_room(20_000);
        fixture.turn();
        assert!(own.unsent() <= HIGH);
        received += peer.received().len();
    }
    assert_eq!(received, 1_000_000);
    fixture.expect_empty();
}

#[test]
fn a_consumer_that_is_gone_ends_its_producer() {
    let mut fixture = Fixture::new(proxy);
    let (from, to) = pair(&mut fixture);
    to.reset();
    fixture.settle();
    assert_eq!(from.closed(), Closed::InOrder);
    fixture.expect_empty();
    // A consumer that was gone already.
    let mut fixture = Fixture::new(proxy);
    let (gone, from) = (fixture.connect(), fixture.connect());
    let (consumer, producer) = (fixture.transport(0), fixture.transport(1));
    gone.reset();
    fixture.settle();
    consumer.register_producer(&producer);
    fixture.settle();
    assert_eq!(from.closed(), Closed::InOrder);
    fixture.expect_empty();
}

#[test]
fn a_closing_consumer_waits_for_its_producer_and_takes_what_it_writes() {
    let mut fixture = Fixture::new(proxy);
    let (from, to) = pair(&mut fixture);
    fixture.transport(1).lose_connection();
    for piece in ["one ", "two ", "three"] {
        // The close timeout is ten seconds for each.
        fixture.script.advance(Duration::from_secs(9));
        from.send(piece);
        fixture.settle();
    }
    assert_eq!(to.received(), b"one two three");
    assert_eq!(fixture.log.count("1 lost: connection closed gracefully"), 0);
    from.close();
    fixture.settle();
    assert_eq!(fixture.log.count("1 lost: connection closed gracefully"), 1);
    assert_eq!(to.closed(), Closed::InOrder);
}

#[test]
fn a_closing_consumer_does_not_wait_for_a_silent_producer_for_ever() {
    let mut fixture = Fixture::new(proxy);
    let (from, to) = pair(&mut fixture);
    from.send("one ");
    fixture.settle();
    fixture.transport(1).lose_connection();
    fixture.settle();
    fixture.script.advance(Duration::from_secs(10));
    fixture.settle();
    assert_eq!(to.received(), b"one ");
    // It did not end: the consumer's peer must not take this for the whole stream.
    assert_eq!((to.closed(), from.closed()), (Closed::Reset, Closed::No));
    assert_eq!(fixture.log.count(&format!("1 lost: {CLOSE}")), 1);
    assert_eq!(fixture.log.count("0 lost: connection closed gracefully"), 1, "it is stopped");
}

const CLOSE: &str = "close timeout: the last bytes were not sent in time";

/// Ends the producer of a closing consumer that has something unsent and waits for it.
fn end_producer(end: fn(&Transport)) -> (Fixture, Peer, Peer) {
    let mut fixture = Fixture::new(proxy);
    let (from, to) = pair(&mut fixture);
    to.set_room(0);
    from.send(vec![0; 2 * HIGH]);
    fixture.settle();
    let (producer, consumer) = (fixture.transport(0), fixture.transport(1));
    consumer.lose_write_connection();
    end(&producer);
    fixture.settle();
    to.set_room(usize::MAX / 2);
    fixture.settle();
    (fixture, from, to)
}

#[test]
fn a_producer_that_is_closed_by_this_side_releases_its_consumer() {
    let (fixture, _from, to) = end_producer(Transport::lose_connection);
    assert_eq!(to.received().len(), HIGH);
    assert_eq!((fixture.log.count("1 write lost"), to.output_finished()), (1, true));
}

#[test]
fn a_producer_that_breaks_off_fails_the_consumer_that_waits_for_it() {
    let (fixture, _from, to) = end_producer(Transport::abort_connection);
    let reason = "failed: the connection that fed this one was lost before its end";
    assert_eq!(fixture.log.count(&format!("1 lost: {reason}")), 1);
    assert_eq!((to.closed(), to.output_finished()), (Closed::Reset, false));
    // A consumer that does not wait decides by itself, and its close is orderly.
    let mut fixture = Fixture::new(proxy);
    let (from, to) = pair(&mut fixture);
    from.reset();
    fixture.settle();
    fixture.transport(1).lose_connection();
    fixture.settle();
    assert_eq!(to.closed(), Closed::InOrder);
    // Any other end is a reset.
    let mut fixture = Fixture::new(proxy);
    let (from, to) = pair(&mut fixture);
    from.reset();
    fixture.settle();
    fixture.transport(1).fail("because");
    fixture.settle();
    assert_eq!(to.closed(), Closed::Reset);
}

#[test]
fn a_reset_is_noticed_while_a_closing_connection_waits_for_its_producer() {
    let mut fixture = Fixture::new(proxy);
    let (_from, to) = pair(&mut fixture);
    fixture.transport(1).lose_connection();
    fixture.settle();
    to.reset();
    fixture.settle();
    assert_eq!(fixture.reactor.connection_count(), 0, "and the producer is stopped");
}

#[test]
fn a_slow_consumer_among_several_holds_the_producer() {
    let mut fixture = Fixture::new(|event, cx| {
        if let (Event::Data(data), true) = (event, *cx.transport == cx.factory.all[0]) {
            cx.factory.all[1].write(data);
            cx.factory.all[2].write(data);
        }
    });
    let (from, fast, slow) = (fixture.connect(), fixture.connect(), fixture.connect());
    let producer = fixture.transport(0);
    fixture.transport(1).register_producer(&producer);
    fixture.transport(2).register_producer(&producer);
    slow.set_room(0);
    from.send(vec![0; 3 * HIGH]);
    fixture.settle();
    assert_eq!(fast.received().len(), HIGH);
    slow.set_room(usize::MAX / 2);
    fixture.settle();
    assert_eq!((fast.received().len(), slow.received().len()), (2 * HIGH, 3 * HIGH));
}

#[test]
fn unregistering_in_the_producer_s_own_timer_continues_reading() {
    let mut fixture = Fixture::new(|event, cx| match event {
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
    let (from, to) = pair(&mut fixture);
    to.set_room(0);
    from.send(vec![0; 3 * HIGH]);
    fixture.settle();
    assert_eq!(fixture.transport(1).unsent(), HIGH);
    fixture.script.advance(Duration::from_secs(1));
    fixture.settle();
    assert_eq!(fixture.transport(1).unsent(), 3 * HIGH);
}

#[test]
fn a_broken_stream_between_connections_that_feed_each_other_does_not_look_complete() {
    for broken in [0, 1] {
        let mut fixture = Fixture::new(|event, cx| {
            let other = usize::from(*cx.transport == cx.factory.all[0]);
            match (event, cx.factory.all.get(other)) {
                (Event::Data(data), Some(other)) => other.write(data),
                (Event::ReadLost, Some(other)) => other.lose_write_connection(),
                _ => {}
            }
        });
        let peers = [fixture.connect(), fixture.connect()];
        let transports = [fixture.transport(0), fixture.transport(1)];
        transports[0].register_producer(&transports[1]);
        transports[1].register_producer(&transports[0]);
        peers[broken].send("half an answer");
        fixture.settle();
        peers[broken].reset();
        fixture.settle();
        assert_eq!(peers[1 - broken].received(), b"half an answer");
        assert_eq!(peers[1 - broken].closed(), Closed::Reset, "{broken}");
        fixture.expect_empty();
    }
}

#[test]
fn a_peer_that_is_not_read_because_the_consumer_is_full_is_not_idle() {
    let second = Duration::from_secs(1);
    let mut fixture = Fixture::new(|event, cx| match event {
        Event::TimedOut(kind) => cx.transport.time_out(kind),
        _ => proxy(event, cx),
    });
    let (from, to) = pair(&mut fixture);
    fixture.transport(0).set_timeouts(crate::limits::Timeouts::new().idle(10 * second));
    to.set_room(0);
    from.send(vec![0; 3 * HIGH]);
    fixture.settle();
    for _ in 0..100 {
        // A little now and then, as a slow client takes it.
        fixture.script.advance(second);
        to.set_room(100);
        fixture.settle();
        assert!(fixture.transport(0).is_connected());
    }
    to.set_room(usize::MAX / 2);
    fixture.settle();
    // From now on it is read, and its idle timeout counts.
    fixture.script.advance(9 * second);
    fixture.settle();
    assert!(fixture.transport(0).is_connected());
    fixture.script.advance(second);
    fixture.settle();
    assert!(!fixture.transport(0).is_connected());
}

/// Holds even if its socket is empty when it is read again.
#[test]
fn time_behind_a_full_consumer_does_not_count_as_idle() {
    let second = Duration::from_secs(1);
    let mut fixture = Fixture::new(|event, cx| match event {
        Event::TimedOut(kind) => cx.transport.time_out(kind),
        _ => proxy(event, cx),
    });
    let (from, to) = pair(&mut fixture);
    fixture.transport(0).set_timeouts(crate::limits::Timeouts::new().idle(10 * second));
    to.set_room(0);
    from.send(vec![0; HIGH]);
    fixture.settle();
    assert_eq!(fixture.transport(1).unsent(), HIGH);
    for time in [10, 5] {
        fixture.script.advance(time * second);
        fixture.settle();
    }
    to.set_room(usize::MAX / 2);
    fixture.settle();
    assert_eq!(fixture.transport(1).unsent(), 0);
    fixture.script.advance(9 * second);
    fixture.settle();
    assert!(fixture.transport(0).is_connected());
    fixture.script.advance(second);
    fixture.settle();
    assert!(!fixture.transport(0).is_connected());
}

#[test]
fn a_close_that_waits_for_its_producer_reads_it_before_it_times_out() {
    let mut fixture = Fixture::new(proxy);
    let (from, to) = pair(&mut fixture);
    fixture.transport(1).lose_connection();
    fixture.settle();
    // The loop was held up for longer than the close timeout, which is ten seconds.
    from.send("in time");
    fixture.script.advance(Duration::from_secs(3600));
    fixture.turn();
    assert_eq!((to.received(), to.closed()), (b"in time".to_vec(), Closed::No));
    fixture.script.advance(Duration::from_secs(10));
    fixture.settle();
    assert_eq!(to.closed(), Closed::Reset);
}

#[test]
fn a_drain_leaves_no_truncated_stream_that_looks_complete() {
    for finishes in [true, false] {
        let mut fixture = Fixture::new(|event, cx| match event {
            Event::Drain => cx.transport.drain(),
            _ => proxy(event, cx),
        });
        let (from, to) = pair(&mut fixture);
        from.send("half ");
        fixture.settle();
        fixture.reactor.stop_gracefully(Duration::from_secs(5));
        fixture.settle();
        from.send("an answer");
        if finishes {
            from.close();
        }
        for _ in 0..10 {
            if fixture.reactor.turn(Some(Duration::ZERO)).unwrap().is_break() {
                break;
            }
            fixture.script.advance(Duration::from_secs(1));
        }
        assert_eq!(to.received(), b"half an answer");
        let end = if finishes { Closed::InOrder } else { Closed::Reset };
        assert_eq!(to.closed(), end);
        assert_eq!(fixture.reactor.connection_count(), 0);
    }
}
