//! Requests, flushes, and the ends of a client.

use crate::simulated::{Heard, SECOND, client, lines, listen, plain, serve, serve_as, take};
use crate::simulated_server::SimulatedServer;
use std::cell::Cell;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Duration;
use twistor::Reactor;
use twistor::testing::{Conditions, Fault, Host, Simulation};
use twistor_nats::error::FlushError;
use twistor_nats::{Client, HeaderMap, QueuePolicy};

fn answer(host: &Host<Client>, subject: &str) {
    let own = (*host.state()).clone();
    let answered = host.state().subscribe(subject, move |_, message| {
        let text = String::from_utf8_lossy(message.payload()).to_uppercase();
        own.publish(message.reply().unwrap(), text).unwrap();
    });
    answered.unwrap();
}

fn ask(host: &Host<Client>, subject: &str, payload: &str, heard: &Heard) {
    let (heard, client) = (Rc::clone(heard), host.state());
    host.reactor(|reactor| {
        let asked = client.request(subject, payload, 2 * SECOND, reactor, move |_, answer| {
            let line = match answer {
                Ok(message) => String::from_utf8_lossy(message.payload()).into_owned(),
                Err(error) => error.to_string(),
            };
            heard.borrow_mut().push(line);
        });
        asked.unwrap();
    });
}

fn flush(host: &Host<Client>, heard: &Heard) {
    let (heard, client) = (Rc::clone(heard), host.state());
    host.reactor(|reactor| {
        let note = move |_: &mut Reactor, answer: Result<(), _>| {
            let line =
                answer.map_or_else(|it: FlushError| it.to_string(), |()| "flushed".to_owned());
            heard.borrow_mut().push(line);
        };
        client.flush(2 * SECOND, reactor, note).unwrap();
    });
}

#[test]
fn requests_are_answered_each_by_its_own() {
    let simulation = Simulation::new(1);
    let server = serve(&simulation);
    let bob = plain(&simulation, "bob");
    answer(&bob, "upper");
    let heard = Heard::default();
    simulation.run_for(SECOND);
    let ann = plain(&simulation, "ann");
    // Before there is a connection.
    ask(&ann, "upper", "zero", &heard);
    simulation.run_for(SECOND);
    for word in ["one", "two", "three"] {
        ask(&ann, "upper", word, &heard);
    }
    simulation.run_for(SECOND);
    assert_eq!(take(&heard), ["ZERO", "ONE", "TWO", "THREE"]);
    let inboxes = lines(&server).iter().filter(|line| line.starts_with("SUB _INBOX.")).count();
    assert_eq!(inboxes, 1);
}

#[test]
fn a_request_without_an_answer_ends_with_an_error() {
    let simulation = Simulation::new(1);
    let _server = serve(&simulation);
    let (ann, bob) = (plain(&simulation, "ann"), plain(&simulation, "bob"));
    let _mute = listen(&bob.state(), "mute");
    let heard = Heard::default();
    simulation.run_for(SECOND);
    ask(&ann, "nobody", "", &heard);
    simulation.run_for(SECOND / 10);
    assert_eq!(take(&heard), ["no responders for the subject of the request"]);
    ask(&ann, "mute", "", &heard);
    simulation.run_for(SECOND);
    assert!(take(&heard).is_empty());
    simulation.run_for(2 * SECOND);
    assert_eq!(take(&heard), ["no answer came in time"]);
    ask(&ann, "mute", "", &heard);
    ann.reactor(|reactor| ann.state().close(reactor));
    simulation.run_for(SECOND);
    assert_eq!(take(&heard), ["the NATS client is closed"]);
}

#[test]
fn a_flush_waits_for_the_server() {
    let simulation = Simulation::new(1);
    let _server = serve(&simulation);
    let ann = plain(&simulation, "ann");
    let heard = Heard::default();
    flush(&ann, &heard);
    simulation.run_for(SECOND);
    flush(&ann, &heard);
    simulation.run_for(SECOND);
    assert_eq!(take(&heard), ["flushed", "flushed"]);
    simulation.inject(Fault::Partition { a: "ann".into(), b: "server".into() });
    flush(&ann, &heard);
    simulation.run_for(3 * SECOND);
    assert_eq!(take(&heard), ["the NATS server has not answered in time"]);
    flush(&ann, &heard);
    simulation.inject(Fault::Reset { a: "ann".into(), b: "server".into() });
    simulation.run_for(SECOND);
    assert_eq!(take(&heard), ["the connection to the NATS server was lost"]);
    // There is no connection.
    flush(&ann, &heard);
    simulation.inject(Fault::Heal { a: "ann".into(), b: "server".into() });
    simulation.run_for(10 * SECOND);
    assert_eq!(take(&heard).len(), 1);
}

#[test]
fn a_flush_is_answered_though_the_queue_is_never_empty() {
    let simulation = Simulation::new(1);
    let server = serve(&simulation);
    let (ann, _) = client(&simulation, "ann", |it| it.max_queued(4_000_000, QueuePolicy::Reject));
    let slow = Conditions::ideal().bandwidth(1_000_000).send_buffer(16_384).receive_buffer(16_384);
    simulation.set_conditions_between("ann", "server", slow);
    simulation.run_for(SECOND);
    let own = (*ann.state()).clone();
    ann.reactor(|reactor| {
        reactor.call_every(SECOND / 100, move |_| {
            while own.publish("a", [b'x'; 10_000]).is_ok() {}
            ControlFlow::Continue(())
        });
    });
    simulation.run_for(SECOND);
    assert!(ann.state().queued() > 3_000_000);
    let heard = Heard::default();
    let (written, client) = (Rc::clone(&heard), ann.state());
    ann.reactor(|reactor| {
        let note = move |_: &mut Reactor, it: Result<(), FlushError>| {
            written.borrow_mut().push(format!("{it:?}"));
        };
        client.flush(30 * SECOND, reactor, note).unwrap();
    });
    let _ = lines(&server);
    simulation.run_for(10 * SECOND);
    assert_eq!(take(&heard), ["Ok(())"]);
    assert!(ann.state().queued() > 3_000_000);
    // Behind what was queued before, and not sooner.
    let said = lines(&server);
    let sent = said.iter().take_while(|line| *line != "PING").count();
    assert!((300..700).contains(&sent), "{sent} messages before the flush");
}

#[test]
fn a_flush_that_waits_behind_others_ends_with_their_connection() {
    let simulation = Simulation::new(1);
    let _server = serve(&simulation);
    let ann = plain(&simulation, "ann");
    simulation.run_for(SECOND);
    simulation.inject(Fault::Partition { a: "ann".into(), b: "server".into() });
    (0..30).for_each(|_| ann.state().publish("a", [b'x'; 100_000]).unwrap());
    assert!(ann.state().queued() > 1_000_000);
    let heard = Heard::default();
    flush(&ann, &heard);
    simulation.inject(Fault::Reset { a: "ann".into(), b: "server".into() });
    simulation.inject(Fault::Heal { a: "ann".into(), b: "server".into() });
    simulation.run_for(SECOND);
    // Some were lost on their way.
    assert_eq!(take(&heard), ["the connection to the NATS server was lost"]);
}

#[test]
fn a_flush_behind_messages_that_were_dropped_says_so() {
    let simulation = Simulation::new(1);
    let _server = serve(&simulation);
    let (ann, _) = client(&simulation, "ann", |it| it.max_queued(100_000, QueuePolicy::DropOldest));
    let slow = Conditions::ideal().bandwidth(1_000_000).send_buffer(16_384).receive_buffer(16_384);
    simulation.set_conditions_between("ann", "server", slow);
    simulation.run_for(SECOND);
    let publish = || ann.state().publish("a", [b'x'; 10_000]).unwrap();
    while ann.state().queued() == 0 {
        publish();
    }
    let heard = Heard::default();
    flush(&ann, &heard);
    (0..20).for_each(|_| publish());
    assert!(ann.state().statistics().dropped > 0);
    // Behind messages of which none is dropped.
    flush(&ann, &heard);
    simulation.run_for(10 * SECOND);
    assert_eq!(take(&heard), ["messages before the flush were dropped", "flushed"]);
}

#[test]
fn a_flush_behind_messages_that_the_server_does_not_take_says_so() {
    let simulation = Simulation::new(1);
    let starts = Cell::new(0);
    let _server = serve_as(&simulation, "server", move || {
        let mut server = SimulatedServer::new();
        starts.set(starts.get() + 1);
        server.info.headers = starts.get() == 1;
        server
    });
    let ann = plain(&simulation, "ann");
    simulation.run_for(SECOND);
    simulation.inject(Fault::Reset { a: "ann".into(), b: "server".into() });
    simulation.inject(Fault::Crash { host: "server".into() });
    simulation.run_for(SECOND);
    simulation.inject(Fault::Restart { host: "server".into() });
    let heard = Heard::default();
    ann.state().publish("a", "1").unwrap();
    flush(&ann, &heard);
    ann.state().publish_with_headers("a", &HeaderMap::new(), "2").unwrap();
    flush(&ann, &heard);
    simulation.run_for(10 * SECOND);
    assert_eq!(take(&heard), ["flushed", "messages before the flush were dropped"]);
}

/// Begins a flush or a request whose closure panics.
fn panicking(host: &Host<Client>, is_flush: bool) {
    let client = host.state();
    host.reactor(|reactor| {
        if is_flush {
            client.flush(60 * SECOND, reactor, |_, _| panic!("a defect")).unwrap();
        } else {
            client.request("mute", "", 60 * SECOND, reactor, |_, _| panic!("a defect")).unwrap();
        }
    });
}

#[test]
fn a_panic_of_one_answer_at_a_loss_keeps_back_no_other() {
    let simulation = Simulation::new(1);
    simulation.allow_panics();
    let _server = serve(&simulation);
    let (ann, events) = client(&simulation, "ann", |options| options);
    simulation.run_for(SECOND);
    simulation.inject(Fault::Partition { a: "ann".into(), b: "server".into() });
    let heard = Heard::default();
    panicking(&ann, true);
    flush(&ann, &heard);
    flush(&ann, &heard);
    let _ = take(&events);
    simulation.inject(Fault::Reset { a: "ann".into(), b: "server".into() });
    simulation.run_for(SECOND);
    assert_eq!(take(&heard), ["the connection to the NATS server was lost"; 2]);
    assert!(take(&events)[0].starts_with("the connection to nats://server:4222 is lost"));
    assert_eq!(simulation.take_panics().len(), 1);
    simulation.inject(Fault::Heal { a: "ann".into(), b: "server".into() });
    simulation.run_for(10 * SECOND);
    assert!(ann.state().is_connected());
}

#[test]
fn a_panic_of_one_answer_at_the_end_keeps_back_no_other() {
    let simulation = Simulation::new(1);
    simulation.allow_panics();
    let _server = serve(&simulation);
    let (ann, events) = client(&simulation, "ann", |options| options);
    let bob = plain(&simulation, "bob");
    let _mute = listen(&bob.state(), "mute");
    simulation.run_for(SECOND);
    let heard = Heard::default();
    panicking(&ann, false);
    ask(&ann, "mute", "", &heard);
    simulation.run_for(SECOND);
    ann.reactor(|reactor| ann.state().close(reactor));
    simulation.run_for(SECOND);
    assert_eq!(take(&heard), ["the NATS client is closed"]);
    assert_eq!(take(&events).last().unwrap(), "the client is closed");
    assert_eq!(simulation.take_panics().len(), 1);
    assert_eq!(Rc::strong_count(&events), 2, "the host's start and this test have it");
    assert_eq!(ann.open_resources().timers, 0);
}

#[test]
fn draining_delivers_what_is_on_its_way_and_sends_what_is_published() {
    let simulation = Simulation::new(1);
    let server = serve(&simulation);
    let (ann, events) = client(&simulation, "ann", |options| options);
    answer(&ann, "upper");
    let bob = plain(&simulation, "bob");
    let heard = Heard::default();
    simulation.run_for(SECOND);
    // On their way when the draining begins.
    (0..3).for_each(|_| ask(&bob, "upper", "x", &heard));
    ann.reactor(|reactor| {
        ann.state().publish("last", "words").unwrap();
        ann.state().drain(reactor);
    });
    assert!(ann.state().subscribe("more", |_, _| {}).is_err(), "it is draining");
    simulation.run_for(SECOND);
    assert_eq!(take(&heard), ["X", "X", "X"]);
    assert!(lines(&server).contains(&"PUB last 5".to_owned()));
    assert_eq!(take(&events).last().unwrap(), "the client is closed");
    assert!(ann.state().publish("a", "").is_err() && ann.state().is_closed());
    let left = ann.open_resources();
    assert_eq!((left.connections, left.timers), (0, 1), "the limit of draining");
    simulation.run_for(Duration::from_secs(60));
    assert_eq!(ann.open_resources().timers, 0);
}

fn drain(host: &Host<Client>) {
    host.reactor(|reactor| host.state().drain(reactor));
}

#[test]
fn a_drain_is_not_forgotten_when_the_connection_is_lost() {
    let simulation = Simulation::new(1);
    let _server = serve(&simulation);
    let (ann, events) = client(&simulation, "ann", |it| it.drain_timeout(Duration::MAX));
    let heard = listen(&ann.state(), "a");
    let flushes = Heard::default();
    simulation.run_for(SECOND);
    simulation.inject(Fault::Partition { a: "ann".into(), b: "server".into() });
    flush(&ann, &flushes);
    drain(&ann);
    simulation.run_for(SECOND / 10);
    simulation.inject(Fault::Reset { a: "ann".into(), b: "server".into() });
    simulation.inject(Fault::Heal { a: "ann".into(), b: "server".into() });
    simulation.run_for(SECOND);
    assert_eq!(take(&flushes), ["the connection to the NATS server was lost"]);
    assert!(ann.state().publish("a", "x").is_err());
    assert!(ann.state().subscribe("b", |_, _| {}).is_err());
    assert_eq!(take(&events), ["connected to nats://server:4222", "the client is closed"]);
    assert_eq!(Rc::strong_count(&heard), 1, "the closure is dropped");
    assert_eq!(ann.open_resources().connections, 0);
}

#[test]
fn a_drain_without_a_connection_closes_at_once() {
    let simulation = Simulation::new(1);
    let _server = serve(&simulation);
    let (ann, events) = client(&simulation, "ann", |it| it.drain_timeout(Duration::MAX));
    simulation.run_for(SECOND);
    simulation.inject(Fault::Crash { host: "server".into() });
    simulation.inject(Fault::Reset { a: "ann".into(), b: "server".into() });
    simulation.run_for(SECOND);
    ann.state().publish("a", "queued").unwrap();
    drain(&ann);
    assert!(ann.state().is_closed());
    simulation.run_for(SECOND);
    assert_eq!(take(&events).last().unwrap(), "the client is closed");
    assert_eq!(ann.state().statistics().dropped, 1);
    assert_eq!(ann.open_resources().timers, 0);
}

#[test]
fn a_drain_ends_in_time_though_the_server_takes_nothing() {
    let simulation = Simulation::new(1);
    let _server = serve(&simulation);
    let (ann, events) = client(&simulation, "ann", |it| it.drain_timeout(5 * SECOND));
    simulation.run_for(SECOND);
    simulation.inject(Fault::Partition { a: "ann".into(), b: "server".into() });
    let payload = vec![b'x'; 500_000];
    (0..10).for_each(|_| ann.state().publish("a", &payload).unwrap());
    drain(&ann);
    simulation.run_for(4 * SECOND);
    assert_eq!(take(&events), ["connected to nats://server:4222"]);
    simulation.run_for(2 * SECOND);
    assert_eq!(take(&events), ["the client is closed"]);
    assert!(ann.state().statistics().dropped > 0, "what was still queued");
    assert_eq!(ann.open_resources().connections, 0);
}

#[test]
fn a_reactor_that_stops_gracefully_drains_its_client() {
    let simulation = Simulation::new(1);
    let server = serve(&simulation);
    let (ann, events) = client(&simulation, "ann", |options| options);
    let heard = listen(&ann.state(), "a");
    simulation.run_for(SECOND);
    ann.reactor(|reactor| {
        ann.state().publish("a", "x").unwrap();
        reactor.stop_gracefully(10 * SECOND);
    });
    simulation.run_for(SECOND);
    assert_eq!(take(&heard), ["a x"]);
    assert!(lines(&server).contains(&"PUB a 1".to_owned()));
    assert_eq!(take(&events).last().unwrap(), "the client is closed");
    assert_eq!(ann.report().unwrap().aborted, 0);
}

#[test]
fn a_client_can_be_closed_at_any_time() {
    for millis in [0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 100, 300, 1000] {
        let simulation = Simulation::new(1);
        let server = serve(&simulation);
        let (ann, events) = client(&simulation, "ann", |options| options);
        let heard = listen(&ann.state(), "a");
        ann.state().publish("a", "x").unwrap();
        if millis % 2 == 0 {
            simulation.inject(Fault::Partition { a: "ann".into(), b: "server".into() });
        }
        simulation.run_for(Duration::from_millis(millis));
        ann.reactor(|reactor| {
            ann.state().close(reactor);
            ann.state().close(reactor);
        });
        assert!(ann.state().is_closed());
        simulation.run_for(Duration::from_secs(120));
        let closed = take(&events).iter().filter(|it| *it == "the client is closed").count();
        assert_eq!(closed, 1, "after {millis} ms");
        let left = ann.open_resources();
        assert_eq!((left.connections, left.timers), (0, 0), "after {millis} ms: {left:?}");
        assert_eq!(Rc::strong_count(&heard), 1, "after {millis} ms");
        drop(server);
    }
}
