//! A stand-in for what a hub asks Discord about an app's sales: its SKUs, entitlements and subscriptions, with a bot's token.
//!
//! Point the hub's `PAIDUP_DISCORD_API_URL` at [`DiscordAppApi::url`]; where the hub also tells Discord something, take
//! [`DiscordAppApi::router`] to the stand-in for that (`standins/discord`), because both have one address. Entitlements and
//! subscriptions are answered as they stand at the moment of asking, however late the events about them are. Making and deleting
//! test entitlements, and users' own tokens, are not played.
//! Pages: Discord's "Entitlement", "Subscription", "SKU", "Rate limits" and "Opcodes and status codes".

mod answers;
mod query;
#[cfg(test)]
mod tests;

use crate::chance::Chance;
use crate::edge::Clock;
use crate::standins::Server;
use crate::standins::discord::NO_AGENT;
use crate::standins::discord::answers::Answer;
use crate::standins::discord::rules::is_agent;
use crate::standins::faults::Faults;
use crate::standins::limits::{Limit, Window};
use crate::stores::discord::Discord;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::header::{AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::json;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How it is started.
#[derive(Debug, Clone)]
pub struct DiscordAppApiOptions {
    /// Calls in a span. ASSUMPTION: of these routes Discord publishes no limit of their own, so they have its global one.
    pub limit: Limit,
    /// Where time comes from.
    pub clock: Clock,
    /// 0 for a free one.
    pub port: u16,
}

impl Default for DiscordAppApiOptions {
    fn default() -> Self {
        DiscordAppApiOptions { limit: Limit { calls: 50, span_ms: 1_000 }, clock: Clock::System, port: 0 }
    }
}

/// The account of calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Calls.
    pub calls: u64,
    /// Answered with a success.
    pub answered: u64,
    /// Answered 404 for something that does not exist.
    pub missing: u64,
    /// Answered 429.
    pub limited: u64,
    /// Of these: made although an earlier answer had said to wait.
    pub avoidable: u64,
    /// Answered 401.
    pub unauthorized: u64,
    /// Answered with a fault on demand.
    pub faults: u64,
    /// Calls that Discord would refuse as wrong, with what is wrong: a hub must not make them.
    pub wrong: Vec<String>,
}

/// Wrong calls that are kept.
const MAX_WRONG: usize = 20;
/// The wait that is told when somebody else used the limit up.
const SHARED_WAIT_MS: i64 = 1_000;

/// The running stand-in.
#[derive(Debug)]
pub struct DiscordAppApi {
    shared: Shared,
    server: Server,
}

#[derive(Clone)]
struct Shared {
    discord: Arc<Discord>,
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
    window: Window,
    /// Until when the caller knows that there is no room.
    told_to_wait_until: i64,
}

/// Where these routes begin; a path without a version is Discord's oldest.
const PREFIXES: [&str; 3] = ["/api/v10", "/api/v9", "/api"];

impl DiscordAppApi {
    /// Starts it over this app.
    pub async fn start(discord: Arc<Discord>, options: DiscordAppApiOptions) -> std::io::Result<DiscordAppApi> {
        let inner = Inner {
            faults: Faults::default(),
            chance: Chance::new(1, 0),
            report: Report::default(),
            window: Window::new(options.limit),
            told_to_wait_until: i64::MIN,
        };
        let shared = Shared { discord, inner: Arc::new(Mutex::new(inner)), clock: options.clock };
        let own = router(shared.clone()).fallback(|| async { Answer::code(answers::NO_ROUTE) });
        let server = Server::start(own, options.port).await?;
        Ok(DiscordAppApi { shared, server })
    }

    /// What stands for `https://discord.com/api/v10`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/api/v10", self.server.url())
    }

    /// The same on another server that plays the rest of Discord.
    pub fn router(&self) -> Router {
        router(self.shared.clone())
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

fn router(shared: Shared) -> Router {
    let paths = PREFIXES.iter().flat_map(|prefix| [format!("{prefix}/applications"), format!("{prefix}/skus")]);
    let routes = paths.fold(Router::new(), |router, path| router.route(&format!("{path}/{{*rest}}"), any(answer)));
    routes.with_state(shared)
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decide(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Answer {
        let now = self.clock.now_ms();
        let told = self.refusal(method, uri, headers, now).unwrap_or_else(|| self.told(method, uri, now));
        let inner = self.lock();
        let remaining = inner.window.remaining();
        told.with_bucket(&inner.window, remaining, now)
    }

    fn told(&self, method: &Method, uri: &Uri, now: i64) -> Answer {
        let path = PREFIXES.iter().find_map(|prefix| uri.path().strip_prefix(prefix)).unwrap_or_default();
        let mut shelf = self.discord.shelf();
        shelf.catch_up(now);
        let answer = answers::answer(&self.discord, &mut shelf, method, path, uri.query().unwrap_or_default());
        drop(shelf);
        let mut inner = self.lock();
        match answer.status {
            status if status.is_success() => inner.report.answered += 1,
            // What does not exist is asked for by who cannot know.
            StatusCode::NOT_FOUND if !answer.is(answers::NO_ROUTE) => inner.report.missing += 1,
            status => note(&mut inner.report, format!("{method} {path}: {status}")),
        }
        answer
    }

    /// Why a call does not get as far as an answer.
    fn refusal(&self, method: &Method, uri: &Uri, headers: &HeaderMap, now: i64) -> Option<Answer> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        inner.report.calls += 1;
        inner.report.avoidable += u64::from(now < inner.told_to_wait_until);
        if inner.faults.strikes(&mut inner.chance) {
            inner.report.faults += 1;
            let body = json!({"message": "500: Internal Server Error", "code": 0});
            return Some(Answer::json(StatusCode::INTERNAL_SERVER_ERROR, body));
        }
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !is_agent(text(USER_AGENT)) {
            note(&mut inner.report, format!("{method} {}: a User-Agent that is not Discord's form", uri.path()));
            return Some(Answer::code(NO_AGENT));
        }
        if text(AUTHORIZATION).strip_prefix("Bot ") != Some(self.discord.bot_token()) {
            inner.report.unauthorized += 1;
            return Some(Answer::code(answers::UNAUTHORIZED));
        }
        let (scope, wait) = match inner.window.take(now) {
            _ if inner.faults.limited => ("shared", SHARED_WAIT_MS),
            Ok(()) => return None,
            Err(wait) => ("user", wait),
        };
        inner.report.limited += 1;
        inner.told_to_wait_until = inner.told_to_wait_until.max(now + wait);
        Some(Answer::limited(scope, wait))
    }
}

fn note(report: &mut Report, wrong: String) {
    if report.wrong.len() < MAX_WRONG {
        report.wrong.push(wrong);
    }
}

async fn answer(State(shared): State<Shared>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let delay = shared.lock().faults.delay;
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    shared.decide(&method, &uri, &headers).into_response()
}
