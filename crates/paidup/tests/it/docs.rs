//! The pages for operators say what the program does: no more, no less.

use crate::support::{Receiver, TestHub, start};
use paidup_hub::config::SETTINGS;
use paidup_lifecycle::alert::AlertKind;
use paidup_lifecycle::event::EventType;
use paidup_lifecycle::observation::Store;
use paidup_lifecycle::purchase::State;
use paidup_lifecycle::sample;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_route_is_on_the_page_about_the_api_and_the_reverse() {
    let document = serde_json::to_value(paidup_web::openapi()).expect("JSON");
    let mut routes = BTreeSet::from([("GET".to_owned(), "/openapi.json".to_owned())]);
    for (path, operations) in document["paths"].as_object().expect("paths") {
        routes
            .extend(operations.as_object().expect("operations").keys().map(|name| (name.to_uppercase(), path.clone())));
    }
    let page = page("api.md");
    let listed: BTreeSet<(String, String)> = page
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let method = words.next().filter(|word| ["GET", "POST", "PUT", "PATCH", "DELETE"].contains(word))?;
            let path = words.next().filter(|path| path.starts_with('/'))?;
            Some((method.to_owned(), path.to_owned()))
        })
        .collect();
    let missing: Vec<_> = routes.difference(&listed).collect();
    let invented: Vec<_> = listed.difference(&routes).collect();
    assert!(missing.is_empty() && invented.is_empty(), "docs/api.md lacks {missing:?} and invents {invented:?}");
}

#[test]
fn every_setting_is_on_the_page_about_settings_and_the_reverse() {
    let expected: Vec<String> = SETTINGS
        .iter()
        .map(|setting| {
            let secret = if setting.secret { " (secret)" } else { "" };
            let default = if setting.default.is_empty() { String::new() } else { format!("`{}`", setting.default) };
            format!("| `{}`{secret} | {default} | {} |", setting.name, setting.help)
        })
        .collect();
    let page = page("settings.md");
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `PAIDUP_")).collect();
    assert_eq!(rows, expected, "docs/settings.md is the program's own list");
    // Other pages name settings too; none may be made up.
    for name in [
        "alerts.md",
        "api.md",
        "install.md",
        "deliveries.md",
        "grants.md",
        "customers.md",
        "explain.md",
        "destinations/discord.md",
        "destinations/intercom.md",
        "destinations/webhook.md",
        "events.md",
        "beside-vendors.md",
        "sources/discord.md",
        "sources/generic.md",
        "sources/play.md",
        "sources/app_store.md",
        "sources/purchasely.md",
        "sources/revenuecat.md",
        "sources/stripe.md",
        "../README.md",
    ] {
        let text = self::page(name);
        for word in
            text.split(|letter: char| !(letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_'))
        {
            let known = |word: &str| SETTINGS.iter().any(|setting| setting.name == word);
            let is_setting = word.starts_with("PAIDUP_") && word.len() > "PAIDUP_".len();
            assert!(!is_setting || known(word.strip_suffix("_FILE").unwrap_or(word)), "{name} names {word}");
        }
    }
}

/// The names in an object, those in its objects with them: `purchase.period.ends_at`.
fn names(value: &Value, before: &str, into: &mut BTreeSet<String>) {
    for (name, value) in value.as_object().into_iter().flatten().filter(|(name, _)| *name != "...") {
        let path = format!("{before}{name}");
        names(value, &format!("{path}."), into);
        into.insert(path);
    }
}

#[tokio::test]
async fn the_event_on_the_page_about_events_is_shaped_as_events_are() {
    let page = page("events.md");
    let json = page.split("```json").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let example: Value = serde_json::from_str(json).expect("the example is JSON");
    let hub = TestHub::start("2026-02-01T00:00:01Z").await;
    let source = hub.source("generic", json!({})).await;
    let receiver = Receiver::start().await;
    hub.webhook(&receiver, json!({})).await;
    hub.observe(&source, start("n1", "user-1", "sub-1", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z")).await;
    let mut renewed = start("n2", "user-1", "sub-1", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z");
    renewed["reason"] = json!("renewed");
    renewed["transaction_id"] = json!("sub-1-2");
    hub.observe(&source, renewed).await;
    let event = hub
        .until("the renewal", async |_| {
            let came = receiver.requests();
            came.iter().find(|one| one.event_type() == "SUBSCRIPTION_RENEWED").map(|one| one.body.clone())
        })
        .await;
    let (mut shown, mut real) = (BTreeSet::new(), BTreeSet::new());
    names(&example, "", &mut shown);
    names(&event, "", &mut real);
    let invented: Vec<_> = shown.difference(&real).collect();
    assert!(invented.is_empty(), "docs/events.md shows what events do not have: {invented:?}");
    for name in event.as_object().expect("an object").keys() {
        assert!(page.contains(name.as_str()), "docs/events.md does not speak of {name}");
    }
    hub.stop().await;
}

#[test]
fn the_page_about_alerts_has_every_kind_and_an_event_as_it_is() {
    let page = page("alerts.md");
    for kind in AlertKind::ALL {
        assert!(page.contains(&format!("| `{kind}` | ")), "no row for {kind}");
    }
    let json = page.split("```json").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let example: Value = serde_json::from_str(json).expect("the example is JSON");
    let event = sample::event(EventType::OperatorAlert, Store::External);
    let (mut shown, mut real) = (BTreeSet::new(), BTreeSet::new());
    names(&example, "", &mut shown);
    names(&serde_json::to_value(event).expect("JSON"), "", &mut real);
    let invented: Vec<_> = shown.difference(&real).collect();
    assert!(invented.is_empty(), "docs/alerts.md shows what such events do not have: {invented:?}");
}

#[test]
fn every_state_of_a_purchase_is_on_the_page_about_events_with_its_access() {
    let page = page("events.md");
    let (_, table) = page.split_once("| State of a purchase |").expect("a table");
    for state in State::ALL {
        let name = format!("`{state}`");
        let row = table.lines().find(|line| line.contains(&name)).unwrap_or_else(|| panic!("no row for {state}"));
        let says_yes = row.contains("| yes");
        assert_eq!(says_yes, state.has_access(), "{row}");
    }
}
