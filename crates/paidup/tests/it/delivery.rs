//! Events on their way: signatures, order, retries, pausing, switching off, replay.

use crate::support::{Receiver, Request, TestHub, at, observation, start};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;
use std::time::Duration;

const FROM: &str = "2026-01-01T00:00:00Z";
const TO: &str = "2036-02-01T00:00:00Z";

async fn hub() -> (TestHub, String, Receiver) {
    let hub = TestHub::start(FROM).await;
    let source = hub.source("generic", json!({})).await;
    hub.map("pro_monthly", &["pro"]).await;
    (hub, source, Receiver::start().await)
}

fn types(requests: &[Request]) -> Vec<&str> {
    requests.iter().map(Request::event_type).collect()
}

/// Moves the clock on until the receiver has `count` requests: retries come when their time has come.
async fn hurry(hub: &TestHub, receiver: &Receiver, count: usize) -> Vec<Request> {
    hub.until("the retries", async |hub| {
        if receiver.requests().len() >= count {
            return Some(receiver.requests());
        }
        hub.clock.advance(Duration::from_secs(60));
        None
    })
    .await
}

#[tokio::test]
async fn a_webhook_is_signed_as_standard_webhooks_says() {
    use hmac::{Hmac, KeyInit, Mac};
    let (hub, source, receiver) = hub().await;
    let made = hub.webhook(&receiver, json!({})).await;
    let secret = made["secret"].as_str().expect("the secret, shown once").to_owned();
    let again = hub.get(&format!("/v1/destinations/{}", made["id"].as_str().expect("an id"))).await;
    assert!(!again.to_string().contains(&secret), "the secret is shown once");
    hub.observe(&source, start("n1", "user-1", "sub-1", FROM, TO)).await;
    let requests = receiver.wait_for(3).await;
    assert_eq!(types(&requests), ["ACTIVATE", "SUBSCRIPTION_STARTED", "TRANSACTION_PROCESSED"]);
    let key = BASE64.decode(secret.strip_prefix("whsec_").expect("whsec_")).expect("base64");
    for request in &requests {
        let (id, sent_at) = (request.header("webhook-id"), request.header("webhook-timestamp"));
        assert_eq!(id, request.body["id"]);
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).expect("a key");
        mac.update(format!("{id}.{sent_at}.").as_bytes());
        mac.update(&request.bytes);
        let expected = format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()));
        assert_eq!(request.header("webhook-signature"), expected);
    }
    assert_eq!(requests[0].body, hub.get(&format!("/v1/events/{}", requests[0].header("webhook-id"))).await);
    hub.stop().await;
}

#[tokio::test]
async fn a_lane_waits_for_its_head_and_others_go_on() {
    let (hub, source, receiver) = hub().await;
    hub.webhook(&receiver, json!({"filter": {"events": ["SUBSCRIPTION_STARTED", "RENEWAL_DISABLED"]}})).await;
    receiver.answer(&[500, 200]);
    hub.observe(&source, start("n1", "user-1", "sub-1", FROM, TO)).await;
    receiver.wait_for(1).await;
    let off = observation("n2", "2026-01-01T00:00:01Z", "renewal_disabled", "sub-1", json!({"will_renew": false}));
    hub.observe(&source, off).await;
    hub.observe(&source, start("n3", "user-2", "sub-2", FROM, TO)).await;
    let requests = hurry(&hub, &receiver, 4).await;
    let told: Vec<(&str, &str)> = requests
        .iter()
        .map(|one| (one.body["purchase"]["store_purchase_id"].as_str().unwrap_or_default(), one.event_type()))
        .collect();
    assert_eq!(told[0], ("sub-1", "SUBSCRIPTION_STARTED"));
    let lane: Vec<&str> = told.iter().filter(|(purchase, _)| *purchase == "sub-1").map(|(_, name)| *name).collect();
    assert_eq!(lane, ["SUBSCRIPTION_STARTED", "SUBSCRIPTION_STARTED", "RENEWAL_DISABLED"]);
    assert_eq!(told[1], ("sub-2", "SUBSCRIPTION_STARTED"), "the other lane did not wait");
    assert_eq!(requests[0].header("webhook-id"), requests[2].header("webhook-id"), "the same id on every attempt");
    hub.stop().await;
}

#[tokio::test]
async fn attempts_are_kept_and_the_state_follows_from_them() {
    let (hub, source, receiver) = hub().await;
    let made = hub.webhook(&receiver, json!({"filter": {"events": ["SUBSCRIPTION_STARTED"]}})).await;
    let destination = made["id"].as_str().expect("an id").to_owned();
    receiver.answer(&[503]);
    hub.observe(&source, start("n1", "user-1", "sub-1", FROM, TO)).await;
    let requests = receiver.wait_for(1).await;
    let event = requests[0].header("webhook-id").to_owned();
    let states = async |hub: &TestHub| -> Vec<String> {
        let list = hub.get(&format!("/v1/events/{event}/deliveries")).await;
        let rows = list["data"].as_array().expect("rows").clone();
        rows.iter().map(|row| row["state"].as_str().unwrap_or_default().to_owned()).collect()
    };
    hub.until("the failure", async |hub| (states(hub).await == ["retrying"]).then_some(())).await;
    hurry(&hub, &receiver, 2).await;
    hub.until("the success", async |hub| {
        // Successes are settled in batches, by the clock.
        hub.clock.advance(Duration::from_secs(1));
        (states(hub).await == ["delivered"]).then_some(())
    })
    .await;
    let list = hub.get(&format!("/v1/deliveries?destination={destination}")).await;
    assert_eq!(list["data"][0]["attempts"].as_array().expect("attempts").len(), 2, "{list}");
    hub.stop().await;
}

#[tokio::test]
async fn what_is_paused_catches_up_in_order() {
    let (hub, source, receiver) = hub().await;
    let made = hub.webhook(&receiver, json!({})).await;
    let path = format!("/v1/destinations/{}", made["id"].as_str().expect("an id"));
    hub.api("POST", &format!("{path}/pause"), json!({})).await.expect(200);
    for n in 0..5 {
        let id = format!("n{n}");
        hub.observe(&source, start(&id, &format!("user-{n}"), &format!("sub-{n}"), FROM, TO)).await;
    }
    assert!(receiver.requests().is_empty());
    assert_eq!(hub.get(&path).await["state"], "paused");
    hub.api("POST", &format!("{path}/resume"), json!({})).await.expect(200);
    let requests = receiver.wait_for(15).await;
    for n in 0..5 {
        let lane: Vec<u64> = requests
            .iter()
            .filter(|one| one.body["purchase"]["store_purchase_id"] == format!("sub-{n}"))
            .filter_map(|one| one.body["seq"].as_u64())
            .collect();
        assert_eq!(lane, [1, 2, 3], "sub-{n}");
    }
    hub.stop().await;
}

#[tokio::test]
async fn a_destination_that_says_it_is_gone_is_switched_off_and_catches_up_when_resumed() {
    let (hub, source, receiver) = hub().await;
    let made = hub.webhook(&receiver, json!({"filter": {"events": ["SUBSCRIPTION_STARTED"]}})).await;
    let path = format!("/v1/destinations/{}", made["id"].as_str().expect("an id"));
    receiver.always(Some(410));
    hub.observe(&source, start("n1", "user-1", "sub-1", FROM, TO)).await;
    hub.until("the switch", async |hub| (hub.get(&path).await["state"] == "switched_off").then_some(())).await;
    assert!(!hub.get(&path).await["state_reason"].as_str().unwrap_or_default().is_empty());
    hub.observe(&source, start("n2", "user-2", "sub-2", FROM, TO)).await;
    assert_eq!(receiver.requests().len(), 1);
    receiver.always(None);
    hub.api("POST", &format!("{path}/resume"), json!({})).await.expect(200);
    let requests = hurry(&hub, &receiver, 3).await;
    let mut told: Vec<&str> = requests[1..]
        .iter()
        .map(|one| one.body["purchase"]["store_purchase_id"].as_str().unwrap_or_default())
        .collect();
    told.sort_unstable();
    assert_eq!(told, ["sub-1", "sub-2"]);
    hub.stop().await;
}

#[tokio::test]
async fn an_event_is_told_again_on_request() {
    let (hub, source, receiver) = hub().await;
    let made = hub.webhook(&receiver, json!({"filter": {"events": ["SUBSCRIPTION_STARTED"]}})).await;
    hub.observe(&source, start("n1", "user-1", "sub-1", FROM, TO)).await;
    let event = receiver.wait_for(1).await[0].header("webhook-id").to_owned();
    let answer = hub.api("POST", &format!("/v1/events/{event}/replay"), json!({})).await.expect(202);
    assert_eq!(answer["destinations"], json!([made["id"]]));
    let requests = receiver.wait_for(2).await;
    assert_eq!(requests[1].header("webhook-id"), event);
    assert_eq!(requests[1].bytes, requests[0].bytes);
    hub.stop().await;
}

#[tokio::test]
async fn a_destination_starts_where_it_is_told_to() {
    let (hub, source, receiver) = hub().await;
    hub.observe(&source, start("n1", "user-1", "sub-1", FROM, TO)).await;
    hub.clock.set(at("2026-01-02T00:00:00Z"));
    hub.observe(&source, start("n2", "user-2", "sub-2", FROM, TO)).await;
    let only = json!({"events": ["SUBSCRIPTION_STARTED"]});
    hub.webhook(&receiver, json!({"name": "now", "filter": only})).await;
    let late = Receiver::start().await;
    hub.webhook(&late, json!({"name": "time", "filter": only, "start": "2026-01-01T12:00:00Z"})).await;
    let all = Receiver::start().await;
    hub.webhook(&all, json!({"name": "all", "filter": only, "start": "beginning"})).await;
    hub.observe(&source, start("n3", "user-3", "sub-3", FROM, TO)).await;
    let purchases = |requests: Vec<Request>| -> Vec<String> {
        let mut list: Vec<String> = requests
            .iter()
            .map(|one| one.body["purchase"]["store_purchase_id"].as_str().unwrap_or_default().to_owned())
            .collect();
        list.sort_unstable();
        list
    };
    assert_eq!(purchases(all.wait_for(3).await), ["sub-1", "sub-2", "sub-3"]);
    assert_eq!(purchases(late.wait_for(2).await), ["sub-2", "sub-3"]);
    assert_eq!(purchases(receiver.wait_for(1).await), ["sub-3"]);
    hub.stop().await;
}

#[tokio::test]
async fn preview_and_test_show_what_would_be_sent_without_secrets() {
    let (hub, source, receiver) = hub().await;
    let made = hub.webhook(&receiver, json!({})).await;
    let path = format!("/v1/destinations/{}", made["id"].as_str().expect("an id"));
    let secret = made["secret"].as_str().expect("a secret").to_owned();
    hub.observe(&source, start("n1", "user-1", "sub-1", FROM, TO)).await;
    receiver.wait_for(3).await;
    let event = hub.events().await[0]["id"].clone();
    let preview = hub.api("POST", &format!("{path}/preview"), json!({"event_id": event})).await.expect(200);
    assert_eq!(preview["requests"].as_array().expect("requests").len(), 1, "{preview}");
    assert!(!preview.to_string().contains(&secret));
    assert_eq!(receiver.requests().len(), 3, "a preview sends nothing");
    let test = hub.api("POST", &format!("{path}/test"), json!({})).await.expect(200);
    assert_eq!(test["delivered"], true, "{test}");
    assert_eq!(receiver.requests()[3].event_type(), "TEST");
    receiver.always(Some(404));
    let test = hub.api("POST", &format!("{path}/test"), json!({})).await.expect(200);
    assert_eq!(test["delivered"], false, "{test}");
    hub.stop().await;
}

#[tokio::test]
async fn inward_addresses_are_refused_at_creation_unless_allowed() {
    let hub = TestHub::start_with(FROM, &[("PAIDUP_ALLOW_PRIVATE_TARGETS", "")]).await;
    for url in [
        "http://127.0.0.1/",
        "http://10.0.0.1/",
        "http://[::1]/",
        "http://169.254.169.254/latest",
        "http://0x7f.1/",
        "http://localhost/",
    ] {
        let body = json!({"type": "webhook", "name": "x", "config": {"url": url, "format": "paidup"}});
        let answer = hub.api("POST", "/v1/destinations", body).await;
        assert_eq!(answer.status, 422, "{url}: {}", answer.body);
    }
    hub.stop().await;
}

/// Waits until the destination is in that state, moving the clock: the hub looks at backlogs by it.
async fn until_state(hub: &TestHub, path: &str, state: &str, step: Duration) -> serde_json::Value {
    hub.until(state, async |hub| {
        let shown = hub.get(path).await;
        hub.clock.advance(step);
        (shown["state"] == state).then_some(shown)
    })
    .await
}

fn alerts(shown: &serde_json::Value) -> Vec<&str> {
    shown["alerts"].as_array().expect("alerts").iter().filter_map(|alert| alert["kind"].as_str()).collect()
}

/// A webhook that is held while `starts` subscriptions (three events each) begin.
async fn held(hub: &TestHub, source: &str, receiver: &Receiver, more: serde_json::Value, starts: usize) -> String {
    let made = hub.webhook(receiver, more).await;
    let path = format!("/v1/destinations/{}", made["id"].as_str().expect("an id"));
    hub.api("POST", &format!("{path}/pause"), json!({})).await.expect(200);
    for n in 0..starts {
        hub.observe(source, start(&format!("n{n}"), &format!("user-{n}"), &format!("sub-{n}"), FROM, TO)).await;
    }
    path
}

#[tokio::test]
async fn a_backlog_is_told_at_ninety_percent_and_ends_in_a_gap_on_record() {
    let (hub, source, receiver) = hub().await;
    let path = held(&hub, &source, &receiver, json!({"max_backlog": 10}), 3).await;
    let shown = hub.get(&path).await;
    assert_eq!(
        (shown["state"].as_str(), alerts(&shown), &shown["behind"]),
        (Some("paused"), vec!["backlog"], &json!(9))
    );
    hub.observe(&source, start("n3", "user-3", "sub-3", FROM, TO)).await;
    let shown = until_state(&hub, &path, "switched_off", Duration::from_secs(10)).await;
    assert!(
        shown["state_reason"].as_str().unwrap_or_default().contains("12 events waited, more than max_backlog (10)")
    );
    let gap = &shown["gaps"][0];
    assert_eq!((&gap["first"], &gap["last"], &gap["events"]), (&json!(1), &json!(12), &json!(12)), "{gap}");
    assert_eq!((gap["state"].as_str(), alerts(&shown)), (Some("open"), vec!["switched_off", "gap"]));
    hub.until("the gauge", async |hub| {
        hub.clock.advance(Duration::from_secs(10));
        let figures = hub.get("/metrics").await;
        let id = path.rsplit('/').next().unwrap_or_default();
        let line = format!("paidup_destination_alert{{destination=\"{id}\",kind=\"gap\"}} 1");
        figures.as_str().unwrap_or_default().contains(&line).then_some(())
    })
    .await;

    // Whatever happens to the hub, it stands on record; by default the destination goes on behind it.
    let hub = hub.restart().await;
    assert_eq!(hub.get(&path).await["gaps"][0]["state"], "open");
    let shown = hub.api("POST", &format!("{path}/resume"), json!({})).await.expect(200);
    assert_eq!((shown["state"].as_str(), shown["gaps"][0]["state"].as_str()), (Some("active"), Some("skipped")));
    assert_eq!((&shown["behind"], alerts(&shown)), (&json!(0), vec![]));
    hub.observe(&source, start("n4", "user-4", "sub-4", FROM, TO)).await;
    let requests = receiver.wait_for(3).await;
    assert!(requests.iter().all(|one| one.body["purchase"]["store_purchase_id"] == "sub-4"));
    hub.stop().await;
}

#[tokio::test]
async fn a_gap_can_be_caught_up_when_its_backlog_fits() {
    let (hub, source, receiver) = hub().await;
    let path = held(&hub, &source, &receiver, json!({"max_backlog": 5}), 2).await;
    until_state(&hub, &path, "switched_off", Duration::from_secs(10)).await;
    let from_gap = format!("{path}/resume?from=gap");
    let refused = hub.api("POST", &from_gap, json!({})).await;
    assert_eq!((refused.status, &refused.body["errors"][0]["pointer"]), (422, &json!("/max_backlog")));
    for wrong in [json!({"max_backlog": 0}), json!({"max_backlog": -1}), json!({"max_backlog": 1_000_000_000})] {
        assert_eq!(hub.api("PATCH", &path, wrong).await.status, 422);
    }
    assert_eq!(hub.api("POST", &format!("{path}/resume?from=somewhere"), json!({})).await.status, 422);
    hub.api("PATCH", &path, json!({"max_backlog": 100})).await.expect(200);
    let shown = hub.api("POST", &from_gap, json!({})).await.expect(200);
    assert_eq!((shown["gaps"][0]["state"].as_str(), &shown["gaps"][0]["events"]), (Some("caught_up"), &json!(6)));
    assert_eq!(receiver.wait_for(6).await.len(), 6);
    hub.stop().await;
}

#[tokio::test]
async fn a_destination_does_not_start_further_back_than_its_backlog_allows() {
    let (hub, source, receiver) = hub().await;
    hub.observe(&source, start("n1", "user-1", "sub-1", FROM, TO)).await;
    let body = |max: u64| {
        let config = json!({"url": receiver.url("/hook"), "format": "paidup"});
        json!({"type": "webhook", "name": "all", "start": "beginning", "max_backlog": max, "config": config})
    };
    let refused = hub.api("POST", "/v1/destinations", body(2)).await;
    assert_eq!((refused.status, &refused.body["errors"][0]["pointer"]), (422, &json!("/max_backlog")));
    hub.api("POST", "/v1/destinations", body(3)).await.expect(201);
    assert_eq!(receiver.wait_for(3).await.len(), 3);
    hub.stop().await;
}

#[tokio::test]
async fn a_destination_that_is_down_for_days_is_switched_off_and_catches_up_when_resumed() {
    let (hub, source, receiver) = hub().await;
    let only = json!({"filter": {"events": ["SUBSCRIPTION_STARTED"]}});
    let made = hub.webhook(&receiver, only).await;
    let path = format!("/v1/destinations/{}", made["id"].as_str().expect("an id"));
    receiver.always(Some(500));
    for n in 0..12 {
        hub.observe(&source, start(&format!("n{n}"), &format!("user-{n}"), &format!("sub-{n}"), FROM, TO)).await;
    }
    hub.until("the alert", async |hub| {
        hub.clock.advance(Duration::from_secs(60));
        alerts(&hub.get(&path).await).contains(&"failing").then_some(())
    })
    .await;
    let shown = until_state(&hub, &path, "switched_off", Duration::from_secs(900)).await;
    assert!(shown["state_reason"].as_str().unwrap_or_default().starts_with("nothing was taken for 75 hours"));
    let failed = hub.get("/v1/deliveries?state=failed").await;
    assert_eq!(failed["data"], json!([]), "nothing was given up");
    let before = receiver.requests().len();
    receiver.always(None);
    hub.api("POST", &format!("{path}/resume"), json!({})).await.expect(200);
    let requests = hurry(&hub, &receiver, before + 12).await;
    let told: std::collections::BTreeSet<&str> =
        requests[before..].iter().map(|one| one.header("webhook-id")).collect();
    assert_eq!(told.len(), 12);
    hub.stop().await;
}

/// Positions are not shown; a purchase's start is.
async fn starts(hub: &TestHub, query: &str) -> Vec<String> {
    let page = hub.get(&format!("/v1/events?type=SUBSCRIPTION_STARTED&limit=200{query}")).await;
    let purchase = |event: &serde_json::Value| event["purchase"]["store_purchase_id"].as_str().map(str::to_owned);
    page["data"].as_array().expect("rows").iter().filter_map(purchase).collect()
}

#[tokio::test]
async fn old_rows_are_forgotten_and_what_is_still_to_be_told_is_not() {
    let settings = [
        ("PAIDUP_RETENTION_EVENTS_DAYS", "2"),
        ("PAIDUP_RETENTION_NOTIFICATIONS_DAYS", "2"),
        ("PAIDUP_RETENTION_ATTEMPTS_DAYS", "2"),
    ];
    let hub = TestHub::start_with(FROM, &settings).await;
    let source = hub.source("generic", json!({})).await;
    hub.map("pro_monthly", &["pro"]).await;
    let (receiver, late) = (Receiver::start().await, Receiver::start().await);
    let path = held(&hub, &source, &late, json!({"name": "held"}), 2).await;
    let quick = hub.webhook(&receiver, json!({"start": "beginning", "name": "quick"})).await["id"].clone();
    let cursor = hub.get("/v1/events/feed?limit=1").await["next_cursor"].as_str().expect("a cursor").to_owned();
    receiver.wait_for(6).await;
    let attempts = format!("/v1/deliveries?destination={}", quick.as_str().expect("an id"));
    hub.until("the attempts", async |hub| {
        hub.clock.advance(Duration::from_millis(100));
        (hub.get(&attempts).await["data"].as_array().expect("rows").len() == 6).then_some(())
    })
    .await;
    hub.clock.advance(Duration::from_secs(3 * 86_400));
    hub.observe(&source, start("n9", "user-9", "sub-9", "2026-01-04T00:00:00Z", TO)).await;
    receiver.wait_for(9).await;
    hub.until("old attempts and notifications are gone", async |hub| {
        hub.clock.advance(Duration::from_secs(60));
        let left = hub.get("/v1/notifications").await["data"].as_array().expect("rows").len();
        let shown = hub.get(&attempts).await["data"].as_array().expect("rows").len();
        (left == 1 && shown == 3).then_some(())
    })
    .await;
    assert_eq!(starts(&hub, "").await, ["sub-9", "sub-1", "sub-0"], "the held one has yet to be told");

    hub.api("POST", &format!("{path}/resume"), json!({})).await.expect(200);
    late.wait_for(9).await;
    hub.until("old events are gone", async |hub| {
        hub.clock.advance(Duration::from_secs(3600));
        (starts(hub, "").await == ["sub-9"]).then_some(())
    })
    .await;
    assert_eq!(starts(&hub, "&customer=user-0").await, Vec::<String>::new(), "the walk ends where the log was pruned");
    assert_eq!(starts(&hub, "&customer=user-9").await, ["sub-9"]);
    assert_eq!(hub.get("/v1/customers/user-0/entitlements").await["active"].as_array().map(Vec::len), Some(1));
    assert_eq!(hub.api("GET", &format!("/v1/events/feed?after={cursor}"), json!(null)).await.status, 410);
    let new = Receiver::start().await;
    hub.webhook(&new, json!({"start": "beginning", "name": "new"})).await;
    assert_eq!(new.wait_for(3).await[0].body["purchase"]["store_purchase_id"], "sub-9");
    let hub = hub.restart().await;
    hub.observe(&source, start("n10", "user-10", "sub-10", "2026-01-04T00:00:00Z", TO)).await;
    new.wait_for(6).await;
    hub.stop().await;
}
