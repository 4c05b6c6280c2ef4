//! Requests to Intercom's REST API, version 2.14.
//! <https://developers.intercom.com/docs/references/2.14/rest-api/api.intercom.io/>
//!
//! The version is sent with every call, because without it the one holds that the app is set to. 2.14 knows
//! `find_by_external_id` (since 2.13) and answers 404 for merged contacts (410 since 2.16; both are understood).

use super::attributes::{Attribute, Picture};
use super::event::Occurrence;
use crate::settings::fault;
use crate::{BudgetGuess, BudgetKey, SettingsError};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::time::Duration;

const INTERCOM_VERSION: HeaderName = HeaderName::from_static("intercom-version");
const VERSION: HeaderValue = HeaderValue::from_static("2.14");
/// Tokens are about 60 characters long.
const MAX_TOKEN: usize = 512;
/// 10,000 calls a minute for an app, spread over windows of 10 s: as even as can be.
const CALLS: u32 = 166;
const PER: Duration = Duration::from_secs(1);

/// Where the workspace's data is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Region {
    /// The United States: `app.intercom.com`.
    #[default]
    Us,
    /// Europe: `app.eu.intercom.com`.
    Eu,
    /// Australia: `app.au.intercom.com`.
    Au,
}

impl Region {
    /// Where the API of this region is.
    pub(super) const fn api(self) -> &'static str {
        match self {
            Region::Us => "https://api.intercom.io",
            Region::Eu => "https://api.eu.intercom.io",
            Region::Au => "https://api.au.intercom.io",
        }
    }

    /// What `GET /me` calls it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Region::Us => "US",
            Region::Eu => "EU",
            Region::Au => "AU",
        }
    }

    /// The region that `GET /me` names.
    pub(super) fn named(name: &str) -> Option<Region> {
        [Region::Us, Region::Eu, Region::Au].into_iter().find(|region| region.name().eq_ignore_ascii_case(name))
    }

    /// How settings write it.
    pub(super) const fn setting(self) -> &'static str {
        match self {
            Region::Us => "us",
            Region::Eu => "eu",
            Region::Au => "au",
        }
    }
}

/// By what contacts are searched.
pub(super) enum By<'a> {
    Email(&'a str),
    /// A custom attribute, and its value.
    Attribute(&'a str, &'a str),
}

/// A contact to be made. Keys without a value are left out.
#[derive(Serialize)]
pub(super) struct NewContact<'a> {
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    custom_attributes: Picture,
}

impl<'a> NewContact<'a> {
    pub(super) fn new(external_id: Option<&'a str>, email: Option<&'a str>, shows: &Picture) -> NewContact<'a> {
        let custom_attributes = shows.iter().filter(|(_, value)| !value.is_null());
        let custom_attributes = custom_attributes.map(|(name, value)| (name.clone(), value.clone())).collect();
        NewContact { role: "user", external_id, email, custom_attributes }
    }
}

/// Whom an event is told of.
pub(super) enum Whom<'a> {
    /// By the app's id, as RevenueCat does.
    UserId(&'a str),
    /// By Intercom's id, where the contact goes by another one.
    Id(&'a str),
}

/// Intercom's API under one access token. No `Debug`: it holds the token.
pub(super) struct Api {
    base: String,
    authorization: HeaderValue,
    user_agent: HeaderValue,
    token: String,
    budget: BudgetKey,
}

impl Api {
    pub(super) fn new(token: &str, region: Region, elsewhere: Option<&str>) -> Result<Api, SettingsError> {
        let token = token.trim();
        let wrong = || fault("/access_token", "must be an access token: visible characters without blanks");
        if token.is_empty() || token.len() > MAX_TOKEN || !token.bytes().all(|one| one.is_ascii_graphic()) {
            return Err(wrong());
        }
        let mut authorization = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| wrong())?;
        authorization.set_sensitive(true);
        let base = elsewhere.unwrap_or(region.api()).trim_end_matches('/').to_owned();
        let invalid = |_| fault("", "PAIDUP_INTERCOM_API_URL is not a valid address");
        format!("{base}/me").parse::<Uri>().map_err(invalid)?;
        // Destinations with one token share its limit. The digest says nothing about the token.
        let digest = Sha256::digest(format!("{base} {token}"));
        Ok(Api {
            authorization,
            user_agent: HeaderValue::from_static(concat!("Paidup/", env!("CARGO_PKG_VERSION"))),
            token: token.to_owned(),
            budget: BudgetKey(format!("intercom/{}", hex::encode(&digest[..8]))),
            base,
        })
    }

    /// Whose limit every call counts against.
    pub(super) fn budget(&self) -> BudgetKey {
        self.budget.clone()
    }

    pub(super) fn guess(&self) -> BudgetGuess {
        BudgetGuess { key: self.budget(), calls: CALLS, per: PER }
    }

    /// `text` without the token: an answer may repeat what it was sent.
    pub(super) fn masked(&self, text: &str) -> String {
        text.replace(&self.token, crate::preview::MASK)
    }

    /// Who we are there.
    pub(super) fn me(&self) -> Request<Bytes> {
        self.get("/me")
    }

    pub(super) fn find(&self, external_id: &str) -> Request<Bytes> {
        self.get(&format!("/contacts/find_by_external_id/{}", encoded(external_id)))
    }

    /// New contacts appear in search minutes later, so this is for those whom nobody knows by an external id.
    pub(super) fn search(&self, by: &By<'_>) -> Request<Bytes> {
        let (field, value) = match by {
            By::Email(email) => ("email".to_owned(), *email),
            By::Attribute(name, value) => (format!("custom_attributes.{name}"), *value),
        };
        let is_user = json!({ "field": "role", "operator": "=", "value": "user" });
        let matches = json!({ "field": field, "operator": "=", "value": value });
        let query = json!({ "operator": "AND", "value": [matches, is_user] });
        self.send(Method::POST, "/contacts/search", &json!({ "query": query, "pagination": { "per_page": 2 } }))
    }

    pub(super) fn create(&self, contact: &NewContact<'_>) -> Request<Bytes> {
        self.send(Method::POST, "/contacts", contact)
    }

    /// Changes what is named and nothing else.
    pub(super) fn update(&self, id: &str, external_id: Option<&str>, shows: &Picture) -> Request<Bytes> {
        let mut body = Map::new();
        if let Some(external_id) = external_id {
            body.insert("external_id".to_owned(), json!(external_id));
        }
        if !shows.is_empty() {
            body.insert("custom_attributes".to_owned(), Value::Object(shows.clone()));
        }
        self.send(Method::PUT, &format!("/contacts/{}", encoded(id)), &body)
    }

    pub(super) fn unarchive(&self, id: &str) -> Request<Bytes> {
        self.send(Method::POST, &format!("/contacts/{}/unarchive", encoded(id)), &Map::new())
    }

    pub(super) fn tell(&self, whom: &Whom<'_>, told: &Occurrence, created_at: i64) -> Request<Bytes> {
        let (user_id, id) = match whom {
            Whom::UserId(id) => (Some(*id), None),
            Whom::Id(id) => (None, Some(*id)),
        };
        let body = Told { event_name: &told.name, created_at, user_id, id, metadata: &told.metadata };
        self.send(Method::POST, "/events", &body)
    }

    pub(super) fn list_attributes(&self) -> Request<Bytes> {
        self.get("/data_attributes?model=contact&include_archived=true")
    }

    pub(super) fn add_attribute(&self, attribute: &Attribute) -> Request<Bytes> {
        let Attribute { name, data_type, description } = attribute;
        let body = json!({ "name": name, "model": "contact", "data_type": data_type, "description": description });
        self.send(Method::POST, "/data_attributes", &body)
    }

    fn get(&self, path: &str) -> Request<Bytes> {
        self.request(Method::GET, path, Bytes::new())
    }

    fn send(&self, method: Method, path: &str, body: &impl Serialize) -> Request<Bytes> {
        // Maps of texts and numbers can always be written.
        let body = serde_json::to_vec(body).unwrap_or_default();
        let mut request = self.request(method, path, Bytes::from(body));
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request
    }

    fn request(&self, method: Method, path: &str, body: Bytes) -> Request<Bytes> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        // The base was checked at opening, the rest is percent-encoded and bounded.
        *request.uri_mut() = format!("{}{path}", self.base).parse().unwrap_or_default();
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, self.authorization.clone());
        // Another one, or none, is answered with 406.
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(INTERCOM_VERSION, VERSION);
        headers.insert(USER_AGENT, self.user_agent.clone());
        request
    }
}

/// Serialized as it stands: the order of metadata's keys is kept.
#[derive(Serialize)]
struct Told<'a> {
    event_name: &'a str,
    created_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    metadata: &'a super::event::Metadata,
}

/// One part of a path: `$RCAnonymousID:...` has characters that are none of a path's.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    // A part that consists of dots means another place.
    if out.bytes().all(|byte| byte == b'.') { out.replace('.', "%2E") } else { out }
}
