//! What is told of an event: its name, its second, and what else is said (`POST /events`).
//! <https://developers.intercom.com/docs/references/rest-api/api.intercom.io/data-events>

use super::attributes::EntitlementChoice;
use super::text::shortened;
use paidup_lifecycle::dialects::revenuecat::{
    self, IntegrationEvent, IntegrationMessage, Message, Options, integration_events,
};
use paidup_lifecycle::event::Event;
use paidup_lifecycle::observation::{Environment, Reason, Store};
use paidup_lifecycle::purchase::State;
use paidup_lifecycle::time::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// RevenueCat's name of an event at Intercom, when the operator gives none.
pub(super) const fn default_name(event: IntegrationEvent) -> &'static str {
    match event {
        IntegrationEvent::InitialPurchase => "rc_initial_purchase_event",
        IntegrationEvent::TrialStarted => "rc_trial_started_event",
        IntegrationEvent::TrialConverted => "rc_trial_converted_event",
        IntegrationEvent::TrialCancelled => "rc_trial_cancelled_event",
        IntegrationEvent::Renewal => "rc_renewal_event",
        IntegrationEvent::Cancellation => "rc_cancellation_event",
        IntegrationEvent::NonSubscriptionPurchase => "rc_non_subscription_purchase_event",
        IntegrationEvent::BillingIssue => "rc_billing_issue_event",
        IntegrationEvent::ProductChange => "rc_product_change_event",
        IntegrationEvent::Expiration => "rc_expiration_event",
    }
}

/// Which events are told, and how.
pub(super) struct Telling {
    /// Those that are on, with their names.
    pub(super) names: BTreeMap<IntegrationEvent, String>,
    pub(super) dialect: Options,
    pub(super) entitlement: EntitlementChoice,
}

/// One call of `POST /events`, but for the contact.
pub(super) struct Occurrence {
    pub(super) name: String,
    /// Unix seconds, before same-named events are moved apart.
    pub(super) created_at: i64,
    pub(super) metadata: Metadata,
}

/// What else is said: one shape for all events, a superset of RevenueCat's samples. Intercom keeps the first ten keys
/// (these are eight at most), so the order is by weight. What is not known is left out: null is no type of Intercom's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Metadata {
    #[serde(skip_serializing_if = "Option::is_none")]
    product_identifier: Option<String>,
    store: &'static str,
    environment: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    entitlement: Option<String>,
    /// A number to Intercom, not a date: only keys that end in `_date` are dates there.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancellation_reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration_reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_product_identifier: Option<String>,
}

impl Telling {
    /// All that is to be told of an event.
    pub(super) fn occurrences(&self, event: &Event) -> Vec<Occurrence> {
        let told = integration_events(event, &self.dialect);
        told.iter().filter_map(|told| Some(self.occurrence(event, told, self.names.get(&told.event)?))).collect()
    }

    /// Whether [`Telling::occurrences`] gives any.
    pub(super) fn tells(&self, event: &Event) -> bool {
        integration_events(event, &self.dialect).iter().any(|told| self.names.contains_key(&told.event))
    }

    fn occurrence(&self, event: &Event, told: &IntegrationMessage, name: &str) -> Occurrence {
        Occurrence {
            name: name.to_owned(),
            created_at: happened_at(event, told).as_seconds().max(0),
            metadata: self.metadata(event, &told.message),
        }
    }

    fn metadata(&self, event: &Event, message: &Message) -> Metadata {
        let purchase = message.purchase(event);
        let granted = event.store == Store::Promotional;
        let product = revenuecat::product_name(purchase, message.product_id.as_deref());
        // RevenueCat has no sandbox for grants.
        let environment = if granted { Environment::Production } else { event.environment };
        Metadata {
            product_identifier: product.map(|id| shortened(&id)),
            store: revenuecat::store_name(event.store),
            environment: match environment {
                Environment::Production => "production",
                Environment::Sandbox => "sandbox",
            },
            entitlement: self.entitlement.text(&purchase.entitlements),
            expires_at: revenuecat::expires_at(event.store, purchase).map(Timestamp::as_seconds),
            // An app is a source here.
            app_id: (!granted).then(|| event.source_id.to_string()),
            cancellation_reason: message.cancel_reason,
            expiration_reason: message.expiration_reason,
            new_product_identifier: message.new_product_id.as_deref().map(shortened),
        }
    }
}

/// When it happened, as RevenueCat's samples have it: what was paid, at the start of its period; what ended, at its end;
/// the rest when it happened.
/// ASSUMPTION: never in the future, where Intercom would show the customer as last seen tomorrow (the App Store renews up
/// to a day before the period begins).
fn happened_at(event: &Event, told: &IntegrationMessage) -> Timestamp {
    let purchase = told.message.purchase(event);
    let at = match told.event {
        IntegrationEvent::InitialPurchase
        | IntegrationEvent::TrialStarted
        | IntegrationEvent::TrialConverted
        | IntegrationEvent::Renewal
        | IntegrationEvent::NonSubscriptionPurchase => {
            purchase.period.as_ref().map_or(event.occurred_at, |period| period.starts_at)
        }
        IntegrationEvent::Expiration => {
            let paid_until = revenuecat::expires_at(event.store, purchase);
            let before = event.previous.as_ref().filter(|before| before.state == State::Grace);
            let grace = purchase.grace_ends_at.or(before.and_then(|before| before.grace_ends_at));
            let end = paid_until.max(grace).unwrap_or(event.occurred_at);
            // A refund ends access before its time.
            end.min(event.occurred_at)
        }
        IntegrationEvent::TrialCancelled
        | IntegrationEvent::Cancellation
        | IntegrationEvent::BillingIssue
        | IntegrationEvent::ProductChange => event.occurred_at,
    };
    at.min(event.detected_at)
}
