//! What the stand-in knows: webhooks, their windows, and what the caller did wrong. What stands in the channels is in
//! `channels.rs`. Everything is decided here, with the time passed in.

use super::answers::Answer;
use super::channels::{Channels, NotEdited, shown};
use super::limits::Limits;
use super::rules::{self, Refusal};
use super::{EMPTY_MESSAGE, Fault, NO_AGENT, NOT_JSON, UNKNOWN_WEBHOOK, WRONG_TOKEN, Webhook};
use crate::chance::Chance;
use crate::standins::limits::Window;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// What a stand-in saw. The lists are bounded; the counts are not.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Messages stored.
    pub stored: u64,
    /// Embeds in them.
    pub embeds: u64,
    /// Messages edited.
    pub edited: u64,
    /// Bodies refused (400).
    pub refused: u64,
    /// Answers 429 of every kind.
    pub limited: u64,
    /// Calls made although an earlier answer had said that there was no room, or to wait.
    pub avoidable: u64,
    /// Calls with a wrong token (401).
    pub unauthorized: u64,
    /// Calls that a well-behaved client never makes, in words. At most 100.
    pub violations: Vec<String>,
    /// Why bodies were refused. At most 100.
    pub refusals: Vec<String>,
}

/// Longest list in a report.
const MAX_LISTED: usize = 100;
/// 2015-01-01: where Discord's ids begin.
const EPOCH_MS: i64 = 1_420_070_400_000;

#[derive(Debug)]
struct Entry {
    webhook: Webhook,
    deleted: bool,
    told_gone: bool,
    window: Window,
    /// Until when the caller knows that there is no room.
    told_to_wait_until: i64,
}

#[derive(Debug)]
pub(super) struct Inner {
    limits: Limits,
    entries: BTreeMap<u64, Entry>,
    channel_windows: BTreeMap<u64, Window>,
    global: Window,
    invalid: Window,
    blocked_until: i64,
    /// Until when the caller was told to call nothing at all.
    told_to_wait_until: i64,
    /// Until when the caller knows that edits of old messages are refused, by webhook.
    told_old_edits: BTreeMap<u64, i64>,
    pub(super) channels: Channels,
    faults: VecDeque<(Fault, u32)>,
    report: Report,
    serial: u64,
}

/// A call to one webhook.
pub(super) struct Call<'a> {
    id: &'a str,
    token: &'a str,
    headers: &'a HeaderMap,
    versioned: bool,
    now: i64,
    does: Does<'a>,
    wait: bool,
    thread_id: Option<String>,
}

/// What it asks for; messages by id.
#[derive(Clone, Copy)]
enum Does<'a> {
    Post,
    ReadWebhook,
    ReadMessage(&'a str),
    Edit(&'a str),
    Remove(&'a str),
}

impl<'a> Call<'a> {
    /// Understands a request; `None`: Discord has no such route for webhooks with a token.
    pub(super) fn read(method: &Method, uri: &'a Uri, headers: &'a HeaderMap, now: i64) -> Option<Call<'a>> {
        let path = uri.path().strip_prefix("/api")?;
        // A path without a version is served by version 6, whose errors look different.
        let newer = path.strip_prefix("/v10").or_else(|| path.strip_prefix("/v9"));
        let parts: Vec<&str> = newer.unwrap_or(path).strip_prefix("/webhooks/")?.split('/').collect();
        let (id, token, does) = match (method, parts.as_slice()) {
            (&Method::POST, [id, token]) => (id, token, Does::Post),
            (&Method::GET, [id, token]) => (id, token, Does::ReadWebhook),
            (&Method::GET, [id, token, "messages", message]) => (id, token, Does::ReadMessage(message)),
            (&Method::PATCH, [id, token, "messages", message]) => (id, token, Does::Edit(message)),
            (&Method::DELETE, [id, token, "messages", message]) => (id, token, Does::Remove(message)),
            _ => return None,
        };
        let query = |name: &str| {
            let mut pairs = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
            pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        };
        let wait = matches!(query("wait").as_deref(), Some("true" | "1" | "True"));
        Some(Call { id, token, headers, versioned: newer.is_some(), now, does, wait, thread_id: query("thread_id") })
    }
}

impl Inner {
    pub(super) fn new(limits: Limits, keep: usize) -> Inner {
        Inner {
            limits,
            entries: BTreeMap::new(),
            channel_windows: BTreeMap::new(),
            global: Window::new(limits.global),
            invalid: Window::new(limits.invalid),
            blocked_until: i64::MIN,
            told_to_wait_until: i64::MIN,
            told_old_edits: BTreeMap::new(),
            channels: Channels::new(&limits, keep),
            faults: VecDeque::new(),
            report: Report::default(),
            serial: 0,
        }
    }

    pub(super) fn add_webhook(&mut self, channel_id: u64) -> Webhook {
        self.serial += 1;
        let id = 1_100_000_000_000_000_000 + self.serial;
        let mut chance = Chance::new(id, channel_id);
        let token: String = (0..4).map(|_| format!("{:016x}", chance.draw())).collect();
        let webhook = Webhook { id, token: format!("{token}_-sim"), channel_id };
        let window = Window::new(self.limits.webhook);
        let entry =
            Entry { webhook: webhook.clone(), deleted: false, told_gone: false, window, told_to_wait_until: i64::MIN };
        self.entries.insert(id, entry);
        webhook
    }

    pub(super) fn delete_webhook(&mut self, id: u64) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.deleted = true;
        }
    }

    pub(super) fn fail(&mut self, fault: Fault, calls: u32) {
        self.faults.push_back((fault, calls));
    }

    pub(super) fn report(&self) -> Report {
        self.report.clone()
    }

    /// A new snowflake.
    pub(super) fn new_id(&mut self, now: i64) -> u64 {
        self.serial += 1;
        let since = u64::try_from(now - EPOCH_MS).unwrap_or(0);
        (since << 22) | (self.serial & 0x3F_FFFF)
    }

    /// The answer. The delay is to be waited before it is given.
    pub(super) fn answer(&mut self, call: &Call<'_>, body: &[u8]) -> (Answer, Option<Duration>) {
        let fault = match call.does {
            Does::Post | Does::Edit(_) => self.next_fault(),
            Does::ReadWebhook | Does::ReadMessage(_) | Does::Remove(_) => None,
        };
        let mut delay = None;
        let answer = match fault {
            Some(Fault::Reset) => Answer::cut(),
            Some(Fault::BadGateway) => Answer::bad_gateway(),
            Some(Fault::ServerError) => Answer::json(
                StatusCode::INTERNAL_SERVER_ERROR,
                json!({"message": "500: Internal Server Error", "code": 0}),
            ),
            Some(Fault::Global(wait)) => {
                self.note_avoidable(call);
                self.told_to_wait_until = call.now + millis(wait);
                self.limited("global", millis(wait))
            }
            Some(Fault::Shared(wait)) => {
                self.note_avoidable(call);
                if let Some(entry) = self.entry(call) {
                    entry.told_to_wait_until = call.now + millis(wait);
                }
                self.limited("shared", millis(wait))
            }
            Some(Fault::Blocked) => self.limited_by_block(),
            Some(Fault::SlowAfterStoring(span)) => {
                delay = Some(span);
                self.gates(call, |inner, webhook| inner.act(webhook, call, body))
            }
            None => self.gates(call, |inner, webhook| inner.act(webhook, call, body)),
        };
        (answer, delay)
    }

    /// What the call asks for; it may.
    fn act(&mut self, webhook: &Webhook, call: &Call<'_>, body: &[u8]) -> Answer {
        let thread = call.thread_id.as_deref();
        match call.does {
            Does::Post => self.post(webhook, call, body),
            Does::Edit(message) => self.edit(webhook, call, message, body),
            Does::ReadWebhook => {
                let body = json!({
                    "id": webhook.id.to_string(), "type": 1, "guild_id": "1099999999999999999",
                    "channel_id": webhook.channel_id.to_string(), "name": "Paidup", "avatar": null,
                    "application_id": null, "token": webhook.token,
                });
                Answer::json(StatusCode::OK, body)
            }
            Does::ReadMessage(message) => match self.channels.read(webhook, message, thread) {
                Ok(kept) => Answer::json(StatusCode::OK, shown(kept)),
                Err(refused) => Answer::code(refused),
            },
            Does::Remove(message) => match self.channels.remove(webhook, message, thread) {
                Ok(()) => Answer::empty(),
                Err(refused) => Answer::code(refused),
            },
        }
    }

    /// What every call passes: the block, the caller's manners, the webhook's existence, and the rate limits.
    fn gates(&mut self, call: &Call<'_>, then: impl FnOnce(&mut Inner, &Webhook) -> Answer) -> Answer {
        let now = call.now;
        self.note_avoidable(call);
        if now < self.blocked_until {
            return self.limited_by_block();
        }
        if let Some(refused) = self.manners(call) {
            return self.count_invalid(refused, now);
        }
        if let Err(wait) = self.global.take(now) {
            self.told_to_wait_until = now + wait;
            let answer = self.limited("global", wait);
            return self.count_invalid(answer, now);
        }
        let Some(entry) = self.entry(call) else {
            return Answer::code(UNKNOWN_WEBHOOK);
        };
        if entry.webhook.token != call.token {
            self.report.unauthorized += 1;
            return self.count_invalid(Answer::code(WRONG_TOKEN), now);
        }
        if entry.deleted {
            if std::mem::replace(&mut entry.told_gone, true) {
                let id = entry.webhook.id;
                self.violation(format!("webhook {id} was called again after 404"));
            }
            return Answer::code(UNKNOWN_WEBHOOK);
        }
        let webhook = entry.webhook.clone();
        let answer = self.buckets(&webhook, now).unwrap_or_else(|| then(self, &webhook));
        let Some(entry) = self.entries.get_mut(&webhook.id) else { return answer };
        let remaining = entry.window.remaining();
        if remaining == 0 {
            entry.told_to_wait_until = entry.told_to_wait_until.max(now + entry.window.reset_after(now));
        }
        let answer = answer.with_bucket(&entry.window, remaining, now);
        if is_shared(&answer) { answer } else { self.count_invalid(answer, now) }
    }

    fn entry(&mut self, call: &Call<'_>) -> Option<&mut Entry> {
        self.entries.get_mut(&call.id.parse().ok()?)
    }

    /// A call that comes before the caller may call again, by what it was told.
    fn note_avoidable(&mut self, call: &Call<'_>) {
        let own = self.entry(call).map_or(i64::MIN, |entry| entry.told_to_wait_until);
        if call.now < own.max(self.told_to_wait_until) {
            self.report.avoidable += 1;
        }
    }

    /// The webhook's own bucket and the channel's. Failed calls count too (the channel's limit is not in the headers, so
    /// it shows itself as a `shared` refusal only).
    fn buckets(&mut self, webhook: &Webhook, now: i64) -> Option<Answer> {
        let new = Window::new(self.limits.channel);
        let channel = self.channel_windows.entry(webhook.channel_id).or_insert(new);
        let entry = self.entries.get_mut(&webhook.id)?;
        let own = entry.window.take(now).err().map(|wait| ("user", wait));
        let (scope, wait) = own.or_else(|| channel.take(now).err().map(|wait| ("shared", wait)))?;
        entry.told_to_wait_until = entry.told_to_wait_until.max(now + wait);
        Some(self.limited(scope, wait))
    }

    fn manners(&mut self, call: &Call<'_>) -> Option<Answer> {
        let agent = call.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        if !rules::is_agent(agent) {
            self.violation(format!("User-Agent {agent:?} is not of the form DiscordBot (url, version)"));
            return Some(Answer::code(NO_AGENT));
        }
        None
    }

    fn post(&mut self, webhook: &Webhook, call: &Call<'_>, body: &[u8]) -> Answer {
        let body = match self.body(call, rules::check(body)) {
            Ok(body) => body,
            Err(refused) => return *refused,
        };
        let embeds = body.get("embeds").and_then(Value::as_array).map_or(0, Vec::len) as u64;
        let id = self.new_id(call.now);
        match self.channels.post(webhook, id, call.thread_id.as_deref(), body, call.now) {
            Ok(message) => {
                let answer = if call.wait { Answer::json(StatusCode::OK, shown(message)) } else { Answer::empty() };
                self.report.stored += 1;
                self.report.embeds += embeds;
                answer
            }
            Err(refused) => {
                self.refused(refused.2.to_owned());
                Answer::code(refused)
            }
        }
    }

    fn edit(&mut self, webhook: &Webhook, call: &Call<'_>, message: &str, body: &[u8]) -> Answer {
        let body = match self.body(call, rules::check_edit(body)) {
            Ok(body) => body,
            Err(refused) => return *refused,
        };
        match self.channels.edit(webhook, message, call.thread_id.as_deref(), body, call.now) {
            Ok(message) => {
                let answer = Answer::json(StatusCode::OK, shown(message));
                self.report.edited += 1;
                answer
            }
            Err(NotEdited::Refused(refused)) => Answer::code(refused),
            Err(NotEdited::TooMany(wait)) => {
                let told = self.told_old_edits.insert(webhook.id, call.now + wait);
                self.report.avoidable += u64::from(told.is_some_and(|until| call.now < until));
                self.report.limited += 1;
                Answer::old_edits(wait)
            }
        }
    }

    /// The body that `checked` found good, if its type is JSON's; else the refusal.
    fn body(
        &mut self,
        call: &Call<'_>,
        checked: Result<Map<String, Value>, Refusal>,
    ) -> Result<Map<String, Value>, Box<Answer>> {
        let kind = call.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.split(';').next().is_none_or(|kind| !kind.trim().eq_ignore_ascii_case("application/json")) {
            let kind = kind.to_owned();
            self.refused(format!("Content-Type {kind:?}"));
            return Err(Box::new(Answer::content_type(&kind)));
        }
        checked.map_err(|refusal| Box::new(self.refuse(&refusal, call.versioned)))
    }

    fn refuse(&mut self, refusal: &Refusal, versioned: bool) -> Answer {
        match refusal {
            Refusal::NotJson => {
                self.refused("not JSON".to_owned());
                Answer::code(NOT_JSON)
            }
            Refusal::Empty => {
                self.refused("empty message".to_owned());
                Answer::code(EMPTY_MESSAGE)
            }
            Refusal::Form(faults) => {
                self.refused(faults.list().join(", "));
                Answer::form(faults, versioned)
            }
        }
    }

    fn next_fault(&mut self) -> Option<Fault> {
        let (fault, calls) = self.faults.front_mut()?;
        let fault = *fault;
        *calls = calls.saturating_sub(1);
        if *calls == 0 {
            self.faults.pop_front();
        }
        Some(fault)
    }

    fn limited(&mut self, scope: &'static str, wait_ms: i64) -> Answer {
        self.report.limited += 1;
        Answer::limited(scope, wait_ms)
    }

    fn limited_by_block(&mut self) -> Answer {
        self.report.limited += 1;
        Answer::blocked()
    }

    /// 401, 403 and 429 count towards the block of the address; `shared` ones are not passed here.
    fn count_invalid(&mut self, answer: Answer, now: i64) -> Answer {
        let counts = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::TOO_MANY_REQUESTS];
        if counts.contains(&answer.status) {
            self.invalid.count(now);
            if self.invalid.remaining() == 0 {
                self.blocked_until = now + self.limits.block_ms;
                self.violation("too many invalid requests: the address is blocked".to_owned());
            }
        }
        answer
    }

    fn violation(&mut self, text: String) {
        if self.report.violations.len() < MAX_LISTED {
            self.report.violations.push(text);
        }
    }

    fn refused(&mut self, text: String) {
        self.report.refused += 1;
        if self.report.refusals.len() < MAX_LISTED {
            self.report.refusals.push(text);
        }
    }
}

fn is_shared(answer: &Answer) -> bool {
    answer.headers.get("x-ratelimit-scope").is_some_and(|scope| scope == "shared")
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
