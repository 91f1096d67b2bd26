//! A client service through a restart of its server, over loopback sockets.

use crate::support::TIMEOUT;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::num::NonZeroU32;
use std::thread;
use std::time::Duration;
use twistor::client_service::{Backoff, NotConnectedError};
use twistor::{
    ClientService, Factory, HostnameEndpoint, LineContext, LineReceiver, Lines, Reactor, Reason,
    Transport,
};

/// Says hello, and stops its service when a server says so.
struct Hello;

/// Counts what it hears.
#[derive(Default)]
struct Caller {
    made: u32,
    lost: u32,
    retries: u32,
}

impl LineReceiver<Caller> for Hello {
    fn connection_made(&mut self, cx: &mut LineContext<'_, Caller>) {
        cx.factory.made += 1;
        cx.send_line("hello");
    }

    fn line_received(&mut self, cx: &mut LineContext<'_, Caller>, line: &[u8]) {
        match (line, cx.reactor.service_of(cx.transport)) {
            (b"welcome", _) => assert!(cx.reactor.set_prepared(cx.transport)),
            (b"enough", Some(service)) => assert!(service.stop(cx.reactor)),
            (line, _) => panic!("{}", String::from_utf8_lossy(line)),
        }
    }

    fn connection_lost(&mut self, cx: &mut LineContext<'_, Caller>, _: &Reason) {
        cx.factory.lost += 1;
    }
}

impl Factory for Caller {
    twistor::build_protocol!(Lines<Hello>, |_| Lines::new(Hello));

    fn retrying(&mut self, _: &Transport, delay: Duration, _: u32, _: &mut Reactor) {
        self.retries += 1;
        assert!(delay <= MAXIMUM);
    }

    fn stop_factory(&mut self, reactor: &mut Reactor) {
        assert_eq!((self.made, self.lost), (3, 3));
        // Refused until the server is back: how often, depends on the machine.
        assert!(self.retries >= 2);
        reactor.stop();
    }
}

const MAXIMUM: Duration = Duration::from_millis(50);

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

#[test]
fn a_service_stays_connected_through_a_restart_of_its_server() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let mut reactor = Reactor::new().unwrap();
    let remote = reactor.remote();
    let (away_in, away) = std::sync::mpsc::channel();
    let backoff = Backoff::new().initial(Duration::from_millis(5)).maximum(MAXIMUM);
    let endpoint = HostnameEndpoint::new("localhost", address.port()).unwrap();
    let service = ClientService::new(endpoint, Caller::default())
        .retry(backoff)
        .prepared_by_protocol(TIMEOUT)
        .start(&mut reactor)
        .unwrap();
    service.when_connected(&mut reactor, None, move |reactor, outcome| {
        assert_eq!(service.transport(reactor), Some(outcome.unwrap()));
    });
    let server = thread::spawn(move || {
        drop(serve(&listener, ""));
        let client = serve(&listener, "welcome\r\n");
        // The server goes away, until the service has been refused.
        drop(listener);
        drop(client);
        let refused = remote.call_from_thread(move |reactor| {
            service.when_connected(reactor, NonZeroU32::new(1), move |reactor, outcome| {
                assert!(matches!(outcome, Err(NotConnectedError::Failed { .. })), "{outcome:?}");
                assert_eq!(service.transport(reactor), None);
                away_in.send(()).unwrap();
            });
        });
        refused.unwrap();
        away.recv_timeout(TIMEOUT).unwrap();
        let listener = TcpListener::bind(address).unwrap();
        serve(&listener, "welcome\r\nenough\r\n");
    });
    reactor.run().unwrap();
    server.join().unwrap();
}
