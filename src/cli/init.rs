//! `samemodel init`: a commented configuration and the shipped prompts.

use std::path::Path;
use std::process::ExitCode as Code;

use anyhow::Context as _;
use include_dir::{Dir, include_dir};

use super::args::Init;
use super::{UsageError, note};
use crate::config::START_FILE;

/// The prompts that come with the program.
static PROMPTS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/prompts");

pub(super) fn init(args: &Init) -> anyhow::Result<Code> {
    let file = args.dir.join("providers.toml");
    if file.exists() {
        return Err(UsageError(format!("{} is there already: nothing was written", file.display())).into());
    }
    let prompts = args.dir.join("prompts");
    let copied = if prompts.exists() { 0 } else { copy(&PROMPTS, &prompts)? };
    std::fs::write(&file, START_FILE).with_context(|| format!("cannot write {}", file.display()))?;
    note(&format!("wrote {}", file.display()));
    if copied > 0 {
        note(&format!("wrote {copied} files of prompts into {}", prompts.display()));
    }
    note("next: `samemodel check lab` shows a check without a key; edit providers.toml for endpoints of your own");
    Ok(Code::SUCCESS)
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
