//! What a turn has for each connection, and for all of them together.

use super::*;
use crate::{Deadlines, LineContext, LineReceiver, Lines};

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

/// Yields when it reads "more", and notes how often it is called again.
fn yielding(event: Event<'_>, cx: &mut Context<'_, Probes>) {
    match event {
        Event::Data(b"more") => cx.transport.yield_now(),
        Event::ReadLost => cx.transport.lose_connection(),
        _ => {}
    }
}

#[test]
fn a_protocol_that_yields_is_called_again_before_anything_else_is_read() {
    let mut stage = Stage::new(yielding);
    let peer = stage.connect();
    peer.send("more");
    stage.turn();
    peer.send("what comes next");
    peer.close();
    stage.log.expect(&["0 made", "0 data more"]);
    assert!(stage.reactor.next_deadline().is_some_and(|due| due <= stage.reactor.now()));
    stage.turn();
    stage.log.expect(&["0 data ", "0 data what comes next", "0 read lost", CLOSED]);
    stage.settle();
    stage.expect_empty();
}

const CLOSED: &str = "0 lost: connection closed in order";

#[test]
fn a_protocol_that_yields_outside_of_reading_is_called_again_once() {
    let mut stage = Stage::new(|event, cx| {
        if event == Event::Timer {
            cx.transport.yield_now();
            cx.transport.yield_now();
        }
    });
    stage.connect();
    let transport = stage.transport(0);
    stage.reactor.set_connection_timer(&transport, Duration::ZERO);
    stage.settle();
    stage.log.expect(&["0 made", "0 timer", "0 data "]);
    transport.yield_now();
    stage.settle();
    stage.log.expect(&["0 data "]);
    transport.lose_connection();
    transport.yield_now();
    stage.settle();
    transport.yield_now();
    stage.settle();
    stage.log.expect(&[CLOSED]);
    stage.expect_empty();
}

#[test]
fn a_protocol_that_yields_is_called_again_though_it_has_paused_or_its_peer_is_gone() {
    let mut stage = Stage::new(|event, cx| {
        if let Event::Data(b"more") = event {
            cx.transport.pause_reading();
            cx.transport.yield_now();
        }
    });
    let (pausing, gone) = (stage.connect(), stage.connect());
    pausing.send("more");
    stage.settle();
    stage.log.expect(&["0 made", "1 made", "0 data more", "0 data "]);
    stage.transport(1).yield_now();
    gone.send("last");
    gone.reset_in_line();
    stage.settle();
    stage.log.expect(&["1 data ", "1 data last", "1 lost: connection lost: connection reset"]);
}

#[test]
fn a_protocol_that_yields_hears_of_a_failed_write_when_all_is_delivered() {
    let mut stage = Stage::new(|event, cx| match event {
        Event::Data(b"more") => cx.transport.yield_now(),
        Event::Data(b"") => cx.transport.write("answer"),
        _ => {}
    });
    let peer = stage.connect();
    peer.send("more");
    stage.turn();
    peer.send("and this");
    peer.break_writes();
    stage.settle();
    let log = stage.log.0.take();
    assert_eq!(log[..4], ["0 made", "0 data more", "0 data ", "0 data and this"]);
    assert!(log[4].starts_with("0 lost"), "{log:?}");
}

#[test]
fn a_protocol_that_yields_is_given_less_at_once_until_nothing_is_left() {
    let mut stage = Stage::new(|event, cx| {
        if let Event::Data([_, ..]) = event {
            cx.transport.yield_now();
        }
    });
    let peer = stage.connect();
    peer.send(vec![0; 2 * BUFFER]);
    stage.settle();
    stage.settle();
    let mut data: Vec<String> = stage.log.0.take();
    data.retain(|entry| entry.ends_with("bytes"));
    assert_eq!(data[0], "0 data 65536 bytes");
    assert_eq!(data[1..], ["0 data 8192 bytes"; 8]);
}

#[test]
fn one_whose_protocol_has_yielded_is_not_idle_and_a_drain_waits_for_it() {
    let mut stage = Stage::new(|event, cx| match event {
        Event::Data(_) if cx.factory.log.count("0 data ") < 30 => cx.transport.yield_now(),
        Event::Drain | Event::TimedOut(_) => cx.transport.lose_connection(),
        _ => {}
    });
    stage.reactor.set_deadlines(stage.port, Deadlines::new().idle(Duration::from_secs(1)));
    let peer = stage.connect();
    peer.send("more");
    for _ in 0..10 {
        stage.script.advance(Duration::from_millis(900));
        stage.turn();
    }
    assert_eq!(stage.log.count("0 timed out: Idle"), 0);
    stage.reactor.stop_gracefully(Duration::from_secs(100));
    for _ in 0..60 {
        if stage.reactor.turn(Some(Duration::ZERO)).unwrap().is_break() {
            break;
        }
    }
    let log = stage.log.0.take();
    let drained = log.iter().position(|entry| entry == "0 is to drain").unwrap();
    assert_eq!(log[..drained].iter().filter(|entry| *entry == "0 data ").count(), 30);
}

/// Counts its lines.
struct Counting(Rc<Cell<usize>>);

impl<F> LineReceiver<F> for Counting {
    fn line_received(&mut self, _: &mut LineContext<'_, F>, _: &[u8]) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn lines_give_the_loop_back_and_come_in_the_next_turn() {
    let (script, lines) = (Script::new(), Rc::new(Cell::new(0)));
    let mut reactor = Reactor::in_world(script.world(), Settings::default());
    let counter = Rc::clone(&lines);
    reactor.listen_tcp(8007, move || Lines::new(Counting(Rc::clone(&counter)))).unwrap();
    let turn = |reactor: &mut Reactor| {
        assert!(reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
    };
    let peer = script.connect();
    turn(&mut reactor);
    peer.send("a\r\n".repeat(1000));
    turn(&mut reactor);
    assert_eq!(lines.get(), 1000, "no time has passed");
    script.set_yields(true);
    peer.send("12345678\r\n".repeat(10));
    peer.close();
    for count in 1..=10 {
        turn(&mut reactor);
        assert_eq!(lines.get(), 1000 + count);
    }
    turn(&mut reactor);
    assert_eq!(reactor.connection_count(), 0);
}

/// Takes a tenth of a millisecond for each line.
struct Laborious(Script);

impl<F> LineReceiver<F> for Laborious {
    fn line_received(&mut self, _: &mut LineContext<'_, F>, _: &[u8]) {
        self.0.advance(Duration::from_micros(100));
    }
}

#[test]
fn lines_that_take_long_hold_nobody_up_for_long() {
    let script = Script::new();
    let mut reactor = Reactor::in_world(script.world(), Settings::default());
    let clock = script.clone();
    reactor.listen_tcp(8007, move || Lines::new(Laborious(clock.clone()))).unwrap();
    let peers: Vec<Peer> = (0..20).map(|_| script.connect()).collect();
    assert!(reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
    peers.iter().for_each(|peer| peer.send("a\r\n".repeat(500)));
    assert!(reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
    let (began, mut turns) = (reactor.now(), 0);
    while reactor.next_deadline().is_some() {
        let before = reactor.now();
        assert!(reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
        let took = reactor.now() - before;
        assert!(took <= Duration::from_millis(2 + 2), "{took:?}");
        turns += 1;
        assert!(turns < 2000);
    }
    assert!(reactor.now() - began >= Duration::from_micros(100) * 20 * 400);
}

#[test]
fn after_a_stall_nobody_who_talks_is_lost_though_some_send_without_a_pause() {
    for events_max in [usize::MAX, 16] {
        let mut stage = Stage::new(|event, cx| match event {
            Event::TimedOut(_) => cx.transport.lose_connection(),
            _ => echo(event, cx),
        });
        let deadlines = Deadlines::new().idle(Duration::from_secs(3));
        stage.reactor.set_deadlines(stage.port, deadlines);
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
        let deadlines = Deadlines::new().progress(1000, Duration::from_millis(200));
        transport.set_deadlines(deadlines);
        stage.settle();
        let _flooders = flood(&mut stage, 100);
        stage.turn();
        // Long before its time is over.
        peer.set_room(usize::MAX / 2);
        for _ in 0..200 {
            stage.turn();
        }
        assert_eq!(stage.log.count("0 timed out: Progress"), 0);
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
    assert_eq!(stage.log.count(&format!("0 {}", &CLOSED[2..])), 1);
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
