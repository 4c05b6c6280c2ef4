//! Events out: one folder per kind of destination. Pure: events in, requests and verdicts out.
//!
//! A destination turns events into a [`Conversation`]: a value that is asked for its next [`Step`] and given the answer
//! to its last call. One dull loop in the hub does the I/O for every kind.
//! Adding one: a folder here, its `mod` line and its line in [`DEFINITIONS`].

mod answers;
pub mod connect;
pub mod discord_webhook;
pub mod intercom;
pub mod preview;
mod settings;
pub mod webhook;

pub use crate::answers::retry_after;
pub use crate::settings::ReactivationAs;
use bytes::Bytes;
use paidup_lifecycle::closed_set;
use paidup_lifecycle::customer::Customer;
use paidup_lifecycle::event::Event;
pub use paidup_lifecycle::event::LoggedEvent;
use paidup_lifecycle::filter::Filter;
use paidup_lifecycle::observation::Environment;
use paidup_lifecycle::time::Timestamp;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::time::Duration;

/// Every kind, in the order in which forms offer them.
pub const DEFINITIONS: &[&Definition] = &[&webhook::DEFINITION, &discord_webhook::DEFINITION, &intercom::DEFINITION];

/// The definition of a kind.
#[must_use]
pub fn definition(kind: &str) -> Option<&'static Definition> {
    DEFINITIONS.iter().copied().find(|definition| definition.kind == kind)
}

/// One kind of destination: the API, the forms, `doctor` and the docs read it.
pub struct Definition {
    /// `webhook`, `discord_webhook`, ...
    pub kind: &'static str,
    /// For people.
    pub title: &'static str,
    /// Markdown shown beside the form.
    pub setup: &'static str,
    /// JSON Schema of the settings; doc comments are the help texts.
    pub settings_schema: fn() -> schemars::Schema,
    /// Names of settings that are secrets or contain one: encrypted at rest, masked in answers, previews and logs.
    pub secrets: &'static [&'static str],
    /// Completes settings at creation (a signing secret is made from `entropy` when none is given). Returns the settings
    /// to keep.
    pub prepare: fn(&RawValue, entropy: &[u8; 32]) -> Result<Box<RawValue>, SettingsError>,
    /// Checks the settings and opens the destination.
    pub open: fn(&RawValue, &Upstreams) -> Opened,
    /// The filter when none is given (`webhook`: both environments; the others: PRODUCTION only).
    pub default_filter: fn() -> Filter,
    /// Makes fresh secrets of the destination's own; those of before hold until the overlap ends. Returns the settings to
    /// keep. `None`: this kind has no secrets of its own, only those that the far side gives.
    pub rotate: Option<Rotate>,
    /// What stays in order when nobody says: all of a customer's events, for kinds that keep something about the
    /// customer; else one purchase's.
    pub by_customer: fn(&RawValue) -> bool,
}

/// How a kind makes fresh secrets of `entropy`.
pub type Rotate = fn(&RawValue, entropy: &[u8; 32], Rotation) -> Result<Box<RawValue>, SettingsError>;

/// When secrets change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// Now.
    pub now: Timestamp,
    /// Those of before hold until then.
    pub until: Timestamp,
}

/// A destination, ready to deliver.
pub type Opened = Result<Box<dyn Destination>, SettingsError>;

/// Where vendors are reached; an operator may point each elsewhere (contract.md, settings).
#[derive(Debug, Clone)]
pub struct Upstreams {
    /// `https://discord.com/api/v10`
    pub discord_api: String,
    /// Where Intercom is instead of at the address of its region.
    pub intercom_api: Option<String>,
    /// This hub's own address, for links and `User-Agent`.
    pub public_url: String,
}

/// Settings that do not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct SettingsError {
    /// JSON pointer to the setting, e.g. `/url`.
    pub pointer: String,
    /// What is wrong and what to do.
    pub detail: String,
}

/// What a destination remembers between deliveries (remote ids) about whatever [`Destination::about`] names. Empty for most.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Memory(pub BTreeMap<String, String>);

/// What a memory is about: the name under which it is kept, beside the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct About(pub [u8; 16]);

/// Whether two events may share a delivery; see [`Destination::together`].
pub type Together = fn(&Event, &Event) -> bool;

/// What the destination must know about the moment besides the events.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Now.
    pub now: Timestamp,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// How many further events of this destination wait behind these: pressure, for coalescing.
    pub waiting: u64,
}

/// A destination, opened with its settings.
pub trait Destination: Send + Sync {
    /// Starts the delivery of `events` (one, unless `coalesces`). All of them share a verdict. `memory` is about what the
    /// first of them is about.
    /// An error is a poisoned event: it cannot be rendered, is given up with its reason and frees its lane.
    fn deliver(&self, events: &[LoggedEvent], memory: &Memory, moment: Moment)
    -> Result<Box<dyn Conversation>, Poison>;

    /// Whether this event causes any request at all. `Some(reason)`: it is settled as skipped without one.
    fn skips(&self, event: &LoggedEvent) -> Option<Reason>;

    /// How the loop may drive this destination.
    fn pace(&self) -> Pace;

    /// What is remembered between deliveries is remembered about this; the event's customer, unless a kind says otherwise.
    fn about(&self, event: &Event) -> About {
        About(event.customer.id.0)
    }

    /// Which events may share a delivery (`Pace::coalesces`) when several wait. `None`: any, in log order, from different
    /// lanes, and by pressure only. Otherwise those that follow each other in one lane and of which this says so, always.
    fn together(&self) -> Option<Together> {
        None
    }

    /// Looks at the set-up with the vendor and makes what deliveries need and what is missing there. `None`: nothing
    /// tells more than a test event.
    fn check(&self, _moment: Moment) -> Option<Box<dyn Check>> {
        None
    }

    /// Brings what the vendor keeps about a customer up to date, without telling of an event. `memory` is that of the
    /// customer's lane. `None`: this kind keeps nothing about customers.
    fn refresh(&self, _of: &Refresh<'_>, _memory: &Memory, _moment: Moment) -> Option<Box<dyn Conversation>> {
        None
    }

    /// What the far side would answer to this request if all went well, as far as a preview needs it.
    fn rehearsal(&self, _request: &http::Request<Bytes>) -> Answer {
        Answer::Response(http::Response::new(Bytes::from_static(b"{}")))
    }

    /// Limits that the vendor publishes or that others have measured, until its answers tell better. What is learned
    /// from a [`Step::Learn`] narrows them; it never widens them.
    fn budgets(&self) -> Vec<BudgetGuess> {
        Vec::new()
    }

    /// Whether the far side, or we with its help, can tell that an event came twice and keep it once. `false`: an attempt
    /// without an answer that is repeated may tell it twice, and is counted.
    fn tells_repeats(&self) -> bool {
        false
    }

    /// Credentials that stand in the address of a request. Whoever shows one hides them ([`preview::shown`]); those in
    /// headers are marked sensitive on the header itself.
    fn credentials(&self) -> Vec<&str> {
        Vec::new()
    }

    /// Addresses that the user named, which the hub checks against private and reserved ranges at creation (and again
    /// at every call). Vendors' own addresses are not among them: the operator names those.
    fn addresses(&self) -> &[url::Url] {
        &[]
    }
}

/// A customer whose picture at the vendor is to be brought up to date.
#[derive(Debug, Clone, Copy)]
pub struct Refresh<'a> {
    /// The customer as stored.
    pub customer: &'a Customer,
    /// Which of the customer's purchases count.
    pub environment: Environment,
}

closed_set! {
    /// How grave a finding is.
    pub enum Gravity {
        /// As it should be.
        Fine = "fine",
        /// Works, but somebody should look at it.
        Warning = "warning",
        /// Does not work until it is mended.
        Problem = "problem",
    }
}

/// One thing that a look at the set-up has found, for people. Never contains a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How grave it is.
    pub gravity: Gravity,
    /// What it is, and what to do about it.
    pub text: String,
}

/// A look at the set-up: held like a delivery, and asked for its findings when it is over. Its verdict is `Delivered`
/// when nothing was found that does not work.
pub trait Check: Conversation {
    /// What was found so far, in the order in which it was looked at.
    fn findings(&self) -> &[Finding];
}

/// How the loop may drive a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Deliveries at the same time, over all lanes.
    pub concurrency: usize,
    /// Most events that one delivery may carry when others wait (1: never coalesces); which, says
    /// [`Destination::together`].
    pub coalesces: usize,
    /// How long one call may take.
    pub timeout: Duration,
    /// Settle each success at once (slow, rate-limited kinds) rather than in batches.
    pub settle_each: bool,
}

/// An event that cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Poison(pub String);

/// A delivery under way: asked for its next step, given the answer to its last call.
pub trait Conversation: Send {
    /// `None` first, then the answer to the last `Call`.
    fn next(&mut self, answer: Option<&Answer>) -> Step;
}

/// What the far side said.
#[derive(Debug, Clone)]
pub enum Answer {
    /// An HTTP answer; the body is cut at the outbound client's bound.
    Response(http::Response<Bytes>),
    /// None came.
    Failed(CallFailure),
}

/// Why no answer came. Never contains a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallFailure {
    /// It took longer than `Pace::timeout`; the far side may or may not have acted.
    #[error("no answer in time")]
    TimedOut,
    /// No connection.
    #[error("could not connect")]
    NotConnected,
    /// The connection broke after the request was sent.
    #[error("connection lost")]
    ConnectionLost,
    /// The name resolves to an address that may not be reached.
    #[error("the address is private or reserved; allow it with PAIDUP_ALLOW_PRIVATE_TARGETS")]
    AddressRefused,
    /// The name does not resolve.
    #[error("the host name does not resolve")]
    NameNotFound,
    /// TLS failed.
    #[error("TLS failed: the certificate or protocol was refused")]
    TlsFailed,
    /// Not a valid HTTP answer.
    #[error("the answer is not valid HTTP")]
    BadAnswer,
}

/// A budget that limits calls, named by whose limit it is, e.g. `discord/webhook/123`. Shared between destinations.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BudgetKey(pub String);

/// What is known about a budget: from a vendor's headers, or a first guess.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetHint {
    /// Which.
    pub key: BudgetKey,
    /// Calls left in the window; `None`: not told.
    pub remaining: Option<u32>,
    /// The window begins anew after this.
    pub resets_after: Duration,
}

/// A first guess at a budget: so many calls in such a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetGuess {
    /// Which.
    pub key: BudgetKey,
    /// Calls in a window.
    pub calls: u32,
    /// The window's length.
    pub per: Duration,
}

/// What to do next.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // one lives at a time, and a box per call would buy nothing
pub enum Step {
    /// Make this call, when all these budgets allow it.
    Call {
        /// The request, with everything but `Host` and `Content-Length`.
        request: http::Request<Bytes>,
        /// Whose limits it counts against.
        budgets: Vec<BudgetKey>,
    },
    /// Keep this; then ask again with the same answer.
    Remember(Memory),
    /// The last answer told something about budgets; then ask again with the same answer.
    Learn(Vec<BudgetHint>),
    /// The last answer told that these two names mean one budget; then ask again with the same answer.
    Join(BudgetKey, BudgetKey),
    /// Done.
    Finish(Verdict),
}

/// Why a delivery ended as it did, for people. Never contains a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(pub String);

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Arrived.
    Delivered,
    /// Try again; after at least this long, when the far side said how long. `counts`: a failed attempt (a rate limit is
    /// none).
    Retry {
        /// At least this long from now.
        after: Option<Duration>,
        /// Counts towards the breaker and the attempts.
        counts: bool,
        /// Why.
        reason: Reason,
    },
    /// This event will never be taken: settle it as failed, go on with the next.
    GiveUp(Reason),
    /// Nothing will be taken any more: stop the destination, tell the operator.
    SwitchOff(Reason),
    /// Not needed: settle it without a trace of failure.
    Skip(Reason),
}
