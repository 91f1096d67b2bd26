//! Factories without a port, and calls that reach a busy factory later.

use super::*;
use crate::error::{AddFactoryError, ListenError, ReachError};
use std::net::Ipv4Addr;

/// A state that services share, and whose life is logged.
struct Table {
    log: Log,
    starts: bool,
    failures: usize,
}

impl Table {
    fn new(log: &Log) -> Self {
        Self { log: log.clone(), starts: true, failures: 0 }
    }
}

struct Silent;

impl<F> Protocol<F> for Silent {}

impl Factory for Table {
    type Protocol = Silent;

    fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Silent> {
        Some(Silent)
    }

    fn connection_failed(&mut self, _: &Transport, _: &io::Error, _: &mut Reactor) {
        self.failures += 1;
    }

    fn start_factory(&mut self, _: &mut Reactor) -> io::Result<()> {
        self.log.push("start");
        if self.starts { Ok(()) } else { Err(io::Error::other("no")) }
    }

    fn stop_factory(&mut self, _: &mut Reactor) {
        self.log.push("stop");
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        self.log.push("dropped");
    }
}

fn reactor() -> (Script, Reactor, Log) {
    let script = Script::new();
    let reactor = Reactor::with_driver(script.driver(), Settings::default());
    (script, reactor, Log::default())
}

fn turns(reactor: &mut Reactor) {
    for _ in 0..3 {
        assert!(reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
    }
}

#[test]
fn an_added_factory_stays_until_it_is_removed() {
    let (_script, mut reactor, log) = reactor();
    let key = reactor.add_factory(Table::new(&log)).unwrap();
    log.expect(&["start"]);
    assert_eq!(reactor.add_factory(key).unwrap(), key, "it is kept already");
    let port = reactor.listen_tcp(8007, key).unwrap();
    reactor.stop_listening(&port);
    turns(&mut reactor);
    log.expect(&[]);
    assert!(reactor.remove_factory(key));
    assert!(!reactor.remove_factory(key));
    turns(&mut reactor);
    log.expect(&["stop", "dropped"]);
    assert_eq!(reactor.with_factory(key, |_, _| ()), Err(ReachError::FactoryGone));
    assert!(matches!(reactor.add_factory(key), Err(AddFactoryError::NoFactory)));
}

#[test]
fn a_removed_factory_lives_as_long_as_its_ports() {
    let (_script, mut reactor, log) = reactor();
    let key = reactor.add_factory(Table::new(&log)).unwrap();
    let port = reactor.listen_tcp(8007, key).unwrap();
    assert!(reactor.remove_factory(key));
    turns(&mut reactor);
    log.expect(&["start"]);
    reactor.stop_listening(&port);
    turns(&mut reactor);
    log.expect(&["stop", "dropped"]);
}

#[test]
fn a_factory_that_does_not_start_is_not_added() {
    let (_script, mut reactor, log) = reactor();
    let table = Table { log: log.clone(), starts: false, failures: 0 };
    let error = reactor.add_factory(table).unwrap_err();
    assert_eq!(error.to_string(), "cannot add the factory: it did not start: no");
    log.expect(&["start", "dropped"]);
    assert_eq!(reactor.factories.len(), 0);
}

#[test]
fn a_client_keeps_its_state_between_two_attempts() {
    let (script, mut reactor, log) = reactor();
    let key = reactor.add_factory(Table::new(&log)).unwrap();
    for attempt in 1..=2 {
        reactor.connect_tcp((Ipv4Addr::LOCALHOST, 7), key).unwrap();
        script.dialled().refuse();
        turns(&mut reactor);
        script.advance(Duration::from_millis(200));
        turns(&mut reactor);
        assert_eq!(reactor.with_factory(key, |table, _| table.failures), Ok(attempt));
    }
    log.expect(&["start"]);
}

#[test]
fn a_stop_ends_what_was_kept() {
    let (_script, mut reactor, log) = reactor();
    let key = reactor.add_factory(Table::new(&log)).unwrap();
    reactor.stop();
    assert!(reactor.turn(Some(Duration::ZERO)).unwrap().is_break());
    log.expect(&["start", "stop", "dropped"]);
    assert!(!reactor.remove_factory(key));
}

#[test]
fn calls_reach_a_busy_factory_later_and_in_order() {
    let mut fixture = Fixture::new(|event, cx| {
        on_data(event, || {
            let key = cx.factory.key.get().unwrap();
            let within = cx.reactor.with_factory(key, |_, _| ());
            assert_eq!(within, Err(ReachError::FactoryBusy));
            for number in 0..3 {
                assert!(cx.reactor.tell(key, move |probes: &mut Probes, _| {
                    probes.log.push(format!("told {number}"));
                }));
            }
            cx.factory.log.push("asked");
        });
    });
    let key = fixture.port.key();
    fixture.reactor.with_factory(key, |probes, _| probes.key.set(Some(key))).unwrap();
    fixture.connect().send("x");
    fixture.settle();
    fixture.log.expect(&["0 made", "0 data x", "asked", "told 0", "told 1", "told 2"]);
    let port = fixture.port.clone();
    fixture.transport(0).abort_connection();
    fixture.reactor.stop_listening(&port);
    assert!(fixture.reactor.tell(key, |_, _| unreachable!("it is gone by then")));
    fixture.settle();
    assert!(!fixture.reactor.tell(key, |_, _| ()));
}

#[test]
fn a_protocol_that_is_gone_is_told_from_a_factory_that_is() {
    let mut fixture = Fixture::new(quiet);
    fixture.connect();
    let (port, id) = (fixture.port.clone(), fixture.transport(0).id());
    assert!(fixture.reactor.with_protocol(&port, id, |_, _| ()).is_ok());
    fixture.transport(0).abort_connection();
    fixture.settle();
    let gone = fixture.reactor.with_protocol(&port, id, |_, _| ());
    assert_eq!(gone, Err(ReachError::ConnectionGone));
    fixture.reactor.stop_listening(&port);
    fixture.settle();
    let gone = fixture.reactor.with_protocol(&port, id, |_, _| ());
    assert_eq!(gone, Err(ReachError::FactoryGone));
}

/// `stop_listening` closes the port before it returns: there is nothing to wait for.
#[test]
fn a_port_can_be_opened_again_from_a_callback_of_its_factory() {
    let mut fixture = Fixture::new(|event, cx| {
        on_data(event, || {
            let key = cx.factory.key.get().unwrap();
            let again = cx.reactor.listen_tcp(8007, key);
            cx.factory.log.push(again.map_or_else(|error| error.to_string(), |_| "open".into()));
        });
    });
    let (port, key) = (fixture.port.clone(), fixture.port.key());
    fixture.reactor.with_factory(key, |probes, _| probes.key.set(Some(key))).unwrap();
    let peer = fixture.connect();
    assert!(fixture.reactor.stop_listening(&port));
    peer.send("x");
    fixture.turn();
    fixture.log.expect(&["0 made", "0 data x", "open"]);
    // Once it is stopped, it would have to start, and cannot while its callback runs.
    let open: Vec<_> = fixture.reactor.ports.iter().map(|(id, _)| id).collect();
    open.into_iter().for_each(|id| assert!(fixture.reactor.close_port(id)));
    fixture.settle();
    peer.send("x");
    fixture.settle();
    let busy = "cannot listen on 0.0.0.0:8007: the factory is running a callback, and can only \
                be started after it: try again in a timer";
    fixture.log.expect(&["stopped", "0 data x", busy]);
    assert!(matches!(
        fixture.reactor.with_factory(key, |_, reactor| reactor.listen_tcp(8008, key)),
        Ok(Err(ListenError::FactoryBusy { .. }))
    ));
}
