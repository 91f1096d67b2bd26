//! Rate limits of connections.

use super::*;
use crate::Producer;
use crate::driver::scripted::Closed;
use crate::limits::{RateLimits, Timeouts};

/// A portion of a rate of 20 000 bytes a second.
pub(super) const PORTION: usize = 1000;
pub(super) const RATE: u64 = 20_000;
pub(super) const INTERVAL: Duration = Duration::from_millis(50);

pub(super) fn fixture(each: RateLimits, shared: RateLimits) -> Fixture {
    let mut fixture = Fixture::new(|event, cx| match event {
        Event::TimedOut(kind) => cx.transport.time_out(kind),
        Event::ReadLost => cx.transport.lose_connection(),
        _ => {}
    });
    assert!(fixture.reactor.set_rate_limits(&fixture.port, each));
    assert!(fixture.reactor.set_shared_rate_limits(&fixture.port, shared));
    fixture
}

pub(super) fn reading() -> RateLimits {
    RateLimits::new().read(RATE)
}

pub(super) fn writing() -> RateLimits {
    RateLimits::new().write(RATE)
}

/// A peer, and all bytes that it has received.
pub(super) struct Sink(Peer, RefCell<Vec<u8>>);

impl Sink {
    pub(super) fn received(&self) -> Vec<u8> {
        let mut all = self.1.borrow_mut();
        all.extend(self.0.received());
        all.clone()
    }
}

impl std::ops::Deref for Sink {
    type Target = Peer;

    fn deref(&self) -> &Peer {
        &self.0
    }
}

impl Fixture {
    pub(super) fn sink(&mut self) -> Sink {
        Sink(self.connect(), RefCell::default())
    }

    pub(super) fn intervals(&mut self, count: u32) {
        for _ in 0..count {
            self.script.advance(INTERVAL);
            self.settle();
        }
    }

    fn waits(&self) -> u64 {
        self.reactor.rate_limit_waits(&self.port).unwrap()
    }
}

#[test]
fn a_connection_is_read_a_portion_at_a_time() {
    let mut fixture = fixture(reading(), RateLimits::new());
    let peer = fixture.sink();
    peer.send([1; 3 * PORTION + 1]);
    peer.close();
    fixture.settle();
    fixture.log.expect(&["0 made", "0 data 1000 bytes"]);
    assert_eq!(
        fixture.reactor.next_deadline(),
        Some(fixture.reactor.now() + INTERVAL),
        "it sleeps"
    );
    fixture.script.advance(INTERVAL - Duration::from_millis(1));
    fixture.settle();
    fixture.log.expect(&[]);
    fixture.script.advance(Duration::from_millis(1));
    fixture.settle();
    fixture.log.expect(&["0 data 1000 bytes"]);
    fixture.intervals(1);
    fixture.log.expect(&["0 data 1000 bytes"]);
    fixture.intervals(1);
    fixture.log.expect(&["0 data \u{1}", "0 read lost", "0 lost: connection closed gracefully"]);
    assert_eq!(fixture.waits(), 3);
    fixture.expect_empty();
}

#[test]
fn traffic_below_the_rate_costs_no_timer() {
    let mut fixture = fixture(reading().write(RATE), reading().write(RATE));
    let peer = fixture.sink();
    let transport = fixture.transport(0);
    for _ in 0..1000 {
        fixture.script.advance(Duration::from_millis(10));
        peer.send([1; 100]);
        transport.write([1; 100]);
        fixture.turn();
        assert!(fixture.reactor.timers.len() <= 2);
    }
    // One when the first portion was used up, each way and of each rate, and hardly any later: what
    // is saved up meanwhile makes up for it.
    assert!(fixture.waits() < 10, "{}", fixture.waits());
    assert_eq!(peer.received().len(), 100_000);
    assert_eq!(fixture.log.count("0 data 100 bytes"), 1000);
}

#[test]
fn a_connection_is_written_to_a_portion_at_a_time_and_closed_when_all_is_sent() {
    let mut fixture = fixture(writing(), RateLimits::new());
    let peer = fixture.sink();
    let transport = fixture.transport(0);
    let bytes: Vec<u8> = (0..5 * PORTION).map(|at| (at % 251) as u8).collect();
    // Straight to the socket, behind other bytes, and as shared bytes that are not copied.
    transport.write(&bytes);
    transport.write_bytes(bytes.clone());
    transport.write(&bytes);
    transport.lose_connection();
    fixture.settle();
    for portions in 1..15 {
        assert_eq!(peer.received().len(), portions * PORTION);
        assert_eq!((transport.unsent(), peer.closed()), ((15 - portions) * PORTION, Closed::No));
        fixture.intervals(1);
    }
    assert_eq!((peer.received(), peer.closed()), (bytes.repeat(3), Closed::InOrder));
    fixture.expect_empty();
}

#[test]
fn a_large_write_on_an_empty_write_buffer_does_not_bypass_the_rate() {
    let mut fixture = fixture(writing(), RateLimits::new());
    let peer = fixture.sink();
    fixture.transport(0).write([7; 100 * PORTION]);
    assert_eq!(peer.received().len(), 0);
    fixture.settle();
    assert_eq!(peer.received().len(), PORTION);
    fixture.intervals(99);
    assert_eq!(peer.received().len(), 100 * PORTION);
    fixture.settle();
    assert_eq!(fixture.reactor.timers.len(), 0);
}

#[test]
fn bytes_held_back_by_a_rate_time_no_peer_out() {
    let slow = RateLimits::new().read(1).write(1);
    let mut fixture = fixture(slow, RateLimits::new());
    let timeouts =
        Timeouts::new().idle(Duration::from_millis(500)).min_rate(100, Duration::from_secs(1));
    fixture.reactor.set_timeouts(&fixture.port, timeouts);
    let peer = fixture.sink();
    peer.send([1; 100]);
    let transport = fixture.transport(0);
    transport.write([1; 60]);
    fixture.settle();
    // Longer than the close timeout.
    fixture.intervals(20 * 20);
    transport.lose_connection();
    fixture.intervals(38 * 20);
    assert_eq!((peer.received().len(), transport.is_connected()), (59, true));
    fixture.intervals(20);
    assert_eq!((peer.received().len(), peer.closed()), (60, Closed::No), "it lingers");
    assert_eq!(fixture.log.count("0 lost: connection closed gracefully"), 1);
}

#[test]
fn a_connection_is_woken_for_the_direction_that_is_due_first() {
    let mut fixture = fixture(RateLimits::new().read(1).write(RATE), RateLimits::new());
    let peer = fixture.sink();
    peer.send("slow");
    fixture.settle();
    fixture.transport(0).write([1; 3000]);
    fixture.settle();
    fixture.intervals(2);
    assert_eq!(peer.received().len(), 3000);
    fixture.intervals(18);
    fixture.log.expect(&["0 made", "0 data s", "0 data l"]);
}

#[test]
fn without_rates_nothing_is_allocated() {
    let mut fixture = fixture(RateLimits::new(), RateLimits::new());
    fixture.connect();
    fixture.reactor.set_shared_rate_limits(&fixture.port, RateLimits::new());
    fixture.transport(0).set_rate_limits(RateLimits::new());
    assert!(!fixture.transport(0).connection().has_extras());
}

#[test]
fn a_peer_that_takes_nothing_still_times_out() {
    let mut fixture = fixture(writing(), writing());
    let peer = fixture.sink();
    peer.set_room(PORTION / 2);
    let transport = fixture.transport(0);
    transport.write([1; 10 * PORTION]);
    transport.lose_connection();
    fixture.settle();
    fixture.script.advance(Duration::from_secs(10));
    fixture.settle();
    assert_eq!((peer.received().len(), peer.closed()), (PORTION / 2, Closed::Reset));
    fixture.settle();
    fixture.expect_empty();
}

#[test]
fn waiting_connections_continue_when_the_rates_change() {
    let mut fixture = fixture(reading().write(RATE), RateLimits::new());
    let peer = fixture.sink();
    let transport = fixture.transport(0);
    peer.send([1; 3000]);
    transport.write([1; 3000]);
    fixture.settle();
    transport.set_rate_limits(RateLimits::new());
    fixture.settle();
    assert_eq!(peer.received().len(), 3000);
    fixture.log.expect(&["0 made", "0 data 1000 bytes", "0 data 2000 bytes"]);
    // One direction by itself.
    transport.set_rate_limits(reading());
    peer.send([1; 3000]);
    fixture.settle();
    transport.set_rate_limits(RateLimits::new().write(RATE));
    fixture.settle();
    fixture.log.expect(&["0 data 1000 bytes", "0 data 2000 bytes"]);
    transport.set_rate_limits(RateLimits::new());
    // A shared rate, with a connection that existed before it.
    fixture.reactor.set_shared_rate_limits(&fixture.port, reading().write(RATE));
    peer.send([1; 3000]);
    transport.write([1; 3000]);
    fixture.settle();
    fixture.log.expect(&["0 data 1000 bytes"]);
    assert_eq!(peer.received().len(), 4000);
    fixture.reactor.set_shared_rate_limits(&fixture.port, RateLimits::new());
    fixture.settle();
    fixture.log.expect(&["0 data 2000 bytes"]);
    assert_eq!(peer.received().len(), 6000);
    // The timer of the first wait was not pushed back.
    fixture.intervals(1);
    assert_eq!(fixture.reactor.timers.len(), 0);
}

#[test]
fn a_connection_that_ends_while_it_waits_leaves_nothing_behind() {
    let mut fixture = fixture(RateLimits::new().read(1).write(1), RateLimits::new());
    let (peer, transport) = (fixture.connect(), fixture.transport(0));
    peer.send("hello");
    fixture.settle();
    assert_eq!(fixture.reactor.timers.len(), 1);
    transport.abort_connection();
    fixture.settle();
    fixture.expect_empty();
    fixture.reactor.set_shared_rate_limits(&fixture.port, reading().write(RATE));
    for round in 1..4 {
        let peer = fixture.sink();
        let transport = fixture.transport(round);
        peer.send([1; 3000]);
        transport.write([1; 3000]);
        fixture.settle();
        assert!(fixture.reactor.timers.len() > 0);
        transport.abort_connection();
        fixture.settle();
        assert_eq!(peer.closed(), Closed::Reset);
        fixture.intervals(2);
        fixture.expect_empty();
    }
}

#[test]
fn a_reader_is_sent_at_the_rate_and_its_end_reported() {
    let mut fixture = fixture(writing(), RateLimits::new());
    let peer = fixture.sink();
    let transport = fixture.transport(0);
    transport.register_producer(Producer::reader(io::Cursor::new(vec![9; 200 * PORTION])));
    transport.lose_connection();
    fixture.settle();
    fixture.intervals(100);
    assert_eq!((peer.received().len(), transport.is_connected()), (101 * PORTION, true));
    assert!(transport.unsent() <= 64 * 1024);
    fixture.intervals(99);
    assert_eq!((peer.received().len(), peer.closed()), (200 * PORTION, Closed::InOrder));
    fixture.log.expect(&[
        "0 made",
        "0 produced Ok(200000)",
        "0 lost: connection closed gracefully",
    ]);
    fixture.expect_empty();
}

#[test]
fn a_proxy_reads_no_faster_than_its_consumer_may_write() {
    let mut fixture = Fixture::new(|event, cx| {
        if let Event::Data(data) = event {
            let to = &cx.factory.all[1];
            to.write(data);
            assert!(to.unsent() <= 4 * PORTION);
        }
    });
    let (source, sink) = (fixture.sink(), fixture.sink());
    let (from, to) = (fixture.transport(0), fixture.transport(1));
    to.set_rate_limits(writing());
    to.set_water_marks(4 * PORTION, PORTION);
    to.register_producer(&from);
    source.send([1; 20 * PORTION]);
    fixture.settle();
    for portions in 1..20 {
        assert_eq!(sink.received().len(), portions * PORTION);
        fixture.intervals(1);
    }
    assert_eq!(sink.received().len(), 20 * PORTION);
}

#[test]
fn an_outgoing_connection_has_the_rates_of_its_factory() {
    let mut fixture = fixture(writing(), reading());
    let key = fixture.port.key();
    fixture.reactor.connect_tcp(([127, 0, 0, 1], 7), key).unwrap();
    let peer = Sink(fixture.script.dialled(), RefCell::default());
    peer.answer();
    fixture.settle();
    fixture.transport(0).write([1; 3000]);
    peer.send([1; 3000]);
    fixture.settle();
    assert_eq!(peer.received().len(), PORTION);
    fixture.log.expect(&["0 made", "0 data 1000 bytes"]);
}

#[test]
fn a_factory_that_is_gone_has_no_rates() {
    let mut fixture = fixture(RateLimits::new(), RateLimits::new());
    fixture.reactor.stop_listening(&fixture.port);
    fixture.settle();
    assert!(!fixture.reactor.set_rate_limits(&fixture.port, reading()));
    assert!(!fixture.reactor.set_shared_rate_limits(&fixture.port, reading()));
}
