//! Stopping, starting, folding the journal again.

use crate::support::{Receiver, TestHub, at, observation, start};
use paidup_store::OpenOptions;
use serde_json::{Value, json};

const FROM: &str = "2026-01-01T00:00:00Z";
const TO: &str = "2026-02-01T00:00:00Z";

#[tokio::test]
async fn a_restart_loses_nothing_and_repeats_nothing_that_was_settled() {
    let hub = TestHub::start(FROM).await;
    let source = hub.source("generic", json!({})).await;
    let receiver = Receiver::start().await;
    hub.webhook(&receiver, json!({})).await;
    hub.observe(&source, start("n1", "user-1", "sub-1", FROM, TO)).await;
    receiver.wait_for(3).await;
    let hub = hub.restart().await;
    hub.observe(&source, start("n2", "user-2", "sub-2", FROM, TO)).await;
    let requests = receiver.wait_for(6).await;
    assert_eq!(requests.len(), 6);
    assert_eq!(hub.types().await.len(), 6);
    hub.stop().await;
}

#[tokio::test]
async fn deadlines_that_pass_while_it_is_down_are_kept() {
    let hub = TestHub::start(FROM).await;
    let source = hub.source("generic", json!({})).await;
    hub.observe(&source, start("n1", "user-1", "sub-1", FROM, TO)).await;
    let clock = hub.clock.clone();
    clock.set(at("2026-01-31T23:00:00Z"));
    let stopped = hub.restart();
    clock.set(at("2026-03-01T00:00:00Z"));
    let hub = stopped.await;
    hub.until("the end", async |hub| hub.types().await.contains(&"SUBSCRIPTION_TERMINATED".to_owned()).then_some(()))
        .await;
    hub.stop().await;
}

/// A database with a bit of everything in it, closed.
async fn lived() -> TestHub {
    let hub = TestHub::start(FROM).await;
    let source = hub.source("generic", json!({})).await;
    hub.map("pro_monthly", &["pro"]).await;
    for n in 0..5 {
        hub.observe(&source, start(&format!("n{n}"), &format!("user-{n}"), &format!("sub-{n}"), FROM, TO)).await;
    }
    let off = observation("off", "2026-01-05T00:00:00Z", "renewal_disabled", "sub-0", json!({"will_renew": false}));
    hub.observe(&source, off).await;
    let refund = json!({"refund": {"transaction_id": "sub-1-1", "amount_minor": 999, "currency": "USD"}});
    hub.observe(&source, observation("back", "2026-01-06T00:00:00Z", "refunded", "sub-1", refund)).await;
    let moved = json!({"transfer_to": "user-9"});
    hub.observe(&source, observation("moved", "2026-01-07T00:00:00Z", "transferred", "sub-2", moved)).await;
    hub.api("POST", "/v1/customers/user-3/aliases", json!({"alias": "mail@example.com"})).await.expect(200);
    hub.api("POST", "/v1/customers/user-4/grants", json!({"entitlement": "extra", "duration": "P3D"}))
        .await
        .expect(201);
    hub.map("pro_monthly", &["pro", "more"]).await;
    hub.clock.set(at("2026-02-01T00:00:01Z"));
    hub.until("the ends", async |hub| {
        let ends = hub.types().await.iter().filter(|name| *name == "SUBSCRIPTION_TERMINATED").count();
        (ends >= 5).then_some(())
    })
    .await;
    hub
}

async fn verify(hub: &TestHub) -> paidup_hub::rebuild::Report {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("folded.db").display());
    let into = paidup_store::open(&url, OpenOptions::default()).await.expect("a database");
    let report = paidup_hub::rebuild::verify(&hub.hub, &into, &|_, _| {}).await.expect("a report");
    into.close().await.expect("closed");
    report
}

#[tokio::test]
async fn folding_the_journal_gives_the_same_bytes() {
    let hub = lived().await;
    let report = verify(&hub).await;
    assert!(report.is_equal(), "{:?}", report.mismatches);
    assert_eq!(report.events, hub.types().await.len() as u64);
    hub.stop().await;
}

#[tokio::test]
async fn metrics_and_events_name_no_secret() {
    let hub = lived().await;
    let metrics = hub.call("GET", "/metrics", None, Vec::new(), &[]).await.expect(200);
    let Value::String(text) = metrics else { panic!("not text") };
    assert!(!text.contains("user-") && !text.contains("mail@"), "metrics name no customer");
    hub.stop().await;
}
