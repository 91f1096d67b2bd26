//! The timers of mill-io's wheel. It can cancel a timer, but not push one back: that would be to
//! cancel it and set another.

use mill_io::{EventLoop, TimerId};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use twistor_benches::{Delays, TimerReport, resident};

static FIRED: AtomicUsize = AtomicUsize::new(0);

pub fn measure(event_loop: &Arc<EventLoop>, count: usize) -> TimerReport {
    let mut timers: Vec<Option<TimerId>> = vec![None; count];
    let mut delays = Delays::default();
    let before = resident();

    let start = Instant::now();
    for timer in &mut timers {
        *timer = Some(schedule(event_loop, delays.far()));
    }
    let schedule_elapsed = start.elapsed();
    let scheduled = resident();

    let start = Instant::now();
    for timer in &mut timers {
        event_loop.cancel_timer(timer.take().unwrap());
    }
    let cancel = start.elapsed();
    let cancelled = resident();

    for timer in &mut timers {
        *timer = Some(schedule(event_loop, delays.near()));
    }
    // One more, due after the others, so that none of them need look whether it is the last.
    let stopped = event_loop.clone();
    event_loop.schedule_once(Duration::from_millis(2), move || stopped.stop());
    std::thread::sleep(Delays::NEAR_OVER);
    let start = Instant::now();
    crate::run(event_loop);
    let fire = start.elapsed();
    assert_eq!(FIRED.load(Ordering::Relaxed), count, "a timer was lost");
    TimerReport {
        count,
        schedule: Some(schedule_elapsed),
        reset: None,
        cancel: Some(cancel),
        fire: Some(fire),
        resident: [before, scheduled, cancelled],
    }
}

fn schedule(event_loop: &EventLoop, delay: Duration) -> TimerId {
    event_loop.schedule_once(delay, || {
        FIRED.fetch_add(1, Ordering::Relaxed);
    })
}
