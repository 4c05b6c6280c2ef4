//! Samples with what is read of them, forgeries, lives, and the vendor's own samples where they are on this machine.

mod forgeries;
mod lives;
mod reference;

use super::DEFINITION;
use super::wire::Type;
use crate::{Keys, Notification, RawRequest, Rejection, Source, Verification, golden};
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::time::Timestamp;
use serde_json::{Value, json, value::to_raw_value};
use std::collections::BTreeSet;

const AUTHORIZATION: &str = "Bearer a-long-random-text";
const SECRET: &str = "rcwh_secret";

fn open_with(settings: &Value) -> Result<Box<dyn Source>, crate::SettingsError> {
    (DEFINITION.open)(SourceId([7; 16]), &to_raw_value(settings).unwrap(), &golden::upstreams())
}

fn open() -> Box<dyn Source> {
    open_with(&json!({"authorization": AUTHORIZATION})).unwrap()
}

fn verify_with(
    source: &dyn Source,
    headers: &[(&'static str, &str)],
    body: &[u8],
    now: Timestamp,
) -> Result<Notification, Rejection> {
    let mut map = http::HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, value.parse().unwrap());
    }
    let raw = RawRequest { headers: map, body: body.to_vec().into() };
    match source.verify(&raw, &Keys::default(), now)? {
        Verification::Verified(mut verified) => Ok(verified.notifications.remove(0)),
        Verification::KeyNeeded(_) => panic!("RevenueCat needs no keys from elsewhere"),
    }
}

fn verify(source: &dyn Source, body: &[u8]) -> Result<Notification, Rejection> {
    verify_with(source, &[("authorization", AUTHORIZATION)], body, Timestamp::MAX)
}

/// All that was read of a notification.
fn shown(notification: &Notification) -> Value {
    let mut shown = golden::shown(std::slice::from_ref(notification));
    shown[0]["same"] = json!(notification.reading.same);
    let transfers = notification.reading.transfers.iter();
    shown[0]["transfers"] = transfers
        .map(|it| json!({"at": it.at, "environment": it.environment, "store": it.store, "from": it.from, "to": it.to}))
        .collect();
    shown
}

#[test]
fn samples_are_read_as_expected() {
    let source = open();
    let mut wrong = Vec::new();
    for (name, path) in golden::samples("revenuecat/samples") {
        let body = std::fs::read(&path).unwrap();
        let notification = verify(source.as_ref(), &body).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let kept = source.read_kept(&notification.external_id, &notification.body).unwrap();
        assert_eq!(kept, notification.reading, "{name}: read again from what was kept");
        wrong.extend(golden::compare(&path, &shown(&notification)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_documented_type_has_a_sample() {
    let read = |path| serde_json::from_slice::<Value>(&std::fs::read(path).unwrap()).unwrap();
    let seen: BTreeSet<String> = golden::samples("revenuecat/samples")
        .into_iter()
        .map(|(_, path)| read(path)["event"]["type"].as_str().unwrap().to_owned())
        .collect();
    for kind in Type::ALL {
        assert!(seen.contains(kind.as_str()), "no sample of {kind}");
    }
}

#[test]
fn settings_that_do_not_fit_say_where() {
    for (settings, pointer) in [
        (json!({}), ""),
        (json!({"authorization": ""}), "/authorization"),
        (json!({"authorization": " "}), "/authorization"),
        (json!({"authorization": "line\nbreak"}), "/authorization"),
        (json!({"hmac_secret": ""}), "/hmac_secret"),
        (json!({"authorization": "a", "hmac_secret": "x".repeat(513)}), "/hmac_secret"),
        (json!({"authorisation": "a"}), "/authorisation"),
    ] {
        let error = open_with(&settings).err().map(|error| error.pointer);
        assert_eq!(error.as_deref(), Some(pointer), "{settings}");
    }
    for settings in [json!({"authorization": "Basic x"}), json!({"hmac_secret": "s"})] {
        assert!(open_with(&settings).is_ok(), "{settings}");
    }
}
