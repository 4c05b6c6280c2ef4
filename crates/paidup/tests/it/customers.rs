//! Customers: aliases, merging, transfer, grants, the catalogue.

use crate::support::{TestHub, at, observation, start};
use serde_json::{Value, json};

const FROM: &str = "2026-01-01T00:00:00Z";
const TO: &str = "2026-02-01T00:00:00Z";

async fn hub() -> (TestHub, String) {
    let hub = TestHub::start(FROM).await;
    let source = hub.source("generic", json!({})).await;
    hub.map("pro_monthly", &["pro"]).await;
    (hub, source)
}

async fn active(hub: &TestHub, customer: &str) -> Value {
    hub.get(&format!("/v1/customers/{customer}/entitlements")).await["active"].clone()
}

#[tokio::test]
async fn every_alias_answers_the_same() {
    let (hub, source) = hub().await;
    hub.observe(&source, start("n1", "user-1", "sub-1", FROM, TO)).await;
    let made = hub.api("POST", "/v1/customers/user-1/aliases", json!({"alias": "mail@example.com"})).await.expect(200);
    let id = made["id"].as_str().expect("an id");
    let one = hub.get("/v1/customers/user-1").await;
    assert_eq!(hub.get(&format!("/v1/customers/{id}")).await, one);
    assert_eq!(hub.get("/v1/customers/mail%40example.com").await, one);
    assert_eq!(hub.api("GET", "/v1/customers/nobody", Value::Null).await.status, 404);
    hub.stop().await;
}

#[tokio::test]
async fn linking_an_alias_of_another_customer_merges_the_two() {
    let (hub, source) = hub().await;
    hub.observe(&source, start("n1", "user-1", "sub-1", FROM, TO)).await;
    hub.observe(&source, start("n2", "user-2", "sub-2", FROM, TO)).await;
    hub.api("POST", "/v1/customers/user-1/aliases", json!({"alias": "user-2"})).await.expect(200);
    assert_eq!(hub.get("/v1/customers/user-2").await, hub.get("/v1/customers/user-1").await);
    assert_eq!(hub.get("/v1/customers/user-1").await["purchases"].as_array().expect("purchases").len(), 2);
    let types = hub.types().await;
    assert!(types.contains(&"SUBSCRIPTION_TRANSFERRED".to_owned()), "{types:?}");
    assert!(types.contains(&"SUBSCRIPTION_RECEIVED".to_owned()), "{types:?}");
    hub.stop().await;
}

#[tokio::test]
async fn a_transfer_tells_both_sides() {
    let (hub, source) = hub().await;
    hub.observe(&source, start("n1", "user-1", "sub-1", FROM, TO)).await;
    let moved = observation("n2", "2026-01-02T00:00:00Z", "transferred", "sub-1", json!({"transfer_to": "user-2"}));
    hub.observe(&source, moved).await;
    assert_eq!(active(&hub, "user-1").await, json!([]));
    assert_eq!(active(&hub, "user-2").await, json!(["pro"]));
    assert_eq!(hub.types().await[3..], ["DEACTIVATE", "SUBSCRIPTION_TRANSFERRED", "ACTIVATE", "SUBSCRIPTION_RECEIVED"]);
    let of_old = hub.get("/v1/events?customer=user-1&limit=2").await;
    assert_eq!(of_old["data"][0]["type"], "SUBSCRIPTION_TRANSFERRED");
    let of_new = hub.get("/v1/events?customer=user-2").await;
    assert_eq!(of_new["data"].as_array().expect("rows").len(), 2, "{of_new}");
    hub.stop().await;
}

#[tokio::test]
async fn grants_are_given_moved_taken_and_run_out() {
    let (hub, _) = hub().await;
    let made = hub.api("POST", "/v1/customers/new-one/grants", json!({"entitlement": "pro", "duration": "P7D"})).await;
    let grant = made.expect(201);
    assert_eq!(grant["expires_at"], "2026-01-08T00:00:00Z");
    assert_eq!(active(&hub, "new-one").await, json!(["pro"]));
    let id = grant["id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/grants/{id}");
    let longer = hub.api("PATCH", &path, json!({"duration": "P10D"})).await.expect(200);
    assert_eq!(longer["expires_at"], "2026-01-18T00:00:00Z", "so much later than it would end");
    for senseless in [json!({}), json!({"duration": "P1D", "expires_at": null}), json!({"duration": "soon"})] {
        assert_eq!(hub.api("PATCH", &path, senseless.clone()).await.status, 422, "{senseless}");
    }
    hub.api("PATCH", &path, json!({"expires_at": "2026-01-20T00:00:00Z"})).await.expect(200);
    hub.clock.set(at("2026-01-19T00:00:00Z"));
    assert_eq!(active(&hub, "new-one").await, json!(["pro"]));
    hub.clock.set(at("2026-01-20T00:00:01Z"));
    hub.until("the end", async |hub| (active(hub, "new-one").await == json!([])).then_some(())).await;
    let types = hub.types().await;
    assert_eq!(types[..2], ["ACTIVATE", "PROMO_GRANTED"]);
    assert_eq!(types[types.len() - 2..], ["DEACTIVATE", "SUBSCRIPTION_TERMINATED"]);

    let second = hub.api("POST", "/v1/customers/new-one/grants", json!({"entitlement": "pro"})).await.expect(201);
    assert_eq!(second["expires_at"], Value::Null);
    let id = second["id"].as_str().expect("an id").to_owned();
    hub.api("DELETE", &format!("/v1/grants/{id}"), Value::Null).await.expect(200);
    let types = hub.types().await;
    assert_eq!(types[types.len() - 2..], ["DEACTIVATE", "PROMO_REVOKED"]);
    assert_eq!(hub.api("DELETE", "/v1/grants/grt_00000000000000000000000000", Value::Null).await.status, 404);
    hub.stop().await;
}

#[tokio::test]
async fn mapping_a_product_later_tells_what_changed() {
    let (hub, source) = hub().await;
    let mut other = start("n1", "user-1", "sub-1", FROM, TO);
    other["product_id"] = json!("unmapped");
    hub.observe(&source, other).await;
    assert_eq!(active(&hub, "user-1").await, json!([]));
    let mapping = json!({"product_id": "unmapped", "entitlements": ["extra"]});
    let dry = hub.api("POST", "/v1/products?dry_run=true", mapping.clone()).await.expect(200);
    assert_eq!(dry["affected_purchases"], 1);
    assert_eq!(active(&hub, "user-1").await, json!([]));
    hub.api("POST", "/v1/products", mapping).await.expect(201);
    hub.until("the change", async |hub| (active(hub, "user-1").await == json!(["extra"])).then_some(())).await;
    assert!(hub.types().await.contains(&"ENTITLEMENTS_CHANGED".to_owned()));
    hub.stop().await;
}

#[tokio::test]
async fn an_etag_saves_the_answer() {
    let (hub, source) = hub().await;
    hub.observe(&source, start("n1", "user-1", "sub-1", FROM, TO)).await;
    let path = "/v1/customers/user-1/entitlements";
    let first = hub.api("GET", path, Value::Null).await;
    let tag = first.headers.get("etag").and_then(|value| value.to_str().ok()).expect("an ETag").to_owned();
    let key = Some(crate::support::ADMIN_KEY);
    let again = hub.call("GET", path, key, Vec::new(), &[("if-none-match", &tag)]).await;
    assert_eq!(again.status, 304);
    let off = observation("n2", "2026-01-10T00:00:00Z", "expired", "sub-1", json!({}));
    hub.observe(&source, off).await;
    let changed = hub.call("GET", path, key, Vec::new(), &[("if-none-match", &tag)]).await;
    assert_eq!(changed.status, 200);
    hub.stop().await;
}
