//! Single faults: each call fails, in each way, and nothing else does.

use super::*;
use crate::testing::simulation::try_single_faults;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Number of bytes that each client sends: more than one read takes.
const LENGTH: usize = 100_000;

struct Mirror;

impl<F> Protocol<F> for Mirror {
    fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
        // A copied piece and one that is not, sent together.
        cx.transport.write(&data[..1]);
        cx.transport.write_bytes(data[1..].to_vec());
    }
}

/// A client with a reactor, which sends a word and closes when it has come back.
struct Word;

impl<F> Protocol<F> for Word {
    fn connection_made(&mut self, cx: &mut Context<'_, F>) {
        cx.transport.write("word");
        cx.transport.lose_write_connection();
    }
}

/// Connects two clients, and returns the numbers of bytes that came back.
fn echo(simulation: &Simulation) -> [usize; 2] {
    let server = simulation.host("server", |reactor| {
        reactor.listen_tcp(PORT, || Mirror)?;
        Ok(())
    });
    let client = simulation.host("client", |_| Ok(()));
    let word = client.connect(server.address(PORT), || Word);
    let ann = simulation.peer("ann", server.address(PORT));
    ann.send(vec![b'a'; LENGTH]);
    simulation.run_for(s(10));
    ann.close_write();
    simulation.run_for(s(60));
    assert!(word.is_over());
    assert_eq!((server.open(), client.open()), (0, 0));
    let is_done = word.lost_reason().is_some_and(|reason| reason.is_done());
    [ann.received().len(), if is_done { 4 } else { 0 }]
}

fn is_transient(simulation: &Simulation) -> bool {
    simulation.single_fault().is_none_or(|fault| fault.failure.is_transient())
}

#[test]
fn each_call_fails_once_in_each_way() {
    let seen = RefCell::new(BTreeSet::new());
    let kinds = RefCell::new(BTreeSet::new());
    let scenario = |simulation: &Simulation| {
        let answers = echo(simulation);
        let Some(faulted) = simulation.faulted_call() else { return };
        assert_eq!(Some(faulted.fault), simulation.single_fault());
        seen.borrow_mut().insert((faulted.fault.call, faulted.fault.failure));
        kinds.borrow_mut().insert((faulted.call, faulted.fault.failure));
        assert!(answers == [LENGTH, 4] || !is_transient(simulation), "{answers:?}");
        assert!(answers[0] == LENGTH || answers[1] == 4, "both are harmed: {faulted}");
    };
    let report = try_single_faults(1, usize::MAX, scenario);
    assert_eq!(report.runs, report.faults);
    assert_eq!(seen.borrow().len() as u64, report.faults, "the calls in the end count as well");
    for call in [
        SystemCall::Wait,
        SystemCall::Connect,
        SystemCall::Accept,
        SystemCall::Read,
        SystemCall::Write,
        SystemCall::WriteVectored,
        SystemCall::ShutdownWrite,
        SystemCall::IsEstablished,
        SystemCall::Register,
    ] {
        for &failure in call.failures() {
            assert!(kinds.borrow().contains(&(call, failure)), "{call}: {failure}");
        }
    }
    assert_eq!(try_single_faults(1, usize::MAX, scenario).hash, report.hash);
}

#[test]
fn few_runs_have_each_kind_of_failure_before_a_second_of_one() {
    let kinds = RefCell::new(Vec::new());
    let scenario = |simulation: &Simulation| {
        echo(simulation);
        let faulted = simulation.faulted_call();
        kinds.borrow_mut().extend(faulted.map(|it| (it.call, it.fault.failure)));
    };
    try_single_faults(1, 25, scenario);
    let kinds = kinds.into_inner();
    assert_eq!(kinds.len(), 25);
    assert_eq!(kinds.iter().collect::<BTreeSet<_>>().len(), 25, "{kinds:?}");
}

#[test]
fn a_failing_run_says_which_call_failed_and_how_to_run_it_again() {
    let strict = |simulation: &Simulation| assert_eq!(echo(simulation), [LENGTH, 4]);
    let result = catch_unwind(AssertUnwindSafe(|| try_single_faults(1, usize::MAX, strict)));
    let message = *result.unwrap_err().downcast::<String>().unwrap();
    let (_, rest) = message.split_once("replay_single_fault(1, \"").expect("it can be replayed");
    let (fault, _) = rest.split_once('"').unwrap();
    let failure = fault.split(' ').next_back().unwrap();
    assert!(message.contains(&format!(" fails with {failure}: ")), "{message}");
    assert!(message.contains(&format!("TWISTOR_SINGLE_FAULT=\"{fault}\"")), "{message}");
    let again = catch_unwind(AssertUnwindSafe(|| replay_single_fault(1, fault, strict)));
    assert!(again.is_err(), "{fault}");
}

#[test]
fn a_fault_that_no_call_has_fails_its_replay() {
    let replayed = |fault: &str| {
        let run = || {
            replay_single_fault(1, fault, |simulation| {
                echo(simulation);
            })
        };
        let payload = catch_unwind(AssertUnwindSafe(run)).err()?;
        Some(*payload.downcast::<String>().unwrap())
    };
    let message = replayed("1000000: EINTR").unwrap();
    assert!(message.contains("the scenario makes no call 1000000 now, but "), "{message}");
    // The first call is none that could be cut short.
    let message = replayed("1: short").unwrap();
    let expected = "call 1 is \"listen\" now, which cannot fail with short: find the fault again";
    assert!(message.starts_with(expected), "{message}");
}

#[test]
fn a_scenario_that_depends_on_something_else_is_found() {
    let runs = Cell::new(0);
    let fickle = |simulation: &Simulation| {
        runs.set(runs.get() + 1);
        let opens = runs.get() > 1;
        simulation.host("server", move |reactor| {
            if opens {
                reactor.listen_tcp(PORT, || Mirror)?;
            }
            Ok(())
        });
    };
    let result = catch_unwind(AssertUnwindSafe(|| try_single_faults(1, 100, fickle)));
    let message = *result.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("depends on something that is not simulated"), "{message}");
}

#[test]
fn a_reset_breaks_the_connection_at_both_ends() {
    let failures = [CallFailure::ConnectionReset, CallFailure::BrokenPipe];
    let seen = Cell::new(0);
    let scenario = |simulation: &Simulation| {
        let server = simulation.host("server", |reactor| {
            reactor.listen_tcp(PORT, || Mirror)?;
            Ok(())
        });
        let peer = simulation.peer("ann", server.address(PORT));
        peer.send("hello");
        simulation.run_for(s(1));
        let fault = simulation.faulted_call().map(|it| it.fault.failure);
        if fault.is_some_and(|failure| failures.contains(&failure)) {
            seen.set(seen.get() + 1);
            assert_eq!(peer.close_kind(), Some(End::Reset));
            assert!(matches!(peer.lost_reason(), Some(Reason::Lost(_))));
        }
    };
    try_single_faults(1, usize::MAX, scenario);
    assert!(seen.get() > 1);
}

#[test]
fn single_faults_can_be_formatted_and_parsed() {
    for &failure in CallFailure::ALL {
        let fault = SingleFault { call: 12, failure };
        assert_eq!(fault.to_string().parse(), Ok(fault));
    }
    let error = |text: &str| text.parse::<SingleFault>().unwrap_err().to_string();
    assert!(error("EINTR").contains("expected the number of a call and its failure"));
    assert!(error("first: EINTR").contains("\"first: EINTR\" is not a single fault"));
    assert!(error("1: EPERM").contains("\"EPERM\" is not a failure of a call: expected one of"));
    let used = |it: &CallFailure| SystemCall::ALL.iter().any(|call| call.failures().contains(it));
    assert!(CallFailure::ALL.iter().all(used), "each failure is one of some call");
}
