//! The stand-in's own rules, over HTTP.

use super::*;
use crate::calendar::Calendar;
use crate::edge;
use crate::lives::Turn;
use crate::population::{Population, PopulationOptions, Shop};
use crate::rsa::{Holder, RsaKey};
use crate::stores::play::wire::{About, App, Notification, Shown};
use crate::stores::play::{SERVICE_ACCOUNT, TOKEN_URI};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::time::Duration;

const START: i64 = 1_767_225_600_000;
const DAY_MS: i64 = 86_400_000;

struct Stage {
    api: PlayApi,
    play: Arc<Play>,
    clock: Clock,
    client: reqwest::Client,
}

struct Heard {
    status: u16,
    body: Value,
}

async fn stage(options: PlayApiOptions, is_tested: bool) -> Stage {
    let play = Arc::new(Play::new(App { package_name: Arc::from("com.example.paidup"), is_tested }, true));
    let clock = Clock::manual(START);
    let api = PlayApi::start(Arc::clone(&play), PlayApiOptions { clock: clock.clone(), ..options }).await.unwrap();
    Stage { api, play, clock, client: edge::client().unwrap() }
}

fn notifications(is_tested: bool) -> Vec<(Turn, Notification)> {
    let app = App { package_name: Arc::from("com.example.paidup"), is_tested };
    let options = PopulationOptions { customers: 150, seed: 3, ..PopulationOptions::default() };
    let population = Population::new(options, Calendar::new(START, 1.0), vec![Shop::Play(app)]);
    population.filter_map(|told| Some((told.turn, told.play()?.clone()))).collect()
}

fn grant(claims: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let content = format!("{}.{}", encode(&json!({"alg": "RS256", "typ": "JWT"})), encode(claims));
    let signature = RsaKey::of(Holder::ServiceAccount).sign_sha256(content.as_bytes());
    format!("{content}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn claims(now_ms: i64) -> Value {
    let now = now_ms / 1000;
    json!({
        "iss": SERVICE_ACCOUNT, "scope": "https://www.googleapis.com/auth/androidpublisher", "aud": TOKEN_URI,
        "iat": now, "exp": now + 3600
    })
}

impl Stage {
    async fn heard(&self, request: reqwest::RequestBuilder) -> Heard {
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await.unwrap();
        Heard { status, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) }
    }

    async fn ask_for_token(&self, assertion: &str) -> Heard {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
            .append_pair("assertion", assertion)
            .finish();
        let request = self.client.post(self.api.token_url());
        self.heard(request.header("content-type", "application/x-www-form-urlencoded").body(form)).await
    }

    async fn token(&self) -> String {
        let heard = self.ask_for_token(&grant(&claims(self.clock.now_ms()))).await;
        assert_eq!(heard.status, 200, "{}", heard.body);
        heard.body["access_token"].as_str().unwrap().to_owned()
    }

    fn url(&self, rest: &str) -> String {
        format!("{}/androidpublisher/v3/applications/com.example.paidup/{rest}", self.api.url())
    }

    async fn get(&self, token: &str, rest: &str) -> Heard {
        self.heard(self.client.get(self.url(rest)).bearer_auth(token)).await
    }

    async fn post(&self, token: &str, rest: &str) -> Heard {
        self.heard(self.client.post(self.url(rest)).bearer_auth(token)).await
    }
}

fn first_subscription(all: &[(Turn, Notification)]) -> Notification {
    all.iter().find(|(turn, _)| *turn == Turn::Started).unwrap().1.clone()
}

fn token_of(notification: &Notification) -> String {
    match &notification.about {
        About::Subscription { token, .. }
        | About::OneTimeProduct { token, .. }
        | About::VoidedPurchase { token, .. } => token.to_string(),
        About::Test => String::new(),
    }
}

#[tokio::test]
async fn a_grant_is_checked_and_its_token_expires() {
    let stage = stage(PlayApiOptions::default(), false).await;
    let changed = |claim: &str, value: Value| {
        let mut all = claims(START);
        all[claim] = value;
        grant(&all)
    };
    let stranger = {
        let good = grant(&claims(START));
        let content = good.rsplit_once('.').unwrap().0.to_owned();
        let signature = RsaKey::of(Holder::Stranger).sign_sha256(content.as_bytes());
        format!("{content}.{}", URL_SAFE_NO_PAD.encode(signature))
    };
    let now = START / 1000;
    let table = [
        ("a stranger's", stranger, "invalid_grant"),
        ("not signed", "e30.e30.".to_owned(), "invalid_grant"),
        ("another account", changed("iss", "x@y".into()), "invalid_grant"),
        ("another audience", changed("aud", "https://example.com/token".into()), "invalid_grant"),
        ("another scope", changed("scope", "https://www.googleapis.com/auth/drive".into()), "invalid_scope"),
        ("too long", changed("exp", (now + 7200).into()), "invalid_grant"),
        ("expired", changed("exp", (now - 3600).into()), "invalid_grant"),
        ("no time", changed("iat", Value::Null), "invalid_grant"),
    ];
    for (name, assertion, error) in table {
        let heard = stage.ask_for_token(&assertion).await;
        assert_eq!((heard.status, heard.body["error"].as_str()), (400, Some(error)), "{name}");
    }
    let token = stage.token().await;
    assert_eq!(stage.get(&token, "purchases/subscriptionsv2/tokens/x").await.status, 404);
    assert_eq!(stage.get("ya29.made-up", "purchases/subscriptionsv2/tokens/x").await.status, 401);
    stage.clock.advance(Duration::from_secs(3599));
    let expired = stage.get(&token, "purchases/subscriptionsv2/tokens/x").await;
    assert_eq!((expired.status, &expired.body["error"]["status"]), (401, &json!("UNAUTHENTICATED")));
}

#[tokio::test]
async fn purchases_are_shown_as_they_stand_at_the_moment() {
    let stage = stage(PlayApiOptions::default(), false).await;
    let all = notifications(false);
    let feed: Vec<_> = all.iter().map(|(_, one)| (one.at, one.clone())).collect();
    stage.play.shelf().follow(Box::new(feed.into_iter()));
    let cancelled = all.iter().find(|(turn, _)| *turn == Turn::RenewalDisabled).unwrap().1.clone();
    let path = format!("purchases/subscriptionsv2/tokens/{}", token_of(&cancelled));
    stage.clock.advance_to(cancelled.at - 1);
    let token = stage.token().await;
    let before = stage.get(&token, &path).await;
    assert_eq!(before.body["subscriptionState"], "SUBSCRIPTION_STATE_ACTIVE");
    assert_eq!(before.body["lineItems"][0]["autoRenewingPlan"]["autoRenewEnabled"], true);
    stage.clock.advance_to(cancelled.at + 2);
    let after = stage.get(&token, &path).await;
    assert_eq!(after.body["subscriptionState"], "SUBSCRIPTION_STATE_CANCELED");
    assert_eq!(after.body["lineItems"][0]["autoRenewingPlan"].get("autoRenewEnabled"), None);
    let order = after.body["lineItems"][0]["latestSuccessfulOrderId"].as_str().unwrap();
    assert_eq!(stage.get(&token, &format!("orders/{order}")).await.body["orderId"], order);
    let both = stage.get(&token, &format!("orders:batchGet?orderIds={order}&orderIds=GPA.0")).await;
    assert_eq!(both.body["orders"].as_array().unwrap().len(), 1);
    assert_eq!(stage.get(&token, &format!("{path}?fields=x")).await.status, 400, "unknown parameters are refused");
    let elsewhere = format!("{}/androidpublisher/v3/applications/com.other/purchases/voidedpurchases", stage.api.url());
    assert_eq!(stage.heard(stage.client.get(elsewhere).bearer_auth(&token)).await.status, 404);
    // Sixty days after the end, however the life went on, the first token is forgotten.
    stage.clock.advance(Duration::from_millis(800 * DAY_MS as u64));
    let token = stage.token().await;
    let gone = stage.get(&token, &path).await;
    assert!([200, 410].contains(&gone.status));
    let ended = all.iter().find(|(turn, _)| *turn == Turn::GivenUp).unwrap().1.clone();
    let gone = stage.get(&token, &format!("purchases/subscriptionsv2/tokens/{}", token_of(&ended))).await;
    assert_eq!((gone.status, &gone.body["error"]["code"]), (410, &json!(410)));
}

#[tokio::test]
async fn one_time_products_have_both_methods() {
    let stage = stage(PlayApiOptions::default(), true).await;
    let all = notifications(true);
    let bought = all.iter().find(|(turn, _)| *turn == Turn::NonConsumableBought).unwrap().1.clone();
    stage.play.shelf().publish(&bought);
    let (token, id) = (stage.token().await, token_of(&bought));
    let new = stage.get(&token, &format!("purchases/productsv2/tokens/{id}")).await;
    assert_eq!(new.body["purchaseStateContext"]["purchaseState"], "PURCHASED");
    assert_eq!(new.body["productLineItem"][0]["productId"], "theme_pack");
    assert_eq!(new.body["testPurchaseContext"]["fopType"], "TEST", "a license tester's");
    let old = stage.get(&token, &format!("purchases/products/theme_pack/tokens/{id}")).await;
    assert_eq!((&old.body["purchaseState"], &old.body["purchaseType"]), (&json!(0), &json!(0)));
    assert_eq!(stage.get(&token, &format!("purchases/products/coins_100/tokens/{id}")).await.status, 400);
}

/// The same purchase, made at the moment at which the clock stands.
fn bought_now(notification: &Notification) -> Notification {
    let mut one = notification.clone();
    for shown in &mut one.shown {
        match shown {
            Shown::Subscription(object) => object.start_time = START,
            Shown::Product(object) => object.completed_at = Some(START),
            Shown::Order(_) | Shown::Voided(_) => {}
        }
    }
    one
}

#[tokio::test]
async fn what_nobody_acknowledges_is_refunded_and_revoked() {
    for (is_tested, patience) in [(false, 3 * DAY_MS), (true, 5 * 60_000)] {
        let stage = stage(PlayApiOptions::default(), is_tested).await;
        let all = notifications(is_tested);
        let starts: Vec<_> =
            all.iter().filter(|(turn, _)| *turn == Turn::Started).map(|(_, one)| one.clone()).collect();
        let product = all.iter().find(|(turn, _)| *turn == Turn::NonConsumableBought).unwrap().1.clone();
        let (kept, lost) = (&bought_now(&starts[0]), &bought_now(&starts[1]));
        stage.play.shelf().leave_acknowledging_to_the_hub();
        [kept, lost, &bought_now(&product)].into_iter().for_each(|one| stage.play.shelf().publish(one));
        let resource = |one: &Notification| match &one.shown[0] {
            Shown::Subscription(object) => (object.token.to_string(), object.items[0].product_id, object.start_time),
            Shown::Product(_) | Shown::Order(_) | Shown::Voided(_) => panic!("no subscription"),
        };
        let ((kept_token, kept_product, _), (lost_token, _, _)) = (resource(kept), resource(lost));
        let token = stage.token().await;
        let path = format!("purchases/subscriptions/{kept_product}/tokens/{kept_token}:acknowledge");
        assert_eq!(stage.post(&token, &path.replace(kept_product, "coins_100")).await.status, 400);
        assert_eq!(stage.post(&token, &path).await.status, 200);
        assert_eq!(stage.post(&token, &path).await.status, 200, "a second time changes nothing");
        stage.clock.advance(Duration::from_millis(patience as u64 + 1));
        let token = stage.token().await;
        let show = async |id: &str| stage.get(&token, &format!("purchases/subscriptionsv2/tokens/{id}")).await.body;
        assert_eq!(show(&kept_token).await["acknowledgementState"], "ACKNOWLEDGEMENT_STATE_ACKNOWLEDGED");
        assert_ne!(show(&kept_token).await["subscriptionState"], "SUBSCRIPTION_STATE_EXPIRED");
        let lost_now = show(&lost_token).await;
        assert_eq!(lost_now["subscriptionState"], "SUBSCRIPTION_STATE_EXPIRED");
        assert!(lost_now["canceledStateContext"]["systemInitiatedCancellation"].is_object());
        let due = stage.play.shelf().due();
        let kinds: Vec<_> = due
            .iter()
            .map(|one| match &one.about {
                About::Subscription { kind, token, .. } => (*kind, token.to_string() == lost_token),
                About::VoidedPurchase { token, .. } => (0, *token_of(&product) == **token),
                About::OneTimeProduct { .. } | About::Test => (99, false),
            })
            .collect();
        assert_eq!(kinds, [(12, true), (13, true), (0, true)], "license tester: {is_tested}");
        assert!(stage.play.shelf().due().is_empty());
        let voided = stage.get(&token, "purchases/voidedpurchases").await;
        assert_eq!(voided.body["voidedPurchases"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn voided_purchases_come_in_pages_of_thirty_days() {
    let stage = stage(PlayApiOptions::default(), false).await;
    let all = notifications(false);
    let feed: Vec<_> = all.iter().map(|(_, one)| (one.at, one.clone())).collect();
    let voids: Vec<(i64, bool)> = all
        .iter()
        .flat_map(|(_, one)| &one.shown)
        .filter_map(|shown| match shown {
            Shown::Voided(one) => Some((one.voided, one.is_subscription)),
            Shown::Subscription(_) | Shown::Product(_) | Shown::Order(_) => None,
        })
        .collect();
    let mut dates: Vec<i64> = voids.iter().map(|(at, _)| *at).collect();
    dates.sort_unstable();
    let now = dates[dates.len() * 2 / 3];
    stage.play.shelf().follow(Box::new(feed.into_iter()));
    stage.clock.advance_to(now);
    let token = stage.token().await;
    let expected = |subscriptions: bool| {
        voids.iter().filter(|(at, is_one)| *at >= now - 30 * DAY_MS && *at <= now && (subscriptions || !is_one)).count()
    };
    let (mut found, mut next, mut pages) = (0, String::new(), 0);
    loop {
        let heard = stage.get(&token, &format!("purchases/voidedpurchases?type=1&maxResults=2{next}")).await;
        assert_eq!(heard.status, 200, "{}", heard.body);
        found += heard.body["voidedPurchases"].as_array().map_or(0, Vec::len);
        pages += 1;
        match heard.body["tokenPagination"]["nextPageToken"].as_str() {
            Some(page) => next = format!("&token={page}"),
            None => break,
        }
    }
    assert_eq!((found, pages > 1), (expected(true), true));
    let once = stage.get(&token, "purchases/voidedpurchases").await;
    assert_eq!(once.body["voidedPurchases"].as_array().map_or(0, Vec::len), expected(false), "without type=1");
    let early = now - 31 * DAY_MS;
    assert_eq!(stage.get(&token, &format!("purchases/voidedpurchases?startTime={early}")).await.status, 400);
    assert_eq!(stage.get(&token, "purchases/voidedpurchases?token=x").await.status, 400);
}

#[tokio::test]
async fn quotas_are_kept_and_come_back() {
    let options = PlayApiOptions { limit: Limit { calls: 2, span_ms: 60_000 }, ..PlayApiOptions::default() };
    let stage = stage(options, false).await;
    let all = notifications(false);
    let start = first_subscription(&all);
    stage.play.shelf().publish(&start);
    let (token, path) = (stage.token().await, format!("purchases/subscriptionsv2/tokens/{}", token_of(&start)));
    for expected in [200, 200, 429] {
        assert_eq!(stage.get(&token, &path).await.status, expected);
    }
    let limited = stage.get(&token, &path).await;
    assert_eq!(limited.body["error"]["status"], "RESOURCE_EXHAUSTED");
    stage.clock.advance(Duration::from_secs(61));
    assert_eq!(stage.get(&token, &path).await.status, 200);
    for _ in 0..30 {
        assert_eq!(stage.get(&token, "purchases/voidedpurchases").await.status, 200);
    }
    assert_eq!(stage.get(&token, "purchases/voidedpurchases").await.status, 429);
    assert_eq!(stage.api.report().limited, 3);
}

#[tokio::test]
async fn faults_come_on_demand_and_keys_are_published() {
    let stage = stage(PlayApiOptions::default(), false).await;
    let keys = stage.client.get(stage.api.keys_url()).send().await.unwrap();
    assert!(keys.headers()["cache-control"].to_str().unwrap().contains("max-age="));
    let keys: Value = serde_json::from_slice(&keys.bytes().await.unwrap()).unwrap();
    assert_eq!(keys, stage.play.google().key_set());
    let token = stage.token().await;
    let table = [
        (Faults { api: ApiFaults::down(), ..Faults::default() }, 503),
        (Faults { api: ApiFaults { limited: true, ..ApiFaults::default() }, ..Faults::default() }, 429),
        (Faults { forbidden: true, ..Faults::default() }, 403),
        (Faults::default(), 404),
    ];
    for (faults, status) in table {
        stage.api.set_faults(faults);
        assert_eq!(stage.get(&token, "purchases/subscriptionsv2/tokens/x").await.status, status, "{faults:?}");
    }
    stage.api.set_faults(Faults { keys_down: true, tokens_down: true, ..Faults::default() });
    assert_eq!(stage.heard(stage.client.get(stage.api.keys_url())).await.status, 503);
    assert_eq!(stage.ask_for_token(&grant(&claims(START))).await.status, 503);
}
