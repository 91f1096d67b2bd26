//! Connections that share a rate.

use super::throttling::{INTERVAL, PORTION, RATE, Sink, reading, stage, writing};
use super::*;
use crate::limits::{RateLimits, Timeouts};
use crate::socket::scripted::Closed;

#[test]
fn who_waits_for_what_is_held_back_is_not_idle() {
    for shared in [RateLimits::new().write(1), RateLimits::new().read(1)] {
        let mut stage = stage(RateLimits::new(), shared);
        let deadlines = Timeouts::new().idle(Duration::from_millis(1500));
        stage.reactor.set_timeouts(&stage.port, deadlines);
        let peers = [stage.sink(), stage.sink(), stage.sink()];
        for (number, peer) in peers.iter().enumerate() {
            peer.send("in");
            stage.transport(number).write("to");
        }
        stage.settle();
        // Of three each has his turn every three seconds.
        stage.intervals(6 * 20);
        assert!(peers.iter().all(|peer| peer.received() == b"to"));
        let read = ["0 data n", "1 data n", "2 data n"].map(|last| stage.log.count(last));
        assert!(read == [1; 3] || stage.log.count("1 data in") == 1, "{read:?}");
        stage.intervals(3 * 20);
        assert_eq!(stage.reactor.connection_count(), 0);
    }
}

#[test]
fn a_close_waits_for_its_turn_longer_than_for_a_peer() {
    let mut stage = stage(RateLimits::new(), RateLimits::new().write(1));
    let peers: Vec<Sink> = (0..15).map(|_| stage.sink()).collect();
    for number in 0..15 {
        stage.transport(number).write([1; 2]);
        stage.transport(number).lose_connection();
    }
    stage.settle();
    // Each has his turn every fifteen seconds, and a peer has ten.
    stage.intervals(30 * 20);
    for peer in peers {
        assert_eq!((peer.received().len(), peer.closed()), (2, Closed::InOrder));
    }
    stage.expect_empty();
}

#[test]
fn those_who_share_a_rate_get_the_same() {
    let mut stage = stage(RateLimits::new(), RateLimits::new().read(8 * RATE).write(8 * RATE));
    let peers: Vec<Sink> = (0..4).map(|_| stage.sink()).collect();
    for (number, peer) in peers.iter().enumerate() {
        peer.send(vec![1; 100_000]);
        stage.transport(number).write([2; 100_000]);
    }
    stage.settle();
    // Who came first has had a portion of eight thousand; from then on all have a quarter.
    let lengths = |peers: &[Sink]| peers.iter().map(|it| it.received().len()).collect::<Vec<_>>();
    assert_eq!(lengths(&peers), [8000, 0, 0, 0]);
    stage.intervals(10);
    assert_eq!(lengths(&peers), [28_000, 20_000, 20_000, 20_000]);
    for number in 0..4 {
        assert_eq!(stage.log.count(&format!("{number} data 2000 bytes")), 10);
    }
    // Somebody goes, and the others have his part; the first to ask gets what is left of it.
    peers[3].reset();
    stage.transport(3).abort_connection();
    stage.settle();
    stage.intervals(1);
    assert_eq!(lengths(&peers)[..3], [30_668, 22_666, 22_666]);
    stage.intervals(40);
    assert_eq!(lengths(&peers)[..3], [100_000; 3]);
}

#[test]
fn what_one_does_not_need_is_for_the_next() {
    let mut stage = stage(RateLimits::new(), RateLimits::new().write(8 * RATE));
    let peers: Vec<Sink> = (0..3).map(|_| stage.sink()).collect();
    for (number, length) in [8000, 100, 20_000].into_iter().enumerate() {
        stage.transport(number).write(vec![1; length]);
        stage.settle();
    }
    let mut lengths = Vec::new();
    for _ in 0..3 {
        stage.intervals(1);
        lengths.push([peers[1].received().len(), peers[2].received().len()]);
    }
    assert_eq!(lengths, [[100, 7900], [100, 15_900], [100, 20_000]]);
}

#[test]
fn who_comes_while_others_wait_stands_behind_them() {
    let mut stage = stage(RateLimits::new(), writing());
    let peers: Vec<Sink> = (0..3).map(|_| stage.sink()).collect();
    let all: Vec<Transport> = (0..3).map(|number| stage.transport(number)).collect();
    // A portion is no more than the least that is granted: one of them in each.
    all[0].write([1; 2 * PORTION]);
    all[1].write([1; PORTION]);
    stage.settle();
    stage.script.advance(INTERVAL);
    all[2].write([1; PORTION]);
    stage.settle();
    let mut order = Vec::new();
    for _ in 0..4 {
        order.push(peers.iter().map(|peer| peer.received().len()).collect::<Vec<_>>());
        stage.intervals(1);
    }
    let expected = [[2000, 0, 0], [2000, 1000, 0], [2000, 1000, 1000], [2000, 1000, 1000]];
    assert_eq!(order, expected);
    assert_eq!(stage.reactor.timers.len(), 0);
}

#[test]
fn the_narrower_of_both_rates_counts() {
    let mut stage = stage(writing(), RateLimits::new().write(2 * RATE));
    let peer = stage.sink();
    stage.transport(0).write([1; 100_000]);
    stage.settle();
    stage.intervals(20);
    assert_eq!(peer.received().len(), 21 * PORTION);
    let peers = [stage.sink(), stage.sink(), stage.sink()];
    for number in 1..4 {
        stage.transport(number).write([1; 100_000]);
    }
    stage.intervals(20);
    let sent: usize = peers.iter().map(|peer| peer.received().len()).sum();
    let sent = sent + peer.received().len() - 21 * PORTION;
    assert!((40 * PORTION..=43 * PORTION).contains(&sent), "{sent}");
}

#[test]
fn rates_that_go_take_their_timers_along() {
    let mut stage = stage(RateLimits::new(), reading());
    let peer = stage.connect();
    peer.send([1; 3000]);
    stage.settle();
    assert_eq!(stage.reactor.timers.len(), 1);
    stage.reactor.set_shared_rate_limits(&stage.port, RateLimits::new());
    assert_eq!(stage.reactor.timers.len(), 0);
    stage.settle();
    stage.log.expect(&["0 made", "0 data 1000 bytes", "0 data 2000 bytes"]);
}

#[test]
fn a_factory_that_goes_takes_its_timers_along() {
    let mut stage = stage(RateLimits::new(), reading());
    let peer = stage.sink();
    peer.send([1; 3000]);
    stage.settle();
    assert_eq!(stage.reactor.timers.len(), 1);
    assert!(stage.reactor.stop_listening(&stage.port));
    stage.settle();
    peer.reset();
    stage.transport_of_the_last().abort_connection();
    stage.settle();
    stage.expect_empty();
}

impl Stage {
    /// When the port is gone, the factory is not.
    fn transport_of_the_last(&self) -> Transport {
        let live = self.reactor.connections.all_live().next().unwrap().1;
        live.party.transport.clone()
    }
}

#[test]
fn a_pause_gives_back_what_was_granted() {
    let mut stage = stage(RateLimits::new(), reading());
    let peers = [stage.sink(), stage.sink()];
    peers[0].send([1; 3000]);
    stage.settle();
    stage.log.expect(&["0 made", "1 made", "0 data 1000 bytes"]);
    // It stands in the queue, and does not want anything when its turn comes.
    stage.transport(0).pause_reading();
    stage.settle();
    stage.intervals(1);
    peers[1].send([1; 500]);
    stage.settle();
    stage.log.expect(&["1 data 500 bytes"]);
    stage.transport(0).resume_reading();
    stage.settle();
    stage.log.expect(&["0 resumed", "0 data 500 bytes"]);
}
