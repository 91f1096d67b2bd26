//! Exploration: many runs of one scenario, each from another seed.

use super::Simulation;
use super::replay::{fewest_faults, message_of};
use crate::testing::fault::FaultPlan;
use std::env;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Environment variable: the only seed to run.
const SEED: &str = "TWISTOR_SEED";

/// Environment variable: the number of seeds to run.
const RUNS: &str = "TWISTOR_RUNS";

/// Summary of the runs of [`explore`].
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// Number of runs.
    pub runs: u64,
    /// Virtual time that the runs took together.
    pub simulated: Duration,
    /// Number of simulated events of all runs.
    pub events: u64,
    /// Hash of everything that happened in all runs: it shows whether two explorations did the
    /// same.
    pub hash: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, simulated, events, hash } = self;
        let hours = simulated.as_secs_f64() / 3600.0;
        write!(f, "{runs} runs, {hours:.1} simulated hours, {events} events, trace {hash:016x}")
    }
}

/// Runs a scenario with the seeds from 1 to `runs`, each in a simulation of its own.
///
/// The environment takes precedence: with `TWISTOR_RUNS=100000` it runs that number of seeds, with
/// `TWISTOR_SEED=17` only that seed. Both may be hexadecimal, as in `0x11`.
///
/// # Panics
///
/// If a run does: with its message, the seed, the planned faults, those of them that are enough to
/// make it fail (in the form of a [`replay`](super::replay)), and the last events of the network.
/// If one of these variables is not a number.
#[track_caller]
pub fn explore(runs: u64, scenario: impl Fn(&Simulation)) -> Report {
    let seeds = match (number(SEED), number(RUNS)) {
        (Some(seed), _) => seed..=seed,
        (None, runs_wished) => 1..=runs_wished.unwrap_or(runs),
    };
    explore_seeds(seeds, scenario)
}

/// Runs a scenario with these seeds, whatever the environment says.
#[track_caller]
pub(in crate::testing) fn explore_seeds(
    seeds: impl Iterator<Item = u64>,
    scenario: impl Fn(&Simulation),
) -> Report {
    let mut report = Report::default();
    for seed in seeds {
        let simulation = Simulation::new(seed);
        let result = catch_unwind(AssertUnwindSafe(|| {
            scenario(&simulation);
            report.runs += 1;
            report.simulated += simulation.now();
            report.events += simulation.events();
            report.hash = report.hash.rotate_left(1) ^ simulation.trace_hash();
            // What the end of the simulation calls belongs to the run as well.
            simulation.finish();
        }));
        if let Err(payload) = result {
            let message = message_of(&*payload);
            let (failure_report, now) =
                (simulation.failure_report(), simulation.now().as_secs_f64());
            let fewest = fewest(seed, &scenario, simulation.faults());
            panic!(
                "{message}\n\nwith the seed {seed}, after {now} simulated seconds; \
                 {SEED}={seed} runs it again\n{fewest}{failure_report}"
            );
        }
    }
    report
}

/// Describes a small plan of faults with which the run still fails.
fn fewest(seed: u64, scenario: &impl Fn(&Simulation), plan: FaultPlan) -> String {
    let Some((fewest_faults, message)) = fewest_faults(seed, scenario, plan) else {
        return String::new();
    };
    let first = message.lines().next().unwrap_or_default();
    format!(
        "these faults are enough to make it fail ({first}):\n\n\
         replay({seed}, \"\n{fewest_faults}\", scenario);\n\n"
    )
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    Some(number.unwrap_or_else(|| panic!("{variable}={text:?} is not a number")))
}
