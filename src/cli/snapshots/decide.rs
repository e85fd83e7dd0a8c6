//! `samemodel accept` and `samemodel reject`: what `review` does, without a terminal.

use std::fmt::Write as _;
use std::process::ExitCode as Code;

use super::{folder, selection, waiting};
use crate::cli::args::Global;
use crate::cli::args::snapshots::Which;
use crate::cli::{clock, emit};
use crate::review::Decision;
use crate::snapshot::selection::Selection;

/// Decides on every snapshot that waits and is meant, and lists them.
pub(in crate::cli) fn decide(args: &Which, decision: Decision, global: &Global) -> anyhow::Result<Code> {
    let folder = folder(global);
    let which = if args.all { Selection::All } else { selection(&args.names) };
    let names = waiting(&folder, &which)?;
    let mut text = String::new();
    for name in &names {
        let done = match decision {
            Decision::Accept => folder.accept(name, clock::now())?.map(|_| "accepted"),
            Decision::Reject => folder.reject(name)?.map(|_| "rejected"),
            Decision::Skip => None,
        };
        if let Some(done) = done {
            let _ = writeln!(text, "{done} {name}");
        }
    }
    emit(if text.is_empty() { "nothing waits for review\n" } else { &text }, None)?;
    Ok(Code::SUCCESS)
}
