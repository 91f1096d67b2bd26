//! The ways in which a connection ends.

use super::{Carrier, pattern};
use crate::support::{Cx, Event, connect_in_turn};
use std::time::Duration;
use twistor::Settings;

pub(super) fn losing_the_connection_delivers_everything_to_a_late_reader(carrier: Carrier) {
    let server = carrier.serve(|event, cx| {
        if event == Event::Made {
            cx.transport.write(pattern(cx.factory.large));
            cx.transport.lose_connection();
        }
    });
    let client = server.connect();
    server.expect(&["0 made"]);
    // The client has not read yet, so the connection still exists.
    assert!(server.call(|reactor| reactor.connection_count() == 1));
    let received = client.rest();
    assert!(received == pattern(carrier.large()), "{} bytes", received.len());
    server.expect(&["0 lost: done"]);
}

pub(super) fn losing_the_connection_delivers_everything_to_a_peer_that_keeps_sending(
    carrier: Carrier,
) {
    const ANSWER: usize = 4 << 20;
    let server = carrier.serve(|event, cx| {
        if let Event::Data(_) = event {
            cx.transport.write(pattern(ANSWER));
            cx.transport.lose_connection();
        }
    });
    let client = server.connect();
    // As much as it can, until the server closes.
    let talking = client.send_meanwhile(pattern(carrier.large()));
    assert!(client.rest() == pattern(ANSWER));
    talking.ended();
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

pub(super) fn writes_after_losing_the_connection_are_dropped(carrier: Carrier) {
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
    carrier.expect_abort(client);
    server.expect(&["0 made", "0 lost: aborted"]);
    assert_eq!(server.stop(), ["stopped"]);
}

pub(super) fn aborting_a_full_connection_is_not_held_up(carrier: Carrier) {
    let server = carrier.serve(|event, cx| match event {
        Event::Made => {
            cx.transport.write(pattern(cx.factory.large));
            cx.transport.lose_connection();
            cx.set_timer(Duration::from_millis(1));
        }
        Event::Timer => cx.transport.abort_connection(),
        _ => {}
    });
    let client = server.connect();
    server.expect(&["0 made", "0 timer", "0 lost: aborted"]);
    carrier.expect_abort(client);
}

pub(super) fn a_peer_that_takes_nothing_is_closed_by_the_close_timeout(carrier: Carrier) {
    let settings = Settings::default().close_timeout(Duration::from_millis(50));
    let server = carrier.serve_with(settings, |event, cx| {
        if event == Event::Made {
            cx.transport.write(pattern(cx.factory.large));
            cx.transport.lose_connection();
        }
    });
    let client = server.connect();
    server.expect(&["0 made", "0 lost: timed out: Close"]);
    carrier.expect_abort(client);
}

pub(super) fn a_reset_by_the_peer_is_reported_with_its_error(carrier: Carrier) {
    let server = carrier.serve(|event, cx| {
        if event == Event::Made {
            cx.transport.write("unread");
        }
    });
    let client = server.connect();
    client.wait_for_bytes();
    client.reset();
    server.expect(&["0 made", "0 lost: ConnectionReset"]);
}

pub(super) fn a_reset_is_noticed_while_closing(carrier: Carrier) {
    let server = carrier.serve(|event, cx| {
        if event == Event::Made {
            cx.transport.write(pattern(cx.factory.large));
            cx.transport.lose_connection();
        }
    });
    let client = server.connect();
    server.expect(&["0 made"]);
    client.wait_for_bytes();
    client.reset();
    server.expect(&["0 lost: ConnectionReset"]);
}

pub(super) fn failing_reports_the_reason_and_closes_gracefully(carrier: Carrier) {
    let server = carrier.serve(|event, cx| {
        if let Event::Data(_) = event {
            cx.transport.write("sorry");
            cx.transport.fail("no such room");
            cx.transport.lose_connection();
        }
    });
    let mut client = server.connect();
    client.send("x");
    carrier.expect_last(client, "sorry");
    server.expect(&["0 made", "0 lost: failed: no such room"]);
}

/// Answers with a large write, and then ends as the client has said.
fn answer_much(event: Event<'_>, cx: &mut Cx<'_>) {
    if let Event::Data(how) = event {
        cx.transport.write(pattern(cx.factory.large));
        match how {
            b"f" => cx.transport.fail("because"),
            b"p" => panic!("on purpose"),
            b"s" => cx.reactor.stop(),
            _ => cx.reactor.stop_gracefully(Duration::from_millis(10)),
        }
    }
}

pub(super) fn a_stream_that_is_cut_short_does_not_look_whole(carrier: Carrier) {
    let large = carrier.large();
    for how in ["f", "p", "s", "d"] {
        let server = carrier.serve(answer_much);
        if how == "p" {
            server.allow_panics();
        }
        let mut client = server.connect();
        client.send(how);
        // Before the client reads: encryption in a debug build is slower than a reader.
        if how == "s" || how == "d" {
            assert!(server.report().bytes_lost > 0, "{how}");
        } else {
            server.expect(&["0 made"]);
            server.wait_until("it is gone", |reactor| reactor.connection_count() == 0);
        }
        let (received, in_order) = client.rest_and_end();
        let looks_whole = in_order && carrier.resets();
        assert!(!looks_whole, "{how}: {} bytes of {large} look complete", received.len());
        assert!(received.len() < large && pattern(large).starts_with(&received), "{how}");
    }
}

pub(super) fn the_first_reason_stays(carrier: Carrier) {
    let server = carrier.serve(|event, cx| {
        if event == Event::Made {
            if cx.factory.all.len() == 1 {
                cx.transport.fail("first");
            }
            cx.transport.abort_connection();
            cx.transport.fail("second");
            cx.transport.lose_connection();
        }
    });
    carrier.expect_last(server.connect(), "");
    carrier.expect_abort(server.connect());
    server.expect(&["0 made", "0 lost: failed: first", "1 made", "1 lost: aborted"]);
}

pub(super) fn a_transport_reports_its_state(carrier: Carrier) {
    let server = carrier.serve(|event, cx| {
        let says = || {
            let transport = cx.transport;
            (transport.is_connected(), transport.is_disconnecting(), transport.unsent())
        };
        match event {
            Event::Made => {
                assert_eq!(says(), (true, false, 0));
                cx.transport.write("four");
                assert_eq!(says(), (true, false, 4));
                cx.transport.lose_connection();
                assert_eq!(says(), (true, true, 4));
            }
            Event::Lost => cx.factory.note(format!("{:?}", says())),
            _ => unreachable!(),
        }
    });
    assert_eq!(server.connect().rest(), b"four");
    server.expect(&["0 made", "0 lost: done", "(false, false, 0)"]);
}

pub(super) fn many_simultaneous_ends_are_reported_once_each(carrier: Carrier) {
    let server = carrier.serve(crate::support::echo);
    let mut clients: Vec<_> = (0..60).map(|_| server.connect()).collect();
    let port = server.port.key();
    server.wait_until("all are there", move |reactor| {
        reactor.with_factory(port, |probes, _| probes.open) == Ok(60)
    });
    for client in &mut clients {
        client.send("hello");
    }
    for (number, mut client) in clients.into_iter().enumerate() {
        match number % 4 {
            0 => client.reset(),
            1 => drop(client),
            2 => client.finish(),
            _ => {
                client.expect("hello");
                client.finish();
                client.expect_close();
            }
        }
    }
    server.wait_until("all are gone", |reactor| reactor.connection_count() == 0);
    let mut log = server.stop();
    assert_eq!(log.pop().as_deref(), Some("stopped"));
    for number in 0..60 {
        let of_one = |entry: &&String| entry.starts_with(&format!("{number} "));
        let told: Vec<&String> = log.iter().filter(of_one).collect();
        let losses = told.iter().filter(|entry| entry.contains("lost: ")).count();
        assert!(told.last().is_some_and(|last| last.contains("lost: ")), "{told:?}");
        assert_eq!(losses, 1, "{told:?}");
    }
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
    let first = server.connect();
    let address = first.address();
    first.expect_close();
    let mut second = server.connect();
    server.expect(&["0 made", "0 lost: done", "1 made", "1 lost: done"]);
    let port = server.port.key();
    server
        .call(move |reactor| {
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
                assert_eq!(old.peer_address(), address);
                assert_eq!(old.local_address().port(), probes.all[1].local_address().port());
                assert_ne!(old.id(), probes.all[1].id());
            })
        })
        .unwrap();
    second.expect("");
    assert_eq!(server.stop(), ["stopped"]);
}

/// The first connection acts differently on each of the others, which do nothing.
fn interfere(event: Event<'_>, cx: &mut Cx<'_>) {
    match event {
        Event::Data(b"x") => {
            for (number, other) in cx.factory.all.iter().enumerate().skip(1) {
                other.write("from outside");
                match number % 6 {
                    0 => other.abort_connection(),
                    1 => other.lose_connection(),
                    2 => other.pause_reading(),
                    3 => other.lose_write_connection(),
                    4 => other.fail("by another"),
                    _ => {}
                }
            }
            cx.transport.write("done");
        }
        Event::Data(data) => cx.transport.write(data),
        Event::ReadLost => cx.transport.lose_connection(),
        _ => {}
    }
}

pub(super) fn a_protocol_may_do_anything_to_every_other(carrier: Carrier) {
    const COUNT: usize = 19;
    let server = carrier.serve(interfere);
    let mut clients = connect_in_turn::<COUNT>(&server);
    clients[0].send("x");
    clients[0].expect("done");
    let mut told: Vec<String> = (0..12).map(|_| server.next()).collect();
    told.sort();
    let mut expected: Vec<String> = (1..COUNT)
        .filter_map(|number| match number % 6 {
            0 => Some(format!("{number} lost: aborted")),
            1 => Some(format!("{number} lost: done")),
            3 => Some(format!("{number} write lost")),
            4 => Some(format!("{number} lost: failed: by another")),
            _ => None,
        })
        .collect();
    expected.sort();
    assert_eq!(told, expected);
    for (number, mut client) in clients.into_iter().enumerate().skip(1) {
        match number % 6 {
            0 => carrier.expect_abort(client),
            1 | 3 => assert_eq!(client.rest(), b"from outside"),
            4 => carrier.expect_last(client, "from outside"),
            2 => client.expect("from outside"),
            _ => {
                client.expect("from outside");
                client.send("still here");
                client.expect("still here");
            }
        }
    }
}
