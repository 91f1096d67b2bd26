//! Factories, over the life of their ports and connections.

use crate::support::{Server, echo};
use std::cell::Cell;
use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::rc::Rc;
use twistor::error::ListenError;
use twistor::{Context, Factory, Protocol, Reactor, Reason, Transport};

#[test]
fn several_ports_share_one_factory() {
    let server = Server::new(echo);
    let port = server.port.key();
    let second = server.call(move |reactor| {
        let second = reactor.listen_tcp((Ipv4Addr::LOCALHOST, 0), port).unwrap();
        second.local_address().socket_addr().unwrap()
    });
    let mut one = server.connect();
    one.send("x");
    one.expect("x");
    let mut two = crate::support::Client::connect(second);
    two.send("y");
    two.expect("y");
    server.expect(&["started", "0 made", "1 made"]);
    let open = server.call(move |reactor| reactor.with_factory(port, |it, _| it.open).unwrap());
    assert_eq!(open, 2);
}

#[test]
fn stop_listening_leaves_connections_alone() {
    let server = Server::new(echo);
    let mut client = server.connect();
    client.send("before");
    client.expect("before");
    let (port, key) = (server.port.clone(), server.port.key());
    server.call(move |reactor| {
        assert!(reactor.stop_listening(&port));
        assert!(!reactor.stop_listening(&port));
    });
    server.expect(&["started", "0 made", "stopped"]);
    client.send("after");
    client.expect("after");
    assert!(TcpStream::connect(server.address.socket_addr().unwrap()).is_err());
    client.finish();
    client.expect_close();
    server.expect(&["0 read lost", "0 lost: done"]);
    // The factory was dropped with its last connection.
    assert!(server.call(move |reactor| reactor.with_factory(key, |_, _| ()).is_err()));
}

#[test]
fn with_protocol_finds_the_protocol_of_a_connection() {
    let server = Server::new(echo);
    let (mut one, mut two) = (server.connect(), server.connect());
    server.expect(&["started", "0 made", "1 made"]);
    let port = server.port.key();
    server.call(move |reactor| {
        let id = reactor.with_factory(port, |it, _| it.all[1].id()).unwrap();
        let told = reactor.with_protocol(port, id, |_probe, cx| {
            cx.transport.write("you there");
            cx.factory.open
        });
        assert_eq!(told, Ok(2));
    });
    two.expect("you there");
    one.send("not me");
    one.expect("not me");
}

/// Builds boxed protocols of different types on one port.
struct Mixed {
    built: usize,
    lost: Rc<Cell<usize>>,
}

struct Shout;

impl Protocol<Mixed> for Shout {
    fn data_received(&mut self, cx: &mut Context<'_, Mixed>, data: &[u8]) {
        cx.transport.write(data.to_ascii_uppercase());
    }

    fn connection_lost(&mut self, cx: &mut Context<'_, Mixed>, _: &Reason) {
        cx.factory.lost.set(cx.factory.lost.get() + 1);
    }
}

struct Whisper;

impl<F> Protocol<F> for Whisper {
    fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
        cx.transport.write(data.to_ascii_lowercase());
    }
}

impl Factory for Mixed {
    type Protocol = Box<dyn Protocol<Self>>;

    fn build_protocol(&mut self, transport: &Transport, _: &mut Reactor) -> Option<Self::Protocol> {
        self.built += 1;
        match self.built {
            1 => Some(Box::new(Shout)),
            2 => Some(Box::new(Whisper)),
            _ => {
                transport.write("full\r\n");
                None
            }
        }
    }
}

#[test]
fn a_factory_builds_different_protocols_and_rejects_connections() {
    let (address_in, address) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let lost = Rc::new(Cell::new(0));
        let mut reactor = Reactor::new().unwrap();
        let mixed = Mixed { built: 0, lost: Rc::clone(&lost) };
        let port = reactor.listen_tcp((Ipv4Addr::LOCALHOST, 0), mixed).unwrap();
        address_in.send((port.local_address().socket_addr().unwrap(), reactor.remote())).unwrap();
        reactor.run().unwrap();
        lost.get()
    });
    let (address, remote) = address.recv().unwrap();
    let mut shout = crate::support::Client::connect(address);
    shout.send("Hello");
    shout.expect("HELLO");
    let mut whisper = crate::support::Client::connect(address);
    whisper.send("Hello");
    whisper.expect("hello");
    assert_eq!(crate::support::Client::connect(address).rest(), b"full\r\n");
    remote.call_from_thread(Reactor::stop).unwrap();
    assert_eq!(thread.join().unwrap(), 1);
    shout.expect_close();
}

/// Fails to start.
struct Broken(fn() -> io::Result<()>);

impl Factory for Broken {
    type Protocol = Whisper;

    fn start_factory(&mut self, _: &mut Reactor) -> io::Result<()> {
        (self.0)()
    }

    fn stop_factory(&mut self, _: &mut Reactor) {
        unreachable!("it never started");
    }

    fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Whisper> {
        unreachable!("it never started");
    }
}

#[test]
fn a_factory_that_does_not_start_opens_no_port() {
    let mut reactor = Reactor::new().unwrap();
    let endpoint = twistor::TcpServerEndpoint::new(0).interface(Ipv4Addr::LOCALHOST);
    let fails = || Err(io::Error::other("no disk"));
    for (start, says) in [
        (fails as fn() -> io::Result<()>, "the factory did not start: no disk"),
        (|| panic!("no luck"), "the factory did not start: start_factory panicked: no luck"),
    ] {
        let error = reactor.listen_tcp(endpoint.clone(), Broken(start)).unwrap_err();
        assert!(matches!(error, ListenError::StartFactory { .. }));
        assert!(error.to_string().ends_with(says), "{error}");
    }
    assert!(reactor.next_deadline().is_none(), "nothing is left behind");
}
