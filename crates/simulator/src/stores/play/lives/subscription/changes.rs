//! What customers and developers change in the middle of a period.

use super::{Canceled, Google, Meaning, Subscription, kind};
use crate::calendar::{DAY, HOUR, MINUTE, SECOND};
use crate::catalogue::Plan;
use crate::lives::Turn;
use crate::stores::play::lives::teller::Teller;
use crate::stores::play::wire::{Money, Phase, Plan as Terms, PriceChange};
use crate::truth::State;

impl Subscription {
    /// The customer switches renewal off.
    pub(in crate::stores::play::lives) fn cancel(&mut self, teller: &mut Teller) {
        self.object.state = Google::Canceled;
        self.object.canceled = Some(Canceled::User { at: teller.stamp() });
        self.set_renewal(false);
        self.say(teller, Turn::RenewalDisabled, kind::CANCELED, Meaning::events(vec!["RENEWAL_DISABLED"]));
    }

    /// And on again, in Google's shop.
    pub(in crate::stores::play::lives) fn restart(&mut self, teller: &mut Teller) {
        self.object.state = Google::Active;
        self.object.canceled = None;
        self.set_renewal(true);
        self.say(teller, Turn::RenewalEnabled, kind::RESTARTED, Meaning::events(vec!["RENEWAL_ENABLED"]));
    }

    /// To a higher grade, at once: a new token, linked to the old one. What it costs and how long its first period lasts
    /// is the replacement mode's.
    pub(in crate::stores::play::lives) fn upgrade(&mut self, teller: &mut Teller, plan: &'static Plan) {
        const MODES: [(u64, &str); 4] = [
            (3, "WITH_TIME_PRORATION"),
            (2, "CHARGE_PRORATED_PRICE"),
            (2, "CHARGE_FULL_PRICE"),
            (1, "WITHOUT_PRORATION"),
        ];
        let mode = teller.chance.pick(&MODES).unwrap_or("CHARGE_FULL_PRICE");
        let (now, left) = (teller.now, (self.ends - teller.now).max(DAY));
        let (old_price, new_price) = (self.plan.cents, plan.cents);
        let events = vec![self.grade(plan)];
        let old = self.relink(teller);
        let per_day = |cents: i64, plan: &Plan| cents * DAY / plan.period.max(1);
        let dearer = (per_day(new_price, plan) - per_day(old_price, self.plan)).max(0);
        let cheaper_left = left * per_day(old_price, self.plan) / per_day(new_price, plan).max(1);
        self.change_to(teller, plan, mode);
        let (ends, minor, phase) = match mode {
            "CHARGE_PRORATED_PRICE" => (now + left, teller.money(dearer * left / DAY).minor, Phase::ProrationPeriod),
            "CHARGE_FULL_PRICE" => (now + plan.period, teller.money(new_price).minor, Phase::BasePrice),
            "WITHOUT_PRORATION" => (now + left, 0, Phase::ProrationPeriod),
            _ => (now + cheaper_left.max(6 * HOUR), 0, Phase::ProrationPeriod),
        };
        self.item_mut().phase = phase;
        let total = (minor > 0).then_some(Money { minor, currency: teller.storefront.currency });
        let shown = self.pay(teller, now, ends, total).into_iter().collect();
        teller.moment();
        let meaning = Meaning { money: Some(minor), new_period: true, events, shown };
        self.say_relinked(teller, Turn::Upgraded, old, meaning);
    }

    /// Another product from the next renewal on. The chain has a new token from now on, which still shows the old product.
    ///
    /// ASSUMPTION: the new token's item keeps the last paid order until the change takes effect.
    pub(in crate::stores::play::lives) fn plan_change(&mut self, teller: &mut Teller, plan: &'static Plan) {
        let paid = self.item().order_id.clone();
        let old = self.relink(teller);
        self.item_mut().order_id = paid;
        self.item_mut().deferred_replacement = Some(plan.id);
        self.next_plan = Some(plan);
        self.say_relinked(teller, Turn::ChangeScheduled, old, Meaning::events(vec!["PLAN_CHANGE_SCHEDULED"]));
    }

    /// The customer wants a pause from the next renewal on, or not any more. Nothing in the resource shows it.
    pub(in crate::stores::play::lives) fn schedule_pause(&mut self, teller: &mut Teller, on: bool) {
        self.pauses = on;
        let (turn, event) = if on {
            (Turn::PauseScheduled, "SUBSCRIPTION_WILL_PAUSE")
        } else {
            (Turn::PauseWithdrawn, "SUBSCRIPTION_WILL_NOT_PAUSE")
        };
        self.say(teller, turn, kind::PAUSE_SCHEDULE_CHANGED, Meaning::events(vec![event]));
    }

    /// The period ends and the pause begins.
    pub(in crate::stores::play::lives) fn pause(&mut self, teller: &mut Teller) {
        teller.now = self.ends.max(teller.now) + teller.chance.between(SECOND, MINUTE);
        self.pauses = false;
        self.state = State::Paused;
        self.object.state = Google::Paused;
        let resumes = teller.now + teller.chance.pick(&[(1, 7), (2, 30), (1, 90)]).unwrap_or(30) * DAY;
        self.object.auto_resume_time = Some(teller.calendar.stamp(resumes));
        self.resumes = resumes;
        self.say(teller, Turn::Paused, kind::PAUSED, Meaning::events(vec!["SUBSCRIPTION_PAUSED"]));
    }

    /// The pause ends by itself, or the customer ends it: a new period begins now.
    pub(in crate::stores::play::lives) fn resume(&mut self, teller: &mut Teller) {
        let early = teller.chance.percent(30);
        teller.now = if early { teller.now + DAY } else { self.resumes + teller.chance.between(SECOND, MINUTE) };
        self.come_back(teller);
    }

    /// The pause ends, and the charge fails.
    pub(in crate::stores::play::lives) fn fail_to_resume(&mut self, teller: &mut Teller) {
        teller.now = self.resumes + teller.chance.between(SECOND, MINUTE);
        self.hold_after_pause(teller);
    }

    /// The developer gives days away: same order, later end.
    pub(in crate::stores::play::lives) fn defer(&mut self, teller: &mut Teller) {
        self.ends += teller.chance.between(5, 20) * DAY;
        self.set_expiry(teller, self.ends);
        self.say(teller, Turn::Extended, kind::DEFERRED, Meaning::events(vec!["SUBSCRIPTION_DEFERRED"]));
    }

    /// A higher price is announced.
    pub(in crate::stores::play::lives) fn raise_price(&mut self, teller: &mut Teller) {
        let expected = teller.calendar.stamp(self.ends);
        let more = teller.money(200).minor;
        if let Terms::AutoRenewing { price, change, .. } = &mut self.item_mut().plan {
            let new_price = Money { minor: price.minor + more, ..*price };
            *change = Some(PriceChange { new_price, state: "OUTSTANDING", expected_charge_time: expected });
        }
        let events = vec!["PRICE_INCREASE_PENDING"];
        self.say(teller, Turn::PriceRaised, kind::PRICE_CHANGE_UPDATED, Meaning::events(events));
    }

    fn set_price_change(&mut self, state: &'static str) {
        if let Terms::AutoRenewing { change: Some(change), .. } = &mut self.item_mut().plan {
            change.state = state;
        }
    }

    /// And agreed to.
    pub(in crate::stores::play::lives) fn accept_price(&mut self, teller: &mut Teller) {
        self.set_price_change("CONFIRMED");
        let events = vec!["PRICE_INCREASE_ACCEPTED"];
        self.say(teller, Turn::PriceAccepted, kind::PRICE_CHANGE_UPDATED, Meaning::events(events));
    }

    /// Or never agreed to: the period runs out.
    pub(in crate::stores::play::lives) fn refuse_price(&mut self, teller: &mut Teller) {
        self.set_price_change("CANCELED");
        self.expire(teller);
    }

    pub(super) fn price_was_refused(&self) -> bool {
        matches!(&self.item().plan, Terms::AutoRenewing { change: Some(change), .. } if change.state == "CANCELED")
    }
}
