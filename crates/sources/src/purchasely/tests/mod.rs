//! Samples with what is read of them, forgeries, lives, and the vendor's own samples where they are on this machine.

mod forgeries;
mod lives;
mod reference;

use super::DEFINITION;
use super::wire::Name;
use crate::{Keys, Notification, RawRequest, Rejection, Source, Verification, golden};
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::time::Timestamp;
use ring::hmac;
use serde_json::{Value, json, value::to_raw_value};
use std::collections::BTreeSet;

const SECRET: &str = "foobar";
/// Of a published vector.
const NOW: i64 = 1_698_322_022;

fn open_with(settings: &Value) -> Result<Box<dyn Source>, crate::SettingsError> {
    (DEFINITION.open)(SourceId([7; 16]), &to_raw_value(settings).unwrap(), &golden::upstreams())
}

fn open() -> Box<dyn Source> {
    open_with(&json!({"secret": SECRET})).unwrap()
}

fn sign(secret: &str, time: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hex::encode(hmac::sign(&key, &[time.as_bytes(), body].concat()))
}

fn verify_with(
    source: &dyn Source,
    headers: &[(&'static str, &str)],
    body: &[u8],
    now: i64,
) -> Result<Notification, Rejection> {
    let mut map = http::HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, value.parse().unwrap());
    }
    let raw = RawRequest { headers: map, body: body.to_vec().into() };
    match source.verify(&raw, &Keys::default(), Timestamp::from_millis(now * 1000).unwrap())? {
        Verification::Verified(mut verified) => Ok(verified.notifications.remove(0)),
        Verification::KeyNeeded(_) => panic!("Purchasely needs no keys from elsewhere"),
    }
}

/// Signed when all samples are of the past.
fn verify(source: &dyn Source, body: &[u8]) -> Result<Notification, Rejection> {
    const LATER: i64 = 1_790_000_000;
    let time = LATER.to_string();
    let signature = sign(SECRET, &time, body);
    let headers = [("x-purchasely-timestamp", time.as_str()), ("x-purchasely-request-signature", &signature)];
    verify_with(source, &headers, body, LATER)
}

/// All that was read of a notification.
fn shown(notification: &Notification) -> Value {
    let mut shown = golden::shown(std::slice::from_ref(notification));
    shown[0]["same"] = json!(notification.reading.same);
    shown
}

#[test]
fn samples_are_read_as_expected() {
    let source = open();
    let mut wrong = Vec::new();
    for (name, path) in golden::samples("purchasely/samples") {
        let body = std::fs::read(&path).unwrap();
        let notification = verify(source.as_ref(), &body).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let kept = source.read_kept(&notification.external_id, &notification.body).unwrap();
        assert_eq!(kept, notification.reading, "{name}: read again from what was kept");
        wrong.extend(golden::compare(&path, &shown(&notification)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_documented_event_has_a_sample() {
    let read = |path| serde_json::from_slice::<Value>(&std::fs::read(path).unwrap()).unwrap();
    let seen: BTreeSet<String> = golden::samples("purchasely/samples")
        .into_iter()
        .map(|(_, path)| read(path)["event_name"].as_str().unwrap().to_owned())
        .collect();
    for name in Name::ALL {
        assert!(seen.contains(name.as_str()), "no sample of {name}");
    }
}

#[test]
fn settings_that_do_not_fit_say_where() {
    for (settings, pointer) in [
        (json!({}), ""),
        (json!({"secret": ""}), "/secret"),
        (json!({"secret": " "}), "/secret"),
        (json!({"secret": "line\nbreak"}), "/secret"),
        (json!({"secret": "x".repeat(513)}), "/secret"),
        (json!({"secret": "x", "transactions": "no"}), "/transactions"),
        (json!({"secrte": "x"}), "/secrte"),
    ] {
        let error = open_with(&settings).err().map(|error| error.pointer);
        assert_eq!(error.as_deref(), Some(pointer), "{settings}");
    }
    assert!(open().price_follows(), "TRANSACTION_PROCESSED tells what was paid");
    assert!(!open_with(&json!({"secret": "x", "transactions": false})).unwrap().price_follows());
}
