//! A whole simulation: stores, their customers, their traffic, and the truth about them.

mod walk;

pub use walk::{Walk, Way};

use crate::calendar::{Calendar, HOUR, MONTH};
use crate::compare::{self, Comparison};
use crate::edge::{self, Clock};
use crate::hub::{HubApi, HubError};
use crate::population::{Population, PopulationOptions};
use crate::reconcile::{Reconciled, reconcile};
use crate::setup::{self, NewDestination, Setup};
use crate::standins::receiver::Receiver;
use crate::stores::amazon::Amazon;
use crate::stores::amazon::sns::SnsError;
use crate::stores::app_store::wire::App;
use crate::stores::app_store::{AppStore, SignError};
use crate::stores::discord::Discord;
use crate::stores::play::Play;
use crate::stores::stripe::Stripe;
use crate::stores::stripe::shape::Shape;
use crate::stores::{Feed, Played, StoreKind, amazon, discord, play};
use crate::traffic::{self, Counters, Desk, Disorder, Disorders, Line, Pace, Single, Snapshot, TrafficOptions};
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
    /// What goes wrong on the way from these stores instead.
    pub disorder_of: BTreeMap<StoreKind, Disorder>,
    /// How far the stores' clocks are ahead of the hub's, in milliseconds; negative: behind. Every date that they write
    /// is wrong by as much.
    pub skew_ms: i64,
    /// How long one notification is tried again.
    pub patience: Duration,
    /// `Production` or `Sandbox`.
    pub environment: &'static str,
    /// The stores that are played; customers take turns.
    pub stores: Vec<StoreKind>,
    /// The hub gets a key for Stripe's API, which `standins::stripe` plays.
    pub stripe_is_asked: bool,
    /// The hub gets a key for the App Store Server API, which `standins::app_store` plays.
    pub app_store_is_asked: bool,
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
            disorder_of: BTreeMap::new(),
            skew_ms: 0,
            patience: Duration::from_secs(120),
            environment: "Production",
            stores: vec![StoreKind::AppStore],
            stripe_is_asked: false,
            app_store_is_asked: false,
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
    /// No certificate for SNS.
    #[error("the simulated Amazon Appstore could not be opened")]
    Amazon(#[from] SnsError),
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

    fn desk(&self, store: Arc<dyn Played>) -> (StoreKind, Desk) {
        let ingest_url = Arc::from(self.ingest_urls.get(&store.kind()).map(String::as_str).unwrap_or_default());
        (store.kind(), Desk { store, ingest_url })
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
    play: Arc<Play>,
    amazon: Arc<Amazon>,
    discord: Arc<Discord>,
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
        let package_name: Arc<str> = Arc::from(options.bundle_id.as_str());
        let play = play::wire::App { package_name: Arc::clone(&package_name), is_tested: !is_live };
        let amazon = amazon::wire::App { package_name, is_beta: !is_live };
        Ok(Simulation {
            store: Arc::new(AppStore::new(app)?.asked(options.app_store_is_asked)),
            stripe: Arc::new(stripe),
            play: Arc::new(Play::new(play, true)),
            amazon: Arc::new(Amazon::new(options.seed, amazon, true)?),
            discord: Arc::new(Discord::new(options.seed, discord::wire::App::of_seed(options.seed))),
            counters: Arc::new(Counters::default()),
            truth: Arc::new(Mutex::new(Truth::default())),
            client: edge::client()?,
            options,
        })
    }

    /// Stripe, for its secrets and for its API.
    #[must_use]
    pub fn stripe(&self) -> Arc<Stripe> {
        Arc::clone(&self.stripe)
    }

    /// Google Play, for its keys and for its API.
    #[must_use]
    pub fn play(&self) -> Arc<Play> {
        Arc::clone(&self.play)
    }

    /// Amazon, for its certificate and for receipt verification.
    #[must_use]
    pub fn amazon(&self) -> Arc<Amazon> {
        Arc::clone(&self.amazon)
    }

    /// Discord, for its key and for its API.
    #[must_use]
    pub fn discord(&self) -> Arc<Discord> {
        Arc::clone(&self.discord)
    }

    /// The App Store, for its root certificate and for forgeries.
    #[must_use]
    pub fn store(&self) -> &AppStore {
        &self.store
    }

    /// The App Store, for its API.
    #[must_use]
    pub fn app_store(&self) -> Arc<AppStore> {
        Arc::clone(&self.store)
    }

    /// Makes the sources, the catalogue and these destinations in a hub, through its API.
    pub async fn setup(
        &self,
        hub_url: &str,
        admin_key: &str,
        destinations: &[NewDestination],
    ) -> Result<Setup, HubError> {
        setup::setup(&self.hub(hub_url, admin_key), &self.played(), destinations).await
    }

    /// Sends everything that the population tells, until it is told or `stop` is cancelled.
    pub async fn run(&self, target: &Target, stop: &CancellationToken) -> Summary {
        let line = self.line(target, Clock::System);
        if let Err(reason) = traffic::open(&line).await {
            // What is told will be refused for the same reason.
            self.counters.note_refusal(reason);
        }
        let calendar = self.calendar(Clock::System.now_ms() + self.options.skew_ms);
        let population = self.population(calendar);
        let stores = self.played();
        for store in &stores {
            store.follow(self.feed(calendar));
        }
        let began = Instant::now();
        traffic::send_all(&line, population, calendar.speed(), stop).await;
        if stop.is_cancelled() {
            // What was not told does not happen.
            stores.iter().for_each(|store| store.freeze());
        }
        self.summary(began.elapsed())
    }

    fn line(&self, target: &Target, clock: Clock) -> Line {
        Line {
            client: self.client.clone(),
            desks: Arc::new(self.played().into_iter().map(|store| target.desk(store)).collect()),
            counters: Arc::clone(&self.counters),
            truth: Arc::clone(&self.truth),
            receiver: target.receiver.clone(),
            options: TrafficOptions {
                pace: self.options.pace,
                connections: self.options.connections,
                disorder: self.disorders(),
                skew_ms: self.options.skew_ms,
                patience: self.options.patience,
                seed: self.options.seed,
            },
            clock,
        }
    }

    /// The same run one notification at a time, for a hub and stand-ins on a clock that stands in between, from `clock`'s
    /// present moment on: what is answered, and in which order things happen, is the same every time. In order, and with lived
    /// time stamped as it is (a `speed` of 1), every question is answered with what was true at the moment of the
    /// notification, so events can be compared exactly. What the options say goes wrong goes wrong here too, but for lost
    /// answers and delays.
    pub async fn walk(&self, target: &Target, clock: Clock, speed: f64) -> Result<Walk, String> {
        let calendar = Calendar::new(clock.now_ms(), speed);
        let line = self.line(target, clock.clone());
        traffic::open(&line).await?;
        for store in self.played() {
            store.follow(self.feed(calendar));
        }
        let steps = walk::steps(self.population(calendar), calendar, &self.disorders(), self.options.seed);
        Ok(Walk::new(steps, clock, Single::new(line)))
    }

    /// The stores that are played, in the order in which customers take turns.
    fn played(&self) -> Vec<Arc<dyn Played>> {
        let store = |kind: &StoreKind| -> Arc<dyn Played> {
            match kind {
                StoreKind::AppStore => self.store.clone(),
                StoreKind::Stripe => self.stripe.clone(),
                StoreKind::Play => self.play.clone(),
                StoreKind::Amazon => self.amazon.clone(),
                StoreKind::Discord => self.discord.clone(),
            }
        };
        self.options.stores.iter().map(store).collect()
    }

    /// The same lives once more, for the stores' APIs.
    fn feed(&self, calendar: Calendar) -> Feed {
        // A store's own clock is as wrong when it writes a date as when it is asked.
        let skew_ms = self.options.skew_ms;
        Box::new(self.population(calendar).map(move |told| (calendar.stamp(told.at) - skew_ms, told)))
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
        Population::new(options, calendar, self.played().iter().map(|store| store.shop()).collect())
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

    /// Lets the hub compare these sources with their stores, for everything since `since_ms`, and waits for the end.
    pub async fn reconcile(
        &self,
        hub_url: &str,
        key: &str,
        setup: &Setup,
        since_ms: i64,
    ) -> Result<Vec<Reconciled>, HubError> {
        reconcile(&self.hub(hub_url, key), &setup.sources, since_ms, self.options.patience).await
    }

    /// Asks the hub for every customer and compares with the truth; with a receiver that got all events since the
    /// beginning, these as well. To be called when nothing is waiting any more.
    pub async fn compare(&self, hub_url: &str, key: &str, receiver: Option<&Receiver>) -> Result<Comparison, HubError> {
        let truth = self.truth().knowable();
        let mut result = compare::with_hub(&self.hub(hub_url, key), &truth).await?;
        if let Some(receiver) = receiver {
            result.join(compare::with_receiver(receiver, &truth, &self.told_in_order()));
        }
        Ok(result)
    }

    /// Whether things happen that no store tells of, so that a hub has to ask at the end.
    #[must_use]
    pub fn has_silence(&self) -> bool {
        self.options.stores.iter().any(|store| !store.tells_everything())
    }

    /// Stores of which a hub hears everything in order and before it asks: an answer of Stripe's API is ahead of the events
    /// that are still on their way, and what they would have caused is then not told.
    fn told_in_order(&self) -> Vec<StoreKind> {
        let keeps = |kind: &StoreKind| match kind {
            StoreKind::AppStore => !self.options.app_store_is_asked,
            StoreKind::Stripe => !self.options.stripe_is_asked,
            StoreKind::Play | StoreKind::Amazon | StoreKind::Discord => false,
        };
        let disorders = self.disorders();
        let in_order = |kind: &StoreKind| keeps(kind) && disorders.of(*kind).keeps_order();
        self.options.stores.iter().copied().filter(in_order).collect()
    }

    fn disorders(&self) -> Disorders {
        Disorders { all: self.options.disorder, by_store: self.options.disorder_of.clone() }
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
