//! Purchasely's words, and its body field by field against the published samples, where that folder is at hand.

use super::*;
use crate::money::{Currency, Money};
use crate::observation::{Environment, Pause, Period};
use crate::sample;
use crate::time::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What we do not know and leave out, with the reason.
const ABSENT: &[(&str, &str)] = &[
    ("device_type", "known only to Purchasely's SDK"),
    ("device_id", "known only to Purchasely's SDK"),
    ("placement", "Purchasely's paywalls"),
    ("presentation", "Purchasely's paywalls"),
    ("store_app_bundle_id", "a setting of the source, not a fact of the event"),
    ("cumulated_revenues_in_eur", "the customer's total is no part of an event"),
    ("plan_price_in_usd", "no exchange rates: the reference currency is the customer's own"),
];

/// What we mint ourselves.
const OWN: &[(&str, &str)] = &[
    ("event_id", "a UUID of our event id"),
    ("purchasely_subscription_id", "our purchase id"),
    ("plan", "Purchasely's console names plans; here the store's product id is the name"),
];

/// What Purchasely's samples do not have: its later fields, and the hub's own.
const EXTRA: &[&str] = &[
    "purchase_token",
    "purchase_type",
    "event_id",
    "occurred_at",
    "occurred_at_ms",
    "inferred",
    "renewal_number",
    "cancel_reason",
    "expiration_reason",
    "customer_currency",
];

fn samples() -> Option<Vec<PathBuf>> {
    let fallback = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/reference");
    let root = std::env::var("PAIDUP_REFERENCE_DIR").unwrap_or_else(|_| fallback.to_owned());
    let folder = PathBuf::from(root).join("samples/purchasely");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!("NOT CHECKED: Purchasely's samples are not at {}", folder.display());
        return None;
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| !path.ends_with("signature-vector.json"));
    paths.sort();
    Some(paths)
}

#[test]
fn bodies_are_purchaselys() {
    let Some(paths) = samples() else { return };
    assert!(paths.len() >= 8, "only {} samples", paths.len());
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let sample: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let theirs = sample.as_object().unwrap();
        let event = ours(theirs);
        let body = body(&event);
        compare(&name, theirs, body.as_object().unwrap());
    }
}

fn compare(name: &str, theirs: &Map<String, Value>, ours: &Map<String, Value>) {
    for (field, expected) in theirs {
        let at = format!("{name} {field}");
        let got = ours.get(field);
        if ABSENT.iter().any(|(absent, _)| absent == field) {
            assert_eq!(got, None, "{at}");
        } else if OWN.iter().any(|(own, _)| own == field) {
            assert!(got.is_some_and(Value::is_string), "{at}");
        } else if expected.is_f64() {
            assert_eq!(got.and_then(Value::as_f64), expected.as_f64(), "{at}");
        } else {
            assert_eq!(got, Some(expected), "{at}");
        }
    }
    for field in ours.keys() {
        let is_price = field.starts_with("plan_price_in_");
        assert!(theirs.contains_key(field) || EXTRA.contains(&field.as_str()) || is_price, "{name}: {field} is extra");
    }
}

/// An event that carries the sample's facts.
fn ours(theirs: &Map<String, Value>) -> Event {
    let event_type: EventType = theirs["event_name"].as_str().unwrap().parse().unwrap();
    let store = match theirs["store"].as_str().unwrap() {
        "APPLE_APP_STORE" => Store::AppStore,
        "GOOGLE_PLAY_STORE" => Store::PlayStore,
        other => panic!("{other}"),
    };
    let mut event = sample::event(event_type, store);
    event.detected_at = at(theirs, "event_created_at_ms").unwrap();
    event.environment = Environment::Sandbox;
    let user = theirs.get("user_id").or(theirs.get("anonymous_user_id")).unwrap();
    event.customer.app_user_id = user.as_str().unwrap().to_owned();
    event.customer.anonymous = !theirs.contains_key("user_id");
    fill_purchase(&mut event, theirs);
    // Purchasely's sample of ACTIVATE is of a renewal.
    if event_type == EventType::Activate {
        event.previous = Some(event.purchase.clone());
    }
    event.details.transferred_to =
        theirs.get("transferred_to_user_id").map(|id| vec![id.as_str().unwrap().to_owned()]).unwrap_or_default();
    if let Some(transaction) = &mut event.transaction {
        transaction.id = text(theirs, "store_transaction_id");
        transaction.source_event = text(theirs, "source_event_name").map(|name| name.parse().unwrap());
        transaction.money = euros(theirs, "amount_in_customer_currency");
    }
    if event_type == EventType::TransactionProcessed {
        event.previous = Some(event.purchase.clone());
    }
    event
}

fn fill_purchase(event: &mut Event, theirs: &Map<String, Value>) {
    let purchase = &mut event.purchase;
    // Purchasely's plan has a name of its own beside the store's; ours is the store's.
    purchase.product_id = text(theirs, "store_product_id");
    purchase.entitlements = text(theirs, "product").into_iter().collect();
    purchase.country = text(theirs, "store_country");
    purchase.period = Some(Period {
        transaction_id: text(theirs, "store_transaction_id"),
        starts_at: at(theirs, "purchased_at_ms").unwrap(),
        ends_at: at(theirs, "next_renewal_at_ms"),
    });
    purchase.first_purchased_at = at(theirs, "original_purchased_at_ms");
    purchase.original_transaction_id = text(theirs, "store_original_transaction_id");
    purchase.price = euros(theirs, "plan_price_in_customer_currency");
    if theirs["subscription_status"] == "UNPAID" {
        purchase.expiration_reason = Some(Reason::BillingError);
    }
}

fn at(theirs: &Map<String, Value>, field: &str) -> Option<Timestamp> {
    theirs.get(field).and_then(Value::as_i64).map(|ms| Timestamp::from_millis(ms).unwrap())
}

fn text(theirs: &Map<String, Value>, field: &str) -> Option<String> {
    theirs.get(field).and_then(Value::as_str).map(str::to_owned)
}

fn euros(theirs: &Map<String, Value>, field: &str) -> Option<Money> {
    let units = theirs.get(field).and_then(Value::as_f64)?;
    #[allow(clippy::cast_possible_truncation)] // prices of samples
    let thousandths = (units * 1000.0).round() as i64;
    Some(Money::from_thousandths(thousandths, "EUR".parse().unwrap()))
}

#[test]
fn every_event_has_a_body_under_its_own_name() {
    for &event_type in EventType::ALL {
        for &store in Store::ALL {
            let body = body(&sample::event(event_type, store));
            assert_eq!(body["event_name"], event_type.as_str());
            assert_eq!(body["api_version"], 3);
            assert!(body.as_object().unwrap().values().all(|value| !value.is_null()), "{event_type} {store}: {body}");
        }
    }
}

/// purchasely-events.md section 1: 2 entitlement, 28 lifecycle, 12 offer and 1 transactional event.
#[test]
fn families_have_purchaselys_sizes() {
    let count = |wanted| EventType::ALL.iter().filter(|event_type| family(**event_type) == wanted).count();
    assert_eq!(count(Family::Entitlement), 2);
    assert_eq!(count(Family::Lifecycle), 28);
    assert_eq!(count(Family::Offer), 12);
    assert_eq!(count(Family::Transactional), 1);
    for event_type in [
        EventType::PaymentFailed,
        EventType::PromoGranted,
        EventType::OperatorAlert,
        EventType::Test,
        EventType::RefundReversed,
    ] {
        assert!(is_extension(event_type), "{event_type}");
    }
}

#[test]
fn every_state_has_its_status() {
    use State as S;
    let mut seen = BTreeSet::new();
    for (state, will_renew, reason, expected) in [
        (S::None, None, None, None),
        (S::Pending, Some(true), None, None),
        (S::Active, Some(true), None, Some("AUTO_RENEWING")),
        (S::Active, Some(false), Some(Reason::Unsubscribe), Some("AUTO_RENEWING_CANCELED")),
        (S::Grace, Some(true), None, Some("IN_GRACE_PERIOD")),
        (S::BillingRetry, Some(true), None, Some("ON_HOLD")),
        (S::Paused, Some(true), None, Some("PAUSED")),
        (S::Expired, Some(false), Some(Reason::BillingError), Some("UNPAID")),
        (S::Expired, Some(false), Some(Reason::Unsubscribe), Some("DEACTIVATED")),
        (S::Expired, Some(false), None, Some("DEACTIVATED")),
        (S::Revoked, Some(false), Some(Reason::CustomerSupport), Some("REVOKED")),
    ] {
        let mut purchase = sample::event(EventType::SubscriptionStarted, Store::AppStore).purchase;
        (purchase.state, purchase.will_renew, purchase.expiration_reason) = (state, will_renew, reason);
        let told = status(&purchase);
        seen.extend(told);
        assert_eq!(told.map(SubscriptionStatus::as_str), expected, "{state} {will_renew:?} {reason:?}");
        purchase.kind = Kind::NonConsumable;
        assert_eq!(status(&purchase), None, "{state}");
    }
    assert_eq!(seen.len(), SubscriptionStatus::ALL.len(), "every status is reached");
}

/// Both events of the former owner say DEACTIVATED, those of the new owner how the subscription stands.
#[test]
fn a_transfer_deactivates_for_the_former_owner() {
    for (event_type, expected) in [
        (EventType::SubscriptionTransferred, SubscriptionStatus::Deactivated),
        (EventType::SubscriptionReceived, SubscriptionStatus::AutoRenewing),
    ] {
        for event in sample::bundle(event_type, Store::AppStore) {
            assert_eq!(status_in(&event), Some(expected), "{}", event.event_type);
        }
    }
}

#[test]
fn stores_and_purchase_types_have_purchaselys_names() {
    for (store, expected) in [
        (Store::AppStore, "APPLE_APP_STORE"),
        (Store::MacAppStore, "APPLE_APP_STORE"),
        (Store::PlayStore, "GOOGLE_PLAY_STORE"),
        (Store::Amazon, "AMAZON_APPSTORE"),
        (Store::Stripe, "STRIPE"),
        (Store::Promotional, "PROMOTIONAL"),
    ] {
        assert_eq!(store_name(store), expected);
    }
    for (kind, expected) in [
        (Kind::Subscription, "RENEWING_SUBSCRIPTION"),
        (Kind::Consumable, "CONSUMABLE"),
        (Kind::NonConsumable, "NON_CONSUMABLE"),
        (Kind::NonRenewing, "NON_RENEWING_SUBSCRIPTION"),
    ] {
        assert_eq!(purchase_type(kind).as_str(), expected);
    }
}

/// Which events have which attributes (purchasely-events.md section 2).
#[test]
fn attributes_stand_where_purchasely_has_them() {
    let body_of = |event_type| body(&sample::event(event_type, Store::PlayStore));
    for (event_type, field, expected) in [
        (EventType::SubscriptionUpgraded, "previous_plan", Some(json!("pro:monthly"))),
        (EventType::SubscriptionRenewed, "previous_plan", None),
        (EventType::SubscriptionTransferred, "transferred_to_user_id", Some(json!("sample-user-2"))),
        (EventType::SubscriptionReceived, "transferred_from_user_id", Some(json!("sample-user"))),
        (EventType::OneTimePurchaseReceived, "transferred_from_user_id", Some(json!("sample-user"))),
        (EventType::PromoCodeStarted, "offer_identifier", Some(json!("sample-offer"))),
        (EventType::PromotionalOfferStarted, "promotional_offer_id", Some(json!("sample-offer"))),
        (EventType::TrialStarted, "offer_identifier", None),
        (EventType::TrialStarted, "offer_type", Some(json!("FREE_TRIAL"))),
        (EventType::TrialConverted, "previous_offer_type", Some(json!("FREE_TRIAL"))),
        (EventType::SubscriptionStarted, "previous_offer_type", None),
        (EventType::SubscriptionRenewed, "previous_offer_type", Some(json!("NONE"))),
        (EventType::GracePeriodStarted, "grace_period_expires_at", Some(json!("2026-02-17T00:00:00.000Z"))),
        (EventType::GracePeriodStarted, "effective_next_renewal_at", Some(json!("2026-02-17T00:00:00.000Z"))),
        (EventType::GracePeriodStarted, "next_renewal_at", Some(json!("2026-02-01T00:00:00.000Z"))),
        (EventType::SubscriptionDeferred, "defer_end_at", Some(json!("2026-02-08T00:00:00.000Z"))),
        (EventType::SubscriptionWillPause, "auto_resume_at", Some(json!("2026-02-11T00:00:00.000Z"))),
        (EventType::OneTimePurchased, "subscription_status", None),
        (EventType::TransactionProcessed, "amount_in_usd", Some(json!(9.99))),
        (EventType::SubscriptionStarted, "amount_in_usd", None),
        (EventType::TransactionProcessed, "source_event_name", Some(json!("SUBSCRIPTION_STARTED"))),
    ] {
        assert_eq!(body_of(event_type).get(field), expected.as_ref(), "{event_type} {field}");
    }
}

#[test]
fn an_other_side_without_an_id_of_the_app_is_anonymous() {
    let mut event = sample::event(EventType::SubscriptionTransferred, Store::AppStore);
    let ours = event.customer.id.to_string();
    event.details.transferred_to = vec![ours.clone()];
    assert_eq!(body(&event)["transferred_to_anonymous_user_id"], json!(ours));
    event.details.transferred_to = vec![ours, "jeff".to_owned()];
    assert_eq!(body(&event)["transferred_to_user_id"], "jeff");
    assert_eq!(body(&event).get("transferred_to_anonymous_user_id"), None);
}

#[test]
fn a_planned_pause_without_an_end_has_no_date() {
    let mut event = sample::event(EventType::SubscriptionWillPause, Store::PlayStore);
    event.purchase.pause = Some(Pause { starts_at: None, resumes_at: None });
    event.purchase.price = Some(Money { amount_minor: 500, currency: Currency::USD });
    assert_eq!(body(&event).get("auto_resume_at_ms"), None);
    assert_eq!(body(&event)["plan_price_in_usd"], json!(5.0));
}
