//! The same questions by a client that sends them, reads the answers and does nothing else.

use std::thread;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{StreamExt as _, stream};
use serde_json::json;

use crate::body::MODEL;
use crate::busy::busy;

/// Questions under way at one host.
const AT_ONCE: usize = 8;

/// The processor time that it takes to ask each of these hosts so many questions.
pub fn asked(urls: &[String], answers: usize) -> Duration {
    // A thread of its own, since a processor's time is counted by thread.
    let timed = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let client = reqwest::Client::new();
        let start = busy();
        runtime.block_on(join_all(urls.iter().map(|url| ask(&client, url, answers))));
        busy().saturating_sub(start)
    };
    thread::scope(|scope| scope.spawn(timed).join()).expect("every question is answered")
}

async fn ask(client: &reqwest::Client, url: &str, answers: usize) {
    let body = json!({
        "model": MODEL,
        "messages": [{"role": "user", "content": "Tell me a story about a boat.\n"}],
        "max_tokens": 512,
        "temperature": 1.0,
    });
    let address = format!("{url}/chat/completions");
    let one = |_| async {
        let response = client.post(&address).json(&body).send().await.expect("an answer");
        response.bytes().await.expect("a body");
    };
    stream::iter(0..answers).map(one).buffer_unordered(AT_ONCE).for_each(|()| async {}).await;
}
