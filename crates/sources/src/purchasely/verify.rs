//! Who sent an event: `X-PURCHASELY-REQUEST-SIGNATURE` is the lower-case hex of the HMAC-SHA256 of the timestamp's text and
//! the raw body, with nothing between the two, under the webhook's shared secret; the timestamp (unix seconds) stands in
//! `X-PURCHASELY-TIMESTAMP`. The older `X-PURCHASELY-SIGNATURE` is deprecated and not looked at.
//! <https://docs.purchasely.com/docs/webhook>

use crate::proof::shared_secret;
use crate::{Rejection, RejectionKind};
use http::HeaderMap;
use paidup_lifecycle::time::Timestamp;

/// How far ahead of our clock the timestamp may be.
const AHEAD_SECONDS: i64 = 300;
/// How old it may be. ASSUMPTION: whether a retry is signed anew is not documented, and retries go on for 20 days and 10
/// hours; what is older than all of them is a copy. Within that, a copy is known by its event's id.
const AGE_SECONDS: i64 = 21 * 86_400;

const TIME: &str = "x-purchasely-timestamp";
const SIGNATURE: &str = "x-purchasely-request-signature";

/// Proves events under the webhook's secret.
pub(super) struct Prover {
    pub(super) secret: String,
}

impl Prover {
    /// `Ok`: Purchasely sent it.
    pub(super) fn prove(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<(), Rejection> {
        let (time, signature) = (one(headers, TIME)?, one(headers, SIGNATURE)?);
        if !shared_secret::is_signed(&self.secret, &[time.as_bytes(), body], signature) {
            return Err(forged("wrong_signature", "the signature is not that of this body under the shared secret"));
        }
        let is_number = !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit());
        let seconds: Option<i64> = time.parse().ok().filter(|_| is_number);
        let seconds = seconds.ok_or_else(|| forged("unreadable_time", "X-PURCHASELY-TIMESTAMP is no number"))?;
        let age = now.as_seconds().saturating_sub(seconds);
        if !(-AHEAD_SECONDS..=AGE_SECONDS).contains(&age) {
            let detail = "the signature's time is more than 21 days ago or more than 5 minutes ahead";
            return Err(forged("stale_signature", detail));
        }
        Ok(())
    }
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
