//! `samemodel pending` and `samemodel show`: what waits, and what is in it.

use std::collections::BTreeMap;
use std::process::ExitCode as Code;

use super::group::{groups, item};
use super::{beside, by_endpoint, folder, in_order_of_review, selection, verdicts, waiting};
use crate::cli::args::Global;
use crate::cli::args::snapshots::{Names, Pending, PendingFormat};
use crate::cli::{FILE_WIDTH, UsageError, emit, note, paint, terminal_width};
use crate::exit::ExitCode;
use crate::report::View;
use crate::report::json::pretty;
use crate::review::Shown;
use crate::review::screen::{self, Waiting};
use crate::review::summary::of_this_probe;
use crate::snapshot::waiting::{self as listed, Caution, cautions};
use crate::snapshot::{ChangeKind, Folder, Snapshot, State};

/// Lists what waits, run by run; with `--check` anything that waits is a failure.
pub(in crate::cli) fn pending(args: &Pending, global: &Global) -> anyhow::Result<Code> {
    let folder = folder(global);
    let names = waiting(&folder, &selection(&args.which.names), global)?;
    let all = beside(&folder, &names)?;
    let cautions = cautions(&all);
    let found = in_order_of_review(&folder, names)?;
    emit(&match args.format {
        PendingFormat::Terminal => {
            lines(&folder, &found, &cautions, terminal_width(&std::io::stdout()).min(FILE_WIDTH))
        }
        PendingFormat::Json => pretty(&listed::Pending::new(&found, &cautions)),
    })?;
    if args.format == PendingFormat::Terminal && !found.is_empty() {
        let all = by_endpoint(found.iter().map(|(name, _)| name.as_str()));
        note(&format!("waiting for review: {all}: samemodel review"));
    }
    let waits = args.check && !found.is_empty();
    Ok(if waits { ExitCode::Drifted } else { ExitCode::Consistent }.into())
}

/// What the run of each endpoint found, and below it why each probe waits itself; what is the same of several is said once.
fn lines(folder: &Folder, found: &[(String, Snapshot)], cautions: &BTreeMap<&str, Caution>, width: usize) -> String {
    if found.is_empty() {
        return "nothing waits for review\n".to_owned();
    }
    let whys: BTreeMap<&str, String> =
        found.iter().map(|(name, new)| (name.as_str(), why(folder, name, new))).collect();
    let verdicts = verdicts(found);
    let of_run = |(name, new): &(String, Snapshot)| {
        let older = cautions.get(name.as_str()) == Some(&Caution::Superseded);
        let older = if older { "; superseded by what a later run has left of the endpoint" } else { "" };
        let run = (Folder::endpoint_of(name), new.head.source.as_str());
        verdicts.get(&run).map_or("", String::as_str).to_owned() + older
    };
    let mut text = String::new();
    for run in groups(found.iter().map(|waits| (waits.0.as_str(), of_run(waits)))) {
        text += &item(&format!("{}: {}", run.endpoint, run.common), 0, width);
        for same in groups(run.names.iter().map(|&name| (name, whys.get(name).cloned().unwrap_or_default()))) {
            text += &same.below(width);
        }
    }
    text
}

/// Why a probe waits itself: `drifted: none of 2 answers is approved`.
fn why(folder: &Folder, name: &str, new: &Snapshot) -> String {
    let kind = new.head.change.as_ref().map_or("new", |c| match c.kind {
        ChangeKind::Drifted => "drifted",
        ChangeKind::Stale => "stale",
        ChangeKind::Unseen => "new",
    });
    // One that is approved and cannot be read is told of where it is looked at.
    let approved = folder.read(name, State::Approved).unwrap_or_default();
    format!("{kind}: {}", of_this_probe(Waiting { approved: approved.as_ref(), new }))
}

/// Shows snapshots: what waits beside what is approved, as the review does, and else what is approved.
pub(in crate::cli) fn show(args: &Names, global: &Global) -> anyhow::Result<Code> {
    let folder = folder(global);
    let entries = folder.entries()?;
    let mut names: Vec<&str> = entries.iter().map(|e| e.name.as_str()).collect();
    names.dedup();
    let chosen = selection(&args.names).of(&names).map_err(|error| {
        UsageError(format!(
            "{error}: `samemodel show` without a name shows all snapshots in {}",
            folder.path().display()
        ))
    })?;
    let stdout = std::io::stdout();
    let width = terminal_width(&stdout).min(FILE_WIDTH);
    let view = View { width, paint: paint(global.color, &stdout) };
    let mut text = String::new();
    for name in chosen {
        let approved = folder.read(name, State::Approved)?;
        let new = folder.read(name, State::Waiting)?;
        let Some(shown) = new.as_ref().or(approved.as_ref()) else { continue };
        let waiting = Waiting { approved: approved.as_ref(), new: shown };
        text += &screen::whole(name, waiting, Shown::default(), view);
        text.push('\n');
    }
    emit(if text.is_empty() { "there are no snapshots: `samemodel test` takes them\n" } else { &text })?;
    Ok(Code::SUCCESS)
}
