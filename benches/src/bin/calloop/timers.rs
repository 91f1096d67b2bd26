//! Timers as sources of their own, which their dispatchers reach again to push them back.
//!
//! Of a loop with N sources, one more is a search through all N for a place that is free, and a
//! timer that is pushed back or cancelled is searched for among all timers: phases grow with the
//! square of COUNT.

use calloop::timer::{TimeoutAction, Timer};
use calloop::{Dispatcher, EventLoop, LoopHandle, RegistrationToken};
use std::time::{Duration, Instant};
use twistor_benches::{Delays, TimerReport, resident};

/// Number of timers from which a run takes minutes.
pub const TOO_MANY: usize = 50_000;

type Handle = (Dispatcher<'static, Timer, usize>, RegistrationToken);

pub fn measure(count: usize) -> TimerReport {
    let mut event_loop = EventLoop::try_new().unwrap();
    let handle = event_loop.handle();
    let mut timers: Vec<Option<Handle>> = vec![None; count];
    let mut delays = Delays::default();
    let mut fired = 0;
    let before = resident();

    let start = Instant::now();
    for timer in &mut timers {
        *timer = Some(schedule(&handle, delays.far()));
    }
    let schedule_elapsed = start.elapsed();
    let scheduled = resident();

    let start = Instant::now();
    for (timer, token) in timers.iter().flatten() {
        let mut source = timer.as_source_mut();
        let deadline = source.current_deadline().unwrap();
        source.set_deadline(deadline + Duration::from_secs(60));
        drop(source);
        handle.update(token).unwrap();
    }
    let reset = start.elapsed();

    let start = Instant::now();
    for timer in &mut timers {
        let (_, token) = timer.take().unwrap();
        handle.remove(token);
    }
    let cancel = start.elapsed();
    let cancelled = resident();

    for timer in &mut timers {
        *timer = Some(schedule(&handle, delays.near()));
    }
    std::thread::sleep(Delays::NEAR_OVER);
    let start = Instant::now();
    while fired < count {
        event_loop.dispatch(None, &mut fired).unwrap();
    }
    let fire = start.elapsed();
    TimerReport {
        count,
        schedule: Some(schedule_elapsed),
        reset: Some(reset),
        cancel: Some(cancel),
        fire: Some(fire),
        resident: [before, scheduled, cancelled],
    }
}

fn schedule(handle: &LoopHandle<'static, usize>, delay: Duration) -> Handle {
    let timer = Dispatcher::new(Timer::from_duration(delay), |_, (), fired: &mut usize| {
        *fired += 1;
        TimeoutAction::Drop
    });
    let token = handle.register_dispatcher(timer.clone()).unwrap();
    (timer, token)
}
