//! The query of a call, as Stripe reads it: `a[b]=c` for hashes, `a[]=c` or `a[0]=c` for lists; what a route does not know
//! is refused.

use super::answers::Answer;
use std::collections::BTreeMap;

/// Parameters that are read.
const MAX_PARAMETERS: usize = 100;
/// Stripe's default and largest page.
const DEFAULT_LIMIT: usize = 10;
const MAX_LIMIT: usize = 100;

/// A query, by its keys as written; a list's indices are written as `[]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Query(BTreeMap<String, Vec<String>>);

impl Query {
    pub(super) fn parse(text: &str) -> Result<Query, Box<Answer>> {
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (number, (key, value)) in url::form_urlencoded::parse(text.as_bytes()).enumerate() {
            if number >= MAX_PARAMETERS {
                return Err(Box::new(Answer::wrong(None, "too many parameters")));
            }
            all.entry(without_index(&key)).or_default().push(value.into_owned());
        }
        Ok(Query(all))
    }

    /// Refuses what is not among `known`; `expand[]` always is.
    pub(super) fn allow(&self, known: &[&str]) -> Result<(), Answer> {
        let unknown = self.0.keys().find(|key| *key != "expand[]" && !known.contains(&key.as_str()));
        match unknown {
            Some(key) => Err(Answer::unknown_parameter(key)),
            None => Ok(()),
        }
    }

    pub(super) fn one(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.last().map(String::as_str)
    }

    pub(super) fn many(&self, key: &str) -> &[String] {
        self.0.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    /// A number; an error where there is something else.
    pub(super) fn number(&self, key: &str) -> Result<Option<i64>, Answer> {
        let Some(text) = self.one(key) else { return Ok(None) };
        let number = text.parse().map_err(|_| Answer::wrong(Some(key), &format!("Invalid integer: {text}")))?;
        Ok(Some(number))
    }

    /// Rows of a page.
    pub(super) fn limit(&self) -> Result<usize, Answer> {
        match self.number("limit")? {
            None => Ok(DEFAULT_LIMIT),
            Some(limit) => match usize::try_from(limit) {
                Ok(limit) if (1..=MAX_LIMIT).contains(&limit) => Ok(limit),
                Ok(_) | Err(_) => Err(Answer::wrong(Some("limit"), "limit is 1 to 100")),
            },
        }
    }
}

/// `expand[0]` and `expand[]` are the same.
fn without_index(key: &str) -> String {
    match key.rsplit_once('[') {
        Some((list, index)) if index.strip_suffix(']').is_some_and(|at| at.bytes().all(|one| one.is_ascii_digit())) => {
            format!("{list}[]")
        }
        Some(_) | None => key.to_owned(),
    }
}
