//! A client service through a restart of its server, over loopback sockets.

use crate::support::TIMEOUT;
use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;
use twistor::client_service::Backoff;
use twistor::{
    ClientService, Factory, HostnameEndpoint, LineContext, LineReceiver, Lines, Reactor, Reason,
    Transport,
};

const MAXIMUM: Duration = Duration::from_millis(50);

/// Says hello, and stops its service when a server says so.
struct Hello;

/// What happened to a service, by kind.
#[derive(Debug, Default, PartialEq)]
struct Counts {
    made: u32,
    prepared: u32,
    lost: u32,
    stopped: u32,
}

/// Counts what it hears, and tells the server's thread of refusals.
struct Caller {
    counts: Rc<RefCell<Counts>>,
    refused: Sender<()>,
}

impl LineReceiver<Caller> for Hello {
    fn connection_made(&mut self, cx: &mut LineContext<'_, Caller>) {
        cx.factory.counts.borrow_mut().made += 1;
        cx.send_line("hello");
    }

    fn line_received(&mut self, cx: &mut LineContext<'_, Caller>, line: &[u8]) {
        let is_prepared = line == b"welcome" && cx.reactor.set_prepared(cx.transport);
        cx.factory.counts.borrow_mut().prepared += u32::from(is_prepared);
        let service = cx.reactor.service_of(cx.transport);
        if let Some(service) = service.filter(|_| line == b"enough") {
            service.stop(cx.reactor);
        }
    }

    fn connection_lost(&mut self, cx: &mut LineContext<'_, Caller>, _: &Reason) {
        cx.factory.counts.borrow_mut().lost += 1;
    }
}

impl Factory for Caller {
    twistor::build_protocol!(Lines<Hello>, |_| Lines::new(Hello));

    fn connection_failed(&mut self, _: &Transport, _: &io::Error, _: &mut Reactor) {
        let _ = self.refused.send(());
    }

    fn stop_factory(&mut self, reactor: &mut Reactor) {
        self.counts.borrow_mut().stopped += 1;
        reactor.stop();
    }
}

/// Accepts a client, and answers its hello.
fn serve(listener: &TcpListener, answer: &str) -> TcpStream {
    let (mut client, _) = listener.accept().unwrap();
    client.set_read_timeout(Some(TIMEOUT)).unwrap();
    let mut line = String::new();
    BufReader::new(&client).read_line(&mut line).unwrap();
    assert_eq!(line, "hello\r\n");
    client.write_all(answer.as_bytes()).unwrap();
    client
}

/// Serves three clients, and is away before the last of them until an attempt is refused.
fn server(listener: TcpListener, connected: &Receiver<bool>, refused: &Receiver<()>) {
    let address = listener.local_addr().unwrap();
    drop(serve(&listener, ""));
    let client = serve(&listener, "welcome\r\n");
    assert_eq!(connected.recv_timeout(TIMEOUT), Ok(true));
    drop(listener);
    drop(client);
    refused.recv_timeout(TIMEOUT).unwrap();
    let listener = TcpListener::bind(address).unwrap();
    serve(&listener, "welcome\r\nenough\r\n");
}

#[test]
fn a_service_stays_connected_through_a_restart_of_its_server() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut reactor = Reactor::new().unwrap();
    let counts = Rc::new(RefCell::new(Counts::default()));
    let ((connected_in, connected), (refused_in, refused)) = (channel(), channel());
    let caller = Caller { counts: Rc::clone(&counts), refused: refused_in };
    let backoff = Backoff::new().initial(Duration::from_millis(5)).maximum(MAXIMUM);
    let service = ClientService::new(HostnameEndpoint::new("localhost", port).unwrap(), caller)
        .retry(backoff)
        .prepared_by_protocol(TIMEOUT)
        .start(&mut reactor)
        .unwrap();
    service.when_connected(&mut reactor, None, move |reactor, outcome| {
        let is_its = outcome.is_ok_and(|it| service.transport(reactor) == Some(it));
        let _ = connected_in.send(is_its);
    });
    let server = thread::spawn(move || server(listener, &connected, &refused));
    // If something goes wrong, the counts show it.
    reactor.call_later(TIMEOUT * 3, Reactor::stop);
    reactor.run().unwrap();
    assert_eq!(*counts.borrow(), Counts { made: 3, prepared: 2, lost: 3, stopped: 1 });
    server.join().unwrap();
}
