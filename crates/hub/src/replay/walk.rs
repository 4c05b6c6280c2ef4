//! A replay's walk through the log: in order, at its pace, and never far ahead of what its destinations have taken.
//!
//! What was handed over is a durable row of the destination's before the place is saved, so a hub that stops tells at most
//! one step again, and loses none.

use crate::dispatch::{PARTITION, Target};
use crate::{Hub, HubError};
use paidup_destinations::LoggedEvent;
use paidup_lifecycle::ids::{CustomerId, ReplayId};
use paidup_store::StoreError;
use paidup_store::records::{AttemptQuery, DeliveryState, DestinationState, EventQuery};
use paidup_store::replays::{ReplayOnly, ReplayRecord, ReplayState};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Events that are read at a time.
const PAGE: usize = 200;
/// So many of a destination's events may wait; beyond, the replay waits for it.
const MAX_AHEAD: usize = 1_000;
/// How long it waits for a destination that is that far behind, or for the database, before it looks again.
const PAUSE: Duration = Duration::from_secs(1);
/// Events of one customer or purchase that a replay takes in; more than that is a range of the log.
const MAX_OF_ONE: usize = 100_000;

/// What is to be told next, in order, and up to where the log was looked at then.
struct Page {
    events: Vec<LoggedEvent>,
    position: u64,
}

impl Hub {
    /// Walks until the end, or until `stop`.
    pub(super) async fn run_replay(self, id: ReplayId, stop: CancellationToken) {
        while !stop.is_cancelled() {
            // A step is not broken off: what it handed over must be saved with its place.
            let wait = match self.replay_step(id).await {
                Ok(Some(wait)) => wait,
                Ok(None) => return,
                Err(HubError::Store(error @ StoreError::Unavailable(_))) => {
                    tracing::warn!(replay.id = %id, %error, "the replay waits for the database");
                    PAUSE
                }
                Err(error) => {
                    tracing::error!(replay.id = %id, %error, "the replay cannot go on");
                    return;
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.clock().sleep(wait) => {}
            }
        }
    }

    /// One step. Answers how long to wait before the next; `None`: nothing more is to be done.
    async fn replay_step(&self, id: ReplayId) -> Result<Option<Duration>, HubError> {
        let Some(record) = self.store().replay(id).await?.filter(|one| one.state == ReplayState::Running) else {
            return Ok(None);
        };
        let targets = self.replay_targets(&record).await?;
        if self.is_far_behind(&targets).await? {
            return Ok(Some(PAUSE));
        }
        // A second's worth, so that the pace is even.
        let most = usize::try_from(record.per_minute.div_ceil(60)).unwrap_or(PAGE).min(PAGE);
        let Page { events, mut position } = self.replay_page(&record, &targets).await?;
        let mut told = 0;
        for event in &events {
            if told >= most {
                position = event.position - 1;
                break;
            }
            for target in targets.iter().filter(|target| target.wants_now(event)) {
                if record.query.only.is_none() || self.was_given_up(target, event).await? {
                    self.replay_to(target, event).await?;
                    told += 1;
                }
            }
        }
        self.store().advance_replay(id, position, record.told + told as u64).await?;
        if position >= record.last {
            self.store().change_replay(id, ReplayState::Done, self.clock().now()).await?;
            tracing::info!(replay.id = %id, told = record.told + told as u64, "replay is done");
            return Ok(None);
        }
        let pace = Duration::from_secs(60).mul_f64(told as f64 / f64::from(record.per_minute));
        Ok(Some(pace))
    }

    /// Whom it tells: one, served or not; or all that are served.
    async fn replay_targets(&self, record: &ReplayRecord) -> Result<Vec<Target>, HubError> {
        let records = self.store().destinations().await?;
        let is_meant = |one: &&paidup_store::records::DestinationRecord| match record.query.destination {
            Some(id) => one.id == id,
            None => one.state == DestinationState::Active,
        };
        // One that cannot be opened was said so at the start and must not keep the others from it.
        Ok(records.iter().filter(is_meant).filter_map(|one| self.target(one).ok()).collect())
    }

    async fn is_far_behind(&self, targets: &[Target]) -> Result<bool, HubError> {
        for target in targets {
            if self.store().parked(target.id, MAX_AHEAD).await?.len() >= MAX_AHEAD {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What is to be told next, by whatever index finds the fewest.
    async fn replay_page(&self, record: &ReplayRecord, targets: &[Target]) -> Result<Page, HubError> {
        let query = &record.query;
        if record.position >= record.last {
            return Ok(Page { events: Vec::new(), position: record.last });
        }
        let is_of_one = query.customer.is_some() || query.purchase.is_some();
        let mut page = match query.only {
            None | Some(ReplayOnly::Failed) if is_of_one => self.events_of_one(record).await?,
            Some(ReplayOnly::Failed) => return self.failed_page(record, targets).await,
            None => self.store().events_after(PARTITION, record.position, PAGE).await?,
        };
        let position = match page.last() {
            Some(last) if page.len() >= PAGE => last.position.min(record.last),
            Some(_) | None => record.last,
        };
        page.retain(|event| event.position <= record.last && query.filter.wants(&event.event));
        Ok(Page { events: page, position })
    }

    /// What was given up at any of the targets.
    async fn failed_page(&self, record: &ReplayRecord, targets: &[Target]) -> Result<Page, HubError> {
        let (query, mut position, mut found) = (&record.query, record.last, BTreeMap::new());
        for target in targets {
            let given_up = self.store().given_up(target.id, record.position, record.last, PAGE).await?;
            if let Some((last, _)) = given_up.last().filter(|_| given_up.len() >= PAGE) {
                position = position.min(*last);
            }
            found.extend(given_up);
        }
        let mut events = Vec::new();
        for (_, id) in found.into_iter().take_while(|(place, _)| *place <= position) {
            // One that is no longer kept cannot be told again.
            let event = self.store().event(id).await?;
            events.extend(event.filter(|event| query.filter.wants(&event.event)));
        }
        Ok(Page { events, position })
    }

    /// Whether the last word on an event at a destination is that it was given up.
    async fn was_given_up(&self, target: &Target, event: &LoggedEvent) -> Result<bool, HubError> {
        let of_this = AttemptQuery {
            destination: Some(target.id),
            event: Some(event.event.id),
            limit: 1,
            ..AttemptQuery::default()
        };
        let newest = self.store().attempts(of_this).await?;
        Ok(newest.first().is_some_and(|attempt| attempt.record.state == DeliveryState::Failed))
    }

    /// The next page of what concerns one customer or purchase: found by their own indexes, newest first.
    async fn events_of_one(&self, record: &ReplayRecord) -> Result<Vec<LoggedEvent>, HubError> {
        let customer: Option<CustomerId> = record.query.customer;
        let mut found: Vec<LoggedEvent> = Vec::new();
        let mut before = Some(record.last + 1);
        while found.len() < MAX_OF_ONE {
            let query = EventQuery {
                customer,
                purchase: record.query.purchase,
                before_position: before,
                limit: PAGE,
                ..EventQuery::default()
            };
            let page = self.store().events(query).await?;
            let is_last = page.len() < PAGE || page.last().is_none_or(|event| event.position <= record.position);
            before = page.last().map(|event| event.position);
            found.extend(page.into_iter().filter(|event| event.position > record.position));
            if is_last {
                break;
            }
        }
        found.reverse();
        found.truncate(PAGE);
        Ok(found)
    }
}
