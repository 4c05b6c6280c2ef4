//! The generic source: a life through HTTP, arrays, and what is wrong with a body.

use crate::support::{TestHub, observation, start};
use serde_json::{Value, json};

#[tokio::test]
async fn a_subscription_lives_and_ends_by_date() {
    let hub = TestHub::start("2026-01-01T00:00:00Z").await;
    let source = hub.source("generic", json!({})).await;
    hub.map("pro_monthly", &["pro"]).await;
    hub.observe(&source, start("n1", "user-1", "sub-1", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z")).await;
    assert_eq!(hub.types().await, ["ACTIVATE", "SUBSCRIPTION_STARTED", "TRANSACTION_PROCESSED"]);
    let customer = hub.get("/v1/customers/user-1").await;
    assert_eq!(customer["entitlements"][0]["id"], "pro");
    assert_eq!(customer["entitlements"][0]["expires_at"], "2026-02-01T00:00:00Z");
    assert_eq!(customer["totals"], json!({"PRODUCTION/USD": 999}));

    let off = observation("n2", "2026-01-10T00:00:00Z", "renewal_disabled", "sub-1", json!({"will_renew": false}));
    hub.observe(&source, off).await;
    hub.clock.set(crate::support::at("2026-02-01T00:00:01Z"));
    hub.until("the end", async |hub| hub.types().await.contains(&"SUBSCRIPTION_TERMINATED".to_owned()).then_some(()))
        .await;
    assert_eq!(hub.types().await[3..], ["RENEWAL_DISABLED", "DEACTIVATE", "SUBSCRIPTION_TERMINATED"]);
    assert_eq!(hub.get("/v1/customers/user-1/entitlements").await["active"], json!([]));
    let then = hub.get("/v1/customers/user-1/entitlements?at=2026-01-15T00:00:00Z").await;
    assert_eq!(then["active"], json!(["pro"]));
    hub.stop().await;
}

#[tokio::test]
async fn an_array_is_taken_whole_or_not_at_all() {
    let hub = TestHub::start("2026-01-01T00:00:00Z").await;
    let source = hub.source("generic", json!({})).await;
    let good = |n: u32| {
        start(
            &format!("n{n}"),
            &format!("user-{n}"),
            &format!("sub-{n}"),
            "2026-01-01T00:00:00Z",
            "2026-02-01T00:00:00Z",
        )
    };
    let mut bad = good(3);
    bad["period"]["ends_at"] = json!("yesterday");
    let answer = hub.ingest(&source, json!([good(1), good(2), bad]).to_string().as_bytes()).await;
    assert!((400..=422).contains(&answer.status), "{}", answer.body);
    assert_eq!(answer.body["errors"][0]["pointer"], "/2/period/ends_at");
    assert!(hub.types().await.is_empty());
    hub.ingest(&source, json!([good(1), good(2)]).to_string().as_bytes()).await.expect(200);
    assert_eq!(hub.get("/v1/customers").await["data"].as_array().expect("rows").len(), 2);
    let many: Vec<Value> = (0..1001).map(good).collect();
    let answer = hub.ingest(&source, Value::Array(many).to_string().as_bytes()).await;
    assert!(matches!(answer.status, 400 | 413 | 422), "{}", answer.status);
    hub.stop().await;
}

#[tokio::test]
async fn what_cannot_be_cleared_is_refused_by_name_and_changes_nothing() {
    let hub = TestHub::start("2026-01-01T00:00:00Z").await;
    let source = hub.source("generic", json!({})).await;
    hub.observe(&source, start("n1", "user-1", "sub-1", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z")).await;
    let before = hub.get("/v1/customers/user-1").await["purchases"].clone();
    for facet in ["kind", "product_id", "period", "period_type", "will_renew"] {
        let body = observation(facet, "2026-01-02T00:00:00Z", "recovered", "sub-1", json!({facet: null}));
        let answer = hub.ingest(&source, body.to_string().as_bytes()).await;
        let problem = answer.expect(422);
        assert_eq!(problem["errors"][0]["pointer"], format!("/{facet}"));
        assert!(problem["detail"].as_str().expect("a detail").contains("cannot be cleared"), "{problem}");
    }
    assert_eq!(hub.get("/v1/customers/user-1").await["purchases"], before);
    hub.stop().await;
}

#[tokio::test]
async fn who_sends_needs_a_key_with_the_scope() {
    let hub = TestHub::start("2026-01-01T00:00:00Z").await;
    let source = hub.source("generic", json!({})).await;
    let body = start("n1", "user-1", "sub-1", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z").to_string();
    let path = format!("/ingest/{source}");
    let send = async |key: Option<&str>| hub.call("POST", &path, key, body.clone().into_bytes(), &[]).await.status;
    assert_eq!(send(None).await, 401);
    assert_eq!(send(Some("pk_unknown")).await, 401);
    let make = async |scope: &str| {
        let made = hub.api("POST", "/v1/keys", json!({"name": scope, "scopes": [scope]})).await.expect(201);
        made["key"].as_str().expect("a key").to_owned()
    };
    assert_eq!(send(Some(&make("read").await)).await, 403);
    assert_eq!(send(Some(&make("ingest").await)).await, 200);
    hub.stop().await;
}

#[tokio::test]
async fn faults_are_named_with_their_place() {
    let hub = TestHub::start("2026-01-01T00:00:00Z").await;
    let source = hub.source("generic", json!({})).await;
    let base = || start("n1", "user-1", "sub-1", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z");
    let with = |name: &str, value: Value| {
        let mut all = base();
        all[name] = value;
        all
    };
    let table = [
        ("unknown field", with("will_renw", json!(true)), "/will_renw"),
        ("unknown reason", with("reason", json!("bought")), "/reason"),
        ("unknown environment", with("environment", json!("TEST")), "/environment"),
        ("a time that is none", with("observed_at", json!("today")), "/observed_at"),
        (
            "a currency that is none",
            with("price", json!({"amount_minor": 1, "currency": "DOLLARS"})),
            "/price/currency",
        ),
        (
            "an end before the start",
            with("period", json!({"starts_at": "2026-02-01T00:00:00Z", "ends_at": "2026-01-01T00:00:00Z"})),
            "/period",
        ),
    ];
    for (name, body, pointer) in table {
        let answer = hub.ingest(&source, body.to_string().as_bytes()).await;
        assert!(matches!(answer.status, 400 | 422), "{name}: {} {}", answer.status, answer.body);
        let found = answer.body["errors"][0]["pointer"].as_str().unwrap_or_default();
        assert!(found.starts_with(pointer), "{name}: {}", answer.body);
    }
    let near = hub.ingest(&source, with("will_renw", json!(true)).to_string().as_bytes()).await;
    assert!(near.body["detail"].as_str().unwrap_or_default().contains("will_renew"), "{}", near.body);
    assert!(hub.types().await.is_empty());
    hub.stop().await;
}

#[tokio::test]
async fn the_store_that_tests_the_line_gets_its_event() {
    let hub = TestHub::start("2026-01-01T00:00:00Z").await;
    let source = hub.source("generic", json!({})).await;
    hub.observe(&source, observation("n1", "2026-01-01T00:00:00Z", "test", "any", json!({}))).await;
    assert_eq!(hub.types().await, ["TEST"]);
    hub.stop().await;
}
