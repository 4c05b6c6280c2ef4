//! Keys, scopes, errors in one form, Idempotency-Key.

use crate::support::TestHub;
use serde_json::{Value, json};

const NOW: &str = "2026-01-01T00:00:00Z";

#[tokio::test]
async fn scopes_are_enforced_on_every_route() {
    let hub = TestHub::start(NOW).await;
    let key = async |scopes: &[&str]| {
        let made = hub.api("POST", "/v1/keys", json!({"name": "k", "scopes": scopes})).await.expect(201);
        made["key"].as_str().expect("a key").to_owned()
    };
    let (read, write, ingest) = (key(&["read"]).await, key(&["write"]).await, key(&["ingest"]).await);
    let table = [
        ("GET", "/v1/events", [200, 200, 403]),
        ("GET", "/v1/sources", [200, 200, 403]),
        ("POST", "/v1/products", [403, 201, 403]),
        ("POST", "/v1/sources", [403, 201, 403]),
        ("GET", "/v1/keys", [403, 403, 403]),
        ("POST", "/v1/keys", [403, 403, 403]),
    ];
    for (method, path, expected) in table {
        let body = match path {
            "/v1/products" => json!({"product_id": "p"}),
            "/v1/sources" => json!({"type": "generic", "name": "g"}),
            _ => json!({"name": "n", "scopes": ["read"]}),
        };
        let body = if method == "GET" { Vec::new() } else { body.to_string().into_bytes() };
        for (key, status) in [&read, &write, &ingest].into_iter().zip(expected) {
            let answer = hub.call(method, path, Some(key), body.clone(), &[]).await;
            assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        }
        assert_eq!(hub.call(method, path, None, body, &[]).await.status, 401, "{method} {path}");
    }
    hub.stop().await;
}

#[tokio::test]
async fn a_key_is_shown_once_and_worthless_when_revoked() {
    let hub = TestHub::start(NOW).await;
    let made = hub.api("POST", "/v1/keys", json!({"name": "k", "scopes": ["read"]})).await.expect(201);
    let key = made["key"].as_str().expect("a key").to_owned();
    assert!(!hub.get("/v1/keys").await.to_string().contains(&key));
    assert_eq!(hub.call("GET", "/v1/events", Some(&key), Vec::new(), &[]).await.status, 200);
    let path = format!("/v1/keys/{}", made["id"].as_str().expect("an id"));
    hub.api("DELETE", &path, Value::Null).await.expect(204);
    assert_eq!(hub.call("GET", "/v1/events", Some(&key), Vec::new(), &[]).await.status, 401);
    hub.stop().await;
}

#[tokio::test]
async fn every_error_is_problem_json_with_a_request_id() {
    let hub = TestHub::start(NOW).await;
    let table = [
        ("GET", "/nowhere", "", 404),
        ("PUT", "/v1/events", "", 405),
        ("GET", "/v1/events?limit=0", "", 400),
        ("GET", "/v1/events?limit=201", "", 400),
        ("GET", "/v1/events?type=NOTHING", "", 400),
        ("GET", "/v1/events/evt_x", "", 404),
        ("POST", "/v1/sources", "{", 400),
        ("POST", "/v1/sources", r#"{"type": "nothing", "name": "n", "config": {}}"#, 422),
        ("POST", "/v1/sources", r#"{"type": "app_store", "name": "n", "config": {}}"#, 422),
        (
            "POST",
            "/v1/sources",
            r#"{"type": "app_store", "name": "n", "config": {"bundle_id": "b", "bundel": 1}}"#,
            422,
        ),
        ("POST", "/ingest/src_00000000000000000000000000", "{}", 404),
    ];
    for (method, path, body, status) in table {
        let answer = hub.call(method, path, Some(crate::support::ADMIN_KEY), body.as_bytes().to_vec(), &[]).await;
        assert_eq!(answer.status, status, "{method} {path} {body}: {}", answer.body);
        let kind = answer.headers.get("content-type").and_then(|value| value.to_str().ok());
        assert_eq!(kind, Some("application/problem+json"), "{method} {path}");
        for name in ["type", "title", "detail", "request_id"] {
            assert!(!answer.body[name].as_str().unwrap_or_default().is_empty(), "{method} {path}: {name}");
        }
        assert_eq!(answer.body["status"], status);
    }
    hub.stop().await;
}

#[tokio::test]
async fn the_same_write_under_the_same_key_is_done_once() {
    let hub = TestHub::start(NOW).await;
    let body = json!({"type": "generic", "name": "once", "config": {}}).to_string().into_bytes();
    let send = async |body: Vec<u8>| {
        let headers = [("idempotency-key", "order-1")];
        hub.call("POST", "/v1/sources", Some(crate::support::ADMIN_KEY), body, &headers).await
    };
    let first = send(body.clone()).await.expect(201);
    let again = send(body).await;
    assert_eq!(again.headers.get("idempotent-replayed").map(|value| value.as_bytes()), Some(&b"true"[..]));
    assert_eq!(again.expect(201), first);
    assert_eq!(hub.get("/v1/sources").await["data"].as_array().expect("rows").len(), 1);
    let other = json!({"type": "generic", "name": "other", "config": {}}).to_string().into_bytes();
    assert_eq!(send(other).await.status, 422);
    hub.stop().await;
}
