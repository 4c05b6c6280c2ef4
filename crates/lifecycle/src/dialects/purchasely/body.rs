//! Purchasely's webhook body: one flat object, absent fields left out, each date as text and as milliseconds.
//! <https://docs.purchasely.com/docs/server-events-attributes>
//!
//! The hub's own attributes (reasons, the store's time, what was concluded) stand beside Purchasely's: it publishes
//! none for them, and its receivers ignore what they do not know.

use super::{offer_type, offer_type_name, purchase_type, status_in, store_name};
use crate::dialects::uuid_text;
use crate::event::{Event, EventType, PurchaseView};
use crate::ids::{CustomerId, digest16};
use crate::money::Money;
use crate::observation::{Kind, Store};
use crate::time::Timestamp;
use serde_json::{Map, Value, json};

/// Version of Purchasely's API that the body follows.
const API_VERSION: u32 = 3;

/// The object under construction: absent values are left out.
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, name: &str, value: impl serde::Serialize) {
        self.0.insert(name.to_owned(), json!(value));
    }

    fn put_some(&mut self, name: &str, value: Option<impl serde::Serialize>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    /// `x` as RFC 3339 with milliseconds, and `x_ms`.
    fn put_date(&mut self, name: &str, at: Option<Timestamp>) {
        if let Some(at) = at {
            let seconds = at.to_rfc3339_seconds();
            let millis = at.as_millis().rem_euclid(1000);
            self.put(name, format!("{}.{millis:03}Z", seconds.trim_end_matches('Z')));
            self.put(&format!("{name}_ms"), at.as_millis());
        }
    }
}

/// The body of the POST.
#[must_use]
pub fn body(event: &Event) -> Value {
    let mut fields = Fields(Map::new());
    about_event(event, &mut fields);
    about_customer(event, &mut fields);
    about_product(event, &mut fields);
    about_transaction(event, &mut fields);
    if matches!(event.purchase.kind, Kind::Subscription | Kind::Grant) {
        about_subscription(event, &mut fields);
    } else {
        fields.put("purchasely_one_time_purchase_id", event.purchase.id);
    }
    about_offer(event, &mut fields);
    about_change(event, &mut fields);
    about_hub(event, &mut fields);
    Value::Object(fields.0)
}

fn about_event(event: &Event, fields: &mut Fields) {
    fields.put("api_version", API_VERSION);
    fields.put("event_name", event.event_type);
    fields.put("event_id", uuid_text(digest16(&[b"purchasely", &event.id.0])));
    fields.put_date("event_created_at", Some(event.detected_at));
    fields.put("environment", event.environment);
    fields.put("store", store_name(event.store));
    fields.put_some("store_country", event.purchase.country.as_ref());
}

fn about_customer(event: &Event, fields: &mut Fields) {
    let name = if event.customer.anonymous { "anonymous_user_id" } else { "user_id" };
    fields.put(name, &event.customer.app_user_id);
}

/// Purchasely's `plan` is what was bought, its `product` what plans have in common: here the product and the (first)
/// entitlement that it unlocks.
fn about_product(event: &Event, fields: &mut Fields) {
    let purchase = &event.purchase;
    let entitlement = purchase.entitlements.first();
    fields.put("purchase_type", purchase_type(purchase.kind));
    fields.put_some("store_product_id", purchase.product_id.as_ref());
    fields.put_some("plan", purchase.product_id.as_ref());
    fields.put_some("product", entitlement.or(purchase.product_id.as_ref()));
    fields.put_some("customer_currency", purchase.price.map(|price| price.currency));
    put_money(fields, "plan_price", purchase.price);
}

/// Purchasely tells each amount in the customer's currency and in the app's reference currency. This hub keeps no
/// exchange rates, so the second is told only in the customer's own.
fn put_money(fields: &mut Fields, name: &str, money: Option<Money>) {
    if let Some(money) = money {
        fields.put(&format!("{name}_in_customer_currency"), money.as_units());
        let currency = money.currency.as_str().to_ascii_lowercase();
        fields.put(&format!("{name}_in_{currency}"), money.as_units());
    }
}

fn about_transaction(event: &Event, fields: &mut Fields) {
    let purchase = &event.purchase;
    let period = purchase.period.as_ref();
    let of_event = event.transaction.as_ref().and_then(|transaction| transaction.id.as_ref());
    let of_period = purchase.current_transaction_id();
    fields.put_some("store_transaction_id", of_event.or(of_period));
    fields.put_some("store_original_transaction_id", purchase.original_transaction_id.as_ref());
    if event.store == Store::PlayStore {
        fields.put("purchase_token", &purchase.store_purchase_id);
    }
    fields.put_date("purchased_at", period.map(|period| period.starts_at));
    fields.put_date("original_purchased_at", purchase.first_purchased_at);
    if event.event_type == EventType::TransactionProcessed {
        let transaction = event.transaction.as_ref();
        put_money(fields, "amount", transaction.and_then(|transaction| transaction.money));
        fields.put_some("source_event_name", transaction.and_then(|transaction| transaction.source_event));
    }
}

fn about_subscription(event: &Event, fields: &mut Fields) {
    let purchase = &event.purchase;
    let ends_at = purchase.period.as_ref().and_then(|period| period.ends_at);
    fields.put("purchasely_subscription_id", purchase.id);
    fields.put_some("subscription_status", status_in(event));
    fields.put("is_family_shared", purchase.family_shared);
    fields.put_date("next_renewal_at", ends_at);
    fields.put_date("effective_next_renewal_at", effective_end(purchase, ends_at));
    fields.put_date("grace_period_expires_at", purchase.grace_ends_at);
    fields.put_date("defer_end_at", purchase.extended_until);
    fields.put_date("auto_resume_at", purchase.pause.as_ref().and_then(|pause| pause.resumes_at));
}

/// With grace and deferral applied.
fn effective_end(purchase: &PurchaseView, ends_at: Option<Timestamp>) -> Option<Timestamp> {
    let end = ends_at?;
    Some(end.max(purchase.grace_ends_at.unwrap_or(end)).max(purchase.extended_until.unwrap_or(end)))
}

fn about_offer(event: &Event, fields: &mut Fields) {
    use EventType as E;
    let purchase = &event.purchase;
    fields.put("offer_type", offer_type(purchase.offer.as_ref()));
    // Everything but the very first events of a subscription has it.
    if let Some(previous) = event.previous.as_ref().filter(|previous| previous.kind == Kind::Subscription) {
        let told = event.details.previous_offer_type;
        let before = previous.offer.as_ref().map(|offer| offer.offer_type);
        fields.put("previous_offer_type", offer_type_name(told.or(before)));
    }
    let before = || event.previous.as_ref().and_then(|previous| previous.offer.as_ref());
    let Some(offer) = purchase.offer.as_ref().or_else(before) else { return };
    // Trials and introductory prices belong to the product and have no id of their own.
    if matches!(event.event_type, E::PromoCodeStarted | E::PromoCodeConverted | E::PromoCodeNotConverted) {
        fields.put_some("offer_identifier", offer.id.as_ref());
        fields.put_some("offer_code_ref_name", offer.code.as_ref());
    }
    let promotional = [E::PromotionalOfferStarted, E::PromotionalOfferConverted, E::PromotionalOfferNotConverted];
    if promotional.contains(&event.event_type) {
        fields.put_some("offer_identifier", offer.id.as_ref());
        fields.put_some("promotional_offer_id", offer.id.as_ref());
    }
}

fn about_change(event: &Event, fields: &mut Fields) {
    use EventType as E;
    let details = &event.details;
    if matches!(event.event_type, E::SubscriptionUpgraded | E::SubscriptionCrossgraded | E::SubscriptionDowngraded) {
        fields.put_some("previous_plan", details.previous_product_id.as_ref());
        fields.put("from_purchasely_subscription_id", event.purchase.id);
    }
    if matches!(event.event_type, E::SubscriptionTransferred | E::OneTimePurchaseTransferred) {
        put_party(fields, "transferred_to", &details.transferred_to);
    }
    if matches!(event.event_type, E::SubscriptionReceived | E::OneTimePurchaseReceived) {
        put_party(fields, "transferred_from", &details.transferred_from);
    }
}

/// The other side of a transfer: the newest id that the app gave, else the hub's own, which is anonymous to the app.
fn put_party(fields: &mut Fields, name: &str, ids: &[String]) {
    let is_ours = |id: &&String| id.parse::<CustomerId>().is_ok();
    if let Some(id) = ids.iter().rev().find(|id| !is_ours(id)) {
        fields.put(&format!("{name}_user_id"), id);
    } else if let Some(id) = ids.last() {
        fields.put(&format!("{name}_anonymous_user_id"), id);
    }
}

fn about_hub(event: &Event, fields: &mut Fields) {
    let purchase = &event.purchase;
    let details = &event.details;
    fields.put_date("occurred_at", Some(event.occurred_at));
    fields.put("inferred", event.inferred);
    fields.put("renewal_number", purchase.renewal_number);
    fields.put_some("cancel_reason", purchase.cancel_reason);
    fields.put_some("expiration_reason", purchase.expiration_reason);
    fields.put_some("is_trial_conversion", details.is_trial_conversion);
    fields.put_some("new_plan", details.new_product_id.as_ref());
    fields.put_date("effective_at", details.effective_at);
}
