//! `TestHub`: a real hub for a test. At its end it checks by itself that no secret was logged.

pub(crate) mod amazon;
pub(crate) mod apple;
mod database;
pub(crate) mod discord;
mod log;
pub(crate) mod play;
mod program;
mod receiver;
pub(crate) mod recorder;
pub(crate) mod stripe;
pub(crate) mod vendors;

pub(crate) use log::{check as forbid_in_log, errors_about};
pub(crate) use program::Program;
pub(crate) use receiver::{Receiver, Request};

use paidup_hub::Hub;
use paidup_hub::clock::{SeededChance, VirtualClock};
use paidup_hub::config::Config;
use paidup_lifecycle::time::Timestamp;
use paidup_store::OpenOptions;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// The admin key of every test hub.
pub(crate) const ADMIN_KEY: &str = "test-admin-key-of-32-characters!";

/// The longest that a test waits for something that must come: generous, because machines are slow at times. Nothing
/// is asserted about it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A hub on a free port.
pub(crate) struct TestHub {
    pub(crate) hub: Hub,
    pub(crate) clock: VirtualClock,
    pub(crate) address: SocketAddr,
    client: reqwest::Client,
    folder: Arc<TempDir>,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
    closing: CancellationToken,
}

/// What the hub answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// Where the vendors' samples are, when they are on this machine.
pub(crate) fn reference() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference");
    let folder = std::env::var_os("PAIDUP_REFERENCE_DIR").map_or(default, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("NOT CHECKED: the vendors' samples are not at {}", folder.display());
    None
}

impl TestHub {
    /// A new hub on an empty database, at that time.
    pub(crate) async fn start(now: &str) -> TestHub {
        let folder = Arc::new(tempfile::tempdir().expect("a folder"));
        TestHub::start_in(folder, VirtualClock::new(at(now)), &[]).await
    }

    /// The same with settings besides.
    pub(crate) async fn start_with(now: &str, settings: &[(&str, &str)]) -> TestHub {
        let folder = Arc::new(tempfile::tempdir().expect("a folder"));
        TestHub::start_in(folder, VirtualClock::new(at(now)), settings).await
    }

    /// The same on a database that opens in another way.
    pub(crate) async fn start_on(now: &str, options: OpenOptions) -> TestHub {
        let folder = Arc::new(tempfile::tempdir().expect("a folder"));
        TestHub::open_in(folder, VirtualClock::new(at(now)), &[], options).await
    }

    async fn start_in(folder: Arc<TempDir>, clock: VirtualClock, settings: &[(&str, &str)]) -> TestHub {
        TestHub::open_in(folder, clock, settings, OpenOptions::default()).await
    }

    async fn open_in(
        folder: Arc<TempDir>,
        clock: VirtualClock,
        settings: &[(&str, &str)],
        options: OpenOptions,
    ) -> TestHub {
        log::capture();
        let database = database::url(folder.path()).await;
        let mut environment = vec![
            ("PAIDUP_LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
            ("PAIDUP_DATABASE_URL".to_owned(), database.clone()),
            ("PAIDUP_ADMIN_KEY".to_owned(), ADMIN_KEY.to_owned()),
            ("PAIDUP_ALLOW_PRIVATE_TARGETS".to_owned(), "127.0.0.0/8".to_owned()),
            // Tests move the clock by months: they say when stores are compared with.
            ("PAIDUP_RECONCILE_HOURS".to_owned(), "0".to_owned()),
        ];
        if database.starts_with("postgres:") {
            // There is no file beside which a key could be made: all hubs would make one in the same folder.
            environment
                .push(("PAIDUP_MASTER_KEY".to_owned(), "the master key of every test hub on PostgreSQL".to_owned()));
        }
        environment.retain(|(name, _)| settings.iter().all(|(given, _)| given != name));
        environment.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let mut config = Config::load(environment, None).expect("settings");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        config.listen = address;
        let store = paidup_store::open(&database, options).await.expect("a database");
        let chance = Arc::new(SeededChance::new(u64::from(address.port())));
        let hub = Hub::open(config, store, Arc::new(clock.clone()), chance).await.expect("a hub");
        hub.start().await.expect("a running hub");
        let closing = CancellationToken::new();
        let server = tokio::spawn(paidup_web::serve(listener, hub.clone(), closing.clone().cancelled_owned()));
        #[allow(clippy::disallowed_methods)] // a test is the outside
        let client = reqwest::Client::new();
        TestHub { hub, clock, address, client, folder, server, closing }
    }

    /// One call with the admin key.
    pub(crate) async fn api(&self, method: &str, path: &str, body: Value) -> Answer {
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.call(method, path, Some(ADMIN_KEY), bytes, &[]).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.api("GET", path, Value::Null).await.expect(200)
    }

    /// The very bytes of an answer that must be 200.
    pub(crate) async fn bytes(&self, method: &str, path: &str, body: Value) -> Vec<u8> {
        let url = format!("http://{}{path}", self.address);
        let request = self.client.request(method.parse().expect("a method"), url).bearer_auth(ADMIN_KEY);
        let response = request.header("content-type", "application/json").body(body.to_string()).send().await;
        let response = response.expect("an answer");
        assert_eq!(response.status(), 200, "{method} {path}");
        response.bytes().await.expect("a body").to_vec()
    }

    /// One call, as it comes.
    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: Vec<u8>,
        headers: &[(&str, &str)],
    ) -> Answer {
        call(&self.client, self.address, method, path, key, body, headers).await
    }

    /// Sets up a source and answers its id.
    pub(crate) async fn source(&self, kind: &str, config: Value) -> String {
        let body = json!({"type": kind, "name": kind, "config": config});
        self.api("POST", "/v1/sources", body).await.expect(201)["id"].as_str().expect("an id").to_owned()
    }

    /// Sends a notification to a source.
    pub(crate) async fn ingest(&self, source: &str, body: &[u8]) -> Answer {
        self.call("POST", &format!("/ingest/{source}"), Some(ADMIN_KEY), body.to_vec(), &[]).await
    }

    /// Sends one generic observation that must be taken.
    pub(crate) async fn observe(&self, source: &str, observation: Value) {
        self.ingest(source, observation.to_string().as_bytes()).await.expect(200);
    }

    pub(crate) async fn map(&self, product_id: &str, entitlements: &[&str]) {
        let body = json!({"product_id": product_id, "entitlements": entitlements});
        self.api("POST", "/v1/products", body).await.expect(201);
    }

    /// Sets up a webhook to the receiver and answers the whole answer.
    pub(crate) async fn webhook(&self, receiver: &Receiver, more: Value) -> Value {
        let mut body = json!({
            "type": "webhook", "name": "test", "config": {"url": receiver.url("/hook"), "format": "paidup"}
        });
        if let (Some(all), Some(more)) = (body.as_object_mut(), more.as_object()) {
            all.extend(more.clone());
        }
        self.api("POST", "/v1/destinations", body).await.expect(201)
    }

    /// The hub's time as text.
    pub(crate) fn clock_text(&self) -> String {
        paidup_hub::clock::Clock::now(&self.clock).to_string()
    }

    /// Every event's type, oldest first, but for what the hub tells of itself: to a clock that is moved by days what waits
    /// for a moment waits long.
    pub(crate) async fn types(&self) -> Vec<String> {
        let mut events = self.events().await;
        events.reverse();
        let types = events.iter().map(|event| event["type"].as_str().unwrap_or_default().to_owned());
        types.filter(|name| !name.starts_with("OPERATOR_ALERT")).collect()
    }

    /// What the hub told of itself, oldest first.
    pub(crate) async fn alerts(&self) -> Vec<String> {
        let mut events = self.events().await;
        events.reverse();
        let types = events.iter().map(|event| event["type"].as_str().unwrap_or_default().to_owned());
        types.filter(|name| name.starts_with("OPERATOR_ALERT")).collect()
    }

    /// Every event, newest first.
    pub(crate) async fn events(&self) -> Vec<Value> {
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("/v1/events?limit=200{after}")).await;
            all.extend(page["data"].as_array().expect("rows").clone());
            match page["next_cursor"].as_str() {
                Some(cursor) => after = format!("&after={cursor}"),
                None => return all,
            }
        }
    }

    /// Waits until `ready` answers something. Polls, because what is waited for happens in the hub's own tasks.
    pub(crate) async fn until<T>(&self, what: &str, mut ready: impl AsyncFnMut(&TestHub) -> Option<T>) -> T {
        let wait = async {
            loop {
                if let Some(found) = ready(self).await {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{what} did not come"))
    }

    /// Folds the journal into an empty database: the same bytes.
    pub(crate) async fn check_rebuild(&self) {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("again.db").display());
        let into = paidup_store::open(&url, OpenOptions::default()).await.expect("a database");
        let report = paidup_hub::rebuild::verify(&self.hub, &into, &|_, _| {}).await.expect("a report");
        into.close().await.expect("closed");
        assert!(report.is_equal(), "{:#?}", report.mismatches);
    }

    /// Stops it as SIGTERM does, and checks that no secret was logged.
    pub(crate) async fn stop(self) {
        self.closing.cancel();
        self.server.await.expect("a server").expect("served");
        self.hub.stop().await.expect("stopped");
        log::check(&[ADMIN_KEY]);
    }

    /// The database's file.
    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("paidup.db")
    }

    /// Stops it, lets `meanwhile` do something to its database's file, and starts it again.
    pub(crate) async fn restart_after(self, meanwhile: impl FnOnce(&Path)) -> TestHub {
        let (folder, clock, database) = (self.folder.clone(), self.clock.clone(), self.database());
        self.stop().await;
        meanwhile(&database);
        TestHub::start_in(folder, clock, &[]).await
    }

    /// Stops it and starts it again on the same database, at the same time.
    pub(crate) async fn restart(self) -> TestHub {
        self.restart_with(&[]).await
    }

    /// The same with settings besides.
    pub(crate) async fn restart_with(self, settings: &[(&str, &str)]) -> TestHub {
        let (folder, clock) = (self.folder.clone(), self.clock.clone());
        self.stop().await;
        TestHub::start_in(folder, clock, settings).await
    }
}

/// One HTTP call.
async fn call(
    client: &reqwest::Client,
    address: SocketAddr,
    method: &str,
    path: &str,
    key: Option<&str>,
    body: Vec<u8>,
    headers: &[(&str, &str)],
) -> Answer {
    let url = format!("http://{address}{path}");
    let mut request =
        client.request(method.parse().expect("a method"), url).header("content-type", "application/json").body(body);
    if let Some(key) = key {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.bytes().await.expect("a body");
    let body =
        serde_json::from_slice(&bytes).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
    Answer { status, headers, body }
}

/// A generic observation with what must be there.
pub(crate) fn observation(id: &str, observed_at: &str, reason: &str, purchase: &str, more: Value) -> Value {
    let mut all = json!({
        "id": id, "observed_at": observed_at, "reason": reason, "environment": "PRODUCTION", "purchase_id": purchase
    });
    if let (Some(all), Some(more)) = (all.as_object_mut(), more.as_object()) {
        all.extend(more.clone());
    }
    all
}

/// A start of a monthly subscription.
pub(crate) fn start(id: &str, customer: &str, purchase: &str, from: &str, to: &str) -> Value {
    let facets = json!({
        "store": "STRIPE", "customer_id": customer, "kind": "subscription", "transaction_id": format!("{purchase}-1"),
        "product_id": "pro_monthly", "period_type": "normal", "period": {"starts_at": from, "ends_at": to},
        "will_renew": true, "price": {"amount_minor": 999, "currency": "USD"}
    });
    observation(id, from, "purchased", purchase, facets)
}
