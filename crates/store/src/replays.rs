//! Ranges of the log that are told again because a person wants it. What is kept of them, and the calls.

use crate::Answer;
use paidup_lifecycle::closed_set;
use paidup_lifecycle::filter::Filter;
use paidup_lifecycle::ids::{CustomerId, DestinationId, PurchaseId, ReplayId};
use paidup_lifecycle::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Most replays that are kept; the oldest that have ended go first.
pub const MAX_KEPT: u64 = 1_000;

closed_set! {
    /// How a replay stands.
    pub enum ReplayState {
        /// Under way; goes on by itself when the hub starts again.
        Running = "running",
        /// Held by a person.
        Paused = "paused",
        /// All of its events were handed over.
        Done = "done",
        /// Ended by a person.
        Cancelled = "cancelled",
    }
}

impl ReplayState {
    /// It may still tell something.
    #[must_use]
    pub const fn is_open(self) -> bool {
        match self {
            ReplayState::Running | ReplayState::Paused => true,
            ReplayState::Done | ReplayState::Cancelled => false,
        }
    }
}

closed_set! {
    /// Which deliveries a replay tells again.
    pub enum ReplayOnly {
        /// Those that were given up and have not arrived since.
        Failed = "failed",
    }
}

/// Which events are told again, and to whom.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReplayQuery {
    /// Only this destination; `None`: every one that is served. Each is told what its own filter wants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<DestinationId>,
    /// Detected at or after this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Detected before this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    /// Types, environments, sources, products; empty lists mean all.
    pub filter: Filter,
    /// Of this customer, and of those who were merged into it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerId>,
    /// Of this purchase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purchase: Option<PurchaseId>,
    /// To each destination only what became of it there; `None`: whatever became of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only: Option<ReplayOnly>,
}

/// A replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayRecord {
    /// Its id.
    pub id: ReplayId,
    /// How it stands.
    pub state: ReplayState,
    /// Since when.
    pub state_since: Timestamp,
    /// When it was begun.
    pub created_at: Timestamp,
    /// Which events, to whom.
    pub query: ReplayQuery,
    /// At most so many events a minute, each counted once for each destination.
    pub per_minute: u32,
    /// First position of the log that is looked at.
    pub first: u64,
    /// Last one. Smaller than `first`: there is nothing.
    pub last: u64,
    /// Looked at up to here; `first - 1` at the beginning.
    pub position: u64,
    /// Events that were handed over to destinations.
    pub told: u64,
}

/// Replays.
pub trait Replays {
    /// Begins one, and forgets the oldest that have ended.
    fn begin_replay(&self, replay: ReplayRecord) -> Answer<'_, ()>;
    /// One.
    fn replay(&self, id: ReplayId) -> Answer<'_, Option<ReplayRecord>>;
    /// Newest first, with their numbers; page on with the last one's number.
    fn replays(&self, before: Option<u64>, limit: usize) -> Answer<'_, Vec<(u64, ReplayRecord)>>;
    /// Those that are running or paused, oldest first.
    fn open_replays(&self) -> Answer<'_, Vec<ReplayRecord>>;
    /// Keeps how far a running one has come. Nothing happens to one that was held or has ended.
    fn advance_replay(&self, id: ReplayId, position: u64, told: u64) -> Answer<'_, ()>;
    /// Changes how an open one stands; one that has ended stays as it is. Answers it as it stands then.
    fn change_replay(&self, id: ReplayId, state: ReplayState, at: Timestamp) -> Answer<'_, Option<ReplayRecord>>;
}
