//! RevenueCat's samples, and when an event happened.

use super::rules::text;
use super::*;
use crate::support::reference;
use paidup_lifecycle::observation::{Kind, Period, Reason, Store};
use paidup_lifecycle::sample;
use paidup_lifecycle::time::Timestamp;

fn seconds(at: i64) -> Timestamp {
    Timestamp::from_millis(at * 1000).unwrap()
}

/// The eight samples, field by field, but for what is better: one shape of metadata for all events, no nulls, no app of
/// RevenueCat's, and a consumable that leaves the subscription alone.
#[test]
fn the_samples_are_matched_field_by_field() {
    let Some(reference) = reference() else {
        eprintln!("NOT CHECKED: RevenueCat's Intercom samples are not here");
        return;
    };
    use EventType as E;
    // (sample, event)
    for (name, event_type) in [
        ("1_initial_purchase", E::SubscriptionStarted),
        ("2_trial_started", E::TrialStarted),
        ("3_trial_converted", E::TrialConverted),
        ("4_trial_cancelled", E::RenewalDisabled),
        ("5_renewal", E::SubscriptionRenewed),
        ("6_cancellation", E::RenewalDisabled),
        ("7_non_subscription_purchase", E::OneTimePurchased),
        ("8_expiration", E::SubscriptionTerminated),
    ] {
        let path = reference.join(format!("samples/revenuecat/intercom_{name}.json"));
        let sample: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let (user, told) = (&sample["user_payload"], &sample["event_payload"]);
        let event = as_sampled(name, event_type, &sample);
        let destination = intercom(json!({}));
        let delivery = destination.deliver(&[logged(event.clone())], &Memory::default(), moment()).unwrap();
        let course = run_by(delivery, Memory::default(), |_, request| match called(request).as_str() {
            CREATE => answer(200, &[], &known()),
            TELL => answer(202, &[], &Value::Null),
            _ => answer(404, &[], &not_found()),
        });
        assert_eq!(course.verdict, Verdict::Delivered, "{name}");
        let (made, said) = (body(&course.requests[1]), body(course.requests.last().unwrap()));
        assert_eq!(made["external_id"], user["user_id"], "{name}");
        for (key, value) in user["custom_attributes"].as_object().unwrap() {
            assert_eq!(&made["custom_attributes"][key], value, "{name}: {key}");
        }
        for key in ["event_name", "user_id", "created_at"] {
            assert_eq!(said[key], told[key], "{name}: {key}");
        }
        for (key, value) in told["metadata"].as_object().unwrap() {
            match key.as_str() {
                "app_id" => assert_eq!(said["metadata"][key], json!(event.source_id), "{name}"),
                _ => assert_eq!(&said["metadata"][key], value, "{name}: {key}"),
            }
        }
        let base = ["product_identifier", "store", "environment", "app_id"];
        assert!(base.iter().all(|key| said["metadata"][key].is_string()), "{name}: {said}");
        assert!(said["metadata"].as_object().unwrap().values().all(|value| !value.is_null()), "{name}: {said}");
    }
}

/// What must have happened for RevenueCat to send that sample.
fn as_sampled(name: &str, event_type: EventType, sample: &Value) -> Event {
    let (user, told) = (&sample["user_payload"], &sample["event_payload"]);
    let store: Store = text(&told["metadata"]["store"]).parse().unwrap();
    // Trials are told beside the start or the renewal of the subscription.
    let (event_type, of_trial) = match event_type {
        EventType::TrialStarted => (EventType::SubscriptionStarted, Some(sample::event(event_type, store))),
        EventType::TrialConverted => (EventType::SubscriptionRenewed, Some(sample::event(event_type, store))),
        other => (other, None),
    };
    let mut event = sample::event(event_type, store);
    if let Some(trial) = of_trial {
        event = Event { event_type, bundle: trial.bundle.clone(), details: trial.details.clone(), ..trial };
        event.bundle.index = 1;
    }
    if name.contains("trial_cancelled") {
        event.purchase.period_type = Some(paidup_lifecycle::observation::PeriodType::Trial);
    }
    let created_at = seconds(told["created_at"].as_i64().unwrap());
    let id = text(&user["user_id"]).to_owned();
    event.customer.app_user_id.clone_from(&id);
    event.customer.aliases = vec![id];
    event.purchase.product_id = Some(text(&sample["product_identifier"]).to_owned());
    event.purchase.entitlements = told["metadata"]["entitlement"].as_str().map(str::to_owned).into_iter().collect();
    let ends_at = told["metadata"]["expires_at"].as_i64().map(seconds);
    let is_of_start = !(name.contains("cancel") || name.contains("expiration"));
    let starts_at = if is_of_start { created_at } else { created_at.minus(Duration::from_secs(86_400)) };
    event.purchase.period = Some(Period { transaction_id: None, starts_at, ends_at });
    if name.contains("non_subscription") {
        event.purchase.kind = Kind::Consumable;
    }
    // The store speaks a little later than the period begins or ends.
    let late = if name.contains("cancel") { 0 } else { 20 };
    event.occurred_at = created_at.plus(Duration::from_secs(late));
    event.detected_at = event.occurred_at.plus(Duration::from_secs(5));
    event
}

#[test]
fn when_an_event_happened() {
    let destination = intercom(json!({}));
    let told_at = |event: &Event| seconds(body_told(&*destination, event)["created_at"].as_i64().unwrap()).to_string();
    let mut early = renewal();
    early.detected_at = "2026-01-31T10:00:00Z".parse().unwrap();
    let mut refunded = sample_of(EventType::SubscriptionRefundedRevoked);
    refunded.occurred_at = "2026-01-20T00:00:00Z".parse().unwrap();
    for (name, event, expected) in [
        ("what was paid: the start of its period", renewal(), "2026-02-01T00:00:00Z"),
        ("never in the future", early, "2026-01-31T10:00:00Z"),
        ("what ended: its end", sample_of(EventType::SubscriptionTerminated), "2026-02-01T00:00:00Z"),
        ("with its grace period", sample_of(EventType::GracePeriodTerminated), "2026-02-17T00:00:00Z"),
        ("before its time", refunded, "2026-01-20T00:00:00Z"),
        ("the rest: when it happened", sample_of(EventType::RenewalDisabled), "2026-01-20T00:00:00Z"),
    ] {
        assert_eq!(told_at(&event), expected, "{name}");
    }
    let changed = body_told(&*destination, &sample_of(EventType::SubscriptionUpgraded));
    assert_eq!(changed["event_name"], "rc_product_change_event");
    let products = (&changed["metadata"]["product_identifier"], &changed["metadata"]["new_product_identifier"]);
    assert_eq!(products, (&json!("pro_monthly"), &json!("pro_yearly")));
    // In a fixed order, because Intercom keeps the first ten keys.
    let delivery =
        destination.deliver(&[logged(sample_of(EventType::SubscriptionTerminated))], &Memory::default(), moment());
    let course = run_by(delivery.unwrap(), Memory::default(), |_, request| destination.rehearsal(request));
    let raw = String::from_utf8(course.requests.last().unwrap().body().to_vec()).unwrap();
    let keys =
        ["product_identifier", "store", "environment", "entitlement", "expires_at", "app_id", "expiration_reason"];
    let places: Vec<_> = keys.iter().map(|key| raw.find(&format!("\"{key}\":")).unwrap()).collect();
    assert!(places.is_sorted(), "{raw}");
    let reasons = body_told(&*destination, &sample_of(EventType::SubscriptionTerminated))["metadata"].clone();
    assert_eq!(reasons["expiration_reason"], json!(Reason::Unsubscribe));
    let joined = intercom(json!({ "entitlement": "joined" }));
    let mut both = renewal();
    both.purchase.entitlements = vec!["basic".to_owned(), "pro".to_owned()];
    assert_eq!(body_told(&*joined, &both)["metadata"]["entitlement"], "basic, pro");
    assert_eq!(body_told(&*destination, &both)["metadata"]["entitlement"], "basic");
}
