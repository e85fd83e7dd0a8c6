//! GGUF files from outside: read, and let in only if they speak the lab's tokens and its chat template.
//!
//! Layer 3. Prompts are made with the compiled-in tokenizer and template, so a file with others would be served wrongly.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::assets;
use super::engine::{Gguf, GgufError, Vocabulary, WeightsError};
use crate::pipe;

/// Why a GGUF file cannot be served.
#[derive(Debug, Error)]
pub enum GgufFileError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is none that the engine serves as it is.
    #[error("{} cannot be served: {source}", .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Why.
        source: GgufError,
    },
    /// The model in it was trained on other tokens or another template.
    #[error("{} cannot be served: its {part} is not the lab's", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is unlike.
        part: &'static str,
    },
}

/// Reads a file, which must be one of a model with the lab's tokens and template.
pub fn read(path: &Path) -> Result<Gguf, GgufFileError> {
    let failed = |source| GgufFileError::Read { path: path.to_owned(), source };
    let wrong = |source| GgufFileError::Format { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    // One byte more than may be there shows that a file is too large, whatever its length is said to be.
    let most = Gguf::MOST_BYTES as u64 + 1;
    let opened = pipe::refuse(path).and_then(|()| File::open(path));
    opened.and_then(|file| file.take(most).read_to_end(&mut bytes)).map_err(failed)?;
    let gguf = Gguf::from_bytes(&bytes).map_err(wrong)?;
    let ours = vocabulary().map_err(|error| wrong(error.into()))?;
    let foreign = |part| Err(GgufFileError::Foreign { path: path.to_owned(), part });
    if *gguf.vocabulary() != ours {
        return foreign("tokenizer");
    }
    if gguf.template() != Some(assets::CHAT_TEMPLATE) {
        return foreign("chat template");
    }
    Ok(gguf)
}

/// The lab's own tokens.
fn vocabulary() -> Result<Vocabulary, WeightsError> {
    Vocabulary::from_json(assets::TOKENIZER, assets::tokens()?)
}
