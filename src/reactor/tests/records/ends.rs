//! How connections end whose layer holds bytes.

use super::*;
use crate::driver::scripted::Closed;
use crate::limits::{ConnectionLimits, Timeouts};

#[test]
fn a_close_that_waits_for_held_bytes_times_out_and_resets() {
    for half in [false, true] {
        let mut fixture = layered(quiet);
        let (peer, transport) = hold(&mut fixture, b"held");
        if half {
            peer.close();
            fixture.settle();
            transport.lose_write_connection();
        } else {
            transport.lose_connection();
        }
        fixture.settle();
        fixture.script.advance(10 * SECOND);
        fixture.settle();
        let lost = "0 lost: close timeout: the last bytes were not sent in time";
        assert_eq!((fixture.log.count(lost), peer.closed()), (1, Closed::Reset));
        fixture.expect_empty();
    }
}

#[test]
fn held_bytes_that_leave_are_progress() {
    let lasting: [fn(&Transport); 3] = [
        Transport::lose_connection,
        |transport| transport.set_timeouts(Timeouts::new().idle(10 * SECOND)),
        |transport| transport.set_timeouts(Timeouts::new().min_rate(1, 10 * SECOND)),
    ];
    for begin in lasting {
        let mut fixture = layered(|event, cx| {
            if let Event::TimedOut(kind) = event {
                cx.transport.time_out(kind);
            }
        });
        let (peer, transport) = hold(&mut fixture, &pattern(390));
        begin(&transport);
        fixture.settle();
        for _ in 0..38 {
            fixture.script.advance(9 * SECOND);
            peer.set_room(10);
            fixture.settle();
            assert!(transport.is_connected(), "{} unsent", transport.unsent());
        }
        // And a peer that takes no more is to blame.
        fixture.script.advance(20 * SECOND);
        fixture.settle();
        assert!(!transport.is_connected());
        assert_eq!((peer.received().len(), peer.closed()), (380, Closed::Reset));
    }
}

#[test]
fn a_flush_that_fails_ends_the_connection_after_what_had_arrived() {
    let mut fixture = layered(quiet);
    let (peer, _) = hold(&mut fixture, b"held");
    peer.send(pattern(20 * RECORD));
    peer.break_writes();
    peer.nudge();
    fixture.settle();
    assert_eq!(delivered(&fixture), 20 * RECORD);
    assert_eq!(fixture.log.count("0 lost: connection lost: broken pipe"), 1);
    fixture.expect_empty();
    // The peer is gone, and so is what it had sent.
    let mut fixture = layered(quiet);
    let (peer, _) = hold(&mut fixture, b"held");
    peer.reset();
    fixture.settle();
    assert_eq!(fixture.log.0.borrow().iter().filter(|it| it.contains("lost")).count(), 1);
    fixture.expect_empty();
}

#[test]
fn a_drain_waits_for_held_bytes_and_a_stop_counts_them_as_lost() {
    for room in [ANY_ROOM, 0] {
        let mut fixture = layered(|event, cx| {
            if event == Event::Drain {
                cx.transport.lose_connection();
            }
        });
        let (peer, _) = hold(&mut fixture, b"held");
        fixture.reactor.stop_gracefully(5 * SECOND);
        fixture.turn();
        fixture.turn();
        assert_eq!(fixture.reactor.connection_count(), 1);
        peer.set_room(room);
        let report = loop {
            fixture.script.advance(SECOND);
            if let Some(report) = fixture.reactor.turn(Some(Duration::ZERO)).unwrap().break_value()
            {
                break report;
            }
        };
        let (sent, closed) = (peer.received(), peer.closed());
        if room == 0 {
            assert_eq!((report.aborted, report.bytes_lost, closed), (1, 4, Closed::Reset));
        } else {
            assert_eq!((report.drained, report.bytes_lost, closed), (1, 0, Closed::InOrder));
            assert_eq!(sent, b"held");
        }
    }
}

#[test]
fn what_a_layer_held_is_lost_once() {
    let settings = settings().max_unsent_total(1000);
    let mut fixture = Fixture::with(settings, quiet);
    let (_peer, _) = hold(&mut fixture, &[0; 400]);
    let other = fixture.connect();
    other.set_room(0);
    let transport = fixture.transport(1);
    transport.write([0; 300]);
    fixture.settle();
    fixture.reactor.stop_gracefully(5 * SECOND);
    fixture.settle();
    // The slowest consumer goes, and its 400 bytes with it.
    transport.write([0; 301]);
    fixture.settle();
    assert_eq!(fixture.reactor.connection_count(), 1);
    fixture.script.advance(5 * SECOND);
    let report = fixture.reactor.turn(Some(Duration::ZERO)).unwrap().break_value().unwrap();
    assert_eq!((report.lost, report.aborted, report.bytes_lost), (1, 1, 400 + 601));
}

#[test]
fn a_reject_message_leaves_the_stream_or_the_client_sees_a_reset() {
    for (room, closed) in [(ANY_ROOM, Closed::InOrder), (3, Closed::Reset)] {
        let mut fixture = layered(quiet);
        let limits = ConnectionLimits::new().max_connections(0).reject_message("full\r\n");
        fixture.reactor.set_limits(&fixture.port, limits);
        let peer = fixture.script.connect();
        peer.set_room(room);
        fixture.settle();
        peer.close();
        fixture.settle();
        assert_eq!(peer.received(), b"full\r\n"[..room.min(6)]);
        assert_eq!((peer.closed(), peer.output_finished()), (closed, room == ANY_ROOM));
        fixture.expect_empty();
    }
}

#[test]
fn a_lingering_close_reads_the_socket_and_not_the_stream() {
    let mut fixture = layered(|event, cx| on_data(event, || cx.transport.lose_connection()));
    let peer = fixture.connect();
    peer.send(pattern(20 * RECORD));
    fixture.turn();
    assert_eq!(fixture.log.count(DONE), 1);
    assert!(peer.output_finished() && peer.closed() == Closed::No);
    fixture.settle();
    peer.send(pattern(60_000));
    fixture.turn();
    assert_eq!(peer.unread(), 0);
    // In one turn, since it comes in no records.
    assert_eq!(fixture.reactor.next_deadline(), fixture.reactor.timers.next());
    peer.close();
    fixture.settle();
    assert_eq!(peer.closed(), Closed::InOrder);
    fixture.expect_empty();
}

#[test]
fn a_connection_with_both_halves_closed_waits_for_the_record_that_closes_its_own() {
    let mut fixture = Fixture::new(quiet);
    let peer = fixture.script.connect();
    peer.have_farewell(b"end");
    fixture.turn();
    peer.set_room(0);
    let transport = fixture.transport(0);
    transport.lose_write_connection();
    fixture.settle();
    fixture.log.expect(&["0 made", "0 write lost"]);
    assert_eq!(transport.unsent(), 3);
    peer.close();
    fixture.settle();
    fixture.log.expect(&["0 read lost"]);
    peer.set_room(1);
    fixture.settle();
    fixture.log.expect(&[]);
    peer.set_room(ANY_ROOM);
    fixture.settle();
    fixture.log.expect(&[DONE]);
    assert_eq!(peer.received(), b"end");
    fixture.expect_empty();
}
