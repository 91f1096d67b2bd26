//! Imports between the files of `src`: which files form a circle, and whether that is allowed.

use super::rings::{code, is_test, rust_files};
use std::collections::{BTreeMap, BTreeSet};

/// Files that import each other, directly or through others, and why that is right.
const ALLOWED: [(&str, &[&str]); 2] = [
    (
        "A reactor is lent to callbacks: it keeps factories and closures that are given it.",
        &[
            "src/protocol.rs",
            "src/reactor/mod.rs",
            "src/reactor/blocking.rs",
            "src/reactor/callback.rs",
            "src/reactor/calls.rs",
            "src/reactor/client_service/slot.rs",
            "src/reactor/factories.rs",
            "src/reactor/mailbox.rs",
            "src/reactor/signals.rs",
            "src/reactor/timers/mod.rs",
            "src/reactor/triggers.rs",
        ],
    ),
    (
        "A handle owns its connection, and connections keep weak handles of those they feed.",
        &[
            "src/transport/mod.rs",
            "src/transport/connection.rs",
            "src/transport/extras.rs",
            "src/transport/hub.rs",
            "src/transport/listener_info.rs",
            "src/transport/producer.rs",
        ],
    ),
];

/// The source as modules: which file each one is, what it re-exports, and what it imports.
#[derive(Default)]
struct Modules {
    files: BTreeMap<String, String>,
    exports: BTreeMap<String, BTreeMap<String, String>>,
    imports: BTreeMap<String, BTreeSet<String>>,
}

/// `src/a/b.rs` and `src/a/b/mod.rs` are `a::b`.
fn module_of(file: &str) -> String {
    let path = file.trim_start_matches("src/").trim_end_matches(".rs");
    path.trim_end_matches("/mod").trim_start_matches("lib").replace('/', "::")
}

fn join(module: &str, name: &str) -> String {
    if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") }
}

/// The paths of a `use`, with groups written out.
fn flatten(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((prefix, group)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap();
        return vec![path.trim().trim_end_matches("::self").to_owned()];
    };
    let group = group.trim_end().strip_suffix('}').expect("a group ends");
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, char) in group.char_indices() {
        match char {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&group[start..]);
    let parts = parts.into_iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(flatten).map(|part| format!("{prefix}{part}").replace("::self", "")).collect()
}

/// The `use` declarations of a file, and whether each is a re-export.
fn uses(code: &str) -> Vec<(bool, String)> {
    let mut found = Vec::new();
    for statement in code.split(';') {
        let Some(at) = statement.rfind("use ") else { continue };
        // Part of a longer word, such as the name of a type before its brace.
        if statement[..at].ends_with(char::is_alphanumeric) {
            continue;
        }
        let before = statement[..at].rsplit('\n').next().unwrap().trim();
        if before.is_empty() || before.starts_with("pub") {
            let paths = flatten(&statement[at + 4..]);
            found.extend(paths.into_iter().map(|path| (before.starts_with("pub"), path)));
        }
    }
    found
}

/// Paths that stand in the code itself, such as `super::Action::Idle`. (`$crate` of a macro is the
/// place where the macro is used.)
fn inline(code: &str) -> Vec<String> {
    let is_path = |char: char| char.is_alphanumeric() || char == '_' || char == ':' || char == '$';
    // Every other part stands in quotes.
    let parts = code.replace("'\"'", "").replace("\\\"", "");
    let outside = parts.split('"').step_by(2).collect::<Vec<_>>().join(" ");
    let words = outside.split(|char: char| !is_path(char));
    let starts = |word: &&str| word.starts_with("crate::") || word.starts_with("super::");
    words.filter(starts).map(|word| word.trim_end_matches(':').to_owned()).collect()
}

impl Modules {
    fn read() -> Self {
        let mut modules = Self::default();
        let sources: Vec<_> =
            rust_files("src").into_iter().filter(|(it, _)| !is_test(it)).collect();
        for (file, _) in &sources {
            modules.files.insert(module_of(file), file.clone());
        }
        let mut imported = Vec::new();
        for (file, text) in &sources {
            let (module, code) = (module_of(file), code(text));
            for (is_export, path) in uses(&code) {
                let Some(path) = modules.absolute(&module, &path) else { continue };
                if is_export {
                    let name = path.rsplit("::").next().unwrap().to_owned();
                    modules.exports.entry(module.clone()).or_default().insert(name, path);
                } else {
                    imported.push((module.clone(), path));
                }
            }
            let inline = inline(&code).into_iter();
            imported.extend(
                inline.filter_map(|it| Some((module.clone(), modules.absolute(&module, &it)?))),
            );
        }
        for (module, path) in imported {
            let target = modules.file_of(&path);
            // The root of the crate is an index.
            if target != module && !target.is_empty() && !module.is_empty() {
                modules.imports.entry(module).or_default().insert(target);
            }
        }
        modules
    }

    /// A path from the root of the crate; `None` if it leads into another crate.
    fn absolute(&self, module: &str, path: &str) -> Option<String> {
        let mut base = module.to_owned();
        let mut rest = path;
        if let Some(inner) = rest.strip_prefix("crate::") {
            (base, rest) = (String::new(), inner);
        } else if let Some(inner) = rest.strip_prefix("self::") {
            rest = inner;
        } else if rest.starts_with("super::") {
            while let Some(inner) = rest.strip_prefix("super::") {
                base =
                    base.rsplit_once("::").map_or(String::new(), |(parent, _)| parent.to_owned());
                rest = inner;
            }
        } else {
            let first = rest.split("::").next().unwrap();
            if !self.files.contains_key(&join(&base, first)) {
                return None;
            }
        }
        Some(join(&base, rest))
    }

    /// The module in whose file the item at `path` is defined.
    fn file_of(&self, path: &str) -> String {
        let (mut module, mut rest) = (String::new(), path);
        while !rest.is_empty() {
            let (name, after) = rest.split_once("::").unwrap_or((rest, ""));
            let child = join(&module, name);
            if self.files.contains_key(&child) {
                (module, rest) = (child, after);
            } else if let Some(target) = self.exports.get(&module).and_then(|it| it.get(name)) {
                return self.file_of(target);
            } else {
                break;
            }
        }
        module
    }

    fn reaches<'a>(&'a self, from: &'a str) -> BTreeSet<&'a str> {
        let (mut seen, mut todo) = (BTreeSet::new(), vec![from]);
        while let Some(module) = todo.pop() {
            let next = self.imports.get(module).into_iter().flatten();
            todo.extend(next.map(String::as_str).filter(|it| seen.insert(*it)));
        }
        seen
    }

    /// Sets of files that all reach each other.
    fn circles(&self) -> BTreeSet<Vec<&str>> {
        let reach: BTreeMap<&str, BTreeSet<&str>> =
            self.files.keys().map(|module| (module.as_str(), self.reaches(module))).collect();
        let of = |module: &&str| {
            let together =
                |other: &&&str| reach[module].contains(**other) && reach[**other].contains(*module);
            let circle = reach.keys().filter(together);
            circle.map(|it| self.files[*it].as_str()).collect::<Vec<_>>()
        };
        reach.keys().map(of).filter(|circle| circle.len() > 1).collect()
    }
}

#[test]
fn a_circle_of_imports_is_found() {
    let paths = flatten("super::{a::{B, self}, c::D as E}");
    assert_eq!(paths, ["super::a::B", "super::a", "super::c::D"]);
    let mut modules = Modules::default();
    for (from, to) in [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")] {
        modules.files.insert(from.to_owned(), format!("src/{from}.rs"));
        modules.files.insert(to.to_owned(), format!("src/{to}.rs"));
        modules.imports.entry(from.to_owned()).or_default().insert(to.to_owned());
    }
    assert_eq!(modules.circles(), BTreeSet::from([vec!["src/a.rs", "src/b.rs", "src/c.rs"]]));
}

#[test]
fn imports_form_no_circle_but_those_that_are_allowed() {
    let modules = Modules::read();
    let allowed: BTreeSet<Vec<&str>> = ALLOWED.iter().map(|(_, circle)| circle.to_vec()).collect();
    assert_eq!(modules.circles(), allowed);
}
