//! Outgoing connections.

use super::*;
use crate::driver::scripted::Closed;
use crate::error::ConnectError;
use crate::{Connector, FactoryKey, Producer, TcpClientEndpoint};
use std::net::{Ipv4Addr, SocketAddr};

fn target() -> TcpClientEndpoint {
    let address = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 7), 80));
    TcpClientEndpoint::new(address).timeout(Duration::from_secs(5))
}

/// Returns a fixture without a port, and a factory to connect with.
fn probes(act: fn(Event<'_>, &mut Context<'_, Probes>)) -> (Fixture, Probes) {
    let mut fixture = Fixture::new(act);
    let port = fixture.port.clone();
    fixture.reactor.stop_listening(&port);
    fixture.settle();
    fixture.log.expect(&["stopped"]);
    let probes = Probes { log: fixture.log.clone(), act, all: Vec::new(), key: Rc::default() };
    (fixture, probes)
}

fn dial(fixture: &mut Fixture, probes: Probes) -> (Connector<Probes>, Peer) {
    let connector = fixture.reactor.connect_tcp(target(), probes).unwrap();
    (connector, fixture.script.dialled())
}

#[test]
fn bytes_written_before_the_answer_leave_with_it() {
    let (mut fixture, probes) = probes(echo);
    let (connector, peer) = dial(&mut fixture, probes);
    let transport = connector.transport().clone();
    transport.write("hello ");
    transport.write(vec![b'x'; 20_000]);
    fixture.settle();
    peer.nudge();
    fixture.settle();
    fixture.log.expect(&[]);
    assert_eq!((peer.calls().writes, transport.unsent()), (0, 20_006));
    assert_eq!(transport.peer_address().to_string(), "192.0.2.7:80");
    peer.answer();
    fixture.settle();
    fixture.log.expect(&["0 made"]);
    assert!(peer.received().starts_with(b"hello xxx"));
    assert!(transport.local_address().port() == Some(8007), "asked of the socket");
    // Edges are not lost, whenever they come.
    peer.send("data");
    peer.close();
    fixture.settle();
    assert_eq!(peer.received(), b"data");
    let done = "0 lost: connection closed gracefully";
    fixture.log.expect(&["0 data data", "0 read lost", done, "stopped"]);
    fixture.expect_empty();
}

#[test]
fn data_and_a_close_together_with_the_answer_are_delivered() {
    let (mut fixture, probes) = probes(echo);
    let (_, peer) = dial(&mut fixture, probes);
    peer.answer();
    peer.send("quote");
    peer.close();
    fixture.settle();
    let done = "0 lost: connection closed gracefully";
    fixture.log.expect(&["0 made", "0 data quote", "0 read lost", done, "stopped"]);
    fixture.expect_empty();
}

#[test]
fn a_failure_is_reported_once_and_the_factory_stopped() {
    let (mut fixture, probes) = probes(quiet);
    let (connector, peer) = dial(&mut fixture, probes);
    peer.refuse();
    fixture.settle();
    fixture.log.expect(&["failed: connection refused", "stopped"]);
    assert!(!connector.transport().is_connected());
    connector.transport().write("into the void");
    connector.transport().abort_connection();
    fixture.settle();
    fixture.log.expect(&[]);
    fixture.expect_empty();
}

#[test]
fn a_peer_that_does_not_answer_in_time_fails_the_attempt() {
    let (mut fixture, probes) = probes(quiet);
    let (_, peer) = dial(&mut fixture, probes);
    fixture.script.advance(Duration::from_millis(4999));
    fixture.settle();
    fixture.log.expect(&[]);
    fixture.script.advance(Duration::from_millis(1));
    fixture.settle();
    fixture.log.expect(&["failed: timed out", "stopped"]);
    assert_eq!(peer.closed(), Closed::InOrder);
    // A peer that does answer is not given up later.
    let (mut fixture, probes) = self::probes(quiet);
    let (_, peer) = dial(&mut fixture, probes);
    peer.answer();
    fixture.settle();
    fixture.script.advance(Duration::from_secs(3600));
    fixture.settle();
    fixture.log.expect(&["0 made"]);
    assert_eq!(fixture.reactor.timers.len(), 0);
}

#[test]
fn an_attempt_that_cannot_begin_fails_in_the_next_turn() {
    let (mut fixture, probes) = probes(quiet);
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let connector = fixture.reactor.connect_tcp(nowhere, probes).unwrap();
    fixture.log.expect(&[]);
    assert!(connector.transport().is_connected(), "as far as is known");
    assert!(fixture.reactor.next_deadline().is_some());
    fixture.turn();
    fixture.log.expect(&["failed: address not available", "stopped"]);
    fixture.settle();
    fixture.expect_empty();
}

#[test]
fn an_attempt_is_given_up_on_request() {
    let ends: [fn(&Transport); 3] =
        [Transport::abort_connection, Transport::lose_connection, |transport| {
            transport.fail("enough")
        }];
    let told = ["connection aborted", "connection aborted", "other error"];
    for (end, told) in ends.into_iter().zip(told) {
        let (mut fixture, probes) = probes(quiet);
        let (connector, peer) = dial(&mut fixture, probes);
        fixture.settle();
        end(connector.transport());
        fixture.log.expect(&[]);
        fixture.settle();
        fixture.log.expect(&[&format!("failed: {told}"), "stopped"]);
        assert_eq!(peer.closed(), Closed::InOrder);
        fixture.expect_empty();
    }
}

#[test]
fn an_error_that_panics_fails_its_own_attempt_and_not_the_reactor() {
    let (mut fixture, probes) = probes(quiet);
    let (connector, _) = dial(&mut fixture, probes);
    fixture.settle();
    connector.transport().fail(Cursed);
    fixture.settle();
    fixture.log.expect(&["failed: other error", "stopped"]);
    fixture.expect_empty();
}

#[test]
fn bytes_written_before_lose_connection_are_delivered() {
    let (mut fixture, probes) = probes(quiet);
    let (connector, peer) = dial(&mut fixture, probes);
    connector.transport().write("last words");
    connector.transport().lose_connection();
    fixture.settle();
    fixture.log.expect(&[]);
    peer.answer();
    fixture.settle();
    assert_eq!(peer.received(), b"last words");
    fixture.log.expect(&["0 made", "0 lost: connection closed gracefully", "stopped"]);
    fixture.expect_empty();
}

#[test]
fn a_factory_is_in_use_as_long_as_one_of_its_connections_is() {
    let (mut fixture, probes) = probes(echo);
    let (first, one) = dial(&mut fixture, probes);
    let (_, two) = {
        let second = fixture.reactor.connect_tcp(target(), first.key()).unwrap();
        (second, fixture.script.dialled())
    };
    one.answer();
    two.refuse();
    fixture.settle();
    fixture.log.expect(&["0 made", "failed: connection refused"]);
    one.close();
    fixture.settle();
    fixture.log.expect(&["0 read lost", "0 lost: connection closed gracefully", "stopped"]);
    let gone = fixture.reactor.connect_tcp(target(), first.key());
    assert!(matches!(gone, Err(ConnectError::NoFactory { .. })), "{gone:?}");
    fixture.expect_empty();
}

#[test]
fn a_factory_may_try_again_when_it_failed() {
    struct Stubborn {
        log: Log,
        key: Option<FactoryKey<Self>>,
    }
    struct Nobody;
    impl Protocol<Stubborn> for Nobody {}
    impl Factory for Stubborn {
        type Protocol = Nobody;

        fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Nobody> {
            self.log.push("built");
            Some(Nobody)
        }

        fn connection_failed(&mut self, _: &Transport, error: &io::Error, reactor: &mut Reactor) {
            self.log.push(format!("failed: {}", error.kind()));
            reactor.connect_tcp(target(), self.key.unwrap()).unwrap();
        }

        fn stop_factory(&mut self, _: &mut Reactor) {
            self.log.push("stopped");
        }
    }
    let (mut fixture, _) = probes(quiet);
    let factory = Stubborn { log: fixture.log.clone(), key: None };
    let connector = fixture.reactor.connect_tcp(target(), factory).unwrap();
    let key = connector.key();
    fixture.reactor.with_factory(key, |stubborn, _| stubborn.key = Some(key)).unwrap();
    fixture.script.dialled().refuse();
    fixture.settle();
    fixture.script.dialled().answer();
    fixture.settle();
    fixture.log.expect(&["failed: connection refused", "built"]);
    fixture.reactor.stop();
    assert!(fixture.reactor.turn(Some(Duration::ZERO)).unwrap().is_break());
    fixture.log.expect(&["stopped"]);
}

#[test]
fn attempts_end_with_the_reactor() {
    let (mut fixture, probes) = probes(quiet);
    let (connector, peer) = dial(&mut fixture, probes);
    fixture.turn();
    fixture.reactor.stop();
    assert!(fixture.reactor.turn(Some(Duration::ZERO)).unwrap().is_break());
    fixture.log.expect(&["failed: connection aborted", "stopped"]);
    assert_eq!(peer.closed(), Closed::InOrder);
    assert!(!connector.transport().is_connected());
    fixture.expect_empty();
}

#[test]
fn panics_around_an_attempt_are_contained() {
    struct Fragile;
    struct Nobody;
    impl Protocol<Fragile> for Nobody {}
    impl Factory for Fragile {
        type Protocol = Nobody;

        fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Nobody> {
            panic!("build")
        }

        fn connection_failed(&mut self, _: &Transport, _: &io::Error, _: &mut Reactor) {
            panic!("failed")
        }
    }
    let (mut fixture, _) = probes(quiet);
    for answer in [Peer::answer, Peer::refuse] {
        let connector = fixture.reactor.connect_tcp(target(), Fragile).unwrap();
        answer(&fixture.script.dialled());
        fixture.settle();
        assert!(!connector.transport().is_connected());
        fixture.expect_empty();
    }
}

#[test]
fn connecting_from_a_stopping_reactor_fails_and_drops_the_factory() {
    let (mut fixture, _) = probes(quiet);
    let log = fixture.log.clone();
    let trigger = move |reactor: &mut Reactor| {
        let log = log.clone();
        let probes = Probes { log: log.clone(), act: quiet, all: Vec::new(), key: Rc::default() };
        let rejected = reactor.connect_tcp(target(), probes);
        assert!(matches!(rejected, Err(ConnectError::Stopping { .. })));
        log.push("refused");
    };
    use crate::system_event::{Phase, SystemEvent};
    fixture.reactor.add_system_event_trigger(Phase::After, SystemEvent::Shutdown, trigger);
    fixture.reactor.stop();
    assert!(fixture.reactor.turn(Some(Duration::ZERO)).unwrap().is_break());
    fixture.log.expect(&["refused"]);
    fixture.expect_empty();
}

#[test]
fn a_connection_that_is_not_yet_established_holds_its_producer_back() {
    let (mut fixture, probes) = probes(quiet);
    let (connector, peer) = dial(&mut fixture, probes);
    let input = io::repeat(b'x');
    connector.transport().register_producer(Producer::reader(input));
    fixture.settle();
    assert_eq!(connector.transport().unsent(), 0);
    peer.set_room(1000);
    peer.answer();
    fixture.settle();
    assert_eq!(peer.received().len(), 1000);
    connector.transport().abort_connection();
    fixture.settle();
    fixture.log.expect(&["0 made", "0 lost: connection aborted by this side", "stopped"]);
    fixture.expect_empty();
}

#[test]
fn an_overflow_before_the_answer_ends_the_attempt() {
    let (mut fixture, probes) = probes(quiet);
    let (connector, _) = dial(&mut fixture, probes);
    connector.transport().set_max_unsent(10, crate::limits::OverflowPolicy::Close);
    connector.transport().write("12345678");
    connector.transport().write("12345678");
    fixture.settle();
    fixture.log.expect(&["failed: connection aborted", "stopped"]);
    fixture.expect_empty();
}

#[test]
fn an_answer_that_came_in_time_counts_though_the_loop_is_late() {
    for answered in [true, false] {
        let (mut fixture, probes) = probes(quiet);
        let (connector, peer) = dial(&mut fixture, probes);
        fixture.turn();
        if answered {
            peer.answer();
        } else {
            peer.refuse();
        }
        // The poller reports it in the turn in which the timeout expires, or not at all.
        fixture.script.limit_events(usize::from(answered));
        fixture.script.advance(Duration::from_secs(3600));
        fixture.turn();
        assert_eq!(connector.transport().is_connected(), answered);
        let told: &[&str] =
            if answered { &["0 made"] } else { &["failed: connection refused", "stopped"] };
        fixture.log.expect(told);
    }
}
