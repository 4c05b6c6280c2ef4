//! Settings, requests and the course of a delivery.

use super::*;
use crate::DEFINITIONS;

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
            Step::Finish(verdict) => return (calls, verdict),
        }
    }
    panic!("the conversation does not end")
}

#[test]
fn what_arrived_is_not_sent_again() {
    let now = Timestamp::from_millis_clamped(0);
    let mut memory = Memory(BTreeMap::from([("other".to_owned(), "kept".to_owned())]));
    let (calls, verdict) = run(Posts::new(three(), memory.clone(), now), &[200, 500], &mut memory);
    assert_eq!(calls, ["/a", "/b"]);
    assert!(matches!(verdict, Verdict::Retry { .. }));
    let (calls, verdict) = run(Posts::new(three(), memory.clone(), now), &[204, 410], &mut memory);
    assert_eq!(calls, ["/b", "/c"]);
    assert!(matches!(verdict, Verdict::SwitchOff(_)));
    let (calls, verdict) = run(Posts::new(three(), memory.clone(), now), &[200], &mut memory);
    assert_eq!((calls, verdict), (vec!["/c".to_owned()], Verdict::Delivered));
    assert_eq!(memory.0.into_keys().collect::<Vec<_>>(), ["other"], "notes are forgotten at the end");
}

#[test]
fn a_single_message_needs_no_memory() {
    let now = Timestamp::from_millis_clamped(0);
    let mut memory = Memory(BTreeMap::from([("untouched".to_owned(), String::new())]));
    let mut one = three();
    one.truncate(1);
    let (calls, verdict) = run(Posts::new(one, Memory::default(), now), &[200], &mut memory);
    assert_eq!((calls.len(), verdict), (1, Verdict::Delivered));
    assert_eq!(memory.0.len(), 1, "nothing was remembered");
    let (calls, verdict) = run(Posts::new(VecDeque::new(), Memory::default(), now), &[], &mut memory);
    assert_eq!((calls.len(), verdict), (0, Verdict::Delivered));
}
