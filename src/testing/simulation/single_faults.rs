//! Single faults: many runs of one scenario, in each of which another call on the system fails.

use super::Simulation;
use super::replay::message_of;
use crate::testing::random::Random;
use crate::testing::single_fault::{SingleFault, SystemCall};
use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Environment variable: `all`, or the number of runs.
const RUNS: &str = "TWISTOR_SINGLE_FAULTS";

/// Environment variable: the only fault to run with.
const FAULT: &str = "TWISTOR_SINGLE_FAULT";

/// Summary of the runs of [`single_faults`].
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SingleFaultReport {
    /// Number of calls on the system in a run without a fault.
    pub calls: u64,
    /// Number of different faults: each call, failing in each way in which it can.
    pub faults: u64,
    /// Number of runs with a fault.
    pub runs: u64,
    /// Virtual time that the runs took together.
    pub simulated: Duration,
    /// Hash of everything that happened in all runs.
    pub hash: u64,
}

impl fmt::Display for SingleFaultReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { calls, faults, runs, simulated, hash } = self;
        let hours = simulated.as_secs_f64() / 3600.0;
        write!(
            f,
            "{calls} calls, {runs} of {faults} faults, {hours:.1} simulated hours, \
             trace {hash:016x}"
        )
    }
}

/// Runs a scenario once for each call of its reactors on the system, and lets that call fail in
/// each way in which it can: `EINTR`, `EAGAIN` although it could be carried out, a short count,
/// `ECONNRESET`, `EMFILE`, events that are late, reordered or spurious, and others
/// ([`SystemCall::failures`]). All else is the same in all runs.
///
/// `runs` is the number of faults to try, since there may be many: they are drawn from all of
/// them, so that every kind of call fails in every way before one does so twice. The environment
/// takes precedence: with `TWISTOR_SINGLE_FAULTS=all` it tries all of them, with
/// `TWISTOR_SINGLE_FAULTS=500` that number, and with `TWISTOR_SINGLE_FAULT="17: EINTR"` only that
/// fault.
///
/// What a [transient](crate::testing::CallFailure::is_transient) failure does must not be noticed,
/// so the scenario can demand everything of such a run. Other failures end a connection, or keep a
/// client out; [`Simulation::single_fault`] tells the scenario which it is, and
/// [`Simulation::faulted_call`] whom it has hit.
///
/// ```
/// use std::time::Duration;
/// use twistor::testing::{Simulation, single_faults};
/// use twistor::{Context, Protocol};
///
/// struct Echo;
///
/// impl<F> Protocol<F> for Echo {
///     fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
///         cx.transport.write(data);
///     }
/// }
///
/// fn a_fault_harms_one_client_at_most(simulation: &Simulation) {
///     let server = simulation.host("server", |reactor| {
///         reactor.listen_tcp(8007, || Echo)?;
///         Ok(())
///     });
///     let mut served = 0;
///     for name in ["ann", "bob", "cleo"] {
///         let client = simulation.peer(name, server.address(8007));
///         client.send("hello");
///         simulation.run_for(Duration::from_secs(1));
///         served += usize::from(client.received() == b"hello");
///     }
///     let harms = simulation.single_fault().is_some_and(|fault| !fault.failure.is_transient());
///     assert!(served == 3 || harms && served == 2);
/// }
///
/// println!("{}", single_faults(1, 100, a_fault_harms_one_client_at_most));
/// ```
///
/// # Panics
///
/// If a run does: with its message, the call and how it failed, how to run it again, and the last
/// events of the network. If the scenario makes other calls in the same situation, and so depends
/// on something that is not simulated. If one of these variables is invalid, or the one fault of
/// `TWISTOR_SINGLE_FAULT` hits no call.
#[track_caller]
pub fn single_faults(seed: u64, runs: usize, scenario: impl Fn(&Simulation)) -> SingleFaultReport {
    if let Ok(text) = env::var(FAULT) {
        let fault = text.parse().unwrap_or_else(|error| panic!("{FAULT}: {error}"));
        let mut report = SingleFaultReport::default();
        expect_suited(fault, &report.run(seed, Some(fault), &scenario));
        return report;
    }
    try_single_faults(seed, runs_wished(runs), scenario)
}

/// Runs a scenario with this number of faults, whatever the environment says.
#[track_caller]
pub(in crate::testing) fn try_single_faults(
    seed: u64,
    runs: usize,
    scenario: impl Fn(&Simulation),
) -> SingleFaultReport {
    let mut report = SingleFaultReport::default();
    let calls = report.run(seed, None, &scenario);
    let faults = faults(&calls);
    report.calls = calls.len() as u64;
    report.faults = faults.values().flatten().count() as u64;
    // Scenarios that make other calls draw other faults, and so try more of them together.
    let mut random = Random::new(seed ^ report.calls);
    for fault in draw(faults, runs, &mut random) {
        let again = report.run(seed, Some(fault), &scenario);
        let before = ..fault.call as usize;
        assert!(
            calls.get(before) == again.get(before),
            "the scenario makes other calls before the fault {fault} than without it: it depends \
             on something that is not simulated"
        );
    }
    report
}

/// Runs a scenario with a single fault, as [`single_faults`] does: to keep a failure as a test.
///
/// # Panics
///
/// If the scenario does, if `fault` is invalid, or if it hits no call: since the test was written
/// the scenario has come to make other calls, and the one of that number does not exist or cannot
/// fail so.
#[track_caller]
pub fn replay_single_fault(seed: u64, fault: &str, scenario: impl FnOnce(&Simulation)) {
    let fault = fault.parse().unwrap_or_else(|error| panic!("{error}"));
    let simulation = Simulation::with_single_fault(seed, Some(fault));
    scenario(&simulation);
    // What the end of the simulation calls belongs to the run as well.
    simulation.finish();
    expect_suited(fault, &simulation.system_calls());
}

/// Panics if none of the calls of a run could fail as the fault says: the run has tested nothing.
#[track_caller]
fn expect_suited(SingleFault { call: number, failure }: SingleFault, calls: &[SystemCall]) {
    match (1..).zip(calls).find(|(counted, _)| *counted == number) {
        None => panic!(
            "the scenario makes no call {number} now, but {} in all: find the fault again with \
             single_faults",
            calls.len()
        ),
        Some((_, call)) => assert!(
            call.failures().contains(&failure),
            "call {number} is \"{call}\" now, which cannot fail with {failure}: find the fault \
             again with single_faults"
        ),
    }
}

impl SingleFaultReport {
    /// Runs the scenario once, and returns the calls of the run.
    #[track_caller]
    fn run(
        &mut self,
        seed: u64,
        fault: Option<SingleFault>,
        scenario: &impl Fn(&Simulation),
    ) -> Vec<SystemCall> {
        let simulation = Simulation::with_single_fault(seed, fault);
        let result = catch_unwind(AssertUnwindSafe(|| {
            scenario(&simulation);
            // What the end of the simulation calls belongs to the run as well.
            simulation.finish();
        }));
        if let Err(payload) = result {
            let (message, now) = (message_of(&*payload), simulation.now().as_secs_f64());
            let what = match (simulation.faulted_call(), fault) {
                (Some(call), _) => format!(
                    "{call}; {FAULT}=\"{0}\" runs it again, and this keeps it as a test:\n\n\
                     replay_single_fault({seed}, \"{0}\", scenario);",
                    call.fault
                ),
                (None, Some(fault)) => format!("before the fault {fault}"),
                (None, None) => "without a fault".to_owned(),
            };
            panic!(
                "{message}\n\n{what}\n\nafter {now} simulated seconds\n{}",
                simulation.failure_report()
            );
        }
        self.runs += u64::from(fault.is_some());
        self.simulated += simulation.now();
        self.hash = self.hash.rotate_left(1) ^ simulation.trace_hash();
        simulation.system_calls()
    }
}

impl Simulation {
    /// Returns the kinds of all calls on the system so far, if they are counted.
    fn system_calls(&self) -> Vec<SystemCall> {
        self.0.injector.as_ref().map_or(Vec::new(), |injector| injector.calls())
    }
}

/// Returns all faults of a run with these calls, by the kind of call and failure.
fn faults(calls: &[SystemCall]) -> BTreeMap<(SystemCall, usize), Vec<SingleFault>> {
    let mut faults = BTreeMap::<_, Vec<SingleFault>>::new();
    for (number, &call) in (1..).zip(calls) {
        for (way, &failure) in call.failures().iter().enumerate() {
            faults.entry((call, way)).or_default().push(SingleFault { call: number, failure });
        }
    }
    faults
}

/// Draws `count` faults: one of each kind, then another of each, and so on. They are in the order
/// of their calls.
fn draw(
    faults: BTreeMap<(SystemCall, usize), Vec<SingleFault>>,
    count: usize,
    random: &mut Random,
) -> Vec<SingleFault> {
    let mut kinds: Vec<Vec<SingleFault>> = faults.into_values().collect();
    kinds.iter_mut().for_each(|kind| random.shuffle(kind));
    random.shuffle(&mut kinds);
    let mut drawn = Vec::new();
    while drawn.len() < count && !kinds.is_empty() {
        let left = count - drawn.len();
        drawn.extend(kinds.iter_mut().filter_map(Vec::pop).take(left));
        kinds.retain(|kind| !kind.is_empty());
    }
    drawn.sort_by_key(|fault| (fault.call, fault.failure));
    drawn
}

fn runs_wished(runs: usize) -> usize {
    match env::var(RUNS) {
        Err(_) => runs,
        Ok(text) if text == "all" => usize::MAX,
        Ok(text) => {
            text.parse().unwrap_or_else(|_| panic!("{RUNS}={text:?} is neither a number nor all"))
        }
    }
}
