//! RevenueCat, through its webhooks: purchases of its customers in whatever store it serves.
//!
//! `verify.rs` says who sent an event, `wire.rs` holds RevenueCat's own names, `read.rs` says what an event tells of a
//! purchase. An event is partial and is read so: it tells what its type is about, never how all stands.
//! <https://www.revenuecat.com/docs/integrations/webhooks>

mod read;
mod verify;
mod wire;

#[cfg(test)]
mod tests;

use crate::{
    Definition, Keys, Notification, Proof, RawRequest, Reading, Rejection, RejectionKind, SettingsError, Source,
    Upstreams, Verification, Verified, lenient, settings,
};
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::time::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::value::RawValue;
use verify::Prover;

/// The largest event. Most are below 5 KB; customers with many attributes and aliases have larger ones.
const MAX_BODY: usize = 512 * 1024;
/// The longest secret that is taken as one.
const MAX_SECRET: usize = 512;

/// What the rest of the crate sees of this folder.
pub(crate) const DEFINITION: Definition = Definition {
    kind: "revenuecat",
    title: "RevenueCat",
    setup: include_str!("setup.md"),
    settings_schema: || schemars::schema_for!(Settings),
    secrets: &["authorization", "hmac_secret"],
    open,
    max_body: MAX_BODY,
    proof: Proof::Store,
    success: 200,
};

/// Settings of a RevenueCat source. At least one of the two; what is set is checked.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The webhook's "Authorization header value", whole, e.g. `Bearer ...`.
    #[serde(default)]
    authorization: Option<String>,
    /// The secret of the webhook's HMAC signing.
    #[serde(default)]
    hmac_secret: Option<String>,
}

fn open(id: SourceId, raw: &RawValue, _upstreams: &Upstreams) -> Result<Box<dyn Source>, SettingsError> {
    let Settings { authorization, hmac_secret } = settings::parse(raw)?;
    let wrong = |pointer: &str, detail: &str| SettingsError { pointer: pointer.to_owned(), detail: detail.to_owned() };
    if authorization.is_none() && hmac_secret.is_none() {
        let detail = "set authorization (the webhook's header value), hmac_secret, or both: else anybody could send";
        return Err(wrong("", detail));
    }
    let is_secret = |text: &String| {
        let is_printable = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        !text.trim().is_empty() && text.len() <= MAX_SECRET && is_printable
    };
    if authorization.as_ref().is_some_and(|value| !is_secret(value)) {
        return Err(wrong("/authorization", "must be 1 to 512 printable ASCII characters, as RevenueCat sends them"));
    }
    if hmac_secret.as_ref().is_some_and(|value| !is_secret(value)) {
        return Err(wrong("/hmac_secret", "must be 1 to 512 printable ASCII characters"));
    }
    Ok(Box::new(RevenueCat { id, prover: Prover { authorization, hmac_secret } }))
}

/// A RevenueCat source, opened.
struct RevenueCat {
    id: SourceId,
    prover: Prover,
}

impl Source for RevenueCat {
    fn verify(&self, raw: &RawRequest, _keys: &Keys, now: Timestamp) -> Result<Verification, Rejection> {
        if raw.body.len() > MAX_BODY {
            let detail = format!("the body is larger than {MAX_BODY} bytes");
            return Err(Rejection::new(RejectionKind::TooLarge, "body_too_large", detail));
        }
        self.prover.prove(&raw.headers, &raw.body, now)?;
        let body = lenient::parse(&raw.body)?;
        let event = wire::Event::new(&body)?;
        event.check_time(now)?;
        let notification = Notification {
            external_id: event.id.into(),
            label: event.label(),
            body: raw.body.clone(),
            reading: read::read(self.id, &event),
        };
        Ok(Verification::Verified(Verified { notifications: vec![notification] }))
    }

    fn read_kept(&self, _external_id: &str, body: &[u8]) -> Result<Reading, Rejection> {
        let body = lenient::parse(body)?;
        Ok(read::read(self.id, &wire::Event::new(&body)?))
    }

    // Nobody asks RevenueCat, but dates alone do not end what it tells renewals of: those come seconds to hours after
    // them. A subscription ends a day after the last word on it.
    fn can_ask(&self) -> bool {
        true
    }
}
