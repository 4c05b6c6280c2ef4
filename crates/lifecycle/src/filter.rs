//! Which events a destination wants (contract.md, destinations: `filter`).

use crate::event::{Event, EventType};
use crate::ids::SourceId;
use crate::observation::Environment;
use serde::{Deserialize, Serialize};

/// Empty lists mean "all".
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Canonical types.
    pub events: Vec<EventType>,
    /// Environments.
    pub environments: Vec<Environment>,
    /// Source ids.
    pub sources: Vec<SourceId>,
    /// Store product ids.
    pub products: Vec<String>,
}

impl Filter {
    /// Whether the destination wants this event. TEST passes every list but the environment's.
    #[must_use]
    pub fn wants(&self, event: &Event) -> bool {
        let listed = |empty: bool, found: bool| empty || found;
        listed(self.environments.is_empty(), self.environments.contains(&event.environment))
            && (event.event_type == EventType::Test
                || (listed(self.events.is_empty(), self.events.contains(&event.event_type))
                    && listed(self.sources.is_empty(), self.sources.contains(&event.source_id))
                    && listed(
                        self.products.is_empty(),
                        event.purchase.product_id.as_ref().is_some_and(|id| self.products.contains(id)),
                    )))
    }
}
