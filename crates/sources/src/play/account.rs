//! The service account that Google's API is asked with: a signed grant is exchanged for an access token of an hour.
//! <https://developers.google.com/identity/protocols/oauth2/service-account#httprest>

use super::wire::{KeyFile, TokenAnswer};
use crate::{Rejection, RejectionKind, Token};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::header;
use paidup_lifecycle::time::Timestamp;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::json;
use std::time::Duration;

/// What the token may do: read purchases, and acknowledge them.
const SCOPE: &str = "https://www.googleapis.com/auth/androidpublisher";
/// For whom a grant is signed, when the key file does not say.
const AUDIENCE: &str = "https://oauth2.googleapis.com/token";
/// How long a grant holds: the longest that Google takes.
const GRANT_LASTS: i64 = 3600;
/// How much sooner than Google says a token counts as over.
const MARGIN: Duration = Duration::from_secs(60);
/// The longest access token. Google's have up to 2048 characters.
const MAX_TOKEN: usize = 8 * 1024;

/// A service account with its private key.
pub(super) struct ServiceAccount {
    email: String,
    key_id: Option<String>,
    audience: String,
    token_url: String,
    key: RsaKeyPair,
}

impl ServiceAccount {
    /// From the key file as Google Cloud gives it out. The error is for the operator and names no secret.
    pub(super) fn open(key_file: &str, token_url: &str) -> Result<ServiceAccount, &'static str> {
        let file: KeyFile = serde_json::from_str(key_file)
            .map_err(|_| "must be the service account's key file (JSON with client_email and private_key)")?;
        let der = pkcs8(&file.private_key).ok_or("private_key in the key file is no PEM of a private key")?;
        let key = RsaKeyPair::from_pkcs8(&der)
            .map_err(|_| "private_key in the key file is no RSA key of 2048 to 4096 bits (PKCS #8)")?;
        Ok(ServiceAccount {
            email: file.client_email,
            key_id: file.private_key_id,
            audience: file.token_uri.unwrap_or_else(|| AUDIENCE.to_owned()),
            token_url: token_url.to_owned(),
            key,
        })
    }

    /// The request for a token. The same second gives the same request.
    pub(super) fn token_request(&self, now: Timestamp) -> Option<http::Request<Bytes>> {
        let grant = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";
        let body = format!("grant_type={grant}&assertion={}", self.assertion(now)?);
        http::Request::post(&self.token_url)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body.into())
            .ok()
    }

    fn assertion(&self, now: Timestamp) -> Option<String> {
        let mut header = json!({"alg": "RS256", "typ": "JWT"});
        if let Some(key_id) = &self.key_id {
            header["kid"] = json!(key_id);
        }
        let issued_at = now.as_seconds();
        let claims = json!({
            "iss": self.email, "scope": SCOPE, "aud": self.audience, "iat": issued_at, "exp": issued_at + GRANT_LASTS
        });
        let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        // PKCS #1 v1.5 signatures hold no chance: ring wants its source only to hide the key from side channels.
        let chance = ring::rand::SystemRandom::new();
        self.key.sign(&RSA_PKCS1_SHA256, &chance, signed.as_bytes(), &mut signature).ok()?;
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// Reads the answer to `token_request`.
pub(super) fn token(answer: &[u8]) -> Result<Token, Rejection> {
    let no_token = || {
        let detail = "the answer is no access token".to_owned();
        Rejection::new(RejectionKind::Malformed, "no_token", detail)
    };
    let answer: TokenAnswer = serde_json::from_slice(answer).map_err(|_| no_token())?;
    let bearer = answer.access_token;
    let is_printable = !bearer.is_empty() && bearer.len() <= MAX_TOKEN && bearer.bytes().all(|b| b.is_ascii_graphic());
    if !is_printable {
        return Err(no_token());
    }
    Ok(Token { bearer, valid_for: Duration::from_secs(answer.expires_in.min(86_400)).saturating_sub(MARGIN) })
}

/// The bytes between the lines of a PEM file.
fn pkcs8(pem: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once("-----BEGIN PRIVATE KEY-----")?;
    let (text, _) = rest.split_once("-----END PRIVATE KEY-----")?;
    let text: String = text.split_whitespace().collect();
    STANDARD.decode(text).ok()
}
