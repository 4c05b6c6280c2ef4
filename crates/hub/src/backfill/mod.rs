//! Back-fills: bringing what a destination keeps about customers up to date, for all customers, at a pace that leaves
//! live deliveries their turn.
//!
//! This is what people do with them: begin, look, hold, resume, cancel. Whoever changes the state of one has stopped its
//! walk before, so a row has one writer. The walk itself is in `walk`, one customer in `visit`, its pace in `pace`.

mod pace;
mod visit;
mod walk;

use crate::{Hub, HubError};
pub use pace::Pace;
use paidup_destinations::{Memory, Moment, Refresh};
use paidup_lifecycle::customer::Customer;
use paidup_lifecycle::ids::{BackfillId, CustomerId, DestinationId};
use paidup_lifecycle::observation::Environment;
use paidup_store::StoreError;
use paidup_store::backfills::{BackfillFailure, BackfillRecord, BackfillState};
use paidup_store::records::{DestinationRecord, DestinationState};
use parking_lot::Mutex;
use std::collections::HashMap;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Back-fills whose walks are under way here.
#[derive(Default)]
pub(crate) struct Walks {
    running: Mutex<HashMap<BackfillId, Walk>>,
    /// Held while the state of one is changed.
    changing: tokio::sync::Mutex<()>,
}

struct Walk {
    stop: CancellationToken,
    ended: JoinHandle<()>,
}

/// A back-fill as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackfillView {
    /// As kept.
    pub record: BackfillRecord,
    /// How fast it goes and when it will be through, while it runs.
    pub pace: Option<Pace>,
}

impl Hub {
    /// Goes on with every back-fill that was running when the hub stopped.
    pub(crate) async fn start_backfills(&self) -> Result<(), HubError> {
        for record in self.store().running_backfills().await? {
            tracing::info!(backfill.id = %record.id, done = record.done(), total = record.total, "back-fill goes on");
            self.start_walk(record.id);
        }
        Ok(())
    }

    /// Begins to bring a destination up to date for all customers that there are now.
    pub async fn begin_backfill(&self, destination: DestinationId) -> Result<BackfillView, HubError> {
        let _changing = self.walks().changing.lock().await;
        let target = self.served_target(destination).await?;
        let now = self.clock().now();
        let nobody = Customer::new(CustomerId([0; 16]), now);
        let refresh = Refresh { customer: &nobody, environment: Environment::Production };
        let moment = Moment { now, attempt: 1, waiting: 0 };
        if target.destination.refresh(&refresh, &Memory::default(), moment).is_none() {
            let detail = "destinations of this type keep nothing about customers: there is nothing to bring up to date";
            return Err(HubError::refused(422, "", detail));
        }
        let record = BackfillRecord {
            id: BackfillId(self.chance().seed()),
            destination,
            state: BackfillState::Running,
            reason: None,
            state_since: now,
            created_at: now,
            position: 0,
            last: 0,
            total: 0,
            written: 0,
            skipped: 0,
            failed: 0,
            resumed_at: now,
            resumed_with: 0,
        };
        let record = self.store().begin_backfill(record).await?;
        tracing::info!(backfill.id = %record.id, destination.id = %destination, total = record.total, "back-fill begins");
        self.start_walk(record.id);
        Ok(self.view_backfill(record))
    }

    /// One back-fill.
    pub async fn show_backfill(&self, id: BackfillId) -> Result<BackfillView, HubError> {
        Ok(self.view_backfill(self.backfill_record(id).await?))
    }

    /// Back-fills of a destination, or of all, newest first, with their numbers; page on with the last one's number.
    pub async fn list_backfills(
        &self,
        destination: Option<DestinationId>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, BackfillView)>, HubError> {
        if let Some(id) = destination {
            self.destination_record(id).await?;
        }
        let rows = self.store().backfills(destination, before, limit).await?;
        Ok(rows.into_iter().map(|(number, record)| (number, self.view_backfill(record))).collect())
    }

    /// Customers whom a back-fill could not bring up to date, with their numbers; page on with the last one's number.
    pub async fn backfill_failures(
        &self,
        id: BackfillId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, BackfillFailure)>, HubError> {
        self.backfill_record(id).await?;
        Ok(self.store().backfill_failures(id, after, limit).await?)
    }

    /// Holds a back-fill. What of its page is done is done again when it goes on.
    pub async fn pause_backfill(&self, id: BackfillId) -> Result<BackfillView, HubError> {
        self.change_backfill(id, BackfillState::Paused, Some("paused by hand".to_owned())).await
    }

    /// Goes on with a paused back-fill, from its last whole page.
    pub async fn resume_backfill(&self, id: BackfillId) -> Result<BackfillView, HubError> {
        self.change_backfill(id, BackfillState::Running, None).await
    }

    /// Ends a back-fill. What it has written stays.
    pub async fn cancel_backfill(&self, id: BackfillId) -> Result<BackfillView, HubError> {
        self.change_backfill(id, BackfillState::Cancelled, None).await
    }

    async fn change_backfill(
        &self,
        id: BackfillId,
        state: BackfillState,
        reason: Option<String>,
    ) -> Result<BackfillView, HubError> {
        let _changing = self.walks().changing.lock().await;
        let before = self.backfill_record(id).await?;
        if before.state == state {
            return Ok(self.view_backfill(before));
        }
        if !before.state.is_open() {
            return Err(HubError::refused(409, "", &format!("this back-fill has ended: it is {}", before.state)));
        }
        if state == BackfillState::Running {
            self.served_target(before.destination).await?;
        }
        self.stop_walk(id).await;
        // It may have come to its end, or have stopped by itself, in the meantime.
        let mut record = self.backfill_record(id).await?;
        if !record.state.is_open() || record.state == state {
            return Ok(self.view_backfill(record));
        }
        let now = self.clock().now();
        (record.state, record.reason, record.state_since) = (state, reason, now);
        if state == BackfillState::Running {
            (record.resumed_at, record.resumed_with) = (now, record.done());
        }
        self.store().save_backfill(record.clone(), Vec::new()).await?;
        tracing::info!(backfill.id = %id, state = %state, done = record.done(), total = record.total, "back-fill changed by hand");
        if state == BackfillState::Running {
            self.start_walk(id);
        }
        Ok(self.view_backfill(record))
    }

    fn start_walk(&self, id: BackfillId) {
        let stop = self.stopping().child_token();
        let ended = self.tasks().spawn(self.clone().run_walk(id, stop.clone()));
        let mut running = self.walks().running.lock();
        running.retain(|_, walk| !walk.ended.is_finished());
        running.insert(id, Walk { stop, ended });
    }

    async fn stop_walk(&self, id: BackfillId) {
        let walk = self.walks().running.lock().remove(&id);
        if let Some(walk) = walk {
            walk.stop.cancel();
            // An error would be a panic, which the panic hook has logged.
            let _ = walk.ended.await;
        }
    }

    async fn backfill_record(&self, id: BackfillId) -> Result<BackfillRecord, HubError> {
        let found = self.store().backfill(id).await?;
        found.ok_or_else(|| HubError::refused(404, "", "there is no such back-fill"))
    }

    fn view_backfill(&self, record: BackfillRecord) -> BackfillView {
        let pace = Pace::of(&record, self.clock().now());
        BackfillView { record, pace }
    }

    /// The destination, ready to be spoken to; refused while it is held.
    async fn served_target(&self, id: DestinationId) -> Result<crate::dispatch::Target, HubError> {
        let record = self.destination_record(id).await?;
        match held(&record) {
            Some(why) => Err(HubError::refused(409, "", &format!("{why}; resume it first"))),
            None => self.target(&record),
        }
    }
}

/// Why nothing may be sent to a destination.
fn held(record: &DestinationRecord) -> Option<String> {
    let reason = record.state_reason.as_deref().unwrap_or("no reason was given");
    match record.state {
        DestinationState::Active => None,
        DestinationState::Paused => Some(format!("the destination is paused: {reason}")),
        DestinationState::SwitchedOff => Some(format!("the destination is switched off: {reason}")),
    }
}

/// Gone, or ended by somebody else: nothing is left to save.
fn is_over(error: &StoreError) -> bool {
    matches!(error, StoreError::Refused(_))
}
