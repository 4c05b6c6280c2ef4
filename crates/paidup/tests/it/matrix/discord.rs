//! The column Discord of the table of what each store can tell (lifecycle, section 14): one test for each row, `no_` for a row
//! that is empty. What Discord does not push is found by asking: the API's answers are part of the stories.

use crate::support::discord::{
    Bot, FEB, JAN, MAR, SKU, SKU_2, bought_once, entitlement, snowflake, subscription, time,
};
use crate::support::{TestHub, at};
use serde_json::json;
use std::time::Duration;

const MID: &str = "2026-01-10T00:00:00Z";
const APR: &str = "2026-04-01T00:00:00Z";
const STARTED: [&str; 2] = ["ACTIVATE", "SUBSCRIPTION_STARTED"];
const NOTHING: [&str; 0] = [];

/// Waits for an event that comes of asking. The clock stands meanwhile: no answer takes long by it.
async fn until(bot: &Bot, event: &str) {
    let came = async |hub: &TestHub| hub.types().await.iter().any(|name| name == event).then_some(());
    bot.hub.until(event, came).await;
}

#[tokio::test]
async fn start() {
    let bot = Bot::start(JAN).await;
    assert_eq!(bot.bought().await, STARTED);
    assert_eq!(bot.active().await, ["pro"]);
    let event = &bot.hub.events().await[0];
    assert_eq!((&event["store"], &event["environment"]), (&json!("DISCORD"), &json!("PRODUCTION")));
    assert_eq!(event["purchase"]["store_purchase_id"], snowflake(JAN, 63));
    bot.stop().await;
}

/// No event tells it: five minutes after the end of the period Discord is asked.
#[tokio::test]
async fn renew() {
    let bot = Bot::start(JAN).await;
    bot.bought().await;
    bot.put(&subscription(JAN, 0, (FEB, MAR), json!({})));
    bot.hub.clock.set(at("2026-02-01T00:05:01Z"));
    until(&bot, "SUBSCRIPTION_RENEWED").await;
    assert_eq!(bot.hub.types().await[2..], ["ACTIVATE", "SUBSCRIPTION_RENEWED"]);
    assert_eq!(bot.active().await, ["pro"]);
    bot.stop().await;
}

#[tokio::test]
async fn terminate() {
    let bot = Bot::start(JAN).await;
    bot.bought().await;
    let ended = json!({"ends_at": time(FEB)});
    // Discord is late to call it INACTIVE.
    bot.put(&subscription(JAN, 2, (JAN, FEB), json!({"canceled_at": time(MID), "entitlement_ids": []})));
    let told = bot.tell("2026-02-01T00:00:02Z", "ENTITLEMENT_UPDATE", &entitlement(JAN, ended)).await;
    assert_eq!(told, ["DEACTIVATE", "SUBSCRIPTION_TERMINATED"]);
    assert!(bot.active().await.is_empty());
    bot.stop().await;
}

/// It has a new id.
#[tokio::test]
async fn reactivated() {
    let bot = Bot::start(JAN).await;
    bot.bought().await;
    bot.put(&subscription(JAN, 1, (JAN, FEB), json!({"entitlement_ids": []})));
    bot.tell("2026-02-01T00:00:02Z", "ENTITLEMENT_UPDATE", &entitlement(JAN, json!({"ends_at": time(FEB)}))).await;
    bot.put(&subscription(MAR, 0, (MAR, APR), json!({})));
    let told = bot.tell(MAR, "ENTITLEMENT_CREATE", &entitlement(MAR, json!({}))).await;
    assert_eq!(told, ["ACTIVATE", "SUBSCRIPTION_REACTIVATED"]);
    bot.stop().await;
}

/// The old plan's entitlement ends and the new one's begins: access has no gap, in whichever order they come.
#[tokio::test]
async fn upgrade() {
    for is_new_first in [false, true] {
        let bot = Bot::start(JAN).await;
        for (sku, rank) in [(SKU, 1), (SKU_2, 2)] {
            let body = json!({"product_id": sku, "entitlements": ["pro"], "rank": rank, "group": "pro"});
            bot.hub.api("POST", "/v1/products", body).await.expect(201);
        }
        bot.bought().await;
        let new = entitlement(MID, json!({"sku_id": SKU_2, "subscription_id": snowflake(JAN, 63)}));
        let old = entitlement(JAN, json!({"ends_at": time(MID)}));
        let changed = json!({"sku_ids": [SKU_2], "entitlement_ids": [snowflake(MID, 7)]});
        bot.put(&subscription(JAN, 0, (MID, "2026-02-10T00:00:00Z"), changed));
        let mut events = [("ENTITLEMENT_UPDATE", &old), ("ENTITLEMENT_CREATE", &new)];
        if is_new_first {
            events.reverse();
        }
        let first = bot.tell("2026-01-10T00:00:01Z", events[0].0, events[0].1).await;
        let second = bot.tell("2026-01-10T00:00:02Z", events[1].0, events[1].1).await;
        let told = [first, second].concat();
        assert_eq!(told, ["DEACTIVATE", "ACTIVATE", "SUBSCRIPTION_UPGRADED"], "new first: {is_new_first}");
        bot.stop().await;
    }
}

#[tokio::test]
async fn downgrade_and_its_announcement() {
    let bot = Bot::start(JAN).await;
    bot.bought().await;
    bot.put(&subscription(JAN, 0, (JAN, FEB), json!({"renewal_sku_ids": [SKU_2]})));
    assert_eq!(bot.look_again(MID).await, ["PLAN_CHANGE_SCHEDULED"]);
    bot.put(&subscription(JAN, 0, (FEB, MAR), json!({"sku_ids": [SKU_2], "renewal_sku_ids": [SKU_2]})));
    let told = bot.look_again("2026-02-01T00:00:05Z").await;
    assert_eq!(told, ["DEACTIVATE", "ACTIVATE", "SUBSCRIPTION_CROSSGRADED", "SUBSCRIPTION_RENEWED"]);
    bot.stop().await;
}

#[tokio::test]
async fn no_deferred() {
    let bot = Bot::start(JAN).await;
    bot.bought().await;
    bot.put(&subscription(JAN, 0, (JAN, FEB), json!({})));
    assert_eq!(bot.look_again(MID).await, NOTHING);
    bot.stop().await;
}

#[tokio::test]
async fn auto_renew_off_and_on() {
    let bot = Bot::start(JAN).await;
    bot.bought().await;
    bot.put(&subscription(JAN, 2, (JAN, FEB), json!({"canceled_at": time(MID)})));
    assert_eq!(bot.look_again(MID).await, ["RENEWAL_DISABLED"]);
    assert_eq!(bot.active().await, ["pro"], "ENDING is 2 at Discord: paid until the end");
    bot.put(&subscription(JAN, 0, (JAN, FEB), json!({})));
    assert_eq!(bot.look_again("2026-01-11T00:00:00Z").await, ["RENEWAL_ENABLED"]);
    bot.stop().await;
}

/// ACTIVE past the end of the period, entitlement still there: nothing is told.
#[tokio::test]
async fn no_grace() {
    let bot = Bot::start(JAN).await;
    bot.bought().await;
    let told = bot.look_again("2026-02-03T00:00:00Z").await;
    assert_eq!(told, NOTHING);
    assert_eq!(bot.active().await, ["pro"]);
    bot.stop().await;
}

/// A charge that fails at first and succeeds days later: nobody tells, so the hub has to go on asking.
#[tokio::test]
async fn renew_late() {
    let bot = Bot::start(JAN).await;
    bot.bought().await;
    bot.hub.clock.set(at("2026-02-01T02:00:00Z"));
    bot.hub.until("a look", async |_| (bot.api.called().len() > 2).then_some(())).await;
    assert_eq!(bot.hub.types().await, STARTED);
    bot.put(&subscription(JAN, 0, (FEB, MAR), json!({})));
    bot.hub
        .until("SUBSCRIPTION_RENEWED", async |hub| {
            hub.clock.advance(Duration::from_secs(3600));
            hub.types().await.iter().any(|name| name == "SUBSCRIPTION_RENEWED").then_some(())
        })
        .await;
    assert!(bot.hub.hub.clock().now() < at("2026-02-20T00:00:00Z"), "{}", bot.hub.hub.clock().now());
    bot.stop().await;
}

/// ACTIVE past the end of the period, entitlement gone.
#[tokio::test]
async fn billing_retry_without_access() {
    let bot = Bot::start(JAN).await;
    bot.bought().await;
    let ended = entitlement(JAN, json!({"ends_at": time(FEB)}));
    bot.put(&subscription(JAN, 0, (JAN, FEB), json!({"entitlement_ids": []})));
    bot.put_entitlements(json!([ended]));
    let told = bot.tell("2026-02-03T00:00:00Z", "ENTITLEMENT_UPDATE", &ended).await;
    assert_eq!(told, ["DEACTIVATE", "ENTERED_BILLING_RETRY"]);
    bot.put(&subscription(JAN, 0, (FEB, MAR), json!({"entitlement_ids": [snowflake("2026-02-05T00:00:00Z", 7)]})));
    let paid = entitlement("2026-02-05T00:00:00Z", json!({"subscription_id": snowflake(JAN, 63)}));
    let told = bot.tell("2026-02-05T00:00:01Z", "ENTITLEMENT_CREATE", &paid).await;
    assert_eq!(told, ["ACTIVATE", "SUBSCRIPTION_RECOVERED_FROM_BILLING_RETRY"]);
    bot.stop().await;
}

/// INACTIVE in the middle of a period is a refund where its entitlement was deleted, and nothing where it was not.
#[tokio::test]
async fn no_pause() {
    let bot = Bot::start(JAN).await;
    bot.bought().await;
    bot.put(&subscription(JAN, 1, (JAN, FEB), json!({})));
    bot.look_again(MID).await;
    assert_eq!(bot.active().await, ["pro"]);
    assert!(bot.hub.types().await.iter().all(|name| !name.contains("PAUSE")));
    bot.stop().await;
}

#[tokio::test]
async fn refund() {
    let bot = Bot::start(JAN).await;
    bot.bought().await;
    let deleted = entitlement(JAN, json!({"deleted": true}));
    let told = bot.tell(MID, "ENTITLEMENT_DELETE", &deleted).await;
    assert_eq!(told, ["DEACTIVATE", "SUBSCRIPTION_REFUNDED_REVOKED"], "without money: Discord tells none");
    bot.stop().await;
}

/// The refund's own event was lost: the subscription and the user's entitlements tell it.
#[tokio::test]
async fn refund_that_no_event_told() {
    let bot = Bot::start(JAN).await;
    bot.bought().await;
    bot.put(&subscription(JAN, 1, (JAN, FEB), json!({"entitlement_ids": []})));
    bot.put_entitlements(json!([entitlement(JAN, json!({"deleted": true}))]));
    // Whatever makes the hub look: here another purchase's event.
    let ended = entitlement(JAN, json!({"deleted": true, "ends_at": time(MID)}));
    let told = bot.tell(MID, "ENTITLEMENT_UPDATE", &ended).await;
    assert_eq!(told, ["DEACTIVATE", "SUBSCRIPTION_REFUNDED_REVOKED"]);
    bot.stop().await;
}

#[tokio::test]
async fn no_family_revoke() {
    let bot = Bot::start(JAN).await;
    bot.bought().await;
    bot.tell(MID, "ENTITLEMENT_DELETE", &entitlement(JAN, json!({"deleted": true}))).await;
    assert!(!bot.hub.types().await.contains(&"FAMILY_SHARED_REVOKED".to_owned()));
    bot.stop().await;
}

/// Discord moves nothing; the hub does, when accounts are linked.
#[tokio::test]
async fn transfer_is_the_hubs_own() {
    let bot = Bot::start(JAN).await;
    bot.bought().await;
    bot.hub.api("POST", "/v1/customers/user-1/grants", json!({"entitlement": "beta"})).await.expect(201);
    let before = bot.hub.types().await.len();
    let alias = json!({"alias": crate::support::discord::USER});
    bot.hub.api("POST", "/v1/customers/user-1/aliases", alias).await.expect(200);
    let told = bot.hub.types().await.split_off(before);
    assert_eq!(told, ["DEACTIVATE", "SUBSCRIPTION_TRANSFERRED", "ACTIVATE", "SUBSCRIPTION_RECEIVED"]);
    bot.stop().await;
}

#[tokio::test]
async fn no_offers() {
    let bot = Bot::start(JAN).await;
    bot.bought().await;
    assert!(bot.hub.types().await.iter().all(|name| !name.contains("OFFER") && !name.contains("TRIAL")));
    bot.stop().await;
}

#[tokio::test]
async fn one_time() {
    let bot = Bot::start(JAN).await;
    let once = bought_once(JAN, json!({}));
    assert_eq!(bot.tell(JAN, "ENTITLEMENT_CREATE", &once).await, ["ACTIVATE", "ONE_TIME_PURCHASED"]);
    assert_eq!(bot.active().await, ["pro"]);
    let deleted = bought_once(JAN, json!({"deleted": true}));
    assert_eq!(bot.tell(MID, "ENTITLEMENT_DELETE", &deleted).await, ["DEACTIVATE", "ONE_TIME_REFUNDED"]);
    bot.stop().await;
}

#[tokio::test]
async fn test_entitlements_are_sandbox() {
    let bot = Bot::start(JAN).await;
    let test = bought_once(JAN, json!({"type": 8, "sku_id": SKU}));
    assert_eq!(bot.tell(JAN, "ENTITLEMENT_CREATE", &test).await, ["ACTIVATE", "ONE_TIME_PURCHASED"]);
    assert_eq!(bot.hub.events().await[0]["environment"], "SANDBOX");
    bot.stop().await;
}

#[tokio::test]
async fn no_money() {
    let bot = Bot::start(JAN).await;
    bot.bought().await;
    bot.tell(MID, "ENTITLEMENT_DELETE", &entitlement(JAN, json!({"deleted": true}))).await;
    assert!(!bot.hub.types().await.contains(&"TRANSACTION_PROCESSED".to_owned()));
    bot.stop().await;
}
