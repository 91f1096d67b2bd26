//! Calls that wait until a service is connected.

use super::*;
use std::num::NonZeroU32;

impl Client {
    /// Asks for the connection, up to a number of failures, and logs the answer under a name.
    fn ask(&mut self, name: &'static str, limit: u32) {
        ask(self.service, &self.log, name, limit, &mut self.reactor);
    }
}

fn ask<F>(
    service: ServiceKey<F>,
    log: &Log,
    name: &'static str,
    limit: u32,
    reactor: &mut Reactor,
) {
    let log = log.clone();
    service.when_connected(reactor, NonZeroU32::new(limit), move |_, outcome| {
        log.push(match outcome {
            Ok(transport) => {
                assert!(transport.is_connected() && !transport.is_disconnecting());
                format!("{name}: connected")
            }
            Err(error) => format!("{name}: {error}"),
        });
    });
}

const REFUSED: &str = "connection refused";

#[test]
fn calls_are_answered_when_the_connection_is_made_in_their_order() {
    let mut client = Client::new(nothing);
    client.ask("ann", 0);
    client.ask("bob", 1);
    client.server().answer();
    client.expect(&["built", "made", "ann: connected", "bob: connected"]);
    client.ask("cat", 1);
    client.log.expect(&[]);
    client.expect(&["cat: connected"]);
}

#[test]
fn a_call_fails_after_as_many_failures_as_it_allows() {
    let mut client = Client::new(nothing);
    client.ask("never", 0);
    client.ask("first", 1);
    client.ask("second", 2);
    client.server().refuse();
    let first = format!("first: cannot connect: {REFUSED}");
    client.expect(&["failed: connection refused", "retry 1 in 1s", &first]);
    client.advance(SECOND);
    client.ask("late", 2);
    client.server().refuse();
    let second = format!("second: cannot connect after 2 attempts: {REFUSED}");
    client.expect(&["failed: connection refused", "retry 2 in 2s", &second]);
    client.advance(SECOND * 2);
    client.server().refuse();
    let late = format!("late: cannot connect after 2 attempts: {REFUSED}");
    client.expect(&["failed: connection refused", "retry 3 in 4s", &late]);
    client.advance(SECOND * 4);
    client.server().answer();
    client.expect(&["built", "made", "never: connected"]);
}

#[test]
fn a_loss_is_no_failure_but_a_connection_that_was_not_prepared_is_one() {
    let mut client = Client::new(nothing);
    let server = client.accept();
    server.close();
    client.expect(&[DONE, "retry 1 in 1s"]);
    client.ask("patient", 1);
    client.advance(SECOND);
    client.server().answer();
    client.expect(&["built", "made", "patient: connected"]);
    let mut client =
        Client::with(address(), nothing, |service| service.prepared_by_protocol(SECOND));
    client.ask("once", 1);
    client.accept().close();
    let once = "once: cannot connect: connection closed gracefully";
    client.expect(&[DONE, "retry 1 in 1s", once]);
    client.ask("again", 1);
    client.advance(SECOND);
    client.accept();
    client.advance(SECOND);
    let again = "again: cannot connect: handshake timeout";
    client.expect(&["lost: handshake timeout", "retry 2 in 2s", again]);
}

#[test]
fn a_call_is_answered_when_the_connection_is_prepared() {
    let mut client = Client::with(
        address(),
        |what, transport, reactor| {
            if what == "ok" {
                reactor.set_prepared(transport);
            }
        },
        |service| service.prepared_by_protocol(SECOND),
    );
    client.ask("ann", 1);
    let server = client.accept();
    server.send("ok");
    client.expect(&["ok", "ann: connected"]);
}

#[test]
fn calls_fail_when_the_service_stops_and_never_within_the_stop() {
    // While it waits.
    let mut client = Client::new(nothing);
    client.ask("ann", 0);
    client.refuse(1, 1);
    client.service.stop(&mut client.reactor);
    client.log.expect(&[]);
    client.ask("bob", 0);
    client.log.expect(&[]);
    let stopped = ["ann: the client service has stopped", "bob: the client service has stopped"];
    client.expect(&[stopped[0], stopped[1], "stopped", "dropped"]);
    client.expect_ended();
    // While it connects.
    let mut client = Client::new(nothing);
    client.ask("ann", 0);
    client.service.stop(&mut client.reactor);
    client.log.expect(&[]);
    client.expect(&["failed: connection aborted", stopped[0], "stopped", "dropped"]);
    // While it closes; a restart keeps the call.
    let mut client = Client::new(nothing);
    client.accept();
    client.service.stop(&mut client.reactor);
    client.ask("ann", 0);
    client.service.restart(&mut client.reactor);
    client.expect(&[DONE]);
    client.server().answer();
    client.expect(&["built", "made", "ann: connected"]);
}

#[test]
fn calls_fail_when_the_reactor_drains_or_stops() {
    for drains in [true, false] {
        for connects in [true, false] {
            let mut client = Client::new(nothing);
            client.ask("ann", 0);
            let mut expected = vec!["ann: the client service has stopped", "stopped", "dropped"];
            if connects {
                expected.insert(0, "failed: connection aborted");
            } else {
                client.refuse(1, 1);
            }
            client.reactor.stop_gracefully(if drains { SECOND } else { Duration::ZERO });
            client.expect(&expected);
            client.expect_ended();
        }
    }
}

#[test]
fn calls_fail_if_the_service_is_stopped_in_the_turn_in_which_the_reactor_stops() {
    let stopped = "the client service has stopped";
    let mut client = Client::new(nothing);
    client.refuse(1, 1);
    client.ask("ann", 0);
    let (service, log) = (client.service, client.log.clone());
    let before = crate::system_event::Phase::Before;
    client.reactor.add_system_event_trigger(
        before,
        crate::system_event::SystemEvent::Shutdown,
        move |reactor| {
            service.stop(reactor);
            ask(service, &log, "bob", 0, reactor);
        },
    );
    client.reactor.stop();
    let (ann, bob) = (format!("ann: {stopped}"), format!("bob: {stopped}"));
    client.expect(&["stopped", "dropped", &ann, &bob]);
    client.expect_ended();
}

#[test]
fn a_call_is_never_given_a_connection_that_ends() {
    let mut client = Client::new(nothing);
    client.accept();
    client.ask("ann", 1);
    client.service.transport(&client.reactor).unwrap().abort_connection();
    client.expect(&["lost: connection aborted by this side", "retry 1 in 1s"]);
    client.advance(SECOND);
    client.server().answer();
    client.expect(&["built", "made", "ann: connected"]);
    // One that is asked for while its connection is being lost.
    let mut client = Client::new(|what, transport, reactor| {
        if what == DONE {
            let service = reactor.service_of(transport).unwrap();
            service.when_connected(reactor, None, |_, outcome| {
                outcome.unwrap().write("again");
            });
        }
    });
    client.accept().close();
    client.expect(&[DONE, "retry 1 in 1s"]);
    client.advance(SECOND);
    let server = client.accept();
    assert_eq!(server.received(), b"again");
}

#[test]
fn calls_may_ask_again_and_panic() {
    let mut client = Client::new(nothing);
    let (service, log) = (client.service, client.log.clone());
    service.when_connected(&mut client.reactor, None, |_, _| panic!("a panic"));
    service.when_connected(&mut client.reactor, None, move |reactor, outcome| {
        outcome.unwrap();
        ask(service, &log, "inner", 0, reactor);
        log.push("outer");
    });
    client.ask("last", 0);
    client.server().answer();
    client.expect(&["built", "made", "outer", "last: connected", "inner: connected"]);
}
