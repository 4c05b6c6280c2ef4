//! Why there is or is no access: in words, back to the notification, now and then.

use crate::support::{ADMIN_KEY, TestHub, at, observation, start};
use serde_json::{Value, json};

const FROM: &str = "2026-01-01T00:00:00Z";
const TO: &str = "2026-02-01T00:00:00Z";

async fn hub() -> (TestHub, String) {
    let hub = TestHub::start(FROM).await;
    let source = hub.source("generic", json!({})).await;
    hub.map("pro_monthly", &["pro"]).await;
    (hub, source)
}

async fn explain(hub: &TestHub, customer: &str, query: &str) -> Value {
    hub.get(&format!("/v1/customers/{customer}/explain?{query}")).await
}

#[track_caller]
fn says(answer: &Value, words: &[&str]) {
    let notes = answer["notes"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let all: Vec<&str> = answer["summary"].as_str().into_iter().chain(notes).collect();
    let all = all.join(" ");
    for word in words {
        assert!(all.contains(word), "{word:?} is not in {all}");
    }
}

async fn notification(hub: &TestHub, external_id: &str) -> String {
    let all = hub.get("/v1/notifications").await;
    let found = all["data"].as_array().expect("rows").iter().find(|row| row["external_id"] == external_id);
    found.expect("a notification")["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn an_end_is_explained_back_to_the_notification_that_told_it() {
    let (hub, source) = hub().await;
    hub.observe(&source, start("n1", "user-1", "sub-1", FROM, TO)).await;
    let begun = notification(&hub, "n1").await;
    let on = explain(&hub, "user-1", "entitlement=pro").await;
    assert_eq!((&on["has_access"], &on["active"]), (&json!(true), &json!(["pro"])));
    says(&on, &["access to pro", "pro_monthly", "generic said \"purchased\"", &begun]);

    hub.clock.set(at("2026-01-10T00:00:00Z"));
    let mut over = observation("n2", "2026-01-10T00:00:00Z", "expired", "sub-1", json!({}));
    over["expiration_reason"] = json!("BILLING_ERROR");
    hub.observe(&source, over).await;
    let told = notification(&hub, "n2").await;
    let off = explain(&hub, "user-1", "entitlement=pro").await;
    assert_eq!(off["has_access"], false);
    says(
        &off,
        &["no access to pro", "access ended: SUBSCRIPTION_TERMINATED", "BILLING_ERROR", "expired", &told, "2026-01-10"],
    );
    let turn = &off["purchases"][0]["turns"][0];
    assert_eq!((&turn["access"], &turn["cause"]["command"]), (&json!("ended"), &json!("observe")));
    let named = &turn["cause"]["notifications"][0];
    assert_eq!((&named["id"], &named["external_id"], &named["label"]), (&json!(told), &json!("n2"), &json!("expired")));
    assert_eq!(named["body"], Value::Null);

    let then = explain(&hub, "user-1", "entitlement=pro&at=2026-01-05T00:00:00Z").await;
    assert_eq!((&then["has_access"], &then["purchases"][0]["purchase"]["state"]), (&json!(true), &json!("active")));
    assert_eq!(then["purchases"][0]["turns"].as_array().expect("turns").len(), 1);
    let before = explain(&hub, "user-1", "entitlement=pro&at=2025-12-31T00:00:00Z").await;
    assert_eq!((&before["has_access"], &before["purchases"]), (&json!(false), &json!([])));
    for moment in ["2026-01-05T00:00:00Z", "2026-01-10T00:00:00Z", "2025-12-31T00:00:00Z"] {
        let entitlements = hub.get(&format!("/v1/customers/user-1/entitlements?at={moment}")).await;
        let explained = explain(&hub, "user-1", &format!("at={moment}")).await;
        assert_eq!(explained["active"], entitlements["active"], "{moment}");
    }
    hub.stop().await;
}

#[tokio::test]
async fn a_date_that_came_and_a_grant_by_hand_are_explained() {
    let (hub, source) = hub().await;
    hub.observe(&source, start("n1", "user-1", "sub-1", FROM, TO)).await;
    hub.clock.set(at("2026-02-02T00:00:00Z"));
    let off = hub
        .until("the end", async |hub| {
            let answer = explain(hub, "user-1", "entitlement=pro").await;
            (answer["has_access"] == false).then_some(answer)
        })
        .await;
    says(&off, &["no access to pro", "its date had come, and nothing newer had been said of it"]);
    assert_eq!(off["purchases"][0]["turns"][0]["cause"]["command"], "tick");
    let key = hub.api("POST", "/v1/keys", json!({"name": "support", "scopes": ["write"]})).await.expect(201);
    let body = json!({"entitlement": "pro", "duration": "P7D"}).to_string().into_bytes();
    let given = hub.call("POST", "/v1/customers/user-1/grants", key["key"].as_str(), body, &[]).await.expect(201);
    let on = explain(&hub, "user-1", "entitlement=pro").await;
    says(&on, &["access to pro", "given by hand by key_", "(support)", given["id"].as_str().expect("an id")]);
    hub.api("DELETE", &format!("/v1/grants/{}", given["id"].as_str().expect("an id")), Value::Null).await.expect(200);
    says(&explain(&hub, "user-1", "entitlement=pro").await, &["no access to pro"]);
    let grant = explain(&hub, "user-1", "").await;
    let grant = grant["purchases"].as_array().expect("purchases").iter().find(|one| one["purchase"]["kind"] == "grant");
    let turn = &grant.expect("the grant")["turns"][0];
    assert_eq!(turn["cause"]["by"], "admin");
    assert!(turn["summary"].as_str().is_some_and(|words| words.contains("taken away by hand by admin")), "{turn}");
    hub.stop().await;
}

#[tokio::test]
async fn what_was_bought_and_unlocks_nothing_says_what_to_do() {
    let (hub, source) = hub().await;
    let mut other = start("n1", "user-1", "sub-1", FROM, TO);
    other["product_id"] = json!("pro_x");
    hub.observe(&source, other).await;
    let unmapped = explain(&hub, "user-1", "entitlement=pro").await;
    says(&unmapped, &["bought pro_x, which unlocks nothing: map it with POST /v1/products"]);
    says(&explain(&hub, "user-1", "entitlement=prp").await, &["no entitlement \"prp\"", "did you mean \"pro\"?"]);
    let mut test = start("n2", "user-2", "sub-2", FROM, TO);
    test["environment"] = json!("SANDBOX");
    hub.observe(&source, test).await;
    let sandbox = explain(&hub, "user-2", "entitlement=pro").await;
    says(&sandbox, &["no access to pro", "SANDBOX only", "?environment=SANDBOX"]);
    assert_eq!(explain(&hub, "user-2", "entitlement=pro&environment=SANDBOX").await["has_access"], true);
    hub.stop().await;
}

#[tokio::test]
async fn transfers_merges_and_claims_are_in_the_chain() {
    let (hub, source) = hub().await;
    hub.observe(&source, start("n1", "user-1", "sub-1", FROM, TO)).await;
    let claim = async |customer: &str, purchase: &str| {
        let body = json!({"source_id": source, "subscription_id": purchase});
        hub.api("POST", &format!("/v1/customers/{customer}/purchases"), body).await
    };
    assert_eq!(claim("user-2", "sub-1").await.status, 200);
    let gone = explain(&hub, "user-1", "entitlement=pro").await;
    says(&gone, &["no access to pro", "another customer", "it changed hands", "an app's backend by admin said"]);
    says(&explain(&hub, "user-2", "entitlement=pro").await, &["access to pro", "SUBSCRIPTION_RECEIVED"]);
    hub.api("POST", "/v1/customers/user-2/transfer", json!({"to": "user-3"})).await.expect(200);
    says(&explain(&hub, "user-3", "entitlement=pro").await, &["moved by hand by admin from \"user-2\" to \"user-3\""]);
    assert_eq!(claim("user-1", "sub-9").await.status, 202);
    let waits = explain(&hub, "user-1", "entitlement=pro").await;
    says(&waits, &["was claimed for \"user-1\"", "its store has not told of it yet"]);
    assert_eq!(waits["waiting"][0]["state"], "waiting");
    hub.api("POST", "/v1/customers/user-3/aliases", json!({"alias": "user-4"})).await.expect(200);
    assert_eq!(explain(&hub, "user-4", "").await, explain(&hub, "user-3", "").await, "every alias");
    hub.stop().await;
}

#[tokio::test]
async fn bodies_are_for_admins_and_unknown_ids_are_answered_with_near_ones() {
    let (hub, source) = hub().await;
    hub.observe(&source, start("n1", "Customer-4711", "sub-1", FROM, TO)).await;
    let path = "/v1/customers/Customer-4711/explain?bodies=true";
    let all = hub.get(path).await;
    let body = all["purchases"][0]["turns"][0]["cause"]["notifications"][0]["body"].as_str().expect("a body");
    assert!(body.contains("\"purchase_id\":\"sub-1\""), "{body}");
    let key = hub.api("POST", "/v1/keys", json!({"name": "k", "scopes": ["read"]})).await.expect(201);
    assert_eq!(hub.call("GET", path, key["key"].as_str(), Vec::new(), &[]).await.status, 403);
    let plain = "/v1/customers/Customer-4711/explain";
    assert_eq!(hub.call("GET", plain, key["key"].as_str(), Vec::new(), &[]).await.status, 200);
    for wrong in ["customer-4711", "Customer-4712", "%20Customer-4711"] {
        let refused =
            hub.call("GET", &format!("/v1/customers/{wrong}/explain"), Some(ADMIN_KEY), Vec::new(), &[]).await;
        assert_eq!(refused.status, 404, "{wrong}");
        let detail = refused.body["detail"].as_str().unwrap_or_default();
        assert!(detail.contains("\"Customer-4711\""), "{wrong}: {detail}");
    }
    for bad in ["at=soon", "environment=X", "entitlement=", "colour=red"] {
        assert_eq!(hub.api("GET", &format!("{plain}?{bad}"), Value::Null).await.status, 400, "{bad}");
    }
    hub.stop().await;
}
