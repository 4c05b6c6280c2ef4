//! What the engine makes of whole lives (RevenueCat's event flows), each event at the time of its making.

use super::*;
use paidup_lifecycle::observation::Observation;

const DAY: i64 = 86_400_000;
const T0: i64 = 1_767_225_600_000;

fn sample(name: &str) -> Value {
    let path = golden::samples("revenuecat/samples").into_iter().find(|(found, _)| found == name).unwrap().1;
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A sample with changes, and the moment after the start, in days.
fn event(name: &str, day: i64, more: Value) -> Observation {
    let mut event = sample(name);
    event["event"]["event_timestamp_ms"] = json!(T0 + day * DAY + 1000);
    event["event"]["id"] = json!(format!("{name}-{day}"));
    event["event"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let mut read = verify(open().as_ref(), event.to_string().as_bytes()).unwrap().reading;
    read.observations.remove(0)
}

fn plain(name: &str, day: i64) -> Observation {
    event(name, day, json!({}))
}

fn second_period() -> Value {
    json!({"purchased_at_ms": T0 + 31 * DAY, "expiration_at_ms": T0 + 59 * DAY, "transaction_id": "310000000000002"})
}

#[track_caller]
fn lives(life: Vec<(Observation, &[&str])>) {
    let (observations, expected): (Vec<_>, Vec<_>) = life.into_iter().unzip();
    assert_eq!(golden::play(observations), expected);
}

#[test]
fn purchase_cancel_lapse() {
    lives(vec![
        (plain("initial_purchase", 0), &["ACTIVATE", "SUBSCRIPTION_STARTED"]),
        (plain("cancellation_unsubscribe", 9), &["RENEWAL_DISABLED"]),
        (plain("uncancellation", 10), &["RENEWAL_ENABLED"]),
        (plain("cancellation_unsubscribe", 11), &["RENEWAL_DISABLED"]),
        (plain("expiration_unsubscribe", 31), &["DEACTIVATE", "SUBSCRIPTION_TERMINATED"]),
        (plain("renewal", 40), &["ACTIVATE", "SUBSCRIPTION_REACTIVATED"]),
    ]);
}

#[test]
fn a_trial_converts() {
    lives(vec![
        (plain("initial_purchase_trial", 0), &["ACTIVATE", "SUBSCRIPTION_STARTED", "TRIAL_STARTED"]),
        (
            event("renewal_trial_conversion", 7, json!({"purchased_at_ms": T0 + 7 * DAY})),
            &["ACTIVATE", "SUBSCRIPTION_RENEWED", "TRIAL_CONVERTED"],
        ),
    ]);
    lives(vec![
        (plain("initial_purchase_trial", 0), &["ACTIVATE", "SUBSCRIPTION_STARTED", "TRIAL_STARTED"]),
        (plain("cancellation_trial", 2), &["RENEWAL_DISABLED"]),
        (plain("expiration_unsubscribe", 7), &["DEACTIVATE", "SUBSCRIPTION_TERMINATED", "TRIAL_NOT_CONVERTED"]),
    ]);
}

/// Without an UNCANCELLATION.
#[test]
fn a_billing_issue_with_grace_is_recovered() {
    lives(vec![
        (plain("initial_purchase", 0), &["ACTIVATE", "SUBSCRIPTION_STARTED"]),
        (plain("billing_issue_grace", 31), &["ACTIVATE", "GRACE_PERIOD_STARTED", "PAYMENT_FAILED"]),
        (plain("cancellation_billing_error", 31), &[]),
        (event("renewal", 35, second_period()), &["ACTIVATE", "SUBSCRIPTION_RECOVERED_FROM_GRACE_PERIOD"]),
    ]);
}

#[test]
fn a_billing_issue_with_grace_is_lost() {
    lives(vec![
        (plain("initial_purchase", 0), &["ACTIVATE", "SUBSCRIPTION_STARTED"]),
        (plain("cancellation_billing_error", 31), &["PAYMENT_FAILED"]),
        (plain("billing_issue_grace", 31), &["ACTIVATE", "GRACE_PERIOD_STARTED"]),
        (plain("expiration_billing_error", 47), &["DEACTIVATE", "GRACE_PERIOD_TERMINATED", "SUBSCRIPTION_TERMINATED"]),
        (event("renewal", 50, second_period()), &["ACTIVATE", "SUBSCRIPTION_REACTIVATED"]),
    ]);
}

/// The three may be of the same moment and come in any order.
#[test]
fn a_billing_issue_without_grace_ends_at_once_in_any_order() {
    let trouble =
        || ["billing_issue", "cancellation_billing_error", "expiration_billing_error"].map(|name| plain(name, 31));
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let [one, two, three] = order.map(|index| trouble()[index].clone());
        let told = golden::play([plain("initial_purchase", 0), one, two, three]);
        let mut later: Vec<&str> = told[1..].iter().flatten().copied().collect();
        later.sort_unstable();
        assert_eq!(later, ["DEACTIVATE", "PAYMENT_FAILED", "SUBSCRIPTION_TERMINATED"], "{order:?}");
    }
}

#[test]
fn a_grace_period_on_the_web_is_inside_of_the_end() {
    let stripe = json!({"store": "STRIPE", "transaction_id": "in_1", "original_transaction_id": "sub_1"});
    let mut next = second_period();
    next.as_object_mut().unwrap().extend(stripe.as_object().unwrap().clone());
    next["transaction_id"] = json!("in_2");
    lives(vec![
        (event("initial_purchase", 0, stripe), &["ACTIVATE", "SUBSCRIPTION_STARTED"]),
        (plain("billing_issue_stripe", 31), &["ACTIVATE", "GRACE_PERIOD_STARTED", "PAYMENT_FAILED"]),
        (event("renewal", 33, next), &["ACTIVATE", "SUBSCRIPTION_RECOVERED_FROM_GRACE_PERIOD"]),
    ]);
}

#[test]
fn a_refund_ends_access_with_its_expiration() {
    lives(vec![
        (plain("initial_purchase", 0), &["ACTIVATE", "SUBSCRIPTION_STARTED"]),
        (plain("cancellation_refund", 9), &["REFUND_RECORDED"]),
        (plain("expiration_refund", 9), &["DEACTIVATE", "SUBSCRIPTION_REFUNDED_REVOKED"]),
        (plain("refund_reversed", 12), &["ACTIVATE", "REFUND_REVERSED"]),
    ]);
    lives(vec![
        (plain("initial_purchase", 0), &["ACTIVATE", "SUBSCRIPTION_STARTED"]),
        (plain("cancellation_refund_over", 9), &["DEACTIVATE", "SUBSCRIPTION_REFUNDED_REVOKED"]),
        (plain("expiration_refund", 9), &[]),
    ]);
}

#[test]
fn what_is_bought_once() {
    lives(vec![
        (plain("non_renewing_purchase", 0), &["ACTIVATE", "ONE_TIME_PURCHASED"]),
        (event("cancellation_refund_once", 9, json!({})), &["DEACTIVATE", "ONE_TIME_REFUNDED"]),
    ]);
    lives(vec![
        (plain("non_renewing_purchase_with_end", 0), &["ACTIVATE", "ONE_TIME_PURCHASED"]),
        (plain("expiration_unsubscribe", 31), &["DEACTIVATE", "ONE_TIME_EXPIRED"]),
    ]);
}

#[test]
fn a_grant_is_given_and_taken_away() {
    lives(vec![
        (plain("non_renewing_purchase_grant", 0), &["ACTIVATE", "PROMO_GRANTED"]),
        (plain("cancellation_grant", 9), &["DEACTIVATE", "PROMO_REVOKED"]),
        (plain("expiration_grant_removed", 9), &[]),
    ]);
}

#[test]
fn a_pause_begins_with_an_expiration() {
    let play = json!({"store": "PLAY_STORE", "transaction_id": "GPA.3300-0000-0000-00001",
        "original_transaction_id": "GPA.3300-0000-0000-00001"});
    let mut next = second_period();
    next.as_object_mut().unwrap().extend(play.as_object().unwrap().clone());
    next["transaction_id"] = json!("GPA.3300-0000-0000-00001..0");
    lives(vec![
        (event("initial_purchase", 0, play), &["ACTIVATE", "SUBSCRIPTION_STARTED"]),
        (plain("subscription_paused", 9), &["SUBSCRIPTION_WILL_PAUSE"]),
        (plain("expiration_paused", 31), &["DEACTIVATE", "SUBSCRIPTION_PAUSED"]),
        (event("renewal", 61, next), &["ACTIVATE", "SUBSCRIPTION_UNPAUSED"]),
    ]);
}

#[test]
fn a_plan_changes_now_or_with_the_renewal() {
    let yearly = json!({"product_id": "pro_yearly", "transaction_id": "310000000000002"});
    let mut now = yearly.clone();
    now["purchased_at_ms"] = json!(T0 + 9 * DAY);
    let started: &[&str] = &["ACTIVATE", "SUBSCRIPTION_STARTED"];
    // RevenueCat calls a change at once a RENEWAL too.
    let changed: &[&str] = &["DEACTIVATE", "ACTIVATE", "SUBSCRIPTION_CROSSGRADED", "SUBSCRIPTION_RENEWED"];
    lives(vec![
        (plain("initial_purchase", 0), started),
        (plain("product_change", 9), &["PLAN_CHANGE_SCHEDULED"]),
        (event("renewal", 9, now.clone()), changed),
    ]);
    // The two of one moment, the other way round: nothing was announced any more.
    lives(vec![
        (plain("initial_purchase", 0), started),
        (event("renewal", 9, now), changed),
        (plain("product_change", 9), &[]),
    ]);
    lives(vec![
        (plain("initial_purchase", 0), started),
        (plain("product_change", 9), &["PLAN_CHANGE_SCHEDULED"]),
        (event("renewal", 31, yearly), changed),
    ]);
}

#[test]
fn an_extension_and_a_price_increase() {
    lives(vec![
        (plain("initial_purchase", 0), &["ACTIVATE", "SUBSCRIPTION_STARTED"]),
        (plain("subscription_extended", 9), &["SUBSCRIPTION_DEFERRED"]),
        (plain("price_increase_consent_required", 9), &["PRICE_INCREASE_PENDING"]),
        (plain("price_increase_consent_approved", 10), &["PRICE_INCREASE_ACCEPTED"]),
    ]);
}

/// Amazon's receipt keeps its id: periods are told apart by their start.
#[test]
fn a_receipt_that_keeps_its_id_renews() {
    lives(vec![
        (plain("initial_purchase_amazon", 0), &["ACTIVATE", "SUBSCRIPTION_STARTED"]),
        (plain("renewal_amazon", 31), &["ACTIVATE", "SUBSCRIPTION_RENEWED"]),
        (plain("renewal_amazon", 31), &[]),
    ]);
}

#[test]
fn a_life_that_is_first_heard_of_in_its_middle() {
    for (name, day, told) in [
        ("renewal", 31, &["ACTIVATE", "SUBSCRIPTION_RENEWED"][..]),
        ("cancellation_unsubscribe", 9, &["ACTIVATE", "RENEWAL_DISABLED"]),
        ("billing_issue_grace", 31, &["ACTIVATE", "GRACE_PERIOD_STARTED", "PAYMENT_FAILED"]),
        ("expiration_unsubscribe", 31, &[]),
    ] {
        assert_eq!(golden::play([plain(name, day)]), [told], "{name}");
    }
}

/// RENEWAL and EXPIRATION of the lapsed period before it may be made in the same moment.
#[test]
fn an_end_of_the_period_before_does_not_end_the_new_one() {
    let renewal = event("renewal", 40, json!({"purchased_at_ms": T0 + 40 * DAY, "expiration_at_ms": T0 + 70 * DAY}));
    for order in [[0, 1], [1, 0]] {
        let pair = [plain("expiration_unsubscribe", 40), renewal.clone()];
        let [one, two] = order.map(|index| pair[index].clone());
        let told = golden::play([plain("initial_purchase", 0), one, two]);
        let last = told.iter().flatten().rfind(|event| event.ends_with("ACTIVATE"));
        assert_eq!(last, Some(&"ACTIVATE"), "{order:?}: {told:?}");
    }
}
