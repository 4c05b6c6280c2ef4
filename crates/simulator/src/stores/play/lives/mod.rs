//! What happens to one customer of Google Play's, from the first purchase to the last notification: decided by chance,
//! told by Google.
//!
//! This module decides *what* happens; `subscription` and `one_time` know how Google tells it and what is true after it.
//! Combinations that no page describes are left out where they would be caused.

mod one_time;
mod subscription;
mod teller;

use crate::calendar::{DAY, HOUR, Lived, MINUTE, MONTH};
use crate::catalogue::{Kind, PLANS, Plan};
use crate::lives::Told;
use crate::truth::State;
use subscription::{Offer, Start, Subscription};
pub(crate) use teller::Teller as Customer;
use teller::Teller;

/// What happens in the middle of a period.
#[derive(Debug, Clone, Copy)]
enum Incident {
    Nothing,
    Cancels,
    CancelsAndRestarts,
    CancelsAndBuysAgain,
    Upgrade,
    PlansChange,
    Pause,
    PauseAndBack,
    Defers,
    Revoked,
    RefundedKept,
    RefundOfEarlier,
    AcceptsPrice,
    RefusesPrice,
}

/// How a period ends when renewal is on.
#[derive(Debug, Clone, Copy)]
enum Ending {
    Renewal,
    GracePaid,
    GraceThenHoldPaid,
    GraceThenGivenUp,
    GraceCancelled,
    HoldPaid,
    HoldGivenUp,
    HoldCancelled,
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

fn subscriber(teller: &mut Teller, horizon: Lived) {
    let mut is_first = true;
    for _ in 0..4 {
        let start = choose_start(teller, is_first);
        let plan = subscription_plan(teller);
        let Some(mut own) = Subscription::begin(teller, plan, start, is_first) else { return };
        run(teller, &mut own, horizon);
        // A lapsed customer comes back in the app with a new purchase, which nothing links to the old one.
        if teller.now > horizon || !teller.chance.percent(35) {
            return;
        }
        teller.wait(3 * DAY, 60 * DAY);
        is_first = false;
    }
}

fn run(teller: &mut Teller, own: &mut Subscription, horizon: Lived) {
    for _ in 0..MAX_PERIODS {
        if teller.now > horizon {
            return;
        }
        if own.is_over() {
            // Google's own shop offers what lapsed; buying it there continues the chain.
            if !own.can_return() || !teller.chance.percent(25) {
                return;
            }
            teller.wait(3 * DAY, 40 * DAY);
            own.buy_out_of_app(teller);
        }
        if own.is_prepaid() { prepaid_period(teller, own) } else { period(teller, own) }
    }
}

fn choose_start(teller: &mut Teller, is_first: bool) -> Start {
    let first = u64::from(is_first);
    teller
        .chance
        .pick(&[
            (40, Start::Regular),
            (30 * first, Start::Offer(Offer::Trial)),
            (10 * first, Start::Offer(Offer::Intro)),
            (8, Start::Prepaid),
            (7, Start::AfterPending),
            (4 * first, Start::NeverPaid),
        ])
        .unwrap_or(Start::Regular)
}

fn subscription_plan(teller: &mut Teller) -> &'static Plan {
    let weight = |plan: &'static Plan| match plan.kind {
        Kind::Subscription => (if plan.rank == 2 { 3 } else { 2 }, plan),
        Kind::Consumable | Kind::NonConsumable => (0, plan),
    };
    let choices: Vec<_> = PLANS.iter().map(weight).collect();
    teller.chance.pick(&choices).unwrap_or(&PLANS[0])
}

fn prepaid_period(teller: &mut Teller, own: &mut Subscription) {
    teller.wait(10 * DAY, 20 * DAY);
    if teller.chance.percent(60) { own.top_up(teller) } else { own.expire(teller) }
}

fn period(teller: &mut Teller, own: &mut Subscription) {
    teller.wait(HOUR, 3 * DAY);
    // Incidents need days; what is short of them (a prorated period) just ends.
    if own.ends() - teller.now > 5 * DAY {
        let incident = choose_incident(teller, own);
        happen(teller, own, incident);
    }
    match own.state() {
        State::Active if own.will_pause() => pause(teller, own),
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
        return Incident::Nothing;
    }
    // In an offer nobody changes plans, pauses or sees a new price: what Google shows then is nowhere described.
    let regular = u64::from(own.is_regular() && !own.has_change());
    let paid = u64::from(own.is_paid());
    let earlier = u64::from(own.has_earlier());
    let trial = u64::from(own.is_trial());
    teller
        .chance
        .pick(&[
            (45, Incident::Nothing),
            (8 + 20 * trial, Incident::Cancels),
            (6, Incident::CancelsAndRestarts),
            (4 * regular, Incident::CancelsAndBuysAgain),
            (5 * regular * u64::from(own.higher().is_some()), Incident::Upgrade),
            (5 * regular, Incident::PlansChange),
            (5 * regular, Incident::Pause),
            (3 * regular, Incident::PauseAndBack),
            (3 * regular, Incident::Defers),
            (3, Incident::Revoked),
            (2 * paid, Incident::RefundedKept),
            (3 * earlier, Incident::RefundOfEarlier),
            (3 * regular, Incident::AcceptsPrice),
            (2 * regular, Incident::RefusesPrice),
        ])
        .unwrap_or(Incident::Nothing)
}

fn happen(teller: &mut Teller, own: &mut Subscription, incident: Incident) {
    match incident {
        Incident::Nothing => {}
        Incident::Cancels => own.cancel(teller),
        Incident::CancelsAndRestarts => {
            own.cancel(teller);
            teller.wait(HOUR, 2 * DAY);
            own.restart(teller);
        }
        Incident::CancelsAndBuysAgain => {
            own.cancel(teller);
            teller.wait(HOUR, 2 * DAY);
            own.buy_again(teller);
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
        Incident::Pause => own.schedule_pause(teller, true),
        Incident::PauseAndBack => {
            own.schedule_pause(teller, true);
            teller.wait(HOUR, 2 * DAY);
            own.schedule_pause(teller, false);
        }
        Incident::Defers => own.defer(teller),
        Incident::Revoked => own.revoke(teller),
        Incident::RefundedKept => own.refund_kept(teller),
        Incident::RefundOfEarlier => own.refund_earlier(teller),
        Incident::AcceptsPrice => {
            own.raise_price(teller);
            teller.wait(HOUR, 2 * DAY);
            own.accept_price(teller);
        }
        Incident::RefusesPrice => {
            own.raise_price(teller);
            own.refuse_price(teller);
        }
    }
}

fn pause(teller: &mut Teller, own: &mut Subscription) {
    own.pause(teller);
    match teller.chance.pick(&[(6, 0), (2, 1), (2, 2)]) {
        Some(1) => {
            teller.wait(DAY, 8 * DAY);
            own.cancel_paused(teller);
        }
        Some(2) => {
            own.fail_to_resume(teller);
            after_hold(teller, own, Ending::HoldPaid);
        }
        Some(_) | None => own.resume(teller),
    }
}

fn choose_ending(teller: &mut Teller, own: &Subscription) -> Ending {
    // What becomes of a planned change when the charge fails is nowhere described.
    if own.has_change() {
        return Ending::Renewal;
    }
    // The first charge after a free week fails more often than a renewal.
    let renewal = if own.is_trial() { 60 } else { 80 };
    teller
        .chance
        .pick(&[
            (renewal, Ending::Renewal),
            (5, Ending::GracePaid),
            (3, Ending::GraceThenHoldPaid),
            (2, Ending::GraceThenGivenUp),
            (2, Ending::GraceCancelled),
            (3, Ending::HoldPaid),
            (2, Ending::HoldGivenUp),
            (2, Ending::HoldCancelled),
        ])
        .unwrap_or(Ending::Renewal)
}

fn end(teller: &mut Teller, own: &mut Subscription, ending: Ending) {
    match ending {
        Ending::Renewal => own.renew(teller),
        Ending::GracePaid => {
            own.fail_into_grace(teller);
            teller.wait(HOUR, 2 * DAY);
            own.recover_in_grace(teller);
        }
        Ending::GraceThenHoldPaid | Ending::GraceThenGivenUp => {
            own.fail_into_grace(teller);
            own.hold(teller);
            after_hold(teller, own, ending);
        }
        Ending::GraceCancelled => {
            own.fail_into_grace(teller);
            teller.wait(HOUR, 2 * DAY);
            own.cancel_in_grace(teller);
        }
        Ending::HoldPaid | Ending::HoldGivenUp | Ending::HoldCancelled => {
            own.hold(teller);
            after_hold(teller, own, ending);
        }
    }
}

fn after_hold(teller: &mut Teller, own: &mut Subscription, ending: Ending) {
    match ending {
        Ending::HoldPaid | Ending::GraceThenHoldPaid => {
            teller.wait(10 * MINUTE, 20 * DAY);
            own.recover_on_hold(teller);
        }
        Ending::HoldCancelled => {
            teller.wait(HOUR, 20 * DAY);
            own.cancel_on_hold(teller);
        }
        Ending::GraceThenGivenUp | Ending::HoldGivenUp => own.give_up(teller),
        Ending::Renewal | Ending::GracePaid | Ending::GraceCancelled => {}
    }
}
