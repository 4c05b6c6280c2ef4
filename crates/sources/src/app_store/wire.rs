//! Apple's own names: the notification (V2), the transaction and the renewal info inside it.
//!
//! Only fields that decide something are read; Apple adds new ones at will, so unknown fields and unknown words are no
//! errors. <https://developer.apple.com/documentation/appstoreservernotifications/responsebodyv2decodedpayload>

use paidup_lifecycle::time::Timestamp;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// The request's body.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Envelope<'a> {
    /// A JWS whose payload is a [`Payload`].
    #[serde(borrow)]
    pub(super) signed_payload: Cow<'a, str>,
}

/// Milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Millis(pub(super) Timestamp);

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Timestamp::from_millis(i64::deserialize(d)?).map(Millis).map_err(serde::de::Error::custom)
    }
}

/// What a notification says. Exactly one of `data`, `summary`, `external_purchase_token`, `app_data` is there.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Payload<'a> {
    #[serde(borrow)]
    pub(super) notification_type: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) subtype: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "notificationUUID")]
    pub(super) notification_uuid: Cow<'a, str>,
    pub(super) signed_date: Millis,
    #[serde(borrow, default)]
    pub(super) data: Option<Data<'a>>,
    #[serde(borrow, default)]
    pub(super) summary: Option<AppAddress<'a>>,
    #[serde(borrow, default)]
    pub(super) external_purchase_token: Option<ExternalPurchaseToken<'a>>,
    #[serde(borrow, default)]
    pub(super) app_data: Option<AppAddress<'a>>,
}

/// For which app, and in which environment; `summary` and `appData` are read no further.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AppAddress<'a> {
    #[serde(borrow, default)]
    pub(super) environment: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) app_apple_id: Option<i64>,
    #[serde(borrow, default)]
    pub(super) bundle_id: Option<Cow<'a, str>>,
}

/// About a purchase.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Data<'a> {
    #[serde(borrow, default)]
    pub(super) environment: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) app_apple_id: Option<i64>,
    #[serde(borrow, default)]
    pub(super) bundle_id: Option<Cow<'a, str>>,
    /// A JWS whose payload is a [`Transaction`].
    #[serde(borrow, default)]
    pub(super) signed_transaction_info: Option<Cow<'a, str>>,
    /// A JWS whose payload is a [`Renewal`].
    #[serde(borrow, default)]
    pub(super) signed_renewal_info: Option<Cow<'a, str>>,
    /// 1 active, 2 expired, 3 billing retry, 4 grace, 5 revoked: of the subscription, now.
    #[serde(default)]
    pub(super) status: Option<i64>,
}

/// A token for purchases outside of the store. It names no environment: the id of a sandbox one starts with `SANDBOX`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExternalPurchaseToken<'a> {
    #[serde(borrow, default)]
    pub(super) external_purchase_id: Cow<'a, str>,
    #[serde(default)]
    pub(super) app_apple_id: Option<i64>,
    #[serde(borrow, default)]
    pub(super) bundle_id: Option<Cow<'a, str>>,
}

/// <https://developer.apple.com/documentation/appstoreserverapi/jwstransactiondecodedpayload>
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Transaction<'a> {
    #[serde(borrow, default)]
    pub(super) transaction_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) original_transaction_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) bundle_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) environment: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) product_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) purchase_date: Option<Millis>,
    #[serde(default)]
    pub(super) expires_date: Option<Millis>,
    #[serde(default)]
    pub(super) signed_date: Option<Millis>,
    #[serde(default)]
    pub(super) revocation_date: Option<Millis>,
    #[serde(borrow, default)]
    pub(super) revocation_type: Option<Cow<'a, str>>,
    /// Thousandths of a percent.
    #[serde(default)]
    pub(super) revocation_percentage: Option<i64>,
    #[serde(borrow, default)]
    pub(super) in_app_ownership_type: Option<Cow<'a, str>>,
    /// 1 introductory, 2 promotional, 3 offer code, 4 win-back.
    #[serde(default)]
    pub(super) offer_type: Option<i64>,
    #[serde(borrow, default)]
    pub(super) offer_identifier: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) offer_discount_type: Option<Cow<'a, str>>,
    /// Thousandths of the currency's unit, for the yen too.
    #[serde(default)]
    pub(super) price: Option<i64>,
    #[serde(borrow, default)]
    pub(super) currency: Option<Cow<'a, str>>,
    /// ISO 3166 alpha-3.
    #[serde(borrow, default)]
    pub(super) storefront: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) app_account_token: Option<Cow<'a, str>>,
}

/// <https://developer.apple.com/documentation/appstoreserverapi/jwsrenewalinfodecodedpayload>
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Renewal<'a> {
    #[serde(borrow, default)]
    pub(super) original_transaction_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) environment: Option<Cow<'a, str>>,
    /// The product in force.
    #[serde(borrow, default)]
    pub(super) product_id: Option<Cow<'a, str>>,
    /// The product of the next period.
    #[serde(borrow, default)]
    pub(super) auto_renew_product_id: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) auto_renew_status: Option<i64>,
    /// When the period in force ends.
    #[serde(default)]
    pub(super) renewal_date: Option<Millis>,
    #[serde(default)]
    pub(super) renewal_price: Option<i64>,
    #[serde(borrow, default)]
    pub(super) currency: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) signed_date: Option<Millis>,
    #[serde(default)]
    pub(super) is_in_billing_retry_period: Option<bool>,
    #[serde(default)]
    pub(super) grace_period_expires_date: Option<Millis>,
    /// 1 customer, 2 billing, 3 no price consent, 4 product unavailable, 5 other.
    #[serde(default)]
    pub(super) expiration_intent: Option<i64>,
    /// 0 pending, 1 accepted.
    #[serde(default)]
    pub(super) price_increase_status: Option<i64>,
    /// Of the next period, as in [`Transaction`].
    #[serde(default)]
    pub(super) offer_type: Option<i64>,
    #[serde(borrow, default)]
    pub(super) offer_identifier: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) offer_discount_type: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) recent_subscription_start_date: Option<Millis>,
    #[serde(borrow, default)]
    pub(super) app_account_token: Option<Cow<'a, str>>,
}

/// `notificationType`, as far as it decides something.
/// <https://developer.apple.com/documentation/appstoreservernotifications/notificationtype>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Subscribed,
    DidRenew,
    DidChangeRenewalStatus,
    DidChangeRenewalPref,
    OfferRedeemed,
    DidFailToRenew,
    GracePeriodExpired,
    Expired,
    PriceIncrease,
    Refund,
    RefundDeclined,
    RefundReversed,
    ConsumptionRequest,
    Revoke,
    RenewalExtended,
    OneTimeCharge,
    Test,
    /// Known, and of no consequence for a purchase.
    Informative,
    /// Added by Apple after this was written.
    Other,
}

impl Type {
    pub(super) fn of(name: &str) -> Type {
        match name {
            "SUBSCRIBED" => Type::Subscribed,
            "DID_RENEW" => Type::DidRenew,
            "DID_CHANGE_RENEWAL_STATUS" => Type::DidChangeRenewalStatus,
            "DID_CHANGE_RENEWAL_PREF" => Type::DidChangeRenewalPref,
            "OFFER_REDEEMED" => Type::OfferRedeemed,
            "DID_FAIL_TO_RENEW" => Type::DidFailToRenew,
            "GRACE_PERIOD_EXPIRED" => Type::GracePeriodExpired,
            "EXPIRED" => Type::Expired,
            "PRICE_INCREASE" => Type::PriceIncrease,
            "REFUND" => Type::Refund,
            "REFUND_DECLINED" => Type::RefundDeclined,
            "REFUND_REVERSED" => Type::RefundReversed,
            "CONSUMPTION_REQUEST" => Type::ConsumptionRequest,
            "REVOKE" => Type::Revoke,
            "RENEWAL_EXTENDED" => Type::RenewalExtended,
            "ONE_TIME_CHARGE" => Type::OneTimeCharge,
            "TEST" => Type::Test,
            // The last three belong to Advanced Commerce and change what the purchase is called or costs later on.
            "RENEWAL_EXTENSION"
            | "EXTERNAL_PURCHASE_TOKEN"
            | "RESCIND_CONSENT"
            | "METADATA_UPDATE"
            | "MIGRATION"
            | "PRICE_CHANGE" => Type::Informative,
            _ => Type::Other,
        }
    }

    /// Whether its transaction may be one of long ago, while `status` and renewal info describe the running period.
    pub(super) const fn looks_back(self) -> bool {
        match self {
            Type::Refund | Type::RefundDeclined | Type::RefundReversed | Type::ConsumptionRequest | Type::Revoke => {
                true
            }
            Type::Subscribed
            | Type::DidRenew
            | Type::DidChangeRenewalStatus
            | Type::DidChangeRenewalPref
            | Type::OfferRedeemed
            | Type::DidFailToRenew
            | Type::GracePeriodExpired
            | Type::Expired
            | Type::PriceIncrease
            | Type::RenewalExtended
            | Type::OneTimeCharge
            | Type::Test
            | Type::Informative
            | Type::Other => false,
        }
    }
}

/// `subtype`. <https://developer.apple.com/documentation/appstoreservernotifications/subtype>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subtype {
    /// None, or one that decides nothing.
    None,
    InitialBuy,
    Resubscribe,
    BillingRecovery,
    AutoRenewEnabled,
    AutoRenewDisabled,
    Upgrade,
    Downgrade,
    GracePeriod,
    Voluntary,
    BillingRetry,
    PriceIncrease,
    ProductNotForSale,
    Pending,
    Accepted,
}

impl Subtype {
    pub(super) fn of(name: Option<&str>) -> Subtype {
        match name.unwrap_or_default() {
            "INITIAL_BUY" => Subtype::InitialBuy,
            "RESUBSCRIBE" => Subtype::Resubscribe,
            "BILLING_RECOVERY" => Subtype::BillingRecovery,
            "AUTO_RENEW_ENABLED" => Subtype::AutoRenewEnabled,
            "AUTO_RENEW_DISABLED" => Subtype::AutoRenewDisabled,
            "UPGRADE" => Subtype::Upgrade,
            "DOWNGRADE" => Subtype::Downgrade,
            "GRACE_PERIOD" => Subtype::GracePeriod,
            "VOLUNTARY" => Subtype::Voluntary,
            "BILLING_RETRY" => Subtype::BillingRetry,
            "PRICE_INCREASE" => Subtype::PriceIncrease,
            "PRODUCT_NOT_FOR_SALE" => Subtype::ProductNotForSale,
            "PENDING" => Subtype::Pending,
            "ACCEPTED" => Subtype::Accepted,
            _ => Subtype::None,
        }
    }
}
