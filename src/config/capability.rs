//! Addresses that are secrets: whoever knows one can write there, so it is kept as a key is.

use super::secret::{holds_a_key, names_a_secret_field};

/// The shortest word of a path that nobody could guess.
const SHORTEST_TOKEN: usize = 20;

/// Lengths of the digests by which files and commits go, in hexadecimal digits. They are no secrets.
const DIGESTS: [usize; 2] = [40, 64];

/// Parts of the names of hosts that take messages from whoever knows the address.
const HOOKS: [&str; 4] = ["hook", "hooks", "webhook", "webhooks"];

/// Whether a text is more than a name, so that no message may repeat it: an address, or a key by its looks.
pub(super) fn is_more_than_a_name(text: &str) -> bool {
    text.contains("://") || holds_a_key(text) || holds_a_capability(text)
}

/// Whether a text holds an address that is a secret by its looks.
pub(super) fn holds_a_capability(text: &str) -> bool {
    let mut words = text.split(|c: char| c.is_whitespace() || "\"'`<>()[]{}|,;".contains(c));
    words.any(|word| match word.split_once("://") {
        Some((_, address)) => authority(address).contains('@') || is_a_capability(address),
        // People leave out the scheme as well.
        None => authority(word).contains('.') && is_a_capability(word),
    })
}

fn authority(address: &str) -> &str {
    address.split(['/', '?', '#']).next().unwrap_or("")
}

/// Whether an address without its scheme is a secret: by its host, by a field of its query, or by a word that nobody could
/// guess.
fn is_a_capability(address: &str) -> bool {
    let authority = authority(address);
    let rest = address[authority.len()..].trim_matches('/');
    if rest.is_empty() {
        return false;
    }
    let is_hook = authority.split(['.', ':']).any(|part| HOOKS.contains(&part.to_ascii_lowercase().as_str()));
    let mut parts = rest.split(['/', '?', '&', '#']).map(|part| part.split_once('=').unwrap_or(("", part)));
    is_hook || parts.any(|(name, value)| is_token(value) || (!value.is_empty() && names_a_secret_field(name)))
}

/// Whether a part of an address is a UUID, or has a word that is long and of letters and digits.
fn is_token(part: &str) -> bool {
    let is_hex = |text: &str| text.chars().all(|c| c.is_ascii_hexdigit());
    let is_uuid = part.split('-').all(is_hex) && part.split('-').map(str::len).eq([8_usize, 4, 4, 4, 12]);
    is_uuid
        || part.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| {
            word.len() >= SHORTEST_TOKEN
                && word.contains(|c: char| c.is_ascii_digit())
                && word.contains(|c: char| c.is_ascii_alphabetic())
                && !(is_hex(word) && DIGESTS.contains(&word.len()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_let_anyone_write_are_known_by_their_looks() {
        for text in [
            "https://hooks.slack.com/services/T0AB12CD3/B9XY87ZW6/Zk5tLx2Vn8JdYc4HsQm",
            "https://hooks.slack.com/services/T/B/X",
            "hooks.slack.com/services/T/B/X",
            "curl -d @- 'https://hc-ping.com/0a1b2c3d-aaaa-bbbb-cccc-ddddeeeeffff/start'",
            "https://discord.com/api/webhooks/123456789012345678/a1b2c3d4e5f6g7h8i9j0k1l2_x",
            "https://h.example/notify?token=abc",
            "smtps://me:pw@mail.example",
        ] {
            assert!(holds_a_capability(text), "{text}");
        }
    }

    #[test]
    fn addresses_that_anyone_may_know_are_none() {
        for text in [
            "https://example.org",
            "https://hooks.slack.com",
            "https://docs.example/models/gpt-oss-120b-instruct-2025-08-05?lang=en#top",
            "https://raw.example/4b825dc642cb6eb9a060e54bf8d69288fbee4904/image.png",
            "meta-llama/Llama-3.3-70B-Instruct",
            "prompts/core",
            "me@mail.example",
            "",
        ] {
            assert!(!holds_a_capability(text), "{text}");
        }
    }
}
