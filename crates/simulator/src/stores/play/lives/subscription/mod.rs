//! One subscription and its moves: how Google tells each of them, and what is then true.
//!
//! The events named in each move are those that the move must cause in a hub that hears of everything in order and asks
//! at once. ACTIVATE, DEACTIVATE and TRANSACTION_PROCESSED are not among them: access and money are compared as such.

mod billing;
mod changes;
mod start;

pub(super) use start::{Offer, Start};

use super::teller::{Draft, Teller};
use crate::calendar::Lived;
use crate::catalogue::{Kind, PLANS, Plan};
use crate::chance::Chance;
use crate::lives::Turn;
use crate::stores::play::product_id;
use crate::stores::play::wire::{
    About, Canceled, Id, LineItem, Money, Order, Phase, Plan as Terms, Shown, State as Google, SubscriptionPurchase,
    VoidedPurchase,
};
use crate::truth::{After, Amount, State};

/// `SubscriptionNotification.notificationType`, by Google's numbers.
mod kind {
    pub(super) const RECOVERED: u8 = 1;
    pub(super) const RENEWED: u8 = 2;
    pub(super) const CANCELED: u8 = 3;
    pub(super) const PURCHASED: u8 = 4;
    pub(super) const ON_HOLD: u8 = 5;
    pub(super) const IN_GRACE_PERIOD: u8 = 6;
    pub(super) const RESTARTED: u8 = 7;
    pub(super) const DEFERRED: u8 = 9;
    pub(super) const PAUSED: u8 = 10;
    pub(super) const PAUSE_SCHEDULE_CHANGED: u8 = 11;
    pub(super) const REVOKED: u8 = 12;
    pub(super) const EXPIRED: u8 = 13;
    pub(super) const PRICE_CHANGE_UPDATED: u8 = 19;
    pub(super) const PENDING_PURCHASE_CANCELED: u8 = 20;
}

/// A subscription of one customer: a chain of tokens.
pub(super) struct Subscription {
    /// The first token of the chain.
    root: Id,
    /// As Google shows it now.
    object: SubscriptionPurchase,
    plan: &'static Plan,
    /// What the next renewal changes to.
    next_plan: Option<&'static Plan>,
    /// The order that renewals append their number to.
    base_order: Id,
    renewals: u32,
    /// What paid for the running period, unless nothing did.
    paid: Option<Order>,
    earlier: Vec<Order>,
    starts: Lived,
    ends: Lived,
    grace_ends: Option<Lived>,
    state: State,
    pauses: bool,
    /// When a pause ends by itself.
    resumes: Lived,
}

/// What one notification means besides the subscription's own state.
#[derive(Default)]
struct Meaning {
    money: Option<i64>,
    new_period: bool,
    events: Vec<&'static str>,
    /// What the API shows besides.
    shown: Vec<Shown>,
}

impl Meaning {
    fn events(events: Vec<&'static str>) -> Meaning {
        Meaning { events, ..Meaning::default() }
    }
}

/// Earlier orders that can still be refunded.
const MAX_EARLIER: usize = 3;

impl Subscription {
    pub(super) const fn state(&self) -> State {
        self.state
    }

    pub(super) const fn ends(&self) -> Lived {
        self.ends
    }

    pub(super) fn renews(&self) -> bool {
        matches!(self.item().plan, Terms::AutoRenewing { is_on: true, .. })
    }

    pub(super) fn is_prepaid(&self) -> bool {
        matches!(self.item().plan, Terms::Prepaid { .. })
    }

    pub(super) fn is_trial(&self) -> bool {
        self.item().phase == Phase::FreeTrial
    }

    /// No offer is running.
    pub(super) fn is_regular(&self) -> bool {
        matches!(self.item().phase, Phase::BasePrice | Phase::ProrationPeriod)
    }

    pub(super) const fn has_change(&self) -> bool {
        self.next_plan.is_some()
    }

    pub(super) const fn will_pause(&self) -> bool {
        self.pauses
    }

    pub(super) const fn is_paid(&self) -> bool {
        self.paid.is_some()
    }

    pub(super) fn has_earlier(&self) -> bool {
        !self.earlier.is_empty()
    }

    pub(super) const fn is_over(&self) -> bool {
        matches!(self.state, State::Expired | State::Revoked)
    }

    /// It lapsed, so Google's shop offers it again.
    pub(super) fn can_return(&self) -> bool {
        self.state == State::Expired && !self.is_prepaid()
    }

    /// A product of a higher grade.
    pub(super) fn higher(&self) -> Option<&'static Plan> {
        PLANS.iter().find(|plan| plan.rank > self.plan.rank)
    }

    /// Another product of the same or a lower grade, else the yearly one.
    pub(super) fn other(&self, chance: &mut Chance) -> &'static Plan {
        let lower = |plan: &&Plan| plan.kind == Kind::Subscription && plan.rank <= self.plan.rank && *plan != self.plan;
        let choices: Vec<_> = PLANS.iter().filter(lower).map(|plan| (1, plan)).collect();
        let longer = PLANS.iter().find(|plan| plan.period > self.plan.period);
        chance.pick(&choices).or(longer).unwrap_or(self.plan)
    }

    fn item(&self) -> &LineItem {
        &self.object.items[0]
    }

    fn item_mut(&mut self) -> &mut LineItem {
        &mut self.object.items[0]
    }

    fn grade(&self, to: &Plan) -> &'static str {
        match to.rank.cmp(&self.plan.rank) {
            std::cmp::Ordering::Greater => "SUBSCRIPTION_UPGRADED",
            std::cmp::Ordering::Equal => "SUBSCRIPTION_CROSSGRADED",
            std::cmp::Ordering::Less => "SUBSCRIPTION_DOWNGRADED",
        }
    }

    /// Renewal is on or off.
    fn set_renewal(&mut self, on: bool) {
        if let Terms::AutoRenewing { is_on, .. } = &mut self.item_mut().plan {
            *is_on = on;
        }
    }

    /// Access lasts until then.
    fn set_expiry(&mut self, teller: &Teller, at: Lived) {
        self.item_mut().expiry_time = Some(teller.calendar.stamp(at));
    }

    /// A period from `starts` that is paid with an order of `total`; nothing is charged where there is none.
    fn pay(&mut self, teller: &Teller, starts: Lived, ends: Lived, total: Option<Money>) -> Option<Shown> {
        (self.starts, self.ends) = (starts, ends);
        self.set_expiry(teller, ends);
        self.item_mut().order_id = Some(self.object.latest_order_id.clone());
        let before = self.paid.take();
        if self.earlier.len() >= MAX_EARLIER {
            self.earlier.remove(0);
        }
        self.earlier.extend(before);
        let order = self.order(teller, total?);
        self.paid = Some(order.clone());
        Some(Shown::Order(Box::new(order)))
    }

    fn order(&self, teller: &Teller, total: Money) -> Order {
        let (now, item) = (teller.stamp(), self.item());
        let stamp = |at| teller.calendar.stamp(at);
        Order {
            order_id: self.object.latest_order_id.clone(),
            token: self.object.token.clone(),
            state: "PROCESSED",
            created: now,
            last_event: now,
            country: teller.storefront.country,
            total,
            listing_price: teller.money(self.plan.cents),
            product_id: item.product_id,
            product_title: self.plan.name,
            subscription: Some((item.base_plan_id, item.offer_id, item.phase, stamp(self.starts), stamp(self.ends))),
            refunded_at: None,
        }
    }

    /// The order is paid back.
    fn give_back(teller: &Teller, mut order: Order) -> (Order, VoidedPurchase) {
        let now = teller.stamp();
        order.state = "REFUNDED";
        order.last_event = now;
        order.refunded_at = Some(now);
        let voided = VoidedPurchase {
            token: order.token.clone(),
            order_id: order.order_id.clone(),
            purchased: order.created,
            voided: now,
            source: 1,
            reason: 0,
            is_subscription: true,
        };
        (order, voided)
    }

    /// The number of the next renewal's order.
    fn next_order(&mut self) -> Id {
        let number = self.renewals;
        self.renewals += 1;
        Id::from(format!("{}..{number}", self.base_order))
    }

    /// It has ended.
    fn close(&mut self, canceled: Option<Canceled>) {
        self.object.state = Google::Expired;
        self.object.canceled = canceled.or(self.object.canceled);
        self.object.pending_order_id = None;
        self.object.auto_resume_time = None;
        self.set_renewal(false);
        self.next_plan = None;
        self.item_mut().deferred_replacement = None;
        self.pauses = false;
        self.grace_ends = None;
        if self.state != State::Revoked {
            self.state = State::Expired;
        }
    }

    /// Tells a `SubscriptionNotification` about the present token.
    fn say(&self, teller: &mut Teller, turn: Turn, kind: u8, meaning: Meaning) {
        let about =
            About::Subscription { kind, token: self.object.token.clone(), subscription_id: self.item().product_id };
        self.tell(teller, turn, about, meaning);
    }

    /// The second notification of two about one thing says nothing new.
    fn say_again(&self, teller: &mut Teller, kind: u8) {
        teller.moment();
        self.say(teller, Turn::Confirmed, kind, Meaning::default());
    }

    fn tell(&self, teller: &mut Teller, turn: Turn, about: About, meaning: Meaning) {
        let stamp = |at: Lived| teller.calendar.stamp(at);
        let after = After {
            state: self.state,
            will_renew: Some(self.renews()),
            plan: self.plan,
            product_id: product_id(self.plan),
            starts_at: stamp(self.starts),
            ends_at: Some(stamp(self.ends)),
            grace_ends_at: self.grace_ends.map(stamp),
            money: meaning
                .money
                .filter(|minor| *minor != 0)
                .map(|minor| Amount { minor, currency: teller.storefront.currency }),
            new_period: meaning.new_period,
            events: meaning.events,
        };
        let mut shown = vec![Shown::Subscription(Box::new(self.object.clone()))];
        shown.extend(meaning.shown);
        let (purchase, known_as) = (self.root.clone(), self.object.token.clone());
        teller.tell(Draft { turn, purchase, known_as, about, shown, after });
    }
}
