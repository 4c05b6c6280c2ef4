//! Telling events again because a person wants it. (What the hub tries again by itself is `dispatch::retry`.)
//!
//! One event is in `one`; many are a replay of its own, which is kept: begun, looked at, held, resumed, cancelled here. Its
//! walk through the log, in order and at its pace, is in `walk`.

mod one;
mod walk;

use crate::dispatch::PARTITION;
use crate::{Hub, HubError};
use paidup_lifecycle::ids::ReplayId;
use paidup_lifecycle::time::Timestamp;
use paidup_store::replays::{ReplayQuery, ReplayRecord, ReplayState};
use std::collections::HashMap;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Events a minute when nobody says: half of what one busy destination takes, so live events keep their turn.
pub const USUAL_PACE: u32 = 3_000;
/// Most events a minute.
pub const MAX_PACE: u32 = 600_000;
/// Most replays that are running or paused.
const MAX_OPEN: usize = 20;

/// Replays whose walks are under way here.
#[derive(Default)]
pub(crate) struct Replays {
    running: parking_lot::Mutex<HashMap<ReplayId, Walk>>,
    /// Held while the state of one is changed.
    changing: tokio::sync::Mutex<()>,
}

struct Walk {
    stop: CancellationToken,
    ended: JoinHandle<()>,
}

impl Hub {
    /// Goes on with every replay that was running when the hub stopped.
    pub(crate) async fn start_replays(&self) -> Result<(), HubError> {
        for record in self.store().open_replays().await? {
            if record.state == ReplayState::Running {
                tracing::info!(replay.id = %record.id, told = record.told, "replay goes on");
                self.start_replay(record.id);
            }
        }
        Ok(())
    }

    /// Begins to tell again what the query names, of what is in the log now. At most `per_minute` events a minute.
    pub async fn begin_replay(&self, query: ReplayQuery, per_minute: u32) -> Result<ReplayRecord, HubError> {
        if !(1..=MAX_PACE).contains(&per_minute) {
            return Err(HubError::refused(422, "/per_minute", &format!("1 to {MAX_PACE} events a minute")));
        }
        if let (Some(from), Some(to)) = (query.from, query.to)
            && to <= from
        {
            return Err(HubError::refused(422, "/to", "must be later than `from`"));
        }
        if let Some(id) = query.destination {
            let found = self.destination_record(id).await;
            found.map_err(|_| HubError::refused(422, "/destination", "there is no such destination"))?;
        }
        let _changing = self.replays().changing.lock().await;
        if self.store().open_replays().await?.len() >= MAX_OPEN {
            let detail = format!("{MAX_OPEN} replays are running or paused; cancel one, or wait for its end");
            return Err(HubError::refused(409, "", &detail));
        }
        let kept = self.store().pruned().await?.position + 1;
        let first = match query.from {
            Some(from) => self.store().position_at(PARTITION, from).await?.max(kept),
            None => kept,
        };
        let last = match query.to {
            Some(to) => self.store().position_at(PARTITION, to).await? - 1,
            None => self.store().head(PARTITION).await?,
        };
        let now = self.clock().now();
        let record = ReplayRecord {
            id: ReplayId(self.chance().seed()),
            state: ReplayState::Running,
            state_since: now,
            created_at: now,
            query,
            per_minute,
            first,
            last,
            position: first - 1,
            told: 0,
        };
        self.store().begin_replay(record.clone()).await?;
        tracing::info!(replay.id = %record.id, first, last, "replay begins");
        self.start_replay(record.id);
        Ok(record)
    }

    /// One replay.
    pub async fn show_replay(&self, id: ReplayId) -> Result<ReplayRecord, HubError> {
        let found = self.store().replay(id).await?;
        found.ok_or_else(|| HubError::refused(404, "", "there is no such replay"))
    }

    /// Holds a replay. What was handed over already is still delivered.
    pub async fn pause_replay(&self, id: ReplayId) -> Result<ReplayRecord, HubError> {
        self.change_replay(id, ReplayState::Paused).await
    }

    /// Goes on with a paused replay where it stopped.
    pub async fn resume_replay(&self, id: ReplayId) -> Result<ReplayRecord, HubError> {
        self.change_replay(id, ReplayState::Running).await
    }

    /// Ends a replay. What was handed over already is still delivered.
    pub async fn cancel_replay(&self, id: ReplayId) -> Result<ReplayRecord, HubError> {
        self.change_replay(id, ReplayState::Cancelled).await
    }

    async fn change_replay(&self, id: ReplayId, state: ReplayState) -> Result<ReplayRecord, HubError> {
        let _changing = self.replays().changing.lock().await;
        self.show_replay(id).await?;
        // It keeps how far it has come before it stops, so it goes on there.
        self.stop_replay(id).await;
        let now: Timestamp = self.clock().now();
        let record = self.store().change_replay(id, state, now).await?;
        let record = record.ok_or_else(|| HubError::refused(404, "", "there is no such replay"))?;
        if record.state != state {
            return Err(HubError::refused(409, "", &format!("this replay has ended: it is {}", record.state)));
        }
        tracing::info!(replay.id = %id, state = %state, told = record.told, "replay changed by hand");
        if state == ReplayState::Running {
            self.start_replay(id);
        }
        Ok(record)
    }

    fn start_replay(&self, id: ReplayId) {
        let stop = self.stopping().child_token();
        let ended = self.tasks().spawn(self.clone().run_replay(id, stop.clone()));
        let mut running = self.replays().running.lock();
        running.retain(|_, walk| !walk.ended.is_finished());
        running.insert(id, Walk { stop, ended });
    }

    async fn stop_replay(&self, id: ReplayId) {
        let walk = self.replays().running.lock().remove(&id);
        if let Some(walk) = walk {
            walk.stop.cancel();
            // An error would be a panic, which the panic hook has logged.
            let _ = walk.ended.await;
        }
    }
}
