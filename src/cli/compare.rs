//! `samemodel compare`: the same verdicts from recorded samples, without any network.

use std::collections::BTreeSet;
use std::process::ExitCode as Code;

use super::args::{Compare, Global};
use super::sink::Sink;
use super::{UsageError, deliver, nothing, samples, session};
use crate::compare::{Roles, Settings, compare as compare_samples};
use crate::config::{Config, Environment};
use crate::report::nothing::Awaited;
use crate::report::{Account, Origin, Report};
use crate::sample::Sample;
use crate::suggest::nearest;

pub(super) fn compare(args: &Compare, global: &Global) -> anyhow::Result<Code> {
    let overrides = session::comparing_keys(&args.comparing);
    let config = Config::load_without_file(&Environment::of_process(), &overrides)?;
    let sink = Sink::open(args.report.output.as_deref(), global, &args.files)?;
    // Nothing is drawn but permutations, so one seed serves all: the same files give the same report.
    let settings = session::settings(&config.defaults, args.comparing.seed.unwrap_or(0));
    match report(args, &settings) {
        Ok(report) => deliver(&report, args.report.format, sink, global),
        Err(error) => {
            let endpoints = args.endpoint.clone();
            let awaited = Awaited { model: String::new(), reference: args.reference.clone(), endpoints, settings };
            nothing::write(awaited, &error, &args.report, sink)?;
            Err(error)
        }
    }
}

fn report(args: &Compare, settings: &Settings) -> anyhow::Result<Report> {
    let samples = samples::read(&args.files)?;
    if samples.is_empty() {
        let what = "there are no samples in these files, so nothing can be compared: `samemodel export` writes them";
        return Err(super::NothingMeasured(what.into()).into());
    }
    let names = in_order(&samples);
    for name in args.endpoint.iter().chain(&args.control) {
        known(name, &names)?;
    }
    let chosen = |name: &&str| args.endpoint.is_empty() || args.endpoint.iter().any(|e| e == *name);
    let roles = Roles {
        control: args.control.as_deref(),
        ..Roles::new(&args.reference, names.iter().copied().filter(chosen).collect())
    };
    let comparison = compare_samples(&samples, &roles, settings)?;
    if comparison.endpoints.is_empty() {
        let what =
            format!("there are only samples of the reference `{}`: add a file with another endpoint's", args.reference);
        return Err(super::NothingMeasured(what).into());
    }
    let models: BTreeSet<&str> = samples.iter().filter_map(|s| s.model.as_deref()).collect();
    let origin = Origin {
        model: models.into_iter().collect::<Vec<_>>().join(", "),
        accounts: Account::of_samples(&samples),
        order: names.iter().map(|&n| n.to_owned()).collect(),
        ..Origin::default()
    };
    Ok(Report::new(comparison, origin))
}

/// The endpoints in the order in which they first appear.
fn in_order(samples: &[Sample]) -> Vec<&str> {
    let mut seen = BTreeSet::new();
    samples.iter().map(|s| s.endpoint.as_str()).filter(|name| seen.insert(*name)).collect()
}

fn known(name: &str, names: &[&str]) -> anyhow::Result<()> {
    if names.contains(&name) {
        return Ok(());
    }
    let hint = nearest(name, names.iter().copied()).map_or_else(String::new, |n| format!("; did you mean `{n}`?"));
    let list = names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
    Err(UsageError(format!("no samples are from `{name}`, only from {list}{hint}")).into())
}
