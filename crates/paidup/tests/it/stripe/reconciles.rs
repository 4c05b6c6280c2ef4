//! Comparing with Stripe: what it did not send is found in its lists and by asking about each subscription; what it
//! confirms leaves nothing behind; and a store that hangs delays nobody.

use super::{FEB, JAN, MAR};
use crate::support::TestHub;
use crate::support::stripe::{Api, Shape, Shop, unix};
use serde_json::{Value, json};
use std::time::Duration;

const TYPES: &str = "&types[]=customer.subscription.created&types[]=customer.subscription.updated\
    &types[]=customer.subscription.deleted&types[]=customer.subscription.paused&types[]=customer.subscription.resumed\
    &types[]=subscription_schedule.updated&types[]=subscription_schedule.released&types[]=subscription_schedule.canceled\
    &types[]=invoice.paid&types[]=invoice.payment_failed&types[]=invoice.marked_uncollectible&types[]=invoice.voided\
    &types[]=invoice_payment.paid&types[]=charge.refunded&types[]=refund.created&types[]=refund.updated\
    &types[]=refund.failed&types[]=charge.dispute.closed&types[]=checkout.session.completed\
    &types[]=checkout.session.async_payment_succeeded";

fn events(since: &str, after: &str) -> String {
    format!("/v1/events?created[gte]={}{after}&limit=100{TYPES}", unix(since))
}

fn subscriptions(since: &str) -> String {
    let since = unix(since);
    format!("/v1/subscriptions?created[gte]={since}&limit=50&status=all&expand[]=data.latest_invoice")
}

/// Begins to compare and waits for the end.
async fn reconcile(shop: &Shop, since: &str) -> Value {
    let path = format!("/v1/sources/{}/reconcile", shop.source);
    let begun = shop.hub.api("POST", &path, json!({"since": since})).await.expect(201);
    let path = format!("/v1/reconciles/{}", begun["id"].as_str().expect("an id"));
    let ended = async |hub: &TestHub| {
        let run = hub.get(&path).await;
        (run["state"] != "running").then_some(run)
    };
    shop.in_time("the run's end", ended).await
}

#[tokio::test]
async fn what_stripe_never_sent_is_found_and_marked() {
    let api = Api::start().await;
    let shop = Shop::open_asking(JAN, &api).await;
    let active = shop.bought().await;
    let before = shop.hub.events().await.len();
    shop.to("2026-01-10T00:00:00Z").await;
    // Two pages of events: the renewal was switched off, and somebody else bought.
    let mut off = active.clone();
    off["latest_invoice"] = Value::Null;
    off["cancel_at_period_end"] = json!(true);
    off["cancel_at"] = json!(unix(FEB));
    off["canceled_at"] = json!(unix("2026-01-05T00:00:00Z"));
    let previous = json!({"cancel_at_period_end": false, "cancel_at": null});
    let updated = shop.event("evt_off", "2026-01-05T00:00:00Z", "customer.subscription.updated", &off, &previous);
    let mut other = shop.subscription("active", "price_b", "2026-01-07T00:00:00Z", "2026-02-07T00:00:00Z");
    (other["id"], other["customer"], other["metadata"]) =
        (json!("sub_2"), json!("cus_2"), json!({"user_id": "user-2"}));
    other["latest_invoice"] = Value::Null;
    let made = shop.event("evt_made", "2026-01-07T00:00:00Z", "customer.subscription.created", &other, &Value::Null);
    api.put(&events(JAN, ""), json!({"object": "list", "data": [made], "has_more": true}));
    api.put_list(&events(JAN, "&starting_after=evt_made"), &[updated]);
    api.put_list(&subscriptions(JAN), &[other.clone()]);
    api.put("/v1/subscriptions/sub_1?expand[]=latest_invoice", off);
    api.put("/v1/subscriptions/sub_2?expand[]=latest_invoice", other);
    let run = reconcile(&shop, JAN).await;
    assert_eq!((&run["state"], &run["failed"]), (&json!("done"), &json!(0)), "{run}");
    assert!(run["different"].as_u64() >= Some(2), "{run}");
    let mut told = shop.hub.events().await;
    told.truncate(told.len() - before);
    let types: Vec<&str> = told.iter().rev().filter_map(|event| event["type"].as_str()).collect();
    assert!(types.contains(&"ACTIVATE"), "{types:?}");
    assert!(told.iter().all(|event| event["details"]["detected_by"] == "reconcile"), "{told:#?}");
    super::lookups::rebuilds(&shop).await;
    // Compared again: nothing is new, and nothing is kept.
    let kept = shop.hub.get("/v1/notifications?limit=200").await["data"].as_array().map(Vec::len);
    let told = shop.hub.events().await.len();
    let run = reconcile(&shop, JAN).await;
    assert_eq!(run["different"], 0, "{run}");
    assert_eq!(shop.hub.get("/v1/notifications?limit=200").await["data"].as_array().map(Vec::len), kept);
    assert_eq!(shop.hub.events().await.len(), told);
    shop.stop().await;
}

#[tokio::test]
async fn a_run_is_listed_and_a_source_without_a_key_has_none() {
    let shop = Shop::open(JAN, Shape::New).await;
    let path = format!("/v1/sources/{}/reconcile", shop.source);
    shop.hub.api("POST", &path, json!({})).await.expect(422);
    shop.hub.api("POST", &path, json!({"purchases": "some"})).await.expect(422);
    shop.hub.api("POST", "/v1/sources/src_nobody/reconcile", json!({})).await.expect(404);
    assert_eq!(shop.hub.get("/v1/reconciles").await["data"], json!([]));
    shop.stop().await;
    let api = Api::start().await;
    let shop = Shop::open_asking(JAN, &api).await;
    api.always(Some(403));
    let run = reconcile(&shop, JAN).await;
    assert_eq!((&run["state"], &run["failed"], &run["asked"]), (&json!("done"), &json!(2), &json!(0)), "{run}");
    assert_eq!(shop.hub.get(&format!("/v1/reconciles?source={}", shop.source)).await["data"][0]["id"], run["id"]);
    let source = shop.hub.get(&format!("/v1/sources/{}", shop.source)).await;
    assert!(source["store"]["refused_since"].is_string(), "{source}");
    shop.stop().await;
}

/// A renewal that never comes is asked for by the engine.
#[tokio::test]
async fn a_renewal_that_is_not_told_is_asked_for() {
    let api = Api::start().await;
    let shop = Shop::open_asking(JAN, &api).await;
    shop.bought().await;
    let before = shop.hub.types().await.len();
    let mut renewed = shop.subscription("active", "price_a", FEB, MAR);
    renewed["latest_invoice"] = shop.invoice("in_2", "subscription_cycle", 999, "price_a", FEB, MAR);
    shop.to(FEB).await;
    api.always(Some(503));
    shop.hub.clock.advance(Duration::from_secs(301));
    let waits = async |hub: &TestHub| {
        let rows = hub.get("/v1/questions").await["data"].clone();
        (rows[0]["last_error"] == "the store answered 503").then_some(rows)
    };
    let rows = shop.in_time("the question", waits).await;
    assert_eq!(rows[0]["store_purchase_id"], "sub_1");
    let source = shop.hub.get(&format!("/v1/sources/{}", shop.source)).await;
    assert_eq!(source["store"]["questions"], 1, "{source}");
    api.put("/v1/subscriptions/sub_1?expand[]=latest_invoice", renewed);
    api.always(None);
    let told = shop.told_since(before, "the renewal").await;
    assert!(told.contains(&"SUBSCRIPTION_RENEWED".to_owned()), "{told:?}");
    shop.stop().await;
}

/// A store that never answers: every notification is taken in all the same, and what has to be asked waits over a restart.
#[tokio::test]
async fn a_store_that_hangs_delays_no_notification_and_its_questions_outlive_a_restart() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    // Takes every connection and never says a word.
    let hanging = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            held.push(connection);
        }
    });
    let settings = [("PAIDUP_STRIPE_API_URL", url.as_str()), ("PAIDUP_ALLOW_PRIVATE_TARGETS", "")];
    let more = json!({"api_key": crate::support::stripe::API_KEY});
    let shop = Shop::open_with(JAN, Shape::New, more, &settings).await;
    for number in 0..60 {
        let refund = json!({"id": format!("re_{number}"), "object": "refund", "amount": 999, "currency": "usd",
            "status": "succeeded", "livemode": true, "charge": format!("ch_{number}"),
            "payment_intent": format!("pi_{number}")});
        let event =
            shop.event(&format!("evt_r{number}"), "2026-01-01T00:00:01Z", "refund.created", &refund, &Value::Null);
        shop.post(event.to_string().as_bytes()).await.expect(200);
    }
    let waiting = async |hub: &TestHub, source: &str| {
        hub.get(&format!("/v1/sources/{source}")).await["store"]["lookups"].as_u64().unwrap_or(0)
    };
    assert_eq!(waiting(&shop.hub, &shop.source).await, 60);
    let source = shop.source.clone();
    let hub = shop.hub.restart_with(&settings).await;
    assert_eq!(waiting(&hub, &source).await, 60, "nothing is forgotten");
    hub.stop().await;
    hanging.abort();
}
