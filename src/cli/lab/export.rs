//! `samemodel lab export`: a model of the lab as a GGUF file, written whole or not at all.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::Code;
use crate::cli::args::Global;
use crate::cli::args::lab::{LabExport, ModelChoice, WeightsChoice};
use crate::cli::inputs::Inputs;
use crate::cli::{UsageError, note, part};
use crate::lab::ModelKind;
use crate::lab::engine::WeightFormat;

pub fn export(args: &LabExport, global: &Global) -> anyhow::Result<Code> {
    let (model, weights) = (model(args.model), weights(args.weights));
    let path = args.out.clone().unwrap_or_else(|| PathBuf::from(format!("lab-{}-{weights}.gguf", model.name())));
    Inputs::of(global, &[]).refuse("the output", &path)?;
    if !args.force && path.exists() {
        let what = format!("{} is there already: nothing was written; `--force` writes over it", path.display());
        return Err(UsageError(what).into());
    }
    let bytes = model.to_gguf(weights)?;
    write(&path, &bytes).with_context(|| format!("cannot write {}", path.display()))?;
    note(&format!("wrote {}: the lab's model `{}` in {weights}, {} bytes", path.display(), model.name(), bytes.len()));
    Ok(Code::SUCCESS)
}

/// Writes beside the file and renames, so that nobody ever sees half of it and a failure leaves the old one.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let part = part::beside(path).ok_or(std::io::ErrorKind::InvalidFilename)?;
    let mut file = File::create_new(&part)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&part, path));
    if written.is_err() {
        // What failed is told; that it could not be tidied up either is not worth more words.
        let _ = fs::remove_file(&part);
    }
    written
}

fn model(choice: ModelChoice) -> ModelKind {
    match choice {
        ModelChoice::Base => ModelKind::Base,
        ModelChoice::Small => ModelKind::Small,
        ModelChoice::Chat => ModelKind::Chat,
    }
}

fn weights(choice: WeightsChoice) -> WeightFormat {
    match choice {
        WeightsChoice::F32 => WeightFormat::F32,
        WeightsChoice::F16 => WeightFormat::F16,
        WeightsChoice::Q8 => WeightFormat::Q8_0,
        WeightsChoice::Q5 => WeightFormat::Q5_0,
        WeightsChoice::Q4 => WeightFormat::Q4_0,
    }
}
