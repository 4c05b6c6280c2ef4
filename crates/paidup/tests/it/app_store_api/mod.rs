//! The App Store Server API through the whole program: what was never told is found by asking, only what Apple signed is
//! believed, and the line can be tested.

mod answers;
mod line;

use crate::support::TestHub;
use crate::support::apple::{Apple, FEB, MAR, bought, month, renewed, said};
use paidup_simulator::standins::app_store::{Extension, Faults};
use paidup_simulator::stores::app_store::account::SendResult;
use paidup_simulator::stores::app_store::wire::Notification;
use serde_json::json;

#[tokio::test]
async fn a_renewal_that_was_never_told_is_found_by_asking() {
    let apple = Apple::open(json!({})).await;
    apple.told(&bought()).await;
    apple.happens(&renewed(), SendResult::NoResponse);
    let before = apple.hub.types().await.len();
    apple.pass_until("2026-02-01T00:05:01Z");
    let told = apple.told_until(before, "SUBSCRIPTION_RENEWED").await;
    assert!(!told.contains(&"DEACTIVATE".to_owned()), "{told:?}");
    let customer = apple.hub.get("/v1/customers/7e3fb20b-4cdb-47cc-936d-99d65f608138").await;
    assert_eq!(customer["purchases"][0]["state"], "active");
    assert_eq!(customer["purchases"][0]["period"]["ends_at"], MAR);
    // Its own notification comes after all: nothing more happens.
    let told = apple.hub.types().await;
    apple.hub.ingest(&apple.source, &apple.store.body(&renewed()).expect("signed")).await.expect(200);
    assert_eq!(apple.hub.types().await, told);
    apple.stop().await;
}

#[tokio::test]
async fn apples_word_ends_a_subscription_whose_end_was_never_told() {
    let apple = Apple::open(json!({})).await;
    apple.told(&bought()).await;
    let over =
        said(("EXPIRED", Some("VOLUNTARY")), 2, "2026-02-01T00:00:20Z", month(0, crate::support::apple::JAN, FEB));
    apple.happens(&over, SendResult::SocketIssue);
    let before = apple.hub.types().await.len();
    apple.pass_until("2026-02-01T00:05:01Z");
    let told = apple.told_until(before, "SUBSCRIPTION_TERMINATED").await;
    assert!(told.contains(&"DEACTIVATE".to_owned()), "{told:?}");
    let ended = apple.hub.get("/v1/events?type=SUBSCRIPTION_TERMINATED").await["data"][0].clone();
    assert_eq!((&ended["reason"], &ended["inferred"]), (&json!("UNSUBSCRIBE"), &json!(false)));
    apple.stop().await;
}

#[tokio::test]
async fn an_api_that_is_down_or_limits_calls_takes_no_access_and_is_asked_again() {
    for faults in [Faults::down(), Faults { limited: true, ..Faults::default() }] {
        let apple = Apple::open(json!({})).await;
        apple.told(&bought()).await;
        apple.happens(&renewed(), SendResult::NoResponse);
        let before = apple.hub.types().await.len();
        apple.api.set_faults(faults);
        apple.pass_until("2026-02-01T00:05:01Z");
        let asked = async |_: &TestHub| {
            let report = apple.api.report();
            (report.faults + report.limited > 1).then_some(())
        };
        apple.in_time("two tries", asked).await;
        assert_eq!(apple.hub.types().await.len(), before, "access is kept");
        apple.api.set_faults(Faults::default());
        apple.told_until(before, "SUBSCRIPTION_RENEWED").await;
        apple.stop().await;
    }
}

/// A customer asks for money back, and Apple asks how the purchase was used.
fn asked() -> Notification {
    let asked =
        said(("CONSUMPTION_REQUEST", None), 1, "2026-01-10T00:00:00Z", month(0, crate::support::apple::JAN, FEB));
    Notification { consumption_request_reason: Some("UNINTENDED_PURCHASE"), ..asked }
}

#[tokio::test]
async fn apples_question_about_a_refund_is_answered_with_consent() {
    let consumption = json!({"consumption": {"consent": true, "refund_preference": "GRANT_PRORATED"}});
    let apple = Apple::open(consumption).await;
    apple.told(&bought()).await;
    apple.pass_until("2026-01-10T00:00:01Z");
    apple.told(&asked()).await;
    let taken = async |_: &TestHub| apple.api.report().consumption.first().cloned();
    let (transaction, body) = apple.in_time("the answer", taken).await;
    let expected = json!({"customerConsented": true, "deliveryStatus": "DELIVERED", "sampleContentProvided": false,
        "refundPreference": "GRANT_PRORATED"});
    assert_eq!((transaction.as_str(), body), ("700000", expected));
    let done =
        async |hub: &TestHub| hub.get("/v1/lookups").await["data"].as_array().is_some_and(Vec::is_empty).then_some(());
    apple.in_time("nothing to be left", done).await;
    apple.stop().await;
}

#[tokio::test]
async fn without_consent_nothing_is_sent() {
    let apple = Apple::open(json!({"consumption": {"consent": false, "refund_preference": "DECLINE"}})).await;
    apple.told(&bought()).await;
    apple.pass_until("2026-01-10T00:00:01Z");
    apple.told(&asked()).await;
    assert!(apple.hub.get("/v1/lookups").await["data"].as_array().is_some_and(Vec::is_empty));
    assert_eq!(apple.api.report().calls, 0);
    apple.stop().await;
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_not_sent() {
    let apple = Apple::open(json!({"consumption": {"consent": true}})).await;
    apple.told(&bought()).await;
    // We were down for a day: Apple's attempt comes through at last.
    apple.pass_until("2026-01-11T00:00:00Z");
    apple.told(&asked()).await;
    let done =
        async |hub: &TestHub| hub.get("/v1/lookups").await["data"].as_array().is_some_and(Vec::is_empty).then_some(());
    apple.in_time("nothing to be left", done).await;
    assert_eq!(apple.api.report().calls, 0);
    apple.stop().await;
}

#[tokio::test]
async fn an_extension_of_all_subscriptions_is_looked_after() {
    let apple = Apple::open(json!({})).await;
    let request = "efb27071-45a4-4aca-9854-2a1e9146f265";
    let extension = Extension { complete_date: Some(1_767_225_700_000), succeeded: 5, failed: 2 };
    apple.api.set_extension("pro_monthly", request, extension);
    let summary = json!({
        "notificationType": "RENEWAL_EXTENSION", "subtype": "SUMMARY", "notificationUUID": "summary", "version": "2.0",
        "signedDate": 1_767_225_800_000_i64,
        "summary": {"environment": "Production", "appAppleId": 1_234_567_890, "bundleId": "com.example.app",
            "productId": "pro_monthly", "requestIdentifier": request, "storefrontCountryCodes": ["USA"],
            "succeededCount": 5, "failedCount": 2},
    });
    let body = json!({"signedPayload": apple.store.sign(&summary).expect("signed")}).to_string();
    apple.hub.ingest(&apple.source, body.as_bytes()).await.expect(200);
    let kept = async |hub: &TestHub| {
        let rows = hub.get("/v1/notifications").await["data"].clone();
        rows.as_array()?.iter().find(|row| row["label"] == "looked up: extension").cloned()
    };
    let row = apple.in_time("the answer", kept).await;
    let id = row["id"].as_str().expect("an id");
    let body = apple.hub.get(&format!("/v1/notifications/{id}/body")).await;
    assert_eq!((&body["complete"], &body["failedCount"]), (&json!(true), &json!(2)));
    assert!(apple.hub.types().await.is_empty(), "it says nothing about a purchase");
    apple.stop().await;
}

#[tokio::test]
async fn a_backend_claims_a_purchase_that_apple_never_told_of() {
    let apple = Apple::open(json!({})).await;
    apple.happens(&bought(), SendResult::NoResponse);
    apple.pass_until("2026-01-01T00:01:00Z");
    let signed = apple.store.sign(&bought().transaction).expect("signed");
    let claim = json!({"source_id": apple.source, "signed_transaction": signed});
    let answer = apple.hub.api("POST", "/v1/customers/user-1/purchases", claim.clone()).await.expect(200);
    assert_eq!((&answer["active"], &answer["purchases"][0]["state"]), (&json!(["pro"]), &json!("active")), "{answer}");
    assert!(apple.hub.types().await.contains(&"SUBSCRIPTION_STARTED".to_owned()));
    // Apple is asked besides how it stands.
    let asked = async |_: &TestHub| (apple.api.report().answered > 0).then_some(());
    apple.in_time("the question", asked).await;
    let before = apple.hub.types().await;
    apple.hub.api("POST", "/v1/customers/user-1/purchases", claim).await.expect(200);
    assert_eq!(apple.hub.types().await, before, "the same again changes nothing");
    let forged = json!({"source_id": apple.source, "signed_transaction": format!("{signed}A")});
    let refused = apple.hub.api("POST", "/v1/customers/user-2/purchases", forged).await;
    assert!((400..500).contains(&refused.status), "{}", refused.body);
    apple.stop().await;
}
