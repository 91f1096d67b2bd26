//! The error of parsing an endpoint description.

use super::description::Problem;
use std::fmt;

/// Error of parsing an endpoint description: what is wrong, and where.
///
/// Displayed and debugged as the same sentence: a `main` that returns it prints that.
#[derive(Clone, PartialEq, Eq)]
pub struct ParseEndpointError {
    description: String,
    position: usize,
    message: String,
}

impl ParseEndpointError {
    pub(super) fn new(description: &str, problem: Problem) -> Self {
        let Problem { at, message } = problem;
        Self { description: description.to_owned(), position: at, message }
    }

    /// Returns the byte offset of the error in the description; the length of the description, if
    /// something is missing at its end.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Returns the description that was parsed.
    pub fn description(&self) -> &str {
        &self.description
    }
}

impl fmt::Display for ParseEndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = self.description.split_at(self.position);
        write!(f, "{} (at the mark: \"{before}»{after}\")", self.message)
    }
}

impl fmt::Debug for ParseEndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for ParseEndpointError {}
