//! The document and the routes are one.

use crate::support::TestHub;
use paidup_simulator::standins::discord::{Discord, DiscordOptions};
use serde_json::Value;

#[tokio::test]
async fn every_documented_route_answers_and_says_what_it_needs() {
    // Discord says whose a user's token is.
    let discord = Discord::start(DiscordOptions::default()).await.expect("a stand-in");
    let hub = TestHub::start_with("2026-01-01T00:00:00Z", &[("PAIDUP_DISCORD_API_URL", &discord.api_url())]).await;
    let document = hub.call("GET", "/openapi.json", None, Vec::new(), &[]).await.expect(200);
    let paths = document["paths"].as_object().expect("paths");
    assert!(paths.len() > 20, "{}", paths.len());
    for (path, item) in paths {
        for (method, operation) in item.as_object().expect("operations") {
            assert!(operation["responses"].as_object().is_some_and(|all| !all.is_empty()), "{method} {path}");
            // With a key that is not known, a route that exists answers 401 (or is open); one that does not, 404 or 405.
            let concrete = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
            let concrete: Vec<&str> = concrete.collect();
            let answer =
                hub.call(&method.to_uppercase(), &concrete.join("/"), Some("pk_unknown"), Vec::new(), &[]).await;
            let open = ["/livez", "/readyz", "/metrics", "/v1/events/schemas"].contains(&path.as_str());
            // Open too, but there is no such source, destination or type.
            let names_nothing =
                path.starts_with("/ingest") || path.ends_with("/public_keys") || path.ends_with("/schemas/{type}");
            let expected = if open {
                200
            } else if names_nothing {
                404
            } else {
                401
            };
            assert_eq!(answer.status, expected, "{method} {path}: {}", answer.body);
        }
    }
    hub.stop().await;
}

#[tokio::test]
async fn the_contract_is_in_the_document() {
    let document = serde_json::to_value(paidup_web::openapi()).expect("JSON");
    let has = |method: &str, path: &str| document["paths"][path][method].is_object();
    for (method, path) in [
        ("post", "/v1/sources"),
        ("post", "/ingest/{source_id}"),
        ("post", "/v1/destinations"),
        ("post", "/v1/destinations/{id}/test"),
        ("post", "/v1/destinations/{id}/pause"),
        ("post", "/v1/destinations/{id}/resume"),
        ("post", "/v1/destinations/{id}/preview"),
        ("post", "/v1/destinations/{id}/backfills"),
        ("get", "/v1/backfills/{id}"),
        ("get", "/v1/events"),
        ("get", "/v1/events/{id}"),
        ("get", "/v1/events/{id}/deliveries"),
        ("post", "/v1/events/{id}/replay"),
        ("get", "/v1/deliveries"),
        ("get", "/v1/customers/{id}"),
        ("get", "/v1/customers/{id}/entitlements"),
        ("get", "/v1/customers/{id}/explain"),
        ("post", "/v1/customers/{id}/purchases"),
        ("post", "/v1/customers/{id}/transfer"),
        ("post", "/v1/customers/{id}/grants"),
        ("patch", "/v1/grants/{id}"),
        ("delete", "/v1/grants/{id}"),
        ("post", "/v1/customers/{id}/aliases"),
        ("get", "/v1/products"),
        ("post", "/v1/products"),
        ("get", "/v1/entitlements"),
        ("post", "/v1/entitlements"),
        ("get", "/v1/keys"),
        ("post", "/v1/keys"),
        ("get", "/discord/api/v10/skus/{sku_id}/subscriptions"),
        ("get", "/discord/api/v10/skus/{sku_id}/subscriptions/{subscription_id}"),
        ("get", "/discord/api/v10/applications/{application_id}/entitlements"),
        ("get", "/discord/api/v10/applications/{application_id}/skus"),
        ("get", "/livez"),
        ("get", "/readyz"),
        ("get", "/metrics"),
    ] {
        assert!(has(method, path), "{method} {path}");
    }
}

#[tokio::test]
async fn operations_answer_without_a_key() {
    let hub = TestHub::start("2026-01-01T00:00:00Z").await;
    for path in ["/livez", "/readyz"] {
        assert_eq!(hub.call("GET", path, None, Vec::new(), &[]).await.expect(200)["status"], "ok");
    }
    let metrics = hub.call("GET", "/metrics", None, Vec::new(), &[]).await.expect(200);
    let Value::String(text) = metrics else { panic!("not text") };
    assert!(text.contains("paidup_"), "{text}");
    assert!(text.trim_end().ends_with("# EOF"));
    hub.stop().await;
}
