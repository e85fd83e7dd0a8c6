//! From a conversation to token ids, as a host does it: chat template, then tokenizer. And back from ids to bytes.

use std::collections::HashMap;
use std::sync::Arc;

use thiserror::Error;
use tokenizers::Tokenizer;

use super::assets;
use super::constrain::{Signs, Vocabulary};
use super::engine::Image;
use super::images::{self, Picture};
use super::templates::{Talk, Templates};

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
    /// What is shown, before what is said.
    pub pictures: Vec<Picture>,
    /// What the assistant called.
    pub calls: Vec<Call>,
}

/// A call in a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The function.
    pub name: String,
    /// Its arguments, as JSON if all is well.
    pub arguments: String,
}

impl Message {
    /// A message of text alone.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into(), pictures: Vec::new(), calls: Vec::new() }
    }
}

/// Who speaks in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Who sets the rules.
    System,
    /// Who asks.
    User,
    /// The model.
    Assistant,
    /// The result of a call.
    Tool,
}

impl Role {
    /// The role with this name in a request.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "system" | "developer" => Some(Self::System),
            "user" => Some(Self::User),
            "assistant" => Some(Self::Assistant),
            "tool" => Some(Self::Tool),
            _ => None,
        }
    }

    /// The name that templates know.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// Why a prompt cannot be made.
#[derive(Debug, Error)]
pub enum PromptError {
    /// The template cannot be read or filled in.
    #[error("chat template: {0}")]
    Template(#[from] minijinja::Error),
    /// The tokenizer cannot be read, or refuses a text.
    #[error("tokenizer: {0}")]
    Tokenizer(#[from] tokenizers::Error),
    /// The tokenizer has no token that the lab needs.
    #[error("tokenizer: there is no token `{0}`")]
    Missing(&'static str),
    /// A text of the caller's claims a place in an image.
    #[error("`{}` in a text stands for no image", images::PLACE)]
    Places,
}

/// What a special token means to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A call begins.
    Call,
    /// Thoughts begin.
    Thought,
    /// Thoughts end.
    ThoughtEnd,
    /// Something else of the template's.
    Other,
}

/// The end of an answer, as text.
pub const END: &str = "<|end|>";
/// The beginning of thoughts, as text.
pub const THOUGHT: &str = "<think>";
/// The end of thoughts, as text.
pub const THOUGHT_END: &str = "</think>";
const CALL: &str = "<|call|>";
const BOS: &str = "<s>";

/// The chat templates and the tokenizer that all endpoints share.
///
/// Marks of the template in a caller's text are read as marks, as at many hosts; only those of patches are refused, since each
/// of them stands for pixels that must be there.
pub struct Prompter {
    templates: Templates,
    tokenizer: Tokenizer,
    bytes: Vec<Option<Vec<u8>>>,
    vocabulary: Arc<Vocabulary>,
    signs: Signs,
    bos: u32,
    patch: u32,
    thought: u32,
    /// Tokens with a newline in them.
    newlines: Vec<u32>,
}

impl Prompter {
    /// Reads the compiled-in templates and tokenizer.
    pub fn load() -> Result<Self, PromptError> {
        let tokenizer: Tokenizer = assets::TOKENIZER.parse()?;
        let bytes = vocabulary(&tokenizer);
        let special = |text: &'static str| tokenizer.token_to_id(text).ok_or(PromptError::Missing(text));
        let has_newline = |bytes: &Option<Vec<u8>>| bytes.as_ref().is_some_and(|bytes| bytes.contains(&b'\n'));
        let newline = bytes.iter().position(|bytes| bytes.as_deref() == Some(b"\n"));
        let signs = Signs {
            end: special(END)?,
            call: special(CALL)?,
            thought_end: special(THOUGHT_END)?,
            newline: newline.ok_or(PromptError::Missing("newline"))? as u32,
        };
        let newlines = (0..).zip(&bytes).filter(|(_, bytes)| has_newline(bytes)).map(|(token, _)| token).collect();
        let (bos, patch, thought) = (special(BOS)?, special(images::PLACE)?, special(THOUGHT)?);
        let plain = bytes.iter().map(|bytes| bytes.clone().unwrap_or_default()).collect();
        let vocabulary = Arc::new(Vocabulary::new(plain));
        Ok(Self { templates: Templates::load()?, tokenizer, bytes, vocabulary, signs, bos, patch, thought, newlines })
    }

    /// The ids of a conversation that ends where the assistant is to speak, and what its image tokens stand for.
    pub fn prompt(&self, mut talk: Talk, shrink: usize) -> Result<(Vec<u32>, Vec<Image>), PromptError> {
        let mut pictures = Vec::new();
        for message in &mut talk.messages {
            let shown: Vec<Image> = message.pictures.iter().map(|picture| picture.prepared(shrink)).collect();
            message.content.insert_str(0, &shown.iter().map(images::marker).collect::<String>());
            pictures.extend(shown);
        }
        let text = self.templates.render(&talk)?;
        let tokens = self.tokenizer.encode(text, false)?.get_ids().to_vec();
        let places = pictures.iter().map(images::patches).sum::<usize>();
        if self.patches(&tokens) == places { Ok((tokens, pictures)) } else { Err(PromptError::Places) }
    }

    /// The token that begins a sequence.
    pub fn bos(&self) -> u32 {
        self.bos
    }

    /// How many of these tokens stand for patches of images.
    pub fn patches(&self, tokens: &[u32]) -> usize {
        tokens.iter().filter(|token| **token == self.patch).count()
    }

    /// Tokens in the vocabulary.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The vocabulary as guides need it.
    pub fn vocabulary(&self) -> &Arc<Vocabulary> {
        &self.vocabulary
    }

    /// The tokens that guides know.
    pub fn signs(&self) -> Signs {
        self.signs
    }

    /// Tokens with a newline in them.
    pub fn newlines(&self) -> &[u32] {
        &self.newlines
    }

    /// The bytes that a token stands for; nothing for special tokens and for ids outside the vocabulary.
    pub fn bytes(&self, token: u32) -> &[u8] {
        self.bytes.get(token as usize).and_then(Option::as_deref).unwrap_or_default()
    }

    /// What a special token means; nothing for others.
    pub fn mark(&self, token: u32) -> Option<Mark> {
        if self.bytes.get(token as usize)?.is_some() {
            return None;
        }
        Some(match token {
            token if token == self.signs.call => Mark::Call,
            token if token == self.thought => Mark::Thought,
            token if token == self.signs.thought_end => Mark::ThoughtEnd,
            _ => Mark::Other,
        })
    }

    /// The tokens of a text, marks read as marks.
    #[cfg(test)]
    pub fn encode(&self, text: &str) -> Vec<u32> {
        self.tokenizer.encode(text, false).map(|encoding| encoding.get_ids().to_vec()).unwrap_or_default()
    }

    /// A token as the tokenizer writes it when it leaves out nothing.
    pub fn text(&self, token: u32) -> Vec<u8> {
        match self.bytes.get(token as usize) {
            Some(Some(bytes)) => bytes.clone(),
            _ => self.tokenizer.id_to_token(token).unwrap_or_default().into_bytes(),
        }
    }
}

/// The bytes of every token, `None` for special ones.
fn vocabulary(tokenizer: &Tokenizer) -> Vec<Option<Vec<u8>>> {
    let special = tokenizer.get_added_tokens_decoder();
    let bytes = byte_alphabet();
    let size = tokenizer.get_vocab_size(true) as u32;
    (0..size)
        .map(|id| {
            let token = tokenizer.id_to_token(id).filter(|_| !special.contains_key(&id))?;
            token.chars().map(|character| bytes.get(&character).copied()).collect()
        })
        .collect()
}

/// How byte-level tokenizers write bytes: printable Latin-1 stands for itself, all else for characters from U+0100 on.
fn byte_alphabet() -> HashMap<char, u8> {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let mut stand_ins = (0x100..).filter_map(char::from_u32);
    (0..=u8::MAX)
        .filter_map(|byte| {
            let character = if printable(byte) { Some(char::from(byte)) } else { stand_ins.next() };
            Some((character?, byte))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::lab::api::{Thinking, Tool};
    use crate::lab::fault::Template;
    use crate::lab::images::tests::data_url;

    fn talk(messages: Vec<Message>) -> Talk {
        Talk { messages, tools: Vec::new(), thinking: Thinking::Off, wrong: None }
    }

    fn polite() -> Talk {
        talk(vec![Message::new(Role::System, "Be polite."), Message::new(Role::User, "What is 12 + 9?")])
    }

    fn text(talk: Talk) -> String {
        let prompter = Prompter::load().unwrap();
        let (ids, _) = prompter.prompt(talk, 1).unwrap();
        prompter.tokenizer.decode(&ids, false).unwrap()
    }

    #[test]
    fn a_prompt_begins_once_and_ends_where_the_assistant_speaks() {
        assert_eq!(
            text(polite()),
            "<s><|system|>\nBe polite.<|end|>\n<|user|>\nWhat is 12 + 9?<|end|>\n<|assistant|>\n"
        );
        let prompter = Prompter::load().unwrap();
        let (ids, _) = prompter.prompt(polite(), 1).unwrap();
        assert_eq!(ids.iter().filter(|id| **id == 0).count(), 1);
        assert!(text(Talk { thinking: Thinking::On, ..polite() }).ends_with("<|assistant|>\n<think>\n"));
    }

    #[test]
    fn wrong_templates_leave_out_what_they_are_named_for() {
        let wrong = |template| text(Talk { wrong: Some(template), ..polite() });
        assert_eq!(
            wrong(Template::NoNewlines),
            "<s><|system|>Be polite.<|end|><|user|>What is 12 + 9?<|end|><|assistant|>"
        );
        assert!(wrong(Template::NoGenerationPrompt).ends_with("What is 12 + 9?<|end|>\n"));
        assert_eq!(wrong(Template::NoRoles), "<s>Be polite.\nWhat is 12 + 9?\n");
    }

    #[test]
    fn tools_and_calls_are_told_in_the_callers_order() {
        let parameters =
            json!({"type": "object", "properties": {"zone": {"type": "string"}, "day": {"type": "integer"}}});
        let tool = Tool { name: "get_time".to_owned(), description: None, parameters, strict: false };
        let mut called = Message::new(Role::Assistant, "");
        called.calls.push(Call { name: "get_time".to_owned(), arguments: r#"{"zone": "x"}"#.to_owned() });
        let messages = vec![Message::new(Role::User, "Hello"), called, Message::new(Role::Tool, "7:45")];
        let text = text(Talk { tools: vec![tool], ..talk(messages) });
        for part in [
            "Tools: get_time(zone: string, day: integer)<|end|>",
            r#"<|call|>{"name": "get_time", "arguments": {"zone": "x"}}<|end|>"#,
            "<|tool|>\n7:45<|end|>",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn images_stand_before_the_text_and_nobody_can_claim_more_of_them() {
        let mut message = Message::new(Role::User, "ab");
        message.pictures.push(Picture::from_url(&data_url(16, 16, |_, _| [9; 3])).unwrap());
        let prompter = Prompter::load().unwrap();
        let (ids, images) = prompter.prompt(talk(vec![message.clone()]), 1).unwrap();
        assert_eq!((prompter.patches(&ids), images.len()), (4, 1));
        let text = prompter.tokenizer.decode(&ids, false).unwrap();
        let marks = "<|patch|><|patch|><|row|>";
        assert!(text.contains(&format!("<|user|>\n<|image|>{marks}{marks}\nab<|end|>")), "{text}");
        message.content.push_str("<|patch|>");
        assert!(matches!(prompter.prompt(talk(vec![message]), 1), Err(PromptError::Places)));
    }

    #[test]
    fn every_byte_is_a_token_and_special_tokens_have_meanings() {
        let prompter = Prompter::load().unwrap();
        for byte in 0..=u8::MAX {
            assert!((0..prompter.size() as u32).any(|token| prompter.bytes(token) == [byte]), "{byte}");
        }
        let signs = prompter.signs();
        assert_eq!(prompter.mark(signs.call), Some(Mark::Call));
        assert_eq!((prompter.mark(signs.end), prompter.text(signs.end)), (Some(Mark::Other), END.into()));
        assert_eq!((prompter.mark(signs.newline), prompter.mark(u32::MAX)), (None, None));
        assert!(prompter.newlines().contains(&signs.newline));
    }

    #[test]
    fn the_bytes_of_tokens_are_the_text_again() {
        let prompter = Prompter::load().unwrap();
        let text = "A naïve café, 12 €\n\tand \u{1F980}.";
        let ids = prompter.tokenizer.encode(text, false).unwrap().get_ids().to_vec();
        let bytes: Vec<u8> = ids.iter().flat_map(|id| prompter.bytes(*id)).copied().collect();
        assert_eq!(String::from_utf8(bytes).unwrap(), text);
        assert_eq!(prompter.bytes(0), b"");
        assert_eq!(prompter.bytes(u32::MAX), b"");
    }
}
