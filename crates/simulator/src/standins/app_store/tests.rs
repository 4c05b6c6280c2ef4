use super::*;
use crate::calendar::{Calendar, DAY};
use crate::population::{Population, PopulationOptions, Shop};
use crate::standins::Server;
use crate::stores::app_store::wire::App;
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use std::collections::BTreeSet;

const NOW: i64 = 1_790_000_000_000;

struct World {
    api: AppStoreApi,
    store: Arc<AppStore>,
    clock: Clock,
    client: reqwest::Client,
    told: Vec<(i64, crate::stores::app_store::wire::Notification)>,
}

fn decoded(jws: &Value) -> Value {
    let payload = jws.as_str().expect("a JWS").split('.').nth(1).expect("a payload");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64url")).expect("JSON")
}

fn claims(now_ms: i64) -> Value {
    let now = now_ms / 1_000;
    json!({
        "iss": "57246542-96fe-1a63-e053-0824d011072a", "iat": now, "exp": now + 300, "aud": "appstoreconnect-v1",
        "bid": "com.example.paidup"
    })
}

impl World {
    /// Everything that the population tells until `NOW` has happened, and was sent but for every fifth.
    async fn new() -> World {
        let app = App { bundle_id: "com.example.paidup".into(), app_apple_id: 1, environment: "Production" };
        let store = Arc::new(AppStore::new(app.clone()).unwrap());
        let options = PopulationOptions { customers: 40, ..PopulationOptions::default() };
        let calendar = Calendar::new(NOW - 2 * DAY, 432_000.0);
        let told: Vec<_> = Population::new(options, calendar, vec![Shop::AppStore(app)])
            .filter_map(|told| Some((calendar.stamp(told.at), told.app_store()?.clone())))
            .collect();
        store.account().follow(Box::new(told.clone().into_iter()));
        for (number, (at, said)) in told.iter().enumerate() {
            let result = if number % 5 == 0 { SendResult::NoResponse } else { SendResult::Success };
            store.account().attempted(&said.uuid, at + 1, result);
        }
        let clock = Clock::manual(NOW);
        let limit = Limit { calls: 1_000, span_ms: 1_000 };
        let options = AppStoreApiOptions { clock: clock.clone(), limit, port: 0 };
        let api = AppStoreApi::start(store.clone(), options).await.unwrap();
        World { api, store, clock, client: crate::edge::client().unwrap(), told }
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        let pem = &self.store.api_key().private_key;
        let der: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let der = STANDARD.decode(der).unwrap();
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der, &random).unwrap();
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = key.sign(&random, signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn genuine(&self) -> String {
        let header = json!({"alg": "ES256", "kid": self.store.api_key().key_id, "typ": "JWT"});
        self.token(&header, &claims(self.clock.now_ms()))
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        self.call_with(method, path, body, &format!("Bearer {}", self.genuine())).await
    }

    async fn call_with(&self, method: &str, path: &str, body: Option<Value>, authorization: &str) -> (u16, Value) {
        let url = format!("{}{path}", self.api.url());
        let mut request = self.client.request(method.parse().unwrap(), url).header("authorization", authorization);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.call("GET", path, None).await
    }

    async fn history(&self, page: &str, body: Value) -> (u16, Value) {
        self.call("POST", &format!("/inApps/v1/notifications/history{page}"), Some(body)).await
    }
}

#[tokio::test]
async fn only_the_right_token_opens() {
    let world = World::new().await;
    let id = world.told[0].1.transaction.transaction_id.clone();
    let path = format!("/inApps/v1/subscriptions/{id}");
    let header = |change: Value| {
        let mut header = json!({"alg": "ES256", "kid": "2X9R4HXF34", "typ": "JWT"});
        header.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        header
    };
    let with = |change: Value| {
        let mut claims = claims(NOW);
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        claims
    };
    let now = NOW / 1_000;
    let good = json!({});
    let table = [
        (header(good.clone()), with(good.clone()), 200),
        (header(good.clone()), with(json!({"exp": now + 3_600})), 200),
        (header(good.clone()), with(json!({"exp": now + 3_601})), 401),
        (header(good.clone()), with(json!({"exp": now - 1, "iat": now - 200})), 401),
        (header(good.clone()), with(json!({"iat": now + 120})), 401),
        (header(good.clone()), with(json!({"iss": "another"})), 401),
        (header(good.clone()), with(json!({"aud": "appstoreconnect-v2"})), 401),
        (header(good.clone()), with(json!({"bid": "com.example.other"})), 401),
        (header(json!({"kid": "AAAAAAAAAA"})), with(good.clone()), 401),
        (header(json!({"alg": "none"})), with(good.clone()), 401),
        (header(json!({"alg": "HS256"})), with(good.clone()), 401),
    ];
    for (header, claims, status) in table {
        let token = world.token(&header, &claims);
        let (got, _) = world.call_with("GET", &path, None, &format!("Bearer {token}")).await;
        assert_eq!(got, status, "{header} {claims}");
    }
    let mut forged = world.genuine();
    let last = if forged.pop() == Some('A') { 'Q' } else { 'A' };
    forged.push(last);
    for wrong in [format!("Bearer {forged}"), String::new(), "Bearer x".to_owned(), world.genuine()] {
        assert_eq!(world.call_with("GET", &path, None, &wrong).await.0, 401, "{wrong}");
    }
}

#[tokio::test]
async fn statuses_are_the_present_signed_now() {
    let world = World::new().await;
    let mut seen = BTreeSet::new();
    let mut last = HashMap::new();
    for (_, told) in &world.told {
        last.insert(told.transaction.original_transaction_id.clone(), told.clone());
    }
    for (original, told) in last {
        let (status, body) = world.get(&format!("/inApps/v1/subscriptions/{original}")).await;
        assert_eq!((status, &body["bundleId"]), (200, &json!("com.example.paidup")), "{body}");
        let rows =
            body["data"].as_array().unwrap().iter().flat_map(|group| group["lastTransactions"].as_array().unwrap());
        let row = rows.into_iter().find(|row| row["originalTransactionId"] == *original).cloned();
        let Some(expected) = told.status else {
            assert!(row.is_none(), "one-time purchases have no status");
            continue;
        };
        let row = row.unwrap();
        assert_eq!(row["status"], expected);
        seen.insert(expected);
        let (transaction, renewal) = (decoded(&row["signedTransactionInfo"]), decoded(&row["signedRenewalInfo"]));
        assert_eq!((&transaction["signedDate"], &renewal["signedDate"]), (&json!(NOW), &json!(NOW)));
        let expected = told.renewal.unwrap();
        assert_eq!(
            transaction["productId"], expected.product_id,
            "the transaction in force, not a refunded earlier one"
        );
        assert_eq!(transaction["expiresDate"], expected.renewal_date);
        assert_eq!(renewal["autoRenewStatus"], expected.auto_renew_status);
    }
    assert!(seen.contains(&1) && seen.contains(&2) && seen.contains(&5), "{seen:?}");
    assert_eq!(world.get("/inApps/v1/subscriptions/999").await.1["errorCode"], 4_040_010);
    assert_eq!(world.get("/inApps/v1/subscriptions/abc").await.1["errorCode"], 4_000_006);
    let some = &world.told[0].1.transaction.transaction_id;
    assert_eq!(world.get(&format!("/inApps/v1/subscriptions/{some}?status=9")).await.1["errorCode"], 4_000_031);
}

#[tokio::test]
async fn the_future_is_not_known() {
    let world = World::new().await;
    let store = AppStore::new(world.store.app().clone()).unwrap();
    store.account().follow(Box::new(world.told.clone().into_iter()));
    let moment = world.told[10].0;
    store.account().catch_up(moment);
    let expected = world.told.iter().filter(|(at, _)| *at <= moment).count();
    assert_eq!(store.account().told(0).count(), expected);
    assert!((11..world.told.len()).contains(&expected), "{expected}");
}

#[tokio::test]
async fn the_history_of_failures_is_what_did_not_arrive_page_by_page() {
    let world = World::new().await;
    let failed: Vec<_> = world.told.iter().step_by(5).map(|(_, told)| told.uuid.clone()).collect();
    assert!(failed.len() > 20, "{}", failed.len());
    let body = json!({"startDate": NOW - 3 * DAY, "endDate": NOW, "onlyFailures": true});
    let (mut found, mut page) = (Vec::new(), String::new());
    loop {
        let (status, answer) = world.history(&page, body.clone()).await;
        assert_eq!(status, 200, "{answer}");
        let rows = answer["notificationHistory"].as_array().unwrap();
        assert!(rows.len() <= 20 && !rows.is_empty());
        for row in rows {
            assert_eq!(row["sendAttempts"][0]["sendAttemptResult"], "NO_RESPONSE");
            found.push(decoded(&row["signedPayload"])["notificationUUID"].as_str().unwrap().to_owned());
        }
        if answer["hasMore"] == false {
            assert!(answer["paginationToken"].is_null());
            break;
        }
        page = format!("?paginationToken={}", answer["paginationToken"].as_str().unwrap());
    }
    assert_eq!(found.iter().collect::<BTreeSet<_>>(), failed.iter().collect::<BTreeSet<_>>());
    assert_eq!(found.len(), failed.len());
    // Another try arrives: it is no failure any more, and the attempts show both.
    world.store.account().attempted(&failed[0], NOW, SendResult::Success);
    let everything = json!({"startDate": NOW - 3 * DAY, "endDate": NOW});
    let (_, answer) = world.history("", everything.clone()).await;
    let attempts = &answer["notificationHistory"][0]["sendAttempts"];
    assert_eq!(attempts[1]["sendAttemptResult"], "SUCCESS", "{attempts}");
    let (_, answer) = world.history("", body).await;
    assert_ne!(decoded(&answer["notificationHistory"][0]["signedPayload"])["notificationUUID"], failed[0]);
    // A token belongs to its request.
    assert_eq!(world.history(&page, everything).await.1["errorCode"], 4_000_014);
}

#[tokio::test]
async fn wrong_history_requests_are_refused_as_apple_does() {
    let world = World::new().await;
    let (start, end) = (NOW - DAY, NOW);
    let table = [
        (json!({"endDate": end}), 4_000_015),
        (json!({"startDate": start}), 4_000_016),
        (json!({"startDate": end, "endDate": start}), 4_000_013),
        (json!({"startDate": NOW - 181 * DAY, "endDate": end}), 4_000_012),
        (json!({"startDate": start, "endDate": end, "notificationType": "NONSENSE"}), 4_000_018),
        (json!({"startDate": start, "endDate": end, "notificationSubtype": "UPGRADE"}), 4_000_018),
        (json!({"startDate": start, "endDate": end, "notificationType": "REFUND", "transactionId": "1"}), 4_000_019),
        (json!({"startDate": start, "endDate": end, "other": 1}), 4_000_000),
    ];
    let count = table.len();
    for (body, code) in table {
        assert_eq!(world.history("", body.clone()).await.1["errorCode"], code, "{body}");
    }
    assert_eq!(world.api.report().wrong.len(), count);
    let kinds = json!({"startDate": NOW - 3 * DAY, "endDate": end, "notificationType": "SUBSCRIBED", "notificationSubtype": "INITIAL_BUY"});
    let (_, answer) = world.history("", kinds).await;
    let rows = answer["notificationHistory"].as_array().unwrap();
    assert!(!rows.is_empty() && rows.iter().all(|row| decoded(&row["signedPayload"])["subtype"] == "INITIAL_BUY"));
}

#[tokio::test]
async fn transactions_and_refunds_come_in_pages() {
    let world = World::new().await;
    let mut counts: HashMap<_, BTreeSet<_>> = HashMap::new();
    for (_, told) in &world.told {
        let own = counts.entry(told.transaction.app_transaction_id.clone()).or_default();
        own.insert(told.transaction.transaction_id.clone());
    }
    let expected = counts.values().max_by_key(|own| own.len()).unwrap();
    let id = expected.first().unwrap();
    let (_, first) = world.get(&format!("/inApps/v2/history/{id}?sort=ASCENDING")).await;
    let rows = first["signedTransactions"].as_array().unwrap();
    assert_eq!(rows.len(), expected.len().min(20));
    let dates: Vec<_> = rows.iter().map(|row| decoded(row)["purchaseDate"].as_i64().unwrap()).collect();
    assert!(dates.is_sorted());
    let revision = first["revision"].as_str().unwrap();
    let (status, rest) = world.get(&format!("/inApps/v2/history/{id}?sort=ASCENDING&revision={revision}")).await;
    assert_eq!((status, rest["hasMore"].clone()), (200, json!(false)));
    assert_eq!(world.get(&format!("/inApps/v2/history/{id}?revision=x")).await.1["errorCode"], 4_000_005);
    let refunded = world.told.iter().find(|(_, told)| told.kind == "REFUND").unwrap();
    let id = &refunded.1.transaction.transaction_id;
    let (_, answer) = world.get(&format!("/inApps/v2/refund/lookup/{id}")).await;
    let rows = answer["signedTransactions"].as_array().unwrap();
    assert!(rows.iter().all(|row| decoded(row)["revocationDate"].is_i64()), "{answer}");
    let upgraded = world.told.iter().find(|(_, told)| told.subtype == Some("UPGRADE")).unwrap();
    let (_, all) = world.get(&format!("/inApps/v2/history/{}", upgraded.1.transaction.transaction_id)).await;
    assert!(all["signedTransactions"].as_array().unwrap().iter().any(|row| decoded(row)["isUpgraded"] == true));
}

#[tokio::test]
async fn a_test_notification_is_really_sent() {
    let world = World::new().await;
    let (_, answer) = world.call("POST", "/inApps/v1/notifications/test", None).await;
    assert_eq!(answer["errorCode"], 4_040_007, "no URL is configured yet");
    let (sender, mut received) = tokio::sync::mpsc::channel::<Bytes>(4);
    let take = move |body: Bytes| async move {
        sender.send(body).await.unwrap();
        StatusCode::IM_A_TEAPOT
    };
    let hub = Server::start(Router::new().route("/ingest/x", post(take)), 0).await.unwrap();
    world.api.set_notification_url(&format!("{}/ingest/x", hub.url()));
    let (status, answer) = world.call("POST", "/inApps/v1/notifications/test", None).await;
    assert_eq!(status, 200);
    let body: Value = serde_json::from_slice(&received.recv().await.unwrap()).unwrap();
    let payload = decoded(&body["signedPayload"]);
    assert_eq!((&payload["notificationType"], &payload["signedDate"]), (&json!("TEST"), &json!(NOW)));
    let path = format!("/inApps/v1/notifications/test/{}", answer["testNotificationToken"].as_str().unwrap());
    let result = loop {
        let (status, result) = world.get(&path).await;
        if status == 200 {
            break result;
        }
        assert_eq!(result["errorCode"], 4_040_008);
        tokio::task::yield_now().await;
    };
    assert_eq!(result["sendAttempts"][0]["sendAttemptResult"], "UNSUCCESSFUL_HTTP_RESPONSE_CODE");
    assert_eq!(decoded(&result["signedPayload"])["notificationUUID"], payload["notificationUUID"]);
    assert_eq!(world.get("/inApps/v1/notifications/test/x").await.1["errorCode"], 4_000_020);
}

#[tokio::test]
async fn consumption_information_is_checked() {
    let world = World::new().await;
    let id = &world.told[0].1.transaction.transaction_id;
    let full = json!({"customerConsented": true, "deliveryStatus": "DELIVERED", "sampleContentProvided": false,
        "consumptionPercentage": 50_000, "refundPreference": "DECLINE"});
    let with = |name: &str, value: Value| {
        let mut body = full.clone();
        body[name] = value;
        body
    };
    let table = [
        (full.clone(), 202, 0),
        (with("customerConsented", json!(false)), 400, 4_000_035),
        (with("deliveryStatus", json!(0)), 400, 4_000_036),
        (with("sampleContentProvided", Value::Null), 400, 4_000_041),
        (with("consumptionPercentage", json!(100_001)), 400, 4_000_000),
        (with("refundPreference", json!("MAYBE")), 400, 4_000_000),
        (with("other", json!(1)), 400, 4_000_000),
    ];
    for (body, status, code) in table {
        let path = format!("/inApps/v2/transactions/consumption/{id}");
        let (got, answer) = world.call("PUT", &path, Some(body.clone())).await;
        assert_eq!((got, answer["errorCode"].as_u64().unwrap_or(0)), (status, code), "{body}");
    }
    let mut old = json!({"customerConsented": true, "sampleContentProvided": true, "appAccountToken": ""});
    for (name, _) in
        [("accountTenure", 0), ("consumptionStatus", 0), ("deliveryStatus", 0), ("lifetimeDollarsPurchased", 0)]
    {
        old[name] = json!(0);
    }
    let path = format!("/inApps/v1/transactions/consumption/{id}");
    assert_eq!(world.call("PUT", &path, Some(old.clone())).await.0, 400);
    for name in ["lifetimeDollarsRefunded", "platform", "playTime", "userStatus"] {
        old[name] = json!(0);
    }
    assert_eq!(world.call("PUT", &path, Some(old)).await.0, 202);
    assert_eq!(world.api.report().consumption.len(), 2);
    let (_, missing) = world.call("PUT", "/inApps/v2/transactions/consumption/1", Some(full)).await;
    assert_eq!(missing["errorCode"], 4_040_010);
}

#[tokio::test]
async fn extensions_limits_and_faults() {
    let world = World::new().await;
    let request = "758883e8-151b-47b7-abd0-60c4d804c2f5";
    let path = format!("/inApps/v1/subscriptions/extend/mass/pro_monthly/{request}");
    assert_eq!(world.get(&path).await.1["errorCode"], 4_040_009);
    world.api.set_extension("pro_monthly", request, Extension { complete_date: Some(NOW), succeeded: 3, failed: 1 });
    let expected = json!({"requestIdentifier": request, "complete": true, "completeDate": NOW, "succeededCount": 3, "failedCount": 1});
    assert_eq!(world.get(&path).await, (200, expected));
    world.api.set_faults(Faults { limited: true, ..Faults::default() });
    let url = format!("{}{path}", world.api.url());
    let answer =
        world.client.get(&url).header("authorization", format!("Bearer {}", world.genuine())).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (429, "1790000001000"));
    world.api.set_faults(Faults::down());
    assert_eq!(world.get(&path).await.0, 500);
    world.api.set_faults(Faults::default());
    assert_eq!(world.get(&path).await.0, 200);
    let report = world.api.report();
    assert_eq!((report.limited, report.faults, report.unauthorized.len()), (1, 1, 0));
}
