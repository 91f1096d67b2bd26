//! Who is listened to after the goodbye, and for how long.

use super::*;
use crate::limits::{ConnectionLimits, Timeouts};
use crate::socket::scripted::Closed;

#[test]
fn a_talker_is_listened_to_after_the_goodbye() {
    let mut stage = Stage::new(|event, cx| {
        on_data(event, || {
            cx.transport.write("goodbye");
            cx.transport.lose_connection();
        });
    });
    let peer = stage.connect();
    // A buffer full: there may be more, and there is.
    peer.send(vec![b'x'; super::super::BUFFER_LEN]);
    peer.send("and another thing");
    stage.turn();
    // The protocol is told at once; the socket stays, for a reset would take the goodbye with it.
    stage.log.expect(&["0 made", "0 data 65536 bytes", "0 lost: connection closed in order"]);
    assert_eq!(stage.reactor.connection_count(), 0);
    assert!(peer.output_finished());
    assert_eq!(peer.closed(), Closed::No);
    stage.settle();
    peer.close();
    stage.settle();
    assert_eq!(peer.closed(), Closed::InOrder);
    assert_eq!(peer.received(), b"goodbye");
    stage.log.expect(&[]);
    stage.expect_empty();
}

#[test]
fn a_talker_is_not_listened_to_for_ever() {
    let mut stage = Stage::new(|event, cx| on_data(event, || cx.transport.lose_connection()));
    let peer = stage.connect();
    peer.send(vec![b'x'; super::super::BUFFER_LEN]);
    for _ in 0..40 {
        peer.send("and another thing");
        stage.turn();
        stage.script.advance(Duration::from_secs(1));
    }
    stage.settle();
    assert_eq!(peer.closed(), Closed::InOrder);
    stage.expect_empty();
}

#[test]
fn one_who_goes_on_talking_is_listened_to_for_half_a_minute_and_the_silent_for_less() {
    for (talks, seconds) in [(true, 30), (false, 5)] {
        let mut stage = Stage::new(|event, cx| on_data(event, || cx.transport.lose_connection()));
        let peer = stage.connect();
        peer.send("x");
        stage.settle();
        for second in 0..seconds {
            assert_eq!(peer.closed(), Closed::No, "after {second} s");
            stage.script.advance(Duration::from_secs(1));
            if talks && second + 1 < seconds {
                peer.send("and another thing");
            }
            stage.settle();
        }
        assert_eq!(peer.closed(), Closed::InOrder);
        stage.expect_empty();
    }
}

#[test]
fn much_that_is_said_after_the_goodbye_is_discarded_to_its_end() {
    let mut stage = Stage::new(|event, cx| on_data(event, || cx.transport.lose_connection()));
    let peer = stage.connect();
    peer.send("x");
    stage.turn();
    // More than is discarded in one turn, and reported by the poller once.
    peer.send(vec![b'x'; 1 << 20]);
    peer.close();
    stage.turn();
    assert_eq!(peer.closed(), Closed::No);
    stage.settle();
    assert_eq!(peer.closed(), Closed::InOrder);
    stage.expect_empty();
}

#[test]
fn one_who_spoke_first_is_listened_to_though_the_connection_was_closed_when_made() {
    let mut stage = Stage::new(|event, cx| {
        if event == Event::Made {
            cx.transport.write("goodbye");
            cx.transport.lose_connection();
        }
    });
    let peer = stage.script.connect();
    peer.send("hello");
    stage.settle();
    assert_eq!((peer.received(), peer.closed()), (b"goodbye".to_vec(), Closed::No));
    assert!(peer.output_finished());
    peer.close();
    stage.settle();
    assert_eq!(peer.closed(), Closed::InOrder);
    stage.expect_empty();
}

#[test]
fn one_whose_first_words_were_not_read_is_listened_to() {
    let mut stage = Stage::new(|event, cx| {
        on_data(event, || {
            cx.factory.all[1].write("goodbye");
            cx.factory.all[1].lose_connection();
        });
    });
    let (killer, victim) = (stage.connect(), stage.connect());
    killer.send("x");
    victim.send("hello");
    stage.settle();
    // A close would be a reset, with the bytes unread.
    assert_eq!((victim.received(), victim.closed()), (b"goodbye".to_vec(), Closed::No));
    victim.close();
    stage.settle();
    assert_eq!(victim.closed(), Closed::InOrder);
}

#[test]
fn the_silent_are_closed_at_once_and_a_connection_closed_when_made_is_never_watched() {
    let mut stage = Stage::new(|event, cx| {
        if event == Event::Made {
            cx.transport.write("quote");
            cx.transport.lose_connection();
        }
    });
    let peer = stage.script.connect();
    stage.turn();
    stage.log.expect(&["0 made", "0 lost: connection closed in order"]);
    assert_eq!((peer.received(), peer.closed()), (b"quote".to_vec(), Closed::InOrder));
    stage.expect_empty();
}

#[test]
fn what_stands_behind_the_first_glance_is_discarded_without_another_edge() {
    let mut stage = Stage::new(|event, cx| on_data(event, || cx.transport.lose_connection()));
    let peer = stage.connect();
    peer.send(vec![b'x'; super::super::BUFFER_LEN + 100]);
    peer.close();
    stage.settle();
    assert_eq!(peer.closed(), Closed::InOrder);
    stage.expect_empty();
}

#[test]
fn a_loop_that_is_late_looks_before_it_ends_what_lingers() {
    let mut stage = Stage::new(|event, cx| {
        on_data(event, || cx.transport.lose_connection());
    });
    let peer = stage.connect();
    peer.send("x");
    stage.settle();
    peer.send("still talking");
    stage.script.advance(Duration::from_secs(6));
    stage.turn();
    assert_eq!((peer.closed(), peer.unread()), (Closed::No, 0));
    stage.script.advance(Duration::from_secs(5));
    stage.turn();
    assert_eq!(peer.closed(), Closed::InOrder);
    stage.expect_empty();
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
    let mut stage = Stage::with(settings, closing);
    for _ in 0..10 {
        stage.connect().send("x");
        stage.settle();
    }
    assert_eq!((stage.reactor.connection_count(), stage.reactor.lingerers.len()), (0, 10));
    assert_eq!(held(&[stage.connect(), stage.connect(), stage.connect()]), 2);
}

#[test]
fn too_many_who_linger_make_room_for_each_other_the_oldest_first() {
    let mut stage = Stage::new(closing);
    let mut peers = Vec::new();
    // Of one peer no more than its share lingers, and of all no more than is set.
    for peer in 0..40 {
        for _ in 0..70 {
            peers.push(stage.script.connect_from([192, 0, 2, peer]));
        }
    }
    stage.settle();
    peers.iter().for_each(|peer| peer.send("x"));
    stage.settle();
    assert_eq!((stage.reactor.connection_count(), held(&peers)), (0, 1024));
    assert_eq!(held(&peers[40 * 70 - 70..]), 64, "those of the last peer, but for the oldest");
    assert_eq!(held(&peers[..70]), 0, "the first have made room");
    stage.script.advance(Duration::from_secs(5));
    stage.settle();
    stage.expect_empty();
}

#[test]
fn one_who_sends_without_end_is_cut_off_by_bytes_as_well() {
    let mut stage = Stage::new(closing);
    let peer = stage.connect();
    peer.send("x");
    stage.settle();
    let mut sent = 0;
    while peer.closed() == Closed::No {
        sent += 1;
        peer.send(vec![0; 1 << 20]);
        stage.settle();
        assert!(sent <= 64, "{sent} megabytes");
    }
    assert_eq!(sent, 64);
    stage.expect_empty();
}

#[test]
fn the_refused_are_told_and_cost_next_to_nothing() {
    let mut stage = Stage::new(echo);
    let limits = ConnectionLimits::new().max_connections(10).reject_message("busy\r\n");
    stage.reactor.set_limits(&stage.port, limits);
    let mut peers: Vec<Peer> = Vec::new();
    for peer in 0..50 {
        for _ in 0..10 {
            peers.push(stage.script.connect_from([192, 0, 2, peer]));
        }
    }
    stage.settle();
    let refused = &peers[10..];
    assert!(refused.iter().all(|peer| peer.received() == b"busy\r\n"));
    assert_eq!((stage.reactor.connection_count(), held(refused)), (10, 64));
    assert!(refused.chunks(10).all(|of_one| held(of_one) <= 4));
    // They dribble, and are gone soon all the same.
    for _ in 0..10 {
        stage.script.advance(Duration::from_millis(250));
        refused.iter().for_each(|peer| peer.send("x"));
        stage.settle();
    }
    assert_eq!((held(refused), stage.reactor.lingerers.len()), (0, 0));
    assert_eq!(stage.reactor.connection_count(), 10);
}

#[test]
fn a_refused_client_that_floods_is_cut_off() {
    let mut stage = Stage::new(echo);
    stage.reactor.set_limits(
        &stage.port,
        ConnectionLimits::new().max_connections(0).reject_message("busy\r\n"),
    );
    let peer = stage.connect();
    peer.send(vec![0; 1 << 20]);
    stage.settle();
    assert_eq!((peer.received(), peer.closed()), (b"busy\r\n".to_vec(), Closed::InOrder));
    assert!(peer.unread() > 0, "not all of it was read");
    stage.expect_empty();
}

#[test]
fn an_end_that_blames_the_peer_does_not_linger() {
    let second = Duration::from_secs(1);
    for deadlines in [
        Timeouts::new().idle(second),
        Timeouts::new().handshake(second),
        Timeouts::new().max_lifetime(second),
    ] {
        let mut stage = Stage::new(|event, cx| {
            if let Event::TimedOut(deadline) = event {
                cx.transport.time_out(deadline);
            }
        });
        stage.reactor.set_timeouts(&stage.port, deadlines);
        let peer = stage.connect();
        peer.send("x");
        stage.settle();
        stage.script.advance(second);
        stage.settle();
        // A long life is nobody's fault.
        let blames = deadlines != Timeouts::new().max_lifetime(second);
        let expected = if blames { Closed::InOrder } else { Closed::No };
        assert_eq!((stage.reactor.connection_count(), peer.closed()), (0, expected));
    }
}

#[test]
fn what_a_late_loop_hears_counts_as_talk_while_it_drains() {
    let mut stage = Stage::new(|event, cx| match event {
        Event::Drain => cx.transport.lose_connection(),
        _ => echo(event, cx),
    });
    let peer = stage.connect();
    stage.reactor.stop_gracefully(Duration::from_secs(600));
    // It speaks just before it is asked to go, and so is listened to for half a second.
    peer.send("x");
    stage.turn();
    stage.turn();
    peer.send("and more");
    stage.script.advance(Duration::from_secs(1));
    stage.turn();
    assert_eq!((peer.closed(), peer.unread()), (Closed::No, 0));
    stage.turn();
    stage.script.advance(Duration::from_millis(500));
    assert!(stage.reactor.turn(Some(Duration::ZERO)).unwrap().is_break());
}
