//! Answers that are not to be believed: the question stays open with its reason, and nothing changes.

use crate::support::apple::{Answering, FEB, JAN, app, bought, month, rebuilds, renewed, said, settings};
use crate::support::{TestHub, at};
use paidup_simulator::stores::app_store::AppStore;
use paidup_simulator::stores::app_store::wire::{Notification, Transaction};
use serde_json::{Value, json};
use std::time::Duration;

/// "Get All Subscription Statuses", as it would be signed by that store.
fn status(store: &AppStore, about: &Notification) -> Value {
    let item = json!({
        "status": about.status, "originalTransactionId": &*about.transaction.original_transaction_id,
        "signedTransactionInfo": store.sign(&about.transaction).expect("signed"),
        "signedRenewalInfo": store.sign(about.renewal.as_ref().expect("a renewal")).expect("signed"),
    });
    json!({
        "environment": "Production", "bundleId": "com.example.app", "appAppleId": 1_234_567_890,
        "data": [{"subscriptionGroupIdentifier": "21000001", "lastTransactions": [item]}],
    })
}

/// Answers that are none, each with a part of what is said of it.
fn wrong(store: &AppStore) -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let stranger = AppStore::new(app()).expect("a store");
    let renewed = renewed();
    let genuine = status(store, &renewed);
    let other = Transaction { original_transaction_id: "999".into(), ..renewed.transaction.clone() };
    let elsewhere = Transaction { bundle_id: "com.example.other".into(), ..renewed.transaction.clone() };
    let item = |name: &str, value: Value| {
        let mut body = genuine.clone();
        body["data"][0]["lastTransactions"][0][name] = value;
        body.to_string().into_bytes()
    };
    let signed = |transaction: &Transaction| json!(store.sign(transaction).expect("signed"));
    let transaction = genuine["data"][0]["lastTransactions"][0]["signedTransactionInfo"].as_str().expect("a JWS");
    let payload = transaction.split('.').nth(1).expect("a payload");
    let none = format!("eyJhbGciOiJub25lIn0.{payload}.");
    let over = said(("EXPIRED", None), 2, "2026-01-20T00:00:00Z", month(0, JAN, FEB));
    vec![
        ("another chain", status(&stranger, &renewed).to_string().into_bytes(), "does not lead to a root"),
        ("alg none", item("signedTransactionInfo", json!(none)), "not signed with ES256"),
        ("another purchase", item("signedTransactionInfo", signed(&other)), "another purchase"),
        ("another bundle", item("signedTransactionInfo", signed(&elsewhere)), "not for the bundle"),
        ("cut", genuine.to_string().into_bytes()[..3_000].to_vec(), "answer"),
        ("a page of HTML", b"<html>503</html>".to_vec(), "answer"),
        ("nothing", Vec::new(), "answer"),
        ("an end that is none", status(store, &over).to_string().into_bytes(), "something else than"),
    ]
}

#[tokio::test]
async fn what_apple_did_not_sign_for_this_purchase_changes_nothing_and_is_shown() {
    let store = AppStore::new(app()).expect("a store");
    for (name, body, reason) in wrong(&store) {
        let api = Answering::start().await;
        let hub = TestHub::start_with(JAN, &[("PAIDUP_APPSTORE_API_URL", &api.url())]).await;
        hub.map("pro_monthly", &["pro"]).await;
        let source = hub.source("app_store", settings(&store)).await;
        hub.ingest(&source, &store.body(&bought()).expect("signed")).await.expect(200);
        let before = hub.types().await;
        api.answer(body);
        hub.clock.advance(at("2026-02-01T00:05:01Z").since(at(JAN)));
        let failed = async |hub: &TestHub| {
            hub.clock.advance(Duration::from_secs(1));
            let waiting = hub.hub.store().questions(1).await.expect("rows");
            waiting.into_iter().next().and_then(|question| question.last_error)
        };
        let said = hub.until(name, failed).await;
        assert!(said.contains(reason), "{name}: {said}");
        assert_eq!(hub.types().await, before, "{name}");
        assert!(api.calls() > 0, "{name}");
        // The truth, when it comes, is taken.
        api.answer(status(&store, &renewed()).to_string().into_bytes());
        let renewed = async |hub: &TestHub| {
            hub.clock.advance(Duration::from_secs(1));
            hub.types().await.iter().any(|one| one == "SUBSCRIPTION_RENEWED").then_some(())
        };
        hub.until(name, renewed).await;
        rebuilds(&hub).await;
        hub.stop().await;
    }
}

#[tokio::test]
async fn an_api_that_talks_nonsense_for_a_day_ends_access_a_day_late() {
    let store = AppStore::new(app()).expect("a store");
    let api = Answering::start().await;
    let hub = TestHub::start_with(JAN, &[("PAIDUP_APPSTORE_API_URL", &api.url())]).await;
    hub.map("pro_monthly", &["pro"]).await;
    let source = hub.source("app_store", settings(&store)).await;
    hub.ingest(&source, &store.body(&bought()).expect("signed")).await.expect(200);
    api.answer(b"{}".to_vec());
    hub.clock.advance(at(FEB).since(at(JAN)));
    let ended = async |hub: &TestHub| {
        hub.clock.advance(Duration::from_secs(600));
        hub.types().await.iter().any(|one| one == "DEACTIVATE").then_some(())
    };
    hub.until("the end", ended).await;
    let event = hub.get("/v1/events?type=SUBSCRIPTION_TERMINATED").await["data"][0].clone();
    assert_eq!(event["inferred"], true);
    let detected = at(event["detected_at"].as_str().expect("a time"));
    assert!(detected.since(at(FEB)) >= Duration::from_secs(86_400), "{detected}");
    hub.stop().await;
}
