//! The accounts of a run: attempts, failures and costs by endpoint, from what the store holds.

use std::collections::{BTreeMap, HashSet};

use super::job::Job;
use super::session::Session;
use crate::attempt::Slot;
use crate::charge::cost;
use crate::plural::count;
use crate::probe::RequestClass;
use crate::report::Account;
use crate::report::cause::{Cause, Causes, Step, Trail};
use crate::store::{RecordedAttempt, Store};

/// Where the accounts come from.
pub(super) struct Ledger<'a> {
    pub session: &'a Session,
    pub job: &'a Job,
    pub store: &'a dyn Store,
}

impl Ledger<'_> {
    /// What the run has cost so far, in US dollars.
    pub async fn spent(&self) -> anyhow::Result<f64> {
        // Not `sum`, which of nothing makes a negative zero.
        Ok(self.costs().await?.values().copied().flatten().fold(0.0, |all, cost| all + cost))
    }

    /// Cost by endpoint: the charges that are stored. For attempts without one, those of earlier versions, the hosts' counts, and the
    /// worst case for each that may have cost something uncounted.
    async fn costs(&self) -> anyhow::Result<BTreeMap<String, Option<f64>>> {
        let mut costs: BTreeMap<String, Option<f64>> = BTreeMap::new();
        for spent in self.store.spent(&self.job.run.id).await? {
            let price = self.session.model.endpoint.iter().find(|e| e.name == spent.endpoint).and_then(|e| e.price);
            let Some(price) = price else { continue };
            let planned = self.job.plan.probes.iter().find(|p| p.probe.id == spent.probe);
            let worst = planned.map_or(0.0, |p| p.worst_cost(price));
            let uncharged = cost(price, spent.prompt_tokens, spent.completion_tokens) + spent.unmetered as f64 * worst;
            let paid = spent.charged + uncharged;
            let total = costs.entry(spent.endpoint).or_default();
            *total = Some(total.unwrap_or(0.0) + paid);
        }
        Ok(costs)
    }

    /// Accounts by endpoint.
    pub async fn accounts(&self) -> anyhow::Result<BTreeMap<String, Account>> {
        let id = &self.job.run.id;
        let mut costs = self.costs().await?;
        let mut accounts: BTreeMap<String, Account> = BTreeMap::new();
        for counts in self.store.counts(id).await? {
            let cost = costs.remove(&counts.endpoint).flatten();
            let account = Account {
                samples: counts.answers as usize,
                attempts: counts.attempts as usize,
                errors: counts.failures as usize,
                failures: BTreeMap::new(),
                unanswered: self.job.plan.requests_to(&counts.endpoint).saturating_sub(counts.answers as usize),
                not_asked: 0,
                taken_out: None,
                cost,
                causes: Vec::new(),
            };
            accounts.insert(counts.endpoint, account);
        }
        let classes: BTreeMap<&str, String> = self
            .job
            .plan
            .probes
            .iter()
            .map(|planned| (planned.probe.id.as_str(), RequestClass::of(&planned.probe).to_string()))
            .collect();
        let mut causes: BTreeMap<String, Causes> = BTreeMap::new();
        let mut failed: HashSet<Slot> = HashSet::new();
        let mut last: BTreeMap<String, String> = BTreeMap::new();
        let attempts = self.store.attempts(id).await?;
        for attempt in &attempts {
            if let (Some(failure), Some(account)) = (&attempt.failure, accounts.get_mut(&attempt.slot.endpoint)) {
                let class = classes.get(attempt.slot.probe.as_str()).map_or("", String::as_str);
                causes.entry(attempt.slot.endpoint.clone()).or_default().count(&failure.kind, class, &failure.message);
                *account.failures.entry(failure.kind.clone()).or_default() += 1;
                last.insert(attempt.slot.endpoint.clone(), failure.message.clone());
                failed.insert(attempt.slot.clone());
            }
        }
        self.count_not_asked(&mut accounts, failed).await?;
        for (endpoint, failure) in last {
            if let Some(account) = accounts.get_mut(&endpoint).filter(|account| account.not_asked > 0) {
                let left = count(account.not_asked, "planned request");
                account.taken_out = Some(format!("{left} left out after this failure: {failure}"));
            }
        }
        let mut trails = self.trails(&attempts);
        for (endpoint, causes) in causes {
            let mut causes = causes.finish();
            trails.remove(endpoint.as_str()).unwrap_or_default().tell(&mut causes);
            accounts.entry(endpoint).or_default().causes = causes;
        }
        for left_out in &self.job.plan.left_out {
            accounts.entry(left_out.endpoint.clone()).or_default().causes.push(Cause::left_out(left_out));
        }
        Ok(accounts)
    }

    /// The plain requests to each endpoint.
    fn trails<'a>(&self, attempts: &'a [RecordedAttempt]) -> BTreeMap<&'a str, Trail<'a>> {
        let plain = self.job.plan.probes.iter().filter(|planned| RequestClass::of(&planned.probe).is_plain());
        let plain: HashSet<&str> = plain.map(|planned| planned.probe.id.as_str()).collect();
        let mut trails: BTreeMap<&str, Trail<'_>> = BTreeMap::new();
        for attempt in attempts.iter().filter(|attempt| plain.contains(attempt.slot.probe.as_str())) {
            let failure = attempt.failure.as_ref().map(|failure| failure.kind.as_str());
            let step = Step { at: attempt.started_at, probe: &attempt.slot.probe, failure };
            trails.entry(&attempt.slot.endpoint).or_default().push(step);
        }
        trails
    }

    /// Of requests without an answer, those of which no attempt failed were never asked, or not to the end.
    async fn count_not_asked(
        &self,
        accounts: &mut BTreeMap<String, Account>,
        mut failed: HashSet<Slot>,
    ) -> anyhow::Result<()> {
        let answered = self.store.answered(&self.job.run.id).await?;
        failed.retain(|slot| !answered.contains(slot));
        for (endpoint, account) in accounts {
            let failed = failed.iter().filter(|slot| slot.endpoint == *endpoint).count();
            account.not_asked = account.unanswered.saturating_sub(failed);
        }
        Ok(())
    }
}
