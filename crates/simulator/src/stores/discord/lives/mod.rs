//! What happens to one customer of a Discord app's, from the first purchase to the last turn: decided by chance, told by
//! Discord, or by nobody.
//!
//! This module decides *what* happens; `subscription` and `one_time` know how Discord shows it and what is true after it.

mod one_time;
mod subscription;
mod teller;

use crate::calendar::{DAY, HOUR, Lived, MINUTE, MONTH};
use crate::catalogue::{Kind, Plan};
use crate::lives::Told;
use crate::stores::discord::wire::plans;
use crate::truth::State;
use subscription::Subscription;
pub(crate) use teller::Teller as Customer;
use teller::Teller;

/// What happens in the middle of a period.
#[derive(Debug, Clone, Copy)]
enum Incident {
    Nothing,
    Cancels,
    CancelsAndReturns,
    Upgrade,
    PlansChange,
    PlansChangeAndBack,
    Refunded,
}

/// How a period ends when renewal is on.
#[derive(Debug, Clone, Copy)]
enum Ending {
    Renewal,
    /// The charge fails at first; the entitlement stays meanwhile.
    LatePaid,
    LateGivenUp,
    /// The same, but the entitlement is gone meanwhile.
    RetryPaid,
    RetryGivenUp,
}

/// More periods than any simulation is long.
const MAX_PERIODS: u32 = 60;

/// The whole life of a customer who arrives at `teller.now`, in order, up to about `horizon`.
pub(crate) fn live(mut teller: Teller, horizon: Lived) -> Vec<Told> {
    let arrived = teller.now;
    if teller.chance.percent(90) {
        subscriber(&mut teller, horizon);
    }
    let buys = teller.chance.pick(&[(75, 0), (15, 1), (7, 2), (3, 4)]).unwrap_or(0);
    let buys = if teller.told.is_empty() { buys.max(1) } else { buys };
    for _ in 0..buys {
        teller.now = arrived + teller.chance.between(0, 6 * MONTH);
        one_time::bought(&mut teller);
    }
    if teller.chance.percent(4) {
        teller.now = arrived + teller.chance.between(0, 6 * MONTH);
        one_time::tested(&mut teller);
    }
    teller.told.sort_by_key(|told| told.at);
    teller.told
}

fn subscriber(teller: &mut Teller, horizon: Lived) {
    let mut is_first = true;
    for _ in 0..4 {
        let plan = subscription_plan(teller);
        let mut own = Subscription::begin(teller, plan, is_first);
        for _ in 0..MAX_PERIODS {
            if own.is_over() || teller.now > horizon {
                break;
            }
            period(teller, &mut own);
        }
        // A lapsed customer comes back with a new subscription.
        if teller.now > horizon || !teller.chance.percent(40) {
            return;
        }
        teller.wait(3 * DAY, 60 * DAY);
        is_first = false;
    }
}

fn subscription_plan(teller: &mut Teller) -> &'static Plan {
    let weight = |plan: &'static Plan| (if plan.rank == 2 { 3 } else { 2 }, plan);
    let choices: Vec<_> = plans().filter(|plan| plan.kind == Kind::Subscription).map(weight).collect();
    teller.chance.pick(&choices).unwrap_or(&crate::catalogue::PLANS[0])
}

fn period(teller: &mut Teller, own: &mut Subscription) {
    teller.wait(2 * DAY, 6 * DAY);
    if own.ends() - teller.now > 4 * DAY {
        let incident = choose_incident(teller, own);
        happen(teller, own, incident);
    }
    match own.state() {
        State::Active if own.renews() => {
            let ending = choose_ending(teller, own);
            end(teller, own, ending);
        }
        State::Active => own.expire(teller),
        State::Pending | State::Grace | State::BillingRetry | State::Paused | State::Expired | State::Revoked => {}
    }
}

fn choose_incident(teller: &mut Teller, own: &Subscription) -> Incident {
    let (higher, lower) = (u64::from(own.higher().is_some()), u64::from(own.lower().is_some()));
    teller
        .chance
        .pick(&[
            (50, Incident::Nothing),
            (12, Incident::Cancels),
            (8, Incident::CancelsAndReturns),
            (8 * higher, Incident::Upgrade),
            (8 * lower, Incident::PlansChange),
            (3 * lower, Incident::PlansChangeAndBack),
            (5, Incident::Refunded),
        ])
        .unwrap_or(Incident::Nothing)
}

fn happen(teller: &mut Teller, own: &mut Subscription, incident: Incident) {
    match incident {
        Incident::Nothing => {}
        Incident::Cancels => own.set_renewal(teller, false),
        Incident::CancelsAndReturns => {
            own.set_renewal(teller, false);
            teller.wait(HOUR, DAY);
            own.set_renewal(teller, true);
        }
        Incident::Upgrade => {
            if let Some(plan) = own.higher() {
                own.upgrade(teller, plan);
            }
        }
        Incident::PlansChange => own.plan_change(teller, own.lower()),
        Incident::PlansChangeAndBack => {
            own.plan_change(teller, own.lower());
            teller.wait(HOUR, DAY);
            own.plan_change(teller, None);
        }
        Incident::Refunded => own.refund(teller),
    }
}

fn choose_ending(teller: &mut Teller, own: &Subscription) -> Ending {
    // What becomes of a planned change when the charge fails is nowhere described.
    if own.has_change() {
        return Ending::Renewal;
    }
    teller
        .chance
        .pick(&[
            (82, Ending::Renewal),
            (6, Ending::LatePaid),
            (4, Ending::LateGivenUp),
            (5, Ending::RetryPaid),
            (3, Ending::RetryGivenUp),
        ])
        .unwrap_or(Ending::Renewal)
}

fn end(teller: &mut Teller, own: &mut Subscription, ending: Ending) {
    let is_paid = matches!(ending, Ending::LatePaid | Ending::RetryPaid);
    match ending {
        Ending::Renewal => own.renew(teller),
        Ending::LatePaid | Ending::LateGivenUp => {
            own.is_charged_again(teller);
            teller.wait(2 * HOUR, 5 * DAY);
            if is_paid { own.renew(teller) } else { own.give_up(teller) }
        }
        Ending::RetryPaid | Ending::RetryGivenUp => {
            own.lose_entitlement(teller);
            teller.wait(2 * HOUR, 5 * DAY);
            if is_paid { own.recover(teller) } else { own.give_up(teller) }
        }
    }
    teller.wait(MINUTE, HOUR);
}
