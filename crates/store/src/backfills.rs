//! Back-fills: walks over all customers that bring a destination up to date. What is kept of them, and the calls.

use crate::Answer;
use paidup_lifecycle::closed_set;
use paidup_lifecycle::ids::{BackfillId, CustomerId, DestinationId};
use paidup_lifecycle::time::Timestamp;

/// Most failures of one back-fill that are kept in words; all are counted.
pub const MAX_FAILURES: u64 = 1_000;
/// Most back-fills of one destination that are kept; the oldest go first.
pub const MAX_KEPT: u64 = 50;

closed_set! {
    /// How a back-fill stands.
    pub enum BackfillState {
        /// Under way; goes on by itself when the hub starts again.
        Running = "running",
        /// Held, by a person or because it could not go on; goes on when it is resumed.
        Paused = "paused",
        /// Came to its end.
        Done = "done",
        /// Ended by a person.
        Cancelled = "cancelled",
    }
}

impl BackfillState {
    /// It may still go on.
    #[must_use]
    pub const fn is_open(self) -> bool {
        match self {
            BackfillState::Running | BackfillState::Paused => true,
            BackfillState::Done | BackfillState::Cancelled => false,
        }
    }
}

/// A back-fill as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackfillRecord {
    /// Its id.
    pub id: BackfillId,
    /// Which destination is brought up to date.
    pub destination: DestinationId,
    /// How it stands.
    pub state: BackfillState,
    /// Why it is paused.
    pub reason: Option<String>,
    /// Since when it stands so.
    pub state_since: Timestamp,
    /// When it was begun.
    pub created_at: Timestamp,
    /// Customers up to this number (see `People::customers`) are done.
    pub position: u64,
    /// The last customer's number when it was begun. Later ones come by their events.
    pub last: u64,
    /// How many customers there are to look at; at most so many while it is not done.
    pub total: u64,
    /// Brought up to date.
    pub written: u64,
    /// Nothing to do: merged into another one, or the destination keeps nothing about them.
    pub skipped: u64,
    /// Refused.
    pub failed: u64,
    /// When it was begun or last resumed, ...
    pub resumed_at: Timestamp,
    /// ... and how many were done by then: its pace is told from what came since.
    pub resumed_with: u64,
}

impl BackfillRecord {
    /// Customers that were looked at.
    #[must_use]
    pub const fn done(&self) -> u64 {
        self.written.saturating_add(self.skipped).saturating_add(self.failed)
    }
}

/// A customer whom a back-fill could not bring up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackfillFailure {
    /// Who.
    pub customer: CustomerId,
    /// Why, for people; never secrets.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// Back-fills.
pub trait Backfills {
    /// Begins one: `last` and `total` become those of this transaction. Refused with 404 without its destination, with
    /// 409 while another one of that destination is open. Answers the record as kept.
    fn begin_backfill(&self, backfill: BackfillRecord) -> Answer<'_, BackfillRecord>;
    /// One.
    fn backfill(&self, id: BackfillId) -> Answer<'_, Option<BackfillRecord>>;
    /// Of one destination or of all, newest first, with their numbers; page on with the last one's number.
    fn backfills(
        &self,
        destination: Option<DestinationId>,
        before: Option<u64>,
        limit: usize,
    ) -> Answer<'_, Vec<(u64, BackfillRecord)>>;
    /// Those that are running, oldest first: there is at most one for each destination.
    fn running_backfills(&self) -> Answer<'_, Vec<BackfillRecord>>;
    /// Saves how it stands and the failures of the last page together. Refused with 404 when it is gone, with 409 when it
    /// has ended, so that a late page cannot bring it back.
    fn save_backfill(&self, backfill: BackfillRecord, failures: Vec<BackfillFailure>) -> Answer<'_, ()>;
    /// Failures in the order in which they came, with their numbers; page on with the last one's number.
    fn backfill_failures(&self, id: BackfillId, after: u64, limit: usize) -> Answer<'_, Vec<(u64, BackfillFailure)>>;
}
