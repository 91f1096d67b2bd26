//! The handshake, before there is a protocol.

use super::*;
use crate::limits::{ConnectionLimits, RejectionStats};
use crate::reactor::table::{Slot, Stage};
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Asserts that no client is counted, in all or for its peer.
#[track_caller]
fn expect_none_counted(fixture: &mut Fixture) {
    let slot = fixture.reactor.slot(fixture.port.key()).unwrap();
    assert_eq!((slot.admission.open(), slot.admission.peers()), (0, 0));
    fixture.expect_empty();
}

fn rejections(fixture: &Fixture) -> RejectionStats {
    fixture.reactor.rejections(&fixture.port).unwrap()
}

#[test]
fn a_protocol_is_built_when_the_handshake_is_complete_and_knows_of_it() {
    let mut fixture = encrypted(|event, cx| match event {
        Event::Made => {
            let tls = cx.transport.tls().unwrap();
            assert_eq!(tls.version(), crate::tls::TlsVersion::V1_3);
            assert_eq!((tls.server_name(), tls.is_resumed()), (Some("localhost"), false));
        }
        _ => echo(event, cx),
    });
    let mut client = Client::new(fixture.script.connect());
    let hello = client.outgoing();
    client.peer.send(hello);
    fixture.settle();
    fixture.log.expect(&[]);
    client.take();
    client.write("hello");
    client.exchange(&mut fixture);
    fixture.log.expect(&["0 made", "0 data hello"]);
    assert_eq!(client.take_received(), b"hello");
}

/// Held ciphertext leaves however little room the socket has, and also without a write.
#[test]
fn a_socket_that_takes_a_byte_at_a_time_and_gives_one_at_a_time_completes_a_handshake() {
    let mut fixture = encrypted(echo);
    let mut client = Client::new(fixture.script.connect());
    client.peer.set_room(0);
    let mut is_answered = false;
    for _ in 0..20_000 {
        if client.engine.is_handshaking() {
            client.write("");
        } else if !is_answered {
            client.write("hello");
            is_answered = true;
        }
        for byte in client.outgoing() {
            client.peer.send([byte]);
            fixture.turn();
        }
        client.peer.set_room(1);
        fixture.turn();
        client.take();
        if client.received == b"hello" {
            return fixture.log.expect(&["0 made", "0 data hello"]);
        }
    }
    panic!("{:?}", client.failure);
}

#[test]
fn a_client_may_say_all_it_has_to_say_with_the_end_of_the_handshake() {
    for request in ["", "all of it"] {
        let mut fixture = encrypted(|event, cx| {
            if event == Event::ReadLost {
                cx.transport.write("answer");
                cx.transport.lose_connection();
            }
        });
        let mut client = Client::new(fixture.script.connect());
        let hello = client.outgoing();
        client.peer.send(hello);
        fixture.settle();
        client.take();
        client.write(request);
        client.engine.send_close_notify();
        let all = client.outgoing();
        client.peer.send(all);
        client.peer.close();
        fixture.settle();
        client.take();
        assert_eq!(client.take_received(), b"answer");
        let data = format!("0 data {request}");
        let expected = ["0 made", &data, "0 read lost", DONE];
        let skipped = usize::from(request.is_empty());
        fixture.log.expect(&[&expected[..1], &expected[1 + skipped..]].concat());
    }
}

#[test]
fn a_port_scan_and_a_client_that_speaks_no_tls_are_rejected_and_get_an_alert() {
    let mut fixture = encrypted(echo);
    let scan = fixture.script.connect();
    fixture.settle();
    scan.close();
    fixture.settle();
    assert_eq!((scan.closed(), rejections(&fixture)), (Closed::InOrder, RejectionStats::default()));
    let plain = fixture.script.connect();
    plain.send("GET / HTTP/1.1\r\n\r\n");
    fixture.settle();
    // A fatal alert, protocol_version or decode_error.
    let alert = plain.received();
    assert_eq!((&alert[..2], alert[5]), (&[21, 3][..], 2), "{alert:?}");
    assert_eq!(rejections(&fixture).handshake, 1);
    fixture.log.expect(&[]);
    expect_none_counted(&mut fixture);
}

#[test]
fn the_timeout_is_for_the_whole_handshake_a_byte_a_second_included() {
    let settings = Settings::default().handshake_timeout(10 * SECOND);
    let mut fixture = encrypted_with(settings, acceptor(), echo);
    let mut client = Client::new(fixture.script.connect());
    let hello = client.outgoing();
    for byte in &hello[..9] {
        client.peer.send([*byte]);
        fixture.settle();
        fixture.script.advance(SECOND);
        fixture.settle();
        assert_eq!(client.peer.closed(), Closed::No);
    }
    fixture.script.advance(SECOND);
    fixture.settle();
    assert_ne!(client.peer.closed(), Closed::No);
    assert_eq!(rejections(&fixture).handshake, 1);
    expect_none_counted(&mut fixture);
}

/// Its address is known at once, so it is counted from the accept to the end, and once.
#[test]
fn a_client_is_counted_for_its_peer_from_the_accept_and_released_once() {
    let mut fixture = encrypted(echo);
    let limits = ConnectionLimits::new().max_per_peer(1).reject_message("busy");
    fixture.reactor.set_limits(&fixture.port, limits);
    for _ in 0..3 {
        let mut first = Client::new(fixture.script.connect());
        fixture.settle();
        let second = fixture.script.connect();
        fixture.settle();
        // In plaintext a message would be of no use.
        assert_eq!((second.received(), second.closed()), (Vec::new(), Closed::InOrder));
        first.exchange(&mut fixture);
        first.engine.send_close_notify();
        first.exchange(&mut fixture);
        assert!(first.has_heard_the_end());
        first.peer.close();
        fixture.settle();
        expect_none_counted(&mut fixture);
    }
    assert_eq!(rejections(&fixture).per_peer, 3);
}

#[test]
fn new_limits_count_clients_in_their_handshake() {
    let mut fixture = encrypted(echo);
    let first = fixture.script.connect();
    fixture.settle();
    fixture.reactor.set_limits(&fixture.port, ConnectionLimits::new().max_per_peer(1));
    let second = fixture.script.connect();
    fixture.settle();
    assert_eq!((first.closed(), second.closed()), (Closed::No, Closed::InOrder));
    first.close();
    fixture.settle();
    expect_none_counted(&mut fixture);
}

struct Silent;

impl<F> Protocol<F> for Silent {}

/// A factory that rejects every client, with a message.
struct Full;

impl Factory for Full {
    type Protocol = Silent;

    fn build_protocol(&mut self, transport: &Transport, _: &mut Reactor) -> Option<Silent> {
        transport.write("busy");
        None
    }
}

#[test]
fn a_client_that_its_factory_rejects_gets_the_message_and_its_end() {
    let mut fixture = encrypted(quiet);
    fixture.reactor.listen_tls(8444, &acceptor(), Full).unwrap();
    let mut client = Client::new(fixture.script.connect_to(1));
    client.exchange(&mut fixture);
    assert_eq!((client.take_received(), client.has_heard_the_end()), (b"busy".to_vec(), true));
    client.peer.close();
    fixture.settle();
    assert_eq!((client.peer.closed(), fixture.reactor.lingerers.len()), (Closed::InOrder, 0));
}

#[test]
fn a_server_whose_certificate_is_refused_is_a_failed_connection_with_the_reason_in_words() {
    let mut fixture = Fixture::new(echo);
    let side = crate::testing::tls::connector().to("elsewhere.test").unwrap();
    let mut server = Server::dialled(&mut fixture, side, server_config());
    server.exchange(&mut fixture);
    fixture.log.expect(&["failed: invalid data"]);
    let alert = rustls::AlertDescription::BadCertificate;
    assert_eq!(server.failure, Some(rustls::Error::AlertReceived(alert)), "the server was told");
    fixture.expect_empty();
}

thread_local! {
    static CLOCK: RefCell<Option<Script>> = const { RefCell::new(None) };
}

/// A certificate whose signature takes a millisecond, as that of an RSA key.
#[derive(Debug)]
struct Slow(Arc<dyn ResolvesServerCert>);

impl ResolvesServerCert for Slow {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        CLOCK.with_borrow(|script| script.as_ref().unwrap().advance(Duration::from_millis(1)));
        self.0.resolve(hello)
    }
}

/// Returns a port whose handshakes take a millisecond, and clients that it has accepted.
fn slow_clients(count: usize) -> (Fixture, Vec<Client>) {
    let mut config = server_config();
    config.cert_resolver = Arc::new(Slow(config.cert_resolver));
    let slow = TlsAcceptor::new(Arc::new(config));
    let mut fixture = encrypted_with(Settings::default(), slow, quiet);
    CLOCK.set(Some(fixture.script.clone()));
    let clients = (0..count).map(|_| Client::new(fixture.script.connect())).collect();
    fixture.turn();
    (fixture, clients)
}

fn send_hellos(clients: &mut [Client]) {
    for client in clients {
        let hello = client.outgoing();
        client.peer.send(hello);
    }
}

#[test]
fn handshakes_take_two_milliseconds_of_a_turn_and_go_on_in_order() {
    const COUNT: usize = 25;
    let (mut fixture, mut clients) = slow_clients(COUNT);
    send_hellos(&mut clients);
    let mut answered = 0;
    let mut turns = 0;
    while answered < COUNT {
        assert!(turns < 1 || fixture.reactor.next_deadline().is_some(), "the rest is due");
        let before = fixture.reactor.now();
        fixture.turn();
        turns += 1;
        let took = fixture.reactor.now() - before;
        assert!(took <= Duration::from_millis(2), "{took:?}");
        // In the order in which they have come.
        while answered < COUNT && clients[answered].take() > 0 {
            answered += 1;
        }
        assert!(clients[answered..].iter_mut().all(|client| client.take() == 0));
    }
    assert_eq!(turns, COUNT.div_ceil(2));
    for client in &mut clients {
        client.exchange(&mut fixture);
    }
    assert_eq!(fixture.reactor.connection_count(), COUNT);
    CLOCK.take();
}

/// The loop stands still until the time of clients is over whose hellos it has not read.
#[test]
fn a_late_loop_continues_each_handshake_once_before_its_timeout_counts() {
    let (mut fixture, mut clients) = slow_clients(25);
    send_hellos(&mut clients);
    fixture.script.advance(11 * SECOND);
    for _ in 0..20 {
        fixture.turn();
        for client in &mut clients {
            client.take();
            let is_answered = client.engine.wants_write();
            assert!(is_answered || client.peer.closed() == Closed::No);
        }
    }
    assert!(clients.iter().all(|client| client.peer.closed() != Closed::No));
    assert_eq!(rejections(&fixture).handshake, 25);
    expect_none_counted(&mut fixture);
    CLOCK.take();
}

#[test]
fn an_attempt_that_is_aborted_while_its_handshake_is_queued_is_not_established() {
    let (mut fixture, mut clients) = slow_clients(4);
    let endpoint = crate::TcpClientEndpoint::new(([192, 0, 2, 9], 443));
    let side = crate::testing::tls::connector().to("localhost").unwrap();
    let connector = fixture.reactor.connect_tls(endpoint, side, &fixture.port).unwrap();
    let mut server = Server::answer(&mut fixture, server_config());
    fixture.settle();
    let flight = server.take();
    // The clients use up the time of two turns, and the attempt would complete its handshake in the
    // third.
    send_hellos(&mut clients);
    server.peer.send(flight);
    fixture.turn();
    fixture.turn();
    assert!(clients.iter_mut().all(|client| client.take() > 0));
    let transport = connector.transport().clone();
    fixture.reactor.call_later(Duration::ZERO, move |_| transport.abort_connection());
    fixture.settle();
    fixture.log.expect(&["failed: connection aborted"]);
    CLOCK.take();
}

/// The poller says at once of a new socket that it has room, which is nothing to a handshake.
#[test]
fn a_client_that_says_nothing_has_no_session() {
    let mut reactor = Reactor::new().unwrap();
    let endpoint = crate::TcpServerEndpoint::new(0).interface(std::net::Ipv4Addr::LOCALHOST);
    let probes = Probes { log: Log::default(), act: quiet, all: Vec::new(), key: Rc::default() };
    let port = reactor.listen_tls(endpoint, &acceptor(), probes).unwrap();
    let address = port.local_address().socket_addr().unwrap();
    let mut client = std::net::TcpStream::connect(address).unwrap();
    let stage_is = |reactor: &Reactor, expected: fn(&Stage) -> bool| {
        reactor.connections.iter().any(|(_, slot)| match slot {
            Slot::Arriving(arriving) => expected(&arriving.stage),
            _ => false,
        })
    };
    while reactor.connections.len() == 0 {
        let _ = reactor.turn(Some(SECOND)).unwrap();
    }
    for _ in 0..5 {
        let _ = reactor.turn(Some(Duration::ZERO)).unwrap();
    }
    assert!(stage_is(&reactor, |stage| matches!(stage, Stage::Accepted)));
    client.write_all(&[22]).unwrap();
    while !stage_is(&reactor, |stage| matches!(stage, Stage::Handshaking)) {
        let _ = reactor.turn(Some(SECOND)).unwrap();
    }
}

/// A client that is asked for a second hello says twice which server it wants.
#[test]
fn the_server_name_of_a_client_is_not_that_of_the_next() {
    let base = server_config();
    let mut provider = CryptoProvider::clone(base.crypto_provider());
    // The client offers to exchange keys in another way first.
    provider.kx_groups.drain(..provider.kx_groups.len() - 1);
    let config = ServerConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(base.cert_resolver);
    let acceptor = TlsAcceptor::new(Arc::new(config));
    let mut fixture = encrypted_with(Settings::default(), acceptor, |event, cx| {
        if event == Event::Made {
            let tls = cx.transport.tls().unwrap();
            cx.transport.write(format!("{:?}", tls.server_name()));
        }
    });
    let mut client = Client::connect(&mut fixture);
    assert_eq!(client.take_received(), b"Some(\"localhost\")");
    let mut config = client_config();
    config.enable_sni = false;
    let mut client = Client::with(fixture.script.connect(), config);
    let hello = client.outgoing();
    for part in [&hello[..10], &hello[10..]] {
        client.peer.send(part);
        fixture.settle();
    }
    client.exchange(&mut fixture);
    assert_eq!(client.take_received(), b"None");
}

#[test]
fn each_flight_of_a_handshake_takes_one_read() {
    let mut fixture = encrypted(quiet);
    let mut client = Client::connect(&mut fixture);
    assert_eq!(client.peer.calls().reads, 2, "the hello, and the end of the handshake");
    client.write("hello");
    client.exchange(&mut fixture);
    assert_eq!(client.peer.calls().reads, 3);
    // The poller says that there is more than one read finds: the client's end.
    let mut client = Client::new(fixture.script.connect());
    let hello = client.outgoing();
    client.peer.send(hello);
    client.peer.close();
    fixture.settle();
    assert_eq!(client.peer.closed(), Closed::InOrder);
    assert_eq!(fixture.reactor.connections.len(), 1);
}

#[test]
fn a_close_after_a_handshake_looks_for_no_input_before_some_comes() {
    let mut fixture = encrypted(|event, cx| {
        if event == Event::Made {
            cx.transport.lose_connection();
        }
    });
    let mut client = Client::connect(&mut fixture);
    assert!(client.has_heard_the_end());
    assert_eq!((client.peer.calls().reads, client.peer.closed()), (2, Closed::No));
    client.peer.close();
    fixture.settle();
    assert_eq!((client.peer.calls().reads, client.peer.closed()), (3, Closed::InOrder));
    fixture.expect_empty();
}
