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
    fn what_broke_off_may_have_cost_the_most_and_an_error_costs_nothing() {
        let failed = |kind| {
            let failure = Failure { kind, message: String::new(), retry_after: None, should_retry: None };
            charge(&Outcome::Failed(failure), PRICE, 0.01)
        };
        assert!((failed(FailureKind::CutStream) - 0.01).abs() < 1e-12);
        assert!(failed(FailureKind::Server) + failed(FailureKind::RateLimited) < 1e-12);
    }
}
