//! The column Stripe, of the webhooks' table: one test for each cell, named after it; `no_` before the name is a cell in
//! which RevenueCat says nothing although Stripe does. The Discord and Intercom tables are in `integrations.rs`, `canonical` is
//! the canonical lifecycle's section 14.

mod canonical;
mod integrations;

use crate::support::stripe::{Shape, Shop, unix};
use crate::support::{Receiver, TestHub};
use serde_json::{Value, json};

/// What a receiver of RevenueCat's webhooks gets of a hub.
struct RevenueCat {
    receiver: Receiver,
}

impl RevenueCat {
    /// Sets the webhook up; from now on everything is sent.
    async fn of(hub: &TestHub) -> RevenueCat {
        let receiver = Receiver::start().await;
        let config = json!({"url": receiver.url("/hook"), "format": "revenuecat"});
        hub.webhook(&receiver, json!({"config": config})).await;
        RevenueCat { receiver }
    }

    /// Waits for so many messages in all, and answers them in order. More than that are a failure.
    async fn messages(&self, count: usize) -> Vec<Value> {
        let requests = self.receiver.wait_for(count).await;
        assert_eq!(
            requests.len(),
            count,
            "{:?}",
            requests.iter().map(|it| &it.body["event"]["type"]).collect::<Vec<_>>()
        );
        requests.into_iter().map(|request| request.body["event"].clone()).collect()
    }

    /// The same as types, each with its reason where it has one.
    async fn types(&self, expected: &[&str]) -> Vec<Value> {
        let messages = self.messages(expected.len()).await;
        let types: Vec<String> = messages.iter().map(named).collect();
        assert_eq!(types, expected);
        messages
    }
}

/// `CANCELLATION/UNSUBSCRIBE`, `INITIAL_PURCHASE`
fn named(message: &Value) -> String {
    let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
    let reason = [text("cancel_reason"), text("expiration_reason")].concat();
    if reason.is_empty() { text("type") } else { format!("{}/{reason}", text("type")) }
}

const JAN: &str = "2026-01-01T00:00:00Z";
const FEB: &str = "2026-02-01T00:00:00Z";
const MAR: &str = "2026-03-01T00:00:00Z";
const MID: &str = "2026-01-10T00:00:00Z";
const UPDATED: &str = "customer.subscription.updated";
const DELETED: &str = "customer.subscription.deleted";

async fn shop() -> (Shop, RevenueCat) {
    let shop = Shop::open(JAN, Shape::New).await;
    let revenuecat = RevenueCat::of(&shop.hub).await;
    (shop, revenuecat)
}

async fn bought() -> (Shop, RevenueCat, Value) {
    let (shop, revenuecat) = shop().await;
    let subscription = shop.bought().await;
    (shop, revenuecat, subscription)
}

fn ended(mut subscription: Value, at: &str) -> Value {
    subscription["status"] = json!("canceled");
    subscription["ended_at"] = json!(unix(at));
    subscription["cancellation_details"] = json!({"reason": "cancellation_requested"});
    subscription
}

#[tokio::test]
async fn initial_purchase() {
    let (shop, revenuecat, _) = bought().await;
    let message = revenuecat.types(&["INITIAL_PURCHASE"]).await.remove(0);
    assert_eq!((&message["period_type"], &message["store"]), (&json!("NORMAL"), &json!("STRIPE")));
    assert_eq!((&message["price"], &message["currency"]), (&json!(9.99), &json!("USD")));
    assert_eq!((&message["app_user_id"], &message["product_id"]), (&json!("user-1"), &json!("price_a")));
    assert_eq!((&message["transaction_id"], &message["original_transaction_id"]), (&json!("in_1"), &json!("sub_1")));
    assert_eq!(message["purchased_at_ms"], unix(JAN) * 1000);
    assert_eq!(message["expiration_at_ms"], unix(FEB) * 1000);
    shop.stop().await;
}

#[tokio::test]
async fn initial_purchase_of_a_trial() {
    let (shop, revenuecat) = shop().await;
    let mut trial = shop.subscription("trialing", "price_a", JAN, FEB);
    trial["trial_end"] = json!(unix(FEB));
    shop.tell(JAN, "customer.subscription.created", &trial, Value::Null).await;
    let message = revenuecat.types(&["INITIAL_PURCHASE"]).await.remove(0);
    assert_eq!((&message["period_type"], &message["price"]), (&json!("TRIAL"), &json!(0.0)));
    shop.stop().await;
}

#[tokio::test]
async fn renewal() {
    let (shop, revenuecat, _) = bought().await;
    let renewed = shop.subscription("active", "price_a", FEB, MAR);
    shop.tell(FEB, UPDATED, &renewed, shop.moved(JAN, FEB)).await;
    let invoice = shop.invoice("in_2", "subscription_cycle", 999, "price_a", FEB, MAR);
    shop.tell(FEB, "invoice.paid", &invoice, Value::Null).await;
    let message = revenuecat.types(&["INITIAL_PURCHASE", "RENEWAL"]).await.remove(1);
    assert_eq!((&message["is_trial_conversion"], &message["price"]), (&json!(false), &json!(9.99)));
    assert_eq!((&message["transaction_id"], &message["renewal_number"]), (&json!("in_2"), &json!(2)));
    shop.stop().await;
}

#[tokio::test]
async fn renewal_of_a_trial_is_a_conversion() {
    let (shop, revenuecat) = shop().await;
    let mut trial = shop.subscription("trialing", "price_a", JAN, FEB);
    trial["trial_end"] = json!(unix(FEB));
    shop.tell(JAN, "customer.subscription.created", &trial, Value::Null).await;
    let mut paid = shop.subscription("active", "price_a", FEB, MAR);
    paid["trial_end"] = json!(unix(FEB));
    let mut previous = shop.moved(JAN, FEB);
    previous["status"] = json!("trialing");
    shop.tell(FEB, UPDATED, &paid, previous).await;
    let invoice = shop.invoice("in_2", "subscription_cycle", 999, "price_a", FEB, MAR);
    shop.tell(FEB, "invoice.paid", &invoice, Value::Null).await;
    let message = revenuecat.types(&["INITIAL_PURCHASE", "RENEWAL"]).await.remove(1);
    assert_eq!((&message["is_trial_conversion"], &message["period_type"]), (&json!(true), &json!("NORMAL")));
    shop.stop().await;
}

#[tokio::test]
async fn renewal_of_a_trial_whose_first_invoice_fails_and_is_paid_later_is_a_conversion() {
    let (shop, revenuecat) = shop().await;
    let mut trial = shop.subscription("trialing", "price_a", JAN, FEB);
    trial["trial_end"] = json!(unix(FEB));
    shop.tell(JAN, "customer.subscription.created", &trial, Value::Null).await;
    let moved = |status: &str| {
        let mut moved = shop.subscription(status, "price_a", FEB, MAR);
        moved["trial_end"] = json!(unix(FEB));
        moved
    };
    let mut previous = shop.moved(JAN, FEB);
    previous["status"] = json!("trialing");
    shop.tell(FEB, UPDATED, &moved("active"), previous).await;
    shop.tell("2026-02-01T01:00:00Z", UPDATED, &moved("past_due"), json!({"status": "active"})).await;
    let invoice = shop.invoice("in_2", "subscription_cycle", 999, "price_a", FEB, MAR);
    shop.tell("2026-02-03T00:00:00Z", "invoice.paid", &invoice, Value::Null).await;
    shop.tell("2026-02-03T00:00:01Z", UPDATED, &moved("active"), json!({"status": "past_due"})).await;
    let all = ["INITIAL_PURCHASE", "BILLING_ISSUE", "CANCELLATION/BILLING_ERROR", "RENEWAL"];
    let message = revenuecat.types(&all).await.remove(3);
    assert_eq!((&message["is_trial_conversion"], &message["period_type"]), (&json!(true), &json!("NORMAL")));
    shop.stop().await;
}

#[tokio::test]
async fn cancellation() {
    let (shop, revenuecat, mut subscription) = bought().await;
    subscription["cancel_at_period_end"] = json!(true);
    shop.tell(MID, UPDATED, &subscription, json!({"cancel_at_period_end": false})).await;
    revenuecat.types(&["INITIAL_PURCHASE", "CANCELLATION/UNSUBSCRIBE"]).await;
    shop.stop().await;
}

#[tokio::test]
async fn cancellation_by_a_refund() {
    let (shop, revenuecat, _) = bought().await;
    let refund = json!({"id": "re_1", "object": "refund", "amount": 999, "currency": "usd", "status": "succeeded",
        "livemode": true, "payment_intent": "pi_in_1"});
    shop.tell(MID, "refund.created", &refund, Value::Null).await;
    let expected = ["INITIAL_PURCHASE", "CANCELLATION/CUSTOMER_SUPPORT", "EXPIRATION/CUSTOMER_SUPPORT"];
    let message = revenuecat.types(&expected).await.remove(1);
    assert_eq!(message["price"], -9.99);
    shop.stop().await;
}

#[tokio::test]
async fn no_uncancellation() {
    let (shop, revenuecat, mut subscription) = bought().await;
    subscription["cancel_at_period_end"] = json!(true);
    shop.tell(MID, UPDATED, &subscription, json!({"cancel_at_period_end": false})).await;
    subscription["cancel_at_period_end"] = json!(false);
    let on = shop.tell("2026-01-11T00:00:00Z", UPDATED, &subscription, json!({"cancel_at_period_end": true})).await;
    assert_eq!(on, ["RENEWAL_ENABLED"]);
    subscription["cancel_at_period_end"] = json!(true);
    shop.tell("2026-01-12T00:00:00Z", UPDATED, &subscription, json!({"cancel_at_period_end": false})).await;
    revenuecat.types(&["INITIAL_PURCHASE", "CANCELLATION/UNSUBSCRIBE", "CANCELLATION/UNSUBSCRIBE"]).await;
    shop.stop().await;
}

#[tokio::test]
async fn non_renewing_purchase() {
    let (shop, revenuecat) = shop().await;
    let session = json!({
        "id": "cs_1", "object": "checkout.session", "mode": "payment", "payment_status": "paid", "payment_intent": "pi_once",
        "amount_total": 4900, "currency": "usd", "created": unix(JAN), "client_reference_id": "user-1", "livemode": true,
        "metadata": {"price_id": "price_lifetime"}
    });
    shop.tell(JAN, "checkout.session.completed", &session, Value::Null).await;
    let message = revenuecat.types(&["NON_RENEWING_PURCHASE"]).await.remove(0);
    assert_eq!((&message["price"], &message["product_id"]), (&json!(49.0), &json!("price_lifetime")));
    assert_eq!(message["expiration_at_ms"], Value::Null);
    shop.stop().await;
}

#[tokio::test]
async fn no_subscription_paused_but_an_expiration_when_it_begins() {
    let (shop, revenuecat, mut subscription) = bought().await;
    subscription["pause_collection"] = json!({"behavior": "void"});
    let planned = shop.tell(MID, UPDATED, &subscription, json!({"pause_collection": null})).await;
    assert_eq!(planned, ["SUBSCRIPTION_WILL_PAUSE"]);
    let mut moved = shop.subscription("active", "price_a", FEB, MAR);
    moved["pause_collection"] = json!({"behavior": "void"});
    shop.tell(FEB, UPDATED, &moved, shop.moved(JAN, FEB)).await;
    revenuecat.types(&["INITIAL_PURCHASE", "EXPIRATION/SUBSCRIPTION_PAUSED"]).await;
    shop.stop().await;
}

#[tokio::test]
async fn expiration() {
    let (shop, revenuecat, mut subscription) = bought().await;
    subscription["cancel_at_period_end"] = json!(true);
    shop.tell(MID, UPDATED, &subscription, json!({"cancel_at_period_end": false})).await;
    shop.tell(FEB, DELETED, &ended(subscription, FEB), Value::Null).await;
    revenuecat.types(&["INITIAL_PURCHASE", "CANCELLATION/UNSUBSCRIBE", "EXPIRATION/UNSUBSCRIBE"]).await;
    shop.stop().await;
}

#[tokio::test]
async fn expiration_of_what_is_ended_at_once() {
    let (shop, revenuecat, subscription) = bought().await;
    shop.tell(MID, DELETED, &ended(subscription, MID), Value::Null).await;
    revenuecat.types(&["INITIAL_PURCHASE", "CANCELLATION/UNSUBSCRIBE", "EXPIRATION/UNSUBSCRIBE"]).await;
    shop.stop().await;
}

#[tokio::test]
async fn billing_issue() {
    let (shop, revenuecat, _) = bought().await;
    let moved = shop.subscription("past_due", "price_a", FEB, MAR);
    let mut previous = shop.moved(JAN, FEB);
    previous["status"] = json!("active");
    shop.tell(FEB, UPDATED, &moved, previous).await;
    let message =
        revenuecat.types(&["INITIAL_PURCHASE", "BILLING_ISSUE", "CANCELLATION/BILLING_ERROR"]).await.remove(1);
    assert_eq!(message["grace_period_expiration_at_ms"], Value::Null, "always null for Stripe");
    let unpaid = shop.subscription("unpaid", "price_a", FEB, MAR);
    shop.tell("2026-02-20T00:00:00Z", UPDATED, &unpaid, json!({"status": "past_due"})).await;
    let all = ["INITIAL_PURCHASE", "BILLING_ISSUE", "CANCELLATION/BILLING_ERROR", "EXPIRATION/BILLING_ERROR"];
    revenuecat.types(&all).await;
    shop.stop().await;
}

#[tokio::test]
async fn product_change() {
    let (shop, revenuecat, subscription) = bought().await;
    let changed = shop.subscription("active", "price_b", JAN, FEB);
    shop.tell(MID, UPDATED, &changed, json!({"items": subscription["items"]})).await;
    let messages = revenuecat.types(&["INITIAL_PURCHASE", "PRODUCT_CHANGE", "RENEWAL"]).await;
    assert_eq!(messages[1]["product_id"], "price_a", "the old product");
    assert_eq!(messages[2]["product_id"], "price_b");
    assert!(messages[1].get("new_product_id").is_none_or(Value::is_null), "absent for Stripe");
    shop.stop().await;
}

#[tokio::test]
async fn transfer() {
    let (shop, revenuecat, mut subscription) = bought().await;
    subscription["metadata"] = json!({"user_id": "user-2"});
    shop.tell(MID, UPDATED, &subscription, json!({"metadata": {"user_id": "user-1"}})).await;
    let message = revenuecat.types(&["INITIAL_PURCHASE", "TRANSFER"]).await.remove(1);
    assert_eq!((&message["transferred_from"], &message["transferred_to"]), (&json!(["user-1"]), &json!(["user-2"])));
    shop.stop().await;
}

#[tokio::test]
async fn subscription_extended() {
    let (shop, revenuecat) = shop().await;
    let mut trial = shop.subscription("trialing", "price_a", JAN, FEB);
    trial["trial_end"] = json!(unix(FEB));
    shop.tell(JAN, "customer.subscription.created", &trial, Value::Null).await;
    let mut longer = shop.subscription("trialing", "price_a", JAN, MAR);
    longer["trial_end"] = json!(unix(MAR));
    let mut previous = shop.moved(JAN, FEB);
    previous["trial_end"] = json!(unix(FEB));
    shop.tell(MID, UPDATED, &longer, previous).await;
    let message = revenuecat.types(&["INITIAL_PURCHASE", "SUBSCRIPTION_EXTENDED"]).await.remove(1);
    assert_eq!(message["expiration_at_ms"], unix(MAR) * 1000);
    shop.stop().await;
}

#[tokio::test]
async fn no_refund_reversed() {
    let (shop, revenuecat, subscription) = bought().await;
    let refund = |status: &str| {
        json!({"id": "re_1", "object": "refund", "amount": 999, "currency": "usd", "status": status, "livemode": true,
            "payment_intent": "pi_in_1"})
    };
    shop.tell(MID, "refund.created", &refund("succeeded"), Value::Null).await;
    let so_far = ["INITIAL_PURCHASE", "CANCELLATION/CUSTOMER_SUPPORT", "EXPIRATION/CUSTOMER_SUPPORT"];
    revenuecat.types(&so_far).await;
    let before = shop.hub.types().await.len();
    shop.tell("2026-01-12T00:00:00Z", "refund.failed", &refund("failed"), Value::Null).await;
    assert!(shop.told_since(before, "the reversal").await.contains(&"REFUND_REVERSED".to_owned()));
    // What is told next comes next.
    shop.tell(FEB, DELETED, &ended(subscription, FEB), Value::Null).await;
    let messages = revenuecat.receiver.wait_for(so_far.len() + 1).await;
    let next = messages[so_far.len()].body["event"]["type"].clone();
    assert_ne!(next, "REFUND_REVERSED");
    shop.stop().await;
}

#[tokio::test]
async fn no_test() {
    let (shop, revenuecat) = shop().await;
    // What Stripe's "send test webhook" sends: an event of a type that says nothing of a purchase.
    shop.tell(JAN, "customer.created", &json!({"id": "cus_9", "object": "customer", "livemode": false}), Value::Null)
        .await;
    shop.bought().await;
    revenuecat.types(&["INITIAL_PURCHASE"]).await;
    shop.stop().await;
}

#[tokio::test]
async fn no_invoice_issuance() {
    let (shop, revenuecat, _) = bought().await;
    let mut draft = shop.invoice("in_2", "subscription_cycle", 999, "price_a", FEB, MAR);
    draft["status"] = json!("draft");
    for kind in ["invoice.created", "invoice.finalized", "invoice.upcoming"] {
        assert!(shop.tell(FEB, kind, &draft, Value::Null).await.is_empty(), "{kind}");
    }
    revenuecat.types(&["INITIAL_PURCHASE"]).await;
    shop.stop().await;
}

/// The page has these for Stripe, but they are about services of RevenueCat's own (its outages, currencies and experiments),
/// of which Stripe tells nothing: a whole life has none of them.
async fn is_revenuecats_own(rc_type: &str) {
    let (shop, revenuecat, mut subscription) = bought().await;
    subscription["cancel_at_period_end"] = json!(true);
    shop.tell(MID, UPDATED, &subscription, json!({"cancel_at_period_end": false})).await;
    shop.tell(FEB, DELETED, &ended(subscription, FEB), Value::Null).await;
    let told = revenuecat.types(&["INITIAL_PURCHASE", "CANCELLATION/UNSUBSCRIBE", "EXPIRATION/UNSUBSCRIBE"]).await;
    assert!(told.iter().all(|message| message["type"] != rc_type));
    shop.stop().await;
}

#[tokio::test]
async fn virtual_currency_transaction_is_revenuecats_own() {
    is_revenuecats_own("VIRTUAL_CURRENCY_TRANSACTION").await;
}

#[tokio::test]
async fn experiment_enrollment_is_revenuecats_own() {
    is_revenuecats_own("EXPERIMENT_ENROLLMENT").await;
}
