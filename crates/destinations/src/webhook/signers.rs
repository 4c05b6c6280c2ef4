//! Who signs a destination's requests: a shared secret, a key pair of ours, and for a while those that they replaced.

use super::Settings;
use super::sign::{self, Secret, SigningKey};
use crate::settings::fault;
use crate::{Rotation, SettingsError};
use paidup_lifecycle::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// While a secret rotates, the old ones are still signed with. Two rotations at a time are already odd.
pub(super) const MAX_PREVIOUS_SECRETS: usize = 4;

/// A way of Standard Webhooks to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// HMAC-SHA256 with a secret that both sides know.
    V1,
    /// Ed25519 with a key of which receivers know the public half only.
    V1a,
}

/// What settings say when nobody chooses.
pub(super) fn usual() -> Vec<Scheme> {
    vec![Scheme::V1]
}

enum Signer {
    Shared(Secret),
    Own(SigningKey),
}

impl Signer {
    fn sign(&self, id: &str, unix_seconds: i64, body: &[u8]) -> String {
        match self {
            Signer::Shared(secret) => sign::by_secret(secret, id, unix_seconds, body),
            Signer::Own(key) => sign::by_key(key, id, unix_seconds, body),
        }
    }
}

/// All who sign.
pub(super) struct Signers {
    current: Vec<Signer>,
    previous: Vec<Signer>,
    /// The previous ones sign until then; `None`: until they are taken out.
    previous_until: Option<Timestamp>,
}

impl Signers {
    pub(super) fn of(settings: &Settings) -> Result<Signers, SettingsError> {
        check_schemes(settings)?;
        let mut current = Vec::new();
        if let (true, Some(text)) = (settings.signs_by(Scheme::V1), &settings.secret) {
            let secret = Secret::parse(text).map_err(|error| fault("/secret", error.to_string()))?;
            current.push(Signer::Shared(secret));
        }
        if let (true, Some(text)) = (settings.signs_by(Scheme::V1a), &settings.signing_key) {
            let key = SigningKey::parse(text).map_err(|error| fault("/signing_key", error.to_string()))?;
            current.push(Signer::Own(key));
        }
        let until = settings.previous_until.as_deref().map(str::parse).transpose();
        let previous_until = until.map_err(|_| fault("/previous_until", "a time such as 2026-01-31T08:00:00Z"))?;
        Ok(Signers { current, previous: previous(settings)?, previous_until })
    }

    /// One signature for each, separated by blanks: receivers with the old and with the new secret both agree.
    pub(super) fn sign(&self, id: &str, now: Timestamp, body: &[u8]) -> Option<String> {
        let is_kept = self.previous_until.is_none_or(|until| now < until);
        let signing = self.current.iter().chain(self.previous.iter().filter(|_| is_kept));
        let signatures: Vec<String> = signing.map(|signer| signer.sign(id, now.as_seconds(), body)).collect();
        (!signatures.is_empty()).then(|| signatures.join(" "))
    }
}

fn previous(settings: &Settings) -> Result<Vec<Signer>, SettingsError> {
    if settings.previous_secrets.len() > MAX_PREVIOUS_SECRETS {
        return Err(fault("/previous_secrets", format!("at most {MAX_PREVIOUS_SECRETS}")));
    }
    let read = |(index, text): (usize, &String)| {
        if text.starts_with(sign::SIGNING_KEY_PREFIX) {
            SigningKey::parse(text).map(Signer::Own).map_err(|error| (index, error.to_string()))
        } else {
            Secret::parse(text).map(Signer::Shared).map_err(|error| (index, error.to_string()))
        }
    };
    let read = settings.previous_secrets.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>();
    read.map_err(|(index, detail)| fault(format!("/previous_secrets/{index}"), detail))
}

fn check_schemes(settings: &Settings) -> Result<(), SettingsError> {
    if settings.signatures.is_empty() {
        return Err(fault("/signatures", "at least one of `v1` and `v1a`"));
    }
    if settings.signing_key.is_some() && !settings.signs_by(Scheme::V1a) {
        return Err(fault("/signing_key", "not used: add `v1a` to `signatures`"));
    }
    if settings.previous_until.is_some() && settings.previous_secrets.is_empty() {
        return Err(fault("/previous_until", "there are no `previous_secrets`"));
    }
    Ok(())
}

/// Makes what is missing, and writes down the public halves.
pub(super) fn complete(settings: &mut Settings, entropy: &[u8; 32]) -> Result<(), SettingsError> {
    check_schemes(settings)?;
    if settings.signs_by(Scheme::V1) {
        settings.secret.get_or_insert_with(|| Secret::make(entropy));
    }
    if settings.signs_by(Scheme::V1a) {
        settings.signing_key.get_or_insert_with(|| SigningKey::make(entropy));
    }
    let public = |text: &str| SigningKey::parse(text).map(|key| key.public_key());
    settings.public_key = match &settings.signing_key {
        Some(text) => Some(public(text).map_err(|error| fault("/signing_key", error.to_string()))?),
        None => None,
    };
    settings.previous_public_keys = settings.previous_secrets.iter().filter_map(|text| public(text).ok()).collect();
    Ok(())
}

/// Fresh secrets; those of before sign besides until the overlap ends.
pub(super) fn rotate(settings: &mut Settings, entropy: &[u8; 32], rotation: Rotation) -> Result<(), SettingsError> {
    let ended = settings.previous_until.as_deref().and_then(|until| until.parse().ok());
    if ended.is_some_and(|until: Timestamp| until <= rotation.now) {
        settings.previous_secrets.clear();
    }
    let former: Vec<String> = settings.secret.take().into_iter().chain(settings.signing_key.take()).collect();
    settings.previous_secrets.splice(0..0, former);
    settings.previous_secrets.truncate(MAX_PREVIOUS_SECRETS);
    settings.previous_until = (!settings.previous_secrets.is_empty()).then(|| rotation.until.to_string());
    complete(settings, entropy)
}
