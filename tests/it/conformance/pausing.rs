//! Pausing and resuming reading.

use super::{Carrier, pattern};
use crate::support::{Client, Cx, Event, Server};
use std::time::Duration;
use twistor::Transport;

/// The byte `p` pauses, `b` pauses and resumes at once; `x`, `y` and `z` are noted. (Single bytes,
/// since no network splits them.)
fn pause_when_told(event: Event<'_>, cx: &mut Cx<'_>) {
    match event {
        Event::Data(b"p") => {
            cx.transport.pause_reading();
            cx.transport.pause_reading();
            cx.transport.write("paused");
        }
        Event::Data(b"b") => {
            cx.transport.pause_reading();
            cx.transport.resume_reading();
        }
        Event::Data([byte @ b'x'..=b'z']) => cx.factory.note(char::from(*byte)),
        Event::ReadLost => {
            cx.factory.note(format!("{} bytes", cx.factory.received));
            cx.transport.lose_connection();
        }
        _ => {}
    }
}

/// Echoes, and yields after each read.
fn yield_each_time(event: Event<'_>, cx: &mut Cx<'_>) {
    let probes = &mut *cx.factory;
    match event {
        Event::Data([]) => probes.written += 1,
        Event::Data(data) => {
            assert_eq!(probes.yields, probes.written, "it is called before anything is read");
            probes.yields += 1;
            cx.transport.write(data);
            cx.transport.yield_now();
        }
        Event::ReadLost => {
            assert_eq!(probes.yields, probes.written);
            probes.note(format!("{} bytes", probes.received));
            cx.transport.lose_connection();
        }
        _ => {}
    }
}

pub(super) fn a_protocol_that_yields_is_called_again_first_and_loses_nothing(carrier: Carrier) {
    let server = carrier.serve(yield_each_time);
    let mut client = server.connect();
    let bytes = pattern(300_000);
    for piece in bytes.chunks(70_000) {
        client.send(piece);
        client.expect(piece);
    }
    client.send(&bytes[..1000]);
    client.finish();
    assert!(client.rest() == bytes[..1000]);
    server.expect(&["0 made", "0 read lost", "301000 bytes", "0 lost: done"]);
}

/// Returns a client whose connection is paused.
fn paused(server: &Server) -> Client {
    let mut client = server.connect();
    client.send("p");
    client.expect("paused");
    server.expect(&["0 made"]);
    client
}

/// Calls a method of the first connection's transport.
fn ask(server: &Server, what: fn(&Transport)) {
    let port = server.port.clone();
    server
        .call(move |reactor| reactor.with_factory(&port, |probes, _| what(&probes.all[0])))
        .unwrap();
}

pub(super) fn a_paused_connection_reads_nothing_but_notices_a_reset(carrier: Carrier) {
    let server = carrier.serve(pause_when_told);
    let mut client = paused(&server);
    client.send("x");
    ask(&server, |transport| {
        assert!(transport.is_paused());
        transport.write("resuming");
        transport.resume_reading();
    });
    client.expect("resuming");
    server.expect(&["0 resumed", "x"]);
    client.send("p");
    client.expect("paused");
    ask(&server, |transport| transport.write("unread"));
    client.wait_for_bytes();
    client.reset();
    server.expect(&["0 lost: ConnectionReset"]);
}

pub(super) fn resuming_is_reported_once_and_before_held_back_data(carrier: Carrier) {
    let server = carrier.serve(pause_when_told);
    let mut client = paused(&server);
    client.send("x");
    ask(&server, |transport| {
        transport.resume_reading();
        transport.resume_reading();
    });
    server.expect(&["0 resumed", "x"]);
    ask(&server, Transport::resume_reading);
    client.send("y");
    server.expect(&["y"]);
    client.send("b");
    server.expect(&["0 resumed"]);
    client.send("z");
    server.expect(&["z"]);
    client.finish();
    client.expect_close();
    server.expect(&["0 read lost", "5 bytes", "0 lost: done"]);
}

pub(super) fn a_reader_that_stops_and_goes_loses_nothing(carrier: Carrier) {
    let server = carrier.serve(|event, cx| match event {
        Event::Data(data) => {
            assert!(!cx.transport.is_paused());
            cx.transport.write(data);
            cx.transport.pause_reading();
            cx.set_timer(Duration::from_micros(100));
        }
        Event::Timer => cx.transport.resume_reading(),
        Event::ReadLost => cx.transport.lose_connection(),
        _ => {}
    });
    let mut client = server.connect();
    let data = pattern(1 << 20);
    let sending = client.send_meanwhile(data);
    client.expect(data);
    assert!(sending.ended());
    client.finish();
    client.expect_close();
    server.wait_until("it is gone", |reactor| reactor.connection_count() == 0);
    let log = server.stop();
    let count = |what| log.iter().filter(|entry| *entry == what).count();
    assert!(count("0 timer") > 1);
    assert_eq!(count("0 timer"), count("0 resumed"));
}

pub(super) fn a_close_is_noticed_after_held_back_data(carrier: Carrier) {
    let server = carrier.serve(pause_when_told);
    let mut client = paused(&server);
    client.send([b'.'; 100_000]);
    drop(client);
    ask(&server, |transport| {
        assert!(transport.is_paused() && transport.is_connected());
        transport.resume_reading();
    });
    server.expect(&["0 resumed", "0 read lost", "100001 bytes", "0 lost: done"]);
}

pub(super) fn losing_a_paused_connection_keeps_the_goodbye(carrier: Carrier) {
    let server = carrier.serve(pause_when_told);
    let mut client = paused(&server);
    // Bytes that are unread when a socket closes would reset the connection.
    client.send(pattern(100_000));
    ask(&server, |transport| {
        transport.write("goodbye");
        transport.lose_connection();
        transport.resume_reading();
    });
    assert_eq!(client.rest(), b"goodbye");
    server.expect(&["0 lost: done"]);
    assert_eq!(server.stop(), ["stopped"]);
}

pub(super) fn pausing_when_made_sticks(carrier: Carrier) {
    let server = carrier.serve(|event, cx| match event {
        Event::Made => {
            cx.transport.pause_reading();
            cx.set_timer(Duration::from_millis(20));
        }
        Event::Timer => {
            assert_eq!(cx.factory.received, 0);
            cx.transport.resume_reading();
        }
        Event::Data(data) => cx.transport.write(data),
        _ => {}
    });
    let mut client = server.connect();
    client.send("at once");
    client.expect("at once");
    server.expect(&["0 made", "0 timer", "0 resumed"]);
}
