//! A store that replaces a purchase's id: it stays one purchase, whichever id is told first.

use super::*;
use paidup_lifecycle::event::Edge;
use paidup_lifecycle::purchase::State;

/// What the store says of `id` at that day: it runs until the end of the month after.
fn told(day: u64, id: &str, replaces: Option<&str>) -> Value {
    let at = at("2026-01-01T00:00:00Z").plus(DAY * u32::try_from(day).unwrap());
    json!({"purchase": id, "at": at, "until": at.plus(DAY * 30), "replaces": replaces})
}

async fn send(test: &TestHub, source: SourceId, body: &Value) -> Accepted {
    test.clock.advance(Duration::from_millis(1));
    if test.hub.proof_keys().at(test.clock.now()).0.is_empty() {
        test.script.ready.lock().push_back((200, "right".to_owned()));
    }
    let mut headers = http::HeaderMap::new();
    headers.insert("x-proof", "right".parse().unwrap());
    test.hub.intake(source, RawRequest { headers, body: body.to_string().into() }, &Sender::Anonymous).await.unwrap()
}

async fn purchase(test: &TestHub, source: SourceId, id: &str) -> Option<Purchase> {
    let key = PurchaseKey { source_id: source, environment: Environment::Production, store_purchase_id: id.to_owned() };
    test.hub.store().purchase(Purchase::id_of(&key)).await.unwrap()
}

/// In every order in which a purchase's ids are connected before they are told apart, it is one, and asked by its newest.
#[tokio::test]
async fn a_purchase_whose_id_is_replaced_stays_one() {
    let (a, b, c) = (told(0, "a", None), told(1, "b", Some("a")), told(2, "c", Some("b")));
    for order in [[&a, &b, &c], [&b, &a, &c], [&b, &c, &a], [&c, &b, &a]] {
        let test = TestHub::new().await;
        test.map().await;
        let source = test.hub.create_source("askable", "store", &raw("{}")).await.unwrap().id;
        for body in order {
            send(&test, source, body).await;
        }
        let found = purchase(&test, source, "c").await.unwrap();
        for id in ["a", "b"] {
            assert_eq!(purchase(&test, source, id).await.map(|found| found.id), Some(found.id), "{order:?}");
        }
        assert_eq!(found.newest_id(), "c", "{order:?}");
        assert_eq!(test.hub.store().customer(&found.customer.to_string()).await.unwrap().unwrap().holdings.len(), 1);
        let started =
            test.events().await.iter().filter(|event| event.event_type == EventType::SubscriptionStarted).count();
        assert_eq!(started, 1, "{order:?}");
        for body in order {
            assert_eq!(send(&test, source, body).await.notifications, 1);
        }
        assert_eq!(purchase(&test, source, "c").await.unwrap().seq, found.seq, "said again: {order:?}");
        test.check_rebuild().await;
    }
}

/// What was told as two purchases before anybody said that they are one stays two; what was replaced is over at once.
#[tokio::test]
async fn two_purchases_do_not_become_one_afterwards() {
    let test = TestHub::new().await;
    test.map().await;
    let source = test.hub.create_source("askable", "store", &raw("{}")).await.unwrap().id;
    for body in [told(0, "a", None), told(2, "c", Some("b")), told(1, "b", Some("a"))] {
        send(&test, source, &body).await;
    }
    let (a, b, c) = (
        purchase(&test, source, "a").await.unwrap(),
        purchase(&test, source, "b").await.unwrap(),
        purchase(&test, source, "c").await.unwrap(),
    );
    assert_eq!((b.id, a.id == b.id), (c.id, false));
    assert_eq!((a.state, c.state), (State::Expired, State::Active));
    let of_a = test.events().await.into_iter().filter(|event| event.purchase.id == a.id);
    let ends: Vec<_> = of_a.filter(|event| event.event_type == EventType::Deactivate).map(|event| event.edge).collect();
    assert_eq!(ends, [Some(Edge::Replaced)], "nothing ended for the customer");
    test.check_rebuild().await;
}

/// A store that is asked about an id which it has replaced answers how that id stands. The purchase goes on under the newer one.
#[tokio::test]
async fn a_former_id_does_not_say_how_the_purchase_stands() {
    let test = TestHub::new().await;
    test.map().await;
    let source = test.hub.create_source("askable", "store", &raw("{}")).await.unwrap().id;
    for body in [told(0, "a", None), told(1, "b", Some("a"))] {
        send(&test, source, &body).await;
    }
    let before = purchase(&test, source, "b").await.unwrap();
    // Later than anything that was said of the newer id.
    send(&test, source, &told(3, "a", None)).await;
    let after = purchase(&test, source, "b").await.unwrap();
    assert_eq!(after.facets.period, before.facets.period);
    assert_eq!(after.facets.standing, before.facets.standing);
    assert_eq!((after.seq, after.state), (before.seq, before.state), "nothing happened");
    test.check_rebuild().await;
}
