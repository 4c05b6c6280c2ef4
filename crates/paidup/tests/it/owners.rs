//! Every purchase finds its owner: claims by an app's backend, the restore policies, aliases and merges, transfers.

use crate::support::stripe::{Api, Shape, Shop};
use crate::support::{ADMIN_KEY, Receiver, TestHub, at, observation, start};
use paidup_hub::clock::Clock;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const FROM: &str = "2026-01-01T00:00:00Z";
const TO: &str = "2026-02-01T00:00:00Z";
const SUBSCRIPTION: &str = "/v1/subscriptions/sub_1?expand[]=latest_invoice";

async fn hub_with(settings: &[(&str, &str)]) -> (TestHub, String) {
    let hub = TestHub::start_with(FROM, settings).await;
    let source = hub.source("generic", json!({})).await;
    hub.map("pro_monthly", &["pro"]).await;
    (hub, source)
}

/// A start of a subscription that names nobody.
fn unclaimed(id: &str, purchase: &str) -> Value {
    let mut body = start(id, "nobody", purchase, FROM, TO);
    body.as_object_mut().expect("an object").remove("customer_id");
    body
}

async fn active(hub: &TestHub, customer: &str) -> Value {
    hub.get(&format!("/v1/customers/{customer}/entitlements")).await["active"].clone()
}

async fn claim(hub: &TestHub, customer: &str, source: &str, purchase: &str) -> crate::support::Answer {
    let body = json!({"source_id": source, "subscription_id": purchase});
    hub.api("POST", &format!("/v1/customers/{customer}/purchases"), body).await
}

/// Folds the journal into an empty database: the same bytes.
async fn rebuilds(hub: &TestHub) {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("again.db").display());
    let into: Arc<dyn paidup_store::Store> =
        paidup_store::open(&url, paidup_store::OpenOptions::default()).await.expect("a database");
    let report = paidup_hub::rebuild::verify(&hub.hub, &into, &|_, _| {}).await.expect("a report");
    assert!(report.is_equal(), "{:#?}", report.mismatches);
}

#[tokio::test]
async fn a_claim_answers_the_entitlements_and_what_happened() {
    let (hub, source) = hub_with(&[]).await;
    hub.observe(&source, unclaimed("n1", "sub-1")).await;
    let first = claim(&hub, "user-1", &source, "sub-1").await.expect(200);
    let entitlements = hub.get("/v1/customers/user-1/entitlements").await;
    for name in ["customer_id", "active", "entitlements"] {
        assert_eq!(first[name], entitlements[name], "{name}");
    }
    assert_eq!(first["active"], json!(["pro"]));
    assert_eq!(first["purchases"][0]["outcome"], "bound");
    assert_eq!(first["purchases"][0]["id"], hub.get("/v1/customers/user-1").await["purchases"][0]["id"]);
    let again = claim(&hub, "user-1", &source, "sub-1").await.expect(200);
    assert_eq!(again["purchases"][0]["outcome"], "already_theirs");
    assert_eq!(hub.types().await.len(), 3, "the anonymous owner got a name, and nothing was told of it");
    rebuilds(&hub).await;
    hub.stop().await;
}

#[tokio::test]
async fn a_claim_before_the_stores_notification_waits_for_it() {
    let (hub, source) = hub_with(&[]).await;
    let waits = claim(&hub, "user-1", &source, "sub-1").await.expect(202);
    assert_eq!(waits["customer_id"], Value::Null);
    assert_eq!(waits["pending"]["waits_for_notification"], true);
    assert_eq!(hub.api("GET", "/v1/customers/user-1", Value::Null).await.status, 404);
    let hub = hub.restart().await;
    hub.observe(&source, unclaimed("n1", "sub-1")).await;
    assert_eq!(active(&hub, "user-1").await, json!(["pro"]));
    let told = hub.events().await;
    assert!(told.iter().all(|event| event["customer"]["app_user_id"] == "user-1"), "theirs from the first event on");
    assert_eq!(told.len(), 3);
    let key = ("idempotency-key", "once");
    let body = json!({"source_id": source, "subscription_id": "sub-1"}).to_string();
    let post = async || {
        let path = "/v1/customers/user-1/purchases";
        hub.call("POST", path, Some(ADMIN_KEY), body.clone().into_bytes(), &[key]).await
    };
    let (one, two) = (post().await, post().await);
    assert_eq!((one.status, &one.body), (200, &two.body));
    assert_eq!(two.headers.get("idempotent-replayed").and_then(|value| value.to_str().ok()), Some("true"));
    rebuilds(&hub).await;
    hub.stop().await;
}

#[tokio::test]
async fn claims_that_cannot_be_are_refused_where_they_are_wrong() {
    let (hub, source) = hub_with(&[("PAIDUP_RESTORE_POLICY", "keep")]).await;
    hub.observe(&source, start("n1", "user-1", "sub-1", FROM, TO)).await;
    let nobody = format!("src_{}", "0".repeat(26));
    for (body, status, pointer, words) in [
        (json!({"source_id": nobody, "subscription_id": "s"}), 422, "/source_id", "no such source"),
        (json!({"source_id": "x", "subscription_id": "s"}), 422, "/source_id", "no such source"),
        (json!({"source_id": source, "purchase_token": "t"}), 422, "/purchase_token", "takes subscription_id"),
        (json!({"source_id": source}), 422, "/subscription_id", "missing"),
        (json!({"source_id": source, "subscription_id": ""}), 422, "/subscription_id", "1 to 200"),
        (json!({"source_id": source, "subscription_id": "sub-1"}), 409, "", "belongs to another customer"),
    ] {
        let refused = hub.api("POST", "/v1/customers/user-2/purchases", body.clone()).await;
        assert_eq!(refused.status, status, "{body}: {}", refused.body);
        assert!(refused.body["detail"].as_str().is_some_and(|detail| detail.contains(words)), "{}", refused.body);
        if !pointer.is_empty() {
            assert_eq!(refused.body["errors"][0]["pointer"], pointer, "{}", refused.body);
        }
    }
    let unknown = hub.api("POST", "/v1/customers/user-2/purchases", json!({"source_id": source, "receipt": 1})).await;
    assert!([400, 422].contains(&unknown.status), "{}", unknown.body);
    assert_eq!(hub.api("GET", "/v1/customers/user-2", Value::Null).await.status, 404, "nobody was made");
    assert_eq!(active(&hub, "user-1").await, json!(["pro"]));
    let read = hub.api("POST", "/v1/keys", json!({"name": "k", "scopes": ["read"]})).await.expect(201);
    let body = json!({"source_id": source, "subscription_id": "sub-1"}).to_string().into_bytes();
    for path in ["/v1/customers/user-1/purchases", "/v1/customers/user-1/transfer"] {
        assert_eq!(hub.call("POST", path, read["key"].as_str(), body.clone(), &[]).await.status, 403, "{path}");
    }
    hub.stop().await;
}

#[tokio::test]
async fn revenuecats_transfer_is_told_between_identified_customers_only() {
    let (hub, source) = hub_with(&[]).await;
    let receiver = Receiver::start().await;
    let config = json!({"url": receiver.url("/hook"), "format": "revenuecat"});
    hub.api("POST", "/v1/destinations", json!({"type": "webhook", "name": "rc", "config": config})).await.expect(201);
    hub.observe(&source, unclaimed("n1", "sub-1")).await;
    hub.observe(&source, start("n2", "user-1", "sub-2", FROM, TO)).await;
    assert_eq!(claim(&hub, "user-1", &source, "sub-1").await.expect(200)["purchases"][0]["outcome"], "bound");
    let moved = claim(&hub, "user-2", &source, "sub-1").await.expect(200);
    assert_eq!(moved["purchases"][0]["outcome"], "transferred");
    let transfer = hub
        .until("the transfer", async |_| {
            let came = receiver.requests();
            came.iter().find(|one| one.body["event"]["type"] == "TRANSFER").map(|one| one.body["event"].clone())
        })
        .await;
    let from: Vec<&str> =
        transfer["transferred_from"].as_array().expect("ids").iter().filter_map(Value::as_str).collect();
    assert!(from.contains(&"user-1"), "{transfer}");
    assert_eq!(transfer["transferred_to"], json!(["user-2"]));
    let transfers = receiver.requests().iter().filter(|one| one.body["event"]["type"] == "TRANSFER").count();
    assert_eq!(transfers, 1, "none when the anonymous owner became user-1");
    let of_old = hub.get("/v1/events?customer=user-1&type=SUBSCRIPTION_TRANSFERRED&limit=1").await;
    assert_eq!(of_old["data"][0]["details"]["transferred_to"], json!(["user-2"]));
    let of_new = hub.get("/v1/events?customer=user-2&type=SUBSCRIPTION_RECEIVED").await;
    assert_eq!(of_new["data"].as_array().expect("rows").len(), 1);
    rebuilds(&hub).await;
    hub.stop().await;
}

#[tokio::test]
async fn a_sandbox_purchase_goes_by_its_own_policy_and_answers_its_own_entitlements() {
    let settings = [("PAIDUP_RESTORE_POLICY", "keep"), ("PAIDUP_RESTORE_POLICY_SANDBOX", "transfer")];
    let (hub, source) = hub_with(&settings).await;
    let mut test = start("n1", "user-1", "sub-1", FROM, TO);
    test["environment"] = json!("SANDBOX");
    hub.observe(&source, test).await;
    hub.observe(&source, start("n2", "user-1", "sub-2", FROM, TO)).await;
    let moved = claim(&hub, "user-2", &source, "sub-1").await.expect(200);
    assert_eq!((&moved["purchases"][0]["environment"], &moved["active"]), (&json!("SANDBOX"), &json!(["pro"])));
    assert_eq!(active(&hub, "user-2").await, json!([]), "tests unlock nothing for real money");
    assert_eq!(claim(&hub, "user-2", &source, "sub-2").await.status, 409);
    hub.stop().await;
}

#[tokio::test]
async fn stripe_is_asked_at_once() {
    let api = Api::start().await;
    let shop = Shop::open_asking(FROM, &api).await;
    shop.hub.map("price_a", &["pro"]).await;
    let mut subscription = shop.subscription("active", "price_a", FROM, TO);
    subscription["metadata"] = json!({});
    api.put(SUBSCRIPTION, subscription);
    let bound = claim(&shop.hub, "user-1", &shop.source, "sub_1").await.expect(200);
    assert_eq!((&bound["active"], &bound["purchases"][0]["outcome"]), (&json!(["pro"]), &json!("bound")));
    let customer = shop.hub.get("/v1/customers/user-1").await;
    assert_eq!(
        shop.hub.get("/v1/customers/cus_1").await["id"],
        customer["id"],
        "the store's name of the buyer is theirs"
    );
    let unknown = claim(&shop.hub, "user-1", &shop.source, "sub_2").await;
    assert_eq!(unknown.status, 422, "{}", unknown.body);
    assert!(unknown.body["detail"].as_str().is_some_and(|detail| detail.contains("404")), "{}", unknown.body);
    let odd = claim(&shop.hub, "user-1", &shop.source, "../customers").await;
    assert_eq!((odd.status, &odd.body["errors"][0]["pointer"]), (422, &json!("/subscription_id")));
    rebuilds(&shop.hub).await;
    shop.stop().await;
}

#[tokio::test]
async fn a_store_that_is_down_binds_the_purchase_when_it_is_back() {
    let api = Api::start().await;
    let shop = Shop::open_asking(FROM, &api).await;
    shop.hub.map("price_a", &["pro"]).await;
    let mut subscription = shop.subscription("active", "price_a", FROM, TO);
    subscription["metadata"] = json!({});
    api.put(SUBSCRIPTION, subscription);
    api.always(Some(503));
    let waits = claim(&shop.hub, "user-1", &shop.source, "sub_1").await.expect(202);
    let row = &waits["pending"]["lookups"][0];
    assert_eq!((&row["name"], &row["last_error"]), (&json!("subscription/sub_1"), &json!("the store answered 503")));
    assert_eq!(shop.hub.get("/v1/lookups").await["data"][0]["id"], row["id"], "the operator sees it");
    let url = api.url();
    let settings = [("PAIDUP_STRIPE_API_URL", url.as_str()), ("PAIDUP_ALLOW_PRIVATE_TARGETS", "")];
    let hub = shop.hub.restart_with(&settings).await;
    api.always(None);
    hub.clock.advance(Duration::from_secs(60));
    hub.until("the purchase", async |hub| {
        hub.clock.advance(Duration::from_secs(1));
        let known = hub.api("GET", "/v1/customers/user-1/entitlements", Value::Null).await;
        (known.status == 200 && known.body["active"] == json!(["pro"])).then_some(())
    })
    .await;
    let again = claim(&hub, "user-1", &shop.source, "sub_1").await.expect(200);
    assert_eq!(again["purchases"][0]["outcome"], "already_theirs");
    rebuilds(&hub).await;
    hub.stop().await;
}

#[tokio::test]
async fn a_store_that_hangs_does_not_hold_the_caller() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let settings = [("PAIDUP_STRIPE_API_URL", url.as_str()), ("PAIDUP_ALLOW_PRIVATE_TARGETS", "")];
    let more = json!({"api_key": crate::support::stripe::API_KEY});
    let shop = Shop::open_with(FROM, Shape::New, more, &settings).await;
    let clock = shop.hub.clock.clone();
    let passing = async {
        // It takes the call and never answers it.
        let call = listener.accept().await.expect("a call");
        loop {
            clock.advance(Duration::from_secs(1));
            tokio::time::sleep(Duration::from_millis(5)).await;
            if clock.now() > at(TO) {
                return call;
            }
        }
    };
    let waits = tokio::select! {
        answer = claim(&shop.hub, "user-1", &shop.source, "sub_1") => answer.expect(202),
        _ = passing => panic!("the caller waited for a month"),
    };
    assert_eq!(waits["pending"]["lookups"][0]["state"], "waiting");
    drop(listener);
    shop.stop().await;
}

#[tokio::test]
async fn one_customer_whatever_the_alias_on_every_route() {
    let (hub, source) = hub_with(&[]).await;
    hub.observe(&source, start("n1", "user-1", "sub-1", FROM, TO)).await;
    let odd = ["mail@example.com", "a/b c?d#e", "%2e%2e", "ümlaut 🙂", "cus_not-ours", "discord:1019653849998299136"];
    for alias in odd {
        hub.api("POST", "/v1/customers/user-1/aliases", json!({"alias": alias})).await.expect(200);
    }
    let id = hub.get("/v1/customers/user-1").await["id"].as_str().expect("an id").to_owned();
    let get = |path: String| {
        let hub = &hub;
        async move { hub.get(&path).await }
    };
    let routes = ["/v1/customers/@", "/v1/customers/@/entitlements", "/v1/subscribers/@", "/v1/events?customer=@"];
    for alias in odd.iter().copied().chain([id.as_str()]) {
        let coded: String =
            url::form_urlencoded::byte_serialize(alias.as_bytes()).collect::<String>().replace('+', "%20");
        for route in routes {
            let theirs = get(route.replace('@', &coded)).await;
            assert_eq!(theirs, get(route.replace('@', "user-1")).await, "{alias} on {route}");
        }
        let grant = json!({"entitlement": format!("extra of {alias}")});
        let given = hub.api("POST", &format!("/v1/customers/{coded}/grants"), grant).await.expect(201);
        assert_eq!(given["customer_id"], id.as_str(), "{alias}");
        let claimed = claim(&hub, &coded, &source, "sub-1").await.expect(200);
        assert_eq!(
            (&claimed["customer_id"], &claimed["purchases"][0]["outcome"]),
            (&json!(id), &json!("already_theirs"))
        );
    }
    rebuilds(&hub).await;
    hub.stop().await;
}

#[tokio::test]
async fn hostile_ids_are_refused_or_only_ids() {
    let (hub, source) = hub_with(&[]).await;
    hub.observe(&source, start("n1", "user-1", "sub-1", FROM, TO)).await;
    let long = "x".repeat(10_000);
    for alias in
        ["", "a\u{0}b", "a\nb", "\u{7f}", "user\u{202e}1", "\u{2066}x", "null", "undefined", "0", " none ", &long]
    {
        let refused = hub.api("POST", "/v1/customers/user-1/aliases", json!({"alias": alias})).await;
        assert_eq!(refused.status, 422, "{alias:?}: {}", refused.body);
        assert_eq!(refused.body["errors"][0]["pointer"], "/alias", "{alias:?}");
    }
    for alias in ["'; DROP TABLE customers; --", "<script>", "../../etc/passwd", "{id}", "\u{200b}zero width"] {
        hub.api("POST", "/v1/customers/user-1/aliases", json!({"alias": alias})).await.expect(200);
    }
    let ours = format!("cus_{}", "0".repeat(26));
    assert_eq!(hub.api("POST", "/v1/customers/user-1/aliases", json!({"alias": ours})).await.status, 404);
    // What apps send when they do not know the user is nobody's, whoever says it.
    for (number, nobody) in ["null", "undefined", "[object Object]"].into_iter().enumerate() {
        hub.observe(&source, start(&format!("nobody-{number}"), nobody, &format!("of-{number}"), FROM, TO)).await;
        assert_eq!(hub.api("GET", &format!("/v1/customers/{nobody}"), Value::Null).await.status, 404, "{nobody}");
    }
    assert_eq!(hub.get("/v1/customers").await["data"].as_array().expect("rows").len(), 4, "each an owner of its own");
    rebuilds(&hub).await;
    hub.stop().await;
}

#[tokio::test]
async fn merges_chain_and_keep_money_with_whoever_stays() {
    let (hub, source) = hub_with(&[]).await;
    for (number, customer) in ["a", "b", "c"].into_iter().enumerate() {
        hub.observe(&source, start(&format!("n{number}"), customer, &format!("sub-{number}"), FROM, TO)).await;
    }
    let mut consumed = start("once", "a", "coins", FROM, TO);
    consumed["kind"] = json!("consumable");
    consumed["reason"] = json!("one_time_purchased");
    hub.observe(&source, consumed).await;
    let alias = async |of: &str, alias: &str| {
        hub.api("POST", &format!("/v1/customers/{of}/aliases"), json!({"alias": alias})).await.expect(200)
    };
    alias("b", "a").await;
    let all = alias("c", "b").await;
    assert_eq!(all["aliases"], json!(["c", "b", "a"]));
    assert_eq!(all["purchases"].as_array().expect("purchases").len(), 4, "{all}");
    assert_eq!(all["totals"], json!({"PRODUCTION/USD": 4 * 999}));
    let count = hub.types().await.len();
    for (of, one) in [("a", "c"), ("c", "a"), ("b", "b")] {
        alias(of, one).await;
    }
    assert_eq!(hub.types().await.len(), count, "one is one");
    for one in ["a", "b"] {
        assert_eq!(hub.get(&format!("/v1/customers/{one}")).await, hub.get("/v1/customers/c").await, "{one}");
    }
    hub.observe(&source, observation("n9", "2026-01-03T00:00:00Z", "renewal_disabled", "sub-0", json!({}))).await;
    assert_eq!(hub.events().await[0]["customer"]["id"], all["id"], "what comes later is told of who stays");
    rebuilds(&hub).await;
    hub.stop().await;
}

#[tokio::test]
async fn merging_while_purchases_arrive_loses_none() {
    const EACH: usize = 40;
    let (hub, source) = hub_with(&[]).await;
    for customer in ["a", "b"] {
        hub.observe(&source, start(&format!("first of {customer}"), customer, &format!("{customer}-first"), FROM, TO))
            .await;
    }
    let told = (0..EACH).flat_map(|number| ["a", "b"].map(|customer| (customer, number)));
    let buying = told.map(|(customer, number)| {
        let (id, purchase) = (format!("{customer} {number}"), format!("{customer}-{number}"));
        hub.observe(&source, start(&id, customer, &purchase, FROM, TO))
    });
    let merging = async {
        hub.until("some purchases", async |hub| (hub.types().await.len() > 40).then_some(())).await;
        hub.api("POST", "/v1/customers/a/aliases", json!({"alias": "b"})).await.expect(200);
    };
    tokio::join!(futures_util::future::join_all(buying), merging);
    let one = hub.get("/v1/customers/a").await;
    assert_eq!(hub.get("/v1/customers/b").await, one);
    assert_eq!(one["purchases"].as_array().expect("purchases").len(), 2 * EACH + 2);
    assert_eq!(one["totals"], json!({"PRODUCTION/USD": (2 * EACH + 2) * 999}));
    rebuilds(&hub).await;
    hub.stop().await;
}

#[tokio::test]
async fn an_operator_moves_purchases_and_both_sides_are_told() {
    let (hub, source) = hub_with(&[("PAIDUP_RESTORE_POLICY", "keep")]).await;
    hub.observe(&source, start("n1", "user-1", "sub-1", FROM, TO)).await;
    hub.observe(&source, start("n2", "user-1", "sub-2", FROM, TO)).await;
    let transfer = async |body: Value| hub.api("POST", "/v1/customers/user-1/transfer", body).await;
    let purchases = hub.get("/v1/customers/user-1").await["purchases"].clone();
    let second = purchases.as_array().expect("purchases").iter().find(|one| one["store_purchase_id"] == "sub-2");
    let second = second.expect("the second")["id"].clone();
    let count = hub.types().await.len();
    assert_eq!(transfer(json!({"to": "user-1"})).await.expect(200)["purchases"], json!([]), "to oneself");
    assert_eq!(hub.types().await.len(), count);
    let moved = transfer(json!({"to": "user-2", "purchases": [second]})).await.expect(200);
    assert_eq!(moved["purchases"], json!([second]));
    assert_eq!(
        hub.types().await[count..],
        ["DEACTIVATE", "SUBSCRIPTION_TRANSFERRED", "ACTIVATE", "SUBSCRIPTION_RECEIVED"]
    );
    let one = json!({"PRODUCTION/USD": 999});
    for customer in ["user-1", "user-2"] {
        assert_eq!(hub.get(&format!("/v1/customers/{customer}")).await["totals"], one, "{customer}");
        assert_eq!(active(&hub, customer).await, json!(["pro"]), "{customer}");
    }
    let refused = transfer(json!({"to": "user-3", "purchases": [second]})).await;
    assert_eq!(refused.status, 409, "{}", refused.body);
    for (body, status) in [
        (json!({"to": "user-3", "purchases": [format!("pur_{}", "0".repeat(26))]}), 404),
        (json!({"to": "user-3", "purchases": ["x"]}), 422),
        (json!({"to": "null"}), 422),
    ] {
        assert_eq!(transfer(body.clone()).await.status, status, "{body}");
    }
    assert_eq!(hub.api("POST", "/v1/customers/nobody/transfer", json!({"to": "x"})).await.status, 404);
    assert_eq!(hub.api("GET", "/v1/customers/user-3", Value::Null).await.status, 404, "a refusal makes nobody");
    transfer(json!({"to": "user-2"})).await.expect(200);
    assert_eq!(hub.get("/v1/customers/user-1").await["totals"], json!({}));
    assert_eq!(hub.get("/v1/customers/user-2").await["totals"], json!({"PRODUCTION/USD": 2 * 999}));
    rebuilds(&hub).await;
    hub.stop().await;
}

#[tokio::test]
async fn while_stripe_is_down_a_claim_gives_what_was_bought() {
    let api = Api::start().await;
    api.always(Some(503));
    let url = api.url();
    let settings = [
        ("PAIDUP_STRIPE_API_URL", url.as_str()),
        ("PAIDUP_ALLOW_PRIVATE_TARGETS", "127.0.0.0/8"),
        ("PAIDUP_TEMPORARY_ENTITLEMENT_HOURS", "24"),
    ];
    let more = json!({"api_key": crate::support::stripe::API_KEY});
    let shop = Shop::open_with(FROM, Shape::New, more, &settings).await;
    let hub = &shop.hub;
    hub.map("price_a", &["pro"]).await;
    let receiver = Receiver::start().await;
    let config = json!({"url": receiver.url("/hook"), "format": "revenuecat"});
    hub.api("POST", "/v1/destinations", json!({"type": "webhook", "name": "rc", "config": config})).await.expect(201);
    let body = json!({"source_id": shop.source, "subscription_id": "sub_1", "product_id": "price_a"});
    let claim = async || hub.api("POST", "/v1/customers/user-1/purchases", body.clone()).await;
    let waits = claim().await.expect(202);
    assert_eq!(waits["active"], json!(["pro"]));
    assert!(waits["pending"]["temporary_purchase_id"].is_string(), "{waits}");
    let granted = hub
        .until("the grant", async |_| {
            let came = receiver.requests();
            came.iter()
                .find(|one| one.body["event"]["type"] == "TEMPORARY_ENTITLEMENT_GRANT")
                .map(|one| one.body["event"].clone())
        })
        .await;
    assert_eq!((&granted["store"], &granted["app_user_id"]), (&json!("STRIPE"), &json!("user-1")));
    assert_eq!((&granted["product_id"], &granted["entitlement_ids"]), (&json!("price_a"), &json!(["pro"])));
    assert_eq!(granted["expiration_at_ms"], at("2026-01-02T00:00:00Z").as_millis());
    for absent in ["environment", "original_app_user_id", "aliases", "price", "period_type"] {
        assert_eq!(granted.get(absent), None, "{absent} is in no sample: {granted}");
    }
    let mut subscription = shop.subscription("active", "price_a", FROM, TO);
    subscription["metadata"] = json!({});
    subscription["latest_invoice"] = shop.invoice("in_1", "subscription_create", 999, "price_a", FROM, TO);
    api.put(SUBSCRIPTION, subscription);
    api.always(None);
    shop.in_time("the store's answer", async |hub| {
        let types = hub.types().await;
        types.contains(&"SUBSCRIPTION_STARTED".to_owned()).then_some(())
    })
    .await;
    assert_eq!(active(hub, "user-1").await, json!(["pro"]));
    assert_eq!(claim().await.expect(200)["purchases"][0]["outcome"], "already_theirs");
    let told = hub
        .until("the purchase", async |_| {
            let came = receiver.requests();
            let types: Vec<String> =
                came.iter().map(|one| one.body["event"]["type"].as_str().unwrap_or_default().to_owned()).collect();
            (types.len() > 1).then_some(types)
        })
        .await;
    assert_eq!(told, ["TEMPORARY_ENTITLEMENT_GRANT", "INITIAL_PURCHASE"]);
    rebuilds(hub).await;
    shop.stop().await;
}
