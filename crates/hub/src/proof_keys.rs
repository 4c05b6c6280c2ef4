//! Key material of senders (OIDC keys, SNS certificates): fetched when a source asks for it, kept for a while.
//!
//! Whether a URL may hold a key is the source's business; whether it may be called is the address guard's. Here is only
//! how often: one call at a time, bounded, and not for every notification that somebody makes up.

use crate::Hub;
use bytes::Bytes;
use paidup_destinations::Answer;
use paidup_lifecycle::time::Timestamp;
use paidup_sources::{Keys, Rejection, RejectionKind};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a key is used without a new look. Google asks for hours, Amazon's certificates last for months.
const KEPT_FOR: Duration = Duration::from_secs(6 * 3600);
/// A key that was fetched less than this ago is not fetched again: what it does not prove is not proven.
const FRESH_FOR: Duration = Duration::from_secs(60);
/// After a failure the key server is left alone for this long.
const PAUSE: Duration = Duration::from_secs(5);
/// How long one call may take: a store waits for our answer meanwhile.
const TIMEOUT: Duration = Duration::from_secs(8);
/// Most URLs that are remembered.
const MAX_KEYS: usize = 64;

/// Keys that were fetched.
#[derive(Default)]
pub(crate) struct ProofKeys {
    known: RwLock<Known>,
    /// One call at a time: a hundred notifications that need the same key make one call.
    calling: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    keys: Arc<Keys>,
    fetched_at: BTreeMap<String, Timestamp>,
    failed_at: Option<Timestamp>,
}

impl ProofKeys {
    /// All keys that may be used at `now`.
    pub(crate) fn at(&self, now: Timestamp) -> Arc<Keys> {
        let known = self.known.read();
        let is_old = |at: &Timestamp| now.since(*at) > KEPT_FOR;
        if !known.fetched_at.values().any(is_old) {
            return known.keys.clone();
        }
        drop(known);
        let mut known = self.known.write();
        let Known { keys, fetched_at, .. } = &mut *known;
        fetched_at.retain(|_, at| !is_old(at));
        Arc::make_mut(keys).0.retain(|url, _| fetched_at.contains_key(url));
        keys.clone()
    }

    fn is_fresh(&self, url: &str, now: Timestamp) -> bool {
        self.known.read().fetched_at.get(url).is_some_and(|at| now.since(*at) < FRESH_FOR)
    }

    fn is_paused(&self, now: Timestamp) -> bool {
        self.known.read().failed_at.is_some_and(|at| now.since(at) < PAUSE)
    }

    /// What is kept of these URLs is of no use; the servers behind them are left alone for a while.
    pub(crate) fn forget(&self, urls: &[String], now: Timestamp) {
        if urls.is_empty() {
            return;
        }
        let mut known = self.known.write();
        let Known { keys, fetched_at, failed_at } = &mut *known;
        fetched_at.retain(|url, _| !urls.contains(url));
        Arc::make_mut(keys).0.retain(|url, _| !urls.contains(url));
        *failed_at = Some(now);
    }

    fn put(&self, url: String, body: Bytes, now: Timestamp) {
        let mut known = self.known.write();
        let Known { keys, fetched_at, .. } = &mut *known;
        if fetched_at.len() >= MAX_KEYS
            && !fetched_at.contains_key(&url)
            && let Some(oldest) = fetched_at.iter().min_by_key(|(_, at)| **at).map(|(url, _)| url.clone())
        {
            fetched_at.remove(&oldest);
            Arc::make_mut(keys).0.remove(&oldest);
        }
        fetched_at.insert(url.clone(), now);
        Arc::make_mut(keys).0.insert(url, body);
    }
}

impl Hub {
    /// Fetches what a source needs to know a sender by. An error is what the sender is told.
    pub(crate) async fn fetch_proof_key(&self, request: http::Request<Bytes>) -> Result<(), Rejection> {
        let url = request.uri().to_string();
        let before = self.clock().now();
        if self.proof_keys().is_fresh(&url, before) {
            return Err(rejection(
                RejectionKind::Forged,
                "unknown_key",
                "it is signed with a key that nobody publishes",
            ));
        }
        let _one_at_a_time = self.proof_keys().calling.lock().await;
        let now = self.clock().now();
        if self.proof_keys().is_fresh(&url, now) {
            return Ok(()); // somebody fetched it while we waited
        }
        let down =
            || rejection(RejectionKind::Unavailable, "key_server_down", "the sender's key cannot be fetched now");
        if self.proof_keys().is_paused(now) {
            return Err(down());
        }
        let problem = match self.outbound().call(request, TIMEOUT).await {
            Answer::Response(response) if response.status().is_success() => {
                self.proof_keys().put(url, response.into_body(), self.clock().now());
                return Ok(());
            }
            Answer::Response(response) => response.status().to_string(),
            Answer::Failed(failure) => failure.to_string(),
        };
        self.proof_keys().known.write().failed_at = Some(self.clock().now());
        tracing::warn!(%problem, "a sender's key cannot be fetched");
        Err(down())
    }
}

fn rejection(kind: RejectionKind, reason: &'static str, detail: &str) -> Rejection {
    Rejection { kind, reason, detail: detail.to_owned(), pointer: None }
}
