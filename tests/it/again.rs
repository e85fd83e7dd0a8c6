//! What is said before anything is asked, and runs that are judged again.

use serde_json::json;

use crate::fixture::{Project, assert_says};
use crate::host::{Host, Request, delta, end, response, stream};

/// Lists two models, and answers the same to all.
fn answer(request: &Request) -> Vec<u8> {
    let is_list = request.path.ends_with("/models");
    match request.path.split('/').nth(1).unwrap_or_default() {
        "wrong-key" if is_list => response("401 Unauthorized", &[], r#"{"error":{"message":"no such key"}}"#),
        "page" if is_list => response("200 OK", &[], "<!doctype html><title>Sign in</title>"),
        _ if is_list => response("200 OK", &[], r#"{"data":[{"id":"lab-large"},{"id":"other"}]}"#),
        _ => stream(&[delta("one two three"), end()]),
    }
}

#[test]
fn what_is_wrong_with_addresses_keys_and_names_is_said_before_anything_is_asked() {
    let host = Host::start(answer);
    let project = Project::new()
        .with_probe("a", "Say something.")
        .with_probe("b", "Say something else.")
        .with_endpoint("reference", &host.url("plain"))
        .with_endpoint("wrong-key", &host.url("wrong-key"))
        .with_endpoint("page", &host.url("page"))
        .with_endpoint("nowhere", "http://127.0.0.1:9/v1")
        .with_keyed_endpoint("keyless", &host.url("keyless"), "NO_SUCH_KEY");
    let run = project.run(["check", "--format", "json"]);
    let said = |what: &[&str]| assert_says(&run.stderr, what);
    said(&["not asked, 1 endpoint", "keyless: ", "set NO_SUCH_KEY"]);
    said(&["`reference` lists 2 models and no `lab`: did you mean `lab-large`?"]);
    said(&["`wrong-key` does not take the key", "no such key"]);
    said(&["`page` has no list of models but a page of HTML: Sign in; check `base_url`", "/page/v1/models"]);
    said(&["`nowhere` cannot be reached: connection refused", "check `base_url`", "127.0.0.1:9/v1/models"]);
    let nowhere = run.endpoint("nowhere");
    assert_eq!((&nowhere["verdict"], &nowhere["findings"]), (&json!("unmeasured"), &json!([])), "{nowhere:#}");
}

#[test]
fn a_kept_run_is_judged_again_with_the_same_result_and_nothing_is_asked() {
    let host = Host::start(answer);
    let project = Project::new()
        .with_probe("a", "Say something.")
        .with_probe("b", "Say something else.")
        .with_endpoint("reference", &host.url("plain"))
        .with_endpoint("twin", &host.url("plain"))
        .with_keyed_endpoint("keyless", &host.url("plain"), "NO_SUCH_KEY");
    let first = project.run(["check", "--seed", "1", "--format", "json"]).json();
    drop(host);
    let again = project.run(["report", "--format", "json"]);
    assert_eq!(again.json(), first, "{}", again.stderr);
    let keyless = again.endpoint("keyless")["reason"].as_str().expect("a reason").to_owned();
    assert!(keyless.starts_with("no key: set NO_SUCH_KEY"), "who was not asked has the reason of then: {keyless}");
    let id = first["run"].as_str().expect("a run's id").to_owned();
    assert_eq!(project.run(["report", &id, "--format", "json"]).json(), first);
    let alone = project.run(["report", "-e", "twin", "--format", "json"]).json();
    assert_eq!(alone["endpoints"], json!([first["endpoints"][0].clone()]));
    project.run(["report", "-e", "twyn"]).refuses(2, &["did not judge an endpoint `twyn`", "did you mean `twin`?"]);
    project.run(["report", "no-such-run"]).refuses(2, &["no such run", "samemodel history"]);
}
