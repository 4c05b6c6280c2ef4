//! How a receipt stands, as RVS answers. Amazon gives no price, no id of a renewal and no beginning of a period: a period is
//! known by its receipt and its end (`renewalDate`), a renewal by that end having moved, and it began a term before it.
//!
//! **Not told is not changed.** `renewalDate` is null when nothing will be renewed, and says nothing of the grace period:
//! then the period that is known stays. Period, offer and price are told together or not at all.

use super::read::Word;
use super::wire::{Receipt, Type};
use paidup_lifecycle::money::Money;
use paidup_lifecycle::observation::{
    Dated, Facets, Hint, Kind, Observation, Offer, OfferType, Origin, PendingProduct, Period, PeriodType, Reason,
    RefundFact, RefundStatus, Stamp, Standing, TransactionFacts,
};
use paidup_lifecycle::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long after the date of a renewal a failed payment may end a subscription. ASSUMPTION: Amazon names no longest grace
/// period.
const GRACE_LASTS: Duration = Duration::from_secs(31 * 86_400);
/// How long after a payment was due a cancellation may be for want of it, where no grace period is named. ASSUMPTION: Amazon
/// tries for a few days; what is cancelled later than that, clearly before the term's end, was taken back.
const UNPAID_LASTS: Duration = Duration::from_secs(9 * 86_400);
/// How far before its end a cancelled period must have been to count as withdrawn, at most; and as a part of the period, for
/// tests in which a month is minutes. ASSUMPTION: the reference says "clearly".
const CLEARLY: Duration = Duration::from_secs(86_400);
const CLEAR_PART: u32 = 10;

/// How a subscription stands.
enum Stands {
    Runs,
    Grace {
        until: Option<Timestamp>,
        says_rvs: bool,
    },
    /// Another receipt took its place.
    Replaced,
    /// `None`: nobody says why.
    Over {
        why: Option<Reason>,
        says_rvs: bool,
    },
    /// Taken back before the end of what was paid for.
    Withdrawn,
}

/// What a receipt says, together with the notification that it was looked up for; before that, what it says of an offer that
/// was over by then.
pub(super) fn read(word: Word<'_>, receipt: &Receipt) -> Vec<Observation> {
    let by_type = match word.kind() {
        Type::OnceBought(kind) | Type::OnceCancelled(kind) => Some(kind),
        Type::Purchased
        | Type::Converted
        | Type::Renewed
        | Type::RenewalOff
        | Type::RenewalOn
        | Type::ScheduledToEnd
        | Type::GraceBegan
        | Type::GraceOver
        | Type::ChangeDeferred
        | Type::Changed
        | Type::Cancelled
        | Type::Expired => Some(Kind::Subscription),
        Type::Unknown => None,
    };
    match by_type.or(receipt.kind).unwrap_or(Kind::Subscription) {
        kind @ (Kind::Consumable | Kind::NonConsumable | Kind::NonRenewing | Kind::Grant | Kind::Temporary) => {
            let is_over = receipt.cancelled_at.is_some() || matches!(word.kind(), Type::OnceCancelled(_));
            vec![if is_over { withdrawn_once(word, kind, receipt) } else { bought_once(word, kind, receipt) }]
        }
        Kind::Subscription => {
            let before = end_of_offer(word.clone(), receipt);
            before.into_iter().chain([subscription(word, receipt)]).collect()
        }
    }
}

/// What is bought once.
pub(super) fn bought_once(word: Word<'_>, kind: Kind, receipt: &Receipt) -> Observation {
    let mut facets = of_once(&word, kind, receipt);
    facets.standing = Some(word.now(Standing::Active));
    let starts_at = receipt.purchased_at.unwrap_or(word.at());
    let id = word.wanted.receipt.clone();
    let price = receipt.product.as_ref().and_then(|product| word.policy.prices.get(product)).copied();
    if let Some(price) = price {
        facets.transactions.insert(id.clone(), priced(&word, price));
    }
    facets.period = Some(word.now(Period { transaction_id: Some(id), starts_at, ends_at: None }));
    let hint = if matches!(word.kind(), Type::OnceBought(_)) { Hint::OneTimePurchased } else { Hint::Answered };
    word.observation(hint, facets)
}

/// The money for it went back: Amazon tells nothing else of a purchase that was made once.
pub(super) fn withdrawn_once(word: Word<'_>, kind: Kind, receipt: &Receipt) -> Observation {
    let mut facets = of_once(&word, kind, receipt);
    let id = word.wanted.receipt.clone();
    if let Some(starts_at) = receipt.purchased_at {
        facets.period = Some(word.now(Period { transaction_id: Some(id.clone()), starts_at, ends_at: None }));
    }
    facets.standing = Some(word.now(Standing::Revoked));
    facets.transactions.insert(id, refunded(&word));
    word.observation(Hint::Refunded, facets)
}

fn of_once(word: &Word<'_>, kind: Kind, receipt: &Receipt) -> Facets {
    Facets {
        product: receipt.product.clone().map(|product| word.now(product)),
        country: receipt.country.clone().map(|country| word.now(Some(country))),
        ..word.bare(kind)
    }
}

fn priced(word: &Word<'_>, price: Money) -> TransactionFacts {
    TransactionFacts { price: Some(word.now(Some(price))), ..TransactionFacts::default() }
}

fn refunded(word: &Word<'_>) -> TransactionFacts {
    let refund = RefundFact { status: RefundStatus::Refunded, amount: None, revokes: Some(true), family: false };
    TransactionFacts { refunds: BTreeMap::from([("0".to_owned(), word.now(refund))]), ..TransactionFacts::default() }
}

fn subscription(word: Word<'_>, receipt: &Receipt) -> Observation {
    let stands = stands(&word, receipt);
    let mut facets = Facets {
        product: receipt.term_sku.clone().or_else(|| receipt.product.clone()).map(|product| word.now(product)),
        country: receipt.country.clone().map(|country| word.now(Some(country))),
        ..word.bare(Kind::Subscription)
    };
    tell_standing(&word, receipt, &stands, &mut facets);
    let is_over = match stands {
        Stands::Runs | Stands::Grace { .. } => false,
        Stands::Replaced | Stands::Over { .. } | Stands::Withdrawn => true,
    };
    tell_renewal(&word, receipt, &stands, &mut facets);
    tell_period(&word, receipt, &stands, &mut facets);
    if !is_over {
        tell_changes(&word, receipt, &mut facets);
    }
    let hint = match stands {
        Stands::Replaced => Hint::Replaced,
        Stands::Withdrawn => Hint::Refunded,
        Stands::Over { .. } => Hint::Expired,
        Stands::Runs | Stands::Grace { .. } => hint_of(word.kind()),
    };
    // It may be asked for because of something that was told long before or after.
    let replaced_at = receipt.cancelled_at.filter(|_| hint == Hint::Replaced);
    let read = word.observation(hint, facets);
    Observation { observed_at: replaced_at.unwrap_or(read.observed_at), ..read }
}

fn hint_of(kind: Type) -> Hint {
    match kind {
        Type::Purchased => Hint::Purchased,
        Type::Converted | Type::Renewed => Hint::Renewed,
        Type::RenewalOff => Hint::RenewalDisabled,
        Type::RenewalOn => Hint::RenewalEnabled,
        Type::GraceBegan => Hint::GraceStarted,
        Type::GraceOver => Hint::Recovered,
        Type::ChangeDeferred => Hint::ProductChangeScheduled,
        Type::Changed => Hint::ProductChanged,
        // A reminder: what it says of the renewal is told by comparing.
        Type::ScheduledToEnd => Hint::Answered,
        Type::Cancelled | Type::Expired => Hint::Expired,
        Type::OnceBought(_) | Type::OnceCancelled(_) | Type::Unknown => Hint::Answered,
    }
}

fn stands(word: &Word<'_>, receipt: &Receipt) -> Stands {
    let at = word.at();
    if receipt.cancel_reason == Some(4) {
        return Stands::Replaced;
    }
    let ends = matches!(word.kind(), Type::Cancelled | Type::Expired);
    // ASSUMPTION: RVS fills cancelDate when it is over, never ahead of that (Amazon's staff said so in its forum).
    if let Some(cancelled_at) = receipt.cancelled_at.filter(|cancelled_at| *cancelled_at <= at || ends) {
        return over(word.kind(), receipt, cancelled_at);
    }
    if ends {
        return Stands::Over { why: None, says_rvs: false };
    }
    let told_at = word.told.map_or(at, |(_, told_at)| told_at);
    let until = unpaid_until(receipt, at);
    match word.kind() {
        Type::GraceBegan => Stands::Grace {
            until: until.or(receipt.grace_ends_at.filter(|until| *until > told_at)),
            says_rvs: until.is_some(),
        },
        // What RVS says of a failed payment is news to a notice from before that payment was due.
        Type::GraceOver | Type::Purchased | Type::Converted | Type::Renewed => match until {
            Some(until) if receipt.renews_at.is_some_and(|due| told_at < due) => {
                Stands::Grace { until: Some(until), says_rvs: true }
            }
            Some(_) | None => Stands::Runs,
        },
        Type::RenewalOff
        | Type::RenewalOn
        | Type::ScheduledToEnd
        | Type::ChangeDeferred
        | Type::Changed
        | Type::Cancelled
        | Type::Expired
        | Type::OnceBought(_)
        | Type::OnceCancelled(_)
        | Type::Unknown => match until {
            Some(until) => Stands::Grace { until: Some(until), says_rvs: true },
            None => Stands::Runs,
        },
    }
}

/// Until when the payment that was due is waited for. Paid again, the next renewal lies behind the end of the grace period;
/// until RVS says so or that it is over, it is waited for beyond that end too.
fn unpaid_until(receipt: &Receipt, at: Timestamp) -> Option<Timestamp> {
    let until = receipt.grace_ends_at?;
    let is_open = receipt.renews_at.map_or(until > at, |renews_at| renews_at <= until);
    is_open.then_some(until)
}

/// An offer that is over with, and was followed by periods at the regular price: who never heard of the first of them hears here
/// that the offer did not end with the subscription. What the receipt says of now comes after that.
fn end_of_offer(word: Word<'_>, receipt: &Receipt) -> Option<Observation> {
    let ended_at = receipt.cancelled_at.filter(|_| receipt.cancel_reason != Some(4));
    let at = ended_at.unwrap_or(word.told.map_or(word.at(), |(_, told_at)| told_at));
    let promoted = receipt.promotion_is_over && !receipt.promotion_runs && ended_at.is_some();
    if !promoted && !outlived_its_trial(&word, receipt, ended_at) {
        return None;
    }
    let stamp = Stamp { as_of: at, origin: Origin::Notification, by: word.then(()).stamp.by };
    let dated = |period_type| Dated { value: period_type, stamp: stamp.clone() };
    let facets = Facets {
        period_type: Some(dated(PeriodType::Normal)),
        offer: Some(Dated { value: None, stamp: stamp.clone() }),
        ..word.bare(Kind::Subscription)
    };
    Some(Observation { observed_at: at, ..word.observation(Hint::Answered, facets) })
}

/// Whether it ran on when its trial was over: it was cancelled clearly later and was not waiting for its first payment, or
/// something was told of it that only happens to one that runs.
fn outlived_its_trial(word: &Word<'_>, receipt: &Receipt, ended_at: Option<Timestamp>) -> bool {
    let Some(trial) = receipt.trial_ends_at else { return false };
    if receipt.grace_ends_at.is_some() {
        return false;
    }
    match (ended_at, word.told) {
        (Some(ended_at), _) => {
            let length = receipt.purchased_at.map_or(Duration::ZERO, |from| trial.since(from));
            ended_at > trial.plus(CLEARLY.min(length / CLEAR_PART))
        }
        (None, Some((Type::RenewalOff | Type::RenewalOn | Type::ScheduledToEnd, told_at))) => {
            told_at > trial && receipt.renews_at != Some(trial)
        }
        (None, _) => false,
    }
}

/// Why it is over, and whether it was taken back before its time.
fn over(kind: Type, receipt: &Receipt, cancelled_at: Timestamp) -> Stands {
    let why = |why| Stands::Over { why, says_rvs: true };
    let reason = receipt.cancel_reason;
    // Its own trouble: an end of a grace period that lies before the renewal that was due is an earlier one's.
    let grace = receipt.grace_ends_at.filter(|grace| receipt.renews_at.is_none_or(|renews_at| renews_at <= *grace));
    if let Some(grace) = grace
        && cancelled_at <= grace.plus(GRACE_LASTS)
    {
        let by_customer = reason == Some(1) && cancelled_at.plus(CLEARLY) < grace;
        return why(Some(if by_customer { Reason::Unsubscribe } else { Reason::BillingError }));
    }
    // Only the notice of a cancellation says that it was one: a receipt looks the same when it ran out.
    if kind == Type::Cancelled && matches!(reason, Some(1 | 2)) && is_early(receipt, cancelled_at) {
        return Stands::Withdrawn;
    }
    match reason {
        Some(1) => why(Some(Reason::Unsubscribe)),
        Some(2) if may_be_unpaid(receipt, cancelled_at) => why(Some(Reason::BillingError)),
        Some(2) => why(Some(Reason::DeveloperInitiated)),
        // 0: not known yet; 3: Amazon's own. The engine says what it can conclude.
        Some(_) | None => why(None),
    }
}

/// Whether it was cancelled clearly before the end of what was paid for. A trial is not paid for: its end is none that gives
/// money back. ASSUMPTION, as is all of this condition.
fn is_early(receipt: &Receipt, cancelled_at: Timestamp) -> bool {
    if receipt.trial_ends_at.is_some_and(|trial| cancelled_at <= trial) {
        return false;
    }
    let term = receipt.term.and_then(|term| Some((paid_from(receipt)?, term)));
    let around = term.and_then(|(from, term)| term.around(from, cancelled_at));
    let ends_at = match (receipt.renews_at, around) {
        (Some(renews_at), _) => renews_at,
        // Cancelled for want of a payment that was due lately, as far as can be seen.
        (None, Some(_)) if receipt.cancel_reason == Some(2) && may_be_unpaid(receipt, cancelled_at) => return false,
        (None, Some((_, ends_at))) => ends_at,
        (None, None) => return false,
    };
    let length = receipt.term.map_or(CLEARLY * CLEAR_PART, super::term::Term::length);
    let begun = receipt.purchased_at.map_or(length, |from| ends_at.since(from).min(length));
    let is_far = |span: Duration| span > CLEARLY.min(begun / CLEAR_PART);
    // What ends a little after a period ended with it.
    let follows = receipt.renews_at.is_none()
        && around.is_some_and(|(from, _)| Some(from) != paid_from(receipt) && !is_far(cancelled_at.since(from)));
    !follows && is_far(ends_at.since(cancelled_at))
}

/// Whether a renewal was due shortly before: then its payment may have failed.
fn may_be_unpaid(receipt: &Receipt, cancelled_at: Timestamp) -> bool {
    if let Some(renews_at) = receipt.renews_at {
        return renews_at <= cancelled_at;
    }
    let Some((from, term)) = paid_from(receipt).zip(receipt.term) else { return false };
    let Some((begins_at, _)) = term.around(from, cancelled_at) else { return false };
    // The first payment is made with the purchase, or when a trial ends.
    let was_due = begins_at > from || receipt.trial_ends_at.is_some();
    was_due && cancelled_at >= begins_at && cancelled_at.since(begins_at) <= UNPAID_LASTS
}

/// From when on periods are paid for.
fn paid_from(receipt: &Receipt) -> Option<Timestamp> {
    receipt.purchased_at.max(receipt.trial_ends_at)
}

fn tell_standing(word: &Word<'_>, receipt: &Receipt, stands: &Stands, facets: &mut Facets) {
    let said = |says_rvs: bool, standing| if says_rvs { word.now(standing) } else { word.then(standing) };
    match stands {
        Stands::Runs => {
            // Once renewal is off RVS names no end, and says the same until it knows that it is over: no word that it
            // runs beyond the end that is known.
            let is_open = terms(word, receipt, stands).is_none() && receipt.auto_renews == Some(false);
            facets.standing = Some(if is_open { word.once(Standing::Active) } else { word.now(Standing::Active) });
            facets.grace_ends_at = Some(word.now(None));
        }
        Stands::Grace { until, says_rvs } => {
            facets.standing = Some(said(*says_rvs, Standing::Grace));
            facets.grace_ends_at =
                Some(said(*says_rvs, Standing::Grace)).map(|said| Dated { value: *until, stamp: said.stamp });
        }
        // Nothing of it counts but that it was replaced.
        Stands::Replaced => {}
        Stands::Over { why, says_rvs } => {
            facets.standing = Some(said(*says_rvs, Standing::Expired));
            facets.expiration_reason = why.map(|why| word.now(Some(why)));
        }
        Stands::Withdrawn => facets.standing = Some(word.now(Standing::Revoked)),
    }
}

fn tell_renewal(word: &Word<'_>, receipt: &Receipt, stands: &Stands, facets: &mut Facets) {
    let by_type = match word.kind() {
        Type::RenewalOff | Type::ScheduledToEnd => Some(false),
        // It renews when it is bought: a customer who switches that off at once is told of in a notification of its own.
        Type::RenewalOn | Type::Purchased | Type::Changed => Some(true),
        Type::Converted
        | Type::Renewed
        | Type::GraceBegan
        | Type::GraceOver
        | Type::ChangeDeferred
        | Type::Cancelled
        | Type::Expired
        | Type::OnceBought(_)
        | Type::OnceCancelled(_)
        | Type::Unknown => None,
    };
    let dates = receipt.renews_at.is_some_and(|renews_at| renews_at > word.at()).then_some(true);
    let by_rvs = receipt.auto_renews.or(dates);
    let (will_renew, why) = match stands {
        Stands::Runs | Stands::Grace { .. } => {
            let will_renew = match (by_type, by_rvs) {
                (Some(told), Some(found)) if told != found => Some(word.then(told)),
                (told, found) => found.or(told).map(|will_renew| word.now(will_renew)),
            };
            (will_renew, Some(Reason::Unsubscribe))
        }
        Stands::Replaced => (None, None),
        // Without a reason the engine concludes one from what was said of the renewal before.
        Stands::Over { why: None, .. } => (None, None),
        Stands::Over { why, says_rvs } => {
            let said = if *says_rvs { word.now(false) } else { word.then(false) };
            (Some(said), *why)
        }
        Stands::Withdrawn => (Some(word.now(false)), Some(Reason::CustomerSupport)),
    };
    let Some(will_renew) = will_renew else { return };
    let why = if will_renew.value { None } else { why };
    facets.cancel_reason = Some(Dated { value: why, stamp: will_renew.stamp.clone() });
    facets.will_renew = Some(will_renew);
}

/// The period, with the offer that it runs under and what was paid for it.
fn tell_period(word: &Word<'_>, receipt: &Receipt, stands: &Stands, facets: &mut Facets) {
    let Some(terms) = terms(word, receipt, stands) else { return };
    let key = terms.period.transaction_key().into_owned();
    match stands {
        Stands::Runs => {
            facets.offer = Some(word.now(terms.offer.map(offer)));
            facets.period_type = Some(word.now(terms.period_type));
            let waits = (receipt.promotion_waits && !receipt.promotion_runs).then(|| offer(OfferType::IntroOffer));
            facets.next_offer = Some(word.now(waits));
            let price = receipt.term_sku.as_ref().and_then(|sku| word.policy.prices.get(sku)).copied();
            if let Some(price) = price.filter(|_| terms.offer.is_none()) {
                facets.transactions.insert(key, priced(word, price));
            }
        }
        Stands::Withdrawn => {
            facets.transactions.insert(key, refunded(word));
        }
        // What runs in the grace period is not paid, and what is over ran under what is known.
        Stands::Grace { .. } | Stands::Replaced | Stands::Over { .. } => {}
    }
    facets.start_is_bound = terms.start_is_bound.then(|| word.now(true));
    facets.period = Some(word.now(terms.period));
}

struct Terms {
    period: Period,
    /// The start is when it was bought, because nobody says how long a term is.
    start_is_bound: bool,
    period_type: PeriodType,
    offer: Option<OfferType>,
}

fn offer(offer_type: OfferType) -> Offer {
    Offer { offer_type, id: None, code: None }
}

fn terms(word: &Word<'_>, receipt: &Receipt, stands: &Stands) -> Option<Terms> {
    let at = match stands {
        Stands::Runs | Stands::Grace { .. } => word.at(),
        Stands::Replaced | Stands::Over { .. } | Stands::Withdrawn => receipt.cancelled_at.unwrap_or(word.at()),
    };
    let period = |starts_at, ends_at: Timestamp| {
        let transaction_id = Some(format!("{}@{}", word.wanted.receipt, ends_at.as_millis()));
        Period { transaction_id, starts_at, ends_at: Some(ends_at) }
    };
    // A conversion or renewal may be told a little before the trial's end.
    let is_paid = matches!(word.kind(), Type::Converted | Type::Renewed | Type::GraceBegan | Type::GraceOver);
    // While the trial's end is the date of the renewal, nothing was paid.
    let is_trial = |trial: &Timestamp| *trial > at || receipt.renews_at == Some(*trial);
    if let Some(trial) = receipt.trial_ends_at.filter(|trial| is_trial(trial) && !is_paid) {
        let starts_at = receipt.purchased_at.unwrap_or(at).min(at);
        let (period_type, offer) = (PeriodType::Trial, Some(OfferType::FreeTrial));
        return Some(Terms { period: period(starts_at, trial), start_is_bound: false, period_type, offer });
    }
    let (starts_at, ends_at) = match (receipt.renews_at, stands) {
        // In the grace period it is the renewal that was due, or one that nobody paid for yet.
        (Some(renews_at), Stands::Grace { .. }) if renews_at > at => return None,
        (Some(renews_at), _) => (began(receipt, renews_at)?, renews_at),
        (None, Stands::Runs) => first_period(word, receipt)?,
        (None, Stands::Grace { .. } | Stands::Replaced | Stands::Over { .. } | Stands::Withdrawn) => return None,
    };
    let (period_type, offer) = match receipt.promotion_runs {
        // ASSUMPTION: a promotion is a paid introductory price.
        true => (PeriodType::Intro, Some(OfferType::IntroOffer)),
        false => (PeriodType::Normal, None),
    };
    Some(Terms { period: period(starts_at, ends_at), start_is_bound: receipt.term.is_none(), period_type, offer })
}

/// When the period began that ends then: a term before, not before it was bought, nor before the trial's end. Where the
/// term is not known, not before it was bought. ASSUMPTION: Amazon counts months as the calendar does.
fn began(receipt: &Receipt, ends_at: Timestamp) -> Option<Timestamp> {
    let counted = receipt.term.and_then(|term| term.before(ends_at));
    let trial = receipt.trial_ends_at.filter(|trial| *trial < ends_at);
    let starts_at = counted.max(receipt.purchased_at).max(trial);
    starts_at.filter(|starts_at| *starts_at < ends_at).or(receipt.purchased_at.filter(|bought| *bought < ends_at))
}

/// The period of what was bought just now, or claimed, when its renewal was switched off before RVS was asked: it says no
/// date then. ASSUMPTION: terms follow each other by the calendar.
fn first_period(word: &Word<'_>, receipt: &Receipt) -> Option<(Timestamp, Timestamp)> {
    let from = paid_from(receipt).filter(|from| word.is_first() && *from <= word.at())?;
    receipt.term?.around(from, word.at())
}

/// What will come: another plan, a later end.
fn tell_changes(word: &Word<'_>, receipt: &Receipt, facets: &mut Facets) {
    let other = receipt.deferred_sku.as_ref().filter(|sku| receipt.term_sku.as_ref() != Some(sku));
    let pending = other
        .map(|sku| PendingProduct { product_id: sku.clone(), effective_at: receipt.deferred_at.or(receipt.renews_at) });
    // RVS may not know of it yet: that is no taking back.
    if pending.is_some() || word.kind() != Type::ChangeDeferred {
        facets.pending = Some(word.now(pending));
    }
    // ASSUMPTION (lifecycle.md section 14): a deferral without another plan puts the end off.
    let until = receipt.deferred_at.filter(|_| other.is_none());
    let ends_at = facets.period.as_ref().and_then(|period| period.value.ends_at);
    if let Some(ends_at) = ends_at {
        facets.extended_until = Some(word.now(until.filter(|until| *until > ends_at)));
    }
}
