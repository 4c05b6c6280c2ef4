//! Changes of plan and other things that an event tells too early, too late or not at all: what is asked then, and what is
//! not concluded.

use super::answers::{FIRST, SECOND, answer, asked, one, snowflake, subscription, time, told};
use super::*;
use crate::{Refusal, Wanted as Asked};
use http::StatusCode;
use paidup_lifecycle::observation::Standing;

fn refused(lookup: &Lookup, status: StatusCode) -> Refusal {
    open(Some(TOKEN)).refused(&Asked::Lookup(&lookup.name, &lookup.context), status, b"{}")
}

fn nothing(lookup: &Lookup, at: i64) -> Reading {
    assert_eq!(refused(lookup, StatusCode::NOT_FOUND), Refusal::Answer("null".into()), "{lookup:?}");
    answer(lookup, at, &Value::Null)
}

fn names(reading: &Reading) -> Vec<&str> {
    reading.lookups.iter().map(|lookup| lookup.name.as_str()).collect()
}

/// Where another plan follows, the old one's entitlement ends before the new one's is there.
#[test]
fn the_end_of_the_old_plan_is_no_unpaid_bill() {
    let ended = told("entitlement_update_ended", Some(TOKEN)).lookups.remove(0);
    let at = T0 + 31 * DAY + 2_000;
    let standing = |renewal: &str| {
        let body = subscription(0, FIRST, json!({"entitlement_ids": [], "renewal_sku_ids": [renewal]}));
        one(answer(&ended, at, &body)).facets.standing.map(|standing| standing.value)
    };
    assert_eq!(standing(SKU_2), None, "it goes on as it was");
    assert_eq!(standing(SKU), Some(Standing::BillingRetry));
}

#[test]
fn an_event_of_an_earlier_period_decides_nothing() {
    let ended = told("entitlement_update_ended", Some(TOKEN)).lookups.remove(0);
    for status in [0, 1] {
        let reading = answer(&ended, T0 + 62 * DAY, &subscription(status, SECOND, json!({"entitlement_ids": []})));
        assert_eq!(names(&reading), [format!("entitlements_of/{USER}")], "status {status}");
        assert_eq!(one(reading).facets.standing, None, "status {status}");
    }
}

/// What runs on past the end of its period has to be asked about again: that it stands is said of that period.
#[test]
fn what_entitlements_decide_is_said_of_the_period() {
    let at = T0 + 32 * DAY;
    let first = answer(&asked(), at, &subscription(0, FIRST, json!({})));
    let living = answers::sample("entitlement_create")["event"]["data"].clone();
    let decided = one(answer(&first.lookups[0], at, &json!([living]))).facets;
    let (period, standing) = (decided.period.unwrap(), decided.standing.unwrap());
    assert_eq!(period.stamp, standing.stamp);
    assert_eq!(period.value.ends_at.map(Timestamp::as_millis), Some(FIRST.1));
}

/// A refund of long ago is no end: the newest entitlement says which it was.
#[test]
fn the_newest_entitlement_says_whether_it_was_refunded() {
    let entitlement = |began: i64, deleted: bool| {
        let mut entitlement = answers::sample("entitlement_create")["event"]["data"].clone();
        entitlement["id"] = json!(snowflake(began, 7));
        entitlement["deleted"] = json!(deleted);
        entitlement["ends_at"] = json!(time(T0 + 59 * DAY));
        entitlement
    };
    let at = T0 + 60 * DAY;
    for (older, newer, expected) in [(false, true, Standing::Revoked), (true, false, Standing::Expired)] {
        let first = answer(&asked(), at, &subscription(1, SECOND, json!({"entitlement_ids": []})));
        let rows = json!([entitlement(T0 + 40 * DAY, newer), entitlement(T0, older)]);
        assert_eq!(one(answer(&first.lookups[0], at, &rows)).facets.standing.unwrap().value, expected);
    }
}

/// A subscription that changed its plan is not under its old SKU any more. That is no end: it is looked for.
#[test]
fn a_subscription_that_has_another_sku_is_looked_for() {
    let at = T0 + 40 * DAY;
    let new = json!({"sku_ids": [SKU_2], "entitlement_ids": [snowflake(T0 + 40 * DAY, 3)]});
    // The engine asks; nobody knows the user.
    let reading = nothing(&asked(), at);
    assert_eq!(names(&reading), ["skus"]);
    let skus = json!([{"id": SKU, "type": 5}, {"id": SKU_2, "type": 5}, {"id": ONCE, "type": 3}]);
    let places = answer(&reading.lookups[0], at, &skus);
    let expected = [SKU, SKU_2].map(|sku| format!("subscription/{sku}/{SUBSCRIPTION}"));
    assert_eq!(names(&places), expected);
    let elsewhere = nothing(&places.lookups[0], at);
    assert!(elsewhere.observations.is_empty() && elsewhere.lookups.is_empty(), "one of several places");
    let found = one(answer(&places.lookups[1], at, &subscription(0, SECOND, new.clone())));
    assert_eq!(found.facets.product.unwrap().value, SKU_2);
    let asked_about = one(reading);
    assert_eq!(asked_about.key, found.key, "the question is answered");
    assert_eq!(asked_about.facets, Default::default(), "with nothing");
    // The end of the old plan's entitlement was told: the user's others say where it is.
    let ended = told("entitlement_update_ended", Some(TOKEN)).lookups.remove(0);
    let reading = nothing(&ended, at);
    assert_eq!(names(&reading), [format!("entitlements_of/{USER}")]);
    let sample = answers::sample("entitlement_create_of_new_plan")["event"]["data"].clone();
    let old = answers::sample("entitlement_update_ended")["event"]["data"].clone();
    let places = answer(&reading.lookups[0], at, &json!([old, sample]));
    assert_eq!(names(&places), [format!("subscription/{SKU_2}/{SUBSCRIPTION}")]);
    assert_eq!(one(answer(&places.lookups[0], at, &subscription(0, SECOND, new))).facets.product.unwrap().value, SKU_2);
    let places = answer(&reading.lookups[0], at, &json!([]));
    assert!(places.lookups.is_empty() && places.observations.is_empty());
}

/// The new plan's entitlement is told before its subscription has the SKU: it will be there in a moment.
#[test]
fn a_subscription_that_does_not_have_its_new_sku_yet_is_asked_for_again() {
    let new = told("entitlement_create_of_new_plan", Some(TOKEN)).lookups.remove(0);
    assert_eq!(refused(&new, StatusCode::NOT_FOUND), Refusal::Later);
    let claim = crate::Claim { subscription_id: Some(SUBSCRIPTION.to_owned()), ..Default::default() };
    let crate::Claimed::LookUp(claimed) = open(Some(TOKEN)).claim(&claim, Timestamp::MIN).unwrap() else {
        panic!("a lookup")
    };
    for lookup in claimed {
        assert_eq!(refused(&lookup, StatusCode::NOT_FOUND), Refusal::Final, "{lookup:?}");
        assert_eq!(refused(&lookup, StatusCode::UNAUTHORIZED), Refusal::Credentials);
        assert_eq!(refused(&lookup, StatusCode::BAD_GATEWAY), Refusal::Later);
    }
}

/// Upgraded on the day of the purchase: the second entitlement begins near its subscription too, and is no second start.
#[test]
fn an_upgrade_on_the_first_day_is_told_with_its_period() {
    let started = told("entitlement_create", Some(TOKEN));
    let first = one(answer(&started.lookups[0], T0 + 2000, &subscription(0, FIRST, json!({}))));
    let mut event = answers::sample("entitlement_create");
    event["event"]["timestamp"] = json!("2026-01-01T03:00:00.900406");
    let entitlement = &mut event["event"]["data"];
    entitlement["id"] = json!(snowflake(T0 + 3 * 3_600_000, 7));
    entitlement["sku_id"] = json!(SKU_2);
    entitlement["starts_at"] = json!(time(T0 + 3 * 3_600_000));
    let upgraded = verify(open(Some(TOKEN)).as_ref(), event.to_string().as_bytes()).unwrap().remove(0).reading;
    let new = json!({"sku_ids": [SKU_2]});
    let now = subscription(0, (T0 + 3 * 3_600_000, T0 + 31 * DAY + 3 * 3_600_000), new);
    let now = one(answer(&upgraded.lookups[0], T0 + 3 * 3_600_000 + 2000, &now));
    assert!(upgraded.observations.is_empty(), "nothing before its subscription is known");
    let told = golden::play([one(started), first, now]);
    assert_eq!(told[2], ["DEACTIVATE", "ACTIVATE", "SUBSCRIPTION_CROSSGRADED"]);
}

/// In demonstrations a month passes in seconds.
#[test]
fn periods_of_seconds_follow_each_other() {
    let started = told("entitlement_create", Some(TOKEN));
    let at = |period: i64| (T0 + period * 6_000, T0 + (period + 1) * 6_000);
    let look =
        |now: i64, period: i64| one(answer(&started.lookups[0], T0 + now, &subscription(0, at(period), json!({}))));
    let observations = [one(started.clone()), look(1_000, 0), look(7_000, 1), look(20_000, 3)];
    let told = golden::play(observations);
    assert_eq!(told[1..], [vec![], vec!["ACTIVATE", "SUBSCRIPTION_RENEWED"], vec!["ACTIVATE", "SUBSCRIPTION_RENEWED"]]);
}

/// The refund came before the purchase, which is looked up after it.
#[test]
fn a_purchase_that_is_told_late_undoes_no_refund() {
    let bought = told("entitlement_create_once", Some(TOKEN)).lookups.remove(0);
    let refunded = one(told("entitlement_delete_once", Some(TOKEN)));
    let skus = json!([{"id": ONCE, "type": 2}]);
    let late = one(answer(&bought, T0 + 20 * DAY, &skus));
    let told = golden::play([refunded, late]).concat();
    assert!(!told.contains(&"REFUND_REVERSED") && !told.contains(&"ACTIVATE"), "{told:?}");
}
