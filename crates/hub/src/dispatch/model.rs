//! The book against a model: random interleavings of reading, taking, answers, time, saves that fail and crashes.
//!
//! After every step: no lane has two deliveries in flight, nothing starts before what is earlier in its lane is done (but for
//! what its lane went on without, no sooner than the policy says and on record), and what was saved accounts for every event. After all steps and a quiet end: everything that was wanted was delivered or
//! given up, and the saved progress is one cursor at the end of the log.

use super::lanes::Lane;
use super::settle::{self, Book, OnWire, Taken};
use super::window::Window;
use paidup_destinations::LoggedEvent;
use paidup_lifecycle::event::EventType;
use paidup_lifecycle::ids::{DestinationId, EventId, PurchaseId};
use paidup_lifecycle::observation::Store;
use paidup_lifecycle::sample;
use paidup_lifecycle::time::Timestamp;
use paidup_store::records::{LaneOrder, Parked, Progress, Settlement};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

const DESTINATION: DestinationId = DestinationId([7; 16]);

/// An event of the log: its lane, and whether the destination wants it.
type Place = (u8, bool);

#[derive(Debug, Clone)]
enum Step {
    Read(usize),
    Take(usize),
    Probe(bool),
    Land(usize, Landing),
    Wait(u64),
    Advance { standing: bool },
    Save,
    SaveFails,
    Crash,
    Replay(usize),
    Pass,
    GiveUp(usize),
}

#[derive(Debug, Clone, Copy)]
enum Landing {
    Done,
    Retry { counts: bool, after: u64 },
    PutBack { alone: bool },
}

/// What the destination says about its lanes.
#[derive(Debug, Clone, Copy)]
struct Policy {
    order: LaneOrder,
    skip_after: Option<Duration>,
}

const WAIT: Policy = Policy { order: LaneOrder::Purchase, skip_after: None };

struct World {
    log: Vec<Place>,
    policy: Policy,
    book: Book,
    flights: Vec<Vec<Taken>>,
    now: Timestamp,
    saved: Progress,
    rows: BTreeMap<u64, Parked>,
    /// Delivered or given up, ever.
    done: BTreeSet<u64>,
    /// The same, since the last crash, without replays.
    done_now: BTreeSet<u64>,
    /// First failures of what is not done, and what lanes went on without, as far as that was not lost in a crash.
    failed: BTreeMap<u64, Timestamp>,
    passed: BTreeSet<u64>,
}

fn logged(log: &[Place], position: u64) -> LoggedEvent {
    thread_local! {
        static BASE: paidup_lifecycle::event::Event = sample::event(EventType::Activate, Store::Stripe);
    }
    let mut event = BASE.with(Clone::clone);
    event.id = EventId::derive(&[&position.to_be_bytes()]);
    event.purchase.id = PurchaseId([log[usize::try_from(position).unwrap() - 1].0; 16]);
    LoggedEvent { partition: 0, position, event: Arc::new(event), json: bytes::Bytes::new() }
}

fn open(policy: Policy, saved: &Progress, rows: &BTreeMap<u64, Parked>) -> Book {
    let book = Book::open(DESTINATION, 0, policy.order, saved, rows.values().cloned().collect());
    book.skipping_after(policy.skip_after)
}

impl World {
    fn new(log: Vec<Place>, policy: Policy) -> World {
        let saved = Progress::at(0, 0);
        let rows = BTreeMap::new();
        let book = open(policy, &saved, &rows);
        let (now, flights, done, failed) = (Timestamp::default(), Vec::new(), BTreeSet::new(), BTreeMap::new());
        let (done_now, passed) = (done.clone(), done.clone());
        World { log, policy, book, flights, now, saved, rows, done_now, done, failed, passed }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Read(count) => self.read(count),
            Step::Take(most) => {
                let on_wire: OnWire = Arc::new(AtomicI64::new(self.now.as_millis().max(1)));
                let taken = self.book.take(self.now, most, &on_wire);
                self.fly(taken);
            }
            Step::Probe(newest) => {
                let taken = self.book.probe(self.now, newest, &OnWire::default());
                self.fly(taken);
            }
            Step::Land(which, landing) => {
                if !self.flights.is_empty() {
                    let flight = self.flights.remove(which % self.flights.len());
                    flight.iter().for_each(|taken| self.land(taken, landing));
                }
            }
            Step::Wait(ms) => self.now = self.now.plus(Duration::from_millis(ms)),
            Step::Advance { standing } => {
                let rows = self.book.parked();
                self.book.advance(self.now, standing);
                assert!(!standing || rows == self.book.parked(), "parked while the breaker is open");
            }
            Step::Save => {
                let settlement = self.book.settlement();
                self.save(settlement);
            }
            Step::SaveFails => {
                let settlement = self.book.settlement();
                self.book.unsave(settlement);
            }
            Step::Crash => {
                self.flights.clear();
                self.done_now.clear();
                self.book = open(self.policy, &self.saved, &self.rows);
                let failed = self.rows.values().filter(|row| row.attempts > 0);
                self.failed = failed.map(|row| (row.position, row.parked_at)).collect();
                let passed = self.rows.values().filter(|row| row.passed_at.is_some());
                self.passed = passed.map(|row| row.position).collect();
            }
            Step::Pass => self.pass(),
            Step::GiveUp(which) => {
                let position = which as u64 % self.log.len() as u64 + 1;
                if let settle::Place::First { .. } = self.book.place(position) {
                    let flies = self.flights.iter().flatten().any(|taken| taken.position == position);
                    assert!(!flies, "{position} was given up in flight");
                    self.land_done(position);
                }
            }
            Step::Replay(which) => {
                let position = which as u64 % self.log.len() as u64 + 1;
                if position <= self.book.read_to() && self.log[position as usize - 1].1 {
                    self.book.replay(logged(&self.log, position), self.now);
                }
            }
        }
    }

    fn read(&mut self, count: usize) {
        for _ in 0..count {
            let position = self.book.read_to() + 1;
            if let Some((_, wanted)) = self.log.get(position as usize - 1).copied() {
                self.book.read(logged(&self.log, position), wanted);
            }
        }
    }

    /// Nothing is passed before its time, or while an attempt is under way.
    fn pass(&mut self) {
        for event_id in self.book.pass(self.now) {
            let position =
                (1..=self.log.len() as u64).find(|place| EventId::derive(&[&place.to_be_bytes()]) == event_id);
            let position = position.expect("an event of the log");
            let due = self.failed.get(&position).zip(self.policy.skip_after).map(|(at, span)| at.plus(span));
            assert!(due.is_some_and(|at| at <= self.now), "{position} was passed, due at {due:?}");
            assert!(!self.flights.iter().flatten().any(|taken| taken.position == position), "{position} was in flight");
            assert!(self.passed.insert(position), "{position} was passed twice");
        }
    }

    fn fly(&mut self, taken: Vec<Taken>) {
        for (index, event) in taken.iter().enumerate() {
            let same = |other: &Taken| other.lane == event.lane;
            assert!(!self.flights.iter().flatten().any(same), "two of one lane in flight: {}", event.position);
            let with_it: Vec<u64> = taken[..index].iter().map(|taken| taken.position).collect();
            assert!(with_it.iter().all(|earlier| *earlier < event.position), "not in log order");
            for earlier in 1..event.position {
                let (lane, wanted) = self.log[earlier as usize - 1];
                let before = wanted && Lane([lane; 16]) == event.lane;
                let settled = self.done.contains(&earlier) || with_it.contains(&earlier);
                let excused = self.passed.contains(&earlier) || self.passed.contains(&event.position);
                assert!(!before || settled || excused, "{} started before {earlier}", event.position);
            }
        }
        if !taken.is_empty() {
            self.flights.push(taken);
        }
    }

    fn land(&mut self, taken: &Taken, landing: Landing) {
        let position = taken.position;
        match landing {
            Landing::Done => self.land_done(position),
            Landing::Retry { counts, after } => {
                self.failed.entry(position).or_insert(self.now);
                let at = self.now.plus(Duration::from_millis(after));
                self.book.retry(position, self.now, at, counts, "failed".into());
            }
            Landing::PutBack { alone } => self.book.put_back(position, self.now, alone),
        }
    }

    fn land_done(&mut self, position: u64) {
        self.book.settle(position);
        self.done.insert(position);
        self.done_now.insert(position);
        self.failed.remove(&position);
        self.passed.remove(&position);
    }

    fn save(&mut self, settlement: Settlement) {
        for (_, position) in settlement.unparked {
            self.rows.remove(&position);
        }
        for row in settlement.parked {
            self.rows.insert(row.position, row);
        }
        for (_, position, at) in settlement.passed {
            if let Some(row) = self.rows.get_mut(&position) {
                row.passed_at = Some(at);
            }
        }
        let recorded = |position: &u64| self.rows.get(position).is_some_and(|row| row.passed_at.is_some());
        assert!(self.passed.iter().all(recorded), "passed without a record");
        if let Some(progress) = settlement.progress.into_iter().next() {
            self.saved = progress;
        }
        let window = Window::restore(self.saved.cursor, &self.saved.settled);
        for position in 1..=self.log.len() as u64 {
            let accounted = !self.log[position as usize - 1].1
                || self.done.contains(&position)
                || self.rows.contains_key(&position);
            assert!(!window.covers(position) || accounted, "{position} is lost");
            assert!(
                window.covers(position) || !self.done_now.contains(&position),
                "{position} is done and not covered"
            );
        }
        assert!(self.rows.keys().all(|position| window.covers(*position)), "a row that is not covered");
    }

    /// No more failures: everything must come to its end.
    fn finish(&mut self) {
        for _ in 0..10 * self.log.len() + 10 {
            self.step(Step::Wait(100_000));
            self.step(Step::Pass);
            self.step(Step::Read(5));
            self.step(Step::Take(2));
            self.step(Step::Land(0, Landing::Done));
            self.step(Step::Advance { standing: false });
        }
        self.step(Step::Save);
        let wanted = |position: &u64| self.log[*position as usize - 1].1;
        let missing: Vec<u64> =
            (1..=self.log.len() as u64).filter(wanted).filter(|position| !self.done.contains(position)).collect();
        assert!(missing.is_empty(), "never delivered: {missing:?}");
        assert_eq!((self.saved.cursor, self.saved.settled.len()), (self.log.len() as u64, 0));
        assert!(self.rows.is_empty(), "rows stay: {:?}", self.rows.keys());
        assert_eq!((self.book.pending(), self.book.parked(), self.book.unsaved()), (0, 0, 0));
    }
}

fn landing() -> impl Strategy<Value = Landing> {
    prop_oneof![
        4 => Just(Landing::Done),
        2 => (any::<bool>(), 0_u64..8_000).prop_map(|(counts, after)| Landing::Retry { counts, after }),
        1 => any::<bool>().prop_map(|alone| Landing::PutBack { alone }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_usize..6).prop_map(Step::Read),
        6 => (1_usize..4).prop_map(Step::Take),
        1 => any::<bool>().prop_map(Step::Probe),
        6 => (any::<usize>(), landing()).prop_map(|(which, landing)| Step::Land(which, landing)),
        3 => (0_u64..5_000).prop_map(Step::Wait),
        4 => any::<bool>().prop_map(|standing| Step::Advance { standing }),
        3 => Just(Step::Save),
        1 => Just(Step::SaveFails),
        1 => Just(Step::Crash),
        1 => any::<usize>().prop_map(Step::Replay),
        3 => Just(Step::Pass),
        1 => any::<usize>().prop_map(Step::GiveUp),
    ]
}

fn policy() -> impl Strategy<Value = Policy> {
    let order = prop_oneof![4 => Just(LaneOrder::Purchase), 1 => Just(LaneOrder::None)];
    (order, prop::option::of(0_u64..6_000))
        .prop_map(|(order, skip_after)| Policy { order, skip_after: skip_after.map(Duration::from_millis) })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn nothing_is_lost_and_lanes_keep_their_order(
        log in prop::collection::vec((0_u8..4, prop::bool::weighted(0.8)), 1..25),
        policy in policy(),
        steps in prop::collection::vec(step(), 0..150),
    ) {
        let mut world = World::new(log, policy);
        for step in steps {
            world.step(step);
        }
        world.finish();
    }
}

fn world_with(lanes: &[u8]) -> World {
    with_policy(lanes, WAIT)
}

fn with_policy(lanes: &[u8], policy: Policy) -> World {
    let mut world = World::new(lanes.iter().map(|lane| (*lane, true)).collect(), policy);
    world.step(Step::Read(lanes.len()));
    world
}

/// Tries the events in log order, each failing or not, and answers which were tried.
fn tried(world: &mut World, landing: impl Fn(u64) -> Landing) -> Vec<u64> {
    let mut tried = Vec::new();
    loop {
        let before = world.flights.len();
        world.step(Step::Take(1));
        if world.flights.len() == before {
            return tried;
        }
        let position = world.flights[before][0].position;
        tried.push(position);
        world.step(Step::Land(before, landing(position)));
    }
}

#[test]
fn a_lane_goes_on_without_its_head_when_its_time_has_come_also_after_a_restart() {
    let policy = Policy { skip_after: Some(Duration::from_secs(60)), ..WAIT };
    let mut world = with_policy(&[1, 1, 1, 2], policy);
    let fails = |position| if position == 1 { Landing::Retry { counts: true, after: 50_000 } } else { Landing::Done };
    assert_eq!(tried(&mut world, fails), [1, 4]);
    assert_eq!(world.book.next_pass(), Some(world.now.plus(Duration::from_secs(60))));
    world.step(Step::Wait(50_000));
    world.step(Step::Pass);
    assert_eq!(tried(&mut world, fails), [1]);
    world.step(Step::Advance { standing: false });
    world.step(Step::Save);
    world.step(Step::Crash);
    world.step(Step::Wait(9_999));
    world.step(Step::Pass);
    assert_eq!(tried(&mut world, fails), [0; 0]);
    world.step(Step::Wait(1));
    world.step(Step::Pass);
    assert_eq!(tried(&mut world, fails), [2, 3]);
    // On record, and out of its lane for good.
    world.step(Step::Save);
    world.step(Step::Crash);
    let row = &world.rows[&1];
    assert_eq!((row.passed_at, row.attempts, row.lane.as_slice()), (Some(world.now), 2, &[1; 16][..]));
    assert_eq!(world.book.place(1), settle::Place::First { attempts: 2 });
    assert_eq!(world.book.next_pass(), None);
    world.finish();
}

#[test]
fn a_head_that_goes_now_is_waited_for_a_last_time() {
    let policy = Policy { skip_after: Some(Duration::from_secs(60)), ..WAIT };
    let mut world = with_policy(&[1, 1], policy);
    let fails = |_| Landing::Retry { counts: true, after: 30_000 };
    assert_eq!(tried(&mut world, fails), [1]);
    // An hour in which nothing could be tried.
    world.step(Step::Wait(3_600_000));
    world.step(Step::Pass);
    assert!(world.passed.is_empty(), "it may go now");
    world.step(Step::Take(1));
    world.step(Step::Pass);
    assert!(world.passed.is_empty(), "it is under way");
    world.step(Step::Land(0, fails(1)));
    world.step(Step::Pass);
    assert_eq!(world.passed, BTreeSet::from([1]));
    assert_eq!(tried(&mut world, |_| Landing::Done), [2]);
    world.finish();
}

#[test]
fn a_person_frees_a_lane_of_its_head_only_while_that_waits() {
    let mut world = with_policy(&[1, 1, 2], WAIT);
    world.step(Step::Take(1));
    assert_eq!(world.book.place(1), settle::Place::InFlight);
    world.step(Step::Land(0, Landing::Retry { counts: true, after: 60_000 }));
    let first = EventId::derive(&[&1_u64.to_be_bytes()]);
    assert_eq!(world.book.place(1), settle::Place::First { attempts: 1 });
    assert_eq!((world.book.place(2), world.book.place(9)), (settle::Place::Behind(first), settle::Place::Absent));
    world.step(Step::GiveUp(0));
    assert_eq!(world.book.place(1), settle::Place::Absent);
    assert_eq!(tried(&mut world, |_| Landing::Done), [2, 3]);
    world.finish();
}

#[test]
fn only_trouble_gets_rows_and_followers_get_theirs_when_the_cursor_passes() {
    let mut world = world_with(&[1, 2, 1, 3]);
    (0..3).for_each(|_| world.step(Step::Take(1)));
    world.step(Step::Land(1, Landing::Done));
    world.step(Step::Land(1, Landing::Done));
    world.step(Step::Advance { standing: false });
    assert_eq!((world.book.cursor(), world.book.parked()), (0, 0));
    world.step(Step::Land(0, Landing::Retry { counts: true, after: 60_000 }));
    world.step(Step::Advance { standing: false });
    world.step(Step::Save);
    assert_eq!(world.saved, Progress::at(0, 4));
    let rows: Vec<(u64, u32)> = world.rows.values().map(|row| (row.position, row.attempts)).collect();
    assert_eq!(rows, [(1, 1), (3, 0)]);
    world.step(Step::Crash);
    world.step(Step::Take(5));
    assert!(world.flights.iter().flatten().all(|taken| taken.position == 3) && world.flights.is_empty());
    world.finish();
}

#[test]
fn an_attempt_that_hangs_is_parked_after_two_seconds_unless_it_waits_for_a_budget() {
    let mut world = world_with(&[1, 2]);
    let on_wire = OnWire::default();
    world.book.take(world.now, 1, &on_wire);
    world.step(Step::Wait(10_000));
    assert_eq!(world.book.advance(world.now, false), None);
    assert_eq!(world.book.cursor(), 0);
    on_wire.store(world.now.as_millis(), Ordering::Relaxed);
    let due = world.now.plus(Duration::from_secs(2));
    assert_eq!(world.book.advance(world.now, false), Some(due));
    world.step(Step::Wait(2_000));
    world.step(Step::Advance { standing: true });
    assert_eq!(world.book.cursor(), 0);
    world.step(Step::Advance { standing: false });
    assert_eq!((world.book.cursor(), world.book.parked()), (1, 1));
    world.book.settle(1);
    world.done.insert(1);
    world.finish();
}

#[test]
fn a_wide_gap_parks_what_holds_the_cursor() {
    let mut log: Vec<Place> = vec![(1, true)];
    log.resize(10_001, (2, false));
    let mut world = World::new(log, WAIT);
    world.book.read(logged(&world.log, 1), true);
    for position in 2..=10_000 {
        world.book.read(logged(&world.log, position), false);
    }
    world.step(Step::Advance { standing: false });
    assert_eq!(world.book.cursor(), 0);
    world.book.read(logged(&world.log, 10_001), false);
    world.step(Step::Advance { standing: false });
    assert_eq!((world.book.cursor(), world.book.parked()), (10_001, 1));
}
