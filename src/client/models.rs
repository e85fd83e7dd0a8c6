//! What a host lists: one request that costs nothing, and shows whether its address, its key and a model's name are right before
//! anything is paid for.
//!
//! Layer 3. Many hosts list nothing there, or ask for no key: only what is plain is told.

use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use super::{Client, bounded, encoding, fault, transport};
use crate::attempt::{Failure, FailureKind};
use crate::client::Target;
use crate::client::target::keeps_connection;

/// How long a host is given.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest list that is read, in bytes; a router's with several hundred models has about one million.
const LIMIT: usize = 16 << 20;

/// What a host says of its models.
#[derive(Debug, Clone, PartialEq)]
pub enum Listing {
    /// Their names.
    Models(Vec<String>),
    /// Why it cannot be asked: there is no connection, or it does not take the key.
    Failed(Failure),
    /// A page for people in the place of a list, in a line of what is read on it.
    Page(String),
    /// Nothing that tells anything.
    Untold,
}

impl Client {
    /// Asks for the list of models beside the target's own address. Never fails, and takes a few seconds at most.
    pub async fn models(&self, target: &Target) -> Listing {
        timeout(PATIENCE, self.listed(target)).await.unwrap_or(Listing::Untold)
    }

    async fn listed(&self, target: &Target) -> Listing {
        let sent = target.http.get(target.models.clone()).headers(target.headers.clone()).send().await;
        let mut response = match sent {
            Ok(response) => response,
            Err(error) => return self.told(&transport::failed(error, target)),
        };
        let status = response.status();
        let mut body = Vec::new();
        let ended = loop {
            match response.chunk().await {
                Ok(Some(bytes)) => body.extend_from_slice(&bytes),
                over => break over.is_ok(),
            }
            if body.len() > LIMIT {
                return Listing::Untold;
            }
        };
        if ended && keeps_connection(response.headers()) {
            target.kept.add();
        }
        let body = encoding::unpacked(body, LIMIT);
        if status.is_success() {
            return names(&body).map_or_else(|| self.page(&body), Listing::Models);
        }
        self.told(&fault::from_status(status.as_u16(), &body, &target.slow_down))
    }

    /// What is read on a page, which a wrong address or a wall before the host answers everything with.
    fn page(&self, body: &[u8]) -> Listing {
        let said = fault::readable(body);
        if !said.starts_with(fault::PAGE) {
            return Listing::Untold;
        }
        Listing::Page(bounded(&fault::one_line(&self.clean(&said))))
    }

    fn told(&self, failure: &Failure) -> Listing {
        if !matches!(failure.kind, FailureKind::Connect | FailureKind::Unauthorized) {
            return Listing::Untold;
        }
        let message = bounded(&fault::one_line(&self.clean(&failure.message)));
        Listing::Failed(Failure { message, ..failure.clone() })
    }
}

/// The ids in a list, in whichever of the usual forms; `None` where there are none.
fn names(body: &[u8]) -> Option<Vec<String>> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let list =
        [Some(&value), value.get("data"), value.get("models")].into_iter().flatten().find_map(Value::as_array)?;
    let id = |model: &Value| {
        let named = model.as_str().or_else(|| ["id", "name"].into_iter().find_map(|key| model.get(key)?.as_str()));
        named.map(str::to_owned)
    };
    let names: Vec<String> = list.iter().filter_map(id).collect();
    (!names.is_empty()).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_the_usual_forms_of_lists() {
        let found = |body: &str| names(body.as_bytes());
        let both = Some(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(found(r#"{"object":"list","data":[{"id":"a"},{"id":"b"}]}"#), both);
        assert_eq!(found(r#"[{"id":"a"},{"name":"b"}]"#), both);
        assert_eq!(found(r#"{"models":["a","b",1]}"#), both);
        for nothing in ["", "null", "{}", "[]", "<html>", r#"{"data":{"id":"a"}}"#] {
            assert_eq!(found(nothing), None, "{nothing}");
        }
    }
}
