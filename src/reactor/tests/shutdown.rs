//! Graceful stop, and plain stop.

use super::*;
use crate::FactoryKey;
use crate::driver::scripted::Closed;
use crate::error::{ConnectError, ListenError};
use crate::limits::ConnectionLimits;
use crate::shutdown::{ShutdownGuard, ShutdownReport};
use crate::system_event::{Phase, SystemEvent};
use std::net::Ipv4Addr;
use std::ops::ControlFlow;

const SECOND: Duration = Duration::from_secs(1);

/// Acts as the default callback does.
fn release_admission(event: Event<'_>, cx: &mut Context<'_, Probes>) {
    match event {
        Event::Drain => cx.transport.lose_connection(),
        _ => echo(event, cx),
    }
}

/// Returns the report of a stop: of this turn, or of the one after the last reads.
#[track_caller]
fn report(fixture: &mut Fixture) -> ShutdownReport {
    for _ in 0..2 {
        if let ControlFlow::Break(report) = fixture.reactor.turn(Some(Duration::ZERO)).unwrap() {
            return report;
        }
    }
    panic!("the reactor does not stop")
}

fn counts(drained: usize, aborted: usize, bytes_lost: u64) -> ShutdownReport {
    ShutdownReport { drained, lost: 0, aborted, bytes_lost }
}

#[test]
fn a_drain_without_connections_ends_at_once() {
    let mut fixture = Fixture::new(release_admission);
    fixture.reactor.stop_gracefully(SECOND);
    assert_eq!(fixture.reactor.next_deadline(), Some(fixture.reactor.now()));
    assert_eq!(report(&mut fixture), counts(0, 0, 0));
    fixture.log.expect(&["stopped"]);
    fixture.expect_empty();
}

#[test]
fn idle_connections_close_at_once_and_others_when_all_is_sent() {
    let mut fixture = Fixture::new(release_admission);
    let (idle, busy) = (fixture.connect(), fixture.connect());
    busy.set_room(3);
    busy.send("goodbye");
    fixture.turn();
    fixture.log.expect(&["0 made", "1 made", "1 data goodbye"]);
    fixture.reactor.stop_gracefully(SECOND);
    assert!(!fixture.reactor.is_draining());
    fixture.turn();
    assert!(fixture.reactor.is_draining() && fixture.reactor.is_running());
    fixture.log.expect(&[]);
    fixture.turn();
    let done = "lost: connection closed gracefully";
    fixture.log.expect(&["0 drain requested", &format!("0 {done}"), "1 drain requested"]);
    assert_eq!(idle.closed(), Closed::InOrder);
    let rejected = fixture.reactor.listen_tcp(8008, || Nobody);
    assert!(matches!(rejected, Err(ListenError::Stopping { .. })));
    // The other connections continue, and the loop sleeps until the deadline.
    let until = fixture.reactor.now() + SECOND;
    fixture.settle();
    assert_eq!(fixture.reactor.next_deadline(), Some(until));
    busy.set_room(100);
    busy.close();
    fixture.turn();
    assert_eq!(busy.received(), b"goodbye");
    fixture.log.expect(&[&format!("1 {done}"), "stopped"]);
    assert_eq!(report(&mut fixture), counts(2, 0, 0));
    fixture.log.expect(&[]);
    fixture.expect_empty();
}

struct Nobody;

impl<F> Protocol<F> for Nobody {}

#[test]
fn connections_left_at_the_deadline_are_cut_off_and_counted() {
    // The protocols ignore the drain.
    let mut fixture = Fixture::new(echo);
    let (stubborn, slow) = (fixture.connect(), fixture.connect());
    slow.set_room(3);
    slow.send("goodbye");
    fixture.turn();
    fixture.reactor.stop_gracefully(SECOND);
    fixture.turn();
    fixture.script.advance(SECOND - Duration::from_nanos(1));
    stubborn.send("still there");
    fixture.settle();
    assert_eq!(stubborn.received(), b"still there");
    fixture.script.advance(Duration::from_nanos(1));
    assert_eq!(report(&mut fixture), counts(0, 2, 4));
    assert_eq!((stubborn.closed(), slow.closed()), (Closed::InOrder, Closed::Reset));
    assert_eq!(fixture.log.count("0 lost: reactor stopped"), 1);
    assert_eq!(fixture.log.count("1 lost: reactor stopped"), 1);
    fixture.expect_empty();
}

#[test]
fn a_plain_stop_counts_the_connections_that_it_cuts_off() {
    let mut fixture = Fixture::new(release_admission);
    let (_idle, slow) = (fixture.connect(), fixture.connect());
    slow.set_room(3);
    slow.send("goodbye");
    fixture.turn();
    fixture.reactor.stop();
    assert_eq!(report(&mut fixture), counts(0, 2, 4));
    assert_eq!(fixture.log.count("0 drain requested"), 0);
    // The counts start at zero again.
    let probes = Probes {
        log: fixture.log.clone(),
        act: release_admission,
        all: Vec::new(),
        key: Rc::default(),
    };
    fixture.port = fixture.reactor.listen_tcp(8007, probes).unwrap();
    fixture.connect();
    fixture.reactor.stop();
    assert_eq!(report(&mut fixture), counts(0, 1, 0));
}

#[test]
fn a_stop_ends_a_drain_and_a_later_deadline_does_not_count() {
    let mut fixture = Fixture::new(echo);
    fixture.connect();
    fixture.reactor.stop_gracefully(SECOND);
    fixture.turn();
    fixture.reactor.stop_gracefully(SECOND * 10);
    fixture.script.advance(SECOND / 2);
    fixture.turn();
    fixture.reactor.stop_gracefully(SECOND / 4);
    fixture.script.advance(SECOND / 4);
    assert_eq!(report(&mut fixture), counts(0, 1, 0));
    let mut fixture = Fixture::new(echo);
    fixture.connect();
    fixture.reactor.stop_gracefully(SECOND);
    fixture.turn();
    fixture.reactor.stop();
    assert_eq!(report(&mut fixture), counts(0, 1, 0));
}

/// Returns a fixture whose shutdown a trigger holds, and the guard.
fn held() -> (Fixture, Rc<RefCell<Option<ShutdownGuard>>>) {
    let mut fixture = Fixture::new(release_admission);
    let (place, log) = (Rc::new(RefCell::new(None)), fixture.log.clone());
    let hold = Rc::clone(&place);
    fixture.reactor.add_system_event_trigger(
        Phase::Before,
        SystemEvent::Shutdown,
        move |reactor| {
            log.push("before");
            *hold.borrow_mut() = Some(reactor.hold_shutdown());
        },
    );
    (fixture, place)
}

#[test]
fn a_trigger_holds_the_shutdown_while_everything_continues() {
    let (mut fixture, hold) = held();
    let peer = fixture.connect();
    fixture.reactor.stop_gracefully(SECOND);
    fixture.turn();
    fixture.log.expect(&["0 made", "before"]);
    let until = fixture.reactor.now() + SECOND;
    assert_eq!(fixture.reactor.next_deadline(), Some(until));
    // Even new clients are served.
    fixture.connect();
    peer.send("hello");
    fixture.settle();
    fixture.log.expect(&["1 made", "0 data hello"]);
    *hold.borrow_mut() = None;
    assert_eq!(fixture.reactor.next_deadline(), Some(fixture.reactor.now()));
    assert_eq!(report(&mut fixture), counts(2, 0, 0));
    assert_eq!(fixture.log.count("1 drain requested"), 1);
    assert_eq!(fixture.log.count("before"), 0, "once is enough");
    fixture.expect_empty();
}

#[test]
fn a_hold_ends_at_the_deadline_and_does_not_hold_a_plain_stop() {
    let (mut fixture, hold) = held();
    fixture.connect();
    fixture.reactor.stop_gracefully(SECOND);
    fixture.turn();
    fixture.script.advance(SECOND);
    assert_eq!(report(&mut fixture), counts(0, 1, 0));
    drop(hold.take());
    let (mut fixture, hold) = held();
    fixture.reactor.stop();
    assert_eq!(report(&mut fixture), counts(0, 0, 0));
    fixture.log.expect(&["before", "stopped"]);
    // A guard may outlive the shutdown that it held.
    drop(fixture);
    drop(hold.take());
}

#[test]
fn a_signal_to_terminate_drains_and_one_to_interrupt_does_not() {
    for (signal, expected) in [("SIGTERM", counts(1, 0, 0)), ("SIGINT", counts(0, 1, 0))] {
        let mut fixture = Fixture::new(release_admission);
        fixture.connect();
        fixture.script.signal(signal);
        fixture.turn();
        assert_eq!(report(&mut fixture), expected, "{signal}");
    }
}

#[test]
fn a_panic_in_drain_requested_ends_that_connection_alone() {
    let mut fixture = Fixture::new(|event, cx| {
        let first = *cx.transport == cx.factory.all[0];
        assert!(!(event == Event::Drain && first), "boom");
        release_admission(event, cx);
    });
    fixture.connect();
    fixture.connect();
    fixture.reactor.stop_gracefully(SECOND);
    let expected = ShutdownReport { drained: 1, lost: 1, ..ShutdownReport::default() };
    assert_eq!(report(&mut fixture), expected);
    assert_eq!(fixture.log.count("0 lost: a callback panicked: boom"), 1);
    assert_eq!(fixture.log.count("1 lost: connection closed gracefully"), 1);
}

#[test]
fn a_reactor_that_is_dropped_while_it_drains_shuts_down() {
    let mut fixture = Fixture::new(echo);
    fixture.connect();
    fixture.reactor.stop_gracefully(SECOND);
    fixture.turn();
    let log = fixture.log.clone();
    drop(fixture);
    assert_eq!(log.count("0 lost: reactor stopped"), 1);
    assert_eq!(log.count("stopped"), 1);
}

#[test]
fn clients_that_wait_to_be_accepted_are_served_and_counted() {
    let mut fixture = Fixture::new(release_admission);
    fixture.reactor.set_limits(
        &fixture.port,
        ConnectionLimits::new().max_connections(300).accept_rate(1, SECOND),
    );
    fixture.connect();
    // More than are accepted in a turn, and than the rate lets in.
    let waiting: Vec<Peer> = (0..302).map(|_| fixture.script.connect()).collect();
    waiting.iter().for_each(|peer| peer.send("request"));
    fixture.reactor.stop_gracefully(SECOND);
    fixture.turn();
    assert!(fixture.reactor.is_draining());
    let served = waiting.iter().filter(|peer| peer.received() == b"request").count();
    assert_eq!((served, fixture.reactor.connection_count()), (299, 300));
    assert_eq!(fixture.reactor.rejections(&fixture.port).unwrap().connections, 3, "limits count");
    assert_eq!(fixture.log.count("1 drain requested"), 0, "not before its request is answered");
    fixture.turn();
    assert_eq!(fixture.log.count("1 drain requested"), 1);
    // Their peers have just sent something, so the drain waits while they linger.
    fixture.script.advance(SECOND / 2);
    assert_eq!(report(&mut fixture), counts(300, 0, 0));
    fixture.expect_empty();
}

#[test]
fn data_that_has_arrived_is_read_before_drain_requested() {
    let mut fixture = Fixture::new(release_admission);
    let peers: Vec<Peer> = (0..10).map(|_| fixture.connect()).collect();
    // The poller hands out a part of it in each turn.
    fixture.script.limit_events(4);
    peers.iter().for_each(|peer| peer.send("request"));
    fixture.reactor.stop_gracefully(SECOND);
    for _ in 0..3 {
        assert_eq!(fixture.reactor.next_deadline(), Some(fixture.reactor.now()));
        fixture.turn();
        assert_eq!(fixture.log.count("0 drain requested"), 0);
    }
    fixture.turn();
    assert!(peers.iter().all(|peer| peer.received() == b"request"));
    assert_eq!(fixture.log.count("9 drain requested"), 1);
}

#[test]
fn a_request_that_has_arrived_is_read_before_a_drain_even_if_the_wait_returns_early() {
    let mut fixture = Fixture::new(release_admission);
    let peers = [fixture.connect(), fixture.script.connect()];
    peers.iter().for_each(|peer| peer.send("request"));
    fixture.reactor.stop_gracefully(SECOND);
    // Nothing, and no word of more: the edges come with the next wait.
    fixture.script.skip_wait();
    fixture.turn();
    assert!(peers.iter().all(|peer| peer.received() == b"request"));
    fixture.turn();
    assert_eq!(fixture.log.count("0 drain requested"), 1);
    assert_eq!(fixture.log.count("1 drain requested"), 1);
}

#[test]
fn a_peer_that_keeps_sending_does_not_delay_the_drain() {
    let mut fixture = Fixture::new(release_admission);
    let peers: Vec<Peer> = (0..10).map(|_| fixture.connect()).collect();
    fixture.script.limit_events(4);
    fixture.reactor.stop_gracefully(SECOND);
    for _ in 0..100 {
        peers.iter().for_each(|peer| peer.send("x"));
        fixture.turn();
    }
    assert_eq!(fixture.log.count("9 drain requested"), 1);
}

#[test]
fn peers_that_have_sent_and_are_idle_are_closed_at_once() {
    let mut fixture = Fixture::new(|event, cx| {
        if event == Event::Drain {
            cx.transport.write("goodbye");
        }
        release_admission(event, cx);
    });
    let (idle, closed) = (fixture.connect(), fixture.connect());
    idle.send("hello");
    closed.send("hello");
    fixture.settle();
    fixture.transport(1).lose_connection();
    fixture.settle();
    assert_eq!(closed.closed(), Closed::No, "it lingers");
    fixture.reactor.stop_gracefully(SECOND * 100);
    let start = fixture.reactor.now();
    assert_eq!(report(&mut fixture), counts(1, 0, 0));
    assert_eq!((fixture.reactor.now(), idle.received()), (start, b"hellogoodbye".to_vec()));
    fixture.expect_empty();
}

#[test]
fn lingering_peers_that_still_send_delay_the_drain_only_briefly() {
    let mut fixture = Fixture::new(release_admission);
    let (speaking, begins) = (fixture.connect(), fixture.connect());
    fixture.reactor.stop_gracefully(SECOND * 100);
    // In the turn of the last reads.
    speaking.send("hello");
    fixture.turn();
    fixture.turn();
    begins.send("to talk when it is over");
    for _ in 0..3 {
        fixture.script.advance(SECOND / 3);
        speaking.send("and more");
        fixture.turn();
        assert_eq!((speaking.closed(), fixture.reactor.connection_count()), (Closed::No, 0));
    }
    fixture.script.advance(SECOND / 2);
    assert_eq!(report(&mut fixture), counts(2, 0, 0));
    fixture.expect_empty();
}

/// A factory that connects again as soon as an attempt has failed.
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
    let mut fixture = Fixture::new(release_admission);
    let (log, key) = (fixture.log.clone(), Rc::default());
    let stubborn = Stubborn { log, key: Rc::clone(&key) };
    let connector = fixture.reactor.connect_tcp((Ipv4Addr::LOCALHOST, 8000), stubborn).unwrap();
    key.set(Some(connector.key()));
    connector.transport().write("waits");
    let peer = fixture.script.dialled();
    fixture.turn();
    fixture.reactor.stop_gracefully(SECOND);
    let rejected = "cannot connect to 127.0.0.1:8000: the reactor is stopping";
    assert_eq!(report(&mut fixture), counts(0, 1, 5));
    fixture.log.expect(&["failed: connection aborted", rejected, "stubborn stopped", "stopped"]);
    assert_eq!(peer.closed(), Closed::InOrder);
    fixture.expect_empty();
}

#[test]
fn a_client_that_connects_again_when_it_is_lost_makes_no_connection_while_it_drains() {
    let mut fixture = Fixture::new(|event, cx| {
        if event == Event::Lost {
            let again = cx.reactor.connect_tcp((Ipv4Addr::LOCALHOST, 8000), || Nobody);
            assert!(matches!(again, Err(ConnectError::Stopping { .. })));
        }
        release_admission(event, cx);
    });
    fixture.connect();
    fixture.reactor.stop_gracefully(SECOND);
    assert_eq!(report(&mut fixture), counts(1, 0, 0));
}
