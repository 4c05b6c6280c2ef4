//! Receivers that answer slowly, without end, packed, inward or with nonsense: bounded, harmless to all others, and explained
//! in the words of the attempt.

use crate::support::{Program, Receiver, TestHub, start};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How an endpoint answers each request.
#[derive(Clone, Copy)]
enum Answers {
    /// This and the end of the connection.
    Once(&'static str),
    /// The first, then the second again and again.
    ForEver(&'static str, &'static str),
    /// The first, then the second now and then.
    Trickling(&'static str, &'static str),
}

async fn endpoint(answers: Answers) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, answers));
        }
    });
    address
}

/// A hub that has read enough hangs up; nobody minds here.
async fn answer(mut stream: TcpStream, answers: Answers) {
    let mut request = [0; 4096];
    let _ = stream.read(&mut request).await;
    match answers {
        Answers::Once(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.shutdown().await;
            // What is not read yet would reset the connection, and the answer with it.
            while stream.read(&mut request).await.is_ok_and(|count| count > 0) {}
        }
        Answers::ForEver(first, again) => {
            let again = again.repeat(64 * 1024 / again.len());
            if stream.write_all(first.as_bytes()).await.is_ok() {
                while stream.write_all(again.as_bytes()).await.is_ok() {}
            }
        }
        Answers::Trickling(first, again) => {
            if stream.write_all(first.as_bytes()).await.is_ok() {
                while stream.write_all(again.as_bytes()).await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// Name, answers, state of the delivery, part of its words, whether it may have arrived.
type Case = (&'static str, Answers, &'static str, &'static str, bool);

const CASES: [Case; 13] = [
    ("gigabytes that say yes", Answers::ForEver("HTTP/1.1 200 OK\r\n\r\n", "x"), "delivered", "", false),
    (
        "a packed bomb",
        Answers::ForEver("HTTP/1.1 500 Oops\r\ncontent-encoding: gzip\r\n\r\n", "\u{1}\u{2}"),
        "retrying",
        "500 Internal Server Error; answer: (a body packed by gzip, which is not unpacked)",
        false,
    ),
    (
        "packed by something new",
        Answers::Once("HTTP/1.1 400 Bad\r\ncontent-encoding: zstd\r\ncontent-length: 2\r\n\r\nxx"),
        "retrying",
        "packed by zstd",
        false,
    ),
    (
        "a redirect inward",
        Answers::Once("HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/latest\r\ncontent-length: 0\r\n\r\n"),
        "retrying",
        "redirects are not followed; set `url` to the final address",
        false,
    ),
    (
        "moved for good",
        Answers::Once("HTTP/1.1 308 Moved\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n"),
        "retrying",
        "308 Permanent Redirect to /elsewhere: redirects are not followed",
        false,
    ),
    (
        "headers without end",
        Answers::ForEver("HTTP/1.1 200 OK\r\n", "x-more: and more\r\n"),
        "retrying",
        "the answer is not valid HTTP",
        true,
    ),
    (
        "one header without end",
        Answers::ForEver("HTTP/1.1 200 OK\r\nx: ", "x"),
        "retrying",
        "the answer is not valid HTTP",
        true,
    ),
    (
        "no HTTP at all",
        Answers::Once("220 mail.example SMTP\r\n\r\n"),
        "retrying",
        "the answer is not valid HTTP",
        true,
    ),
    ("nothing but the end", Answers::Once(""), "retrying", "connection lost", true),
    (
        "half a body",
        Answers::Once("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"),
        "retrying",
        "connection lost",
        true,
    ),
    ("headers byte by byte", Answers::Trickling("HTTP/1.1 200 OK\r\nx: ", "x"), "retrying", "no answer in time", true),
    (
        "a body byte by byte",
        Answers::Trickling("HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n", "x"),
        "retrying",
        "no answer in time",
        true,
    ),
    ("silence", Answers::Trickling("", ""), "retrying", "no answer in time", true),
];

#[tokio::test]
async fn bad_endpoints_are_bounded_harmless_and_explained() {
    let hub = TestHub::start("2026-01-01T00:00:00Z").await;
    let source = hub.source("generic", json!({})).await;
    let only = json!({"events": ["SUBSCRIPTION_STARTED"]});
    let good = Receiver::start().await;
    hub.webhook(&good, json!({"filter": only})).await;
    let mut bad = Vec::new();
    for (name, answers, ..) in CASES {
        let config = json!({"url": format!("http://{}/hook", endpoint(answers).await), "format": "paidup"});
        let body = json!({"type": "webhook", "name": name, "config": config, "filter": only});
        let made = hub.api("POST", "/v1/destinations", body).await.expect(201);
        bad.push(made["id"].as_str().expect("an id").to_owned());
    }
    hub.observe(&source, start("n1", "user-1", "sub-1", "2026-01-01T00:00:00Z", "2036-01-01T00:00:00Z")).await;
    good.wait_for(1).await;
    for (id, (name, _, state, words, may_repeat)) in bad.iter().zip(CASES) {
        let attempt = hub.until(name, async |hub| first_attempt(hub, id).await).await;
        let detail = attempt["detail"].as_str().unwrap_or_default();
        assert!(attempt["state"] == state && detail.contains(words), "{name}: {attempt}");
        assert_eq!(attempt["may_repeat"], may_repeat, "{name}");
        assert!(detail.len() <= 900 && !detail.contains(['\r', '\n', '\u{1}']), "{name}: {detail:?}");
    }
    // Nobody else noticed: the next event arrives at once.
    hub.observe(&source, start("n2", "user-2", "sub-2", "2026-01-01T00:00:00Z", "2036-01-01T00:00:00Z")).await;
    good.wait_for(2).await;
    hub.stop().await;
}

async fn first_attempt(hub: &TestHub, id: &str) -> Option<Value> {
    // Settled in batches, by the clock; too little of it for a second try.
    hub.clock.advance(Duration::from_millis(1));
    let rows = hub.get(&format!("/v1/deliveries?destination={id}")).await;
    rows["data"][0]["attempts"].as_array()?.last().cloned()
}

#[tokio::test]
async fn a_receiver_that_asks_for_ever_to_be_left_alone_is_asked_again_within_a_day() {
    let hub = TestHub::start("2026-01-01T00:00:00Z").await;
    let source = hub.source("generic", json!({})).await;
    let busy = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 99999999999\r\ncontent-length: 0\r\n\r\n";
    let config = json!({"url": format!("http://{}/hook", endpoint(Answers::Once(busy)).await), "format": "paidup"});
    let body =
        json!({"type": "webhook", "name": "busy", "config": config, "filter": {"events": ["SUBSCRIPTION_STARTED"]}});
    let made = hub.api("POST", "/v1/destinations", body).await.expect(201);
    let path = format!("/v1/destinations/{}", made["id"].as_str().expect("an id"));
    hub.observe(&source, start("n1", "user-1", "sub-1", "2026-01-01T00:00:00Z", "2036-01-01T00:00:00Z")).await;
    let row = hub
        .until("the row", async |hub| {
            hub.clock.advance(Duration::from_millis(10));
            hub.get(&format!("{path}/parked")).await["data"].get(0).cloned()
        })
        .await;
    let next = row["next_try_at"].as_str().unwrap_or_default();
    assert!(("2026-01-02T00:00:00Z".."2026-01-02T03:00:00Z").contains(&next), "{row}");
    assert_eq!(row["attempts"], 0, "a rate limit is no failed attempt");
    hub.stop().await;
}

/// `paidup_deliveries_may_repeat_total` of that destination.
async fn may_repeat(program: &Program, id: &str) -> u64 {
    let figures = program.api("GET", "/metrics", Value::Null).await.expect(200);
    let name = format!("paidup_deliveries_may_repeat_total{{destination=\"{id}\"}} ");
    let line = figures.as_str().unwrap_or_default().lines().find_map(|line| line.strip_prefix(&name)).unwrap_or("0");
    line.parse().expect("a number")
}

#[tokio::test]
async fn what_was_under_way_when_the_program_was_killed_counts_as_a_possible_repeat() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("paidup.db");
    let receiver = Receiver::start().await;
    let program = Program::serve(&database);
    let source = json!({"type": "generic", "name": "backend", "config": {}});
    let source = program.api("POST", "/v1/sources", source).await.expect(201)["id"].as_str().expect("an id").to_owned();
    let config = json!({"url": receiver.url("/hook"), "format": "paidup"});
    let hook =
        json!({"type": "webhook", "name": "hook", "config": config, "filter": {"events": ["SUBSCRIPTION_STARTED"]}});
    let id = program.api("POST", "/v1/destinations", hook).await.expect(201)["id"].as_str().expect("an id").to_owned();
    // It is sent and never answered.
    receiver.hold(true);
    let bought = start("n1", "user-1", "sub-1", "2026-01-01T00:00:00Z", "2036-01-01T00:00:00Z");
    program.api("POST", &format!("/ingest/{source}"), bought).await.expect(200);
    receiver.wait_for(1).await;
    assert_eq!(may_repeat(&program, &id).await, 0);
    drop(program); // as kill -9 does
    receiver.hold(false);
    let program = Program::serve(&database);
    let requests = receiver.wait_for(2).await;
    assert_eq!(requests[0].header("webhook-id"), requests[1].header("webhook-id"));
    assert_eq!(may_repeat(&program, &id).await, 1);
    // A stop in good order leaves no doubt.
    program.stop();
    let program = Program::serve(&database);
    let again = start("n2", "user-2", "sub-2", "2026-01-01T00:00:00Z", "2036-01-01T00:00:00Z");
    program.api("POST", &format!("/ingest/{source}"), again).await.expect(200);
    receiver.wait_for(3).await;
    assert_eq!(may_repeat(&program, &id).await, 0);
}
