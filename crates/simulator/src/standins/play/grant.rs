//! Access tokens for a signed grant (RFC 7523), as Google's token endpoint hands them out to service accounts.

use super::answers::Answer;
use crate::rsa::{Holder, RsaKey};
use crate::stores::play::{SERVICE_ACCOUNT, TOKEN_URI, verified};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What a grant must ask for.
const SCOPE: &str = "https://www.googleapis.com/auth/androidpublisher";
/// The grant's type.
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// A grant may be valid for an hour at most.
const MAX_SPAN: i64 = 3600;
/// How far the clocks may be apart. ASSUMPTION: Google says "a reasonable timeframe".
const SKEW: i64 = 300;
/// Tokens that are remembered.
const MAX_TOKENS: usize = 1_000;

/// The tokens that were handed out.
pub(super) struct Grants {
    key: RsaKey,
    seconds: i64,
    count: u64,
    /// Until when each is valid, in milliseconds since 1970.
    tokens: BTreeMap<String, i64>,
}

impl Grants {
    pub(super) fn new(seconds: i64) -> Grants {
        Grants { key: RsaKey::of(Holder::ServiceAccount), seconds, count: 0, tokens: BTreeMap::new() }
    }

    pub(super) fn is_valid(&self, token: &str, now_ms: i64) -> bool {
        self.tokens.get(token).is_some_and(|until| now_ms < *until)
    }

    pub(super) fn hand_out(&mut self, headers: &HeaderMap, body: &[u8], now_ms: i64) -> Answer {
        let is_form = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        if !is_form {
            return refusal("invalid_request", "the body is no form");
        }
        let form: BTreeMap<String, String> = url::form_urlencoded::parse(body).into_owned().collect();
        if form.get("grant_type").map(String::as_str) != Some(GRANT_TYPE) {
            return refusal("unsupported_grant_type", "Invalid grant_type");
        }
        let assertion = form.get("assertion").map(String::as_str).unwrap_or_default();
        let Ok(claims) = verified(&self.key, assertion) else {
            return refusal("invalid_grant", "Invalid JWT Signature.");
        };
        if let Some(refused) = wrong_claim(&claims, now_ms.div_euclid(1000)) {
            return refused;
        }
        self.count += 1;
        let token = format!("ya29.simulated.{:016x}", self.count);
        self.tokens.retain(|_, until| now_ms < *until);
        if self.tokens.len() >= MAX_TOKENS {
            self.tokens.pop_first();
        }
        self.tokens.insert(token.clone(), now_ms + self.seconds * 1000);
        Answer::ok(json!({"access_token": token, "expires_in": self.seconds, "token_type": "Bearer"}))
    }
}

fn wrong_claim(claims: &Value, now: i64) -> Option<Answer> {
    if claims["iss"] != SERVICE_ACCOUNT {
        return Some(refusal("invalid_grant", "Invalid grant: account not found"));
    }
    if claims["aud"] != TOKEN_URI {
        return Some(refusal("invalid_grant", "Invalid JWT: Failed audience check."));
    }
    let (issued, expires) = (claims["iat"].as_i64().unwrap_or(0), claims["exp"].as_i64().unwrap_or(0));
    let is_short = expires > issued && expires - issued <= MAX_SPAN && issued <= now + SKEW && expires > now - SKEW;
    if !is_short {
        let detail = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.";
        return Some(refusal("invalid_grant", detail));
    }
    let scopes = claims["scope"].as_str().unwrap_or_default();
    if !scopes.split(' ').any(|scope| scope == SCOPE) {
        return Some(refusal("invalid_scope", "Invalid OAuth scope or ID token audience provided."));
    }
    None
}

fn refusal(error: &str, description: &str) -> Answer {
    let status = StatusCode::BAD_REQUEST;
    Answer { status, body: json!({"error": error, "error_description": description}) }
}
