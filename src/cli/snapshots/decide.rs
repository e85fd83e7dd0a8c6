//! `samemodel accept` and `samemodel reject`: what `review` does, without a terminal.

use std::collections::BTreeSet;
use std::process::ExitCode as Code;

use super::group::groups;
use super::{beside, by_endpoint, folder, selection, verdicts, waiting};
use crate::cli::args::Global;
use crate::cli::args::snapshots::{Accept, Which};
use crate::cli::{FILE_WIDTH, clock, emit, note, terminal_width};
use crate::exit::ExitCode;
use crate::report::escape::shell_word;
use crate::report::words::count;
use crate::snapshot::Folder;
use crate::snapshot::selection::Selection;
use crate::snapshot::waiting::{Caution, cautions};

const NOTHING: &str = "nothing waits for review\n";

/// Accepts every snapshot that waits and is meant, and lists them. What is not taken together with others unasked is left and listed
/// too, and then something is left to do: that is a failure.
pub(in crate::cli) fn accept(args: &Accept, global: &Global) -> anyhow::Result<Code> {
    let folder = folder(global);
    folder.tidy()?;
    let which = which(&args.which);
    let names = waiting(&folder, &which, global)?;
    let found = beside(&folder, &names)?;
    let (cautions, verdicts) = (cautions(&found), verdicts(&found));
    let is_left = |name: &str| {
        let caution = cautions.get(name).filter(|caution| !(args.drifted && **caution == Caution::Drifted))?;
        (!which.means_alone(name)).then_some(*caution)
    };
    let (mut taken, mut left, mut why) = (Vec::new(), Vec::new(), Vec::new());
    for (name, snapshot) in found.iter().filter(|(name, _)| names.contains(name)) {
        if let Some(caution) = is_left(name) {
            let run = (Folder::endpoint_of(name), snapshot.head.source.as_str());
            left.push((name.as_str(), reason(caution, verdicts.get(&run).map_or("", String::as_str))));
            why.push((Folder::endpoint_of(name), caution));
        } else if folder.accept(name, snapshot, clock::now())?.is_some() {
            taken.push(name.as_str());
        } else {
            left.push((name.as_str(), "it has changed meanwhile".to_owned()));
            why.push((Folder::endpoint_of(name), Caution::Superseded));
        }
    }
    let text = list("accepted", taken.iter().map(|name| (*name, String::new()))) + &list("left", left);
    emit(if text.is_empty() { NOTHING } else { &text })?;
    if !taken.is_empty() {
        let (all, path) = (by_endpoint(taken.iter().copied()), shell_word(&folder.path().display().to_string()));
        note(&format!("accepted {all}: git add {path}, then samemodel test"));
    }
    if let Some(how) = how_to_take(&why) {
        note(&how);
    }
    Ok(if why.is_empty() { ExitCode::Consistent } else { ExitCode::Drifted }.into())
}

/// Deletes every snapshot that waits and is meant, and lists them.
pub(in crate::cli) fn reject(args: &Which, global: &Global) -> anyhow::Result<Code> {
    let folder = folder(global);
    folder.tidy()?;
    let names = waiting(&folder, &which(args), global)?;
    let mut rejected = Vec::new();
    for name in &names {
        if folder.reject(name)?.is_some() {
            rejected.push((name.as_str(), String::new()));
        }
    }
    let text = list("rejected", rejected);
    emit(if text.is_empty() { NOTHING } else { &text })?;
    Ok(Code::SUCCESS)
}

fn which(args: &Which) -> Selection {
    if args.all { Selection::All } else { selection(&args.names) }
}

/// What became of snapshots, each with why, an endpoint at a time.
fn list<'a>(what: &str, found: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let width = terminal_width(&std::io::stdout()).min(FILE_WIDTH);
    groups(found).iter().map(|group| group.done(what, width)).collect()
}

/// Why a snapshot is left, given what its run found.
fn reason(caution: Caution, judged: &str) -> String {
    match caution {
        Caution::Drifted => judged.to_owned(),
        Caution::Superseded => format!("a later run has left others of the endpoint; {judged}"),
    }
}

/// How what was left, each with its endpoint, can be taken all the same; nothing where nothing was.
fn how_to_take(left: &[(&str, Caution)]) -> Option<String> {
    let of = |caution| left.iter().filter(|(_, c)| *c == caution).count();
    let were = |n: usize| format!("{} {} left", count(n, "snapshot"), if n == 1 { "was" } else { "were" });
    let drifted = Some(of(Caution::Drifted)).filter(|n| *n > 0).map(|n| {
        let endpoints: BTreeSet<&str> =
            left.iter().filter(|(_, c)| *c == Caution::Drifted).map(|(endpoint, _)| *endpoint).collect();
        let who = if endpoints.len() == 1 { "the endpoint".to_owned() } else { count(endpoints.len(), "endpoint") };
        let it = if n == 1 { "it" } else { "them" };
        let how = format!("look at {it} with `samemodel review`, and accept {it} by name or with --drifted");
        format!("{}, since {who} had drifted: {how}", were(n))
    });
    let older = Some(of(Caution::Superseded))
        .filter(|n| *n > 0)
        .map(|n| format!("{}, since answers of two runs are not taken together: accept by name, or reject", were(n)));
    let parts: Vec<String> = drifted.into_iter().chain(older).collect();
    (!parts.is_empty()).then(|| parts.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_is_said_with_how_many_endpoints_had_drifted() {
        let told = |left: &[(&str, Caution)]| how_to_take(left).unwrap_or_default();
        let one = ("m/a", Caution::Drifted);
        let how = "with `samemodel review`, and accept";
        assert_eq!(
            told(&[one]),
            format!(
                "1 snapshot was left, since the endpoint had drifted: look at it {how} it by name or with --drifted"
            )
        );
        assert!(told(&[one, one]).starts_with("2 snapshots were left, since the endpoint had drifted: look at them"));
        let two = [one, ("m/b", Caution::Drifted), ("m/c", Caution::Superseded)];
        assert!(told(&two).starts_with("2 snapshots were left, since 2 endpoints had drifted: "), "{}", told(&two));
        assert_eq!(how_to_take(&[]), None);
    }
}
