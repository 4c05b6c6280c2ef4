//! Purchasely's webhook through the whole program: every documented event, prices that come by themselves, DEACTIVATE
//! without a reason, forgeries, and ends that nobody told.

use crate::support::vendors::{Line, SECRET, hex_hmac, samples};
use crate::support::{at, reference};
use serde_json::{Value, json};
use std::time::Duration;

const NOW: &str = "2026-04-01T00:00:00Z";

/// Each of our samples as the first word on a purchase, and all that it tells. A paid start waits for its price.
#[rustfmt::skip] // a table
const TABLE: &[(&str, &[&str])] = &[
    ("activate", &["ACTIVATE"]),
    ("activate_amazon_renewal", &["ACTIVATE"]),
    ("activate_anonymous", &["ACTIVATE"]),
    ("activate_both_ids", &["ACTIVATE"]),
    ("activate_consumable", &["ACTIVATE", "ONE_TIME_PURCHASED"]),
    ("activate_huawei", &["ACTIVATE"]),
    ("activate_intro", &["ACTIVATE"]),
    ("activate_non_consumable", &["ACTIVATE", "ONE_TIME_PURCHASED"]),
    ("activate_non_renewing", &["ACTIVATE", "ONE_TIME_PURCHASED"]),
    ("activate_renewal", &["ACTIVATE"]),
    ("activate_sandbox", &["ACTIVATE"]),
    ("activate_stripe", &["ACTIVATE"]),
    ("activate_trial", &["ACTIVATE", "SUBSCRIPTION_STARTED", "TRIAL_STARTED"]),
    ("deactivate", &[]),
    ("deactivate_family", &[]),
    ("deactivate_old_plan", &[]),
    ("deactivate_on_hold", &[]),
    ("deactivate_once", &[]),
    ("deactivate_paused", &[]),
    ("deactivate_revoked", &[]),
    ("deactivate_transferred", &[]),
    ("deactivate_unpaid", &[]),
    ("entered_billing_retry", &[]),
    ("family_shared_revoked", &[]),
    ("grace_period_started", &["ACTIVATE", "GRACE_PERIOD_STARTED"]),
    ("grace_period_terminated", &[]),
    ("intro_offer_converted", &["ACTIVATE"]),
    ("intro_offer_not_converted", &[]),
    ("intro_offer_started", &["ACTIVATE"]),
    ("no_environment", &[]),
    ("one_time_purchase_received", &["ACTIVATE", "ONE_TIME_PURCHASED"]),
    ("one_time_purchase_transferred", &["ACTIVATE", "ONE_TIME_PURCHASED"]),
    ("promo_code_converted", &["ACTIVATE"]),
    ("promo_code_not_converted", &[]),
    ("promo_code_started", &["ACTIVATE"]),
    ("promotional_offer_converted", &["ACTIVATE"]),
    ("promotional_offer_not_converted", &[]),
    ("promotional_offer_started", &["ACTIVATE"]),
    ("purchase_validated", &["ACTIVATE"]),
    ("renewal_disabled", &["ACTIVATE", "RENEWAL_DISABLED"]),
    ("renewal_disabled_dashboard_spelling", &["ACTIVATE", "RENEWAL_DISABLED"]),
    ("renewal_disabled_without_id", &["ACTIVATE", "RENEWAL_DISABLED"]),
    ("renewal_enabled", &["ACTIVATE", "RENEWAL_ENABLED"]),
    ("retention_message_requested", &[]),
    ("subscription_cancelled_during_grace_period", &[]),
    ("subscription_cancelled_during_pause", &[]),
    ("subscription_crossgraded", &["ACTIVATE", "SUBSCRIPTION_CROSSGRADED"]),
    ("subscription_deferred", &["ACTIVATE"]),
    ("subscription_downgraded", &["ACTIVATE", "SUBSCRIPTION_DOWNGRADED"]),
    ("subscription_expired", &[]),
    ("subscription_paused", &[]),
    ("subscription_reactivated", &["ACTIVATE"]),
    ("subscription_received", &["ACTIVATE"]),
    ("subscription_recovered_from_billing_retry", &["ACTIVATE", "SUBSCRIPTION_RECOVERED_FROM_GRACE_PERIOD"]),
    ("subscription_recovered_from_grace_period", &["ACTIVATE", "SUBSCRIPTION_RECOVERED_FROM_GRACE_PERIOD"]),
    ("subscription_refunded_revoked", &[]),
    ("subscription_renewed", &["ACTIVATE", "SUBSCRIPTION_RENEWED"]),
    ("subscription_started", &["ACTIVATE"]),
    ("subscription_terminated", &[]),
    ("subscription_transferred", &["ACTIVATE"]),
    ("subscription_transferred_to_anonymous", &["ACTIVATE"]),
    ("subscription_unpaused", &["ACTIVATE", "SUBSCRIPTION_UNPAUSED"]),
    ("subscription_upgraded", &["ACTIVATE", "SUBSCRIPTION_UPGRADED"]),
    ("subscription_upgraded_to_another", &["ACTIVATE", "SUBSCRIPTION_UPGRADED"]),
    ("subscription_will_not_pause", &["ACTIVATE"]),
    ("subscription_will_pause", &["ACTIVATE", "SUBSCRIPTION_WILL_PAUSE"]),
    ("test", &["TEST"]),
    ("transaction_processed", &["TRANSACTION_PROCESSED"]),
    ("transaction_processed_as_text", &["TRANSACTION_PROCESSED"]),
    ("transaction_processed_partial_refund", &["REFUND_RECORDED", "TRANSACTION_PROCESSED"]),
    ("transaction_processed_reference_currency_only", &["TRANSACTION_PROCESSED"]),
    ("transaction_processed_refund", &["REFUND_RECORDED", "TRANSACTION_PROCESSED"]),
    ("transaction_processed_refund_once", &["REFUND_RECORDED", "TRANSACTION_PROCESSED"]),
    ("transaction_processed_stripe", &["TRANSACTION_PROCESSED"]),
    ("transaction_processed_without_amount", &[]),
    ("transaction_processed_yen", &["TRANSACTION_PROCESSED"]),
    ("trial_converted", &["ACTIVATE"]),
    ("trial_not_converted", &[]),
    ("trial_started", &["ACTIVATE", "SUBSCRIPTION_STARTED", "TRIAL_STARTED"]),
    ("unknown_event", &[]),
];

/// The event of somebody of that name, so that samples do not meet.
fn of_somebody(sample: &Value, name: &str) -> Value {
    let text = sample.to_string();
    let text = text.replace("user-1", &format!("{name}-one")).replace("user-2", &format!("{name}-two"));
    serde_json::from_str(&text.replace("5ca811b6", name).replace("6837C35A", &format!("{name}-anonymous")))
        .expect("JSON")
}

#[tokio::test]
async fn every_documented_event_is_taken_and_tells_what_is_stated() {
    let line = Line::of(NOW, "purchasely").await;
    let samples = samples("purchasely");
    assert_eq!(
        samples.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        TABLE.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        "every sample is in the table"
    );
    let mut wrong = Vec::new();
    for ((name, sample), (_, expected)) in samples.iter().zip(TABLE) {
        let source = Line::source(&line.hub, "purchasely").await;
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

fn event(samples: &[(String, Value)], name: &str, more: Value) -> Value {
    let (_, mut event) = samples.iter().find(|(found, _)| found == name).expect("a sample").clone();
    event["event_id"] = json!(format!("{name}-{more}"));
    event.as_object_mut().expect("an event").extend(more.as_object().expect("changes").clone());
    event
}

#[tokio::test]
async fn a_paid_start_is_told_with_its_price_whichever_comes_first() {
    let samples = samples("purchasely");
    let all = ["ACTIVATE", "SUBSCRIPTION_STARTED", "TRANSACTION_PROCESSED"];
    for order in [
        ["activate", "subscription_started", "transaction_processed"],
        ["subscription_started", "transaction_processed", "activate"],
    ] {
        let line = Line::of("2026-01-01T00:00:10Z", "purchasely").await;
        for name in order {
            line.tell(&event(&samples, name, json!({}))).await;
        }
        assert_eq!(line.hub.types().await, all, "{order:?}");
        let started = line.hub.events().await.into_iter().find(|event| event["type"] == "SUBSCRIPTION_STARTED");
        let started = started.expect("a start");
        let money = (&started["transaction"]["amount_minor"], &started["transaction"]["currency"]);
        assert_eq!(money, (&json!(999), &json!("EUR")));
        assert_eq!(
            (&started["store"], &started["purchase"]["product_id"]),
            (&json!("APP_STORE"), &json!("pro_monthly"))
        );
        assert_eq!(started["transaction"]["id"], "310000000000001");
        line.stop().await;
    }
    let hub = crate::support::TestHub::start("2026-01-01T00:00:10Z").await;
    let source = hub.source("purchasely", json!({"secret": SECRET, "transactions": false})).await;
    let body = event(&samples, "activate", json!({})).to_string().into_bytes();
    let time = at("2026-01-01T00:00:10Z").as_seconds().to_string();
    let signature = hex_hmac(SECRET, &[time.as_bytes(), &body]);
    let headers = [("x-purchasely-timestamp", time.as_str()), ("x-purchasely-request-signature", &signature)];
    hub.call("POST", &format!("/ingest/{source}"), None, body, &headers).await.expect(200);
    assert_eq!(hub.types().await, ["ACTIVATE", "SUBSCRIPTION_STARTED"], "nothing is waited for that never comes");
    hub.stop().await;
}

/// A DEACTIVATE that nothing explains ends access five minutes later; a transfer explains it.
#[tokio::test]
async fn a_deactivate_without_a_reason_is_held_for_five_minutes() {
    let samples = samples("purchasely");
    for is_explained in [true, false] {
        let line = Line::of("2026-01-01T00:00:10Z", "purchasely").await;
        line.tell(&event(&samples, "activate", json!({}))).await;
        line.tell(&event(&samples, "transaction_processed", json!({}))).await;
        line.hub.clock.set(at("2026-01-10T00:00:01Z"));
        assert!(line.tell(&event(&samples, "deactivate_transferred", json!({}))).await.is_empty());
        assert_eq!(line.active("user-1").await, ["pro"]);
        if is_explained {
            let moved = ["DEACTIVATE", "SUBSCRIPTION_TRANSFERRED", "ACTIVATE", "SUBSCRIPTION_RECEIVED"];
            assert_eq!(line.tell(&event(&samples, "subscription_transferred", json!({}))).await, moved);
            line.tell(&event(&samples, "subscription_received", json!({}))).await;
        }
        line.hub.clock.advance(Duration::from_secs(301));
        let (one, two) = match is_explained {
            true => (0, 1),
            false => (0, 0),
        };
        line.hub
            .until("access as it should be", async |_| {
                let found = (line.active("user-1").await.len(), line.active("user-2").await.len());
                (found == (one, two)).then_some(())
            })
            .await;
        line.hub.check_rebuild().await;
        line.stop().await;
    }
}

#[tokio::test]
async fn the_two_ids_of_one_event_are_one_customer() {
    let samples = samples("purchasely");
    let line = Line::of("2026-01-01T00:00:10Z", "purchasely").await;
    line.tell(&event(&samples, "activate_both_ids", json!({}))).await;
    let (user, anonymous) =
        (line.customer("user-1").await, line.customer("5ca811b6-46e9-4847-9381-3911bd5fcd7b").await);
    assert_eq!(user["id"], anonymous["id"]);
    assert_eq!(line.active("5ca811b6-46e9-4847-9381-3911bd5fcd7b").await, ["pro"]);
    line.stop().await;
}

/// A change of plan whose subscription has another id goes on with the same purchase.
#[tokio::test]
async fn a_plan_with_a_subscription_id_of_its_own_is_the_same_purchase() {
    let samples = samples("purchasely");
    let line = Line::of("2026-01-01T00:00:10Z", "purchasely").await;
    let play = json!({"store": "GOOGLE_PLAY_STORE"});
    line.tell(&event(&samples, "activate", play.clone())).await;
    line.tell(&event(&samples, "transaction_processed", play)).await;
    line.hub.clock.set(at("2026-01-10T00:00:01Z"));
    let told = line.tell(&event(&samples, "subscription_upgraded_to_another", json!({}))).await;
    assert_eq!(told, ["DEACTIVATE", "ACTIVATE", "SUBSCRIPTION_UPGRADED"]);
    assert_eq!(line.customer("user-1").await["purchases"].as_array().map(Vec::len), Some(1));
    line.hub.check_rebuild().await;
    line.stop().await;
}

/// Purchasely warns receivers to leave a margin of 24 hours.
#[tokio::test]
async fn an_end_that_nobody_tells_is_taken_for_one_a_day_later() {
    let samples = samples("purchasely");
    let line = Line::of("2026-01-01T00:00:10Z", "purchasely").await;
    line.tell(&event(&samples, "activate", json!({}))).await;
    line.hub.clock.set(at("2026-02-01T23:00:00Z"));
    line.tell(&event(&samples, "retention_message_requested", json!({}))).await;
    assert_eq!(line.active("user-1").await, ["pro"], "23 hours after the end");
    line.hub
        .until("the end", async |hub| {
            hub.clock.advance(Duration::from_secs(600));
            hub.types().await.iter().any(|name| name == "SUBSCRIPTION_TERMINATED").then_some(())
        })
        .await;
    line.stop().await;
}

#[tokio::test]
async fn forgeries_are_refused_with_the_contracts_statuses() {
    let samples = samples("purchasely");
    let line = Line::of(NOW, "purchasely").await;
    let body = event(&samples, "activate", json!({})).to_string().into_bytes();
    let path = format!("/ingest/{}", line.source);
    let proof = line.proof(&body);
    let good: Vec<(&str, &str)> = proof.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let other = hex_hmac("other", &[good[0].1.as_bytes(), &body]);
    let junk = b"{".to_vec();
    let junk_proof = line.proof(&junk);
    let junk_good: Vec<(&str, &str)> = junk_proof.iter().map(|(name, value)| (*name, value.as_str())).collect();
    type Case<'a> = (&'a str, Vec<u8>, Vec<(&'a str, &'a str)>, u16);
    let cases: Vec<Case<'_>> = vec![
        ("nothing", body.clone(), vec![], 401),
        ("no time", body.clone(), vec![good[1]], 401),
        ("another secret", body.clone(), vec![good[0], (good[1].0, &other)], 401),
        ("the deprecated header", body.clone(), vec![good[0], ("x-purchasely-signature", good[1].1)], 401),
        ("another body", [body.clone(), b" ".to_vec()].concat(), good.clone(), 401),
        ("no JSON", junk, junk_good, 400),
        ("too large", vec![b' '; 300_000], good.clone(), 413),
        ("right", body.clone(), good.clone(), 200),
        ("right again", body.clone(), good.clone(), 200),
    ];
    for (name, body, headers, status) in cases {
        let answer = line.hub.call("POST", &path, None, body, &headers).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.body);
    }
    // Purchasely's own retries go on for twenty days.
    line.hub.clock.advance(Duration::from_secs(20 * 86_400));
    assert_eq!(line.hub.call("POST", &path, None, body.clone(), &good).await.status, 200);
    line.hub.clock.advance(Duration::from_secs(2 * 86_400));
    assert_eq!(line.hub.call("POST", &path, None, body, &good).await.status, 401, "a copy");
    line.stop().await;
}

#[tokio::test]
async fn the_vendors_own_samples_are_taken() {
    let Some(folder) = reference() else { return };
    let line = Line::of(NOW, "purchasely").await;
    let mut count = 0;
    for entry in std::fs::read_dir(folder.join("samples/purchasely")).expect("samples") {
        let path = entry.expect("an entry").path();
        let event: Value = serde_json::from_slice(&std::fs::read(&path).expect("a file")).expect("JSON");
        if event.get("event_name").is_some() {
            line.send_to(&line.source, &event).await.expect(200);
            count += 1;
        }
    }
    assert_eq!(count, 8);
    let unknown = line.hub.get("/v1/notifications?outcome=unknown").await;
    assert_eq!(unknown["data"].as_array().map(Vec::len), Some(0), "{unknown}");
    line.stop().await;
}
