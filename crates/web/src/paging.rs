//! Lists: `{"data": [...], "next_cursor": "..."|null}` with `?after=&limit=` (1-200, default 50). Pages go on by key, so
//! that what is added meanwhile neither repeats nor hides anything.

use crate::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// How many rows a page has when nobody says.
pub(crate) const DEFAULT_LIMIT: usize = 50;
/// The most that a page may have.
pub(crate) const MAX_LIMIT: usize = 200;

/// Where to go on, and how far.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
pub(crate) struct Page {
    /// `next_cursor` of the page before.
    #[serde(default)]
    pub(crate) after: Option<String>,
    /// Rows on the page, 1 to 200; 50 when absent.
    #[serde(default)]
    pub(crate) limit: Option<String>,
}

impl Page {
    /// Rows on the page.
    pub(crate) fn limit(&self) -> Result<usize, Problem> {
        match self.limit.as_deref() {
            None => Ok(DEFAULT_LIMIT),
            Some(text) => match text.parse::<usize>() {
                Ok(limit) if (1..=MAX_LIMIT).contains(&limit) => Ok(limit),
                Ok(_) | Err(_) => {
                    Err(Problem::malformed("limit is a whole number from 1 to 200").at("limit", "1 to 200"))
                }
            },
        }
    }

    /// The key after which the page begins.
    pub(crate) fn after(&self) -> Result<Option<u64>, Problem> {
        match self.after.as_deref() {
            None | Some("") => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| {
                Problem::malformed("after is the next_cursor of the page before, unchanged").at("after", "not a cursor")
            }),
        }
    }
}

/// A page of a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct List<T> {
    /// The rows.
    pub(crate) data: Vec<T>,
    /// Give this as `after` for the next page; null: this was the last one.
    pub(crate) next_cursor: Option<String>,
}

impl<T> List<T> {
    /// A list that fits on one page.
    #[must_use]
    pub(crate) fn whole(data: Vec<T>) -> List<T> {
        List { data, next_cursor: None }
    }

    /// A page of rows with their keys; a full page has a successor.
    #[must_use]
    pub(crate) fn keyed(rows: Vec<(u64, T)>, limit: usize) -> List<T> {
        let next_cursor = if rows.len() >= limit { rows.last().map(|(key, _)| key.to_string()) } else { None };
        List { data: rows.into_iter().map(|(_, row)| row).collect(), next_cursor }
    }
}
