//! Ends in every state: whatever ends a service, and wherever it is, nothing is left.

use super::*;
use crate::proxy_protocol::ProxyHeader;

/// How far a service is: its endpoint, and how it gets there. Last, whether it has an attempt and
/// whether it has a protocol.
struct Stage {
    name: &'static str,
    reach: fn() -> Client,
    has_attempt: bool,
    has_protocol: bool,
}

fn host() -> ClientEndpoint {
    HostnameEndpoint::new("db.example", 80).unwrap().timeout(SECOND * 5).into()
}

fn resolve(client: &mut Client) {
    let addresses = ["[2001:db8::1]:80", "192.0.2.7:80"];
    client.script.resolve(Ok(addresses.iter().map(|text| text.parse().unwrap()).collect()));
    client.settle();
}

fn plain(endpoint: ClientEndpoint) -> Client {
    Client::with(endpoint, nothing, |service| service)
}

const fn stage(
    name: &'static str,
    has_attempt: bool,
    has_protocol: bool,
    reach: fn() -> Client,
) -> Stage {
    Stage { name, reach, has_attempt, has_protocol }
}

const STAGES: [Stage; 9] = [
    stage("resolving the name", true, false, || plain(host())),
    stage("trying the first address", true, false, || {
        let mut client = plain(host());
        resolve(&mut client);
        client
    }),
    stage("trying both addresses", true, false, || {
        let mut client = plain(host());
        resolve(&mut client);
        client.advance(Duration::from_millis(250));
        client
    }),
    stage("connecting", true, false, || {
        let mut client = plain(address());
        client.settle();
        client
    }),
    stage("sending a header", true, false, || {
        let mut client = plain(address().proxy_header(ProxyHeader::local()));
        client.server().set_room(3);
        client.server().answer();
        client.settle();
        client
    }),
    stage("preparing", false, true, || {
        let prepared = |it: ClientService<Dialler>| it.prepared_by_protocol(SECOND * 3);
        let mut client = Client::with(address(), nothing, prepared);
        client.accept();
        assert_eq!(client.state(), "preparing");
        client
    }),
    stage("connected", false, true, || {
        let mut client = plain(address());
        client.accept();
        client
    }),
    stage("restarting", false, true, || {
        let mut client = plain(address());
        client.accept();
        assert!(client.service.restart(&mut client.reactor));
        assert_eq!(client.state(), "restarting");
        client
    }),
    stage("waiting", false, false, || {
        let mut client = plain(address());
        client.refuse(1, 1);
        client
    }),
];

#[cfg(all(feature = "tls", feature = "testing"))]
const HANDSHAKING: Stage = stage("handshaking", true, false, || {
    let roots = crate::tls::RootCertificates::from_pem(crate::testing::tls::AUTHORITY).unwrap();
    let connector = crate::testing::tls::connector_builder(&roots).build();
    let mut client = plain(address().encrypted(connector.to("localhost").unwrap()));
    client.server().answer();
    client.settle();
    assert!(!client.server().received().is_empty(), "its hello");
    client
});

fn stages() -> Vec<Stage> {
    let mut stages = Vec::from(STAGES);
    #[cfg(all(feature = "tls", feature = "testing"))]
    stages.push(HANDSHAKING);
    stages
}

/// Ends a service, and says which reasons its protocol may hear.
type End = (&'static str, fn(&mut Client), &'static [&'static str]);

const ABORTED: &str = "lost: connection aborted by this side";

const ENDS: [End; 6] = [
    ("stop", |it| assert!(it.service.stop(&mut it.reactor)), &[DONE]),
    ("abort", |it| assert!(it.service.abort(&mut it.reactor)), &[ABORTED]),
    (
        "stop twice",
        |it| {
            it.service.stop(&mut it.reactor);
            it.service.stop(&mut it.reactor);
        },
        &[DONE],
    ),
    (
        "stop, then abort",
        |it| {
            it.service.stop(&mut it.reactor);
            it.service.abort(&mut it.reactor);
        },
        &[ABORTED, DONE],
    ),
    ("drain", |it| it.reactor.stop_gracefully(SECOND * 9), &[DONE]),
    ("shut down", |it| it.reactor.stop(), &["lost: reactor stopped", DONE]),
];

#[test]
fn a_service_is_ended_in_every_state_and_nothing_is_left() {
    for Stage { name, reach, has_attempt, has_protocol } in stages() {
        for (end, act, reasons) in ENDS {
            let mut client = reach();
            client.log.expect(&[]);
            act(&mut client);
            client.settle();
            let mut heard = std::mem::take(&mut *client.log.0.borrow_mut());
            assert_eq!(heard.split_off(heard.len() - 2), ["stopped", "dropped"], "{name}, {end}");
            if has_attempt {
                assert_eq!(heard, ["failed: connection aborted"], "{name}, {end}");
            } else if has_protocol {
                assert_eq!(heard.len(), 1, "{name}, {end}: {heard:?}");
                assert!(reasons.contains(&&*heard[0]), "{name}, {end}: {heard:?}");
            } else {
                assert!(heard.is_empty(), "{name}, {end}: {heard:?}");
            }
            client.expect_ended();
        }
    }
}

#[test]
fn a_service_is_restarted_in_every_state() {
    for Stage { name, reach, has_attempt, has_protocol } in stages() {
        let mut client = reach();
        let before = client.script.connections();
        assert!(client.service.restart(&mut client.reactor), "{name}");
        client.settle();
        if has_protocol {
            client.log.expect(&[DONE]);
        }
        let begun = client.script.connections() - before;
        assert_eq!(begun, usize::from(!has_attempt), "{name}: an attempt continues");
        assert_eq!(client.state(), "connecting", "{name}");
        assert_eq!(client.service.failures(&client.reactor), 0, "{name}");
        client.service.stop(&mut client.reactor);
        client.expect(&["failed: connection aborted", "stopped", "dropped"]);
        client.expect_ended();
    }
}

#[test]
fn a_service_that_is_stopping_can_be_restarted() {
    for Stage { name, reach, has_attempt, has_protocol } in stages() {
        if !has_attempt && !has_protocol {
            continue;
        }
        let mut client = reach();
        client.service.stop(&mut client.reactor);
        assert_eq!(client.state(), "stopping", "{name}");
        assert!(client.service.restart(&mut client.reactor), "{name}");
        assert_eq!(client.state(), "restarting", "{name}");
        // And stopped again, and so on.
        client.service.stop(&mut client.reactor);
        client.service.restart(&mut client.reactor);
        let lost = if has_attempt { "failed: connection aborted" } else { DONE };
        client.expect(&[lost]);
        assert_eq!(client.state(), "connecting", "{name}");
        client.service.stop(&mut client.reactor);
        client.expect(&["failed: connection aborted", "stopped", "dropped"]);
        client.expect_ended();
    }
}

#[test]
fn a_service_that_waits_holds_no_drain_and_a_draining_reactor_begins_nothing() {
    let mut client = Client::new(nothing);
    client.refuse(1, 1);
    client.reactor.stop_gracefully(SECOND * 9);
    assert!(client.reactor.turn(Some(Duration::ZERO)).unwrap().is_break(), "at once");
    client.log.expect(&["stopped", "dropped"]);
    // A connection whose protocol takes its time to close.
    let mut client = Client::new(|what, transport, reactor| {
        if what.starts_with("lost") {
            assert!(reactor.is_draining());
            let service = reactor.service_of(transport).unwrap();
            assert!(!service.restart(reactor));
        }
    });
    let server = client.accept();
    server.set_room(0);
    client.service.transport(&client.reactor).unwrap().write("bye");
    client.reactor.stop_gracefully(SECOND * 9);
    for _ in 0..3 {
        assert!(client.reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
    }
    assert_eq!(client.state(), "stopping");
    assert_eq!(client.service.transport(&client.reactor), None);
    server.set_room(100);
    client.expect(&[DONE, "stopped", "dropped"]);
    assert_eq!(server.received(), b"bye");
    client.expect_ended();
}

#[test]
fn a_stop_lets_everything_that_was_written_leave() {
    let mut client = Client::new(nothing);
    let server = client.accept();
    server.set_room(0);
    client.service.transport(&client.reactor).unwrap().write("bye");
    client.service.stop(&mut client.reactor);
    client.expect(&[]);
    assert_eq!(client.state(), "stopping");
    assert_eq!(client.service.transport(&client.reactor), None, "it takes nothing more");
    server.set_room(100);
    client.expect(&[DONE, "stopped", "dropped"]);
    assert_eq!(server.received(), b"bye");
    client.expect_ended();
}

#[test]
fn a_reactor_that_ran_and_stopped_has_no_services_and_runs_again() {
    let mut client = Client::new(nothing);
    client.accept();
    client.reactor.stop();
    client.expect(&["lost: reactor stopped", "stopped", "dropped"]);
    let again = ClientService::new(address(), || Quiet).start(&mut client.reactor).unwrap();
    client.server().answer();
    client.settle();
    assert!(again.transport(&client.reactor).is_some());
}

/// What a user's callback may ask of its own service, by the callback.
const OWN: [(&str, Act, &[&str]); 7] = [
    (
        "it stops when an attempt has failed",
        |what, transport, reactor| {
            if what.starts_with("failed") {
                reactor.service_of(transport).unwrap().stop(reactor);
            }
        },
        &["failed: connection refused", "stopped", "dropped"],
    ),
    (
        "it stops when it hears of the retry",
        |what, transport, reactor| {
            if what.starts_with("retry") {
                assert!(matches!(
                    reactor.service_of(transport).unwrap().state(reactor),
                    ServiceState::Waiting { .. }
                ));
                reactor.service_of(transport).unwrap().stop(reactor);
                assert!(reactor.service_of(transport).is_none());
            }
        },
        &["failed: connection refused", "retry 1 in 1s", "stopped", "dropped"],
    ),
    (
        "it restarts when an attempt has failed: that one was under way",
        |what, transport, reactor| {
            if what.starts_with("failed") {
                reactor.service_of(transport).unwrap().restart(reactor);
            }
        },
        &["failed: connection refused", "retry 1 in 1s"],
    ),
    (
        "it restarts when it hears of the retry: once more, and no deeper",
        |what, transport, reactor| {
            if what.starts_with("retry") {
                let service = reactor.service_of(transport).unwrap();
                assert!(service.restart(reactor) && service.restart(reactor));
                assert_eq!(service.state(reactor), ServiceState::Connecting);
            }
        },
        &["failed: connection refused", "retry 1 in 1s"],
    ),
    (
        "it stops and restarts when an attempt has failed",
        |what, transport, reactor| {
            if what.starts_with("failed") {
                let service = reactor.service_of(transport).unwrap();
                service.stop(reactor);
                service.restart(reactor);
            }
        },
        &["failed: connection refused"],
    ),
    (
        "it connects by itself, beside the service",
        |what, transport, reactor| {
            if what == "retry 1 in 1s" {
                assert!(reactor.service_of(transport).is_some());
                let key = FactoryKey::<Dialler>::new(transport.factory(), transport.id().reactor);
                let connector = address().connect(reactor, key).unwrap();
                assert!(reactor.service_of(connector.transport()).is_none());
            }
        },
        &["failed: connection refused", "retry 1 in 1s"],
    ),
    (
        "it panics in both",
        |what, _, _| assert!(what == "stopped", "a panic"),
        &["failed: connection refused", "retry 1 in 1s"],
    ),
];

#[test]
fn callbacks_may_stop_and_restart_their_own_service() {
    for (name, act, heard) in OWN {
        println!("{name}");
        let mut client = Client::new(act);
        client.server().refuse();
        client.expect(heard);
        let attempts = client.script.connections();
        assert!(attempts <= 2, "{name}: {attempts}");
        match client.state().as_str() {
            "stopped" => client.expect_ended(),
            "connecting" => {
                assert_eq!(attempts, 2, "{name}");
                client.accept();
            }
            "waiting" => {
                client.advance(SECOND);
                assert_eq!(client.script.connections(), attempts + 1, "{name}");
                if name != "it panics in both" {
                    client.accept();
                }
            }
            other => panic!("{name}: {other}"),
        }
    }
}

/// Stops the service of a connection, at an event.
fn stop_service(transport: &Transport, reactor: &mut Reactor) {
    assert!(reactor.service_of(transport).unwrap().stop(reactor));
}

#[test]
fn a_protocol_may_stop_its_own_service() {
    let acts: [(&str, Act); 4] = [
        ("built", |what, transport, reactor| {
            if what == "built" {
                stop_service(transport, reactor);
            }
        }),
        ("made", |what, transport, reactor| {
            if what == "made" {
                stop_service(transport, reactor);
            }
        }),
        ("quit", |what, transport, reactor| {
            if what == "quit" {
                stop_service(transport, reactor);
            }
        }),
        ("lost", |what, transport, reactor| {
            if what.starts_with("lost") {
                stop_service(transport, reactor);
            }
        }),
    ];
    for (when, act) in acts {
        let mut client = Client::new(act);
        let server = client.server();
        server.answer();
        client.settle();
        server.send("quit");
        client.settle();
        server.close();
        client.settle();
        let heard = std::mem::take(&mut *client.log.0.borrow_mut());
        let heard: Vec<&str> = heard.iter().map(String::as_str).collect();
        let expected: &[&str] = match when {
            // An attempt is given up, and the protocol is built before that is done.
            "built" => &["built", "made", ABORTED],
            "made" => &["built", "made", DONE],
            _ => &["built", "made", "quit", DONE],
        };
        assert_eq!(heard, [expected, &["stopped", "dropped"]].concat(), "{when}");
        client.expect_ended();
    }
}
