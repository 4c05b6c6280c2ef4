//! Google Play's lives, read back from the JSON alone by a reader that knows nothing of how they were led.

use super::*;
use crate::calendar::{Calendar, MONTH};
use crate::lives::{Told, Turn};
use crate::population::{Population, PopulationOptions};
use crate::truth::State;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rsa::PublicKeyComponents;
use ring::signature::RSA_PKCS1_2048_8192_SHA256;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const START: i64 = 1_767_225_600_000;

fn app() -> App {
    App { package_name: Arc::from("com.example.paidup"), is_tested: false }
}

fn told(customers: u32, seed: u64, speed: f64) -> Vec<Told> {
    let options = PopulationOptions { customers, seed, horizon: 12 * MONTH, ..PopulationOptions::default() };
    Population::new(options, Calendar::new(START, speed), vec![Shop::Play(app())]).collect()
}

/// The DeveloperNotification inside a push.
fn opened(body: &[u8]) -> Value {
    let push: Value = serde_json::from_slice(body).unwrap();
    assert_eq!(push["message"]["messageId"], push["message"]["message_id"]);
    assert_eq!(push["message"]["publishTime"], push["message"]["publish_time"]);
    serde_json::from_slice(&STANDARD.decode(push["message"]["data"].as_str().unwrap()).unwrap()).unwrap()
}

fn instant(value: &Value) -> i64 {
    value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

/// How a subscription stands, by its resource alone; what was revoked looks expired.
fn state(resource: &Value) -> State {
    match resource["subscriptionState"].as_str().unwrap().strip_prefix("SUBSCRIPTION_STATE_").unwrap() {
        "PENDING" => State::Pending,
        "ACTIVE" | "CANCELED" => State::Active,
        "IN_GRACE_PERIOD" => State::Grace,
        "ON_HOLD" => State::BillingRetry,
        "PAUSED" => State::Paused,
        "EXPIRED" | "PENDING_PURCHASE_CANCELED" => State::Expired,
        other => panic!("no state of Google's: {other}"),
    }
}

#[test]
fn what_google_shows_is_what_is_true() {
    for (seed, speed) in [(1, 1.0), (2, 432_000.0), (3, crate::calendar::MAX_SPEED)] {
        let mut shelf = Shelf::default();
        let mut orders: BTreeMap<String, i64> = BTreeMap::new();
        let mut money: BTreeMap<&str, i64> = BTreeMap::new();
        let all = told(300, seed, speed);
        for told in &all {
            let (said, after) = (told.play().unwrap(), &told.after);
            let name = format!("{:?} of {} (seed {seed})", told.turn, told.purchase);
            shelf.publish(said);
            *money.entry("told").or_default() += after.money.map_or(0, |money| money.minor);
            for shown in &said.shown {
                if let wire::Shown::Order(order) = shown {
                    let json = order.json();
                    let sign = if json["orderHistory"]["refundEvent"].is_null() { 1 } else { 0 };
                    orders.insert(order.order_id.to_string(), sign * order.total.minor);
                }
            }
            let Some(object) = shelf.subscription(told.known_as.as_ref().unwrap()) else {
                let product = shelf.product(told.known_as.as_ref().unwrap()).unwrap().json();
                let expected = if after.state == State::Active { "PURCHASED" } else { "CANCELLED" };
                assert_eq!(product["purchaseStateContext"]["purchaseState"], expected, "{name}");
                continue;
            };
            let (resource, item) = (object.json(), &object.json()["lineItems"][0]);
            let known = if after.state == State::Revoked { State::Expired } else { after.state };
            assert_eq!(state(&resource), known, "{name}");
            assert_eq!(item["productId"], after.plan.id, "{name}");
            let renews = &item["autoRenewingPlan"]["autoRenewEnabled"];
            assert_eq!(renews == true, after.will_renew.unwrap(), "{name}");
            assert_ne!(renews, false, "{name}: off is absent");
            if after.state == State::Active {
                assert_eq!(Some(instant(&item["expiryTime"])), after.ends_at, "{name}");
            }
            if after.state == State::Grace {
                assert_eq!(
                    Some(instant(&item["expiryTime"])),
                    after.grace_ends_at,
                    "{name}: the expiry holds the grace"
                );
                assert!(
                    !resource["inGracePeriodStateContext"]["renewalDeclined"]["pendingOrderId"].is_null(),
                    "{name}"
                );
                assert_ne!(
                    resource["latestOrderId"], item["latestSuccessfulOrderId"],
                    "{name}: the failed order is the latest"
                );
            }
            assert_eq!(resource["pausedStateContext"].is_null(), after.state != State::Paused, "{name}");
            let is_over = matches!(after.state, State::Expired | State::Revoked);
            let is_off = resource["subscriptionState"] == "SUBSCRIPTION_STATE_CANCELED";
            if told.turn != Turn::NeverPaid
                && !object.items.iter().any(|item| matches!(item.plan, wire::Plan::Prepaid { .. }))
            {
                assert_eq!(resource["canceledStateContext"].is_null(), !is_over && !is_off, "{name}");
            }
        }
        let told_money: i64 = money.values().sum();
        assert_eq!(orders.values().sum::<i64>(), told_money, "what orders say is what was paid (seed {seed})");
    }
}

#[test]
fn the_traps_of_the_page_are_there() {
    let all = told(500, 5, 432_000.0);
    let mut lives: BTreeMap<Arc<str>, Vec<&Told>> = BTreeMap::new();
    all.iter().for_each(|told| lives.entry(Arc::clone(&told.purchase)).or_default().push(told));
    let kind = |told: &Told| match &told.play().unwrap().about {
        wire::About::Subscription { kind, token, .. } => (*kind, token.to_string()),
        wire::About::OneTimeProduct { .. } | wire::About::VoidedPurchase { .. } | wire::About::Test => {
            (0, String::new())
        }
    };
    let mut seen = BTreeSet::new();
    for life in lives.values() {
        assert!(life.windows(2).all(|pair| pair[0].play().unwrap().at < pair[1].play().unwrap().at), "dates never tie");
        for pair in life.windows(2) {
            let ((before, old), (number, token)) = (kind(pair[0]), kind(pair[1]));
            match (before, number) {
                (4, 13) if old != token => {
                    assert_eq!(
                        pair[0].turn == Turn::Upgraded,
                        pair[1].after.plan != pair[0].after.plan || pair[0].turn == Turn::Upgraded
                    );
                    seen.insert("the new token's 4 comes before the old one's 13");
                }
                (3, 13) if pair[0].after.state == State::Expired && pair[1].turn == Turn::Confirmed => {
                    seen.insert("3 and 13 both find it expired");
                }
                (12, 13) => {
                    seen.insert("12, then 13");
                }
                _ => {}
            }
            if pair[1].turn == Turn::RecoveredInGrace {
                assert_eq!(number, 2, "recovery from grace is a renewal");
                seen.insert("recovery from grace is 2");
                if pair[0].after.grace_ends_at == pair[1].after.ends_at {
                    seen.insert("the same instant before and after the recovery");
                }
            }
            if matches!(pair[1].turn, Turn::RecoveredInRetry | Turn::Resumed) {
                assert_eq!(number, 1);
            }
        }
    }
    assert_eq!(seen.len(), 5, "{seen:?}");
}

#[test]
fn tokens_orders_and_messages_are_never_used_twice() {
    let all = told(400, 8, 432_000.0);
    let messages: BTreeSet<_> = all.iter().map(|told| &told.play().unwrap().message_id).collect();
    assert_eq!(messages.len(), all.len());
    let mut owners: BTreeMap<Arc<str>, Arc<str>> = BTreeMap::new();
    for told in &all {
        let owner = owners.entry(told.known_as.clone().unwrap()).or_insert_with(|| Arc::clone(&told.purchase));
        assert_eq!(*owner, told.purchase, "a token belongs to one chain");
    }
    assert!(owners.len() > 400);
}

/// The procedure of Google's page "Authenticate push subscriptions", on ring's verification and the published keys.
fn vouched(play: &Play, token: &str) -> Value {
    let (content, signature) = token.rsplit_once('.').unwrap();
    let (header, claims) = content.split_once('.').unwrap();
    let json = |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    let header = json(header);
    assert_eq!(header["alg"], "RS256");
    let keys = play.google().key_set();
    let key = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header["kid"]).unwrap();
    let number = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
    PublicKeyComponents { n: number("n"), e: number("e") }
        .verify(&RSA_PKCS1_2048_8192_SHA256, content.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap())
        .unwrap();
    json(claims)
}

#[test]
fn pushes_are_signed_by_google_and_addressed_to_the_hub() {
    let play = Play::new(app(), true);
    let told = &told(1, 1, 1.0)[0];
    let notification = opened(&play.body(told.play().unwrap()));
    assert_eq!(notification["packageName"], "com.example.paidup");
    assert_eq!(notification["eventTimeMillis"], told.play().unwrap().at.to_string());
    let claims = vouched(&play, &play.google().push_token(START + 999));
    assert_eq!((&claims["aud"], &claims["email"]), (&json!(AUDIENCE), &json!(PUSH_ACCOUNT)));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
    assert_eq!(claims["iat"], START / 1000);
    let before = play.google().key_set()["keys"].as_array().unwrap().len();
    play.google().rotate();
    assert_eq!(play.google().key_set()["keys"].as_array().unwrap().len(), before + 1);
    vouched(&play, &play.google().push_token(START));
}

#[test]
fn each_forgery_has_something_wrong_with_it_and_the_genuine_push_has_not() {
    let play = Play::new(app(), true);
    let genuine = &told(1, 1, 1.0)[0];
    let all = forgeries::all(&play, genuine.play().unwrap(), START);
    let names: BTreeSet<_> = all.iter().map(|forgery| forgery.name).collect();
    assert_eq!(names.len(), all.len());
    assert!(all.len() >= 25, "{}", all.len());
    let body = play.body(genuine.play().unwrap());
    let headers = play.headers(&body, START);
    for forgery in &all {
        assert!(forgery.body != body || forgery.headers != headers, "{}", forgery.name);
    }
}

#[test]
fn money_is_written_as_google_writes_it() {
    let table = [
        (1699, "AUD", json!({"currencyCode": "AUD", "units": "16", "nanos": 990_000_000})),
        (500, "EUR", json!({"currencyCode": "EUR", "units": "5"})),
        (99, "USD", json!({"currencyCode": "USD", "nanos": 990_000_000})),
        (230, "JPY", json!({"currencyCode": "JPY", "units": "230"})),
        (0, "USD", json!({"currencyCode": "USD"})),
    ];
    for (minor, currency, expected) in table {
        assert_eq!(wire::Money { minor, currency }.json(), expected, "{minor} {currency}");
    }
}
