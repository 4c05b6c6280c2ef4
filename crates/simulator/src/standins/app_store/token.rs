//! The token with which a server calls the App Store Server API: a JWT of its own, signed with ES256.
//!
//! Page: Apple's "Generating JSON Web Tokens for API requests".

use crate::stores::app_store::AppStore;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde::Deserialize;

/// ASSUMPTION: the longest life of a token, in seconds. Apple's page for this API does not say; App Store Connect's
/// older one said 60 minutes.
const MAX_LIFE: i64 = 3_600;
/// How far a caller's clock may be ahead, in seconds.
const TOLERANCE: i64 = 60;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    kid: String,
    typ: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    iat: i64,
    exp: i64,
    aud: String,
    bid: String,
}

/// Checks the value of `Authorization`; an error says what is wrong, for the report: Apple itself only says 401.
pub(super) fn check(authorization: &str, store: &AppStore, now_ms: i64) -> Result<(), &'static str> {
    let token = authorization.strip_prefix("Bearer ").ok_or("no bearer token")?;
    let (signed, signature) = token.rsplit_once('.').ok_or("not a JWT")?;
    let (header, claims) = signed.split_once('.').ok_or("not a JWT")?;
    let header: Header = part(header).ok_or("the header cannot be read")?;
    if header.alg != "ES256" || header.typ.is_some_and(|typ| typ != "JWT") {
        return Err("not ES256");
    }
    let key = store.api_key();
    if header.kid != key.key_id {
        return Err("an unknown kid");
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| "the signature is not base64url")?;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &key.public_key)
        .verify(signed.as_bytes(), &signature)
        .map_err(|_| "the signature is wrong")?;
    let claims: Claims = part(claims).ok_or("a claim is missing")?;
    let now = now_ms.div_euclid(1_000);
    let table = [
        (claims.iss == key.issuer_id, "the wrong iss"),
        (claims.aud == "appstoreconnect-v1", "the wrong aud"),
        (claims.bid == *store.app().bundle_id, "the wrong bid"),
        (claims.iat <= now + TOLERANCE, "iat is in the future"),
        (claims.exp > now, "it has expired"),
        (claims.exp > claims.iat && claims.exp - claims.iat <= MAX_LIFE, "it lives for more than 60 minutes"),
    ];
    table.into_iter().find(|(is_right, _)| !is_right).map_or(Ok(()), |(_, wrong)| Err(wrong))
}

fn part<T: for<'de> Deserialize<'de>>(text: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}
