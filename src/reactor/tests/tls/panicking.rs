//! Code of the user's that rustls calls, and that panics.

use super::*;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

const BAD: &str = "bad.test";

/// Chooses a certificate, and panics if the client asks for one server.
#[derive(Debug)]
struct Panicking(Arc<dyn ResolvesServerCert>);

impl ResolvesServerCert for Panicking {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        assert_ne!(hello.server_name(), Some(BAD), "no such server");
        self.0.resolve(hello)
    }
}

fn panicking() -> TlsAcceptor {
    let mut config = server_config();
    config.cert_resolver = Arc::new(Panicking(config.cert_resolver));
    TlsAcceptor::new(Arc::new(config))
}

/// Returns a client that asks for that server.
fn bad_client(peer: Peer) -> Client {
    let name = ServerName::try_from(BAD).unwrap();
    let engine = ClientConnection::new(Arc::new(client_config()), name).unwrap();
    Client { engine, ..Client::new(peer) }
}

fn panics(fixture: &Fixture) -> u64 {
    fixture.reactor.metrics().panics
}

#[test]
fn a_panic_in_a_handshake_rejects_that_client_alone() {
    let mut fixture = encrypted_with(Settings::default(), panicking(), |event, cx| match event {
        Event::Made => {
            let tls = cx.transport.tls().unwrap();
            cx.transport.write(format!("{:?}", tls.server_name()));
        }
        _ => echo(event, cx),
    });
    let mut first = Client::connect(&mut fixture);
    assert_eq!(first.take_received(), b"Some(\"localhost\")");
    let mut second = bad_client(fixture.script.connect());
    second.exchange(&mut fixture);
    assert_ne!(second.peer.closed(), Closed::No);
    assert_eq!(fixture.reactor.rejections(&fixture.port).unwrap().handshake, 1);
    assert_eq!(panics(&fixture), 1);
    first.write("hello");
    first.exchange(&mut fixture);
    assert_eq!(first.take_received(), b"hello");
    // The next client has not asked for that server.
    let mut config = client_config();
    config.enable_sni = false;
    let mut third = Client::with(fixture.script.connect(), config);
    third.exchange(&mut fixture);
    assert_eq!(third.take_received(), b"None");
    fixture.log.expect(&["0 made", "0 data hello", "1 made"]);
}

#[test]
fn a_panic_in_a_handshake_in_mid_connection_ends_that_connection_alone() {
    let mut fixture = Fixture::new(|event, cx| match event {
        Event::Data(b"tls") => {
            cx.transport.start_tls(panicking()).unwrap();
            cx.transport.write("secret");
        }
        _ => echo(event, cx),
    });
    let other = fixture.connect();
    let peer = fixture.connect();
    peer.send("tls");
    fixture.settle();
    let mut client = bad_client(peer);
    client.exchange(&mut fixture);
    assert_eq!(client.peer.closed(), Closed::Reset, "not all was sent");
    assert_eq!((client.received.len(), panics(&fixture)), (0, 1));
    other.send("hello");
    fixture.settle();
    assert_eq!(other.received(), b"hello");
    let log = fixture.log.0.take().join("; ");
    let expected = "0 made; 1 made; 1 data tls; 1 lost: a callback panicked: ";
    assert!(log.starts_with(expected) && log.ends_with("; 0 data hello"), "{log}");
}

/// Keeps a session for a server, and panics when it is asked for it.
#[derive(Debug)]
struct PanickingStore;

impl rustls::client::ClientSessionStore for PanickingStore {
    fn set_kx_hint(&self, _: ServerName<'static>, _: rustls::NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<rustls::NamedGroup> {
        panic!("no hint")
    }

    fn set_tls12_session(
        &self,
        _: ServerName<'static>,
        _: rustls::client::Tls12ClientSessionValue,
    ) {
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<rustls::client::Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(
        &self,
        _: ServerName<'static>,
        _: rustls::client::Tls13ClientSessionValue,
    ) {
    }

    fn take_tls13_ticket(
        &self,
        _: &ServerName<'static>,
    ) -> Option<rustls::client::Tls13ClientSessionValue> {
        None
    }
}

/// The hello of a client is made before anything is sent.
#[test]
fn a_panic_of_a_client_before_its_handshake_fails_the_attempt() {
    let mut fixture = Fixture::new(quiet);
    let mut config = client_config();
    config.resumption = rustls::client::Resumption::store(Arc::new(PanickingStore));
    let side = crate::tls::TlsConnector::new(Arc::new(config)).to("localhost").unwrap();
    let transport = {
        fixture.connect();
        fixture.transport(0)
    };
    let error = transport.start_tls(side.clone()).unwrap_err();
    assert!(error.to_string().ends_with("panicked: no hint"), "{error}");
    assert!(transport.is_connected());
    let server = Server::dialled(&mut fixture, side, server_config());
    fixture.settle();
    fixture.log.expect(&["0 made", "failed: invalid input parameter"]);
    assert_eq!(panics(&fixture), 1);
    assert_ne!(server.peer.closed(), Closed::No);
}
