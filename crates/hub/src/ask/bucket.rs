//! How many calls a minute a store allows. Pure: time is a parameter.
//!
//! A bucket holds a sixth of a minute's calls and fills with the rest over a minute, so no minute, wherever it begins,
//! has more calls than allowed, and a quiet store can be asked a burst at once.

use paidup_lifecycle::time::Timestamp;
use std::time::Duration;

/// One call, in the bucket's unit: milliseconds times calls a minute.
const CALL: u64 = 60_000;
/// The part of a minute's calls that may be made at once.
const BURST: u32 = 6;

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// A question or lookup that somebody waits for.
    Live,
    /// Work that can wait: half a burst is left to the others.
    Spare,
}

/// A store's allowance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bucket {
    a_minute: u32,
    burst: u64,
    fills: u64,
    level: u64,
    at: Timestamp,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(a_minute: u32, now: Timestamp) -> Bucket {
        let burst = (a_minute / BURST).max(1);
        let fills = u64::from(a_minute.saturating_sub(burst).max(1));
        let burst = u64::from(burst);
        Bucket { a_minute, burst, fills, level: burst * CALL, at: now }
    }

    /// Whether it is for so many calls a minute.
    pub(super) fn allows(&self, a_minute: u32) -> bool {
        self.a_minute == a_minute
    }

    /// Takes a call, or says when there will be one.
    pub(super) fn take(&mut self, turn: Turn, now: Timestamp) -> Result<(), Timestamp> {
        let passed = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        self.level = self.level.saturating_add(passed.saturating_mul(self.fills)).min(self.burst * CALL);
        self.at = self.at.max(now);
        let left = match turn {
            Turn::Live => 0,
            Turn::Spare => self.burst / 2,
        };
        let needed = (left + 1) * CALL;
        if self.level < needed {
            let wait = (needed - self.level).div_ceil(self.fills);
            return Err(now.plus(Duration::from_millis(wait)));
        }
        self.level -= CALL;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::default().plus(Duration::from_millis(ms))
    }

    #[test]
    fn a_burst_goes_at_once_and_the_rest_at_the_stores_pace() {
        // (calls a minute, at once, then one every so many milliseconds)
        for (a_minute, burst, every) in [(3_000, 500, 24), (60, 10, 1_200), (6, 1, 12_000), (1, 1, 60_000)] {
            let mut bucket = Bucket::new(a_minute, at(0));
            let made = (0..).take_while(|_| bucket.take(Turn::Live, at(0)).is_ok()).count();
            assert_eq!(made, burst, "{a_minute}");
            assert_eq!(bucket.take(Turn::Live, at(0)), Err(at(every)), "{a_minute}");
            assert_eq!(bucket.take(Turn::Live, at(every)), Ok(()), "{a_minute}");
        }
    }

    #[test]
    fn work_that_can_wait_leaves_half_a_burst() {
        let mut bucket = Bucket::new(60, at(0));
        let spare = (0..).take_while(|_| bucket.take(Turn::Spare, at(0)).is_ok()).count();
        let live = (0..).take_while(|_| bucket.take(Turn::Live, at(0)).is_ok()).count();
        assert_eq!((spare, live), (5, 5));
        assert_eq!(bucket.take(Turn::Spare, at(1_000)), Err(at(7_200)), "the others come first");
        // A bucket that holds one call cannot be divided.
        assert_eq!(Bucket::new(6, at(0)).take(Turn::Spare, at(0)), Ok(()));
    }

    proptest! {
        #[test]
        fn no_minute_has_more_calls_than_allowed(a_minute in 1_u32..80, steps in prop::collection::vec(0_u64..4_000, 1..400)) {
            let mut bucket = Bucket::new(a_minute, at(0));
            let (mut now, mut made) = (0, Vec::new());
            for step in steps {
                now += step;
                match bucket.take(Turn::Live, at(now)) {
                    Ok(()) => made.push(now),
                    Err(free) => prop_assert!(free > at(now)),
                }
            }
            for window in made.windows(a_minute as usize + 1) {
                prop_assert!(window[a_minute as usize] - window[0] >= 60_000 - 1_000 / u64::from(a_minute), "{window:?}");
            }
        }
    }
}
