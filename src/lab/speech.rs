//! One choice on its way out: from the engine's tokens to pieces of text, thoughts and calls, and an end.
//!
//! This is where a host's parsers sit, and where they fail: [`Manner`] says how it reads what its model writes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::api::{Ending, News, Piece, Scored, Tally};
use super::draws::Draws;
use super::engine::{Choice, Emission, Finish};
use super::fault::Hiding;
use super::prompt::{self, Mark, Prompter};
use super::toolcall::{CallNews, CallParser};
use super::transcript::{Progress, Transcript};

/// How a host reads what its model writes.
#[derive(Debug, Clone, PartialEq)]
pub struct Manner {
    /// Where the answer begins.
    pub opening: Opening,
    /// What becomes of thoughts.
    pub thoughts: Thoughts,
    /// What becomes of the text for the reader.
    pub content: Content,
    /// What becomes of calls.
    pub calls: Calls,
    /// What becomes of special tokens.
    pub specials: Specials,
    /// Sequences that end the answer.
    pub stops: Vec<String>,
}

/// Where an answer begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// With what is meant for the reader.
    Answer,
    /// In the thoughts.
    Thought,
}

/// What becomes of thoughts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thoughts {
    /// They have a channel of their own.
    Apart,
    /// They are left in the content, marks included.
    InContent,
    /// The answer stands among them.
    WithAnswer,
    /// They are kept back.
    Hidden(Hiding),
}

/// What becomes of the text for the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// It is told.
    Told,
    /// It is made, and gets lost.
    Lost,
    /// It is not made at all, nor is anything else.
    Unmade,
}

/// What becomes of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    /// They are read.
    Read,
    /// They are read, and their arguments lose the last character.
    Broken,
    /// They are left in the text.
    Left,
}

/// What becomes of special tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Specials {
    /// They are left out of the text.
    Hidden,
    /// They stay in it.
    Shown,
}

/// A choice that is being made. Dropping it stops the engine's work on it.
pub struct Speech {
    prompter: Arc<Prompter>,
    manner: Manner,
    draws: Draws,
    emissions: Option<UnboundedReceiver<Emission>>,
    transcript: Transcript,
    place: Place,
    /// Pieces that wait to be fetched.
    pieces: VecDeque<Piece>,
    /// Tokens that no piece has been made for yet.
    scored: Vec<Scored>,
    calls: usize,
    tally: Tally,
    /// Whether what stands for hidden thoughts has been told.
    summarised: bool,
}

enum Place {
    Thought,
    /// The answer; nothing of it has been said, and a newline that comes first belongs to the thoughts.
    AfterThought,
    Answer,
    Call {
        parser: CallParser,
        /// The last character of the arguments, kept back until another comes.
        kept: Option<char>,
    },
}

/// The engine stopped before the answer was complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted;

impl Speech {
    /// A choice of a host with this manner from these tokens.
    pub fn new(prompter: Arc<Prompter>, manner: Manner, draws: Draws, emissions: UnboundedReceiver<Emission>) -> Self {
        let mut speech = Self {
            prompter,
            draws,
            emissions: Some(emissions),
            transcript: Transcript::new(manner.stops.clone()),
            place: if manner.opening == Opening::Thought { Place::Thought } else { Place::Answer },
            pieces: VecDeque::from([Piece { news: News::Role, scored: Vec::new() }]),
            scored: Vec::new(),
            calls: 0,
            tally: Tally::default(),
            summarised: false,
            manner,
        };
        if (speech.manner.opening, speech.manner.thoughts) == (Opening::Thought, Thoughts::InContent) {
            speech.put(News::Content(format!("{}\n", prompt::THOUGHT)));
        }
        speech
    }

    /// A choice of which nothing is made: no token, and an end.
    pub fn blank(prompter: Arc<Prompter>, manner: Manner, draws: Draws) -> Self {
        let manner = Manner { opening: Opening::Answer, ..manner };
        let mut speech = Self::new(prompter, manner, draws, unbounded_channel().1);
        speech.close(Ending::Stop);
        speech
    }

    /// Tokens so far, the one that ends the answer included.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// The next piece, when it is there; nothing after the end.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Piece, Interrupted>>> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                return Poll::Ready(Some(Ok(piece)));
            }
            let Some(emissions) = self.emissions.as_mut() else { return Poll::Ready(None) };
            match ready!(emissions.poll_recv(context)) {
                Some(Emission::Token(choice)) => self.token(&choice),
                Some(Emission::End(finish)) => self.end(finish),
                None => {
                    self.emissions = None;
                    return Poll::Ready(Some(Err(Interrupted)));
                }
            }
        }
    }

    fn token(&mut self, choice: &Choice) {
        self.tally.completion += 1;
        if matches!(self.place, Place::Thought) && self.manner.thoughts != Thoughts::Hidden(Hiding::Uncounted) {
            self.tally.reasoning += 1;
        }
        self.scored.extend(self.score(choice));
        let mark = self.prompter.mark(choice.token);
        match mark {
            Some(Mark::ThoughtEnd) if matches!(self.place, Place::Thought) => self.end_thought(),
            Some(Mark::Thought) if matches!(self.place, Place::Answer) => self.begin_thought(),
            Some(Mark::Call) if self.manner.calls != Calls::Left => self.begin_call(),
            Some(_) if self.manner.specials == Specials::Hidden => {}
            Some(_) => self.write(&self.prompter.text(choice.token)),
            None => self.write(Arc::clone(&self.prompter).bytes(choice.token)),
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        match self.transcript.push(bytes) {
            Progress::Text(text) => self.say(text),
            Progress::Stopped(text) => {
                self.say(text);
                self.close(Ending::Stop);
            }
        }
    }

    /// Says a text in the channel where the answer is.
    fn say(&mut self, mut text: String) {
        if text.is_empty() {
            return;
        }
        if matches!(self.place, Place::AfterThought) {
            self.place = Place::Answer;
            if text.starts_with('\n') {
                text.remove(0);
            }
        }
        let news = match (&mut self.place, self.manner.thoughts) {
            (Place::Call { parser, .. }, _) => {
                for one in parser.push(&text) {
                    self.call(one);
                }
                return;
            }
            (Place::Thought, Thoughts::Hidden(hiding)) => News::Reasoning(self.shown(hiding, text)),
            (Place::Thought, Thoughts::Apart | Thoughts::WithAnswer) | (_, Thoughts::WithAnswer) => {
                News::Reasoning(text)
            }
            _ if self.manner.content == Content::Lost => News::Content(String::new()),
            _ => News::Content(text),
        };
        self.put(news);
    }

    /// What is shown of a piece of hidden thoughts: their first word, or nothing.
    fn shown(&mut self, hiding: Hiding, mut text: String) -> String {
        // Nobody learns of these tokens either.
        self.scored.clear();
        if hiding != Hiding::Summary || self.summarised {
            return String::new();
        }
        if let Some(end) = text.find(' ') {
            text.truncate(end);
            self.summarised = true;
        }
        text
    }

    fn put(&mut self, news: News) {
        let empty = match &news {
            News::Content(text) | News::Reasoning(text) | News::Arguments { text, .. } => text.is_empty(),
            _ => false,
        };
        if !empty {
            self.pieces.push_back(Piece { news, scored: std::mem::take(&mut self.scored) });
        }
    }

    fn flush(&mut self) {
        let rest = self.transcript.flush();
        self.say(rest);
    }

    fn begin_thought(&mut self) {
        self.flush();
        self.place = Place::Thought;
        if self.manner.thoughts == Thoughts::InContent {
            self.put(News::Content(prompt::THOUGHT.to_owned()));
        }
    }

    fn end_thought(&mut self) {
        self.flush();
        // Only a host that tells the two apart takes the newline between them for neither.
        let apart = matches!(self.manner.thoughts, Thoughts::Apart | Thoughts::Hidden(_));
        self.place = if apart { Place::AfterThought } else { Place::Answer };
        if self.manner.thoughts == Thoughts::InContent {
            self.put(News::Content(prompt::THOUGHT_END.to_owned()));
        }
    }

    fn begin_call(&mut self) {
        self.flush();
        self.end_call();
        self.place = Place::Call { parser: CallParser::default(), kept: None };
    }

    /// Tells what the parser of calls has found.
    fn call(&mut self, news: CallNews) {
        let news = match news {
            CallNews::Begin(name) => {
                let index = self.calls;
                self.calls += 1;
                let number = self.draws.number(&format!("call {index}"));
                News::Call { index, id: format!("call_{number:016x}"), name }
            }
            CallNews::Arguments(mut text) => {
                if let (Place::Call { kept, .. }, Calls::Broken) = (&mut self.place, self.manner.calls) {
                    let last = text.pop();
                    text = kept.take().into_iter().chain(text.chars()).collect();
                    *kept = last;
                }
                News::Arguments { index: self.calls.saturating_sub(1), text }
            }
        };
        self.put(news);
    }

    /// Ends a call, if there is one; what was none after all is text.
    fn end_call(&mut self) {
        if !matches!(self.place, Place::Call { .. }) {
            return;
        }
        let Place::Call { parser, kept } = std::mem::replace(&mut self.place, Place::Answer) else { return };
        match parser.finish() {
            Ok(news) => {
                self.place = Place::Call { parser: CallParser::default(), kept };
                for one in news {
                    self.call(one);
                }
                self.place = Place::Answer;
            }
            Err(text) => self.say(text),
        }
    }

    fn end(&mut self, finish: Finish) {
        self.flush();
        match finish {
            Finish::Stop => {
                self.tally.completion += 1;
                self.end_call();
                if self.manner.specials == Specials::Shown {
                    self.say(prompt::END.to_owned());
                }
                self.close(Ending::Stop);
            }
            Finish::Length => self.close(Ending::Length),
        }
    }

    fn close(&mut self, ending: Ending) {
        self.end_call();
        self.emissions = None;
        let ending = if ending == Ending::Stop && self.calls > 0 { Ending::ToolCalls } else { ending };
        if !self.scored.is_empty() {
            let scored = std::mem::take(&mut self.scored);
            self.pieces.push_back(Piece { news: News::Content(String::new()), scored });
        }
        self.pieces.push_back(Piece { news: News::End(ending), scored: Vec::new() });
    }

    fn score(&self, choice: &Choice) -> Option<Scored> {
        let scored = |token: u32, logprob: f64, top_logprobs| {
            let bytes = self.prompter.text(token);
            Scored { token: String::from_utf8_lossy(&bytes).into_owned(), logprob, bytes, top_logprobs }
        };
        choice.logprobs.as_ref().map(|logprobs| {
            let top = logprobs.top.iter().map(|(token, logprob)| scored(*token, *logprob, None)).collect();
            scored(choice.token, logprobs.chosen, Some(top))
        })
    }
}
