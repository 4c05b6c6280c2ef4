//! How often a source speaks, and when its silence is odd. Pure.
//!
//! Notifications come in bursts (a renewal is told by three), so what counts is when a burst begins. Shops sleep at night
//! and on Sundays: the longer gaps that are usual count beside the middle one.

use paidup_lifecycle::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// What follows within this time belongs to the same burst.
const BURST: Duration = Duration::from_secs(5 * 60);
/// Bursts that are remembered.
const MAX_BURSTS: usize = 64;
/// With fewer there is no habit.
const FEWEST: usize = 10;
/// Silence is odd when it is so many times as long as the middle gap, ...
const TIMES_THE_MIDDLE: u32 = 10;
/// ... and as one of the longest: one gap in twenty is longer than that.
const TIMES_A_LONG_ONE: u32 = 2;
/// It is never odd before this, ...
const SHORTEST: Duration = Duration::from_secs(3_600);
/// ... and always after this.
const LONGEST: Duration = Duration::from_secs(3 * 86_400);

/// When a source spoke.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Habit {
    /// The last time, in milliseconds.
    last: i64,
    /// When bursts began, oldest first.
    bursts: VecDeque<i64>,
}

impl Habit {
    /// It speaks.
    pub(crate) fn hear(&mut self, now: Timestamp) {
        let burst = i64::try_from(BURST.as_millis()).unwrap_or(i64::MAX);
        if self.bursts.back().is_none_or(|began| now.as_millis().saturating_sub(*began) >= burst) {
            if self.bursts.len() >= MAX_BURSTS {
                self.bursts.pop_front();
            }
            self.bursts.push_back(now.as_millis());
        }
        self.last = self.last.max(now.as_millis());
    }

    /// When it spoke last; `None`: never.
    pub(crate) fn last(&self) -> Option<Timestamp> {
        (!self.bursts.is_empty()).then(|| Timestamp::from_millis_clamped(self.last))
    }

    /// From when on its silence is odd, and how long its middle gap is; `None`: it has no habit yet.
    pub(crate) fn odd_from(&self) -> Option<(Timestamp, Duration)> {
        let mut gaps: Vec<u64> = self
            .bursts
            .iter()
            .zip(self.bursts.iter().skip(1))
            .map(|(one, next)| u64::try_from(next.saturating_sub(*one)).unwrap_or_default())
            .collect();
        if gaps.len() < FEWEST {
            return None;
        }
        gaps.sort_unstable();
        let middle = Duration::from_millis(*gaps.get(gaps.len() / 2)?);
        let long = Duration::from_millis(*gaps.get(gaps.len() * 19 / 20)?);
        let odd = (middle * TIMES_THE_MIDDLE).max(long * TIMES_A_LONG_ONE).clamp(SHORTEST, LONGEST);
        Some((self.last()?.plus(odd), middle))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60;
    const HOUR: u64 = 3_600;
    const DAY: u64 = 86_400;

    fn at(second: u64) -> Timestamp {
        Timestamp::default().plus(Duration::from_secs(second))
    }

    #[test]
    fn silence_is_odd_by_the_sources_own_habit() {
        let every = |seconds: u64, times: u64| (0..times).map(|n| n * seconds).collect::<Vec<u64>>();
        // Ten hours of work, one burst an hour, then the night.
        let days = (0..6).flat_map(|day| (0..10).map(move |hour| day * DAY + hour * HOUR)).collect::<Vec<u64>>();
        let bursts = (0..20).flat_map(|n| [n * 6 * HOUR, n * 6 * HOUR + 10, n * 6 * HOUR + 100]).collect::<Vec<u64>>();
        // (name, when it spoke, odd after)
        let table = [
            ("never", Vec::new(), None),
            ("too seldom to say", every(HOUR, 10), None),
            ("once an hour", every(HOUR, 30), Some(10 * HOUR)),
            ("all the time", every(10, 5_000), Some(HOUR)),
            ("once a day", every(DAY, 20), Some(3 * DAY)),
            ("once in ten minutes", every(10 * MINUTE, 30), Some(100 * MINUTE)),
            ("bursts count once", bursts, Some(60 * HOUR)),
            ("nights are usual", days, Some(30 * HOUR)),
        ];
        for (name, spoke, expected) in table {
            let mut habit = Habit::default();
            spoke.iter().for_each(|second| habit.hear(at(*second)));
            let last = at(spoke.last().copied().unwrap_or(0));
            let odd = habit.odd_from().map(|(from, _)| from.since(last).as_secs());
            assert_eq!(odd, expected, "{name}");
            assert_eq!(habit.last(), (!spoke.is_empty()).then_some(last), "{name}");
        }
    }

    #[test]
    fn it_follows_a_habit_that_changes_and_stays_small() {
        let mut habit = Habit::default();
        (0..100).for_each(|n| habit.hear(at(n * HOUR)));
        (0..100).for_each(|n| habit.hear(at(100 * HOUR + n * DAY)));
        assert_eq!(habit.odd_from().map(|(_, middle)| middle), Some(Duration::from_secs(DAY)));
        assert_eq!(habit.bursts.len(), MAX_BURSTS);
        let kept = serde_json::to_string(&habit).unwrap();
        assert_eq!(serde_json::from_str::<Habit>(&kept).unwrap(), habit);
    }
}
