//! The ways in which a connection ends, whole or by halves.

use super::{Carrier, pattern};
use crate::support::Event;
use std::time::Duration;
use twistor::Settings;

const MUCH: usize = 64 << 20;

pub(super) fn losing_the_connection_delivers_everything_to_one_who_reads_late(carrier: Carrier) {
    let server = carrier.serve(|event, cx| {
        if event == Event::Made {
            cx.transport.write(pattern(MUCH));
            cx.transport.lose_connection();
        }
    });
    let client = server.connect();
    server.expect(&["0 made"]);
    // Nothing is read yet, so the connection is still there.
    assert!(server.call(|reactor| reactor.connection_count() == 1));
    let received = client.rest();
    assert!(received == pattern(MUCH), "{} bytes", received.len());
    server.expect(&["0 lost: done"]);
}

pub(super) fn losing_the_connection_delivers_everything_to_one_who_goes_on_talking(
    carrier: Carrier,
) {
    let server = carrier.serve(|event, cx| {
        if let Event::Data(_) = event {
            cx.transport.write(pattern(4 << 20));
            cx.transport.lose_connection();
        }
    });
    let client = server.connect();
    let mut writer = client.socket.try_clone().unwrap();
    let talking = std::thread::spawn(move || {
        // As much as it can, until the server no longer listens.
        let chunk = [0; 64 * 1024];
        for _ in 0..500 {
            if std::io::Write::write_all(&mut writer, &chunk).is_err() {
                return;
            }
        }
        let _ = writer.shutdown(std::net::Shutdown::Write);
    });
    assert!(client.rest() == pattern(4 << 20));
    talking.join().unwrap();
    server.expect(&["0 made", "0 lost: done"]);
}

pub(super) fn losing_the_connection_stops_the_reading(carrier: Carrier) {
    let server = carrier.serve(|event, cx| {
        if let Event::Data(_) = event {
            cx.factory.note("data");
            cx.transport.lose_connection();
        }
    });
    let mut client = server.connect();
    client.send(pattern(1 << 20));
    server.expect(&["0 made", "data", "0 lost: done"]);
    assert_eq!(server.stop(), ["stopped"]);
}

pub(super) fn what_is_written_after_losing_the_connection_is_dropped(carrier: Carrier) {
    let server = carrier.serve(|event, cx| {
        if event == Event::Made {
            cx.transport.write("in time");
            cx.transport.lose_connection();
            cx.transport.lose_connection();
            cx.transport.write("too late");
        }
    });
    assert_eq!(server.connect().rest(), b"in time");
    server.expect(&["0 made", "0 lost: done"]);
}

pub(super) fn aborting_resets_and_discards(carrier: Carrier) {
    let server = carrier.serve(|event, cx| {
        if let Event::Data(_) = event {
            cx.transport.write("never sent");
            cx.transport.abort_connection();
            cx.transport.abort_connection();
            cx.transport.lose_connection();
        }
    });
    let mut client = server.connect();
    client.send("x");
    client.expect_reset();
    server.expect(&["0 made", "0 lost: aborted"]);
    assert_eq!(server.stop(), ["stopped"]);
}

pub(super) fn aborting_a_full_connection_is_not_held_up(carrier: Carrier) {
    let server = carrier.serve(|event, cx| match event {
        Event::Made => {
            cx.transport.write(pattern(MUCH));
            cx.transport.lose_connection();
            cx.set_timer(Duration::from_millis(1));
        }
        Event::Timer => cx.transport.abort_connection(),
        _ => {}
    });
    let client = server.connect();
    server.expect(&["0 made", "0 timer", "0 lost: aborted"]);
    client.expect_reset();
}

pub(super) fn a_peer_that_takes_nothing_is_given_up(carrier: Carrier) {
    let settings = Settings::default().close_timeout(Duration::from_millis(50));
    let server = carrier.serve_with(settings, |event, cx| {
        if event == Event::Made {
            cx.transport.write(pattern(MUCH));
            cx.transport.lose_connection();
        }
    });
    let client = server.connect();
    server.expect(&["0 made", "0 lost: timed out"]);
    client.expect_reset();
}

pub(super) fn a_reset_by_the_peer_is_told_with_its_error(carrier: Carrier) {
    let server = carrier.serve(|_, _| {});
    server.connect().reset();
    server.expect(&["0 made", "0 lost: ConnectionReset"]);
}

pub(super) fn a_close_by_the_peer_flushes_first(carrier: Carrier) {
    let server = carrier.serve(|event, cx| match event {
        Event::Data(_) => cx.transport.write(pattern(16 << 20)),
        Event::ReadLost => cx.transport.lose_connection(),
        _ => {}
    });
    let mut client = server.connect();
    client.send("x");
    client.finish();
    server.expect(&["0 made", "0 read lost"]);
    assert!(client.rest() == pattern(16 << 20));
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
    // Both halves are done, and nobody has to say so.
    let end = ["0 made", "0 read lost", "0 timer", "0 write lost", "0 lost: done"];
    server.expect(&end);
}

pub(super) fn closing_the_writing_half_goes_on_reading(carrier: Carrier) {
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
    client.send("heard");
    server.expect(&["heard"]);
    client.expect_close();
    server.expect(&["0 read lost", "0 lost: done"]);
}

pub(super) fn failing_tells_the_reason_and_closes_in_order(carrier: Carrier) {
    let server = carrier.serve(|event, cx| {
        if let Event::Data(_) = event {
            cx.transport.write("sorry");
            cx.transport.fail("no such room");
            cx.transport.lose_connection();
        }
    });
    let mut client = server.connect();
    client.send("x");
    assert_eq!(client.rest(), b"sorry");
    server.expect(&["0 made", "0 lost: failed: no such room"]);
}

pub(super) fn kept_handles_are_harmless(carrier: Carrier) {
    let server = carrier.serve(|event, cx| match event {
        Event::Made => cx.transport.lose_connection(),
        Event::Lost => {
            cx.transport.write("late");
            cx.transport.lose_connection();
            cx.transport.abort_connection();
        }
        _ => {}
    });
    server.connect().expect_close();
    let mut second = server.connect();
    server.expect(&["0 made", "0 lost: done", "1 made", "1 lost: done"]);
    let port = server.port;
    server.call(move |reactor| {
        reactor.with_factory(port, |probes, _| {
            let old = &probes.all[0];
            old.write_sequence(["late", "and later"]);
            old.lose_connection();
            old.lose_write_connection();
            old.abort_connection();
            old.pause_reading();
            old.resume_reading();
            old.fail("nothing");
            old.set_tcp_keep_alive(true).unwrap();
            assert!(!old.is_connected() && old.unsent() == 0);
            assert!(old.peer().ip().unwrap().is_loopback());
            assert_eq!(old.host().port(), probes.all[1].host().port());
            assert_ne!(old.id(), probes.all[1].id());
        })
    });
    second.expect("");
    assert_eq!(server.stop(), ["stopped"]);
}
