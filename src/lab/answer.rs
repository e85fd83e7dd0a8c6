//! An answer on its way out: its choices as they come, or a reply that was kept.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;

use super::api::{Piece, Reply, Tally};
use super::memory::{Keeper, Record};
use super::speech::{Interrupted, Speech};

/// An answer that is being made. Dropping it stops the engine's work on it.
pub struct Answer {
    reply: Reply,
    source: Source,
}

enum Source {
    /// The engine is at work.
    Live {
        speeches: Vec<Speech>,
        /// The choice that is looked at first, so that all come on alike.
        first: usize,
        /// Where the answer is kept, if it is.
        keeper: Option<Keeper>,
    },
    /// All has been said before.
    Kept { record: Arc<Record>, left: VecDeque<(usize, Piece)> },
}

/// The next piece of an answer and the choice that it belongs to.
pub type Next = Option<Result<(usize, Piece), Interrupted>>;

impl Answer {
    /// An answer of these choices.
    pub fn new(reply: Reply, speeches: Vec<Speech>, keeper: Option<Keeper>) -> Self {
        Self { reply, source: Source::Live { speeches, first: 0, keeper } }
    }

    /// An answer that was given before, word for word, id included.
    pub fn again(record: Arc<Record>) -> Self {
        let left = record.pieces.iter().cloned().collect();
        Self { reply: record.reply.clone(), source: Source::Kept { record, left } }
    }

    /// What is the same in all parts of the answer.
    pub fn reply(&self) -> &Reply {
        &self.reply
    }

    /// How many choices there are.
    pub fn choices(&self) -> usize {
        match &self.source {
            Source::Live { speeches, .. } => speeches.len(),
            Source::Kept { record, .. } => record.choices,
        }
    }

    /// Tokens so far, those that end choices included.
    pub fn tally(&self) -> Tally {
        match &self.source {
            Source::Live { speeches, .. } => tally(speeches),
            Source::Kept { record, .. } => record.tally,
        }
    }

    /// The next piece, or nothing after the end.
    pub async fn next(&mut self) -> Next {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// The next piece if it is there already.
    pub fn ready(&mut self) -> Next {
        self.next().now_or_never().flatten()
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        let (speeches, first, keeper) = match &mut self.source {
            Source::Kept { left, .. } => return Poll::Ready(left.pop_front().map(Ok)),
            Source::Live { speeches, first, keeper } => (speeches, first, keeper),
        };
        let mut waiting = false;
        for turn in 0..speeches.len() {
            let index = (*first + turn) % speeches.len();
            match speeches[index].poll_next(context) {
                Poll::Pending => waiting = true,
                Poll::Ready(None) => {}
                Poll::Ready(Some(Err(interrupted))) => return Poll::Ready(Some(Err(interrupted))),
                Poll::Ready(Some(Ok(piece))) => {
                    *first = index + 1;
                    if let Some(keeper) = keeper {
                        keeper.add(index, &piece);
                    }
                    return Poll::Ready(Some(Ok((index, piece))));
                }
            }
        }
        if waiting {
            return Poll::Pending;
        }
        if let Some(keeper) = keeper.take() {
            keeper.keep(self.reply.clone(), speeches.len(), tally(speeches));
        }
        Poll::Ready(None)
    }
}

fn tally(speeches: &[Speech]) -> Tally {
    speeches.iter().map(Speech::tally).fold(Tally::default(), |all, one| Tally {
        completion: all.completion + one.completion,
        reasoning: all.reasoning + one.reasoning,
    })
}
