//! What was to happen and what happened, as one list.

use similar::{Algorithm, DiffOp, capture_diff_slices, group_diff_ops};
use std::fmt::{self, Write};

/// How many entries are shown around each that differs.
const CONTEXT: usize = 5;

/// Longer entries are cut off when they are shown.
const SHOWN_MAX: usize = 1000;

/// Marks what is only in `expected` with `-` and what is only in `happened` with `+`. `label` goes
/// before the entries of `expected`. Returns the first entry of these that differs, and the list;
/// nothing if both are the same.
pub(super) fn diff<L: fmt::Display>(
    expected: &[String],
    happened: &[String],
    label: impl Fn(usize) -> L,
) -> Option<(usize, String)> {
    let ops = capture_diff_slices(Algorithm::Myers, expected, happened);
    let first = ops.iter().find(|op| !matches!(op, DiffOp::Equal { .. }))?.old_range().start;
    let mut text = String::new();
    for (index, group) in group_diff_ops(ops, CONTEXT).into_iter().enumerate() {
        text.push_str(if index > 0 { "\n     ...\n" } else { "" });
        for op in group {
            let is_equal = matches!(op, DiffOp::Equal { .. });
            for old in op.old_range() {
                let mark = if is_equal { ' ' } else { '-' };
                show(&mut text, label(old), mark, &expected[old]);
            }
            for new in op.new_range().filter(|_| !is_equal) {
                show(&mut text, "", '+', &happened[new]);
            }
        }
    }
    Some((first, text))
}

fn show(text: &mut String, label: impl fmt::Display, mark: char, entry: &str) {
    let end = entry.char_indices().nth(SHOWN_MAX).map(|(end, _)| end);
    let shown = &entry[..end.unwrap_or(entry.len())];
    // To write to a string cannot fail.
    let _ = write!(text, "\n{label:>4} {mark} {shown}");
    if end.is_some() {
        let _ = write!(text, "... ({} bytes in all)", entry.len());
    }
}
