//! Settings at their ends: nothing panics, nothing spins, and none means the opposite.

use super::*;
use crate::TcpClientEndpoint;
use crate::limits::{ConnectionLimits, OverflowPolicy, RateLimits, Timeouts};
use crate::shutdown::ShutdownReport;
use std::cell::Cell;
use std::ops::ControlFlow;

const SECOND: Duration = Duration::from_secs(1);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
const NANOSECOND: Duration = Duration::from_nanos(1);

/// Whoever wakes a thousand times a second does not spin, though he may not sleep much.
const TURNS_MAX: usize = 1100;

impl Stage {
    /// Runs as `run` would, for so long by the clock, which only moves while the loop sleeps; says
    /// if the reactor has stopped by then.
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

/// A stage where somebody is connected.
fn connected(act: fn(Event<'_>, &mut Context<'_, Probes>)) -> (Stage, Peer) {
    let mut stage = Stage::new(act);
    let peer = stage.connect();
    stage.log.expect(&["0 made"]);
    (stage, peer)
}

#[test]
fn deadlines() {
    let none = Timeouts::new();
    for short in [Duration::ZERO, NANOSECOND] {
        for (deadlines, name) in [
            (none.idle(short), "Idle"),
            (none.first_byte(short), "FirstByte"),
            (none.handshake(short), "Handshake"),
            (none.max_lifetime(short), "MaxLifetime"),
            (none.min_rate(1, short), "MinRate"),
            (none.min_rate(usize::MAX, short), "MinRate"),
        ] {
            // A protocol that keeps its connection hears it again and again, but the loop sleeps.
            let (mut stage, peer) = connected(quiet);
            peer.set_room(0);
            stage.transport(0).write("never taken");
            stage.transport(0).set_timeouts(deadlines);
            stage.live(SECOND);
            let count = stage.log.count(&format!("0 timed out: {name}"));
            assert!((900..=1000).contains(&count), "{deadlines:?}: {count}");
        }
    }
    for deadlines in [
        none.idle(Duration::MAX).first_byte(Duration::MAX).handshake(Duration::MAX),
        none.max_lifetime(Duration::MAX).min_rate(usize::MAX, Duration::MAX),
        // Nothing is enough, in any time.
        none.min_rate(0, Duration::MAX),
        none.min_rate(0, NANOSECOND),
        none.min_rate(0, Duration::ZERO),
    ] {
        let (mut stage, peer) = connected(quiet);
        peer.set_room(0);
        stage.transport(0).write("never taken");
        stage.transport(0).set_timeouts(deadlines);
        stage.live(10 * YEAR);
        stage.log.expect(&[]);
    }
}

#[test]
fn timeouts() {
    for (timeout, counts) in [
        (Some(Duration::ZERO), 900..=1000),
        (Some(NANOSECOND), 900..=1000),
        (Some(Duration::MAX), 0..=0),
        (None, 0..=0),
    ] {
        let (mut stage, _peer) = connected(quiet);
        stage.transport(0).set_timeout(timeout);
        stage.live(SECOND);
        let count = stage.log.count("0 timed out: Protocol");
        assert!(counts.contains(&count), "{timeout:?}: {count}");
    }
}

#[test]
fn the_timeout_of_a_close() {
    for (timeout, lost) in [(Duration::ZERO, 1), (NANOSECOND, 1), (Duration::MAX, 0)] {
        let mut stage = Stage::with(Settings::default().close_timeout(timeout), quiet);
        let peer = stage.connect();
        peer.set_room(0);
        stage.transport(0).write("never taken");
        stage.transport(0).lose_connection();
        stage.live(SECOND);
        let entry = "0 lost: the last bytes were not taken, or not produced, in time";
        assert_eq!(stage.log.count(entry), lost, "{timeout:?}");
        // What a rate holds back is waited for however long that takes.
        let _peer = stage.connect();
        stage.transport(1).set_rate_limits(RateLimits::new().write(1));
        stage.transport(1).write("held back");
        stage.transport(1).lose_connection();
        stage.live(SECOND);
        assert_eq!(stage.reactor.connection_count(), 2 - lost, "{timeout:?}");
    }
}

#[test]
fn the_timeout_of_a_drain() {
    for (timeout, aborted) in
        [(Duration::ZERO, Some(1)), (NANOSECOND, Some(1)), (Duration::MAX, None)]
    {
        let mut stage = Stage::with(Settings::default().drain_timeout(timeout), quiet);
        let _peer = stage.connect();
        stage.script.signal("SIGTERM");
        let report = stage.live(SECOND);
        assert_eq!(report.map(|report| report.aborted), aborted, "{timeout:?}");
        let (mut stage, _peer) = connected(quiet);
        stage.reactor.stop_gracefully(timeout);
        let report = stage.live(SECOND);
        assert_eq!(report.map(|report| report.aborted), aborted, "{timeout:?}");
    }
}

#[test]
fn how_many_clients_and_how_fast() {
    let none = ConnectionLimits::new();
    const MANY: usize = 20;
    for (limits, at_once, later) in [
        (none.clone().max_connections(0), 0, 0),
        (none.clone().max_connections(1), 1, 1),
        (none.clone().max_connections(usize::MAX), MANY, MANY),
        (none.clone().max_per_peer(0), 0, 0),
        (none.clone().max_per_peer(1), 1, 1),
        (none.clone().max_per_peer(usize::MAX), MANY, MANY),
        // Zero is one.
        (none.clone().accept_rate(0, SECOND), 1, 2),
        (none.clone().accept_rate(1, SECOND), 1, 2),
        (none.clone().accept_rate(u32::MAX, SECOND), MANY, MANY),
        // Any number in no time is no limit.
        (none.clone().accept_rate(0, Duration::ZERO), MANY, MANY),
        (none.clone().accept_rate(1, Duration::ZERO), MANY, MANY),
        (none.clone().accept_rate(u32::MAX, Duration::ZERO), MANY, MANY),
        // A time without end does not begin again.
        (none.clone().accept_rate(0, Duration::MAX), 1, 1),
        (none.clone().accept_rate(1, Duration::MAX), 1, 1),
        (none.clone().accept_rate(30, Duration::MAX), 3, 3),
        (none.clone().accept_rate(1, Duration::MAX).accept_burst(3), 3, 3),
        (none.clone().accept_rate(1, SECOND).accept_burst(0), 1, 2),
        (none.clone().accept_rate(1, SECOND).accept_burst(u32::MAX), MANY, MANY),
        (none.clone().accept_rate(u32::MAX, Duration::MAX), MANY, MANY),
    ] {
        let mut stage = Stage::new(quiet);
        let port = stage.port.clone();
        stage.reactor.set_limits(&port, limits.clone());
        let _peers: Vec<Peer> = (0..MANY).map(|_| stage.script.connect()).collect();
        stage.live(Duration::ZERO);
        assert_eq!(stage.reactor.connection_count(), at_once, "{limits:?}");
        stage.live(SECOND);
        assert_eq!(stage.reactor.connection_count(), later, "{limits:?}");
    }
    for (max, count) in [(Some(0), 0), (Some(1), 1), (Some(usize::MAX), MANY), (None, MANY)] {
        let mut stage = Stage::with(Settings::default().max_connections(max), quiet);
        let _peers: Vec<Peer> = (0..MANY).map(|_| stage.script.connect()).collect();
        stage.live(SECOND);
        assert_eq!(stage.reactor.connection_count(), count, "{max:?}");
    }
}

#[test]
fn how_fast_bytes_move() {
    const BYTES: &[u8] = b"twenty bytes, to be ";
    for (rate, counts) in [(0, 2..=4), (1, 2..=4), (u64::MAX, 20..=20)] {
        for shared in [false, true] {
            let (mut stage, peer) = connected(echo);
            let (port, rates) = (stage.port.clone(), RateLimits::new().read(rate).write(rate));
            if shared {
                stage.reactor.set_shared_rate_limits(&port, rates);
            } else {
                stage.transport(0).set_rate_limits(rates);
            }
            peer.send(BYTES);
            stage.live(3 * SECOND);
            let count = peer.received().len();
            assert!(counts.contains(&count), "{rates:?}, {shared}: {count}");
        }
    }
}

/// Who keeps up is served whatever the limit; who takes nothing is lost if it is none at all.
#[test]
fn how_much_is_unsent() {
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
        let mut stage = Stage::with(settings, echo);
        let (quick, slow) = (stage.connect(), stage.connect());
        slow.set_room(0);
        for _ in 0..3 {
            quick.send("quick");
            slow.send("slow");
            stage.live(SECOND);
            assert_eq!(quick.received(), b"quick", "{shown}");
            let transport = stage.transport(1);
            transport.write("and more");
        }
        stage.live(SECOND);
        assert_eq!(
            stage.log.count("1 lost: peer did not keep up: too much was unsent"),
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
        let (mut stage, peer) = connected(quiet);
        peer.set_room(0);
        let transport = stage.transport(0);
        transport.set_max_unsent(max, policy);
        transport.write("the first is taken");
        transport.write("the second if there is room");
        stage.live(SECOND);
        assert_eq!(transport.dropped_writes(), dropped, "{max}");
    }
}

#[test]
fn marks_between_which_a_producer_waits() {
    for (high, low) in [(0, 0), (0, usize::MAX), (1, 0), (1, 1), (usize::MAX, usize::MAX)] {
        let (mut stage, peer) = connected(quiet);
        let transport = stage.transport(0);
        transport.set_water_marks(high, low);
        transport.register_producer(crate::Producer::reader(&b"all of this"[..]));
        stage.live(SECOND);
        assert_eq!(peer.received(), b"all of this", "{high}, {low}");
        assert_eq!(stage.log.count("0 produced Ok(11)"), 1, "{high}, {low}");
    }
}

#[test]
fn delays() {
    let mut stage = Stage::new(quiet);
    let fired = Rc::new(Cell::new(0));
    let fire = |fired: &Rc<Cell<u32>>| {
        let fired = Rc::clone(fired);
        move |_: &mut Reactor| fired.set(fired.get() + 1)
    };
    let now = stage.reactor.now();
    let past = now.checked_sub(SECOND).unwrap_or(now);
    let soon = [
        stage.reactor.call_later(Duration::ZERO, fire(&fired)),
        stage.reactor.call_at(past, fire(&fired)),
        stage.reactor.call_later(Duration::MAX, fire(&fired)),
        stage.reactor.call_later(Duration::MAX, fire(&fired)),
    ];
    assert!(stage.reactor.reset(soon[2], Duration::ZERO));
    assert!(stage.reactor.reset_at(soon[3], past));
    let late = [
        stage.reactor.call_later(Duration::MAX, fire(&fired)),
        stage.reactor.call_at(now + 1000 * YEAR, fire(&fired)),
        stage.reactor.call_later(Duration::ZERO, fire(&fired)),
        stage.reactor.call_later(Duration::ZERO, fire(&fired)),
    ];
    assert!(stage.reactor.reset(late[2], Duration::MAX));
    assert!(stage.reactor.reset_at(late[3], now + 1000 * YEAR));
    stage.live(99 * YEAR);
    assert_eq!(fired.get(), 4);
    for timer in late {
        assert!(stage.reactor.remaining(timer) > Some(Duration::ZERO));
        assert!(stage.reactor.cancel(timer));
    }
}

#[test]
fn timers_of_a_protocol() {
    for (delay, fired) in [(Duration::ZERO, 1), (NANOSECOND, 1), (Duration::MAX, 0)] {
        thread_local!(static DELAY: Cell<Duration> = const { Cell::new(Duration::ZERO) });
        DELAY.set(delay);
        let mut stage = Stage::new(|event, cx| {
            if event == Event::Made {
                cx.set_timer(DELAY.get());
            }
        });
        let _peer = stage.connect();
        stage.live(SECOND);
        assert_eq!(stage.log.count("0 timer"), fired, "{delay:?}");
    }
}

#[test]
fn how_long_a_turn_waits() {
    for timeout in [Duration::ZERO, NANOSECOND, Duration::MAX] {
        let mut stage = Stage::new(quiet);
        // Somebody comes, so that the scripted clock need not show the end of the wait.
        let _peer = stage.script.connect();
        assert!(stage.reactor.turn(Some(timeout)).unwrap().is_continue());
        assert_eq!(stage.script.take_waits(), [Some(timeout)]);
        // With a timer it is no longer than that.
        stage.reactor.call_later(SECOND, |_| {});
        assert!(stage.reactor.turn(Some(timeout)).unwrap().is_continue());
        assert_eq!(stage.script.take_waits(), [Some(timeout.min(SECOND))]);
    }
}

#[test]
fn how_long_the_loop_stays_awake() {
    for (busy_poll, sleeps) in [(Duration::ZERO, true), (NANOSECOND, true), (Duration::MAX, false)]
    {
        let mut stage = Stage::with(Settings::default().busy_poll(busy_poll), quiet);
        let _peer = stage.connect();
        stage.script.advance(99 * YEAR);
        stage.script.take_waits();
        assert!(stage.reactor.turn(Some(SECOND)).unwrap().is_continue());
        let wait = if sleeps { SECOND } else { Duration::ZERO };
        assert_eq!(stage.script.take_waits(), [Some(wait)], "{busy_poll:?}");
    }
}

#[test]
fn how_long_a_callback_takes() {
    for slow in [Duration::ZERO, NANOSECOND, Duration::MAX] {
        let mut stage = Stage::with(Settings::default().slow_callback_duration(slow), echo);
        let peer = stage.connect();
        peer.send("hello");
        stage.live(SECOND);
        assert_eq!(peer.received(), b"hello", "{slow:?}");
        assert_eq!(stage.reactor.recorder.logged().is_some(), slow.is_zero(), "{slow:?}");
    }
}

#[test]
fn how_long_connecting_takes() {
    for (timeout, failed) in [(Duration::ZERO, 1), (NANOSECOND, 1), (Duration::MAX, 0)] {
        let mut stage = Stage::new(quiet);
        let endpoint = TcpClientEndpoint::new(([127, 0, 0, 1], 8008)).timeout(timeout);
        stage.reactor.connect_tcp(endpoint, &stage.port).unwrap();
        stage.live(SECOND);
        assert_eq!(stage.log.count("failed: timed out"), failed, "{timeout:?}");
        stage.script.dialled().answer();
        stage.live(SECOND);
        assert_eq!(stage.log.count("0 made"), 1 - failed, "{timeout:?}");
    }
}
