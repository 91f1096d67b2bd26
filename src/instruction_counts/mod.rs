//! What the library's own work costs, in instructions.
//!
//! Each entry is a test that `cargo test` leaves out: it does one operation many times, asserts
//! what came of it, and says how often it was counted. `benches/counts/check` runs the entries
//! under callgrind, which counts while [`counted`] runs and not before or after, and takes off what
//! the scripted world did meanwhile.

mod lines;
mod turns;

use crate::driver::scripted::Script;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// How often an entry does its operation, and then is counted. Enough that what happens now and
/// then, such as the growth of a table, is met in its proportion.
const ROUNDS: usize = 100;

/// Before that, so that pools are filled and buffers have their size.
const PRACTICE: usize = 10;

const ALL_ROUNDS: usize = PRACTICE + ROUNDS;

/// What `call` does is counted. A function of its own, which callgrind is told by its name.
#[inline(never)]
fn counted<R>(call: impl FnOnce() -> R) -> R {
    let result = call();
    // Behind the call, lest that becomes a jump out of this function.
    black_box("counted");
    result
}

/// Whether what is done is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counter {
    counts: bool,
}

impl Counter {
    /// Does what the entry is about. All else in a round is preparation and assertions.
    pub(crate) fn count<R>(self, call: impl FnOnce() -> R) -> R {
        if self.counts { counted(call) } else { call() }
    }
}

/// Does `round`, which returns how many operations it counted, again and again, and tells the check
/// how many that were in all.
pub(crate) fn rounds(mut round: impl FnMut(Counter) -> usize) {
    for _ in 0..PRACTICE {
        round(Counter { counts: false });
    }
    let counted: usize = (0..ROUNDS).map(|_| round(Counter { counts: true })).sum();
    println!("counted {counted} operations");
}

/// The earliest time that a clock can tell. Sums of times cost more or less by whether fractions of
/// a second carry; from here on they cost the same in every run.
pub(crate) fn beginning() -> Instant {
    let mut at = Script::new().driver().now();
    let mut step = Duration::from_secs(1 << 62);
    while !step.is_zero() {
        match at.checked_sub(step) {
            Some(earlier) => at = earlier,
            None => step /= 2,
        }
    }
    at
}

/// A world whose clock begins at a whole second, for the same reason.
pub(crate) fn script() -> Script {
    let script = Script::new();
    let fraction = script.driver().now().duration_since(beginning()).subsec_nanos();
    script.advance(Duration::from_secs(1) - Duration::from_nanos(fraction.into()));
    script
}
