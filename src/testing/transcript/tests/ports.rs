//! Transcripts on the ports of a host.

use super::*;
use crate::testing::{Conditions, Host, Simulation, check_on};
use crate::{Context, Factory, Protocol, Reactor, Transport};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// Words that clients of one port say, and those of another one hear.
type Words = Rc<RefCell<Vec<String>>>;

struct Writer(Words);

impl<F> LineReceiver<F> for Writer {
    fn line_received(&mut self, _: &mut LineContext<'_, F>, line: &[u8]) {
        self.0.borrow_mut().push(String::from_utf8_lossy(line).into_owned());
    }
}

struct Reader;

impl Protocol<Readers> for Reader {
    fn connection_made(&mut self, cx: &mut Context<'_, Readers>) {
        cx.transport.write(format!("{}\r\n", cx.factory.0.borrow().join(" ")));
        cx.transport.lose_connection();
    }
}

struct Readers(Words);

impl Factory for Readers {
    type Protocol = Reader;

    fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Reader> {
        Some(Reader)
    }
}

const WRITERS: u16 = 8007;
const READERS: u16 = 8017;

fn serve(conditions: Conditions) -> (Simulation, Host<Words>) {
    let simulation = Simulation::new(1);
    simulation.set_conditions(conditions);
    let host = simulation.host("server", |reactor| {
        let words = Words::default();
        let written = Rc::clone(&words);
        reactor.listen_tcp(WRITERS, move || Lines::new(Writer(Rc::clone(&written))))?;
        reactor.listen_tcp(READERS, Readers(Rc::clone(&words)))?;
        Ok(words)
    });
    (simulation, host)
}

#[test]
fn several_factories_of_a_host_play_their_transcripts() {
    let (simulation, host) = serve(Conditions::ideal());
    check_on(&host, WRITERS, "ann connects\nann C: tea\nbob connects\nbob C: time");
    assert_eq!(*host.state().borrow(), ["tea", "time"]);
    check_on(&host, READERS, "S: tea time\nis closed");

    simulation.inject("crash server".parse().unwrap());
    simulation.inject("restart server".parse().unwrap());
    assert!(host.state().borrow().is_empty(), "the last boot has made another one");
    check_on(&host, WRITERS, "C: again");
    check_on(&host, READERS, "S: again\nis closed");
    let wrong = AssertUnwindSafe(|| check_on(&host, READERS, "S: tea"));
    let text = *catch_unwind(wrong).unwrap_err().downcast::<String>().unwrap();
    assert!(text.contains("   1 - S: tea\n     + S: again\n     + is closed"), "{text}");
}

#[test]
fn a_named_client_is_on_the_host_of_its_name() {
    let (simulation, host) = serve(Conditions::ideal());
    let mut clients = Peers::on(&host, WRITERS);
    let play = |text: &str, clients: &mut Peers| {
        Transcript::parse(text).unwrap().play(clients).unwrap();
    };
    play("ann connects\nbob connects\nconnects", &mut clients);
    let host_of = |client| clients.peer(client).unwrap().address().ip();
    assert!(host_of("ann") != host_of("bob") && host_of("") != host_of("bob"));
    simulation.inject("partition ann server".parse().unwrap());
    for client in ["ann", "bob"] {
        clients.peer(client).unwrap().send(format!("{client}\r\n"));
    }
    assert_eq!(*host.state().borrow(), ["bob"]);
}

#[test]
fn clients_wait_for_what_is_expected_up_to_their_timeout() {
    let latency = Duration::from_millis(100);
    let (simulation, host) = serve(Conditions::ideal().latency(latency));
    let transcript = Transcript::parse("S raw: \\r\\n\nis closed").unwrap();
    assert!(transcript.play(&mut Peers::on(&host, READERS)).is_err());
    let began = simulation.now();
    let mut patient = Peers::on(&host, READERS).timeout(2 * latency);
    transcript.play(&mut patient).unwrap();
    assert_eq!(simulation.now() - began, 2 * latency, "a round trip, and no more");
    let mut hasty = Peers::on(&host, READERS).timeout(2 * latency - Duration::from_nanos(1));
    let transcript = Transcript::parse("S raw: \\r\\n").unwrap();
    assert_eq!(transcript.play(&mut hasty).unwrap_err().line(), 1);
}
