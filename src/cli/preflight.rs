//! Before anything is paid for: who cannot be asked, and whether address, key and model's name of the others are right, as far as a
//! list of models tells.
//!
//! What is found is said, and stops nothing: a list may be wrong, and a host may come back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::note;
use super::session::Unasked;
use crate::attempt::FailureKind;
use crate::client::{Client, Listing};
use crate::report::escape;
use crate::report::words::count;
use crate::runner::Arm;
use crate::suggest::nearest;

/// Says which endpoints are not asked, and why.
pub(super) fn say_who_is_left_out(unasked: &[Unasked]) {
    if unasked.is_empty() {
        return;
    }
    let each: Vec<String> =
        unasked.iter().map(|u| format!("\n  {}: {}", u.endpoint, escape::line(&u.reason))).collect();
    note(&format!("not asked, {}:{}", count(unasked.len(), "endpoint"), each.concat()));
}

/// How long the run is held up for hosts that have not answered when half of them have: so many times what those took, within these
/// bounds. A host that is silent holds nobody back.
const GRACE: (u32, Duration, Duration) = (4, Duration::from_millis(200), Duration::from_secs(2));

/// A look at each host's list, all at the same time.
pub(super) struct Look {
    /// Who is asked at each address.
    hosts: BTreeMap<String, Vec<Named>>,
    looking: JoinSet<(String, Listing)>,
}

/// An endpoint and its model's name there.
struct Named {
    endpoint: String,
    model: String,
}

impl Look {
    /// Asks every host once.
    pub fn begin(arms: &[&Arm], client: &Client) -> Self {
        let mut hosts: BTreeMap<String, Vec<Named>> = BTreeMap::new();
        let mut looking = JoinSet::new();
        for arm in arms {
            let address = arm.target.listing_address();
            let named = Named { endpoint: arm.endpoint.name.clone(), model: arm.endpoint.model.clone() };
            let of_host = hosts.entry(address.clone()).or_default();
            if of_host.is_empty() {
                let (target, client) = (arm.target.clone(), client.clone());
                looking.spawn(async move { (address, client.models(&target).await) });
            }
            of_host.push(named);
        }
        Self { hosts, looking }
    }

    /// Says what is wrong at the hosts that answer soon. Whoever has not answered by then is heard later.
    pub async fn tell_first(&mut self) {
        let begun = Instant::now();
        let half = self.hosts.len().div_ceil(2);
        while self.looking.len() > self.hosts.len() - half {
            self.hear_next(&say).await;
        }
        let (times, least, most) = GRACE;
        let grace = (begun.elapsed() * times).clamp(least, most);
        let _ = timeout(grace, self.hear_rest(&say)).await;
    }

    /// Hands on what is wrong at the hosts that are left, as they answer.
    pub async fn hear_rest(&mut self, hear: &impl Fn(&str)) {
        while !self.looking.is_empty() {
            self.hear_next(hear).await;
        }
    }

    async fn hear_next(&mut self, hear: &impl Fn(&str)) {
        let Some(Ok((address, listing))) = self.looking.join_next().await else { return };
        for named in self.hosts.get(&address).into_iter().flatten() {
            if let Some(trouble) = trouble(named, &address, &listing) {
                hear(&trouble);
            }
        }
    }
}

/// Says what is wrong.
pub(super) fn say(trouble: &str) {
    note(&escape::line(trouble));
}

/// What a list shows to be wrong of an endpoint.
fn trouble(named: &Named, address: &str, listing: &Listing) -> Option<String> {
    let Named { endpoint, model } = named;
    match listing {
        Listing::Failed(failure) if failure.kind == FailureKind::Unauthorized => Some(format!(
            "`{endpoint}` does not take the key ({}): is it this host's, and still valid?",
            failure.message
        )),
        Listing::Failed(failure) => {
            Some(format!("`{endpoint}` cannot be reached: {}; check `base_url` (tried {address})", failure.message))
        }
        Listing::Page(said) => Some(format!(
            "`{endpoint}` has no list of models but {said}; check `base_url` if its requests fail (tried {address})"
        )),
        Listing::Models(names) if !names.iter().any(|name| is_named(name, model)) => {
            let hint = nearest(model, names.iter().map(String::as_str));
            let hint = hint.map_or_else(String::new, |name| format!(": did you mean `{name}`?"));
            Some(format!("`{endpoint}` lists {} and no `{model}`{hint}", count(names.len(), "model")))
        }
        Listing::Models(_) | Listing::Untold => None,
    }
}

/// Whether a listed name is the model's: routers take names with a flavour or an organisation that their list does not have.
fn is_named(listed: &str, model: &str) -> bool {
    let plain = |name: &str| {
        let name = name.to_lowercase();
        let flavour = name.rfind(':').filter(|at| *at > 0).unwrap_or(name.len());
        name[..flavour].to_owned()
    };
    let (listed, model) = (plain(listed), plain(model));
    listed == model || listed.ends_with(&format!("/{model}")) || model.ends_with(&format!("/{listed}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_known_with_its_flavour_and_its_organisation_and_no_other() {
        for (listed, model) in [
            ("openai/gpt-oss-120b", "openai/gpt-oss-120b:nitro"),
            ("openai/gpt-oss-120b", "gpt-oss-120b"),
            ("gpt-oss-120b", "accounts/x/models/gpt-oss-120b"),
            ("GPT-OSS-120B", "gpt-oss-120b"),
        ] {
            assert!(is_named(listed, model), "{listed} {model}");
        }
        assert!(!is_named("gpt-oss-120b", "gpt-oss-20b") && !is_named("xgpt", "gpt"));
    }
}
