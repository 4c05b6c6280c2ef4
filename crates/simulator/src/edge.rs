//! The simulator's contact with the outside: the clock, and the HTTP client.
//!
//! Everything else takes time as a parameter, so that a rate limit of a minute is tested without waiting for one. The
//! hub's guarded client is deliberately not used here: the simulator shares no code with what it tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// Where a stand-in gets the time from.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The machine's.
    #[default]
    System,
    /// One that a test moves. Milliseconds since 1970.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands until it is moved.
    #[must_use]
    pub fn manual(start_ms: i64) -> Clock {
        Clock::Manual(Arc::new(AtomicI64::new(start_ms)))
    }

    /// Milliseconds since 1970.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "the one place of this crate that reads the machine's clock")]
    pub fn now_ms(&self) -> i64 {
        match self {
            Clock::System => {
                let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
                i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
            }
            Clock::Manual(now) => now.load(Ordering::SeqCst),
        }
    }

    /// Moves a manual clock to this moment, never back; the machine's goes by itself.
    pub fn advance_to(&self, now_ms: i64) {
        match self {
            Clock::System => {}
            Clock::Manual(now) => {
                now.fetch_max(now_ms, Ordering::SeqCst);
            }
        }
    }

    /// Moves a manual clock on; the machine's goes by itself.
    pub fn advance(&self, by: Duration) {
        match self {
            Clock::System => {}
            Clock::Manual(now) => {
                now.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX / 2), Ordering::SeqCst);
            }
        }
    }
}

/// How long the simulator waits for an answer of the hub. Apple gives up in seconds too.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// A client that keeps connections open and follows no redirects, as stores do.
#[allow(clippy::disallowed_methods, reason = "the simulator plays the stores and must not borrow the hub's client")]
pub fn client() -> Result<reqwest::Client, reqwest::Error> {
    // An error means that a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .timeout(ANSWER_LIMIT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("paidup-simulator/", env!("CARGO_PKG_VERSION")))
        .build()
}
