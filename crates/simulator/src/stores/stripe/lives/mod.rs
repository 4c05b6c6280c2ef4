//! What happens to one customer of Stripe's, from the first purchase to the last event: decided by chance, told by Stripe.
//!
//! This module decides *what* happens; `subscription` and `one_time` know how Stripe tells it and what is true after it.
//! Combinations that no page describes are left out where they would be caused.

mod one_time;
mod subscription;
mod teller;

use crate::calendar::{DAY, HOUR, MONTH};
use crate::catalogue::{Kind, PLANS, Plan};
use crate::lives::Told;
use crate::truth::State;
use subscription::{Dunning, RefundEnd, Start, Subscription};
pub(crate) use teller::Teller as Customer;
use teller::Teller;

/// What happens in the middle of a period.
#[derive(Debug, Clone, Copy)]
enum Incident {
    Nothing,
    Cancels,
    CancelsAndReturns,
    CancelsNow,
    Upgrade,
    LongerInterval,
    More,
    PlansChange,
    PlansChangeAndDropsIt,
    Pause,
    PauseAndBack,
    WrittenOff,
    KeptAsDraft,
    Refund(RefundEnd),
    RefundOfPart,
    RefundOfEarlier,
    Dispute { won: bool },
    MoreTrial,
}

/// How a period ends when renewal is on.
#[derive(Debug, Clone, Copy)]
enum Ending {
    Renewal,
    FreeRenewal,
    Fails(Dunning),
}

/// More periods than any simulation is long.
const MAX_PERIODS: u32 = 60;
/// Seconds of room that an incident needs: most take two turns, and the period's end must not overtake them.
const ROOM: i64 = 4;

/// The whole life of a customer who arrives at `teller.now`, in order, up to about `horizon` (seconds since 1970).
pub(crate) fn live(mut teller: Teller, horizon: i64) -> Vec<Told> {
    let arrived = teller.now;
    if teller.chance.percent(92) {
        subscriber(&mut teller, horizon);
    }
    let buys = teller.chance.pick(&[(75, 0), (15, 1), (7, 2), (3, 4)]).unwrap_or(0);
    let buys = if teller.told.is_empty() { buys.max(1) } else { buys };
    for _ in 0..buys {
        let month = teller.span(MONTH);
        teller.now = arrived + teller.chance.between(0, 6 * month);
        one_time_buyer(&mut teller);
    }
    teller.told.sort_by_key(|told| told.at);
    teller.told
}

fn one_time_buyer(teller: &mut Teller) {
    let kind = teller.chance.pick(&[(2, Kind::Consumable), (1, Kind::NonConsumable)]).unwrap_or(Kind::Consumable);
    let Some(plan) = PLANS.iter().find(|plan| plan.kind == kind) else { return };
    let Some(bought) = one_time::buy(teller, plan) else { return };
    if teller.chance.percent(20) {
        teller.wait(HOUR, 20 * DAY);
        bought.refund(teller);
    }
}

fn subscriber(teller: &mut Teller, horizon: i64) {
    let mut is_first = true;
    for _ in 0..4 {
        let plan = subscription_plan(teller);
        let start = choose_start(teller, is_first);
        let mut own = Subscription::begin(teller, plan, start, is_first);
        for _ in 0..MAX_PERIODS {
            if own.is_over() || teller.now > horizon {
                break;
            }
            period(teller, &mut own);
        }
        if teller.now > horizon || !teller.chance.percent(40) {
            return;
        }
        // A lapsed customer comes back with a new subscription.
        teller.wait(3 * DAY, 60 * DAY);
        is_first = false;
    }
}

fn choose_start(teller: &mut Teller, is_first: bool) -> Start {
    let first = u64::from(is_first);
    teller
        .chance
        .pick(&[
            (30, Start::Paid),
            (18, Start::AfterConfirmation),
            (4, Start::Never),
            (24 * first, Start::Trial { has_method: true }),
            (10 * first, Start::Trial { has_method: false }),
            (10, Start::Coupon),
        ])
        .unwrap_or(Start::Paid)
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
    if own.ends() - teller.now > teller.span(4 * DAY).max(ROOM) {
        let incident = choose_incident(teller, own);
        happen(teller, own, incident);
    }
    if own.is_over() {
        return;
    }
    match own.state() {
        State::Active if own.collects_nothing() => own.renew_uncollected(teller),
        State::Active if own.renews() => {
            let ending = choose_ending(teller, own);
            end(teller, own, ending);
        }
        State::Active => own.expire(teller),
        // A refunded subscription goes on at Stripe, and is paid again.
        State::Revoked if own.renews() => own.renew(teller, false),
        State::Revoked => own.expire(teller),
        State::Pending | State::Grace | State::BillingRetry | State::Paused | State::Expired => {}
    }
}

fn choose_incident(teller: &mut Teller, own: &Subscription) -> Incident {
    if own.state() != State::Active {
        return Incident::Nothing;
    }
    if !own.renews() {
        let choices = [(60, Incident::Nothing), (30, Incident::CancelsAndReturns), (10, Incident::CancelsNow)];
        return teller.chance.pick(&choices).unwrap_or(Incident::Nothing);
    }
    let trial = u64::from(own.is_trial());
    let regular = 1 - trial;
    let plain = regular * u64::from(!own.has_schedule());
    let paid = u64::from(own.is_paid());
    let earlier = u64::from(own.has_earlier());
    teller
        .chance
        .pick(&[
            (40, Incident::Nothing),
            (8 + 15 * trial, Incident::Cancels),
            (6, Incident::CancelsAndReturns),
            (4, Incident::CancelsNow),
            (5 * plain * u64::from(own.higher().is_some()), Incident::Upgrade),
            (3 * plain * u64::from(own.longer().is_some()), Incident::LongerInterval),
            (4 * plain, Incident::More),
            (4 * plain, Incident::PlansChange),
            (3 * plain, Incident::PlansChangeAndDropsIt),
            (3 * plain, Incident::Pause),
            (2 * plain, Incident::PauseAndBack),
            (2 * plain, Incident::WrittenOff),
            (2 * plain, Incident::KeptAsDraft),
            (2 * paid, Incident::Refund(RefundEnd::Stays)),
            (2 * paid, Incident::Refund(RefundEnd::Ends)),
            (2 * paid, Incident::Refund(RefundEnd::Fails)),
            (3 * paid, Incident::RefundOfPart),
            (3 * earlier, Incident::RefundOfEarlier),
            (2 * paid, Incident::Dispute { won: true }),
            (2 * paid, Incident::Dispute { won: false }),
            (10 * trial, Incident::MoreTrial),
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
        Incident::CancelsNow => own.cancel_now(teller),
        Incident::Upgrade => {
            if let Some(plan) = own.higher() {
                own.upgrade(teller, plan);
            }
        }
        Incident::LongerInterval => {
            if let Some(plan) = own.longer() {
                own.change_interval(teller, plan);
            }
        }
        Incident::More => own.more(teller),
        Incident::PlansChange => {
            let plan = own.other(&mut teller.chance);
            own.schedule(teller, plan);
        }
        Incident::PlansChangeAndDropsIt => {
            let plan = own.other(&mut teller.chance);
            own.schedule(teller, plan);
            teller.wait(HOUR, DAY);
            own.drop_change(teller);
        }
        Incident::Pause => own.pause_collection(teller, "void"),
        Incident::PauseAndBack => {
            own.pause_collection(teller, "void");
            teller.wait(HOUR, DAY);
            own.collect_again(teller);
        }
        Incident::WrittenOff => own.pause_collection(teller, "mark_uncollectible"),
        Incident::KeptAsDraft => own.pause_collection(teller, "keep_as_draft"),
        Incident::Refund(end) => own.refund(teller, end),
        Incident::RefundOfPart => own.refund_part(teller),
        Incident::RefundOfEarlier => own.refund_earlier(teller),
        Incident::Dispute { won } => own.dispute(teller, won),
        Incident::MoreTrial => own.extend_trial(teller),
    }
}

fn choose_ending(teller: &mut Teller, own: &Subscription) -> Ending {
    let trial = u64::from(own.is_trial());
    // A plan that changes and cannot be paid for at once is left out: which plan is then in force is nowhere described.
    let fails = u64::from(!own.has_schedule());
    teller
        .chance
        .pick(&[
            (80 - 20 * trial, Ending::Renewal),
            (8 * trial, Ending::FreeRenewal),
            (6 * fails, Ending::Fails(Dunning::Paid)),
            (3 * fails, Ending::Fails(Dunning::UnpaidThenPaid)),
            (3 * fails, Ending::Fails(Dunning::UnpaidThenGivenUp)),
            (3 * fails, Ending::Fails(Dunning::GivenUp)),
            (2 * fails, Ending::Fails(Dunning::Cancelled)),
        ])
        .unwrap_or(Ending::Renewal)
}

fn end(teller: &mut Teller, own: &mut Subscription, ending: Ending) {
    if own.is_trial() && own.lacks_method() {
        own.pause_after_trial(teller);
        return if teller.chance.percent(60) { own.resume(teller) } else { own.cancel_in_pause(teller) };
    }
    match ending {
        Ending::Renewal => own.renew(teller, false),
        Ending::FreeRenewal => own.renew(teller, true),
        Ending::Fails(then) => own.fail_to_renew(teller, then),
    }
}
