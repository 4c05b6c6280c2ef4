//! One subscription and its moves: how Apple tells each of them, and what is then true.
//!
//! The events named in each move are those that the move must cause in a hub that hears of everything in order
//! (the canonical names of the transition table). ACTIVATE, DEACTIVATE and TRANSACTION_PROCESSED are not among them:
//! access and money are compared as such.

mod offer;
mod period;

pub(super) use offer::Offer;

use super::teller::Teller;
use crate::calendar::{DAY, HOUR, Lived, MINUTE};
use crate::catalogue::{Kind, PLANS, Plan};
use crate::chance::Chance;
use crate::lives::Turn;
use crate::stores::app_store::wire::Transaction;
use crate::truth::State;
use period::revoke;

/// How long Apple keeps access while a charge fails (the longest setting for monthly subscriptions).
const GRACE: Lived = 16 * DAY;
/// How long Apple keeps trying to charge.
const BILLING_RETRY: Lived = 60 * DAY;

/// A subscription of one customer.
pub(super) struct Subscription {
    plan: &'static Plan,
    next_plan: &'static Plan,
    /// The regular price, which price increases move.
    cents: i64,
    raised: Option<(i64, bool)>,
    offer: Option<Offer>,
    transaction: Transaction,
    starts: Lived,
    ends: Lived,
    recent_start: i64,
    renews: bool,
    state: State,
    grace_ends: Option<Lived>,
    earlier: Vec<(Transaction, i64)>,
    paid_minor: i64,
    /// The running transaction was refunded and the refund undone. A second refund of it is left out: Apple's pages do
    /// not say that there can be one.
    was_reversed: bool,
}

/// What one move tells besides the subscription's own state.
#[derive(Default)]
struct Said {
    subtype: Option<&'static str>,
    intent: Option<u8>,
    money: Option<i64>,
    new_period: bool,
    events: Vec<&'static str>,
    /// Another transaction than the running one.
    about: Option<Transaction>,
}

impl Subscription {
    /// First purchase.
    pub(super) fn buy(teller: &mut Teller, plan: &'static Plan, offer: Option<Offer>) -> Subscription {
        let mut own = Subscription::open(teller, plan, offer, false);
        let turn = match offer {
            None | Some(Offer::WinBack) => Turn::Started,
            Some(Offer::Trial) => Turn::TrialStarted,
            Some(Offer::Intro) => Turn::IntroStarted,
            Some(Offer::Code) => Turn::CodeRedeemed,
        };
        let mut events = vec!["SUBSCRIPTION_STARTED"];
        events.extend(offer.map(|offer| offer.events().0));
        let money = own.charge();
        teller.now += MINUTE;
        own.say(
            teller,
            turn,
            "SUBSCRIBED",
            Said { subtype: Some("INITIAL_BUY"), money, new_period: true, events, ..Said::default() },
        );
        own
    }

    /// A family member begins to see a shared subscription. Members have no `appAccountToken`: that one is the buyer's.
    pub(super) fn share(teller: &mut Teller, plan: &'static Plan) -> Subscription {
        let mut own = Subscription::open(teller, plan, None, true);
        teller.now += MINUTE;
        own.say(
            teller,
            Turn::FamilyShared,
            "SUBSCRIBED",
            Said {
                subtype: Some("INITIAL_BUY"),
                new_period: true,
                events: vec!["SUBSCRIPTION_STARTED"],
                ..Said::default()
            },
        );
        own
    }

    pub(super) const fn state(&self) -> State {
        self.state
    }

    pub(super) const fn renews(&self) -> bool {
        self.renews
    }

    pub(super) const fn ends(&self) -> Lived {
        self.ends
    }

    pub(super) const fn offer(&self) -> Option<Offer> {
        self.offer
    }

    pub(super) const fn is_paid(&self) -> bool {
        self.paid_minor > 0
    }

    pub(super) fn has_earlier(&self) -> bool {
        !self.earlier.is_empty()
    }

    /// A product of a higher grade.
    pub(super) fn higher(&self) -> Option<&'static Plan> {
        PLANS.iter().find(|plan| plan.rank > self.plan.rank)
    }

    /// Another product of the same or a lower grade: what Apple puts off to the next renewal. The lowest has none, so
    /// it is given the yearly plan, which Apple puts off as well because its duration differs.
    pub(super) fn other(&self, chance: &mut Chance) -> &'static Plan {
        let lower = |plan: &&Plan| plan.kind == Kind::Subscription && plan.rank <= self.plan.rank && *plan != self.plan;
        let choices: Vec<_> = PLANS.iter().filter(lower).map(|plan| (1, plan)).collect();
        let longer = PLANS.iter().find(|plan| plan.period > self.plan.period);
        chance.pick(&choices).or(longer).unwrap_or(self.plan)
    }

    /// A new period. Apple signs it shortly before or after the old one ends.
    pub(super) fn renew(&mut self, teller: &mut Teller) {
        teller.now = self.ends + teller.chance.between(-5 * MINUTE, 2 * HOUR);
        let (turn, mut events) = match (self.offer, self.next_plan == self.plan) {
            (_, false) => (Turn::PlanChangedAtRenewal, vec![self.grade(self.next_plan), "SUBSCRIPTION_RENEWED"]),
            (Some(Offer::Trial), true) => (Turn::TrialConverted, vec!["SUBSCRIPTION_RENEWED"]),
            (Some(_), true) => (Turn::OfferConverted, vec!["SUBSCRIPTION_RENEWED"]),
            (None, true) => (Turn::Renewed, vec!["SUBSCRIPTION_RENEWED"]),
        };
        events.extend(self.offer.map(|offer| offer.events().1));
        self.next_period(teller, self.ends, "RENEWAL");
        let money = self.charge();
        self.say(teller, turn, "DID_RENEW", Said { money, new_period: true, events, ..Said::default() });
    }

    /// The customer switches renewal off or on.
    pub(super) fn set_renewal(&mut self, teller: &mut Teller, on: bool) {
        self.renews = on;
        if !on {
            self.next_plan = self.plan;
        }
        let (turn, subtype, event) = if on {
            (Turn::RenewalEnabled, "AUTO_RENEW_ENABLED", "RENEWAL_ENABLED")
        } else {
            (Turn::RenewalDisabled, "AUTO_RENEW_DISABLED", "RENEWAL_DISABLED")
        };
        self.say(
            teller,
            turn,
            "DID_CHANGE_RENEWAL_STATUS",
            Said { subtype: Some(subtype), events: vec![event], ..Said::default() },
        );
    }

    /// The period ends and nothing follows: the customer had cancelled, or not agreed to a price.
    pub(super) fn expire(&mut self, teller: &mut Teller) {
        teller.now = self.ends.max(teller.now) + teller.chance.between(MINUTE, 2 * HOUR);
        let refused = matches!(self.raised, Some((_, false)));
        let turn = match (refused, self.offer) {
            (true, _) => Turn::PriceRefused,
            (false, Some(Offer::Trial)) => Turn::TrialLapsed,
            (false, _) => Turn::Expired,
        };
        let (subtype, intent) = if refused { ("PRICE_INCREASE", 3) } else { ("VOLUNTARY", 1) };
        self.close(teller, turn, subtype, intent, vec!["SUBSCRIPTION_TERMINATED"]);
    }

    /// The charge fails and access stays.
    pub(super) fn fail_into_grace(&mut self, teller: &mut Teller) {
        teller.now = self.ends + teller.chance.between(MINUTE, HOUR);
        self.state = State::Grace;
        self.grace_ends = Some(self.ends + GRACE);
        self.say(
            teller,
            Turn::GraceStarted,
            "DID_FAIL_TO_RENEW",
            Said { subtype: Some("GRACE_PERIOD"), events: vec!["GRACE_PERIOD_STARTED"], ..Said::default() },
        );
    }

    /// Nobody paid in grace; Apple keeps trying.
    pub(super) fn grace_over(&mut self, teller: &mut Teller) {
        teller.now = self.grace_ends.unwrap_or(self.ends).max(teller.now) + teller.chance.between(MINUTE, HOUR);
        self.state = State::BillingRetry;
        self.grace_ends = None;
        self.say(
            teller,
            Turn::GraceOver,
            "GRACE_PERIOD_EXPIRED",
            Said { events: vec!["GRACE_PERIOD_TERMINATED", "ENTERED_BILLING_RETRY"], ..Said::default() },
        );
    }

    /// The charge fails and access ends at once.
    pub(super) fn fail_into_retry(&mut self, teller: &mut Teller) {
        teller.now = self.ends + teller.chance.between(MINUTE, HOUR);
        self.state = State::BillingRetry;
        self.say(
            teller,
            Turn::RetryStarted,
            "DID_FAIL_TO_RENEW",
            Said { events: vec!["ENTERED_BILLING_RETRY"], ..Said::default() },
        );
    }

    /// Paid after all. In grace no day of service was lost, so the period goes on from the old end; in billing retry a
    /// new one begins now.
    pub(super) fn recover(&mut self, teller: &mut Teller) {
        let (turn, event, from) = if self.state == State::Grace {
            (Turn::RecoveredInGrace, "SUBSCRIPTION_RECOVERED_FROM_GRACE_PERIOD", self.ends)
        } else {
            (Turn::RecoveredInRetry, "SUBSCRIPTION_RECOVERED_FROM_BILLING_RETRY", teller.now)
        };
        let mut events = vec![event];
        events.extend(self.offer.map(|offer| offer.events().1));
        // Recovering into another plan than the one that failed is left out: the table has no row for it.
        self.next_plan = self.plan;
        self.next_period(teller, from, "RENEWAL");
        teller.now += MINUTE;
        let money = self.charge();
        self.say(
            teller,
            turn,
            "DID_RENEW",
            Said { subtype: Some("BILLING_RECOVERY"), money, new_period: true, events, ..Said::default() },
        );
    }

    /// Apple stops trying.
    pub(super) fn give_up(&mut self, teller: &mut Teller) {
        teller.now = (self.ends + BILLING_RETRY).max(teller.now) + teller.chance.between(MINUTE, HOUR);
        self.close(teller, Turn::GivenUp, "BILLING_RETRY", 2, vec!["SUBSCRIPTION_TERMINATED"]);
    }

    /// The customer ends it in grace.
    pub(super) fn cancel_in_grace(&mut self, teller: &mut Teller) {
        let events = vec!["SUBSCRIPTION_CANCELLED_DURING_GRACE_PERIOD", "SUBSCRIPTION_TERMINATED"];
        self.close(teller, Turn::CancelledInGrace, "VOLUNTARY", 1, events);
    }

    /// The customer asks for money back; Apple asks the app about it.
    pub(super) fn refund_asked(&mut self, teller: &mut Teller) {
        self.say(
            teller,
            Turn::RefundAsked,
            "CONSUMPTION_REQUEST",
            Said { events: vec!["REFUND_REQUESTED"], ..Said::default() },
        );
    }

    /// Apple says no.
    pub(super) fn refund_declined(&mut self, teller: &mut Teller) {
        self.say(
            teller,
            Turn::RefundDeclined,
            "REFUND_DECLINED",
            Said { events: vec!["REFUND_DECLINED"], ..Said::default() },
        );
    }

    /// The running period is paid back and access ends.
    pub(super) fn refund(&mut self, teller: &mut Teller) {
        self.state = State::Revoked;
        self.renews = false;
        self.next_plan = self.plan;
        revoke(&mut self.transaction, teller, "REFUND_FULL");
        let mut events = vec!["SUBSCRIPTION_REFUNDED_REVOKED"];
        events.extend(self.offer.map(|offer| offer.events().2));
        let money = Some(-self.paid_minor);
        self.say(teller, Turn::RefundedCurrent, "REFUND", Said { money, events, ..Said::default() });
    }

    /// The refund is undone while the period still runs. Renewal stays off.
    pub(super) fn refund_reversed(&mut self, teller: &mut Teller) {
        self.state = State::Active;
        self.was_reversed = true;
        self.transaction.revocation_date = None;
        self.transaction.revocation_reason = None;
        self.transaction.revocation_type = None;
        let money = Some(self.paid_minor);
        let events = vec!["REFUND_REVERSED"];
        self.say(teller, Turn::RefundReversed, "REFUND_REVERSED", Said { money, events, ..Said::default() });
    }

    /// An earlier period is paid back; the running one is untouched, and the notification says so by status and renewal
    /// info while its transaction is the old one.
    pub(super) fn refund_earlier(&mut self, teller: &mut Teller) {
        let Some((mut about, minor)) = self.earlier.pop() else { return };
        revoke(&mut about, teller, "REFUND_FULL");
        self.say(
            teller,
            Turn::RefundedEarlier,
            "REFUND",
            Said { money: Some(-minor), events: vec!["REFUND_RECORDED"], about: Some(about), ..Said::default() },
        );
    }

    /// To a higher grade, at once.
    pub(super) fn upgrade(&mut self, teller: &mut Teller, plan: &'static Plan) {
        let events = vec![self.grade(plan)];
        self.next_plan = plan;
        self.raised = None;
        self.next_period(teller, teller.now, "PURCHASE");
        teller.now += MINUTE;
        let money = self.charge();
        self.say(
            teller,
            Turn::Upgraded,
            "DID_CHANGE_RENEWAL_PREF",
            Said { subtype: Some("UPGRADE"), money, new_period: true, events, ..Said::default() },
        );
    }

    /// Another product from the next renewal on.
    pub(super) fn plan_change(&mut self, teller: &mut Teller, plan: &'static Plan) {
        self.next_plan = plan;
        self.say(
            teller,
            Turn::ChangeScheduled,
            "DID_CHANGE_RENEWAL_PREF",
            Said { subtype: Some("DOWNGRADE"), events: vec!["PLAN_CHANGE_SCHEDULED"], ..Said::default() },
        );
    }

    /// Not after all.
    pub(super) fn drop_change(&mut self, teller: &mut Teller) {
        self.next_plan = self.plan;
        self.say(
            teller,
            Turn::ChangeWithdrawn,
            "DID_CHANGE_RENEWAL_PREF",
            Said { events: vec!["PLAN_CHANGE_UNSCHEDULED"], ..Said::default() },
        );
    }

    /// A higher price is announced.
    pub(super) fn raise_price(&mut self, teller: &mut Teller) {
        self.raised = Some((self.cents + 200, false));
        self.say(
            teller,
            Turn::PriceRaised,
            "PRICE_INCREASE",
            Said { subtype: Some("PENDING"), events: vec!["PRICE_INCREASE_PENDING"], ..Said::default() },
        );
    }

    /// And agreed to.
    pub(super) fn accept_price(&mut self, teller: &mut Teller) {
        self.raised = self.raised.map(|(cents, _)| (cents, true));
        self.say(
            teller,
            Turn::PriceAccepted,
            "PRICE_INCREASE",
            Said { subtype: Some("ACCEPTED"), events: vec!["PRICE_INCREASE_ACCEPTED"], ..Said::default() },
        );
    }

    /// Or never agreed to: the period runs out.
    pub(super) fn refuse_price(&mut self, teller: &mut Teller) {
        self.renews = false;
        self.expire(teller);
    }

    /// The developer gives days away: same transaction, later end.
    pub(super) fn extend(&mut self, teller: &mut Teller) {
        self.ends += teller.chance.between(5, 20) * DAY;
        self.transaction.expires_date = Some(teller.calendar.stamp(self.ends));
        self.say(
            teller,
            Turn::Extended,
            "RENEWAL_EXTENDED",
            Said { events: vec!["SUBSCRIPTION_DEFERRED"], ..Said::default() },
        );
    }

    /// A lapsed customer buys again, in the same chain.
    pub(super) fn resubscribe(&mut self, teller: &mut Teller, plan: &'static Plan, offer: Option<Offer>) {
        self.next_plan = plan;
        self.raised = None;
        self.cents = plan.cents;
        self.plan = plan;
        self.recent_start = teller.calendar.stamp(teller.now);
        self.next_period(teller, teller.now, "PURCHASE");
        if let Some(offer) = offer {
            self.apply(teller, offer);
        }
        let mut events = vec!["SUBSCRIPTION_REACTIVATED"];
        events.extend(offer.map(|offer| offer.events().0));
        teller.now += MINUTE;
        let money = self.charge();
        let turn = if offer.is_some() { Turn::WonBack } else { Turn::Resubscribed };
        self.say(
            teller,
            turn,
            "SUBSCRIBED",
            Said { subtype: Some("RESUBSCRIBE"), money, new_period: true, events, ..Said::default() },
        );
    }

    /// The family's buyer stops sharing.
    pub(super) fn family_revoked(&mut self, teller: &mut Teller) {
        self.state = State::Revoked;
        self.renews = false;
        revoke(&mut self.transaction, teller, "FAMILY_REVOKE");
        self.say(
            teller,
            Turn::FamilyRevoked,
            "REVOKE",
            Said { events: vec!["FAMILY_SHARED_REVOKED"], ..Said::default() },
        );
    }
}
