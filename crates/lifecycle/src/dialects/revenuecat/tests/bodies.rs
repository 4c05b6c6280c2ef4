//! The webhook body, field by field against RevenueCat's published samples, where that folder is at hand.

use super::super::{Message, Options, RcType, body, messages, store_name};
use super::variant;
use crate::event::{AttributeView, Event, EventType};
use crate::money::{Currency, Money};
use crate::observation::{Environment, Offer, OfferType, Pause, PendingProduct, Period, Store};
use crate::sample;
use crate::time::Timestamp;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// Why a field of a sample may differ from ours.
enum Differs {
    /// Ours is null.
    Null,
    /// We leave it out.
    Absent,
    /// Ours has a value of its own.
    Own,
}

/// The whole list of differences from RevenueCat's samples: field, how ours differs, why.
const DIFFERENCES: &[(&str, Differs, &str)] = &[
    ("id", Differs::Own, "minted here"),
    ("app_id", Differs::Own, "our source is the app"),
    ("entitlement_id", Differs::Null, "deprecated; null in RevenueCat's newer samples too"),
    ("presented_offering_id", Differs::Null, "known only to RevenueCat's SDK"),
    ("takehome_percentage", Differs::Null, "deprecated; an estimate of RevenueCat's"),
    ("tax_percentage", Differs::Null, "an estimate of RevenueCat's"),
    ("commission_percentage", Differs::Null, "an estimate of RevenueCat's"),
    ("experiments", Differs::Absent, "RevenueCat's own experiments"),
];

/// Fields that RevenueCat added after it wrote some of its samples: ours may have them where a sample has not.
const NEWER: &[&str] = &["app_id", "country_code", "is_family_share", "renewal_number", "metadata"];

/// Fields of a temporary grant that the documentation guarantees and the sample has not.
const GUARANTEED: &[&str] = &["purchased_at_ms", "expiration_at_ms", "product_id", "entitlement_ids", "transaction_id"];

/// Samples of what this hub has nothing to say about.
const NOT_OURS: &[(&str, &str)] = &[
    ("webhook_experiment_enrollment.json", "RevenueCat's experiments"),
    ("webhook_invoice_issuance.json", "RevenueCat's own billing"),
    ("webhook_virtual_currency_transaction.json", "RevenueCat's virtual currencies"),
];

fn samples() -> Option<Vec<PathBuf>> {
    let fallback = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/reference");
    let root = std::env::var("PAIDUP_REFERENCE_DIR").unwrap_or_else(|_| fallback.to_owned());
    let folder = PathBuf::from(root).join("samples/revenuecat");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!("NOT CHECKED: RevenueCat's samples are not at {}", folder.display());
        return None;
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with("webhook_"));
    paths.sort();
    Some(paths)
}

#[test]
fn bodies_are_revenuecats() {
    let Some(paths) = samples() else { return };
    let mut checked = 0;
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if NOT_OURS.iter().any(|(file, _)| *file == name) {
            continue;
        }
        let sample: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let theirs = sample["event"].as_object().unwrap();
        let (event, message) = ours(&name, theirs);
        let body = body(&event, &message);
        assert_eq!(body["api_version"], sample["api_version"], "{name}");
        assert_eq!(body.as_object().unwrap().len(), sample.as_object().unwrap().len(), "{name}");
        compare(&name, theirs, body["event"].as_object().unwrap());
        checked += 1;
    }
    assert!(checked >= 16, "only {checked} samples");
}

fn compare(name: &str, theirs: &Map<String, Value>, ours: &Map<String, Value>) {
    for (field, expected) in theirs {
        let at = format!("{name} {field}");
        let got = ours.get(field);
        let difference = DIFFERENCES.iter().find(|(differs, _, _)| differs == field).map(|(_, how, _)| how);
        // RevenueCat converts into dollars; this hub keeps no exchange rates.
        let converted = field == "price" && theirs["currency"] != json!("USD") && expected.as_f64() != Some(0.0);
        match difference {
            Some(Differs::Null) => assert_eq!(got, Some(&Value::Null), "{at}"),
            Some(Differs::Absent) => assert_eq!(got, None, "{at}"),
            Some(Differs::Own) => assert!(got.is_some_and(Value::is_string), "{at}"),
            None if converted => assert_eq!(got, Some(&Value::Null), "{at}"),
            None if expected.is_number() => {
                assert_eq!(got.and_then(Value::as_f64), expected.as_f64(), "{at}");
                let is_whole = field.ends_with("_ms") || field == "renewal_number";
                assert!(!is_whole || got.is_some_and(Value::is_i64), "{at}");
            }
            None => assert_eq!(got, Some(expected), "{at}"),
        }
    }
    for field in ours.keys() {
        let is_guaranteed = theirs["type"] == "TEMPORARY_ENTITLEMENT_GRANT" && GUARANTEED.contains(&field.as_str());
        let is_theirs = theirs.contains_key(field) || NEWER.contains(&field.as_str()) || is_guaranteed;
        assert!(is_theirs, "{name}: {field} is not in the sample");
    }
}

/// An event that carries the sample's facts, and what is told of it.
fn ours(name: &str, theirs: &Map<String, Value>) -> (Event, Message) {
    let rc_type: RcType = theirs["type"].as_str().unwrap().parse().unwrap();
    let store: Store = theirs["store"].as_str().unwrap().parse().unwrap();
    let event_type = match rc_type {
        RcType::InitialPurchase => EventType::SubscriptionStarted,
        RcType::Renewal => EventType::SubscriptionRenewed,
        RcType::Cancellation if theirs["cancel_reason"] == "CUSTOMER_SUPPORT" => EventType::SubscriptionRefundedRevoked,
        RcType::Cancellation => EventType::RenewalDisabled,
        RcType::Uncancellation => EventType::RenewalEnabled,
        RcType::NonRenewingPurchase => EventType::OneTimePurchased,
        RcType::SubscriptionPaused => EventType::SubscriptionWillPause,
        RcType::Expiration => EventType::SubscriptionTerminated,
        RcType::BillingIssue => EventType::EnteredBillingRetry,
        RcType::ProductChange => EventType::PlanChangeScheduled,
        RcType::Transfer => EventType::SubscriptionReceived,
        RcType::SubscriptionExtended => EventType::SubscriptionDeferred,
        RcType::TemporaryEntitlementGrant => EventType::TemporaryEntitlementGranted,
        RcType::RefundReversed => EventType::RefundReversed,
        RcType::PriceIncreaseConsentRequired => EventType::PriceIncreasePending,
        RcType::PriceIncreaseConsentApproved => EventType::PriceIncreaseAccepted,
        RcType::Test => EventType::Test,
    };
    let mut event = sample::event(event_type, store);
    event.detected_at = at(&theirs["event_timestamp_ms"]).unwrap_or(Timestamp::MAX);
    if let Some(environment) = theirs.get("environment").and_then(Value::as_str) {
        event.environment = environment.parse().unwrap();
    }
    if rc_type == RcType::Transfer {
        event.details.transferred_from = strings(&theirs["transferred_from"]);
        event.details.transferred_to = strings(&theirs["transferred_to"]);
    } else if rc_type == RcType::TemporaryEntitlementGrant {
        theirs["app_user_id"].as_str().unwrap().clone_into(&mut event.customer.app_user_id);
    } else {
        fill_customer(&mut event, theirs);
        fill_purchase(&mut event, theirs);
        fill_money(&mut event, theirs);
    }
    let told = messages(&event, &Options::webhook());
    let message = told.into_iter().find(|message| message.rc_type == rc_type);
    (event, message.unwrap_or_else(|| panic!("{name}: nothing told")))
}

fn fill_customer(event: &mut Event, theirs: &Map<String, Value>) {
    let customer = &mut event.customer;
    customer.app_user_id = string(&theirs["app_user_id"]).unwrap();
    customer.original_app_user_id = string(&theirs["original_app_user_id"]).unwrap();
    customer.aliases = strings(&theirs["aliases"]);
    let attributes = theirs["subscriber_attributes"].as_object().unwrap();
    customer.attributes = attributes
        .iter()
        .map(|(name, attribute)| {
            let value = string(&attribute["value"]).unwrap();
            (name.clone(), AttributeView { value, updated_at: at(&attribute["updated_at_ms"]).unwrap() })
        })
        .collect();
}

fn fill_purchase(event: &mut Event, theirs: &Map<String, Value>) {
    let purchase = &mut event.purchase;
    purchase.product_id = string(&theirs["product_id"]);
    purchase.entitlements = strings(&theirs["entitlement_ids"]);
    purchase.period = Some(Period {
        transaction_id: theirs.get("transaction_id").and_then(string),
        starts_at: at(&theirs["purchased_at_ms"]).unwrap(),
        ends_at: at(&theirs["expiration_at_ms"]),
    });
    purchase.extended_until = None;
    purchase.period_type = string(&theirs["period_type"]).map(|period| period.to_ascii_lowercase().parse().unwrap());
    purchase.original_transaction_id = string(&theirs["original_transaction_id"]);
    purchase.family_shared = theirs.get("is_family_share") == Some(&json!(true));
    purchase.country = theirs.get("country_code").and_then(string);
    purchase.renewal_number = theirs.get("renewal_number").and_then(Value::as_u64).map_or(1, |n| n.try_into().unwrap());
    purchase.offer = string(&theirs["offer_code"]).map(|code| Offer {
        offer_type: OfferType::PromoCode,
        id: None,
        code: Some(code),
    });
    let new_product = theirs.get("new_product_id").and_then(string);
    purchase.pending = new_product.map(|product_id| PendingProduct { product_id, effective_at: None });
    purchase.pause = theirs.get("auto_resume_at_ms").map(|resumes| Pause { starts_at: None, resumes_at: at(resumes) });
    let reason = theirs.get("cancel_reason").or(theirs.get("expiration_reason")).and_then(string);
    event.reason = reason.map(|reason| reason.parse().unwrap());
    event.details.previous_product_id = None;
    event.details.new_product_id = None;
    event.details.is_trial_conversion = theirs.get("is_trial_conversion").and_then(Value::as_bool);
}

fn fill_money(event: &mut Event, theirs: &Map<String, Value>) {
    let currency: Option<Currency> = string(&theirs["currency"]).map(|code| code.parse().unwrap());
    let local = theirs["price_in_purchased_currency"].as_f64();
    let money = currency.zip(local).map(|(currency, units)| {
        #[allow(clippy::cast_possible_truncation)] // prices of samples
        let thousandths = (units * 1000.0).round() as i64;
        Money::from_thousandths(thousandths, currency)
    });
    event.purchase.price = money;
    let transaction = event.transaction.as_mut().unwrap();
    transaction.id = theirs.get("transaction_id").and_then(string);
    transaction.money = money;
}

fn at(value: &Value) -> Option<Timestamp> {
    value.as_i64().map(|ms| Timestamp::from_millis(ms).unwrap())
}

fn string(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().filter_map(string).collect()
}

fn told(event: &Event, rc_type: RcType) -> Map<String, Value> {
    let told = messages(event, &Options { store_limits: false, ..Options::webhook() });
    let message = told.iter().find(|message| message.rc_type == rc_type).unwrap();
    body(event, message)["event"].as_object().unwrap().clone()
}

/// No published sample: RevenueCat's field table.
#[test]
fn a_grant_is_promotional_production_and_of_no_app() {
    for (lifetime, product) in [(false, "rc_promo_pro_custom"), (true, "rc_promo_pro_lifetime")] {
        let mut event = variant(EventType::PromoGranted, Store::Promotional, "trial_grant");
        event.environment = Environment::Sandbox;
        if lifetime {
            event.purchase.period.as_mut().unwrap().ends_at = None;
        }
        let fields = told(&event, RcType::NonRenewingPurchase);
        assert_eq!(fields["store"], "PROMOTIONAL");
        assert_eq!(fields["period_type"], "PROMOTIONAL");
        assert_eq!(fields["environment"], "PRODUCTION");
        assert_eq!(fields["product_id"], product);
        assert_eq!(fields["expiration_at_ms"].is_null(), lifetime);
        assert_eq!(fields["price"].as_f64(), Some(0.0));
        assert!(!fields.contains_key("app_id"));
    }
    let mut event = variant(EventType::PromoGranted, Store::Promotional, "");
    event.purchase.product_id = Some("rc_promo_gold_monthly".to_owned());
    assert_eq!(told(&event, RcType::NonRenewingPurchase)["product_id"], "rc_promo_gold_monthly");
}

#[test]
fn grace_is_told_on_billing_issues_and_inside_the_period_of_stripe() {
    for (store, told_apart) in [(Store::AppStore, true), (Store::PlayStore, true), (Store::Stripe, false)] {
        let event = variant(EventType::GracePeriodStarted, store, "");
        let grace = event.purchase.grace_ends_at.unwrap().as_millis();
        let end = event.purchase.period.clone().unwrap().ends_at.unwrap().as_millis();
        let fields = told(&event, RcType::BillingIssue);
        let expected = told_apart.then(|| json!(grace));
        assert_eq!(fields.get("grace_period_expiration_at_ms"), expected.as_ref(), "{store}");
        assert_eq!(fields["expiration_at_ms"], json!(if told_apart { end } else { grace }), "{store}");
        assert!(!told(&event, RcType::Cancellation).contains_key("grace_period_expiration_at_ms"), "{store}");
    }
}

#[test]
fn the_new_product_is_named_where_revenuecat_names_it() {
    for (event_type, store, named) in [
        (EventType::PlanChangeScheduled, Store::AppStore, true),
        (EventType::PlanChangeScheduled, Store::PlayStore, true),
        (EventType::PlanChangeScheduled, Store::Stripe, false),
        (EventType::SubscriptionUpgraded, Store::AppStore, true),
        (EventType::SubscriptionUpgraded, Store::PlayStore, false),
        (EventType::SubscriptionUpgraded, Store::Stripe, false),
    ] {
        let event = variant(event_type, store, "");
        let fields = told(&event, RcType::ProductChange);
        assert_eq!(fields.contains_key("new_product_id"), named, "{event_type} {store}");
        // What is shown is the old product with its own period.
        let old = event.previous.clone().unwrap();
        assert_eq!(fields["product_id"], json!(old.product_id), "{event_type} {store}");
        assert_eq!(fields["expiration_at_ms"], json!(old.period.unwrap().ends_at.unwrap().as_millis()));
    }
}

#[test]
fn a_price_is_told_in_dollars_only_when_it_was_paid_in_dollars() {
    for (money, price, local, currency) in [
        (Some((999, "USD")), json!(9.99), json!(9.99), json!("USD")),
        (Some((799, "EUR")), Value::Null, json!(7.99), json!("EUR")),
        (Some((230, "JPY")), Value::Null, json!(230.0), json!("JPY")),
        (Some((0, "EUR")), json!(0.0), json!(0.0), json!("EUR")),
        (None, Value::Null, Value::Null, Value::Null),
    ] {
        let mut event = variant(EventType::SubscriptionRenewed, Store::AppStore, "");
        let money =
            money.map(|(amount_minor, code): (i64, &str)| Money { amount_minor, currency: code.parse().unwrap() });
        event.purchase.price = money;
        event.transaction.as_mut().unwrap().money = money;
        let fields = told(&event, RcType::Renewal);
        assert_eq!(fields["price"], price, "{money:?}");
        assert_eq!(fields["price_in_purchased_currency"], local, "{money:?}");
        assert_eq!(fields["currency"], currency, "{money:?}");
    }
}

#[test]
fn a_refund_is_negative_however_the_store_wrote_it() {
    for amount_minor in [-999, 999] {
        let mut event = variant(EventType::SubscriptionRefundedRevoked, Store::AppStore, "");
        event.transaction.as_mut().unwrap().money = Some(Money { amount_minor, currency: Currency::USD });
        assert_eq!(told(&event, RcType::Cancellation)["price"], json!(-9.99));
        assert_eq!(told(&event, RcType::Expiration)["price"], json!(0.0));
    }
}

#[test]
fn what_is_not_known_is_null_or_left_out() {
    let mut event = variant(EventType::Test, Store::AppStore, "");
    event.purchase.product_id = None;
    event.purchase.entitlements.clear();
    event.purchase.country = None;
    event.purchase.period = None;
    event.purchase.first_purchased_at = None;
    event.purchase.original_transaction_id = None;
    event.customer.aliases.clear();
    let fields = told(&event, RcType::Test);
    assert_eq!(fields["product_id"], "test_product");
    assert_eq!(fields["entitlement_ids"], Value::Null);
    assert_eq!(fields["purchased_at_ms"], Value::Null);
    assert_eq!(fields["expiration_at_ms"], Value::Null);
    assert_eq!(fields["original_transaction_id"], json!(event.purchase.store_purchase_id));
    assert_eq!(fields["aliases"], json!([event.customer.app_user_id]));
    assert!(!fields.contains_key("country_code"));
    assert!(!fields.contains_key("cancel_reason"));
}

#[test]
fn stores_have_revenuecats_names() {
    for &store in Store::ALL {
        let expected = if store == Store::Discord { "EXTERNAL" } else { store.as_str() };
        assert_eq!(store_name(store), expected);
    }
}

#[test]
fn every_message_of_every_event_has_a_body() {
    for &event_type in EventType::ALL {
        for &store in Store::ALL {
            let event = sample::event(event_type, store);
            for message in messages(&event, &Options { store_limits: false, ..Options::webhook() }) {
                let body = body(&event, &message);
                assert_eq!(body["event"]["type"], message.rc_type.as_str());
                assert_eq!(body["event"]["id"], json!(message.id));
                let is_cancellation = message.rc_type == RcType::Cancellation;
                assert_eq!(body["event"].get("cancel_reason").is_some(), is_cancellation, "{event_type} {store}");
                let is_expiration = message.rc_type == RcType::Expiration;
                assert_eq!(body["event"].get("expiration_reason").is_some(), is_expiration, "{event_type} {store}");
            }
        }
    }
}
