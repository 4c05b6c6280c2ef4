//! A stand-in for the part of Intercom's REST API that a subscription hub uses: contacts, data attributes, events.
//!
//! Point the hub's `PAIDUP_INTERCOM_API_URL` at [`Intercom::api_url`] and give the destination [`Intercom::token`].
//! It keeps the rules that bite: an event needs its contact first, a custom attribute must exist before it is written, an
//! external id is unique, an event that comes twice counts once, 120 event names, 10-second rate limits.
//! Search, merging, companies and OAuth are not played. Pages: Intercom's API reference 2.14, "Rate Limiting", "HTTP
//! Responses", "Error Codes".

mod state;
#[cfg(test)]
mod tests;

pub use state::{Contact, Noted, Report};

use crate::edge::Clock;
use crate::standins::Server;
use crate::standins::limits::Limit;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};
use state::Inner;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How it is started.
#[derive(Debug, Clone)]
pub struct IntercomOptions {
    /// Calls in a window. Intercom's default of 10,000 a minute, spread over windows of 10 s.
    pub limit: Limit,
    /// Where time comes from.
    pub clock: Clock,
    /// 0 for a free one.
    pub port: u16,
}

impl Default for IntercomOptions {
    fn default() -> Self {
        IntercomOptions { limit: Limit { calls: 1_666, span_ms: 10_000 }, clock: Clock::System, port: 0 }
    }
}

/// The running stand-in.
#[derive(Debug)]
pub struct Intercom {
    shared: Shared,
    server: Server,
}

#[derive(Debug, Clone)]
struct Shared {
    inner: Arc<Mutex<Inner>>,
    clock: Clock,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The access token of the workspace.
const TOKEN: &str = "dG9rOnNpbXVsYXRlZC1pbnRlcmNvbQ==";
/// Far above any request of a hub.
const MAX_BODY: usize = 1024 * 1024;

impl Intercom {
    /// Starts an empty workspace.
    pub async fn start(options: IntercomOptions) -> std::io::Result<Intercom> {
        let shared = Shared { inner: Arc::new(Mutex::new(Inner::new(options.limit))), clock: options.clock };
        let server = Server::start(router(shared.clone()), options.port).await?;
        Ok(Intercom { shared, server })
    }

    /// What stands for `https://api.intercom.io`.
    #[must_use]
    pub fn api_url(&self) -> String {
        self.server.url()
    }

    /// The token that opens it.
    #[must_use]
    pub const fn token(&self) -> &'static str {
        TOKEN
    }

    /// What it saw so far.
    #[must_use]
    pub fn report(&self) -> Report {
        self.shared.lock().report()
    }

    /// The contact with this external id.
    #[must_use]
    pub fn contact(&self, external_id: &str) -> Option<Contact> {
        self.shared.lock().contact(external_id)
    }

    /// Somebody archives a contact in Intercom.
    pub fn archive(&self, external_id: &str) {
        self.shared.lock().archive(external_id);
    }

    /// The last events, oldest first; at most 200.
    #[must_use]
    pub fn events(&self) -> Vec<Noted> {
        self.shared.lock().events()
    }
}

/// An answer: status and body (null for none).
type Answer = (StatusCode, Value);

fn error(status: StatusCode, code: &str, message: &str) -> Answer {
    let errors = json!([{"code": code, "message": message, "field": null}]);
    (status, json!({"type": "error.list", "request_id": "simulated", "errors": errors}))
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route(
            "/me",
            get(async |State(shared): State<Shared>, headers: HeaderMap| {
                answer(&shared, &headers, |_, _| (StatusCode::OK, state::me()))
            }),
        )
        .route(
            "/contacts",
            post(async |State(shared): State<Shared>, headers: HeaderMap, body: Bytes| {
                answer(&shared, &headers, |inner, now| with_json(&body, |body| inner.create(body, now)))
            }),
        )
        .route(
            "/contacts/{id}",
            get(async |State(shared): State<Shared>, Path(id): Path<String>, headers: HeaderMap| {
                answer(&shared, &headers, |inner, _| inner.read(&id))
            })
            .put(
                async |State(shared): State<Shared>, Path(id): Path<String>, headers: HeaderMap, body: Bytes| {
                    answer(&shared, &headers, |inner, now| with_json(&body, |body| inner.update(&id, body, now)))
                },
            ),
        )
        .route(
            "/contacts/{id}/unarchive",
            post(async |State(shared): State<Shared>, Path(id): Path<String>, headers: HeaderMap| {
                answer(&shared, &headers, |inner, _| inner.unarchive(&id))
            }),
        )
        .route(
            "/contacts/find_by_external_id/{id}",
            get(async |State(shared): State<Shared>, Path(id): Path<String>, headers: HeaderMap| {
                answer(&shared, &headers, |inner, _| inner.find(&id))
            }),
        )
        .route(
            "/data_attributes",
            get(async |State(shared): State<Shared>, headers: HeaderMap| {
                answer(&shared, &headers, |inner, _| inner.attributes())
            })
            .post(async |State(shared): State<Shared>, headers: HeaderMap, body: Bytes| {
                answer(&shared, &headers, |inner, _| with_json(&body, |body| inner.add_attribute(body)))
            }),
        )
        .route(
            "/events",
            post(async |State(shared): State<Shared>, headers: HeaderMap, body: Bytes| {
                answer(&shared, &headers, |inner, _| with_json(&body, |body| inner.track(body)))
            }),
        )
        .fallback(async || respond(error(StatusCode::NOT_FOUND, "not_found", "The requested resource was not found")))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(shared)
}

fn with_json(body: &[u8], then: impl FnOnce(&Value) -> Answer) -> Answer {
    match serde_json::from_slice::<Value>(body) {
        Ok(body) if body.is_object() => then(&body),
        Ok(_) | Err(_) => error(StatusCode::BAD_REQUEST, "bad_request", "bad 'request body' parameter"),
    }
}

/// What every call passes: the token, the Accept header, the rate limit.
fn answer(shared: &Shared, headers: &HeaderMap, then: impl FnOnce(&mut Inner, i64) -> Answer) -> Response {
    let now = shared.clock.now_ms();
    let mut inner = shared.lock();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if text("intercom-version").is_empty() {
        inner.violation("a call without Intercom-Version is answered in the version that the app is set to");
    }
    if text(AUTHORIZATION.as_str()) != format!("Bearer {TOKEN}") {
        inner.unauthorized();
        return respond(error(StatusCode::UNAUTHORIZED, "unauthorized", "Access Token Invalid"));
    }
    if !text(ACCEPT.as_str()).contains("application/json") {
        return respond(error(
            StatusCode::NOT_ACCEPTABLE,
            "media_type_not_acceptable",
            "The Accept header should send a media type of application/json",
        ));
    }
    let taken = inner.take(now);
    let answered = if taken.allowed {
        then(&mut inner, now)
    } else {
        let message = format!("Exceeded rate limit of {} in 10_seconds", taken.limit);
        error(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", &message)
    };
    inner.count(answered.0);
    let mut response = respond(answered);
    let told = [
        ("x-ratelimit-limit", i64::from(taken.limit)),
        ("x-ratelimit-remaining", i64::from(taken.remaining)),
        ("x-ratelimit-reset", taken.reset_s),
    ];
    for (name, number) in told {
        response.headers_mut().insert(name, HeaderValue::from(number));
    }
    response
}

fn respond((status, body): Answer) -> Response {
    if body.is_null() { status.into_response() } else { (status, axum::Json(body)).into_response() }
}
