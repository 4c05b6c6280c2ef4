//! Temporary entitlements as observations: what `advance` must be handed while a store cannot say whether what was claimed
//! is a purchase (revenuecat-events.md sections 2 and 3).
//!
//! It is a purchase of its own, of the product that was claimed and in the store's name. `Input::Converted` ends it when
//! the real purchase takes its place, [`ended`] when there is none; after its last moment it ends by date.

use crate::observation::{
    Dated, Facets, Hint, Kind, Observation, Origin, Period, PeriodType, PurchaseKey, Stamp, Standing, Store,
};
use crate::time::Timestamp;
use std::sync::Arc;

/// What is given meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Temporary {
    /// What was claimed, in the store's words.
    pub product_id: String,
    /// First moment.
    pub starts_at: Timestamp,
    /// First moment after it.
    pub ends_at: Timestamp,
}

fn observation(key: PurchaseKey, store: Store, command: Arc<str>, at: Timestamp, hint: Hint) -> (Observation, Stamp) {
    let stamp = Stamp { as_of: at, origin: Origin::Command, by: command.clone() };
    let facets = Facets { kind: Some(Dated { value: Kind::Temporary, stamp: stamp.clone() }), ..Facets::default() };
    let observation = Observation {
        key,
        store,
        id: command,
        observed_at: at,
        origin: Origin::Command,
        hint,
        about_transaction: None,
        facets,
        backfill: false,
        replaces: None,
        detected_by: None,
    };
    (observation, stamp)
}

/// Given until the store answers. `command` is the command's own id.
#[must_use]
pub fn given(key: PurchaseKey, store: Store, command: Arc<str>, at: Timestamp, what: &Temporary) -> Observation {
    let transaction_id = Some(key.store_purchase_id.clone());
    let (mut observation, stamp) = observation(key, store, command, at, Hint::Purchased);
    observation.facets.standing = Some(Dated { value: Standing::Active, stamp: stamp.clone() });
    let period = Period { transaction_id, starts_at: what.starts_at, ends_at: Some(what.ends_at) };
    observation.facets.period = Some(Dated { value: period, stamp: stamp.clone() });
    observation.facets.period_type = Some(Dated { value: PeriodType::Normal, stamp: stamp.clone() });
    observation.facets.product = Some(Dated { value: what.product_id.clone(), stamp });
    observation
}

/// The store says that there is no such purchase.
#[must_use]
pub fn ended(key: PurchaseKey, store: Store, command: Arc<str>, at: Timestamp) -> Observation {
    let (mut observation, stamp) = observation(key, store, command, at, Hint::Expired);
    observation.facets.standing = Some(Dated { value: Standing::Expired, stamp });
    observation
}
