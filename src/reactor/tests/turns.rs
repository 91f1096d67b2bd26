//! The order of a turn, and when it sleeps.

use super::*;

use crate::error::CallError;
use crate::system_event::{Phase, SystemEvent};
use std::time::Instant;

#[test]
fn calls_come_before_timers_and_timers_before_sockets() {
    let mut fixture = Fixture::new(echo);
    let peer = fixture.connect();
    let log = fixture.log.clone();
    let (timer_log, remote) = (log.clone(), fixture.reactor.remote());
    fixture.reactor.call_later(Duration::ZERO, move |_| timer_log.push("timer"));
    peer.send("x");
    // A call is Send and so cannot hold the log; it sets a timer, which waits for the next turn.
    remote.call_from_thread(|reactor| reactor.stop()).unwrap();
    assert!(fixture.reactor.turn(Some(Duration::ZERO)).unwrap().is_break());
    // The call was first: the timer still fired, and the socket came too late.
    log.expect(&["0 made", "timer", "0 lost: reactor stopped", "stopped"]);
}

#[test]
fn a_call_reaches_a_timer_that_is_due_in_the_same_turn() {
    let mut fixture = Fixture::new(quiet);
    let log = fixture.log.clone();
    let timer = fixture.reactor.call_later(Duration::ZERO, move |_| log.push("timer"));
    let cancel = move |reactor: &mut Reactor| assert!(reactor.cancel(timer));
    fixture.reactor.remote().call_from_thread(cancel).unwrap();
    fixture.turn();
    fixture.log.expect(&[]);
    assert_eq!(fixture.reactor.timers.len(), 0);
}

#[test]
fn clients_are_accepted_before_others_are_served() {
    let mut fixture = Fixture::new(quiet);
    let first = fixture.connect();
    first.send("x");
    fixture.connect();
    fixture.log.expect(&["0 made", "1 made", "0 data x"]);
}

#[test]
fn work_added_in_a_phase_waits_for_the_next_turn() {
    let mut fixture = Fixture::new(quiet);
    let log = fixture.log.clone();
    fn again(reactor: &mut Reactor, log: Log, count: u32) {
        log.push(format!("timer {count}"));
        if count < 3 {
            reactor.call_later(Duration::ZERO, move |reactor| again(reactor, log, count + 1));
        }
    }
    let first = log.clone();
    fixture.reactor.call_later(Duration::ZERO, move |reactor| again(reactor, first, 1));
    for count in 1..=3 {
        fixture.turn();
        log.expect(&[&format!("timer {count}")]);
    }
    fixture.turn();
    log.expect(&[]);
}

#[test]
fn timers_fire_in_the_order_of_their_deadlines() {
    let mut fixture = Fixture::new(quiet);
    let log = fixture.log.clone();
    let mut set = |after: u64, name: &'static str| {
        let log = log.clone();
        fixture.reactor.call_later(Duration::from_millis(after), move |_| log.push(name))
    };
    set(20, "c");
    let cancelled = set(10, "never");
    set(10, "a");
    let postponed = set(5, "d");
    set(10, "b");
    assert!(fixture.reactor.cancel(cancelled));
    assert!(!fixture.reactor.cancel(cancelled));
    assert!(fixture.reactor.reset(postponed, Duration::from_millis(30)));
    assert_eq!(fixture.reactor.remaining(postponed), Some(Duration::from_millis(30)));
    fixture.script.advance(Duration::from_millis(9));
    fixture.turn();
    fixture.log.expect(&[]);
    fixture.script.advance(Duration::from_millis(40));
    fixture.turn();
    fixture.log.expect(&["a", "b", "c", "d"]);
    assert_eq!(fixture.reactor.remaining(postponed), None);
    assert!(!fixture.reactor.reset(postponed, Duration::ZERO));
}

#[test]
fn a_timer_may_cancel_one_that_is_due_in_the_same_turn() {
    let mut fixture = Fixture::new(quiet);
    let victim = Rc::new(RefCell::new(None));
    let (log, killer) = (fixture.log.clone(), Rc::clone(&victim));
    fixture.reactor.call_later(Duration::ZERO, move |reactor| {
        assert!(reactor.cancel(killer.borrow().unwrap()));
        log.push("killer");
    });
    let log = fixture.log.clone();
    let id = fixture.reactor.call_later(Duration::ZERO, move |_| log.push("victim"));
    *victim.borrow_mut() = Some(id);
    fixture.turn();
    fixture.turn();
    fixture.log.expect(&["killer"]);
}

#[test]
fn delays_beyond_the_clock_saturate() {
    let mut fixture = Fixture::new(quiet);
    let timer = fixture.reactor.call_later(Duration::MAX, |_| unreachable!());
    fixture.turn();
    let century = Duration::from_secs(99 * 365 * 24 * 60 * 60);
    assert!(fixture.reactor.remaining(timer) > Some(century));
}

#[test]
fn an_idle_reactor_sleeps_for_ever_and_a_busy_one_not_at_all() {
    let mut fixture = Fixture::new(quiet);
    let _peer = fixture.connect();
    fixture.settle();
    fixture.script.take_waits();
    // The script refuses to sleep for ever, and so shows that the reactor would.
    assert!(matches!(fixture.reactor.turn(None), Err(crate::error::RunError::Poll(_))));
    assert_eq!(fixture.script.take_waits(), [None]);
    assert_eq!(fixture.reactor.next_deadline(), None);

    let start = fixture.reactor.now();
    fixture.reactor.call_later(Duration::from_secs(7), |_| {});
    assert_eq!(fixture.reactor.next_deadline(), Some(start + Duration::from_secs(7)));
    assert!(fixture.reactor.turn(None).unwrap().is_continue());
    assert!(fixture.reactor.turn(Some(Duration::from_secs(1))).unwrap().is_continue());
    let waits = fixture.script.take_waits();
    assert_eq!(waits, [Some(Duration::from_secs(7)), Some(Duration::from_secs(1))]);

    // A timer that is due before the caller's timeout cuts the wait short.
    fixture.reactor.call_later(Duration::from_secs(3), |_| {});
    assert!(fixture.reactor.turn(Some(Duration::from_secs(10))).unwrap().is_continue());
    assert_eq!(fixture.script.take_waits(), [Some(Duration::from_secs(3))]);

    // A write from outside a callback is left over, and due now.
    let now: Instant = fixture.reactor.now();
    fixture.transport(0).write("x");
    assert_eq!(fixture.reactor.next_deadline(), Some(now));
}

#[test]
fn work_that_is_left_over_is_due_now() {
    type Leave = fn(&mut Fixture);
    let left_over: [(&str, Leave); 5] = [
        ("bytes to be read", |fixture| {
            let peer = fixture.connect();
            for _ in 0..10 {
                peer.send(vec![b'x'; super::super::scratch::BUFFER_LEN]);
            }
            fixture.turn();
        }),
        ("clients to be accepted", |fixture| {
            for _ in 0..300 {
                fixture.script.connect();
            }
            fixture.turn();
        }),
        ("a protocol to be told that it was aborted", |fixture| {
            fixture.connect().send("abort");
            fixture.turn();
        }),
        ("a factory to be stopped", |fixture| {
            assert!(fixture.reactor.stop_listening(&fixture.port));
        }),
        ("a stop", |fixture| fixture.reactor.stop()),
    ];
    for (what, release_admission) in left_over {
        let mut fixture = Fixture::new(|event, cx| {
            if event == Event::Data(b"abort") {
                cx.transport.abort_connection();
            }
        });
        fixture.turn();
        assert_eq!(fixture.reactor.next_deadline(), None);
        release_admission(&mut fixture);
        assert_eq!(fixture.reactor.next_deadline(), Some(fixture.reactor.now()), "{what}");
    }
    let mut fixture = Fixture::new(quiet);
    fixture.turn();
    fixture.reactor.remote().call_from_thread(|_| ()).unwrap();
    assert_eq!(fixture.reactor.next_deadline(), Some(fixture.reactor.now()), "a call");
}

#[test]
fn triggers_fire_in_their_phases_and_a_panic_stops_none() {
    let mut fixture = Fixture::new(quiet);
    let log = fixture.log.clone();
    let mut add = |phase, event, name: &'static str| {
        let log = log.clone();
        fixture.reactor.add_system_event_trigger(phase, event, move |reactor| {
            log.push(format!("{name} {}", reactor.is_running()));
            assert_ne!(name, "before panics");
        })
    };
    add(Phase::After, SystemEvent::Shutdown, "after");
    add(Phase::Before, SystemEvent::Shutdown, "before panics");
    add(Phase::Before, SystemEvent::Shutdown, "before");
    add(Phase::During, SystemEvent::Shutdown, "during");
    add(Phase::During, SystemEvent::Startup, "startup");
    let removed = add(Phase::Before, SystemEvent::Startup, "removed");
    assert!(fixture.reactor.remove_system_event_trigger(removed));
    assert!(!fixture.reactor.remove_system_event_trigger(removed));
    let running = log.clone();
    fixture.reactor.call_when_running(move |_| running.push("running"));
    assert!(fixture.reactor.next_deadline().is_some(), "triggers wait for the first turn");
    fixture.connect();
    log.expect(&["startup true", "running", "0 made"]);
    let running = log.clone();
    fixture.reactor.call_when_running(move |_| running.push("still running"));
    fixture.reactor.stop();
    assert!(fixture.reactor.turn(None).unwrap().is_break());
    log.expect(&[
        "still running",
        "before panics true",
        "before true",
        "0 lost: reactor stopped",
        "stopped",
        "during false",
        "after false",
    ]);
    assert!(!fixture.reactor.is_running());
}

#[test]
fn a_trigger_that_is_removed_does_not_take_the_next_with_it() {
    let mut fixture = Fixture::new(quiet);
    let mut add = |name: &'static str| {
        let log = fixture.log.clone();
        let call = move |_: &mut Reactor| log.push(name);
        fixture.reactor.add_system_event_trigger(Phase::Before, SystemEvent::Shutdown, call)
    };
    let (_, removed, _) = (add("first"), add("removed"), add("last"));
    assert!(fixture.reactor.remove_system_event_trigger(removed));
    fixture.reactor.stop();
    assert!(fixture.reactor.turn(None).unwrap().is_break());
    fixture.log.expect(&["first", "last", "stopped"]);
    assert!(!fixture.reactor.triggers.wait_for(SystemEvent::Shutdown));
}

#[test]
fn a_stopped_reactor_can_run_again() {
    let mut fixture = Fixture::new(echo);
    fixture.connect();
    fixture.reactor.call_later(Duration::from_secs(1), |_| unreachable!());
    fixture.reactor.stop();
    assert!(fixture.reactor.turn(None).unwrap().is_break());
    fixture.expect_empty();
    let probes =
        Probes { log: fixture.log.clone(), act: echo, all: Vec::new(), key: Rc::default() };
    fixture.port = fixture.reactor.listen_tcp(8007, probes).unwrap();
    let peer = fixture.connect();
    peer.send("again");
    fixture.turn();
    assert_eq!(peer.received(), b"again");
}

#[test]
fn work_left_over_and_work_added_in_the_shutdown_is_dropped() {
    let mut fixture = Fixture::new(|event, cx| {
        if event == Event::Lost {
            cx.reactor.remote().call_from_thread(|_| unreachable!()).unwrap();
            cx.reactor.call_later(Duration::ZERO, |_| unreachable!());
            cx.reactor.stop();
        }
    });
    let peer = fixture.connect();
    for _ in 0..10 {
        peer.send(vec![b'x'; super::super::scratch::BUFFER_LEN]);
    }
    let _flood: Vec<Peer> = (0..300).map(|_| fixture.script.connect()).collect();
    fixture.turn();
    fixture.reactor.stop();
    assert!(fixture.reactor.turn(None).unwrap().is_break());
    fixture.expect_empty();
    fixture.settle();
}

#[test]
fn nothing_runs_within_itself() {
    let mut fixture = Fixture::new(|event, cx| {
        if event == Event::Made {
            let nested = cx.reactor.turn(None);
            assert!(matches!(nested, Err(crate::error::RunError::AlreadyRunning)));
            assert!(matches!(cx.reactor.run(), Err(crate::error::RunError::AlreadyRunning)));
        }
    });
    fixture.connect();
    let port = fixture.port;
    // The factory is lent out: it cannot be reached again, and no turn may look for it.
    fixture
        .reactor
        .with_factory(&port, |_, reactor| {
            assert!(reactor.with_factory(&port, |_: &mut Probes, _| ()).is_err());
            assert!(matches!(reactor.turn(None), Err(crate::error::RunError::AlreadyRunning)));
        })
        .unwrap();
    fixture.log.expect(&["0 made"]);
    assert!(fixture.reactor.with_factory(&port, |_, _| ()).is_ok());
}

#[test]
fn a_panic_of_the_caller_gives_the_factory_back() {
    let mut fixture = Fixture::new(quiet);
    let port = fixture.port.clone();
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        fixture.reactor.with_factory(&port, |_: &mut Probes, _| panic!("mine")).unwrap();
    }));
    assert!(unwound.is_err());
    assert!(fixture.reactor.with_factory(&port, |_, _| ()).is_ok());
    fixture.connect();
    fixture.log.expect(&["0 made"]);
}

#[test]
fn dropping_the_reactor_calls_every_connection_lost() {
    let mut fixture = Fixture::new(quiet);
    let kept = {
        fixture.connect();
        fixture.transport(0)
    };
    let log = fixture.log.clone();
    let remote = fixture.reactor.remote();
    drop(fixture);
    log.expect(&["0 made", "0 lost: reactor stopped", "stopped"]);
    kept.write("late");
    kept.abort_connection();
    assert!(!kept.is_connected());
    assert!(matches!(remote.call_from_thread(|_| ()), Err(CallError::ReactorGone(_))));
}

#[test]
fn a_signal_stops_the_reactor_after_reading_what_came_with_it() {
    let mut fixture = Fixture::new(quiet);
    let peer = fixture.connect();
    peer.send("last words");
    fixture.script.signal("SIGINT");
    // Data that came with the signal is still read.
    fixture.turn();
    assert!(fixture.reactor.turn(None).unwrap().is_break());
    fixture.log.expect(&["0 made", "0 data last words", "0 lost: reactor stopped", "stopped"]);
}

#[test]
fn with_busy_polling_the_loop_stays_awake_for_a_while_after_each_event() {
    let mut fixture = Fixture::new(echo);
    fixture.reactor.settings.busy_poll = Duration::from_micros(50);
    let peer = fixture.connect();
    fixture.script.advance(Duration::from_micros(49));
    let mut waits = |advance: u64| {
        fixture.script.advance(Duration::from_micros(advance));
        fixture.script.take_waits();
        assert!(fixture.reactor.turn(Some(Duration::from_secs(1))).unwrap().is_continue());
        fixture.script.take_waits()
    };
    assert_eq!(waits(0), [Some(Duration::ZERO)]);
    peer.send("x");
    assert_eq!(waits(0), [Some(Duration::ZERO)]);
    assert_eq!(peer.received(), b"x");
    assert_eq!(waits(49), [Some(Duration::ZERO)], "counted from the last event");
    assert_eq!(waits(1), [Some(Duration::from_secs(1))]);
    assert_eq!(waits(0), [Some(Duration::from_secs(1))], "and not before the next one");
}

#[test]
fn deadlines_are_kept_to_the_nanosecond() {
    let mut fixture = Fixture::new(quiet);
    let deadline = fixture.reactor.now() + Duration::from_nanos(1_500_000_001);
    let log = fixture.log.clone();
    let timer = fixture.reactor.call_at(deadline, move |_| log.push("called"));
    assert_eq!(fixture.reactor.next_deadline(), Some(deadline));
    let later = deadline + Duration::from_nanos(1);
    assert!(fixture.reactor.reset_at(timer, later));
    assert_eq!(fixture.reactor.next_deadline(), Some(later));
    fixture.script.advance(later - fixture.reactor.now() - Duration::from_nanos(1));
    fixture.turn();
    fixture.log.expect(&[]);
    fixture.script.advance(Duration::from_nanos(1));
    fixture.turn();
    fixture.log.expect(&["called"]);
    assert!(!fixture.reactor.reset_at(timer, later));
}

#[test]
fn events_that_the_poller_has_not_reported_yet_are_left_over() {
    let mut fixture = Fixture::new(echo);
    let peers: Vec<Peer> = (0..10).map(|_| fixture.connect()).collect();
    fixture.settle();
    assert_eq!(fixture.reactor.next_deadline(), None);
    fixture.script.limit_events(4);
    peers.iter().for_each(|peer| peer.send("hello"));
    // An outer loop that sees only the first edge runs turns as long as one is due.
    fixture.turn();
    let mut turns = 1;
    while fixture.reactor.next_deadline() == Some(fixture.reactor.now()) {
        fixture.turn();
        turns += 1;
    }
    assert!(peers.iter().all(|peer| peer.received() == b"hello"), "after {turns} turns");
    assert_eq!(fixture.reactor.next_deadline(), None);
}

#[test]
fn a_timer_set_from_outside_is_the_protocol_s_and_ends_with_its_connection() {
    let mut fixture = Fixture::new(quiet);
    let peers = [fixture.connect(), fixture.connect()];
    let transports = [0, 1].map(|number| fixture.transport(number));
    fixture.log.expect(&["0 made", "1 made"]);
    let timers = [0, 1].map(|it| fixture.reactor.set_timer(&transports[it], Duration::ZERO));
    transports[1].abort_connection();
    fixture.reactor.set_timer(&transports[0], Duration::from_secs(1));
    fixture.turn();
    fixture.log.expect(&["0 timer", "1 timer", "1 lost: connection aborted by this side"]);
    assert_eq!(timers.map(|timer| fixture.reactor.remaining(timer)), [None, None]);
    let late = fixture.reactor.set_timer(&transports[1], Duration::ZERO);
    assert_eq!(fixture.reactor.remaining(late), None, "its connection is over");
    transports[0].abort_connection();
    fixture.settle();
    fixture.log.expect(&["0 lost: connection aborted by this side"]);
    fixture.expect_empty();
    drop(peers);
}
