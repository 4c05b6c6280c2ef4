//! What stands in the channels: forums, threads and messages. Who may call, and how often, is in `state.rs`.
//!
//! In a forum every message stands in a post, which is a thread. A message un-archives a thread; an edit does not
//! (Discord's pages "Webhook" and "Threads").

use super::limits::Limits;
use super::{
    FORUM_NEEDS_THREAD, NAME_AND_THREAD, NO_FORUM, Refused, TAG_REQUIRED, THREAD_ARCHIVED, THREAD_LOCKED,
    UNKNOWN_CHANNEL, UNKNOWN_MESSAGE, Webhook,
};
use crate::standins::limits::{Limit, Window};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, VecDeque};

/// After so long an edit counts as one of an old message.
const OLD_MS: i64 = 3_600_000;

/// A message as it stands in the channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Its id.
    pub id: u64,
    /// Which webhook sent it.
    pub webhook_id: u64,
    /// Where it stands: the channel, or the thread.
    pub channel_id: u64,
    /// When it came, in milliseconds since 1970.
    pub at_ms: i64,
    /// When it was edited last.
    pub edited_ms: Option<i64>,
    /// The sender's body, with what edits made of it.
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

/// A thread; in a forum, a post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    /// Its id. It is a channel of its own: messages in it have this as `channel_id`.
    pub id: u64,
    /// The channel that it is in.
    pub channel_id: u64,
    /// Its title.
    pub name: String,
    /// It was put away.
    pub archived: bool,
    /// Nobody but moderators may write in it.
    pub locked: bool,
}

/// Why an edit is not made.
pub(super) enum NotEdited {
    Refused(Refused),
    /// Too many edits of old messages: so many milliseconds to wait.
    TooMany(i64),
}

#[derive(Debug)]
pub(super) struct Channels {
    /// How many messages are kept.
    keep: usize,
    old_edits_limit: Limit,
    /// Forums, and whether their posts need a tag.
    forums: BTreeMap<u64, bool>,
    threads: BTreeMap<u64, Thread>,
    messages: VecDeque<Message>,
    /// Edits of old messages, by channel.
    old_edits: BTreeMap<u64, Window>,
}

impl Channels {
    pub(super) fn new(limits: &Limits, keep: usize) -> Channels {
        Channels {
            keep,
            old_edits_limit: limits.old_edits,
            forums: BTreeMap::new(),
            threads: BTreeMap::new(),
            messages: VecDeque::new(),
            old_edits: BTreeMap::new(),
        }
    }

    pub(super) fn make_forum(&mut self, channel_id: u64, tags_required: bool) {
        self.forums.insert(channel_id, tags_required);
    }

    pub(super) fn add_thread(&mut self, id: u64, channel_id: u64, name: &str) {
        let name = name.to_owned();
        self.threads.insert(id, Thread { id, channel_id, name, archived: false, locked: false });
    }

    pub(super) fn change_thread(&mut self, id: u64, change: impl FnOnce(&mut Thread)) {
        if let Some(thread) = self.threads.get_mut(&id) {
            change(thread);
        }
    }

    pub(super) fn delete_thread(&mut self, id: u64) {
        self.threads.remove(&id);
        self.messages.retain(|message| message.channel_id != id);
    }

    pub(super) fn delete_message(&mut self, id: u64) {
        self.messages.retain(|message| message.id != id);
    }

    pub(super) fn threads(&self) -> Vec<Thread> {
        self.threads.values().cloned().collect()
    }

    pub(super) fn messages(&self) -> Vec<Message> {
        self.messages.iter().cloned().collect()
    }

    /// A new message; `id` is its own, and that of the post which begins with it.
    pub(super) fn post(
        &mut self,
        webhook: &Webhook,
        id: u64,
        thread_id: Option<&str>,
        body: Map<String, Value>,
        at_ms: i64,
    ) -> Result<&Message, Refused> {
        let channel_id = self.place(webhook.channel_id, id, thread_id, &body)?;
        while self.messages.len() >= self.keep.max(1) {
            self.messages.pop_front();
        }
        self.messages.push_back(Message { id, webhook_id: webhook.id, channel_id, at_ms, edited_ms: None, body });
        self.messages.back().ok_or(UNKNOWN_MESSAGE)
    }

    /// Where a new message goes.
    fn place(
        &mut self,
        channel_id: u64,
        message_id: u64,
        thread_id: Option<&str>,
        body: &Map<String, Value>,
    ) -> Result<u64, Refused> {
        let name = body.get("thread_name").and_then(Value::as_str).map(str::trim).filter(|name| !name.is_empty());
        match (thread_id, name) {
            (Some(_), Some(_)) => Err(NAME_AND_THREAD),
            (Some(thread_id), None) => {
                let thread = self.thread(channel_id, thread_id)?;
                match (thread.locked, thread.archived) {
                    (true, true) => return Err(THREAD_ARCHIVED),
                    (true, false) => return Err(THREAD_LOCKED),
                    (false, _) => thread.archived = false,
                }
                Ok(thread.id)
            }
            (None, Some(name)) => {
                let tags_required = self.forums.get(&channel_id).ok_or(NO_FORUM)?;
                let tags = body.get("applied_tags").and_then(Value::as_array).map_or(0, Vec::len);
                if *tags_required && tags == 0 {
                    return Err(TAG_REQUIRED);
                }
                self.add_thread(message_id, channel_id, name);
                Ok(message_id)
            }
            (None, None) if self.forums.contains_key(&channel_id) => Err(FORUM_NEEDS_THREAD),
            (None, None) => Ok(channel_id),
        }
    }

    /// ASSUMPTION: a thread of another channel is as unknown as one that does not exist.
    fn thread(&mut self, channel_id: u64, id: &str) -> Result<&mut Thread, Refused> {
        let thread = id.parse().ok().and_then(|id: u64| self.threads.get_mut(&id));
        thread.filter(|thread| thread.channel_id == channel_id).ok_or(UNKNOWN_CHANNEL)
    }

    /// Where an own message stands. One in a thread is not found without the thread's id, and the reverse.
    fn find(&mut self, webhook: &Webhook, id: &str, thread_id: Option<&str>) -> Result<usize, Refused> {
        let channel_id = match thread_id {
            Some(thread_id) => self.thread(webhook.channel_id, thread_id)?.id,
            None => webhook.channel_id,
        };
        let is_it = |kept: &Message| {
            kept.webhook_id == webhook.id && kept.channel_id == channel_id && kept.id.to_string() == id
        };
        self.messages.iter().position(is_it).ok_or(UNKNOWN_MESSAGE)
    }

    pub(super) fn read(&mut self, webhook: &Webhook, id: &str, thread_id: Option<&str>) -> Result<&Message, Refused> {
        let index = self.find(webhook, id, thread_id)?;
        Ok(&self.messages[index])
    }

    /// Changes the fields of an own message that `body` names.
    pub(super) fn edit(
        &mut self,
        webhook: &Webhook,
        id: &str,
        thread_id: Option<&str>,
        body: Map<String, Value>,
        now: i64,
    ) -> Result<&Message, NotEdited> {
        let index = self.find(webhook, id, thread_id).map_err(NotEdited::Refused)?;
        self.writable(self.messages[index].channel_id).map_err(NotEdited::Refused)?;
        if now - self.messages[index].at_ms > OLD_MS {
            let new = Window::new(self.old_edits_limit);
            let window = self.old_edits.entry(webhook.channel_id).or_insert(new);
            window.take(now).map_err(NotEdited::TooMany)?;
        }
        let message = &mut self.messages[index];
        message.body.extend(body);
        message.edited_ms = Some(now);
        Ok(message)
    }

    pub(super) fn remove(&mut self, webhook: &Webhook, id: &str, thread_id: Option<&str>) -> Result<(), Refused> {
        let index = self.find(webhook, id, thread_id)?;
        self.writable(self.messages[index].channel_id)?;
        self.messages.remove(index);
        Ok(())
    }

    /// What is archived stays as it is.
    fn writable(&self, channel_id: u64) -> Result<(), Refused> {
        match self.threads.get(&channel_id) {
            Some(thread) if thread.archived => Err(THREAD_ARCHIVED),
            Some(thread) if thread.locked => Err(THREAD_LOCKED),
            Some(_) | None => Ok(()),
        }
    }
}

/// The message object of Discord's answers.
pub(super) fn shown(message: &Message) -> Value {
    let text = |key: &str| message.body.get(key).cloned().unwrap_or(Value::Null);
    let list = |key: &str| message.body.get(key).filter(|value| !value.is_null()).cloned().unwrap_or_else(|| json!([]));
    let mut embeds = list("embeds");
    for embed in embeds.as_array_mut().into_iter().flatten() {
        embed["type"] = json!("rich");
    }
    let time = |ms: i64| jiff::Timestamp::from_millisecond(ms).unwrap_or_default().to_string();
    json!({
        "id": message.id.to_string(),
        "type": 0,
        "content": message.body.get("content").and_then(Value::as_str).unwrap_or_default(),
        "channel_id": message.channel_id.to_string(),
        "author": {
            "id": message.webhook_id.to_string(), "bot": true, "discriminator": "0000", "global_name": null,
            "username": message.body.get("username").and_then(Value::as_str).unwrap_or("Paidup"), "avatar": null,
            "public_flags": 0, "flags": 0, "primary_guild": null,
        },
        "attachments": [], "embeds": embeds, "components": list("components"),
        "mentions": [], "mention_roles": [], "mention_everyone": false, "pinned": false,
        "tts": message.body.get("tts").and_then(Value::as_bool).unwrap_or(false),
        "timestamp": time(message.at_ms), "edited_timestamp": message.edited_ms.map(time),
        "flags": if text("flags").is_null() { json!(0) } else { text("flags") },
        "webhook_id": message.webhook_id.to_string(),
    })
}
