//! TLS on scripted sockets: a client by rustls' buffered engine, whose bytes the test may cut, hold
//! back or change.

mod arriving;
mod ends;
mod hostile;
mod moving;
mod panicking;
mod starting;
mod unfinished;

use super::*;
use crate::driver::scripted::Closed;
use crate::testing::tls::AUTHORITY;
use crate::tls::{RootCertificates, TlsAcceptor};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};
use std::io::{Read, Write};
use std::sync::Arc;

const SECOND: Duration = Duration::from_secs(1);
const DONE: &str = "0 lost: connection closed gracefully";

/// A peer with an engine of its own: the client of the tests of servers.
struct Client {
    peer: Peer,
    engine: ClientConnection,
    /// Plaintext of the server.
    received: Vec<u8>,
    /// What ended its TLS, if something has.
    failure: Option<rustls::Error>,
}

fn acceptor() -> TlsAcceptor {
    crate::testing::tls::acceptor()
}

fn client_config() -> ClientConfig {
    let roots = RootCertificates::from_pem(AUTHORITY).unwrap();
    let connector = crate::testing::tls::connector_builder(&roots).build();
    ClientConfig::clone(connector.config())
}

fn encrypted(act: fn(Event<'_>, &mut Context<'_, Probes>)) -> Fixture {
    encrypted_with(Settings::default().close_timeout(10 * SECOND), acceptor(), act)
}

fn encrypted_with(
    settings: Settings,
    acceptor: TlsAcceptor,
    act: fn(Event<'_>, &mut Context<'_, Probes>),
) -> Fixture {
    let (script, log) = (Script::new(), Log::default());
    let mut reactor = Reactor::with_driver(script.driver(), settings);
    let probes = Probes { log: log.clone(), act, all: Vec::new(), key: Rc::default() };
    let port = reactor.listen_tls(8443, &acceptor, probes).unwrap();
    Fixture { script, reactor, port, log }
}

impl Client {
    fn new(peer: Peer) -> Self {
        Self::with(peer, client_config())
    }

    fn with(peer: Peer, config: ClientConfig) -> Self {
        let name = ServerName::try_from("localhost").unwrap();
        let mut engine = ClientConnection::new(Arc::new(config), name).unwrap();
        engine.set_buffer_limit(None);
        Self { peer, engine, received: Vec::new(), failure: None }
    }

    /// Connects, and completes the handshake.
    fn connect(fixture: &mut Fixture) -> Self {
        let mut client = Self::new(fixture.script.connect());
        client.exchange(fixture);
        assert!(!client.engine.is_handshaking());
        client
    }

    /// Returns what the engine has to send.
    fn outgoing(&mut self) -> Vec<u8> {
        let mut outgoing = Vec::new();
        while self.engine.wants_write() {
            self.engine.write_tls(&mut outgoing).unwrap();
        }
        outgoing
    }

    /// Gives the engine what the server has sent. Returns how much that was.
    fn take(&mut self) -> usize {
        let bytes = self.peer.received();
        let mut rest = &bytes[..];
        while !rest.is_empty() && self.failure.is_none() {
            self.engine.read_tls(&mut rest).unwrap();
            self.failure = self.engine.process_new_packets().err();
            let _ = self.engine.reader().read_to_end(&mut self.received);
        }
        bytes.len()
    }

    /// Sends and receives until both sides wait.
    fn exchange(&mut self, fixture: &mut Fixture) {
        for _ in 0..100 {
            let outgoing = self.outgoing();
            let sends = !outgoing.is_empty();
            if sends {
                self.peer.send(outgoing);
            }
            fixture.settle();
            if self.take() == 0 && !sends {
                return;
            }
        }
        panic!("it does not come to rest");
    }

    /// Encrypts.
    fn write(&mut self, data: impl AsRef<[u8]>) {
        self.engine.writer().write_all(data.as_ref()).unwrap();
    }

    /// Returns true if the server has ended its data in the way of TLS.
    fn has_heard_the_end(&mut self) -> bool {
        matches!(self.engine.reader().read(&mut [0]), Ok(0))
    }

    fn take_received(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.received)
    }
}

/// Asserts that a handshake in mid-connection ends after five seconds, though the client continues
/// to send it.
fn expect_handshake_timeout(fixture: &mut Fixture, client: &mut Client) {
    let hello = client.outgoing();
    for byte in &hello[..4] {
        client.peer.send([*byte]);
        fixture.script.advance(SECOND);
        fixture.settle();
    }
    fixture.log.expect(&["0 made", "0 data tls"]);
    fixture.script.advance(SECOND);
    fixture.settle();
    fixture.log.expect(&["0 timed out: Handshake", "0 lost: handshake timeout"]);
}

/// The server's end of a connection that the reactor has begun, by rustls' buffered engine.
struct Server {
    peer: Peer,
    engine: ServerConnection,
    received: Vec<u8>,
    failure: Option<rustls::Error>,
}

impl Server {
    /// Has the reactor connect to it, with this side of TLS.
    fn dialled(fixture: &mut Fixture, side: crate::tls::TlsSide, config: ServerConfig) -> Self {
        let endpoint = crate::TcpClientEndpoint::new(([192, 0, 2, 9], 443));
        fixture.reactor.connect_tls(endpoint, side, &fixture.port).unwrap();
        Self::answer(fixture, config)
    }

    /// Accepts the connection that the reactor has begun.
    fn answer(fixture: &mut Fixture, config: ServerConfig) -> Self {
        let peer = fixture.script.dialled();
        fixture.turn();
        peer.answer();
        let engine = ServerConnection::new(Arc::new(config)).unwrap();
        Self { peer, engine, received: Vec::new(), failure: None }
    }

    /// Gives the engine what the client has sent, and returns what it answers.
    fn take(&mut self) -> Vec<u8> {
        let bytes = self.peer.received();
        let mut rest = &bytes[..];
        while !rest.is_empty() && self.failure.is_none() {
            self.engine.read_tls(&mut rest).unwrap();
            self.failure = self.engine.process_new_packets().err();
            let _ = self.engine.reader().read_to_end(&mut self.received);
        }
        let mut outgoing = Vec::new();
        while self.engine.wants_write() {
            self.engine.write_tls(&mut outgoing).unwrap();
        }
        outgoing
    }

    /// Sends and receives until both sides wait.
    fn exchange(&mut self, fixture: &mut Fixture) {
        for _ in 0..10 {
            fixture.settle();
            let outgoing = self.take();
            if !outgoing.is_empty() {
                self.peer.send(outgoing);
            }
        }
    }
}

fn server_config() -> ServerConfig {
    ServerConfig::clone(acceptor().config())
}

/// Returns bytes in which a missing or doubled piece shows.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 + at / 256 * 13) as u8).collect()
}
