//! Stripe's own names, in both generations of its API: before and since `2025-03-31.basil`.
//!
//! An endpoint's version decides the shape of its events, so everything here is lenient: a field that is missing, null or
//! of another type is absent, never an error. What may be an id or the whole object (`expand`) is read as either.
//! <https://docs.stripe.com/api>, <https://docs.stripe.com/changelog/basil>

use crate::{Rejection, RejectionKind};
use paidup_lifecycle::money::{Currency, Money};
use paidup_lifecycle::observation::Environment;
use paidup_lifecycle::time::Timestamp;
use serde_json::Value;
use std::time::Duration;

/// The longest id that is taken as one (Stripe promises 255).
const MAX_ID: usize = 255;
/// The longest key of metadata (Stripe's own bound).
pub(super) const MAX_METADATA_KEY: usize = 40;
/// The longest value of metadata that can be a customer's id.
const MAX_CUSTOMER_ID: usize = 255;
/// How many entries of a list are looked at. Subscriptions have at most 20 items; Stripe's first page of lines has 10.
const MAX_LIST: usize = 250;
/// How far ahead of our clock a live event may be dated. (In test mode, test clocks run ahead by years.)
const AHEAD: Duration = Duration::from_secs(86_400);

/// The body as JSON.
pub(super) fn parse(body: &[u8]) -> Result<Value, Rejection> {
    serde_json::from_slice(body).map_err(|error| {
        Rejection::new(RejectionKind::Malformed, "unreadable_body", format!("the body is no JSON: {error}"))
    })
}

/// A JSON object of Stripe's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Object<'a>(pub(super) &'a Value);

impl<'a> Object<'a> {
    fn get(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A field is there and not null.
    pub(super) fn has(self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(super) fn text(self, name: &str) -> Option<&'a str> {
        self.get(name)?.as_str()
    }

    /// An id, or the id of the object in its place.
    pub(super) fn id_of(self, name: &str) -> Option<&'a str> {
        let value = self.get(name)?;
        let id = value.as_str().or_else(|| value.get("id")?.as_str())?;
        is_id(id).then_some(id)
    }

    pub(super) fn id(self) -> Option<&'a str> {
        self.text("id").filter(|id| is_id(id))
    }

    pub(super) fn int(self, name: &str) -> Option<i64> {
        self.get(name)?.as_i64()
    }

    pub(super) fn is(self, name: &str) -> bool {
        self.get(name).and_then(Value::as_bool) == Some(true)
    }

    /// Unix seconds.
    pub(super) fn time(self, name: &str) -> Option<Timestamp> {
        Timestamp::from_millis(self.int(name)?.checked_mul(1000)?).ok()
    }

    pub(super) fn object(self, name: &str) -> Option<Object<'a>> {
        self.get(name).filter(|value| value.is_object()).map(Object)
    }

    /// A list: `{data: [...]}` or an array.
    pub(super) fn list(self, name: &str) -> impl Iterator<Item = Object<'a>> + Clone + use<'a> {
        let value = self.get(name);
        let entries = value.and_then(|value| value.as_array().or_else(|| value.get("data")?.as_array()));
        entries.into_iter().flatten().take(MAX_LIST).filter(|entry| entry.is_object()).map(Object)
    }

    /// A value of `metadata` that can be a customer's id.
    pub(super) fn metadata(self, key: &str) -> Option<&'a str> {
        let value = self.object("metadata")?.text(key)?.trim();
        (!value.is_empty() && value.len() <= MAX_CUSTOMER_ID).then_some(value)
    }

    /// An amount in minor units, as Stripe writes it for every currency. Negative ones are none of ours.
    pub(super) fn money(self, amount: &str) -> Option<Money> {
        let amount_minor = self.int(amount).filter(|amount| *amount >= 0)?;
        let currency: Currency = self.text("currency")?.parse().ok()?;
        Some(Money { amount_minor, currency })
    }

    /// Test mode is the sandbox. An object without `livemode` is of the environment of what it came in.
    pub(super) fn environment(self) -> Option<Environment> {
        let live = self.get("livemode")?.as_bool()?;
        Some(if live { Environment::Production } else { Environment::Sandbox })
    }
}

fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= MAX_ID && id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/')
}

/// An event: what a webhook endpoint receives.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event<'a> {
    envelope: Object<'a>,
    id: &'a str,
    kind: &'a str,
    /// Absent in thin events, which carry their time as text.
    created: Option<Timestamp>,
}

impl<'a> Event<'a> {
    pub(super) fn new(body: &'a Value) -> Result<Event<'a>, Rejection> {
        let envelope = Object(body);
        let missing = |what: &str| {
            let detail = format!("this is no Stripe event: {what} is missing or not what Stripe sends");
            Rejection::new(RejectionKind::Malformed, "no_event", detail)
        };
        let id = envelope.id().ok_or_else(|| missing("id"))?;
        let kind = envelope.text("type").filter(|kind| is_id(kind)).ok_or_else(|| missing("type"))?;
        let created = envelope.time("created");
        let event = Event { envelope, id, kind, created };
        if !event.is_thin() && (created.is_none() || event.object().is_none()) {
            return Err(missing("created or data.object"));
        }
        Ok(event)
    }

    /// A live event of the future would hold its facets against everything that Stripe says until then.
    pub(super) fn check_time(&self, now: Timestamp) -> Result<(), Rejection> {
        if self.environment() == Environment::Production && self.created.is_some_and(|at| at > now.plus(AHEAD)) {
            let detail = "the event says that it was created more than a day from now".to_owned();
            return Err(Rejection::new(RejectionKind::WrongAddress, "from_the_future", detail));
        }
        Ok(())
    }

    pub(super) fn id(&self) -> &'a str {
        self.id
    }

    pub(super) fn kind(&self) -> &'a str {
        self.kind
    }

    /// For the operator.
    pub(super) fn label(&self) -> String {
        if self.is_thin() { format!("{} (thin event: configure snapshot events)", self.kind) } else { self.kind.into() }
    }

    /// Carries a reference only.
    pub(super) fn is_thin(&self) -> bool {
        self.envelope.text("object").is_some_and(|object| object.starts_with("v2."))
    }

    pub(super) fn created(&self) -> Timestamp {
        self.created.unwrap_or(Timestamp::MIN)
    }

    pub(super) fn environment(&self) -> Environment {
        self.envelope.environment().or_else(|| self.object()?.environment()).unwrap_or(Environment::Production)
    }

    /// An API call or a person at the dashboard caused it, not Stripe's own clock.
    pub(super) fn has_request(&self) -> bool {
        // Old versions have the request's id in its place.
        self.envelope.text("request").is_some() || self.envelope.object("request").is_some_and(|it| it.has("id"))
    }

    pub(super) fn object(&self) -> Option<Object<'a>> {
        self.envelope.object("data")?.object("object")
    }

    /// What the changed fields were before; `None` in events that are no updates.
    pub(super) fn previous(&self) -> Option<Object<'a>> {
        self.envelope.object("data")?.object("previous_attributes")
    }
}

/// The period that a subscription runs in, and what is sold in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Running<'a> {
    pub(super) starts_at: Timestamp,
    pub(super) ends_at: Timestamp,
    /// The price's id: two prices of one Stripe product are two plans.
    pub(super) price: Option<&'a str>,
}

/// The running period. Since basil each item has its own: the latest end counts, and its start goes with it. What ends
/// before it starts is no period.
pub(super) fn running(subscription: Object<'_>) -> Option<Running<'_>> {
    let price = subscription.list("items").next().and_then(price_of);
    let of = |object: Object<'_>| {
        let (starts_at, ends_at) = (object.time("current_period_start")?, object.time("current_period_end")?);
        (ends_at > starts_at).then_some((ends_at, starts_at))
    };
    let of_items = || subscription.list("items").filter_map(of).max();
    let (ends_at, starts_at) = of(subscription).or_else(of_items)?;
    Some(Running { starts_at, ends_at, price })
}

/// The price of an item or line, in all its places.
pub(super) fn price_of(item: Object<'_>) -> Option<&str> {
    let of_pricing = || item.object("pricing")?.object("price_details")?.id_of("price");
    item.id_of("price").or_else(of_pricing).or_else(|| item.id_of("plan"))
}

/// The subscription that an invoice bills.
pub(super) fn subscription_of(invoice: Object<'_>) -> Option<&str> {
    let of_parent = || invoice.object("parent")?.object("subscription_details")?.id_of("subscription");
    invoice.id_of("subscription").or_else(of_parent)
}

/// A customer's id in the metadata of the subscription that an invoice bills, as the invoice repeats it.
pub(super) fn subscription_details(invoice: Object<'_>) -> Option<Object<'_>> {
    invoice.object("subscription_details").or_else(|| invoice.object("parent")?.object("subscription_details"))
}

/// The service period that an invoice pays for: that of its regular line that ends last. `None`: it has none, only
/// prorations or single items.
pub(super) fn service(invoice: Object<'_>) -> Option<Running<'_>> {
    let regular = invoice.list("lines").filter(|line| is_regular(*line));
    let period = |line: Object<'_>| {
        let period = line.object("period")?;
        Some((period.time("end")?, period.time("start")?, price_of(line)?.to_owned()))
    };
    let (ends_at, starts_at, _) = regular.clone().filter_map(period).max()?;
    let price = regular.filter_map(price_of).next();
    // Metered prices are billed at the end: the line tells the period that is over, the invoice where the next begins.
    match invoice.time("period_end").filter(|_| invoice.text("billing_reason") == Some("subscription_cycle")) {
        Some(begins) if ends_at <= begins => Some(Running { starts_at: begins, ends_at: begins, price }),
        Some(_) | None => (ends_at >= starts_at).then_some(Running { starts_at, ends_at, price }),
    }
}

/// A line for a whole period of a subscription's item.
pub(super) fn is_regular(line: Object<'_>) -> bool {
    let parent = line.object("parent");
    let item = parent.and_then(|parent| parent.object("subscription_item_details"));
    let of_item = item.is_some() || line.text("type") == Some("subscription") || line.has("subscription_item");
    let single = parent.is_some_and(|parent| parent.text("type") == Some("invoice_item_details"));
    of_item && !single && !line.is("proration") && !item.is_some_and(|item| item.is("proration"))
}

/// The payment intents and charges that paid an invoice.
pub(super) fn payments_of(invoice: Object<'_>) -> Vec<&str> {
    let mut ids: Vec<&str> = ["payment_intent", "charge"].iter().filter_map(|name| invoice.id_of(name)).collect();
    for payment in invoice.list("payments").filter_map(|payment| payment.object("payment")) {
        ids.extend(["payment_intent", "charge"].iter().filter_map(|name| payment.id_of(name)));
    }
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The discounts on a subscription, old shape and new. Ids alone (not expanded) are discounts too.
pub(super) fn discounts(subscription: Object<'_>) -> Vec<Discount<'_>> {
    let mut found: Vec<Discount<'_>> = subscription.object("discount").map(Discount::of).into_iter().collect();
    if let Some(list) = subscription.get("discounts").and_then(Value::as_array) {
        for entry in list.iter().take(MAX_LIST) {
            match entry.as_str().filter(|id| is_id(id)) {
                Some(id) => found.push(Discount { id: Some(id), code: None, end: None }),
                None => found.extend(entry.is_object().then(|| Discount::of(Object(entry)))),
            }
        }
    }
    found
}

/// A coupon or promotion code on a subscription.
#[derive(Debug, Clone, Copy)]
pub(super) struct Discount<'a> {
    /// The promotion code's id, else the coupon's, else the discount's own.
    pub(super) id: Option<&'a str>,
    /// What the customer entered, where it is told.
    pub(super) code: Option<&'a str>,
    pub(super) end: Option<Timestamp>,
}

impl<'a> Discount<'a> {
    fn of(discount: Object<'a>) -> Discount<'a> {
        let coupon = discount.id_of("coupon").or_else(|| discount.object("source")?.id_of("coupon"));
        let id = discount.id_of("promotion_code").or(coupon).or_else(|| discount.id());
        let code = discount.object("promotion_code").and_then(|promotion| promotion.text("code"));
        Discount { id, code, end: discount.time("end") }
    }
}
