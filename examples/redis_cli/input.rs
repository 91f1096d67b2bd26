//! The standard input, read by a thread of its own: it cannot be read without blocking.

use super::redis;
use super::words::words;
use std::io::{self, BufRead, Read, Write};
use std::sync::mpsc::Receiver;

/// Longest line, with its end: more than a person types.
pub(crate) const LINE_MAX: u64 = 1 << 20;

#[derive(Debug, PartialEq)]
pub(crate) enum Input {
    /// The bytes of a command.
    Command(Vec<u8>),
    /// What is wrong with a line.
    Wrong(String),
    /// Why nothing more can be read.
    Broken(String),
    End,
}

/// Delivers each line, once it is permitted, and the end, until the recipient is gone.
pub(crate) fn read(
    mut input: impl BufRead,
    prompt: Option<String>,
    permits: Receiver<()>,
    mut deliver: impl FnMut(Input) -> bool,
) {
    while permits.recv().is_ok() {
        let line = loop {
            if let Some(prompt) = &prompt {
                let _ = write!(io::stdout(), "{prompt}").and_then(|()| io::stdout().flush());
            }
            match next(&mut input) {
                Ok(Some(words)) if words.is_empty() => {}
                other => break other,
            }
        };
        let (next, is_last) = match line {
            Ok(Some(words)) => (Input::Command(redis::encode(&words)), false),
            Ok(None) => (Input::End, true),
            Err(Unreadable::Line(what)) => (Input::Wrong(what), false),
            Err(Unreadable::Rest(what)) => (Input::Broken(what), true),
        };
        if !deliver(next) || is_last {
            return;
        }
    }
}

enum Unreadable {
    Line(String),
    /// Nothing behind it can be read either.
    Rest(String),
}

/// Returns the words of the next line; `None` at the end of the input.
fn next(input: &mut impl BufRead) -> Result<Option<Vec<Vec<u8>>>, Unreadable> {
    let mut line = Vec::new();
    let count = input.by_ref().take(LINE_MAX).read_until(b'\n', &mut line);
    let count = count.map_err(|error| Unreadable::Rest(format!("the standard input: {error}")))?;
    if count == 0 {
        return Ok(None);
    }
    if count as u64 == LINE_MAX && !line.ends_with(b"\n") {
        return Err(Unreadable::Rest(format!("a line of more than {LINE_MAX} bytes")));
    }
    words(&line).map(Some).map_err(Unreadable::Line)
}
