//! Ends of connections whose handshake, begun in mid-connection, is not complete.

use super::*;
use crate::Producer;
use crate::limits::RateLimits;

/// Connects a client that asks for TLS.
fn ask(fixture: &mut Fixture) -> Client {
    let peer = fixture.connect();
    peer.send("tls");
    fixture.settle();
    Client::new(peer)
}

/// Writes something for the encrypted connection, and closes it.
fn farewell(event: Event<'_>, cx: &mut Context<'_, Probes>) {
    match event {
        Event::Data(_) => {
            cx.transport.start_tls(acceptor()).unwrap();
            cx.transport.write("secret");
            cx.transport.lose_connection();
        }
        Event::TimedOut(kind) => cx.transport.time_out(kind),
        _ => {}
    }
}

#[test]
fn what_was_written_before_a_close_waits_for_the_handshake() {
    let mut fixture = Fixture::new(farewell);
    let mut client = ask(&mut fixture);
    client.exchange(&mut fixture);
    assert_eq!(client.take_received(), b"secret");
    assert!(client.has_heard_the_end());
    client.peer.close();
    fixture.settle();
    fixture.log.expect(&["0 made", "0 data tls", "0 secured", DONE]);
    fixture.reactor.stop_listening(&fixture.port);
    fixture.settle();
    fixture.expect_empty();
}

#[test]
fn a_reader_before_a_close_waits_for_the_handshake() {
    let mut fixture = Fixture::new(|event, cx| {
        if let Event::Data(_) = event {
            cx.transport.start_tls(acceptor()).unwrap();
            let input: &'static [u8] = &[b'x'; 200_000];
            cx.transport.register_producer(Producer::reader(input));
            cx.transport.lose_connection();
        }
    });
    let mut client = ask(&mut fixture);
    client.exchange(&mut fixture);
    assert_eq!(client.take_received().len(), 200_000);
    assert!(client.has_heard_the_end());
}

#[test]
fn a_drain_waits_for_the_handshake_behind_which_something_was_written() {
    let mut fixture = Fixture::new(|event, cx| match event {
        Event::Data(_) => {
            cx.transport.start_tls(acceptor()).unwrap();
            cx.transport.write("secret");
        }
        Event::Drain => cx.transport.lose_connection(),
        _ => {}
    });
    let mut client = ask(&mut fixture);
    fixture.reactor.stop_gracefully(10 * SECOND);
    for _ in 0..5 {
        let hello = client.outgoing();
        client.peer.send(hello);
        for _ in 0..5 {
            let turned = fixture.reactor.turn(Some(Duration::ZERO)).unwrap();
            if turned.is_break() {
                client.take();
                assert_eq!(client.take_received(), b"secret");
                assert!(client.has_heard_the_end());
                return;
            }
        }
        client.take();
        if client.has_heard_the_end() {
            client.peer.close();
        }
    }
    panic!("it does not end");
}

#[test]
fn a_close_that_waits_for_a_handshake_has_the_time_of_the_handshake() {
    let settings = Settings::default().handshake_timeout(5 * SECOND).close_timeout(60 * SECOND);
    let mut fixture = Fixture::with(settings, farewell);
    let mut client = ask(&mut fixture);
    expect_handshake_timeout(&mut fixture, &mut client);
    assert_eq!(client.peer.closed(), Closed::Reset, "not all was sent");
}

#[test]
fn a_peer_that_leaves_a_handshake_ends_the_close_that_waits_for_it() {
    let mut fixture = Fixture::new(farewell);
    let client = ask(&mut fixture);
    client.peer.close();
    fixture.settle();
    let log = fixture.log.0.take().join("; ");
    assert!(log.starts_with("0 made; 0 data tls; 0 lost: connection lost: "), "{log}");
    assert_eq!(client.peer.closed(), Closed::Reset, "not all was sent");
}

#[test]
fn a_half_close_during_the_handshake_is_said_after_it() {
    let mut fixture = Fixture::new(|event, cx| {
        if let Event::Data(b"tls") = event {
            cx.transport.start_tls(acceptor()).unwrap();
            cx.transport.lose_write_connection();
        }
    });
    let mut client = ask(&mut fixture);
    fixture.log.expect(&["0 made", "0 data tls"]);
    client.exchange(&mut fixture);
    assert!(client.has_heard_the_end());
    client.write("more");
    client.exchange(&mut fixture);
    fixture.log.expect(&["0 secured", "0 write lost", "0 data more"]);
    assert!(fixture.transport(0).is_connected());
}

#[test]
fn reading_is_resumed_though_a_half_close_waits_for_the_handshake() {
    let mut fixture = Fixture::new(|event, cx| {
        if let Event::Data(b"tls") = event {
            cx.transport.pause_reading();
            cx.transport.start_tls(acceptor()).unwrap();
            cx.transport.lose_write_connection();
        }
    });
    let mut client = ask(&mut fixture);
    client.exchange(&mut fixture);
    fixture.log.expect(&["0 made", "0 data tls"]);
    fixture.transport(0).resume_reading();
    client.exchange(&mut fixture);
    assert!(client.has_heard_the_end());
    fixture.log.expect(&["0 resumed", "0 secured", "0 write lost"]);
}

#[test]
fn a_close_that_waits_for_no_handshake_lasts_as_long_as_the_peer_takes_bytes() {
    let settings = Settings::default().handshake_timeout(2 * SECOND).close_timeout(5 * SECOND);
    let mut fixture = Fixture::with(settings, |event, cx| match event {
        Event::Data(b"tls") => {
            cx.transport.write(vec![b'x'; 1000]);
            cx.transport.start_tls(acceptor()).unwrap();
            cx.transport.lose_connection();
        }
        Event::TimedOut(kind) => cx.transport.time_out(kind),
        _ => {}
    });
    let peer = fixture.connect();
    peer.set_room(0);
    peer.send("tls");
    fixture.settle();
    for _ in 0..10 {
        fixture.script.advance(SECOND);
        peer.set_room(100);
        fixture.settle();
    }
    assert_eq!(peer.received().len(), 1000);
    fixture.log.expect(&["0 made", "0 data tls", DONE]);
}

/// The peer has ended its half before, so that no handshake will come.
#[test]
fn a_half_close_does_not_wait_for_a_peer_that_sends_nothing_more() {
    let mut fixture = Fixture::new(|event, cx| {
        if event == Event::ReadLost {
            cx.transport.start_tls(acceptor()).unwrap();
            cx.transport.lose_write_connection();
        }
    });
    let peer = fixture.connect();
    peer.close();
    fixture.settle();
    fixture.log.expect(&["0 made", "0 read lost", "0 write lost", DONE]);
}

/// Bytes of the write buffer, one run or in shared pieces, before a handshake.
#[test]
fn bytes_in_clear_before_a_handshake_keep_to_the_rate() {
    for shared in [false, true] {
        let settings = Settings::default().handshake_timeout(2 * SECOND);
        let mut fixture = Fixture::with(settings, quiet);
        let peer = fixture.connect();
        let transport = fixture.transport(0);
        transport.set_rate_limits(RateLimits::new().write(1000));
        let clear = pattern(10_000);
        match shared {
            false => transport.write(&clear),
            true => clear.chunks(5000).for_each(|it| transport.write_bytes(it.to_vec())),
        }
        transport.start_tls(acceptor()).unwrap();
        transport.write("secret");
        fixture.settle();
        let mut client = Client::new(peer);
        let hello = client.outgoing();
        client.peer.send(hello);
        let mut received = client.peer.received();
        // A portion of 50 bytes in each step, of which four may be ahead.
        for step in 1..=220 {
            fixture.script.advance(SECOND / 20);
            fixture.turn();
            if received.len() < clear.len() {
                received.extend(client.peer.received());
                let (count, most) = (received.len().min(clear.len()), 50 * (step + 4));
                assert!(count <= most, "{count} bytes in {step} steps");
            }
        }
        let (in_clear, flight) = received.split_at(clear.len().min(received.len()));
        assert!(in_clear == clear);
        let mut rest = flight;
        while !rest.is_empty() {
            client.engine.read_tls(&mut rest).unwrap();
            client.engine.process_new_packets().unwrap();
        }
        for _ in 0..3 {
            client.exchange(&mut fixture);
            fixture.script.advance(SECOND);
        }
        assert_eq!(client.take_received(), b"secret");
        assert_eq!((transport.unsent(), fixture.reactor.hub.unsent()), (0, 0));
        // The time of the handshake begins behind them.
        fixture.log.expect(&["0 made", "0 secured"]);
    }
}
