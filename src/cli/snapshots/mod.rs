//! The verbs on snapshots: `test`, `review`, `accept`, `reject`, `pending`, `show`.

pub(super) mod decide;
pub(super) mod list;
pub(super) mod review;
pub(super) mod test;

use std::collections::BTreeSet;

use super::args::Global;
use super::{UsageError, session};
use crate::snapshot::selection::Selection;
use crate::snapshot::{ChangeKind, Entry, Folder, Snapshot, State};

/// The folder of snapshots beside the configuration, whether that can be loaded or not.
fn folder(global: &Global) -> Folder {
    Folder::within(&session::folder(global))
}

/// What was named, or all.
fn selection(names: &[String]) -> Selection {
    if names.is_empty() { Selection::All } else { Selection::Filters(names.to_vec()) }
}

/// The names of the snapshots that wait and are meant, in the order of the folder.
fn waiting(folder: &Folder, selection: &Selection) -> anyhow::Result<Vec<String>> {
    let entries = folder.entries()?;
    let names: Vec<&str> = entries.iter().filter(|e| e.state == State::Waiting).map(|e| e.name.as_str()).collect();
    let chosen = selection.of(&names).map_err(|error| {
        let next = if names.is_empty() { "nothing waits for review" } else { "`samemodel pending` lists what waits" };
        UsageError(format!("{error}: {next}"))
    })?;
    Ok(chosen.into_iter().map(str::to_owned).collect())
}

/// All that waits of the endpoints of these names, read.
fn beside(folder: &Folder, names: &[String]) -> anyhow::Result<Vec<(String, Snapshot)>> {
    let endpoints: BTreeSet<&str> = names.iter().map(|name| Folder::endpoint_of(name)).collect();
    let waits = |entry: &Entry| entry.state == State::Waiting && endpoints.contains(Folder::endpoint_of(&entry.name));
    let mut found = Vec::new();
    for entry in folder.entries()?.into_iter().filter(waits) {
        if let Some(snapshot) = folder.read(&entry.name, State::Waiting)? {
            found.push((entry.name, snapshot));
        }
    }
    Ok(found)
}

/// The snapshots of these names that wait, the strongest evidence first within each endpoint.
fn in_order_of_review(folder: &Folder, names: Vec<String>) -> anyhow::Result<Vec<(String, Snapshot)>> {
    let mut found = Vec::new();
    for name in names {
        if let Some(snapshot) = folder.read(&name, State::Waiting)? {
            found.push((name, snapshot));
        }
    }
    found.sort_by(|(a, x), (b, y)| {
        let endpoint = |s: &Snapshot| (s.head.model.clone(), s.head.endpoint.clone());
        let kind = |s: &Snapshot| s.head.change.as_ref().map_or(ChangeKind::Unseen, |c| c.kind);
        let p = |s: &Snapshot| s.head.change.as_ref().and_then(|c| c.p_value).unwrap_or(1.0);
        let order = endpoint(x).cmp(&endpoint(y)).then(kind(x).cmp(&kind(y))).then(p(x).total_cmp(&p(y)));
        order.then_with(|| a.cmp(b))
    });
    Ok(found)
}
