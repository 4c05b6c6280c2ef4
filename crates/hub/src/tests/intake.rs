use super::*;
use crate::keys::Scope;
use paidup_lifecycle::event::EventType::*;
use paidup_store::{Before, Changes, Decision, Refused, StoreError, Urgency, Wants};

#[tokio::test]
async fn a_life_is_told_and_known_afterwards() {
    let test = TestHub::new().await;
    test.map().await;
    test.buy("user-1", "sub").await;
    assert_eq!(types(&test.events().await), [Activate, SubscriptionStarted, TransactionProcessed]);
    assert_eq!(test.active("user-1").await, ["pro"]);
    test.clock.advance(DAY);
    test.send(&said(test.clock.now(), "renewal_disabled", "sub")).await;
    test.clock.advance(DAY);
    test.send(&said(test.clock.now(), "expired", "sub")).await;
    let events = test.events().await;
    assert_eq!(types(&events)[3..], [RenewalDisabled, Deactivate, SubscriptionTerminated]);
    assert_eq!(test.active("user-1").await, [""; 0]);
    let seqs: Vec<u64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5, 6], "a purchase's events are numbered without gaps");
    let positions = test.hub.store().events_after(0, 0, 100).await.unwrap();
    assert!(positions.iter().zip(1..).all(|(logged, position)| logged.position == position));
}

#[tokio::test]
async fn a_repeat_gets_the_same_success_and_is_told_once() {
    let test = TestHub::new().await;
    let now = test.clock.now();
    let body = bought(now, now.plus(DAY * 30), "user-1", "sub");
    let first = test.send(&body).await;
    let again = test.send(&body).await;
    assert_eq!((first.status, first.notifications, first.repeats), (200, 1, 0));
    assert_eq!((again.status, again.notifications, again.repeats), (200, 1, 1));
    let within_one_request = test.send(&json!([body, said(now, "renewal_disabled", "sub"), body])).await;
    assert_eq!((within_one_request.notifications, within_one_request.repeats), (3, 2));
    assert_eq!(test.events().await.len(), 4);
    assert_eq!(test.hub.store().journal_after(0, 0, 10).await.unwrap().len(), 2, "a repeat decides nothing");
}

#[tokio::test]
async fn a_request_is_taken_as_a_whole_or_not_at_all() {
    let test = TestHub::new().await;
    let now = test.clock.now();
    let broken = json!([bought(now, now.plus(DAY), "user-1", "sub"), {"id": "x"}]);
    let error = test.post(test.source, &broken).await.unwrap_err();
    assert_eq!(error.status(), 400);
    assert!(test.events().await.is_empty());
    assert!(test.hub.store().purchase(test.id("sub")).await.unwrap().is_none());
}

#[tokio::test]
async fn who_may_not_send_is_told_so() {
    let test = TestHub::new().await;
    let reader = test.hub.create_key("reader", &[Scope::Read, Scope::Write], None).await.unwrap();
    let reader = test.hub.authenticate(reader.key.expose()).await.unwrap().unwrap();
    let sender = test.hub.create_key("sender", &[Scope::Ingest], None).await.unwrap();
    let sender = test.hub.authenticate(sender.key.expose()).await.unwrap().unwrap();
    let now = test.clock.now();
    let body: Bytes = bought(now, now.plus(DAY), "user-1", "sub").to_string().into();
    let huge = Bytes::from(vec![b' '; 3 * 1024 * 1024]);
    for (name, source, body, sender, expected) in [
        ("unknown source", SourceId([7; 16]), &body, Sender::Anonymous, 404),
        ("no key", test.source, &body, Sender::Anonymous, 401),
        ("no scope", test.source, &body, Sender::Key(reader), 403),
        ("too large", test.source, &huge, Sender::Key(sender.clone()), 413),
        ("no JSON", test.source, &Bytes::from_static(b"{"), Sender::Key(sender.clone()), 400),
    ] {
        let raw = RawRequest { headers: http::HeaderMap::new(), body: body.clone() };
        let error = test.hub.intake(source, raw, &sender).await.unwrap_err();
        assert_eq!(error.status(), expected, "{name}");
    }
    let raw = RawRequest { headers: http::HeaderMap::new(), body };
    assert_eq!(test.hub.intake(test.source, raw, &Sender::Key(sender)).await.unwrap().status, 200);
    let metrics = test.hub.metrics_text().await;
    assert!(
        metrics.contains(r#"paidup_notifications_rejected_total{source="generic",status="401",reason="no_key"} 1"#)
    );
    assert!(metrics.contains(r#"paidup_notifications_accepted_total{source="generic"} 1"#), "{metrics}");
    assert!(metrics.contains(r#"paidup_events_total{type="ACTIVATE"} 1"#));
}

async fn send_proven(test: &TestHub, source: SourceId, proof: &str, body: &Value) -> Result<Accepted, IntakeError> {
    let mut headers = http::HeaderMap::new();
    headers.insert("x-proof", proof.parse().unwrap());
    test.hub.intake(source, RawRequest { headers, body: body.to_string().into() }, &Sender::Anonymous).await
}

#[tokio::test]
async fn a_senders_key_is_fetched_once_and_forgeries_do_not_cause_calls() {
    let test = TestHub::new().await;
    let source = test.hub.create_source("askable", "store", &raw("{}")).await.unwrap().id;
    let body = json!({"purchase": "sub", "at": test.clock.now(), "until": test.clock.now().plus(DAY)});
    let down = send_proven(&test, source, "right", &body).await.unwrap_err();
    assert_eq!(down.status(), 503, "a key server that is down is never a success");
    let paused = send_proven(&test, source, "right", &body).await.unwrap_err();
    assert_eq!((paused.status(), test.script.called.lock().len()), (503, 1), "and is left alone for a while");
    test.clock.advance(Duration::from_secs(10));
    test.script.ready.lock().push_back((200, "right".to_owned()));
    assert_eq!(send_proven(&test, source, "right", &body).await.unwrap().status, 204);
    for _ in 0..3 {
        let forged = send_proven(&test, source, "wrong", &body).await.unwrap_err();
        assert_eq!(forged.status(), 401);
    }
    assert_eq!(test.script.called.lock().len(), 2, "forgeries do not make us call");
    test.clock.advance(Duration::from_secs(61));
    test.script.ready.lock().push_back((200, "next".to_owned()));
    assert_eq!(send_proven(&test, source, "next", &body).await.unwrap().status, 204, "keys are rotated");
}

/// What a key server gave instead of a key is not believed for longer than it takes to ask again.
#[tokio::test]
async fn a_key_that_is_none_is_not_kept() {
    let test = TestHub::new().await;
    let source = test.hub.create_source("askable", "store", &raw("{}")).await.unwrap().id;
    let body = json!({"purchase": "sub", "at": test.clock.now(), "until": test.clock.now().plus(DAY)});
    test.script.ready.lock().push_back((200, "garbage".to_owned()));
    for _ in 0..3 {
        assert_eq!(send_proven(&test, source, "right", &body).await.unwrap_err().status(), 503);
    }
    assert_eq!(test.script.called.lock().len(), 1, "and the server is left alone for a while");
    test.clock.advance(Duration::from_secs(10));
    test.script.ready.lock().push_back((200, "right".to_owned()));
    assert_eq!(send_proven(&test, source, "right", &body).await.unwrap().status, 204);
}

#[tokio::test]
async fn tests_and_unknown_types_are_kept_and_tests_are_told_once() {
    let test = TestHub::new().await;
    let source = test.hub.create_source("askable", "store", &raw("{}")).await.unwrap().id;
    test.script.ready.lock().push_back((200, "right".to_owned()));
    for (says, expected) in [("unknown", 0), ("test", 1), ("test", 1)] {
        let body = json!({"purchase": "", "until": "2026-01-01T00:00:00Z", "says": says});
        send_proven(&test, source, "right", &body).await.unwrap();
        assert_eq!(test.events().await.len(), expected, "{says}");
        if says == "unknown" {
            test.clock.advance(Duration::from_secs(60)); // another notification: its id follows from the time
        }
    }
    test.clock.advance(Duration::from_secs(60));
    let body = json!({"purchase": "", "until": "2026-01-02T00:00:00Z", "says": "test"});
    send_proven(&test, source, "right", &body).await.unwrap();
    let events = test.events().await;
    assert_eq!(types(&events), [Test, Test]);
    assert_eq!((events[0].seq, events[1].seq), (1, 2));
    assert_eq!(events[0].environment, Environment::Sandbox);
    assert!(events[0].customer.anonymous && events[0].purchase.id == events[1].purchase.id);
    test.check_rebuild().await;
}

struct Panics;

impl Decision for Panics {
    fn wants(&self) -> Wants {
        Wants::default()
    }
    fn decide(&mut self, _before: &Before) -> Result<Changes, Refused> {
        panic!("a mistake of ours")
    }
}

#[tokio::test]
async fn a_panic_fails_its_own_notification_only() {
    let test = TestHub::new().await;
    let source = test.hub.create_source("askable", "store", &raw("{}")).await.unwrap().id;
    assert_eq!(send_proven(&test, source, "panic", &json!({})).await.unwrap_err().status(), 500);
    let now = test.clock.now();
    let body = bought(now, now.plus(DAY), "user-1", "sub");
    let (failed, accepted) = futures_util::future::join(
        test.hub.store().commit(Urgency::Intake, Box::new(Panics)),
        test.post(test.source, &body),
    )
    .await;
    assert!(matches!(failed, Err(StoreError::DecisionPanicked(_))));
    assert_eq!(accepted.unwrap().status, 200);
    assert_eq!(test.events().await.len(), 3);
}

#[tokio::test]
async fn a_stopped_hub_answers_503() {
    let test = TestHub::new().await;
    assert!(test.hub.ready().await.is_ok());
    test.hub.stop().await.unwrap();
    assert!(test.hub.ready().await.is_err());
    let now = test.clock.now();
    let error = test.post(test.source, &bought(now, now.plus(DAY), "user-1", "sub")).await.unwrap_err();
    assert_eq!(error.status(), 503);
}
