//! A stand-in for the part of Stripe's API that a subscription hub reads: subscriptions, invoices and what paid them,
//! charges, refunds, disputes, checkout sessions, customers, schedules, events.
//!
//! Point the hub's `PAIDUP_STRIPE_API_URL` at [`StripeApi::url`]. It answers from the account of a simulated
//! [`Stripe`]: how things stand at the moment of asking, however late the webhooks about it are, in the version that `Stripe-Version` names.
//! It keeps the rules that bite: the key, unknown parameters and expansions, limits, pages, 100 reads a second.
//! It only reads; search, idempotency keys and Connect are not played. Pages: Stripe's API reference ("Errors",
//! "Expanding Responses", "Pagination", "Versioning"), "Rate limits".

mod answers;
mod query;
#[cfg(test)]
mod tests;

pub use crate::standins::faults::Faults;

use crate::chance::Chance;
use crate::edge::Clock;
use crate::standins::Server;
use crate::standins::limits::{Limit, Window};
use crate::stores::stripe::Stripe;
use crate::stores::stripe::render::Pen;
use crate::stores::stripe::shape::Shape;
use answers::Answer;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use query::Query;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How it is started.
#[derive(Debug, Clone)]
pub struct StripeApiOptions {
    /// Calls in a span. Stripe allows 100 reads a second in live mode.
    pub limit: Limit,
    /// Where time comes from.
    pub clock: Clock,
    /// 0 for a free one.
    pub port: u16,
}

impl Default for StripeApiOptions {
    fn default() -> Self {
        StripeApiOptions { limit: Limit { calls: 100, span_ms: 1_000 }, clock: Clock::System, port: 0 }
    }
}

/// The account of calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Calls.
    pub calls: u64,
    /// Answered 200.
    pub answered: u64,
    /// Answered 401: no key, or a wrong one.
    pub unauthorized: u64,
    /// Answered 404.
    pub missing: u64,
    /// Answered 429.
    pub limited: u64,
    /// Answered with a fault on demand.
    pub faults: u64,
    /// Calls that Stripe would refuse as wrong (400, 405), with what is wrong: a hub must not make them.
    pub wrong: Vec<String>,
}

/// Wrong calls that are kept.
const MAX_WRONG: usize = 20;

/// The running stand-in.
#[derive(Debug)]
pub struct StripeApi {
    shared: Shared,
    server: Server,
}

#[derive(Clone)]
struct Shared {
    stripe: Arc<Stripe>,
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
    report: Report,
    window: Window,
    chance: Chance,
}

impl StripeApi {
    /// Starts it over this account.
    pub async fn start(stripe: Arc<Stripe>, options: StripeApiOptions) -> std::io::Result<StripeApi> {
        let inner = Inner {
            faults: Faults::default(),
            report: Report::default(),
            window: Window::new(options.limit),
            chance: Chance::new(0, 0),
        };
        let shared = Shared { stripe, inner: Arc::new(Mutex::new(inner)), clock: options.clock };
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let server = Server::start(router, options.port).await?;
        Ok(StripeApi { shared, server })
    }

    /// What stands for `https://api.stripe.com`.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
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

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `Bearer KEY`, or the key as the user of basic authentication.
    fn is_known(&self, headers: &HeaderMap) -> bool {
        use base64::Engine as _;
        use base64::engine::general_purpose::STANDARD;
        let key = self.stripe.api_key();
        let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        header == format!("Bearer {key}") || header == format!("Basic {}", STANDARD.encode(format!("{key}:")))
    }

    fn decide(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Answer {
        let mut inner = self.lock();
        inner.report.calls += 1;
        let faults = inner.faults;
        if faults.strikes(&mut inner.chance) {
            inner.report.faults += 1;
            let message = "Sorry! There was an error while talking to one of our backends.";
            return Answer::error(StatusCode::SERVICE_UNAVAILABLE, "api_error", None, message);
        }
        if !self.is_known(headers) {
            inner.report.unauthorized += 1;
            let given = headers.contains_key(AUTHORIZATION);
            let message = if given { "Invalid API Key provided" } else { "You did not provide an API key." };
            return Answer::error(StatusCode::UNAUTHORIZED, "invalid_request_error", None, message);
        }
        let now = self.clock.now_ms();
        if inner.faults.limited || inner.window.take(now).is_err() {
            inner.report.limited += 1;
            return Answer::limited();
        }
        drop(inner);
        let answer = self.read(method, uri, headers);
        let mut inner = self.lock();
        match answer.status {
            StatusCode::OK => inner.report.answered += 1,
            StatusCode::NOT_FOUND => inner.report.missing += 1,
            _ => {
                if inner.report.wrong.len() < MAX_WRONG {
                    inner.report.wrong.push(format!("{method} {uri}: {}", answer.body["error"]["message"]));
                }
            }
        }
        answer
    }

    fn read(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Answer {
        if method != Method::GET {
            return Answer::error(StatusCode::METHOD_NOT_ALLOWED, "invalid_request_error", None, "this key only reads");
        }
        let pen = match headers.get("stripe-version").map(|version| version.to_str().unwrap_or_default()) {
            None => self.stripe.pen(),
            Some(version) => match Shape::of_version(version) {
                Some(shape) => Pen { shape, ..self.stripe.pen() },
                None => return Answer::wrong(None, &format!("Invalid Stripe API version: {version}")),
            },
        };
        let query = match Query::parse(uri.query().unwrap_or_default()) {
            Ok(query) => query,
            Err(answer) => return *answer,
        };
        let mut account = self.stripe.account();
        account.catch_up(self.clock.now_ms());
        answers::answer(&account, pen, uri.path(), &query)
    }
}

async fn answer(State(shared): State<Shared>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let delay = shared.lock().faults.delay;
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let answer = shared.decide(&method, &uri, &headers);
    let version = headers.get("stripe-version").cloned();
    let version = version.unwrap_or_else(|| HeaderValue::from_static(shared.stripe.pen().shape.version()));
    let mut response = (answer.status, axum::Json(answer.body)).into_response();
    let told = response.headers_mut();
    told.insert("request-id", HeaderValue::from_static("req_simulated"));
    told.insert("stripe-version", version);
    if answer.status == StatusCode::TOO_MANY_REQUESTS {
        // ASSUMPTION: no Retry-After; Stripe's pages name this header only.
        told.insert("stripe-rate-limited-reason", HeaderValue::from_static("global-rate"));
    }
    if [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE].contains(&answer.status) {
        told.insert("stripe-should-retry", HeaderValue::from_static("true"));
    }
    response
}

/// An error body.
fn error_body(kind: &str, code: Option<&str>, param: Option<&str>, message: &str) -> Value {
    let mut error = json!({"message": message, "type": kind});
    if let Some(code) = code {
        error["code"] = code.into();
        error["doc_url"] = format!("https://stripe.com/docs/error-codes/{}", code.replace('_', "-")).into();
    }
    if let Some(param) = param {
        error["param"] = param.into();
    }
    json!({"error": error})
}
