//! `samemodel init`: a commented configuration and the shipped prompts.

use std::path::Path;
use std::process::ExitCode as Code;

use anyhow::Context as _;
use include_dir::{Dir, include_dir};

use super::args::Init;
use super::{UsageError, note};
use crate::config::{self, START_FILE};

/// The prompts that come with the program.
static PROMPTS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/prompts");

/// What the configuration's first line names, for editors.
const SCHEMA: &str = "providers.schema.json";

/// What belongs to one machine and into no repository.
const IGNORED: [&str; 3] = [".samemodel/", "providers.local.toml", "*.snap.new"];

pub(super) fn init(args: &Init) -> anyhow::Result<Code> {
    let file = args.dir.join("providers.toml");
    if file.exists() {
        return Err(UsageError(format!("{} is there already: nothing was written", file.display())).into());
    }
    let prompts = args.dir.join("prompts");
    let copied = if prompts.exists() { 0 } else { copy(&PROMPTS, &prompts)? };
    let schema = serde_json::to_string_pretty(&config::json_schema()).context("a schema is JSON")? + "\n";
    write(&args.dir.join(SCHEMA), &schema)?;
    ignore(&args.dir.join(".gitignore"))?;
    write(&file, &format!("#:schema ./{SCHEMA}\n\n{START_FILE}"))?;
    note(&format!("wrote {}, with a schema for editors and a .gitignore", file.display()));
    if copied > 0 {
        note(&format!("wrote {copied} files of prompts into {}", prompts.display()));
    }
    note("next: `samemodel check lab` shows a check without a key; edit providers.toml for endpoints of your own");
    Ok(Code::SUCCESS)
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// Adds the lines that are missing; what else stands there stays.
fn ignore(file: &Path) -> anyhow::Result<()> {
    let mut text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
    };
    let is_there = |line: &&str| text.lines().any(|known| known.trim_matches('/') == line.trim_matches('/'));
    let missing: Vec<&str> = IGNORED.into_iter().filter(|line| !is_there(line)).collect();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for line in missing {
        text.push_str(line);
        text.push('\n');
    }
    write(file, &text)
}

/// Writes one set of the shipped prompts into a folder, which is made if need be.
#[cfg(feature = "lab")]
pub(super) fn unpack(set: &str, to: &Path) -> anyhow::Result<()> {
    copy(PROMPTS.get_dir(set).context("the program comes with these prompts")?, to)?;
    Ok(())
}

fn copy(dir: &Dir<'_>, to: &Path) -> anyhow::Result<usize> {
    std::fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    let mut copied = 0;
    for file in dir.files() {
        let path = to.join(file.path().file_name().context("a file has a name")?);
        std::fs::write(&path, file.contents()).with_context(|| format!("cannot write {}", path.display()))?;
        copied += 1;
    }
    for inner in dir.dirs() {
        copied += copy(inner, &to.join(inner.path().file_name().context("a folder has a name")?))?;
    }
    Ok(copied)
}
