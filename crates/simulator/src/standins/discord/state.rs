//! What the stand-in knows: webhooks, their windows, the last messages, and what the caller did wrong.
//! Everything is decided here, with the time passed in.

use super::answers::Answer;
use super::limits::Limits;
use super::rules::{self, Refusal};
use super::{EMPTY_MESSAGE, Fault, NO_AGENT, NOT_JSON, UNKNOWN_MESSAGE, UNKNOWN_WEBHOOK, WRONG_TOKEN, Webhook};
use crate::chance::Chance;
use crate::standins::limits::Window;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// A message as it stands in the channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Its id.
    pub id: u64,
    /// Which webhook sent it.
    pub webhook_id: u64,
    /// Where it stands.
    pub channel_id: u64,
    /// When it came, in milliseconds since 1970.
    pub at_ms: i64,
    /// The sender's body.
    pub body: Map<String, Value>,
}

impl Message {
    /// The text that a reader sees first: the content, or the descriptions of the embeds.
    #[must_use]
    pub fn text(&self) -> String {
        let embeds = self.body.get("embeds").and_then(Value::as_array).into_iter().flatten();
        let described = embeds.filter_map(|embed| embed["description"].as_str().or_else(|| embed["title"].as_str()));
        let content = self.body.get("content").and_then(Value::as_str).filter(|text| !text.is_empty());
        content.into_iter().chain(described).collect::<Vec<_>>().join("\n")
    }
}

/// What a stand-in saw. The lists are bounded; the counts are not.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Messages stored.
    pub stored: u64,
    /// Embeds in them.
    pub embeds: u64,
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
    keep: usize,
    entries: BTreeMap<u64, Entry>,
    channels: BTreeMap<u64, Window>,
    global: Window,
    invalid: Window,
    blocked_until: i64,
    /// Until when the caller was told to call nothing at all.
    told_to_wait_until: i64,
    messages: VecDeque<Message>,
    faults: VecDeque<(Fault, u32)>,
    report: Report,
    serial: u64,
}

/// A call to one webhook.
pub(super) struct Call<'a> {
    pub(super) id: &'a str,
    pub(super) token: &'a str,
    pub(super) headers: &'a HeaderMap,
    pub(super) versioned: bool,
    pub(super) now: i64,
}

impl Inner {
    pub(super) fn new(limits: Limits, keep: usize) -> Inner {
        Inner {
            limits,
            keep,
            entries: BTreeMap::new(),
            channels: BTreeMap::new(),
            global: Window::new(limits.global),
            invalid: Window::new(limits.invalid),
            blocked_until: i64::MIN,
            told_to_wait_until: i64::MIN,
            messages: VecDeque::new(),
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

    pub(super) fn messages(&self) -> Vec<Message> {
        self.messages.iter().cloned().collect()
    }

    /// Execute webhook. The delay is to be waited before the answer is given.
    pub(super) fn execute(&mut self, call: &Call<'_>, body: &[u8], wait: bool) -> (Answer, Option<Duration>) {
        let fault = self.next_fault();
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
            Some(Fault::SlowAfterStoring(_)) | None => self.gates(call, |inner, id| inner.post(id, call, body, wait)),
        };
        let delay = match fault {
            Some(Fault::SlowAfterStoring(delay)) => Some(delay),
            Some(
                Fault::Reset
                | Fault::BadGateway
                | Fault::ServerError
                | Fault::Global(_)
                | Fault::Shared(_)
                | Fault::Blocked,
            )
            | None => None,
        };
        (answer, delay)
    }

    /// `GET`: what the webhook is.
    pub(super) fn read(&mut self, call: &Call<'_>) -> Answer {
        self.gates(call, |inner, id| {
            let webhook = &inner.entries[&id].webhook;
            let body = json!({
                "id": webhook.id.to_string(), "type": 1, "guild_id": "1099999999999999999", "channel_id": webhook.channel_id.to_string(),
                "name": "Paidup", "avatar": null, "application_id": null, "token": webhook.token,
            });
            Answer::json(StatusCode::OK, body)
        })
    }

    /// `PATCH` of an own message.
    pub(super) fn edit(&mut self, call: &Call<'_>, message: &str, body: &[u8]) -> Answer {
        self.gates(call, |inner, id| {
            let body = match rules::check(body) {
                Ok(body) => body,
                Err(refusal) => return inner.refuse(&refusal, call.versioned),
            };
            let found = inner.messages.iter_mut().find(|kept| kept.webhook_id == id && kept.id.to_string() == message);
            match found {
                Some(kept) => {
                    kept.body.extend(body);
                    let shown = shown(kept);
                    Answer::json(StatusCode::OK, shown)
                }
                None => Answer::code(UNKNOWN_MESSAGE),
            }
        })
    }

    /// `DELETE` of an own message.
    pub(super) fn remove(&mut self, call: &Call<'_>, message: &str) -> Answer {
        self.gates(call, |inner, id| {
            let before = inner.messages.len();
            inner.messages.retain(|kept| kept.webhook_id != id || kept.id.to_string() != message);
            if inner.messages.len() < before { Answer::empty() } else { Answer::code(UNKNOWN_MESSAGE) }
        })
    }

    /// What every call passes: the block, the caller's manners, the webhook's existence, and the rate limits.
    fn gates(&mut self, call: &Call<'_>, then: impl FnOnce(&mut Inner, u64) -> Answer) -> Answer {
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
        let (id, channel_id) = (entry.webhook.id, entry.webhook.channel_id);
        let answer = self.buckets(id, channel_id, now).unwrap_or_else(|| then(self, id));
        let Some(entry) = self.entries.get_mut(&id) else { return answer };
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
    fn buckets(&mut self, id: u64, channel_id: u64, now: i64) -> Option<Answer> {
        let channel = self.channels.entry(channel_id).or_insert_with(|| Window::new(self.limits.channel));
        let entry = self.entries.get_mut(&id)?;
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

    fn post(&mut self, id: u64, call: &Call<'_>, body: &[u8], wait: bool) -> Answer {
        let kind = call.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.split(';').next().is_none_or(|kind| !kind.trim().eq_ignore_ascii_case("application/json")) {
            let kind = kind.to_owned();
            self.refused(format!("Content-Type {kind:?}"));
            return Answer::content_type(&kind);
        }
        let body = match rules::check(body) {
            Ok(body) => body,
            Err(refusal) => return self.refuse(&refusal, call.versioned),
        };
        let channel_id = self.entries[&id].webhook.channel_id;
        self.serial += 1;
        let since = u64::try_from(call.now - EPOCH_MS).unwrap_or(0);
        let message_id = (since << 22) | (self.serial & 0x3F_FFFF);
        let message = Message { id: message_id, webhook_id: id, channel_id, at_ms: call.now, body };
        self.report.stored += 1;
        self.report.embeds += message.body.get("embeds").and_then(Value::as_array).map_or(0, Vec::len) as u64;
        let answer = if wait { Answer::json(StatusCode::OK, shown(&message)) } else { Answer::empty() };
        self.messages.push_back(message);
        while self.messages.len() > self.keep {
            self.messages.pop_front();
        }
        answer
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

/// The message object of Discord's answer.
fn shown(message: &Message) -> Value {
    let text = |key: &str| message.body.get(key).cloned().unwrap_or(Value::Null);
    let list = |key: &str| message.body.get(key).cloned().unwrap_or_else(|| json!([]));
    let at = jiff::Timestamp::from_millisecond(message.at_ms).unwrap_or_default();
    json!({
        "id": message.id.to_string(),
        "type": 0,
        "content": message.body.get("content").and_then(Value::as_str).unwrap_or_default(),
        "channel_id": message.channel_id.to_string(),
        "author": {
            "id": message.webhook_id.to_string(), "bot": true, "discriminator": "0000",
            "username": message.body.get("username").and_then(Value::as_str).unwrap_or("Paidup"), "avatar": null,
        },
        "attachments": [], "embeds": list("embeds"), "components": list("components"),
        "mentions": [], "mention_roles": [], "mention_everyone": false, "pinned": false,
        "tts": message.body.get("tts").and_then(Value::as_bool).unwrap_or(false),
        "timestamp": at.to_string(), "edited_timestamp": null,
        "flags": if text("flags").is_null() { json!(0) } else { text("flags") },
        "webhook_id": message.webhook_id.to_string(),
    })
}
