//! Embedding the reactor in other loops.

mod terminal;
mod tokio_runtime;

use crate::support::{Client, TIMEOUT, need_many_descriptors};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};
use twistor::{Context, Factory, Protocol, Reactor, Reason, Settings, Transport, build_protocol};

struct Echo;

impl<F> Protocol<F> for Echo {
    fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
        cx.transport.write(data);
    }
}

/// A chat: what one member sends, all others receive.
#[derive(Default)]
struct Room {
    members: Vec<Transport>,
}

impl Room {
    const WELCOME: &str = "welcome\n";

    fn tell(&self, data: impl AsRef<[u8]>, except: Option<&Transport>) {
        let except = except.map(Transport::id);
        for member in self.members.iter().filter(|member| Some(member.id()) != except) {
            member.write(data.as_ref());
        }
    }
}

impl Factory for Room {
    build_protocol!(Member, |_room| Member);
}

struct Member;

impl Protocol<Room> for Member {
    fn connection_made(&mut self, cx: &mut Context<'_, Room>) {
        cx.factory.members.push(cx.transport.clone());
        cx.transport.write(Room::WELCOME);
    }

    fn data_received(&mut self, cx: &mut Context<'_, Room>, data: &[u8]) {
        cx.factory.tell(data, Some(cx.transport));
    }

    fn connection_lost(&mut self, cx: &mut Context<'_, Room>, _reason: &Reason) {
        let id = cx.transport.id();
        cx.factory.members.retain(|member| member.id() != id);
    }
}

fn reactor() -> Reactor {
    Reactor::with_settings(Settings::default().handle_signals(false)).unwrap()
}

/// A poller that watches the reactor's descriptor, as an outer loop does.
fn outer_loop(reactor: &Reactor) -> (mio::Poll, mio::Events) {
    use std::os::fd::{AsFd, AsRawFd};
    let poll = mio::Poll::new().unwrap();
    let descriptor = reactor.as_fd().as_raw_fd();
    let mut source = mio::unix::SourceFd(&descriptor);
    poll.registry().register(&mut source, mio::Token(7), mio::Interest::READABLE).unwrap();
    (poll, mio::Events::with_capacity(4))
}

/// The reactor inside another loop, which waits for the reactor's descriptor and deadline.
#[test]
fn embedded_in_another_loop() {
    let mut reactor = reactor();
    let port = reactor.listen_tcp((Ipv4Addr::LOCALHOST, 0), || Echo).unwrap();
    let address = port.local_address().socket_addr().unwrap();
    let (mut poll, mut events) = outer_loop(&reactor);

    let client = std::thread::spawn(move || {
        let mut client = Client::connect(address);
        for _ in 0..100 {
            client.send("hello");
            client.expect("hello");
        }
    });
    reactor.call_later(Duration::from_millis(5), |reactor| {
        assert!(reactor.is_running());
        reactor.call_later(Duration::from_millis(5), |_| {});
    });
    let start = Instant::now();
    let mut slept = 0;
    while !client.is_finished() || reactor.next_deadline().is_some() {
        assert!(start.elapsed() < TIMEOUT);
        let due = reactor.next_deadline().map(|due| due.saturating_duration_since(reactor.now()));
        // The client's socket is no event of this loop; everything else is.
        let timeout = due.unwrap_or(Duration::from_millis(50)).min(Duration::from_millis(50));
        poll.poll(&mut events, Some(timeout)).unwrap();
        slept += 1;
        assert!(reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
    }
    client.join().unwrap();
    assert!(slept > 0);
    reactor.stop();
    assert!(reactor.turn(None).unwrap().is_break());
}

/// More connections are readable than one wait returns, and an edge-triggered outer loop gets only
/// one notification of that.
#[test]
fn embedded_in_an_edge_triggered_loop_no_connection_is_forgotten() {
    use std::io::{Read, Write};
    const CLIENTS: usize = 1300;
    let _turn = need_many_descriptors();
    let mut reactor = reactor();
    let port = reactor.listen_tcp((Ipv4Addr::LOCALHOST, 0), || Echo).unwrap();
    let address = port.local_address().socket_addr().unwrap();
    let (mut poll, mut events) = outer_loop(&reactor);
    let connect = |_| std::net::TcpStream::connect(address).unwrap();
    let mut run = |reactor: &mut Reactor, done: &dyn Fn(&Reactor) -> bool| {
        while !done(reactor) {
            let now = reactor.now();
            let due = reactor.next_deadline().map(|due| due.saturating_duration_since(now));
            poll.poll(&mut events, due.or(Some(TIMEOUT))).unwrap();
            assert!(due.is_some() || !events.is_empty(), "nothing is due, and a client waits");
            assert!(reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
        }
    };
    let mut clients = Vec::new();
    // Fewer at a time than the backlog.
    for count in (100..=CLIENTS).step_by(100) {
        clients.extend((0..100).map(connect));
        run(&mut reactor, &|reactor| reactor.connection_count() == count);
    }
    for client in &mut clients {
        client.set_read_timeout(Some(TIMEOUT)).unwrap();
        client.write_all(b"hello").unwrap();
    }
    let bytes = (5 * CLIENTS) as u64;
    run(&mut reactor, &|reactor| reactor.metrics().bytes_received == bytes);
    for client in &mut clients {
        let mut answer = [0; 5];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"hello");
    }
}

/// Returns an item of a text, with the comment that it begins with.
fn item<'a>(text: &'a str, start: &str) -> &'a str {
    let text = &text[text.find(start).unwrap()..];
    &text[..text.find("\n}\n").unwrap()]
}

#[test]
fn the_guide_shows_the_loops_that_are_tested_here() {
    let guide = include_str!("../../../docs/guide/embedding.md");
    for (tested, start) in [
        (include_str!("tokio_runtime.rs"), "/// Runs a reactor inside a tokio runtime"),
        (include_str!("terminal.rs"), "/// The longest wait of a poll"),
    ] {
        let shown = item(tested, start);
        assert!(guide.contains(shown), "the guide does not have this:\n{shown}");
    }
}
