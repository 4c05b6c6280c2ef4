//! What every played store can do: the frame's only view of a store. A new store is a folder, its `mod` line, its
//! [`StoreKind`] and this.

use super::StoreKind;
use super::forgery::Forgery;
use crate::catalogue::Plan;
use crate::lives::{Said, Told};
use crate::population::Shop;
use serde_json::Value;

/// Everything that stores tell, with dates in milliseconds since 1970, in order: what a store's API follows.
pub type Feed = Box<dyn Iterator<Item = (i64, Told)> + Send>;

/// A store that is played.
pub trait Played: Send + Sync {
    /// Which one.
    fn kind(&self) -> StoreKind;

    /// The name of its source, for people.
    fn title(&self) -> &'static str;

    /// The `config` of its source.
    fn config(&self) -> Value;

    /// What it sells: each plan with the store's id of it; several ids where the store has several.
    fn products(&self) -> Vec<(&'static Plan, String)>;

    /// Where its customers buy.
    fn shop(&self) -> Shop;

    /// The body of the request that tells this.
    fn body(&self, said: &Said) -> Result<Vec<u8>, CannotTell>;

    /// The headers of one attempt at `now_ms`, besides those that every store sends.
    fn headers(&self, _body: &[u8], _now_ms: i64) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// The type of its bodies.
    fn content_type(&self) -> &'static str {
        "application/json"
    }

    /// What has to be sent before anything is told, where the store asks a new receiver for its consent first.
    fn opening(&self, _now_ms: i64) -> Option<Vec<u8>> {
        None
    }

    /// Whether this status of the answer to that is the one that the store wants.
    fn is_consent(&self, status: u16) -> bool {
        (200..300).contains(&status)
    }

    /// What a new receiver must refuse before anything is told, where the store tries that.
    fn probes(&self, _now_ms: i64) -> Vec<Forgery> {
        Vec::new()
    }

    /// Whether the receiver has consented.
    fn is_open(&self) -> bool {
        true
    }

    /// What its API shows from now on, where it has one.
    fn follow(&self, _lives: Feed) {}

    /// Nothing more happens: the run was ended.
    fn freeze(&self) {}

    /// An attempt to tell this was made: stores that show their attempts remember it.
    fn attempted(&self, _said: &Said, _at_ms: i64, _outcome: Outcome) {}
}

/// What came of one attempt to tell something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A 2xx.
    Accepted,
    /// Another status.
    Refused,
    /// No answer in time.
    TimedOut,
    /// No connection, or one that broke.
    NoConnection,
    /// It was lost on the way (a fault on demand): the store waited for an answer in vain, and gave up.
    Lost,
}

/// A store could not say it.
#[derive(Debug, thiserror::Error)]
pub enum CannotTell {
    /// It is another store's.
    #[error("it is another store's notification")]
    Misplaced,
    /// Signing or writing failed.
    #[error("it could not be written: {0}")]
    Unwritten(Box<dyn std::error::Error + Send + Sync>),
}

impl CannotTell {
    pub(crate) fn because(error: impl std::error::Error + Send + Sync + 'static) -> CannotTell {
        CannotTell::Unwritten(Box::new(error))
    }
}
