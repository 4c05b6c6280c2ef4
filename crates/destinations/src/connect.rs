//! Connecting by OAuth, for kinds whose vendor offers it: a person agrees on the vendor's page instead of pasting a token.
//!
//! Pure like the rest: where the browser goes, and the exchange of what it brings back, as a value that is asked for its
//! next step. Who may begin it, and that what comes back belongs to what was begun, is the hub's business.

use crate::{Answer, Reason, SettingsError, Upstreams, intercom};
use bytes::Bytes;
use serde_json::{Map, Value};
use url::Url;

/// Every kind that can be connected so.
pub const CONNECTORS: &[&Connector] = &[&intercom::CONNECTOR];

/// The connector of a kind.
#[must_use]
pub fn connector(kind: &str) -> Option<&'static Connector> {
    CONNECTORS.iter().copied().find(|connector| connector.kind == kind)
}

/// An app that an operator has registered with a vendor. No `Debug`: it holds a secret.
#[derive(Clone)]
pub struct App {
    /// The vendor's page on which people agree.
    pub consent_page: String,
    /// The app's public name.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
}

/// How a kind is connected.
pub struct Connector {
    /// `intercom`, ...
    pub kind: &'static str,
    /// Where the browser goes: the app, the state to come back with, and the address to come back to.
    pub consent: fn(&App, state: &str, redirect: &str) -> Result<Url, SettingsError>,
    /// What is done with the code that comes back.
    pub exchange: fn(&App, code: &str, &Upstreams) -> Box<dyn Exchange>,
}

/// An exchange under way: asked for its next step, given the answer to its last call.
pub trait Exchange: Send {
    /// `None` first, then the answer to the last `Call`.
    fn next(&mut self, answer: Option<&Answer>) -> ExchangeStep;
}

/// What to do next.
#[allow(clippy::large_enum_variant)] // one lives at a time, and a box per call would buy nothing
pub enum ExchangeStep {
    /// Make this call.
    Call(http::Request<Bytes>),
    /// Connected.
    Done(Connection),
    /// It did not work, in words. Never contains a secret.
    Refused(Reason),
}

/// What came of an exchange. No `Debug`: the settings hold a token.
pub struct Connection {
    /// Settings that the kind needs to be used, to be laid over those that a person chose.
    pub settings: Map<String, Value>,
    /// With whom, for people.
    pub account: String,
}
