//! Discord as a store, as far as the tests need it: signed webhook events, and an API that answers what a test put there.
//! Written for itself: it shares nothing with how either is read.

use super::{Answer, TestHub, at};
use axum::http::{HeaderMap, StatusCode, Uri};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) const APPLICATION: &str = "1100000000000000001";
pub(crate) const USER: &str = "1019653849998299136";
pub(crate) const SKU: &str = "1158857122189168803";
pub(crate) const SKU_2: &str = "1158857122189168804";
pub(crate) const ONCE: &str = "1158857122189168805";
pub(crate) const TOKEN: &str = "test-bot-token-b07";

/// The id of something that began then.
pub(crate) fn snowflake(when: &str, tail: u64) -> String {
    (((at(when).as_millis() - 1_420_070_400_000).unsigned_abs() << 22) | tail).to_string()
}

/// As Discord's API writes times.
pub(crate) fn time(when: &str) -> String {
    when.replace('Z', ".000000+00:00")
}

/// Status, body and headers of an answer that is no success.
pub(crate) type Refusal = (u16, Value, Vec<(&'static str, &'static str)>);

#[derive(Default)]
struct Shelf {
    answers: BTreeMap<String, Value>,
    /// The status of everything, when set, with its body and headers.
    refusal: Option<Refusal>,
    called: Vec<String>,
}

/// The API.
#[derive(Clone)]
pub(crate) struct Api {
    url: String,
    shelf: Arc<Mutex<Shelf>>,
}

impl Api {
    pub(crate) async fn start() -> Api {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/api/v10", listener.local_addr().expect("an address"));
        let api = Api { url, shelf: Arc::default() };
        let answers = api.clone();
        let app = axum::Router::new().fallback(move |uri: Uri, headers: HeaderMap| {
            let answers = answers.clone();
            async move { answers.answer(&uri, &headers) }
        });
        tokio::spawn(async move {
            let _ = axum::serve(listener, app).await;
        });
        api
    }

    fn shelf(&self) -> std::sync::MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, uri: &Uri, headers: &HeaderMap) -> (StatusCode, HeaderMap, String) {
        let mut more = HeaderMap::new();
        more.insert("content-type", "application/json".parse().expect("a value"));
        let path = uri.to_string().trim_start_matches("/api/v10").to_owned();
        let mut shelf = self.shelf();
        if headers.get("authorization").is_none_or(|value| value != &format!("Bot {TOKEN}")) {
            return (StatusCode::UNAUTHORIZED, more, json!({"message": "401: Unauthorized", "code": 0}).to_string());
        }
        shelf.called.push(path.clone());
        if let Some((status, body, refusal)) = &shelf.refusal {
            for (name, value) in refusal {
                more.insert(*name, value.parse().expect("a value"));
            }
            return (StatusCode::from_u16(*status).expect("a status"), more, body.to_string());
        }
        match shelf.answers.get(&path) {
            Some(body) => (StatusCode::OK, more, body.to_string()),
            None => (StatusCode::NOT_FOUND, more, json!({"message": "404: Not Found", "code": 0}).to_string()),
        }
    }

    pub(crate) fn put(&self, path: &str, answer: Value) {
        self.shelf().answers.insert(path.to_owned(), answer);
    }

    pub(crate) fn refuse(&self, refusal: Option<Refusal>) {
        self.shelf().refusal = refusal;
    }

    pub(crate) fn called(&self) -> Vec<String> {
        self.shelf().called.clone()
    }
}

/// A hub with one Discord source.
pub(crate) struct Bot {
    pub(crate) hub: TestHub,
    pub(crate) source: String,
    pub(crate) api: Api,
    sent: std::cell::Cell<u32>,
}

impl Bot {
    pub(crate) async fn start(now: &str) -> Bot {
        Bot::start_with(now, json!({"bot_token": TOKEN})).await
    }

    /// With these settings besides the application's.
    pub(crate) async fn start_with(now: &str, more: Value) -> Bot {
        let api = Api::start().await;
        let hub = TestHub::start_with(now, &[("PAIDUP_DISCORD_API_URL", &api.url)]).await;
        for sku in [SKU, SKU_2, ONCE] {
            hub.map(sku, &["pro"]).await;
        }
        let mut config = json!({"application_id": APPLICATION, "public_key": public_key()});
        config.as_object_mut().expect("settings").extend(more.as_object().expect("settings").clone());
        let source = hub.source("discord", config).await;
        let sku = |id: &str, sku_type: u8| json!({"id": id, "type": sku_type, "application_id": APPLICATION});
        let skus = json!([sku(SKU, 5), sku(SKU_2, 5), sku(ONCE, 2)]);
        api.put(&format!("/applications/{APPLICATION}/skus"), skus);
        Bot { hub, source, api, sent: std::cell::Cell::new(0) }
    }

    /// The headers that Discord would send with this body now.
    pub(crate) fn proof(&self, body: &[u8]) -> Vec<(&'static str, String)> {
        let time = self.hub.hub.clock().now().as_seconds().to_string();
        let signature = key_pair().sign(&[time.as_bytes(), body].concat());
        let hex = signature.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        vec![("x-signature-ed25519", hex), ("x-signature-timestamp", time)]
    }

    pub(crate) async fn post(&self, body: &[u8]) -> Answer {
        let proof = self.proof(body);
        let headers: Vec<(&str, &str)> = proof.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.hub.call("POST", &format!("/ingest/{}", self.source), None, body.to_vec(), &headers).await
    }

    /// Moves the clock there (never back) and sends an event; waits until nothing is to be asked, and answers what was told.
    pub(crate) async fn tell(&self, when: &str, kind: &str, entitlement: &Value) -> Vec<String> {
        let before = self.hub.types().await.len();
        if at(when) > self.hub.hub.clock().now() {
            self.hub.clock.set(at(when));
        }
        self.sent.set(self.sent.get() + 1);
        let timestamp = format!("{}.{:06}", when.trim_end_matches('Z'), self.sent.get() * 1000);
        let event = json!({"type": kind, "timestamp": timestamp, "data": entitlement});
        let body = json!({"version": 1, "application_id": APPLICATION, "type": 1, "event": event});
        self.post(body.to_string().as_bytes()).await.expect(204);
        self.hub
            .until("every answer", async |hub| {
                let waiting = hub.get("/v1/lookups").await;
                // The clock may have passed a deadline too: an answer still to come would tell what is put next.
                let asked = hub.get("/v1/questions").await["data"].as_array().cloned().unwrap_or_default();
                let now = hub.hub.clock().now();
                let due = asked.iter().any(|one| at(&text(&one["next_try_at"])) <= now);
                (!due && waiting["data"].as_array().is_some_and(Vec::is_empty)).then_some(())
            })
            .await;
        self.hub.types().await.split_off(before)
    }

    /// Something makes the hub look at the subscription again.
    pub(crate) async fn look_again(&self, when: &str) -> Vec<String> {
        self.tell(when, "ENTITLEMENT_UPDATE", &entitlement(JAN, json!({"ends_at": "2031-01-01T00:00:00+00:00"}))).await
    }

    /// What Discord's API says of a subscription from now on.
    pub(crate) fn put(&self, subscription: &Value) {
        for sku in subscription["sku_ids"].as_array().expect("SKUs").iter().chain([&json!(SKU), &json!(SKU_2)]) {
            let path = format!("/skus/{}/subscriptions/{}", text(sku), text(&subscription["id"]));
            self.api.put(&path, subscription.clone());
        }
    }

    /// What Discord's API says that the user has.
    pub(crate) fn put_entitlements(&self, entitlements: Value) {
        let list = format!("/applications/{APPLICATION}/entitlements?limit=100&exclude_deleted=false");
        self.api.put(&format!("{list}&user_id={USER}"), entitlements);
    }

    pub(crate) async fn active(&self) -> Vec<String> {
        let answer = self.hub.api("GET", &format!("/v1/customers/{USER}"), Value::Null).await;
        let rows = answer.body["entitlements"].as_array().cloned().unwrap_or_default();
        rows.iter().map(|row| text(&row["id"])).collect()
    }

    /// Bought in January, told and looked up.
    pub(crate) async fn bought(&self) -> Vec<String> {
        self.put(&subscription(JAN, 0, (JAN, FEB), json!({})));
        self.put_entitlements(json!([entitlement(JAN, json!({}))]));
        self.tell(JAN, "ENTITLEMENT_CREATE", &entitlement(JAN, json!({}))).await
    }

    pub(crate) async fn stop(self) {
        self.hub.check_rebuild().await;
        self.hub.stop().await;
    }
}

pub(crate) const JAN: &str = "2026-01-01T00:00:00Z";
pub(crate) const FEB: &str = "2026-02-01T00:00:00Z";
pub(crate) const MAR: &str = "2026-03-01T00:00:00Z";

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn key_pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[9; 32]).expect("a key pair")
}

pub(crate) fn public_key() -> String {
    key_pair().public_key().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn with(mut object: Value, more: &Value) -> Value {
    object.as_object_mut().expect("fields").extend(more.as_object().expect("fields").clone());
    object
}

/// An entitlement of the subscription that began then.
pub(crate) fn entitlement(began: &str, more: Value) -> Value {
    let all = json!({
        "id": snowflake(began, 7), "sku_id": SKU, "application_id": APPLICATION, "user_id": USER, "type": 1,
        "deleted": false, "consumed": false, "promotion_id": null, "gift_code_flags": 0, "starts_at": time(began),
        "ends_at": null, "subscription_id": snowflake(began, 63)
    });
    with(all, &more)
}

/// The subscription that began then, in the live numbering: ACTIVE 0, INACTIVE 1, ENDING 2.
pub(crate) fn subscription(began: &str, status: u8, period: (&str, &str), more: Value) -> Value {
    let all = json!({
        "id": snowflake(began, 63), "user_id": USER, "sku_ids": [SKU], "entitlement_ids": [snowflake(began, 7)],
        "renewal_sku_ids": null, "current_period_start": time(period.0), "current_period_end": time(period.1),
        "status": status, "canceled_at": null
    });
    with(all, &more)
}

/// Something bought once.
pub(crate) fn bought_once(began: &str, more: Value) -> Value {
    let mut once = entitlement(began, json!({"id": snowflake(began, 9), "sku_id": ONCE, "starts_at": null}));
    once.as_object_mut().expect("fields").remove("subscription_id");
    with(once, &more)
}
