//! A receiver of the user's own: one signed POST for each event (contract.md, webhook destination).
//!
//! Formats: `paidup` is the event's own JSON; `revenuecat` and `purchasely` are what those would have sent, headers too, so
//! that an existing receiver works unchanged. All carry Standard Webhooks headers. How an answer is
//! understood is in `verdict.rs`, how requests are signed in `sign.rs` and by whom in `signers.rs`, what they say in `body.rs`.
//! Whether an address may be reached at all is the hub's decision, not ours.

mod body;
pub mod sign;
mod signers;
mod verdict;

use crate::settings::{ReactivationAs, fault, read};
use crate::{
    Answer, Conversation, Definition, Destination, LoggedEvent, Memory, Moment, Pace, Poison, Reason, Rotation,
    SettingsError, Step, Upstreams, Verdict,
};
use body::Words;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use paidup_lifecycle::dialects::revenuecat::Options;
use paidup_lifecycle::filter::Filter;
use paidup_lifecycle::schema;
use paidup_lifecycle::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use signers::{Scheme, Signers};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use url::Url;

/// A webhook destination.
pub const DEFINITION: Definition = Definition {
    kind: "webhook",
    title: "Webhook",
    setup: include_str!("setup.md"),
    settings_schema: || schemars::schema_for!(Settings),
    secrets: &["secret", "signing_key", "previous_secrets", "headers", "authorization", "hmac_secret"],
    prepare,
    open,
    rotate: Some(rotate),
    default_filter: Filter::default,
    // Purchasely keeps all of a customer's events in order.
    by_customer: |raw| read(raw).is_ok_and(|settings: Settings| settings.format == Format::Purchasely),
};

/// What browsers and proxies bear; longer ones are a mistake.
const MAX_URL: usize = 2048;
const MAX_HEADERS: usize = 32;
const MAX_HEADER_NAME: usize = 128;
const MAX_HEADER_VALUE: usize = 4096;
const MAX_TEXT_SECRET: usize = 256;
/// A receiver has 15 s, as Standard Webhooks recommends.
const TIMEOUT: Duration = Duration::from_secs(15);
const CONCURRENCY: usize = 32;

/// Names that the sender owns: set by us, or by the connection.
const OWN_HEADERS: &[&str] = &[
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-purchasely-request-signature",
    "x-purchasely-timestamp",
    "x-revenuecat-webhook-signature",
];
const OWN_PREFIXES: &[&str] = &["webhook-", "proxy-", "paidup-"];

const REVENUECAT_SIGNATURE: HeaderName = HeaderName::from_static("x-revenuecat-webhook-signature");
const PURCHASELY_SIGNATURE: HeaderName = HeaderName::from_static("x-purchasely-request-signature");
const PURCHASELY_TIMESTAMP: HeaderName = HeaderName::from_static("x-purchasely-timestamp");
const PAIDUP_VERSION: HeaderName = HeaderName::from_static("paidup-version");
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// Settings of a webhook destination.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where to POST: http or https, without user name or password. Redirects are not followed.
    pub url: String,
    /// The body's format.
    #[serde(default)]
    pub format: Format,
    /// Signing secret, `whsec_` followed by base64 of 24 to 64 bytes. Made when absent, and shown once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// How requests are signed: `v1` (a shared secret, `secret`), `v1a` (Ed25519; receivers need `public_key` only), or both.
    #[serde(default = "signers::usual")]
    pub signatures: Vec<Scheme>,
    /// With `v1a`: the private key, `whsk_` followed by base64 of an Ed25519 seed. Made when absent, and shown once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<String>,
    /// The public half of `signing_key`, `whpk_...`: written by Paidup, for receivers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// Former secrets (`whsec_`, `whsk_`) that sign too, so that receivers have time to change. At most 4.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub previous_secrets: Vec<String>,
    /// Until when the former ones sign; absent: until they are taken out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_until: Option<String>,
    /// The public halves of former signing keys: written by Paidup.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub previous_public_keys: Vec<String>,
    /// With format `paidup`: the version of the body's shape, e.g. `2026-11-01`. The newest when the destination is made, and
    /// kept until you change it. `GET /v1/events/schemas` describes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Further headers, at most 32. `Host`, `Content-Type`, `Content-Length` and `webhook-*` cannot be set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The value of the `Authorization` header, sent as it stands (RevenueCat's "Authorization header value").
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<String>,
    /// With format `revenuecat`: the secret of its "HMAC webhook signing"; absent: that header is not sent. With format
    /// `purchasely`: the shared secret; absent: the text of `secret`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hmac_secret: Option<String>,
    /// With format `revenuecat`: how the return of a lapsed customer is told; `by_store` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reactivation_as: Option<ReactivationAs>,
}

/// A body's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// The event's own JSON.
    #[default]
    Paidup,
    /// What RevenueCat would have sent: none to three messages for an event.
    Revenuecat,
    /// What Purchasely would have sent: one message for each of its events.
    Purchasely,
}

impl Settings {
    fn signs_by(&self, scheme: Scheme) -> bool {
        self.signatures.contains(&scheme)
    }
}

/// An opened webhook destination.
struct Webhook {
    url: Url,
    words: Words,
    signers: Signers,
    /// Of the body's shape, with format `paidup`.
    version: Option<HeaderValue>,
    /// Key of RevenueCat's or Purchasely's own signature.
    text_secret: Option<String>,
    headers: HeaderMap,
}

fn prepare(raw: &RawValue, entropy: &[u8; 32]) -> Result<Box<RawValue>, SettingsError> {
    let mut settings: Settings = read(raw)?;
    signers::complete(&mut settings, entropy)?;
    if settings.format == Format::Paidup {
        settings.version.get_or_insert_with(|| schema::NEWEST.to_owned());
    }
    written(&settings)
}

fn rotate(raw: &RawValue, entropy: &[u8; 32], rotation: Rotation) -> Result<Box<RawValue>, SettingsError> {
    let mut settings: Settings = read(raw)?;
    if settings.format == Format::Purchasely && settings.hmac_secret.is_none() {
        let detail = "Purchasely's signature is made with the text of `secret` and has room for one only: change `hmac_secret` \
                      here and at the receiver at the same time";
        return Err(fault("/hmac_secret", detail));
    }
    signers::rotate(&mut settings, entropy, rotation)?;
    written(&settings)
}

/// The settings to keep, checked.
fn written(settings: &Settings) -> Result<Box<RawValue>, SettingsError> {
    Webhook::new(settings)?;
    serde_json::value::to_raw_value(settings).map_err(|_| fault("", "the settings cannot be written as JSON"))
}

fn open(raw: &RawValue, _upstreams: &Upstreams) -> Result<Box<dyn Destination>, SettingsError> {
    Ok(Box::new(Webhook::new(&read(raw)?)?))
}

impl Webhook {
    fn new(settings: &Settings) -> Result<Webhook, SettingsError> {
        let signs_with_text = matches!(settings.format, Format::Revenuecat | Format::Purchasely);
        match &settings.hmac_secret {
            Some(_) if !signs_with_text => {
                return Err(fault("/hmac_secret", "not used by the format `paidup`: `secret` signs it"));
            }
            Some(secret) if secret.is_empty() || secret.len() > MAX_TEXT_SECRET => {
                return Err(fault("/hmac_secret", format!("must have 1 to {MAX_TEXT_SECRET} bytes")));
            }
            Some(_) | None => {}
        }
        if settings.reactivation_as.is_some() && settings.format != Format::Revenuecat {
            return Err(fault("/reactivation_as", "only used by the format `revenuecat`"));
        }
        let version = version(settings)?;
        let chosen = settings.reactivation_as.map(Into::into);
        let words = Words {
            format: settings.format,
            revenuecat: Options {
                reactivation_as: chosen.unwrap_or(Options::webhook().reactivation_as),
                ..Options::webhook()
            },
        };
        Ok(Webhook {
            url: receiver_url(&settings.url)?,
            words,
            signers: Signers::of(settings)?,
            version,
            // Purchasely's receivers always check; without a secret of its own the text of `secret` is the key.
            text_secret: match settings.format {
                Format::Purchasely => settings.hmac_secret.clone().or_else(|| settings.secret.clone()),
                Format::Paidup | Format::Revenuecat => settings.hmac_secret.clone(),
            },
            headers: headers(settings)?,
        })
    }

    fn request(&self, outgoing: &body::Outgoing, now: Timestamp) -> Result<Request<Bytes>, Poison> {
        let seconds = now.as_seconds();
        let mut request = Request::new(outgoing.body.clone());
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.url.as_str().parse().map_err(|_| Poison("the address is no valid URI".to_owned()))?;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("Paidup/", env!("CARGO_PKG_VERSION"))));
        headers.insert(WEBHOOK_ID, header_value(&outgoing.id)?);
        headers.insert(WEBHOOK_TIMESTAMP, HeaderValue::from(seconds));
        if let Some(signature) = self.signers.sign(&outgoing.id, now, &outgoing.body) {
            headers.insert(WEBHOOK_SIGNATURE, proof(&signature)?);
        }
        if let Some(version) = &self.version {
            headers.insert(PAIDUP_VERSION, version.clone());
        }
        match (self.words.format, &self.text_secret) {
            (Format::Revenuecat, Some(secret)) => {
                let signature = sign::revenuecat(secret, seconds, &outgoing.body);
                headers.insert(REVENUECAT_SIGNATURE, proof(&signature)?);
            }
            (Format::Purchasely, Some(secret)) => {
                let signature = sign::purchasely(secret, seconds, &outgoing.body);
                headers.insert(PURCHASELY_SIGNATURE, proof(&signature)?);
                headers.insert(PURCHASELY_TIMESTAMP, HeaderValue::from(seconds));
            }
            (Format::Paidup | Format::Revenuecat | Format::Purchasely, _) => {}
        }
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        Ok(request)
    }
}

impl Destination for Webhook {
    fn deliver(
        &self,
        events: &[LoggedEvent],
        memory: &Memory,
        moment: Moment,
    ) -> Result<Box<dyn Conversation>, Poison> {
        let mut requests = VecDeque::new();
        for logged in events {
            for outgoing in self.words.bodies(logged)? {
                requests.push_back((outgoing.id.clone(), self.request(&outgoing, moment.now)?));
            }
        }
        Ok(Box::new(Posts::new(requests, memory.clone(), moment.now, self.words.format)))
    }

    fn skips(&self, event: &LoggedEvent) -> Option<Reason> {
        self.words.silence(&event.event)
    }

    fn pace(&self) -> Pace {
        Pace { concurrency: CONCURRENCY, coalesces: 1, timeout: TIMEOUT, settle_each: false }
    }

    fn addresses(&self) -> &[Url] {
        std::slice::from_ref(&self.url)
    }
}

/// The POSTs of one delivery, one after another. Those that were answered 2xx are remembered by their id while others
/// are still to come, so that a repeated delivery begins where the last one ended.
struct Posts {
    waiting: VecDeque<(String, Request<Bytes>)>,
    memory: Memory,
    now: Timestamp,
    format: Format,
    /// What was decided after the last answer but not yet said.
    next: Option<Next>,
}

enum Next {
    Call,
    Finish(Verdict),
}

/// Prefix of the names under which finished POSTs are remembered.
const POSTED: &str = "posted/";

impl Posts {
    fn new(requests: VecDeque<(String, Request<Bytes>)>, memory: Memory, now: Timestamp, format: Format) -> Posts {
        let done = |id: &str| memory.0.contains_key(&format!("{POSTED}{id}"));
        let waiting: VecDeque<_> = requests.into_iter().filter(|(id, _)| !done(id)).collect();
        let next = if waiting.is_empty() { Next::Finish(Verdict::Delivered) } else { Next::Call };
        Posts { waiting, memory, now, format, next: Some(next) }
    }

    /// One POST is done: note it if others follow, forget all notes if it was the last.
    fn posted(&mut self) -> Option<Step> {
        let (id, _) = self.waiting.pop_front()?;
        let before = self.memory.clone();
        if self.waiting.is_empty() {
            self.next = Some(Next::Finish(Verdict::Delivered));
            self.memory.0.retain(|name, _| !name.starts_with(POSTED));
        } else {
            self.next = Some(Next::Call);
            self.memory.0.insert(format!("{POSTED}{id}"), String::new());
        }
        (before != self.memory).then(|| Step::Remember(self.memory.clone()))
    }
}

impl Conversation for Posts {
    fn next(&mut self, answer: Option<&Answer>) -> Step {
        if self.next.is_none()
            && let Some(answer) = answer
        {
            match verdict::of(answer, self.format, self.now) {
                Verdict::Delivered => {
                    if let Some(remember) = self.posted() {
                        return remember;
                    }
                }
                verdict @ (Verdict::Retry { .. } | Verdict::GiveUp(_) | Verdict::SwitchOff(_) | Verdict::Skip(_)) => {
                    self.next = Some(Next::Finish(verdict));
                }
            }
        }
        match (self.next.take(), self.waiting.front()) {
            (Some(Next::Finish(verdict)), _) => Step::Finish(verdict),
            (Some(Next::Call) | None, Some((_, request))) => {
                Step::Call { request: request.clone(), budgets: Vec::new() }
            }
            (Some(Next::Call) | None, None) => Step::Finish(Verdict::Delivered),
        }
    }
}

fn receiver_url(text: &str) -> Result<Url, SettingsError> {
    if text.len() > MAX_URL {
        return Err(fault("/url", format!("longer than {MAX_URL} bytes")));
    }
    let url = Url::parse(text.trim()).map_err(|error| fault("/url", format!("not a URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(fault("/url", "must begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(fault("/url", "must not contain a user name or password; use `authorization`"));
    }
    if url.fragment().is_some() {
        return Err(fault("/url", "must not contain a fragment (`#...`): it is never sent"));
    }
    Ok(url)
}

/// The version that is sent. A destination from before there were versions has the first.
fn version(settings: &Settings) -> Result<Option<HeaderValue>, SettingsError> {
    let is_ours = settings.format == Format::Paidup;
    match &settings.version {
        Some(_) if !is_ours => {
            Err(fault("/version", "only used by the format `paidup`: the others are as their vendors wrote them"))
        }
        None if !is_ours => Ok(None),
        chosen => {
            let known =
                schema::VERSIONS.iter().find(|known| chosen.as_deref().unwrap_or(schema::VERSIONS[0]) == **known);
            let known = known.ok_or_else(|| fault("/version", format!("known: {}", schema::VERSIONS.join(" "))))?;
            Ok(Some(HeaderValue::from_static(known)))
        }
    }
}

fn headers(settings: &Settings) -> Result<HeaderMap, SettingsError> {
    if settings.headers.len() > MAX_HEADERS {
        return Err(fault("/headers", format!("at most {MAX_HEADERS}")));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in &settings.headers {
        let pointer = format!("/headers/{}", name.replace('~', "~0").replace('/', "~1"));
        if name.len() > MAX_HEADER_NAME || value.len() > MAX_HEADER_VALUE {
            let detail = format!("a name has at most {MAX_HEADER_NAME} bytes, a value at most {MAX_HEADER_VALUE}");
            return Err(fault(pointer, detail));
        }
        let Ok(parsed) = HeaderName::try_from(name.as_str()) else {
            return Err(fault(pointer, "not a header name"));
        };
        if OWN_HEADERS.contains(&parsed.as_str()) || OWN_PREFIXES.iter().any(|own| parsed.as_str().starts_with(own)) {
            return Err(fault(pointer, format!("`{parsed}` is set by the sender and cannot be chosen")));
        }
        let Ok(mut value) = HeaderValue::from_str(value) else {
            return Err(fault(pointer, "not a header value: only visible characters and blanks"));
        };
        value.set_sensitive(true);
        if headers.insert(parsed, value).is_some() {
            return Err(fault(pointer, "given twice (case does not matter)"));
        }
    }
    if let Some(text) = &settings.authorization {
        if headers.contains_key(AUTHORIZATION) {
            return Err(fault("/authorization", "also given in `headers`; keep one of them"));
        }
        let valid = HeaderValue::from_str(text).ok().filter(|_| !text.is_empty() && text.len() <= MAX_HEADER_VALUE);
        let Some(mut value) = valid else {
            let detail = format!("must be 1 to {MAX_HEADER_VALUE} visible characters and blanks");
            return Err(fault("/authorization", detail));
        };
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

/// A signature: whoever sees it could send the request in our name, so it is not shown.
fn proof(signature: &str) -> Result<HeaderValue, Poison> {
    let mut value = header_value(signature)?;
    value.set_sensitive(true);
    Ok(value)
}

fn header_value(text: &str) -> Result<HeaderValue, Poison> {
    HeaderValue::from_str(text).map_err(|_| Poison("the event's id does not fit into a header".to_owned()))
}

#[cfg(test)]
mod tests;
