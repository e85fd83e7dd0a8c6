//! `samemodel test`: ask, and hold each endpoint against its own approved snapshot.

use std::process::ExitCode as Code;

use super::review;
use crate::cli::args::Global;
use crate::cli::args::snapshots::{Names, Test, Unreferenced};
use crate::cli::check::{Asked, Asker, Begin, ask_and_deliver};
use crate::cli::note;
use crate::cli::session::{Overrides, Session};
use crate::config::Reference;
use crate::exit::ExitCode;
use crate::report::Report;
use crate::snapshot::{Folder, State, Update};
use crate::verdict::Verdict;

/// Runs a check whose reference is each endpoint's own approved snapshot.
pub(in crate::cli) async fn test(args: &Test, global: &Global) -> anyhow::Result<Code> {
    let comparing = Some(&args.comparing);
    let overrides =
        Overrides { samples: args.asked.samples, budget: args.asked.budget, comparing, ..Overrides::default() };
    let mut session = Session::open(global, args.asked.model.as_deref(), &overrides)?;
    session.model.reference = Reference::Snapshot;
    let unreferenced = unreferenced(&session)?;
    session.keep_only(&args.asked.endpoint)?;
    let update = match args {
        Test { accept: true, .. } => Some(Update::Always),
        Test { check: true, .. } => Some(Update::No),
        _ => None,
    };
    let name = session.name.clone();
    let folder = Folder::within(&session.loaded.folder);
    let begin = Begin::of(&args.going_on);
    let asker = Asker::Test;
    let asked = Asked { asker, seed: args.comparing.seed, begin, update, ..Asked::default() };
    let (report, code) = Box::pin(ask_and_deliver(session, asked, &args.report, global)).await?;
    settle(&folder, &unreferenced, args.unreferenced)?;
    if args.review && report.snapshots.as_ref().is_some_and(|s| s.waiting > 0) {
        return tokio::task::block_in_place(|| review::review(&Names { names: vec![name] }, global));
    }
    Ok(if args.check && would_wait(&report) { ExitCode::Undecided.into() } else { code })
}

/// Whether anything would have to be reviewed although no endpoint drifted.
fn would_wait(report: &Report) -> bool {
    let unwritten = report.snapshots.as_ref().map_or(0, |s| s.unwritten);
    unwritten > 0 && report.overall() == Verdict::Consistent
}

/// Approved snapshots below the model whose endpoint or probe is no longer configured.
fn unreferenced(session: &Session) -> anyhow::Result<Vec<String>> {
    let plan = session.plan(0)?;
    let known: Vec<String> = plan
        .endpoints
        .iter()
        .flat_map(|endpoint| plan.probes.iter().map(|p| Folder::name_of(&session.name, endpoint, &p.probe.id)))
        .collect();
    let prefix = Folder::name_of_model(&session.name) + "/";
    let entries = Folder::within(&session.loaded.folder).entries()?;
    let ours = entries.into_iter().filter(|e| e.state == State::Approved && e.name.starts_with(&prefix));
    Ok(ours.map(|e| e.name).filter(|name| !known.contains(name)).collect())
}

fn settle(folder: &Folder, names: &[String], what: Unreferenced) -> anyhow::Result<()> {
    if names.is_empty() || what == Unreferenced::Ignore {
        return Ok(());
    }
    let list: Vec<String> = names.iter().map(|name| format!("\n  {name}")).collect();
    let list = list.concat();
    let of = if names.len() == 1 { "1 snapshot is".to_owned() } else { format!("{} snapshots are", names.len()) };
    if what == Unreferenced::Delete {
        for name in names {
            folder.delete(name)?;
        }
        note(&format!("{of} deleted, since nothing refers to them any more:{list}"));
    } else {
        note(&format!(
            "{of} of probes or endpoints that are not configured (--unreferenced delete deletes them):{list}"
        ));
    }
    Ok(())
}
