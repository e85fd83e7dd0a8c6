//! Names for the shell to complete: of models, endpoints and snapshots, as the configuration of this folder has them.
//!
//! A configuration that cannot be read has none: whoever completes a word is told of it when the command runs.

use std::path::Path;

use clap_complete::{ArgValueCandidates, CompletionCandidate};

use crate::config::{Config, Environment, Model};
use crate::snapshot::Folder;

/// Models.
pub(super) fn models() -> ArgValueCandidates {
    ArgValueCandidates::new(|| candidates(configured(None).into_iter().map(|(model, _)| model)))
}

/// Endpoints of all models.
pub(super) fn endpoints() -> ArgValueCandidates {
    ArgValueCandidates::new(|| candidates(configured(None).into_iter().flat_map(|(_, endpoints)| endpoints)))
}

/// Endpoints with their models, as `model/endpoint`.
pub(super) fn scopes() -> ArgValueCandidates {
    let of = |(model, endpoints): (String, Vec<String>)| -> Vec<String> {
        endpoints.iter().map(|endpoint| format!("{model}/{endpoint}")).collect()
    };
    ArgValueCandidates::new(move || candidates(configured(None).into_iter().flat_map(of)))
}

/// Snapshots, approved or waiting.
pub(super) fn snapshots() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let entries = Folder::within(Path::new("")).entries().unwrap_or_default();
        candidates(entries.into_iter().map(|entry| entry.name))
    })
}

/// Each model with its endpoints, as a configuration has them: that of this folder where none is named.
pub(super) fn configured(path: Option<&Path>) -> Vec<(String, Vec<String>)> {
    let Ok(loaded) = Config::load(path, &Environment::of_process(), &[]) else { return Vec::new() };
    let endpoints = |model: &Model| -> Vec<String> { model.endpoint.iter().map(|e| e.name.clone()).collect() };
    loaded.config.model.iter().map(|(name, model)| (name.clone(), endpoints(model))).collect()
}

fn candidates(names: impl Iterator<Item = String>) -> Vec<CompletionCandidate> {
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(CompletionCandidate::new).collect()
}
