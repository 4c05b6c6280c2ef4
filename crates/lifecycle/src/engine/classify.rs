//! Which changes lie between two readings of a purchase, in the order in which they are told.
//!
//! At most one change moves the state, the product or the period (the *main* one); a closing of the old period may go
//! before it, and changes of single facets and one-off facts stand beside it. What is told of each is in
//! `transitions`.

use super::change::Change;
use super::facts::{Fact, News};
use super::state;
use crate::catalogue::Catalogue;
use crate::event::PurchaseView;
use crate::money::Money;
use crate::observation::{
    Consent, DetectedBy, Facets, Hint, Kind, OfferType, PriceIncrease, Reason, RefundFact, RefundStatus, Standing,
};
use crate::purchase::{Purchase, State};
use crate::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// A new period that starts later than this after the known end shows that the purchase had lapsed (lifecycle.md
/// principle 9 and row 33).
pub(super) const GAP: Duration = Duration::from_secs(24 * 3600);

/// A purchase as it was read at one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub view: Arc<PurchaseView>,
    /// When it ends by date, if it is active.
    pub end: Option<Timestamp>,
    pub offer: Option<OfferType>,
    pub is_free: bool,
    pub price_increase: Option<PriceIncrease>,
    pub next_offer: Option<OfferType>,
    /// Expired by the clock, not by the store's word.
    pub closed_by_clock: bool,
    pub carrier_is_gone: bool,
    /// A later period runs, which was not heard of yet.
    pub period_is_past: bool,
    /// Only since when it runs was said, not which period it is in.
    pub period_is_reckoned: bool,
    /// A family member's share was withdrawn.
    pub by_family: bool,
}

impl Snapshot {
    pub(super) fn of(purchase: &Purchase, catalogue: &Catalogue) -> Snapshot {
        let facets = &purchase.facets;
        let view = super::view::view(purchase, catalogue);
        let offer = view.offer.as_ref().map(|offer| offer.offer_type);
        let told_expired = facets.standing.as_ref().is_some_and(|standing| standing.value == Standing::Expired);
        Snapshot {
            end: state::end_of_period(facets),
            is_free: state::is_free(facets, offer),
            offer,
            price_increase: state::cleared(&facets.price_increase).cloned(),
            next_offer: state::cleared(&facets.next_offer).map(|offer| offer.offer_type),
            closed_by_clock: view.state == State::Expired && !told_expired,
            carrier_is_gone: state::carrier_is_gone(purchase),
            period_is_past: state::period_is_past(facets),
            period_is_reckoned: state::period_is_reckoned(facets),
            by_family: state::revoking_refund(facets).is_some_and(|(_, refund)| refund.family),
            view: Arc::new(view),
        }
    }

    pub(super) fn state(&self) -> State {
        self.view.state
    }

    /// The product that unlocks something now.
    pub(super) fn access(&self) -> Option<&str> {
        let lasting = self.view.kind != Kind::Consumable && self.view.state.has_access();
        if lasting { self.view.product_id.as_deref() } else { None }
    }
}

/// Which reading of the purchase an event shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Face {
    /// As it is after the input.
    After,
    /// As it was before it.
    Before,
    /// As it was before it, but ended.
    Closed,
}

/// A change with the state in which it finds the purchase.
#[derive(Debug)]
pub(super) struct Step {
    /// Steps of one stage are ordered together: entitlement, lifecycle, offer, money.
    pub stage: u8,
    pub from: State,
    pub change: Change,
    pub fact: Option<Fact>,
    pub face: Face,
    pub occurred_at: Timestamp,
    pub inferred: bool,
}

/// Stages in the order in which they are told.
pub(super) mod stage {
    pub(crate) const HELD: u8 = 0;
    pub(crate) const TRANSFER: u8 = 1;
    pub(crate) const CLOSING: u8 = 2;
    pub(crate) const BEFORE_END: u8 = 3;
    pub(crate) const SWAP: u8 = 4;
    pub(crate) const MAIN: u8 = 5;
}

/// Why the purchase was looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Why {
    /// Why the store spoke; `None`: it did not.
    pub hint: Option<Hint>,
    /// The store's time, or that of the deadline.
    pub occurred_at: Timestamp,
    /// Concluded, not told.
    pub inferred: bool,
    pub backfill: bool,
    /// Found by us, where the store told nothing.
    pub detected_by: Option<DetectedBy>,
    /// The customer had the product before (`Context::had_before`).
    pub had_before: bool,
    /// The grant was bought (`Input::Converted`).
    pub converted: bool,
}

/// Whether the period in `after` is a later one than that in `before`.
fn is_new_period(before: &Snapshot, after: &Snapshot) -> bool {
    match (&before.view.period, &after.view.period) {
        (Some(old), Some(new)) => !state::same_period(old, new) && new.starts_at >= old.starts_at,
        (None, Some(_)) => true,
        (Some(_) | None, None) => false,
    }
}

fn product_changed(before: &Snapshot, after: &Snapshot) -> bool {
    match (&before.view.product_id, &after.view.product_id) {
        (Some(old), Some(new)) => old != new,
        (Some(_) | None, _) => false,
    }
}

/// How long after the known end the new period starts; zero when it joins it.
fn gap(before: &Snapshot, after: &Snapshot) -> Duration {
    match (before.end, &after.view.period) {
        (Some(end), Some(period)) => period.starts_at.since(end),
        (Some(_) | None, _) => Duration::ZERO,
    }
}

/// The new period does not follow the known one: whatever lies between them was not heard of, and how the known one ended is
/// not known either, unless the store says that this is the recovery from the trouble in which it was.
pub(super) fn is_unclear(before: &Snapshot, after: &Snapshot, why: &Why) -> bool {
    // What is paid in a grace period goes on from the end before it.
    let had_no_access = matches!(before.state(), State::BillingRetry | State::Paused);
    let is_its_end = had_no_access && matches!(why.hint, Some(Hint::Recovered | Hint::Resumed));
    is_new_period(before, after) && !gap(before, after).is_zero() && !is_its_end
}

/// The grace period was outlived, unheard: what came is of a later period.
pub(super) fn outlived_grace(before: &Snapshot, after: &Snapshot) -> bool {
    before.state() == State::Grace && is_new_period(before, after)
}

/// The store spoke because of another product.
fn tells_of_swap(after: &Snapshot, why: &Why) -> bool {
    match why.hint {
        Some(Hint::ProductChanged | Hint::Upgraded | Hint::Crossgraded | Hint::Downgraded) => {
            after.view.pending.is_none()
        }
        Some(_) | None => false,
    }
}

/// The store spoke because of something that may be long past: what it says of the present is said in passing.
fn looks_back(why: &Why) -> bool {
    matches!(why.hint, Some(Hint::RefundRequested | Hint::Refunded | Hint::RefundDeclined | Hint::RefundReversed))
}

/// The main change, with what must be told before it.
pub(super) fn main_change(before: &Snapshot, after: &Snapshot, why: &Why) -> (Option<Change>, Option<Change>) {
    let change = match after.view.kind {
        Kind::Consumable | Kind::NonConsumable | Kind::NonRenewing => once(before, after, why),
        Kind::Grant => grant(before, after, why),
        Kind::Temporary => temporary(before, after, why),
        Kind::Subscription => return subscription(before, after, why),
    };
    (None, change)
}

fn once(before: &Snapshot, after: &Snapshot, why: &Why) -> Option<Change> {
    use State as S;
    match (before.state(), after.state()) {
        (S::None | S::Pending, S::Active) => Some(Change::BoughtOnce),
        (S::Active | S::Revoked | S::Expired, S::Active) if is_new_period(before, after) => Some(Change::BoughtOnce),
        (S::Active, S::Active) if before.access() != after.access() => Some(plan_change(before)),
        (S::Revoked, S::Active) => Some(Change::RefundUndone),
        (S::Expired, S::Active) => Some(Change::Reopened),
        (S::Active | S::Expired, S::Revoked) if after.by_family || why.hint == Some(Hint::FamilyRevoked) => {
            Some(Change::FamilyRevoked)
        }
        (S::Active | S::Expired, S::Revoked) => Some(Change::RefundedOnce),
        (S::Active, S::Expired) => Some(Change::ExpiredOnce),
        (S::None, S::Pending) | (S::Active | S::Expired | S::Revoked, S::Pending) => Some(Change::Opened),
        (S::Pending, S::Expired | S::Revoked) => Some(Change::Withdrawn),
        (S::None, S::Expired | S::Revoked) => Some(Change::FirstSeenEnded),
        (from, to) => trouble(from, to),
    }
}

fn grant(before: &Snapshot, after: &Snapshot, why: &Why) -> Option<Change> {
    use State as S;
    match (before.state(), after.state()) {
        (S::None | S::Pending | S::Expired | S::Revoked, S::Active) => Some(Change::Granted),
        (S::Active, S::Expired) if why.converted => Some(Change::GrantConverted),
        (S::Active, S::Expired) => Some(Change::GrantEnded),
        (S::Active, S::Revoked) => Some(Change::GrantRemoved),
        (S::Active, S::Active) if before.access() != after.access() => Some(plan_change(before)),
        (S::Active, S::Active) if ends_later(before, after) => Some(Change::GrantExtended),
        (S::Active, S::Active) => None,
        (S::None, S::Expired | S::Revoked) => Some(Change::FirstSeenEnded),
        (S::Pending, S::Expired | S::Revoked) => Some(Change::Withdrawn),
        (S::Expired, S::Revoked) => None,
        (from, to) => trouble(from, to),
    }
}

fn temporary(before: &Snapshot, after: &Snapshot, why: &Why) -> Option<Change> {
    use State as S;
    match (before.state(), after.state()) {
        (S::None, S::Active) => Some(Change::TemporaryGranted),
        (S::Active, S::Expired) if why.converted => Some(Change::TemporaryReplaced),
        (S::Active, S::Expired | S::Revoked) => Some(Change::TemporaryEnded),
        (S::None, S::Expired | S::Revoked) => Some(Change::FirstSeenEnded),
        (S::Expired | S::Revoked, S::Active) | (S::Expired, S::Revoked) => None,
        (from, to) => trouble(from, to),
    }
}

fn plan_change(before: &Snapshot) -> Change {
    if before.access().is_none() { Change::ProductLearned } else { Change::PlanChanged }
}

/// Moves to and from states that a one-time purchase or a grant does not have. They are told like a subscription's, so
/// that access never moves untold even if a store says something odd.
fn trouble(from: State, to: State) -> Option<Change> {
    use State as S;
    match (from, to) {
        (from, to) if from == to => None,
        (S::None, S::Grace) | (S::Pending, S::Grace) => Some(Change::FirstSeenGrace),
        (S::None | S::Pending, S::BillingRetry | S::Paused) => Some(Change::FirstSeenEnded),
        (_, S::Grace) => Some(Change::GraceStarted),
        (_, S::BillingRetry) => Some(Change::RetryStarted),
        (_, S::Paused) => Some(Change::PauseBegan),
        (S::Grace | S::BillingRetry, S::Active) => Some(Change::Recovered),
        (S::Paused, S::Active) => Some(Change::Resumed),
        (_, S::Expired) => Some(Change::Ended),
        (_, S::Revoked) => Some(Change::Revoked),
        (_, S::Pending) => Some(Change::Opened),
        (_, S::None | S::Active) => None,
    }
}

fn subscription(before: &Snapshot, after: &Snapshot, why: &Why) -> (Option<Change>, Option<Change>) {
    use State as S;
    let change = match (before.state(), after.state()) {
        (_, S::None) => None,
        (S::None | S::Pending, to) => first(before, to, after, why),
        (S::Active, S::Active) => return continued(before, after, why),
        (from, S::Active) => return back(from, before, after, why),
        (S::Revoked, S::Revoked) => None,
        (_, S::Revoked) if after.by_family || why.hint == Some(Hint::FamilyRevoked) => Some(Change::FamilyRevoked),
        (_, S::Revoked) => Some(Change::Revoked),
        (S::Active | S::Grace, S::Expired) if after.carrier_is_gone => Some(Change::CarrierGone),
        (S::Grace, S::Expired) if is_cancelled(after, why) && !outlived_grace(before, after) => {
            Some(Change::CancelledInGrace)
        }
        (S::Expired, S::Expired) => None,
        (_, S::Expired) => Some(Change::Ended),
        (S::Grace, S::Grace) | (S::BillingRetry, S::BillingRetry) | (S::Paused, S::Paused) => {
            stayed(before, after, why)
        }
        (S::Active, S::Grace | S::BillingRetry | S::Paused) if product_changed(before, after) => {
            let found = plan_found(before, after, why).is_some();
            let swap = if found { Change::PlanAhead } else { Change::PlanChangedUnpaid };
            return (Some(swap), trouble(before.state(), after.state()));
        }
        (from, to) => trouble(from, to),
    };
    (None, change)
}

/// In grace, ended by the customer's wish: the store's reason, or that it spoke of the renewal (Play's CANCELED).
fn is_cancelled(after: &Snapshot, why: &Why) -> bool {
    after.view.expiration_reason == Some(Reason::Unsubscribe)
        || (why.hint == Some(Hint::RenewalDisabled) && after.view.cancel_reason == Some(Reason::Unsubscribe))
}

fn first(before: &Snapshot, to: State, after: &Snapshot, why: &Why) -> Option<Change> {
    let from = before.state();
    match to {
        State::None => None,
        State::Pending => (from == State::None).then_some(Change::Opened),
        State::Active if from == State::Pending || is_start(after, why) => {
            Some(if why.had_before || had_periods(before, after) { Change::BoughtAgain } else { Change::Bought })
        }
        State::Active => Some(match why.hint {
            Some(Hint::Renewed) => Change::FirstSeenRenewed,
            Some(Hint::Recovered) => Change::FirstSeenRecovered,
            Some(Hint::Resumed) => Change::FirstSeenResumed,
            // A change that waits for the next period has changed nothing yet: it is told as scheduled.
            Some(Hint::Upgraded | Hint::Crossgraded | Hint::Downgraded | Hint::ProductChanged)
                if after.view.pending.is_none() =>
            {
                Change::FirstSeenChanged
            }
            Some(_) | None => Change::FirstSeenRunning,
        }),
        State::Grace => Some(Change::FirstSeenGrace),
        State::Expired | State::Revoked if from == State::Pending => Some(Change::Withdrawn),
        State::BillingRetry | State::Paused | State::Expired | State::Revoked => Some(Change::FirstSeenEnded),
    }
}

/// The chain had other periods before the one that begins.
pub(super) fn had_periods(before: &Snapshot, after: &Snapshot) -> bool {
    let known = match (&before.view.period, &after.view.period) {
        (Some(old), Some(new)) => u32::from(state::same_period(old, new)),
        (Some(_) | None, _) => 0,
    };
    before.view.renewal_number > known
}

/// The first reading is of a start: the store says so, or an answer speaks of a period that has just begun.
fn is_start(after: &Snapshot, why: &Why) -> bool {
    match why.hint {
        Some(Hint::Purchased | Hint::OneTimePurchased | Hint::OfferRedeemed) => true,
        Some(Hint::Answered) => after
            .view
            .period
            .as_ref()
            .is_some_and(|period| why.occurred_at.since(period.starts_at) < GAP && after.view.renewal_number <= 1),
        Some(_) | None => false,
    }
}

fn ends_later(before: &Snapshot, after: &Snapshot) -> bool {
    if after.period_is_reckoned {
        return false;
    }
    match (before.end, after.end) {
        (Some(old), Some(new)) => new > old,
        (Some(_), None) => after.view.period.as_ref().is_some_and(|period| period.ends_at.is_none()),
        (None, _) => false,
    }
}

/// What the store speaks of happens only to a subscription that runs: periods before it were not heard of, but it did not lapse.
fn runs_on(why: &Why) -> bool {
    matches!(
        why.hint,
        Some(Hint::Upgraded | Hint::Crossgraded | Hint::Downgraded | Hint::ProductChanged | Hint::RenewalEnabled)
    )
}

fn continued(before: &Snapshot, after: &Snapshot, why: &Why) -> (Option<Change>, Option<Change>) {
    // The first period that is known of a purchase that ran before is no renewal, unless the store says so.
    let is_learned = before.view.period.is_none() && after.view.renewal_number <= 1 && why.hint != Some(Hint::Renewed);
    let new_period = is_new_period(before, after) && !is_learned;
    let gap = gap(before, after);
    let bought = why.hint == Some(Hint::Purchased);
    if new_period && !runs_on(why) && (gap > GAP || (bought && !gap.is_zero())) {
        return (Some(Change::LapsedUnseen), Some(Change::Reactivated));
    }
    let starts_at = after.view.period.as_ref().map(|period| period.starts_at);
    let change = if let Some(found) = plan_found(before, after, why) {
        found
    } else if product_changed(before, after) {
        let at_renewal =
            new_period && (why.hint == Some(Hint::Renewed) || (before.end.is_some() && starts_at >= before.end));
        if at_renewal { Change::PlanChangedAtRenewal } else { Change::PlanChanged }
    } else if new_period && after.period_is_past {
        // A later one runs: this one is only paid for.
        return (None, None);
    } else if new_period {
        let overlaps = starts_at < before.end;
        let was_off = before.view.will_renew == Some(false) && after.view.will_renew == Some(true);
        let signed_up = (bought && was_off) || why.hint == Some(Hint::RenewalEnabled);
        if overlaps && signed_up { Change::SignedUpAgain } else { Change::Renewed }
    } else if before.view.product_id.is_none() && after.view.product_id.is_some() {
        Change::ProductLearned
    } else if ends_later(before, after) {
        Change::Extended
    } else if after.offer.is_some() && after.offer != before.offer {
        Change::OfferBegan
    } else {
        return (None, None);
    };
    (None, Some(change))
}

fn stayed(before: &Snapshot, after: &Snapshot, why: &Why) -> Option<Change> {
    if plan_found(before, after, why).is_some() {
        before.state().has_access().then_some(Change::PlanAhead)
    } else if product_changed(before, after) {
        Some(Change::PlanChangedUnpaid)
    } else if before.view.state.has_access() && before.access().is_none() && after.access().is_some() {
        Some(Change::ProductLearned)
    } else if !is_new_period(before, after) && ends_later(before, after) {
        Some(Change::Extended)
    } else {
        None
    }
}

/// Another product came to light, and nobody said how.
fn plan_found(before: &Snapshot, after: &Snapshot, why: &Why) -> Option<Change> {
    if !product_changed(before, after) || tells_of_swap(after, why) {
        None
    } else if after.period_is_past && looks_back(why) {
        Some(Change::PlanAhead)
    } else {
        is_unclear(before, after, why).then_some(Change::PlanFound)
    }
}

/// From trouble or an end back to active, with what must be told before it.
fn back(from: State, before: &Snapshot, after: &Snapshot, why: &Why) -> (Option<Change>, Option<Change>) {
    let new_period = is_new_period(before, after);
    let in_trouble = matches!(from, State::Grace | State::BillingRetry | State::Paused);
    if in_trouble && new_period && why.hint == Some(Hint::Purchased) && !gap(before, after).is_zero() {
        return (Some(Change::LapsedUnseen), Some(Change::Reactivated));
    }
    let change = match from {
        _ if after.period_is_past && looks_back(why) && (in_trouble || from == State::Expired) => Change::PlanAhead,
        State::Grace | State::BillingRetry | State::Paused if plan_found(before, after, why).is_some() => {
            Change::PlanFound
        }
        State::Grace | State::BillingRetry | State::Paused if product_changed(before, after) => Change::PlanChanged,
        State::Grace | State::BillingRetry => Change::Recovered,
        State::Paused => Change::Resumed,
        State::Expired if before.carrier_is_gone && product_changed(before, after) => Change::ReplacementCame,
        State::Expired if new_period => {
            let joins = before.closed_by_clock && gap(before, after) <= GAP && !product_changed(before, after);
            if joins && why.hint != Some(Hint::Purchased) { Change::RenewedLate } else { Change::Reactivated }
        }
        State::Expired => Change::Reopened,
        State::Revoked if new_period || why.hint == Some(Hint::Purchased) => Change::Reactivated,
        State::Revoked => Change::RefundUndone,
        // Not reached: `subscription` decides these before.
        State::None | State::Pending | State::Active => Change::Confirmed,
    };
    (None, Some(change))
}

/// What the state lets pass as an event of its own beside the main change.
fn begins_anew(main: Option<Change>) -> bool {
    main.is_some_and(|change| {
        matches!(
            change,
            Change::Bought
                | Change::BoughtAgain
                | Change::StartAwaitsPrice
                | Change::Reactivated
                | Change::Reopened
                | Change::ReplacementCame
                | Change::RefundUndone
                | Change::RenewedLate
                | Change::SignedUpAgain
        )
    })
}

fn swaps_product(main: Option<Change>) -> bool {
    main.is_some_and(|change| {
        matches!(
            change,
            Change::PlanChanged
                | Change::PlanChangedAtRenewal
                | Change::PlanChangedUnpaid
                | Change::PlanFound
                | Change::PlanAhead
                | Change::ReplacementCame
        )
    })
}

/// Whether the store speaks of a period that was paid for: a pause that was planned before it is over, or it came to none.
/// Nobody withdrew it.
fn was_paid_for(before: &Snapshot, after: &Snapshot, why: &Why) -> bool {
    let speaks_of_it = matches!(why.hint, Some(Hint::Renewed | Hint::Recovered | Hint::Resumed));
    speaks_of_it || is_new_period(before, after)
}

/// Whether a planned change came and went unseen: the running period begins later than it was to take effect, so the one with
/// which it did was not heard of.
fn was_overtaken(before: &Snapshot, after: &Snapshot) -> bool {
    let due = before.view.pending.as_ref().and_then(|pending| pending.effective_at).or(before.end);
    let begins = after.view.period.as_ref().map(|period| period.starts_at);
    is_new_period(before, after) && due.is_some() && begins > due
}

/// Whether renewal was switched: `Some(true)` on, `Some(false)` off. A first word counts only if the store spoke
/// because of it.
pub(super) fn renewal_switched(before: &Snapshot, after: &Snapshot, why: &Why) -> Option<bool> {
    match (before.view.will_renew, after.view.will_renew) {
        (Some(true), Some(false)) => Some(false),
        (Some(false), Some(true)) => Some(true),
        (None, Some(false)) if why.hint == Some(Hint::RenewalDisabled) => Some(false),
        (None, Some(true)) if why.hint == Some(Hint::RenewalEnabled) => Some(true),
        (Some(_) | None, _) => None,
    }
}

/// The customer ended it before its time: the switching off is told before the end (Stripe section 6).
pub(super) fn ends_early(before: &Snapshot, after: &Snapshot, why: &Why) -> bool {
    before.state() == State::Active
        && renewal_switched(before, after, why) == Some(false)
        && before.end.is_some_and(|end| why.occurred_at < end)
        && matches!(after.view.expiration_reason, Some(Reason::Unsubscribe | Reason::DeveloperInitiated))
}

/// The store spoke before that day.
fn is_before(day: Option<Timestamp>, why: &Why) -> bool {
    day.is_none_or(|day| why.occurred_at < day)
}

/// Changes of single facets, beside the main one.
pub(super) fn facet_changes(before: &Snapshot, after: &Snapshot, main: Option<Change>, why: &Why) -> Vec<Change> {
    let mut changes = Vec::new();
    let now = after.state();
    let over = matches!(now, State::None | State::Pending | State::Expired | State::Revoked);
    let is_first = matches!(before.state(), State::None | State::Pending);
    let spoke = |hints: &[Hint]| !is_first || why.hint.is_some_and(|hint| hints.contains(&hint));
    match renewal_switched(before, after, why) {
        // In the same breath as the end the switch is part of it; after a refund it is news.
        Some(false) if !over || (now == State::Revoked && main.is_none()) => changes.push(Change::RenewalOff),
        Some(true) if !over && !begins_anew(main) => changes.push(Change::RenewalOn),
        Some(_) | None => {}
    }
    if over {
        return changes;
    }
    match (&before.view.pending, &after.view.pending) {
        (old, Some(new))
            if old.as_ref() != Some(new)
                && spoke(&[Hint::ProductChangeScheduled, Hint::Downgraded, Hint::Crossgraded, Hint::Upgraded]) =>
        {
            changes.push(Change::PlanChangeScheduled);
        }
        // Gone after its day: it took effect, or the day passed without it. That is no withdrawal.
        (Some(old), None) if is_before(old.effective_at.or(before.end), why) => {
            if !swaps_product(main) && !begins_anew(main) && !was_overtaken(before, after) {
                changes.push(Change::PlanChangeUnscheduled);
            }
        }
        (Some(_) | None, _) => {}
    }
    if before.state().has_access() && now.has_access() || is_first && now.has_access() {
        match (&before.view.pause, &after.view.pause) {
            (old, Some(new)) if old.as_ref() != Some(new) && spoke(&[Hint::PauseScheduled]) => {
                changes.push(Change::PauseScheduled)
            }
            (Some(old), None)
                if is_before(old.starts_at.or(before.end), why)
                    && !begins_anew(main)
                    && !was_paid_for(before, after, why) =>
            {
                changes.push(Change::PauseUnscheduled);
            }
            (Some(_) | None, _) => {}
        }
    }
    if before.price_increase != after.price_increase && spoke(&[Hint::PriceIncrease]) {
        match after.price_increase.as_ref().map(|increase| increase.consent) {
            Some(Consent::Pending) => changes.push(Change::PriceIncreaseAnnounced),
            Some(Consent::Accepted) => changes.push(Change::PriceIncreaseAccepted),
            None => {}
        }
    }
    if after.next_offer.is_some() && after.next_offer != before.next_offer && spoke(&[Hint::OfferRedeemed]) {
        changes.push(Change::OfferRedeemed);
    }
    changes
}

/// One-off facts that the input brought, beside the main change. Each is told once, because its key is known from then on.
pub(super) fn fact_changes(
    purchase: &Purchase,
    news: &News,
    before: &Snapshot,
    main: Option<Change>,
) -> Vec<(Change, Fact)> {
    let facets = &purchase.facets;
    let current = facets.period.as_ref().map(|period| period.value.transaction_key());
    let mut changes = Vec::new();
    for told in &news.refunds {
        let Some(transaction) = facets.transactions.get(&told.fact.transaction) else { continue };
        let Some(refund) = told.fact.refund.as_ref().and_then(|id| transaction.refunds.get(id)) else { continue };
        if told.before == Some(refund.value.status) {
            continue;
        }
        let is_current = current.as_deref() == Some(told.fact.transaction.as_str());
        let took_access = is_current && took_access(facets, &told.fact, &refund.value, state::price_of(transaction));
        let change = match refund.value.status {
            RefundStatus::Requested => Change::RefundRequested,
            RefundStatus::Declined => Change::RefundDeclined,
            // The main change tells it; in a purchase that is revoked already only its money is news.
            RefundStatus::Refunded if took_access && (main.is_some() || before.state() == State::Revoked) => continue,
            RefundStatus::Refunded if is_current && is_money_of_an_end(before, &refund.value) => continue,
            RefundStatus::Refunded if refund.value.family => continue,
            RefundStatus::Refunded => Change::RefundKeepsAccess,
            RefundStatus::Reversed if is_current && main == Some(Change::RefundUndone) => continue,
            RefundStatus::Reversed => Change::RefundReversed,
        };
        changes.push((change, told.fact.clone()));
    }
    changes.extend(news.failures.iter().map(|fact| (Change::PaymentFailed, fact.clone())));
    changes
}

/// The store withdrew access by its own word, and now tells what went back with that.
fn is_money_of_an_end(before: &Snapshot, refund: &RefundFact) -> bool {
    before.state() == State::Revoked && refund.revokes == Some(false)
}

/// Whether this refund is what took access away: by itself, or as the last part that made it whole.
fn took_access(facets: &Facets, fact: &Fact, refund: &RefundFact, price: Option<Money>) -> bool {
    let is_last_part = || state::revoking_refund(facets).is_some_and(|(id, _)| fact.refund.as_deref() == Some(id));
    state::takes_access(refund, price) || (refund.status == RefundStatus::Refunded && is_last_part())
}
