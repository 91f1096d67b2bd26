//! Extreme settings: nothing panics, nothing spins, and no value means its opposite.

use super::*;
use crate::TcpClientEndpoint;
use crate::limits::{ConnectionLimits, OverflowPolicy, RateLimits, Timeouts};
use crate::shutdown::ShutdownReport;
use std::cell::Cell;
use std::ops::ControlFlow;

const SECOND: Duration = Duration::from_secs(1);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
const NANOSECOND: Duration = Duration::from_nanos(1);

/// Turns per second up to which a loop does not count as spinning.
const TURNS_MAX: usize = 1100;

impl Fixture {
    /// Runs as `run` would, for this time by the clock, which only advances while the loop sleeps;
    /// returns true if the reactor has stopped by then.
    #[track_caller]
    fn live(&mut self, span: Duration) -> Option<ShutdownReport> {
        let end = self.reactor.now() + span;
        for _ in 0..TURNS_MAX {
            if let ControlFlow::Break(report) = self.reactor.turn(Some(Duration::ZERO)).unwrap() {
                return Some(report);
            }
            let now = self.reactor.now();
            let next = self.reactor.next_deadline().unwrap_or(end).min(end);
            if now >= end && next >= end {
                return None;
            }
            self.script.advance(next.saturating_duration_since(now));
        }
        panic!("the loop spins");
    }
}

/// Returns a fixture with a connection.
fn connected(act: fn(Event<'_>, &mut Context<'_, Probes>)) -> (Fixture, Peer) {
    let mut fixture = Fixture::new(act);
    let peer = fixture.connect();
    fixture.log.expect(&["0 made"]);
    (fixture, peer)
}

#[test]
fn extreme_durations_of_timeouts() {
    let none = Timeouts::new();
    for short in [Duration::ZERO, NANOSECOND] {
        for (timeouts, name) in [
            (none.idle(short), "Idle"),
            (none.first_byte(short), "FirstByte"),
            (none.handshake(short), "Handshake"),
            (none.max_lifetime(short), "MaxLifetime"),
            (none.min_rate(1, short), "MinRate"),
            (none.min_rate(usize::MAX, short), "MinRate"),
        ] {
            // A protocol that keeps its connection is called repeatedly, but the loop sleeps.
            let (mut fixture, peer) = connected(quiet);
            peer.set_room(0);
            fixture.transport(0).write("never taken");
            fixture.transport(0).set_timeouts(timeouts);
            fixture.live(SECOND);
            let count = fixture.log.count(&format!("0 timed out: {name}"));
            assert!((900..=1000).contains(&count), "{timeouts:?}: {count}");
        }
    }
    for timeouts in [
        none.idle(Duration::MAX).first_byte(Duration::MAX).handshake(Duration::MAX),
        none.max_lifetime(Duration::MAX).min_rate(usize::MAX, Duration::MAX),
        // Zero bytes are always enough, whatever the period.
        none.min_rate(0, Duration::MAX),
        none.min_rate(0, NANOSECOND),
        none.min_rate(0, Duration::ZERO),
    ] {
        let (mut fixture, peer) = connected(quiet);
        peer.set_room(0);
        fixture.transport(0).write("never taken");
        fixture.transport(0).set_timeouts(timeouts);
        fixture.live(10 * YEAR);
        fixture.log.expect(&[]);
    }
}

#[test]
fn extreme_protocol_timeouts() {
    for (timeout, counts) in [
        (Some(Duration::ZERO), 900..=1000),
        (Some(NANOSECOND), 900..=1000),
        (Some(Duration::MAX), 0..=0),
        (None, 0..=0),
    ] {
        let (mut fixture, _peer) = connected(quiet);
        fixture.transport(0).set_timeout(timeout);
        fixture.live(SECOND);
        let count = fixture.log.count("0 timed out: Protocol");
        assert!(counts.contains(&count), "{timeout:?}: {count}");
    }
}

#[test]
fn extreme_close_timeouts() {
    for (timeout, lost) in [(Duration::ZERO, 1), (NANOSECOND, 1), (Duration::MAX, 0)] {
        let mut fixture = Fixture::with(Settings::default().close_timeout(timeout), quiet);
        let peer = fixture.connect();
        peer.set_room(0);
        fixture.transport(0).write("never taken");
        fixture.transport(0).lose_connection();
        fixture.live(SECOND);
        let entry = "0 lost: close timeout: the last bytes were not sent in time";
        assert_eq!(fixture.log.count(entry), lost, "{timeout:?}");
        // A close waits for a rate however long that takes.
        let _peer = fixture.connect();
        fixture.transport(1).set_rate_limits(RateLimits::new().write(1));
        fixture.transport(1).write("held back");
        fixture.transport(1).lose_connection();
        fixture.live(SECOND);
        assert_eq!(fixture.reactor.connection_count(), 2 - lost, "{timeout:?}");
    }
}

#[test]
fn extreme_drain_timeouts() {
    for (timeout, aborted) in
        [(Duration::ZERO, Some(1)), (NANOSECOND, Some(1)), (Duration::MAX, None)]
    {
        let mut fixture = Fixture::with(Settings::default().drain_timeout(timeout), quiet);
        let _peer = fixture.connect();
        fixture.script.signal("SIGTERM");
        let report = fixture.live(SECOND);
        assert_eq!(report.map(|report| report.aborted), aborted, "{timeout:?}");
        let (mut fixture, _peer) = connected(quiet);
        fixture.reactor.stop_gracefully(timeout);
        let report = fixture.live(SECOND);
        assert_eq!(report.map(|report| report.aborted), aborted, "{timeout:?}");
    }
}

#[test]
fn extreme_connection_limits_and_accept_rates() {
    let none = ConnectionLimits::new();
    const MANY: usize = 20;
    for (limits, at_once, later) in [
        (none.clone().max_connections(0), 0, 0),
        (none.clone().max_connections(1), 1, 1),
        (none.clone().max_connections(usize::MAX), MANY, MANY),
        (none.clone().max_per_peer(0), 0, 0),
        (none.clone().max_per_peer(1), 1, 1),
        (none.clone().max_per_peer(usize::MAX), MANY, MANY),
        // Zero counts as one.
        (none.clone().accept_rate(0, SECOND), 1, 2),
        (none.clone().accept_rate(1, SECOND), 1, 2),
        (none.clone().accept_rate(u32::MAX, SECOND), MANY, MANY),
        // Any number in no time is no limit.
        (none.clone().accept_rate(0, Duration::ZERO), MANY, MANY),
        (none.clone().accept_rate(1, Duration::ZERO), MANY, MANY),
        (none.clone().accept_rate(u32::MAX, Duration::ZERO), MANY, MANY),
        // An endless period is never refilled.
        (none.clone().accept_rate(0, Duration::MAX), 1, 1),
        (none.clone().accept_rate(1, Duration::MAX), 1, 1),
        (none.clone().accept_rate(30, Duration::MAX), 3, 3),
        (none.clone().accept_rate(1, Duration::MAX).accept_burst(3), 3, 3),
        (none.clone().accept_rate(1, SECOND).accept_burst(0), 1, 2),
        (none.clone().accept_rate(1, SECOND).accept_burst(u32::MAX), MANY, MANY),
        (none.clone().accept_rate(u32::MAX, Duration::MAX), MANY, MANY),
    ] {
        let mut fixture = Fixture::new(quiet);
        let port = fixture.port.clone();
        fixture.reactor.set_limits(&port, limits.clone());
        let _peers: Vec<Peer> = (0..MANY).map(|_| fixture.script.connect()).collect();
        fixture.live(Duration::ZERO);
        assert_eq!(fixture.reactor.connection_count(), at_once, "{limits:?}");
        fixture.live(SECOND);
        assert_eq!(fixture.reactor.connection_count(), later, "{limits:?}");
    }
    for (max, count) in [(Some(0), 0), (Some(1), 1), (Some(usize::MAX), MANY), (None, MANY)] {
        let mut fixture = Fixture::with(Settings::default().max_connections(max), quiet);
        let _peers: Vec<Peer> = (0..MANY).map(|_| fixture.script.connect()).collect();
        fixture.live(SECOND);
        assert_eq!(fixture.reactor.connection_count(), count, "{max:?}");
    }
}

#[test]
fn extreme_rates() {
    const BYTES: &[u8] = b"twenty bytes, to be ";
    for (rate, counts) in [(0, 2..=4), (1, 2..=4), (u64::MAX, 20..=20)] {
        for shared in [false, true] {
            let (mut fixture, peer) = connected(echo);
            let (port, rates) = (fixture.port.clone(), RateLimits::new().read(rate).write(rate));
            if shared {
                fixture.reactor.set_shared_rate_limits(&port, rates);
            } else {
                fixture.transport(0).set_rate_limits(rates);
            }
            peer.send(BYTES);
            fixture.live(3 * SECOND);
            let count = peer.received().len();
            assert!(counts.contains(&count), "{rates:?}, {shared}: {count}");
        }
    }
}

/// A peer that keeps up is served whatever the limit; one that takes nothing is lost if it is zero.
#[test]
fn extreme_limits_of_unsent_bytes() {
    let none = Settings::default;
    for (settings, lost) in [
        (none().max_unsent(0), true),
        (none().max_unsent(1), true),
        (none().max_unsent(usize::MAX), false),
        (none().max_unsent(None), false),
        (none().max_unsent_total(0), true),
        (none().max_unsent_total(1), true),
        (none().max_unsent_total(usize::MAX), false),
        (none().max_unsent_total(None), false),
    ] {
        let shown = format!("{settings:?}");
        let mut fixture = Fixture::with(settings, echo);
        let (quick, slow) = (fixture.connect(), fixture.connect());
        slow.set_room(0);
        for _ in 0..3 {
            quick.send("quick");
            slow.send("slow");
            fixture.live(SECOND);
            assert_eq!(quick.received(), b"quick", "{shown}");
            let transport = fixture.transport(1);
            transport.write("and more");
        }
        fixture.live(SECOND);
        assert_eq!(
            fixture.log.count("1 lost: slow consumer: too many unsent bytes"),
            usize::from(lost),
            "{shown}"
        );
    }
    for (max, policy, dropped) in [
        (0, OverflowPolicy::DropNew, 1),
        (1, OverflowPolicy::DropNew, 1),
        (usize::MAX, OverflowPolicy::DropNew, 0),
        (0, OverflowPolicy::Reject, 1),
    ] {
        let (mut fixture, peer) = connected(quiet);
        peer.set_room(0);
        let transport = fixture.transport(0);
        transport.set_max_unsent(max, policy);
        transport.write("the first is taken");
        transport.write("the second if there is room");
        fixture.live(SECOND);
        assert_eq!(transport.dropped_writes(), dropped, "{max}");
    }
}

#[test]
fn extreme_water_marks() {
    for (high, low) in [(0, 0), (0, usize::MAX), (1, 0), (1, 1), (usize::MAX, usize::MAX)] {
        let (mut fixture, peer) = connected(quiet);
        let transport = fixture.transport(0);
        transport.set_water_marks(high, low);
        transport.register_producer(crate::Producer::reader(&b"all of this"[..]));
        fixture.live(SECOND);
        assert_eq!(peer.received(), b"all of this", "{high}, {low}");
        assert_eq!(fixture.log.count("0 produced Ok(11)"), 1, "{high}, {low}");
    }
}

#[test]
fn extreme_delays() {
    let mut fixture = Fixture::new(quiet);
    let fired = Rc::new(Cell::new(0));
    let fire = |fired: &Rc<Cell<u32>>| {
        let fired = Rc::clone(fired);
        move |_: &mut Reactor| fired.set(fired.get() + 1)
    };
    let now = fixture.reactor.now();
    let past = now.checked_sub(SECOND).unwrap_or(now);
    let soon = [
        fixture.reactor.call_later(Duration::ZERO, fire(&fired)),
        fixture.reactor.call_at(past, fire(&fired)),
        fixture.reactor.call_later(Duration::MAX, fire(&fired)),
        fixture.reactor.call_later(Duration::MAX, fire(&fired)),
    ];
    assert!(fixture.reactor.reset(soon[2], Duration::ZERO));
    assert!(fixture.reactor.reset_at(soon[3], past));
    let late = [
        fixture.reactor.call_later(Duration::MAX, fire(&fired)),
        fixture.reactor.call_at(now + 1000 * YEAR, fire(&fired)),
        fixture.reactor.call_later(Duration::ZERO, fire(&fired)),
        fixture.reactor.call_later(Duration::ZERO, fire(&fired)),
    ];
    assert!(fixture.reactor.reset(late[2], Duration::MAX));
    assert!(fixture.reactor.reset_at(late[3], now + 1000 * YEAR));
    fixture.live(99 * YEAR);
    assert_eq!(fired.get(), 4);
    for timer in late {
        assert!(fixture.reactor.remaining(timer) > Some(Duration::ZERO));
        assert!(fixture.reactor.cancel(timer));
    }
}

#[test]
fn extreme_delays_of_protocol_timers() {
    for (delay, fired) in [(Duration::ZERO, 1), (NANOSECOND, 1), (Duration::MAX, 0)] {
        thread_local!(static DELAY: Cell<Duration> = const { Cell::new(Duration::ZERO) });
        DELAY.set(delay);
        let mut fixture = Fixture::new(|event, cx| {
            if event == Event::Made {
                cx.set_timer(DELAY.get());
            }
        });
        let _peer = fixture.connect();
        fixture.live(SECOND);
        assert_eq!(fixture.log.count("0 timer"), fired, "{delay:?}");
    }
}

#[test]
fn extreme_timeouts_of_a_turn() {
    for timeout in [Duration::ZERO, NANOSECOND, Duration::MAX] {
        let mut fixture = Fixture::new(quiet);
        // A client connects, so that the scripted clock need not end the wait.
        let _peer = fixture.script.connect();
        assert!(fixture.reactor.turn(Some(timeout)).unwrap().is_continue());
        assert_eq!(fixture.script.take_waits(), [Some(timeout)]);
        // With a timer it is no longer than that.
        fixture.reactor.call_later(SECOND, |_| {});
        assert!(fixture.reactor.turn(Some(timeout)).unwrap().is_continue());
        assert_eq!(fixture.script.take_waits(), [Some(timeout.min(SECOND))]);
    }
}

#[test]
fn extreme_busy_polling() {
    for (busy_poll, sleeps) in [(Duration::ZERO, true), (NANOSECOND, true), (Duration::MAX, false)]
    {
        let mut fixture = Fixture::with(Settings::default().busy_poll(busy_poll), quiet);
        let _peer = fixture.connect();
        fixture.script.advance(99 * YEAR);
        fixture.script.take_waits();
        assert!(fixture.reactor.turn(Some(SECOND)).unwrap().is_continue());
        let wait = if sleeps { SECOND } else { Duration::ZERO };
        assert_eq!(fixture.script.take_waits(), [Some(wait)], "{busy_poll:?}");
    }
}

#[test]
fn extreme_durations_of_slow_callbacks() {
    for slow in [Duration::ZERO, NANOSECOND, Duration::MAX] {
        let mut fixture = Fixture::with(Settings::default().slow_callback_duration(slow), echo);
        let peer = fixture.connect();
        peer.send("hello");
        fixture.live(SECOND);
        assert_eq!(peer.received(), b"hello", "{slow:?}");
        assert_eq!(fixture.reactor.recorder.logged.is_some(), slow.is_zero(), "{slow:?}");
    }
}

#[test]
fn extreme_connect_timeouts() {
    for (timeout, failed) in [(Duration::ZERO, 1), (NANOSECOND, 1), (Duration::MAX, 0)] {
        let mut fixture = Fixture::new(quiet);
        let endpoint = TcpClientEndpoint::new(([127, 0, 0, 1], 8008)).timeout(timeout);
        fixture.reactor.connect_tcp(endpoint, &fixture.port).unwrap();
        fixture.live(SECOND);
        assert_eq!(fixture.log.count("failed: timed out"), failed, "{timeout:?}");
        fixture.script.dialled().answer();
        fixture.live(SECOND);
        assert_eq!(fixture.log.count("0 made"), 1 - failed, "{timeout:?}");
    }
}
