//! Response headers: which are kept for the record, and what they say about waiting.
//!
//! Layer 3, pure. Hosts write times in every form there is: seconds, fractions, durations such as `1m2s`, seconds or
//! milliseconds since 1970, HTTP dates. All are read by one function, [`wait`]; what makes no sense is refused rather
//! than guessed at.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use reqwest::header::HeaderMap;

/// Kept headers: lower-case names, text values; repeated ones are joined by a comma.
pub type Kept = BTreeMap<String, String>;

/// The longest wait that is believed: a monthly quota. A longer one is taken for an error in writing.
pub const LONGEST_BELIEVED: Duration = Duration::from_hours(32 * 24);

/// Headers worth keeping, by name: they tell which host, region, version or cache answered, name the request to the
/// host's support, or state limits. Nothing that can carry a session or a credential is among them, above all not
/// `set-cookie`, `authorization` and `location`.
const KEPT: &[&str] = &[
    "age",
    "apim-request-id",
    "azureml-model-deployment",
    "cf-aig-model",
    "cf-aig-provider",
    "cf-cache-status",
    "cf-ray",
    "content-type",
    "date",
    "openai-model",
    "openai-processing-ms",
    "openai-version",
    "ratelimit",
    "request-id",
    "retry-after",
    "retry-after-ms",
    "server",
    "via",
    "warning",
    "x-api-version",
    "x-cache",
    "x-generation-id",
    "x-litellm-model-id",
    "x-model",
    "x-ms-deployment-name",
    "x-ms-region",
    "x-portkey-provider",
    "x-request-id",
    "x-should-retry",
    "x-trace-id",
];

/// Beginnings of names worth keeping: limits, and what single hosts say of themselves.
const KEPT_PREFIXES: &[&str] = &[
    "anthropic-ratelimit-",
    "fireworks-",
    "ratelimit-",
    "x-amzn-bedrock-",
    "x-groq-",
    "x-inference-",
    "x-openrouter-",
    "x-ratelimit-",
    "x-tokenlimit-",
];

/// The most headers kept of one response.
const MOST_KEPT: usize = 64;

/// The headers of a response that are worth keeping, as received; not yet redacted.
pub fn kept(headers: &HeaderMap) -> Kept {
    let mut out = Kept::new();
    for (name, value) in headers {
        let name = name.as_str();
        if !is_kept(name) || (out.len() >= MOST_KEPT && !out.contains_key(name)) {
            continue;
        }
        let value = String::from_utf8_lossy(value.as_bytes());
        out.entry(name.to_owned())
            .and_modify(|joined| {
                joined.push_str(", ");
                joined.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    out
}

fn is_kept(name: &str) -> bool {
    KEPT.contains(&name) || KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The wait that the host asks for before another try: `retry-after-ms`, or else `retry-after`.
///
/// Absolute times are held against the host's own `date` where it sent one, so that a clock that is off on either
/// side does no harm, and against `now` otherwise.
pub fn asked_wait(headers: &Kept, now: Timestamp) -> Option<Duration> {
    let millis = headers.get("retry-after-ms").and_then(|value| number(value)).and_then(|ms| believed(ms / 1000.0));
    millis.or_else(|| wait(headers.get("retry-after")?, host_time(headers, now)))
}

/// How long the endpoint is exhausted: the longest reset among the limits of which nothing remains.
///
/// Nothing is returned while every limit has something left, whatever the resets say.
pub fn exhausted_for(headers: &Kept, now: Timestamp) -> Option<Duration> {
    let limits = limits(headers, host_time(headers, now)).into_iter();
    limits.filter(|limit| limit.left.is_some_and(|left| left <= 0.0)).map(|limit| limit.reset).max()
}

/// The longest wait that is taken from a limit which is not known to be the one that was passed.
pub const LONGEST_GUESSED: Duration = Duration::from_mins(1);

/// How long to wait after a "slow down" that does not say it, by the limits beside it: until those of which nothing
/// remains are reset; where none is used up until the last is reset, but a minute at most.
pub fn limit_wait(headers: &Kept, now: Timestamp) -> Option<Duration> {
    let resets = || limits(headers, host_time(headers, now)).into_iter().map(|limit| limit.reset);
    let guessed = || resets().max().map(|reset| reset.min(LONGEST_GUESSED));
    exhausted_for(headers, now).or_else(guessed).filter(|wait| !wait.is_zero())
}

/// A limit that the host tells of.
#[derive(Debug, Clone, Copy)]
struct Limit {
    left: Option<f64>,
    reset: Duration,
}

/// The limits in headers. One is a set of headers that differ only in `limit`, `remaining` and `reset`, such as
/// `x-ratelimit-remaining-tokens`, or an item of `ratelimit`. A limit of 0 is none: of a real one nothing could ever
/// be used.
fn limits(headers: &Kept, now: Timestamp) -> Vec<Limit> {
    let plain = headers.iter().filter(|(name, _)| name.contains("limit") && name.contains("reset"));
    let plain = plain.filter_map(|(name, value)| {
        let beside = |other| number(headers.get(&name.replacen("reset", other, 1))?);
        let is_none = beside("limit").is_some_and(|limit| limit <= 0.0);
        let reset = wait(value, now).filter(|_| !is_none)?;
        Some(Limit { left: beside("remaining"), reset })
    });
    let listed = headers.get("ratelimit").map_or_else(Vec::new, |value| listed(value, now));
    plain.chain(listed).collect()
}

/// The limits in a header of the IETF's drafts: `"a";r=0;t=9, "b";r=5;t=60`, or earlier `limit=100, remaining=0,
/// reset=9`.
fn listed(value: &str, now: Timestamp) -> Vec<Limit> {
    let (mut out, mut limit, mut left) = (Vec::new(), None, None);
    for part in value.split([',', ';']) {
        let Some((name, value)) = part.split_once('=') else {
            // The next one begins.
            (limit, left) = (None, None);
            continue;
        };
        match name.trim() {
            "limit" => limit = number(value),
            "r" | "remaining" => left = number(value),
            "t" | "reset" if limit.is_none_or(|limit| limit > 0.0) => {
                out.extend(wait(value, now).map(|reset| Limit { left, reset }));
            }
            _ => {}
        }
    }
    out
}

/// The host's explicit word on whether a retry makes sense.
pub fn should_retry(headers: &Kept) -> Option<bool> {
    match headers.get("x-should-retry")?.trim() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// Reads a wait in any of the forms that hosts use, relative to `now`.
///
/// Up to [`LONGEST_BELIEVED`] a number is seconds; larger ones are seconds, or milliseconds, since 1970. A moment that
/// has passed is no wait. Negative, infinite, absurdly long and unreadable values are refused.
pub fn wait(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Some(number) = number(value) {
        return believed(number).or_else(|| until(epoch(number)?, now));
    }
    if let Some(duration) = written_duration(value) {
        return (duration <= LONGEST_BELIEVED).then_some(duration);
    }
    until(moment(value)?, now)
}

fn number(value: &str) -> Option<f64> {
    let value = value.trim();
    // `parse` also reads words such as `inf` and `nan`, which no host means.
    value.starts_with(|c: char| c.is_ascii_digit() || c == '.' || c == '-').then(|| value.parse().ok())?
}

fn believed(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().filter(|duration| *duration <= LONGEST_BELIEVED)
}

/// Seconds since 1970, from a number that is too large to be a wait. The years from 2001 to 5138 in seconds and those
/// to 2286 in milliseconds do not overlap.
fn epoch(number: f64) -> Option<f64> {
    match number {
        n if (1e9..1e11).contains(&n) => Some(n),
        n if (1e12..1e13).contains(&n) => Some(n / 1000.0),
        _ => None,
    }
}

fn until(seconds_since_1970: f64, now: Timestamp) -> Option<Duration> {
    let ahead = seconds_since_1970 - now.as_millisecond() as f64 / 1000.0;
    believed(ahead.max(0.0))
}

fn moment(value: &str) -> Option<f64> {
    let http = httpdate::parse_http_date(value).ok().and_then(seconds_since_1970);
    http.or_else(|| value.parse::<Timestamp>().ok().map(|at| at.as_millisecond() as f64 / 1000.0))
}

fn seconds_since_1970(at: SystemTime) -> Option<f64> {
    at.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs_f64())
}

fn host_time(headers: &Kept, now: Timestamp) -> Timestamp {
    headers
        .get("date")
        .and_then(|date| httpdate::parse_http_date(date.trim()).ok())
        .and_then(|at| Timestamp::try_from(at).ok())
        .unwrap_or(now)
}

/// A duration written with units, such as `1m2s`, `6m0s`, `250ms` or `1.5s`.
fn written_duration(value: &str) -> Option<Duration> {
    let mut rest = value;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (amount, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        total += amount.parse::<f64>().ok()? * unit_seconds(unit.trim())?;
        rest = tail;
    }
    if value.is_empty() { None } else { Duration::try_from_secs_f64(total).ok() }
}

fn unit_seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1e-9,
        "us" | "µs" | "μs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use reqwest::header::HeaderValue;

    fn now() -> Timestamp {
        "2026-11-22T09:00:00Z".parse().unwrap()
    }

    fn seconds(value: &str) -> Option<f64> {
        wait(value, now()).map(|duration| duration.as_secs_f64())
    }

    fn map(pairs: &[(&str, &str)]) -> Kept {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn every_form_of_a_wait_is_read() {
        for (value, expected) in [
            ("7", 7.0),
            (" 0.5 ", 0.5),
            ("1m2s", 62.0),
            ("6m0s", 360.0),
            ("250ms", 0.25),
            ("1h1m1.5s", 3661.5),
            ("7.66s", 7.66),
            ("1795338030", 30.0),
            ("1795338030.5", 30.5),
            ("1795338030500", 30.5),
            ("Sun, 22 Nov 2026 09:01:30 GMT", 90.0),
            ("2026-11-22T09:00:10Z", 10.0),
            ("Sun, 22 Nov 2026 08:00:00 GMT", 0.0),
            ("1795338000", 0.0),
        ] {
            let read = seconds(value).unwrap_or(f64::NAN);
            assert!((read - expected).abs() < 1e-3, "{value}: {read}, not {expected}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for value in
            ["", " ", "-1", "inf", "NaN", "soon", "1x", "m", "5m6", "1e300", "99999999", "99999d", "9e15", "1..2", "٣"]
        {
            assert_eq!(seconds(value), None, "{value}");
        }
    }

    #[test]
    fn milliseconds_come_before_seconds() {
        let headers = map(&[("retry-after-ms", "1500"), ("retry-after", "9")]);
        assert_eq!(asked_wait(&headers, now()), Some(Duration::from_millis(1500)));
        let headers = map(&[("retry-after-ms", "never"), ("retry-after", "9")]);
        assert_eq!(asked_wait(&headers, now()), Some(Duration::from_secs(9)));
    }

    #[test]
    fn a_date_is_held_against_the_hosts_own_clock() {
        let headers =
            map(&[("date", "Sun, 22 Nov 2026 08:30:00 GMT"), ("retry-after", "Sun, 22 Nov 2026 08:30:20 GMT")]);
        assert_eq!(asked_wait(&headers, now()), Some(Duration::from_secs(20)));
    }

    #[test]
    fn only_a_limit_with_nothing_left_asks_for_a_pause() {
        let mut headers = map(&[
            ("x-ratelimit-remaining-requests", "12"),
            ("x-ratelimit-reset-requests", "1h"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "1m2s"),
            ("x-tokenlimit-remaining", "0"),
            ("x-tokenlimit-reset", "3.5"),
        ]);
        assert_eq!(exhausted_for(&headers, now()), Some(Duration::from_secs(62)));
        headers.insert("x-ratelimit-remaining-tokens".into(), "1".into());
        assert_eq!(exhausted_for(&headers, now()), Some(Duration::from_millis(3500)));
        headers.insert("x-tokenlimit-remaining".into(), "1".into());
        assert_eq!(exhausted_for(&headers, now()), None);
    }

    #[test]
    fn a_limit_of_0_is_none() {
        let told = [("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "1d")];
        let mut headers = map(&told);
        headers.insert("x-ratelimit-limit-requests".into(), "0".into());
        assert_eq!((exhausted_for(&headers, now()), limit_wait(&headers, now())), (None, None));
        headers.insert("x-ratelimit-limit-requests".into(), "10".into());
        assert_eq!(exhausted_for(&headers, now()), Some(Duration::from_hours(24)));
    }

    #[test]
    fn after_a_slow_down_every_form_of_a_reset_tells_how_long_to_wait() {
        let later = (now().as_second() + 9).to_string();
        let cases: [(&[(&str, &str)], u64); 10] = [
            (&[("x-ratelimit-reset-requests", "9s")], 9),
            (&[("x-ratelimit-limit", "20"), ("x-ratelimit-reset", later.as_str())], 9),
            (&[("anthropic-ratelimit-requests-reset", "2026-11-22T09:00:09Z")], 9),
            (
                &[
                    ("x-ratelimit-remaining-tokens", "12"),
                    ("x-ratelimit-reset-tokens", "9s"),
                    ("x-ratelimit-remaining-requests", "400"),
                    ("x-ratelimit-reset-requests", "40ms"),
                ],
                9,
            ),
            (&[("x-ratelimit-remaining-requests", "400"), ("x-ratelimit-reset-requests", "1h")], 60),
            (&[("ratelimit-remaining", "0"), ("ratelimit-reset", "3600")], 3600),
            (&[("ratelimit", r#""default";r=0;t=9"#)], 9),
            (&[("ratelimit", r#""burst";r=7;t=30, "day";r=0;t=9"#)], 9),
            (&[("ratelimit", "limit=100, remaining=0, reset=9")], 9),
            (&[("ratelimit", "limit=100, 100;w=60, remaining=0, reset=9")], 9),
        ];
        for (told, seconds) in cases {
            assert_eq!(limit_wait(&map(told), now()), Some(Duration::from_secs(seconds)), "{told:?}");
        }
        let nothing: [&[(&str, &str)]; 5] = [
            &[],
            &[("x-ratelimit-remaining", "0")],
            &[("ratelimit-policy", r#""default";q=100;w=60"#)],
            &[("ratelimit", "limit=0, remaining=0, reset=86400")],
            &[("x-ratelimit-reset", "0")],
        ];
        for told in nothing {
            assert_eq!(limit_wait(&map(told), now()), None, "{told:?}");
        }
    }

    #[test]
    fn credentials_and_cookies_are_not_kept() {
        let mut headers = HeaderMap::new();
        let secret = ["set-cookie", "authorization", "location", "api-key", "x-litellm-model-api-base"];
        for name in secret.into_iter().chain(["x-ratelimit-reset", "server", "cf-ray", "x-portkey-provider"]) {
            headers.insert(name, HeaderValue::from_static("v"));
        }
        headers.append("server", HeaderValue::from_static("w"));
        let told = [("cf-ray", "v"), ("server", "v, w"), ("x-portkey-provider", "v"), ("x-ratelimit-reset", "v")];
        assert_eq!(kept(&headers), map(&told));
    }

    proptest! {
        #[test]
        fn no_list_of_limits_makes_it_panic(value in "([a-z\"]{0,3}|[=;, ]|[0-9]{1,3}|r=|t=|limit=){0,12}") {
            let headers = map(&[("ratelimit", value.as_str())]);
            if let Some(wait) = limit_wait(&headers, now()) {
                prop_assert!(wait <= LONGEST_BELIEVED);
            }
        }

        #[test]
        fn no_text_makes_it_panic_or_believe_more_than_the_longest(value in "\\PC{0,40}") {
            if let Some(read) = wait(&value, now()) {
                prop_assert!(read <= LONGEST_BELIEVED);
            }
        }

        #[test]
        fn no_number_makes_it_panic_or_believe_more_than_the_longest(value: f64) {
            if let Some(read) = wait(&value.to_string(), now()) {
                prop_assert!(read <= LONGEST_BELIEVED);
            }
        }

        #[test]
        fn a_written_duration_is_the_sum_of_its_parts(h in 0u64..20, m in 0u64..100, s in 0u64..100, ms in 0u64..1000) {
            let read = wait(&format!("{h}h{m}m{s}s{ms}ms"), now()).unwrap_or_default();
            let expected = Duration::from_millis(((h * 60 + m) * 60 + s) * 1000 + ms);
            prop_assert!(read.abs_diff(expected) < Duration::from_micros(1));
        }
    }
}
