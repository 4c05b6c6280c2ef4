//! One event.
//!
//! A replay is a row of its own in the destination's progress: durable when the caller is answered, delivered although it
//! was settled before, in its lane's order. A held destination keeps it until it is served again.

use crate::dispatch::lanes::Lane;
use crate::dispatch::orders::Order;
use crate::dispatch::run::load;
use crate::dispatch::settle::Standing;
use crate::dispatch::{PARTITION, Target};
use crate::{Hub, HubError};
use paidup_destinations::LoggedEvent;
use paidup_lifecycle::ids::DestinationId;
use paidup_store::records::{DestinationState, Parked, Settlement};

impl Hub {
    /// Delivers `event` again: to one destination, whatever its filter says, or to every destination that wants it and is
    /// served. Answers to which.
    pub async fn replay(
        &self,
        event: &LoggedEvent,
        destination: Option<DestinationId>,
    ) -> Result<Vec<DestinationId>, HubError> {
        if let Some(id) = destination {
            let target = self.target(&self.destination_record(id).await?)?;
            if let Some(reason) = target.destination.skips(event) {
                let detail = format!("this destination sends nothing for this event: {}", reason.0);
                return Err(HubError::refused(422, "/destination", &detail));
            }
            self.replay_to(&target, event).await?;
            return Ok(vec![id]);
        }
        let mut told = Vec::new();
        for record in self.store().destinations().await? {
            if record.state != DestinationState::Active {
                continue;
            }
            // One that cannot be opened was said so at the start and must not keep the others from it.
            let Ok(target) = self.target(&record) else { continue };
            if target.wants(event) {
                self.replay_to(&target, event).await?;
                told.push(target.id);
            }
        }
        Ok(told)
    }

    pub(super) async fn replay_to(&self, target: &Target, event: &LoggedEvent) -> Result<(), HubError> {
        let dispatch = self.destinations().dispatch();
        let order = |confirm| Order::Replay(Box::new(event.clone()), confirm);
        if dispatch.ask(target.id, order).await.is_some() {
            return Ok(());
        }
        // Nobody serves it: the row is written here. One that waits already needs none.
        let book = load(dispatch.port(), target, PARTITION).await?;
        if let Standing::Waiting { .. } = book.standing(event.position) {
            return Ok(());
        }
        let now = self.clock().now();
        let row = Parked {
            partition: event.partition,
            position: event.position,
            event_id: event.event.id,
            lane: Lane::of(target.order, event).0.to_vec(),
            attempts: 0,
            parked_at: now,
            next_try_at: now,
            last_error: None,
            replay: true,
            passed_at: None,
        };
        let settlement = Settlement { parked: vec![row], ..Settlement::of(target.id) };
        Ok(self.store().settle(vec![settlement]).await?)
    }
}
