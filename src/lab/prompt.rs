//! From a conversation to token ids, as a host does it: chat template, then tokenizer. And back from ids to bytes.

use std::collections::HashMap;

use minijinja::{Environment, Value, context};
use thiserror::Error;
use tokenizers::Tokenizer;

use super::assets;

const TEMPLATE: &str = "chat";

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
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

    /// The name that the template knows.
    fn name(self) -> &'static str {
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
}

/// The chat template and the tokenizer that all endpoints share.
pub struct Prompter {
    environment: Environment<'static>,
    tokenizer: Tokenizer,
    vocabulary: Vec<Option<Vec<u8>>>,
}

impl Prompter {
    /// Reads the compiled-in template and tokenizer.
    pub fn load() -> Result<Self, PromptError> {
        let mut environment = Environment::new();
        environment.add_template(TEMPLATE, assets::CHAT_TEMPLATE)?;
        let tokenizer: Tokenizer = assets::TOKENIZER.parse()?;
        let vocabulary = vocabulary(&tokenizer);
        Ok(Self { environment, tokenizer, vocabulary })
    }

    /// The ids of a conversation that ends where the assistant is to speak.
    pub fn tokens(&self, messages: &[Message]) -> Result<Vec<u32>, PromptError> {
        let messages: Vec<Value> = messages
            .iter()
            .map(|message| context! { role => message.role.name(), content => message.content.as_str() })
            .collect();
        let text =
            self.environment.get_template(TEMPLATE)?.render(context! { messages, add_generation_prompt => true })?;
        Ok(self.tokenizer.encode(text, false)?.get_ids().to_vec())
    }

    /// The bytes that a token stands for; nothing for special tokens and for ids outside the vocabulary.
    pub fn bytes(&self, token: u32) -> &[u8] {
        self.vocabulary.get(token as usize).and_then(Option::as_deref).unwrap_or_default()
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
    use super::*;

    fn say(role: Role, content: &str) -> Message {
        Message { role, content: content.to_owned() }
    }

    #[test]
    fn a_prompt_begins_once_and_ends_where_the_assistant_speaks() {
        let prompter = Prompter::load().unwrap();
        let ids = prompter.tokens(&[say(Role::System, "Be polite."), say(Role::User, "What is 12 + 9?")]).unwrap();
        let text = prompter.tokenizer.decode(&ids, false).unwrap();
        assert_eq!(text, "<s><|system|>\nBe polite.<|end|>\n<|user|>\nWhat is 12 + 9?<|end|>\n<|assistant|>\n");
        assert_eq!(ids.iter().filter(|id| **id == 0).count(), 1);
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
