//! What may stand after a fault's `=`: the kinds of parameters, read and shown in the same words. Pure.

use std::fmt;

/// Gives an enum of parameter words its names, both ways.
macro_rules! words {
    ($(#[$outer:meta])* $name:ident { $($(#[$inner:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$inner])* $variant,)+
        }

        impl $name {
            pub(super) fn named(word: &str) -> Option<Self> {
                [$(Self::$variant),+].into_iter().find(|value| value.word() == word)
            }

            pub(super) fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }
    };
}

words! {
    /// What a wrong chat template gets wrong.
    Template {
        /// Newlines after roles and messages are missing.
        NoNewlines = "no-newlines",
        /// The prompt ends before the assistant's turn begins.
        NoGenerationPrompt = "no-generation-prompt",
        /// Roles are missing: the messages follow each other as plain text.
        NoRoles = "no-roles",
    }
}

words! {
    /// How the end of an answer is missed.
    End {
        /// The model's end token is not taken for one, and the answer runs on.
        Late = "late",
        /// A newline is taken for the end.
        Early = "early",
    }
}

words! {
    /// How the parser of tool calls fails.
    Parser {
        /// The call is left in the text, as the model wrote it.
        Content = "content",
        /// The arguments arrive without their last character.
        Arguments = "arguments",
    }
}

words! {
    /// What a host says instead of the true finish reason.
    FinishSaid {
        /// `stop`, always.
        Stop = "stop",
        /// `stop`, in streams only.
        Streamed = "streamed",
        /// Nothing.
        Missing = "missing",
    }
}

words! {
    /// Where everything goes.
    Channel {
        /// Thoughts stand in the answer's content.
        Content = "content",
        /// The answer stands among the thoughts.
        Reasoning = "reasoning",
    }
}

words! {
    /// What a host keeps of the thoughts that it does not pass on.
    Hiding {
        /// Their tokens are counted apart.
        Counted = "counted",
        /// Their tokens are counted among the answer's and no more.
        Uncounted = "uncounted",
        /// Their first word stands for them, and their tokens are counted apart.
        Summary = "summary",
    }
}

words! {
    /// Why an answer is blank.
    Blankness {
        /// Nothing is generated.
        Nothing = "nothing",
        /// What was generated, and counted, does not arrive.
        Lost = "lost",
        /// The model thinks until it meets the cap.
        Thought = "thought",
    }
}

words! {
    /// What a host says instead of the true token counts.
    UsageSaid {
        /// Counts that are off by up to an eighth, at random.
        Random = "random",
        /// Nothing.
        Absent = "absent",
    }
}

words! {
    /// What decides where a request goes.
    Routing {
        /// Chance, each time.
        Chance = "chance",
        /// The prompt: it always takes the same way.
        Sticky = "sticky",
    }
}

/// Which requests a host overrides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// All of them, those that ask for temperature 0 too.
    All,
    /// Those that ask for a temperature above 0.
    Sampled,
}

/// How a host samples, whatever it is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Override {
    /// At a temperature of its own.
    Temperature {
        /// Above 0 and up to 2.
        fixed: f64,
        /// Which requests it is used for.
        reach: Reach,
    },
    /// From so many of the likeliest tokens.
    TopK(usize),
    /// From the tokens that make up this share.
    TopP(f64),
    /// With a penalty on tokens seen before.
    RepetitionPenalty(f64),
}

impl Override {
    pub(super) fn read(text: &str) -> Option<Self> {
        if let Some((kind, number)) = text.split_once(':') {
            return match kind {
                "top_k" => number.parse().ok().filter(|k| *k > 0).map(Self::TopK),
                "top_p" => share(number).map(Self::TopP),
                "repetition_penalty" => {
                    number.parse().ok().filter(|p| *p > 1.0 && *p <= 2.0).map(Self::RepetitionPenalty)
                }
                _ => None,
            };
        }
        let (number, reach) = match text.split_once(',') {
            None => (text, Reach::All),
            Some((number, "sampled")) => (number, Reach::Sampled),
            Some(_) => return None,
        };
        let fixed = number.parse().ok().filter(|t| *t > 0.0 && *t <= 2.0)?;
        Some(Self::Temperature { fixed, reach })
    }
}

impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Temperature { fixed, reach: Reach::All } => write!(f, "{fixed}"),
            Self::Temperature { fixed, reach: Reach::Sampled } => write!(f, "{fixed},sampled"),
            Self::TopK(k) => write!(f, "top_k:{k}"),
            Self::TopP(p) => write!(f, "top_p:{p}"),
            Self::RepetitionPenalty(penalty) => write!(f, "repetition_penalty:{penalty}"),
        }
    }
}

/// A share above 0 and up to 1.
pub(super) fn share(text: &str) -> Option<f64> {
    text.parse().ok().filter(|share| *share > 0.0 && *share <= 1.0)
}

pub(super) fn at_least_one(text: &str) -> Option<usize> {
    text.parse().ok().filter(|number| *number > 0)
}
