//! Producers that never end by themselves, and producers that write in a loop.

use super::*;
use crate::Producer;
use crate::driver::scripted::Closed;

/// Acts as the default callbacks do.
fn plain(event: Event<'_>, cx: &mut Context<'_, Probes>) {
    if event == Event::ReadLost {
        cx.transport.close_passively();
    }
}

type Register = fn(&mut Fixture, &Transport);

/// Producers that may give nothing for any time.
const ENDLESS: [(&str, Register); 3] = [
    ("push", |_, transport| transport.register_producer(Producer::push())),
    ("pull", |_, transport| transport.register_producer(Producer::pull())),
    ("connection", |fixture, transport| {
        fixture.connect();
        let producer = fixture.transport(1);
        transport.register_producer(&producer);
    }),
];

#[test]
fn a_producer_is_stopped_when_the_peer_closes() {
    for (producer, register) in ENDLESS {
        let mut fixture = Fixture::new(plain);
        let peer = fixture.connect();
        let transport = fixture.transport(0);
        register(&mut fixture, &transport);
        fixture.settle();
        peer.set_room(3);
        transport.write("goodbye");
        fixture.settle();
        peer.close();
        fixture.settle();
        assert!(transport.is_connected(), "{producer}: what was written is still sent");
        peer.set_room(100);
        fixture.settle();
        assert_eq!(fixture.log.count("0 lost: connection closed gracefully"), 1, "{producer}");
        assert_eq!((peer.received(), peer.closed()), (b"goodbye".to_vec(), Closed::InOrder));
        let others = fixture.log.count("1 made");
        assert_eq!(fixture.log.count("1 lost: connection closed gracefully"), others, "{producer}");
        fixture.expect_empty();
    }
}

#[test]
fn a_reader_is_sent_to_a_half_closed_peer() {
    let mut fixture = Fixture::new(plain);
    let peer = fixture.connect();
    peer.set_room(10);
    fixture.transport(0).register_producer(Producer::reader(&[b'x'; 100_000][..]));
    fixture.settle();
    peer.close();
    fixture.settle();
    peer.set_room(usize::MAX / 2);
    fixture.settle();
    assert_eq!(peer.received().len(), 100_000);
    assert_eq!(fixture.log.count("0 lost: connection closed gracefully"), 1);
    fixture.expect_empty();
}

#[test]
fn a_forwarder_of_two_connections_ends_with_either() {
    for closing in [0, 1] {
        let mut fixture = Fixture::new(|event, cx| {
            let other = usize::from(*cx.transport == cx.factory.all[0]);
            match (event, cx.factory.all.get(other)) {
                (Event::Data(data), Some(other)) => other.write(data),
                (Event::Lost, Some(other)) => other.lose_connection(),
                _ => plain(event, cx),
            }
        });
        let peers = [fixture.connect(), fixture.connect()];
        let transports = [fixture.transport(0), fixture.transport(1)];
        transports[0].register_producer(&transports[1]);
        transports[1].register_producer(&transports[0]);
        peers[closing].send("the last");
        peers[closing].close();
        fixture.settle();
        assert_eq!(peers[1 - closing].received(), b"the last");
        fixture.expect_empty();
    }
}

#[test]
fn waiting_for_a_producer_ends_at_the_close_timeout() {
    for (producer, register) in ENDLESS {
        for half_closed in [false, true] {
            let mut fixture = Fixture::new(quiet);
            let peer = fixture.connect();
            let transport = fixture.transport(0);
            register(&mut fixture, &transport);
            if half_closed {
                // The program must close this half, and does not.
                peer.close();
                transport.lose_write_connection();
            } else {
                transport.lose_connection();
            }
            fixture.settle();
            for _ in 0..3 {
                fixture.script.advance(Duration::from_secs(9));
                fixture.turn();
                assert!(transport.accepts_writes() && transport.is_connected(), "{producer}");
                transport.write("tick");
                fixture.settle();
            }
            fixture.script.advance(Duration::from_secs(10));
            fixture.settle();
            assert!(!transport.is_connected(), "{producer}, half closed: {half_closed}");
            assert_eq!((peer.received().len(), peer.closed()), (12, Closed::Reset));
        }
    }
}

/// More than any socket's buffer, in pieces that go straight to the socket, or do not.
const PIECES: usize = 1000;

/// Writes pieces in a loop for as long as it may.
fn looping<const LENGTH: usize>(event: Event<'_>, cx: &mut Context<'_, Probes>) {
    thread_local!(static WRITTEN: Cell<usize> = const { Cell::new(0) });
    match event {
        Event::Made => {
            WRITTEN.set(0);
            cx.transport.register_producer(Producer::push());
        }
        Event::Data(_) | Event::MayWrite => {}
        _ => return,
    }
    let mut burst = 0;
    while WRITTEN.get() < PIECES {
        if !cx.transport.may_produce() {
            assert!(cx.transport.accepts_writes());
            return;
        }
        cx.transport.write([b'x'; LENGTH]);
        WRITTEN.set(WRITTEN.get() + 1);
        burst += LENGTH;
        assert!(burst < 64 * 1024 + LENGTH, "no more than the mark in one callback");
    }
    cx.transport.unregister_producer();
    cx.transport.lose_connection();
}

#[test]
fn a_producer_that_asks_for_room_writes_everything_in_small_bursts() {
    type Act = fn(Event<'_>, &mut Context<'_, Probes>);
    let loops: [(usize, Act); 3] =
        [(100, looping::<100>), (8192, looping::<8192>), (100_000, looping::<100_000>)];
    for (length, act) in loops {
        // A socket that takes everything at once, and one that takes a little now and then.
        for room in [usize::MAX / 2, 50_000] {
            let mut fixture = Fixture::new(act);
            let peer = fixture.script.connect();
            peer.set_room(room);
            fixture.turn();
            let mut received = 0;
            for _ in 0..10_000 {
                fixture.turn();
                assert!(fixture.log.count("0 must wait") == 0, "it is told when it asks");
                received += peer.received().len();
                peer.set_room(room);
                if peer.closed() != Closed::No {
                    break;
                }
            }
            assert_eq!(received, PIECES * length, "in pieces of {length}, {room} at a time");
        }
    }
}

#[test]
fn asking_for_room_when_there_is_some_changes_nothing() {
    let mut fixture = Fixture::new(plain);
    let peer = fixture.connect();
    let transport = fixture.transport(0);
    assert!(transport.may_produce() && transport.accepts_writes());
    transport.register_producer(Producer::push());
    assert!(transport.may_produce());
    fixture.settle();
    fixture.log.expect(&["0 made"]);
    peer.set_room(0);
    transport.write([0; 64 * 1024]);
    assert!(!transport.may_produce() && !transport.may_produce());
    fixture.settle();
    fixture.log.expect(&[]);
    peer.set_room(usize::MAX / 2);
    fixture.settle();
    fixture.log.expect(&["0 may write"]);
    // It may continue while the connection waits for it, and not afterwards.
    transport.lose_connection();
    assert!(transport.may_produce() && transport.accepts_writes());
    transport.unregister_producer();
    assert!(!transport.may_produce() && !transport.accepts_writes());
}
