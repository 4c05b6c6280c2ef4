use super::*;
use paidup_lifecycle::event::EventType::*;

async fn ask(test: &TestHub) {
    test.hub.ask_due().await.unwrap();
}

/// A subscription of a store that can be asked, running for a day.
pub(super) async fn askable(test: &TestHub) -> SourceId {
    let source = test.hub.create_source("askable", "store", &raw("{}")).await.unwrap().id;
    test.script.ready.lock().push_back((200, "right".to_owned()));
    let mut headers = http::HeaderMap::new();
    headers.insert("x-proof", "right".parse().unwrap());
    let now = test.clock.now();
    let body = json!({"purchase": "sub", "at": now, "until": now.plus(DAY)}).to_string().into();
    test.hub.intake(source, RawRequest { headers, body }, &Sender::Anonymous).await.unwrap();
    test.script.called.lock().clear();
    source
}

#[tokio::test]
async fn a_restart_keeps_deadlines() {
    let test = TestHub::new().await;
    test.map().await;
    test.buy("user-1", "sub").await;
    let test = test.restart().await;
    test.clock.advance(DAY * 31);
    let mut changes = test.hub.recent().changes();
    test.hub.start().await.unwrap();
    changes.changed().await.unwrap();
    assert_eq!(types(&test.events().await)[3..], [Deactivate, SubscriptionTerminated]);
    assert_eq!(test.active("user-1").await, [""; 0]);
    test.hub.stop().await.unwrap();
}

#[tokio::test]
async fn the_running_scheduler_wakes_for_an_earlier_deadline() {
    let test = TestHub::new().await;
    test.map().await;
    let mut changes = test.hub.recent().changes();
    test.hub.start().await.unwrap();
    test.buy("user-1", "late").await;
    changes.changed().await.unwrap();
    let now = test.clock.now();
    test.send(&bought(now, now.plus(DAY), "user-2", "early")).await;
    changes.changed().await.unwrap();
    // Until the scheduler sleeps towards the earlier one, moving the clock would prove nothing.
    while test.clock.next_wake().is_none_or(|at| at > now.plus(DAY)) {
        tokio::task::yield_now().await;
    }
    test.clock.advance(DAY + Duration::from_secs(10));
    changes.changed().await.unwrap();
    assert_eq!(test.told_since(6).await, ["user-2 DEACTIVATE", "user-2 SUBSCRIPTION_TERMINATED"]);
    test.hub.stop().await.unwrap();
}

#[tokio::test]
async fn a_store_that_can_be_asked_is_asked_before_access_ends() {
    let test = TestHub::new().await;
    askable(&test).await;
    let before = test.events().await.len();
    test.pass(DAY).await;
    ask(&test).await;
    assert!(test.script.called.lock().is_empty(), "its own notification is usually faster");
    test.pass(Duration::from_secs(301)).await;
    let until = test.clock.now().plus(DAY * 30);
    test.script.ready.lock().push_back((200, json!({"purchase": "sub", "until": until}).to_string()));
    ask(&test).await;
    assert_eq!(*test.script.called.lock(), ["https://store.test/sub"]);
    assert!(test.hub.store().questions(10).await.unwrap().is_empty(), "the question is answered");
    let told = types(&test.events().await)[before..].to_vec();
    assert!(told.contains(&SubscriptionRenewed) && !told.contains(&Deactivate), "{told:?}");
    test.check_rebuild().await;
}

/// What the source keeps for asking reaches it, and the newest word of it counts.
#[tokio::test]
async fn a_store_is_asked_with_what_the_source_kept_for_it() {
    let test = TestHub::new().await;
    let source = askable(&test).await;
    for (minutes, with) in [(2, "second"), (1, "first")] {
        let at = test.clock.now().plus(Duration::from_secs(minutes * 60));
        let until = at.plus(DAY);
        let body = json!({"purchase": "sub", "at": at, "until": until, "ask_with": with});
        let mut headers = http::HeaderMap::new();
        headers.insert("x-proof", "right".parse().unwrap());
        test.clock.advance(Duration::from_millis(1));
        let raw = RawRequest { headers, body: body.to_string().into() };
        test.hub.intake(source, raw, &Sender::Anonymous).await.unwrap();
    }
    test.pass(DAY + Duration::from_secs(600)).await;
    let until = test.clock.now().plus(DAY * 30);
    test.script.ready.lock().push_back((200, json!({"purchase": "sub", "until": until}).to_string()));
    ask(&test).await;
    assert_eq!(*test.script.called.lock(), ["https://store.test/second/sub"]);
    assert!(test.hub.store().questions(10).await.unwrap().is_empty(), "the question is answered");
    assert!(types(&test.events().await).contains(&SubscriptionRenewed));
    test.check_rebuild().await;
}

#[tokio::test]
async fn the_stores_word_ends_it_at_once() {
    let test = TestHub::new().await;
    askable(&test).await;
    let before = test.events().await.len();
    test.pass(DAY + Duration::from_secs(301)).await;
    let over = test.clock.now().minus(DAY);
    test.script.ready.lock().push_back((200, json!({"purchase": "sub", "until": over}).to_string()));
    ask(&test).await;
    assert_eq!(types(&test.events().await)[before..], [Deactivate, SubscriptionTerminated]);
    test.check_rebuild().await;
}

#[tokio::test]
async fn an_unreachable_store_gets_a_day_and_a_wrong_answer_is_none() {
    let test = TestHub::new().await;
    askable(&test).await;
    let before = test.events().await.len();
    test.pass(DAY + Duration::from_secs(301)).await;
    for answer in [(500, "down".to_owned()), (200, "not JSON".to_owned())] {
        test.script.ready.lock().push_back(answer);
        ask(&test).await;
        test.pass(Duration::from_secs(400)).await;
    }
    let other = json!({"purchase": "another", "until": test.clock.now()}).to_string();
    test.script.ready.lock().push_back((200, other));
    ask(&test).await;
    let waiting = test.hub.store().questions(10).await.unwrap();
    assert_eq!((waiting.len(), waiting[0].attempts), (1, 3));
    assert_eq!(waiting[0].last_error.as_deref(), Some("the answer says nothing about this purchase"));
    assert_eq!(test.events().await.len(), before, "access is kept meanwhile");
    for _ in 0..30 {
        test.pass(Duration::from_secs(3600)).await;
        ask(&test).await;
    }
    assert_eq!(types(&test.events().await)[before..], [Deactivate, SubscriptionTerminated]);
    assert!(test.events().await.last().unwrap().inferred);
    test.check_rebuild().await;
}
