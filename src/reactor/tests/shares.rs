//! Shared rate limits.

use super::rate_limits::{INTERVAL, PORTION, RATE, Sink, fixture, reading, writing};
use super::*;
use crate::driver::scripted::Closed;
use crate::limits::{RateLimits, Timeouts};

#[test]
fn a_connection_held_back_by_a_shared_rate_is_not_idle() {
    for shared in [RateLimits::new().write(1), RateLimits::new().read(1)] {
        let mut fixture = fixture(RateLimits::new(), shared);
        let timeouts = Timeouts::new().idle(Duration::from_millis(1500));
        fixture.reactor.set_timeouts(&fixture.port, timeouts);
        let peers = [fixture.sink(), fixture.sink(), fixture.sink()];
        for (number, peer) in peers.iter().enumerate() {
            peer.send("in");
            fixture.transport(number).write("to");
        }
        fixture.settle();
        // Each of three has its turn every three seconds.
        fixture.intervals(6 * 20);
        assert!(peers.iter().all(|peer| peer.received() == b"to"));
        let read = ["0 data n", "1 data n", "2 data n"].map(|last| fixture.log.count(last));
        assert!(read == [1; 3] || fixture.log.count("1 data in") == 1, "{read:?}");
        fixture.intervals(3 * 20);
        assert_eq!(fixture.reactor.connection_count(), 0);
    }
}

#[test]
fn a_close_waits_for_its_turn_longer_than_for_a_peer() {
    let mut fixture = fixture(RateLimits::new(), RateLimits::new().write(1));
    let peers: Vec<Sink> = (0..15).map(|_| fixture.sink()).collect();
    for number in 0..15 {
        fixture.transport(number).write([1; 2]);
        fixture.transport(number).lose_connection();
    }
    fixture.settle();
    // Each has its turn every fifteen seconds, and the close timeout is ten.
    fixture.intervals(30 * 20);
    for peer in peers {
        assert_eq!((peer.received().len(), peer.closed()), (2, Closed::InOrder));
    }
    fixture.expect_empty();
}

#[test]
fn connections_that_share_a_rate_get_equal_shares() {
    let mut fixture = fixture(RateLimits::new(), RateLimits::new().read(8 * RATE).write(8 * RATE));
    let peers: Vec<Sink> = (0..4).map(|_| fixture.sink()).collect();
    for (number, peer) in peers.iter().enumerate() {
        peer.send(vec![1; 100_000]);
        fixture.transport(number).write([2; 100_000]);
    }
    fixture.settle();
    // The first connection has had a portion of eight thousand; from then on each has a quarter.
    let lengths = |peers: &[Sink]| peers.iter().map(|it| it.received().len()).collect::<Vec<_>>();
    assert_eq!(lengths(&peers), [8000, 0, 0, 0]);
    fixture.intervals(10);
    assert_eq!(lengths(&peers), [28_000, 20_000, 20_000, 20_000]);
    for number in 0..4 {
        assert_eq!(fixture.log.count(&format!("{number} data 2000 bytes")), 10);
    }
    // One leaves, and the others get its share; the first to ask gets the rest of the portion.
    peers[3].reset();
    fixture.transport(3).abort_connection();
    fixture.settle();
    fixture.intervals(1);
    assert_eq!(lengths(&peers)[..3], [30_668, 22_666, 22_666]);
    fixture.intervals(40);
    assert_eq!(lengths(&peers)[..3], [100_000; 3]);
}

#[test]
fn an_unused_grant_goes_to_the_next_connection() {
    let mut fixture = fixture(RateLimits::new(), RateLimits::new().write(8 * RATE));
    let peers: Vec<Sink> = (0..3).map(|_| fixture.sink()).collect();
    for (number, length) in [8000, 100, 20_000].into_iter().enumerate() {
        fixture.transport(number).write(vec![1; length]);
        fixture.settle();
    }
    let mut lengths = Vec::new();
    for _ in 0..3 {
        fixture.intervals(1);
        lengths.push([peers[1].received().len(), peers[2].received().len()]);
    }
    assert_eq!(lengths, [[100, 7900], [100, 15_900], [100, 20_000]]);
}

#[test]
fn a_new_connection_queues_behind_those_that_wait() {
    let mut fixture = fixture(RateLimits::new(), writing());
    let peers: Vec<Sink> = (0..3).map(|_| fixture.sink()).collect();
    let all: Vec<Transport> = (0..3).map(|number| fixture.transport(number)).collect();
    // A portion equals the smallest grant: one connection for each portion.
    all[0].write([1; 2 * PORTION]);
    all[1].write([1; PORTION]);
    fixture.settle();
    fixture.script.advance(INTERVAL);
    all[2].write([1; PORTION]);
    fixture.settle();
    let mut order = Vec::new();
    for _ in 0..4 {
        order.push(peers.iter().map(|peer| peer.received().len()).collect::<Vec<_>>());
        fixture.intervals(1);
    }
    let expected = [[2000, 0, 0], [2000, 1000, 0], [2000, 1000, 1000], [2000, 1000, 1000]];
    assert_eq!(order, expected);
    assert_eq!(fixture.reactor.timers.len(), 0);
}

#[test]
fn the_narrower_of_both_rates_counts() {
    let mut fixture = fixture(writing(), RateLimits::new().write(2 * RATE));
    let peer = fixture.sink();
    fixture.transport(0).write([1; 100_000]);
    fixture.settle();
    fixture.intervals(20);
    assert_eq!(peer.received().len(), 21 * PORTION);
    let peers = [fixture.sink(), fixture.sink(), fixture.sink()];
    for number in 1..4 {
        fixture.transport(number).write([1; 100_000]);
    }
    fixture.intervals(20);
    let sent: usize = peers.iter().map(|peer| peer.received().len()).sum();
    let sent = sent + peer.received().len() - 21 * PORTION;
    assert!((40 * PORTION..=43 * PORTION).contains(&sent), "{sent}");
}

#[test]
fn rates_that_are_removed_cancel_their_timers() {
    let mut fixture = fixture(RateLimits::new(), reading());
    let peer = fixture.connect();
    peer.send([1; 3000]);
    fixture.settle();
    assert_eq!(fixture.reactor.timers.len(), 1);
    fixture.reactor.set_shared_rate_limits(&fixture.port, RateLimits::new());
    assert_eq!(fixture.reactor.timers.len(), 0);
    fixture.settle();
    fixture.log.expect(&["0 made", "0 data 1000 bytes", "0 data 2000 bytes"]);
}

#[test]
fn a_factory_that_is_dropped_cancels_its_rate_timers() {
    let mut fixture = fixture(RateLimits::new(), reading());
    let peer = fixture.sink();
    peer.send([1; 3000]);
    fixture.settle();
    assert_eq!(fixture.reactor.timers.len(), 1);
    assert!(fixture.reactor.stop_listening(&fixture.port));
    fixture.settle();
    peer.reset();
    fixture.transport_of_the_last().abort_connection();
    fixture.settle();
    fixture.expect_empty();
}

impl Fixture {
    /// Keeps the factory when its port is gone.
    fn transport_of_the_last(&self) -> Transport {
        let live = self.reactor.connections.all_established().next().unwrap().1;
        live.connection.transport.clone()
    }
}

#[test]
fn a_pause_gives_back_what_was_granted() {
    let mut fixture = fixture(RateLimits::new(), reading());
    let peers = [fixture.sink(), fixture.sink()];
    peers[0].send([1; 3000]);
    fixture.settle();
    fixture.log.expect(&["0 made", "1 made", "0 data 1000 bytes"]);
    // It waits in the queue, and wants nothing when its turn comes.
    fixture.transport(0).pause_reading();
    fixture.settle();
    fixture.intervals(1);
    peers[1].send([1; 500]);
    fixture.settle();
    fixture.log.expect(&["1 data 500 bytes"]);
    fixture.transport(0).resume_reading();
    fixture.settle();
    fixture.log.expect(&["0 resumed", "0 data 500 bytes"]);
}
