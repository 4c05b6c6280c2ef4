//! Stores in: one folder per kind of source. Pure: bytes and headers in, observations and questions out.
//!
//! A source proves who sent a notification (`verify`), turns it into observations (`read`) and, where a store can be
//! asked, says how (`ask`). It never sees the network, the clock or the database: `now` and key material are parameters.
//! Adding one: a folder here, its `mod` line and its line in [`DEFINITIONS`].

mod amazon;
mod app_store;
mod asking;
mod claim;
mod discord;
mod generic;
#[cfg(test)]
mod golden;
mod lenient;
mod line;
mod lookup;
mod play;
mod proof;
mod purchasely;
mod revenuecat;
mod settings;
mod stripe;
mod transfer;

pub use asking::{ProvenAnswer, Refusal, Token, Wanted};
use bytes::Bytes;
pub use claim::{Claim, Claimed};
pub use line::{Finding, Gravity, Heard, LineTest, Step, Testing};
pub use lookup::{
    Clue, Link, Lookup, answer_id, is_reconciled_id, looked_up_id, parse_answer_id, parse_looked_up_id, reconciled_id,
};
use paidup_lifecycle::ids::{NotificationId, SourceId};
use paidup_lifecycle::observation::{Environment, Kind, Observation, Store};
use paidup_lifecycle::time::Timestamp;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::Arc;
pub use transfer::Transfer;

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

/// Where stores are asked; an operator may point each elsewhere (contract.md, settings). Without a slash at the end.
#[derive(Debug, Clone)]
pub struct Upstreams {
    /// `https://api.stripe.com`.
    pub stripe_api: String,
    /// `https://androidpublisher.googleapis.com`.
    pub play_api: String,
    /// Where Google hands out access tokens, whole: `https://oauth2.googleapis.com/token`.
    pub google_token: String,
    /// Where Google publishes the keys that it signs with, whole: `https://www.googleapis.com/oauth2/v3/certs`. Where the
    /// operator pointed tokens elsewhere, `/oauth2/v3/certs` of that origin.
    pub google_keys: String,
    /// The App Store Server API. `None`: Apple's own, by environment.
    pub appstore_api: Option<String>,
    /// `https://appstore-sdk.amazon.com`.
    pub amazon_rvs: String,
    /// The one origin that SNS certificates come from. `None`: `sns.<region>.amazonaws.com`, as AWS says.
    pub amazon_sns: Option<String>,
    /// `https://discord.com/api/v10`.
    pub discord_api: String,
}

impl Default for Upstreams {
    /// The vendors' own.
    fn default() -> Upstreams {
        Upstreams {
            stripe_api: "https://api.stripe.com".to_owned(),
            play_api: "https://androidpublisher.googleapis.com".to_owned(),
            google_token: "https://oauth2.googleapis.com/token".to_owned(),
            google_keys: "https://www.googleapis.com/oauth2/v3/certs".to_owned(),
            appstore_api: None,
            amazon_rvs: "https://appstore-sdk.amazon.com".to_owned(),
            amazon_sns: None,
            discord_api: "https://discord.com/api/v10".to_owned(),
        }
    }
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
pub static DEFINITIONS: &[Definition] = &[
    app_store::DEFINITION,
    play::DEFINITION,
    amazon::DEFINITION,
    stripe::DEFINITION,
    discord::DEFINITION,
    revenuecat::DEFINITION,
    purchasely::DEFINITION,
    generic::DEFINITION,
];

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
    pub body: Bytes,
}

/// Key material that had to be fetched (OIDC keys, SNS certificates), by URL. Empty for sources that need none.
#[derive(Debug, Clone, Default)]
pub struct Keys(pub BTreeMap<String, Bytes>);

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
    pub body: Bytes,
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
    /// What must be known before any of this counts: the purchase that this one replaced. Unless the lookup's `unless_known`
    /// is known by any of its ids, all else is put aside and only this is looked up; its answer leads back here.
    pub first: Option<Box<Lookup>>,
    /// Groups of ids, each of one customer, by the word of a sender that keeps customers itself: all customers that have
    /// one of them become one. The first is the one to show.
    pub same: Vec<Vec<String>>,
    /// Purchases that change hands without being named.
    pub transfers: Vec<Transfer>,
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
        environment: Environment,
        /// When.
        at: Timestamp,
    },
    /// Of a type that this version does not know: kept, answered with success, shown to the operator.
    Unknown,
    /// Known and of no consequence for a purchase (Apple's `RENEWAL_EXTENSION`/`SUMMARY`): kept and shown.
    Informative,
    /// The same, and a person must see it: it is logged as a warning. Says what to do; never contains a secret.
    Warning(&'static str),
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
    KeyNeeded(http::Request<Bytes>),
}

/// Which purchase a store is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The store's id of the purchase: its newest, where one replaced another (`Purchase::newest_id`).
    pub store_purchase_id: String,
    /// What the source said last that is needed to ask, beside the id (`Facets::ask_with`).
    pub ask_with: Option<String>,
    /// Where it was bought. `None`: nobody knows.
    pub environment: Option<Environment>,
    /// What it is, as far as is known.
    pub kind: Option<Kind>,
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
    fn ask(&self, _question: &Ask, _now: Timestamp) -> Option<http::Request<Bytes>> {
        None
    }

    /// Asking that is a lookup: where the answer does not say by itself what it is about, so that reading needs the
    /// lookup's name and context. It goes before `ask`; its answer must speak of the purchase that is asked about.
    fn ask_by(&self, _question: &Ask) -> Option<Lookup> {
        None
    }

    /// The request that looks something up. The answer's body is kept under [`looked_up_id`] and read with `read_kept`,
    /// which may ask for more. `None`: the store cannot be asked; then a clue answers, where there is one. Lookups of one
    /// name that wait at the same time are one call, whose answer is read for each of them.
    fn look_up(&self, _lookup: &Lookup, _now: Timestamp) -> Option<http::Request<Bytes>> {
        None
    }

    /// Proves an answer to `ask` or `look_up` when it arrives, before anything of it is believed: `read_kept` never does.
    /// One that is refused is as good as none: it is asked for again, and shown with the reason. Notifications that stand
    /// in it (a history) are taken out here, and kept and read as if the store had sent them.
    fn prove_answer(&self, _wanted: &Wanted<'_>, body: Bytes, _now: Timestamp) -> Result<ProvenAnswer, Rejection> {
        Ok(ProvenAnswer { body, notifications: Vec::new() })
    }

    /// The request for a short-lived access token, where the store hands them out (Google). What `token` reads of its
    /// answer goes as `Authorization: Bearer` with every request of `ask` and `look_up`, until it is no longer valid.
    fn token_request(&self, _now: Timestamp) -> Option<http::Request<Bytes>> {
        None
    }

    /// Reads the answer to `token_request`.
    fn token(&self, _answer: &[u8]) -> Result<Token, Rejection> {
        Err(Rejection::new(RejectionKind::Malformed, "no_tokens", "this store hands out no access tokens".to_owned()))
    }

    /// Most calls a minute that the store allows; `None`: it says nothing.
    fn calls_a_minute(&self) -> Option<u32> {
        None
    }

    /// When a store that refused wants to be asked again, where it says so in a way of its own. `None`: the hub obeys
    /// `Retry-After` as HTTP has it (seconds, or a date).
    fn ask_again_at(&self, _headers: &http::HeaderMap, _now: Timestamp) -> Option<Timestamp> {
        None
    }

    /// What an answer that is no success means.
    fn refused(&self, _wanted: &Wanted<'_>, status: http::StatusCode, _body: &[u8]) -> Refusal {
        match status {
            http::StatusCode::NOT_FOUND | http::StatusCode::GONE => Refusal::Final,
            http::StatusCode::UNAUTHORIZED | http::StatusCode::FORBIDDEN => Refusal::Credentials,
            _ => Refusal::Later,
        }
    }

    /// What compares everything since `since` with the store's own lists or history, from their first page on; a page's
    /// reading looks up the next one. Empty: the store has neither. Purchases that are known are asked for one by one with
    /// `ask`, by the hub.
    fn reconcile(&self, _since: Timestamp, _now: Timestamp) -> Vec<Lookup> {
        Vec::new()
    }

    /// The same for what the store itself knows that it could not deliver, where it does: cheap, for every start.
    fn missed(&self, since: Timestamp, now: Timestamp) -> Vec<Lookup> {
        self.reconcile(since, now)
    }

    /// The store that it tells of, where that is one: what is given while it cannot be asked is in its name.
    fn store(&self) -> Store {
        Store::External
    }

    /// What an app's own backend says that a customer bought. The customer is not the source's business.
    fn claim(&self, _claim: &Claim, _now: Timestamp) -> Result<Claimed, Rejection> {
        let detail = "purchases of this kind of source cannot be claimed; its notifications bring them";
        Err(Rejection::new(RejectionKind::WrongAddress, "cannot_claim", detail.to_owned()))
    }

    /// How the line from the store is tested.
    fn test(&self) -> Testing {
        let how = "send a test from the store's console, as this type's set-up says; a TEST event, or a row of GET \
                   /v1/notifications, shows that it arrived";
        Testing::ByHand(how.to_owned())
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
