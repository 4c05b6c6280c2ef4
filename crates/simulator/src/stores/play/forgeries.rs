//! Pushes that a hub must refuse: each is a genuine one with one thing wrong, by name.

use super::push::{claims, envelope, signed};
use super::wire::{App, Notification};
use super::{Play, SUBSCRIPTION};
use crate::rsa::{Holder, RsaKey};
use crate::stores::forgery::{FORGED, Forgery, MALFORMED, MISDIRECTED, TOO_LARGE};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use serde_json::{Value, json};
use std::sync::Arc;

/// More than any hub reads: Google's pushes are about 1 kB.
const OVERSIZED: usize = 8 * 1024 * 1024;
/// Deeper than any reader should follow.
const DEPTH: usize = 10_000;
const HOUR: i64 = 3600;
/// Google's, and no notification inside: refused it would come for a week, so a hub may as well take it and tell nothing.
pub const UNREADABLE: &[u16] = &[200, 204, 400];

/// Every forgery of this genuine notification, sent at `now_ms`.
#[must_use]
pub fn all(play: &Play, genuine: &Notification, now_ms: i64) -> Vec<Forgery> {
    let mut all = forged(play, genuine, now_ms);
    all.extend(misdirected(play, genuine, now_ms));
    all.extend(malformed(play, genuine, now_ms));
    all
}

fn bearer(token: &str) -> Vec<(&'static str, String)> {
    vec![("authorization", format!("Bearer {token}"))]
}

fn forged(play: &Play, genuine: &Notification, now_ms: i64) -> Vec<Forgery> {
    let now = now_ms.div_euclid(1000);
    let body = play.body(genuine);
    let with = |name, headers| Forgery { name, headers, body: body.clone(), answers: FORGED };
    let claiming = |name, change: &[(&str, Value)]| {
        let mut changed = claims(now_ms);
        for (claim, value) in change {
            changed[*claim] = value.clone();
        }
        with(name, bearer(&play.google().token(&changed)))
    };
    let token = play.google().push_token(now_ms);
    let parts: Vec<&str> = token.split('.').collect();
    let (head, payload, signature) = (parts[0], parts[1], parts[2]);
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).unwrap_or_default()).unwrap_or_default();
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let mut tampered = claims(now_ms);
    tampered["sub"] = "2".into();
    let mut unknown = header.clone();
    unknown["kid"] = "0000000000000000000000000000000000000000".into();
    let mut hs256 = header.clone();
    hs256["alg"] = "HS256".into();
    let mut none = header.clone();
    none["alg"] = "none".into();
    // The public key as a shared secret: what a reader falls for that takes the algorithm from the token.
    let (modulus, _) = RsaKey::of(Holder::Google).public();
    let content = format!("{}.{payload}", encode(&hs256));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &modulus), content.as_bytes());
    vec![
        with("no token", vec![]),
        with("a basic password", vec![("authorization", "Basic Z29vZ2xlOnB1c2g=".to_owned())]),
        with("signed by a stranger", bearer(&signed(&RsaKey::of(Holder::Stranger), &header, &claims(now_ms)))),
        with(
            "signed by the service account",
            bearer(&signed(&RsaKey::of(Holder::ServiceAccount), &header, &claims(now_ms))),
        ),
        with("unknown kid", bearer(&signed(&RsaKey::of(Holder::Stranger), &unknown, &claims(now_ms)))),
        with("alg none", bearer(&format!("{}.{payload}.", encode(&none)))),
        with("alg HS256", bearer(&format!("{content}.{}", URL_SAFE_NO_PAD.encode(tag)))),
        with("tampered claims", bearer(&format!("{head}.{}.{signature}", encode(&tampered)))),
        with("signature cut short", bearer(&token[..token.len() - 40])),
        with("two parts only", bearer(&format!("{head}.{payload}"))),
        claiming("expired", &[("iat", (now - 3 * HOUR).into()), ("exp", (now - 2 * HOUR).into())]),
        claiming("issued in the future", &[("iat", (now + 2 * HOUR).into()), ("exp", (now + 3 * HOUR).into())]),
        claiming("another issuer", &[("iss", "https://accounts.example".into())]),
        claiming("another audience", &[("aud", "https://hub.example/other".into())]),
        claiming("another account", &[("email", "somebody@else.iam.gserviceaccount.com".into())]),
        claiming("an account that is not verified", &[("email_verified", false.into())]),
        claiming("no expiry", &[("exp", Value::Null)]),
    ]
}

fn misdirected(play: &Play, genuine: &Notification, now_ms: i64) -> Vec<Forgery> {
    let app = App { package_name: Arc::from("com.example.other"), ..play.app().clone() };
    let body = envelope(&app, genuine, SUBSCRIPTION);
    vec![Forgery {
        name: "another package",
        headers: bearer(&play.google().push_token(now_ms)),
        body,
        answers: MISDIRECTED,
    }]
}

fn malformed(play: &Play, genuine: &Notification, now_ms: i64) -> Vec<Forgery> {
    let headers = bearer(&play.google().push_token(now_ms));
    let body = play.body(genuine);
    let message = |data: &str| {
        let message = json!({"data": data, "messageId": "1", "publishTime": "2026-01-01T00:00:00Z"});
        json!({"message": message, "subscription": SUBSCRIPTION}).to_string().into_bytes()
    };
    let forgery = |name, body: Vec<u8>| Forgery { name, headers: headers.clone(), body, answers: MALFORMED };
    let unreadable = |name, data: &str| Forgery { answers: UNREADABLE, ..forgery(name, message(data)) };
    let deep = ["[".repeat(DEPTH), "]".repeat(DEPTH)].concat();
    let mut not_text = body.clone();
    not_text[20] = 0xFF;
    // Google's own page shows this, a schema in place of an example.
    let schema = r#"{ "version": string, "packageName": string, "eventTimeMillis": long }"#;
    let nothing =
        json!({"version": "1.0", "packageName": &*play.app().package_name, "eventTimeMillis": "x"}).to_string();
    vec![
        forgery("truncated", body[..body.len() / 2].to_vec()),
        forgery("empty", Vec::new()),
        forgery("not UTF-8", not_text),
        forgery("deep nesting", format!("{{\"message\":{deep}}}").into_bytes()),
        unreadable("deep nesting inside", &STANDARD.encode(deep)),
        unreadable("not base64 inside", "%%%"),
        unreadable("a schema inside", &STANDARD.encode(schema)),
        unreadable("no time inside", &STANDARD.encode(nothing)),
        forgery("no message", json!({"subscription": SUBSCRIPTION}).to_string().into_bytes()),
        Forgery {
            name: "oversized",
            headers: headers.clone(),
            body: [b"{\"message\":\"", vec![b'A'; OVERSIZED].as_slice(), b"\"}"].concat(),
            answers: TOO_LARGE,
        },
    ]
}
