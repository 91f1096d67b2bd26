//! Lingering closes.

use super::*;
use crate::driver::scripted::Closed;
use crate::limits::{ConnectionLimits, Timeouts};

#[test]
fn a_closed_connection_whose_peer_has_sent_lingers() {
    let mut fixture = Fixture::new(|event, cx| {
        on_data(event, || {
            cx.transport.write("goodbye");
            cx.transport.lose_connection();
        });
    });
    let peer = fixture.connect();
    // A full buffer: there may be more, and there is.
    peer.send(vec![b'x'; super::super::scratch::BUFFER_LEN]);
    peer.send("and another thing");
    fixture.turn();
    // `connection_lost` comes at once; the socket stays, since a reset would destroy the last
    // bytes.
    fixture.log.expect(&["0 made", "0 data 65536 bytes", "0 lost: connection closed gracefully"]);
    assert_eq!(fixture.reactor.connection_count(), 0);
    assert!(peer.output_finished());
    assert_eq!(peer.closed(), Closed::No);
    fixture.settle();
    peer.close();
    fixture.settle();
    assert_eq!(peer.closed(), Closed::InOrder);
    assert_eq!(peer.received(), b"goodbye");
    fixture.log.expect(&[]);
    fixture.expect_empty();
}

#[test]
fn a_lingering_connection_ends() {
    let mut fixture = Fixture::new(|event, cx| on_data(event, || cx.transport.lose_connection()));
    let peer = fixture.connect();
    peer.send(vec![b'x'; super::super::scratch::BUFFER_LEN]);
    for _ in 0..40 {
        peer.send("and another thing");
        fixture.turn();
        fixture.script.advance(Duration::from_secs(1));
    }
    fixture.settle();
    assert_eq!(peer.closed(), Closed::InOrder);
    fixture.expect_empty();
}

#[test]
fn lingering_lasts_half_a_minute_and_less_if_the_peer_is_silent() {
    for (peer_sends, seconds) in [(true, 30), (false, 5)] {
        let mut fixture =
            Fixture::new(|event, cx| on_data(event, || cx.transport.lose_connection()));
        let peer = fixture.connect();
        peer.send("x");
        fixture.settle();
        for second in 0..seconds {
            assert_eq!(peer.closed(), Closed::No, "after {second} s");
            fixture.script.advance(Duration::from_secs(1));
            if peer_sends && second + 1 < seconds {
                peer.send("and another thing");
            }
            fixture.settle();
        }
        assert_eq!(peer.closed(), Closed::InOrder);
        fixture.expect_empty();
    }
}

#[test]
fn much_input_after_the_close_is_discarded_to_its_end() {
    let mut fixture = Fixture::new(|event, cx| on_data(event, || cx.transport.lose_connection()));
    let peer = fixture.connect();
    peer.send("x");
    fixture.turn();
    // More than is discarded in one turn, and reported by the poller once.
    peer.send(vec![b'x'; 1 << 20]);
    peer.close();
    fixture.turn();
    assert_eq!(peer.closed(), Closed::No);
    fixture.settle();
    assert_eq!(peer.closed(), Closed::InOrder);
    fixture.expect_empty();
}

#[test]
fn a_connection_closed_when_made_lingers_if_the_client_sent_first() {
    let mut fixture = Fixture::new(|event, cx| {
        if event == Event::Made {
            cx.transport.write("goodbye");
            cx.transport.lose_connection();
        }
    });
    let peer = fixture.script.connect();
    peer.send("hello");
    fixture.settle();
    assert_eq!((peer.received(), peer.closed()), (b"goodbye".to_vec(), Closed::No));
    assert!(peer.output_finished());
    peer.close();
    fixture.settle();
    assert_eq!(peer.closed(), Closed::InOrder);
    fixture.expect_empty();
}

#[test]
fn a_connection_with_unread_input_lingers() {
    let mut fixture = Fixture::new(|event, cx| {
        on_data(event, || {
            cx.factory.all[1].write("goodbye");
            cx.factory.all[1].lose_connection();
        });
    });
    let (killer, victim) = (fixture.connect(), fixture.connect());
    killer.send("x");
    victim.send("hello");
    fixture.settle();
    // A close would be a reset, with the bytes unread.
    assert_eq!((victim.received(), victim.closed()), (b"goodbye".to_vec(), Closed::No));
    victim.close();
    fixture.settle();
    assert_eq!(victim.closed(), Closed::InOrder);
}

#[test]
fn silent_peers_are_closed_at_once_and_a_connection_closed_when_made_is_never_registered() {
    let mut fixture = Fixture::new(|event, cx| {
        if event == Event::Made {
            cx.transport.write("quote");
            cx.transport.lose_connection();
        }
    });
    let peer = fixture.script.connect();
    fixture.turn();
    fixture.log.expect(&["0 made", "0 lost: connection closed gracefully"]);
    assert_eq!((peer.received(), peer.closed()), (b"quote".to_vec(), Closed::InOrder));
    fixture.expect_empty();
}

#[test]
fn input_behind_the_first_read_is_discarded_without_another_edge() {
    let mut fixture = Fixture::new(|event, cx| on_data(event, || cx.transport.lose_connection()));
    let peer = fixture.connect();
    peer.send(vec![b'x'; super::super::scratch::BUFFER_LEN + 100]);
    peer.close();
    fixture.settle();
    assert_eq!(peer.closed(), Closed::InOrder);
    fixture.expect_empty();
}

#[test]
fn a_late_loop_reads_before_it_ends_a_lingering_close() {
    let mut fixture = Fixture::new(|event, cx| {
        on_data(event, || cx.transport.lose_connection());
    });
    let peer = fixture.connect();
    peer.send("x");
    fixture.settle();
    peer.send("still talking");
    fixture.script.advance(Duration::from_secs(6));
    fixture.turn();
    assert_eq!((peer.closed(), peer.unread()), (Closed::No, 0));
    fixture.script.advance(Duration::from_secs(5));
    fixture.turn();
    assert_eq!(peer.closed(), Closed::InOrder);
    fixture.expect_empty();
}

/// Closes when data comes.
fn closing(event: Event<'_>, cx: &mut Context<'_, Probes>) {
    on_data(event, || cx.transport.lose_connection());
}

fn held(peers: &[Peer]) -> usize {
    peers.iter().filter(|peer| peer.closed() == Closed::No).count()
}

#[test]
fn lingering_connections_do_not_count_as_clients() {
    let settings = Settings::default().max_connections(2);
    let mut fixture = Fixture::with(settings, closing);
    for _ in 0..10 {
        fixture.connect().send("x");
        fixture.settle();
    }
    assert_eq!((fixture.reactor.connection_count(), fixture.reactor.lingerers.len()), (0, 10));
    assert_eq!(held(&[fixture.connect(), fixture.connect(), fixture.connect()]), 2);
}

#[test]
fn the_oldest_lingering_connection_makes_room_for_the_next() {
    let mut fixture = Fixture::new(closing);
    let mut peers = Vec::new();
    // The connections of one peer are bounded, and so are all together.
    for peer in 0..40 {
        for _ in 0..70 {
            peers.push(fixture.script.connect_from([192, 0, 2, peer]));
        }
    }
    fixture.settle();
    peers.iter().for_each(|peer| peer.send("x"));
    fixture.settle();
    assert_eq!((fixture.reactor.connection_count(), held(&peers)), (0, 1024));
    assert_eq!(held(&peers[40 * 70 - 70..]), 64, "those of the last peer, but for the oldest");
    assert_eq!(held(&peers[..70]), 0, "the first have made room");
    fixture.script.advance(Duration::from_secs(5));
    fixture.settle();
    fixture.expect_empty();
}

#[test]
fn lingering_is_bounded_in_bytes_as_well() {
    let mut fixture = Fixture::new(closing);
    let peer = fixture.connect();
    peer.send("x");
    fixture.settle();
    let mut sent = 0;
    while peer.closed() == Closed::No {
        sent += 1;
        peer.send(vec![0; 1 << 20]);
        fixture.settle();
        assert!(sent <= 64, "{sent} megabytes");
    }
    assert_eq!(sent, 64);
    fixture.expect_empty();
}

#[test]
fn rejected_clients_get_the_message_and_linger_only_briefly() {
    let mut fixture = Fixture::new(echo);
    let limits = ConnectionLimits::new().max_connections(10).reject_message("busy\r\n");
    fixture.reactor.set_limits(&fixture.port, limits);
    let mut peers: Vec<Peer> = Vec::new();
    for peer in 0..50 {
        for _ in 0..10 {
            peers.push(fixture.script.connect_from([192, 0, 2, peer]));
        }
    }
    fixture.settle();
    let rejected = &peers[10..];
    assert!(rejected.iter().all(|peer| peer.received() == b"busy\r\n"));
    assert_eq!((fixture.reactor.connection_count(), held(rejected)), (10, 64));
    assert!(rejected.chunks(10).all(|of_one| held(of_one) <= 4));
    // They keep sending a little, and are closed soon all the same.
    for _ in 0..10 {
        fixture.script.advance(Duration::from_millis(250));
        rejected.iter().for_each(|peer| peer.send("x"));
        fixture.settle();
    }
    assert_eq!((held(rejected), fixture.reactor.lingerers.len()), (0, 0));
    assert_eq!(fixture.reactor.connection_count(), 10);
}

#[test]
fn a_rejected_client_that_floods_is_cut_off() {
    let mut fixture = Fixture::new(echo);
    fixture.reactor.set_limits(
        &fixture.port,
        ConnectionLimits::new().max_connections(0).reject_message("busy\r\n"),
    );
    let peer = fixture.connect();
    peer.send(vec![0; 1 << 20]);
    fixture.settle();
    assert_eq!((peer.received(), peer.closed()), (b"busy\r\n".to_vec(), Closed::InOrder));
    assert!(peer.unread() > 0, "not all of it was read");
    fixture.expect_empty();
}

#[test]
fn an_end_that_blames_the_peer_does_not_linger() {
    let second = Duration::from_secs(1);
    for timeouts in [
        Timeouts::new().idle(second),
        Timeouts::new().handshake(second),
        Timeouts::new().max_lifetime(second),
    ] {
        let mut fixture = Fixture::new(|event, cx| {
            if let Event::TimedOut(kind) = event {
                cx.transport.time_out(kind);
            }
        });
        fixture.reactor.set_timeouts(&fixture.port, timeouts);
        let peer = fixture.connect();
        peer.send("x");
        fixture.settle();
        fixture.script.advance(second);
        fixture.settle();
        // The maximum lifetime does not blame the peer.
        let blames = timeouts != Timeouts::new().max_lifetime(second);
        let expected = if blames { Closed::InOrder } else { Closed::No };
        assert_eq!((fixture.reactor.connection_count(), peer.closed()), (0, expected));
    }
}

#[test]
fn bytes_that_a_late_loop_reads_keep_a_lingering_connection_in_the_drain() {
    let mut fixture = Fixture::new(|event, cx| match event {
        Event::Drain => cx.transport.lose_connection(),
        _ => echo(event, cx),
    });
    let peer = fixture.connect();
    fixture.reactor.stop_gracefully(Duration::from_secs(600));
    // It sends something just before the close, and so lingers for half a second.
    peer.send("x");
    fixture.turn();
    fixture.turn();
    peer.send("and more");
    fixture.script.advance(Duration::from_secs(1));
    fixture.turn();
    assert_eq!((peer.closed(), peer.unread()), (Closed::No, 0));
    fixture.turn();
    fixture.script.advance(Duration::from_millis(500));
    assert!(fixture.reactor.turn(Some(Duration::ZERO)).unwrap().is_break());
}
