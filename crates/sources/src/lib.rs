//! Stores in: one folder per kind of source. Pure: bytes and headers in, observations and questions out.
//!
//! A source proves who sent a notification (`verify`), turns it into observations (`read`) and, where a store can be
//! asked, says how (`ask`). It never sees the network, the clock or the database: `now` and key material are parameters.
//! Adding one: a folder here, its `mod` line and its line in [`DEFINITIONS`].

mod app_store;
mod generic;
#[cfg(test)]
mod golden;
mod lookup;
mod proof;
mod settings;
mod stripe;

pub use lookup::{Clue, Link, Lookup, answer_id, looked_up_id, parse_answer_id, parse_looked_up_id};
use paidup_lifecycle::ids::{NotificationId, SourceId};
use paidup_lifecycle::observation::Observation;
use paidup_lifecycle::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One kind of source: the API, the forms, `doctor` and the docs read it.
pub struct Definition {
    /// `app_store`, `generic`, ...
    pub kind: &'static str,
    /// For people.
    pub title: &'static str,
    /// Markdown shown beside the form.
    pub setup: &'static str,
    /// JSON Schema of the settings; doc comments are the help texts.
    pub settings_schema: fn() -> schemars::Schema,
    /// Settings that are secrets (a top-level name, or a JSON pointer): encrypted at rest, masked in answers.
    pub secrets: &'static [&'static str],
    /// Checks the settings and opens the source.
    pub open: Open,
    /// The largest body that is taken in, in bytes.
    pub max_body: usize,
    /// Who may send: the store's own proof, or one of our keys with scope `ingest`.
    pub proof: Proof,
    /// The status of a success (200; 204 for Discord).
    pub success: u16,
}

/// Checks settings and opens a source with them.
pub type Open = fn(SourceId, &RawValue, &Upstreams) -> Result<Box<dyn Source>, SettingsError>;

/// Where stores are asked; an operator may point each elsewhere (contract.md, settings).
#[derive(Debug, Clone)]
pub struct Upstreams {
    /// `https://api.stripe.com`, without a slash at the end.
    pub stripe_api: String,
}

/// How a sender is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The notification proves itself.
    Store,
    /// `Authorization: Bearer` with a key of scope `ingest`, checked before `verify`.
    Key,
}

/// Every kind of source.
pub static DEFINITIONS: &[Definition] = &[app_store::DEFINITION, stripe::DEFINITION, generic::DEFINITION];

/// The kind of that name.
#[must_use]
pub fn definition(kind: &str) -> Option<&'static Definition> {
    DEFINITIONS.iter().find(|definition| definition.kind == kind)
}

/// Settings that do not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct SettingsError {
    /// JSON pointer to the setting, e.g. `/bundle_id`.
    pub pointer: String,
    /// What is wrong and what to do.
    pub detail: String,
}

/// What arrived, before anything is believed.
#[derive(Debug, Clone)]
pub struct RawRequest {
    /// The headers that a proof may need.
    pub headers: http::HeaderMap,
    /// The body, already bounded by `Definition::max_body`.
    pub body: bytes::Bytes,
}

/// Key material that had to be fetched (OIDC keys, SNS certificates), by URL. Empty for sources that need none.
#[derive(Debug, Clone, Default)]
pub struct Keys(pub BTreeMap<String, bytes::Bytes>);

/// A notification whose sender is proven. One request may carry several (generic: an array).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// In the order of the request.
    pub notifications: Vec<Notification>,
}

/// One proven notification: what is kept, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The store's own id of it: the key of deduplication.
    pub external_id: Arc<str>,
    /// The store's name of its type, e.g. `DID_RENEW/BILLING_RECOVERY`, for the operator.
    pub label: String,
    /// The bytes that are kept; `read_kept` can read them again.
    pub body: bytes::Bytes,
    /// What it says.
    pub reading: Reading,
}

/// What a notification says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    /// About purchases, in our words.
    pub observations: Vec<Observation>,
    /// Something that is not about a purchase.
    pub note: Option<Note>,
    /// What the store has to be asked before more can be said. They wait in the database, beside the notification.
    pub lookups: Vec<Lookup>,
    /// What answers lookups in the store's stead, where it cannot be asked.
    pub clues: Vec<Clue>,
    /// Ids that are the same customer's.
    pub links: Vec<Link>,
}

impl Reading {
    /// One purchase is spoken of, and nothing else.
    #[must_use]
    pub fn observed(observation: Observation) -> Reading {
        Reading { observations: vec![observation], ..Reading::default() }
    }

    /// No purchase is spoken of.
    #[must_use]
    pub fn noted(note: Note) -> Reading {
        Reading { note: Some(note), ..Reading::default() }
    }
}

/// A notification that concerns no purchase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// The store tests the line: a TEST event is told.
    Test {
        /// In which environment.
        environment: paidup_lifecycle::observation::Environment,
        /// When.
        at: Timestamp,
    },
    /// Of a type that this version does not know: kept, answered with success, shown to the operator.
    Unknown,
    /// Known and of no consequence for a purchase (Apple's `RENEWAL_EXTENSION`/`SUMMARY`): kept and shown.
    Informative,
}

/// Why a request is refused. The status is contract.md's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Rejection {
    /// What kind of refusal.
    pub kind: RejectionKind,
    /// A short constant name of the reason for metrics, e.g. `untrusted_root`.
    pub reason: &'static str,
    /// For the sender, without secrets.
    pub detail: String,
    /// Where in the body, as a JSON pointer, when that helps.
    pub pointer: Option<String>,
}

impl Rejection {
    /// A refusal of the body as a whole.
    pub(crate) fn new(kind: RejectionKind, reason: &'static str, detail: String) -> Rejection {
        Rejection { kind, reason, detail, pointer: None }
    }
}

/// Kinds of refusal, with their HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RejectionKind {
    /// 400: cannot be read.
    Malformed,
    /// 401: the proof is missing or wrong.
    Forged,
    /// 403: proven, but not allowed to send here.
    Forbidden,
    /// 413.
    TooLarge,
    /// 422: proven, but for another app or environment, or facts that cannot be.
    WrongAddress,
    /// 503: it cannot be decided now (a key server is down).
    Unavailable,
}

impl RejectionKind {
    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            RejectionKind::Malformed => 400,
            RejectionKind::Forged => 401,
            RejectionKind::Forbidden => 403,
            RejectionKind::TooLarge => 413,
            RejectionKind::WrongAddress => 422,
            RejectionKind::Unavailable => 503,
        }
    }
}

/// What `verify` came to.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // one per request, taken apart at once
pub enum Verification {
    /// Proven and read.
    Verified(Verified),
    /// Key material has to be fetched first; then `verify` again with it in `Keys`.
    KeyNeeded(http::Request<bytes::Bytes>),
}

/// What is asked of a store, as the request that asks it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The store's lasting id of the purchase.
    pub store_purchase_id: String,
}

/// A source, opened with its settings.
pub trait Source: Send + Sync {
    /// Proves the sender, then reads. `now` is used for nothing but staleness where attempts are re-signed.
    fn verify(&self, raw: &RawRequest, keys: &Keys, now: Timestamp) -> Result<Verification, Rejection>;

    /// Reads bytes that were proven and kept before (`rebuild`, `explain`). Never checks a proof.
    fn read_kept(&self, external_id: &str, body: &[u8]) -> Result<Reading, Rejection>;

    /// The settings that reading depends on, as text; the journal keeps them, so that a rebuild reads what was received as
    /// it was read then. `None`: reading depends on none.
    fn policy(&self) -> Option<String> {
        None
    }

    /// `read_kept` under the settings of that time, as `policy` gave them.
    fn read_kept_under(&self, _policy: &str, external_id: &str, body: &[u8]) -> Result<Reading, Rejection> {
        self.read_kept(external_id, body)
    }

    /// Whether the store can be asked how a purchase stands. Sources that cannot end by date.
    fn can_ask(&self) -> bool {
        false
    }

    /// Whether prices come in a later notification than the start that they belong to (Stripe's invoice); see
    /// `paidup_lifecycle::engine::Context::price_follows`.
    fn price_follows(&self) -> bool {
        false
    }

    /// The request that asks. The answer's body is kept under [`answer_id`] and read with `read_kept`.
    fn ask(&self, _question: &Ask, _now: Timestamp) -> Option<http::Request<bytes::Bytes>> {
        None
    }

    /// The request that looks something up. The answer's body is kept under [`looked_up_id`] and read with `read_kept`,
    /// which may ask for more. `None`: the store cannot be asked; then a clue answers, where there is one.
    fn look_up(&self, _lookup: &Lookup) -> Option<http::Request<bytes::Bytes>> {
        None
    }

    /// Takes parts that recur in every notification (certificate chains) out of `body`, so that they are stored once.
    /// `None`: nothing to share. `unpack(pack(body)) == body` for every body, byte for byte.
    fn pack(&self, _body: &[u8]) -> Option<Packed> {
        None
    }

    /// The inverse of `pack`.
    fn unpack(&self, packed: &Packed) -> Result<Vec<u8>, Rejection> {
        Ok(packed.rest.clone())
    }
}

/// A body in two parts: what is its own, and what it shares with others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Its own part.
    pub rest: Vec<u8>,
    /// Shared parts, in the order in which `unpack` needs them.
    pub shared: Vec<Vec<u8>>,
}

/// The id under which a notification is kept.
#[must_use]
pub fn notification_id(source: SourceId, external_id: &str) -> NotificationId {
    NotificationId::derive(&[&source.0, external_id.as_bytes()])
}
