//! Many timers: set, pushed back, cancelled, and fired.

use std::cell::Cell;
use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};
use twistor::{Reactor, TimerId};
use twistor_benches::{Delays, TimerReport, resident};

/// How much later the timers are due that are pushed back.
const LATER: Duration = Duration::from_secs(60);

thread_local! {
    /// What all timers know of, as they would a field of their program.
    static LEFT: Cell<usize> = const { Cell::new(0) };
    static LAST: Cell<Option<Instant>> = const { Cell::new(None) };
}

fn fire(reactor: &mut Reactor) {
    LEFT.set(LEFT.get() - 1);
    if LEFT.get() == 0 {
        LAST.set(Some(Instant::now()));
        reactor.stop();
    }
}

pub fn time(reactor: &mut Reactor, count: usize) -> Result<TimerReport, Box<dyn Error>> {
    let mut delays = Delays::default();
    LEFT.set(count);
    let filler = reactor.call_later(Duration::ZERO, fire);
    reactor.cancel(filler);
    let mut timers: Vec<TimerId> = vec![filler; count];
    let before = resident();

    let start = Instant::now();
    for timer in &mut timers {
        *timer = reactor.call_later(delays.far(), fire);
    }
    let schedule = start.elapsed();
    let scheduled = resident();

    let mut again = Delays::default();
    let start = Instant::now();
    for timer in &timers {
        reactor.reset(*timer, again.far() + LATER);
    }
    let reset = start.elapsed();

    let start = Instant::now();
    for timer in &timers {
        reactor.cancel(*timer);
    }
    let cancel = start.elapsed();
    let cancelled = resident();

    for _ in 0..count {
        reactor.call_later(delays.near(), fire);
    }
    thread::sleep(Delays::NEAR_OVER);
    let start = Instant::now();
    reactor.run()?;
    let fire = LAST.get().map(|last| last - start);

    Ok(TimerReport {
        count,
        schedule: Some(schedule),
        reset: Some(reset),
        cancel: Some(cancel),
        fire,
        resident: [before, scheduled, cancelled],
    })
}
