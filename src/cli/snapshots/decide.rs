//! `samemodel accept` and `samemodel reject`: what `review` does, without a terminal.

use std::fmt::Write as _;
use std::process::ExitCode as Code;

use super::{beside, by_endpoint, folder, selection, waiting};
use crate::cli::args::Global;
use crate::cli::args::snapshots::{Accept, Which};
use crate::cli::{clock, emit, note};
use crate::exit::ExitCode;
use crate::report::escape::{line, shell_word};
use crate::report::words::count;
use crate::review::summary::judged;
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
    let cautions = cautions(&found);
    let is_left = |name: &str| {
        let caution = cautions.get(name).filter(|caution| !(args.drifted && **caution == Caution::Drifted))?;
        (!which.means_alone(name)).then_some(*caution)
    };
    let (mut taken, mut left, mut why) = (Vec::new(), String::new(), Vec::new());
    for (name, snapshot) in found.iter().filter(|(name, _)| names.contains(name)) {
        if let Some(caution) = is_left(name) {
            let _ = writeln!(left, "left {}: {}", line(name), line(&reason(caution, &judged(&snapshot.head))));
            why.push(caution);
        } else if folder.accept(name, snapshot, clock::now())?.is_some() {
            taken.push(name.as_str());
        } else {
            let _ = writeln!(left, "left {}: it has changed meanwhile", line(name));
            why.push(Caution::Superseded);
        }
    }
    let text = taken.iter().fold(String::new(), |out, name| out + "accepted " + name + "\n") + &left;
    emit(if text.is_empty() { NOTHING } else { &text })?;
    if !taken.is_empty() {
        let (all, path) = (by_endpoint(taken.iter().copied()), shell_word(&folder.path().display().to_string()));
        note(&format!("accepted {all}: git add {path}"));
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
    let mut text = String::new();
    for name in waiting(&folder, &which(args), global)? {
        if folder.reject(&name)?.is_some() {
            let _ = writeln!(text, "rejected {name}");
        }
    }
    emit(if text.is_empty() { NOTHING } else { &text })?;
    Ok(Code::SUCCESS)
}

fn which(args: &Which) -> Selection {
    if args.all { Selection::All } else { selection(&args.names) }
}

/// Why a snapshot is left, given what its run found.
fn reason(caution: Caution, judged: &str) -> String {
    match caution {
        Caution::Drifted => judged.to_owned(),
        Caution::Superseded => format!("a later run has left others of the endpoint; {judged}"),
    }
}

/// How what was left can be taken all the same; nothing where nothing was.
fn how_to_take(left: &[Caution]) -> Option<String> {
    let of = |caution| left.iter().filter(|c| **c == caution).count();
    let were = |n: usize| format!("{} {} left", count(n, "snapshot"), if n == 1 { "was" } else { "were" });
    let drifted = Some(of(Caution::Drifted)).filter(|n| *n > 0).map(|n| {
        let how = "look at it with `samemodel review`, and accept it by name or with --drifted";
        format!("{}, since the endpoint had drifted: {how}", were(n))
    });
    let older = Some(of(Caution::Superseded))
        .filter(|n| *n > 0)
        .map(|n| format!("{}, since answers of two runs are not taken together: accept by name, or reject", were(n)));
    let parts: Vec<String> = drifted.into_iter().chain(older).collect();
    (!parts.is_empty()).then(|| parts.join("\n"))
}
