//! Where one source's store is asked: what the store allows, whether it answers, and the access token. In memory: a restart
//! begins with a full allowance and finds the rest out again.

use super::bucket::{Bucket, Turn};
use crate::dispatch::breaker::{Breaker, Patience, Permit};
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::time::Timestamp;
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// Calls a minute to a store that says nothing: Stripe's own bound is twice that.
const A_MINUTE: u32 = 3_000;
/// Five different objects that fail are a store that is down. From then on it gets one call at a time, once a minute at
/// last, and what waits is left as it is.
const PATIENCE: Patience = Patience { failures: 5, failing_for: Duration::ZERO, many: 5, full: 1 };
/// A store that asks to be left alone is, ...
const MAX_HOLD: Duration = Duration::from_secs(3_600);
/// ... and when it does not say how long, for this long.
const HOLD: Duration = Duration::from_secs(30);
/// While somebody else's probe is under way.
const PROBE: Duration = Duration::from_secs(1);

/// All desks.
#[derive(Default)]
pub(crate) struct Desks(RwLock<HashMap<SourceId, Arc<Desk>>>);

impl Desks {
    /// The desk of a source.
    pub(crate) fn of(&self, source: SourceId) -> Arc<Desk> {
        if let Some(desk) = self.0.read().get(&source) {
            return desk.clone();
        }
        self.0.write().entry(source).or_default().clone()
    }

    /// The source was set up anew: what was learned of its store may not hold any more.
    pub(crate) fn renew(&self, source: SourceId) {
        if let Some(desk) = self.0.read().get(&source) {
            *desk.state.lock() = State::default();
            desk.token_is_stale.store(true, Ordering::Release);
            desk.due.notify_one();
        }
    }

    pub(super) fn remove(&self, source: SourceId) {
        self.0.write().remove(&source);
    }
}

/// One source's desk.
#[derive(Default)]
pub(crate) struct Desk {
    state: Mutex<State>,
    /// Held while a token is fetched: a hundred calls that need one make one call.
    pub(super) token: tokio::sync::Mutex<super::token::Kept>,
    pub(super) token_is_stale: AtomicBool,
    /// Something became due.
    pub(super) due: Notify,
    is_served: AtomicBool,
    /// Pages of lists that are compared at this moment, until what came of them is counted.
    comparing: AtomicUsize,
}

/// A page of a list is compared as long as this lives.
pub(super) struct ComparingPage<'a>(&'a Desk);

impl Drop for ComparingPage<'_> {
    fn drop(&mut self) {
        self.0.comparing.fetch_sub(1, Ordering::AcqRel);
    }
}

struct State {
    bucket: Option<Bucket>,
    breaker: Breaker,
    held_until: Option<Timestamp>,
    standing: Standing,
    waits_until: Option<Timestamp>,
}

impl Default for State {
    fn default() -> State {
        State {
            bucket: None,
            breaker: Breaker::with(PATIENCE),
            held_until: None,
            standing: Standing::default(),
            waits_until: None,
        }
    }
}

/// How a store has answered lately, for the operator.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// When it last answered.
    pub answered_at: Option<Timestamp>,
    /// Since when nothing was answered any more; `None`: the last call was.
    pub failing_since: Option<Timestamp>,
    /// When a call failed last.
    pub failed_at: Option<Timestamp>,
    /// Since when it refuses our credentials; `None`: it does not.
    pub refused_since: Option<Timestamp>,
    /// What came of the last call that failed, since then. Never contains a secret.
    pub last_error: Option<String>,
}

/// Why a call cannot be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The allowance is used up: it goes on then.
    Quota(Timestamp),
    /// The store does not answer, or asked to be left alone: the next try is then.
    Held(Timestamp),
}

impl Wait {
    pub(crate) const fn until(self) -> Timestamp {
        match self {
            Wait::Quota(until) | Wait::Held(until) => until,
        }
    }

    /// For figures.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Wait::Quota(_) => "quota",
            Wait::Held(_) => "held",
        }
    }
}

/// What a call told of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It answered, whatever.
    Answer,
    /// It wants to be left alone.
    Busy(Option<Duration>, String),
    /// It did not answer, or nothing of use.
    Nothing(String),
    /// It does not accept our credentials.
    Refusal(String),
}

impl Heard {
    /// For figures.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Heard::Answer => "answered",
            Heard::Busy(..) => "busy",
            Heard::Nothing(_) => "failed",
            Heard::Refusal(_) => "refused",
        }
    }
}

impl Desk {
    /// Whether somebody serves it from now on who did not before.
    pub(super) fn begin_serving(&self) -> bool {
        !self.is_served.swap(true, Ordering::AcqRel)
    }

    pub(super) fn compare_page(&self) -> ComparingPage<'_> {
        self.comparing.fetch_add(1, Ordering::AcqRel);
        ComparingPage(self)
    }

    /// Whether what came of a page is yet to be counted, although it waits no more.
    pub(crate) fn is_comparing(&self) -> bool {
        self.comparing.load(Ordering::Acquire) > 0
    }

    /// Leave to make one call. `allowed`: calls a minute, as the source says.
    pub(crate) fn leave(self: &Arc<Desk>, turn: Turn, allowed: Option<u32>, now: Timestamp) -> Result<Leave, Wait> {
        let mut state = self.state.lock();
        if let Some(until) = state.held_until.filter(|until| *until > now) {
            return Err(Wait::Held(until));
        }
        state.held_until = None;
        let is_probe = match state.breaker.permit(now, 0) {
            Permit::Freely | Permit::UpTo(..) => false,
            Permit::Probe => true,
            Permit::NotBefore(at) => return Err(Wait::Held(at)),
            Permit::AwaitProbe => return Err(Wait::Held(now.plus(PROBE))),
        };
        let allowed = allowed.unwrap_or(A_MINUTE).max(1);
        let bucket = match &mut state.bucket {
            Some(bucket) if bucket.allows(allowed) => bucket,
            other => other.insert(Bucket::new(allowed, now)),
        };
        bucket.take(turn, now).map_err(Wait::Quota)?;
        if is_probe {
            state.breaker.probe();
        }
        Ok(Leave { desk: self.clone(), given_at: now, is_open: true })
    }

    /// Whether this wait was not counted yet.
    pub(super) fn is_new_wait(&self, wait: Wait) -> bool {
        let mut state = self.state.lock();
        let is_new = state.waits_until.is_none_or(|known| wait.until() > known);
        if is_new {
            state.waits_until = Some(wait.until());
        }
        is_new
    }

    /// How the store has answered lately.
    pub(crate) fn standing(&self) -> Standing {
        self.state.lock().standing.clone()
    }
}

/// Leave to make one call. Whoever drops it without a word has learned nothing.
pub(crate) struct Leave {
    desk: Arc<Desk>,
    given_at: Timestamp,
    is_open: bool,
}

impl Leave {
    /// What came of the call. `about`: a number of what was asked about, so that one object which always fails is not
    /// taken for a store that is down.
    pub(crate) fn close(mut self, heard: &Heard, about: u64, now: Timestamp) {
        self.is_open = false;
        let mut state = self.desk.state.lock();
        let State { breaker, held_until, standing, .. } = &mut *state;
        match heard {
            Heard::Answer => {
                breaker.succeeded(now);
                *standing = Standing { answered_at: Some(now), ..Standing::default() };
            }
            Heard::Busy(wish, detail) => {
                breaker.unclear(now);
                let hold = wish.map_or(HOLD, |wish| wish.min(MAX_HOLD));
                *held_until = (*held_until).max(Some(now.plus(hold)));
                standing.failing_since.get_or_insert(now);
                (standing.failed_at, standing.last_error) = (Some(now), Some(detail.clone()));
            }
            Heard::Nothing(detail) => {
                breaker.failed(about, now);
                standing.failing_since.get_or_insert(now);
                (standing.failed_at, standing.last_error) = (Some(now), Some(detail.clone()));
            }
            Heard::Refusal(detail) => {
                breaker.failed(about, now);
                standing.refused_since.get_or_insert(now);
                (standing.failed_at, standing.last_error) = (Some(now), Some(detail.clone()));
            }
        }
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        if self.is_open {
            self.desk.state.lock().breaker.unclear(self.given_at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::default().plus(Duration::from_secs(seconds))
    }

    fn nothing() -> Heard {
        Heard::Nothing("down".to_owned())
    }

    fn leave(desk: &Arc<Desk>, seconds: u64) -> Result<Leave, Wait> {
        desk.leave(Turn::Live, None, at(seconds))
    }

    #[test]
    fn a_store_that_is_down_gets_probes_and_one_object_that_fails_stops_nobody() {
        let desk = Arc::new(Desk::default());
        for second in 0..20 {
            leave(&desk, second).unwrap_or_else(|_| panic!("{second}")).close(&nothing(), 7, at(second));
        }
        for about in 1..5 {
            leave(&desk, 20).ok().unwrap().close(&nothing(), about, at(20));
        }
        assert_eq!(leave(&desk, 20).err(), Some(Wait::Held(at(21))));
        let probe = leave(&desk, 21).ok().unwrap();
        assert_eq!(leave(&desk, 21).err(), Some(Wait::Held(at(22))), "one at a time");
        drop(probe);
        let probe = leave(&desk, 22).ok().unwrap();
        probe.close(&nothing(), 1, at(22));
        assert_eq!(leave(&desk, 23).err(), Some(Wait::Held(at(24))), "farther and farther apart");
        leave(&desk, 24).ok().unwrap().close(&Heard::Answer, 1, at(24));
        assert!(leave(&desk, 24).is_ok());
        assert_eq!(desk.standing(), Standing { answered_at: Some(at(24)), ..Standing::default() });
    }

    #[test]
    fn a_store_is_left_alone_as_long_as_it_asks_within_bounds() {
        for (name, wish, until) in [
            ("said", Some(Duration::from_secs(7)), 7),
            ("not said", None, 30),
            ("for ever", Some(Duration::from_secs(1_000_000)), 3_600),
        ] {
            let desk = Arc::new(Desk::default());
            leave(&desk, 0).ok().unwrap().close(&Heard::Busy(wish, "429".to_owned()), 1, at(0));
            assert_eq!(leave(&desk, until - 1).err(), Some(Wait::Held(at(until))), "{name}");
            assert!(leave(&desk, until).is_ok(), "{name}");
        }
    }

    #[test]
    fn the_allowance_follows_the_source() {
        let desk = Arc::new(Desk::default());
        assert!(desk.leave(Turn::Live, Some(1), at(0)).is_ok());
        let wait = desk.leave(Turn::Live, Some(1), at(0)).err().unwrap();
        assert_eq!(wait, Wait::Quota(at(60)));
        assert!(desk.is_new_wait(wait) && !desk.is_new_wait(wait));
        assert!(desk.leave(Turn::Live, Some(2), at(0)).is_ok(), "set up anew");
    }

    #[test]
    fn refused_credentials_stand_until_an_answer() {
        let desk = Arc::new(Desk::default());
        leave(&desk, 1).ok().unwrap().close(&Heard::Refusal("403".to_owned()), 1, at(1));
        leave(&desk, 2).ok().unwrap().close(&nothing(), 1, at(2));
        let standing = desk.standing();
        assert_eq!((standing.refused_since, standing.failing_since), (Some(at(1)), Some(at(2))));
        leave(&desk, 3).ok().unwrap().close(&Heard::Answer, 1, at(3));
        assert_eq!(desk.standing().refused_since, None);
    }
}
