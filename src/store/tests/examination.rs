//! What is kept of examinations.

use super::*;
use crate::doctor::{Examined, Feature, Finding, State};
use crate::redact::{MASK, Redactor};

fn examined(endpoint: &str, second: i64, words: &str) -> Examined {
    Examined {
        endpoint: endpoint.into(),
        provider: "p".into(),
        model: "m".into(),
        examined_at: time(second),
        requests: 13,
        cost: None,
        findings: vec![Finding {
            feature: Feature::Tools,
            state: State::Refused,
            evidence: "twice".into(),
            words: Some(words.into()),
            value: None,
        }],
        settings: Vec::new(),
    }
}

#[tokio::test]
async fn the_latest_examination_of_each_endpoint_comes_back_redacted() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path(), Redactor::new(["canary-1"])).await.unwrap();
    store.keep_examinations("m", &[examined("b", 1, "old"), examined("a", 1, "no canary-1")]).await.unwrap();
    store.keep_examinations("m", &[examined("b", 3, "new")]).await.unwrap();
    store.keep_examinations("m", &[examined("b", 2, "between")]).await.unwrap();
    store.keep_examinations("other", &[examined("c", 9, "")]).await.unwrap();
    let found = store.latest_examinations("m").await.unwrap();
    assert_eq!(found, [examined("a", 1, &format!("no {MASK}")), examined("b", 3, "new")]);
}

#[tokio::test]
async fn the_recent_examinations_come_back_by_endpoint_and_the_newest_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path(), Redactor::default()).await.unwrap();
    for second in [3, 1, 2] {
        store.keep_examinations("m", &[examined("b", second, ""), examined("other", second, "")]).await.unwrap();
    }
    store.keep_examinations("m", &[examined("a", 5, "")]).await.unwrap();
    for second in 10..20 {
        store.keep_examinations("many", &[examined("a", second, "")]).await.unwrap();
    }
    let found = store.recent_examinations("m").await.unwrap();
    let expected = [("a", 5), ("b", 3), ("b", 2), ("b", 1), ("other", 3), ("other", 2), ("other", 1)];
    assert_eq!(found, expected.map(|(endpoint, second)| examined(endpoint, second, "")));
    assert_eq!(store.recent_examinations("many").await.unwrap().len(), 8);
}
