//! RevenueCat's webhooks through the whole program: every documented type, its customers and their merges and transfers,
//! forgeries, and ends that nobody told.

use crate::support::vendors::{AUTHORIZATION, Line, samples};
use crate::support::{at, reference};
use serde_json::{Value, json};
use std::time::Duration;

const NOW: &str = "2026-02-01T12:00:00Z";

/// Each of our samples as the first word on a purchase, and all that it tells. `*`: a first sight without access.
#[rustfmt::skip] // a table
const TABLE: &[(&str, &[&str])] = &[
    ("billing_issue", &["ACTIVATE", "PAYMENT_FAILED"]),
    ("billing_issue_grace", &["ACTIVATE", "GRACE_PERIOD_STARTED", "PAYMENT_FAILED"]),
    ("billing_issue_stripe", &["ACTIVATE", "GRACE_PERIOD_STARTED", "PAYMENT_FAILED"]),
    ("cancellation_billing_error", &["ACTIVATE", "PAYMENT_FAILED"]),
    ("cancellation_grant", &[]),
    ("cancellation_new_reason", &["ACTIVATE", "RENEWAL_DISABLED"]),
    ("cancellation_price_increase", &["ACTIVATE", "RENEWAL_DISABLED"]),
    ("cancellation_refund", &["ACTIVATE", "REFUND_RECORDED", "TRANSACTION_PROCESSED"]),
    ("cancellation_refund_once", &["TRANSACTION_PROCESSED"]),
    ("cancellation_refund_over", &["TRANSACTION_PROCESSED"]),
    ("cancellation_trial", &["ACTIVATE", "RENEWAL_DISABLED"]),
    ("cancellation_unsubscribe", &["ACTIVATE", "RENEWAL_DISABLED"]),
    ("experiment_enrollment", &[]),
    ("expiration_billing_error", &[]),
    ("expiration_grant_removed", &[]),
    ("expiration_paused", &[]),
    ("expiration_refund", &[]),
    ("expiration_unsubscribe", &[]),
    ("initial_purchase", &["ACTIVATE", "SUBSCRIPTION_STARTED", "TRANSACTION_PROCESSED"]),
    ("initial_purchase_amazon", &["ACTIVATE", "SUBSCRIPTION_STARTED", "TRANSACTION_PROCESSED"]),
    ("initial_purchase_bare", &["ACTIVATE", "SUBSCRIPTION_STARTED"]),
    ("initial_purchase_code", &["ACTIVATE", "SUBSCRIPTION_STARTED", "PROMO_CODE_STARTED", "TRANSACTION_PROCESSED"]),
    ("initial_purchase_dollars_only", &["ACTIVATE", "SUBSCRIPTION_STARTED", "TRANSACTION_PROCESSED"]),
    ("initial_purchase_family", &["ACTIVATE", "SUBSCRIPTION_STARTED"]),
    ("initial_purchase_intro", &["ACTIVATE", "SUBSCRIPTION_STARTED", "INTRO_OFFER_STARTED", "TRANSACTION_PROCESSED"]),
    ("initial_purchase_prepaid", &["ACTIVATE", "SUBSCRIPTION_STARTED", "TRANSACTION_PROCESSED"]),
    ("initial_purchase_sandbox", &["ACTIVATE", "SUBSCRIPTION_STARTED", "TRANSACTION_PROCESSED"]),
    ("initial_purchase_stripe", &["ACTIVATE", "SUBSCRIPTION_STARTED", "TRANSACTION_PROCESSED"]),
    ("initial_purchase_test_store", &["ACTIVATE", "SUBSCRIPTION_STARTED", "TRANSACTION_PROCESSED"]),
    ("initial_purchase_trial", &["ACTIVATE", "SUBSCRIPTION_STARTED", "TRIAL_STARTED"]),
    ("initial_purchase_unknown_price", &["ACTIVATE", "SUBSCRIPTION_STARTED"]),
    ("initial_purchase_yen", &["ACTIVATE", "SUBSCRIPTION_STARTED", "TRANSACTION_PROCESSED"]),
    ("invoice_issuance", &[]),
    ("no_environment", &[]),
    ("no_time", &[]),
    ("non_renewing_purchase", &["ACTIVATE", "ONE_TIME_PURCHASED", "TRANSACTION_PROCESSED"]),
    ("non_renewing_purchase_consumable", &["ACTIVATE", "ONE_TIME_PURCHASED", "TRANSACTION_PROCESSED"]),
    ("non_renewing_purchase_grant", &["ACTIVATE", "PROMO_GRANTED"]),
    ("non_renewing_purchase_grant_without_transaction", &["ACTIVATE", "PROMO_GRANTED"]),
    ("non_renewing_purchase_with_end", &["ACTIVATE", "ONE_TIME_PURCHASED", "TRANSACTION_PROCESSED"]),
    ("paywall_cancel", &[]),
    ("paywall_close", &[]),
    ("paywall_component_interacted", &[]),
    ("paywall_exit_offer", &[]),
    ("paywall_impression", &[]),
    ("price_increase_consent_approved", &["ACTIVATE", "PRICE_INCREASE_ACCEPTED"]),
    ("price_increase_consent_required", &["ACTIVATE", "PRICE_INCREASE_PENDING"]),
    ("product_change", &["ACTIVATE", "PLAN_CHANGE_SCHEDULED"]),
    ("product_change_unnamed", &[]),
    ("purchase_redeemed", &[]),
    ("refund_reversed", &["ACTIVATE", "REFUND_REVERSED", "TRANSACTION_PROCESSED", "TRANSACTION_PROCESSED"]),
    ("renewal", &["ACTIVATE", "SUBSCRIPTION_RENEWED", "TRANSACTION_PROCESSED"]),
    ("renewal_amazon", &["ACTIVATE", "SUBSCRIPTION_RENEWED", "TRANSACTION_PROCESSED"]),
    ("renewal_before_its_period", &["ACTIVATE", "SUBSCRIPTION_RENEWED", "TRANSACTION_PROCESSED"]),
    ("renewal_trial_conversion", &["ACTIVATE", "SUBSCRIPTION_RENEWED", "TRANSACTION_PROCESSED"]),
    ("subscriber_alias", &[]),
    ("subscription_extended", &["ACTIVATE"]),
    ("subscription_paused", &["ACTIVATE", "SUBSCRIPTION_WILL_PAUSE"]),
    ("temporary_entitlement_grant", &["ACTIVATE", "PROMO_GRANTED"]),
    ("temporary_entitlement_grant_bare", &[]),
    ("test", &["TEST"]),
    ("transfer", &[]),
    ("transfer_to_nobody", &[]),
    ("uncancellation", &["ACTIVATE", "RENEWAL_ENABLED"]),
    ("unknown_type", &[]),
    ("virtual_currency_transaction", &[]),
];

/// The event of somebody of that name, so that samples do not meet.
fn of_somebody(sample: &Value, name: &str) -> Value {
    let text = sample.to_string();
    let text = text.replace("user-1", &format!("{name}-one")).replace("user-2", &format!("{name}-two"));
    serde_json::from_str(&text.replace("$RCAnonymousID:6f1c", &format!("$RCAnonymousID:{name}"))).expect("JSON")
}

#[tokio::test]
async fn every_documented_type_is_taken_and_tells_what_is_stated() {
    let line = Line::of(NOW, "revenuecat").await;
    let samples = samples("revenuecat");
    assert_eq!(
        samples.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        TABLE.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        "every sample is in the table"
    );
    let mut wrong = Vec::new();
    for ((name, sample), (_, expected)) in samples.iter().zip(TABLE) {
        let source = Line::source(&line.hub, "revenuecat").await;
        let event = of_somebody(sample, name);
        let told = line.tell_to(&source, &event).await;
        if told != *expected {
            wrong.push(format!("{name}: {told:?}, not {expected:?}"));
        }
        assert!(line.tell_to(&source, &event).await.is_empty(), "{name}: a repeat tells nothing");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    line.hub.check_rebuild().await;
    line.stop().await;
}

/// RevenueCat's own samples; the time of its TRANSFER is of the year 4466, which nobody can mean.
#[tokio::test]
async fn the_vendors_own_samples_are_taken() {
    let Some(folder) = reference() else { return };
    let line = Line::of(NOW, "revenuecat").await;
    let mut count = 0;
    for entry in std::fs::read_dir(folder.join("samples/revenuecat")).expect("samples") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if !name.starts_with("webhook_") {
            continue;
        }
        let mut event: Value = serde_json::from_slice(&std::fs::read(&path).expect("a file")).expect("JSON");
        if event["event"]["type"] == "TRANSFER" {
            assert_eq!(line.send_to(&line.source, &event).await.status, 422, "of the future");
            event["event"]["event_timestamp_ms"] = json!(at("2026-01-10T00:00:00Z").as_millis());
        }
        let source = Line::source(&line.hub, "revenuecat").await;
        line.send_to(&source, &event).await.expect(200);
        count += 1;
    }
    assert_eq!(count, 20);
    let unknown = line.hub.get("/v1/notifications?outcome=unknown").await;
    assert_eq!(unknown["data"].as_array().map(Vec::len), Some(0), "{unknown}");
    line.hub.check_rebuild().await;
    line.stop().await;
}

fn event(samples: &[(String, Value)], name: &str, more: Value) -> Value {
    let (_, mut event) = samples.iter().find(|(found, _)| found == name).expect("a sample").clone();
    event["event"]["id"] = json!(format!("{}-{}", name, more));
    event["event"].as_object_mut().expect("an event").extend(more.as_object().expect("changes").clone());
    event
}

#[tokio::test]
async fn ids_that_revenuecat_merged_are_one_customer_here() {
    let samples = samples("revenuecat");
    let line = Line::of(NOW, "revenuecat").await;
    let anonymous = json!({"app_user_id": "$RCAnonymousID:a", "original_app_user_id": "$RCAnonymousID:a",
        "aliases": ["$RCAnonymousID:a"]});
    line.tell(&event(&samples, "initial_purchase", anonymous)).await;
    assert_eq!(line.active("$RCAnonymousID:a").await, ["pro"]);
    // The buyer logs in: no event says so but the next one, whatever it is about.
    let logged_in = json!({"app_user_id": "user-9", "original_app_user_id": "$RCAnonymousID:a", "aliases": ["user-9"]});
    let told = line.tell(&event(&samples, "experiment_enrollment", logged_in)).await;
    assert!(told.is_empty(), "a name is learned, nothing moves: {told:?}");
    assert_eq!(line.active("user-9").await, ["pro"]);
    // Two customers who both bought become one.
    let other = json!({"app_user_id": "user-8", "original_app_user_id": "user-8", "aliases": ["user-8"],
        "transaction_id": "7", "original_transaction_id": "7", "product_id": "lifetime"});
    line.tell(&event(&samples, "non_renewing_purchase", other)).await;
    let merged = json!({"app_user_id": "user-9", "original_app_user_id": "user-8", "aliases": ["$RCAnonymousID:a"]});
    line.tell(&event(&samples, "subscriber_alias", merged)).await;
    let customer = line.customer("user-8").await;
    assert_eq!(customer["id"], line.customer("$RCAnonymousID:a").await["id"]);
    assert_eq!(customer["purchases"].as_array().map(Vec::len), Some(2));
    line.hub.check_rebuild().await;
    line.stop().await;
}

#[tokio::test]
async fn a_transfer_moves_what_this_store_sold_and_tells_both_sides() {
    let samples = samples("revenuecat");
    let line = Line::of(NOW, "revenuecat").await;
    let other = Line::source(&line.hub, "revenuecat").await;
    line.tell(&event(&samples, "initial_purchase", json!({}))).await;
    let more = |id: &str, extra: Value| {
        let mut more = json!({"transaction_id": id, "original_transaction_id": id});
        more.as_object_mut().expect("fields").extend(extra.as_object().expect("fields").clone());
        more
    };
    let once = more("9", json!({"product_id": "lifetime"}));
    line.tell(&event(&samples, "non_renewing_purchase", once)).await;
    line.tell(&event(&samples, "initial_purchase_stripe", json!({}))).await;
    line.tell(&event(&samples, "initial_purchase_sandbox", json!({}))).await;
    line.tell_to(&other, &event(&samples, "initial_purchase", more("8", json!({"id": "elsewhere"})))).await;
    // A purchase that was told after the transfer was made, although the transfer is heard of last.
    let later = at("2026-01-11T00:00:00Z").as_millis();
    line.tell(&event(&samples, "initial_purchase", more("7", json!({"event_timestamp_ms": later})))).await;
    let told = line.tell(&event(&samples, "transfer", json!({}))).await;
    let mut sorted = told.clone();
    sorted.sort_unstable();
    let expected = [
        "ACTIVATE",
        "ACTIVATE",
        "DEACTIVATE",
        "DEACTIVATE",
        "ONE_TIME_PURCHASE_RECEIVED",
        "ONE_TIME_PURCHASE_TRANSFERRED",
        "SUBSCRIPTION_RECEIVED",
        "SUBSCRIPTION_TRANSFERRED",
    ];
    assert_eq!(sorted, expected, "{told:?}");
    let count = async |id: &str| line.customer(id).await["purchases"].as_array().map(Vec::len);
    assert_eq!((count("user-1").await, count("user-2").await), (Some(4), Some(2)));
    // An older word does not take it back; a newer one counts.
    let renewed = |day: &str, owner: &str| {
        let at = at(day).as_millis();
        json!({"event_timestamp_ms": at, "app_user_id": owner, "original_app_user_id": owner, "aliases": [owner]})
    };
    line.tell(&event(&samples, "uncancellation", renewed("2026-01-09T00:00:00Z", "user-1"))).await;
    assert_eq!(count("user-2").await, Some(2));
    line.tell(&event(&samples, "uncancellation", renewed("2026-01-12T00:00:00Z", "user-3"))).await;
    assert_eq!((count("user-2").await, count("user-3").await), (Some(1), Some(1)));
    line.hub.check_rebuild().await;
    line.stop().await;
}

#[tokio::test]
async fn a_grant_unlocks_what_its_name_says() {
    let samples = samples("revenuecat");
    let line = Line::of(NOW, "revenuecat").await;
    line.tell(&event(&samples, "non_renewing_purchase_grant", json!({"expiration_at_ms": null}))).await;
    assert_eq!(line.active("user-1").await, ["pro"]);
    line.stop().await;
}

/// Dates alone end nothing for a day: RevenueCat's own word comes seconds to hours after them.
#[tokio::test]
async fn an_end_that_nobody_tells_is_taken_for_one_a_day_later() {
    let samples = samples("revenuecat");
    let line = Line::of("2026-01-01T00:00:10Z", "revenuecat").await;
    line.tell(&event(&samples, "initial_purchase", json!({}))).await;
    line.hub.clock.set(at("2026-02-01T12:00:00Z"));
    line.hub.clock.advance(Duration::from_secs(3600));
    line.tell(&event(&samples, "experiment_enrollment", json!({}))).await;
    assert_eq!(line.active("user-1").await, ["pro"], "half a day after the end");
    line.hub.clock.set(at("2026-02-02T01:00:00Z"));
    line.hub
        .until("the end", async |hub| {
            hub.clock.advance(Duration::from_secs(600));
            hub.types().await.iter().any(|name| name == "SUBSCRIPTION_TERMINATED").then_some(())
        })
        .await;
    assert!(line.active("user-1").await.is_empty());
    line.hub.check_rebuild().await;
    line.stop().await;
}

#[tokio::test]
async fn forgeries_are_refused_with_the_contracts_statuses() {
    let samples = samples("revenuecat");
    let line = Line::of(NOW, "revenuecat").await;
    let body = event(&samples, "initial_purchase", json!({})).to_string().into_bytes();
    let path = format!("/ingest/{}", line.source);
    let proof = line.proof(&body);
    let good: Vec<(&str, &str)> = proof.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let junk = b"{".to_vec();
    let junk_proof = line.proof(&junk);
    let junk_good: Vec<(&str, &str)> = junk_proof.iter().map(|(name, value)| (*name, value.as_str())).collect();
    type Case<'a> = (&'a str, Vec<u8>, Vec<(&'a str, &'a str)>, u16);
    let cases: Vec<Case<'_>> = vec![
        ("nothing", body.clone(), vec![], 401),
        ("no signature", body.clone(), vec![("authorization", AUTHORIZATION)], 401),
        ("no authorization", body.clone(), vec![good[1]], 401),
        ("another value", body.clone(), vec![("authorization", "Bearer other"), good[1]], 401),
        ("another body", [body.clone(), b" ".to_vec()].concat(), good.clone(), 401),
        ("no JSON", junk, junk_good, 400),
        ("too large", vec![b' '; 600_000], good.clone(), 413),
        ("right", body.clone(), good.clone(), 200),
        ("right again", body.clone(), good.clone(), 200),
    ];
    for (name, body, headers, status) in cases {
        let answer = line.hub.call("POST", &path, None, body, &headers).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.body);
        if status != 200 {
            assert_eq!(answer.headers["content-type"], "application/problem+json", "{name}");
        }
    }
    line.hub.clock.advance(Duration::from_secs(360));
    let stale = line.hub.call("POST", &path, None, body, &good).await;
    assert_eq!(stale.status, 401, "six minutes later the same signature is stale");
    assert_eq!(line.hub.types().await.len(), 3, "one purchase was taken in, once");
    line.stop().await;
}
