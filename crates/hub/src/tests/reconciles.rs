//! Comparing with a store: what is found is told, what is confirmed leaves nothing behind.

use super::*;
use paidup_lifecycle::event::EventType::*;
use paidup_lifecycle::observation::DetectedBy;
use paidup_store::reconciles::{ReconcileCause, ReconcilePurchases, ReconcileRecord, ReconcileState};

/// A hub with one askable source whose purchases run for 30 days; the stand-in answers what is known.
async fn shop(purchases: usize) -> (TestHub, SourceId, Timestamp) {
    let test = TestHub::new().await;
    let source = test.hub.create_source("askable", "store", &raw("{}")).await.unwrap().id;
    test.script.ready.lock().push_back((200, "right".to_owned()));
    let (now, until) = (test.clock.now(), test.clock.now().plus(DAY * 30));
    for number in 0..purchases {
        let mut headers = http::HeaderMap::new();
        headers.insert("x-proof", "right".parse().unwrap());
        test.clock.advance(Duration::from_millis(1));
        let name = format!("sub-{number}");
        let body = json!({"purchase": name, "at": now, "until": until}).to_string().into();
        test.hub.intake(source, RawRequest { headers, body }, &Sender::Anonymous).await.unwrap();
        knows(&test, &name, now, until);
    }
    test.script.calls();
    (test, source, until)
}

/// The store knows that purchase, running from `at` until then.
fn knows(test: &TestHub, name: &str, at: Timestamp, until: Timestamp) {
    let body = json!({"purchase": name, "from": at, "until": until}).to_string();
    test.script.reply(&format!("https://store.test/{name}"), Reply::Answer(200, body));
}

async fn begin(test: &TestHub, source: SourceId) -> ReconcileRecord {
    test.hub.reconcile_source(source, None, ReconcilePurchases::Open).await.unwrap()
}

/// Until it has ended, serving what is due meanwhile.
async fn finish(test: &TestHub, begun: ReconcileRecord) -> ReconcileRecord {
    loop {
        test.hub.ask_due().await.unwrap();
        let record = test.hub.show_reconcile(begun.id).await.unwrap();
        if record.state != ReconcileState::Running {
            return record;
        }
        test.clock.advance(Duration::from_millis(100));
        tokio::task::yield_now().await;
    }
}

async fn sizes(test: &TestHub) -> (usize, usize) {
    let store = test.hub.store();
    let query = paidup_store::records::NotificationQuery { limit: 200, ..Default::default() };
    (store.journal_after(0, 0, 10_000).await.unwrap().len(), store.notifications(query).await.unwrap().len())
}

#[tokio::test]
async fn what_is_confirmed_leaves_nothing_behind() {
    let (test, source, _) = shop(30).await;
    let (before, events) = (sizes(&test).await, test.events().await.len());
    for _ in 0..3 {
        let begun = begin(&test, source).await;
        let done = finish(&test, begun).await;
        assert_eq!((done.state, done.asked, done.same, done.different), (ReconcileState::Done, 30, 30, 0));
        test.clock.advance(DAY);
    }
    assert_eq!(sizes(&test).await, before, "no notification, no journal entry");
    assert_eq!(test.events().await.len(), events);
    assert_eq!(test.script.calls().len(), 90);
    test.check_rebuild().await;
}

#[tokio::test]
async fn what_is_different_is_told_and_marked_and_folds() {
    let (test, source, until) = shop(3).await;
    let (now, events) = (test.clock.now(), test.events().await.len());
    test.clock.advance(DAY);
    knows(&test, "sub-1", now, now);
    knows(&test, "sub-2", until, until.plus(DAY * 30));
    let begun = begin(&test, source).await;
    let done = finish(&test, begun).await;
    assert_eq!((done.asked, done.same, done.different, done.failed), (3, 1, 2, 0), "{done:?}");
    let told = test.events().await[events..].to_vec();
    let found = |name: &str, what| {
        let of = told.iter().find(|event| event.purchase.store_purchase_id == name && event.event_type == what);
        of.map(|event| event.details.detected_by)
    };
    assert_eq!(found("sub-1", SubscriptionTerminated), Some(Some(DetectedBy::Reconcile)), "{:?}", types(&told));
    assert!(told.iter().all(|event| event.purchase.store_purchase_id != "sub-0"));
    test.check_rebuild().await;
    let begun = begin(&test, source).await;
    assert_eq!(finish(&test, begun).await.different, 0, "it is known now");
}

#[tokio::test]
async fn lists_are_read_page_by_page() {
    let (test, source, until) = shop(1).await;
    let page = |purchases: &[(&str, Timestamp)], next: Option<&str>| {
        let list: Vec<Value> = purchases
            .iter()
            .map(|(name, until)| json!({"purchase": name, "from": "2026-01-01T00:00:00Z", "until": until}))
            .collect();
        json!({"list": list, "next": next}).to_string()
    };
    let put =
        |name: &str, body: String| test.script.reply(&format!("https://store.test/{name}"), Reply::Answer(200, body));
    put("list/1", page(&[("sub-0", until)], Some("list/2")));
    put("list/2", page(&[("sub-0", until), ("lost", until)], Some("list/3")));
    put("list/3", page(&[], None));
    test.hub.update_source(source, None, Some(&raw(r#"{"lists": true}"#))).await.unwrap();
    let (before, events) = (sizes(&test).await, test.events().await.len());
    let begun = begin(&test, source).await;
    let done = finish(&test, begun).await;
    assert_eq!((done.state, done.asked, done.same, done.different), (ReconcileState::Done, 4, 3, 1), "{done:?}");
    assert_eq!(sizes(&test).await, (before.0 + 1, before.1 + 1), "only the page that said something new is kept");
    let told = test.events().await[events..].to_vec();
    assert!(told.iter().all(|event| event.purchase.store_purchase_id == "lost"), "{:?}", types(&told));
    assert!(told.iter().all(|event| event.details.detected_by == Some(DetectedBy::Reconcile)));
    test.check_rebuild().await;
}

#[tokio::test]
async fn what_cannot_be_asked_is_counted_and_the_run_ends() {
    let (test, source, _) = shop(2).await;
    test.script.reply("https://store.test/sub-1", Reply::Answer(404, String::new()));
    test.script.reply("https://store.test/list/1", Reply::Answer(403, String::new()));
    test.hub.update_source(source, None, Some(&raw(r#"{"lists": true}"#))).await.unwrap();
    let begun = begin(&test, source).await;
    let done = finish(&test, begun).await;
    assert_eq!((done.state, done.same, done.failed), (ReconcileState::Done, 1, 2), "{done:?}");
    assert!(test.hub.store().lookups(10).await.unwrap().is_empty(), "nothing of it waits for a person");
}

#[tokio::test]
async fn there_is_one_run_at_a_time_and_it_can_be_cancelled() {
    let (test, source, _) = shop(1).await;
    test.script.reply("https://store.test/sub-0", Reply::Hang);
    let begun = begin(&test, source).await;
    let again = test.hub.reconcile_source(source, None, ReconcilePurchases::All).await.unwrap_err();
    assert_eq!(again.status(), 409);
    let ended = test.hub.cancel_reconcile(begun.id).await.unwrap();
    assert_eq!(ended.state, ReconcileState::Cancelled);
    assert_eq!(test.hub.cancel_reconcile(begun.id).await.unwrap(), ended);
    begin(&test, source).await;
    let unknown = test.hub.show_reconcile(paidup_lifecycle::ids::ReconcileId([1; 16])).await.unwrap_err();
    assert_eq!(unknown.status(), 404);
    let generic = test.hub.reconcile_source(test.source, None, ReconcilePurchases::Open).await.unwrap_err();
    assert_eq!(generic.status(), 422, "a source that cannot ask its store");
}

#[tokio::test]
async fn an_interrupted_run_goes_on_after_a_restart() {
    let (test, source, until) = shop(3).await;
    for number in 0..3 {
        test.script.reply(&format!("https://store.test/sub-{number}"), Reply::Hang);
    }
    let begun = begin(&test, source).await;
    while test.script.called.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    let test = test.restart().await;
    for number in 0..3 {
        knows(&test, &format!("sub-{number}"), at("2026-01-01T00:00:00Z"), until);
    }
    test.hub.start().await.unwrap();
    let done = loop {
        let record = test.hub.show_reconcile(begun.id).await.unwrap();
        if record.state != ReconcileState::Running {
            break record;
        }
        test.clock.advance(Duration::from_millis(100));
        tokio::task::yield_now().await;
    };
    assert_eq!((done.state, done.asked), (ReconcileState::Done, 3));
    test.hub.stop().await.unwrap();
}

#[tokio::test]
async fn it_is_time_after_a_day_and_when_a_source_is_silent() {
    let (test, source, until) = shop(1).await;
    let runs = async |test: &TestHub| {
        let runs = test.hub.store().reconciles(Some(source), None, 10).await.unwrap();
        runs.into_iter().map(|(_, run)| run.cause).collect::<Vec<_>>()
    };
    test.hub.look_at_sources().await.unwrap();
    assert_eq!(runs(&test).await, []);
    test.clock.advance(DAY + DAY / 10);
    test.hub.look_at_sources().await.unwrap();
    assert_eq!(runs(&test).await, [ReconcileCause::Period]);
    let run = test.hub.store().running_reconciles().await.unwrap().remove(0);
    finish(&test, run).await;
    // It speaks once an hour, then no more.
    for hour in 0..40_u64 {
        let mut headers = http::HeaderMap::new();
        headers.insert("x-proof", "right".parse().unwrap());
        test.clock.advance(Duration::from_secs(3_600));
        test.script.reply(super::askable::KEY_URL, Reply::Answer(200, "right".to_owned()));
        let name = format!("more-{hour}");
        knows(&test, &name, test.clock.now(), until);
        let body = json!({"purchase": name, "at": test.clock.now(), "until": until}).to_string();
        test.hub.intake(source, RawRequest { headers, body: body.into() }, &Sender::Anonymous).await.unwrap();
    }
    test.clock.advance(Duration::from_secs(9 * 3_600));
    test.hub.look_at_sources().await.unwrap();
    assert!(test.hub.alerts().of_source(source).is_empty());
    // That day's run ends first: there is one at a time.
    let run = test.hub.store().running_reconciles().await.unwrap().remove(0);
    finish(&test, run).await;
    let before = runs(&test).await;
    test.clock.advance(Duration::from_secs(2 * 3_600));
    for _ in 0..3 {
        test.hub.look_at_sources().await.unwrap();
    }
    let alerts: Vec<_> = test.hub.alerts().of_source(source).into_iter().map(|alert| alert.kind).collect();
    assert_eq!(alerts, [crate::alerts::AlertKind::Silent]);
    let now = runs(&test).await;
    assert_eq!((now[0], now.len()), (ReconcileCause::Silence, before.len() + 1), "once for one silence");
}

#[tokio::test]
async fn an_operator_is_told_of_a_store_that_is_down_until_it_is_back() {
    let (test, source, until) = shop(1).await;
    test.script.reply("https://store.test/sub-0", Reply::Answer(500, String::new()));
    test.pass(DAY * 30 + Duration::from_secs(400)).await;
    let kinds = |test: &TestHub| {
        let alerts = test.hub.alerts().of_source(source);
        alerts.into_iter().map(|alert| alert.kind).collect::<Vec<_>>()
    };
    for _ in 0..4 {
        test.hub.ask_due().await.unwrap();
        test.hub.look_at_sources().await.unwrap();
        test.pass(Duration::from_secs(300)).await;
    }
    test.hub.look_at_sources().await.unwrap();
    assert_eq!(kinds(&test), [crate::alerts::AlertKind::Unreachable]);
    let text = test.hub.metrics_text().await;
    assert!(text.contains(&format!(r#"source_alert{{source="{source}",kind="unreachable"}} 1"#)), "{text}");
    knows(&test, "sub-0", until, until.plus(DAY * 30));
    test.pass(Duration::from_secs(1_000)).await;
    test.hub.ask_due().await.unwrap();
    test.hub.look_at_sources().await.unwrap();
    assert_eq!(kinds(&test), []);
}

#[tokio::test]
async fn a_start_lists_only_what_the_store_could_not_deliver() {
    let test = TestHub::new().await;
    let source = test.hub.create_source("askable", "store", &raw(r#"{"lists": true}"#)).await.unwrap().id;
    test.script.reply("https://store.test/missed/1", Reply::Answer(200, json!({"list": []}).to_string()));
    let test = test.restart().await;
    test.hub.start().await.unwrap();
    // The hub's own tasks do it; the clock only moves so that they may.
    let run = loop {
        let run = test.hub.store().reconciles(Some(source), None, 10).await.unwrap().pop();
        if let Some((_, run)) = run.filter(|(_, run)| run.state == ReconcileState::Done) {
            break run;
        }
        test.clock.advance(Duration::from_millis(100));
        tokio::task::yield_now().await;
    };
    assert_eq!((run.cause, run.asked), (ReconcileCause::Start, 1));
    assert_eq!(test.script.calls(), ["https://store.test/missed/1"]);
    test.hub.stop().await.unwrap();
}

/// A store that is asked too much says when to come again: that is no failure, however often it says so.
#[tokio::test]
async fn a_store_that_is_busy_is_waited_for() {
    let (test, source, until) = shop(1).await;
    let now = test.clock.now();
    test.script.reply("https://store.test/sub-0", Reply::Busy(429, "1".to_owned()));
    let run = begin(&test, source).await;
    let mut calls = 0;
    while calls < 8 {
        test.clock.advance(Duration::from_secs(1));
        tokio::task::yield_now().await;
        calls += test.script.calls().len();
    }
    knows(&test, "sub-0", now, until);
    let done = finish(&test, run).await;
    assert_eq!((done.state, done.asked, done.failed), (ReconcileState::Done, 1, 0), "{done:?}");
}
