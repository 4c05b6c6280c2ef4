//! What an operator does with deliveries: lanes that wait are looked at, tried now, freed or allowed to go on; what was given
//! up is told again; a receiver that fails at random loses nothing.

use crate::support::{Receiver, Request, TestHub, observation, start};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const FROM: &str = "2026-01-01T00:00:00Z";
const TO: &str = "2036-02-01T00:00:00Z";

async fn hub() -> (TestHub, String, Receiver) {
    let hub = TestHub::start(FROM).await;
    let source = hub.source("generic", json!({})).await;
    hub.map("pro_monthly", &["pro"]).await;
    (hub, source, Receiver::start().await)
}

/// A webhook that is told of starts and of renewals that are switched off; answers its path.
async fn hook(hub: &TestHub, receiver: &Receiver, more: Value) -> String {
    let mut body = json!({"filter": {"events": ["SUBSCRIPTION_STARTED", "RENEWAL_DISABLED"]}});
    if let (Some(all), Some(more)) = (body.as_object_mut(), more.as_object()) {
        all.extend(more.clone());
    }
    let made = hub.webhook(receiver, body).await;
    format!("/v1/destinations/{}", made["id"].as_str().expect("an id"))
}

/// Two events in one lane, and one in another.
async fn three_events(hub: &TestHub, source: &str) {
    hub.observe(source, start("n1", "user-1", "sub-1", FROM, TO)).await;
    let off = observation("n2", "2026-01-01T00:00:01Z", "renewal_disabled", "sub-1", json!({"will_renew": false}));
    hub.observe(source, off).await;
    hub.observe(source, start("n3", "user-2", "sub-2", FROM, TO)).await;
}

/// Waits for so many rows of waiting lanes, moving the clock by `step` at each look.
async fn waiting(hub: &TestHub, path: &str, step: Duration, fits: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    hub.until("the waiting lanes", async |hub| {
        let rows = hub.get(&format!("{path}/parked")).await["data"].as_array().expect("rows").clone();
        hub.clock.advance(step);
        fits(&rows).then_some(rows)
    })
    .await
}

fn told(requests: &[Request]) -> Vec<(&str, &str)> {
    requests
        .iter()
        .map(|one| (one.body["purchase"]["store_purchase_id"].as_str().unwrap_or_default(), one.event_type()))
        .collect()
}

const STARTED: (&str, &str) = ("sub-1", "SUBSCRIPTION_STARTED");
const OFF: (&str, &str) = ("sub-1", "RENEWAL_DISABLED");
const OTHER: (&str, &str) = ("sub-2", "SUBSCRIPTION_STARTED");

#[tokio::test]
async fn a_lane_that_waits_is_shown_with_its_reason_and_tried_now() {
    let (hub, source, receiver) = hub().await;
    let path = hook(&hub, &receiver, json!({})).await;
    receiver.answer(&[500]);
    hub.observe(&source, start("n1", "user-1", "sub-1", FROM, TO)).await;
    receiver.wait_for(1).await;
    three_events(&hub, &source).await;
    receiver.wait_for(2).await;
    let rows = waiting(&hub, &path, Duration::from_millis(1), |rows| rows.len() == 1 && rows[0]["behind"] == 1).await;
    let (row, event) = (&rows[0], receiver.requests()[0].header("webhook-id").to_owned());
    assert_eq!(row["lane"], receiver.requests()[0].body["purchase"]["id"]);
    assert_eq!((&row["event_id"], &row["attempts"], &row["passed_at"]), (&json!(event), &json!(1), &Value::Null));
    assert_eq!((&row["since"], &row["replay"]), (&json!(FROM), &json!(false)));
    assert!(row["last_error"].as_str().unwrap_or_default().contains("500 Internal Server Error"), "{row}");
    // Without the Z, because a second with a fraction stands before one without: "00.671Z" < "00Z".
    let next_try_at = row["next_try_at"].as_str().unwrap_or_default().trim_end_matches('Z');
    assert!(next_try_at > FROM.trim_end_matches('Z'), "{row}");

    let parked = format!("{path}/parked");
    let next = hub.events().await.iter().find(|one| one["type"] == "RENEWAL_DISABLED").expect("it")["id"].clone();
    let next = next.as_str().expect("an id");
    let refused = hub.api("POST", &format!("{parked}/{next}/retry"), json!({})).await.expect(409);
    assert!(refused["detail"].as_str().unwrap_or_default().contains(&event), "{refused}");
    // Nothing has moved the clock: it is tried because a person said so.
    hub.api("POST", &format!("{parked}/{event}/retry"), json!({})).await.expect(202);
    assert_eq!(told(&receiver.wait_for(4).await), [STARTED, OTHER, STARTED, OFF]);
    waiting(&hub, &path, Duration::from_secs(1), <[Value]>::is_empty).await;
    hub.api("POST", &format!("{parked}/{event}/retry"), json!({})).await.expect(404);
    hub.api("POST", &format!("{parked}/evt_x/retry"), json!({})).await.expect(404);
    hub.api("GET", "/v1/destinations/dst_x/parked", Value::Null).await.expect(404);
    hub.stop().await;
}

#[tokio::test]
async fn a_person_gives_up_the_head_of_a_lane_with_a_reason_and_has_it_told_again_later() {
    let (hub, source, receiver) = hub().await;
    let path = hook(&hub, &receiver, json!({})).await;
    receiver.answer(&[400, 200]);
    hub.observe(&source, start("n1", "user-1", "sub-1", FROM, TO)).await;
    receiver.wait_for(1).await;
    three_events(&hub, &source).await;
    let rows = waiting(&hub, &path, Duration::from_millis(1), |rows| rows.len() == 1 && rows[0]["behind"] == 1).await;
    let event = rows[0]["event_id"].as_str().expect("an id").to_owned();
    let skip = format!("{path}/parked/{event}/skip");
    let long = "x".repeat(201);
    for wrong in [json!({}), json!({"reason": " "}), json!({"reason": "two\nlines"}), json!({"reason": long})] {
        hub.api("POST", &skip, wrong).await.expect(422);
    }
    hub.api("POST", &format!("{path}/pause"), json!({})).await.expect(200);
    let held = hub.api("POST", &skip, json!({"reason": "a duplicate"})).await.expect(409);
    assert!(held["detail"].as_str().unwrap_or_default().contains("paused"), "{held}");
    assert_eq!(
        hub.get(&format!("{path}/parked")).await["data"].as_array().map(Vec::len),
        Some(1),
        "shown all the same"
    );
    // Resumed, the head's time has not come: the clock stands.
    hub.api("POST", &format!("{path}/resume"), json!({})).await.expect(200);
    hub.api("POST", &skip, json!({"reason": "a duplicate"})).await.expect(204);
    assert_eq!(told(&receiver.wait_for(3).await), [STARTED, OTHER, OFF]);
    let failed = hub.get("/v1/deliveries?state=failed").await["data"].clone();
    assert_eq!((failed.as_array().map(Vec::len), &failed[0]["event_id"]), (Some(1), &json!(event)));
    assert_eq!(failed[0]["attempts"][0]["detail"], "given up by hand: a duplicate");

    // Only what was given up is told again, and once that arrived nothing is left to tell.
    for (expected, calls) in [(1, 4), (0, 4)] {
        let begun = hub.api("POST", "/v1/replays", json!({"only": "failed"})).await.expect(201);
        assert_eq!(begun["query"]["only"], "failed");
        let replay = format!("/v1/replays/{}", begun["id"].as_str().expect("an id"));
        let done = hub
            .until("the replay's end", async |hub| {
                hub.clock.advance(Duration::from_secs(1));
                Some(hub.get(&replay).await).filter(|stand| stand["state"] == "done")
            })
            .await;
        assert_eq!(done["told"], expected);
        assert_eq!(told(&receiver.wait_for(calls).await)[3..], [STARTED]);
        hub.until("the success", async |hub| {
            hub.clock.advance(Duration::from_secs(1));
            hub.get("/v1/deliveries?state=failed").await["data"].as_array().expect("rows").is_empty().then_some(())
        })
        .await;
    }
    hub.api("POST", "/v1/replays", json!({"only": "delivered"})).await.expect(422);
    hub.stop().await;
}

#[tokio::test]
async fn a_lane_goes_on_without_its_head_where_the_destination_says_so_also_after_a_restart() {
    let (hub, source, receiver) = hub().await;
    let path = hook(&hub, &receiver, json!({"lane_policy": {"skip_after_s": 600}})).await;
    assert_eq!(hub.get(&path).await["lane_policy"], json!({"skip_after_s": 600}));
    receiver.always(Some(500));
    hub.observe(&source, start("n1", "user-1", "sub-1", FROM, TO)).await;
    receiver.wait_for(1).await;
    waiting(&hub, &path, Duration::from_millis(1), |rows| rows.len() == 1).await;
    let hub = hub.restart().await;
    let off = observation("n2", "2026-01-01T00:00:01Z", "renewal_disabled", "sub-1", json!({"will_renew": false}));
    // One event alone that fails is no destination that is down: its lane goes on after ten minutes.
    let rows = waiting(&hub, &path, Duration::from_secs(15), |rows| rows[0]["passed_at"].is_string()).await;
    assert_eq!(rows[0]["lane"], rows[0]["event_id"], "it waits by itself");
    assert!(rows[0]["passed_at"].as_str().unwrap_or_default().starts_with("2026-01-01T00:1"), "{}", rows[0]);
    let before = receiver.requests().len();
    receiver.always(Some(200));
    hub.observe(&source, off).await;
    let late = hub.restart().await;
    let requests = late
        .until("both", async |hub| {
            hub.clock.advance(Duration::from_secs(60));
            Some(receiver.requests()).filter(|requests| requests.len() >= before + 2)
        })
        .await;
    assert_eq!(told(&requests[before..]), [OFF, STARTED], "the order is broken where the policy says so");
    let event = requests[0].header("webhook-id");
    late.until("the record of it", async |hub| {
        hub.clock.advance(Duration::from_secs(1));
        let shown = hub.get(&format!("/v1/events/{event}/deliveries")).await["data"][0].clone();
        let words = shown["attempts"][0]["detail"].as_str().unwrap_or_default().to_owned();
        (shown["state"] == "delivered" && words.starts_with("out of its lane's order")).then_some(())
    })
    .await;
    late.stop().await;
}

#[tokio::test]
async fn policies_are_changed_and_checked() {
    let (hub, _, receiver) = hub().await;
    let path = hook(&hub, &receiver, json!({})).await;
    let shown = hub.get(&path).await;
    assert_eq!((&shown["lane_policy"], &shown["keep_trying_hours"]), (&json!("wait"), &json!(75)));
    assert_eq!(shown["breaker"]["state"], "closed");
    let change = json!({"lane_policy": {"skip_after_s": 60}, "keep_trying_hours": 24});
    let shown = hub.api("PATCH", &path, change).await.expect(200);
    assert_eq!((&shown["lane_policy"]["skip_after_s"], &shown["keep_trying_hours"]), (&json!(60), &json!(24)));
    hub.api("PATCH", &path, json!({"name": "other"})).await.expect(200);
    let hub = hub.restart().await;
    let shown = hub.get(&path).await;
    assert_eq!((&shown["lane_policy"]["skip_after_s"], &shown["keep_trying_hours"]), (&json!(60), &json!(24)));
    let shown = hub.api("PATCH", &path, json!({"lane_policy": "wait"})).await.expect(200);
    assert_eq!(shown["lane_policy"], "wait");
    for (wrong, pointer) in [
        (json!({"lane_policy": {"skip_after_s": 0}}), "/lane_policy/skip_after_s"),
        (json!({"lane_policy": {"skip_after_s": 2_592_001}}), "/lane_policy/skip_after_s"),
        (json!({"lane_policy": "hurry"}), "/lane_policy"),
        (json!({"keep_trying_hours": 0}), "/keep_trying_hours"),
        (json!({"keep_trying_hours": 721}), "/keep_trying_hours"),
    ] {
        let refused = hub.api("PATCH", &path, wrong.clone()).await.expect(422);
        let at = refused["errors"][0]["pointer"].as_str().unwrap_or_default();
        assert!(at.starts_with(pointer), "{wrong}: {refused}");
    }
    hub.stop().await;
}

#[tokio::test]
async fn a_destination_is_switched_off_after_as_many_hours_as_it_says_and_comes_back_gently() {
    let (hub, source, receiver) = hub().await;
    let path = hook(&hub, &receiver, json!({"keep_trying_hours": 2})).await;
    receiver.always(Some(500));
    for n in 0..12 {
        hub.observe(&source, start(&format!("n{n}"), &format!("user-{n}"), &format!("sub-{n}"), FROM, TO)).await;
    }
    let open = hub
        .until("the breaker to open", async |hub| {
            hub.clock.advance(Duration::from_secs(1));
            Some(hub.get(&path).await["breaker"].clone()).filter(|breaker| breaker["state"] == "open")
        })
        .await;
    assert!(open["next_probe_at"].is_string() && open["failing_since"].is_string(), "{open}");
    let off = hub
        .until("the switch", async |hub| {
            hub.clock.advance(Duration::from_secs(60));
            Some(hub.get(&path).await).filter(|shown| shown["state"] == "switched_off")
        })
        .await;
    assert!(off["state_reason"].as_str().unwrap_or_default().starts_with("nothing was taken for 2 hours"), "{off}");
    assert_eq!(off["breaker"], Value::Null);
    assert_eq!(hub.get("/v1/deliveries?state=failed").await["data"], json!([]), "nothing was given up");
    let before = receiver.requests().len();
    receiver.always(None);
    let shown = hub.api("POST", &format!("{path}/resume"), json!({})).await.expect(200);
    assert_eq!(shown["state"], "active");
    let requests = hub
        .until("the catch-up", async |hub| {
            hub.clock.advance(Duration::from_secs(1));
            Some(receiver.requests()).filter(|requests| requests.len() >= before + 12)
        })
        .await;
    let ids: std::collections::BTreeSet<&str> = requests[before..].iter().map(|one| one.header("webhook-id")).collect();
    assert_eq!(ids.len(), 12);
    hub.until("a closed breaker", async |hub| {
        hub.clock.advance(Duration::from_secs(1));
        (hub.get(&path).await["breaker"]["state"] == "closed").then_some(())
    })
    .await;
    hub.stop().await;
}

/// Three of ten answers are failures, drawn from a seed.
fn at_random(seed: u64, count: usize) -> Vec<u16> {
    let mut state = seed;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % 10
    };
    (0..count).map(|_| [500, 503, 429, 200, 200, 200, 200, 200, 200, 200][draw() as usize]).collect()
}

#[tokio::test]
async fn a_receiver_that_fails_at_random_gets_every_event_in_its_lanes_order() {
    const LANES: usize = 40;
    let (hub, source, receiver) = hub().await;
    let path = hook(&hub, &receiver, json!({"filter": {}})).await;
    receiver.answer(&at_random(1, 300));
    let observe = async |hub: &TestHub, lanes: std::ops::Range<usize>| {
        for n in lanes {
            hub.observe(&source, start(&format!("n{n}"), &format!("user-{n}"), &format!("sub-{n}"), FROM, TO)).await;
        }
    };
    observe(&hub, 0..LANES / 2).await;
    receiver.wait_for(LANES / 2).await;
    let hub = hub.restart().await;
    observe(&hub, LANES / 2..LANES).await;
    hub.until("all of it", async |hub| {
        hub.clock.advance(Duration::from_secs(10));
        let ids: std::collections::BTreeSet<String> =
            receiver.requests().iter().map(|one| one.header("webhook-id").to_owned()).collect();
        let settled = hub.get(&path).await["behind"] == 0;
        let waits = hub.get(&format!("{path}/parked")).await["data"] != json!([]);
        (ids.len() == 3 * LANES && settled && !waits).then_some(())
    })
    .await;
    let requests = receiver.requests();
    let mut lanes: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for one in &requests {
        let lane = lanes.entry(one.body["purchase"]["store_purchase_id"].as_str().unwrap_or_default()).or_default();
        lane.push(one.body["seq"].as_u64().expect("a number"));
    }
    assert_eq!(lanes.len(), LANES);
    for (lane, mut numbers) in lanes {
        numbers.dedup();
        assert_eq!(numbers, [1, 2, 3], "{lane}: each event only after the one before it was taken");
    }
    assert!(requests.len() > 3 * LANES + 30, "{} calls: enough of them failed", requests.len());
    assert_eq!(hub.get("/v1/deliveries?state=failed").await["data"], json!([]));
    hub.stop().await;
}
