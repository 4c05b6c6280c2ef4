//! Apple's own names: the notification (V2), the transaction and the renewal info inside it.
//!
//! Only fields that decide something are read; Apple adds new ones at will, so unknown fields and unknown words are no
//! errors. <https://developer.apple.com/documentation/appstoreservernotifications/responsebodyv2decodedpayload>

use super::verify::environment;
use paidup_lifecycle::observation::Environment;
use paidup_lifecycle::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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

impl Payload<'_> {
    /// Where it was said. A token for purchases outside of the store names no environment.
    pub(super) fn environment(&self) -> Option<Environment> {
        let part = self.summary.as_ref().or(self.app_data.as_ref()).and_then(|part| part.environment.as_deref());
        environment(self.data.as_ref().and_then(|data| data.environment.as_deref()).or(part))
    }
}

/// For which app, and in which environment. A `summary` names besides which extension of renewal dates it is about.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AppAddress<'a> {
    #[serde(borrow, default)]
    pub(super) environment: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) app_apple_id: Option<i64>,
    #[serde(borrow, default)]
    pub(super) bundle_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) product_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) request_identifier: Option<Cow<'a, str>>,
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
    /// `PURCHASE`: the customer acted (an upgrade too); `RENEWAL`.
    #[serde(borrow, default)]
    pub(super) transaction_reason: Option<Cow<'a, str>>,
    /// Replaced by an upgrade: it is not the running period's, whatever its dates say.
    #[serde(default)]
    pub(super) is_upgraded: bool,
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

/// "Get All Subscription Statuses". <https://developer.apple.com/documentation/appstoreserverapi/statusresponse>
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StatusResponse<'a> {
    #[serde(borrow, default)]
    pub(super) environment: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) bundle_id: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) app_apple_id: Option<i64>,
    /// One for each subscription group of the customer.
    #[serde(borrow, default)]
    pub(super) data: Vec<StatusGroup<'a>>,
}

/// A subscription group.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StatusGroup<'a> {
    /// One for each subscription: a bought one and one that the family shares may stand side by side.
    #[serde(borrow, default)]
    pub(super) last_transactions: Vec<StatusItem<'a>>,
}

/// A subscription as it stands.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StatusItem<'a> {
    /// As in [`Data`].
    #[serde(default)]
    pub(super) status: Option<i64>,
    #[serde(borrow, default)]
    pub(super) original_transaction_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) signed_transaction_info: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) signed_renewal_info: Option<Cow<'a, str>>,
}

/// "Get Transaction Info", and what we keep of a transaction that an app's backend shows.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TransactionResponse<'a> {
    #[serde(borrow)]
    pub(super) signed_transaction_info: Cow<'a, str>,
}

/// "Get Notification History".
/// <https://developer.apple.com/documentation/appstoreserverapi/notificationhistoryresponse>
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HistoryPage<'a> {
    #[serde(default)]
    pub(super) has_more: bool,
    #[serde(borrow, default)]
    pub(super) pagination_token: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) notification_history: Vec<HistoryItem<'a>>,
}

/// A notification with what became of it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HistoryItem<'a> {
    #[serde(borrow)]
    pub(super) signed_payload: Cow<'a, str>,
    /// At most six.
    #[serde(default)]
    pub(super) send_attempts: Vec<SendAttempt>,
}

/// One attempt to send a notification.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SendAttempt {
    #[serde(default)]
    pub(super) attempt_date: Option<i64>,
    #[serde(default)]
    pub(super) send_attempt_result: Option<String>,
}

/// What is kept of a page: the notifications themselves are kept beside it, each for itself.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KeptPage {
    /// Apple did not take the page's token.
    #[serde(default)]
    pub(super) stale_token: bool,
    #[serde(default)]
    pub(super) has_more: bool,
    #[serde(default)]
    pub(super) pagination_token: Option<String>,
    #[serde(default)]
    pub(super) items: Vec<KeptItem>,
}

/// What is kept of a notification's place on a page.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KeptItem {
    /// Its `notificationUUID`.
    pub(super) id: Option<String>,
    /// Why it was left out.
    pub(super) refused: Option<String>,
    pub(super) send_attempts: Vec<SendAttempt>,
}

/// "Request a Test Notification".
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TestRequested {
    pub(super) test_notification_token: String,
}

/// "Get Test Notification Status".
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TestStatus {
    #[serde(default)]
    pub(super) signed_payload: Option<String>,
    #[serde(default)]
    pub(super) send_attempts: Vec<SendAttempt>,
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
