//! `CodecError`: why a line or a payload cannot be understood.

use std::error::Error;
use std::fmt;

/// Number of characters of a line that an error shows: enough to recognise it in a log.
const SHOWN: usize = 64;

/// A line or a payload that is not NATS. The stream after it cannot be understood either, so it
/// ends the connection.
///
/// Displayed and debugged as the same sentence.
#[derive(Clone, PartialEq, Eq)]
pub struct CodecError {
    what: &'static str,
    line: String,
}

impl CodecError {
    pub(crate) fn new(what: &'static str, line: &[u8]) -> Self {
        let text = String::from_utf8_lossy(&line[..line.len().min(SHOWN)]);
        Self { what, line: text.escape_debug().to_string() }
    }

    /// Returns what is wrong, without the line.
    pub fn what(&self) -> &'static str {
        self.what
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not the NATS protocol: {}, in \"{}\"", self.what, self.line)
    }
}

impl fmt::Debug for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for CodecError {}
