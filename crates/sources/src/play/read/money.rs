//! Money: what an order cost, what of it went back, and lists of what was voided.

use super::{WHOLE, Word, refund_fact};
use crate::play::ask::{About, Context, Refund, Wanted, next_page};
use crate::play::wire::{self, Amount, Order, VoidedPurchases};
use crate::{Lookup, Note, Reading, Rejection};
use paidup_lifecycle::money::Money;
use paidup_lifecycle::observation::{
    Dated, Facets, Hint, Kind, PurchaseKey, RefundFact, RefundStatus, TransactionFacts,
};

/// Most entries of a page that are read; Google sends at most 1,000.
const MAX_ENTRIES: usize = 1_000;
/// Most partial refunds of one order.
const MAX_PARTS: usize = 64;

/// What asks for the purchase whose money went back.
pub(super) fn voided(token: &str, refund: Refund, product_type: i64) -> Lookup {
    let wanted = if product_type == 2 { Wanted::Product(token) } else { Wanted::Subscription(token) };
    wanted.lookup(&Context::of(About::Refund(refund)), "how the purchase stands whose money went back")
}

/// A page of what was voided: each entry is read like its notification.
pub(super) fn page(since: i64, page: VoidedPurchases) -> Reading {
    let mut reading = Reading::noted(Note::Informative);
    for entry in page.voided_purchases.into_iter().take(MAX_ENTRIES) {
        let Some(at) = entry.voided_time_millis else { continue };
        if !wire::is_id(&entry.purchase_token) || !wire::is_id(&entry.order_id) {
            continue;
        }
        let partial = entry.voided_quantity.is_some_and(|quantity| quantity > 0);
        let refund = Refund { order: entry.order_id, at, requested: false, partial, of_either: true, key: None };
        // A quantity is only of one-time purchases.
        reading.lookups.push(voided(&entry.purchase_token, refund, if partial { 2 } else { 0 }));
    }
    let next = page.token_pagination.and_then(|pagination| pagination.next_page_token);
    reading.lookups.extend(next.and_then(|next| next_page(since, &next)));
    reading
}

/// An order, for its price, its refunds, or the purchase that it belongs to.
pub(super) fn order(word: &Word<'_>, id: &str, context: &Context, order: &Order) -> Result<Reading, Rejection> {
    if order.order_id.as_deref() != Some(id) {
        return Err(super::no_answer("the order that was asked for"));
    }
    Ok(match &context.about {
        About::Price { key, product, renews } => price(word, id, key, product, *renews, order),
        About::Refund(Refund { key: Some(key), at, .. }) => parts(word, id, key, *at, order),
        About::Refund(refund) => owner_of(refund, order),
        _ => Reading::noted(Note::Informative), // nothing else asks for orders
    })
}

fn price(word: &Word<'_>, id: &str, key: &PurchaseKey, product: &str, renews: bool, order: &Order) -> Reading {
    let of_product = order.line_items.iter().find(|item| item.product_id.as_deref() == Some(product));
    let alone = || order.total.as_ref().filter(|_| order.line_items.len() <= 1);
    let paid = of_product.and_then(|item| item.total.as_ref()).or_else(alone).and_then(Amount::money);
    let Some(paid) = paid else { return Reading::noted(Note::Informative) };
    let facts = TransactionFacts { price: Some(word.dated(Some(paid))), ..TransactionFacts::default() };
    observed(word, id, key, renews.then_some(Kind::Subscription), Hint::Answered, facts)
}

/// The parts that went back of an order. The notification says how many pieces, only the order says how much.
fn parts(
    word: &Word<'_>,
    id: &str,
    key: &PurchaseKey,
    at: paidup_lifecycle::time::Timestamp,
    order: &Order,
) -> Reading {
    let events = order.order_history.iter().flat_map(|history| &history.partial_refund_events);
    let processed = events.filter(|event| event.state.as_deref() != Some("PENDING"));
    let mut facts = TransactionFacts::default();
    for (place, event) in processed.take(MAX_PARTS).enumerate() {
        let amount = event.refund_details.as_ref().and_then(|details| details.total.as_ref()).and_then(Amount::money);
        let Some(amount) = amount else { continue };
        let refund = Refund { order: id.to_owned(), at, requested: false, partial: true, of_either: false, key: None };
        let (_, Dated { value, stamp }) = refund_fact(&refund, false);
        let value = RefundFact { amount: Some(positive(amount)), status: RefundStatus::Refunded, ..value };
        facts.refunds.insert(format!("{WHOLE}.{place}"), Dated { value, stamp });
    }
    if facts.refunds.is_empty() {
        return Reading::noted(Note::Informative);
    }
    observed(word, id, key, None, Hint::Refunded, facts)
}

fn positive(amount: Money) -> Money {
    Money { amount_minor: amount.amount_minor.saturating_abs(), ..amount }
}

fn observed(
    word: &Word<'_>,
    order: &str,
    key: &PurchaseKey,
    kind: Option<Kind>,
    hint: Hint,
    facts: TransactionFacts,
) -> Reading {
    let mut facets = Facets { kind: kind.map(|kind| word.dated(kind)), ..Facets::default() };
    facets.transactions.insert(order.to_owned(), facts);
    let mut observation = word.observation(key.clone(), hint, word.at, facets);
    observation.about_transaction = Some(order.to_owned());
    Reading::observed(observation)
}

/// The purchase that an order belongs to, which the notification does not name.
fn owner_of(refund: &Refund, order: &Order) -> Reading {
    let Some(token) = order.purchase_token.as_deref().filter(|token| wire::is_id(token)) else {
        return Reading::noted(Note::Informative);
    };
    let renews = order.line_items.iter().any(|item| item.subscription_details.is_some());
    let product_type = if renews { 1 } else { 2 };
    let note = Some(Note::Informative);
    Reading { lookups: vec![voided(token, refund.clone(), product_type)], note, ..Reading::default() }
}
