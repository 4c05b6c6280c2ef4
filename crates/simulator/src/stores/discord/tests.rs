//! The lives of an app's customers, read back from the JSON alone by a reader that knows nothing of how they were led; and the
//! proofs.

use super::*;
use crate::calendar::{Calendar, DAY, MONTH};
use crate::catalogue::Kind;
use crate::lives::{Told, Turn};
use crate::population::{Population, PopulationOptions};
use crate::truth::State;
use ring::signature::{ED25519, UnparsedPublicKey};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use wire::Shown;

const START: i64 = 1_767_225_600_000;

fn told(customers: u32, seed: u64, speed: f64) -> Vec<Told> {
    let options = PopulationOptions { customers, seed, horizon: 12 * MONTH, ..PopulationOptions::default() };
    Population::new(options, Calendar::new(START, speed), vec![Shop::Discord(App::of_seed(seed))]).collect()
}

fn instant(value: &Value) -> i64 {
    value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

fn lives(all: &[Told]) -> BTreeMap<Arc<str>, Vec<&Told>> {
    let mut lives: BTreeMap<Arc<str>, Vec<&Told>> = BTreeMap::new();
    all.iter().for_each(|told| lives.entry(Arc::clone(&told.purchase)).or_default().push(told));
    lives
}

/// Once nothing is under way any more, what the API shows is what is true.
#[test]
fn what_discord_shows_is_what_is_true() {
    for (seed, speed) in [(1, 1.0), (2, 432_000.0), (3, crate::calendar::MAX_SPEED)] {
        let (app, mut shelf) = (App::of_seed(seed), Shelf::default());
        let all = told(300, seed, speed);
        for told in &all {
            let (change, after) = (told.discord().unwrap(), &told.after);
            let name = format!("{:?} of {} (seed {seed})", told.turn, told.purchase);
            shelf.publish(change);
            let is_under_way = matches!(told.turn, Turn::PlanEnding | Turn::PlanBeginning);
            let id: wire::Id = told.purchase.parse().unwrap();
            assert_eq!((after.money, after.grace_ends_at), (None, None), "{name}");
            let Some(subscription) = shelf.subscription(id) else {
                let entitlement = shelf.entitlement(id).unwrap().json(&app);
                assert_eq!(entitlement["deleted"] == true, after.state == State::Revoked, "{name}");
                assert_eq!(entitlement["sku_id"], *after.product_id, "{name}");
                assert_eq!(
                    (&entitlement["starts_at"], &entitlement["ends_at"]),
                    (&Value::Null, &Value::Null),
                    "{name}"
                );
                assert_eq!(entitlement["user_id"].as_str(), told.customer.as_deref(), "{name}");
                continue;
            };
            let object = subscription.json();
            assert_eq!(object["user_id"].as_str(), told.customer.as_deref(), "{name}");
            let own: Vec<Value> =
                shelf.entitlements().filter(|one| one.subscription == Some(id)).map(|one| one.json(&app)).collect();
            let living: Vec<&Value> =
                own.iter().filter(|one| one["ends_at"].is_null() && one["deleted"] == false).collect();
            if !is_under_way {
                assert_eq!(living.len(), usize::from(after.state == State::Active), "{name}: entitlements give access");
                assert_eq!(object["sku_ids"], json!([*after.product_id]), "{name}");
                assert_eq!(Some(instant(&object["current_period_end"])), after.ends_at, "{name}");
            }
            let is_slow = living.len() == 1 && object["entitlement_ids"] == json!([]);
            assert!(!is_slow || matches!(told.turn, Turn::Started | Turn::Resubscribed), "{name}");
            if let (false, [living]) = (is_under_way || is_slow, living.as_slice()) {
                assert_eq!(object["entitlement_ids"], json!([living["id"]]), "{name}");
                assert_eq!(object["sku_ids"], json!([living["sku_id"]]), "{name}");
                assert_eq!(living["guild_id"].is_string(), app.audience == Audience::Guilds, "{name}");
            }
            let status = match object["status"].as_i64().unwrap() {
                0 => (true, Some(true)),
                2 => (true, Some(false)),
                1 => (is_slow, Some(is_slow)),
                other => panic!("{name}: no status of Discord's: {other}"),
            };
            let has = matches!(after.state, State::Active | State::BillingRetry);
            if after.state != State::Expired {
                assert_eq!(status, (has, after.will_renew), "{name}");
            }
            assert_eq!(object["status"] == 2, object["canceled_at"].is_string() && object["status"] != 1, "{name}");
        }
    }
}

/// Ids are snowflakes of the moment at which something was made; events carry it without an offset.
#[test]
fn ids_and_dates_are_discords() {
    assert_eq!(wire::made_at(1_278_078_770_116_427_839), 1_724_788_124_351);
    assert_eq!(wire::snowflake(1_724_788_124_406, 0), 1_278_078_770_346_983_424);
    let all = told(300, 4, 1.0);
    let app = App::of_seed(4);
    let mut ids = BTreeSet::new();
    for told in &all {
        let stamp = START + told.at;
        assert!(wire::made_at(told.purchase.parse().unwrap()) <= stamp);
        if matches!(told.turn, Turn::Started | Turn::Resubscribed | Turn::ConsumableBought) {
            assert!(ids.insert(Arc::clone(&told.purchase)));
            assert_eq!(wire::made_at(told.purchase.parse().unwrap()) / 10_000, told.after.starts_at / 10_000);
        }
        let Some(event) = &told.discord().unwrap().event else { continue };
        let body = event.json(&app);
        assert_eq!((&body["version"], &body["type"]), (&json!(1), &json!(1)));
        assert_eq!(body["application_id"], body["event"]["data"]["application_id"]);
        let text = body["event"]["timestamp"].as_str().unwrap();
        assert_eq!((text.len(), text.contains(['Z', '+'])), ("2024-10-18T14:42:53.064834".len(), false), "{text}");
        assert_eq!(instant(&format!("{text}Z").into()), event.at);
    }
    assert!(ids.len() > 300);
}

/// Only entitlements are told. What the pages' table of user actions says of each turn.
#[test]
fn what_has_no_event_is_told_to_nobody() {
    let mut seen = BTreeMap::new();
    for seed in 1..=4 {
        for told in told(400, seed, 432_000.0) {
            let event = told.discord().unwrap().event.as_ref().map(|event| event.kind);
            assert_eq!(event.is_none(), told.is_silent());
            seen.entry(told.turn).or_insert_with(BTreeSet::new).insert(event.unwrap_or("nobody"));
        }
    }
    const NOBODY: &[&str] = &["nobody"];
    const CREATE: &[&str] = &["ENTITLEMENT_CREATE"];
    const UPDATE: &[&str] = &["ENTITLEMENT_UPDATE"];
    const DELETE: &[&str] = &["ENTITLEMENT_DELETE"];
    // Where the subscription follows its entitlements a little later, nobody tells that.
    const LATE: &[&str] = &["ENTITLEMENT_CREATE", "nobody"];
    let expected: BTreeMap<Turn, &[&str]> = BTreeMap::from([
        (Turn::Started, CREATE),
        (Turn::Resubscribed, CREATE),
        (Turn::Confirmed, NOBODY),
        (Turn::Renewed, NOBODY),
        (Turn::RenewalDisabled, NOBODY),
        (Turn::RenewalEnabled, NOBODY),
        (Turn::ChangeScheduled, NOBODY),
        (Turn::ChangeWithdrawn, NOBODY),
        (Turn::PlanEnding, UPDATE),
        (Turn::PlanBeginning, CREATE),
        (Turn::Upgraded, LATE),
        (Turn::PlanChangedAtRenewal, LATE),
        (Turn::ChargedAgain, NOBODY),
        (Turn::RetryStarted, UPDATE),
        (Turn::RecoveredInRetry, CREATE),
        // Told where the entitlement was still there.
        (Turn::GivenUp, &["ENTITLEMENT_UPDATE", "nobody"]),
        (Turn::Expired, UPDATE),
        (Turn::RefundedCurrent, DELETE),
        (Turn::ConsumableBought, CREATE),
        (Turn::NonConsumableBought, CREATE),
        (Turn::Consumed, NOBODY),
        (Turn::OneTimeRefunded, DELETE),
        (Turn::TestGranted, CREATE),
        (Turn::TestWithdrawn, DELETE),
    ]);
    let seen: BTreeMap<Turn, Vec<&str>> =
        seen.into_iter().map(|(turn, all)| (turn, all.into_iter().collect())).collect();
    assert_eq!(seen, expected.into_iter().map(|(turn, all)| (turn, all.to_vec())).collect());
}

#[test]
fn lives_are_led_by_discords_rules() {
    let all = told(400, 5, 1.0);
    for (purchase, life) in lives(&all) {
        let dates: Vec<i64> = life.iter().map(|told| told.at).collect();
        assert!(dates.is_sorted(), "{purchase}");
        for pair in life.windows(2) {
            let (from, to) = (&pair[0].after, &pair[1].after);
            assert_eq!(pair[1].ordinal, pair[0].ordinal + 1, "{purchase}");
            assert!(!matches!(from.state, State::Revoked) || from.state == to.state, "{purchase}: over is over");
            if to.plan != from.plan && pair[1].turn == Turn::Upgraded {
                assert!(to.plan.rank > from.plan.rank && to.starts_at - from.starts_at > DAY, "{purchase}");
            }
            if pair[1].turn == Turn::Renewed {
                assert_eq!(Some(to.starts_at), from.ends_at, "{purchase}: periods follow each other");
            }
        }
    }
    let months = [28, 29, 30, 31].map(|days| days * DAY);
    for told in all.iter().filter(|told| told.turn == Turn::Renewed) {
        let length = told.after.ends_at.unwrap() - told.after.starts_at;
        assert!(months.contains(&length), "a month of the calendar: {length}");
    }
    let sold: Vec<&str> = wire::plans().map(|plan| plan.id).collect();
    assert!(!sold.contains(&"pro_yearly") && sold.len() == 5, "Discord bills by the month: {sold:?}");
}

/// <https://discord.com/developers/docs/events/webhook-events#preparing-for-events>, on ring's verification.
fn is_vouched(discord: &Discord, headers: &[(&'static str, String)], body: &[u8]) -> bool {
    let all = |name: &str| headers.iter().filter(|one| one.0 == name).map(|one| one.1.as_str()).collect::<Vec<_>>();
    let (signatures, times) = (all("x-signature-ed25519"), all("x-signature-timestamp"));
    let ([signature], [time]) = (signatures.as_slice(), times.as_slice()) else { return false };
    let bytes = |hex: &str| -> Option<Vec<u8>> {
        (0..hex.len() / 2).map(|at| u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok()).collect()
    };
    let (Some(signature), Some(key)) = (bytes(signature), bytes(&discord.public_key())) else { return false };
    let is_now = time.parse::<i64>().is_ok_and(|time| time.abs_diff(START / 1000) < 300);
    let signed = [time.as_bytes(), body].concat();
    is_now && UnparsedPublicKey::new(&ED25519, key).verify(&signed, &signature).is_ok()
}

#[test]
fn events_are_signed_with_the_apps_key_and_forgeries_are_not() {
    let discord = Discord::new(1, App::of_seed(1));
    assert_eq!(discord.public_key().len(), 64);
    assert_ne!(discord.public_key(), Discord::new(2, App::of_seed(2)).public_key());
    let told = told(1, 1, 1.0).remove(0);
    let body = discord.body(&told.said).unwrap();
    assert!(is_vouched(&discord, &discord.headers(&body, START + 999), &body));
    let ping = discord.opening(START).unwrap();
    assert!(is_vouched(&discord, &discord.headers(&ping, START), &ping));
    assert_eq!([200, 204, 401].map(|status| discord.is_consent(status)), [false, true, false]);
    let event = told.discord().unwrap().event.as_ref().unwrap();
    let all = forgeries::all(&discord, event, START);
    let names: BTreeSet<_> = all.iter().map(|forgery| forgery.name).collect();
    assert!(names.len() == all.len() && all.len() >= 25, "{}", all.len());
    for forgery in all.iter().chain(&discord.probes(START)) {
        let is_proof_wrong = forgery.answers == forgeries::REFUSED;
        assert_eq!(is_vouched(&discord, &forgery.headers, &forgery.body), !is_proof_wrong, "{}", forgery.name);
    }
    assert!(discord.probes(START).iter().all(|probe| probe.answers == [401]));
}

/// Discord publishes an OpenAPI document: what the API shows must be valid under it.
#[test]
fn what_is_shown_is_valid_under_discords_own_schema() {
    let fallback = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/reference");
    let folder = std::env::var("PAIDUP_REFERENCE_DIR").unwrap_or_else(|_| fallback.to_owned());
    let Ok(text) = std::fs::read(format!("{folder}/openapi/discord.json")) else {
        eprintln!("NOT CHECKED: {folder}/openapi/discord.json is not there");
        return;
    };
    let mut document: Value = serde_json::from_slice(&text).unwrap();
    // The document knows two types of entitlements, Discord's page and its answers eight more.
    document["components"]["schemas"]["EntitlementTypes"] = json!({"type": "integer"});
    let validator = |name: &str| {
        let schema = json!({"$ref": format!("#/components/schemas/{name}"), "components": document["components"]});
        jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
    };
    let (entitlement, subscription) = (validator("EntitlementResponse"), validator("SubscriptionResponse"));
    let mut checked = [0, 0];
    for seed in [1, 2] {
        for shown in told(200, seed, 1.0).iter().flat_map(|told| told.discord().unwrap().shown.clone()) {
            let (place, validator, mut value) = match shown {
                Shown::Entitlement(one) => (0, &entitlement, one.json(&App::of_seed(seed))),
                Shown::Subscription(one) => (1, &subscription, one.json()),
            };
            if value["user_id"].is_null() && value["guild_id"].is_string() {
                // A server's test: the page has it without a user, the document wants one.
                value["user_id"] = "1".into();
            }
            assert!(validator.is_valid(&value), "{value}: {:?}", validator.iter_errors(&value).next());
            checked[place] += 1;
            value["id"] = Value::Null;
            assert!(!validator.is_valid(&value));
        }
    }
    assert!(checked[0] > 1_000 && checked[1] > 1_000, "{checked:?}");
}

#[test]
fn skus_are_shown_with_their_sort_and_twins() {
    for (seed, flag) in [(1, 1 << 8), (2, 1 << 7)] {
        let app = App::of_seed(seed);
        let all: Vec<Value> = app.skus().map(|sku| sku.json(&app)).collect();
        let of = |kind: u8| all.iter().filter(|sku| sku["type"] == kind).collect::<Vec<_>>();
        assert_eq!([2, 3, 5, 6].map(|kind| of(kind).len()), [1, 1, 3, 3], "a group beside each subscription");
        assert!(of(5).iter().all(|sku| sku["flags"].as_u64().is_some_and(|flags| flags & flag != 0)));
        let ids: BTreeSet<&str> = all.iter().filter_map(|sku| sku["id"].as_str()).collect();
        assert_eq!(ids.len(), all.len());
        for plan in wire::plans() {
            let id = Value::from(wire::sku_id(plan).to_string());
            let sold = all.iter().find(|sku| sku["id"] == id).unwrap();
            let kind = match plan.kind {
                Kind::Subscription => 5,
                Kind::Consumable => 3,
                Kind::NonConsumable => 2,
            };
            assert_eq!(sold["type"], kind, "{}", plan.id);
        }
    }
}
