//! Back-fills: all customers to Intercom, over real HTTP and, for a hundred thousand, against the same rules in memory.

use crate::support::{Answer, PATIENCE, TestHub, at, start};
use bytes::Bytes;
use paidup_destinations as destinations;
use paidup_hub::Hub;
use paidup_hub::clock::{Clock as _, SeededChance, Sleep, VirtualClock};
use paidup_hub::config::Config;
use paidup_hub::destinations::NewDestination;
use paidup_hub::outbound::Outbound;
use paidup_lifecycle::customer::{Customer, Holding};
use paidup_lifecycle::dialects::revenuecat::Status;
use paidup_lifecycle::ids::{BackfillId, CustomerId, DestinationId, PurchaseId};
use paidup_lifecycle::observation::{Environment, Kind, Store};
use paidup_lifecycle::purchase::State;
use paidup_lifecycle::time::Timestamp;
use paidup_simulator::edge::Clock;
use paidup_simulator::standins::intercom::{Fault, Intercom, IntercomOptions, Workspace};
use paidup_store::backfills::{BackfillRecord, BackfillState};
use paidup_store::records::Start;
use paidup_store::{Before, Changes, Decision, Refused, Urgency, Wants};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const FROM: &str = "2026-01-01T00:00:00Z";
const TO: &str = "2036-02-01T00:00:00Z";
const PUBLIC: &str = "https://hub.example";

/// A hub and a workspace at the same time.
struct Fixture {
    hub: TestHub,
    intercom: Intercom,
    clock: Clock,
    source: String,
}

impl Fixture {
    async fn new() -> Fixture {
        let clock = Clock::manual(at(FROM).as_millis());
        let intercom = Intercom::start(IntercomOptions { clock: clock.clone(), ..IntercomOptions::default() }).await;
        let intercom = intercom.expect("a stand-in");
        let hub = TestHub::start_with(FROM, &Fixture::settings(&intercom.api_url())).await;
        let source = hub.source("generic", json!({})).await;
        hub.map("pro_monthly", &["pro"]).await;
        Fixture { hub, intercom, clock, source }
    }

    fn settings(api: &str) -> [(&'static str, &str); 2] {
        [("PAIDUP_PUBLIC_URL", PUBLIC), ("PAIDUP_INTERCOM_API_URL", api)]
    }

    /// The hub stops and starts again on its database.
    async fn restart(self) -> Fixture {
        let hub = self.hub.restart_with(&Fixture::settings(&self.intercom.api_url())).await;
        Fixture { hub, ..self }
    }

    /// Customers with a subscription each, known before there is a destination.
    async fn customers(&self, count: usize) {
        for first in (0..count).step_by(500) {
            let some = first..count.min(first + 500);
            let bought = some.map(|n| start(&format!("n{n}"), &format!("user-{n}"), &format!("sub-{n}"), FROM, TO));
            let all: Vec<Value> = bought.collect();
            self.hub.ingest(&self.source, json!(all).to_string().as_bytes()).await.expect(200);
        }
    }

    async fn destination(&self) -> String {
        let config = json!({"access_token": self.intercom.token()});
        let body = json!({"type": "intercom", "name": "Intercom", "config": config});
        let made = self.hub.api("POST", "/v1/destinations", body).await.expect(201);
        made["id"].as_str().expect("an id").to_owned()
    }

    async fn begin(&self, destination: &str) -> String {
        let path = format!("/v1/destinations/{destination}/backfills");
        let begun = self.hub.api("POST", &path, Value::Null).await.expect(201);
        begun["id"].as_str().expect("an id").to_owned()
    }

    async fn change(&self, backfill: &str, action: &str) -> Answer {
        self.hub.api("POST", &format!("/v1/backfills/{backfill}/{action}"), Value::Null).await
    }

    async fn stand(&self, backfill: &str) -> Value {
        self.hub.get(&format!("/v1/backfills/{backfill}")).await
    }

    /// Time passes: first in the workspace, so that the hub never sees a window end before it has.
    fn pass(&self, span: Duration) {
        self.clock.advance(span);
        self.hub.clock.advance(span);
    }

    /// Lets time pass until the back-fill stands as wanted.
    async fn until(&self, backfill: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.hub
            .until(what, async |_| {
                let stand = self.stand(backfill).await;
                if wanted(&stand) {
                    return Some(stand);
                }
                self.pass(Duration::from_millis(250));
                None
            })
            .await
    }

    async fn stop(self) {
        self.hub.stop().await;
    }
}

fn shown(intercom: &Workspace, external_id: &str, name: &str) -> Value {
    let contact = intercom.contact(external_id);
    contact.and_then(|contact| contact.custom_attributes.get(name).cloned()).unwrap_or_default()
}

#[tokio::test]
async fn five_hundred_customers_arrive_over_http_and_a_restart_loses_none() {
    let f = Fixture::new().await;
    f.customers(500).await;
    // Linked ids make one customer of two: the one that is left has a contact, the other one nothing of its own.
    f.hub.api("POST", "/v1/customers/user-1/aliases", json!({"alias": "user-0"})).await.expect(200);
    let destination = f.destination().await;
    let backfill = f.begin(&destination).await;
    let path = format!("/v1/destinations/{destination}/backfills");
    let again = f.hub.api("POST", &path, Value::Null).await.expect(409);
    assert!(again["detail"].as_str().expect("words").contains("under way"), "{again}");
    let half = f.until(&backfill, "half", |stand| stand["done"].as_u64() >= Some(200)).await;
    assert_eq!((&half["state"], &half["total"]), (&json!("running"), &json!(500)));
    assert!(half["eta"].is_string() && half["per_minute"].as_u64() > Some(0), "{half}");
    let f = f.restart().await;
    // Somebody changes while it goes on: what is written last is what holds.
    let mut renewed = start("later", "user-499", "sub-499", TO, "2037-01-01T00:00:00Z");
    renewed["reason"] = json!("renewed");
    renewed["observed_at"] = json!("2026-01-01T00:00:01Z");
    f.hub.observe(&f.source, renewed).await;
    let done = f.until(&backfill, "the end", |stand| stand["state"] != "running").await;
    assert_eq!((&done["state"], &done["done"], &done["failed"]), (&json!("done"), &json!(500), &json!(0)), "{done}");
    assert_eq!((&done["written"], &done["skipped"]), (&json!(499), &json!(1)), "{done}");
    assert!(done["eta"].is_null());
    for n in 1..500 {
        let name = format!("user-{n}");
        assert_eq!(shown(&f.intercom, &name, "subscription_status"), "active", "{name}");
        assert_eq!(shown(&f.intercom, &name, "latest_entitlement"), "pro", "{name}");
    }
    let expected = at("2037-01-01T00:00:00Z").as_millis() / 1000;
    f.hub
        .until("the renewal", async |_| {
            f.pass(Duration::from_millis(250));
            (shown(&f.intercom, "user-499", "expires_at") == expected).then_some(())
        })
        .await;
    let report = f.intercom.report();
    assert_eq!((report.limited, report.unauthorized), (0, 0), "{report:?}");
    assert_eq!(report.violations, Vec::<String>::new());
    let list = f.hub.get(&path).await;
    assert_eq!((list["data"].as_array().map(Vec::len), &list["data"][0]["id"]), (Some(1), &json!(backfill)));
    assert_eq!(f.hub.get("/v1/backfills").await, list);
    f.stop().await;
}

#[tokio::test]
async fn a_token_that_was_revoked_pauses_it_and_it_goes_on_when_resumed() {
    let f = Fixture::new().await;
    f.customers(250).await;
    let destination = f.destination().await;
    let backfill = f.begin(&destination).await;
    f.until(&backfill, "a page", |stand| stand["done"].as_u64() >= Some(100)).await;
    f.intercom.revoke_tokens();
    let paused = f.until(&backfill, "the pause", |stand| stand["state"] == "paused").await;
    let reason = paused["reason"].as_str().expect("a reason");
    assert!(reason.contains("401") || reason.to_lowercase().contains("token"), "{reason}");
    assert!(paused["done"].as_u64() < Some(250) && paused["eta"].is_null(), "{paused}");
    let calls = f.intercom.report().unauthorized;
    f.pass(Duration::from_secs(3600));
    assert_eq!(f.stand(&backfill).await, paused, "it does not go on by itself");
    assert_eq!(f.intercom.report().unauthorized, calls);
    f.intercom.restore_token();
    let resumed = f.change(&backfill, "resume").await.expect(200);
    assert_eq!((&resumed["state"], &resumed["reason"]), (&json!("running"), &Value::Null));
    let done = f.until(&backfill, "the end", |stand| stand["state"] != "running").await;
    assert_eq!((&done["state"], &done["written"]), (&json!("done"), &json!(250)), "{done}");
    assert_eq!(f.change(&backfill, "resume").await.status, 409, "it has ended");
    f.stop().await;
}

#[tokio::test]
async fn refusals_are_counted_and_listed_and_failures_that_pass_are_none() {
    let f = Fixture::new().await;
    f.customers(40).await;
    let destination = f.destination().await;
    for fault in [Fault::Status(422), Fault::Status(500), Fault::Status(429), Fault::Nonsense] {
        f.intercom.fail_next(1, fault);
    }
    let backfill = f.begin(&destination).await;
    let done = f.until(&backfill, "the end", |stand| stand["state"] != "running").await;
    let failed = done["failed"].as_u64().expect("a number");
    assert_eq!((&done["state"], &done["done"]), (&json!("done"), &json!(40)), "{done}");
    assert_eq!(failed, 1, "the refusal; what passes is tried again: {done}");
    let path = format!("/v1/backfills/{backfill}/failures");
    let failures = f.hub.get(&path).await;
    let rows = failures["data"].as_array().expect("rows");
    assert_eq!(rows.len() as u64, failed);
    assert!(rows.iter().any(|row| row["reason"].as_str().is_some_and(|reason| reason.contains("422"))), "{failures}");
    for row in rows {
        f.hub.get(&format!("/v1/customers/{}", row["customer_id"].as_str().expect("an id"))).await;
    }
    let first = f.hub.get(&format!("{path}?limit=1")).await;
    assert_eq!(first["data"][0], rows[0]);
    f.stop().await;
}

#[tokio::test]
async fn a_workspace_that_does_not_answer_pauses_it() {
    let f = Fixture::new().await;
    f.customers(60).await;
    let destination = f.destination().await;
    f.intercom.fail_next(100_000, Fault::Status(503));
    let backfill = f.begin(&destination).await;
    let paused = f
        .hub
        .until("the pause", async |_| {
            f.pass(Duration::from_secs(20));
            let stand = f.stand(&backfill).await;
            (stand["state"] == "paused").then_some(stand)
        })
        .await;
    assert!(paused["reason"].as_str().expect("a reason").contains("503"), "{paused}");
    assert_eq!((&paused["done"], &paused["failed"]), (&json!(0), &json!(0)), "nobody is given up for it: {paused}");
    f.stop().await;
}

#[tokio::test]
async fn it_is_held_cancelled_and_bound_to_its_destination() {
    let f = Fixture::new().await;
    f.customers(300).await;
    let destination = f.destination().await;
    let path = format!("/v1/destinations/{destination}");
    f.hub.api("POST", &format!("{path}/pause"), json!({})).await.expect(200);
    let held = f.hub.api("POST", &format!("{path}/backfills"), Value::Null).await.expect(409);
    assert!(held["detail"].as_str().expect("words").contains("resume"), "{held}");
    f.hub.api("POST", &format!("{path}/resume"), json!({})).await.expect(200);
    // (what happens to the back-fill, its state, the next one)
    let first = f.begin(&destination).await;
    let paused = f.change(&first, "pause").await.expect(200);
    assert_eq!((&paused["state"], &paused["reason"]), (&json!("paused"), &json!("paused by hand")));
    let f = f.restart().await;
    assert_eq!(f.stand(&first).await["state"], "paused", "a restart changes nothing");
    f.hub.api("POST", &format!("{path}/pause"), json!({})).await.expect(200);
    assert_eq!(f.change(&first, "resume").await.status, 409, "the destination is held");
    f.hub.api("POST", &format!("{path}/resume"), json!({})).await.expect(200);
    f.change(&first, "resume").await.expect(200);
    f.hub.api("POST", &format!("{path}/pause"), json!({})).await.expect(200);
    let held = f.until(&first, "a pause or the end", |stand| stand["state"] != "running").await;
    assert!(held["reason"].as_str().is_some_and(|why| why.contains("the destination is paused")), "{held}");
    f.hub.api("POST", &format!("{path}/resume"), json!({})).await.expect(200);
    let cancelled = f.change(&first, "cancel").await.expect(200);
    assert_eq!(cancelled["state"], "cancelled");
    assert_eq!(f.change(&first, "cancel").await.expect(200), cancelled, "twice is once");
    assert_eq!(f.change(&first, "pause").await.status, 409);
    let second = f.begin(&destination).await;
    f.hub.api("DELETE", &path, Value::Null).await.expect(204);
    assert_eq!(f.hub.api("GET", &format!("/v1/backfills/{second}"), Value::Null).await.status, 404);
    f.stop().await;
}

#[tokio::test]
async fn what_cannot_be_back_filled_is_refused() {
    let f = Fixture::new().await;
    let webhook =
        json!({"type": "webhook", "name": "hook", "config": {"url": "https://a.example/", "format": "paidup"}});
    let webhook = f.hub.api("POST", "/v1/destinations", webhook).await.expect(201)["id"].clone();
    let webhook = webhook.as_str().expect("an id");
    let nobody = DestinationId([7; 16]).to_string();
    // (method, path, status)
    let table = [
        ("POST", format!("/v1/destinations/{webhook}/backfills"), 422),
        ("POST", format!("/v1/destinations/{nobody}/backfills"), 404),
        ("GET", format!("/v1/destinations/{nobody}/backfills"), 404),
        ("POST", "/v1/destinations/x/backfills".to_owned(), 404),
        ("GET", "/v1/backfills/x".to_owned(), 404),
        ("GET", "/v1/backfills/x/failures".to_owned(), 404),
        ("GET", "/v1/backfills?limit=0".to_owned(), 400),
        ("POST", "/v1/backfills/bkf_00000000000000000000000000/cancel".to_owned(), 404),
    ];
    for (method, path, status) in table {
        assert_eq!(f.hub.api(method, &path, Value::Null).await.status, status, "{method} {path}");
    }
    let destination = f.destination().await;
    let backfill = f.begin(&destination).await;
    let done = f.until(&backfill, "the end", |stand| stand["state"] != "running").await;
    assert_eq!((&done["state"], &done["total"]), (&json!("done"), &json!(0)), "nobody is there: {done}");
    f.stop().await;
}

// --- A hundred thousand

/// Plays the workspace without a socket, at the hub's time, and counts how often each customer was looked for.
struct InMemory {
    workspace: Workspace,
    hub: Hasty,
    standin: Clock,
    looked_for: Mutex<HashMap<String, u32>>,
}

impl Outbound for InMemory {
    fn call_up_to(
        &self,
        request: http::Request<Bytes>,
        _timeout: Duration,
        _max_body: usize,
    ) -> std::pin::Pin<Box<dyn Future<Output = destinations::Answer> + Send>> {
        let now = u64::try_from(self.hub.now().as_millis() - self.standin.now_ms()).unwrap_or(0);
        self.standin.advance(Duration::from_millis(now));
        if let Some((_, name)) = request.uri().path().split_once("/find_by_external_id/") {
            *self.looked_for.lock().expect("a lock").entry(name.to_owned()).or_default() += 1;
        }
        let played = self.workspace.answer(&request).response;
        let answer = match played {
            Some(response) => destinations::Answer::Response(response),
            None => destinations::Answer::Failed(destinations::CallFailure::TimedOut),
        };
        Box::pin(std::future::ready(answer))
    }

    fn check(
        &self,
        _url: url::Url,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<(), destinations::CallFailure>> + Send>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Puts customers into the database as they would be after their purchases.
struct Populate(std::ops::Range<u32>);

impl Decision for Populate {
    fn wants(&self) -> Wants {
        Wants::default()
    }

    fn decide(&mut self, _before: &Before) -> Result<Changes, Refused> {
        Ok(Changes { customers: self.0.clone().map(member).collect(), ..Changes::default() })
    }
}

/// Every third customer's subscription has ended.
fn member(number: u32) -> Customer {
    let id = CustomerId::derive(&[&number.to_be_bytes()]);
    let ended = number.is_multiple_of(3);
    let holding = Holding {
        store: Store::AppStore,
        environment: Environment::Production,
        kind: Kind::Subscription,
        product_id: Some("pro_monthly".to_owned()),
        period_type: None,
        state: if ended { State::Expired } else { State::Active },
        entitlements: if ended { Vec::new() } else { vec!["pro".to_owned()] },
        until: Some(expiry(number)),
        status: Some(if ended { Status::Expired } else { Status::Active }),
    };
    Customer {
        aliases: vec![format!("user-{number}")],
        revision: 1,
        last_seen_as: Some(format!("user-{number}")),
        holdings: [(PurchaseId::derive(&[&number.to_be_bytes()]), holding)].into(),
        ..Customer::new(id, at(FROM))
    }
}

fn expiry(number: u32) -> Timestamp {
    at(FROM).plus(Duration::from_secs(u64::from(number) * 60))
}

async fn hub_on(folder: &tempfile::TempDir, clock: &Hasty, outbound: &Arc<InMemory>, seed: u64) -> Hub {
    let url = format!("sqlite:{}", folder.path().join("paidup.db").display());
    let settings = [
        ("PAIDUP_DATABASE_URL".to_owned(), url.clone()),
        ("PAIDUP_PUBLIC_URL".to_owned(), PUBLIC.to_owned()),
        ("PAIDUP_INTERCOM_API_URL".to_owned(), "https://intercom.example".to_owned()),
    ];
    let config = Config::load(settings, None).expect("settings");
    let store = paidup_store::open(&url, paidup_store::OpenOptions::default()).await.expect("a database");
    let (clock, chance) = (Arc::new(clock.clone()), Arc::new(SeededChance::new(seed)));
    let outbound: Arc<dyn Outbound> = outbound.clone();
    let hub = Hub::open_with(config, store, clock, chance, outbound).await.expect("a hub");
    hub.start().await.expect("a running hub");
    hub
}

/// Time passes when a budget is waited for, by as much as is waited for, and at no other moment: so that the hub's time is
/// just what the budgets cost.
#[derive(Clone)]
struct Hasty(VirtualClock);

/// A budget's window, which no wait for it exceeds.
const WINDOW: Duration = Duration::from_secs(1);

impl paidup_hub::clock::Clock for Hasty {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn sleep_until(&self, at: Timestamp) -> Sleep {
        if at.since(self.now()) > WINDOW {
            return self.0.sleep_until(at);
        }
        let clock = self.0.clone();
        Box::pin(async move {
            tokio::task::yield_now().await;
            clock.set(at);
        })
    }
}

/// Waits until it stands as wanted.
async fn until(hub: &Hub, id: BackfillId, wanted: impl Fn(&BackfillRecord) -> bool) -> BackfillRecord {
    let (mut done, mut moved_at) = (0, tokio::time::Instant::now());
    loop {
        let record = hub.show_backfill(id).await.expect("a back-fill").record;
        if wanted(&record) {
            return record;
        }
        if record.done() > done {
            (done, moved_at) = (record.done(), tokio::time::Instant::now());
        }
        assert!(moved_at.elapsed() < PATIENCE, "it does not move any more: {record:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_contacts_within_the_budget_and_across_a_restart() {
    const COUNT: u32 = 100_000;
    const PAGE: usize = 100;
    let clock = Hasty(VirtualClock::new(at(FROM)));
    let standin = Clock::manual(at(FROM).as_millis());
    let workspace = Workspace::new(IntercomOptions { clock: standin.clone(), ..IntercomOptions::default() });
    let outbound =
        Arc::new(InMemory { workspace: workspace.clone(), hub: clock.clone(), standin, looked_for: Mutex::default() });
    let folder = tempfile::tempdir().expect("a folder");
    let hub = hub_on(&folder, &clock, &outbound, 1).await;
    for first in (0..COUNT).step_by(1_000) {
        let populate = Box::new(Populate(first..first + 1_000));
        hub.store().commit(Urgency::Rest, populate).await.expect("customers");
    }
    let config = json!({"access_token": workspace.token()}).to_string();
    let config = serde_json::value::RawValue::from_string(config).expect("JSON");
    let new = NewDestination {
        kind: "intercom",
        name: "Intercom",
        config: &config,
        filter: None,
        order: None,
        start: Start::Now,
        max_backlog: None,
        lane_policy: None,
        keep_trying: None,
    };
    let destination = hub.create_destination(new).await.expect("a destination").view.id;
    let backfill = hub.begin_backfill(destination).await.expect("a back-fill");
    let (id, begun) = (backfill.record.id, clock.now());
    assert_eq!(backfill.record.total, u64::from(COUNT));
    let half = until(&hub, id, |record| record.done() >= u64::from(COUNT) * 2 / 5).await;
    assert_eq!(half.state, BackfillState::Running);
    hub.stop().await.expect("stopped");

    let hub = hub_on(&folder, &clock, &outbound, 2).await;
    let done = until(&hub, id, |record| record.state != BackfillState::Running).await;
    assert_eq!((done.state, done.written, done.failed, done.skipped), (BackfillState::Done, u64::from(COUNT), 0, 0));
    assert!(half.done() < done.done(), "it was interrupted");
    hub.stop().await.expect("stopped");

    let report = workspace.report();
    assert_eq!((report.limited, report.avoidable), (0, 0), "{report:?}");
    assert!(report.busiest_window <= 1_666, "{report:?}");
    assert_eq!(report.violations, Vec::<String>::new());
    assert_eq!(report.contacts, u64::from(COUNT));
    let took = clock.now().since(begun);
    // 10,000 calls a minute at most; a fifth of them stays free for live deliveries.
    let minutes = report.calls as f64 / 10_000.0;
    let allowed = minutes - 1.0..minutes / 0.8 + 1.0;
    assert!(allowed.contains(&(took.as_secs_f64() / 60.0)), "{} calls in {took:?}", report.calls);
    let looked_for = outbound.looked_for.lock().expect("a lock");
    let repeated: usize = looked_for.values().map(|times| *times as usize - 1).sum();
    assert!(repeated <= PAGE, "{repeated} customers were looked at twice");
    for contact in workspace.contacts() {
        let name = contact.external_id.as_deref().expect("an id");
        let number: u32 = name.strip_prefix("user-").and_then(|number| number.parse().ok()).expect("one of ours");
        let shown = |name: &str| contact.custom_attributes.get(name).cloned().unwrap_or_default();
        let status = if number.is_multiple_of(3) { "expired" } else { "active" };
        assert_eq!(shown("subscription_status"), status, "{name}");
        assert_eq!(shown("expires_at"), expiry(number).as_millis() / 1000, "{name}");
        assert_eq!(shown("latest_store"), "APP_STORE", "{name}");
    }
}
