//! Stripe's objects, as far as a hub can see them. Times are seconds since 1970, amounts minor units. How they look in
//! JSON depends on the API version and stands in `render`.

#![allow(missing_docs, reason = "the names are Stripe's and its pages explain them")]

use crate::catalogue::{Plan, Storefront};
use std::sync::Arc;

/// An id of Stripe's: a prefix for the kind, then letters and digits.
pub type Id = Arc<str>;

/// A price of a product. Each plan has one for each currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// What is sold; its id is the product's.
    pub plan: &'static Plan,
    /// Where, and so in which currency.
    pub storefront: &'static Storefront,
}

impl Price {
    /// `price_...`; Stripe makes these ids, so they say nothing to a reader but are always the same here.
    #[must_use]
    pub fn id(&self) -> String {
        format!("price_{}_{}", self.plan.id, self.currency())
    }

    /// What one costs.
    #[must_use]
    pub const fn amount(&self) -> i64 {
        self.storefront.minor(self.plan.cents)
    }

    /// Stripe writes currencies in lower case.
    #[must_use]
    pub fn currency(&self) -> String {
        self.storefront.currency.to_lowercase()
    }
}

/// `pause_collection`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PauseCollection {
    /// `void`, `mark_uncollectible` or `keep_as_draft`.
    pub behavior: &'static str,
    /// When Stripe ends it by itself.
    pub resumes_at: Option<i64>,
}

/// `customer`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customer {
    pub id: Id,
    pub created: i64,
    /// ISO 3166 alpha-2.
    pub country: &'static str,
}

/// `subscription`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    pub id: Id,
    pub item: Id,
    pub customer: Id,
    pub created: i64,
    pub status: &'static str,
    pub price: Price,
    pub quantity: u32,
    pub period: (i64, i64),
    pub trial: Option<(i64, i64)>,
    /// `trial_settings.end_behavior.missing_payment_method`.
    pub without_method: &'static str,
    pub cancel_at_period_end: bool,
    pub cancel_at: Option<i64>,
    pub canceled_at: Option<i64>,
    pub ended_at: Option<i64>,
    /// `cancellation_details`: reason and feedback.
    pub cancellation: (Option<&'static str>, Option<&'static str>),
    pub pause: Option<PauseCollection>,
    /// Per cent off the next invoice.
    pub coupon: Option<u32>,
    pub schedule: Option<Id>,
    pub latest_invoice: Option<Id>,
    /// The customer's id in the app, in `metadata`.
    pub user: Option<Arc<str>>,
}

/// A line of an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub amount: i64,
    pub price: Price,
    pub quantity: u32,
    pub proration: bool,
    pub period: (i64, i64),
}

/// `invoice`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invoice {
    pub id: Id,
    pub customer: Id,
    pub country: &'static str,
    pub subscription: Id,
    pub item: Id,
    /// The subscription's metadata, as basil copies it.
    pub user: Option<Arc<str>>,
    pub created: i64,
    /// The billing window: one cycle behind the service that the lines charge for.
    pub window: (i64, i64),
    pub status: &'static str,
    pub reason: &'static str,
    pub due: i64,
    pub currency: &'static str,
    pub attempts: u32,
    pub next_attempt: Option<i64>,
    /// When it was finalised, paid, marked uncollectible, voided.
    pub transitions: [Option<i64>; 4],
    pub payment: Option<Payment>,
    pub coupon: Option<u32>,
    pub lines: Vec<Line>,
}

/// How an invoice was paid: by which payment intent, charge and invoice payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    pub intent: Id,
    pub charge: Id,
    pub invoice_payment: Id,
}

/// `charge`, with the payment intent that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    pub id: Id,
    pub intent: Id,
    /// Absent for one-time payments.
    pub invoice: Option<Id>,
    pub customer: Option<Id>,
    pub country: &'static str,
    pub created: i64,
    pub amount: i64,
    pub refunded: i64,
    pub currency: &'static str,
    pub disputed: bool,
    pub user: Option<Arc<str>>,
    pub product: &'static str,
}

/// `invoice_payment`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvoicePayment {
    pub id: Id,
    pub invoice: Id,
    pub intent: Id,
    pub amount: i64,
    pub currency: &'static str,
    pub created: i64,
}

/// `refund`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    pub id: Id,
    pub charge: Id,
    pub intent: Id,
    pub amount: i64,
    pub currency: &'static str,
    pub created: i64,
    pub status: &'static str,
}

/// `dispute`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispute {
    pub id: Id,
    pub charge: Id,
    pub intent: Id,
    pub amount: i64,
    pub currency: &'static str,
    pub created: i64,
    pub status: &'static str,
}

/// `checkout.session`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub id: Id,
    pub created: i64,
    pub customer: Option<Id>,
    pub country: &'static str,
    /// `client_reference_id`.
    pub reference: Option<Arc<str>>,
    /// `payment` or `subscription`.
    pub mode: &'static str,
    /// `paid`, `unpaid` or `no_payment_required`.
    pub payment_status: &'static str,
    pub total: i64,
    pub price: Price,
    pub intent: Option<Id>,
    pub subscription: Option<Id>,
    pub invoice: Option<Id>,
}

/// A stretch of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchedulePhase {
    pub price: Price,
    pub quantity: u32,
    pub starts: i64,
    pub ends: i64,
}

/// `subscription_schedule`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    pub id: Id,
    pub customer: Id,
    pub subscription: Id,
    pub created: i64,
    pub status: &'static str,
    pub released_at: Option<i64>,
    /// Which of the phases runs.
    pub current: usize,
    pub phases: Vec<SchedulePhase>,
}

/// Any of them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "most are subscriptions and invoices, the largest")]
pub enum Object {
    Customer(Customer),
    Subscription(Subscription),
    Invoice(Invoice),
    Charge(Charge),
    InvoicePayment(InvoicePayment),
    Refund(Refund),
    Dispute(Dispute),
    Session(Session),
    Schedule(Schedule),
}

impl Object {
    /// Its id.
    #[must_use]
    pub const fn id(&self) -> &Id {
        match self {
            Object::Customer(one) => &one.id,
            Object::Subscription(one) => &one.id,
            Object::Invoice(one) => &one.id,
            Object::Charge(one) => &one.id,
            Object::InvoicePayment(one) => &one.id,
            Object::Refund(one) => &one.id,
            Object::Dispute(one) => &one.id,
            Object::Session(one) => &one.id,
            Object::Schedule(one) => &one.id,
        }
    }
}

/// `event`: something happened to an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub id: Id,
    /// `type`.
    pub kind: &'static str,
    pub created: i64,
    /// The object after it.
    pub object: Object,
    /// The object before it, for `previous_attributes`.
    pub before: Option<Object>,
    /// Other objects that changed with it, which Stripe's API shows from now on.
    pub also: Vec<Object>,
}
