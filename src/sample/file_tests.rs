//! Tests of reading and writing sample files.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::sample::{Latency, SampleError, SampleParameters, ToolCall, Traits, Usage};

fn read(text: &str) -> Result<Vec<Sample>, SampleFileError> {
    read_samples(text.as_bytes(), "s.jsonl")
}

/// The line, the reason and the number of bad lines with which a text is refused.
fn refusal(bytes: &[u8]) -> (usize, LineError, usize) {
    match read_samples(bytes, "s.jsonl") {
        Err(SampleFileError::BadLine { place, reason, bad_lines }) => (place.line, reason, bad_lines),
        other => panic!("not refused for a line: {other:?}"),
    }
}

const GOOD: &str = r#"{"endpoint":"e","probe":"p","text":"t"}"#;

#[test]
fn three_fields_make_a_sample() {
    assert_eq!(read(GOOD).unwrap(), [Sample::new("e", "p", "t")]);
}

#[test]
fn utf_16_is_named_and_a_mark_at_the_start_of_any_line_is_none_of_its_text() {
    let utf16: Vec<u8> = format!("\u{feff}{GOOD}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(refusal(&utf16).1, LineError::Utf16);
    let other = GOOD.replace("\"t\"", "\"u\"");
    assert_eq!(read(&format!("\u{feff}{GOOD}\n\u{feff}{other}\n")).unwrap().len(), 2, "two files behind each other");
}

#[test]
fn every_kind_of_bad_line_is_refused_with_its_line_and_reason() {
    let cases: [(&[u8], LineError); 13] = [
        (b"{\"endpoint\":", LineError::NotJson { message: "EOF while parsing a value".into(), column: 12 }),
        (b"[1]", LineError::NotAnObject { found: "an array" }),
        (b"{} {}", LineError::NotJson { message: "trailing characters".into(), column: 4 }),
        (
            br#"{"schema":"other/2","endpoint":"e","probe":"p","text":""}"#,
            LineError::WrongSchema { found: "\"other/2\"".into() },
        ),
        (br#"{"schema":1,"endpoint":"e","probe":"p","text":""}"#, LineError::WrongSchema { found: "1".into() }),
        (br#"{"endpoint":"e","text":""}"#, LineError::Missing { field: "probe" }),
        (br#"{"endpoint":"e","probe":"p","text":null}"#, LineError::Missing { field: "text" }),
        (br#"{"endpoint":"","probe":"p","text":""}"#, LineError::Empty { field: "endpoint" }),
        (br#"{"endpoint":"e","probe":" ","text":""}"#, LineError::Empty { field: "probe" }),
        (
            br#"{"endpoint":"e","probe":"p","text":"","replicate":-1}"#,
            LineError::WrongType {
                field: "replicate".into(),
                message: "invalid value: integer `-1`, expected u32".into(),
            },
        ),
        (
            br#"{"endpoint":"e","probe":"p","text":["a"]}"#,
            LineError::WrongType { field: "text".into(), message: "invalid type: sequence, expected a string".into() },
        ),
        (b"{\"endpoint\":\"\xff\"}", LineError::NotUtf8 { at: 14 }),
        (
            br#"{"endpoint":"e","probe":"p","text":"a","text":"b"}"#,
            LineError::Twice { message: "the field `text` is given twice".into(), column: 50 },
        ),
    ];
    for (line, reason) in cases {
        let file = [GOOD.as_bytes(), b"\n", line, b"\n"].concat();
        assert_eq!(refusal(&file), (2, reason, 1), "{}", String::from_utf8_lossy(line));
    }
}

#[test]
fn the_message_names_file_line_reason_and_the_number_of_bad_lines() {
    let error = read(&format!("{GOOD}\n{{}}\n{GOOD}\nnonsense\n7\n")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "s.jsonl:2: the required field `endpoint` is missing (and 2 more bad lines); nothing was read"
    );
}

#[test]
fn a_line_over_the_limit_is_refused_and_the_next_one_is_still_seen() {
    let mut file = vec![b' '; MAX_LINE_BYTES + 1];
    file.extend_from_slice(b"\n{}\n");
    assert_eq!(refusal(&file), (1, LineError::TooLong, 2));
    file.drain(..1);
    file.truncate(MAX_LINE_BYTES);
    assert_eq!(read_samples(file.as_slice(), "s").unwrap(), []);
}

#[test]
fn a_line_without_end_is_given_up() {
    assert!(matches!(
        read_samples(io::BufReader::new(io::repeat(0)), "zero"),
        Err(SampleFileError::BadLine { reason: LineError::TooLong, bad_lines: 1, .. })
    ));
}

#[test]
fn a_compressed_file_is_named_with_what_unpacks_it() {
    for (mark, words) in [
        (
            &b"\x1f\x8b\x08\0\n\0\n"[..],
            "compressed by gzip: unpack it on the way, as in `zcat FILE | samemodel compare -`;",
        ),
        (&b"\x28\xb5\x2f\xfd\n\n\xff"[..], "compressed by zstd: unpack it on the way, as in `zstdcat FILE |"),
    ] {
        let error = read_samples(mark, "s.jsonl.gz").unwrap_err().to_string();
        assert!(error.starts_with("s.jsonl.gz:1: it is ") && error.contains(words), "{error}");
        assert!(error.ends_with("; nothing was read") && !error.contains("more bad"), "{error}");
    }
}

#[test]
fn a_sample_too_long_to_be_read_back_is_not_written() {
    let sample = Sample::new("e", "p", "x".repeat(MAX_LINE_BYTES));
    let error = write_samples(io::sink(), [&sample]).unwrap_err();
    assert!(error.to_string().contains("probe `p` at endpoint `e`"), "{error}");
}

#[test]
fn blank_lines_crlf_a_byte_order_mark_unknown_fields_and_nulls_are_tolerated() {
    let line = r#"{"endpoint":"e","probe":"p","text":"t","mine":[1],"tool_calls":null,"replicate":null}"#;
    let samples = read(&format!("\u{feff}\r\n\n{line}\r\n  \n")).unwrap();
    assert_eq!(samples, [Sample::new("e", "p", "t")]);
}

#[test]
fn an_empty_file_holds_no_samples() {
    assert_eq!(read("").unwrap(), []);
}

fn line(endpoint: &str, more: &str) -> String {
    format!("{{\"endpoint\":\"{endpoint}\",\"probe\":\"p\",\"text\":\"\"{more}}}\n")
}

#[test]
fn lines_without_a_number_are_numbered_per_endpoint_and_probe_around_the_numbers_given() {
    let text = [line("a", ""), line("b", ""), line("a", ""), line("a", ",\"replicate\":1"), line("a", "")].concat();
    let numbers: Vec<u32> = read(&text).unwrap().iter().map(|s| s.replicate).collect();
    assert_eq!(numbers, [0, 0, 2, 1, 3]);
}

#[test]
fn a_failed_line_takes_the_number_of_the_answer_after_it() {
    let failed = line("a", ",\"error\":{\"kind\":\"reset\"}");
    let text = [line("a", ""), failed.clone(), failed, line("a", "")].concat();
    let numbers: Vec<u32> = read(&text).unwrap().iter().map(|s| s.replicate).collect();
    assert_eq!(numbers, [0, 1, 1, 1]);
}

#[test]
fn two_answers_with_one_number_are_refused_naming_both_lines_but_failures_may_repeat() {
    let answer = line("a", ",\"replicate\":4");
    let failed = line("a", ",\"replicate\":4,\"error\":{\"kind\":\"reset\"}");
    assert_eq!(read(&[failed.clone(), failed, answer.clone()].concat()).unwrap().len(), 3);
    assert_eq!(
        read(&[answer.clone(), answer].concat()).unwrap_err().to_string(),
        "s.jsonl:2: replicate 4 of probe `p` at endpoint `a` was already given at s.jsonl:1; \
         renumber or remove one; nothing was read"
    );
}

#[test]
fn several_files_are_numbered_and_checked_as_one() {
    let mut files = SampleReader::default();
    files.read(line("a", "").as_bytes(), "one").unwrap();
    files.read(line("a", "").as_bytes(), "two").unwrap();
    let numbers: Vec<u32> = files.finish().unwrap().iter().map(|s| s.replicate).collect();
    assert_eq!(numbers, [0, 1]);
    let mut files = SampleReader::default();
    files.read(line("a", ",\"replicate\":0").as_bytes(), "one").unwrap();
    files.read(line("a", ",\"replicate\":0").as_bytes(), "two").unwrap();
    assert!(files.finish().unwrap_err().to_string().contains("two:1: replicate 0"));
}

#[test]
fn a_reader_that_fails_is_named() {
    struct Broken;
    impl io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("gone"))
        }
    }
    let error = read_samples(io::BufReader::new(Broken), "s.jsonl").unwrap_err();
    assert_eq!(error.to_string(), "s.jsonl: gone");
}

fn parameters() -> impl Strategy<Value = SampleParameters> {
    let numbers = (any::<Option<u32>>(), any::<Option<u64>>());
    let floats = (proptest::option::of(0.0..2.0), proptest::option::of(0.0..1.0));
    (floats, numbers, proptest::collection::vec(".{0,3}", 0..2)).prop_map(|(floats, numbers, stop)| SampleParameters {
        temperature: floats.0,
        max_tokens: numbers.0,
        top_p: floats.1,
        seed: numbers.1,
        stop,
        stream: numbers.1.map(|seed| seed % 2 == 0),
        traits: numbers.0.map(|n| Traits { messages: n, tools: vec!["look".into()], ..Traits::default() }),
        ..SampleParameters::default()
    })
}

prop_compose! {
    fn told_by_the_host()(
        text in ".{0,12}",
        words in proptest::collection::vec(proptest::option::of(".{0,6}"), 6),
        usage in any::<Option<(Option<u64>, Option<u64>)>>(),
        calls in proptest::collection::vec((".{0,4}", ".{0,4}"), 0..3),
        logprob in proptest::option::of(-50.0..0.0),
        latency in any::<Option<(Option<u64>, u64)>>(),
    ) -> Sample {
        let mut words = words.into_iter();
        let mut word = || words.next().flatten();
        Sample {
            reasoning: word(),
            finish_reason: word(),
            response_model: word(),
            system_fingerprint: word(),
            provider: word(),
            response_id: word(),
            usage: usage.map(|(prompt_tokens, completion_tokens)| Usage { prompt_tokens, completion_tokens, ..Usage::default() }),
            tool_calls: calls.into_iter().map(|(name, arguments)| ToolCall { name, arguments }).collect(),
            logprobs: logprob.map(|value| serde_json::json!({ "content": [{ "logprob": value }] })),
            latency_ms: latency.map(|(first_token, total)| Latency { first_token, total }),
            ..Sample::new("", "", text)
        }
    }
}

prop_compose! {
    /// Any sample that can stand in a file.
    pub(crate) fn sample()(
        told in told_by_the_host(),
        names in ("\\S.{0,4}", "\\S.{0,4}"),
        known in (proptest::option::of(".{0,6}"), proptest::option::of("[0-9a-f]{8}")),
        at in proptest::option::of(0..4_000_000_000_000_000_000_i128),
        error in proptest::option::weighted(0.2, ("[a-z_]{1,8}", ".{0,6}")),
        parameters in proptest::option::of(parameters()),
        headers in proptest::collection::btree_map("[a-z-]{1,6}", ".{0,6}", 0..2),
    ) -> Sample {
        Sample {
            endpoint: names.0,
            probe: names.1,
            model: known.0,
            probe_digest: known.1,
            at: at.map(|ns| jiff::Timestamp::from_nanosecond(ns).unwrap()),
            error: error.map(|(kind, message)| SampleError { kind, message }),
            parameters,
            headers: BTreeMap::from_iter(headers),
            ..told
        }
    }
}

/// Some samples in which each number is given once.
pub(crate) fn samples() -> impl Strategy<Value = Vec<Sample>> {
    proptest::collection::vec(sample(), 0..6).prop_map(|mut samples| {
        (0..).zip(&mut samples).for_each(|(number, sample)| sample.replicate = number);
        samples
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read_back(samples in samples()) {
        let mut file = Vec::new();
        write_samples(&mut file, &samples).unwrap();
        prop_assert_eq!(read_samples(file.as_slice(), "s").unwrap(), samples);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_samples(bytes.as_slice(), "s");
    }

    #[test]
    fn a_damaged_file_never_panics_and_never_gives_more_than_it_holds(
        samples in samples(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut file = Vec::new();
        write_samples(&mut file, &samples).unwrap();
        if !file.is_empty() {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if let Ok(read) = read_samples(file.as_slice(), "s") {
            prop_assert!(read.len() <= samples.len() + 1);
        }
    }
}
