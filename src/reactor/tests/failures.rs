//! Errors and panics of user code, wherever they occur.

use super::*;
use crate::driver::scripted::Closed;

#[test]
fn fail_sends_best_effort_without_waiting() {
    let mut fixture = Fixture::new(|event, cx| {
        if let Event::Data(_) = event {
            cx.transport.write("reason");
            cx.transport.fail("no such room");
        }
    });
    let peer = fixture.connect();
    peer.send("x");
    fixture.turn();
    fixture.log.expect(&["0 made", "0 data x", "0 lost: failed: no such room"]);
    assert_eq!(peer.received(), b"reason");
    assert!(peer.output_finished());
    peer.close();
    fixture.settle();
    assert_eq!(peer.closed(), Closed::InOrder);
}

#[test]
fn a_panic_ends_its_own_connection_and_no_other() {
    let mut fixture = Fixture::new(|event, cx| match event {
        Event::Data(b"panic") => panic!("on purpose"),
        Event::Data(data) => cx.transport.write(data),
        _ => {}
    });
    let (one, other) = (fixture.connect(), fixture.connect());
    one.send("panic");
    one.send("unheard");
    other.send("hello");
    fixture.settle();
    let mut log = fixture.log.0.borrow().clone();
    log.sort();
    assert_eq!(
        log,
        [
            "0 data panic",
            "0 lost: a callback panicked: on purpose",
            "0 made",
            "1 data hello",
            "1 made"
        ]
    );
    assert_eq!(other.received(), b"hello");
    assert_eq!(fixture.reactor.connection_count(), 1);
}

#[test]
fn a_failure_on_the_way_out_leaves_no_socket_behind() {
    let mut fixture = Fixture::new(|event, cx| match event {
        Event::Data(_) => drop(cx.set_timer(Duration::from_secs(1))),
        Event::Timer => {
            cx.transport.fail("and out");
            cx.factory.all[1].fail("and out too");
            cx.reactor.stop();
        }
        Event::Lost => cx.factory.all[2].fail("with me"),
        _ => {}
    });
    let peers: Vec<Peer> = (0..3).map(|_| fixture.connect()).collect();
    for peer in &peers {
        peer.send("received_any");
    }
    fixture.settle();
    fixture.script.advance(Duration::from_secs(1));
    assert!(fixture.reactor.turn(None).unwrap().is_break());
    fixture.expect_empty();
    for peer in &peers[1..] {
        assert_eq!(peer.closed(), Closed::InOrder);
    }
}

#[test]
fn errors_that_panic_end_their_own_connection_and_no_more() {
    let mut fixture = Fixture::new(|event, cx| match event {
        Event::Data(b"fail") => cx.transport.fail(Cursed),
        Event::Data(b"twice") => {
            cx.transport.fail("first");
            cx.transport.fail(Cursed);
        }
        Event::Data(b"panic") => {
            cx.transport.fail(Cursed);
            panic!("on top");
        }
        Event::Lost => cx.factory.log.push("lost"),
        _ => {}
    });
    let peers: Vec<Peer> = (0..3).map(|_| fixture.connect()).collect();
    for (peer, message) in peers.iter().zip(["fail", "twice", "panic"]) {
        peer.send(message);
    }
    fixture.settle();
    // The probe's own log displays the reason, and so panics before it logs anything.
    assert_eq!(fixture.reactor.connection_count(), 0);
    let late = fixture.connect();
    late.send("hello");
    fixture.settle();
    assert_eq!(fixture.log.count("3 data hello"), 1);
}
