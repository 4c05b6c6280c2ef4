//! Rate limits: what may be called now. Pure; shared by all destinations, because limits belong to vendors, accounts and
//! addresses, not to us.
//!
//! First guesses come from the destinations ([`Budgets::guess`]), truth from the vendor's answers ([`Budgets::learn`]).
//! What is learned narrows a guess and never widens it: headers have been wrong for hours. This module does not know any
//! vendor.

use paidup_destinations::{BudgetGuess, BudgetHint, BudgetKey};
use paidup_lifecycle::time::Timestamp;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// Budgets that are remembered; beyond it those that limit nothing at the moment are forgotten.
const MAX_KEYS: usize = 10_000;
/// A guess's window holds at most so many calls: each is remembered by its time.
const MAX_CALLS: u32 = 1_000;
/// Work that can wait leaves one call in so many of a window to others.
const KEPT: u32 = 5;
/// Two answers that differ by less in when the window ends speak of the same one: their way here takes its time, and some
/// vendors tell whole seconds.
const SAME_WINDOW: Duration = Duration::from_millis(1_200);
/// Nobody blocks us for longer by one answer.
const MAX_BLOCK: Duration = Duration::from_secs(24 * 3600);

/// All budgets.
#[derive(Debug, Default)]
pub struct Budgets {
    known: HashMap<BudgetKey, Budget>,
    /// Other names of budgets: a destination may learn only from an answer whose limit it is.
    joined: HashMap<BudgetKey, BudgetKey>,
}

#[derive(Debug, Default)]
struct Budget {
    /// So many calls in any window of this length.
    guess: Option<(u32, Duration)>,
    /// When the last `guess` calls were made.
    made: VecDeque<Timestamp>,
    /// Calls left until then, as the vendor said.
    told: Option<(u32, Timestamp)>,
}

impl Budgets {
    /// A first guess. Of two guesses for one budget the slower one holds.
    pub fn guess(&mut self, guess: &BudgetGuess) {
        let calls = guess.calls.clamp(1, MAX_CALLS);
        let key = self.joined.get(&guess.key).unwrap_or(&guess.key).clone();
        self.known.entry(key).or_default().assume(calls, guess.per);
    }

    /// Two names mean one budget. What was called and told under the first counts for the second from now on.
    pub fn join(&mut self, name: &BudgetKey, with: &BudgetKey) {
        if name == with || self.joined.get(name) == Some(with) {
            return;
        }
        if self.joined.len() >= MAX_KEYS {
            self.joined.clear();
        }
        // One that was joined with another has moved there; what was called before, was called there.
        let before = if self.joined.contains_key(name) { None } else { self.known.remove(name) };
        let guess = self.joined.get(name).and_then(|other| self.known.get(other)?.guess);
        let budget = self.known.entry(with.clone()).or_default();
        if let Some((calls, per)) = guess {
            budget.assume(calls, per);
        }
        budget.absorb(before.unwrap_or_default());
        self.joined.insert(name.clone(), with.clone());
    }

    /// Takes one call from each of `keys` when all of them have one; else takes none and answers when to ask again.
    pub fn take(&mut self, keys: &[BudgetKey], now: Timestamp) -> Result<(), Timestamp> {
        self.take_of(keys, now, |_| 0)
    }

    /// The same for work that can wait: a part of each budget ([`KEPT`]) stays for those who cannot. Whoever asks with
    /// `take` therefore goes first: what becomes free is theirs until they want nothing more.
    pub fn take_spare(&mut self, keys: &[BudgetKey], now: Timestamp) -> Result<(), Timestamp> {
        self.take_of(keys, now, Budget::kept)
    }

    fn take_of(&mut self, keys: &[BudgetKey], now: Timestamp, kept: impl Fn(&Budget) -> u32) -> Result<(), Timestamp> {
        let keys = || keys.iter().map(|key| self.joined.get(key).unwrap_or(key));
        let known = keys().filter_map(|key| self.known.get(key));
        let free = known.filter_map(|budget| budget.free_at(now, kept(budget))).max();
        if let Some(at) = free {
            return Err(at);
        }
        for key in keys() {
            if let Some(budget) = self.known.get_mut(key) {
                budget.record(now);
            }
        }
        Ok(())
    }

    /// A call that was taken at `began` is over. The far side counted it at some time in between, so from now on it counts
    /// as made now: else a call that was long on its way would make room too early.
    pub fn over(&mut self, keys: &[BudgetKey], began: Timestamp, now: Timestamp) {
        for key in keys {
            if let Some(budget) = self.known.get_mut(self.joined.get(key).unwrap_or(key)) {
                budget.date(began, now);
            }
        }
    }

    /// What a vendor's answer told. `remaining: None` or 0 blocks the budget until it resets.
    pub fn learn(&mut self, hint: &BudgetHint, now: Timestamp) {
        let key = self.joined.get(&hint.key).unwrap_or(&hint.key).clone();
        if self.known.len() >= MAX_KEYS && !self.known.contains_key(&key) {
            self.known.retain(|_, budget| budget.guess.is_some() || budget.told.is_some_and(|(_, until)| until > now));
        }
        let until = now.plus(hint.resets_after.min(MAX_BLOCK));
        let remaining = hint.remaining.unwrap_or(0);
        let budget = self.known.entry(key).or_default();
        budget.told = Some(match budget.told {
            Some((left, ends)) if ends > now && hint.remaining.is_some() => {
                let is_next = until > ends.plus(SAME_WINDOW.max(hint.resets_after / 2));
                match (is_next, ends > until.plus(SAME_WINDOW)) {
                    // The vendor's next window has begun before we thought: what is left of the old one says nothing.
                    // But whoever is blocked stays so until then.
                    (true, _) if left > 0 => (remaining, until),
                    (true, _) => (0, ends),
                    // A late answer about the window before.
                    (false, true) => (left, ends),
                    // Calls that are still under way were not counted yet when the answer was made: the smaller number
                    // holds.
                    (false, false) => (left.min(remaining), ends.max(until)),
                }
            }
            Some((0, ends)) => (0, ends.max(until)),
            Some(_) | None => (remaining, until),
        });
    }
}

impl Budget {
    /// Of two guesses the slower one holds.
    fn assume(&mut self, calls: u32, per: Duration) {
        if self.guess.is_none_or(|(known_calls, known_per)| per * known_calls > known_per * calls) {
            self.guess = Some((calls, per));
        }
    }

    /// What is known of the same budget under another name.
    fn absorb(&mut self, other: Budget) {
        if let Some((calls, per)) = other.guess {
            self.assume(calls, per);
        }
        self.made.extend(other.made);
        self.made.make_contiguous().sort_unstable();
        self.forget();
        self.told = match (self.told, other.told) {
            (Some((left, until)), Some((other_left, other_until))) => {
                Some((left.min(other_left), until.max(other_until)))
            }
            (one, other) => one.or(other),
        };
    }

    /// A call of `began` counts as one of `now`.
    fn date(&mut self, began: Timestamp, now: Timestamp) {
        if let Some(index) = self.made.iter().rposition(|made| *made == began) {
            self.made.remove(index);
            let place = self.made.partition_point(|made| *made <= now);
            self.made.insert(place, now);
        }
    }

    /// Keeps as many calls as decide when the next one may be made.
    fn forget(&mut self) {
        let most = self.guess.map_or(0, |(calls, _)| calls as usize);
        self.made.drain(..self.made.len().saturating_sub(most));
    }

    /// Calls that work which can wait leaves to others. Small budgets cannot be divided.
    fn kept(&self) -> u32 {
        self.guess.map_or(0, |(calls, _)| calls / KEPT)
    }

    /// When a call may be made that leaves `kept` calls to others; `None`: now.
    fn free_at(&self, now: Timestamp, kept: u32) -> Option<Timestamp> {
        let told = self.told.filter(|(left, until)| *left <= kept && *until > now).map(|(_, until)| until);
        let guessed = self.guess.and_then(|(calls, per)| {
            let most = calls.saturating_sub(kept).max(1) as usize;
            let oldest = self.made.get(self.made.len().checked_sub(most)?)?;
            Some(oldest.plus(per)).filter(|at| *at > now)
        });
        told.max(guessed)
    }

    fn record(&mut self, now: Timestamp) {
        if self.guess.is_some() {
            let place = self.made.partition_point(|made| *made <= now);
            self.made.insert(place, now);
            self.forget();
        }
        self.told = match self.told {
            Some((left, until)) if until > now => Some((left.saturating_sub(1), until)),
            Some(_) | None => None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::default().plus(Duration::from_millis(ms))
    }

    fn key(name: &str) -> BudgetKey {
        BudgetKey(name.into())
    }

    fn guess(name: &str, calls: u32, ms: u64) -> BudgetGuess {
        BudgetGuess { key: key(name), calls, per: Duration::from_millis(ms) }
    }

    fn hint(name: &str, remaining: Option<u32>, ms: u64) -> BudgetHint {
        BudgetHint { key: key(name), remaining, resets_after: Duration::from_millis(ms) }
    }

    #[test]
    fn unknown_budgets_limit_nothing_and_guesses_limit_every_window() {
        let mut budgets = Budgets::default();
        for _ in 0..1_000 {
            assert_eq!(budgets.take(&[key("unknown")], at(0)), Ok(()));
        }
        budgets.guess(&guess("hook", 2, 1_000));
        budgets.guess(&guess("hook", 50, 1_000));
        assert_eq!(budgets.take(&[key("hook")], at(0)), Ok(()));
        assert_eq!(budgets.take(&[key("hook")], at(600)), Ok(()));
        assert_eq!(budgets.take(&[key("hook")], at(700)), Err(at(1_000)));
        assert_eq!(budgets.take(&[key("hook")], at(1_000)), Ok(()));
        assert_eq!(budgets.take(&[key("hook")], at(1_000)), Err(at(1_600)));
    }

    #[test]
    fn one_empty_budget_leaves_the_others_untouched() {
        let mut budgets = Budgets::default();
        budgets.guess(&guess("global", 1, 1_000));
        budgets.learn(&hint("hook", Some(0), 5_000), at(0));
        assert_eq!(budgets.take(&[key("global"), key("hook")], at(0)), Err(at(5_000)));
        assert_eq!(budgets.take(&[key("global")], at(0)), Ok(()));
    }

    #[test]
    fn answers_narrow_what_may_be_called() {
        // (name, hints with their times, time of the question, answer)
        let cases = [
            ("some left", vec![(0, hint("a", Some(3), 1_000))], 0, Ok(())),
            ("none left", vec![(0, hint("a", Some(0), 1_500))], 100, Err(at(1_500))),
            ("none left, reset", vec![(0, hint("a", Some(0), 1_500))], 1_500, Ok(())),
            ("refused without a number", vec![(0, hint("a", None, 2_000))], 0, Err(at(2_000))),
            (
                "late answer of an earlier call",
                vec![(0, hint("a", Some(0), 900)), (10, hint("a", Some(4), 890))],
                20,
                Err(at(900)),
            ),
            (
                "block over numbers",
                vec![(0, hint("a", Some(4), 900)), (10, hint("a", None, 600_000))],
                950,
                Err(at(600_010)),
            ),
            (
                "the next window is not narrowed by the one before",
                vec![
                    (0, hint("a", Some(2), 9_000)),
                    (8_990, hint("a", Some(0), 1_000)),
                    (9_000, hint("a", Some(9), 10_000)),
                ],
                9_100,
                Err(at(9_990)),
            ),
            (
                "the next window has its own number",
                vec![
                    (0, hint("a", Some(1), 9_000)),
                    (8_500, hint("a", Some(9), 10_500)),
                    (8_501, hint("a", Some(0), 499)),
                ],
                8_600,
                Ok(()),
            ),
            ("longest block holds", vec![(0, hint("a", None, 9_000)), (10, hint("a", None, 100))], 200, Err(at(9_000))),
            ("for ever is a day", vec![(0, hint("a", None, u64::MAX / 2))], 0, Err(at(24 * 3_600_000))),
        ];
        for (name, hints, now, expected) in cases {
            let mut budgets = Budgets::default();
            for (when, hint) in hints {
                budgets.learn(&hint, at(when));
            }
            assert_eq!(budgets.take(&[key("a")], at(now)), expected, "{name}");
        }
    }

    #[test]
    fn calls_count_against_what_was_told() {
        let mut budgets = Budgets::default();
        budgets.learn(&hint("a", Some(2), 1_000), at(0));
        assert_eq!(budgets.take(&[key("a")], at(1)), Ok(()));
        assert_eq!(budgets.take(&[key("a")], at(1)), Ok(()));
        assert_eq!(budgets.take(&[key("a")], at(1)), Err(at(1_000)));
        assert_eq!(budgets.take(&[key("a")], at(1_000)), Ok(()));
    }

    #[test]
    fn what_limits_nothing_any_more_is_forgotten_when_there_is_too_much() {
        let mut budgets = Budgets::default();
        for n in 0..MAX_KEYS + 10 {
            budgets.learn(&hint(&n.to_string(), Some(1), 10), at(n as u64));
        }
        assert!(budgets.known.len() < 100, "{}", budgets.known.len());
    }

    #[test]
    fn work_that_can_wait_leaves_a_fifth_to_others() {
        let mut budgets = Budgets::default();
        budgets.guess(&guess("api", 10, 1_000));
        let keys = [key("api")];
        let spare = (0..20).filter(|_| budgets.take_spare(&keys, at(0)).is_ok()).count();
        assert_eq!((spare, budgets.take_spare(&keys, at(0))), (8, Err(at(1_000))));
        let first = (0..20).filter(|_| budgets.take(&keys, at(500)).is_ok()).count();
        assert_eq!(first, 2, "and what was left is there at once");
        // Those who go first take what becomes free, as long as they want it.
        let live = (0..20).filter(|_| budgets.take(&keys, at(1_000)).is_ok()).count();
        assert_eq!((live, budgets.take_spare(&keys, at(1_000))), (8, Err(at(2_000))));
        budgets.learn(&hint("told", Some(1), 700), at(0));
        budgets.guess(&guess("told", 10, 1));
        assert_eq!(budgets.take_spare(&[key("told")], at(600)), Err(at(700)), "what was told is divided too");
        budgets.guess(&guess("small", 1, 1_000));
        assert_eq!(budgets.take_spare(&[key("small")], at(0)), Ok(()), "small budgets cannot be divided");
        assert_eq!(budgets.take_spare(&[key("unknown")], at(0)), Ok(()));
    }

    #[test]
    fn a_call_counts_from_its_answer() {
        let mut budgets = Budgets::default();
        budgets.guess(&guess("hook", 2, 1_000));
        let keys = [key("hook"), key("unknown")];
        assert_eq!(budgets.take(&keys, at(0)), Ok(()));
        assert_eq!(budgets.take(&keys, at(100)), Ok(()));
        budgets.over(&keys, at(100), at(150));
        budgets.over(&keys, at(0), at(400));
        assert_eq!(budgets.take(&keys, at(500)), Err(at(1_150)));
        assert_eq!(budgets.take(&keys, at(1_150)), Ok(()));
        assert_eq!(budgets.take(&keys, at(1_160)), Err(at(1_400)));
        budgets.over(&keys, at(7), at(9_999));
        assert_eq!(budgets.take(&keys, at(1_400)), Ok(()), "one that nobody made changes nothing");
    }

    #[test]
    fn names_that_mean_one_budget_share_what_was_called_and_told() {
        let mut budgets = Budgets::default();
        for name in ["one", "two"] {
            budgets.guess(&guess(name, 3, 1_000));
        }
        assert_eq!(budgets.take(&[key("one")], at(0)), Ok(()));
        assert_eq!(budgets.take(&[key("two")], at(10)), Ok(()));
        budgets.join(&key("one"), &key("channel"));
        budgets.join(&key("two"), &key("channel"));
        assert_eq!(budgets.take(&[key("one")], at(20)), Ok(()));
        assert_eq!(budgets.take(&[key("two")], at(30)), Err(at(1_000)), "three in a second, whoever asks");
        budgets.learn(&hint("one", Some(0), 5_000), at(30));
        assert_eq!(budgets.take(&[key("two")], at(2_000)), Err(at(5_030)));
        // Guessing anew (a destination starts again) and joining again change nothing.
        budgets.guess(&guess("one", 3, 1_000));
        budgets.join(&key("one"), &key("channel"));
        assert_eq!(budgets.take(&[key("one")], at(2_000)), Err(at(5_030)));
        // One that moves leaves its calls where they were made.
        budgets.join(&key("one"), &key("elsewhere"));
        let free = (0..5).filter(|_| budgets.take(&[key("one")], at(2_000)).is_ok()).count();
        assert_eq!(free, 3, "with the same guess");
    }

    /// Long work and live deliveries at one budget, in exact time: 160 calls a second, a burst of 32 live calls a second.
    #[test]
    fn long_work_fills_the_budget_and_live_deliveries_never_wait() {
        let mut budgets = Budgets::default();
        budgets.guess(&guess("api", 160, 1_000));
        let (keys, mut spare, mut waited) = ([key("api")], 0, 0);
        for ms in 0..60_000 {
            if ms % 1_000 == 0 {
                waited += (0..32).filter(|_| budgets.take(&keys, at(ms)).is_err()).count();
            }
            while budgets.take_spare(&keys, at(ms)).is_ok() {
                spare += 1;
            }
        }
        assert_eq!(waited, 0);
        assert_eq!(spare, 60 * (160 - 32 - 32), "all but the part that is kept and what the others took");
    }

    proptest! {
        #[test]
        fn no_window_ever_holds_more_than_guessed(calls in 1_u32..6, per in 1_u64..50, steps in prop::collection::vec(0_u64..20, 1..200)) {
            let mut budgets = Budgets::default();
            budgets.guess(&guess("a", calls, per));
            let (mut now, mut made) = (0, Vec::new());
            for step in steps {
                now += step;
                match budgets.take(&[key("a")], at(now)) {
                    Ok(()) => made.push(now),
                    Err(free) => prop_assert!(free > at(now)),
                }
            }
            for window in made.windows(calls as usize + 1) {
                prop_assert!(window[calls as usize] - window[0] >= per);
            }
        }
    }
}
