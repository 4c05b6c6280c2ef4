//! Forgets what is older than the operator wants to keep, class by class, by the hub's clock. The store does it in slices
//! and never takes what a destination still needs; what is decided here is only how old and how often.

use crate::Hub;
use crate::dispatch::MEMORIES_KEPT;
use paidup_lifecycle::time::Timestamp;
use paidup_store::StoreError;
use std::time::Duration;

/// Between two rounds.
const EVERY: Duration = Duration::from_secs(3600);

/// How long clues are kept: refunds and disputes of a year's subscription come within it.
const CLUES_KEPT: Duration = Duration::from_secs(400 * 86_400);

/// What a round removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// What sources had received.
    pub notifications: u64,
    /// Of the log.
    pub events: u64,
    /// Decisions of which nothing else is left.
    pub journal: u64,
    /// What was to be looked up at stores, and was given up.
    pub lookups: u64,
    /// Tries at delivering.
    pub attempts: u64,
    /// What destinations remembered.
    pub memories: u64,
    /// What answers lookups where a store cannot be asked.
    pub clues: u64,
}

impl Hub {
    /// Rounds of pruning, until the hub stops.
    pub(crate) async fn run_pruning(self) {
        loop {
            match self.prune().await {
                Ok(pruned) if pruned == Pruned::default() => {}
                Ok(Pruned { notifications, events, journal, lookups, attempts, memories, clues }) => {
                    tracing::info!(
                        notifications,
                        events,
                        journal,
                        lookups,
                        attempts,
                        memories,
                        clues,
                        "old rows were forgotten"
                    );
                }
                Err(error) => tracing::warn!(%error, "old rows cannot be forgotten now"),
            }
            tokio::select! {
                () = self.stopping().cancelled() => return,
                () = self.clock().sleep(EVERY) => {}
            }
        }
    }

    /// One round.
    pub async fn prune(&self) -> Result<Pruned, StoreError> {
        let (retention, now, store) = (self.config().retention, self.clock().now(), self.store());
        let before = |kept: Duration| -> Timestamp { now.minus(kept) };
        let mut pruned = Pruned::default();
        if let Some(kept) = retention.attempts {
            pruned.attempts = store.prune_attempts(before(kept)).await?;
        }
        if let Some(kept) = retention.events {
            pruned.events = store.prune_events(before(kept)).await?;
        }
        if let Some(kept) = retention.notifications {
            pruned.notifications = store.prune_notifications(before(kept)).await?;
            pruned.lookups = store.prune_lookups(before(kept)).await?;
        }
        // A rebuild folds all of the journal or none, an explanation names entries: it goes with the last of the two.
        if let (Some(notifications), Some(events)) = (retention.notifications, retention.events) {
            pruned.journal = store.prune_journal(before(notifications.max(events))).await?;
        }
        self.end_old_claims().await?;
        pruned.memories = store.prune_memories(MEMORIES_KEPT).await?;
        pruned.clues = store.prune_clues(before(CLUES_KEPT)).await?;
        Ok(pruned)
    }
}
