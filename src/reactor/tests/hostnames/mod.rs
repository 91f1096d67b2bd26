//! Connections by name: the question, the race, and every way in which they end.

mod errors;

use super::*;
use crate::driver::scripted::Closed;
use crate::proxy_protocol::ProxyHeader;
use crate::{ClientEndpoint, Connector, HostnameEndpoint};
use std::net::SocketAddr;

const V6: &str = "[2001:db8::1]:80";
const V4: &str = "192.0.2.7:80";
const DELAY: Duration = Duration::from_millis(250);

fn host() -> HostnameEndpoint {
    HostnameEndpoint::new("db.example", 80).unwrap().timeout(Duration::from_secs(5))
}

fn addresses(texts: &[&str]) -> Result<Vec<SocketAddr>, io::ErrorKind> {
    Ok(texts.iter().map(|text| text.parse().unwrap()).collect())
}

/// A client of a host by name, without a port.
struct Client {
    fixture: Fixture,
    connector: Connector<Probes>,
}

impl Client {
    fn new(
        endpoint: impl Into<ClientEndpoint>,
        act: fn(Event<'_>, &mut Context<'_, Probes>),
    ) -> Self {
        let mut fixture = Fixture::new(act);
        let port = fixture.port.clone();
        fixture.reactor.stop_listening(&port);
        fixture.settle();
        fixture.log.expect(&["stopped"]);
        let log = fixture.log.clone();
        let probes = Probes { log, act, all: Vec::new(), key: Rc::default() };
        let connector = endpoint.into().connect(&mut fixture.reactor, probes).unwrap();
        Self { fixture, connector }
    }

    fn resolve(&mut self, texts: &[&str]) {
        self.fixture.script.resolve(addresses(texts));
        self.fixture.settle();
    }

    /// Returns the server of the latest attempt.
    fn server(&self) -> Peer {
        self.fixture.script.dialled()
    }

    /// Lets the attempt delay pass, and returns the server of the next attempt.
    fn next_server(&mut self) -> Peer {
        self.fixture.script.advance(DELAY);
        self.fixture.settle();
        self.server()
    }

    fn peer(&self) -> String {
        self.connector.transport().peer_address().to_string()
    }

    #[track_caller]
    fn expect(&mut self, entries: &[&str]) {
        self.fixture.settle();
        self.fixture.log.expect(entries);
    }

    /// Asserts that the attempt has failed like this, and nothing is left of it.
    #[track_caller]
    fn expect_failed(&mut self, kind: &str) {
        self.expect(&[&format!("failed: {kind}"), "stopped"]);
        assert!(self.fixture.script.asked().is_empty());
        self.fixture.script.advance(Duration::from_secs(60));
        self.expect(&[]);
        self.fixture.expect_empty();
    }
}

#[test]
fn what_was_written_before_goes_to_the_address_that_wins_and_to_no_other() {
    let mut client = Client::new(host(), echo);
    let transport = client.connector.transport().clone();
    transport.write("hello ");
    assert_eq!(client.fixture.script.asked(), ["db.example:80"]);
    assert_eq!(client.peer(), "db.example:80");
    client.resolve(&[V6, V4]);
    transport.write(vec![b'x'; 20_000]);
    let first = client.server();
    let second = client.next_server();
    transport.write("bye");
    client.fixture.settle();
    assert_eq!((first.calls().writes, second.calls().writes), (0, 0));
    second.answer();
    client.expect(&["0 made"]);
    let received = second.received();
    assert!(received.starts_with(b"hello xxx") && received.ends_with(b"xbye"));
    assert_eq!((first.closed(), first.received().len()), (Closed::InOrder, 0));
    assert_eq!(client.peer(), V4);
    assert_eq!(client.fixture.reactor.timers.len(), 0);
    assert_eq!(client.fixture.reactor.connections.len(), 1);
    // Its events come under the id of the connection.
    second.send("data");
    second.close();
    client.fixture.settle();
    assert_eq!(second.received(), b"data");
    let done = "0 lost: connection closed gracefully";
    client.expect(&["0 data data", "0 read lost", done, "stopped"]);
    client.fixture.expect_empty();
}

#[test]
fn data_and_a_close_that_come_with_the_answer_are_delivered() {
    let mut client = Client::new(host(), echo);
    client.resolve(&[V4]);
    let server = client.server();
    server.answer();
    server.send("quote");
    server.close();
    let done = "0 lost: connection closed gracefully";
    client.expect(&["0 made", "0 data quote", "0 read lost", done, "stopped"]);
    client.fixture.expect_empty();
}

#[test]
fn of_two_that_are_established_in_the_same_wait_the_first_wins() {
    let mut client = Client::new(host(), quiet);
    client.resolve(&[V6, V4]);
    let first = client.server();
    let second = client.next_server();
    second.answer();
    first.answer();
    client.expect(&["0 made"]);
    assert_eq!(client.peer(), V6);
    assert_eq!((first.closed(), second.closed()), (Closed::No, Closed::InOrder));
    assert_eq!(client.fixture.reactor.connections.len(), 1, "no descriptor is left");
}

#[test]
fn an_attempt_does_not_end_with_the_delay() {
    let mut client = Client::new(host(), quiet);
    client.resolve(&[V6, V4]);
    let first = client.server();
    let second = client.next_server();
    client.fixture.script.advance(Duration::from_secs(2));
    client.expect(&[]);
    assert_eq!((first.closed(), second.closed()), (Closed::No, Closed::No));
    first.answer();
    client.expect(&["0 made"]);
    assert_eq!(client.peer(), V6);
}

#[test]
fn when_all_fail_no_delay_is_waited_for() {
    let mut client = Client::new(host(), quiet);
    client.resolve(&[V6, V4]);
    client.server().refuse();
    client.expect(&[]);
    client.server().refuse();
    client.expect_failed("connection refused");
    assert_eq!(client.peer(), "db.example:80");
}

#[test]
fn the_timeout_covers_the_name_and_a_late_answer_meets_nobody() {
    let mut client = Client::new(host(), quiet);
    client.fixture.script.advance(Duration::from_millis(4999));
    client.expect(&[]);
    client.fixture.script.advance(Duration::from_millis(1));
    client.expect(&["failed: timed out", "stopped"]);
    assert!(client.fixture.script.asked().is_empty(), "the question was forgotten");
    client.fixture.script.report_answer();
    client.expect(&[]);
    client.fixture.expect_empty();
    // What is left of the timeout is for the attempts.
    let mut client = Client::new(host(), quiet);
    client.fixture.script.advance(Duration::from_secs(4));
    client.resolve(&[V6, V4]);
    let first = client.server();
    let second = client.next_server();
    client.fixture.script.advance(Duration::from_millis(749));
    client.expect(&[]);
    client.fixture.script.advance(Duration::from_millis(1));
    client.expect_failed("timed out");
    assert_eq!((first.closed(), second.closed()), (Closed::InOrder, Closed::InOrder));
}

#[test]
fn an_answer_that_came_in_time_counts_though_the_loop_is_late() {
    let mut client = Client::new(host(), quiet);
    client.resolve(&[V6, V4]);
    let first = client.server();
    client.fixture.script.limit_events(0);
    first.answer();
    client.fixture.script.advance(Duration::from_secs(3600));
    client.expect(&["0 made"]);
    assert_eq!(client.peer(), V6);
}

#[test]
fn a_name_that_cannot_be_resolved_fails_the_attempt() {
    let answers = [
        (Err(io::ErrorKind::ConnectionReset), "connection reset"),
        (addresses(&[]), "entity not found"),
    ];
    for (answer, kind) in answers {
        let mut client = Client::new(host(), quiet);
        client.fixture.script.report_answer();
        client.expect(&[]);
        client.fixture.script.resolve(answer);
        client.expect_failed(kind);
    }
    let mut fixture = Fixture::new(quiet);
    fixture.script.refuse_questions();
    let key = fixture.port.key();
    host().connect(&mut fixture.reactor, key).unwrap();
    fixture.log.expect(&[]);
    fixture.turn();
    fixture.log.expect(&["failed: operation would block"]);
}

/// What can be done to an attempt, and what the factory hears of it.
type Deed = (fn(&mut Client), &'static str);

fn stop(client: &mut Client) {
    client.fixture.reactor.stop();
    assert!(client.fixture.reactor.turn(Some(Duration::ZERO)).unwrap().is_break());
}

const DEEDS: [Deed; 5] = [
    (|client| client.connector.transport().abort_connection(), "connection aborted"),
    (|client| client.connector.transport().lose_connection(), "connection aborted"),
    (|client| client.connector.transport().fail("enough"), "other error"),
    (stop, "connection aborted"),
    (|client| client.fixture.reactor.stop_gracefully(Duration::from_secs(9)), "connection aborted"),
];

/// How far an attempt is.
const STATES: [fn(&mut Client) -> Vec<Peer>; 5] = [
    // Its name is being resolved.
    |_| Vec::new(),
    // The first address is tried, and the delay runs.
    |client| {
        client.resolve(&[V6, V4]);
        vec![client.server()]
    },
    // Both are tried.
    |client| {
        client.resolve(&[V6, V4]);
        let first = client.server();
        vec![first, client.next_server()]
    },
    // The first has failed, and the second is tried.
    |client| {
        client.resolve(&[V6, V4]);
        client.server().refuse();
        client.fixture.settle();
        vec![client.server()]
    },
    // The winner has no room for all of the PROXY header.
    |client| {
        client.resolve(&[V6, V4]);
        let first = client.server();
        first.set_room(3);
        first.answer();
        client.fixture.settle();
        vec![first]
    },
];

#[test]
fn an_attempt_is_given_up_in_every_state_and_its_factory_hears_of_it_once() {
    for (number, reach) in STATES.into_iter().enumerate() {
        for (give_up, told) in DEEDS {
            let endpoint = ClientEndpoint::from(host()).proxy_header(ProxyHeader::local());
            let mut client = Client::new(endpoint, quiet);
            let servers = reach(&mut client);
            client.expect(&[]);
            give_up(&mut client);
            // A drain that ends ends the reactor.
            for _ in 0..20 {
                if client.fixture.reactor.turn(Some(Duration::ZERO)).unwrap().is_break() {
                    break;
                }
            }
            client.fixture.log.expect(&[&format!("failed: {told}"), "stopped"]);
            assert!(!client.connector.transport().is_connected(), "{number}");
            assert!(client.fixture.script.asked().is_empty(), "{number}");
            for server in servers {
                assert_eq!(server.closed(), Closed::InOrder, "{number}");
                server.answer();
            }
            client.fixture.script.report_answer();
            client.fixture.script.advance(Duration::from_secs(60));
            client.expect(&[]);
            client.fixture.expect_empty();
        }
    }
}

#[test]
fn a_close_with_bytes_to_send_waits_for_the_connection() {
    let mut client = Client::new(host(), quiet);
    let transport = client.connector.transport().clone();
    transport.write("bye");
    transport.lose_connection();
    client.expect(&[]);
    client.resolve(&[V4]);
    let server = client.server();
    server.answer();
    client.expect(&["0 made", "0 lost: connection closed gracefully", "stopped"]);
    assert_eq!(server.received(), b"bye");
}

#[test]
fn the_winner_alone_sends_the_proxy_header() {
    let endpoint = ClientEndpoint::from(host()).proxy_header(ProxyHeader::local());
    let mut client = Client::new(endpoint.clone(), quiet);
    client.connector.transport().write("hello");
    client.resolve(&[V6, V4]);
    let first = client.server();
    let second = client.next_server();
    second.set_room(3);
    second.answer();
    client.expect(&[]);
    second.set_room(1000);
    client.expect(&["0 made"]);
    let mut expected = Vec::new();
    ProxyHeader::local().encode(&mut expected);
    expected.extend(b"hello");
    assert_eq!((first.received(), second.received()), (Vec::new(), expected));
}

#[test]
fn a_second_attempt_without_a_descriptor_does_not_fail_the_first() {
    let mut client = Client::new(host(), quiet);
    client.resolve(&[V6, V4]);
    let first = client.server();
    // `EMFILE`.
    client.fixture.script.fail_connect(io::Error::from_raw_os_error(24));
    client.fixture.script.advance(DELAY);
    client.expect(&[]);
    first.answer();
    client.expect(&["0 made"]);
    assert_eq!(client.peer(), V6);
}

#[test]
fn an_attempt_that_fails_at_once_lets_the_next_one_start() {
    let mut client = Client::new(host(), quiet);
    client.fixture.script.fail_connect(io::ErrorKind::NetworkUnreachable.into());
    client.resolve(&[V6, V4]);
    client.server().answer();
    client.expect(&["0 made"]);
    assert_eq!(client.peer(), V4);
    let mut client = Client::new(host(), quiet);
    // The scripted driver refuses this port at once.
    client.resolve(&["[2001:db8::1]:1", "192.0.2.7:1"]);
    client.expect_failed("address not available");
}

#[test]
fn a_local_address_leaves_out_those_of_the_other_family() {
    let mut client = Client::new(host().bind(([192, 0, 2, 9], 0)), quiet);
    client.resolve(&[V6, V4]);
    client.server().answer();
    client.expect(&["0 made"]);
    assert_eq!(client.peer(), V4);
    let mut client = Client::new(host().bind(([192, 0, 2, 9], 0)), quiet);
    client.resolve(&[V6]);
    client.expect_failed("invalid input parameter");
}

#[test]
fn an_ip_address_is_never_resolved() {
    for literal in ["192.0.2.7", "::1", "[::1]", "fe80::1%2"] {
        let mut client = Client::new(HostnameEndpoint::new(literal, 80).unwrap(), quiet);
        assert!(client.fixture.script.asked().is_empty());
        client.server().answer();
        client.expect(&["0 made"]);
    }
}
