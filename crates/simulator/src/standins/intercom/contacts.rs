//! Contacts: found, created, updated, unarchived, merged ("Contacts").

use super::answer::Answer;
use super::workspace::Inner;
use http::StatusCode;
use serde_json::{Map, Value, json};

/// A contact.
#[derive(Debug, Clone, PartialEq)]
pub struct Contact {
    /// Intercom's id.
    pub id: String,
    /// The app's id of the person; leads have none.
    pub external_id: Option<String>,
    /// `user` or `lead`.
    pub role: String,
    /// Custom attributes.
    pub custom_attributes: Map<String, Value>,
    /// Archived: invisible until it is unarchived.
    pub archived: bool,
    /// `email`, `name`, `phone`, ... as they were told.
    pub fields: Map<String, Value>,
    pub(super) created_ms: i64,
    pub(super) updated_ms: i64,
}

/// Whether a value fits a field.
type Fits = fn(&Value) -> bool;

/// What may be told of a contact.
const FIELDS: [(&str, Fits); 8] = [
    ("email", |value| value.as_str().is_some_and(|text| text.contains('@') && text.len() <= 255)),
    ("name", |value| value.as_str().is_some_and(|text| text.chars().count() <= 255)),
    ("phone", Value::is_string),
    ("avatar", Value::is_string),
    ("signed_up_at", is_seconds),
    ("last_seen_at", is_seconds),
    ("owner_id", |value| value.is_i64() || value.is_string()),
    ("unsubscribed_from_emails", Value::is_boolean),
];

fn is_seconds(value: &Value) -> bool {
    value.as_i64().is_some_and(|seconds| seconds < super::workspace::MAX_SECONDS)
}

/// The first version whose merged contacts answer 410.
const GONE_SINCE: u32 = 16;

impl Inner {
    /// A contact that can be seen; the refusal otherwise.
    fn visible(&self, id: &str, version: u32) -> Result<&Contact, Answer> {
        if let Some(into) = self.merged.get(id) {
            if version < GONE_SINCE {
                return Err(Answer::not_found("Contact Not Found"));
            }
            let gone = Answer::error(StatusCode::GONE, "contact_merged", "This contact was merged into another one");
            return Err(Answer { pointer: Some(format!("</contacts/{into}>; rel=\"canonical\"")), ..gone });
        }
        // ASSUMPTION: an archived contact is not found, by its id either.
        let found = self.contacts.get(id).filter(|contact| !contact.archived);
        found.ok_or_else(|| Answer::not_found("Contact Not Found"))
    }

    pub(super) fn find(&self, external_id: &str) -> Answer {
        match self.contact(external_id) {
            Some(contact) if !contact.archived => Answer::ok(shown(contact)),
            Some(_) | None => Answer::not_found("User Not Found"),
        }
    }

    pub(super) fn read(&self, id: &str, version: u32) -> Answer {
        match self.visible(id, version) {
            Ok(contact) => Answer::ok(shown(contact)),
            Err(refused) => refused,
        }
    }

    pub(super) fn create(&mut self, body: &Value, now: i64) -> Answer {
        let external_id = text(body, "external_id");
        let has_email = body["email"].is_string();
        let role = match text(body, "role").as_deref() {
            None if external_id.is_none() && !has_email => {
                return self.refuse_missing("one of email, external_id or role is required");
            }
            None | Some("user") => "user",
            Some("lead") => "lead",
            Some(_) => return self.refuse("role is user or lead"),
        };
        if role == "user" && external_id.is_none() && !has_email {
            return self.refuse_missing("email or external_id is required for a user");
        }
        if role == "lead" && external_id.is_some() {
            return self.refuse("a lead cannot have an external_id");
        }
        if let Some(existing) = external_id.as_deref().and_then(|id| self.contact(id)) {
            return taken(existing);
        }
        if let Err(refused) = self.check_contact(body) {
            return refused;
        }
        self.made += 1;
        let id = format!("{:024x}", self.made);
        if let Some(external_id) = &external_id {
            self.by_external_id.insert(external_id.clone(), id.clone());
        }
        let mut contact = Contact {
            id: id.clone(),
            external_id,
            role: role.to_owned(),
            custom_attributes: Map::new(),
            archived: false,
            fields: Map::new(),
            created_ms: now,
            updated_ms: now,
        };
        contact.tell(body, now);
        let answer = Answer::ok(shown(&contact));
        self.contacts.insert(id, contact);
        answer
    }

    pub(super) fn update(&mut self, id: &str, body: &Value, version: u32, now: i64) -> Answer {
        let (old, is_lead) = match self.visible(id, version) {
            Ok(contact) => (contact.external_id.clone(), contact.role == "lead"),
            Err(refused) => return refused,
        };
        if let Err(refused) = self.check_contact(body) {
            return refused;
        }
        if let Some(new) = text(body, "external_id").filter(|new| old.as_ref() != Some(new)) {
            if let Some(other) = self.contact(&new) {
                return taken(other);
            }
            if is_lead && body["role"] != "user" {
                return self.refuse("a lead cannot have an external_id");
            }
            if let Some(old) = old {
                self.by_external_id.remove(&old);
            }
            self.by_external_id.insert(new, id.to_owned());
        }
        let Some(contact) = self.contacts.get_mut(id) else { return Answer::not_found("Contact Not Found") };
        if let Some(role) = text(body, "role") {
            contact.role = role;
        }
        if let Some(new) = text(body, "external_id") {
            contact.external_id = Some(new);
        }
        contact.tell(body, now);
        Answer::ok(shown(contact))
    }

    /// Fields and custom attributes of a create or an update.
    fn check_contact(&mut self, body: &Value) -> Result<(), Answer> {
        for (name, value) in body.as_object().into_iter().flatten() {
            if ["role", "external_id", "custom_attributes"].contains(&name.as_str()) {
                continue;
            }
            match FIELDS.iter().find(|(known, _)| known == name) {
                Some((_, fits)) if value.is_null() || fits(value) => {}
                Some(_) => return Err(self.refuse(&format!("bad '{name}' parameter"))),
                None => self.violation(&format!("contacts have no field {name}: it is ignored")),
            }
        }
        match body.get("custom_attributes") {
            None | Some(Value::Null) => Ok(()),
            Some(Value::Object(values)) => self.check_values(values),
            Some(_) => Err(self.refuse("custom_attributes is an object")),
        }
    }

    pub(super) fn unarchive(&mut self, id: &str) -> Answer {
        match self.contacts.get_mut(id) {
            Some(contact) => {
                contact.archived = false;
                let external_id = &contact.external_id;
                Answer::ok(json!({"type": "contact", "id": id, "external_id": external_id, "archived": false}))
            }
            None => Answer::not_found("Contact Not Found"),
        }
    }

    /// A lead becomes part of a user.
    pub(super) fn merge(&mut self, body: &Value, version: u32, now: i64) -> Answer {
        let (Some(from), Some(into)) = (text(body, "from"), text(body, "into")) else {
            return self.refuse_missing("from and into are required");
        };
        let (from_role, into_role) = match (self.visible(&from, version), self.visible(&into, version)) {
            (Ok(from), Ok(into)) => (from.role.clone(), into.role.clone()),
            (Err(refused), _) | (_, Err(refused)) => return refused,
        };
        if from_role != "lead" || into_role != "user" {
            return self.refuse("a lead is merged into a user, and nothing else");
        }
        let told = self.contacts.remove(&from).map(|lead| lead.fields).unwrap_or_default();
        self.merged.insert(from, into.clone());
        let Some(user) = self.contacts.get_mut(&into) else { return Answer::not_found("Contact Not Found") };
        for (name, value) in told {
            user.fields.entry(name).or_insert(value);
        }
        user.updated_ms = now;
        Answer::ok(shown(user))
    }

    /// Contacts with that address: it is not unique.
    pub(super) fn with_email(&self, email: &str) -> Vec<&Contact> {
        let named =
            |contact: &&Contact| !contact.archived && contact.fields.get("email").is_some_and(|one| one == email);
        self.contacts.values().filter(named).collect()
    }
}

impl Contact {
    fn tell(&mut self, body: &Value, now: i64) {
        self.updated_ms = now;
        for (name, value) in body["custom_attributes"].as_object().into_iter().flatten() {
            put(&mut self.custom_attributes, name, value);
        }
        for (name, _) in FIELDS {
            if let Some(value) = body.get(name) {
                put(&mut self.fields, name, value);
            }
        }
    }
}

fn put(into: &mut Map<String, Value>, name: &str, value: &Value) {
    if value.is_null() {
        into.remove(name);
    } else {
        into.insert(name.to_owned(), value.clone());
    }
}

fn text(body: &Value, name: &str) -> Option<String> {
    body[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn taken(by: &Contact) -> Answer {
    let archived = if by.archived { "An archived" } else { "A" };
    Answer::conflict(&format!("{archived} contact matching those details already exists with id={}", by.id))
}

pub(super) fn shown(contact: &Contact) -> Value {
    let mut shown = contact.fields.clone();
    let own = json!({
        "type": "contact", "id": contact.id, "workspace_id": "simulated", "external_id": contact.external_id,
        "role": contact.role, "created_at": contact.created_ms / 1000, "updated_at": contact.updated_ms / 1000,
        "custom_attributes": contact.custom_attributes,
    });
    for name in ["email", "name", "phone"] {
        shown.entry(name).or_insert(Value::Null);
    }
    shown.extend(own.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())));
    Value::Object(shown)
}
