//! Comments of a stream: left out of what is kept of it, since hosts send as many as they like while they think.
//!
//! Layer 3, pure.

use memchr::memchr2;

/// Takes the comments out of a stream, whatever the pieces in which its bytes come.
#[derive(Debug, Default)]
pub(super) struct Comments {
    place: Place,
    any: bool,
}

/// Where the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    /// At the beginning of a line.
    #[default]
    Start,
    /// In a line that is kept.
    Line,
    Comment,
    /// Behind the carriage return of a comment, whose line feed may follow.
    Return,
    /// At the beginning of a line behind a comment.
    Behind,
}

impl Comments {
    /// Appends what of these bytes is no comment to `out`. Blank lines behind a comment are left out where they end no event.
    pub(super) fn strip(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while let Some((&first, rest)) = bytes.split_first() {
            self.place = match self.place {
                Place::Return => {
                    bytes = if first == b'\n' { rest } else { bytes };
                    Place::Behind
                }
                Place::Start | Place::Behind if first == b':' => {
                    self.any = true;
                    Place::Comment
                }
                Place::Behind if matches!(first, b'\r' | b'\n') && is_between_events(out) => {
                    bytes = rest;
                    Place::Behind
                }
                Place::Start | Place::Behind => Place::Line,
                Place::Line => {
                    let (line, rest) = split_line(bytes);
                    out.extend_from_slice(line);
                    bytes = rest;
                    if line.ends_with(b"\n") || line.ends_with(b"\r") { Place::Start } else { Place::Line }
                }
                Place::Comment => {
                    let (line, rest) = split_line(bytes);
                    bytes = rest;
                    match line.last() {
                        Some(b'\n') => Place::Behind,
                        Some(b'\r') => Place::Return,
                        _ => Place::Comment,
                    }
                }
            };
        }
    }

    /// Whether there were any.
    pub(super) fn were_any(&self) -> bool {
        self.any
    }
}

/// What comes up to the end of the line, which is the first byte that ends one, and what comes behind it.
fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes.split_at(memchr2(b'\r', b'\n', bytes).map_or(bytes.len(), |end| end + 1))
}

fn is_between_events(kept: &[u8]) -> bool {
    kept.is_empty() || [b"\n\n".as_slice(), b"\r\r", b"\r\n\r\n"].iter().any(|blank| kept.ends_with(blank))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stripped<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
        let (mut comments, mut out) = (Comments::default(), Vec::new());
        pieces.into_iter().for_each(|piece| comments.strip(piece, &mut out));
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn comments_are_left_out_and_events_stay_apart() {
        for (stream, kept) in [
            (": a\n\n: b\n\ndata: 1\n\n: c\n\ndata: 2\n\n", "data: 1\n\ndata: 2\n\n"),
            ("data: 1\n: a\n\ndata: 2\n\n", "data: 1\n\ndata: 2\n\n"),
            (": a\r\n\r\ndata: 1\r\n: b\r\n\r\n: c\r\n\r\ndata: 2\r\n\r\n", "data: 1\r\n\r\ndata: 2\r\n\r\n"),
            ("data: : no comment\n\n\n\n: a", "data: : no comment\n\n\n\n"),
        ] {
            assert_eq!(stripped([stream.as_bytes()]), kept, "{stream:?}");
        }
    }

    proptest! {
        #[test]
        fn the_pieces_in_which_a_stream_comes_change_nothing(stream in "[a:\r\n]{0,40}", cut in 0usize..41) {
            let (first, second) = stream.as_bytes().split_at(cut.min(stream.len()));
            prop_assert_eq!(stripped([first, second]), stripped([stream.as_bytes()]));
        }

        #[test]
        fn a_stream_without_comments_stays_as_it_is(stream in "[a\r\n]{0,40}") {
            prop_assert_eq!(stripped([stream.as_bytes()]), stream);
        }
    }
}
