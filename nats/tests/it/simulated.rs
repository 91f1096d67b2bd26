//! A simulated server and its clients, and what they do when nothing fails.

use crate::simulated_server::SimulatedServer;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use twistor::testing::{Host, Simulation};
use twistor::{ListeningPort, Reactor};
use twistor_nats::{Client, ConnectOptions, HeaderMap, Message};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) type ServerHost = Host<ListeningPort<SimulatedServer>>;

/// What was heard, in order.
pub(crate) type Heard = Rc<RefCell<Vec<String>>>;

pub(crate) fn serve(simulation: &Simulation) -> ServerHost {
    serve_as(simulation, "server", SimulatedServer::new)
}

pub(crate) fn serve_as(
    simulation: &Simulation,
    name: &str,
    server: impl Fn() -> SimulatedServer + 'static,
) -> ServerHost {
    simulation.host(name, move |reactor| Ok(reactor.listen_tcp(4222, server())?))
}

/// Starts a client on a host of its own, and has its events written down.
pub(crate) fn client(
    simulation: &Simulation,
    name: &str,
    options: impl Fn(ConnectOptions) -> ConnectOptions + 'static,
) -> (Host<Client>, Heard) {
    let events = Heard::default();
    let written = Rc::clone(&events);
    let host = simulation.host(name, move |reactor| {
        let written = Rc::clone(&written);
        let note = move |_: &mut Reactor, event: &twistor_nats::Event| {
            written.borrow_mut().push(event.to_string());
        };
        let options = options(ConnectOptions::new("nats://server")).on_event(note);
        Ok(options.connect(reactor)?)
    });
    (host, events)
}

pub(crate) fn plain(simulation: &Simulation, name: &str) -> Host<Client> {
    client(simulation, name, |options| options).0
}

fn text(message: &Message<'_>) -> String {
    format!("{} {}", message.subject(), String::from_utf8_lossy(message.payload()))
}

/// Subscribes, and writes the messages down.
pub(crate) fn listen(client: &Client, subject: &str) -> Heard {
    let heard = Heard::default();
    let written = Rc::clone(&heard);
    let note =
        move |_: &mut Reactor, message: &Message<'_>| written.borrow_mut().push(text(message));
    client.subscribe(subject, note).unwrap();
    heard
}

pub(crate) fn take(heard: &Heard) -> Vec<String> {
    std::mem::take(&mut heard.borrow_mut())
}

/// Returns the lines that the server has received, without `CONNECT`.
pub(crate) fn lines(server: &ServerHost) -> Vec<String> {
    let port = server.state();
    let mut lines = server
        .reactor(|reactor| reactor.with_factory(&*port, |it, _| std::mem::take(&mut it.lines)))
        .unwrap();
    lines.retain(|line| !line.starts_with("CONNECT"));
    lines
}

#[test]
fn messages_reach_those_who_subscribe() {
    let simulation = Simulation::new(1);
    let _server = serve(&simulation);
    let (ann, bob) = (plain(&simulation, "ann"), plain(&simulation, "bob"));
    simulation.run_for(SECOND);
    assert!(ann.state().is_connected() && bob.state().is_connected());
    let exact = listen(&ann.state(), "room.tea");
    let token = listen(&ann.state(), "room.*");
    let rest = listen(&ann.state(), "room.>");
    simulation.run_for(SECOND);
    for subject in ["room.tea", "room.tea.hot", "rooms.tea", "room"] {
        bob.state().publish(subject, "hi").unwrap();
    }
    simulation.run_for(SECOND);
    ann.state().publish("room.x", "own").unwrap();
    simulation.run_for(SECOND);
    assert_eq!(take(&exact), ["room.tea hi"]);
    assert_eq!(take(&token), ["room.tea hi", "room.x own"]);
    assert_eq!(take(&rest), ["room.tea hi", "room.tea.hot hi", "room.x own"]);
    assert_eq!(ann.state().statistics().received, 6);
    assert_eq!(bob.state().statistics().published, 4);
}

#[test]
fn a_client_without_echo_does_not_hear_itself() {
    let simulation = Simulation::new(1);
    let _server = serve(&simulation);
    let (ann, _) = client(&simulation, "ann", |options| options.echo(false));
    let heard = listen(&ann.state(), "a");
    simulation.run_for(SECOND);
    ann.state().publish("a", "x").unwrap();
    simulation.run_for(SECOND);
    assert!(take(&heard).is_empty());
}

#[test]
fn headers_and_payloads_arrive_as_they_were_sent() {
    let simulation = Simulation::new(1);
    let _server = serve(&simulation);
    let (ann, bob) = (plain(&simulation, "ann"), plain(&simulation, "bob"));
    let heard = Heard::default();
    let written = Rc::clone(&heard);
    let noted = ann.state().subscribe("a", move |_, message| {
        let headers =
            message.headers().map(|headers| format!("{:?}", headers.iter().collect::<Vec<_>>()));
        let line = format!(
            "{} {} {:?}",
            headers.unwrap_or_default(),
            message.payload().len(),
            message.reply()
        );
        written.borrow_mut().push(line);
    });
    noted.unwrap();
    simulation.run_for(SECOND);
    let mut headers = HeaderMap::new();
    headers.append("Node", "7").unwrap();
    headers.append("Node", "8").unwrap();
    bob.state().publish_with_headers("a", &headers, "four").unwrap();
    bob.state().publish_with_reply("a", "r", [b'x'; 5000]).unwrap();
    bob.state().publish("a", "").unwrap();
    simulation.run_for(SECOND);
    let expected =
        ["[(\"Node\", \"7\"), (\"Node\", \"8\")] 4 None", " 5000 Some(\"r\")", " 0 None"];
    assert_eq!(take(&heard), expected);
}

#[test]
fn a_message_reaches_one_member_of_a_group() {
    let simulation = Simulation::new(1);
    let _server = serve(&simulation);
    let count = Rc::new(RefCell::new([0; 3]));
    let members: Vec<Host<Client>> =
        ["ann", "bob", "cat"].map(|name| plain(&simulation, name)).into();
    for (at, member) in members.iter().enumerate() {
        let count = Rc::clone(&count);
        let counted = move |_: &mut Reactor, _: &Message<'_>| count.borrow_mut()[at] += 1;
        member.state().queue_subscribe("work", "workers", counted).unwrap();
    }
    let boss = plain(&simulation, "boss");
    simulation.run_for(SECOND);
    (0..90).for_each(|_| boss.state().publish("work", "").unwrap());
    simulation.run_for(SECOND);
    let count = *count.borrow();
    assert_eq!(count.iter().sum::<usize>(), 90);
    assert!(count.iter().all(|count| *count > 10), "{count:?}");
}

#[test]
fn subscriptions_end() {
    let simulation = Simulation::new(1);
    let server = serve(&simulation);
    let ann = plain(&simulation, "ann");
    let heard = Heard::default();
    let subscribe = |subject: &str| {
        let written = Rc::clone(&heard);
        let note = move |_: &mut Reactor, it: &Message<'_>| written.borrow_mut().push(text(it));
        ann.state().subscribe(subject, note).unwrap()
    };
    let (now, later, drained) = (subscribe("a"), subscribe("b"), subscribe("c"));
    simulation.run_for(SECOND);
    ann.state().unsubscribe_after(later, 2);
    let publish_all = || ["a", "b", "c"].map(|it| ann.state().publish(it, "x").unwrap());
    publish_all();
    ann.state().drain_subscription(drained);
    simulation.run_for(SECOND);
    assert_eq!(take(&heard), ["a x", "b x", "c x"]);
    ann.state().unsubscribe(now);
    ann.state().unsubscribe(now);
    for _ in 0..3 {
        publish_all();
    }
    simulation.run_for(SECOND);
    assert_eq!(take(&heard), ["b x"]);
    let said = lines(&server);
    let ends: Vec<&String> = said.iter().filter(|line| line.starts_with("UNSUB")).collect();
    assert_eq!(ends, ["UNSUB 2 2", "UNSUB 3", "UNSUB 1", "UNSUB 2"]);
    let dropped = Rc::strong_count(&heard);
    assert_eq!(dropped, 1, "the closures are dropped");
}

#[test]
fn a_subscription_may_end_itself_or_begin_another_one() {
    let simulation = Simulation::new(1);
    let _server = serve(&simulation);
    let ann = plain(&simulation, "ann");
    let heard = Heard::default();
    let own = Rc::new(RefCell::new(None));
    let (client, written, id) = ((*ann.state()).clone(), Rc::clone(&heard), Rc::clone(&own));
    let begun = ann.state().subscribe("a", move |_, message| {
        written.borrow_mut().push(text(message));
        client.unsubscribe(id.borrow().unwrap());
        let written = Rc::clone(&written);
        let note = move |_: &mut Reactor, it: &Message<'_>| written.borrow_mut().push(text(it));
        client.subscribe("b", note).unwrap();
        client.publish("b", "from within").unwrap();
    });
    *own.borrow_mut() = Some(begun.unwrap());
    simulation.run_for(SECOND);
    (0..2).for_each(|_| ann.state().publish("a", "x").unwrap());
    simulation.run_for(SECOND);
    assert_eq!(take(&heard), ["a x", "b from within"]);
}

#[test]
fn what_cannot_be_sent_is_an_error_and_harms_nobody() {
    let simulation = Simulation::new(1);
    let server = serve(&simulation);
    let ann = plain(&simulation, "ann");
    simulation.run_for(SECOND);
    let client = ann.state();
    let _ = lines(&server);
    for subject in ["", "a b", "a\r\nPUB b 0\r\n", "a.*", ">", "a..b"] {
        assert!(client.publish(subject, "").is_err());
        assert!(client.publish_with_reply("a", subject, "").is_err());
    }
    for filter in ["", "a b", "a\r\nSUB b 9\r\n", "a.>.b", "a*"] {
        assert!(client.subscribe(filter, |_, _| {}).is_err());
        assert!(client.queue_subscribe("a", "g\r\n", |_, _| {}).is_err());
    }
    let error = client.publish("a", vec![0; 1024 * 1024 + 1]).unwrap_err().to_string();
    assert_eq!(error, "a payload of 1048577 bytes is larger than the server's limit of 1048576");
    let mut headers = HeaderMap::new();
    headers.append("A", "1").unwrap();
    let almost = vec![0; 1024 * 1024 - 10];
    assert!(client.publish_with_headers("a", &headers, &almost).is_err());
    simulation.run_for(SECOND);
    assert!(lines(&server).is_empty() && client.is_connected());
}
