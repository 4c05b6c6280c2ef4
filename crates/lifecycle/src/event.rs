//! What we say happened. Immutable and self-contained; its JSON is the `paidup` webhook body, the API's answer and what
//! the log keeps.

use crate::alert::OperatorAlert;
use crate::closed_set;
use crate::customer::OtherPurchases;
use crate::ids::{BundleId, CustomerId, EventId, ProductId, PurchaseId, SourceId};
use crate::money::Money;
use crate::observation::{
    DetectedBy, Environment, Hint, Kind, Offer, OfferType, Pause, PendingProduct, Period, PeriodType, Reason, Store,
};
use crate::purchase::State;
use crate::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

closed_set! {
    /// The canonical names: Purchasely's, and the hub's own where Purchasely has none (lifecycle.md section 4).
    pub enum EventType {
        /// Access on, or confirmed.
        Activate = "ACTIVATE",
        /// Access off.
        Deactivate = "DEACTIVATE",
        /// First purchase of the subscription.
        SubscriptionStarted = "SUBSCRIPTION_STARTED",
        /// New period.
        SubscriptionRenewed = "SUBSCRIPTION_RENEWED",
        /// An ended subscription came back.
        SubscriptionReactivated = "SUBSCRIPTION_REACTIVATED",
        /// To a higher grade.
        SubscriptionUpgraded = "SUBSCRIPTION_UPGRADED",
        /// Within a grade.
        SubscriptionCrossgraded = "SUBSCRIPTION_CROSSGRADED",
        /// To a lower grade.
        SubscriptionDowngraded = "SUBSCRIPTION_DOWNGRADED",
        /// Another product from a later day on. Hub.
        PlanChangeScheduled = "PLAN_CHANGE_SCHEDULED",
        /// Not after all. Hub.
        PlanChangeUnscheduled = "PLAN_CHANGE_UNSCHEDULED",
        /// The period's end moved later without a charge.
        SubscriptionDeferred = "SUBSCRIPTION_DEFERRED",
        /// Renewal off.
        RenewalDisabled = "RENEWAL_DISABLED",
        /// Renewal on again.
        RenewalEnabled = "RENEWAL_ENABLED",
        /// Ended.
        SubscriptionTerminated = "SUBSCRIPTION_TERMINATED",
        /// A family member lost the shared access.
        FamilySharedRevoked = "FAMILY_SHARED_REVOKED",
        /// Renewal failed, access kept.
        GracePeriodStarted = "GRACE_PERIOD_STARTED",
        /// Grace over unpaid.
        GracePeriodTerminated = "GRACE_PERIOD_TERMINATED",
        /// Renewal failed, access lost, the store keeps trying.
        EnteredBillingRetry = "ENTERED_BILLING_RETRY",
        /// The customer cancelled in grace.
        SubscriptionCancelledDuringGracePeriod = "SUBSCRIPTION_CANCELLED_DURING_GRACE_PERIOD",
        /// Paid in grace.
        SubscriptionRecoveredFromGracePeriod = "SUBSCRIPTION_RECOVERED_FROM_GRACE_PERIOD",
        /// Paid in billing retry.
        SubscriptionRecoveredFromBillingRetry = "SUBSCRIPTION_RECOVERED_FROM_BILLING_RETRY",
        /// A pause is planned.
        SubscriptionWillPause = "SUBSCRIPTION_WILL_PAUSE",
        /// No longer.
        SubscriptionWillNotPause = "SUBSCRIPTION_WILL_NOT_PAUSE",
        /// The pause began.
        SubscriptionPaused = "SUBSCRIPTION_PAUSED",
        /// It runs again.
        SubscriptionUnpaused = "SUBSCRIPTION_UNPAUSED",
        /// Cancelled while paused.
        SubscriptionCancelledDuringPause = "SUBSCRIPTION_CANCELLED_DURING_PAUSE",
        /// To the former owner.
        SubscriptionTransferred = "SUBSCRIPTION_TRANSFERRED",
        /// To the new owner.
        SubscriptionReceived = "SUBSCRIPTION_RECEIVED",
        /// To the former owner of a one-time purchase.
        OneTimePurchaseTransferred = "ONE_TIME_PURCHASE_TRANSFERRED",
        /// To the new owner of a one-time purchase.
        OneTimePurchaseReceived = "ONE_TIME_PURCHASE_RECEIVED",
        /// Refunded, access lost.
        SubscriptionRefundedRevoked = "SUBSCRIPTION_REFUNDED_REVOKED",
        /// Offers: start.
        TrialStarted = "TRIAL_STARTED",
        /// First regular period after it.
        TrialConverted = "TRIAL_CONVERTED",
        /// Ended without one.
        TrialNotConverted = "TRIAL_NOT_CONVERTED",
        /// See `TrialStarted`.
        IntroOfferStarted = "INTRO_OFFER_STARTED",
        /// See `TrialConverted`.
        IntroOfferConverted = "INTRO_OFFER_CONVERTED",
        /// See `TrialNotConverted`.
        IntroOfferNotConverted = "INTRO_OFFER_NOT_CONVERTED",
        /// See `TrialStarted`.
        PromoCodeStarted = "PROMO_CODE_STARTED",
        /// See `TrialConverted`.
        PromoCodeConverted = "PROMO_CODE_CONVERTED",
        /// See `TrialNotConverted`.
        PromoCodeNotConverted = "PROMO_CODE_NOT_CONVERTED",
        /// See `TrialStarted`.
        PromotionalOfferStarted = "PROMOTIONAL_OFFER_STARTED",
        /// See `TrialConverted`.
        PromotionalOfferConverted = "PROMOTIONAL_OFFER_CONVERTED",
        /// See `TrialNotConverted`.
        PromotionalOfferNotConverted = "PROMOTIONAL_OFFER_NOT_CONVERTED",
        /// Money moved.
        TransactionProcessed = "TRANSACTION_PROCESSED",
        /// Apple's cancel sheet was opened; kept for the list, never sent by this hub yet.
        RetentionMessageRequested = "RETENTION_MESSAGE_REQUESTED",
        /// Bought once. Hub.
        OneTimePurchased = "ONE_TIME_PURCHASED",
        /// A one-time purchase was refunded. Hub.
        OneTimeRefunded = "ONE_TIME_REFUNDED",
        /// A one-time purchase that runs for a time ended. Hub.
        OneTimeExpired = "ONE_TIME_EXPIRED",
        /// An entitlement given by hand. Hub.
        PromoGranted = "PROMO_GRANTED",
        /// Taken away by hand. Hub.
        PromoRevoked = "PROMO_REVOKED",
        /// Access for at most a day, while a store cannot say whether a claimed purchase is one. Hub.
        TemporaryEntitlementGranted = "TEMPORARY_ENTITLEMENT_GRANTED",
        /// One attempt to charge failed. Hub.
        PaymentFailed = "PAYMENT_FAILED",
        /// A refund was asked for, or a dispute opened. Hub.
        RefundRequested = "REFUND_REQUESTED",
        /// It was declined. Hub.
        RefundDeclined = "REFUND_DECLINED",
        /// It was undone. Hub.
        RefundReversed = "REFUND_REVERSED",
        /// A refund that leaves access as it is. Hub.
        RefundRecorded = "REFUND_RECORDED",
        /// A higher price was announced. Hub.
        PriceIncreasePending = "PRICE_INCREASE_PENDING",
        /// And agreed to. Hub.
        PriceIncreaseAccepted = "PRICE_INCREASE_ACCEPTED",
        /// An offer was redeemed that starts later. Hub.
        OfferRedeemed = "OFFER_REDEEMED",
        /// The catalogue changed what a purchase unlocks. Hub.
        EntitlementsChanged = "ENTITLEMENTS_CHANGED",
        /// A person must act: about the hub itself, not about a purchase (`details.alert`). Only for who asks for it. Hub.
        OperatorAlert = "OPERATOR_ALERT",
        /// No longer. Hub.
        OperatorAlertOver = "OPERATOR_ALERT_OVER",
        /// The line is tested. Hub.
        Test = "TEST",
    }
}

closed_set! {
    /// Why access moved, on ACTIVATE and DEACTIVATE, so that a dialect can tell an ending from a swap.
    pub enum Edge {
        /// Access began.
        Began = "began",
        /// Access ended.
        Ended = "ended",
        /// The plan was replaced; the other half is in the same bundle.
        Replaced = "replaced",
        /// The purchase changed hands.
        Transferred = "transferred",
        /// Access was on and stays on.
        Refresh = "refresh",
    }
}

closed_set! {
    /// What moved money.
    pub enum MoneyKind {
        /// A charge.
        Charge = "charge",
        /// Money back; the amount is negative.
        Refund = "refund",
        /// A refund undone; the amount is positive.
        Reversal = "reversal",
    }
}

/// Events that belong together: one input's events about one purchase, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bundle {
    /// Same for all of them.
    pub id: BundleId,
    /// This event's place, from 0.
    pub index: u32,
    /// The types of all of them, in order.
    pub types: Vec<EventType>,
}

/// The customer as an event shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CustomerView {
    /// Our id.
    pub id: CustomerId,
    /// Every other id, oldest first. Empty for an anonymous customer.
    pub aliases: Vec<String>,
    /// Grows by one with every bundle that concerns the customer.
    pub revision: u64,
    /// The id to show and to send as `app_user_id`: the newest alias the store named, else our id.
    pub app_user_id: String,
    /// The first id ever seen.
    pub original_app_user_id: String,
    /// Nobody has claimed it yet.
    pub anonymous: bool,
    /// What the customer's purchases of this environment amount to without the one that the event is about; absent when
    /// there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_purchases: Option<OtherPurchases>,
    /// Attributes, as last told.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, AttributeView>,
}

/// A customer's attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttributeView {
    /// Text.
    pub value: String,
    /// When it was told.
    pub updated_at: Timestamp,
}

/// The purchase as an event shows it: all that a dialect may need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PurchaseView {
    /// Our id.
    pub id: PurchaseId,
    /// The store's lasting id.
    pub store_purchase_id: String,
    /// What was bought.
    pub kind: Kind,
    /// The store's product id, where known.
    pub product_id: Option<String>,
    /// Our id of the product, where it is in the catalogue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalogue_id: Option<ProductId>,
    /// For people, from the catalogue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_name: Option<String>,
    /// What the product unlocks.
    pub entitlements: Vec<String>,
    /// The running (or last) period.
    pub period: Option<Period>,
    /// The store's id of the transaction that paid for the period, where the period has no id of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
    /// How it was paid for.
    pub period_type: Option<PeriodType>,
    /// Lifecycle state.
    pub state: State,
    /// Renewal is on; absent where the idea makes no sense (one-time, grant) or nobody said.
    pub will_renew: Option<bool>,
    /// The offer in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<Offer>,
    /// Until when access is kept although the charge failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_ends_at: Option<Timestamp>,
    /// A pause, planned or running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// A product that will be in force later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<PendingProduct>,
    /// The end after an extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extended_until: Option<Timestamp>,
    /// Why renewal is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_reason: Option<Reason>,
    /// Since when renewal is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled_at: Option<Timestamp>,
    /// Why it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration_reason: Option<Reason>,
    /// Shared by a family member.
    #[serde(default)]
    pub family_shared: bool,
    /// ISO 3166 alpha-2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// The first transaction known of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_transaction_id: Option<String>,
    /// When the first known period began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_purchased_at: Option<Timestamp>,
    /// Paid or free periods known so far, from 1.
    pub renewal_number: u32,
    /// What the running period cost, where told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Money>,
}

impl PurchaseView {
    /// The store's id of the running (or last) period's transaction.
    #[must_use]
    pub fn current_transaction_id(&self) -> Option<&String> {
        let of_period = self.period.as_ref().and_then(|period| period.transaction_id.as_ref());
        of_period.or(self.transaction_id.as_ref())
    }
}

/// What the customer may use after the event, and what the event changed in it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct EntitlementChange {
    /// All that the customer may use now, from any purchase; sorted.
    pub active: Vec<String>,
    /// Gained by this event.
    pub activated: Vec<String>,
    /// Lost by this event.
    pub deactivated: Vec<String>,
}

/// Money that moved, or the transaction that the event is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TransactionView {
    /// The store's id.
    pub id: Option<String>,
    /// Charge, refund or reversal; absent when no money moved with this event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<MoneyKind>,
    /// The amount; negative for a refund; absent where the store did not tell.
    #[serde(flatten)]
    pub money: Option<Money>,
    /// The refund's id, or its ordinal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund_id: Option<String>,
    /// The product that the transaction was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_id: Option<String>,
    /// The attempt, on PAYMENT_FAILED.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_id: Option<String>,
    /// The event of the same bundle that caused the money to move, on TRANSACTION_PROCESSED.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_event: Option<EventType>,
}

/// What only some events carry.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Details {
    /// The product before a plan change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_product_id: Option<String>,
    /// The product after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_product_id: Option<String>,
    /// From when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_at: Option<Timestamp>,
    /// The offer that the period before was in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_offer_type: Option<OfferType>,
    /// A free period became a paid one (on renewals and recoveries).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_trial_conversion: Option<bool>,
    /// The chain went on (App Store: same subscription group) rather than a new purchase of the same product.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_chain: Option<bool>,
    /// Former owner, all ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub transferred_from: Vec<String>,
    /// New owner, all ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub transferred_to: Vec<String>,
    /// The former and the new owner are one person: nobody had claimed the former one, or the two were made one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merged: Option<bool>,
    /// A cancellation was told for this period before (renewal off, or a billing failure).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancellation_told: Option<bool>,
    /// The price that was announced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_price: Option<Money>,
    /// The refund is of a part only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partial: Option<bool>,
    /// Found by comparing with the store, not told by it (`reconcile`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detected_by: Option<DetectedBy>,
    /// What an operator must know, on OPERATOR_ALERT and OPERATOR_ALERT_OVER.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert: Option<OperatorAlert>,
}

/// What we say happened. Field order is the JSON's order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Same on every attempt and in every rebuild.
    pub id: EventId,
    /// Canonical name.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// Numbers the purchase's events without gaps, from 1.
    pub seq: u64,
    /// What belongs together.
    pub bundle: Bundle,
    /// Why access moved, on ACTIVATE and DEACTIVATE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge: Option<Edge>,
    /// The store's time.
    pub occurred_at: Timestamp,
    /// Ours.
    pub detected_at: Timestamp,
    /// Real money or a test.
    pub environment: Environment,
    /// Which store.
    pub store: Store,
    /// Which source told of it.
    pub source_id: SourceId,
    /// Who.
    pub customer: CustomerView,
    /// What, after the event.
    pub purchase: PurchaseView,
    /// What, before the event's bundle; absent at the first.
    pub previous: Option<PurchaseView>,
    /// What the customer may use after it.
    pub entitlements: EntitlementChange,
    /// Money, or the transaction that it is about.
    pub transaction: Option<TransactionView>,
    /// Why, in RevenueCat's words.
    pub reason: Option<Reason>,
    /// Why the store spoke; absent when the clock did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<Hint>,
    /// Concluded, not told.
    pub inferred: bool,
    /// From history, not live.
    pub backfill: bool,
    /// What only some events carry.
    #[serde(default, skip_serializing_if = "is_default")]
    pub details: Details,
}

fn is_default(details: &Details) -> bool {
    *details == Details::default()
}

/// An event in its place in the log, with its JSON written once for everybody.
#[derive(Debug, Clone)]
pub struct LoggedEvent {
    /// Partition of the log.
    pub partition: u16,
    /// Place in the partition's log, from 1, without gaps.
    pub position: u64,
    /// The event.
    pub event: std::sync::Arc<Event>,
    /// Its JSON: the body of the `paidup` format, and what the log keeps.
    pub json: bytes::Bytes,
}
