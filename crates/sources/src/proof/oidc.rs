//! Identity tokens of OpenID Connect: a JSON Web Token (RFC 7519) in compact form, signed with RS256 by a key that its
//! issuer publishes as a set (RFC 7517). It says whose word a token is and whether it holds now; whether that somebody may
//! send here is a store's `verify.rs`'s.
//!
//! `ring` checks the signature, as everywhere here. A library for tokens would bring a second one for the same and a
//! clock of its own; what is left to do by hand is less than its configuration.

use super::jws::Compact;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use paidup_lifecycle::time::Timestamp;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::time::Duration;

/// How far the clocks of issuer and hub may be apart.
const SKEW: Duration = Duration::from_secs(60);
/// The longest token. Google's have about 900 characters.
const MAX_TOKEN: usize = 8 * 1024;
/// Most keys of a set that are looked at. Google publishes two or three.
const MAX_KEYS: usize = 64;

/// Why a token is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OidcError {
    /// Not three segments of base64url with JSON in the first two.
    #[error("is not a JSON Web Token")]
    Malformed,
    /// Any `alg` but RS256. `none` and the HMAC family are how forgers try it.
    #[error("is not signed with RS256")]
    WrongAlgorithm,
    /// It demands an extension by `crit`; none is known.
    #[error("demands an unknown extension")]
    UnknownExtension,
    /// It does not say which key signed it.
    #[error("names no key (kid)")]
    NoKeyId,
    /// The signature does not fit.
    #[error("has a signature that does not fit")]
    BadSignature,
    /// Issued by somebody else.
    #[error("is of another issuer")]
    WrongIssuer,
    /// For somebody else.
    #[error("is for another audience")]
    WrongAudience,
    /// Over.
    #[error("has expired")]
    Expired,
    /// Not yet.
    #[error("is from the future")]
    FromTheFuture,
}

impl OidcError {
    /// The constant name of the reason.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            OidcError::Malformed => "not_a_jwt",
            OidcError::WrongAlgorithm => "wrong_algorithm",
            OidcError::UnknownExtension => "unknown_jws_extension",
            OidcError::NoKeyId => "no_key_id",
            OidcError::BadSignature => "bad_signature",
            OidcError::WrongIssuer => "wrong_issuer",
            OidcError::WrongAudience => "wrong_audience",
            OidcError::Expired => "token_expired",
            OidcError::FromTheFuture => "token_from_the_future",
        }
    }
}

/// Only what decides is read. A doubled name is an error of the JSON reader, so nobody can be shown another `alg`.
#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(borrow, default)]
    kid: Option<Cow<'a, str>>,
    #[serde(default)]
    crit: Option<IgnoredAny>,
}

/// What a token says of its bearer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Claims {
    iss: String,
    aud: String,
    exp: i64,
    iat: i64,
    #[serde(default)]
    nbf: Option<i64>,
    /// The bearer's address.
    #[serde(default)]
    pub(crate) email: Option<String>,
    /// Whether the issuer has made sure of it.
    #[serde(default)]
    pub(crate) email_verified: bool,
}

/// A token, taken apart. Nothing in it is believed yet.
#[derive(Debug)]
pub(crate) struct Token<'a> {
    compact: Compact<'a>,
    /// Which key signed it, as it says.
    pub(crate) kid: String,
}

impl<'a> Token<'a> {
    /// Takes a token apart. Its algorithm is decided on here, before any key is looked at.
    pub(crate) fn split(text: &'a str) -> Result<Token<'a>, OidcError> {
        if text.len() > MAX_TOKEN {
            return Err(OidcError::Malformed);
        }
        let compact = Compact::split(text).map_err(|_| OidcError::Malformed)?;
        let json = decode(compact.header)?;
        let header: Header<'_> = serde_json::from_slice(&json).map_err(|_| OidcError::Malformed)?;
        if header.alg != "RS256" {
            return Err(OidcError::WrongAlgorithm);
        }
        if header.crit.is_some() {
            return Err(OidcError::UnknownExtension);
        }
        let kid = header.kid.filter(|kid| !kid.is_empty()).ok_or(OidcError::NoKeyId)?.into_owned();
        Ok(Token { compact, kid })
    }

    /// The claims of a token that `key` signed.
    pub(crate) fn claims(&self, key: &Key) -> Result<Claims, OidcError> {
        let signature = decode(self.compact.signature).map_err(|_| OidcError::BadSignature)?;
        let public = RsaPublicKeyComponents { n: &key.n, e: &key.e };
        public
            .verify(&RSA_PKCS1_2048_8192_SHA256, self.compact.signing_input().as_bytes(), &signature)
            .map_err(|_| OidcError::BadSignature)?;
        serde_json::from_slice(&decode(self.compact.payload)?).map_err(|_| OidcError::Malformed)
    }
}

impl Claims {
    /// Whether they are `issuers`' word for `audience`, and hold at `now`.
    pub(crate) fn check(&self, issuers: &[&str], audience: &str, now: Timestamp) -> Result<(), OidcError> {
        if !issuers.contains(&self.iss.as_str()) {
            return Err(OidcError::WrongIssuer);
        }
        if self.aud != audience {
            return Err(OidcError::WrongAudience);
        }
        let (latest, earliest) = (now.plus(SKEW).as_seconds(), now.minus(SKEW).as_seconds());
        if self.exp <= earliest {
            return Err(OidcError::Expired);
        }
        if self.iat > latest || self.nbf.is_some_and(|nbf| nbf > latest) {
            return Err(OidcError::FromTheFuture);
        }
        Ok(())
    }
}

/// A public key of an issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    n: Vec<u8>,
    e: Vec<u8>,
}

#[derive(Deserialize)]
struct Set<'a> {
    #[serde(borrow)]
    keys: Vec<Published<'a>>,
}

#[derive(Deserialize)]
struct Published<'a> {
    #[serde(borrow, default)]
    kty: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    kid: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    alg: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "use")]
    used_for: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    n: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    e: Option<Cow<'a, str>>,
}

/// What was fetched is no set of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotKeys;

/// The key of that name in a set, as its issuer publishes it. `None`: the set does not have it.
pub(crate) fn find_key(set: &[u8], kid: &str) -> Result<Option<Key>, NotKeys> {
    let set: Set<'_> = serde_json::from_slice(set).map_err(|_| NotKeys)?;
    if set.keys.is_empty() || set.keys.len() > MAX_KEYS {
        return Err(NotKeys);
    }
    let is = |value: &Option<Cow<'_, str>>, wanted: &str| value.as_deref().is_none_or(|value| value == wanted);
    let mut found = set.keys.iter().filter(|key| key.kid.as_deref() == Some(kid) && key.kty.as_deref() == Some("RSA"));
    let Some(key) = found.next() else { return Ok(None) };
    if found.next().is_some() || !is(&key.alg, "RS256") || !is(&key.used_for, "sig") {
        return Err(NotKeys);
    }
    let part = |text: &Option<Cow<'_, str>>| decode(text.as_deref().unwrap_or_default()).map_err(|_| NotKeys);
    Ok(Some(Key { n: part(&key.n)?, e: part(&key.e)? }))
}

/// Strict base64url: no padding, no stray bits, so that a segment has one spelling only.
fn decode(segment: &str) -> Result<Vec<u8>, OidcError> {
    URL_SAFE_NO_PAD.decode(segment.as_bytes()).map_err(|_| OidcError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_strictly() {
        let split = |json: &str| {
            let text = format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(json));
            Token::split(&text).map(|token| token.kid)
        };
        for (name, json, expected) in [
            ("plain", r#"{"alg":"RS256","kid":"a","typ":"JWT"}"#, Ok("a".to_owned())),
            ("none", r#"{"alg":"none","kid":"a"}"#, Err(OidcError::WrongAlgorithm)),
            ("hmac", r#"{"alg":"HS256","kid":"a"}"#, Err(OidcError::WrongAlgorithm)),
            ("lower case", r#"{"alg":"rs256","kid":"a"}"#, Err(OidcError::WrongAlgorithm)),
            ("another", r#"{"alg":"PS256","kid":"a"}"#, Err(OidcError::WrongAlgorithm)),
            ("no alg", r#"{"kid":"a"}"#, Err(OidcError::Malformed)),
            ("alg twice", r#"{"alg":"RS256","alg":"none","kid":"a"}"#, Err(OidcError::Malformed)),
            ("crit", r#"{"alg":"RS256","kid":"a","crit":["b64"]}"#, Err(OidcError::UnknownExtension)),
            ("no kid", r#"{"alg":"RS256"}"#, Err(OidcError::NoKeyId)),
            ("empty kid", r#"{"alg":"RS256","kid":""}"#, Err(OidcError::NoKeyId)),
        ] {
            assert_eq!(split(json), expected, "{name}");
        }
        for text in ["", "a.b", "a.b.c.d", "e30=.e30.AA", "{}.{}.{}"] {
            assert!(Token::split(text).is_err(), "{text:?}");
        }
        assert_eq!(Token::split(&"a".repeat(MAX_TOKEN + 1)).unwrap_err(), OidcError::Malformed);
    }

    #[test]
    fn claims_hold_for_their_time_and_place() {
        let now: Timestamp = "2026-01-31T08:00:00Z".parse().unwrap();
        let at = now.as_seconds();
        let claims = |json: serde_json::Value| serde_json::from_value::<Claims>(json).unwrap();
        for (name, json, expected) in [
            ("now", serde_json::json!({"iss": "i", "aud": "a", "iat": at, "exp": at + 3600}), Ok(())),
            ("a little late", serde_json::json!({"iss": "i", "aud": "a", "iat": at - 3659, "exp": at - 59}), Ok(())),
            (
                "late",
                serde_json::json!({"iss": "i", "aud": "a", "iat": at - 3660, "exp": at - 60}),
                Err(OidcError::Expired),
            ),
            ("a little early", serde_json::json!({"iss": "i", "aud": "a", "iat": at + 60, "exp": at + 3600}), Ok(())),
            (
                "early",
                serde_json::json!({"iss": "i", "aud": "a", "iat": at + 61, "exp": at + 3600}),
                Err(OidcError::FromTheFuture),
            ),
            (
                "not before",
                serde_json::json!({"iss": "i", "aud": "a", "iat": at, "nbf": at + 61, "exp": at + 3600}),
                Err(OidcError::FromTheFuture),
            ),
            (
                "issuer",
                serde_json::json!({"iss": "I", "aud": "a", "iat": at, "exp": at + 1}),
                Err(OidcError::WrongIssuer),
            ),
            (
                "audience",
                serde_json::json!({"iss": "i", "aud": "A", "iat": at, "exp": at + 1}),
                Err(OidcError::WrongAudience),
            ),
        ] {
            assert_eq!(claims(json).check(&["i", "j"], "a", now), expected, "{name}");
        }
        for json in [r#"{"iss":"i","aud":["a"],"iat":1,"exp":2}"#, r#"{"iss":"i","aud":"a","iat":1}"#, "{}"] {
            assert!(serde_json::from_str::<Claims>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_set_of_keys_is_read_strictly() {
        let key = r#"{"kty":"RSA","kid":"a","alg":"RS256","use":"sig","n":"AQAB","e":"AQAB"}"#;
        let set = |keys: &str| format!(r#"{{"keys":[{keys}]}}"#).into_bytes();
        assert!(find_key(&set(key), "a").unwrap().is_some());
        assert_eq!(find_key(&set(key), "b"), Ok(None));
        for (name, keys) in [
            ("twice", format!("{key},{key}")),
            ("for encryption", key.replace("sig", "enc")),
            ("another algorithm", key.replace("RS256", "HS256")),
            ("no base64", key.replace("AQAB", "*")),
            ("none", String::new()),
            ("too many", vec![key; MAX_KEYS + 1].join(",")),
        ] {
            assert_eq!(find_key(&set(&keys), "a"), Err(NotKeys), "{name}");
        }
        assert_eq!(find_key(&set(&key.replace("RSA", "oct")), "a"), Ok(None), "a key for HMAC is none of these");
        for body in ["", "<html>", "{}", "[]", r#"{"keys":{}}"#] {
            assert_eq!(find_key(body.as_bytes(), "a"), Err(NotKeys), "{body}");
        }
    }
}
