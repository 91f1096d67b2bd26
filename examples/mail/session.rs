//! `Session`: one connection, and what the client has said so far.

use super::Mail;
use super::letter::{LETTER_MAX, Letter};
use std::time::Duration;
use twistor::limits::Timeouts;
use twistor::{Delimiter, LineContext, LineReceiver};

/// Time in which a client has to say something (RFC 5321, section 4.5.3.2).
pub(crate) const IDLE: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
pub(crate) enum Session {
    /// The client has not said who it is; nor has one that has just begun to encrypt.
    #[default]
    New,
    Greeted,
    /// The sender is known, and perhaps recipients.
    Envelope(Letter),
    /// Lines are the letter's, until one is a dot.
    Text(Letter),
}

impl Session {
    fn command(&mut self, cx: &LineContext<'_, Mail>, line: &str) {
        let (verb, rest) = line.trim_end().split_once(' ').unwrap_or((line.trim_end(), ""));
        let answer = match (verb.to_ascii_uppercase().as_str(), &mut *self) {
            ("EHLO", _) => return self.greet(cx),
            ("HELO", _) => {
                *self = Self::Greeted;
                "250 hello"
            }
            ("STARTTLS", _) => return self.start_tls(cx, rest),
            ("NOOP", _) => "250 fine",
            ("QUIT", _) => {
                cx.send_line("221 bye");
                return cx.transport.lose_connection();
            }
            ("RSET", Self::New) => "250 nothing to forget",
            ("RSET", _) => {
                *self = Self::Greeted;
                "250 forgotten"
            }
            ("MAIL" | "RCPT" | "DATA", Self::New) => "503 EHLO first",
            ("MAIL", _) => match Letter::begin(rest) {
                Ok(letter) => {
                    *self = Self::Envelope(letter);
                    "250 sender"
                }
                Err(objection) => objection,
            },
            ("RCPT", Self::Envelope(letter)) => match letter.add(rest) {
                Ok(()) => "250 recipient",
                Err(objection) => objection,
            },
            ("DATA", Self::Envelope(letter)) if letter.to.is_empty() => "503 RCPT first",
            ("DATA", Self::Envelope(letter)) => {
                *self = Self::Text(std::mem::take(letter));
                "354 the letter, and a dot"
            }
            ("RCPT" | "DATA", _) => "503 MAIL first",
            _ => "500 unknown",
        };
        cx.send_line(answer);
    }

    /// Greets the client with the extensions that there are.
    fn greet(&mut self, cx: &LineContext<'_, Mail>) {
        *self = Self::Greeted;
        let offers_tls = cx.factory.acceptor.is_some() && cx.transport.tls().is_none();
        let start_tls = if offers_tls { "250-STARTTLS\r\n" } else { "" };
        cx.send_line(format!("250-hello\r\n{start_tls}250-8BITMIME\r\n250 SIZE {LETTER_MAX}"));
    }

    /// Encrypts the connection (RFC 3207). What the client has said before may be another's, who
    /// has changed it on the way, so it is forgotten.
    fn start_tls(&mut self, cx: &LineContext<'_, Mail>, parameter: &str) {
        let answer = match &cx.factory.acceptor {
            None => "502 there is no certificate",
            Some(_) if cx.transport.tls().is_some() => "503 encrypted already",
            Some(_) if !parameter.is_empty() => "501 STARTTLS has no parameter",
            Some(acceptor) => {
                *self = Self::New;
                cx.send_line("220 go ahead");
                if let Err(error) = cx.transport.start_tls(acceptor) {
                    cx.transport.fail(error);
                }
                return;
            }
        };
        cx.send_line(answer);
    }

    /// Keeps a complete letter, and answers when that is done. Lines that the client sends
    /// meanwhile wait.
    fn deliver(cx: &mut LineContext<'_, Mail>, letter: Letter) {
        log::info!("<{}> to {}", letter.from, letter.to.join(", "));
        let number = cx.factory.accepted;
        cx.factory.accepted += 1;
        let Some(folder) = cx.factory.folder.clone() else {
            cx.factory.last = Some(letter);
            return cx.send_line("250 delivered");
        };
        cx.pause_reading();
        cx.defer_to_thread(
            move || folder.keep(&letter, number),
            |_: &mut Self, cx, kept| {
                let failure = match kept {
                    Ok(Ok(())) => None,
                    Ok(Err(error)) => Some(error.to_string()),
                    Err(error) => Some(error.to_string()),
                };
                match failure {
                    None => cx.send_line("250 delivered"),
                    Some(error) => {
                        log::error!("a letter cannot be kept: {error}");
                        cx.send_line("451 the letter cannot be kept");
                    }
                }
                cx.resume_reading();
            },
        );
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
        match self {
            Self::Text(letter) if line == b"." => {
                let letter = std::mem::take(letter);
                *self = Self::Greeted;
                Self::deliver(cx, letter);
            }
            Self::Text(letter) => {
                if !letter.write(line) {
                    cx.send_line("552 the letter is too large");
                    cx.transport.lose_connection();
                }
            }
            _ => self.command(cx, &String::from_utf8_lossy(line)),
        }
    }

    fn line_length_exceeded(&mut self, cx: &mut LineContext<'_, Mail>, _: &[u8]) {
        cx.send_line("500 the line is too long");
        cx.transport.lose_connection();
    }
}
