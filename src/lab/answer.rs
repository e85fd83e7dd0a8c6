//! An answer on its way out: from the engine's tokens to pieces of text and an end.

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedReceiver;

use super::api::{Delta, Reply, Scored};
use super::engine::{Choice, Emission, Finish};
use super::host::Host;
use super::transcript::{Progress, Transcript};

/// An answer that is being made. Dropping it stops the engine's work on it.
pub struct Answer {
    host: Arc<Host>,
    emissions: Option<UnboundedReceiver<Emission>>,
    transcript: Option<Transcript>,
    /// Tokens that no text has been sent for yet.
    scored: Vec<Scored>,
    end: Option<Finish>,
    completion_tokens: usize,
    reply: Reply,
}

/// The engine stopped before the answer was complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted;

impl Answer {
    /// An answer of this host from these tokens, which ends before any of `stops`.
    pub fn new(host: Arc<Host>, reply: Reply, emissions: UnboundedReceiver<Emission>, stops: Vec<String>) -> Self {
        let transcript = Some(Transcript::new(stops));
        let (scored, end, completion_tokens) = (Vec::new(), None, 0);
        Self { host, emissions: Some(emissions), transcript, scored, end, completion_tokens, reply }
    }

    /// What is the same in all parts of the answer.
    pub fn reply(&self) -> &Reply {
        &self.reply
    }

    /// Tokens so far, the one that ends the answer included.
    pub fn completion_tokens(&self) -> usize {
        self.completion_tokens
    }

    /// The next piece of text, or the end; nothing after the end.
    pub async fn next(&mut self) -> Option<Result<Delta, Interrupted>> {
        loop {
            if let Some(finish) = self.end.take() {
                return Some(Ok(Delta::End(finish)));
            }
            let emission = self.emissions.as_mut()?.recv().await;
            match self.take(emission) {
                Ok(Some(delta)) => return Some(Ok(delta)),
                Ok(None) => {}
                Err(interrupted) => return Some(Err(interrupted)),
            }
        }
    }

    /// The next piece if it is there already.
    pub fn ready(&mut self) -> Option<Result<Delta, Interrupted>> {
        loop {
            if let Some(finish) = self.end.take() {
                return Some(Ok(Delta::End(finish)));
            }
            let emission = self.emissions.as_mut()?.try_recv().ok()?;
            match self.take(Some(emission)) {
                Ok(Some(delta)) => return Some(Ok(delta)),
                Ok(None) => {}
                Err(interrupted) => return Some(Err(interrupted)),
            }
        }
    }

    fn take(&mut self, emission: Option<Emission>) -> Result<Option<Delta>, Interrupted> {
        match emission {
            Some(Emission::Token(choice)) => Ok(self.token(&choice)),
            Some(Emission::End(finish)) => Ok(self.finish(finish)),
            None => {
                self.emissions = None;
                Err(Interrupted)
            }
        }
    }

    fn token(&mut self, choice: &Choice) -> Option<Delta> {
        self.completion_tokens += 1;
        self.scored.extend(self.score(choice));
        let bytes = self.host.shared().prompter.bytes(choice.token);
        match self.transcript.as_mut()?.push(bytes) {
            Progress::Text(text) => self.text(text),
            Progress::Stopped(text) => {
                self.emissions = None;
                self.end = Some(Finish::Stop);
                self.text(text)
            }
        }
    }

    fn finish(&mut self, finish: Finish) -> Option<Delta> {
        self.emissions = None;
        self.end = Some(finish);
        if finish == Finish::Stop {
            self.completion_tokens += 1;
        }
        let rest = self.transcript.take()?.finish();
        if rest.is_empty() && self.scored.is_empty() { None } else { self.text(rest) }
    }

    fn text(&mut self, text: String) -> Option<Delta> {
        (!text.is_empty() || self.end.is_some()).then(|| Delta::Text(text, std::mem::take(&mut self.scored)))
    }

    fn score(&self, choice: &Choice) -> Option<Scored> {
        let prompter = &self.host.shared().prompter;
        let scored = |token: u32, logprob: f64, top_logprobs| {
            let bytes = prompter.bytes(token).to_vec();
            Scored { token: String::from_utf8_lossy(&bytes).into_owned(), logprob, bytes, top_logprobs }
        };
        choice.logprobs.as_ref().map(|logprobs| {
            let top = logprobs.top.iter().map(|(token, logprob)| scored(*token, *logprob, None)).collect();
            scored(choice.token, logprobs.chosen, Some(top))
        })
    }
}
