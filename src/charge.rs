//! Charges: what an attempt costs. Decided once, when it has ended, and stored with it.
//!
//! Layer 2, pure. A host's own count is believed up to what the request can cost at most: the caller knows its prompt and its cap,
//! and no count of tokens beyond them spends a budget.

use crate::attempt::{FailureKind, Outcome};
use crate::config::Price;

/// What tokens cost, in US dollars.
pub fn cost(price: Price, prompt_tokens: u64, completion_tokens: u64) -> f64 {
    (price.input * prompt_tokens as f64 + price.output * completion_tokens as f64) / 1e6
}

/// US dollars with as many digits as a small amount needs: `$0.0013`, `$0.05`, `$2.03`.
pub fn exact_dollars(cost: f64) -> String {
    // No negative zero, which the sum of nothing is.
    let cost = if cost > 0.0 { cost } else { 0.0 };
    let digits = if cost > 0.0 && cost < 0.1 { (1.0 - cost.log10().floor()).min(12.0) as usize } else { 2 };
    let text = format!("{cost:.digits$}");
    let text = if digits > 2 { text.trim_end_matches('0') } else { &text };
    format!("${text}")
}

/// That a budget does not cover a single request, of which one costs at most so much.
pub fn too_small(budget: f64, dearest: f64) -> String {
    format!(
        "the budget of {} does not cover one request, which may cost {}: raise --budget",
        exact_dollars(budget),
        exact_dollars(dearest)
    )
}

/// What an attempt costs, in US dollars, between 0 and `worst`, the most that its request can cost: by the host's count where it has
/// answered and counts, and the most wherever it may have generated without saying how much.
pub fn charge(outcome: &Outcome, price: Price, worst: f64) -> f64 {
    match outcome {
        Outcome::Answered(answer) => match answer.usage.map(|usage| (usage.prompt_tokens, usage.completion_tokens)) {
            Some((Some(prompt), Some(completion))) => cost(price, prompt, completion).min(worst),
            _ => worst,
        },
        Outcome::Failed(failure) if may_have_cost(failure.kind) => worst,
        Outcome::Failed(_) => 0.0,
    }
}

/// Whether a host may have generated, and so charged, before it failed in this way. One that answers with an error has generated
/// nothing that it charges for.
fn may_have_cost(kind: FailureKind) -> bool {
    use FailureKind::{
        Blank, Connect, CutStream, Filtered, Forbidden, Local, Malformed, NotFound, PaymentRequired, RateLimited,
        Redirect, Rejected, Reset, Server, Timeout, TooLarge, Unauthorized,
    };
    match kind {
        Reset | CutStream | Timeout | Filtered | Malformed | TooLarge | Blank => true,
        Connect | Local | RateLimited | Server | Unauthorized | Forbidden | NotFound | PaymentRequired | Rejected
        | Redirect => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::{Answer, Failure};
    use crate::sample::Usage;

    const PRICE: Price = Price { input: 1.0, output: 2.0 };

    fn counted(prompt: Option<u64>, completion: Option<u64>) -> f64 {
        let usage = Usage { prompt_tokens: prompt, completion_tokens: completion, ..Usage::default() };
        charge(&Outcome::Answered(Box::new(Answer { usage: Some(usage), ..Answer::default() })), PRICE, 0.01)
    }

    #[test]
    fn an_answer_costs_what_the_host_counts_and_never_more_than_it_can() {
        assert!((counted(Some(1000), Some(500)) - 0.002).abs() < 1e-12);
        assert!((counted(Some(1000), None) - 0.01).abs() < 1e-12, "what is not counted may be the most");
        assert!((counted(Some(9_000_000_000_000_000), Some(1)) - 0.01).abs() < 1e-12);
    }

    #[test]
    fn a_budget_that_covers_nothing_is_told_with_all_its_digits() {
        assert_eq!(
            [0.0, -0.0, 0.0001, 0.00134, 0.05, 2.031].map(exact_dollars),
            ["$0.00", "$0.00", "$0.0001", "$0.0013", "$0.05", "$2.03"]
        );
        let told = "the budget of $0.0001 does not cover one request, which may cost $0.0024: raise --budget";
        assert_eq!(too_small(0.0001, 0.0024), told);
    }

    #[test]
    fn what_broke_off_may_have_cost_the_most_and_an_error_costs_nothing() {
        let failed = |kind| {
            let failure = Failure { kind, message: String::new(), retry_after: None, should_retry: None };
            charge(&Outcome::Failed(failure), PRICE, 0.01)
        };
        assert!((failed(FailureKind::CutStream) - 0.01).abs() < 1e-12);
        assert!(failed(FailureKind::Server) + failed(FailureKind::RateLimited) < 1e-12);
    }
}
