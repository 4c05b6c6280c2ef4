//! A run one notification at a time: the whole way of each, with what goes wrong on it, is laid out before the first is sent.

use crate::calendar::{Calendar, Lived};
use crate::chance::Chance;
use crate::edge::Clock;
use crate::lives::Told;
use crate::traffic::{Disorders, FATES, Fate, MAX_WINDOW, Single};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Tells the numbers of shuffles from those of fates.
const SHUFFLES: u64 = 0x5AFF_1E5A_FF1E_5AFF;

/// How a notification goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It is sent.
    Sent,
    /// It is sent once more.
    Again,
    /// It never arrives.
    Dropped,
}

/// One notification at its moment, in milliseconds since 1970.
#[derive(Debug)]
pub(super) struct Step {
    at: i64,
    told: Told,
    way: Way,
}

/// A run one notification at a time.
pub struct Walk {
    steps: VecDeque<Step>,
    clock: Clock,
    sender: Single,
}

impl Walk {
    pub(super) fn new(steps: VecDeque<Step>, clock: Clock, sender: Single) -> Walk {
        Walk { steps, clock, sender }
    }

    /// When the next notification comes, in milliseconds since 1970. `None`: there is no more.
    pub fn next_at(&mut self) -> Option<i64> {
        self.steps.front().map(|step| step.at)
    }

    /// Moves the clock there and sends it. `None`: there is no more; false: it was not accepted.
    pub async fn step(&mut self) -> Option<(Told, Way, bool)> {
        let Step { at, told, way } = self.steps.pop_front()?;
        self.clock.advance_to(at);
        let accepted = match way {
            Way::Sent | Way::Again => self.sender.send(told.clone(), way == Way::Again).await,
            Way::Dropped => {
                self.sender.drop_it(&told);
                true
            }
        };
        Some((told, way, accepted))
    }
}

/// A purchase's notifications that are held back, with what becomes of each.
type Held = Vec<(Told, Fate)>;

/// Who is sent when.
pub(super) fn steps(
    population: impl Iterator<Item = Told>,
    calendar: Calendar,
    disorders: &Disorders,
    seed: u64,
) -> VecDeque<Step> {
    let mut way = Layout { calendar, chance: Chance::new(seed ^ SHUFFLES, 0), steps: Vec::new() };
    let mut held: BTreeMap<Arc<str>, Held> = BTreeMap::new();
    let mut last: Lived = 0;
    for (number, told) in population.enumerate() {
        last = told.at;
        let disorder = disorders.of(told.store());
        let fate = disorder.fate(&mut Chance::new(seed ^ FATES, number as u64));
        let window = disorder.shuffle_window.min(MAX_WINDOW);
        if told.is_silent() {
            way.send(told.at, told, Fate::default());
        } else if fate.dropped {
            way.steps.push(Step { at: calendar.stamp(told.at), told, way: Way::Dropped });
        } else if fate.late {
            let comes = told.at.saturating_add(disorder.late_by);
            way.send(comes, told, fate);
        } else if window >= 2 {
            let of_purchase = held.entry(Arc::clone(&told.purchase)).or_default();
            of_purchase.push((told, fate));
            if of_purchase.len() >= window {
                let full = std::mem::take(of_purchase);
                way.shuffle(last, full);
            }
        } else {
            let (at, before) = (told.at, held.remove(&told.purchase));
            if fate.swapped && before.is_none() {
                held.insert(Arc::clone(&told.purchase), vec![(told, fate)]);
            } else {
                way.send(at, told, fate);
                before.into_iter().flatten().for_each(|(told, fate)| way.send(at, told, fate));
            }
        }
    }
    held.into_values().for_each(|rest| way.shuffle(last, rest));
    way.in_order()
}

struct Layout {
    calendar: Calendar,
    chance: Chance,
    steps: Vec<Step>,
}

impl Layout {
    fn send(&mut self, at: Lived, told: Told, fate: Fate) {
        let at = self.calendar.stamp(at);
        let again = fate.repeated.then(|| Step { at, told: told.clone(), way: Way::Again });
        self.steps.push(Step { at, told, way: Way::Sent });
        self.steps.extend(again);
    }

    /// In any order but the right one; what comes again comes after all others.
    fn shuffle(&mut self, at: Lived, mut held: Held) {
        for last in (1..held.len()).rev() {
            let other = usize::try_from(self.chance.below(last as u64 + 1)).unwrap_or(0);
            held.swap(last, other);
        }
        if held.len() > 1 && held.is_sorted_by_key(|(told, _)| told.ordinal) {
            held.rotate_left(1);
        }
        let at = self.calendar.stamp(at);
        let again: Vec<Told> = held.iter().filter(|(_, fate)| fate.repeated).map(|(told, _)| told.clone()).collect();
        self.steps.extend(held.into_iter().map(|(told, _)| Step { at, told, way: Way::Sent }));
        self.steps.extend(again.into_iter().map(|told| Step { at, told, way: Way::Again }));
    }

    /// No two at the same moment: what is asked because of each has a date of its own.
    fn in_order(mut self) -> VecDeque<Step> {
        self.steps.sort_by_key(|step| step.at);
        let mut free = i64::MIN;
        for step in &mut self.steps {
            step.at = step.at.max(free);
            free = step.at.saturating_add(1);
        }
        self.steps.into()
    }
}
