//! When a failed delivery is tried again, and when it is given up. Pure: chance is passed in.
//!
//! Delays grow by a table and are drawn from nearly all of the step ("full jitter"), so that events which failed
//! together do not come back together. A delivery is given up by time, not by count: bad luck with the jitter cannot
//! shorten it. And only when it was really tried: time in which nothing could be (the breaker was open, the
//! destination was held) gives nothing up.

use paidup_lifecycle::time::Timestamp;
use std::time::Duration;

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

/// From the first failure on, deliveries are tried for as long as their destination says, and for at least so many
/// attempts. In the usual 75 hours bad luck with the jitter alone never makes it fewer than 19.
const MIN_TRIES: u32 = 10;

/// The longest delay after the first, second, ... failed attempt; the last one repeats.
const STEPS: [Duration; 11] = [
    Duration::from_secs(5),
    Duration::from_secs(15),
    minutes(1),
    minutes(3),
    minutes(10),
    minutes(30),
    minutes(60),
    minutes(2 * 60),
    minutes(4 * 60),
    minutes(6 * 60),
    minutes(8 * 60),
];

/// The most that a far side may make us wait: it may be mistaken, and we would rather ask again.
const MAX_RETRY_AFTER: Duration = minutes(24 * 60);

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Try again then.
    TryAt(Timestamp),
    /// It has been tried for long enough.
    GiveUp,
}

/// After a failed attempt. `attempts`: those that failed so far, this one included, from 1. `wish`: what the far side
/// asked for, which is waited for at least.
#[must_use]
pub fn after_failure(
    attempts: u32,
    first_failed_at: Timestamp,
    now: Timestamp,
    keep_trying: Duration,
    wish: Option<Duration>,
    chance: u64,
) -> Next {
    if is_late(first_failed_at, now, keep_trying) && attempts >= MIN_TRIES {
        return Next::GiveUp;
    }
    let step = STEPS[(attempts.max(1) as usize - 1).min(STEPS.len() - 1)];
    // From a tenth of the step on: chance must not make a hammer of us.
    let drawn = step / 10 + share(step - step / 10, chance);
    Next::TryAt(now.plus(drawn.max(bounded(wish, chance))))
}

/// Whether a delivery has been tried for so long that a refusal counts as a failure: what does not count would go on for
/// ever.
#[must_use]
pub fn is_late(first_failed_at: Timestamp, now: Timestamp, keep_trying: Duration) -> bool {
    now.since(first_failed_at) >= keep_trying
}

/// After a refusal that is no failure (a rate limit): as long as asked, and a little more, so that not everybody comes
/// back in the same instant.
#[must_use]
pub fn after_refusal(now: Timestamp, wish: Option<Duration>, chance: u64) -> Timestamp {
    now.plus(bounded(Some(wish.unwrap_or(STEPS[0])), chance))
}

/// The wish within bounds, and up to a tenth more.
fn bounded(wish: Option<Duration>, chance: u64) -> Duration {
    let wish = wish.unwrap_or_default().min(MAX_RETRY_AFTER);
    wish + share(wish / 10, chance)
}

/// A part of `span`: all of it when `chance` is all ones.
fn share(span: Duration, chance: u64) -> Duration {
    let nanos = (span.as_nanos() * u128::from(chance)) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEEP_TRYING: Duration = paidup_store::records::DEFAULT_KEEP_TRYING;

    fn start() -> Timestamp {
        "2026-01-02T18:00:00Z".parse().unwrap()
    }

    /// Lets every attempt fail until the delivery is given up; the moments of the attempts.
    fn life(mut chance: impl FnMut() -> u64) -> Vec<Timestamp> {
        let mut tried = vec![start()];
        loop {
            let now = *tried.last().unwrap();
            match after_failure(u32::try_from(tried.len()).unwrap(), start(), now, KEEP_TRYING, None, chance()) {
                Next::TryAt(at) => tried.push(at),
                Next::GiveUp => return tried,
            }
        }
    }

    #[test]
    fn delays_grow_by_the_table_and_stay_inside_their_step() {
        let cases = [
            ("first, least", 1, 0, 500),
            ("first, most", 1, u64::MAX, 4_999),
            ("second, middle", 2, u64::MAX / 2, 8_249),
            ("third, most", 3, u64::MAX, 59_999),
            ("last of the table", 11, u64::MAX, 8 * 3_600_000 - 1),
            ("beyond the table", 500, u64::MAX, 8 * 3_600_000 - 1),
            ("no attempt counts as the first", 0, 0, 500),
        ];
        for (name, attempts, chance, ms) in cases {
            let expected = Next::TryAt(start().plus(Duration::from_millis(ms)));
            assert_eq!(after_failure(attempts, start(), start(), KEEP_TRYING, None, chance), expected, "{name}");
        }
    }

    #[test]
    fn a_wish_is_waited_for_within_bounds() {
        let hours = |count: u64| Duration::from_secs(3600 * count);
        let cases = [
            ("longer than the step", 1, hours(1), hours(1)),
            ("shorter than the step", 11, Duration::from_secs(1), hours(8) / 10),
            ("beyond all reason", 1, hours(1_000), hours(24)),
        ];
        for (name, attempts, wish, expected) in cases {
            let next = after_failure(attempts, start(), start(), KEEP_TRYING, Some(wish), 0);
            assert_eq!(next, Next::TryAt(start().plus(expected)), "{name}");
        }
        let refused = after_refusal(start(), Some(Duration::from_secs(10)), u64::MAX);
        assert_eq!(refused, start().plus(Duration::from_millis(10_999)));
    }

    #[test]
    fn it_is_given_up_after_75_hours_that_were_used() {
        let late = start().plus(KEEP_TRYING);
        let early = late.minus(Duration::from_millis(1));
        let cases = [
            ("late and tried", 10, late, true),
            ("late and hardly tried: the breaker was open", 9, late, false),
            ("tried often and early", 500, early, false),
        ];
        for (name, attempts, now, gives_up) in cases {
            let next = after_failure(attempts, start(), now, KEEP_TRYING, None, 0);
            assert_eq!(next == Next::GiveUp, gives_up, "{name}");
            assert_eq!(is_late(start(), now, KEEP_TRYING), now == late, "{name}");
        }
        let hour = Duration::from_secs(3600);
        assert_eq!(
            after_failure(10, start(), start().plus(hour), hour, None, 0),
            Next::GiveUp,
            "as the destination says"
        );
    }

    proptest! {
        #[test]
        fn whatever_chance_says_it_is_tried_for_75_hours_and_not_for_ever(seed in any::<u64>()) {
            let mut state = seed;
            let tried = life(|| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                state
            });
            let total = tried.last().unwrap().since(start());
            prop_assert!(total >= KEEP_TRYING, "given up after {total:?}");
            prop_assert!(total <= KEEP_TRYING + STEPS[STEPS.len() - 1]);
            prop_assert!(tried.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }

    #[test]
    fn the_extremes_of_chance_bound_the_number_of_attempts() {
        let expected_total: Duration = life(|| u64::MAX / 2).windows(2).map(|pair| pair[1].since(pair[0])).sum();
        assert!(expected_total >= KEEP_TRYING);
        assert_eq!((life(|| u64::MAX).len(), life(|| 0).len()), (19, 104));
    }
}
