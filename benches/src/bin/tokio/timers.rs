//! Timers that can be pushed back and cancelled: tokio-util's queue of delays.

use futures::StreamExt;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio_util::time::DelayQueue;
use tokio_util::time::delay_queue::Key;
use twistor_benches::{Delays, TimerReport, resident};

pub fn measure(runtime: &Runtime, count: usize) -> TimerReport {
    let mut keys: Vec<Option<Key>> = vec![None; count];
    let mut delays = Delays::default();
    // The queue asks the runtime for the timer that it waits with.
    let _entered = runtime.enter();
    let mut queue = DelayQueue::new();
    let before = resident();

    let start = Instant::now();
    for key in &mut keys {
        *key = Some(queue.insert((), delays.far()));
    }
    let schedule = start.elapsed();
    let scheduled = resident();

    let start = Instant::now();
    for key in keys.iter().flatten() {
        queue.reset_at(key, queue.deadline(key) + Duration::from_secs(60));
    }
    let reset = start.elapsed();

    let start = Instant::now();
    for key in &mut keys {
        queue.remove(&key.take().unwrap());
    }
    let cancel = start.elapsed();
    let cancelled = resident();

    for key in &mut keys {
        *key = Some(queue.insert((), delays.near()));
    }
    std::thread::sleep(Delays::NEAR_OVER);
    let start = Instant::now();
    let fired = runtime.block_on(async {
        let mut fired = 0;
        while queue.next().await.is_some() {
            fired += 1;
        }
        fired
    });
    let fire = start.elapsed();
    assert_eq!(fired, count, "a timer was lost");
    TimerReport {
        count,
        schedule: Some(schedule),
        reset: Some(reset),
        cancel: Some(cancel),
        fire: Some(fire),
        resident: [before, scheduled, cancelled],
    }
}
