//! Runs that compare what is known with a store.

use super::*;
use crate::reconciles::{
    MAX_KEPT, ReconcileCause, ReconcilePurchases, ReconcileRecord, ReconcileState, ReconcileTally,
};
use crate::*;
use paidup_lifecycle::ids::{LookupId, ReconcileId};

cases! {
    a_run_adds_up_and_keeps_its_place,
    there_is_one_open_run_for_a_source,
    a_run_that_ends_forgets_its_lookups_and_stays_as_it_is,
    runs_go_with_their_source_and_old_ones_are_forgotten,
    purchases_are_walked_source_by_source,
}

fn run(name: &str, source: SourceId) -> ReconcileRecord {
    ReconcileRecord {
        id: ReconcileId::derive(&[name.as_bytes()]),
        source,
        state: ReconcileState::Running,
        state_since: at(1),
        created_at: at(1),
        cause: ReconcileCause::Command,
        purchases: ReconcilePurchases::Open,
        since: at(0),
        position: None,
        walked: false,
        asked: 0,
        same: 0,
        different: 0,
        failed: 0,
        last_error: None,
    }
}

fn wanted(name: &str, source: SourceId, reconciles: bool) -> LookupRecord {
    LookupRecord {
        id: LookupId::derive(&[name.as_bytes()]),
        source_id: source,
        name: name.to_owned(),
        context: String::new(),
        why: "to compare".to_owned(),
        unless_known: None,
        asked_since: at(1),
        ask_at: Some(at(1)),
        attempts: 0,
        last_error: None,
        reconciles,
    }
}

async fn source(store: &dyn Store, name: &str) -> SourceId {
    let id = SourceId::derive(&[name.as_bytes()]);
    let (kind, name) = ("generic".to_owned(), name.to_owned());
    store.put_source(SourceRecord { id, kind, name, settings: b"{}".to_vec(), created_at: at(0) }).await.unwrap();
    id
}

fn status(error: StoreError) -> u16 {
    match error {
        StoreError::Refused(refused) => refused.status,
        other => panic!("{other}"),
    }
}

async fn a_run_adds_up_and_keeps_its_place(store: Arc<dyn Store>) {
    let of = source(&*store, "a").await;
    let begun = run("one", of);
    let lookups = vec![wanted("list", of, true), wanted("other", of, false)];
    store.begin_reconcile(begun.clone(), lookups).await.unwrap();
    assert_eq!(store.running_reconciles().await.unwrap(), vec![begun.clone()]);
    assert_eq!(store.reconcile_lookups(of).await.unwrap(), 1);
    assert_eq!(store.due_lookups(of, at(9), 10).await.unwrap().len(), 2);
    let error = Some("503".to_owned());
    store
        .tally_reconcile(of, ReconcileTally { same: 1, failed: 1, last_error: error.clone(), different: 0 })
        .await
        .unwrap();
    let page = ReconcileTally { same: 3, different: 2, ..ReconcileTally::default() };
    store.walk_reconcile(begun.id, Some(-7), page).await.unwrap();
    let moved = ReconcileRecord {
        asked: 6,
        same: 4,
        different: 2,
        failed: 1,
        last_error: error,
        position: Some(-7),
        ..begun.clone()
    };
    assert_eq!(store.reconcile(begun.id).await.unwrap(), Some(moved.clone()));
    store.walk_reconcile(begun.id, None, ReconcileTally::default()).await.unwrap();
    let walked = ReconcileRecord { walked: true, ..moved };
    assert_eq!(store.reconcile(begun.id).await.unwrap(), Some(walked));
    assert_eq!(store.reconcile(ReconcileId([9; 16])).await.unwrap(), None);
}

async fn there_is_one_open_run_for_a_source(store: Arc<dyn Store>) {
    let (of, other) = (source(&*store, "a").await, source(&*store, "b").await);
    assert_eq!(status(store.begin_reconcile(run("x", SourceId([9; 16])), Vec::new()).await.unwrap_err()), 404);
    store.begin_reconcile(run("one", of), Vec::new()).await.unwrap();
    store.begin_reconcile(run("other", other), Vec::new()).await.unwrap();
    assert_eq!(status(store.begin_reconcile(run("two", of), Vec::new()).await.unwrap_err()), 409);
    store.end_reconcile(run("one", of).id, ReconcileState::Done, at(5)).await.unwrap();
    store.begin_reconcile(run("two", of), Vec::new()).await.unwrap();
    let ids = |rows: Vec<(u64, ReconcileRecord)>| rows.into_iter().map(|(_, one)| one.id).collect::<Vec<_>>();
    let all = store.reconciles(None, None, 10).await.unwrap();
    let second = all[1].0;
    assert_eq!(ids(all), [run("two", of).id, run("other", other).id, run("one", of).id], "newest first");
    assert_eq!(ids(store.reconciles(Some(of), None, 10).await.unwrap()), [run("two", of).id, run("one", of).id]);
    assert_eq!(ids(store.reconciles(None, Some(second), 10).await.unwrap()), [run("one", of).id]);
}

async fn a_run_that_ends_forgets_its_lookups_and_stays_as_it_is(store: Arc<dyn Store>) {
    let of = source(&*store, "a").await;
    let begun = run("one", of);
    let lookups = vec![wanted("list", of, true), wanted("other", of, false)];
    store.begin_reconcile(begun.clone(), lookups).await.unwrap();
    let ended = store.end_reconcile(begun.id, ReconcileState::Cancelled, at(7)).await.unwrap();
    let expected = ReconcileRecord { state: ReconcileState::Cancelled, state_since: at(7), ..begun.clone() };
    assert_eq!(ended, Some(expected.clone()));
    assert_eq!(store.reconcile_lookups(of).await.unwrap(), 0);
    assert_eq!(store.lookups(10).await.unwrap(), [wanted("other", of, false)]);
    let late = ReconcileTally { same: 1, ..ReconcileTally::default() };
    store.tally_reconcile(of, late.clone()).await.unwrap();
    store.walk_reconcile(begun.id, Some(1), late).await.unwrap();
    assert_eq!(store.end_reconcile(begun.id, ReconcileState::Done, at(9)).await.unwrap(), Some(expected));
    assert_eq!(store.end_reconcile(ReconcileId([9; 16]), ReconcileState::Done, at(9)).await.unwrap(), None);
}

async fn runs_go_with_their_source_and_old_ones_are_forgotten(store: Arc<dyn Store>) {
    let of = source(&*store, "a").await;
    for number in 0..MAX_KEPT + 3 {
        let one = run(&number.to_string(), of);
        store.begin_reconcile(one.clone(), Vec::new()).await.unwrap();
        store.end_reconcile(one.id, ReconcileState::Done, at(5)).await.unwrap();
    }
    let kept = store.reconciles(Some(of), None, 200).await.unwrap();
    assert_eq!(kept.len() as u64, MAX_KEPT);
    assert_eq!(kept[0].1.id, run(&(MAX_KEPT + 2).to_string(), of).id);
    store.delete_source(of).await.unwrap();
    assert_eq!(store.reconciles(None, None, 200).await.unwrap(), []);
}

async fn purchases_are_walked_source_by_source(store: Arc<dyn Store>) {
    let owner = customer("user-1");
    let other = SourceId([0x33; 16]);
    let mut expected = std::collections::BTreeSet::new();
    for number in 0..57 {
        let mut one = purchase(&format!("sub-{number}"), &owner);
        if number % 3 == 0 {
            one.key.source_id = other;
            one.id = Purchase::id_of(&one.key);
        } else {
            expected.insert(one.id);
        }
        save(&*store, Changes { purchases: vec![one], ..Changes::default() }).await;
    }
    let (mut found, mut after, mut pages) = (std::collections::BTreeSet::new(), None, 0);
    loop {
        let page = store.purchases_of_source(SOURCE, after, 10).await.unwrap();
        assert!(page.purchases.len() <= 10 && page.purchases.iter().all(|one| one.key.source_id == SOURCE));
        for one in page.purchases {
            assert!(found.insert(one.id), "each once");
        }
        pages += 1;
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!((found, pages), (expected, 6), "so many rows are looked at for a page");
    let nobody = store.purchases_of_source(SourceId([0x44; 16]), None, 100).await.unwrap();
    assert_eq!((nobody.purchases.len(), nobody.next), (0, None));
}
