//! Who sent an event: the webhook's own `Authorization` value, sent as it is; and where signing is on,
//! `X-RevenueCat-Webhook-Signature: t=<unix seconds>,v1=<hex>[,v1=<hex>...]`, where `v1` is the HMAC-SHA256 of
//! `<t>.<raw body>`. What the operator has set is demanded, both where both are.
//! <https://www.revenuecat.com/docs/integrations/webhooks#security-and-best-practices>
//!
//! ASSUMPTION: the signing is described by receivers of 2026 only, all alike, and not in the published pages.

use crate::proof::shared_secret;
use crate::{Rejection, RejectionKind};
use http::{HeaderMap, header};
use paidup_lifecycle::time::Timestamp;

/// How far the signature's time may be from ours: each attempt is signed anew.
const TOLERANCE_SECONDS: i64 = 300;
/// The longest signature header.
const MAX_HEADER: usize = 2048;
/// How many `v1` are tried. ASSUMPTION: there are several while a secret is rolled.
const MAX_SIGNATURES: usize = 8;

const SIGNATURE: &str = "x-revenuecat-webhook-signature";

/// Proves events by the operator's secrets. At least one is set.
pub(super) struct Prover {
    pub(super) authorization: Option<String>,
    pub(super) hmac_secret: Option<String>,
}

impl Prover {
    /// `Ok`: RevenueCat sent it.
    pub(super) fn prove(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<(), Rejection> {
        if let Some(expected) = &self.authorization {
            let sent = one(headers, header::AUTHORIZATION.as_str(), "no_authorization")?;
            if !shared_secret::is_same(sent, expected.as_bytes()) {
                return Err(forged("wrong_authorization", "the header Authorization is not the webhook's value"));
            }
        }
        match &self.hmac_secret {
            Some(secret) => check_signature(secret, one(headers, SIGNATURE, "no_signature")?, body, now),
            None => Ok(()),
        }
    }
}

fn check_signature(secret: &str, header: &[u8], body: &[u8], now: Timestamp) -> Result<(), Rejection> {
    let text = std::str::from_utf8(header).ok().filter(|text| text.len() <= MAX_HEADER);
    let text = text.ok_or_else(|| forged("unreadable_signature", "the signature is too long or no text"))?;
    let (mut time, mut signatures) = (None, Vec::new());
    for part in text.split(',') {
        match part.trim().split_once('=') {
            Some(("t", _)) if time.is_some() => return Err(forged("several_times", "the signature has several t")),
            Some(("t", value)) => time = Some(value),
            Some(("v1", value)) if signatures.len() < MAX_SIGNATURES => signatures.push(value),
            // Schemes to come, and whatever else stands there: none of it proves anything.
            Some(_) | None => {}
        }
    }
    let time = time.ok_or_else(|| forged("no_time", "the signature has no t"))?;
    let parts = [time.as_bytes(), b".", body];
    if !signatures.iter().any(|hex| shared_secret::is_signed(secret, &parts, hex)) {
        return Err(forged("wrong_signature", "no v1 is that of this body under the webhook's secret"));
    }
    let seconds: i64 = time.parse().map_err(|_| forged("unreadable_time", "t in the signature is no number"))?;
    let distance = now.as_seconds().saturating_sub(seconds).saturating_abs();
    if distance > TOLERANCE_SECONDS {
        let detail = format!("the signature's time is {distance} s away from ours; 300 s are allowed");
        return Err(Rejection::new(RejectionKind::Forged, "stale_signature", detail));
    }
    Ok(())
}

/// The header's only value.
fn one<'a>(headers: &'a HeaderMap, name: &str, missing: &'static str) -> Result<&'a [u8], Rejection> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (Some(value), None) => Ok(value.as_bytes()),
        (None, _) => Err(forged(missing, "the header that proves the sender is missing")),
        (Some(_), Some(_)) => Err(forged("several_headers", "the header that proves the sender stands there twice")),
    }
}

fn forged(reason: &'static str, detail: &str) -> Rejection {
    Rejection::new(RejectionKind::Forged, reason, detail.to_owned())
}
