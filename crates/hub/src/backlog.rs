//! Backlogs end: looks at every destination now and then, served or not, tells the operator what is wrong with it, and
//! switches off one for which too many events wait, with the gap on record. Also how a destination is served again.
//!
//! Without this a destination that nobody mends would keep the whole log for ever: pruning stops at the lowest cursor.
//! What stands between `max_backlog` and here is only the time between two looks.

use crate::alerts::{Alert, AlertKind};
use crate::destinations::{DestinationView, PAUSED_BY_HAND};
use crate::dispatch::settle::MAX_PARKED;
use crate::{Hub, HubError};
use paidup_lifecycle::ids::DestinationId;
use paidup_lifecycle::time::Timestamp;
use paidup_store::records::{DestinationRecord, DestinationState, Gap, GapState, Progress, ResumeFrom};
use std::time::Duration;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Gaps that are remembered of one destination.
const MAX_GAPS: usize = 20;
/// Nothing was taken for so long: before, it is what retries are for.
const FAILING_FOR: Duration = Duration::from_secs(10 * 60);

/// How a destination stands, apart from its record.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Standing {
    /// Positions of the log that are neither settled nor parked.
    pub(crate) behind: u64,
    /// Since when nothing was taken any more.
    pub(crate) failing_since: Option<Timestamp>,
    /// Events in trouble.
    pub(crate) parked: usize,
}

/// What is wrong with a destination. Pure.
pub(crate) fn findings(record: &DestinationRecord, standing: Standing, now: Timestamp) -> Vec<Alert> {
    let Standing { behind, failing_since, parked } = standing;
    let mut found = Vec::new();
    let mut find = |kind, since, detail| found.push(Alert { kind, since, detail });
    let reason = record.state_reason.as_deref().unwrap_or_default();
    match record.state {
        DestinationState::SwitchedOff => {
            find(AlertKind::SwitchedOff, record.state_since, format!("{reason}; mend it and resume it"));
        }
        DestinationState::Paused if reason != PAUSED_BY_HAND => {
            find(AlertKind::Paused, record.state_since, format!("{reason}; mend it and resume it"));
        }
        DestinationState::Paused | DestinationState::Active => {}
    }
    let max = record.max_backlog;
    if let Some(gap) = record.open_gap() {
        let detail = format!(
            "{behind} events from position {} on wait for a decision: resume from `head` leaves them out, from `gap` \
             tells those that are still kept",
            gap.first
        );
        find(AlertKind::Gap, gap.noted_at, detail);
    } else if u128::from(behind) * 10 >= u128::from(max) * 9 {
        find(AlertKind::Backlog, now, format!("{behind} events wait; beyond {max} it is switched off"));
    }
    if record.state == DestinationState::Active {
        if let Some(since) = failing_since.filter(|since| now.since(*since) >= FAILING_FOR) {
            find(AlertKind::Failing, since, "nothing is taken any more; its attempts say why".to_owned());
        }
        if parked >= MAX_PARKED {
            find(
                AlertKind::Crowded,
                now,
                format!("{parked} events are in trouble; no more are read until some are done"),
            );
        }
    }
    found
}

impl Hub {
    /// Looks at every destination, again and again, until the hub stops.
    pub(crate) async fn run_backlog(self) {
        loop {
            if let Err(error) = self.look_at_destinations().await {
                tracing::warn!(%error, "destinations cannot be looked at now");
            }
            tokio::select! {
                () = self.stopping().cancelled() => return,
                () = self.clock().sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Tells what is wrong with each, and switches off those for which too many events wait.
    pub(crate) async fn look_at_destinations(&self) -> Result<(), HubError> {
        for mut record in self.store().destinations().await? {
            let mut standing = self.standing_of(&record).await?;
            if standing.behind > record.max_backlog && record.open_gap().is_none() {
                let Some(off) = self.cut_off(record.id).await? else { continue };
                record = off;
                standing = self.standing_of(&record).await?;
            }
            self.destinations().dispatch().port().figures.behind(record.id, standing.behind);
            self.alerts().stand(record.id, findings(&record, standing, self.clock().now()));
        }
        Ok(())
    }

    /// What is wrong with a destination now.
    pub(crate) fn alerts_of(&self, record: &DestinationRecord, standing: Standing) -> Vec<Alert> {
        self.alerts().dated(record.id, findings(record, standing, self.clock().now()))
    }

    pub(crate) async fn standing_of(&self, record: &DestinationRecord) -> Result<Standing, HubError> {
        let parked = self.destinations().dispatch().port().figures.of(record.id).parked();
        let mut standing = Standing { parked, ..Standing::default() };
        for progress in self.store().progress(record.id).await? {
            standing.behind += progress.behind(self.store().head(progress.partition).await?);
            standing.failing_since = standing.failing_since.max(progress.failing_since);
        }
        Ok(standing)
    }

    /// Switches a destination off with its gap on record, in one transaction. `None`: it is gone, or was mended.
    async fn cut_off(&self, id: DestinationId) -> Result<Option<DestinationRecord>, HubError> {
        let _changing = self.destinations().changing().await;
        let mut record = match self.destination_record(id).await {
            Ok(record) => record,
            Err(error) if error.status() == 404 => return Ok(None),
            Err(error) => return Err(error),
        };
        let behind = self.standing_of(&record).await?.behind;
        if behind <= record.max_backlog || record.open_gap().is_some() {
            return Ok(Some(record));
        }
        let before = record.state_reason.take().map(|reason| format!("; before: {reason}")).unwrap_or_default();
        let reason = format!("{behind} events waited, more than max_backlog ({}){before}", record.max_backlog);
        tracing::error!(destination.id = %id, behind, "destination switched off, the gap stands on record");
        let now = self.clock().now();
        self.open_gap(&mut record, behind, reason.clone(), now).await?;
        (record.state, record.state_reason, record.state_since) = (DestinationState::SwitchedOff, Some(reason), now);
        let record = self.store().put_destination(record).await?;
        self.destinations().dispatch().stop(id).await;
        Ok(Some(record))
    }

    /// Notes a gap from where the destination stopped to the head of the log.
    async fn open_gap(
        &self,
        record: &mut DestinationRecord,
        events: u64,
        reason: String,
        noted_at: Timestamp,
    ) -> Result<(), HubError> {
        let progress = self.store().progress(record.id).await?.into_iter().next().unwrap_or(Progress::at(0, 0));
        let last = self.store().head(progress.partition).await?;
        if record.gaps.len() >= MAX_GAPS {
            record.gaps.remove(0);
        }
        record.gaps.push(Gap { first: progress.cursor + 1, last, events, noted_at, reason, state: GapState::Open });
        Ok(())
    }

    /// Serves a destination again. `from` says where: by default where it stopped, or, when a gap is open, at the head.
    pub async fn resume_destination(
        &self,
        id: DestinationId,
        from: Option<ResumeFrom>,
    ) -> Result<DestinationView, HubError> {
        let _changing = self.destinations().changing().await;
        let mut record = self.destination_record(id).await?;
        if record.state == DestinationState::Active {
            return self.view_destination(&record).await;
        }
        self.target(&record)?;
        let (behind, now) = (self.standing_of(&record).await?.behind, self.clock().now());
        let from = from.unwrap_or(match record.open_gap() {
            Some(_) => ResumeFrom::Head,
            None => ResumeFrom::Cursor,
        });
        match from {
            ResumeFrom::Cursor => fits(record.max_backlog, behind)?,
            ResumeFrom::Head if record.open_gap().is_none() && behind > 0 => {
                self.open_gap(&mut record, behind, "resumed at the newest event by hand".to_owned(), now).await?;
            }
            ResumeFrom::Head => {}
        }
        (record.state, record.state_reason, record.state_since) = (DestinationState::Active, None, now);
        let record = self.store().resume_destination(record, from).await?;
        self.destinations().dispatch().stop(id).await;
        self.serve_gently(&record)?;
        self.view_destination(&record).await
    }
}

/// Whether so many events may wait: else the destination would be switched off at once.
pub(crate) fn fits(max_backlog: u64, behind: u64) -> Result<(), HubError> {
    if behind <= max_backlog {
        return Ok(());
    }
    let detail = format!("{behind} events would wait, more than max_backlog ({max_backlog}): set a larger one first");
    Err(HubError::refused(422, "/max_backlog", &detail))
}
