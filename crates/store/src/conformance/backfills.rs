//! Walks over all customers.

use super::*;
use crate::backfills::{BackfillFailure, BackfillRecord, BackfillState, MAX_FAILURES, MAX_KEPT};
use crate::*;
use paidup_lifecycle::ids::BackfillId;

cases! {
    a_back_fill_knows_its_way_and_keeps_its_place,
    there_is_one_open_back_fill_for_a_destination,
    what_has_ended_stays_as_it_is,
    failures_are_listed_up_to_a_bound,
    back_fills_go_with_their_destination,
    old_back_fills_are_forgotten,
}

fn backfill(name: &str, destination: DestinationId) -> BackfillRecord {
    BackfillRecord {
        id: BackfillId::derive(&[name.as_bytes()]),
        destination,
        state: BackfillState::Running,
        reason: None,
        state_since: at(1),
        created_at: at(1),
        position: 0,
        last: 0,
        total: 0,
        written: 0,
        skipped: 0,
        failed: 0,
        resumed_at: at(1),
        resumed_with: 0,
    }
}

async fn target(store: &dyn Store, name: &str) -> DestinationId {
    store.put_destination(destination(name, Start::Now)).await.unwrap().id
}

fn status(error: StoreError) -> u16 {
    match error {
        StoreError::Refused(refused) => refused.status,
        other => panic!("{other}"),
    }
}

async fn a_back_fill_knows_its_way_and_keeps_its_place(store: Arc<dyn Store>) {
    let to = target(&*store, "a").await;
    for name in ["user-1", "user-2", "user-3"] {
        save(&*store, Changes { customers: vec![customer(name)], ..Changes::default() }).await;
    }
    let begun = store.begin_backfill(backfill("one", to)).await.unwrap();
    assert_eq!((begun.last, begun.total), (3, 3));
    save(&*store, Changes { customers: vec![customer("user-4")], ..Changes::default() }).await;
    assert_eq!(store.backfill(begun.id).await.unwrap(), Some(begun.clone()), "later customers are not its own");
    let moved = BackfillRecord {
        state: BackfillState::Paused,
        reason: Some("why".to_owned()),
        state_since: at(2),
        position: 2,
        written: 1,
        skipped: 1,
        resumed_at: at(3),
        resumed_with: 1,
        ..begun.clone()
    };
    store.save_backfill(moved.clone(), Vec::new()).await.unwrap();
    assert_eq!(store.backfill(begun.id).await.unwrap(), Some(moved));
    assert_eq!(store.running_backfills().await.unwrap(), []);
    store.save_backfill(begun.clone(), Vec::new()).await.unwrap();
    assert_eq!(store.running_backfills().await.unwrap(), [begun]);
    assert_eq!(store.backfill(BackfillId([9; 16])).await.unwrap(), None);
}

async fn there_is_one_open_back_fill_for_a_destination(store: Arc<dyn Store>) {
    let (to, other) = (target(&*store, "a").await, target(&*store, "b").await);
    assert_eq!(status(store.begin_backfill(backfill("x", DestinationId([9; 16]))).await.unwrap_err()), 404);
    let mut first = store.begin_backfill(backfill("one", to)).await.unwrap();
    let second = store.begin_backfill(backfill("other", other)).await.unwrap();
    for state in [BackfillState::Running, BackfillState::Paused] {
        first.state = state;
        store.save_backfill(first.clone(), Vec::new()).await.unwrap();
        assert_eq!(status(store.begin_backfill(backfill("two", to)).await.unwrap_err()), 409, "{state}");
    }
    first.state = BackfillState::Done;
    store.save_backfill(first.clone(), Vec::new()).await.unwrap();
    let third = store.begin_backfill(backfill("two", to)).await.unwrap();
    let listed = |of, before, limit| {
        let store = store.clone();
        async move {
            let rows = store.backfills(of, before, limit).await.unwrap();
            rows.into_iter().map(|(number, one)| (number, one.id)).collect::<Vec<_>>()
        }
    };
    let all = listed(None, None, 10).await;
    assert_eq!(all.iter().map(|(_, id)| *id).collect::<Vec<_>>(), [third.id, second.id, first.id], "newest first");
    assert_eq!(listed(Some(to), None, 10).await.len(), 2);
    assert_eq!(listed(None, Some(all[0].0), 1).await, [all[1]], "page by page");
}

async fn what_has_ended_stays_as_it_is(store: Arc<dyn Store>) {
    for state in [BackfillState::Done, BackfillState::Cancelled] {
        let to = target(&*store, state.as_str()).await;
        let begun = store.begin_backfill(backfill(state.as_str(), to)).await.unwrap();
        let ended = BackfillRecord { state, ..begun.clone() };
        store.save_backfill(ended.clone(), Vec::new()).await.unwrap();
        assert_eq!(status(store.save_backfill(begun.clone(), Vec::new()).await.unwrap_err()), 409, "{state}");
        assert_eq!(store.backfill(begun.id).await.unwrap(), Some(ended), "{state}");
    }
}

async fn failures_are_listed_up_to_a_bound(store: Arc<dyn Store>) {
    let to = target(&*store, "a").await;
    let begun = store.begin_backfill(backfill("one", to)).await.unwrap();
    let failure = |number: u64| BackfillFailure {
        customer: customer(&format!("user-{number}")).id,
        reason: format!("reason {number}"),
        at: at(5),
    };
    let some: Vec<BackfillFailure> = (0..MAX_FAILURES - 1).map(failure).collect();
    store.save_backfill(begun.clone(), some).await.unwrap();
    store.save_backfill(begun.clone(), vec![failure(7_001), failure(7_002)]).await.unwrap();
    let (mut listed, mut after) = (Vec::new(), 0);
    loop {
        let page = store.backfill_failures(begun.id, after, 300).await.unwrap();
        let Some((last, _)) = page.last() else { break };
        after = *last;
        listed.extend(page.into_iter().map(|(_, failure)| failure));
    }
    assert_eq!(listed.len() as u64, MAX_FAILURES);
    assert_eq!((&listed[0], listed.last().unwrap()), (&failure(0), &failure(7_001)));
    assert!(store.backfill_failures(BackfillId([9; 16]), 0, 10).await.unwrap().is_empty());
}

async fn back_fills_go_with_their_destination(store: Arc<dyn Store>) {
    let to = target(&*store, "a").await;
    let begun = store.begin_backfill(backfill("one", to)).await.unwrap();
    let failure = BackfillFailure { customer: customer("user-1").id, reason: "x".to_owned(), at: at(1) };
    store.save_backfill(begun.clone(), vec![failure]).await.unwrap();
    store.delete_destination(to).await.unwrap();
    assert_eq!(store.backfill(begun.id).await.unwrap(), None);
    assert!(store.backfill_failures(begun.id, 0, 10).await.unwrap().is_empty());
    assert_eq!(status(store.save_backfill(begun, Vec::new()).await.unwrap_err()), 404, "a late page");
}

async fn old_back_fills_are_forgotten(store: Arc<dyn Store>) {
    let to = target(&*store, "a").await;
    for number in 0..MAX_KEPT + 3 {
        let mut one = store.begin_backfill(backfill(&number.to_string(), to)).await.unwrap();
        one.state = BackfillState::Done;
        store.save_backfill(one, Vec::new()).await.unwrap();
    }
    let kept = store.backfills(Some(to), None, 200).await.unwrap();
    assert_eq!(kept.len() as u64, MAX_KEPT);
    assert_eq!(kept[0].1.id, backfill(&(MAX_KEPT + 2).to_string(), to).id);
}
