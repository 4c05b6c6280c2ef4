//! Sources, destinations, keys, settings, Idempotency-Keys.

use super::*;
use crate::records::*;
use crate::*;
use paidup_lifecycle::event::EventType;
use paidup_lifecycle::filter::Filter;
use paidup_lifecycle::ids::{ApiKeyId, DestinationId, SourceId};

cases! {
    sources_come_and_go,
    a_destination_starts_where_it_says,
    filters_hold_from_where_they_were_made,
    a_deleted_destination_leaves_nothing,
    a_gap_is_skipped_or_caught_up,
    keys_are_found_by_hash,
    settings_are_kept_by_name,
    answers_are_kept_by_key_and_forgotten,
}

async fn sources_come_and_go(store: Arc<dyn Store>) {
    let source = |name: &str, second| SourceRecord {
        id: SourceId::derive(&[name.as_bytes()]),
        kind: "generic".to_owned(),
        name: name.to_owned(),
        settings: b"{}".to_vec(),
        created_at: at(second),
    };
    let (young, mut old) = (source("young", 2), source("old", 1));
    store.put_source(young.clone()).await.unwrap();
    store.put_source(old.clone()).await.unwrap();
    assert_eq!(store.sources().await.unwrap(), [old.clone(), young.clone()], "oldest first");
    old.settings = br#"{"secret":"x"}"#.to_vec();
    store.put_source(old.clone()).await.unwrap();
    assert_eq!(store.sources().await.unwrap(), [old.clone(), young.clone()], "replaced");
    assert!(store.delete_source(old.id).await.unwrap());
    assert!(!store.delete_source(old.id).await.unwrap());
    assert_eq!(store.sources().await.unwrap(), [young]);
}

async fn a_destination_starts_where_it_says(store: Arc<dyn Store>) {
    let owner = customer("user-1");
    for second in [10, 20, 30] {
        step(&*store, &owner, "sub-1", second).await;
    }
    let cases = [
        ("now", Start::Now, 3),
        ("beginning", Start::Beginning, 0),
        ("then", Start::At(at(20)), 1),
        ("before all", Start::At(at(0)), 0),
        ("after all", Start::At(at(99)), 3),
    ];
    for (name, start, cursor) in cases {
        let kept = store.put_destination(destination(name, start)).await.unwrap();
        let progress = store.progress(kept.id).await.unwrap();
        assert_eq!(progress, [Progress::at(0, cursor)], "{name}");
        assert!(store.destinations().await.unwrap().contains(&kept), "{name}");
    }
    // Replacing keeps the progress.
    step(&*store, &owner, "sub-1", 40).await;
    let mut paused = destination("now", Start::Now);
    paused.state = DestinationState::Paused;
    paused.state_reason = Some("by hand".to_owned());
    (paused.skip_after, paused.keep_trying) = (Some(Duration::from_secs(90)), Duration::from_secs(7200));
    let kept = store.put_destination(paused).await.unwrap();
    assert_eq!(kept.state, DestinationState::Paused);
    assert!(store.destinations().await.unwrap().contains(&kept));
    assert_eq!(store.progress(kept.id).await.unwrap()[0].cursor, 3);
    assert_eq!(store.destinations().await.unwrap().len(), cases.len());
}

async fn filters_hold_from_where_they_were_made(store: Arc<dyn Store>) {
    let owner = customer("user-1");
    step(&*store, &owner, "sub-1", 1).await;
    let mut kept = store.put_destination(destination("hook", Start::Beginning)).await.unwrap();
    assert_eq!(kept.filters[0].from, [(0, 1)], "the first holds for everything, also when it starts at the beginning");
    step(&*store, &owner, "sub-1", 2).await;
    let narrow = Filter { events: vec![EventType::Activate], ..Filter::default() };
    kept.filters.push(FilterVersion { from: Vec::new(), filter: narrow.clone() });
    let kept = store.put_destination(kept).await.unwrap();
    assert_eq!(kept.filters[1], FilterVersion { from: vec![(0, 3)], filter: narrow });
    assert_eq!(store.destinations().await.unwrap(), vec![kept.clone()]);
    step(&*store, &owner, "sub-1", 3).await;
    assert_eq!(store.put_destination(kept.clone()).await.unwrap(), kept, "what was resolved stays");
}

async fn a_deleted_destination_leaves_nothing(store: Arc<dyn Store>) {
    let owner = customer("user-1");
    step(&*store, &owner, "sub-1", 1).await;
    let event_id = log(&*store).await[0].event.id;
    let kept = store.put_destination(destination("hook", Start::Beginning)).await.unwrap();
    let settlement = super::deliveries::settlement(kept.id, event_id);
    store.settle(vec![settlement.clone()]).await.unwrap();
    assert!(store.delete_destination(kept.id).await.unwrap());
    assert!(!store.delete_destination(kept.id).await.unwrap());
    assert_eq!(store.destinations().await.unwrap(), []);
    assert_eq!(store.progress(kept.id).await.unwrap(), []);
    assert_eq!(store.parked(kept.id, 10).await.unwrap(), []);
    assert_eq!(store.attempts(AttemptQuery { limit: 10, ..AttemptQuery::default() }).await.unwrap(), []);
    let late = store.settle(vec![settlement]).await.unwrap_err();
    assert!(matches!(late, StoreError::Refused(Refused { status: 404, .. })), "{late}");
    // Made again under the same id, it has no past.
    store.put_destination(destination("hook", Start::Beginning)).await.unwrap();
    assert_eq!(store.parked(kept.id, 10).await.unwrap(), []);
    assert_eq!(store.attempts(AttemptQuery { limit: 10, ..AttemptQuery::default() }).await.unwrap(), []);
    assert!(!store.delete_destination(DestinationId([1; 16])).await.unwrap());
}

async fn keys_are_found_by_hash(store: Arc<dyn Store>) {
    let mut key = KeyRecord {
        id: ApiKeyId([1; 16]),
        name: "ci".to_owned(),
        hash: [5; 32],
        scopes: vec!["read".to_owned(), "ingest".to_owned()],
        created_at: at(1),
        expires_at: Some(at(100)),
    };
    store.put_key(key.clone()).await.unwrap();
    assert_eq!(store.key_by_hash([5; 32]).await.unwrap(), Some(key.clone()));
    assert_eq!(store.key_by_hash([6; 32]).await.unwrap(), None);
    key.name = "continuous integration".to_owned();
    key.expires_at = None;
    store.put_key(key.clone()).await.unwrap();
    assert_eq!(store.keys().await.unwrap(), vec![key.clone()]);
    let thief = KeyRecord { id: ApiKeyId([2; 16]), ..key.clone() };
    store.put_key(thief).await.unwrap_err();
    assert!(store.delete_key(key.id).await.unwrap());
    assert!(!store.delete_key(key.id).await.unwrap());
    assert_eq!(store.key_by_hash([5; 32]).await.unwrap(), None);
}

async fn settings_are_kept_by_name(store: Arc<dyn Store>) {
    assert_eq!(store.meta("check").await.unwrap(), None);
    store.put_meta("check", vec![1]).await.unwrap();
    store.put_meta("check", vec![2, 3]).await.unwrap();
    store.put_meta("other", Vec::new()).await.unwrap();
    assert_eq!(store.meta("check").await.unwrap(), Some(vec![2, 3]));
    assert_eq!(store.meta("other").await.unwrap(), Some(Vec::new()));
}

async fn answers_are_kept_by_key_and_forgotten(store: Arc<dyn Store>) {
    let answer = |key: &str, second| IdempotentRecord {
        key: key.to_owned(),
        request: [4; 32],
        status: 201,
        body: b"{}".to_vec(),
        created_at: at(second),
    };
    store.put_idempotent(answer("old", 1), at(0)).await.unwrap();
    assert_eq!(store.idempotent("old").await.unwrap(), Some(answer("old", 1)));
    store.put_idempotent(answer("new", 50), at(20)).await.unwrap();
    assert_eq!(store.idempotent("old").await.unwrap(), None);
    assert_eq!(store.idempotent("new").await.unwrap(), Some(answer("new", 50)));
}

async fn a_gap_is_skipped_or_caught_up(store: Arc<dyn Store>) {
    let owner = customer("user-1");
    let open = Gap {
        first: 2,
        last: 2,
        events: 1,
        noted_at: at(5),
        reason: "too many wait".to_owned(),
        state: GapState::Open,
    };
    let mut off = store.put_destination(destination("hook", Start::Beginning)).await.unwrap();
    step(&*store, &owner, "sub-1", 1).await;
    let progress = Progress { settled: vec![(3, 3)], failing_since: Some(at(1)), ..Progress::at(0, 0) };
    store.settle(vec![Settlement { progress: vec![progress], ..Settlement::of(off.id) }]).await.unwrap();
    for second in 2..5 {
        step(&*store, &owner, "sub-1", second).await;
    }
    off.gaps.push(open.clone());
    assert_eq!(store.put_destination(off.clone()).await.unwrap().open_gap(), Some(&open));
    let caught = store.resume_destination(off.clone(), ResumeFrom::Cursor).await.unwrap();
    assert_eq!(caught.gaps, [Gap { first: 1, last: 4, events: 3, state: GapState::CaughtUp, ..open.clone() }]);
    let progress = store.progress(off.id).await.unwrap().remove(0);
    assert_eq!(progress, Progress { settled: vec![(3, 3)], ..Progress::at(0, 0) }, "it goes on where it stopped");
    let skipped = store.resume_destination(off.clone(), ResumeFrom::Head).await.unwrap();
    assert_eq!(skipped.gaps, [Gap { first: 1, last: 4, events: 3, state: GapState::Skipped, ..open }]);
    assert_eq!(store.progress(off.id).await.unwrap(), [Progress::at(0, 4)]);
    assert_eq!(store.destinations().await.unwrap(), [skipped]);
    store.delete_destination(off.id).await.unwrap();
    let gone = store.resume_destination(off, ResumeFrom::Head).await.unwrap_err();
    assert!(matches!(gone, StoreError::Refused(Refused { status: 404, .. })), "{gone}");
}
