//! How far destinations have come.

use super::*;
use crate::records::*;
use crate::*;
use paidup_lifecycle::ids::{DestinationId, EventId};

cases! {
    a_settlement_is_saved_whole,
    parked_events_are_replaced_and_removed,
    lanes_that_wait_are_listed_by_their_first_event,
    what_was_given_up_is_found_by_its_place,
    a_refused_settlement_leaves_nothing,
    attempts_filter_and_page,
    old_attempts_are_pruned,
    memories_are_kept_with_a_settlement_and_forgotten_by_age,
}

/// One of everything, about the event at position 1.
pub(super) fn settlement(destination: DestinationId, event_id: EventId) -> Settlement {
    Settlement {
        destination,
        progress: vec![Progress { settled: vec![(3, 5), (9, 9)], failing_since: Some(at(4)), ..Progress::at(0, 1) }],
        parked: vec![parked(event_id, 1)],
        unparked: Vec::new(),
        passed: Vec::new(),
        attempts: vec![attempt(event_id, 1, 1)],
        memories: Vec::new(),
    }
}

fn parked(event_id: EventId, position: u64) -> Parked {
    Parked {
        partition: 0,
        position,
        event_id,
        lane: vec![1, 2, 3],
        attempts: 2,
        parked_at: at(5),
        next_try_at: at(9),
        last_error: Some("503".to_owned()),
        replay: false,
        passed_at: Some(at(7)),
    }
}

fn attempt(event_id: EventId, position: u64, second: i64) -> AttemptRecord {
    AttemptRecord {
        partition: 0,
        position,
        event_id,
        attempt: 1,
        at: at(second),
        duration_ms: 12,
        status: Some(204),
        state: DeliveryState::Delivered,
        detail: None,
        may_repeat: second % 2 == 1,
    }
}

async fn a_settlement_is_saved_whole(store: Arc<dyn Store>) {
    let hook = store.put_destination(destination("hook", Start::Beginning)).await.unwrap().id;
    let told = settlement(hook, EventId([1; 16]));
    store.settle(vec![told.clone()]).await.unwrap();
    assert_eq!(store.progress(hook).await.unwrap(), told.progress);
    assert_eq!(store.parked(hook, 10).await.unwrap(), told.parked);
    let attempts = store.attempts(AttemptQuery { limit: 10, ..AttemptQuery::default() }).await.unwrap();
    assert_eq!(attempts.len(), 1);
    assert_eq!((attempts[0].destination, &attempts[0].record), (hook, &told.attempts[0]));
    let other = store.put_destination(destination("other", Start::Beginning)).await.unwrap().id;
    assert_eq!(store.parked(other, 10).await.unwrap(), [], "each destination has its own");
    assert_eq!(store.progress(other).await.unwrap()[0].cursor, 0);
}

async fn parked_events_are_replaced_and_removed(store: Arc<dyn Store>) {
    let hook = store.put_destination(destination("hook", Start::Beginning)).await.unwrap().id;
    let nothing = Settlement::of(hook);
    let first: Vec<Parked> = (1..=3).map(|position| parked(EventId([1; 16]), position)).collect();
    store.settle(vec![Settlement { parked: first.clone(), ..nothing.clone() }]).await.unwrap();
    let mut again = first[1].clone();
    again.attempts = 3;
    again.replay = true;
    again.last_error = None;
    let moved = Settlement { parked: vec![again.clone()], unparked: vec![(0, 1), (0, 77)], ..nothing.clone() };
    store.settle(vec![moved]).await.unwrap();
    assert_eq!(store.parked(hook, 10).await.unwrap(), [again.clone(), first[2].clone()]);
    assert_eq!(store.parked(hook, 1).await.unwrap(), [again.clone()]);
    // Removed and parked anew in one batch: it waits.
    let both = Settlement { parked: vec![again.clone()], unparked: vec![(0, 2), (0, 3)], ..nothing };
    store.settle(vec![both]).await.unwrap();
    assert_eq!(store.parked(hook, 10).await.unwrap(), [again]);
}

async fn lanes_that_wait_are_listed_by_their_first_event(store: Arc<dyn Store>) {
    let hook = store.put_destination(destination("hook", Start::Beginning)).await.unwrap().id;
    let other = store.put_destination(destination("other", Start::Beginning)).await.unwrap().id;
    let row = |position: u64, lane: u8| Parked {
        lane: vec![lane; 16],
        passed_at: None,
        ..parked(EventId([u8::try_from(position).unwrap(); 16]), position)
    };
    let rows = vec![row(1, 1), row(2, 2), row(3, 1), row(4, 1), row(5, 2), row(6, 3)];
    store.settle(vec![Settlement { parked: rows.clone(), ..Settlement::of(hook) }]).await.unwrap();
    store.settle(vec![Settlement { parked: vec![row(9, 1)], ..Settlement::of(other) }]).await.unwrap();
    let listed = async |after, limit| -> Vec<(u64, u64)> {
        let lanes = store.waiting_lanes(hook, after, limit).await.unwrap();
        lanes.iter().map(|lane| (lane.head.position, lane.behind)).collect()
    };
    assert_eq!(listed(0, 10).await, [(1, 2), (2, 1), (6, 0)]);
    assert_eq!((listed(0, 2).await, listed(2, 2).await), (vec![(1, 2), (2, 1)], vec![(6, 0)]));
    assert_eq!(store.waiting_lanes(hook, 0, 1).await.unwrap()[0].head, rows[0]);
    // Passed in the same settlement as another row is written, and one that is not there any more.
    let moved =
        Settlement { parked: vec![row(7, 3)], passed: vec![(0, 1, at(8)), (0, 77, at(8))], ..Settlement::of(hook) };
    store.settle(vec![moved]).await.unwrap();
    assert_eq!(listed(0, 10).await, [(1, 0), (2, 1), (3, 1), (6, 1)], "the lane goes on without its first event");
    let passed = Parked { passed_at: Some(at(8)), ..rows[0].clone() };
    assert_eq!(store.waiting_lanes(hook, 0, 1).await.unwrap()[0].head, passed);
    assert_eq!(store.parked(hook, 1).await.unwrap(), [passed]);
}

async fn what_was_given_up_is_found_by_its_place(store: Arc<dyn Store>) {
    let hook = store.put_destination(destination("hook", Start::Beginning)).await.unwrap().id;
    let other = store.put_destination(destination("other", Start::Beginning)).await.unwrap().id;
    let tried = |position: u64, state| {
        let event_id = EventId([u8::try_from(position).unwrap(); 16]);
        AttemptRecord { state, ..attempt(event_id, position, 1) }
    };
    let (given_up, told) = (DeliveryState::Failed, DeliveryState::Delivered);
    let attempts = vec![
        tried(3, given_up),
        tried(1, given_up),
        tried(2, told),
        tried(3, given_up),
        tried(4, DeliveryState::Retrying),
        tried(5, given_up),
        tried(5, told),
    ];
    store.settle(vec![Settlement { attempts, ..Settlement::of(hook) }]).await.unwrap();
    store.settle(vec![Settlement { attempts: vec![tried(2, given_up)], ..Settlement::of(other) }]).await.unwrap();
    let places = async |of, after, last, limit| -> Vec<(u64, u8)> {
        let found = store.given_up(of, after, last, limit).await.unwrap();
        found.iter().map(|(position, event)| (*position, event.0[0])).collect()
    };
    assert_eq!(places(hook, 0, 100, 10).await, [(1, 1), (3, 3), (5, 5)]);
    assert_eq!(places(hook, 1, 4, 10).await, [(3, 3)]);
    assert_eq!(places(hook, 0, 100, 2).await, [(1, 1), (3, 3)]);
    assert_eq!(places(other, 0, 100, 10).await, [(2, 2)]);
    assert_eq!(places(DestinationId([9; 16]), 0, 100, 10).await, []);
}

async fn a_refused_settlement_leaves_nothing(store: Arc<dyn Store>) {
    let hook = store.put_destination(destination("hook", Start::Beginning)).await.unwrap().id;
    let mut bad = settlement(hook, EventId([1; 16]));
    bad.attempts[0].attempt = 0;
    store.settle(vec![bad]).await.unwrap_err();
    assert_eq!(store.progress(hook).await.unwrap()[0].cursor, 0);
    assert_eq!(store.parked(hook, 10).await.unwrap(), []);
}

async fn attempts_filter_and_page(store: Arc<dyn Store>) {
    let hook = store.put_destination(destination("hook", Start::Beginning)).await.unwrap().id;
    let other = store.put_destination(destination("other", Start::Beginning)).await.unwrap().id;
    let (one, two) = (EventId([1; 16]), EventId([2; 16]));
    let mut attempts: Vec<AttemptRecord> = (1..=4).map(|second| attempt(one, 1, second)).collect();
    attempts[1].state = DeliveryState::Retrying;
    attempts[1].status = Some(503);
    attempts[2].state = DeliveryState::Failed;
    attempts[2].status = None;
    attempts[2].detail = Some("connection refused".to_owned());
    attempts[3].event_id = two;
    for (place, record) in attempts.iter().enumerate() {
        let destination = if place == 0 { other } else { hook };
        let attempts = vec![record.clone()];
        let settlement = Settlement { attempts, ..Settlement::of(destination) };
        store.settle(vec![settlement]).await.unwrap();
    }
    let all = || AttemptQuery { limit: 10, ..AttemptQuery::default() };
    let cases = [
        ("all", all(), vec![4, 3, 2, 1]),
        ("limit", AttemptQuery { limit: 1, ..all() }, vec![4]),
        ("destination", AttemptQuery { destination: Some(hook), ..all() }, vec![4, 3, 2]),
        ("event", AttemptQuery { event: Some(one), ..all() }, vec![3, 2, 1]),
        ("event at a destination", AttemptQuery { event: Some(one), destination: Some(hook), ..all() }, vec![3, 2]),
        ("retrying", AttemptQuery { state: Some(DeliveryState::Retrying), ..all() }, vec![2]),
        ("delivered", AttemptQuery { state: Some(DeliveryState::Delivered), ..all() }, vec![4, 1]),
        ("status", AttemptQuery { status: Some(503), ..all() }, vec![2]),
        ("from", AttemptQuery { from: Some(at(3)), ..all() }, vec![4, 3]),
        ("to", AttemptQuery { to: Some(at(3)), ..all() }, vec![2, 1]),
        (
            "failed elsewhere",
            AttemptQuery { state: Some(DeliveryState::Failed), destination: Some(other), ..all() },
            vec![],
        ),
        ("unknown destination", AttemptQuery { destination: Some(DestinationId([9; 16])), ..all() }, vec![]),
    ];
    for (name, query, expected) in cases {
        let listed = store.attempts(query).await.unwrap();
        let seconds: Vec<i64> = listed.iter().map(|one| one.record.at.since(at(0)).as_secs() as i64).collect();
        assert_eq!(seconds, expected, "{name}");
    }
    let newest = store.attempts(all()).await.unwrap();
    let before = Some(newest[1].number);
    let older = store.attempts(AttemptQuery { before, ..all() }).await.unwrap();
    assert_eq!(older, newest[2..]);
}

async fn old_attempts_are_pruned(store: Arc<dyn Store>) {
    let hook = store.put_destination(destination("hook", Start::Beginning)).await.unwrap().id;
    for chunk in 0..5 {
        let attempts = (0..500).map(|number| attempt(EventId([1; 16]), 1, chunk * 500 + number)).collect();
        let settlement = Settlement { attempts, ..Settlement::of(hook) };
        store.settle(vec![settlement]).await.unwrap();
    }
    assert_eq!(store.prune_attempts(at(2100)).await.unwrap(), 2100);
    assert_eq!(store.prune_attempts(at(2100)).await.unwrap(), 0);
    let left = store.attempts(AttemptQuery { limit: 10_000, ..AttemptQuery::default() }).await.unwrap();
    assert_eq!(left.len(), 400);
}

async fn memories_are_kept_with_a_settlement_and_forgotten_by_age(store: Arc<dyn Store>) {
    let hook = store.put_destination(destination("hook", Start::Beginning)).await.unwrap().id;
    let other = store.put_destination(destination("other", Start::Beginning)).await.unwrap().id;
    let remembered = |key: u8, body: &str| Remembered { key: vec![key; 16], body: body.as_bytes().to_vec() };
    let memory = async |of: DestinationId, key: u8| {
        let found = store.memory(of, vec![key; 16]).await.unwrap();
        found.map(|body| String::from_utf8(body).unwrap())
    };
    assert!(!store.remembers(hook).await.unwrap());
    let memories = (0..10).map(|key| remembered(key, "first")).collect();
    store.settle(vec![Settlement { memories, ..settlement(hook, EventId([1; 16])) }]).await.unwrap();
    assert!(store.remembers(hook).await.unwrap() && !store.remembers(other).await.unwrap());
    assert_eq!((memory(hook, 3).await.as_deref(), memory(other, 3).await), (Some("first"), None));
    assert_eq!(store.progress(hook).await.unwrap()[0].cursor, 1, "together with the progress");
    // Refused as a whole: what it would have remembered is not.
    let mut bad = settlement(hook, EventId([1; 16]));
    bad.attempts[0].attempt = 0;
    bad.memories = vec![remembered(3, "never")];
    store.settle(vec![bad]).await.unwrap_err();
    let memories = vec![remembered(0, "second"), remembered(9, "")];
    store.settle(vec![Settlement { memories, ..Settlement::of(hook) }]).await.unwrap();
    assert_eq!((memory(hook, 0).await.as_deref(), memory(hook, 9).await), (Some("second"), None));
    // Nine are left; the one that was written last is the newest.
    assert_eq!(store.prune_memories(3).await.unwrap(), 6);
    for (key, kept) in [(0, true), (1, false), (6, false), (7, true), (8, true)] {
        assert_eq!(memory(hook, key).await.is_some(), kept, "{key}");
    }
    assert_eq!(store.prune_memories(3).await.unwrap(), 0);
    assert!(store.delete_destination(hook).await.unwrap());
    assert_eq!(memory(hook, 0).await, None);
}
