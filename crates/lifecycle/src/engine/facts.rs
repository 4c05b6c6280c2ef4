//! One-off facts: refunds, failed attempts and money. Each has a key, so that each is told once.

use crate::event::MoneyKind;
use crate::money::Money;
use crate::observation::{Facets, RefundStatus, Rounds, TransactionFacts};
use crate::purchase::{Purchase, Settled};
use crate::time::Timestamp;
use std::borrow::Cow;

/// What a step is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fact {
    /// Key in `Facets::transactions`.
    pub transaction: String,
    /// Key in its refunds.
    pub refund: Option<String>,
    /// Key in its failures.
    pub attempt: Option<String>,
    /// When, in the store's time.
    pub at: Timestamp,
}

/// A refund that the input speaks of, with what was known of it.
#[derive(Debug)]
pub(super) struct RefundNews {
    pub fact: Fact,
    pub before: Option<RefundStatus>,
}

/// One-off facts that the input brings.
#[derive(Debug, Default)]
pub(super) struct News {
    pub refunds: Vec<RefundNews>,
    pub failures: Vec<Fact>,
}

impl News {
    /// What `said` brings that `known` does not have. To be called before it is absorbed.
    pub(super) fn of(known: &Facets, said: &Facets) -> News {
        let mut news = News::default();
        for (id, transaction) in &said.transactions {
            let mine = known.transactions.get(id);
            for (refund_id, refund) in &transaction.refunds {
                let before = mine.and_then(|mine| mine.refunds.get(refund_id)).map(|refund| refund.value.status);
                let fact = Fact {
                    transaction: id.clone(),
                    refund: Some(refund_id.clone()),
                    attempt: None,
                    at: refund.stamp.as_of,
                };
                news.refunds.push(RefundNews { fact, before });
            }
            for (attempt, at) in &transaction.failures {
                if mine.is_none_or(|mine| !mine.failures.contains_key(attempt)) {
                    let fact = Fact { transaction: id.clone(), refund: None, attempt: Some(attempt.clone()), at: *at };
                    news.failures.push(fact);
                }
            }
        }
        news
    }
}

/// Money that moved and was not told.
#[derive(Debug, Clone)]
pub(super) struct MoneyFact {
    /// Its key in `Purchase::told`.
    pub key: String,
    /// Key in `Facets::transactions`.
    pub transaction: String,
    pub kind: MoneyKind,
    /// Key in its refunds.
    pub refund: Option<String>,
    /// The refund as the outside sees it: its key, and from the second time on which time it is.
    pub round: Option<String>,
    /// Negative for a refund.
    pub money: Money,
    pub at: Timestamp,
    pub product_id: Option<String>,
}

fn key(transaction: &str, kind: MoneyKind, refund: Option<&str>) -> String {
    // Joined by hand: formatting costs several times more, and each notification asks for a few keys.
    match refund {
        Some(refund) => [transaction, "/", kind.as_str(), "/", refund].concat(),
        None => [transaction, "/", kind.as_str()].concat(),
    }
}

/// Money facts of a transaction that are known and were not told. An amount that no store told is no fact yet; a
/// reversed refund is two facts, whichever of them was heard of first.
pub(super) fn untold(purchase: &Purchase, transaction: &str, facts: &mut Vec<MoneyFact>) {
    let Some(known) = purchase.facets.transactions.get(transaction) else { return };
    let shared = purchase.facets.family_shared.as_ref().is_some_and(|shared| shared.value);
    let product_id = || product_of(purchase, transaction, Some(known));
    if let Some(price) = &known.price
        && let Some(money) = price.value
        && money.amount_minor != 0
        && !shared
    {
        let key = key(transaction, MoneyKind::Charge, None);
        if !purchase.told.contains_key(&key) {
            facts.push(MoneyFact {
                key,
                transaction: transaction.to_owned(),
                kind: MoneyKind::Charge,
                refund: None,
                round: None,
                money,
                at: price.stamp.as_of,
                product_id: product_id(),
            });
        }
    }
    for (refund_id, refund) in &known.refunds {
        if shared || refund.value.family {
            continue;
        }
        for (round, kind) in movements(known.rounds(refund_id)) {
            let round = round_name(refund_id, round);
            let key = key(transaction, kind, Some(&round));
            if purchase.told.contains_key(&key) {
                continue;
            }
            if let Some(money) = amount(purchase, transaction, known, refund_id, &round, kind) {
                facts.push(MoneyFact {
                    key,
                    transaction: transaction.to_owned(),
                    kind,
                    refund: Some(refund_id.clone()),
                    round: Some(round.into_owned()),
                    money,
                    at: refund.stamp.as_of,
                    product_id: product_id(),
                });
            }
        }
    }
}

/// Each movement of money with a refund, in their order, with the round that it belongs to.
fn movements(rounds: Rounds) -> impl Iterator<Item = (usize, MoneyKind)> {
    (1..=rounds.refunds).flat_map(move |round| {
        let reversal = (round <= rounds.reversals).then_some((round, MoneyKind::Reversal));
        [Some((round, MoneyKind::Refund)), reversal].into_iter().flatten()
    })
}

/// A refund that was reversed and given again is another fact: `0`, then `0#2`, `0#3`.
fn round_name(refund_id: &str, round: usize) -> Cow<'_, str> {
    if round <= 1 { Cow::Borrowed(refund_id) } else { Cow::Owned(format!("{refund_id}#{round}")) }
}

/// The name of the round that a refund is in.
pub(super) fn current_round<'a>(known: &TransactionFacts, refund_id: &'a str) -> Cow<'a, str> {
    round_name(refund_id, known.rounds(refund_id).refunds)
}

/// What went back with a refund (negative) or came again with its reversal: what was told of the refund, else its
/// amount, else the price.
pub(super) fn amount(
    purchase: &Purchase,
    transaction: &str,
    known: &TransactionFacts,
    refund_id: &str,
    round: &str,
    kind: MoneyKind,
) -> Option<Money> {
    let told = purchase.told.get(&key(transaction, MoneyKind::Refund, Some(round))).copied();
    let of_refund = || known.refunds.get(refund_id).and_then(|refund| refund.value.amount);
    let back = told.or_else(of_refund).or_else(|| price_of(purchase, transaction, Some(known)))?;
    let minor = back.amount_minor.saturating_abs();
    let money = Money { amount_minor: minor, ..back };
    match kind {
        MoneyKind::Charge | MoneyKind::Reversal => (minor != 0).then_some(money),
        MoneyKind::Refund => (minor != 0).then(|| money.negated()),
    }
}

/// The price of a transaction of which `known` is known: as told by the store, else as we told it before the transaction
/// was settled.
pub(super) fn price_of(purchase: &Purchase, transaction: &str, known: Option<&TransactionFacts>) -> Option<Money> {
    known
        .and_then(super::state::price_of)
        .or_else(|| purchase.told.get(&key(transaction, MoneyKind::Charge, None)).copied())
}

/// The store's id of a transaction: its own, else its key where that is one.
pub(super) fn shown_id(purchase: &Purchase, transaction: &str) -> Option<String> {
    let known = purchase.facets.transactions.get(transaction).and_then(|known| known.store_id.as_ref());
    let settled = || purchase.settled.get(transaction).and_then(|settled| settled.store_id.clone());
    let by_key = || (!transaction.starts_with('@')).then(|| transaction.to_owned());
    known.map(|store_id| store_id.value.clone()).or_else(settled).or_else(by_key)
}

/// The product that a transaction paid for, where it is known to be another one than the purchase's.
pub(super) fn product_of(purchase: &Purchase, transaction: &str, known: Option<&TransactionFacts>) -> Option<String> {
    let known = known.and_then(|known| known.product_id.as_ref());
    let settled = || purchase.settled.get(transaction).and_then(|settled| settled.product_id.clone());
    known.map(|product| product.value.clone()).or_else(settled)
}

/// How many transactions are kept with all that was said of them, besides the running one and those with refunds or
/// failed attempts. An older one is settled: its id, its money told and another product are kept, the rest is dropped, so
/// that a purchase's row stays small.
const KEPT_WHOLE: usize = 2;
/// How many transactions a purchase keeps. What is older is dropped: its period stays counted, what was told of it
/// stays told, and a later word on it is heard only if it is newer than what was dropped.
pub(super) const MAX_TRANSACTIONS: usize = 64;
/// How many failed attempts are told of one transaction; stores try a dozen times.
pub(super) const MAX_FAILURES: usize = 64;

/// The newest moment that a transaction speaks of.
pub(super) fn age(facts: &TransactionFacts) -> Timestamp {
    let mut newest = Timestamp::MIN;
    let mut take = |at: Timestamp| newest = newest.max(at);
    if let Some(period) = &facts.period {
        take(period.value.starts_at);
        take(period.stamp.as_of);
    }
    if let Some(price) = &facts.price {
        take(price.stamp.as_of);
    }
    for refund in facts.refunds.values() {
        take(refund.stamp.as_of);
    }
    for at in facts.failures.values() {
        take(*at);
    }
    newest
}

/// Settles all but the newest transactions, and drops the oldest beyond the bound.
pub(super) fn prune(purchase: &mut Purchase) {
    if purchase.facets.transactions.len() > KEPT_WHOLE + 1 {
        settle(purchase);
    }
    while purchase.settled.len() > MAX_TRANSACTIONS {
        let oldest = purchase.settled.iter().map(|(id, settled)| (settled.at, id.clone())).min();
        let Some((at, id)) = oldest else { break };
        purchase.settled.remove(&id);
        forget(purchase, &id, at);
    }
    drop_oldest(purchase);
}

fn settle(purchase: &mut Purchase) {
    let current = purchase.facets.period.as_ref().map(|period| period.value.transaction_key());
    let settles = |id: &str, facts: &TransactionFacts| {
        let is_whole = facts.period.is_some() && facts.price.is_some();
        is_whole && facts.refunds.is_empty() && facts.failures.is_empty() && current.as_deref() != Some(id)
    };
    let mut old: Vec<(Timestamp, &String)> = purchase
        .facets
        .transactions
        .iter()
        .filter(|(id, facts)| settles(id, facts))
        .map(|(id, facts)| (age(facts), id))
        .collect();
    old.sort_unstable();
    old.truncate(old.len().saturating_sub(KEPT_WHOLE));
    let old: Vec<(Timestamp, String)> = old.into_iter().map(|(at, id)| (at, id.clone())).collect();
    for (at, id) in old {
        let Some(facts) = purchase.facets.transactions.remove(&id) else { continue };
        let in_force = purchase.facets.product.as_ref().map(|product| &product.value);
        let product_id = facts.product_id.map(|product| product.value).filter(|product| Some(product) != in_force);
        let at = purchase.settled.get(&id).map_or(at, |known| known.at.max(at));
        let store_id = facts.store_id.map(|store_id| store_id.value);
        purchase.settled.insert(id, Settled { at, store_id, product_id });
    }
}

fn forget(purchase: &mut Purchase, id: &str, at: Timestamp) {
    let prefix = format!("{id}/");
    purchase.told.retain(|key, _| !key.starts_with(&prefix));
    purchase.forgotten_until = purchase.forgotten_until.max(Some(at));
}

fn drop_oldest(purchase: &mut Purchase) {
    if purchase.facets.transactions.len() <= MAX_TRANSACTIONS {
        return;
    }
    let current = purchase.facets.period.as_ref().map(|period| period.value.transaction_key().into_owned());
    while purchase.facets.transactions.len() > MAX_TRANSACTIONS {
        let oldest = purchase
            .facets
            .transactions
            .iter()
            .filter(|(id, _)| Some(*id) != current.as_ref())
            .map(|(id, facts)| (age(facts), id.clone()))
            .min();
        let Some((at, id)) = oldest else { return };
        purchase.facets.transactions.remove(&id);
        forget(purchase, &id, at);
    }
}
