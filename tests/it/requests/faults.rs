//! Requests under random faults, of the network and of the server: each has one outcome, and none
//! is carried out twice.

use super::client::{self, Asker, DEPTH, Outcome, Outcomes, TIMEOUT};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;
use twistor::testing::{Conditions, Fault, FaultPlan, Simulation, explore};
use twistor::{LineContext, LineReceiver, Lines};

const PORT: u16 = 7000;

/// Number of seeds that run by default.
const RUNS: u64 = 60;

const REQUESTS: u32 = 200;

/// Requests are made, and faults begin and end, within this time.
const BUSY: Duration = Duration::from_secs(120);

/// Requests that wait at most.
const WAITING_MAX: usize = 10;

/// Numbers in the order in which servers have carried them out.
type Done = Rc<RefCell<Vec<u32>>>;

/// Answers each number with itself; sometimes late, sometimes never, and sometimes it hangs up.
struct Serving(Done);

impl<F: 'static> LineReceiver<F> for Serving {
    fn line_received(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]) {
        let number = std::str::from_utf8(line).ok().and_then(|line| line.parse().ok());
        self.0.borrow_mut().push(number.expect("a number"));
        match cx.reactor.random() % 30 {
            0 => cx.transport.abort_connection(),
            1 => cx.transport.lose_connection(),
            // Before or behind the reply, later ones wait.
            kind @ 2..=4 => {
                let late = cx.reactor.random_duration(2 * TIMEOUT);
                let line = line.to_vec();
                cx.pause_reading();
                cx.call_later(late, move |_: &mut Self, cx| {
                    if kind > 2 {
                        cx.send_line(line);
                    }
                    cx.resume_reading();
                    if kind == 2 {
                        cx.transport.lose_connection();
                    }
                });
            }
            _ => cx.send_line(line),
        }
    }
}

/// Returns faults of all kinds, but that the client's program lives on, and so what it knows.
fn plan(simulation: &Simulation) -> FaultPlan {
    let mut random = simulation.random();
    let count = random.below(12);
    let all = FaultPlan::random(&mut random, &["server", "client"], BUSY, count);
    let is_kept = |fault: &Fault| match fault {
        Fault::Crash { host }
        | Fault::Restart { host }
        | Fault::ProcessOutage { host, .. }
        | Fault::MachineOutage { host, .. } => host != "client",
        _ => true,
    };
    let kept = all.faults().iter().filter(|(_, fault)| is_kept(fault));
    kept.fold(FaultPlan::new(), |plan, (at, fault)| plan.at(*at, fault.clone()))
}

/// Runs the scenario, and returns what became of the requests.
fn run(simulation: &Simulation) -> BTreeMap<u32, Outcome> {
    let (done, outcomes) = (Done::default(), Outcomes::default());
    if simulation.random().happens(500) {
        simulation.set_conditions(Conditions::rough());
    }
    let serving = Done::clone(&done);
    let server = simulation.host("server", move |reactor| {
        let done = Done::clone(&serving);
        reactor.listen_tcp(PORT, move || Lines::new(Serving(Done::clone(&done))))?;
        Ok(())
    });
    let (address, asked) = (server.address(PORT), Outcomes::clone(&outcomes));
    let client = simulation.host("client", move |reactor| {
        let mut asker = Asker::new(DEPTH, WAITING_MAX, Outcomes::clone(&asked));
        asker.server = Some(address);
        let key = reactor.add_factory(asker)?;
        client::connect(reactor, address, key);
        for number in 0..REQUESTS {
            let at = reactor.random_duration(BUSY);
            reactor.call_later(at, move |reactor| {
                reactor.with_factory(key, |asker, reactor| asker.ask(number, reactor)).unwrap();
            });
        }
        Ok(())
    });
    simulation.follow(&plan(simulation));
    simulation.run_for(BUSY + TIMEOUT);
    drop(client);
    let mut found = BTreeMap::new();
    for (number, outcome) in outcomes.take() {
        let first = found.insert(number, outcome.clone());
        assert_eq!(first, None, "{number} has another outcome, {outcome:?}");
    }
    assert_eq!(found.len(), REQUESTS as usize, "each has an outcome: {found:?}");
    let done = done.take();
    let once: BTreeSet<u32> = done.iter().copied().collect();
    assert_eq!(once.len(), done.len(), "one was carried out twice: {done:?}");
    for (number, outcome) in &found {
        match outcome {
            Outcome::Answered(answer) => {
                assert_eq!(*answer, number.to_string());
                assert!(once.contains(number));
            }
            Outcome::Unsent | Outcome::Rejected => assert!(!once.contains(number), "{number}"),
            Outcome::Lost | Outcome::Overdue => {}
        }
    }
    found
}

#[test]
fn each_request_has_one_outcome_and_is_carried_out_once_at_most() {
    let totals = RefCell::new(BTreeMap::new());
    explore(RUNS, |simulation| {
        for outcome in run(simulation).into_values() {
            let kind = match outcome {
                Outcome::Answered(_) => "answered",
                Outcome::Overdue => "overdue",
                Outcome::Unsent => "unsent",
                Outcome::Lost => "lost",
                Outcome::Rejected => "rejected",
            };
            *totals.borrow_mut().entry(kind).or_insert(0) += 1;
        }
    });
    // Each kind of outcome came up.
    let totals = totals.take();
    assert!(totals.len() == 5 || std::env::var("TWISTOR_SEED").is_ok(), "{totals:?}");
    println!("{totals:?}");
}
