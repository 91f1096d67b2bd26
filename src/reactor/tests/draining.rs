//! Stopping without cutting anybody off.

use super::*;
use crate::FactoryKey;
use crate::error::{ConnectError, ListenError};
use crate::limits::ConnectionLimits;
use crate::shutdown::{ShutdownGuard, ShutdownReport};
use crate::socket::scripted::Closed;
use crate::system_event::{Phase, SystemEvent};
use std::net::Ipv4Addr;
use std::ops::ControlFlow;

const SECOND: Duration = Duration::from_secs(1);

/// Does what the default does.
fn leave(event: Event<'_>, cx: &mut Context<'_, Probes>) {
    match event {
        Event::Drain => cx.transport.lose_connection(),
        _ => echo(event, cx),
    }
}

/// The reactor stops: in this turn, or after one in which what has arrived is read.
#[track_caller]
fn report(stage: &mut Stage) -> ShutdownReport {
    for _ in 0..2 {
        if let ControlFlow::Break(report) = stage.reactor.turn(Some(Duration::ZERO)).unwrap() {
            return report;
        }
    }
    panic!("it goes on")
}

fn counts(drained: usize, aborted: usize, bytes_lost: u64) -> ShutdownReport {
    ShutdownReport { drained, lost: 0, aborted, bytes_lost }
}

#[test]
fn nobody_is_there_and_it_ends_at_once() {
    let mut stage = Stage::new(leave);
    stage.reactor.stop_gracefully(SECOND);
    assert_eq!(stage.reactor.next_deadline(), Some(stage.reactor.now()));
    assert_eq!(report(&mut stage), counts(0, 0, 0));
    stage.log.expect(&["stopped"]);
    stage.expect_empty();
}

#[test]
fn the_idle_go_at_once_and_those_with_something_unsent_when_it_is_sent() {
    let mut stage = Stage::new(leave);
    let (idle, busy) = (stage.connect(), stage.connect());
    busy.set_room(3);
    busy.send("goodbye");
    stage.turn();
    stage.log.expect(&["0 made", "1 made", "1 data goodbye"]);
    stage.reactor.stop_gracefully(SECOND);
    assert!(!stage.reactor.is_draining());
    stage.turn();
    assert!(stage.reactor.is_draining() && stage.reactor.is_running());
    stage.log.expect(&[]);
    stage.turn();
    let done = "lost: connection closed in order";
    stage.log.expect(&["0 is to drain", &format!("0 {done}"), "1 is to drain"]);
    assert_eq!(idle.closed(), Closed::InOrder);
    let refused = stage.reactor.listen_tcp(8008, || Nobody);
    assert!(matches!(refused, Err(ListenError::Stopping { .. })));
    // Everybody else goes on, and it sleeps until the deadline.
    let until = stage.reactor.now() + SECOND;
    stage.settle();
    assert_eq!(stage.reactor.next_deadline(), Some(until));
    busy.set_room(100);
    busy.close();
    stage.turn();
    assert_eq!(busy.received(), b"goodbye");
    stage.log.expect(&[&format!("1 {done}"), "stopped"]);
    assert_eq!(report(&mut stage), counts(2, 0, 0));
    stage.log.expect(&[]);
    stage.expect_empty();
}

struct Nobody;

impl<F> Protocol<F> for Nobody {}

#[test]
fn what_is_left_at_the_deadline_is_cut_off_and_counted() {
    // It says that it has heard, and does nothing about it.
    let mut stage = Stage::new(echo);
    let (stubborn, slow) = (stage.connect(), stage.connect());
    slow.set_room(3);
    slow.send("goodbye");
    stage.turn();
    stage.reactor.stop_gracefully(SECOND);
    stage.turn();
    stage.script.advance(SECOND - Duration::from_nanos(1));
    stubborn.send("still there");
    stage.settle();
    assert_eq!(stubborn.received(), b"still there");
    stage.script.advance(Duration::from_nanos(1));
    assert_eq!(report(&mut stage), counts(0, 2, 4));
    assert_eq!((stubborn.closed(), slow.closed()), (Closed::InOrder, Closed::Reset));
    assert_eq!(stage.log.count("0 lost: reactor stopped"), 1);
    assert_eq!(stage.log.count("1 lost: reactor stopped"), 1);
    stage.expect_empty();
}

#[test]
fn a_plain_stop_counts_whom_it_cuts_off() {
    let mut stage = Stage::new(leave);
    let (_idle, slow) = (stage.connect(), stage.connect());
    slow.set_room(3);
    slow.send("goodbye");
    stage.turn();
    stage.reactor.stop();
    assert_eq!(report(&mut stage), counts(0, 2, 4));
    assert_eq!(stage.log.count("0 is to drain"), 0);
    // The counts begin anew.
    let probes = Probes { log: stage.log.clone(), act: leave, all: Vec::new(), key: Rc::default() };
    stage.port = stage.reactor.listen_tcp(8007, probes).unwrap();
    stage.connect();
    stage.reactor.stop();
    assert_eq!(report(&mut stage), counts(0, 1, 0));
}

#[test]
fn a_stop_in_the_middle_ends_it_and_a_later_deadline_does_not_count() {
    let mut stage = Stage::new(echo);
    stage.connect();
    stage.reactor.stop_gracefully(SECOND);
    stage.turn();
    stage.reactor.stop_gracefully(SECOND * 10);
    stage.script.advance(SECOND / 2);
    stage.turn();
    stage.reactor.stop_gracefully(SECOND / 4);
    stage.script.advance(SECOND / 4);
    assert_eq!(report(&mut stage), counts(0, 1, 0));
    let mut stage = Stage::new(echo);
    stage.connect();
    stage.reactor.stop_gracefully(SECOND);
    stage.turn();
    stage.reactor.stop();
    assert_eq!(report(&mut stage), counts(0, 1, 0));
}

/// A stage whose shutdown is held by a trigger, and where the hold is kept.
fn held() -> (Stage, Rc<RefCell<Option<ShutdownGuard>>>) {
    let mut stage = Stage::new(leave);
    let (place, log) = (Rc::new(RefCell::new(None)), stage.log.clone());
    let hold = Rc::clone(&place);
    stage.reactor.add_system_event_trigger(Phase::Before, SystemEvent::Shutdown, move |reactor| {
        log.push("before");
        *hold.borrow_mut() = Some(reactor.hold_shutdown());
    });
    (stage, place)
}

#[test]
fn a_trigger_holds_the_shutdown_while_everything_stands() {
    let (mut stage, hold) = held();
    let peer = stage.connect();
    stage.reactor.stop_gracefully(SECOND);
    stage.turn();
    stage.log.expect(&["0 made", "before"]);
    let until = stage.reactor.now() + SECOND;
    assert_eq!(stage.reactor.next_deadline(), Some(until));
    // Even new clients are served.
    stage.connect();
    peer.send("hello");
    stage.settle();
    stage.log.expect(&["1 made", "0 data hello"]);
    *hold.borrow_mut() = None;
    assert_eq!(stage.reactor.next_deadline(), Some(stage.reactor.now()));
    assert_eq!(report(&mut stage), counts(2, 0, 0));
    assert_eq!(stage.log.count("1 is to drain"), 1);
    assert_eq!(stage.log.count("before"), 0, "once is enough");
    stage.expect_empty();
}

#[test]
fn a_hold_ends_at_the_deadline_and_does_not_hold_a_plain_stop() {
    let (mut stage, hold) = held();
    stage.connect();
    stage.reactor.stop_gracefully(SECOND);
    stage.turn();
    stage.script.advance(SECOND);
    assert_eq!(report(&mut stage), counts(0, 1, 0));
    drop(hold.take());
    let (mut stage, hold) = held();
    stage.reactor.stop();
    assert_eq!(report(&mut stage), counts(0, 0, 0));
    stage.log.expect(&["before", "stopped"]);
    // It outlives what it held, and does no harm.
    drop(stage);
    drop(hold.take());
}

#[test]
fn a_signal_to_terminate_drains_and_one_to_interrupt_does_not() {
    for (signal, expected) in [("SIGTERM", counts(1, 0, 0)), ("SIGINT", counts(0, 1, 0))] {
        let mut stage = Stage::new(leave);
        stage.connect();
        stage.script.signal(signal);
        stage.turn();
        assert_eq!(report(&mut stage), expected, "{signal}");
    }
}

#[test]
fn a_panic_when_it_is_told_ends_that_connection_alone() {
    let mut stage = Stage::new(|event, cx| {
        let first = *cx.transport == cx.factory.all[0];
        assert!(!(event == Event::Drain && first), "boom");
        leave(event, cx);
    });
    stage.connect();
    stage.connect();
    stage.reactor.stop_gracefully(SECOND);
    let expected = ShutdownReport { drained: 1, lost: 1, ..ShutdownReport::default() };
    assert_eq!(report(&mut stage), expected);
    assert_eq!(stage.log.count("0 lost: a callback panicked: boom"), 1);
    assert_eq!(stage.log.count("1 lost: connection closed in order"), 1);
}

#[test]
fn a_reactor_that_is_dropped_while_it_drains_shuts_down() {
    let mut stage = Stage::new(echo);
    stage.connect();
    stage.reactor.stop_gracefully(SECOND);
    stage.turn();
    let log = stage.log.clone();
    drop(stage);
    assert_eq!(log.count("0 lost: reactor stopped"), 1);
    assert_eq!(log.count("stopped"), 1);
}

#[test]
fn clients_that_wait_to_be_accepted_are_served_and_counted() {
    let mut stage = Stage::new(leave);
    stage.reactor.set_limits(
        &stage.port,
        ConnectionLimits::new().max_connections(300).accept_rate(1, SECOND),
    );
    stage.connect();
    // More than are accepted in a turn, and than the rate lets in.
    let waiting: Vec<Peer> = (0..302).map(|_| stage.script.connect()).collect();
    waiting.iter().for_each(|peer| peer.send("request"));
    stage.reactor.stop_gracefully(SECOND);
    stage.turn();
    assert!(stage.reactor.is_draining());
    let served = waiting.iter().filter(|peer| peer.received() == b"request").count();
    assert_eq!((served, stage.reactor.connection_count()), (299, 300));
    assert_eq!(stage.reactor.rejections(&stage.port).unwrap().connections, 3, "limits count");
    assert_eq!(stage.log.count("1 is to drain"), 0, "not before its request is answered");
    stage.turn();
    assert_eq!(stage.log.count("1 is to drain"), 1);
    // They have spoken just now, and may go on.
    stage.script.advance(SECOND / 2);
    assert_eq!(report(&mut stage), counts(300, 0, 0));
    stage.expect_empty();
}

#[test]
fn what_has_arrived_is_read_before_a_protocol_is_told() {
    let mut stage = Stage::new(leave);
    let peers: Vec<Peer> = (0..10).map(|_| stage.connect()).collect();
    // The poller hands out a part of it in each turn.
    stage.script.limit_events(4);
    peers.iter().for_each(|peer| peer.send("request"));
    stage.reactor.stop_gracefully(SECOND);
    for _ in 0..3 {
        assert_eq!(stage.reactor.next_deadline(), Some(stage.reactor.now()));
        stage.turn();
        assert_eq!(stage.log.count("0 is to drain"), 0);
    }
    stage.turn();
    assert!(peers.iter().all(|peer| peer.received() == b"request"));
    assert_eq!(stage.log.count("9 is to drain"), 1);
}

#[test]
fn nobody_who_goes_on_sending_puts_the_drain_off() {
    let mut stage = Stage::new(leave);
    let peers: Vec<Peer> = (0..10).map(|_| stage.connect()).collect();
    stage.script.limit_events(4);
    stage.reactor.stop_gracefully(SECOND);
    for _ in 0..100 {
        peers.iter().for_each(|peer| peer.send("x"));
        stage.turn();
    }
    assert_eq!(stage.log.count("9 is to drain"), 1);
}

#[test]
fn those_who_have_spoken_and_are_idle_go_at_once() {
    let mut stage = Stage::new(|event, cx| {
        if event == Event::Drain {
            cx.transport.write("goodbye");
        }
        leave(event, cx);
    });
    let (idle, closed) = (stage.connect(), stage.connect());
    idle.send("hello");
    closed.send("hello");
    stage.settle();
    stage.transport(1).lose_connection();
    stage.settle();
    assert_eq!(closed.closed(), Closed::No, "it lingers");
    stage.reactor.stop_gracefully(SECOND * 100);
    let start = stage.reactor.now();
    assert_eq!(report(&mut stage), counts(1, 0, 0));
    assert_eq!((stage.reactor.now(), idle.received()), (start, b"hellogoodbye".to_vec()));
    stage.expect_empty();
}

#[test]
fn those_who_are_speaking_are_heard_out_but_not_for_long() {
    let mut stage = Stage::new(leave);
    let (speaking, begins) = (stage.connect(), stage.connect());
    stage.reactor.stop_gracefully(SECOND * 100);
    // In the turn in which what has arrived is read.
    speaking.send("hello");
    stage.turn();
    stage.turn();
    begins.send("to talk when it is over");
    for _ in 0..3 {
        stage.script.advance(SECOND / 3);
        speaking.send("and more");
        stage.turn();
        assert_eq!((speaking.closed(), stage.reactor.connection_count()), (Closed::No, 0));
    }
    stage.script.advance(SECOND / 2);
    assert_eq!(report(&mut stage), counts(2, 0, 0));
    stage.expect_empty();
}

/// Connects again as soon as it has failed.
struct Stubborn {
    log: Log,
    key: Rc<Cell<Option<FactoryKey<Self>>>>,
}

impl Factory for Stubborn {
    type Protocol = Nobody;

    fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Nobody> {
        Some(Nobody)
    }

    fn connection_failed(&mut self, _: &Transport, error: &io::Error, reactor: &mut Reactor) {
        self.log.push(format!("failed: {}", error.kind()));
        let key = self.key.get().unwrap();
        if let Err(error) = reactor.connect_tcp((Ipv4Addr::LOCALHOST, 8000), key) {
            self.log.push(error.to_string());
        }
    }

    fn stop_factory(&mut self, _: &mut Reactor) {
        self.log.push("stubborn stopped");
    }
}

#[test]
fn attempts_to_connect_are_given_up_when_the_drain_begins_and_none_begins_after() {
    let mut stage = Stage::new(leave);
    let (log, key) = (stage.log.clone(), Rc::default());
    let stubborn = Stubborn { log, key: Rc::clone(&key) };
    let connector = stage.reactor.connect_tcp((Ipv4Addr::LOCALHOST, 8000), stubborn).unwrap();
    key.set(Some(connector.key()));
    connector.transport().write("waits");
    let peer = stage.script.dialled();
    stage.turn();
    stage.reactor.stop_gracefully(SECOND);
    let refused = "cannot connect to 127.0.0.1:8000: the reactor is stopping";
    assert_eq!(report(&mut stage), counts(0, 1, 5));
    stage.log.expect(&["failed: connection aborted", refused, "stubborn stopped", "stopped"]);
    assert_eq!(peer.closed(), Closed::InOrder);
    stage.expect_empty();
}

#[test]
fn a_client_that_connects_again_when_it_is_lost_makes_no_connection_while_it_drains() {
    let mut stage = Stage::new(|event, cx| {
        if event == Event::Lost {
            let again = cx.reactor.connect_tcp((Ipv4Addr::LOCALHOST, 8000), || Nobody);
            assert!(matches!(again, Err(ConnectError::Stopping { .. })));
        }
        leave(event, cx);
    });
    stage.connect();
    stage.reactor.stop_gracefully(SECOND);
    assert_eq!(report(&mut stage), counts(1, 0, 0));
}
