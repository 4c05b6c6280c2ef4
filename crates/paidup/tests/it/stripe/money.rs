//! Refunds, disputes, one-time purchases and whose they are. Without a key: what events say of payments and invoices
//! answers what has to be looked up.

use super::{BOTH, FEB, JAN, MAR, NOTHING, UPDATED, canceled};
use crate::support::stripe::{Shape, Shop, unix};
use serde_json::{Value, json};

fn refund(id: &str, invoice: &str, cents: i64, status: &str) -> Value {
    json!({"id": id, "object": "refund", "amount": cents, "currency": "usd", "status": status, "livemode": true,
        "charge": format!("ch_{invoice}"), "payment_intent": format!("pi_{invoice}")})
}

/// Sends something about money that went back, and waits for what is told once its purchase was found.
async fn goes_back(shop: &Shop, created: &str, kind: &str, object: &Value) -> Vec<String> {
    let before = shop.hub.types().await.len();
    shop.tell(created, kind, object, Value::Null).await;
    shop.told_since(before, kind).await
}

const REVOKED: [&str; 3] = ["DEACTIVATE", "SUBSCRIPTION_REFUNDED_REVOKED", "TRANSACTION_PROCESSED"];

#[tokio::test]
async fn a_full_refund_of_the_running_period_ends_access() {
    for shape in BOTH {
        let shop = Shop::open(JAN, shape).await;
        shop.bought().await;
        let back = refund("re_1", "in_1", 999, "succeeded");
        let told = goes_back(&shop, "2026-01-10T00:00:00Z", "refund.created", &back);
        assert_eq!(told.await, REVOKED, "{shape:?}");
        let events = shop.hub.events().await;
        assert_eq!(
            (&events[0]["transaction"]["amount_minor"], &events[0]["transaction"]["id"]),
            (&json!(-999), &json!("in_1"))
        );
        assert_eq!(
            (&events[1]["reason"], &events[1]["occurred_at"]),
            (&json!("CUSTOMER_SUPPORT"), &json!("2026-01-10T00:00:00Z"))
        );
        // The same refund again, in another event: told once.
        let again = shop.tell("2026-01-10T00:00:01Z", "refund.updated", &back, Value::Null);
        assert_eq!(again.await, NOTHING);
        let settled = async |hub: &crate::support::TestHub| {
            hub.get("/v1/lookups").await["data"].as_array().is_some_and(Vec::is_empty).then_some(())
        };
        shop.hub.until("the lookups' end", settled).await;
        assert_eq!(shop.hub.types().await.len(), events.len());
        shop.stop().await;
    }
}

#[tokio::test]
async fn charge_refunded_of_an_old_endpoint_names_its_refunds() {
    let shop = Shop::open(JAN, Shape::Old).await;
    shop.bought().await;
    let charge = json!({"id": "ch_in_1", "object": "charge", "amount": 999, "amount_refunded": 999, "refunded": true, "livemode": true,
        "currency": "usd", "invoice": "in_1", "payment_intent": "pi_in_1",
        "refunds": {"object": "list", "data": [refund("re_1", "in_1", 999, "succeeded")]}});
    assert_eq!(goes_back(&shop, "2026-01-10T00:00:00Z", "charge.refunded", &charge).await, REVOKED);
    shop.stop().await;
}

#[tokio::test]
async fn partial_refunds_keep_access_until_they_come_to_the_whole() {
    let shop = Shop::open(JAN, Shape::New).await;
    shop.bought().await;
    let part =
        goes_back(&shop, "2026-01-10T00:00:00Z", "refund.created", &refund("re_1", "in_1", 400, "succeeded")).await;
    assert_eq!(part, ["REFUND_RECORDED", "TRANSACTION_PROCESSED"]);
    assert_eq!(shop.hub.events().await[0]["transaction"]["amount_minor"], -400);
    let rest =
        goes_back(&shop, "2026-01-11T00:00:00Z", "refund.created", &refund("re_2", "in_1", 599, "succeeded")).await;
    assert_eq!(rest, REVOKED);
    let total = &shop.hub.get("/v1/customers/user-1").await["totals"];
    assert!(total.to_string().contains('0'), "{total}");
    shop.stop().await;
}

#[tokio::test]
async fn a_refund_that_must_not_revoke_keeps_access() {
    let shop = Shop::open_with(JAN, Shape::New, json!({"refund_revokes": false}), &[]).await;
    shop.bought().await;
    let told =
        goes_back(&shop, "2026-01-10T00:00:00Z", "refund.created", &refund("re_1", "in_1", 999, "succeeded")).await;
    assert_eq!(told, ["REFUND_RECORDED", "TRANSACTION_PROCESSED"]);
    shop.stop().await;
}

#[tokio::test]
async fn a_refund_of_an_earlier_invoice_keeps_access() {
    let shop = Shop::open(JAN, Shape::New).await;
    shop.bought().await;
    let renewed = shop.subscription("active", "price_a", FEB, MAR);
    shop.tell(FEB, UPDATED, &renewed, shop.moved(JAN, FEB)).await;
    let invoice = shop.invoice("in_2", "subscription_cycle", 999, "price_a", FEB, MAR);
    shop.tell(FEB, "invoice.paid", &invoice, Value::Null).await;
    let told =
        goes_back(&shop, "2026-02-10T00:00:00Z", "refund.created", &refund("re_1", "in_1", 999, "succeeded")).await;
    assert_eq!(told, ["REFUND_RECORDED", "TRANSACTION_PROCESSED"]);
    shop.stop().await;
}

#[tokio::test]
async fn a_refund_that_failed_is_undone() {
    let shop = Shop::open(JAN, Shape::New).await;
    shop.bought().await;
    goes_back(&shop, "2026-01-10T00:00:00Z", "refund.created", &refund("re_1", "in_1", 999, "succeeded")).await;
    let told = goes_back(&shop, "2026-01-12T00:00:00Z", "refund.failed", &refund("re_1", "in_1", 999, "failed")).await;
    assert_eq!(told, ["ACTIVATE", "REFUND_REVERSED", "TRANSACTION_PROCESSED"]);
    assert_eq!(shop.hub.events().await[0]["transaction"]["amount_minor"], 999);
    shop.stop().await;
}

#[tokio::test]
async fn a_dispute_is_a_request_until_it_is_decided() {
    for (end, expected) in [("won", vec!["ACTIVATE", "REFUND_DECLINED"]), ("lost", REVOKED.to_vec())] {
        let shop = Shop::open(JAN, Shape::New).await;
        shop.bought().await;
        let dispute = |status: &str| {
            json!({"id": "dp_1", "object": "dispute", "amount": 999, "currency": "usd", "status": status, "livemode": true,
                "reason": "fraudulent", "charge": "ch_in_1", "payment_intent": "pi_in_1"})
        };
        let told = goes_back(&shop, "2026-01-10T00:00:00Z", "charge.dispute.created", &dispute("needs_response")).await;
        assert_eq!(told, ["REFUND_REQUESTED"]);
        let told = goes_back(&shop, "2026-01-20T00:00:00Z", "charge.dispute.closed", &dispute(end)).await;
        assert_eq!(told, expected, "{end}");
        shop.stop().await;
    }
}

#[tokio::test]
async fn a_refund_that_comes_before_its_invoice_waits_for_it() {
    let shop = Shop::open(JAN, Shape::New).await;
    let subscription = shop.subscription("active", "price_a", JAN, FEB);
    shop.tell(JAN, "customer.subscription.created", &subscription, Value::Null).await;
    let early = refund("re_1", "in_1", 999, "succeeded");
    assert_eq!(shop.tell("2026-01-01T00:00:05Z", "refund.created", &early, Value::Null).await, NOTHING);
    let waiting = shop.hub.get("/v1/lookups").await;
    assert_eq!(
        (&waiting["data"][0]["name"], &waiting["data"][0]["state"]),
        (&json!("paid_by/pi_in_1"), &json!("waiting"))
    );
    let before = shop.hub.types().await.len();
    let invoice = shop.invoice("in_1", "subscription_create", 999, "price_a", JAN, FEB);
    shop.tell("2026-01-01T00:00:02Z", "invoice.paid", &invoice, Value::Null).await;
    shop.tell_payment("2026-01-01T00:00:02Z", "in_1").await;
    let all = async |hub: &crate::support::TestHub| {
        let types = hub.types().await.split_off(before);
        types.contains(&"SUBSCRIPTION_REFUNDED_REVOKED".to_owned()).then_some(types)
    };
    let told = shop.hub.until("the refund", all).await;
    let expected = [
        "SUBSCRIPTION_STARTED",
        "TRANSACTION_PROCESSED",
        "DEACTIVATE",
        "SUBSCRIPTION_REFUNDED_REVOKED",
        "TRANSACTION_PROCESSED",
    ];
    assert_eq!(told, expected);
    shop.stop().await;
}

fn session(more: Value) -> Value {
    let mut session = json!({
        "id": "cs_1", "object": "checkout.session", "mode": "payment", "payment_status": "paid", "payment_intent": "pi_once",
        "amount_total": 4900, "currency": "usd", "created": unix(JAN), "customer": null, "client_reference_id": "user-1",
        "livemode": true, "metadata": {"price_id": "price_lifetime"}
    });
    session.as_object_mut().expect("an object").extend(more.as_object().expect("fields").clone());
    session
}

#[tokio::test]
async fn a_one_time_checkout_is_bought_and_refunded() {
    let shop = Shop::open(JAN, Shape::New).await;
    let told = shop.tell(JAN, "checkout.session.completed", &session(json!({})), Value::Null).await;
    assert_eq!(told, ["ACTIVATE", "ONE_TIME_PURCHASED", "TRANSACTION_PROCESSED"]);
    let event = shop.hub.events().await[0].clone();
    assert_eq!(
        (&event["purchase"]["product_id"], &event["transaction"]["amount_minor"]),
        (&json!("price_lifetime"), &json!(4900))
    );
    assert_eq!(event["customer"]["app_user_id"], "user-1");
    let back = json!({"id": "re_1", "object": "refund", "amount": 4900, "currency": "usd", "status": "succeeded",
        "livemode": true, "payment_intent": "pi_once", "charge": "ch_once"});
    let told = goes_back(&shop, "2026-01-10T00:00:00Z", "refund.created", &back).await;
    assert_eq!(told, ["DEACTIVATE", "ONE_TIME_REFUNDED", "TRANSACTION_PROCESSED"]);
    shop.stop().await;
}

#[tokio::test]
async fn a_delayed_payment_is_bought_when_it_succeeds_and_never_when_it_fails() {
    for (kind, expected) in [
        ("checkout.session.async_payment_succeeded", vec!["ACTIVATE", "ONE_TIME_PURCHASED", "TRANSACTION_PROCESSED"]),
        ("checkout.session.async_payment_failed", Vec::new()),
    ] {
        let shop = Shop::open(JAN, Shape::New).await;
        let open = session(json!({"payment_status": "unpaid"}));
        assert_eq!(shop.tell(JAN, "checkout.session.completed", &open, Value::Null).await, NOTHING);
        let then = session(json!({"payment_status": if expected.is_empty() { "unpaid" } else { "paid" }}));
        assert_eq!(shop.tell("2026-01-03T00:00:00Z", kind, &then, Value::Null).await, expected, "{kind}");
        shop.stop().await;
    }
}

#[tokio::test]
async fn a_checkout_session_says_whose_a_subscription_is_in_either_order() {
    for session_first in [false, true] {
        let shop = Shop::open(JAN, Shape::New).await;
        let mut subscription = shop.subscription("active", "price_a", JAN, FEB);
        subscription["metadata"] = json!({});
        let session = session(
            json!({"mode": "subscription", "customer": "cus_1", "subscription": "sub_1", "payment_intent": null}),
        );
        let created = [("customer.subscription.created", &subscription), ("checkout.session.completed", &session)];
        let order = if session_first { [created[1], created[0]] } else { created };
        for (kind, object) in order {
            shop.tell(JAN, kind, object, Value::Null).await;
        }
        let mut invoice = shop.invoice("in_1", "subscription_create", 999, "price_a", JAN, FEB);
        invoice["parent"]["subscription_details"]["metadata"] = json!({});
        shop.tell("2026-01-01T00:00:02Z", "invoice.paid", &invoice, Value::Null).await;
        assert_eq!(
            shop.hub.types().await,
            ["ACTIVATE", "SUBSCRIPTION_STARTED", "TRANSACTION_PROCESSED"],
            "{session_first}"
        );
        let (by_user, by_stripe) =
            (shop.hub.get("/v1/customers/user-1").await, shop.hub.get("/v1/customers/cus_1").await);
        assert_eq!(by_user["id"], by_stripe["id"], "{session_first}");
        assert_eq!(shop.hub.events().await[0]["customer"]["app_user_id"], "user-1", "{session_first}");
        shop.stop().await;
    }
}

#[tokio::test]
async fn test_mode_is_the_sandbox_and_unknown_types_are_kept() {
    let shop = Shop::open(JAN, Shape::New).await;
    let subscription = shop.subscription("active", "price_a", JAN, FEB);
    let mut event = shop.event("evt_test", JAN, "customer.subscription.created", &subscription, &Value::Null);
    event["livemode"] = json!(false);
    shop.post(event.to_string().as_bytes()).await.expect(200);
    assert_eq!(shop.hub.events().await[0]["environment"], "SANDBOX");
    let unknown = shop.event("evt_new", JAN, "planet.landed", &json!({"id": "pl_1"}), &Value::Null);
    shop.post(unknown.to_string().as_bytes()).await.expect(200);
    let thin = json!({"id": "evt_thin", "object": "v2.core.event", "type": "v1.customer.changed", "created": "2026-01-01T00:00:00Z", "livemode": true});
    shop.post(thin.to_string().as_bytes()).await.expect(200);
    let kept = shop.hub.get("/v1/notifications?outcome=unknown").await;
    let labels: Vec<&str> =
        kept["data"].as_array().expect("rows").iter().filter_map(|row| row["label"].as_str()).collect();
    assert_eq!(labels, ["v1.customer.changed (thin event: configure snapshot events)", "planet.landed"]);
    shop.stop().await;
}

/// Signed right, and against what was said before: the newest word counts, nothing is lost.
#[tokio::test]
async fn an_object_that_contradicts_the_last_one_is_believed_by_its_time() {
    let shop = Shop::open(JAN, Shape::New).await;
    let subscription = shop.bought().await;
    let ended = canceled(subscription.clone(), Some("cancellation_requested"), "2026-01-10T00:00:00Z");
    shop.tell("2026-01-10T00:00:00Z", "customer.subscription.deleted", &ended, Value::Null).await;
    let older = shop.tell("2026-01-09T00:00:00Z", UPDATED, &subscription, json!({"metadata": {}})).await;
    assert_eq!(older, NOTHING, "older than the end");
    let same_second = shop.tell("2026-01-10T00:00:00Z", UPDATED, &subscription, json!({"status": "past_due"})).await;
    assert_eq!(same_second, NOTHING, "in the second of the end the end counts");
    let mut backwards = shop.subscription("active", "price_a", FEB, JAN);
    backwards["id"] = json!("sub_1");
    backwards["status"] = json!("resting");
    assert_eq!(
        shop.tell("2026-01-11T00:00:00Z", UPDATED, &backwards, Value::Null).await,
        NOTHING,
        "what cannot be is left out"
    );
    let purchase = &shop.hub.get("/v1/customers/user-1").await["purchases"][0];
    assert_eq!((&purchase["state"], &purchase["period"]["ends_at"]), (&json!("expired"), &json!(FEB)));
    let later = shop.tell("2026-01-12T00:00:00Z", UPDATED, &subscription, json!({"status": "canceled"})).await;
    assert_eq!(later, ["ACTIVATE", "SUBSCRIPTION_REACTIVATED"], "Stripe's newest word");
    shop.stop().await;
}
