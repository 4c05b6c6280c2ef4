//! One subscription and its moves: how Discord shows each of them, and what is then true.
//!
//! The events named in each move are those that the move must cause in a hub that asks. Of what no webhook event tells a hub
//! may miss what was taken back before it asked. ACTIVATE and DEACTIVATE are not among them: access is compared as such. There
//! is no money.

use super::teller::{Draft, Teller};
use crate::calendar::{HOUR, Lived, MINUTE, SECOND};
use crate::catalogue::{Kind, Plan};
use crate::lives::Turn;
use crate::stores::discord::wire::{
    Audience, Entitlement, EntitlementType, Id, Shown, Status, Subscription as Resource, made_at, plans, sku_id,
};
use crate::truth::{After, State};

const CREATE: &str = "ENTITLEMENT_CREATE";
const UPDATE: &str = "ENTITLEMENT_UPDATE";
const DELETE: &str = "ENTITLEMENT_DELETE";

/// A subscription of one customer: one id through all renewals and changes of plan.
pub(super) struct Subscription {
    resource: Resource,
    /// The entitlement that it has, or had last.
    entitlement: Entitlement,
    plan: &'static Plan,
    next_plan: Option<&'static Plan>,
    starts: Lived,
    ends: Lived,
    /// As a hub knows it: the first period by the subscription's own id.
    starts_at: i64,
    state: State,
}

impl Subscription {
    /// A purchase. Discord may give the entitlement before it calls the subscription ACTIVE.
    pub(super) fn begin(teller: &mut Teller, plan: &'static Plan, is_first: bool) -> Subscription {
        let id = teller.id();
        let (starts, ends) = (teller.now, teller.after_period(teller.now, plan));
        teller.now += SECOND;
        let entitlement = entitlement(teller, plan, id, starts);
        let resource = Resource {
            id,
            user: teller.user,
            sku: sku_id(plan),
            renewal_sku: Some(sku_id(plan)),
            entitlement: Some(entitlement.id),
            current_period_start: teller.calendar.stamp(starts),
            current_period_end: teller.calendar.stamp(ends),
            status: Status::Active,
            canceled_at: None,
        };
        let starts_at = made_at(id);
        let state = State::Active;
        let mut own = Subscription { resource, entitlement, plan, next_plan: None, starts, ends, starts_at, state };
        let turn = if is_first { Turn::Started } else { Turn::Resubscribed };
        // A second subscription to a product may be told as a return.
        let events = if is_first { vec!["SUBSCRIPTION_STARTED"] } else { vec![] };
        let is_slow = teller.chance.percent(25);
        if is_slow {
            own.resource.status = Status::Inactive;
            (own.resource.renewal_sku, own.resource.entitlement) = (None, None);
        }
        own.tell(teller, turn, Some(CREATE), (true, events));
        if is_slow {
            teller.moment();
            own.resource.status = Status::Active;
            (own.resource.renewal_sku, own.resource.entitlement) = (Some(sku_id(plan)), Some(own.entitlement.id));
            own.tell(teller, Turn::Confirmed, None, (false, vec![]));
        }
        own
    }

    pub(super) const fn state(&self) -> State {
        self.state
    }

    pub(super) const fn ends(&self) -> Lived {
        self.ends
    }

    pub(super) const fn renews(&self) -> bool {
        matches!(self.resource.status, Status::Active)
    }

    pub(super) const fn is_over(&self) -> bool {
        matches!(self.state, State::Expired | State::Revoked)
    }

    pub(super) const fn has_change(&self) -> bool {
        self.next_plan.is_some()
    }

    /// The plan of the next higher grade.
    pub(super) fn higher(&self) -> Option<&'static Plan> {
        plans().filter(|plan| plan.rank > self.plan.rank).min_by_key(|plan| plan.rank)
    }

    /// The plan of the next lower grade.
    pub(super) fn lower(&self) -> Option<&'static Plan> {
        let lower = |plan: &&Plan| plan.kind == Kind::Subscription && plan.rank < self.plan.rank;
        plans().filter(lower).max_by_key(|plan| plan.rank)
    }

    fn grade(&self, to: &Plan) -> &'static str {
        if to.rank > self.plan.rank { "SUBSCRIPTION_UPGRADED" } else { "SUBSCRIPTION_DOWNGRADED" }
    }

    /// A new period: nothing is told. Where another plan was to follow, entitlements are.
    pub(super) fn renew(&mut self, teller: &mut Teller) {
        teller.now = (self.ends + teller.chance.between(0, 30 * MINUTE)).max(teller.now + SECOND);
        if let Some(plan) = self.next_plan.take() {
            let events = vec![self.grade(plan), "SUBSCRIPTION_RENEWED"];
            let from = self.ends;
            return self.change_plan(teller, plan, (Turn::PlanChangedAtRenewal, from), events);
        }
        self.next_period(teller, self.ends);
        self.tell(teller, Turn::Renewed, None, (true, vec!["SUBSCRIPTION_RENEWED"]));
    }

    fn next_period(&mut self, teller: &Teller, from: Lived) {
        (self.starts, self.ends) = (from, teller.after_period(from, self.plan));
        self.starts_at = teller.calendar.stamp(self.starts);
        self.resource.current_period_start = self.starts_at;
        self.resource.current_period_end = teller.calendar.stamp(self.ends);
    }

    /// The customer cancels, or takes that back. Nothing is told.
    pub(super) fn set_renewal(&mut self, teller: &mut Teller, on: bool) {
        self.next_plan = None;
        self.resource.status = if on { Status::Active } else { Status::Ending };
        self.resource.canceled_at = (!on).then(|| teller.stamp());
        self.resource.renewal_sku = on.then(|| sku_id(self.plan));
        let (turn, event) = match on {
            true => (Turn::RenewalEnabled, "RENEWAL_ENABLED"),
            false => (Turn::RenewalDisabled, "RENEWAL_DISABLED"),
        };
        self.tell(teller, turn, None, (false, vec![event]));
    }

    /// Another plan from the next renewal on, or the same after all. Nothing is told.
    pub(super) fn plan_change(&mut self, teller: &mut Teller, plan: Option<&'static Plan>) {
        self.next_plan = plan;
        self.resource.renewal_sku = Some(sku_id(plan.unwrap_or(self.plan)));
        let (turn, event) = match plan {
            Some(_) => (Turn::ChangeScheduled, "PLAN_CHANGE_SCHEDULED"),
            None => (Turn::ChangeWithdrawn, "PLAN_CHANGE_UNSCHEDULED"),
        };
        self.tell(teller, turn, None, (false, vec![event]));
    }

    /// To a higher plan, at once: the period begins anew.
    pub(super) fn upgrade(&mut self, teller: &mut Teller, plan: &'static Plan) {
        let events = vec![self.grade(plan)];
        let now = teller.now;
        self.change_plan(teller, plan, (Turn::Upgraded, now), events);
    }

    /// The old plan's entitlement ends, the new one's begins, and the subscription names it then or a little later.
    fn change_plan(
        &mut self,
        teller: &mut Teller,
        plan: &'static Plan,
        (turn, from): (Turn, Lived),
        events: Vec<&'static str>,
    ) {
        self.entitlement.ends_at = Some(teller.calendar.stamp(from));
        self.tell(teller, Turn::PlanEnding, Some(UPDATE), (false, vec![]));
        teller.moment();
        self.entitlement = entitlement(teller, plan, self.resource.id, from);
        let is_slow = teller.chance.percent(40);
        if is_slow {
            self.tell(teller, Turn::PlanBeginning, Some(CREATE), (false, vec![]));
            teller.moment();
        }
        self.plan = plan;
        self.resource.sku = sku_id(plan);
        self.resource.renewal_sku = Some(sku_id(plan));
        self.resource.entitlement = Some(self.entitlement.id);
        self.next_period(teller, from);
        self.tell(teller, turn, (!is_slow).then_some(CREATE), (true, events));
    }

    /// The period ends and nothing follows. Discord is late to call it INACTIVE.
    pub(super) fn expire(&mut self, teller: &mut Teller) {
        teller.now = self.ends.max(teller.now) + teller.chance.between(SECOND, 2 * MINUTE);
        self.end(teller, Turn::Expired, self.ends);
    }

    /// The charge failed and is tried again: it stays ACTIVE past the end of its period, and nobody tells.
    pub(super) fn is_charged_again(&mut self, teller: &mut Teller) {
        teller.now = self.ends.max(teller.now) + SECOND;
        self.tell(teller, Turn::ChargedAgain, None, (false, vec![]));
    }

    /// The same, but the entitlement ends. ASSUMPTION: Discord's pages leave open whether it does.
    pub(super) fn lose_entitlement(&mut self, teller: &mut Teller) {
        teller.now = self.ends.max(teller.now) + teller.chance.between(SECOND, 2 * MINUTE);
        self.entitlement.ends_at = Some(teller.calendar.stamp(self.ends));
        self.resource.entitlement = None;
        self.state = State::BillingRetry;
        self.tell(teller, Turn::RetryStarted, Some(UPDATE), (false, vec!["ENTERED_BILLING_RETRY"]));
    }

    /// It was paid after all: another entitlement.
    pub(super) fn recover(&mut self, teller: &mut Teller) {
        self.entitlement = entitlement(teller, self.plan, self.resource.id, teller.now);
        self.resource.entitlement = Some(self.entitlement.id);
        self.state = State::Active;
        self.next_period(teller, self.ends);
        let events = vec!["SUBSCRIPTION_RECOVERED_FROM_BILLING_RETRY"];
        self.tell(teller, Turn::RecoveredInRetry, Some(CREATE), (true, events));
    }

    /// It was not paid.
    pub(super) fn give_up(&mut self, teller: &mut Teller) {
        if self.state == State::Active {
            let now = teller.now;
            return self.end(teller, Turn::GivenUp, now);
        }
        // The entitlement is gone already: nothing is told.
        (self.resource.status, self.resource.renewal_sku) = (Status::Inactive, None);
        self.state = State::Expired;
        self.tell(teller, Turn::GivenUp, None, (false, vec!["SUBSCRIPTION_TERMINATED"]));
    }

    fn end(&mut self, teller: &mut Teller, turn: Turn, ended: Lived) {
        self.entitlement.ends_at = Some(teller.calendar.stamp(ended));
        self.resource.entitlement = None;
        self.resource.renewal_sku = None;
        self.state = State::Expired;
        let is_slow = self.resource.status == Status::Ending && teller.chance.percent(50);
        if !is_slow {
            self.resource.status = Status::Inactive;
        }
        self.tell(teller, turn, Some(UPDATE), (false, vec!["SUBSCRIPTION_TERMINATED"]));
        if is_slow {
            teller.wait(MINUTE, 6 * HOUR);
            self.resource.status = Status::Inactive;
            self.tell(teller, Turn::Confirmed, None, (false, vec![]));
        }
    }

    /// Refunded by Discord in the middle of a period.
    pub(super) fn refund(&mut self, teller: &mut Teller) {
        self.entitlement.deleted = true;
        self.resource.entitlement = None;
        self.resource.renewal_sku = None;
        self.resource.status = Status::Inactive;
        self.state = State::Revoked;
        self.tell(teller, Turn::RefundedCurrent, Some(DELETE), (false, vec!["SUBSCRIPTION_REFUNDED_REVOKED"]));
    }

    fn tell(
        &self,
        teller: &mut Teller,
        turn: Turn,
        event: Option<&'static str>,
        (new_period, events): (bool, Vec<&'static str>),
    ) {
        let after = After {
            state: self.state,
            will_renew: Some(self.state != State::Expired && self.state != State::Revoked && self.will_renew()),
            plan: self.plan,
            product_id: sku_id(self.plan).to_string().into(),
            starts_at: self.starts_at,
            ends_at: Some(teller.calendar.stamp(self.ends)),
            grace_ends_at: None,
            money: None,
            new_period,
            events,
        };
        teller.tell(Draft {
            turn,
            purchase: self.resource.id,
            user: Some(self.resource.user),
            event: event.map(|kind| (kind, self.entitlement)),
            shown: vec![Shown::Entitlement(self.entitlement), Shown::Subscription(self.resource.clone())],
            after,
        });
    }

    /// One that is about to become ACTIVE will renew too.
    const fn will_renew(&self) -> bool {
        !matches!(self.resource.status, Status::Ending)
    }
}

fn entitlement(teller: &mut Teller, plan: &Plan, subscription: Id, from: Lived) -> Entitlement {
    Entitlement {
        id: teller.id(),
        sku: sku_id(plan),
        user: Some(teller.user),
        guild: (teller.app.audience == Audience::Guilds).then_some(teller.guild),
        kind: EntitlementType::Purchase,
        deleted: false,
        consumed: false,
        starts_at: Some(teller.calendar.stamp(from)),
        ends_at: None,
        subscription: Some(subscription),
    }
}
