//! Reads for apps: the feed, the stream, RevenueCat's customer.

use crate::support::{ADMIN_KEY, PATIENCE, TestHub, at, observation, start};
use serde_json::{Value, json};

const FROM: &str = "2026-01-01T00:00:00Z";
const TO: &str = "2026-02-01T00:00:00Z";

async fn hub() -> (TestHub, String) {
    let hub = TestHub::start(FROM).await;
    let source = hub.source("generic", json!({})).await;
    hub.map("pro_monthly", &["pro"]).await;
    (hub, source)
}

/// A start of `purchase`: three events.
async fn began(hub: &TestHub, source: &str, purchase: &str) {
    hub.observe(source, start(&format!("start of {purchase}"), &format!("user of {purchase}"), purchase, FROM, TO))
        .await;
}

fn ids(events: &Value) -> Vec<String> {
    let rows = events.as_array().expect("rows");
    rows.iter().map(|event| event["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn the_feed_gives_every_event_once_in_order_from_any_cursor() {
    let (hub, source) = hub().await;
    for number in 0..5 {
        began(&hub, &source, &format!("sub-{number}")).await;
    }
    let mut newest_first = ids(&json!(hub.events().await));
    newest_first.reverse();
    for limit in [1, 2, 4, 200] {
        let (mut read, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = hub.get(&format!("/v1/events/feed?limit={limit}&after={cursor}")).await;
            read.extend(ids(&page["data"]));
            cursor = page["next_cursor"].as_str().expect("a cursor").to_owned();
            if page["has_more"] == json!(false) {
                break;
            }
        }
        assert_eq!(read, newest_first, "limit {limit}");
        let end = hub.get(&format!("/v1/events/feed?after={cursor}")).await;
        assert_eq!(end, json!({"data": [], "next_cursor": cursor, "has_more": false}));
    }
    hub.stop().await;
}

#[tokio::test]
async fn the_feed_gives_only_what_is_wanted() {
    let (hub, source) = hub().await;
    began(&hub, &source, "sub-1").await;
    let sandbox = json!({"environment": "SANDBOX", "customer_id": "user-2", "product_id": "other", "kind": "subscription",
        "transaction_id": "t", "period": {"starts_at": FROM, "ends_at": TO}});
    hub.observe(&source, observation("n2", FROM, "purchased", "sub-2", sandbox)).await;
    for (query, purchases) in [
        ("type=ACTIVATE", vec!["sub-1", "sub-2"]),
        ("type=ACTIVATE,%20RENEWAL_DISABLED&environment=PRODUCTION", vec!["sub-1"]),
        ("type=ACTIVATE&environment=SANDBOX", vec!["sub-2"]),
        ("type=ACTIVATE&product=other,unheard", vec!["sub-2"]),
        (&format!("type=ACTIVATE&source={source}"), vec!["sub-1", "sub-2"]),
        ("type=ACTIVATE&start=now", vec![]),
        ("type=ACTIVATE&start=2025-12-31T00:00:00Z", vec!["sub-1", "sub-2"]),
    ] {
        let page = hub.get(&format!("/v1/events/feed?{query}")).await;
        let found: Vec<&str> = page["data"]
            .as_array()
            .expect("rows")
            .iter()
            .map(|event| event["purchase"]["store_purchase_id"].as_str().expect("an id"))
            .collect();
        assert_eq!(found, purchases, "{query}");
    }
    hub.stop().await;
}

#[tokio::test]
async fn what_the_feed_and_the_stream_cannot_read_they_say() {
    let (hub, _) = hub().await;
    for (path, word) in [
        ("feed?after=nonsense", "cursor"),
        ("feed?after=-1", "cursor"),
        ("feed?after=9999999", "beyond the newest"),
        ("feed?after=99999999999999999999", "cursor"),
        ("feed?start=yesterday", "start is"),
        ("feed?wait=31", "0 to 30"),
        ("feed?wait=soon", "wait"),
        ("feed?limit=0", "1 to 200"),
        ("feed?type=NO_SUCH", "type"),
        ("feed?unheard=1", "unheard"),
        ("stream?limit=5", "no pages"),
        ("stream?after=9999999", "beyond the newest"),
    ] {
        let answer = hub.api("GET", &format!("/v1/events/{path}"), Value::Null).await;
        let detail = answer.expect(400)["detail"].as_str().expect("a detail").to_owned();
        assert!(detail.contains(word), "{path}: {detail}");
    }
    assert_eq!(hub.call("GET", "/v1/events/stream", None, Vec::new(), &[]).await.status, 401);
    assert_eq!(hub.call("GET", "/v1/events/feed", Some("wrong"), Vec::new(), &[]).await.status, 401);
    hub.stop().await;
}

#[tokio::test]
async fn a_pull_that_waits_gets_what_is_written_meanwhile() {
    let (hub, source) = hub().await;
    let (page, ()) = tokio::join!(hub.get("/v1/events/feed?wait=30&type=ACTIVATE"), began(&hub, &source, "sub-1"));
    assert_eq!(page["data"][0]["type"], "ACTIVATE", "{page}");
    hub.stop().await;
}

/// A reader of server-sent events.
struct Stream {
    response: reqwest::Response,
    unread: String,
}

/// One frame: its id, its type, its data.
#[derive(Debug, Default, PartialEq)]
struct Frame {
    id: String,
    event: String,
    data: String,
}

impl Stream {
    async fn open(hub: &TestHub, query: &str, last_event_id: Option<&str>) -> Stream {
        #[allow(clippy::disallowed_methods)] // a test is the outside
        let client = reqwest::Client::new();
        let mut request = client
            .get(format!("http://{}/v1/events/stream{query}", hub.address))
            .header("authorization", format!("Bearer {ADMIN_KEY}"));
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut stream = Stream { response, unread: String::new() };
        let hello = stream.next().await.expect("where it begins");
        assert!(hello.event.is_empty() && !hello.id.is_empty(), "{hello:?}");
        stream
    }

    /// The next frame; `None`: the stream ended.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some((text, rest)) = self.unread.split_once("\n\n").map(|(a, b)| (a.to_owned(), b.to_owned())) {
                self.unread = rest;
                return Some(frame(&text));
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await.expect("a chunk in time");
            let chunk = chunk.expect("a chunk that can be read")?;
            self.unread.push_str(std::str::from_utf8(&chunk).expect("text"));
        }
    }
}

fn frame(text: &str) -> Frame {
    let mut frame = Frame::default();
    for line in text.lines() {
        match line.split_once(": ") {
            Some(("id", value)) => value.clone_into(&mut frame.id),
            Some(("event", value)) => value.clone_into(&mut frame.event),
            Some(("data", value)) => value.clone_into(&mut frame.data),
            Some(_) | None => {}
        }
    }
    frame
}

#[tokio::test]
async fn a_stream_pushes_events_and_is_resumed_without_a_gap() {
    let (hub, source) = hub().await;
    began(&hub, &source, "before").await;
    let mut stream = Stream::open(&hub, "", None).await;
    began(&hub, &source, "sub-1").await;
    let first = stream.next().await.expect("an event");
    let event: Value = serde_json::from_str(&first.data).expect("JSON");
    assert_eq!(event["purchase"]["store_purchase_id"], "sub-1", "it begins now");
    assert_eq!(event["type"], first.event.as_str());
    drop(stream);
    began(&hub, &source, "sub-2").await;
    let mut resumed = Stream::open(&hub, "", Some(&first.id)).await;
    let expected = hub.get(&format!("/v1/events/feed?after={}", first.id)).await;
    assert_eq!(expected["data"].as_array().map(Vec::len), Some(5), "the rest of sub-1 and all of sub-2");
    for event in expected["data"].as_array().expect("rows") {
        let frame = resumed.next().await.expect("an event");
        assert_eq!(&serde_json::from_str::<Value>(&frame.data).expect("JSON"), event);
    }
    hub.stop().await;
}

#[tokio::test]
async fn a_stream_gives_only_what_is_wanted_and_from_where_it_is_asked() {
    let (hub, source) = hub().await;
    began(&hub, &source, "sub-1").await;
    let mut stream = Stream::open(&hub, "?type=ACTIVATE&start=beginning", None).await;
    began(&hub, &source, "sub-2").await;
    for purchase in ["sub-1", "sub-2"] {
        let frame = stream.next().await.expect("an event");
        let event: Value = serde_json::from_str(&frame.data).expect("JSON");
        assert_eq!((frame.event.as_str(), &event["purchase"]["store_purchase_id"]), ("ACTIVATE", &json!(purchase)));
    }
    hub.stop().await;
}

#[tokio::test]
async fn a_hub_that_stops_ends_its_streams() {
    let (hub, _) = hub().await;
    let mut stream = Stream::open(&hub, "", None).await;
    let ((), end) = tokio::join!(hub.stop(), stream.next());
    assert_eq!(end, None);
}

/// Whether a reader of RevenueCat's customer takes the entitlement for active.
fn is_active(subscriber: &Value, entitlement: &str, now: &str) -> bool {
    let one = &subscriber["subscriber"]["entitlements"][entitlement];
    let ahead = |date: &Value| date.as_str().is_some_and(|date| at(date) > at(now));
    one.is_object()
        && (one["expires_date"].is_null() || ahead(&one["expires_date"]) || ahead(&one["grace_period_expires_date"]))
}

#[tokio::test]
async fn revenuecats_customer_shows_subscriptions_and_grants() {
    let (hub, source) = hub().await;
    let mut bought = start("n1", "user-1", "sub-1", FROM, TO);
    bought["attributes"] = json!({"$email": "someone@example.com"});
    hub.observe(&source, bought).await;
    hub.api("POST", "/v1/customers/user-1/grants", json!({"entitlement": "extra"})).await.expect(201);
    let off = json!({"will_renew": false, "cancel_reason": "UNSUBSCRIBE"});
    hub.observe(&source, observation("n2", "2026-01-03T00:00:00Z", "renewal_disabled", "sub-1", off)).await;
    let shown = hub.get("/v1/subscribers/user-1").await;
    assert_eq!(shown["request_date"], FROM);
    let subscriber = &shown["subscriber"];
    assert_eq!(subscriber["original_app_user_id"], "user-1");
    assert_eq!(subscriber["subscriber_attributes"]["$email"]["value"], "someone@example.com");
    let bought = &subscriber["subscriptions"]["pro_monthly"];
    assert_eq!(bought["purchase_date"], FROM);
    assert_eq!(bought["expires_date"], TO);
    assert_eq!(bought["unsubscribe_detected_at"], "2026-01-03T00:00:00Z");
    assert_eq!((&bought["is_sandbox"], &bought["period_type"]), (&json!(false), &json!("normal")));
    assert_eq!(subscriber["subscriptions"]["rc_promo_extra_lifetime"]["store"], "promotional", "{shown}");
    assert_eq!(subscriber["entitlements"]["extra"]["expires_date"], Value::Null);
    assert!(is_active(&shown, "pro", FROM) && is_active(&shown, "extra", FROM));
    hub.stop().await;
}

#[tokio::test]
async fn revenuecats_customer_agrees_with_the_entitlements_after_a_refund() {
    let (hub, source) = hub().await;
    began(&hub, &source, "sub-1").await;
    let refund = json!({"refund": {"transaction_id": "sub-1-1"}});
    hub.observe(&source, observation("n2", "2026-01-03T00:00:00Z", "refunded", "sub-1", refund)).await;
    let now = "2026-01-05T00:00:00Z";
    hub.clock.set(at(now));
    let active = hub.get("/v1/customers/user%20of%20sub-1/entitlements").await["active"].clone();
    let shown = hub.get("/v1/subscribers/user%20of%20sub-1").await;
    assert_eq!(active, json!([]), "{shown}");
    assert!(!is_active(&shown, "pro", now), "{shown}");
    hub.stop().await;
}

#[tokio::test]
async fn revenuecats_customer_of_an_unknown_id_is_empty_and_leaves_no_trace() {
    let (hub, _) = hub().await;
    for _ in 0..2 {
        let answer = hub.api("GET", "/v1/subscribers/%24RCAnonymousID%3Aabc", Value::Null).await;
        let shown = answer.expect(201);
        assert_eq!(shown["subscriber"]["original_app_user_id"], "$RCAnonymousID:abc");
        assert_eq!(shown["subscriber"]["entitlements"], json!({}));
    }
    assert_eq!(hub.get("/v1/customers").await["data"], json!([]));
    let long = "x".repeat(201);
    assert_eq!(hub.api("GET", &format!("/v1/subscribers/{long}"), Value::Null).await.status, 400);
    assert_eq!(hub.call("GET", "/v1/subscribers/x", None, Vec::new(), &[]).await.status, 401);
    hub.stop().await;
}
