//! Clients by name on the machine: its resolver, its poller, its sockets.

use crate::support::{Server, TIMEOUT, echo};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use twistor::error::ResolveError;
use twistor::{Context, Factory, HostnameEndpoint, Protocol, Reactor, Reason, Settings, Transport};

/// Notes what happens to it.
struct Caller {
    log: Sender<String>,
}

struct Call;

impl Protocol<Caller> for Call {
    fn connection_made(&mut self, cx: &mut Context<'_, Caller>) {
        cx.factory.note(format!("made {}", cx.transport.peer_address()));
    }

    fn data_received(&mut self, cx: &mut Context<'_, Caller>, data: &[u8]) {
        cx.factory.note(format!("heard {}", String::from_utf8_lossy(data)));
    }

    fn connection_lost(&mut self, cx: &mut Context<'_, Caller>, reason: &Reason) {
        cx.factory.note(format!("lost: {reason}"));
        cx.reactor.stop();
    }
}

impl Caller {
    fn note(&self, what: String) {
        // The test may have ended.
        let _ = self.log.send(what);
    }
}

impl Factory for Caller {
    twistor::build_protocol!(Call, |_| Call);

    fn connection_failed(&mut self, _: &Transport, error: &io::Error, reactor: &mut Reactor) {
        let is_name = error.get_ref().is_some_and(|inner| inner.is::<ResolveError>());
        self.note(format!("failed, name: {is_name}"));
        reactor.stop();
    }
}

/// Connects on a reactor in a thread of its own, which ends with the connection; `prepare` sets it
/// up.
pub(super) fn call(
    endpoint: HostnameEndpoint,
    prepare: impl FnOnce(&mut Reactor) + Send + 'static,
) -> Receiver<String> {
    let (log, heard) = channel();
    std::thread::spawn(move || {
        let settings = Settings::default().handle_signals(false);
        let mut reactor = Reactor::with_settings(settings).unwrap();
        prepare(&mut reactor);
        let connector = endpoint.timeout(TIMEOUT).connect(&mut reactor, Caller { log }).unwrap();
        connector.transport().write("hello");
        // A test that fails leaves it behind.
        reactor.call_later(TIMEOUT, Reactor::stop);
        reactor.run().unwrap();
    });
    heard
}

#[track_caller]
pub(super) fn expect(heard: &Receiver<String>, what: &str) {
    assert_eq!(heard.recv_timeout(TIMEOUT).unwrap(), what);
}

#[test]
fn the_systems_resolver_knows_localhost() {
    let server = Server::new(echo);
    let port = server.address.port().unwrap();
    let heard = call(HostnameEndpoint::new("localhost", port).unwrap(), |_| ());
    // It may have tried ::1 first, where nobody listens.
    expect(&heard, &format!("made 127.0.0.1:{port}"));
    expect(&heard, "heard hello");
    drop(server);
}

#[test]
fn a_name_that_nobody_has_cannot_be_resolved() {
    // A name of RFC 6761: no resolver knows it, with or without a network.
    let endpoint = HostnameEndpoint::new("nobody.invalid", 80).unwrap();
    expect(&call(endpoint, |_| ()), "failed, name: true");
}

/// Returns a resolver that knows these addresses of every name.
pub(super) fn resolver(
    addresses: Vec<SocketAddr>,
) -> impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync {
    move |_, _| Ok(addresses.clone())
}

#[test]
fn what_comes_with_the_answer_is_not_lost_with_the_id_of_the_attempt() {
    // Bytes and FIN arrive before the loop looks at the attempt: it is held up meanwhile.
    for _ in 0..20 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = listener.local_addr().unwrap();
        let (sent, all_sent) = channel::<()>();
        let prepare = move |reactor: &mut Reactor| {
            reactor.set_resolver(resolver(vec![server]));
            let remote = reactor.remote();
            // As soon as the attempt has begun, until all has arrived.
            std::thread::spawn(move || {
                let (mut peer, _) = listener.accept().unwrap();
                let hold = move |_: &mut Reactor| all_sent.recv_timeout(TIMEOUT).unwrap();
                let _ = remote.call_from_thread(hold);
                peer.write_all(b"quote").unwrap();
                drop(peer);
                sent.send(()).unwrap();
            });
        };
        let heard = call(HostnameEndpoint::new("db.test", 80).unwrap(), prepare);
        expect(&heard, &format!("made {server}"));
        let next = heard.recv_timeout(TIMEOUT).unwrap();
        // "hello" may have met a closed socket, which resets.
        assert!(next == "heard quote" || next.starts_with("lost"), "{next}");
    }
}

#[test]
fn a_mute_resolver_holds_up_neither_the_loop_nor_the_end_of_the_reactor() {
    let (release, gate) = channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let began = Instant::now();
    let settings = Settings::default().handle_signals(false);
    let mut reactor = Reactor::with_settings(settings).unwrap();
    reactor.set_resolver(move |_: &str, _: u16| {
        let _ = gate.lock().unwrap().recv_timeout(TIMEOUT);
        Err(io::ErrorKind::Other.into())
    });
    let (log, heard) = channel();
    let endpoint = HostnameEndpoint::new("mute.test", 80).unwrap();
    endpoint.timeout(Duration::from_millis(50)).connect(&mut reactor, Caller { log }).unwrap();
    let (tick, ticks) = channel();
    reactor.call_every(Duration::from_millis(5), move |_| {
        tick.send(()).unwrap();
        std::ops::ControlFlow::Continue(())
    });
    reactor.run().unwrap();
    drop(reactor);
    assert!(began.elapsed() < TIMEOUT / 2, "nothing waited for the thread");
    expect(&heard, "failed, name: true");
    assert!(ticks.try_iter().count() > 1);
    drop(release);
}
