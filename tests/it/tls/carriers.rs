//! TLS over each carrier, between both sides of this library, by descriptions as users write them.

use crate::support::{Folder, TIMEOUT};
use std::cell::RefCell;
use std::rc::Rc;
use twistor::testing::tls::{AUTHORITY, LOCALHOST};
use twistor::{Address, Context, Protocol, Reactor, Transport};

type Log = Rc<RefCell<Vec<String>>>;

/// Answers with what it receives, and notes who has sent it.
struct Echo(Log);

impl<F> Protocol<F> for Echo {
    fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
        let name = cx.transport.tls().and_then(|tls| tls.server_name().map(str::to_owned));
        let proxied = cx.transport.proxy_header().is_some();
        self.0.borrow_mut().push(format!("{name:?} proxied={proxied}"));
        cx.transport.write(data);
    }
}

/// Asks, and stops the reactor at the end.
struct Ask(Log);

impl<F> Protocol<F> for Ask {
    fn connection_made(&mut self, cx: &mut Context<'_, F>) {
        cx.transport.write("hello");
    }

    fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
        self.0.borrow_mut().push(String::from_utf8_lossy(data).into_owned());
        cx.transport.lose_connection();
    }

    fn connection_lost(&mut self, cx: &mut Context<'_, F>, reason: &twistor::Reason) {
        self.0.borrow_mut().push(reason.to_string());
        cx.reactor.stop();
    }
}

/// Builds a client's protocol, and stops if there is no connection.
struct Client(Log);

impl twistor::Factory for Client {
    type Protocol = Ask;

    fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Ask> {
        Some(Ask(Rc::clone(&self.0)))
    }

    fn connection_failed(&mut self, _: &Transport, error: &std::io::Error, it: &mut Reactor) {
        self.0.borrow_mut().push(format!("failed: {error}"));
        it.stop();
    }
}

/// Serves at one description, connects to another, and returns what both sides have noted.
fn exchange(server: &str, client: &str) -> Vec<String> {
    let folder = Folder::new();
    let both = format!("{}{}", LOCALHOST.certificate, LOCALHOST.key);
    std::fs::write(folder.join("both.pem"), both).unwrap();
    std::fs::write(folder.join("roots.pem"), AUTHORITY).unwrap();
    let named = |text: &str| text.replace('@', &format!("{}/", folder.join("").display()));
    let log = Log::default();
    let mut reactor = Reactor::new().unwrap();
    let of_server = Rc::clone(&log);
    let echo = move || Echo(Rc::clone(&of_server));
    let port = reactor.listen(&named(server), echo).unwrap();
    let number = match port.local_address() {
        Address::Tcp(address) => address.port().to_string(),
        _ => String::new(),
    };
    let to = named(client).replace("PORT", &number);
    reactor.connect(&to, Client(Rc::clone(&log))).unwrap();
    reactor.call_later(TIMEOUT, |reactor| reactor.stop());
    reactor.run().unwrap();
    log.take()
}

#[test]
fn a_connection_is_encrypted_whatever_carries_it() {
    const TCP: &str = "ssl:0:interface=127.0.0.1:privateKey=@both.pem";
    const DONE: &str = "connection closed gracefully";
    for (server, client, noted) in [
        (TCP, "tls:localhost:PORT:trustRoots=@roots.pem", "Some(\"localhost\") proxied=false"),
        (TCP, "tls:127.0.0.1:PORT:trustRoots=@roots.pem", "None proxied=false"),
        (
            "haproxy:ssl:0:interface=127.0.0.1:privateKey=@both.pem",
            "haproxy:tls:localhost:PORT:trustRoots=@roots.pem",
            "Some(\"localhost\") proxied=true",
        ),
        #[cfg(unix)]
        (
            "ssl:unix:@socket:privateKey=@both.pem",
            "tls:unix:@socket:trustRoots=@roots.pem:serverName=example.test",
            "Some(\"example.test\") proxied=false",
        ),
    ] {
        let log = exchange(server, client);
        assert_eq!(log, [noted, "hello", DONE], "{client}");
    }
}

#[test]
fn a_server_whose_certificate_is_for_another_name_is_a_failed_connection() {
    let client = "tls:127.0.0.1:PORT:trustRoots=@roots.pem:serverName=elsewhere.test";
    let log = exchange("ssl:0:interface=127.0.0.1:privateKey=@both.pem", client);
    assert_eq!(log.len(), 1, "{log:?}");
    assert!(log[0].starts_with("failed: invalid peer certificate"), "{log:?}");
}
