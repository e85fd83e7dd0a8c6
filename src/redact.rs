//! Redaction: credentials never reach a file, a log or a report, even when a host echoes them.
//!
//! Layer 1. A [`Redactor`] knows the secrets of this process and masks in text from outside every run of [`WINDOW`] or more
//! characters of one, however it was cut:
//!
//! - as it is, with all its letters small or all of them capitals, as hosts make of names of headers and models;
//! - any of these with white space or control characters in between, as where lines are broken;
//! - in Base64, standard or URL-safe, at any place within what was encoded, in one line or in the lines of MIME;
//! - in hexadecimal digits of either case, with or without the usual marks between bytes;
//! - all of these under JSON escapes, percent encoding or HTML entities, each character escaped or not, up to [`DEPTH`]
//!   layers deep.
//!
//! What counts as a secret of an address is in `parts`; secrets in pieces, as the events of a stream bring them, are looked for by
//! `pieces`; `view` takes escapes off.
//!
//! Case is that of ASCII letters. Not seen are secrets whose case is changed in other ways, that are reversed, encrypted, compressed, or in
//! another encoding. The work is linear in the text: each view of it is gone through once, whatever the number of secrets, with up to four
//! look-ups for a byte, in filters of 8 KB (`windows`).

mod harmless;
mod parts;
mod pieces;
#[cfg(test)]
mod tests;
mod view;
mod windows;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use memchr::memmem::Finder;
use serde_json::Value;

use harmless::Harmless;
use parts::Part;
use pieces::Pieces;
use view::View;
use windows::Windows;

pub use view::DEPTH;

/// What stands where a secret was.
pub const MASK: &str = "[redacted]";

/// The characters in a row of a secret that are never told: fewer would blank out ordinary text.
pub const WINDOW: usize = 8;

/// The shortest secret, in bytes; one that is shorter than a window is masked where it stands whole.
const SHORTEST: usize = 4;

/// Replaces known secrets in text from outside. Cheap to clone; prints nothing of what it knows.
#[derive(Clone, Default)]
pub struct Redactor {
    known: Arc<Known>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} patterns)", self.known.windows.len() + self.known.wholes.len())
    }
}

impl Redactor {
    /// Knows these secrets: keys, signing secrets, and addresses, of which the parts that lead to nobody else are told. Ones shorter
    /// than four characters are ignored: they would blank out ordinary text.
    pub fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Self {
        let mut known = Known::default();
        for secret in secrets {
            for part in parts::of(secret.as_ref()) {
                known.add(&part);
            }
        }
        Self { known: Arc::new(known) }
    }

    /// The text with every known secret masked.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut found: Vec<Range<usize>> = Vec::new();
        self.visit(text, &mut |range| {
            found.push(range);
            Visit::GoOn
        });
        if found.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(masked(text, found)) }
    }

    /// Whether the text holds a known secret.
    pub fn finds(&self, text: &str) -> bool {
        let mut any = false;
        self.visit(text, &mut |_| {
            any = true;
            Visit::Stop
        });
        any
    }

    /// Whether the strings of this JSON hold a known secret when those that belong together are joined, such as the tokens of a list.
    pub fn finds_in_pieces_of(&self, value: &Value) -> bool {
        if self.known.is_empty() {
            return false;
        }
        let mut pieces = Pieces::default();
        pieces.value(value);
        pieces.texts().any(|text| self.finds(text))
    }

    /// Whether a body holds a known secret when the pieces are joined that its lines or the events of a stream bring, or may hold one
    /// since it is made so that not all of them can be joined.
    pub fn finds_in_pieces(&self, body: &str) -> bool {
        if self.known.is_empty() {
            return false;
        }
        let mut pieces = Pieces::default();
        pieces.body(body);
        pieces.is_too_much() || pieces.texts().any(|text| self.finds(text))
    }

    /// Masks each of these texts whole where they hold a known secret together, in this order, and none does alone. Tells whether they
    /// did.
    pub fn mask_together(&self, texts: &mut [&mut String]) -> bool {
        if self.known.is_empty() || texts.len() < 2 {
            return false;
        }
        let together: String = texts.iter().map(|text| text.as_str()).collect();
        let found = self.finds(&together);
        if found {
            texts.iter_mut().filter(|text| !text.is_empty()).for_each(|text| MASK.clone_into(text));
        }
        found
    }

    /// Tells the place in `text` of each run of a secret, under whatever escapes.
    fn visit(&self, text: &str, found: &mut dyn FnMut(Range<usize>) -> Visit) {
        if self.known.is_empty() || self.known.harmless.has(text) {
            return;
        }
        let mut any = false;
        self.visit_layers(&View::of(text), DEPTH, &mut |range| {
            any = true;
            found(range)
        });
        if !any {
            self.known.harmless.add(text);
        }
    }

    /// Tells those in a view, and in what is left of it with up to so many more layers of escapes taken off. One view is looked at after
    /// the other: all of them at once would take hundreds of times the room of the text.
    fn visit_layers(&self, view: &View<'_>, more: usize, found: &mut dyn FnMut(Range<usize>) -> Visit) -> Visit {
        let seen = self.known.visit(&view.bytes, &mut |range| found(view.source(range)));
        if seen == Visit::Stop || more == 0 {
            return seen;
        }
        for inner in view.unescaped() {
            if self.visit_layers(&inner, more - 1, found) == Visit::Stop {
                return Visit::Stop;
            }
        }
        Visit::GoOn
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Visit {
    GoOn,
    Stop,
}

/// The text with these places masked, those that overlap as one.
fn masked(text: &str, mut places: Vec<Range<usize>>) -> String {
    places.sort_by_key(|place| (place.start, place.end));
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for place in places {
        let start = text.floor_char_boundary(place.start);
        if start >= done {
            out.push_str(&text[done..start]);
            out.push_str(MASK);
        }
        done = done.max(text.ceil_char_boundary(place.end));
    }
    out.push_str(&text[done..]);
    out
}

/// What is secret, ready to be looked for.
#[derive(Default)]
struct Known {
    windows: Windows,
    /// Texts that are only secret as a whole.
    wholes: Vec<Finder<'static>>,
    /// Texts that hold nothing of it.
    harmless: Harmless,
}

impl Known {
    fn is_empty(&self) -> bool {
        self.windows.is_empty() && self.wholes.is_empty()
    }

    fn add(&mut self, part: &Part) {
        match part {
            Part::Whole(text) => {
                self.wholes.extend(in_every_case(text).iter().map(|text| Finder::new(text).into_owned()));
            }
            Part::Any { bytes, .. } if bytes.len() < SHORTEST => {}
            // In another case so short a secret may be a common word.
            Part::Any { bytes, public } if bytes.len() < WINDOW => self.add_windows(bytes, public),
            Part::Any { bytes, public } => {
                for bytes in in_every_case(bytes) {
                    self.add_windows(&bytes, public);
                }
            }
        }
    }

    fn add_windows(&mut self, bytes: &[u8], public: &[Range<usize>]) {
        let length = bytes.len().min(WINDOW);
        for (start, window) in bytes.windows(length).enumerate() {
            let is_public = |range: &Range<usize>| range.start <= start && start + length <= range.end;
            if !public.iter().any(is_public) {
                self.windows.add(window);
            }
        }
    }

    fn visit(&self, bytes: &[u8], found: &mut dyn FnMut(Range<usize>) -> Visit) -> Visit {
        for whole in &self.wholes {
            for start in whole.find_iter(bytes) {
                if found(start..start + whole.needle().len()) == Visit::Stop {
                    return Visit::Stop;
                }
            }
        }
        self.windows.visit(bytes, found)
    }
}

/// A secret as it is, with small letters alone and with capitals alone.
fn in_every_case(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![bytes.to_vec(), bytes.to_ascii_lowercase(), bytes.to_ascii_uppercase()];
    forms.dedup();
    forms
}
