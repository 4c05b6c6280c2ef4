//! A one-time purchase as Google's API answers. It names no price: the order does, and is asked for.

use super::{Word, environment, no_answer, refund_fact};
use crate::play::ask::{About, Context, Place, Refund, Wanted};
use crate::play::wire::{self, ProductLineItem, ProductPurchase};
use crate::{Lookup, Note, Reading, Rejection};
use paidup_lifecycle::observation::{Facets, Hint, Kind, Observation, Period, Standing};

/// Most products of one purchase that are read.
const MAX_ITEMS: usize = 50;

/// The answer that a notification, a list or a claim asked for.
pub(super) fn looked_up(
    word: &Word<'_>,
    token: &str,
    context: &Context,
    purchase: &ProductPurchase,
) -> Result<Reading, Rejection> {
    let state = purchase.purchase_state_context.as_ref().and_then(|context| context.purchase_state.as_deref());
    let standing = match state.ok_or_else(|| no_answer("a one-time purchase with its state"))? {
        "PURCHASED" => Standing::Active,
        "PENDING" => Standing::Pending,
        // Never paid, or taken back: the engine tells them apart by what was known.
        "CANCELLED" | "CANCELED" => Standing::Revoked,
        _ => return Ok(Reading::noted(Note::Unknown)),
    };
    if let About::Claimed { product: Some(claimed) } = &context.about
        && !purchase.product_line_item.iter().any(|item| item.product_id.as_ref() == Some(claimed))
    {
        return Ok(Reading::noted(Note::Informative));
    }
    let told = Told { word, token, context, purchase, standing };
    let mut observations = Vec::new();
    for (place, item) in purchase.product_line_item.iter().take(MAX_ITEMS).enumerate() {
        observations.extend(told.observation(item, place == 0));
    }
    if observations.is_empty() {
        return Err(no_answer("a one-time purchase with its product"));
    }
    Ok(Reading { observations, lookups: told.lookups(), ..Reading::default() })
}

struct Told<'a, 'r> {
    word: &'a Word<'r>,
    token: &'a str,
    context: &'a Context,
    purchase: &'a ProductPurchase,
    standing: Standing,
}

impl<'a> Told<'a, '_> {
    fn refund(&self) -> Option<&'a Refund> {
        match &self.context.about {
            About::Refund(refund) => Some(refund),
            _ => None, // no other reason to ask speaks of money
        }
    }

    fn observation(&self, item: &ProductLineItem, is_first: bool) -> Option<Observation> {
        let product = item.product_id.as_deref().filter(|product| wire::is_id(product))?;
        let place = Place { token: self.token, product: (!is_first).then_some(product) };
        let key = self.word.key(environment(self.purchase.test_purchase_context.is_some()), place);
        let (hint, at) = match &self.context.about {
            About::ToldOnce { number: 1, at } => (Hint::OneTimePurchased, *at),
            About::ToldOnce { at, .. } => (Hint::Answered, *at),
            About::Refund(refund) if refund.requested => (Hint::RefundRequested, refund.at),
            About::Refund(refund) => (Hint::Refunded, refund.at),
            About::Claimed { .. } => (Hint::OneTimePurchased, self.word.at),
            // Nobody spoke.
            _ => (Hint::Answered, self.word.at),
        };
        Some(self.word.observation(key, hint, at, self.facets(item, product)))
    }

    fn facets(&self, item: &ProductLineItem, product: &str) -> Facets {
        let mut facets = Facets {
            kind: Some(self.word.dated(self.kind(item, product))),
            standing: Some(self.word.dated(self.standing)),
            product: Some(self.word.dated(product.to_owned())),
            ..Facets::default()
        };
        let owner = self.purchase.obfuscated_external_account_id.as_deref().filter(|owner| wire::is_short(owner));
        facets.owner = owner.map(|owner| self.word.dated(Some(owner.to_owned())));
        let country = self.purchase.region_code.as_deref().filter(|code| code.len() == 2);
        facets.country = country.map(|country| self.word.dated(Some(country.to_ascii_uppercase())));
        let transaction_id = self.order().map(str::to_owned);
        if let Some(starts_at) = self.purchase.purchase_completion_time {
            facets.period = Some(self.word.dated(Period { transaction_id, starts_at, ends_at: None }));
        }
        if let Some(refund) = self.refund().filter(|refund| !refund.partial) {
            let facts = facets.transactions.entry(refund.order.clone()).or_default();
            let is_this = self.order() == Some(refund.order.as_str());
            let (id, fact) = refund_fact(refund, is_this && !refund.requested);
            facts.refunds.insert(id, fact);
        }
        facets
    }

    /// ASSUMPTION: what the operator did not name and the app has not used up is kept for ever.
    fn kind(&self, item: &ProductLineItem, product: &str) -> Kind {
        let used = item.product_offer_details.as_ref().and_then(|details| details.consumption_state.as_deref());
        let is_used = used == Some("CONSUMPTION_STATE_CONSUMED");
        let is_named = self.word.reader.policy.consumables.contains(product);
        if is_named || is_used { Kind::Consumable } else { Kind::NonConsumable }
    }

    fn order(&self) -> Option<&'a str> {
        self.purchase.order_id.as_deref().filter(|order| wire::is_id(order))
    }

    fn lookups(&self) -> Vec<Lookup> {
        let mut lookups = Vec::new();
        let environment = environment(self.purchase.test_purchase_context.is_some());
        let key = self.word.key(environment, Place { token: self.token, product: None });
        let product = self.purchase.product_line_item.first().and_then(|item| item.product_id.clone());
        let product = product.unwrap_or_default();
        let is_open = self.purchase.acknowledgement_state.as_deref() == Some("ACKNOWLEDGEMENT_STATE_PENDING");
        if is_open && self.standing == Standing::Active && self.word.reader.policy.acknowledge {
            let about = About::Acknowledge { product: product.clone(), renews: false };
            let why = "Google takes back what nobody acknowledges within three days";
            lookups.push(Wanted::Acknowledge(self.token).lookup(&Context::of(about), why));
        }
        let Some(order) = self.order() else { return lookups };
        match &self.context.about {
            About::Refund(refund) if refund.partial => {
                let about = About::Refund(Refund { key: Some(key), ..refund.clone() });
                lookups.push(Wanted::Order(order).lookup(&Context::of(about), "how much went back"));
            }
            About::ToldOnce { number: 1, .. } | About::Claimed { .. } if self.standing == Standing::Active => {
                let about = About::Price { key, product, renews: false };
                lookups.push(Wanted::Order(order).lookup(&Context::of(about), "what was paid"));
            }
            _ => {} // nothing was paid or went back just now
        }
        lookups
    }
}
