//! RevenueCat's webhook body, version 1.0: field names, types and presence as in its documentation and samples.
//! <https://www.revenuecat.com/docs/integrations/webhooks/event-types-and-fields>
//!
//! What this hub does not know (offering, tax, commission, experiments) is null or left out, never guessed.

use super::{Amount, Message, RcPeriod, RcType};
use crate::catalogue;
use crate::event::{Event, PurchaseView};
use crate::money::{Currency, Money};
use crate::observation::{Environment, Kind, Store};
use crate::time::Timestamp;
use serde_json::{Map, Value, json};

/// The body of the POST: `{"api_version": "1.0", "event": {...}}`.
#[must_use]
pub fn body(event: &Event, message: &Message) -> Value {
    let fields = match message.rc_type {
        RcType::Transfer => transfer(event, message),
        RcType::TemporaryEntitlementGrant => temporary(event, message),
        _ => purchase(event, message), // the others are about a purchase
    };
    json!({ "api_version": "1.0", "event": fields })
}

/// RevenueCat's name of the store. It does not know Discord, which is one of its `EXTERNAL` ones.
#[must_use]
pub const fn store_name(store: Store) -> &'static str {
    match store {
        Store::Discord => Store::External.as_str(),
        Store::AppStore
        | Store::MacAppStore
        | Store::PlayStore
        | Store::Amazon
        | Store::Stripe
        | Store::Paddle
        | Store::Promotional
        | Store::External => store.as_str(),
    }
}

/// RevenueCat's name of the product: the store's own, and `rc_promo_<entitlement>_<length>` for a grant.
/// ASSUMPTION: the prefix is documented, the rest is read off products that RevenueCat makes.
#[must_use]
pub fn product_name(purchase: &PurchaseView, product_id: Option<&str>) -> Option<String> {
    if purchase.kind != Kind::Grant {
        return product_id.map(str::to_owned);
    }
    match product_id {
        Some(id) if catalogue::granted_entitlement(id).is_some() => Some(id.to_owned()),
        Some(_) | None => {
            let entitlement = purchase.entitlements.first().map_or("", String::as_str);
            let has_end = purchase.period.as_ref().is_some_and(|period| period.ends_at.is_some());
            Some(catalogue::grant_product_id(entitlement, if has_end { "custom" } else { "lifetime" }))
        }
    }
}

/// What every body has.
fn common(event: &Event, message: &Message) -> Map<String, Value> {
    let granted = event.store == Store::Promotional;
    // RevenueCat has no sandbox for grants.
    let environment = if granted { Environment::Production } else { event.environment };
    let mut fields = Map::new();
    fields.insert("type".into(), json!(message.rc_type));
    fields.insert("id".into(), json!(message.id));
    fields.insert("event_timestamp_ms".into(), json!(event.detected_at.as_millis()));
    fields.insert("environment".into(), json!(environment));
    fields.insert("store".into(), json!(store_name(event.store)));
    if !granted {
        // An app is a source here.
        fields.insert("app_id".into(), json!(event.source_id));
    }
    fields
}

fn transfer(event: &Event, message: &Message) -> Map<String, Value> {
    let mut fields = common(event, message);
    fields.insert("transferred_from".into(), json!(event.details.transferred_from));
    fields.insert("transferred_to".into(), json!(event.details.transferred_to));
    fields
}

/// What the documentation guarantees: RevenueCat's sample has fewer fields still, and neither environment nor first id.
fn temporary(event: &Event, message: &Message) -> Map<String, Value> {
    let all = purchase(event, message);
    let told = [
        "type",
        "id",
        "event_timestamp_ms",
        "store",
        "app_id",
        "app_user_id",
        "purchased_at_ms",
        "expiration_at_ms",
        "product_id",
        "entitlement_ids",
        "transaction_id",
    ];
    all.into_iter().filter(|(name, _)| told.contains(&name.as_str())).collect()
}

fn purchase(event: &Event, message: &Message) -> Map<String, Value> {
    let purchase = message.purchase(event);
    let mut fields = common(event, message);
    customer(event, &mut fields);
    period(event, message, purchase, &mut fields);
    money(event, message, purchase, &mut fields);
    own_fields(event, message, purchase, &mut fields);
    fields
}

fn customer(event: &Event, fields: &mut Map<String, Value>) {
    let customer = &event.customer;
    // RevenueCat's list is never empty: an anonymous customer has its anonymous id in it.
    let aliases = match customer.aliases.as_slice() {
        [] => std::slice::from_ref(&customer.app_user_id),
        known => known,
    };
    let attributes: Map<String, Value> = customer
        .attributes
        .iter()
        .map(|(name, attribute)| {
            let value = json!({ "value": attribute.value, "updated_at_ms": attribute.updated_at.as_millis() });
            (name.clone(), value)
        })
        .collect();
    fields.insert("app_user_id".into(), json!(customer.app_user_id));
    fields.insert("original_app_user_id".into(), json!(customer.original_app_user_id));
    fields.insert("aliases".into(), json!(aliases));
    fields.insert("subscriber_attributes".into(), Value::Object(attributes));
}

fn period(event: &Event, message: &Message, purchase: &PurchaseView, fields: &mut Map<String, Value>) {
    let period = purchase.period.as_ref();
    let transaction = transaction_id(event, message, purchase);
    let starts_at = period.map(|period| period.starts_at).or(purchase.first_purchased_at);
    let product = product_name(purchase, message.product_id.as_deref());
    // A TEST has a product in RevenueCat, although none was bought.
    let product = product.or_else(|| (message.rc_type == RcType::Test).then(|| "test_product".to_owned()));
    let period_type = if event.store == Store::Promotional { RcPeriod::Promotional } else { message.period_type };
    let entitlements = (!purchase.entitlements.is_empty()).then_some(&purchase.entitlements);
    // Receivers key their state by it, so where the store names no first transaction its lasting id takes the place.
    let original = purchase.original_transaction_id.as_ref().unwrap_or(&purchase.store_purchase_id);
    fields.insert("product_id".into(), json!(product));
    fields.insert("period_type".into(), json!(period_type));
    fields.insert("purchased_at_ms".into(), json!(starts_at.map(Timestamp::as_millis)));
    fields.insert("expiration_at_ms".into(), json!(expires_at(event.store, purchase).map(Timestamp::as_millis)));
    fields.insert("entitlement_id".into(), Value::Null);
    fields.insert("entitlement_ids".into(), json!(entitlements));
    fields.insert("presented_offering_id".into(), Value::Null);
    fields.insert("transaction_id".into(), json!(transaction));
    fields.insert("original_transaction_id".into(), json!(original));
    fields.insert("is_family_share".into(), json!(purchase.family_shared));
    if let Some(country) = &purchase.country {
        fields.insert("country_code".into(), json!(country));
    }
    let offer = purchase.offer.as_ref();
    fields.insert("offer_code".into(), json!(offer.and_then(|offer| offer.code.as_ref().or(offer.id.as_ref()))));
    fields.insert("renewal_number".into(), json!((purchase.renewal_number > 0).then_some(purchase.renewal_number)));
    fields.insert("metadata".into(), Value::Null);
}

/// The transaction that the event is about; of the purchase as it was before, that one's.
fn transaction_id<'a>(event: &'a Event, message: &Message, purchase: &'a PurchaseView) -> Option<&'a String> {
    let of_period = purchase.current_transaction_id();
    let of_event = event.transaction.as_ref().and_then(|transaction| transaction.id.as_ref());
    match message.shows {
        super::Shows::Before => of_period,
        super::Shows::After => of_event.or(of_period),
    }
}

/// The end of the period, with a free extension. Stripe's grace period is inside of it (RevenueCat's field table).
#[must_use]
pub fn expires_at(store: Store, purchase: &PurchaseView) -> Option<Timestamp> {
    let end = purchase.period.as_ref().and_then(|period| period.ends_at)?;
    let grace = purchase.grace_ends_at.filter(|_| is_web(store));
    Some(end.max(purchase.extended_until.unwrap_or(end)).max(grace.unwrap_or(end)))
}

const fn is_web(store: Store) -> bool {
    matches!(store, Store::Stripe | Store::Paddle)
}

fn money(event: &Event, message: &Message, purchase: &PurchaseView, fields: &mut Map<String, Value>) {
    let told = event.transaction.as_ref().and_then(|transaction| transaction.money).or(purchase.price);
    let currency = match message.amount {
        Amount::Told(money) => Some(money.currency),
        Amount::Nothing | Amount::Unknown => told.map(|money| money.currency),
    };
    let (dollars, local) = match message.amount {
        Amount::Nothing => (Some(0.0), Some(0.0)),
        Amount::Told(money) => (in_dollars(money), Some(money.as_units())),
        Amount::Unknown => (None, None),
    };
    fields.insert("currency".into(), json!(currency));
    fields.insert("price".into(), json!(dollars));
    fields.insert("price_in_purchased_currency".into(), json!(local));
    fields.insert("tax_percentage".into(), Value::Null);
    fields.insert("commission_percentage".into(), Value::Null);
    fields.insert("takehome_percentage".into(), Value::Null);
}

/// RevenueCat's `price` is in US dollars. This hub keeps no exchange rates: other currencies are null there.
fn in_dollars(money: Money) -> Option<f64> {
    let is_known = money.currency == Currency::USD || money.amount_minor == 0;
    is_known.then(|| money.as_units())
}

/// What only some types have.
fn own_fields(event: &Event, message: &Message, purchase: &PurchaseView, fields: &mut Map<String, Value>) {
    if let Some(reason) = message.cancel_reason {
        fields.insert("cancel_reason".into(), json!(reason));
    }
    if let Some(reason) = message.expiration_reason {
        fields.insert("expiration_reason".into(), json!(reason));
    }
    if let Some(converted) = message.is_trial_conversion {
        fields.insert("is_trial_conversion".into(), json!(converted));
    }
    if let Some(product) = message.new_product_id.as_ref().filter(|_| names_new_product(event, message)) {
        fields.insert("new_product_id".into(), json!(product));
    }
    match message.rc_type {
        RcType::BillingIssue => {
            if let Some(end) = purchase.grace_ends_at.filter(|_| !is_web(event.store)) {
                fields.insert("grace_period_expiration_at_ms".into(), json!(end.as_millis()));
            }
        }
        RcType::SubscriptionPaused => {
            let resumes_at = purchase.pause.as_ref().and_then(|pause| pause.resumes_at);
            fields.insert("auto_resume_at_ms".into(), json!(resumes_at.map(Timestamp::as_millis)));
        }
        RcType::InitialPurchase
        | RcType::Renewal
        | RcType::Cancellation
        | RcType::Uncancellation
        | RcType::NonRenewingPurchase
        | RcType::Expiration
        | RcType::ProductChange
        | RcType::Transfer
        | RcType::SubscriptionExtended
        | RcType::RefundReversed
        | RcType::TemporaryEntitlementGrant
        | RcType::PriceIncreaseConsentRequired
        | RcType::PriceIncreaseConsentApproved
        | RcType::Test => {}
    }
}

/// RevenueCat names the new product for the App Store, and for Play when the change is deferred; never for Stripe.
fn names_new_product(event: &Event, message: &Message) -> bool {
    match event.store {
        Store::Stripe | Store::Paddle => false,
        Store::PlayStore => message.shows == super::Shows::After,
        Store::AppStore
        | Store::MacAppStore
        | Store::Amazon
        | Store::Discord
        | Store::Promotional
        | Store::External => true,
    }
}
