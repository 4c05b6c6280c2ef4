//! What `/metrics` says about deliveries. Labels are destinations, which operators set up: bounded.

use super::breaker::Breaker;
use super::settle::Book;
use paidup_lifecycle::ids::DestinationId;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::time::Duration;

/// Which destination.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByDestination {
    destination: String,
}

/// Figures of all destinations.
#[derive(Clone)]
pub struct Figures {
    delivered: Family<ByDestination, Counter>,
    failed: Family<ByDestination, Counter>,
    retried: Family<ByDestination, Counter>,
    passed: Family<ByDestination, Counter>,
    may_repeat: Family<ByDestination, Counter>,
    in_flight: Family<ByDestination, Gauge>,
    waiting: Family<ByDestination, Gauge>,
    parked: Family<ByDestination, Gauge>,
    breaker_open: Family<ByDestination, Gauge>,
    served: Family<ByDestination, Gauge>,
    behind: Family<ByDestination, Gauge>,
    attempt_seconds: Attempts,
}

/// 1 ms to 33 s: from the loopback to the longest time limit.
fn attempt_buckets() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 16))
}

type Attempts = Family<ByDestination, Histogram, fn() -> Histogram>;

impl Default for Figures {
    fn default() -> Figures {
        Figures {
            delivered: Family::default(),
            failed: Family::default(),
            retried: Family::default(),
            passed: Family::default(),
            may_repeat: Family::default(),
            in_flight: Family::default(),
            waiting: Family::default(),
            parked: Family::default(),
            breaker_open: Family::default(),
            served: Family::default(),
            behind: Family::default(),
            attempt_seconds: Family::new_with_constructor(attempt_buckets),
        }
    }
}

impl Figures {
    /// Registered in `registry`.
    pub fn register(registry: &mut Registry) -> Figures {
        let figures = Figures::default();
        registry.register("deliveries", "Events that arrived", figures.delivered.clone());
        registry.register("deliveries_failed", "Events that were given up", figures.failed.clone());
        registry.register("deliveries_retried", "Attempts that failed and are repeated", figures.retried.clone());
        registry.register("deliveries_passed", "Events that their lanes went on without", figures.passed.clone());
        let help =
            "Deliveries that may have arrived twice, at most: tried again after no answer, or after the hub broke off";
        registry.register("deliveries_may_repeat", help, figures.may_repeat.clone());
        registry.register("deliveries_in_flight", "Attempts under way", figures.in_flight.clone());
        registry.register("deliveries_waiting", "Events that are not settled yet", figures.waiting.clone());
        registry.register(
            "deliveries_parked",
            "Events in trouble, or behind one in their lane",
            figures.parked.clone(),
        );
        registry.register("destination_breaker_open", "1: only probes are sent", figures.breaker_open.clone());
        registry.register("destination_served", "1: served; 0: paused or switched off", figures.served.clone());
        let help = "Events of the log that are neither settled nor parked, wanted or not";
        registry.register("destination_behind", help, figures.behind.clone());
        registry.register_with_unit(
            "delivery_attempt_duration",
            "Time that an attempt took",
            Unit::Seconds,
            figures.attempt_seconds.clone(),
        );
        figures
    }

    /// Figures of one destination.
    #[must_use]
    pub fn of(&self, id: DestinationId) -> Gauges {
        let label = ByDestination { destination: id.to_string() };
        Gauges {
            delivered: self.delivered.get_or_create_owned(&label),
            failed: self.failed.get_or_create_owned(&label),
            retried: self.retried.get_or_create_owned(&label),
            passed: self.passed.get_or_create_owned(&label),
            may_repeat: self.may_repeat.get_or_create_owned(&label),
            in_flight: self.in_flight.get_or_create_owned(&label),
            waiting: self.waiting.get_or_create_owned(&label),
            parked: self.parked.get_or_create_owned(&label),
            breaker_open: self.breaker_open.get_or_create_owned(&label),
            served: self.served.get_or_create_owned(&label),
            attempt_seconds: self.attempt_seconds.get_or_create_owned(&label),
        }
    }

    /// How far a destination is behind the log, served or not.
    pub fn behind(&self, id: DestinationId, events: u64) {
        let label = ByDestination { destination: id.to_string() };
        self.behind.get_or_create(&label).set(i64::try_from(events).unwrap_or(i64::MAX));
    }

    /// A destination is no more.
    pub fn forget(&self, id: DestinationId) {
        let label = ByDestination { destination: id.to_string() };
        for counters in [&self.delivered, &self.failed, &self.retried, &self.passed, &self.may_repeat] {
            counters.remove(&label);
        }
        for gauges in [&self.in_flight, &self.waiting, &self.parked, &self.breaker_open, &self.served, &self.behind] {
            gauges.remove(&label);
        }
        self.attempt_seconds.remove(&label);
    }
}

/// Figures of one destination.
#[derive(Clone)]
pub struct Gauges {
    pub(super) delivered: Counter,
    pub(super) failed: Counter,
    pub(super) retried: Counter,
    pub(super) passed: Counter,
    pub(super) may_repeat: Counter,
    pub(super) served: Gauge,
    in_flight: Gauge,
    waiting: Gauge,
    parked: Gauge,
    breaker_open: Gauge,
    attempt_seconds: Histogram,
}

impl Gauges {
    pub(super) fn took(&self, span: Duration) {
        self.attempt_seconds.observe(span.as_secs_f64());
    }

    /// Events in trouble, as of the loop's last look.
    pub(crate) fn parked(&self) -> usize {
        usize::try_from(self.parked.get()).unwrap_or(0)
    }

    /// How things stand. `unread`: events of the log that were not read yet.
    pub(super) fn stand(&self, book: &Book, breaker: &Breaker, flights: usize, unread: u64) {
        let whole = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        self.in_flight.set(whole(flights));
        self.parked.set(whole(book.parked()));
        self.waiting.set(whole(book.pending()).saturating_add(i64::try_from(unread).unwrap_or(i64::MAX)));
        self.breaker_open.set(i64::from(breaker.is_open()));
    }
}
