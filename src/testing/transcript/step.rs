//! Step of a transcript, and its text.

use super::escape::{escaped, is_readable};
use std::fmt;
use std::time::Duration;

/// A step of a transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) line: usize,
    pub(super) client: String,
    pub(super) act: Act,
}

/// An act of a client, or an event that it expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Connect,
    /// An attempt to connect that the server refuses.
    BeRefused,
    /// An attempt to connect that the server does not answer.
    GetNoAnswer,
    /// Sends a line, with the line end of the clients.
    Say(Vec<u8>),
    Send(Vec<u8>),
    /// Receives exactly these bytes next, including a line end.
    Hear(Vec<u8>),
    HearNothing,
    /// The client has sent nothing unmentioned.
    SayNothing,
    Finish,
    Reset,
    StopReading,
    ReadOn,
    BeClosed,
    BeReset,
    /// Time passes: the only act without a client.
    Pass(Duration),
}

/// The acts that are written in words.
pub(super) const WORDS: [(&str, Act); 11] = [
    ("connects", Act::Connect),
    ("is refused", Act::BeRefused),
    ("gets no answer", Act::GetNoAnswer),
    ("hears nothing", Act::HearNothing),
    ("says nothing", Act::SayNothing),
    ("finishes", Act::Finish),
    ("resets", Act::Reset),
    ("stops reading", Act::StopReading),
    ("reads on", Act::ReadOn),
    ("is closed", Act::BeClosed),
    ("is reset", Act::BeReset),
];

/// Line end of a server.
pub(super) const LINE_END: &[u8] = b"\r\n";

impl Act {
    /// True for an attempt to connect.
    pub(super) fn is_attempt(&self) -> bool {
        matches!(self, Self::Connect | Self::BeRefused | Self::GetNoAnswer)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&of(&self.client, &self.act))
    }
}

/// Returns the line for an act of a client.
pub(super) fn of(client: &str, act: &impl fmt::Display) -> String {
    let space = if client.is_empty() { "" } else { " " };
    format!("{client}{space}{act}")
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Say(line) => match readable(line) {
                Some(line) => write_line(f, 'C', line),
                None => write!(f, "C raw: {}, and a line end", escaped(line)),
            },
            Self::Send(bytes) => write!(f, "C raw: {}", escaped(bytes)),
            Self::Hear(bytes) => match bytes.strip_suffix(LINE_END).and_then(readable) {
                Some(line) => write_line(f, 'S', line),
                None => write!(f, "S raw: {}", escaped(bytes)),
            },
            Self::Pass(time) if time.subsec_millis() > 0 => {
                write!(f, "{} ms pass", time.as_millis())
            }
            Self::Pass(time) => write!(f, "{} s pass", time.as_secs()),
            worded => {
                let words = WORDS.iter().find(|(_, act)| act == worded).map(|(words, _)| *words);
                f.write_str(words.unwrap_or_default())
            }
        }
    }
}

fn write_line(f: &mut fmt::Formatter<'_>, who: char, line: &str) -> fmt::Result {
    let space = if line.is_empty() { "" } else { " " };
    write!(f, "{who}:{space}{line}")
}

/// Returns a line as text, if every character of it is visible.
fn readable(line: &[u8]) -> Option<&str> {
    std::str::from_utf8(line).ok().filter(|line| !line.ends_with([' ', '\t']) && is_readable(line))
}
