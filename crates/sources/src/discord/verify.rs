//! Who sent an event: `X-Signature-Ed25519` is the hex of the Ed25519 signature of `X-Signature-Timestamp` and the raw body,
//! one after the other, under the application's key. Discord sends wrong ones on purpose and wants 401 for them.
//! <https://discord.com/developers/docs/events/webhook-events#preparing-for-events>

use crate::proof::ed25519::PublicKey;
use crate::{Rejection, RejectionKind};
use http::HeaderMap;
use paidup_lifecycle::time::Timestamp;

/// How old a signature may be, and how far ahead of our clock. ASSUMPTION: Discord publishes no rule; its retries go on for
/// ten minutes, and whether each is signed anew is not said.
const AGE_SECONDS: i64 = 900;
const AHEAD_SECONDS: i64 = 300;

const SIGNATURE: &str = "x-signature-ed25519";
const TIME: &str = "x-signature-timestamp";

/// `Ok`: Discord sent it, lately.
pub(super) fn prove(key: &PublicKey, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<(), Rejection> {
    let (signature, time) = (one(headers, SIGNATURE)?, one(headers, TIME)?);
    if !key.is_signed(&[time.as_bytes(), body], signature) {
        return Err(forged("wrong_signature", "the signature is not that of this body under the application's key"));
    }
    let seconds: i64 = time.parse().map_err(|_| forged("unreadable_time", "X-Signature-Timestamp is no number"))?;
    let age = now.as_seconds().saturating_sub(seconds);
    if !(-AHEAD_SECONDS..=AGE_SECONDS).contains(&age) {
        let detail = "the signature's time is more than 15 minutes ago or more than 5 minutes ahead";
        return Err(forged("stale_signature", detail));
    }
    Ok(())
}

/// The header's only value.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Rejection> {
    let mut all = headers.get_all(name).iter();
    match (all.next().map(|value| value.to_str()), all.next()) {
        (Some(Ok(value)), None) => Ok(value),
        (None, _) => Err(forged("no_signature", "a header that proves the sender is missing")),
        (Some(_), _) => {
            Err(forged("unreadable_signature", "a header that proves the sender is no text, or twice there"))
        }
    }
}

fn forged(reason: &'static str, detail: &str) -> Rejection {
    Rejection::new(RejectionKind::Forged, reason, detail.to_owned())
}
