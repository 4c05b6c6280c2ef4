//! What a customer changes: cancels, comes back, takes another plan now or later, or more of it.

use super::{Meaning, Subscription};
use crate::calendar::{DAY, HOUR};
use crate::catalogue::Plan;
use crate::lives::Turn;
use crate::stores::stripe::lives::teller::Teller;
use crate::stores::stripe::objects::{Id, Object, Schedule, SchedulePhase};

impl Subscription {
    /// The customer ends it with the period, or takes that back. Stripe has two ways of saying so.
    pub(in crate::stores::stripe::lives) fn set_renewal(&mut self, teller: &mut Teller, on: bool) {
        teller.turn();
        if on {
            self.object.cancel_at_period_end = false;
            self.object.cancel_at = None;
            self.object.canceled_at = None;
            self.object.cancellation = (None, None);
            self.update(teller, Turn::RenewalEnabled, Meaning::events(vec!["RENEWAL_ENABLED"]));
            return;
        }
        // A schedule would undo it.
        self.drop_change(teller);
        self.object.cancel_at = Some(self.object.period.1);
        self.object.cancel_at_period_end = teller.chance.percent(70);
        self.object.canceled_at = Some(teller.now);
        self.object.cancellation = (Some("cancellation_requested"), Some("unused"));
        self.update(teller, Turn::RenewalDisabled, Meaning::events(vec!["RENEWAL_DISABLED"]));
    }

    /// It ends now.
    pub(in crate::stores::stripe::lives) fn cancel_now(&mut self, teller: &mut Teller) {
        teller.turn();
        let mut events = vec!["SUBSCRIPTION_TERMINATED"];
        if self.is_trial() {
            events.push("TRIAL_NOT_CONVERTED");
        }
        if self.renews() {
            events.insert(0, "RENEWAL_DISABLED");
        }
        self.schedule = None;
        self.object.cancellation.1 = Some("switched_service");
        self.close(teller, Turn::CancelledNow, "cancellation_requested", events);
    }

    /// It ends with the period, as was asked for.
    pub(in crate::stores::stripe::lives) fn expire(&mut self, teller: &mut Teller) {
        teller.until(self.object.period.1);
        teller.turn();
        let mut events = vec!["SUBSCRIPTION_TERMINATED"];
        let turn = if self.is_trial() { Turn::TrialLapsed } else { Turn::Expired };
        if self.is_trial() {
            events.push("TRIAL_NOT_CONVERTED");
        }
        self.close(teller, turn, "cancellation_requested", events);
    }

    /// A dearer plan now, for the rest of the period; the difference is charged now.
    pub(in crate::stores::stripe::lives) fn upgrade(&mut self, teller: &mut Teller, plan: &'static Plan) {
        teller.turn();
        let events = vec![self.grade(plan)];
        let left = (teller.now, self.object.period.1);
        self.credit(teller);
        let share = self.share_of(teller);
        self.object.price = self.price_of(plan);
        let mut line = self.line(self.object.price, left, true);
        line.amount = line.amount * share / 1000;
        self.draft(teller, "subscription_update", left, vec![line]);
        self.paid = None;
        self.tell_change(teller, Turn::Upgraded, events);
    }

    /// A plan with a longer interval now: a new period begins, and what is left of the old one is credited.
    pub(in crate::stores::stripe::lives) fn change_interval(&mut self, teller: &mut Teller, plan: &'static Plan) {
        teller.turn();
        let events = vec![self.grade(plan)];
        self.credit(teller);
        self.object.price = self.price_of(plan);
        let window = (self.object.period.0, teller.now);
        self.object.period = (teller.now, teller.now + teller.span(plan.period));
        self.period = self.object.period;
        let lines = vec![self.line(self.object.price, self.object.period, false)];
        self.draft(teller, "subscription_update", window, lines);
        self.paid = None;
        self.tell_change(teller, Turn::IntervalChanged, events);
    }

    /// More of the same: charged now, or with the next invoice.
    pub(in crate::stores::stripe::lives) fn more(&mut self, teller: &mut Teller) {
        teller.turn();
        let left = (teller.now, self.object.period.1);
        let share = self.share_of(teller);
        self.object.quantity += 1;
        let mut line = self.line(self.object.price, left, true);
        line.amount = self.object.price.amount() * share / 1000;
        if teller.chance.percent(50) {
            self.draft(teller, "subscription_update", left, vec![line]);
            self.paid = None;
            self.tell_change(teller, Turn::QuantityChanged, vec![]);
        } else {
            self.carried.push(line);
            self.update(teller, Turn::QuantityChanged, Meaning::default());
        }
    }

    /// The subscription and its invoice, paid at once.
    fn tell_change(&mut self, teller: &mut Teller, turn: Turn, events: Vec<&'static str>) {
        let new_period = turn == Turn::IntervalChanged;
        let also = vec![Object::Invoice(self.invoice.clone())];
        self.update(teller, turn, Meaning { also, new_period, ..Meaning::events(events) });
        self.pay(teller, turn, vec![]);
    }

    /// Thousandths of the period that are left.
    fn share_of(&self, teller: &Teller) -> i64 {
        let (from, to) = self.object.period;
        (to - teller.now).max(0) * 1000 / (to - from).max(1)
    }

    /// What is left of the running period, as a negative line of the next invoice.
    fn credit(&mut self, teller: &Teller) {
        let left = (teller.now, self.object.period.1);
        let share = self.share_of(teller);
        let mut line = self.line(self.object.price, left, true);
        line.amount = -(line.amount * share / 1000);
        self.carried.push(line);
    }

    /// Another plan from the next period on, by a schedule.
    pub(in crate::stores::stripe::lives) fn schedule(&mut self, teller: &mut Teller, plan: &'static Plan) {
        teller.turn();
        let (from, to) = self.object.period;
        let quantity = self.object.quantity;
        let then = self.price_of(plan);
        let now = SchedulePhase { price: self.object.price, quantity, starts: from, ends: to };
        let next = SchedulePhase { price: then, quantity, starts: to, ends: to + teller.span(plan.period) };
        let schedule = Schedule {
            id: teller.id("sub_sched"),
            customer: Id::clone(&self.object.customer),
            subscription: Id::clone(&self.object.id),
            created: teller.now,
            status: "active",
            released_at: None,
            current: 0,
            phases: vec![now, next],
        };
        self.object.schedule = Some(Id::clone(&schedule.id));
        self.schedule = Some(schedule.clone());
        let also = vec![Object::Schedule(schedule)];
        self.update(teller, Turn::ChangeScheduled, Meaning { also, ..Meaning::default() });
        self.tell_schedule(teller, Turn::ChangeScheduled, "subscription_schedule.updated");
    }

    /// The schedule, if there is one.
    pub(super) fn tell_schedule(&mut self, teller: &mut Teller, turn: Turn, kind: &'static str) {
        let Some(schedule) = self.schedule.clone() else { return };
        let scheduled = kind == "subscription_schedule.updated" && schedule.current == 0;
        let events = if scheduled { vec!["PLAN_CHANGE_SCHEDULED"] } else { vec![] };
        self.tell(teller, turn, kind, Object::Schedule(schedule), None, Meaning::events(events));
    }

    /// Not after all.
    pub(in crate::stores::stripe::lives) fn drop_change(&mut self, teller: &mut Teller) {
        if self.schedule.is_none() {
            return;
        }
        self.release(teller, Turn::ChangeWithdrawn, vec!["PLAN_CHANGE_UNSCHEDULED"]);
        teller.wait(HOUR, DAY);
        teller.turn();
    }

    /// A schedule whose plan is in force has nothing more to do.
    pub(super) fn drop_finished_schedule(&mut self, teller: &mut Teller, turn: Turn) {
        if self.schedule.is_some() && !self.is_over() {
            teller.until(0);
            teller.turn();
            self.release(teller, turn, vec![]);
        }
    }

    fn release(&mut self, teller: &mut Teller, turn: Turn, events: Vec<&'static str>) {
        let Some(schedule) = &mut self.schedule else { return };
        schedule.status = "released";
        schedule.released_at = Some(teller.now);
        self.object.schedule = None;
        self.tell_schedule(teller, turn, "subscription_schedule.released");
        self.update(teller, turn, Meaning::events(events));
        self.schedule = None;
    }

    /// More days of trial.
    pub(in crate::stores::stripe::lives) fn extend_trial(&mut self, teller: &mut Teller) {
        teller.turn();
        let until = self.object.period.1 + teller.span(10 * DAY);
        self.object.trial = self.object.trial.map(|(from, _)| (from, until));
        self.object.period.1 = until;
        self.period = self.object.period;
        self.update(teller, Turn::Extended, Meaning::events(vec!["SUBSCRIPTION_DEFERRED"]));
    }
}
