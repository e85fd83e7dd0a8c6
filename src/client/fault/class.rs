//! Which class an error is of: by the code of a host whose codes are known, by words that say more than a status, by
//! its status, and where there is none by its type.

use std::ops::RangeInclusive;

use super::{HostError, wait};
use crate::attempt::FailureKind::{
    self, Filtered, Forbidden, Malformed, NotFound, PaymentRequired, RateLimited, Redirect, Rejected, Server,
    Unauthorized,
};

/// Classes of statuses; the first that fits holds. 420 is an older 429, 498 an invalid token, and 501 is said of what
/// the host will never do. What is locked, depends on another request, came too early or was broken off passes, and so
/// do 5xx.
const STATUSES: &[(RangeInclusive<u16>, FailureKind)] = &[
    (300..=399, Redirect),
    (401..=401, Unauthorized),
    (402..=402, PaymentRequired),
    (403..=403, Forbidden),
    (404..=404, NotFound),
    (408..=409, Server),
    (420..=420, RateLimited),
    (421..=421, Server),
    (423..=425, Server),
    (429..=429, RateLimited),
    (449..=449, Server),
    (460..=460, Server),
    (498..=498, Unauthorized),
    (499..=499, Server),
    (501..=501, Rejected),
    (400..=499, Rejected),
    (500..=599, Server),
];

/// Codes that mean that a content filter stepped in, whatever the status.
const FILTERED: &[&str] = &["content_filter", "content_policy_violation", "responsible_ai_policy_violation"];

/// Codes that mean "no credit left", whatever the status. `1113` is Z.ai's.
const NO_CREDIT: &[&str] = &[
    "insufficient_quota",
    "insufficient_user_quota",
    "insufficient_balance",
    "insufficient_credits",
    "insufficient_funds",
    "exceeded_current_quota_error",
    "credit_limit",
    "payment_required",
    "arrearage",
    "billing_error",
    "billing_hard_limit_reached",
    "billing_not_active",
    "spend_limit_exceeded",
    "spend_limit_reached",
    "1113",
];

/// Words that mean it, in lower case, where a host says nothing of a wait: a quota that comes back is a limit.
const NO_CREDIT_WORDS: &[&str] = &[
    "insufficient balance",
    "insufficient account balance",
    "insufficient credit",
    "insufficient fund",
    "insufficient quota",
    "insufficient user quota",
    "balance is insufficient",
    "balance is not enough",
    "balance is too low",
    "not enough credit",
    "not enough balance",
    "out of credit",
    "no credits",
    "credit balance",
    "included credits",
    "monthly spend",
    "spend limit",
    "spending limit",
    "payment required",
    "in arrears",
    "recharge",
    // Behind a blank: hosts also speak of `stop up to`.
    " top up",
    "plan and billing",
    "check your billing",
    "requires more credits",
    // Limits that an account sets itself, or that last for a month.
    "specified api usage limit",
    "regain access on",
    "monthly usage limit",
    "monthly limit",
    "monthly budget",
    "monthly quota",
    "calls / month",
    "budget has been exceeded",
    "余额不足",
    "欠费",
];

/// Words that mean that the model is not there yet, in lower case, under a status that is a refusal.
const NOT_READY_WORDS: &[&str] = &[
    "is loading",
    "currently loading",
    "still loading",
    "being loaded",
    "not loaded yet",
    "not yet loaded",
    "warming up",
    "starting up",
    "is starting",
    "still starting",
    "not ready yet",
    "not yet ready",
    "加载中",
];

/// Codes that mean that the key is not taken, under any status that is a refusal.
const WRONG_KEY: &[&str] = &[
    "invalid_api_key",
    "api_key_invalid",
    "incorrect_api_key",
    "incorrect_api_key_error",
    "invalid_api_key_error",
    "authentication_error",
    "authentication_failed",
    "invalid_authentication",
    "invalid_authentication_error",
];

/// Words that mean it, in lower case.
const WRONG_KEY_WORDS: &[&str] = &[
    "api key not valid",
    "api key is not valid",
    "invalid api key",
    "invalid api-key",
    "incorrect api key",
    "api key is invalid",
    "api key provided is invalid",
    "api key you provided is invalid",
    "no auth credentials",
    "authentication fails",
    "access token invalid",
];

/// Codes that mean "no such model", under any status that is a refusal.
const NO_MODEL: &[&str] = &["model_not_found", "model_not_available", "model_not_exist", "invalid_model"];

/// Words that mean it, in lower case.
const NO_MODEL_WORDS: &[&str] =
    &["not a valid model", "no such model", "model not found", "model not exist", "unknown model"];

/// Types of limits that pass, under any status that is a refusal.
const LIMITS: &[&str] = &[
    "rate_limit_exceeded",
    "rate_limit_error",
    "rate_limit",
    "rate_limited",
    "rate_limit_reached",
    "rate_limit_reached_error",
    "too_many_requests",
    "too_many_requests_error",
    "resource_exhausted",
    "throttling",
    "throttling_exception",
];

/// What the type of an error means where no status stands anywhere; the first that fits holds.
const TYPES: &[(FailureKind, &[&str])] = &[
    (Unauthorized, &["unauthorized", "unauthorized_error", "unauthenticated", "invalid_token", "token_expired"]),
    (
        Forbidden,
        &[
            "permission_denied",
            "permission_denied_error",
            "permission_error",
            "forbidden",
            "access_denied",
            "request_forbidden",
        ],
    ),
    (NotFound, &["not_found_error", "not_found", "deployment_not_found"]),
    (
        Server,
        &[
            "overloaded_error",
            "overloaded",
            "engine_overloaded_error",
            "server_error",
            "internal_server_error",
            "internal_error",
            "internal",
            "unavailable",
            "service_unavailable",
            "service_unavailable_error",
            "timeout",
            "timeout_error",
            "deadline_exceeded",
            "api_error",
        ],
    ),
    (
        Rejected,
        &[
            "invalid_request_error",
            "invalid_request",
            "bad_request",
            "bad_request_error",
            "invalid_argument",
            "invalid_parameter",
            "invalid_parameter_error",
            "invalid_value",
            "invalid_type",
            "invalid_prompt",
            "failed_precondition",
            "out_of_range",
            "unimplemented",
            "not_implemented",
            "not_implemented_error",
            "unsupported_parameter",
            "unsupported_value",
            "unsupported",
            "unknown_parameter",
            "missing_required_parameter",
            "unprocessable_entity",
            "unprocessable_entity_error",
            "validation_error",
            "context_length_exceeded",
            "context_window_exceeded_error",
            "exceed_context_size_error",
            "string_above_max_length",
            "request_too_large",
        ],
    ),
];

/// Words that are said of what the host will not do, in lower case; where nothing else tells the class.
const REFUSAL_WORDS: &[&str] = &["not supported", "unsupported", "not implemented"];

/// Words that are said of what was asked, and of much else.
const INVALID: &str = "is invalid";

/// Words for what was asked, and how many words before those they are looked for.
const ASKED: (&[&str], usize) = (&["parameter", "request"], 3);

/// The codes of `MiniMax`.
const MINIMAX: &[(RangeInclusive<i64>, FailureKind)] = &[
    (1000..=1001, Server),
    (1002..=1002, RateLimited),
    (1004..=1004, Unauthorized),
    (1008..=1008, PaymentRequired),
    (1013..=1013, Server),
    (1024..=1024, Server),
    (1026..=1027, Filtered),
    (1033..=1033, Server),
    (1039..=1039, RateLimited),
    (1041..=1041, RateLimited),
    (1042..=1042, Rejected),
    (2013..=2013, Rejected),
    (2045..=2045, RateLimited),
    (2049..=2049, Unauthorized),
    (2056..=2056, RateLimited),
];

/// Baidu's codes; the first that fits holds.
const BAIDU: &[(RangeInclusive<i64>, FailureKind)] = &[
    (1..=2, Server),
    (3..=3, Rejected),
    (4..=4, RateLimited),
    (6..=6, Forbidden),
    (13..=15, Unauthorized),
    (17..=19, RateLimited),
    (100..=100, Unauthorized),
    (110..=111, Unauthorized),
    (336_000..=336_000, Server),
    (336_100..=336_100, Server),
    (336_501..=336_505, RateLimited),
    (336_001..=336_999, Rejected),
];

/// The class of a code of `MiniMax`.
pub fn of_minimax(code: i64) -> Option<FailureKind> {
    first(MINIMAX, code)
}

/// The class of a code of Baidu.
pub fn of_baidu(code: i64) -> Option<FailureKind> {
    first(BAIDU, code)
}

fn first<N: PartialOrd + Copy>(table: &[(RangeInclusive<N>, FailureKind)], number: N) -> Option<FailureKind> {
    table.iter().find(|(range, _)| range.contains(&number)).map(|(_, kind)| *kind)
}

/// The class of an error under an HTTP status, its own or that of the response; without one, its type decides.
pub fn of(status: Option<u16>, error: &HostError, slow_down: &[u16]) -> FailureKind {
    if let Some(kind) = error.known.or_else(|| by_words(status, error)) {
        return kind;
    }
    let Some(status) = status else {
        let typed = TYPES.iter().find(|(_, types)| error.has_code(types)).map(|(kind, _)| *kind);
        let refuses = || has_words(error, REFUSAL_WORDS) || calls_request_invalid(error);
        return typed.unwrap_or_else(|| if refuses() { Rejected } else { Server });
    };
    if slow_down.contains(&status) {
        return RateLimited;
    }
    match first(STATUSES, status).unwrap_or(Malformed) {
        // A router's moderation answers 403 too, and says nothing about the key.
        Forbidden if error.flagged => Filtered,
        Rejected if says(error, NO_MODEL, NO_MODEL_WORDS) => NotFound,
        kind => kind,
    }
}

/// The class that an error's words tell, where they say more than its status.
fn by_words(status: Option<u16>, error: &HostError) -> Option<FailureKind> {
    let is_limit = status == Some(429);
    let may_be_of_credit = matches!(status, None | Some(400 | 402 | 403 | 429));
    let may_be_of_key = matches!(status, None | Some(400 | 403 | 404 | 422));
    let has_no_credit = error.has_code(NO_CREDIT) || (may_be_of_credit && has_words(error, NO_CREDIT_WORDS));
    let passes = error.waits && (is_limit || !error.has_code(NO_CREDIT));
    let rules = [
        (error.has_code(FILTERED), Filtered),
        (has_no_credit && !passes, PaymentRequired),
        (may_be_of_key && says(error, WRONG_KEY, WRONG_KEY_WORDS), Unauthorized),
        (matches!(status, None | Some(400 | 403)) && error.has_code(LIMITS), RateLimited),
        (passes_by_itself(status, error), Server),
        (status.is_none() && says(error, NO_MODEL, NO_MODEL_WORDS), NotFound),
    ];
    rules.into_iter().find(|(holds, _)| *holds).map(|(_, kind)| kind)
}

/// Whether a refusal says that it passes: the model is not there yet, or the request is to be sent again after a while.
fn passes_by_itself(status: Option<u16>, error: &HostError) -> bool {
    match status {
        None | Some(404) => has_words(error, NOT_READY_WORDS),
        Some(400 | 422) => has_words(error, NOT_READY_WORDS) || wait::wait_in_words(&error.message).is_some(),
        Some(_) => false,
    }
}

fn says(error: &HostError, codes: &[&str], words: &[&str]) -> bool {
    error.has_code(codes) || has_words(error, words)
}

fn has_words(error: &HostError, words: &[&str]) -> bool {
    let message = error.message.to_lowercase();
    words.iter().any(|words| message.contains(words))
}

/// Whether an error says that what was asked is invalid: of a host behind it that is said of answers.
fn calls_request_invalid(error: &HostError) -> bool {
    let message = error.message.to_lowercase();
    let (asked, near) = ASKED;
    message.match_indices(INVALID).any(|(at, _)| {
        let mut before = message[..at].split_whitespace().rev().take(near);
        before.any(|word| asked.iter().any(|asked| word.contains(asked)))
    })
}

/// The HTTP status that a code is: `400`, `400.0` and `400 Bad Request` are.
pub fn status(code: &str) -> Option<u16> {
    let code = code.trim().trim_start_matches('-');
    let digits = code.len() - code.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, rest) = code.split_at(digits);
    let rest = rest.strip_prefix(".0").unwrap_or(rest);
    let is_status = rest.is_empty() || rest.starts_with([' ', ':', '-', '_']);
    number.parse().ok().filter(|status| is_status && (400..600).contains(status))
}

/// Whether a code is this word, in whatever case, with whatever between its parts and whatever module before it.
pub fn is_word(code: &str, word: &str) -> bool {
    let name = code.rsplit('.').next().unwrap_or(code);
    letters(name).eq(letters(word))
}

fn letters(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase)
}
