//! Ranges of the log that are told again.

use super::*;
use crate::replays::{MAX_KEPT, ReplayOnly, ReplayQuery, ReplayRecord, ReplayState};
use crate::*;
use paidup_lifecycle::event::EventType;
use paidup_lifecycle::filter::Filter;
use paidup_lifecycle::ids::{CustomerId, DestinationId, PurchaseId, ReplayId};

cases! {
    a_replay_is_kept_as_it_was_wanted,
    only_a_running_one_advances,
    what_has_ended_stays_as_it_is,
    old_ones_that_have_ended_are_forgotten,
}

fn replay(name: &str) -> ReplayRecord {
    ReplayRecord {
        id: ReplayId::derive(&[name.as_bytes()]),
        state: ReplayState::Running,
        state_since: at(1),
        created_at: at(1),
        query: ReplayQuery::default(),
        per_minute: 600,
        first: 1,
        last: 100,
        position: 0,
        told: 0,
    }
}

async fn a_replay_is_kept_as_it_was_wanted(store: Arc<dyn Store>) {
    let filter =
        Filter { events: vec![EventType::Activate], products: vec!["a \u{0} product".to_owned()], ..Filter::default() };
    let query = ReplayQuery {
        destination: Some(DestinationId::derive(&[b"destination"])),
        from: Some(at(5)),
        to: Some(at(50)),
        filter,
        customer: Some(CustomerId::derive(&[b"customer"])),
        purchase: Some(PurchaseId::derive(&[b"purchase"])),
        only: Some(ReplayOnly::Failed),
    };
    let wanted = ReplayRecord { query, ..replay("wanted") };
    store.begin_replay(wanted.clone()).await.unwrap();
    store.begin_replay(replay("other")).await.unwrap();
    assert_eq!(store.replay(wanted.id).await.unwrap(), Some(wanted.clone()));
    assert_eq!(store.replay(ReplayId::derive(&[b"nobody"])).await.unwrap(), None);
    let listed = store.replays(None, 10).await.unwrap();
    assert_eq!(listed.iter().map(|(_, one)| one.id).collect::<Vec<_>>(), [replay("other").id, wanted.id]);
    let next = store.replays(Some(listed[0].0), 10).await.unwrap();
    assert_eq!(next.into_iter().map(|(_, one)| one).collect::<Vec<_>>(), [wanted]);
}

async fn only_a_running_one_advances(store: Arc<dyn Store>) {
    let id = replay("one").id;
    store.begin_replay(replay("one")).await.unwrap();
    store.advance_replay(id, 40, 7).await.unwrap();
    let held = store.change_replay(id, ReplayState::Paused, at(9)).await.unwrap().unwrap();
    assert_eq!((held.state, held.state_since, held.position, held.told), (ReplayState::Paused, at(9), 40, 7));
    store.advance_replay(id, 80, 14).await.unwrap();
    assert_eq!(store.replay(id).await.unwrap().unwrap().position, 40);
    assert_eq!(store.open_replays().await.unwrap(), [held]);
    // Saying it again changes nothing.
    let again = store.change_replay(id, ReplayState::Paused, at(10)).await.unwrap().unwrap();
    assert_eq!(again.state_since, at(9));
}

async fn what_has_ended_stays_as_it_is(store: Arc<dyn Store>) {
    for (name, end) in [("done", ReplayState::Done), ("cancelled", ReplayState::Cancelled)] {
        let id = replay(name).id;
        store.begin_replay(replay(name)).await.unwrap();
        store.change_replay(id, end, at(9)).await.unwrap();
        let after = store.change_replay(id, ReplayState::Running, at(10)).await.unwrap().unwrap();
        assert_eq!((after.state, after.state_since), (end, at(9)));
    }
    assert_eq!(store.open_replays().await.unwrap(), []);
    assert_eq!(store.change_replay(ReplayId::derive(&[b"nobody"]), ReplayState::Done, at(9)).await.unwrap(), None);
}

async fn old_ones_that_have_ended_are_forgotten(store: Arc<dyn Store>) {
    let (open, ended) = (replay("open").id, replay("ended").id);
    for name in ["open", "ended"] {
        store.begin_replay(replay(name)).await.unwrap();
    }
    store.change_replay(ended, ReplayState::Done, at(2)).await.unwrap();
    for number in 0..MAX_KEPT {
        store.begin_replay(replay(&format!("later {number}"))).await.unwrap();
    }
    assert_eq!(store.replay(ended).await.unwrap(), None);
    assert!(store.replay(open).await.unwrap().is_some(), "it may still tell something");
}
