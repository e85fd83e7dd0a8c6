//! Channels: one text of an answer, put together from the pieces in which it came.
//!
//! Layer 3, pure. Most hosts send what is new in each piece. Some send all that came so far in each, and some close
//! with the whole text once more. Neither can be told from an honest text that repeats itself, so that what repeats
//! itself is kept as it came.

/// One text of an answer.
#[derive(Debug, Default)]
pub(super) struct Channel {
    text: String,
    /// How many pieces have come.
    pieces: usize,
    /// Where the last of them begins.
    last: usize,
    /// How many of them were longer than the one before.
    growths: usize,
    /// Whether one of them did not begin with the one before.
    parted: bool,
}

/// From this length on, in bytes, and this many pieces, a piece that equals all before it is the whole text sent
/// again.
const WHOLE_AGAIN: (usize, usize) = (16, 3);

/// The same for the piece that comes with the finish reason, where hosts that send the whole text again most often do.
/// Shorter ones may be a token that comes twice: `ha` and `ha`.
const LAST_AGAIN: usize = 8;

/// The same for a piece behind which no other comes, where there are fewer before it.
const AT_THE_END: usize = 20;

/// From this many pieces on that are longer than the one before, each of which begins with the one before, pieces hold
/// all that came so far.
const GROWING: usize = 4;

impl Channel {
    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Takes the next piece.
    pub fn push(&mut self, piece: &str) {
        let (long, often) = WHOLE_AGAIN;
        let is_same = self.text == piece && piece.len() >= long && self.pieces >= often;
        let is_again = is_same && !repeats_itself(piece);
        if piece.is_empty() || is_again {
            return;
        }
        let before = self.last();
        let (parted, grown) = (!piece.starts_with(before), piece.len() > before.len());
        self.parted |= parted;
        self.growths += usize::from(grown);
        self.pieces += 1;
        self.last = self.text.len();
        self.text.push_str(piece);
    }

    /// The last piece.
    fn last(&self) -> &str {
        &self.text[self.last..]
    }

    /// Takes the piece that comes with the finish reason. It replaces all so far when it is the same, but for white
    /// space around it, at least [`LAST_AGAIN`] bytes long, and does not repeat itself: `ha ha ha ha ` may well come
    /// twice.
    pub fn push_last(&mut self, piece: &str) {
        let whole = piece.trim();
        let again = whole.len() >= LAST_AGAIN && is_but_for_space(&self.text, whole) && !repeats_itself(whole);
        // Where each piece held all so far, the last of them is what is sent again.
        let last_again = !whole.is_empty() && self.last().trim() == whole && self.is_growing();
        if again || last_again {
            self.complete_with(piece.to_owned());
        } else {
            self.push(piece);
        }
    }

    /// Takes a whole text, where it goes on from what has come.
    pub fn complete(&mut self, whole: String) {
        if whole.starts_with(&self.text) {
            self.complete_with(whole);
        }
    }

    fn complete_with(&mut self, whole: String) {
        *self = Self { last: whole.len(), text: whole, ..Self::default() };
    }

    /// The text.
    pub fn finish(mut self) -> String {
        if self.is_growing() {
            return self.text.split_off(self.last);
        }
        if self.is_whole_again() {
            self.text.truncate(self.last);
        }
        self.text
    }

    /// Whether the last piece says all before it once more, however few pieces there are. Lines that are sent one by one
    /// may be the same twice, and have white space where they meet.
    fn is_whole_again(&self) -> bool {
        let (before, last) = self.text.split_at(self.last);
        let is_same = last.len() >= AT_THE_END && last.trim() == last && is_but_for_space(before, last);
        is_same && !before.ends_with(char::is_whitespace) && !repeats_itself(last)
    }

    /// Whether each piece holds all that came so far. A piece may come twice: the next token was half of a character,
    /// or the host says so that it finished.
    fn is_growing(&self) -> bool {
        // `ab`, `abab`, `ababab`, … may be new text each.
        self.growths >= GROWING && !self.parted && !repeats_itself(self.last())
    }
}

/// Whether a text is this one, which neither begins nor ends with white space, but for white space around it. It is read
/// from its end, where a text that has gone on differs at once.
fn is_but_for_space(text: &str, whole: &str) -> bool {
    text.trim_end().strip_suffix(whole).is_some_and(|before| before.chars().rev().all(char::is_whitespace))
}

/// Whether a text is some shorter one at least twice over, the last time perhaps not to its end.
fn repeats_itself(text: &str) -> bool {
    let text = text.as_bytes();
    // How long the longest beginning of the text is that also ends before each place.
    let mut borders = vec![0; text.len()];
    let mut length = 0;
    for place in 1..text.len() {
        while length > 0 && text[place] != text[length] {
            length = borders[length - 1];
        }
        length += usize::from(text[place] == text[length]);
        borders[place] = length;
    }
    length > 0 && 2 * (text.len() - length) <= text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The text of these pieces, the last of which comes with the finish reason.
    fn joined(pieces: &[&str]) -> String {
        let mut channel = Channel::default();
        let (last, pieces) = pieces.split_last().unwrap();
        for piece in pieces {
            channel.push(piece);
        }
        channel.push_last(last);
        channel.finish()
    }

    #[test]
    fn what_the_last_piece_says_again_is_no_more_of_the_text() {
        for pieces in [
            &["Heath island", "Heath island"][..],
            &["Heath ", "island", "Heath island"],
            &[" Heath", " island", "Heath island"],
            &["Heath ", "island", ", so it is", "Heath island, so it is"],
        ] {
            assert_eq!(joined(pieces), *pieces.last().unwrap(), "{pieces:?}");
        }
        for honest in [&["ha", "ha"][..], &["ha ha ha ", "ha ha ha "], &["\n", "\n"], &["Heath", "Heath"], &["a", ""]] {
            assert_eq!(joined(honest), honest.concat(), "{honest:?}");
        }
    }

    #[test]
    fn a_short_text_that_comes_again_before_its_end_is_read_once() {
        let whole = "The heath island holds.";
        for pieces in [
            &[whole, whole, ""][..],
            &["The heath ", "island holds.", whole, ""],
            &[" The heath island holds.", whole, ""],
        ] {
            assert_eq!(joined(pieces).trim(), whole, "{pieces:?}");
        }
        let line = "The heath island holds.\n";
        for honest in [
            &[line, line, ""][..],
            &[whole, whole, "\nSo it is.", ""],
            &["Heath island.", "Heath island.", ""],
            &["holds and holds and holds", "holds and holds and holds", ""],
        ] {
            assert_eq!(joined(honest), honest.concat(), "{honest:?}");
        }
    }

    #[test]
    fn pieces_that_hold_all_so_far_are_known_whatever_their_last_one_is() {
        let all = ["Heath", "Heath", "Heath isl", "Heath island", "Heath island, "];
        for last in ["", "Heath island, ", "Heath island,", "Heath island, so"] {
            let text = joined(&[&all[..], &[last]].concat());
            assert_eq!(text.trim(), if last.is_empty() { "Heath island," } else { last.trim() }, "{last:?}");
        }
        let spaced =
            [" Heath", " Heath isl", " Heath island", " Heath island,", " Heath island, so", "Heath island, so"];
        assert_eq!(joined(&spaced), "Heath island, so");
    }

    #[test]
    fn a_text_repeats_itself_from_twice_on() {
        for text in ["abab", "aba b aba b a", "  ", "aa", "\n\n\n", "ha ha ha"] {
            assert!(repeats_itself(text), "{text:?}");
        }
        for text in ["", "a", "ab", "aba", "abcab", "Heath island"] {
            assert!(!repeats_itself(text), "{text:?}");
        }
    }

    fn split(text: &str, cuts: &[prop::sample::Index]) -> Vec<String> {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| text.floor_char_boundary(cut.index(text.len() + 1))).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        cuts.windows(2).map(|pair| text[pair[0]..pair[1]].to_owned()).collect()
    }

    proptest! {
        #[test]
        fn honest_pieces_are_joined(
            text in "\\PC{0,60}",
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let pieces = split(&text, &cuts);
            prop_assert_eq!(joined(&pieces.iter().map(String::as_str).collect::<Vec<_>>()), text);
        }

        #[test]
        fn honest_pieces_of_texts_that_repeat_themselves_are_joined(
            unit in prop::sample::select(vec!["ab", " ", "\n", "ha ", "aab", "No. ", "éa"]),
            times in 0usize..40,
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let text = unit.repeat(times);
            let pieces = split(&text, &cuts);
            prop_assert_eq!(joined(&pieces.iter().map(String::as_str).collect::<Vec<_>>()), text);
        }

        #[test]
        fn pieces_that_hold_all_so_far_give_the_last(
            words in prop::collection::vec("[a-z]{1,6}", 5..20),
            again in any::<bool>(),
        ) {
            let text = format!("The {} end", words.join(" "));
            let mut all: Vec<&str> = (4..=text.len()).step_by(5).map(|end| &text[..end]).collect();
            all.push(&text);
            all.extend(again.then_some(text.as_str()));
            prop_assert_eq!(joined(&all), text.clone());
        }
    }
}
