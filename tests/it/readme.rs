//! What the README and the manual show is what the program prints.

use std::path::Path;
use std::process::Command;

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

const COMMAND: &str = "$ samemodel compare";

/// The ```` ```console ```` blocks of a page.
fn console_blocks(markdown: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut inside = false;
    for event in Parser::new(markdown) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(kind))) if &*kind == "console" => {
                inside = true;
                blocks.push(String::new());
            }
            Event::End(TagEnd::CodeBlock) => inside = false,
            Event::Text(text) if inside => blocks.last_mut().expect("it began").push_str(&text),
            _ => {}
        }
    }
    blocks
}

/// The words of a command line in which a backslash ends all lines but the last; quotes are not known.
fn split(block: &str) -> (Vec<String>, &str) {
    let mut rest = block.strip_prefix("$ ").expect("a prompt");
    let mut words = Vec::new();
    loop {
        let (line, next) = rest.split_once('\n').unwrap_or((rest, ""));
        rest = next;
        let goes_on = line.ends_with('\\');
        words.extend(line.trim_end_matches('\\').split_whitespace().map(str::to_owned));
        if !goes_on {
            return (words, rest);
        }
    }
}

#[test]
fn every_comparison_that_is_shown_prints_what_is_shown() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let of_page = |page: &str| {
        let text = std::fs::read_to_string(root.join(page)).expect("a page");
        let blocks: Vec<String> = console_blocks(&text).into_iter().filter(|b| b.starts_with(COMMAND)).collect();
        assert!(!blocks.is_empty(), "{page} has no block that begins with `{COMMAND}`");
        blocks
    };
    for block in ["README.md", "docs/src/exit-codes.md"].into_iter().flat_map(of_page) {
        let (words, shown) = split(&block);
        assert!(words.iter().all(|w| !w.contains(['|', '>', '"', '\''])), "only plain words can be run: {words:?}");
        let run = Command::new(env!("CARGO_BIN_EXE_samemodel"))
            .args(&words[1..])
            .current_dir(root)
            .env_clear()
            .output()
            .expect("the program starts");
        assert_eq!(String::from_utf8_lossy(&run.stderr), "", "of {words:?}");
        let printed = String::from_utf8(run.stdout).expect("text");
        assert_eq!(printed.trim_end(), shown.trim_end(), "of {words:?}");
    }
}

#[test]
fn blocks_and_commands_are_read_as_they_are_written() {
    let page = "Text.\n\n```console\n$ a b \\\n    c\nout\n\nput\n```\n\n```toml\nx\n```\n";
    let blocks = console_blocks(page);
    assert_eq!(blocks, ["$ a b \\\n    c\nout\n\nput\n"]);
    assert_eq!(split(&blocks[0]), (["a", "b", "c"].map(str::to_owned).to_vec(), "out\n\nput\n"));
}
