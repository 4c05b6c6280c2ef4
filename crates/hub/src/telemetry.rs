//! Figures for `/metrics` (Prometheus' text format). Other parts of the hub add theirs with [`Metrics::register`].
//!
//! Labels come from closed sets and from what the operator set up, never from what a sender wrote, so the number of
//! series is bounded.

use paidup_lifecycle::event::EventType;
use paidup_sources::RejectionKind;
use parking_lot::Mutex;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::time::Duration;

/// By kind of source.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct BySource {
    /// `app_store`, ...
    pub source: &'static str,
}

/// By kind of source and reason of the refusal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByReason {
    /// `app_store`, ...
    pub source: &'static str,
    /// HTTP status.
    pub status: u16,
    /// `Rejection::reason`.
    pub reason: &'static str,
}

/// By canonical name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByType {
    /// `ACTIVATE`, ...
    pub r#type: &'static str,
}

/// By kind of source and what a call to its store came to, or why none is made.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByCall {
    /// `stripe`, ...
    pub source: &'static str,
    /// Of calls: `answered`, `busy`, `failed`, `refused`; of waits: `quota`, `held`.
    pub outcome: &'static str,
}

/// What waits for a source's store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByWaiting {
    /// The source's id.
    pub source: String,
    /// `questions`, `lookups`, `given_up`.
    pub what: &'static str,
}

/// All figures.
pub struct Metrics {
    registry: Mutex<Registry>,
    accepted: Family<BySource, Counter>,
    repeats: Family<BySource, Counter>,
    rejected: Family<ByReason, Counter>,
    unknown: Family<BySource, Counter>,
    events: Family<ByType, Counter>,
    commit_seconds: Histogram,
    unmapped: Gauge,
    queued: Gauge,
    log_head: Gauge,
    database_bytes: Gauge,
    ticks: Counter,
    questions: Family<ByOutcome, Counter>,
    store_calls: Family<ByCall, Counter>,
    store_waits: Family<ByCall, Counter>,
    store_waiting: Family<ByWaiting, Gauge>,
}

/// What became of a question to a store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByOutcome {
    /// `answered`, `postponed`, `unanswered`.
    pub outcome: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("paidup");
        let metrics = Metrics {
            accepted: Family::default(),
            repeats: Family::default(),
            rejected: Family::default(),
            unknown: Family::default(),
            events: Family::default(),
            // 0.1 ms to 6.5 s: from a fast disk's group commit to a writer in trouble.
            commit_seconds: Histogram::new(exponential_buckets(0.0001, 2.0, 17)),
            unmapped: Gauge::default(),
            queued: Gauge::default(),
            log_head: Gauge::default(),
            database_bytes: Gauge::default(),
            ticks: Counter::default(),
            questions: Family::default(),
            store_calls: Family::default(),
            store_waits: Family::default(),
            store_waiting: Family::default(),
            registry: Mutex::new(Registry::default()),
        };
        registry.register("notifications_accepted", "Notifications that are durable", metrics.accepted.clone());
        registry.register("notifications_repeated", "Notifications known already", metrics.repeats.clone());
        registry.register("notifications_rejected", "Requests that were refused", metrics.rejected.clone());
        registry.register("notifications_unknown", "Notifications of a type unknown here", metrics.unknown.clone());
        registry.register("events", "Events written to the log", metrics.events.clone());
        registry.register_with_unit(
            "commit_duration",
            "Time until a notification is durable",
            Unit::Seconds,
            metrics.commit_seconds.clone(),
        );
        registry.register("products_unmapped", "Products that unlock nothing", metrics.unmapped.clone());
        registry.register("commits_queued", "Commands that wait for the writer", metrics.queued.clone());
        registry.register("log_events", "Events ever written, all partitions", metrics.log_head.clone());
        registry.register_with_unit("database", "Size on disk", Unit::Bytes, metrics.database_bytes.clone());
        registry.register("deadlines", "Deadlines that the clock settled", metrics.ticks.clone());
        registry.register("questions", "Questions to stores", metrics.questions.clone());
        registry.register("store_waiting", "What waits for a source's store", metrics.store_waiting.clone());
        registry.register("store_calls", "Calls to stores", metrics.store_calls.clone());
        registry.register(
            "store_waits",
            "Times that a store's quota or state held calls up",
            metrics.store_waits.clone(),
        );
        Metrics { registry: Mutex::new(registry), ..metrics }
    }
}

impl Metrics {
    /// Lets another part add its figures; names get the prefix `paidup_`.
    pub fn register(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.registry.lock());
    }

    /// The text that `/metrics` answers with.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail; a metric that cannot be encoded would be a mistake of ours.
        if text::encode(&mut out, &self.registry.lock()).is_err() {
            tracing::error!("metrics could not be encoded");
        }
        out
    }

    pub(crate) fn accepted(&self, source: &'static str, count: u64) {
        self.accepted.get_or_create(&BySource { source }).inc_by(count);
    }

    pub(crate) fn repeated(&self, source: &'static str, count: u64) {
        self.repeats.get_or_create(&BySource { source }).inc_by(count);
    }

    pub(crate) fn rejected(&self, source: &'static str, kind: RejectionKind, reason: &'static str) {
        self.rejected.get_or_create(&ByReason { source, status: kind.status(), reason }).inc();
    }

    pub(crate) fn unknown(&self, source: &'static str, count: u64) {
        self.unknown.get_or_create(&BySource { source }).inc_by(count);
    }

    pub(crate) fn event(&self, event_type: EventType) {
        self.events.get_or_create(&ByType { r#type: event_type.as_str() }).inc();
    }

    pub(crate) fn commit_took(&self, span: Duration) {
        self.commit_seconds.observe(span.as_secs_f64());
    }

    pub(crate) fn tick(&self, count: u64) {
        self.ticks.inc_by(count);
    }

    pub(crate) fn question(&self, outcome: &'static str) {
        self.questions.get_or_create(&ByOutcome { outcome }).inc();
    }

    pub(crate) fn store_call(&self, source: &'static str, outcome: &'static str) {
        self.store_calls.get_or_create(&ByCall { source, outcome }).inc();
    }

    pub(crate) fn store_wait(&self, source: &'static str, outcome: &'static str) {
        self.store_waits.get_or_create(&ByCall { source, outcome }).inc();
    }

    pub(crate) fn store_waiting(&self, source: &str, waiting: &paidup_store::records::Waiting) {
        let counts = [("questions", waiting.questions), ("lookups", waiting.lookups), ("given_up", waiting.given_up)];
        for (what, count) in counts {
            let labels = ByWaiting { source: source.to_owned(), what };
            self.store_waiting.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    pub(crate) fn forget_store_waiting(&self, source: &str) {
        for what in ["questions", "lookups", "given_up"] {
            self.store_waiting.remove(&ByWaiting { source: source.to_owned(), what });
        }
    }

    pub(crate) fn observe_store(&self, health: &paidup_store::records::Health, unmapped: usize) {
        let whole = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.queued.set(whole(health.queued));
        self.log_head.set(whole(health.heads.iter().map(|(_, head)| *head).sum()));
        self.database_bytes.set(whole(health.bytes));
        self.unmapped.set(whole(unmapped as u64));
    }
}
