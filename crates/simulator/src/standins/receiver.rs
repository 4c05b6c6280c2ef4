//! A webhook receiver, as a customer of the hub would write it: it checks signatures by the Standard Webhooks
//! specification, and keeps account of order, gaps and repeats per lane.
//!
//! A lane is a purchase: its events are numbered from 1 without gaps (`seq`). The receiver reads the `paidup` format;
//! bodies of other formats are counted and checked for their signature only.

use crate::edge::Clock;
use crate::standins::Server;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use http::{HeaderMap, StatusCode};
use ring::hmac;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How it is started.
#[derive(Debug, Clone)]
pub struct ReceiverOptions {
    /// The `whsec_` secret of the destination.
    pub secret: String,
    /// How far `webhook-timestamp` may be from now.
    pub tolerance: Duration,
    /// Where time comes from.
    pub clock: Clock,
    /// 0 for a free one.
    pub port: u16,
}

impl ReceiverOptions {
    /// The specification's tolerance of five minutes, on a free port.
    #[must_use]
    pub fn new(secret: impl Into<String>) -> ReceiverOptions {
        ReceiverOptions { secret: secret.into(), tolerance: Duration::from_secs(300), clock: Clock::System, port: 0 }
    }
}

/// What goes wrong on demand, until it is set otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// This many of 100 calls are answered 500, before anything is noted. Spread evenly, not by chance.
    pub fail_percent: u8,
    /// This many of 100 calls are noted and then answered 500: they come again as repeats.
    pub forget_percent: u8,
    /// Every answer waits this long.
    pub delay: Duration,
    /// Every call is answered 410.
    pub gone: bool,
}

/// The account.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Calls with a right signature that were noted, repeats included.
    pub received: u64,
    /// Different events among them.
    pub distinct: u64,
    /// Events that had been noted before.
    pub repeats: u64,
    /// Events that came after a later one of their lane.
    pub out_of_order: u64,
    /// Numbers below the highest of their lane that never came.
    pub missing_seq: u64,
    /// Calls whose signature was wrong, missing or too old.
    pub bad_signature: u64,
    /// Bodies that could not be read as the `paidup` format.
    pub other: u64,
    /// Calls that were answered with a fault on demand.
    pub faults: u64,
    /// Lanes.
    pub lanes: u64,
}

/// What one event said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Word {
    /// Place among the purchase's events.
    pub seq: u64,
    /// `type`.
    pub kind: String,
    /// `purchase.product_id`.
    pub product_id: String,
    /// `purchase.period.starts_at`.
    pub starts_at: Option<String>,
    /// The money that moved with it: minor units and currency.
    pub money: Option<(i64, String)>,
    /// `edge`: why access moved.
    pub edge: Option<String>,
    /// It was concluded, not told.
    pub inferred: bool,
}

/// Events that are remembered of one purchase with what they said: more than any life has.
pub const MAX_WORDS: usize = 2_000;

/// What the receiver saw of one purchase.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// How often each event type came, repeats not counted.
    pub events: BTreeMap<String, u32>,
    /// The `purchase` object of the event with the highest `seq`.
    pub purchase: serde_json::Value,
    /// What that event said the customer may use.
    pub active: Vec<String>,
    /// What each event said, in the order of arrival; at most [`MAX_WORDS`].
    pub words: Vec<Word>,
    highest: u64,
    count: u64,
}

impl Seen {
    /// What was seen of the same purchase under another id.
    pub(crate) fn join(&mut self, other: Seen) {
        for (kind, count) in other.events {
            *self.events.entry(kind).or_default() += count;
        }
        self.words.extend(other.words);
        self.count += other.count;
        if other.highest > self.highest {
            self.highest = other.highest;
            self.purchase = other.purchase;
            self.active = other.active;
        }
    }
}

/// The running receiver.
#[derive(Debug)]
pub struct Receiver {
    shared: Shared,
    server: Server,
}

#[derive(Debug, Clone)]
struct Shared {
    key: Arc<hmac::Key>,
    tolerance_ms: i64,
    clock: Clock,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    faults: Faults,
    calls: u64,
    report: Report,
    ids: HashSet<String>,
    lanes: HashMap<String, Seen>,
    sent: HashMap<String, i64>,
    latency: Histogram<u64>,
}

/// The part of the `paidup` body that is read.
#[derive(Deserialize)]
struct Body {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    seq: u64,
    purchase: serde_json::Value,
    #[serde(default)]
    entitlements: Entitlements,
    transaction: Option<Transaction>,
    edge: Option<String>,
    #[serde(default)]
    inferred: bool,
}

#[derive(Deserialize)]
struct Transaction {
    kind: Option<String>,
    amount_minor: Option<i64>,
    currency: Option<String>,
}

impl Body {
    fn word(&self) -> Word {
        let moved = self.transaction.as_ref().filter(|one| one.kind.is_some());
        Word {
            seq: self.seq,
            kind: self.kind.clone(),
            product_id: self.purchase["product_id"].as_str().unwrap_or_default().to_owned(),
            starts_at: self.purchase["period"]["starts_at"].as_str().map(str::to_owned),
            money: moved.and_then(|one| Some((one.amount_minor?, one.currency.clone()?))),
            edge: self.edge.clone(),
            inferred: self.inferred,
        }
    }
}

#[derive(Default, Deserialize)]
struct Entitlements {
    #[serde(default)]
    active: Vec<String>,
}

/// The secret is no Standard Webhooks secret.
#[derive(Debug, thiserror::Error)]
pub enum ReceiverError {
    /// Not `whsec_` and base64.
    #[error("a webhook secret is `whsec_` and base64")]
    Secret,
    /// No port.
    #[error("the receiver could not listen")]
    Listen(#[from] std::io::Error),
}

/// Longest latency that is told apart, in microseconds.
const MAX_LATENCY_US: u64 = 3_600_000_000;
/// Far above any event.
const MAX_BODY: usize = 4 * 1024 * 1024;

impl Receiver {
    /// Starts it.
    pub async fn start(options: ReceiverOptions) -> Result<Receiver, ReceiverError> {
        let secret = options.secret.strip_prefix("whsec_").ok_or(ReceiverError::Secret)?;
        let secret = STANDARD.decode(secret).map_err(|_| ReceiverError::Secret)?;
        let latency = Histogram::new_with_max(MAX_LATENCY_US, 3).map_err(|_| ReceiverError::Secret)?;
        let inner = Inner {
            faults: Faults::default(),
            calls: 0,
            report: Report::default(),
            ids: HashSet::new(),
            lanes: HashMap::new(),
            sent: HashMap::new(),
            latency,
        };
        let shared = Shared {
            key: Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &secret)),
            tolerance_ms: i64::try_from(options.tolerance.as_millis()).unwrap_or(i64::MAX),
            clock: options.clock,
            inner: Arc::new(Mutex::new(inner)),
        };
        let router = Router::new().fallback(receive).layer(DefaultBodyLimit::max(MAX_BODY)).with_state(shared.clone());
        let server = Server::start(router, options.port).await?;
        Ok(Receiver { shared, server })
    }

    /// Where the destination delivers to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/hook", self.server.url())
    }

    /// Sets what goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.lock().faults = faults;
    }

    /// The account so far.
    #[must_use]
    pub fn report(&self) -> Report {
        self.shared.lock().report()
    }

    /// What came about the purchase with this store id.
    #[must_use]
    pub fn seen(&self, store_purchase_id: &str) -> Option<Seen> {
        self.shared.lock().lanes.get(store_purchase_id).cloned()
    }

    /// The store ids of all purchases that events came about.
    #[must_use]
    pub fn purchases(&self) -> Vec<String> {
        self.shared.lock().lanes.keys().cloned().collect()
    }

    /// Notes that a notification about this purchase is being sent, so that latencies run from here to the next event
    /// about it.
    pub fn note_sent(&self, store_purchase_id: &str) {
        let now = self.shared.clock.now_ms();
        self.shared.lock().sent.insert(store_purchase_id.to_owned(), now);
    }

    /// Milliseconds from sending to receiving, below which this share (0 to 100) lies; `None` before the first.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "latencies are far below 2^53 microseconds")]
    pub fn latency_ms(&self, percentile: f64) -> Option<f64> {
        let inner = self.shared.lock();
        (!inner.latency.is_empty()).then(|| inner.latency.value_at_percentile(percentile) as f64 / 1000.0)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `v1,BASE64` of HMAC-SHA256 over `id.timestamp.body`, one of several. The comparison is ring's, in constant time.
    fn is_signed(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let (Some(id), Some(timestamp), Some(signatures)) =
            (text("webhook-id"), text("webhook-timestamp"), text("webhook-signature"))
        else {
            return false;
        };
        let Ok(seconds) = timestamp.parse::<i64>() else { return false };
        let age = self.clock.now_ms().saturating_sub(seconds.saturating_mul(1000));
        if age.saturating_abs() > self.tolerance_ms {
            return false;
        }
        let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
        signatures
            .split(' ')
            .filter_map(|one| one.strip_prefix("v1,"))
            .any(|one| STANDARD.decode(one).is_ok_and(|tag| hmac::verify(&self.key, &signed, &tag).is_ok()))
    }
}

impl Inner {
    fn report(&self) -> Report {
        let missing = self.lanes.values().map(|lane| lane.highest.saturating_sub(lane.count)).sum();
        Report {
            distinct: self.ids.len() as u64,
            missing_seq: missing,
            lanes: self.lanes.len() as u64,
            ..self.report.clone()
        }
    }

    fn note(&mut self, body: &[u8], now: i64) {
        self.report.received += 1;
        let Ok(event) = serde_json::from_slice::<Body>(body) else {
            self.report.other += 1;
            return;
        };
        let word = event.word();
        if !self.ids.insert(event.id) {
            self.report.repeats += 1;
            return;
        }
        let lane = event.purchase["store_purchase_id"].as_str().unwrap_or_default().to_owned();
        if let Some(sent) = self.sent.remove(&lane) {
            let micros = u64::try_from(now - sent).unwrap_or(0).saturating_mul(1000);
            self.latency.saturating_record(micros.min(MAX_LATENCY_US));
        }
        let seen = self.lanes.entry(lane).or_default();
        *seen.events.entry(event.kind).or_default() += 1;
        if seen.words.len() < MAX_WORDS {
            seen.words.push(word);
        }
        seen.count += 1;
        if event.seq > seen.highest {
            seen.highest = event.seq;
            seen.purchase = event.purchase;
            seen.active = event.entitlements.active;
        } else {
            self.report.out_of_order += 1;
        }
    }

    /// Whether this call is among `percent` of 100, evenly spread.
    fn falls_on(&self, percent: u8) -> bool {
        let percent = u64::from(percent.min(100));
        (self.calls * percent) / 100 != ((self.calls - 1) * percent) / 100
    }
}

async fn receive(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let signed = shared.is_signed(&headers, &body);
    let now = shared.clock.now_ms();
    let (status, delay) = {
        let mut inner = shared.lock();
        inner.calls += 1;
        let faults = inner.faults;
        let status = if faults.gone {
            inner.report.faults += 1;
            StatusCode::GONE
        } else if inner.falls_on(faults.fail_percent) {
            inner.report.faults += 1;
            StatusCode::INTERNAL_SERVER_ERROR
        } else if !signed {
            inner.report.bad_signature += 1;
            StatusCode::UNAUTHORIZED
        } else {
            inner.note(&body, now);
            let forgets = inner.falls_on(faults.forget_percent);
            inner.report.faults += u64::from(forgets);
            if forgets { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::NO_CONTENT }
        };
        (status, faults.delay)
    };
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    status.into_response()
}

#[cfg(test)]
mod tests;
