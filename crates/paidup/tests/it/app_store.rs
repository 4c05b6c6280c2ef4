//! Apple's own signed notifications through the whole program.

use crate::support::{TestHub, at, reference};
use paidup_simulator::stores::app_store::AppStore;
use paidup_simulator::stores::app_store::wire::{App, Notification, Transaction};
use serde_json::{Value, json};
use std::path::Path;

const BUNDLE: &str = "com.loki-project.loki-messenger";

/// Real notifications of one subscription, in the order in which Apple signed them, and the events that each gives
/// (money left out).
const TRACE: [(&str, &[&str]); 8] = [
    ("a1-", &["ACTIVATE", "SUBSCRIPTION_RENEWED"]),
    ("b1-", &["DEACTIVATE", "SUBSCRIPTION_TERMINATED", "ACTIVATE", "SUBSCRIPTION_REACTIVATED"]),
    ("b2-", &["RENEWAL_DISABLED"]),
    ("b3-", &["DEACTIVATE", "SUBSCRIPTION_TERMINATED"]),
    ("c1-", &["ACTIVATE", "SUBSCRIPTION_REACTIVATED"]),
    ("c2-", &["DEACTIVATE", "ACTIVATE", "SUBSCRIPTION_UPGRADED"]),
    ("c3-", &["RENEWAL_DISABLED"]),
    ("c7-", &["DEACTIVATE", "SUBSCRIPTION_TERMINATED"]),
];

fn sample(folder: &Path, prefix: &str) -> Vec<u8> {
    let real = folder.join("samples/apple/real");
    let entry = std::fs::read_dir(&real)
        .expect("samples")
        .filter_map(Result::ok)
        .find(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.starts_with(prefix) && name.ends_with(".jws")
        })
        .expect("the sample");
    let payload = std::fs::read_to_string(entry.path()).expect("a file");
    json!({"signedPayload": payload.trim()}).to_string().into_bytes()
}

async fn hub() -> (TestHub, String) {
    let hub = TestHub::start("2025-10-07T00:00:00Z").await;
    let source = hub.source("app_store", json!({"bundle_id": BUNDLE, "app_apple_id": 1_470_168_868})).await;
    (hub, source)
}

/// What there is to say about the one purchase at the end.
async fn state(hub: &TestHub) -> Value {
    let events = hub.events().await;
    let customer = events[0]["customer"]["id"].as_str().expect("a customer").to_owned();
    let customer = hub.get(&format!("/v1/customers/{customer}")).await;
    let mut purchase = customer["purchases"][0].clone();
    assert_eq!(customer["purchases"].as_array().expect("purchases").len(), 1);
    // Our own ids follow from chance; everything else must not depend on the order of arrival.
    purchase["id"] = Value::Null;
    json!({"purchase": purchase, "totals": customer["totals"], "entitlements": customer["entitlements"].as_array().map(Vec::len)})
}

fn without_money(types: &[String]) -> Vec<&str> {
    types.iter().map(String::as_str).filter(|name| *name != "TRANSACTION_PROCESSED").collect()
}

#[tokio::test]
async fn real_notifications_in_order_give_the_documented_trace() {
    let Some(folder) = reference() else { return };
    let (hub, source) = hub().await;
    let mut before = 0;
    for (prefix, expected) in TRACE {
        hub.ingest(&source, &sample(&folder, prefix)).await.expect(200);
        let types = hub.types().await;
        assert_eq!(without_money(&types[before..]), expected, "{prefix}");
        before = types.len();
    }
    hub.stop().await;
}

#[tokio::test]
async fn real_notifications_in_any_order_and_repeated_end_in_the_same_state() {
    let Some(folder) = reference() else { return };
    let (straight, source) = hub().await;
    for (prefix, _) in TRACE {
        straight.ingest(&source, &sample(&folder, prefix)).await.expect(200);
    }
    let expected = state(&straight).await;
    straight.stop().await;
    // Rotations, the reverse, and a shuffle with every one repeated: each a hub of its own.
    let count = TRACE.len();
    let mut orders: Vec<Vec<usize>> = (1..count).map(|by| (0..count).map(|i| (i + by) % count).collect()).collect();
    orders.push((0..count).rev().collect());
    orders.push(vec![5, 5, 2, 7, 0, 2, 6, 1, 4, 3, 0, 7, 3, 1, 6, 4]);
    for order in orders {
        let (hub, source) = hub().await;
        for index in &order {
            hub.ingest(&source, &sample(&folder, TRACE[*index].0)).await.expect(200);
        }
        assert_eq!(state(&hub).await, expected, "{order:?}");
        hub.stop().await;
    }
}

#[tokio::test]
async fn a_repeat_is_answered_the_same_and_changes_nothing() {
    let Some(folder) = reference() else { return };
    let (hub, source) = hub().await;
    hub.ingest(&source, &sample(&folder, "a1-")).await.expect(200);
    let before = hub.types().await;
    hub.ingest(&source, &sample(&folder, "a1-")).await.expect(200);
    assert_eq!(hub.types().await, before);
    assert_eq!(hub.get("/v1/notifications").await["data"].as_array().expect("rows").len(), 1);
    hub.stop().await;
}

#[tokio::test]
async fn the_kept_bytes_are_the_received_bytes() {
    let Some(folder) = reference() else { return };
    let (hub, source) = hub().await;
    let sent = sample(&folder, "c2-");
    hub.ingest(&source, &sent).await.expect(200);
    let id = hub.get("/v1/notifications").await["data"][0]["id"].as_str().expect("an id").to_owned();
    let kept = hub.get(&format!("/v1/notifications/{id}/body")).await;
    assert_eq!(kept, serde_json::from_slice::<Value>(&sent).expect("JSON"));
    hub.stop().await;
}

#[tokio::test]
async fn forged_and_misdirected_notifications_are_refused_with_their_reason() {
    let Some(folder) = reference() else { return };
    let (hub, source) = hub().await;
    let real: Value = serde_json::from_slice(&sample(&folder, "a1-")).expect("JSON");
    let payload = real["signedPayload"].as_str().expect("text");
    let parts: Vec<&str> = payload.split('.').collect();
    let signed = |text: String| json!({ "signedPayload": text }).to_string().into_bytes();
    let other: Value = serde_json::from_slice(&sample(&folder, "b1-")).expect("JSON");
    let other: Vec<&str> = other["signedPayload"].as_str().expect("text").split('.').collect();
    let table: Vec<(&str, Vec<u8>, u16)> = vec![
        ("another payload under the same signature", signed(format!("{}.{}.{}", parts[0], other[1], parts[2])), 401),
        ("another signature", signed(format!("{}.{}.{}", parts[0], parts[1], other[2])), 401),
        ("no signature", signed(format!("{}.{}.", parts[0], parts[1])), 401),
        ("two parts", signed(format!("{}.{}", parts[0], parts[1])), 400),
        ("no payload", b"{}".to_vec(), 400),
        ("not JSON", b"{\"signedPayload\":".to_vec(), 400),
        ("not UTF-8", b"{\"signedPayload\":\"\xff\xfe\"}".to_vec(), 400),
        ("deeply nested", [vec![b'['; 100_000], vec![b']'; 100_000]].concat(), 400),
        ("oversized", signed("x".repeat(8 << 20)), 413),
    ];
    for (name, body, status) in table {
        let answer = hub.ingest(&source, &body).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.body);
        assert!(!answer.body["detail"].as_str().unwrap_or_default().is_empty(), "{name}: {}", answer.body);
    }
    for (name, config) in [
        ("another bundle", json!({"bundle_id": "com.example.other"})),
        ("production only", json!({"bundle_id": BUNDLE, "app_apple_id": 1_470_168_868, "environment": "PRODUCTION"})),
    ] {
        let source = hub.source("app_store", config).await;
        let answer = hub.ingest(&source, &sample(&folder, "a1-")).await;
        assert_eq!(answer.status, 422, "{name}: {}", answer.body);
    }
    assert!(hub.types().await.is_empty());
    assert!(hub.get("/v1/notifications").await["data"].as_array().expect("rows").is_empty());
    hub.stop().await;
}

/// One notification of the same transaction, signed at that time.
fn said(kind: &'static str, status: u8, signed_at: &str, refunded_at: Option<&str>) -> Notification {
    let ms = |text: &str| at(text).as_millis();
    let (bought, ends) = (ms("2026-01-01T00:00:00Z"), ms("2026-02-01T00:00:00Z"));
    let transaction = Transaction {
        transaction_id: "700001".into(),
        original_transaction_id: "700001".into(),
        web_order_line_item_id: None,
        bundle_id: "com.example.app".into(),
        product_id: "pro_monthly",
        subscription_group_identifier: Some("21000001"),
        purchase_date: bought,
        original_purchase_date: bought,
        expires_date: Some(ends),
        quantity: 1,
        kind: "Auto-Renewable Subscription",
        app_account_token: None,
        in_app_ownership_type: "PURCHASED",
        signed_date: ms(signed_at),
        revocation_reason: refunded_at.map(|_| 1),
        revocation_date: refunded_at.map(ms),
        revocation_type: refunded_at.map(|_| "REFUND_FULL"),
        revocation_percentage: None,
        offer_type: None,
        offer_identifier: None,
        environment: "Production",
        transaction_reason: "PURCHASE",
        storefront: "DEU",
        storefront_id: "143443",
        price: 9990,
        currency: "EUR",
        offer_discount_type: None,
        app_transaction_id: "700000000000000001".into(),
        offer_period: None,
    };
    Notification {
        kind,
        subtype: (kind == "SUBSCRIBED").then_some("INITIAL_BUY"),
        uuid: format!("{kind}-{signed_at}"),
        signed_date: ms(signed_at),
        status: Some(status),
        transaction,
        renewal: None,
        consumption_request_reason: None,
    }
}

#[tokio::test]
async fn a_refund_that_is_reversed_and_given_again_is_told_again() {
    let app = App { bundle_id: "com.example.app".into(), app_apple_id: 1_234_567_890, environment: "Production" };
    let store = AppStore::new(app).expect("a store");
    let (first, second) = (Some("2026-01-05T00:00:00Z"), Some("2026-01-12T00:00:00Z"));
    let life = [
        said("SUBSCRIBED", 1, "2026-01-01T00:00:00Z", None),
        said("REFUND", 5, "2026-01-05T00:01:00Z", first),
        said("REFUND_REVERSED", 1, "2026-01-07T00:00:00Z", None),
        // Told of the first refund once more, after it was undone.
        said("DID_CHANGE_RENEWAL_STATUS", 1, "2026-01-08T00:00:00Z", first),
        said("REFUND", 5, "2026-01-12T00:01:00Z", second),
    ];
    for order in [[0, 1, 2, 3, 4], [0, 4, 3, 2, 1], [4, 2, 1, 0, 3]] {
        let hub = TestHub::start("2026-01-12T00:02:00Z").await;
        let config = json!({"bundle_id": "com.example.app", "app_apple_id": 1_234_567_890, "root_certificates": [store.root_pem()]});
        let source = hub.source("app_store", config).await;
        for index in order {
            hub.ingest(&source, &store.body(&life[index]).expect("signed")).await.expect(200);
        }
        let mut money: Vec<i64> = hub.get("/v1/events?type=TRANSACTION_PROCESSED").await["data"]
            .as_array()
            .expect("rows")
            .iter()
            .map(|event| event["transaction"]["amount_minor"].as_i64().expect("an amount"))
            .collect();
        money.sort_unstable();
        assert_eq!(money, [-999, -999, 999, 999], "{order:?}");
        let newest = hub.get("/v1/customers?limit=1").await["data"][0]["id"].as_str().expect("an id").to_owned();
        let customer = hub.get(&format!("/v1/customers/{newest}")).await;
        assert_eq!(customer["purchases"][0]["state"], "revoked", "{order:?}");
        hub.stop().await;
    }
}
