//! Google's own names: the Pub/Sub envelope, the developer notification in it, and the answers of the Android Publisher
//! API, as far as they are read. Every field of an answer is optional: what is missing says nothing.
//! <https://developer.android.com/google/play/billing/rtdn-reference>,
//! <https://developers.google.com/android-publisher/api-ref/rest/v3/purchases.subscriptionsv2>

use paidup_lifecycle::money::Money;
use paidup_lifecycle::time::Timestamp;
use serde::{Deserialize, Deserializer};

/// The longest token, order or product id that is taken as one: the three are parts of paths and keys.
const MAX_ID: usize = 400;

/// Whether a text can be an id of Google's: nothing that means something in a path.
pub(super) fn is_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'~');
    !text.is_empty() && text.len() <= MAX_ID && text.bytes().all(plain) && text.bytes().any(|byte| byte != b'.')
}

/// Whether a text can be an account's id or a code: not nothing, and not long.
pub(super) fn is_short(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_ID
}

/// What Pub/Sub pushes. It repeats some names in snake case, which are not read unless the others are missing.
#[derive(Debug, Deserialize)]
pub(super) struct Envelope {
    pub(super) message: Message,
    #[serde(default)]
    pub(super) subscription: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Message {
    #[serde(default)]
    pub(super) data: Option<String>,
    #[serde(default, rename = "messageId")]
    message_id: Option<String>,
    #[serde(default, rename = "message_id")]
    snake_message_id: Option<String>,
}

impl Message {
    pub(super) fn id(&self) -> Option<&str> {
        self.message_id
            .as_deref()
            .or(self.snake_message_id.as_deref())
            .filter(|id| !id.is_empty() && id.len() <= MAX_ID)
    }
}

/// What Google Play says to developers: exactly one of its members.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct DeveloperNotification {
    pub(super) package_name: Option<String>,
    #[serde(deserialize_with = "millis")]
    pub(super) event_time_millis: Option<Timestamp>,
    pub(super) subscription_notification: Option<SubscriptionNotification>,
    pub(super) one_time_product_notification: Option<OneTimeProductNotification>,
    pub(super) voided_purchase_notification: Option<VoidedPurchaseNotification>,
    pub(super) pending_refund_review_notification: Option<PendingRefundReviewNotification>,
    pub(super) test_notification: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct SubscriptionNotification {
    pub(super) notification_type: i64,
    pub(super) purchase_token: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct OneTimeProductNotification {
    pub(super) notification_type: i64,
    pub(super) purchase_token: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct VoidedPurchaseNotification {
    pub(super) purchase_token: String,
    pub(super) order_id: String,
    pub(super) product_type: i64,
    pub(super) refund_type: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PendingRefundReviewNotification {
    pub(super) order_id: String,
}

/// The names of the numbers, for the operator.
pub(super) fn subscription_type(number: i64) -> Option<&'static str> {
    Some(match number {
        1 => "SUBSCRIPTION_RECOVERED",
        2 => "SUBSCRIPTION_RENEWED",
        3 => "SUBSCRIPTION_CANCELED",
        4 => "SUBSCRIPTION_PURCHASED",
        5 => "SUBSCRIPTION_ON_HOLD",
        6 => "SUBSCRIPTION_IN_GRACE_PERIOD",
        7 => "SUBSCRIPTION_RESTARTED",
        8 => "SUBSCRIPTION_PRICE_CHANGE_CONFIRMED",
        9 => "SUBSCRIPTION_DEFERRED",
        10 => "SUBSCRIPTION_PAUSED",
        11 => "SUBSCRIPTION_PAUSE_SCHEDULE_CHANGED",
        12 => "SUBSCRIPTION_REVOKED",
        13 => "SUBSCRIPTION_EXPIRED",
        17 => "SUBSCRIPTION_ITEMS_CHANGED",
        18 => "SUBSCRIPTION_CANCELLATION_SCHEDULED",
        19 => "SUBSCRIPTION_PRICE_CHANGE_UPDATED",
        20 => "SUBSCRIPTION_PENDING_PURCHASE_CANCELED",
        22 => "SUBSCRIPTION_PRICE_STEP_UP_CONSENT_UPDATED",
        _ => return None,
    })
}

/// Milliseconds since 1970, as a number or as a text: Google's JSON writes 64-bit numbers as texts.
fn millis<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Timestamp>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Millis {
        Number(i64),
        Text(String),
    }
    let number = match Option::<Millis>::deserialize(d)? {
        Some(Millis::Number(number)) => Some(number),
        Some(Millis::Text(text)) => Some(text.parse().map_err(serde::de::Error::custom)?),
        None => None,
    };
    number.map(Timestamp::from_millis).transpose().map_err(serde::de::Error::custom)
}

/// A time as Google writes it; one that cannot be says nothing.
fn time<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(Option::<String>::deserialize(d)?.and_then(|text| text.parse().ok()))
}

/// How a subscription stands.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct SubscriptionPurchase {
    pub(super) subscription_state: Option<String>,
    #[serde(deserialize_with = "time")]
    pub(super) start_time: Option<Timestamp>,
    pub(super) region_code: Option<String>,
    pub(super) acknowledgement_state: Option<String>,
    pub(super) linked_purchase_token: Option<String>,
    pub(super) canceled_state_context: Option<CanceledStateContext>,
    pub(super) paused_state_context: Option<PausedStateContext>,
    pub(super) external_account_identifiers: Option<ExternalAccountIdentifiers>,
    pub(super) out_of_app_purchase_context: Option<OutOfAppPurchaseContext>,
    pub(super) test_purchase: Option<serde::de::IgnoredAny>,
    pub(super) line_items: Vec<LineItem>,
    pub(super) latest_order_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct CanceledStateContext {
    pub(super) user_initiated_cancellation: Option<UserInitiatedCancellation>,
    pub(super) system_initiated_cancellation: Option<serde::de::IgnoredAny>,
    pub(super) developer_initiated_cancellation: Option<serde::de::IgnoredAny>,
    pub(super) replacement_cancellation: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct UserInitiatedCancellation {
    #[serde(deserialize_with = "time")]
    pub(super) cancel_time: Option<Timestamp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PausedStateContext {
    #[serde(deserialize_with = "time")]
    pub(super) auto_resume_time: Option<Timestamp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ExternalAccountIdentifiers {
    pub(super) external_account_id: Option<String>,
    pub(super) obfuscated_external_account_id: Option<String>,
}

impl ExternalAccountIdentifiers {
    /// The customer's id in the app.
    pub(super) fn owner(&self) -> Option<&str> {
        let is_set = |id: &&str| is_short(id);
        let obfuscated = self.obfuscated_external_account_id.as_deref().filter(is_set);
        obfuscated.or(self.external_account_id.as_deref().filter(is_set))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct OutOfAppPurchaseContext {
    pub(super) expired_purchase_token: Option<String>,
    pub(super) expired_external_account_identifiers: Option<ExternalAccountIdentifiers>,
}

/// One product of a subscription.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct LineItem {
    pub(super) product_id: Option<String>,
    #[serde(deserialize_with = "time")]
    pub(super) expiry_time: Option<Timestamp>,
    pub(super) latest_successful_order_id: Option<String>,
    pub(super) auto_renewing_plan: Option<AutoRenewingPlan>,
    pub(super) prepaid_plan: Option<serde::de::IgnoredAny>,
    pub(super) offer_details: Option<OfferDetails>,
    pub(super) offer_phase: Option<OfferPhase>,
    pub(super) deferred_item_replacement: Option<Named>,
    pub(super) deferred_item_removal: Option<serde::de::IgnoredAny>,
    pub(super) item_replacement: Option<ItemReplacement>,
    pub(super) signup_promotion: Option<SignupPromotion>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct AutoRenewingPlan {
    /// Missing when off, never `false`.
    pub(super) auto_renew_enabled: bool,
    pub(super) recurring_price: Option<Amount>,
    pub(super) price_change_details: Option<PriceChangeDetails>,
    pub(super) installment_details: Option<InstallmentDetails>,
    pub(super) price_step_up_consent_details: Option<PriceStepUpConsentDetails>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PriceChangeDetails {
    pub(super) new_price: Option<Amount>,
    pub(super) price_change_mode: Option<String>,
    pub(super) price_change_state: Option<String>,
    #[serde(deserialize_with = "time")]
    pub(super) expected_new_price_charge_time: Option<Timestamp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct InstallmentDetails {
    pub(super) pending_cancellation: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PriceStepUpConsentDetails {
    pub(super) state: Option<String>,
    pub(super) new_price: Option<Amount>,
    #[serde(deserialize_with = "time")]
    pub(super) consent_deadline_time: Option<Timestamp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct OfferDetails {
    pub(super) base_plan_id: Option<String>,
    pub(super) offer_id: Option<String>,
}

/// The present phase: exactly one of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct OfferPhase {
    pub(super) base_price: Option<serde::de::IgnoredAny>,
    pub(super) free_trial: Option<serde::de::IgnoredAny>,
    pub(super) introductory_price: Option<serde::de::IgnoredAny>,
    pub(super) proration_period: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Named {
    pub(super) product_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ItemReplacement {
    pub(super) product_id: Option<String>,
    pub(super) base_plan_id: Option<String>,
    pub(super) replacement_mode: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct SignupPromotion {
    pub(super) vanity_code: Option<VanityCode>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct VanityCode {
    pub(super) promotion_code: Option<String>,
}

/// An amount of money: whole units and billionths.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Amount {
    currency_code: String,
    units: Units,
    nanos: i64,
}

/// A 64-bit number, which Google writes as a text.
#[derive(Debug, Clone, Default)]
struct Units(i64);

impl<'de> Deserialize<'de> for Units {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Units, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(i64),
            Text(String),
        }
        match Either::deserialize(d)? {
            Either::Number(units) => Ok(Units(units)),
            Either::Text(text) => text.parse().map(Units).map_err(serde::de::Error::custom),
        }
    }
}

impl Amount {
    /// In minor units, rounded. `None`: no amount that can be.
    pub(super) fn money(&self) -> Option<Money> {
        let currency = self.currency_code.parse().ok()?;
        let thousandths = self.units.0.checked_mul(1000)?.checked_add(self.nanos.checked_div(1_000_000)?)?;
        Some(Money::from_thousandths(thousandths, currency))
    }
}

/// How a one-time purchase stands.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ProductPurchase {
    pub(super) product_line_item: Vec<ProductLineItem>,
    pub(super) purchase_state_context: Option<PurchaseStateContext>,
    pub(super) test_purchase_context: Option<serde::de::IgnoredAny>,
    pub(super) order_id: Option<String>,
    pub(super) obfuscated_external_account_id: Option<String>,
    pub(super) region_code: Option<String>,
    #[serde(deserialize_with = "time")]
    pub(super) purchase_completion_time: Option<Timestamp>,
    pub(super) acknowledgement_state: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ProductLineItem {
    pub(super) product_id: Option<String>,
    pub(super) product_offer_details: Option<ProductOfferDetails>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ProductOfferDetails {
    pub(super) consumption_state: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PurchaseStateContext {
    pub(super) purchase_state: Option<String>,
}

/// What was paid.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Order {
    pub(super) order_id: Option<String>,
    pub(super) purchase_token: Option<String>,
    pub(super) line_items: Vec<OrderLineItem>,
    pub(super) order_history: Option<OrderHistory>,
    pub(super) total: Option<Amount>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct OrderLineItem {
    pub(super) product_id: Option<String>,
    pub(super) total: Option<Amount>,
    pub(super) subscription_details: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct OrderHistory {
    pub(super) partial_refund_events: Vec<RefundEvent>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RefundEvent {
    pub(super) state: Option<String>,
    pub(super) refund_details: Option<RefundDetails>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RefundDetails {
    pub(super) total: Option<Amount>,
}

/// A page of voided purchases.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct VoidedPurchases {
    pub(super) voided_purchases: Vec<VoidedPurchase>,
    pub(super) token_pagination: Option<TokenPagination>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct TokenPagination {
    pub(super) next_page_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct VoidedPurchase {
    pub(super) purchase_token: String,
    pub(super) order_id: String,
    #[serde(deserialize_with = "millis")]
    pub(super) voided_time_millis: Option<Timestamp>,
    pub(super) voided_quantity: Option<i64>,
}

/// An error of a Google API.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ErrorAnswer {
    pub(super) error: ApiError,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ApiError {
    pub(super) status: Option<String>,
    pub(super) errors: Vec<ErrorReason>,
    pub(super) details: Vec<ErrorReason>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ErrorReason {
    pub(super) reason: Option<String>,
}

/// Google's answer to a request for an access token.
#[derive(Deserialize)]
pub(super) struct TokenAnswer {
    pub(super) access_token: String,
    pub(super) expires_in: u64,
}

/// The key file of a service account, as far as it is used.
#[derive(Deserialize)]
pub(super) struct KeyFile {
    pub(super) client_email: String,
    pub(super) private_key: String,
    #[serde(default)]
    pub(super) private_key_id: Option<String>,
    #[serde(default)]
    pub(super) token_uri: Option<String>,
}
