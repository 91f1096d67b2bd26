//! Who is listened to after the goodbye, and for how long.

use super::*;
use crate::driver::scripted::Closed;
use crate::limits::{ConnectionLimits, Timeouts};

#[test]
fn a_talker_is_listened_to_after_the_goodbye() {
    let mut fixture = Fixture::new(|event, cx| {
        on_data(event, || {
            cx.transport.write("goodbye");
            cx.transport.lose_connection();
        });
    });
    let peer = fixture.connect();
    // A buffer full: there may be more, and there is.
    peer.send(vec![b'x'; super::super::scratch::BUFFER_LEN]);
    peer.send("and another thing");
    fixture.turn();
    // The protocol is told at once; the socket stays, for a reset would take the goodbye with it.
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
fn a_talker_is_not_listened_to_for_ever() {
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
fn one_who_goes_on_talking_is_listened_to_for_half_a_minute_and_the_silent_for_less() {
    for (talks, seconds) in [(true, 30), (false, 5)] {
        let mut fixture =
            Fixture::new(|event, cx| on_data(event, || cx.transport.lose_connection()));
        let peer = fixture.connect();
        peer.send("x");
        fixture.settle();
        for second in 0..seconds {
            assert_eq!(peer.closed(), Closed::No, "after {second} s");
            fixture.script.advance(Duration::from_secs(1));
            if talks && second + 1 < seconds {
                peer.send("and another thing");
            }
            fixture.settle();
        }
        assert_eq!(peer.closed(), Closed::InOrder);
        fixture.expect_empty();
    }
}

#[test]
fn much_that_is_said_after_the_goodbye_is_discarded_to_its_end() {
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
fn one_who_spoke_first_is_listened_to_though_the_connection_was_closed_when_made() {
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
fn one_whose_first_words_were_not_read_is_listened_to() {
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
fn the_silent_are_closed_at_once_and_a_connection_closed_when_made_is_never_watched() {
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
fn what_stands_behind_the_first_glance_is_discarded_without_another_edge() {
    let mut fixture = Fixture::new(|event, cx| on_data(event, || cx.transport.lose_connection()));
    let peer = fixture.connect();
    peer.send(vec![b'x'; super::super::scratch::BUFFER_LEN + 100]);
    peer.close();
    fixture.settle();
    assert_eq!(peer.closed(), Closed::InOrder);
    fixture.expect_empty();
}

#[test]
fn a_loop_that_is_late_looks_before_it_ends_what_lingers() {
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

/// Closes when it hears something.
fn closing(event: Event<'_>, cx: &mut Context<'_, Probes>) {
    on_data(event, || cx.transport.lose_connection());
}

fn held(peers: &[Peer]) -> usize {
    peers.iter().filter(|peer| peer.closed() == Closed::No).count()
}

#[test]
fn those_who_linger_take_nobody_s_place() {
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
fn too_many_who_linger_make_room_for_each_other_the_oldest_first() {
    let mut fixture = Fixture::new(closing);
    let mut peers = Vec::new();
    // Of one peer no more than its share lingers, and of all no more than is set.
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
fn one_who_sends_without_end_is_cut_off_by_bytes_as_well() {
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
fn the_refused_are_told_and_cost_next_to_nothing() {
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
    // They dribble, and are gone soon all the same.
    for _ in 0..10 {
        fixture.script.advance(Duration::from_millis(250));
        rejected.iter().for_each(|peer| peer.send("x"));
        fixture.settle();
    }
    assert_eq!((held(rejected), fixture.reactor.lingerers.len()), (0, 0));
    assert_eq!(fixture.reactor.connection_count(), 10);
}

#[test]
fn a_refused_client_that_floods_is_cut_off() {
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
        // A long life is nobody's fault.
        let blames = timeouts != Timeouts::new().max_lifetime(second);
        let expected = if blames { Closed::InOrder } else { Closed::No };
        assert_eq!((fixture.reactor.connection_count(), peer.closed()), (0, expected));
    }
}

#[test]
fn what_a_late_loop_hears_counts_as_talk_while_it_drains() {
    let mut fixture = Fixture::new(|event, cx| match event {
        Event::Drain => cx.transport.lose_connection(),
        _ => echo(event, cx),
    });
    let peer = fixture.connect();
    fixture.reactor.stop_gracefully(Duration::from_secs(600));
    // It speaks just before it is asked to go, and so is listened to for half a second.
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
