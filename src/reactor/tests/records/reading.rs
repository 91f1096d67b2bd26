//! What a layer holds of the bytes it has read.

use super::*;
use crate::limits::RateLimits;

const BURST: usize = 64 * 1024;

#[test]
fn a_burst_is_delivered_whole_although_the_socket_is_empty() {
    let mut fixture = layered(quiet);
    let (peer, other) = (fixture.connect(), fixture.connect());
    peer.send(pattern(BURST));
    fixture.turn();
    let first = delivered(&fixture);
    assert!((1..=16 * RECORD).contains(&first), "{first} bytes in a turn");
    assert_eq!(peer.unread(), 0, "all of it is in the stream");
    other.send("hello");
    fixture.turn();
    assert_eq!(fixture.log.count("1 data hello"), 1, "others are served meanwhile");
    while delivered(&fixture) / RECORD < BURST / RECORD {
        assert_eq!(fixture.reactor.next_deadline(), Some(fixture.reactor.now()), "no sleep");
        fixture.turn();
    }
    fixture.settle();
    assert_eq!(delivered(&fixture), BURST);
    assert_eq!(fixture.reactor.next_deadline(), None);
}

#[test]
fn a_burst_is_delivered_whole_after_a_pause_in_its_first_callback() {
    let mut fixture = layered(|event, cx| match event {
        Event::Data(_) if cx.factory.log.count("0 data 100 bytes") == 1 => {
            cx.transport.pause_reading();
            cx.set_timer(SECOND);
        }
        Event::Timer => cx.transport.resume_reading(),
        _ => {}
    });
    let peer = fixture.connect();
    peer.send(pattern(BURST));
    fixture.settle();
    assert_eq!(delivered(&fixture), RECORD);
    fixture.script.advance(SECOND);
    for _ in 0..100 {
        fixture.turn();
    }
    assert_eq!(delivered(&fixture), BURST);
}

#[test]
fn a_burst_is_delivered_whole_at_a_rate() {
    let mut fixture = layered(quiet);
    let peer = fixture.connect();
    fixture.transport(0).set_rate_limits(RateLimits::new().read(10_000));
    peer.send(pattern(BURST));
    for _ in 0..1000 {
        fixture.turn();
        fixture.script.advance(Duration::from_millis(10));
    }
    assert!(fixture.log.count("0 data 100 bytes") > 300);
    let log = fixture.log.0.borrow().join("\n");
    let short = |line: &str| line.strip_prefix("0 data ").is_some_and(|it| !it.contains("bytes"));
    assert!(delivered(&fixture) > BURST - 1000 && !log.lines().any(short), "{log}");
    assert_eq!(fixture.reactor.metrics().bytes_received, BURST as u64);
}

/// The edge of these bytes is reported while the stream has records, and never again.
#[test]
fn bytes_that_arrive_while_records_are_in_the_stream_are_read() {
    for late_after in 1..5 {
        let mut fixture = layered(quiet);
        let peer = fixture.connect();
        peer.send(pattern(20 * RECORD));
        (0..late_after).for_each(|_| fixture.turn());
        peer.send("late");
        for _ in 0..10 {
            fixture.turn();
        }
        assert_eq!(delivered(&fixture), 20 * RECORD);
        assert_eq!(fixture.log.count("0 data late"), 1, "after {late_after} turns");
    }
}

#[test]
fn an_end_and_an_error_come_after_the_records() {
    for (end, heard) in [
        (Peer::close as fn(&Peer), "0 read lost"),
        (Peer::reset_in_line, "0 lost: connection lost: connection reset"),
    ] {
        let mut fixture = layered(quiet);
        let peer = fixture.connect();
        peer.send(pattern(20 * RECORD));
        end(&peer);
        fixture.settle();
        assert_eq!(delivered(&fixture), 20 * RECORD);
        assert_eq!(fixture.log.0.borrow().last().map(String::as_str), Some(heard));
    }
}

#[test]
fn a_request_of_one_record_costs_one_read_and_one_write() {
    let mut fixture = layered(echo);
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
fn an_outgoing_connection_has_the_layer_as_well() {
    let mut fixture = layered(quiet);
    let log = Log::default();
    let probes = Probes { log: log.clone(), act: quiet, all: Vec::new(), key: Rc::default() };
    let target = std::net::SocketAddr::from(([192, 0, 2, 7], 80));
    let connector = fixture.reactor.connect_tcp(target, probes).unwrap();
    connector.transport().write("before the answer");
    let peer = fixture.script.dialled();
    peer.answer();
    peer.send(pattern(2 * RECORD));
    fixture.settle();
    log.expect(&["0 made", "0 data 100 bytes", "0 data 100 bytes"]);
    assert_eq!(peer.received(), b"before the answer");
}

#[test]
fn a_blocked_direction_does_not_block_the_other() {
    let mut fixture = layered(quiet);
    let (peer, transport) = hold(&mut fixture, &[0; 400]);
    transport.write([0; 1000]);
    peer.send(pattern(20 * RECORD));
    fixture.settle();
    assert_eq!((delivered(&fixture), transport.unsent()), (20 * RECORD, 1400));
    transport.pause_reading();
    peer.send(pattern(20 * RECORD));
    peer.set_room(ANY_ROOM);
    fixture.settle();
    assert_eq!((delivered(&fixture), transport.unsent()), (20 * RECORD, 0));
    assert_eq!(peer.received().len(), 1400);
}

#[test]
fn what_a_stream_answers_by_itself_leaves_without_a_write() {
    let mut fixture = Fixture::new(quiet);
    let peer = fixture.script.connect();
    peer.have_reads_answered(b"noted");
    fixture.turn();
    peer.send("x");
    fixture.turn();
    assert_eq!((peer.received(), fixture.transport(0).unsent()), (b"noted".to_vec(), 0));
    // Without a callback either.
    peer.send_record_without_data();
    fixture.turn();
    assert_eq!((peer.received(), fixture.log.count("0 data x")), (b"noted".to_vec(), 1));
    peer.set_room(0);
    peer.send("x");
    fixture.settle();
    assert_eq!((fixture.transport(0).unsent(), fixture.reactor.hub.unsent()), (5, 5));
    fixture.transport(0).lose_connection();
    fixture.settle();
    assert_eq!(fixture.log.count(DONE), 0);
    peer.set_room(ANY_ROOM);
    fixture.settle();
    assert_eq!((peer.received(), fixture.log.count(DONE)), (b"noted".to_vec(), 1));
}
