//! The tokens behind the numbers, as far as the engine has to know them: for output in broken bytes, and for export.

use std::collections::HashMap;

use serde::Deserialize;

use super::weights::WeightsError;

/// The tokens of a byte-level BPE.
#[derive(Debug, Clone, PartialEq)]
pub struct Vocabulary {
    /// All tokens in the alphabet of byte-level BPE, a letter for a byte; special ones as they are.
    pub tokens: Vec<String>,
    /// What is merged, first to last: two tokens with a space between.
    pub merges: Vec<String>,
    /// The special tokens.
    pub special: Vec<u32>,
    bytes: Vec<Option<u32>>,
}

#[derive(Deserialize)]
struct File {
    added_tokens: Vec<Added>,
    model: Bpe,
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
    special: bool,
}

#[derive(Deserialize)]
struct Bpe {
    vocab: HashMap<String, u32>,
    merges: Vec<(String, String)>,
}

impl Vocabulary {
    /// Reads `tokenizer.json`, whose tokens must be numbered from 0 up to `size`, none left out.
    pub fn from_json(json: &str, size: usize) -> Result<Self, WeightsError> {
        let File { added_tokens, model } = serde_json::from_str(json).map_err(WeightsError::Tokenizer)?;
        let special = added_tokens.iter().filter(|token| token.special).map(|token| token.id).collect();
        let added = added_tokens.into_iter().map(|token| (token.content, token.id));
        let mut tokens = vec![None; size];
        for (token, id) in model.vocab.into_iter().chain(added) {
            *tokens.get_mut(id as usize).ok_or(WeightsError::Tokens)? = Some(token);
        }
        let tokens = tokens.into_iter().collect::<Option<Vec<String>>>().ok_or(WeightsError::Tokens)?;
        let merges = model.merges.into_iter().map(|(a, b)| format!("{a} {b}")).collect();
        Ok(Self::new(tokens, merges, special))
    }

    /// The vocabulary of these tokens, numbered from 0.
    pub fn new(tokens: Vec<String>, merges: Vec<String>, special: Vec<u32>) -> Self {
        let numbers: HashMap<&str, u32> = tokens.iter().zip(0..).map(|(token, id)| (token.as_str(), id)).collect();
        let mut letter = [0; 4];
        let bytes = alphabet().map(|char| numbers.get(&*char.encode_utf8(&mut letter)).copied()).collect();
        Self { tokens, merges, special, bytes }
    }

    /// The tokens that spell a character byte by byte; `None` when some byte has no token of its own.
    pub fn spelt(&self, character: char) -> Option<Vec<u32>> {
        let mut buffer = [0; 4];
        character.encode_utf8(&mut buffer).bytes().map(|byte| self.bytes[usize::from(byte)]).collect()
    }
}

/// The letters of byte-level BPE, for the bytes 0 to 255: themselves where they can be seen, otherwise from U+0100 on.
fn alphabet() -> impl Iterator<Item = char> {
    let mut next = 0x100..;
    (0_u8..=255).map(move |byte| match byte {
        b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF => char::from(byte),
        _ => next.next().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokenizers::Tokenizer;

    use super::*;
    use crate::lab::assets::TOKENIZER;

    fn vocabulary() -> Vocabulary {
        Vocabulary::from_json(TOKENIZER, 2048).unwrap()
    }

    #[test]
    fn characters_of_any_script_are_spelt_as_the_tokenizer_reads_them_back() {
        let tokenizer: Tokenizer = TOKENIZER.parse().unwrap();
        for character in ['a', 'é', 'ก', '中', '\n', ' ', '🦀'] {
            let spelt = vocabulary().spelt(character).unwrap();
            assert_eq!(spelt.len(), character.len_utf8());
            assert_eq!(tokenizer.decode(&spelt, false).unwrap(), character.to_string());
        }
    }

    #[test]
    fn numbers_are_those_of_the_tokenizer() {
        let (vocabulary, tokenizer) = (vocabulary(), TOKENIZER.parse::<Tokenizer>().unwrap());
        for (token, id) in vocabulary.tokens.iter().zip(0..) {
            assert_eq!(tokenizer.token_to_id(token), Some(id));
        }
        assert!(vocabulary.special.contains(&0) && vocabulary.special.contains(&1));
        assert!(vocabulary.merges.iter().all(|merge| merge.split(' ').count() == 2));
    }

    #[test]
    fn gaps_and_numbers_out_of_range_are_refused() {
        let json = |id: u32| format!(r#"{{"added_tokens":[],"model":{{"vocab":{{"a":0,"b":{id}}},"merges":[]}}}}"#);
        assert!(Vocabulary::from_json(&json(1), 2).is_ok());
        assert!(Vocabulary::from_json(&json(2), 2).is_err());
        assert!(Vocabulary::from_json(&json(0), 2).is_err());
        assert_eq!(Vocabulary::from_json(&json(1), 2).unwrap().spelt('c'), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "\\PC*") {
            let _ = Vocabulary::from_json(&text, 4);
        }
    }
}
