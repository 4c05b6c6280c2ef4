//! Destinations as people use them: set up, tried out, held, changed, replayed, looked at.

use super::{TestHub, raw};
use crate::HubError;
use crate::clock::Clock;
use crate::deliveries::DeliveryPage;
use crate::destinations::{DestinationChange, LanePolicy, MadeDestination, NewDestination};
use paidup_destinations::LoggedEvent;
use paidup_lifecycle::event::EventType;
use paidup_lifecycle::filter::Filter;
use paidup_lifecycle::ids::DestinationId;
use paidup_store::records::{AttemptQuery, DeliveryState, DestinationState, LaneOrder, Start};
use std::time::Duration;

const HOOK: &str = r#"{"url": "https://receiver.example/hook", "headers": {"x-key": "hunter2-hunter2"}}"#;

impl TestHub {
    pub(super) async fn hook(&self, config: &str, start: Start) -> Result<MadeDestination, HubError> {
        let filter = Some(Filter { events: vec![EventType::Activate], ..Filter::default() });
        let config = raw(config);
        let new = NewDestination {
            kind: "webhook",
            name: "hook",
            config: &config,
            filter,
            order: None,
            start,
            max_backlog: None,
            lane_policy: None,
            keep_trying: None,
        };
        self.hub.create_destination(new).await
    }

    pub(super) fn answers(&self, statuses: &[u16]) {
        let ready = statuses.iter().map(|status| (*status, "said hunter2-hunter2".to_owned()));
        self.script.ready.lock().extend(ready);
    }

    pub(super) fn calls(&self) -> usize {
        self.script.called.lock().len()
    }

    /// Lets the loops work until `come`. Real time only bounds a test that fails.
    pub(super) async fn until(&self, what: &str, mut come: impl AsyncFnMut() -> bool) {
        let moved = async {
            while !come().await {
                for _ in 0..50 {
                    tokio::task::yield_now().await;
                }
                self.clock.advance(Duration::from_millis(10));
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(60), moved).await.is_ok(), "never came: {what}");
    }

    async fn deliveries(&self) -> DeliveryPage {
        self.hub.deliveries(AttemptQuery { limit: 50, ..AttemptQuery::default() }).await.unwrap()
    }

    async fn activate_of(&self, purchase: &str) -> LoggedEvent {
        let id = self.id(purchase);
        let logged = self.hub.store().events_after(0, 0, 100).await.unwrap();
        let wanted =
            |event: &&LoggedEvent| event.event.purchase.id == id && event.event.event_type == EventType::Activate;
        logged.iter().find(wanted).unwrap().clone()
    }

    async fn until_state(&self, id: DestinationId, event: &LoggedEvent, state: DeliveryState) {
        self.until(&format!("{state}"), async || {
            let found = self.hub.deliveries_of(event).await.unwrap();
            found.iter().any(|delivery| delivery.destination == id && delivery.state == state)
        })
        .await;
    }
}

#[tokio::test]
async fn a_webhook_is_set_up_with_a_secret_that_is_shown_once() {
    let test = TestHub::new().await;
    let made = test.hook(HOOK, Start::Now).await.unwrap();
    assert!(made.made["secret"].starts_with("whsec_"));
    assert_eq!(made.made.len(), 1);
    let shown = test.hub.show_destination(made.view.id).await.unwrap();
    assert_eq!(shown, made.view);
    let text = shown.config.to_string();
    assert!(!text.contains("whsec_") && !text.contains("hunter2") && text.contains("receiver.example"), "{text}");
    let kept = test.hub.store().destinations().await.unwrap();
    assert!(!String::from_utf8_lossy(&kept[0].settings).contains("hunter2"), "secrets are sealed");

    let given =
        test.hook(r#"{"url": "https://a.example/", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}"#, Start::Now);
    assert!(given.await.unwrap().made.is_empty());
    test.hub.stop().await.unwrap();
}

#[tokio::test]
async fn settings_that_do_not_fit_are_refused_where_they_stand() {
    let test = TestHub::new().await;
    for (config, pointer) in [(r#"{"url": "ftp://a.example/"}"#, "/config/url"), (r#"{"uri": "x"}"#, "/config/uri")] {
        match test.hook(config, Start::Now).await {
            Err(HubError::Refused { status: 422, pointer: found, .. }) => assert_eq!(found, pointer, "{config}"),
            other => panic!("{config}: {:?}", other.map(|made| made.view)),
        }
    }
    assert!(test.hub.list_destinations().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_test_call_says_in_words_what_came_of_it() {
    let test = TestHub::new().await;
    let id = test.hook(HOOK, Start::Now).await.unwrap().view.id;
    // (answer, delivered, part of the explanation)
    let cases = [
        (Some(200), true, "took the test event"),
        (Some(500), false, "would be tried again"),
        (Some(410), false, "would be switched off"),
        (None, false, "could not connect"),
    ];
    for (answer, delivered, part) in cases {
        test.answers(answer.as_slice());
        let result = test.hub.test_destination(id, None).await.unwrap();
        assert_eq!((result.delivered, result.status), (delivered, answer), "{answer:?}");
        assert!(result.explanation.contains(part), "{answer:?}: {}", result.explanation);
        assert!(!result.explanation.contains("hunter2"), "{}", result.explanation);
    }
    assert!(test.deliveries().await.deliveries.is_empty(), "a test is no delivery");
}

#[tokio::test]
async fn a_preview_shows_the_request_without_secrets_and_sends_nothing() {
    let test = TestHub::new().await;
    let id = test.hook(HOOK, Start::Now).await.unwrap().view.id;
    let event = test.hub.sample_event(EventType::Activate);
    let preview = test.hub.preview_destination(id, &event).await.unwrap();
    assert_eq!((preview.requests.len(), &preview.skipped), (1, &None));
    assert_eq!(preview.requests[0].url, "https://receiver.example/hook");
    assert_eq!(preview.requests[0].body.as_bytes(), &event.json[..], "the very bytes");
    assert!(!format!("{preview:?}").contains("hunter2"));
    let unwanted = test.hub.sample_event(EventType::SubscriptionRenewed);
    let preview = test.hub.preview_destination(id, &unwanted).await.unwrap();
    assert!(preview.skipped.unwrap().contains("filter"));
    assert_eq!(test.calls(), 0);
}

#[tokio::test]
async fn what_happened_while_held_arrives_after_resuming() {
    let test = TestHub::new().await;
    test.map().await;
    let id = test.hook(HOOK, Start::Now).await.unwrap().view.id;
    let held = test.hub.pause_destination(id).await.unwrap();
    assert_eq!((held.state, held.state_reason.as_deref()), (DestinationState::Paused, Some("paused by hand")));
    test.buy("ann", "p1").await;
    let event = test.activate_of("p1").await;
    test.until_state(id, &event, DeliveryState::Retrying).await;
    assert_eq!(test.calls(), 0);
    assert!(test.hub.show_destination(id).await.unwrap().behind > 0);

    test.answers(&[200]);
    let served = test.hub.resume_destination(id, None).await.unwrap();
    assert_eq!((served.state, served.state_reason), (DestinationState::Active, None));
    test.until_state(id, &event, DeliveryState::Delivered).await;
    assert_eq!(test.calls(), 1);
    test.hub.stop().await.unwrap();
}

#[tokio::test]
async fn a_destination_that_is_gone_is_switched_off_by_the_hub() {
    let test = TestHub::new().await;
    test.map().await;
    test.hub.tasks().spawn(test.hub.clone().run_halts());
    let id = test.hook(HOOK, Start::Now).await.unwrap().view.id;
    test.answers(&[410]);
    test.buy("ann", "p1").await;
    test.until("switched off", async || {
        test.hub.show_destination(id).await.unwrap().state == DestinationState::SwitchedOff
    })
    .await;
    let reason = test.hub.show_destination(id).await.unwrap().state_reason.unwrap();
    assert!(!reason.is_empty() && !reason.contains("hunter2"), "{reason}");

    let test = test.restart().await;
    test.hub.start_destinations(false).await.unwrap();
    test.answers(&[200]);
    assert_eq!(test.calls(), 1, "a restart changes nothing");
    test.hub.resume_destination(id, None).await.unwrap();
    test.until_state(id, &test.activate_of("p1").await, DeliveryState::Delivered).await;
    test.hub.stop().await.unwrap();
}

#[tokio::test]
async fn deliveries_are_told_with_their_attempts_and_pages() {
    let test = TestHub::new().await;
    test.map().await;
    test.answers(&[503, 200, 400, 200]);
    let id = test.hook(HOOK, Start::Now).await.unwrap().view.id;
    test.buy("ann", "p1").await;
    let event = test.activate_of("p1").await;
    // Looked at as soon as the loop knows it: the test's clock runs ahead of a slow disk.
    let mut next_try_at = None;
    test.until("a wait for the next try", async || {
        next_try_at = test.hub.deliveries_of(&event).await.unwrap().first().and_then(|delivery| delivery.next_try_at);
        next_try_at.is_some()
    })
    .await;
    assert!(next_try_at.unwrap() > test.clock.now().minus(Duration::from_secs(5)));
    test.until_state(id, &event, DeliveryState::Delivered).await;
    let delivered = test.hub.deliveries_of(&event).await.unwrap().remove(0);
    let attempts: Vec<_> = delivered.attempts.iter().map(|attempt| (attempt.attempt, attempt.status)).collect();
    assert_eq!(attempts, [(2, Some(200)), (1, Some(503))]);
    let detail = delivered.attempts[1].detail.as_deref().unwrap();
    assert!(detail.contains("said ***"), "{detail}");

    test.buy("bob", "p2").await;
    test.buy("cyd", "p3").await;
    test.until("three", async || test.deliveries().await.deliveries.len() == 3).await;
    let states: Vec<_> = test.deliveries().await.deliveries.iter().map(|delivery| delivery.state).collect();
    assert!(!states.contains(&DeliveryState::Skipped), "{states:?}");
    let mut query = AttemptQuery { limit: 2, ..AttemptQuery::default() };
    let first = test.hub.deliveries(query.clone()).await.unwrap();
    query.before = first.next;
    let second = test.hub.deliveries(query).await.unwrap();
    assert_eq!((first.deliveries.len(), second.deliveries.len(), second.next), (2, 1, None));
    let paged: Vec<_> = first.deliveries.into_iter().chain(second.deliveries).collect();
    assert_eq!(paged, test.deliveries().await.deliveries);
    // Its first attempt failed, but it is not a failed or a waiting delivery any more.
    let retrying = AttemptQuery { status: Some(503), limit: 50, ..AttemptQuery::default() };
    assert!(test.hub.deliveries(retrying).await.unwrap().deliveries.is_empty());
    test.hub.stop().await.unwrap();
}

#[tokio::test]
async fn an_event_is_replayed_to_one_or_to_all_also_when_held() {
    let test = TestHub::new().await;
    test.map().await;
    test.answers(&[200; 10]);
    let one = test.hook(HOOK, Start::Now).await.unwrap().view.id;
    test.buy("ann", "p1").await;
    let event = test.activate_of("p1").await;
    test.until_state(one, &event, DeliveryState::Delivered).await;
    let two = test.hook(HOOK, Start::Now).await.unwrap().view.id;

    assert_eq!(test.hub.replay(&event, Some(two)).await.unwrap(), [two]);
    test.until_state(two, &event, DeliveryState::Delivered).await;
    test.hub.pause_destination(one).await.unwrap();
    assert_eq!(test.hub.replay(&event, None).await.unwrap(), [two], "only those that are served");
    test.until("the replay", async || test.calls() == 3).await;

    test.hub.replay(&event, Some(one)).await.unwrap();
    test.hub.replay(&event, Some(one)).await.unwrap();
    test.until_state(one, &event, DeliveryState::Retrying).await;
    test.hub.resume_destination(one, None).await.unwrap();
    test.until_state(one, &event, DeliveryState::Delivered).await;
    assert_eq!(test.calls(), 4, "asked twice while held is told once");
    let nobody = DestinationId([1; 16]);
    assert_eq!(test.hub.replay(&event, Some(nobody)).await.unwrap_err().status(), 404);
    test.hub.stop().await.unwrap();
}

#[tokio::test]
async fn a_changed_filter_holds_from_then_on_and_masked_secrets_stay() {
    let test = TestHub::new().await;
    test.map().await;
    test.answers(&[200; 10]);
    let id = test.hook(HOOK, Start::Beginning).await.unwrap().view.id;
    let before = test.hub.store().destinations().await.unwrap().remove(0);
    let before = test.hub.target(&before).unwrap();
    let filter = Filter { events: vec![EventType::SubscriptionRenewed], ..Filter::default() };
    let shown = test.hub.show_destination(id).await.unwrap().config;
    let config = raw(&shown.to_string().replace("/hook", "/other"));
    let change = DestinationChange {
        name: Some("renamed"),
        config: Some(&config),
        filter: Some(filter.clone()),
        order: Some(LaneOrder::Customer),
        max_backlog: Some(77),
        lane_policy: Some(LanePolicy::SkipAfter(Duration::from_secs(600))),
        keep_trying: Some(Duration::from_secs(7200)),
    };
    let changed = test.hub.update_destination(id, change).await.unwrap();
    assert_eq!(changed.max_backlog, 77);
    let policy = LanePolicy::SkipAfter(Duration::from_secs(600));
    assert_eq!((changed.lane_policy, changed.keep_trying), (policy, Duration::from_secs(7200)));
    assert_eq!((changed.name.as_str(), changed.filter, changed.order), ("renamed", filter, LaneOrder::Customer));
    let after = test.hub.store().destinations().await.unwrap().remove(0);
    assert_eq!(test.hub.target(&after).unwrap().secrets, before.secrets);
    test.buy("ann", "p1").await;
    test.until("settled", async || test.hub.show_destination(id).await.unwrap().behind == 0).await;
    assert_eq!(test.calls(), 0);

    test.hub.delete_destination(id).await.unwrap();
    assert!(test.hub.list_destinations().await.unwrap().is_empty());
    assert_eq!(test.hub.show_destination(id).await.unwrap_err().status(), 404);
    assert!(test.hub.metrics().text().lines().all(|line| !line.contains(&id.to_string())));
    test.hub.stop().await.unwrap();
}

#[tokio::test]
async fn the_order_changes_only_while_nobody_waits() {
    let test = TestHub::new().await;
    test.map().await;
    let id = test.hook(HOOK, Start::Now).await.unwrap().view.id;
    test.answers(&[500]);
    test.buy("ann", "p1").await;
    test.until("a row", async || !test.hub.store().parked(id, 1).await.unwrap().is_empty()).await;
    let change = || DestinationChange { order: Some(LaneOrder::None), ..DestinationChange::default() };
    assert_eq!(test.hub.update_destination(id, change()).await.unwrap_err().status(), 409);
    test.answers(&[200]);
    test.until_state(id, &test.activate_of("p1").await, DeliveryState::Delivered).await;
    assert_eq!(test.hub.update_destination(id, change()).await.unwrap().order, LaneOrder::None);
    test.hub.stop().await.unwrap();
}

#[tokio::test]
async fn a_filter_that_could_never_agree_is_refused() {
    let test = TestHub::new().await;
    let made = test.hook(HOOK, Start::Now).await.unwrap();
    let filter = || Some(Filter { countries: vec!["germany".to_owned()], ..Filter::default() });
    let change = DestinationChange { filter: filter(), ..DestinationChange::default() };
    let config = raw(HOOK);
    let new = NewDestination {
        kind: "webhook",
        name: "hook",
        config: &config,
        filter: filter(),
        order: None,
        start: Start::Now,
        max_backlog: None,
        lane_policy: None,
        keep_trying: None,
    };
    let refused = [
        test.hub.update_destination(made.view.id, change).await.unwrap_err(),
        test.hub.create_destination(new).await.unwrap_err(),
    ];
    for error in refused {
        match error {
            HubError::Refused { status, pointer, .. } => {
                assert_eq!((status, pointer.as_str()), (422, "/filter/countries/0"))
            }
            other => panic!("{other}"),
        }
    }
    test.hub.stop().await.unwrap();
}
