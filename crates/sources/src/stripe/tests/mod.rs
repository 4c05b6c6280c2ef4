//! Samples with what is read of them, signatures, and the vendor's own samples where they are on this machine.

mod reference;
mod signatures;

use super::DEFINITION;
use crate::{Keys, Lookup, Notification, RawRequest, Rejection, Source, Verification, golden, looked_up_id};
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::observation::{Hint, Standing};
use paidup_lifecycle::time::Timestamp;
use ring::hmac;
use serde_json::{Value, json, value::to_raw_value};

const SECRET: &str = "whsec_test";

fn open(more: Value) -> Box<dyn Source> {
    let mut settings = json!({"signing_secret": SECRET});
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    (DEFINITION.open)(SourceId([7; 16]), &to_raw_value(&settings).unwrap(), &golden::upstreams()).unwrap()
}

fn sign(secret: &str, seconds: i64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hex::encode(hmac::sign(&key, &[format!("{seconds}.").as_bytes(), body].concat()))
}

fn verify_with(source: &dyn Source, header: &str, body: &[u8], now: i64) -> Result<Notification, Rejection> {
    let mut headers = http::HeaderMap::new();
    headers.insert("stripe-signature", header.parse().unwrap());
    let raw = RawRequest { headers, body: body.to_vec().into() };
    let now = Timestamp::from_millis(now * 1000).unwrap();
    match source.verify(&raw, &Keys::default(), now)? {
        Verification::Verified(mut verified) => Ok(verified.notifications.remove(0)),
        Verification::KeyNeeded(_) => panic!("Stripe needs no keys from elsewhere"),
    }
}

/// Signed when it was created.
fn verify(source: &dyn Source, body: &[u8]) -> Result<Notification, Rejection> {
    let event: Value = serde_json::from_slice(body).unwrap();
    let now = event["created"].as_i64().unwrap_or(1_767_225_600);
    verify_with(source, &format!("t={now},v1={}", sign(SECRET, now, body)), body, now)
}

#[test]
fn samples_are_read_as_expected() {
    let source = open(json!({}));
    let mut wrong = Vec::new();
    for (name, path) in golden::samples("stripe/samples") {
        let body = std::fs::read(&path).unwrap();
        let notification = verify(source.as_ref(), &body).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let kept = source.read_kept(&notification.external_id, &notification.body).unwrap();
        assert_eq!(kept, notification.reading, "{name}: read again from what was kept");
        let policy = source.policy().unwrap();
        let under = source.read_kept_under(&policy, &notification.external_id, &notification.body).unwrap();
        assert_eq!(under, notification.reading, "{name}: read again under the settings of that time");
        let mut shown = golden::shown(std::slice::from_ref(&notification));
        shown[0]["lookups"] = notification.reading.lookups.iter().map(|it| json!([it.name, it.context])).collect();
        shown[0]["clues"] = notification.reading.clues.iter().map(|it| json!([it.name, it.answer])).collect();
        shown[0]["links"] =
            notification.reading.links.iter().map(|it| json!([it.customer, it.store_customer])).collect();
        wrong.extend(golden::compare(&path, &shown));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn settings_that_do_not_fit_say_where() {
    for (settings, pointer) in [
        (json!({}), ""),
        (json!({"signing_secret": ""}), "/signing_secret"),
        (json!({"signing_secret": []}), "/signing_secret"),
        (json!({"signing_secret": ["a", "b c"]}), "/signing_secret"),
        (json!({"signing_secret": "a", "api_key": "line\nbreak"}), "/api_key"),
        (json!({"signing_secret": "a", "metadata_key": ""}), "/metadata_key"),
        (json!({"signing_secret": "a", "past_due_days": 0}), "/past_due_days"),
        (json!({"signing_secret": "a", "past_due_access": "sometimes"}), "/past_due_access"),
        (json!({"signing_secret": "a", "sining_secret": "a"}), "/sining_secret"),
    ] {
        let opened = (DEFINITION.open)(SourceId([7; 16]), &to_raw_value(&settings).unwrap(), &golden::upstreams());
        assert_eq!(opened.err().map(|error| error.pointer).as_deref(), Some(pointer), "{settings}");
    }
}

#[test]
fn a_key_makes_pinned_requests_and_stands_nowhere_else() {
    let source = open(json!({"api_key": "rk_live_secret"}));
    let lookup =
        |name: &str| Lookup { name: name.to_owned(), context: String::new(), why: "a test", unless_known: None };
    let at = Timestamp::from_millis(1_770_000_000_000).unwrap();
    let request = source.look_up(&lookup("paid_by/pi_1"), at).unwrap();
    assert_eq!(
        request.uri().to_string(),
        "https://api.stripe.test/v1/invoice_payments?payment%5Btype%5D=payment_intent&payment%5Bpayment_intent%5D=pi_1&limit=10"
    );
    assert_eq!(request.headers()["authorization"], "Bearer rk_live_secret");
    assert_eq!(request.headers()["stripe-version"], "2025-03-31.basil");
    assert!(!format!("{request:?}").contains("rk_live_secret"), "what is printed of it hides the key");
    assert!(!source.policy().unwrap().contains("rk_live"));
    for name in ["invoice/in_1/../../secrets", "invoice/in 1", "invoice/", "planet/x", "invoice"] {
        assert!(source.look_up(&lookup(name), at).is_none(), "{name}");
    }
    assert!(open(json!({})).look_up(&lookup("invoice/in_1"), at).is_none(), "without a key nothing is asked");
}

/// What came of a policy is read under it, whatever the settings are today.
#[test]
fn reading_again_uses_the_settings_of_that_time() {
    let (keeps, drops) = (open(json!({})), open(json!({"past_due_access": "drop"})));
    let body =
        std::fs::read(golden::samples("stripe/samples").iter().find(|(name, _)| name == "past_due").unwrap().1.clone());
    let body = body.unwrap();
    let standing = |reading: crate::Reading| reading.observations[0].facets.standing.as_ref().unwrap().value;
    assert_eq!(standing(drops.read_kept("evt", &body).unwrap()), Standing::BillingRetry);
    let as_it_was = drops.read_kept_under(&keeps.policy().unwrap(), "evt", &body).unwrap();
    assert_eq!(standing(as_it_was), Standing::Grace);
}

/// The notification of the failed attempt may be lost: what is asked says when Stripe tries again.
#[test]
fn an_answer_says_until_when_access_is_kept() {
    let next = 1_767_312_000;
    let answer = |invoice: Value| {
        json!({
            "id": "sub_1", "object": "subscription", "livemode": true, "status": "past_due", "created": 1_767_000_000,
            "customer": "cus_1", "latest_invoice": invoice, "items": {"data": [{"id": "si_1",
                "price": {"id": "price_1"}, "current_period_start": 1_767_225_600, "current_period_end": 1_769_904_000}]},
        })
    };
    let invoice = |status: &str, next: Option<i64>| {
        json!({
            "id": "in_1", "object": "invoice", "status": status, "billing_reason": "subscription_cycle",
            "amount_due": 999, "amount_paid": 0, "currency": "usd", "subscription": "sub_1",
            "next_payment_attempt": next, "lines": {"data": []},
        })
    };
    let asked_at = "2026-01-01T00:00:10Z".parse().unwrap();
    let id = looked_up_id(asked_at, "subscription/sub_1", "");
    let told = |settings: Value, invoice: Value| {
        let reading = open(settings).read_kept(&id, answer(invoice).to_string().as_bytes()).unwrap();
        let said = reading.observations.into_iter().filter_map(|one| one.facets.grace_ends_at);
        said.map(|facet| facet.value.map(|at| at.as_seconds())).collect::<Vec<_>>()
    };
    assert_eq!(told(json!({}), invoice("open", Some(next))), [Some(next)]);
    assert_eq!(told(json!({}), invoice("paid", Some(next))), [], "it is paid");
    assert_eq!(told(json!({}), invoice("open", None)), [], "nothing is tried again");
    let ends = Some(1_767_225_600 + 3 * 86_400);
    assert_eq!(told(json!({"past_due_days": 3}), invoice("open", Some(next))), [ends], "the operator's length counts");
    assert_eq!(told(json!({"past_due_access": "drop"}), invoice("open", Some(next))), [None], "nothing is kept");
}

#[test]
fn a_refund_is_followed_to_its_subscription() {
    let source = open(json!({"api_key": "rk_test"}));
    let refund = json!({
        "id": "evt_1", "object": "event", "created": 1_767_225_600, "livemode": true, "type": "refund.created",
        "data": {"object": {"id": "re_1", "object": "refund", "status": "succeeded", "amount": 999, "currency": "usd",
            "charge": "ch_1", "payment_intent": "pi_1"}}
    });
    let read = verify(source.as_ref(), refund.to_string().as_bytes()).unwrap().reading;
    let [first] = read.lookups.as_slice() else { panic!("{read:?}") };
    assert_eq!(first.name, "paid_by/pi_1");
    let answer = |lookup: &Lookup, answer: Value| {
        let asked_at = "2026-01-01T00:00:10Z".parse().unwrap();
        let id = looked_up_id(asked_at, &lookup.name, &lookup.context);
        source.read_kept(&id, answer.to_string().as_bytes())
    };
    let payments = json!({"object": "list", "data": [{"id": "inpay_1", "invoice": "in_1"}]});
    let second = answer(first, payments).unwrap().lookups.remove(0);
    assert_eq!(second.name, "invoice/in_1");
    let invoice = json!({
        "id": "in_1", "object": "invoice", "status": "paid", "livemode": true, "billing_reason": "subscription_cycle",
        "amount_paid": 999, "currency": "usd", "subscription": "sub_1", "period_end": 1_767_225_600,
        "lines": {"data": [{"type": "subscription", "period": {"start": 1_767_225_600, "end": 1_769_904_000}, "price": "price_a"}]}
    });
    let found = answer(&second, invoice).unwrap();
    let [observation] = found.observations.as_slice() else { panic!("{found:?}") };
    assert_eq!((observation.key.store_purchase_id.as_str(), observation.hint), ("sub_1", Hint::Refunded));
    let transaction = &observation.facets.transactions["@2026-01-01T00:00:00Z"];
    assert_eq!(transaction.store_id.as_ref().unwrap().value, "in_1");
    assert_eq!(transaction.refunds["re_1"].value.amount.unwrap().amount_minor, 999);
    assert_eq!(transaction.price.as_ref().unwrap().value.unwrap().amount_minor, 999);
    // Without an invoice it may be a one-time purchase.
    let none = json!({"object": "list", "data": []});
    assert_eq!(answer(first, none).unwrap().lookups[0].name, "session_of/pi_1");
    for (name, odd) in [("an error", json!({"error": {"type": "x"}})), ("a page", json!("<html>"))] {
        assert!(answer(first, odd.clone()).is_err(), "{name}");
        assert!(answer(&second, odd).is_err(), "{name}");
    }
}

/// Facts that cannot be are left out; the others are read.
#[test]
fn what_cannot_be_is_left_out() {
    let source = open(json!({}));
    let subscription = |more: Value| {
        let mut object = json!({"id": "sub_1", "object": "subscription", "status": "active", "customer": "cus_1"});
        object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let event = json!({"id": "evt_1", "object": "event", "created": 1_767_225_600, "livemode": true,
            "type": "customer.subscription.updated", "data": {"object": object}});
        verify(source.as_ref(), event.to_string().as_bytes()).unwrap().reading.observations.remove(0).facets
    };
    let backwards = subscription(json!({"current_period_start": 20, "current_period_end": 10}));
    assert!(backwards.period.is_none() && backwards.standing.is_some());
    let odd = subscription(json!({"status": "resting", "items": "none", "cancel_at": [], "metadata": 7}));
    assert!(odd.standing.is_none() && odd.product.is_none());
    let far = subscription(json!({"current_period_start": 1, "current_period_end": i64::MAX}));
    assert!(far.period.is_none());
}
