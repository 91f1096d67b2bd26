//! The client against nats-server: one server, and a cluster of three.

#[cfg(feature = "tls")]
mod tls;

use crate::nats_server::{NatsServer, TIMEOUT, cluster, is_installed};
use std::cell::{Cell, RefCell};
use std::io::Write;
use std::net::TcpStream;
use std::rc::Rc;
use std::time::{Duration, Instant};
use twistor::Reactor;
use twistor_nats::codec::MAX_PAYLOAD;
use twistor_nats::error::{PublishError, RequestError};
use twistor_nats::{Client, ConnectOptions, HeaderMap};

type Events = Rc<RefCell<Vec<String>>>;

/// A reactor of the test's own, which turns until something has happened.
pub(crate) struct Loop {
    pub(crate) reactor: Reactor,
}

impl Loop {
    pub(crate) fn new() -> Self {
        Self { reactor: Reactor::new().unwrap() }
    }

    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, mut question: impl FnMut() -> bool) {
        let until = Instant::now() + TIMEOUT;
        while !question() {
            assert!(Instant::now() < until, "not within {TIMEOUT:?}: {what}");
            let _ = self.reactor.turn(Some(Duration::from_millis(20))).unwrap();
        }
    }

    fn client(&mut self, options: ConnectOptions) -> (Client, Events) {
        let events = Events::default();
        let written = Rc::clone(&events);
        let note = move |_: &mut Reactor, event: &twistor_nats::Event| {
            written.borrow_mut().push(event.to_string());
        };
        let options = options.on_event(note).reconnect_delay_max(Duration::from_millis(300));
        (options.connect(&mut self.reactor).unwrap(), events)
    }

    fn connected(&mut self, url: &str) -> Client {
        let (client, _) = self.client(ConnectOptions::new(url));
        self.until("connected", || client.is_connected());
        client
    }

    /// Waits until the server has processed what a client has sent.
    #[track_caller]
    fn flush(&mut self, client: &Client) {
        let done = Rc::new(Cell::new(None));
        let set = Rc::clone(&done);
        let flushed =
            client.flush(TIMEOUT, &mut self.reactor, move |_, it| set.set(Some(it.is_ok())));
        flushed.unwrap();
        self.until("flushed", || done.get().is_some());
        assert_eq!(done.get(), Some(true));
    }

    /// Asks, and returns the answer.
    #[track_caller]
    fn ask(&mut self, client: &Client, subject: &str) -> Result<Vec<u8>, RequestError> {
        let answer = Rc::new(RefCell::new(None));
        let set = Rc::clone(&answer);
        let call = move |_: &mut Reactor, it: Result<&twistor_nats::Message<'_>, _>| {
            *set.borrow_mut() = Some(it.map(|message| message.payload().to_vec()));
        };
        client.request(subject, "ask", TIMEOUT, &mut self.reactor, call).unwrap();
        self.until("answered", || answer.borrow().is_some());
        answer.take().unwrap()
    }
}

/// Subscribes, and keeps the payloads as numbers, which must grow.
fn numbers(client: &Client, subject: &str) -> Rc<RefCell<Vec<u64>>> {
    let heard = Rc::new(RefCell::new(Vec::new()));
    let written = Rc::clone(&heard);
    let subscribed = client.subscribe(subject, move |_, message| {
        let number = std::str::from_utf8(message.payload()).unwrap().parse().unwrap();
        let heard = &mut *written.borrow_mut();
        assert!(
            heard.last().is_none_or(|last| *last < number),
            "{number} after {:?}",
            heard.last()
        );
        heard.push(number);
    });
    subscribed.unwrap();
    heard
}

#[test]
fn one_server() {
    if !is_installed() {
        return;
    }
    let server = NatsServer::start("");
    let mut main = Loop::new();
    let (ann, bob) = (main.connected(&server.url()), main.connected(&server.url()));
    assert!(ann.server_info().unwrap().headers);

    let heard = Rc::new(RefCell::new(Vec::new()));
    let written = Rc::clone(&heard);
    let subscribed = ann.subscribe("a.*.>", move |_, message| {
        let node = message.header("Node").unwrap_or_default();
        let line = format!("{} {node} {}", message.subject(), message.payload().len());
        written.borrow_mut().push(line);
    });
    subscribed.unwrap();
    main.flush(&ann);
    let mut headers = HeaderMap::new();
    headers.append("Node", "7").unwrap();
    bob.publish("a.b.c", "").unwrap();
    bob.publish("a.b", "not that").unwrap();
    bob.publish_with_headers("a.b.c.d", &headers, "four").unwrap();
    bob.publish("a.b.c", vec![b'x'; 1024 * 1024]).unwrap();
    main.until("three messages", || heard.borrow().len() == 3);
    assert_eq!(*heard.borrow(), ["a.b.c  0", "a.b.c.d 7 4", "a.b.c  1048576"]);
    let error = bob.publish("a", vec![0; 1024 * 1024 + 1]).unwrap_err();
    assert_eq!(error, PublishError::MaxPayload { len: 1024 * 1024 + 1, max: 1024 * 1024 });

    assert_eq!(main.ask(&ann, "service"), Err(RequestError::NoResponders));
    let own = bob.clone();
    let answering = bob.subscribe("service", move |_, message| {
        own.publish(message.reply().unwrap(), "answer").unwrap();
    });
    answering.unwrap();
    main.flush(&bob);
    for _ in 0..100 {
        assert_eq!(main.ask(&ann, "service"), Ok(b"answer".to_vec()));
    }

    let heard = numbers(&ann, "n");
    main.flush(&ann);
    (0..20_000).for_each(|number| bob.publish("n", number.to_string()).unwrap());
    main.until("all numbers", || heard.borrow().len() == 20_000);

    bob.publish("n", "20000").unwrap();
    bob.drain(&mut main.reactor);
    main.until("drained", || bob.is_closed() && heard.borrow().len() == 20_001);
}

#[test]
fn a_limit_of_messages_may_be_larger_than_the_server_reads() {
    if !is_installed() {
        return;
    }
    let server = NatsServer::start("");
    let mut main = Loop::new();
    let ann = main.connected(&server.url());
    for (number, limits) in
        [&[u64::MAX][..], &[1_000_000_000], &[999_999_999], &[2, u64::MAX], &[u64::MAX, 3]]
            .into_iter()
            .enumerate()
    {
        let subject = format!("a.{number}");
        let count = Rc::new(Cell::new(0));
        let counted = Rc::clone(&count);
        let subscribed = ann.subscribe(&subject, move |_, _| counted.set(counted.get() + 1));
        let id = subscribed.unwrap();
        limits.iter().for_each(|limit| ann.unsubscribe_after(id, *limit));
        (0..5).for_each(|_| ann.publish(&subject, "").unwrap());
        main.flush(&ann);
        let expected = if limits.ends_with(&[3]) { 3 } else { 5 };
        assert_eq!(count.get(), expected, "{limits:?}");
        ann.unsubscribe(id);
        assert_eq!(Rc::strong_count(&count), 1, "{limits:?}: the closure is dropped");
    }
}

#[test]
fn a_server_without_headers() {
    if !is_installed() {
        return;
    }
    let server = NatsServer::start("no_header_support: true");
    let mut main = Loop::new();
    let ann = main.connected(&server.url());
    assert!(!ann.server_info().unwrap().headers);
    let heard = numbers(&ann, "n");
    let mut headers = HeaderMap::new();
    headers.append("Node", "7").unwrap();
    let error = ann.publish_with_headers("n", &headers, "1").unwrap_err();
    assert_eq!(error, PublishError::HeadersUnsupported);
    ann.publish("n", "2").unwrap();
    let own = ann.clone();
    let answering = ann.subscribe("service", move |_, message| {
        own.publish(message.reply().unwrap(), "answer").unwrap();
    });
    answering.unwrap();
    assert_eq!(main.ask(&ann, "service"), Ok(b"answer".to_vec()));
    assert_eq!(*heard.borrow(), [2]);
}

#[test]
fn a_payload_that_the_server_takes_and_the_client_does_not() {
    if !is_installed() {
        return;
    }
    let server = NatsServer::start("max_payload: 100MB\nmax_pending: 256MB\n");
    let mut main = Loop::new();
    let (ann, events) = main.client(ConnectOptions::new(server.url()));
    main.until("connected", || ann.is_connected());
    let heard = numbers(&ann, "n");
    main.flush(&ann);
    let error = ann.publish("n", vec![b'1'; MAX_PAYLOAD + 1]).unwrap_err();
    assert_eq!(error, PublishError::MaxPayload { len: MAX_PAYLOAD + 1, max: MAX_PAYLOAD });
    // Another client may have no such limit.
    let mut eve = TcpStream::connect(server.address()).unwrap();
    eve.write_all(format!("CONNECT {{}}\r\nPUB n {}\r\n", MAX_PAYLOAD + 1).as_bytes()).unwrap();
    eve.write_all(&vec![b'1'; MAX_PAYLOAD + 1]).unwrap();
    eve.write_all(b"\r\nPUB n 1\r\n2\r\n").unwrap();
    main.until("heard", || *heard.borrow() == [2]);
    assert_eq!((ann.statistics().malformed, events.borrow().len()), (1, 1));
}

#[test]
fn a_server_that_is_killed_and_started_again() {
    if !is_installed() {
        return;
    }
    let mut server = NatsServer::start("");
    let mut main = Loop::new();
    let (ann, events) = main.client(ConnectOptions::new(server.url()));
    let bob = main.connected(&server.url());
    let heard = numbers(&ann, "n");
    main.until("connected", || ann.is_connected());
    main.flush(&ann);
    for round in 0..3 {
        bob.publish("n", (round * 10 + 1).to_string()).unwrap();
        main.until("heard", || heard.borrow().last() == Some(&(round * 10 + 1)));
        server.kill();
        main.until("told of the loss", || !ann.is_connected() && !bob.is_connected());
        // Waits for the connection of the publisher, while the subscriber may still be missing.
        server.run();
        main.until("connected again", || ann.is_connected() && bob.is_connected());
        main.flush(&ann);
        bob.publish("n", (round * 10 + 2).to_string()).unwrap();
        main.until("heard again", || heard.borrow().last() == Some(&(round * 10 + 2)));
    }
    assert_eq!(*heard.borrow(), [1, 2, 11, 12, 21, 22]);
    assert_eq!(ann.statistics().reconnects, 3);
    let lost = events.borrow().iter().filter(|event| event.contains("is lost")).count();
    assert_eq!(lost, 3);
}

#[test]
fn users_tokens_and_permissions() {
    if !is_installed() {
        return;
    }
    let mut main = Loop::new();
    let server = NatsServer::start(
        "authorization { users: [
            { user: ann, password: \"s3@cret\" }
            { user: bob, password: b, permissions: { publish: { deny: \"secret.>\" } } }
        ] }",
    );
    let ann = main.connected(&format!("nats://ann:s3%40cret@{}", server.address()));
    let (bob, events) =
        main.client(ConnectOptions::new(server.url()).user_and_password("bob", "b"));
    main.until("connected", || bob.is_connected());
    let heard = numbers(&ann, "open");
    main.flush(&ann);
    bob.publish("secret.a", "1").unwrap();
    bob.publish("open", "1").unwrap();
    main.until("heard", || heard.borrow().len() == 1);
    main.until("told", || events.borrow().len() == 2);
    assert!(events.borrow()[1].contains("Permissions Violation for Publish"), "{events:?}");
    assert!(bob.is_connected());

    let (nobody, events) = main.client(ConnectOptions::new(server.url()));
    main.until("refused twice", || events.borrow().len() >= 4);
    let refused = format!("cannot connect to {}: Authorization Violation", server.url());
    assert_eq!(events.borrow()[1], refused);
    nobody.close(&mut main.reactor);
    main.until("closed", || events.borrow().last().unwrap() == "the client is closed");

    let server = NatsServer::start("authorization { token: \"t0ken\" }");
    main.connected(&format!("nats://t0ken@{}", server.address()));
    let (client, _) = main.client(ConnectOptions::new(server.url()).token("t0ken"));
    main.until("connected", || client.is_connected());
}

#[cfg(feature = "nkey")]
#[test]
fn nkeys() {
    if !is_installed() {
        return;
    }
    let seed = "SUAMLK2ZNL35WSMW37E7UD4VZ7ELPKW7DHC3BWBSD2GCZ7IUQQXZIORRBU";
    let nkey = twistor_nats::Nkey::from_seed(seed).unwrap();
    let user = format!("authorization {{ users: [ {{ nkey: {} }} ] }}", nkey.public_key());
    let server = NatsServer::start(&user);
    let mut main = Loop::new();
    let (client, _) = main.client(ConnectOptions::new(server.url()).nkey(nkey));
    main.until("connected", || client.is_connected());
    let (_, events) = main.client(ConnectOptions::new(server.url()));
    main.until("refused", || events.borrow().len() >= 2);
}

#[test]
fn a_slow_consumer_is_cut_off_and_comes_back() {
    if !is_installed() {
        return;
    }
    let server = NatsServer::start("write_deadline: \"200ms\"\nmax_pending: 1MB\n");
    let (mut slow, mut fast) = (Loop::new(), Loop::new());
    let (ann, events) = slow.client(ConnectOptions::new(server.url()));
    slow.until("connected", || ann.is_connected());
    let count = Rc::new(Cell::new(0));
    let counted = Rc::clone(&count);
    ann.subscribe("big", move |_, _| counted.set(counted.get() + 1)).unwrap();
    slow.flush(&ann);
    let bob = fast.connected(&server.url());
    // More than the sockets hold, while nobody reads them.
    let payload = vec![b'x'; 100_000];
    for _ in 0..600 {
        fast.until("room", || bob.queued() == 0);
        bob.publish("big", &payload).unwrap();
    }
    fast.flush(&bob);
    slow.until("lost, and connected again", || events.borrow().len() >= 3);
    assert!(count.get() < 600, "{}", count.get());
    assert!(events.borrow()[1].contains("is lost"), "without an error before it: {events:?}");
    slow.flush(&ann);
    let before = count.get();
    bob.publish("big", "x").unwrap();
    fast.flush(&bob);
    slow.until("heard again", || count.get() == before + 1);
}

#[test]
fn a_cluster_of_three() {
    if !is_installed() {
        return;
    }
    let mut servers = cluster("");
    servers.iter_mut().for_each(NatsServer::run);
    let mut main = Loop::new();
    // They know one server each, and learn of the others.
    let options = |at: usize| {
        let pings = Duration::from_millis(500);
        ConnectOptions::new(servers[at].url()).ping_interval(pings)
    };
    let (options_ann, options_bob) = (options(0), options(1));
    let (ann, events) = main.client(options_ann);
    let (bob, _) = main.client(options_bob);
    let heard = numbers(&ann, "n");
    main.until("connected", || ann.is_connected() && bob.is_connected());
    main.until("three servers known", || {
        let known = |it: &Client| it.server_info().unwrap().connect_urls.len();
        known(&ann) == 3 && known(&bob) == 3
    });
    let mut number = 0;
    // Publishes until the other one hears it: interest crosses the cluster, and what is published
    // on the way of a loss is lost.
    let mut reach = |main: &mut Loop, what: &str| {
        let until = Instant::now() + TIMEOUT;
        let first = number + 1;
        while heard.borrow().last().is_none_or(|last| *last < first) {
            assert!(Instant::now() < until, "{what}");
            number += 1;
            let _ = bob.publish("n", number.to_string());
            let _ = main.reactor.turn(Some(Duration::from_millis(10))).unwrap();
        }
    };
    reach(&mut main, "at first");
    for killed in [0, 1, 2, 0] {
        servers[killed].kill();
        reach(&mut main, "while a server is down");
        servers[killed].run();
        reach(&mut main, "when it is back");
    }
    assert!(heard.borrow().is_sorted_by(|one, next| one < next));
    assert!(events.borrow().iter().any(|event| event.starts_with("connected again, to ")));

    let at = servers.iter().position(|it| Some(it.url()) == server_of(&ann)).unwrap();
    servers[at].lame_duck();
    main.until("told", || events.borrow().iter().any(|it| it.contains("about to shut down")));
}

/// Returns the address of the server in use.
fn server_of(client: &Client) -> Option<String> {
    let text = format!("{client:?}");
    let from = text.find("nats://")?;
    let rest = &text[from..];
    Some(rest[..rest.find('"')?].to_owned())
}
