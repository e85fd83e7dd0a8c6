//! Files of samples named on the command line.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::UsageError;
use crate::sample::Sample;
use crate::sample::file::SampleReader;

/// Reads all files as one set; `-` is standard input. Nothing is returned when any line of any file is bad.
pub(super) fn read(files: &[PathBuf]) -> anyhow::Result<Vec<Sample>> {
    let mut reader = SampleReader::default();
    for path in files {
        if path == Path::new("-") {
            reader.read(std::io::stdin().lock(), "standard input")?;
        } else {
            let file = File::open(path).map_err(|e| UsageError(format!("cannot read {}: {e}", path.display())))?;
            reader.read(BufReader::new(file), &path.display().to_string())?;
        }
    }
    Ok(reader.finish()?)
}
