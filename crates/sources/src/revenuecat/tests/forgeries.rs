//! What is refused, and how.

use super::*;
use crate::RejectionKind::{self, Forged, Malformed, TooLarge, WrongAddress};
use ring::hmac;

const NOW: i64 = 1_767_225_610;

fn body() -> Vec<u8> {
    let path = golden::samples("revenuecat/samples").into_iter().find(|(name, _)| name == "initial_purchase").unwrap();
    std::fs::read(path.1).unwrap()
}

fn signature(secret: &str, seconds: i64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, &[format!("{seconds}.").as_bytes(), body].concat());
    format!("t={seconds},v1={}", hex::encode(tag))
}

fn now() -> Timestamp {
    Timestamp::from_millis(NOW * 1000).unwrap()
}

fn refusal(settings: &Value, headers: &[(&'static str, &str)], body: &[u8]) -> Option<(RejectionKind, &'static str)> {
    let source = open_with(settings).unwrap();
    verify_with(source.as_ref(), headers, body, now()).err().map(|error| (error.kind, error.reason))
}

#[test]
fn the_authorization_value_is_compared_whole() {
    let settings = json!({"authorization": AUTHORIZATION});
    for (name, headers, expected) in [
        ("right", vec![("authorization", AUTHORIZATION)], None),
        ("none", vec![], Some((Forged, "no_authorization"))),
        ("empty", vec![("authorization", "")], Some((Forged, "wrong_authorization"))),
        ("shorter", vec![("authorization", &AUTHORIZATION[..20])], Some((Forged, "wrong_authorization"))),
        ("other case", vec![("authorization", "bearer a-long-random-text")], Some((Forged, "wrong_authorization"))),
        ("without its scheme", vec![("authorization", "a-long-random-text")], Some((Forged, "wrong_authorization"))),
        ("twice", vec![("authorization", "x"), ("authorization", AUTHORIZATION)], Some((Forged, "several_headers"))),
        ("elsewhere", vec![("x-authorization", AUTHORIZATION)], Some((Forged, "no_authorization"))),
    ] {
        assert_eq!(refusal(&settings, &headers, &body()), expected, "{name}");
    }
}

#[test]
fn signatures_are_checked_over_the_raw_body_and_their_time() {
    let settings = json!({"hmac_secret": SECRET});
    let good = signature(SECRET, NOW, &body());
    let hex = good.rsplit_once('=').unwrap().1.to_owned();
    for (name, header, expected) in [
        ("right", good.clone(), None),
        ("another secret beside", format!("{good},v1={}", "0".repeat(64)), None),
        ("another secret first", format!("t={NOW},v1={},v1={hex}", "0".repeat(64)), None),
        ("four minutes ago", signature(SECRET, NOW - 240, &body()), None),
        ("four minutes ahead", signature(SECRET, NOW + 240, &body()), None),
        ("six minutes ago", signature(SECRET, NOW - 360, &body()), Some("stale_signature")),
        ("six minutes ahead", signature(SECRET, NOW + 360, &body()), Some("stale_signature")),
        ("another secret", signature("rcwh_other", NOW, &body()), Some("wrong_signature")),
        ("of another body", signature(SECRET, NOW, b"{}"), Some("wrong_signature")),
        ("time changed", good.replace(&format!("t={NOW}"), &format!("t={}", NOW + 1)), Some("wrong_signature")),
        ("no time", format!("v1={hex}"), Some("no_time")),
        ("two times", format!("t=1,{good}"), Some("several_times")),
        ("time is no number", format!("t=now,v1={hex}"), Some("wrong_signature")),
        ("no signature", format!("t={NOW}"), Some("wrong_signature")),
        ("cut", good[..good.len() - 2].to_owned(), Some("wrong_signature")),
        ("no hex", format!("t={NOW},v1=zz"), Some("wrong_signature")),
        ("another scheme", format!("t={NOW},v2={hex}"), Some("wrong_signature")),
        ("too many", format!("t={NOW}{},v1={hex}", ",v1=00".repeat(8)), Some("wrong_signature")),
        ("long", format!("{good}{}", ",v1=00".repeat(500)), Some("unreadable_signature")),
    ] {
        let expected = expected.map(|reason| (Forged, reason));
        assert_eq!(refusal(&settings, &[("x-revenuecat-webhook-signature", &header)], &body()), expected, "{name}");
    }
    assert_eq!(refusal(&settings, &[], &body()), Some((Forged, "no_signature")));
    let spaced = [body(), b"\n".to_vec()].concat();
    let refused = refusal(&settings, &[("x-revenuecat-webhook-signature", &good)], &spaced);
    assert_eq!(refused, Some((Forged, "wrong_signature")), "a byte more");
}

#[test]
fn where_both_are_set_both_are_demanded() {
    let settings = json!({"authorization": AUTHORIZATION, "hmac_secret": SECRET});
    let good = signature(SECRET, NOW, &body());
    let (key, sign) = (("authorization", AUTHORIZATION), ("x-revenuecat-webhook-signature", good.as_str()));
    assert_eq!(refusal(&settings, &[key, sign], &body()), None);
    assert_eq!(refusal(&settings, &[key], &body()), Some((Forged, "no_signature")));
    assert_eq!(refusal(&settings, &[sign], &body()), Some((Forged, "no_authorization")));
}

#[test]
fn bodies_that_are_no_events_are_refused_after_the_proof() {
    let settings = json!({"authorization": AUTHORIZATION});
    let late =
        json!({"event": {"type": "RENEWAL", "id": "e", "event_timestamp_ms": (NOW + 86_500) * 1000}}).to_string();
    let large = format!("{{\"event\": \"{}\"}}", "x".repeat(600_000));
    for (name, body, expected) in [
        ("nothing", "", (Malformed, "unreadable_body")),
        ("no JSON", "type=RENEWAL", (Malformed, "unreadable_body")),
        ("no event", "{}", (Malformed, "no_event")),
        ("an array", "[]", (Malformed, "no_event")),
        ("no type", r#"{"event": {"id": "e"}}"#, (Malformed, "no_event")),
        ("no id", r#"{"event": {"type": "RENEWAL"}}"#, (Malformed, "no_event")),
        ("a number as id", r#"{"event": {"type": "RENEWAL", "id": 7}}"#, (Malformed, "no_event")),
        ("of tomorrow", &late, (WrongAddress, "from_the_future")),
        ("too large", &large, (TooLarge, "body_too_large")),
    ] {
        assert_eq!(refusal(&settings, &[("authorization", AUTHORIZATION)], body.as_bytes()), Some(expected), "{name}");
        if expected.0 != TooLarge {
            let reason = refusal(&settings, &[], body.as_bytes()).map(|(_, reason)| reason);
            assert_eq!(reason, Some("no_authorization"), "{name}: the proof comes first");
        }
    }
}

/// Whatever stands in a field, the event is taken: facts that make no sense are left out.
#[test]
fn odd_values_are_absent_not_errors() {
    let source = open();
    let good: Value = serde_json::from_slice(&body()).unwrap();
    let names: Vec<String> = good["event"].as_object().unwrap().keys().cloned().collect();
    for name in names.iter().filter(|name| !matches!(name.as_str(), "id" | "type")) {
        for odd in
            [json!(null), json!(-1), json!(i64::MAX), json!("\0"), json!(""), json!([]), json!({"a": []}), json!(true)]
        {
            let mut event = good.clone();
            event["event"][name.as_str()] = odd.clone();
            let read = verify(source.as_ref(), event.to_string().as_bytes());
            assert!(read.is_ok(), "{name} = {odd}: {read:?}");
        }
    }
}
