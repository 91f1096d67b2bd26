//! Transcripts of clients: the test is the server.

use super::super::{Peers, Transcript, check, check_client, check_client_on};
use crate::testing::{Conditions, Listener, Simulation};
use crate::{
    Context, Factory, LineContext, LineReceiver, Lines, Protocol, Reactor, Reason, Transport,
    build_protocol,
};
use std::io;
use std::time::Duration;

const DELAY: Duration = Duration::from_secs(1);

/// Logs in, obeys, and connects again a second after each loss and failure.
struct Obeying;

impl LineReceiver<Persistent> for Obeying {
    fn connection_made(&mut self, cx: &mut LineContext<'_, Persistent>) {
        cx.send_line("LOGIN ann");
    }

    fn line_received(&mut self, cx: &mut LineContext<'_, Persistent>, line: &[u8]) {
        match line {
            b"close" => cx.transport.lose_connection(),
            b"abort" => cx.transport.abort_connection(),
            b"half" => cx.transport.lose_write_connection(),
            b"prompt" => cx.transport.write("> "),
            b"be silent" => {}
            _ => cx.send_line([b"did ", line].concat()),
        }
    }

    fn connection_lost(&mut self, cx: &mut LineContext<'_, Persistent>, _: &Reason) {
        connect_later(cx.factory, cx.transport, cx.reactor);
    }
}

struct Persistent;

impl Factory for Persistent {
    build_protocol!(Lines<Obeying>, |_| Lines::new(Obeying));

    fn connection_failed(&mut self, to: &Transport, _: &io::Error, reactor: &mut Reactor) {
        connect_later(self, to, reactor);
    }
}

fn connect_later(factory: &Persistent, to: &Transport, reactor: &mut Reactor) {
    let (key, address) = (reactor.key_of(factory).unwrap(), to.peer_address());
    reactor.call_later(DELAY, move |reactor| {
        reactor.connect(&format!("tcp:{address}:timeout=5"), key).map(drop).unwrap();
    });
}

/// Starts a client, and returns the port to which it connects.
fn persist() -> Listener {
    let simulation = Simulation::new(1);
    let listener = simulation.listen("server", 8007);
    simulation.host("client", |reactor| {
        let key = reactor.add_factory(Persistent)?;
        Ok(reactor.connect("tcp:10.0.0.1:8007:timeout=5", key)?)
    });
    listener
}

/// Asserts that the transcript fails at `line`, and that `shown` stands below the title.
#[track_caller]
fn differs(transcript: &str, line: usize, shown: &str) {
    let transcript = Transcript::parse(transcript).unwrap();
    let difference = transcript.play(&mut Peers::at(&persist())).unwrap_err();
    let text = difference.to_string();
    let (title, rest) = text.split_once("\n\n").unwrap();
    assert!(rest == shown, "{rest}");
    assert_eq!(difference.line(), line, "{title}");
}

#[test]
fn a_client_s_session_passes_with_losses_refusals_and_timeouts() {
    check_client_on(&persist(), "C: LOGIN ann\nS: 1\nC: did 1\nhears nothing");
    check_client_on(
        &persist(),
        "is refused
         999 ms pass
         1 ms passes
         bob connects
         bob C: LOGIN ann
         bob S raw: prompt\\r\\n
         bob C raw: >\\x20
         bob S: be silent
         bob says nothing
         bob S: half
         bob finishes
         bob S: still read
         bob is closed
         1 s passes
         connects
         C: LOGIN ann
         S: abort
         resets
         1 s passes
         gets no answer
         4999 ms pass
         2 ms pass
         1 s passes
         connects
         C: LOGIN ann
         is reset
         1 s passes
         connects
         C raw: LOGIN ann\\r\\n
         S: close
         finishes",
    );
}

/// Asks its server, and hangs up after the answer.
struct Asking;

impl<F> LineReceiver<F> for Asking {
    fn connection_made(&mut self, cx: &mut LineContext<'_, F>) {
        cx.send_line("How are you?");
    }

    fn line_received(&mut self, _: &mut LineContext<'_, F>, line: &[u8]) {
        assert_eq!(line, b"Fine");
    }
}

struct Answering;

impl<F> LineReceiver<F> for Answering {
    fn line_received(&mut self, cx: &mut LineContext<'_, F>, _: &[u8]) {
        cx.send_line("Fine");
        cx.transport.lose_connection();
    }
}

#[test]
fn one_transcript_is_played_on_the_client_and_on_the_server() {
    let transcript = "connects\nC: How are you?\nS: Fine\nis closed";
    check_client(|| Lines::new(Asking), transcript);
    check(|| Lines::new(Answering), transcript);
}

#[test]
fn what_a_client_does_besides_is_a_difference() {
    differs(
        "C: LOGIN bob\nS: 1\nC: did 1",
        1,
        "   1 - C: LOGIN bob\n     + C: LOGIN ann\n   2   S: 1\n   3   C: did 1",
    );
    differs(
        "connects\nS: prompt\nsays nothing",
        3,
        "   1   connects
   2   S: prompt
   3 - says nothing
     + C: LOGIN ann
     + C raw: >\\x20",
    );
    differs(
        "C: LOGIN ann\nS: close\nresets",
        3,
        "   1   C: LOGIN ann
   2   S: close
   3 - resets
     + finishes",
    );
    differs(
        "C: LOGIN ann\nS: abort",
        2,
        "   1   C: LOGIN ann
   2   S: abort
     + resets

connection_lost received: connection aborted by this side",
    );
    differs("is refused\n1 s passes", 2, "   1   is refused\n   2   1 s pass\n     + connects");
    differs(
        "is refused\nconnects\nC: LOGIN ann",
        2,
        "   1   is refused
   2 - connects
   3 - C: LOGIN ann
     + cannot be accepted: the client does not try to connect",
    );
    differs(
        "is refused\nis refused",
        2,
        "   1   is refused
   2 - is refused
     + cannot be refused: the client does not try to connect",
    );
    differs(
        "C: LOGIN ann\nstops reading",
        2,
        "   1   C: LOGIN ann
   2 - stops reading
     + cannot be told when to read: it is the client that is tested",
    );
}

#[test]
fn peers_wait_for_a_client_up_to_their_timeout() {
    struct Greeting;
    impl<F> Protocol<F> for Greeting {
        fn connection_made(&mut self, cx: &mut Context<'_, F>) {
            cx.transport.write("hello\n");
        }
    }
    let simulation = Simulation::new(1);
    simulation.set_conditions(Conditions::ideal().latency(Duration::from_millis(100)));
    let listener = simulation.listen("server", 8007);
    let client = simulation.host("client", |_| Ok(()));
    let transcript = Transcript::parse("C: hello").unwrap().line_end("\n");
    let _early = client.connect(listener.address(), || Greeting);
    assert_eq!(transcript.play(&mut Peers::at(&listener)).unwrap_err().line(), 1);
    drop(listener.accept());
    let _attempt = client.connect(listener.address(), || Greeting);
    let mut peers = Peers::at(&listener).timeout(Duration::from_millis(200));
    transcript.play(&mut peers).unwrap();
    assert_eq!(peers.peer("").unwrap().calls().connection_made(), 1);
}

#[test]
fn attempts_are_refused_by_servers_that_do_not_listen() {
    let simulation = Simulation::new(1);
    let host = simulation.host("server", |_| Ok(()));
    let play = |text: &str| Transcript::parse(text).unwrap().play(&mut Peers::on(&host, 8007));
    play("ann is refused\nbob is refused\nis refused").unwrap();
    let text = play("connects\nC: hello").unwrap_err().to_string();
    assert!(text.ends_with("   2   C: hello\n     + is refused"), "{text}");
    let text = play("gets no answer").unwrap_err().to_string();
    let shown = "   1 - gets no answer\n     + cannot be left without an answer: unsupported";
    assert!(text.ends_with(shown), "{text}");
}
