//! Lanes that go on without an event, destinations without order, what a person does with a lane that waits, and repeats that
//! nobody can rule out.

use super::settle::Place;
use super::*;
use paidup_store::records::{Attempt, Parked};

const MINUTE: Duration = Duration::from_secs(60);

impl World {
    async fn rows(&self) -> Vec<Parked> {
        self.store.parked(ID, 1_000).await.unwrap()
    }

    async fn tries(&self, state: DeliveryState) -> Vec<Attempt> {
        let query = AttemptQuery { destination: Some(ID), state: Some(state), limit: 200, ..AttemptQuery::default() };
        self.store.attempts(query).await.unwrap()
    }

    async fn event(&self, position: u64) -> LoggedEvent {
        self.store.events_after(0, position - 1, 1).await.unwrap().remove(0)
    }
}

/// Refuses the first event, takes all others.
fn first_fails(numbers: &[u64], _: usize) -> Does {
    if numbers == [1] { Does::Answer(500) } else { Does::Answer(200) }
}

#[tokio::test]
async fn a_lane_goes_on_without_its_head_after_its_time_and_the_head_is_tried_by_itself() {
    let mut world = World::new(first_fails).await;
    world.skip_after = Some(10 * MINUTE);
    world.append(&[1, 2, 1, 1]).await;
    world.step = Duration::from_secs(1);
    world.start();
    world.until("the lane goes on", async || world.took() == [2, 3, 4]).await;
    let calls = world.far.calls.lock().clone();
    let began = calls.iter().find(|(_, numbers)| *numbers == [3]).unwrap().0;
    let failed = calls.iter().find(|(_, numbers)| *numbers == [1]).unwrap().0;
    assert!(began.since(failed) >= 10 * MINUTE, "{:?}", began.since(failed));
    assert_eq!(world.dispatch.port().figures.of(ID).passed.get(), 1);
    world.until("one row", async || world.progress().await == (4, 1)).await;
    let passed_at = world.rows().await[0].passed_at.unwrap();
    assert!((10 * MINUTE..11 * MINUTE).contains(&passed_at.since(failed)), "{:?}", passed_at.since(failed));

    // It stays out of its lane after a restart, and tells of it when it arrives.
    world.dispatch.stop(ID).await;
    world.forget();
    world.append(&[1]).await;
    world.start();
    world.until("the next one", async || world.took() == [2, 3, 4, 5]).await;
    world.script(everything);
    world.step = MINUTE;
    world.until_cursor(5).await;
    assert_eq!(world.took(), [2, 3, 4, 5, 1]);
    let late = world.tries(DeliveryState::Delivered).await.remove(0).record;
    let words = late.detail.unwrap_or_default();
    assert!(words.starts_with("out of its lane's order: the lane went on without it at 2026-01-01T00:1"), "{words}");
    world.dispatch.stop(ID).await;
}

#[tokio::test]
async fn no_lane_goes_on_without_anything_while_the_destination_is_down() {
    let mut world = World::new(|_, _| Does::Fail(CallFailure::TimedOut)).await;
    world.skip_after = Some(MINUTE);
    let lanes: Vec<u8> = (0..200).map(|n| n % 20).collect();
    world.append(&lanes).await;
    world.step = Duration::from_secs(1);
    world.start();
    world.until("it is open", async || world.dispatch.breaker(ID).unwrap().phase == breaker::Phase::Open).await;
    let hour = world.clock.now().plus(60 * MINUTE);
    world.until("an hour", async || world.clock.now() >= hour).await;
    world.script(everything);
    world.until_cursor(200).await;
    assert_lanes_in_order(&world.took(), &lanes);
    assert_eq!(world.took().len(), 200);
    assert_eq!(world.dispatch.port().figures.of(ID).passed.get(), 0);
    world.dispatch.stop(ID).await;
}

#[tokio::test]
async fn without_order_no_event_waits_for_another() {
    let mut world = World::new(first_fails).await;
    (world.order, world.skip_after) = (LaneOrder::None, Some(MINUTE));
    world.append(&[1, 1, 1, 1]).await;
    world.start();
    world.until("all others", async || world.progress().await == (4, 1)).await;
    let took: BTreeSet<u64> = world.took().into_iter().collect();
    assert_eq!(took, BTreeSet::from([2, 3, 4]));
    world.dispatch.stop(ID).await;
    world.forget();
    world.step = Duration::from_secs(1);
    world.start();
    let later = world.clock.now().plus(5 * MINUTE);
    world.until("five minutes", async || world.clock.now() >= later).await;
    assert_eq!(world.rows().await[0].passed_at, None, "there was no lane to go on");
    world.script(everything);
    world.until_cursor(4).await;
    assert_eq!(world.took().len(), 4);
    world.dispatch.stop(ID).await;
}

#[tokio::test]
async fn a_person_has_the_head_of_a_lane_tried_now_or_gives_it_up() {
    let mut world = World::new(|numbers, _| if numbers[0] <= 2 { Does::Answer(500) } else { Does::Answer(200) }).await;
    world.append(&[1, 2, 1, 2]).await;
    world.step = Duration::from_secs(1);
    world.start();
    world.until("four rows", async || world.progress().await == (4, 4)).await;
    // Later tries are minutes apart.
    world.until("some tries", async || world.rows().await.iter().any(|row| row.attempts >= 5)).await;
    let (head, behind) = (world.event(1).await, world.event(3).await);
    let hasten = async |position| world.dispatch.ask(ID, |answer| Order::Hasten(position, answer)).await.unwrap();
    assert_eq!(hasten(behind.position).await, Place::Behind(head.event.id));
    assert_eq!(hasten(99).await, Place::Absent);
    world.script(|numbers, _| if numbers == [2] { Does::Answer(500) } else { Does::Answer(200) });
    let called = world.clock.now();
    assert!(matches!(hasten(1).await, Place::First { attempts: 1.. }));
    world.step = Duration::from_millis(10);
    world.until("the first lane", async || world.took() == [1, 3]).await;
    assert!(world.clock.now().since(called) < Duration::from_secs(5), "at once, because it was hastened");

    let second = world.event(2).await;
    let give_up = |position| {
        let (event_id, why) = (second.event.id, "given up by hand: a test".to_owned());
        world.dispatch.ask(ID, move |answer| Order::GiveUp { position, event_id, why, answer })
    };
    assert_eq!(give_up(4).await, Some(Place::Behind(second.event.id)));
    assert!(matches!(give_up(2).await, Some(Place::First { attempts: 2.. })));
    let failed = world.tries(DeliveryState::Failed).await;
    assert_eq!(failed[0].record.detail.as_deref(), Some("given up by hand: a test"), "durable when it is answered");
    world.until_cursor(4).await;
    assert_eq!(world.took(), [1, 3, 4]);
    world.dispatch.stop(ID).await;
}

#[tokio::test]
async fn a_person_has_a_destination_that_is_down_probed_now() {
    let mut world = World::new(|_, _| Does::Fail(CallFailure::NotConnected)).await;
    let lanes: Vec<u8> = (0..150).collect();
    world.append(&lanes).await;
    world.step = Duration::from_secs(1);
    world.start();
    world
        .until("slow probes", async || {
            let look = world.dispatch.breaker(ID).unwrap();
            look.probe_every == Some(breaker::SLOWEST_PROBE)
                && look.probe_at.is_some_and(|at| at.since(world.clock.now()) > MINUTE / 2)
        })
        .await;
    world.script(everything);
    let now = world.clock.now();
    world.dispatch.ask(ID, |answer| Order::Hasten(1, answer)).await.unwrap();
    world.until("an answer", async || !world.took().is_empty()).await;
    assert!(world.clock.now().since(now) < MINUTE / 2);
    world.until_cursor(150).await;
    world.dispatch.stop(ID).await;
}

#[tokio::test]
async fn an_attempt_without_an_answer_that_is_tried_again_counts_as_a_possible_repeat() {
    let mut world = World::new(|numbers, count| match (numbers, count) {
        ([1], 1) => Does::Lose,
        ([2], 1) => Does::Answer(500),
        ([3], 1) => Does::Fail(CallFailure::NotConnected),
        _ => Does::Answer(200),
    })
    .await;
    world.append(&[1, 2, 3]).await;
    world.start();
    world.until_cursor(3).await;
    assert_eq!(world.took().iter().filter(|number| **number == 1).count(), 2, "it was told twice");
    let doubtful: Vec<u64> = world
        .tries(DeliveryState::Retrying)
        .await
        .iter()
        .filter(|attempt| attempt.record.may_repeat)
        .map(|attempt| attempt.record.position)
        .collect();
    assert_eq!((doubtful, world.dispatch.port().figures.of(ID).may_repeat.get()), (vec![1], 1));
    world.dispatch.stop(ID).await;
}

#[tokio::test]
async fn what_was_sent_and_not_saved_when_it_broke_off_counts_as_a_possible_repeat() {
    let mut world = World::new(everything).await;
    world.append(&[1, 2, 3]).await;
    world.start();
    world.until_cursor(3).await;
    // Taken, and gone before the next moment of saving.
    world.append(&[1, 2]).await;
    while world.took().len() < 5 {
        tokio::task::yield_now().await;
    }
    world.crash().await;
    world.broke_off = true;
    world.start();
    world.until_cursor(5).await;
    let repeated = world.took().len() as u64 - 5;
    world.append(&[1, 2, 3]).await;
    world.until_cursor(8).await;
    let counted = world.dispatch.port().figures.of(ID).may_repeat.get();
    assert_eq!((repeated, counted), (2, 2), "what came later is not in doubt");
    world.dispatch.stop(ID).await;
}
