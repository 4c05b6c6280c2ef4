//! Custom attributes: which there are, and which values fit them ("Data Attributes").

use super::answer::Answer;
use super::workspace::Inner;
use serde_json::{Map, Value, json};

/// Most custom attributes of a workspace.
pub(super) const MAX_ATTRIBUTES: usize = 250;
/// Longest name, in characters.
const MAX_NAME: usize = 190;
/// Longest text, in characters.
pub(super) const MAX_TEXT: usize = 255;

const TYPES: [&str; 6] = ["string", "integer", "float", "boolean", "date", "datetime"];

/// What every workspace has: `(name, type)`. A client that lists attributes must not take them for custom ones.
const BUILT_IN: [(&str, &str); 5] =
    [("email", "string"), ("external_id", "string"), ("name", "string"), ("phone", "string"), ("signed_up_at", "date")];

/// A custom attribute of contacts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Attribute {
    number: usize,
    kind: String,
    /// Values of a list attribute; empty: any.
    options: Vec<String>,
    description: Value,
    archived: bool,
}

impl Inner {
    pub(super) fn list_attributes(&self, query: &[(String, String)]) -> Answer {
        let wanted = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        // Contacts are the only model that is played.
        let of_contacts = wanted("model").is_none_or(|model| model == "contact");
        let with_archived = wanted("include_archived") == Some("true");
        let built_in = BUILT_IN.iter().map(|(name, kind)| shown_built_in(name, kind));
        let custom = self.attributes.iter().filter(|(_, one)| with_archived || !one.archived);
        let custom = custom.map(|(name, one)| shown(name, one));
        let data: Vec<Value> = built_in.chain(custom).filter(|_| of_contacts).collect();
        Answer::ok(json!({"type": "list", "data": data}))
    }

    pub(super) fn add_attribute(&mut self, body: &Value) -> Answer {
        let name = body["name"].as_str().unwrap_or_default();
        let kind = body["data_type"].as_str().unwrap_or_default();
        // ASSUMPTION: the sentence speaks of currency symbols, the help centre forbids the dollar; underscores pass.
        let fits = |one: char| one.is_alphanumeric() || "_-€£¥".contains(one);
        if name.is_empty() || name.chars().count() > MAX_NAME || !name.chars().all(fits) {
            return self.refuse(
                "Your name for this attribute must only contain alphanumeric characters, currency symbols, and hyphens",
            );
        }
        if body["model"] != "contact" {
            return self.refuse("model is either contact or company");
        }
        let options: Vec<String> = body["options"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|option| option["value"].as_str().map(str::to_owned))
            .collect();
        if kind == "options" && options.len() < 2 {
            return self.refuse("options needs at least two values");
        }
        if kind != "options" && !TYPES.contains(&kind) {
            return self.refuse("data_type is one of string, integer, float, boolean, date, datetime, options");
        }
        if self.attributes.contains_key(name) || BUILT_IN.iter().any(|(known, _)| *known == name) {
            let message = format!(
                "You already have '{name}' in your People data. To save this as new People data, use a different name."
            );
            return Answer::invalid(&message);
        }
        if self.attributes.values().filter(|one| !one.archived).count() >= MAX_ATTRIBUTES {
            return Answer::invalid("You have reached the limit of 250 custom data attributes");
        }
        let number = self.attributes.len() + 1;
        let kind = if kind == "options" { "string" } else { kind }.to_owned();
        let one = Attribute { number, kind, options, description: body["description"].clone(), archived: false };
        let answer = Answer::ok(shown(name, &one));
        self.attributes.insert(name.to_owned(), one);
        answer
    }

    pub(super) fn change_attribute(&mut self, number: &str, body: &Value) -> Answer {
        if body.get("data_type").is_some() {
            return self.refuse("the type of a data attribute cannot be changed");
        }
        let found = self.attributes.iter_mut().find(|(_, one)| one.number.to_string() == number);
        let Some((name, one)) = found else { return Answer::not_found("Data Attribute Not Found") };
        if let Some(archived) = body["archived"].as_bool() {
            one.archived = archived;
        }
        if let Some(description) = body.get("description") {
            one.description = description.clone();
        }
        Answer::ok(shown(name, one))
    }

    pub(super) fn archive_attribute(&mut self, name: &str) {
        if let Some(one) = self.attributes.get_mut(name) {
            one.archived = true;
        }
    }

    /// Whether a contact may be given these; the refusal otherwise.
    pub(super) fn check_values(&mut self, values: &Map<String, Value>) -> Result<(), Answer> {
        for (name, value) in values {
            let Some(one) = self.attributes.get(name).filter(|one| !one.archived) else {
                return Err(Answer::invalid(&format!("Custom attribute '{name}' does not exist")));
            };
            if !one.takes(value) {
                let message = format!("Custom attribute '{name}' must be of type {}", one.kind);
                return Err(self.refuse(&message));
            }
        }
        Ok(())
    }
}

impl Attribute {
    fn takes(&self, value: &Value) -> bool {
        let short = |text: &str| text.chars().count() <= MAX_TEXT;
        match (self.kind.as_str(), value) {
            // ASSUMPTION: null clears a value; RevenueCat's sample sends it.
            (_, Value::Null) => true,
            ("string", Value::String(text)) => short(text) && (self.options.is_empty() || self.options.contains(text)),
            ("boolean", Value::Bool(_)) | ("float", Value::Number(_)) => true,
            ("integer", Value::Number(number)) => number.is_i64(),
            ("date" | "datetime", Value::Number(seconds)) => {
                seconds.as_i64().is_some_and(|seconds| seconds < super::workspace::MAX_SECONDS)
            }
            ("date" | "datetime", Value::String(text)) => text.parse::<jiff::Timestamp>().is_ok(),
            _ => false,
        }
    }
}

fn shown(name: &str, one: &Attribute) -> Value {
    json!({
        "type": "data_attribute", "id": one.number, "model": "contact", "name": name,
        "full_name": format!("custom_attributes.{name}"), "label": name, "description": one.description,
        "data_type": one.kind, "options": one.options, "custom": true, "archived": one.archived,
        "api_writable": true, "ui_writable": true,
    })
}

fn shown_built_in(name: &str, kind: &str) -> Value {
    json!({
        "type": "data_attribute", "model": "contact", "name": name, "full_name": name, "label": name,
        "data_type": kind, "custom": false, "archived": false, "api_writable": true, "ui_writable": true,
    })
}
