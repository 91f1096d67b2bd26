//! The guide, as a test: its chapters, its tables of contents and its links.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The most lines of a chapter, which should be read in one go.
const CHAPTER_LINES_MAX: usize = 249;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    // A checkout may have other line endings.
    fs::read_to_string(path).unwrap().replace('\r', "")
}

fn names(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// File and text of each chapter.
fn chapters() -> BTreeMap<String, String> {
    let mut files = names("docs/guide");
    assert!(files.remove("README.md") && files.remove("SUMMARY.md"));
    files.into_iter().map(|file| (file.clone(), read(&format!("docs/guide/{file}")))).collect()
}

fn title(text: &str) -> &str {
    text.lines().next().and_then(|line| line.strip_prefix("# ")).unwrap_or_default()
}

/// The lines outside of listings.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    text.split("```").step_by(2).flat_map(str::lines)
}

/// Label and file of a link's definition: `[Lines]: lines.md`.
fn definition(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix('[')?.split_once("]: ")
}

fn definitions(text: &str) -> Vec<(&str, &str)> {
    prose(text).filter_map(definition).collect()
}

/// Labels of links, in the order of their use: `[Lines]`.
fn links(text: &str) -> Vec<&str> {
    let lines = prose(text).filter(|line| definition(line).is_none());
    let outside_of_code = lines.flat_map(|line| line.split('`').step_by(2));
    let labels = outside_of_code.flat_map(|text| text.split('[').skip(1));
    labels.map(|rest| rest.split_once(']').map_or(rest, |(label, _)| label)).collect()
}

#[test]
fn each_chapter_has_a_title_says_what_it_teaches_and_is_short() {
    for (file, text) in chapters() {
        assert!(!title(&text).is_empty(), "{file} has no title");
        let second = text.lines().nth(2).unwrap_or_default();
        assert!(second.starts_with("You will learn: "), "{file} does not say what it teaches");
        let count = text.lines().count();
        assert!(count <= CHAPTER_LINES_MAX, "{file} has {count} lines");
    }
}

#[test]
fn the_tables_of_contents_have_every_chapter_in_one_order() {
    let chapters = chapters();
    let introduction = read("docs/guide/README.md");
    let contents = definitions(&introduction);
    let titles: BTreeMap<&str, &str> =
        chapters.iter().map(|(file, text)| (title(text), &**file)).collect();
    assert_eq!(contents.iter().copied().collect::<BTreeMap<_, _>>(), titles);
    let listed: Vec<&str> = contents.iter().map(|(title, _)| *title).collect();
    assert_eq!(links(&introduction), listed);

    let summary = read("docs/guide/SUMMARY.md");
    let entry = |line| str::strip_prefix(line, "- [")?.strip_suffix(')')?.split_once("](");
    assert_eq!(summary.lines().filter_map(entry).collect::<Vec<_>>(), contents);

    // The crate's documentation has the links of the introduction and the modules of the chapters.
    let module = read("src/guide.rs");
    for (title, file) in contents {
        let name = file.trim_end_matches(".md").replace('-', "_");
        let (link, chapter) =
            (format!("//! [{title}]: {name}\n"), format!("    {name} \"{title}\" \"{file}\"\n"));
        assert!(module.contains(&link) && module.contains(&chapter), "{file} in src/guide.rs");
    }
}

#[test]
fn links_between_chapters_lead_somewhere() {
    let chapters = chapters();
    for (file, text) in &chapters {
        let definitions = definitions(text);
        for (label, to) in &definitions {
            let target = chapters.get(*to).map(|text| title(text));
            assert_eq!(target, Some(*label), "{file} has the link [{label}]: {to}");
        }
        let defined: BTreeSet<&str> = definitions.into_iter().map(|(label, _)| label).collect();
        assert_eq!(links(text).into_iter().collect::<BTreeSet<_>>(), defined, "{file}");
    }
}

#[test]
fn the_guide_s_table_of_examples_has_every_one() {
    let text = read("docs/guide/getting-started.md");
    let row = |line| str::strip_prefix(line, "| `")?.split_once("` | ");
    let listed: Vec<(&str, &str)> = text.lines().filter_map(row).collect();
    // What several examples need is in a folder of its own.
    for name in names("examples").into_iter().filter(|name| name != "shared") {
        let example = name.trim_end_matches(".rs");
        assert!(listed.iter().any(|(listed, _)| *listed == example), "{example} is not listed");
    }
}

/// The targets of a text's links to files beside it: `[the guide](docs/guide/README.md)`.
fn files(text: &str) -> impl Iterator<Item = &str> {
    let targets = prose(text).flat_map(|line| line.split("](").skip(1));
    let targets = targets.filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    targets.filter(|target| !target.contains("://") && !target.starts_with('#'))
}

#[test]
fn links_of_the_readme_and_the_documents_lead_to_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert_eq!(files("![a](b.svg) [c](d/e.md#f) [g](https://h)").count(), 2);
    for folder in ["", "docs"] {
        for file in names(folder).into_iter().filter(|file| file.ends_with(".md")) {
            let text = read(format!("{folder}/{file}").trim_start_matches('/'));
            for target in files(&text) {
                let path = target.split('#').next().unwrap();
                let is_plot = folder == "docs" && path.starts_with("performance/");
                let is_there = root.join(folder).join(path).exists();
                // A package has no plots but the README's.
                let is_packed = !root.join("docs/performance/results.json").exists();
                assert!(is_there || is_plot && is_packed, "{file} links {target}");
            }
        }
    }
}
