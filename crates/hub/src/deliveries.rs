//! What became of events: nothing is kept for it. A delivery's state is derived from its attempts, its row and how far the
//! destination has come.

use crate::dispatch::settle::Standing;
use crate::{Hub, HubError};
use paidup_destinations::LoggedEvent;
use paidup_lifecycle::ids::{DestinationId, EventId};
use paidup_lifecycle::time::Timestamp;
use paidup_store::records::{Attempt, AttemptQuery, AttemptRecord, DeliveryState};

/// Most attempts that are shown of one delivery; 75 hours of retries are about thirty.
const MAX_ATTEMPTS: usize = 200;
/// Attempts looked at for one page: those that were followed by others are passed over.
const MAX_LOOKED_AT: usize = 2_000;

/// One event to one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Where to.
    pub destination: DestinationId,
    /// What.
    pub event: EventId,
    /// How it stands.
    pub state: DeliveryState,
    /// When it is tried next; `None`: not waiting, or as soon as it is its turn.
    pub next_try_at: Option<Timestamp>,
    /// Newest first.
    pub attempts: Vec<AttemptRecord>,
}

impl Delivery {
    /// How often it may have arrived before its last attempt, as far as attempts are kept: no answer came, and the far side
    /// cannot tell repeats.
    #[must_use]
    pub fn may_have_repeated(&self) -> usize {
        self.attempts.iter().skip(1).filter(|attempt| attempt.may_repeat).count()
    }
}

/// A page of deliveries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeliveryPage {
    /// Newest attempt first.
    pub deliveries: Vec<Delivery>,
    /// What to page on with (`AttemptQuery::before`); `None`: that was all.
    pub next: Option<u64>,
}

impl Hub {
    /// Deliveries whose newest attempt fits `query`, newest first.
    pub async fn deliveries(&self, mut query: AttemptQuery) -> Result<DeliveryPage, HubError> {
        let (wanted, mut looked_at) = (query.limit, 0);
        let mut page = DeliveryPage::default();
        query.limit = MAX_ATTEMPTS;
        while looked_at < MAX_LOOKED_AT {
            let attempts = self.store().attempts(query.clone()).await?;
            looked_at += attempts.len();
            let last = attempts.len() < MAX_ATTEMPTS;
            for attempt in attempts {
                if page.deliveries.len() == wanted {
                    page.next = query.before;
                    return Ok(page);
                }
                query.before = Some(attempt.number);
                if let Some(delivery) = self.delivery_of(&attempt).await? {
                    page.deliveries.push(delivery);
                }
            }
            if last {
                return Ok(page);
            }
        }
        page.next = query.before;
        Ok(page)
    }

    /// The delivery of an attempt, when it is its newest.
    async fn delivery_of(&self, newest: &Attempt) -> Result<Option<Delivery>, HubError> {
        let attempts = self.attempts_of(newest.destination, newest.record.event_id).await?;
        if attempts.first().is_none_or(|first| first.number != newest.number) {
            return Ok(None);
        }
        let next_try_at = match newest.record.state {
            DeliveryState::Retrying => self.next_try_at(newest).await?,
            DeliveryState::Delivered | DeliveryState::Failed | DeliveryState::Skipped => None,
        };
        Ok(Some(Delivery {
            destination: newest.destination,
            event: newest.record.event_id,
            state: newest.record.state,
            next_try_at,
            attempts: attempts.into_iter().map(|attempt| attempt.record).collect(),
        }))
    }

    async fn next_try_at(&self, attempt: &Attempt) -> Result<Option<Timestamp>, HubError> {
        let record = self.destination_record(attempt.destination).await?;
        let Ok(target) = self.target(&record) else { return Ok(None) };
        Ok(match self.standing(&target, attempt.record.position).await? {
            Standing::Waiting { next_try_at } => next_try_at,
            Standing::Settled | Standing::Unread => None,
        })
    }

    /// What became of one event, for every destination that wants it or wanted it; also those that have not come to it.
    pub async fn deliveries_of(&self, event: &LoggedEvent) -> Result<Vec<Delivery>, HubError> {
        let mut deliveries = Vec::new();
        for record in self.store().destinations().await? {
            // One that cannot be opened must not hide the others.
            let Ok(target) = self.target(&record) else { continue };
            let standing = self.standing(&target, event.position).await?;
            let attempts = self.attempts_of(record.id, event.event.id).await?;
            let newest = attempts.first().map(|attempt| attempt.record.state);
            let (state, next_try_at) = match standing {
                Standing::Waiting { next_try_at } => (DeliveryState::Retrying, next_try_at),
                Standing::Unread if target.wants(event) => (DeliveryState::Retrying, None),
                Standing::Settled | Standing::Unread => match newest {
                    Some(state) => (state, None),
                    None => continue,
                },
            };
            deliveries.push(Delivery {
                destination: record.id,
                event: event.event.id,
                state,
                next_try_at,
                attempts: attempts.into_iter().map(|attempt| attempt.record).collect(),
            });
        }
        Ok(deliveries)
    }

    async fn attempts_of(&self, destination: DestinationId, event: EventId) -> Result<Vec<Attempt>, HubError> {
        let query = AttemptQuery {
            destination: Some(destination),
            event: Some(event),
            limit: MAX_ATTEMPTS,
            ..AttemptQuery::default()
        };
        Ok(self.store().attempts(query).await?)
    }
}
