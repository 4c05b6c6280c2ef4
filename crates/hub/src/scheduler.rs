//! The clock's side: deadlines that are due become `Tick` commands through the one door. It sleeps until the earliest
//! deadline and is woken when a commit brings an earlier one. Deadlines are rows of the database, so a restart forgets
//! none; those that passed meanwhile are looked at at once.

use crate::Hub;
use crate::clock::Sleep;
use crate::commit::command::Command;
use paidup_lifecycle::ids::PurchaseId;
use paidup_lifecycle::time::Timestamp;
use paidup_store::{StoreError, Urgency};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// Deadlines that are looked at together, in one journal entry.
const BATCH: usize = 100;
/// How long to wait when the database cannot be used.
const TROUBLE: Duration = Duration::from_secs(1);

/// What the clock waits for, as far as tasks must be woken.
pub(crate) struct Agenda {
    /// Until when the scheduler sleeps, in milliseconds.
    sleeps_until: AtomicI64,
    sooner: Notify,
    asked: Notify,
    changed: Notify,
}

impl Default for Agenda {
    fn default() -> Agenda {
        Agenda {
            sleeps_until: AtomicI64::new(i64::MAX),
            sooner: Notify::new(),
            asked: Notify::new(),
            changed: Notify::new(),
        }
    }
}

impl Agenda {
    /// A commit has set a deadline, or put a question.
    pub(crate) fn wake(&self, deadline: Timestamp, asks: bool) {
        if deadline.as_millis() < self.sleeps_until.load(Ordering::Acquire) {
            self.sooner.notify_one();
        }
        if asks {
            self.asked.notify_one();
        }
    }

    /// The catalogue has changed.
    pub(crate) fn wake_catalogue(&self) {
        self.changed.notify_one();
    }

    pub(crate) async fn question(&self) {
        self.asked.notified().await;
    }

    pub(crate) async fn catalogue_change(&self) {
        self.changed.notified().await;
    }
}

impl Hub {
    /// Settles deadlines until the hub stops.
    pub(crate) async fn run_scheduler(self) {
        loop {
            let settled = tokio::select! {
                () = self.stopping().cancelled() => return,
                settled = self.settle_due() => settled,
            };
            let sleep = match settled {
                // There may be more.
                Ok(BATCH..) => continue,
                Ok(_) => self.sleep_until_next().await,
                Err(error) => {
                    tracing::warn!(%error, "deadlines cannot be settled now");
                    self.clock().sleep(TROUBLE)
                }
            };
            tokio::select! {
                () = self.stopping().cancelled() => return,
                () = sleep => {}
                () = self.agenda().sooner.notified() => {}
            }
        }
    }

    /// Looks at deadlines that are due; answers how many there were.
    pub(crate) async fn settle_due(&self) -> Result<usize, StoreError> {
        let due = self.store().due_deadlines(self.clock().now(), BATCH).await?;
        if due.is_empty() {
            return Ok(0);
        }
        let purchases: Vec<PurchaseId> = due.iter().map(|(_, purchase)| *purchase).collect();
        self.tick(purchases).await?;
        self.metrics().tick(due.len() as u64);
        let count = due.len();
        self.store().forget_deadlines(due).await?;
        Ok(count)
    }

    /// Ticks together; when one of them cannot be decided or is damaged, each by itself, so that the others go on.
    async fn tick(&self, purchases: Vec<PurchaseId>) -> Result<(), StoreError> {
        let alone = purchases.len() == 1;
        match self.commit_store(Urgency::Rest, Command::Tick { purchases: purchases.clone() }).await {
            Ok(()) => Ok(()),
            Err(
                error @ (StoreError::DecisionPanicked(_) | StoreError::Corrupt(_) | StoreError::Inconsistent { .. }),
            ) if alone => {
                let id = purchases.first().map(ToString::to_string).unwrap_or_default();
                tracing::error!(purchase.id = %id, %error, "a deadline cannot be decided; it is dropped");
                Ok(())
            }
            Err(StoreError::DecisionPanicked(_) | StoreError::Corrupt(_) | StoreError::Inconsistent { .. }) => {
                for purchase in purchases {
                    Box::pin(self.tick(vec![purchase])).await?;
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn sleep_until_next(&self) -> Sleep {
        // Set before the database is read: whoever sets an earlier deadline from here on wakes us.
        self.agenda().sleeps_until.store(i64::MAX, Ordering::Release);
        let next = match self.store().next_deadline().await {
            Ok(next) => next,
            Err(error) => {
                tracing::warn!(%error, "the next deadline cannot be read now");
                return self.clock().sleep(TROUBLE);
            }
        };
        match next {
            Some(at) => {
                self.agenda().sleeps_until.store(at.as_millis(), Ordering::Release);
                self.clock().sleep_until(at)
            }
            None => Box::pin(std::future::pending()),
        }
    }
}
