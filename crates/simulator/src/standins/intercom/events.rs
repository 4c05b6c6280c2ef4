//! Data events: what a person did ("Data Events").

use super::answer::Answer;
use super::attributes::MAX_TEXT;
use super::contacts::Contact;
use super::workspace::{Inner, MAX_SECONDS};
use http::StatusCode;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Most different names of a workspace.
const MAX_NAMES: usize = 120;
/// Further metadata keys are ignored.
const MAX_METADATA: usize = 10;
/// ASSUMPTION: no length is published; names are as long as other texts.
const MAX_NAME: usize = 255;
/// What a key must not contain.
const FORBIDDEN: &str = ".$~@#%^&*'{}|\\\"";
/// Lists go back so far, in seconds.
const LISTED_FOR: i64 = 90 * 86_400;
/// How many are remembered in full; all are counted.
const MAX_KEPT: usize = 200;

/// An event as the workspace keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct Noted {
    /// Its name.
    pub name: String,
    /// The contact's external id.
    pub external_id: Option<String>,
    /// When it happened, Unix seconds.
    pub created_at: i64,
    /// What else was said.
    pub metadata: Map<String, Value>,
    contact: String,
}

impl Inner {
    pub(super) fn track(&mut self, body: &Value) -> Answer {
        let Some(name) = body["event_name"].as_str().filter(|name| !name.is_empty()) else {
            return self.refuse_missing("event_name is required");
        };
        let Some(created_at) = body["created_at"].as_i64() else {
            return self.refuse_missing("created_at is required");
        };
        if !(0..MAX_SECONDS).contains(&created_at) {
            return self.refuse("created_at is in seconds since 1970");
        }
        if name.chars().count() > MAX_NAME {
            return self.refuse("event_name is too long");
        }
        let contact = match self.whose(body) {
            Ok(contact) => contact.clone(),
            Err(refused) => return refused,
        };
        // Dots and dollars become hyphens, and case does not matter.
        let name = name.replace(['.', '$'], "-").to_lowercase();
        let metadata = match body.get("metadata") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(given)) => self.metadata(given),
            Some(_) => return self.refuse("metadata is an object"),
        };
        if !self.names.contains(&name) && self.names.len() >= MAX_NAMES {
            let message = "Cannot have more than 120 active event names";
            return Answer::error(StatusCode::UNPROCESSABLE_ENTITY, "422", message);
        }
        self.names.insert(name.clone());
        let known_as = contact.external_id.clone().unwrap_or_else(|| contact.id.clone());
        if !self.known.insert((known_as, name.clone(), created_at)) {
            self.report.repeats += 1;
            return Answer::accepted();
        }
        self.report.events += 1;
        let external_id = contact.external_id;
        self.events.push_back(Noted { name, external_id, created_at, metadata, contact: contact.id });
        while self.events.len() > MAX_KEPT {
            self.events.pop_front();
        }
        Answer::accepted()
    }

    /// Whom a body means by `id`, `user_id` or `email`.
    fn whose(&mut self, body: &Value) -> Result<&Contact, Answer> {
        let unknown = || Answer::not_found("User Not Found");
        let id = if let Some(id) = body["id"].as_str() {
            id.to_owned()
        } else if let Some(external) = body["user_id"].as_str() {
            self.by_external_id.get(external).cloned().ok_or_else(unknown)?
        } else if let Some(email) = body["email"].as_str() {
            match self.with_email(email)[..] {
                [] => return Err(unknown()),
                [one] => one.id.clone(),
                _ => {
                    return Err(Answer::conflict(
                        "Multiple existing users match this email address - must be more specific using user_id",
                    ));
                }
            }
        } else {
            return Err(self.refuse_missing("one of id, user_id or email is required"));
        };
        self.contacts.get(&id).filter(|contact| !contact.archived).ok_or_else(unknown)
    }

    /// What Intercom keeps of metadata.
    fn metadata(&mut self, given: &Map<String, Value>) -> Map<String, Value> {
        let (mut kept, mut seen) = (Map::new(), BTreeSet::new());
        for (key, value) in given {
            if seen.len() == MAX_METADATA {
                self.violation("more than 10 metadata keys: the rest is ignored");
                break;
            }
            if !seen.insert(key.to_lowercase()) {
                self.violation(&format!("metadata key {key} differs from another one in its case only"));
                continue;
            }
            if key.is_empty() || key.chars().any(|one| FORBIDDEN.contains(one)) {
                self.violation(&format!("metadata key {key} has characters that keys must not have"));
                continue;
            }
            match fault(key, value) {
                None => {
                    kept.insert(key.clone(), value.clone());
                }
                Some(fault) => self.violation(&format!("metadata {key} {fault}")),
            }
        }
        kept
    }

    pub(super) fn list_events(&mut self, query: &[(String, String)], now: i64) -> Answer {
        let wanted = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        if wanted("type").as_deref() != Some("user") {
            return self.refuse("type must be user");
        }
        let whom = json!({"user_id": wanted("user_id"), "email": wanted("email"), "id": wanted("intercom_user_id")});
        let id = match self.whose(&whom) {
            Ok(contact) => contact.id.clone(),
            Err(refused) => return refused,
        };
        let recent = |event: &&Noted| event.contact == id && event.created_at >= now / 1000 - LISTED_FOR;
        let events: Vec<Value> = self.events.iter().rev().filter(recent).map(shown).collect();
        Answer::ok(json!({"type": "event.list", "events": events, "intercom_user_id": id}))
    }
}

/// Why a value cannot be kept.
fn fault(key: &str, value: &Value) -> Option<&'static str> {
    match value {
        // ASSUMPTION: null is in no list of types.
        Value::Null => Some("is null"),
        Value::Bool(_) => Some("is a boolean, which is no type of metadata"),
        Value::Array(_) => Some("is a list"),
        Value::String(text) if text.chars().count() > MAX_TEXT => Some("is longer than 255 characters"),
        Value::String(_) if key.ends_with("_date") => Some("ends in _date and is no number of seconds"),
        Value::Number(seconds) if key.ends_with("_date") && seconds.as_i64().is_none_or(|one| one >= MAX_SECONDS) => {
            Some("ends in _date and is no number of seconds")
        }
        Value::String(_) | Value::Number(_) => None,
        Value::Object(parts) => {
            (!is_link(parts) && !is_money(parts)).then_some("is an object, but no link and no money")
        }
    }
}

fn is_link(parts: &Map<String, Value>) -> bool {
    let is_address =
        |url: &Value| url.as_str().is_some_and(|url| url.starts_with("http://") || url.starts_with("https://"));
    parts.len() == 2 && parts.get("url").is_some_and(is_address) && parts.contains_key("value")
}

fn is_money(parts: &Map<String, Value>) -> bool {
    let is_cents = |amount: &Value| amount.as_i64().is_some_and(|cents| cents > 0);
    let is_code = |code: &Value| code.as_str().is_some_and(|code| code.len() == 3);
    parts.len() == 2 && parts.get("amount").is_some_and(is_cents) && parts.get("currency").is_some_and(is_code)
}

fn shown(event: &Noted) -> Value {
    json!({
        "type": "event", "event_name": event.name, "created_at": event.created_at, "user_id": event.external_id,
        "intercom_user_id": event.contact, "metadata": event.metadata,
    })
}
