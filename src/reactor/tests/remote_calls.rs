//! Calls from other threads, and triggers.

use super::*;
use crate::system_event::{Phase, SystemEvent};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn a_trigger_added_while_its_phase_is_called_waits_for_the_next_run() {
    fn add(reactor: &mut Reactor, phase: Phase, event: SystemEvent, log: Log) {
        reactor.add_system_event_trigger(phase, event, move |reactor| {
            log.push(format!("{phase:?} {event:?}"));
            add(reactor, phase, event, log);
        });
    }
    let mut reactor = Reactor::with_driver(Script::new().driver(), Settings::default());
    let log = Log::default();
    let phases = [Phase::Before, Phase::During, Phase::After];
    for phase in phases {
        add(&mut reactor, phase, SystemEvent::Startup, log.clone());
        add(&mut reactor, phase, SystemEvent::Shutdown, log.clone());
    }
    for deadline in [Duration::ZERO, Duration::from_secs(1)] {
        reactor.stop_gracefully(deadline);
        reactor.run().unwrap();
        log.expect(&[
            "Before Startup",
            "During Startup",
            "After Startup",
            "Before Shutdown",
            "During Shutdown",
            "After Shutdown",
        ]);
    }
}

#[test]
fn connections_are_served_between_the_calls_of_threads_that_call_all_the_time() {
    let mut fixture = Fixture::new(echo);
    let peer = fixture.connect();
    let remote = fixture.reactor.remote();
    let log = Arc::new(AtomicUsize::new(0));
    for _ in 0..5000 {
        let log = Arc::clone(&log);
        remote
            .call_from_thread(move |_| {
                log.fetch_add(1, Ordering::SeqCst);
            })
            .unwrap();
    }
    peer.send("hello");
    fixture.turn();
    assert_eq!(peer.received(), b"hello");
    assert!(log.load(Ordering::SeqCst) < 5000, "not all in one turn");
    assert_eq!(fixture.reactor.next_deadline(), Some(fixture.reactor.now()), "the others follow");
    fixture.settle();
    assert_eq!(log.load(Ordering::SeqCst), 5000);
    assert_eq!(fixture.reactor.next_deadline(), None);
}
