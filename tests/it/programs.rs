//! Whole programs in small, of kinds that users write: a client pool that connects again with a
//! growing delay, and a mail server with states, timeouts and a body.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use twistor::limits::Timeouts;
use twistor::testing::{Fault, Simulation, assert_split_invariant, check};
use twistor::{
    Context, Delimiter, Factory, FactoryKey, LineContext, LineReceiver, Lines, Protocol, Reactor,
    Reason, TcpClientEndpoint, Transport, build_protocol,
};

/// Sends jobs to a server over one connection, each as a line, and keeps those that are not
/// confirmed. The state lives in the factory, also while there is no connection.
struct Pool {
    server: SocketAddr,
    jobs: VecDeque<String>,
    attempts: u32,
    connected: u32,
}

const BACK_OFF: Duration = Duration::from_millis(100);
const BACK_OFF_MAX: Duration = Duration::from_secs(10);

impl Pool {
    /// Connects again after a delay that doubles with each attempt, half of it random.
    fn connect_later(&mut self, reactor: &mut Reactor, key: FactoryKey<Self>) {
        let delay = BACK_OFF.saturating_mul(1 << self.attempts.min(20)).min(BACK_OFF_MAX);
        self.attempts += 1;
        let (server, jitter) = (self.server, reactor.random_duration(delay / 2));
        reactor.call_later(delay / 2 + jitter, move |reactor| {
            let endpoint = TcpClientEndpoint::new(server).timeout(Duration::from_secs(1));
            reactor.connect_tcp(endpoint, key).expect("the pool is kept");
        });
    }
}

struct Job;

impl LineReceiver<Pool> for Job {
    fn connection_made(&mut self, cx: &mut LineContext<'_, Pool>) {
        (cx.factory.attempts, cx.factory.connected) = (0, cx.factory.connected + 1);
        if let Some(job) = cx.factory.jobs.front() {
            cx.lines.send_line(job);
        }
    }

    fn line_received(&mut self, cx: &mut LineContext<'_, Pool>, _confirmation: &[u8]) {
        cx.factory.jobs.pop_front();
        if let Some(job) = cx.factory.jobs.front() {
            cx.lines.send_line(job);
        }
    }

    fn connection_lost(&mut self, cx: &mut LineContext<'_, Pool>, reason: &Reason) {
        let key = cx.key();
        if !matches!(reason, Reason::Stopped) {
            cx.factory.connect_later(cx.reactor, key);
        }
    }
}

impl Factory for Pool {
    build_protocol!(Lines<Job>, |_pool| Lines::new(Job));

    fn connection_failed(&mut self, _: &Transport, error: &io::Error, reactor: &mut Reactor) {
        let key = reactor.key_of(self).expect("it runs");
        if error.kind() != io::ErrorKind::ConnectionAborted {
            self.connect_later(reactor, key);
        }
    }
}

/// Confirms each line.
struct Confirming;

impl<F> LineReceiver<F> for Confirming {
    fn line_received(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]) {
        cx.send_line([b"done ", line].concat());
    }
}

#[test]
fn a_pool_keeps_its_jobs_while_the_server_is_away() {
    twistor::testing::explore(20, |simulation: &Simulation| {
        let server = simulation.host("server", |reactor| {
            reactor.listen_tcp(8007, || Lines::new(Confirming))?;
            Ok(())
        });
        let address = server.address(8007);
        simulation.inject(Fault::Crash { host: "server".to_owned() });
        let client = simulation.host("client", move |reactor| {
            let jobs = (0..50).map(|number| format!("job {number}")).collect();
            let pool = Pool { server: address, jobs, attempts: 0, connected: 0 };
            let key = reactor.add_factory(pool)?;
            reactor.tell(key, move |pool: &mut Pool, reactor| pool.connect_later(reactor, key));
            Ok(key)
        });
        simulation.run_for(Duration::from_secs(30));
        let state = |reactor: &mut Reactor| {
            let seen = |pool: &mut Pool| (pool.jobs.len(), pool.attempts, pool.connected);
            reactor.with_factory(*client.state(), |pool, _| seen(pool)).unwrap()
        };
        let (jobs, attempts, connected) = client.reactor(state);
        assert_eq!((jobs, connected), (50, 0));
        assert!((4..=20).contains(&attempts), "{attempts} attempts in half a minute");
        simulation.inject(Fault::Restart { host: "server".to_owned() });
        simulation.run_for(Duration::from_secs(30));
        assert_eq!(client.reactor(state), (0, 0, 1));
        // It holds the connection, and makes it again when that breaks.
        simulation.inject(Fault::Reset { a: "client".to_owned(), b: "server".to_owned() });
        simulation.run_for(Duration::from_secs(30));
        assert_eq!(client.reactor(state), (0, 0, 2));
    });
}

/// Accepts mail (RFC 5321, the least of it).
#[derive(Default)]
struct Mail {
    delivered: Vec<(String, Vec<String>, String)>,
}

#[derive(Default)]
struct Session {
    from: Option<String>,
    to: Vec<String>,
    body: Option<String>,
}

const RECIPIENTS_MAX: usize = 100;
const BODY_MAX: usize = 1 << 20;

impl LineReceiver<Mail> for Session {
    const DELIMITER: Delimiter = Delimiter::Newline;
    const MAX_LENGTH: usize = 1000;

    fn connection_made(&mut self, cx: &mut LineContext<'_, Mail>) {
        cx.transport.set_timeouts(Timeouts::new().idle(Duration::from_secs(300)));
        cx.send_line("220 mail");
    }

    fn line_received(&mut self, cx: &mut LineContext<'_, Mail>, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        if let Some(body) = &mut self.body {
            if line == "." {
                let mail = std::mem::take(self);
                let (from, body) = (mail.from.unwrap_or_default(), mail.body.unwrap_or_default());
                cx.factory.delivered.push((from, mail.to, body));
                return cx.send_line("250 delivered");
            }
            if body.len() + line.len() > BODY_MAX {
                cx.send_line("552 the mail is too large");
                return cx.transport.lose_connection();
            }
            // A leading dot is doubled on the way.
            *body += line.strip_prefix('.').unwrap_or(&line);
            *body += "\n";
            return;
        }
        let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let answer = match verb.to_ascii_uppercase().as_str() {
            "HELO" | "EHLO" => "250 hello",
            "MAIL" => {
                *self = Self { from: Some(rest.to_owned()), ..Self::default() };
                "250 sender"
            }
            "RCPT" if self.from.is_none() => "503 MAIL first",
            "RCPT" if self.to.len() == RECIPIENTS_MAX => "452 too many recipients",
            "RCPT" => {
                self.to.push(rest.to_owned());
                "250 recipient"
            }
            "DATA" if self.to.is_empty() => "503 RCPT first",
            "DATA" => {
                self.body = Some(String::new());
                "354 the mail, and a dot"
            }
            "QUIT" => {
                cx.send_line("221 bye");
                return cx.transport.lose_connection();
            }
            _ => "500 unknown",
        };
        cx.send_line(answer);
    }

    fn line_length_exceeded(&mut self, cx: &mut LineContext<'_, Mail>, _: &[u8]) {
        cx.send_line("500 the line is too long");
        cx.transport.lose_connection();
    }
}

impl Factory for Mail {
    build_protocol!(Lines<Session>, |_mail| Lines::new(Session::default()));
}

impl Clone for Mail {
    fn clone(&self) -> Self {
        Self::default()
    }
}

const LETTER: &str = "EHLO me\r\nMAIL FROM:<ann>\r\nRCPT TO:<bob>\r\nDATA\r\n\
                      Hello, Bob\r\n..\r\n.\r\nQUIT\r\n";

#[test]
fn mail_is_accepted_in_its_order() {
    check(
        Mail::default(),
        "S: 220 mail
         C: RCPT TO:<bob>
         S: 503 MAIL first
         C: mail from:<ann>
         S: 250 sender
         C: DATA
         S: 503 RCPT first
         C: NOOP
         S: 500 unknown
         C: QUIT
         S: 221 bye
         is closed",
    );
    let simulation = Simulation::new(1);
    let server =
        simulation.host("server", |reactor| Ok(reactor.listen_tcp(25, Mail::default())?.key()));
    let peer = simulation.peer("ann", server.address(25));
    peer.send(LETTER);
    assert!(peer.take_received().ends_with(b"250 delivered\r\n221 bye\r\n"));
    let delivered = server.reactor(|reactor| {
        reactor.with_factory(*server.state(), |mail, _| mail.delivered.clone()).unwrap()
    });
    let letter =
        ("FROM:<ann>".to_owned(), vec!["TO:<bob>".to_owned()], "Hello, Bob\n.\n".to_owned());
    assert_eq!(delivered, [letter]);
}

#[test]
fn mail_does_not_depend_on_how_the_bytes_arrive() {
    assert_split_invariant(Mail::default(), LETTER);
}

/// A protocol of bytes comes back to itself after a delay, with its state.
struct Patient(u32);

impl<F: 'static> Protocol<F> for Patient {
    fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
        self.0 += data.len() as u32;
        cx.call_later(Duration::from_secs(1), |this: &mut Self, cx| {
            cx.transport.write(format!("{} bytes\n", this.0));
        });
    }
}

#[test]
fn an_answer_comes_after_its_delay() {
    let peer = twistor::testing::connect(|| Patient(0));
    peer.send("abc");
    peer.send("de");
    peer.advance(Duration::from_secs(1));
    assert_eq!(peer.take_received(), b"5 bytes\n5 bytes\n");
}
