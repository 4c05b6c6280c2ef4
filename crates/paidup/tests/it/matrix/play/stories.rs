//! The stories of the Play Store's cells: each the shortest life that has its cell's event.

use crate::support::play::{Shop, ending, item, notification, order, order_path, product, product_path, subscription};
use serde_json::{Value, json};

pub(super) const JAN: &str = "2026-01-01T00:00:00Z";
const MID: &str = "2026-01-15T00:00:00Z";
const FEB: &str = "2026-02-01T00:00:00Z";
const MAR: &str = "2026-03-01T00:00:00Z";
const APR: &str = "2026-04-01T00:00:00Z";
const PRODUCT: &str = "pro_monthly";

fn standing(state: &str, item: Value) -> Value {
    subscription(state, JAN, json!([item]), json!({}))
}

fn by_user() -> Value {
    json!({"canceledStateContext": {"userInitiatedCancellation": {}}})
}

fn over(item: Value) -> Value {
    subscription("EXPIRED", JAN, json!([ending(item)]), by_user())
}

fn first() -> Value {
    item(PRODUCT, "GPA.1", FEB)
}

fn second() -> Value {
    item(PRODUCT, "GPA.1..0", MAR)
}

fn free() -> Value {
    let mut free = first();
    free["offerPhase"] = json!({"freeTrial": {}});
    free["offerDetails"] = json!({"offerId": "month-free"});
    free
}

/// A plan of the same price that lasts a year, on a token of its own.
fn year(state: &str, item: Value) -> Value {
    subscription(state, MID, json!([item]), json!({"linkedPurchaseToken": "t1"}))
}

pub(super) async fn tested(shop: &Shop) {
    shop.told_by(JAN, &notification(JAN, "testNotification", json!({"version": "1.0"}))).await;
}

pub(super) async fn bought(shop: &Shop) {
    shop.tell(JAN, 4, "t1", standing("ACTIVE", first())).await;
}

pub(super) async fn trial(shop: &Shop) {
    shop.tell(JAN, 4, "t1", standing("ACTIVE", free())).await;
}

async fn renew(shop: &Shop) {
    shop.tell("2026-02-01T00:00:30Z", 2, "t1", standing("ACTIVE", second())).await;
}

pub(super) async fn renewed(shop: &Shop) {
    bought(shop).await;
    renew(shop).await;
}

pub(super) async fn trial_converted_life(shop: &Shop) {
    trial(shop).await;
    renew(shop).await;
}

pub(super) async fn trial_cancelled_life(shop: &Shop) {
    trial(shop).await;
    let off = subscription("CANCELED", JAN, json!([ending(free())]), by_user());
    shop.tell(MID, 3, "t1", off).await;
}

async fn cancel(shop: &Shop, when: &str, item: Value) {
    shop.tell(when, 3, "t1", subscription("CANCELED", JAN, json!([ending(item)]), by_user())).await;
}

pub(super) async fn cancelled(shop: &Shop) {
    bought(shop).await;
    cancel(shop, MID, first()).await;
}

pub(super) async fn uncancelled(shop: &Shop) {
    cancelled(shop).await;
    shop.tell("2026-01-16T00:00:00Z", 7, "t1", standing("ACTIVE", first())).await;
}

pub(super) async fn expired(shop: &Shop) {
    cancelled(shop).await;
    shop.tell("2026-02-01T00:00:20Z", 13, "t1", over(first())).await;
}

pub(super) async fn failed(shop: &Shop) {
    bought(shop).await;
    let grace = item(PRODUCT, "GPA.1", "2026-02-08T00:00:00Z");
    shop.tell("2026-02-01T00:00:30Z", 6, "t1", standing("IN_GRACE_PERIOD", grace)).await;
}

pub(super) async fn held(shop: &Shop) {
    failed(shop).await;
    let hold = item(PRODUCT, "GPA.1", "2026-02-08T00:00:00Z");
    shop.tell("2026-02-08T00:00:30Z", 5, "t1", standing("ON_HOLD", hold)).await;
}

pub(super) async fn recovered(shop: &Shop) {
    held(shop).await;
    let paid = item(PRODUCT, "GPA.1..0", "2026-03-10T00:00:00Z");
    shop.tell("2026-02-10T00:00:00Z", 1, "t1", standing("ACTIVE", paid)).await;
}

pub(super) async fn recovered_in_grace(shop: &Shop) {
    failed(shop).await;
    shop.tell("2026-02-03T00:00:00Z", 2, "t1", standing("ACTIVE", second())).await;
}

pub(super) async fn cancelled_in_grace(shop: &Shop) {
    failed(shop).await;
    shop.tell("2026-02-03T00:00:00Z", 3, "t1", over(item(PRODUCT, "GPA.1", "2026-02-03T00:00:00Z"))).await;
}

pub(super) async fn revoked(shop: &Shop) {
    bought(shop).await;
    shop.tell(MID, 12, "t1", over(item(PRODUCT, "GPA.1", MID))).await;
}

/// An earlier period's order is refunded; access stays.
pub(super) async fn refunded(shop: &Shop) {
    renewed(shop).await;
    let void = json!({"purchaseToken": "t1", "orderId": "GPA.1", "productType": 1, "refundType": 1});
    let when = "2026-02-05T00:00:00Z";
    shop.told_by(when, &notification(when, "voidedPurchaseNotification", void)).await;
}

/// Google asks the developer about a refund.
pub(super) async fn refund_requested(shop: &Shop) {
    bought(shop).await;
    let mut order = order("GPA.1", "t1", PRODUCT, "9");
    order["lineItems"][0]["subscriptionDetails"] = json!({"basePlanId": "monthly"});
    shop.google.put(&order_path("GPA.1"), order);
    let review = json!({"version": "1.0", "pendingRefundToken": "review", "orderId": "GPA.1", "refundReason": 1});
    shop.told_by(MID, &notification(MID, "pendingRefundReviewNotification", review)).await;
}

pub(super) async fn upgraded(shop: &Shop) {
    bought(shop).await;
    let plan = item("pro_yearly", "GPA.2", "2027-01-15T00:00:00Z");
    shop.tell(MID, 4, "t2", year("ACTIVE", plan)).await;
}

pub(super) async fn announced(shop: &Shop) {
    bought(shop).await;
    let mut plan = first();
    plan.as_object_mut().expect("an item").remove("latestSuccessfulOrderId");
    plan["deferredItemReplacement"] = json!({"productId": "pro_yearly"});
    shop.tell(MID, 4, "t2", year("ACTIVE", plan)).await;
}

pub(super) async fn downgraded(shop: &Shop) {
    announced(shop).await;
    let mut plan = item("pro_yearly", "GPA.2", "2027-02-01T00:00:00Z");
    plan["itemReplacement"] = json!({"productId": PRODUCT, "replacementMode": "DEFERRED"});
    shop.tell("2026-02-01T00:00:30Z", 2, "t2", year("ACTIVE", plan)).await;
}

pub(super) async fn deferred(shop: &Shop) {
    bought(shop).await;
    shop.tell(MID, 9, "t1", standing("ACTIVE", item(PRODUCT, "GPA.1", "2026-02-08T00:00:00Z"))).await;
}

pub(super) async fn pause_planned(shop: &Shop) {
    bought(shop).await;
    shop.tell(MID, 11, "t1", standing("ACTIVE", first())).await;
}

pub(super) async fn pause_withdrawn(shop: &Shop) {
    pause_planned(shop).await;
    shop.tell("2026-01-16T00:00:00Z", 11, "t1", standing("ACTIVE", first())).await;
}

pub(super) async fn paused(shop: &Shop) {
    pause_planned(shop).await;
    let pause = subscription("PAUSED", JAN, json!([first()]), json!({"pausedStateContext": {"autoResumeTime": MAR}}));
    shop.tell("2026-02-01T00:00:30Z", 10, "t1", pause).await;
}

pub(super) async fn resumed(shop: &Shop) {
    paused(shop).await;
    shop.tell(MAR, 1, "t1", standing("ACTIVE", item(PRODUCT, "GPA.1..0", APR))).await;
}

/// The app hands the subscription to another of its users.
pub(super) async fn handed_over(shop: &Shop) {
    bought(shop).await;
    let owner = json!({"externalAccountIdentifiers": {"obfuscatedExternalAccountId": "user-2"}});
    shop.tell(MID, 19, "t1", subscription("ACTIVE", JAN, json!([first()]), owner)).await;
}

pub(super) async fn bought_once(shop: &Shop) {
    shop.google.put(&product_path("o1"), product("PURCHASED", "theme_pack", "GPA.5"));
    shop.google.put(&order_path("GPA.5"), order("GPA.5", "o1", "theme_pack", "5"));
    let told = json!({"version": "1.0", "notificationType": 1, "purchaseToken": "o1", "sku": "theme_pack"});
    shop.told_by(JAN, &notification(JAN, "oneTimeProductNotification", told)).await;
}

pub(super) async fn refunded_once(shop: &Shop) {
    bought_once(shop).await;
    shop.google.put(&product_path("o1"), product("CANCELLED", "theme_pack", "GPA.5"));
    let void = json!({"purchaseToken": "o1", "orderId": "GPA.5", "productType": 2, "refundType": 1});
    shop.told_by(MID, &notification(MID, "voidedPurchaseNotification", void)).await;
}

pub(super) async fn price_raised(shop: &Shop) {
    bought(shop).await;
    let change = |state: &str| {
        let mut raised = first();
        raised["autoRenewingPlan"]["priceChangeDetails"] = json!({"priceChangeState": state,
            "priceChangeMode": "PRICE_INCREASE", "newPrice": {"currencyCode": "USD", "units": "12"}});
        standing("ACTIVE", raised)
    };
    shop.tell(MID, 19, "t1", change("OUTSTANDING")).await;
    shop.tell("2026-01-16T00:00:00Z", 19, "t1", change("CONFIRMED")).await;
}

pub(super) async fn came_back(shop: &Shop) {
    expired(shop).await;
    let revived = json!({"outOfAppPurchaseContext": {"expiredPurchaseToken": "t1"}});
    let again = subscription("ACTIVE", MAR, json!([item(PRODUCT, "GPA.9", APR)]), revived);
    shop.tell(MAR, 4, "t9", again).await;
}

/// All that can happen to one subscription.
pub(super) async fn whole_life(shop: &Shop) {
    uncancelled(shop).await;
    renew(shop).await;
    let third = item(PRODUCT, "GPA.1..1", APR);
    let grace = item(PRODUCT, "GPA.1..0", "2026-03-08T00:00:00Z");
    shop.tell("2026-03-01T00:00:30Z", 6, "t1", standing("IN_GRACE_PERIOD", grace)).await;
    shop.tell("2026-03-02T00:00:00Z", 2, "t1", standing("ACTIVE", third.clone())).await;
    shop.tell("2026-03-10T00:00:00Z", 9, "t1", standing("ACTIVE", item(PRODUCT, "GPA.1..1", "2026-04-08T00:00:00Z")))
        .await;
    cancel(shop, "2026-03-12T00:00:00Z", item(PRODUCT, "GPA.1..1", "2026-04-08T00:00:00Z")).await;
    shop.tell("2026-04-08T00:00:20Z", 13, "t1", over(item(PRODUCT, "GPA.1..1", "2026-04-08T00:00:00Z"))).await;
}

/// What RevenueCat's webhooks have for it.
pub(super) const WHOLE_LIFE: [&str; 10] = [
    "INITIAL_PURCHASE",
    "CANCELLATION/UNSUBSCRIBE",
    "UNCANCELLATION",
    "RENEWAL",
    "BILLING_ISSUE",
    "CANCELLATION/BILLING_ERROR",
    "RENEWAL",
    "SUBSCRIPTION_EXTENDED",
    "CANCELLATION/UNSUBSCRIBE",
    "EXPIRATION/UNSUBSCRIBE",
];
