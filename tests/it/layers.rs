//! The source keeps to its own rules: modules import only downwards, and the library prints nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// A file of the source: its path below `src`, or below the package for those of the statistics, its text without tests and comments, and the first sentence of its documentation.
struct Source {
    path: PathBuf,
    code: String,
    purpose: String,
}

fn sources() -> Vec<Source> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = sources_below(&package.join("src"), &package.join("src"));
    found.extend(sources_below(package, &package.join("crates/stats/src")));
    found
}

/// The files of a folder, named from `root`.
fn sources_below(root: &Path, folder: &Path) -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let below = path.strip_prefix(root).expect("below the root").to_owned();
            if path.extension().is_some_and(|e| e == "rs") && !is_test(&below) {
                let text = fs::read_to_string(&path).expect("text");
                found.push(Source { path: below, code: without_tests(&text), purpose: purpose(&text) });
            }
        }
    }
    found
}

/// The first sentence of a file's documentation, or what stands before the first list or break.
fn purpose(text: &str) -> String {
    let lines = text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim);
    let paragraph = lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    match paragraph.find(". ") {
        Some(end) => paragraph[..=end].to_owned(),
        None => paragraph,
    }
}

/// Whether the file is compiled for tests alone, by its name.
fn is_test(path: &Path) -> bool {
    let names = ["tests", "testing", "fixture", "measure", "file_tests"];
    path.components()
        .any(|part| names.iter().any(|name| Path::new(part.as_os_str()).file_stem() == Some(name.as_ref())))
}

/// The code before the first module of tests, which stands at a file's end, without comments.
fn without_tests(text: &str) -> String {
    let lines = text.lines().collect::<Vec<_>>();
    let module = |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{');
    let end = lines.windows(2).position(module).unwrap_or(lines.len());
    let code = lines[..end].iter().map(|line| line.split("//").next().unwrap_or_default());
    code.collect::<Vec<_>>().join("\n")
}

/// The layer of each module, as the table in the documentation of `lib.rs` has it.
fn layers() -> BTreeMap<String, u32> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).expect("lib.rs");
    let mut layers = BTreeMap::new();
    for row in text.lines().filter_map(|line| line.strip_prefix("//! | ")) {
        let (layer, modules) = row.split_once(" | ").expect("a row of two cells");
        if let Ok(layer) = layer.trim_end_matches(", pure").parse() {
            let names = modules.split('`').skip(1).step_by(2);
            layers.extend(names.map(|name| (name.to_owned(), layer)));
        }
    }
    layers
}

/// The top-level modules that code names after `crate::`, alone or in braces.
fn named(code: &str) -> Vec<String> {
    let starts = code.match_indices("crate::").map(|(at, found)| &code[at + found.len()..]);
    let mut names = Vec::new();
    for rest in starts {
        let word =
            |text: &str| text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        match rest.strip_prefix('{') {
            None => names.push(word(rest)),
            Some(list) => names.extend(outermost(list).iter().map(|item| word(item))),
        }
    }
    names.into_iter().filter(|name| name.starts_with(char::is_lowercase)).collect()
}

/// The items of a list in braces, those of inner braces left with theirs.
fn outermost(list: &str) -> Vec<String> {
    let (mut depth, mut items) = (0, vec![String::new()]);
    for c in list.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => items.push(String::new()),
            _ => items.last_mut().expect("there is one").push(c),
        }
    }
    items
}

/// The tables of all files, a layer each, as the page on the architecture has them.
fn tables() -> String {
    let titles = ["the command line", "loops and presentation", "the outside world", "decisions, pure", "nouns"];
    let layers = layers();
    let mut sources = sources();
    sources.sort_by_key(|source| (source.path.components().count() == 1, source.path.clone()));
    let mut text = String::new();
    for (layer, title) in (1..=5).rev().zip(titles) {
        let _ = write!(text, "### Layer {layer}: {title}\n\n| file | responsibility |\n|---|---|\n");
        let highest = |name: &str| layers.get(name).copied().unwrap_or(5);
        for source in sources.iter().filter(|source| highest(&top_level(source)) == layer) {
            let _ = writeln!(text, "| `{}` | {} |", source.path.display(), source.purpose.replace('|', "\\|"));
        }
        text += "\n";
    }
    text
}

#[test]
fn the_page_on_the_architecture_says_what_every_file_is_for() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/src/architecture.md");
    let page = fs::read_to_string(&path).expect("a page");
    let (begin, end) = ("<!-- files:begin -->\n\n", "<!-- files:end -->");
    let (before, rest) = page.split_once(begin).expect("a mark where the tables begin");
    let (_, after) = rest.split_once(end).expect("a mark where they end");
    let wanted = format!("{before}{begin}{}{end}{after}", tables());
    if std::env::var_os("SAMEMODEL_BLESS").is_some() {
        fs::write(&path, &wanted).expect("written");
    }
    let there = fs::read_to_string(&path).expect("a page");
    assert!(there == wanted, "the tables of files are out of date: SAMEMODEL_BLESS=1 cargo test --test it layers");
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<PathBuf> = sources().into_iter().filter(|s| s.purpose.is_empty()).map(|s| s.path).collect();
    assert!(silent.is_empty(), "{silent:?} begin without `//!`");
}

/// The module at the top that a file belongs to; the statistics are one, though in a crate of their own.
fn top_level(source: &Source) -> String {
    let below = source.path.strip_prefix("crates").unwrap_or(&source.path);
    let first = below.components().next().expect("a name");
    Path::new(first.as_os_str()).file_stem().expect("a name").to_string_lossy().into_owned()
}

#[test]
fn the_table_of_layers_names_every_module() {
    let layers = layers();
    let missing: Vec<String> = sources()
        .iter()
        .map(top_level)
        .filter(|name| !["lib", "main"].contains(&name.as_str()) && !layers.contains_key(name))
        .collect();
    assert!(missing.is_empty(), "{missing:?} are in no layer of lib.rs");
}

#[test]
fn no_module_imports_from_a_higher_layer() {
    let layers = layers();
    let (mut seen, mut upwards) = (0, Vec::new());
    for source in sources() {
        let Some(&own) = layers.get(&top_level(&source)) else { continue };
        for name in named(&source.code) {
            if let Some(&other) = layers.get(&name) {
                seen += 1;
                if other > own {
                    upwards.push(format!("{} (layer {own}) names {name} (layer {other})", source.path.display()));
                }
            }
        }
    }
    assert!(seen > 100, "only {seen} imports were seen: is this test blind?");
    assert!(upwards.is_empty(), "{upwards:#?}");
}

#[test]
fn names_are_found_alone_in_lists_and_within_expressions() {
    let code = "use crate::a::B;\nuse crate::{c, d::{E, f}, g};\nlet x = crate::h::i(crate::Own);";
    assert_eq!(named(code), ["a", "c", "d", "g", "h"]);
}

/// The files outside these folders in which one of the words stands.
fn strays(words: &[&str], allowed: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources().iter().filter(|s| !allowed.contains(&top_level(s).as_str())) {
        let hits = words.iter().filter(|word| source.code.contains(*word));
        found.extend(hits.map(|word| format!("{}: {word}", source.path.display())));
    }
    found
}

#[test]
fn nothing_is_printed_past_the_command_line_and_the_reports() {
    let printing = ["println!", "eprintln!", "print!(", "eprint!(", "dbg!("];
    assert_eq!(strays(&printing, &[]), Vec::<String>::new());
    let terminals = ["console::", "indicatif::", "std::io::stdout", "std::io::stderr"];
    assert_eq!(strays(&terminals, &["cli", "report"]), Vec::<String>::new());
    assert!(!strays(&terminals, &[]).is_empty(), "terminals are used nowhere: is this test blind?");
}
