//! The hub's capabilities over a real database and a clock that is moved. No loop runs unless a test starts it: due
//! deadlines, questions and sweeps are called for, so nothing is waited for.

mod answers;
mod askable;
mod asking;
mod catalogue;
mod chains;
mod claims;
mod clerk;
mod deadlines;
mod destinations;
mod grants;
mod intake;
mod keys;
mod owners;
mod rebuild;
mod reconciles;
mod replays;
mod sources;

use crate::claims::RestorePolicies;
use crate::clock::{Clock, SeededChance, VirtualClock};
use crate::config::Config;
use crate::intake::{Accepted, IntakeError, Sender};
use crate::keys::Principal;
use crate::outbound::Outbound;
use crate::{Hub, Parts};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use paidup_destinations::{Answer, CallFailure};
use paidup_lifecycle::event::{Event, EventType};
use paidup_lifecycle::ids::{PurchaseId, SourceId};
use paidup_lifecycle::observation::{Environment, PurchaseKey};
use paidup_lifecycle::purchase::Purchase;
use paidup_lifecycle::time::Timestamp;
use paidup_sources::{Definition, RawRequest};
use paidup_store::{OpenOptions, Store};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// A day.
const DAY: Duration = Duration::from_secs(86_400);

/// Answers calls with what a test has laid ready for their URL, else with what it has laid ready in order; none ready: not
/// connected.
#[derive(Default)]
struct Script {
    ready: Mutex<VecDeque<(u16, String)>>,
    of_url: Mutex<BTreeMap<String, Reply>>,
    called: Mutex<Vec<String>>,
    /// The `Authorization` of every call.
    authorized: Mutex<Vec<String>>,
}

/// What a URL answers until it is told otherwise.
#[derive(Clone)]
enum Reply {
    Answer(u16, String),
    /// With this `Retry-After`.
    Busy(u16, String),
    Hang,
}

impl Script {
    fn reply(&self, url: &str, reply: Reply) {
        self.of_url.lock().insert(url.to_owned(), reply);
    }

    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.called.lock())
    }
}

impl Outbound for Script {
    fn call_up_to(
        &self,
        request: http::Request<Bytes>,
        _timeout: Duration,
        _max_body: usize,
    ) -> BoxFuture<'static, Answer> {
        let url = request.uri().to_string();
        self.called.lock().push(url.clone());
        let authorization = request.headers().get("authorization").map(|it| it.to_str().unwrap().to_owned());
        self.authorized.lock().push(authorization.unwrap_or_default());
        let response = |status, body: String| {
            let mut response = http::Response::new(Bytes::from(body));
            *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
            response
        };
        let of_url = self.of_url.lock().get(&url).cloned();
        let answer = match (of_url, self.ready.lock().pop_front()) {
            (Some(Reply::Answer(status, body)), _) | (None, Some((status, body))) => {
                Answer::Response(response(status, body))
            }
            (Some(Reply::Busy(status, after)), _) => {
                let mut busy = response(status, String::new());
                busy.headers_mut().insert("retry-after", after.parse().unwrap());
                Answer::Response(busy)
            }
            (Some(Reply::Hang), _) => return Box::pin(std::future::pending()),
            (None, None) => Answer::Failed(CallFailure::NotConnected),
        };
        Box::pin(std::future::ready(answer))
    }

    fn check(&self, _url: url::Url) -> BoxFuture<'static, Result<(), CallFailure>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A hub with one generic source, on 2026-01-01.
struct TestHub {
    hub: Hub,
    clock: VirtualClock,
    script: Arc<Script>,
    source: SourceId,
    dir: TempDir,
}

/// All kinds of the product, and one that can be asked.
fn definitions() -> impl Iterator<Item = &'static Definition> {
    paidup_sources::DEFINITIONS.iter().chain([&askable::DEFINITION, &clerk::DEFINITION])
}

async fn store_at(path: &std::path::Path) -> Arc<dyn Store> {
    paidup_store::open(&format!("sqlite:{}", path.display()), OpenOptions::default()).await.unwrap()
}

async fn open(dir: &TempDir, clock: &VirtualClock, script: &Arc<Script>, seed: u64) -> Hub {
    open_with(dir, clock, script, seed, RestorePolicies::default()).await
}

async fn open_with(
    dir: &TempDir,
    clock: &VirtualClock,
    script: &Arc<Script>,
    seed: u64,
    restore: RestorePolicies,
) -> Hub {
    let temporary_entitlement = Some(Duration::from_secs(3600 * 12));
    let path = dir.path().join("hub.db");
    let url = format!("sqlite:{}", path.display());
    let config = Config::load([("PAIDUP_DATABASE_URL".to_owned(), url)], None).unwrap();
    let config = Config { restore, temporary_entitlement, ..config };
    let parts = Parts {
        config,
        store: store_at(&path).await,
        clock: Arc::new(clock.clone()),
        chance: Arc::new(SeededChance::new(seed)),
        outbound: script.clone(),
    };
    Hub::assemble(parts, definitions()).await.unwrap()
}

impl TestHub {
    async fn new() -> TestHub {
        TestHub::with_restore(RestorePolicies::default()).await
    }

    async fn with_restore(restore: RestorePolicies) -> TestHub {
        let dir = tempfile::tempdir().unwrap();
        let clock = VirtualClock::new(at("2026-01-01T00:00:00Z"));
        let script = Arc::new(Script::default());
        let hub = open_with(&dir, &clock, &script, 1, restore).await;
        let source = hub.create_source("generic", "backend", &raw("{}")).await.unwrap().id;
        TestHub { hub, clock, script, source, dir }
    }

    /// Closes the hub and opens it again on the same files.
    async fn restart(self) -> TestHub {
        self.hub.stop().await.unwrap();
        let hub = open(&self.dir, &self.clock, &self.script, 2).await;
        TestHub { hub, ..self }
    }

    async fn post(&self, source: SourceId, body: &Value) -> Result<Accepted, IntakeError> {
        let raw = RawRequest { headers: http::HeaderMap::new(), body: body.to_string().into() };
        self.hub.intake(source, raw, &Sender::Key(Principal::admin())).await
    }

    /// Sends to the generic source.
    async fn send(&self, body: &Value) -> Accepted {
        self.post(self.source, body).await.unwrap()
    }

    /// A month of `pro_monthly` for `customer`, bought now.
    async fn buy(&self, customer: &str, purchase: &str) -> PurchaseId {
        let now = self.clock.now();
        self.send(&bought(now, now.plus(DAY * 30), customer, purchase)).await;
        self.id(purchase)
    }

    fn id(&self, purchase: &str) -> PurchaseId {
        Purchase::id_of(&PurchaseKey {
            source_id: self.source,
            environment: Environment::Production,
            store_purchase_id: purchase.to_owned(),
        })
    }

    /// Maps `pro_monthly` to `pro`.
    async fn map(&self) {
        self.hub.put_product(catalogue::product("pro_monthly", &["pro"]), false).await.unwrap();
        self.hub.sweep().await.unwrap();
    }

    /// Moves the clock and settles what became due.
    async fn pass(&self, span: Duration) {
        self.clock.advance(span);
        while self.hub.settle_due().await.unwrap() > 0 {}
    }

    /// All events, oldest first.
    async fn events(&self) -> Vec<Arc<Event>> {
        let logged = self.hub.store().events_after(0, 0, 10_000).await.unwrap();
        logged.into_iter().map(|logged| logged.event).collect()
    }

    /// What was told since `count` events, as `app_user_id TYPE`.
    async fn told_since(&self, count: usize) -> Vec<String> {
        let events = self.events().await;
        events[count..].iter().map(|event| format!("{} {}", event.customer.app_user_id, event.event_type)).collect()
    }

    async fn active(&self, customer: &str) -> Vec<String> {
        let found = self.hub.store().customer(customer).await.unwrap();
        found.map(|found| found.active_entitlements(Environment::Production)).unwrap_or_default()
    }

    /// Folds the journal into an empty database and wants the same bytes.
    async fn check_rebuild(&self) -> crate::rebuild::Report {
        let into = store_at(&self.dir.path().join("rebuilt.db")).await;
        let report = crate::rebuild::verify(&self.hub, &into, &|_, _| {}).await.unwrap();
        assert!(report.is_equal(), "{:#?}", report.mismatches);
        report
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn raw(text: &str) -> Box<serde_json::value::RawValue> {
    serde_json::value::RawValue::from_string(text.to_owned()).unwrap()
}

fn bought(now: Timestamp, until: Timestamp, customer: &str, purchase: &str) -> Value {
    json!({
        "id": format!("{purchase} bought {now}"), "observed_at": now, "reason": "purchased",
        "environment": "PRODUCTION", "store": "STRIPE", "customer_id": customer, "purchase_id": purchase,
        "kind": "subscription", "transaction_id": format!("{purchase} {now}"), "product_id": "pro_monthly",
        "period_type": "normal", "period": {"starts_at": now, "ends_at": until}, "will_renew": true,
        "price": {"amount_minor": 999, "currency": "USD"}
    })
}

fn said(now: Timestamp, reason: &str, purchase: &str) -> Value {
    json!({
        "id": format!("{purchase} {reason} {now}"), "observed_at": now, "reason": reason,
        "environment": "PRODUCTION", "store": "STRIPE", "purchase_id": purchase
    })
}

fn types(events: &[Arc<Event>]) -> Vec<EventType> {
    events.iter().map(|event| event.event_type).collect()
}
