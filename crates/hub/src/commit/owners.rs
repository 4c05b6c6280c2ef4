//! Whose a purchase is: claims by apps' backends, what becomes of a purchase that is somebody else's (the restore
//! policies), and moves by operators. Pure, like all of `commit`.

use super::Received;
use super::command::ClaimedLookup;
use super::wanted::lookup_id;
use super::work::Work;
use crate::claims::{ClaimBody, Claimed, RestorePolicies, RestorePolicy, Restored};
use paidup_lifecycle::customer::Customer;
use paidup_lifecycle::engine::Input;
use paidup_lifecycle::engine::temporary::{self, Temporary};
use paidup_lifecycle::ids::{ClaimId, CustomerId, LookupId, PurchaseId, SourceId};
use paidup_lifecycle::observation::{Environment, Facets, Kind, Observation, PurchaseKey, Store};
use paidup_lifecycle::purchase::Purchase;
use paidup_lifecycle::time::Timestamp;
use paidup_sources::Lookup;
use paidup_store::Refused;
use paidup_store::claims::{ClaimRecord, ClaimState};
use paidup_store::records::LookupRecord;
use std::time::Duration;

/// Owners that are dated within this from the beginning of time are the store's own names: Stripe dates its customer's id a
/// millisecond after it, and what the app said (`client_reference_id`, metadata) later.
const WEAK: Duration = Duration::from_millis(2);

/// For so long whoever made a claim is left to ask the store.
const ASKED_BY_CLAIMANT: Duration = Duration::from_secs(30);

/// Most temporary entitlements of one customer within [`LATELY`].
const MOST_TEMPORARY: usize = 3;
/// See [`MOST_TEMPORARY`].
const LATELY: Duration = Duration::from_secs(7 * 86_400);

/// What an answer of a store came to, for the claims that wait for it.
#[derive(Debug, Default)]
pub(super) struct Answered {
    /// The lookup that is answered.
    pub(super) lookup: Option<LookupId>,
    /// Purchases that the answer names.
    pub(super) purchases: Vec<PurchaseId>,
    /// What the answer wants to know besides.
    pub(super) further: Vec<LookupId>,
    /// Purchases that would say the same as those lookups.
    pub(super) or_known: Vec<PurchaseId>,
}

impl Work<'_> {
    /// A purchase is claimed for a customer, who is made if unknown. One that nobody identified owns is the customer's
    /// from then on; of another's the policy decides (revenuecat-events.md section 6).
    pub(super) fn restore(
        &mut self,
        id: PurchaseId,
        customer: &str,
        policies: &RestorePolicies,
    ) -> Result<Option<Restored>, Refused> {
        let Some(purchase) = self.purchase(id).cloned() else { return Ok(None) };
        let from = self.follow(purchase.customer);
        if self.alias(customer) == Some(from) {
            return Ok(Some(if self.is_fresh(purchase.id) { Restored::Bound } else { Restored::AlreadyTheirs }));
        }
        if !self.customer(from).is_identified() || self.is_store_customer(from, &purchase) {
            let to = self.claim_by_hand(customer, Some(from))?;
            if to != from {
                self.unite(from, to)?;
            }
            return Ok(Some(Restored::Bound));
        }
        let policy = policies.of(purchase.key.environment);
        let keeps = match policy {
            RestorePolicy::Transfer | RestorePolicy::Share => false,
            RestorePolicy::TransferIfInactive => is_active_subscription(&purchase),
            RestorePolicy::Keep => true,
        };
        if keeps {
            return Ok(Some(Restored::KeptWithOriginal));
        }
        let to = self.claim_by_hand(customer, None)?;
        if policy == RestorePolicy::Share {
            self.unite(from, to)?;
            return Ok(Some(Restored::Shared));
        }
        self.apply(purchase, &Input::Moved { to }, None);
        Ok(Some(Restored::Transferred))
    }

    /// Its owner is known by nothing but the store's own name of the buyer, which is no id of the app's.
    fn is_store_customer(&self, owner: CustomerId, purchase: &Purchase) -> bool {
        let named = store_customer(&purchase.facets);
        named.is_some_and(|named| self.customer(owner).aliases.iter().all(|alias| alias == named))
    }

    /// The store's own name of the buyer becomes an id of whoever claimed the purchase, if nobody has it yet.
    pub(super) fn take_store_customer(&mut self, claimant: CustomerId, observation: &Observation) {
        if let Some(named) = store_customer(&observation.facets)
            && self.alias(named).is_none()
        {
            // Only its bound on ids can keep the customer from it.
            let _ = self.add_id(claimant, named);
        }
    }

    /// Two customers become one: `goes` gives everything to `stays`.
    pub(super) fn unite(&mut self, goes: CustomerId, stays: CustomerId) -> Result<(), Refused> {
        for purchase in self.purchases_of(goes) {
            self.apply_merging(purchase, &Input::Moved { to: stays });
        }
        self.merge(goes, stays)
    }

    /// An operator gives purchases of one customer to another.
    pub(super) fn transfer(&mut self, from: &str, to: &str, purchases: &[PurchaseId]) -> Result<(), Refused> {
        let from = self.alias(from).ok_or_else(|| refused(404, "there is no such customer"))?;
        let to = self.claim_by_hand(to, None)?;
        for id in purchases {
            let purchase = self.purchase(*id).cloned().ok_or_else(|| refused(404, "there is no such purchase"))?;
            if self.follow(purchase.customer) != from {
                return Err(refused(409, "one of these purchases is not this customer's any more"));
            }
            if to != from {
                self.apply(purchase, &Input::Moved { to }, None);
            }
        }
        Ok(())
    }

    /// Claims that wait for what this answers, or for a purchase that it tells of first.
    pub(super) fn claims_about(&self, received: &Received) -> Vec<ClaimRecord> {
        let ids: Vec<ClaimId> = self.waiting_claims().map(|claim| claim.id).collect();
        let (answers, told) = (received.answers(), received.told());
        let waiting = ids.into_iter().filter_map(|id| self.claim_record(id));
        let concerned = waiting.filter(|claim| {
            let is_told = told.iter().any(|id| claim.purchases.contains(id));
            claim.state == ClaimState::Waiting && (is_told || answers.is_some_and(|id| claim.lookups.contains(&id)))
        });
        let mut concerned: Vec<ClaimRecord> = concerned.cloned().collect();
        concerned.sort_by_key(|claim| (claim.claimed_at, claim.id));
        concerned
    }

    /// A lookup of a claim. It is asked by whoever made the claim; should that end, the hub asks a little later.
    pub(super) fn claimed_lookup(&self, source_id: SourceId, lookup: &ClaimedLookup) -> LookupRecord {
        LookupRecord {
            id: lookup.id(source_id),
            source_id,
            name: lookup.name.clone(),
            context: lookup.context.clone(),
            why: lookup.why.clone(),
            unless_known: lookup.unless_known,
            asked_since: self.now,
            ask_at: Some(self.now.plus(ASKED_BY_CLAIMANT)),
            attempts: 0,
            last_error: None,
            reconciles: false,
        }
    }

    /// The claim as it stands, or a new one.
    pub(super) fn claim_or(&self, new: ClaimRecord) -> ClaimRecord {
        self.claim_record(new.id).filter(|known| known.state == ClaimState::Waiting).cloned().unwrap_or(new)
    }

    /// Deals with purchases that a claim names; answers what became of each.
    pub(super) fn settle(&mut self, claim: &mut ClaimRecord, purchases: &[PurchaseId]) -> Result<(), Refused> {
        let mut body = ClaimBody::read(&claim.body);
        for id in purchases {
            let Some(restored) = self.restore(*id, &claim.customer, &body.restore)? else { continue };
            let Some(purchase) = self.purchase(*id) else { continue };
            let claimed = Claimed { purchase: purchase.id, restored };
            if body.purchases.iter().all(|known| known.purchase != claimed.purchase) {
                body.purchases.push(claimed);
            }
        }
        claim.body = body.write();
        Ok(())
    }

    /// A store answered what claims wait for, or told of a purchase that they wait for.
    pub(super) fn answer_claim(&mut self, mut claim: ClaimRecord, answered: &Answered) {
        if let Err(refused) = self.settle(&mut claim, &answered.purchases) {
            self.end_claim(claim, ClaimState::Refused, Some(refused.detail));
            return;
        }
        if let Some(lookup) = answered.lookup {
            claim.lookups.remove(&lookup);
        }
        if !ClaimBody::read(&claim.body).purchases.is_empty() {
            self.end_claim(claim, ClaimState::Settled, None);
            return;
        }
        claim.lookups.extend(answered.further.iter().copied());
        claim.purchases.extend(answered.or_known.iter().copied());
        if claim.lookups.is_empty() && claim.purchases.is_empty() {
            let detail = "the store's answer names no purchase".to_owned();
            self.end_claim(claim, ClaimState::Refused, Some(detail));
        } else {
            self.put_claim(claim);
        }
    }

    /// The customer of a claim gets what the product unlocks, once for each claim; `false`: it waits no more, the product
    /// unlocks nothing, or there was too much of it.
    pub(super) fn grant_temporarily(
        &mut self,
        id: ClaimId,
        key: PurchaseKey,
        store: Store,
        product_id: &str,
        span: Duration,
    ) -> Result<bool, Refused> {
        let waiting = self.claim_record(id).filter(|claim| claim.state == ClaimState::Waiting).cloned();
        let Some(mut claim) = waiting else { return Ok(false) };
        let unlocks_nothing = self.catalogue.entitlements_of(store, product_id).is_empty();
        if unlocks_nothing || self.purchase(Purchase::id_of(&key)).is_some() {
            return Ok(false);
        }
        let known = self.alias(&claim.customer).map(|id| self.customer(id));
        if known.is_some_and(|customer| !may_have_another(&customer, product_id, self.now)) {
            return Ok(false);
        }
        let owner = self.claim_by_hand(&claim.customer, None)?;
        let what = Temporary { product_id: product_id.to_owned(), starts_at: self.now, ends_at: self.now.plus(span) };
        let observation = temporary::given(key.clone(), store, self.command_id(), self.now, &what);
        let purchase = Purchase::new(key, store, owner);
        let mut body = ClaimBody::read(&claim.body);
        body.temporary = Some(purchase.id);
        claim.body = body.write();
        self.put_claim(claim);
        self.apply(purchase, &Input::Observed(observation), Some(owner));
        Ok(true)
    }

    /// The store has answered, or never will: what was given meanwhile ends. Silently, where the purchase itself gives access.
    fn end_temporary(&mut self, body: &ClaimBody) {
        let Some(purchase) = body.temporary.and_then(|id| self.purchase(id)).cloned() else { return };
        if !purchase.state.has_access() {
            return;
        }
        let owner = self.follow(purchase.customer);
        let is_real = |claimed: &Claimed| {
            let real = self.purchase(claimed.purchase);
            real.is_some_and(|real| real.state.has_access() && self.follow(real.customer) == owner)
        };
        if body.purchases.iter().any(is_real) {
            self.apply(purchase, &Input::Converted, None);
        } else {
            let observation = temporary::ended(purchase.key.clone(), purchase.store, self.command_id(), self.now);
            self.apply(purchase, &Input::Observed(observation), None);
        }
    }

    /// Nothing more comes of a claim that waits; `false`: it does not wait.
    pub(super) fn end_waiting(&mut self, id: ClaimId, reason: &str) -> bool {
        let waiting = self.claim_record(id).filter(|claim| claim.state == ClaimState::Waiting).cloned();
        let is_waiting = waiting.is_some();
        if let Some(claim) = waiting {
            self.end_claim(claim, ClaimState::Refused, Some(reason.to_owned()));
        }
        is_waiting
    }

    /// Nothing more comes of a claim.
    pub(super) fn end_claim(&mut self, mut claim: ClaimRecord, state: ClaimState, detail: Option<String>) {
        let mut body = ClaimBody::read(&claim.body);
        body.detail = detail.or(body.detail);
        claim.body = body.write();
        claim.state = state;
        claim.state_since = self.now;
        claim.lookups.clear();
        claim.purchases.clear();
        self.put_claim(claim);
        self.end_temporary(&body);
    }
}

/// The name under which a temporary entitlement is a purchase: one for each claim.
pub(super) fn temporary_key(source_id: SourceId, claim: ClaimId) -> PurchaseKey {
    PurchaseKey { source_id, environment: Environment::Production, store_purchase_id: format!("temporary/{claim}") }
}

/// Nobody lives on temporary entitlements: one of a product at a time, and few in a week.
fn may_have_another(customer: &Customer, product_id: &str, now: Timestamp) -> bool {
    let given = customer.holdings.values().filter(|held| held.kind == Kind::Temporary);
    let runs = given.clone().any(|held| held.state.has_access() && held.product_id.as_deref() == Some(product_id));
    let lately = given.filter(|held| held.until.is_some_and(|until| until.plus(LATELY) > now)).count();
    !runs && lately < MOST_TEMPORARY
}

impl ClaimedLookup {
    /// As a source gave it.
    pub(crate) fn of(lookup: &Lookup) -> ClaimedLookup {
        ClaimedLookup {
            name: lookup.name.clone(),
            context: lookup.context.clone(),
            why: lookup.why.to_owned(),
            unless_known: lookup.unless_known.as_ref().map(Purchase::id_of),
        }
    }

    /// The lookup's id.
    pub(crate) fn id(&self, source: SourceId) -> LookupId {
        lookup_id(source, &self.name, &self.context, false)
    }
}

/// The store's own name of the buyer, where nothing better was said: sources date such a weak sign at the beginning of time
/// (Stripe's customer).
fn store_customer(facets: &Facets) -> Option<&str> {
    let owner = facets.owner.as_ref()?;
    let is_weak = owner.stamp.as_of < Timestamp::MIN.plus(WEAK);
    owner.value.as_deref().filter(|_| is_weak)
}

/// One-time purchases do not prevent a transfer, and neither does a subscription without access.
fn is_active_subscription(purchase: &Purchase) -> bool {
    let kind = purchase.facets.kind.as_ref().map_or(Kind::Subscription, |kind| kind.value);
    kind == Kind::Subscription && purchase.state.has_access()
}

fn refused(status: u16, detail: &str) -> Refused {
    Refused { status, detail: detail.to_owned() }
}
