//! The generic source: the operator's own backend says, in our words, what happened to a purchase.
//!
//! Who sends is known by an API key, which the caller checked. `wire.rs` holds the fields, `check.rs` says what cannot
//! be, `read.rs` makes the observation. An array is taken as a whole or not at all; each of its elements becomes a
//! notification of its own, with its own bytes.

mod check;
mod read;
#[cfg(test)]
mod tests;
mod wire;

use crate::{
    Claim, Claimed, Definition, Keys, Notification, Proof, RawRequest, Reading, Rejection, RejectionKind,
    SettingsError, Source, Testing, Upstreams, Verification, Verified, settings,
};
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::observation::{Environment, PurchaseKey};
use paidup_lifecycle::time::Timestamp;
use schemars::JsonSchema;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::fmt;

/// How many elements an array may have.
const MAX_ELEMENTS: usize = 1000;

/// The largest body: a full array of elements of 2 KB.
const MAX_BODY: usize = 2 * 1024 * 1024;

/// What the rest of the crate sees of this folder.
pub(crate) const DEFINITION: Definition = Definition {
    kind: "generic",
    title: "Generic",
    setup: include_str!("setup.md"),
    settings_schema: || schemars::schema_for!(Settings),
    secrets: &[],
    open,
    max_body: MAX_BODY,
    proof: Proof::Key,
    success: 200,
};

/// A generic source has no settings.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {}

fn open(id: SourceId, raw: &RawValue, _upstreams: &Upstreams) -> Result<Box<dyn Source>, SettingsError> {
    let Settings {} = settings::parse(raw)?;
    Ok(Box::new(Generic { id }))
}

/// A generic source, opened.
struct Generic {
    id: SourceId,
}

impl Source for Generic {
    fn verify(&self, raw: &RawRequest, _keys: &Keys, _now: Timestamp) -> Result<Verification, Rejection> {
        if raw.body.len() > MAX_BODY {
            let detail = format!("the body is larger than {MAX_BODY} bytes");
            return Err(Rejection::new(RejectionKind::TooLarge, "body_too_large", detail));
        }
        let is_array = raw.body.trim_ascii_start().first() == Some(&b'[');
        let notifications = if is_array { self.read_array(&raw.body)? } else { vec![self.read_one(&raw.body)?] };
        Ok(Verification::Verified(Verified { notifications }))
    }

    fn read_kept(&self, _external_id: &str, body: &[u8]) -> Result<Reading, Rejection> {
        Ok(read_element(self.id, body).map_err(|problem| problem.rejection(None))?.reading)
    }

    /// Nobody can be asked: the backend's own word, told or yet to come, is what counts.
    fn claim(&self, claim: &Claim, _now: Timestamp) -> Result<Claimed, Rejection> {
        claim.takes_only(&["subscription_id"])?;
        let purchase = Claim::required(claim.subscription_id.as_ref(), "subscription_id", check::MAX_ID)?;
        let key = |environment| PurchaseKey { source_id: self.id, environment, store_purchase_id: purchase.to_owned() };
        Ok(Claimed::Known(vec![key(Environment::Production), key(Environment::Sandbox)]))
    }

    fn test(&self) -> Testing {
        let how = "send an observation with `\"reason\": \"test\"` to the intake URL, with a key of scope ingest; a TEST event \
                   shows that it arrived";
        Testing::ByHand(how.to_owned())
    }
}

impl Generic {
    fn read_one(&self, body: &bytes::Bytes) -> Result<Notification, Rejection> {
        let read = read_element(self.id, body).map_err(|problem| problem.rejection(None))?;
        Ok(read.notification(body.clone()))
    }

    fn read_array(&self, body: &bytes::Bytes) -> Result<Vec<Notification>, Rejection> {
        let Elements(elements) =
            serde_json::from_slice(body).map_err(|error| Problem::unreadable(&error).rejection(None))?;
        if elements.is_empty() {
            let detail = "the array is empty".to_owned();
            return Err(Rejection::new(RejectionKind::Malformed, "empty_array", detail));
        }
        let mut notifications = Vec::with_capacity(elements.len());
        for (index, element) in elements.into_iter().enumerate() {
            let bytes = element.get().as_bytes();
            let read = read_element(self.id, bytes).map_err(|problem| problem.rejection(Some(index)))?;
            notifications.push(read.notification(body.slice_ref(bytes)));
        }
        Ok(notifications)
    }
}

/// What an element came to.
struct Read {
    external_id: std::sync::Arc<str>,
    label: String,
    reading: Reading,
}

impl Read {
    fn notification(self, body: bytes::Bytes) -> Notification {
        Notification { external_id: self.external_id, label: self.label, body, reading: self.reading }
    }
}

/// What is wrong with an element, and where in it.
struct Problem {
    kind: RejectionKind,
    reason: &'static str,
    detail: String,
    pointer: String,
}

impl Problem {
    fn unreadable(error: &serde_json::Error) -> Problem {
        let detail = settings::explain(error);
        Problem { kind: RejectionKind::Malformed, reason: "unreadable_body", detail, pointer: String::new() }
    }

    fn rejection(self, index: Option<usize>) -> Rejection {
        let pointer = match index {
            Some(index) => format!("/{index}{}", self.pointer),
            None => self.pointer,
        };
        let detail = if pointer.is_empty() { self.detail } else { format!("{pointer}: {}", self.detail) };
        let pointer = (!pointer.is_empty()).then_some(pointer);
        Rejection { kind: self.kind, reason: self.reason, detail, pointer }
    }
}

fn read_element(source: SourceId, json: &[u8]) -> Result<Read, Problem> {
    // The plain reader is the quick way; only an error is worth reading again to say where it is.
    let element: wire::Element<'_> = serde_json::from_slice(json).map_err(|error| locate(json, &error))?;
    check::check(&element).map_err(|impossible| Problem {
        kind: RejectionKind::WrongAddress,
        reason: "impossible_facts",
        detail: impossible.detail,
        pointer: impossible.pointer,
    })?;
    Ok(Read {
        external_id: element.id.0.as_ref().into(),
        label: element.reason.as_str().to_owned(),
        reading: read::read(source, &element),
    })
}

fn locate(json: &[u8], plain: &serde_json::Error) -> Problem {
    let mut reader = serde_json::Deserializer::from_slice(json);
    match serde_path_to_error::deserialize::<_, wire::Element<'_>>(&mut reader) {
        Ok(_) => Problem::unreadable(plain),
        Err(error) => {
            let pointer = settings::pointer(error.path());
            Problem { pointer, ..Problem::unreadable(&error.into_inner()) }
        }
    }
}

/// The elements of an array, each with its own bytes. Stops reading at one too many.
struct Elements<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Elements<'a> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Vec<&'de RawValue>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an array of at most {MAX_ELEMENTS} elements")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
                let mut elements = Vec::new();
                while let Some(element) = sequence.next_element::<&'de RawValue>()? {
                    if elements.len() == MAX_ELEMENTS {
                        return Err(serde::de::Error::invalid_length(MAX_ELEMENTS + 1, &self));
                    }
                    elements.push(element);
                }
                Ok(elements)
            }
        }

        d.deserialize_seq(Collect).map(Elements)
    }
}
