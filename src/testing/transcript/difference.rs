//! A transcript as it should be and as it was, side by side.

use super::step::Step;
use similar::{Algorithm, DiffOp, capture_diff_slices, group_diff_ops};
use std::error::Error;
use std::fmt::{self, Write};

/// How many steps are shown around each that differs.
const CONTEXT: usize = 5;

/// Longer steps are cut off when they are shown.
const SHOWN_MAX: usize = 1000;

/// What differs between a [`Transcript`](super::Transcript) and what happened, to be read by
/// people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    line: usize,
    text: String,
}

impl Difference {
    /// The line of the first step that did not happen as it is written. If all of them did, and
    /// something more, it is the last.
    pub fn line(&self) -> usize {
        self.line
    }

    pub(super) fn between(
        steps: &[Step],
        happened: &[String],
        remarks: impl FnOnce() -> Vec<String>,
    ) -> Result<(), Self> {
        let expected: Vec<String> = steps.iter().map(Step::to_string).collect();
        let ops = capture_diff_slices(Algorithm::Myers, &expected, happened);
        let first = ops.iter().find(|op| !matches!(op, DiffOp::Equal { .. }));
        let Some(first) = first.map(|op| op.old_range().start) else {
            return Ok(());
        };
        let place = if first < steps.len() { "at" } else { "after" };
        let line = steps.get(first).or(steps.last()).map_or(1, |step| step.line);
        let mut text = format!(
            "the session differs from its transcript {place} line {line} \
             (- expected, + what happened)\n"
        );
        for (index, group) in group_diff_ops(ops, CONTEXT).into_iter().enumerate() {
            text.push_str(if index > 0 { "\n     ...\n" } else { "" });
            for op in group {
                let is_equal = matches!(op, DiffOp::Equal { .. });
                for old in op.old_range() {
                    let mark = if is_equal { ' ' } else { '-' };
                    show(&mut text, steps[old].line, mark, &expected[old]);
                }
                for new in op.new_range().filter(|_| !is_equal) {
                    show(&mut text, "", '+', &happened[new]);
                }
            }
        }
        let remarks = remarks();
        if !remarks.is_empty() {
            text.push_str("\n\n");
            text.push_str(&remarks.join("\n"));
        }
        Err(Self { line, text })
    }
}

fn show(text: &mut String, line: impl fmt::Display, mark: char, step: &str) {
    let end = step.char_indices().nth(SHOWN_MAX).map(|(end, _)| end);
    let shown = &step[..end.unwrap_or(step.len())];
    // To write to a string cannot fail.
    let _ = write!(text, "\n{line:>4} {mark} {shown}");
    if end.is_some() {
        let _ = write!(text, "... ({} bytes in all)", step.len());
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Difference {}
