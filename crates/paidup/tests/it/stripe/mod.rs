//! Stripe through the whole program: the rows of its mapping, one by one, over HTTP. `money.rs` has refunds, disputes and
//! checkout, `lookups.rs` what has to be asked, and the order of arrival.

mod lookups;
mod money;
mod reconciles;

use crate::support::stripe::{Shape, Shop, unix};
use serde_json::{Value, json};
use std::time::Duration;

const JAN: &str = "2026-01-01T00:00:00Z";
const FEB: &str = "2026-02-01T00:00:00Z";
const MAR: &str = "2026-03-01T00:00:00Z";
const NOTHING: [&str; 0] = [];
const BOTH: [Shape; 2] = [Shape::Old, Shape::New];
const UPDATED: &str = "customer.subscription.updated";

#[tokio::test]
async fn a_first_payment_that_is_open_tells_nothing_until_it_is_paid() {
    for shape in BOTH {
        let shop = Shop::open(JAN, shape).await;
        let open = shop.subscription("incomplete", "price_a", JAN, FEB);
        assert_eq!(shop.tell(JAN, "customer.subscription.created", &open, Value::Null).await, NOTHING);
        let failed = shop.invoice("in_1", "subscription_create", 999, "price_a", JAN, FEB);
        let mut failed_invoice = failed.clone();
        failed_invoice["status"] = json!("open");
        assert_eq!(shop.tell(JAN, "invoice.payment_failed", &failed_invoice, Value::Null).await, NOTHING);
        let active = shop.subscription("active", "price_a", JAN, FEB);
        // In the same second as the creation.
        assert_eq!(shop.tell(JAN, UPDATED, &active, json!({"status": "incomplete"})).await, ["ACTIVATE"]);
        let told = shop.tell("2026-01-01T00:00:01Z", "invoice.paid", &failed, Value::Null).await;
        assert_eq!(told, ["SUBSCRIPTION_STARTED", "TRANSACTION_PROCESSED"], "{shape:?}");
        let event = &shop.hub.events().await[0];
        assert_eq!(event["transaction"]["id"], "in_1");
        assert_eq!(
            (&event["transaction"]["amount_minor"], &event["transaction"]["currency"]),
            (&json!(999), &json!("USD"))
        );
        assert_eq!(event["purchase"]["store_purchase_id"], "sub_1");
        assert_eq!((&event["store"], &event["environment"]), (&json!("STRIPE"), &json!("PRODUCTION")));
        assert_eq!(event["customer"]["app_user_id"], "user-1");
        shop.stop().await;
    }
}

#[tokio::test]
async fn a_first_payment_that_never_comes_tells_nothing() {
    let shop = Shop::open(JAN, Shape::New).await;
    let open = shop.subscription("incomplete", "price_a", JAN, FEB);
    shop.tell(JAN, "customer.subscription.created", &open, Value::Null).await;
    let expired = shop.subscription("incomplete_expired", "price_a", JAN, FEB);
    assert_eq!(shop.tell("2026-01-01T23:00:00Z", UPDATED, &expired, json!({"status": "incomplete"})).await, NOTHING);
    shop.stop().await;
}

#[tokio::test]
async fn a_start_is_told_with_its_price_and_waits_ten_minutes_for_it() {
    let shop = Shop::open(JAN, Shape::New).await;
    let active = shop.subscription("active", "price_a", JAN, FEB);
    assert_eq!(shop.tell(JAN, "customer.subscription.created", &active, Value::Null).await, ["ACTIVATE"]);
    shop.hub.clock.advance(Duration::from_secs(599));
    assert_eq!(shop.hub.types().await, ["ACTIVATE"]);
    shop.hub.clock.advance(Duration::from_secs(1));
    assert_eq!(shop.told_since(1, "the start without its price").await, ["SUBSCRIPTION_STARTED"]);
    let invoice = shop.invoice("in_1", "subscription_create", 999, "price_a", JAN, FEB);
    assert_eq!(
        shop.tell("2026-01-01T01:00:00Z", "invoice.paid", &invoice, Value::Null).await,
        ["TRANSACTION_PROCESSED"]
    );
    assert_eq!(shop.hub.events().await[0]["transaction"]["source_event"], "SUBSCRIPTION_STARTED");
    shop.stop().await;
}

async fn in_trial(shop: &Shop) {
    let trial = trial_of(shop, "trialing");
    let told = shop.tell(JAN, "customer.subscription.created", &trial, Value::Null).await;
    assert_eq!(told, ["ACTIVATE", "SUBSCRIPTION_STARTED", "TRIAL_STARTED"]);
    let nothing = shop.invoice("in_0", "subscription_create", 0, "price_a", JAN, "2026-01-15T00:00:00Z");
    assert_eq!(shop.tell(JAN, "invoice.paid", &nothing, Value::Null).await, NOTHING, "no money for 0.00");
}

fn trial_of(shop: &Shop, status: &str) -> Value {
    let mut trial = shop.subscription(status, "price_a", JAN, "2026-01-15T00:00:00Z");
    trial["trial_start"] = json!(unix(JAN));
    trial["trial_end"] = json!(unix("2026-01-15T00:00:00Z"));
    trial
}

#[tokio::test]
async fn a_trial_converts_once_it_is_paid() {
    for (shape, cents) in [(Shape::Old, 999), (Shape::New, 999), (Shape::New, 0)] {
        let shop = Shop::open(JAN, shape).await;
        in_trial(&shop).await;
        let (starts, ends) = ("2026-01-15T00:00:00Z", "2026-02-15T00:00:00Z");
        let mut paid = shop.subscription("active", "price_a", starts, ends);
        paid["trial_end"] = json!(unix(starts));
        let mut previous = shop.moved(JAN, starts);
        previous["status"] = json!("trialing");
        assert_eq!(shop.tell(starts, UPDATED, &paid, previous).await, NOTHING, "the money follows");
        let invoice = shop.invoice("in_2", "subscription_cycle", cents, "price_a", starts, ends);
        let told = shop.tell("2026-01-15T01:00:00Z", "invoice.paid", &invoice, Value::Null).await;
        let mut expected = vec!["ACTIVATE", "SUBSCRIPTION_RENEWED", "TRIAL_CONVERTED"];
        expected.extend((cents > 0).then_some("TRANSACTION_PROCESSED"));
        assert_eq!(told, expected, "{shape:?} {cents}");
        shop.stop().await;
    }
}

#[tokio::test]
async fn a_longer_trial_is_a_deferral() {
    for shape in BOTH {
        let shop = Shop::open(JAN, shape).await;
        in_trial(&shop).await;
        let mut longer = shop.subscription("trialing", "price_a", JAN, "2026-01-20T00:00:00Z");
        longer["trial_end"] = json!(unix("2026-01-20T00:00:00Z"));
        let mut previous = shop.moved(JAN, "2026-01-15T00:00:00Z");
        previous["trial_end"] = json!(unix("2026-01-15T00:00:00Z"));
        assert_eq!(shop.tell("2026-01-10T00:00:00Z", UPDATED, &longer, previous).await, ["SUBSCRIPTION_DEFERRED"]);
        shop.stop().await;
    }
}

#[tokio::test]
async fn a_trial_that_ends_without_a_payment_method_pauses() {
    let shop = Shop::open(JAN, Shape::New).await;
    in_trial(&shop).await;
    let paused = trial_of(&shop, "paused");
    let when = "2026-01-15T00:00:00Z";
    let told = shop.tell(when, "customer.subscription.paused", &paused, Value::Null).await;
    assert_eq!(told, ["DEACTIVATE", "SUBSCRIPTION_PAUSED"]);
    let again = shop.tell(when, UPDATED, &paused, json!({"status": "trialing"})).await;
    assert_eq!(again, NOTHING, "two events tell one change");
    let resumed = shop.subscription("active", "price_a", "2026-01-20T00:00:00Z", "2026-02-20T00:00:00Z");
    let told = shop.tell("2026-01-20T00:00:00Z", "customer.subscription.resumed", &resumed, Value::Null).await;
    assert_eq!(told, ["ACTIVATE", "SUBSCRIPTION_UNPAUSED", "TRIAL_CONVERTED"]);
    shop.stop().await;
}

#[tokio::test]
async fn a_renewal_moves_first_and_is_told_when_it_is_paid() {
    for shape in BOTH {
        let shop = Shop::open(JAN, shape).await;
        shop.bought().await;
        let renewed = shop.subscription("active", "price_a", FEB, MAR);
        assert_eq!(shop.tell(FEB, UPDATED, &renewed, shop.moved(JAN, FEB)).await, NOTHING);
        let invoice = shop.invoice("in_2", "subscription_cycle", 999, "price_a", FEB, MAR);
        let told = shop.tell("2026-02-01T01:00:00Z", "invoice.paid", &invoice, Value::Null).await;
        assert_eq!(told, ["ACTIVATE", "SUBSCRIPTION_RENEWED", "TRANSACTION_PROCESSED"], "{shape:?}");
        let event = &shop.hub.events().await[0];
        assert_eq!((&event["transaction"]["id"], &event["inferred"]), (&json!("in_2"), &json!(false)));
        assert_eq!(event["purchase"]["renewal_number"], 2);
        let twice = shop.tell("2026-02-01T01:00:00Z", "invoice.payment_succeeded", &invoice, Value::Null).await;
        assert_eq!(twice, NOTHING, "the invoice is the key");
        shop.stop().await;
    }
}

#[tokio::test]
async fn a_renewal_whose_invoice_came_first_is_told_at_the_move() {
    let shop = Shop::open(JAN, Shape::New).await;
    shop.bought().await;
    let invoice = shop.invoice("in_2", "subscription_cycle", 999, "price_a", FEB, MAR);
    let mut told = shop.tell(FEB, "invoice.paid", &invoice, Value::Null).await;
    let renewed = shop.subscription("active", "price_a", FEB, MAR);
    told.extend(shop.tell(FEB, UPDATED, &renewed, shop.moved(JAN, FEB)).await);
    told.sort_unstable();
    assert_eq!(told, ["ACTIVATE", "SUBSCRIPTION_RENEWED", "TRANSACTION_PROCESSED"]);
    shop.stop().await;
}

#[tokio::test]
async fn a_renewal_without_an_invoice_is_inferred_after_two_hours() {
    let shop = Shop::open(JAN, Shape::New).await;
    shop.bought().await;
    let before = shop.hub.types().await.len();
    let renewed = shop.subscription("active", "price_a", FEB, MAR);
    shop.tell(FEB, UPDATED, &renewed, shop.moved(JAN, FEB)).await;
    shop.hub.clock.advance(Duration::from_secs(7199));
    assert_eq!(shop.hub.types().await.len(), before);
    shop.hub.clock.advance(Duration::from_secs(1));
    assert_eq!(shop.told_since(before, "the inferred renewal").await, ["ACTIVATE", "SUBSCRIPTION_RENEWED"]);
    assert_eq!(shop.hub.events().await[0]["inferred"], true);
    shop.stop().await;
}

#[tokio::test]
async fn renewal_is_switched_off_and_on() {
    for shape in BOTH {
        let shop = Shop::open(JAN, shape).await;
        let mut subscription = shop.bought().await;
        subscription["cancel_at_period_end"] = json!(true);
        subscription["cancellation_details"] = json!({"reason": "cancellation_requested"});
        let off = json!({"cancel_at_period_end": false});
        assert_eq!(shop.tell("2026-01-05T00:00:00Z", UPDATED, &subscription, off).await, ["RENEWAL_DISABLED"]);
        assert_eq!(shop.hub.events().await[0]["reason"], "UNSUBSCRIBE");
        subscription["cancel_at_period_end"] = json!(false);
        let on = json!({"cancel_at_period_end": true});
        assert_eq!(shop.tell("2026-01-06T00:00:00Z", UPDATED, &subscription, on).await, ["RENEWAL_ENABLED"]);
        subscription["cancel_at"] = json!(unix(FEB));
        let off = json!({"cancel_at": null});
        assert_eq!(shop.tell("2026-01-07T00:00:00Z", UPDATED, &subscription, off).await, ["RENEWAL_DISABLED"]);
        shop.stop().await;
    }
}

fn canceled(mut subscription: Value, reason: Option<&str>, ended_at: &str) -> Value {
    subscription["status"] = json!("canceled");
    subscription["cancellation_details"] = json!({"reason": reason});
    subscription["canceled_at"] = json!(unix(ended_at));
    subscription["ended_at"] = json!(unix(ended_at));
    subscription
}

#[tokio::test]
async fn a_deletion_at_the_periods_end_ends_it() {
    let shop = Shop::open(JAN, Shape::New).await;
    let mut subscription = shop.bought().await;
    subscription["cancel_at_period_end"] = json!(true);
    shop.tell("2026-01-05T00:00:00Z", UPDATED, &subscription, json!({"cancel_at_period_end": false})).await;
    let mut ended = canceled(subscription, Some("cancellation_requested"), FEB);
    ended["canceled_at"] = json!(unix("2026-01-05T00:00:00Z"));
    let told = shop.tell("2026-02-01T00:00:05Z", "customer.subscription.deleted", &ended, Value::Null).await;
    assert_eq!(told, ["DEACTIVATE", "SUBSCRIPTION_TERMINATED"]);
    let event = &shop.hub.events().await[0];
    assert_eq!((&event["occurred_at"], &event["reason"]), (&json!(FEB), &json!("UNSUBSCRIBE")), "ended_at counts");
    shop.stop().await;
}

#[tokio::test]
async fn an_immediate_cancellation_is_told_as_one() {
    let shop = Shop::open(JAN, Shape::New).await;
    let subscription = shop.bought().await;
    let when = "2026-01-10T00:00:00Z";
    let ended = canceled(subscription, Some("cancellation_requested"), when);
    let told = shop.tell(when, "customer.subscription.deleted", &ended, Value::Null).await;
    assert_eq!(told, ["RENEWAL_DISABLED", "DEACTIVATE", "SUBSCRIPTION_TERMINATED"]);
    shop.stop().await;
}

#[tokio::test]
async fn a_disputed_payment_takes_it_back() {
    let shop = Shop::open(JAN, Shape::New).await;
    let subscription = shop.bought().await;
    let when = "2026-01-10T00:00:00Z";
    let ended = canceled(subscription, Some("payment_disputed"), when);
    let told = shop.tell(when, "customer.subscription.deleted", &ended, Value::Null).await;
    assert_eq!(
        told.iter().map(String::as_str).filter(|name| *name != "RENEWAL_DISABLED").collect::<Vec<_>>(),
        ["DEACTIVATE", "SUBSCRIPTION_REFUNDED_REVOKED"]
    );
    shop.stop().await;
}

#[tokio::test]
async fn another_price_is_another_plan_at_once() {
    for shape in BOTH {
        let shop = Shop::open(JAN, shape).await;
        for (price, rank) in [("price_a", 1), ("price_b", 2)] {
            let product = json!({"product_id": price, "entitlements": ["pro"], "rank": rank, "group": "pro"});
            shop.hub.api("POST", "/v1/products", product).await.expect(201);
        }
        shop.bought().await;
        let changed = shop.subscription("active", "price_b", JAN, FEB);
        let mut previous = json!({"plan": {"id": "price_a"}});
        previous["items"] = shop.subscription("active", "price_a", JAN, FEB)["items"].clone();
        let told = shop.tell("2026-01-10T00:00:00Z", UPDATED, &changed, previous).await;
        assert_eq!(told, ["DEACTIVATE", "ACTIVATE", "SUBSCRIPTION_UPGRADED"], "{shape:?}");
        let proration = shop.invoice("in_p", "subscription_update", 500, "price_b", "2026-01-10T00:00:00Z", FEB);
        let told = shop.tell("2026-01-10T00:00:01Z", "invoice.paid", &proration, Value::Null).await;
        assert_eq!(told, ["TRANSACTION_PROCESSED"], "money only, never a renewal");
        assert_eq!(shop.hub.events().await[0]["transaction"]["id"], "in_p");
        shop.stop().await;
    }
}

#[tokio::test]
async fn another_quantity_tells_only_its_money() {
    let shop = Shop::open(JAN, Shape::New).await;
    let mut subscription = shop.bought().await;
    let previous = json!({"quantity": 1, "items": subscription["items"]});
    subscription["items"]["data"][0]["quantity"] = json!(3);
    assert_eq!(shop.tell("2026-01-10T00:00:00Z", UPDATED, &subscription, previous).await, NOTHING);
    let proration = shop.invoice("in_p", "subscription_update", 1300, "price_a", "2026-01-10T00:00:00Z", FEB);
    assert_eq!(
        shop.tell("2026-01-10T00:00:01Z", "invoice.paid", &proration, Value::Null).await,
        ["TRANSACTION_PROCESSED"]
    );
    shop.stop().await;
}

#[tokio::test]
async fn a_change_that_waits_is_scheduled_and_can_be_taken_back() {
    let shop = Shop::open(JAN, Shape::New).await;
    let mut subscription = shop.bought().await;
    subscription["pending_update"] =
        json!({"expires_at": unix(FEB), "subscription_items": [{"id": "si_1", "price": {"id": "price_b"}}]});
    let told = shop.tell("2026-01-05T00:00:00Z", UPDATED, &subscription, json!({"pending_update": null})).await;
    assert_eq!(told, ["PLAN_CHANGE_SCHEDULED"]);
    subscription["pending_update"] = Value::Null;
    let told = shop
        .tell("2026-01-06T00:00:00Z", "customer.subscription.pending_update_expired", &subscription, Value::Null)
        .await;
    assert_eq!(told, ["PLAN_CHANGE_UNSCHEDULED"]);
    shop.stop().await;
}

#[tokio::test]
async fn a_schedule_changes_the_plan_at_its_phase() {
    for shape in BOTH {
        let shop = Shop::open(JAN, shape).await;
        let mut subscription = shop.bought().await;
        subscription["schedule"] = json!("sub_sched_1");
        shop.tell("2026-01-05T00:00:00Z", UPDATED, &subscription, json!({"schedule": null})).await;
        let phase = |price: &str, from: &str, to: &str| json!({"start_date": unix(from), "end_date": unix(to), "items": [{"price": price}]});
        let schedule = json!({
            "id": "sub_sched_1", "object": "subscription_schedule", "status": "active", "subscription": "sub_1", "livemode": true,
            "current_phase": {"start_date": unix(JAN), "end_date": unix(FEB)},
            "phases": [phase("price_a", JAN, FEB), phase("price_b", FEB, MAR)]
        });
        let told = shop.tell("2026-01-05T00:00:00Z", "subscription_schedule.updated", &schedule, Value::Null).await;
        assert_eq!(told, ["PLAN_CHANGE_SCHEDULED"]);
        let event = shop.hub.events().await[0].clone();
        assert_eq!(
            (&event["details"]["new_product_id"], &event["details"]["effective_at"]),
            (&json!("price_b"), &json!(FEB))
        );
        let mut changed = shop.subscription("active", "price_b", FEB, MAR);
        changed["schedule"] = json!("sub_sched_1");
        let mut previous = shop.moved(JAN, FEB);
        previous["items"] = shop.subscription("active", "price_a", JAN, FEB)["items"].clone();
        let told = shop.tell(FEB, UPDATED, &changed, previous).await;
        assert_eq!(told, ["DEACTIVATE", "ACTIVATE", "SUBSCRIPTION_CROSSGRADED", "SUBSCRIPTION_RENEWED"], "{shape:?}");
        let invoice = shop.invoice("in_2", "subscription_cycle", 1999, "price_b", FEB, MAR);
        assert_eq!(
            shop.tell("2026-02-01T01:00:00Z", "invoice.paid", &invoice, Value::Null).await,
            ["TRANSACTION_PROCESSED"]
        );
        shop.stop().await;
    }
}

#[tokio::test]
async fn a_released_schedule_schedules_nothing() {
    let shop = Shop::open(JAN, Shape::New).await;
    let mut subscription = shop.bought().await;
    subscription["schedule"] = json!("sub_sched_1");
    shop.tell("2026-01-05T00:00:00Z", UPDATED, &subscription, json!({"schedule": null})).await;
    let phase = |price: &str, from: &str, to: &str| json!({"start_date": unix(from), "end_date": unix(to), "items": [{"price": price}]});
    let mut schedule = json!({
        "id": "sub_sched_1", "object": "subscription_schedule", "status": "active", "subscription": "sub_1", "livemode": true,
        "current_phase": {"start_date": unix(JAN), "end_date": unix(FEB)},
        "phases": [phase("price_a", JAN, FEB), phase("price_b", FEB, MAR)]
    });
    shop.tell("2026-01-05T00:00:00Z", "subscription_schedule.updated", &schedule, Value::Null).await;
    schedule["status"] = json!("released");
    schedule["subscription"] = Value::Null;
    schedule["released_subscription"] = json!("sub_1");
    let told = shop.tell("2026-01-06T00:00:00Z", "subscription_schedule.released", &schedule, Value::Null).await;
    assert_eq!(told, ["PLAN_CHANGE_UNSCHEDULED"]);
    shop.stop().await;
}

/// Past due: the period has moved, the charge of its invoice failed.
async fn past_due(shop: &Shop) -> Vec<String> {
    let renewed = shop.subscription("active", "price_a", FEB, MAR);
    assert_eq!(shop.tell(FEB, UPDATED, &renewed, shop.moved(JAN, FEB)).await, NOTHING);
    let when = "2026-02-01T01:00:00Z";
    let mut told =
        shop.tell(when, "invoice.payment_failed", &unpaid(shop, 1, Some("2026-02-04T01:00:00Z")), Value::Null).await;
    let failing = shop.subscription("past_due", "price_a", FEB, MAR);
    told.extend(shop.tell(when, UPDATED, &failing, json!({"status": "active"})).await);
    told
}

fn unpaid(shop: &Shop, attempt: i64, next: Option<&str>) -> Value {
    let mut invoice = shop.invoice("in_2", "subscription_cycle", 999, "price_a", FEB, MAR);
    invoice["status"] = json!("open");
    invoice["paid"] = json!(false);
    invoice["amount_paid"] = json!(0);
    invoice["attempt_count"] = json!(attempt);
    invoice["next_payment_attempt"] = next.map_or(Value::Null, |next| json!(unix(next)));
    invoice
}

#[tokio::test]
async fn past_due_is_grace_and_recovers() {
    for shape in BOTH {
        let shop = Shop::open(JAN, shape).await;
        shop.bought().await;
        assert_eq!(past_due(&shop).await, ["PAYMENT_FAILED", "ACTIVATE", "GRACE_PERIOD_STARTED"], "{shape:?}");
        let event = shop.hub.events().await[0].clone();
        assert_eq!(event["purchase"]["grace_ends_at"], "2026-02-04T01:00:00Z");
        let again =
            shop.tell("2026-02-01T01:00:00Z", "invoice.payment_failed", &unpaid(&shop, 1, None), Value::Null).await;
        assert_eq!(again, NOTHING, "one attempt is told once");
        let second = unpaid(&shop, 2, Some("2026-02-09T01:00:00Z"));
        assert_eq!(
            shop.tell("2026-02-04T01:00:00Z", "invoice.payment_failed", &second, Value::Null).await,
            ["PAYMENT_FAILED"]
        );
        let recovered = shop.subscription("active", "price_a", FEB, MAR);
        let when = "2026-02-09T01:00:00Z";
        let told = shop.tell(when, UPDATED, &recovered, json!({"status": "past_due"})).await;
        assert_eq!(told, ["ACTIVATE", "SUBSCRIPTION_RECOVERED_FROM_GRACE_PERIOD"]);
        let paid = shop.invoice("in_2", "subscription_cycle", 999, "price_a", FEB, MAR);
        assert_eq!(shop.tell(when, "invoice.paid", &paid, Value::Null).await, ["TRANSACTION_PROCESSED"]);
        shop.stop().await;
    }
}

#[tokio::test]
async fn unpaid_loses_access_and_recovers() {
    let shop = Shop::open(JAN, Shape::New).await;
    shop.bought().await;
    past_due(&shop).await;
    let unpaid = shop.subscription("unpaid", "price_a", FEB, MAR);
    let told = shop.tell("2026-02-20T00:00:00Z", UPDATED, &unpaid, json!({"status": "past_due"})).await;
    assert_eq!(told, ["DEACTIVATE", "GRACE_PERIOD_TERMINATED", "ENTERED_BILLING_RETRY"]);
    let active = shop.subscription("active", "price_a", FEB, MAR);
    let told = shop.tell("2026-02-21T00:00:00Z", UPDATED, &active, json!({"status": "unpaid"})).await;
    assert_eq!(told, ["ACTIVATE", "SUBSCRIPTION_RECOVERED_FROM_BILLING_RETRY"]);
    shop.stop().await;
}

#[tokio::test]
async fn unpaid_that_is_deleted_is_terminated_without_a_second_deactivate() {
    let shop = Shop::open(JAN, Shape::New).await;
    shop.bought().await;
    past_due(&shop).await;
    let unpaid = shop.subscription("unpaid", "price_a", FEB, MAR);
    shop.tell("2026-02-20T00:00:00Z", UPDATED, &unpaid, json!({"status": "past_due"})).await;
    let when = "2026-02-25T00:00:00Z";
    let ended = canceled(unpaid, Some("payment_failed"), when);
    let told = shop.tell(when, "customer.subscription.deleted", &ended, Value::Null).await;
    assert_eq!(told, ["SUBSCRIPTION_TERMINATED"]);
    shop.stop().await;
}

#[tokio::test]
async fn past_due_that_is_given_up_ends_the_grace() {
    let shop = Shop::open(JAN, Shape::New).await;
    shop.bought().await;
    past_due(&shop).await;
    let when = "2026-02-20T00:00:00Z";
    let ended = canceled(shop.subscription("canceled", "price_a", FEB, MAR), Some("payment_failed"), when);
    let told = shop.tell(when, "customer.subscription.deleted", &ended, Value::Null).await;
    assert_eq!(told, ["DEACTIVATE", "GRACE_PERIOD_TERMINATED", "SUBSCRIPTION_TERMINATED"]);
    shop.stop().await;
}

#[tokio::test]
async fn past_due_can_drop_access_at_once_or_after_days() {
    let shop = Shop::open_with(JAN, Shape::New, json!({"past_due_access": "drop"}), &[]).await;
    shop.bought().await;
    assert_eq!(past_due(&shop).await, ["PAYMENT_FAILED", "DEACTIVATE", "ENTERED_BILLING_RETRY"]);
    shop.stop().await;
    let shop = Shop::open_with(JAN, Shape::New, json!({"past_due_days": 3}), &[]).await;
    shop.bought().await;
    assert_eq!(past_due(&shop).await, ["PAYMENT_FAILED", "ACTIVATE", "GRACE_PERIOD_STARTED"]);
    assert_eq!(shop.hub.events().await[0]["purchase"]["grace_ends_at"], "2026-02-04T00:00:00Z");
    let failing = shop.subscription("past_due", "price_a", FEB, MAR);
    let told = shop.tell("2026-02-04T00:00:00Z", UPDATED, &failing, json!({"default_payment_method": null})).await;
    assert_eq!(told, ["DEACTIVATE", "GRACE_PERIOD_TERMINATED", "ENTERED_BILLING_RETRY"]);
    shop.stop().await;
}

#[tokio::test]
async fn a_pause_of_the_collection_that_voids_is_a_pause_from_the_periods_end_on() {
    for shape in BOTH {
        let shop = Shop::open(JAN, shape).await;
        let mut subscription = shop.bought().await;
        subscription["pause_collection"] = json!({"behavior": "void", "resumes_at": null});
        let set = json!({"pause_collection": null});
        assert_eq!(shop.tell("2026-01-10T00:00:00Z", UPDATED, &subscription, set).await, ["SUBSCRIPTION_WILL_PAUSE"]);
        subscription["metadata"] = json!({"user_id": "user-1", "colour": "red"});
        let other = json!({"metadata": {"colour": null}});
        assert_eq!(shop.tell("2026-01-11T00:00:00Z", UPDATED, &subscription, other).await, NOTHING, "only repeated");
        let mut moved = shop.subscription("active", "price_a", FEB, MAR);
        moved["pause_collection"] = subscription["pause_collection"].clone();
        let told = shop.tell(FEB, UPDATED, &moved, shop.moved(JAN, FEB)).await;
        assert_eq!(told, ["DEACTIVATE", "SUBSCRIPTION_PAUSED"], "{shape:?}");
        let cleared = shop.subscription("active", "price_a", FEB, MAR);
        let clear = json!({"pause_collection": {"behavior": "void", "resumes_at": null}});
        let told = shop.tell("2026-02-10T00:00:00Z", UPDATED, &cleared, clear).await;
        assert_eq!(told, ["ACTIVATE", "SUBSCRIPTION_UNPAUSED"]);
        shop.stop().await;
    }
}

#[tokio::test]
async fn a_planned_pause_can_be_taken_back_and_other_behaviours_pause_nothing() {
    let shop = Shop::open(JAN, Shape::New).await;
    let mut subscription = shop.bought().await;
    subscription["pause_collection"] = json!({"behavior": "void"});
    shop.tell("2026-01-10T00:00:00Z", UPDATED, &subscription, json!({"pause_collection": null})).await;
    subscription["pause_collection"] = Value::Null;
    let clear = json!({"pause_collection": {"behavior": "void"}});
    assert_eq!(shop.tell("2026-01-11T00:00:00Z", UPDATED, &subscription, clear).await, ["SUBSCRIPTION_WILL_NOT_PAUSE"]);
    for behaviour in ["mark_uncollectible", "keep_as_draft"] {
        subscription["pause_collection"] = json!({"behavior": behaviour});
        let set = json!({"pause_collection": null});
        assert_eq!(shop.tell("2026-01-12T00:00:00Z", UPDATED, &subscription, set).await, NOTHING, "{behaviour}");
    }
    shop.stop().await;
}
