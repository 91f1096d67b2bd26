//! Half-close: the halves of a connection, closed one by one.

use super::{Carrier, pattern};
use crate::support::Event;
use std::time::Duration;

pub(super) fn a_close_by_the_peer_flushes_first(carrier: Carrier) {
    let server = carrier.serve(|event, cx| match event {
        Event::Data(_) => cx.transport.write(pattern(cx.factory.large)),
        Event::ReadLost => cx.transport.lose_connection(),
        _ => {}
    });
    let mut client = server.connect();
    client.send("x");
    client.finish();
    server.expect(&["0 made", "0 read lost"]);
    assert!(client.rest() == pattern(carrier.large()));
    server.expect(&["0 lost: done"]);
}

pub(super) fn a_half_closed_connection_can_be_written_to(carrier: Carrier) {
    let server = carrier.serve(|event, cx| match event {
        Event::ReadLost => drop(cx.set_timer(Duration::from_millis(1))),
        Event::Timer => {
            cx.transport.write("still here");
            cx.transport.lose_write_connection();
        }
        _ => {}
    });
    let client = server.connect();
    client.finish();
    assert_eq!(client.rest(), b"still here");
    // Both halves are closed, so the connection ends by itself.
    let end = ["0 made", "0 read lost", "0 timer", "0 write lost", "0 lost: done"];
    server.expect(&end);
}

pub(super) fn closing_the_writing_half_keeps_reading(carrier: Carrier) {
    let server = carrier.serve(|event, cx| match event {
        Event::Made => {
            cx.transport.write("that is all");
            cx.transport.lose_write_connection();
            cx.transport.lose_write_connection();
            cx.transport.write("too late");
        }
        Event::Data(data) => cx.factory.note(String::from_utf8_lossy(data)),
        _ => {}
    });
    let mut client = server.connect();
    client.expect("that is all");
    server.expect(&["0 made", "0 write lost"]);
    client.send("x");
    server.expect(&["x"]);
    client.expect_close();
    server.expect(&["0 read lost", "0 lost: done"]);
}

pub(super) fn closing_the_writing_half_sends_earlier_writes_first(carrier: Carrier) {
    let server = carrier.serve(|event, cx| {
        if event == Event::Made {
            cx.transport.write(pattern(cx.factory.large));
            cx.transport.lose_write_connection();
        }
    });
    let client = server.connect();
    server.expect(&["0 made"]);
    assert!(client.rest() == pattern(carrier.large()));
    server.expect(&["0 write lost", "0 read lost", "0 lost: done"]);
}

pub(super) fn both_sides_may_close_at_the_same_time(carrier: Carrier) {
    let server = carrier.serve(|_, _| {});
    let port = server.port.key();
    for number in 0..20 {
        let client = server.connect();
        server.expect(&[&format!("{number} made")]);
        client.finish();
        server
            .call(move |reactor| {
                reactor.with_factory(port, |probes, _| probes.all[number].lose_write_connection())
            })
            .unwrap();
        client.expect_close();
        let mut halves = [server.next(), server.next()];
        halves.sort();
        assert_eq!(halves, [format!("{number} read lost"), format!("{number} write lost")]);
        server.expect(&[&format!("{number} lost: done")]);
    }
}

pub(super) fn a_reset_after_a_half_close_is_noticed(carrier: Carrier) {
    let server = carrier.serve(|event, cx| match event {
        Event::Made => cx.transport.write("unread"),
        Event::Data(_) => cx.transport.lose_write_connection(),
        _ => {}
    });
    let client = server.connect();
    client.finish();
    server.expect(&["0 made", "0 read lost"]);
    client.wait_for_bytes();
    client.reset();
    // Linux reports another error once the FIN has arrived.
    let lost = server.next();
    assert!(["0 lost: ConnectionReset", "0 lost: BrokenPipe"].contains(&&*lost), "{lost}");

    let mut client = server.connect();
    client.send("x");
    server.expect(&["1 made", "1 write lost"]);
    client.wait_for_bytes();
    client.reset();
    server.expect(&["1 lost: ConnectionReset"]);
}
