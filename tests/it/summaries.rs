//! The first sentence of each documentation comment: rustdoc shows it alone, in an index or hover.

use super::rings::{is_test, rust_files};
use std::path::Path;

/// Beginnings that say nothing without the item's name, or that name no subject.
const BEGINNINGS: [&str; 12] = [
    "The same",
    "Who ",
    "Whoever ",
    "Whom ",
    "Those ",
    "Of ",
    "None.",
    "And ",
    "But ",
    "So ",
    "For the log.",
    "Anything;",
];

/// Words that are not idiomatic English, or name a concept that has a term of its own.
const WORDS: [&str; 12] = [
    "anew", "lest", "in vain", "whoever", "settable", "patience", "valve", "shelf", "agenda",
    "outbox", "so many", "so much",
];

/// The comments of a file: each block of documentation as one text, with its line.
fn blocks<'a>(text: &'a str, marker: &'a str) -> Vec<(usize, String)> {
    let mut blocks: Vec<(usize, String)> = Vec::new();
    let mut last = usize::MAX;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start();
        let Some(text) = line.strip_prefix(marker).filter(|text| !text.starts_with('/')) else {
            continue;
        };
        if marker == "//" && text.starts_with('!') {
            continue;
        }
        match blocks.last_mut().filter(|_| last.wrapping_add(1) == number) {
            Some((_, block)) => *block += &format!("\n{}", text.trim()),
            None => blocks.push((number + 1, text.trim().to_owned())),
        }
        last = number;
    }
    blocks
}

/// What is wrong with the summary of a block.
fn fault(block: &str) -> Option<String> {
    let summary = block.split("\n\n").next().unwrap().split("\n```").next().unwrap();
    let summary = summary.replace('\n', " ");
    if let Some(beginning) = BEGINNINGS.iter().find(|it| summary.starts_with(**it)) {
        return Some(format!("begins with {beginning:?}"));
    }
    let ends = ['.', ':', '?', ')', '!'];
    (!summary.trim_end().ends_with(ends)).then(|| "is not a sentence".to_owned())
}

fn words(text: &str) -> Option<&'static str> {
    let text = text.replace('\n', " ").to_lowercase();
    let is_edge = |char: Option<char>| !char.is_some_and(|it| it.is_alphanumeric() || it == '_');
    let stands_in_text = |word: &str| {
        text.match_indices(word).any(|(at, _)| {
            let (before, after) = (&text[..at], &text[at + word.len()..]);
            is_edge(before.chars().next_back()) && is_edge(after.chars().next())
        })
    };
    WORDS.into_iter().find(|word| stands_in_text(word))
}

#[test]
fn a_summary_stands_alone() {
    for (block, expected) in [
        ("Sends bytes.\n\nWho cares?", None),
        ("The same, for one connection.", Some("begins with \"The same\"")),
        ("Of one connection.", Some("begins with \"Of \"")),
        ("None.", Some("begins with \"None.\"")),
        ("The address", Some("is not a sentence")),
    ] {
        assert_eq!(fault(block).as_deref(), expected, "{block}");
    }
    let mut faults = Vec::new();
    // A package has none of the folders that are crates of their own.
    let is_there = |folder: &&str| Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).exists();
    let folders = ["src", "nats/src"].into_iter().filter(is_there);
    for (name, text) in folders.flat_map(rust_files) {
        for marker in ["///", "//!"] {
            for (line, block) in blocks(&text, marker) {
                faults.extend(fault(&block).map(|fault| format!("{name}:{line} {fault}: {block}")));
            }
        }
    }
    assert!(faults.is_empty(), "{} summaries\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn comments_use_the_words_of_the_field() {
    assert_eq!(words("counted anew"), Some("anew"));
    assert_eq!(words("a newcomer"), None);
    let mut faults = Vec::new();
    for (name, text) in ["src", "examples"].into_iter().flat_map(rust_files) {
        for marker in ["///", "//!", "//"] {
            for (line, block) in blocks(&text, marker).into_iter().filter(|_| !is_test(&name)) {
                faults.extend(words(&block).map(|word| format!("{name}:{line} says {word:?}")));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in [root.to_owned(), root.join("docs"), root.join("docs/guide")] {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let text = std::fs::read_to_string(&path).unwrap();
                for (number, line) in text.lines().enumerate() {
                    let place = format!("{}:{}", path.display(), number + 1);
                    faults.extend(words(line).map(|word| format!("{place} says {word:?}")));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}\n{}", faults.len(), faults.join("\n"));
}
