//! From Stripe's objects to our words: what an event, an answer or something looked up says of a purchase.
//!
//! `subscription.rs` reads the subscription, the only whole word on one; `invoice.rs` the money of its periods;
//! `money_back.rs` refunds and disputes, whose way to a subscription is often to be looked up; `checkout.rs` sessions and
//! one-time purchases. This file says which is read when, and how words of the same second are ordered.
//!
//! **Keys.** A period has no id of Stripe's: subscription and invoice name the same start, so the transaction of a period is
//! known by it, whichever of them is heard first, and shows its invoice's id. An invoice for no whole period (a
//! proration) is a transaction of its own, under its id.
//!
//! **Contradictions.** What Stripe signed is believed facet by facet: the later `created` wins, whatever it says. Events
//! carry whole seconds; within one, a field that the event says has changed wins over one that it only repeats, a creation
//! over nothing and an end over everything. What cannot be (a period that ends before it starts, a negative amount, an
//! unknown status) is left out, and what was known stays.

mod checkout;
mod invoice;
mod money_back;
mod subscription;

use super::PastDueAccess;
use super::ask::Wanted;
use super::wire::{self, Event, Object};
use crate::{Link, Lookup, Note, Notification, Reading, Rejection, RejectionKind, parse_answer_id, parse_looked_up_id};
use money_back::Back;
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::observation::{Dated, Environment, Facets, Hint, Observation, Origin, PurchaseKey, Stamp, Store};
use paidup_lifecycle::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// What reading depends on besides the bytes: the journal keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Policy {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) metadata_key: Option<String>,
    pub(super) past_due_access: PastDueAccess,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) past_due_days: Option<u16>,
    pub(super) refund_revokes: bool,
    /// There is a key: what is missing is asked for, and no clues are gathered.
    pub(super) asks: bool,
}

/// Metadata keys that are looked at when none is set.
const METADATA_KEYS: [&str; 2] = ["user_id", "app_user_id"];

impl Policy {
    /// The customer's id in the app, from an object's metadata.
    fn customer<'a>(&self, object: Object<'a>) -> Option<&'a str> {
        match &self.metadata_key {
            Some(key) => object.metadata(key),
            None => METADATA_KEYS.iter().find_map(|key| object.metadata(key)),
        }
    }
}

/// Reads for one source.
#[derive(Clone, Copy)]
pub(super) struct Reader<'r> {
    pub(super) source: SourceId,
    pub(super) policy: &'r Policy,
}

/// Order among words of one second, facet by facet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rank {
    /// The object as it was made.
    Made,
    /// Repeated beside something else.
    Repeated,
    /// What the event is about.
    Changed,
    /// Nothing comes after it.
    Final,
}

impl Rank {
    fn letter(self) -> char {
        match self {
            Rank::Made => 'a',
            Rank::Repeated => 'b',
            Rank::Changed => 'c',
            Rank::Final => 'd',
        }
    }
}

/// Who says something, when, and of which environment.
struct Word<'r> {
    reader: Reader<'r>,
    id: Arc<str>,
    at: Timestamp,
    origin: Origin,
    environment: Environment,
}

impl Word<'_> {
    fn dated<T>(&self, rank: Rank, value: T) -> Dated<T> {
        let by = format!("{}/{}", rank.letter(), self.id).into();
        Dated { value, stamp: Stamp { as_of: self.at, origin: self.origin, by } }
    }

    /// The owner by a weaker sign than metadata: a stronger sign wins, whenever it was or will be given.
    fn weak_owner(&self, strength: Duration, owner: &str) -> Dated<Option<String>> {
        let stamp = Stamp { as_of: Timestamp::MIN.plus(strength), origin: Origin::Notification, by: self.id.clone() };
        Dated { value: Some(owner.to_owned()), stamp }
    }

    /// By Stripe's own customer.
    fn by_customer(&self, customer: &str) -> Dated<Option<String>> {
        self.weak_owner(Duration::from_millis(1), customer)
    }

    /// By `client_reference_id`, or the customer's metadata.
    fn by_reference(&self, owner: &str) -> Dated<Option<String>> {
        self.weak_owner(Duration::from_millis(2), owner)
    }

    fn key(&self, store_purchase_id: &str) -> PurchaseKey {
        PurchaseKey {
            source_id: self.reader.source,
            environment: self.environment,
            store_purchase_id: store_purchase_id.to_owned(),
        }
    }

    fn observation(&self, store_purchase_id: &str, hint: Hint, facets: Facets) -> Observation {
        Observation {
            key: self.key(store_purchase_id),
            store: Store::Stripe,
            id: self.id.clone(),
            observed_at: self.at,
            origin: self.origin,
            hint,
            about_transaction: None,
            facets,
            backfill: false,
            replaces: None,
            detected_by: None,
        }
    }

    /// A lookup of a subscription as it stands, when its own events have not been heard.
    fn subscription_unless_known(&self, subscription: &str) -> Lookup {
        let unless_known = Some(self.key(subscription));
        let why = "an invoice came for a subscription that is not known";
        Lookup { unless_known, ..lookup(Wanted::Subscription(subscription), String::new(), why) }
    }
}

/// Why lists are looked up.
const COMPARED: &str = "to compare with Stripe's own list";

/// The first pages of the lists that are compared: events, of which Stripe keeps those of 30 days, and subscriptions that
/// were made since.
pub(super) fn first_pages(since: Timestamp) -> Vec<Lookup> {
    let since = since.as_seconds().max(0).to_string();
    [Wanted::EventsSince(&since), Wanted::SubscriptionsSince(&since)]
        .into_iter()
        .map(|wanted| lookup(wanted, String::new(), COMPARED))
        .collect()
}

impl Reader<'_> {
    /// The events of a page, oldest first, as if Stripe had sent them, and what is left of the page.
    pub(super) fn events_of(&self, page: &[u8]) -> Result<(Vec<Notification>, Vec<u8>), Rejection> {
        let value = wire::parse(page)?;
        let list = Object(&value);
        if !list.has("data") {
            return Err(no_answer("a list"));
        }
        let mut events = Vec::new();
        for entry in list.list("data") {
            // One that cannot be read says nothing of the others.
            let Ok(event) = Event::new(entry.0) else { continue };
            events.push(Notification {
                external_id: event.id().into(),
                label: event.label(),
                body: entry.0.to_string().into(),
                reading: self.event(event),
            });
        }
        events.reverse();
        let last = list.list("data").last().and_then(Object::id);
        let rest = serde_json::json!({"object": "list", "data": [], "has_more": list.is("has_more"), "last": last});
        Ok((events, rest.to_string().into_bytes()))
    }
}

fn lookup(wanted: Wanted<'_>, context: String, why: &'static str) -> Lookup {
    Lookup { name: wanted.name(), context, why, unless_known: None }
}

/// The subscription that a customer's backend says they bought.
pub(super) fn claimed(subscription: &str) -> Lookup {
    lookup(Wanted::Subscription(subscription), String::new(), "a customer's backend says that they bought it")
}

impl<'r> Reader<'r> {
    /// What was kept: an event, the answer to a question, or something looked up.
    pub(super) fn kept(&self, external_id: &str, body: &[u8]) -> Result<Reading, Rejection> {
        let value = wire::parse(body)?;
        let object = Object(&value);
        if let Some((asked_at, _)) = parse_answer_id(external_id) {
            let word = self.answered(external_id, asked_at, object)?;
            return Ok(subscription::answer(&word, object));
        }
        if let Some((asked_at, name, context)) = parse_looked_up_id(external_id) {
            return self.looked_up(external_id, asked_at, name, context, object);
        }
        Ok(self.event(Event::new(&value)?))
    }

    /// An object that Stripe's API answered with. One that is none (an error, a page of a proxy) is refused.
    fn answered(&self, id: &str, asked_at: Timestamp, object: Object<'_>) -> Result<Word<'r>, Rejection> {
        let environment = object.environment().filter(|_| object.id().is_some());
        let environment = environment.ok_or_else(|| no_answer("an object with id and livemode"))?;
        Ok(Word { reader: *self, id: id.into(), at: asked_at, origin: Origin::Answer, environment })
    }

    fn looked_up(
        &self,
        external_id: &str,
        asked_at: Timestamp,
        name: &str,
        context: &str,
        object: Object<'_>,
    ) -> Result<Reading, Rejection> {
        let wanted = Wanted::of_name(name).ok_or_else(|| no_answer("something that is looked up"))?;
        if let Wanted::Subscription(_) = wanted {
            let word = self.answered(external_id, asked_at, object)?;
            return Ok(subscription::answer(&word, object));
        }
        if let Wanted::EventsSince(since) | Wanted::SubscriptionsSince(since) = wanted {
            if !object.has("data") {
                return Err(no_answer("a list"));
            }
            return Ok(self.page(external_id, asked_at, wanted, since, object));
        }
        let context: Context = serde_json::from_str(context).map_err(|_| no_answer("what it was looked up for"))?;
        let word = Word {
            reader: *self,
            id: external_id.into(),
            at: asked_at,
            origin: Origin::Notification,
            environment: context.environment,
        };
        let is_list =
            matches!(wanted, Wanted::PaidBy(_) | Wanted::RefundsOf(_) | Wanted::SessionOf(_) | Wanted::LinesOf(_));
        if !is_list && object.id().is_none() {
            return Err(no_answer("an object with an id"));
        }
        if is_list && !object.has("data") {
            return Err(no_answer("a list"));
        }
        Ok(match (wanted, context.about) {
            (Wanted::LinesOf(_), About::OneTime { purchase }) => checkout::lines(&word, &purchase, object),
            (Wanted::Customer(id), About::Subscription { id: of }) => self.customer_of(&word, id, &of, object),
            (Wanted::Invoice(_), About::Subscription { .. }) => invoice::answer(&word, object),
            (wanted, About::Back(back)) => money_back::looked_up(&word, wanted, &back, object),
            (wanted, About::Refunds { payment, invoice }) => {
                money_back::refunds(&word, wanted, payment.as_deref(), invoice.as_deref(), object)
            }
            (_, About::OneTime { .. } | About::Subscription { .. }) => Reading::noted(Note::Informative),
        })
    }

    /// A page of a list that is compared, and the next one. Events were taken out of theirs (see [`events_of`]).
    fn page(&self, id: &str, asked_at: Timestamp, wanted: Wanted<'_>, since: &str, list: Object<'_>) -> Reading {
        let mut reading = Reading::default();
        for entry in list.list("data") {
            let one = match (wanted, self.answered(id, asked_at, entry)) {
                (Wanted::SubscriptionsSince(_), Ok(word)) => subscription::answer(&word, entry),
                (_, Ok(_) | Err(_)) => continue,
            };
            reading.observations.extend(one.observations);
            reading.lookups.extend(one.lookups);
        }
        let last = list.text("last").or_else(|| list.list("data").last().and_then(Object::id));
        if let (true, Some(last)) = (list.is("has_more"), last) {
            let since = since.split('/').next().unwrap_or_default();
            let next = format!("{since}/{last}");
            let next = match wanted {
                Wanted::EventsSince(_) => Wanted::EventsSince(&next),
                _ => Wanted::SubscriptionsSince(&next), // no other list has pages
            };
            reading.lookups.push(lookup(next, String::new(), COMPARED));
        }
        if reading.observations.is_empty() {
            reading.note = Some(Note::Informative);
        }
        reading
    }

    /// What an event says.
    pub(super) fn event(&self, event: Event<'_>) -> Reading {
        let Some(object) = event.object().filter(|_| !event.is_thin()) else {
            // Kept and shown: a thin event names what changed, and nothing of it.
            return Reading::noted(Note::Unknown);
        };
        let word = Word {
            reader: *self,
            id: event.id().into(),
            at: event.created(),
            origin: Origin::Notification,
            environment: event.environment(),
        };
        let mut reading = self.read_event(&word, &event, object);
        if reading.observations.is_empty() && reading.note.is_none() {
            reading.note = Some(Note::Informative);
        }
        if self.policy.asks {
            reading.clues.clear();
        }
        reading
    }

    fn read_event(&self, word: &Word<'_>, event: &Event<'_>, object: Object<'_>) -> Reading {
        match event.kind() {
            "customer.subscription.created"
            | "customer.subscription.updated"
            | "customer.subscription.deleted"
            | "customer.subscription.paused"
            | "customer.subscription.resumed"
            | "customer.subscription.trial_will_end"
            | "customer.subscription.pending_update_applied"
            | "customer.subscription.pending_update_expired" => subscription::event(word, event, object),
            "subscription_schedule.created"
            | "subscription_schedule.updated"
            | "subscription_schedule.released"
            | "subscription_schedule.canceled"
            | "subscription_schedule.completed"
            | "subscription_schedule.aborted" => subscription::schedule(word, object),
            "invoice.paid" | "invoice.payment_succeeded" => invoice::paid(word, object),
            "invoice.payment_failed" => invoice::failed(word, object),
            "invoice.marked_uncollectible" | "invoice.voided" => invoice::given_up(word, object),
            "invoice_payment.paid" => invoice::payment(object),
            "charge.refunded" => money_back::charge(word, object),
            "charge.succeeded" => invoice::charged(object),
            "refund.created" | "refund.updated" | "refund.failed" | "charge.refund.updated" => {
                money_back::refund(word, object)
            }
            "charge.dispute.created" | "charge.dispute.updated" | "charge.dispute.closed" => {
                money_back::dispute(word, object)
            }
            "checkout.session.completed"
            | "checkout.session.async_payment_succeeded"
            | "checkout.session.async_payment_failed" => checkout::session(word, event.kind(), object),
            "customer.created" | "customer.updated" => self.customer(object),
            kind if is_of_no_consequence(kind) => Reading::noted(Note::Informative),
            _ => Reading::noted(Note::Unknown),
        }
    }

    /// A customer of Stripe's is a customer of the app, as its metadata says.
    fn customer(&self, customer: Object<'_>) -> Reading {
        let link = customer.id().zip(self.policy.customer(customer));
        let links = link.map(|(id, user)| link_of(user, id)).into_iter().collect();
        Reading { links, note: Some(Note::Informative), ..Reading::default() }
    }

    fn customer_of(&self, word: &Word<'_>, id: &str, subscription: &str, customer: Object<'_>) -> Reading {
        let Some(user) = self.policy.customer(customer) else { return Reading::noted(Note::Informative) };
        let facets = Facets { owner: Some(word.by_reference(user)), ..Facets::default() };
        let observation = word.observation(subscription, Hint::Answered, facets);
        Reading { links: vec![link_of(user, id)], ..Reading::observed(observation) }
    }
}

fn link_of(user: &str, store_customer: &str) -> Link {
    Link { customer: user.to_owned(), store_customer: store_customer.to_owned() }
}

/// Types that an endpoint for all events sends, and that say nothing of a purchase.
fn is_of_no_consequence(kind: &str) -> bool {
    const FAMILIES: [&str; 20] = [
        "account",
        "balance",
        "billing_portal",
        "charge",
        "checkout",
        "coupon",
        "credit_note",
        "customer",
        "entitlements",
        "invoice",
        "invoice_payment",
        "invoiceitem",
        "payment_intent",
        "payment_link",
        "payment_method",
        "payout",
        "plan",
        "price",
        "product",
        "promotion_code",
    ];
    let family = kind.split_once('.').map_or(kind, |(family, _)| family);
    FAMILIES.contains(&family)
        || matches!(family, "setup_intent" | "subscription_schedule" | "tax_rate" | "test_helpers")
}

fn no_answer(expected: &str) -> Rejection {
    let detail = format!("the answer is not {expected}");
    Rejection::new(RejectionKind::Malformed, "no_answer", detail)
}

/// What a lookup is for. Kept as text with it; a field that was ever written is never renamed.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Context {
    environment: Environment,
    #[serde(flatten)]
    about: About,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case")]
enum About {
    /// Money that went back and has no purchase yet.
    Back(Back),
    /// The refunds of a charge, which paid this.
    Refunds {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        payment: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        invoice: Option<String>,
    },
    /// A one-time purchase whose product is not known.
    OneTime { purchase: String },
    /// A subscription that something is missing of.
    Subscription { id: String },
}

impl Word<'_> {
    fn context(&self, about: About) -> String {
        serde_json::to_string(&Context { environment: self.environment, about })
            .expect("texts and numbers can always be written as JSON")
    }
}
