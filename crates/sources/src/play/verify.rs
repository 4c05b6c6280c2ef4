//! Who pushed a notification: an identity token of Google's, for our address, of the service account that pushes. It does
//! not prove the body, only who brings it: Pub/Sub lets nobody else push with that account.
//! <https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions>

use super::wire::Envelope;
use crate::proof::oidc::{OidcError, Token, find_key};
use crate::{Keys, Rejection, RejectionKind};
use bytes::Bytes;
use http::{HeaderMap, header};
use paidup_lifecycle::time::Timestamp;

/// Both spellings that Google signs with.
const ISSUERS: [&str; 2] = ["https://accounts.google.com", "accounts.google.com"];

/// Proves pushes.
pub(super) struct Prover {
    /// Where Google publishes its keys.
    pub(super) keys_url: String,
    /// For whom tokens must be.
    pub(super) audience: String,
    /// Who must push.
    pub(super) email: String,
    /// The Pub/Sub subscription that must push, where the operator named it.
    pub(super) subscription: Option<String>,
}

/// What proving came to.
#[allow(clippy::large_enum_variant)] // one per request, taken apart at once
pub(super) enum Proven {
    /// Google's word.
    Yes,
    /// Its keys have to be fetched first.
    KeysNeeded(http::Request<Bytes>),
}

impl Prover {
    /// Whether the account that must push did.
    pub(super) fn prove(&self, headers: &HeaderMap, keys: &Keys, now: Timestamp) -> Result<Proven, Rejection> {
        let token = Token::split(bearer(headers)?).map_err(forged)?;
        let Some(set) = keys.0.get(&self.keys_url) else { return self.keys_needed() };
        let Ok(key) = find_key(set, &token.kid) else { return Err(unusable()) };
        let Some(key) = key else { return self.keys_needed() };
        let claims = token.claims(&key).map_err(forged)?;
        claims.check(&ISSUERS, &self.audience, now).map_err(forged)?;
        if claims.email.as_deref() != Some(self.email.as_str()) {
            return Err(forbidden("wrong_sender", "the token is of another account than service_account_email"));
        }
        if !claims.email_verified {
            return Err(forbidden("unverified_sender", "Google has not verified the token's e-mail address"));
        }
        Ok(Proven::Yes)
    }

    /// Whether the subscription that must push did.
    pub(super) fn check(&self, envelope: &Envelope) -> Result<(), Rejection> {
        match &self.subscription {
            Some(wanted) if envelope.subscription.as_ref() != Some(wanted) => {
                let detail = "it was pushed by another Pub/Sub subscription than the source's";
                Err(Rejection::new(RejectionKind::WrongAddress, "wrong_subscription", detail.to_owned()))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn keys_needed(&self) -> Result<Proven, Rejection> {
        let request = http::Request::get(&self.keys_url).body(Bytes::new());
        // An address that cannot be called holds no keys.
        request.map(Proven::KeysNeeded).map_err(|_| unusable())
    }
}

/// What was fetched is no set of keys: nobody can be known by it, and nobody is refused for good.
fn unusable() -> Rejection {
    let detail = "what was fetched as Google's keys is none".to_owned();
    Rejection::new(RejectionKind::Unavailable, "unreadable_keys", detail)
}

fn bearer(headers: &HeaderMap) -> Result<&str, Rejection> {
    let missing = || {
        let detail = "the header Authorization with Google's token is missing; switch on authentication of the push";
        Rejection::new(RejectionKind::Forged, "no_token", detail.to_owned())
    };
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let header = all.next().ok_or_else(missing)?;
    if all.next().is_some() {
        let detail = "the header Authorization stands there more than once".to_owned();
        return Err(Rejection::new(RejectionKind::Forged, "several_tokens", detail));
    }
    let (scheme, token) = header.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(missing)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token) } else { Err(missing()) }
}

fn forged(error: OidcError) -> Rejection {
    Rejection::new(RejectionKind::Forged, error.reason(), format!("the token {error}"))
}

fn forbidden(reason: &'static str, detail: &str) -> Rejection {
    Rejection::new(RejectionKind::Forbidden, reason, detail.to_owned())
}
