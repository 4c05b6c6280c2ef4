//! One subscription and its moves: which events Stripe makes of each, and what is true after every one of them.
//!
//! The events named in a move are those that it must cause in a hub that hears of everything in order; they stand at the
//! notification after which nothing is missing for them (a renewal at its `invoice.paid`). ACTIVATE, DEACTIVATE and
//! TRANSACTION_PROCESSED are not among them: access and money are compared as such.

mod billing;
mod changes;
mod pauses;
mod refunds;
mod start;

pub(super) use billing::Dunning;
pub(super) use refunds::{RefundEnd, refund_of};
pub(super) use start::{Start, lower};

use super::teller::{Draft, Teller};
use crate::catalogue::{Kind, PLANS, Plan};
use crate::chance::Chance;
use crate::lives::Turn;
use crate::stores::stripe::objects::{self, Charge, Id, Invoice, Line, Object, Price};
use crate::truth::{After, Amount, State};

/// A subscription of one customer.
pub(super) struct Subscription {
    /// As Stripe has it.
    object: objects::Subscription,
    /// As the last event told it.
    told: objects::Subscription,
    /// The last invoice.
    invoice: Invoice,
    /// How the running period was paid for, while nothing else is mixed into it.
    paid: Option<Charge>,
    /// Payments of earlier periods.
    earlier: Vec<Charge>,
    schedule: Option<objects::Schedule>,
    /// Charged or given back with the next invoice.
    carried: Vec<Line>,
    state: State,
    grace_ends: Option<i64>,
    /// What is true of the period: Stripe's own, except where a pause stands in between.
    period: (i64, i64),
    /// It never was before for this customer, so a hub must say STARTED.
    is_first: bool,
}

/// What one event means besides the subscription's own state.
#[derive(Default)]
struct Meaning {
    money: Option<i64>,
    new_period: bool,
    events: Vec<&'static str>,
    also: Vec<Object>,
}

impl Meaning {
    fn events(events: Vec<&'static str>) -> Meaning {
        Meaning { events, ..Meaning::default() }
    }

    fn money(minor: i64, events: Vec<&'static str>) -> Meaning {
        Meaning { money: (minor != 0).then_some(minor), events, ..Meaning::default() }
    }
}

/// Earlier payments that can still be refunded.
const MAX_EARLIER: usize = 3;

impl Subscription {
    pub(super) const fn state(&self) -> State {
        self.state
    }

    pub(super) const fn ends(&self) -> i64 {
        self.object.period.1
    }

    pub(super) const fn renews(&self) -> bool {
        !self.object.cancel_at_period_end && self.object.cancel_at.is_none()
    }

    pub(super) fn is_trial(&self) -> bool {
        self.object.status == "trialing"
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.object.status, "canceled" | "incomplete_expired")
    }

    /// Nobody gave a card: what trials end with then is a pause.
    pub(super) fn lacks_method(&self) -> bool {
        self.object.without_method == "pause"
    }

    /// Payments are not collected at present.
    pub(super) const fn collects_nothing(&self) -> bool {
        self.object.pause.is_some()
    }

    pub(super) const fn is_paid(&self) -> bool {
        self.paid.is_some()
    }

    pub(super) fn has_earlier(&self) -> bool {
        !self.earlier.is_empty()
    }

    pub(super) const fn has_schedule(&self) -> bool {
        self.schedule.is_some()
    }

    fn plan(&self) -> &'static Plan {
        self.object.price.plan
    }

    /// A dearer product with the same interval.
    pub(super) fn higher(&self) -> Option<&'static Plan> {
        let plan = self.plan();
        PLANS.iter().find(|other| other.rank > plan.rank && other.period == plan.period)
    }

    /// A product with a longer interval.
    pub(super) fn longer(&self) -> Option<&'static Plan> {
        PLANS.iter().find(|other| other.period > self.plan().period)
    }

    /// Another subscription product.
    pub(super) fn other(&self, chance: &mut Chance) -> &'static Plan {
        let is_other = |plan: &&Plan| plan.kind == Kind::Subscription && **plan != *self.plan();
        let choices: Vec<_> = PLANS.iter().filter(is_other).map(|plan| (1, plan)).collect();
        chance.pick(&choices).unwrap_or(self.plan())
    }

    fn price_of(&self, plan: &'static Plan) -> Price {
        Price { plan, storefront: self.object.price.storefront }
    }

    fn grade(&self, to: &Plan) -> &'static str {
        match to.rank.cmp(&self.plan().rank) {
            std::cmp::Ordering::Greater => "SUBSCRIPTION_UPGRADED",
            std::cmp::Ordering::Equal => "SUBSCRIPTION_CROSSGRADED",
            std::cmp::Ordering::Less => "SUBSCRIPTION_DOWNGRADED",
        }
    }

    /// Tells an event about the subscription itself, with what changed since the last one.
    fn say(&mut self, teller: &mut Teller, turn: Turn, kind: &'static str, meaning: Meaning) {
        let before = (kind == "customer.subscription.updated").then(|| Object::Subscription(self.told.clone()));
        self.told = self.object.clone();
        let object = Object::Subscription(self.object.clone());
        self.tell(teller, turn, kind, object, before, meaning);
    }

    /// `customer.subscription.updated`.
    fn update(&mut self, teller: &mut Teller, turn: Turn, meaning: Meaning) {
        self.say(teller, turn, "customer.subscription.updated", meaning);
    }

    /// Tells an event about another object.
    fn tell(
        &mut self,
        teller: &mut Teller,
        turn: Turn,
        kind: &'static str,
        object: Object,
        before: Option<Object>,
        meaning: Meaning,
    ) {
        let after = After {
            state: self.state,
            will_renew: Some(self.renews() && !self.is_over()),
            plan: self.plan(),
            product_id: self.object.price.id().into(),
            starts_at: self.period.0 * 1000,
            ends_at: Some(self.period.1 * 1000),
            grace_ends_at: self.grace_ends.map(|at| at * 1000),
            money: meaning.money.map(|minor| Amount { minor, currency: teller.storefront.currency }),
            new_period: meaning.new_period,
            events: meaning.events,
        };
        let purchase = Id::clone(&self.object.id);
        teller.tell(Draft { turn, purchase, kind, object, before, also: meaning.also, after });
    }

    /// It has ended: no word of Stripe's comes after this.
    fn close(&mut self, teller: &mut Teller, turn: Turn, reason: &'static str, events: Vec<&'static str>) {
        let now = teller.now;
        self.object.status = "canceled";
        self.object.ended_at = Some(now);
        self.object.canceled_at = self.object.canceled_at.or(Some(now));
        self.object.cancellation.0 = Some(reason);
        self.object.schedule = None;
        if self.state != State::Revoked {
            self.state = State::Expired;
        }
        self.grace_ends = None;
        self.say(teller, turn, "customer.subscription.deleted", Meaning::events(events));
    }
}
