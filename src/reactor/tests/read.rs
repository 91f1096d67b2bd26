//! Reading: edges, pauses and half-closes.

use super::*;

#[test]
fn a_fin_that_shares_an_edge_with_data_is_delivered() {
    let mut fixture = Fixture::new(echo);
    let peer = fixture.connect();
    peer.send("data");
    peer.close();
    fixture.settle();
    fixture.log.expect(&[
        "0 made",
        "0 data data",
        "0 read lost",
        "0 lost: connection closed gracefully",
    ]);
    assert_eq!(peer.received(), b"data");
    assert_eq!(peer.calls().reads, 2, "once for each");
    fixture.expect_empty();
}

#[test]
fn a_request_costs_one_read_and_one_write() {
    let mut fixture = Fixture::new(echo);
    let peer = fixture.connect();
    let before = peer.calls();
    for _ in 0..10 {
        peer.send("ping");
        fixture.turn();
    }
    let calls = peer.calls();
    assert_eq!((calls.reads - before.reads, calls.writes - before.writes), (10, 10));
}

#[test]
fn a_peer_that_never_stops_sending_does_not_starve_the_others() {
    let mut fixture = Fixture::new(echo);
    let (greedy, modest) = (fixture.connect(), fixture.connect());
    for _ in 0..100 {
        greedy.send(vec![b'x'; BUFFER]);
    }
    modest.send("hello");
    fixture.turn();
    assert_eq!(modest.received(), b"hello");
    let served = greedy.calls().reads;
    assert!((1..=10).contains(&served), "{served} reads in one turn");
    for _ in 0..100 {
        fixture.turn();
    }
    assert_eq!(greedy.received().len(), 100 * BUFFER);
}

const BUFFER: usize = super::super::scratch::BUFFER_LEN;

#[test]
fn a_paused_connection_reads_nothing_still_writes_and_resumes_once() {
    let mut fixture = Fixture::new(|event, cx| {
        if let Event::Data(b"pause") = event {
            cx.transport.pause_reading();
        }
    });
    let peer = fixture.connect();
    peer.send("pause");
    peer.send("more");
    fixture.settle();
    fixture.log.expect(&["0 made", "0 data pause"]);
    let transport = fixture.transport(0);
    assert!(transport.is_paused());
    transport.write("still writing");
    fixture.turn();
    assert_eq!(peer.received(), b"still writing");
    transport.resume_reading();
    transport.resume_reading();
    fixture.settle();
    fixture.log.expect(&["0 resumed", "0 data more"]);
}

#[test]
fn data_that_arrived_during_a_pause_is_read_when_a_timer_ends_it() {
    let mut fixture = Fixture::new(|event, cx| match event {
        Event::Made => {
            cx.transport.pause_reading();
            cx.set_timer(Duration::from_secs(1));
        }
        Event::Timer => cx.transport.resume_reading(),
        _ => {}
    });
    let peer = fixture.connect();
    peer.send("waiting");
    fixture.settle();
    fixture.script.advance(Duration::from_secs(1));
    fixture.settle();
    fixture.log.expect(&["0 made", "0 timer", "0 resumed", "0 data waiting"]);
}

#[test]
fn resuming_in_each_resumption_does_not_hold_the_loop() {
    let mut fixture = Fixture::new(|event, cx| {
        if matches!(event, Event::Made | Event::Resumed) {
            cx.transport.pause_reading();
            cx.transport.resume_reading();
        }
    });
    fixture.connect();
    fixture.turn();
    fixture.turn();
    let resumed = fixture.log.count("0 resumed");
    assert!((2..=6).contains(&resumed), "{resumed}");
}

#[test]
fn pausing_and_resuming_gives_no_connection_more_than_its_share() {
    let mut fixture = Fixture::new(|event, cx| {
        if let Event::Data(_) = event {
            cx.transport.pause_reading();
            cx.transport.resume_reading();
        }
    });
    let peer = fixture.connect();
    for _ in 0..100 {
        peer.send(vec![b'x'; BUFFER]);
    }
    for _ in 0..10 {
        let before = peer.calls().reads;
        fixture.turn();
        let reads = peer.calls().reads - before;
        assert!((1..=10).contains(&reads), "{reads} reads in one turn");
    }
}

#[test]
fn a_paused_connection_notices_a_reset_but_not_an_orderly_close() {
    let mut fixture = Fixture::new(|event, cx| {
        if event == Event::Made {
            cx.transport.pause_reading();
        }
    });
    let (closing, resetting) = (fixture.connect(), fixture.connect());
    closing.send("unread");
    closing.close();
    resetting.reset();
    fixture.settle();
    fixture.log.expect(&["0 made", "1 made", "1 lost: connection lost: connection reset"]);
    fixture.transport(0).resume_reading();
    fixture.settle();
    fixture.log.expect(&["0 resumed", "0 data unread", "0 read lost"]);
}

#[test]
fn a_reset_behind_a_half_close_is_noticed() {
    let mut fixture = Fixture::new(quiet);
    let peer = fixture.connect();
    peer.close();
    fixture.settle();
    fixture.log.expect(&["0 made", "0 read lost"]);
    peer.reset();
    fixture.settle();
    fixture.log.expect(&["0 lost: connection lost: connection reset"]);
    fixture.expect_empty();
}

#[test]
fn a_reset_comes_after_the_data_before_it() {
    let mut fixture = Fixture::new(quiet);
    let peer = fixture.connect();
    peer.send("data");
    peer.reset();
    fixture.settle();
    fixture.log.expect(&["0 made", "0 data data", "0 lost: connection lost: connection reset"]);
    fixture.expect_empty();
}

#[test]
fn both_halves_done_ends_the_connection_whichever_is_first() {
    for peer_first in [true, false] {
        let mut fixture = Fixture::new(|_, _| {});
        let peer = fixture.connect();
        fixture.log.expect(&["0 made"]);
        let transport = fixture.transport(0);
        if peer_first {
            peer.close();
            fixture.settle();
            fixture.log.expect(&["0 read lost"]);
        }
        transport.write("goodbye");
        transport.lose_write_connection();
        transport.lose_write_connection();
        transport.write("too late");
        fixture.settle();
        assert!(peer.output_finished());
        if peer_first {
            fixture.log.expect(&["0 write lost", "0 lost: connection closed gracefully"]);
        } else {
            fixture.log.expect(&["0 write lost"]);
            peer.send("still heard");
            peer.close();
            fixture.settle();
            fixture.log.expect(&[
                "0 data still heard",
                "0 read lost",
                "0 lost: connection closed gracefully",
            ]);
        }
        assert_eq!(peer.received(), b"goodbye");
        fixture.expect_empty();
    }
}

#[test]
fn a_peer_that_never_reads_its_echo_is_not_read_without_end() {
    let mut fixture = Fixture::new(echo);
    let peer = fixture.connect();
    peer.set_room(0);
    let megabyte = vec![0; 1024 * 1024];
    for _ in 0..80 {
        peer.send(&megabyte);
    }
    for _ in 0..600 {
        fixture.turn();
        fixture.script.advance(Duration::from_millis(1));
    }
    let unsent = fixture.transport(0).unsent();
    // Three quarters of the limit.
    assert!((48..=49).contains(&(unsent >> 20)), "{unsent}");
    peer.set_room(usize::MAX);
    for _ in 0..400 {
        fixture.turn();
    }
    assert_eq!(peer.received().len(), 80 << 20);
}

#[test]
fn a_peer_that_takes_nothing_is_read_again_after_the_backoff() {
    let mut fixture = Fixture::new(echo);
    let (peer, other) = (fixture.connect(), fixture.connect());
    peer.set_room(0);
    for _ in 0..40 {
        peer.send(vec![b'x'; 65_536]);
    }
    let unsent = |fixture: &mut Fixture| fixture.transport(0).unsent() / 65_536;
    fixture.settle();
    let ahead = unsent(&mut fixture);
    assert!((1..=4).contains(&ahead), "{ahead}");
    let due = fixture.reactor.next_deadline().unwrap();
    assert_eq!(due - fixture.reactor.now(), Duration::from_millis(1), "and the loop may sleep");
    peer.send("more does not end the rest");
    other.send("nor do others");
    fixture.settle();
    assert_eq!((unsent(&mut fixture), &*other.received()), (ahead, &b"nor do others"[..]));
    fixture.script.advance(Duration::from_millis(1));
    fixture.settle();
    let further = unsent(&mut fixture);
    assert!((1..=8).contains(&(further - ahead)), "{further}");
    // Room in the socket ends the backoff.
    peer.set_room(usize::MAX);
    fixture.settle();
    assert_eq!(peer.received().len(), 40 * 65_536 + 26);
    assert_eq!(unsent(&mut fixture), 0);
    fixture.script.advance(Duration::from_millis(1));
    fixture.settle();
    assert_eq!(fixture.reactor.next_deadline(), None);
}

#[test]
fn a_connection_may_end_during_its_read_backoff() {
    let mut fixture = Fixture::new(echo);
    let peer = fixture.connect();
    peer.set_room(0);
    for _ in 0..4 {
        peer.send(vec![b'x'; 65_536]);
    }
    fixture.settle();
    fixture.transport(0).abort_connection();
    fixture.settle();
    fixture.script.advance(Duration::from_millis(1));
    fixture.settle();
    fixture.expect_empty();
}

#[test]
fn a_connection_with_much_unsent_is_read_as_soon_as_that_has_left() {
    let mut fixture = Fixture::new(|event, cx| {
        if event == Event::Data(b"much") {
            // With something unsent before it, it is not offered at once.
            cx.factory.all[1].write("beginning");
            cx.factory.all[1].write(vec![b'x'; 65 << 20]);
        }
    });
    let (talker, listener) = (fixture.connect(), fixture.connect());
    talker.send("much");
    listener.send("hello");
    fixture.turn();
    fixture.log.expect(&["0 made", "1 made", "0 data much"]);
    assert_eq!(listener.received().len(), 9 + (65 << 20));
    fixture.turn();
    fixture.log.expect(&["1 data hello"]);
}

#[test]
fn a_peer_that_takes_nothing_is_read_after_the_backoff_whatever_others_write_to_it() {
    let mut fixture = Fixture::new(|event, cx| {
        if let (Event::Data(data), true) = (event, *cx.transport == cx.factory.all[0]) {
            cx.factory.all[1].write(vec![b'x'; 512 * 1024]);
            let _ = data;
        }
    });
    let (talker, stalled) = (fixture.connect(), fixture.connect());
    stalled.set_room(0);
    talker.send("x");
    fixture.settle();
    fixture.log.0.borrow_mut().clear();
    stalled.send("leave");
    for _ in 0..50 {
        talker.send("x");
        fixture.script.advance(Duration::from_millis(2));
        fixture.turn();
    }
    assert_eq!(fixture.log.count("1 data leave"), 1);
}

#[test]
fn a_read_backoff_ends_with_the_run() {
    let mut fixture = Fixture::new(echo);
    let peer = fixture.connect();
    peer.set_room(0);
    (0..4).for_each(|_| peer.send(vec![b'x'; 65_536]));
    fixture.settle();
    assert!(fixture.reactor.next_deadline().is_some());
    fixture.reactor.stop();
    assert!(fixture.reactor.turn(None).unwrap().is_break());
    fixture.expect_empty();
}

#[test]
fn a_read_backoff_is_not_prolonged_by_later_ones() {
    let mut fixture = Fixture::new(echo);
    let peers: Vec<Peer> = (0..20).map(|_| fixture.connect()).collect();
    let mut before = 0;
    for (round, peer) in peers.iter().enumerate() {
        peer.set_room(0);
        (0..8).for_each(|_| peer.send(vec![b'x'; 65_536]));
        (0..4).for_each(|_| fixture.turn());
        if round == 0 {
            before = fixture.transport(0).unsent();
        }
        fixture.script.advance(Duration::from_micros(100));
    }
    fixture.turn();
    assert!(before > 0 && fixture.transport(0).unsent() > before);
}

#[test]
fn data_behind_urgent_data_is_read_without_another_edge() {
    let mut fixture = Fixture::new(echo);
    let peer = fixture.connect();
    let reads = peer.calls().reads;
    peer.send("before");
    peer.send_urgent();
    peer.send("behind");
    fixture.turn();
    fixture.log.expect(&["0 made", "0 data before", "0 data behind"]);
    assert_eq!(peer.received(), b"beforebehind");
    // Two reads that returned something, and two that found nothing more.
    assert_eq!(peer.calls().reads - reads, 4);
    // A short read is the last again.
    peer.send("later");
    fixture.settle();
    assert_eq!(peer.calls().reads - reads, 5);
    fixture.log.expect(&["0 data later"]);
}

#[test]
fn urgent_data_alone_or_at_the_end_delivers_nothing_and_hides_nothing() {
    let mut fixture = Fixture::new(echo);
    let peer = fixture.connect();
    peer.send_urgent();
    fixture.settle();
    peer.send("before");
    peer.send_urgent();
    fixture.settle();
    peer.send_urgent();
    peer.send_urgent();
    peer.send("behind two");
    fixture.settle();
    fixture.log.expect(&["0 made", "0 data before", "0 data behind two"]);
}

#[test]
fn a_stream_with_more_after_a_short_read_is_read_on_without_extra_reads() {
    let mut fixture = Fixture::new(echo);
    let peer = fixture.connect();
    peer.send_in_records();
    let reads = peer.calls().reads;
    let records: Vec<String> = (0..10).map(|number| format!("record {number}")).collect();
    records.iter().for_each(|record| peer.send(record));
    for _ in 0..3 {
        fixture.turn();
    }
    assert_eq!(peer.received(), records.concat().as_bytes());
    assert_eq!(peer.calls().reads - reads, 10, "the last short read is the last");
    assert_eq!(fixture.reactor.next_deadline(), None);
}
