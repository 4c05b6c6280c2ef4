//! Testing the line from a store: whether its notifications arrive and whether it can be asked, as a value that is driven
//! step by step. What came of it is told in words, because whoever tests is about to mend something.

use bytes::Bytes;
use paidup_lifecycle::closed_set;
use paidup_lifecycle::time::Timestamp;
use std::time::Duration;

closed_set! {
    /// How grave a finding is.
    pub enum Gravity {
        /// Works.
        Fine = "fine",
        /// Works, but look at it.
        Warning = "warning",
        /// Does not work until it is mended.
        Problem = "problem",
    }
}

/// One thing that was found. Never contains a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How grave it is.
    pub gravity: Gravity,
    /// What it is, and what to do about it.
    pub text: String,
}

/// How the line of a source is tested.
pub enum Testing {
    /// By a person, at the store: how, in words.
    ByHand(String),
    /// By calls.
    Calls(Box<dyn LineTest>),
}

/// A test that is under way.
pub trait LineTest: Send {
    /// What comes next, after what was heard of the call before; `None` at the beginning.
    fn next(&mut self, heard: Option<Heard>, now: Timestamp) -> Step;
}

/// What comes next in a test.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // one per call, taken apart at once
pub enum Step {
    /// A call, after a pause.
    Call {
        /// How long to wait first.
        after: Duration,
        /// What to ask.
        request: http::Request<Bytes>,
    },
    /// It is over.
    Done(Vec<Finding>),
}

/// What came of a call.
#[derive(Debug)]
pub enum Heard {
    /// An answer, of any status.
    Answer(http::Response<Bytes>),
    /// None, and why, in words.
    Nothing(String),
}
