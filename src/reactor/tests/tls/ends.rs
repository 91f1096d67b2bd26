//! How an encrypted connection ends.

use super::*;
use std::io;

#[test]
fn a_graceful_close_says_so_before_the_fin_and_without_waiting_for_the_peer() {
    let mut fixture = encrypted(|event, cx| {
        if let Event::Data(_) = event {
            cx.transport.write("bye");
            cx.transport.lose_connection();
        }
    });
    let mut client = Client::connect(&mut fixture);
    client.write("end it");
    client.exchange(&mut fixture);
    assert_eq!((client.take_received(), client.has_heard_the_end()), (b"bye".to_vec(), true));
    assert!(client.peer.output_finished());
    fixture.log.expect(&["0 made", "0 data end it", DONE]);
}

#[test]
fn the_end_of_the_data_waits_for_room() {
    let mut fixture = encrypted(quiet);
    let mut client = Client::connect(&mut fixture);
    client.take();
    client.peer.set_room(0);
    let transport = fixture.transport(0);
    transport.write("bye");
    transport.lose_connection();
    fixture.settle();
    fixture.log.expect(&["0 made"]);
    for _ in 0..200 {
        client.peer.set_room(1);
        fixture.settle();
        client.take();
    }
    assert_eq!((client.take_received(), client.has_heard_the_end()), (b"bye".to_vec(), true));
    fixture.log.expect(&[DONE]);
}

#[test]
fn a_close_that_the_peer_takes_nothing_of_ends_after_the_close_timeout() {
    let mut fixture = encrypted(quiet);
    let mut client = Client::connect(&mut fixture);
    client.take();
    client.peer.set_room(0);
    fixture.transport(0).lose_connection();
    fixture.settle();
    fixture.script.advance(10 * SECOND);
    fixture.settle();
    fixture.log.expect(&["0 made", "0 lost: close timeout: the last bytes were not sent in time"]);
    fixture.expect_empty();
}

#[test]
fn a_fin_without_the_end_of_the_data_is_a_truncation_after_the_data() {
    for cut in [0, 3] {
        let mut fixture = encrypted(quiet);
        let mut client = Client::connect(&mut fixture);
        client.write("whole");
        let whole = client.outgoing();
        client.write("cut");
        let next = client.outgoing();
        client.peer.send([&whole, &next[..cut]].concat());
        client.peer.close();
        fixture.settle();
        let why = "the peer closed the connection without the end of its TLS data";
        let lost = format!("0 lost: connection lost: {why}");
        fixture.log.expect(&["0 made", "0 data whole", &lost]);
    }
}

#[test]
fn a_peer_that_never_says_the_end_is_accepted_on_request_but_not_within_a_record() {
    for cut in [0, 3] {
        let acceptor = acceptor().accept_truncation(true);
        let settings = Settings::default();
        let mut fixture = encrypted_with(settings, acceptor, |event, cx| {
            if event == Event::ReadLost {
                cx.transport.lose_connection();
            }
        });
        let mut client = Client::connect(&mut fixture);
        client.write("whole");
        let whole = client.outgoing();
        client.write("cut");
        let next = client.outgoing();
        client.peer.send([&whole, &next[..cut]].concat());
        client.peer.close();
        fixture.settle();
        match cut {
            0 => fixture.log.expect(&["0 made", "0 data whole", "0 read lost", DONE]),
            _ => assert_eq!(fixture.log.0.borrow().len(), 3, "it is lost"),
        }
    }
}

/// Half-close: the end of one side's data, and no FIN.
#[test]
fn each_side_may_end_its_data_before_the_other() {
    let mut fixture = encrypted(|event, cx| {
        if event == Event::ReadLost {
            cx.transport.write("still here");
            cx.transport.lose_write_connection();
        }
    });
    let mut client = Client::connect(&mut fixture);
    client.engine.send_close_notify();
    client.exchange(&mut fixture);
    assert_eq!(client.take_received(), b"still here");
    assert!(client.has_heard_the_end());
    fixture.log.expect(&["0 made", "0 read lost", "0 write lost", DONE]);

    let mut fixture = encrypted(|event, cx| match event {
        Event::Made => cx.transport.lose_write_connection(),
        Event::ReadLost => {}
        _ => assert!(!cx.transport.accepts_writes()),
    });
    let mut client = Client::connect(&mut fixture);
    assert!(client.has_heard_the_end() && !client.peer.output_finished(), "no FIN");
    client.write("heard");
    client.engine.send_close_notify();
    client.exchange(&mut fixture);
    fixture.log.expect(&["0 made", "0 write lost", "0 data heard", "0 read lost", DONE]);
}

#[test]
fn what_follows_the_end_of_the_data_is_ignored_and_costs_no_turns() {
    let mut fixture = encrypted(quiet);
    let mut client = Client::connect(&mut fixture);
    client.write("last");
    client.engine.send_close_notify();
    let mut bytes = client.outgoing();
    bytes.extend(pattern(100_000));
    client.peer.send(bytes);
    fixture.settle();
    fixture.log.expect(&["0 made", "0 data last", "0 read lost"]);
    assert_eq!(fixture.reactor.next_deadline(), None, "nothing is due");
}

/// A socket with unread bytes that is closed sends a reset, which destroys what was sent last: here
/// a server's tickets.
#[test]
fn a_client_that_writes_and_closes_at_once_lingers_for_the_tickets_of_the_server() {
    let mut fixture = Fixture::new(|event, cx| {
        if event == Event::Made {
            cx.transport.write("all of it");
            cx.transport.lose_connection();
        }
    });
    let side = crate::testing::tls::connector().to("localhost").unwrap();
    let mut server = Server::dialled(&mut fixture, side, server_config());
    while server.engine.is_handshaking() {
        fixture.settle();
        let outgoing = server.take();
        server.peer.send(outgoing);
    }
    assert_eq!(server.received, b"all of it");
    fixture.log.expect(&["0 made", DONE]);
    assert!(server.peer.output_finished());
    assert_eq!((server.peer.closed(), fixture.reactor.lingerers.len()), (Closed::No, 1));
    server.peer.close();
    fixture.settle();
    assert_eq!(server.peer.closed(), Closed::InOrder);
}

#[test]
fn an_idle_timeout_counts_data_and_not_records() {
    let mut fixture = encrypted(|event, cx| {
        if event == Event::Made {
            cx.transport.set_timeouts(crate::limits::Timeouts::new().idle(10 * SECOND));
        }
    });
    let mut client = Client::connect(&mut fixture);
    for _ in 0..4 {
        fixture.script.advance(3 * SECOND);
        client.engine.refresh_traffic_keys().unwrap();
        client.exchange(&mut fixture);
    }
    fixture.log.expect(&["0 made", "0 timed out: Idle"]);
}

#[test]
fn an_abort_says_nothing() {
    let mut fixture = encrypted(quiet);
    let mut client = Client::connect(&mut fixture);
    client.take();
    fixture.transport(0).abort_connection();
    fixture.settle();
    assert_eq!((client.peer.received(), client.peer.closed()), (Vec::new(), Closed::Reset));
    fixture.log.expect(&["0 made", "0 lost: connection aborted by this side"]);
}

#[test]
fn a_reset_keeps_its_reason() {
    let mut fixture = encrypted(quiet);
    let client = Client::connect(&mut fixture);
    client.peer.reset_in_line();
    fixture.settle();
    let reset = io::Error::from(io::ErrorKind::ConnectionReset);
    fixture.log.expect(&["0 made", &format!("0 lost: connection lost: {reset}")]);
}
