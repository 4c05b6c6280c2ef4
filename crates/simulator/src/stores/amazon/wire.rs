//! Amazon's own names and shapes, written by hand from "Understanding Real-Time Notifications", "Receipt Verification for
//! Appstore" and AWS's "Parsing message formats". Only what the simulation tells is here. Dates are milliseconds since
//! 1970. There are no prices.

use serde_json::{Map, Value, json};
use std::sync::Arc;

/// An id of Amazon's: a user, a receipt.
pub type Id = Arc<str>;

/// The app that sells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// Its package.
    pub package_name: Arc<str>,
    /// It is tested live: purchases are tests.
    pub is_beta: bool,
}

/// A real-time notification, and what receipt verification answers from that moment on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The id of the SNS message.
    pub message_id: String,
    /// `timestamp`.
    pub at: i64,
    /// `notificationType`.
    pub kind: &'static str,
    /// `appUserId`.
    pub user: Id,
    /// `receiptId`.
    pub receipt: Id,
    /// `relatedReceipts.cancelledReceiptId`.
    pub cancelled_receipt: Option<Id>,
    /// Receipts as they stand from now on.
    pub shown: Vec<Receipt>,
}

/// A receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Amazon's and their page explains them")]
pub struct Receipt {
    pub receipt_id: Id,
    pub user: Id,
    pub product_type: &'static str,
    pub product_id: &'static str,
    /// `term` and `termSku`. Where time runs so fast that no term that Amazon knows fits the dates, none is named.
    pub term: Option<(Option<&'static str>, &'static str)>,
    pub purchase_date: i64,
    pub renewal_date: Option<i64>,
    pub cancel_date: Option<i64>,
    pub cancel_reason: Option<u8>,
    pub auto_renewing: bool,
    pub free_trial_end_date: Option<i64>,
    pub grace_period_end_date: Option<i64>,
    /// `deferredDate` and `deferredSku`.
    pub deferred: Option<(i64, &'static str)>,
    /// `promotionType` and `promotionStatus`.
    pub promotion: Option<(&'static str, &'static str)>,
    pub is_beta: bool,
    pub country_code: &'static str,
    /// Verification answers 410.
    pub is_gone: bool,
    /// Two members are written with a capital, as in Amazon's samples.
    pub has_capitals: bool,
}

impl Notification {
    /// The message inside the SNS envelope.
    #[must_use]
    pub fn json(&self, app: &App) -> Value {
        let related = match &self.cancelled_receipt {
            Some(receipt) => json!({"cancelledReceiptId": receipt}),
            None => json!({}),
        };
        json!({
            "appPackageName": app.package_name, "notificationType": self.kind, "appUserId": self.user,
            "receiptId": self.receipt, "relatedReceipts": related, "timestamp": self.at,
            "betaProductTransaction": app.is_beta
        })
    }
}

impl Receipt {
    /// What receipt verification answers.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut all = Map::new();
        let mut put = |name: &str, value: Value| drop(all.insert(name.to_owned(), value));
        put("receiptId", json!(self.receipt_id));
        put("productType", json!(self.product_type));
        put("productId", json!(self.product_id));
        put("parentProductId", Value::Null);
        put("purchaseDate", json!(self.purchase_date));
        put("cancelDate", json!(self.cancel_date));
        put("cancelReason", json!(self.cancel_reason));
        put("quantity", json!(1));
        put("betaProduct", json!(self.is_beta));
        put("testTransaction", json!(self.is_beta));
        put("countryCode", json!(self.country_code));
        put("fulfillmentDate", json!(self.purchase_date + 1000));
        put("fulfillmentResult", json!("FULFILLED"));
        put("purchaseMetadataMap", Value::Null);
        if let Some((term, sku)) = self.term {
            let [auto, grace] = match self.has_capitals {
                true => ["AutoRenewing", "GracePeriodEndDate"],
                false => ["autoRenewing", "gracePeriodEndDate"],
            };
            put("term", json!(term));
            put("termSku", json!(sku));
            put("renewalDate", json!(self.renewal_date));
            put(auto, json!(self.auto_renewing));
            put("freeTrialEndDate", json!(self.free_trial_end_date));
            put(grace, json!(self.grace_period_end_date));
            put("deferredDate", json!(self.deferred.map(|(at, _)| at)));
            put("deferredSku", json!(self.deferred.map(|(_, sku)| sku)));
            let promotions =
                self.promotion.map(|(kind, status)| json!([{"promotionType": kind, "promotionStatus": status}]));
            put("promotions", json!(promotions));
        }
        Value::Object(all)
    }
}
