//! A source for tests that only looks things up: a notification names what, its answers name what else.
//!
//! Settings: `{"host", "token"?: bool, "a_minute"?, "cannot"?: bool}`. Bodies: `{"ask": ["name context", ...]}`. A name is
//! looked up at `https://HOST/NAME`. Of answers that are no success 404 is final, 401 and 403 are about credentials, 418 is
//! an answer.

use bytes::Bytes;
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::time::Timestamp;
use paidup_sources::{
    Definition, Keys, Lookup, Note, Notification, Proof, RawRequest, Reading, Refusal, Rejection, RejectionKind,
    SettingsError, Source, Token, Upstreams, Verification, Verified, Wanted,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::time::Duration;

pub(super) const DEFINITION: Definition = Definition {
    kind: "clerk",
    title: "Clerk",
    setup: "",
    settings_schema: || schemars::json_schema!({}),
    secrets: &[],
    open,
    max_body: 10_000,
    proof: Proof::Store,
    success: 200,
};

/// How long its tokens are valid.
pub(super) const VALID_FOR: Duration = Duration::from_secs(600);

#[derive(Deserialize)]
struct Clerk {
    host: String,
    #[serde(default)]
    token: bool,
    a_minute: Option<u32>,
}

fn open(_: SourceId, settings: &RawValue, _: &Upstreams) -> Result<Box<dyn Source>, SettingsError> {
    Ok(Box::new(serde_json::from_str::<Clerk>(settings.get()).unwrap()))
}

#[derive(Deserialize)]
struct Body {
    ask: Vec<String>,
}

fn malformed(detail: String) -> Rejection {
    Rejection { kind: RejectionKind::Malformed, reason: "malformed", detail, pointer: None }
}

impl Source for Clerk {
    fn verify(&self, raw: &RawRequest, _: &Keys, now: Timestamp) -> Result<Verification, Rejection> {
        let external_id = format!("told at {now}");
        let reading = self.read_kept(&external_id, &raw.body)?;
        let notification =
            Notification { external_id: external_id.into(), label: "told".to_owned(), body: raw.body.clone(), reading };
        Ok(Verification::Verified(Verified { notifications: vec![notification] }))
    }

    fn read_kept(&self, _: &str, body: &[u8]) -> Result<Reading, Rejection> {
        let body: Body = serde_json::from_slice(body).map_err(|error| malformed(error.to_string()))?;
        let lookups = body.ask.iter().filter_map(|one| one.split_once(' ')).map(|(name, context)| Lookup {
            name: name.to_owned(),
            context: context.to_owned(),
            why: "a test wants it",
            unless_known: None,
        });
        Ok(Reading { lookups: lookups.collect(), ..Reading::noted(Note::Informative) })
    }

    fn look_up(&self, lookup: &Lookup, _: Timestamp) -> Option<http::Request<Bytes>> {
        Some(http::Request::get(format!("https://{}/{}", self.host, lookup.name)).body(Bytes::new()).unwrap())
    }

    fn token_request(&self, _: Timestamp) -> Option<http::Request<Bytes>> {
        self.token.then(|| http::Request::post("https://token.test/").body(Bytes::new()).unwrap())
    }

    fn token(&self, answer: &[u8]) -> Result<Token, Rejection> {
        let bearer = String::from_utf8(answer.to_vec()).map_err(|error| malformed(error.to_string()))?;
        Ok(Token { bearer, valid_for: VALID_FOR })
    }

    fn calls_a_minute(&self) -> Option<u32> {
        self.a_minute
    }

    fn refused(&self, _: &Wanted<'_>, status: http::StatusCode, body: &[u8]) -> Refusal {
        match status.as_u16() {
            404 => Refusal::Final,
            401 | 403 => Refusal::Credentials,
            418 => Refusal::Answer(Bytes::copy_from_slice(body)),
            _ => Refusal::Later,
        }
    }
}
