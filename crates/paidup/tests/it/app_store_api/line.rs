//! Testing the line: what is wrong with a set-up is said in words.

use crate::support::apple::{Apple, settings};
use crate::support::{Answer, TestHub};
use paidup_simulator::standins::app_store::Faults;
use paidup_simulator::stores::app_store::AppStore;
use serde_json::{Value, json};
use std::time::Duration;

/// Tests a source while time passes.
async fn tested(apple: &Apple, source: &str) -> Value {
    let path = format!("/v1/sources/{source}/test");
    let mut call = std::pin::pin!(apple.hub.api("POST", &path, Value::Null));
    loop {
        let answer: Option<Answer> = tokio::select! {
            answer = &mut call => Some(answer),
            () = tokio::time::sleep(Duration::from_millis(5)) => None,
        };
        match answer {
            Some(answer) => return answer.expect(200),
            None => apple.pass(Duration::from_secs(1)),
        }
    }
}

fn ingest_url(apple: &Apple, source: &str) -> String {
    format!("http://{}/ingest/{source}", apple.hub.address)
}

#[track_caller]
fn assert_says(answer: &Value, gravity: &str, words: &str) {
    let findings = answer["findings"].as_array().expect("findings");
    let said = findings
        .iter()
        .any(|found| found["gravity"] == gravity && found["text"].as_str().is_some_and(|text| text.contains(words)));
    assert!(said, "no {gravity} says {words:?}: {answer}");
}

#[tokio::test]
async fn a_line_that_works_says_so_and_a_test_event_is_told() {
    let apple = Apple::open(json!({})).await;
    apple.api.set_notification_url(&ingest_url(&apple, &apple.source));
    let answer = tested(&apple, &apple.source).await;
    assert_eq!(answer["works"], true, "{answer}");
    assert_says(&answer, "fine", "production: Apple's test notification arrived");
    assert_eq!(apple.hub.types().await, ["TEST"]);
    assert!(apple.hub.get("/v1/lookups").await["data"].as_array().is_some_and(Vec::is_empty));
    apple.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_said_in_words() {
    let apple = Apple::open(json!({})).await;
    let answer = tested(&apple, &apple.source).await;
    assert_eq!(answer["works"], false);
    assert_says(&answer, "problem", "no server URL is set in App Store Connect");
    // The URL of another app's source.
    let other = apple.hub.source("app_store", json!({"bundle_id": "com.example.other"})).await;
    apple.api.set_notification_url(&ingest_url(&apple, &other));
    assert_says(&tested(&apple, &apple.source).await, "problem", "UNSUCCESSFUL_HTTP_RESPONSE_CODE");
    // Nobody listens.
    apple.api.set_notification_url("http://127.0.0.1:9/ingest/none");
    assert_says(&tested(&apple, &apple.source).await, "problem", "SOCKET_ISSUE");
    apple.api.set_faults(Faults::down());
    assert_says(&tested(&apple, &apple.source).await, "problem", "out of order");
    apple.api.set_faults(Faults { limited: true, ..Faults::default() });
    assert_says(&tested(&apple, &apple.source).await, "problem", "limit of calls is used up");
    apple.stop().await;
}

#[tokio::test]
async fn a_wrong_key_is_told_apart() {
    let apple = Apple::open(json!({})).await;
    let stranger = AppStore::new(crate::support::apple::app()).expect("a store");
    for (name, change) in [
        ("key", json!({"private_key": stranger.api_key().private_key})),
        ("issuer", json!({"issuer_id": "00000000-0000-0000-0000-000000000000"})),
        ("key id", json!({"key_id": "AAAAAAAAAA"})),
    ] {
        let mut config = settings(&apple.store);
        for (field, value) in change.as_object().expect("fields") {
            config["api"][field] = value.clone();
        }
        let source = apple.hub.source("app_store", config).await;
        let answer = tested(&apple, &source).await;
        assert_eq!(answer["works"], false, "{name}");
        assert_says(&answer, "problem", "Apple refuses the key");
    }
    let unauthorized = apple.api.report().unauthorized.len();
    assert_eq!(unauthorized, 3);
    apple.hub.stop().await;
}

#[tokio::test]
async fn other_types_say_how_a_person_tests_them() {
    let hub = TestHub::start(crate::support::apple::JAN).await;
    for (kind, config, words) in [
        ("generic", json!({}), "\"reason\": \"test\""),
        ("stripe", json!({"signing_secret": "whsec_test"}), "Stripe's dashboard"),
        ("app_store", json!({"bundle_id": "com.example.app"}), "without `api`"),
    ] {
        let source = hub.source(kind, config).await;
        let answer = hub.api("POST", &format!("/v1/sources/{source}/test"), Value::Null).await.expect(200);
        assert_eq!((&answer["works"], &answer["findings"]), (&Value::Null, &json!([])), "{kind}");
        assert!(answer["explanation"].as_str().is_some_and(|text| text.contains(words)), "{kind}: {answer}");
    }
    let unknown = hub.api("POST", "/v1/sources/src_00000000000000000000000000000000/test", Value::Null).await;
    assert_eq!(unknown.status, 404, "{}", unknown.body);
    hub.stop().await;
}
