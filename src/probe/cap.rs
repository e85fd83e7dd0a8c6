//! The cap that a probe sets on its answers: a number of tokens, or none at all.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Tokens that are set aside for an answer without a cap. No request bounds such an answer, so this is what a plan counts
/// with: above what the shipped probes ask for, and far below what a run would feel.
pub const UNCAPPED_TOKENS: u32 = 4096;

/// A cap on an answer's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cap {
    /// So many.
    Tokens(u32),
    /// None is sent, to see where the host ends answers by itself. Written as `"none"`.
    Unsent,
}

impl Cap {
    /// The tokens that an answer has at most, as a plan counts.
    pub fn tokens(self) -> u32 {
        match self {
            Self::Tokens(tokens) => tokens,
            Self::Unsent => UNCAPPED_TOKENS,
        }
    }
}

const NONE: &str = "none";

impl Serialize for Cap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Tokens(tokens) => serializer.serialize_u32(*tokens),
            Self::Unsent => serializer.serialize_str(NONE),
        }
    }
}

impl<'de> Deserialize<'de> for Cap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrNone;
        impl Visitor<'_> for NumberOrNone {
            type Value = Cap;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of tokens, or \"none\"")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Cap, E> {
                let tokens = number.try_into().map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))?;
                Ok(Cap::Tokens(tokens))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Cap, E> {
                let tokens = number.try_into().map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))?;
                Ok(Cap::Tokens(tokens))
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<Cap, E> {
                if word == NONE { Ok(Cap::Unsent) } else { Err(E::invalid_value(Unexpected::Str(word), &self)) }
            }
        }
        deserializer.deserialize_any(NumberOrNone)
    }
}

impl JsonSchema for Cap {
    fn schema_name() -> Cow<'static, str> {
        "Cap".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "oneOf": [{ "type": "integer", "minimum": 1 }, { "const": NONE }] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cap_is_a_number_or_none_and_nothing_else() {
        let read = |json: &str| serde_json::from_str::<Cap>(json).ok();
        assert_eq!([read("8"), read("\"none\"")], [Some(Cap::Tokens(8)), Some(Cap::Unsent)]);
        assert_eq!([read("-1"), read("\"all\""), read("null"), read("4294967296")], [None; 4]);
        for cap in [Cap::Tokens(8), Cap::Unsent] {
            assert_eq!(read(&serde_json::to_string(&cap).unwrap()), Some(cap));
        }
    }
}
