//! `advance`: one input, one step of a purchase's life.

use super::change::Change;
use super::classify::{self, Face, Snapshot, Step, Why, stage};
use super::deadlines;
use super::facts::{self, Fact, MoneyFact, News};
use super::state;
use super::tell::{self, Teller};
use super::{Context, Input, Outcome, Question};
use crate::ids::CustomerId;
use crate::observation::{
    Dated, Facets, Hint, Kind, Observation, OfferType, Origin, Period, RefundStatus, Stamp, Standing, TransactionFacts,
};
use crate::purchase::{FirstPeriod, Held, Purchase, State};
use crate::time::Timestamp;
use std::borrow::Cow;
use std::time::Duration;

/// How long a paid start waits for its price (architecture.md section 2).
pub(super) const START_WAITS: Duration = Duration::from_secs(10 * 60);
/// How long a renewal waits for its invoice: Stripe keeps it a draft for about an hour (store-stripe.md section 6).
pub(super) const RENEWAL_WAITS: Duration = Duration::from_secs(2 * 3600);

/// What the input did to the purchase, before it is told.
struct Taken<'o> {
    why: Why,
    news: News,
    /// What counts of what was said: the money of its transactions, and of the running one, may not be told yet.
    said: Option<Cow<'o, Facets>>,
    /// The transaction of a start that was held back before the input: its money may not be told yet either.
    held: Option<String>,
    former: Option<CustomerId>,
    question: Option<Question>,
    /// The clock says that a held start is told now.
    ticked: bool,
    /// What the catalogue says that the product unlocks is different now.
    unlocks_changed: bool,
    /// Nothing that could be told.
    is_idle: bool,
}

/// What an input makes of a purchase. `now` is our time; the store's times are in the observation.
#[must_use]
pub fn advance(mut purchase: Purchase, input: &Input, context: &Context<'_>, now: Timestamp) -> Outcome {
    let before = Snapshot::of(&purchase, context.catalogue);
    let taken = take(&mut purchase, input, context, now, &before);
    let mut events = Vec::new();
    let question = taken.question.clone();
    if !taken.is_idle {
        purchase.state = state::state_of(&purchase);
        let after = Snapshot::of(&purchase, context.catalogue);
        events = told(&mut purchase, context, before, after, taken, now);
    }
    facts::prune(&mut purchase);
    purchase.seq = purchase.seq.saturating_add(events.len() as u64);
    purchase.next_deadline = deadlines::next(&purchase, context);
    let next_deadline = purchase.next_deadline;
    Outcome { purchase, events, questions: question.into_iter().collect(), next_deadline }
}

fn take<'o>(
    purchase: &mut Purchase,
    input: &'o Input,
    context: &Context<'_>,
    now: Timestamp,
    before: &Snapshot,
) -> Taken<'o> {
    let mut taken = Taken {
        why: Why {
            hint: None,
            occurred_at: now,
            inferred: false,
            backfill: false,
            detected_by: None,
            had_before: context.had_before,
            converted: false,
        },
        news: News::default(),
        said: None,
        held: None,
        former: None,
        question: None,
        ticked: false,
        unlocks_changed: false,
        is_idle: false,
    };
    match input {
        Input::Observed(observation) => observe(purchase, observation, context, now, &mut taken),
        Input::Tick => {
            taken.ticked = true;
            let ticked = deadlines::tick(purchase, context, now);
            taken.question = ticked.question;
            by_date(purchase, ticked.date, &mut taken);
            taken.held = purchase.held.as_ref().map(|held| held.transaction.clone());
        }
        Input::Unanswered => {
            let date = deadlines::unanswered(purchase, now);
            by_date(purchase, date, &mut taken);
        }
        Input::Moved { to } => move_to(purchase, *to, &mut taken),
        Input::CatalogueChanged { unlocked_before } => {
            let mut unlocked_before = unlocked_before.clone();
            unlocked_before.sort_unstable();
            let mut unlocked = before.view.entitlements.clone();
            unlocked.sort_unstable();
            taken.unlocks_changed = before.access().is_some() && unlocked != unlocked_before;
        }
        Input::Converted => {
            taken.why.converted = true;
            let by = "converted".into();
            let stamp = Stamp { as_of: now, origin: Origin::Command, by };
            let facets = Facets { standing: Some(Dated { value: Standing::Expired, stamp }), ..Facets::default() };
            purchase.facets.absorb(&facets);
        }
    }
    taken
}

/// The clock decides what happened at `date`. For a subscription that is a conclusion; a grant's end was agreed.
fn by_date(purchase: &Purchase, date: Option<Timestamp>, taken: &mut Taken<'_>) {
    if let Some(date) = date {
        taken.why.occurred_at = date;
        taken.why.inferred = state::kind_of(&purchase.facets) == Kind::Subscription;
    }
}

fn move_to(purchase: &mut Purchase, to: CustomerId, taken: &mut Taken<'_>) {
    if to != purchase.customer {
        taken.former = Some(std::mem::replace(&mut purchase.customer, to));
    }
}

fn observe<'o>(
    purchase: &mut Purchase,
    observation: &'o Observation,
    context: &Context<'_>,
    now: Timestamp,
    taken: &mut Taken<'o>,
) {
    taken.why.hint = Some(observation.hint);
    taken.why.occurred_at = observation.observed_at;
    taken.why.backfill = observation.backfill;
    taken.why.detected_by = observation.detected_by;
    let said = what_counts(purchase, observation);
    let owner_is_news = match (&purchase.facets.owner, &said.owner) {
        (Some(known), Some(said)) => said.stamp > known.stamp && said.value != known.value,
        (None, Some(_)) => true,
        (_, None) => false,
    };
    taken.news = News::of(&purchase.facets, &said);
    let fresh = unseen_periods(purchase, &said);
    let absorbed = purchase.facets.absorb(&said);
    count_periods(purchase, &said, fresh);
    bound_failures(purchase, &mut taken.news);
    let carrier = observation.hint == Hint::Replaced && Some(observation.observed_at) > purchase.carrier_ended_at;
    if carrier {
        purchase.carrier_ended_at = Some(observation.observed_at);
    }
    if owner_is_news && let Some(owner) = context.owner {
        move_to(purchase, owner, taken);
    }
    let noted = note_renewal(purchase, &said);
    taken.is_idle = !absorbed && !carrier && !noted && taken.former.is_none();
    if taken.is_idle {
        return;
    }
    purchase.heard_at = purchase.heard_at.max(Some(now));
    taken.held = purchase.held.as_ref().map(|held| held.transaction.clone());
    taken.said = Some(said);
}

/// What an observation says of the purchase. A replaced carrier's ending is not the purchase's (lifecycle.md section 5),
/// and what was dropped to keep the row small is not heard again.
fn what_counts<'o>(purchase: &Purchase, observation: &'o Observation) -> Cow<'o, Facets> {
    let mut said = Cow::Borrowed(&observation.facets);
    if observation.hint == Hint::Replaced {
        said = Cow::Owned(Facets {
            kind: said.kind.clone(),
            attributes: said.attributes.clone(),
            transactions: said.transactions.clone(),
            ..Facets::default()
        });
    }
    if let Some(forgotten) = purchase.forgotten_until {
        let gone = |id: &str, facts: &TransactionFacts| facts::age(facts) <= forgotten && !is_known(purchase, id);
        if said.transactions.iter().any(|(id, facts)| gone(id, facts)) {
            said.to_mut().transactions.retain(|id, facts| !gone(id, facts));
        }
        let period_gone = said.period.as_ref().is_some_and(|period| {
            period.stamp.as_of.max(period.value.starts_at) <= forgotten
                && !is_known(purchase, &period.value.transaction_key())
        });
        if period_gone {
            said.to_mut().period = None;
        }
    }
    said
}

fn is_known(purchase: &Purchase, transaction: &str) -> bool {
    purchase.facets.transactions.contains_key(transaction) || purchase.settled.contains_key(transaction)
}

fn periods_of_transactions(said: &Facets) -> impl Iterator<Item = (&str, &Period)> {
    said.transactions.iter().filter_map(|(id, facts)| facts.period.as_ref().map(|period| (id.as_str(), &period.value)))
}

/// How many periods are spoken of for the first time.
fn unseen_periods(purchase: &Purchase, said: &Facets) -> u32 {
    let is_unseen = |id: &str| {
        let whole = purchase.facets.transactions.get(id).is_some_and(|known| known.period.is_some());
        !whole && !purchase.settled.contains_key(id)
    };
    let of_transactions = periods_of_transactions(said).filter(|(id, _)| is_unseen(id)).count();
    let running_is_unseen = said.period.as_ref().is_some_and(|period| {
        let id = period.value.transaction_key();
        let is_counted = said.transactions.get(&*id).is_some_and(|facts| facts.period.is_some());
        !is_counted && is_unseen(&id)
    });
    u32::try_from(of_transactions).unwrap_or(u32::MAX).saturating_add(u32::from(running_is_unseen))
}

fn count_periods(purchase: &mut Purchase, said: &Facets, fresh: u32) {
    purchase.periods = purchase.periods.saturating_add(fresh);
    let running = said.period.as_ref().map(|period| &period.value);
    for period in periods_of_transactions(said).map(|(_, period)| period).chain(running) {
        let known = purchase.first_period.as_ref();
        let earlier = known
            .is_none_or(|known| (period.starts_at, &period.transaction_id) < (known.starts_at, &known.transaction_id));
        if earlier {
            purchase.first_period =
                Some(FirstPeriod { starts_at: period.starts_at, transaction_id: period.transaction_id.clone() });
        }
    }
}

/// Most moments at which renewal was told to be off that a row keeps.
const MAX_OFF: usize = 16;

/// Notes since when renewal is off: the first word of it after the last word that it is on, in whatever order they came.
/// Says whether that changed anything.
fn note_renewal(purchase: &mut Purchase, said: &Facets) -> bool {
    let Some(will_renew) = &said.will_renew else { return false };
    let as_of = will_renew.stamp.as_of;
    if Some(as_of) <= purchase.renewal_on_at || purchase.renewal_off_at.contains(&as_of) {
        return false;
    }
    if will_renew.value {
        purchase.renewal_on_at = Some(as_of);
    } else {
        purchase.renewal_off_at.insert(as_of);
    }
    let on_at = purchase.renewal_on_at;
    purchase.renewal_off_at.retain(|off_at| Some(*off_at) > on_at);
    while purchase.renewal_off_at.len() > MAX_OFF {
        purchase.renewal_off_at.pop_last();
    }
    true
}

fn bound_failures(purchase: &mut Purchase, news: &mut News) {
    news.failures.retain(|fact| {
        let Some(known) = purchase.facets.transactions.get_mut(&fact.transaction) else { return false };
        if known.failures.len() <= facts::MAX_FAILURES {
            return true;
        }
        if let Some(attempt) = &fact.attempt {
            known.failures.remove(attempt);
        }
        false
    });
}

fn told(
    purchase: &mut Purchase,
    context: &Context<'_>,
    mut before: Snapshot,
    after: Snapshot,
    taken: Taken<'_>,
    now: Timestamp,
) -> Vec<super::Draft> {
    let why = taken.why;
    let (pre, mut main) = classify::main_change(&before, &after, &why);
    if main == Some(Change::Recovered) && is_told(purchase, &before, &after) {
        main = Some(Change::RunsAgain);
    }
    let mut steps = Vec::new();
    let released = release(purchase, main, &taken, now, &mut steps);
    if let Some(change) = main
        && let Some(waiting) = waits_for_price(purchase, context, change, &after)
    {
        main = Some(hold(purchase, &before, &after, change, waiting, &why, now));
    }
    if taken.former.is_some() {
        let change = match after.view.kind {
            Kind::Consumable | Kind::NonConsumable | Kind::NonRenewing => Change::TransferredOnce,
            Kind::Subscription | Kind::Grant | Kind::Temporary => Change::Transferred,
        };
        steps.push(step(stage::TRANSFER, before.state(), change, Face::Before, why.occurred_at));
    }
    steps_of_change(purchase, &before, &after, pre, main, &why, &mut steps);
    if taken.unlocks_changed {
        steps.push(step(stage::MAIN, after.state(), Change::UnlocksChanged, Face::After, why.occurred_at));
    }
    for (change, fact) in classify::fact_changes(purchase, &taken.news, &before, main) {
        let occurred_at = tell::occurred_at(&why, Some(&fact));
        let mut step = step(stage::MAIN, after.state(), change, Face::After, occurred_at);
        step.fact = Some(fact);
        steps.push(step);
    }
    if main.is_some() {
        settle_offer(purchase, &mut before, &after);
    }
    let untold = untold_money(purchase, &taken, released.as_ref());
    if steps.is_empty() && untold.is_empty() && before.access() == after.access() {
        return Vec::new();
    }
    Teller { purchase, context, before, after, why, former: taken.former, released }.tell(&steps, untold)
}

/// Whether the period that runs was told as begun already, before the trouble in it was heard of.
fn is_told(purchase: &Purchase, before: &Snapshot, after: &Snapshot) -> bool {
    let running = after.view.period.as_ref();
    before.view.period.as_ref() == running
        && running.is_some_and(|period| purchase.period_told.as_deref() == Some(&*period.transaction_key()))
}

/// A period that was not paid at first came to its end, or was paid after all: the offer before it is what is converted
/// or not.
fn settle_offer(purchase: &mut Purchase, before: &mut Snapshot, after: &Snapshot) {
    if !matches!(after.state(), State::Active | State::Expired | State::Revoked) {
        return;
    }
    if let Some(offer) = purchase.unpaid_offer.take() {
        before.offer = Some(offer);
        before.is_free |= offer == OfferType::FreeTrial;
    }
}

fn step(stage: u8, from: State, change: Change, face: Face, occurred_at: Timestamp) -> Step {
    Step { stage, from, change, fact: None, face, occurred_at, inferred: false }
}

/// The main change with what goes before it, and the facets beside it.
fn steps_of_change(
    purchase: &Purchase,
    before: &Snapshot,
    after: &Snapshot,
    pre: Option<Change>,
    main: Option<Change>,
    why: &Why,
    steps: &mut Vec<Step>,
) {
    let mut from = before.state();
    match pre {
        Some(Change::LapsedUnseen) => {
            let of_grace = before.view.grace_ends_at.filter(|_| from == State::Grace);
            let ended_at = of_grace.or(before.end).unwrap_or(why.occurred_at).min(why.occurred_at);
            let mut closing = step(stage::CLOSING, from, Change::LapsedUnseen, Face::Closed, ended_at);
            closing.inferred = true;
            steps.push(closing);
            from = State::Expired;
        }
        Some(change) => steps.push(step(stage::SWAP, from, change, Face::After, why.occurred_at)),
        None => {}
    }
    if matches!(main, Some(Change::Ended | Change::RetryStarted)) && classify::outlived_grace(before, after) {
        from = State::Active;
    }
    if main == Some(Change::Ended) && classify::ends_early(before, after, why) {
        steps.push(step(stage::BEFORE_END, from, Change::RenewalOff, Face::After, why.occurred_at));
    }
    if let Some(change) = main {
        let mut step = step(stage::MAIN, from, change, Face::After, why.occurred_at);
        step.fact = refund_behind(purchase, change);
        steps.push(step);
    }
    for change in classify::facet_changes(before, after, main, why) {
        steps.push(step(stage::MAIN, after.state(), change, Face::After, why.occurred_at));
    }
}

/// The refund that a withdrawal, or its undoing, is about.
fn refund_behind(purchase: &Purchase, change: Change) -> Option<Fact> {
    let takes_access = match change {
        Change::Revoked | Change::RefundedOnce => true,
        Change::RefundUndone => false,
        _ => return None, // no other change is made by a refund
    };
    let known = state::current_transaction(&purchase.facets)?;
    let behind = state::revoking_refund(&purchase.facets).map(|(id, _)| id);
    let (id, refund) = known.refunds.iter().find(|(id, refund)| {
        let is_undone = refund.value.status == RefundStatus::Reversed;
        if takes_access { behind == Some(id.as_str()) } else { is_undone }
    })?;
    let transaction = purchase.facets.period.as_ref()?.value.transaction_key().into_owned();
    Some(Fact { transaction, refund: Some(id.clone()), attempt: None, at: refund.stamp.as_of })
}

/// What kind of wait a start or renewal has before it, if its price is still to come.
fn waits_for_price(purchase: &Purchase, context: &Context<'_>, change: Change, after: &Snapshot) -> Option<Change> {
    let waiting = match change {
        Change::Bought | Change::BoughtAgain | Change::Reactivated => Change::StartAwaitsPrice,
        Change::Renewed => Change::RenewalAwaitsPrice,
        _ => return None, // the others are told at once; their money follows
    };
    let told = state::current_transaction(&purchase.facets).is_some_and(|known| known.price.is_some());
    (context.price_follows && !after.is_free && !told).then_some(waiting)
}

fn hold(
    purchase: &mut Purchase,
    before: &Snapshot,
    after: &Snapshot,
    change: Change,
    waiting: Change,
    why: &Why,
    now: Timestamp,
) -> Change {
    let (change, wait) = match change {
        Change::Bought => (Change::StartTold, START_WAITS),
        Change::Renewed => (Change::RenewalTold, RENEWAL_WAITS),
        _ => (Change::ReactivationTold, START_WAITS), // the two returns that `waits_for_price` lets through
    };
    let transaction =
        after.view.period.as_ref().map(|period| period.transaction_key().into_owned()).unwrap_or_default();
    let is_unclear = classify::is_unclear(before, after, why);
    purchase.held = Some(Held {
        change,
        same_chain: classify::had_periods(before, after),
        transaction,
        until: now.plus(wait),
        occurred_at: why.occurred_at,
        previous_offer: before.offer.filter(|_| !is_unclear),
        is_trial_conversion: before.state() != State::None && before.is_free && !after.is_free && !is_unclear,
        hint: why.hint,
    });
    waiting
}

/// Tells a start that was held back: its price is here, the wait is over, or something else happens to the purchase. A
/// renewal that turns out to be unpaid is dropped instead.
fn release(
    purchase: &mut Purchase,
    main: Option<Change>,
    taken: &Taken<'_>,
    now: Timestamp,
    steps: &mut Vec<Step>,
) -> Option<Held> {
    let held = purchase.held.as_ref()?;
    let price = purchase.facets.transactions.get(&held.transaction).and_then(|known| known.price.as_ref());
    let timed_out = taken.ticked && held.until <= now;
    if price.is_none() && !timed_out && main.is_none() {
        return None;
    }
    let held = purchase.held.take()?;
    let unpaid = matches!(main, Some(Change::GraceStarted | Change::RetryStarted | Change::Ended | Change::PauseBegan));
    if held.change == Change::RenewalTold && unpaid {
        purchase.unpaid_offer = held.previous_offer;
        return None;
    }
    let face = if main.is_some() { Face::Before } else { Face::After };
    let mut step = step(stage::HELD, State::Active, held.change, face, held.occurred_at);
    step.inferred = held.change == Change::RenewalTold && price_is_missing(purchase, &held.transaction);
    steps.push(step);
    Some(held)
}

fn price_is_missing(purchase: &Purchase, transaction: &str) -> bool {
    purchase.facets.transactions.get(transaction).is_none_or(|known| known.price.is_none())
}

fn untold_money(purchase: &Purchase, taken: &Taken<'_>, released: Option<&Held>) -> Vec<MoneyFact> {
    let mut untold = Vec::new();
    let running = purchase.facets.period.as_ref().map(|period| period.value.transaction_key());
    let mut touched: Vec<&str> = Vec::with_capacity(4);
    if let Some(said) = &taken.said {
        touched.extend(said.transactions.keys().map(String::as_str));
        touched.extend(running.as_deref());
    }
    // A charge that a held start waits for is told with it.
    touched.extend(taken.held.as_deref());
    touched.extend(released.map(|held| held.transaction.as_str()));
    touched.sort_unstable();
    touched.dedup();
    for transaction in touched {
        facts::untold(purchase, transaction, &mut untold);
    }
    untold
}
