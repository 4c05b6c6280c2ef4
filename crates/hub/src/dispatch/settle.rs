//! The book of one destination in one partition: what was read, what is under way, and what is to be saved of it. Pure:
//! the loop in `run` tells it what happened and saves what it hands out, the store's records come in and out.
//!
//! What it promises, whatever is interrupted where (`model` holds it to that): every event that is wanted stays in memory,
//! in a row of its own, or above the saved progress; and no event is handed out before its lane's earlier ones are done,
//! but for those that its lane went on without, as the destination's policy says: they stay, and their rows say so.
//!
//! Only trouble gets rows: a failed attempt, an attempt that is open for long, and what waits behind one of these when the
//! cursor passes it. While the breaker is open, or every slot hangs, the cursor stands, so a dead receiver costs no rows.

use super::lanes::{Lane, Lanes};
use super::window::Window;
use paidup_destinations::{LoggedEvent, Together};
use paidup_lifecycle::ids::{DestinationId, EventId};
use paidup_lifecycle::time::Timestamp;
use paidup_store::records::{AttemptRecord, LaneOrder, Parked, Progress, Remembered, Settlement};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// Events held in memory; no more are read until some are done.
pub const MAX_HELD: usize = 4_096;
/// Rows of one destination, held in memory without their events. When so many events are in trouble that nothing more is
/// read, the far side has a problem that more reading would not solve.
pub const MAX_PARKED: usize = 50_000;
/// An attempt that is open for longer is parked, so that the cursor moves on.
pub const OPEN_FOR: Duration = Duration::from_secs(2);
/// The same when so much has been read beyond it.
const MAX_GAP: u64 = 10_000;

/// When a delivery's call went out, in milliseconds; 0: it still waits (for a budget, for the event to be loaded).
/// Waiting for a rate limit is no trouble and must not cost a row.
pub type OnWire = Arc<AtomicI64>;

/// An event that is handed out for delivery.
#[derive(Debug, Clone)]
pub struct Taken {
    /// Place in the log.
    pub position: u64,
    /// Its id.
    pub event_id: EventId,
    /// The event; `None`: it has to be loaded.
    pub event: Option<LoggedEvent>,
    /// Failed attempts so far.
    pub attempts: u32,
    /// When the first of them was.
    pub first_failed_at: Option<Timestamp>,
    /// A person asked for it.
    pub replay: bool,
    /// Its lane.
    pub lane: Lane,
    /// Since when its lane does not wait for it any more.
    pub passed_at: Option<Timestamp>,
}

/// How an event that a person names stands in its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It is the one that its lane waits for, or waits by itself.
    First {
        /// Failed attempts so far.
        attempts: u32,
    },
    /// It waits behind this event.
    Behind(EventId),
    /// An attempt is under way.
    InFlight,
    /// It does not wait.
    Absent,
}

/// How an event stands with a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Done with, or never wanted.
    Settled,
    /// Under way, waiting for its next try, or behind another.
    Waiting {
        /// Not before; `None`: as soon as it may.
        next_try_at: Option<Timestamp>,
    },
    /// The destination has not come that far.
    Unread,
}

#[derive(Debug)]
struct Entry {
    /// The lane that it waits in: its own one, or by itself once that went on without it.
    lane: Lane,
    /// The lane that it belongs to.
    home: Lane,
    passed_at: Option<Timestamp>,
    event_id: EventId,
    event: Option<LoggedEvent>,
    attempts: u32,
    first_failed_at: Option<Timestamp>,
    on_wire: Option<OnWire>,
    has_row: bool,
    replay: bool,
    /// It shares no delivery with others any more: a delivery of several was refused.
    alone: bool,
}

/// What has to be saved.
#[derive(Debug, Default)]
struct Batch {
    events: usize,
    moved: bool,
    parked: BTreeMap<u64, Parked>,
    unparked: BTreeSet<u64>,
    passed: BTreeMap<u64, Timestamp>,
    attempts: Vec<AttemptRecord>,
    memories: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// The book.
#[derive(Debug)]
pub struct Book {
    destination: DestinationId,
    partition: u16,
    order: LaneOrder,
    /// A lane goes on without an event that has failed for so long; `None`: it waits.
    skip_after: Option<Duration>,
    /// Failed events that lanes wait for, by when that ends.
    patience_ends: BTreeSet<(Timestamp, u64)>,
    window: Window,
    lanes: Lanes,
    entries: HashMap<u64, Entry>,
    rows: usize,
    read_to: u64,
    failing_since: Option<Timestamp>,
    batch: Batch,
}

impl Book {
    /// Opens the book as it was saved.
    #[must_use]
    pub fn open(
        destination: DestinationId,
        partition: u16,
        order: LaneOrder,
        progress: &Progress,
        parked: Vec<Parked>,
    ) -> Book {
        let mut book = Book {
            destination,
            partition,
            order,
            skip_after: None,
            patience_ends: BTreeSet::new(),
            window: Window::restore(progress.cursor, &progress.settled),
            lanes: Lanes::default(),
            entries: HashMap::new(),
            rows: 0,
            read_to: progress.cursor,
            failing_since: progress.failing_since,
            batch: Batch::default(),
        };
        for row in parked {
            let home = Lane::from_kept(&row.lane, row.position);
            let lane = if row.passed_at.is_some() { Lane::alone(row.position) } else { home };
            let entry = Entry {
                lane,
                home,
                passed_at: row.passed_at,
                event_id: row.event_id,
                event: None,
                attempts: row.attempts,
                first_failed_at: (row.attempts > 0).then_some(row.parked_at),
                on_wire: None,
                has_row: true,
                replay: row.replay,
                alone: false,
            };
            if book.entries.insert(row.position, entry).is_none() {
                book.rows += 1;
                book.lanes.insert(lane, row.position, row.next_try_at);
                book.window.cover(row.position);
            }
        }
        book
    }

    /// The same book with the policy that a lane goes on without an event that has failed for so long; `None`: it waits.
    #[must_use]
    pub fn skipping_after(mut self, span: Option<Duration>) -> Book {
        self.skip_after = span;
        self.patience_ends.clear();
        let positions: Vec<u64> = self.entries.keys().copied().collect();
        positions.into_iter().for_each(|position| self.lose_patience(position));
        self
    }

    /// Notes when the lane of an event that failed goes on without it.
    fn lose_patience(&mut self, position: u64) {
        if let (Some(span), Some(entry)) = (self.skip_after, self.entries.get(&position))
            && let (Some(failed), None) = (entry.first_failed_at.filter(|_| entry.attempts > 0), entry.passed_at)
        {
            self.patience_ends.insert((failed.plus(span), position));
        }
    }

    /// Since when nothing was taken any more, as it was saved or told.
    #[must_use]
    pub fn failing_since(&self) -> Option<Timestamp> {
        self.failing_since
    }

    /// Notes since when nothing was taken any more.
    pub fn failing(&mut self, since: Option<Timestamp>) {
        if self.failing_since != since {
            self.failing_since = since;
            self.batch.moved = true;
        }
    }

    /// Notes what is to be remembered under a key; empty: nothing any more.
    pub fn remember(&mut self, key: Vec<u8>, body: Vec<u8>) {
        self.batch.memories.insert(key, body);
    }

    /// The last position that was read.
    #[must_use]
    pub fn read_to(&self) -> u64 {
        self.read_to
    }

    /// Everything up to here is settled or parked.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.window.cursor()
    }

    /// How many events may be read now.
    #[must_use]
    pub fn room(&self) -> usize {
        if self.rows >= MAX_PARKED { 0 } else { MAX_HELD.saturating_sub(self.entries.len() - self.rows) }
    }

    /// Events that were read and are not done.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.entries.len()
    }

    /// Events that have a row.
    #[must_use]
    pub fn parked(&self) -> usize {
        self.rows
    }

    /// Lanes that may go at `now`.
    pub fn ready(&mut self, now: Timestamp) -> usize {
        self.lanes.ready(now)
    }

    /// When the next lane may go that may not go now.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.lanes.next_due()
    }

    /// How an event stands.
    #[must_use]
    pub fn standing(&self, position: u64) -> Standing {
        match self.entries.get(&position) {
            Some(entry) => Standing::Waiting { next_try_at: self.lanes.not_before(entry.lane, position) },
            None if position > self.read_to && !self.window.covers(position) => Standing::Unread,
            None => Standing::Settled,
        }
    }

    /// The next event of the log. One that is not `wanted` is settled at once.
    pub fn read(&mut self, event: LoggedEvent, wanted: bool) {
        let position = event.position;
        if position <= self.read_to {
            return;
        }
        self.read_to = position;
        if self.window.covers(position) {
            return;
        }
        if wanted {
            self.hold(event, false);
        } else {
            self.cover(position);
        }
    }

    /// How an event that a person names stands in its lane.
    #[must_use]
    pub fn place(&self, position: u64) -> Place {
        let Some(entry) = self.entries.get(&position) else { return Place::Absent };
        if entry.on_wire.is_some() {
            return Place::InFlight;
        }
        let first =
            self.lanes.head(entry.lane).filter(|head| *head != position).and_then(|head| self.entries.get(&head));
        first.map_or(Place::First { attempts: entry.attempts }, |first| Place::Behind(first.event_id))
    }

    /// A person wants this one tried now, those before it in its lane first.
    pub fn hasten(&mut self, position: u64) {
        if let Some(entry) = self.entries.get(&position) {
            self.lanes.hasten(entry.lane, position);
        }
    }

    /// A person wants this event delivered (again) now. It gets a row at once.
    pub fn replay(&mut self, event: LoggedEvent, now: Timestamp) {
        let position = event.position;
        if self.entries.contains_key(&position) {
            self.hasten(position);
        } else {
            self.hold(event, true);
            self.park(position, now, now, None);
        }
    }

    fn hold(&mut self, event: LoggedEvent, replay: bool) {
        let (lane, position) = (Lane::of(self.order, &event), event.position);
        let entry = Entry {
            lane,
            home: lane,
            passed_at: None,
            event_id: event.event.id,
            event: Some(event),
            attempts: 0,
            first_failed_at: None,
            on_wire: None,
            has_row: false,
            replay,
            alone: false,
        };
        self.entries.insert(position, entry);
        self.lanes.insert(lane, position, Timestamp::MIN);
    }

    /// Hands out the earliest event that may go, or up to `most` that may share a delivery.
    pub fn take(&mut self, now: Timestamp, most: usize, on_wire: &OnWire) -> Vec<Taken> {
        let entries = &self.entries;
        let joins = |position: u64| entries.get(&position).is_none_or(|entry| !entry.alone);
        let taken = self.lanes.take(now, most, joins);
        self.hand_out(taken, on_wire)
    }

    /// Hands out the earliest event that may go, with those that follow it in its lane and are `alike`, at most `most`.
    /// What has to be loaded first goes alone.
    pub fn take_alike(&mut self, now: Timestamp, most: usize, alike: Together, on_wire: &OnWire) -> Vec<Taken> {
        let entries = &self.entries;
        let known = |position: u64| entries.get(&position).filter(|entry| !entry.alone)?.event.as_ref();
        let joins = |first: u64, next: u64| {
            known(first).zip(known(next)).is_some_and(|(first, next)| alike(&first.event, &next.event))
        };
        let taken = self.lanes.take_alike(now, most, joins);
        self.hand_out(taken, on_wire)
    }

    /// Hands out one event to see whether anybody is there.
    pub fn probe(&mut self, now: Timestamp, newest: bool, on_wire: &OnWire) -> Vec<Taken> {
        if newest {
            let taken = self.lanes.take_newest(now);
            self.hand_out(taken.into_iter().collect(), on_wire)
        } else {
            self.take(now, 1, on_wire)
        }
    }

    fn hand_out(&mut self, taken: Vec<(Lane, u64)>, on_wire: &OnWire) -> Vec<Taken> {
        let mut out = Vec::with_capacity(taken.len());
        for (lane, position) in taken {
            let Some(entry) = self.entries.get_mut(&position) else { continue };
            entry.on_wire = Some(Arc::clone(on_wire));
            out.push(Taken {
                position,
                event_id: entry.event_id,
                event: entry.event.clone(),
                attempts: entry.attempts,
                first_failed_at: entry.first_failed_at,
                replay: entry.replay,
                lane,
                passed_at: entry.passed_at,
            });
        }
        out
    }

    /// Done with: delivered, given up or skipped. Its lane goes on.
    pub fn settle(&mut self, position: u64) {
        let Some(entry) = self.entries.remove(&position) else { return };
        self.lanes.settle(entry.lane, position);
        if entry.has_row {
            self.rows -= 1;
            self.batch.parked.remove(&position);
            self.batch.passed.remove(&position);
            self.batch.unparked.insert(position);
        }
        self.cover(position);
    }

    /// Failed: its lane waits until `at`, and it gets a row.
    pub fn retry(&mut self, position: u64, now: Timestamp, at: Timestamp, counts: bool, error: String) {
        let Some(entry) = self.entries.get_mut(&position) else { return };
        entry.attempts += u32::from(counts);
        entry.first_failed_at.get_or_insert(now);
        entry.on_wire = None;
        let lane = entry.lane;
        self.lanes.put_back(lane, position, at);
        self.park(position, now, at, Some(error));
        self.lose_patience(position);
    }

    /// Lanes go on without the events that they have waited for long enough, as the policy says. Answers those. One that is
    /// under way or goes now is waited for a last time: when it fails, it is asked for again here.
    pub fn pass(&mut self, now: Timestamp) -> Vec<EventId> {
        let mut passed = Vec::new();
        while let Some(&(at, position)) = self.patience_ends.first()
            && at <= now
        {
            self.patience_ends.pop_first();
            let Some(entry) = self.entries.get_mut(&position) else { continue };
            let failed_at = entry.first_failed_at.filter(|_| entry.attempts > 0 && entry.passed_at.is_none());
            let is_over = failed_at.zip(self.skip_after).is_some_and(|(at, span)| at.plus(span) <= now);
            let goes_now = self.lanes.not_before(entry.lane, position).is_none_or(|at| at <= now);
            if !is_over || entry.on_wire.is_some() || goes_now {
                continue;
            }
            let Some(alone) = self.lanes.pass(entry.lane, position) else { continue };
            (entry.lane, entry.passed_at) = (alone, Some(now));
            passed.push(entry.event_id);
            self.batch.passed.insert(position, now);
        }
        passed
    }

    /// When the next lane goes on without an event.
    #[must_use]
    pub fn next_pass(&self) -> Option<Timestamp> {
        self.patience_ends.first().map(|(at, _)| *at)
    }

    /// Not its fault (the breaker is open, the destination is switched off, the delivery was shared): it may go again
    /// from `at` on, as if nothing had been tried.
    pub fn put_back(&mut self, position: u64, at: Timestamp, alone: bool) {
        let Some(entry) = self.entries.get_mut(&position) else { return };
        entry.on_wire = None;
        entry.alone |= alone;
        let lane = entry.lane;
        self.lanes.put_back(lane, position, at);
    }

    /// Appends an attempt.
    pub fn note(&mut self, attempt: AttemptRecord) {
        self.batch.attempts.push(attempt);
    }

    /// Moves the cursor over whatever must not hold it. `standing`: nothing is parked (the breaker is open, or the
    /// destination hangs as a whole). Answers when to look again, if
    /// an attempt is open that will have to be parked.
    pub fn advance(&mut self, now: Timestamp, standing: bool) -> Option<Timestamp> {
        while !standing && let Some(blocking) = self.entries.get(&(self.cursor() + 1)) {
            let position = self.cursor() + 1;
            let follows_row = self
                .lanes
                .head(blocking.lane)
                .filter(|head| *head != position)
                .and_then(|head| self.entries.get(&head))
                .is_some_and(|head| head.has_row);
            let gap = self.read_to.saturating_sub(position) >= MAX_GAP;
            let overdue = blocking.overdue_at();
            if !follows_row && !gap && overdue.is_none_or(|at| at > now) {
                return overdue;
            }
            self.park(position, now, now, None);
        }
        None
    }

    fn park(&mut self, position: u64, now: Timestamp, next_try_at: Timestamp, last_error: Option<String>) {
        let Some(entry) = self.entries.get_mut(&position) else { return };
        if !entry.has_row {
            entry.has_row = true;
            self.rows += 1;
        }
        // Rows may wait for days and there may be many: their events are loaded again when it is their turn.
        entry.event = None;
        let row = Parked {
            partition: self.partition,
            position,
            event_id: entry.event_id,
            lane: entry.home.0.to_vec(),
            attempts: entry.attempts,
            parked_at: entry.first_failed_at.unwrap_or(now),
            next_try_at,
            last_error,
            replay: entry.replay,
            passed_at: entry.passed_at,
        };
        self.batch.unparked.remove(&position);
        self.batch.passed.remove(&position);
        self.batch.parked.insert(position, row);
        self.cover(position);
    }

    fn cover(&mut self, position: u64) {
        self.window.cover(position);
        self.batch.moved = true;
        self.batch.events += 1;
    }

    /// How much the next settlement is about, counted in events; 0: there is nothing to save.
    #[must_use]
    pub fn unsaved(&self) -> usize {
        let batch = &self.batch;
        let others = batch.memories.len().max(batch.passed.len()).max(usize::from(batch.moved));
        batch.events.max(batch.attempts.len()).max(others)
    }

    /// Hands out everything that is to be saved. One settlement at a time: the next only after this one is saved, or was
    /// given back by [`Book::unsave`].
    pub fn settlement(&mut self) -> Settlement {
        let batch = std::mem::take(&mut self.batch);
        let progress = Progress {
            partition: self.partition,
            cursor: self.window.cursor(),
            settled: self.window.ranges(),
            failing_since: self.failing_since,
        };
        Settlement {
            destination: self.destination,
            progress: if batch.moved { vec![progress] } else { Vec::new() },
            parked: batch.parked.into_values().collect(),
            unparked: batch.unparked.into_iter().map(|position| (self.partition, position)).collect(),
            passed: batch.passed.into_iter().map(|(position, at)| (self.partition, position, at)).collect(),
            attempts: batch.attempts,
            memories: batch.memories.into_iter().map(|(key, body)| Remembered { key, body }).collect(),
        }
    }

    /// A settlement could not be saved: it goes into the next one, below whatever happened since.
    pub fn unsave(&mut self, settlement: Settlement) {
        let newer = std::mem::take(&mut self.batch);
        self.batch.events = settlement.attempts.len().max(1) + newer.events;
        self.batch.moved = newer.moved || !settlement.progress.is_empty();
        self.batch.attempts = settlement.attempts;
        self.batch.parked = settlement.parked.into_iter().map(|row| (row.position, row)).collect();
        self.batch.unparked = settlement.unparked.into_iter().map(|(_, position)| position).collect();
        self.batch.passed = settlement.passed.into_iter().map(|(_, position, at)| (position, at)).collect();
        for (position, row) in newer.parked {
            self.batch.unparked.remove(&position);
            self.batch.passed.remove(&position);
            self.batch.parked.insert(position, row);
        }
        for position in newer.unparked {
            self.batch.parked.remove(&position);
            self.batch.passed.remove(&position);
            self.batch.unparked.insert(position);
        }
        self.batch.passed.extend(newer.passed);
        self.batch.attempts.extend(newer.attempts);
        self.batch.memories = settlement.memories.into_iter().map(|one| (one.key, one.body)).collect();
        self.batch.memories.extend(newer.memories);
    }
}

impl Entry {
    /// When an attempt that holds the cursor is parked.
    fn overdue_at(&self) -> Option<Timestamp> {
        match self.on_wire.as_ref().map(|since| since.load(Ordering::Relaxed)) {
            None | Some(0) => None,
            Some(since) => Some(Timestamp::from_millis_clamped(since).plus(OPEN_FOR)),
        }
    }
}
