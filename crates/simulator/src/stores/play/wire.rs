//! Google's own names and shapes, written by hand from "Real-time developer notifications reference guide" and the
//! Android Publisher API v3 reference (`SubscriptionPurchaseV2`, `ProductPurchaseV2`, `Order`, `VoidedPurchase`). Only what
//! the simulation tells is here. What is empty, zero or false is left out, as Google's JSON leaves it out.

use serde_json::{Map, Value, json};
use std::sync::Arc;

/// An id of Google's: a purchase token, an order id.
pub type Id = Arc<str>;

/// The app that sells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// Its package.
    pub package_name: Arc<str>,
    /// Its buyers are license testers: purchases are tests and cost nothing.
    pub is_tested: bool,
}

/// A `DeveloperNotification`, and what Google's API shows from that moment on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The id of the Pub/Sub message.
    pub message_id: String,
    /// `eventTimeMillis`.
    pub at: i64,
    /// What it is about.
    pub about: About,
    /// What the API shows from now on.
    pub shown: Vec<Shown>,
}

/// The member that a notification has.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Google's and their page explains them")]
pub enum About {
    Subscription { kind: u8, token: Id, subscription_id: &'static str },
    OneTimeProduct { kind: u8, token: Id, sku: &'static str },
    VoidedPurchase { token: Id, order_id: Id, product_type: u8, refund_type: u8 },
    Test,
}

/// Something that the API shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// A subscription.
    Subscription(Box<SubscriptionPurchase>),
    /// A one-time purchase.
    Product(Box<ProductPurchase>),
    /// An order.
    Order(Box<Order>),
    /// A purchase that was taken back.
    Voided(VoidedPurchase),
}

/// Money, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Money {
    /// Minor units.
    pub minor: i64,
    /// ISO 4217.
    pub currency: &'static str,
}

/// `SubscriptionPurchaseV2`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Google's and their page explains them")]
pub struct SubscriptionPurchase {
    pub token: Id,
    pub region_code: &'static str,
    pub start_time: i64,
    pub state: State,
    pub latest_order_id: Id,
    pub linked_purchase_token: Option<Id>,
    pub canceled: Option<Canceled>,
    pub auto_resume_time: Option<i64>,
    /// The order that is not paid, in grace and on hold.
    pub pending_order_id: Option<Id>,
    pub is_acknowledged: bool,
    pub account_id: Option<Id>,
    pub out_of_app: Option<OutOfApp>,
    pub is_test: bool,
    pub items: Vec<LineItem>,
}

/// `subscriptionState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Google's and their page explains them")]
pub enum State {
    Pending,
    Active,
    Paused,
    InGracePeriod,
    OnHold,
    Canceled,
    Expired,
    PendingPurchaseCanceled,
}

/// `canceledStateContext`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Google's and their page explains them")]
pub enum Canceled {
    User { at: i64 },
    System,
    Developer,
    Replacement,
}

/// `outOfAppPurchaseContext`: bought again in Google's own shop, of which the app knows nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Google's and their page explains them")]
pub struct OutOfApp {
    pub expired_token: Id,
    pub expired_account_id: Option<Id>,
}

/// `SubscriptionPurchaseLineItem`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Google's and their page explains them")]
pub struct LineItem {
    pub product_id: &'static str,
    pub base_plan_id: &'static str,
    pub expiry_time: Option<i64>,
    /// The last paid one.
    pub order_id: Option<Id>,
    pub plan: Plan,
    pub offer_id: Option<&'static str>,
    pub phase: Phase,
    pub deferred_replacement: Option<&'static str>,
    pub replacement: Option<Replacement>,
}

/// How it is paid for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Renews by itself.
    AutoRenewing {
        /// Renewal is on.
        is_on: bool,
        /// What the next period costs.
        price: Money,
        /// A price that is to come, or has come.
        change: Option<PriceChange>,
    },
    /// Paid for in advance, topped up by hand.
    Prepaid {
        /// From when on it may be topped up.
        allow_extend_after: i64,
    },
}

/// `priceChangeDetails`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Google's and their page explains them")]
pub struct PriceChange {
    pub new_price: Money,
    pub state: &'static str,
    pub expected_charge_time: i64,
}

/// `offerPhase`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Google's and their page explains them")]
pub enum Phase {
    BasePrice,
    FreeTrial,
    IntroductoryPrice,
    ProrationPeriod,
}

/// `itemReplacement`: what this item replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Google's and their page explains them")]
pub struct Replacement {
    pub product_id: &'static str,
    pub base_plan_id: &'static str,
    pub mode: &'static str,
}

/// `ProductPurchaseV2`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Google's and their page explains them")]
pub struct ProductPurchase {
    pub token: Id,
    pub order_id: Id,
    pub product_id: &'static str,
    pub state: &'static str,
    pub completed_at: Option<i64>,
    pub region_code: &'static str,
    pub is_acknowledged: bool,
    pub is_consumed: bool,
    pub refundable: u32,
    pub account_id: Option<Id>,
    pub is_test: bool,
}

/// `Order`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Google's and their page explains them")]
pub struct Order {
    pub order_id: Id,
    pub token: Id,
    pub state: &'static str,
    pub created: i64,
    pub last_event: i64,
    pub country: &'static str,
    pub total: Money,
    pub listing_price: Money,
    pub product_id: &'static str,
    pub product_title: &'static str,
    /// Base plan, offer, phase, and the period that it pays for.
    pub subscription: Option<(&'static str, Option<&'static str>, Phase, i64, i64)>,
    pub refunded_at: Option<i64>,
}

/// `VoidedPurchase`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Google's and their page explains them")]
pub struct VoidedPurchase {
    pub token: Id,
    pub order_id: Id,
    pub purchased: i64,
    pub voided: i64,
    pub source: u8,
    pub reason: u8,
    pub is_subscription: bool,
}

/// A moment, in RFC 3339.
pub(crate) fn time(ms: i64) -> Value {
    jiff::Timestamp::from_millisecond(ms).map_or(Value::Null, |at| at.to_string().into())
}

/// Leaves out what is not there.
fn object(members: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Value {
    let present = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(present.collect::<Map<_, _>>())
}

fn text(id: Option<&Id>) -> Option<Value> {
    id.map(|id| id.as_ref().into())
}

impl Notification {
    /// The `DeveloperNotification`.
    #[must_use]
    pub fn json(&self, package_name: &str) -> Value {
        let (member, about) = match &self.about {
            About::Subscription { kind, token, subscription_id } => (
                "subscriptionNotification",
                json!({"version": "1.0", "notificationType": kind, "purchaseToken": token, "subscriptionId": subscription_id}),
            ),
            About::OneTimeProduct { kind, token, sku } => (
                "oneTimeProductNotification",
                json!({"version": "1.0", "notificationType": kind, "purchaseToken": token, "sku": sku}),
            ),
            About::VoidedPurchase { token, order_id, product_type, refund_type } => (
                "voidedPurchaseNotification",
                json!({"purchaseToken": token, "orderId": order_id, "productType": product_type, "refundType": refund_type}),
            ),
            About::Test => ("testNotification", json!({"version": "1.0"})),
        };
        json!({
            "version": "1.0", "packageName": package_name, "eventTimeMillis": self.at.to_string(), (member): about
        })
    }
}

impl Money {
    /// `Money`: whole units as text, the rest in billionths.
    #[must_use]
    pub fn json(self) -> Value {
        let (digits, nano) = if self.currency == "JPY" { (1, 0) } else { (100, 10_000_000) };
        let (units, nanos) = (self.minor / digits, self.minor % digits * nano);
        object([
            ("currencyCode", Some(self.currency.into())),
            ("units", (units != 0).then(|| units.to_string().into())),
            ("nanos", (nanos != 0).then(|| nanos.into())),
        ])
    }
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            State::Pending => "SUBSCRIPTION_STATE_PENDING",
            State::Active => "SUBSCRIPTION_STATE_ACTIVE",
            State::Paused => "SUBSCRIPTION_STATE_PAUSED",
            State::InGracePeriod => "SUBSCRIPTION_STATE_IN_GRACE_PERIOD",
            State::OnHold => "SUBSCRIPTION_STATE_ON_HOLD",
            State::Canceled => "SUBSCRIPTION_STATE_CANCELED",
            State::Expired => "SUBSCRIPTION_STATE_EXPIRED",
            State::PendingPurchaseCanceled => "SUBSCRIPTION_STATE_PENDING_PURCHASE_CANCELED",
        }
    }
}

const fn acknowledgement(is_acknowledged: bool) -> &'static str {
    if is_acknowledged { "ACKNOWLEDGEMENT_STATE_ACKNOWLEDGED" } else { "ACKNOWLEDGEMENT_STATE_PENDING" }
}

impl SubscriptionPurchase {
    /// The resource.
    #[must_use]
    pub fn json(&self) -> Value {
        let declined = |at: State| {
            let order = self.pending_order_id.as_ref().filter(|_| self.state == at);
            order.map(|order| json!({"renewalDeclined": {"pendingOrderId": order}}))
        };
        object([
            ("kind", Some("androidpublisher#subscriptionPurchaseV2".into())),
            ("regionCode", Some(self.region_code.into())),
            ("startTime", Some(time(self.start_time))),
            ("subscriptionState", Some(self.state.word().into())),
            ("latestOrderId", Some(self.latest_order_id.as_ref().into())),
            ("linkedPurchaseToken", text(self.linked_purchase_token.as_ref())),
            ("canceledStateContext", self.canceled.map(Canceled::json)),
            ("pausedStateContext", self.auto_resume_time.map(|at| json!({"autoResumeTime": time(at)}))),
            ("inGracePeriodStateContext", declined(State::InGracePeriod)),
            ("onHoldStateContext", declined(State::OnHold)),
            ("testPurchase", self.is_test.then(|| json!({}))),
            ("acknowledgementState", Some(acknowledgement(self.is_acknowledged).into())),
            ("externalAccountIdentifiers", self.account_id.as_ref().map(account)),
            ("outOfAppPurchaseContext", self.out_of_app.as_ref().map(OutOfApp::json)),
            ("lineItems", Some(self.items.iter().map(LineItem::json).collect())),
            ("etag", Some(format!("\"{:x}\"", self.fingerprint()).into())),
        ])
    }

    /// Changes with everything that a caller could have overlooked.
    fn fingerprint(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        (self.state.word(), &self.latest_order_id, self.items.first().and_then(|item| item.expiry_time))
            .hash(&mut hasher);
        hasher.finish()
    }
}

fn account(id: &Id) -> Value {
    json!({"obfuscatedExternalAccountId": id})
}

impl OutOfApp {
    fn json(&self) -> Value {
        object([
            ("expiredPurchaseToken", Some(self.expired_token.as_ref().into())),
            ("expiredExternalAccountIdentifiers", self.expired_account_id.as_ref().map(account)),
        ])
    }
}

impl Canceled {
    fn json(self) -> Value {
        match self {
            Canceled::User { at } => json!({"userInitiatedCancellation": {"cancelTime": time(at)}}),
            Canceled::System => json!({"systemInitiatedCancellation": {}}),
            Canceled::Developer => json!({"developerInitiatedCancellation": {}}),
            Canceled::Replacement => json!({"replacementCancellation": {}}),
        }
    }
}

impl LineItem {
    fn json(&self) -> Value {
        let (plan, terms) = match &self.plan {
            Plan::AutoRenewing { is_on, price, change } => {
                let change = change.map(|change| {
                    json!({
                        "newPrice": change.new_price.json(), "priceChangeMode": "PRICE_INCREASE",
                        "priceChangeState": change.state, "expectedNewPriceChargeTime": time(change.expected_charge_time)
                    })
                });
                // Off is absent, never false.
                let terms = object([
                    ("autoRenewEnabled", is_on.then_some(true.into())),
                    ("recurringPrice", Some(price.json())),
                    ("priceChangeDetails", change),
                ]);
                ("autoRenewingPlan", terms)
            }
            Plan::Prepaid { allow_extend_after } => {
                ("prepaidPlan", json!({"allowExtendAfterTime": time(*allow_extend_after)}))
            }
        };
        let details =
            object([("basePlanId", Some(self.base_plan_id.into())), ("offerId", self.offer_id.map(Into::into))]);
        object([
            ("productId", Some(self.product_id.into())),
            ("expiryTime", self.expiry_time.map(time)),
            ("latestSuccessfulOrderId", text(self.order_id.as_ref())),
            (plan, Some(terms)),
            ("offerDetails", Some(details)),
            ("offerPhase", Some(self.phase.json())),
            ("deferredItemReplacement", self.deferred_replacement.map(|product| json!({"productId": product}))),
            ("itemReplacement", self.replacement.map(Replacement::json)),
        ])
    }
}

impl Phase {
    fn json(self) -> Value {
        match self {
            Phase::BasePrice => json!({"basePrice": {}}),
            Phase::FreeTrial => json!({"freeTrial": {}}),
            Phase::IntroductoryPrice => json!({"introductoryPrice": {}}),
            Phase::ProrationPeriod => json!({"prorationPeriod": {}}),
        }
    }

    const fn order_word(self) -> &'static str {
        match self {
            Phase::BasePrice | Phase::ProrationPeriod => "BASE",
            Phase::FreeTrial => "FREE_TRIAL",
            Phase::IntroductoryPrice => "INTRODUCTORY",
        }
    }
}

impl Replacement {
    fn json(self) -> Value {
        json!({"productId": self.product_id, "basePlanId": self.base_plan_id, "replacementMode": self.mode})
    }
}

impl ProductPurchase {
    /// `ProductPurchaseV2`.
    #[must_use]
    pub fn json(&self) -> Value {
        let consumption =
            if self.is_consumed { "CONSUMPTION_STATE_CONSUMED" } else { "CONSUMPTION_STATE_YET_TO_BE_CONSUMED" };
        let offer = object([
            ("quantity", Some(1.into())),
            ("refundableQuantity", (self.refundable > 0).then(|| self.refundable.into())),
            ("consumptionState", Some(consumption.into())),
        ]);
        object([
            ("kind", Some("androidpublisher#productPurchaseV2".into())),
            ("productLineItem", Some(json!([{"productId": self.product_id, "productOfferDetails": offer}]))),
            ("purchaseStateContext", Some(json!({"purchaseState": self.state}))),
            ("testPurchaseContext", self.is_test.then(|| json!({"fopType": "TEST"}))),
            ("orderId", Some(self.order_id.as_ref().into())),
            ("obfuscatedExternalAccountId", text(self.account_id.as_ref())),
            ("regionCode", Some(self.region_code.into())),
            ("purchaseCompletionTime", self.completed_at.map(time)),
            ("acknowledgementState", Some(acknowledgement(self.is_acknowledged).into())),
        ])
    }
}

impl Order {
    /// `Order`.
    #[must_use]
    pub fn json(&self) -> Value {
        let subscription = self.subscription.map(|(base_plan, offer, phase, starts, ends)| {
            object([
                ("basePlanId", Some(base_plan.into())),
                ("offerId", offer.map(Into::into)),
                ("offerPhase", Some(phase.order_word().into())),
                ("servicePeriodStartTime", Some(time(starts))),
                ("servicePeriodEndTime", Some(time(ends))),
            ])
        });
        let once = self.subscription.is_none().then(|| json!({"quantity": 1}));
        let line = object([
            ("productId", Some(self.product_id.into())),
            ("productTitle", Some(self.product_title.into())),
            ("listingPrice", Some(self.listing_price.json())),
            ("total", Some(self.total.json())),
            ("subscriptionDetails", subscription),
            ("oneTimePurchaseDetails", once),
        ]);
        let refund = self.refunded_at.map(
            |at| json!({"eventTime": time(at), "refundReason": "OTHER", "refundDetails": {"total": self.total.json()}}),
        );
        let history =
            object([("processedEvent", Some(json!({"eventTime": time(self.created)}))), ("refundEvent", refund)]);
        object([
            ("orderId", Some(self.order_id.as_ref().into())),
            ("purchaseToken", Some(self.token.as_ref().into())),
            ("state", Some(self.state.into())),
            ("createTime", Some(time(self.created))),
            ("lastEventTime", Some(time(self.last_event))),
            ("buyerAddress", Some(json!({"buyerCountry": self.country}))),
            ("total", Some(self.total.json())),
            ("lineItems", Some(json!([line]))),
            ("orderHistory", Some(history)),
        ])
    }
}

impl VoidedPurchase {
    /// `VoidedPurchase`.
    #[must_use]
    pub fn json(&self) -> Value {
        object([
            ("kind", Some("androidpublisher#voidedPurchase".into())),
            ("purchaseToken", Some(self.token.as_ref().into())),
            ("purchaseTimeMillis", Some(self.purchased.to_string().into())),
            ("voidedTimeMillis", Some(self.voided.to_string().into())),
            ("orderId", Some(self.order_id.as_ref().into())),
            ("voidedSource", (self.source != 0).then(|| self.source.into())),
            ("voidedReason", (self.reason != 0).then(|| self.reason.into())),
        ])
    }
}
