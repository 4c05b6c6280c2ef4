//! Comparing what is known with a store: its lists since a moment, page by page, and its word on each purchase that is not
//! over. On start, on a period, when a source is silent for longer than is its habit, and by command. What is found is
//! committed like any answer, marked `detected_by: reconcile`; what is confirmed leaves nothing behind.
//!
//! This is what begins and ends runs. The walk over purchases is in `walk`, the lists are lookups (`ask`), what is looked
//! at every minute in `watch`, when silence is odd in `habit`.

mod habit;
mod walk;
mod watch;

use crate::commit::wanted::record_of;
use crate::sources::Opened;
use crate::{Hub, HubError};
use habit::Habit;
use paidup_lifecycle::ids::{ReconcileId, SourceId};
use paidup_lifecycle::time::Timestamp;
use paidup_sources::Lookup;
use paidup_store::StoreError;
use paidup_store::reconciles::{ReconcileCause, ReconcilePurchases, ReconcileRecord, ReconcileState, ReconcileTally};
use paidup_store::records::LookupRecord;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Most lists that a source compares with. Each is read page by page.
const MAX_LISTS: usize = 100;
/// Lists are compared from this long before the moment that is known: stores list by the second, and late.
const OVERLAP: Duration = Duration::from_secs(86_400);
/// Rows that are looked at for a purchase that the store can be asked about, before it is said that there is none.
const PROBED: usize = 2_000;
/// Where habits are kept.
const HABITS: &str = "source_habits";

/// Runs that are under way here, and when sources spoke.
#[derive(Default)]
pub(crate) struct Comparing {
    running: Mutex<HashMap<SourceId, Run>>,
    /// Held while one is begun or ended.
    changing: tokio::sync::Mutex<()>,
    habits: Mutex<Habits>,
}

struct Run {
    stop: CancellationToken,
    moved: Arc<Notify>,
}

#[derive(Default)]
struct Habits {
    of: HashMap<SourceId, Habit>,
    changed: bool,
}

impl Comparing {
    /// A source spoke.
    pub(crate) fn hear(&self, source: SourceId, now: Timestamp) {
        let mut habits = self.habits.lock();
        habits.of.entry(source).or_default().hear(now);
        habits.changed = true;
    }

    fn habit(&self, source: SourceId) -> Habit {
        self.habits.lock().of.get(&source).cloned().unwrap_or_default()
    }
}

impl Hub {
    /// When a source spoke last; `None`: never, as far as is known.
    #[must_use]
    pub fn last_heard(&self, source: SourceId) -> Option<Timestamp> {
        self.comparing().habit(source).last()
    }

    /// Begins to compare a source with its store, because somebody wants it. `since`: lists from here on; `None`: since the
    /// source was last heard, less a day.
    pub async fn reconcile_source(
        &self,
        source: SourceId,
        since: Option<Timestamp>,
        purchases: ReconcilePurchases,
    ) -> Result<ReconcileRecord, HubError> {
        let since = since.unwrap_or_else(|| self.since_heard(source));
        self.begin_reconcile(source, ReconcileCause::Command, since, purchases).await
    }

    /// Since when a source may have missed something: since it was last heard, less a day.
    fn since_heard(&self, source: SourceId) -> Timestamp {
        let created_at = self.sources().get(source).map(|opened| opened.record.created_at);
        let heard = self.last_heard(source).or(created_at);
        heard.unwrap_or_else(|| self.clock().now()).minus(OVERLAP)
    }

    async fn begin_reconcile(
        &self,
        source: SourceId,
        cause: ReconcileCause,
        since: Timestamp,
        purchases: ReconcilePurchases,
    ) -> Result<ReconcileRecord, HubError> {
        let _changing = self.comparing().changing.lock().await;
        let opened = self.sources().get(source);
        let opened = opened.ok_or_else(|| HubError::refused(404, "", "there is no such source"))?;
        let now = self.clock().now();
        let since = since.min(now);
        let lists = first_pages(&opened, cause, since, now);
        if lists.is_empty() && !self.can_ask_about_any(&opened).await? {
            let detail =
                "this source cannot ask its store: it has no credentials for it, or its kind of store cannot be asked";
            return Err(HubError::refused(422, "", detail));
        }
        let record = ReconcileRecord {
            id: ReconcileId(self.chance().seed()),
            source,
            state: ReconcileState::Running,
            state_since: now,
            created_at: now,
            cause,
            purchases,
            since,
            position: None,
            walked: false,
            asked: 0,
            same: 0,
            different: 0,
            failed: 0,
            last_error: None,
        };
        self.store().begin_reconcile(record.clone(), lists).await?;
        tracing::info!(source.id = %source, reconcile.id = %record.id, cause = %cause, since = %since, "comparing with the store begins");
        self.start_run(record.id, source);
        Ok(record)
    }

    /// Whether there is a purchase, among the first, that the store can be asked about.
    async fn can_ask_about_any(&self, opened: &Opened) -> Result<bool, StoreError> {
        let page = self.store().purchases_of_source(opened.record.id, None, PROBED).await?;
        Ok(page.purchases.iter().any(|purchase| self.can_compare(opened, purchase)))
    }

    fn start_run(&self, id: ReconcileId, source: SourceId) {
        let (stop, moved) = (self.stopping().child_token(), Arc::new(Notify::new()));
        let run = Run { stop: stop.clone(), moved: moved.clone() };
        self.comparing().running.lock().insert(source, run);
        self.tasks().spawn(self.clone().run_reconcile(id, stop, moved));
        // The lists' first pages wait.
        self.agenda().wake(Timestamp::MAX, true);
    }

    /// Goes on with what was running when the hub stopped.
    async fn resume_reconciles(&self) -> Result<(), StoreError> {
        for record in self.store().running_reconciles().await? {
            tracing::info!(source.id = %record.source, reconcile.id = %record.id, asked = record.asked, "comparing goes on");
            self.start_run(record.id, record.source);
        }
        Ok(())
    }

    /// One run.
    pub async fn show_reconcile(&self, id: ReconcileId) -> Result<ReconcileRecord, HubError> {
        let found = self.store().reconcile(id).await?;
        found.ok_or_else(|| HubError::refused(404, "", "there is no such run"))
    }

    /// Ends a run. What it has found stays.
    pub async fn cancel_reconcile(&self, id: ReconcileId) -> Result<ReconcileRecord, HubError> {
        let _changing = self.comparing().changing.lock().await;
        let record = self.show_reconcile(id).await?;
        match record.state {
            ReconcileState::Running => {}
            ReconcileState::Cancelled => return Ok(record),
            ReconcileState::Done => return Err(HubError::refused(409, "", "this run has ended: it is done")),
        }
        let ended = self.store().end_reconcile(id, ReconcileState::Cancelled, self.clock().now()).await?;
        if let Some(run) = self.comparing().running.lock().remove(&record.source) {
            run.stop.cancel();
        }
        Ok(ended.unwrap_or(record))
    }

    /// A page of a list was compared.
    pub(crate) async fn compared(&self, source: SourceId, is_news: bool) -> Result<(), StoreError> {
        let (same, different) = if is_news { (0, 1) } else { (1, 0) };
        let tally = ReconcileTally { same, different, ..ReconcileTally::default() };
        self.tally_list(source, tally).await
    }

    /// A page of a list could not be had.
    pub(crate) async fn not_compared(&self, source: SourceId, why: String) -> Result<(), StoreError> {
        tracing::warn!(source.id = %source, failure = %why, "a store's list could not be compared");
        self.tally_list(source, ReconcileTally { failed: 1, last_error: Some(why), ..ReconcileTally::default() }).await
    }

    async fn tally_list(&self, source: SourceId, tally: ReconcileTally) -> Result<(), StoreError> {
        self.store().tally_reconcile(source, tally).await?;
        if let Some(run) = self.comparing().running.lock().get(&source) {
            run.moved.notify_one();
        }
        Ok(())
    }
}

/// The first pages of a source's lists, as lookups of a run. At a start these are what the store could not deliver, where
/// it knows: every start would walk its whole history otherwise.
fn first_pages(opened: &Opened, cause: ReconcileCause, since: Timestamp, now: Timestamp) -> Vec<LookupRecord> {
    let pages = catch_unwind(AssertUnwindSafe(|| match cause {
        ReconcileCause::Start => opened.source.missed(since, now),
        ReconcileCause::Period | ReconcileCause::Silence | ReconcileCause::Command => {
            opened.source.reconcile(since, now)
        }
    }))
    .unwrap_or_else(|_| {
        tracing::error!(source.id = %opened.record.id, "source panicked on its store's lists");
        Vec::new()
    });
    let kept = pages.iter().filter(|lookup| lookup.fits()).take(MAX_LISTS);
    kept.map(|lookup: &Lookup| record_of(opened.record.id, lookup, now, true)).collect()
}
