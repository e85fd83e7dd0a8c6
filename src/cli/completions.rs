//! `samemodel completions` and `samemodel man`, from the same definitions as the help.

use std::process::ExitCode as Code;

use anyhow::Context as _;
use clap::CommandFactory as _;

use super::args::{Cli, Completions, Man};
use super::{emit, note};

pub(super) fn completions(args: &Completions) -> anyhow::Result<Code> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "samemodel", &mut text);
    emit(&String::from_utf8(text)?)?;
    Ok(Code::SUCCESS)
}

pub(super) fn man(args: &Man) -> anyhow::Result<Code> {
    let dir = &args.dir;
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    clap_mangen::generate_to(Cli::command(), dir).with_context(|| format!("cannot write into {}", dir.display()))?;
    note(&format!("man pages are in {}: see `man -l {0}/samemodel.1`", dir.display()));
    Ok(Code::SUCCESS)
}
