//! The money that a run may spend.

/// Money set aside before each request, so that a budget is never passed.
///
/// A request may start only when its worst case fits beside what is spent and what is set aside for others.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    limit: Option<f64>,
    spent: f64,
    reserved: f64,
    exhausted: bool,
}

impl Budget {
    /// A budget in US dollars of which some may be spent already; without a limit everything fits.
    pub fn new(limit: Option<f64>, spent: f64) -> Self {
        Self { limit, spent, reserved: 0.0, exhausted: false }
    }

    /// Sets an amount aside; `false` when it does not fit.
    pub fn reserve(&mut self, worst: f64) -> bool {
        let fits = self.limit.is_none_or(|limit| self.spent + self.reserved + worst <= limit);
        if fits {
            self.reserved += worst;
        }
        fits
    }

    /// Turns what was set aside into what was spent.
    pub fn settle(&mut self, worst: f64, actual: f64) {
        self.reserved = (self.reserved - worst).max(0.0);
        self.spent += actual;
    }

    /// Marks that something did not fit.
    pub fn exhaust(&mut self) {
        self.exhausted = true;
    }

    /// Whether something did not fit.
    pub fn is_exhausted(&self) -> bool {
        self.exhausted
    }

    /// Spent so far, in US dollars.
    pub fn spent(&self) -> f64 {
        self.spent
    }

    /// Set aside for requests under way, in US dollars: the most that they may cost.
    pub fn held(&self) -> f64 {
        self.reserved
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_budget_is_never_passed(limit in 0.0..5.0_f64, costs in prop::collection::vec((0.0..1.0_f64, 0.0..=1.0_f64), 0..40)) {
            let mut budget = Budget::new(Some(limit), 0.0);
            for (worst, share) in costs {
                if budget.reserve(worst) {
                    budget.settle(worst, worst * share);
                }
                prop_assert!(budget.spent() <= limit + 1e-12);
            }
        }
    }
}
