//! The rules, as Intercom's reference 2.14 and its help centre state them.

use crate::support::ACCESS_TOKEN;
use bytes::Bytes;
use http::Request;
use paidup_lifecycle::dialects::revenuecat::Status;
use serde_json::Value;

const REGIONS: [&str; 3] = ["api.intercom.io", "api.eu.intercom.io", "api.au.intercom.io"];
/// Beyond it a number is of milliseconds, not of seconds.
const MAX_SECONDS: i64 = 100_000_000_000;
const FORBIDDEN: &str = ".$~@#%^&*'{}|\\\"";

/// Refuses a request that Intercom would refuse, ignore in part or misunderstand.
pub(crate) fn check(request: &Request<Bytes>) {
    if !REGIONS.contains(&request.uri().host().unwrap()) {
        return;
    }
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap()).unwrap_or_default();
    assert_eq!(header("authorization"), format!("Bearer {ACCESS_TOKEN}"));
    assert!(request.headers()["authorization"].is_sensitive());
    assert_eq!((header("accept"), header("intercom-version")), ("application/json", "2.14"));
    if request.method() == "GET" {
        assert!(request.body().is_empty());
        return;
    }
    assert_eq!(header("content-type"), "application/json");
    let body: Value = serde_json::from_slice(request.body()).unwrap();
    let path: Vec<&str> = request.uri().path().split('/').skip(1).collect();
    match (request.method().as_str(), path.as_slice()) {
        ("POST", ["events"]) => check_event(&body),
        ("POST", ["contacts"]) => {
            only(&body, &["role", "external_id", "email", "custom_attributes"]);
            assert_eq!(body["role"], "user");
            assert!(body["external_id"].is_string() || body["email"].is_string(), "{body}");
            check_attributes(&body, false);
        }
        ("PUT", ["contacts", id]) => {
            assert!(!id.is_empty());
            only(&body, &["external_id", "custom_attributes"]);
            check_attributes(&body, true);
        }
        ("POST", ["contacts", _, "unarchive"]) => {}
        ("POST", ["contacts", "search"]) => check_search(&body),
        ("POST", ["data_attributes"]) => {
            only(&body, &["name", "model", "data_type", "description"]);
            let name = text(&body["name"]);
            assert!(name.chars().all(|one| one.is_ascii_alphanumeric() || one == '_') && name.len() <= 190, "{body}");
            assert_eq!(body["model"], "contact");
            let types = ["string", "integer", "float", "boolean", "date", "datetime"];
            assert!(types.contains(&text(&body["data_type"])), "{body}");
        }
        other => panic!("no call of Intercom's: {other:?}"),
    }
}

fn check_event(body: &Value) {
    only(body, &["event_name", "created_at", "user_id", "id", "metadata"]);
    assert!((1..=255).contains(&text(&body["event_name"]).chars().count()), "{body}");
    assert!((0..MAX_SECONDS).contains(&body["created_at"].as_i64().unwrap()), "{body}");
    assert!(body["user_id"].is_string() != body["id"].is_string(), "one of them: {body}");
    let metadata = body["metadata"].as_object().unwrap();
    assert!(metadata.len() <= 10, "further keys are ignored: {body}");
    let mut seen: Vec<String> = metadata.keys().map(|key| key.to_lowercase()).collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), metadata.len(), "keys are case-insensitive: {body}");
    for (key, value) in metadata {
        assert!(!key.is_empty() && !key.chars().any(|one| FORBIDDEN.contains(one)), "{key}");
        match value {
            Value::String(text) => assert!(text.chars().count() <= 255 && !key.ends_with("_date"), "{key}: {body}"),
            Value::Number(_) => {}
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => panic!("{key} is no value: {body}"),
        }
    }
}

fn check_attributes(body: &Value, with_null: bool) {
    let Some(all) = body.get("custom_attributes") else { return };
    for (name, value) in all.as_object().unwrap() {
        if value.is_null() {
            assert!(with_null, "{body}");
            continue;
        }
        match name.as_str() {
            "latest_store" | "latest_entitlement" | "paidup_customer_url" => {
                assert!((1..=255).contains(&text(value).chars().count()), "{body}");
            }
            "subscription_status" => assert!(text(value).parse::<Status>().is_ok(), "{body}"),
            "expires_at" => assert!(value.as_i64().is_some_and(|seconds| seconds < MAX_SECONDS), "{body}"),
            "app_user" => assert!(value.is_string(), "the attribute that tests match by: {body}"),
            other => panic!("an attribute that nobody has made: {other}"),
        }
    }
}

fn check_search(body: &Value) {
    only(body, &["query", "pagination"]);
    assert!((1..=150).contains(&body["pagination"]["per_page"].as_u64().unwrap()));
    assert_eq!(body["query"]["operator"], "AND");
    for filter in body["query"]["value"].as_array().unwrap() {
        only(filter, &["field", "operator", "value"]);
        assert_eq!(filter["operator"], "=");
        let field = text(&filter["field"]);
        assert!(["email", "role"].contains(&field) || field.starts_with("custom_attributes."), "{body}");
    }
}

fn only(body: &Value, keys: &[&str]) {
    for key in body.as_object().unwrap().keys() {
        assert!(keys.contains(&key.as_str()), "{key} is no field: {body}");
    }
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}
