//! A stand-in for Discord's webhooks: execute, read, edit and delete, with the documented checks, rate limits and faults.
//!
//! Start it, point the hub's `PAIDUP_DISCORD_API_URL` at [`Discord::api_url`], and use [`Discord::webhook_url`] as the
//! destination's URL. Bots, files and threads are not played; what an app sells is, beside it (`standins/discord_app`).
//! Both may have one address, as they have at Discord: [`Discord::start_beside`].
//! Pages: Discord's "Webhook", "Message", "Rate limits" and "Opcodes and status codes".

pub(super) mod answers;
pub mod limits;
pub mod rules;
mod state;
#[cfg(test)]
mod tests;

pub use state::{Message, Report};

use crate::edge::Clock;
use crate::standins::Server;
use answers::Answer;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use http::{HeaderMap, StatusCode};
use limits::Limits;
use serde_json::json;
use state::Inner;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How it is started.
#[derive(Debug, Clone)]
pub struct DiscordOptions {
    /// The rate limits.
    pub limits: Limits,
    /// The limits' time runs this many times faster; 1 for the documented ones.
    pub scale: u32,
    /// Where time comes from.
    pub clock: Clock,
    /// 0 for a free one.
    pub port: u16,
    /// How many messages are kept for showing.
    pub keep: usize,
}

impl Default for DiscordOptions {
    fn default() -> Self {
        DiscordOptions { limits: Limits::default(), scale: 1, clock: Clock::System, port: 0, keep: 200 }
    }
}

/// What goes wrong on demand, with the next calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The message is stored, the answer comes late: a retry makes a duplicate.
    SlowAfterStoring(Duration),
    /// The connection ends in the middle of the answer. Nothing is stored.
    Reset,
    /// 502 with HTML.
    BadGateway,
    /// 500 with JSON.
    ServerError,
    /// 429 of the kind `global`.
    Global(Duration),
    /// 429 of the kind `shared`: the resource is limited by others' calls. `Remaining` may be above 0.
    Shared(Duration),
    /// 429 without any header, from in front of Discord: the address is blocked.
    Blocked,
}

/// A webhook that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its id.
    pub id: u64,
    /// Its secret.
    pub token: String,
    /// Where its messages appear. Webhooks of one channel share the channel's limit.
    pub channel_id: u64,
}

/// The running stand-in.
#[derive(Debug)]
pub struct Discord {
    shared: Shared,
    server: Server,
}

#[derive(Debug, Clone)]
struct Shared {
    inner: Arc<Mutex<Inner>>,
    users: Arc<Mutex<Users>>,
    clock: Clock,
}

/// Who has agreed to be known to the application, and how often it asked.
#[derive(Debug, Default)]
struct Users {
    by_token: BTreeMap<String, u64>,
    asked: u64,
}

impl Shared {
    /// A panic while the lock was held cannot leave the counts half written, so a poisoned lock is as good.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn users(&self) -> MutexGuard<'_, Users> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Discord {
    /// Starts it without any webhook.
    pub async fn start(options: DiscordOptions) -> std::io::Result<Discord> {
        Discord::start_beside(options, Router::new()).await
    }

    /// The same on one address with other routes of Discord's.
    pub async fn start_beside(options: DiscordOptions, others: Router) -> std::io::Result<Discord> {
        let inner = Inner::new(options.limits.scaled(options.scale), options.keep);
        let shared = Shared { inner: Arc::new(Mutex::new(inner)), users: Arc::default(), clock: options.clock };
        let server = Server::start(router(shared.clone()).merge(others), options.port).await?;
        Ok(Discord { shared, server })
    }

    /// What stands for `https://discord.com/api/v10`.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("{}/api/v10", self.server.url())
    }

    /// Makes a webhook in a channel.
    #[must_use]
    pub fn add_webhook(&self, channel_id: u64) -> Webhook {
        self.shared.lock().add_webhook(channel_id)
    }

    /// A user agreed to the scope `identify`: this is their token.
    pub fn add_user(&self, token: &str, id: u64) {
        self.shared.users().by_token.insert(token.to_owned(), id);
    }

    /// How often it was asked whose a token is.
    #[must_use]
    pub fn users_asked(&self) -> u64 {
        self.shared.users().asked
    }

    /// The URL that a person copies out of Discord's settings.
    #[must_use]
    pub fn webhook_url(webhook: &Webhook) -> String {
        format!("https://discord.com/api/webhooks/{}/{}", webhook.id, webhook.token)
    }

    /// Somebody deletes the webhook in Discord. Calls after its first 404 are violations.
    pub fn delete_webhook(&self, webhook: &Webhook) {
        self.shared.lock().delete_webhook(webhook.id);
    }

    /// The next `calls` calls go wrong in this way.
    pub fn fail(&self, fault: Fault, calls: u32) {
        self.shared.lock().fail(fault, calls);
    }

    /// What it saw so far.
    #[must_use]
    pub fn report(&self) -> Report {
        self.shared.lock().report()
    }

    /// The last messages, oldest first.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.shared.lock().messages()
    }
}

/// Discord's own limit of a request with files; without files far less is possible.
const MAX_BODY: usize = 25 * 1024 * 1024;

fn router(shared: Shared) -> Router {
    let mut router = Router::new();
    // A path without a version is served by version 6, whose errors look different.
    for (prefix, versioned) in [("/api/v10", true), ("/api/v9", true), ("/api", false)] {
        let at = |rest: &str| format!("{prefix}/webhooks/{{id}}/{{token}}{rest}");
        let execute = move |state, path, query, headers, body| execute(state, path, query, headers, body, versioned);
        router = router
            .route(&format!("{prefix}/users/@me"), get(me))
            .route(&at(""), get(read).merge(post(execute)))
            .route(&at("/messages/{message}"), patch(edit).delete(remove));
    }
    router.layer(DefaultBodyLimit::max(MAX_BODY)).with_state(shared)
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct ExecuteQuery {
    wait: Option<String>,
}

async fn execute(
    State(shared): State<Shared>,
    Path((id, token)): Path<(String, String)>,
    Query(query): Query<ExecuteQuery>,
    headers: HeaderMap,
    body: Bytes,
    versioned: bool,
) -> Response {
    let wait = matches!(query.wait.as_deref(), Some("true" | "1" | "True"));
    let (answer, delay) = {
        let now = shared.clock.now_ms();
        let mut inner = shared.lock();
        let call = state::Call { id: &id, token: &token, headers: &headers, versioned, now };
        inner.execute(&call, &body, wait)
    };
    if let Some(delay) = delay {
        tokio::time::sleep(delay).await;
    }
    answer.into_response()
}

async fn read(State(shared): State<Shared>, Path((id, token)): Path<(String, String)>, headers: HeaderMap) -> Answer {
    let now = shared.clock.now_ms();
    shared.lock().read(&state::Call { id: &id, token: &token, headers: &headers, versioned: true, now })
}

async fn edit(
    State(shared): State<Shared>,
    Path((id, token, message)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let now = shared.clock.now_ms();
    let call = state::Call { id: &id, token: &token, headers: &headers, versioned: true, now };
    shared.lock().edit(&call, &message, &body)
}

async fn remove(
    State(shared): State<Shared>,
    Path((id, token, message)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Answer {
    let now = shared.clock.now_ms();
    let call = state::Call { id: &id, token: &token, headers: &headers, versioned: true, now };
    shared.lock().remove(&call, &message)
}

/// `GET /users/@me` with a user's own token. <https://discord.com/developers/docs/resources/user#get-current-user>
async fn me(State(shared): State<Shared>, headers: HeaderMap) -> Answer {
    let mut users = shared.users();
    users.asked += 1;
    let given = headers.get("authorization").and_then(|value| value.to_str().ok());
    let token = given.and_then(|value| value.strip_prefix("Bearer "));
    match token.and_then(|token| users.by_token.get(token)) {
        Some(id) => {
            let user = json!({"id": id.to_string(), "username": "someone", "discriminator": "0", "global_name": null, "avatar": null});
            Answer::json(StatusCode::OK, user)
        }
        None => Answer::code((StatusCode::UNAUTHORIZED, 0, "401: Unauthorized")),
    }
}

/// Wire codes of Discord with their status.
const UNKNOWN_WEBHOOK: (StatusCode, u32, &str) = (StatusCode::NOT_FOUND, 10_015, "Unknown Webhook");
const UNKNOWN_MESSAGE: (StatusCode, u32, &str) = (StatusCode::NOT_FOUND, 10_008, "Unknown Message");
// ASSUMPTION: the status of 50027; the code is official.
const WRONG_TOKEN: (StatusCode, u32, &str) = (StatusCode::UNAUTHORIZED, 50_027, "Invalid Webhook Token");
pub(super) const NO_AGENT: (StatusCode, u32, &str) = (StatusCode::FORBIDDEN, 40_333, "internal network error");
const EMPTY_MESSAGE: (StatusCode, u32, &str) = (StatusCode::BAD_REQUEST, 50_006, "Cannot send an empty message");
const NOT_JSON: (StatusCode, u32, &str) = (StatusCode::BAD_REQUEST, 50_109, "The request body contains invalid JSON.");
