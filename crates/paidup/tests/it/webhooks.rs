//! Webhooks to receivers: key pairs, rotation of secrets, versions, published schemas, Purchasely's rules.

use crate::support::{Receiver, Request, TestHub, observation, start};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Value, json};
use std::time::Duration;

const FROM: &str = "2026-01-01T00:00:00Z";
const TO: &str = "2036-02-01T00:00:00Z";

async fn hub() -> (TestHub, String, Receiver) {
    let hub = TestHub::start(FROM).await;
    let source = hub.source("generic", json!({})).await;
    hub.map("pro_monthly", &["pro"]).await;
    (hub, source, Receiver::start().await)
}

fn path(made: &Value, rest: &str) -> String {
    format!("/v1/destinations/{}{rest}", made["id"].as_str().expect("an id"))
}

/// Which of the public keys signed it.
fn signed_by<'a>(request: &Request, keys: &[&'a str]) -> Vec<&'a str> {
    let (id, sent_at) = (request.header("webhook-id"), request.header("webhook-timestamp"));
    let message = [format!("{id}.{sent_at}.").as_bytes(), &request.bytes[..]].concat();
    let signatures: Vec<Vec<u8>> = request
        .header("webhook-signature")
        .split(' ')
        .filter_map(|one| one.strip_prefix("v1a,"))
        .map(|one| BASE64.decode(one).expect("base64"))
        .collect();
    let fits = |key: &&&str| {
        let public = BASE64.decode(key.strip_prefix("whpk_").expect("whpk_")).expect("base64");
        signatures.iter().any(|signature| UnparsedPublicKey::new(&ED25519, &public).verify(&message, signature).is_ok())
    };
    keys.iter().filter(fits).copied().collect()
}

#[tokio::test]
async fn a_key_pair_signs_and_its_public_half_is_published() {
    let (hub, source, receiver) = hub().await;
    let config = json!({"url": receiver.url("/hook"), "signatures": ["v1a"]});
    let made = hub.webhook(&receiver, json!({"config": config})).await;
    let private = made["signing_key"].as_str().expect("the key, shown once").to_owned();
    assert!(private.starts_with("whsk_") && made.get("secret").is_none(), "{made}");
    // Anybody may read the public half, with no key.
    let answer = hub.call("GET", &path(&made, "/public_keys"), None, Vec::new(), &[]).await.expect(200);
    let key = answer["public_keys"][0].as_str().expect("a key").to_owned();
    assert_eq!(made["config"]["public_key"], key);
    hub.observe(&source, start("n1", "user-1", "sub-1", FROM, TO)).await;
    for request in receiver.wait_for(3).await {
        assert_eq!(signed_by(&request, &[&key]), [key.as_str()]);
        let mut flipped = request.clone();
        flipped.bytes[10] ^= 1;
        assert!(signed_by(&flipped, &[&key]).is_empty());
    }
    let again = hub.get(&path(&made, "")).await;
    assert!(!again.to_string().contains(&private[5..]), "the private half is shown once");
    let shared = hub.webhook(&receiver, json!({})).await;
    hub.call("GET", &path(&shared, "/public_keys"), None, Vec::new(), &[]).await.expect(404);
    hub.stop().await;
}

#[tokio::test]
async fn rotated_secrets_hold_beside_the_fresh_ones_for_a_while() {
    let (hub, source, receiver) = hub().await;
    let config = json!({"url": receiver.url("/hook"), "signatures": ["v1", "v1a"]});
    let filter = json!({"events": ["RENEWAL_DISABLED", "RENEWAL_ENABLED", "SUBSCRIPTION_STARTED"]});
    let made = hub.webhook(&receiver, json!({"config": config, "filter": filter})).await;
    let old = made["config"]["public_key"].as_str().expect("a key").to_owned();
    let rotated = hub.api("POST", &path(&made, "/rotate_secret"), json!({"overlap_hours": 2})).await.expect(200);
    let new = rotated["config"]["public_key"].as_str().expect("a key").to_owned();
    assert_ne!(old, new);
    assert_ne!((&made["secret"], &made["signing_key"]), (&rotated["secret"], &rotated["signing_key"]));
    assert!(rotated["secret"].as_str().is_some_and(|secret| secret.starts_with("whsec_")), "{rotated}");
    hub.observe(&source, start("n1", "user-1", "sub-1", FROM, TO)).await;
    let during = receiver.wait_for(1).await.remove(0);
    assert_eq!(signed_by(&during, &[&old, &new]), [old.as_str(), new.as_str()]);
    assert_eq!(during.header("webhook-signature").split(' ').count(), 4);
    hub.clock.advance(Duration::from_secs(2 * 3600));
    let off = observation("n2", "2026-01-01T02:00:00Z", "renewal_disabled", "sub-1", json!({"will_renew": false}));
    hub.observe(&source, off).await;
    let after = receiver.wait_for(2).await.remove(1);
    assert_eq!(signed_by(&after, &[&old, &new]), [new.as_str()], "the overlap is over");
    assert_eq!(after.header("webhook-signature").split(' ').count(), 2);
    let wrong = hub.api("POST", &path(&made, "/rotate_secret"), json!({"overlap_hours": 10_000})).await.expect(422);
    assert_eq!(wrong["errors"][0]["pointer"], "/overlap_hours");
    let discord = json!({"type": "discord_webhook", "name": "d", "config": {"url": "https://discord.com/api/webhooks/1234567890123456789/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}});
    let discord = hub.api("POST", "/v1/destinations", discord).await.expect(201);
    let refused = hub.api("POST", &path(&discord, "/rotate_secret"), json!({})).await.expect(422);
    assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("no secrets of its own")), "{refused}");
    hub.stop().await;
}

#[tokio::test]
async fn bodies_fit_the_schemas_that_are_published() {
    let (hub, source, receiver) = hub().await;
    let made = hub.webhook(&receiver, json!({})).await;
    let pinned = made["config"]["version"].clone();
    hub.observe(&source, start("n1", "user-1", "sub-1", FROM, TO)).await;
    let off = observation("n2", "2026-01-01T00:00:01Z", "renewal_disabled", "sub-1", json!({"will_renew": false}));
    hub.observe(&source, off).await;
    let schemas = hub.call("GET", "/v1/events/schemas", None, Vec::new(), &[]).await.expect(200);
    for request in receiver.wait_for(4).await {
        assert_eq!(request.header("paidup-version"), pinned);
        let listed = schemas["data"].as_array().expect("types").iter().find(|row| row["type"] == request.event_type());
        let path = listed.expect("its type")["path"].as_str().expect("a path");
        let path = format!("{path}?version={}", pinned.as_str().expect("a version"));
        let schema = hub.call("GET", &path, None, Vec::new(), &[]).await.expect(200);
        assert!(jsonschema::validator_for(&schema).expect("a schema").is_valid(&request.body), "{}", request.body);
    }
    hub.call("GET", "/v1/events/schemas/NOTHING", None, Vec::new(), &[]).await.expect(404);
    hub.call("GET", "/v1/events/schemas/TEST?version=1", None, Vec::new(), &[]).await.expect(422);
    hub.stop().await;
}

/// Its receivers get all of a user's events in order, and answer 404 for users that they do not know.
#[tokio::test]
async fn purchaselys_rules_hold_for_its_format() {
    let (hub, source, receiver) = hub().await;
    let config = json!({"url": receiver.url("/hook"), "format": "purchasely", "hmac_secret": "foobar"});
    let made = hub.webhook(&receiver, json!({"config": config, "filter": {"events": ["SUBSCRIPTION_STARTED"]}})).await;
    assert_eq!(made["order"], "customer");
    receiver.answer(&[404, 500]);
    hub.observe(&source, start("n1", "user-1", "sub-1", FROM, TO)).await;
    receiver.wait_for(1).await;
    // Done, so the next one comes; it fails, so the customer's other purchase waits for it.
    hub.observe(&source, start("n2", "user-1", "sub-2", FROM, TO)).await;
    receiver.wait_for(2).await;
    hub.observe(&source, start("n3", "user-1", "sub-3", FROM, TO)).await;
    let requests = hub
        .until("the retry", async |hub| {
            hub.clock.advance(Duration::from_secs(60));
            let requests = receiver.requests();
            (requests.len() >= 4).then_some(requests)
        })
        .await;
    let told: Vec<&str> =
        requests.iter().filter_map(|one| one.body["store_original_transaction_id"].as_str()).collect();
    let ids: Vec<&str> = requests.iter().map(|one| one.header("webhook-id")).collect();
    assert_eq!((ids[1] == ids[2], ids.len()), (true, 4), "{told:?}");
    hub.stop().await;
}

/// A receiver that lost a day gets it again, and nothing else.
#[tokio::test]
async fn a_range_is_told_again_over_http() {
    let (hub, source, receiver) = hub().await;
    let made = hub.webhook(&receiver, json!({"filter": {"events": ["SUBSCRIPTION_STARTED"]}})).await;
    for number in 0..6 {
        let (name, purchase) = (format!("user-{number}"), format!("sub-{number}"));
        hub.observe(&source, start(&format!("n{number}"), &name, &purchase, FROM, TO)).await;
        hub.clock.advance(Duration::from_secs(3600));
    }
    receiver.wait_for(6).await;
    let range = json!({"destination": made["id"], "from": "2026-01-01T01:30:00Z", "to": "2026-01-01T04:30:00Z",
        "types": ["SUBSCRIPTION_STARTED"]});
    let begun = hub.api("POST", "/v1/replays", range).await.expect(201);
    let path = format!("/v1/replays/{}", begun["id"].as_str().expect("an id"));
    let done = hub
        .until("the replay's end", async |hub| {
            hub.clock.advance(Duration::from_secs(1));
            let stand = hub.get(&path).await;
            (stand["state"] == "done").then_some(stand)
        })
        .await;
    assert_eq!((&done["told"], &done["looked_at"]), (&json!(3), &done["total"]), "{done}");
    let requests = receiver.wait_for(9).await;
    let again: Vec<&str> =
        requests[6..].iter().map(|one| one.body["customer"]["app_user_id"].as_str().unwrap()).collect();
    let mut sorted = again.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["user-2", "user-3", "user-4"]);
    assert_eq!(hub.get("/v1/replays").await["data"][0], done);
    let everything = hub.api("POST", "/v1/replays", json!({})).await.expect(422);
    assert!(everything["detail"].as_str().is_some_and(|detail| detail.contains("everybody")), "{everything}");
    let odd = hub.api("POST", "/v1/replays", json!({"types": ["TEST", "NOTHING"]})).await.expect(422);
    assert_eq!(odd["errors"][0]["pointer"], "/types/1");
    hub.api("POST", &format!("{path}/cancel"), json!({})).await.expect(409);
    hub.api("GET", "/v1/replays/rpl_x", Value::Null).await.expect(404);
    hub.stop().await;
}
