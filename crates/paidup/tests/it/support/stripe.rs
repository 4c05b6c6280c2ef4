//! Stripe, as far as the tests need it: objects in both generations of its API, signed events, and an API that answers
//! as Stripe documents. Written for itself: it shares nothing with how events are read.

use super::{Answer, TestHub, at};
use axum::http::{HeaderMap, StatusCode, Uri};
use hmac::{Hmac, KeyInit, Mac};
use paidup_hub::clock::Clock;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) const SECRET: &str = "whsec_test_4eC39HqLyjWDarjtT1zdp7dc";
pub(crate) const API_KEY: &str = "rk_test_51HxSecretKeyOfTheTests";

/// Unix seconds of a time.
pub(crate) fn unix(text: &str) -> i64 {
    at(text).as_seconds()
}

/// The header that Stripe would send with this body.
pub(crate) fn signature(secret: &str, seconds: i64, body: &[u8]) -> String {
    format!("t={seconds},v1={}", v1(secret, seconds, body))
}

pub(crate) fn v1(secret: &str, seconds: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).expect("any key");
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body);
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Which generation of the API an endpoint has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Before `2025-03-31.basil`.
    Old,
    /// Since then.
    New,
}

/// A hub with one Stripe source.
pub(crate) struct Shop {
    pub(crate) hub: TestHub,
    pub(crate) source: String,
    pub(crate) shape: Shape,
    sent: std::cell::Cell<u32>,
}

impl Shop {
    /// Without a key.
    pub(crate) async fn open(now: &str, shape: Shape) -> Shop {
        Shop::open_with(now, shape, json!({}), &[]).await
    }

    pub(crate) async fn open_with(now: &str, shape: Shape, more: Value, settings: &[(&str, &str)]) -> Shop {
        Shop::around(TestHub::start_with(now, settings).await, shape, more).await
    }

    /// In a hub that runs; `more` goes into the source's config.
    pub(crate) async fn around(hub: TestHub, shape: Shape, more: Value) -> Shop {
        let mut config = json!({"signing_secret": SECRET});
        if let (Some(config), Some(more)) = (config.as_object_mut(), more.as_object()) {
            config.extend(more.clone());
        }
        let source = hub.source("stripe", config).await;
        Shop { hub, source, shape, sent: std::cell::Cell::new(0) }
    }

    /// With a key, and an API that answers.
    pub(crate) async fn open_asking(now: &str, api: &Api) -> Shop {
        let url = api.url();
        let settings = [("PAIDUP_STRIPE_API_URL", url.as_str()), ("PAIDUP_ALLOW_PRIVATE_TARGETS", "")];
        Shop::open_with(now, Shape::New, json!({"api_key": API_KEY}), &settings).await
    }

    /// An event as it stands.
    pub(crate) fn event(&self, id: &str, created: &str, kind: &str, object: &Value, previous: &Value) -> Value {
        let version = if self.shape == Shape::Old { "2020-03-02" } else { "2025-03-31.basil" };
        let mut data = json!({"object": object});
        if !previous.is_null() {
            data["previous_attributes"] = previous.clone();
        }
        json!({
            "id": id, "object": "event", "api_version": version, "created": unix(created), "livemode": true,
            "type": kind, "data": data, "pending_webhooks": 1, "request": {"id": null, "idempotency_key": null}
        })
    }

    /// Sends bytes, signed now.
    pub(crate) async fn post(&self, body: &[u8]) -> Answer {
        let header = signature(SECRET, self.hub.clock.now().as_seconds(), body);
        self.post_with(body, &[("stripe-signature", &header)]).await
    }

    pub(crate) async fn post_with(&self, body: &[u8], headers: &[(&str, &str)]) -> Answer {
        self.hub.call("POST", &format!("/ingest/{}", self.source), None, body.to_vec(), headers).await
    }

    /// Moves the clock to `created` (never back) and sends the event; answers what was told since.
    pub(crate) async fn tell(&self, created: &str, kind: &str, object: &Value, previous: Value) -> Vec<String> {
        let before = self.hub.types().await.len();
        self.to(created).await;
        self.sent.set(self.sent.get() + 1);
        let event = self.event(&format!("evt_{:04}", self.sent.get()), created, kind, object, &previous);
        self.post(event.to_string().as_bytes()).await.expect(200);
        self.hub.types().await.split_off(before)
    }

    /// Moves the clock.
    pub(crate) async fn to(&self, when: &str) {
        let when = at(when);
        if when > self.hub.clock.now() {
            self.hub.clock.advance(when.since(self.hub.clock.now()));
        }
    }

    /// A subscription with one item.
    pub(crate) fn subscription(&self, status: &str, price: &str, starts: &str, ends: &str) -> Value {
        let (starts, ends) = (unix(starts), unix(ends));
        let mut item = json!({
            "id": "si_1", "object": "subscription_item", "quantity": 1, "subscription": "sub_1",
            "price": {"id": price, "object": "price", "product": "prod_1", "unit_amount": 999, "currency": "usd",
                "recurring": {"interval": "month", "interval_count": 1}}
        });
        let mut subscription = json!({
            "id": "sub_1", "object": "subscription", "customer": "cus_1", "status": status, "livemode": true,
            "created": starts, "start_date": starts, "currency": "usd", "metadata": {"user_id": "user-1"},
            "cancel_at_period_end": false, "cancel_at": null, "canceled_at": null, "ended_at": null,
            "cancellation_details": {"reason": null, "feedback": null, "comment": null},
            "pause_collection": null, "pending_update": null, "schedule": null, "trial_start": null, "trial_end": null,
            "collection_method": "charge_automatically", "latest_invoice": "in_1", "discounts": []
        });
        match self.shape {
            Shape::Old => {
                subscription["current_period_start"] = json!(starts);
                subscription["current_period_end"] = json!(ends);
            }
            Shape::New => {
                item["current_period_start"] = json!(starts);
                item["current_period_end"] = json!(ends);
            }
        }
        subscription["items"] = json!({"object": "list", "data": [item]});
        subscription
    }

    /// What `previous_attributes` says when a period moved.
    pub(crate) fn moved(&self, starts: &str, ends: &str) -> Value {
        let (starts, ends) = (unix(starts), unix(ends));
        match self.shape {
            Shape::Old => {
                json!({"current_period_start": starts, "current_period_end": ends, "latest_invoice": "in_before"})
            }
            Shape::New => json!({"latest_invoice": "in_before", "items": {"data": [{
                "id": "si_1", "current_period_start": starts, "current_period_end": ends}]}}),
        }
    }

    /// An invoice for a period of the subscription.
    pub(crate) fn invoice(&self, id: &str, reason: &str, cents: i64, price: &str, starts: &str, ends: &str) -> Value {
        let is_proration = reason == "subscription_update";
        let mut line = json!({
            "id": "il_1", "object": "line_item", "amount": cents, "currency": "usd",
            "period": {"start": unix(starts), "end": unix(ends)}
        });
        let mut invoice = json!({
            "id": id, "object": "invoice", "status": "paid", "billing_reason": reason, "currency": "usd",
            "amount_paid": cents, "amount_due": cents, "attempt_count": 1, "customer": "cus_1", "livemode": true,
            "created": unix(starts), "period_start": unix(starts), "period_end": unix(starts),
            "customer_address": {"country": "DE"}, "next_payment_attempt": null
        });
        let payment = format!("pi_{id}");
        match self.shape {
            Shape::Old => {
                line["type"] = json!("subscription");
                line["proration"] = json!(is_proration);
                line["price"] = json!({"id": price});
                line["subscription"] = json!("sub_1");
                line["subscription_item"] = json!("si_1");
                invoice["subscription"] = json!("sub_1");
                invoice["payment_intent"] = json!(payment);
                invoice["charge"] = json!(format!("ch_{id}"));
                invoice["paid"] = json!(true);
            }
            Shape::New => {
                line["parent"] = json!({"type": "subscription_item_details", "subscription_item_details":
                    {"subscription": "sub_1", "subscription_item": "si_1", "proration": is_proration}});
                line["pricing"] =
                    json!({"type": "price_details", "price_details": {"price": price, "product": "prod_1"}});
                invoice["parent"] = json!({"type": "subscription_details", "subscription_details":
                    {"subscription": "sub_1", "metadata": {"user_id": "user-1"}}});
            }
        }
        invoice["lines"] = json!({"object": "list", "data": [line], "has_more": false});
        invoice
    }

    /// Says which payment paid an invoice, as an endpoint since basil is told.
    pub(crate) async fn tell_payment(&self, created: &str, invoice: &str) {
        if self.shape == Shape::New {
            let payment = json!({"id": format!("inpay_{invoice}"), "object": "invoice_payment", "invoice": invoice,
                "livemode": true, "payment": {"type": "payment_intent", "payment_intent": format!("pi_{invoice}")}});
            let told = self.tell(created, "invoice_payment.paid", &payment, Value::Null).await;
            assert_eq!(told, [""; 0]);
        }
    }

    /// A month of `price_a` from 2026-01-01 on, bought and paid.
    pub(crate) async fn bought(&self) -> Value {
        let (starts, ends) = ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z");
        let subscription = self.subscription("active", "price_a", starts, ends);
        let told = self.tell(starts, "customer.subscription.created", &subscription, Value::Null).await;
        assert_eq!(told, ["ACTIVATE"]);
        let invoice = self.invoice("in_1", "subscription_create", 999, "price_a", starts, ends);
        let told = self.tell("2026-01-01T00:00:02Z", "invoice.paid", &invoice, Value::Null).await;
        assert_eq!(told, ["SUBSCRIPTION_STARTED", "TRANSACTION_PROCESSED"]);
        self.tell_payment("2026-01-01T00:00:02Z", "in_1").await;
        subscription
    }

    /// Waits until `ready` answers something, while time passes: a loop may have looked at the clock just before a step.
    pub(crate) async fn in_time<T>(&self, what: &str, mut ready: impl AsyncFnMut(&TestHub) -> Option<T>) -> T {
        let clock = &self.hub.clock;
        let passing = async |hub: &TestHub| {
            clock.advance(std::time::Duration::from_secs(1));
            ready(hub).await
        };
        self.hub.until(what, passing).await
    }

    /// Waits until something was told since `before` events, and answers it.
    pub(crate) async fn told_since(&self, before: usize, what: &str) -> Vec<String> {
        let ready = async |hub: &TestHub| {
            let types = hub.types().await;
            (types.len() > before).then(|| types[before..].to_vec())
        };
        self.in_time(what, ready).await
    }

    /// What there is to say about the purchases of the one customer, without our own ids.
    pub(crate) async fn state(&self) -> Value {
        let customer = self.hub.get("/v1/customers/user-1").await;
        let mut purchases = customer["purchases"].clone();
        for purchase in purchases.as_array_mut().expect("purchases") {
            purchase["id"] = Value::Null;
        }
        json!({"purchases": purchases, "totals": customer["totals"], "aliases": customer["aliases"],
            "entitlements": customer["entitlements"].as_array().map(Vec::len)})
    }

    pub(crate) async fn stop(self) {
        self.hub.stop().await;
        super::log::check(&[SECRET, API_KEY]);
    }
}

/// Stripe's API on loopback: objects by path and query. It wants the key and a version, and answers 404 as Stripe does.
#[derive(Clone)]
pub(crate) struct Api {
    address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    objects: BTreeMap<String, Value>,
    called: Vec<String>,
    /// Every call is answered with this status, when set.
    always: Option<u16>,
}

impl Api {
    pub(crate) async fn start() -> Api {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let api = Api { address, kept: Arc::default() };
        let answering = api.clone();
        let app = axum::Router::new().fallback(move |uri: Uri, headers: HeaderMap| {
            let api = answering.clone();
            async move { api.answer(&uri, &headers) }
        });
        tokio::spawn(async move {
            let _ = axum::serve(listener, app).await;
        });
        api
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, uri: &Uri, headers: &HeaderMap) -> (StatusCode, axum::Json<Value>) {
        let error = |status: u16, kind: &str| {
            let status = StatusCode::from_u16(status).expect("a status");
            (status, axum::Json(json!({"error": {"type": kind, "message": kind}})))
        };
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if header("authorization") != format!("Bearer {API_KEY}") {
            return error(401, "invalid_request_error");
        }
        if !header("stripe-version").contains(".basil") {
            return error(400, "unpinned_version");
        }
        let asked = uri.to_string().replace("%5B", "[").replace("%5D", "]");
        let mut kept = self.kept();
        kept.called.push(asked.clone());
        if let Some(status) = kept.always {
            return error(status, "api_error");
        }
        match kept.objects.get(&asked) {
            Some(object) => (StatusCode::OK, axum::Json(object.clone())),
            None => error(404, "invalid_request_error"),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on this is answered.
    pub(crate) fn put(&self, path: &str, object: Value) {
        self.kept().objects.insert(path.to_owned(), object);
    }

    /// A list is answered.
    pub(crate) fn put_list(&self, path: &str, data: &[Value]) {
        self.put(path, json!({"object": "list", "data": data, "has_more": false}));
    }

    pub(crate) fn always(&self, status: Option<u16>) {
        self.kept().always = status;
    }

    pub(crate) fn called(&self) -> Vec<String> {
        self.kept().called.clone()
    }
}
