//! TLS that is started in mid-connection.

use super::*;
use crate::{LineContext, LineReceiver, Lines, Producer};
use std::io;

/// Answers "tls" in clear, starts TLS and writes something more.
fn starttls(event: Event<'_>, cx: &mut Context<'_, Probes>) {
    match event {
        Event::Data(b"tls") => {
            cx.transport.write("go ahead");
            cx.transport.start_tls(acceptor()).unwrap();
            cx.transport.write("secret");
        }
        Event::Data(data) => cx.transport.write(data),
        _ => {}
    }
}

/// Connects a client that has asked for TLS.
fn ask(fixture: &mut Fixture) -> Client {
    let peer = fixture.connect();
    peer.send("tls");
    fixture.settle();
    assert_eq!(peer.received(), b"go ahead", "in clear, and nothing else");
    Client::new(peer)
}

#[test]
fn what_was_written_before_is_in_clear_and_what_is_written_after_is_encrypted() {
    let mut fixture = Fixture::new(starttls);
    let mut client = ask(&mut fixture);
    client.exchange(&mut fixture);
    assert_eq!(client.take_received(), b"secret");
    client.write("more");
    client.exchange(&mut fixture);
    assert_eq!(client.take_received(), b"more");
    fixture.log.expect(&["0 made", "0 data tls", "0 secured", "0 data more"]);
    assert_eq!(fixture.transport(0).tls().unwrap().server_name(), Some("localhost"));
    let again = fixture.transport(0).start_tls(acceptor()).unwrap_err();
    assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
}

#[test]
fn bytes_in_clear_that_wait_for_room_leave_before_the_handshake() {
    let mut fixture = Fixture::new(starttls);
    let peer = fixture.connect();
    peer.set_room(0);
    let transport = fixture.transport(0);
    let clear = pattern(50_000);
    transport.write(&clear);
    peer.send("tls");
    fixture.settle();
    let unsent = transport.unsent();
    assert!(unsent >= clear.len() + "go ahead".len(), "{unsent}");
    peer.set_room(usize::MAX / 2);
    fixture.settle();
    assert!(peer.received() == [&clear[..], b"go ahead"].concat());
    let mut client = Client::new(peer);
    client.exchange(&mut fixture);
    assert_eq!(client.take_received(), b"secret");
    assert_eq!((transport.unsent(), fixture.reactor.hub.unsent()), (0, 0));
}

#[test]
fn the_first_encrypted_bytes_come_after_the_protocol_has_heard_of_the_handshake() {
    let mut fixture = Fixture::new(starttls);
    let mut client = ask(&mut fixture);
    let hello = client.outgoing();
    client.peer.send(hello);
    fixture.settle();
    client.take();
    // The end of the handshake, data and the end of the data in one read.
    client.write("at once");
    client.engine.send_close_notify();
    let all = client.outgoing();
    client.peer.send(all);
    fixture.settle();
    let expected = ["0 made", "0 data tls", "0 secured", "0 data at once", "0 read lost"];
    fixture.log.expect(&expected);
}

#[test]
fn a_handshake_in_mid_connection_has_its_timeout_and_the_timers_of_the_protocol_go_on() {
    let settings = Settings::default().handshake_timeout(5 * SECOND);
    let mut fixture = Fixture::with(settings, |event, cx| match event {
        Event::TimedOut(kind) => cx.transport.time_out(kind),
        _ => starttls(event, cx),
    });
    let mut client = ask(&mut fixture);
    expect_handshake_timeout(&mut fixture, &mut client);
    // A handshake that is complete has none.
    let mut client = ask(&mut fixture);
    client.exchange(&mut fixture);
    fixture.script.advance(60 * SECOND);
    fixture.settle();
    assert!(fixture.transport(1).is_connected());
}

#[test]
fn a_failed_handshake_loses_the_connection_with_its_reason() {
    let mut fixture = Fixture::new(starttls);
    let client = ask(&mut fixture);
    client.peer.send("QUIT\r\n");
    fixture.settle();
    let log = fixture.log.0.borrow().join("; ");
    assert!(log.starts_with("0 made; 0 data tls; 0 lost: connection lost: "), "{log}");
    assert_eq!(client.peer.received()[0], 21, "an alert");
}

#[test]
fn a_close_during_the_handshake_ends_without_it() {
    let mut fixture = Fixture::new(|event, cx| {
        if let Event::Data(_) = event {
            cx.transport.start_tls(acceptor()).unwrap();
            cx.transport.lose_connection();
        }
    });
    let peer = fixture.connect();
    peer.send("tls");
    fixture.settle();
    fixture.log.expect(&["0 made", "0 data tls", DONE]);
    assert_eq!(peer.received(), b"");
}

#[test]
fn a_producer_stays_registered() {
    let mut fixture = Fixture::new(|event, cx| match event {
        Event::Data(b"tls") => {
            cx.transport.register_producer(Producer::push());
            cx.transport.start_tls(acceptor()).unwrap();
            cx.transport.write(pattern(200_000));
        }
        Event::MayWrite => {
            cx.transport.write("the end");
            cx.transport.unregister_producer();
            cx.transport.lose_connection();
        }
        _ => {}
    });
    let peer = fixture.connect();
    peer.send("tls");
    fixture.settle();
    let mut client = Client::new(peer);
    client.exchange(&mut fixture);
    assert!(client.take_received() == [&pattern(200_000)[..], b"the end"].concat());
    assert!(client.has_heard_the_end());
}

#[test]
fn bytes_that_are_the_handshake_already_are_handed_over() {
    let mut fixture = Fixture::new(|event, cx| match event {
        Event::Data([b't', b'l', b's', rest @ ..]) => {
            cx.transport.start_tls_with(acceptor(), rest).unwrap();
        }
        _ => echo(event, cx),
    });
    let mut client = Client::new(fixture.connect());
    let hello = client.outgoing();
    client.peer.send([b"tls", &hello[..]].concat());
    client.exchange(&mut fixture);
    client.write("hello");
    client.exchange(&mut fixture);
    assert_eq!(client.take_received(), b"hello");
}

#[test]
fn both_sides_of_a_connection_may_be_ours() {
    let mut fixture = Fixture::new(|event, cx| {
        if event == Event::Made {
            let side = crate::testing::tls::connector().to("localhost").unwrap();
            cx.transport.start_tls(side).unwrap();
            cx.transport.write("from the client");
        }
    });
    let endpoint = crate::TcpClientEndpoint::new(([192, 0, 2, 9], 25));
    fixture.reactor.connect_tcp(endpoint, &fixture.port).unwrap();
    let mut server = Server::answer(&mut fixture, server_config());
    server.exchange(&mut fixture);
    assert_eq!(server.received, b"from the client");
    fixture.log.expect(&["0 made", "0 secured"]);
}

/// The server of a mail protocol, as far as STARTTLS goes.
struct Mail {
    log: Log,
}

impl<F> LineReceiver<F> for Mail {
    fn line_received(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]) {
        self.log.push(String::from_utf8_lossy(line));
        if line == b"STARTTLS" {
            cx.send_line("220 Ready");
            cx.transport.start_tls(acceptor()).unwrap();
        }
    }

    fn connection_lost(&mut self, _: &mut LineContext<'_, F>, reason: &Reason) {
        self.log.push(format!("lost: {reason}"));
    }
}

/// Injection: a command in clear behind STARTTLS must not pass for one that was encrypted.
#[test]
fn lines_in_clear_behind_the_request_fail_the_connection_and_are_not_delivered() {
    for injected in ["MAIL FROM:<eve>\r\n", "MAIL", "\r\n"] {
        let (script, log) = (Script::new(), Log::default());
        let mut reactor = Reactor::with_driver(script.driver(), Settings::default());
        let of_mail = log.clone();
        reactor.listen_tcp(25, move || Lines::new(Mail { log: of_mail.clone() })).unwrap();
        let peer = script.connect();
        peer.send(format!("EHLO\r\nSTARTTLS\r\n{injected}"));
        for _ in 0..20 {
            let _ = reactor.turn(Some(Duration::ZERO)).unwrap();
        }
        let failed = "lost: failed: bytes that are not encrypted follow the request to start TLS";
        log.expect(&["EHLO", "STARTTLS", failed]);
        assert_eq!(reactor.connection_count(), 0);
    }
}

/// A server that asks elsewhere before it starts TLS.
struct Asking {
    log: Log,
}

impl<F> LineReceiver<F> for Asking {
    fn line_received(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]) {
        self.log.push(String::from_utf8_lossy(line));
        if line == b"STARTTLS" {
            let transport = cx.transport.clone();
            cx.reactor.call_later(Duration::ZERO, move |_| {
                transport.start_tls(acceptor()).unwrap();
            });
        }
    }

    fn handshake_completed(&mut self, _: &mut LineContext<'_, F>) {
        self.log.push("secured");
    }

    fn connection_lost(&mut self, _: &mut LineContext<'_, F>, reason: &Reason) {
        self.log.push(format!("lost: {reason}"));
    }
}

/// Injection: the beginning of a line in clear must not become one with what is encrypted.
#[test]
fn the_beginning_of_a_line_in_clear_fails_the_connection_after_the_handshake() {
    for injected in ["", "MAIL FROM:<eve"] {
        let mut fixture = Fixture::new(quiet);
        let of_receiver = fixture.log.clone();
        let receiver = move || Lines::new(Asking { log: of_receiver.clone() });
        fixture.reactor.listen_tcp(25, receiver).unwrap();
        let peer = fixture.script.connect_to(1);
        peer.send(format!("STARTTLS\r\n{injected}"));
        fixture.settle();
        let mut client = Client::new(peer);
        client.exchange(&mut fixture);
        client.write(">\r\nRCPT\r\n");
        client.exchange(&mut fixture);
        let failed = "lost: failed: bytes that are not encrypted follow the request to start TLS";
        match injected {
            "" => fixture.log.expect(&["STARTTLS", "secured", ">", "RCPT"]),
            _ => fixture.log.expect(&["STARTTLS", failed]),
        }
    }
}
