//! Whether a destination is alive: closed (deliveries run), open (only probes, now and then). Pure.
//!
//! While it is open nothing is parked and no event's attempts are used up: a dead receiver is the receiver's failure, not
//! the events'. It opens only when *different* events fail one after another, so a single event that the far side cannot
//! digest never stops the others; that one runs through its own retries.

use paidup_lifecycle::time::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;

/// When it opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// So many different events must fail, without one success in between, ...
    pub failures: usize,
    /// ... over at least this long: a short hiccup is what retries are for.
    pub failing_for: Duration,
    /// So many open it at once: at full speed, ten seconds of failures would park thousands of events.
    pub many: usize,
}

impl Default for Patience {
    /// With destinations.
    fn default() -> Patience {
        Patience { failures: 10, failing_for: Duration::from_secs(10), many: 100 }
    }
}

/// The first probe comes after this; each failed one doubles it, ...
const FIRST_PROBE: Duration = Duration::from_secs(1);
/// ... up to this.
const SLOWEST_PROBE: Duration = Duration::from_secs(60);

/// A destination's breaker.
#[derive(Debug, Default)]
pub struct Breaker {
    patience: Patience,
    state: State,
    /// Events that failed since the last success, at most `Patience::many`.
    failed: BTreeSet<u64>,
    failing_since: Option<Timestamp>,
    probes: u64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Closed,
    Open {
        probe_at: Timestamp,
        interval: Duration,
    },
    HalfOpen {
        interval: Duration,
    },
}

/// What may be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    /// Anything.
    Freely,
    /// One delivery, after [`Breaker::probe`].
    Probe,
    /// Nothing before this.
    NotBefore(Timestamp),
    /// Nothing before the probe under way is decided.
    AwaitProbe,
}

impl Breaker {
    /// As it was saved: closed, but it remembers since when nothing was taken.
    #[must_use]
    pub fn restore(failing_since: Option<Timestamp>) -> Breaker {
        Breaker { failing_since, ..Breaker::default() }
    }

    /// One that opens sooner or later than a destination's.
    #[must_use]
    pub fn with(patience: Patience) -> Breaker {
        Breaker { patience, ..Breaker::default() }
    }

    /// Since when nothing was taken any more; `None`: the last attempt was.
    #[must_use]
    pub fn failing_since(&self) -> Option<Timestamp> {
        self.failing_since
    }

    /// Whether nothing was taken for `horizon`, and not only because of one event that the far side cannot digest: that
    /// one is given up for itself.
    #[must_use]
    pub fn is_hopeless(&self, now: Timestamp, horizon: Duration) -> bool {
        let different = self.is_open() || self.failed.len() > 1;
        different && self.failing_since.is_some_and(|since| now.since(since) >= horizon)
    }

    /// What may be started now.
    #[must_use]
    pub fn permit(&self, now: Timestamp) -> Permit {
        match self.state {
            State::Closed => Permit::Freely,
            State::Open { probe_at, .. } if probe_at <= now => Permit::Probe,
            State::Open { probe_at, .. } => Permit::NotBefore(probe_at),
            State::HalfOpen { .. } => Permit::AwaitProbe,
        }
    }

    /// Not closed: the cursor stands.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state != State::Closed
    }

    /// A probe starts. Answers whether it should be the newest event that waits rather than the oldest: by turns, so
    /// that one event which always fails cannot keep the breaker open.
    pub fn probe(&mut self) -> bool {
        if let State::Open { interval, .. } = self.state {
            self.state = State::HalfOpen { interval };
        }
        self.probes += 1;
        self.probes.is_multiple_of(2)
    }

    /// The far side took an event, or judged it: it is alive. Answers whether this closed the breaker.
    pub fn succeeded(&mut self) -> bool {
        let was_open = self.is_open();
        *self = Breaker { patience: self.patience, probes: self.probes, ..Breaker::default() };
        was_open
    }

    /// An attempt failed. Answers whether this opened the breaker.
    pub fn failed(&mut self, position: u64, now: Timestamp) -> bool {
        match self.state {
            State::Closed => {
                let since = *self.failing_since.get_or_insert(now);
                self.failed.insert(position);
                let Patience { failures, failing_for, many } = self.patience;
                let opens =
                    self.failed.len() >= many || (self.failed.len() >= failures && now.since(since) >= failing_for);
                if opens {
                    self.failed.clear();
                    self.state = State::Open { probe_at: now.plus(FIRST_PROBE), interval: FIRST_PROBE };
                }
                opens
            }
            State::HalfOpen { interval } => {
                let interval = (interval * 2).min(SLOWEST_PROBE);
                self.state = State::Open { probe_at: now.plus(interval), interval };
                false
            }
            // Started before it opened; nothing new.
            State::Open { .. } => false,
        }
    }

    /// The probe said neither (a rate limit, nothing to send): another one at the same pace.
    pub fn unclear(&mut self, now: Timestamp) {
        if let State::HalfOpen { interval } = self.state {
            self.state = State::Open { probe_at: now.plus(interval), interval };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::default().plus(Duration::from_millis(ms))
    }

    #[test]
    fn it_opens_for_different_events_over_time_or_for_very_many() {
        // (name, events that fail, milliseconds between them, opens)
        let cases: [(&str, Vec<u64>, u64, bool); 5] = [
            ("one event for ever", vec![7; 1_000], 60_000, false),
            ("nine events for ever", (0..1_000).map(|n| n % 9).collect(), 60_000, false),
            ("ten events at once", (0..10).collect(), 0, false),
            ("ten events in ten seconds", (0..11).collect(), 1_000, true),
            ("a hundred at once", (0..100).collect(), 0, true),
        ];
        for (name, events, gap, opens) in cases {
            let mut breaker = Breaker::default();
            let opened = events.iter().enumerate().any(|(n, event)| breaker.failed(*event, at(n as u64 * gap)));
            assert_eq!((opened, breaker.is_open()), (opens, opens), "{name}");
        }
    }

    #[test]
    fn a_success_starts_the_count_anew() {
        let mut breaker = Breaker::default();
        for event in 0..99 {
            assert!(!breaker.failed(event, at(0)));
        }
        assert!(!breaker.succeeded());
        for event in 100..199 {
            assert!(!breaker.failed(event, at(0)));
        }
        assert!(breaker.failed(199, at(0)));
        assert!(breaker.succeeded());
        assert_eq!(breaker.permit(at(0)), Permit::Freely);
    }

    #[test]
    fn it_is_hopeless_when_nothing_was_taken_for_long_and_not_for_one_event() {
        let day = Duration::from_secs(86_400);
        // (name, events that fail, one each hour, a success before the last, hopeless after a day)
        let cases: [(&str, Vec<u64>, bool, bool); 4] = [
            ("one event", vec![7; 30], false, false),
            ("two events", (0..30).map(|n| n % 2).collect(), false, true),
            ("many, so it opened", (0..30).collect(), false, true),
            ("a success in between", (0..30).collect(), true, false),
        ];
        for (name, events, success, expected) in cases {
            let mut breaker = Breaker::default();
            for (n, event) in events.iter().enumerate() {
                if success && n == 15 {
                    breaker.succeeded();
                }
                breaker.failed(*event, at(n as u64 * 3_600_000));
            }
            assert_eq!(breaker.is_hopeless(at(29 * 3_600_000), day), expected, "{name}");
        }
        let mut again = Breaker::restore(Some(at(0)));
        assert!(!again.is_hopeless(at(90_000_000), day), "nothing has failed since the start");
        again.failed(1, at(90_000_000));
        again.failed(2, at(90_000_000));
        assert!(again.is_hopeless(at(90_000_000), day));
    }

    #[test]
    fn probes_slow_down_to_a_bound_one_at_a_time() {
        let mut breaker = Breaker::default();
        let mut now = at(0);
        (0..100).for_each(|event| {
            breaker.failed(event, now);
        });
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            let due = now.plus(Duration::from_secs(seconds));
            assert_eq!(breaker.permit(now), Permit::NotBefore(due));
            now = due;
            assert_eq!(breaker.permit(now), Permit::Probe);
            breaker.probe();
            assert_eq!(breaker.permit(now), Permit::AwaitProbe);
            assert!(!breaker.failed(5, now));
        }
        now = now.plus(SLOWEST_PROBE);
        let turns = [breaker.probe(), breaker.probe(), breaker.probe()];
        assert_eq!(turns, [false, true, false]);
        breaker.unclear(now);
        assert_eq!(breaker.permit(now), Permit::NotBefore(now.plus(SLOWEST_PROBE)));
        assert!(breaker.succeeded());
    }
}
