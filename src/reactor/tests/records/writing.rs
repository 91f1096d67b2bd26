//! What a layer holds of the bytes written to it.

use super::*;
use crate::driver::scripted::Closed;
use crate::limits::{OverflowPolicy, RateLimits};
use crate::{Producer, broadcast};

#[test]
fn held_bytes_leave_with_an_empty_write_buffer() {
    let mut fixture = layered(echo);
    let peer = fixture.connect();
    peer.send("less than a record");
    fixture.turn();
    assert_eq!(peer.received(), b"less than a record");
    assert_eq!(fixture.transport(0).unsent(), 0);
    peer.set_room(0);
    peer.send("later");
    fixture.settle();
    assert_eq!(peer.received(), b"");
    peer.set_room(ANY_ROOM);
    fixture.turn();
    assert_eq!(peer.received(), b"later");
    assert_eq!((fixture.transport(0).unsent(), fixture.reactor.hub.unsent()), (0, 0));
}

#[test]
fn a_full_socket_at_each_byte_of_a_record_loses_nothing_and_closes_after_the_last() {
    let sent = pattern(3 * RECORD + 50);
    for (room, half) in (0..=sent.len()).flat_map(|room| [(room, false), (room, true)]) {
        let mut fixture = layered(quiet);
        let peer = fixture.connect();
        peer.set_room(room);
        let transport = fixture.transport(0);
        transport.write(&sent);
        if half {
            transport.lose_write_connection();
        } else {
            transport.lose_connection();
        }
        fixture.settle();
        assert_eq!(transport.unsent(), sent.len() - room);
        let is_closed = || peer.output_finished() || peer.closed() != Closed::No;
        assert_eq!(is_closed(), room == sent.len(), "{room} {half}");
        peer.set_room(ANY_ROOM);
        fixture.settle();
        assert!(is_closed() && peer.closed() != Closed::Reset, "{room} {half}");
        assert!(peer.received() == sent, "{room} {half}");
        peer.close();
        fixture.settle();
        fixture.script.advance(10 * SECOND);
        fixture.settle();
        fixture.expect_empty();
    }
}

#[test]
fn a_peer_that_takes_a_byte_at_a_time_receives_each_once() {
    let sent = pattern(2 * RECORD + 1);
    let mut fixture = layered(quiet);
    let (peer, transport) = hold(&mut fixture, &sent);
    for taken in 1..=sent.len() {
        peer.set_room(1);
        fixture.turn();
        assert_eq!(transport.unsent(), sent.len() - taken);
        assert_eq!(peer.received(), &sent[taken - 1..taken]);
    }
}

#[test]
fn writes_of_every_length_keep_their_order_whatever_room_there_is() {
    for room in (0..12_000).step_by(617) {
        let mut fixture = layered(|event, cx| {
            on_data(event, || {
                let bytes = pattern(60_000);
                let (mut left, transport) = (&bytes[..], cx.transport);
                // Short, shared, and straight to the socket, in each order.
                for length in [9000, 20, 5000, 5000, 1, 9000, 4096, 150, 20_000] {
                    let (data, rest) = left.split_at(length);
                    match length {
                        4096..=5000 => broadcast([transport], data.to_vec()),
                        1 | 20 => transport.write_line(&data[..length - 1], &data[length - 1..]),
                        _ => transport.write(data),
                    }
                    left = rest;
                }
                transport.write(left);
            });
        });
        let peer = fixture.connect();
        peer.set_room(room);
        peer.send("x");
        fixture.settle();
        assert_eq!(fixture.transport(0).unsent(), 60_000 - room);
        peer.set_room(ANY_ROOM);
        fixture.settle();
        assert!(peer.received() == pattern(60_000), "{room}");
        assert_eq!(fixture.reactor.hub.unsent(), 0);
    }
}

#[test]
fn held_bytes_count_for_the_water_marks() {
    let mut fixture = layered(quiet);
    let peer = fixture.connect();
    peer.set_room(0);
    let transport = fixture.transport(0);
    transport.set_water_marks(50, 20);
    transport.register_producer(Producer::push());
    transport.write([0; 40]);
    fixture.settle();
    transport.write([0; 10]);
    fixture.settle();
    assert!(!transport.may_produce());
    fixture.log.expect(&["0 made", "0 must wait"]);
    peer.set_room(29);
    fixture.settle();
    fixture.log.expect(&[]);
    peer.set_room(1);
    fixture.settle();
    fixture.log.expect(&["0 may write"]);
}

#[test]
fn a_producer_is_not_read_while_its_consumer_holds_as_much_as_it_may() {
    let mut fixture = layered(|event, cx| {
        if let Event::Data(data) = event {
            cx.factory.all[0].write(data);
        }
    });
    let (sink, source) = (fixture.connect(), fixture.connect());
    let [fed, producer] = [0, 1].map(|number| fixture.transport(number));
    sink.set_room(0);
    fed.set_water_marks(250, 50);
    fed.register_producer(&producer);
    source.send(pattern(1000));
    fixture.settle();
    assert_eq!(fed.unsent(), 250);
    sink.set_room(ANY_ROOM);
    fixture.settle();
    assert!(sink.received() == pattern(1000));
}

#[test]
fn held_bytes_count_for_the_limits() {
    let mut fixture = layered(quiet);
    let (_peer, transport) = hold(&mut fixture, &[0; 100]);
    transport.set_max_unsent(150, OverflowPolicy::Reject);
    transport.write([0; 51]);
    fixture.settle();
    fixture.log.expect(&["0 made", "0 rejected 1"]);
    transport.write([0; 50]);
    assert_eq!((transport.unsent(), transport.dropped_writes()), (150, 1));
}

#[test]
fn short_writes_behind_what_a_layer_took_at_once_count_for_the_limit() {
    let settings = Settings::default().record_layer(20_000).max_unsent(9500);
    let mut fixture = Fixture::with(settings, quiet);
    let peer = fixture.connect();
    peer.set_room(0);
    let transport = fixture.transport(0);
    transport.write([0; 9000]);
    for _ in 0..5 {
        transport.write([0; 100]);
    }
    assert!(transport.accepts_writes() && transport.unsent() == 9500);
    transport.write("x");
    assert!(!transport.accepts_writes());
}

#[test]
fn a_peer_is_not_read_while_the_stream_holds_most_of_its_limit() {
    let mut fixture = layered(quiet);
    let (peer, transport) = hold(&mut fixture, &[0; 301]);
    transport.set_max_unsent(400, OverflowPolicy::Close);
    peer.send("x");
    fixture.settle();
    assert_eq!(fixture.log.count("0 data x"), 0);
    peer.set_room(1);
    fixture.settle();
    assert_eq!((transport.unsent(), fixture.log.count("0 data x")), (300, 1));
}

#[test]
fn held_bytes_count_for_the_limit_of_all_connections() {
    const MAX: usize = 1000;
    let mut fixture = Fixture::with(settings().max_unsent_total(MAX), quiet);
    let peers = [(); 3].map(|()| fixture.connect());
    let all = [0, 1, 2].map(|number| fixture.transport(number));
    for ((peer, transport), length) in peers.iter().zip(&all).zip([400, 300, 250]) {
        peer.set_room(0);
        // Straight to the stream, from outside of its callbacks.
        transport.write(vec![0; length]);
    }
    fixture.settle();
    assert_eq!((fixture.reactor.hub.unsent(), fixture.reactor.metrics().unsent), (950, 950));
    all[1].set_max_unsent(None, OverflowPolicy::Reject);
    all[1].write([0; 51]);
    assert_eq!((all[1].dropped_writes(), fixture.reactor.hub.unsent()), (1, 950));
    all[2].write([0; 51]);
    assert_eq!(all.each_ref().map(Transport::unsent), [0, 300, 301]);
    fixture.settle();
    assert_eq!(fixture.log.count("0 lost: slow consumer: too many unsent bytes"), 1);
    assert_eq!((peers[0].closed(), fixture.reactor.hub.unsent()), (Closed::Reset, 601));
}

#[test]
fn what_layers_take_at_once_never_exceeds_the_limit_of_all_connections() {
    const MAX: usize = 100_000;
    let settings = Settings::default().record_layer(20_000).max_unsent_total(MAX);
    let mut fixture = Fixture::with(settings, |event, cx| {
        on_data(event, || {
            let all = &cx.factory.all;
            let check = || {
                let unsent: usize = all.iter().map(Transport::unsent).sum();
                assert!(unsent <= MAX, "{unsent}");
            };
            // Far more than the allowance of a connection, and less than a record.
            for member in all {
                member.write([0; 9000]);
                check();
            }
            for member in all.iter().flat_map(|member| [member; 90]) {
                member.write([0; 100]);
                check();
            }
        });
    });
    let peers: Vec<Peer> = (0..20).map(|_| fixture.connect()).collect();
    peers.iter().for_each(|peer| peer.set_room(0));
    peers[0].send("x");
    fixture.settle();
    assert!(fixture.reactor.hub.unsent() <= MAX);
    let log = fixture.log.0.borrow();
    assert!(log.iter().any(|it| it.contains("slow consumer")), "{log:?}");
    assert!(!log.iter().any(|it| it.contains("panic")), "{log:?}");
}

#[test]
fn a_large_write_that_the_stream_holds_in_part_counts_at_once() {
    let mut fixture = Fixture::with(settings().max_unsent_total(100_000), |event, cx| {
        on_data(event, || {
            cx.transport.write(pattern(8 * 1024));
            cx.factory.log.push(format!("unsent {}", cx.transport.unsent()));
        });
    });
    let peer = fixture.connect();
    peer.send("x");
    fixture.turn();
    // The last record is not full, and may be when the callback returns.
    fixture.log.expect(&["0 made", "0 data x", "unsent 92"]);
    assert!(peer.received() == pattern(8 * 1024));
    assert_eq!((fixture.transport(0).unsent(), fixture.reactor.hub.unsent()), (0, 0));
}

#[test]
fn bytes_count_as_sent_when_they_leave_the_stream() {
    let mut fixture = layered(quiet);
    let (peer, transport) = hold(&mut fixture, &[0; 50]);
    let sent = |fixture: &Fixture| fixture.reactor.metrics().bytes_sent;
    assert_eq!(sent(&fixture), 0);
    peer.set_room(20);
    fixture.settle();
    assert_eq!(sent(&fixture), 20);
    peer.set_room(ANY_ROOM);
    fixture.settle();
    assert_eq!(sent(&fixture), 50);
    peer.set_room(1000);
    transport.write([0; 10_000]);
    fixture.settle();
    assert_eq!(sent(&fixture), 1050);
    peer.set_room(ANY_ROOM);
    fixture.settle();
    assert_eq!(sent(&fixture), 10_050);
}

#[test]
fn a_rate_counts_bytes_once_and_does_not_hold_back_what_the_stream_holds() {
    let mut fixture = layered(quiet);
    let peer = fixture.connect();
    let transport = fixture.transport(0);
    transport.set_rate_limits(RateLimits::new().write(1000));
    transport.write(pattern(3000));
    let begun = fixture.reactor.now();
    let mut received = Vec::new();
    while received.len() < 3000 {
        fixture.script.advance(Duration::from_millis(10));
        fixture.turn();
        received.extend(peer.received());
    }
    let took = fixture.reactor.now() - begun;
    assert!(received == pattern(3000));
    assert!((Duration::from_millis(2500)..4 * SECOND).contains(&took), "{took:?}");
    // A full socket under a rate: the loop may sleep.
    peer.set_room(0);
    transport.write([0; 300]);
    for _ in 0..100 {
        fixture.script.advance(Duration::from_millis(10));
        fixture.turn();
    }
    assert_eq!((transport.unsent(), fixture.reactor.next_deadline()), (300, None));
}
