//! Images: as many tokens as patches, and hosts that shrink or lose them.

use serde_json::{Value, json};

use super::*;
use crate::lab::images::tests::data_url;

fn shown(url: &str) -> Value {
    let content = json!([{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "What is this?"}]);
    json!({"model": "lab", "messages": [{"role": "user", "content": content}], "max_tokens": 8, "temperature": 0})
}

#[tokio::test]
async fn images_are_counted_by_their_patches_unless_they_are_shrunk_or_lost() {
    let addresses = ["lab:", "lab:image-downscaled=2", "lab:image-downscaled=4", "lab:image-dropped"];
    let fleet = quiet(&addresses).await;
    let red = data_url(64, 64, |_, _| [200, 30, 30]);
    let mut counts = Vec::new();
    for index in 0..addresses.len() {
        let answer = ask(&fleet, index, &shown(&red)).await;
        counts.push(answer["usage"]["prompt_tokens"].as_u64().unwrap());
    }
    // The image, its rows and the newline after it.
    let bare = counts[3];
    assert_eq!(counts[..3], [bare + 64 + 8 + 2, bare + 16 + 4 + 2, bare + 4 + 2 + 2]);
}

#[tokio::test]
async fn images_that_cannot_be_read_are_refused_in_words() {
    let fleet = quiet(&["lab:"]).await;
    for (url, said) in [
        ("https://example.com/cat.png", "fetches no images"),
        ("data:image/gif;base64,AAAA", "must be PNG"),
        ("data:image/png;base64,AAAA", "decoded"),
    ] {
        let response = post(&fleet, 0, &shown(url)).await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        let error = response.text().await.unwrap();
        assert!(error.contains(said), "{error}");
    }
    let claimed = post(&fleet, 0, &body("<|patch|>", &json!({}))).await.unwrap();
    assert_eq!(claimed.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_image_that_is_cut_off_in_the_middle_is_answered_all_the_same() {
    let fleet = quiet(&["lab:truncated-context=30"]).await;
    let answer = ask(&fleet, 0, &shown(&data_url(48, 48, |x, y| [x as u8, y as u8, 0]))).await;
    assert_eq!(answer["usage"]["prompt_tokens"], 30);
}

#[tokio::test]
async fn what_is_seen_moves_the_answer_unless_it_is_lost() {
    let fleet = quiet(&["lab:", "lab:image-dropped"]).await;
    let mut scores = Vec::new();
    for index in 0..2 {
        for colour in [[200, 30, 30], [30, 30, 200]] {
            let mut request = shown(&data_url(32, 32, |_, _| colour));
            request["logprobs"] = json!(true);
            let answer = ask(&fleet, index, &request).await;
            scores.push(answer["choices"][0]["logprobs"]["content"][0].clone());
        }
    }
    assert_ne!(scores[0], scores[1]);
    assert_eq!(scores[2], scores[3]);
}
