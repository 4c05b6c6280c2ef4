//! What happens to one customer of the App Store, from the first purchase to the last notification: decided by chance,
//! told by Apple.
//!
//! This module decides *what* happens; `subscription` and `one_time` know how Apple tells it and what is true after it.
//! Which combinations are left out, and why, stands at the incident that would cause them.

mod one_time;
mod subscription;
mod teller;

use crate::calendar::{DAY, HOUR, Lived, MINUTE, MONTH};
use crate::catalogue::{Kind, PLANS, Plan};
use crate::lives::Told;
use crate::truth::State;
use subscription::{Offer, Subscription};
use teller::Teller;
pub(crate) use teller::Teller as Customer;

/// How the first period is paid for.
#[derive(Debug, Clone, Copy)]
enum Start {
    Regular,
    Offer(Offer),
    Family,
}

/// What happens in the middle of a period.
#[derive(Debug, Clone, Copy)]
enum Incident {
    Nothing,
    Cancels,
    CancelsAndReturns,
    RefundDeclined,
    Refund,
    RefundOfEarlier,
    Upgrade,
    PlansChange,
    PlansChangeAndDropsIt,
    AcceptsPrice,
    RefusesPrice,
    Extension,
}

/// How a period ends when renewal is on.
#[derive(Debug, Clone, Copy)]
enum Ending {
    Renewal,
    GracePaid,
    GraceThenRetryPaid,
    GraceThenGivenUp,
    GraceCancelled,
    RetryPaid,
    RetryGivenUp,
}

/// More periods than any simulation is long; it ends lives that would go on for ever.
const MAX_PERIODS: u32 = 60;
/// After the horizon nothing is told, so lives are not led much further.
const BEYOND: Lived = MONTH;

/// The whole life of a customer who arrives at `teller.now`, in order, up to about `horizon`.
pub(crate) fn live(mut teller: Teller, horizon: Lived) -> Vec<Told> {
    let arrived = teller.now;
    if teller.chance.percent(92) {
        subscriber(&mut teller, horizon + BEYOND);
    }
    let buys = teller.chance.pick(&[(75, 0), (15, 1), (7, 2), (3, 4)]).unwrap_or(0);
    // Somebody who has no subscription came for something.
    let buys = if teller.told.is_empty() { buys.max(1) } else { buys };
    for _ in 0..buys {
        teller.now = arrived + teller.chance.between(0, 6 * MONTH);
        one_time_buyer(&mut teller);
    }
    teller.told.sort_by_key(|told| told.at);
    teller.told
}

fn one_time_buyer(teller: &mut Teller) {
    let kind = teller.chance.pick(&[(2, Kind::Consumable), (1, Kind::NonConsumable)]).unwrap_or(Kind::Consumable);
    let Some(plan) = PLANS.iter().find(|plan| plan.kind == kind) else { return };
    let bought = one_time::buy(teller, plan);
    if teller.chance.percent(20) {
        teller.wait(HOUR, 20 * DAY);
        one_time::refund(teller, plan, &bought);
    }
}

fn subscriber(teller: &mut Teller, horizon: Lived) {
    let choices = [
        (45, Start::Regular),
        (35, Start::Offer(Offer::Trial)),
        (9, Start::Offer(Offer::Intro)),
        (7, Start::Offer(Offer::Code)),
        (4, Start::Family),
    ];
    let plan = subscription_plan(teller);
    let mut own = match teller.chance.pick(&choices).unwrap_or(Start::Regular) {
        Start::Regular => Subscription::buy(teller, plan, None),
        Start::Offer(offer) => Subscription::buy(teller, plan, Some(offer)),
        Start::Family => return family_member(teller, plan, horizon),
    };
    for _ in 0..MAX_PERIODS {
        if teller.now > horizon {
            return;
        }
        period(teller, &mut own);
        let ended = match own.state() {
            State::Active | State::Grace | State::BillingRetry => false,
            State::Pending | State::Paused | State::Expired | State::Revoked => true,
        };
        if ended && !returns(teller, &mut own) {
            return;
        }
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

/// A member of a family sees the shared subscription come, renew and go, and cannot change anything.
fn family_member(teller: &mut Teller, plan: &'static Plan, horizon: Lived) {
    let mut shared = Subscription::share(teller, plan);
    for _ in 0..teller.chance.between(0, 4) {
        if teller.now > horizon {
            return;
        }
        shared.renew(teller);
    }
    teller.wait(DAY, 6 * DAY);
    shared.family_revoked(teller);
}

/// A lapsed customer comes back, or not.
fn returns(teller: &mut Teller, own: &mut Subscription) -> bool {
    if !teller.chance.percent(40) {
        return false;
    }
    teller.wait(3 * DAY, 90 * DAY);
    // A refunded period may still run; buying anew before its end is left out, because what Apple tells then is nowhere
    // described.
    teller.now = teller.now.max(own.ends() + HOUR);
    let plan = subscription_plan(teller);
    let offer = teller.chance.percent(30).then_some(Offer::WinBack);
    own.resubscribe(teller, plan, offer);
    true
}

fn period(teller: &mut Teller, own: &mut Subscription) {
    teller.wait(HOUR, 3 * DAY);
    // Incidents need days; what is short of them (the rest of an extended or reversed period) just ends.
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
    if !own.renews() {
        return teller
            .chance
            .pick(&[(70, Incident::Nothing), (30, Incident::CancelsAndReturns)])
            .unwrap_or(Incident::Nothing);
    }
    // In an offer nobody changes plans or sees a new price: which offer the new period then has is nowhere described.
    let regular = u64::from(own.offer().is_none());
    let paid = u64::from(own.is_paid());
    let earlier = u64::from(own.has_earlier());
    let trial = u64::from(own.offer() == Some(Offer::Trial));
    teller
        .chance
        .pick(&[
            (50, Incident::Nothing),
            (10 + 20 * trial, Incident::Cancels),
            (6, Incident::CancelsAndReturns),
            (2 * paid, Incident::RefundDeclined),
            (3 * paid, Incident::Refund),
            (3 * earlier, Incident::RefundOfEarlier),
            (4 * regular * u64::from(own.higher().is_some()), Incident::Upgrade),
            (4 * regular, Incident::PlansChange),
            (3 * regular, Incident::PlansChangeAndDropsIt),
            (3 * regular, Incident::AcceptsPrice),
            (2 * regular, Incident::RefusesPrice),
            (2 * regular, Incident::Extension),
        ])
        .unwrap_or(Incident::Nothing)
}

fn happen(teller: &mut Teller, own: &mut Subscription, incident: Incident) {
    match incident {
        Incident::Nothing => {}
        Incident::Cancels => own.set_renewal(teller, false),
        Incident::CancelsAndReturns => {
            if own.renews() {
                own.set_renewal(teller, false);
                teller.wait(HOUR, DAY);
            }
            own.set_renewal(teller, true);
        }
        Incident::RefundDeclined => {
            own.refund_asked(teller);
            teller.wait(HOUR, 2 * DAY);
            own.refund_declined(teller);
        }
        Incident::Refund => {
            own.refund(teller);
            if teller.chance.percent(35) {
                teller.wait(HOUR, 2 * DAY);
                own.refund_reversed(teller);
            }
        }
        Incident::RefundOfEarlier => own.refund_earlier(teller),
        Incident::Upgrade => {
            if let Some(plan) = own.higher() {
                own.upgrade(teller, plan);
            }
        }
        Incident::PlansChange => {
            let plan = own.other(&mut teller.chance);
            own.plan_change(teller, plan);
        }
        Incident::PlansChangeAndDropsIt => {
            let plan = own.other(&mut teller.chance);
            own.plan_change(teller, plan);
            teller.wait(HOUR, 2 * DAY);
            own.drop_change(teller);
        }
        Incident::AcceptsPrice => {
            own.raise_price(teller);
            teller.wait(HOUR, 2 * DAY);
            own.accept_price(teller);
        }
        Incident::RefusesPrice => {
            own.raise_price(teller);
            own.refuse_price(teller);
        }
        Incident::Extension => own.extend(teller),
    }
}

fn choose_ending(teller: &mut Teller, own: &Subscription) -> Ending {
    // The first charge after a free week fails more often than a renewal.
    let renewal = if own.offer() == Some(Offer::Trial) { 60 } else { 84 };
    teller
        .chance
        .pick(&[
            (renewal, Ending::Renewal),
            (5, Ending::GracePaid),
            (2, Ending::GraceThenRetryPaid),
            (2, Ending::GraceThenGivenUp),
            (2, Ending::GraceCancelled),
            (3, Ending::RetryPaid),
            (2, Ending::RetryGivenUp),
        ])
        .unwrap_or(Ending::Renewal)
}

fn end(teller: &mut Teller, own: &mut Subscription, ending: Ending) {
    match ending {
        Ending::Renewal => own.renew(teller),
        Ending::GracePaid => {
            own.fail_into_grace(teller);
            teller.wait(HOUR, 14 * DAY);
            own.recover(teller);
        }
        Ending::GraceThenRetryPaid => {
            own.fail_into_grace(teller);
            own.grace_over(teller);
            teller.wait(HOUR, 30 * DAY);
            own.recover(teller);
        }
        Ending::GraceThenGivenUp => {
            own.fail_into_grace(teller);
            own.grace_over(teller);
            own.give_up(teller);
        }
        Ending::GraceCancelled => {
            own.fail_into_grace(teller);
            teller.wait(HOUR, 10 * DAY);
            own.cancel_in_grace(teller);
        }
        Ending::RetryPaid => {
            own.fail_into_retry(teller);
            teller.wait(10 * MINUTE, 40 * DAY);
            own.recover(teller);
        }
        Ending::RetryGivenUp => {
            own.fail_into_retry(teller);
            own.give_up(teller);
        }
    }
}
