//! Checkout sessions: one-time purchases, and whose a subscription is.

use super::{About, Rank, Word, link_of, lookup};
use crate::stripe::ask::{self, Wanted};
use crate::stripe::wire::{self, Object};
use crate::{Note, Reading};
use paidup_lifecycle::observation::{Dated, Facets, Hint, Kind, Period, Standing, TransactionFacts};
use paidup_lifecycle::time::Timestamp;

/// Metadata of a session that may name what was sold; sessions in events do not list it.
const PRODUCT_KEYS: [&str; 2] = ["price_id", "product_id"];

/// `checkout.session.completed`, `.async_payment_succeeded`, `.async_payment_failed`.
pub(super) fn session(word: &Word<'_>, kind: &str, session: Object<'_>) -> Reading {
    match session.text("mode") {
        Some("payment") => one_time(word, kind, session),
        Some("subscription") => subscription(word, session),
        _ => Reading::noted(Note::Informative),
    }
}

/// The customer's id in the app: set for the session, or in its metadata.
fn customer<'a>(word: &Word<'_>, session: Object<'a>) -> Option<&'a str> {
    let reference = session.text("client_reference_id").filter(|id| !id.is_empty() && id.len() <= 255);
    word.reader.policy.customer(session).or(reference)
}

/// A session that began a subscription says whose it is, nothing else.
fn subscription(word: &Word<'_>, session: Object<'_>) -> Reading {
    let mut reading = Reading::noted(Note::Informative);
    let Some(user) = customer(word, session) else { return reading };
    if let Some(stripes) = session.id_of("customer") {
        reading.links.push(link_of(user, stripes));
    }
    if let Some(id) = session.id_of("subscription") {
        let facets = Facets { owner: Some(word.by_reference(user)), ..Facets::default() };
        reading.observations.push(word.observation(id, Hint::Answered, facets));
    }
    reading
}

/// Bought once. It is known by its payment, which its refunds name; one that cost nothing by its session.
fn one_time(word: &Word<'_>, kind: &str, session: Object<'_>) -> Reading {
    let Some(session_id) = session.id() else { return Reading::noted(Note::Unknown) };
    let payment = session.id_of("payment_intent");
    let purchase = payment.unwrap_or(session_id);
    let standing = match (kind, session.text("payment_status")) {
        ("checkout.session.async_payment_failed", _) => Standing::Expired,
        ("checkout.session.async_payment_succeeded", _) | (_, Some("paid" | "no_payment_required")) => Standing::Active,
        (_, _) => Standing::Pending,
    };
    let rank = if kind == "checkout.session.completed" { Rank::Made } else { Rank::Changed };
    let mut facets = Facets {
        kind: Some(word.dated(Rank::Made, Kind::NonConsumable)),
        standing: Some(word.dated(rank, standing)),
        owner: owner(word, session),
        product: product(word, session),
        ..Facets::default()
    };
    if standing == Standing::Active {
        let starts_at = session.time("created").unwrap_or(word.at);
        let period = Period { transaction_id: Some(purchase.to_owned()), starts_at, ends_at: None };
        facets.period = Some(word.dated(rank, period));
        let price = session.money("amount_total").map(|price| word.dated(rank, Some(price)));
        let facts = TransactionFacts { price, ..TransactionFacts::default() };
        facets.transactions.insert(purchase.to_owned(), facts);
    }
    let address = session.object("customer_details").and_then(|details| details.object("address"));
    let country = address.and_then(|address| address.text("country")).filter(|code| code.len() == 2);
    facets.country = country.map(|country| word.dated(rank, Some(country.to_owned())));
    let product_is_known = facets.product.is_some();
    let mut reading = Reading::observed(word.observation(purchase, Hint::OneTimePurchased, facets));
    if !product_is_known {
        let context = word.context(About::OneTime { purchase: purchase.to_owned() });
        reading.lookups.push(lookup(Wanted::LinesOf(session_id), context, "what was bought"));
    }
    if let (Some(user), Some(stripes)) = (customer(word, session), session.id_of("customer")) {
        reading.links.push(link_of(user, stripes));
    }
    reading.clues = payment.map(|payment| ask::clues_of_session(payment, session)).unwrap_or_default();
    reading
}

fn owner(word: &Word<'_>, session: Object<'_>) -> Option<Dated<Option<String>>> {
    let by_reference = customer(word, session).map(|user| word.by_reference(user));
    by_reference.or_else(|| session.id_of("customer").map(|stripes| word.by_customer(stripes)))
}

/// ASSUMPTION: what was sold, from the session's metadata, as sessions in events do not list it. What the session's lines
/// say when they are looked up wins.
fn product(word: &Word<'_>, session: Object<'_>) -> Option<Dated<String>> {
    let named = PRODUCT_KEYS.iter().find_map(|key| session.metadata(key));
    let product = named.or_else(|| session.list("line_items").find_map(wire::price_of))?;
    let mut dated = word.dated(Rank::Made, product.to_owned());
    dated.stamp.as_of = session.time("created").unwrap_or(Timestamp::MIN).min(word.at);
    Some(dated)
}

/// The lines of a session, looked up: the first is the product.
pub(super) fn lines(word: &Word<'_>, purchase: &str, lines: Object<'_>) -> Reading {
    let Some(price) = lines.list("data").find_map(wire::price_of) else { return Reading::noted(Note::Informative) };
    let facets = Facets { product: Some(word.dated(Rank::Changed, price.to_owned())), ..Facets::default() };
    Reading::observed(word.observation(purchase, Hint::Answered, facets))
}
