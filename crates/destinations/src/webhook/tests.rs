//! Settings, requests and the course of a delivery.

use super::*;
use crate::DEFINITIONS;
use sign::{Secret, SigningKey};

fn upstreams() -> Upstreams {
    Upstreams {
        discord_api: "https://discord.com/api/v10".into(),
        intercom_api: None,
        public_url: "https://hub.example".into(),
    }
}

fn raw(json: serde_json::Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(&json).unwrap()
}

#[test]
fn faulty_settings_are_refused_at_their_place() {
    let url = "https://receiver.example/hook";
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(&text.replace("URL", url)).unwrap();
    for (name, settings, pointer, detail) in [
        ("no url", json("{}"), "", "missing setting `url`"),
        ("no URL", json(r#"{"url":"receiver"}"#), "/url", "not a URL"),
        ("other scheme", json(r#"{"url":"file:///etc/passwd"}"#), "/url", "http"),
        ("user name", json(r#"{"url":"https://me:pw@receiver.example/"}"#), "/url", "user name"),
        ("fragment", json(r#"{"url":"https://receiver.example/#a"}"#), "/url", "fragment"),
        ("typo", json(r#"{"url":"URL","secert":"x"}"#), "/secert", "did you mean `secret`?"),
        ("unknown format", json(r#"{"url":"URL","format":"xml"}"#), "/format", "expected one of `paidup`"),
        ("bad secret", json(r#"{"url":"URL","secret":"hunter2"}"#), "/secret", "whsec_"),
        ("bad old secret", json(r#"{"url":"URL","previous_secrets":["hunter2"]}"#), "/previous_secrets/0", "whsec_"),
        ("hmac without use", json(r#"{"url":"URL","hmac_secret":"hunter2"}"#), "/hmac_secret", "not used by"),
        ("words without use", json(r#"{"url":"URL","reactivation_as":"renewal"}"#), "/reactivation_as", "`revenuecat`"),
        ("no signature", json(r#"{"url":"URL","signatures":[]}"#), "/signatures", "at least one"),
        ("odd signature", json(r#"{"url":"URL","signatures":["v2"]}"#), "/signatures/0", "expected"),
        ("bad key", json(r#"{"url":"URL","signatures":["v1a"],"signing_key":"hunter2"}"#), "/signing_key", "whsk_"),
        ("key without use", json(r#"{"url":"URL","signing_key":"hunter2"}"#), "/signing_key", "add `v1a`"),
        ("bad old key", json(r#"{"url":"URL","previous_secrets":["whsk_hunter2"]}"#), "/previous_secrets/0", "whsk_"),
        (
            "end of nothing",
            json(r#"{"url":"URL","previous_until":"2026-01-01T00:00:00Z"}"#),
            "/previous_until",
            "no `prev",
        ),
        ("odd version", json(r#"{"url":"URL","version":"hunter2"}"#), "/version", "known: 2026-"),
        ("version of others", json(r#"{"url":"URL","format":"revenuecat","version":"1"}"#), "/version", "only used by"),
        ("our version", json(r#"{"url":"URL","headers":{"Paidup-Version":"1"}}"#), "/headers/Paidup-Version", "set by"),
        ("host", json(r#"{"url":"URL","headers":{"HOST":"a"}}"#), "/headers/HOST", "set by the sender"),
        ("length", json(r#"{"url":"URL","headers":{"Content-Length":"1"}}"#), "/headers/Content-Length", "set by"),
        ("webhook-*", json(r#"{"url":"URL","headers":{"Webhook-Id":"1"}}"#), "/headers/Webhook-Id", "set by"),
        ("name", json(r#"{"url":"URL","headers":{"a b":"1"}}"#), "/headers/a b", "not a header name"),
        ("injection", json(r#"{"url":"URL","headers":{"a":"1\r\nb: 2"}}"#), "/headers/a", "not a header value"),
        ("twice", json(r#"{"url":"URL","headers":{"A":"1","a":"2"}}"#), "/headers/a", "given twice"),
        (
            "two authorizations",
            json(r#"{"url":"URL","authorization":"hunter2","headers":{"authorization":"hunter2"}}"#),
            "/authorization",
            "keep one",
        ),
    ] {
        let error = prepare(&raw(settings), &[7; 32]).err().unwrap_or_else(|| panic!("{name}: taken"));
        assert_eq!(error.pointer, pointer, "{name}: {error}");
        assert!(error.detail.contains(detail), "{name}: {error}");
        assert!(!error.detail.contains("hunter2"), "{name}: {error}");
    }
    let long = serde_json::json!({"url": format!("https://a.example/{}", "x".repeat(MAX_URL))});
    assert_eq!(prepare(&raw(long), &[7; 32]).unwrap_err().pointer, "/url");
    let many: BTreeMap<String, String> = (0..=MAX_HEADERS).map(|n| (format!("h{n}"), String::new())).collect();
    assert_eq!(
        prepare(&raw(serde_json::json!({"url": url, "headers": many})), &[7; 32]).unwrap_err().pointer,
        "/headers"
    );
}

#[test]
fn a_secret_is_made_only_when_none_is_given() {
    let made = prepare(&raw(serde_json::json!({"url": "https://a.example/"})), &[7; 32]).unwrap();
    let made: Settings = serde_json::from_str(made.get()).unwrap();
    assert_eq!(made.secret.as_deref(), Some(Secret::make(&[7; 32]).as_str()));
    let given = serde_json::json!({"url": "https://a.example/", "secret": Secret::make(&[8; 32])});
    let kept = prepare(&raw(given.clone()), &[7; 32]).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(kept.get()).unwrap()["secret"], given["secret"]);
}

fn settings(raw: &RawValue) -> Settings {
    serde_json::from_str(raw.get()).unwrap()
}

#[test]
fn a_key_pair_is_made_and_its_public_half_is_shown() {
    let made =
        prepare(&raw(serde_json::json!({"url": "https://a.example/", "signatures": ["v1a"]})), &[7; 32]).unwrap();
    let made = settings(&made);
    let key = SigningKey::make(&[7; 32]);
    assert_eq!((made.secret.as_deref(), made.signing_key.as_deref()), (None, Some(key.as_str())));
    assert_eq!(made.public_key, Some(SigningKey::parse(&key).unwrap().public_key()));
    assert!(!DEFINITION.secrets.contains(&"public_key"));
}

#[test]
fn the_version_is_pinned_when_a_destination_is_made() {
    let made = prepare(&raw(serde_json::json!({"url": "https://a.example/"})), &[7; 32]).unwrap();
    assert_eq!(settings(&made).version.as_deref(), Some(schema::NEWEST));
    let theirs = serde_json::json!({"url": "https://a.example/", "format": "revenuecat"});
    assert_eq!(settings(&prepare(&raw(theirs), &[7; 32]).unwrap()).version, None);
}

/// After a rotation both sign until the overlap ends; a second rotation within it keeps the first one's secret too.
#[test]
fn secrets_overlap_while_they_rotate() {
    let hour = |hour: i64| Timestamp::from_millis_clamped(hour * 3_600_000);
    let old = serde_json::json!({"url": "https://a.example/", "signatures": ["v1", "v1a"]});
    let old = prepare(&raw(old), &[1; 32]).unwrap();
    let signatures = |raw: &RawValue, now: Timestamp| -> Vec<String> {
        let signed = Webhook::new(&settings(raw)).unwrap().signers.sign("evt_1", now, b"{}").unwrap();
        signed.split(' ').map(ToOwned::to_owned).collect()
    };
    let before = signatures(&old, hour(1));
    assert_eq!(before.len(), 2);
    let new = rotate(&old, &[2; 32], Rotation { now: hour(1), until: hour(25) }).unwrap();
    let during = signatures(&new, hour(1));
    assert_eq!(during.len(), 4);
    assert_eq!(during[2..], before);
    assert_eq!(settings(&new).previous_public_keys, [settings(&old).public_key.unwrap()]);
    assert_eq!(signatures(&new, hour(25)).len(), 2, "the overlap is over");
    let again = rotate(&new, &[3; 32], Rotation { now: hour(2), until: hour(26) }).unwrap();
    assert_eq!(signatures(&again, hour(2)).len(), 6);
    let later = rotate(&new, &[3; 32], Rotation { now: hour(30), until: hour(54) }).unwrap();
    assert_eq!(signatures(&later, hour(30)).len(), 4, "what had ended does not come back");
}

#[test]
fn the_named_address_is_told_to_the_hub() {
    let opened = open(&raw(serde_json::json!({"url": "http://127.0.0.1:9/x?y=1"})), &upstreams()).unwrap();
    assert_eq!(opened.addresses()[0].as_str(), "http://127.0.0.1:9/x?y=1");
}

#[test]
fn every_secret_named_in_a_definition_is_a_setting() {
    for definition in DEFINITIONS {
        let schema = (definition.settings_schema)().to_value();
        for secret in definition.secrets {
            assert!(schema["properties"].get(secret).is_some(), "{}: {secret}", definition.kind);
        }
        assert!(definition.setup.starts_with("# "), "{}", definition.kind);
    }
}

/// Three messages of one event, each with its own address so that the test sees which is sent.
fn three() -> VecDeque<(String, Request<Bytes>)> {
    ["a", "b", "c"]
        .iter()
        .map(|id| ((*id).to_owned(), Request::get(format!("/{id}")).body(Bytes::new()).unwrap()))
        .collect()
}

fn answer(status: u16) -> Answer {
    Answer::Response(http::Response::builder().status(status).body(Bytes::new()).unwrap())
}

/// Runs a conversation as the hub's loop does; answers come from `statuses`, one for each call.
fn run(mut posts: Posts, statuses: &[u16], memory: &mut Memory) -> (Vec<String>, Verdict) {
    let (mut calls, mut last) = (Vec::new(), None);
    for _ in 0..100 {
        match posts.next(last.as_ref()) {
            Step::Call { request, .. } => {
                last = Some(answer(statuses[calls.len()]));
                calls.push(request.uri().to_string());
            }
            Step::Remember(kept) => *memory = kept,
            Step::Learn(_) => {}
            Step::Join(_, _) => panic!("its budgets have one name each"),
            Step::Finish(verdict) => return (calls, verdict),
        }
    }
    panic!("the conversation does not end")
}

#[test]
fn what_arrived_is_not_sent_again() {
    let now = Timestamp::from_millis_clamped(0);
    let mut memory = Memory(BTreeMap::from([("other".to_owned(), "kept".to_owned())]));
    let (calls, verdict) = run(Posts::new(three(), memory.clone(), now, Format::Paidup), &[200, 500], &mut memory);
    assert_eq!(calls, ["/a", "/b"]);
    assert!(matches!(verdict, Verdict::Retry { .. }));
    let (calls, verdict) = run(Posts::new(three(), memory.clone(), now, Format::Paidup), &[204, 410], &mut memory);
    assert_eq!(calls, ["/b", "/c"]);
    assert!(matches!(verdict, Verdict::SwitchOff(_)));
    let (calls, verdict) = run(Posts::new(three(), memory.clone(), now, Format::Paidup), &[200], &mut memory);
    assert_eq!((calls, verdict), (vec!["/c".to_owned()], Verdict::Delivered));
    assert_eq!(memory.0.into_keys().collect::<Vec<_>>(), ["other"], "notes are forgotten at the end");
}

#[test]
fn a_single_message_needs_no_memory() {
    let now = Timestamp::from_millis_clamped(0);
    let mut memory = Memory(BTreeMap::from([("untouched".to_owned(), String::new())]));
    let mut one = three();
    one.truncate(1);
    let (calls, verdict) = run(Posts::new(one, Memory::default(), now, Format::Paidup), &[200], &mut memory);
    assert_eq!((calls.len(), verdict), (1, Verdict::Delivered));
    assert_eq!(memory.0.len(), 1, "nothing was remembered");
    let (calls, verdict) = run(Posts::new(VecDeque::new(), Memory::default(), now, Format::Paidup), &[], &mut memory);
    assert_eq!((calls.len(), verdict), (0, Verdict::Delivered));
}
