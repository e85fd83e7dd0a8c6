//! Server-sent events: bytes in, events out, whatever the pieces in which the bytes come.
//!
//! Layer 3, pure. A parser of our own, because what matters here is out of reach of `eventsource-stream`: limits, and
//! telling a stream that ended after an event from one that was cut within it.

/// Limits on decompressed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest line, and the most data of an event of several lines.
    pub line: usize,
    /// The longest stream.
    pub total: usize,
}

/// One event. Its data is not checked to be UTF-8: that is for whoever reads it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// The event's type; empty when none was given.
    pub name: String,
    /// The data lines, joined by line feeds.
    pub data: Vec<u8>,
}

impl Event {
    /// Whether its type says that it tells of an error: `error`, `Error`, `response.failed`.
    pub fn is_error(&self) -> bool {
        let name = self.name.trim().to_ascii_lowercase();
        ["error", "failed", "failure"].iter().any(|word| name.ends_with(word))
    }
}

/// How a stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Between two events.
    Clean,
    /// Within an event: this much of it had come. Some hosts leave out the blank line after the last one, so it may
    /// still be whole.
    Within(Event),
}

/// A limit was passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Overflow {
    /// A line, or the data of an event, is longer than allowed.
    #[error("an event of the stream is longer than {0} bytes")]
    Event(usize),
    /// The stream is longer than allowed.
    #[error("the stream is longer than {0} bytes")]
    Total(usize),
}

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// An incremental parser.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    total: usize,
    line: Vec<u8>,
    at_start: bool,
    after_cr: bool,
    pending: Pending,
}

#[derive(Debug, Default)]
struct Pending {
    event: Event,
    has_data: bool,
    /// The first and the last character of the data that are no white space. They are kept, since a search at each line
    /// would go through the same white space again and again.
    ends: (Option<u8>, Option<u8>),
}

impl Decoder {
    /// A parser at the beginning of a stream.
    pub fn new(limits: Limits) -> Self {
        Self { limits, total: 0, line: Vec::new(), at_start: true, after_cr: false, pending: Pending::default() }
    }

    /// Takes the next bytes and appends the events that they complete to `events`.
    ///
    /// # Errors
    ///
    /// When a limit is passed; events completed before that are in `events`, and no more may be pushed.
    pub fn push(&mut self, mut bytes: &[u8], events: &mut Vec<Event>) -> Result<(), Overflow> {
        self.total = self.total.saturating_add(bytes.len());
        if self.total > self.limits.total {
            return Err(Overflow::Total(self.limits.total));
        }
        while let Some(&first) = bytes.first() {
            // The line feed of a CRLF whose carriage return has already ended the line, perhaps in an earlier piece.
            if std::mem::take(&mut self.after_cr) && first == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let end = bytes.iter().position(|b| matches!(b, b'\r' | b'\n'));
            let (part, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            if self.line.len() + part.len() > self.limits.line {
                return Err(Overflow::Event(self.limits.line));
            }
            self.line.extend_from_slice(part);
            bytes = rest;
            if let Some((&ending, rest)) = rest.split_first() {
                self.after_cr = ending == b'\r';
                bytes = rest;
                self.end_line(events);
                if self.pending.event.data.len() > self.limits.line {
                    return Err(Overflow::Event(self.limits.line));
                }
            }
        }
        Ok(())
    }

    /// Takes the end of the stream, with the events that its last line completes.
    pub fn finish(mut self) -> (Vec<Event>, Ending) {
        let mut events = Vec::new();
        if !self.line.is_empty() {
            self.end_line(&mut events);
        }
        (events, self.pending.take().map_or(Ending::Clean, Ending::Within))
    }

    fn end_line(&mut self, events: &mut Vec<Event>) {
        let line = std::mem::take(&mut self.line);
        let line = match line.strip_prefix(BOM) {
            Some(rest) if self.at_start => rest,
            _ => line.as_slice(),
        };
        self.at_start = false;
        if line.is_empty() {
            events.extend(self.pending.take());
        } else {
            self.pending.field(line, events);
        }
    }
}

impl Pending {
    /// The event so far, if there is one. One that is named an error needs no data.
    fn take(&mut self) -> Option<Event> {
        let Self { event, has_data, .. } = std::mem::take(self);
        (has_data || event.is_error()).then_some(event)
    }

    fn field(&mut self, line: &[u8], events: &mut Vec<Event>) {
        // Hosts put the bare JSON of an error, or of a whole answer, into a stream that has begun.
        if line.starts_with(b"{") {
            return self.data(line, events);
        }
        let colon = line.iter().position(|b| *b == b':');
        let (name, value) = line.split_at(colon.unwrap_or(line.len()));
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => self.data(value, events),
            // A field of llama.cpp's server.
            b"error" => {
                events.extend(self.take_whole());
                "error".clone_into(&mut self.event.name);
                self.data(value, events);
            }
            b"event" => {
                events.extend(self.take_whole());
                self.event.name = String::from_utf8_lossy(value).into_owned();
            }
            // These, and comments (with an empty name), say nothing about an answer.
            b"" | b"id" | b"retry" => {}
            // JSON of several lines whose later ones are not marked as data, or with a line feed within a text.
            _ if self.is_going_on(line) => self.append(line),
            // Fields unknown to the standard say nothing either.
            _ => {}
        }
    }

    fn data(&mut self, value: &[u8], events: &mut Vec<Event>) {
        if self.is_parted_from(value) {
            events.extend(self.take());
        }
        self.append(value);
    }

    fn append(&mut self, value: &[u8]) {
        if self.has_data {
            self.event.data.push(b'\n');
        }
        self.event.data.extend_from_slice(value);
        self.has_data = true;
        let said = value.trim_ascii();
        let (first, last) = self.ends;
        self.ends = (first.or(said.first().copied()), said.last().copied().or(last));
    }

    /// The event so far, if it looks like a whole JSON object.
    fn take_whole(&mut self) -> Option<Event> {
        if self.ends == (Some(b'{'), Some(b'}')) { self.take() } else { None }
    }

    /// Whether more data are of another event, for hosts that part events by one line feed instead of two: no JSON
    /// goes on behind an object with anything but these characters, and none begins within words.
    fn is_parted_from(&self, value: &[u8]) -> bool {
        let value = value.trim_ascii();
        let Some(&next) = value.first().filter(|_| self.has_data) else { return false };
        match self.ends {
            _ if value == b"[DONE]" => true,
            (Some(b'{'), Some(b'}')) => !b"}],".contains(&next),
            (Some(b'{' | b'[' | b'"') | None, _) => false,
            _ => next == b'{',
        }
    }

    /// Whether a line that is no field goes on with the JSON before it.
    fn is_going_on(&self, line: &[u8]) -> bool {
        let continues = || line.first().is_some_and(|b| b" \t\"}],".contains(b));
        match self.ends {
            (Some(b'{'), Some(b'}')) => continues(),
            (first, _) => first == Some(b'{'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WIDE: Limits = Limits { line: 1 << 20, total: 1 << 22 };

    fn decode(pieces: &[&[u8]], limits: Limits) -> Result<(Vec<Event>, Ending), Overflow> {
        let mut decoder = Decoder::new(limits);
        let mut events = Vec::new();
        for piece in pieces {
            decoder.push(piece, &mut events)?;
        }
        let (last, ending) = decoder.finish();
        events.extend(last);
        Ok((events, ending))
    }

    fn data(text: &str) -> (Vec<String>, Ending) {
        let (events, ending) = decode(&[text.as_bytes()], WIDE).unwrap();
        (events.into_iter().map(|event| String::from_utf8(event.data).unwrap()).collect(), ending)
    }

    #[test]
    fn all_three_line_endings_end_lines() {
        for text in ["data: a\n\ndata: b\n\n", "data: a\r\n\r\ndata: b\r\n\r\n", "data: a\r\rdata: b\r\r"] {
            assert_eq!(data(text), (vec!["a".into(), "b".into()], Ending::Clean), "{text:?}");
        }
    }

    #[test]
    fn comments_other_fields_and_blank_lines_make_no_events() {
        let text = ": OPENROUTER PROCESSING\n\n\n:\nid: 4\nretry: 5\n\nevent: ping\n\ndata: a\n: in between\n\n";
        assert_eq!(data(text), (vec!["a".into()], Ending::Clean));
    }

    #[test]
    fn data_lines_of_one_event_are_joined_and_one_space_is_taken_off() {
        assert_eq!(data("data: a\ndata:  b\ndata\ndata:c\n\n").0, ["a\n b\n\nc"]);
    }

    #[test]
    fn events_of_json_are_parted_by_one_line_feed_too() {
        let (one, two) = (r#"{"a": {"b": 1}}"#, r#"{"c": 2}"#);
        for text in [
            format!("data: {one}\ndata: {two}\ndata: [DONE]\n\n"),
            format!("data: {one}\nevent: message\ndata: {two}\nevent: message\ndata: [DONE]\n\n"),
            format!("{one}\n{two}\ndata: [DONE]\n\n"),
            format!("data: {one}\nid: 1\n{two}\n\ndata: [DONE]\n\n"),
        ] {
            assert_eq!(data(&text), (vec![one.into(), two.into(), "[DONE]".into()], Ending::Clean), "{text}");
        }
        assert_eq!(data(&format!("data: ping\ndata: {one}\ndata: ping\n\n")).0, ["ping", one, "ping"]);
        let (events, _) = decode(&[b"data: {}\nevent: error\ndata: no\n\n"], WIDE).unwrap();
        assert_eq!(events.iter().map(|event| event.name.as_str()).collect::<Vec<_>>(), ["", "error"]);
    }

    #[test]
    fn json_of_several_lines_is_one_event_whether_they_are_marked_or_not() {
        let lines = ["{", " \"a\": [", "  {\"b\": 1}", "  ,{\"b\": 2", "  }", " ], \"c\": \"x", "y\"", "}"];
        let whole = lines.join("\n");
        for text in [
            format!("data: {}\n\n", lines.join("\ndata: ")),
            format!("data: {whole}\n\n"),
            format!(": comment\n\n{whole}\n\n"),
        ] {
            assert_eq!(data(&text), (vec![whole.clone()], Ending::Clean), "{text}");
        }
        assert_eq!(data("data: {}\nunknown: 1\n\n").0, ["{}"]);
    }

    #[test]
    fn an_event_that_is_named_an_error_needs_no_data() {
        for text in ["event: error\n\n", "event: Error\n\n", "event: response.failed\n\n", "event: error\ndata\n\n"] {
            let (events, ending) = decode(&[text.as_bytes()], WIDE).unwrap();
            assert_eq!((events.len(), ending), (1, Ending::Clean), "{text:?}");
            assert!(events[0].is_error() && events[0].data.is_empty());
        }
        assert!(matches!(data("event: error").1, Ending::Within(_)));
        let (events, ending) = data("data: {}\ndata: [DONE]");
        assert!(events == ["{}"] && matches!(ending, Ending::Within(done) if done.data == b"[DONE]"));
    }

    #[test]
    fn a_byte_order_mark_is_skipped_at_the_start_only() {
        assert_eq!(data("\u{feff}data: \u{feff}a\n\n\u{feff}data: b\n\n").0, ["\u{feff}a"]);
    }

    #[test]
    fn an_events_type_is_kept_and_does_not_outlive_it() {
        let (events, _) = decode(&[b"event: error\ndata: a\n\ndata: b\n\n"], WIDE).unwrap();
        assert_eq!(events.iter().map(|event| event.name.as_str()).collect::<Vec<_>>(), ["error", ""]);
    }

    #[test]
    fn an_end_within_an_event_is_told_from_one_between_events() {
        assert_eq!(data("data: a\n\n").1, Ending::Clean);
        assert_eq!(data("data: a\n\n: bye").1, Ending::Clean);
        for text in ["data: a\n\ndata: [DO", "data: a\n\ndata: [DO\n"] {
            let Ending::Within(event) = data(text).1 else { panic!("{text:?} ended cleanly") };
            assert_eq!(event.data, b"[DO");
        }
    }

    #[test]
    fn limits_hold_for_a_line_an_event_and_the_whole() {
        let limits = Limits { line: 8, total: 30 };
        assert!(decode(&[b"data: ab", b"\n\n"], limits).is_ok());
        assert_eq!(decode(&[b"data: ab", b"c\n\n"], limits), Err(Overflow::Event(8)));
        assert_eq!(decode(&[b"data:abc\n", b"data:abc\n", b"data:ab\n\n"], limits), Err(Overflow::Event(8)));
        assert_eq!(decode(&[b"data: a\n\n", b"data: b\n\n", b": wait..\n\n:\n\n"], limits), Err(Overflow::Total(30)));
    }

    proptest! {
        #[test]
        fn bytes_give_the_same_events_however_they_are_split(
            text in "(data: |data:|event: e|: c|\u{feff}|[a-z]|é|\r|\n|\r\n|\n\n){0,40}",
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(decode(&pieces, WIDE), decode(&[bytes], WIDE));
        }

        #[test]
        fn what_was_written_as_events_is_read_back(data in prop::collection::vec("[ -~é]{1,20}", 0..10)) {
            let text: Vec<String> = data.iter().map(|line| format!("data: {line}\r\n\r\n")).collect();
            let (events, ending) = decode(&[text.concat().as_bytes()], WIDE).unwrap();
            let read: Vec<String> = events.into_iter().map(|e| String::from_utf8(e.data).unwrap()).collect();
            prop_assert_eq!(read, data);
            prop_assert_eq!(ending, Ending::Clean);
        }

        #[test]
        fn arbitrary_bytes_never_panic_nor_pass_the_line_limit(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..10),
        ) {
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            if let Ok((events, _)) = decode(&pieces, Limits { line: 32, total: 200 }) {
                prop_assert!(events.iter().all(|event| event.data.len() <= 200));
            }
        }
    }
}
