//! The stand-in's own rules, over HTTP.

use super::*;
use crate::calendar::Calendar;
use crate::edge;
use crate::lives::{Told, Turn};
use crate::population::{Population, PopulationOptions, Shop};
use crate::standins::discord::DiscordOptions;
use crate::stores::discord::wire::{App, Id, Shown, sku_id};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

const START: i64 = 1_767_225_600_000;
const AGENT: &str = "DiscordBot (https://github.com/paidup/paidup, 0.1)";

struct Stage {
    api: DiscordAppApi,
    discord: Arc<Discord>,
    clock: Clock,
    client: reqwest::Client,
    told: Vec<Told>,
}

struct Got {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn ids(&self) -> Vec<Id> {
        self.body.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().parse().unwrap()).collect()
    }

    /// Status, code and where something is wrong with which code.
    fn fault(&self, name: &str) -> (u16, i64, String) {
        let leaf = &self.body["errors"][name]["_errors"][0]["code"];
        (self.status, self.body["code"].as_i64().unwrap_or(-1), leaf.as_str().unwrap_or_default().to_owned())
    }
}

async fn stage_of(seed: u64, limit: Limit) -> Stage {
    let discord = Arc::new(Discord::new(seed, App::of_seed(seed)));
    let clock = Clock::manual(START);
    let options = DiscordAppApiOptions { limit, clock: clock.clone(), ..DiscordAppApiOptions::default() };
    let api = DiscordAppApi::start(Arc::clone(&discord), options).await.unwrap();
    let options = PopulationOptions { customers: 300, seed, ..PopulationOptions::default() };
    let told: Vec<Told> =
        Population::new(options, Calendar::new(START, 1.0), vec![Shop::Discord(*discord.app())]).collect();
    let feed: Vec<_> = told.iter().map(|told| (START + told.at, told.discord().unwrap().clone())).collect();
    discord.shelf().follow(Box::new(feed.into_iter()));
    Stage { api, discord, clock, client: edge::client().unwrap(), told }
}

const GENEROUS: Limit = Limit { calls: 1_000_000, span_ms: 1 };

async fn stage(seed: u64) -> Stage {
    stage_of(seed, GENEROUS).await
}

impl Stage {
    async fn call(&self, method: Method, url: &str, headers: &[(&str, &str)]) -> Got {
        let request = self.client.request(method, url);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null);
        Got { status, headers, body }
    }

    async fn ask(&self, method: Method, path: &str) -> Got {
        let token = format!("Bot {}", self.discord.bot_token());
        let headers = [("authorization", token.as_str()), ("user-agent", AGENT)];
        self.call(method, &format!("{}{path}", self.api.url()), &headers).await
    }

    async fn get(&self, path: &str) -> Got {
        self.ask(Method::GET, path).await
    }

    async fn entitlements(&self, query: &str) -> Got {
        self.get(&format!("/applications/{}/entitlements{query}", self.discord.app().id)).await
    }

    /// The last of that turn, when it has just happened.
    fn at(&self, turn: Turn) -> (&Told, wire::Shelved) {
        let told = self.told.iter().rfind(|told| told.turn == turn).unwrap();
        self.clock.advance_to(START + told.at);
        (told, wire::shelved(told))
    }
}

/// What a turn showed.
mod wire {
    use super::{Id, Shown, Told};
    use crate::stores::discord::wire::{Entitlement, Subscription};

    pub(super) struct Shelved {
        pub(super) id: Id,
        pub(super) entitlement: Entitlement,
        pub(super) subscription: Option<Subscription>,
    }

    pub(super) fn shelved(told: &Told) -> Shelved {
        let shown = &told.discord().unwrap().shown;
        let entitlement = shown.iter().find_map(|one| match one {
            Shown::Entitlement(one) => Some(*one),
            Shown::Subscription(_) => None,
        });
        let subscription = shown.iter().find_map(|one| match one {
            Shown::Subscription(one) => Some(one.clone()),
            Shown::Entitlement(_) => None,
        });
        Shelved { id: told.purchase.parse().unwrap(), entitlement: entitlement.unwrap(), subscription }
    }
}

#[tokio::test]
async fn a_subscription_is_answered_as_it_stands_under_its_sku_alone() {
    let stage = stage(1).await;
    let (_, before) = stage.at(Turn::ChangeScheduled);
    let subscription = before.subscription.unwrap();
    let path = |sku: Id| format!("/skus/{sku}/subscriptions/{}", before.id);
    let got = stage.get(&path(subscription.sku)).await;
    assert_eq!((got.status, &got.body), (200, &subscription.json()));
    assert_ne!(got.body["renewal_sku_ids"], got.body["sku_ids"], "the plan is going to change");
    let (told, after) = stage.at(Turn::Upgraded);
    let (old, new) = (before.entitlement.sku, after.subscription.unwrap().sku);
    assert_eq!(*told.after.product_id, new.to_string());
    let path = |sku: Id| format!("/skus/{sku}/subscriptions/{}", after.id);
    assert_eq!(stage.get(&path(new)).await.body["sku_ids"], json!([new.to_string()]));
    for (name, path, code) in [
        ("under an SKU that it does not have", path(sku_id(&crate::catalogue::PLANS[0])), 100_003),
        ("of another user", format!("{}?user_id=1", path(new)), 100_003),
        ("unknown", format!("/skus/{old}/subscriptions/1"), 100_003),
        ("no id", format!("/skus/{old}/subscriptions/me"), 100_003),
        ("unknown SKU", "/skus/1/subscriptions/1".to_owned(), 10_027),
        ("no route", "/skus/1/owners".to_owned(), 0),
    ] {
        let got = stage.get(&path).await;
        assert_eq!((got.status, &got.body["code"]), (404, &json!(code)), "{name}");
    }
    assert_eq!(
        (stage.api.report().missing, stage.api.report().wrong.len()),
        (5, 1),
        "a wrong route is the hub's fault"
    );
}

#[tokio::test]
async fn subscriptions_are_listed_for_a_user_who_is_named() {
    let stage = stage(1).await;
    let (told, shelved) = stage.at(Turn::Renewed);
    let (user, sku) = (told.customer.clone().unwrap(), shelved.entitlement.sku);
    let list = |query: &str| format!("/skus/{sku}/subscriptions{query}");
    let own = stage.get(&list(&format!("?user_id={user}"))).await;
    assert!(own.status == 200 && own.ids().contains(&shelved.id), "{}", own.body);
    assert_eq!(stage.get(&list("?user_id=1")).await.body, json!([]));
    assert_eq!(
        stage.get(&list(&format!("?user_id={user}&before={}", shelved.id))).await.ids().len() + 1,
        own.ids().len()
    );
    for (query, name, code) in [
        ("", "user_id", "BASE_TYPE_REQUIRED"),
        ("?user_id=abc", "user_id", "NUMBER_TYPE_COERCE"),
        ("?user_id=1&limit=0", "limit", "NUMBER_TYPE_MIN"),
        ("?user_id=1&limit=101", "limit", "NUMBER_TYPE_MAX"),
        ("?user_id=1&limit=many", "limit", "NUMBER_TYPE_COERCE"),
        ("?user_id=1&before=-1", "before", "NUMBER_TYPE_COERCE"),
        ("?user_id=1&after=9223372036854775808", "after", "NUMBER_TYPE_MAX"),
    ] {
        assert_eq!(stage.get(&list(query)).await.fault(name), (400, 50_035, code.to_owned()), "{query}");
    }
    let both = stage.get(&list("?limit=0&before=x")).await.body["errors"].clone();
    assert_eq!(both.as_object().unwrap().len(), 3, "everything at once: {both}");
    assert_eq!(stage.api.report().wrong.len(), 8);
}

/// Two seeds answer in different orders: Discord does not say in which it does.
#[tokio::test]
async fn pages_of_entitlements_meet_whichever_way_they_are_walked() {
    let mut orders = BTreeSet::new();
    for seed in 1..=6 {
        let stage = stage(seed).await;
        stage.clock.advance_to(START + 200 * 86_400_000);
        let first = stage.entitlements("?limit=100&exclude_deleted=false").await.ids();
        let is_oldest_first = first.is_sorted();
        assert_eq!((first.len(), is_oldest_first), (100, stage.discord.is_oldest_first()));
        orders.insert(is_oldest_first);
        let mut all: BTreeSet<Id> = first.iter().copied().collect();
        for (name, is_up) in [("before", false), ("after", true)] {
            let mut edge = if is_up { *all.last().unwrap() } else { *all.first().unwrap() };
            loop {
                let page = stage.entitlements(&format!("?exclude_deleted=false&{name}={edge}")).await.ids();
                assert!(page.is_sorted() == is_oldest_first || page.len() < 2, "{name}");
                let Some(next) = (if is_up { page.iter().max() } else { page.iter().min() }) else { break };
                edge = *next;
                all.extend(page);
            }
        }
        let known = stage.discord.shelf().entitlements().map(|one| one.id).collect::<BTreeSet<_>>();
        assert!(all == known && known.len() > 200, "{} of {}", all.len(), known.len());
    }
    assert_eq!(orders.len(), 2);
}

#[tokio::test]
async fn entitlements_are_filtered_as_the_page_says() {
    let stage = stage(2).await;
    stage.clock.advance_to(START + 300 * 86_400_000);
    let some = async |query: &str| -> Vec<Value> {
        let mut all = Vec::new();
        let mut after = 0;
        loop {
            let page = stage.entitlements(&format!("?after={after}&{query}")).await;
            let Some(last) = page.ids().into_iter().max() else { return all };
            after = last;
            all.extend(page.body.as_array().unwrap().clone());
        }
    };
    let all = some("exclude_deleted=false").await;
    let count = |is_wanted: &dyn Fn(&Value) -> bool| all.iter().filter(|one| is_wanted(one)).count();
    let is_deleted = |one: &Value| one["deleted"] == true;
    assert!(
        count(&is_deleted) > 0
            && count(&|one| one["ends_at"].is_string()) > 0
            && count(&|one| one["consumed"] == true) > 0
    );
    assert_eq!(some("").await.len(), count(&|one| !is_deleted(one)), "deleted ones are left out unless asked for");
    let living = some("exclude_ended=true&exclude_deleted=0").await.len();
    assert_eq!(living, count(&|one| one["ends_at"].is_null()));
    let (user, guild) = (all[3]["user_id"].as_str().unwrap(), all[3]["guild_id"].as_str());
    assert_eq!(
        some(&format!("exclude_deleted=False&user_id={user}")).await.len(),
        count(&|one| one["user_id"] == user)
    );
    let of_guild = all.iter().find_map(|one| one["guild_id"].as_str()).or(guild).unwrap();
    let expected = count(&|one| one["guild_id"] == of_guild);
    assert_eq!(some(&format!("exclude_deleted=false&guild_id={of_guild}")).await.len(), expected);
    let skus = [&all[0]["sku_id"], &all[1]["sku_id"]].map(|sku| sku.as_str().unwrap());
    let expected = count(&|one| skus.iter().any(|sku| one["sku_id"] == *sku));
    assert_eq!(some(&format!("exclude_deleted=false&sku_ids={},{}", skus[0], skus[1])).await.len(), expected);
    assert_eq!(stage.entitlements("?limit=3").await.ids().len(), 3);
    for (query, name) in
        [("?exclude_ended=maybe", "exclude_ended"), ("?sku_ids=1,x", "sku_ids"), ("?guild_id=", "guild_id")]
    {
        let (status, code, leaf) = stage.entitlements(query).await.fault(name);
        assert!((status, code) == (400, 50_035) && leaf.ends_with("_COERCE"), "{query}");
    }
    let one = &all[0];
    let path = format!("/applications/{}/entitlements/{}", stage.discord.app().id, one["id"].as_str().unwrap());
    assert_eq!(stage.get(&path).await.body, *one);
    let unknown = stage.get(&format!("/applications/{}/entitlements/1", stage.discord.app().id)).await;
    assert_eq!((unknown.status, &unknown.body["code"]), (404, &json!(10_029)));
}

#[tokio::test]
async fn what_is_used_up_is_consumed_and_nothing_else() {
    let stage = stage(1).await;
    let consume = |id: Id| format!("/applications/{}/entitlements/{id}/consume", stage.discord.app().id);
    let (_, coins) = stage.at(Turn::ConsumableBought);
    assert_eq!(stage.ask(Method::POST, &consume(coins.id)).await.status, 204);
    let path = format!("/applications/{}/entitlements/{}", stage.discord.app().id, coins.id);
    assert_eq!(stage.get(&path).await.body["consumed"], true);
    let theme = {
        let mut shelf = stage.discord.shelf();
        shelf.catch_up(START + 300 * 86_400_000);
        shelf
            .entitlements()
            .find(|one| one.subscription.is_none() && !one.deleted && one.sku != coins.entitlement.sku)
            .map(|one| one.id)
    };
    let refused = stage.ask(Method::POST, &consume(theme.unwrap())).await;
    assert_eq!((refused.status, &refused.body["code"]), (400, &json!(40_018)));
    assert_eq!(stage.ask(Method::POST, &consume(1)).await.body["code"], 10_029);
    assert_eq!(stage.get(&consume(coins.id)).await.status, 405);
    let skus = stage.get(&format!("/applications/{}/skus", stage.discord.app().id)).await;
    assert_eq!(skus.body.as_array().unwrap().len(), 8);
}

#[tokio::test]
async fn only_the_apps_own_bot_is_answered() {
    let stage = stage(1).await;
    let url = format!("{}/applications/{}/skus", stage.api.url(), stage.discord.app().id);
    let token = format!("Bot {}", stage.discord.bot_token());
    let bearer = format!("Bearer {}", stage.discord.bot_token());
    for (name, headers) in [
        ("nothing", vec![("user-agent", AGENT)]),
        ("another bot", vec![("user-agent", AGENT), ("authorization", "Bot wrong")]),
        ("no bot", vec![("user-agent", AGENT), ("authorization", bearer.as_str())]),
    ] {
        let got = stage.call(Method::GET, &url, &headers).await;
        assert_eq!((got.status, &got.body), (401, &json!({"message": "401: Unauthorized", "code": 0})), "{name}");
    }
    let rude = stage.call(Method::GET, &url, &[("authorization", token.as_str()), ("user-agent", "curl/8")]).await;
    assert_eq!((rude.status, &rude.body["code"]), (403, &json!(40_333)));
    let other = stage.get(&format!("/applications/{}/skus", stage.discord.app().id + 1)).await;
    assert_eq!((other.status, &other.body["code"]), (403, &json!(50_001)));
    let report = stage.api.report();
    assert_eq!((report.unauthorized, report.wrong.len(), report.answered), (3, 2, 0));
    assert!(!format!("{report:?}").contains(stage.discord.bot_token()));
    let old = url.replace("/v10", "");
    assert_eq!(
        stage.call(Method::GET, &old, &[("authorization", token.as_str()), ("user-agent", AGENT)]).await.status,
        200
    );
}

#[tokio::test]
async fn limits_and_faults() {
    let stage = stage_of(1, Limit { calls: 2, span_ms: 1_000 }).await;
    let left = async || stage.entitlements("").await.header("x-ratelimit-remaining").to_owned();
    assert_eq!([left().await, left().await], ["1", "0"]);
    let limited = stage.entitlements("").await;
    assert_eq!(
        (limited.status, limited.header("x-ratelimit-scope"), limited.header("retry-after")),
        (429, "user", "1")
    );
    assert_eq!((&limited.body["retry_after"], &limited.body["global"]), (&json!(1.0), &json!(false)));
    assert_eq!(limited.header("x-ratelimit-reset-after"), "1.000");
    stage.entitlements("").await;
    assert_eq!((stage.api.report().limited, stage.api.report().avoidable), (2, 1), "it had been told to wait");
    stage.clock.advance(Duration::from_secs(1));
    assert_eq!(stage.entitlements("").await.status, 200);
    stage.api.set_faults(Faults::down());
    assert_eq!(stage.entitlements("").await.status, 500);
    stage.api.set_faults(Faults { limited: true, ..Faults::default() });
    let shared = stage.entitlements("").await;
    assert_eq!((shared.status, shared.header("x-ratelimit-scope")), (429, "shared"));
    stage.api.set_faults(Faults::slow(Duration::from_millis(5)));
    stage.clock.advance(Duration::from_secs(5));
    assert_eq!(stage.entitlements("").await.status, 200);
    assert_eq!(stage.api.report().faults, 1);
}

/// At Discord both have one address.
#[tokio::test]
async fn it_stands_beside_the_stand_in_that_is_told() {
    let stage = stage(1).await;
    let told =
        crate::standins::discord::Discord::start_beside(DiscordOptions::default(), stage.api.router()).await.unwrap();
    let token = format!("Bot {}", stage.discord.bot_token());
    let headers = [("authorization", token.as_str()), ("user-agent", AGENT)];
    let skus = format!("{}/applications/{}/skus", told.api_url(), stage.discord.app().id);
    assert_eq!(stage.call(Method::GET, &skus, &headers).await.status, 200);
    let webhook = told.add_webhook(7);
    let url = format!("{}/webhooks/{}/{}", told.api_url(), webhook.id, webhook.token);
    assert_eq!(stage.call(Method::GET, &url, &headers).await.body["type"], 1);
    assert_eq!(stage.api.report().calls, 1);
}
