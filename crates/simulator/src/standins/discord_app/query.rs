//! Query strings as Discord reads them: everything that is wrong is said at once, each under its name (code 50035).

use crate::standins::discord::rules::Faults;
use std::collections::BTreeMap;

/// The largest id: Discord's are signed.
const MAX_ID: u64 = i64::MAX.unsigned_abs();
/// The most that a page holds.
const MAX_LIMIT: usize = 100;
/// The most ids in a list.
const MAX_IDS: usize = 100;

/// A query that is being read, and what is wrong with it.
pub(super) struct Query {
    values: BTreeMap<String, String>,
    pub(super) faults: Faults,
}

impl Query {
    pub(super) fn new(text: &str) -> Query {
        let values = url::form_urlencoded::parse(text.as_bytes()).into_owned().collect();
        Query { values, faults: Faults::default() }
    }

    fn wrong(&mut self, name: &str, code: &'static str, message: String) {
        self.faults.add(&[name], code, message);
    }

    pub(super) fn id(&mut self, name: &str) -> Option<u64> {
        let text = self.values.get(name)?.clone();
        match snowflake(&text) {
            Some(id) if id > MAX_ID => {
                let message = format!("snowflake value should be less than or equal to {MAX_ID}.");
                self.wrong(name, "NUMBER_TYPE_MAX", message);
                None
            }
            Some(id) => Some(id),
            None => {
                self.wrong(name, "NUMBER_TYPE_COERCE", format!("Value \"{text}\" is not snowflake."));
                None
            }
        }
    }

    pub(super) fn needed_id(&mut self, name: &str) -> Option<u64> {
        if !self.values.contains_key(name) {
            self.wrong(name, "BASE_TYPE_REQUIRED", "This field is required".to_owned());
        }
        self.id(name)
    }

    /// Ids with commas between. `None`: there is no such list.
    pub(super) fn ids(&mut self, name: &str) -> Option<Vec<u64>> {
        let text = self.values.get(name)?.clone();
        let ids: Vec<u64> =
            text.split(',').filter(|part| !part.is_empty()).map_while(snowflake).take(MAX_IDS).collect();
        if ids.len() != text.split(',').filter(|part| !part.is_empty()).count() {
            self.wrong(name, "NUMBER_TYPE_COERCE", format!("Value \"{text}\" is not snowflake."));
        }
        Some(ids)
    }

    pub(super) fn limit(&mut self, usual: usize) -> usize {
        let Some(text) = self.values.get("limit").cloned() else { return usual };
        let wrong = match text.parse::<i64>() {
            Ok(limit) if limit < 1 => ("NUMBER_TYPE_MIN", "int value should be greater than or equal to 1.".to_owned()),
            Ok(limit) => match usize::try_from(limit).ok().filter(|limit| *limit <= MAX_LIMIT) {
                Some(limit) => return limit,
                None => ("NUMBER_TYPE_MAX", "int value should be less than or equal to 100.".to_owned()),
            },
            Err(_) => ("NUMBER_TYPE_COERCE", format!("Value \"{text}\" is not int.")),
        };
        self.wrong("limit", wrong.0, wrong.1);
        usual
    }

    pub(super) fn flag(&mut self, name: &str, usual: bool) -> bool {
        match self.values.get(name).map(String::as_str) {
            None => usual,
            Some("true" | "True" | "1") => true,
            Some("false" | "False" | "0") => false,
            Some(text) => {
                let message = format!("Value \"{text}\" is not bool.");
                self.wrong(name, "BASE_TYPE_COERCE", message);
                usual
            }
        }
    }
}

/// Digits alone, without a sign or a zero before them.
pub(super) fn snowflake(text: &str) -> Option<u64> {
    let is_plain = text == "0" || !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}
