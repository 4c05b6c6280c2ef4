//! What the engine makes of whole lives, each event at the time of its making. One message of a store gives several events:
//! the first tells what happened, the others nothing.

use super::*;
use paidup_lifecycle::observation::Observation;

const DAY: i64 = 86_400_000;
const T0: i64 = 1_767_225_600_000;

fn sample(name: &str) -> Value {
    let path = golden::samples("purchasely/samples").into_iter().find(|(found, _)| found == name).unwrap().1;
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn observed(event: &Value) -> Observation {
    let mut read = verify(open().as_ref(), event.to_string().as_bytes()).unwrap().reading;
    read.observations.remove(0)
}

/// A sample at a moment after the start, in days.
fn on(name: &str, day: i64) -> Observation {
    let mut event = sample(name);
    event["event_created_at_ms"] = json!(T0 + day * DAY + 4000);
    event["event_id"] = json!(format!("{name}-{day}"));
    observed(&event)
}

fn plain(name: &str) -> Observation {
    observed(&sample(name))
}

#[track_caller]
fn lives(life: Vec<(Observation, &[&str])>) {
    let (observations, expected): (Vec<_>, Vec<_>) = life.into_iter().unzip();
    assert_eq!(golden::play(observations), expected);
}

const STARTED: &[&str] = &["ACTIVATE", "SUBSCRIPTION_STARTED"];

/// In any order of the events of one message.
#[test]
fn a_start_is_told_once() {
    let named = |name: &str| {
        let mut event = sample("activate_trial");
        event["event_name"] = json!(name);
        event["event_id"] = json!(name);
        observed(&event)
    };
    let names = ["ACTIVATE", "TRIAL_STARTED", "SUBSCRIPTION_STARTED"];
    for order in [[0, 1, 2], [1, 0, 2], [0, 2, 1], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let told = golden::play(order.map(|index| named(names[index])));
        let all: Vec<&str> = told.concat();
        assert_eq!(all, ["ACTIVATE", "SUBSCRIPTION_STARTED", "TRIAL_STARTED"], "{order:?}");
    }
}

#[test]
fn renewed_and_switched_off_and_over() {
    lives(vec![
        (plain("activate"), STARTED),
        (plain("subscription_started"), &[]),
        (plain("transaction_processed"), &[]),
        (plain("renewal_disabled"), &["RENEWAL_DISABLED"]),
        (plain("renewal_enabled"), &["RENEWAL_ENABLED"]),
        (plain("activate_renewal"), &["ACTIVATE", "SUBSCRIPTION_RENEWED"]),
        (plain("subscription_renewed"), &[]),
    ]);
    lives(vec![
        (plain("activate"), STARTED),
        (plain("renewal_disabled"), &["RENEWAL_DISABLED"]),
        (plain("deactivate"), &["DEACTIVATE", "SUBSCRIPTION_TERMINATED"]),
        (plain("subscription_terminated"), &[]),
        (plain("subscription_reactivated"), &["ACTIVATE", "SUBSCRIPTION_REACTIVATED"]),
    ]);
}

#[test]
fn a_trial_converts_or_not() {
    let started: &[&str] = &["ACTIVATE", "SUBSCRIPTION_STARTED", "TRIAL_STARTED"];
    let paid = |name: &str| {
        let mut event = sample(name);
        event["purchased_at_ms"] = json!(T0 + 7 * DAY);
        event["event_created_at_ms"] = json!(T0 + 7 * DAY + 4000);
        observed(&event)
    };
    lives(vec![
        (plain("activate_trial"), started),
        (paid("activate_renewal"), &["ACTIVATE", "SUBSCRIPTION_RENEWED", "TRIAL_CONVERTED"]),
        (paid("trial_converted"), &[]),
    ]);
    lives(vec![
        (plain("activate_trial"), started),
        (plain("trial_not_converted"), &["DEACTIVATE", "SUBSCRIPTION_TERMINATED", "TRIAL_NOT_CONVERTED"]),
        (plain("deactivate"), &[]),
    ]);
}

#[test]
fn grace_is_recovered_or_lost() {
    let grace: &[&str] = &["ACTIVATE", "GRACE_PERIOD_STARTED"];
    lives(vec![
        (plain("activate"), STARTED),
        (plain("grace_period_started"), grace),
        (plain("subscription_recovered_from_grace_period"), &["ACTIVATE", "SUBSCRIPTION_RECOVERED_FROM_GRACE_PERIOD"]),
    ]);
    lives(vec![
        (plain("activate"), STARTED),
        (plain("grace_period_started"), grace),
        (plain("grace_period_terminated"), &["DEACTIVATE", "GRACE_PERIOD_TERMINATED", "SUBSCRIPTION_TERMINATED"]),
    ]);
    lives(vec![
        (plain("activate"), STARTED),
        (plain("grace_period_started"), grace),
        (
            plain("subscription_cancelled_during_grace_period"),
            &["DEACTIVATE", "SUBSCRIPTION_CANCELLED_DURING_GRACE_PERIOD", "SUBSCRIPTION_TERMINATED"],
        ),
    ]);
}

#[test]
fn billing_retry_is_recovered() {
    lives(vec![
        (plain("activate"), STARTED),
        (plain("deactivate_on_hold"), &["DEACTIVATE", "ENTERED_BILLING_RETRY"]),
        (plain("entered_billing_retry"), &[]),
        (
            plain("subscription_recovered_from_billing_retry"),
            &["ACTIVATE", "SUBSCRIPTION_RECOVERED_FROM_BILLING_RETRY"],
        ),
    ]);
}

#[test]
fn a_pause_is_planned_taken_back_begun_and_over() {
    let play = |name: &str, day: i64| {
        let mut event = sample(name);
        event["store"] = json!("GOOGLE_PLAY_STORE");
        event["event_created_at_ms"] = json!(T0 + day * DAY + 4000);
        observed(&event)
    };
    lives(vec![
        (play("activate", 0), STARTED),
        (play("subscription_will_pause", 9), &["SUBSCRIPTION_WILL_PAUSE"]),
        (play("subscription_will_not_pause", 10), &["SUBSCRIPTION_WILL_NOT_PAUSE"]),
        (play("subscription_will_pause", 11), &["SUBSCRIPTION_WILL_PAUSE"]),
        (play("deactivate_paused", 31), &["DEACTIVATE", "SUBSCRIPTION_PAUSED"]),
        (play("subscription_paused", 31), &[]),
        (play("subscription_unpaused", 61), &["ACTIVATE", "SUBSCRIPTION_UNPAUSED"]),
    ]);
    lives(vec![
        (play("activate", 0), STARTED),
        (play("subscription_paused", 31), &["DEACTIVATE", "SUBSCRIPTION_PAUSED"]),
        (
            play("subscription_cancelled_during_pause", 50),
            &["SUBSCRIPTION_CANCELLED_DURING_PAUSE", "SUBSCRIPTION_TERMINATED"],
        ),
    ]);
}

#[test]
fn a_refund_takes_access_and_an_activate_gives_it_back() {
    lives(vec![
        (plain("activate"), STARTED),
        (plain("transaction_processed"), &[]),
        (plain("deactivate_revoked"), &["DEACTIVATE", "SUBSCRIPTION_REFUNDED_REVOKED"]),
        (plain("subscription_refunded_revoked"), &[]),
        (plain("transaction_processed_refund"), &[]),
        (on("activate", 12), &["ACTIVATE", "REFUND_REVERSED"]),
    ]);
    lives(vec![
        (plain("activate"), STARTED),
        (plain("transaction_processed"), &[]),
        (plain("transaction_processed_refund"), &["REFUND_RECORDED"]),
        (plain("deactivate_revoked"), &["DEACTIVATE", "SUBSCRIPTION_REFUNDED_REVOKED"]),
    ]);
    lives(vec![(plain("activate"), STARTED), (plain("deactivate_family"), &["DEACTIVATE", "FAMILY_SHARED_REVOKED"])]);
}

#[test]
fn part_of_a_price_that_goes_back_takes_nothing_away() {
    lives(vec![
        (plain("activate"), STARTED),
        (plain("transaction_processed"), &[]),
        (plain("transaction_processed_partial_refund"), &["REFUND_RECORDED"]),
    ]);
}

/// The old plan's DEACTIVATE ends nothing, wherever it comes.
#[test]
fn a_plan_changes_without_a_gap() {
    let changed: &[&str] = &["DEACTIVATE", "ACTIVATE", "SUBSCRIPTION_UPGRADED"];
    lives(vec![
        (plain("activate"), STARTED),
        (plain("deactivate_old_plan"), &[]),
        (plain("subscription_upgraded"), changed),
    ]);
    lives(vec![
        (plain("activate"), STARTED),
        (plain("subscription_upgraded"), changed),
        (plain("deactivate_old_plan"), &[]),
    ]);
    lives(vec![
        (plain("activate"), STARTED),
        (
            plain("subscription_downgraded"),
            &["DEACTIVATE", "ACTIVATE", "SUBSCRIPTION_DOWNGRADED", "SUBSCRIPTION_RENEWED"],
        ),
    ]);
    let other = plain("subscription_upgraded_to_another");
    assert_eq!(other.replaces.as_deref(), Some("subs_1aB2cD3eF4"), "the plan's subscription has another id");
}

/// The status of whoever loses it is no word on the subscription, and none on its owner.
#[test]
fn a_transfer_ends_nothing() {
    let moved: &[&str] = &["DEACTIVATE", "SUBSCRIPTION_TRANSFERRED", "ACTIVATE", "SUBSCRIPTION_RECEIVED"];
    lives(vec![
        (plain("activate"), STARTED),
        (plain("deactivate_transferred"), &[]),
        (plain("subscription_transferred"), moved),
        (plain("subscription_received"), &[]),
    ]);
    lives(vec![
        (plain("activate"), STARTED),
        (plain("subscription_received"), moved),
        (plain("deactivate_transferred"), &[]),
        (plain("subscription_transferred"), &[]),
    ]);
    let once: &[&str] = &["DEACTIVATE", "ONE_TIME_PURCHASE_TRANSFERRED", "ACTIVATE", "ONE_TIME_PURCHASE_RECEIVED"];
    lives(vec![
        (plain("activate_non_consumable"), &["ACTIVATE", "ONE_TIME_PURCHASED"]),
        (plain("deactivate_once"), &[]),
        (plain("one_time_purchase_transferred"), once),
        (plain("one_time_purchase_received"), &[]),
    ]);
}

#[test]
fn what_is_bought_once_is_refunded() {
    lives(vec![
        (plain("activate_non_consumable"), &["ACTIVATE", "ONE_TIME_PURCHASED"]),
        (plain("deactivate_once"), &[]),
        (plain("transaction_processed_refund_once"), &["DEACTIVATE", "ONE_TIME_REFUNDED"]),
    ]);
}

#[test]
fn an_extension_is_told() {
    lives(vec![(plain("activate"), STARTED), (plain("subscription_deferred"), &["SUBSCRIPTION_DEFERRED"])]);
}

#[test]
fn a_life_that_is_first_heard_of_in_its_middle() {
    for (name, told) in [
        ("activate_renewal", &["ACTIVATE"][..]),
        ("subscription_renewed", &["ACTIVATE", "SUBSCRIPTION_RENEWED"]),
        ("renewal_disabled", &["ACTIVATE", "RENEWAL_DISABLED"]),
        ("grace_period_started", &["ACTIVATE", "GRACE_PERIOD_STARTED"]),
        ("deactivate", &[]),
        ("deactivate_once", &[]),
    ] {
        assert_eq!(golden::play([plain(name)]), [told], "{name}");
    }
    assert_eq!(golden::play([on("subscription_unpaused", 61)]), [["ACTIVATE", "SUBSCRIPTION_UNPAUSED"]]);
}
