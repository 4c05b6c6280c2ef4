//! From Google's words to ours: what a notification asks for, and what an answer says of a purchase.
//!
//! A notification carries no state: it becomes a lookup, and its number and time go with it. `subscription.rs` reads the
//! answer that says all about a subscription, `product.rs` one-time purchases, `money.rs` refunds, orders and lists of
//! what was voided. This file says which is read when.
//!
//! **Time.** An answer is the newest state whatever notification asked for it, so its facets are dated with the moment of
//! asking; the notification gives the hint why Google spoke, and the time of the event. Notifications in any order, and
//! several that one call answers, end in the same state. What is a fact by its number alone (a revocation) or stands in a
//! list (a refund) is a fact of its order, dated with its own time, and the same however often it is told.
//!
//! **Chains.** A token that replaced another is the same purchase (`Observation::replaces`). Where nobody knew the other
//! one, it is asked for first, and so on back to one that is known or has none before it; then the answers are asked for
//! again on the way forward.
//!
//! **Contradictions.** Google's answer is believed, not the number: a notice of grace whose answer says "active" changes
//! nothing. An unknown state changes nothing until this version knows it.

mod money;
mod product;
mod subscription;

use super::ask::{About, Context, NOTHING, Place, Refund, Wanted, key};
use super::wire::{self, DeveloperNotification, Envelope};
use crate::{Lookup, Note, Reading, Rejection, RejectionKind, parse_answer_id, parse_looked_up_id};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::observation::{
    Dated, Environment, Facets, Hint, Observation, Origin, PurchaseKey, RefundFact, RefundStatus, Stamp, Store,
};
use paidup_lifecycle::time::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What reading depends on besides the bytes: the journal keeps it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Policy {
    /// Paid purchases that are not acknowledged yet are acknowledged.
    pub(super) acknowledge: bool,
    /// One-time products that are used up.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) consumables: BTreeSet<String>,
    /// Offers that begin with a free trial, for answers without a phase.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) trial_offers: BTreeSet<String>,
}

/// Reads for one source.
#[derive(Clone, Copy)]
pub(super) struct Reader<'r> {
    pub(super) source: SourceId,
    pub(super) policy: &'r Policy,
}

/// An answer on its way into our words: when it was asked for, and under which name.
struct Word<'r> {
    reader: Reader<'r>,
    id: Arc<str>,
    at: Timestamp,
}

impl Word<'_> {
    fn stamp(&self) -> Stamp {
        Stamp { as_of: self.at, origin: Origin::Answer, by: self.id.clone() }
    }

    fn dated<T>(&self, value: T) -> Dated<T> {
        Dated { value, stamp: self.stamp() }
    }

    fn observation(&self, key: PurchaseKey, hint: Hint, at: Timestamp, facets: Facets) -> Observation {
        Observation {
            key,
            store: Store::PlayStore,
            id: self.id.clone(),
            observed_at: at,
            origin: Origin::Answer,
            hint,
            about_transaction: None,
            facets,
            backfill: false,
            replaces: None,
            detected_by: None,
        }
    }

    fn key(&self, environment: Environment, place: Place<'_>) -> PurchaseKey {
        key(self.reader.source, environment, place)
    }
}

/// The one refund that Google tells of an order as a whole.
const WHOLE: &str = "0";

/// A fact of an order, dated with its own time: told again, it is the same.
fn refund_fact(refund: &Refund, revokes: bool) -> (String, Dated<RefundFact>) {
    let status = if refund.requested { RefundStatus::Requested } else { RefundStatus::Refunded };
    // The number says nothing of an amount: without one it is all that was paid.
    let value = RefundFact { status, amount: None, revokes: Some(revokes), family: false };
    let stamp = Stamp { as_of: refund.at, origin: Origin::Notification, by: refund.order.as_str().into() };
    (WHOLE.to_owned(), Dated { value, stamp })
}

/// The notification in an envelope. `None`: what it carries is no notification of Google Play.
pub(super) fn notification(envelope: &Envelope) -> Option<DeveloperNotification> {
    let data = STANDARD.decode(envelope.message.data.as_deref()?.as_bytes()).ok()?;
    let read: DeveloperNotification = serde_json::from_slice(&data).ok()?;
    read.package_name.is_some().then_some(read)
}

/// Google's name of the notification, for the operator.
pub(super) fn label(notification: Option<&DeveloperNotification>) -> String {
    let Some(told) = notification else { return "unreadable".to_owned() };
    if let Some(told) = &told.subscription_notification {
        let number = told.notification_type;
        return wire::subscription_type(number).map_or_else(|| format!("SUBSCRIPTION_{number}"), str::to_owned);
    }
    if let Some(told) = &told.one_time_product_notification {
        return match told.notification_type {
            1 => "ONE_TIME_PRODUCT_PURCHASED".to_owned(),
            2 => "ONE_TIME_PRODUCT_CANCELED".to_owned(),
            number => format!("ONE_TIME_PRODUCT_{number}"),
        };
    }
    let name = match told {
        told if told.voided_purchase_notification.is_some() => "VOIDED_PURCHASE",
        told if told.pending_refund_review_notification.is_some() => "PENDING_REFUND_REVIEW",
        told if told.test_notification.is_some() => "TEST",
        _ => "unknown",
    };
    name.to_owned()
}

impl<'r> Reader<'r> {
    /// What was kept: an envelope, the answer to a question, or something looked up.
    pub(super) fn kept(&self, external_id: &str, body: &[u8]) -> Result<Reading, Rejection> {
        if let Some((asked_at, store_purchase_id)) = parse_answer_id(external_id) {
            let word = Word { reader: *self, id: external_id.into(), at: asked_at };
            return subscription::answer(&word, Place::of(store_purchase_id), &parse(body)?);
        }
        if let Some((asked_at, name, context)) = parse_looked_up_id(external_id) {
            let context: Context = serde_json::from_str(context).map_err(|_| no_answer("what it was looked up for"))?;
            // Of what was asked in the same moment the answer to the latest notification counts; what one call answers says
            // the same anyway.
            let told_at = context.about.told_at().unwrap_or(asked_at).as_millis();
            let id = format!("lookup/{}/{told_at:015}/{name}", asked_at.as_millis());
            let word = Word { reader: *self, id: id.into(), at: asked_at };
            return self.looked_up(&word, name, context, body);
        }
        let envelope: Envelope = parse(body)?;
        Ok(self.told(notification(&envelope).as_ref()))
    }

    /// What a notification asks for.
    pub(super) fn told(&self, notification: Option<&DeveloperNotification>) -> Reading {
        let unknown = || Reading::noted(Note::Unknown);
        let Some(told) = notification else { return unknown() };
        let Some(at) = told.event_time_millis else { return unknown() };
        if let Some(told) = &told.subscription_notification {
            let number = told.notification_type;
            let why = "a notification says only that something happened";
            let lookup =
                || Wanted::Subscription(&told.purchase_token).lookup(&Context::of(About::Told { number, at }), why);
            return asks(&told.purchase_token, lookup, wire::subscription_type(number).is_some());
        }
        if let Some(told) = &told.one_time_product_notification {
            let number = told.notification_type;
            let why = "a notification says only that something happened";
            let lookup =
                || Wanted::Product(&told.purchase_token).lookup(&Context::of(About::ToldOnce { number, at }), why);
            return asks(&told.purchase_token, lookup, matches!(number, 1 | 2));
        }
        if let Some(told) = &told.voided_purchase_notification {
            if !wire::is_id(&told.order_id) {
                return unknown();
            }
            let refund = Refund {
                order: told.order_id.clone(),
                at,
                requested: false,
                partial: told.refund_type == 2,
                of_either: !matches!(told.product_type, 1 | 2),
                key: None,
            };
            return asks(&told.purchase_token, || money::voided(&told.purchase_token, refund, told.product_type), true);
        }
        if let Some(told) = &told.pending_refund_review_notification {
            let order = told.order_id.clone();
            let refund = Refund { order, at, requested: true, partial: false, of_either: false, key: None };
            let lookup =
                || Wanted::Order(&told.order_id).lookup(&Context::of(About::Refund(refund)), "whose order it is");
            return asks(&told.order_id, lookup, true);
        }
        match told.test_notification {
            // ASSUMPTION: Google's test of the line says nothing of an environment.
            Some(_) => Reading::noted(Note::Test { environment: Environment::Production, at }),
            None => unknown(),
        }
    }

    fn looked_up(&self, word: &Word<'r>, name: &str, context: Context, body: &[u8]) -> Result<Reading, Rejection> {
        let wanted = Wanted::of_name(name).ok_or_else(|| no_answer("something that is looked up"))?;
        if body == NOTHING {
            return Ok(nothing(wanted, context));
        }
        match wanted {
            Wanted::Subscription(token) => subscription::looked_up(word, token, &context, &parse(body)?),
            Wanted::Product(token) => product::looked_up(word, token, &context, &parse(body)?),
            Wanted::Order(id) => money::order(word, id, &context, &parse(body)?),
            // Google answers with an empty body.
            Wanted::Acknowledge(_) => Ok(Reading::noted(Note::Informative)),
            Wanted::Voided(since, _) => Ok(money::page(since, parse(body)?)),
        }
    }
}

/// What Google tells of persons beside their purchases: names and addresses that nothing here needs.
const OF_PERSONS: [&str; 2] = ["subscribeWithGoogleInfo", "buyerAddress"];

/// An answer as it is kept: without what it tells of persons. One that tells nothing of them stays as it is.
pub(super) fn without_persons(body: Bytes) -> Bytes {
    let Ok(mut answer) = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&body) else {
        return body;
    };
    let told = answer.len();
    answer.retain(|name, _| !OF_PERSONS.contains(&name.as_str()));
    if answer.len() == told {
        return body;
    }
    serde_json::to_vec(&answer).map_or(body, Bytes::from)
}

/// A reading that asks, if what it asks by can be an id; a number that this version does not know is shown besides.
fn asks(id: &str, lookup: impl FnOnce() -> Lookup, is_known: bool) -> Reading {
    if !wire::is_id(id) {
        return Reading::noted(Note::Unknown);
    }
    let note = (!is_known).then_some(Note::Unknown);
    Reading { lookups: vec![lookup()], note, ..Reading::default() }
}

/// There is nothing of that name.
fn nothing(wanted: Wanted<'_>, context: Context) -> Reading {
    let mut reading = Reading::noted(Note::Informative);
    match (wanted, context.about) {
        // Too old to be read: what waits for it goes on without.
        (_, About::Replaced) => reading.lookups.extend(subscription::forward(&context.waiting, None)),
        (Wanted::Subscription(token), about @ (About::Claimed { .. } | About::Refund(_))) => {
            let why = "it is no subscription";
            reading.lookups.push(Wanted::Product(token).lookup(&Context::of(about), why));
        }
        (_, _) => {}
    }
    reading
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Rejection> {
    serde_json::from_slice(body).map_err(|_| no_answer("what Google documents"))
}

fn no_answer(expected: &str) -> Rejection {
    Rejection::new(RejectionKind::Malformed, "no_answer", format!("the answer is not {expected}"))
}

fn environment(is_test: bool) -> Environment {
    if is_test { Environment::Sandbox } else { Environment::Production }
}
