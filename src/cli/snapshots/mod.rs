//! The verbs on snapshots: `test`, `review`, `accept`, `reject`, `pending`, `show`.

pub(super) mod decide;
pub(super) mod group;
mod keys;
pub(super) mod list;
pub(super) mod review;
pub(super) mod test;

use std::collections::{BTreeMap, BTreeSet};

use super::args::Global;
use super::{UsageError, names, session};
use crate::report::words::count;
use crate::review::summary::judged;
use crate::snapshot::selection::{Selection, Unmatched};
use crate::snapshot::{ChangeKind, Entry, Folder, Head, Snapshot, State};

/// The folder of snapshots beside the configuration, whether that can be loaded or not.
fn folder(global: &Global) -> Folder {
    Folder::within(&session::folder(global))
}

/// What was named, or all.
fn selection(names: &[String]) -> Selection {
    if names.is_empty() { Selection::All } else { Selection::Filters(names.to_vec()) }
}

/// The names of the snapshots that wait and are meant, in the order of the folder.
fn waiting(folder: &Folder, selection: &Selection, global: &Global) -> anyhow::Result<Vec<String>> {
    let entries = folder.entries()?;
    let names: Vec<&str> = entries.iter().filter(|e| e.state == State::Waiting).map(|e| e.name.as_str()).collect();
    let chosen = selection.of(&names).map_err(|Unmatched(filters)| {
        let endpoints = names::configured(global.config.as_deref()).into_iter().flat_map(|(model, endpoints)| {
            let named = endpoints.into_iter().map(move |endpoint| Folder::name_of_endpoint(&model, &endpoint));
            named.collect::<Vec<_>>()
        });
        let known: Vec<String> = entries.iter().map(|e| e.name.clone()).chain(endpoints).collect();
        UsageError(why_nothing_is_meant(filters, &known, names.len()))
    })?;
    Ok(chosen.into_iter().map(str::to_owned).collect())
}

/// Why these filters mean nothing that waits, given all names that there are and how much waits: there is no such name, or nothing of
/// it waits.
fn why_nothing_is_meant(filters: Vec<String>, known: &[String], waiting: usize) -> String {
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let exists = |filter: &String| Selection::Filters(vec![filter.clone()]).of(&known).is_ok();
    let (there, unknown): (Vec<String>, Vec<String>) = filters.into_iter().partition(exists);
    let next = if waiting == 0 { "nothing waits for review" } else { "`samemodel pending` lists what waits" };
    match (unknown.is_empty(), waiting) {
        (false, _) => format!("{}: {next}", Unmatched(unknown)),
        (true, 0) => format!("nothing of `{}` waits for review, nor of others", there.join("`, `")),
        (true, _) => format!("nothing of `{}` waits for review: {next}", there.join("`, `")),
    }
}

/// How many of these snapshots there are of each endpoint, and of all: `3 snapshots (m/alpha 2, m/beta 1)`.
fn by_endpoint<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in names {
        *counts.entry(Folder::endpoint_of(name)).or_default() += 1;
    }
    let all = count(counts.values().sum(), "snapshot");
    let each: Vec<String> = counts.iter().map(|(endpoint, n)| format!("{endpoint} {n}")).collect();
    format!("{all} ({})", each.join(", "))
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

/// What the run of each endpoint found, by the endpoint and where its answers come from, as the file says it whose answers are the latest
/// of those that do.
fn verdicts(found: &[(String, Snapshot)]) -> BTreeMap<(&str, &str), String> {
    let rank = |head: &Head| (head.change.as_ref().is_some_and(|change| change.verdict.is_some()), head.sampled);
    let mut telling: BTreeMap<(&str, &str), &Head> = BTreeMap::new();
    for (name, Snapshot { head, .. }) in found {
        let told = telling.entry((Folder::endpoint_of(name), head.source.as_str())).or_insert(head);
        if rank(head) > rank(told) {
            *told = head;
        }
    }
    telling.into_iter().map(|(run, head)| (run, judged(head))).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_found_is_the_same_for_all_its_snapshots_however_long_it_took() {
        let at = |time: &str| {
            let mut found = crate::snapshot::testing::snapshot(&["a"]);
            found.head.sampled = Some(time.parse().expect("a time"));
            found
        };
        let found =
            [("m/e/a".to_owned(), at("2026-03-01T12:01:00Z")), ("m/e/b".to_owned(), at("2026-03-01T12:00:00Z"))];
        let told: Vec<String> = verdicts(&found).into_values().collect();
        assert_eq!(told, ["verdict unknown, in run 1 of 2026-03-01 12:01 UTC"]);
    }

    #[test]
    fn snapshots_are_counted_by_endpoint() {
        let names = ["m/alpha/a", "m/beta/core/b", "m/alpha/core/c"];
        assert_eq!(by_endpoint(names), "3 snapshots (m/alpha 2, m/beta 1)");
    }

    #[test]
    fn a_name_that_there_is_and_nothing_waits_of_is_told_from_one_that_there_is_not() {
        let known = ["m/alpha/haiku", "m/beta"].map(str::to_owned);
        let why = |filters: &[&str], waiting| {
            why_nothing_is_meant(filters.iter().map(|f| (*f).to_owned()).collect(), &known, waiting)
        };
        assert_eq!(why(&["m/alpha"], 0), "nothing of `m/alpha` waits for review, nor of others");
        assert_eq!(why(&["m/beta"], 7), "nothing of `m/beta` waits for review: `samemodel pending` lists what waits");
        assert_eq!(why(&["m/alpha", "m/x"], 0), "nothing is named `m/x`: nothing waits for review");
    }
}
