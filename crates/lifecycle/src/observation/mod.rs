//! What a store says about one purchase at one moment, in our words.
//!
//! An observation is a set of dated parts, the *facets*. Absent means "the store did not say" and never overwrites;
//! older never overwrites newer, facet by facet. So observations may come in any order, any number of times.
//! `words` are the closed sets in which it is said; the merge itself is `Facets::absorb` in `merge`; what the result means is
//! decided in `engine`.

mod merge;
mod words;

pub use words::*;

use crate::ids::SourceId;
use crate::money::Money;
use crate::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// When a period is dated of which a source knows only since when the purchase runs, and the end: right before that start, so
    /// that every word on a period of this run is newer.
    #[must_use]
    pub fn reckoned_at(&self) -> Timestamp {
        self.starts_at.minus(Duration::from_millis(1))
    }

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// The store's own id of it, where the key is not one: a store whose periods carry no id (Stripe) has its
    /// transactions keyed by their start, and its invoice is what people look for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_id: Option<Dated<String>>,
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

/// How many changes of a pause's plan are kept; a customer makes one or two in a period.
pub const MAX_PAUSE_CHANGES: usize = 32;

/// How often money moved with one refund: it may be reversed, and given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rounds {
    /// Times that it went back.
    pub refunds: usize,
    /// Times that it came again.
    pub reversals: usize,
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
    /// The store gives no start of the period: its `starts_at` is only a moment before which it did not begin. It began with
    /// the end of the one before, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_is_bound: Option<Dated<bool>>,
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
    /// When the plan of a pause changed, where the store says no more than that: within a period the first change makes a
    /// plan, the next withdraws it. The newest [`MAX_PAUSE_CHANGES`] stay.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub pause_changed_at: BTreeSet<Timestamp>,
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
    /// What the store is asked with, where the lasting id alone does not do (the newest Play token; Amazon's user and newest
    /// receipt), in the source's own words. Nothing is told of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ask_with: Option<Dated<String>>,
    /// The store's own id of the right to use it, where that is a thing of its own beside the purchase (Discord's entitlement).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entitlement_id: Option<Dated<String>>,
    /// Attributes of the customer, dated one by one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Dated<String>>,
    /// Transactions by the store's id.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub transactions: BTreeMap<String, TransactionFacts>,
}

impl Facets {
    /// Leaves out how a purchase stands, facet by facet, where `known` says it: what a store says of an id that it has replaced
    /// is about what was paid under that id, not about the purchase that goes on under another.
    #[must_use]
    pub fn yielding_to(mut self, known: &Facets) -> Facets {
        macro_rules! leave_out {
            ($($facet:ident)*) => { $(if known.$facet.is_some() { self.$facet = None; })* };
        }
        leave_out!(standing period period_type product offer next_offer will_renew cancel_reason expiration_reason);
        leave_out!(grace_ends_at billing_retry pause pending extended_until price_increase);
        self
    }
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
    /// The lasting id that the store knew this purchase by before: a Play token or an Amazon receipt that was replaced by
    /// `key`'s. From then on the purchase is known by either. The engine does not look at it; who does is `hub/commit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// Found by us, where the store told nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detected_by: Option<DetectedBy>,
}

impl Observation {
    /// The stamp of everything in this observation that carries no time of its own.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        Stamp { as_of: self.observed_at, origin: self.origin, by: self.id.clone() }
    }
}
