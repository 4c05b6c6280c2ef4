//! Time and chance: the only place of the product where either comes from. Everything below takes `now` and random bytes
//! as parameters; everything beside takes them from here, so that tests, demo and simulation can move the one and
//! repeat the other.

use paidup_lifecycle::time::Timestamp;
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Resolves when a moment has come.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What time it is.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;

    /// Resolves when `now()` is at or after `at`; at once when it is already. Dropping the future forgets it.
    fn sleep_until(&self, at: Timestamp) -> Sleep;

    /// Resolves after `span` of this clock's time.
    fn sleep(&self, span: Duration) -> Sleep {
        self.sleep_until(self.now().plus(span))
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)] // the one exception
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis_clamped(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn sleep_until(&self, at: Timestamp) -> Sleep {
        let clock = *self;
        Box::pin(async move {
            // The machine's clock may be set while we sleep, so nothing is slept through for more than a minute.
            loop {
                let left = at.since(clock.now());
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(Duration::from_secs(60))).await;
            }
        })
    }
}

/// A clock that moves when it is told to.
#[derive(Clone)]
pub struct VirtualClock {
    inner: Arc<Mutex<Virtual>>,
}

struct Virtual {
    now: Timestamp,
    sleepers: Vec<(Timestamp, oneshot::Sender<()>)>,
}

impl VirtualClock {
    /// Stands at `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> VirtualClock {
        VirtualClock { inner: Arc::new(Mutex::new(Virtual { now, sleepers: Vec::new() })) }
    }

    /// Moves on by `span` and wakes everybody whose time has come.
    pub fn advance(&self, span: Duration) {
        let to = self.now().plus(span);
        self.set(to);
    }

    /// Moves to `to`; a clock never goes back, so an earlier moment changes nothing.
    pub fn set(&self, to: Timestamp) {
        let mut inner = self.inner.lock();
        inner.now = inner.now.max(to);
        let now = inner.now;
        let (due, waiting) = inner.sleepers.drain(..).partition(|(at, _)| *at <= now);
        inner.sleepers = waiting;
        drop(inner);
        let due: Vec<(Timestamp, oneshot::Sender<()>)> = due;
        for (_, wake) in due {
            // A sleeper that was dropped needs no waking.
            let _ = wake.send(());
        }
    }

    /// The earliest moment that somebody sleeps until: where a simulation may jump to.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        let inner = self.inner.lock();
        inner.sleepers.iter().filter(|(_, wake)| !wake.is_closed()).map(|(at, _)| *at).min()
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.inner.lock().now
    }

    fn sleep_until(&self, at: Timestamp) -> Sleep {
        let mut inner = self.inner.lock();
        if inner.now >= at {
            return Box::pin(std::future::ready(()));
        }
        let (wake, woken) = oneshot::channel();
        inner.sleepers.retain(|(_, wake)| !wake.is_closed());
        inner.sleepers.push((at, wake));
        Box::pin(async move {
            // An error means that the clock is gone: nobody can move time any more, so the moment never comes.
            if woken.await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }
}

/// Where chance comes from.
pub trait Chance: Send + Sync {
    /// Fills `bytes` with random bytes; for keys and nonces from a cryptographic source.
    fn fill(&self, bytes: &mut [u8]);
}

impl dyn Chance + '_ {
    /// 16 random bytes: a journal entry's seed, an id.
    #[must_use]
    pub fn seed(&self) -> [u8; 16] {
        let mut seed = [0; 16];
        self.fill(&mut seed);
        seed
    }

    /// 32 random bytes: a key, a secret.
    #[must_use]
    pub fn key(&self) -> [u8; 32] {
        let mut key = [0; 32];
        self.fill(&mut key);
        key
    }

    /// A span between zero and `most`, evenly: full jitter.
    #[must_use]
    pub fn jitter(&self, most: Duration) -> Duration {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        let share = u128::from(u64::from_le_bytes(bytes));
        let nanos = (most.as_nanos() * share) >> 64;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// The operating system's randomness, stretched by a cryptographic generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemChance;

impl Chance for SystemChance {
    #[allow(clippy::disallowed_methods)] // the one exception
    fn fill(&self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }
}

/// The same sequence for the same seed: for tests and simulation, never for keys of a real installation.
pub struct SeededChance(Mutex<SmallRng>);

impl SeededChance {
    /// Starts the sequence of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> SeededChance {
        SeededChance(Mutex::new(SmallRng::seed_from_u64(seed)))
    }
}

impl Chance for SeededChance {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().fill_bytes(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_virtual_sleeper_wakes_when_its_moment_comes_and_not_before() {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let clock = VirtualClock::new(start);
        clock.sleep_until(start).await;
        let mut sleep = clock.sleep(Duration::from_secs(10));
        assert_eq!(clock.next_wake(), Some(start.plus(Duration::from_secs(10))));
        clock.advance(Duration::from_secs(9));
        assert!(futures_util::poll!(&mut sleep).is_pending());
        clock.advance(Duration::from_secs(1));
        assert!(futures_util::poll!(&mut sleep).is_ready());
        assert_eq!(clock.next_wake(), None);
        clock.set(start);
        assert_eq!(clock.now(), start.plus(Duration::from_secs(10)));
    }

    #[test]
    fn jitter_stays_inside_its_bounds_and_a_seed_repeats_itself() {
        let (one, two) = (SeededChance::new(7), SeededChance::new(7));
        let (one, two): (&dyn Chance, &dyn Chance) = (&one, &two);
        for _ in 0..1_000 {
            let jitter = one.jitter(Duration::from_millis(250));
            assert!(jitter < Duration::from_millis(250));
            assert_eq!(jitter, two.jitter(Duration::from_millis(250)));
        }
    }
}
