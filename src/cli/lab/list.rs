//! `samemodel lab list`: what each fault is, in a line, and where it was seen.

use std::fmt::Write as _;

use serde_json::json;

use super::Code;
use crate::cli::args::lab::LabList;
use crate::cli::emit;
use crate::lab::fault::catalogue::{CATALOGUE, Entry, Evidence, HONEST};

pub fn list(args: &LabList) -> anyhow::Result<Code> {
    emit(&if args.json { as_json()? } else { as_table() })?;
    Ok(Code::SUCCESS)
}

fn as_table() -> String {
    let mut out = String::new();
    for entry in CATALOGUE.iter().chain(HONEST) {
        let _ = writeln!(out, "{}", entry.id);
        let _ = writeln!(out, "    {}", entry.about);
        if !entry.usual.is_empty() {
            let _ = writeln!(out, "    takes {}; usually {}", entry.wanted, entry.usual);
        }
        if !entry.seen.is_empty() {
            let _ = writeln!(out, "    seen: {}", entry.seen);
        }
    }
    out + HELP
}

const HELP: &str = "
Compose them with `+`, and say when with `@`:
    lab:double-bos+temperature-ignored=0.5        two at once
    lab:swapped-model@from:3d,until:10d,ramp:2d   comes and goes by the lab's clock; also flap:6h and share:0.1
Try one:  samemodel lab serve --fault double-bos    or as `base_url` of a provider, see docs/src/lab.md
";

fn as_json() -> anyhow::Result<String> {
    let line = |entry: &Entry| {
        json!({
            "id": entry.id,
            "about": entry.about,
            "seen": entry.seen,
            "parameter": {"wanted": entry.wanted, "usual": entry.usual, "severities": entry.severities},
            "evidence": match entry.evidence { Evidence::Exact => "exact", Evidence::Distribution => "distribution" },
        })
    };
    let faults: Vec<_> = CATALOGUE.iter().map(line).collect();
    Ok(serde_json::to_string_pretty(&json!({"schema": "samemodel.faults/1", "faults": faults}))? + "\n")
}
