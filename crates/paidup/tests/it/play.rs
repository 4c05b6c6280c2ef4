//! Google Play, through the whole program: pushes that Google's token proves, lookups at a stand-in of its API, chains of
//! tokens, money, an API in trouble, and forgeries.

use crate::support::play::{
    KID, KeyServer, Shop, Trouble, about, acknowledge_path, claims, ending, envelope, item, jwt, key_file,
    notification, order, order_path, product, product_path, subscription, subscription_path,
};
use crate::support::{TestHub, reference};
use paidup_hub::clock::Clock;
use paidup_simulator::rsa::Holder;
use serde_json::{Value, json};
use std::time::Duration;

const JAN: &str = "2026-01-01T00:00:00Z";
const MID: &str = "2026-01-15T00:00:00Z";
const FEB: &str = "2026-02-01T00:00:00Z";
const MAR: &str = "2026-03-01T00:00:00Z";
const NOTHING: [&str; 0] = [];

fn month() -> Value {
    subscription("ACTIVE", JAN, json!([item("pro", "GPA.1", FEB)]), json!({}))
}

async fn bought(shop: &Shop) {
    let told = shop.tell(JAN, 4, "t1", month()).await;
    assert_eq!(told, ["ACTIVATE", "SUBSCRIPTION_STARTED", "TRANSACTION_PROCESSED"]);
}

/// What each notification of a real life must tell, money left out (lifecycle section 11).
const TRACES: [(&str, &[&[&str]]); 8] = [
    ("A-purchase-cancel-restart-revoke", &[START, &["RENEWAL_DISABLED"], &["RENEWAL_ENABLED"], REVOKED]),
    (
        "B-purchase-grace-renew-cancel-expire",
        &[
            START,
            GRACE,
            &["ACTIVATE", "SUBSCRIPTION_RECOVERED_FROM_GRACE_PERIOD"],
            &["RENEWAL_DISABLED"],
            &["DEACTIVATE", "SUBSCRIPTION_TERMINATED"],
        ],
    ),
    (
        "D-grace-then-user-cancel",
        &[
            START,
            GRACE,
            &["DEACTIVATE", "SUBSCRIPTION_CANCELLED_DURING_GRACE_PERIOD", "SUBSCRIPTION_TERMINATED"],
            &NOTHING,
        ],
    ),
    ("E-grace-hold-system-cancel-expire", &[START, GRACE, HOLD, &["SUBSCRIPTION_TERMINATED"], &NOTHING]),
    ("F-grace-hold-recovered", &[START, GRACE, HOLD, BACK]),
    ("G-plan-change-old-token-replaced-renew", &[START, CHANGED, &NOTHING, &["ACTIVATE", "SUBSCRIPTION_RENEWED"]]),
    ("I-plan-change-grace-hold-recovered", &[START, CHANGED, &NOTHING, GRACE, HOLD, BACK]),
    ("K-purchase-revoke-expire", &[START, REVOKED, &NOTHING]),
];
const START: &[&str] = &["ACTIVATE", "SUBSCRIPTION_STARTED"];
const GRACE: &[&str] = &["ACTIVATE", "GRACE_PERIOD_STARTED"];
const HOLD: &[&str] = &["DEACTIVATE", "GRACE_PERIOD_TERMINATED", "ENTERED_BILLING_RETRY"];
const BACK: &[&str] = &["ACTIVATE", "SUBSCRIPTION_RECOVERED_FROM_BILLING_RETRY"];
const CHANGED: &[&str] = &["DEACTIVATE", "ACTIVATE", "SUBSCRIPTION_CROSSGRADED"];
const REVOKED: &[&str] = &["DEACTIVATE", "SUBSCRIPTION_REFUNDED_REVOKED"];

#[tokio::test]
async fn real_lives_give_the_traces_of_the_canonical_lifecycle() {
    let Some(folder) = reference() else { return };
    for (name, expected) in TRACES {
        let path = folder.join("samples/google/flows").join(format!("{name}.json"));
        let flow: Vec<Value> = serde_json::from_slice(&std::fs::read(path).expect("a flow")).expect("JSON");
        let time = |pair: &Value| {
            let millis = pair["rtdn"]["eventTimeMillis"].as_str().expect("a time").parse().expect("a number");
            paidup_lifecycle::time::Timestamp::from_millis(millis).expect("a time").to_string()
        };
        let shop = Shop::open(&time(&flow[0])).await;
        for (pair, expected) in flow.iter().zip(expected) {
            let mut told = pair["rtdn"].clone();
            told["packageName"] = json!(crate::support::play::PACKAGE);
            let token = told["subscriptionNotification"]["purchaseToken"].as_str().expect("a token");
            shop.google.put(&subscription_path(token), pair["subscriptionsv2"].clone());
            let mut types = shop.told_by(&time(pair), &told).await;
            types.retain(|event| event != "TRANSACTION_PROCESSED");
            assert_eq!(types, *expected, "{name}: {}", told["subscriptionNotification"]["notificationType"]);
        }
        let customer = shop.hub.get("/v1/customers/OBFUSCATED").await;
        assert_eq!(
            customer["purchases"].as_array().map(Vec::len),
            Some(1),
            "{name}: a chain of tokens is one purchase"
        );
        assert_eq!(shop.google.tokens(), 1, "{name}: one access token serves them all");
        shop.rebuilds().await;
        shop.stop().await;
    }
}

#[tokio::test]
async fn a_repeated_message_is_taken_once() {
    let shop = Shop::open(JAN).await;
    shop.google.put(&subscription_path("t1"), month());
    for _ in 0..3 {
        shop.push_as("the same", &about(JAN, 4, "t1")).await.expect(200);
        shop.looked_up().await;
    }
    assert_eq!(shop.hub.types().await.len(), 3);
    assert_eq!(shop.google.called().len(), 1, "a repeat asks for nothing");
    // Under another id it is looked at again, and says nothing new.
    assert_eq!(shop.told_by("2026-01-01T00:00:01Z", &about(JAN, 4, "t1")).await, NOTHING);
    shop.stop().await;
}

#[tokio::test]
async fn forgeries_leave_nothing_but_a_count() {
    let shop = Shop::open_with(JAN, json!({"subscription": "projects/p/subscriptions/s"})).await;
    let header = json!({"alg": "RS256", "kid": KID, "typ": "JWT"});
    let now = shop.hub.clock.now();
    let with = |name: &str, value: Value| {
        let mut claims = claims(now);
        claims[name] = value;
        jwt(Holder::Google, &header, &claims)
    };
    let good = jwt(Holder::Google, &header, &claims(now));
    let body = envelope("forged", &about(JAN, 4, "t1"));
    let mut elsewhere = about(JAN, 4, "t1");
    elsewhere["packageName"] = json!("com.example.other");
    let moved = String::from_utf8(body.clone()).expect("text").replace("subscriptions/s", "subscriptions/t");
    let cases = [
        ("no header", None, body.clone(), 401, "no_token"),
        ("wrong key", Some(jwt(Holder::Stranger, &header, &claims(now))), body.clone(), 401, "bad_signature"),
        ("audience", Some(with("aud", json!("https://other.example.com"))), body.clone(), 401, "wrong_audience"),
        ("issuer", Some(with("iss", json!("https://evil.example.com"))), body.clone(), 401, "wrong_issuer"),
        ("e-mail", Some(with("email", json!("me@example.com"))), body.clone(), 403, "wrong_sender"),
        ("e-mail unverified", Some(with("email_verified", json!(false))), body.clone(), 403, "unverified_sender"),
        ("expired", Some(with("exp", json!(now.as_seconds() - 120))), body.clone(), 401, "token_expired"),
        ("future", Some(with("iat", json!(now.as_seconds() + 120))), body.clone(), 401, "token_from_the_future"),
        (
            "alg none",
            Some(jwt(Holder::Google, &json!({"alg": "none", "kid": KID}), &claims(now))),
            body.clone(),
            401,
            "wrong_algorithm",
        ),
        (
            "alg HS256",
            Some(jwt(Holder::Google, &json!({"alg": "HS256", "kid": KID}), &claims(now))),
            body.clone(),
            401,
            "wrong_algorithm",
        ),
        ("truncated", Some(good[..good.len() - 5].to_owned()), body.clone(), 401, "bad_signature"),
        ("padded", Some(format!("{good}=")), body.clone(), 401, "bad_signature"),
        ("no envelope", Some(good.clone()), b"[]".to_vec(), 400, "no_envelope"),
        ("another app", Some(good.clone()), envelope("forged", &elsewhere), 422, "wrong_package"),
        ("another subscription", Some(good.clone()), moved.into_bytes(), 422, "wrong_subscription"),
    ];
    for (name, token, body, status, reason) in &cases {
        let refused = shop.post(token.as_deref(), body).await;
        assert_eq!(refused.status, *status, "{name}: {}", refused.body);
        let metrics = shop.hub.call("GET", "/metrics", None, Vec::new(), &[]).await.body;
        let counted = metrics.as_str().unwrap_or_default().contains(&format!("reason=\"{reason}\""));
        assert!(counted, "{name}: {reason} is counted");
    }
    let kept = shop.hub.get("/v1/notifications").await;
    assert_eq!(kept["data"].as_array().map(Vec::len), Some(0), "nothing is kept");
    assert_eq!((shop.google.called().len(), shop.hub.types().await.len()), (0, 0));
    assert_eq!(shop.google.keys_asked(), 1, "and forgers cause no calls");
    shop.stop().await;
}

#[tokio::test]
async fn keys_are_fetched_once_and_a_key_server_in_trouble_refuses_nobody_for_good() {
    for (name, does) in [
        ("down", KeyServer::Says(503, String::new())),
        ("lying", KeyServer::Says(200, "<html>sign in</html>".to_owned())),
        ("empty", KeyServer::Says(200, r#"{"keys":[]}"#.to_owned())),
        ("huge", KeyServer::Says(200, "x".repeat(8 << 20))),
    ] {
        let shop = Shop::open(JAN).await;
        shop.google.key_server(does);
        let refused = shop.push(&about(JAN, 4, "t1")).await;
        assert_eq!(refused.status, 503, "{name}: {}", refused.body);
        shop.google.key_server(KeyServer::Right);
        shop.hub.clock.advance(Duration::from_secs(10));
        shop.google.put(&subscription_path("t1"), month());
        shop.push(&about(JAN, 4, "t1")).await.expect(200);
        shop.looked_up().await;
        assert_eq!(shop.hub.types().await.len(), 3, "{name}");
        let asked = shop.google.keys_asked();
        // A key that nobody publishes is looked for once a minute, not for every push.
        let unknown = jwt(Holder::Google, &json!({"alg": "RS256", "kid": "another"}), &claims(shop.hub.clock.now()));
        shop.hub.clock.advance(Duration::from_secs(120));
        for _ in 0..3 {
            let refused = shop.post(Some(&unknown), &envelope("x", &about(JAN, 4, "t1"))).await;
            assert_eq!(refused.status, 401, "{name}: {}", refused.body);
        }
        assert_eq!(shop.google.keys_asked(), asked + 1, "{name}");
        shop.stop().await;
    }
}

#[tokio::test]
async fn an_api_in_trouble_delays_no_answer_and_harms_no_state() {
    let quota = r#"{"error":{"code":403,"errors":[{"reason":"rateLimitExceeded"}]}}"#;
    for (name, trouble) in [
        ("down", Trouble::Says(500, String::new())),
        ("busy", Trouble::Says(503, String::new())),
        ("unauthorized", Trouble::Says(401, String::new())),
        ("forbidden", Trouble::Says(403, r#"{"error":{"errors":[{"reason":"permissionDenied"}]}}"#.to_owned())),
        ("quota", Trouble::Says(403, quota.to_owned())),
        ("too many", Trouble::Says(429, String::new())),
        ("a page", Trouble::Says(200, "<html>".to_owned())),
        ("another object", Trouble::Says(200, r#"{"kind":"something"}"#.to_owned())),
        ("nothing", Trouble::Says(200, String::new())),
    ] {
        let shop = Shop::open(JAN).await;
        bought(&shop).await;
        let before = shop.purchases().await;
        shop.google.trouble(Some(trouble));
        shop.to(MID).await;
        shop.push(&about(MID, 3, "t1")).await.expect(200);
        let row = shop.tried().await;
        assert_eq!(row["state"], "waiting", "{name}: {row}");
        assert!(row["last_error"].as_str().is_some_and(|error| !error.is_empty()), "{name}: {row}");
        assert_eq!(shop.purchases().await, before, "{name}");
        shop.google.trouble(None);
        let off = subscription("CANCELED", JAN, json!([ending(item("pro", "GPA.1", FEB))]), user_cancelled());
        shop.google.put(&subscription_path("t1"), off);
        let told = shop.told_since(3, "the end of trouble").await;
        assert_eq!(told, ["RENEWAL_DISABLED"], "{name}");
        shop.stop().await;
    }
}

#[tokio::test]
async fn an_api_that_hangs_delays_no_answer() {
    let shop = Shop::open(JAN).await;
    bought(&shop).await;
    shop.google.trouble(Some(Trouble::Hangs));
    shop.to(MID).await;
    for number in [3, 7, 3] {
        shop.push(&about(MID, number, "t1")).await.expect(200);
    }
    assert_eq!(shop.hub.types().await.len(), 3);
    assert!(!shop.hub.get("/v1/lookups").await["data"].as_array().expect("rows").is_empty(), "and it is shown");
    shop.google.trouble(None);
    shop.stop().await;
}

#[tokio::test]
async fn an_answer_that_contradicts_its_notice_is_believed() {
    let shop = Shop::open(JAN).await;
    bought(&shop).await;
    for number in [5, 6, 10, 12, 13, 20] {
        assert_eq!(shop.tell(MID, number, "t1", month()).await, NOTHING, "{number}");
    }
    assert_eq!(shop.purchases().await[0]["state"], "active");
    shop.stop().await;
}

fn user_cancelled() -> Value {
    json!({"canceledStateContext": {"userInitiatedCancellation": {"cancelTime": MID}}})
}

fn replaced(order: &str, product: &str, former: Option<&str>) -> Value {
    let more = json!({"canceledStateContext": {"replacementCancellation": {}}, "linkedPurchaseToken": former});
    subscription("EXPIRED", JAN, json!([ending(item(product, order, MID))]), more)
}

fn changed(product: &str, order: &str, former: &str) -> Value {
    let mut item = item(product, order, "2026-02-15T00:00:00Z");
    item["itemReplacement"] = json!({"productId": "plus", "replacementMode": "CHARGE_FULL_PRICE"});
    subscription("ACTIVE", MID, json!([item]), json!({"linkedPurchaseToken": former}))
}

#[tokio::test]
async fn a_chain_with_an_unknown_link_is_one_purchase() {
    let shop = Shop::open(JAN).await;
    bought(&shop).await;
    // The notice of t2 was lost: t3 names it, and it is asked for.
    shop.google.put(&subscription_path("t1"), replaced("GPA.1", "pro", None));
    shop.google.put(&subscription_path("t2"), replaced("GPA.2", "plus", Some("t1")));
    let told = shop.tell(MID, 4, "t3", changed("max", "GPA.3", "t2")).await;
    assert_eq!(told, ["DEACTIVATE", "ACTIVATE", "SUBSCRIPTION_CROSSGRADED", "TRANSACTION_PROCESSED"]);
    let purchases = shop.purchases().await;
    assert_eq!((purchases.len(), &purchases[0]["store_purchase_id"]), (1, &json!("t1")));
    assert_eq!(shop.tell("2026-01-15T00:00:05Z", 13, "t1", replaced("GPA.1", "pro", None)).await, NOTHING);
    assert_eq!(shop.tell("2026-01-15T00:00:06Z", 13, "t2", replaced("GPA.2", "plus", Some("t1"))).await, NOTHING);
    // At the end of the period the newest token is asked, not the root.
    let renewed = subscription(
        "ACTIVE",
        MID,
        json!([item("max", "GPA.3..0", "2026-03-15T00:00:00Z")]),
        json!({"linkedPurchaseToken": "t2"}),
    );
    shop.google.put(&subscription_path("t3"), renewed);
    let (events, calls) = (shop.hub.types().await.len(), shop.google.called().len());
    shop.to("2026-02-15T00:05:01Z").await;
    assert_eq!(shop.told_since(events, "the renewal").await[..2], ["ACTIVATE", "SUBSCRIPTION_RENEWED"]);
    assert_eq!(shop.google.called()[calls..], [subscription_path("t3")]);
    shop.rebuilds().await;
    shop.stop().await;
}

#[tokio::test]
async fn a_chain_that_nobody_knew_is_known_from_its_root() {
    let shop = Shop::open(MID).await;
    shop.google.put(&subscription_path("t1"), replaced("GPA.1", "pro", Some("t0")));
    shop.google.put(&subscription_path("t2"), replaced("GPA.2", "plus", Some("t1")));
    let told = shop.tell(MID, 4, "t3", changed("max", "GPA.3", "t2")).await;
    assert_eq!(told, ["ACTIVATE", "SUBSCRIPTION_CROSSGRADED", "TRANSACTION_PROCESSED"], "it was plus before");
    let asked: Vec<String> = ["t3", "t2", "t1", "t0", "t1", "t2", "t3"].map(subscription_path).to_vec();
    assert_eq!(shop.google.called(), asked, "back to what Google does not know any more, and forward again");
    assert_eq!(shop.purchases().await.len(), 1);
    shop.rebuilds().await;
    shop.stop().await;
}

#[tokio::test]
async fn bought_again_in_the_store_is_a_return() {
    let shop = Shop::open(JAN).await;
    bought(&shop).await;
    let over = subscription("EXPIRED", JAN, json!([ending(item("pro", "GPA.1", FEB))]), user_cancelled());
    assert_eq!(shop.tell(FEB, 13, "t1", over).await, ["DEACTIVATE", "SUBSCRIPTION_TERMINATED"]);
    let again = |more: Value| subscription("ACTIVE", MAR, json!([item("pro", "GPA.9", "2026-04-01T00:00:00Z")]), more);
    let revived = again(json!({"outOfAppPurchaseContext": {"expiredPurchaseToken": "t1"}}));
    let told = shop.tell(MAR, 4, "t9", revived).await;
    assert_eq!(told, ["ACTIVATE", "SUBSCRIPTION_REACTIVATED", "TRANSACTION_PROCESSED"]);
    assert_eq!(shop.purchases().await.len(), 1, "Google names the token before");
    shop.stop().await;
    // Without a link: the same product of the same customer.
    let shop = Shop::open(JAN).await;
    bought(&shop).await;
    let over = subscription("EXPIRED", JAN, json!([ending(item("pro", "GPA.1", FEB))]), user_cancelled());
    shop.tell(FEB, 13, "t1", over).await;
    let told = shop.tell(MAR, 4, "t9", again(json!({}))).await;
    assert_eq!(told, ["ACTIVATE", "SUBSCRIPTION_REACTIVATED", "TRANSACTION_PROCESSED"]);
    assert_eq!(shop.purchases().await.len(), 2);
    shop.stop().await;
}

#[tokio::test]
async fn a_start_that_was_cancelled_before_we_could_ask_is_told_as_both() {
    let shop = Shop::open(JAN).await;
    let off = subscription("CANCELED", JAN, json!([ending(item("pro", "GPA.1", FEB))]), user_cancelled());
    shop.google.put(&subscription_path("t1"), off);
    shop.to(MID).await;
    shop.push(&about(JAN, 4, "t1")).await.expect(200);
    shop.push(&about(MID, 3, "t1")).await.expect(200);
    shop.looked_up().await;
    let mut told = shop.hub.types().await;
    told.retain(|event| event != "TRANSACTION_PROCESSED");
    assert_eq!(told, ["ACTIVATE", "SUBSCRIPTION_STARTED", "RENEWAL_DISABLED"]);
    shop.rebuilds().await;
    shop.stop().await;
}

#[tokio::test]
async fn what_is_paid_is_acknowledged_only_where_that_is_wished() {
    let open = subscription(
        "ACTIVE",
        JAN,
        json!([item("pro", "GPA.1", FEB)]),
        json!({"acknowledgementState": "ACKNOWLEDGEMENT_STATE_PENDING"}),
    );
    let acknowledged = format!("POST {}", acknowledge_path("pro", "t1"));
    for (wished, expected) in [(false, 0), (true, 1)] {
        let shop = Shop::open_with(JAN, json!({"acknowledge": wished})).await;
        shop.tell(JAN, 4, "t1", open.clone()).await;
        let count = shop.google.called().iter().filter(|call| **call == acknowledged).count();
        assert_eq!(count, expected, "{:?}", shop.google.called());
        shop.tell(MID, 19, "t1", month()).await;
        let count = shop.google.called().iter().filter(|call| **call == acknowledged).count();
        assert_eq!(count, expected, "what is acknowledged is not acknowledged again");
        shop.stop().await;
    }
}

#[tokio::test]
async fn one_time_purchases_and_their_refunds() {
    let shop = Shop::open_with(JAN, json!({"consumables": ["coins"]})).await;
    let told = |token: &str| json!({"version": "1.0", "notificationType": 1, "purchaseToken": token, "sku": "x"});
    shop.google.put(&product_path("o1"), product("PURCHASED", "theme", "GPA.5"));
    shop.google.put(&order_path("GPA.5"), order("GPA.5", "o1", "theme", "5"));
    let events = shop.told_by(JAN, &notification(JAN, "oneTimeProductNotification", told("o1"))).await;
    assert_eq!(events, ["ACTIVATE", "ONE_TIME_PURCHASED", "TRANSACTION_PROCESSED"]);
    let paid = shop.hub.events().await[0].clone();
    assert_eq!(paid["transaction"]["amount_minor"], 500, "the order says what was paid");
    shop.google.put(&product_path("o1"), product("CANCELLED", "theme", "GPA.5"));
    let void = json!({"purchaseToken": "o1", "orderId": "GPA.5", "productType": 2, "refundType": 1});
    let events = shop.told_by(MID, &notification(MID, "voidedPurchaseNotification", void.clone())).await;
    assert_eq!(events, ["DEACTIVATE", "ONE_TIME_REFUNDED", "TRANSACTION_PROCESSED"]);
    assert_eq!(shop.hub.events().await[0]["transaction"]["amount_minor"], -500);
    // Told again, under another id, it says nothing new.
    let later = "2026-01-15T00:00:01Z";
    assert_eq!(shop.told_by(later, &notification(MID, "voidedPurchaseNotification", void)).await, NOTHING);
    // Some of the coins go back: only the order knows how much.
    shop.google.put(&product_path("o2"), product("PURCHASED", "coins", "GPA.6"));
    shop.google.put(&order_path("GPA.6"), order("GPA.6", "o2", "coins", "9"));
    let events = shop.told_by(MID, &notification(MID, "oneTimeProductNotification", told("o2"))).await;
    assert_eq!(events, ["ACTIVATE", "ONE_TIME_PURCHASED", "TRANSACTION_PROCESSED"]);
    let mut partly = order("GPA.6", "o2", "coins", "9");
    let part = json!({"currencyCode": "USD", "units": "3"});
    partly["orderHistory"] =
        json!({"partialRefundEvents": [{"state": "PROCESSED_SUCCESSFULLY", "refundDetails": {"total": part}}]});
    shop.google.put(&order_path("GPA.6"), partly);
    let void = json!({"purchaseToken": "o2", "orderId": "GPA.6", "productType": 2, "refundType": 2});
    let events = shop.told_by(FEB, &notification(FEB, "voidedPurchaseNotification", void)).await;
    assert_eq!(events, ["REFUND_RECORDED", "TRANSACTION_PROCESSED"]);
    assert_eq!(shop.hub.events().await[0]["transaction"]["amount_minor"], -300);
    shop.rebuilds().await;
    shop.stop().await;
}

#[tokio::test]
async fn add_ons_are_purchases_of_their_own() {
    let shop = Shop::open(JAN).await;
    bought(&shop).await;
    let both = |ends: &str, order: &str| json!([item("pro", order, ends), item("video", order, ends)]);
    let told = shop.tell(MID, 17, "t1", subscription("ACTIVE", JAN, both(FEB, "GPA.1"), json!({}))).await;
    assert_eq!(told[..1], ["ACTIVATE"], "{told:?}");
    let mut ids: Vec<Value> = shop.purchases().await.iter().map(|one| one["store_purchase_id"].clone()).collect();
    ids.sort_by_key(ToString::to_string);
    assert_eq!(ids, [json!("t1"), json!("t1/video")]);
    // It is not in the next period: the question at its end finds that out.
    let one = subscription("ACTIVE", JAN, json!([item("pro", "GPA.1..0", MAR)]), json!({}));
    assert_eq!(shop.tell(FEB, 2, "t1", one).await[..2], ["ACTIVATE", "SUBSCRIPTION_RENEWED"]);
    let before = shop.hub.types().await.len();
    shop.to("2026-02-01T00:05:01Z").await;
    assert_eq!(shop.told_since(before, "the end of the add-on").await[..2], ["DEACTIVATE", "SUBSCRIPTION_TERMINATED"]);
    shop.stop().await;
}

#[tokio::test]
async fn without_credentials_notices_wait_until_there_are_some() {
    let shop = Shop::open_with(JAN, json!({"credentials": null})).await;
    shop.google.put(&subscription_path("t1"), month());
    shop.push(&about(JAN, 4, "t1")).await.expect(200);
    let row = shop.tried().await;
    assert_eq!((&row["state"], shop.hub.types().await.len()), (&json!("waiting"), 0), "{row}");
    let config = json!({"package_name": crate::support::play::PACKAGE, "audience": crate::support::play::AUDIENCE,
        "service_account_email": crate::support::play::SENDER, "credentials": key_file()});
    let path = format!("/v1/sources/{}", shop.source);
    let shown = shop.hub.api("PATCH", &path, json!({"config": config})).await.expect(200);
    assert!(!shown.to_string().contains("PRIVATE KEY"), "the key is not shown");
    let told = shop.told_since(0, "what waited").await;
    assert_eq!(told, ["ACTIVATE", "SUBSCRIPTION_STARTED", "TRANSACTION_PROCESSED"]);
    shop.stop().await;
}

/// Purchases whose every notification was lost: the app's own backend says so, and Google is asked.
#[tokio::test]
async fn what_an_apps_backend_claims_is_asked_for() {
    let shop = Shop::open(JAN).await;
    shop.hub.map("pro", &["pro"]).await;
    shop.hub.map("theme", &["themes"]).await;
    let mut unowned = month();
    unowned["externalAccountIdentifiers"] = Value::Null;
    shop.google.put(&subscription_path("t1"), unowned);
    let mut unowned = product("PURCHASED", "theme", "GPA.5");
    unowned["obfuscatedExternalAccountId"] = Value::Null;
    shop.google.put(&product_path("o1"), unowned);
    for (token, product, active) in [("t1", "pro", json!(["pro"])), ("o1", "theme", json!(["pro", "themes"]))] {
        let body = json!({"source_id": shop.source, "purchase_token": token, "product_id": product});
        let claimed = shop.hub.api("POST", "/v1/customers/user-9/purchases", body).await.expect(200);
        assert_eq!(claimed["active"], active, "{claimed}");
        shop.looked_up().await;
    }
    shop.rebuilds().await;
    shop.stop().await;
}

#[tokio::test]
async fn a_mapped_subscription_stands_for_all_its_plans() {
    let shop = Shop::open(JAN).await;
    let mut plan = item("pro", "GPA.1", FEB);
    plan["offerDetails"] = json!({"basePlanId": "monthly"});
    shop.tell(JAN, 4, "t1", subscription("ACTIVE", JAN, json!([plan]), json!({}))).await;
    let active = async |hub: &TestHub| hub.get("/v1/customers/user-1").await["entitlements"].clone();
    assert_eq!(shop.purchases().await[0]["product_id"], "pro:monthly");
    assert_eq!(active(&shop.hub).await.as_array().map(Vec::len), Some(0), "nobody mapped it");
    shop.hub.map("pro", &["pro"]).await;
    let mapped = async |hub: &TestHub| (active(hub).await.as_array().map(Vec::len) == Some(1)).then_some(());
    shop.hub.until("the entitlement", mapped).await;
    shop.rebuilds().await;
    shop.stop().await;
}

#[tokio::test]
async fn what_nobody_can_read_is_kept_and_shown() {
    let shop = Shop::open(JAN).await;
    let now = shop.hub.clock.now();
    let token = jwt(Holder::Google, &json!({"alg": "RS256", "kid": KID}), &claims(now));
    let body = json!({"message": {"data": "eyAidmVyc2lvbiI6IHN0cmluZyB9", "messageId": "1"}, "subscription": "s"});
    shop.post(Some(&token), body.to_string().as_bytes()).await.expect(200);
    shop.google.put(&subscription_path("t1"), month());
    let told = shop.told_by(JAN, &about(JAN, 99, "t1")).await;
    assert_eq!(told[..1], ["ACTIVATE"], "a number of the future, and Google is asked");
    let shown = async |hub: &TestHub| {
        let unknown = hub.get("/v1/notifications?outcome=unknown").await;
        unknown["data"].as_array().map(Vec::len)
    };
    assert_eq!(shown(&shop.hub).await, Some(2));
    shop.stop().await;
}
