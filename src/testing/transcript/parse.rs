//! Parser of transcripts: from text to steps.

use super::escape::unescaped;
use super::step::{Act, LINE_END, Step, WORDS};
use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// An error in the text of a [`Transcript`](super::Transcript).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseTranscriptError {
    line: usize,
    text: String,
    why: String,
}

impl ParseTranscriptError {
    /// Returns the line that is wrong; the first is 1.
    pub fn line(&self) -> usize {
        self.line
    }
}

impl fmt::Display for ParseTranscriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of the transcript, {:?}: {}", self.line, self.text, self.why)
    }
}

impl Error for ParseTranscriptError {}

/// Units of time, in milliseconds.
const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("min", 60_000), ("h", 3_600_000)];

/// Parses the steps of a transcript, and checks that their order is possible.
pub(super) fn steps(text: &str) -> Result<Vec<Step>, ParseTranscriptError> {
    let mut steps = Vec::new();
    let mut clients: HashMap<String, ClientHistory> = HashMap::new();
    let mut lines: Vec<(usize, &str)> = Vec::new();
    for (index, text) in text.lines().enumerate() {
        // Trailing spaces may belong to a step's text.
        let text = text.trim_start();
        if !text.is_empty() && !text.starts_with('#') {
            lines.push((index + 1, text));
        }
    }
    for (line, text) in lines {
        let step = step(text).map(|(client, act)| Step { line, client: client.to_owned(), act });
        let step = step.and_then(|step| {
            clients.entry(step.client.clone()).or_default().follow(&step)?;
            Ok(step)
        });
        let refuse = |why| ParseTranscriptError { line, text: text.to_owned(), why };
        steps.push(step.map_err(refuse)?);
    }
    Ok(steps)
}

/// Parses a line into a client and its act.
fn step(text: &str) -> Result<(&str, Act), String> {
    if let Some(act) = act(text)? {
        return Ok(("", act));
    }
    let (client, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    if let Some(act) = act(rest.trim_start())? {
        if client.contains(':') {
            return Err("a client's name has no colon".to_owned());
        }
        return Ok((client, act));
    }
    if let Some(time) = time(text)? {
        return Ok(("", Act::Pass(time)));
    }
    let words: Vec<&str> = WORDS.iter().map(|(words, _)| *words).collect();
    Err(format!(
        "this is not a step: a client's name without spaces, or none, comes before one of \
         C: TEXT, S: TEXT, C raw: BYTES, S raw: BYTES, {}; or time passes, as in 1500 ms pass",
        words.join(", ")
    ))
}

fn act(text: &str) -> Result<Option<Act>, String> {
    let behind = |mark: &str| {
        let rest = text.strip_prefix(mark)?;
        Some(rest.strip_prefix(' ').unwrap_or(rest))
    };
    if let Some(line) = behind("C:") {
        return Ok(Some(Act::Say(line.into())));
    }
    if let Some(line) = behind("S:") {
        return Ok(Some(Act::Hear([line.as_bytes(), LINE_END].concat())));
    }
    for (mark, act) in [("C raw:", Act::Send as fn(Vec<u8>) -> Act), ("S raw:", Act::Hear)] {
        if let Some(bytes) = behind(mark) {
            let bytes = unescaped(bytes)?;
            let some = !bytes.is_empty();
            return some.then(|| Some(act(bytes))).ok_or("the bytes are missing".to_owned());
        }
    }
    let worded = WORDS.into_iter().find(|(words, _)| *words == text.trim_end());
    Ok(worded.map(|(_, act)| act))
}

/// Parses a time step, such as `1500 ms pass`.
fn time(text: &str) -> Result<Option<Duration>, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let &[number, unit, "pass" | "passes"] = &words[..] else {
        return Ok(None);
    };
    let number = number.parse::<u64>();
    let number = number.map_err(|_| "a time is a whole number, and ms, s, min or h")?;
    let unit = UNITS.into_iter().find(|(name, _)| *name == unit);
    let (_, millis) = unit.ok_or("a time is in ms, s, min or h")?;
    let time = number.checked_mul(millis).ok_or("the time is too long")?;
    Ok(Some(Duration::from_millis(time)))
}

/// Per client: the lines of acts that limit what may follow.
#[derive(Debug, Default)]
struct ClientHistory {
    connected: Option<usize>,
    finished: Option<usize>,
    closed: Option<usize>,
    over: Option<usize>,
}

impl ClientHistory {
    fn follow(&mut self, step: &Step) -> Result<(), String> {
        let Step { line, client, act } = step;
        let line = Some(*line);
        match (act, &*self) {
            (Act::Pass(_), _) => return Ok(()),
            (act, Self { connected: Some(since), closed: None, over: None, .. })
                if act.is_attempt() =>
            {
                return Err(format!("it is connected already, since line {since}"));
            }
            (Act::Connect, _) => *self = Self { connected: line, ..Self::default() },
            (Act::BeRefused | Act::GetNoAnswer, _) => {
                *self = Self { connected: line, over: line, ..Self::default() };
            }
            // The unnamed client connects by itself.
            (_, Self { connected: None, .. }) if !client.is_empty() => {
                return Err("it has not connected".to_owned());
            }
            (_, Self { over: Some(over), .. }) => {
                return Err(format!("its connection is over, since line {over}"));
            }
            (Act::Say(_) | Act::Send(_) | Act::Finish, Self { finished: Some(finished), .. }) => {
                return Err(format!("it has finished, in line {finished}, and sends no more"));
            }
            (Act::Hear(_) | Act::BeClosed, Self { closed: Some(closed), .. }) => {
                return Err(format!("it was closed, in line {closed}, and receives nothing more"));
            }
            _ => {}
        }
        match act {
            Act::Finish => self.finished = line,
            Act::BeClosed => self.closed = line,
            Act::Reset | Act::BeReset => self.over = line,
            _ => {}
        }
        self.connected = self.connected.or(line);
        Ok(())
    }
}
