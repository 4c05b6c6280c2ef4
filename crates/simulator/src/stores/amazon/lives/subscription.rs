//! One subscription and its moves: how Amazon tells each of them, and what is then true.
//!
//! The events named in each move are those that the move must cause in a hub that hears of everything in order and
//! verifies at once. ACTIVATE and DEACTIVATE are not among them: access is compared as such. There is no money.

use super::teller::{Draft, Teller};
use crate::calendar::{DAY, HOUR, Lived, MINUTE, MONTH, SECOND};
use crate::catalogue::{Kind, PLANS, Plan};
use crate::chance::Chance;
use crate::lives::Turn;
use crate::stores::amazon::wire::{Id, Receipt};
use crate::truth::{After, State};

/// A free trial.
const TRIAL: Lived = 7 * DAY;
/// How long Amazon keeps access while a charge fails. ASSUMPTION: its pages give no number.
const GRACE: Lived = 5 * DAY;

/// How a subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    Regular,
    Trial,
    /// A first month for less.
    Promotion,
}

/// A subscription of one customer: one receipt through all renewals, a new one at an immediate change.
pub(super) struct Subscription {
    root: Id,
    receipt: Receipt,
    plan: &'static Plan,
    next_plan: Option<&'static Plan>,
    starts: Lived,
    ends: Lived,
    state: State,
    /// The running period is a free trial. The receipt's date of its end stays.
    in_trial: bool,
}

/// The SKU of the subscription that a term belongs to.
pub(super) fn tier(plan: &Plan) -> &'static str {
    match plan.rank {
        1 => "basic",
        2 => "pro",
        _ => "max",
    }
}

fn term(teller: &Teller, plan: &'static Plan) -> (Option<&'static str>, &'static str) {
    let named = if plan.period > MONTH { "1 Year" } else { "1 Month" };
    (teller.is_real_time().then_some(named), plan.id)
}

impl Subscription {
    /// A purchase.
    pub(super) fn begin(teller: &mut Teller, plan: &'static Plan, start: Start, is_first: bool) -> Subscription {
        let mut receipt = super::receipt(teller, plan, "SUBSCRIPTION");
        let ends = match start {
            Start::Trial => teller.now + TRIAL,
            Start::Regular | Start::Promotion => teller.after_term(teller.now, plan),
        };
        receipt.term = Some(term(teller, plan));
        receipt.auto_renewing = true;
        receipt.renewal_date = Some(teller.calendar.stamp(ends));
        receipt.free_trial_end_date = (start == Start::Trial).then(|| teller.calendar.stamp(ends));
        receipt.promotion = (start == Start::Promotion).then_some(("Introductory Price - All customers", "InProgress"));
        let root = receipt.receipt_id.clone();
        let (in_trial, starts) = (start == Start::Trial, teller.now);
        let own = Subscription { root, receipt, plan, next_plan: None, starts, ends, state: State::Active, in_trial };
        let (turn, offer) = match start {
            Start::Trial => (Turn::TrialStarted, Some("TRIAL_STARTED")),
            Start::Promotion => (Turn::IntroStarted, Some("INTRO_OFFER_STARTED")),
            Start::Regular if is_first => (Turn::Started, None),
            Start::Regular => (Turn::Resubscribed, None),
        };
        // A second subscription to a product may be told as a return.
        let mut events = if is_first { vec!["SUBSCRIPTION_STARTED"] } else { vec![] };
        events.extend(offer);
        teller.now += MINUTE;
        own.say(teller, turn, "SUBSCRIPTION_PURCHASED", true, events);
        own
    }

    pub(super) const fn state(&self) -> State {
        self.state
    }

    pub(super) const fn ends(&self) -> Lived {
        self.ends
    }

    pub(super) const fn renews(&self) -> bool {
        self.receipt.auto_renewing
    }

    pub(super) const fn is_over(&self) -> bool {
        matches!(self.state, State::Expired | State::Revoked)
    }

    pub(super) const fn is_trial(&self) -> bool {
        self.in_trial
    }

    pub(super) const fn has_change(&self) -> bool {
        self.next_plan.is_some()
    }

    /// No offer is running, and no change is planned.
    pub(super) fn is_regular(&self) -> bool {
        !self.is_trial() && self.offer().is_none() && self.next_plan.is_none()
    }

    /// The offer that the running period is in, by the event that ends it.
    fn offer(&self) -> Option<(&'static str, &'static str)> {
        let intro = self.receipt.promotion.is_some_and(|(_, status)| status == "InProgress");
        match (self.is_trial(), intro) {
            (true, _) => Some(("TRIAL_CONVERTED", "TRIAL_NOT_CONVERTED")),
            (false, true) => Some(("INTRO_OFFER_CONVERTED", "INTRO_OFFER_NOT_CONVERTED")),
            (false, false) => None,
        }
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

    fn grade(&self, to: &Plan) -> &'static str {
        match to.rank.cmp(&self.plan.rank) {
            std::cmp::Ordering::Greater => "SUBSCRIPTION_UPGRADED",
            std::cmp::Ordering::Equal => "SUBSCRIPTION_CROSSGRADED",
            std::cmp::Ordering::Less => "SUBSCRIPTION_DOWNGRADED",
        }
    }

    /// A new period: the receipt keeps its id, only `renewalDate` moves.
    pub(super) fn renew(&mut self, teller: &mut Teller) {
        teller.now = (self.ends + teller.chance.between(0, HOUR)).max(teller.now + SECOND);
        let (turn, mut events) = match self.next_plan.take() {
            Some(plan) => {
                let events = vec![self.grade(plan), "SUBSCRIPTION_RENEWED"];
                self.plan = plan;
                self.receipt.product_id = tier(plan);
                self.receipt.term = Some(term(teller, plan));
                self.receipt.deferred = None;
                (Turn::PlanChangedAtRenewal, events)
            }
            None if self.is_trial() => (Turn::TrialConverted, vec!["SUBSCRIPTION_RENEWED"]),
            None if self.offer().is_some() => (Turn::OfferConverted, vec!["SUBSCRIPTION_RENEWED"]),
            None => (Turn::Renewed, vec!["SUBSCRIPTION_RENEWED"]),
        };
        let was_trial = self.is_trial();
        events.extend(self.offer().map(|offer| offer.0));
        self.next_period(teller);
        let kind = if was_trial { "SUBSCRIPTION_CONVERTED_FREE_TRIAL_TO_PAID" } else { "SUBSCRIPTION_RENEWED" };
        self.say(teller, turn, kind, true, events);
    }

    fn next_period(&mut self, teller: &Teller) {
        (self.starts, self.ends) = (self.ends, teller.after_term(self.ends, self.plan));
        self.state = State::Active;
        self.in_trial = false;
        self.receipt.grace_period_end_date = None;
        self.receipt.promotion = self.receipt.promotion.map(|(kind, _)| (kind, "Completed"));
        self.receipt.renewal_date = Some(teller.calendar.stamp(self.ends));
    }

    /// The customer switches renewal off or on.
    pub(super) fn set_renewal(&mut self, teller: &mut Teller, on: bool) {
        self.receipt.auto_renewing = on;
        // A date of renewal is only there while there will be one.
        self.receipt.renewal_date = on.then(|| teller.calendar.stamp(self.ends));
        if !on {
            self.next_plan = None;
            self.receipt.deferred = None;
        }
        let (turn, kind, event) = if on {
            (Turn::RenewalEnabled, "SUBSCRIPTION_AUTO_RENEWAL_ON", "RENEWAL_ENABLED")
        } else {
            (Turn::RenewalDisabled, "SUBSCRIPTION_AUTO_RENEWAL_OFF", "RENEWAL_DISABLED")
        };
        self.say(teller, turn, kind, false, vec![event]);
    }

    /// The period ends and nothing follows; ten or thirty days before, Amazon reminds.
    pub(super) fn expire(&mut self, teller: &mut Teller) {
        let before = if self.plan.period > MONTH { 30 * DAY } else { 10 * DAY };
        if !self.is_trial() && self.ends - before > teller.now {
            teller.now = self.ends - before;
            self.say(teller, Turn::Reminded, "SUBSCRIPTION_SCHEDULED_TO_END", false, vec![]);
        }
        teller.now = self.ends.max(teller.now) + teller.chance.between(SECOND, 2 * HOUR);
        let turn = if self.is_trial() { Turn::TrialLapsed } else { Turn::Expired };
        let mut events = vec!["SUBSCRIPTION_TERMINATED"];
        events.extend(self.offer().map(|offer| offer.1));
        self.close(teller, self.ends, 1);
        self.say(teller, turn, "SUBSCRIPTION_EXPIRED", false, events);
    }

    fn close(&mut self, teller: &Teller, at: Lived, reason: u8) {
        self.state = State::Expired;
        self.receipt.auto_renewing = false;
        self.receipt.renewal_date = None;
        self.receipt.deferred = None;
        self.receipt.cancel_date = Some(teller.calendar.stamp(at));
        self.receipt.cancel_reason = Some(reason);
        self.next_plan = None;
    }

    /// The charge fails and access stays.
    pub(super) fn fail_into_grace(&mut self, teller: &mut Teller) {
        teller.now = self.ends.max(teller.now) + teller.chance.between(MINUTE, HOUR);
        self.state = State::Grace;
        self.receipt.grace_period_end_date = Some(teller.calendar.stamp(self.ends + GRACE));
        self.say(teller, Turn::GraceStarted, "SUBSCRIPTION_IN_GRACE_PERIOD", false, vec!["GRACE_PERIOD_STARTED"]);
    }

    /// Paid after all; the period goes on from the old end.
    pub(super) fn recover(&mut self, teller: &mut Teller) {
        let mut events = vec!["SUBSCRIPTION_RECOVERED_FROM_GRACE_PERIOD"];
        events.extend(self.offer().map(|offer| offer.0));
        self.next_period(teller);
        self.say(teller, Turn::RecoveredInGrace, "SUBSCRIPTION_OUT_OF_GRACE_PERIOD", true, events);
    }

    /// Nobody paid in grace.
    pub(super) fn give_up(&mut self, teller: &mut Teller) {
        teller.now = (self.ends + GRACE).max(teller.now) + teller.chance.between(SECOND, HOUR);
        let mut events = vec!["GRACE_PERIOD_TERMINATED", "SUBSCRIPTION_TERMINATED"];
        events.extend(self.offer().map(|offer| offer.1));
        self.close(teller, self.ends + GRACE, 2);
        self.say(teller, Turn::GivenUp, "SUBSCRIPTION_CANCELLED", false, events);
    }

    /// Ended in the middle of a period by the customer or by Amazon's support, who gives the money back. Verification may
    /// no longer know the receipt.
    pub(super) fn cancel_with_refund(&mut self, teller: &mut Teller) {
        // Soon after a payment was due, a cancellation looks like one for want of that payment.
        teller.now = teller.now.max(self.starts + teller.chance.between(10 * DAY, 14 * DAY));
        // Of a receipt that verification does not know any more, nobody can say more than that it is over.
        self.receipt.is_gone = teller.chance.percent(30);
        let event = if self.receipt.is_gone { "SUBSCRIPTION_TERMINATED" } else { "SUBSCRIPTION_REFUNDED_REVOKED" };
        let mut events = vec![event];
        events.extend(self.offer().map(|offer| offer.1));
        let reason = if teller.chance.percent(50) { 1 } else { 2 };
        self.close(teller, teller.now, reason);
        if !self.receipt.is_gone {
            self.state = State::Revoked;
        }
        self.say(teller, Turn::RefundedCurrent, "SUBSCRIPTION_CANCELLED", false, events);
    }

    /// Another product from the next renewal on.
    pub(super) fn plan_change(&mut self, teller: &mut Teller, plan: &'static Plan) {
        self.next_plan = Some(plan);
        self.receipt.deferred = Some((teller.calendar.stamp(self.ends), plan.id));
        self.say(teller, Turn::ChangeScheduled, "SUBSCRIPTION_MODIFIED_DEFERRED", false, vec!["PLAN_CHANGE_SCHEDULED"]);
    }

    /// To a higher grade, at once: a new receipt; the old one is cancelled and told so.
    pub(super) fn upgrade(&mut self, teller: &mut Teller, plan: &'static Plan) {
        let events = vec![self.grade(plan)];
        let mut old = self.receipt.clone();
        old.auto_renewing = false;
        old.renewal_date = None;
        old.cancel_date = Some(teller.stamp());
        old.cancel_reason = Some(4);
        let mut receipt = super::receipt(teller, plan, "SUBSCRIPTION");
        (self.plan, self.starts, self.ends) = (plan, teller.now, teller.after_term(teller.now, plan));
        receipt.term = Some(term(teller, plan));
        receipt.auto_renewing = true;
        receipt.renewal_date = Some(teller.calendar.stamp(self.ends));
        self.receipt = receipt;
        teller.moment();
        self.tell(
            teller,
            Turn::Upgraded,
            "SUBSCRIPTION_MODIFIED_IMMEDIATE",
            (true, events),
            self.receipt.clone(),
            Some(old.clone()),
        );
        teller.moment();
        self.tell(teller, Turn::Confirmed, "SUBSCRIPTION_CANCELLED", (false, vec![]), old, None);
    }

    fn say(&self, teller: &mut Teller, turn: Turn, kind: &'static str, new_period: bool, events: Vec<&'static str>) {
        self.tell(teller, turn, kind, (new_period, events), self.receipt.clone(), None);
    }

    fn tell(
        &self,
        teller: &mut Teller,
        turn: Turn,
        kind: &'static str,
        (new_period, events): (bool, Vec<&'static str>),
        receipt: Receipt,
        replaced: Option<Receipt>,
    ) {
        let after = After {
            state: self.state,
            will_renew: Some(self.renews()),
            plan: self.plan,
            product_id: self.plan.id.into(),
            starts_at: teller.calendar.stamp(self.starts),
            ends_at: Some(teller.calendar.stamp(self.ends)),
            grace_ends_at: self.receipt.grace_period_end_date,
            money: None,
            new_period,
            events,
        };
        teller.tell(Draft { turn, purchase: self.root.clone(), kind, receipt, replaced, after });
    }
}
