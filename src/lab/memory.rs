//! What a host keeps of its answers: the cache that replays them.
//!
//! What a request that was seen before gets does not depend on whether the first one has been answered yet: its answer is
//! drawn from what was asked alone, so that it comes out the same, and only slower, when it is made again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::api::{Piece, Reply, Tally};

/// The most answers that are kept.
const MOST_KEPT: usize = 4_096;

/// What was asked, apart from seed and delivery.
pub type Key = [u8; 32];

/// An answer that was given.
#[derive(Debug)]
pub struct Record {
    /// What is the same in all its parts.
    pub reply: Reply,
    /// All that was said, in order.
    pub pieces: Vec<(usize, Piece)>,
    /// How many choices there were.
    pub choices: usize,
    /// How many tokens.
    pub tally: Tally,
}

/// All answers that a host keeps.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    known: Arc<Mutex<HashMap<Key, Option<Arc<Record>>>>>,
}

/// What a host knows of a request.
#[derive(Debug)]
pub enum Recall {
    /// It was never asked.
    New,
    /// It was asked, and the answer is not kept, or not yet.
    Seen,
    /// This was the answer.
    Kept(Arc<Record>),
}

impl Memory {
    /// What is known of this request, which is known from now on.
    pub fn ask(&self, key: Key) -> Recall {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(&key) {
            Some(Some(record)) => Recall::Kept(Arc::clone(record)),
            Some(None) => Recall::Seen,
            None => {
                known.insert(key, None);
                Recall::New
            }
        }
    }

    /// Keeps the answer that is about to be given.
    pub fn keeper(&self, key: Key) -> Keeper {
        Keeper { memory: self.clone(), key, pieces: Vec::new() }
    }
}

/// An answer that is being written down while it is given. It is kept only when it is complete.
pub struct Keeper {
    memory: Memory,
    key: Key,
    pieces: Vec<(usize, Piece)>,
}

impl Keeper {
    /// Writes down a piece.
    pub fn add(&mut self, choice: usize, piece: &Piece) {
        self.pieces.push((choice, piece.clone()));
    }

    /// Keeps the whole.
    pub fn keep(self, reply: Reply, choices: usize, tally: Tally) {
        let record = Record { reply, pieces: self.pieces, choices, tally };
        let mut known = self.memory.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() <= MOST_KEPT {
            known.insert(self.key, Some(Arc::new(record)));
        }
    }
}
