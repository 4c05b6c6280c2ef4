//! What happens to one customer of Amazon's, from the first purchase to the last notification: decided by chance, told by
//! Amazon.
//!
//! This module decides *what* happens; `subscription` and `one_time` know how Amazon tells it and what is true after it.

mod one_time;
mod subscription;
mod teller;

use crate::calendar::{DAY, HOUR, Lived, MONTH};
use crate::catalogue::{Kind, PLANS, Plan};
use crate::lives::Told;
use crate::stores::amazon::wire::Receipt;
use crate::truth::State;
use subscription::{Start, Subscription};
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
    CancelledWithRefund,
}

/// How a period ends when renewal is on.
#[derive(Debug, Clone, Copy)]
enum Ending {
    Renewal,
    GracePaid,
    GraceOver,
}

/// More periods than any simulation is long.
const MAX_PERIODS: u32 = 60;

/// The whole life of a customer who arrives at `teller.now`, in order, up to about `horizon`.
pub(crate) fn live(mut teller: Teller, horizon: Lived) -> Vec<Told> {
    let arrived = teller.now;
    if teller.chance.percent(92) {
        subscriber(&mut teller, horizon);
    }
    let buys = teller.chance.pick(&[(75, 0), (15, 1), (7, 2), (3, 4)]).unwrap_or(0);
    let buys = if teller.told.is_empty() { buys.max(1) } else { buys };
    for _ in 0..buys {
        teller.now = arrived + teller.chance.between(0, 6 * MONTH);
        one_time::life(&mut teller);
    }
    teller.told.sort_by_key(|told| told.at);
    teller.told
}

/// A fresh receipt.
fn receipt(teller: &mut Teller, plan: &'static Plan, product_type: &'static str) -> Receipt {
    Receipt {
        receipt_id: teller.receipt_id(),
        user: teller.user.clone(),
        product_type,
        product_id: if product_type == "SUBSCRIPTION" { subscription::tier(plan) } else { plan.id },
        term: None,
        purchase_date: teller.stamp(),
        renewal_date: None,
        cancel_date: None,
        cancel_reason: None,
        auto_renewing: false,
        free_trial_end_date: None,
        grace_period_end_date: None,
        deferred: None,
        promotion: None,
        is_beta: teller.app.is_beta,
        country_code: teller.storefront.country,
        is_gone: false,
        has_capitals: teller.chance.percent(50),
    }
}

fn subscriber(teller: &mut Teller, horizon: Lived) {
    let mut is_first = true;
    for _ in 0..4 {
        let first = u64::from(is_first);
        let starts = [(50, Start::Regular), (35 * first, Start::Trial), (10 * first, Start::Promotion)];
        let start = teller.chance.pick(&starts).unwrap_or(Start::Regular);
        let plan = subscription_plan(teller);
        let mut own = Subscription::begin(teller, plan, start, is_first);
        for _ in 0..MAX_PERIODS {
            if own.is_over() || teller.now > horizon {
                break;
            }
            period(teller, &mut own);
        }
        // A lapsed customer comes back with a new receipt.
        if teller.now > horizon || !teller.chance.percent(40) {
            return;
        }
        teller.wait(3 * DAY, 60 * DAY);
        is_first = false;
    }
}

fn subscription_plan(teller: &mut Teller) -> &'static Plan {
    let weight = |plan: &'static Plan| match plan.kind {
        Kind::Subscription => (if plan.rank == 2 { 3 } else { 2 }, plan),
        Kind::Consumable | Kind::NonConsumable => (0, plan),
    };
    let choices: Vec<_> = PLANS.iter().map(weight).collect();
    teller.chance.pick(&choices).unwrap_or(&PLANS[0])
}

fn period(teller: &mut Teller, own: &mut Subscription) {
    teller.wait(HOUR, 3 * DAY);
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
    let trial = u64::from(own.is_trial());
    let regular = u64::from(own.is_regular());
    teller
        .chance
        .pick(&[
            (50, Incident::Nothing),
            (12 + 18 * trial, Incident::Cancels),
            (8, Incident::CancelsAndReturns),
            (6 * regular * u64::from(own.higher().is_some()), Incident::Upgrade),
            (6 * regular, Incident::PlansChange),
            (4 * (1 - trial), Incident::CancelledWithRefund),
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
        Incident::PlansChange => {
            let plan = own.other(&mut teller.chance);
            own.plan_change(teller, plan);
        }
        Incident::CancelledWithRefund => own.cancel_with_refund(teller),
    }
}

fn choose_ending(teller: &mut Teller, own: &Subscription) -> Ending {
    // What becomes of a planned change when the charge fails is nowhere described.
    if own.has_change() {
        return Ending::Renewal;
    }
    let renewal = if own.is_trial() { 70 } else { 86 };
    teller
        .chance
        .pick(&[(renewal, Ending::Renewal), (8, Ending::GracePaid), (6, Ending::GraceOver)])
        .unwrap_or(Ending::Renewal)
}

fn end(teller: &mut Teller, own: &mut Subscription, ending: Ending) {
    match ending {
        Ending::Renewal => own.renew(teller),
        Ending::GracePaid => {
            own.fail_into_grace(teller);
            teller.wait(HOUR, 2 * DAY);
            own.recover(teller);
        }
        Ending::GraceOver => {
            own.fail_into_grace(teller);
            own.give_up(teller);
        }
    }
}
