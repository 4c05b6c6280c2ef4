//! What is true: the simulator's own account of every customer and purchase, which a hub's answers are held against.
//!
//! It is written by the lives themselves and knows nothing of the hub's engine. `compare` holds a hub against it.

mod carriers;

pub use carriers::Carriers;

use crate::catalogue::{Kind, Plan};
use crate::lives::Told;
use crate::stores::StoreKind;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How a purchase stands, in the words of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The first payment is open.
    Pending,
    /// Access.
    Active,
    /// The charge failed, access stays.
    Grace,
    /// The charge failed, access is gone, the store keeps trying.
    BillingRetry,
    /// Paused, no access.
    Paused,
    /// Ended.
    Expired,
    /// Refunded or withdrawn.
    Revoked,
}

impl State {
    /// The word in the hub's answers.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Active => "active",
            State::Grace => "grace",
            State::BillingRetry => "billing_retry",
            State::Paused => "paused",
            State::Expired => "expired",
            State::Revoked => "revoked",
        }
    }

    /// Whether the customer may use what was bought.
    #[must_use]
    pub const fn has_access(self) -> bool {
        match self {
            State::Active | State::Grace => true,
            State::Pending | State::BillingRetry | State::Paused | State::Expired | State::Revoked => false,
        }
    }
}

/// Money in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    /// Minor units; negative when it went back.
    pub minor: i64,
    /// ISO 4217.
    pub currency: &'static str,
}

/// What is true of a purchase after one notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct After {
    /// How it stands.
    pub state: State,
    /// Renewal is on; absent for one-time purchases.
    pub will_renew: Option<bool>,
    /// The product in force.
    pub plan: &'static Plan,
    /// The store's id of it: Apple's product, Stripe's price.
    pub product_id: Cow<'static, str>,
    /// Start of the period, as stamped (milliseconds since 1970).
    pub starts_at: i64,
    /// Its end, as stamped; absent for one-time purchases.
    pub ends_at: Option<i64>,
    /// End of the grace period, as stamped.
    pub grace_ends_at: Option<i64>,
    /// What moved.
    pub money: Option<Amount>,
    /// A period began.
    pub new_period: bool,
    /// The canonical events that it must cause in a hub that hears of everything in order.
    pub events: Vec<&'static str>,
}

/// Everything that is true of a purchase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PurchaseTruth {
    /// Which store sold it.
    pub store: StoreKind,
    /// Every id that the store has given it.
    pub names: BTreeSet<Arc<str>>,
    /// The id that the hub must know its customer by, if there is one.
    pub customer: Option<Arc<str>>,
    /// How it stands after the latest notification.
    pub now: After,
    /// Place of that notification in its life.
    pub ordinal: u32,
    /// Notifications told.
    pub notifications: u32,
    /// Of these: lost on the way or told to nobody, so that a hub can only have asked.
    pub unheard: u32,
    /// How often each canonical event can be missing, because only a notification that was lost told of it.
    pub unheard_events: BTreeMap<&'static str, u32>,
    /// Periods begun (or purchases made).
    pub periods: u32,
    /// All money, by currency.
    pub totals: BTreeMap<&'static str, i64>,
    /// Every period that began, by product and start as stamped; a one-time purchase counts as one.
    pub begun: BTreeSet<(Cow<'static, str>, i64)>,
    /// Every sum that moved, in no order.
    pub moved: Vec<Amount>,
    /// The first payment was open for a while.
    pub first_payment_open: bool,
    /// Access after each notification, by its place.
    pub access: BTreeMap<u32, bool>,
    /// How often each canonical event must have occurred.
    pub events: BTreeMap<&'static str, u32>,
    /// The ids that it went by, and which of them a hub heard of.
    pub carriers: Carriers,
}

impl PurchaseTruth {
    /// What it unlocks now.
    #[must_use]
    pub fn entitlements(&self) -> &'static [&'static str] {
        if self.now.state.has_access() && self.now.plan.kind != Kind::Consumable {
            self.now.plan.entitlements
        } else {
            &[]
        }
    }
}

/// The account of a run: what was told so far, and what follows from it.
#[derive(Debug, Clone, Default)]
pub struct Truth {
    purchases: BTreeMap<Arc<str>, PurchaseTruth>,
    /// Customers of whose purchases some are left out although a hub heard of them.
    partly_known: BTreeSet<Arc<str>>,
}

impl Truth {
    /// Takes note of a notification that the hub has accepted. Notifications of a purchase may come in any order; each
    /// must come once.
    pub fn learn(&mut self, told: &Told) {
        self.note(told, true);
    }

    fn note(&mut self, told: &Told, is_heard: bool) {
        let known = self.purchases.entry(Arc::clone(&told.purchase)).or_insert_with(|| PurchaseTruth {
            store: told.store(),
            names: BTreeSet::from([Arc::clone(&told.purchase)]),
            customer: told.customer.clone(),
            now: told.after.clone(),
            ordinal: told.ordinal,
            notifications: 0,
            unheard: 0,
            unheard_events: BTreeMap::new(),
            periods: 0,
            totals: BTreeMap::new(),
            begun: BTreeSet::new(),
            moved: Vec::new(),
            first_payment_open: false,
            access: BTreeMap::new(),
            events: BTreeMap::new(),
            carriers: Carriers::default(),
        });
        known.names.extend(told.known_as.clone());
        known.carriers.note(told, is_heard);
        known.notifications += 1;
        known.periods += u32::from(told.after.new_period);
        if let Some(money) = told.after.money {
            *known.totals.entry(money.currency).or_default() += money.minor;
            // In an order of its own: what is true does not depend on the order of hearing.
            let place = known.moved.partition_point(|one| (one.currency, one.minor) < (money.currency, money.minor));
            known.moved.insert(place, money);
        }
        known.first_payment_open |= told.after.state == State::Pending;
        known.begun.insert((told.after.product_id.clone(), told.after.starts_at));
        known.access.insert(told.ordinal, told.after.state.has_access());
        for event in &told.after.events {
            *known.events.entry(event).or_default() += 1;
        }
        if told.ordinal > known.ordinal {
            known.ordinal = told.ordinal;
            known.now = told.after.clone();
        }
    }

    /// Takes note of a notification that was lost on the way, or of what no notification tells: it is true all the same.
    pub fn learn_unheard(&mut self, told: &Told) {
        self.note(told, false);
        if let Some(known) = self.purchases.get_mut(&told.purchase) {
            known.unheard += 1;
            for event in &told.after.events {
                *known.unheard_events.entry(event).or_default() += 1;
            }
        }
    }

    /// What a hub can know that asks: everything but those purchases whose store shows no list and of which every
    /// notification was lost that names the id that they go by now. Nobody who never heard of it can ask for it, and no store
    /// says of an older one by which it was replaced.
    #[must_use]
    pub fn knowable(&self) -> Truth {
        let is_knowable = |one: &PurchaseTruth| one.store.lists_purchases() || one.carriers.is_newest_heard();
        let (known, other): (Vec<_>, Vec<_>) = self.purchases.iter().partition(|(_, one)| is_knowable(one));
        let partly = other.into_iter().filter(|(_, one)| one.unheard < one.notifications);
        Truth {
            purchases: known.into_iter().map(|(id, one)| (Arc::clone(id), one.clone())).collect(),
            partly_known: partly.filter_map(|(_, one)| one.customer.clone()).collect(),
        }
    }

    /// Whether what a hub must say of this customer's access is known: not where it heard of a purchase, and could not know
    /// what has become of it.
    #[must_use]
    pub fn is_access_certain(&self, customer: &str) -> bool {
        !self.partly_known.contains(customer)
    }

    /// Purchases by the store's id.
    #[must_use]
    pub const fn purchases(&self) -> &BTreeMap<Arc<str>, PurchaseTruth> {
        &self.purchases
    }

    /// Customers that a hub must know by an id, and their purchases.
    #[must_use]
    pub fn customers(&self) -> BTreeMap<Arc<str>, Vec<Arc<str>>> {
        let mut customers: BTreeMap<Arc<str>, Vec<Arc<str>>> = BTreeMap::new();
        for (id, purchase) in &self.purchases {
            if let Some(customer) = &purchase.customer {
                customers.entry(Arc::clone(customer)).or_default().push(Arc::clone(id));
            }
        }
        customers
    }

    /// What these purchases unlock together.
    #[must_use]
    pub fn entitlements(&self, purchases: &[Arc<str>]) -> BTreeSet<&'static str> {
        purchases
            .iter()
            .filter_map(|id| self.purchases.get(id))
            .flat_map(PurchaseTruth::entitlements)
            .copied()
            .collect()
    }

    /// All money of these purchases, by currency.
    #[must_use]
    pub fn totals(&self, purchases: &[Arc<str>]) -> BTreeMap<&'static str, i64> {
        let mut totals = BTreeMap::new();
        for purchase in purchases.iter().filter_map(|id| self.purchases.get(id)) {
            for (currency, minor) in &purchase.totals {
                *totals.entry(*currency).or_default() += minor;
            }
        }
        totals
    }
}
