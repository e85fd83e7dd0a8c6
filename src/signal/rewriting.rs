//! Rewritings: what a text may become on its way without another word, and the form in which all of these are one.
//!
//! Hosts and routers compose characters otherwise, end lines otherwise, escape signs for a page, or set quotation marks
//! as in print. No model is another because of that. Both sides are folded alike, so that equal texts stay equal.

use std::borrow::Cow;

use super::unicode::{composed, is_composed};

/// A kind of rewriting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rewriting {
    /// Another normal form of Unicode.
    NormalForm,
    /// A carriage return before a line feed.
    LineEnds,
    /// No-break spaces for spaces.
    Spaces,
    /// Entities of HTML for signs.
    Entities,
    /// Typographic quotation marks for plain ones.
    Quotes,
}

use Rewriting::{Entities, LineEnds, NormalForm, Quotes, Spaces};

impl Rewriting {
    /// All of them.
    pub const ALL: [Self; 5] = [NormalForm, LineEnds, Spaces, Entities, Quotes];

    /// What texts differ in, in words.
    pub fn words(self) -> &'static str {
        match self {
            NormalForm => "the normal form of their characters",
            LineEnds => "the ends of lines",
            Spaces => "no-break spaces",
            Entities => "entities of HTML",
            Quotes => "quotation marks",
        }
    }

    /// Whether models write both, now and then in the place of each other.
    pub fn may_be_the_models(self) -> bool {
        matches!(self, Spaces | Quotes)
    }

    /// The places of this kind in a text, as they are written there.
    fn places(self, text: &str) -> Vec<&str> {
        match self {
            NormalForm if is_composed(text) => Vec::new(),
            // It is one of the whole text.
            NormalForm => vec![""],
            kind => all(text).filter(|(_, found)| found.kind == kind).map(|(at, f)| &text[at..at + f.length]).collect(),
        }
    }
}

/// The kinds of rewriting that make the difference between two texts whose folded forms are equal.
pub fn between(one: &str, other: &str) -> impl Iterator<Item = Rewriting> {
    Rewriting::ALL.into_iter().filter(move |kind| kind.places(one) != kind.places(other))
}

/// A text with every rewriting undone.
pub fn folded(text: Cow<'_, str>) -> Cow<'_, str> {
    if is_plain(&text) {
        return text;
    }
    let text = if is_composed(&text) { text } else { Cow::Owned(composed(&text).into_owned()) };
    match undone(&text) {
        Some(plain) => Cow::Owned(plain),
        None => text,
    }
}

/// Whether nothing in a text can have been rewritten, as is so of nearly all.
fn is_plain(text: &str) -> bool {
    text.is_ascii() && !text.bytes().any(|byte| matches!(byte, b'\r' | b'&'))
}

/// What begins a rewriting.
const BEGINNINGS: [char; 8] = ['\r', '&', '\u{a0}', '\u{202f}', '\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}'];

/// What entities stand for, behind their `&`.
const ENTITIES: [(&str, char); 18] = [
    ("lt;", '<'),
    ("gt;", '>'),
    ("quot;", '"'),
    ("apos;", '\''),
    ("nbsp;", ' '),
    ("#34;", '"'),
    ("#39;", '\''),
    ("#039;", '\''),
    ("#47;", '/'),
    ("#160;", ' '),
    ("#x22;", '"'),
    ("#x27;", '\''),
    ("#x2f;", '/'),
    ("#x2F;", '/'),
    ("lsquo;", '\''),
    ("rsquo;", '\''),
    ("ldquo;", '"'),
    ("rdquo;", '"'),
];

/// One place that was rewritten, or may have been.
struct Found {
    kind: Rewriting,
    /// Bytes that it takes.
    length: usize,
    stands_for: char,
}

/// All such places, each with where it begins. One may begin within another, of which it is the end.
fn all(text: &str) -> impl Iterator<Item = (usize, Found)> {
    text.match_indices(BEGINNINGS).filter_map(move |(at, _)| Some((at, begin(&text[at..])?)))
}

fn begin(text: &str) -> Option<Found> {
    let (kind, length, stands_for) = match text.chars().next()? {
        '\r' => {
            // Whatever was rewritten twice has two of them.
            let rest = text.trim_start_matches('\r').strip_prefix('\n')?;
            (LineEnds, text.len() - rest.len(), '\n')
        }
        c @ ('\u{a0}' | '\u{202f}') => (Spaces, c.len_utf8(), ' '),
        c @ ('\u{2018}' | '\u{2019}') => (Quotes, c.len_utf8(), '\''),
        c @ ('\u{201c}' | '\u{201d}') => (Quotes, c.len_utf8(), '"'),
        '&' => return entity(text),
        _ => return None,
    };
    Some(Found { kind, length, stands_for })
}

fn entity(text: &str) -> Option<Found> {
    // What was escaped twice is `&amp;lt;`.
    let rest = text.strip_prefix('&')?.trim_start_matches("amp;");
    let named = ENTITIES.iter().find_map(|(name, sign)| Some((rest.strip_prefix(*name)?, *sign)));
    let (rest, stands_for) = named.unwrap_or((rest, '&'));
    let length = text.len() - rest.len();
    (length > 1).then_some(Found { kind: Entities, length, stands_for })
}

/// The text with what was rewritten as it was; `None` where nothing was.
fn undone(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut done = 0;
    for (at, found) in all(text) {
        if at >= done {
            out.push_str(&text[done..at]);
            out.push(found.stands_for);
            done = at + found.length;
        }
    }
    (done > 0).then(|| out + &text[done..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn folded_form(text: &str) -> String {
        folded(Cow::Borrowed(text)).into_owned()
    }

    #[test]
    fn what_transport_makes_of_a_text_is_the_same_text() {
        let plain = "It's \"<b>\" & so,\nsaid a caf\u{e9}.";
        for (rewritten, kind) in [
            ("It's \"<b>\" & so,\r\nsaid a caf\u{e9}.", LineEnds),
            ("It's \"<b>\" & so,\r\r\nsaid a caf\u{e9}.", LineEnds),
            ("It's\u{a0}\"<b>\"\u{202f}& so,\nsaid a caf\u{e9}.", Spaces),
            ("It&#39;s &quot;&lt;b&gt;&quot; &amp; so,\nsaid a caf\u{e9}.", Entities),
            ("It&amp;#x27;s \"<b>\" &amp;amp; so,\nsaid a caf\u{e9}.", Entities),
            ("It\u{2019}s \u{201c}<b>\u{201d} & so,\nsaid a caf\u{e9}.", Quotes),
            ("It's \"<b>\" & so,\nsaid a cafe\u{301}.", NormalForm),
        ] {
            assert_eq!(folded_form(rewritten), plain, "{rewritten:?}");
            assert_eq!(between(plain, rewritten).collect::<Vec<_>>(), [kind], "{rewritten:?}");
        }
        assert_eq!(between(plain, plain).count(), 0);
    }

    #[test]
    fn what_says_something_else_stays_another_text() {
        for (one, other) in
            [("a\nb", "a b"), ("a-b", "a\u{2013}b"), ("AT&T", "AT T"), ("&copy;", "(c)"), ("a\rb", "ab")]
        {
            assert_ne!(folded_form(one), folded_form(other));
        }
        for text in ["", "a", "AT&T; R&D", "a\rb", "\u{2013}\u{2026}", "&unknown;", "\u{ab}oui\u{bb}"] {
            assert_eq!(folded_form(text), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_folded_stays_so(pieces in prop::collection::vec(
            prop::sample::select(vec!["&", "amp;", "lt;", "#39;", "\r", "\n", "\u{a0}", "\u{2019}", "a", " ", "e\u{301}"]),
            0..12,
        )) {
            let once = folded_form(&pieces.concat());
            prop_assert_eq!(folded_form(&once), once);
        }
    }
}
