//! Discord's API for app subscriptions, served for the purchases of every store.

use crate::support::{ADMIN_KEY, Answer, TestHub, at, observation, reference, start};
use paidup_simulator::standins::discord::{Discord, DiscordOptions};
use serde_json::{Value, json};

const NOW: &str = "2026-01-01T00:00:00Z";
const END: &str = "2026-02-01T00:00:00Z";
const APP: &str = "1019570616722472961";
/// An account, an SKU and a subscription with ids of Discord's own.
const ACCOUNT: &str = "1019653849998299136";
const NATIVE_SKU: &str = "1158857122189168803";
const NATIVE: &str = "1278078770116427839";

struct Stage {
    hub: TestHub,
    source: String,
    /// The SKU of `pro_monthly`.
    sku: String,
}

impl Stage {
    async fn with(settings: &[(&str, &str)]) -> Stage {
        let hub = TestHub::start_with(NOW, settings).await;
        let source = hub.source("generic", json!({})).await;
        hub.map("pro_monthly", &["pro"]).await;
        let sku = sku_of(&hub, "pro_monthly").await;
        Stage { hub, source, sku }
    }

    async fn new() -> Stage {
        Stage::with(&[]).await
    }

    async fn buy(&self, customer: &str, purchase: &str, from: &str) {
        self.hub.observe(&self.source, start(&format!("{purchase}-start"), customer, purchase, from, END)).await;
    }

    async fn tell(&self, at: &str, reason: &str, purchase: &str, more: Value) {
        let id = format!("{purchase}-{reason}-{at}");
        self.hub.observe(&self.source, observation(&id, at, reason, purchase, more)).await;
    }

    async fn get(&self, path: &str) -> Answer {
        ask(&self.hub, path, ADMIN_KEY).await
    }

    async fn user(&self, customer: &str) -> String {
        let answer = self.hub.get(&format!("/v1/customers/{customer}")).await;
        answer["discord_user_id"].as_str().expect("an id").to_owned()
    }

    /// A customer's subscriptions of `pro_monthly`.
    async fn subscriptions(&self, customer: &str, query: &str) -> Vec<Value> {
        let user = self.user(customer).await;
        let path = format!("/skus/{}/subscriptions?user_id={user}{query}", self.sku);
        rows(self.get(&path).await.expect(200))
    }

    async fn entitlements(&self, query: &str) -> Vec<Value> {
        rows(self.get(&format!("/applications/{APP}/entitlements?{query}")).await.expect(200))
    }
}

/// One call as Discord's clients make it.
async fn ask(hub: &TestHub, path: &str, key: &str) -> Answer {
    let authorization = format!("Bot {key}");
    let path = format!("/discord/api/v10{path}");
    hub.call("GET", &path, None, Vec::new(), &[("authorization", &authorization)]).await
}

async fn sku_of(hub: &TestHub, product: &str) -> String {
    hub.get(&format!("/v1/products/{product}")).await["sku_id"].as_str().expect("an SKU").to_owned()
}

fn rows(answer: Value) -> Vec<Value> {
    answer.as_array().expect("a list").clone()
}

fn ids(rows: &[Value]) -> Vec<u64> {
    rows.iter().map(|row| row["id"].as_str().expect("a text").parse().expect("a number")).collect()
}

/// When a snowflake was minted, in milliseconds since 1970.
fn minted(id: &Value) -> u64 {
    (id.as_str().expect("a text").parse::<u64>().expect("a number") >> 22) + 1_420_070_400_000
}

#[tokio::test]
async fn a_life_is_told_as_discord_would_tell_it() {
    for (numbering, active, ending, inactive) in [("contract", 0, 1, 2), ("discord", 0, 2, 1)] {
        let stage = Stage::with(&[("PAIDUP_DISCORD_STATUS_NUMBERING", numbering)]).await;
        stage.buy("user-1", "sub-1", NOW).await;
        let user = stage.user("user-1").await;
        let first = stage.subscriptions("user-1", "").await.remove(0);
        let id = first["id"].as_str().expect("an id").to_owned();
        assert_eq!(minted(&first["id"]), u64::try_from(at(NOW).as_millis()).expect("after 1970"));
        let entitlements = stage.entitlements("").await;
        let entitlement = entitlements[0]["id"].clone();
        let expected = json!({
            "id": id, "user_id": user, "sku_ids": [stage.sku], "entitlement_ids": [entitlement],
            "renewal_sku_ids": [stage.sku], "current_period_start": "2026-01-01T00:00:00.000000+00:00",
            "current_period_end": "2026-02-01T00:00:00.000000+00:00", "status": active, "canceled_at": null
        });
        assert_eq!(first, expected);
        assert_eq!(minted(&entitlement), minted(&first["id"]));
        let path = format!("/skus/{}/subscriptions/{id}", stage.sku);
        assert_eq!(stage.get(&path).await.expect(200), expected);

        let off = json!({"will_renew": false});
        stage.tell("2026-01-10T00:00:00Z", "renewal_disabled", "sub-1", off).await;
        let row = stage.get(&path).await.expect(200);
        assert_eq!((&row["status"], &row["renewal_sku_ids"]), (&json!(ending), &Value::Null));
        assert_eq!(row["canceled_at"], "2026-01-10T00:00:00.000000+00:00");
        assert_eq!(row["entitlement_ids"], json!([entitlement]));

        stage.tell("2026-01-11T00:00:00Z", "renewal_enabled", "sub-1", json!({"will_renew": true})).await;
        let row = stage.get(&path).await.expect(200);
        assert_eq!((&row["status"], &row["canceled_at"]), (&json!(active), &Value::Null));

        let renewal = json!({
            "transaction_id": "sub-1-2", "period": {"starts_at": END, "ends_at": "2026-03-01T00:00:00Z"}
        });
        stage.tell(END, "renewed", "sub-1", renewal).await;
        let row = stage.get(&path).await.expect(200);
        assert_eq!(row["current_period_end"], "2026-03-01T00:00:00.000000+00:00");
        assert_eq!((&row["id"], &row["entitlement_ids"]), (&json!(id), &json!([entitlement])), "kept over a renewal");

        stage.tell("2026-02-03T00:00:00Z", "billing_retry_started", "sub-1", json!({"billing_retry": true})).await;
        let row = stage.get(&path).await.expect(200);
        assert_eq!((&row["status"], &row["entitlement_ids"]), (&json!(active), &json!([])), "still to be charged");

        stage.tell("2026-02-20T00:00:00Z", "expired", "sub-1", json!({})).await;
        let row = stage.get(&path).await.expect(200);
        assert_eq!((&row["status"], &row["renewal_sku_ids"]), (&json!(inactive), &Value::Null));
        stage.hub.stop().await;
    }
}

#[tokio::test]
async fn pages_go_in_both_directions_and_end() {
    let stage = Stage::new().await;
    for number in 1..=7 {
        stage.buy("user-1", &format!("sub-{number}"), &format!("2026-01-0{number}T00:00:00Z")).await;
    }
    stage.buy("user-2", "other", "2026-01-05T12:00:00Z").await;
    let all = ids(&stage.subscriptions("user-1", "").await);
    assert_eq!(all.len(), 7);
    assert!(all.is_sorted());
    for (name, query, expected) in [
        ("the first", "&limit=3".to_owned(), &all[..3]),
        ("after the third", format!("&after={}&limit=3", all[2]), &all[3..6]),
        ("the last, short", format!("&after={}&limit=3", all[5]), &all[6..]),
        ("past the end", format!("&after={}", all[6]), &[]),
        ("from zero", "&after=0&limit=2".to_owned(), &all[..2]),
        ("before the fifth", format!("&before={}&limit=3", all[4]), &all[1..4]),
        ("before the second, short", format!("&before={}&limit=3", all[1]), &all[..1]),
        ("before the beginning", format!("&before={}", all[0]), &[]),
        ("the last of all", "&before=9223372036854775807&limit=2".to_owned(), &all[5..]),
        ("between", format!("&after={}&before={}", all[1], all[5]), &all[2..5]),
        ("between, lowest first", format!("&after={}&before={}&limit=2", all[1], all[5]), &all[2..4]),
        ("between neighbours", format!("&after={}&before={}", all[1], all[2]), &[]),
        ("crossed", format!("&after={}&before={}", all[5], all[1]), &[]),
    ] {
        assert_eq!(ids(&stage.subscriptions("user-1", &query).await), expected, "{name}");
    }

    let all = ids(&stage.entitlements("").await);
    assert_eq!(all.len(), 8, "everybody's");
    let mut upwards = Vec::new();
    while let page @ [_, ..] =
        &*ids(&stage.entitlements(&format!("limit=3&after={}", upwards.last().unwrap_or(&0))).await)
    {
        upwards.extend_from_slice(page);
    }
    assert_eq!(upwards, all);
    let mut downwards: Vec<u64> = Vec::new();
    while let page @ [_, ..] =
        &*ids(&stage.entitlements(&format!("limit=3&before={}", downwards.first().unwrap_or(&(1 << 62)))).await)
    {
        downwards.splice(0..0, page.iter().copied());
    }
    assert_eq!(downwards, all);
    stage.hub.stop().await;
}

#[tokio::test]
async fn what_does_not_fit_is_refused_in_discords_words() {
    let stage = Stage::new().await;
    stage.buy("user-1", "sub-1", NOW).await;
    let user = stage.user("user-1").await;
    let snowflakes = [
        ("abc", "NUMBER_TYPE_COERCE", "Value \"abc\" is not snowflake."),
        ("-1", "NUMBER_TYPE_COERCE", "Value \"-1\" is not snowflake."),
        ("012", "NUMBER_TYPE_COERCE", "Value \"012\" is not snowflake."),
        ("1.5", "NUMBER_TYPE_COERCE", "Value \"1.5\" is not snowflake."),
        ("", "NUMBER_TYPE_COERCE", "Value \"\" is not snowflake."),
        (
            "9223372036854775808",
            "NUMBER_TYPE_MAX",
            "snowflake value should be less than or equal to 9223372036854775807.",
        ),
        (
            "99999999999999999999999",
            "NUMBER_TYPE_MAX",
            "snowflake value should be less than or equal to 9223372036854775807.",
        ),
    ];
    let mut table = Vec::new();
    for (text, code, message) in snowflakes {
        for name in ["before", "after", "user_id"] {
            let others = if name == "user_id" { String::new() } else { format!("&user_id={user}") };
            table.push((format!("/skus/{}/subscriptions?{name}={text}{others}", stage.sku), name, code, message));
        }
        for name in ["before", "after", "user_id", "guild_id"] {
            table.push((format!("/applications/{APP}/entitlements?{name}={text}"), name, code, message));
        }
        if !text.is_empty() {
            table.push((format!("/skus/{text}/subscriptions?user_id={user}"), "sku_id", code, message));
            table.push((format!("/skus/{}/subscriptions/{text}", stage.sku), "subscription_id", code, message));
            table.push((format!("/applications/{text}/skus"), "application_id", code, message));
        }
    }
    for (text, code, message) in [
        ("0", "NUMBER_TYPE_MIN", "int value should be greater than or equal to 1."),
        ("-5", "NUMBER_TYPE_MIN", "int value should be greater than or equal to 1."),
        ("101", "NUMBER_TYPE_MAX", "int value should be less than or equal to 100."),
        ("ten", "NUMBER_TYPE_COERCE", "Value \"ten\" is not int."),
    ] {
        table.push((format!("/skus/{}/subscriptions?limit={text}&user_id={user}", stage.sku), "limit", code, message));
        table.push((format!("/applications/{APP}/entitlements?limit={text}"), "limit", code, message));
    }
    table.push((
        format!("/skus/{}/subscriptions", stage.sku),
        "user_id",
        "BASE_TYPE_REQUIRED",
        "This field is required",
    ));
    for (path, name, code, message) in table {
        let leaf = json!({"_errors": [{"code": code, "message": message}]});
        let expected = json!({"code": 50035, "message": "Invalid Form Body", "errors": {name: leaf}});
        assert_eq!(stage.get(&path).await.expect(400), expected, "{path}");
    }
    let several = stage.get("/skus/x/subscriptions?limit=0&before=y").await.expect(400);
    let names: Vec<&String> = several["errors"].as_object().expect("errors").keys().collect();
    assert_eq!(names, ["before", "limit", "sku_id", "user_id"], "all at once");
    stage.hub.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_not_found_in_discords_words() {
    let stage = Stage::new().await;
    stage.hub.map("pro_yearly", &["pro"]).await;
    stage.buy("user-1", "sub-1", NOW).await;
    stage.buy("user-2", "sub-2", NOW).await;
    let (user, stranger) = (stage.user("user-1").await, stage.user("user-2").await);
    let id = stage.subscriptions("user-1", "").await[0]["id"].as_str().expect("an id").to_owned();
    let (sku, other) = (&stage.sku, sku_of(&stage.hub, "pro_yearly").await);
    let unknown_sku = json!({"code": 10027, "message": "Unknown SKU"});
    let unknown_subscription = json!({"code": 100_003, "message": "Unknown Subscription"});
    for (path, expected) in [
        (format!("/skus/1/subscriptions?user_id={user}"), &unknown_sku),
        (format!("/skus/1/subscriptions/{id}"), &unknown_sku),
        (format!("/skus/{sku}/subscriptions/1"), &unknown_subscription),
        (format!("/skus/{other}/subscriptions/{id}"), &unknown_subscription),
        (format!("/skus/{sku}/subscriptions/{id}?user_id={stranger}"), &unknown_subscription),
        (format!("/skus/{sku}/subscriptions/{id}?user_id=5"), &unknown_subscription),
        (format!("/applications/{APP}/entitlements/{id}"), &json!({"code": 10029, "message": "Unknown Entitlement"})),
        ("/nothing".to_owned(), &json!({"code": 0, "message": "404: Not Found"})),
    ] {
        assert_eq!(stage.get(&path).await.expect(404), *expected, "{path}");
    }
    stage.get(&format!("/skus/{sku}/subscriptions/{id}?user_id={user}")).await.expect(200);
    for path in [format!("/skus/{sku}/subscriptions?user_id=5"), format!("/skus/{other}/subscriptions?user_id={user}")]
    {
        assert_eq!(stage.get(&path).await.expect(200), json!([]), "{path}");
    }

    let authorization = format!("Bot {ADMIN_KEY}");
    let call = async |method: &str, path: &str| {
        stage.hub.call(method, path, None, Vec::new(), &[("authorization", &authorization)]).await
    };
    let path = format!("/discord/api/v10/skus/{sku}/subscriptions/{id}");
    let refused = call("POST", &path).await.expect(405);
    assert_eq!(refused, json!({"code": 0, "message": "405: Method Not Allowed"}));
    let expected = call("GET", &path).await.expect(200);
    for version in ["/v9", ""] {
        assert_eq!(call("GET", &path.replace("/v10", version)).await.expect(200), expected, "{version:?}");
    }
    let refused = call("GET", &path.replace("/v10", "/v3")).await.expect(400);
    assert_eq!(refused, json!({"code": 50041, "message": "Invalid API version provided"}));
    stage.hub.stop().await;
}

#[tokio::test]
async fn keys_open_it_by_their_scopes_and_only_admins_see_countries() {
    let stage = Stage::new().await;
    let mut bought = start("n1", "user-1", "sub-1", NOW, END);
    bought["country"] = json!("DE");
    stage.hub.observe(&stage.source, bought).await;
    let user = stage.user("user-1").await;
    let path = format!("/skus/{}/subscriptions?user_id={user}", stage.sku);
    let key = async |scopes: &[&str]| {
        let made = stage.hub.api("POST", "/v1/keys", json!({"name": "bot", "scopes": scopes})).await.expect(201);
        made["key"].as_str().expect("a key").to_owned()
    };
    for (scopes, country) in [(&["read"][..], Value::Null), (&["write"], Value::Null), (&["admin"], json!("DE"))] {
        let row = ask(&stage.hub, &path, &key(scopes).await).await.expect(200)[0].clone();
        assert_eq!(row["country"], country, "{scopes:?}");
        assert_eq!(row.get("country").is_some(), country != Value::Null, "{scopes:?}: left out, not null");
    }
    let lacking = ask(&stage.hub, &path, &key(&["ingest"]).await).await.expect(403);
    assert_eq!(lacking, json!({"code": 50001, "message": "Missing Access"}));

    let full = format!("/discord/api/v10{path}");
    for authorization in ["", "Bot", "Bot ", "Bot pk_unknown", "Bearer ", &format!("Bearer {ADMIN_KEY}"), "Basic x"] {
        let answer = stage.hub.call("GET", &full, None, Vec::new(), &[("authorization", authorization)]).await;
        assert_eq!(answer.expect(401), json!({"code": 0, "message": "401: Unauthorized"}), "{authorization:?}");
    }
    stage.hub.stop().await;
}

#[tokio::test]
async fn a_user_reads_what_is_theirs_with_their_own_token() {
    let discord = Discord::start(DiscordOptions::default()).await.expect("a stand-in");
    let stage = Stage::with(&[("PAIDUP_DISCORD_API_URL", &discord.api_url())]).await;
    discord.add_user("token-of-the-buyer", ACCOUNT.parse().expect("an id"));
    discord.add_user("token-of-somebody", 42);
    stage.buy("user-1", "sub-1", NOW).await;
    stage.buy("user-2", "sub-2", NOW).await;
    let linked = json!({"alias": format!("discord:{ACCOUNT}")});
    stage.hub.api("POST", "/v1/customers/user-1/aliases", linked).await.expect(200);
    let base = format!("/discord/api/v10/skus/{}/subscriptions", stage.sku);
    let read = async |token: &str, more: &str| {
        let authorization = format!("Bearer {token}");
        let path = format!("{base}{more}");
        stage.hub.call("GET", &path, None, Vec::new(), &[("authorization", &authorization)]).await
    };
    let mine = rows(read("token-of-the-buyer", "").await.expect(200));
    assert_eq!(mine.len(), 1);
    assert_eq!(mine[0]["user_id"], ACCOUNT);
    assert!(mine[0].get("country").is_none());
    let id = mine[0]["id"].as_str().expect("an id");
    assert_eq!(read("token-of-the-buyer", &format!("?user_id={ACCOUNT}")).await.expect(200), json!(mine));
    assert_eq!(read("token-of-the-buyer", &format!("/{id}")).await.expect(200), mine[0]);
    assert_eq!(discord.users_asked(), 1, "what Discord said counts for a while");

    assert_eq!(read("token-of-somebody", "").await.expect(200), json!([]), "an account that nobody linked has nothing");
    assert_eq!(read("token-of-somebody", &format!("/{id}")).await.expect(404)["code"], 100_003);
    let other = stage.user("user-2").await;
    assert_eq!(read("token-of-the-buyer", &format!("?user_id={other}")).await.expect(403)["code"], 50001);
    let of_other = stage.subscriptions("user-2", "").await[0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(read("token-of-the-buyer", &format!("/{of_other}")).await.expect(404)["code"], 100_003);
    assert_eq!(read("made-up", "").await.expect(401), json!({"code": 0, "message": "401: Unauthorized"}));
    for path in [format!("/applications/{APP}/entitlements"), format!("/applications/{APP}/skus")] {
        let headers = [("authorization", "Bearer token-of-the-buyer")];
        let answer = stage.hub.call("GET", &format!("/discord/api/v10{path}"), None, Vec::new(), &headers).await;
        assert_eq!(answer.expect(403)["code"], 50001, "{path} is for bots");
    }
    let asked = discord.users_asked();
    assert_eq!(read(ADMIN_KEY, "").await.status, 401);
    assert_eq!(discord.users_asked(), asked, "our own keys are not shown to Discord");
    stage.hub.stop().await;
}

#[tokio::test]
async fn calls_are_counted_for_each_key_and_refused_when_there_are_too_many() {
    let stage = Stage::new().await;
    let path = format!("/applications/{APP}/skus");
    let header = |answer: &Answer, name: &str| answer.headers[name].to_str().expect("text").to_owned();
    // The hub's clock stands still, so all of these are in one window.
    let first = stage.get(&path).await;
    let limit: u32 = header(&first, "x-ratelimit-limit").parse().expect("a number");
    assert_eq!(header(&first, "x-ratelimit-remaining"), (limit - 1).to_string());
    assert_eq!(header(&first, "x-ratelimit-reset"), "1767225601.000");
    assert_eq!(header(&first, "x-ratelimit-reset-after"), "1.000");
    assert_eq!(header(&first, "x-ratelimit-bucket").len(), 16);
    for _ in 1..limit {
        stage.get(&path).await.expect(200);
    }
    let refused = stage.get(&path).await;
    assert_eq!((header(&refused, "retry-after"), header(&refused, "x-ratelimit-scope")), ("2".into(), "user".into()));
    let expected = json!({"code": 0, "message": "You are being rate limited.", "retry_after": 1.0, "global": false});
    assert_eq!(refused.expect(429), expected);
    stage.entitlements("").await;
    stage.hub.clock.advance(std::time::Duration::from_secs(1));
    stage.get(&path).await.expect(200);
    stage.hub.stop().await;
}

#[tokio::test]
async fn entitlements_are_filtered_as_discord_does() {
    let stage = Stage::new().await;
    for (product, purchase) in [("pro_monthly", "runs"), ("pro_monthly", "ended"), ("pro_monthly", "refunded")] {
        let mut bought = start(purchase, purchase, purchase, NOW, END);
        bought["product_id"] = json!(product);
        stage.hub.observe(&stage.source, bought).await;
    }
    let once = json!({"store": "PLAY_STORE", "customer_id": "once", "kind": "non_consumable", "product_id": "badge"});
    stage.tell(NOW, "one_time_purchased", "once", once).await;
    let mut test = start("test", "test", "test", NOW, END);
    test["environment"] = json!("SANDBOX");
    stage.hub.observe(&stage.source, test).await;
    stage.tell("2026-01-02T00:00:00Z", "expired", "ended", json!({})).await;
    let refund = json!({"refund": {"transaction_id": "refunded-1"}});
    stage.tell("2026-01-03T00:00:00Z", "refunded", "refunded", refund).await;
    stage
        .hub
        .api("POST", "/v1/customers/gift/grants", json!({"entitlement": "pro", "duration": "P7D"}))
        .await
        .expect(201);
    stage.hub.clock.set(at("2026-01-04T00:00:00Z"));

    let mut names = std::collections::BTreeMap::new();
    for name in ["runs", "ended", "refunded", "once", "test", "gift"] {
        names.insert(stage.user(name).await, name);
    }
    let shown = async |query: &str| {
        let rows = stage.entitlements(query).await;
        let mut shown: Vec<&str> = rows.iter().map(|row| names[row["user_id"].as_str().expect("an id")]).collect();
        shown.sort_unstable();
        shown
    };
    let (badge, runs) = (sku_of(&stage.hub, "badge").await, stage.user("runs").await);
    let all = ["ended", "gift", "once", "refunded", "runs", "test"];
    assert_eq!(shown("exclude_deleted=false").await, all);
    assert_eq!(shown("").await, ["ended", "gift", "once", "runs", "test"], "what was deleted is left out unasked");
    assert_eq!(shown("exclude_ended=true").await, ["gift", "once", "runs", "test"]);
    assert_eq!(shown("only_active=1&exclude_deleted=0").await, ["gift", "once", "runs", "test"]);
    assert_eq!(shown(&format!("sku_ids={badge},1")).await, ["once"]);
    assert_eq!(shown(&format!("user_id={runs}")).await, ["runs"]);
    assert_eq!(shown("user_id=5").await, [""; 0]);
    assert_eq!(shown("guild_id=5").await, [""; 0]);

    let rows = stage.entitlements("exclude_deleted=false").await;
    let row = |name: &str| {
        rows.iter().find(|row| names[row["user_id"].as_str().expect("an id")] == name).expect("a row").clone()
    };
    for (name, number, ends_at) in [
        ("runs", 8, Value::Null),
        ("ended", 8, json!("2026-01-02T00:00:00.000000+00:00")),
        ("refunded", 8, json!("2026-01-03T00:00:00.000000+00:00")),
        ("once", 1, Value::Null),
        ("test", 4, Value::Null),
        ("gift", 3, json!("2026-01-08T00:00:00.000000+00:00")),
    ] {
        let row = row(name);
        assert_eq!((&row["type"], &row["ends_at"]), (&json!(number), &ends_at), "{name}");
        assert_eq!((&row["deleted"], &row["application_id"]), (&json!(name == "refunded"), &json!(APP)), "{name}");
        let path = format!("/applications/{APP}/entitlements/{}", row["id"].as_str().expect("an id"));
        assert_eq!(stage.get(&path).await.expect(200), row, "{name}");
    }
    let skus = rows_of_skus(&stage).await;
    assert_eq!(skus[&row("gift")["sku_id"].to_string()], json!([2, "pro"]), "a grant's SKU is its entitlement");
    assert_eq!(skus[&json!(badge).to_string()], json!([2, "badge"]));
    assert_eq!(skus[&json!(stage.sku).to_string()], json!([5, "pro_monthly"]));
    stage.hub.stop().await;
}

async fn rows_of_skus(stage: &Stage) -> std::collections::BTreeMap<String, Value> {
    let skus = rows(stage.get(&format!("/applications/{APP}/skus")).await.expect(200));
    skus.iter().map(|sku| (sku["id"].to_string(), json!([sku["type"], sku["name"]]))).collect()
}

#[tokio::test]
async fn discords_own_ids_are_kept_and_accounts_answer_to_both() {
    let stage = Stage::new().await;
    let native = json!({
        "store": "DISCORD", "customer_id": ACCOUNT, "kind": "subscription", "product_id": NATIVE_SKU,
        "period": {"starts_at": "2024-08-27T19:48:44.406Z", "ends_at": END}, "will_renew": true
    });
    stage.tell(NOW, "purchased", NATIVE, native).await;
    stage.buy("user-1", "sub-1", NOW).await;
    assert_eq!(sku_of(&stage.hub, NATIVE_SKU).await, NATIVE_SKU);
    let path = format!("/skus/{NATIVE_SKU}/subscriptions?user_id={ACCOUNT}");
    let row = stage.get(&path).await.expect(200)[0].clone();
    assert_eq!((&row["id"], &row["user_id"]), (&json!(NATIVE), &json!(ACCOUNT)));
    assert_eq!(stage.user(ACCOUNT).await, ACCOUNT);

    let own = stage.user("user-1").await;
    const LINKED: &str = "1019653849998299137";
    let alias = json!({"alias": format!("discord:{LINKED}")});
    stage.hub.api("POST", "/v1/customers/user-1/aliases", alias).await.expect(200);
    assert_eq!(stage.user("user-1").await, LINKED);
    for user in [LINKED, &own] {
        let path = format!("/skus/{}/subscriptions?user_id={user}", stage.sku);
        assert_eq!(stage.get(&path).await.expect(200)[0]["user_id"], LINKED, "{user}");
    }
    stage.hub.stop().await;
}

#[tokio::test]
async fn ids_stay_over_a_restart_and_a_merge() {
    let stage = Stage::new().await;
    stage.buy("user-1", "sub-1", NOW).await;
    stage.buy("user-2", "sub-2", NOW).await;
    let (sku, user, gone) = (stage.sku.clone(), stage.user("user-1").await, stage.user("user-2").await);
    let before = stage.entitlements("").await;
    assert_eq!(before.len(), 2);
    let stage = Stage { hub: stage.hub.restart().await, source: stage.source, sku: stage.sku };
    assert_eq!((sku_of(&stage.hub, "pro_monthly").await, stage.user("user-1").await), (sku, user.clone()));
    assert_eq!(stage.entitlements("").await, before);
    stage.hub.api("POST", "/v1/customers/user-1/aliases", json!({"alias": "user-2"})).await.expect(200);
    for id in [&user, &gone] {
        let path = format!("/skus/{}/subscriptions?user_id={id}", stage.sku);
        let rows = rows(stage.get(&path).await.expect(200));
        assert_eq!(rows.len(), 2, "{id}");
        assert!(rows.iter().all(|row| row["user_id"] == json!(user)), "{rows:?}");
    }
    stage.hub.stop().await;
}

/// Discord's own document, for every row that the other tests look at. Its list of entitlement types has two members
/// (its page has nine), so other types are held to it as if they were one of these.
#[tokio::test]
async fn answers_are_valid_by_discords_schemas() {
    let Some(reference) = reference() else { return };
    let text = std::fs::read(reference.join("openapi/discord.json")).expect("Discord's document");
    let document: Value = serde_json::from_slice(&text).expect("JSON");
    let validator = |name: &str| {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$ref": format!("#/components/schemas/{name}"), "components": document["components"]
        });
        jsonschema::options().should_validate_formats(true).build(&schema).expect("a schema")
    };
    let stage = Stage::new().await;
    for (number, reason, more) in [
        (1, None, json!({})),
        (2, Some("renewal_disabled"), json!({"will_renew": false})),
        (3, Some("expired"), json!({})),
        (4, Some("refunded"), json!({"refund": {"transaction_id": "sub-4-1"}})),
        (5, Some("product_change_scheduled"), json!({"pending_product_id": "pro_yearly"})),
        (6, Some("billing_retry_started"), json!({"billing_retry": true})),
        (7, Some("paused"), json!({"pause": {}})),
    ] {
        let purchase = format!("sub-{number}");
        let mut bought = start(&purchase, "user-1", &purchase, NOW, END);
        bought["country"] = json!("DE");
        stage.hub.observe(&stage.source, bought).await;
        if let Some(reason) = reason {
            stage.tell("2026-01-02T00:00:00Z", reason, &purchase, more).await;
        }
    }
    stage.hub.api("POST", "/v1/customers/gift/grants", json!({"entitlement": "pro"})).await.expect(201);
    let check = |name: &str, row: &Value| {
        let validator = validator(name);
        let errors: Vec<String> = validator.iter_errors(row).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}\n{row}");
    };
    assert!(!validator("SubscriptionResponse").is_valid(&json!({"id": "01"})), "the schema says something");
    let subscriptions = stage.subscriptions("user-1", "").await;
    assert_eq!(subscriptions.len(), 7);
    for row in &subscriptions {
        check("SubscriptionResponse", row);
    }
    for mut row in stage.entitlements("exclude_deleted=false").await {
        if row["type"] != 8 {
            assert_eq!(row["type"], 3);
            row["type"] = json!(8);
        }
        check("EntitlementResponse", &row);
    }
    for path in ["/nothing", "/skus/1/subscriptions/1"] {
        check("ErrorResponse", &stage.get(path).await.expect(404));
    }
    stage.hub.stop().await;
}
