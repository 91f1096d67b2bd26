//! Accepts mail (a small part of SMTP, RFC 5321), logs the envelope of each letter, and keeps the
//! last one.
//!
//! `RUST_LOG=info cargo run --example mail [PORT or ENDPOINT]`, then any mail client at 127.0.0.1,
//! port 8025.

use std::env;
use std::error::Error;
use std::io::{self, Write};
use std::time::Duration;
use twistor::limits::Timeouts;
use twistor::{Delimiter, Factory, LineContext, LineReceiver, Lines, Reactor, build_protocol};

/// Recipients of one letter; RFC 5321 asks for a hundred at least.
const RECIPIENTS_MAX: usize = 100;

/// Bytes of one letter, so that clients cannot fill the memory.
const BODY_MAX: usize = 1 << 20;

/// Time in which a client has to say something (RFC 5321, section 4.5.3.2).
const IDLE: Duration = Duration::from_secs(300);

/// The mail that was accepted.
#[derive(Clone, Default)]
struct Mail {
    delivered: usize,
    last: Option<Letter>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Letter {
    from: String,
    to: Vec<String>,
    body: String,
}

/// One connection, and the letter that it is about to hand over.
#[derive(Default)]
struct Session {
    letter: Letter,
    state: State,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum State {
    #[default]
    Idle,
    /// The sender is known.
    Envelope,
    /// Lines are the letter's, until one is a dot.
    Body,
}

impl Session {
    /// Answers a command.
    fn command(&mut self, line: &str) -> &'static str {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match (verb.to_ascii_uppercase().as_str(), self.state) {
            ("HELO" | "EHLO", _) => "250 hello",
            ("NOOP", _) => "250 fine",
            ("RSET", _) => {
                *self = Self::default();
                "250 forgotten"
            }
            ("MAIL", _) => {
                self.letter = Letter { from: rest.to_owned(), ..Letter::default() };
                self.state = State::Envelope;
                "250 sender"
            }
            ("RCPT" | "DATA", State::Idle) => "503 MAIL first",
            ("RCPT", _) if self.letter.to.len() == RECIPIENTS_MAX => "452 too many recipients",
            ("RCPT", _) => {
                self.letter.to.push(rest.to_owned());
                "250 recipient"
            }
            ("DATA", _) if self.letter.to.is_empty() => "503 RCPT first",
            ("DATA", _) => {
                self.state = State::Body;
                "354 the letter, and a dot"
            }
            _ => "500 unknown",
        }
    }
}

impl LineReceiver<Mail> for Session {
    const DELIMITER: Delimiter = Delimiter::Newline;
    const MAX_LENGTH: usize = 1000;

    fn connection_made(&mut self, cx: &mut LineContext<'_, Mail>) {
        cx.transport.set_timeouts(Timeouts::new().idle(IDLE));
        cx.send_line("220 mail");
    }

    fn line_received(&mut self, cx: &mut LineContext<'_, Mail>, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let body = &mut self.letter.body;
        match self.state {
            State::Body if line == "." => {
                let letter = std::mem::take(&mut self.letter);
                self.state = State::Idle;
                log::info!("{} to {}", letter.from, letter.to.join(", "));
                cx.factory.delivered += 1;
                cx.factory.last = Some(letter);
                cx.send_line("250 delivered");
            }
            State::Body if body.len() + line.len() > BODY_MAX => {
                cx.send_line("552 the letter is too large");
                cx.transport.lose_connection();
            }
            State::Body => {
                // A leading dot is doubled on the way.
                *body += line.strip_prefix('.').unwrap_or(&line);
                *body += "\n";
            }
            _ if line.eq_ignore_ascii_case("QUIT") => {
                cx.send_line("221 bye");
                cx.transport.lose_connection();
            }
            _ => cx.send_line(self.command(&line)),
        }
    }

    fn line_length_exceeded(&mut self, cx: &mut LineContext<'_, Mail>, _: &[u8]) {
        cx.send_line("500 the line is too long");
        cx.transport.lose_connection();
    }
}

impl Factory for Mail {
    build_protocol!(Lines<Session>, |_mail| Lines::new(Session::default()));
}

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let endpoint = env::args().nth(1).unwrap_or("tcp:8025:interface=127.0.0.1".to_owned());
    let mut reactor = Reactor::new()?;
    let port = reactor.listen(&endpoint, Mail::default())?;
    // Not `println!`, which panics if the output is closed.
    let _ = writeln!(io::stdout(), "listening on {}", port.local_address());
    reactor.run()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use twistor::testing::{Server, assert_split_invariant, check, connect};

    const LETTER: &str = "EHLO me\r\nMAIL FROM:<ann>\r\nRCPT TO:<bob>\r\nDATA\r\n\
                          Hello, Bob\r\n..\r\n.\r\nQUIT\r\n";

    #[test]
    fn commands_come_in_their_order() {
        check(
            Mail::default(),
            "S: 220 mail
             C: RCPT TO:<bob>
             S: 503 MAIL first
             C: mail from:<ann>
             S: 250 sender
             C: DATA
             S: 503 RCPT first
             C: TURN
             S: 500 unknown
             C: RSET
             S: 250 forgotten
             C: DATA
             S: 503 MAIL first
             C: quit
             S: 221 bye
             is closed",
        );
    }

    #[test]
    fn a_letter_is_delivered_with_its_dots() {
        let server = Server::new(Mail::default());
        let client = server.connect();
        client.send(LETTER);
        assert!(client.take_received().ends_with(b"250 delivered\r\n221 bye\r\n"));
        let expected = Letter {
            from: "FROM:<ann>".to_owned(),
            to: vec!["TO:<bob>".to_owned()],
            body: "Hello, Bob\n.\n".to_owned(),
        };
        server.factory(|mail, _| assert_eq!(mail.last.take(), Some(expected)));
    }

    #[test]
    fn large_letters_and_silent_clients_end() {
        let client = connect(Mail::default());
        client.send("MAIL FROM:<ann>\r\nRCPT TO:<bob>\r\nDATA\r\n");
        let line = format!("{}\r\n", "x".repeat(900));
        for _ in 0..=BODY_MAX / line.len() + 2 {
            client.send(&line);
        }
        assert!(client.take_received().ends_with(b"552 the letter is too large\r\n"));
        let silent = connect(Mail::default());
        silent.advance(IDLE + Duration::from_secs(1));
        assert_eq!(silent.lost_reason().unwrap().to_string(), "idle timeout");
    }

    #[test]
    fn letters_do_not_depend_on_how_the_bytes_arrive() {
        assert_split_invariant(Mail::default(), LETTER);
    }
}
