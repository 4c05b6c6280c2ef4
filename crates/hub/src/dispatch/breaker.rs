//! Whether a destination is alive: closed (deliveries run), open (only probes, now and then), half open (a probe is under
//! way, or it answered and gets a few calls at a time). Pure.
//!
//! While it is open nothing is parked and no event's attempts are used up: a dead receiver is the receiver's failure, not
//! the events'. It opens only when *different* events fail one after another, so a single event that the far side cannot
//! digest never stops the others; that one runs through its own retries. Who just came back is not hit by everything that
//! waits: calls side by side double once a second, as long as most are taken.

use paidup_lifecycle::closed_set;
use paidup_lifecycle::time::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;

/// When it opens, and when it is closed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// So many different events must fail, without one success in between, ...
    pub failures: usize,
    /// ... over at least this long: a short hiccup is what retries are for.
    pub failing_for: Duration,
    /// So many open it at once: at full speed, ten seconds of failures would park thousands of events.
    pub many: usize,
    /// After an outage it is closed again when so many calls may run side by side. Up to [`FIRST_STEP`]: at once.
    pub full: usize,
}

impl Default for Patience {
    /// With destinations, but for `full`, which is their own.
    fn default() -> Patience {
        Patience { failures: 10, failing_for: Duration::from_secs(10), many: 100, full: 1 }
    }
}

/// The first probe comes after this; each failed one doubles it, ...
const FIRST_PROBE: Duration = Duration::from_secs(1);
/// ... up to this.
pub const SLOWEST_PROBE: Duration = Duration::from_secs(60);
/// Calls side by side after the first answer.
const FIRST_STEP: usize = 2;
/// Then they double after each of these.
const STEP: Duration = Duration::from_secs(1);

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
    Probing {
        interval: Duration,
    },
    Rising(Rise),
}

/// A few calls at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rise {
    /// Calls side by side.
    most: usize,
    /// The step's end.
    until: Timestamp,
    /// Calls that were taken in this step, and those that failed.
    took: u32,
    lost: u32,
    /// Between the probes before: when it opens again it goes on from there.
    interval: Duration,
}

/// What may be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    /// Anything.
    Freely,
    /// So many side by side; ask again then.
    UpTo(usize, Timestamp),
    /// One delivery, after [`Breaker::probe`].
    Probe,
    /// Nothing before this.
    NotBefore(Timestamp),
    /// Nothing before the probe under way is decided.
    AwaitProbe,
}

closed_set! {
    /// How a breaker stands.
    pub enum Phase {
        /// Deliveries run.
        Closed = "closed",
        /// Nothing goes but a probe now and then.
        Open = "open",
        /// A probe is under way, or it answered and a few go at a time.
        HalfOpen = "half_open",
    }
}

/// What is shown of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// How it stands.
    pub phase: Phase,
    /// Since when nothing was taken any more; `None`: the last attempt was.
    pub failing_since: Option<Timestamp>,
    /// When the next probe goes, while it is open.
    pub probe_at: Option<Timestamp>,
    /// How long the next probe waits when this one fails, at most; while it is open or probing.
    pub probe_every: Option<Duration>,
    /// Calls side by side, while it closes.
    pub at_once: Option<usize>,
}

impl Breaker {
    /// As it was saved: closed, but it remembers since when nothing was taken.
    #[must_use]
    pub fn restore(patience: Patience, failing_since: Option<Timestamp>) -> Breaker {
        Breaker { failing_since, ..Breaker::with(patience) }
    }

    /// One that opens sooner or later than a destination's.
    #[must_use]
    pub fn with(patience: Patience) -> Breaker {
        Breaker { patience, ..Breaker::default() }
    }

    /// Begins with a few calls at a time: the far side was down, or a lot may have gathered for it.
    pub fn begin_gently(&mut self, now: Timestamp) {
        self.rise_from(FIRST_PROBE, now);
    }

    /// Since when nothing was taken any more; `None`: the last attempt was.
    #[must_use]
    pub fn failing_since(&self) -> Option<Timestamp> {
        self.failing_since
    }

    /// What is shown of it.
    #[must_use]
    pub fn look(&self) -> Look {
        let look = Look {
            phase: Phase::Closed,
            failing_since: self.failing_since,
            probe_at: None,
            probe_every: None,
            at_once: None,
        };
        match self.state {
            State::Closed => look,
            State::Open { probe_at, interval } => {
                Look { phase: Phase::Open, probe_at: Some(probe_at), probe_every: Some(slower(interval)), ..look }
            }
            State::Probing { interval } => Look { phase: Phase::HalfOpen, probe_every: Some(slower(interval)), ..look },
            State::Rising(rise) => Look { phase: Phase::HalfOpen, at_once: Some(rise.most), ..look },
        }
    }

    /// Whether nothing was taken for `horizon`, and not only because of one event that the far side cannot digest: that
    /// one is given up for itself.
    #[must_use]
    pub fn is_hopeless(&self, now: Timestamp, horizon: Duration) -> bool {
        let different = self.is_open() || self.failed.len() > 1;
        different && self.failing_since.is_some_and(|since| now.since(since) >= horizon)
    }

    /// What may be started now. `flights`: calls that are under way.
    pub fn permit(&mut self, now: Timestamp, flights: usize) -> Permit {
        self.step(now, flights);
        match self.state {
            State::Closed => Permit::Freely,
            State::Rising(rise) => Permit::UpTo(rise.most, rise.until),
            State::Open { probe_at, .. } if probe_at <= now => Permit::Probe,
            State::Open { probe_at, .. } => Permit::NotBefore(probe_at),
            State::Probing { .. } => Permit::AwaitProbe,
        }
    }

    /// Ends the steps that are over. Most were taken, or there was nothing to take: twice as many from then on. Answers when
    /// the step under way ends; `None`: there is none. `flights`: calls that are under way.
    pub fn step(&mut self, now: Timestamp, flights: usize) -> Option<Timestamp> {
        while let State::Rising(mut rise) = self.state
            && rise.until <= now
        {
            let idle = rise.took == 0 && rise.lost == 0 && flights == 0;
            if rise.took > rise.lost || idle {
                rise.most *= 2;
                rise.until = rise.until.plus(STEP);
            } else {
                rise.until = now.plus(STEP);
            }
            (rise.took, rise.lost) = (0, 0);
            self.state = if rise.most >= self.patience.full { State::Closed } else { State::Rising(rise) };
        }
        match self.state {
            State::Rising(rise) => Some(rise.until),
            State::Closed | State::Open { .. } | State::Probing { .. } => None,
        }
    }

    fn rise_from(&mut self, interval: Duration, now: Timestamp) {
        let rise = Rise { most: FIRST_STEP, until: now.plus(STEP), took: 0, lost: 0, interval };
        self.state = if self.patience.full <= FIRST_STEP { State::Closed } else { State::Rising(rise) };
    }

    /// Only probes go: the cursor stands.
    #[must_use]
    pub fn is_open(&self) -> bool {
        match self.state {
            State::Open { .. } | State::Probing { .. } => true,
            State::Closed | State::Rising(_) => false,
        }
    }

    /// Calls that may run side by side, of `most` that the destination takes.
    #[must_use]
    pub fn slots(&self, most: usize) -> usize {
        match self.state {
            State::Rising(rise) => rise.most.min(most),
            State::Closed | State::Open { .. } | State::Probing { .. } => most,
        }
    }

    /// A probe starts. Answers whether it should be the newest event that waits rather than the oldest: by turns, so
    /// that one event which always fails cannot keep the breaker open.
    pub fn probe(&mut self) -> bool {
        if let State::Open { interval, .. } = self.state {
            self.state = State::Probing { interval };
        }
        self.probes += 1;
        self.probes.is_multiple_of(2)
    }

    /// A person says that somebody is there: the next probe goes now.
    pub fn hasten(&mut self, now: Timestamp) {
        if let State::Open { probe_at, interval } = self.state {
            self.state = State::Open { probe_at: probe_at.min(now), interval };
        }
    }

    /// The far side took an event, or judged it: it is alive. Answers whether it was not before.
    pub fn succeeded(&mut self, now: Timestamp) -> bool {
        let was_open = self.is_open();
        self.failed.clear();
        self.failing_since = None;
        match &mut self.state {
            State::Closed => {}
            State::Rising(rise) => rise.took = rise.took.saturating_add(1),
            State::Open { interval, .. } | State::Probing { interval } => {
                let interval = *interval;
                self.rise_from(interval, now);
            }
        }
        was_open
    }

    /// An attempt failed. Answers whether this opened the breaker.
    pub fn failed(&mut self, position: u64, now: Timestamp) -> bool {
        let Patience { failures, failing_for, many, .. } = self.patience;
        let interval = match &mut self.state {
            State::Closed => FIRST_PROBE,
            State::Rising(rise) => {
                rise.lost = rise.lost.saturating_add(1);
                slower(rise.interval)
            }
            State::Probing { interval } => {
                let interval = slower(*interval);
                self.state = State::Open { probe_at: now.plus(interval), interval };
                return false;
            }
            // Started before it opened; nothing new.
            State::Open { .. } => return false,
        };
        let since = *self.failing_since.get_or_insert(now);
        self.failed.insert(position);
        let came_back = self.state != State::Closed;
        let long = came_back || now.since(since) >= failing_for;
        let opens = self.failed.len() >= many || (self.failed.len() >= failures && long);
        if opens {
            self.failed.clear();
            self.state = State::Open { probe_at: now.plus(interval), interval };
        }
        opens
    }

    /// The probe said neither (a rate limit, nothing to send): another one at the same pace.
    pub fn unclear(&mut self, now: Timestamp) {
        if let State::Probing { interval } = self.state {
            self.state = State::Open { probe_at: now.plus(interval), interval };
        }
    }
}

/// Between two probes after one more that failed.
fn slower(interval: Duration) -> Duration {
    (interval * 2).min(SLOWEST_PROBE)
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
        assert!(!breaker.succeeded(at(0)));
        for event in 100..199 {
            assert!(!breaker.failed(event, at(0)));
        }
        assert!(breaker.failed(199, at(0)));
        assert!(breaker.succeeded(at(0)));
        assert_eq!(breaker.permit(at(0), 0), Permit::Freely);
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
                    breaker.succeeded(at(n as u64 * 3_600_000));
                }
                breaker.failed(*event, at(n as u64 * 3_600_000));
            }
            assert_eq!(breaker.is_hopeless(at(29 * 3_600_000), day), expected, "{name}");
        }
        let mut again = Breaker::restore(Patience::default(), Some(at(0)));
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
            assert_eq!(breaker.permit(now, 0), Permit::NotBefore(due));
            now = due;
            assert_eq!(breaker.permit(now, 0), Permit::Probe);
            breaker.probe();
            assert_eq!(breaker.permit(now, 0), Permit::AwaitProbe);
            assert!(!breaker.failed(5, now));
        }
        now = now.plus(SLOWEST_PROBE);
        let turns = [breaker.probe(), breaker.probe(), breaker.probe()];
        assert_eq!(turns, [false, true, false]);
        breaker.unclear(now);
        assert_eq!(breaker.permit(now, 0), Permit::NotBefore(now.plus(SLOWEST_PROBE)));
        assert!(breaker.succeeded(now));
    }

    /// Open, with `full` calls side by side when it is closed.
    fn down(full: usize) -> Breaker {
        let mut breaker = Breaker::with(Patience { full, ..Patience::default() });
        (0..100).for_each(|event| {
            breaker.failed(event, at(0));
        });
        assert_eq!(breaker.look().phase, Phase::Open);
        breaker
    }

    #[test]
    fn who_came_back_gets_twice_as_many_calls_each_second() {
        let mut breaker = down(64);
        assert!(breaker.succeeded(at(1_000)));
        assert_eq!((breaker.look().phase, breaker.look().at_once), (Phase::HalfOpen, Some(2)));
        for (second, most) in [(1, 2), (2, 4), (3, 8), (4, 16), (5, 32)] {
            let now = at(second * 1_000);
            assert_eq!(breaker.permit(now, most), Permit::UpTo(most, now.plus(STEP)), "second {second}");
            assert_eq!(breaker.slots(64), most);
            assert!(!breaker.is_open() && !breaker.succeeded(now));
        }
        assert_eq!(breaker.permit(at(6_000), 32), Permit::Freely);
        assert_eq!(breaker.look().phase, Phase::Closed);
    }

    #[test]
    fn it_rises_only_while_most_are_taken() {
        // (name, taken and lost in the step, under way at its end, may go side by side then)
        let cases = [
            ("all taken", 2, 0, 2, Some(4)),
            ("most taken", 5, 4, 2, Some(4)),
            ("as many lost", 4, 4, 2, Some(2)),
            ("all lost", 0, 3, 0, Some(2)),
            ("nothing came back", 0, 0, 2, Some(2)),
            ("nothing to do", 0, 0, 0, Some(4)),
        ];
        for (name, taken, lost, flights, most) in cases {
            let mut breaker = down(64);
            breaker.succeeded(at(0));
            (0..lost).for_each(|event| {
                breaker.failed(event, at(500));
            });
            (0..taken).for_each(|_| {
                breaker.succeeded(at(600));
            });
            breaker.permit(at(1_000), flights);
            assert_eq!(breaker.look().at_once, most, "{name}");
        }
        let mut quiet = down(64);
        quiet.succeeded(at(0));
        assert_eq!(quiet.permit(at(3_600_000), 0), Permit::Freely, "nothing to do for an hour");
    }

    #[test]
    fn who_fails_again_is_probed_as_slowly_as_before() {
        let mut breaker = down(64);
        let mut now = at(1_000);
        for _ in 0..3 {
            breaker.probe();
            breaker.failed(1, now);
            now = now.plus(SLOWEST_PROBE);
        }
        let every = breaker.look().probe_every;
        assert_eq!(every, Some(Duration::from_secs(16)));
        breaker.probe();
        breaker.succeeded(now);
        let opened = (0..20).filter(|event| breaker.failed(*event, now)).count();
        assert_eq!((opened, breaker.look().probe_at), (1, Some(now.plus(Duration::from_secs(16)))));
        breaker.hasten(now);
        assert_eq!(breaker.permit(now, 0), Permit::Probe);
    }
}
