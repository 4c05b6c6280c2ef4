//! `paidup grants`: the program itself, asked by an operator while the hub runs.

use crate::support::{ADMIN_KEY, PATIENCE, Program, at, start};
use paidup_lifecycle::time::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn hub() -> (TempDir, Program) {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::serve(&folder.path().join("paidup.db"));
    (folder, program)
}

/// A command that must work, with its answer.
#[track_caller]
fn answer(hub: &Program, arguments: &[&str]) -> Value {
    let (code, said) = hub.command(&[&["grants", "--json"], arguments].concat());
    assert_eq!(code, 0, "{said}");
    serde_json::from_str(&said).expect("JSON")
}

fn id(grant: &Value) -> &str {
    grant["id"].as_str().expect("an id")
}

fn end(grant: &Value) -> Timestamp {
    at(grant["expires_at"].as_str().expect("an end"))
}

async fn active(hub: &Program, customer: &str) -> Value {
    let answer = hub.api("GET", &format!("/v1/customers/{customer}/entitlements"), Value::Null).await;
    answer.expect(200)["active"].clone()
}

/// Every event's type, oldest first, without those about access and money.
async fn told(hub: &Program) -> Vec<String> {
    let page = hub.api("GET", "/v1/events?limit=200", Value::Null).await.expect(200);
    let types = page["data"].as_array().expect("rows").iter().rev().filter_map(|event| event["type"].as_str());
    types
        .filter(|name| !["ACTIVATE", "DEACTIVATE", "TRANSACTION_PROCESSED"].contains(name))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn a_grant_is_given_extended_listed_and_revoked() {
    let (_folder, hub) = hub();
    let given = answer(&hub, &["give", "user-1", "pro", "--for", "P30D"]);
    assert_eq!(active(&hub, "user-1").await, json!(["pro"]));
    assert_eq!(given["entitlements"], json!(["pro"]));
    let longer = answer(&hub, &["extend", id(&given), "--for", "P10D"]);
    assert_eq!(end(&longer), end(&given).plus(DAY * 10));
    let until = end(&given).plus(DAY).to_string();
    assert_eq!(answer(&hub, &["extend", id(&given), "--until", &until])["expires_at"], until);
    assert_eq!(answer(&hub, &["extend", id(&given), "--lifetime"])["expires_at"], Value::Null);

    let second = answer(&hub, &["give", "user-1", "archive", "--until", &until]);
    let (code, said) = hub.command(&["grants", "list", "user-1"]);
    let expected = format!("{}  archive  active  until {until}\n{}  pro  active  for ever\n", id(&second), id(&given));
    assert_eq!((code, said), (0, expected));

    answer(&hub, &["revoke", id(&given)]);
    assert_eq!(active(&hub, "user-1").await, json!(["archive"]));
    let listed = answer(&hub, &["list", "user-1"]);
    let states: Vec<_> = listed["data"].as_array().expect("rows").iter().map(|row| &row["purchase"]["state"]).collect();
    assert_eq!(states, ["active", "revoked"]);
    assert_eq!(
        told(&hub).await,
        ["PROMO_GRANTED", "SUBSCRIPTION_DEFERRED", "SUBSCRIPTION_DEFERRED", "PROMO_GRANTED", "PROMO_REVOKED"]
    );
    hub.stop();
}

#[tokio::test]
async fn a_lifetime_grant_is_what_is_given_when_no_end_is_named() {
    let (_folder, hub) = hub();
    for more in [&["--lifetime"] as &[&str], &[]] {
        assert_eq!(answer(&hub, &[&["give", "user-1", "pro"], more].concat())["expires_at"], Value::Null, "{more:?}");
    }
    hub.stop();
}

#[tokio::test]
async fn a_trial_grant_is_told_as_a_trial_and_converted_by_what_is_bought() {
    let (_folder, hub) = hub();
    let cancelled = answer(&hub, &["give", "user-1", "pro", "--trial", "--for", "P7D"]);
    assert_eq!(cancelled["purchase"]["period_type"], "trial");
    answer(&hub, &["revoke", id(&cancelled)]);
    let converted = answer(&hub, &["give", "user-2", "pro", "--trial", "--for", "P7D"]);
    let made = hub.api("POST", "/v1/sources", json!({"type": "generic", "name": "shop"})).await.expect(201);
    hub.api("POST", "/v1/products", json!({"product_id": "pro_monthly", "entitlements": ["pro"]})).await.expect(201);
    let now = at(converted["purchase"]["period"]["starts_at"].as_str().expect("a start"));
    let bought = start("n1", "user-2", "sub-1", &now.to_string(), &now.plus(DAY * 30).to_string());
    hub.api("POST", &format!("/ingest/{}", made["id"].as_str().expect("an id")), bought).await.expect(200);
    let expected = [
        "PROMO_GRANTED",
        "TRIAL_STARTED",
        "PROMO_REVOKED",
        "TRIAL_NOT_CONVERTED",
        "PROMO_GRANTED",
        "TRIAL_STARTED",
        "SUBSCRIPTION_STARTED",
        "TRIAL_CONVERTED",
    ];
    assert_eq!(told(&hub).await, expected);
    assert_eq!(active(&hub, "user-2").await, json!(["pro"]));
    hub.stop();
}

#[tokio::test]
async fn an_id_may_hold_anything() {
    let (_folder, hub) = hub();
    for customer in ["$RCAnonymousID:8069238d6049ce87cc529853916d624c", "a/b?c#d %2f", "müller@example.com"] {
        let given = answer(&hub, &["give", customer, "pro"]);
        let path = format!("/v1/customers/{}", given["customer_id"].as_str().expect("an id"));
        let found = hub.api("GET", &path, Value::Null).await.expect(200);
        assert_eq!(found["aliases"], json!([customer]));
        assert_eq!(id(&answer(&hub, &["list", customer])["data"][0]), id(&given));
    }
    hub.stop();
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_in_words_and_by_exit_code() {
    let (_folder, hub) = hub();
    let given = answer(&hub, &["give", "user-1", "pro"]);
    let grant = id(&given).to_owned();
    for (arguments, code, words) in [
        (&["give", "user-1"] as &[&str], 2, "ENTITLEMENT"),
        (&["give", "user-1", "pro", "--for", "P1D", "--lifetime"], 2, "cannot be used with"),
        (&["give", "user-1", "pro", "--until", "tomorrow"], 2, "RFC 3339"),
        (&["extend", &grant], 2, "--for"),
        (&["give", "user-1", "pro", "--for", "30 days"], 1, "ISO 8601"),
        (&["give", "user-1", "pro", "--until", "2020-01-01T00:00:00Z"], 1, "must be in the future"),
        (&["extend", &grant, "--for", "P1D"], 1, "never ends"),
        (&["revoke", "grt_00000000000000000000000000"], 1, "no such grant"),
        (&["list", "nobody"], 1, "customer"),
    ] {
        let (ended, said) = hub.command(&[&["grants"], arguments].concat());
        assert_eq!(ended, code, "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
    hub.stop();
}

#[tokio::test]
async fn without_a_hub_it_says_so() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let free = listener.local_addr().expect("an address").to_string();
    drop(listener);
    let settings = [("PAIDUP_LISTEN", free.as_str()), ("PAIDUP_ADMIN_KEY", ADMIN_KEY)];
    let run = tokio::task::spawn_blocking({
        let settings = settings.map(|(name, value)| (name, value.to_owned()));
        move || {
            let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
            Program::run(&["grants", "list", "user-1"], &settings)
        }
    });
    let output = tokio::time::timeout(PATIENCE, run).await.expect("in time").expect("it ran");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("no hub answers at") && said.contains("paidup serve"), "{said}");
}
