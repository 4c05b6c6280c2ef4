//! What a contact shows of its customer: five custom attributes (contract.md, Intercom destination).
//!
//! The names are RevenueCat's, so that saved segments go on working; the values differ where taking its samples at their
//! word would mislead: buying a consumable does not wipe the subscription, and of several purchases the one that gives
//! access is shown. <https://developers.intercom.com/docs/references/rest-api/api.intercom.io/data-attributes>

use super::text::shortened;
use paidup_lifecycle::customer::{Customer, OtherPurchases};
use paidup_lifecycle::dialects::revenuecat;
use paidup_lifecycle::event::{Event, EventType, PurchaseView};
use paidup_lifecycle::ids::CustomerId;
use paidup_lifecycle::observation::{Environment, Kind, Store};
use paidup_lifecycle::time::Timestamp;
use serde_json::{Map, Value, json};

/// Which entitlement is told where a product unlocks several: both the attribute and the metadata are one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntitlementChoice {
    /// The first in the catalogue's order.
    #[default]
    First,
    /// All of them, separated by commas.
    Joined,
}

impl EntitlementChoice {
    /// The text for these; `None` when there are none.
    pub(super) fn text(self, entitlements: &[String]) -> Option<String> {
        let text = match self {
            EntitlementChoice::First => entitlements.first()?.clone(),
            EntitlementChoice::Joined => entitlements.join(", "),
        };
        Some(shortened(&text)).filter(|text| !text.is_empty())
    }
}

/// A custom attribute of contacts. It must exist in the workspace before a contact can have it.
pub(super) struct Attribute {
    pub(super) name: &'static str,
    /// Intercom's `data_type`. Never a list of options: values outside of one are refused.
    pub(super) data_type: &'static str,
    pub(super) description: &'static str,
}

const LATEST_STORE: &str = "latest_store";
const LATEST_ENTITLEMENT: &str = "latest_entitlement";
const EXPIRES_AT: &str = "expires_at";
const SUBSCRIPTION_STATUS: &str = "subscription_status";
const CUSTOMER_URL: &str = "paidup_customer_url";

/// All that are written, in the order in which they are created.
pub(super) const ALL: [Attribute; 5] = [
    Attribute { name: LATEST_STORE, data_type: "string", description: "Store of the latest purchase" },
    Attribute { name: LATEST_ENTITLEMENT, data_type: "string", description: "What the customer has paid for" },
    Attribute { name: EXPIRES_AT, data_type: "date", description: "When the paid period ends" },
    Attribute { name: SUBSCRIPTION_STATUS, data_type: "string", description: "How the subscription stands" },
    Attribute { name: CUSTOMER_URL, data_type: "string", description: "The customer's page in Paidup" },
];

/// Values by attribute. A key that is absent is left as it is at Intercom; null clears it (ASSUMPTION: RevenueCat's sample
/// sends null; the reference does not say).
pub(super) type Picture = Map<String, Value>;

/// How pictures are made.
pub(super) struct Painter {
    pub(super) entitlement: EntitlementChoice,
    /// The hub's own address, for links; `None` when it is none.
    pub(super) public_url: Option<String>,
}

impl Painter {
    /// The customer after an event.
    pub(super) fn of_event(&self, event: &Event) -> Picture {
        let mut picture = self.begun(event.customer.id);
        let others = event.customer.other_purchases.as_ref();
        let own = (!is_given_away(event.event_type)).then_some(&event.purchase);
        let status = own.and_then(revenuecat::status).into_iter().chain(others.and_then(|others| others.status));
        match own {
            Some(own) if others.is_some_and(|others| others.has_access) && !own.state.has_access() => {
                self.show_others(&mut picture, others);
            }
            Some(own) => self.show_own(&mut picture, event.store, own),
            None => self.show_others(&mut picture, others),
        }
        match status.min_by_key(|status| status.rank()) {
            Some(status) => put(&mut picture, SUBSCRIPTION_STATUS, json!(status)),
            // The only purchase went to somebody else; one-time purchases say nothing about subscriptions.
            None if own.is_none() => put(&mut picture, SUBSCRIPTION_STATUS, Value::Null),
            None => {}
        }
        picture
    }

    /// The customer without an event. Empty: there is nothing to show.
    pub(super) fn of_customer(&self, customer: &Customer, environment: Environment) -> Picture {
        let Some(all) = customer.purchases_except(None, environment) else { return Picture::new() };
        let mut picture = self.begun(customer.id);
        self.show_others(&mut picture, Some(&all));
        if let Some(status) = all.status {
            put(&mut picture, SUBSCRIPTION_STATUS, json!(status));
        }
        picture
    }

    fn begun(&self, customer: CustomerId) -> Picture {
        let mut picture = Picture::new();
        if let Some(base) = &self.public_url {
            put(&mut picture, CUSTOMER_URL, json!(format!("{base}/customers/{customer}")));
        }
        picture
    }

    fn show_own(&self, picture: &mut Picture, store: Store, own: &PurchaseView) {
        put(picture, LATEST_STORE, json!(revenuecat::store_name(store)));
        // What is used up gives nothing that ends: RevenueCat sends two nulls, which wipe a running subscription.
        let lasts = match own.kind {
            Kind::Subscription | Kind::Grant => true,
            Kind::Consumable => false,
            Kind::NonConsumable | Kind::NonRenewing | Kind::Temporary => !own.entitlements.is_empty(),
        };
        if lasts {
            put(picture, LATEST_ENTITLEMENT, json!(self.entitlement.text(&own.entitlements)));
            if own.period.is_some() {
                put(picture, EXPIRES_AT, seconds(revenuecat::expires_at(store, own)));
            }
        }
    }

    fn show_others(&self, picture: &mut Picture, others: Option<&OtherPurchases>) {
        let Some(others) = others else {
            put(picture, LATEST_ENTITLEMENT, Value::Null);
            put(picture, EXPIRES_AT, Value::Null);
            return;
        };
        put(picture, LATEST_STORE, json!(revenuecat::store_name(others.store)));
        // What a purchase without access had unlocked is not kept: then the contact keeps what it says.
        if let Some(text) = self.entitlement.text(&others.entitlements) {
            put(picture, LATEST_ENTITLEMENT, json!(text));
        }
        put(picture, EXPIRES_AT, seconds(others.until));
    }
}

/// The event is told to the former owner of a purchase.
fn is_given_away(event_type: EventType) -> bool {
    matches!(event_type, EventType::SubscriptionTransferred | EventType::OneTimePurchaseTransferred)
}

/// Whether an event without a message of its own may change what a contact shows. What is told beside another event of
/// its bundle has no need to.
pub(super) const fn changes_contact(event_type: EventType) -> bool {
    use EventType as E;
    match event_type {
        E::SubscriptionStarted
        | E::SubscriptionRenewed
        | E::SubscriptionReactivated
        | E::SubscriptionUpgraded
        | E::SubscriptionCrossgraded
        | E::SubscriptionDowngraded
        | E::SubscriptionDeferred
        | E::RenewalDisabled
        | E::RenewalEnabled
        | E::SubscriptionTerminated
        | E::FamilySharedRevoked
        | E::GracePeriodStarted
        | E::GracePeriodTerminated
        | E::EnteredBillingRetry
        | E::SubscriptionCancelledDuringGracePeriod
        | E::SubscriptionRecoveredFromGracePeriod
        | E::SubscriptionRecoveredFromBillingRetry
        | E::SubscriptionPaused
        | E::SubscriptionUnpaused
        | E::SubscriptionCancelledDuringPause
        | E::SubscriptionTransferred
        | E::SubscriptionReceived
        | E::OneTimePurchaseTransferred
        | E::OneTimePurchaseReceived
        | E::SubscriptionRefundedRevoked
        | E::OneTimePurchased
        | E::OneTimeRefunded
        | E::OneTimeExpired
        | E::PromoGranted
        | E::PromoRevoked
        | E::TemporaryEntitlementGranted
        | E::RefundReversed
        | E::EntitlementsChanged => true,
        // Access and money are told beside the event that moved them, offers beside the one that began or ended them.
        E::Activate
        | E::Deactivate
        | E::TransactionProcessed
        | E::TrialStarted
        | E::TrialConverted
        | E::TrialNotConverted
        | E::IntroOfferStarted
        | E::IntroOfferConverted
        | E::IntroOfferNotConverted
        | E::PromoCodeStarted
        | E::PromoCodeConverted
        | E::PromoCodeNotConverted
        | E::PromotionalOfferStarted
        | E::PromotionalOfferConverted
        | E::PromotionalOfferNotConverted
        // None of these moves the status, the end or the entitlement.
        | E::PlanChangeScheduled
        | E::PlanChangeUnscheduled
        | E::SubscriptionWillPause
        | E::SubscriptionWillNotPause
        | E::PaymentFailed
        | E::RefundRequested
        | E::RefundDeclined
        | E::RefundRecorded
        | E::PriceIncreasePending
        | E::PriceIncreaseAccepted
        | E::OfferRedeemed
        | E::RetentionMessageRequested
        | E::OperatorAlert
        | E::OperatorAlertOver
        | E::Test => false,
    }
}

/// What has to be written so that a contact that shows `known` shows `wanted`.
pub(super) fn difference(wanted: &Picture, known: &Picture) -> Picture {
    let differs = |name: &str, value: &Value| known.get(name).unwrap_or(&Value::Null) != value;
    wanted
        .iter()
        .filter(|(name, value)| differs(name, value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn put(picture: &mut Picture, name: &str, value: Value) {
    picture.insert(name.to_owned(), value);
}

/// Intercom's dates are Unix seconds; null: no end.
pub(super) fn seconds(at: Option<Timestamp>) -> Value {
    json!(at.map(Timestamp::as_seconds))
}
