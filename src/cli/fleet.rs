//! The embedded lab as the command line uses it: started for a run, or said to be missing.

use std::collections::BTreeMap;
use std::time::Duration;

use super::UsageError;
use super::session::Ready;
#[cfg(feature = "lab")]
use crate::config::Address;
use crate::config::Provider;

/// The lab while a run needs it.
#[derive(Default)]
pub(super) struct Lab {
    /// Base URLs by the names of the endpoints that it serves.
    pub urls: BTreeMap<String, String>,
    #[cfg(feature = "lab")]
    _fleet: Option<crate::lab::Fleet>,
}

#[cfg(feature = "lab")]
impl Lab {
    /// Refuses an address that asks for a fault which the lab does not know, before anything is sent.
    pub fn check(provider: &Provider, name: &str) -> anyhow::Result<()> {
        let checked = crate::lab::LabEndpoint::from_address(name, &provider.base_url);
        checked.map_err(|e| UsageError(format!("provider `{name}`: {e}")))?;
        Ok(())
    }

    /// Starts those of the endpoints whose address is `lab:`, with a clock that shows this.
    pub async fn start(ready: &[Ready], seed: u64, shown: Duration) -> anyhow::Result<Self> {
        use crate::lab::{Clock, Fleet, FleetOptions, LabEndpoint};
        let wanted = ready.iter().filter(|r| matches!(r.address, Address::Lab(_)));
        let endpoints: Vec<LabEndpoint> = wanted
            .map(|r| LabEndpoint::from_address(&r.endpoint.name, &r.provider.base_url))
            .collect::<Result<_, _>>()?;
        if endpoints.is_empty() {
            return Ok(Self::default());
        }
        let clock = Clock::default();
        clock.set(shown);
        let fleet = Fleet::start(&endpoints, FleetOptions { seed, clock, ..FleetOptions::default() }).await?;
        let urls = endpoints.iter().enumerate().map(|(i, e)| (e.name.clone(), fleet.base_url(i))).collect();
        Ok(Self { urls, _fleet: Some(fleet) })
    }
}

#[cfg(not(feature = "lab"))]
impl Lab {
    /// Says that there is no lab in this program.
    pub fn check(_: &Provider, name: &str) -> anyhow::Result<()> {
        let what = "is in the lab, and this program was built without it: build it with the feature `lab`";
        Err(UsageError(format!("provider `{name}` {what}")).into())
    }

    /// Nothing to start: [`Lab::check`] has refused every address in the lab.
    #[expect(clippy::unused_async, reason = "the lab that is compiled in needs it")]
    pub async fn start(_: &[Ready], _: u64, _: Duration) -> anyhow::Result<Self> {
        Ok(Self::default())
    }
}
