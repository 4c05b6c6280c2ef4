//! Claims: what an app's own backend says that a customer bought (`POST /v1/customers/{id}/purchases`).
//!
//! A proof that speaks for itself is decided on at once; where a store has to be asked, the wish to bind the purchase
//! stands in the database beside the lookup, so whoever asks in the end, the answer finds its customer. What becomes of a
//! purchase that is another customer's is RevenueCat's restore behaviour.
//! <https://www.revenuecat.com/docs/projects/restore-behavior>

use crate::commit::command::{ClaimedLookup, Command};
use crate::commit::{Done, Received};
use crate::grants::check_customer;
use crate::sources::Opened;
use crate::{Hub, HubError};
use bytes::Bytes;
use paidup_lifecycle::closed_set;
use paidup_lifecycle::ids::{ClaimId, CustomerId, LookupId, PurchaseId, SourceId};
use paidup_lifecycle::observation::Environment;
use paidup_lifecycle::purchase::Purchase;
use paidup_sources::{Claim, Claimed as Answer, Rejection};
use paidup_store::claims::{ClaimRecord, ClaimState};
use paidup_store::records::LookupRecord;
use paidup_store::{StoreError, Urgency};
use serde::{Deserialize, Serialize};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// How long whoever claims waits for the store.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long a claim waits for its store at all: as long as a lookup.
const WAITS: Duration = Duration::from_secs(3 * 86_400);
/// How long what became of a claim can be seen.
const KEPT: Duration = Duration::from_secs(30 * 86_400);
/// Steps that one claim's answer may need: transaction, subscription, its group.
const MOST_STEPS: usize = 10;
/// Claims that end in one round.
const BATCH: usize = 200;

closed_set! {
    /// What becomes of a purchase that an identified customer has and another one claims.
    pub enum RestorePolicy {
        /// It moves, and both are told.
        Transfer = "transfer",
        /// It moves unless it is a subscription that gives access now.
        TransferIfInactive = "transfer_if_inactive",
        /// It stays, and the claim is refused.
        Keep = "keep",
        /// The two customers become one.
        Share = "share",
    }
}

closed_set! {
    /// What became of a purchase that was claimed.
    pub enum Restored {
        /// Nobody identified had it: it is the customer's now.
        Bound = "bound",
        /// It was the customer's before.
        AlreadyTheirs = "already_theirs",
        /// It was another customer's, and is this one's now.
        Transferred = "transferred",
        /// It is another customer's, and stays there.
        KeptWithOriginal = "kept_with_original",
        /// It was another customer's, who is the same as this one now.
        Shared = "shared",
    }
}

/// The policies, for real money and for tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestorePolicies {
    /// Of purchases with real money.
    pub production: RestorePolicy,
    /// Of purchases that are tests.
    pub sandbox: RestorePolicy,
}

impl Default for RestorePolicies {
    fn default() -> RestorePolicies {
        RestorePolicies { production: RestorePolicy::Transfer, sandbox: RestorePolicy::Transfer }
    }
}

impl RestorePolicies {
    /// The policy of an environment.
    #[must_use]
    pub const fn of(&self, environment: Environment) -> RestorePolicy {
        match environment {
            Environment::Production => self.production,
            Environment::Sandbox => self.sandbox,
        }
    }

    pub(crate) const fn shares(&self) -> bool {
        matches!(self.production, RestorePolicy::Share) || matches!(self.sandbox, RestorePolicy::Share)
    }
}

/// A purchase that was claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimed {
    /// Which.
    pub purchase: PurchaseId,
    /// What became of it.
    pub restored: Restored,
}

/// The hub's part of a claim's row.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClaimBody {
    /// The policies when it was made.
    #[serde(default)]
    pub restore: RestorePolicies,
    /// What became of the purchases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub purchases: Vec<Claimed>,
    /// Why it was refused, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What was given while the store could not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temporary: Option<PurchaseId>,
}

impl ClaimBody {
    /// As kept. A row that makes no sense reads as an empty one.
    #[must_use]
    pub fn read(json: &[u8]) -> ClaimBody {
        serde_json::from_slice(json).unwrap_or_default()
    }

    pub(crate) fn write(&self) -> Bytes {
        serde_json::to_vec(self).expect("ids and words can always be written as JSON").into()
    }
}

/// What a claim came to.
#[derive(Debug, Clone)]
pub struct ClaimAnswer {
    /// What became of each purchase.
    pub purchases: Vec<(Purchase, Restored)>,
    /// What is still awaited; empty: all is said.
    pub pending: Option<Pending>,
}

/// A claim whose store has not answered yet.
#[derive(Debug, Clone)]
pub struct Pending {
    /// The claim.
    pub id: ClaimId,
    /// What the store is being asked.
    pub lookups: Vec<LookupRecord>,
    /// The source cannot ask its store: its notification is awaited.
    pub notification: bool,
    /// What the customer has meanwhile.
    pub temporary: Option<PurchaseId>,
}

impl Hub {
    /// A customer claims a purchase. Resolves when the store has answered, or after a few seconds.
    pub async fn claim_purchase(
        &self,
        customer: &str,
        source_id: SourceId,
        claim: &Claim,
    ) -> Result<ClaimAnswer, HubError> {
        check_customer("customer", customer)?;
        if customer.parse::<CustomerId>().is_ok() && self.store().customer(customer).await?.is_none() {
            return Err(HubError::refused(404, "", "there is no such customer"));
        }
        let opened = self.sources().get(source_id);
        let opened = opened.ok_or_else(|| HubError::refused(422, "/source_id", "there is no such source"))?;
        let id = claim_id(source_id, customer, claim);
        let (command, received) = self.claim_command(id, &opened, customer, claim)?;
        let done = self.commit(Urgency::Rest, command, received).await?;
        let claimed = done.report.all_claimed();
        if !claimed.is_empty() {
            return self.claim_answer(claimed).await;
        }
        self.ask_for_claim(id).await;
        if let Some(product_id) = &claim.product_id {
            self.grant_temporarily(id, &opened, product_id).await?;
        }
        self.claim_outcome(id, &done).await
    }

    /// The store has not answered in time: the customer gets what was claimed for a while, if the operator wishes that.
    async fn grant_temporarily(&self, id: ClaimId, opened: &Opened, product_id: &str) -> Result<(), HubError> {
        let Some(span) = self.config().temporary_entitlement else { return Ok(()) };
        if self.waiting_claim(id).await?.is_none_or(|claim| ClaimBody::read(&claim.body).temporary.is_some()) {
            return Ok(());
        }
        let command = Command::GrantTemporarily {
            claim: id,
            source_id: opened.record.id,
            store: opened.source.store(),
            product_id: product_id.to_owned(),
            for_ms: u64::try_from(span.as_millis()).unwrap_or(u64::MAX),
        };
        self.commit(Urgency::Rest, command, Vec::new()).await?;
        Ok(())
    }

    fn claim_command(
        &self,
        id: ClaimId,
        opened: &Opened,
        customer: &str,
        claim: &Claim,
    ) -> Result<(Command, Vec<Received>), HubError> {
        let (source_id, source, now) = (opened.record.id, &*opened.source, self.clock().now());
        let answer = catch_unwind(AssertUnwindSafe(|| match source.claim(claim, now) {
            // A product may stand beside every proof; to some stores' proofs it is foreign.
            Err(refused) if claim.product_id.is_some() && refused.pointer.as_deref() == Some("/product_id") => {
                source.claim(&Claim { product_id: None, ..claim.clone() }, now)
            }
            answer => answer,
        }));
        let answer = answer.map_err(|_| {
            tracing::error!(source.id = %source_id, "source panicked on a claim");
            HubError::refused(500, "", "the source failed on this proof; it was logged")
        })?;
        let (mut lookups, mut purchases, mut received) = (Vec::new(), Vec::new(), Vec::new());
        match answer.map_err(refused_by_source)? {
            Answer::Notification(notification) => {
                received.push(Received::new(source_id, source, notification, now));
            }
            Answer::LookUp(asked) => {
                lookups.extend(asked.iter().filter(|lookup| lookup.fits()).map(ClaimedLookup::of));
            }
            Answer::Known(keys) => purchases.extend(keys.iter().map(Purchase::id_of)),
        }
        let command = Command::Claim {
            id,
            source_id,
            policy: source.policy(),
            customer: customer.to_owned(),
            restore: self.config().restore,
            lookups,
            purchases,
        };
        Ok((command, received))
    }

    /// Asks the store for a claim, and waits a while. Asking goes on when whoever waits has gone.
    async fn ask_for_claim(&self, id: ClaimId) {
        let hub = self.clone();
        let asking = self.tasks().spawn(async move {
            tokio::select! {
                () = hub.stopping().cancelled() => {}
                asked = hub.ask_now(id) => {
                    if let Err(error) = asked {
                        tracing::warn!(claim.id = %id, %error, "a claim's store cannot be asked now");
                    }
                }
            }
        });
        tokio::select! {
            _ = asking => {}
            () = self.clock().sleep(PATIENCE) => {}
        }
    }

    /// Looks up what a claim waits for, step by step.
    async fn ask_now(&self, id: ClaimId) -> Result<(), StoreError> {
        let mut asked = std::collections::BTreeSet::new();
        for _ in 0..MOST_STEPS {
            let Some(claim) = self.waiting_claim(id).await? else { return Ok(()) };
            let fresh: std::collections::BTreeSet<LookupId> = claim.lookups.difference(&asked).copied().collect();
            if fresh.is_empty() {
                return Ok(());
            }
            for lookup in self.store().lookups_by_id(fresh.clone()).await? {
                self.ask_at_once(lookup).await?;
            }
            asked.extend(fresh);
        }
        Ok(())
    }

    async fn waiting_claim(&self, id: ClaimId) -> Result<Option<ClaimRecord>, StoreError> {
        Ok(self.store().claim(id).await?.filter(|claim| claim.state == ClaimState::Waiting))
    }

    /// What has become of a claim that had to wait.
    async fn claim_outcome(&self, id: ClaimId, done: &Done) -> Result<ClaimAnswer, HubError> {
        let Some(claim) = self.store().claim(id).await? else {
            // Decided at once, by a neighbour's notification.
            return self.claim_answer(done.report.all_claimed()).await;
        };
        let body = ClaimBody::read(&claim.body);
        match claim.state {
            ClaimState::Settled => self.claim_answer(body.purchases).await,
            ClaimState::Refused => {
                let detail = body.detail.unwrap_or_else(|| "the store does not know this purchase".to_owned());
                Err(HubError::refused(422, "", &detail))
            }
            ClaimState::Waiting => {
                let lookups = self.store().lookups_by_id(claim.lookups.clone()).await?;
                let pending =
                    Pending { id, notification: !claim.purchases.is_empty(), lookups, temporary: body.temporary };
                Ok(ClaimAnswer { purchases: Vec::new(), pending: Some(pending) })
            }
        }
    }

    /// Refused when another customer keeps all of it.
    async fn claim_answer(&self, claimed: Vec<Claimed>) -> Result<ClaimAnswer, HubError> {
        if !claimed.is_empty() && claimed.iter().all(|claimed| claimed.restored == Restored::KeptWithOriginal) {
            let detail = "this purchase belongs to another customer, and stays there: this is what the restore policy \
                          says; that customer has to sign in, or an operator has to transfer it";
            return Err(HubError::refused(409, "", detail));
        }
        let mut purchases = Vec::with_capacity(claimed.len());
        for Claimed { purchase, restored } in claimed {
            if let Some(purchase) = self.store().purchase(purchase).await? {
                purchases.push((purchase, restored));
            }
        }
        Ok(ClaimAnswer { purchases, pending: None })
    }

    /// A lookup came to nothing: claims that wait for it, and for nothing else, end.
    pub(crate) async fn lookup_given_up(&self, lookup: &LookupRecord) -> Result<(), StoreError> {
        for claim in self.store().claims_waiting_for(lookup.id).await? {
            let others = claim.lookups.iter().filter(|id| **id != lookup.id).copied().collect();
            let goes_on = self.store().lookups_by_id(others).await?.iter().any(|other| other.ask_at.is_some());
            if goes_on || !claim.purchases.is_empty() {
                continue;
            }
            let said = lookup.last_error.as_deref().unwrap_or("nothing");
            let reason = format!("the store could not confirm this purchase: {said}");
            self.commit_store(Urgency::Rest, Command::EndClaim { id: claim.id, reason }).await?;
        }
        Ok(())
    }

    /// Ends claims that waited for too long, and forgets what became of old ones.
    pub(crate) async fn end_old_claims(&self) -> Result<u64, StoreError> {
        let now = self.clock().now();
        loop {
            let old = self.store().claims_waiting(now.minus(WAITS), BATCH).await?;
            for claim in &old {
                let reason = "the store said nothing about this purchase for three days".to_owned();
                self.commit_store(Urgency::Rest, Command::EndClaim { id: claim.id, reason }).await?;
            }
            if old.len() < BATCH {
                break;
            }
        }
        self.store().prune_claims(now.minus(KEPT)).await
    }
}

/// The same proof for the same customer is the same claim.
fn claim_id(source: SourceId, customer: &str, claim: &Claim) -> ClaimId {
    let Claim { signed_transaction, purchase_token, product_id, receipt_id, user_id, subscription_id } = claim;
    let proof = [signed_transaction, purchase_token, product_id, receipt_id, user_id, subscription_id];
    let parts: Vec<&[u8]> = proof.iter().map(|part| part.as_deref().unwrap_or_default().as_bytes()).collect();
    let mut all: Vec<&[u8]> = vec![&source.0, customer.as_bytes()];
    all.extend(parts);
    ClaimId::derive(&all)
}

fn refused_by_source(rejection: Rejection) -> HubError {
    let pointer = rejection.pointer.unwrap_or_default();
    HubError::refused(rejection.kind.status(), &pointer, &rejection.detail)
}
