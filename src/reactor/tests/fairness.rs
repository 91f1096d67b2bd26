//! Fairness: the budget of a turn for each connection, and for all together.

use super::*;
use crate::limits::Timeouts;

const BUFFER: usize = super::super::scratch::BUFFER_LEN;

/// An echo whose every write takes a millisecond.
fn slow_echo() -> Fixture {
    let fixture = Fixture::new(echo);
    fixture.script.set_write_takes(Duration::from_millis(1));
    fixture
}

#[test]
fn peers_that_send_without_pause_delay_no_other_however_many_they_are() {
    for count in [1, 10, 200] {
        let mut fixture = slow_echo();
        let flooders: Vec<Peer> = (0..count).map(|_| fixture.connect()).collect();
        let honest = fixture.connect();
        for flooder in &flooders {
            (0..20).for_each(|_| flooder.send(vec![b'x'; BUFFER]));
        }
        // The first time they are read like all others.
        fixture.turn();
        for _ in 0..10 {
            honest.send("ping");
            let before = fixture.reactor.now();
            fixture.turn();
            assert_eq!(honest.received(), b"ping", "in the same turn");
            // Two for the budget, up to four for the connection that began before it was over.
            let took = fixture.reactor.now() - before;
            assert!(took <= Duration::from_millis(1 + 2 + 4), "{count}: {took:?}");
        }
    }
}

#[test]
fn peers_that_receive_without_pause_delay_no_other() {
    for produced in [false, true] {
        let mut fixture = slow_echo();
        let honest = fixture.connect();
        let takers: Vec<Peer> = (0..50).map(|_| fixture.connect()).collect();
        takers.iter().for_each(|taker| taker.set_room(0));
        for number in 1..=50 {
            let all = vec![b'x'; 1_000_000];
            match produced {
                true => {
                    let reader = crate::Producer::reader(io::Cursor::new(all));
                    fixture.transport(number).register_producer(reader);
                }
                false => fixture.transport(number).write(all),
            }
        }
        fixture.settle();
        takers.iter().for_each(|taker| taker.set_room(usize::MAX / 2));
        let (mut turns, mut taken) = (0, 0);
        while taken < 50 * 1_000_000 {
            honest.send("ping");
            let before = fixture.reactor.now();
            fixture.turn();
            assert_eq!(honest.received(), b"ping", "in the same turn");
            let took = fixture.reactor.now() - before;
            assert!(took <= Duration::from_millis(1 + 2 + 4), "{produced}: {took:?}");
            taken += takers.iter().map(|taker| taker.received().len()).sum::<usize>();
            turns += 1;
            assert!(turns < 1000);
        }
    }
}

#[test]
fn peers_that_send_without_pause_take_turns_and_lose_nothing() {
    let mut fixture = slow_echo();
    let flooders: Vec<Peer> = (0..30).map(|_| fixture.connect()).collect();
    for flooder in &flooders {
        (0..20).for_each(|_| flooder.send(vec![b'x'; BUFFER]));
    }
    let mut lengths = vec![0; flooders.len()];
    for turn in 0.. {
        fixture.turn();
        for (length, flooder) in lengths.iter_mut().zip(&flooders) {
            *length += flooder.received().len();
        }
        let (least, most) = (lengths.iter().min().unwrap(), lengths.iter().max().unwrap());
        if *least == 20 * BUFFER {
            break;
        }
        // One round of four reads each.
        assert!(most - least <= 5 * BUFFER && turn < 1000, "{lengths:?}");
    }
    fixture.settle();
    assert_eq!(fixture.reactor.next_deadline(), None);
}

#[test]
fn each_of_very_many_connections_gets_a_small_share_first() {
    let mut fixture = slow_echo();
    fixture.script.set_write_takes(Duration::ZERO);
    let peers: Vec<Peer> = (0..2000).map(|_| fixture.connect()).collect();
    fixture.script.set_write_takes(Duration::from_millis(1));
    peers.iter().for_each(|peer| peer.send([b'x'; 10_000]));
    fixture.turn();
    let lengths: Vec<usize> = peers.iter().map(|it| it.received().len()).collect();
    assert_eq!(lengths.iter().filter(|&&length| length == 4096).count(), 1998);
    // As many as there was time for got the rest.
    assert_eq!(lengths.iter().filter(|&&length| length == 10_000).count(), 2);
}

#[test]
fn a_connection_that_is_no_longer_bulk_leaves_the_bulk_queue() {
    let mut fixture = slow_echo();
    let (one, other) = (fixture.connect(), fixture.connect());
    (0..10).for_each(|_| one.send(vec![b'x'; BUFFER]));
    fixture.settle();
    (0..100).for_each(|_| other.send(vec![b'x'; BUFFER]));
    fixture.turn();
    one.received();
    one.send("ping");
    fixture.turn();
    assert_eq!(one.received(), b"ping");
    // It is read before the other.
    let log = fixture.log.0.borrow();
    let last = log.iter().rposition(|entry| entry.starts_with("0 data")).unwrap();
    assert!(log[last..].iter().any(|entry| entry.starts_with("1 data")));
}

#[test]
fn after_a_stall_active_peers_do_not_time_out_beside_bulk_senders() {
    for events_max in [usize::MAX, 16] {
        let mut fixture = Fixture::new(|event, cx| match event {
            Event::TimedOut(_) => cx.transport.lose_connection(),
            _ => echo(event, cx),
        });
        let timeouts = Timeouts::new().idle(Duration::from_secs(3));
        fixture.reactor.set_timeouts(&fixture.port, timeouts);
        let peers: Vec<Peer> = (0..200).map(|_| fixture.connect()).collect();
        fixture.script.set_write_takes(Duration::from_millis(1));
        fixture.script.limit_events(events_max);
        for _ in 0..3 {
            for (number, peer) in peers.iter().enumerate() {
                match number % 4 {
                    0 => (0..10).for_each(|_| peer.send(vec![b'x'; BUFFER])),
                    1 => {}
                    _ => peer.send("talk"),
                }
            }
            // The loop is held up for longer than the idle timeout.
            fixture.script.advance(Duration::from_secs(4));
            for _ in 0..200 {
                fixture.turn();
            }
        }
        let log = fixture.log.0.take();
        let lost = |number: usize| log.contains(&format!("{number} timed out: Idle"));
        let silent = |number: &usize| number % 4 == 1;
        assert_eq!((0..200).filter(|&it| lost(it)).collect::<Vec<_>>(), {
            (0..200).filter(silent).collect::<Vec<_>>()
        });
    }
}

/// Adds `count` peers that send all the time, and take four milliseconds of each of their turns.
fn flood(fixture: &mut Fixture, count: usize) -> Vec<Peer> {
    let flooders: Vec<Peer> = (0..count).map(|_| fixture.connect()).collect();
    fixture.script.set_write_takes(Duration::from_millis(1));
    for flooder in &flooders {
        (0..40).for_each(|_| flooder.send(vec![b'x'; BUFFER]));
    }
    flooders
}

#[test]
fn a_peer_that_takes_bytes_does_not_time_out_for_its_place_in_the_bulk_queue() {
    for paused in [false, true] {
        let mut fixture = Fixture::new(|event, cx| match event {
            Event::TimedOut(kind) => cx.transport.time_out(kind),
            _ => echo(event, cx),
        });
        let peer = fixture.connect();
        peer.set_room(0);
        let transport = fixture.transport(0);
        transport.write(vec![0; 200_000]);
        if paused {
            transport.pause_reading();
        }
        let timeouts = Timeouts::new().min_rate(1000, Duration::from_millis(200));
        transport.set_timeouts(timeouts);
        fixture.settle();
        let _flooders = flood(&mut fixture, 100);
        fixture.turn();
        // Long before its timeout expires.
        peer.set_room(usize::MAX / 2);
        for _ in 0..200 {
            fixture.turn();
        }
        assert_eq!(fixture.log.count("0 timed out: MinRate"), 0);
        assert_eq!(peer.received().len(), 200_000);
    }
}

#[test]
fn a_close_does_not_time_out_for_its_producer_s_place_in_the_bulk_queue() {
    let settings = Settings::default().close_timeout(Duration::from_millis(200));
    let mut fixture = Fixture::with(settings, |event, cx| match event {
        Event::Data(data) if cx.transport == &cx.factory.all[1] => cx.factory.all[0].write(data),
        _ => echo(event, cx),
    });
    let (peer, source) = (fixture.connect(), fixture.connect());
    let [fed, producer] = [0, 1].map(|number| fixture.transport(number));
    fed.register_producer(&producer);
    fixture.settle();
    let _flooders = flood(&mut fixture, 100);
    (0..20).for_each(|_| source.send(vec![b'y'; BUFFER]));
    source.close();
    fixture.turn();
    fed.lose_connection();
    for _ in 0..2000 {
        fixture.turn();
    }
    assert_eq!(peer.received().len(), 20 * BUFFER);
    assert_eq!(fixture.log.count("0 lost: connection closed gracefully"), 1);
}

#[test]
fn a_drain_waits_for_data_of_connections_in_the_bulk_queue() {
    let mut fixture = Fixture::new(|event, cx| match event {
        Event::Drain => cx.transport.lose_connection(),
        _ => echo(event, cx),
    });
    fixture.script.set_write_takes(Duration::from_millis(1));
    let peers: Vec<Peer> = (0..10).map(|_| fixture.connect()).collect();
    for peer in &peers {
        (0..10).for_each(|_| peer.send(vec![b'x'; BUFFER]));
    }
    fixture.reactor.stop_gracefully(Duration::from_secs(100));
    for _ in 0..200 {
        if fixture.reactor.turn(Some(Duration::ZERO)).unwrap().is_break() {
            break;
        }
    }
    for peer in &peers {
        assert_eq!(peer.received().len(), 10 * BUFFER);
    }
}

#[test]
fn a_broken_connection_with_much_to_send_is_lost_at_once() {
    let mut fixture = slow_echo();
    let peer = fixture.connect();
    peer.set_room(0);
    fixture.transport(0).write(vec![0; 200_000]);
    fixture.settle();
    let _flooders = flood(&mut fixture, 100);
    fixture.turn();
    peer.reset();
    fixture.turn();
    assert_eq!(fixture.log.0.borrow().iter().filter(|it| it.starts_with("0 lost")).count(), 1);
}

#[test]
fn a_producer_held_back_by_its_consumer_does_not_keep_the_loop_awake() {
    let mut fixture = Fixture::new(|event, cx| {
        if let Event::Data(data) = event {
            cx.factory.all[0].write(data);
        }
    });
    let (sink, source) = (fixture.connect(), fixture.connect());
    let [fed, producer] = [0, 1].map(|number| fixture.transport(number));
    fed.register_producer(&producer);
    sink.set_room(0);
    (0..10).for_each(|_| source.send(vec![0; BUFFER]));
    fixture.settle();
    assert!(fed.unsent() > 0 && source.unread() > 0);
    assert_eq!(fixture.reactor.next_deadline(), None);
}
