//! `POST /contacts/search`: its query language, and that it lags behind.

use super::answer::Answer;
use super::contacts::{Contact, shown};
use super::workspace::Inner;
use serde_json::{Value, json};

/// Groups may stand in groups so deep.
const MAX_DEPTH: usize = 2;
/// Filters in one group.
const MAX_FILTERS: usize = 15;
/// ASSUMPTION: most contacts of a page.
const MAX_PAGE: u64 = 150;
const DEFAULT_PAGE: u64 = 50;

impl Inner {
    pub(super) fn search(&mut self, body: &Value, lag_ms: i64, now: i64) -> Answer {
        let query = &body["query"];
        if let Err(fault) = check(query, 1) {
            return self.refuse(&fault);
        }
        let per_page = body["pagination"]["per_page"].as_u64().unwrap_or(DEFAULT_PAGE);
        if !(1..=MAX_PAGE).contains(&per_page) {
            return self.refuse("per_page is a number from 1 to 150");
        }
        let after = body["pagination"]["starting_after"].as_str().unwrap_or_default();
        let found = |contact: &&Contact| {
            !contact.archived && contact.created_ms + lag_ms <= now && fits(query, &shown(contact))
        };
        let all: Vec<&Contact> = self.contacts.values().filter(found).collect();
        let mut rest = all.iter().filter(|contact| contact.id.as_str() > after);
        let page: Vec<&&Contact> = rest.by_ref().take(per_page as usize).collect();
        let more = rest.next().is_some();
        let last = page.last().map(|contact| contact.id.clone()).filter(|_| more);
        let next = last.map(|id| json!({"per_page": per_page, "starting_after": id}));
        let data: Vec<Value> = page.into_iter().map(|contact| shown(contact)).collect();
        let pages = json!({"type": "pages", "per_page": per_page, "next": next});
        Answer::ok(json!({"type": "list", "data": data, "total_count": all.len(), "pages": pages}))
    }
}

/// Whether Intercom would take the query; else what is wrong with it.
fn check(query: &Value, depth: usize) -> Result<(), String> {
    let operator = query["operator"].as_str().ok_or("a query has an operator")?;
    if let Some(inner) = query["value"].as_array().filter(|_| ["AND", "OR"].contains(&operator)) {
        if depth > MAX_DEPTH {
            return Err(format!("groups stand in groups at most {MAX_DEPTH} deep"));
        }
        if inner.len() > MAX_FILTERS {
            return Err(format!("a group has at most {MAX_FILTERS} filters"));
        }
        return inner.iter().try_for_each(|one| check(one, depth + 1));
    }
    let field = query["field"].as_str().ok_or("a filter has a field")?;
    let known = ["id", "external_id", "email", "phone", "name", "role", "created_at", "updated_at", "signed_up_at"];
    if !known.contains(&field) && !field.starts_with("custom_attributes.") {
        return Err(format!("contacts cannot be searched by {field}"));
    }
    let value = &query["value"];
    let is_known = match operator {
        "=" | "!=" => !value.is_array(),
        "IN" | "NIN" => value.is_array(),
        ">" | "<" | ">=" | "<=" => value.is_number(),
        "~" | "!~" | "^" | "$" => value.is_string(),
        _ => false,
    };
    if is_known { Ok(()) } else { Err(format!("operator {operator} does not fit the value of {field}")) }
}

fn fits(query: &Value, contact: &Value) -> bool {
    let (operator, value) = (query["operator"].as_str().unwrap_or_default(), &query["value"]);
    let group = value.as_array();
    match (operator, group) {
        ("AND", Some(all)) => return all.iter().all(|one| fits(one, contact)),
        ("OR", Some(any)) => return any.iter().any(|one| fits(one, contact)),
        _ => {}
    }
    let field = query["field"].as_str().unwrap_or_default();
    let found = match field.strip_prefix("custom_attributes.") {
        Some(name) => &contact["custom_attributes"][name],
        None => &contact[field],
    };
    let texts = found.as_str().zip(value.as_str());
    let numbers = found.as_f64().zip(value.as_f64());
    match operator {
        "=" => found == value,
        "!=" => found != value,
        "IN" => group.is_some_and(|any| any.contains(found)),
        "NIN" => group.is_some_and(|none| !none.contains(found)),
        ">" => numbers.is_some_and(|(found, value)| found > value),
        "<" => numbers.is_some_and(|(found, value)| found < value),
        ">=" => numbers.is_some_and(|(found, value)| found >= value),
        "<=" => numbers.is_some_and(|(found, value)| found <= value),
        "~" => texts.is_some_and(|(found, value)| found.contains(value)),
        "!~" => texts.is_none_or(|(found, value)| !found.contains(value)),
        "^" => texts.is_some_and(|(found, value)| found.starts_with(value)),
        "$" => texts.is_some_and(|(found, value)| found.ends_with(value)),
        _ => false,
    }
}
