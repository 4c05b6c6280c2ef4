//! The workspace: contacts, attributes and events, and what the caller did wrong.

use super::{Answer, error};
use crate::standins::limits::Limit;
use http::StatusCode;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

/// A contact.
#[derive(Debug, Clone, PartialEq)]
pub struct Contact {
    /// Intercom's id.
    pub id: String,
    /// The app's id of the person.
    pub external_id: Option<String>,
    /// Custom attributes.
    pub custom_attributes: Map<String, Value>,
    /// Archived: invisible until it is unarchived.
    pub archived: bool,
    fields: Map<String, Value>,
}

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
}

/// What the stand-in saw.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Contacts.
    pub contacts: u64,
    /// Different events.
    pub events: u64,
    /// Events that were ignored as repeats.
    pub repeats: u64,
    /// Answers 4xx but for those below.
    pub refused: u64,
    /// Answers 429.
    pub limited: u64,
    /// Calls made although `X-RateLimit-Remaining: 0` had been told for the window.
    pub avoidable: u64,
    /// Answers 401.
    pub unauthorized: u64,
    /// Calls that a well-behaved client never makes, in words. At most 100.
    pub violations: Vec<String>,
}

/// How a call stands in its window.
pub(super) struct Taken {
    pub(super) allowed: bool,
    pub(super) limit: u32,
    pub(super) remaining: u32,
    pub(super) reset_s: i64,
}

const MAX_LISTED: usize = 100;
const MAX_EVENTS_KEPT: usize = 200;
const MAX_EVENT_NAMES: usize = 120;
const MAX_ATTRIBUTES: usize = 250;
const MAX_METADATA: usize = 10;
const MAX_TEXT: usize = 255;

#[derive(Debug)]
pub(super) struct Inner {
    limit: Limit,
    /// Start of the running window, and calls in it. Intercom's windows are fixed.
    window: (i64, u32),
    contacts: BTreeMap<String, Contact>,
    by_external_id: BTreeMap<String, String>,
    attributes: BTreeMap<String, String>,
    names: BTreeSet<String>,
    known: HashSet<(String, String, i64)>,
    events: VecDeque<Noted>,
    report: Report,
}

impl Inner {
    pub(super) fn new(limit: Limit) -> Inner {
        Inner {
            limit,
            window: (i64::MIN, 0),
            contacts: BTreeMap::new(),
            by_external_id: BTreeMap::new(),
            attributes: BTreeMap::new(),
            names: BTreeSet::new(),
            known: HashSet::new(),
            events: VecDeque::new(),
            report: Report::default(),
        }
    }

    pub(super) fn report(&self) -> Report {
        Report { contacts: self.contacts.len() as u64, ..self.report.clone() }
    }

    pub(super) fn contact(&self, external_id: &str) -> Option<Contact> {
        self.contacts.get(self.by_external_id.get(external_id)?).cloned()
    }

    pub(super) fn archive(&mut self, external_id: &str) {
        if let Some(contact) = self.by_external_id.get(external_id).and_then(|id| self.contacts.get_mut(id)) {
            contact.archived = true;
        }
    }

    pub(super) fn events(&self) -> Vec<Noted> {
        self.events.iter().cloned().collect()
    }

    pub(super) fn violation(&mut self, text: &str) {
        if self.report.violations.len() < MAX_LISTED {
            self.report.violations.push(text.to_owned());
        }
    }

    pub(super) fn unauthorized(&mut self) {
        self.report.unauthorized += 1;
    }

    pub(super) fn take(&mut self, now: i64) -> Taken {
        let span = self.limit.span_ms.max(1);
        let start = now - now.rem_euclid(span);
        if self.window.0 != start {
            self.window = (start, 0);
        }
        let allowed = self.window.1 < self.limit.calls;
        self.report.avoidable += u64::from(!allowed);
        self.window.1 = self.window.1.saturating_add(1).min(self.limit.calls);
        let remaining = self.limit.calls - self.window.1;
        Taken { allowed, limit: self.limit.calls, remaining, reset_s: (start + span + 999) / 1000 }
    }

    pub(super) fn count(&mut self, status: StatusCode) {
        match status {
            StatusCode::TOO_MANY_REQUESTS => self.report.limited += 1,
            status if status.is_client_error() => self.report.refused += 1,
            _ => {}
        }
    }

    pub(super) fn find(&self, external_id: &str) -> Answer {
        match self.contact(external_id) {
            Some(contact) if !contact.archived => (StatusCode::OK, shown(&contact)),
            Some(_) | None => error(StatusCode::NOT_FOUND, "not_found", "User Not Found"),
        }
    }

    pub(super) fn read(&self, id: &str) -> Answer {
        match self.contacts.get(id) {
            Some(contact) => (StatusCode::OK, shown(contact)),
            None => error(StatusCode::NOT_FOUND, "not_found", "Contact Not Found"),
        }
    }

    pub(super) fn create(&mut self, body: &Value, now: i64) -> Answer {
        let external_id = body["external_id"].as_str().map(str::to_owned);
        if external_id.is_none() && !body["email"].is_string() {
            let message = "email or external_id is required for a user";
            return error(StatusCode::BAD_REQUEST, "parameter_not_found", message);
        }
        if body["role"] == "lead" && external_id.is_some() {
            return error(StatusCode::BAD_REQUEST, "parameter_invalid", "a lead cannot have an external_id");
        }
        if let Some(existing) = external_id.as_deref().and_then(|id| self.contact(id)) {
            let archived = if existing.archived { "An archived" } else { "A" };
            let message = format!("{archived} contact matching those details already exists with id={}", existing.id);
            return error(StatusCode::CONFLICT, "conflict", &message);
        }
        if let Err(refused) = self.check_attributes(body) {
            return refused;
        }
        let id = format!("{:024x}", self.contacts.len() + 1);
        if let Some(external_id) = &external_id {
            self.by_external_id.insert(external_id.clone(), id.clone());
        }
        let contact =
            Contact { id: id.clone(), external_id, custom_attributes: Map::new(), archived: false, fields: Map::new() };
        self.contacts.insert(id.clone(), contact);
        self.update(&id, body, now)
    }

    pub(super) fn update(&mut self, id: &str, body: &Value, now: i64) -> Answer {
        if let Err(refused) = self.check_attributes(body) {
            return refused;
        }
        let Some(contact) = self.contacts.get_mut(id) else {
            return error(StatusCode::NOT_FOUND, "not_found", "Contact Not Found");
        };
        let moved = body["external_id"].as_str().filter(|new| contact.external_id.as_deref() != Some(new));
        if let Some(new) = moved {
            if let Some(other) = self.by_external_id.get(new) {
                let message = format!("A contact matching those details already exists with id={other}");
                return error(StatusCode::CONFLICT, "conflict", &message);
            }
            if let Some(old) = contact.external_id.replace(new.to_owned()) {
                self.by_external_id.remove(&old);
            }
            self.by_external_id.insert(new.to_owned(), id.to_owned());
        }
        for (name, value) in body["custom_attributes"].as_object().into_iter().flatten() {
            // ASSUMPTION: null clears a value; RevenueCat's sample sends it.
            if value.is_null() {
                contact.custom_attributes.remove(name);
            } else {
                contact.custom_attributes.insert(name.clone(), value.clone());
            }
        }
        for key in ["email", "name", "phone", "role", "signed_up_at"] {
            if let Some(value) = body.get(key) {
                contact.fields.insert(key.to_owned(), value.clone());
            }
        }
        contact.fields.insert("updated_at".to_owned(), json!(now / 1000));
        (StatusCode::OK, shown(contact))
    }

    pub(super) fn unarchive(&mut self, id: &str) -> Answer {
        match self.contacts.get_mut(id) {
            Some(contact) => {
                contact.archived = false;
                let body = json!({"type": "contact", "id": id, "external_id": contact.external_id, "archived": false});
                (StatusCode::OK, body)
            }
            None => error(StatusCode::NOT_FOUND, "not_found", "Contact Not Found"),
        }
    }

    fn check_attributes(&self, body: &Value) -> Result<(), Answer> {
        let invalid = |message: String| Err(error(StatusCode::BAD_REQUEST, "parameter_invalid", &message));
        for (name, value) in body["custom_attributes"].as_object().into_iter().flatten() {
            let Some(kind) = self.attributes.get(name) else {
                return invalid(format!("Custom attribute '{name}' does not exist"));
            };
            let fits = match kind.as_str() {
                "string" => value.as_str().is_some_and(|text| text.chars().count() <= MAX_TEXT),
                "boolean" => value.is_boolean(),
                "integer" => value.is_i64(),
                "float" => value.is_number(),
                // Unix seconds or ISO 8601.
                "date" | "datetime" => value.is_i64() || value.is_string(),
                _ => false,
            };
            if !fits && !value.is_null() {
                return invalid(format!("Custom attribute '{name}' must be of type {kind}"));
            }
        }
        Ok(())
    }

    pub(super) fn attributes(&self) -> Answer {
        let data: Vec<Value> = self.attributes.iter().map(|(name, kind)| attribute(name, kind)).collect();
        (StatusCode::OK, json!({"type": "list", "data": data}))
    }

    pub(super) fn add_attribute(&mut self, body: &Value) -> Answer {
        let invalid = |message: &str| error(StatusCode::BAD_REQUEST, "parameter_invalid", message);
        let name = body["name"].as_str().unwrap_or_default();
        let kind = body["data_type"].as_str().unwrap_or_default();
        let good = |one: char| one.is_alphanumeric() || "_-$€£ ".contains(one);
        if name.is_empty() || name.chars().count() > 190 || !name.chars().all(good) {
            return invalid("must only contain alphanumeric characters, currency symbols, and hyphens");
        }
        if body["model"] != "contact" {
            return invalid("model must be contact or company");
        }
        if !["string", "integer", "float", "boolean", "date", "datetime"].contains(&kind) {
            return invalid("data_type is not one of string, integer, float, boolean, date, datetime");
        }
        if self.attributes.contains_key(name) {
            return invalid(&format!("You already have '{name}' in your People data."));
        }
        if self.attributes.len() >= MAX_ATTRIBUTES {
            return invalid("You have reached the limit of custom data attributes");
        }
        self.attributes.insert(name.to_owned(), kind.to_owned());
        (StatusCode::OK, attribute(name, kind))
    }

    pub(super) fn track(&mut self, body: &Value) -> Answer {
        let (Some(name), Some(created_at)) = (body["event_name"].as_str(), body["created_at"].as_i64()) else {
            return error(StatusCode::BAD_REQUEST, "parameter_not_found", "event_name and created_at are required");
        };
        // Dots and dollars become hyphens, and case does not matter.
        let name = name.replace(['.', '$'], "-").to_lowercase();
        let id = body["user_id"].as_str().and_then(|external| self.by_external_id.get(external).map(String::as_str));
        let id = id.or_else(|| body["id"].as_str());
        let found = id.and_then(|id| self.contacts.get(id)).filter(|contact| !contact.archived);
        let Some(contact) = found.cloned() else {
            return error(StatusCode::NOT_FOUND, "not_found", "User Not Found");
        };
        let mut metadata = Map::new();
        for (key, value) in body["metadata"].as_object().into_iter().flatten() {
            if metadata.len() == MAX_METADATA {
                self.violation("more than 10 metadata keys: the rest is ignored");
                break;
            }
            if value.is_null() || value.as_str().is_some_and(|text| text.chars().count() > MAX_TEXT) {
                self.violation("metadata that is null or longer than 255 characters");
                continue;
            }
            metadata.insert(key.clone(), value.clone());
        }
        if !self.names.contains(&name) && self.names.len() >= MAX_EVENT_NAMES {
            let message = "Cannot have more than 120 active event names";
            return error(StatusCode::UNPROCESSABLE_ENTITY, "422", message);
        }
        self.names.insert(name.clone());
        if !self.known.insert((contact.id.clone(), name.clone(), created_at)) {
            self.report.repeats += 1;
            return (StatusCode::ACCEPTED, Value::Null);
        }
        self.report.events += 1;
        self.events.push_back(Noted { name, external_id: contact.external_id, created_at, metadata });
        while self.events.len() > MAX_EVENTS_KEPT {
            self.events.pop_front();
        }
        (StatusCode::ACCEPTED, Value::Null)
    }
}

/// `GET /me`.
pub(super) fn me() -> Value {
    let app = json!({"type": "app", "id_code": "simulated", "name": "Simulated workspace", "region": "US"});
    json!({"type": "admin", "id": "1", "email": "admin@example.com", "app": app})
}

fn attribute(name: &str, kind: &str) -> Value {
    json!({
        "type": "data_attribute", "model": "contact", "name": name, "full_name": format!("custom_attributes.{name}"),
        "data_type": kind, "custom": true, "archived": false, "api_writable": true,
    })
}

fn shown(contact: &Contact) -> Value {
    let mut shown = contact.fields.clone();
    shown.insert("type".to_owned(), json!("contact"));
    shown.insert("id".to_owned(), json!(contact.id));
    shown.insert("external_id".to_owned(), json!(contact.external_id));
    shown.insert("custom_attributes".to_owned(), Value::Object(contact.custom_attributes.clone()));
    Value::Object(shown)
}
