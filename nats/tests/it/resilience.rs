//! What a client does when connections break, servers restart and networks fail.

use crate::simulated::{
    Heard, SECOND, ServerHost, client, lines, listen, plain, serve, serve_as, take,
};
use crate::simulated_server::SimulatedServer;
use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::rc::Rc;
use std::time::Duration;
use twistor::testing::{Conditions, Fault, FaultPlan, Host, Simulation, explore};
use twistor_nats::codec::ServerCommand;
use twistor_nats::error::PublishError;
use twistor_nats::{Client, ConnectOptions, HeaderMap, QueuePolicy};

/// Restarts the server, which is down for a while, and of which ann hears.
fn restart(simulation: &Simulation, down: Duration) {
    simulation.inject(Fault::Reset { a: "ann".into(), b: "server".into() });
    simulation.inject(Fault::Crash { host: "server".into() });
    simulation.run_for(down);
    simulation.inject(Fault::Restart { host: "server".into() });
}

#[test]
fn subscriptions_are_made_again_before_anything_is_published() {
    let simulation = Simulation::new(1);
    let server = serve(&simulation);
    let (ann, events) = client(&simulation, "ann", |options| options);
    let (first, second) = (listen(&ann.state(), "a.*"), listen(&ann.state(), "b"));
    let heard = Heard::default();
    let written = Rc::clone(&heard);
    let limited = ann.state().subscribe("c", move |_, _| written.borrow_mut().push("c".to_owned()));
    ann.state().unsubscribe_after(limited.unwrap(), 3);
    simulation.run_for(SECOND);
    ann.state().publish("c", "").unwrap();
    simulation.run_for(SECOND);
    restart(&simulation, SECOND);
    assert!(!ann.state().is_connected());
    ann.state().publish("a.b", "queued 1").unwrap();
    ann.state().publish("b", "queued 2").unwrap();
    assert!(ann.state().queued() > 0);
    simulation.run_for(10 * SECOND);
    assert_eq!(take(&first), ["a.b queued 1"]);
    assert_eq!(take(&second), ["b queued 2"]);
    let said = lines(&server);
    assert_eq!(said[..6], ["PING", "SUB a.* 1", "SUB b 2", "SUB c 3", "UNSUB 3 2", "PUB a.b 8"]);
    (0..5).for_each(|_| ann.state().publish("c", "").unwrap());
    simulation.run_for(SECOND);
    assert_eq!(take(&heard).len(), 3);
    let events = take(&events);
    assert_eq!(events[0], "connected to nats://server:4222");
    assert!(events[1].starts_with("the connection to nats://server:4222 is lost: "));
    assert_eq!(events.last().unwrap(), "connected again, to nats://server:4222");
    assert_eq!(ann.state().statistics().reconnects, 1);
}

#[test]
fn a_full_queue_rejects_or_drops_the_oldest() {
    for (policy, expected) in [(QueuePolicy::Reject, "0 1"), (QueuePolicy::DropOldest, "8 9")] {
        let simulation = Simulation::new(1);
        let (ann, _) = client(&simulation, "ann", move |options| options.max_queued(1200, policy));
        let mut rejected = 0;
        for number in 0..10 {
            let payload = format!("{number}{}", " ".repeat(499));
            match ann.state().publish("a", payload) {
                Ok(()) => {}
                Err(error) => {
                    assert_eq!(error, PublishError::QueueFull);
                    rejected += 1;
                }
            }
        }
        let dropped = ann.state().statistics().dropped;
        let told = if policy == QueuePolicy::Reject { (8, 0) } else { (0, 8) };
        assert_eq!((rejected, dropped), told);
        let bob = simulation.host("none", |_| Ok(()));
        drop(bob);
        let _server = serve(&simulation);
        let cat = plain(&simulation, "cat");
        let heard = listen(&cat.state(), "a");
        simulation.run_for(10 * SECOND);
        let heard: Vec<String> = take(&heard).iter().map(|line| line[2..3].to_owned()).collect();
        assert_eq!(heard.join(" "), expected);
    }
}

#[test]
fn messages_that_the_next_server_does_not_take_are_dropped_and_counted() {
    let simulation = Simulation::new(1);
    let starts = Cell::new(0);
    let server = serve_as(&simulation, "server", move || {
        let mut server = SimulatedServer::new();
        starts.set(starts.get() + 1);
        if starts.get() > 1 {
            (server.info.headers, server.info.max_payload) = (false, 100);
        }
        server
    });
    let (ann, events) = client(&simulation, "ann", |options| options);
    let heard = listen(&ann.state(), "a");
    simulation.run_for(SECOND);
    restart(&simulation, SECOND);
    let mut headers = HeaderMap::new();
    headers.append("Node", "7").unwrap();
    ann.state().publish("a", "1").unwrap();
    ann.state().publish_with_headers("a", &headers, "2").unwrap();
    ann.state().publish("a", [b'3'; 101]).unwrap();
    ann.state().publish("a", "4").unwrap();
    simulation.run_for(10 * SECOND);
    assert_eq!(take(&heard), ["a 1", "a 4"]);
    assert_eq!(ann.state().statistics().dropped, 2);
    let error = ann.state().publish_with_headers("a", &headers, "5").unwrap_err();
    assert_eq!(error, PublishError::HeadersUnsupported);
    let error = ann.state().publish("a", [b'6'; 101]).unwrap_err();
    assert_eq!(error, PublishError::MaxPayload { len: 101, max: 100 });
    assert_eq!(take(&events).last().unwrap(), "connected again, to nats://server:4222");
    drop(server);
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    let simulation = Simulation::new(1);
    let _server = serve(&simulation);
    let (ann, events) = client(&simulation, "ann", |options| options.ping_interval(10 * SECOND));
    simulation.run_for(SECOND);
    simulation.inject(Fault::HalfOpen { a: "ann".into(), b: "server".into() });
    simulation.run_for(25 * SECOND);
    assert!(ann.state().is_connected());
    simulation.run_for(10 * SECOND);
    let events = take(&events);
    assert!(events[1].contains("does not answer to PING"), "{events:?}");
    assert!(ann.state().is_connected(), "it has connected again");
}

#[test]
fn another_server_takes_over() {
    let simulation = Simulation::new(1);
    let first = serve_as(&simulation, "server", || {
        let mut server = SimulatedServer::new();
        server.info.connect_urls = vec!["second:4222".to_owned()];
        server
    });
    let _second = serve_as(&simulation, "second", SimulatedServer::new);
    let (ann, events) = client(&simulation, "ann", |options| options);
    simulation.run_for(SECOND);
    let port = first.state();
    first.reactor(|reactor| {
        let told = reactor.with_factory(&*port, |server, _| {
            server.info.lame_duck_mode = true;
            server.write_all(&ServerCommand::Info(Box::new(server.info.clone())));
            server.write_all(&ServerCommand::Err("Slow Consumer"));
        });
        told.unwrap();
    });
    simulation.run_for(SECOND);
    simulation.inject(Fault::Crash { host: "server".into() });
    simulation.run_for(SECOND);
    simulation.inject(Fault::Reset { a: "ann".into(), b: "server".into() });
    simulation.run_for(60 * SECOND);
    let events = take(&events);
    assert_eq!(events[1], "the server is about to shut down");
    assert_eq!(events[2], "the server says: Slow Consumer");
    assert!(events[3].starts_with("the connection to nats://server:4222 is lost"), "{events:?}");
    // The one that was given is tried first.
    assert!(events[4].starts_with("cannot connect to nats://server:4222"), "{events:?}");
    assert_eq!(events[5], "connected again, to nats://second:4222");
    assert!(ann.state().is_connected());
}

#[test]
fn wrong_credentials_are_told_and_tried_again() {
    let simulation = Simulation::new(1);
    let _server = serve_as(&simulation, "server", || {
        let mut server = SimulatedServer::new();
        server.password = Some("secret");
        server
    });
    let (ann, events) = client(&simulation, "ann", |it| it.user_and_password("ann", "wrong"));
    simulation.run_for(20 * SECOND);
    let events = take(&events);
    assert_eq!(events[0], "the server says: Authorization Violation");
    let refused = "cannot connect to nats://server:4222: Authorization Violation";
    assert_eq!(events[1], refused);
    let tries = events.iter().filter(|event| *event == refused).count();
    assert!((5..20).contains(&tries), "the delays grow: {tries}");
    assert!(!ann.state().is_connected());
    let (bob, _) = client(&simulation, "bob", |it| it.user_and_password("bob", "secret"));
    simulation.run_for(SECOND);
    assert!(bob.state().is_connected());
}

#[test]
fn a_panic_of_a_subscriber_ends_the_connection_and_nothing_else() {
    let simulation = Simulation::new(1);
    simulation.allow_panics();
    let _server = serve(&simulation);
    let (ann, _) = client(&simulation, "ann", |options| options);
    let heard = Heard::default();
    let written = Rc::clone(&heard);
    let begun = ann.state().subscribe("a", move |_, message| {
        assert!(message.payload() != b"bad", "a bad message");
        written.borrow_mut().push("good".to_owned());
    });
    begun.unwrap();
    let other = listen(&ann.state(), "b");
    simulation.run_for(SECOND);
    ann.state().publish("a", "bad").unwrap();
    simulation.run_for(5 * SECOND);
    assert_eq!(simulation.take_panics().len(), 1);
    ann.state().publish("a", "good").unwrap();
    ann.state().publish("b", "x").unwrap();
    simulation.run_for(SECOND);
    assert_eq!(take(&heard), ["good"]);
    assert_eq!(take(&other), ["b x"]);
}

#[test]
fn a_server_that_takes_messages_slowly_fills_the_queue_and_not_memory() {
    let simulation = Simulation::new(1);
    let server = serve(&simulation);
    let (ann, _) = client(&simulation, "ann", |it| it.max_queued(100_000, QueuePolicy::Reject));
    let bob = plain(&simulation, "bob");
    let slow = Conditions::ideal().bandwidth(200_000).send_buffer(16_384).receive_buffer(16_384);
    simulation.set_conditions_between("ann", "server", slow);
    let (count, sum) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let (counted, summed) = (Rc::clone(&count), Rc::clone(&sum));
    let begun = bob.state().subscribe("a", move |_, message| {
        let number: u64 = std::str::from_utf8(message.payload()).unwrap().trim().parse().unwrap();
        assert!(number > summed.get(), "in order");
        summed.set(number);
        counted.set(counted.get() + 1);
    });
    begun.unwrap();
    simulation.run_for(SECOND);
    let (mut accepted, mut rejected) = (0, 0);
    for number in 1..=5000 {
        match ann.state().publish("a", format!("{number:1000}")) {
            Ok(()) => accepted += 1,
            Err(error) => {
                assert_eq!(error, PublishError::QueueFull);
                rejected += 1;
            }
        }
    }
    assert!(accepted > 1000 && rejected > 1000, "{accepted} {rejected}");
    simulation.run_for(120 * SECOND);
    assert_eq!((count.get(), ann.state().queued()), (accepted, 0));
    drop(server);
}

#[cfg(feature = "tls")]
mod tls {
    use super::*;
    use twistor::testing::tls::{acceptor, connector};

    fn encrypted() -> SimulatedServer {
        let mut server = SimulatedServer::new();
        server.info.tls_required = true;
        server.acceptor = Some(acceptor());
        server
    }

    #[test]
    fn tls_begins_after_info() {
        let simulation = Simulation::new(1);
        let _server = serve_as(&simulation, "server", encrypted);
        let named = || connector().server_name("localhost").unwrap();
        let (ann, events) = client(&simulation, "ann", move |options| options.tls(named()));
        let heard = listen(&ann.state(), "a");
        simulation.run_for(SECOND);
        ann.state().publish("a", "secret").unwrap();
        simulation.run_for(SECOND);
        assert_eq!(take(&heard), ["a secret"]);
        assert_eq!(take(&events), ["connected to nats://server:4222"]);
        restart(&simulation, SECOND);
        simulation.run_for(10 * SECOND);
        ann.state().publish("a", "again").unwrap();
        simulation.run_for(SECOND);
        assert_eq!(take(&heard), ["a again"]);
    }

    #[test]
    fn nothing_may_follow_info_before_tls() {
        let simulation = Simulation::new(1);
        let listener = simulation.listen("server", 4222);
        let named = || connector().server_name("localhost").unwrap();
        let (ann, events) = client(&simulation, "ann", move |options| options.tls(named()));
        let heard = listen(&ann.state(), "a");
        let peer = listener.accept();
        // Somebody on the way adds to what the server says.
        peer.send("INFO {\"tls_required\":true}\r\nPONG\r\nMSG a 1 4\r\nevil\r\n");
        simulation.run_for(SECOND);
        let events = take(&events);
        assert!(events[0].contains("bytes that are not encrypted"), "{events:?}");
        assert!(take(&heard).is_empty());
        assert!(peer.close_kind().is_some());
    }

    #[test]
    fn without_certificates_or_a_server_that_encrypts_there_is_no_connection() {
        let simulation = Simulation::new(1);
        let _server = serve_as(&simulation, "server", encrypted);
        let _plain = serve_as(&simulation, "plain", SimulatedServer::new);
        let (_, none) = client(&simulation, "ann", |options| options);
        let (_, wrong) = client(&simulation, "bob", |options| options.tls(connector()));
        let host = simulation.host("cat", |reactor| {
            let options = ConnectOptions::new("nats://plain").tls(connector()).require_tls();
            Ok(options.connect(reactor)?)
        });
        simulation.run_for(SECOND);
        assert!(take(&none)[0].contains("asks for TLS: set `ConnectOptions::tls`"));
        let wrong = take(&wrong);
        assert!(wrong[0].starts_with("cannot connect to nats://server:4222: "), "{wrong:?}");
        assert!(!host.state().is_connected());
    }
}

/// A publisher and two subscribers on a network with faults. What a subscriber hears is in order,
/// not doubled, and misses something only if a connection was lost; and when all is well again,
/// everything arrives.
fn order(simulation: &Simulation) {
    let mut random = simulation.random();
    let is_rough = random.below(3) > 0;
    if is_rough {
        simulation.set_conditions(Conditions::rough());
    }
    let server: ServerHost = serve(simulation);
    let options = |it: ConnectOptions| it.ping_interval(5 * SECOND).reconnect_delay_max(2 * SECOND);
    let (publisher, published) = client(simulation, "ann", options);
    let subscribers = ["bob", "cat"].map(|name| subscriber(simulation, name));
    simulation.run_for(5 * SECOND);
    let within = Duration::from_secs(30);
    let count = random.below(6);
    let hosts = ["server", "ann", "bob", "cat"];
    let plan = FaultPlan::random(&mut random, &hosts, within, count);
    simulation.follow(&plan);
    let mut number = 0;
    let mut accepted = Vec::new();
    for _ in 0..400 {
        number += 1;
        let said = publisher.is_up().then(|| publisher.state().publish("a", number.to_string()));
        accepted.extend(matches!(said, Some(Ok(()))).then_some(number));
        simulation.run_for(random.up_to(Duration::from_millis(200)));
    }
    simulation.run_for(Duration::from_secs(120));
    assert!(publisher.state().is_connected(), "{:?}", published.borrow());
    for number in 1001..=1003 {
        publisher.state().publish("a", number.to_string()).unwrap();
    }
    simulation.run_for(Duration::from_secs(30));
    for Subscriber { host, heard, events } in &subscribers {
        assert!(host.state().is_connected(), "{:?}", events.borrow());
        let heard = heard.borrow();
        assert!(heard.is_sorted_by(|one, next| one < next), "{heard:?}");
        assert!(heard.ends_with(&[1001, 1002, 1003]), "{heard:?}");
        let losses = |events: &Heard| events.borrow().len() > 1;
        let was_whole = count == 0 && !losses(events) && !losses(&published);
        let missed = accepted.iter().filter(|number| !heard.contains(number)).count();
        assert!(!was_whole || missed == 0, "{missed} are missing");
    }
    drop(server);
}

struct Subscriber {
    host: Host<Client>,
    heard: Rc<RefCell<Vec<u64>>>,
    events: Heard,
}

/// A subscriber, which subscribes again when its host restarts.
fn subscriber(simulation: &Simulation, name: &str) -> Subscriber {
    let (heard, events) = (Rc::new(RefCell::new(Vec::new())), Heard::default());
    let (written, noted) = (Rc::clone(&heard), Rc::clone(&events));
    let host = simulation.host(name, move |reactor| {
        let noted = Rc::clone(&noted);
        let options = ConnectOptions::new("nats://server")
            .ping_interval(5 * SECOND)
            .reconnect_delay_max(2 * SECOND)
            .on_event(move |_, event| noted.borrow_mut().push(event.to_string()));
        let client = options.connect(reactor)?;
        let written = Rc::clone(&written);
        client.subscribe("a", move |_, message| {
            let number = std::str::from_utf8(message.payload()).unwrap().parse().unwrap();
            written.borrow_mut().push(number);
        })?;
        Ok(client)
    });
    Subscriber { host, heard, events }
}

#[test]
fn messages_are_in_order_and_not_doubled_whatever_fails() {
    let report = explore(20, order);
    let _ = writeln!(io::stderr(), "order: {report}; TWISTOR_RUNS=1000 runs more");
}
