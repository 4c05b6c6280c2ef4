//! Claims: what an app's backend says that a customer bought, while its store is asked. They change through the one door
//! (`Changes::claims`), so that folding the journal gives them again; what is here reads them.

use crate::Answer;
use crate::records::LookupRecord;
use bytes::Bytes;
use paidup_lifecycle::closed_set;
use paidup_lifecycle::ids::{ClaimId, LookupId, PurchaseId, SourceId};
use paidup_lifecycle::time::Timestamp;
use std::collections::BTreeSet;

closed_set! {
    /// What became of a claim.
    pub enum ClaimState {
        /// The store has not answered yet.
        Waiting = "waiting",
        /// The store answered, and what it named was dealt with.
        Settled = "settled",
        /// The store does not know it, or did not answer for too long.
        Refused = "refused",
    }
}

/// A claim as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRecord {
    /// Derived from source, customer and proof: the same claim is kept once.
    pub id: ClaimId,
    /// Whose store.
    pub source_id: SourceId,
    /// The id that the customer was named by.
    pub customer: String,
    /// When it was made first.
    pub claimed_at: Timestamp,
    /// What became of it.
    pub state: ClaimState,
    /// Since when.
    pub state_since: Timestamp,
    /// Lookups that it waits for.
    pub lookups: BTreeSet<LookupId>,
    /// Purchases that it waits for: their store has not told of them yet.
    pub purchases: BTreeSet<PurchaseId>,
    /// The hub's own, as JSON.
    pub body: Bytes,
}

/// Claims as they stand.
pub trait Claims {
    /// One claim.
    fn claim(&self, id: ClaimId) -> Answer<'_, Option<ClaimRecord>>;
    /// Claims that were made for that id of a customer, newest first.
    fn claims_of(&self, customer: &str, limit: usize) -> Answer<'_, Vec<ClaimRecord>>;
    /// Claims that wait, oldest first, made before that moment.
    fn claims_waiting(&self, made_before: Timestamp, limit: usize) -> Answer<'_, Vec<ClaimRecord>>;
    /// Claims that wait for a lookup.
    fn claims_waiting_for(&self, lookup: LookupId) -> Answer<'_, Vec<ClaimRecord>>;
    /// These lookups, as far as they wait or were given up.
    fn lookups_by_id(&self, ids: BTreeSet<LookupId>) -> Answer<'_, Vec<LookupRecord>>;
    /// Forgets claims that came to an end before that moment, in slices; answers how many.
    fn prune_claims(&self, before: Timestamp) -> Answer<'_, u64>;
}
