//! What a store says about one purchase at one moment, in our words.
//!
//! An observation is a set of dated parts, the *facets*. Absent means "the store did not say" and never overwrites;
//! older never overwrites newer, facet by facet. So observations may come in any order, any number of times.
//! The merge itself is `Facets::absorb`; what the result means is decided in `engine`.

use crate::closed_set;
use crate::ids::SourceId;
use crate::money::Money;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

closed_set! {
    /// Which store sold it (RevenueCat's names and contract.md's list).
    pub enum Store {
        /// Apple, iOS.
        AppStore = "APP_STORE",
        /// Apple, macOS.
        MacAppStore = "MAC_APP_STORE",
        /// Google Play.
        PlayStore = "PLAY_STORE",
        /// Amazon Appstore.
        Amazon = "AMAZON",
        /// Stripe.
        Stripe = "STRIPE",
        /// Paddle.
        Paddle = "PADDLE",
        /// Discord app subscriptions.
        Discord = "DISCORD",
        /// Grants given by hand.
        Promotional = "PROMOTIONAL",
        /// Anything else.
        External = "EXTERNAL",
    }
}

closed_set! {
    /// Real money or a test.
    pub enum Environment {
        /// Real purchases.
        Production = "PRODUCTION",
        /// Tests.
        Sandbox = "SANDBOX",
    }
}

closed_set! {
    /// What was bought.
    pub enum Kind {
        /// Renews by itself.
        Subscription = "subscription",
        /// Used up; gives no lasting access.
        Consumable = "consumable",
        /// Bought once, kept for ever.
        NonConsumable = "non_consumable",
        /// Runs for a time and ends.
        NonRenewing = "non_renewing",
        /// An entitlement given by hand (lifecycle.md section 12).
        Grant = "grant",
    }
}

closed_set! {
    /// Why the store spoke. It only decides between events that comparing facets cannot tell apart (lifecycle.md 1.2).
    /// The first part is contract.md's `reason` list for the generic source.
    pub enum Hint {
        /// First purchase, or bought again.
        Purchased = "purchased",
        /// A new period.
        Renewed = "renewed",
        /// Renewal was switched off.
        RenewalDisabled = "renewal_disabled",
        /// Renewal was switched on again.
        RenewalEnabled = "renewal_enabled",
        /// One attempt to charge failed.
        PaymentFailed = "payment_failed",
        /// Renewal failed, access is kept.
        GraceStarted = "grace_started",
        /// Renewal failed, access is lost, the store keeps trying.
        BillingRetryStarted = "billing_retry_started",
        /// Paid after a failure.
        Recovered = "recovered",
        /// Another product is in force.
        ProductChanged = "product_changed",
        /// Another product will be in force.
        ProductChangeScheduled = "product_change_scheduled",
        /// It will not after all.
        ProductChangeCancelled = "product_change_cancelled",
        /// It will pause.
        PauseScheduled = "pause_scheduled",
        /// It will not after all.
        PauseCancelled = "pause_cancelled",
        /// It is paused.
        Paused = "paused",
        /// It runs again.
        Resumed = "resumed",
        /// The period's end moved later without a charge.
        Extended = "extended",
        /// The customer asked for money back; or a dispute was opened.
        RefundRequested = "refund_requested",
        /// Money went back.
        Refunded = "refunded",
        /// The store said no to a refund.
        RefundDeclined = "refund_declined",
        /// A refund was undone.
        RefundReversed = "refund_reversed",
        /// Access was withdrawn.
        Revoked = "revoked",
        /// It ended.
        Expired = "expired",
        /// Another customer owns it.
        Transferred = "transferred",
        /// Bought once.
        OneTimePurchased = "one_time_purchased",
        /// The store announced a higher price, or the customer agreed to one.
        PriceIncrease = "price_increase",
        /// The store tests the line.
        Test = "test",
        /// An offer was redeemed.
        OfferRedeemed = "offer_redeemed",
        /// An up-, cross- or downgrade in the store's own word.
        Upgraded = "upgraded",
        /// See `Upgraded`.
        Crossgraded = "crossgraded",
        /// See `Upgraded`.
        Downgraded = "downgraded",
        /// A family member lost the shared access.
        FamilyRevoked = "family_revoked",
        /// A period carrier (Play token, Amazon receipt) ended because another one replaced it.
        Replaced = "replaced",
        /// The store was asked and said how things are.
        Answered = "answered",
    }
}

closed_set! {
    /// How the current period was paid for (RevenueCat's `period_type`, in lower case).
    pub enum PeriodType {
        /// Free.
        Trial = "trial",
        /// Paid introductory price.
        Intro = "intro",
        /// An offer code or promotion.
        Promo = "promo",
        /// The regular price.
        Normal = "normal",
        /// Play prepaid plan.
        Prepaid = "prepaid",
        /// A grant.
        Promotional = "promotional",
    }
}

closed_set! {
    /// Canonical offers (lifecycle.md section 6).
    pub enum OfferType {
        /// A free trial.
        FreeTrial = "FREE_TRIAL",
        /// An introductory price.
        IntroOffer = "INTRO_OFFER",
        /// A code.
        PromoCode = "PROMO_CODE",
        /// An offer to an existing or former subscriber.
        PromotionalOffer = "PROMOTIONAL_OFFER",
    }
}

closed_set! {
    /// Why renewal was switched off or access ended (RevenueCat's values, lifecycle.md section 9).
    pub enum Reason {
        /// The customer's wish.
        Unsubscribe = "UNSUBSCRIBE",
        /// A charge failed.
        BillingError = "BILLING_ERROR",
        /// The developer's doing.
        DeveloperInitiated = "DEVELOPER_INITIATED",
        /// A price increase was not accepted.
        PriceIncrease = "PRICE_INCREASE",
        /// A refund.
        CustomerSupport = "CUSTOMER_SUPPORT",
        /// A pause began (expiration only).
        SubscriptionPaused = "SUBSCRIPTION_PAUSED",
        /// The store gave none.
        Unknown = "UNKNOWN",
    }
}

closed_set! {
    /// Whether the customer agreed to a higher price.
    pub enum Consent {
        /// Not yet.
        Pending = "pending",
        /// Yes.
        Accepted = "accepted",
    }
}

closed_set! {
    /// The store's word on how the purchase stands (lifecycle.md section 3). Access follows from it.
    pub enum Standing {
        /// The first payment is open.
        Pending = "pending",
        /// Paid, or in a free trial.
        Active = "active",
        /// Renewal failed, access is kept.
        Grace = "grace",
        /// Renewal failed, access is lost, the store keeps trying.
        BillingRetry = "billing_retry",
        /// Paused, no access.
        Paused = "paused",
        /// Ended.
        Expired = "expired",
        /// Refunded or withdrawn.
        Revoked = "revoked",
    }
}

closed_set! {
    /// Who says so: for equal times the later member wins (architecture.md section 1).
    pub enum Origin {
        /// A notification.
        Notification = "notification",
        /// The answer to a question of ours.
        Answer = "answer",
        /// A command of the operator.
        Command = "command",
    }
}

/// When, and by whom, a facet was said. Ordered: the larger stamp wins. `by` is the store's own id of what said it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// The store's time.
    pub as_of: Timestamp,
    /// Who says so.
    pub origin: Origin,
    /// The store's own id, to break ties.
    pub by: Arc<str>,
}

/// A value with its stamp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dated<T> {
    /// What was said.
    pub value: T,
    /// When and by whom.
    pub stamp: Stamp,
}

/// The store's lasting name of a purchase (lifecycle.md section 2).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PurchaseKey {
    /// The source that told of it: two sources never share a purchase.
    pub source_id: SourceId,
    /// Environments never mix.
    pub environment: Environment,
    /// `originalTransactionId`, root purchase token, subscription id, `purchase_id` of the generic source ...
    pub store_purchase_id: String,
}

/// The running period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// The store's id of this period, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
    /// First moment.
    pub starts_at: Timestamp,
    /// First moment after it; absent: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
}

impl Period {
    /// The name of this period in `Facets::transactions`: the store's id, else `@` and the start.
    #[must_use]
    pub fn transaction_key(&self) -> Cow<'_, str> {
        match &self.transaction_id {
            Some(id) => Cow::Borrowed(id),
            None => Cow::Owned(format!("@{}", self.starts_at)),
        }
    }
}

/// An offer in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// Canonical type.
    #[serde(rename = "type")]
    pub offer_type: OfferType,
    /// The store's id of the offer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The code that was entered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// A pause, planned or running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// When it begins; absent: at the end of the period, or already running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Timestamp>,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumes_at: Option<Timestamp>,
}

/// A product that will be in force later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingProduct {
    /// The store's product id.
    pub product_id: String,
    /// When; absent: at the end of the period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_at: Option<Timestamp>,
}

/// A higher price that was announced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceIncrease {
    /// Agreed or not yet.
    pub consent: Consent,
    /// The new price, where told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_price: Option<Money>,
    /// From when, where told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_at: Option<Timestamp>,
}

/// What is known of one transaction. Merged by its id; each part is dated on its own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TransactionFacts {
    /// The product that it paid for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_id: Option<Dated<String>>,
    /// The period that it paid for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Dated<Period>>,
    /// What was paid. `None` inside: the store took its word back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Dated<Option<Money>>>,
    /// Refunds by refund id, else by ordinal (`"0"` for the only one a store can give).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refunds: BTreeMap<String, Dated<RefundFact>>,
    /// When money moved with each refund, and which way: `Refunded` or `Reversed`, whatever was said of it since. Kept by
    /// `absorb`; sources leave it empty. The newest [`MAX_MOVES`] stay.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub moved: BTreeMap<String, BTreeSet<(Timestamp, RefundStatus)>>,
    /// A failed attempt to charge it, by the store's attempt id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failures: BTreeMap<String, Timestamp>,
}

/// How many movements of money are kept of one refund; more than a few are a sender that says the same all the time.
pub const MAX_MOVES: usize = 16;

/// How often money moved with one refund: it may be reversed, and given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rounds {
    /// Times that it went back.
    pub refunds: usize,
    /// Times that it came again.
    pub reversals: usize,
}

closed_set! {
    /// How far a refund has come.
    pub enum RefundStatus {
        /// Asked for, or a dispute is open.
        Requested = "requested",
        /// The store said no.
        Declined = "declined",
        /// Money went back.
        Refunded = "refunded",
        /// It was undone.
        Reversed = "reversed",
    }
}

/// One refund of one transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundFact {
    /// How far it has come.
    pub status: RefundStatus,
    /// How much went back, positive; absent: all of it, or not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// Whether the store says that access ends with it. `None`: it does when the refund is of the running period and
    /// not partial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revokes: Option<bool>,
    /// Withdrawn from a family member: no money.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub family: bool,
}

/// The dated parts of what is known about a purchase: the same shape in an observation and in a purchase's row.
/// An inner `Option` is a facet that a store can clear (`null` in the generic source).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Facets {
    /// What was bought.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Dated<Kind>>,
    /// The store's word on access.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standing: Option<Dated<Standing>>,
    /// The running period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<Dated<Period>>,
    /// How it was paid for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period_type: Option<Dated<PeriodType>>,
    /// The product in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<Dated<String>>,
    /// The offer in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offer: Option<Dated<Option<Offer>>>,
    /// An offer that will be in use from the next period on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_offer: Option<Dated<Option<Offer>>>,
    /// Renewal is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub will_renew: Option<Dated<bool>>,
    /// Why renewal is off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancel_reason: Option<Dated<Option<Reason>>>,
    /// Why it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration_reason: Option<Dated<Option<Reason>>>,
    /// Until when access is kept although the charge failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_ends_at: Option<Dated<Option<Timestamp>>>,
    /// The store keeps trying to charge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billing_retry: Option<Dated<bool>>,
    /// A pause, planned or running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause: Option<Dated<Option<Pause>>>,
    /// A product that will be in force later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<Dated<Option<PendingProduct>>>,
    /// The period's end after an extension without a charge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extended_until: Option<Dated<Option<Timestamp>>>,
    /// A higher price that was announced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_increase: Option<Dated<Option<PriceIncrease>>>,
    /// The owner's id in the app or store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Dated<Option<String>>>,
    /// Shared by a family member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family_shared: Option<Dated<bool>>,
    /// ISO 3166 alpha-2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<Dated<Option<String>>>,
    /// Attributes of the customer, dated one by one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Dated<String>>,
    /// Transactions by the store's id.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub transactions: BTreeMap<String, TransactionFacts>,
}

/// What a store says about one purchase at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// Which purchase.
    pub key: PurchaseKey,
    /// Who sold it.
    pub store: Store,
    /// The store's own id of what said this (notification id, or the question's id for an answer).
    pub id: Arc<str>,
    /// The store's time of saying it.
    pub observed_at: Timestamp,
    /// Notification, answer or command.
    pub origin: Origin,
    /// Why the store spoke.
    pub hint: Hint,
    /// Which transaction the hint is about, when not the running period's (a refund of an earlier one).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about_transaction: Option<String>,
    /// What was said.
    pub facets: Facets,
    /// From history, not live: destinations may treat it differently.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub backfill: bool,
}

impl Observation {
    /// The stamp of everything in this observation that carries no time of its own.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        Stamp { as_of: self.observed_at, origin: self.origin, by: self.id.clone() }
    }
}

/// The larger stamp wins; equal stamps are equal facts, so either stays. Says whether theirs was taken.
fn newer<T: Clone>(mine: &mut Option<Dated<T>>, theirs: &Option<Dated<T>>) -> bool {
    let Some(theirs) = theirs else { return false };
    match mine {
        Some(mine) if mine.stamp >= theirs.stamp => false,
        Some(mine) => {
            // Most words of a store repeat what it said before: a text's own memory serves again.
            mine.value.clone_from(&theirs.value);
            mine.stamp.clone_from(&theirs.stamp);
            true
        }
        None => {
            *mine = Some(theirs.clone());
            true
        }
    }
}

fn newer_by_key<T: Clone>(mine: &mut BTreeMap<String, Dated<T>>, theirs: &BTreeMap<String, Dated<T>>) -> bool {
    let mut taken = false;
    for (key, value) in theirs {
        match mine.get(key) {
            Some(known) if known.stamp >= value.stamp => {}
            Some(_) | None => {
                mine.insert(key.clone(), value.clone());
                taken = true;
            }
        }
    }
    taken
}

/// Keeps a movement unless it is older than all of a full set.
fn note_move(known: &mut BTreeSet<(Timestamp, RefundStatus)>, moved: (Timestamp, RefundStatus)) -> bool {
    if !known.insert(moved) {
        return false;
    }
    while known.len() > MAX_MOVES {
        if known.pop_first() == Some(moved) {
            return false;
        }
    }
    true
}

impl TransactionFacts {
    /// How often money went back with a refund, and how often it came again. What is said twice in a row is one movement,
    /// and a reversal with nothing before it speaks of a refund that was not heard of. Hearing more never lowers either.
    #[must_use]
    pub fn rounds(&self, refund_id: &str) -> Rounds {
        let mut rounds = Rounds::default();
        let mut last = None;
        for (_, status) in self.moved.get(refund_id).into_iter().flatten() {
            match (last, *status) {
                (Some(RefundStatus::Refunded), RefundStatus::Reversed) => rounds.reversals += 1,
                (None, RefundStatus::Reversed) => rounds = Rounds { refunds: 1, reversals: 1 },
                (None | Some(RefundStatus::Reversed), RefundStatus::Refunded) => rounds.refunds += 1,
                // Said again; and the other two are never kept, because they move nothing.
                (_, _) => {}
            }
            last = Some(*status);
        }
        rounds
    }

    /// Money that has moved stays moved even if a newer word on the refund is heard first.
    fn absorb_moved(&mut self, other: &TransactionFacts) -> bool {
        let mut taken = false;
        let said = other.refunds.iter().map(|(id, refund)| (id, (refund.stamp.as_of, refund.value.status)));
        let kept = other.moved.iter().flat_map(|(id, moves)| moves.iter().map(move |moved| (id, *moved)));
        for (id, moved) in said.chain(kept) {
            if moved.1 < RefundStatus::Refunded {
                continue;
            }
            match self.moved.get_mut(id) {
                Some(known) => taken |= note_move(known, moved),
                None => {
                    self.moved.insert(id.clone(), BTreeSet::from([moved]));
                    taken = true;
                }
            }
        }
        taken
    }

    fn absorb(&mut self, other: &TransactionFacts) -> bool {
        let mut taken = newer(&mut self.product_id, &other.product_id);
        taken |= newer(&mut self.period, &other.period);
        taken |= newer(&mut self.price, &other.price);
        taken |= newer_by_key(&mut self.refunds, &other.refunds);
        taken |= self.absorb_moved(other);
        for (attempt, at) in &other.failures {
            match self.failures.get_mut(attempt) {
                Some(known) if *known <= *at => {}
                Some(known) => {
                    *known = *at;
                    taken = true;
                }
                None => {
                    self.failures.insert(attempt.clone(), *at);
                    taken = true;
                }
            }
        }
        taken
    }
}

impl Facets {
    /// Takes in what `other` knows better, and says whether there was anything. Commutative, associative and idempotent:
    /// the reason why arrival order does not matter.
    pub fn absorb(&mut self, other: &Facets) -> bool {
        let mut taken = newer(&mut self.kind, &other.kind);
        taken |= newer(&mut self.standing, &other.standing);
        taken |= newer(&mut self.period, &other.period);
        taken |= newer(&mut self.period_type, &other.period_type);
        taken |= newer(&mut self.product, &other.product);
        taken |= newer(&mut self.offer, &other.offer);
        taken |= newer(&mut self.next_offer, &other.next_offer);
        taken |= newer(&mut self.will_renew, &other.will_renew);
        taken |= newer(&mut self.cancel_reason, &other.cancel_reason);
        taken |= newer(&mut self.expiration_reason, &other.expiration_reason);
        taken |= newer(&mut self.grace_ends_at, &other.grace_ends_at);
        taken |= newer(&mut self.billing_retry, &other.billing_retry);
        taken |= newer(&mut self.pause, &other.pause);
        taken |= newer(&mut self.pending, &other.pending);
        taken |= newer(&mut self.extended_until, &other.extended_until);
        taken |= newer(&mut self.price_increase, &other.price_increase);
        taken |= newer(&mut self.owner, &other.owner);
        taken |= newer(&mut self.family_shared, &other.family_shared);
        taken |= newer(&mut self.country, &other.country);
        taken |= newer_by_key(&mut self.attributes, &other.attributes);
        for (id, facts) in &other.transactions {
            taken |= match self.transactions.get_mut(id) {
                Some(mine) => mine.absorb(facts),
                None => {
                    let mut mine = facts.clone();
                    mine.absorb_moved(facts);
                    self.transactions.insert(id.clone(), mine);
                    true
                }
            };
        }
        taken | self.absorb_period(other)
    }

    /// A period that ran is a transaction even if a later one is in force, so that periods can be counted in any order.
    fn absorb_period(&mut self, other: &Facets) -> bool {
        let Some(period) = &other.period else { return false };
        let key = period.value.transaction_key();
        if !self.transactions.contains_key(&*key) {
            self.transactions.insert(key.to_string(), TransactionFacts::default());
        }
        let Some(facts) = self.transactions.get_mut(&*key) else { return false };
        newer(&mut facts.period, &other.period) | newer(&mut facts.product_id, &other.product)
    }
}
