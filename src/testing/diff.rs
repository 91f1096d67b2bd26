//! Diff: expected and actual entries as one list.

use std::fmt::{self, Write};

/// Entries shown around each that differs.
const CONTEXT: usize = 5;

/// Characters of an entry that are shown; longer entries are cut off.
const SHOWN_MAX: usize = 1000;

/// The most pairs of entries that are compared; each takes four bytes and some nanoseconds.
/// Two lists with 2000 entries between their first and their last difference are below that.
const PAIRS_MAX: usize = 4 << 20;

/// An entry of the list.
struct Row<'a> {
    /// `-` if the entry is only in `expected`, `+` if it is only in `happened`.
    mark: char,
    /// Index of this entry in `expected` or, if it is not there, of the next entry that is.
    place: usize,
    entry: &'a str,
}

/// Marks entries that are only in `expected` with `-`, and those only in `happened` with `+`.
/// `label` precedes the entries of `expected`. Returns the first index of `expected` that differs,
/// and the list; `None` if both are equal.
pub(super) fn diff<L: fmt::Display>(
    expected: &[String],
    happened: &[String],
    label: impl Fn(usize) -> L,
) -> Option<(usize, String)> {
    if expected == happened {
        return None;
    }
    let rows = rows(expected, happened);
    let first = rows.iter().find(|row| row.mark != ' ')?.place;
    let mut text = String::new();
    let mut left_out = false;
    for (index, row) in rows.iter().enumerate() {
        let near = index.saturating_sub(CONTEXT)..rows.len().min(index + CONTEXT + 1);
        if rows[near].iter().all(|row| row.mark == ' ') {
            left_out = true;
            continue;
        }
        if left_out && !text.is_empty() {
            text.push_str("\n     ...\n");
        }
        left_out = false;
        match row.mark {
            '+' => show(&mut text, "", row),
            _ => show(&mut text, label(row.place), row),
        }
    }
    Some((first, text))
}

/// Lists all entries in order. Where entries were replaced, the expected ones come first.
fn rows<'a>(expected: &'a [String], happened: &'a [String]) -> Vec<Row<'a>> {
    let mut rows = Vec::new();
    let (mut old, mut new) = (0, 0);
    let end = (expected.len(), happened.len());
    for (next_old, next_new) in common(expected, happened).into_iter().chain([end]) {
        let missing =
            (old..next_old).map(|place| Row { mark: '-', place, entry: &expected[place] });
        rows.extend(missing);
        let added = &happened[new..next_new];
        rows.extend(added.iter().map(|entry| Row { mark: '+', place: next_old, entry }));
        let same = expected.get(next_old);
        rows.extend(same.map(|entry| Row { mark: ' ', place: next_old, entry }));
        (old, new) = (next_old + 1, next_new + 1);
    }
    rows
}

/// Returns the index pairs of entries that both lists have in the same order.
fn common(expected: &[String], happened: &[String]) -> Vec<(usize, usize)> {
    let same = |(old, new): &(&String, &String)| old == new;
    let head = expected.iter().zip(happened).take_while(same).count();
    let (old, new) = (&expected[head..], &happened[head..]);
    let tail = old.iter().rev().zip(new.iter().rev()).take_while(same).count();
    let (old, new) = (&old[..old.len() - tail], &new[..new.len() - tail]);
    let between = longest(old, new).into_iter().map(|(old, new)| (head + old, head + new));
    let last = (head + old.len()..expected.len()).zip(head + new.len()..happened.len());
    (0..head).map(|place| (place, place)).chain(between).chain(last).collect()
}

/// Returns the longest list of such pairs; an empty one if that would take too long.
fn longest(old: &[String], new: &[String]) -> Vec<(usize, usize)> {
    if old.len().saturating_mul(new.len()) > PAIRS_MAX {
        return Vec::new();
    }
    // Per pair of indices: how many entries the rests of both lists have in common.
    let width = new.len() + 1;
    let mut counts = vec![0_u32; (old.len() + 1) * width];
    for row in (0..old.len()).rev() {
        for column in (0..new.len()).rev() {
            let at = row * width + column;
            counts[at] = match old[row] == new[column] {
                true => counts[at + width + 1] + 1,
                false => counts[at + width].max(counts[at + 1]),
            };
        }
    }
    let mut places = Vec::new();
    let (mut row, mut column) = (0, 0);
    while row < old.len() && column < new.len() {
        let at = row * width + column;
        if old[row] == new[column] {
            places.push((row, column));
            (row, column) = (row + 1, column + 1);
        } else if counts[at + width] >= counts[at + 1] {
            row += 1;
        } else {
            column += 1;
        }
    }
    places
}

fn show(text: &mut String, label: impl fmt::Display, row: &Row<'_>) {
    let Row { mark, entry, .. } = row;
    let end = entry.char_indices().nth(SHOWN_MAX).map(|(end, _)| end);
    let shown = &entry[..end.unwrap_or(entry.len())];
    // Writing to a string cannot fail.
    let _ = write!(text, "\n{label:>4} {mark} {shown}");
    if end.is_some() {
        let _ = write!(text, "... ({} bytes in all)", entry.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    fn entries(random: &mut Random) -> Vec<String> {
        (0..random.below(9)).map(|_| random.below(3).to_string()).collect()
    }

    /// Counts the entries that two lists have in common, by trying everything.
    fn count(old: &[String], new: &[String]) -> usize {
        match (old, new) {
            ([one, old_rest @ ..], [other, new_rest @ ..]) => match one == other {
                true => 1 + count(old_rest, new_rest),
                false => count(old_rest, new).max(count(old, new_rest)),
            },
            _ => 0,
        }
    }

    #[test]
    fn a_list_has_all_entries_of_both_and_marks_as_few_as_can_be() {
        let mut random = Random::new(1);
        for _ in 0..2000 {
            let (old, new) = (entries(&mut random), entries(&mut random));
            let rows = rows(&old, &new);
            let without = |mark| rows.iter().filter(move |row| row.mark != mark);
            assert!(without('+').map(|row| row.entry).eq(&old), "{old:?} {new:?}");
            assert!(without('-').map(|row| row.entry).eq(&new), "{old:?} {new:?}");
            assert!(without('+').map(|row| row.place).eq(0..old.len()), "{old:?} {new:?}");
            let same = rows.iter().filter(|row| row.mark == ' ').count();
            assert_eq!(same, count(&old, &new), "{old:?} {new:?}");
            let first = rows.iter().find(|row| row.mark != ' ').map(|row| row.place);
            assert_eq!(diff(&old, &new, |_| "").map(|(first, _)| first), first);
        }
    }

    #[test]
    fn lists_that_are_too_long_to_compare_differ_from_the_first_difference_to_the_last() {
        let list = |first: &str, last: &str| {
            let between = (0..2100).map(|number| number.to_string());
            let (first, last) = (["same", first], [last, "same"]);
            let of = |texts: [&str; 2]| texts.map(str::to_owned);
            of(first).into_iter().chain(between).chain(of(last)).collect::<Vec<_>>()
        };
        let (old, new) = (list("a", "b"), list("c", "d"));
        let rows = rows(&old, &new);
        let marked = |mark| rows.iter().filter(|row| row.mark == mark).count();
        assert_eq!((marked('-'), marked('+'), marked(' ')), (2102, 2102, 2));
    }
}
