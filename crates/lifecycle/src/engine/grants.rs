//! Grants as observations: what a command of the operator must hand to `advance` (lifecycle.md section 12).
//!
//! A grant is a purchase of kind `grant` in the store PROMOTIONAL, of a product that names its entitlement
//! (`crate::catalogue::grant_product_id`). With `PeriodType::Trial` its start is a Trial Started, its early removal a
//! Trial Cancelled, and `Input::Converted` a Trial Converted.

use crate::observation::{
    Dated, Facets, Hint, Kind, Observation, Origin, Period, PeriodType, PurchaseKey, Stamp, Standing, Store,
};
use crate::time::Timestamp;
use std::sync::Arc;

/// What is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The product: see `crate::catalogue::grant_product_id`.
    pub product_id: String,
    /// First moment.
    pub starts_at: Timestamp,
    /// First moment after it; absent: for ever.
    pub ends_at: Option<Timestamp>,
    /// `Promotional` or `Trial`.
    pub period_type: PeriodType,
}

fn observation(key: PurchaseKey, command: Arc<str>, at: Timestamp, hint: Hint) -> (Observation, Stamp) {
    let stamp = Stamp { as_of: at, origin: Origin::Command, by: command.clone() };
    let facets = Facets { kind: Some(Dated { value: Kind::Grant, stamp: stamp.clone() }), ..Facets::default() };
    let observation = Observation {
        key,
        store: Store::Promotional,
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

/// Given, or given a new end. `command` is the command's own id.
#[must_use]
pub fn given(key: PurchaseKey, command: Arc<str>, at: Timestamp, grant: &Grant, is_new: bool) -> Observation {
    let transaction_id = Some(key.store_purchase_id.clone());
    let hint = if is_new { Hint::Purchased } else { Hint::Extended };
    let (mut observation, stamp) = observation(key, command, at, hint);
    observation.facets.standing = Some(Dated { value: Standing::Active, stamp: stamp.clone() });
    let period = Period { transaction_id, starts_at: grant.starts_at, ends_at: grant.ends_at };
    observation.facets.period = Some(Dated { value: period, stamp: stamp.clone() });
    observation.facets.period_type = Some(Dated { value: grant.period_type, stamp: stamp.clone() });
    observation.facets.product = Some(Dated { value: grant.product_id.clone(), stamp });
    observation
}

/// Taken away early.
#[must_use]
pub fn removed(key: PurchaseKey, command: Arc<str>, at: Timestamp) -> Observation {
    let (mut observation, stamp) = observation(key, command, at, Hint::Revoked);
    observation.facets.standing = Some(Dated { value: Standing::Revoked, stamp });
    observation
}
