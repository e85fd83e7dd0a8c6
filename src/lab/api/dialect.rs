//! Whose errors and headers a host has: one protocol, and as many ways to say no as there are hosts.

/// A family of hosts that say errors and limits alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// `{"error": {"message", "type", "param", "code"}}`, limits as durations.
    #[default]
    OpenAi,
    /// `error_type` beside the message; 503 where its dynamic limit is reached.
    Together,
    /// An error may be a bare text.
    Fireworks,
    /// Flat: `{"message", "type", "param", "code"}`; limits reset in float seconds.
    Cerebras,
    /// Flat: `{"object": "error", "message", "type", "code"}` with a numeric code.
    Sglang,
}

impl Dialect {
    /// What may be asked for, in words for a message.
    pub const WANTED: &'static str = "openai, together, fireworks, cerebras or sglang";

    /// The dialect with this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "openai" => Some(Self::OpenAi),
            "together" => Some(Self::Together),
            "fireworks" => Some(Self::Fireworks),
            "cerebras" => Some(Self::Cerebras),
            "sglang" => Some(Self::Sglang),
            _ => None,
        }
    }
}
