//! How stores are asked: tokens, refusals, allowances, and that one store holds up no other.

use super::*;
use paidup_store::records::LookupRecord;

const DONE: &str = r#"{"ask": []}"#;

async fn clerk(test: &TestHub, settings: &str) -> SourceId {
    test.hub.create_source("clerk", "clerk", &raw(settings)).await.unwrap().id
}

/// Lets a clerk's source want these, a moment later.
async fn want(test: &TestHub, source: SourceId, wanted: &[&str]) {
    test.clock.advance(Duration::from_millis(1));
    let body = json!({"ask": wanted}).to_string().into();
    let raw = RawRequest { headers: http::HeaderMap::new(), body };
    test.hub.intake(source, raw, &Sender::Anonymous).await.unwrap();
}

async fn waiting(test: &TestHub) -> Vec<LookupRecord> {
    let mut waiting = test.hub.store().lookups(1_000).await.unwrap();
    waiting.sort_by_key(|lookup| lookup.name.clone());
    waiting
}

async fn pass(test: &TestHub, seconds: u64) {
    test.clock.advance(Duration::from_secs(seconds));
    test.hub.ask_due().await.unwrap();
}

#[tokio::test]
async fn a_token_is_fetched_once_and_used_until_it_is_over() {
    let test = TestHub::new().await;
    let source = clerk(&test, r#"{"host": "store.test", "token": true}"#).await;
    let token = |name: &str| test.script.reply("https://token.test/", Reply::Answer(200, name.to_owned()));
    for name in ["a", "b", "c", "d"] {
        test.script.reply(&format!("https://store.test/{name}"), Reply::Answer(200, DONE.to_owned()));
    }
    token("first");
    want(&test, source, &["a 1", "b 1"]).await;
    pass(&test, 0).await;
    assert_eq!(test.script.calls().iter().filter(|url| url.contains("token")).count(), 1, "one for all");
    assert_eq!(test.script.authorized.lock().clone(), ["", "Bearer first", "Bearer first"]);
    token("second");
    want(&test, source, &["c 1"]).await;
    pass(&test, 590).await;
    want(&test, source, &["d 1"]).await;
    pass(&test, 20).await;
    let expected = ["https://store.test/c", "https://token.test/", "https://store.test/d"];
    assert_eq!(test.script.calls(), expected, "kept as long as it is valid");
    assert_eq!(test.script.authorized.lock().last().unwrap(), "Bearer second");
    assert_eq!(waiting(&test).await, []);
}

#[tokio::test]
async fn a_token_that_is_not_taken_is_fetched_anew_once() {
    let test = TestHub::new().await;
    let source = clerk(&test, r#"{"host": "store.test", "token": true}"#).await;
    test.script.reply("https://token.test/", Reply::Answer(200, "stale".to_owned()));
    test.script.reply("https://store.test/a", Reply::Answer(401, String::new()));
    want(&test, source, &["a 1"]).await;
    pass(&test, 0).await;
    let twice = ["https://token.test/", "https://store.test/a", "https://token.test/", "https://store.test/a"];
    assert_eq!(test.script.calls(), twice);
    let failed = waiting(&test).await;
    let error = failed[0].last_error.as_deref().unwrap();
    assert!(error.contains("credentials") && failed[0].ask_at.is_some(), "{error}: asked again later");
    assert!(test.hub.desks().of(source).standing().refused_since.is_some());
    test.script.reply("https://store.test/a", Reply::Answer(200, DONE.to_owned()));
    pass(&test, 10).await;
    assert_eq!(waiting(&test).await, []);
    assert_eq!(test.hub.desks().of(source).standing().refused_since, None);
}

#[tokio::test]
async fn a_token_server_that_refuses_is_left_alone_for_a_moment() {
    let test = TestHub::new().await;
    let source = clerk(&test, r#"{"host": "store.test", "token": true}"#).await;
    for (status, refused) in [(400, true), (500, false)] {
        test.script.reply("https://token.test/", Reply::Answer(status, "secret".to_owned()));
        let name = format!("{status}");
        want(&test, source, &[&format!("{name} 1"), &format!("{name}b 1")]).await;
        pass(&test, 60).await;
        assert_eq!(test.script.calls(), ["https://token.test/"], "{status}: one call for both");
        let error = waiting(&test).await[0].last_error.clone().unwrap();
        assert_eq!(error, format!("no access token: its server answered {status}"));
        assert_eq!(test.hub.desks().of(source).standing().refused_since.is_some(), refused, "{status}");
        for lookup in waiting(&test).await {
            test.hub.store().forget_lookup(lookup.id).await.unwrap();
        }
        test.hub.desks().renew(source);
    }
}

#[tokio::test]
async fn lookups_of_one_name_are_one_call_read_for_each() {
    let test = TestHub::new().await;
    let source = clerk(&test, r#"{"host": "store.test"}"#).await;
    test.script.reply("https://store.test/a", Reply::Answer(200, DONE.to_owned()));
    test.script.reply("https://store.test/b", Reply::Answer(200, DONE.to_owned()));
    want(&test, source, &["a 1", "a 2", "b 1", "a 3"]).await;
    pass(&test, 0).await;
    assert_eq!(test.script.calls(), ["https://store.test/a", "https://store.test/b"]);
    assert_eq!(waiting(&test).await, []);
    let query = paidup_store::records::NotificationQuery { limit: 10, ..Default::default() };
    let kept = test.hub.store().notifications(query).await.unwrap();
    let mut kept: Vec<&str> =
        kept.iter().filter_map(|(_, kept)| kept.external_id.rsplit_once('/')).map(|it| it.1).collect();
    kept.sort_unstable();
    assert_eq!(kept, ["a 1", "a 2", "a 3", "b 1"]);
    test.check_rebuild().await;
}

#[tokio::test]
async fn what_a_refusal_means_is_the_sources_word() {
    let test = TestHub::new().await;
    let source = clerk(&test, r#"{"host": "store.test"}"#).await;
    // (status, body, what becomes of it)
    for (status, body, expected) in [
        (404, "", Some(false)),
        (403, "", Some(true)),
        (500, "", Some(true)),
        (409, "", Some(true)),
        (418, DONE, None),
        (200, "no JSON", Some(true)),
    ] {
        let name = format!("s{status}");
        test.script.reply(&format!("https://store.test/{name}"), Reply::Answer(status, body.to_owned()));
        want(&test, source, &[&format!("{name} 1")]).await;
        pass(&test, 0).await;
        let found = waiting(&test).await.into_iter().find(|lookup| lookup.name == name);
        assert_eq!(found.map(|lookup| lookup.ask_at.is_some()), expected, "{status}");
    }
    test.check_rebuild().await;
}

#[tokio::test]
async fn a_store_that_asks_to_be_left_alone_is_left_alone() {
    let test = TestHub::new().await;
    let source = clerk(&test, r#"{"host": "store.test"}"#).await;
    let later = "Thu, 01 Jan 2026 00:02:00 GMT";
    for (name, status, after) in [("date", 503, later), ("seconds", 429, "120")] {
        test.hub.desks().renew(source);
        let (one, other) = (format!("https://store.test/{name}"), format!("https://store.test/{name}-other"));
        test.script.reply(&one, Reply::Busy(status, after.to_owned()));
        test.script.reply(&other, Reply::Answer(200, DONE.to_owned()));
        want(&test, source, &[&format!("{name} 1")]).await;
        test.hub.ask_due().await.unwrap();
        want(&test, source, &[&format!("{name}-other 1")]).await;
        test.hub.ask_due().await.unwrap();
        assert_eq!(test.script.calls(), std::slice::from_ref(&one), "{name}: the others wait too");
        test.script.reply(&one, Reply::Answer(200, DONE.to_owned()));
        pass(&test, 60).await;
        assert_eq!(test.script.calls(), [""; 0], "{name}");
        pass(&test, 61).await;
        assert_eq!(test.script.calls().len(), 2, "{name}");
    }
}

#[tokio::test]
async fn what_is_more_than_a_store_allows_waits_and_is_no_failed_try() {
    let test = TestHub::new().await;
    let source = clerk(&test, r#"{"host": "store.test", "a_minute": 6}"#).await;
    for name in ["a", "b", "c"] {
        test.script.reply(&format!("https://store.test/{name}"), Reply::Answer(200, DONE.to_owned()));
    }
    want(&test, source, &["a 1", "b 1", "c 1"]).await;
    pass(&test, 0).await;
    assert_eq!(test.script.calls().len(), 1);
    let left = waiting(&test).await;
    assert!(left.len() == 2 && left.iter().all(|lookup| lookup.attempts == 0 && lookup.last_error.is_none()));
    assert!(test.hub.metrics_text().await.contains(r#"paidup_store_waits_total{source="clerk",outcome="quota"} 1"#));
    pass(&test, 11).await;
    assert_eq!(test.script.calls().len(), 0);
    pass(&test, 1).await;
    assert_eq!(test.script.calls().len(), 1);
    pass(&test, 12).await;
    assert_eq!((test.script.calls().len(), waiting(&test).await.len()), (1, 0));
}

#[tokio::test]
async fn a_store_that_is_down_gets_probes_and_everything_when_it_is_back() {
    let test = TestHub::new().await;
    let source = clerk(&test, r#"{"host": "store.test"}"#).await;
    let wanted: Vec<String> = (0..60).map(|number| format!("n{number} 1")).collect();
    want(&test, source, &wanted.iter().map(String::as_str).collect::<Vec<_>>()).await;
    pass(&test, 0).await;
    let first = test.script.calls().len();
    assert!((5..20).contains(&first), "{first}");
    for _ in 0..60 {
        pass(&test, 60).await;
    }
    let probes = test.script.calls().len();
    assert!((30..=61).contains(&probes), "about one a minute: {probes}");
    for number in 0..60 {
        test.script.reply(&format!("https://store.test/n{number}"), Reply::Answer(200, DONE.to_owned()));
    }
    for _ in 0..70 {
        pass(&test, 60).await;
    }
    assert_eq!(waiting(&test).await, []);
}

#[tokio::test]
async fn a_store_that_is_down_for_lookups_too_is_taken_at_its_dates_after_a_day() {
    let test = TestHub::new().await;
    let source = super::deadlines::askable(&test).await;
    let before = test.events().await.len();
    // Other purchases have shown that the store is down: the question is never put.
    let desk = test.hub.desks().of(source);
    test.pass(DAY + Duration::from_secs(301)).await;
    for about in 0..5 {
        let now = test.clock.now();
        let leave = desk.leave(crate::ask::Turn::Live, None, now).ok().unwrap();
        leave.close(&crate::ask::Heard::Nothing("down".to_owned()), about, now);
    }
    let is_over = |told: &[Arc<Event>]| types(told).contains(&EventType::SubscriptionTerminated);
    for hour in 0..26 {
        for _ in 0..4 {
            test.pass(Duration::from_secs(900)).await;
            test.hub.ask_due().await.unwrap();
        }
        assert!(hour >= 22 || !is_over(&test.events().await[before..]), "{hour}: access is kept for a day");
    }
    assert!(is_over(&test.events().await[before..]));
    test.check_rebuild().await;
}

#[tokio::test]
async fn a_store_that_hangs_holds_up_no_other() {
    let test = TestHub::new().await;
    let (slow, quick) =
        (clerk(&test, r#"{"host": "slow.test"}"#).await, clerk(&test, r#"{"host": "quick.test"}"#).await);
    let wanted: Vec<String> = (0..150).map(|number| format!("n{number} 1")).collect();
    for number in 0..150 {
        test.script.reply(&format!("https://slow.test/n{number}"), Reply::Hang);
        let more = json!({"ask": [format!("more{number} 1")]}).to_string();
        test.script.reply(&format!("https://quick.test/n{number}"), Reply::Answer(200, more));
        test.script.reply(&format!("https://quick.test/more{number}"), Reply::Answer(200, DONE.to_owned()));
    }
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    want(&test, slow, &wanted).await;
    test.hub.start().await.unwrap();
    want(&test, quick, &wanted).await;
    while test.hub.store().waiting(quick).await.unwrap().lookups > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(test.hub.store().waiting(slow).await.unwrap().lookups, 150);
    let slow_calls = test.script.calls().iter().filter(|url| url.contains("slow")).count();
    assert_eq!(slow_calls, 8, "and no more than so many wait for it");
    test.hub.stop().await.unwrap();
}

#[tokio::test]
async fn what_a_source_wanted_that_is_gone_is_forgotten() {
    let test = TestHub::new().await;
    let source = clerk(&test, r#"{"host": "store.test"}"#).await;
    want(&test, source, &["a 1"]).await;
    test.hub.delete_source(source).await.unwrap();
    pass(&test, 0).await;
    assert_eq!((waiting(&test).await, test.script.calls()), (Vec::new(), Vec::new()));
}

/// Asks what is due; panics when the store is called without an end, on a clock that stands still.
async fn ask_on_a_frozen_clock(test: &TestHub) {
    let too_often = async {
        while test.script.called.lock().len() < 30 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        asked = test.hub.ask_due() => asked.unwrap(),
        () = too_often => panic!("asked again and again: {:?}", test.script.calls()),
    }
}

#[tokio::test]
async fn an_answer_that_comes_twice_within_a_millisecond_is_not_asked_for_again() {
    let test = TestHub::new().await;
    let source = clerk(&test, r#"{"host": "store.test"}"#).await;
    // Each answer wants the other, and no time passes.
    test.script.reply("https://store.test/a", Reply::Answer(200, json!({"ask": ["b 1"]}).to_string()));
    test.script.reply("https://store.test/b", Reply::Answer(200, json!({"ask": ["a 1"]}).to_string()));
    want(&test, source, &["a 1"]).await;
    ask_on_a_frozen_clock(&test).await;
    assert_eq!(test.script.calls(), ["a", "b", "a"].map(|name| format!("https://store.test/{name}")));
    assert_eq!(waiting(&test).await, [], "the second answer of that millisecond is the first");
    test.check_rebuild().await;
}
