//! Customers whose ids, attributes and products want to do harm: by the generic source through the whole program to all three
//! kinds of destinations, and stand-ins that refuse what the vendors refuse.

use crate::support::recorder::{Recorder, said};
use crate::support::{ADMIN_KEY, TestHub, at, errors_about, forbid_in_log, start};
use paidup_simulator::edge::Clock;
use paidup_simulator::standins::discord::{Discord, DiscordOptions};
use paidup_simulator::standins::intercom::{Intercom, IntercomOptions};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const FROM: &str = "2026-01-01T00:00:00Z";
const TO: &str = "2036-02-01T00:00:00Z";
const AUTHORIZATION: &str = "Bearer hunter2-of-the-receiver";
const HMAC_SECRET: &str = "hunter2-hmac-secret";

/// Ids that intake takes: at most 200 characters, none of them a control character.
fn customers() -> Vec<String> {
    let mut all: Vec<String> = [
        "@everyone <@1> <@&2> @here",
        "**b** __u__ ~~s~~ ||x|| `c` > q # h",
        "[click](https://evil.example)",
        "](https://evil.example) [",
        "\",\"type\":\"ACTIVATE\",\"x\":\"",
        "\"}],\"allowed_mentions\":{\"parse\":[\"everyone\"]}",
        "\\ud800 \\u0000 \\",
        "\u{202e}gnp.exe\u{202c} \u{2066}x",
        "\u{200b}\u{feff}\u{2060}",
        "\u{fdd0}made:customer_link\u{fdd1} \u{fffe}",
        "{{ customer_link }}{% for x in range(9) %}x{% endfor %}",
        "../../../v1/keys?x=1#y%00 //evil.example/",
        "a/b/c",
        "a b+c&d=e%20",
        "<script>alert(1)</script>",
        "=HYPERLINK(\"https://evil.example\")",
        "'; DROP TABLE customers; --",
        "\u{e000}\u{10ffff}",
        "z\u{489}\u{489}\u{489}\u{489}",
        "$RCAnonymousID:../x",
        "discord:1",
    ]
    .map(str::to_owned)
    .into();
    all.push("x".repeat(200));
    all.push("*_[](<@ ".repeat(25));
    all.push("👩‍👩‍👧".repeat(40));
    all
}

/// What no store says: refused where it comes in, with the place, and nothing is kept.
fn refused() -> Vec<(&'static str, Vec<u8>, u16, &'static str)> {
    let body = |customer: &str, more: Value| {
        let mut all = start("refused", customer, "sub-refused", FROM, TO);
        all.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        all.to_string().into_bytes()
    };
    let raw = |text: &str| {
        let all = start("refused", "CUSTOMER", "sub-refused", FROM, TO).to_string();
        all.replace("CUSTOMER", text).into_bytes()
    };
    let not_utf8 = {
        let mut all = raw("a");
        let place = all.windows(3).position(|part| part == b"\"a\"").expect("the id") + 1;
        all[place] = 0xff;
        all
    };
    vec![
        ("a header in an id", body("a\r\nAuthorization: x", json!({})), 422, "/customer_id"),
        ("NUL in an id", body("a\u{0}", json!({})), 422, "/customer_id"),
        ("10 kB", body(&"x".repeat(10_240), json!({})), 422, "/customer_id"),
        ("half a character", raw("\\ud800"), 400, ""),
        ("the other half", raw("\\udc00 \\ud800"), 400, ""),
        ("no UTF-8", not_utf8, 400, ""),
        ("NUL in an attribute", body("a", json!({"attributes": {"x": "\u{0}"}})), 422, "/attributes/x"),
        ("10 kB of an attribute", body("a", json!({"attributes": {"x": "x".repeat(10_240)}})), 422, "/attributes/x"),
        ("a line in an attribute's name", body("a", json!({"attributes": {"x\r\ny": "z"}})), 422, "/attributes"),
        ("a line in a product", body("a", json!({"product_id": "x\r\ny"})), 422, "/product_id"),
        ("10 kB of a product", body("a", json!({"product_id": "x".repeat(10_240)})), 422, "/product_id"),
        ("a line in a transaction", body("a", json!({"transaction_id": "x\n"})), 422, "/transaction_id"),
    ]
}

struct World {
    hub: TestHub,
    source: String,
    clock: Clock,
    discord: Discord,
    intercom: Intercom,
    receiver: Recorder,
    /// `/v1/destinations/{id}` by name.
    paths: BTreeMap<&'static str, String>,
    secrets: Vec<String>,
}

impl World {
    async fn new() -> World {
        let clock = Clock::manual(at(FROM).as_millis());
        let options = DiscordOptions { clock: clock.clone(), ..DiscordOptions::default() };
        let discord = Discord::start(options).await.expect("a stand-in");
        let options = IntercomOptions { clock: clock.clone(), ..IntercomOptions::default() };
        let intercom = Intercom::start(options).await.expect("a stand-in");
        let settings = [("PAIDUP_DISCORD_API_URL", discord.api_url()), ("PAIDUP_INTERCOM_API_URL", intercom.api_url())];
        let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let hub = TestHub::start_with(FROM, &settings).await;
        let source = hub.source("generic", json!({})).await;
        let receiver = Recorder::start(|_| said(200, &[], "")).await;
        let webhook = discord.add_webhook(7);
        let secrets =
            vec![webhook.token.clone(), intercom.token().to_owned(), AUTHORIZATION.to_owned(), HMAC_SECRET.to_owned()];
        let mut world = World { hub, source, clock, discord, intercom, receiver, paths: BTreeMap::new(), secrets };
        let url = Discord::webhook_url(&webhook);
        for (name, style) in [("default", "default"), ("embed", "revenuecat_embed"), ("text", "text")] {
            world.add("discord_webhook", name, json!({"url": url, "style": style})).await;
        }
        world.add("intercom", "intercom", json!({"access_token": world.intercom.token()})).await;
        for format in ["paidup", "revenuecat", "purchasely"] {
            let mut config = json!({"url": world.receiver.url(&format!("/{format}")), "format": format});
            if format != "paidup" {
                config["hmac_secret"] = json!(HMAC_SECRET);
            }
            config["authorization"] = json!(AUTHORIZATION);
            world.add("webhook", format, config).await;
        }
        world
    }

    async fn add(&mut self, kind: &str, name: &'static str, config: Value) {
        let body = json!({"type": kind, "name": name, "config": config});
        let made = self.hub.api("POST", "/v1/destinations", body).await.expect(201);
        self.secrets.extend(made["secret"].as_str().map(str::to_owned));
        self.paths.insert(name, format!("/v1/destinations/{}", made["id"].as_str().expect("an id")));
    }

    /// Waits until every destination has been told everything, moving time on for limits and retries.
    async fn settled(&self) {
        self.hub
            .until("everything to be told", async |hub| {
                hub.clock.advance(Duration::from_secs(1));
                self.clock.advance(Duration::from_secs(1));
                let list = hub.get("/v1/destinations").await;
                let behind = list["data"].as_array().expect("rows").iter().any(|one| one["behind"] != 0);
                let retrying = hub.get("/v1/deliveries?state=retrying").await["data"] != json!([]);
                (!behind && !retrying).then_some(())
            })
            .await;
    }
}

#[tokio::test]
async fn hostile_customers_arrive_everywhere_and_do_no_harm() {
    let world = World::new().await;
    for (name, body, status, pointer) in refused() {
        let answer = world.hub.ingest(&world.source, &body).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.body);
        let found = answer.body["errors"][0]["pointer"].as_str().unwrap_or_default();
        assert!(found.starts_with(pointer), "{name}: {}", answer.body);
    }
    assert!(world.hub.events().await.is_empty());
    let customers = customers();
    for (number, customer) in customers.iter().enumerate() {
        let mut bought = start(&format!("n{number}"), customer, &format!("{customer}/p"), FROM, TO);
        bought["product_id"] = json!(format!("{}{number}", customer.chars().take(150).collect::<String>()));
        bought["transaction_id"] = json!(customer);
        bought["offer"] = json!({"type": "PROMO_CODE", "id": customer, "code": customer});
        bought["attributes"] = json!({
            "$email": "a@b.example\r\nBcc: c@d.example", "email": customer, "lines": "x\r\nAuthorization: y\r\n\r\n\u{1b}[31m", "n": customer,
        });
        if customer.chars().count() > 198 {
            bought["purchase_id"] = json!(format!("p{number}"));
        }
        world.hub.observe(&world.source, bought).await;
    }
    world.settled().await;
    check_webhooks(&world, &customers);
    let report = world.discord.report();
    assert_eq!((report.refused, &report.refusals, &report.violations), (0, &Vec::new(), &Vec::new()), "{report:?}");
    assert_eq!(report.avoidable, 0, "{report:?}");
    for message in world.discord.messages() {
        assert_eq!(message.body["allowed_mentions"], json!({"parse": []}), "{:?}", message.body);
    }
    let report = world.intercom.report();
    assert_eq!((report.violations, report.limited), (Vec::new(), 0));
    for contact in world.intercom.contacts() {
        let id = contact.external_id.expect("an external id");
        assert!(customers.contains(&id), "{id:?}");
    }
    // All told, or given up with a reason that says why.
    for delivery in world.hub.get("/v1/deliveries?state=failed&limit=200").await["data"].as_array().expect("rows") {
        let reason = delivery["attempts"][0]["detail"].as_str().unwrap_or_default();
        assert!(reason.len() > 20, "{delivery}");
    }
    let list = world.hub.get("/v1/destinations").await;
    for one in list["data"].as_array().expect("rows") {
        assert_eq!((&one["state"], &one["alerts"]), (&json!("active"), &json!([])), "{one}");
    }
    let ids: Vec<&str> = world.paths.values().filter_map(|path| path.rsplit('/').next()).collect();
    assert_eq!(errors_about(&ids), Vec::<String>::new());
    let answers =
        format!("{list}{}{}", world.hub.get("/v1/deliveries?limit=200").await, world.hub.get("/metrics").await);
    for secret in world.secrets.iter().map(String::as_str).chain([ADMIN_KEY]) {
        assert!(!answers.contains(secret), "a secret in an answer");
    }
    let World { hub, secrets, .. } = world;
    hub.check_rebuild().await;
    hub.stop().await;
    forbid_in_log(&secrets.iter().map(String::as_str).collect::<Vec<_>>());
}

/// Every customer came under the very id, in the place where ids stand, with the headers of every other request.
fn check_webhooks(world: &World, customers: &[String]) {
    for (format, place) in
        [("paidup", "/customer/app_user_id"), ("revenuecat", "/event/app_user_id"), ("purchasely", "/user_id")]
    {
        let sent: Vec<_> =
            world.receiver.sent().into_iter().filter(|sent| sent.uri().path() == format!("/{format}")).collect();
        let mut names: Vec<&str> = sent[0].headers().keys().map(http::HeaderName::as_str).collect();
        names.sort_unstable();
        let mut came = std::collections::BTreeSet::new();
        for sent in &sent {
            let mut these: Vec<&str> = sent.headers().keys().map(http::HeaderName::as_str).collect();
            these.sort_unstable();
            assert_eq!((these, sent.uri().query()), (names.clone(), None), "{format}");
            assert_eq!(sent.headers()["authorization"], AUTHORIZATION, "{format}");
            let body: Value = serde_json::from_slice(sent.body()).expect("JSON");
            came.extend(body.pointer(place).and_then(Value::as_str).map(str::to_owned));
        }
        let missing: Vec<&String> = customers.iter().filter(|customer| !came.contains(*customer)).collect();
        assert!(missing.is_empty(), "{format}: {missing:?}");
    }
}
