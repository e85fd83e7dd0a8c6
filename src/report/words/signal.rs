//! Signals in words: in which way answers differ, and by how much.
//!
//! Part of layer 4's words, pure. No number that reads as nothing has a direction: it has more digits, or is left out.

use super::{count, p_sentence, percent};
use crate::verdict::SignalResult;

/// The signals that failed, each in words.
pub(super) fn signals(signals: &[SignalResult], alpha: f64) -> String {
    let parts: Vec<String> = signals.iter().filter_map(|s| signal(s, alpha)).collect();
    parts.join("; ")
}

fn signal(signal: &SignalResult, alpha: f64) -> Option<String> {
    if signal.name == "presence" {
        let p = signal.p_value.filter(|p| *p <= alpha)?;
        return Some(format!("words come more or less often, {}", p_sentence(p)));
    }
    let value = signal.statistic?;
    let prompt_tokens = signal.name == "prompt_tokens" && value > 0.0;
    if prompt_tokens {
        return Some(format!("prompt tokens differ on {}", count(value as usize, "probe")));
    }
    let p = signal.p_value.filter(|p| *p <= alpha)?;
    let than = |more: &'static str, less: &'static str| if value > 0.0 { more } else { less };
    let words = match signal.name.as_str() {
        "mmd" => format!("texts differ (mmd {value:.4})"),
        // The kernels behind `mmd`, one by one, say nothing more to a reader; the JSON report has them.
        name if name.starts_with("mmd_") => return None,
        "dispersion" => than("less varied texts", "more varied texts").to_owned(),
        "surprisal" => than("more surprising texts", "less surprising texts").to_owned(),
        "duplicates" => than("more identical answers", "fewer identical answers").to_owned(),
        "greedy_divergence" => "greedy answers leave the reference's sooner".to_owned(),
        "length" => sized(amount(value, 0).map(characters), than("longer", "shorter")),
        "cut_at_cap" => sized(share(value), than("more answers cut at the cap", "fewer answers cut at the cap")),
        "leading_space" => {
            sized(share(value), than("more answers begin with white space", "fewer answers begin with white space"))
        }
        "exclamation_marks" => {
            sized(amount(value, 1), than("more exclamation marks an answer", "fewer exclamation marks an answer"))
        }
        "emoji" => sized(amount(value, 1), than("more emoji an answer", "fewer emoji an answer")),
        name => format!("{name} {value:.4}"),
    };
    Some(format!("{words}, {}", p_sentence(p)))
}

/// What differs, behind its size where that can be shown.
fn sized(size: Option<String>, what: &str) -> String {
    size.map_or_else(|| what.to_owned(), |size| format!("{size} {what}"))
}

fn characters(amount: String) -> String {
    if amount == "1" { "1 character".to_owned() } else { amount + " characters" }
}

/// The most digits after the point that an amount is given.
const MOST_DIGITS: usize = 4;

/// A size with this many digits after the point, and with more where it would read as nothing.
fn amount(value: f64, digits: usize) -> Option<String> {
    let mut shown = (digits..=MOST_DIGITS).map(|digits| format!("{:.digits$}", value.abs()));
    shown.find(|text| text.contains(|c: char| ('1'..='9').contains(&c)))
}

/// The size of a share as per cent, likewise.
fn share(value: f64) -> Option<String> {
    let shown = percent(value.abs());
    if shown == "0 %" { amount(100.0 * value, 2).map(|number| format!("{number} %")) } else { Some(shown) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str, statistic: f64) -> String {
        let signal = SignalResult { name: name.to_owned(), statistic: Some(statistic), p_value: Some(0.032) };
        signals(&[signal], 0.05)
    }

    #[test]
    fn no_number_that_reads_as_nothing_has_a_direction() {
        assert_eq!(told("exclamation_marks", -0.021), "0.02 fewer exclamation marks an answer, p = 0.032");
        assert_eq!(told("exclamation_marks", 1.26), "1.3 more exclamation marks an answer, p = 0.032");
        assert_eq!(told("emoji", -1e-7), "fewer emoji an answer, p = 0.032");
        assert_eq!(told("length", 0.3), "0.3 characters longer, p = 0.032");
        assert_eq!(told("length", 1.2), "1 character longer, p = 0.032");
        assert_eq!(told("length", -41.4), "41 characters shorter, p = 0.032");
        assert_eq!(told("cut_at_cap", -0.18), "18 % fewer answers cut at the cap, p = 0.032");
        assert_eq!(told("leading_space", 0.0003), "0.03 % more answers begin with white space, p = 0.032");
    }
}
