//! What is refused, and how; and the PING that is not.

use super::*;
use crate::RejectionKind::{self, Forged, Malformed, TooLarge, WrongAddress};

const NOW: i64 = 1_767_225_610;
const TIME: &str = "1767225610";
const SIGNATURE: &str = "x-signature-ed25519";
const AT: &str = "x-signature-timestamp";

fn refusal(headers: &[(&'static str, &str)], body: &[u8], now: i64) -> Option<(RejectionKind, &'static str)> {
    verify_with(open(None).as_ref(), headers, body, now).err().map(|error| (error.kind, error.reason))
}

fn ping() -> Vec<u8> {
    json!({"version": 1, "application_id": APPLICATION, "type": 0}).to_string().into_bytes()
}

#[test]
fn proofs_that_do_not_hold_are_refused() {
    let body = ping();
    let good = sign(TIME, &body);
    let of_other_body = sign(TIME, b"{}");
    let other_key = Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap();
    let of_other_key = hex::encode(other_key.sign(&[TIME.as_bytes(), &body].concat()).as_ref());
    for (name, headers, expected) in [
        ("right", vec![(SIGNATURE, good.as_str()), (AT, TIME)], None),
        ("nothing", vec![], Some("no_signature")),
        ("no time", vec![(SIGNATURE, good.as_str())], Some("no_signature")),
        ("no signature", vec![(AT, TIME)], Some("no_signature")),
        ("empty", vec![(SIGNATURE, ""), (AT, TIME)], Some("wrong_signature")),
        ("no hex", vec![(SIGNATURE, "signature"), (AT, TIME)], Some("wrong_signature")),
        ("cut", vec![(SIGNATURE, &good[..126]), (AT, TIME)], Some("wrong_signature")),
        ("of another key", vec![(SIGNATURE, of_other_key.as_str()), (AT, TIME)], Some("wrong_signature")),
        ("of another body", vec![(SIGNATURE, of_other_body.as_str()), (AT, TIME)], Some("wrong_signature")),
        ("of another time", vec![(SIGNATURE, good.as_str()), (AT, "1767225611")], Some("wrong_signature")),
        ("twice", vec![(SIGNATURE, "00"), (SIGNATURE, good.as_str()), (AT, TIME)], Some("unreadable_signature")),
    ] {
        assert_eq!(refusal(&headers, &body, NOW), expected.map(|reason| (Forged, reason)), "{name}");
    }
    let odd = sign("now", &body);
    assert_eq!(refusal(&[(SIGNATURE, &odd), (AT, "now")], &body, NOW), Some((Forged, "unreadable_time")));
    for (name, now, is_stale) in [
        ("the last retry", NOW + 600, false),
        ("a copy", NOW + 901, true),
        ("our clock is slow", NOW - 299, false),
        ("of the future", NOW - 301, true),
    ] {
        let refused = refusal(&[(SIGNATURE, &good), (AT, TIME)], &body, now);
        assert_eq!(refused, is_stale.then_some((Forged, "stale_signature")), "{name}");
    }
}

#[test]
fn a_ping_is_taken_and_says_nothing() {
    let body = ping();
    let good = sign(TIME, &body);
    let taken = verify_with(open(None).as_ref(), &[(SIGNATURE, &good), (AT, TIME)], &body, NOW).unwrap();
    assert!(taken.is_empty());
    assert_eq!(DEFINITION.success, 204);
}

#[test]
fn bodies_that_are_no_events_are_refused_after_the_proof() {
    let event = |application: &str, timestamp: &str| {
        json!({"version": 1, "application_id": application, "type": 1,
            "event": {"type": "ENTITLEMENT_CREATE", "timestamp": timestamp, "data": {}}})
        .to_string()
    };
    let elsewhere = event("1100000000000000002", "2026-01-01T00:00:00.000000");
    let late = event(APPLICATION, "2026-01-02T00:01:00.000000");
    let bare = json!({"application_id": APPLICATION, "type": 1}).to_string();
    let large = " ".repeat(300_000);
    for (name, body, expected) in [
        ("nothing", "", (Malformed, "unreadable_body")),
        ("no JSON", "PING", (Malformed, "unreadable_body")),
        ("no type", "{}", (Malformed, "no_event")),
        ("an interaction", r#"{"type": 2}"#, (Malformed, "no_event")),
        ("no event", &bare, (Malformed, "no_event")),
        ("another application", &elsewhere, (WrongAddress, "wrong_application")),
        ("no application", r#"{"type": 0}"#, (WrongAddress, "wrong_application")),
        ("of tomorrow", &late, (WrongAddress, "from_the_future")),
        ("too large", &large, (TooLarge, "body_too_large")),
    ] {
        let signature = sign(TIME, body.as_bytes());
        let headers = [(SIGNATURE, signature.as_str()), (AT, TIME)];
        assert_eq!(refusal(&headers, body.as_bytes(), NOW), Some(expected), "{name}");
        if expected.0 != TooLarge {
            assert_eq!(
                refusal(&[], body.as_bytes(), NOW),
                Some((Forged, "no_signature")),
                "{name}: the proof comes first"
            );
        }
    }
}
