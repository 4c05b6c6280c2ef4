//! The newest events, in memory, shared by all dispatchers: an event is read from the database only by who is behind.
//!
//! The store's writer fills it, in log order and before it answers (`paidup_store::Commits::listen`), so it has no gaps.
//! Bounded in number and bytes. It does not filter and does not know who reads.

use paidup_destinations::LoggedEvent;
use parking_lot::RwLock;
use std::collections::{BTreeMap, VecDeque};
use tokio::sync::watch;

/// Most events that are kept: as many as one destination may have ahead of its cursor (architecture.md section 4).
pub const MAX_EVENTS: usize = 10_000;
/// Most bytes of JSON that are kept; with what was read from it an event takes about three times that.
pub const MAX_BYTES: usize = 12 * 1024 * 1024;

/// The newest events of every partition.
pub struct Recent {
    partitions: RwLock<BTreeMap<u16, Window>>,
    heads: watch::Sender<u64>,
}

#[derive(Default)]
struct Window {
    events: VecDeque<LoggedEvent>,
    bytes: usize,
}

/// What is in memory after a position.
#[derive(Debug)]
pub enum Page {
    /// These follow it, in order, without a gap. Empty: there is nothing newer.
    Events(Vec<LoggedEvent>),
    /// Older than the window (or nothing was written since the start): read the database.
    Behind,
}

impl Default for Recent {
    fn default() -> Self {
        Recent { partitions: RwLock::new(BTreeMap::new()), heads: watch::Sender::new(0) }
    }
}

impl Recent {
    /// Takes in what was committed, in log order.
    pub fn push(&self, events: &[LoggedEvent]) {
        if events.is_empty() {
            return;
        }
        let mut partitions = self.partitions.write();
        for event in events {
            partitions.entry(event.partition).or_default().push(event.clone());
        }
        drop(partitions);
        self.heads.send_modify(|told| *told += events.len() as u64);
    }

    /// Up to `limit` events after `position`.
    #[must_use]
    pub fn after(&self, partition: u16, position: u64, limit: usize) -> Page {
        let partitions = self.partitions.read();
        let Some(first) = partitions.get(&partition).and_then(|window| window.events.front()) else {
            return Page::Behind;
        };
        if position + 1 < first.position {
            return Page::Behind;
        }
        let skip = usize::try_from(position + 1 - first.position).unwrap_or(usize::MAX);
        let events = partitions.get(&partition).map(|window| &window.events);
        Page::Events(events.into_iter().flat_map(|events| events.iter().skip(skip).take(limit).cloned()).collect())
    }

    /// The last position that was written; `None`: nothing was since the start.
    #[must_use]
    pub fn head(&self, partition: u16) -> Option<u64> {
        self.partitions.read().get(&partition)?.events.back().map(|event| event.position)
    }

    /// Changes with every push; the value counts events pushed since the start and is good for nothing but noticing.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.heads.subscribe()
    }
}

impl Window {
    fn push(&mut self, event: LoggedEvent) {
        // Another node may have written in between: what is kept must not have a gap.
        if self.events.back().is_some_and(|last| last.position + 1 != event.position) {
            self.events.clear();
            self.bytes = 0;
        }
        self.bytes += event.json.len();
        self.events.push_back(event);
        while self.events.len() > MAX_EVENTS || (self.bytes > MAX_BYTES && self.events.len() > 1) {
            if let Some(oldest) = self.events.pop_front() {
                self.bytes -= oldest.json.len();
            }
        }
    }
}
