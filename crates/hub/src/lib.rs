//! The running machine: what turns the pure crates into a hub. Time, chance, tasks and the network are here.
//!
//! [`Hub`] is the facade: `web` calls it for everything that changes something and reads from [`Hub::store`] itself.
//! Start reading at `intake` (a notification arrives), then `commit` (the one door), then `scheduler` (the clock's side).

pub mod alerts;
pub mod ask;
pub mod backfill;
mod backlog;
pub mod catalogue;
pub mod claims;
pub mod clock;
pub mod commit;
pub mod config;
pub mod connect;
pub mod deliveries;
pub mod destinations;
pub mod discord_users;
pub mod dispatch;
pub mod error;
pub mod explain;
pub mod grants;
pub mod intake;
pub mod keys;
pub mod line;
pub mod links;
pub mod outbound;
pub mod parked;
mod proof_keys;
mod pruning;
pub mod rebuild;
pub mod recent;
mod reconcile;
pub mod replay;
mod scheduler;
pub mod secrets;
pub mod sources;
pub mod telemetry;
#[cfg(test)]
mod tests;
pub mod tryout;

pub use error::HubError;

use alerts::Alerts;
use ask::Desks;
use backfill::Walks;
use clock::{Chance, Clock};
use config::Config;
use connect::Begun;
use destinations::Destinations;
use discord_users::DiscordUsers;
use dispatch::Port;
use keys::Gate;
use outbound::guard::Guard;
use outbound::{Client, Outbound};
use paidup_sources::Definition;
use paidup_store::{Store, StoreError};
use proof_keys::ProofKeys;
use reconcile::Comparing;
use replay::Replays;
use scheduler::Agenda;
use secrets::{SecretError, Secrets};
use sources::Registry;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use telemetry::Metrics;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Why the hub does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Keys.
    #[error(transparent)]
    Secrets(#[from] SecretError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The HTTP client.
    #[error("no HTTP client could be made: {0}")]
    Client(#[from] outbound::SetupError),
    /// Sources or destinations of the database.
    #[error(transparent)]
    Hub(#[from] HubError),
}

/// Why notifications cannot be taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotReady(String);

/// What a hub is made of.
struct Parts {
    config: Config,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
    outbound: Arc<dyn Outbound>,
}

/// A hub. Cloning it gives another handle to the same one.
#[derive(Clone)]
pub struct Hub(Arc<Inner>, Option<Arc<str>>);

struct Inner {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
    config: Arc<Config>,
    secrets: Secrets,
    metrics: Arc<Metrics>,
    recent: Arc<recent::Recent>,
    gate: Gate,
    sources: Registry,
    proof_keys: ProofKeys,
    desks: Desks,
    comparing: Comparing,
    listening_on: OnceLock<SocketAddr>,
    agenda: Agenda,
    outbound: Arc<dyn Outbound>,
    destinations: Destinations,
    alerts: Alerts,
    walks: Walks,
    replays: Replays,
    begun: Begun,
    discord_users: DiscordUsers,
    tasks: TaskTracker,
    stopping: CancellationToken,
    started: AtomicBool,
}

/// Kept while a hub runs: whoever finds it at a start knows that the hub before broke off.
const RUNNING: &str = "running";

impl Hub {
    /// Opens a hub on `store`: finds or makes its keys, opens its sources. Runs nothing yet.
    pub async fn open(
        config: Config,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        chance: Arc<dyn Chance>,
    ) -> Result<Hub, StartError> {
        let overridden: Vec<&str> = config.upstreams.overridden().into_iter().map(url::Url::as_str).collect();
        let guard = Guard::new(config.allow_private_targets.clone(), &overridden);
        let outbound = Arc::new(Client::new(guard)?);
        Hub::open_with(config, store, clock, chance, outbound).await
    }

    /// The same with calls going out through `outbound`.
    pub async fn open_with(
        config: Config,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        chance: Arc<dyn Chance>,
        outbound: Arc<dyn Outbound>,
    ) -> Result<Hub, StartError> {
        let parts = Parts { config, store, clock, chance, outbound };
        Hub::assemble(parts, paidup_sources::DEFINITIONS).await
    }

    async fn assemble(
        parts: Parts,
        definitions: impl IntoIterator<Item = &'static Definition>,
    ) -> Result<Hub, StartError> {
        let Parts { config, store, clock, chance, outbound } = parts;
        let dir = config.data_dir();
        let secrets = Secrets::open(config.master_key.as_ref(), &dir, &*store, &*chance).await?;
        let (admin_key, made) = secrets::admin_key(config.admin_key.as_ref(), &dir, &*chance)?;
        if made {
            let path = dir.join(secrets::ADMIN_KEY_FILE);
            tracing::info!(path = %path.display(), "the admin key was made; it stands in this file");
        }
        let recent = Arc::new(recent::Recent::default());
        let metrics = Arc::new(Metrics::default());
        let (fill, count) = (recent.clone(), metrics.clone());
        store.listen(Box::new(move |events| {
            for event in events {
                count.event(event.event.event_type);
            }
            fill.push(events);
        }));
        let (tasks, stopping) = (TaskTracker::new(), CancellationToken::new());
        let port = Arc::new(Port::of(&store, &clock, &chance, &outbound, &recent, &metrics));
        let known = paidup_destinations::DEFINITIONS;
        let destinations = Destinations::new(known, port, tasks.clone(), stopping.clone());
        let mut alerts = Alerts::default();
        metrics.register(|registry| alerts = Alerts::register(registry));
        let hub = Hub(
            Arc::new(Inner {
                store,
                clock,
                chance,
                config: Arc::new(config),
                secrets,
                metrics,
                recent,
                gate: Gate::new(&admin_key),
                sources: Registry::new(definitions),
                proof_keys: ProofKeys::default(),
                desks: Desks::default(),
                comparing: Comparing::default(),
                listening_on: OnceLock::new(),
                agenda: Agenda::default(),
                outbound,
                destinations,
                alerts,
                walks: Walks::default(),
                replays: Replays::default(),
                begun: Begun::default(),
                discord_users: DiscordUsers::default(),
                tasks,
                stopping,
                started: AtomicBool::new(false),
            }),
            None,
        );
        hub.open_sources().await?;
        Ok(hub)
    }

    /// Starts every loop: deadlines, questions, the catalogue's sweep, deliveries.
    pub async fn start(&self) -> Result<(), StartError> {
        let broke_off = self.store().meta(RUNNING).await?.is_some_and(|kept| !kept.is_empty());
        self.store().put_meta(RUNNING, vec![1]).await?;
        self.0.started.store(true, Ordering::Release);
        self.resume_alerts().await?;
        self.start_destinations(broke_off).await?;
        self.start_backfills().await?;
        self.start_replays().await?;
        self.tasks().spawn(self.clone().run_halts());
        self.tasks().spawn(self.clone().run_backlog());
        self.tasks().spawn(self.clone().run_scheduler());
        self.tasks().spawn(self.clone().run_questions());
        self.tasks().spawn(self.clone().run_watch());
        self.tasks().spawn(self.clone().run_catalogue());
        self.tasks().spawn(self.clone().run_pruning());
        Ok(())
    }

    /// Whether notifications can be taken in.
    pub async fn ready(&self) -> Result<(), NotReady> {
        if self.stopping().is_cancelled() {
            return Err(NotReady("the hub is stopping".to_owned()));
        }
        let health = self.store().health().await.map_err(|error| NotReady(error.to_string()))?;
        match health.failing {
            Some(reason) => Err(NotReady(format!("the database cannot be written: {reason}"))),
            None => Ok(()),
        }
    }

    /// The figures as `/metrics` answers them.
    pub async fn metrics_text(&self) -> String {
        if let Ok(health) = self.store().health().await {
            self.metrics().observe_store(&health, commit::work::unmapped(&self.store().catalogue()));
        }
        self.metrics().text()
    }

    /// The address that the hub really listens on, once it does: settings may say port 0. The first one counts.
    pub fn listening_on(&self, address: SocketAddr) {
        // A second listener is another door to the same hub; links keep naming the first.
        let _ = self.0.listening_on.set(address);
    }

    /// How the outside reaches this hub, without a slash at the end.
    #[must_use]
    pub fn public_url(&self) -> String {
        self.config().public_url(*self.0.listening_on.get().unwrap_or(&self.config().listen))
    }

    /// The same hub; what is changed through it stands in the journal as that caller's doing.
    #[must_use]
    pub fn on_behalf_of(&self, principal: &keys::Principal) -> Hub {
        let who = principal.key.map_or_else(|| principal.name.to_string(), |key| format!("{key} ({})", principal.name));
        Hub(self.0.clone(), Some(who.into()))
    }

    pub(crate) fn who(&self) -> Option<&str> {
        self.1.as_deref()
    }

    /// Sources that are set up.
    #[must_use]
    pub fn sources(&self) -> &Registry {
        &self.0.sources
    }

    /// Destinations that are set up.
    #[must_use]
    pub fn destinations(&self) -> &Destinations {
        &self.0.destinations
    }

    /// What a person must know about.
    #[must_use]
    pub fn alerts(&self) -> &Alerts {
        &self.0.alerts
    }

    pub(crate) fn discord_users(&self) -> &DiscordUsers {
        &self.0.discord_users
    }

    pub(crate) fn begun(&self) -> &Begun {
        &self.0.begun
    }

    pub(crate) fn walks(&self) -> &Walks {
        &self.0.walks
    }

    /// Who makes calls.
    #[must_use]
    pub fn outbound(&self) -> &Arc<dyn Outbound> {
        &self.0.outbound
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.0.gate
    }

    pub(crate) fn proof_keys(&self) -> &ProofKeys {
        &self.0.proof_keys
    }

    pub(crate) fn desks(&self) -> &Desks {
        &self.0.desks
    }

    pub(crate) fn comparing(&self) -> &Comparing {
        &self.0.comparing
    }

    pub(crate) fn replays(&self) -> &Replays {
        &self.0.replays
    }

    pub(crate) fn agenda(&self) -> &Agenda {
        &self.0.agenda
    }

    /// What is remembered. Reads go here directly; writes of purchases, events and the catalogue do not.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    /// The time.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    /// Chance.
    #[must_use]
    pub fn chance(&self) -> &Arc<dyn Chance> {
        &self.0.chance
    }

    /// Settings.
    #[must_use]
    pub fn config(&self) -> &Arc<Config> {
        &self.0.config
    }

    /// Seals and opens credentials.
    #[must_use]
    pub fn secrets(&self) -> &Secrets {
        &self.0.secrets
    }

    /// Figures.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// The newest events, in memory; [`recent::Recent::changes`] says when there are more.
    #[must_use]
    pub fn recent(&self) -> &Arc<recent::Recent> {
        &self.0.recent
    }

    /// Tasks that `stop` waits for: spawn every loop of the hub with it.
    #[must_use]
    pub fn tasks(&self) -> &TaskTracker {
        &self.0.tasks
    }

    /// Cancelled when the hub is to stop: every loop ends at its next safe point.
    #[must_use]
    pub fn stopping(&self) -> &CancellationToken {
        &self.0.stopping
    }

    /// Ends every loop, waits for them, then closes the store. What was accepted is durable.
    pub async fn stop(&self) -> Result<(), StoreError> {
        self.0.stopping.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
        if self.0.started.load(Ordering::Acquire)
            && let Err(error) = self.0.store.put_meta(RUNNING, Vec::new()).await
        {
            tracing::warn!(%error, "the next start will count repeats that there were none of");
        }
        self.0.store.close().await
    }
}
