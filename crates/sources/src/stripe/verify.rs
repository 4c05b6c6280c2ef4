//! Who sent an event: the `Stripe-Signature` header, `t=<unix seconds>,v1=<hex>[,v1=<hex>...]`, where `v1` is the
//! HMAC-SHA256 of `<t>.<raw body>` under the endpoint's secret. Any `v1` under any secret will do: both change while a
//! secret is rolled. <https://docs.stripe.com/webhooks/signature>
//!
//! The raw bytes are proven before anything in them is read.

use crate::{Rejection, RejectionKind};
use http::HeaderMap;
use paidup_lifecycle::time::Timestamp;
use ring::hmac;

/// How far the signature's time may be from ours. ASSUMPTION: to both sides; Stripe's libraries refuse older ones only.
const TOLERANCE_SECONDS: i64 = 300;
/// The longest header: a time and a few signatures of 70 characters.
const MAX_HEADER: usize = 4096;
/// How many `v1` are tried. Stripe sends one for each live secret of the endpoint.
const MAX_SIGNATURES: usize = 16;

const HEADER: &str = "stripe-signature";

/// Proves events under the endpoint's secrets.
pub(super) struct Prover {
    keys: Vec<hmac::Key>,
}

/// The header, taken apart.
struct Signature<'a> {
    /// As written: it is part of what is signed.
    time: &'a str,
    seconds: i64,
    v1: Vec<&'a str>,
}

impl Prover {
    /// The key is the secret's text as it stands, `whsec_` included.
    pub(super) fn new(secrets: &[String]) -> Prover {
        Prover { keys: secrets.iter().map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())).collect() }
    }

    /// `Ok`: one of the signatures is Stripe's, and was made about now.
    pub(super) fn prove(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<(), Rejection> {
        let signature = Signature::of(headers)?;
        let mut signed = Vec::with_capacity(signature.time.len() + 1 + body.len());
        signed.extend_from_slice(signature.time.as_bytes());
        signed.push(b'.');
        signed.extend_from_slice(body);
        let matches = |v1: &str| {
            // What is no hex cannot be it. `hmac::verify` compares in constant time.
            hex::decode(v1).is_ok_and(|tag| self.keys.iter().any(|key| hmac::verify(key, &signed, &tag).is_ok()))
        };
        if !signature.v1.iter().any(|v1| matches(v1)) {
            return Err(forged("wrong_signature", "no v1 signature is that of this body under a known secret"));
        }
        let distance = now.as_seconds().saturating_sub(signature.seconds).saturating_abs();
        if distance > TOLERANCE_SECONDS {
            let detail = format!("the signature's time is {distance} s away from ours; 300 s are allowed");
            return Err(Rejection::new(RejectionKind::Forged, "stale_signature", detail));
        }
        Ok(())
    }
}

impl<'a> Signature<'a> {
    fn of(headers: &'a HeaderMap) -> Result<Signature<'a>, Rejection> {
        let mut all = headers.get_all(HEADER).iter();
        let header = all.next().ok_or_else(|| forged("no_signature", "the header Stripe-Signature is missing"))?;
        if all.next().is_some() {
            return Err(malformed("several_signatures", "the header Stripe-Signature stands there more than once"));
        }
        if header.len() > MAX_HEADER {
            return Err(malformed("long_signature", "the header Stripe-Signature is longer than 4096 bytes"));
        }
        let text = header.to_str().map_err(|_| malformed("unreadable_signature", "Stripe-Signature is not ASCII"))?;
        Signature::parse(text)
    }

    fn parse(text: &'a str) -> Result<Signature<'a>, Rejection> {
        let (mut time, mut v1) = (None, Vec::new());
        for part in text.split(',') {
            let part = part.trim();
            let Some((scheme, value)) = part.split_once('=') else {
                return Err(malformed("unreadable_signature", "Stripe-Signature must be t=<seconds>,v1=<hex>"));
            };
            match scheme {
                "t" if time.is_some() => {
                    return Err(malformed("several_times", "Stripe-Signature has more than one t"));
                }
                "t" => time = Some(value),
                "v1" if value.is_empty() => {
                    return Err(malformed("empty_signature", "Stripe-Signature has an empty v1"));
                }
                "v1" if v1.len() >= MAX_SIGNATURES => {
                    return Err(malformed("many_signatures", "Stripe-Signature has more than 16 v1"));
                }
                "v1" => v1.push(value),
                // v0 is Stripe's fake scheme for test events; later ones are not known here.
                _ => {}
            }
        }
        let time = time.ok_or_else(|| malformed("no_time", "Stripe-Signature has no t"))?;
        let is_number = !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit());
        let seconds = if is_number { time.parse().ok() } else { None };
        let seconds = seconds.ok_or_else(|| malformed("unreadable_time", "t in Stripe-Signature is no number"))?;
        if v1.is_empty() {
            return Err(forged("no_v1", "Stripe-Signature has no v1, the only scheme that is believed"));
        }
        Ok(Signature { time, seconds, v1 })
    }
}

fn forged(reason: &'static str, detail: &str) -> Rejection {
    Rejection::new(RejectionKind::Forged, reason, detail.to_owned())
}

fn malformed(reason: &'static str, detail: &str) -> Rejection {
    Rejection::new(RejectionKind::Malformed, reason, detail.to_owned())
}
