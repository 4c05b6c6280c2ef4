//! What an operator must know, as events: told once for each cause, to whoever asks for it, over restarts too.

use crate::support::{Receiver, Request, TestHub, start};
use serde_json::{Value, json};
use std::time::Duration;

const FROM: &str = "2026-01-01T00:00:00Z";
const TO: &str = "2036-02-01T00:00:00Z";
const HOUR: Duration = Duration::from_secs(3_600);

/// What a destination for operators asks for.
fn for_operators() -> Value {
    json!({"name": "ops", "filter": {"events": ["OPERATOR_ALERT", "OPERATOR_ALERT_OVER"]}})
}

fn named(name: &str) -> Value {
    json!({"name": name, "filter": {"events": ["SUBSCRIPTION_STARTED"]}})
}

/// Moves the clock on, step by step, until the receiver has `count` requests.
async fn pass(hub: &TestHub, receiver: &Receiver, count: usize, step: Duration) -> Vec<Request> {
    hub.until("the alert", async |hub| {
        if receiver.requests().len() >= count {
            return Some(receiver.requests());
        }
        hub.clock.advance(step);
        None
    })
    .await
}

/// Makes what is sent to `receiver` fail, and waits until each of so many destinations has failed: all at nearly one moment.
async fn fail(hub: &TestHub, source: &str, name: &str, receiver: &Receiver, destinations: usize) {
    receiver.always(Some(503));
    hub.observe(source, start(name, name, name, FROM, TO)).await;
    let retrying = |list: &Value| list["data"].as_array().map_or(0, Vec::len);
    hub.until("the failures", async |hub| {
        let list = hub.get("/v1/deliveries?state=retrying&limit=50").await;
        hub.clock.advance(Duration::from_millis(60));
        (retrying(&list) >= destinations).then_some(())
    })
    .await;
}

fn alert(request: &Request) -> (&str, &Value) {
    (request.event_type(), &request.body["details"]["alert"])
}

#[tokio::test]
async fn a_receiver_that_fails_and_recovers_is_told_once_each_over_a_restart() {
    let hub = TestHub::start(FROM).await;
    let source = hub.source("generic", json!({})).await;
    let (broken, second, ops, everything) =
        (Receiver::start().await, Receiver::start().await, Receiver::start().await, Receiver::start().await);
    hub.webhook(&broken, named("crm")).await;
    hub.webhook(&ops, for_operators()).await;
    hub.webhook(&everything, json!({"name": "mirror"})).await;
    fail(&hub, &source, "sub-1", &broken, 1).await;
    let told = pass(&hub, &ops, 1, Duration::from_secs(20)).await;
    let (name, failing) = alert(&told[0]);
    assert_eq!((name, &failing["kind"], &failing["count"]), ("OPERATOR_ALERT", &json!("failing"), &json!(1)));
    let text = failing["text"].as_str().unwrap_or_default();
    assert!(text.starts_with("destination \"crm\": nothing is taken any more (the last attempt: "), "{text}");
    assert!(text.contains("503"), "{text}");
    assert_eq!(failing["subjects"][0]["name"], "crm");
    let body = &told[0].body;
    assert_eq!((&body["seq"], &body["purchase"]["state"]), (&json!(1), &json!("none")), "{body}");
    assert_eq!(body["entitlements"], json!({"active": [], "activated": [], "deactivated": []}));

    // Nothing is told anew by a restart, however long it stands: the next alert is another destination's.
    let hub = hub.restart().await;
    hub.clock.advance(HOUR);
    hub.webhook(&second, named("mail")).await;
    second.always(Some(500));
    hub.observe(&source, start("sub-2", "sub-2", "sub-2", FROM, TO)).await;
    let told = pass(&hub, &ops, 2, Duration::from_secs(20)).await;
    let (name, other) = alert(&told[1]);
    assert_eq!((name, &other["subjects"][0]["name"]), ("OPERATOR_ALERT", &json!("mail")));

    // It works again: its end is told once, and says since when and until when.
    broken.always(None);
    let told = pass(&hub, &ops, 3, Duration::from_secs(60)).await;
    let (name, over) = alert(&told[2]);
    assert_eq!((name, &over["ending"], &over["since"]), ("OPERATOR_ALERT_OVER", &json!("passed"), &failing["since"]));
    assert_eq!(over["text"], "destination \"crm\": events are taken again");
    assert!(over["until"].as_str() > over["since"].as_str());
    let hub = hub.restart().await;
    second.always(None);
    let told = pass(&hub, &ops, 4, Duration::from_secs(60)).await;
    assert_eq!(alert(&told[3]).1["subjects"][0]["name"], "mail");
    let seqs: Vec<&Value> = told.iter().map(|one| &one.body["seq"]).collect();
    assert_eq!(seqs, [1, 2, 3, 4], "alerts of a kind are one row of events, in order");

    // Whoever did not ask for them got none, and they are folded like everything else.
    assert!(everything.requests().iter().all(|one| !one.event_type().starts_with("OPERATOR_ALERT")));
    assert_eq!(hub.alerts().await, ["OPERATOR_ALERT", "OPERATOR_ALERT", "OPERATOR_ALERT_OVER", "OPERATOR_ALERT_OVER"]);
    hub.check_rebuild().await;
    hub.stop().await;
}

#[tokio::test]
async fn destinations_that_fail_together_are_one_alert() {
    let hub = TestHub::start(FROM).await;
    let source = hub.source("generic", json!({})).await;
    let (broken, ops) = (Receiver::start().await, Receiver::start().await);
    for n in 1..=5 {
        hub.webhook(&broken, named(&format!("hook {n}"))).await;
    }
    hub.webhook(&ops, for_operators()).await;
    fail(&hub, &source, "sub-1", &broken, 5).await;
    let told = pass(&hub, &ops, 1, Duration::from_secs(20)).await;
    let (_, alert_of_five) = alert(&told[0]);
    assert_eq!(alert_of_five["count"], 5);
    assert_eq!(alert_of_five["subjects"].as_array().map(Vec::len), Some(5));
    let text = alert_of_five["text"].as_str().unwrap_or_default();
    assert!(text.starts_with("5 destinations (\"hook "), "{text}");
    assert!(text.ends_with(" and 2 more): nothing is taken any more"), "{text}");
    // One is deleted meanwhile: that too ends it.
    let list = hub.get("/v1/destinations").await;
    let hook = list["data"].as_array().and_then(|all| all.iter().find(|one| one["name"] == "hook 3")).cloned();
    let id = hook.and_then(|hook| hook["id"].as_str().map(str::to_owned)).expect("an id");
    hub.api("DELETE", &format!("/v1/destinations/{id}"), Value::Null).await.expect(204);
    let told = pass(&hub, &ops, 2, Duration::from_secs(20)).await;
    let (name, over) = alert(&told[1]);
    assert_eq!((name, &over["ending"], &over["count"]), ("OPERATOR_ALERT_OVER", &json!("deleted"), &json!(1)));
    assert_eq!(hub.alerts().await.iter().filter(|name| *name == "OPERATOR_ALERT").count(), 1);
    hub.stop().await;
}

#[tokio::test]
async fn a_destination_is_not_told_of_its_own_trouble_and_makes_no_further_alerts() {
    let hub = TestHub::start(FROM).await;
    let source = hub.source("generic", json!({})).await;
    let (broken, ops) = (Receiver::start().await, Receiver::start().await);
    // It wants alerts too, and cannot be told any.
    let both = json!(["SUBSCRIPTION_STARTED", "OPERATOR_ALERT", "OPERATOR_ALERT_OVER"]);
    hub.webhook(&broken, json!({"name": "crm", "filter": {"events": both}})).await;
    hub.webhook(&ops, for_operators()).await;
    fail(&hub, &source, "sub-1", &broken, 1).await;
    let told = pass(&hub, &ops, 1, Duration::from_secs(20)).await;
    assert_eq!(alert(&told[0]).1["subjects"][0]["name"], "crm");
    hub.observe(&source, start("sub-2", "sub-2", "sub-2", FROM, TO)).await;
    // Days later it has been switched off for it, which is another matter; nothing else was told.
    let told = pass(&hub, &ops, 3, Duration::from_secs(600)).await;
    let kinds: Vec<String> = told
        .iter()
        .map(|one| format!("{} {} {}", alert(one).0, alert(one).1["kind"], alert(one).1["ending"]))
        .collect();
    let mut sorted = kinds[1..].to_vec();
    sorted.sort();
    assert_eq!(kinds[0], "OPERATOR_ALERT \"failing\" null");
    assert_eq!(sorted, ["OPERATOR_ALERT \"switched_off\" null", "OPERATOR_ALERT_OVER \"failing\" \"held\""]);
    assert!(broken.requests().iter().all(|one| one.event_type() == "SUBSCRIPTION_STARTED"));
    hub.stop().await;
}

#[tokio::test]
async fn a_discord_channel_shows_an_alert_in_words() {
    let hub = TestHub::start(FROM).await;
    let config = json!({"url": "https://discord.com/api/webhooks/1/token-of-a-webhook-of-discord"});
    let filter = json!({"events": ["OPERATOR_ALERT"]});
    let body = json!({"type": "discord_webhook", "name": "#ops", "config": config, "filter": filter});
    let made = hub.api("POST", "/v1/destinations", body).await.expect(201);
    let path = format!("/v1/destinations/{}/preview", made["id"].as_str().expect("an id"));
    let shown = hub.api("POST", &path, json!({"type": "OPERATOR_ALERT"})).await.expect(200);
    let text = shown.to_string();
    assert!(text.contains("Operator Alert") && text.contains("nothing is taken any more"), "{text}");
    hub.stop().await;
}
