//! Renewals, failed charges, and endings.

use super::{Canceled, Google, Meaning, Subscription, kind};
use crate::calendar::{DAY, HOUR, Lived, MINUTE, SECOND};
use crate::lives::Turn;
use crate::stores::play::lives::teller::Teller;
use crate::stores::play::wire::{About, Phase, Plan as Terms, Replacement, Shown};
use crate::truth::State;

/// How long Google keeps trying after access has ended.
const HOLD: Lived = 30 * DAY;

impl Subscription {
    /// What the next period costs, and what has become of an offer; a price that was agreed to applies from now on.
    fn next_terms(&mut self) -> (i64, Option<&'static str>) {
        let item = self.item_mut();
        let converted = match item.phase {
            Phase::FreeTrial => Some("TRIAL_CONVERTED"),
            Phase::IntroductoryPrice => Some("INTRO_OFFER_CONVERTED"),
            Phase::BasePrice | Phase::ProrationPeriod => None,
        };
        item.phase = Phase::BasePrice;
        item.offer_id = None;
        match &mut item.plan {
            Terms::AutoRenewing { price, change, .. } => {
                if let Some(change) = change.as_mut().filter(|change| change.state == "CONFIRMED") {
                    change.state = "APPLIED";
                    *price = change.new_price;
                }
                (price.minor, converted)
            }
            Terms::Prepaid { .. } => (0, converted),
        }
    }

    /// A new period from `from` on, with the next number of order.
    fn next_period(&mut self, teller: &Teller, from: Lived, minor: i64) -> Vec<Shown> {
        self.object.latest_order_id = self.object.pending_order_id.take().unwrap_or_else(|| self.next_order());
        self.object.state = Google::Active;
        self.state = State::Active;
        self.grace_ends = None;
        self.object.auto_resume_time = None;
        let total = crate::stores::play::wire::Money { minor, ..teller.money(0) };
        self.pay(teller, from, from + self.plan.period, Some(total)).into_iter().collect()
    }

    /// A new period. It may be told a little early, and a little late: between the end and the notice, Google still says
    /// ACTIVE with an end in the past.
    pub(in crate::stores::play::lives) fn renew(&mut self, teller: &mut Teller) {
        teller.now = (self.ends + teller.chance.between(-5 * MINUTE, 3 * MINUTE)).max(teller.now + SECOND);
        let from = self.ends;
        let (turn, mut events) = match self.next_plan.take() {
            Some(plan) => {
                let events = vec![self.grade(plan), "SUBSCRIPTION_RENEWED"];
                self.change_to(teller, plan, "DEFERRED");
                (Turn::PlanChangedAtRenewal, events)
            }
            None if self.is_trial() => (Turn::TrialConverted, vec!["SUBSCRIPTION_RENEWED"]),
            None if !self.is_regular() => (Turn::OfferConverted, vec!["SUBSCRIPTION_RENEWED"]),
            None => (Turn::Renewed, vec!["SUBSCRIPTION_RENEWED"]),
        };
        let (minor, converted) = self.next_terms();
        events.extend(converted);
        let shown = self.next_period(teller, from, minor);
        self.say(teller, turn, kind::RENEWED, Meaning { money: Some(minor), new_period: true, events, shown });
    }

    /// Another product takes the place of the present one.
    pub(super) fn change_to(&mut self, teller: &Teller, plan: &'static crate::catalogue::Plan, mode: &'static str) {
        let (product_id, base_plan_id) = (self.item().product_id, self.item().base_plan_id);
        self.plan = plan;
        let price = teller.money(plan.cents);
        let item = self.item_mut();
        item.product_id = plan.id;
        item.base_plan_id = crate::stores::play::base_plan(plan);
        item.deferred_replacement = None;
        item.replacement = Some(Replacement { product_id, base_plan_id, mode });
        item.plan = Terms::AutoRenewing { is_on: true, price, change: None };
    }

    /// The period ends and nothing follows.
    pub(in crate::stores::play::lives) fn expire(&mut self, teller: &mut Teller) {
        teller.now = self.ends.max(teller.now) + teller.chance.between(SECOND, 2 * HOUR);
        let refused = self.price_was_refused();
        let (turn, lapsed) = match self.item().phase {
            Phase::FreeTrial => (Turn::TrialLapsed, Some("TRIAL_NOT_CONVERTED")),
            Phase::IntroductoryPrice => (Turn::Expired, Some("INTRO_OFFER_NOT_CONVERTED")),
            Phase::BasePrice | Phase::ProrationPeriod if refused => (Turn::PriceRefused, None),
            Phase::BasePrice | Phase::ProrationPeriod => (Turn::Expired, None),
        };
        self.close(refused.then_some(Canceled::System));
        let mut events = vec!["SUBSCRIPTION_TERMINATED"];
        events.extend(lapsed);
        self.say(teller, turn, kind::EXPIRED, Meaning::events(events));
    }

    /// The charge fails and access stays: the expiry moves to the end of grace at once.
    pub(in crate::stores::play::lives) fn fail_into_grace(&mut self, teller: &mut Teller) {
        teller.now = self.ends.max(teller.now) + teller.chance.between(MINUTE, HOUR);
        // With thirty days a month's grace ends exactly where the next month does.
        let grace = teller.chance.pick(&[(2, 3), (3, 7), (2, 14), (2, 30)]).unwrap_or(7) * DAY;
        self.state = State::Grace;
        self.grace_ends = Some(self.ends + grace);
        self.object.state = Google::InGracePeriod;
        let order = self.next_order();
        self.object.pending_order_id = Some(order.clone());
        self.object.latest_order_id = order;
        self.set_expiry(teller, self.ends + grace);
        let meaning = Meaning::events(vec!["GRACE_PERIOD_STARTED"]);
        self.say(teller, Turn::GraceStarted, kind::IN_GRACE_PERIOD, meaning);
    }

    /// Paid in grace: no day of service was lost, so the period goes on from the old end. Google calls it a renewal.
    pub(in crate::stores::play::lives) fn recover_in_grace(&mut self, teller: &mut Teller) {
        let from = self.ends;
        let (minor, converted) = self.next_terms();
        let mut events = vec!["SUBSCRIPTION_RECOVERED_FROM_GRACE_PERIOD"];
        events.extend(converted);
        let shown = self.next_period(teller, from, minor);
        let meaning = Meaning { money: Some(minor), new_period: true, events, shown };
        self.say(teller, Turn::RecoveredInGrace, kind::RENEWED, meaning);
    }

    /// Access ends, Google keeps trying: after grace, or at once.
    pub(in crate::stores::play::lives) fn hold(&mut self, teller: &mut Teller) {
        let (turn, events) = match self.grace_ends.take() {
            Some(ends) => {
                teller.now = ends.max(teller.now);
                (Turn::GraceOver, vec!["GRACE_PERIOD_TERMINATED", "ENTERED_BILLING_RETRY"])
            }
            None => {
                teller.now = self.ends.max(teller.now);
                let order = self.next_order();
                self.object.pending_order_id = Some(order.clone());
                self.object.latest_order_id = order;
                (Turn::RetryStarted, vec!["ENTERED_BILLING_RETRY"])
            }
        };
        teller.wait(SECOND, HOUR);
        self.enter_hold(teller, turn, events);
    }

    /// The charge at the end of a pause fails.
    pub(super) fn hold_after_pause(&mut self, teller: &mut Teller) {
        let order = self.next_order();
        self.object.pending_order_id = Some(order.clone());
        self.object.latest_order_id = order;
        self.enter_hold(teller, Turn::RetryStarted, vec!["ENTERED_BILLING_RETRY"]);
    }

    /// A pause ends with a charge: a new period begins now.
    pub(super) fn come_back(&mut self, teller: &mut Teller) {
        let from = teller.now;
        let (minor, _) = self.next_terms();
        let shown = self.next_period(teller, from, minor);
        teller.moment();
        let meaning = Meaning { money: Some(minor), new_period: true, events: vec!["SUBSCRIPTION_UNPAUSED"], shown };
        self.say(teller, Turn::Resumed, kind::RECOVERED, meaning);
    }

    fn enter_hold(&mut self, teller: &mut Teller, turn: Turn, events: Vec<&'static str>) {
        self.state = State::BillingRetry;
        self.object.state = Google::OnHold;
        self.object.auto_resume_time = None;
        self.say(teller, turn, kind::ON_HOLD, Meaning::events(events));
    }

    /// Paid after all: a new period begins now.
    pub(in crate::stores::play::lives) fn recover_on_hold(&mut self, teller: &mut Teller) {
        let from = teller.now;
        let (minor, converted) = self.next_terms();
        let mut events = vec!["SUBSCRIPTION_RECOVERED_FROM_BILLING_RETRY"];
        events.extend(converted);
        let shown = self.next_period(teller, from, minor);
        teller.now += MINUTE;
        let meaning = Meaning { money: Some(minor), new_period: true, events, shown };
        self.say(teller, Turn::RecoveredInRetry, kind::RECOVERED, meaning);
    }

    /// Google stops trying: CANCELED and EXPIRED, both of which find it expired, with an expiry later than the moment at
    /// which access ended.
    pub(in crate::stores::play::lives) fn give_up(&mut self, teller: &mut Teller) {
        teller.now += HOLD + teller.chance.between(MINUTE, HOUR);
        let events = self.termination();
        self.end_now(teller, Turn::GivenUp, Canceled::System, events);
    }

    /// The customer ends it in grace: at once, which moves the expiry back.
    pub(in crate::stores::play::lives) fn cancel_in_grace(&mut self, teller: &mut Teller) {
        let mut events = vec!["SUBSCRIPTION_CANCELLED_DURING_GRACE_PERIOD"];
        events.extend(self.termination());
        let canceled = Canceled::User { at: teller.stamp() };
        self.end_now(teller, Turn::CancelledInGrace, canceled, events);
    }

    /// The customer ends it on hold.
    pub(in crate::stores::play::lives) fn cancel_on_hold(&mut self, teller: &mut Teller) {
        let canceled = Canceled::User { at: teller.stamp() };
        let events = self.termination();
        self.end_now(teller, Turn::CancelledOnHold, canceled, events);
    }

    /// The customer ends it while it is paused.
    pub(in crate::stores::play::lives) fn cancel_paused(&mut self, teller: &mut Teller) {
        let mut events = vec!["SUBSCRIPTION_CANCELLED_DURING_PAUSE"];
        events.extend(self.termination());
        let canceled = Canceled::User { at: teller.stamp() };
        self.end_now(teller, Turn::CancelledInPause, canceled, events);
    }

    fn termination(&self) -> Vec<&'static str> {
        let lapsed = match self.item().phase {
            Phase::FreeTrial => Some("TRIAL_NOT_CONVERTED"),
            Phase::IntroductoryPrice => Some("INTRO_OFFER_NOT_CONVERTED"),
            Phase::BasePrice | Phase::ProrationPeriod => None,
        };
        std::iter::once("SUBSCRIPTION_TERMINATED").chain(lapsed).collect()
    }

    /// CANCELED, and EXPIRED seconds later; both find it expired.
    fn end_now(&mut self, teller: &mut Teller, turn: Turn, canceled: Canceled, events: Vec<&'static str>) {
        self.close(Some(canceled));
        self.set_expiry(teller, teller.now);
        self.say(teller, turn, kind::CANCELED, Meaning::events(events));
        self.say_again(teller, kind::EXPIRED);
    }

    /// Access is taken away and the money given back: REVOKED, the voided order, and EXPIRED. Google's context says that
    /// the user or the system cancelled; only the number says what happened.
    pub(in crate::stores::play::lives) fn revoke(&mut self, teller: &mut Teller) {
        let at = teller.stamp();
        let by_user = teller.chance.percent(50);
        let lapsed = self.termination().split_off(1);
        self.state = State::Revoked;
        self.close(Some(if by_user { Canceled::User { at } } else { Canceled::System }));
        self.set_expiry(teller, teller.now);
        let mut events = vec!["SUBSCRIPTION_REFUNDED_REVOKED"];
        events.extend(lapsed);
        let Some(order) = self.paid.take() else {
            self.say(teller, Turn::RefundedCurrent, kind::REVOKED, Meaning::events(events));
            return self.say_again(teller, kind::EXPIRED);
        };
        let (order, voided) = Subscription::give_back(teller, order);
        let money = Some(-order.total.minor);
        let (token, order_id) = (order.token.clone(), order.order_id.clone());
        let shown = vec![Shown::Order(Box::new(order)), Shown::Voided(voided)];
        self.say(teller, Turn::RefundedCurrent, kind::REVOKED, Meaning { money, events, shown, new_period: false });
        teller.moment();
        let about = About::VoidedPurchase { token, order_id, product_type: 1, refund_type: 1 };
        self.tell(teller, Turn::Confirmed, about, Meaning::default());
        self.say_again(teller, kind::EXPIRED);
    }

    /// The running period is paid back and access stays.
    pub(in crate::stores::play::lives) fn refund_kept(&mut self, teller: &mut Teller) {
        if let Some(order) = self.paid.take() {
            self.void(teller, Turn::RefundedKept, order);
        }
    }

    /// An earlier period is paid back; the running one is untouched.
    pub(in crate::stores::play::lives) fn refund_earlier(&mut self, teller: &mut Teller) {
        if let Some(order) = self.earlier.pop() {
            self.void(teller, Turn::RefundedEarlier, order);
        }
    }

    fn void(&mut self, teller: &mut Teller, turn: Turn, order: crate::stores::play::wire::Order) {
        let (order, voided) = Subscription::give_back(teller, order);
        let money = Some(-order.total.minor);
        let (token, order_id) = (order.token.clone(), order.order_id.clone());
        let about = About::VoidedPurchase { token, order_id, product_type: 1, refund_type: 1 };
        let shown = vec![Shown::Order(Box::new(order)), Shown::Voided(voided)];
        let events = vec!["REFUND_RECORDED"];
        self.tell(teller, turn, about, Meaning { money, events, shown, new_period: false });
    }
}
