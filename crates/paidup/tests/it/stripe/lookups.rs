//! What has to be asked: the way from a refund to its subscription, unknown subscriptions, period ends; an API that is
//! down; forged signatures; and that the order of arrival does not matter.

use super::{FEB, JAN, MAR, NOTHING, UPDATED, canceled};
use crate::support::stripe::{Api, SECRET, Shape, Shop, signature, unix, v1};
use crate::support::{TestHub, at, reference};
use paidup_hub::clock::Clock;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

fn refund() -> Value {
    json!({"id": "re_1", "object": "refund", "amount": 999, "currency": "usd", "status": "succeeded", "livemode": true,
        "charge": "ch_1", "payment_intent": "pi_1"})
}

const PAID_BY: &str = "/v1/invoice_payments?payment[type]=payment_intent&payment[payment_intent]=pi_1&limit=10";

fn know_payment(api: &Api, shop: &Shop) {
    api.put_list(PAID_BY, &[json!({"id": "inpay_1", "object": "invoice_payment", "invoice": "in_1"})]);
    api.put("/v1/invoices/in_1", shop.invoice("in_1", "subscription_create", 999, "price_a", JAN, FEB));
}

/// Folds the journal into an empty database: the same bytes, and nobody is asked.
pub(super) async fn rebuilds(shop: &Shop) {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("again.db").display());
    let into: Arc<dyn paidup_store::Store> =
        paidup_store::open(&url, paidup_store::OpenOptions::default()).await.expect("a database");
    let report = paidup_hub::rebuild::verify(&shop.hub.hub, &into, &|_, _| {}).await.expect("a report");
    assert!(report.is_equal(), "{:#?}", report.mismatches);
}

#[tokio::test]
async fn a_refund_is_followed_through_the_api_to_its_subscription() {
    let api = Api::start().await;
    let shop = Shop::open_asking(JAN, &api).await;
    know_payment(&api, &shop);
    shop.bought().await;
    let before = shop.hub.types().await.len();
    shop.tell("2026-01-10T00:00:00Z", "refund.created", &refund(), Value::Null).await;
    let told = shop.told_since(before, "the refund").await;
    assert_eq!(told, ["DEACTIVATE", "SUBSCRIPTION_REFUNDED_REVOKED", "TRANSACTION_PROCESSED"]);
    assert_eq!(api.called(), [PAID_BY, "/v1/invoices/in_1"]);
    assert!(shop.hub.get("/v1/lookups").await["data"].as_array().is_some_and(Vec::is_empty));
    rebuilds(&shop).await;
    assert_eq!(api.called().len(), 2, "a rebuild asks nobody");
    shop.stop().await;
}

#[tokio::test]
async fn an_api_that_is_down_is_asked_again() {
    let api = Api::start().await;
    let shop = Shop::open_asking(JAN, &api).await;
    know_payment(&api, &shop);
    shop.bought().await;
    api.always(Some(503));
    let before = shop.hub.types().await.len();
    shop.tell("2026-01-10T00:00:00Z", "refund.created", &refund(), Value::Null).await;
    let tried = async |hub: &TestHub| {
        let row = hub.get("/v1/lookups").await["data"][0].clone();
        (row["attempts"] == 1).then_some(row)
    };
    let row = shop.hub.until("the first try", tried).await;
    assert_eq!((&row["state"], &row["last_error"]), (&json!("waiting"), &json!("the store answered 503")));
    api.always(None);
    shop.hub.clock.advance(Duration::from_secs(10));
    assert_eq!(shop.told_since(before, "the refund").await[1], "SUBSCRIPTION_REFUNDED_REVOKED");
    shop.stop().await;
}

#[tokio::test]
async fn what_stripe_does_not_know_is_given_up_and_shown() {
    let api = Api::start().await;
    let shop = Shop::open_asking(JAN, &api).await;
    shop.bought().await;
    assert_eq!(shop.tell("2026-01-10T00:00:00Z", "refund.created", &refund(), Value::Null).await, NOTHING);
    let given_up = async |hub: &TestHub| {
        let row = hub.get("/v1/lookups").await["data"][0].clone();
        (row["state"] == "given_up").then_some(row)
    };
    let row = shop.hub.until("giving up", given_up).await;
    assert_eq!((&row["name"], &row["last_error"]), (&json!("paid_by/pi_1"), &json!("the store answered 404")));
    shop.stop().await;
}

#[tokio::test]
async fn a_subscription_that_nobody_told_of_is_asked_for_after_a_minute() {
    let api = Api::start().await;
    let shop = Shop::open_asking(JAN, &api).await;
    let mut subscription = shop.subscription("active", "price_a", JAN, FEB);
    let invoice = shop.invoice("in_1", "subscription_cycle", 999, "price_a", JAN, FEB);
    subscription["latest_invoice"] = invoice.clone();
    api.put("/v1/subscriptions/sub_1?expand[]=latest_invoice", subscription);
    let told = shop.tell("2026-01-01T01:00:00Z", "invoice.paid", &invoice, Value::Null).await;
    assert_eq!(told, ["TRANSACTION_PROCESSED"]);
    shop.hub.clock.advance(Duration::from_secs(61));
    assert!(shop.told_since(1, "the subscription").await.contains(&"ACTIVATE".to_owned()));
    assert_eq!(api.called().len(), 1);
    rebuilds(&shop).await;
    shop.stop().await;
}

#[tokio::test]
async fn a_known_subscription_is_not_asked_for() {
    let api = Api::start().await;
    let shop = Shop::open_asking(JAN, &api).await;
    let invoice = shop.invoice("in_1", "subscription_create", 999, "price_a", JAN, FEB);
    shop.tell(JAN, "invoice.paid", &invoice, Value::Null).await;
    let subscription = shop.subscription("active", "price_a", JAN, FEB);
    shop.tell("2026-01-01T00:00:01Z", "customer.subscription.created", &subscription, Value::Null).await;
    shop.hub.clock.advance(Duration::from_secs(61));
    let forgotten =
        async |hub: &TestHub| hub.get("/v1/lookups").await["data"].as_array().is_some_and(Vec::is_empty).then_some(());
    shop.in_time("the lookup's end", forgotten).await;
    assert!(api.called().is_empty(), "{:?}", api.called());
    shop.stop().await;
}

#[tokio::test]
async fn stripe_is_asked_at_the_periods_end() {
    let api = Api::start().await;
    let shop = Shop::open_asking(JAN, &api).await;
    let subscription = shop.bought().await;
    api.put(
        "/v1/subscriptions/sub_1?expand[]=latest_invoice",
        canceled(subscription, Some("cancellation_requested"), FEB),
    );
    let before = shop.hub.types().await.len();
    shop.to("2026-02-01T00:05:00Z").await;
    let told = shop.told_since(before, "the end").await;
    assert_eq!(told.last().map(String::as_str), Some("SUBSCRIPTION_TERMINATED"), "{told:?}");
    assert!(told.contains(&"DEACTIVATE".to_owned()));
    shop.stop().await;
}

#[tokio::test]
async fn without_a_key_a_silent_stripe_gets_a_day() {
    let shop = Shop::open(JAN, Shape::New).await;
    shop.bought().await;
    let before = shop.hub.types().await.len();
    for hours in [1, 12, 23] {
        shop.to("2026-02-01T00:05:00Z").await;
        shop.hub.clock.advance(Duration::from_secs(60));
        assert_eq!(shop.hub.types().await.len(), before, "{hours}");
    }
    // A renewal that comes seconds late is a renewal.
    let renewed = shop.subscription("active", "price_a", FEB, MAR);
    assert_eq!(shop.tell("2026-02-01T00:10:00Z", UPDATED, &renewed, shop.moved(JAN, FEB)).await, NOTHING);
    shop.stop().await;
}

#[tokio::test]
async fn what_nobody_can_answer_is_given_up_after_three_days() {
    let shop = Shop::open(JAN, Shape::New).await;
    shop.bought().await;
    shop.tell("2026-01-10T00:00:00Z", "refund.created", &refund(), Value::Null).await;
    let attempts = async |hub: &TestHub, wanted: u64| {
        let row = hub.get("/v1/lookups").await["data"][0].clone();
        (row["attempts"].as_u64() >= Some(wanted)).then_some(row)
    };
    shop.hub.until("the first try", async |hub: &TestHub| attempts(hub, 1).await).await;
    shop.hub.clock.advance(Duration::from_secs(3 * 86_400));
    let row = shop.in_time("giving up", async |hub: &TestHub| attempts(hub, 2).await).await;
    assert_eq!((&row["state"], &row["next_try_at"]), (&json!("given_up"), &Value::Null));
    shop.stop().await;
}

#[tokio::test]
async fn forged_and_malformed_signatures_are_refused_over_http() {
    let shop = Shop::open(JAN, Shape::New).await;
    let subscription = shop.subscription("active", "price_a", JAN, FEB);
    let event = shop.event("evt_1", JAN, "customer.subscription.created", &subscription, &Value::Null).to_string();
    let (body, now) = (event.as_bytes(), unix(JAN));
    let right = v1(SECRET, now, body);
    let other = v1("whsec_other", now, body);
    let tampered = event.replace("price_a", "price_z");
    let table: Vec<(&str, &[u8], Option<String>, u16)> = vec![
        ("no header", body, None, 401),
        ("another secret", body, Some(format!("t={now},v1={other}")), 401),
        ("another body", tampered.as_bytes(), Some(format!("t={now},v1={right}")), 401),
        ("a byte more", b"{}", Some(format!("t={now},v1={right}")), 401),
        ("stale", body, Some(signature(SECRET, now - 301, body)), 401),
        ("of the future", body, Some(signature(SECRET, now + 301, body)), 401),
        ("v0 only", body, Some(format!("t={now},v0={right}")), 401),
        ("no time", body, Some(format!("v1={right}")), 400),
        ("time is text", body, Some(format!("t=soon,v1={right}")), 400),
        ("empty v1", body, Some(format!("t={now},v1=")), 400),
        ("nothing", body, Some(",,".to_owned()), 400),
        ("signed, but no JSON", b"{", Some(signature(SECRET, now, b"{")), 400),
        ("signed, but no event", b"{}", Some(signature(SECRET, now, b"{}")), 400),
    ];
    for (name, body, header, status) in table {
        let headers: Vec<(&str, &str)> = header.iter().map(|header| ("stripe-signature", header.as_str())).collect();
        let answer = shop.post_with(body, &headers).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.body);
        assert!(!answer.body["detail"].as_str().unwrap_or_default().is_empty(), "{name}");
    }
    let huge = vec![b' '; 2 << 20];
    assert_eq!(shop.post(&huge).await.status, 413);
    assert!(shop.hub.types().await.is_empty());
    assert!(shop.hub.get("/v1/notifications").await["data"].as_array().is_some_and(Vec::is_empty));
    let two = format!("t={now},v1={other},v1={right}");
    shop.post_with(body, &[("stripe-signature", &two)]).await.expect(200);
    let again = shop.post(body).await;
    assert_eq!(again.status, 200, "a repeat is a success");
    assert_eq!(shop.hub.types().await, ["ACTIVATE"]);
    shop.stop().await;
}

#[tokio::test]
async fn stripes_own_vector_is_taken_over_http() {
    let Some(folder) = reference() else { return };
    let folder = folder.join("samples/stripe");
    let vector: Value =
        serde_json::from_slice(&std::fs::read(folder.join("signature-vector.json")).expect("a vector")).expect("JSON");
    let body = std::fs::read(folder.join(vector["body_file"].as_str().expect("a name"))).expect("a body");
    let now = paidup_lifecycle::time::Timestamp::from_millis(vector["timestamp"].as_i64().expect("a time") * 1000);
    let hub = TestHub::start(&now.expect("a time").to_string()).await;
    let source = hub.source("stripe", json!({"signing_secret": [SECRET, vector["secret"]]})).await;
    let header = vector["header"].as_str().expect("a header");
    let path = format!("/ingest/{source}");
    hub.call("POST", &path, None, body, &[("stripe-signature", header)]).await.expect(200);
    hub.stop().await;
}

/// One life, from the trial to a lost dispute, as (created, type, object, previous).
fn life(shop: &Shop) -> Vec<(&'static str, &'static str, Value, Value)> {
    let trial_end = "2026-01-15T00:00:00Z";
    let (feb, mar) = ("2026-02-15T00:00:00Z", "2026-03-15T00:00:00Z");
    let mut trial = shop.subscription("trialing", "price_a", JAN, trial_end);
    trial["trial_end"] = json!(unix(trial_end));
    let period = |status: &str, starts: &str, ends: &str| {
        let mut subscription = shop.subscription(status, "price_a", starts, ends);
        subscription["trial_end"] = json!(unix(trial_end));
        subscription
    };
    let mut converted = shop.moved(JAN, trial_end);
    converted["status"] = json!("trialing");
    let mut failed = shop.invoice("in_3", "subscription_cycle", 999, "price_a", feb, mar);
    failed["status"] = json!("open");
    failed["paid"] = json!(false);
    failed["amount_paid"] = json!(0);
    failed["next_payment_attempt"] = json!(unix("2026-02-18T01:00:00Z"));
    let payment = json!({"id": "inpay_3", "object": "invoice_payment", "invoice": "in_3", "livemode": true,
        "payment": {"type": "payment_intent", "payment_intent": "pi_in_3"}});
    let refund = json!({"id": "re_1", "object": "refund", "amount": 400, "currency": "usd", "status": "succeeded",
        "livemode": true, "charge": "ch_in_3", "payment_intent": "pi_in_3"});
    let mut off = period("active", feb, mar);
    off["cancel_at_period_end"] = json!(true);
    vec![
        (JAN, "customer.subscription.created", trial, Value::Null),
        (trial_end, UPDATED, period("active", trial_end, feb), converted),
        (
            "2026-01-15T01:00:00Z",
            "invoice.paid",
            shop.invoice("in_2", "subscription_cycle", 999, "price_a", trial_end, feb),
            Value::Null,
        ),
        (feb, UPDATED, period("active", feb, mar), shop.moved(trial_end, feb)),
        ("2026-02-15T01:00:00Z", "invoice.payment_failed", failed, Value::Null),
        ("2026-02-15T01:00:00Z", UPDATED, period("past_due", feb, mar), json!({"status": "active"})),
        ("2026-02-18T01:00:00Z", UPDATED, period("active", feb, mar), json!({"status": "past_due"})),
        (
            "2026-02-18T01:00:01Z",
            "invoice.paid",
            shop.invoice("in_3", "subscription_cycle", 999, "price_a", feb, mar),
            Value::Null,
        ),
        ("2026-02-18T01:00:01Z", "invoice_payment.paid", payment, Value::Null),
        ("2026-02-20T00:00:00Z", "refund.created", refund, Value::Null),
        ("2026-02-21T00:00:00Z", UPDATED, off, json!({"cancel_at_period_end": false})),
    ]
}

async fn told_in(order: &[usize], shape: Shape) -> Value {
    let shop = Shop::open("2026-02-22T00:00:00Z", shape).await;
    let events = life(&shop);
    for index in order {
        let (created, kind, object, previous) = &events[*index];
        let event = shop.event(&format!("evt_{index:02}"), created, kind, object, previous);
        shop.post(event.to_string().as_bytes()).await.expect(200);
    }
    let settled =
        async |hub: &TestHub| hub.get("/v1/lookups").await["data"].as_array().is_some_and(Vec::is_empty).then_some(());
    shop.hub.until("the refund's invoice", settled).await;
    let state = shop.state().await;
    assert_eq!(shop.hub.clock.now(), at("2026-02-22T00:00:00Z"));
    rebuilds(&shop).await;
    shop.stop().await;
    state
}

#[tokio::test]
async fn any_order_of_one_life_ends_in_the_same_state() {
    for shape in [Shape::Old, Shape::New] {
        let count = 11;
        let expected = told_in(&(0..count).collect::<Vec<_>>(), shape).await;
        assert_eq!(expected["purchases"][0]["state"], "active");
        assert!(expected["totals"].to_string().contains("1598"), "{expected:#}");
        let mut orders: Vec<Vec<usize>> = [3, 6, 9].map(|by| (0..count).map(|i| (i + by) % count).collect()).to_vec();
        orders.push((0..count).rev().collect());
        orders.push(vec![9, 5, 4, 8, 6, 10, 2, 7, 0, 3, 1, 5, 9, 0, 10, 6]);
        for order in orders {
            assert_eq!(told_in(&order, shape).await, expected, "{shape:?} {order:?}");
        }
    }
}
