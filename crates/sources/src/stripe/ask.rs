//! Requests to Stripe's API, and the clues that answer in its stead where there is no key.
//!
//! A lookup's name is the kind of object and its id, `invoice/in_123`; this file alone knows which request it stands for.
//! The answer is always the object itself or a list of objects, so a clue is such an object with the few fields that
//! `read/` needs of it. <https://docs.stripe.com/api/authentication>, <https://docs.stripe.com/api/versioning>

use super::wire::{Object, is_regular, payments_of, price_of, subscription_of};
use crate::Clue;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use serde_json::json;

/// The version in which Stripe answers us, whatever the account's. The first with invoice payments; `wire.rs` reads
/// later ones too.
const VERSION: HeaderValue = HeaderValue::from_static("2025-03-31.basil");

/// How many entries of a list are asked for: one is what is expected.
const LIMIT: u8 = 10;

/// How many lines of an invoice a clue keeps: they tell one period and one price.
const LINES: usize = 10;

/// Stripe's API, with a key.
pub(super) struct Api {
    base: String,
    authorization: HeaderValue,
}

/// What can be looked up, each with the id that it is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted<'a> {
    /// A subscription, with its latest invoice.
    Subscription(&'a str),
    /// An invoice.
    Invoice(&'a str),
    /// What a payment intent paid for: the invoice payments made with it.
    PaidBy(&'a str),
    /// A charge.
    Charge(&'a str),
    /// The refunds of a charge.
    RefundsOf(&'a str),
    /// The checkout session in which a payment intent was made.
    SessionOf(&'a str),
    /// What was sold in a checkout session.
    LinesOf(&'a str),
    /// A customer.
    Customer(&'a str),
    /// A page of the events since a second: `SECOND`, or `SECOND/EVENT` to go on behind that event.
    EventsSince(&'a str),
    /// A page of the subscriptions made since a second, in the same way.
    SubscriptionsSince(&'a str),
}

/// The types of event that say something of a purchase; Stripe takes 20 in one call.
const TYPES: [&str; 20] = [
    "customer.subscription.created",
    "customer.subscription.updated",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.resumed",
    "subscription_schedule.updated",
    "subscription_schedule.released",
    "subscription_schedule.canceled",
    "invoice.paid",
    "invoice.payment_failed",
    "invoice.marked_uncollectible",
    "invoice.voided",
    "invoice_payment.paid",
    "charge.refunded",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.closed",
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
];

/// Entries of a page of events, and of subscriptions, which bring their latest invoice.
const EVENTS: u8 = 100;
const SUBSCRIPTIONS: u8 = 50;

impl<'a> Wanted<'a> {
    pub(super) fn name(self) -> String {
        let (kind, id) = match self {
            Wanted::Subscription(id) => ("subscription", id),
            Wanted::Invoice(id) => ("invoice", id),
            Wanted::PaidBy(id) => ("paid_by", id),
            Wanted::Charge(id) => ("charge", id),
            Wanted::RefundsOf(id) => ("refunds_of", id),
            Wanted::SessionOf(id) => ("session_of", id),
            Wanted::LinesOf(id) => ("lines_of", id),
            Wanted::Customer(id) => ("customer", id),
            Wanted::EventsSince(since) => ("events_since", since),
            Wanted::SubscriptionsSince(since) => ("subscriptions_since", since),
        };
        format!("{kind}/{id}")
    }

    pub(super) fn of_name(name: &'a str) -> Option<Wanted<'a>> {
        let (kind, id) = name.split_once('/')?;
        Some(match kind {
            "subscription" => Wanted::Subscription(id),
            "invoice" => Wanted::Invoice(id),
            "paid_by" => Wanted::PaidBy(id),
            "charge" => Wanted::Charge(id),
            "refunds_of" => Wanted::RefundsOf(id),
            "session_of" => Wanted::SessionOf(id),
            "lines_of" => Wanted::LinesOf(id),
            "customer" => Wanted::Customer(id),
            "events_since" => Wanted::EventsSince(id),
            "subscriptions_since" => Wanted::SubscriptionsSince(id),
            _ => return None,
        })
    }

    fn path(self) -> Option<String> {
        let id = |id: &str| {
            let safe =
                !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
            safe.then(|| id.to_owned())
        };
        let page = |since: &str| match since.split_once('/') {
            None => Some(format!("created[gte]={}", id(since)?)),
            Some((since, after)) => Some(format!("created[gte]={}&starting_after={}", id(since)?, id(after)?)),
        };
        Some(match self {
            Wanted::Subscription(it) => format!("/v1/subscriptions/{}?expand[]=latest_invoice", id(it)?),
            Wanted::Invoice(it) => format!("/v1/invoices/{}", id(it)?),
            Wanted::PaidBy(it) => format!(
                "/v1/invoice_payments?payment[type]=payment_intent&payment[payment_intent]={}&limit={LIMIT}",
                id(it)?
            ),
            Wanted::Charge(it) => format!("/v1/charges/{}", id(it)?),
            Wanted::RefundsOf(it) => format!("/v1/refunds?charge={}&limit=100", id(it)?),
            Wanted::SessionOf(it) => format!("/v1/checkout/sessions?payment_intent={}&limit={LIMIT}", id(it)?),
            Wanted::LinesOf(it) => format!("/v1/checkout/sessions/{}/line_items?limit={LIMIT}", id(it)?),
            Wanted::Customer(it) => format!("/v1/customers/{}", id(it)?),
            Wanted::EventsSince(it) => {
                let types: String = TYPES.iter().map(|kind| format!("&types[]={kind}")).collect();
                format!("/v1/events?{}&limit={EVENTS}{types}", page(it)?)
            }
            Wanted::SubscriptionsSince(it) => {
                format!("/v1/subscriptions?{}&limit={SUBSCRIPTIONS}&status=all&expand[]=data.latest_invoice", page(it)?)
            }
        })
    }
}

impl Api {
    /// `key` is printable ASCII.
    pub(super) fn new(base: &str, key: &str) -> Api {
        let bearer = HeaderValue::from_str(&format!("Bearer {key}"));
        let mut authorization = bearer.expect("a checked key is printable ASCII, which a header can hold");
        authorization.set_sensitive(true);
        Api { base: base.trim_end_matches('/').to_owned(), authorization }
    }

    /// How a subscription stands. `None`: this purchase is no subscription.
    pub(super) fn subscription(&self, id: &str) -> Option<http::Request<Bytes>> {
        self.get(Wanted::Subscription(id)).filter(|_| id.starts_with("sub"))
    }

    /// `None`: no lookup of ours.
    pub(super) fn look_up(&self, name: &str) -> Option<http::Request<Bytes>> {
        self.get(Wanted::of_name(name)?)
    }

    fn get(&self, wanted: Wanted<'_>) -> Option<http::Request<Bytes>> {
        // Brackets are written as Stripe documents them; a URI takes them encoded only.
        let path = wanted.path()?.replace('[', "%5B").replace(']', "%5D");
        let request = http::Request::get(format!("{}{path}", self.base))
            .header(header::AUTHORIZATION, self.authorization.clone())
            .header("stripe-version", VERSION);
        request.body(Bytes::new()).ok()
    }
}

/// Clues that an invoice gives: itself, and that it was paid by its payments (before basil it names them).
pub(super) fn clues_of_invoice(invoice: Object<'_>) -> Vec<Clue> {
    let Some(id) = invoice.id() else { return Vec::new() };
    let kept = [
        "id",
        "object",
        "billing_reason",
        "status",
        "currency",
        "amount_paid",
        "amount_due",
        "period_end",
        "paid_out_of_band",
        "subscription",
        "customer",
        "created",
    ];
    let mut fields = serde_json::Map::new();
    for name in kept {
        if let Some(value) = invoice.0.get(name) {
            fields.insert(name.to_owned(), value.clone());
        }
    }
    let lines = invoice.list("lines").filter(|line| is_regular(*line)).take(LINES).map(|line| {
        json!({"type": "subscription", "price": price_of(line), "period": line.object("period").map(|period| period.0)})
    });
    fields.insert("lines".to_owned(), json!({"data": lines.collect::<Vec<_>>()}));
    fields.insert("subscription".to_owned(), json!(subscription_of(invoice)));
    let mut clues = vec![clue(Wanted::Invoice(id), serde_json::Value::Object(fields).to_string())];
    for payment in payments_of(invoice) {
        clues.push(clue_of_payment(payment, id));
    }
    clues
}

/// A payment paid an invoice.
pub(super) fn clue_of_payment(payment: &str, invoice: &str) -> Clue {
    let answer = json!({"object": "list", "data": [{"object": "invoice_payment", "invoice": invoice}]});
    // Charges and payment intents have names that never meet.
    clue(Wanted::PaidBy(payment), answer.to_string())
}

/// A payment was made in a checkout session and paid no invoice.
pub(super) fn clues_of_session(payment: &str, session: Object<'_>) -> Vec<Clue> {
    let none = json!({"object": "list", "data": []});
    let kept = ["id", "mode", "payment_intent", "amount_total", "currency", "created"];
    let fields: serde_json::Map<String, serde_json::Value> =
        kept.iter().filter_map(|name| Some(((*name).to_owned(), session.0.get(name)?.clone()))).collect();
    let sessions = json!({"object": "list", "data": [fields]});
    vec![clue(Wanted::PaidBy(payment), none.to_string()), clue(Wanted::SessionOf(payment), sessions.to_string())]
}

fn clue(wanted: Wanted<'_>, answer: String) -> Clue {
    Clue { name: wanted.name(), answer }
}
