//! Ranges of the log that are told again.

use super::*;
use paidup_lifecycle::filter::Filter;
use paidup_lifecycle::ids::{DestinationId, ReplayId};
use paidup_store::records::Start;
use paidup_store::replays::{ReplayQuery, ReplayRecord, ReplayState};

const HOOK: &str = r#"{"url": "https://receiver.example/hook"}"#;

/// A hub with one destination that has taken the ACTIVATE of so many purchases.
async fn shop(purchases: usize) -> (TestHub, DestinationId) {
    let test = TestHub::new().await;
    let made = test.hook(HOOK, Start::Now).await.unwrap();
    test.script.reply("https://receiver.example/hook", Reply::Answer(200, String::new()));
    for number in 0..purchases {
        test.clock.advance(Duration::from_secs(1));
        test.buy(&format!("user-{number}"), &format!("sub-{number}")).await;
    }
    test.until("all is told", async || test.calls() == purchases).await;
    test.script.calls();
    (test, made.view.id)
}

async fn ended(test: &TestHub, id: ReplayId) -> ReplayRecord {
    test.until("its end", async || !test.hub.show_replay(id).await.unwrap().state.is_open()).await;
    test.hub.show_replay(id).await.unwrap()
}

#[tokio::test]
async fn a_range_is_told_again_once() {
    let (test, hook) = shop(12).await;
    let from = at("2026-01-01T00:00:05Z");
    let query = ReplayQuery { destination: Some(hook), from: Some(from), ..ReplayQuery::default() };
    let begun = test.hub.begin_replay(query, 6_000).await.unwrap();
    let done = ended(&test, begun.id).await;
    // Purchases 4 to 11 were bought from then on.
    assert_eq!((done.state, done.told), (ReplayState::Done, 8));
    test.until("the calls", async || test.calls() == 8).await;
    assert_eq!(done.position, done.last);
    test.hub.stop().await.unwrap();
}

#[tokio::test]
async fn one_customers_events_are_found_by_their_index() {
    let (test, _) = shop(5).await;
    let customer = test.hub.store().customer("user-3").await.unwrap().unwrap().id;
    let query = ReplayQuery { customer: Some(customer), ..ReplayQuery::default() };
    let begun = test.hub.begin_replay(query, 6_000).await.unwrap();
    assert_eq!(ended(&test, begun.id).await.told, 1);
    test.until("the call", async || test.calls() == 1).await;
    test.hub.stop().await.unwrap();
}

#[tokio::test]
async fn it_keeps_its_pace_and_goes_on_after_a_restart() {
    let (test, hook) = shop(10).await;
    // One a second.
    let query = ReplayQuery { destination: Some(hook), ..ReplayQuery::default() };
    let begun = test.hub.begin_replay(query, 60).await.unwrap();
    test.until("some", async || test.hub.show_replay(begun.id).await.unwrap().told >= 3).await;
    let took = test.clock.now().since(begun.created_at);
    let told = test.hub.show_replay(begun.id).await.unwrap().told;
    assert!(u64::from(told <= took.as_secs() + 1) == 1, "{told} after {took:?}");
    let test = test.restart().await;
    test.hub.start().await.unwrap();
    let done = ended(&test, begun.id).await;
    assert_eq!((done.state, done.told), (ReplayState::Done, 10));
    test.until("the calls", async || test.calls() >= 10).await;
    test.hub.stop().await.unwrap();
}

#[tokio::test]
async fn it_is_held_goes_on_and_ends_when_it_is_told_to() {
    let (test, hook) = shop(10).await;
    let query = ReplayQuery { destination: Some(hook), ..ReplayQuery::default() };
    let begun = test.hub.begin_replay(query.clone(), 60).await.unwrap();
    test.until("some", async || test.hub.show_replay(begun.id).await.unwrap().told >= 2).await;
    let held = test.hub.pause_replay(begun.id).await.unwrap();
    assert_eq!(held.state, ReplayState::Paused);
    test.clock.advance(Duration::from_secs(60));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(test.hub.show_replay(begun.id).await.unwrap(), held);
    test.hub.resume_replay(begun.id).await.unwrap();
    test.until("more", async || test.hub.show_replay(begun.id).await.unwrap().told > held.told).await;
    let cancelled = test.hub.cancel_replay(begun.id).await.unwrap();
    assert!((held.told + 1..10).contains(&cancelled.told), "{cancelled:?}");
    assert_eq!(test.hub.resume_replay(begun.id).await.unwrap_err().status(), 409);
    assert_eq!(test.hub.cancel_replay(begun.id).await.unwrap(), cancelled, "saying it twice is no mistake");
    test.hub.stop().await.unwrap();
}

/// What is refused now is told now: the filter of today counts.
#[tokio::test]
async fn what_a_changed_filter_lets_through_is_made_up_for() {
    let (test, hook) = shop(2).await;
    let filter = Filter { events: vec![EventType::SubscriptionStarted], ..Filter::default() };
    let change = crate::destinations::DestinationChange { filter: Some(filter), ..Default::default() };
    test.hub.update_destination(hook, change).await.unwrap();
    let query = ReplayQuery { destination: Some(hook), ..ReplayQuery::default() };
    let begun = test.hub.begin_replay(query, 6_000).await.unwrap();
    assert_eq!(ended(&test, begun.id).await.told, 2);
    test.until("the calls", async || test.calls() == 2).await;
    test.hub.stop().await.unwrap();
}

#[tokio::test]
async fn a_replay_waits_for_a_destination_that_is_down() {
    let (test, hook) = shop(3).await;
    test.script.reply("https://receiver.example/hook", Reply::Answer(500, String::new()));
    let query = ReplayQuery { destination: Some(hook), ..ReplayQuery::default() };
    let begun = test.hub.begin_replay(query, 6_000).await.unwrap();
    assert_eq!(ended(&test, begun.id).await.told, 3, "what is handed over waits with its destination");
    test.script.reply("https://receiver.example/hook", Reply::Answer(200, String::new()));
    test.until("the calls", async || {
        test.clock.advance(Duration::from_secs(60));
        test.hub.store().parked(hook, 10).await.unwrap().is_empty()
    })
    .await;
    test.hub.stop().await.unwrap();
}

#[tokio::test]
async fn mistakes_are_named() {
    let (test, _) = shop(1).await;
    let now = test.clock.now();
    let nobody = DestinationId([7; 16]);
    for (query, pace, pointer) in [
        (ReplayQuery::default(), 0, "/per_minute"),
        (ReplayQuery::default(), crate::replay::MAX_PACE + 1, "/per_minute"),
        (ReplayQuery { from: Some(now), to: Some(now), ..ReplayQuery::default() }, 60, "/to"),
        (ReplayQuery { destination: Some(nobody), ..ReplayQuery::default() }, 60, "/destination"),
    ] {
        match test.hub.begin_replay(query, pace).await.unwrap_err() {
            crate::HubError::Refused { status, pointer: at, .. } => assert_eq!((status, at.as_str()), (422, pointer)),
            other => panic!("{other}"),
        }
    }
    test.hub.stop().await.unwrap();
}
