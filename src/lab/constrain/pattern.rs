//! Strings of JSON that follow a regular expression, byte by byte. Pure.
//!
//! The expression becomes an automaton over the characters that the string means; escapes are undone on the way. For each of its
//! states it is known how many bytes are needed until the string may be closed, so that none begins for which there is no room.

use std::collections::{HashMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use regex_automata::{Anchored, MatchKind};
use thiserror::Error;

use super::json::LONGEST_STRING;

/// The most bytes of an automaton, and of what it is made with.
const LARGEST: usize = 1 << 20;

/// Why strings of a pattern cannot be enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PatternError {
    /// Not a regular expression, or one that looks around or back.
    #[error("a `pattern` that is no regular expression, or one that looks around or back,")]
    Unknown,
    /// The automaton would be too large.
    #[error("a `pattern` that is too large")]
    TooLarge,
    /// Nothing follows it, or nothing that is short enough.
    #[error("a `pattern` that no string follows, or none that is short enough,")]
    Empty,
}

/// What is left of a string, its closing quote included.
#[derive(Debug, Clone)]
pub struct Pattern {
    machine: Arc<Machine>,
    state: StateID,
    /// Whether a backslash has just come.
    escaped: bool,
    /// How many bytes of characters may still come.
    left: u32,
}

#[derive(Debug)]
struct Machine {
    pattern: String,
    automaton: dense::DFA<Vec<u32>>,
    /// By state, the fewest bytes until the string may be closed. Where there is no way, the state is missing.
    distance: HashMap<StateID, u32>,
}

/// What a byte does to a string.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// It cannot come.
    Never,
    /// It closes the string.
    Close,
    /// The string goes on.
    On(Pattern),
}

impl Pattern {
    /// Strings in which this expression, in the dialect of ECMA-262, matches somewhere, after their opening quote. They have at most so
    /// many bytes, or some more than they need at least.
    pub fn new(pattern: &str, longest: Option<u32>) -> Result<Self, PatternError> {
        let (machine, state) = Machine::new(pattern)?;
        let shortest = *machine.distance.get(&state).ok_or(PatternError::Empty)?;
        let left = longest.unwrap_or_else(|| shortest.saturating_add(LONGEST_STRING));
        if shortest > left {
            return Err(PatternError::Empty);
        }
        Ok(Self { machine: Arc::new(machine), state, escaped: false, left })
    }

    /// A number of characters that no string falls below. A character has at most four bytes.
    pub fn least_characters(&self) -> u32 {
        self.machine.distance.get(&self.state).map_or(0, |bytes| bytes.div_ceil(4))
    }

    /// How large the automaton is, in bytes.
    pub fn memory(&self) -> usize {
        self.machine.automaton.memory_usage()
    }

    /// What this byte does.
    pub fn after(&self, byte: u8) -> Step {
        match (self.escaped, byte) {
            (false, b'"') if self.machine.distance.get(&self.state) == Some(&0) => Step::Close,
            (false, b'\\') if ESCAPES.iter().any(|(_, meant)| self.character(*meant) != Step::Never) => {
                Step::On(Self { escaped: true, ..self.clone() })
            }
            (false, byte) if plain(byte) => self.character(byte),
            (false, _) => Step::Never,
            (true, byte) => {
                let meant = ESCAPES.iter().find(|(escape, _)| *escape == byte);
                meant.map_or(Step::Never, |(_, meant)| self.character(*meant))
            }
        }
    }

    /// What a byte of the string that is meant does.
    fn character(&self, byte: u8) -> Step {
        let state = self.machine.automaton.next_state(self.state, byte);
        match (self.machine.distance.get(&state), self.left.checked_sub(1)) {
            (Some(distance), Some(left)) if *distance <= left => {
                Step::On(Self { machine: Arc::clone(&self.machine), state, escaped: false, left })
            }
            _ => Step::Never,
        }
    }
}

/// What may follow a backslash, and what it means there.
const ESCAPES: [(u8, u8); 6] =
    [(b'"', b'"'), (b'\\', b'\\'), (b'/', b'/'), (b'n', b'\n'), (b'r', b'\r'), (b't', b'\t')];

/// Whether a byte stands for itself.
fn plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | 0x80..) && byte != b'"' && byte != b'\\'
}

impl Machine {
    /// The automaton of an expression that may match anywhere, and its first state.
    fn new(pattern: &str) -> Result<(Self, StateID), PatternError> {
        let expression = jsonschema_regex::to_rust_regex(pattern).map_err(|()| PatternError::Unknown)?;
        let limits = dense::Config::new().dfa_size_limit(Some(LARGEST)).determinize_size_limit(Some(LARGEST));
        let automaton = dense::Builder::new()
            .configure(limits.match_kind(MatchKind::All).start_kind(StartKind::Anchored))
            .thompson(thompson::Config::new().nfa_size_limit(Some(LARGEST)))
            .build(&format!("(?s:.*)(?:{expression})(?s:.*)"))
            .map_err(
                |error| if error.is_size_limit_exceeded() { PatternError::TooLarge } else { PatternError::Unknown },
            )?;
        let first =
            automaton.start_state(&start::Config::new().anchored(Anchored::Yes)).map_err(|_| PatternError::Unknown)?;
        let distance = distances(&automaton, first);
        Ok((Self { pattern: pattern.to_owned(), automaton, distance }, first))
    }
}

/// For each state from which a string may come to be closed, the fewest bytes until then.
fn distances(automaton: &dense::DFA<Vec<u32>>, first: StateID) -> HashMap<StateID, u32> {
    let bytes: Vec<u8> = (0..=u8::MAX).filter(|byte| plain(*byte)).chain(ESCAPES.map(|(_, meant)| meant)).collect();
    let mut before: HashMap<StateID, Vec<StateID>> = HashMap::from([(first, Vec::new())]);
    let mut waiting = vec![first];
    while let Some(state) = waiting.pop() {
        for byte in &bytes {
            let next = automaton.next_state(state, *byte);
            let known = before.entry(next).or_insert_with(|| {
                waiting.push(next);
                Vec::new()
            });
            if known.last() != Some(&state) {
                known.push(state);
            }
        }
    }
    let ends = before.keys().filter(|state| automaton.is_match_state(automaton.next_eoi_state(**state)));
    let mut distance: HashMap<StateID, u32> = ends.map(|state| (*state, 0)).collect();
    let mut near: VecDeque<StateID> = distance.keys().copied().collect();
    while let Some(state) = near.pop_front() {
        let further = distance[&state] + 1;
        for earlier in &before[&state] {
            distance.entry(*earlier).or_insert_with(|| {
                near.push_back(*earlier);
                further
            });
        }
    }
    distance
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        let key = |one: &Self| (one.state, one.escaped, one.left);
        let same = || Arc::ptr_eq(&self.machine, &other.machine) || self.machine.pattern == other.machine.pattern;
        key(self) == key(other) && same()
    }
}

impl Eq for Pattern {}

impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Done for every byte that might come, so that it must not take longer for longer patterns.
        (self.machine.pattern.len(), self.state, self.escaped, self.left).hash(state);
    }
}

/// The strings of a format that JSON Schema names, or as many of them as are easily told; none if the format is not known here.
pub fn of_format(name: &str) -> Option<String> {
    const DATE: &str =
        "[12][0-9]{3}-((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)";
    const TIME: &str = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])";
    const OCTET: &str = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
    const HOST: &str = r"[a-z][a-z0-9]{0,15}(-[a-z0-9]{1,12}){0,2}(\.[a-z]{2,12}){1,2}";
    let strings = match name {
        "date" => DATE.to_owned(),
        "time" => TIME.to_owned(),
        "date-time" => format!("{DATE}T{TIME}"),
        "duration" => "P([1-9][0-9]{0,3}[YMWD]|T[1-9][0-9]{0,3}[HMS])".to_owned(),
        "email" => format!("[a-z0-9]{{1,16}}([._-][a-z0-9]{{1,12}}){{0,2}}@{HOST}"),
        "hostname" => HOST.to_owned(),
        "uri" => format!("https?://{HOST}(/[a-z0-9._~-]{{1,16}}){{0,3}}/?"),
        "ipv4" => format!(r"{OCTET}(\.{OCTET}){{3}}"),
        "ipv6" => "[0-9a-f]{1,4}(:[0-9a-f]{1,4}){7}".to_owned(),
        "uuid" => "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}".to_owned(),
        _ => return None,
    };
    Some(format!("^({strings})$"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &Pattern, rest: &[u8]) -> bool {
        let mut at = pattern.clone();
        for (index, byte) in rest.iter().enumerate() {
            at = match at.after(*byte) {
                Step::Never => return false,
                Step::Close => return index + 1 == rest.len(),
                Step::On(next) => next,
            };
        }
        false
    }

    #[test]
    fn a_pattern_matches_anywhere_unless_it_is_anchored() {
        let anywhere = Pattern::new("b+", None).unwrap();
        assert!(matches(&anywhere, b"abba\"") && matches(&anywhere, b"b\"") && !matches(&anywhere, b"aa\""));
        let whole = Pattern::new("^(ab|c)$", None).unwrap();
        assert!(matches(&whole, b"ab\"") && matches(&whole, b"c\""));
        for text in ["abc\"", "a\"", "\"", "ab", "cc\""] {
            assert!(!matches(&whole, text.as_bytes()), "{text}");
        }
        let either = Pattern::new("^a|z$", None).unwrap();
        assert!(matches(&either, b"abc\"") && matches(&either, b"xyz\"") && !matches(&either, b"bzb\""));
    }

    #[test]
    fn characters_are_matched_as_they_are_meant_and_not_as_they_are_written() {
        let quoted = Pattern::new(r#"^"\\\n[é🦀]$"#, None).unwrap();
        assert!(matches(&quoted, "\\\"\\\\\\né\"".as_bytes()) && matches(&quoted, "\\\"\\\\\\n🦀\"".as_bytes()));
        assert!(!matches(&quoted, "\\\"\\\\\\nü\"".as_bytes()) && !matches(&quoted, b"\"\\\\\\n\""));
        assert_eq!(Pattern::new("^[0-9]$", None).unwrap().after(b'\\'), Step::Never);
        // A digit is one of ten here, as in the dialect of JSON Schema.
        assert!(!matches(&Pattern::new(r"^\d$", None).unwrap(), "٣\"".as_bytes()));
    }

    #[test]
    fn a_string_without_a_bound_of_its_own_comes_to_an_end() {
        let digits = Pattern::new("^[0-9]+$", None).unwrap();
        assert!(matches(&digits, &[[b'7'; 65].as_slice(), b"\""].concat()));
        assert!(!matches(&digits, &[[b'7'; 66].as_slice(), b"\""].concat()));
        let short = Pattern::new("^a*b{3}$", Some(4)).unwrap();
        assert!(matches(&short, b"abbb\"") && matches(&short, b"bbb\""));
        let a = |pattern: &Pattern| match pattern.after(b'a') {
            Step::On(next) => next,
            other => panic!("{other:?}"),
        };
        assert_eq!(a(&short).after(b'a'), Step::Never);
        // Nested repetitions are one automaton like others.
        assert!(matches(&Pattern::new("^((a*)*b?)*$", None).unwrap(), b"aaabaaab\""));
    }

    #[test]
    fn what_cannot_be_matched_is_told() {
        for (pattern, longest, told) in [
            ("(", None, PatternError::Unknown),
            ("(?=a)b", None, PatternError::Unknown),
            (r"(a)\1", None, PatternError::Unknown),
            ("a[ab]{20}$", None, PatternError::TooLarge),
            ("a^b", None, PatternError::Empty),
            ("^a{9}$", Some(8), PatternError::Empty),
        ] {
            assert_eq!(Pattern::new(pattern, longest).unwrap_err(), told, "{pattern}");
        }
        assert_eq!(Pattern::new("^é{3}$", None).unwrap().least_characters(), 2);
    }

    #[test]
    fn formats_are_as_the_validator_has_them() {
        for (name, right, wrong) in [
            ("date", "2024-01-31", "2024-02-30"),
            ("time", "23:59:59.5+02:00", "24:00:00Z"),
            ("date-time", "1999-12-31T00:00:00Z", "1999-12-31 00:00:00Z"),
            ("duration", "P3D", "P0D"),
            ("email", "a.b@c-d.org", "a@b"),
            ("hostname", "ab-c.example", "-a.example"),
            ("uri", "https://a.example/b", "ftp://a.example"),
            ("ipv4", "192.168.0.255", "256.1.1.1"),
            ("ipv6", "0:1:2:3:4:5:6:ffff", "0:1:2"),
            ("uuid", "123e4567-e89b-42d3-a456-426614174000", "123e4567"),
        ] {
            let pattern = Pattern::new(&of_format(name).unwrap(), None).unwrap();
            let quoted = |text: &str| format!("{text}\"");
            assert!(
                matches(&pattern, quoted(right).as_bytes()) && !matches(&pattern, quoted(wrong).as_bytes()),
                "{name}"
            );
        }
        assert_eq!(of_format("idn-email"), None);
    }
}
