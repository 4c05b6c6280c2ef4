//! Discord's own app subscriptions through the whole program: proofs, PINGs, an API that is down or refuses, whose a purchase
//! is. What it tells is in `matrix/discord.rs`.

use crate::support::at;
use crate::support::discord::{Bot, FEB, JAN, MAR, SKU, USER, bought_once, entitlement, snowflake, subscription};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn pings_are_answered_and_forgeries_refused_as_discord_checks_it() {
    let bot = Bot::start(JAN).await;
    let ping = json!({"version": 1, "application_id": "1100000000000000001", "type": 0}).to_string().into_bytes();
    let answer = bot.post(&ping).await;
    assert_eq!((answer.status, answer.body.as_str()), (204, Some("")));
    assert!(answer.headers.contains_key("content-type"), "Discord wants one, although there is no content");
    let path = format!("/ingest/{}", bot.source);
    let proof = bot.proof(&ping);
    let good: Vec<(&str, &str)> = proof.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let other = json!({"version": 1, "application_id": "1100000000000000002", "type": 0}).to_string().into_bytes();
    let other_proof = bot.proof(&other);
    let of_other: Vec<(&str, &str)> = other_proof.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let junk = b"{".to_vec();
    let junk_proof = bot.proof(&junk);
    let of_junk: Vec<(&str, &str)> = junk_proof.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let wrong = "0".repeat(128);
    type Case<'a> = (&'a str, Vec<u8>, Vec<(&'a str, &'a str)>, u16);
    let cases: Vec<Case<'_>> = vec![
        ("nothing", ping.clone(), vec![], 401),
        ("no time", ping.clone(), vec![good[0]], 401),
        ("a wrong signature", ping.clone(), vec![(good[0].0, wrong.as_str()), good[1]], 401),
        ("no hex", ping.clone(), vec![(good[0].0, "x"), good[1]], 401),
        ("another body", [ping.clone(), b" ".to_vec()].concat(), good.clone(), 401),
        ("no JSON", junk, of_junk, 400),
        ("another application", other, of_other, 422),
        ("too large", vec![b' '; 300_000], good.clone(), 413),
        ("right again", ping.clone(), good.clone(), 204),
    ];
    for (name, body, headers, status) in cases {
        let answer = bot.hub.call("POST", &path, None, body, &headers).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.body);
    }
    bot.hub.clock.advance(Duration::from_secs(1000));
    assert_eq!(bot.hub.call("POST", &path, None, ping, &good).await.status, 401, "a copy of long ago");
    assert!(bot.hub.types().await.is_empty());
    bot.stop().await;
}

#[tokio::test]
async fn repeats_and_what_is_about_no_purchase_tell_nothing() {
    let bot = Bot::start(JAN).await;
    bot.bought().await;
    for kind in ["APPLICATION_AUTHORIZED", "APPLICATION_DEAUTHORIZED", "QUEST_USER_ENROLLMENT", "MOON_PHASE"] {
        assert!(bot.tell(JAN, kind, &json!({"user": {"id": USER}})).await.is_empty(), "{kind}");
    }
    let unknown = bot.hub.get("/v1/notifications?outcome=unknown").await;
    assert_eq!(unknown["data"].as_array().map(Vec::len), Some(1), "{unknown}");
    let again = json!({"version": 1, "application_id": "1100000000000000001", "type": 1, "event": {
        "type": "ENTITLEMENT_CREATE", "timestamp": "2026-01-01T00:00:00.001000", "data": entitlement(JAN, json!({}))}});
    let before = bot.hub.types().await.len();
    bot.post(again.to_string().as_bytes()).await.expect(204);
    assert_eq!(bot.hub.types().await.len(), before, "the same event again");
    bot.stop().await;
}

/// The buyer is the customer who is linked to the Discord account, whoever was told first.
#[tokio::test]
async fn a_purchase_belongs_to_whoever_is_linked_to_the_account() {
    let bot = Bot::start(JAN).await;
    let grant = json!({"entitlement": "beta"});
    bot.hub.api("POST", "/v1/customers/user-1/grants", grant).await.expect(201);
    let alias = json!({"alias": format!("discord:{USER}")});
    bot.hub.api("POST", "/v1/customers/user-1/aliases", alias).await.expect(200);
    bot.bought().await;
    let customer = bot.hub.get("/v1/customers/user-1").await;
    assert_eq!(customer["id"], bot.hub.get(&format!("/v1/customers/{USER}")).await["id"]);
    assert_eq!(customer["discord_user_id"], USER);
    assert_eq!(bot.active().await, ["beta", "pro"]);
    bot.stop().await;
}

/// Access does not wait for Discord's API; what only it knows does.
#[tokio::test]
async fn an_api_that_is_down_delays_only_what_it_alone_knows() {
    let bot = Bot::start(JAN).await;
    bot.put(&subscription(JAN, 0, (JAN, FEB), json!({})));
    let limited = json!({"message": "You are being rate limited.", "retry_after": 2.5, "global": false});
    bot.api.refuse(Some((429, limited, vec![("retry-after", "3"), ("x-ratelimit-scope", "shared")])));
    let event = json!({"type": "ENTITLEMENT_CREATE", "timestamp": "2026-01-01T00:00:00.000000", "data": entitlement(JAN, json!({}))});
    let body = json!({"version": 1, "application_id": "1100000000000000001", "type": 1, "event": event}).to_string();
    bot.post(body.as_bytes()).await.expect(204);
    assert_eq!(bot.hub.types().await, ["ACTIVATE", "SUBSCRIPTION_STARTED"]);
    bot.hub.until("a call", async |_| (!bot.api.called().is_empty()).then_some(())).await;
    bot.api.refuse(None);
    bot.hub
        .until("the answer", async |hub| {
            hub.clock.advance(Duration::from_secs(1));
            hub.get("/v1/lookups").await["data"].as_array().is_some_and(Vec::is_empty).then_some(())
        })
        .await;
    let customer = bot.hub.get(&format!("/v1/customers/{USER}")).await;
    assert_eq!(customer["purchases"][0]["period"]["ends_at"], FEB);
    assert_eq!(bot.hub.types().await.len(), 2, "the subscription confirms what its entitlement told");
    bot.stop().await;
}

/// Without a token entitlements are all there is: starts, ends and refunds.
#[tokio::test]
async fn without_a_token_starts_and_ends_are_told() {
    let bot = Bot::start_with(JAN, json!({})).await;
    assert_eq!(
        bot.tell(JAN, "ENTITLEMENT_CREATE", &entitlement(JAN, json!({}))).await,
        ["ACTIVATE", "SUBSCRIPTION_STARTED"]
    );
    let ended = entitlement(JAN, json!({"ends_at": "2026-02-01T00:00:00+00:00"}));
    let told = bot.tell("2026-02-01T00:00:05Z", "ENTITLEMENT_UPDATE", &ended).await;
    assert_eq!(told, ["DEACTIVATE", "SUBSCRIPTION_TERMINATED"]);
    assert!(bot.api.called().is_empty());
    bot.stop().await;
}

/// The hub's own Discord shape gives Discord's own ids back for what was bought at Discord.
#[tokio::test]
async fn discords_own_ids_come_back_in_discords_shape() {
    let bot = Bot::start(JAN).await;
    bot.bought().await;
    let once = bought_once(MAR, json!({}));
    bot.tell(MAR, "ENTITLEMENT_CREATE", &once).await;
    let get = async |path: String| {
        let headers = [("authorization", format!("Bot {}", crate::support::ADMIN_KEY))];
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        bot.hub.call("GET", &format!("/discord/api/v10{path}"), None, Vec::new(), &headers).await.expect(200)
    };
    let subscription = get(format!("/skus/{SKU}/subscriptions/{}", snowflake(JAN, 63))).await;
    assert_eq!(subscription["id"], snowflake(JAN, 63));
    assert_eq!((&subscription["user_id"], &subscription["sku_ids"]), (&json!(USER), &json!([SKU])));
    assert_eq!(subscription["entitlement_ids"], json!([snowflake(JAN, 7)]));
    let all = get(format!("/applications/1100000000000000001/entitlements?user_id={USER}")).await;
    let ids: Vec<&Value> = all.as_array().expect("rows").iter().map(|row| &row["id"]).collect();
    assert_eq!(ids, [&json!(snowflake(JAN, 7)), &json!(snowflake(MAR, 9))]);
    assert_eq!(all[0]["subscription_id"], snowflake(JAN, 63));
    for id in [snowflake(JAN, 7), snowflake(MAR, 9)] {
        let one = get(format!("/applications/1100000000000000001/entitlements/{id}")).await;
        assert_eq!(one["id"], json!(id));
    }
    assert!(at(MAR) > at(FEB));
    bot.stop().await;
}
