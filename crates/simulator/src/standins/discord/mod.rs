//! A stand-in for Discord's webhooks: execute, read, edit and delete, in channels, forums and threads, with the documented
//! checks, rate limits and faults.
//!
//! Start it, point the hub's `PAIDUP_DISCORD_API_URL` at [`Discord::api_url`], and use [`Discord::webhook_url`] as the
//! destination's URL; or ask it without a network ([`Discord::in_memory`], [`Discord::call`]). Bots and files are not
//! played; what an app sells is, beside it (`standins/discord_app`). Both may have one address, as they have at Discord:
//! [`Discord::start_beside`]. Limits are in `limits.rs` and `state.rs`, bodies in `rules.rs`, channels in `channels.rs`.
//! Pages: Discord's "Webhook", "Message", "Rate limits" and "Opcodes and status codes".

pub(super) mod answers;
mod channels;
pub mod limits;
pub mod rules;
mod state;
#[cfg(test)]
mod tests;

pub use channels::{Message, Thread};
pub use state::Report;

use crate::edge::Clock;
use crate::standins::Server;
use answers::Answer;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use http::{HeaderMap, Method, StatusCode, Uri};
use limits::Limits;
use serde_json::json;
use state::{Call, Inner};
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
    /// `None`: it has no address.
    server: Option<Server>,
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

    /// The answer to a webhook call, and how long it takes to come.
    fn answer(&self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> (Answer, Option<Duration>) {
        match Call::read(method, uri, headers, self.clock.now_ms()) {
            Some(call) => self.lock().answer(&call, body),
            None => (Answer::code(NO_ROUTE), None),
        }
    }
}

impl Discord {
    /// Starts it without any webhook.
    pub async fn start(options: DiscordOptions) -> std::io::Result<Discord> {
        Discord::start_beside(options, Router::new()).await
    }

    /// The same on one address with other routes of Discord's.
    pub async fn start_beside(options: DiscordOptions, others: Router) -> std::io::Result<Discord> {
        let port = options.port;
        let discord = Discord::in_memory(options);
        let server = Server::start(router(discord.shared.clone()).merge(others), port).await?;
        Ok(Discord { server: Some(server), ..discord })
    }

    /// One without an address, for tests whose time is their own: ask it with [`Discord::call`].
    #[must_use]
    pub fn in_memory(options: DiscordOptions) -> Discord {
        let inner = Inner::new(options.limits.scaled(options.scale), options.keep);
        let shared = Shared { inner: Arc::new(Mutex::new(inner)), users: Arc::default(), clock: options.clock };
        Discord { shared, server: None }
    }

    /// What it answers to a webhook call, now; `None`: the connection ends in the middle. Delays are not waited.
    #[must_use]
    pub fn call(&self, request: &http::Request<Bytes>) -> Option<http::Response<Bytes>> {
        let (answer, _) = self.shared.answer(request.method(), request.uri(), request.headers(), request.body());
        answer.into_http()
    }

    /// What stands for `https://discord.com/api/v10`; just that for one without an address.
    #[must_use]
    pub fn api_url(&self) -> String {
        let base = self.server.as_ref().map_or_else(|| "https://discord.com".to_owned(), Server::url);
        format!("{base}/api/v10")
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

    /// Makes a channel a forum: messages stand in its posts. `tags_required`: a post needs a tag.
    pub fn make_forum(&self, channel_id: u64, tags_required: bool) {
        self.shared.lock().channels.make_forum(channel_id, tags_required);
    }

    /// Somebody makes a thread in a channel; its id.
    #[must_use]
    pub fn add_thread(&self, channel_id: u64, name: &str) -> u64 {
        let mut inner = self.shared.lock();
        let id = inner.new_id(self.shared.clock.now_ms());
        inner.channels.add_thread(id, channel_id, name);
        id
    }

    /// A thread is archived: a message un-archives it, an edit does not.
    pub fn archive_thread(&self, id: u64) {
        self.shared.lock().channels.change_thread(id, |thread| thread.archived = true);
    }

    /// A thread is locked: webhooks may not post in it any more.
    pub fn lock_thread(&self, id: u64) {
        self.shared.lock().channels.change_thread(id, |thread| thread.locked = true);
    }

    /// A thread is deleted, with what stands in it.
    pub fn delete_thread(&self, id: u64) {
        self.shared.lock().channels.delete_thread(id);
    }

    /// Somebody deletes a message.
    pub fn delete_message(&self, id: u64) {
        self.shared.lock().channels.delete_message(id);
    }

    /// All threads that there are, by id.
    #[must_use]
    pub fn threads(&self) -> Vec<Thread> {
        self.shared.lock().channels.threads()
    }

    /// The next `calls` messages or edits go wrong in this way.
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
        self.shared.lock().channels.messages()
    }
}

/// Discord's own limit of a request with files; without files far less is possible.
const MAX_BODY: usize = 25 * 1024 * 1024;

fn router(shared: Shared) -> Router {
    let mut router = Router::new();
    for prefix in ["/api/v10", "/api/v9", "/api"] {
        let at = |rest: &str| format!("{prefix}/webhooks/{{id}}/{{token}}{rest}");
        router = router
            .route(&format!("{prefix}/users/@me"), get(me))
            .route(&at(""), any(webhooks))
            .route(&at("/messages/{message}"), any(webhooks));
    }
    router.layer(DefaultBodyLimit::max(MAX_BODY)).with_state(shared)
}

async fn webhooks(State(shared): State<Shared>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let (answer, delay) = shared.answer(&method, &uri, &headers, &body);
    if let Some(delay) = delay {
        tokio::time::sleep(delay).await;
    }
    answer.into_response()
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

/// Wire codes of Discord with their status. ASSUMPTION: the statuses of 50027, 50083, 160005 and of the 220001 family; the
/// codes are official.
type Refused = (StatusCode, u32, &'static str);

const NO_ROUTE: Refused = (StatusCode::NOT_FOUND, 0, "404: Not Found");
const UNKNOWN_CHANNEL: Refused = (StatusCode::NOT_FOUND, 10_003, "Unknown Channel");
const UNKNOWN_MESSAGE: Refused = (StatusCode::NOT_FOUND, 10_008, "Unknown Message");
const UNKNOWN_WEBHOOK: Refused = (StatusCode::NOT_FOUND, 10_015, "Unknown Webhook");
const TAG_REQUIRED: Refused =
    (StatusCode::BAD_REQUEST, 40_067, "A tag is required to create a forum post in this channel");
pub(super) const NO_AGENT: Refused = (StatusCode::FORBIDDEN, 40_333, "internal network error");
const EMPTY_MESSAGE: Refused = (StatusCode::BAD_REQUEST, 50_006, "Cannot send an empty message");
const WRONG_TOKEN: Refused = (StatusCode::UNAUTHORIZED, 50_027, "Invalid Webhook Token");
const THREAD_ARCHIVED: Refused = (StatusCode::BAD_REQUEST, 50_083, "Thread is archived");
const NOT_JSON: Refused = (StatusCode::BAD_REQUEST, 50_109, "The request body contains invalid JSON.");
const THREAD_LOCKED: Refused = (StatusCode::BAD_REQUEST, 160_005, "Thread is locked");
const FORUM_NEEDS_THREAD: Refused =
    (StatusCode::BAD_REQUEST, 220_001, "Webhooks posted to forum channels must have a thread_name or thread_id");
const NAME_AND_THREAD: Refused = (
    StatusCode::BAD_REQUEST,
    220_002,
    "Webhooks posted to forum channels cannot have both a thread_name and thread_id",
);
const NO_FORUM: Refused = (StatusCode::BAD_REQUEST, 220_003, "Webhooks can only create threads in forum channels");
