//! Who is listened to after the goodbye, and for how long.

use super::*;
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
    peer.send(vec![b'x'; 4 << 20]);
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
