//! Destinations that are set up: created, changed, held and served.
//!
//! Every change is made under one lock: saved first, then its loop stops and starts again from what was saved, so a change
//! can never lose an event. Nothing here asks which kind a destination is: what differs is in its `Definition`. The loops
//! are in `dispatch`, backlogs and resuming in `backlog`, lanes that wait in `parked`, test calls and previews in `tryout`,
//! replays in `replay`, what became of events in `deliveries`.

use crate::alerts::Alert;
use crate::config::Upstream;
use crate::dispatch::breaker::Look;
use crate::dispatch::budget::Budgets;
use crate::dispatch::deliver::secret_texts;
use crate::dispatch::figures::Figures;
use crate::dispatch::settler::Settler;
use crate::dispatch::{Dispatch, Halt, PARTITION, Port, Target, orders, run};
use crate::secrets::{mask_settings, unmask_settings};
use crate::{Hub, HubError};
use paidup_destinations::{CallFailure, Definition, Destination, Rotation, SettingsError, Upstreams};
use paidup_lifecycle::filter::Filter;
use paidup_lifecycle::ids::DestinationId;
use paidup_lifecycle::time::Timestamp;
use paidup_store::records::{
    DEFAULT_KEEP_TRYING, DEFAULT_MAX_BACKLOG, DestinationRecord, DestinationState, FilterVersion, Gap, LaneOrder, Start,
};
use parking_lot::Mutex;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Most destinations. Each is one line of an operator's setup, and one loop.
const MAX_DESTINATIONS: usize = 200;
/// Filters that are remembered by position; older ones hold for nothing that could still be delivered.
const MAX_FILTERS: usize = 100;

/// Longest time for which events are tried: as long as their attempts are kept.
const MAX_KEEP_TRYING: Duration = Duration::from_secs(720 * 3600);
/// Longest time that rotated secrets hold beside the fresh ones.
const MAX_OVERLAP: Duration = Duration::from_secs(30 * 86_400);

/// The reason of a pause that a person wished.
pub(crate) const PAUSED_BY_HAND: &str = "paused by hand";

/// All destinations that are set up.
pub struct Destinations {
    definitions: Vec<&'static Definition>,
    dispatch: Dispatch,
    /// Held while one is changed.
    changing: tokio::sync::Mutex<()>,
    halts: Mutex<Option<mpsc::UnboundedReceiver<Halt>>>,
}

/// A destination to set up.
pub struct NewDestination<'a> {
    /// `webhook`, ...
    pub kind: &'a str,
    /// For people.
    pub name: &'a str,
    /// Settings of the kind.
    pub config: &'a RawValue,
    /// Which events it wants; `None`: the kind's default.
    pub filter: Option<Filter>,
    /// What must stay in order; `None`: the kind's default.
    pub order: Option<LaneOrder>,
    /// Where it starts.
    pub start: Start,
    /// So many events may wait for it; `None`: the default.
    pub max_backlog: Option<u64>,
    /// What a lane does whose first event fails; `None`: it waits.
    pub lane_policy: Option<LanePolicy>,
    /// From its first failure on an event is tried for at least so long; `None`: the default.
    pub keep_trying: Option<Duration>,
}

/// What a lane does whose first event fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LanePolicy {
    /// It waits until that arrived or was given up.
    Wait,
    /// After so long since the first failure it goes on; the failed event is tried by itself. Whole seconds.
    SkipAfter(Duration),
}

impl LanePolicy {
    fn of(skip_after: Option<Duration>) -> LanePolicy {
        skip_after.map_or(LanePolicy::Wait, LanePolicy::SkipAfter)
    }

    /// As it is kept, checked.
    fn checked(self) -> Result<Option<Duration>, HubError> {
        match self {
            LanePolicy::Wait => Ok(None),
            LanePolicy::SkipAfter(span) if (1..=MAX_KEEP_TRYING.as_secs()).contains(&span.as_secs()) => Ok(Some(span)),
            LanePolicy::SkipAfter(_) => {
                let detail = format!("1 to {} seconds", MAX_KEEP_TRYING.as_secs());
                Err(HubError::refused(422, "/lane_policy/skip_after_s", &detail))
            }
        }
    }
}

/// What to change; `None` stays as it is.
#[derive(Default)]
pub struct DestinationChange<'a> {
    /// For people.
    pub name: Option<&'a str>,
    /// Settings; secrets that are sent back masked stay as they are.
    pub config: Option<&'a RawValue>,
    /// Holds for events from now on.
    pub filter: Option<Filter>,
    /// What must stay in order; only while nothing is parked.
    pub order: Option<LaneOrder>,
    /// So many events may wait for it.
    pub max_backlog: Option<u64>,
    /// What a lane does whose first event fails.
    pub lane_policy: Option<LanePolicy>,
    /// From its first failure on an event is tried for at least so long.
    pub keep_trying: Option<Duration>,
}

/// A destination as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationView {
    /// Its id.
    pub id: DestinationId,
    /// `webhook`, ...
    pub kind: String,
    /// For people.
    pub name: String,
    /// Settings, secrets masked.
    pub config: Value,
    /// Which events it wants now.
    pub filter: Filter,
    /// What must stay in order.
    pub order: LaneOrder,
    /// Whether it is served.
    pub state: DestinationState,
    /// Why not.
    pub state_reason: Option<String>,
    /// Since when it is in that state.
    pub state_since: Timestamp,
    /// Since when it exists.
    pub created_at: Timestamp,
    /// Events of the log that are neither settled nor parked, wanted or not.
    pub behind: u64,
    /// Beyond so many it is switched off.
    pub max_backlog: u64,
    /// What a lane does whose first event fails.
    pub lane_policy: LanePolicy,
    /// From its first failure on an event is tried for at least so long; when nothing was taken for so long, it is switched
    /// off.
    pub keep_trying: Duration,
    /// Whether anybody is there; `None`: it is not served.
    pub breaker: Option<Look>,
    /// What it was not told, or not in time; oldest first.
    pub gaps: Vec<Gap>,
    /// What a person must know about now.
    pub alerts: Vec<Alert>,
}

/// A destination that was just set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeDestination {
    /// It.
    pub view: DestinationView,
    /// Secrets that were made for it, in clear: this once.
    pub made: BTreeMap<String, String>,
}

/// A destination, opened.
struct Opened {
    definition: &'static Definition,
    destination: Arc<dyn Destination>,
    secrets: Arc<[String]>,
}

impl Destinations {
    pub(crate) fn new(
        definitions: &[&'static Definition],
        port: Arc<Port>,
        tasks: TaskTracker,
        stopping: CancellationToken,
    ) -> Destinations {
        let (halts, halted) = mpsc::unbounded_channel();
        Destinations {
            definitions: definitions.to_vec(),
            dispatch: Dispatch::new(port, tasks, stopping, halts),
            changing: tokio::sync::Mutex::default(),
            halts: Mutex::new(Some(halted)),
        }
    }

    /// All kinds.
    #[must_use]
    pub fn definitions(&self) -> &[&'static Definition] {
        &self.definitions
    }

    /// The kind of that name.
    #[must_use]
    pub fn definition(&self, kind: &str) -> Option<&'static Definition> {
        self.definitions.iter().copied().find(|definition| definition.kind == kind)
    }

    pub(crate) fn dispatch(&self) -> &Dispatch {
        &self.dispatch
    }

    /// Held while one is changed.
    pub(crate) async fn changing(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.changing.lock().await
    }
}

impl Port {
    pub(crate) fn of(
        store: &Arc<dyn paidup_store::Store>,
        clock: &Arc<dyn crate::clock::Clock>,
        chance: &Arc<dyn crate::clock::Chance>,
        outbound: &Arc<dyn crate::outbound::Outbound>,
        recent: &Arc<crate::recent::Recent>,
        metrics: &crate::telemetry::Metrics,
    ) -> Port {
        let mut figures = Figures::default();
        metrics.register(|registry| figures = Figures::register(registry));
        Port {
            store: Arc::clone(store),
            settler: Settler::new(Arc::clone(store)),
            clock: Arc::clone(clock),
            chance: Arc::clone(chance),
            outbound: Arc::clone(outbound),
            recent: Arc::clone(recent),
            budgets: Mutex::new(Budgets::default()),
            figures,
        }
    }
}

impl Hub {
    /// Serves every active destination of the database. One that cannot be opened is said so and left alone: the others
    /// are served.
    pub(crate) async fn start_destinations(&self, broke_off: bool) -> Result<(), HubError> {
        for record in self.store().destinations().await? {
            match (record.state, self.target(&record)) {
                (DestinationState::Active, Ok(target)) => {
                    self.destinations().dispatch.start(Target { broke_off, ..target });
                }
                (DestinationState::Active, Err(error)) => {
                    tracing::error!(destination.id = %record.id, %error, "destination cannot be opened");
                }
                (DestinationState::Paused | DestinationState::SwitchedOff, _) => {}
            }
        }
        Ok(())
    }

    /// Writes down what stopped by itself, until the hub stops.
    pub(crate) async fn run_halts(self) {
        let Some(mut halts) = self.destinations().halts.lock().take() else { return };
        loop {
            let halt = tokio::select! {
                () = self.stopping().cancelled() => return,
                Some(halt) = halts.recv() => halt,
            };
            tracing::error!(destination.id = %halt.id, state = %halt.state, reason = halt.reason, "destination stopped");
            while let Err(error) = self.set_state(halt.id, halt.state, Some(halt.reason.clone())).await {
                if error.status() == 404 || self.stopping().is_cancelled() {
                    break;
                }
                tracing::warn!(destination.id = %halt.id, %error, "its state cannot be saved");
                self.clock().sleep(std::time::Duration::from_secs(1)).await;
            }
        }
    }

    /// Sets up a destination and serves it from its start on.
    pub async fn create_destination(&self, new: NewDestination<'_>) -> Result<MadeDestination, HubError> {
        crate::grants::check_name("name", new.name)?;
        let max_backlog = check_max_backlog(new.max_backlog)?.unwrap_or(DEFAULT_MAX_BACKLOG);
        check_filter(new.filter.as_ref())?;
        let definition = self.destination_kind(new.kind)?;
        let config = (definition.prepare)(new.config, &self.chance().key()).map_err(refused_settings)?;
        let id = DestinationId(self.chance().seed());
        let opened = self.open_destination(definition, &config)?;
        self.check_addresses(&*opened.destination).await?;

        let _changing = self.destinations().changing.lock().await;
        if self.store().destinations().await?.len() >= MAX_DESTINATIONS {
            return Err(HubError::refused(409, "", "there are as many destinations as there may be"));
        }
        crate::backlog::fits(max_backlog, self.behind_from(new.start).await?)?;
        let now = self.clock().now();
        let record = self
            .store()
            .put_destination(DestinationRecord {
                id,
                kind: definition.kind.to_owned(),
                name: new.name.to_owned(),
                settings: self.seal(id, definition, &config),
                order: new.order.unwrap_or(if (definition.by_customer)(&config) {
                    LaneOrder::Customer
                } else {
                    LaneOrder::Purchase
                }),
                filters: vec![FilterVersion {
                    from: Vec::new(),
                    filter: new.filter.unwrap_or_else(definition.default_filter),
                }],
                start: new.start,
                state: DestinationState::Active,
                state_reason: None,
                state_since: now,
                max_backlog,
                gaps: Vec::new(),
                skip_after: new.lane_policy.unwrap_or(LanePolicy::Wait).checked()?,
                keep_trying: check_keep_trying(new.keep_trying)?.unwrap_or(DEFAULT_KEEP_TRYING),
                created_at: now,
            })
            .await?;
        self.destinations().dispatch.start(target(&record, &opened));
        let made = made_secrets(definition, new.config, &config);
        Ok(MadeDestination { view: self.view_destination(&record).await?, made })
    }

    /// Changes a destination. What is in flight finishes as it began.
    pub async fn update_destination(
        &self,
        id: DestinationId,
        change: DestinationChange<'_>,
    ) -> Result<DestinationView, HubError> {
        let _changing = self.destinations().changing.lock().await;
        let mut record = self.destination_record(id).await?;
        let definition = self.destination_kind(&record.kind)?;
        if let Some(name) = change.name {
            crate::grants::check_name("name", name)?;
            name.clone_into(&mut record.name);
        }
        record.max_backlog = check_max_backlog(change.max_backlog)?.unwrap_or(record.max_backlog);
        record.keep_trying = check_keep_trying(change.keep_trying)?.unwrap_or(record.keep_trying);
        if let Some(policy) = change.lane_policy {
            record.skip_after = policy.checked()?;
        }
        check_filter(change.filter.as_ref())?;
        if let Some(config) = change.config {
            let old = self.unseal(&record, definition)?;
            let new = unmask_settings(definition.secrets, config, &old);
            let new = (definition.prepare)(&new, &self.chance().key()).map_err(refused_settings)?;
            let opened = self.open_destination(definition, &new)?;
            self.check_addresses(&*opened.destination).await?;
            record.settings = self.seal(id, definition, &new);
        }
        if let Some(filter) = change.filter {
            record.filters.push(FilterVersion { from: Vec::new(), filter });
            if record.filters.len() > MAX_FILTERS {
                record.filters.remove(0);
            }
        }
        // Stopped before it is saved: a filter holds from the head of the log on, and its loop must know it by then.
        self.destinations().dispatch.stop(id).await;
        let saved = match self.change_order(&mut record, change.order).await {
            Ok(()) => self.store().put_destination(record.clone()).await.map_err(HubError::from),
            Err(error) => Err(error),
        };
        let record = match saved {
            Ok(record) => record,
            Err(error) => {
                // As it was.
                self.serve(&self.destination_record(id).await?)?;
                return Err(error);
            }
        };
        self.serve(&record)?;
        self.view_destination(&record).await
    }

    /// Makes fresh secrets of the destination's own; those of before hold for `overlap` more. Answers the fresh ones, in
    /// clear: this once.
    pub async fn rotate_secrets(&self, id: DestinationId, overlap: Duration) -> Result<MadeDestination, HubError> {
        if overlap > MAX_OVERLAP {
            let detail = format!("at most {} hours", MAX_OVERLAP.as_secs() / 3600);
            return Err(HubError::refused(422, "/overlap_hours", &detail));
        }
        let _changing = self.destinations().changing.lock().await;
        let mut record = self.destination_record(id).await?;
        let definition = self.destination_kind(&record.kind)?;
        let Some(rotate) = definition.rotate else {
            let detail = "this type has no secrets of its own; change what its vendor gave you by PATCH";
            return Err(HubError::refused(422, "", detail));
        };
        let old = self.unseal(&record, definition)?;
        let now = self.clock().now();
        let rotation = Rotation { now, until: now.plus(overlap) };
        let new = rotate(&old, &self.chance().key(), rotation).map_err(refused_settings)?;
        self.open_destination(definition, &new)?;
        record.settings = self.seal(id, definition, &new);
        let record = self.store().put_destination(record).await?;
        self.destinations().dispatch.stop(id).await;
        self.serve(&record)?;
        tracing::info!(destination.id = %id, until = %rotation.until, "secrets rotate; those of before hold until then");
        Ok(MadeDestination { made: fresh_secrets(definition, &old, &new), view: self.view_destination(&record).await? })
    }

    /// Rows carry the names of their lanes, which mean something else under another order.
    async fn change_order(&self, record: &mut DestinationRecord, order: Option<LaneOrder>) -> Result<(), HubError> {
        let Some(order) = order.filter(|order| *order != record.order) else { return Ok(()) };
        if !self.store().parked(record.id, 1).await?.is_empty() {
            let detail = "events wait for their next try; the order can be changed when none do";
            return Err(HubError::refused(409, "/order", detail));
        }
        record.order = order;
        Ok(())
    }

    /// Forgets a destination, with all that waits for it.
    pub async fn delete_destination(&self, id: DestinationId) -> Result<(), HubError> {
        let _changing = self.destinations().changing.lock().await;
        self.destination_record(id).await?;
        self.destinations().dispatch.stop(id).await;
        self.store().delete_destination(id).await?;
        self.destinations().dispatch.port().figures.forget(id);
        self.alerts().forget(id);
        Ok(())
    }

    /// Holds a destination: nothing more is sent, nothing is lost.
    pub async fn pause_destination(&self, id: DestinationId) -> Result<DestinationView, HubError> {
        self.set_state(id, DestinationState::Paused, Some(PAUSED_BY_HAND.to_owned())).await
    }

    async fn set_state(
        &self,
        id: DestinationId,
        state: DestinationState,
        reason: Option<String>,
    ) -> Result<DestinationView, HubError> {
        let _changing = self.destinations().changing.lock().await;
        let mut record = self.destination_record(id).await?;
        if record.state != state {
            (record.state, record.state_reason, record.state_since) = (state, reason, self.clock().now());
            record = self.store().put_destination(record).await?;
            self.destinations().dispatch.stop(id).await;
            self.serve(&record)?;
        }
        self.view_destination(&record).await
    }

    /// All destinations, secrets masked.
    pub async fn list_destinations(&self) -> Result<Vec<DestinationView>, HubError> {
        let mut views = Vec::new();
        for record in self.store().destinations().await? {
            views.push(self.view_destination(&record).await?);
        }
        Ok(views)
    }

    /// One destination, secrets masked.
    pub async fn show_destination(&self, id: DestinationId) -> Result<DestinationView, HubError> {
        let record = self.destination_record(id).await?;
        self.view_destination(&record).await
    }

    pub(crate) async fn destination_record(&self, id: DestinationId) -> Result<DestinationRecord, HubError> {
        let found = self.store().destinations().await?.into_iter().find(|record| record.id == id);
        found.ok_or_else(|| HubError::refused(404, "", "there is no such destination"))
    }

    /// The destination as its loop needs it.
    pub(crate) fn target(&self, record: &DestinationRecord) -> Result<Target, HubError> {
        let definition = self.destination_kind(&record.kind)?;
        let opened = self.open_destination(definition, &self.unseal(record, definition)?)?;
        Ok(target(record, &opened))
    }

    pub(crate) fn serve(&self, record: &DestinationRecord) -> Result<(), HubError> {
        if record.state == DestinationState::Active {
            self.destinations().dispatch.start(self.target(record)?);
        }
        Ok(())
    }

    /// The same for one that was held: a lot may wait for it.
    pub(crate) fn serve_gently(&self, record: &DestinationRecord) -> Result<(), HubError> {
        let target = self.target(record)?;
        self.destinations().dispatch.start(Target { gently: true, ..target });
        Ok(())
    }

    fn destination_kind(&self, kind: &str) -> Result<&'static Definition, HubError> {
        self.destinations().definition(kind).ok_or_else(|| {
            let kinds: Vec<&str> = self.destinations().definitions.iter().map(|known| known.kind).collect();
            HubError::refused(422, "/type", &format!("unknown type; known: {}", kinds.join(" ")))
        })
    }

    /// Where vendors are.
    pub(crate) fn upstreams(&self) -> Upstreams {
        let text = |upstream: &Upstream| upstream.url.as_str().trim_end_matches('/').to_owned();
        let upstreams = &self.config().upstreams;
        Upstreams {
            discord_api: text(&upstreams.discord_api),
            intercom_api: upstreams.intercom_api.as_ref().map(text),
            public_url: self.public_url(),
        }
    }

    fn open_destination(&self, definition: &'static Definition, config: &RawValue) -> Result<Opened, HubError> {
        let destination = (definition.open)(config, &self.upstreams()).map_err(refused_settings)?;
        let settings: Value = serde_json::from_str(config.get()).unwrap_or_default();
        let secrets = secret_texts(definition.secrets, &settings).into();
        Ok(Opened { definition, destination: destination.into(), secrets })
    }

    /// Inward addresses are refused at creation. A name that does not resolve now may do so later; every call checks.
    async fn check_addresses(&self, destination: &dyn Destination) -> Result<(), HubError> {
        for url in destination.addresses() {
            if let Err(failure @ CallFailure::AddressRefused) = self.outbound().check(url.clone()).await {
                return Err(HubError::refused(422, "/config/url", &failure.to_string()));
            }
        }
        Ok(())
    }

    fn seal(&self, id: DestinationId, definition: &Definition, config: &RawValue) -> Vec<u8> {
        self.secrets().seal_settings(&**self.chance(), &id.to_string(), definition.secrets, config)
    }

    fn unseal(&self, record: &DestinationRecord, definition: &Definition) -> Result<Box<RawValue>, HubError> {
        Ok(self.secrets().open_settings(&record.id.to_string(), definition.secrets, &record.settings)?)
    }

    /// How many events a destination that starts there begins behind the head.
    async fn behind_from(&self, start: Start) -> Result<u64, HubError> {
        let head = self.store().head(PARTITION).await?;
        let first = match start {
            Start::Now => return Ok(0),
            Start::Beginning => self.store().position_at(PARTITION, Timestamp::MIN).await?,
            Start::At(at) => self.store().position_at(PARTITION, at).await?,
        };
        Ok((head + 1).saturating_sub(first))
    }

    pub(crate) async fn view_destination(&self, record: &DestinationRecord) -> Result<DestinationView, HubError> {
        let secrets = self.destinations().definition(&record.kind).map_or(&[][..], |definition| definition.secrets);
        let standing = self.standing_of(record).await?;
        Ok(DestinationView {
            id: record.id,
            kind: record.kind.clone(),
            name: record.name.clone(),
            config: mask_settings(secrets, &record.settings),
            filter: record.filters.last().map(|version| version.filter.clone()).unwrap_or_default(),
            order: record.order,
            state: record.state,
            state_reason: record.state_reason.clone(),
            state_since: record.state_since,
            created_at: record.created_at,
            behind: standing.behind,
            max_backlog: record.max_backlog,
            lane_policy: LanePolicy::of(record.skip_after),
            keep_trying: record.keep_trying,
            breaker: self.destinations().dispatch.breaker(record.id),
            gaps: record.gaps.clone(),
            alerts: self.alerts_of(record, &standing),
        })
    }

    /// How an event stands with a destination, served or not.
    pub(crate) async fn standing(
        &self,
        target: &Target,
        position: u64,
    ) -> Result<crate::dispatch::settle::Standing, HubError> {
        let dispatch = &self.destinations().dispatch;
        match dispatch.ask(target.id, |answer| orders::Order::Look(position, answer)).await {
            Some(standing) => Ok(standing),
            None => Ok(run::load(dispatch.port(), target, PARTITION).await?.standing(position)),
        }
    }
}

fn target(record: &DestinationRecord, opened: &Opened) -> Target {
    debug_assert_eq!(opened.definition.kind, record.kind);
    Target {
        id: record.id,
        order: record.order,
        skip_after: record.skip_after,
        keep_trying: record.keep_trying,
        gently: false,
        broke_off: false,
        filters: record.filters.clone(),
        destination: Arc::clone(&opened.destination),
        secrets: Arc::clone(&opened.secrets),
    }
}

fn check_filter(filter: Option<&Filter>) -> Result<(), HubError> {
    let checked = filter.map_or(Ok(()), Filter::check);
    checked.map_err(|(pointer, detail)| HubError::refused(422, &format!("/filter{pointer}"), &detail))
}

/// In whole hours.
fn check_keep_trying(given: Option<Duration>) -> Result<Option<Duration>, HubError> {
    let most = MAX_KEEP_TRYING.as_secs() / 3600;
    match given.map(|span| span.as_secs() / 3600) {
        Some(hours) if !(1..=most).contains(&hours) => {
            Err(HubError::refused(422, "/keep_trying_hours", &format!("1 to {most} hours")))
        }
        Some(_) | None => Ok(given),
    }
}

/// From 1 on, and far from the end of numbers.
fn check_max_backlog(given: Option<u64>) -> Result<Option<u64>, HubError> {
    const MOST: u64 = 1_000_000_000;
    match given {
        Some(0) | Some(MOST..) => {
            Err(HubError::refused(422, "/max_backlog", &format!("must be at least 1 and less than {MOST}")))
        }
        Some(_) | None => Ok(given),
    }
}

fn refused_settings(error: SettingsError) -> HubError {
    HubError::Refused { status: 422, pointer: format!("/config{}", error.pointer), detail: error.detail }
}

/// Secrets that stand in the prepared settings and did not in the given ones.
fn made_secrets(definition: &Definition, given: &RawValue, prepared: &RawValue) -> BTreeMap<String, String> {
    let given: Value = serde_json::from_str(given.get()).unwrap_or_default();
    let prepared: Value = serde_json::from_str(prepared.get()).unwrap_or_default();
    let new = |name: &&&str| given.get(**name).is_none_or(Value::is_null);
    let text = |name: &&str| Some(((*name).to_owned(), prepared.get(*name)?.as_str()?.to_owned()));
    definition.secrets.iter().filter(new).filter_map(text).collect()
}

/// Secrets with one value that is another one than before.
fn fresh_secrets(definition: &Definition, old: &RawValue, new: &RawValue) -> BTreeMap<String, String> {
    let old: Value = serde_json::from_str(old.get()).unwrap_or_default();
    let new: Value = serde_json::from_str(new.get()).unwrap_or_default();
    let changed = |name: &&&str| old.get(**name) != new.get(**name);
    let text = |name: &&str| Some(((*name).to_owned(), new.get(*name)?.as_str()?.to_owned()));
    definition.secrets.iter().filter(changed).filter_map(text).collect()
}
