//! What Apple is told when a customer asks for a refund: how the purchase was delivered and what the operator prefers.
//!
//! Apple takes it within twelve hours, and only when the customer consented to it: without `consent` nothing is sent. Since
//! version 1.19 of the API a request has five fields for every type of product; version 1, with a score of fields about the
//! customer, is left to Advanced Commerce.
//! <https://developer.apple.com/documentation/appstoreserverapi/consumptionrequest>

use super::Wanted;
use crate::app_store::wire::Transaction;
use crate::{Clue, Reading};
use paidup_lifecycle::observation::Environment;
use paidup_lifecycle::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// For how long Apple waits for the answer.
const WITHIN: Duration = Duration::from_secs(12 * 3600);

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::app_store) struct Consumption {
    /// Your customers have consented that data about their purchases goes to Apple. Without it nothing is sent.
    pub(in crate::app_store) consent: bool,
    /// You offer a free sample, trial or description of what is sold. A purchase with a free trial counts as one too.
    #[serde(default)]
    sample_content_provided: bool,
    /// Whether what was bought was delivered and works: DELIVERED, unless you say otherwise.
    #[serde(default)]
    delivery_status: DeliveryStatus,
    /// What you would like Apple to do. Apple decides. GRANT_PRORATED counts for subscriptions only: of other purchases
    /// Paidup does not know how much was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refund_preference: Option<RefundPreference>,
}

/// <https://developer.apple.com/documentation/appstoreserverapi/deliverystatus>
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum DeliveryStatus {
    #[default]
    Delivered,
    UndeliveredQualityIssue,
    UndeliveredWrongItem,
    UndeliveredServerOutage,
    UndeliveredOther,
}

/// <https://developer.apple.com/documentation/appstoreserverapi/refundpreference>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum RefundPreference {
    Decline,
    GrantFull,
    GrantProrated,
}

/// What waits to be sent: a lookup's context.
#[derive(Deserialize, Serialize)]
pub(super) struct Sending {
    /// Apple does not wait longer; in milliseconds since 1970.
    pub(super) until: i64,
    pub(super) body: Value,
}

impl Sending {
    pub(super) fn parse(context: &str) -> Option<Sending> {
        serde_json::from_str(context).ok()
    }
}

impl Consumption {
    /// Adds the answer to what Apple asks at `asked_at`, and what answers in Apple's stead once it is too late.
    pub(in crate::app_store) fn answer(
        &self,
        environment: Environment,
        transaction: &Transaction<'_>,
        asked_at: Timestamp,
        reading: &mut Reading,
    ) {
        let Some(id) = transaction.transaction_id.as_deref() else { return };
        let sending = Sending { until: asked_at.plus(WITHIN).as_millis(), body: self.body(transaction) };
        let Ok(context) = serde_json::to_string(&sending) else { return };
        let why = "Apple asks how a purchase was used, before it decides on a refund";
        let Some(lookup) = Wanted::Consumption(environment, id).lookup(context, why) else { return };
        reading.clues.push(Clue { name: lookup.name.clone(), answer: r#"{"tooLate":true}"#.to_owned() });
        reading.lookups.push(lookup);
    }

    fn body(&self, transaction: &Transaction<'_>) -> Value {
        let is_subscription = transaction.kind.as_deref() == Some("Auto-Renewable Subscription");
        let mut body = json!({
            "customerConsented": self.consent,
            "deliveryStatus": self.delivery_status,
            "sampleContentProvided": self.sample_content_provided || transaction.is_free_trial(),
        });
        // Of a subscription Apple knows the share by itself, and refuses to be told; of what was not delivered it is none.
        if !is_subscription && self.delivery_status != DeliveryStatus::Delivered {
            body["consumptionPercentage"] = json!(0);
        }
        let preference = self.refund_preference.filter(|it| is_subscription || *it != RefundPreference::GrantProrated);
        if let Some(preference) = preference {
            body["refundPreference"] = json!(preference);
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(settings: &Value, transaction: &Value) -> Value {
        let settings: Consumption = serde_json::from_value(settings.clone()).unwrap();
        let text = transaction.to_string();
        settings.body(&serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn the_body_is_apples_for_each_type_of_product() {
        let subscription = json!({"transactionId": "1", "type": "Auto-Renewable Subscription"});
        let trial = json!({"type": "Auto-Renewable Subscription", "offerType": 1, "offerDiscountType": "FREE_TRIAL"});
        let coins = json!({"type": "Consumable"});
        let plain = |sample: bool| json!({"customerConsented": true, "deliveryStatus": "DELIVERED", "sampleContentProvided": sample});
        let with = |mut body: Value, name: &str, value: Value| {
            body[name] = value;
            body
        };
        let undelivered = |body| with(body, "deliveryStatus", json!("UNDELIVERED_SERVER_OUTAGE"));
        let out = json!({"consent": true, "delivery_status": "UNDELIVERED_SERVER_OUTAGE"});
        let prorated = json!({"consent": true, "refund_preference": "GRANT_PRORATED"});
        for (name, settings, transaction, expected) in [
            ("least", json!({"consent": true}), &subscription, plain(false)),
            ("a sample", json!({"consent": true, "sample_content_provided": true}), &coins, plain(true)),
            ("a trial is one", json!({"consent": true}), &trial, plain(true)),
            ("not delivered", out.clone(), &coins, with(undelivered(plain(false)), "consumptionPercentage", json!(0))),
            ("of a subscription no share", out, &subscription, undelivered(plain(false))),
            (
                "a part",
                prorated.clone(),
                &subscription,
                with(plain(false), "refundPreference", json!("GRANT_PRORATED")),
            ),
            ("not of what has no share", prorated, &coins, plain(false)),
            (
                "no refund",
                json!({"consent": true, "refund_preference": "DECLINE"}),
                &coins,
                with(plain(false), "refundPreference", json!("DECLINE")),
            ),
        ] {
            assert_eq!(body(&settings, transaction), expected, "{name}");
        }
    }
}
