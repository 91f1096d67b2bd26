//! Peers that want to keep the loop busy, or its memory.

use super::*;
use rustls::ContentType;

/// Returns a record with this content, which is not encrypted.
fn record(kind: ContentType, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[u8::from(kind), 3, 3, high, low], content].concat()
}

/// Sends until the server ends the connection. Returns how many bytes that took.
#[track_caller]
fn send_until_closed(fixture: &mut Fixture, peer: &Peer, bytes: &[u8]) -> usize {
    let mut sent = 0;
    while peer.closed() == Closed::No {
        assert!(sent < 1 << 20, "it listens to everything");
        peer.send(bytes);
        sent += bytes.len();
        fixture.settle();
    }
    sent
}

#[test]
fn a_message_of_sixteen_megabytes_in_a_handshake_is_not_waited_for() {
    let mut fixture = encrypted(echo);
    let peer = fixture.script.connect();
    // A hello that says how long it is.
    peer.send(record(ContentType::Handshake, &[1, 0xff, 0xff, 0xff, 3, 3]));
    let more = record(ContentType::Handshake, &[0; 10_000]);
    let sent = send_until_closed(&mut fixture, &peer, &more);
    assert!(sent <= 256 * 1024, "{sent}");
    fixture.expect_empty();
}

#[test]
fn a_handshake_in_records_of_one_byte_is_bounded() {
    let mut fixture = encrypted(echo);
    let peer = fixture.script.connect();
    let hello = [&[1, 0, 0xff, 0xf0][..], &[0; 60_000]].concat();
    let records = hello.chunks(1).flat_map(|byte| record(ContentType::Handshake, byte));
    peer.send(records.collect::<Vec<u8>>());
    fixture.settle();
    assert_ne!(peer.closed(), Closed::No);
}

#[test]
fn changes_of_keys_without_end_end_the_connection_and_no_other() {
    let mut fixture = encrypted(echo);
    let mut client = Client::connect(&mut fixture);
    let mut other = Client::connect(&mut fixture);
    let mut count = 0;
    while client.peer.closed() == Closed::No {
        assert!(count < 10_000, "it takes all of them");
        client.engine.refresh_traffic_keys().unwrap();
        let change = client.outgoing();
        client.peer.send(change);
        client.take();
        fixture.settle();
        count += 1;
    }
    other.write("hello");
    other.exchange(&mut fixture);
    assert_eq!(other.take_received(), b"hello");
}

#[test]
fn tickets_without_end_end_the_connection() {
    let mut fixture = Fixture::new(quiet);
    let mut config = server_config();
    config.send_tls13_tickets = 1000;
    let side = crate::testing::tls::connector().to("localhost").unwrap();
    let mut server = Server::dialled(&mut fixture, side, config);
    server.exchange(&mut fixture);
    let why = "the peer sends TLS records without data that do not end";
    fixture.log.expect(&["0 made", &format!("0 lost: connection lost: {why}")]);
}

/// The engine remembers where the parts of a message lie, and panics if they are gone.
#[test]
fn a_message_in_parts_is_kept_while_this_side_writes_and_closes() {
    let mut fixture = Fixture::new(|event, cx| {
        if event == Event::Timer {
            cx.transport.write("meanwhile");
            cx.transport.lose_connection();
        } else if event == Event::Made {
            cx.set_timer(SECOND);
        }
    });
    // Tickets in records of 64 bytes.
    let mut config = server_config();
    config.max_fragment_size = Some(64);
    let side = crate::testing::tls::connector().to("localhost").unwrap();
    let mut server = Server::dialled(&mut fixture, side, config);
    for _ in 0..4 {
        fixture.settle();
        let handshake = server.take();
        if server.engine.is_handshaking() {
            server.peer.send(handshake);
        } else {
            // The tickets come with the last step: only the first record arrives, and a half.
            let first = 5 + usize::from(u16::from_be_bytes([handshake[3], handshake[4]]));
            assert!(handshake.len() > 2 * first);
            server.peer.send(&handshake[..first + first / 2]);
            break;
        }
    }
    fixture.settle();
    fixture.script.advance(SECOND);
    fixture.settle();
    fixture.log.expect(&["0 made", "0 timer", DONE]);
    server.take();
    assert_eq!((server.failure, &server.received[..]), (None, &b"meanwhile"[..]));
}

#[test]
fn bytes_that_were_changed_on_the_way_end_the_connection_with_an_alert() {
    let mut fixture = encrypted(quiet);
    let mut client = Client::connect(&mut fixture);
    client.write("as it was sent");
    client.exchange(&mut fixture);
    client.write("with it");
    let before = client.outgoing();
    client.write("hello");
    let mut bytes = client.outgoing();
    *bytes.last_mut().unwrap() ^= 1;
    client.peer.send([before, bytes].concat());
    fixture.settle();
    client.take();
    let alert = rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac);
    assert_eq!(client.failure, Some(alert));
    let lost = "0 lost: connection lost: cannot decrypt peer's message";
    fixture.log.expect(&["0 made", "0 data as it was sent", "0 data with it", lost]);
}

/// Mutated, cut and repeated bytes of a client, by a seed: the server does not panic, does not take
/// more turns than it has bytes, and ends with nothing left.
#[test]
fn whatever_a_client_sends_the_server_rests_and_forgets_it() {
    use crate::random::SplitMix64;
    let mut random = SplitMix64(2026);
    let mut reached = 0;
    for _ in 0..300 {
        let mut fixture = encrypted(echo);
        let mut client = Client::new(fixture.script.connect());
        for _ in 0..6 {
            if !client.engine.is_handshaking() && client.failure.is_none() {
                reached += 1;
                client.write(pattern(random.below(3000) as usize));
            }
            let mut bytes = client.outgoing();
            if random.below(3) == 0 && !bytes.is_empty() {
                let at = random.below(bytes.len() as u64) as usize;
                match random.below(4) {
                    0 => bytes[at] ^= 1 << random.below(8),
                    1 => bytes.truncate(at),
                    2 => bytes.extend_from_within(at..),
                    _ => bytes.extend((0..at).map(|_| random.next() as u8)),
                }
            }
            client.peer.send(bytes);
            fixture.settle();
            assert!(fixture.reactor.next_deadline().is_none_or(|due| due > fixture.reactor.now()));
            client.take();
        }
        client.peer.close();
        fixture.settle();
        fixture.script.advance(60 * SECOND);
        fixture.settle();
        assert_ne!(client.peer.closed(), Closed::No);
        fixture.expect_empty();
    }
    assert!(reached > 200, "most handshakes were completed: {reached}");
}
