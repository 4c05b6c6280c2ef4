//! Old notifications and events are forgotten, and nothing that is still needed.

use super::*;
use crate::records::*;
use crate::*;
use bytes::Bytes;
use paidup_lifecycle::event::EventType;
use paidup_lifecycle::ids::LookupId;

cases! {
    events_are_pruned_up_to_what_is_needed,
    walks_end_where_the_log_was_pruned,
    notifications_are_pruned_and_the_journal_stays_whole,
    events_keep_what_pruned_notifications_told,
    a_gap_that_is_open_holds_nothing_back,
    the_journal_is_pruned_once_nothing_that_is_kept_came_from_it,
    lookups_that_were_given_up_are_forgotten,
}

/// A renewal of one purchase in each of these seconds.
async fn renewed(store: &dyn Store, seconds: std::ops::RangeInclusive<i64>) {
    let owner = customer("user-1");
    for second in seconds {
        step(store, &owner, "sub-1", second).await;
    }
}

async fn positions(store: &dyn Store) -> Vec<u64> {
    log(store).await.iter().map(|logged| logged.position).collect()
}

async fn events_are_pruned_up_to_what_is_needed(store: Arc<dyn Store>) {
    renewed(&*store, 1..=250).await;
    let hook = store.put_destination(destination("hook", Start::Beginning)).await.unwrap().id;
    let move_to = async |cursor| {
        let progress = vec![Progress::at(0, cursor)];
        store.settle(vec![Settlement { progress, ..Settlement::of(hook) }]).await.unwrap();
    };
    assert_eq!(store.prune_events(at(1_000)).await.unwrap(), 0, "a destination has yet to read it");
    move_to(40).await;
    let events = store.events_after(0, 29, 1).await.unwrap();
    let parked = Settlement { ..super::deliveries::settlement(hook, events[0].event.id) };
    let row = Parked { position: 30, ..parked.parked[0].clone() };
    store.settle(vec![Settlement { parked: vec![row], ..Settlement::of(hook) }]).await.unwrap();
    assert_eq!(store.prune_events(at(1_000)).await.unwrap(), 29, "one that waits is needed");
    let unparked = vec![(0, 30)];
    store.settle(vec![Settlement { unparked, ..Settlement::of(hook) }]).await.unwrap();
    assert_eq!(store.prune_events(at(1_000)).await.unwrap(), 11);
    move_to(250).await;
    assert_eq!(store.prune_events(at(201)).await.unwrap(), 160, "only the old ones, over several slices");
    assert_eq!(positions(&*store).await, (201..=250).collect::<Vec<u64>>());
    assert_eq!(store.prune_events(at(1_000)).await.unwrap(), 49, "the newest stays");
    assert_eq!(store.pruned().await.unwrap(), Pruned { position: 249, ..Pruned::default() });
    assert_eq!(store.head(0).await.unwrap(), 250);
    let late = store.put_destination(destination("late", Start::Beginning)).await.unwrap().id;
    assert_eq!(store.progress(late).await.unwrap(), [Progress::at(0, 249)], "the beginning is what is left");
    renewed(&*store, 251..=251).await;
    assert_eq!(positions(&*store).await, [250, 251]);
}

async fn walks_end_where_the_log_was_pruned(store: Arc<dyn Store>) {
    renewed(&*store, 1..=20).await;
    let owner = customer("user-1");
    let first = log(&*store).await[0].event.id;
    assert_eq!(store.prune_events(at(11)).await.unwrap(), 10);
    let listed = async |query: EventQuery| {
        let events = store.events(EventQuery { limit: 100, ..query }).await.unwrap();
        events.iter().map(|logged| logged.position).collect::<Vec<u64>>()
    };
    let left: Vec<u64> = (11..=20).rev().collect();
    assert_eq!(listed(EventQuery::default()).await, left);
    assert_eq!(listed(EventQuery { customer: Some(owner.id), ..EventQuery::default() }).await, left);
    let purchase = Some(purchase("sub-1", &owner).id);
    assert_eq!(listed(EventQuery { purchase, ..EventQuery::default() }).await, left);
    assert_eq!(listed(EventQuery { from: Some(at(3)), to: Some(at(13)), ..EventQuery::default() }).await, [12, 11]);
    assert_eq!(store.position_at(0, at(3)).await.unwrap(), 11);
    assert_eq!(store.position_at(0, at(15)).await.unwrap(), 15);
    assert!(store.event(first).await.unwrap().is_none());
}

async fn notifications_are_pruned_and_the_journal_stays_whole(store: Arc<dyn Store>) {
    renewed(&*store, 1..=250).await;
    let old = store.notifications(NotificationQuery { limit: 200, ..NotificationQuery::default() }).await.unwrap();
    let received_at = old[0].1.received_at;
    assert_eq!(store.prune_notifications(received_at).await.unwrap(), 0, "all of one moment, and that is not over");
    let after = received_at.plus(std::time::Duration::from_secs(1));
    assert_eq!(store.prune_notifications(after).await.unwrap(), 249);
    assert_eq!(store.pruned().await.unwrap(), Pruned { notification: 249, ..Pruned::default() });
    let left = store.notifications(NotificationQuery { limit: 200, ..NotificationQuery::default() }).await.unwrap();
    assert_eq!(left, old[..1]);
    assert_eq!(store.notification(old[1].1.id).await.unwrap(), None);
    assert_eq!(store.entry_notifications(0, 3).await.unwrap(), []);
    assert_eq!(store.verify_journal(10).await.unwrap(), [], "what was pruned is not missing");
    renewed(&*store, 251..=251).await;
    assert_eq!(store.verify_journal(10).await.unwrap(), []);
}

async fn events_keep_what_pruned_notifications_told(store: Arc<dyn Store>) {
    let owner = customer("user-1");
    let told = purchase("sub-1", &owner);
    for second in 1..=300_i64 {
        let long = format!("{second:04} long enough to be kept once, in the notification that told it first");
        let attribute = paidup_lifecycle::event::AttributeView { value: long.clone(), updated_at: at(1) };
        let mut event = event(EventType::RenewalDisabled, &told, second);
        event.customer.attributes.insert("note".to_owned(), attribute);
        let mut kept = notification(&format!("n-{second}"), Some(told.id));
        kept.received_at = at(second);
        kept.body = Bytes::from(format!(r#"{{"note":"{long}"}}"#)).into();
        save(&*store, Changes { notifications: vec![kept], events: vec![event], ..Changes::default() }).await;
    }
    let all: Vec<_> = log(&*store).await.into_iter().map(|logged| logged.json).collect();
    for (before, pruned) in [(1, 0), (3, 2), (260, 257), (10_000, 40)] {
        assert_eq!(store.prune_notifications(at(before)).await.unwrap(), pruned, "before {before}");
        let now: Vec<_> = log(&*store).await.into_iter().map(|logged| logged.json).collect();
        assert_eq!(now, all, "before {before}");
    }
}

async fn a_gap_that_is_open_holds_nothing_back(store: Arc<dyn Store>) {
    renewed(&*store, 1..=20).await;
    let mut off = store.put_destination(destination("hook", Start::Beginning)).await.unwrap();
    let progress = vec![Progress { settled: vec![(9, 14)], ..Progress::at(0, 4) }];
    store.settle(vec![Settlement { progress, ..Settlement::of(off.id) }]).await.unwrap();
    let reason = "too many wait".to_owned();
    let open = Gap { first: 5, last: 20, events: 10, noted_at: at(5), reason, state: GapState::Open };
    off.gaps.push(open.clone());
    off = store.put_destination(off).await.unwrap();
    assert_eq!(store.prune_events(at(12)).await.unwrap(), 11);
    let resumed = store.resume_destination(off, ResumeFrom::Cursor).await.unwrap();
    let skipped = Gap { first: 5, last: 14, events: 4, state: GapState::Skipped, ..open.clone() };
    let caught_up = Gap { first: 15, last: 20, events: 6, state: GapState::CaughtUp, ..open };
    assert_eq!(resumed.gaps, [skipped, caught_up], "what is no longer kept is told apart");
    assert_eq!(store.progress(resumed.id).await.unwrap(), [Progress::at(0, 14)]);
    assert_eq!(store.prune_events(at(1_000)).await.unwrap(), 3, "closed, it holds the log back again");
}

async fn the_journal_is_pruned_once_nothing_that_is_kept_came_from_it(store: Arc<dyn Store>) {
    renewed(&*store, 1..=250).await;
    let first = async || {
        let entries = store.journal_after(0, 0, 1).await.unwrap();
        entries[0].entry
    };
    assert_eq!(store.prune_journal(at(1_000)).await.unwrap(), 0, "its events are kept");
    assert_eq!(store.prune_events(at(151)).await.unwrap(), 150);
    assert_eq!(store.prune_journal(at(1_000)).await.unwrap(), 0, "its notifications are kept");
    let listed = store.notifications(NotificationQuery { limit: 200, ..NotificationQuery::default() }).await.unwrap();
    assert!(
        store.prune_notifications(listed[0].1.received_at.plus(std::time::Duration::from_secs(1))).await.unwrap() > 0
    );
    assert_eq!(store.prune_journal(at(101)).await.unwrap(), 100, "only the old ones");
    assert_eq!((first().await, store.pruned().await.unwrap().entry), (101, 100));
    assert_eq!(store.prune_journal(at(1_000)).await.unwrap(), 50, "the events that are left can be explained");
    assert_eq!(first().await, 151);
    assert_eq!(store.verify_journal(10).await.unwrap(), [], "what is left hangs on what was pruned");
    renewed(&*store, 251..=251).await;
    assert_eq!(store.prune_events(at(1_000)).await.unwrap(), 100);
    assert_eq!(store.prune_journal(at(1_000)).await.unwrap(), 99, "what the newest notification is from stays");
    assert_eq!(store.journal_after(0, 0, 10).await.unwrap().len(), 2);
    assert_eq!(store.verify_journal(10).await.unwrap(), []);
}

async fn lookups_that_were_given_up_are_forgotten(store: Arc<dyn Store>) {
    let lookup = |name: &str, asked_since, ask_at| LookupRecord {
        id: LookupId::derive(&[name.as_bytes()]),
        source_id: SOURCE,
        name: name.to_owned(),
        context: String::new(),
        why: "a test".to_owned(),
        unless_known: None,
        asked_since: at(asked_since),
        ask_at,
        attempts: 0,
        last_error: None,
        reconciles: false,
    };
    let lookups = vec![lookup("old", 10, None), lookup("young", 20, None), lookup("waits", 1, Some(at(99)))];
    save(&*store, Changes { lookups, ..Changes::default() }).await;
    assert_eq!(store.prune_lookups(at(10)).await.unwrap(), 0);
    assert_eq!(store.prune_lookups(at(11)).await.unwrap(), 1);
    let mut left: Vec<String> = store.lookups(10).await.unwrap().into_iter().map(|lookup| lookup.name).collect();
    left.sort();
    assert_eq!(left, ["waits", "young"]);
}
