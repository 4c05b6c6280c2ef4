//! A stand-in for what a subscription hub asks Google: access tokens, the keys that pushes are signed with, and the part of
//! the Play Developer API that shows purchases.
//!
//! Point the hub's `PAIDUP_PLAY_API_URL` at [`PlayApi::url`] and `PAIDUP_GOOGLE_OAUTH_URL` at [`PlayApi::token_url`]; the keys
//! are beside them. It answers from the shelf of a simulated [`Play`]: how things stand at the moment of asking, however
//! late the notifications about it are. It keeps the rules that bite: the grant's signature and claims, tokens that expire,
//! 410 for purchases that expired 60 days ago, 30 days of voided purchases in pages, quotas, and acknowledging in time
//! where that is left to the hub ([`Shelf::leave_acknowledging_to_the_hub`](crate::stores::play::shelf::Shelf)).
//! Pages: "Using OAuth 2.0 for Server to Server Applications", the Android Publisher API v3 reference, "Quotas".

mod answers;
mod grant;
#[cfg(test)]
mod tests;

use crate::chance::Chance;
use crate::edge::Clock;
use crate::standins::Server;
use crate::standins::faults::Faults as ApiFaults;
use crate::standins::limits::{Limit, Window};
use crate::stores::play::Play;
use answers::Answer;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use grant::Grants;
use http::header::{AUTHORIZATION, CACHE_CONTROL};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How it is started.
#[derive(Debug, Clone)]
pub struct PlayApiOptions {
    /// Calls in a span. Google allows 3,000 a minute.
    pub limit: Limit,
    /// Calls for voided purchases: 30 in 30 seconds.
    pub voided_limit: Limit,
    /// How long an access token lives, in seconds.
    pub token_seconds: i64,
    /// Where time comes from.
    pub clock: Clock,
    /// 0 for a free one.
    pub port: u16,
}

impl Default for PlayApiOptions {
    fn default() -> Self {
        PlayApiOptions {
            limit: Limit { calls: 3_000, span_ms: 60_000 },
            voided_limit: Limit { calls: 30, span_ms: 30_000 },
            token_seconds: 3_599,
            clock: Clock::System,
            port: 0,
        }
    }
}

/// What goes wrong on demand, until it is set otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// What goes wrong at the Developer API; the delay is everywhere.
    pub api: ApiFaults,
    /// The key server answers 503.
    pub keys_down: bool,
    /// No tokens are handed out: 503.
    pub tokens_down: bool,
    /// The service account has no right to see the app: 403.
    pub forbidden: bool,
}

/// The account of calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Calls of the API.
    pub calls: u64,
    /// Answered 200.
    pub answered: u64,
    /// Access tokens handed out.
    pub tokens: u64,
    /// Times that the keys were fetched.
    pub keys: u64,
    /// Calls that acknowledged something.
    pub acknowledged: u64,
    /// Answered 401: no token, an expired one, or a foreign one.
    pub unauthorized: u64,
    /// Answered 404.
    pub missing: u64,
    /// Answered 410.
    pub gone: u64,
    /// Answered 429.
    pub limited: u64,
    /// Answered with a fault on demand.
    pub faults: u64,
    /// Calls that Google would refuse as wrong (400, 403, 405), with what is wrong: a hub must not make them.
    pub wrong: Vec<String>,
}

/// Wrong calls that are kept.
const MAX_WRONG: usize = 20;
/// Google names a time in this header; its keys change every few weeks.
const KEYS_CACHED: &str = "public, max-age=19845, must-revalidate, no-transform";

/// The running stand-in.
#[derive(Debug)]
pub struct PlayApi {
    shared: Shared,
    server: Server,
}

#[derive(Clone)]
struct Shared {
    play: Arc<Play>,
    inner: Arc<Mutex<Inner>>,
    clock: Clock,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

struct Inner {
    faults: Faults,
    chance: Chance,
    report: Report,
    grants: Grants,
    window: Window,
    voided_window: Window,
}

impl PlayApi {
    /// Starts it over this app.
    pub async fn start(play: Arc<Play>, options: PlayApiOptions) -> std::io::Result<PlayApi> {
        let inner = Inner {
            faults: Faults::default(),
            chance: Chance::new(1, 0),
            report: Report::default(),
            grants: Grants::new(options.token_seconds),
            window: Window::new(options.limit),
            voided_window: Window::new(options.voided_limit),
        };
        let shared = Shared { play, inner: Arc::new(Mutex::new(inner)), clock: options.clock };
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let server = Server::start(router, options.port).await?;
        Ok(PlayApi { shared, server })
    }

    /// What stands for `https://androidpublisher.googleapis.com`.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// What stands for `https://oauth2.googleapis.com/token`.
    #[must_use]
    pub fn token_url(&self) -> String {
        format!("{}/token", self.server.url())
    }

    /// What stands for `https://www.googleapis.com/oauth2/v3/certs`.
    #[must_use]
    pub fn keys_url(&self) -> String {
        format!("{}/oauth2/v3/certs", self.server.url())
    }

    /// Sets what goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.lock().faults = faults;
    }

    /// The account of calls so far.
    #[must_use]
    pub fn report(&self) -> Report {
        self.shared.lock().report.clone()
    }
}

impl Inner {
    fn strikes(&mut self) -> bool {
        self.faults.api.strikes(&mut self.chance)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decide(&self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Answer {
        match uri.path() {
            "/token" => self.hand_out(method, headers, body),
            "/oauth2/v3/certs" => self.keys(method),
            _ => self.api(method, uri, headers),
        }
    }

    fn keys(&self, method: &Method) -> Answer {
        let mut inner = self.lock();
        if inner.faults.keys_down {
            inner.report.faults += 1;
            return Answer::down();
        }
        if method != Method::GET {
            return Answer::no_method(method);
        }
        inner.report.keys += 1;
        Answer::ok(self.play.google().key_set())
    }

    fn hand_out(&self, method: &Method, headers: &HeaderMap, body: &[u8]) -> Answer {
        let mut inner = self.lock();
        if inner.faults.tokens_down {
            inner.report.faults += 1;
            return Answer::down();
        }
        if method != Method::POST {
            return Answer::no_method(method);
        }
        let answer = inner.grants.hand_out(headers, body, self.clock.now_ms());
        if answer.status == StatusCode::OK {
            inner.report.tokens += 1;
        } else {
            note(&mut inner.report, format!("POST /token: {}", answer.body));
        }
        answer
    }

    fn api(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Answer {
        let now = self.clock.now_ms();
        if let Err(refusal) = self.admit(uri, headers, now) {
            return refusal;
        }
        let mut shelf = self.play.shelf();
        shelf.catch_up(now);
        let answer = answers::answer(&mut shelf, self.play.app(), method, uri, now);
        drop(shelf);
        let mut inner = self.lock();
        match answer.status {
            StatusCode::OK if method == Method::POST => inner.report.acknowledged += 1,
            StatusCode::OK => inner.report.answered += 1,
            StatusCode::NOT_FOUND => inner.report.missing += 1,
            StatusCode::GONE => inner.report.gone += 1,
            _ => note(&mut inner.report, format!("{method} {}: {}", uri.path(), answer.body["error"]["message"])),
        }
        answer
    }

    /// Whether a call gets as far as an answer.
    fn admit(&self, uri: &Uri, headers: &HeaderMap, now: i64) -> Result<(), Answer> {
        let mut inner = self.lock();
        inner.report.calls += 1;
        if inner.strikes() {
            inner.report.faults += 1;
            return Err(Answer::down());
        }
        let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !inner.grants.is_valid(header.strip_prefix("Bearer ").unwrap_or_default(), now) {
            inner.report.unauthorized += 1;
            return Err(Answer::unauthenticated());
        }
        if inner.faults.forbidden {
            inner.report.faults += 1;
            return Err(Answer::forbidden());
        }
        let voided = uri.path().ends_with("/purchases/voidedpurchases");
        let is_within = if voided { inner.voided_window.take(now) } else { inner.window.take(now) }.is_ok();
        if inner.faults.api.limited || !is_within {
            inner.report.limited += 1;
            return Err(Answer::limited());
        }
        Ok(())
    }
}

fn note(report: &mut Report, wrong: String) {
    if report.wrong.len() < MAX_WRONG {
        report.wrong.push(wrong);
    }
}

async fn answer(State(shared): State<Shared>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let delay = shared.lock().faults.api.delay;
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let answer = shared.decide(&method, &uri, &headers, &body);
    let mut response = match answer.body {
        // Acknowledging is answered with nothing at all.
        serde_json::Value::Null => answer.status.into_response(),
        body => (answer.status, axum::Json(body)).into_response(),
    };
    if uri.path() == "/oauth2/v3/certs" && answer.status == StatusCode::OK {
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(KEYS_CACHED));
    }
    response
}
