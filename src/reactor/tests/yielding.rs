//! Protocols that yield to the loop before they are done.

use super::*;
use crate::limits::Timeouts;
use crate::{LineContext, LineReceiver, Lines};

const BUFFER: usize = super::super::scratch::BUFFER_LEN;

/// Yields when it reads "more".
fn yielding(event: Event<'_>, cx: &mut Context<'_, Probes>) {
    match event {
        Event::Data(b"more") => cx.transport.yield_now(),
        Event::ReadLost => cx.transport.lose_connection(),
        _ => {}
    }
}

#[test]
fn a_protocol_that_yields_is_called_again_before_anything_else_is_read() {
    let mut fixture = Fixture::new(yielding);
    let peer = fixture.connect();
    peer.send("more");
    fixture.turn();
    peer.send("what comes next");
    peer.close();
    fixture.log.expect(&["0 made", "0 data more"]);
    assert!(fixture.reactor.next_deadline().is_some_and(|due| due <= fixture.reactor.now()));
    fixture.turn();
    fixture.log.expect(&["0 data ", "0 data what comes next", "0 read lost", CLOSED]);
    fixture.settle();
    fixture.expect_empty();
}

const CLOSED: &str = "0 lost: connection closed gracefully";

#[test]
fn a_protocol_that_yields_outside_of_reading_is_called_again_once() {
    let mut fixture = Fixture::new(|event, cx| {
        if event == Event::Timer {
            cx.transport.yield_now();
            cx.transport.yield_now();
        }
    });
    fixture.connect();
    let transport = fixture.transport(0);
    fixture.reactor.set_timer(&transport, Duration::ZERO);
    fixture.settle();
    fixture.log.expect(&["0 made", "0 timer", "0 data "]);
    transport.yield_now();
    fixture.settle();
    fixture.log.expect(&["0 data "]);
    transport.lose_connection();
    transport.yield_now();
    fixture.settle();
    transport.yield_now();
    fixture.settle();
    fixture.log.expect(&[CLOSED]);
    fixture.expect_empty();
}

#[test]
fn a_protocol_that_yields_is_called_again_though_it_has_paused_or_its_peer_is_gone() {
    let mut fixture = Fixture::new(|event, cx| {
        if let Event::Data(b"more") = event {
            cx.transport.pause_reading();
            cx.transport.yield_now();
        }
    });
    let (pausing, gone) = (fixture.connect(), fixture.connect());
    pausing.send("more");
    fixture.settle();
    fixture.log.expect(&["0 made", "1 made", "0 data more", "0 data "]);
    fixture.transport(1).yield_now();
    gone.send("last");
    gone.reset_in_line();
    fixture.settle();
    fixture.log.expect(&["1 data ", "1 data last", "1 lost: connection lost: connection reset"]);
}

#[test]
fn a_protocol_that_yields_hears_of_a_failed_write_after_all_data() {
    let mut fixture = Fixture::new(|event, cx| match event {
        Event::Data(b"more") => cx.transport.yield_now(),
        Event::Data(b"") => cx.transport.write("answer"),
        _ => {}
    });
    let peer = fixture.connect();
    peer.send("more");
    fixture.turn();
    peer.send("and this");
    peer.break_writes();
    fixture.settle();
    let log = fixture.log.0.take();
    assert_eq!(log[..4], ["0 made", "0 data more", "0 data ", "0 data and this"]);
    assert!(log[4].starts_with("0 lost"), "{log:?}");
}

#[test]
fn a_protocol_that_yields_gets_smaller_reads_until_nothing_is_left() {
    let mut fixture = Fixture::new(|event, cx| {
        if let Event::Data([_, ..]) = event {
            cx.transport.yield_now();
        }
    });
    let peer = fixture.connect();
    peer.send(vec![0; 2 * BUFFER]);
    fixture.settle();
    fixture.settle();
    let mut data: Vec<String> = fixture.log.0.take();
    data.retain(|entry| entry.ends_with("bytes"));
    assert_eq!(data[0], "0 data 65536 bytes");
    assert_eq!(data[1..], ["0 data 8192 bytes"; 8]);
}

#[test]
fn a_connection_that_has_yielded_is_not_idle_and_a_drain_waits_for_it() {
    let mut fixture = Fixture::new(|event, cx| match event {
        Event::Data(_) if cx.factory.log.count("0 data ") < 30 => cx.transport.yield_now(),
        Event::Drain | Event::TimedOut(_) => cx.transport.lose_connection(),
        _ => {}
    });
    fixture.reactor.set_timeouts(&fixture.port, Timeouts::new().idle(Duration::from_secs(1)));
    let peer = fixture.connect();
    peer.send("more");
    for _ in 0..10 {
        fixture.script.advance(Duration::from_millis(900));
        fixture.turn();
    }
    assert_eq!(fixture.log.count("0 timed out: Idle"), 0);
    fixture.reactor.stop_gracefully(Duration::from_secs(100));
    for _ in 0..60 {
        if fixture.reactor.turn(Some(Duration::ZERO)).unwrap().is_break() {
            break;
        }
    }
    let log = fixture.log.0.take();
    let drained = log.iter().position(|entry| entry == "0 drain requested").unwrap();
    assert_eq!(log[..drained].iter().filter(|entry| *entry == "0 data ").count(), 30);
}

/// A receiver that counts its lines.
struct Counting(Rc<Cell<usize>>);

impl<F> LineReceiver<F> for Counting {
    fn line_received(&mut self, _: &mut LineContext<'_, F>, _: &[u8]) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn lines_yield_and_continue_in_the_next_turn() {
    let (script, lines) = (Script::new(), Rc::new(Cell::new(0)));
    let mut reactor = Reactor::with_driver(script.driver(), Settings::default());
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

/// A receiver that takes a tenth of a millisecond for each line.
struct Laborious(Script);

impl<F> LineReceiver<F> for Laborious {
    fn line_received(&mut self, _: &mut LineContext<'_, F>, _: &[u8]) {
        self.0.advance(Duration::from_micros(100));
    }
}

#[test]
fn slow_lines_hold_up_other_connections_only_briefly() {
    let script = Script::new();
    let mut reactor = Reactor::with_driver(script.driver(), Settings::default());
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
