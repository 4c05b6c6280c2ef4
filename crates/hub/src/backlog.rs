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
use paidup_store::records::{AttemptQuery, DestinationRecord, DestinationState, Gap, GapState, Progress, ResumeFrom};
use std::time::Duration;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Gaps that are remembered of one destination.
const MAX_GAPS: usize = 20;
/// Nothing was taken for so long: before, it is what retries are for.
const FAILING_FOR: Duration = Duration::from_secs(10 * 60);

/// An event that waits for so long, while others are taken, comes late.
const LATE_AFTER: Duration = Duration::from_secs(3_600);

/// How a destination stands, apart from its record.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    /// Positions of the log that are neither settled nor parked.
    pub(crate) behind: u64,
    /// Since when nothing was taken any more.
    pub(crate) failing_since: Option<Timestamp>,
    /// What the newest attempt came to, while nothing is taken.
    pub(crate) why: Option<String>,
    /// Events in trouble.
    pub(crate) parked: usize,
    /// When the oldest event was found that is neither settled nor parked; `None` too when it came since the last look.
    pub(crate) oldest: Option<Timestamp>,
}

/// What is wrong with a destination. Pure.
pub(crate) fn findings(record: &DestinationRecord, standing: &Standing, now: Timestamp) -> Vec<Alert> {
    let Standing { behind, failing_since, parked, oldest, .. } = *standing;
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
        // It could not have been told before it was served.
        let waits_since = oldest.map(|oldest| oldest.max(record.state_since));
        if let Some(since) = failing_since.filter(|since| now.since(*since) >= FAILING_FOR) {
            let why = standing.why.as_ref().map(|why| format!("the last attempt: {why}"));
            find(AlertKind::Failing, since, why.unwrap_or_else(|| "its attempts say why".to_owned()));
        } else if let Some(since) = waits_since.filter(|since| now.since(*since) >= LATE_AFTER) {
            find(AlertKind::Late, since, format!("it takes too few: events wait since {since}, {behind} by now"));
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
        let mut looked_at = Vec::new();
        for mut record in self.store().destinations().await? {
            let mut standing = self.standing_of(&record).await?;
            if standing.behind > record.max_backlog && record.open_gap().is_none() {
                let Some(off) = self.cut_off(record.id).await? else { continue };
                record = off;
                standing = self.standing_of(&record).await?;
            }
            self.destinations().dispatch().port().figures.behind(record.id, standing.behind);
            self.alerts().stand(record.id, findings(&record, &standing, self.clock().now()));
            looked_at.push(record);
        }
        self.alerts().look(self.clock().now());
        self.tell_alerts(&looked_at).await
    }

    /// What is wrong with a destination now.
    pub(crate) fn alerts_of(&self, record: &DestinationRecord, standing: &Standing) -> Vec<Alert> {
        self.alerts().dated(record.id, findings(record, standing, self.clock().now()))
    }

    pub(crate) async fn standing_of(&self, record: &DestinationRecord) -> Result<Standing, HubError> {
        let parked = self.destinations().dispatch().port().figures.of(record.id).parked();
        let mut standing = Standing { parked, ..Standing::default() };
        for progress in self.store().progress(record.id).await? {
            let behind = progress.behind(self.store().head(progress.partition).await?);
            standing.behind += behind;
            standing.failing_since = standing.failing_since.max(progress.failing_since);
            if behind > 0 {
                let next = self.store().events_after(progress.partition, progress.cursor, 1).await?;
                let oldest = next.first().map(|event| event.event.detected_at);
                let oldest = oldest.filter(|oldest| self.alerts().was_there_at_the_last_look(*oldest));
                standing.oldest = standing.oldest.into_iter().chain(oldest).min();
            }
        }
        if standing.failing_since.is_some() {
            let newest = AttemptQuery { destination: Some(record.id), limit: 1, ..AttemptQuery::default() };
            standing.why = self.store().attempts(newest).await?.pop().and_then(|newest| newest.record.detail);
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

#[cfg(test)]
mod tests {
    use super::*;
    use paidup_store::records::{LaneOrder, Start};

    fn at(minute: u64) -> Timestamp {
        Timestamp::default().plus(Duration::from_secs(60 * minute))
    }

    fn record(state: DestinationState, reason: Option<&str>) -> DestinationRecord {
        DestinationRecord {
            id: DestinationId([1; 16]),
            kind: "webhook".to_owned(),
            name: "hook".to_owned(),
            settings: Vec::new(),
            order: LaneOrder::Purchase,
            filters: Vec::new(),
            start: Start::Now,
            state,
            state_reason: reason.map(str::to_owned),
            state_since: at(100),
            max_backlog: 100,
            keep_trying: Duration::from_secs(75 * 3_600),
            skip_after: None,
            gaps: Vec::new(),
            created_at: at(0),
        }
    }

    #[test]
    fn what_is_wrong_follows_from_what_is() {
        use AlertKind as A;
        let served = || record(DestinationState::Active, None);
        let well = Standing::default;
        let waits = |behind, oldest| Standing { behind, oldest: Some(at(oldest)), ..well() };
        let fails = |since| Standing { failing_since: Some(at(since)), ..waits(5, since) };
        let gap = Gap { first: 1, last: 9, events: 9, noted_at: at(1), reason: String::new(), state: GapState::Open };
        // (name, record, standing, minute, what stands)
        let table: [(&str, DestinationRecord, Standing, u64, &[AlertKind]); 12] = [
            ("well", served(), well(), 500, &[]),
            ("some wait", served(), waits(89, 499), 500, &[]),
            ("many wait", served(), waits(90, 499), 500, &[A::Backlog]),
            ("one waits for long", served(), waits(1, 440), 500, &[A::Late]),
            ("it was resumed just now", served(), waits(1, 2), 159, &[]),
            ("it was resumed an hour ago", served(), waits(1, 2), 160, &[A::Late]),
            ("fails for a moment", served(), fails(495), 500, &[]),
            ("fails for long, which is why it is late", served(), fails(200), 500, &[A::Failing]),
            ("crowded", served(), Standing { parked: MAX_PARKED, ..well() }, 500, &[A::Crowded]),
            ("paused by hand", record(DestinationState::Paused, Some(PAUSED_BY_HAND)), waits(5, 2), 500, &[]),
            ("paused by us", record(DestinationState::Paused, Some("five in a row")), waits(5, 2), 500, &[A::Paused]),
            (
                "switched off with a gap",
                DestinationRecord { gaps: vec![gap], ..record(DestinationState::SwitchedOff, Some("too many")) },
                waits(101, 2),
                500,
                &[A::SwitchedOff, A::Gap],
            ),
        ];
        for (name, record, standing, minute, expected) in table {
            let found: Vec<AlertKind> =
                findings(&record, &standing, at(minute)).iter().map(|alert| alert.kind).collect();
            assert_eq!(found, expected, "{name}");
        }
        let why = Standing { why: Some("the receiver answered 500".to_owned()), ..fails(200) };
        assert_eq!(findings(&served(), &why, at(500))[0].detail, "the last attempt: the receiver answered 500");
    }
}
