//! The clock: which dates of a purchase are to come, what happens when one is reached, and when to look again.
//!
//! Dates alone do not end access where the store can be asked: five minutes after the end it is asked, and again at
//! growing distances; only a store that cannot be reached for 24 hours is taken at its dates. Stores that cannot be asked,
//! grants and one-time purchases end by date. A pause that ends by date gives access again only if the period goes on
//! beyond it; else the purchase stays paused until the store speaks, because nobody paid for another period.

use super::state;
use super::{Context, Question};
use crate::observation::Kind;
use crate::purchase::{Asked, Purchase, State};
use crate::time::Timestamp;
use std::time::Duration;

/// How long after an end the store is asked: its own notification is usually faster.
pub(super) const ASK_AFTER: Duration = Duration::from_secs(5 * 60);
/// How long a store that cannot be reached is waited for (lifecycle.md principle 9).
pub(super) const MARGIN: Duration = Duration::from_secs(24 * 3600);
/// How long a date is left open after news that came later than it: the rest of a life that is told after the fact, or
/// of what waited while we were down, comes right behind.
pub(super) const LATE_NEWS: Duration = Duration::from_secs(3);
/// Distance to the second question; each further one is four times as far, up to `ASK_AT_MOST`.
const ASK_AGAIN: Duration = Duration::from_secs(15 * 60);
/// The longest distance between two questions.
const ASK_AT_MOST: Duration = Duration::from_secs(7 * 86_400);

/// Whether dates decide by themselves.
fn ends_by_date(purchase: &Purchase, context: &Context<'_>) -> bool {
    match state::kind_of(&purchase.facets) {
        Kind::Grant | Kind::Temporary | Kind::NonRenewing | Kind::NonConsumable | Kind::Consumable => true,
        Kind::Subscription => !context.can_ask,
    }
}

/// Dates of the purchase that are not decided yet: its end, a pause's begin or end, a product that comes into force.
fn dates(purchase: &Purchase) -> [Option<Timestamp>; 3] {
    let facets = &purchase.facets;
    let pause = match purchase.state {
        State::Active => state::pause_begins_at(facets),
        State::Paused => state::pause_of(facets).and_then(|(pause, _)| pause.resumes_at),
        State::None | State::Pending | State::Grace | State::BillingRetry | State::Expired | State::Revoked => None,
    };
    let pending = state::pending_of(purchase).filter(|_| purchase.state.has_access()).and_then(|pending| {
        let spoken = facets.product.as_ref().map(|product| product.stamp.as_of);
        pending.effective_at.filter(|from| spoken.is_none_or(|spoken| spoken < *from))
    });
    [state::end_by_date(facets, purchase.state), pause, pending]
}

/// When a date is decided on: at once, or after the store was asked.
fn due_at(purchase: &Purchase, date: Timestamp, by_date: bool) -> Option<Timestamp> {
    if by_date {
        if purchase.settled_until.is_some_and(|settled| settled >= date) && state::is_over(purchase, date) {
            return None;
        }
        // The store's word counts up to the moment at which it was given.
        let spoken = purchase.facets.standing.as_ref().map(|standing| standing.stamp.as_of);
        let said = spoken.map_or(date, |spoken| spoken.max(date));
        return Some(heard_late(purchase, date).map_or(said, |heard| said.max(heard.plus(LATE_NEWS))));
    }
    match purchase.asked {
        Some(asked) if date <= asked.about => Some(asked.again_at),
        Some(_) | None => Some(heard_late(purchase, date).unwrap_or(date).plus(ASK_AFTER)),
    }
}

/// When we last heard of the purchase, if that was after the date.
fn heard_late(purchase: &Purchase, date: Timestamp) -> Option<Timestamp> {
    purchase.heard_at.filter(|heard| *heard >= date)
}

/// The next moment at which the clock has something to decide or to ask.
pub(super) fn next(purchase: &Purchase, context: &Context<'_>) -> Option<Timestamp> {
    let by_date = ends_by_date(purchase, context);
    // A store that cannot be asked says nothing more in billing retry: access is off, so nothing is at stake.
    let keeps_trying = purchase.state == State::BillingRetry && by_date;
    let of_dates = dates(purchase)
        .into_iter()
        .flatten()
        .filter(|_| !keeps_trying)
        .filter_map(|date| due_at(purchase, date, by_date))
        .min();
    let of_carrier = state::carrier_deadline(purchase)
        .filter(|deadline| purchase.state.has_access() && !state::is_over(purchase, *deadline));
    let of_price = purchase.held.as_ref().map(|held| held.until);
    [of_dates, of_carrier, of_price].into_iter().flatten().min()
}

/// What a tick came to.
pub(super) struct Ticked {
    /// The date that was reached.
    pub date: Option<Timestamp>,
    /// What to ask.
    pub question: Option<Question>,
}

/// `now` has reached a deadline: dates are settled, or the store is asked.
pub(super) fn tick(purchase: &mut Purchase, context: &Context<'_>, now: Timestamp) -> Ticked {
    let mut ticked = Ticked { date: None, question: None };
    if let Some(deadline) = state::carrier_deadline(purchase)
        && deadline <= now
        && purchase.state.has_access()
    {
        ticked.date = Some(deadline);
        settle(purchase, now);
        return ticked;
    }
    let by_date = ends_by_date(purchase, context);
    if by_date && purchase.state == State::BillingRetry {
        return ticked;
    }
    let due: Vec<Timestamp> = dates(purchase)
        .into_iter()
        .flatten()
        .filter(|date| due_at(purchase, *date, by_date).is_some_and(|at| at <= now))
        .collect();
    let Some(latest) = due.iter().copied().max() else { return ticked };
    if by_date {
        ticked.date = due.into_iter().min();
        settle(purchase, now);
        return ticked;
    }
    let times = purchase.asked.filter(|asked| asked.about == latest).map_or(0, |asked| asked.times);
    let distance = ASK_AGAIN.saturating_mul(4u32.saturating_pow(times.min(8))).min(ASK_AT_MOST);
    let limit = given_up_at(purchase, latest);
    let again_at = match now.plus(distance) {
        again if limit > now && again > limit => limit,
        again => again,
    };
    purchase.asked = Some(Asked { about: latest, times: times.saturating_add(1), again_at });
    ticked.question = Some(Question {
        purchase: purchase.id,
        why: format!("{} until {latest}, and the store has not said what came then", purchase.state),
        ask_at: now,
    });
    ticked
}

/// When a store that cannot be reached is taken at its dates: 24 hours after the date, after its last word, or after that
/// word reached us.
fn given_up_at(purchase: &Purchase, date: Timestamp) -> Timestamp {
    let spoken = purchase.facets.standing.as_ref().map(|standing| standing.stamp.as_of);
    let last = spoken.max(heard_late(purchase, date));
    last.map_or(date, |last| last.max(date)).plus(MARGIN)
}

/// The store was asked and could not be reached. Gives the date that is decided without it.
pub(super) fn unanswered(purchase: &mut Purchase, now: Timestamp) -> Option<Timestamp> {
    let date = dates(purchase).into_iter().flatten().filter(|date| *date <= now).min()?;
    if now < given_up_at(purchase, date) {
        return None;
    }
    settle(purchase, now);
    Some(date)
}

fn settle(purchase: &mut Purchase, now: Timestamp) {
    purchase.settled_until = purchase.settled_until.max(Some(now));
}
