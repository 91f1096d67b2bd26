//! Timers that repeat.

use super::*;
use std::ops::ControlFlow;

const SECOND: Duration = Duration::from_secs(1);

/// Logs the count of each call, which is the last one if the test says so.
fn log_counts(
    log: &Log,
    ends: &Rc<Cell<bool>>,
) -> impl FnMut(&mut Reactor) -> ControlFlow<()> + use<> {
    let (log, ends) = (log.clone(), Rc::clone(ends));
    move |reactor| {
        log.push(reactor.elapsed_periods().to_string());
        if ends.get() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// Lets time pass, and then takes two turns: a second one finds nothing more to fire.
fn pass(fixture: &mut Fixture, millis: u64) {
    fixture.script.advance(Duration::from_millis(millis));
    fixture.turn();
    fixture.turn();
}

#[test]
fn a_call_repeats_without_drift_until_it_breaks() {
    let mut fixture = Fixture::new(quiet);
    let ends = Rc::default();
    let timer = fixture.reactor.call_every(SECOND, log_counts(&fixture.log, &ends));
    pass(&mut fixture, 999);
    fixture.log.expect(&[]);
    pass(&mut fixture, 1);
    fixture.log.expect(&["1"]);
    // Late by 300 ms, and then in time: the deadlines have not moved.
    pass(&mut fixture, 1300);
    fixture.log.expect(&["1"]);
    assert_eq!(fixture.reactor.remaining(timer), Some(Duration::from_millis(700)));
    pass(&mut fixture, 700);
    fixture.log.expect(&["1"]);
    ends.set(true);
    pass(&mut fixture, 2500);
    fixture.log.expect(&["2"]);
    assert!(!fixture.reactor.cancel(timer));
    assert_eq!(fixture.reactor.elapsed_periods(), 0);
    pass(&mut fixture, 10_000);
    fixture.log.expect(&[]);
    fixture.expect_empty();
}

#[test]
fn after_an_hour_there_is_one_call_that_counts_it() {
    let mut fixture = Fixture::new(quiet);
    let ends = Rc::default();
    fixture.reactor.call_every(SECOND, log_counts(&fixture.log, &ends));
    pass(&mut fixture, 3_600_500);
    fixture.log.expect(&["3600"]);
    pass(&mut fixture, 500);
    fixture.log.expect(&["1"]);
}

#[test]
fn the_first_call_may_come_at_once_or_at_any_time() {
    let mut fixture = Fixture::new(quiet);
    let (ends, now) = (Rc::default(), fixture.reactor.now());
    fixture.reactor.call_every_from(now, SECOND, log_counts(&fixture.log, &ends));
    fixture.reactor.call_every_from(now + 3 * SECOND / 2, SECOND, log_counts(&fixture.log, &ends));
    fixture.turn();
    fixture.log.expect(&["1"]);
    pass(&mut fixture, 1000);
    fixture.log.expect(&["1"]);
    pass(&mut fixture, 1500);
    fixture.log.expect(&["2", "1"]);
}

#[test]
fn a_call_can_cancel_and_reset_its_own_timer() {
    let mut fixture = Fixture::new(quiet);
    let (own, log) = (Rc::new(Cell::new(None)), fixture.log.clone());
    let (timer, held) = (Rc::clone(&own), Rc::new(()));
    let weak = Rc::downgrade(&held);
    let mut calls = 0;
    own.set(Some(fixture.reactor.call_every(SECOND, move |reactor| {
        let timer = timer.get().unwrap();
        assert_eq!(reactor.remaining(timer), Some(SECOND));
        calls += Rc::strong_count(&held);
        log.push(calls.to_string());
        match calls {
            1 => assert!(reactor.reset(timer, SECOND / 4)),
            2 => {}
            _ => assert!(reactor.cancel(timer) && !reactor.cancel(timer)),
        }
        ControlFlow::Continue(())
    })));
    pass(&mut fixture, 1000);
    fixture.log.expect(&["1"]);
    pass(&mut fixture, 250);
    fixture.log.expect(&["2"]);
    pass(&mut fixture, 999);
    fixture.log.expect(&[]);
    assert!(weak.upgrade().is_some());
    pass(&mut fixture, 1);
    fixture.log.expect(&["3"]);
    assert!(weak.upgrade().is_none(), "its closure is dropped");
    fixture.expect_empty();
}

#[test]
fn a_panic_ends_the_repetition_and_nothing_else() {
    let mut fixture = Fixture::new(quiet);
    let ends = Rc::default();
    fixture.reactor.call_every(SECOND, |_| panic!("in an interval"));
    fixture.reactor.call_every(SECOND, log_counts(&fixture.log, &ends));
    for _ in 0..3 {
        pass(&mut fixture, 1000);
    }
    fixture.log.expect(&["1", "1", "1"]);
    let metrics = fixture.reactor.metrics();
    assert_eq!((metrics.panics, metrics.timers), (1, 1));
}

#[test]
fn a_closure_that_panics_when_it_is_dropped_is_contained() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let mut fixture = Fixture::new(quiet);
    for ends in [ControlFlow::Break(()), ControlFlow::Continue(())] {
        let bomb = Bomb;
        let timer = fixture.reactor.call_every(SECOND, move |_| {
            let _ = &bomb;
            ends
        });
        pass(&mut fixture, 1000);
        assert_eq!(fixture.reactor.cancel(timer), ends.is_continue());
    }
    fixture.expect_empty();
}

#[test]
fn a_period_of_zero_fires_once_in_a_turn_that_polls() {
    let mut fixture = Fixture::new(echo);
    let ends = Rc::default();
    fixture.reactor.call_every(Duration::ZERO, log_counts(&fixture.log, &ends));
    let peer = fixture.connect();
    fixture.log.expect(&["1", "0 made"]);
    peer.send("x");
    fixture.script.take_waits();
    for _ in 0..3 {
        assert!(fixture.reactor.turn(None).unwrap().is_continue());
    }
    fixture.log.expect(&["1", "0 data x", "1", "1"]);
    assert_eq!(fixture.script.take_waits(), [Some(Duration::ZERO); 3]);
}

#[test]
fn an_endless_period_never_ends() {
    let mut fixture = Fixture::new(quiet);
    let ends = Rc::default();
    let timer = fixture.reactor.call_every(Duration::MAX, log_counts(&fixture.log, &ends));
    pass(&mut fixture, 50 * 365 * 24 * 3_600_000);
    let now = fixture.reactor.now();
    let begun =
        fixture.reactor.call_every_from(now, Duration::MAX, log_counts(&fixture.log, &ends));
    pass(&mut fixture, 1);
    fixture.log.expect(&["1"]);
    for timer in [timer, begun] {
        assert!(fixture.reactor.remaining(timer) > Some(Duration::from_secs(40 * 365 * 86_400)));
    }
}

#[test]
fn a_stop_drops_repeated_calls() {
    let mut fixture = Fixture::new(quiet);
    let held = Rc::new(());
    let weak = Rc::downgrade(&held);
    fixture.reactor.call_every(SECOND, move |_| {
        let _ = &held;
        ControlFlow::Continue(())
    });
    pass(&mut fixture, 1000);
    fixture.reactor.stop();
    assert!(fixture.reactor.turn(Some(Duration::ZERO)).unwrap().is_break());
    assert!(weak.upgrade().is_none());
    fixture.expect_empty();
}

/// Sets an interval, and echoes how many periods have passed.
fn interval(event: Event<'_>, cx: &mut Context<'_, Probes>) {
    thread_local!(static TIMER: Cell<Option<TimerId>> = const { Cell::new(None) });
    match event {
        Event::Made | Event::Lost => TIMER.set(Some(cx.set_interval(SECOND))),
        Event::Timer => cx.transport.write(cx.reactor.elapsed_periods().to_string()),
        Event::Data(b"stop") => assert!(TIMER.get().is_some_and(|it| cx.reactor.cancel(it))),
        _ => {}
    }
}

#[test]
fn an_interval_of_a_protocol_repeats_until_it_is_cancelled() {
    let mut fixture = Fixture::new(interval);
    let peer = fixture.connect();
    for (millis, expected) in [(1000, "1"), (3700, "3"), (300, "1"), (900, "")] {
        pass(&mut fixture, millis);
        assert_eq!(peer.received(), expected.as_bytes());
    }
    peer.send("stop");
    fixture.turn();
    pass(&mut fixture, 10_000);
    assert_eq!(fixture.log.count("0 timer"), 3);
    assert_eq!(fixture.reactor.timers.len(), 0);
}

#[test]
fn an_interval_of_a_protocol_ends_with_its_connection() {
    let mut fixture = Fixture::new(interval);
    fixture.connect();
    pass(&mut fixture, 1000);
    fixture.transport(0).abort_connection();
    fixture.settle();
    pass(&mut fixture, 1000);
    fixture.log.expect(&["0 made", "0 timer", "0 lost: connection aborted by this side"]);
    fixture.expect_empty();
}

#[cfg(feature = "testing")]
#[test]
fn timer_fired_gets_one_id_for_all_periods() {
    struct Ticker(Option<TimerId>);

    impl<F> Protocol<F> for Ticker {
        fn connection_made(&mut self, cx: &mut Context<'_, F>) {
            self.0 = Some(cx.set_interval(SECOND));
        }

        fn timer_fired(&mut self, cx: &mut Context<'_, F>, timer: TimerId) {
            assert_eq!(self.0, Some(timer));
            cx.transport.write("tick ");
        }
    }

    let peer = crate::testing::connect(|| Ticker(None));
    peer.advance(3 * SECOND);
    assert_eq!(peer.take_received(), b"tick tick tick ");
}
