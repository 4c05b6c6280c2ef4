//! What Discord's API answers: subscriptions in every status, lists in either order, and what follows from each.

use super::*;
use crate::{Ask, Claim, Claimed};
use paidup_lifecycle::observation::{Environment, Kind, Observation, Standing};

pub(super) fn snowflake(ms: i64, tail: u64) -> String {
    (((ms - 1_420_070_400_000).unsigned_abs() << 22) | tail).to_string()
}

pub(super) fn time(ms: i64) -> String {
    Timestamp::from_millis(ms).unwrap().to_string().replace('Z', "+00:00")
}

pub(super) fn sample(name: &str) -> Value {
    let path = golden::samples("discord/samples").into_iter().find(|(found, _)| found == name).unwrap().1;
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

pub(super) fn told(name: &str, token: Option<&str>) -> Reading {
    verify(open(token).as_ref(), sample(name).to_string().as_bytes()).unwrap().remove(0).reading
}

/// The subscription as it stands, in the live numbering.
pub(super) fn subscription(status: u8, period: (i64, i64), more: Value) -> Value {
    let mut subscription = json!({
        "id": SUBSCRIPTION, "user_id": USER, "sku_ids": [SKU], "entitlement_ids": ["1456074444148572167"],
        "renewal_sku_ids": null, "current_period_start": time(period.0), "current_period_end": time(period.1),
        "status": status, "canceled_at": null
    });
    subscription.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    subscription
}

pub(super) const FIRST: (i64, i64) = (T0, T0 + 31 * DAY);
pub(super) const SECOND: (i64, i64) = (T0 + 31 * DAY, T0 + 59 * DAY);

pub(super) fn answer(lookup: &Lookup, at: i64, body: &Value) -> Reading {
    let id = looked_up_id(Timestamp::from_millis(at).unwrap(), &lookup.name, &lookup.context);
    open(Some(TOKEN)).read_kept(&id, body.to_string().as_bytes()).unwrap()
}

pub(super) fn question(id: &str, ask_with: &str) -> Ask {
    Ask {
        store_purchase_id: id.to_owned(),
        environment: Some(Environment::Production),
        kind: Some(Kind::Subscription),
        ask_with: Some(ask_with.to_owned()),
    }
}

pub(super) fn asked() -> Lookup {
    open(Some(TOKEN)).ask_by(&question(SUBSCRIPTION, SKU)).unwrap()
}

pub(super) fn one(mut reading: Reading) -> Observation {
    assert_eq!(reading.observations.len(), 1, "{reading:?}");
    reading.observations.remove(0)
}

#[test]
fn a_start_is_told_once_whichever_of_the_two_is_heard_first() {
    let event = told("entitlement_create", Some(TOKEN));
    let lookup = event.lookups[0].clone();
    assert_eq!(lookup.name, format!("subscription/{SKU}/{SUBSCRIPTION}"));
    let active = one(answer(&lookup, T0 + 2000, &subscription(0, FIRST, json!({}))));
    let started = ["ACTIVATE", "SUBSCRIPTION_STARTED"];
    assert_eq!(golden::play([one(event.clone()), active.clone()]).concat(), started);
    assert_eq!(golden::play([active, one(event)]).concat(), started);
}

#[test]
fn a_life_as_polling_finds_it() {
    let poll = |at: i64, body: Value| one(answer(&asked(), at, &body));
    // The user has nothing of it any more.
    let decided = |at: i64, body: Value| one(answer(&answer(&asked(), at, &body).lookups[0], at, &json!([])));
    let none = json!({});
    let life = vec![
        (one(told("entitlement_create", Some(TOKEN))), &["ACTIVATE", "SUBSCRIPTION_STARTED"][..]),
        (poll(T0 + 2000, subscription(0, FIRST, none.clone())), &[]),
        (poll(T0 + 9 * DAY, subscription(2, FIRST, json!({"canceled_at": time(T0 + 8 * DAY)}))), &["RENEWAL_DISABLED"]),
        (poll(T0 + 10 * DAY, subscription(0, FIRST, none.clone())), &["RENEWAL_ENABLED"]),
        (poll(T0 + 31 * DAY + 600_000, subscription(0, FIRST, none.clone())), &[]),
        (poll(T0 + 32 * DAY, subscription(0, SECOND, none.clone())), &["ACTIVATE", "SUBSCRIPTION_RENEWED"]),
        (poll(T0 + 33 * DAY, subscription(0, SECOND, json!({"renewal_sku_ids": [SKU_2]}))), &["PLAN_CHANGE_SCHEDULED"]),
        (poll(T0 + 34 * DAY, subscription(0, SECOND, json!({"renewal_sku_ids": [SKU]}))), &["PLAN_CHANGE_UNSCHEDULED"]),
        (poll(T0 + 35 * DAY, subscription(2, SECOND, none.clone())), &["RENEWAL_DISABLED"]),
        (poll(T0 + 59 * DAY + 1000, subscription(2, SECOND, none.clone())), &[]),
        (decided(T0 + 60 * DAY, subscription(1, SECOND, none)), &["DEACTIVATE", "SUBSCRIPTION_TERMINATED"]),
    ];
    let (observations, expected): (Vec<_>, Vec<_>) = life.into_iter().unzip();
    assert_eq!(golden::play(observations), expected);
}

#[test]
fn an_upgrade_and_a_downgrade_have_no_gap() {
    let started = one(told("entitlement_create", Some(TOKEN)));
    let first = one(answer(&asked(), T0 + 2000, &subscription(0, FIRST, json!({}))));
    let upgraded = (T0 + 40 * DAY, T0 + 70 * DAY);
    let second = one(answer(&asked(), T0 + 32 * DAY, &subscription(0, SECOND, json!({}))));
    for name in ["entitlement_update_ended", "entitlement_create_of_new_plan"] {
        let reading = told(name, Some(TOKEN));
        assert!(reading.observations.is_empty(), "{name}: it leads to the subscription only");
        let new = json!({"sku_ids": [SKU_2], "entitlement_ids": [snowflake(T0 + 40 * DAY, 3)]});
        let now = one(answer(&reading.lookups[0], T0 + 40 * DAY + 2000, &subscription(0, upgraded, new)));
        let told = golden::play([started.clone(), first.clone(), second.clone(), now]);
        assert_eq!(told[3], ["DEACTIVATE", "ACTIVATE", "SUBSCRIPTION_CROSSGRADED"], "{name}");
    }
    let new = json!({"sku_ids": [SKU_2]});
    let now = one(answer(&asked(), T0 + 32 * DAY, &subscription(0, SECOND, new)));
    let told = golden::play([started, first, now]);
    assert_eq!(told[2], ["DEACTIVATE", "ACTIVATE", "SUBSCRIPTION_CROSSGRADED", "SUBSCRIPTION_RENEWED"]);
}

/// What a status means for access: (status, what is known of the entitlement, when, whether entitlements decide).
#[test]
fn every_status_means_what_it_means() {
    let (inside, over, long_over) = (T0 + 20 * DAY, T0 + 31 * DAY + 60_000, T0 + 32 * DAY);
    let ended = told("entitlement_update_ended", Some(TOKEN)).lookups.remove(0);
    let living = told("entitlement_create", Some(TOKEN)).lookups.remove(0);
    let alone = json!({"entitlement_ids": []});
    let cases = [
        ("running", 0, asked(), inside, Some(Standing::Active), false),
        ("in renewal, or unpaid", 0, asked(), over, None, true),
        ("unpaid, or renewed late", 0, asked(), long_over, None, true),
        ("unpaid, entitlement gone", 0, ended.clone(), long_over, Some(Standing::BillingRetry), false),
        ("unpaid, entitlement there when it was told", 0, living.clone(), long_over, None, true),
        ("ending", 2, asked(), inside, Some(Standing::Active), false),
        ("about to end, or lately ended", 2, asked(), over, None, true),
        ("ended, and Discord is late to say so", 2, ended.clone(), over, Some(Standing::Expired), false),
        ("over, or refunded before", 1, asked(), over, None, true),
        ("over, told by its entitlement", 1, ended, over, Some(Standing::Expired), false),
        ("inactive inside of its period", 1, asked(), inside, None, true),
        ("made before its entitlement was given", 1, living, T0 + 1500, None, false),
        ("a status of the future", 7, asked(), inside, None, false),
    ];
    for (name, status, lookup, at, standing, decide) in cases {
        let body = subscription(status, FIRST, alone.clone());
        let reading = answer(&lookup, at, &body);
        assert_eq!(!reading.lookups.is_empty(), decide, "{name}");
        assert_eq!(one(reading).facets.standing.map(|standing| standing.value), standing, "{name}");
    }
}

#[test]
fn the_users_entitlements_decide_where_the_status_cannot() {
    let entitlement = |more: Value| {
        let mut entitlement = sample("entitlement_create")["event"]["data"].clone();
        entitlement.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        entitlement
    };
    let other = entitlement(json!({"subscription_id": "1456074443750113344"}));
    let ended = entitlement(json!({"ends_at": time(T0 + 31 * DAY)}));
    let deleted = entitlement(json!({"deleted": true}));
    let living = entitlement(json!({}));
    for (name, status, at, rows, expected) in [
        ("still charged, still entitled", 0, T0 + 32 * DAY, json!([living]), Standing::Active),
        ("still charged, no longer entitled", 0, T0 + 32 * DAY, json!([ended, other]), Standing::BillingRetry),
        ("still charged, nothing there", 0, T0 + 32 * DAY, json!([]), Standing::BillingRetry),
        ("its SKU was deleted: entitled until the end", 1, T0 + 20 * DAY, json!([living]), Standing::Active),
        ("refunded", 1, T0 + 20 * DAY, json!([deleted]), Standing::Revoked),
        ("nothing there", 1, T0 + 20 * DAY, json!([other]), Standing::Expired),
    ] {
        let first = answer(&asked(), at, &subscription(status, FIRST, json!({})));
        assert_eq!(first.lookups[0].name, format!("entitlements_of/{USER}"), "{name}");
        let decided = one(answer(&first.lookups[0], at + 1000, &rows));
        assert_eq!(decided.facets.standing.unwrap().value, expected, "{name}");
    }
}

#[test]
fn without_a_token_entitlements_are_all_there_is() {
    let played = |names: &[&str]| golden::play(names.iter().map(|name| one(told(name, None)))).concat();
    let started = ["ACTIVATE", "SUBSCRIPTION_STARTED"];
    assert_eq!(played(&["entitlement_create"]), started);
    let ended = [&started[..], &["DEACTIVATE", "SUBSCRIPTION_TERMINATED"]].concat();
    assert_eq!(played(&["entitlement_create", "entitlement_update_ended"]), ended);
    let refunded = [&started[..], &["DEACTIVATE", "SUBSCRIPTION_REFUNDED_REVOKED"]].concat();
    assert_eq!(played(&["entitlement_create", "entitlement_delete"]), refunded);
    let once = ["ACTIVATE", "ONE_TIME_PURCHASED", "DEACTIVATE", "ONE_TIME_REFUNDED"];
    assert_eq!(played(&["entitlement_create_once", "entitlement_delete_once"]), once);
    let source = open(None);
    assert!(source.reconcile(Timestamp::MIN, Timestamp::MIN).is_empty());
    assert!(source.ask_by(&question(SUBSCRIPTION, SKU)).is_none());
}

#[test]
fn the_sku_says_what_was_bought_once() {
    let lookup = told("entitlement_create_once", Some(TOKEN)).lookups.remove(0);
    assert_eq!(lookup.name, "skus");
    for (sku_type, expected) in [(2, "non_consumable"), (3, "consumable"), (5, "non_consumable"), (9, "non_consumable")]
    {
        let skus = json!([{"id": SKU, "type": 5}, {"id": ONCE, "type": sku_type, "name": "Coins"}]);
        let observation = one(answer(&lookup, T0 + 2000, &skus));
        assert_eq!(observation.facets.kind.as_ref().unwrap().value.as_str(), expected, "type {sku_type}");
        assert_eq!(golden::play([observation]).concat(), ["ACTIVATE", "ONE_TIME_PURCHASED"]);
    }
}

/// Oldest first and newest first: every entitlement is found, and each page is asked for once.
#[test]
fn lists_are_walked_to_their_ends_in_either_order() {
    let all: Vec<Value> = (0..250)
        .map(|number| {
            let mut row = sample("entitlement_create")["event"]["data"].clone();
            row["id"] = json!(snowflake(T0 + number * 60_000, 1));
            row["subscription_id"] = json!(snowflake(T0 + number * 60_000, 2));
            row
        })
        .collect();
    let id = |row: &Value| row["id"].as_str().unwrap().parse::<u64>().unwrap();
    for newest_first in [false, true] {
        let source = open(Some(TOKEN));
        let mut open_lookups =
            source.reconcile(Timestamp::from_millis(T0).unwrap(), Timestamp::from_millis(T0).unwrap());
        let (mut found, mut pages) = (std::collections::BTreeSet::new(), 0);
        while let Some(lookup) = open_lookups.pop() {
            if lookup.name.starts_with("subscription/") {
                found.insert(lookup.name);
                continue;
            }
            let uri = source.look_up(&lookup, Timestamp::MIN).unwrap().uri().to_string();
            assert!(uri.contains("limit=100&exclude_deleted=false"), "{uri}");
            let bound = |name: &str| uri.split_once(name).map(|(_, id)| id.parse::<u64>().unwrap());
            let (before, after) = (bound("&before="), bound("&after="));
            let inside = |row: &&Value| before.is_none_or(|it| id(row) < it) && after.is_none_or(|it| id(row) > it);
            let mut rows: Vec<&Value> = all.iter().filter(inside).collect();
            // Below an id its nearest neighbours, above it likewise; with neither, whichever end the order begins at.
            if before.is_some() || (after.is_none() && newest_first) {
                rows.reverse();
            }
            rows.truncate(100);
            rows.sort_by_key(|row| id(row));
            if newest_first {
                rows.reverse();
            }
            pages += 1;
            assert!(pages < 10, "it ends");
            open_lookups.extend(answer(&lookup, T0, &json!(rows)).lookups);
        }
        assert_eq!(found.len(), 250, "newest first: {newest_first}");
    }
}

#[test]
fn entitlements_of_long_ago_are_not_walked_through() {
    let source = open(Some(TOKEN));
    let since = Timestamp::from_millis(T0 + 400 * DAY).unwrap();
    let lookup = source.reconcile(since, since).remove(0);
    let row = sample("entitlement_create")["event"]["data"].clone();
    let rows: Vec<Value> = (0..100)
        .map(|number| {
            let mut row = row.clone();
            row["id"] = json!(snowflake(T0 + number, 1));
            row
        })
        .collect();
    let names: Vec<String> = answer(&lookup, T0, &json!(rows)).lookups.into_iter().map(|it| it.name).collect();
    assert_eq!(names, [format!("entitlements/above/{}", snowflake(T0 + 99, 1))], "only newer ones may be wanted");
}

#[test]
fn a_claim_is_looked_for() {
    let source = open(Some(TOKEN));
    let claim = |id: &str, sku: Option<&str>| {
        let claim =
            Claim { subscription_id: Some(id.to_owned()), product_id: sku.map(str::to_owned), ..Claim::default() };
        source.claim(&claim, Timestamp::MIN)
    };
    let names = |claimed: Claimed| match claimed {
        Claimed::LookUp(lookups) => lookups.into_iter().map(|it| it.name).collect::<Vec<_>>(),
        odd => panic!("{odd:?}"),
    };
    let direct = format!("subscription/{SKU}/{SUBSCRIPTION}");
    assert_eq!(names(claim(SUBSCRIPTION, Some(SKU)).unwrap()), [direct.as_str()]);
    assert_eq!(names(claim(SUBSCRIPTION, None).unwrap()), [format!("entitlement/{SUBSCRIPTION}").as_str(), "skus"]);
    let Claimed::LookUp(lookups) = claim(SUBSCRIPTION, None).unwrap() else { panic!("a lookup") };
    let skus = json!([{"id": SKU, "type": 5}, {"id": SKU_2, "type": 6}, {"id": ONCE, "type": 3}]);
    let found: Vec<String> = answer(&lookups[1], T0, &skus).lookups.into_iter().map(|it| it.name).collect();
    assert_eq!(found, [direct.as_str()], "only what renews may have it");
    let entitlement = sample("entitlement_create")["event"]["data"].clone();
    let led = answer(&lookups[0], T0 + 2000, &entitlement);
    assert!(led.observations.is_empty() && led.lookups[0].name == direct, "{led:?}");
    assert_eq!(claim("../users", None).unwrap_err().pointer.as_deref(), Some("/subscription_id"));
    assert!(source.claim(&Claim::default(), Timestamp::MIN).is_err());
    let known =
        open(None).claim(&Claim { subscription_id: Some(SUBSCRIPTION.to_owned()), ..Claim::default() }, Timestamp::MIN);
    assert!(matches!(known, Ok(Claimed::Known(keys)) if keys.len() == 2), "known already, or not at all");
}

#[test]
fn requests_are_discords_and_hide_the_token() {
    let source = open(Some(TOKEN));
    let lookup =
        |name: &str| Lookup { name: name.to_owned(), context: String::new(), why: "a test", unless_known: None };
    let request = source.look_up(&asked(), Timestamp::MIN).unwrap();
    assert_eq!(
        request.uri().to_string(),
        format!("https://discord.test/api/v10/skus/{SKU}/subscriptions/{SUBSCRIPTION}")
    );
    assert_eq!(request.headers()["authorization"], format!("Bot {TOKEN}"));
    assert!(request.headers()["user-agent"].to_str().unwrap().starts_with("DiscordBot ("));
    assert!(!format!("{request:?}").contains(TOKEN));
    for name in
        ["", "skus/x", "subscription/1/2", "subscription/../../users", "entitlement/1158857122189168803?x", "users"]
    {
        assert!(source.look_up(&lookup(name), Timestamp::MIN).is_none(), "{name}");
    }
    let ask = question(ONCE, "entitlement");
    let request = source.look_up(&source.ask_by(&ask).unwrap(), Timestamp::MIN).unwrap();
    let expected = format!("https://discord.test/api/v10/applications/{APPLICATION}/entitlements/{ONCE}");
    assert_eq!(request.uri().to_string(), expected);
    let wait = |value: &str| {
        let mut headers = http::HeaderMap::new();
        headers.insert("retry-after", value.parse().unwrap());
        source.ask_again_at(&headers, Timestamp::default())
    };
    assert_eq!(wait("1.337").map(Timestamp::as_millis), Some(1337));
    assert_eq!(wait("soon"), None);
}

#[test]
fn answers_that_are_none_are_refused() {
    let source = open(Some(TOKEN));
    for name in ["entitlements", "skus", "entitlements_of/1019653849998299136", "entitlement/1019653849998299136"] {
        for body in [r#"{"message": "404: Not Found", "code": 0}"#, "<html>", "7"] {
            let id = looked_up_id(Timestamp::MIN.plus(std::time::Duration::from_secs(1)), name, "{}");
            assert!(source.read_kept(&id, body.as_bytes()).is_err(), "{name} {body}");
        }
    }
}
