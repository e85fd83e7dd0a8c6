//! Views: text with one layer of escapes after the other taken off, and where each byte stood in the original.
//!
//! Part of layer 1's redaction, pure.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;

/// How many layers of escapes are seen through: JSON in a JSON string in a query, and no more.
pub const DEPTH: usize = 3;

/// Text under fewer escapes than the original.
pub(super) struct View<'a> {
    pub bytes: Cow<'a, [u8]>,
    /// For each byte its place in the original, then the original's length; nothing for the original itself.
    sources: Option<Vec<usize>>,
}

impl<'a> View<'a> {
    /// The original.
    pub fn of(text: &'a str) -> Self {
        Self { bytes: Cow::Borrowed(text.as_bytes()), sources: None }
    }

    /// Where a part of this view stands in the original.
    pub fn source(&self, range: Range<usize>) -> Range<usize> {
        match &self.sources {
            None => range,
            Some(sources) => sources[range.start]..sources[range.end],
        }
    }

    /// The views with one more layer of escapes taken off, of each kind that occurs.
    pub fn unescaped(&self) -> impl Iterator<Item = Self> {
        Escape::ALL.into_iter().filter_map(|escape| self.without(escape))
    }

    /// The same with one layer of this escape read; `None` when there is none.
    fn without(&self, escape: Escape) -> Option<Self> {
        let mut at = self.next_escape(escape, 0)?;
        let mut bytes = self.bytes[..at].to_vec();
        let mut sources: Vec<usize> = Vec::with_capacity(self.bytes.len() + 1);
        sources.extend((0..at).map(|index| self.place(index)));
        while at < self.bytes.len() {
            if let Some((read, length)) = escape.read(&self.bytes[at..]) {
                sources.extend(std::iter::repeat_n(self.place(at), read.len()));
                bytes.extend_from_slice(read.as_bytes());
                at += length;
            }
            let next = self.next_escape(escape, at).unwrap_or(self.bytes.len());
            bytes.extend_from_slice(&self.bytes[at..next]);
            sources.extend((at..next).map(|index| self.place(index)));
            at = next;
        }
        sources.push(self.place(self.bytes.len()));
        Some(Self { bytes: Cow::Owned(bytes), sources: Some(sources) })
    }

    /// Where the next escape of this kind begins, from `at` on.
    fn next_escape(&self, escape: Escape, mut at: usize) -> Option<usize> {
        loop {
            at += memchr(escape.marker(), self.bytes.get(at..)?)?;
            if escape.read(&self.bytes[at..]).is_some() {
                return Some(at);
            }
            at += 1;
        }
    }

    fn place(&self, index: usize) -> usize {
        self.sources.as_ref().map_or(index, |sources| sources[index])
    }
}

/// A kind of escape that text may stand under.
#[derive(Debug, Clone, Copy)]
pub(super) enum Escape {
    /// Backslashes, as in a JSON string.
    Json,
    /// `%` and two hexadecimal digits, as in a URL.
    Percent,
    /// `&` and a name or a number, as in HTML.
    Html,
}

/// What an escape stands for: a few bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Short {
    bytes: [u8; 4],
    length: usize,
}

impl Short {
    fn byte(byte: u8) -> Self {
        Self { bytes: [byte, 0, 0, 0], length: 1 }
    }

    fn char(c: char) -> Self {
        let mut bytes = [0; 4];
        let length = c.encode_utf8(&mut bytes).len();
        Self { bytes, length }
    }

    fn len(self) -> usize {
        self.length
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Escape {
    const ALL: [Self; 3] = [Self::Json, Self::Percent, Self::Html];

    fn marker(self) -> u8 {
        match self {
            Self::Json => b'\\',
            Self::Percent => b'%',
            Self::Html => b'&',
        }
    }

    /// What the escape at the beginning of `bytes` stands for, and its length; `None` when there is none.
    fn read(self, bytes: &[u8]) -> Option<(Short, usize)> {
        match self {
            Self::Percent => match bytes {
                [b'%', high, low, ..] => Some((Short::byte(hex(&[*high, *low])? as u8), 3)),
                _ => None,
            },
            Self::Json => json(bytes),
            Self::Html => html(bytes),
        }
    }
}

fn json(bytes: &[u8]) -> Option<(Short, usize)> {
    match bytes {
        [b'\\', c @ (b'"' | b'\'' | b'\\' | b'/'), ..] => Some((Short::byte(*c), 2)),
        [b'\\', b'n', ..] => Some((Short::byte(b'\n'), 2)),
        [b'\\', b'r', ..] => Some((Short::byte(b'\r'), 2)),
        [b'\\', b't', ..] => Some((Short::byte(b'\t'), 2)),
        [b'\\', b'x', high, low, ..] => Some((Short::byte(hex(&[*high, *low])? as u8), 4)),
        [b'\\', b'u', a, b, c, d, ..] => Some((Short::char(char::from_u32(hex(&[*a, *b, *c, *d])?)?), 6)),
        _ => None,
    }
}

/// The longest number or name of an entity that is read: with leading zeros, no one writes more.
const LONGEST_ENTITY: usize = 12;

fn html(bytes: &[u8]) -> Option<(Short, usize)> {
    let inner = bytes.strip_prefix(b"&")?;
    let (number, base, before) = match inner {
        [b'#', b'x' | b'X', rest @ ..] => (rest, 16, 3),
        [b'#', rest @ ..] => (rest, 10, 2),
        _ => return named(inner),
    };
    let digits = number.iter().take(LONGEST_ENTITY).take_while(|&&b| char::from(b).is_digit(base)).count();
    let text = std::str::from_utf8(&number[..digits]).ok()?;
    let c = u32::from_str_radix(text, base).ok().and_then(char::from_u32)?;
    let closed = usize::from(number.get(digits) == Some(&b';'));
    Some((Short::char(c), before + digits + closed))
}

/// Entities that stand for what a secret or Base64 may hold.
const NAMED: &[(&str, u8)] = &[
    ("Hat", b'^'),
    ("NewLine", b'\n'),
    ("Tab", b'\t'),
    ("amp", b'&'),
    ("apos", b'\''),
    ("ast", b'*'),
    ("bsol", b'\\'),
    ("colon", b':'),
    ("comma", b','),
    ("commat", b'@'),
    ("dollar", b'$'),
    ("equals", b'='),
    ("excl", b'!'),
    ("grave", b'`'),
    ("gt", b'>'),
    ("lbrace", b'{'),
    ("lbrack", b'['),
    ("lcub", b'{'),
    ("lowbar", b'_'),
    ("lpar", b'('),
    ("lsqb", b'['),
    ("lt", b'<'),
    ("nbsp", b' '),
    ("num", b'#'),
    ("percnt", b'%'),
    ("period", b'.'),
    ("plus", b'+'),
    ("quest", b'?'),
    ("quot", b'"'),
    ("rbrace", b'}'),
    ("rbrack", b']'),
    ("rcub", b'}'),
    ("rpar", b')'),
    ("rsqb", b']'),
    ("semi", b';'),
    ("sol", b'/'),
    ("verbar", b'|'),
    ("vert", b'|'),
];

fn named(inner: &[u8]) -> Option<(Short, usize)> {
    let end = inner.iter().take(LONGEST_ENTITY).position(|&b| b == b';')?;
    let name = &inner[..end];
    let (_, byte) = NAMED.iter().find(|(known, _)| known.as_bytes() == name)?;
    Some((Short::byte(*byte), end + 2))
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, &digit| Some(number * 16 + char::from(digit).to_digit(16)?))
}
