//! A parser of Prometheus' exposition format, version 0.0.4, that accepts nothing doubtful.

use std::collections::{BTreeMap, BTreeSet};

/// A sample's name and its labels, sorted.
pub(super) type Series = (String, BTreeMap<String, String>);

#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) series: BTreeMap<Series, f64>,
    /// Type of each metric: counter or gauge.
    pub(super) types: BTreeMap<String, String>,
}

impl Page {
    #[track_caller]
    pub(super) fn parse(text: &str) -> Self {
        let (mut page, mut current) = (Self::default(), None);
        let mut described = BTreeSet::new();
        assert!(text.ends_with('\n'), "the last line ends like the others");
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').expect("a description");
                assert!(described.insert(name.to_owned()), "{name} is described twice");
                assert!(!help.contains('\\'), "{help}");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("a type");
                assert!(described.contains(name) && is_name(name), "{line}");
                assert!(["counter", "gauge"].contains(&kind), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                assert!(page.types.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}");
                current = Some(name.to_owned());
            } else {
                let (series, value) = sample(line).unwrap_or_else(|| panic!("no sample: {line}"));
                assert_eq!(Some(&series.0), current.as_ref(), "{line} is not under its type");
                assert!(page.series.insert(series, value).is_none(), "{line} is there twice");
            }
        }
        assert_eq!(described.len(), page.types.len());
        page
    }

    /// Returns the value of a figure that has one label, or none.
    #[track_caller]
    pub(super) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let series = (name.to_owned(), labels.collect());
        *self.series.get(&series).unwrap_or_else(|| panic!("no {series:?} in {self:#?}"))
    }

    /// Checks that no counter of an earlier page is gone or has gone back.
    #[track_caller]
    pub(super) fn continues(&self, earlier: &Self) {
        for (series, before) in &earlier.series {
            if earlier.types[&series.0] == "counter" {
                let now = self.series.get(series);
                assert!(now.is_some_and(|now| now >= before), "{series:?}: {before} to {now:?}");
            }
        }
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with("twistor_") && name.bytes().all(|it| it.is_ascii_lowercase() || it == b'_')
}

fn sample(line: &str) -> Option<(Series, f64)> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"")?;
            if !label.bytes().all(|it| it.is_ascii_lowercase()) {
                return None;
            }
            let (value, after) = unescape(after)?;
            labels.insert(label.to_owned(), value);
            match after.strip_prefix(',') {
                Some(more) => rest = more,
                None => break rest = after.strip_prefix('}')?,
            }
        }
    }
    let value: f64 = rest.strip_prefix(' ')?.parse().ok()?;
    (is_name(name) && value.is_finite()).then(|| ((name.to_owned(), labels), value))
}

/// Reads a value up to its closing quote.
fn unescape(text: &str) -> Option<(String, &str)> {
    let (mut value, mut characters) = (String::new(), text.char_indices());
    loop {
        match characters.next()? {
            (at, '"') => return Some((value, &text[at + 1..])),
            (_, '\\') => value.push(match characters.next()?.1 {
                'n' => '\n',
                other @ ('\\' | '"') => other,
                _ => return None,
            }),
            (_, other) => value.push(other),
        }
    }
}

#[test]
fn the_parser_reads_what_was_escaped_and_rejects_what_was_not() {
    let (series, value) =
        sample(r#"twistor_x_total{protocol="a\\b\"c\nd",cause="e"} 1.5"#).unwrap();
    assert_eq!((&*series.1["protocol"], &*series.1["cause"], value), ("a\\b\"c\nd", "e", 1.5));
    for wrong in [
        r#"twistor_x{protocol="a"b"} 1"#,
        r#"twistor_x{protocol="a} 1"#,
        r#"twistor_x{protocol="a\q"} 1"#,
        r#"twistor_x{protocol="a"}1"#,
        r#"twistor_x{protocol="a",} 1"#,
        r#"Other_x 1"#,
        "twistor_x one",
        "twistor_x NaN",
        "twistor_x",
    ] {
        assert_eq!(sample(wrong), None, "{wrong}");
    }
}
