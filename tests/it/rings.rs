//! The architecture, as a test: which module may name which, and how large things may grow.

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of code: blank lines and comments do not count, so that documentation is not cut short.
const LINES_MAX: usize = 400;
const COLUMNS_MAX: usize = 100;
const FUNCTION_LINES_MAX: usize = 60;

pub(crate) fn rust_files(folder: &str) -> Vec<(String, String)> {
    fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            // A folder that is a crate of its own may have a `target`.
            if path.is_dir() && !path.ends_with("target") {
                collect(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join(folder), &mut files);
    assert!(!files.is_empty());
    let read = |path: PathBuf| {
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
        (name, fs::read_to_string(path).unwrap())
    };
    files.into_iter().map(read).collect()
}

/// Returns a file's code, without its tests and comments.
pub(crate) fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    code.lines().filter(is_code).collect::<Vec<_>>().join("\n")
}

pub(crate) fn is_test(name: &str) -> bool {
    name.contains("/tests") || name.contains("/scripted/")
}

/// Words that must not occur in the code of a folder or file.
const FORBIDDEN: [(&str, &[&str]); 24] = [
    ("src/callback_kind.rs", &["use crate::", "std::net", "Instant"]),
    ("src/reason.rs", &["crate::", "std::net", "Instant"]),
    ("src/address/", &["crate::", "Instant"]),
    ("src/limits/token_bucket.rs", &["crate::", "super::", "std::rc"]),
    ("src/limits/shared_rate.rs", &["super::rate", "std::rc"]),
    (
        "src/limits/",
        &[
            "crate::driver",
            "crate::transport",
            "crate::reactor",
            "std::io",
            "std::net",
            "Instant::now",
        ],
    ),
    ("src/random.rs", &["crate::", "super::", "std::net", "Instant", "RandomState"]),
    ("src/arena.rs", &["crate::", "std::net", "Instant"]),
    ("src/requests/", &["crate::", "std::io", "std::net", "Instant::now"]),
    ("src/endpoint/", &["crate::reactor", "crate::driver", "crate::transport", "crate::protocol"]),
    (
        "src/proxy_protocol/",
        &[
            "crate::reactor",
            "crate::driver",
            "crate::transport",
            "crate::protocol",
            "crate::framing",
            "crate::limits",
            "std::io",
            "std::time",
            "Instant",
            "TcpStream",
        ],
    ),
    ("src/protocol.rs", &["crate::driver", "crate::framing", "crate::arena", "std::net"]),
    ("src/driver/", &["crate::reactor", "crate::transport", "crate::protocol", "crate::framing"]),
    (
        "src/tls/",
        &[
            "crate::reactor",
            "crate::driver",
            "crate::transport",
            "crate::protocol",
            "crate::framing",
            "crate::endpoint",
            "std::net",
            "Instant",
        ],
    ),
    (
        "src/client_service/",
        &[
            "crate::reactor",
            "crate::driver",
            "crate::transport",
            "crate::protocol",
            "crate::framing",
            "std::net",
            "Instant::now",
        ],
    ),
    ("src/transport/state.rs", &["crate::driver", "std::io", "std::net", "Instant", "Hub"]),
    (
        "src/transport/write_buffer.rs",
        &["crate::", "io::{", "io::R", "io::W", "std::net", "Instant"],
    ),
    (
        "src/transport/extras.rs",
        &["crate::driver", "crate::arena", "io::{", "io::W", "std::net", "Instant"],
    ),
    ("src/transport/", &["crate::reactor", "crate::protocol", "crate::framing", "Instant::now"]),
    ("src/reactor/timers/heap/", &["crate::driver", "crate::transport", "Instant::now", "Reactor"]),
    ("src/reactor/", &["crate::framing", "std::net", "Instant::now"]),
    ("src/operations/", &["crate::driver", "crate::arena", "std::net", "Instant"]),
    ("src/framing/delimiter.rs", &["crate::", "std::io", "std::net"]),
    ("src/framing/", &["crate::driver", "crate::reactor::{", "std::net", "Instant"]),
];

/// The only folder that may name the operating system.
const DRIVER: &str = "src/driver/";

/// The places that may name the TLS engine.
const ENGINES: [&str; 3] = ["src/tls/", "src/testing/tls/", "src/driver/tls_stream.rs"];

/// The files that may read the system's clock. A simulation's clock begins at some time; only
/// differences of it are visible.
const CLOCKS: [&str; 2] = ["src/driver/mio.rs", "src/testing/simulation/mod.rs"];

#[test]
fn every_rule_is_about_an_existing_place() {
    let files: Vec<String> = rust_files("src").into_iter().map(|(name, _)| name).collect();
    let of_rules = FORBIDDEN.iter().map(|(place, _)| *place);
    for place in of_rules.chain(CLOCKS).chain(ENGINES).chain([DRIVER]) {
        // The rule for a file has its full name, and the rule for a folder ends with a slash.
        let subject = |name: &String| {
            !is_test(name)
                && if place.ends_with('/') { name.starts_with(place) } else { name == place }
        };
        assert!(files.iter().any(subject), "a rule is about {place}, which does not exist");
    }
}

#[test]
fn modules_name_only_those_below_them() {
    for (name, text) in rust_files("src") {
        if is_test(&name) {
            continue;
        }
        let code = code(&text);
        let mut forbidden: Vec<&str> = FORBIDDEN
            .iter()
            .filter(|(place, _)| name.starts_with(place))
            .flat_map(|(_, words)| *words)
            .copied()
            .collect();
        if !name.starts_with(DRIVER) {
            forbidden.extend(["mio::", "socket2::", "signal_hook::", "libc::", "rustix::"]);
            forbidden.extend(["rustix::", "sd_listen_fds::"]);
        }
        if !CLOCKS.contains(&&*name) {
            forbidden.push("Instant::now");
        }
        if !ENGINES.iter().any(|place| name.starts_with(place)) {
            forbidden.push("rustls::");
        }
        for word in forbidden {
            // Framing needs these names of the reactor in signatures.
            let allowed = word == "crate::reactor::{"
                && ["Reactor, TimerId", "FactoryKey, Reactor, TimerId"]
                    .iter()
                    .any(|names| code.contains(&format!("crate::reactor::{{{names}}}")));
            assert!(!code.contains(word) || allowed, "{name} names {word}");
        }
        assert!(!code.contains("unsafe {"), "{name}");
    }
}

fn is_code(line: &str) -> bool {
    !line.is_empty() && !line.starts_with("//")
}

/// Returns the faults of a file: what it has too much of, or too little.
fn faults(name: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let count = text.lines().map(str::trim_start).filter(|line| is_code(line)).count();
    if count > LINES_MAX {
        faults.push(format!("{name} has {count} lines of code"));
    }
    if !text.starts_with("//!") && !name.ends_with("/tests/mod.rs") && !name.ends_with("tests.rs") {
        faults.push(format!("{name} does not say what it is"));
    }
    let mut begun: Option<(usize, &str)> = None;
    for (number, line) in text.lines().enumerate() {
        let place = format!("{name}:{}", number + 1);
        if line.chars().count() > COLUMNS_MAX {
            faults.push(format!("{place} has {} columns", line.chars().count()));
        }
        for left_over in ["TODO", "FIXME", "dbg!(", "todo!(", "unimplemented!("] {
            if line.contains(left_over) && !name.ends_with("rings.rs") {
                faults.push(format!("{place} has a {left_over}"));
            }
        }
        let code = line.trim_start();
        let margin = &line[..line.len() - code.len()];
        let begins = code.starts_with("fn ") || code.contains(" fn ");
        if begins && !code.starts_with("//") && !line.ends_with(';') {
            begun = Some((number, margin));
        } else if let Some((start, _)) = begun.filter(|(_, margin)| line == format!("{margin}}}")) {
            begun = None;
            if number - start > FUNCTION_LINES_MAX {
                faults.push(format!("{name}:{}: {} lines", start + 1, number - start));
            }
        }
    }
    faults
}

/// Statements that keep a connection borrowed for longer than they need it: a callback that runs
/// meanwhile, and uses the connection's transport, would find it borrowed and panic.
fn long_borrows(code: &str) -> Vec<String> {
    let keeps = |head: &&str| {
        let head = head.trim();
        let borrows = head.contains(".connection()") || head.contains(".borrow_mut()");
        let binds = head.ends_with(".connection()") && head.contains("let ");
        let inspects = ["match ", "if let ", "while let ", "for "].iter().any(|it| {
            head.split("=>")
                .last()
                .unwrap()
                .trim_start()
                .trim_start_matches("} else ")
                .starts_with(it)
        });
        borrows && (binds || inspects && !head.contains('|'))
    };
    let heads = code.split([';', '{', '}']);
    heads.filter(keeps).map(|head| head.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn no_borrow_of_a_connection_lasts_into_a_callback() {
    for (code, count) in [
        ("if transport.connection().is_open() { call(); }", 0),
        ("let open = transport.connection().is_open(); if let true = open {}", 0),
        ("let connection = transport.connection();", 1),
        ("match transport.connection().next() { _ => call() }", 1),
        ("if let Some(it) = transport\n.connection()\n.queue() { call(it); }", 1),
    ] {
        assert_eq!(long_borrows(code).len(), count, "{code}");
    }
    for (name, text) in ["src/reactor", "src/framing"].into_iter().flat_map(rust_files) {
        let faults = if is_test(&name) { Vec::new() } else { long_borrows(&code(&text)) };
        assert!(faults.is_empty(), "{name}: {}", faults.join("\n"));
    }
}

#[test]
fn only_code_makes_a_file_long() {
    let longest =
        format!("//! Long.\n{}", "/// Says why.\n\nconst ONE: u32 = 1;\n".repeat(LINES_MAX));
    assert_eq!(faults("longest.rs", &longest), Vec::<String>::new());
    let longer = longest + "const TWO: u32 = 2;\n";
    assert_eq!(faults("longer.rs", &longer), ["longer.rs has 401 lines of code"]);
}

#[test]
fn files_are_of_one_noun_and_functions_short() {
    let files = ["src", "tests", "examples", "nats/src", "nats/tests", "nats/examples"];
    // A package has none of the folders that are crates of their own.
    let is_there = |folder: &&str| Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).exists();
    let files = files.into_iter().filter(is_there).flat_map(rust_files);
    let faults: Vec<String> = files.flat_map(|(name, text)| faults(&name, &text)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_map_names_every_folder_and_nothing_that_is_gone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let map = fs::read_to_string(root.join("docs/ARCHITECTURE.md")).unwrap();
    for (name, _) in rust_files("src") {
        let folder = name.rsplit_once('/').unwrap().0;
        let is_mapped = map.contains(&format!("`{folder}/`")) || folder == "src";
        assert!(is_test(&name) || is_mapped, "{folder} is not in the map");
    }
    for document in ["ARCHITECTURE.md", "REACTOR.md", "DESIGN.md", "TESTING.md"] {
        let text = fs::read_to_string(root.join("docs").join(document)).unwrap();
        // Every other part stands in backticks.
        for code in text.split('`').skip(1).step_by(2) {
            let is_path =
                ["src/", "tests/", "examples/", "benches/"].iter().any(|it| code.starts_with(it));
            // A package has none of the folders that are crates of their own.
            let is_packed = !root.join("benches").exists();
            let crates = ["benches/", "tests/messages/", "tests/models/"];
            let is_crate = crates.iter().any(|folder| code.starts_with(folder));
            let is_path = is_path && !(is_packed && is_crate);
            let is_there = || root.join(code).exists();
            assert!(!is_path || code.contains([' ', '*']) || is_there(), "{document} names {code}");
        }
    }
}
