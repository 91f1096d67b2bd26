//! Clients in memory, whose server is the test.

use super::*;
use crate::{
    ClientEndpoint, Factory, HostnameEndpoint, Reactor, TcpClientEndpoint, Transport,
    UnixClientEndpoint, build_protocol,
};
use std::io::{self, ErrorKind};

/// Connects again after a second, whenever it is not connected.
struct Persistent(ClientEndpoint);

struct Greeting;

impl Protocol<Persistent> for Greeting {
    fn connection_made(&mut self, cx: &mut Context<'_, Persistent>) {
        cx.transport.write("hello");
    }

    fn connection_lost(&mut self, cx: &mut Context<'_, Persistent>, _: &Reason) {
        cx.factory.connect_later(cx.reactor);
    }
}

impl Persistent {
    fn connect_later(&self, reactor: &mut Reactor) {
        let (key, endpoint) = (reactor.key_of(self).unwrap(), self.0.clone());
        reactor.call_later(s(1), move |reactor| endpoint.connect(reactor, key).map(drop).unwrap());
    }
}

impl Factory for Persistent {
    build_protocol!(Greeting, |_| Greeting);

    fn connection_failed(&mut self, _: &Transport, _: &io::Error, reactor: &mut Reactor) {
        self.connect_later(reactor);
    }
}

/// Sets up a reactor with a client that connects again and again.
fn persist(simulation: &Simulation, endpoint: impl Into<ClientEndpoint>) -> Host {
    let endpoint = endpoint.into();
    simulation.host("client", move |reactor| {
        let key = reactor.add_factory(Persistent(endpoint.clone()))?;
        endpoint.clone().connect(reactor, key)?;
        Ok(())
    })
}

/// The endpoints of a client: an address, a name, and a Unix socket.
fn endpoints() -> [ClientEndpoint; 4] {
    let timeout = s(5);
    [
        TcpClientEndpoint::new(([127, 0, 0, 1], 8007)).timeout(timeout).into(),
        TcpClientEndpoint::new(([0, 0, 0, 0, 0, 0, 0, 1], 8007)).timeout(timeout).into(),
        HostnameEndpoint::new("DB.example.", 8007).unwrap().timeout(timeout).into(),
        UnixClientEndpoint::new("/run/db.sock").timeout(timeout).into(),
    ]
}

#[test]
fn a_test_of_a_client_takes_five_lines() {
    let peer = accept(|| Echo { greeting: 3, ..Echo::default() });
    assert_eq!(peer.take_received(), b"...");
    peer.send("hello");
    assert_eq!(peer.take_received(), b"hello");
    peer.close_write();
    assert_eq!(peer.close_kind(), Some(End::Closed));
    assert_eq!((peer.calls().data_received(), peer.calls().connection_lost()), (1, 1));
    assert!(peer.lost_reason().unwrap().is_done() && !peer.transport().unwrap().is_connected());
}

#[test]
fn the_server_s_end_does_what_a_client_s_end_does() {
    for endpoint in endpoints() {
        let is_unix = endpoint.address().unix().is_some();
        let echo = |log: &Log| {
            let echo = Echo { log: log.clone(), ..Echo::default() };
            move || echo.clone()
        };
        let log = Log::default();
        let client = Client::to(endpoint.clone(), echo(&log));
        let conditions = Conditions::ideal().send_buffer(10_000).receive_buffer(10_000);
        client.simulation().set_conditions(conditions);
        let peer = client.accept();
        assert!(peer.is_connected() && client.attempt().is_connected(), "{endpoint}");
        let transport = peer.transport().unwrap();
        assert!(is_unix || transport.peer_address().port() == Some(8007));

        peer.stop_reading();
        peer.send([7; 500_000]);
        assert!(transport.unsent() > 0 && peer.received().is_empty(), "{endpoint}: {peer:?}");
        peer.resume_reading();
        assert_eq!((peer.unsent(), peer.take_received().len()), (0, 500_000));
        peer.read_slowly(10, s(1));
        peer.send("slowly, but all of it");
        peer.advance(s(1));
        assert_eq!(peer.take_received(), b"slowly, but all of i");
        peer.send_urgent();
        peer.reset();
        assert_eq!(log.reason(), "ConnectionReset", "{endpoint}");

        let log = Log::default();
        let client = Client::to(endpoint, echo(&log));
        drop(client.accept());
        assert_eq!(log.reason(), "Done");
        assert!(client.attempt().is_over() && client.host().open() == 0);
        assert_eq!(client.simulation().connections(), 0);
    }
}

#[test]
fn attempts_are_refused_ignored_or_accepted_later() {
    for endpoint in endpoints() {
        let client = Client::to(endpoint.clone(), Echo::default);
        assert_eq!(client.waiting(), 1, "{endpoint}");
        client.refuse();
        assert_eq!(client.attempt().error(), Some(ErrorKind::ConnectionRefused), "{endpoint}");
        assert_eq!((client.waiting(), client.simulation().connections()), (0, 0));

        let client = Client::to(endpoint.clone(), Echo::default);
        client.advance(s(4));
        assert_eq!((client.waiting(), client.attempt().error()), (1, None));
        let peer = client.accept();
        peer.send("late");
        // The client of a Unix socket looks for an answer from time to time.
        client.advance(ms(10));
        assert_eq!(peer.take_received(), b"late", "{endpoint}");
        assert_eq!(client.attempts(), [Duration::ZERO], "the packets of one attempt count once");

        for ignores in [true, false] {
            let client = Client::to(endpoint.clone(), Echo::default);
            if ignores {
                client.ignore();
            }
            client.advance(s(5) - ms(1));
            assert_eq!((client.waiting(), client.attempt().error()), (usize::from(!ignores), None));
            client.advance(ms(1));
            assert_eq!(client.attempt().error(), Some(ErrorKind::TimedOut), "{endpoint}");
            assert_eq!(client.waiting(), 0);
            client.advance(s(200));
            assert_eq!(client.simulation().connections(), 0);
        }
    }
}

#[test]
fn a_test_sees_each_attempt_of_a_client_that_connects_again() {
    for latency in [Duration::ZERO, ms(10)] {
        let simulation = Simulation::new(1);
        simulation.set_conditions(Conditions::ideal().latency(latency));
        let listener = simulation.listen("db", 8007);
        let client = persist(&simulation, TcpClientEndpoint::new(listener.address()));
        listener.refuse();
        listener.refuse();
        let first = listener.accept();
        simulation.run_for(s(1));
        assert_eq!(first.take_received(), b"hello");
        assert_eq!((listener.waiting(), client.open()), (0, 1));
        first.reset();
        let second = listener.accept();
        simulation.run_for(s(1));
        assert_eq!(second.take_received(), b"hello");
        assert!(first.lost_reason().is_some() && second.lost_reason().is_none());
        assert_eq!((first.calls().connection_lost(), second.calls().connection_lost()), (1, 0));
        let attempts = listener.attempts();
        assert_eq!((attempts.len(), attempts[0]), (4, latency));
        assert_eq!(attempts[1] - attempts[0], s(1) + 2 * latency);
        drop((listener, first, second));
        simulation.run_for(ms(9_500));
        assert_eq!((simulation.connections(), client.open()), (0, 0), "nobody listens any more");
        assert!(client.open_resources().timers > 0, "but it tries");
    }
}

#[test]
fn a_listener_that_is_dropped_refuses_its_clients() {
    for description in ["tcp:db:8007", "unix:/run/db.sock"] {
        let simulation = Simulation::new(1);
        let client = simulation.host("client", |_| Ok(()));
        let listener = match description {
            "tcp:db:8007" => simulation.listen("db", 8007),
            _ => client.unix_listen("/run/db.sock"),
        };
        let endpoint: ClientEndpoint = description.parse().unwrap();
        let attempt = client.connect_to(endpoint, Echo::default);
        assert_eq!((listener.waiting(), attempt.error()), (1, None));
        let kept = listener.clone();
        drop(listener);
        assert_eq!((kept.waiting(), attempt.error()), (1, None));
        drop(kept);
        assert_eq!(attempt.error(), Some(ErrorKind::ConnectionRefused), "{description}");
    }
    let simulation = Simulation::new(1);
    let listener = simulation.listen("db", 8007);
    let client = simulation.host("client", |_| Ok(()));
    let made = client.connect(listener.address(), Echo::default);
    let (peer, address) = (listener.accept(), listener.address());
    drop(listener);
    peer.send("hello");
    assert_eq!((peer.take_received().as_slice(), made.is_connected()), (&b"hello"[..], true));
    drop(simulation.listen("db", address.port()));
}

#[test]
fn a_client_that_never_comes_is_named_with_the_attempts_so_far() {
    let client = Client::new(Echo::default);
    client.refuse();
    let accept = std::panic::AssertUnwindSafe(|| client.accept());
    let text = *std::panic::catch_unwind(accept).unwrap_err().downcast::<String>().unwrap();
    assert!(text.starts_with("no client tries to connect to port 8000, at 3600s of "), "{text}");
    assert!(text.ends_with("answered or given up: [0ns]"), "{text}");
}

#[test]
fn bytes_written_before_the_answer_come_after_it() {
    let client = Client::new(|| Echo { greeting: 3, ..Echo::default() });
    client.reactor(|_| ());
    let peer = client.accept();
    assert_eq!(peer.take_received(), b"...");
    assert!(!format!("{client:?}{peer:?}").is_empty());
}

#[test]
fn a_factory_is_reached_while_its_client_connects_and_stops_with_it() {
    let endpoint = TcpClientEndpoint::new(([192, 0, 2, 1], 7));
    let settings = Settings::default().record_layer(2);
    let client = Client::with_settings(settings, endpoint.clone(), Persistent(endpoint.into()));
    assert_eq!(client.factory(|it, _| it.0.address().port()), Some(7));
    let peer = client.accept();
    peer.send("five");
    assert_eq!((peer.take_received().as_slice(), peer.calls().data_received()), (&b"hello"[..], 2));
    client.stop();
    assert_eq!((peer.close_kind(), client.calls().connection_lost()), (Some(End::Closed), 1));
}

#[test]
fn an_attempt_through_a_partition_arrives_when_it_is_healed() {
    let simulation = Simulation::new(1);
    let listener = simulation.listen("db", 8007);
    let client = simulation.host("client", |_| Ok(()));
    simulation.inject("partition client db".parse().unwrap());
    let attempt = client.connect(listener.address(), Echo::default);
    simulation.run_for(s(10));
    assert_eq!((listener.waiting(), listener.attempts().len()), (0, 0));
    simulation.inject("heal client db".parse().unwrap());
    drop(listener.accept());
    assert_eq!((simulation.now(), attempt.is_over()), (s(15), true), "the SYN after 15 seconds");
}

#[test]
fn a_peer_and_a_listener_make_a_connection_without_a_reactor() {
    let simulation = Simulation::new(1);
    let listener = simulation.listen("db", 8007);
    let client = simulation.peer("ann", listener.address());
    client.send("hello");
    let server = listener.accept();
    assert_eq!(server.take_received(), b"hello");
    server.send("hi");
    drop(server);
    assert_eq!(
        (client.take_received().as_slice(), client.close_kind()),
        (&b"hi"[..], Some(End::Closed))
    );
    assert!(client.transport().is_none() && client.lost_reason().is_none());
}
