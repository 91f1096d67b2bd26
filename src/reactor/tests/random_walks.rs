//! Random sequences of everything that may happen to connections, and the invariants after each
//! turn.

use super::*;
use crate::driver::scripted::Closed;
use crate::limits::{OverflowPolicy, RateLimits, Timeouts};
use crate::testing::Random;
use crate::{Producer, broadcast};
use std::io::Read;

thread_local! {
    static RANDOM: RefCell<Random> = RefCell::new(Random::new(1));
    static QUIET: Cell<bool> = const { Cell::new(false) };
    static GENTLE: Cell<bool> = const { Cell::new(false) };
    /// Limit of the unsent bytes of all connections.
    static TOTAL: Cell<usize> = const { Cell::new(usize::MAX) };
}

fn below(bound: usize) -> usize {
    RANDOM.with_borrow_mut(|random| random.below(bound))
}

fn scribble(transport: &Transport) {
    let length = match below(6) {
        0 => 0,
        1 => 8 * 1024 + below(100_000),
        2 => 300_000,
        _ => 1 + below(2000),
    };
    if below(2) == 0 {
        transport.write(vec![b'x'; length]);
    } else {
        transport.write_line(&vec![b'x'; length], b"\r\n");
    }
}

fn rates() -> RateLimits {
    let mut rates = RateLimits::new();
    if below(2) == 0 {
        rates = rates.read(1_000_000 + below(100_000_000) as u64);
    }
    if below(2) == 0 {
        rates = rates.write(1_000_000 + below(100_000_000) as u64);
    }
    rates
}

/// Changes the producer and the limits of a connection.
fn tune(all: &[Transport], transport: &Transport) {
    let policies = [OverflowPolicy::Reject, OverflowPolicy::DropNew, OverflowPolicy::Close];
    match below(12) {
        0 | 1 => transport.set_rate_limits(rates()),
        2 => transport.set_water_marks(below(100_000), below(50_000)),
        3 => transport.set_max_unsent(1000 + below(500_000), policies[below(3)]),
        4 => transport.set_max_unsent(None, policies[below(3)]),
        5 => transport.register_producer(&all[below(all.len())]),
        6 => transport.register_producer(Producer::push()),
        7 => transport.register_producer(Producer::pull()),
        8 => {
            let input = io::repeat(b'z').take(below(200_000) as u64);
            transport.register_producer(Producer::reader(input));
        }
        9 => transport.unregister_producer(),
        10 => broadcast(all, vec![b'w'; 1 + below(30_000)]),
        _ => transport.set_timeouts(Timeouts::new().idle(Duration::from_millis(1))),
    }
}

fn operate(all: &[Transport], from: &str) {
    if QUIET.get() {
        return;
    }
    let number = below(all.len());
    let transport = &all[number];
    if below(5) == 0 {
        return tune(all, transport);
    }
    match below(if GENTLE.get() { 12 } else { 40 }) {
        0..=5 => scribble(transport),
        6 => all.iter().for_each(|it| it.write("a line to each")),
        7 | 8 => transport.pause_reading(),
        9..=11 => transport.resume_reading(),
        12 => transport.lose_connection(),
        13 => transport.lose_write_connection(),
        14 => transport.abort_connection(),
        15 => transport.fail("no more"),
        16 if from == "callback" => panic!("on purpose"),
        _ => {}
    }
}

fn act(event: Event<'_>, cx: &mut Context<'_, Probes>) {
    if QUIET.get() {
        return;
    }
    let all = cx.factory.all.clone();
    if let (Event::Data(data), 0) = (event, below(2)) {
        cx.transport.write(data);
    }
    for _ in 0..below(3) {
        match below(8) {
            0 => drop(cx.set_timer(Duration::from_micros(below(3000) as u64))),
            1 => {
                let all = all.clone();
                cx.reactor.call_later(Duration::from_micros(below(2000) as u64), move |_| {
                    operate(&all, "timer");
                });
            }
            2 => scribble(cx.transport),
            4 => cx.transport.yield_now(),
            3 => {
                cx.transport.pause_reading();
                cx.transport.resume_reading();
            }
            _ => operate(&all, "callback"),
        }
        let unsent: usize = all.iter().map(Transport::unsent).sum();
        assert!(unsent <= TOTAL.get(), "{unsent}");
    }
}

#[track_caller]
fn check(fixture: &Fixture, seed: u64) {
    for (id, _) in fixture.reactor.connections.iter() {
        if let Some(connection) = fixture.reactor.connections.find(id) {
            let overlooked = connection.transport.overlooked();
            assert_eq!(overlooked, None, "seed {seed}: {:?}", connection.transport);
        }
    }
    assert!(fixture.reactor.hub.unsent() <= TOTAL.get(), "seed {seed}");
}

/// Makes random events happen on the peers' side.
fn disturb(fixture: &mut Fixture, peers: &[Peer]) {
    for _ in 0..below(4) {
        let peer = &peers[below(peers.len())];
        match below(if GENTLE.get() { 16 } else { 22 }) {
            0..=4 => peer.send(vec![b'y'; 1 + below(3000)]),
            5..=8 => peer.send(vec![b'y'; 65_536 * (1 + below(6))]),
            9..=11 => peer.set_room(0),
            12 | 13 => peer.set_room(below(200_000)),
            14 | 15 => peer.set_room(usize::MAX / 2),
            16 => peer.close(),
            17 if below(3) == 0 => peer.reset(),
            18 if below(3) == 0 => peer.reset_in_line(),
            _ => {}
        }
    }
    let all = fixture.reactor.with_factory(&fixture.port, |it, _| it.all.clone()).unwrap();
    if below(3) == 0 && !all.is_empty() {
        operate(&all, "main");
    }
    if below(30) == 0 {
        fixture.reactor.set_shared_rate_limits(&fixture.port, rates());
    }
    if below(4) == 0 {
        fixture.script.advance(Duration::from_micros(below(1500) as u64));
    }
}

/// Returns true if the connection is over, or all that its peer has sent was read.
fn is_read(peer: &Peer) -> bool {
    peer.closed() != Closed::No || peer.output_finished() || peer.unread() == 0
}

/// Lets every peer take everything from now on, and send no more.
fn calm(fixture: &mut Fixture, peers: &[Peer], seed: u64) {
    QUIET.set(true);
    let all = fixture.reactor.with_factory(&fixture.port, |it, _| it.all.clone()).unwrap();
    peers.iter().for_each(|peer| peer.set_room(usize::MAX / 2));
    fixture.reactor.set_shared_rate_limits(&fixture.port, RateLimits::new());
    for transport in &all {
        transport.unregister_producer();
        transport.set_rate_limits(RateLimits::new());
        transport.resume_reading();
    }
    for turn in 0..3000 {
        fixture.script.advance(Duration::from_millis(1));
        fixture.turn();
        check(fixture, seed);
        let is_idle = fixture.reactor.next_deadline() == fixture.reactor.timers.next();
        // Records take more turns.
        if turn > 100 && is_idle && peers.iter().all(is_read) {
            break;
        }
    }
    for (peer, transport) in peers.iter().zip(&all) {
        assert_eq!(transport.unsent(), 0, "seed {seed}: {transport:?}");
        assert!(is_read(peer), "seed {seed}: {transport:?}");
    }
    assert_eq!(fixture.reactor.next_deadline(), fixture.reactor.timers.next(), "seed {seed}");
    assert_eq!(fixture.reactor.hub.unsent(), 0, "seed {seed}");
    all.iter().for_each(Transport::abort_connection);
    peers.iter().for_each(Peer::close);
    fixture.settle();
    fixture.script.advance(Duration::from_secs(60));
    fixture.settle();
    assert_eq!(fixture.reactor.connections.len(), 0, "seed {seed}");
}

#[test]
fn random_operations_leave_nothing_unsent_and_nothing_unread() {
    for seed in 1..=200_u64 {
        RANDOM.set(Random::new(seed));
        QUIET.set(false);
        GENTLE.set(seed % 2 == 0);
        let total = if seed % 5 == 0 { 2_000_000 } else { usize::MAX };
        TOTAL.set(total);
        let mut settings = Settings::default().max_unsent_total(total);
        if seed % 3 == 0 {
            settings = settings.record_layer(1000 + below(40_000));
        }
        let (mut fixture, mut peers) = (Fixture::with(settings, act), Vec::new());
        for _ in 0..150 {
            if peers.len() < 3 + (seed as usize % 3) * 12 {
                peers.push(fixture.script.connect());
            }
            disturb(&mut fixture, &peers);
            fixture.turn();
            check(&fixture, seed);
        }
        calm(&mut fixture, &peers, seed);
    }
}
