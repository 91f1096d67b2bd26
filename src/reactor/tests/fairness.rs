//! What a turn has for each connection, and for all of them together.

use super::*;
use crate::limits::Timeouts;

const BUFFER: usize = super::super::BUFFER_LEN;

/// Echoes, and each write takes a millisecond.
fn slow_echo() -> Stage {
    let stage = Stage::new(echo);
    stage.script.set_write_takes(Duration::from_millis(1));
    stage
}

#[test]
fn nobody_waits_for_those_who_send_without_a_pause_however_many_they_are() {
    for count in [1, 10, 200] {
        let mut stage = slow_echo();
        let flooders: Vec<Peer> = (0..count).map(|_| stage.connect()).collect();
        let honest = stage.connect();
        for flooder in &flooders {
            (0..20).for_each(|_| flooder.send(vec![b'x'; BUFFER]));
        }
        // The first time they are read like everybody else.
        stage.turn();
        for _ in 0..10 {
            honest.send("ping");
            let before = stage.reactor.now();
            stage.turn();
            assert_eq!(honest.received(), b"ping", "in the same turn");
            // Two for its budget, up to four for the one that began before it was over.
            let took = stage.reactor.now() - before;
            assert!(took <= Duration::from_millis(1 + 2 + 4), "{count}: {took:?}");
        }
    }
}

#[test]
fn nobody_waits_for_those_who_take_without_a_pause_either() {
    for produced in [false, true] {
        let mut stage = slow_echo();
        let honest = stage.connect();
        let takers: Vec<Peer> = (0..50).map(|_| stage.connect()).collect();
        takers.iter().for_each(|taker| taker.set_room(0));
        for number in 1..=50 {
            let all = vec![b'x'; 1_000_000];
            match produced {
                true => {
                    let reader = crate::Producer::reader(io::Cursor::new(all));
                    stage.transport(number).register_producer(reader);
                }
                false => stage.transport(number).write(all),
            }
        }
        stage.settle();
        takers.iter().for_each(|taker| taker.set_room(usize::MAX / 2));
        let (mut turns, mut taken) = (0, 0);
        while taken < 50 * 1_000_000 {
            honest.send("ping");
            let before = stage.reactor.now();
            stage.turn();
            assert_eq!(honest.received(), b"ping", "in the same turn");
            let took = stage.reactor.now() - before;
            assert!(took <= Duration::from_millis(1 + 2 + 4), "{produced}: {took:?}");
            taken += takers.iter().map(|taker| taker.received().len()).sum::<usize>();
            turns += 1;
            assert!(turns < 1000);
        }
    }
}

#[test]
fn those_who_send_without_a_pause_take_turns_and_lose_nothing() {
    let mut stage = slow_echo();
    let flooders: Vec<Peer> = (0..30).map(|_| stage.connect()).collect();
    for flooder in &flooders {
        (0..20).for_each(|_| flooder.send(vec![b'x'; BUFFER]));
    }
    let mut lengths = vec![0; flooders.len()];
    for turn in 0.. {
        stage.turn();
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
    stage.settle();
    assert_eq!(stage.reactor.next_deadline(), None);
}

#[test]
fn of_very_many_each_gets_a_small_share_first() {
    let mut stage = slow_echo();
    stage.script.set_write_takes(Duration::ZERO);
    let peers: Vec<Peer> = (0..2000).map(|_| stage.connect()).collect();
    stage.script.set_write_takes(Duration::from_millis(1));
    peers.iter().for_each(|peer| peer.send([b'x'; 10_000]));
    stage.turn();
    let lengths: Vec<usize> = peers.iter().map(|it| it.received().len()).collect();
    assert_eq!(lengths.iter().filter(|&&length| length == 4096).count(), 1998);
    // And for as many as there was time, the rest.
    assert_eq!(lengths.iter().filter(|&&length| length == 10_000).count(), 2);
}

#[test]
fn one_who_sends_less_again_is_no_longer_behind_the_others() {
    let mut stage = slow_echo();
    let (one, other) = (stage.connect(), stage.connect());
    (0..10).for_each(|_| one.send(vec![b'x'; BUFFER]));
    stage.settle();
    (0..100).for_each(|_| other.send(vec![b'x'; BUFFER]));
    stage.turn();
    one.received();
    one.send("ping");
    stage.turn();
    assert_eq!(one.received(), b"ping");
    // It is read before the other.
    let log = stage.log.0.borrow();
    let last = log.iter().rposition(|entry| entry.starts_with("0 data")).unwrap();
    assert!(log[last..].iter().any(|entry| entry.starts_with("1 data")));
}

#[test]
fn after_a_stall_nobody_who_talks_is_lost_though_some_send_without_a_pause() {
    for events_max in [usize::MAX, 16] {
        let mut stage = Stage::new(|event, cx| match event {
            Event::TimedOut(_) => cx.transport.lose_connection(),
            _ => echo(event, cx),
        });
        let deadlines = Timeouts::new().idle(Duration::from_secs(3));
        stage.reactor.set_timeouts(&stage.port, deadlines);
        let peers: Vec<Peer> = (0..200).map(|_| stage.connect()).collect();
        stage.script.set_write_takes(Duration::from_millis(1));
        stage.script.limit_events(events_max);
        for _ in 0..3 {
            for (number, peer) in peers.iter().enumerate() {
                match number % 4 {
                    0 => (0..10).for_each(|_| peer.send(vec![b'x'; BUFFER])),
                    1 => {}
                    _ => peer.send("talk"),
                }
            }
            // The loop is held up for longer than anybody may be silent.
            stage.script.advance(Duration::from_secs(4));
            for _ in 0..200 {
                stage.turn();
            }
        }
        let log = stage.log.0.take();
        let lost = |number: usize| log.contains(&format!("{number} timed out: Idle"));
        let silent = |number: &usize| number % 4 == 1;
        assert_eq!((0..200).filter(|&it| lost(it)).collect::<Vec<_>>(), {
            (0..200).filter(silent).collect::<Vec<_>>()
        });
    }
}

/// Each of these sends all the time, and takes four milliseconds of each of its turns.
fn flood(stage: &mut Stage, count: usize) -> Vec<Peer> {
    let flooders: Vec<Peer> = (0..count).map(|_| stage.connect()).collect();
    stage.script.set_write_takes(Duration::from_millis(1));
    for flooder in &flooders {
        (0..40).for_each(|_| flooder.send(vec![b'x'; BUFFER]));
    }
    flooders
}

#[test]
fn one_that_takes_what_it_is_sent_is_not_blamed_for_its_place_in_the_queue() {
    for paused in [false, true] {
        let mut stage = Stage::new(|event, cx| match event {
            Event::TimedOut(deadline) => cx.transport.time_out(deadline),
            _ => echo(event, cx),
        });
        let peer = stage.connect();
        peer.set_room(0);
        let transport = stage.transport(0);
        transport.write(vec![0; 200_000]);
        if paused {
            transport.pause_reading();
        }
        let deadlines = Timeouts::new().min_rate(1000, Duration::from_millis(200));
        transport.set_timeouts(deadlines);
        stage.settle();
        let _flooders = flood(&mut stage, 100);
        stage.turn();
        // Long before its time is over.
        peer.set_room(usize::MAX / 2);
        for _ in 0..200 {
            stage.turn();
        }
        assert_eq!(stage.log.count("0 timed out: MinRate"), 0);
        assert_eq!(peer.received().len(), 200_000);
    }
}

#[test]
fn a_close_is_not_given_up_for_the_place_of_its_producer_in_the_queue() {
    let settings = Settings::default().close_timeout(Duration::from_millis(200));
    let mut stage = Stage::with(settings, |event, cx| match event {
        Event::Data(data) if cx.transport == &cx.factory.all[1] => cx.factory.all[0].write(data),
        _ => echo(event, cx),
    });
    let (peer, source) = (stage.connect(), stage.connect());
    let [fed, producer] = [0, 1].map(|number| stage.transport(number));
    fed.register_producer(&producer);
    stage.settle();
    let _flooders = flood(&mut stage, 100);
    (0..20).for_each(|_| source.send(vec![b'y'; BUFFER]));
    source.close();
    stage.turn();
    fed.lose_connection();
    for _ in 0..2000 {
        stage.turn();
    }
    assert_eq!(peer.received().len(), 20 * BUFFER);
    assert_eq!(stage.log.count("0 lost: connection closed in order"), 1);
}

#[test]
fn a_drain_waits_for_what_has_arrived_and_stands_in_the_queue() {
    let mut stage = Stage::new(|event, cx| match event {
        Event::Drain => cx.transport.lose_connection(),
        _ => echo(event, cx),
    });
    stage.script.set_write_takes(Duration::from_millis(1));
    let peers: Vec<Peer> = (0..10).map(|_| stage.connect()).collect();
    for peer in &peers {
        (0..10).for_each(|_| peer.send(vec![b'x'; BUFFER]));
    }
    stage.reactor.stop_gracefully(Duration::from_secs(100));
    for _ in 0..200 {
        if stage.reactor.turn(Some(Duration::ZERO)).unwrap().is_break() {
            break;
        }
    }
    for peer in &peers {
        assert_eq!(peer.received().len(), 10 * BUFFER);
    }
}

#[test]
fn a_broken_connection_with_much_to_send_is_told_at_once() {
    let mut stage = slow_echo();
    let peer = stage.connect();
    peer.set_room(0);
    stage.transport(0).write(vec![0; 200_000]);
    stage.settle();
    let _flooders = flood(&mut stage, 100);
    stage.turn();
    peer.reset();
    stage.turn();
    assert_eq!(stage.log.0.borrow().iter().filter(|it| it.starts_with("0 lost")).count(), 1);
}

#[test]
fn one_that_its_consumer_holds_back_does_not_keep_the_loop_awake() {
    let mut stage = Stage::new(|event, cx| {
        if let Event::Data(data) = event {
            cx.factory.all[0].write(data);
        }
    });
    let (sink, source) = (stage.connect(), stage.connect());
    let [fed, producer] = [0, 1].map(|number| stage.transport(number));
    fed.register_producer(&producer);
    sink.set_room(0);
    (0..10).for_each(|_| source.send(vec![0; BUFFER]));
    stage.settle();
    assert!(fed.unsent() > 0 && source.unread() > 0);
    assert_eq!(stage.reactor.next_deadline(), None);
}
