//! Answers of stores: they are proven before anything of them is believed, and notifications that stand in them are kept
//! and read as if the store had sent them.

use super::*;
use paidup_lifecycle::event::EventType::*;
use paidup_lifecycle::observation::DetectedBy;

const RIGHT: &str = "right";

async fn tell(test: &TestHub, source: SourceId, body: &Value) {
    let mut headers = http::HeaderMap::new();
    headers.insert("x-proof", RIGHT.parse().unwrap());
    let raw = RawRequest { headers, body: body.to_string().into() };
    test.hub.intake(source, raw, &Sender::Anonymous).await.unwrap();
}

/// A source that can be asked, whose first notification brings a lookup of its history.
async fn looking(test: &TestHub) -> SourceId {
    let source = test.hub.create_source("askable", "store", &raw("{}")).await.unwrap().id;
    test.script.ready.lock().push_back((200, RIGHT.to_owned()));
    tell(test, source, &json!({"purchase": "", "until": test.clock.now(), "says": "look"})).await;
    source
}

async fn answer(test: &TestHub, body: &Value) {
    test.script.ready.lock().push_back((200, body.to_string()));
    test.hub.ask_due().await.unwrap();
}

#[tokio::test]
async fn an_answer_that_is_not_proven_is_shown_and_changes_nothing() {
    let test = TestHub::new().await;
    looking(&test).await;
    answer(&test, &json!({"says": "forged", "history": [{"purchase": "sub", "until": test.clock.now().plus(DAY)}]}))
        .await;
    let waiting = test.hub.store().lookups(10).await.unwrap();
    assert_eq!(waiting[0].last_error.as_deref(), Some("the answer is not believed: forged"));
    assert!(waiting[0].ask_at.is_some(), "it is asked again");
    assert!(test.events().await.is_empty());
    test.check_rebuild().await;
}

#[tokio::test]
async fn notifications_in_an_answer_are_kept_as_if_they_had_been_sent() {
    let test = TestHub::new().await;
    let source = looking(&test).await;
    let now = test.clock.now();
    let live = json!({"purchase": "live", "at": now.minus(Duration::from_secs(60)), "until": now.plus(DAY)});
    let old = json!({"purchase": "old", "at": now.minus(DAY * 3), "until": now.plus(DAY)});
    let known = json!({"purchase": "known", "at": now, "until": now.plus(DAY)});
    // Sent already, under the id that the history has.
    tell(&test, source, &known).await;
    let before = test.events().await.len();
    answer(&test, &json!({"history": [old, live, known]})).await;
    assert!(test.hub.store().lookups(10).await.unwrap().is_empty());
    let events = test.events().await[before..].to_vec();
    let found: Vec<_> = events
        .iter()
        .filter(|event| event.event_type == SubscriptionStarted)
        .map(|event| (event.purchase.store_purchase_id.as_str(), event.backfill, event.details.detected_by))
        .collect();
    assert_eq!(found, [("old", true, Some(DetectedBy::Reconcile)), ("live", false, Some(DetectedBy::Reconcile))]);
    assert_eq!(events.len(), 4, "{:?}", types(&events));
    test.check_rebuild().await;
}
