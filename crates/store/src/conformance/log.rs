//! What was received, decided and told.

use super::*;
use crate::records::*;
use crate::*;
use bytes::Bytes;
use paidup_lifecycle::event::{Event, EventType};
use paidup_lifecycle::ids::{EventId, NotificationId, SourceId};
use paidup_lifecycle::observation::Environment;

cases! {
    what_an_event_has_from_its_notification_comes_back_exactly,
    events_are_read_in_order_and_by_id,
    events_come_back_byte_for_byte,
    positions_are_found_by_time_even_when_the_clock_went_back,
    lists_filter_and_page,
    a_purchases_events_stay_its_own_after_a_transfer,
    a_customers_list_holds_those_who_were_merged_into_it,
    an_event_of_somebody_unknown_is_in_the_log,
    notifications_come_back_byte_for_byte,
    notifications_are_found_among_thousands,
    notifications_are_listed_by_what_came_of_them,
    the_journal_is_read_in_order,
    an_entry_gives_the_bytes_that_it_read,
}

fn positions(events: &[LoggedEvent]) -> Vec<u64> {
    events.iter().map(|event| event.position).collect()
}

async fn events_are_read_in_order_and_by_id(store: Arc<dyn Store>) {
    assert_eq!(store.head(0).await.unwrap(), 0);
    let owner = customer("user-1");
    for second in 1..=5 {
        step(&*store, &owner, "sub-1", second).await;
    }
    assert_eq!(positions(&store.events_after(0, 2, 2).await.unwrap()), [3, 4]);
    assert_eq!(positions(&store.events_after(0, 5, 2).await.unwrap()), [0; 0]);
    let third = &store.events_after(0, 2, 1).await.unwrap()[0];
    let found = store.event(third.event.id).await.unwrap().unwrap();
    assert_eq!((found.position, &found.event), (3, &third.event));
    assert!(store.event(EventId([0; 16])).await.unwrap().is_none());
}

async fn events_come_back_byte_for_byte(store: Arc<dyn Store>) {
    let owner = customer("user-1");
    let bought = purchase("sub-1", &owner);
    let events: Vec<Event> =
        EventType::ALL.iter().map(|event_type| event(*event_type, &bought, *event_type as i64)).collect();
    let changes =
        Changes { events: events.clone(), purchases: vec![bought], customers: vec![owner], ..Changes::default() };
    save(&*store, changes).await;
    for (told, kept) in events.iter().zip(log(&*store).await) {
        assert_eq!(told, &*kept.event);
        assert_eq!(serde_json::to_vec(told).unwrap(), kept.json);
    }
}

async fn positions_are_found_by_time_even_when_the_clock_went_back(store: Arc<dyn Store>) {
    let owner = customer("user-1");
    assert_eq!(store.position_at(0, at(0)).await.unwrap(), 1, "an empty log");
    for (number, second) in [10, 20, 15, 15, 40].into_iter().enumerate() {
        step(&*store, &owner, &format!("sub-{number}"), second).await;
    }
    let cases = [(0, 1), (10, 1), (11, 2), (15, 2), (20, 2), (21, 5), (40, 5), (41, 6)];
    for (second, expected) in cases {
        assert_eq!(store.position_at(0, at(second)).await.unwrap(), expected, "second {second}");
    }
}

async fn lists_filter_and_page(store: Arc<dyn Store>) {
    let (one, two) = (customer("one"), customer("two"));
    let (mine, mut theirs) = (purchase("mine", &one), purchase("theirs", &two));
    theirs.key.environment = Environment::Sandbox;
    theirs.key.source_id = SourceId([8; 16]);
    let events = vec![
        event(EventType::Activate, &mine, 1),
        event(EventType::SubscriptionStarted, &mine, 1),
        event(EventType::Activate, &theirs, 2),
        event(EventType::SubscriptionRenewed, &mine, 3),
        event(EventType::Deactivate, &theirs, 4),
    ];
    let purchases = vec![mine.clone(), theirs.clone()];
    let customers = vec![one.clone(), two.clone()];
    save(&*store, Changes { events, purchases, customers, ..Changes::default() }).await;
    let all = || EventQuery { limit: 10, ..EventQuery::default() };
    let cases: Vec<(&str, EventQuery, Vec<u64>)> = vec![
        ("all", all(), vec![5, 4, 3, 2, 1]),
        ("limit", EventQuery { limit: 2, ..all() }, vec![5, 4]),
        ("next page", EventQuery { limit: 2, before_position: Some(4), ..all() }, vec![3, 2]),
        ("type", EventQuery { types: vec![EventType::Activate], ..all() }, vec![3, 1]),
        ("types", EventQuery { types: vec![EventType::Activate, EventType::Deactivate], ..all() }, vec![5, 3, 1]),
        ("customer", EventQuery { customer: Some(one.id), ..all() }, vec![4, 2, 1]),
        ("customer, next page", EventQuery { customer: Some(one.id), before_position: Some(4), ..all() }, vec![2, 1]),
        ("customer, limit", EventQuery { customer: Some(one.id), limit: 1, ..all() }, vec![4]),
        (
            "customer and type",
            EventQuery { customer: Some(one.id), types: vec![EventType::Activate], ..all() },
            vec![1],
        ),
        ("purchase", EventQuery { purchase: Some(theirs.id), ..all() }, vec![5, 3]),
        ("both", EventQuery { purchase: Some(theirs.id), customer: Some(two.id), ..all() }, vec![5, 3]),
        ("both, not of each other", EventQuery { purchase: Some(theirs.id), customer: Some(one.id), ..all() }, vec![]),
        ("environment", EventQuery { environment: Some(Environment::Sandbox), ..all() }, vec![5, 3]),
        ("source", EventQuery { source: Some(SOURCE), ..all() }, vec![4, 2, 1]),
        ("from", EventQuery { from: Some(at(2)), ..all() }, vec![5, 4, 3]),
        ("to", EventQuery { to: Some(at(2)), ..all() }, vec![2, 1]),
        (
            "customer, from and to",
            EventQuery { customer: Some(one.id), from: Some(at(1)), to: Some(at(3)), ..all() },
            vec![2, 1],
        ),
        ("nobody", EventQuery { customer: Some(customer("nobody").id), ..all() }, vec![]),
    ];
    for (name, query, expected) in cases {
        assert_eq!(positions(&store.events(query).await.unwrap()), expected, "{name}");
    }
}

async fn a_purchases_events_stay_its_own_after_a_transfer(store: Arc<dyn Store>) {
    let (former, new) = (customer("former"), customer("new"));
    step(&*store, &former, "sub-1", 1).await;
    let mut moved = purchase("sub-1", &former);
    let left = event(EventType::SubscriptionTransferred, &moved, 2);
    moved.customer = new.id;
    let arrived = event(EventType::SubscriptionReceived, &moved, 2);
    let changes = Changes {
        events: vec![left, arrived],
        purchases: vec![moved.clone()],
        customers: vec![former.clone(), new.clone()],
        ..Changes::default()
    };
    save(&*store, changes).await;
    step(&*store, &new, "sub-1", 3).await;
    let of = |customer, purchase| EventQuery { customer, purchase, limit: 10, ..EventQuery::default() };
    let cases = [
        ("former owner", of(Some(former.id), None), vec![2, 1]),
        ("new owner", of(Some(new.id), None), vec![4, 3]),
        ("purchase", of(None, Some(moved.id)), vec![4, 3, 2, 1]),
        ("purchase under its new owner", of(Some(new.id), Some(moved.id)), vec![4, 3]),
    ];
    for (name, query, expected) in cases {
        assert_eq!(positions(&store.events(query).await.unwrap()), expected, "{name}");
    }
    assert_eq!(store.purchases_of(former.id, 10).await.unwrap(), []);
    assert_eq!(store.purchases_of(new.id, 10).await.unwrap(), [moved]);
}

async fn a_customers_list_holds_those_who_were_merged_into_it(store: Arc<dyn Store>) {
    let (mut gave, took) = (customer("gave"), customer("took"));
    for (second, owner) in [(1, &gave), (2, &took), (3, &gave), (4, &took)] {
        step(&*store, owner, &format!("sub-{second}"), second).await;
    }
    gave.merged_into = Some(took.id);
    save(&*store, Changes { customers: vec![gave.clone()], ..Changes::default() }).await;
    for asked in [&gave, &took] {
        let query = EventQuery { customer: Some(asked.id), limit: 3, ..EventQuery::default() };
        assert_eq!(positions(&store.events(query).await.unwrap()), [4, 3, 2], "{:?}", asked.aliases);
    }
}

/// Long attributes stand in the notification's body too, and may be kept once: by every way the event is whole.
async fn what_an_event_has_from_its_notification_comes_back_exactly(store: Arc<dyn Store>) {
    let owner = customer("user-1");
    let told = purchase("sub-1", &owner);
    let long = "0123456789abcdefghijklmnopqrstuvwxyz-0123456789abcdefghijklmnopqrstuvwxyz";
    let attribute = paidup_lifecycle::event::AttributeView { value: long.to_owned(), updated_at: at(1) };
    let mut first = event(EventType::RenewalDisabled, &told, 10);
    first.customer.attributes.insert("note".to_owned(), attribute.clone());
    let mut second = event(EventType::RenewalEnabled, &told, 11);
    second.customer.attributes.insert("note".to_owned(), attribute);
    let mut kept = notification("n-1", Some(told.id));
    kept.body = Body::packed_ahead(Bytes::from(format!(r#"{{"attributes":{{"note":"{long}"}}}}"#)));
    let mut other = notification("n-2", Some(purchase("sub-2", &owner).id));
    other.body = Bytes::from(format!(r#"{{"note":"{long}"}}"#)).into();
    let changes = Changes {
        journal: Some(journal(&[&kept, &other], 10)),
        notifications: vec![kept, other],
        events: vec![first.clone()],
        purchases: vec![told.clone()],
        customers: vec![owner],
        ..Changes::default()
    };
    let committed = save(&*store, changes).await;
    // The next one has it from nobody: it was told before.
    save(&*store, Changes { events: vec![second.clone()], ..Changes::default() }).await;
    let query = EventQuery { purchase: Some(told.id), limit: 10, ..EventQuery::default() };
    let listed = store.events(query).await.unwrap();
    let rows = store.derived_rows(DerivedTable::Events, None, 10).await.unwrap();
    for (place, event) in [first, second].into_iter().enumerate() {
        let json = serde_json::to_vec(&event).unwrap();
        assert_eq!(*log(&*store).await[place].event, event);
        assert_eq!(log(&*store).await[place].json, json);
        assert_eq!(store.event(event.id).await.unwrap().unwrap().json, json);
        assert_eq!(listed[1 - place].json, json);
        assert_eq!(rows[place].1, json);
    }
    assert_eq!(committed.events[0].json, log(&*store).await[0].json);
}

async fn an_event_of_somebody_unknown_is_in_the_log(store: Arc<dyn Store>) {
    let test = event(EventType::Test, &purchase("none", &customer("nobody")), 1);
    save(&*store, Changes { events: vec![test.clone()], ..Changes::default() }).await;
    assert_eq!(*log(&*store).await[0].event, test);
    assert!(store.event(test.id).await.unwrap().is_some());
}

async fn notifications_come_back_byte_for_byte(store: Arc<dyn Store>) {
    let chain = Bytes::from_static(&[42; 3000]);
    let mut packed = notification("packed", Some(PurchaseId([1; 16])));
    packed.packed = true;
    packed.shared = vec![chain.clone(), Bytes::from_static(b"short"), chain];
    packed.body = (0..=255).cycle().take(5000).collect::<Bytes>().into();
    let mut empty = notification("empty", None);
    empty.body = Body::default();
    let plain = notification("plain", Some(PurchaseId([2; 16])));
    for kept in [&packed, &empty, &plain] {
        save(&*store, Changes { notifications: vec![kept.clone()], ..Changes::default() }).await;
    }
    for kept in [packed, empty, plain] {
        assert_eq!(store.notification(kept.id).await.unwrap(), Some(kept));
    }
    assert_eq!(store.notification(NotificationId([0; 16])).await.unwrap(), None);
}

async fn notifications_are_found_among_thousands(store: Arc<dyn Store>) {
    let all: Vec<_> = (0..9000).map(|number| notification(&format!("n-{number}"), Some(PurchaseId([1; 16])))).collect();
    for some in all.chunks(1000) {
        save(&*store, Changes { notifications: some.to_vec(), ..Changes::default() }).await;
    }
    for number in [0, 1, 4094, 4095, 4096, 8190, 8191, 8192, 8999] {
        let kept = &all[number];
        assert_eq!(store.notification(kept.id).await.unwrap().as_ref(), Some(kept), "number {number}");
    }
    // Of several under one id, the newest.
    let mut again = all[5].clone();
    again.body = Bytes::from_static(b"signed anew").into();
    save(&*store, Changes { notifications: vec![again.clone()], ..Changes::default() }).await;
    assert_eq!(store.notification(again.id).await.unwrap(), Some(again));
}

async fn notifications_are_listed_by_what_came_of_them(store: Arc<dyn Store>) {
    let mut other_source = notification("other", Some(PurchaseId([1; 16])));
    other_source.source_id = SourceId([8; 16]);
    let notifications = vec![
        notification("a", Some(PurchaseId([1; 16]))),
        notification("b", None),
        other_source,
        notification("c", None),
        notification("d", Some(PurchaseId([1; 16]))),
    ];
    save(&*store, Changes { notifications, ..Changes::default() }).await;
    let all = || NotificationQuery { limit: 10, ..NotificationQuery::default() };
    let cases = [
        ("all", all(), vec!["d", "c", "other", "b", "a"]),
        ("page", NotificationQuery { before: Some(4), limit: 2, ..all() }, vec!["other", "b"]),
        ("source", NotificationQuery { source: Some(SourceId([8; 16])), ..all() }, vec!["other"]),
        ("odd", NotificationQuery { outcome: Some(NotificationOutcome::Unknown), ..all() }, vec!["c", "b"]),
        ("tests", NotificationQuery { outcome: Some(NotificationOutcome::Test), ..all() }, vec![]),
        (
            "observed of a source",
            NotificationQuery { outcome: Some(NotificationOutcome::Observed), source: Some(SOURCE), ..all() },
            vec!["d", "a"],
        ),
    ];
    for (name, query, expected) in cases {
        let listed = store.notifications(query).await.unwrap();
        let names: Vec<&str> = listed.iter().map(|(_, kept)| kept.external_id.as_str()).collect();
        assert_eq!(names, expected, "{name}");
    }
}

async fn the_journal_is_read_in_order(store: Arc<dyn Store>) {
    let records: Vec<JournalRecord> = (1..=3).map(|second| journal(&[], second)).collect();
    for record in &records {
        save(&*store, Changes { journal: Some(record.clone()), ..Changes::default() }).await;
    }
    let entries = store.journal_after(0, 0, 10).await.unwrap();
    assert_eq!(entries.iter().map(|entry| entry.entry).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(entries.iter().map(|entry| &entry.record).collect::<Vec<_>>(), records.iter().collect::<Vec<_>>());
    assert_eq!(store.journal_after(0, 1, 1).await.unwrap()[0].entry, 2);
}

async fn an_entry_gives_the_bytes_that_it_read(store: Arc<dyn Store>) {
    let first = notification("n", Some(PurchaseId([1; 16])));
    let mut again = first.clone();
    again.body = Bytes::from_static(b"signed anew").into();
    for (second, kept) in [(1, &first), (2, &again)] {
        let (journal, notifications) = (Some(journal(&[kept], second)), vec![kept.clone()]);
        save(&*store, Changes { journal, notifications, ..Changes::default() }).await;
    }
    // Reads one that an earlier entry kept.
    save(&*store, Changes { journal: Some(journal(&[&first], 3)), ..Changes::default() }).await;
    let cases = [(1, vec![first]), (2, vec![again.clone()]), (3, vec![again]), (4, vec![])];
    for (entry, expected) in cases {
        assert_eq!(store.entry_notifications(0, entry).await.unwrap(), expected, "entry {entry}");
    }
}
