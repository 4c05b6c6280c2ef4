//! A source for tests: it proves senders with a key that must be fetched, and can be asked how a purchase stands.
//!
//! Body and answer are the same: `{"purchase", "until", "at"?, "says"?}`. The header `x-proof` says which proof is tried.

use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::observation::{
    Dated, Environment, Facets, Hint, Kind, Observation, Origin, Period, PurchaseKey, Stamp, Standing, Store,
};
use paidup_lifecycle::time::Timestamp;
use paidup_sources::{
    Ask, Definition, Keys, Note, Notification, Proof, RawRequest, Reading, Rejection, RejectionKind, SettingsError,
    Source, Upstreams, Verification, Verified, parse_answer_id,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;

/// Where its key is.
pub(super) const KEY_URL: &str = "https://keys.test/key";

pub(super) const DEFINITION: Definition = Definition {
    kind: "askable",
    title: "Askable",
    setup: "",
    settings_schema: || schemars::json_schema!({}),
    secrets: &["token"],
    open,
    max_body: 10_000,
    proof: Proof::Store,
    success: 204,
};

fn open(id: SourceId, settings: &RawValue, _upstreams: &Upstreams) -> Result<Box<dyn Source>, SettingsError> {
    if settings.get().contains("wrong") {
        return Err(SettingsError { pointer: "/token".to_owned(), detail: "the token is wrong".to_owned() });
    }
    Ok(Box::new(Askable(id)))
}

struct Askable(SourceId);

#[derive(Deserialize)]
struct Body {
    purchase: String,
    until: Timestamp,
    at: Option<Timestamp>,
    says: Option<String>,
}

impl Source for Askable {
    fn verify(&self, raw: &RawRequest, keys: &Keys, now: Timestamp) -> Result<Verification, Rejection> {
        let proof = raw.headers.get("x-proof").and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert_ne!(proof, "panic", "asked to");
        match keys.0.get(KEY_URL) {
            Some(key) if key == proof => {}
            Some(_) | None => {
                let request = http::Request::get(KEY_URL).body(bytes::Bytes::new()).unwrap();
                return Ok(Verification::KeyNeeded(request));
            }
        }
        let external_id: Arc<str> = format!("at {now}").into();
        let reading = self.read_kept(&external_id, &raw.body)?;
        let notification = Notification { external_id, label: "told".to_owned(), body: raw.body.clone(), reading };
        Ok(Verification::Verified(Verified { notifications: vec![notification] }))
    }

    fn read_kept(&self, external_id: &str, body: &[u8]) -> Result<Reading, Rejection> {
        let body: Body = serde_json::from_slice(body).map_err(|error| Rejection {
            kind: RejectionKind::Malformed,
            reason: "malformed",
            detail: error.to_string(),
            pointer: None,
        })?;
        match body.says.as_deref() {
            Some("test") => {
                let note = Note::Test { environment: Environment::Sandbox, at: body.until };
                return Ok(Reading::noted(note));
            }
            Some("unknown") => return Ok(Reading::noted(Note::Unknown)),
            Some(_) | None => {}
        }
        let asked_at = parse_answer_id(external_id).map(|(asked_at, _)| asked_at);
        let origin = if asked_at.is_some() { Origin::Answer } else { Origin::Notification };
        let observed_at = asked_at.or(body.at).unwrap_or(body.until);
        let stamp = Stamp { as_of: observed_at, origin, by: external_id.into() };
        let dated = |standing| Some(Dated { value: standing, stamp: stamp.clone() });
        let period =
            Period { transaction_id: Some(body.until.to_string()), starts_at: observed_at, ends_at: Some(body.until) };
        let facets = Facets {
            kind: Some(Dated { value: Kind::Subscription, stamp: stamp.clone() }),
            standing: dated(if body.until > observed_at { Standing::Active } else { Standing::Expired }),
            period: (body.until > observed_at).then(|| Dated { value: period, stamp: stamp.clone() }),
            product: Some(Dated { value: "pro_monthly".to_owned(), stamp: stamp.clone() }),
            ..Facets::default()
        };
        let key =
            PurchaseKey { source_id: self.0, environment: Environment::Production, store_purchase_id: body.purchase };
        let observation = Observation {
            key,
            store: Store::PlayStore,
            id: external_id.into(),
            observed_at,
            origin,
            hint: if asked_at.is_some() { Hint::Answered } else { Hint::Purchased },
            about_transaction: None,
            facets,
            backfill: false,
        };
        Ok(Reading::observed(observation))
    }

    fn can_ask(&self) -> bool {
        true
    }

    fn ask(&self, question: &Ask, _now: Timestamp) -> Option<http::Request<bytes::Bytes>> {
        let url = format!("https://store.test/{}", question.store_purchase_id);
        Some(http::Request::get(url).body(bytes::Bytes::new()).unwrap())
    }
}
