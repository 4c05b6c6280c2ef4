//! Lanes that wait: looked at, tried now, or freed of the event that they wait for, by a person's wish.
//!
//! What waits stands in the database, so it is shown of held destinations too; only a loop that runs can be told to try, and
//! only it knows whether an attempt is under way.

use crate::dispatch::orders::Order;
use crate::dispatch::settle::Place;
use crate::{Hub, HubError};
use paidup_lifecycle::event::LoggedEvent;
use paidup_lifecycle::ids::{CustomerId, DestinationId, EventId, PurchaseId};
use paidup_lifecycle::time::Timestamp;
use paidup_store::records::{LaneOrder, Parked};

/// Most characters of the reason for giving an event up.
const MAX_REASON: usize = 200;

/// A lane that waits, or an event that its lane went on without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedLane {
    /// The purchase's or the customer's id; of a destination without order, and of an event that its lane went on without, the
    /// event's.
    pub lane: String,
    /// The event that it waits for.
    pub event: EventId,
    /// Its place in the log: what to page on with.
    pub position: u64,
    /// Since when: the first failure, or when it came to wait.
    pub since: Timestamp,
    /// Failed attempts so far; 0: it was not tried yet, or the first attempt is still open.
    pub attempts: u32,
    /// Not before then.
    pub next_try_at: Timestamp,
    /// What came of the last try. Never contains a secret.
    pub last_error: Option<String>,
    /// How many parked events wait behind it.
    pub behind: u64,
    /// When its lane went on without it; `None`: the lane waits.
    pub passed_at: Option<Timestamp>,
    /// A person asked for it.
    pub replay: bool,
}

impl ParkedLane {
    fn of(order: LaneOrder, head: Parked, behind: u64) -> ParkedLane {
        let id = <[u8; 16]>::try_from(head.lane.as_slice()).ok().filter(|_| head.passed_at.is_none());
        let lane = match (order, id) {
            (LaneOrder::Purchase, Some(id)) => PurchaseId(id).to_string(),
            (LaneOrder::Customer, Some(id)) => CustomerId(id).to_string(),
            (LaneOrder::None, _) | (LaneOrder::Purchase | LaneOrder::Customer, None) => head.event_id.to_string(),
        };
        ParkedLane {
            lane,
            event: head.event_id,
            position: head.position,
            since: head.parked_at,
            attempts: head.attempts,
            next_try_at: head.next_try_at,
            last_error: head.last_error,
            behind,
            passed_at: head.passed_at,
            replay: head.replay,
        }
    }
}

impl Hub {
    /// Lanes of a destination that wait, by the position of their first event; page on with the last one's.
    pub async fn parked_lanes(&self, id: DestinationId, after: u64, limit: usize) -> Result<Vec<ParkedLane>, HubError> {
        let order = self.destination_record(id).await?.order;
        let lanes = self.store().waiting_lanes(id, after, limit).await?;
        Ok(lanes.into_iter().map(|lane| ParkedLane::of(order, lane.head, lane.behind)).collect())
    }

    /// Tries the event that a lane waits for now. A destination that is down is probed now.
    pub async fn retry_parked(&self, id: DestinationId, event: &LoggedEvent) -> Result<(), HubError> {
        let order = |answer| Order::Hasten(event.position, answer);
        match self.ask_about(id, order).await? {
            // One that is under way is tried now anyway.
            Place::First { .. } | Place::InFlight => Ok(()),
            Place::Behind(first) => Err(behind(first)),
            Place::Absent => Err(absent()),
        }
    }

    /// Gives up the event that a lane waits for: its lane goes on, and it can be replayed.
    pub async fn skip_parked(&self, id: DestinationId, event: &LoggedEvent, reason: &str) -> Result<(), HubError> {
        let reason = reason.trim();
        if reason.is_empty() || reason.chars().count() > MAX_REASON || reason.chars().any(char::is_control) {
            let detail = format!("say why, in 1 to {MAX_REASON} characters on one line: it stands in the attempts");
            return Err(HubError::refused(422, "/reason", &detail));
        }
        let (position, event_id) = (event.position, event.event.id);
        let why = format!("given up by hand: {reason}");
        let order = |answer| Order::GiveUp { position, event_id, why, answer };
        match self.ask_about(id, order).await? {
            Place::First { .. } => Ok(()),
            Place::Behind(first) => Err(behind(first)),
            Place::InFlight => {
                Err(HubError::refused(409, "", "an attempt is under way; say it again when it has ended"))
            }
            Place::Absent => Err(absent()),
        }
    }

    async fn ask_about(
        &self,
        id: DestinationId,
        order: impl FnOnce(tokio::sync::oneshot::Sender<Place>) -> Order,
    ) -> Result<Place, HubError> {
        let state = self.destination_record(id).await?.state;
        let place = self.destinations().dispatch().ask(id, order).await;
        place.ok_or_else(|| HubError::refused(409, "", &format!("the destination is {state}: resume it first")))
    }
}

fn behind(first: EventId) -> HubError {
    HubError::refused(409, "", &format!("it waits behind {first} in its lane: name that one"))
}

fn absent() -> HubError {
    HubError::refused(404, "", "this event does not wait at this destination")
}
