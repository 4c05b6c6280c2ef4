//! What is refused, and how.

use super::*;
use crate::RejectionKind::{self, Forged, Malformed, TooLarge, WrongAddress};

const VECTOR: &str = "f3c2a452e9ea72f41107321aeaf7999f1054148866a710c9b23f9f501785e2a4";
const BODY: &[u8] = br#"{"a_random_key":"a_random_value_ad"}"#;
const TIME: &str = "1698322022";

fn refusal(headers: &[(&'static str, &str)], body: &[u8], now: i64) -> Option<(RejectionKind, &'static str)> {
    verify_with(open().as_ref(), headers, body, now).err().map(|error| (error.kind, error.reason))
}

/// The published vector is proven; that its body is no event is found after that.
#[test]
fn the_published_vector_is_proven() {
    let headers = [("x-purchasely-timestamp", TIME), ("x-purchasely-request-signature", VECTOR)];
    assert_eq!(refusal(&headers, BODY, NOW), Some((Malformed, "no_event")));
    assert_eq!(refusal(&headers, &BODY[1..], NOW), Some((Forged, "wrong_signature")));
}

#[test]
fn proofs_that_do_not_hold_are_refused() {
    let body = br#"{"event_name": "ACTIVATE"}"#;
    let good = sign(SECRET, TIME, body);
    let other_secret = sign("foobaz", TIME, body);
    let dotted = sign(SECRET, &format!("{TIME}."), body);
    let (time, signature) = ("x-purchasely-timestamp", "x-purchasely-request-signature");
    for (name, headers, expected) in [
        ("right", vec![(time, TIME), (signature, good.as_str())], None),
        ("nothing", vec![], Some("no_signature")),
        ("no time", vec![(signature, good.as_str())], Some("no_signature")),
        ("no signature", vec![(time, TIME)], Some("no_signature")),
        ("the deprecated one", vec![(time, TIME), ("x-purchasely-signature", good.as_str())], Some("no_signature")),
        ("another secret", vec![(time, TIME), (signature, other_secret.as_str())], Some("wrong_signature")),
        ("with a separator", vec![(time, TIME), (signature, dotted.as_str())], Some("wrong_signature")),
        ("another time", vec![(time, "1698322023"), (signature, good.as_str())], Some("wrong_signature")),
        ("cut", vec![(time, TIME), (signature, &good[..62])], Some("wrong_signature")),
        ("empty", vec![(time, TIME), (signature, "")], Some("wrong_signature")),
        ("twice", vec![(time, TIME), (signature, "00"), (signature, good.as_str())], Some("unreadable_signature")),
    ] {
        assert_eq!(refusal(&headers, body, NOW), expected.map(|reason| (Forged, reason)), "{name}");
    }
    for (name, odd) in [("no number", "now"), ("signed", "-1698322022"), ("a fraction", "1698322022.5"), ("empty", "")]
    {
        let odd_signature = sign(SECRET, odd, body);
        let refused = refusal(&[(time, odd), (signature, &odd_signature)], body, NOW);
        assert_eq!(refused, Some((Forged, "unreadable_time")), "{name}");
    }
}

/// Retries go on for twenty days, and nobody says that they are signed anew.
#[test]
fn only_what_is_older_than_every_retry_is_stale() {
    let body = br#"{"event_name": "ACTIVATE"}"#;
    let signature = sign(SECRET, TIME, body);
    let headers = [("x-purchasely-timestamp", TIME), ("x-purchasely-request-signature", signature.as_str())];
    const DAY: i64 = 86_400;
    for (name, now, is_stale) in [
        ("at once", NOW, false),
        ("our clock is slow", NOW - 299, false),
        ("of the future", NOW - 301, true),
        ("the last retry", NOW + 20 * DAY + 11 * 3600, false),
        ("a copy", NOW + 21 * DAY + 1, true),
    ] {
        let refused = refusal(&headers, body, now);
        assert_eq!(refused, is_stale.then_some((Forged, "stale_signature")), "{name}");
    }
}

#[test]
fn bodies_that_are_no_events_are_refused_after_the_proof() {
    let late = json!({"event_name": "ACTIVATE", "event_created_at_ms": (NOW + 86_500) * 1000}).to_string();
    let large = " ".repeat(300_000);
    for (name, body, expected) in [
        ("nothing", "", (Malformed, "unreadable_body")),
        ("no JSON", "ACTIVATE", (Malformed, "unreadable_body")),
        ("no event", "{}", (Malformed, "no_event")),
        ("an array", "[]", (Malformed, "no_event")),
        ("of tomorrow", &late, (WrongAddress, "from_the_future")),
        ("too large", &large, (TooLarge, "body_too_large")),
    ] {
        let signature = sign(SECRET, TIME, body.as_bytes());
        let headers = [("x-purchasely-timestamp", TIME), ("x-purchasely-request-signature", signature.as_str())];
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

/// Whatever stands in a field, the event is taken: facts that make no sense are left out.
#[test]
fn odd_values_are_absent_not_errors() {
    let source = open();
    let (_, path) = golden::samples("purchasely/samples").into_iter().find(|(name, _)| name == "activate").unwrap();
    let good: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let names: Vec<String> = good.as_object().unwrap().keys().cloned().collect();
    for name in names.iter().filter(|name| *name != "event_name") {
        for odd in
            [json!(null), json!(-1), json!(i64::MIN), json!("\0"), json!(""), json!([]), json!({"a": 1}), json!(true)]
        {
            let mut event = good.clone();
            event[name.as_str()] = odd.clone();
            let read = verify(source.as_ref(), event.to_string().as_bytes());
            assert!(read.is_ok(), "{name} = {odd}: {read:?}");
        }
    }
}
