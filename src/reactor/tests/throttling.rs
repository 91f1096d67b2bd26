//! Bytes that move no faster than was said.

use super::*;
use crate::Producer;
use crate::limits::{RateLimits, Timeouts};
use crate::socket::scripted::Closed;

/// Of a rate of 20 000 bytes a second.
pub(super) const PORTION: usize = 1000;
pub(super) const RATE: u64 = 20_000;
pub(super) const INTERVAL: Duration = Duration::from_millis(50);

pub(super) fn stage(each: RateLimits, shared: RateLimits) -> Stage {
    let mut stage = Stage::new(|event, cx| match event {
        Event::TimedOut(deadline) => cx.transport.time_out(deadline),
        Event::ReadLost => cx.transport.lose_connection(),
        _ => {}
    });
    assert!(stage.reactor.set_rate_limits(&stage.port, each));
    assert!(stage.reactor.set_shared_rate_limits(&stage.port, shared));
    stage
}

pub(super) fn reading() -> RateLimits {
    RateLimits::new().read(RATE)
}

pub(super) fn writing() -> RateLimits {
    RateLimits::new().write(RATE)
}

/// A peer, and all that it has received.
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

impl Stage {
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
        self.reactor.rejections(&self.port).unwrap().waits
    }
}

#[test]
fn a_connection_is_read_a_portion_at_a_time() {
    let mut stage = stage(reading(), RateLimits::new());
    let peer = stage.sink();
    peer.send([1; 3 * PORTION + 1]);
    peer.close();
    stage.settle();
    stage.log.expect(&["0 made", "0 data 1000 bytes"]);
    assert_eq!(stage.reactor.next_deadline(), Some(stage.reactor.now() + INTERVAL), "it sleeps");
    stage.script.advance(INTERVAL - Duration::from_millis(1));
    stage.settle();
    stage.log.expect(&[]);
    stage.script.advance(Duration::from_millis(1));
    stage.settle();
    stage.log.expect(&["0 data 1000 bytes"]);
    stage.intervals(1);
    stage.log.expect(&["0 data 1000 bytes"]);
    stage.intervals(1);
    stage.log.expect(&["0 data \u{1}", "0 read lost", "0 lost: connection closed in order"]);
    assert_eq!(stage.waits(), 3);
    stage.expect_empty();
}

#[test]
fn what_comes_slower_than_the_rate_costs_no_timer() {
    let mut stage = stage(reading().write(RATE), reading().write(RATE));
    let peer = stage.sink();
    let transport = stage.transport(0);
    for _ in 0..1000 {
        stage.script.advance(Duration::from_millis(10));
        peer.send([1; 100]);
        transport.write([1; 100]);
        stage.turn();
        assert!(stage.reactor.timers.len() <= 2);
    }
    // One when the first portion was used up, each way and of each rate, and hardly any later: what
    // is saved up meanwhile makes up for it.
    assert!(stage.waits() < 10, "{}", stage.waits());
    assert_eq!(peer.received().len(), 100_000);
    assert_eq!(stage.log.count("0 data 100 bytes"), 1000);
}

#[test]
fn a_connection_is_written_to_a_portion_at_a_time_and_closed_when_all_is_sent() {
    let mut stage = stage(writing(), RateLimits::new());
    let peer = stage.sink();
    let transport = stage.transport(0);
    let bytes: Vec<u8> = (0..5 * PORTION).map(|at| (at % 251) as u8).collect();
    // Straight to the socket, behind something, and as a segment that is not copied.
    transport.write(&bytes);
    transport.write_bytes(bytes.clone());
    transport.write(&bytes);
    transport.lose_connection();
    stage.settle();
    for portions in 1..15 {
        assert_eq!(peer.received().len(), portions * PORTION);
        assert_eq!((transport.unsent(), peer.closed()), ((15 - portions) * PORTION, Closed::No));
        stage.intervals(1);
    }
    assert_eq!((peer.received(), peer.closed()), (bytes.repeat(3), Closed::InOrder));
    stage.expect_empty();
}

#[test]
fn a_large_write_on_nothing_unsent_is_no_way_around_the_rate() {
    let mut stage = stage(writing(), RateLimits::new());
    let peer = stage.sink();
    stage.transport(0).write([7; 100 * PORTION]);
    assert_eq!(peer.received().len(), 0);
    stage.settle();
    assert_eq!(peer.received().len(), PORTION);
    stage.intervals(99);
    assert_eq!(peer.received().len(), 100 * PORTION);
    stage.settle();
    assert_eq!(stage.reactor.timers.len(), 0);
}

#[test]
fn nobody_is_timed_out_for_what_is_held_back_here() {
    let slow = RateLimits::new().read(1).write(1);
    let mut stage = stage(slow, RateLimits::new());
    let deadlines =
        Timeouts::new().idle(Duration::from_millis(500)).min_rate(100, Duration::from_secs(1));
    stage.reactor.set_timeouts(&stage.port, deadlines);
    let peer = stage.sink();
    peer.send([1; 100]);
    let transport = stage.transport(0);
    transport.write([1; 60]);
    stage.settle();
    // Longer than the close timeout.
    stage.intervals(20 * 20);
    transport.lose_connection();
    stage.intervals(38 * 20);
    assert_eq!((peer.received().len(), transport.is_connected()), (59, true));
    stage.intervals(20);
    assert_eq!((peer.received().len(), peer.closed()), (60, Closed::No), "it lingers");
    assert_eq!(stage.log.count("0 lost: connection closed in order"), 1);
}

#[test]
fn a_connection_is_woken_for_whichever_way_comes_first() {
    let mut stage = stage(RateLimits::new().read(1).write(RATE), RateLimits::new());
    let peer = stage.sink();
    peer.send("slow");
    stage.settle();
    stage.transport(0).write([1; 3000]);
    stage.settle();
    stage.intervals(2);
    assert_eq!(peer.received().len(), 3000);
    stage.intervals(18);
    stage.log.expect(&["0 made", "0 data s", "0 data l"]);
}

#[test]
fn no_rate_is_nothing_to_remember() {
    let mut stage = stage(RateLimits::new(), RateLimits::new());
    stage.connect();
    stage.reactor.set_shared_rate_limits(&stage.port, RateLimits::new());
    stage.transport(0).set_rate_limits(RateLimits::new());
    assert!(!stage.transport(0).has_flow());
}

#[test]
fn a_peer_that_takes_nothing_is_still_given_up() {
    let mut stage = stage(writing(), writing());
    let peer = stage.sink();
    peer.set_room(PORTION / 2);
    let transport = stage.transport(0);
    transport.write([1; 10 * PORTION]);
    transport.lose_connection();
    stage.settle();
    stage.script.advance(Duration::from_secs(10));
    stage.settle();
    assert_eq!((peer.received().len(), peer.closed()), (PORTION / 2, Closed::Reset));
    stage.settle();
    stage.expect_empty();
}

#[test]
fn whoever_waits_goes_on_when_the_rates_are_changed() {
    let mut stage = stage(reading().write(RATE), RateLimits::new());
    let peer = stage.sink();
    let transport = stage.transport(0);
    peer.send([1; 3000]);
    transport.write([1; 3000]);
    stage.settle();
    transport.set_rate_limits(RateLimits::new());
    stage.settle();
    assert_eq!(peer.received().len(), 3000);
    stage.log.expect(&["0 made", "0 data 1000 bytes", "0 data 2000 bytes"]);
    // One direction by itself.
    transport.set_rate_limits(reading());
    peer.send([1; 3000]);
    stage.settle();
    transport.set_rate_limits(RateLimits::new().write(RATE));
    stage.settle();
    stage.log.expect(&["0 data 1000 bytes", "0 data 2000 bytes"]);
    transport.set_rate_limits(RateLimits::new());
    // The same of a rate that is shared, by one which was there before it.
    stage.reactor.set_shared_rate_limits(&stage.port, reading().write(RATE));
    peer.send([1; 3000]);
    transport.write([1; 3000]);
    stage.settle();
    stage.log.expect(&["0 data 1000 bytes"]);
    assert_eq!(peer.received().len(), 4000);
    stage.reactor.set_shared_rate_limits(&stage.port, RateLimits::new());
    stage.settle();
    stage.log.expect(&["0 data 2000 bytes"]);
    assert_eq!(peer.received().len(), 6000);
    // Nobody set the timer of the first wait back.
    stage.intervals(1);
    assert_eq!(stage.reactor.timers.len(), 0);
}

#[test]
fn a_connection_that_ends_while_it_waits_leaves_nothing_behind() {
    let mut stage = stage(RateLimits::new().read(1).write(1), RateLimits::new());
    let (peer, transport) = (stage.connect(), stage.transport(0));
    peer.send("hello");
    stage.settle();
    assert_eq!(stage.reactor.timers.len(), 1);
    transport.abort_connection();
    stage.settle();
    stage.expect_empty();
    stage.reactor.set_shared_rate_limits(&stage.port, reading().write(RATE));
    for round in 1..4 {
        let peer = stage.sink();
        let transport = stage.transport(round);
        peer.send([1; 3000]);
        transport.write([1; 3000]);
        stage.settle();
        assert!(stage.reactor.timers.len() > 0);
        transport.abort_connection();
        stage.settle();
        assert_eq!(peer.closed(), Closed::Reset);
        stage.intervals(2);
        stage.expect_empty();
    }
}

#[test]
fn a_reader_is_sent_at_the_rate_and_its_end_is_told() {
    let mut stage = stage(writing(), RateLimits::new());
    let peer = stage.sink();
    let transport = stage.transport(0);
    transport.register_producer(Producer::reader(io::Cursor::new(vec![9; 200 * PORTION])));
    transport.lose_connection();
    stage.settle();
    stage.intervals(100);
    assert_eq!((peer.received().len(), transport.is_connected()), (101 * PORTION, true));
    assert!(transport.unsent() <= 64 * 1024);
    stage.intervals(99);
    assert_eq!((peer.received().len(), peer.closed()), (200 * PORTION, Closed::InOrder));
    stage.log.expect(&["0 made", "0 produced Ok(200000)", "0 lost: connection closed in order"]);
    stage.expect_empty();
}

#[test]
fn a_proxy_reads_no_faster_than_its_consumer_may_write() {
    let mut stage = Stage::new(|event, cx| {
        if let Event::Data(data) = event {
            let to = &cx.factory.all[1];
            to.write(data);
            assert!(to.unsent() <= 4 * PORTION);
        }
    });
    let (source, sink) = (stage.sink(), stage.sink());
    let (from, to) = (stage.transport(0), stage.transport(1));
    to.set_rate_limits(writing());
    to.set_water_marks(4 * PORTION, PORTION);
    to.register_producer(&from);
    source.send([1; 20 * PORTION]);
    stage.settle();
    for portions in 1..20 {
        assert_eq!(sink.received().len(), portions * PORTION);
        stage.intervals(1);
    }
    assert_eq!(sink.received().len(), 20 * PORTION);
}

#[test]
fn a_connection_of_one_s_own_has_the_rates_of_its_factory() {
    let mut stage = stage(writing(), reading());
    let key = stage.port.key();
    stage.reactor.connect_tcp(([127, 0, 0, 1], 7), key).unwrap();
    let peer = Sink(stage.script.dialled(), RefCell::default());
    peer.answer();
    stage.settle();
    stage.transport(0).write([1; 3000]);
    peer.send([1; 3000]);
    stage.settle();
    assert_eq!(peer.received().len(), PORTION);
    stage.log.expect(&["0 made", "0 data 1000 bytes"]);
}

#[test]
fn a_factory_that_is_gone_has_no_rates() {
    let mut stage = stage(RateLimits::new(), RateLimits::new());
    stage.reactor.stop_listening(&stage.port);
    stage.settle();
    assert!(!stage.reactor.set_rate_limits(&stage.port, reading()));
    assert!(!stage.reactor.set_shared_rate_limits(&stage.port, reading()));
}
