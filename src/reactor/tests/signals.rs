//! Signals of the program's own.

use super::*;
use std::io::ErrorKind;

/// A reactor that leaves SIGINT and SIGTERM to the program.
fn deaf() -> Fixture {
    Fixture::with(Settings::default().handle_signals(false), quiet)
}

fn log_entry(log: &Log, entry: &'static str) -> impl FnMut(&mut Reactor) + use<> {
    let log = log.clone();
    move |_| log.push(entry)
}

#[test]
fn closures_for_a_signal_are_called_in_order_before_other_calls_and_a_stop() {
    let mut fixture = Fixture::new(quiet);
    let log = fixture.log.clone();
    for entry in ["first", "second"] {
        fixture.reactor.on_signal("SIGHUP", log_entry(&log, entry)).unwrap();
    }
    fixture.reactor.on_signal("SIGUSR1", log_entry(&log, "other")).unwrap();
    fixture.script.signal("SIGHUP");
    fixture.turn();
    log.expect(&[]);
    // The next turn does not wait for an event.
    assert_eq!(fixture.reactor.next_deadline(), Some(fixture.reactor.now()));
    fixture.reactor.call_later(Duration::ZERO, {
        let mut entry = log_entry(&log, "timer");
        move |reactor| entry(reactor)
    });
    fixture.reactor.stop();
    assert!(fixture.reactor.turn(None).unwrap().is_break());
    log.expect(&["first", "second", "timer", "stopped"]);
    // They stay for the next run.
    fixture.script.signal("SIGHUP");
    fixture.turn();
    fixture.turn();
    log.expect(&["first", "second"]);
    assert_eq!(fixture.reactor.next_deadline(), None);
}

#[test]
fn a_closure_can_be_removed_by_itself_and_by_another() {
    let mut fixture = Fixture::new(quiet);
    let ids = Rc::new(RefCell::new(Vec::new()));
    let (log, all, held) = (fixture.log.clone(), Rc::clone(&ids), Rc::new(()));
    let weak = Rc::downgrade(&held);
    let first = fixture.reactor.on_signal("SIGHUP", move |reactor| {
        log.push("first");
        // Both are gone, and one that is added now waits for the next signal.
        for id in all.borrow_mut().drain(..) {
            assert!(reactor.remove_signal_handler(id));
            assert!(!reactor.remove_signal_handler(id));
        }
        reactor.on_signal("SIGHUP", log_entry(&log, "third")).unwrap();
        assert_eq!(Rc::strong_count(&held), 1);
    });
    let second = fixture.reactor.on_signal("SIGHUP", log_entry(&fixture.log, "second"));
    ids.borrow_mut().extend([first.unwrap(), second.unwrap()]);
    for expected in ["first", "third", "third"] {
        fixture.script.signal("SIGHUP");
        fixture.settle();
        fixture.log.expect(&[expected]);
    }
    assert!(weak.upgrade().is_none(), "the closure is dropped");
}

#[test]
fn a_panic_in_a_closure_is_contained_and_it_is_called_again() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let mut fixture = Fixture::new(quiet);
    let (log, bomb) = (fixture.log.clone(), Bomb);
    let panics = move |_: &mut Reactor| {
        let _ = &bomb;
        log.push("panics");
        panic!("in a signal's call");
    };
    fixture.reactor.on_signal("SIGUSR2", panics).unwrap();
    fixture.reactor.on_signal("SIGUSR2", log_entry(&fixture.log, "calm")).unwrap();
    for _ in 0..2 {
        fixture.script.signal("SIGUSR2");
        fixture.settle();
        fixture.log.expect(&["panics", "calm"]);
    }
    assert_eq!(fixture.reactor.metrics().panics, 2);
    drop(fixture);
}

#[test]
fn signals_that_cannot_be_handled_are_refused_with_the_reason() {
    let mut fixture = Fixture::new(quiet);
    for (name, why) in [
        ("SIGKILL", "no program"),
        ("SIGSEGV", "fault of the program"),
        ("SIGPIPE", "it is ignored"),
        ("SIGINT", "handle_signals(false)"),
        ("SIGTERM", "handle_signals(false)"),
        ("HUP", "not the name"),
        ("", "not the name"),
    ] {
        let error = fixture.reactor.on_signal(name, |_| unreachable!()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name}");
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn a_signal_that_would_stop_the_reactor_can_be_the_program_s() {
    let mut fixture = deaf();
    let id = fixture.reactor.on_signal("SIGTERM", log_entry(&fixture.log, "mine")).unwrap();
    fixture.script.signal("SIGTERM");
    fixture.settle();
    fixture.log.expect(&["mine"]);
    assert!(fixture.reactor.remove_signal_handler(id));
}

#[test]
fn a_signal_without_a_closure_does_nothing() {
    let mut fixture = Fixture::new(quiet);
    let id = fixture.reactor.on_signal("SIGUSR1", log_entry(&fixture.log, "called")).unwrap();
    fixture.script.signal("SIGHUP");
    fixture.settle();
    fixture.script.signal("SIGUSR1");
    fixture.turn();
    // It has arrived, and its closure is gone before it is called.
    assert!(fixture.reactor.remove_signal_handler(id));
    fixture.settle();
    fixture.log.expect(&[]);
    assert!(fixture.reactor.is_running());
}
