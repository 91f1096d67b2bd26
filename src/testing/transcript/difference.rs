//! Difference: a transcript as expected and as it happened, side by side.

use super::step::Step;
use crate::testing::diff::diff;
use std::error::Error;
use std::fmt;

/// Readable difference between a [`Transcript`](super::Transcript) and what happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    line: usize,
    text: String,
}

impl Difference {
    /// Returns the line of the first step that did not happen as written. If all of them did, and
    /// something more happened, it is the last line.
    pub fn line(&self) -> usize {
        self.line
    }

    pub(super) fn between(
        steps: &[Step],
        happened: &[String],
        remarks: impl FnOnce() -> Vec<String>,
    ) -> Result<(), Self> {
        let expected: Vec<String> = steps.iter().map(Step::to_string).collect();
        let Some((first, list)) = diff(&expected, happened, |index| steps[index].line) else {
            return Ok(());
        };
        let place = if first < steps.len() { "at" } else { "after" };
        let line = steps.get(first).or(steps.last()).map_or(1, |step| step.line);
        let mut text = format!(
            "the session differs from its transcript {place} line {line} \
             (- expected, + what happened)\n{list}"
        );
        let remarks = remarks();
        if !remarks.is_empty() {
            text.push_str("\n\n");
            text.push_str(&remarks.join("\n"));
        }
        Err(Self { line, text })
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Difference {}
