//! A whole simulation: stores, their customers, their traffic, and the truth about them.

use crate::calendar::{Calendar, HOUR, MONTH};
use crate::compare::{self, Comparison};
use crate::edge::{self, Clock};
use crate::hub::{HubApi, HubError};
use crate::lives::Said;
use crate::population::{Population, PopulationOptions, Shop};
use crate::setup::{self, NewDestination, Seller, Setup};
use crate::standins::receiver::Receiver;
use crate::stores::StoreKind;
use crate::stores::app_store::wire::App;
use crate::stores::app_store::{AppStore, SignError};
use crate::stores::stripe::Stripe;
use crate::stores::stripe::account::Feed;
use crate::stores::stripe::shape::Shape;
use crate::traffic::{self, Counters, Desk, Disorder, Line, Pace, Snapshot, TrafficOptions};
use crate::truth::Truth;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What to simulate.
#[derive(Debug, Clone, PartialEq)]
pub struct SimulationOptions {
    /// How many customers.
    pub customers: u32,
    /// Decides everything that happens.
    pub seed: u64,
    /// Lived seconds in one second; the default lets a month pass in 6 seconds.
    pub speed: f64,
    /// How many lived months are told.
    pub months: u32,
    /// How fast notifications are sent.
    pub pace: Pace,
    /// How many connections to the hub.
    pub connections: usize,
    /// What goes wrong on the way.
    pub disorder: Disorder,
    /// How long one notification is tried again.
    pub patience: Duration,
    /// `Production` or `Sandbox`.
    pub environment: &'static str,
    /// The stores that are played; customers take turns.
    pub stores: Vec<StoreKind>,
    /// The hub gets a key for Stripe's API, which `standins::stripe` plays.
    pub stripe_is_asked: bool,
    /// The app that sells.
    pub bundle_id: String,
}

impl Default for SimulationOptions {
    fn default() -> Self {
        SimulationOptions {
            customers: 200,
            seed: 1,
            speed: 432_000.0,
            months: 12,
            pace: Pace::Life,
            connections: 16,
            disorder: Disorder::default(),
            patience: Duration::from_secs(120),
            environment: "Production",
            stores: vec![StoreKind::AppStore],
            stripe_is_asked: false,
            bundle_id: "com.example.paidup".to_owned(),
        }
    }
}

/// Lives are at most this long.
const MAX_MONTHS: u32 = 60;
/// A traffic that is not paced by life is dated so that it ends now and began at most this long ago: well inside the day
/// for which a hub believes in a period that it cannot ask the store about.
const LONGEST_PAST: f64 = 12.0 * 3600.0;

/// Why there is no simulation.
#[derive(Debug, thiserror::Error)]
pub enum SimulationError {
    /// No certificates.
    #[error("the simulated store could not be opened")]
    Store(#[from] SignError),
    /// No HTTP client.
    #[error("no HTTP client could be made")]
    Client(#[from] reqwest::Error),
}

/// Where to send.
#[derive(Clone)]
pub struct Target {
    /// Of each store `.../ingest/{source_id}` of a source that trusts it.
    pub ingest_urls: BTreeMap<StoreKind, String>,
    /// A receiver of the hub's events, to measure latencies with.
    pub receiver: Option<Arc<Receiver>>,
}

impl Target {
    /// The sources that were made.
    #[must_use]
    pub fn of(setup: &Setup, receiver: Option<Arc<Receiver>>) -> Target {
        let ingest_urls = setup.sources.iter().map(|made| (made.store, made.ingest_url.clone())).collect();
        Target { ingest_urls, receiver }
    }

    fn url(&self, store: StoreKind) -> Arc<str> {
        Arc::from(self.ingest_urls.get(&store).map(String::as_str).unwrap_or_default())
    }
}

/// How a run went.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The counters.
    #[serde(flatten)]
    pub counters: Snapshot,
    /// How long it took.
    pub seconds: f64,
    /// Accepted notifications a second.
    pub rate: f64,
    /// Purchases told about.
    pub purchases: u64,
    /// Customers with an id of the app.
    pub customers: u64,
}

/// A simulation. Its parts are shared, so the counters and the truth can be read while it runs.
pub struct Simulation {
    options: SimulationOptions,
    store: Arc<AppStore>,
    stripe: Arc<Stripe>,
    counters: Arc<Counters>,
    truth: Arc<Mutex<Truth>>,
    client: reqwest::Client,
}

impl Simulation {
    /// Opens a store with a fresh root.
    pub fn new(options: SimulationOptions) -> Result<Simulation, SimulationError> {
        let app = App {
            bundle_id: Arc::from(options.bundle_id.as_str()),
            app_apple_id: 1_470_000_001,
            environment: options.environment,
        };
        let is_live = options.environment == "Production";
        let stripe = Stripe::new(options.seed, Shape::of_seed(options.seed), is_live, options.stripe_is_asked);
        Ok(Simulation {
            options,
            store: Arc::new(AppStore::new(app)?),
            stripe: Arc::new(stripe),
            counters: Arc::new(Counters::default()),
            truth: Arc::new(Mutex::new(Truth::default())),
            client: edge::client()?,
        })
    }

    /// Stripe, for its secrets and for its API.
    #[must_use]
    pub fn stripe(&self) -> Arc<Stripe> {
        Arc::clone(&self.stripe)
    }

    /// The App Store, for its root certificate and for forgeries.
    #[must_use]
    pub fn store(&self) -> &AppStore {
        &self.store
    }

    /// Makes the sources, the catalogue and these destinations in a hub, through its API.
    pub async fn setup(
        &self,
        hub_url: &str,
        admin_key: &str,
        destinations: &[NewDestination],
    ) -> Result<Setup, HubError> {
        let seller = |kind: &StoreKind| match kind {
            StoreKind::AppStore => Seller::AppStore(&self.store),
            StoreKind::Stripe => Seller::Stripe(&self.stripe, self.options.stripe_is_asked),
        };
        let sellers: Vec<_> = self.options.stores.iter().map(seller).collect();
        setup::setup(&self.hub(hub_url, admin_key), &sellers, destinations).await
    }

    /// Sends everything that the population tells, until it is told or `stop` is cancelled.
    pub async fn run(&self, target: &Target, stop: &CancellationToken) -> Summary {
        let line = Line {
            client: self.client.clone(),
            app_store: Desk { store: Arc::clone(&self.store), ingest_url: target.url(StoreKind::AppStore) },
            stripe: Desk { store: Arc::clone(&self.stripe), ingest_url: target.url(StoreKind::Stripe) },
            counters: Arc::clone(&self.counters),
            truth: Arc::clone(&self.truth),
            receiver: target.receiver.clone(),
            options: TrafficOptions {
                pace: self.options.pace,
                connections: self.options.connections,
                disorder: self.options.disorder,
                patience: self.options.patience,
                seed: self.options.seed,
            },
        };
        let calendar = self.calendar(Clock::System.now_ms());
        let population = self.population(calendar);
        if self.options.stores.contains(&StoreKind::Stripe) {
            self.stripe.account().follow(self.feed(calendar));
        }
        let began = Instant::now();
        traffic::send_all(&line, population, calendar.speed(), stop).await;
        if stop.is_cancelled() {
            // What was not told does not happen.
            self.stripe.account().freeze();
        }
        self.summary(began.elapsed())
    }

    /// The same lives once more, for Stripe's API.
    fn feed(&self, calendar: Calendar) -> Feed {
        let events = self.population(calendar).filter_map(move |told| match told.said {
            Said::AppStore(_) => None,
            Said::Stripe(event) => Some((calendar.stamp(told.at), *event)),
        });
        Box::new(events)
    }

    /// The population of a run that begins at `now_ms`.
    #[must_use]
    pub fn population(&self, calendar: Calendar) -> Population {
        let options = PopulationOptions {
            customers: self.options.customers,
            seed: self.options.seed,
            horizon: self.horizon(),
            ..PopulationOptions::default()
        };
        let shop = |kind: &StoreKind| match kind {
            StoreKind::AppStore => Shop::AppStore(self.store.app().clone()),
            StoreKind::Stripe => Shop::Stripe(self.stripe.pen().shape),
        };
        Population::new(options, calendar, self.options.stores.iter().map(shop).collect())
    }

    /// The dates of a run that begins at `now_ms`.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a horizon of years is far below 2^53 milliseconds")]
    pub fn calendar(&self, now_ms: i64) -> Calendar {
        match self.options.pace {
            Pace::Life => Calendar::new(now_ms, self.options.speed),
            Pace::Rate(_) | Pace::Unbounded => {
                let slowest = self.horizon() as f64 / 1000.0 / LONGEST_PAST;
                let span = Calendar::new(0, self.options.speed.max(slowest));
                Calendar::new(now_ms - span.span(self.horizon() + HOUR), span.speed())
            }
        }
    }

    /// The counters now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.counters.snapshot()
    }

    /// A copy of what is true of everything that the hub has accepted so far.
    #[must_use]
    pub fn truth(&self) -> Truth {
        self.truth.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the hub for every customer and compares with the truth; with a receiver that got all events since the
    /// beginning, these as well. To be called when nothing is waiting any more.
    pub async fn compare(&self, hub_url: &str, key: &str, receiver: Option<&Receiver>) -> Result<Comparison, HubError> {
        let truth = self.truth();
        let mut result = compare::with_hub(&self.hub(hub_url, key), &truth).await?;
        if let Some(receiver) = receiver {
            result.join(compare::with_receiver(receiver, &truth, &self.told_in_order()));
        }
        Ok(result)
    }

    /// Stores of which a hub hears everything in order and before it asks: an answer of Stripe's API is ahead of the events
    /// that are still on their way, and what they would have caused is then not told.
    fn told_in_order(&self) -> Vec<StoreKind> {
        let keeps = |kind: &StoreKind| match kind {
            StoreKind::AppStore => true,
            StoreKind::Stripe => !self.options.stripe_is_asked,
        };
        let stores = self.options.stores.iter().copied().filter(keeps);
        if self.options.disorder.keeps_order() { stores.collect() } else { Vec::new() }
    }

    fn hub(&self, url: &str, key: &str) -> HubApi {
        HubApi::new(self.client.clone(), url, key)
    }

    fn horizon(&self) -> i64 {
        i64::from(self.options.months.clamp(1, MAX_MONTHS)) * MONTH
    }

    #[allow(clippy::cast_precision_loss, reason = "counts of a simulation")]
    fn summary(&self, took: Duration) -> Summary {
        let truth = self.truth.lock().unwrap_or_else(PoisonError::into_inner);
        let counters = self.counters.snapshot();
        Summary {
            seconds: took.as_secs_f64(),
            rate: counters.accepted as f64 / took.as_secs_f64().max(0.001),
            purchases: truth.purchases().len() as u64,
            customers: truth.customers().len() as u64,
            counters,
        }
    }
}

#[cfg(test)]
mod tests;
