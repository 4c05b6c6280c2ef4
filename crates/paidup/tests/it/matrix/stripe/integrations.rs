//! The Stripe column of RevenueCat's Discord and Intercom integrations (called "Web" on Intercom's page of 2023-02).

use super::{DELETED, FEB, JAN, MAR, MID, UPDATED, ended};
use crate::matrix::world::{Column, Expected, Outlet, World};
use crate::support::stripe::{Shop, unix};
use serde_json::{Value, json};

const COLUMN: Column = Column { store: "STRIPE", products: "" };

/// Like `matrix::cells`, with stories that are told in a shop.
macro_rules! cells {
    ($outlet:expr; $($cell:ident: $story:path, $event:literal => $told:expr;)+) => {
        $(
            #[tokio::test]
            async fn $cell() {
                let world = World::new($outlet).await.in_shop($story).await;
                world.ends_with(Expected { column: COLUMN, event: $event, told: &$told }).await;
            }
        )+
    };
}

mod discord {
    use super::*;

    cells! { Outlet::Discord;
        initial_purchase: bought, "SUBSCRIPTION_STARTED" => ["Initial Purchase"];
        trial_started: trial, "TRIAL_STARTED" => ["Trial Started"];
        trial_converted: trial_that_converts, "TRIAL_CONVERTED" => ["Trial Started", "Trial Converted"];
        trial_cancelled: trial_that_is_cancelled, "RENEWAL_DISABLED" => ["Trial Started", "Trial Cancelled"];
        renewal: renewed, "SUBSCRIPTION_RENEWED" => ["Initial Purchase", "Renewal"];
        cancellation: cancelled, "RENEWAL_DISABLED" => ["Initial Purchase", "Cancellation"];
        non_subscription_purchase: bought_once, "ONE_TIME_PURCHASED" => ["Non Subscription Purchase"];
        expiration_is_never_told: expired, "SUBSCRIPTION_TERMINATED" => ["Initial Purchase", "Cancellation"];
        billing_issue: failed, "GRACE_PERIOD_STARTED" => ["Initial Purchase", "Billing Issue", "Cancellation"];
        product_change: changed, "SUBSCRIPTION_CROSSGRADED" => ["Initial Purchase", "Product Change", "Renewal"];
    }
}

mod intercom {
    use super::*;

    const BOUGHT: &str = "rc_initial_purchase_event";
    const TRIED: &str = "rc_trial_started_event";
    const CANCELLED: &str = "rc_cancellation_event";

    cells! { Outlet::Intercom;
        initial_purchase: bought, "SUBSCRIPTION_STARTED" => [BOUGHT];
        trial_started: trial, "TRIAL_STARTED" => [TRIED];
        trial_converted: trial_that_converts, "TRIAL_CONVERTED" => [TRIED, "rc_trial_converted_event"];
        trial_cancelled: trial_that_is_cancelled, "RENEWAL_DISABLED" => [TRIED, "rc_trial_cancelled_event"];
        renewal: renewed, "SUBSCRIPTION_RENEWED" => [BOUGHT, "rc_renewal_event"];
        cancellation: cancelled, "RENEWAL_DISABLED" => [BOUGHT, CANCELLED];
        non_subscription_purchase: bought_once, "ONE_TIME_PURCHASED" => ["rc_non_subscription_purchase_event"];
        expiration: expired, "SUBSCRIPTION_TERMINATED" => [BOUGHT, CANCELLED, "rc_expiration_event"];
        billing_issue: failed, "GRACE_PERIOD_STARTED" => [BOUGHT, "rc_billing_issue_event", CANCELLED];
        product_change: changed, "SUBSCRIPTION_CROSSGRADED" => [BOUGHT, "rc_product_change_event", "rc_renewal_event"];
    }
}

pub(super) async fn bought(shop: &Shop) {
    shop.bought().await;
}

pub(super) async fn begin_trial(shop: &Shop) -> Value {
    let mut trial = shop.subscription("trialing", "price_a", JAN, FEB);
    trial["trial_end"] = json!(unix(FEB));
    shop.tell(JAN, "customer.subscription.created", &trial, Value::Null).await;
    trial
}

pub(super) async fn turn_off(shop: &Shop, mut subscription: Value) -> Value {
    subscription["cancel_at_period_end"] = json!(true);
    shop.tell(MID, UPDATED, &subscription, json!({"cancel_at_period_end": false})).await;
    subscription
}

pub(super) async fn pay_next(shop: &Shop, subscription: Value, previous: Value) {
    shop.tell(FEB, UPDATED, &subscription, previous).await;
    let invoice = shop.invoice("in_2", "subscription_cycle", 999, "price_a", FEB, MAR);
    shop.tell(FEB, "invoice.paid", &invoice, Value::Null).await;
}

pub(super) async fn trial(shop: &Shop) {
    begin_trial(shop).await;
}

pub(super) async fn trial_that_converts(shop: &Shop) {
    begin_trial(shop).await;
    let mut paid = shop.subscription("active", "price_a", FEB, MAR);
    paid["trial_end"] = json!(unix(FEB));
    let mut previous = shop.moved(JAN, FEB);
    previous["status"] = json!("trialing");
    pay_next(shop, paid, previous).await;
}

async fn trial_that_is_cancelled(shop: &Shop) {
    let trial = begin_trial(shop).await;
    turn_off(shop, trial).await;
}

pub(super) async fn renewed(shop: &Shop) {
    shop.bought().await;
    pay_next(shop, shop.subscription("active", "price_a", FEB, MAR), shop.moved(JAN, FEB)).await;
}

pub(super) async fn cancelled(shop: &Shop) {
    let subscription = shop.bought().await;
    turn_off(shop, subscription).await;
}

pub(super) async fn expired(shop: &Shop) {
    let subscription = shop.bought().await;
    let off = turn_off(shop, subscription).await;
    shop.tell(FEB, DELETED, &ended(off, FEB), Value::Null).await;
}

pub(super) async fn bought_once(shop: &Shop) {
    let session = json!({
        "id": "cs_1", "object": "checkout.session", "mode": "payment", "payment_status": "paid", "payment_intent": "pi_once",
        "amount_total": 4900, "currency": "usd", "created": unix(JAN), "client_reference_id": "user-1", "livemode": true,
        "metadata": {"price_id": "price_lifetime"}
    });
    shop.tell(JAN, "checkout.session.completed", &session, Value::Null).await;
}

pub(super) async fn failed(shop: &Shop) {
    shop.bought().await;
    let mut previous = shop.moved(JAN, FEB);
    previous["status"] = json!("active");
    shop.tell(FEB, UPDATED, &shop.subscription("past_due", "price_a", FEB, MAR), previous).await;
}

pub(super) async fn changed(shop: &Shop) {
    let subscription = shop.bought().await;
    let other = shop.subscription("active", "price_b", JAN, FEB);
    shop.tell(MID, UPDATED, &other, json!({"items": subscription["items"]})).await;
}
