//! How connections end.

use super::*;
use crate::driver::scripted::Closed;

#[test]
fn lose_connection_sends_everything_and_nothing_after_it() {
    let mut fixture = Fixture::new(|event, cx| {
        on_data(event, || {
            cx.transport.write("goodbye");
            cx.transport.lose_connection();
            cx.transport.lose_connection();
            cx.transport.write("too late");
            assert!(cx.transport.is_disconnecting() && cx.transport.is_connected());
        });
    });
    let peer = fixture.connect();
    peer.set_room(3);
    peer.send("x");
    fixture.settle();
    fixture.log.expect(&["0 made", "0 data x"]);
    peer.send("not read any more");
    fixture.settle();
    peer.set_room(usize::MAX);
    fixture.settle();
    fixture.log.expect(&["0 lost: connection closed gracefully"]);
    assert_eq!(peer.received(), b"goodbye");
}

#[test]
fn abort_connection_resets_and_is_reported_in_the_next_turn() {
    let mut fixture = Fixture::new(|event, cx| {
        on_data(event, || {
            cx.transport.write("never sent");
            cx.transport.abort_connection();
            cx.transport.abort_connection();
        });
    });
    let peer = fixture.connect();
    peer.send("x");
    fixture.turn();
    assert_eq!(peer.closed(), Closed::Reset);
    fixture.log.expect(&["0 made", "0 data x"]);
    fixture.turn();
    fixture.log.expect(&["0 lost: connection aborted by this side"]);
    assert_eq!(peer.received(), b"");
    fixture.settle();
    fixture.log.expect(&[]);
    fixture.expect_empty();
}

#[test]
fn the_address_of_a_connection_that_was_reset_stays_readable() {
    let mut fixture = Fixture::new(|event, cx| match event {
        Event::Data(_) => cx.transport.abort_connection(),
        Event::Lost => cx.factory.log.push(cx.transport.local_address().to_string()),
        _ => {}
    });
    fixture.connect().send("x");
    fixture.settle();
    // Not the port's, which is that of all interfaces.
    let lost = "0 lost: connection aborted by this side";
    fixture.log.expect(&["0 made", "0 data x", lost, "127.0.0.1:8007"]);
}

#[test]
fn a_connection_aborted_by_another_hears_nothing_more() {
    let mut fixture = Fixture::new(|event, cx| {
        on_data(event, || cx.factory.all[1].abort_connection());
    });
    let (killer, victim) = (fixture.connect(), fixture.connect());
    fixture.log.expect(&["0 made", "1 made"]);
    killer.send("kill");
    victim.send("unheard");
    fixture.settle();
    fixture.log.expect(&["0 data kill", "1 lost: connection aborted by this side"]);
    assert_eq!(victim.closed(), Closed::Reset);
}

#[test]
fn the_close_timeout_counts_from_the_last_progress_of_the_peer() {
    let mut fixture = Fixture::new(|event, cx| {
        if event == Event::Made {
            cx.transport.write("0123456789");
            cx.transport.lose_connection();
        }
    });
    let peer = fixture.script.connect();
    peer.set_room(2);
    fixture.turn();
    // It takes something every nine seconds; the timeout is ten.
    for _ in 0..3 {
        fixture.script.advance(Duration::from_secs(9));
        peer.set_room(2);
        fixture.turn();
        fixture.turn();
    }
    fixture.log.expect(&["0 made"]);
    fixture.script.advance(Duration::from_secs(9));
    fixture.settle();
    fixture.log.expect(&[]);
    fixture.script.advance(Duration::from_secs(1));
    fixture.settle();
    fixture.log.expect(&["0 lost: close timeout: the last bytes were not sent in time"]);
    assert_eq!(peer.received(), b"01234567");
    assert_eq!(peer.closed(), Closed::Reset);
    fixture.expect_empty();
}

#[test]
fn a_peer_that_takes_a_little_without_an_edge_does_not_time_out() {
    let mut fixture = Fixture::new(|event, cx| {
        if event == Event::Made {
            cx.transport.write("0123456789");
            cx.transport.lose_connection();
        }
    });
    let peer = fixture.script.connect();
    peer.set_room(2);
    fixture.turn();
    for _ in 0..4 {
        // Room for a little without an edge, as with epoll below a third of the buffer.
        peer.set_room_unannounced(2);
        fixture.script.advance(Duration::from_secs(10));
        fixture.turn();
    }
    fixture.log.expect(&["0 made", "0 lost: connection closed gracefully"]);
    assert_eq!(peer.received(), b"0123456789");
    fixture.expect_empty();
}

#[test]
fn a_half_closed_peer_that_takes_nothing_times_out_as_well() {
    let mut fixture = Fixture::new(|event, cx| {
        if event == Event::ReadLost {
            cx.transport.write("rest");
            cx.transport.lose_write_connection();
        }
    });
    let peer = fixture.connect();
    peer.set_room(1);
    peer.close();
    fixture.settle();
    fixture.log.expect(&["0 made", "0 read lost"]);
    fixture.script.advance(Duration::from_secs(10));
    fixture.settle();
    fixture.log.expect(&["0 lost: close timeout: the last bytes were not sent in time"]);
}

#[test]
fn an_abort_does_not_wait_for_a_fan_out() {
    let mut fixture = Fixture::new(|event, cx| {
        on_data(event, || {
            for transport in &cx.factory.all[1..] {
                transport.write("fan out");
            }
            cx.factory.all[1].abort_connection();
        });
    });
    let peers: Vec<Peer> = (0..40).map(|_| fixture.connect()).collect();
    peers[0].send("x");
    fixture.turn();
    assert_eq!(peers[1].closed(), Closed::Reset);
    fixture.turn();
    assert_eq!(fixture.log.count("1 lost: connection aborted by this side"), 1);
}

#[test]
fn the_timers_of_a_connection_are_cancelled_with_it() {
    let mut fixture = Fixture::new(|event, cx| match event {
        Event::Made => drop(cx.set_timer(Duration::from_secs(1))),
        Event::Timer => {
            for hour in 1..100 {
                cx.set_timer(Duration::from_secs(3600 * hour));
            }
        }
        Event::Lost => drop(cx.set_timer(Duration::from_secs(1))),
        _ => {}
    });
    fixture.connect();
    fixture.script.advance(Duration::from_secs(1));
    fixture.turn();
    fixture.log.expect(&["0 made", "0 timer"]);
    assert_eq!(fixture.reactor.timers.len(), 99);
    fixture.transport(0).abort_connection();
    fixture.settle();
    fixture.log.expect(&["0 lost: connection aborted by this side"]);
    fixture.expect_empty();
}

#[test]
fn timers_set_again_and_again_leave_no_memory_behind() {
    let mut fixture = Fixture::new(|event, cx| {
        if matches!(event, Event::Made | Event::Timer) {
            cx.set_timer(Duration::from_millis(1));
        }
    });
    fixture.connect();
    for _ in 0..1000 {
        fixture.script.advance(Duration::from_millis(1));
        fixture.turn();
    }
    let id = fixture.transport(0).slot();
    let noted = fixture.reactor.connections.established(id).unwrap().timer_count();
    assert!(noted < 20, "{noted}");
    assert_eq!(fixture.reactor.timers.len(), 1);
}

#[test]
fn a_protocol_may_write_close_abort_and_pause_all_connections() {
    let mut fixture = Fixture::new(|event, cx| {
        on_data(event, || {
            let all = cx.factory.all.clone();
            for (at, transport) in all.iter().enumerate() {
                match at % 5 {
                    0 => transport.write("x"),
                    1 => transport.lose_connection(),
                    2 => transport.abort_connection(),
                    3 => transport.pause_reading(),
                    _ => transport.fail("because"),
                }
            }
        });
    });
    let peers: Vec<Peer> = (0..50).map(|_| fixture.connect()).collect();
    for peer in &peers {
        peer.send("go");
    }
    fixture.settle();
    // Ten that were written to and ten that were paused are left.
    assert_eq!(fixture.reactor.connection_count(), 20);
    let log = fixture.log.0.borrow().clone();
    assert_eq!(log.iter().filter(|entry| entry.contains("lost: ")).count(), 30);
    fixture.reactor.stop();
    assert!(fixture.reactor.turn(None).unwrap().is_break());
    let log = fixture.log.0.borrow().clone();
    assert_eq!(log.iter().filter(|entry| entry.contains("lost: ")).count(), 50);
    fixture.expect_empty();
}

#[test]
fn unsent_bytes_are_freed_with_the_connection() {
    let mut fixture = Fixture::new(quiet);
    let peer = fixture.connect();
    let kept = fixture.transport(0);
    peer.set_room(0);
    kept.write("unsent");
    fixture.turn();
    assert_eq!(kept.unsent(), 6);
    fixture.reactor.stop();
    assert!(fixture.reactor.turn(None).unwrap().is_break());
    assert_eq!((kept.unsent(), peer.received()), (0, Vec::new()));
}

#[test]
fn a_handle_of_a_lost_connection_reaches_no_later_one() {
    let mut fixture = Fixture::new(|_, _| {});
    let first = fixture.connect();
    let old = fixture.transport(0);
    first.reset();
    fixture.settle();
    let second = fixture.connect();
    assert_ne!(old.id(), fixture.transport(1).id());
    old.write("misdirected");
    old.lose_connection();
    old.abort_connection();
    old.fail("nothing");
    old.resume_reading();
    old.set_tcp_no_delay(true).unwrap();
    fixture.settle();
    assert_eq!(second.received(), b"");
    assert_eq!(fixture.reactor.connection_count(), 1);
    assert_eq!(old.peer_address().to_string(), "192.0.2.1:0");
    assert_eq!(old.local_address().to_string(), "127.0.0.1:8007");
    assert!(!old.is_connected() && !old.is_disconnecting() && old.unsent() == 0);
}
