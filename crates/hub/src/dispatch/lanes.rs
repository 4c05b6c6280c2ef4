//! What must stay in order stays in order: each lane hands out its events one after another. Pure.
//!
//! A lane is a purchase or a customer (or a single event, when nothing needs an order). Different lanes run side by side,
//! earliest place in the log first. A lane whose first event waits for its next try waits as a whole. The module knows
//! places and times, not events, cursors or answers.

use paidup_destinations::LoggedEvent;
use paidup_lifecycle::time::Timestamp;
use paidup_store::records::LaneOrder;
use std::collections::{BTreeSet, HashMap, VecDeque};

/// The name of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(pub [u8; 16]);

impl Lane {
    /// The lane of an event.
    #[must_use]
    pub fn of(order: LaneOrder, event: &LoggedEvent) -> Lane {
        match order {
            LaneOrder::Purchase => Lane(event.event.purchase.id.0),
            LaneOrder::Customer => Lane(event.event.customer.id.0),
            LaneOrder::None => Lane::alone(event.position),
        }
    }

    /// The name as kept; one that is not ours makes a lane of its own.
    #[must_use]
    pub fn from_kept(name: &[u8], position: u64) -> Lane {
        name.try_into().map_or_else(|_| Lane::alone(position), Lane)
    }

    /// A lane that holds one event only.
    #[must_use]
    pub fn alone(position: u64) -> Lane {
        Lane(u128::from(position).to_be_bytes())
    }
}

/// All lanes of one destination in one partition.
#[derive(Debug, Default)]
pub struct Lanes {
    lanes: HashMap<Lane, Queue>,
    /// Lanes whose first event may go now, by its place.
    ready: BTreeSet<(u64, Lane)>,
    /// Lanes whose first event may go later.
    waiting: BTreeSet<(Timestamp, u64, Lane)>,
}

#[derive(Debug, Default)]
struct Queue {
    /// Places, ascending (behind those in flight), each with the time before which it may not go.
    places: VecDeque<(u64, Timestamp)>,
    /// How many of the first are in flight.
    flying: usize,
    /// How many of those came back, while others of the same delivery are not decided yet.
    back: usize,
}

impl Queue {
    /// The lane lands when everything that is still in flight came back. What was inserted meanwhile had to go behind;
    /// now it takes its place in the log's order.
    fn land(&mut self) {
        if self.back == self.flying {
            if self.back > 0 {
                self.places.make_contiguous().sort_unstable();
            }
            (self.flying, self.back) = (0, 0);
        }
    }
}

impl Lanes {
    /// Adds an event to its lane, in log order, behind what is in flight.
    pub fn insert(&mut self, lane: Lane, position: u64, not_before: Timestamp) {
        self.unlist(lane);
        let queue = self.lanes.entry(lane).or_default();
        let place = match queue.places.back() {
            Some((last, _)) if *last > position => {
                let behind = queue.places.iter().skip(queue.flying).take_while(|(place, _)| *place < position).count();
                queue.flying + behind
            }
            Some(_) | None => queue.places.len(),
        };
        queue.places.insert(place, (position, not_before));
        self.list(lane);
    }

    /// Takes the earliest event that may go, and up to `most` in all in log order, as long as `joins` says that an event
    /// may share a delivery. All are in flight until [`Lanes::settle`] or [`Lanes::put_back`].
    pub fn take(&mut self, now: Timestamp, most: usize, joins: impl Fn(u64) -> bool) -> Vec<(Lane, u64)> {
        self.promote(now);
        let mut taken: Vec<(Lane, u64)> = Vec::new();
        while taken.len() < most {
            let Some(&(position, lane)) = self.ready.first() else { break };
            let joined = joins(position);
            if !taken.is_empty() && !joined {
                break;
            }
            self.ready.remove(&(position, lane));
            taken.push((lane, position));
            let Some(queue) = self.lanes.get_mut(&lane) else { break };
            queue.flying += 1;
            if !joined {
                break;
            }
            // The next one of the same lane may come along in the same delivery.
            if let Some(&(next, not_before)) = queue.places.get(queue.flying)
                && not_before <= now
            {
                self.ready.insert((next, lane));
            }
        }
        for (lane, _) in &taken {
            self.unlist(*lane);
        }
        taken
    }

    /// Takes the earliest event that may go, and with it up to `most` in all of those that follow it in its lane, as long
    /// as `joins` says that one may share a delivery with the first.
    pub fn take_alike(&mut self, now: Timestamp, most: usize, joins: impl Fn(u64, u64) -> bool) -> Vec<(Lane, u64)> {
        self.promote(now);
        let Some((first, lane)) = self.ready.pop_first() else { return Vec::new() };
        let Some(queue) = self.lanes.get_mut(&lane) else { return Vec::new() };
        queue.flying = 1;
        let mut taken = vec![(lane, first)];
        while taken.len() < most
            && let Some(&(next, not_before)) = queue.places.get(queue.flying)
            && not_before <= now
            && joins(first, next)
        {
            queue.flying += 1;
            taken.push((lane, next));
        }
        taken
    }

    /// Takes the newest lane's event that may go: a probe.
    pub fn take_newest(&mut self, now: Timestamp) -> Option<(Lane, u64)> {
        self.promote(now);
        let (position, lane) = self.ready.pop_last()?;
        if let Some(queue) = self.lanes.get_mut(&lane) {
            queue.flying += 1;
        }
        Some((lane, position))
    }

    /// An event is done with: its lane goes on.
    pub fn settle(&mut self, lane: Lane, position: u64) {
        self.unlist(lane);
        if let Some(queue) = self.lanes.get_mut(&lane)
            && let Some(index) = queue.places.iter().position(|(place, _)| *place == position)
        {
            queue.places.remove(index);
            queue.flying -= usize::from(index < queue.flying);
            queue.land();
            if queue.places.is_empty() {
                self.lanes.remove(&lane);
            }
        }
        self.list(lane);
    }

    /// An event in flight came back: it goes first again, not before then.
    pub fn put_back(&mut self, lane: Lane, position: u64, not_before: Timestamp) {
        self.unlist(lane);
        if let Some(queue) = self.lanes.get_mut(&lane)
            && let Some(index) = queue.places.iter().position(|(place, _)| *place == position)
        {
            queue.places[index].1 = not_before;
            queue.back += usize::from(index < queue.flying);
            queue.land();
        }
        self.list(lane);
    }

    /// A person wants this one now. Its lane's order stays.
    pub fn hasten(&mut self, lane: Lane, position: u64) {
        self.unlist(lane);
        if let Some(queue) = self.lanes.get_mut(&lane) {
            for (place, not_before) in queue.places.iter_mut().skip(queue.flying) {
                *not_before = Timestamp::MIN;
                if *place == position {
                    break;
                }
            }
        }
        self.list(lane);
    }

    /// A lane goes on without an event, which waits by itself from then on. Answers its new lane; `None`: it is in flight,
    /// not there, or alone already.
    pub fn pass(&mut self, lane: Lane, position: u64) -> Option<Lane> {
        let alone = Lane::alone(position);
        let queue = self.lanes.get(&lane).filter(|_| lane != alone)?;
        let index = queue.places.iter().position(|(place, _)| *place == position)?;
        if index < queue.flying {
            return None;
        }
        self.unlist(lane);
        let not_before = self.lanes.get_mut(&lane)?.places.remove(index)?.1;
        if self.lanes.get(&lane).is_some_and(|queue| queue.places.is_empty()) {
            self.lanes.remove(&lane);
        }
        self.list(lane);
        self.insert(alone, position, not_before);
        Some(alone)
    }

    /// The place of the lane's first event.
    #[must_use]
    pub fn head(&self, lane: Lane) -> Option<u64> {
        self.lanes.get(&lane)?.places.front().map(|(place, _)| *place)
    }

    /// Before when an event may not go; `None`: it may, or is in flight.
    #[must_use]
    pub fn not_before(&self, lane: Lane, position: u64) -> Option<Timestamp> {
        let places = &self.lanes.get(&lane)?.places;
        places.iter().find(|(place, _)| *place == position).map(|(_, at)| *at).filter(|at| *at > Timestamp::MIN)
    }

    /// Lanes that may go at `now`.
    pub fn ready(&mut self, now: Timestamp) -> usize {
        self.promote(now);
        self.ready.len()
    }

    /// When the next lane may go that may not go now.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.waiting.first().map(|(at, _, _)| *at)
    }

    fn promote(&mut self, now: Timestamp) {
        while let Some(&(at, position, lane)) = self.waiting.first() {
            if at > now {
                break;
            }
            self.waiting.pop_first();
            self.ready.insert((position, lane));
        }
    }

    /// Removes a lane from the lists by whatever stands in them for it.
    fn unlist(&mut self, lane: Lane) {
        if let Some(queue) = self.lanes.get(&lane)
            && let Some(&(position, not_before)) = queue.places.get(queue.flying)
        {
            self.ready.remove(&(position, lane));
            self.waiting.remove(&(not_before, position, lane));
        }
    }

    /// Lists a lane unless it is in flight.
    fn list(&mut self, lane: Lane) {
        if let Some(queue) = self.lanes.get(&lane)
            && queue.flying == 0
            && let Some(&(position, not_before)) = queue.places.front()
        {
            self.waiting.insert((not_before, position, lane));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(ms: u64) -> Timestamp {
        Timestamp::default().plus(Duration::from_millis(ms))
    }

    fn lane(name: u8) -> Lane {
        Lane([name; 16])
    }

    fn filled(places: &[(u8, u64)]) -> Lanes {
        let mut lanes = Lanes::default();
        for (name, position) in places {
            lanes.insert(lane(*name), *position, at(0));
        }
        lanes
    }

    fn positions(taken: Vec<(Lane, u64)>) -> Vec<u64> {
        taken.into_iter().map(|(_, position)| position).collect()
    }

    #[test]
    fn lanes_run_side_by_side_and_each_one_after_another() {
        let mut lanes = filled(&[(1, 1), (1, 2), (2, 3), (1, 4), (3, 5)]);
        let mut one = || positions(lanes.take(at(0), 1, |_| true));
        assert_eq!([one(), one(), one(), one()], [vec![1], vec![3], vec![5], vec![]]);
        lanes.settle(lane(1), 1);
        assert_eq!(positions(lanes.take(at(0), 1, |_| true)), [2]);
        lanes.put_back(lane(1), 2, at(100));
        assert!(lanes.take(at(99), 1, |_| true).is_empty());
        assert_eq!(lanes.next_due(), Some(at(100)));
        assert_eq!(positions(lanes.take(at(100), 1, |_| true)), [2]);
        lanes.settle(lane(1), 2);
        assert_eq!(positions(lanes.take(at(100), 1, |_| true)), [4]);
    }

    #[test]
    fn several_are_taken_in_log_order_across_lanes() {
        // (name, most, those that go alone, first taken, then taken)
        let cases = [
            ("all", 10, vec![], vec![1, 2, 3, 4, 5], vec![]),
            ("some", 3, vec![], vec![1, 2, 3], vec![5]),
            ("up to one that goes alone", 10, vec![3], vec![1, 2], vec![3]),
            ("one that goes alone", 10, vec![1], vec![1], vec![3, 5]),
        ];
        for (name, most, alone, first, second) in cases {
            let mut lanes = filled(&[(1, 1), (1, 2), (2, 3), (1, 4), (3, 5)]);
            let joins = |position: u64| !alone.contains(&position);
            assert_eq!(positions(lanes.take(at(0), most, joins)), first, "{name}");
            assert_eq!(positions(lanes.take(at(0), most, joins)), second, "{name}, then");
        }
    }

    #[test]
    fn those_that_are_alike_are_taken_from_one_lane() {
        let mut lanes = filled(&[(1, 1), (2, 2), (1, 3), (1, 4), (1, 5)]);
        let alike = |first: u64, next: u64| first + next != 6;
        assert_eq!(positions(lanes.take_alike(at(0), 10, alike)), [1, 3, 4], "up to the first that is not");
        assert_eq!(positions(lanes.take_alike(at(0), 10, alike)), [2]);
        assert_eq!(positions(lanes.take_alike(at(0), 10, alike)), [0_u64; 0], "the lane is in flight");
        for place in [1, 3] {
            lanes.settle(lane(1), place);
        }
        lanes.put_back(lane(1), 4, at(100));
        assert_eq!(lanes.ready(at(99)), 0, "it waits, and what follows with it");
        assert_eq!(positions(lanes.take_alike(at(100), 1, |_, _| true)), [4], "at most so many");
        lanes.settle(lane(1), 4);
        assert_eq!(positions(lanes.take_alike(at(100), 10, |_, _| true)), [5]);
    }

    #[test]
    fn a_delivery_of_several_frees_its_lanes_only_when_all_are_decided() {
        let mut lanes = filled(&[(1, 1), (1, 2), (1, 3)]);
        assert_eq!(positions(lanes.take(at(0), 2, |_| true)), [1, 2]);
        lanes.settle(lane(1), 1);
        assert_eq!(lanes.ready(at(0)), 0);
        lanes.put_back(lane(1), 2, at(0));
        assert_eq!(positions(lanes.take(at(0), 1, |_| true)), [2]);
    }

    #[test]
    fn an_older_event_goes_behind_what_is_in_flight_and_before_the_rest() {
        let mut lanes = filled(&[(1, 5), (1, 6)]);
        assert_eq!(positions(lanes.take(at(0), 1, |_| true)), [5]);
        lanes.insert(lane(1), 2, at(0));
        assert_eq!(lanes.ready(at(0)), 0);
        lanes.settle(lane(1), 5);
        assert_eq!(positions(lanes.take(at(0), 1, |_| true)), [2]);
        lanes.settle(lane(1), 2);
        assert_eq!(positions(lanes.take(at(0), 1, |_| true)), [6]);
    }

    #[test]
    fn a_lane_that_waits_can_be_hastened() {
        let mut lanes = filled(&[(1, 1), (1, 2)]);
        lanes.take(at(0), 1, |_| true);
        lanes.put_back(lane(1), 1, at(5_000));
        lanes.hasten(lane(1), 2);
        assert_eq!(positions(lanes.take(at(0), 1, |_| true)), [1]);
    }

    #[test]
    fn a_lane_goes_on_without_an_event_that_is_passed() {
        let mut lanes = filled(&[(1, 1), (1, 2), (1, 3), (2, 4)]);
        assert_eq!(positions(lanes.take(at(0), 1, |_| true)), [1]);
        assert_eq!(lanes.pass(lane(1), 1), None, "in flight");
        lanes.put_back(lane(1), 1, at(5_000));
        assert_eq!(lanes.pass(lane(1), 1), Some(Lane::alone(1)));
        assert_eq!((lanes.pass(lane(1), 1), lanes.pass(Lane::alone(1), 1)), (None, None), "once");
        assert_eq!(lanes.not_before(Lane::alone(1), 1), Some(at(5_000)));
        assert_eq!(positions(lanes.take(at(0), 1, |_| true)), [2]);
        // One in the middle, while the lane's first is in flight.
        assert_eq!(lanes.pass(lane(1), 3), Some(Lane::alone(3)));
        assert_eq!(positions(lanes.take(at(0), 9, |_| true)), [3, 4]);
        lanes.settle(lane(1), 2);
        assert_eq!(positions(lanes.take(at(5_000), 9, |_| true)), [1]);
        lanes.settle(Lane::alone(1), 1);
        assert_eq!((lanes.ready(at(9_000)), lanes.next_due()), (0, None));
    }

    #[test]
    fn a_probe_takes_the_newest_lane() {
        let mut lanes = filled(&[(1, 1), (2, 2), (1, 3)]);
        assert_eq!(lanes.take_newest(at(0)), Some((lane(2), 2)));
        assert_eq!(lanes.take_newest(at(0)), Some((lane(1), 1)));
        assert_eq!(lanes.take_newest(at(0)), None);
    }
}
