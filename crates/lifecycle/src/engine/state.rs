//! What the facets amount to. Everything here is a pure function of the facets, `settled_until` and `carrier_ended_at`;
//! the clock enters only through `settled_until`, so arrival order cannot matter.

use crate::money::Money;
use crate::observation::{
    Dated, Facets, Kind, Offer, OfferType, Origin, Pause, PendingProduct, Period, PeriodType, Reason, RefundFact,
    RefundStatus, Stamp, Standing, TransactionFacts,
};
use crate::purchase::{Purchase, State};
use crate::time::Timestamp;
use std::time::Duration;

/// How long the ending of a replaced carrier is held back, waiting for its replacement (lifecycle.md section 5).
pub const CARRIER_HOLD: Duration = Duration::from_secs(5 * 60);
/// After how long in billing retry the store is asked, and given up on when it cannot be reached: Apple tries for 60
/// days, Play for 30.
pub const RETRY_LASTS: Duration = Duration::from_secs(61 * 86_400);

/// What was bought; a subscription where nobody said.
pub fn kind_of(facets: &Facets) -> Kind {
    facets.kind.as_ref().map_or(Kind::Subscription, |kind| kind.value)
}

/// A clearable facet's value.
pub fn cleared<T>(facet: &Option<Dated<Option<T>>>) -> Option<&T> {
    facet.as_ref().and_then(|facet| facet.value.as_ref())
}

fn stamp_of<T>(facet: &Option<Dated<T>>) -> Option<&Stamp> {
    facet.as_ref().map(|facet| &facet.stamp)
}

/// The transaction of the running (or last) period.
pub fn current_transaction(facets: &Facets) -> Option<&TransactionFacts> {
    let period = &facets.period.as_ref()?.value;
    facets.transactions.get(&*period.transaction_key())
}

/// The running period, from its start on: where the store gives only a bound for that, from the end of the last one before
/// it that is known. One before that may have been to last longer: a change of the plan cut it short.
pub fn period_of(facets: &Facets) -> Option<Period> {
    let Dated { value: period, stamp } = facets.period.as_ref()?;
    let mut period = period.clone();
    let is_bound = facets.start_is_bound.as_ref().is_some_and(|bound| bound.value && bound.stamp == *stamp);
    if let Some(ends_at) = period.ends_at.filter(|_| is_bound) {
        let key = period.transaction_key();
        let others = facets.transactions.iter().filter(|(id, _)| **id != *key);
        let spans = others.filter_map(|(_, known)| {
            let other = &known.period.as_ref()?.value;
            Some((other.starts_at, other.ends_at?))
        });
        let began = spans.filter(|(_, end)| *end < ends_at).max().map(|(_, end)| end);
        period.starts_at = began.map_or(period.starts_at, |began| began.max(period.starts_at));
    }
    Some(period)
}

/// When the period ends, extensions included. `None`: never, or the store said later than that end that it runs on
/// without saying until when.
pub fn end_of_period(facets: &Facets) -> Option<Timestamp> {
    let period = facets.period.as_ref()?;
    let told = period.value.ends_at?;
    let end = match &facets.extended_until {
        Some(Dated { value: Some(until), stamp }) if *stamp >= period.stamp => *until,
        Some(_) | None => told,
    };
    match &facets.standing {
        Some(Dated { value: Standing::Active, stamp }) if *stamp > period.stamp && stamp.as_of > end => None,
        Some(_) | None => Some(end),
    }
}

/// When the grace period ends. One that lies before the period's end belongs to an earlier trouble, unless it was said
/// together with the standing or is still to come when that was said.
pub fn end_of_grace(facets: &Facets) -> Option<Timestamp> {
    let grace = facets.grace_ends_at.as_ref()?;
    let ends_at = grace.value?;
    let of_this_period =
        facets.period.as_ref().and_then(|period| period.value.ends_at).is_none_or(|end| ends_at >= end);
    let of_this_trouble =
        stamp_of(&facets.standing).is_some_and(|stamp| grace.stamp >= *stamp || ends_at > stamp.as_of);
    (of_this_period || of_this_trouble).then_some(ends_at)
}

/// When a purchase in billing retry is given up on.
pub fn end_of_retry(facets: &Facets) -> Option<Timestamp> {
    end_of_grace(facets).max(end_of_period(facets)).map(|from| from.plus(RETRY_LASTS))
}

/// When the purchase ends by date in this state.
pub fn end_by_date(facets: &Facets, state: State) -> Option<Timestamp> {
    match state {
        State::Active => end_of_period(facets),
        State::Grace => end_of_grace(facets),
        State::BillingRetry => end_of_retry(facets),
        State::None | State::Pending | State::Paused | State::Expired | State::Revoked => None,
    }
}

/// Whether `moment` is over: the clock has settled it and the store did not speak of its standing after that.
pub fn is_over(purchase: &Purchase, moment: Timestamp) -> bool {
    let Some(settled) = purchase.settled_until else { return false };
    let spoken = purchase.facets.standing.as_ref().map(|standing| standing.stamp.as_of);
    settled >= moment && spoken.is_none_or(|spoken| spoken <= settled)
}

/// Whether a refund takes access away if it is of the running period.
pub fn takes_access(refund: &RefundFact, price: Option<Money>) -> bool {
    refund.status == RefundStatus::Refunded
        && (refund.family || refund.revokes.unwrap_or_else(|| !is_partial(refund, price)))
}

/// Whether less went back than was paid.
pub fn is_partial(refund: &RefundFact, price: Option<Money>) -> bool {
    match (refund.amount, price) {
        (Some(amount), Some(price)) => {
            amount.currency == price.currency && amount.amount_minor.abs() < price.amount_minor.abs()
        }
        (Some(_) | None, _) => false,
    }
}

/// The price of a transaction, where told.
pub fn price_of(transaction: &TransactionFacts) -> Option<Money> {
    transaction.price.as_ref().and_then(|price| price.value)
}

/// The refund that took access away from the running (or last) period: one of all of it, or the last of several parts
/// that come to all of it.
pub fn revoking_refund(facets: &Facets) -> Option<(&str, &RefundFact)> {
    let transaction = current_transaction(facets)?;
    let price = price_of(transaction);
    let whole = transaction.refunds.iter().find(|(_, refund)| takes_access(&refund.value, price));
    let found = whole.or_else(|| last_of_parts(transaction, price?))?;
    Some((found.0.as_str(), &found.1.value))
}

fn last_of_parts(transaction: &TransactionFacts, price: Money) -> Option<(&String, &Dated<RefundFact>)> {
    let is_part = |refund: &RefundFact| refund.status == RefundStatus::Refunded && refund.revokes != Some(false);
    let parts = || transaction.refunds.iter().filter(|(_, refund)| is_part(&refund.value));
    let back: i64 = parts()
        .filter_map(|(_, refund)| refund.value.amount)
        .filter(|amount| amount.currency == price.currency)
        .fold(0, |sum, amount| sum.saturating_add(amount.amount_minor.saturating_abs()));
    if back < price.amount_minor.saturating_abs() {
        return None;
    }
    parts().max_by(|one, other| one.1.stamp.cmp(&other.1.stamp))
}

/// The store withdrew access and later undid the refund behind it.
fn is_undone(facets: &Facets, withdrawn: &Stamp) -> bool {
    current_transaction(facets).is_some_and(|transaction| {
        transaction
            .refunds
            .values()
            .any(|refund| refund.value.status == RefundStatus::Reversed && refund.stamp > *withdrawn)
    })
}

/// The lifecycle state.
pub fn state_of(purchase: &Purchase) -> State {
    let facets = &purchase.facets;
    let standing = match (&facets.standing, &facets.period) {
        (Some(standing), _) => standing.value,
        (None, Some(_)) => Standing::Active,
        (None, None) => return State::None,
    };
    // Before the standing: no word of the store but a reversal or a new period gives refunded access back.
    if standing != Standing::Pending && revoking_refund(facets).is_some() {
        return State::Revoked;
    }
    match standing {
        Standing::Pending => State::Pending,
        Standing::Expired => State::Expired,
        Standing::Revoked => match &facets.standing {
            Some(withdrawn) if !is_undone(facets, &withdrawn.stamp) => State::Revoked,
            Some(_) | None => running(purchase),
        },
        Standing::BillingRetry => unless_over(purchase, end_of_retry(facets), State::BillingRetry),
        Standing::Grace => unless_over(purchase, end_of_grace(facets), State::Grace),
        Standing::Paused if resumes_by_date(purchase) => running(purchase),
        Standing::Paused => State::Paused,
        Standing::Active if pause_has_begun(purchase) => State::Paused,
        Standing::Active if carrier_is_gone(purchase) => State::Expired,
        Standing::Active => running(purchase),
    }
}

fn running(purchase: &Purchase) -> State {
    unless_over(purchase, end_of_period(&purchase.facets), State::Active)
}

fn unless_over(purchase: &Purchase, end: Option<Timestamp>, state: State) -> State {
    if end.is_some_and(|end| is_over(purchase, end)) { State::Expired } else { state }
}

/// A pause that is planned or runs. One that was said before a period began that runs now is an earlier one, unless the
/// store named it again.
pub fn pause_of(facets: &Facets) -> Option<(Pause, Stamp)> {
    if let Some((changed_at, is_planned)) = pause_changed(facets) {
        let stamp = Stamp { as_of: changed_at, origin: Origin::Notification, by: "".into() };
        return is_planned.then_some((Pause { starts_at: None, resumes_at: None }, stamp));
    }
    let Some(Dated { value: Some(pause), stamp }) = &facets.pause else { return None };
    let overtaken = match (&facets.standing, period_of(facets)) {
        (Some(Dated { value: Standing::Active, stamp: spoken }), Some(period)) => {
            let planned_later = pause.starts_at.is_some_and(|at| at > period.starts_at);
            spoken > stamp && period.starts_at > stamp.as_of && !planned_later
        }
        (Some(_) | None, _) => false,
    };
    (!overtaken).then(|| (pause.clone(), stamp.clone()))
}

/// When the plan of a pause changed last within the running period, after the store's last word on a pause, and whether
/// there is one since.
fn pause_changed(facets: &Facets) -> Option<(Timestamp, bool)> {
    let since = period_of(facets).map(|period| period.starts_at);
    let spoken = stamp_of(&facets.pause).map(|stamp| stamp.as_of);
    let counts = |at: &&Timestamp| since.is_none_or(|since| **at >= since) && spoken.is_none_or(|spoken| **at > spoken);
    let changes = facets.pause_changed_at.iter().filter(counts);
    let newest = changes.clone().next_back()?;
    Some((*newest, changes.count() % 2 == 1))
}

/// When a planned pause begins: as told, else with the end of the period.
pub fn pause_begins_at(facets: &Facets) -> Option<Timestamp> {
    pause_of(facets)?.0.starts_at.or_else(|| end_of_period(facets))
}

/// A planned pause has begun: the clock says so and the store did not speak of its standing since, or it names the pause
/// together with the standing after its start (Stripe pauses collection without changing the status).
fn pause_has_begun(purchase: &Purchase) -> bool {
    let facets = &purchase.facets;
    let Some((pause, stamp)) = pause_of(facets) else { return false };
    let begun = match (pause.starts_at, &facets.standing) {
        (Some(starts_at), standing) => {
            let settled = purchase.settled_until.is_some_and(|settled| settled >= starts_at);
            match standing {
                Some(standing) if stamp < standing.stamp => settled && standing.stamp.as_of < starts_at,
                Some(_) | None => settled || stamp.as_of >= starts_at,
            }
        }
        (None, _) => end_of_period(facets).is_some_and(|end| is_over(purchase, end)),
    };
    begun && !resumes_by_date(purchase)
}

/// A pause is over by date only where the period goes on: nobody paid for another one.
fn resumes_by_date(purchase: &Purchase) -> bool {
    let facets = &purchase.facets;
    let Some(resumes_at) = pause_of(facets).and_then(|(pause, _)| pause.resumes_at) else { return false };
    is_over(purchase, resumes_at) && end_of_period(facets).is_none_or(|end| end > resumes_at)
}

/// The carrier of the period was replaced, and the store said nothing of a replacement from shortly before that on; or what
/// replaced it is known as a purchase of its own.
pub fn carrier_is_gone(purchase: &Purchase) -> bool {
    let spoken = stamp_of(&purchase.facets.standing).map(|stamp| stamp.as_of);
    let followed = purchase.carrier_ended_at.filter(|_| purchase.carrier_followed);
    if followed.is_some_and(|ended| spoken.is_none_or(|spoken| spoken <= ended)) {
        return true;
    }
    carrier_deadline(purchase).is_some_and(|deadline| is_over(purchase, deadline))
}

/// Until when a replacement of the carrier is waited for.
pub fn carrier_deadline(purchase: &Purchase) -> Option<Timestamp> {
    let ended = purchase.carrier_ended_at?;
    // The new carrier is told some seconds before the old one's end, or after it.
    let replaced = stamp_of(&purchase.facets.standing).is_some_and(|stamp| stamp.as_of.plus(CARRIER_HOLD) > ended);
    (!replaced).then(|| ended.plus(CARRIER_HOLD))
}

/// The product in force. A product that was announced for a day is in force from then on if the period goes on beyond
/// it and the store said nothing of the product since.
pub fn product_of(purchase: &Purchase) -> Option<&str> {
    let facets = &purchase.facets;
    let told = facets.product.as_ref();
    if let Some(Dated { value: Some(PendingProduct { product_id, effective_at: Some(from) }), .. }) = &facets.pending {
        let due = purchase.settled_until.is_some_and(|settled| settled >= *from);
        let silent = told.is_none_or(|told| told.stamp.as_of < *from);
        if due && silent && end_of_period(facets).is_none_or(|end| end > *from) {
            return Some(product_id);
        }
    }
    told.map(|told| told.value.as_str())
}

/// The product was said later than the running period, and it is not what that was paid for: a later period runs, which was
/// not heard of yet.
pub fn period_is_past(facets: &Facets) -> bool {
    let (Some(product), Some(period)) = (&facets.product, &facets.period) else { return false };
    let paid_for = current_transaction(facets).and_then(|known| known.product_id.as_ref());
    product.stamp.as_of > period.stamp.as_of && paid_for.is_some_and(|paid_for| paid_for.value != product.value)
}

/// A source that knows since when a purchase runs, and no more of its period than the end, dates the period right before that
/// start: two such readings with different ends are of different periods, and what was said of an offer is not of them.
pub fn period_is_reckoned(facets: &Facets) -> bool {
    facets.period.as_ref().is_some_and(|Dated { value: period, stamp }| {
        period.transaction_id.is_none() && stamp.as_of == period.reckoned_at()
    })
}

/// A product that will be in force later.
pub fn pending_of(purchase: &Purchase) -> Option<&PendingProduct> {
    cleared(&purchase.facets.pending).filter(|pending| Some(pending.product_id.as_str()) != product_of(purchase))
}

/// The offer in use. An offer that was said before the period's type is an earlier period's; a type without an offer
/// stands for the offer that it is made of.
pub fn offer_of(facets: &Facets) -> Option<Offer> {
    if period_is_reckoned(facets) {
        return None;
    }
    let by_type = facets.period_type.as_ref().and_then(|period_type| match period_type.value {
        PeriodType::Trial => Some(OfferType::FreeTrial),
        PeriodType::Intro => Some(OfferType::IntroOffer),
        PeriodType::Promo => Some(OfferType::PromotionalOffer),
        PeriodType::Normal | PeriodType::Prepaid | PeriodType::Promotional => None,
    });
    match &facets.offer {
        Some(Dated { value: Some(offer), stamp })
            if stamp_of(&facets.period_type).is_none_or(|of_type| stamp >= of_type) =>
        {
            Some(offer.clone())
        }
        Some(_) | None => by_type.map(|offer_type| Offer { offer_type, id: None, code: None }),
    }
}

/// The running period costs nothing because it is a trial.
pub fn is_free(facets: &Facets, offer: Option<OfferType>) -> bool {
    offer == Some(OfferType::FreeTrial)
        || !period_is_reckoned(facets)
            && facets.period_type.as_ref().is_some_and(|period_type| period_type.value == PeriodType::Trial)
}

/// Whether two readings of the period are of the same one.
pub fn same_period(one: &Period, other: &Period) -> bool {
    match (&one.transaction_id, &other.transaction_id) {
        (Some(one), Some(other)) => one == other,
        (Some(_) | None, _) => one.starts_at == other.starts_at,
    }
}

/// Since when renewal is off, or access withdrawn; absent while it renews.
pub fn cancelled_at(purchase: &Purchase) -> Option<Timestamp> {
    let facets = &purchase.facets;
    let off = facets.will_renew.as_ref().filter(|will_renew| !will_renew.value);
    let first_word = off.and_then(|off| purchase.renewal_off_at.first().copied().or(Some(off.stamp.as_of)));
    if first_word.is_some() || purchase.state != State::Revoked {
        return first_word;
    }
    let refund = revoking_refund(facets).and_then(|(id, _)| current_transaction(facets)?.refunds.get(id));
    refund.map(|refund| refund.stamp.as_of).or_else(|| stamp_of(&facets.standing).map(|stamp| stamp.as_of))
}

/// Why renewal is off.
pub fn cancel_reason_of(facets: &Facets) -> Option<Reason> {
    let off = facets.will_renew.as_ref().is_some_and(|will_renew| !will_renew.value);
    if off { cleared(&facets.cancel_reason).copied() } else { None }
}

/// Why access is off. What was said before the running period began to be known is of an earlier ending.
pub fn expiration_reason_of(purchase: &Purchase, state: State) -> Option<Reason> {
    let facets = &purchase.facets;
    let told = || {
        facets
            .expiration_reason
            .as_ref()
            .filter(|reason| stamp_of(&facets.period).is_none_or(|period| reason.stamp >= *period))
            .and_then(|reason| reason.value)
    };
    match state {
        State::None | State::Pending | State::Active | State::Grace => None,
        State::Paused => Some(Reason::SubscriptionPaused),
        State::BillingRetry => Some(Reason::BillingError),
        State::Revoked if kind_of(facets) == Kind::Grant => Some(Reason::DeveloperInitiated),
        State::Revoked if revoking_refund(facets).is_some_and(|(_, refund)| refund.family) => told(),
        State::Revoked => Some(Reason::CustomerSupport),
        State::Expired => told().or_else(|| concluded_reason(purchase)),
    }
}

/// An end that no store explained: unpaid if the charge was open, the customer's wish if renewal was off.
fn concluded_reason(purchase: &Purchase) -> Option<Reason> {
    let facets = &purchase.facets;
    match facets.standing.as_ref().map(|standing| standing.value) {
        Some(Standing::Grace | Standing::BillingRetry) => Some(Reason::BillingError),
        Some(Standing::Pending) => None,
        Some(Standing::Active | Standing::Paused | Standing::Expired | Standing::Revoked) | None => {
            if kind_of(facets) != Kind::Subscription {
                return None;
            }
            match facets.will_renew.as_ref().map(|will_renew| will_renew.value) {
                Some(false) => Some(cancel_reason_of(facets).unwrap_or(Reason::Unsubscribe)),
                Some(true) | None => Some(Reason::Unknown),
            }
        }
    }
}
