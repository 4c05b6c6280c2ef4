//! What comes back from a store's API: answers, access tokens and refusals.

use crate::Notification;
use bytes::Bytes;
use std::time::Duration;

/// A short-lived access token.
#[derive(Clone)]
pub struct Token {
    /// What stands after `Bearer `. A secret: neither shown nor logged.
    pub bearer: String,
    /// For how long from now, less a margin for the way.
    pub valid_for: Duration,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("valid_for", &self.valid_for).finish_non_exhaustive()
    }
}

/// What a store was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// How this purchase stands, by the store's lasting id (`Source::ask`).
    Purchase(&'a str),
    /// A lookup's name and context (`Source::look_up`).
    Lookup(&'a str, &'a str),
}

/// What an answer means that is no success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The store does not know what it was asked for: asking again changes nothing.
    Final,
    /// Asked again later.
    Later,
    /// Our credentials or rights are wrong: asked again later, and shown to the operator as theirs to mend.
    Credentials,
    /// It is an answer all the same: these bytes are kept in the body's stead and read with `read_kept` (a store that
    /// says "cancelled" by a status).
    Answer(Bytes),
}

/// An answer whose sender is proven, where the store signs its answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenAnswer {
    /// What is kept of it and read with `read_kept`: the answer, less what is kept as `notifications`.
    pub body: Bytes,
    /// Notifications that stand in it, proven, in the order in which the store sent or tried to send them. A rebuild finds
    /// them beside the answer, as they were kept.
    pub notifications: Vec<Notification>,
}
