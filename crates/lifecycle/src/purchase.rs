//! What `advance` works on: a subscription, a one-time purchase or a grant.

use crate::closed_set;
use crate::engine::Change;
use crate::event::EventType;
use crate::ids::{CustomerId, PurchaseId};
use crate::money::{Currency, Money};
use crate::observation::{Facets, Hint, OfferType, PurchaseKey, Store};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

closed_set! {
    /// Lifecycle state (lifecycle.md section 3). Derived from the facets and the clock, never set by hand.
    pub enum State {
        /// Nothing is known yet.
        None = "none",
        /// The first payment is open.
        Pending = "pending",
        /// Access.
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

impl State {
    /// Whether the customer may use what the product unlocks.
    #[must_use]
    pub const fn has_access(self) -> bool {
        match self {
            State::Active | State::Grace => true,
            State::None | State::Pending | State::BillingRetry | State::Paused | State::Expired | State::Revoked => {
                false
            }
        }
    }
}

/// A purchase: what is known (facets), what it amounts to (state), and what was told about it. One row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purchase {
    /// Our id, derived from the key.
    pub id: PurchaseId,
    /// The store's lasting name of it.
    pub key: PurchaseKey,
    /// Ids that the store gave it after that of `key`, in the order in which they replaced each other (a Play token, an
    /// Amazon receipt). The newest [`Purchase::MAX_LATER_IDS`] stay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub later_ids: Vec<String>,
    /// Which store sold it.
    pub store: Store,
    /// Who owns it now.
    pub customer: CustomerId,
    /// What is known.
    #[serde(default)]
    pub facets: Facets,
    /// What it amounts to.
    pub state: State,
    /// Number of the last event told about it.
    #[serde(default)]
    pub seq: u64,
    /// Deadlines up to here have been settled by the clock: a period, grace or pause that ends at or before this moment
    /// is over even if the store said nothing. Only ever grows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_until: Option<Timestamp>,
    /// Our time when a store last said something new about it. News that come after the date that they are about come in
    /// bursts (a hub that was down, a life told after the fact), so dates wait a little after them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard_at: Option<Timestamp>,
    /// The next moment at which the clock has something to decide or to ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_deadline: Option<Timestamp>,
    /// Money facts that were told, by `transaction/kind` or `transaction/kind/refund id`, with what was told, so that each
    /// is told once and a reversal gives back what the refund took.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub told: BTreeMap<String, Money>,
    /// Sum of all money told of it, by currency: its part of its owner's lifetime totals, which it takes along when it
    /// moves.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub totals: BTreeMap<Currency, i64>,
    /// Digests of the last notifications that it came from, oldest first, so that a repeat is known as one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recent: Vec<u64>,
    /// Transactions that are over and told, by id: what is left of them to know a repeat, and a refund, by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settled: BTreeMap<String, Settled>,
    /// Periods known so far, dropped ones too: the renewal number.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub periods: u32,
    /// The earliest period known so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_period: Option<FirstPeriod>,
    /// Transactions that are unknown and of which nothing newer than this is said were dropped before: they are not
    /// counted and not told again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forgotten_until: Option<Timestamp>,
    /// A cancellation was told for the running period (renewal off, a failed charge, a refund).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancellation_told: bool,
    /// The store's last word that renewal is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal_on_at: Option<Timestamp>,
    /// Its words after that, that renewal is off: the first of them is Discord's `canceled_at`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub renewal_off_at: BTreeSet<Timestamp>,
    /// When the store said last that the carrier of the period (a Play token, an Amazon receipt) was replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier_ended_at: Option<Timestamp>,
    /// What took that carrier's place is known as a purchase of its own: its end is not waited with.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub carrier_followed: bool,
    /// A start or renewal that waits for its price before it is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// The offer before a period that moved on and was not paid: a recovery converts it, an end does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpaid_offer: Option<OfferType>,
    /// How often the store was asked about the end that is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
    /// The lifecycle event with which the running period began: what a price that is learned late belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period_event: Option<EventType>,
    /// The transaction of the last period that was told as begun: each is told once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period_told: Option<String>,
    /// The transaction of the last period whose offer was told as not converted: a refund may be undone, and the period end
    /// after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer_ended: Option<String>,
}

/// A transaction that is over and told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// The newest moment that was said of it.
    pub at: Timestamp,
    /// The store's own id of it, where the key is not one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_id: Option<String>,
    /// The product that it paid for, where it was another one than the one in force when it was settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_id: Option<String>,
}

/// The earliest period of a purchase. Ordered by its start, then by its id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FirstPeriod {
    /// First moment.
    pub starts_at: Timestamp,
    /// The store's id of it, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
}

/// A start or renewal that is known but not told yet, because its price comes in a later notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// What happened.
    pub change: Change,
    /// The chain had other periods before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub same_chain: bool,
    /// The transaction whose price is awaited.
    pub transaction: String,
    /// Told without a price from this moment on.
    pub until: Timestamp,
    /// When it happened, in the store's time.
    pub occurred_at: Timestamp,
    /// The offer of the period before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_offer: Option<OfferType>,
    /// A free period became a paid one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_trial_conversion: bool,
    /// Why the store spoke.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<Hint>,
}

/// Questions to the store about one end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The end that is due.
    pub about: Timestamp,
    /// How often.
    pub times: u32,
    /// Not again before.
    pub again_at: Timestamp,
}

/// Whether a count is not worth writing.
pub(crate) fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Purchase {
    /// How many digests of notifications a purchase remembers. A repeat that comes later than that is kept once more
    /// and changes nothing, because facets absorb repeats.
    pub const MAX_RECENT: usize = 32;

    /// How many ids of a store are kept in their order.
    pub const MAX_LATER_IDS: usize = 32;

    /// The id by which the store is asked about it: the newest.
    #[must_use]
    pub fn newest_id(&self) -> &str {
        self.later_ids.last().unwrap_or(&self.key.store_purchase_id)
    }

    /// Whether `id` is one that the store has since replaced.
    #[must_use]
    pub fn is_former(&self, id: &str) -> bool {
        id != self.newest_id() && (self.key.store_purchase_id == id || self.later_ids.iter().any(|later| later == id))
    }

    /// The store says that `id` replaced `former`.
    pub fn replaced(&mut self, former: &str, id: &str) {
        if self.key.store_purchase_id == id || self.later_ids.iter().any(|later| later == id) {
            return;
        }
        let after = self.later_ids.iter().position(|later| later == former).map(|place| place + 1);
        let first = (self.key.store_purchase_id == former).then_some(0);
        self.later_ids.insert(after.or(first).unwrap_or(self.later_ids.len()), id.to_owned());
        if self.later_ids.len() > Purchase::MAX_LATER_IDS {
            self.later_ids.remove(0);
        }
    }

    /// The id that a key always gets.
    #[must_use]
    pub fn id_of(key: &PurchaseKey) -> PurchaseId {
        PurchaseId::derive(&[&key.source_id.0, key.environment.as_str().as_bytes(), key.store_purchase_id.as_bytes()])
    }

    /// A purchase of which nothing is known yet.
    #[must_use]
    pub fn new(key: PurchaseKey, store: Store, customer: CustomerId) -> Purchase {
        Purchase {
            id: Purchase::id_of(&key),
            key,
            later_ids: Vec::new(),
            store,
            customer,
            facets: Facets::default(),
            state: State::None,
            seq: 0,
            settled_until: None,
            heard_at: None,
            next_deadline: None,
            told: BTreeMap::new(),
            totals: BTreeMap::new(),
            recent: Vec::new(),
            settled: BTreeMap::new(),
            periods: 0,
            first_period: None,
            forgotten_until: None,
            cancellation_told: false,
            renewal_on_at: None,
            renewal_off_at: BTreeSet::new(),
            carrier_ended_at: None,
            carrier_followed: false,
            held: None,
            unpaid_offer: None,
            asked: None,
            period_event: None,
            period_told: None,
            offer_ended: None,
        }
    }
}
