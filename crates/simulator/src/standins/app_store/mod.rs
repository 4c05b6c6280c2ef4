//! A stand-in for the App Store Server API: all subscription statuses, transactions, refunds, the history of notifications,
//! test notifications (really sent), consumption information and the status of extensions.
//!
//! Point the hub's `PAIDUP_APPSTORE_API_URL` at [`AppStoreApi::url`]. It answers from the account of a simulated
//! [`AppStore`]: how things stand at the moment of asking, signed at that moment with the chain of the notifications. It keeps
//! the rules that bite: the token, dates, pages, filters, one limit of calls.
//! Pages: Apple's "App Store Server API" (each endpoint's own, "Error codes", "Identifying rate limits").

mod answer;
mod consumption;
mod history;
mod query;
mod read;
#[cfg(test)]
mod tests;
mod token;

pub use crate::standins::faults::Faults;

use crate::chance::Chance;
use crate::edge::{self, Clock};
use crate::standins::Server;
use crate::standins::limits::{Limit, Window};
use crate::stores::app_store::AppStore;
use crate::stores::app_store::account::{SendAttempt, SendResult};
use answer::Answer;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Method, StatusCode, Uri};
use query::Query;
use read::Desk;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How it is started.
#[derive(Debug, Clone)]
pub struct AppStoreApiOptions {
    /// Calls in a span. ASSUMPTION: 50 a second over all endpoints; Apple limits each by itself, most of them to that.
    pub limit: Limit,
    /// Where time comes from.
    pub clock: Clock,
    /// 0 for a free one.
    pub port: u16,
}

impl Default for AppStoreApiOptions {
    fn default() -> Self {
        AppStoreApiOptions { limit: Limit { calls: 50, span_ms: 1_000 }, clock: Clock::System, port: 0 }
    }
}

/// The account of calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Calls.
    pub calls: u64,
    /// Answered 200 or 202.
    pub answered: u64,
    /// Answered 401, with what was wrong with the token.
    pub unauthorized: Vec<String>,
    /// Answered 404 for a transaction, a test or an extension that is not there.
    pub missing: u64,
    /// Answered 429.
    pub limited: u64,
    /// Answered with a fault on demand.
    pub faults: u64,
    /// Consumption information that was taken, by transaction.
    pub consumption: Vec<(String, Value)>,
    /// Calls that Apple would refuse as wrong, with what is wrong: a hub must not make them.
    pub wrong: Vec<String>,
}

/// Rows that each list of the report keeps.
const MAX_KEPT: usize = 20;
/// The most test notifications that are remembered.
const MAX_TESTS: usize = 1_000;

/// The running stand-in.
#[derive(Debug)]
pub struct AppStoreApi {
    shared: Shared,
    server: Server,
}

#[derive(Clone)]
struct Shared {
    store: Arc<AppStore>,
    inner: Arc<Mutex<Inner>>,
    clock: Clock,
    client: reqwest::Client,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

struct Inner {
    faults: Faults,
    report: Report,
    window: Window,
    chance: Chance,
    /// Where notifications go: what App Store Connect has as the production (or sandbox) server URL.
    notification_url: Option<String>,
    tests: HashMap<String, Test>,
    extensions: HashMap<(String, String), Extension>,
}

/// A test notification.
#[derive(Clone)]
struct Test {
    signed_payload: String,
    attempts: Vec<SendAttempt>,
}

/// How an extension of the renewal dates of all active subscribers stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension {
    /// When it was finished, in milliseconds since 1970; until then Apple is still at it.
    pub complete_date: Option<i64>,
    /// Subscriptions that were extended.
    pub succeeded: u64,
    /// Subscriptions that were not.
    pub failed: u64,
}

impl AppStoreApi {
    /// Starts it over this store.
    pub async fn start(store: Arc<AppStore>, options: AppStoreApiOptions) -> std::io::Result<AppStoreApi> {
        let inner = Inner {
            faults: Faults::default(),
            report: Report::default(),
            window: Window::new(options.limit),
            chance: Chance::new(0, 1),
            notification_url: None,
            tests: HashMap::new(),
            extensions: HashMap::new(),
        };
        let client = edge::client().map_err(std::io::Error::other)?;
        let shared = Shared { store, inner: Arc::new(Mutex::new(inner)), clock: options.clock, client };
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let server = Server::start(router, options.port).await?;
        Ok(AppStoreApi { shared, server })
    }

    /// What stands for `https://api.storekit.apple.com`.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Sets what goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.lock().faults = faults;
    }

    /// Sets where test notifications go: the server URL of the app.
    pub fn set_notification_url(&self, url: &str) {
        self.shared.lock().notification_url = Some(url.to_owned());
    }

    /// Somebody extends the renewal dates of all active subscribers of a product.
    pub fn set_extension(&self, product_id: &str, request_identifier: &str, extension: Extension) {
        let key = (product_id.to_owned(), request_identifier.to_owned());
        self.shared.lock().extensions.insert(key, extension);
    }

    /// The account of calls so far.
    #[must_use]
    pub fn report(&self) -> Report {
        self.shared.lock().report.clone()
    }
}

async fn answer(State(shared): State<Shared>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let delay = shared.lock().faults.delay;
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    shared.decide(&method, &uri, &headers, &body).into_response()
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decide(&self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Answer {
        let now = self.clock.now_ms();
        if let Some(refusal) = self.turned_away(headers, now) {
            return refusal;
        }
        self.store.account().catch_up(now);
        let answer = self.route(method, uri, headers, body, now);
        let mut inner = self.lock();
        match answer.status() {
            StatusCode::OK | StatusCode::ACCEPTED => inner.report.answered += 1,
            StatusCode::NOT_FOUND if !matches!(answer, Answer::NoRoute) => inner.report.missing += 1,
            status => {
                if inner.report.wrong.len() < MAX_KEPT {
                    inner.report.wrong.push(format!("{method} {uri}: {status} {answer:?}"));
                }
            }
        }
        answer
    }

    /// Before anything is looked at: faults, the token, the limit.
    fn turned_away(&self, headers: &HeaderMap, now: i64) -> Option<Answer> {
        let mut inner = self.lock();
        inner.report.calls += 1;
        let faults = inner.faults;
        if faults.strikes(&mut inner.chance) {
            inner.report.faults += 1;
            return Some(answer::INTERNAL);
        }
        let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if let Err(wrong) = token::check(authorization, &self.store, now) {
            if inner.report.unauthorized.len() < MAX_KEPT {
                inner.report.unauthorized.push(wrong.to_owned());
            }
            return Some(Answer::Unauthenticated);
        }
        let wait = if faults.limited { Err(1_000) } else { inner.window.take(now) };
        wait.err().map(|wait| {
            inner.report.limited += 1;
            Answer::Limited(now + wait)
        })
    }

    fn route(&self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8], now: i64) -> Answer {
        let query = Query::parse(uri.query().unwrap_or_default());
        let parts: Vec<&str> = uri.path().trim_start_matches('/').split('/').collect();
        let account = self.store.account();
        let desk = Desk { store: &self.store, account: &account, now };
        let is_json = || {
            let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
            kind.starts_with("application/json")
        };
        match (method.as_str(), parts.as_slice()) {
            ("GET", ["inApps", "v1", "subscriptions", id]) => desk.statuses(id, &query),
            ("GET", ["inApps", "v1", "transactions", id]) => desk.transaction(id),
            ("GET", ["inApps", "v2", "history", id]) => desk.transactions(id, &query),
            ("GET", ["inApps", "v2", "refund", "lookup", id]) => desk.refunds(id, &query),
            ("POST", ["inApps", "v1", "notifications", "history"]) if is_json() => {
                history::answer(&self.store, &account, &query, body, now)
            }
            ("PUT", ["inApps", version @ ("v1" | "v2"), "transactions", "consumption", id]) if is_json() => {
                let is_known = account.transaction(id).is_some();
                self.consumption(version, id, is_known, body)
            }
            ("GET", ["inApps", "v1", "subscriptions", "extend", "mass", product, request]) => {
                self.extension(product, request)
            }
            ("POST", ["inApps", "v1", "notifications", "test"]) => self.test(now),
            ("GET", ["inApps", "v1", "notifications", "test", token]) => self.test_status(token),
            _ => Answer::NoRoute,
        }
    }

    fn consumption(&self, version: &str, id: &str, is_known: bool, body: &[u8]) -> Answer {
        if !read::is_id(id) {
            return answer::INVALID_TRANSACTION;
        }
        if !is_known {
            return answer::NO_TRANSACTION;
        }
        let Ok(body) = serde_json::from_slice::<Value>(body) else { return answer::BAD_REQUEST };
        let checked = if version == "v1" { consumption::check_v1(&body) } else { consumption::check_v2(&body) };
        if let Err(refusal) = checked {
            return refusal;
        }
        let kept = &mut self.lock().report.consumption;
        if kept.len() < MAX_KEPT {
            kept.push((id.to_owned(), body));
        }
        Answer::Accepted
    }

    fn extension(&self, product: &str, request: &str) -> Answer {
        if request.len() != 36 || !request.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
            return answer::INVALID_IDENTIFIER;
        }
        let Some(extension) = self.lock().extensions.get(&(product.to_owned(), request.to_owned())).copied() else {
            return answer::NO_EXTENSION;
        };
        let mut body = json!({"requestIdentifier": request, "complete": extension.complete_date.is_some()});
        if let Some(date) = extension.complete_date {
            body["completeDate"] = date.into();
            body["succeededCount"] = extension.succeeded.into();
            body["failedCount"] = extension.failed.into();
        }
        Answer::Json(body)
    }

    /// Sends a test notification; what came of it is told under its token.
    fn test(&self, now: i64) -> Answer {
        let mut inner = self.lock();
        let Some(url) = inner.notification_url.clone() else { return answer::NO_URL };
        if inner.tests.len() >= MAX_TESTS {
            return Answer::Limited(now + 1_000);
        }
        let uuid = inner.chance.uuid();
        let token = format!("{}_{now}", inner.chance.uuid());
        let (Ok(signed_payload), Ok(body)) = (self.store.signed_test(&uuid, now), self.store.test_body(&uuid, now))
        else {
            return answer::INTERNAL;
        };
        inner.tests.insert(token.clone(), Test { signed_payload, attempts: Vec::new() });
        tokio::spawn(self.clone().send_test(url, body, token.clone()));
        Answer::Json(json!({"testNotificationToken": token}))
    }

    async fn send_test(self, url: String, body: Vec<u8>, token: String) {
        let request = self.client.post(url).header(CONTENT_TYPE, "application/json").body(body);
        let send_attempt_result = match request.send().await {
            Ok(answer) if answer.status().is_success() => SendResult::Success,
            Ok(_) => SendResult::UnsuccessfulHttpResponseCode,
            Err(error) if error.is_timeout() => SendResult::TimedOut,
            Err(_) => SendResult::SocketIssue,
        };
        let attempt = SendAttempt { attempt_date: self.clock.now_ms(), send_attempt_result };
        if let Some(test) = self.lock().tests.get_mut(&token) {
            test.attempts.push(attempt);
        }
    }

    /// Until it was tried there is nothing to say.
    fn test_status(&self, token: &str) -> Answer {
        let is_token = token.split_once('_').is_some_and(|(uuid, date)| uuid.len() == 36 && read::is_id(date));
        if !is_token {
            return answer::INVALID_TEST_TOKEN;
        }
        match self.lock().tests.get(token) {
            Some(test) if !test.attempts.is_empty() => {
                Answer::Json(json!({"signedPayload": test.signed_payload, "sendAttempts": test.attempts}))
            }
            Some(_) | None => answer::NO_TEST,
        }
    }
}
