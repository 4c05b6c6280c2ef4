//! RevenueCat's v1 customer: `GET /v1/subscribers/{app_user_id}`.
//! <https://www.revenuecat.com/docs/api-v1#tag/customers>
//!
//! Whoever reads it decides by dates: an entitlement is active while its `expires_date` is null or it or
//! `grace_period_expires_date` lies ahead. So where this hub says "no access" the dates here are over, and where it says
//! "access" one of them is not.

use super::{RcPeriod, period_type, product_name, store_name};
use crate::catalogue::Catalogue;
use crate::customer::Customer;
use crate::engine;
use crate::event::PurchaseView;
use crate::observation::{Environment, Kind, RefundStatus, Store};
use crate::purchase::{Purchase, State};
use crate::time::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a period whose dates are over still counts where the clock has nothing left to decide about it.
const A_LITTLE: Duration = Duration::from_secs(300);

/// The customer as RevenueCat's API shows it. `asked_for` is the id in the request; `purchases` are all of the
/// customer's, in any order.
#[must_use]
pub fn subscriber(
    customer: &Customer,
    purchases: &[Purchase],
    catalogue: &Catalogue,
    asked_for: &str,
    now: Timestamp,
) -> Value {
    let mut rows: Vec<Row> = purchases.iter().map(|purchase| Row::new(purchase, catalogue, now)).collect();
    rows.sort_by_key(|row| (row.purchased_at, row.purchase.id));
    let first = rows.iter().filter_map(|row| row.view.first_purchased_at).min();
    let last_seen = rows.iter().filter_map(|row| row.purchase.heard_at).max().unwrap_or(customer.created_at);
    json!({
        "request_date": now.to_rfc3339_seconds(),
        "request_date_ms": now.as_millis(),
        "subscriber": {
            "original_app_user_id": customer.aliases.first().map_or(asked_for, String::as_str),
            "original_application_version": null,
            "original_purchase_date": seconds(first),
            "first_seen": customer.created_at.to_rfc3339_seconds(),
            "last_seen": last_seen.to_rfc3339_seconds(),
            "management_url": rows.iter().rev().find(|row| row.is_running()).and_then(|row| management_url(row.purchase.store)),
            "entitlements": entitlements(&rows),
            "subscriptions": subscriptions(&rows),
            "non_subscriptions": non_subscriptions(&rows),
            "subscriber_attributes": attributes(customer),
            "other_purchases": {},
        }
    })
}

/// Where the store lets its customers manage a subscription; `None`: the store has no such page for everybody.
#[must_use]
pub const fn management_url(store: Store) -> Option<&'static str> {
    match store {
        Store::AppStore | Store::MacAppStore => Some("https://apps.apple.com/account/subscriptions"),
        Store::PlayStore => Some("https://play.google.com/store/account/subscriptions"),
        Store::Amazon => Some("https://www.amazon.com/gp/mas/your-account/myapps/yoursubscriptions"),
        Store::Stripe | Store::Paddle | Store::Discord | Store::Promotional | Store::External => None,
    }
}

/// One purchase with what several parts of the answer need.
struct Row<'a> {
    purchase: &'a Purchase,
    view: PurchaseView,
    product: Option<String>,
    purchased_at: Option<Timestamp>,
    /// `None`: for ever.
    expires_at: Option<Timestamp>,
    grace_ends_at: Option<Timestamp>,
}

impl<'a> Row<'a> {
    fn new(purchase: &'a Purchase, catalogue: &Catalogue, now: Timestamp) -> Row<'a> {
        let view = engine::view(purchase, catalogue);
        let period = view.period.as_ref();
        let end = view.extended_until.max(period.and_then(|period| period.ends_at));
        let (expires_at, grace_ends_at) = dates(purchase, end, view.grace_ends_at, now);
        Row {
            purchase,
            product: product_name(&view, view.product_id.as_deref()),
            purchased_at: period.map(|period| period.starts_at).or(view.first_purchased_at),
            expires_at,
            grace_ends_at,
            view,
        }
    }

    fn is_running(&self) -> bool {
        self.purchase.state.has_access() && self.view.kind == Kind::Subscription
    }

    /// When access ends by what is shown; for ever is last.
    fn lasts_until(&self) -> Timestamp {
        self.expires_at.map_or(Timestamp::MAX, |end| self.grace_ends_at.map_or(end, |grace| grace.max(end)))
    }

    /// Whether it is in RevenueCat's list of subscriptions, where grants are too.
    const fn is_subscription(&self) -> bool {
        match self.view.kind {
            Kind::Subscription | Kind::Grant | Kind::Temporary => true,
            Kind::Consumable | Kind::NonConsumable | Kind::NonRenewing => false,
        }
    }
}

/// `expires_date` and `grace_period_expires_date`, such that the reader's formula and the hub's state agree.
fn dates(
    purchase: &Purchase,
    end: Option<Timestamp>,
    grace_ends_at: Option<Timestamp>,
    now: Timestamp,
) -> (Option<Timestamp>, Option<Timestamp>) {
    let grace_ends_at = grace_ends_at.filter(|_| purchase.state == State::Grace);
    match purchase.state {
        State::Active | State::Grace => {
            let is_over = end.is_some_and(|end| end <= now) && grace_ends_at.is_none_or(|grace| grace <= now);
            // The store has not said yet how it goes on: access stands until the clock decides.
            let trusted_until = purchase.next_deadline.filter(|at| *at > now).unwrap_or_else(|| now.plus(A_LITTLE));
            (end, if is_over { Some(trusted_until) } else { grace_ends_at })
        }
        // Nothing was given yet.
        State::None | State::Pending => (Some(end.map_or(now, |end| end.min(now))), None),
        State::BillingRetry | State::Paused | State::Expired | State::Revoked => {
            let said_at = purchase.facets.standing.as_ref().map_or(now, |standing| standing.stamp.as_of);
            let ended_at = said_at.min(now);
            (Some(end.map_or(ended_at, |end| if end <= now { end } else { ended_at })), None)
        }
    }
}

/// Every entitlement that a purchase gives or gave; of several purchases the one that lasts longest speaks.
fn entitlements(rows: &[Row<'_>]) -> Value {
    let mut best: BTreeMap<&str, &Row<'_>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.view.kind != Kind::Consumable) {
        for id in &row.view.entitlements {
            let known = best.entry(id).or_insert(row);
            if row.lasts_until() > known.lasts_until() {
                *known = row;
            }
        }
    }
    let shown = best.into_iter().map(|(id, row)| {
        let value = json!({
            "expires_date": seconds(row.expires_at),
            "grace_period_expires_date": seconds(row.grace_ends_at),
            "product_identifier": row.product,
            "purchase_date": seconds(row.purchased_at),
        });
        (id.to_owned(), value)
    });
    Value::Object(shown.collect())
}

/// By product: the newest purchase of each.
fn subscriptions(rows: &[Row<'_>]) -> Value {
    let mut shown = Map::new();
    for row in rows.iter().filter(|row| row.is_subscription()) {
        if let Some(product) = &row.product {
            shown.insert(product.clone(), subscription(row));
        }
    }
    Value::Object(shown)
}

fn subscription(row: &Row<'_>) -> Value {
    let (purchase, view) = (row.purchase, &row.view);
    let standing = purchase.facets.standing.as_ref();
    let failing = matches!(purchase.state, State::Grace | State::BillingRetry);
    let mut shown = json!({
        "purchase_date": seconds(row.purchased_at),
        "original_purchase_date": seconds(view.first_purchased_at.or(row.purchased_at)),
        "expires_date": seconds(row.expires_at),
        "store": store_name(purchase.store).to_ascii_lowercase(),
        "is_sandbox": purchase.key.environment == Environment::Sandbox,
        "period_type": match period_type(view) {
            RcPeriod::Trial => "trial",
            RcPeriod::Intro => "intro",
            RcPeriod::Normal | RcPeriod::Promotional => "normal",
            RcPeriod::Prepaid => "prepaid",
        },
        "ownership_type": if view.family_shared { "FAMILY_SHARED" } else { "PURCHASED" },
        "unsubscribe_detected_at": seconds(view.cancelled_at),
        "billing_issues_detected_at": seconds(standing.filter(|_| failing).map(|standing| standing.stamp.as_of)),
        "grace_period_expires_date": seconds(row.grace_ends_at),
        "refunded_at": seconds(refunded_at(purchase)),
        "auto_resume_date": seconds(view.pause.as_ref().and_then(|pause| pause.resumes_at)),
        "store_transaction_id": view.period.as_ref().and_then(|period| period.transaction_id.as_ref())
            .unwrap_or(&view.store_purchase_id),
    });
    add_name_and_price(&mut shown, view);
    shown
}

/// By product: every purchase of it, oldest first.
fn non_subscriptions(rows: &[Row<'_>]) -> Value {
    let mut shown: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for row in rows.iter().filter(|row| !row.is_subscription()) {
        let Some(product) = &row.product else { continue };
        let mut one = json!({
            "id": row.purchase.id,
            "is_sandbox": row.purchase.key.environment == Environment::Sandbox,
            "purchase_date": seconds(row.purchased_at),
            "store": store_name(row.purchase.store).to_ascii_lowercase(),
            "store_transaction_id": row.view.store_purchase_id,
        });
        add_name_and_price(&mut one, &row.view);
        shown.entry(product.clone()).or_default().push(one);
    }
    json!(shown)
}

/// RevenueCat leaves these two out where it does not know them.
fn add_name_and_price(shown: &mut Value, view: &PurchaseView) {
    if let Some(name) = &view.product_name {
        shown["display_name"] = json!(name);
    }
    if let Some(price) = view.price {
        shown["price"] = json!({ "amount": price.as_units(), "currency": price.currency });
    }
}

/// When the running (or last) period's money went back.
fn refunded_at(purchase: &Purchase) -> Option<Timestamp> {
    let key = purchase.facets.period.as_ref()?.value.transaction_key().into_owned();
    let refunds = purchase.facets.transactions.get(&key)?.refunds.values();
    refunds.filter(|refund| refund.value.status == RefundStatus::Refunded).map(|refund| refund.stamp.as_of).max()
}

fn attributes(customer: &Customer) -> Value {
    let shown = customer.attributes.iter().map(|(name, attribute)| {
        let value = json!({ "value": attribute.value, "updated_at_ms": attribute.updated_at.as_millis() });
        (name.clone(), value)
    });
    Value::Object(shown.collect())
}

fn seconds(at: Option<Timestamp>) -> Option<String> {
    at.map(Timestamp::to_rfc3339_seconds)
}
