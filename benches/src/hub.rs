//! The hub as the benches use it: set up through its API, fed with generic notifications about a large population.

use crate::load::{self, Connection, Outcome, Plan};
use crate::process::{ADMIN_KEY, HubProcess};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// When the population's subscriptions began, in milliseconds since 1970 (2026-01-01).
const EPOCH_MS: i64 = 1_767_225_600_000;

/// A hub with a generic source and `customers` subscriptions.
pub(crate) struct Populated {
    /// The process.
    pub(crate) hub: HubProcess,
    /// Where notifications go.
    pub(crate) ingest: String,
    /// How many customers there are.
    pub(crate) customers: u64,
    counter: Arc<AtomicU64>,
    /// Renewals sent so far.
    renewed: Arc<AtomicU64>,
    /// Whose renewal is off.
    off: Arc<Vec<AtomicBool>>,
}

/// One API call; anything but 2xx is an error.
pub(crate) async fn api(address: SocketAddr, method: &str, path: &str, body: Option<Value>) -> Result<Value> {
    let mut connection = Connection::open(address).await?;
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let (status, answer) = connection.call(&load::request(method, path, Some(ADMIN_KEY), body.as_bytes())).await?;
    if !(200..300).contains(&status) {
        bail!("{method} {path}: {status} {}", String::from_utf8_lossy(&answer));
    }
    if answer.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_slice(&answer)?) }
}

fn time(ms: i64) -> String {
    paidup_lifecycle::time::Timestamp::from_millis_clamped(ms).to_string()
}

/// Text that does not compress away, the same for the same number.
fn noise(seed: u64, length: usize) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x1234_5678);
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(b"abcdefghijklmnopqrstuvwxyz0123456789"[(state % 36) as usize])
        })
        .collect()
}

/// A customer's number, few of them often: rank = N^u with u even in 0..1 (Zipf with exponent 1).
fn zipf(number: u64, customers: u64) -> u64 {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d;
    state ^= state >> 31;
    state = state.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state ^= state >> 29;
    let u = (state >> 11) as f64 / (1u64 << 53) as f64;
    let rank = ((customers as f64).powf(u) as u64).min(customers - 1);
    // Spread ranks over the population, so that the busy ones do not sit together on disk.
    rank.wrapping_mul(0x2545_f491_4f6c_dd1d) % customers
}

/// A start of a subscription.
pub(crate) fn purchase(number: u64) -> Value {
    json!({
        "id": format!("start-{number}"), "observed_at": time(EPOCH_MS + number as i64), "reason": "purchased",
        "environment": "PRODUCTION", "store": "STRIPE", "customer_id": format!("user-{number}"),
        "purchase_id": format!("sub-{number}"), "kind": "subscription", "transaction_id": format!("t-{number}-1"),
        "product_id": "pro_monthly", "period_type": "normal",
        "period": {"starts_at": time(EPOCH_MS), "ends_at": time(EPOCH_MS + 86_400_000 * 3650)},
        "will_renew": true, "price": {"amount_minor": 999, "currency": "USD"}
    })
}

/// The `number`-th notification of the load: renewal switched off or on, so exactly one event; 1.2 KB.
pub(crate) fn toggle(number: u64, customer: u64, off: bool) -> Vec<u8> {
    json!({
        "id": format!("toggle-{number}"), "observed_at": time(EPOCH_MS + 100_000_000 + number as i64),
        "reason": if off { "renewal_disabled" } else { "renewal_enabled" }, "environment": "PRODUCTION",
        "store": "STRIPE", "customer_id": format!("user-{customer}"), "purchase_id": format!("sub-{customer}"),
        "kind": "subscription", "product_id": "pro_monthly", "will_renew": !off,
        "attributes": {"note": noise(number, 420), "campaign": noise(number + 1, 420)}
    })
    .to_string()
    .into_bytes()
}

/// The renewal of a subscription into its `period`-th period (the second is 2): three events; 1.3 KB.
fn renewal(number: u64, customer: u64, period: u64) -> Vec<u8> {
    // Later than anything that the toggles say.
    let observed_at = EPOCH_MS + 10_000_000_000 + number as i64;
    let starts_at = EPOCH_MS + 86_400_000 * 3650 * (period as i64 - 1);
    json!({
        "id": format!("renewal-{number}"), "observed_at": time(observed_at), "reason": "renewed",
        "environment": "PRODUCTION", "store": "STRIPE", "customer_id": format!("user-{customer}"),
        "purchase_id": format!("sub-{customer}"), "kind": "subscription", "transaction_id": format!("t-{customer}-{period}"),
        "product_id": "pro_monthly", "period_type": "normal",
        "period": {"starts_at": time(starts_at), "ends_at": time(starts_at + 86_400_000 * 3650)},
        "price": {"amount_minor": 999, "currency": "USD"},
        "attributes": {"note": noise(number, 420), "campaign": noise(number + 1, 420)}
    })
    .to_string()
    .into_bytes()
}

impl Populated {
    /// Starts a hub in `folder` and gives it `customers` subscriptions, in arrays of 1,000.
    pub(crate) async fn start(folder: &Path, customers: u64) -> Result<Populated> {
        Populated::on(HubProcess::start(folder)?, customers).await
    }

    /// The same on a hub that runs already and has no subscriptions.
    pub(crate) async fn on(hub: HubProcess, customers: u64) -> Result<Populated> {
        let source =
            api(hub.address, "POST", "/v1/sources", Some(json!({"type": "generic", "name": "bench", "config": {}})))
                .await?;
        let ingest = format!("/ingest/{}", source["id"].as_str().context("source id")?);
        api(hub.address, "POST", "/v1/entitlements", Some(json!({"id": "pro"}))).await?;
        api(hub.address, "POST", "/v1/products", Some(json!({"product_id": "pro_monthly", "entitlements": ["pro"]})))
            .await?;
        let path = ingest.clone();
        let batches = customers.div_ceil(1000);
        let plan = Plan { connections: 4, requests: batches, duration: Duration::from_secs(900), rate: None };
        let begin = Instant::now();
        let outcome = load::run(hub.address, plan, 200, move |batch| {
            let from = batch * 1000;
            let list: Vec<Value> = (from..(from + 1000).min(customers)).map(purchase).collect();
            load::post(&path, Some(ADMIN_KEY), Value::Array(list).to_string().as_bytes())
        })
        .await?;
        if outcome.failed > 0 {
            bail!("{} of {batches} batches were refused", outcome.failed);
        }
        eprintln!("  {customers} subscriptions in {:.1} s", begin.elapsed().as_secs_f64());
        let off = (0..customers).map(|_| AtomicBool::new(false)).collect();
        Ok(Populated { hub, ingest, customers, counter: Arc::default(), renewed: Arc::default(), off: Arc::new(off) })
    }

    /// A hub that was populated before and started again, with the load going on at `next`.
    pub(crate) fn again(hub: HubProcess, ingest: String, customers: u64, next: u64) -> Populated {
        let is_off = |customer: u64| (next / customers + u64::from(customer < next % customers)) % 2 == 1;
        let off = (0..customers).map(|customer| AtomicBool::new(is_off(customer))).collect();
        let counter = Arc::new(AtomicU64::new(next));
        Populated { hub, ingest, customers, counter, renewed: Arc::default(), off: Arc::new(off) }
    }

    /// Events that the hub has told since it started. Two notifications about one busy customer may overtake each other on
    /// their connections; the older one is then no news, so there are a few events fewer than notifications.
    pub(crate) async fn told(&self) -> Result<u64> {
        let mut connection = Connection::open(self.hub.address).await?;
        let (status, text) = connection.call(&load::request("GET", "/metrics", Some(ADMIN_KEY), b"")).await?;
        let text = String::from_utf8(text)?;
        anyhow::ensure!(status == 200, "GET /metrics: {status} {text}");
        // A hub that has told nothing since it started has no line.
        let mut told = 0;
        for line in text.lines().filter(|line| line.starts_with("paidup_events_total")) {
            let count = line.rsplit_once(' ').context("a metric without a value")?.1.parse::<u64>()?;
            told += count;
        }
        Ok(told)
    }

    /// Sends the load in turn through all customers: each customer's renewal alternates, and no two notifications about
    /// one customer are on their way together, so each notification is exactly one event.
    pub(crate) async fn toggles(&self, plan: Plan) -> Result<Outcome> {
        self.send(plan, |number, customers| number % customers).await
    }

    /// The same with customers by Zipf. The busy ones have several notifications on their way together; one that comes
    /// after a newer one changes nothing and is no event.
    pub(crate) async fn toggles_by_zipf(&self, plan: Plan) -> Result<Outcome> {
        self.send(plan, zipf).await
    }

    async fn send(&self, plan: Plan, pick: fn(u64, u64) -> u64) -> Result<Outcome> {
        let (ingest, customers, counter) = (self.ingest.clone(), self.customers, self.counter.clone());
        let states = self.off.clone();
        load::run(self.hub.address, plan, 200, move |_| {
            let number = counter.fetch_add(1, Ordering::Relaxed);
            let customer = pick(number, customers);
            let off = !states[usize::try_from(customer).unwrap_or(0)].fetch_xor(true, Ordering::Relaxed);
            load::post(&ingest, Some(ADMIN_KEY), &toggle(number, customer, off))
        })
        .await
    }

    /// Renews in turn through all customers: three events for each notification. Ten years a period: at most 790 for each.
    pub(crate) async fn renewals(&self, plan: Plan) -> Result<Outcome> {
        let (ingest, customers, counter) = (self.ingest.clone(), self.customers, self.renewed.clone());
        load::run(self.hub.address, plan, 200, move |_| {
            let number = counter.fetch_add(1, Ordering::Relaxed);
            let body = renewal(number, number % customers, number / customers + 2);
            load::post(&ingest, Some(ADMIN_KEY), &body)
        })
        .await
    }

    /// Reads entitlements of customers by Zipf.
    pub(crate) async fn reads(&self, plan: Plan) -> Result<Outcome> {
        let customers = self.customers;
        load::run(self.hub.address, plan, 200, move |number| {
            let path = format!("/v1/customers/user-{}/entitlements", zipf(number, customers));
            load::request("GET", &path, Some(ADMIN_KEY), b"")
        })
        .await
    }
}

/// A webhook receiver in this process: counts, and notes when each notification's event came.
pub(crate) struct Receiver {
    /// Where.
    pub(crate) address: SocketAddr,
    /// Requests so far.
    pub(crate) received: Arc<AtomicU64>,
    /// Milliseconds that each event took from `detected_at` to here, in microseconds of this machine's clock.
    pub(crate) latency: Arc<parking_lot::Mutex<hdrhistogram::Histogram<u64>>>,
    /// Ids of the events that an unsteady one answered: a delivery that was broken off comes again.
    different: Arc<parking_lot::Mutex<std::collections::HashSet<Vec<u8>>>>,
    /// Whether answers are held back.
    hangs: tokio::sync::watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Receiver {
    /// Starts one that answers at once.
    pub(crate) async fn start() -> Result<Receiver> {
        Receiver::start_as(false).await
    }

    /// Starts one that can be made to hang, and tells repeats.
    pub(crate) async fn start_unsteady() -> Result<Receiver> {
        Receiver::start_as(true).await
    }

    async fn start_as(unsteady: bool) -> Result<Receiver> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let received = Arc::new(AtomicU64::new(0));
        let latency =
            Arc::new(parking_lot::Mutex::new(hdrhistogram::Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?));
        let different = Arc::new(parking_lot::Mutex::new(std::collections::HashSet::new()));
        let (hangs, hanging) = tokio::sync::watch::channel(false);
        let (count, times, ids) = (received.clone(), latency.clone(), different.clone());
        let app = axum::Router::new().fallback(move |headers: axum::http::HeaderMap, body: axum::body::Bytes| {
            let (count, times, ids, mut hanging) = (count.clone(), times.clone(), ids.clone(), hanging.clone());
            async move {
                if let Some(detected) = detected_at(&body) {
                    let now =
                        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_micros());
                    let took = u64::try_from(now).unwrap_or(0).saturating_sub(detected * 1000);
                    times.lock().saturating_record(took.max(1));
                }
                // An error would mean that the receiver is gone, and this task with it.
                if unsteady
                    && hanging.wait_for(|hangs| !hangs).await.is_ok()
                    && let Some(id) = headers.get("webhook-id")
                {
                    ids.lock().insert(id.as_bytes().to_vec());
                }
                count.fetch_add(1, Ordering::Relaxed);
                axum::http::StatusCode::OK
            }
        });
        let task = tokio::spawn(async move {
            let _ = axum::serve(listener, app).await;
        });
        Ok(Receiver { address, received, latency, different, hangs, task })
    }

    /// Waits until `count` requests came, at most `limit`; says how long it took.
    pub(crate) async fn wait_for(&self, count: u64, limit: Duration) -> Result<Duration> {
        let begin = Instant::now();
        while self.received.load(Ordering::Relaxed) < count {
            if begin.elapsed() > limit {
                bail!("{} of {count} arrived within {limit:?}", self.received.load(Ordering::Relaxed));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(begin.elapsed())
    }

    /// The same for different events: one whose answer did not come in time is delivered again.
    pub(crate) async fn wait_for_different(&self, count: u64, limit: Duration) -> Result<()> {
        let begin = Instant::now();
        while (self.different.lock().len() as u64) < count {
            if begin.elapsed() > limit {
                bail!("{} of {count} events arrived within {limit:?}", self.different.lock().len());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Holds answers back from now on, or gives them all.
    pub(crate) fn hang(&self, hangs: bool) {
        self.hangs.send_replace(hangs);
    }

    /// Registers it as a destination that wants the load's events.
    pub(crate) async fn register(&self, hub: SocketAddr, name: &str) -> Result<String> {
        self.register_for(hub, name, &["RENEWAL_DISABLED", "RENEWAL_ENABLED"]).await
    }

    /// Registers it as a destination that wants these events.
    pub(crate) async fn register_for(&self, hub: SocketAddr, name: &str, events: &[&str]) -> Result<String> {
        let body = json!({
            "type": "webhook", "name": name, "config": {"url": format!("http://{}/{name}", self.address), "format": "paidup"},
            "filter": {"events": events}
        });
        let made = api(hub, "POST", "/v1/destinations", Some(body)).await?;
        Ok(made["id"].as_str().context("destination id")?.to_owned())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// `detected_at` of an event's JSON in milliseconds, found without reading the whole.
fn detected_at(body: &[u8]) -> Option<u64> {
    let key = b"\"detected_at\":\"";
    let start = body.windows(key.len()).position(|window| window == key)? + key.len();
    let end = start + body[start..].iter().position(|byte| *byte == b'"')?;
    let text = std::str::from_utf8(&body[start..end]).ok()?;
    let at: paidup_lifecycle::time::Timestamp = text.parse().ok()?;
    u64::try_from(at.as_millis()).ok()
}
