//! Purchases that change hands at a vendor who names customers and no purchases.

use paidup_lifecycle::observation::{Environment, Store};
use paidup_lifecycle::time::Timestamp;
use std::sync::Arc;

/// All purchases that the source told of one customer are another's from a moment on. One whose owner was told later than
/// that stays where it is; who bought is told to both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// The sender's id of what says so.
    pub id: Arc<str>,
    /// The sender's time.
    pub at: Timestamp,
    /// Environments never mix.
    pub environment: Environment,
    /// Which store's; `None`: every store's.
    pub store: Option<Store>,
    /// Ids of the former owner.
    pub from: Vec<String>,
    /// Ids of the new owner, the one to show first.
    pub to: Vec<String>,
}

impl Transfer {
    /// Most ids of one side that are looked at.
    pub const MAX_IDS: usize = 100;
}
