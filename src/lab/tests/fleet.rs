//! Fleets: names, keys and their end.

use serde_json::{Value, json};

use super::*;

#[tokio::test]
async fn a_fleet_with_a_key_lets_in_only_those_who_carry_it() {
    let options = FleetOptions { api_key: Some("open sesame".into()), ..FleetOptions::default() };
    let fleet = fleet(&["lab:"], options).await;
    let models = format!("{}/models", fleet.base_url(0));
    for (header, status) in [(None, 401), (Some("Bearer wrong"), 401), (Some("Bearer open sesame"), 200)] {
        let request =
            header.iter().fold(Client::new().get(&models), |request, header| request.header("authorization", *header));
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), status);
        if status == 200 {
            assert!(response.text().await.unwrap().contains(r#""id":"lab""#));
        }
    }
}

#[tokio::test]
async fn a_model_can_be_asked_for_by_its_name() {
    let fleet = quiet(&["lab:"]).await;
    let get = async |name: &str| {
        let response = Client::new().get(format!("{}/models/{name}", fleet.base_url(0))).send().await.unwrap();
        let status = response.status();
        (status, serde_json::from_str::<Value>(&response.text().await.unwrap()).unwrap())
    };
    let (status, model) = get("lab").await;
    assert_eq!((status, &model["id"], &model["object"]), (StatusCode::OK, &json!("lab"), &json!("model")));
    let (status, error) = get("other").await;
    assert_eq!((status, &error["error"]["code"]), (StatusCode::NOT_FOUND, &json!("model_not_found")));
}

#[tokio::test]
async fn names_must_differ() {
    let endpoint = LabEndpoint::from_address("same", "lab:").unwrap();
    let error = Fleet::start(&[endpoint.clone(), endpoint], FleetOptions::default()).await.err().unwrap();
    assert!(error.to_string().contains("`same` is there twice"), "{error}");
}

#[tokio::test]
async fn a_dropped_fleet_no_longer_listens() {
    let fleet = quiet(&["lab:"]).await;
    let url = format!("{}/models", fleet.base_url(0));
    assert!(Client::new().get(&url).send().await.is_ok());
    drop(fleet);
    for _ in 0..1000 {
        if Client::new().get(&url).send().await.is_err_and(|error| error.is_connect()) {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the port still answers");
}

#[tokio::test]
async fn endpoints_stand_at_ports_in_a_row_where_one_is_named() {
    let free = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let taken = free.local_addr().unwrap().port();
    let options = FleetOptions { port: taken, ..FleetOptions::default() };
    let endpoint = LabEndpoint::from_address("one", "lab:").unwrap();
    let error = Fleet::start(std::slice::from_ref(&endpoint), options.clone()).await.err().unwrap();
    assert!(error.to_string().contains("cannot listen on 127.0.0.1 for endpoint `one`"), "{error}");
    drop(free);
    let fleet = Fleet::start(&[endpoint], options).await.unwrap();
    assert_eq!(fleet.base_url(0), format!("http://127.0.0.1:{taken}/v1"));
}
