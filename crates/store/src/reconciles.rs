//! Runs that compare what is known with a store. What is kept of them, and the calls.

use crate::Answer;
use crate::records::LookupRecord;
use paidup_lifecycle::closed_set;
use paidup_lifecycle::ids::{ReconcileId, SourceId};
use paidup_lifecycle::time::Timestamp;

/// Most runs of one source that are kept; the oldest go first.
pub const MAX_KEPT: u64 = 100;

closed_set! {
    /// How a run stands.
    pub enum ReconcileState {
        /// Under way; goes on by itself when the hub starts again.
        Running = "running",
        /// Came to its end.
        Done = "done",
        /// Ended by a person.
        Cancelled = "cancelled",
    }
}

closed_set! {
    /// Why a run was begun.
    pub enum ReconcileCause {
        /// The hub started: nobody listened before.
        Start = "start",
        /// It was time.
        Period = "period",
        /// The source is silent for longer than is its habit.
        Silence = "silence",
        /// Somebody wanted it.
        Command = "command",
    }
}

closed_set! {
    /// Which purchases the store is asked about.
    pub enum ReconcilePurchases {
        /// Those that are not over, or not for long.
        Open = "open",
        /// All.
        All = "all",
    }
}

/// A run as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReconcileRecord {
    /// Its id.
    pub id: ReconcileId,
    /// Which source.
    pub source: SourceId,
    /// How it stands.
    pub state: ReconcileState,
    /// Since when it stands so.
    pub state_since: Timestamp,
    /// When it was begun.
    pub created_at: Timestamp,
    /// Why.
    pub cause: ReconcileCause,
    /// About which purchases the store is asked.
    pub purchases: ReconcilePurchases,
    /// Lists are compared from here on.
    pub since: Timestamp,
    /// Up to where purchases were asked about (see `People::purchases_of_source`).
    pub position: Option<i64>,
    /// All of them were.
    pub walked: bool,
    /// Answers that came, pages of lists too.
    pub asked: u64,
    /// Of those, answers that said nothing new.
    pub same: u64,
    /// Of those, answers that changed something.
    pub different: u64,
    /// What could not be asked.
    pub failed: u64,
    /// What came of the last of those.
    pub last_error: Option<String>,
}

/// What came of some answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReconcileTally {
    /// Said nothing new.
    pub same: u64,
    /// Changed something.
    pub different: u64,
    /// Could not be asked.
    pub failed: u64,
    /// What came of the last of those.
    pub last_error: Option<String>,
}

/// Runs that compare.
pub trait Reconciles {
    /// Begins one, with its first lookups. Refused with 404 without its source, with 409 while another one of that source
    /// is open.
    fn begin_reconcile(&self, reconcile: ReconcileRecord, lookups: Vec<LookupRecord>) -> Answer<'_, ()>;
    /// One.
    fn reconcile(&self, id: ReconcileId) -> Answer<'_, Option<ReconcileRecord>>;
    /// Of one source or of all, newest first, with their numbers; page on with the last one's number.
    fn reconciles(
        &self,
        source: Option<SourceId>,
        before: Option<u64>,
        limit: usize,
    ) -> Answer<'_, Vec<(u64, ReconcileRecord)>>;
    /// Those that are running, oldest first: there is at most one for each source.
    fn running_reconciles(&self) -> Answer<'_, Vec<ReconcileRecord>>;
    /// Adds up what came of a lookup of the source's open run.
    fn tally_reconcile(&self, source: SourceId, tally: ReconcileTally) -> Answer<'_, ()>;
    /// Adds up what came of a page of purchases, and keeps the place; `None`: that was the last page. Nothing happens when
    /// the run has ended.
    fn walk_reconcile(&self, id: ReconcileId, position: Option<i64>, tally: ReconcileTally) -> Answer<'_, ()>;
    /// Lookups that the source's open run still waits for.
    fn reconcile_lookups(&self, source: SourceId) -> Answer<'_, u64>;
    /// Ends it, and forgets its lookups; one that has ended stays as it is. Answers it as it stands then.
    fn end_reconcile(
        &self,
        id: ReconcileId,
        state: ReconcileState,
        at: Timestamp,
    ) -> Answer<'_, Option<ReconcileRecord>>;
}
