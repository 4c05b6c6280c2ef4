//! Amazon, from a signed message over HTTP to what is told: proofs, lookups and what becomes of them.

use crate::support::TestHub;
use crate::support::amazon::{
    Amazon, Appstore, NEXT_RECEIPT, RECEIPT, SECRET, Signer, USER, check_log, message, millis, receipt, settings,
    signed,
};
use serde_json::{Value, json};
use std::time::Duration;

const JAN: &str = "2026-01-01T00:00:00Z";
const FEB: &str = "2026-02-01T00:00:00Z";
const MAR: &str = "2026-03-01T00:00:00Z";

async fn start(amazon: &Amazon) -> TestHub {
    let hub = TestHub::start_with(JAN, &settings(&amazon.url())).await;
    for product in ["pro_monthly", "pro_yearly"] {
        hub.map(product, &["pro"]).await;
    }
    hub
}

async fn stop(hub: TestHub) {
    // The secret stands nowhere in what the hub shows.
    for path in ["/v1/lookups", "/v1/lookups?state=all", "/v1/sources", "/v1/notifications", "/v1/events", "/metrics"] {
        let answer = hub.api("GET", path, Value::Null).await;
        assert!(!answer.body.to_string().contains(&SECRET[2..20]), "{path}: {}", answer.body);
    }
    hub.stop().await;
    check_log();
}

/// Refused with that status; nothing is kept, looked up or told, and the refusal is counted under its reason.
async fn refused(appstore: &Appstore<'_>, name: &str, body: &[u8], status: u16, reason: &str) {
    let hub = appstore.hub;
    let count = async || {
        let metrics = hub.api("GET", "/metrics", Value::Null).await.body;
        let text = metrics.as_str().expect("text").to_owned();
        let lines = text.lines().filter(|line| line.contains("amazon") && line.contains(&format!("\"{reason}\"")));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>()
    };
    let before = count().await;
    let answer = hub.call("POST", &format!("/ingest/{}", appstore.source), None, body.to_vec(), &[]).await;
    assert_eq!(answer.status, status, "{name}: {}", answer.body);
    assert!(count().await > before, "{name}: not counted as {reason}");
    assert_eq!(hub.get("/v1/notifications").await["data"], json!([]), "{name}");
    assert_eq!(hub.get("/v1/lookups").await["data"], json!([]), "{name}");
    assert!(hub.types().await.is_empty(), "{name}");
}

#[tokio::test]
async fn forgeries_are_refused_and_leave_nothing() {
    let amazon = Amazon::start().await;
    let hub = start(&amazon).await;
    let appstore = Appstore::open(&hub, amazon.clone(), &json!({"environment": "PRODUCTION"})).await;
    let bought = message("SUBSCRIPTION_PURCHASED", RECEIPT, JAN, &json!({}));
    let envelope = |change: &dyn Fn(&mut Value)| {
        let mut body = amazon.envelope("m-1", &bought, JAN);
        change(&mut body);
        body
    };
    let genuine = signed(envelope(&|_| {}), Signer::Sns).to_string();
    let test = message("SUBSCRIPTION_PURCHASED", RECEIPT, JAN, &json!({"betaProductTransaction": true}));
    let change = |field: &'static str, value: &str| {
        let value = json!(value);
        signed(envelope(&move |body| body[field] = value.clone()), Signer::Sns).to_string()
    };
    let cases: Vec<(&str, String, u16, &str)> = vec![
        ("another key", signed(envelope(&|_| {}), Signer::SomebodyElse).to_string(), 401, "wrong_signature"),
        ("another message", genuine.replace("PURCHASED", "EXPIRED"), 401, "wrong_signature"),
        ("another topic", change("TopicArn", "arn:aws:sns:us-east-1:1:evil"), 422, "wrong_topic"),
        ("a test", signed(amazon.envelope("m-2", &test, JAN), Signer::Sns).to_string(), 422, "wrong_environment"),
        ("version 3", change("SignatureVersion", "3"), 401, "signature_version"),
        ("stale", change("Timestamp", "2025-12-31T22:00:00Z"), 401, "stale_message"),
        ("future", change("Timestamp", "2026-01-01T01:00:00Z"), 401, "future_message"),
        (
            "AWS itself",
            change("SigningCertURL", "https://sns.us-east-1.amazonaws.com/x.pem"),
            401,
            "foreign_certificate",
        ),
        ("another host", change("SigningCertURL", "http://127.0.0.1:1/x.pem"), 401, "foreign_certificate"),
        ("cut", genuine[..genuine.len() - 40].to_owned(), 400, "unreadable_body"),
        ("a field twice", genuine.replacen('{', "{\"Message\":\"x\",", 1), 400, "unreadable_body"),
        (
            "unescaped quotes",
            genuine.replace(r#"\"relatedReceipts\":{}"#, r#""relatedReceipts":{}"#),
            400,
            "unreadable_body",
        ),
        ("no message of the store", change("Message", "Hello world"), 400, "unreadable_message"),
    ];
    for (name, body, status, reason) in cases {
        refused(&appstore, name, body.as_bytes(), status, reason).await;
    }
    let huge = " ".repeat(600_000).into_bytes();
    hub.call("POST", &format!("/ingest/{}", appstore.source), None, huge, &[]).await.expect(413);
    assert_eq!(amazon.called(), [amazon.certificate_url().replace(&amazon.url(), "")], "one certificate, no receipt");
    amazon.put(false, RECEIPT, receipt(JAN, FEB, &json!({})));
    hub.call("POST", &format!("/ingest/{}", appstore.source), None, genuine.clone().into_bytes(), &[])
        .await
        .expect(200);
    appstore.looked_up().await;
    let told = hub.types().await;
    assert_eq!(told, ["ACTIVATE", "SUBSCRIPTION_STARTED"]);
    // The same again, and replayed when it is stale.
    hub.call("POST", &format!("/ingest/{}", appstore.source), None, genuine.clone().into_bytes(), &[])
        .await
        .expect(200);
    appstore.looked_up().await;
    hub.clock.advance(Duration::from_secs(7200));
    hub.call("POST", &format!("/ingest/{}", appstore.source), None, genuine.into_bytes(), &[]).await.expect(401);
    assert_eq!(hub.types().await, told);
    drop(appstore);
    stop(hub).await;
}

#[tokio::test]
async fn a_certificate_that_cannot_be_had_is_no_forgery() {
    let amazon = Amazon::start().await;
    let hub = start(&amazon).await;
    let appstore = Appstore::open(&hub, amazon.clone(), &json!({})).await;
    let good = Signer::Sns.certificate(2020, 2040);
    for (name, status, body, reason) in [
        ("down", 500, String::new(), "key_server_down"),
        ("gone", 404, String::new(), "key_server_down"),
        ("elsewhere", 302, String::new(), "key_server_down"),
        ("a page", 200, "<html>captive portal</html>".to_owned(), "certificate_unreadable"),
        ("huge", 200, format!("{good}{}", "x".repeat(1_000_000)), "certificate_unreadable"),
    ] {
        amazon.publishes(status, body);
        let at = hub.clock_text();
        let bought = message("SUBSCRIPTION_PURCHASED", RECEIPT, &at, &json!({}));
        let body = signed(amazon.envelope("m-1", &bought, &at), Signer::Sns).to_string();
        refused(&appstore, name, body.as_bytes(), 503, reason).await;
        hub.clock.advance(Duration::from_secs(10));
    }
    amazon.publishes(200, Signer::Sns.certificate(2020, 2026));
    let at = hub.clock_text();
    let bought = message("SUBSCRIPTION_PURCHASED", RECEIPT, &at, &json!({}));
    let body = signed(amazon.envelope("m-1", &bought, &at), Signer::Sns).to_string();
    refused(&appstore, "expired", body.as_bytes(), 401, "certificate_expired").await;
    drop(appstore);
    stop(hub).await;
}

#[tokio::test]
async fn a_subscription_to_the_topic_is_confirmed_and_shown() {
    for (confirmation, confirms) in [("automatic", true), ("by_hand", false)] {
        let amazon = Amazon::start().await;
        let hub = start(&amazon).await;
        let appstore = Appstore::open(&hub, amazon.clone(), &json!({"confirmation": confirmation})).await;
        let body = signed(amazon.confirmation("SubscriptionConfirmation", JAN), Signer::Sns);
        appstore.post(&body).await.expect(200);
        appstore.looked_up().await;
        let called = amazon.called().into_iter().any(|call| call.contains("Action=ConfirmSubscription"));
        assert_eq!(called, confirms, "{confirmation}");
        let shown = hub.get("/v1/notifications").await;
        let labels: Vec<&str> =
            shown["data"].as_array().expect("rows").iter().filter_map(|row| row["label"].as_str()).collect();
        assert!(labels.contains(&"SubscriptionConfirmation, token 2336412f37fb687f5d51e6e241d0"), "{labels:?}");
        let body = signed(amazon.confirmation("UnsubscribeConfirmation", JAN), Signer::Sns);
        appstore.post(&body).await.expect(200);
        let shown = hub.get("/v1/notifications").await;
        assert!(shown.to_string().contains("UnsubscribeConfirmation"));
        assert!(hub.types().await.is_empty());
        drop(appstore);
        stop(hub).await;
    }
}

/// RVS's refusals: what is over, what is wrong, what waits.
#[tokio::test]
async fn what_rvs_refuses() {
    let amazon = Amazon::start().await;
    let hub = start(&amazon).await;
    let appstore = Appstore::open(&hub, amazon.clone(), &json!({})).await;
    // It is down, then throttles, then answers: nothing is lost.
    for status in [500, 429, 503] {
        amazon.always(Some(status));
        if status == 500 {
            appstore.send("SUBSCRIPTION_PURCHASED", RECEIPT, JAN, &json!({})).await;
        }
        let calls = amazon.called().len();
        hub.until("another call", async |hub| {
            hub.clock.advance(Duration::from_secs(30));
            (amazon.called().len() > calls).then_some(())
        })
        .await;
        assert!(hub.types().await.is_empty(), "{status}");
    }
    amazon.put(false, RECEIPT, receipt(JAN, FEB, &json!({})));
    amazon.always(None);
    hub.clock.advance(Duration::from_secs(3600));
    assert_eq!(appstore.told_since(0).await, ["ACTIVATE", "SUBSCRIPTION_STARTED"]);
    // A receipt that nobody knows is given up at once, and shown.
    appstore.send("SUBSCRIPTION_RENEWED", "unknown:receipt", &hub.clock_text(), &json!({})).await;
    let given_up = hub
        .until("a lookup to be given up", async |hub| {
            let rows = hub.get("/v1/lookups").await["data"].clone();
            let found = rows.as_array()?.iter().find(|row| row["state"] == "given_up")?.clone();
            Some(found)
        })
        .await;
    assert!(given_up.to_string().contains("unknown:receipt"), "{given_up}");
    // 410 for a receipt that is known: it is over.
    let before = hub.types().await.len();
    amazon.put_status(false, RECEIPT, 410, Value::Null);
    appstore.send("SUBSCRIPTION_EXPIRED", RECEIPT, "2026-01-20T00:00:00Z", &json!({})).await;
    assert_eq!(appstore.told_since(before).await, ["DEACTIVATE", "SUBSCRIPTION_TERMINATED"]);
    drop(appstore);
    stop(hub).await;
}

/// A renewal that Amazon never told of is found by asking after the end; so is an end.
#[tokio::test]
async fn a_known_purchase_is_asked_about_when_its_period_is_over() {
    let amazon = Amazon::start().await;
    let hub = start(&amazon).await;
    let appstore = Appstore::open(&hub, amazon.clone(), &json!({})).await;
    let told = appstore.tell("SUBSCRIPTION_PURCHASED", JAN, receipt(JAN, FEB, &json!({}))).await;
    assert_eq!(told, ["ACTIVATE", "SUBSCRIPTION_STARTED"]);
    // A new receipt takes its place: it is the one that is asked about from then on.
    let more = json!({"relatedReceipts": {"cancelledReceiptId": RECEIPT}});
    let mut answer = receipt("2026-01-10T00:00:00Z", "2026-02-10T00:00:00Z", &json!({"termSku": "pro_yearly"}));
    let told = appstore
        .tell_of("SUBSCRIPTION_MODIFIED_IMMEDIATE", NEXT_RECEIPT, "2026-01-10T00:00:00Z", answer.clone(), &more)
        .await;
    assert_eq!(told, ["DEACTIVATE", "ACTIVATE", "SUBSCRIPTION_CROSSGRADED"]);
    answer["renewalDate"] = json!(millis("2026-03-10T00:00:00Z"));
    amazon.put(false, NEXT_RECEIPT, answer.clone());
    let before = hub.types().await.len();
    hub.clock.advance(Duration::from_secs(31 * 86_400));
    assert_eq!(appstore.told_since(before).await, ["ACTIVATE", "SUBSCRIPTION_RENEWED"]);
    assert!(
        amazon.called().last().is_some_and(|call| call.ends_with(&format!("/user/{USER}/receiptId/{NEXT_RECEIPT}")))
    );
    for (name, value) in [
        ("autoRenewing", json!(false)),
        ("renewalDate", Value::Null),
        ("cancelReason", json!(1)),
        ("cancelDate", json!(millis("2026-03-10T00:00:00Z"))),
    ] {
        answer[name] = value;
    }
    amazon.put(false, NEXT_RECEIPT, answer);
    let before = hub.types().await.len();
    hub.clock.advance(Duration::from_secs(28 * 86_400));
    assert_eq!(appstore.told_since(before).await, ["DEACTIVATE", "SUBSCRIPTION_TERMINATED"]);
    let customer = hub.get(&format!("/v1/customers/{USER}")).await;
    assert_eq!(customer["purchases"].as_array().map(Vec::len), Some(1), "both receipts are one purchase: {customer}");
    drop(appstore);
    stop(hub).await;
}

#[tokio::test]
async fn tests_are_verified_in_the_sandbox_and_stay_there() {
    let amazon = Amazon::start().await;
    let hub = start(&amazon).await;
    let appstore = Appstore::open(&hub, amazon.clone(), &json!({})).await;
    let more = json!({"betaProductTransaction": true});
    let told = appstore.tell_of("SUBSCRIPTION_PURCHASED", RECEIPT, JAN, receipt(JAN, FEB, &json!({})), &more).await;
    assert_eq!(told, ["ACTIVATE", "SUBSCRIPTION_STARTED"]);
    assert!(amazon.called().last().is_some_and(|call| call.starts_with("/sandbox/version/1.0/")));
    assert!(hub.events().await.iter().all(|event| event["environment"] == "SANDBOX"));
    drop(appstore);
    stop(hub).await;
}

#[tokio::test]
async fn a_price_of_the_operators_is_told_as_money() {
    let amazon = Amazon::start().await;
    let hub = start(&amazon).await;
    let prices = json!({"prices": {"pro_monthly": {"amount_minor": 499, "currency": "USD"}}});
    let appstore = Appstore::open(&hub, amazon.clone(), &prices).await;
    let told = appstore.tell("SUBSCRIPTION_PURCHASED", JAN, receipt(JAN, FEB, &json!({}))).await;
    assert_eq!(told, ["ACTIVATE", "SUBSCRIPTION_STARTED", "TRANSACTION_PROCESSED"]);
    let told = appstore.tell("SUBSCRIPTION_RENEWED", FEB, receipt(JAN, MAR, &json!({}))).await;
    assert_eq!(told, ["ACTIVATE", "SUBSCRIPTION_RENEWED", "TRANSACTION_PROCESSED"]);
    let customer = hub.get(&format!("/v1/customers/{USER}")).await;
    assert_eq!(customer["totals"], json!({"PRODUCTION/USD": 998}), "{customer}");
    drop(appstore);
    stop(hub).await;
}

/// Without a secret the notifications alone are told; once there is one, what waited is asked.
#[tokio::test]
async fn without_a_secret_nobody_gets_access_and_what_would_be_asked_waits() {
    let amazon = Amazon::start().await;
    let hub = start(&amazon).await;
    let appstore = Appstore::open(&hub, amazon.clone(), &json!({"shared_secret": null})).await;
    appstore.send("SUBSCRIPTION_PURCHASED", RECEIPT, JAN, &json!({})).await;
    assert_eq!(hub.types().await, ["ACTIVATE", "SUBSCRIPTION_STARTED"]);
    appstore.send("SUBSCRIPTION_AUTO_RENEWAL_OFF", RECEIPT, "2026-01-01T01:00:00Z", &json!({})).await;
    assert_eq!(hub.types().await, ["ACTIVATE", "SUBSCRIPTION_STARTED", "RENEWAL_DISABLED"]);
    let customer = hub.get(&format!("/v1/customers/{USER}")).await;
    assert_eq!(customer["entitlements"], json!([]), "nothing is unlocked, because nobody said what was bought");
    let waiting = hub.get("/v1/lookups").await;
    assert_eq!(waiting["data"].as_array().map(Vec::len), Some(2), "{waiting}");
    assert!(amazon.called().iter().all(|call| call.ends_with(".pem")), "RVS is not asked");
    amazon.put(false, RECEIPT, receipt(JAN, FEB, &json!({"autoRenewing": false})));
    let config = json!({"topic_arn": crate::support::amazon::TOPIC, "shared_secret": SECRET});
    hub.api("PATCH", &format!("/v1/sources/{}", appstore.source), json!({"config": config})).await.expect(200);
    assert!(appstore.told_since(3).await.contains(&"ACTIVATE".to_owned()), "its product is known now");
    let customer = hub.get(&format!("/v1/customers/{USER}")).await;
    assert_eq!(customer["entitlements"].as_array().map(Vec::len), Some(1), "{customer}");
    drop(appstore);
    stop(hub).await;
}

/// In whatever order the messages of one life come, it ends the same.
#[tokio::test]
async fn the_order_of_messages_does_not_matter_in_the_end() {
    let over = json!({"autoRenewing": false, "renewalDate": null, "cancelDate": millis(FEB), "cancelReason": 1});
    let kinds = ["SUBSCRIPTION_PURCHASED", "SUBSCRIPTION_AUTO_RENEWAL_OFF", "SUBSCRIPTION_EXPIRED"];
    let mut ends = Vec::new();
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let amazon = Amazon::start().await;
        let hub = start(&amazon).await;
        let appstore = Appstore::open(&hub, amazon.clone(), &json!({})).await;
        amazon.put(false, RECEIPT, receipt(JAN, FEB, &over));
        hub.clock.advance(Duration::from_secs(31 * 86_400 + 60));
        for place in order {
            appstore.send(kinds[place], RECEIPT, FEB, &json!({})).await;
        }
        appstore.looked_up().await;
        let customer = hub.get(&format!("/v1/customers/{USER}")).await;
        let purchase = &customer["purchases"][0];
        ends.push((purchase["state"].clone(), purchase["product_id"].clone(), customer["entitlements"].clone()));
        drop(appstore);
        stop(hub).await;
    }
    assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
    assert_eq!(ends[0].0, "expired");
}
