//! Tests of redaction: whatever a secret is, however it is encoded and wherever it is cut.

use std::fmt::Write as _;

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use proptest::prelude::*;
use serde_json::json;

const SECRET: &str = "sk/\"a+b\"?Zq7";

const ADDRESS: &str =
    "https://hooks.slack.com/services/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?id=tok-55aa66bb#frag-77cc";

#[test]
fn a_secret_is_masked_plain_escaped_and_percent_encoded_with_the_text_around_it_kept() {
    let redactor = Redactor::new([SECRET]);
    for (echo, expected) in [
        ("Bearer sk/\"a+b\"?Zq7!", "Bearer [redacted]!"),
        (r#"{"e":"é sk/\"a+b\"?Zq7 ü"}"#, r#"{"e":"é [redacted] ü"}"#),
        (r#"{"e":"sk\/\"a+b\"?\u005aq7"}"#, r#"{"e":"[redacted]"}"#),
        (r#"{"e":"{\"f\":\"sk\\\/\\\"a+b\\\"?Zq7\"}"}"#, r#"{"e":"{\"f\":\"[redacted]\"}"}"#),
        ("/login?key=sk%2F%22a%2Bb%22%3FZq7&x=1", "/login?key=[redacted]&x=1"),
        ("/login?key=%73k%2f%22a+b%22?Zq7", "/login?key=[redacted]"),
        ("<b>sk/&quot;a+b&#34;&#x3F;Zq7</b>", "<b>[redacted]</b>"),
        ("&#115;k&sol;\"a&plus;b&#x000022;?Z&#113 7", "[redacted]"),
        ("sk/\"a+b\"?Zq7sk/\"a+b\"?Zq7", "[redacted][redacted]"),
        ("sk/\"a\r\n +b\"?Zq7", "[redacted]"),
        ("s\0k/\"a\x1B+b\"?Z\x7Fq7", "[redacted]"),
        (r#"s\u0001k/\"a+b\"?Zq7"#, "[redacted]"),
    ] {
        assert_eq!(redactor.redact(echo), expected);
        assert!(redactor.finds(echo));
    }
}

#[test]
fn eight_characters_in_a_row_are_masked_and_seven_are_text() {
    let redactor = Redactor::new(["abcdefghijklmnop"]);
    assert_eq!(redactor.redact("xx cdefghij yy"), "xx [redacted] yy");
    assert_eq!(redactor.redact("cdefghi"), "cdefghi");
    assert_eq!(Redactor::new(["abcd"]).redact("abc abcd"), "abc [redacted]", "a shorter secret is masked whole");
}

#[test]
fn base64_is_masked_wherever_the_secret_stands_in_what_was_encoded() {
    let redactor = Redactor::new([SECRET]);
    for user in ["", "u", "us", "user:", "Bearer "] {
        let encoded = STANDARD.encode(format!("{user}{SECRET}:end"));
        let left = redactor.redact(&encoded).into_owned();
        assert!(left.contains(MASK) && left.len() <= encoded.len() - 12 + MASK.len(), "{encoded} became {left}");
        let lines = format!("{}\r\n{}", &encoded[..9], &encoded[9..]);
        assert!(redactor.redact(&lines).len() <= encoded.len() - 12 + MASK.len(), "in lines, {lines}");
    }
}

#[test]
fn hexadecimal_digits_are_masked_in_either_case_and_with_the_usual_marks() {
    let redactor = Redactor::new(["canary-7f3a"]);
    for echo in [
        "63616e6172792d37663361",
        "63616E6172792D37663361",
        "63:61:6e:61:72:79:2d:37:66:33:61",
        "63 61 6e 61 72 79 2d 37 66 33 61",
        r"\x63\x61\x6e\x61\x72\x79\x2d\x37\x66\x33\x61",
        "0x63, 0x61, 0x6e, 0x61, 0x72, 0x79, 0x2d, 0x37, 0x66, 0x33, 0x61",
    ] {
        let out = redactor.redact(echo);
        assert!(out.ends_with(MASK) && out.len() <= MASK.len() + 2, "{echo} became {out}");
    }
}

#[test]
fn a_secret_is_masked_in_small_letters_and_in_capitals_in_every_encoding() {
    let secret = "sk-Adv7Qx9ZrT4";
    let redactor = Redactor::new([secret]);
    for form in [secret.to_owned(), secret.to_lowercase(), secret.to_uppercase()] {
        let hex = form.bytes().fold(String::new(), |out, byte| out + &format!("{byte:02x}"));
        for echo in [form.clone(), form.replace('-', "%2D"), hex, form[3..].to_owned(), form.replace('7', "7\n ")] {
            assert_eq!(redactor.redact(&format!("<{echo}>")), "<[redacted]>", "{echo}");
        }
        assert!(redactor.finds(&STANDARD.encode(format!("to:{form}"))), "{form}");
        assert_eq!(redactor.redact(&form[..7]), &form[..7]);
    }
    let short = Redactor::new(["Test"]);
    assert_eq!(short.redact("a test, a TEST, a Test"), "a test, a TEST, a [redacted]", "a common word in another case");
    let address = Redactor::new(["https://h.example/A/b"]);
    assert_eq!(address.redact("post HTTPS://H.EXAMPLE/A/B: 500"), "post [redacted]: 500");
}

#[test]
fn text_without_a_secret_is_handed_back_as_it_is() {
    let text = r"100 % of \u00e9 and \\ and %zz, c2svImErYg==, % &amp; &nothing; 0x12";
    assert!(matches!(Redactor::new([SECRET]).redact(text), Cow::Borrowed(same) if same == text));
    assert!(!Redactor::default().finds(SECRET));
}

#[test]
fn debug_output_of_the_redactor_shows_no_secret() {
    assert!(!format!("{:?}", Redactor::new(["canary-123"])).contains("canary"));
}

#[test]
fn very_short_values_are_not_treated_as_secrets() {
    assert_eq!(Redactor::new(["a"]).redact("banana"), "banana");
}

#[test]
fn parts_of_an_address_are_masked_and_what_anyone_knows_of_it_is_not() {
    let redactor = Redactor::new([ADDRESS]);
    for part in ["/T0AB12CD3/B9XY87ZW6/", "q7Wm3kPzR5tLx2Vn8JdYc4Hs", "tok-55aa66bb", "frag-77cc", "m3kPzR5tLx"] {
        assert_eq!(redactor.redact(part).replace(['/', 'T'], ""), MASK, "{part}");
    }
    for public in ["see https://hooks.slack.com/services/", "web services", "https://slack.com/help"] {
        assert_eq!(redactor.redact(public), public);
    }
    assert_eq!(redactor.redact(ADDRESS), format!("{MASK}"));
}

#[test]
fn user_and_password_of_a_mail_server_are_masked_as_they_are_sent() {
    let redactor = Redactor::new(["smtps://alerts%40mail.example.org:p%2Fss-w0rd!@smtp.example.org:465"]);
    for login in ["\0alerts@mail.example.org\0p/ss-w0rd!", "p/ss-w0rd!", "alerts@mail.example.org"] {
        let out = redactor.redact(&STANDARD.encode(login)).into_owned();
        assert!(out.contains(MASK), "{login} became {out}");
    }
    assert_eq!(redactor.redact("535 p/ss-w0rd! is wrong"), "535 [redacted] is wrong");
    assert_eq!(
        redactor.redact("visit mail.example.org or smtp.example.org"),
        "visit mail.example.org or smtp.example.org"
    );
}

#[test]
fn what_follows_the_mark_of_a_signing_secret_is_masked_in_any_encoding() {
    let bytes = b"raw-\xF0\x01\x02signing!";
    let secret = format!("whsec_{}", STANDARD.encode(bytes));
    let redactor = Redactor::new([&secret]);
    let hex = bytes.iter().fold(String::new(), |out, byte| out + &format!("{byte:02x}"));
    for echo in [STANDARD.encode(bytes), URL_SAFE.encode(bytes), hex, "signing!".into()] {
        assert!(redactor.finds(&echo), "{echo}");
    }
}

#[test]
fn a_short_path_is_masked_with_its_host_alone() {
    let redactor = Redactor::new(["https://h.example/a/b"]);
    assert_eq!(redactor.redact("POST https://h.example/a/b: 500, a/b"), "POST [redacted]: 500, a/b");
}

#[test]
fn pieces_are_found_by_choice_by_token_by_bytes_by_key_and_over_broken_lines() {
    let redactor = Redactor::new(["canary-7f3a"]);
    let tokens = |names: [&str; 3]| names.map(|token| json!({"token": token, "top_logprobs": []}));
    assert!(redactor.finds_in_pieces_of(&json!({"content": tokens(["can", "ary-", "7f3a"])})));
    assert!(!redactor.finds_in_pieces_of(&json!({"content": tokens(["can", "-", "7f3a"])})));
    assert!(redactor.finds_in_pieces_of(&json!([{"bytes": [99, 97, 110, 97]}, {"bytes": [114, 121, 45, 55, 102]}])));
    assert!(redactor.finds_in_pieces_of(&json!({"top_logprobs": [{"cana": -0.5}, {"ry-7": -1}]})));
    let event = |index: u32, text: &str| {
        format!("data: {}\n\n", json!({"id": "x", "choices": [{"index": index, "delta": {"content": text}}]}))
    };
    let other = event(0, "a") + &event(1, "canar") + &event(0, "b") + &event(1, "y-7f3a");
    assert!(redactor.finds_in_pieces(&other));
    assert!(redactor.finds_in_pieces(&(event(1, "canar") + &event(2, "y-7f3a"))), "over choices");
    let said = |id: &str, field: &str, text: &str| {
        format!("data: {}\n\n", json!({"id": id, "choices": [{"index": 0, "delta": {(field): text}}]}))
    };
    for field in ["reasoning", "reasoning_content", "reasoning_text", "thinking"] {
        assert!(redactor.finds_in_pieces(&(said("1", field, "canar") + &said("2", "content", "y-7f3a"))), "{field}");
    }
    let cut = event(0, "canar") + r#"data: {"choices":[{"delta":{"content":"y-7f3a"#;
    assert!(redactor.finds_in_pieces(&cut));
    assert!(redactor.finds_in_pieces("data: canar\n\ndata: y-7f3a\n\n"));
    assert!(!redactor.finds_in_pieces(&(event(0, "canar") + &event(0, "ies"))));
}

#[test]
fn pieces_are_found_in_comments_fields_of_the_stream_and_names() {
    let redactor = Redactor::new(["canary-7f3a"]);
    for body in [
        ": canar\n\n: y-7f\n\ndata: {}\n\n",
        ": canar\r: y-7f\r\rdata: {}\r\r",
        "event: canar\ndata: {\"a\":1}\n\nevent: y-7f\ndata: {\"a\":2}\n\n",
        "id: canar\nevent: x\ndata: {}\n\nid: y-7f\nevent: x\ndata: {}\n\n",
        "mine:canar\nid: 1\nmine: y-7f\n\n",
        "canar\ny-7f\n\n",
        "canar: 1\nevent: x\ny-7f: 2\n\n",
    ] {
        assert!(redactor.finds_in_pieces(body), "{body:?}");
    }
    let event = |debug: Value| format!("data: {}\n\n", json!({"id": "x", "choices": [], "debug": debug}));
    assert!(redactor.finds_in_pieces(&event(json!({"canar": "v", "y-7f": "v"}))), "beside each other");
    assert!(redactor.finds_in_pieces(&event(json!({"canar": {"y-7f": "v"}}))), "within each other");
    let (first, second) = (event(json!({"canar": "v"})), event(json!({"y-7f": "v"})));
    assert!(redactor.finds_in_pieces(&(first.clone() + &second)), "one after the other");
    assert!(redactor.finds_in_pieces(&(event(json!({"a": 0})).repeat(9) + &first + &second)), "late");
    assert!(redactor.finds_in_pieces(r#"data: {"canar": "v", "y-7f": "#), "cut");
    assert!(!redactor.finds_in_pieces(": canar\n\n: ies\n\nevent: y-7f\ndata: {}\n\n"));
}

#[test]
fn names_that_every_event_repeats_are_joined_twice_and_no_more() {
    let mut pieces = Pieces::default();
    pieces.body(&"data: {\"id\": \"response-1\", \"choices\": [{\"index\": 0, \"text\": \"a\"}]}\n\n".repeat(500));
    // The text is joined by its choice and over all choices.
    assert_eq!(pieces.texts().filter(|text| text.len() > 100).count(), 2);
}

#[test]
fn a_body_of_which_not_all_can_be_joined_counts_as_one_that_holds_a_secret() {
    let redactor = Redactor::new(["canary-7f3a"]);
    let events = (0..2000).fold(String::new(), |mut events, i| {
        let _ = write!(events, "data: {{\"x{i}\": {{\"k\": \"v\"}}}}\n\n");
        events
    });
    let values = r#""k": "aaaaaaaa", "#.repeat(2000);
    assert!(redactor.finds_in_pieces(&format!("{events}data: {{{values}")));
    assert!(!redactor.finds_in_pieces(&format!("{events}data: {{{}", &values[..100])));
}

#[test]
fn texts_that_hold_a_secret_only_together_are_masked_whole() {
    let redactor = Redactor::new(["canary-7f3a"]);
    let (mut name, mut arguments) = ("canar".to_owned(), "y-7f".to_owned());
    assert!(redactor.mask_together(&mut [&mut name, &mut arguments]));
    assert!(!redactor.mask_together(&mut [&mut name, &mut arguments]));
    assert_eq!((name.as_str(), arguments.as_str()), (MASK, MASK));
}

/// The secret with each character escaped or not, as the choices say.
fn escaped(text: &str, choices: &[u8], escape: u8) -> String {
    text.chars().zip(choices.iter().cycle()).fold(String::new(), |mut out, (c, choice)| {
        let code = u32::from(c);
        let _ = match (escape % 3, choice % 3) {
            (0, 0) => write!(out, "\\u{code:04x}"),
            (0, 1) => write!(out, "\\u{code:04X}"),
            (0, _) if "\"\\/".contains(c) => write!(out, "\\{c}"),
            (1, 0) => write!(out, "%{code:02x}"),
            (1, 1) => write!(out, "%{code:02X}"),
            (1, _) if c == '%' => write!(out, "%25"),
            (2, 0) => write!(out, "&#{code};"),
            (2, 1) => write!(out, "&#x{code:x};"),
            (2, _) if c == '&' => write!(out, "&amp;"),
            _ => write!(out, "{c}"),
        };
        out
    })
}

/// A text in an encoding that hides its characters.
fn encoded(text: &str, encoding: u8) -> String {
    let hex = |upper: bool| {
        text.bytes().fold(String::new(), |mut out, byte| {
            let _ = if upper { write!(out, "{byte:02X}") } else { write!(out, "{byte:02x}") };
            out
        })
    };
    let lines = |text: &str| text.as_bytes().chunks(7).map(String::from_utf8_lossy).collect::<Vec<_>>().join("\r\n");
    match encoding % 6 {
        0 => text.to_owned(),
        1 => STANDARD.encode(text),
        2 => URL_SAFE.encode(text),
        3 => lines(&STANDARD.encode(text)),
        4 => hex(false),
        _ => hex(true),
    }
}

/// The bytes of a run of Base64 that may have been cut.
fn decoded(run: &str) -> Vec<u8> {
    let whole = run.len() - usize::from(run.len() % 4 == 1);
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(&base64::alphabet::STANDARD, config).decode(&run[..whole]).unwrap_or_default()
}

/// Whether eight characters in a row of the secret can be read in a text in this encoding.
fn reveals(text: &str, secret: &str, encoding: u8) -> bool {
    let windows = || secret.as_bytes().windows(WINDOW).map(String::from_utf8_lossy);
    match encoding % 6 {
        0 => windows().any(|window| text.contains(window.as_ref())),
        1..=3 => {
            let tight: String = text.split_whitespace().collect();
            let standard = tight.replace('-', "+").replace('_', "/");
            let runs = standard.split(|c: char| !(c.is_ascii_alphanumeric() || "+/".contains(c)));
            let read: Vec<Vec<u8>> =
                runs.flat_map(|run| (0..4).map(move |from| decoded(run.get(from..).unwrap_or("")))).collect();
            windows().any(|window| read.iter().any(|bytes| bytes.windows(WINDOW).any(|read| read == window.as_bytes())))
        }
        _ => windows().any(|window| text.to_lowercase().contains(&encoded(&window, 4))),
    }
}

proptest! {
    #[test]
    fn no_secret_survives_wherever_it_stands(secret in "[ -~]{8,40}", before in "\\PC{0,20}", after in "\\PC{0,20}") {
        let redactor = Redactor::new([&secret]);
        let text = format!("{before}{secret}{after}");
        let out = redactor.redact(&text);
        prop_assert!(!out.contains(&secret) || MASK.contains(&secret));
        prop_assert!(out.contains(MASK));
    }

    #[test]
    fn no_secret_survives_under_any_mixture_of_escapes(
        secret in "[!-~]{8,40}", choices in prop::collection::vec(0_u8..3, 1..9), layers in prop::collection::vec(0_u8..3, 0..=DEPTH),
    ) {
        let echo = layers.into_iter().fold(secret.clone(), |echo, layer| escaped(&echo, &choices, layer));
        let text = format!("é {echo} ü");
        let redacted = Redactor::new([&secret]).redact(&text).into_owned();
        prop_assert_eq!(redacted, "é [redacted] ü");
    }

    #[test]
    fn of_no_cut_of_any_encoding_eight_characters_in_a_row_are_left(
        secret in "[!-~]{8,40}", before in "[ -~]{0,5}", after in "[ -~]{0,5}",
        encoding in 0_u8..6, escape in 0_u8..4, cut in any::<(prop::sample::Index, prop::sample::Index)>(),
    ) {
        let whole = encoded(&format!("{before}{secret}{after}"), encoding);
        let (a, b) = (cut.0.index(whole.len() + 1), cut.1.index(whole.len() + 1));
        let piece = &whole[a.min(b)..a.max(b)];
        let echo = if escape == 3 { piece.to_owned() } else { escaped(piece, &[0, 2, 1], escape) };
        let redacted = Redactor::new([&secret]).redact(&echo).into_owned();
        // What is left is read as whoever has the file would.
        let views: Vec<String> = [View::of(&redacted)].iter().flat_map(|view| {
            let plain = String::from_utf8_lossy(&view.bytes).into_owned();
            view.unescaped().map(|view| String::from_utf8_lossy(&view.bytes).into_owned()).chain([plain]).collect::<Vec<_>>()
        }).collect();
        for view in views {
            // The mask parts what stood before it from what stood behind.
            for left in view.split(MASK) {
                prop_assert!(!reveals(left, &secret, encoding), "{:?} became {:?}", echo, redacted);
            }
        }
    }

    #[test]
    fn no_base64_of_a_secret_survives(secret in "[!-~]{8,40}", before in "[!-~]{0,5}", after in "[!-~]{0,5}") {
        let redactor = Redactor::new([&secret]);
        for engine in [&STANDARD, &URL_SAFE] {
            let encoded = engine.encode(format!("{before}{secret}{after}"));
            let left = redactor.redact(&encoded).replacen(MASK, "", 1);
            // What is left is what belongs to the text around, and a character on either side.
            let around = (before.len() + after.len()) * 8 / 6 + 6;
            prop_assert!(left.len() <= around, "{} became {}", encoded, left);
        }
    }

    #[test]
    fn a_secret_in_pieces_is_found_however_it_is_cut(secret in "[!-~]{8,40}", cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(secret.len() + 1)).collect();
        cuts.extend([0, secret.len()]);
        cuts.sort_unstable();
        let events = cuts.windows(2).map(|pair| {
            format!("data: {}\n\n", json!({"id": "r", "choices": [{"index": 1, "delta": {"content": &secret[pair[0]..pair[1]]}}]}))
        });
        prop_assert!(Redactor::new([&secret]).finds_in_pieces(&events.collect::<String>()));
    }

    #[test]
    fn any_address_is_taken_apart_without_a_panic(address in "(https?|smtps)://([a-z%0-9@:]{0,12}@)?[a-z.]{1,9}(:[0-9]{1,4})?([/?#&=%a-zA-Z0-9é]{0,30})") {
        let redactor = Redactor::new([&address]);
        let _ = redactor.redact(&address);
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in "(\\PC|[\\\\%&#;xu0-9a-f]){0,60}") {
        let out = Redactor::new(["abcd", "1%41", "\\u0"]).redact(&text).into_owned();
        prop_assert!(!out.contains("abcd"));
        let _ = Redactor::new(["abcdefgh"]).finds_in_pieces(&text);
    }
}
