//! Cost of the library's own work, in instructions.
//!
//! Each entry is a test that `cargo test` leaves out: it repeats one operation, asserts the
//! results, and prints how many operations were counted. `benches/counts/check` runs the entries
//! under callgrind, which counts only while [`counted`] runs, and subtracts the instructions of the
//! scripted driver.

mod lines;
mod requests;
mod turns;

use crate::driver::scripted::Script;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Counted rounds of an entry. Enough for occasional costs, such as the growth of a table, to
/// appear in proportion.
const ROUNDS: usize = 100;

/// Rounds before that, so that pools are filled and buffers have their size.
const PRACTICE: usize = 10;

const ALL_ROUNDS: usize = PRACTICE + ROUNDS;

/// Calls `call`, and callgrind counts its instructions. A function of its own, since callgrind
/// finds it by its name.
#[inline(never)]
fn counted<R>(call: impl FnOnce() -> R) -> R {
    let result = call();
    // After the call, so that it does not become a jump out of this function.
    black_box("counted");
    result
}

/// Counts the operation of a round, or only executes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counter {
    counts: bool,
}

impl Counter {
    /// Executes the operation of the entry. Everything else in a round is preparation and
    /// assertions.
    pub(crate) fn count<R>(self, call: impl FnOnce() -> R) -> R {
        if self.counts { counted(call) } else { call() }
    }
}

/// Repeats `round`, which returns the number of operations that it counted, and reports their sum
/// to the check.
pub(crate) fn rounds(mut round: impl FnMut(Counter) -> usize) {
    for _ in 0..PRACTICE {
        round(Counter { counts: false });
    }
    let counted: usize = (0..ROUNDS).map(|_| round(Counter { counts: true })).sum();
    println!("counted {counted} operations");
}

/// The earliest time that a clock can represent. Adding times costs more when fractions of a second
/// carry; from this time on they cost the same in every run.
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

/// A scripted driver whose clock begins at a whole second, for the same reason.
pub(crate) fn script() -> Script {
    let script = Script::new();
    let fraction = script.driver().now().duration_since(beginning()).subsec_nanos();
    script.advance(Duration::from_secs(1) - Duration::from_nanos(fraction.into()));
    script
}
