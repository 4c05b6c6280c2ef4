//! RevenueCat's words: webhook types, the ten names of its chat and CRM integrations, its webhook body, its statuses.
//!
//! `table.rs` says which canonical event gives which messages, `limits.rs` which store gives which type,
//! `integration.rs` the ten names, `body.rs` the v1.0 webhook envelope, `status.rs` the eleven statuses,
//! `subscriber.rs` the customer of its v1 API.
//! <https://www.revenuecat.com/docs/integrations/webhooks/event-types-and-fields>

mod body;
mod integration;
mod limits;
mod status;
mod subscriber;
mod table;
#[cfg(test)]
mod tests;

pub use body::{body, expires_at, product_name, store_name};
pub use integration::{IntegrationEvent, IntegrationMessage, Outlet, integration_events};
pub use limits::{is_told_by, is_told_in};
pub use status::{Standing, Status, status, status_of};
pub use subscriber::{management_url, subscriber};
pub use table::{Because, Cell, Price, Row, Say, Shows, When, row};

use super::uuid_text;
use crate::closed_set;
use crate::event::{Event, EventType, PurchaseView};
use crate::ids::digest16;
use crate::money::Money;
use crate::observation::{Kind, OfferType, PeriodType, Reason, Store};

closed_set! {
    /// RevenueCat's webhook types, as far as this hub has something to say in them.
    pub enum RcType {
        /// A new subscription, also in a trial or offer.
        InitialPurchase = "INITIAL_PURCHASE",
        /// Renewed, converted, came back, or paid after a failure.
        Renewal = "RENEWAL",
        /// Renewal off, a failed charge, or a refund.
        Cancellation = "CANCELLATION",
        /// Renewal on again.
        Uncancellation = "UNCANCELLATION",
        /// Bought once, or granted.
        NonRenewingPurchase = "NON_RENEWING_PURCHASE",
        /// A pause is planned. (Its beginning is an EXPIRATION.)
        SubscriptionPaused = "SUBSCRIPTION_PAUSED",
        /// Access ended.
        Expiration = "EXPIRATION",
        /// A charge failed.
        BillingIssue = "BILLING_ISSUE",
        /// Another product, announced or in force.
        ProductChange = "PRODUCT_CHANGE",
        /// Purchases moved to another customer.
        Transfer = "TRANSFER",
        /// The period's end moved later without a charge.
        SubscriptionExtended = "SUBSCRIPTION_EXTENDED",
        /// Access while a store cannot say whether a purchase is one.
        TemporaryEntitlementGrant = "TEMPORARY_ENTITLEMENT_GRANT",
        /// A refund was undone.
        RefundReversed = "REFUND_REVERSED",
        /// A higher price waits for the customer's consent.
        PriceIncreaseConsentRequired = "PRICE_INCREASE_CONSENT_REQUIRED",
        /// The customer agreed.
        PriceIncreaseConsentApproved = "PRICE_INCREASE_CONSENT_APPROVED",
        /// The line is tested.
        Test = "TEST",
    }
}

closed_set! {
    /// RevenueCat's `period_type`.
    pub enum RcPeriod {
        /// Free.
        Trial = "TRIAL",
        /// A paid introductory price or offer code.
        Intro = "INTRO",
        /// The regular price, or a paid promotional offer.
        Normal = "NORMAL",
        /// Granted.
        Promotional = "PROMOTIONAL",
        /// Play prepaid plan.
        Prepaid = "PREPAID",
    }
}

closed_set! {
    /// How the return of a lapsed customer is told: the vendors' pages differ (architecture.md section 2).
    pub enum ReactivationAs {
        /// Always RENEWAL.
        Renewal = "renewal",
        /// Always INITIAL_PURCHASE.
        InitialPurchase = "initial_purchase",
        /// RENEWAL where the store's chain goes on (App Store), else INITIAL_PURCHASE.
        ByStore = "by_store",
    }
}

/// What an owner can choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// For whom: decides the matrix of the ten names.
    pub outlet: Outlet,
    /// Tell only what RevenueCat tells for that store.
    pub store_limits: bool,
    /// How a lapsed customer's return is told.
    pub reactivation_as: ReactivationAs,
}

impl Options {
    /// As RevenueCat's webhooks.
    #[must_use]
    pub const fn webhook() -> Options {
        Options { outlet: Outlet::Webhook, store_limits: true, reactivation_as: ReactivationAs::ByStore }
    }

    /// As RevenueCat's Discord integration.
    #[must_use]
    pub const fn discord() -> Options {
        Options { outlet: Outlet::Discord, store_limits: true, reactivation_as: ReactivationAs::Renewal }
    }

    /// As RevenueCat's Intercom integration.
    #[must_use]
    pub const fn intercom() -> Options {
        Options { outlet: Outlet::Intercom, store_limits: true, reactivation_as: ReactivationAs::InitialPurchase }
    }
}

impl Default for Options {
    fn default() -> Options {
        Options::webhook()
    }
}

/// How much a message says was paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// No money moved: RevenueCat writes 0.
    Nothing,
    /// Positive for a charge, negative for a refund.
    Told(Money),
    /// Money moved, but the store did not say how much: RevenueCat writes null.
    Unknown,
}

impl Amount {
    /// The money that moved, where it is known and not zero.
    #[must_use]
    pub fn money(self) -> Option<Money> {
        match self {
            Amount::Told(money) if money.amount_minor != 0 => Some(money),
            Amount::Told(_) | Amount::Nothing | Amount::Unknown => None,
        }
    }
}

/// One RevenueCat message: what the table made of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// RevenueCat's type.
    pub rc_type: RcType,
    /// A UUID, the same on every attempt: receivers deduplicate on it.
    pub id: String,
    /// The purchase as it was before the event, or as it is after it.
    pub shows: Shows,
    /// How the period was paid for.
    pub period_type: RcPeriod,
    /// The product; on PRODUCT_CHANGE the old one.
    pub product_id: Option<String>,
    /// On PRODUCT_CHANGE the new one, where known. (The body leaves it out where RevenueCat does.)
    pub new_product_id: Option<String>,
    /// On CANCELLATION.
    pub cancel_reason: Option<Reason>,
    /// On EXPIRATION.
    pub expiration_reason: Option<Reason>,
    /// On RENEWAL: a free period became a paid one.
    pub is_trial_conversion: Option<bool>,
    /// What was paid, or paid back.
    pub amount: Amount,
}

impl Message {
    /// The purchase as the message shows it.
    #[must_use]
    pub fn purchase<'a>(&self, event: &'a Event) -> &'a PurchaseView {
        self.shows.purchase(event)
    }
}

/// What RevenueCat would say of this event: none to three messages, in RevenueCat's order.
#[must_use]
pub fn messages(event: &Event, options: &Options) -> Vec<Message> {
    let mut messages = Vec::new();
    for (place, cell) in row(event.event_type).cells.iter().enumerate() {
        if !cell.when.holds(event) {
            continue;
        }
        let rc_type = cell.say.rc_type(event, options.reactivation_as);
        if options.store_limits && !is_told_by(rc_type, event.store) {
            continue;
        }
        messages.push(message(event, cell, rc_type, place));
    }
    messages
}

fn message(event: &Event, cell: &Cell, rc_type: RcType, place: usize) -> Message {
    let view = cell.shows.purchase(event);
    let period_type = period_type(view);
    let is_change = rc_type == RcType::ProductChange;
    let old_product = if is_change { event.details.previous_product_id.clone() } else { None };
    Message {
        rc_type,
        id: message_id(event, rc_type, place),
        shows: cell.shows,
        period_type,
        product_id: old_product.or_else(|| view.product_id.clone()),
        new_product_id: if is_change { new_product(event) } else { None },
        cancel_reason: (rc_type == RcType::Cancellation).then(|| cell.because.cancel_reason(event)),
        expiration_reason: (rc_type == RcType::Expiration).then(|| cell.because.expiration_reason(event)),
        is_trial_conversion: (rc_type == RcType::Renewal).then(|| is_trial_conversion(event)),
        amount: cell.price.amount(event, view, period_type),
    }
}

/// The announced product, or the one that is in force now.
fn new_product(event: &Event) -> Option<String> {
    let announced = || event.purchase.pending.as_ref().map(|pending| pending.product_id.clone());
    let in_force = || event.previous.is_some().then(|| event.purchase.product_id.clone()).flatten();
    let told = event.details.new_product_id.clone();
    if event.event_type == EventType::PlanChangeScheduled { told.or_else(announced) } else { told.or_else(in_force) }
}

/// A free period became a paid one: as the engine says, else by comparing. A customer whose trial lapsed and who comes
/// back paying counts too (RevenueCat's event flows).
fn is_trial_conversion(event: &Event) -> bool {
    if let Some(told) = event.details.is_trial_conversion {
        return told;
    }
    let was_free = event.details.previous_offer_type == Some(OfferType::FreeTrial)
        || event.previous.as_ref().is_some_and(|previous| period_type(previous) == RcPeriod::Trial)
        || event.bundle.types.contains(&EventType::TrialConverted);
    was_free && period_type(&event.purchase) != RcPeriod::Trial
}

/// RevenueCat's word for how a period is paid for (lifecycle.md section 6): any free offer is TRIAL, a paid
/// introductory price or code INTRO, a paid promotional offer NORMAL, and so is a period of which nothing is known.
#[must_use]
pub fn period_type(purchase: &PurchaseView) -> RcPeriod {
    let offer = purchase.offer.as_ref().map(|offer| offer.offer_type);
    rc_period(purchase.kind, purchase.period_type, offer, purchase.price)
}

fn rc_period(kind: Kind, period_type: Option<PeriodType>, offer: Option<OfferType>, price: Option<Money>) -> RcPeriod {
    if kind == Kind::Grant {
        return RcPeriod::Promotional;
    }
    let is_free = price.is_some_and(|price| price.amount_minor == 0);
    match (period_type, offer) {
        (Some(PeriodType::Trial), _) | (None, Some(OfferType::FreeTrial)) => RcPeriod::Trial,
        (Some(PeriodType::Promo) | None, Some(_)) if is_free => RcPeriod::Trial,
        (Some(PeriodType::Intro), _) | (None, Some(OfferType::IntroOffer | OfferType::PromoCode)) => RcPeriod::Intro,
        (Some(PeriodType::Promo), Some(OfferType::PromoCode | OfferType::IntroOffer)) => RcPeriod::Intro,
        (Some(PeriodType::Promo), Some(OfferType::PromotionalOffer | OfferType::FreeTrial) | None)
        | (None, Some(OfferType::PromotionalOffer) | None)
        | (Some(PeriodType::Normal), _) => RcPeriod::Normal,
        (Some(PeriodType::Prepaid), _) => RcPeriod::Prepaid,
        (Some(PeriodType::Promotional), _) => RcPeriod::Promotional,
    }
}

/// Whether the purchase is a grant that stands for a trial (architecture.md section 2).
#[must_use]
pub fn is_trial_grant(purchase: &PurchaseView) -> bool {
    purchase.kind == Kind::Grant && purchase.period_type == Some(PeriodType::Trial)
}

/// A UUID made from the event's id, so that every attempt and every rebuild gives the same.
fn message_id(event: &Event, rc_type: RcType, place: usize) -> String {
    let place = [u8::try_from(place).unwrap_or(u8::MAX)];
    uuid_text(digest16(&[b"revenuecat", &event.id.0, rc_type.as_str().as_bytes(), &place]))
}

/// Stores whose chain of transactions goes on when a lapsed customer comes back.
fn chain_goes_on(event: &Event) -> bool {
    match event.store {
        Store::AppStore | Store::MacAppStore => event.details.same_chain != Some(false),
        // A new token, receipt or subscription id.
        Store::PlayStore | Store::Amazon | Store::Stripe | Store::Paddle => false,
        Store::Discord | Store::Promotional | Store::External => event.details.same_chain == Some(true),
    }
}
