//! Which canonical events Stripe can produce (lifecycle section 14): a test for each group, with all that its story tells,
//! money left out unless the group is money.

use super::integrations::{
    begin_trial, bought, bought_once, cancelled, changed, expired, failed, pay_next, renewed, trial,
    trial_that_converts, turn_off,
};
use super::{DELETED, FEB, JAN, MAR, MID, UPDATED, ended};
use crate::matrix::world::{Outlet, World};
use crate::support::stripe::{Shop, unix};
use serde_json::{Value, json};

/// Writes a test for each group: `cell: story => events since the first purchase;`.
macro_rules! groups {
    ($($cell:ident: $story:path => $told:expr;)+) => {
        $(
            #[tokio::test]
            async fn $cell() {
                World::new(Outlet::Webhook).await.in_shop($story).await.tells(&$told).await;
            }
        )+
    };
}

const ON: &str = "ACTIVATE";
const OFF: &str = "DEACTIVATE";
const STARTED: &str = "SUBSCRIPTION_STARTED";

groups! {
    start: bought => [ON, STARTED];
    renew: renewed => [ON, STARTED, ON, "SUBSCRIPTION_RENEWED"];
    terminate: expired => [ON, STARTED, "RENEWAL_DISABLED", OFF, "SUBSCRIPTION_TERMINATED"];
    no_reactivated_in_chain_but_by_a_new_id: bought_again =>
        [ON, STARTED, "RENEWAL_DISABLED", OFF, "SUBSCRIPTION_TERMINATED", ON, "SUBSCRIPTION_REACTIVATED"];
    upgrade_downgrade: changed => [ON, STARTED, OFF, ON, "SUBSCRIPTION_CROSSGRADED"];
    scheduled_change: scheduled => [ON, STARTED, "PLAN_CHANGE_SCHEDULED"];
    scheduled_change_withdrawn: unscheduled => [ON, STARTED, "PLAN_CHANGE_SCHEDULED", "PLAN_CHANGE_UNSCHEDULED"];
    deferred_by_a_longer_trial: longer_trial => [ON, STARTED, "TRIAL_STARTED", "SUBSCRIPTION_DEFERRED"];
    auto_renew_off: cancelled => [ON, STARTED, "RENEWAL_DISABLED"];
    auto_renew_on: uncancelled => [ON, STARTED, "RENEWAL_DISABLED", "RENEWAL_ENABLED"];
    grace_is_past_due: failed => [ON, STARTED, ON, "GRACE_PERIOD_STARTED"];
    grace_and_recovery: recovered =>
        [ON, STARTED, ON, "GRACE_PERIOD_STARTED", ON, "SUBSCRIPTION_RECOVERED_FROM_GRACE_PERIOD"];
    billing_retry_without_access_is_unpaid: unpaid =>
        [ON, STARTED, ON, "GRACE_PERIOD_STARTED", OFF, "GRACE_PERIOD_TERMINATED", "ENTERED_BILLING_RETRY"];
    billing_retry_and_recovery: paid_after_all => [ON, STARTED, ON, "GRACE_PERIOD_STARTED", OFF,
        "GRACE_PERIOD_TERMINATED", "ENTERED_BILLING_RETRY", ON, "SUBSCRIPTION_RECOVERED_FROM_BILLING_RETRY"];
    pause_of_the_collection: paused => [ON, STARTED, "SUBSCRIPTION_WILL_PAUSE", OFF, "SUBSCRIPTION_PAUSED"];
    pause_withdrawn: pause_taken_back => [ON, STARTED, "SUBSCRIPTION_WILL_PAUSE", "SUBSCRIPTION_WILL_NOT_PAUSE"];
    pause_of_a_trial_without_a_card: paused_trial => [ON, STARTED, "TRIAL_STARTED", OFF, "SUBSCRIPTION_PAUSED"];
    refund: refunded => [ON, STARTED, OFF, "SUBSCRIPTION_REFUNDED_REVOKED"];
    refund_of_an_earlier_period: refunded_earlier => [ON, STARTED, ON, "SUBSCRIPTION_RENEWED", "REFUND_RECORDED"];
    refund_asked_for_by_a_dispute: disputed => [ON, STARTED, "REFUND_REQUESTED"];
    no_family_revoke: whole_life => [ON, STARTED, ON, "SUBSCRIPTION_RENEWED", "RENEWAL_DISABLED", OFF,
        "SUBSCRIPTION_TERMINATED"];
    transfer: handed_over => [ON, STARTED, OFF, "SUBSCRIPTION_TRANSFERRED", ON, "SUBSCRIPTION_RECEIVED"];
    offers_are_trials: trial => [ON, STARTED, "TRIAL_STARTED"];
    offers_that_convert: trial_that_converts =>
        [ON, STARTED, "TRIAL_STARTED", ON, "SUBSCRIPTION_RENEWED", "TRIAL_CONVERTED"];
    offers_that_do_not_convert: trial_that_ends => [ON, STARTED, "TRIAL_STARTED", "RENEWAL_DISABLED", OFF,
        "SUBSCRIPTION_TERMINATED", "TRIAL_NOT_CONVERTED"];
    one_time_by_checkout: bought_once => [ON, "ONE_TIME_PURCHASED"];
    one_time_refund: refunded_once => [ON, "ONE_TIME_PURCHASED", OFF, "ONE_TIME_REFUNDED"];
}

/// What was paid, to the cent, and back with a refund.
#[tokio::test]
async fn money_is_exact() {
    let world = World::new(Outlet::Webhook).await.in_shop(refunded_earlier).await;
    assert_eq!(world.money().await, [(999, "in_1".to_owned()), (999, "in_2".to_owned()), (-999, "in_1".to_owned())]);
    world.stop().await;
}

async fn bought_again(shop: &Shop) {
    expired(shop).await;
    let mut again = shop.subscription("active", "price_a", FEB, MAR);
    again["id"] = json!("sub_2");
    shop.tell("2026-02-02T00:00:00Z", "customer.subscription.created", &again, Value::Null).await;
    let mut invoice = shop.invoice("in_9", "subscription_create", 999, "price_a", FEB, MAR);
    invoice["parent"]["subscription_details"]["subscription"] = json!("sub_2");
    invoice["lines"]["data"][0]["parent"]["subscription_item_details"]["subscription"] = json!("sub_2");
    shop.tell("2026-02-02T00:00:01Z", "invoice.paid", &invoice, Value::Null).await;
}

async fn schedule(shop: &Shop) -> Value {
    let mut subscription = shop.bought().await;
    subscription["pending_update"] =
        json!({"expires_at": unix(FEB), "subscription_items": [{"id": "si_1", "price": {"id": "price_b"}}]});
    shop.tell(MID, UPDATED, &subscription, json!({"pending_update": null})).await;
    subscription
}

async fn scheduled(shop: &Shop) {
    schedule(shop).await;
}

async fn unscheduled(shop: &Shop) {
    let mut subscription = schedule(shop).await;
    subscription["pending_update"] = Value::Null;
    let expired = "customer.subscription.pending_update_expired";
    shop.tell("2026-01-11T00:00:00Z", expired, &subscription, Value::Null).await;
}

async fn longer_trial(shop: &Shop) {
    begin_trial(shop).await;
    let mut longer = shop.subscription("trialing", "price_a", JAN, MAR);
    longer["trial_end"] = json!(unix(MAR));
    let mut previous = shop.moved(JAN, FEB);
    previous["trial_end"] = json!(unix(FEB));
    shop.tell(MID, UPDATED, &longer, previous).await;
}

async fn uncancelled(shop: &Shop) {
    let subscription = shop.bought().await;
    let mut off = turn_off(shop, subscription).await;
    off["cancel_at_period_end"] = json!(false);
    shop.tell("2026-01-11T00:00:00Z", UPDATED, &off, json!({"cancel_at_period_end": true})).await;
}

async fn recovered(shop: &Shop) {
    failed(shop).await;
    let active = shop.subscription("active", "price_a", FEB, MAR);
    shop.tell("2026-02-09T00:00:00Z", UPDATED, &active, json!({"status": "past_due"})).await;
    let invoice = shop.invoice("in_2", "subscription_cycle", 999, "price_a", FEB, MAR);
    shop.tell("2026-02-09T00:00:00Z", "invoice.paid", &invoice, Value::Null).await;
}

async fn unpaid(shop: &Shop) {
    failed(shop).await;
    let unpaid = shop.subscription("unpaid", "price_a", FEB, MAR);
    shop.tell("2026-02-20T00:00:00Z", UPDATED, &unpaid, json!({"status": "past_due"})).await;
}

async fn paid_after_all(shop: &Shop) {
    unpaid(shop).await;
    let active = shop.subscription("active", "price_a", FEB, MAR);
    shop.tell("2026-02-21T00:00:00Z", UPDATED, &active, json!({"status": "unpaid"})).await;
}

async fn plan_pause(shop: &Shop) -> Value {
    let mut subscription = shop.bought().await;
    subscription["pause_collection"] = json!({"behavior": "void", "resumes_at": null});
    shop.tell(MID, UPDATED, &subscription, json!({"pause_collection": null})).await;
    subscription
}

async fn paused(shop: &Shop) {
    let planned = plan_pause(shop).await;
    let mut moved = shop.subscription("active", "price_a", FEB, MAR);
    moved["pause_collection"] = planned["pause_collection"].clone();
    shop.tell(FEB, UPDATED, &moved, shop.moved(JAN, FEB)).await;
}

async fn pause_taken_back(shop: &Shop) {
    let mut planned = plan_pause(shop).await;
    let before = json!({"pause_collection": planned["pause_collection"]});
    planned["pause_collection"] = Value::Null;
    shop.tell("2026-01-11T00:00:00Z", UPDATED, &planned, before).await;
}

async fn paused_trial(shop: &Shop) {
    let mut trial = begin_trial(shop).await;
    trial["status"] = json!("paused");
    shop.tell(FEB, "customer.subscription.paused", &trial, Value::Null).await;
}

/// Sends it and waits for what is told of it: the payment's invoice may have to be found.
async fn goes_back(shop: &Shop, created: &str, kind: &str, object: &Value) {
    let before = shop.hub.types().await.len();
    shop.tell(created, kind, object, Value::Null).await;
    shop.told_since(before, kind).await;
}

fn paid_back(payment: &str, cents: i64) -> Value {
    json!({"id": "re_1", "object": "refund", "amount": cents, "currency": "usd", "status": "succeeded", "livemode": true,
        "payment_intent": payment})
}

async fn refunded(shop: &Shop) {
    bought(shop).await;
    goes_back(shop, MID, "refund.created", &paid_back("pi_in_1", 999)).await;
}

async fn refunded_earlier(shop: &Shop) {
    renewed(shop).await;
    goes_back(shop, "2026-02-10T00:00:00Z", "refund.created", &paid_back("pi_in_1", 999)).await;
}

async fn refunded_once(shop: &Shop) {
    bought_once(shop).await;
    goes_back(shop, MID, "refund.created", &paid_back("pi_once", 4900)).await;
}

async fn disputed(shop: &Shop) {
    bought(shop).await;
    let dispute = json!({"id": "dp_1", "object": "dispute", "amount": 999, "currency": "usd", "status": "needs_response",
        "livemode": true, "reason": "fraudulent", "charge": "ch_in_1", "payment_intent": "pi_in_1"});
    goes_back(shop, MID, "charge.dispute.created", &dispute).await;
}

async fn handed_over(shop: &Shop) {
    let mut subscription = shop.bought().await;
    subscription["metadata"] = json!({"user_id": "user-2"});
    shop.tell(MID, UPDATED, &subscription, json!({"metadata": {"user_id": "user-1"}})).await;
}

async fn trial_that_ends(shop: &Shop) {
    let trial = begin_trial(shop).await;
    let off = turn_off(shop, trial).await;
    shop.tell(FEB, DELETED, &ended(off, FEB), Value::Null).await;
}

async fn whole_life(shop: &Shop) {
    shop.bought().await;
    pay_next(shop, shop.subscription("active", "price_a", FEB, MAR), shop.moved(JAN, FEB)).await;
    let mut off = shop.subscription("active", "price_a", FEB, MAR);
    off["cancel_at_period_end"] = json!(true);
    shop.tell("2026-02-10T00:00:00Z", UPDATED, &off, json!({"cancel_at_period_end": false})).await;
    shop.tell(MAR, DELETED, &ended(off, MAR), Value::Null).await;
}
