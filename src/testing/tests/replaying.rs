//! Determinism: a seed always gives the same run.

use super::*;
use std::panic::catch_unwind;

/// A scenario: three clients of an echo, whose server crashes and comes back.
fn eventful(simulation: &Simulation) {
    simulation.set_conditions(Conditions::rough());
    let host = simulation.host("server", |reactor| {
        reactor.listen_tcp(PORT, Echo::default)?;
        Ok(())
    });
    let plan = "20ms: stall server 30ms\n300ms: crash server\n400ms: restart server\n";
    simulation.follow(&plan.parse().unwrap());
    let mut random = simulation.random();
    for _ in 0..3 {
        let peer = simulation.peer("crowd", host.address(PORT));
        peer.send(vec![7; random.below(100_000)]);
        simulation.run_for(random.up_to(ms(200)));
        peer.close_write();
    }
    simulation.run_for(s(60));
}

#[test]
fn a_seed_replays_and_another_is_another_run() {
    let run = |seed| {
        let simulation = Simulation::new(seed);
        eventful(&simulation);
        (simulation.trace_hash(), simulation.events(), simulation.now())
    };
    let runs: Vec<_> = (1..20).map(run).collect();
    assert_eq!((1..20).map(run).collect::<Vec<_>>(), runs);
    let different: std::collections::BTreeSet<u64> = runs.iter().map(|run| run.0).collect();
    assert_eq!(different.len(), runs.len());
}

/// The number is the same on every machine. A change of the model, of the turn or of the order in
/// which they draw random numbers changes it; then enter the new one.
#[test]
fn a_run_is_the_same_everywhere() {
    let simulation = Simulation::new(4242);
    eventful(&simulation);
    assert_eq!(format!("{:016x}", simulation.trace_hash()), "e836ea175b48c93d");
}

#[test]
fn one_byte_makes_another_run() {
    let run = |byte: u8| {
        let simulation = Simulation::new(1);
        let host = simulation.host("server", |reactor| {
            reactor.listen_tcp(PORT, Echo::default)?;
            Ok(())
        });
        simulation.peer("ann", host.address(PORT)).send([byte]);
        (simulation.events(), simulation.trace_hash())
    };
    assert_eq!(run(b'a'), run(b'a'));
    assert_eq!(run(b'a').0, run(b'b').0);
    assert_ne!(run(b'a').1, run(b'b').1);
}

#[test]
fn a_failing_run_says_how_to_run_it_again() {
    let failed = catch_unwind(|| {
        simulation::explore_seeds(1..=10, |simulation| {
            eventful(simulation);
            assert_ne!(simulation.seed(), 3, "no luck");
        })
    });
    let message = *failed.unwrap_err().downcast::<String>().unwrap();
    for part in [
        "no luck",
        "with the seed 3, after 60.",
        "TWISTOR_SEED=3 runs it again",
        "300ms: crash server\n400ms: restart server\n",
        "the last events:\n",
    ] {
        assert!(message.contains(part), "{part:?} is missing in {message}");
    }
}

#[test]
fn a_rough_network_delivers_everything() {
    let report = simulation::explore_seeds(1..=20, |simulation| {
        simulation.set_conditions(Conditions::rough());
        let host = simulation.host("server", |reactor| {
            reactor.listen_tcp(PORT, Echo::default)?;
            Ok(())
        });
        let ann = simulation.peer("ann", host.address(PORT));
        let data: Vec<u8> = (0..100_000_u32).map(|at| (at * 7 + at / 256) as u8).collect();
        ann.send(&data);
        let all = || ann.received().len() == data.len();
        assert!(simulation.run_until(s(600), all));
        assert!(ann.take_received() == data);
        ann.close_write();
        assert!(simulation.run_until(s(10), || ann.close_kind() == Some(End::Closed)));
        drop(ann);
        simulation.run_for(s(60));
        assert_eq!(simulation.connections(), 0);
    });
    assert_eq!(report.runs, 20);
}

/// Panics if the server is down at any time, so that the report shows which faults there were.
fn always_up(simulation: &Simulation) {
    let host = simulation.host("server", |reactor| {
        reactor.listen_tcp(PORT, Echo::default)?;
        Ok(())
    });
    let mut random = simulation.random();
    let _ann = simulation.peer("ann", host.address(PORT));
    simulation.follow(&FaultPlan::random(&mut random, &["ann", "server"], s(5), 10));
    let crash = "100ms: stall server 1ms\n200ms: crash server\n300ms: restart server\n";
    simulation.follow(&crash.parse().unwrap());
    for _ in 0..100 {
        simulation.run_for(ms(random.below(100) as u64));
        assert!(host.is_up(), "down after {:?}", simulation.now());
    }
}

#[test]
fn a_failing_run_says_which_faults_are_enough() {
    let failed = catch_unwind(|| simulation::explore_seeds(7..=7, always_up));
    let message = *failed.unwrap_err().downcast::<String>().unwrap();
    let (_, enough) = message.split_once("these faults are enough to make it fail (down").unwrap();
    let (_, enough) = enough.split_once("replay(7, \"\n").unwrap();
    let (enough, _) = enough.split_once("\", scenario);").unwrap();
    // The order of trying keeps the first crash, and removes everything else.
    assert_eq!(enough.lines().count(), 1, "{enough}");
    assert!(enough.contains(": crash server"), "{enough}");
    assert!(message.contains("stall server 1ms"), "all are still shown: {message}");

    let replayed = catch_unwind(|| replay(7, enough, always_up));
    let message = *replayed.unwrap_err().downcast::<String>().unwrap();
    assert!(message.starts_with("down after"), "{message}");
    replay(7, "", always_up);
}

#[test]
fn a_run_that_fails_without_faults_blames_none() {
    let failed = catch_unwind(|| {
        simulation::explore_seeds(1..=1, |simulation| {
            eventful(simulation);
            panic!("in any case");
        })
    });
    let message = *failed.unwrap_err().downcast::<String>().unwrap();
    assert!(!message.contains("are enough"), "{message}");
}

#[test]
fn the_same_faults_replay_the_same_run() {
    let simulation = Simulation::new(5);
    eventful(&simulation);
    let plan = "20ms: stall server 30ms\n300ms: crash server\n400ms: restart server\n";
    replay(5, plan, |replayed| {
        eventful(replayed);
        assert_eq!(replayed.trace_hash(), simulation.trace_hash());
    });
    replay(5, "", |replayed| {
        eventful(replayed);
        assert_ne!(replayed.trace_hash(), simulation.trace_hash());
    });
}

#[test]
fn an_invalid_plan_is_refused() {
    for (plan, part) in [("1s crash", "does not begin with a time"), ("0s: crash bob", "no host")] {
        let refused = catch_unwind(|| replay(1, plan, eventful));
        let message = *refused.unwrap_err().downcast::<String>().unwrap();
        assert!(message.contains(part), "{message}");
    }
}

/// Returns what three reactors draw, one of them restarted, and the trace of the run.
fn drawn(seed: u64) -> (Vec<u64>, u64) {
    let simulation = Simulation::new(seed);
    let numbers = Rc::new(RefCell::new(Vec::new()));
    for name in ["a", "b"] {
        let numbers = Rc::clone(&numbers);
        simulation.host(name, move |reactor| {
            numbers.borrow_mut().push(reactor.random());
            assert!(reactor.random_duration(ms(5)) <= ms(5));
            Ok(())
        });
    }
    simulation.inject("crash a".parse().unwrap());
    simulation.inject("restart a".parse().unwrap());
    (numbers.take(), simulation.trace_hash())
}

#[test]
fn a_reactor_s_random_numbers_follow_from_the_seed() {
    let (numbers, trace) = drawn(7);
    assert_eq!((numbers.clone(), trace), drawn(7));
    let mut all = [numbers, drawn(8).0].concat();
    assert_eq!(all.len(), 6);
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 6, "each reactor, also a restarted one, has numbers of its own");
}

#[test]
fn drawing_random_numbers_does_not_change_what_the_network_does() {
    let run = |draws: usize| {
        let (simulation, host, address) = serve(Conditions::rough(), Echo::default());
        let peer = simulation.peer("ann", address);
        for _ in 0..10 {
            host.reactor(|reactor| (0..draws).map(|_| reactor.random()).max());
            peer.send("hello");
            simulation.run_for(ms(50));
        }
        simulation.trace_hash()
    };
    assert_eq!(run(0), run(3));
}
