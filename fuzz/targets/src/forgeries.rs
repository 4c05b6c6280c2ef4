//! Proofs: nothing but what the store signed is believed.
//!
//! The first byte says what is forged. `e`: edits of a request that was signed right, four bytes each: which part, where
//! (two bytes, little endian), what. `h`: the rest is the header of the proof (for the App Store the whole `signedPayload`, for
//! Amazon the whole body). `k`: the rest is what was fetched as the key. `t` (Play): two lines that Google signs as a
//! token's header and claims.

use crate::shop::{Kind, NOW, Shop};
use crate::sources::check_verified;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use paidup_sources::{Keys, RawRequest, Rejection, Verification, Verified};
use serde_json::{Value, json};

/// What the honest sender says: a sample of each kind.
fn honest(kind: Kind) -> &'static [u8] {
    match kind {
        Kind::AppStore => include_bytes!("honest/app_store.json"),
        Kind::Play => include_bytes!("honest/play.json"),
        Kind::Amazon => include_bytes!("honest/amazon.json"),
        Kind::Stripe => include_bytes!("honest/stripe.json"),
        Kind::Discord => include_bytes!("honest/discord.json"),
        Kind::Revenuecat => include_bytes!("honest/revenuecat.json"),
        Kind::Purchasely => include_bytes!("honest/purchasely.json"),
        Kind::Generic => b"{}", // the hub's own keys prove its sender
    }
}

fn proof_header(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Play => Some("authorization"),
        Kind::Stripe => Some("stripe-signature"),
        Kind::Discord => Some("x-signature-ed25519"),
        Kind::Revenuecat => Some("x-revenuecat-webhook-signature"),
        Kind::Purchasely => Some("x-purchasely-request-signature"),
        Kind::AppStore | Kind::Amazon | Kind::Generic => None,
    }
}

fn verify(kind: Kind, raw: &RawRequest, keys: &Keys) -> Result<Option<Verified>, Rejection> {
    let source = Shop::get().source(kind, true);
    match source.verify(raw, keys, NOW)? {
        Verification::Verified(verified) => {
            check_verified(source, &verified);
            Ok(Some(verified))
        }
        Verification::KeyNeeded(_) => Ok(None),
    }
}

/// The target of a kind of proof.
pub(crate) fn any(kind: Kind, data: &[u8]) {
    let [what, rest @ ..] = data else { return };
    let shop = Shop::get();
    let signed = shop.signed(kind, honest(kind));
    let truth = verify(kind, &signed, shop.keys());
    let Ok(Some(truth)) = truth else { panic!("the honest request is refused: {truth:?}") };
    match what {
        b'e' => edited(kind, &signed, &truth, rest),
        b'h' => headed(kind, &signed, &truth, rest),
        b'k' => fetched(kind, &signed, &truth, rest),
        b't' if kind == Kind::Play => tokened(signed, rest),
        _ => {}
    }
}

/// Whatever is changed: it says the same, or it is not believed. (Spaces between JSON, the case of hexadecimal digits and
/// schemes that nobody looks at are no part of what is signed.)
fn edited(kind: Kind, signed: &RawRequest, truth: &Verified, edits: &[u8]) {
    let mut parts: Vec<Vec<u8>> = signed.headers.values().map(|value| value.as_bytes().to_vec()).collect();
    parts.push(signed.body.to_vec());
    for edit in edits.chunks_exact(4).take(64) {
        let [part, low, high, byte] = edit else { continue };
        let count = parts.len();
        let part = &mut parts[usize::from(*part) % count];
        if part.is_empty() {
            continue;
        }
        let at = usize::from(u16::from_le_bytes([*low, *high])) % part.len();
        part[at] = *byte;
    }
    let body = parts.pop().unwrap_or_default();
    let mut headers = HeaderMap::new();
    for (name, value) in signed.headers.keys().zip(parts) {
        let Ok(value) = HeaderValue::from_bytes(&value) else { return };
        headers.insert(name, value);
    }
    let forged = RawRequest { headers, body: Bytes::from(body) };
    believed_only_if_true(kind, &forged, signed, truth);
}

/// Google's token proves the sender and no body, and is the only proof of which that holds: there the token is the same.
fn believed_only_if_true(kind: Kind, forged: &RawRequest, signed: &RawRequest, truth: &Verified) {
    let Ok(Some(believed)) = verify(kind, forged, Shop::get().keys()) else { return };
    if kind == Kind::Play {
        let token = |raw: &RawRequest| {
            let text = raw.headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
            text.split_once(' ').map(|(_, token)| token.to_owned())
        };
        assert_eq!(token(forged), token(signed), "another token is believed");
    } else {
        same_word(&believed, truth);
    }
}

fn same_word(believed: &Verified, truth: &Verified) {
    let said = |verified: &Verified| -> Vec<_> {
        let all = verified.notifications.iter();
        all.map(|one| (one.external_id.clone(), one.label.clone(), one.reading.clone())).collect()
    };
    assert_eq!(said(believed), said(truth), "something else than was signed is believed");
}

fn headed(kind: Kind, signed: &RawRequest, truth: &Verified, text: &[u8]) {
    let mut forged = signed.clone();
    match (kind, proof_header(kind)) {
        (Kind::AppStore, _) => {
            let body: Value = json!({"signedPayload": String::from_utf8_lossy(text)});
            forged.body = body.to_string().into();
        }
        (_, Some(name)) => {
            let Ok(value) = HeaderValue::from_bytes(text) else { return };
            forged.headers.insert(name, value);
        }
        (_, None) => forged.body = Bytes::copy_from_slice(text),
    }
    believed_only_if_true(kind, &forged, signed, truth);
}

/// What was fetched is whatever its server gave. It is no key, or it is not the key: then nobody is believed, unless it is
/// the same key in other clothes.
fn fetched(kind: Kind, signed: &RawRequest, truth: &Verified, given: &[u8]) {
    let keys = Shop::get().keys().0.keys().map(|url| (url.clone(), Bytes::copy_from_slice(given))).collect();
    let Ok(Some(believed)) = verify(kind, signed, &Keys(keys)) else { return };
    same_word(&believed, truth);
}

/// A token that Google did sign: for somebody else, at another time, of another algorithm. It counts for nobody but the
/// sender and the audience that the settings name.
fn tokened(signed: RawRequest, lines: &[u8]) {
    let Some(line) = lines.iter().position(|byte| *byte == b'\n') else { return };
    let (header, claims) = (&lines[..line], &lines[line + 1..]);
    let mut forged = signed;
    let token = format!("Bearer {}", Shop::get().token_of(header, claims));
    let Ok(value) = HeaderValue::from_str(&token) else { return };
    forged.headers.insert("authorization", value);
    let Ok(Some(_)) = verify(Kind::Play, &forged, Shop::get().keys()) else { return };
    let claims: Value = serde_json::from_slice(claims).expect("claims that were believed are JSON");
    assert_eq!(claims["aud"], "https://hub.example.com/ingest/src_1");
    assert_eq!(claims["email"], "push@example.iam.gserviceaccount.com");
    assert_eq!(claims["email_verified"], true);
    assert!(claims["exp"].as_i64().is_some_and(|expires| expires > NOW.as_seconds() - 3_600));
}
