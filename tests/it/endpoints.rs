//! Endpoint descriptions, and the ports that they open.

use crate::support::{Client, Server, TIMEOUT, has_ipv6};
use std::cell::RefCell;
use std::io::{self, Read};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::mpsc::{Sender, channel};
use std::time::Instant;
use twistor::error::{ConnectError, ListenError};
use twistor::{
    Context, Factory, ListeningPort, Protocol, Reactor, Reason, ServerEndpoint, Settings,
    TcpClientEndpoint, TcpServerEndpoint, Transport,
};

struct Greet;

impl<F> Protocol<F> for Greet {
    fn connection_made(&mut self, cx: &mut Context<'_, F>) {
        cx.transport.write("hello");
        cx.transport.lose_connection();
    }
}

/// Serves until one client has been greeted at this address.
#[track_caller]
fn check_greeting(reactor: &mut Reactor, at: SocketAddr) {
    let client = std::thread::spawn(move || Client::connect(at).rest());
    let start = Instant::now();
    while !client.is_finished() {
        assert!(start.elapsed() < TIMEOUT, "no greeting");
        let turned = reactor.turn(Some(std::time::Duration::from_millis(1))).unwrap();
        assert!(turned.is_continue());
    }
    assert_eq!(client.join().unwrap(), b"hello");
}

fn at<F>(port: ListeningPort<F>) -> SocketAddr {
    port.local_address().socket_addr().unwrap()
}

#[test]
fn descriptions_open_ports() {
    let v6: SocketAddr = (Ipv6Addr::LOCALHOST, 0).into();
    for (description, ip) in [
        ("tcp:0:interface=127.0.0.1", "127.0.0.1"),
        ("tcp:0:127.0.0.1:5", "127.0.0.1"),
        (r"tcp:0:interface=\:\:1", "::1"),
        ("tcp:0:interface=[::1]", "::1"),
        ("tcp:0:interface=::1:backlog=7", "::1"),
        ("tcp6:0:interface=::1", "::1"),
    ] {
        if ip == "::1" && !has_ipv6() {
            continue;
        }
        let mut reactor = Reactor::new().unwrap();
        let port = reactor.listen(description, || Greet).unwrap();
        assert_eq!(at(port.clone()).ip().to_string(), ip, "{description}");
        assert_ne!(at(port.clone()).port(), v6.port(), "the port that the system chose");
        check_greeting(&mut reactor, at(port));
    }
}

/// Closes its connection, and then stops the reactor.
#[derive(Clone, Default)]
struct Brief {
    /// Results of the attempt or of the connection.
    end: Rc<RefCell<String>>,
}

impl Protocol<Self> for Brief {
    fn connection_made(&mut self, cx: &mut Context<'_, Self>) {
        cx.transport.lose_connection();
    }

    fn connection_lost(&mut self, cx: &mut Context<'_, Self>, reason: &Reason) {
        self.end.replace(reason.to_string());
        cx.reactor.stop();
    }
}

impl Factory for Brief {
    type Protocol = Self;

    fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Self> {
        Some(self.clone())
    }

    fn connection_failed(&mut self, _: &Transport, error: &io::Error, reactor: &mut Reactor) {
        self.end.replace(error.to_string());
        reactor.stop();
    }
}

/// From a loopback address that no other test uses for ports chosen by the system.
#[test]
fn a_client_reuses_its_local_port_during_time_wait() {
    if !cfg!(target_os = "linux") {
        return eprintln!("skipped: this machine has no 127.0.0.77");
    }
    let local = TcpListener::bind("127.0.0.77:0").unwrap().local_addr().unwrap();
    let mut reactor = Reactor::with_settings(Settings::default().handle_signals(false)).unwrap();
    for _ in 0..3 {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = TcpClientEndpoint::new(server.local_addr().unwrap()).bind(local);
        let brief = Brief::default();
        reactor.connect_tcp(endpoint, brief.clone()).unwrap();
        reactor.run().unwrap();
        assert_eq!(*brief.end.borrow(), Reason::Done.to_string());
        let (mut client, peer) = server.accept().unwrap();
        assert_eq!(peer, local);
        // The client closed first, so the client's side is in TIME_WAIT.
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
    }
}

#[test]
fn a_port_accepts_clients_with_any_backlog() {
    for backlog in [0, 1, u32::MAX] {
        let mut reactor = Reactor::new().unwrap();
        let endpoint = TcpServerEndpoint::new(0).interface(Ipv4Addr::LOCALHOST).backlog(backlog);
        let port = reactor.listen_tcp(endpoint, || Greet).unwrap();
        check_greeting(&mut reactor, at(port.clone()));
        check_greeting(&mut reactor, at(port));
    }
}

#[test]
fn all_interfaces_are_served() {
    let mut reactor = Reactor::new().unwrap();
    let v4 = reactor.listen("0", || Greet).unwrap();
    assert!(at(v4.clone()).ip().is_unspecified() && at(v4.clone()).is_ipv4());
    check_greeting(&mut reactor, (Ipv4Addr::LOCALHOST, at(v4).port()).into());
    if !has_ipv6() {
        return;
    }
    // All IPv6 interfaces include those of IPv4.
    let both = reactor.listen("tcp6:0", || Greet).unwrap();
    check_greeting(&mut reactor, (Ipv6Addr::LOCALHOST, at(both.clone()).port()).into());
    check_greeting(&mut reactor, (Ipv4Addr::LOCALHOST, at(both).port()).into());
}

#[test]
fn endpoints_listen_by_themselves() {
    let mut reactor = Reactor::new().unwrap();
    let endpoint = TcpServerEndpoint::new(0).interface([127, 0, 0, 1]).backlog(3);
    let port = endpoint.listen(&mut reactor, || Greet).unwrap();
    check_greeting(&mut reactor, at(port));
    let parsed: ServerEndpoint = "tcp:0:127.0.0.1".parse().unwrap();
    let port = parsed.listen(&mut reactor, || Greet).unwrap();
    check_greeting(&mut reactor, at(port));
    if has_ipv6() {
        let port = reactor.listen_tcp((Ipv6Addr::LOCALHOST, 0), || Greet).unwrap();
        check_greeting(&mut reactor, at(port));
    }
}

#[test]
fn errors_name_the_address_and_what_is_wrong() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let mut reactor = Reactor::new().unwrap();
    let error = reactor.listen_tcp(address, || Greet).unwrap_err();
    let ListenError::Bind { endpoint, source, .. } = &error else { panic!("{error}") };
    assert_eq!(*endpoint, ServerEndpoint::from(TcpServerEndpoint::from(address)));
    assert_eq!(source.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().starts_with(&format!("cannot listen on {address}: ")), "{error}");

    // A documentation address, which no machine has.
    let error = reactor.listen("tcp:0:interface=192.0.2.1", || Greet).unwrap_err();
    assert!(error.to_string().starts_with("cannot listen on 192.0.2.1:0: "), "{error}");

    let error = reactor.connect("tcp:192.0.2.1", || Greet).unwrap_err();
    assert!(matches!(error, ConnectError::Endpoint(_)));
    assert!(error.to_string().starts_with("no port is given"), "{error}");

    let error = reactor.listen("tcp:65536", || Greet).unwrap_err();
    assert!(matches!(error, ListenError::Endpoint(_)));
    assert!(error.to_string().contains("tcp:»65536"), "{error}");
    assert_eq!(format!("{error:?}"), error.to_string(), "what a failing main prints");
}

#[test]
fn a_connection_from_a_bound_address_has_a_port_chosen_by_the_system() {
    let server = Server::new(|_, _| {});
    let (address_in, address) = channel();
    let to = server.address.socket_addr().unwrap();
    server.call(move |reactor| {
        let endpoint = TcpClientEndpoint::new(to).bind((Ipv4Addr::LOCALHOST, 0));
        let client = move || Reports(address_in.clone());
        endpoint.connect(reactor, client).unwrap();
    });
    let own: SocketAddr = address.recv_timeout(TIMEOUT).unwrap();
    server.expect(&["started", "0 made"]);
    let port = server.port.key();
    let seen = server.call(move |reactor| {
        reactor.with_factory(port, |probes, _| probes.all[0].peer_address().socket_addr())
    });
    assert_eq!(seen.unwrap(), Some(own));
}

/// Sends the local address when it is connected.
struct Reports(Sender<SocketAddr>);

impl<F> Protocol<F> for Reports {
    fn connection_made(&mut self, cx: &mut Context<'_, F>) {
        self.0.send(cx.transport.local_address().socket_addr().unwrap()).unwrap();
    }
}
