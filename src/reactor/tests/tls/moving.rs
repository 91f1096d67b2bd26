//! Data on an encrypted connection.

use super::*;
use crate::limits::{OverflowPolicy, RateLimits};

/// Returns how many bytes were delivered to the first connection.
fn delivered(fixture: &Fixture) -> usize {
    let log = fixture.log.0.borrow();
    let lengths = log.iter().filter_map(|it| it.strip_prefix("0 data ")?.strip_suffix(" bytes"));
    lengths.map(|length| length.parse::<usize>().unwrap()).sum()
}

/// Plaintext that lies in the layer while the socket is empty is delivered without another edge:
/// also after a pause, and as far as a rate allows.
#[test]
fn a_burst_before_silence_is_delivered_whole() {
    let acts: [fn(Event<'_>, &mut Context<'_, Probes>); 3] = [
        |_, _| {},
        |event, cx| {
            if let Event::Data(_) = event {
                cx.transport.pause_reading();
                cx.set_timer(SECOND);
            } else if event == Event::Timer {
                cx.transport.resume_reading();
            }
        },
        |event, cx| {
            if event == Event::Made {
                cx.transport.set_rate_limits(RateLimits::new().read(20_000));
            }
        },
    ];
    for act in acts {
        let mut fixture = encrypted(act);
        let mut client = Client::connect(&mut fixture);
        client.write(pattern(100_000));
        let burst = client.outgoing();
        client.peer.send(burst);
        for _ in 0..200 {
            fixture.settle();
            fixture.script.advance(SECOND);
        }
        assert_eq!(delivered(&fixture), 100_000);
    }
}

/// What is encrypted and cannot leave is bounded, and counts as unsent.
#[test]
fn a_full_socket_holds_no_more_than_four_records_and_all_of_it_is_unsent() {
    let mut fixture = encrypted(quiet);
    let mut client = Client::connect(&mut fixture);
    client.take();
    client.peer.set_room(0);
    let transport = fixture.transport(0);
    let data = pattern(1 << 20);
    for piece in data.chunks(100_000) {
        transport.write(piece);
        fixture.settle();
    }
    let unsent = transport.unsent();
    let held = unsent - data.len();
    // What TLS adds to a record that is not sent is all that can be more than the data.
    assert!(held < 200, "{held} bytes more than the data");
    assert_eq!(fixture.reactor.hub.unsent(), unsent);
    client.peer.set_room(usize::MAX / 2);
    client.exchange(&mut fixture);
    assert!(client.take_received() == data);
    assert_eq!((transport.unsent(), fixture.reactor.hub.unsent()), (0, 0));
}

#[test]
fn held_ciphertext_counts_for_the_limit_of_a_connection() {
    let mut fixture = encrypted(quiet);
    let client = Client::connect(&mut fixture);
    client.peer.set_room(0);
    let transport = fixture.transport(0);
    transport.set_max_unsent(50_000, OverflowPolicy::Close);
    transport.write(pattern(40_000));
    fixture.settle();
    fixture.log.expect(&["0 made"]);
    transport.write(pattern(40_000));
    fixture.settle();
    fixture.log.expect(&["0 lost: slow consumer: too many unsent bytes"]);
}

#[test]
fn a_change_of_keys_by_the_peer_is_answered_without_a_write() {
    let mut fixture = encrypted(echo);
    let mut client = Client::connect(&mut fixture);
    client.take();
    client.engine.refresh_traffic_keys().unwrap();
    client.exchange(&mut fixture);
    client.write("hello");
    client.exchange(&mut fixture);
    assert_eq!((client.take_received(), client.failure.take()), (b"hello".to_vec(), None));
    fixture.log.expect(&["0 made", "0 data hello"]);
}

#[test]
fn pieces_leave_in_one_record() {
    let mut fixture = encrypted(|event, cx| {
        if let Event::Data(_) = event {
            // The line is in the buffer, so the shared bytes stay pieces behind it.
            cx.transport.write("line");
            cx.transport.write_bytes(vec![b'x'; 5000]);
            cx.transport.write_bytes(vec![b'x'; 5000]);
        }
    });
    let mut client = Client::connect(&mut fixture);
    client.take();
    client.write("go");
    let request = client.outgoing();
    client.peer.send(request);
    fixture.settle();
    let sent = client.peer.received();
    assert_eq!(5 + usize::from(u16::from_be_bytes([sent[3], sent[4]])), sent.len());
    assert!(sent.len() > 10_000);
}
