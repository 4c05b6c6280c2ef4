//! Trying a destination out: a preview is what would be sent, a test says in words what came of it.

use crate::support::recorder::{Recorder, Said, Sent, said};
use crate::support::{TestHub, at, observation, start};
use paidup_simulator::edge::Clock;
use paidup_simulator::standins::intercom::{IntercomOptions, Workspace};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const FROM: &str = "2026-01-01T00:00:00Z";
const TO: &str = "2036-02-01T00:00:00Z";
const DISCORD_TOKEN: &str = "hunter2_hunter2_hunter2_hunter2_hunter2_hunter2_hunter2_hunter2_hunter2";
/// Headers that the connection adds.
const OF_THE_CONNECTION: [&str; 3] = ["accept", "content-length", "host"];
/// What a preview assumes of a contact that it does not know yet.
const ASSUMED_CONTACT: &str = "0123456789abcdef01234567";

#[derive(Deserialize)]
struct Preview {
    requests: Vec<Shown>,
    skipped: Option<String>,
}

/// A request as it is shown; the body as the very text of the answer.
#[derive(Deserialize)]
struct Shown {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Box<RawValue>,
}

/// Everything behind one address: a receiver, Discord, and an Intercom workspace.
async fn far_side(clock: &Clock) -> (Recorder, Workspace) {
    let workspace = Workspace::new(IntercomOptions { clock: clock.clone(), ..IntercomOptions::default() });
    let intercom = workspace.clone();
    let answer = move |sent: &Sent| match sent.uri().path() {
        "/hook" => said(200, &[], ""),
        path if path.starts_with("/api/v10/") => said(200, &[], r#"{"id": "1", "channel_id": "2"}"#),
        _ => intercom.answer(sent).response.expect("an answer"),
    };
    (Recorder::start(answer).await, workspace)
}

async fn hub(far: &Recorder) -> (TestHub, String) {
    let settings = [("PAIDUP_DISCORD_API_URL", far.url("/api/v10")), ("PAIDUP_INTERCOM_API_URL", far.url(""))];
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let hub = TestHub::start_with(FROM, &settings).await;
    let source = hub.source("generic", json!({})).await;
    hub.map("pro_monthly", &["pro"]).await;
    (hub, source)
}

/// Every kind and format.
fn kinds(far: &Recorder, token: &str) -> Vec<(&'static str, &'static str, Value)> {
    let hook = far.url("/hook?a=1&b=%20");
    let discord = far.url(&format!("/api/v10/webhooks/1234567890123456789/{DISCORD_TOKEN}"));
    vec![
        ("webhook", "paidup", json!({"url": hook, "signatures": ["v1", "v1a"], "headers": {"x-team": "hunter2-team"}})),
        (
            "webhook",
            "revenuecat",
            json!({"url": hook, "format": "revenuecat", "authorization": "Bearer hunter2", "hmac_secret": "hunter2"}),
        ),
        ("webhook", "purchasely", json!({"url": hook, "format": "purchasely", "hmac_secret": "hunter2"})),
        ("discord_webhook", "default", json!({"url": discord})),
        (
            "discord_webhook",
            "revenuecat_embed",
            json!({"url": discord, "style": "revenuecat_embed", "thread_id": "42"}),
        ),
        ("discord_webhook", "text", json!({"url": discord, "style": "text"})),
        ("intercom", "intercom", json!({"access_token": token})),
    ]
}

/// A shown request and what came: the same, but for credentials, and for what the connection adds.
fn compare(name: &str, shown: &Shown, sent: &Sent, far: &Recorder, contact: &str) {
    assert_eq!(shown.method, sent.method().as_str(), "{name}");
    let came = far.url(&sent.uri().to_string()).replace(DISCORD_TOKEN, "***");
    assert_eq!(shown.url.replace(ASSUMED_CONTACT, contact), came, "{name}");
    for (header, value) in &shown.headers {
        let came = sent.headers()[header.as_str()].to_str().expect("text");
        if value.contains("***") {
            assert!(!came.is_empty() && !came.contains("***"), "{name}: {header} is a credential");
        } else {
            assert_eq!(value, came, "{name}: {header}");
        }
    }
    let told = |header: &str| shown.headers.iter().any(|(shown, _)| shown == header);
    for header in sent.headers().keys().map(http::HeaderName::as_str) {
        assert!(told(header) || OF_THE_CONNECTION.contains(&header), "{name}: {header} was not shown");
    }
    let body = std::str::from_utf8(sent.body()).expect("text");
    let shown = if shown.body.get() == "\"\"" { "" } else { shown.body.get() };
    assert_eq!(shown, body, "{name}: byte for byte");
}

/// What happens, two of three times to a purchase that is known already.
fn happenings() -> Vec<Value> {
    vec![
        start("n1", "user \"1\" ü", "sub-1", FROM, TO),
        observation("n2", "2026-01-02T00:00:00Z", "renewal_disabled", "sub-1", json!({"will_renew": false})),
        observation("n3", "2026-01-03T00:00:00Z", "renewal_enabled", "sub-1", json!({"will_renew": true})),
        observation(
            "n4",
            "2026-01-04T00:00:00Z",
            "grace_started",
            "sub-1",
            json!({"grace_ends_at": "2026-01-20T00:00:00Z"}),
        ),
    ]
}

/// Nothing moves between the preview and the sending, so the times that are shown are those that are sent.
#[tokio::test]
async fn a_preview_is_what_is_sent_byte_by_byte() {
    let clock = Clock::manual(at(FROM).as_millis());
    let (far, workspace) = far_side(&clock).await;
    for (kind, format, config) in kinds(&far, workspace.token()) {
        let (hub, source) = hub(&far).await;
        let body = json!({"type": kind, "name": format, "config": config});
        let made = hub.api("POST", "/v1/destinations", body).await.expect(201);
        let path = format!("/v1/destinations/{}", made["id"].as_str().expect("an id"));
        if kind == "intercom" {
            prepare(&workspace);
        }
        let mut compared = 0;
        for happening in happenings() {
            hub.clock.set(at(happening["observed_at"].as_str().expect("a time")));
            hub.api("POST", &format!("{path}/pause"), json!({})).await.expect(200);
            let known = hub.events().await.len();
            hub.observe(&source, happening).await;
            let mut new = hub.events().await;
            new.truncate(new.len() - known);
            new.reverse();
            let mut shown = Vec::new();
            for event in &new {
                let asked = json!({"event_id": event["id"]});
                let answer = hub.bytes("POST", &format!("{path}/preview"), asked).await;
                let preview: Preview = serde_json::from_slice(&answer).expect("a preview");
                let text = String::from_utf8_lossy(&answer).into_owned();
                assert!(!text.contains("hunter2") && !text.contains(workspace.token()), "{format}: {text}");
                assert_eq!(preview.requests.is_empty(), preview.skipped.is_some(), "{format}: {text}");
                shown.extend(preview.requests);
            }
            let before = far.sent().len();
            hub.api("POST", &format!("{path}/resume"), json!({})).await.expect(200);
            let sent = hub
                .until("what was shown", async |_| {
                    let sent = far.sent().split_off(before);
                    (sent.len() >= shown.len()).then_some(sent)
                })
                .await;
            assert_eq!(sent.len(), shown.len(), "{format}");
            let contact = workspace.contacts().first().map(|contact| contact.id.clone()).unwrap_or_default();
            for (shown, sent) in shown.iter().zip(&sent) {
                compare(&format!("{kind}/{format}"), shown, sent, &far, &contact);
            }
            compared += sent.len();
            settled(&hub, &path).await;
        }
        assert!(compared >= 3, "{kind}/{format}: {compared}");
        hub.stop().await;
    }
}

/// Somebody is in the workspace, with the attributes that every hub makes.
fn prepare(workspace: &Workspace) {
    let call = |path: &str, body: Value| {
        let request = http::Request::post(path)
            .header("authorization", format!("Bearer {}", workspace.token()))
            .header("accept", "application/json")
            .header("content-type", "application/json")
            .header("intercom-version", "2.14")
            .body(body.to_string().into());
        let answer = workspace.answer(&request.expect("a request")).response.expect("an answer");
        assert_eq!(answer.status(), 200, "{:?}", answer.body());
    };
    let kinds = [("expires_at", "date")].into_iter().chain(
        ["latest_store", "latest_entitlement", "subscription_status", "paidup_customer_url"]
            .map(|name| (name, "string")),
    );
    for (name, data_type) in kinds {
        call("/data_attributes", json!({"name": name, "model": "contact", "data_type": data_type}));
    }
    call("/contacts", json!({"role": "user", "external_id": "user \"1\" ü"}));
}

/// Waits until nothing is left to be told.
async fn settled(hub: &TestHub, path: &str) {
    hub.until("the settlement", async |hub| {
        hub.clock.advance(Duration::from_millis(100));
        (hub.get(path).await["behind"] == 0).then_some(())
    })
    .await;
}

/// A sample of any type, also of a destination that is held; it leaves no trace.
#[tokio::test]
async fn a_sample_of_every_type_is_sent_on_request() {
    let (far, workspace) = far_side(&Clock::manual(at(FROM).as_millis())).await;
    let (hub, _) = hub(&far).await;
    for (kind, format, config) in kinds(&far, workspace.token()) {
        let body = json!({"type": kind, "name": format, "config": config});
        let made = hub.api("POST", "/v1/destinations", body).await.expect(201);
        let path = format!("/v1/destinations/{}", made["id"].as_str().expect("an id"));
        hub.api("POST", &format!("{path}/pause"), json!({})).await.expect(200);
        let before = far.sent().len();
        if kind == "intercom" {
            let refused = hub.api("POST", &format!("{path}/test"), json!({"type": "TEST"})).await.expect(422);
            assert_eq!(refused["errors"][0]["pointer"], "/type", "{refused}");
            continue;
        }
        for event_type in paidup_lifecycle::event::EventType::ALL {
            // Samples count against the vendor's limits too.
            hub.clock.advance(Duration::from_secs(10));
            let came = hub.api("POST", &format!("{path}/test"), json!({"type": event_type})).await.expect(200);
            let words = came["explanation"].as_str().unwrap_or_default();
            let silent = format == "paidup" || !words.starts_with("nothing was sent: ");
            assert_eq!(came["delivered"] == true, silent, "{format} {event_type}: {came}");
        }
        assert!(far.sent().len() > before + 10, "{format}");
        let odd = hub.api("POST", &format!("{path}/test"), json!({"type": "RENEWAL"})).await.expect(422);
        assert_eq!(odd["errors"][0]["pointer"], "/type");
    }
    assert!(hub.events().await.is_empty(), "nothing is written");
    assert_eq!(hub.get("/v1/deliveries").await["data"], json!([]));
    hub.stop().await;
}

/// A far side that answers what a test puts there.
async fn scripted() -> (Recorder, Arc<Mutex<Said>>) {
    let next = Arc::new(Mutex::new(said(200, &[], "")));
    let answer = Arc::clone(&next);
    let far = Recorder::start(move |_| answer.lock().expect("an answer").clone()).await;
    (far, next)
}

/// Kind, answer (status, headers, body), whether it was taken, and what the words must say.
type Case = (&'static str, u16, &'static [(&'static str, &'static str)], &'static str, bool, &'static [&'static str]);

const LOGIN: &str = "<!DOCTYPE html><html><head><title>Sign in - hunter2-key</title></head><body>...</body></html>";

const CASES: &[Case] = &[
    ("webhook", 204, &[], "", true, &["the destination took the test event"]),
    (
        "webhook",
        200,
        &[("content-type", "text/html; charset=utf-8")],
        LOGIN,
        true,
        &["a page for people (HTML)", "login"],
    ),
    (
        "webhook",
        301,
        &[("location", "https://new.example/hook?key=hunter2-key")],
        "",
        false,
        &["301 Moved Permanently to https://new.example/hook: redirects are not followed; set `url`"],
    ),
    ("webhook", 400, &[], "bad hunter2-key", false, &["would be tried again", "400 Bad Request", "answer: bad ***"]),
    ("webhook", 401, &[], "", false, &["401", "check `headers`, `authorization` and the secret"]),
    ("webhook", 403, &[], "", false, &["403", "check `headers`, `authorization` and the secret"]),
    (
        "webhook",
        404,
        &[],
        LOGIN,
        false,
        &["404", "check the path of `url`", "a page for people (HTML), \"Sign in - ***\""],
    ),
    ("webhook", 410, &[], "", false, &["would be switched off", "it wants no more deliveries"]),
    ("webhook", 413, &[], "", false, &["256 KiB"]),
    ("webhook", 429, &[("retry-after", "30")], "", false, &["would be tried again", "429 Too Many Requests"]),
    ("webhook", 500, &[], "Traceback (most recent call last)", false, &["500 Internal Server Error", "Traceback"]),
    ("discord_webhook", 200, &[], r#"{"id": "1", "channel_id": "2"}"#, true, &["took the test event"]),
    ("discord_webhook", 200, &[], LOGIN, false, &["the answer is not Discord's", "a page for people (HTML)"]),
    (
        "discord_webhook",
        401,
        &[],
        r#"{"code": 50027, "message": "Invalid Webhook Token"}"#,
        false,
        &["would be switched off", "(50027)", "copy `url` from Discord again"],
    ),
    (
        "discord_webhook",
        404,
        &[],
        r#"{"code": 10015, "message": "Unknown Webhook"}"#,
        false,
        &["would be switched off", "was deleted; make a new one and set `url`"],
    ),
    (
        "discord_webhook",
        400,
        &[],
        r#"{"code": 220001, "message": "Webhooks posted to forum channels must have a thread_name or thread_id"}"#,
        false,
        &["would be switched off", "set `thread_id`"],
    ),
    (
        "discord_webhook",
        400,
        &[],
        r#"{"code": 50035, "message": "Invalid Form Body", "errors": {"username": {"_errors": [{"code": "USERNAME_INVALID"}]}}}"#,
        false,
        &["the test event was refused", "username USERNAME_INVALID"],
    ),
    (
        "discord_webhook",
        429,
        &[("retry-after", "2"), ("x-ratelimit-scope", "user")],
        r#"{"message": "limited", "retry_after": 1.5}"#,
        false,
        &["rate limit; goes on by itself"],
    ),
    ("discord_webhook", 500, &[], "", false, &["500", "without Discord's error body"]),
    ("intercom", 200, &[], LOGIN, false, &["the answer is not Intercom's: something stands in between"]),
    (
        "intercom",
        302,
        &[("location", "https://app.intercom.com/login")],
        "",
        false,
        &["redirects are not followed; check `region`"],
    ),
    (
        "intercom",
        401,
        &[],
        r#"{"type": "error.list", "errors": [{"code": "unauthorized", "message": "Access Token Invalid"}]}"#,
        false,
        &["Access Token Invalid", "set a new `access_token`"],
    ),
    (
        "intercom",
        403,
        &[],
        r#"{"type": "error.list", "errors": [{"code": "api_plan_restricted", "message": "no"}]}"#,
        false,
        &["permission"],
    ),
    (
        "intercom",
        429,
        &[],
        r#"{"type": "error.list", "errors": [{"code": "rate_limit_exceeded", "message": "x"}]}"#,
        false,
        &["rate limited by Intercom; goes on by itself"],
    ),
    ("intercom", 503, &[], "<html>", false, &["503", "without Intercom's error body"]),
];

#[tokio::test]
async fn a_test_says_in_words_what_the_answer_means() {
    let (far, next) = scripted().await;
    let (hub, _) = hub(&far).await;
    for (kind, status, headers, answer, delivered, expected) in CASES {
        *next.lock().expect("an answer") = said(*status, headers, *answer);
        let config = match *kind {
            "webhook" => json!({"url": far.url("/hook"), "headers": {"x-key": "hunter2-key"}}),
            "discord_webhook" => {
                json!({"url": far.url(&format!("/api/v10/webhooks/1234567890123456789/{DISCORD_TOKEN}"))})
            }
            _ => json!({"access_token": "hunter2-token-hunter2"}),
        };
        let made =
            hub.api("POST", "/v1/destinations", json!({"type": kind, "name": "x", "config": config})).await.expect(201);
        let path = format!("/v1/destinations/{}", made["id"].as_str().expect("an id"));
        let came = hub.api("POST", &format!("{path}/test"), json!({})).await.expect(200);
        let words = came["explanation"].as_str().unwrap_or_default();
        assert_eq!(
            (came["delivered"] == true, &came["status"]),
            (*delivered, &json!(status)),
            "{kind} {status}: {came}"
        );
        for part in *expected {
            assert!(words.contains(part), "{kind} {status}: no {part:?} in {words:?}");
        }
        assert!(!came.to_string().contains("hunter2"), "{kind} {status}: {came}");
        hub.api("DELETE", &path, Value::Null).await;
        // A learned budget must not hold the next one.
        hub.clock.advance(Duration::from_secs(4_000));
    }
    hub.stop().await;
}

#[tokio::test]
async fn a_test_says_what_to_do_where_no_answer_comes() {
    let closed = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        listener.local_addr().expect("an address")
    };
    let (far, next) = scripted().await;
    *next.lock().expect("an answer") = said(200, &[], "");
    let (hub, _) = hub(&far).await;
    let https = far.url("/hook").replace("http://", "https://");
    for (name, url, expected) in [
        ("nobody listens", format!("http://{closed}/hook"), "could not connect. Nothing listens at that host and port"),
        ("no TLS there", https, "TLS failed: the certificate or protocol was refused. The certificate must"),
    ] {
        let made = hub
            .api("POST", "/v1/destinations", json!({"type": "webhook", "name": name, "config": {"url": url}}))
            .await
            .expect(201);
        let path = format!("/v1/destinations/{}/test", made["id"].as_str().expect("an id"));
        let came = hub.api("POST", &path, json!({})).await.expect(200);
        assert_eq!((&came["delivered"], &came["status"]), (&json!(false), &Value::Null), "{name}: {came}");
        assert!(came["explanation"].as_str().unwrap_or_default().contains(expected), "{name}: {came}");
    }
    hub.stop().await;
}

/// A vendor has said to wait for an hour: the person is told so, and does not wait for it.
#[tokio::test]
async fn a_test_that_a_rate_limit_holds_back_says_so() {
    let (far, next) = scripted().await;
    *next.lock().expect("an answer") = said(429, &[("retry-after", "3600"), ("x-ratelimit-scope", "user")], "{}");
    let (hub, _) = hub(&far).await;
    let config = json!({"url": far.url(&format!("/api/v10/webhooks/1234567890123456789/{DISCORD_TOKEN}"))});
    let body = json!({"type": "discord_webhook", "name": "x", "config": config});
    let made = hub.api("POST", "/v1/destinations", body).await.expect(201);
    let path = format!("/v1/destinations/{}/test", made["id"].as_str().expect("an id"));
    hub.api("POST", &path, json!({})).await.expect(200);
    let came = {
        let mut again = std::pin::pin!(hub.api("POST", &path, json!({})));
        loop {
            tokio::select! {
                came = &mut again => break came.expect(200),
                () = tokio::time::sleep(Duration::from_millis(5)) => hub.clock.advance(Duration::from_secs(1)),
            }
        }
    };
    assert_eq!((&came["delivered"], far.sent().len()), (&json!(false), 1), "{came}");
    assert!(came["explanation"].as_str().unwrap_or_default().contains("a rate limit holds all calls"), "{came}");
    hub.stop().await;
}

/// What a receiver may answer, and headers of one's own: through the program.
#[tokio::test]
async fn redirects_are_named_and_not_followed() {
    let (far, next) = scripted().await;
    let target = Recorder::start(|_| said(200, &[], "")).await;
    let to = target.url("/final?key=hunter2-key");
    *next.lock().expect("an answer") = said(308, &[("location", to.as_str())], "");
    let (hub, source) = hub(&far).await;
    let body = json!({"type": "webhook", "name": "x", "filter": {"events": ["SUBSCRIPTION_STARTED"]}, "config": {"url": far.url("/hook")}});
    let made = hub.api("POST", "/v1/destinations", body).await.expect(201);
    hub.observe(&source, start("n1", "user-1", "sub-1", FROM, TO)).await;
    let path = format!("/v1/deliveries?destination={}", made["id"].as_str().expect("an id"));
    let attempt = hub
        .until("the attempt", async |hub| {
            hub.clock.advance(Duration::from_millis(100));
            let attempt = hub.get(&path).await["data"][0]["attempts"][0].clone();
            (!attempt.is_null()).then_some(attempt)
        })
        .await;
    let expected = format!("308 Permanent Redirect to {}: redirects are not followed; set `url`", target.url("/final"));
    assert!(attempt["detail"].as_str().unwrap_or_default().contains(&expected), "{attempt}");
    assert!(target.sent().is_empty());
    // The address is mended, and what waited arrives.
    let change = json!({"config": {"url": to}});
    let changed = hub.api("PATCH", &format!("/v1/destinations/{}", made["id"].as_str().expect("an id")), change).await;
    changed.expect(200);
    hub.until("the retry", async |hub| {
        hub.clock.advance(Duration::from_secs(10));
        (target.sent().len() == 1).then_some(())
    })
    .await;
    hub.stop().await;
}

#[tokio::test]
async fn headers_of_ones_own_are_bounded_and_sent_as_they_stand() {
    let (far, _) = scripted().await;
    let (hub, _) = hub(&far).await;
    let create = async |headers: Value| {
        let config = json!({"url": far.url("/hook"), "headers": headers});
        hub.api("POST", "/v1/destinations", json!({"type": "webhook", "name": "x", "config": config})).await
    };
    let many = |count: usize| (0..count).map(|n| (format!("x-{n}"), json!("v"))).collect::<serde_json::Map<_, _>>();
    for (name, headers, pointer) in [
        ("too many", Value::Object(many(33)), "/config/headers"),
        ("a long name", json!({"x".repeat(129): "v"}), "/config/headers/x"),
        ("a long value", json!({"x": "v".repeat(4_097)}), "/config/headers/x"),
        ("a second header", json!({"x": "v\r\nwebhook-id: evil"}), "/config/headers/x"),
        ("a name that is none", json!({"x y": "v"}), "/config/headers/x y"),
        ("ours", json!({"Webhook-Signature": "v1,x"}), "/config/headers/Webhook-Signature"),
        ("the connection's", json!({"Transfer-Encoding": "chunked"}), "/config/headers/Transfer-Encoding"),
    ] {
        let refused = create(headers).await.expect(422);
        let found = refused["errors"][0]["pointer"].as_str().unwrap_or_default();
        assert!(found.starts_with(pointer), "{name}: {refused}");
    }
    let mut most = many(31);
    most.insert("X-Long".to_owned(), json!(format!("hunter2 {}", "v".repeat(4_088))));
    let made = create(Value::Object(most)).await.expect(201);
    assert!(!made.to_string().contains("hunter2"), "kept, and never shown again");
    let path = format!("/v1/destinations/{}", made["id"].as_str().expect("an id"));
    let came = hub.api("POST", &format!("{path}/test"), json!({})).await.expect(200);
    assert_eq!(came["delivered"], true, "{came}");
    let sent = far.sent().remove(0);
    assert_eq!((sent.headers()["x-30"].as_bytes(), sent.headers()["x-long"].len()), (&b"v"[..], 4_096));
    // The version is pinned: it stays when the settings change, and only a known one is taken.
    let pinned = made["config"]["version"].clone();
    assert_eq!(sent.headers()["paidup-version"], pinned.as_str().expect("a version"));
    let mut config = made["config"].clone();
    config["version"] = json!("1999-01-01");
    let refused = hub.api("PATCH", &path, json!({"config": config})).await.expect(422);
    assert_eq!(refused["errors"][0]["pointer"], "/config/version", "{refused}");
    config["version"] = pinned.clone();
    config["url"] = json!(far.url("/other"));
    let changed = hub.api("PATCH", &path, json!({"config": config})).await.expect(200);
    assert_eq!(changed["config"]["version"], pinned);
    hub.stop().await;
}
