//! Forged, stale and malformed signatures; nothing of an event is read before its signature is proven.

use super::{SECRET, open, sign, verify_with};
use crate::RejectionKind::{self, Forged, Malformed, WrongAddress};
use crate::{Keys, RawRequest};
use paidup_lifecycle::time::Timestamp;
use serde_json::json;

const AT: i64 = 1_767_225_600;

fn body() -> Vec<u8> {
    let event = json!({"id": "evt_1", "object": "event", "created": AT, "livemode": true, "type": "customer.deleted",
        "data": {"object": {"id": "cus_1", "object": "customer"}}});
    event.to_string().into_bytes()
}

#[test]
fn forged_stale_and_malformed_headers_are_refused_with_their_reason() {
    let source = open(json!({}));
    let body = body();
    let right = sign(SECRET, AT, &body);
    let wrong = sign("whsec_other", AT, &body);
    type Refusal = Option<(RejectionKind, &'static str)>;
    let table: Vec<(&str, String, i64, Refusal)> = vec![
        ("right", format!("t={AT},v1={right}"), AT, None),
        ("with v0 and what is to come", format!("t={AT},v0=x,v1={right},v9=y"), AT, None),
        ("a wrong one first", format!("t={AT},v1={wrong},v1={right}"), AT, None),
        ("garbage first", format!("t={AT},v1=zz,v1={right}"), AT, None),
        ("spaces", format!("t={AT}, v1={right}"), AT, None),
        ("300 s old", format!("t={AT},v1={right}"), AT + 300, None),
        ("300 s ahead", format!("t={AT},v1={right}"), AT - 300, None),
        ("301 s old", format!("t={AT},v1={right}"), AT + 301, Some((Forged, "stale_signature"))),
        ("301 s ahead", format!("t={AT},v1={right}"), AT - 301, Some((Forged, "stale_signature"))),
        ("another secret", format!("t={AT},v1={wrong}"), AT, Some((Forged, "wrong_signature"))),
        ("another time", format!("t={},v1={right}", AT + 1), AT, Some((Forged, "wrong_signature"))),
        ("cut short", format!("t={AT},v1={}", &right[..62]), AT, Some((Forged, "wrong_signature"))),
        ("no hex", format!("t={AT},v1={}", "g".repeat(64)), AT, Some((Forged, "wrong_signature"))),
        ("v0 only", format!("t={AT},v0={right}"), AT, Some((Forged, "no_v1"))),
        ("no time", format!("v1={right}"), AT, Some((Malformed, "no_time"))),
        ("empty time", format!("t=,v1={right}"), AT, Some((Malformed, "unreadable_time"))),
        ("time is text", format!("t=now,v1={right}"), AT, Some((Malformed, "unreadable_time"))),
        ("time is negative", format!("t=-{AT},v1={right}"), AT, Some((Malformed, "unreadable_time"))),
        ("time is huge", format!("t=99999999999999999999,v1={right}"), AT, Some((Malformed, "unreadable_time"))),
        ("two times", format!("t={AT},t={AT},v1={right}"), AT, Some((Malformed, "several_times"))),
        ("empty v1", format!("t={AT},v1="), AT, Some((Malformed, "empty_signature"))),
        ("no pairs", "t".to_owned(), AT, Some((Malformed, "unreadable_signature"))),
        ("commas", ",,".to_owned(), AT, Some((Malformed, "unreadable_signature"))),
        ("seventeen", format!("t={AT}{}", ",v1=aa".repeat(17)), AT, Some((Malformed, "many_signatures"))),
        ("long", format!("t={AT},v9={},v1={right}", "x".repeat(5000)), AT, Some((Malformed, "long_signature"))),
    ];
    for (name, header, now, expected) in table {
        let refused = verify_with(source.as_ref(), &header, &body, now).err();
        assert_eq!(refused.map(|refused| (refused.kind, refused.reason)), expected, "{name}");
    }
}

#[test]
fn any_of_several_secrets_will_do() {
    let source = open(json!({"signing_secret": ["whsec_old", "whsec_new"]}));
    let body = body();
    for (secret, is_known) in [("whsec_old", true), ("whsec_new", true), ("whsec_third", false)] {
        let header = format!("t={AT},v1={}", sign(secret, AT, &body));
        assert_eq!(verify_with(source.as_ref(), &header, &body, AT).is_ok(), is_known, "{secret}");
    }
}

#[test]
fn the_header_must_be_there_once() {
    let source = open(json!({}));
    let now = Timestamp::from_millis(AT * 1000).unwrap();
    let mut headers = http::HeaderMap::new();
    let refused = |headers: &http::HeaderMap| {
        let raw = RawRequest { headers: headers.clone(), body: body().into() };
        source.verify(&raw, &Keys::default(), now).err().map(|refused| (refused.kind, refused.reason))
    };
    assert_eq!(refused(&headers), Some((Forged, "no_signature")));
    let header: http::HeaderValue = format!("t={AT},v1={}", sign(SECRET, AT, &body())).parse().unwrap();
    headers.append("stripe-signature", header.clone());
    assert_eq!(refused(&headers), None);
    headers.append("stripe-signature", header);
    assert_eq!(refused(&headers), Some((Malformed, "several_signatures")));
}

#[test]
fn the_bytes_are_proven_before_they_are_read() {
    let source = open(json!({}));
    for (name, body, expected) in [
        ("no JSON", &b"{"[..], (Malformed, "unreadable_body")),
        ("not UTF-8", b"{\"id\":\"\xff\"}", (Malformed, "unreadable_body")),
        ("no event", b"{}", (Malformed, "no_event")),
        ("a list", b"[]", (Malformed, "no_event")),
        ("no object", br#"{"id":"evt_1","object":"event","type":"x","created":1}"#, (Malformed, "no_event")),
        (
            "of the far future",
            br#"{"id":"evt_1","object":"event","type":"x","created":99999999999,"livemode":true,"data":{"object":{}}}"#,
            (WrongAddress, "from_the_future"),
        ),
    ] {
        let signed = format!("t={AT},v1={}", sign(SECRET, AT, body));
        let refused = verify_with(source.as_ref(), &signed, body, AT).unwrap_err();
        assert_eq!((refused.kind, refused.reason), expected, "{name}");
        let forged = format!("t={AT},v1={}", sign("whsec_other", AT, body));
        let refused = verify_with(source.as_ref(), &forged, body, AT).unwrap_err();
        assert_eq!((refused.kind, refused.reason), (Forged, "wrong_signature"), "{name}");
    }
    let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    let signed = format!("t={AT},v1={}", sign(SECRET, AT, &deep));
    assert_eq!(verify_with(source.as_ref(), &signed, &deep, AT).unwrap_err().reason, "unreadable_body");
}
