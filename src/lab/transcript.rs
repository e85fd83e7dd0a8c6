//! From bytes to text that may be sent: no character is split, and nothing of a stop sequence gets out. Pure.

/// The text of an answer as it grows.
pub struct Transcript {
    stops: Vec<String>,
    /// The beginning of a character whose other bytes are still to come.
    bytes: Vec<u8>,
    /// Text that may yet turn out to be the beginning of a stop sequence.
    held: String,
}

/// What a few more bytes bring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// This text may be sent; possibly none.
    Text(String),
    /// This text may be sent, and then a stop sequence came: the answer is over.
    Stopped(String),
}

impl Transcript {
    /// An empty answer that ends before the first of these, none of which may be empty.
    pub fn new(stops: Vec<String>) -> Self {
        Self { stops, bytes: Vec::new(), held: String::new() }
    }

    /// Takes the bytes of the next token.
    pub fn push(&mut self, bytes: &[u8]) -> Progress {
        self.bytes.extend_from_slice(bytes);
        self.decode();
        if let Some(at) = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min() {
            self.held.truncate(at);
            return Progress::Stopped(std::mem::take(&mut self.held));
        }
        let kept = self.held.split_off(self.held.len() - self.suspicious());
        Progress::Text(std::mem::replace(&mut self.held, kept))
    }

    /// What is left when the answer ends by itself, or goes on elsewhere; a character that never became whole shows as U+FFFD.
    pub fn flush(&mut self) -> String {
        let rest = std::mem::take(&mut self.bytes);
        self.held.push_str(&String::from_utf8_lossy(&rest));
        std::mem::take(&mut self.held)
    }

    /// Moves whole characters from bytes to text.
    fn decode(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            self.held.push_str(chunk.valid());
            let unfinished = chunks.peek().is_none()
                && std::str::from_utf8(chunk.invalid()).is_err_and(|error| error.error_len().is_none());
            if unfinished {
                self.bytes = chunk.invalid().to_vec();
            } else if !chunk.invalid().is_empty() {
                self.held.push(char::REPLACEMENT_CHARACTER);
            }
        }
    }

    /// The length of the longest end of the text that a stop sequence begins with.
    fn suspicious(&self) -> usize {
        let begins = |stop: &String| {
            let lengths = stop.char_indices().map(|(at, _)| at).rev();
            lengths.into_iter().find(|at| self.held.ends_with(&stop[..*at])).unwrap_or(0)
        };
        self.stops.iter().map(begins).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(pieces: &[&[u8]], stops: &[&str]) -> (Vec<String>, bool) {
        let mut transcript = Transcript::new(stops.iter().map(|s| (*s).to_owned()).collect());
        let mut texts = Vec::new();
        for piece in pieces {
            match transcript.push(piece) {
                Progress::Text(text) => texts.push(text),
                Progress::Stopped(text) => {
                    texts.push(text);
                    return (texts, true);
                }
            }
        }
        texts.push(transcript.flush());
        (texts, false)
    }

    #[test]
    fn a_character_is_never_split() {
        let crab = "\u{1F980}".as_bytes();
        let (texts, _) = run(&[b"a", &crab[..2], &crab[2..], b"b"], &[]);
        assert_eq!(texts, ["a", "", "\u{1F980}", "b", ""]);
    }

    #[test]
    fn broken_bytes_show_as_replacement_characters() {
        let (texts, _) = run(&[b"a\xff", b"b\xf0\x9f"], &[]);
        assert_eq!(texts, ["a\u{FFFD}", "b", "\u{FFFD}"]);
    }

    #[test]
    fn a_stop_sequence_ends_the_text_even_across_tokens() {
        let (texts, stopped) = run(&[b"one E", b"N", b"D two"], &["END"]);
        assert_eq!((texts.concat().as_str(), stopped), ("one ", true));
    }

    #[test]
    fn what_only_looked_like_a_stop_sequence_is_sent_after_all() {
        let (texts, stopped) = run(&[b"one E", b"N", b"DIVE"], &["END."]);
        assert_eq!(texts, ["one ", "", "ENDIV", "E"].map(str::to_owned));
        assert_eq!((texts.concat().as_str(), stopped), ("one ENDIVE", false));
    }

    proptest! {
        #[test]
        fn pieces_make_up_the_whole(bytes in proptest::collection::vec(any::<u8>(), 0..40), size in 1_usize..5) {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            let (texts, _) = run(&pieces, &[]);
            prop_assert_eq!(texts.concat(), String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn text_ends_before_the_first_stop(text in "[ab]{0,20}", stop in "[ab]{1,3}", size in 1_usize..4) {
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            let (texts, stopped) = run(&pieces, &[&stop]);
            prop_assert_eq!(stopped, text.contains(&stop));
            prop_assert_eq!(texts.concat(), text.split(&stop).next().unwrap_or_default());
        }
    }
}
