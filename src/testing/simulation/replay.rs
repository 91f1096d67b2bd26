//! Replay: a run again with other faults, and the fewest with which it still fails.

use super::Simulation;
use crate::testing::fault::FaultPlan;
use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// Runs at most to find out which faults matter.
const ATTEMPTS_MAX: usize = 100;

/// Runs a scenario with a seed, as [`explore`](super::explore) does, but with the faults of `plan`
/// instead of all that the scenario plans or injects itself: to keep a failure as a test.
///
/// The times count from the beginning of the run, as a failing run prints them. All other chance
/// decisions stay the same, since the scenario still draws its own faults; the simulation ignores
/// them.
///
/// ```
/// use std::time::Duration;
/// use twistor::testing::{Fault, Simulation, replay};
///
/// fn scenario(simulation: &Simulation) {
///     let server = simulation.host("server", |_reactor| Ok(()));
///     simulation.inject(Fault::Crash { host: "server".into() });
///     simulation.run_for(Duration::from_secs(2));
///     assert!(server.is_up());
/// }
///
/// let plan = "
///     500ms: crash server
///     1s: restart server
/// ";
/// replay(17, plan, scenario);
/// ```
///
/// # Panics
///
/// If the scenario does, or if `plan` is invalid.
#[track_caller]
pub fn replay(seed: u64, plan: &str, scenario: impl FnOnce(&Simulation)) {
    let plan: FaultPlan = plan.parse().unwrap_or_else(|error| panic!("{error}"));
    scenario(&Simulation::with_faults(seed, &plan));
}

/// Reduces the faults of a failed run to those without which it passes; returns them, and how the
/// run then fails. `None` if it fails without any, or if faults are not the cause.
pub(super) fn fewest_faults(
    seed: u64,
    scenario: &impl Fn(&Simulation),
    mut plan: FaultPlan,
) -> Option<(FaultPlan, String)> {
    let fails = |plan: &FaultPlan| {
        // The end of the simulation belongs to the run.
        let run = || scenario(&Simulation::with_faults(seed, plan));
        let result = without_panic_output(|| catch_unwind(AssertUnwindSafe(run)));
        result.err().map(|payload| message_of(&*payload))
    };
    let mut message = fails(&plan)?;
    // The last first: late faults are the least likely to matter.
    for index in (0..plan.faults().len()).rev().take(ATTEMPTS_MAX) {
        let mut fewer = plan.clone();
        fewer.faults.remove(index);
        if let Some(other) = fails(&fewer) {
            (plan, message) = (fewer, other);
        }
    }
    (!plan.faults().is_empty()).then_some((plan, message))
}

/// Returns the message of a panic.
pub(super) fn message_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or(payload.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a text").to_owned()
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Calls `call` without printing panics of this thread. Those of other threads are printed.
fn without_panic_output<R>(call: impl FnOnce() -> R) -> R {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                print(panic);
            }
        }));
    });
    QUIET.set(true);
    let result = call();
    QUIET.set(false);
    result
}
