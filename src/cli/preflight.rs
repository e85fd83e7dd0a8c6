//! Before anything is paid for: who cannot be asked, and whether address, key and model's name of the others are right, as far as a
//! list of models tells.
//!
//! What is found is said, and stops nothing: a list may be wrong, and a host may come back.

use std::collections::BTreeMap;

use tokio::task::JoinSet;

use super::note;
use super::session::Unasked;
use crate::attempt::FailureKind;
use crate::client::{Client, Listing, Target};
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

/// Looks once at each host's list, all at the same time, and says what is wrong.
pub(super) async fn look(arms: &[&Arm], client: &Client) {
    let mut hosts: BTreeMap<String, Vec<&Arm>> = BTreeMap::new();
    for arm in arms {
        hosts.entry(arm.target.listing_address()).or_default().push(arm);
    }
    let mut looking = JoinSet::new();
    for (address, arms) in &hosts {
        let (address, target, client) = (address.clone(), arms[0].target.clone(), client.clone());
        looking.spawn(async move { (address, client.models(&target).await) });
    }
    let mut found: BTreeMap<String, Listing> = BTreeMap::new();
    while let Some(done) = looking.join_next().await {
        found.extend(done.ok());
    }
    for (address, listing) in found {
        for arm in hosts.get(&address).into_iter().flatten() {
            if let Some(trouble) = trouble(&arm.endpoint.name, &arm.endpoint.model, &arm.target, &listing) {
                note(&escape::line(&trouble));
            }
        }
    }
}

/// What a list shows to be wrong of an endpoint.
fn trouble(endpoint: &str, model: &str, target: &Target, listing: &Listing) -> Option<String> {
    match listing {
        Listing::Failed(failure) if failure.kind == FailureKind::Unauthorized => Some(format!(
            "`{endpoint}` does not take the key ({}): is it this host's, and still valid?",
            failure.message
        )),
        Listing::Failed(failure) => Some(format!(
            "`{endpoint}` cannot be reached: {}; check `base_url` (tried {})",
            failure.message,
            target.listing_address()
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
