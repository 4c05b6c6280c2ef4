//! Apple's own names and shapes, written by hand from Apple's pages "JWSTransactionDecodedPayload",
//! "JWSRenewalInfoDecodedPayload" and "responseBodyV2DecodedPayload". Only what the simulation tells is here; fields stand
//! in the order in which Apple writes them. Dates are milliseconds since 1970, prices thousandths of the currency unit.

use serde::Serialize;
use std::sync::Arc;

/// The app that sells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// Its bundle id.
    pub bundle_id: Arc<str>,
    /// Its number in the store.
    pub app_apple_id: u64,
    /// `Production` or `Sandbox`.
    pub environment: &'static str,
}

/// A transaction, as it is signed into `signedTransactionInfo`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the names are Apple's and their page explains them")]
pub struct Transaction {
    pub transaction_id: Arc<str>,
    pub original_transaction_id: Arc<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub web_order_line_item_id: Option<Arc<str>>,
    pub bundle_id: Arc<str>,
    pub product_id: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_group_identifier: Option<&'static str>,
    pub purchase_date: i64,
    pub original_purchase_date: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_date: Option<i64>,
    pub quantity: u32,
    #[serde(rename = "type")]
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_account_token: Option<Arc<str>>,
    pub in_app_ownership_type: &'static str,
    pub signed_date: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation_reason: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation_date: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation_percentage: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offer_type: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offer_identifier: Option<&'static str>,
    pub environment: &'static str,
    pub transaction_reason: &'static str,
    pub storefront: &'static str,
    pub storefront_id: &'static str,
    pub price: i64,
    pub currency: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offer_discount_type: Option<&'static str>,
    pub app_transaction_id: Arc<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offer_period: Option<&'static str>,
}

/// A transaction that is read again: only there does Apple say that an upgrade has replaced it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Reread {
    #[serde(flatten)]
    pub(crate) transaction: Transaction,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) is_upgraded: Option<bool>,
}

/// What comes next, as it is signed into `signedRenewalInfo`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the names are Apple's and their page explains them")]
pub struct Renewal {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration_intent: Option<u8>,
    pub original_transaction_id: Arc<str>,
    pub auto_renew_product_id: &'static str,
    pub product_id: &'static str,
    pub auto_renew_status: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_in_billing_retry_period: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_increase_status: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_period_expires_date: Option<i64>,
    /// Absent when renewal is off and on `EXPIRED`, as seen in real notifications.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renewal_price: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<&'static str>,
    pub signed_date: i64,
    pub environment: &'static str,
    pub recent_subscription_start_date: i64,
    pub renewal_date: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_account_token: Option<Arc<str>>,
    pub app_transaction_id: Arc<str>,
}

/// What Apple says, before it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// `notificationType`.
    pub kind: &'static str,
    /// `subtype`.
    pub subtype: Option<&'static str>,
    /// `notificationUUID`: the same on every attempt.
    pub uuid: String,
    /// When Apple signed it.
    pub signed_date: i64,
    /// 1 active, 2 expired, 3 billing retry, 4 grace, 5 revoked; absent for one-time purchases.
    pub status: Option<u8>,
    /// Goes into `signedTransactionInfo`.
    pub transaction: Transaction,
    /// Goes into `signedRenewalInfo`; absent for one-time purchases.
    pub renewal: Option<Renewal>,
    /// On `CONSUMPTION_REQUEST`.
    pub consumption_request_reason: Option<&'static str>,
}

/// The outer payload.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Payload<'a> {
    pub(super) notification_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subtype: Option<&'a str>,
    #[serde(rename = "notificationUUID")]
    pub(super) notification_uuid: &'a str,
    pub(super) data: Data<'a>,
    pub(super) version: &'static str,
    pub(super) signed_date: i64,
}

/// Its `data`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Data<'a> {
    pub(super) app_apple_id: u64,
    pub(super) bundle_id: &'a str,
    pub(super) bundle_version: &'static str,
    pub(super) environment: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) signed_transaction_info: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) signed_renewal_info: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) consumption_request_reason: Option<&'static str>,
}

/// The body of the request.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Body<'a> {
    pub(super) signed_payload: &'a str,
}
