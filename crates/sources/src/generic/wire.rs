//! The generic notification's JSON, field by field (`docs`: "Generic source").
//!
//! Absent leaves what is known, `null` clears it (or is refused, see `check`), so most fields are an option in an option. Unknown fields are errors:
//! the sender is the operator's own backend, and a misspelled field would be lost silently.

use paidup_lifecycle::closed_set;
use paidup_lifecycle::money::Currency;
use paidup_lifecycle::observation::{Environment, Offer, Pause, PeriodType, Reason as Cause, Store};
use paidup_lifecycle::time::Timestamp;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::collections::BTreeMap;

closed_set! {
    /// Why the sender speaks.
    pub(super) enum Reason {
        Purchased = "purchased",
        Renewed = "renewed",
        RenewalDisabled = "renewal_disabled",
        RenewalEnabled = "renewal_enabled",
        PaymentFailed = "payment_failed",
        GraceStarted = "grace_started",
        BillingRetryStarted = "billing_retry_started",
        Recovered = "recovered",
        ProductChanged = "product_changed",
        ProductChangeScheduled = "product_change_scheduled",
        ProductChangeCancelled = "product_change_cancelled",
        PauseScheduled = "pause_scheduled",
        PauseCancelled = "pause_cancelled",
        Paused = "paused",
        Resumed = "resumed",
        Extended = "extended",
        RefundRequested = "refund_requested",
        Refunded = "refunded",
        RefundDeclined = "refund_declined",
        RefundReversed = "refund_reversed",
        Revoked = "revoked",
        Expired = "expired",
        Transferred = "transferred",
        OneTimePurchased = "one_time_purchased",
        PriceIncrease = "price_increase",
        Test = "test",
    }
}

closed_set! {
    /// What was bought. Grants are made by the hub alone.
    pub(super) enum Bought {
        Subscription = "subscription",
        Consumable = "consumable",
        NonConsumable = "non_consumable",
        NonRenewing = "non_renewing",
    }
}

/// A field that may be absent, `null` or told.
type Told<T> = Option<Option<T>>;

fn told<'de, T: Deserialize<'de>, D: Deserializer<'de>>(d: D) -> Result<Told<T>, D::Error> {
    Option::<T>::deserialize(d).map(Some)
}

/// Text that borrows from the body where it has no escapes.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// One element.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Element<'a> {
    #[serde(borrow)]
    pub(super) id: Text<'a>,
    pub(super) observed_at: Timestamp,
    pub(super) reason: Reason,
    pub(super) environment: Environment,
    #[serde(borrow)]
    pub(super) purchase_id: Text<'a>,
    #[serde(default)]
    pub(super) store: Option<Store>,
    #[serde(borrow, default, deserialize_with = "told")]
    pub(super) customer_id: Told<Text<'a>>,
    #[serde(default, deserialize_with = "told")]
    pub(super) kind: Told<Bought>,
    #[serde(borrow, default)]
    pub(super) transaction_id: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "told")]
    pub(super) product_id: Told<Text<'a>>,
    #[serde(default, deserialize_with = "told")]
    pub(super) period_type: Told<PeriodType>,
    #[serde(default, deserialize_with = "told")]
    pub(super) period: Told<Period>,
    #[serde(default, deserialize_with = "told")]
    pub(super) will_renew: Told<bool>,
    #[serde(default, deserialize_with = "told")]
    pub(super) price: Told<Price>,
    #[serde(default, deserialize_with = "told")]
    pub(super) grace_ends_at: Told<Timestamp>,
    #[serde(default, deserialize_with = "told")]
    pub(super) billing_retry: Told<bool>,
    #[serde(default, deserialize_with = "told")]
    pub(super) pause: Told<Pause>,
    #[serde(borrow, default, deserialize_with = "told")]
    pub(super) pending_product_id: Told<Text<'a>>,
    #[serde(default)]
    pub(super) pending_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "told")]
    pub(super) extended_until: Told<Timestamp>,
    #[serde(default, deserialize_with = "told")]
    pub(super) cancel_reason: Told<Cause>,
    #[serde(default, deserialize_with = "told")]
    pub(super) expiration_reason: Told<Cause>,
    #[serde(default, deserialize_with = "told")]
    pub(super) offer: Told<Offer>,
    #[serde(default, deserialize_with = "told")]
    pub(super) family_shared: Told<bool>,
    #[serde(borrow, default, deserialize_with = "told")]
    pub(super) country: Told<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) refund: Option<Refund<'a>>,
    #[serde(borrow, default)]
    pub(super) transfer_to: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) attempt_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) attributes: Option<BTreeMap<Cow<'a, str>, Option<Text<'a>>>>,
}

impl Element<'_> {
    /// The running period, when it is told.
    pub(super) fn period(&self) -> Option<&Period> {
        self.period.as_ref().and_then(Option::as_ref)
    }

    /// The product in force, when it is told.
    pub(super) fn product_id(&self) -> Option<&str> {
        self.product_id.as_ref().and_then(Option::as_ref).map(|id| id.0.as_ref())
    }
}

/// The running period.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Period {
    pub(super) starts_at: Timestamp,
    /// Absent or null: for ever.
    #[serde(default)]
    pub(super) ends_at: Option<Timestamp>,
}

/// What was paid.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Price {
    pub(super) amount_minor: i64,
    pub(super) currency: Currency,
}

/// What went back, or may.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Refund<'a> {
    #[serde(borrow)]
    pub(super) transaction_id: Text<'a>,
    /// With `currency`; both absent: all of it.
    #[serde(default)]
    pub(super) amount_minor: Option<i64>,
    #[serde(default)]
    pub(super) currency: Option<Currency>,
    /// The sender's id of the refund, when a transaction can have several.
    #[serde(borrow, default)]
    pub(super) id: Option<Text<'a>>,
}
