use super::*;
use crate::calendar::{Calendar, MONTH};
use crate::population::{Population, PopulationOptions, Shop};
use crate::stores::stripe::objects::Object;
use std::time::Duration;

struct World {
    stripe: Arc<Stripe>,
    api: StripeApi,
    client: reqwest::Client,
}

async fn world(options: StripeApiOptions) -> World {
    let stripe = Arc::new(Stripe::new(1, Shape::Basil, true, true));
    let population = PopulationOptions { customers: 60, seed: 1, horizon: 8 * MONTH, ..PopulationOptions::default() };
    let calendar = Calendar::new(1_767_225_600_000, 432_000.0);
    for told in Population::new(population, calendar, vec![Shop::Stripe(Shape::Basil)]) {
        stripe.account().publish(told.stripe().unwrap());
    }
    let api = StripeApi::start(stripe.clone(), options).await.unwrap();
    World { stripe, api, client: crate::edge::client().unwrap() }
}

fn patient() -> StripeApiOptions {
    StripeApiOptions { limit: Limit { calls: 10_000, span_ms: 1_000 }, ..StripeApiOptions::default() }
}

impl World {
    async fn get(&self, path: &str) -> (u16, Value) {
        self.get_as(path, self.stripe.api_key(), "2025-03-31.basil").await
    }

    async fn get_as(&self, path: &str, key: &str, version: &str) -> (u16, Value) {
        let request = self.client.get(format!("{}{path}", self.api.url())).header("stripe-version", version);
        let answer = request.bearer_auth(key).send().await.unwrap();
        (answer.status().as_u16(), serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap())
    }

    /// The id of some object that is told about.
    fn some(&self, wanted: impl Fn(&Object) -> bool) -> String {
        let account = self.stripe.account();
        let found = account.events().map(|event| &event.object).find(|object| wanted(object)).unwrap();
        found.id().to_string()
    }

    fn paid_intent(&self) -> String {
        let account = self.stripe.account();
        let intent = account.events().find_map(|event| match &event.object {
            Object::InvoicePayment(payment) => Some(payment.intent.to_string()),
            _ => None,
        });
        intent.unwrap()
    }
}

#[tokio::test]
async fn the_way_from_a_payment_to_its_subscription_can_be_walked() {
    let world = world(patient()).await;
    let intent = world.paid_intent();
    let path = format!("/v1/invoice_payments?payment%5Btype%5D=payment_intent&payment%5Bpayment_intent%5D={intent}");
    let (status, payments) = world.get(&path).await;
    assert_eq!((status, payments["data"].as_array().unwrap().len()), (200, 1), "{payments}");
    let invoice = payments["data"][0]["invoice"].as_str().unwrap();
    let (_, invoice) = world.get(&format!("/v1/invoices/{invoice}?expand[]=payments")).await;
    assert_eq!(invoice["payments"]["data"][0]["payment"]["payment_intent"], *intent);
    let subscription = invoice["parent"]["subscription_details"]["subscription"].as_str().unwrap();
    let (_, subscription) =
        world.get(&format!("/v1/subscriptions/{subscription}?expand[0]=latest_invoice.lines")).await;
    assert_eq!(subscription["latest_invoice"]["object"], "invoice");
    assert!(subscription["items"]["data"][0]["current_period_end"].is_i64());
    let (_, intent) = world.get(&format!("/v1/payment_intents/{intent}")).await;
    let (_, charge) = world.get(&format!("/v1/charges/{}", intent["latest_charge"].as_str().unwrap())).await;
    assert_eq!(charge["payment_intent"], intent["id"]);
    let (_, customer) = world.get(&format!("/v1/customers/{}", charge["customer"].as_str().unwrap())).await;
    assert_eq!(customer["object"], "customer");
    assert_eq!(world.api.report().wrong, Vec::<String>::new());
}

#[tokio::test]
async fn the_version_of_the_call_decides_the_shape() {
    let world = world(patient()).await;
    let id = world.some(|object| matches!(object, Object::Subscription(_)));
    let key = world.stripe.api_key();
    let (_, old) = world.get_as(&format!("/v1/subscriptions/{id}"), key, "2024-06-20").await;
    let (_, new) = world.get(&format!("/v1/subscriptions/{id}")).await;
    assert_eq!(old["current_period_end"], new["items"]["data"][0]["current_period_end"]);
    assert!(old["items"]["data"][0]["current_period_end"].is_null());
    assert_eq!(world.get_as("/v1/events", key, "soon").await.0, 400);
}

#[tokio::test]
async fn events_are_listed_newest_first_page_by_page() {
    let world = world(patient()).await;
    let expected: Vec<String> = {
        let account = world.stripe.account();
        let paid = account.events().filter(|event| event.kind == "invoice.paid");
        paid.map(|event| event.id.to_string()).collect()
    };
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let (_, page) = world.get(&format!("/v1/events?types[]=invoice.paid&limit=7{after}")).await;
        let rows = page["data"].as_array().unwrap();
        found.extend(rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()));
        if page["has_more"] == false {
            break;
        }
        assert_eq!(rows.len(), 7);
        after = format!("&starting_after={}", found.last().unwrap());
    }
    assert_eq!(found, expected);
    assert_eq!(world.get(&format!("/v1/events/{}", found[0])).await.1["type"], "invoice.paid");
}

#[tokio::test]
async fn what_stripe_refuses_is_refused_in_stripes_words() {
    let world = world(patient()).await;
    let key = world.stripe.api_key();
    let id = world.some(|object| matches!(object, Object::Subscription(_)));
    let table = [
        ("/v1/subscriptions/sub_nobody", 404, "resource_missing"),
        ("/v1/invoices/sub_nobody", 404, "resource_missing"),
        ("/v1/nothing", 404, ""),
        ("/v2/core/events", 404, ""),
        ("/v1/events?limit=1000", 400, ""),
        ("/v1/events?color=blue", 400, "parameter_unknown"),
        ("/v1/events?starting_after=evt_nobody", 400, ""),
        ("/v1/invoice_payments?payment[payment_intent]=pi_1", 400, ""),
        ("/v1/events?created[gte]=yesterday", 400, ""),
    ];
    for (path, status, code) in table {
        let (found, body) = world.get(path).await;
        assert_eq!((found, body["error"]["code"].as_str().unwrap_or_default()), (status, code), "{path}: {body}");
        assert!(body["error"]["message"].is_string() && body["error"]["type"] == "invalid_request_error", "{path}");
    }
    assert_eq!(world.get(&format!("/v1/subscriptions/{id}?expand[]=color")).await.0, 400);
    assert_eq!(world.get_as("/v1/events", "rk_live_wrong", "2024-06-20").await.0, 401);
    let client = &world.client;
    let bare = client.get(format!("{}/v1/events", world.api.url())).send().await.unwrap();
    assert_eq!(bare.status().as_u16(), 401);
    let posted = client.post(format!("{}/v1/events", world.api.url())).bearer_auth(key).send().await.unwrap();
    assert_eq!(posted.status().as_u16(), 405);
}

#[tokio::test]
async fn limits_and_faults() {
    let clock = Clock::manual(1_000);
    let limit = Limit { calls: 2, span_ms: 1_000 };
    let world = world(StripeApiOptions { limit, clock: clock.clone(), port: 0 }).await;
    let statuses = [world.get("/v1/events").await.0, world.get("/v1/events").await.0, world.get("/v1/events").await.0];
    assert_eq!(statuses, [200, 200, 429]);
    clock.advance(Duration::from_secs(1));
    assert_eq!(world.get("/v1/events").await.0, 200);
    world.api.set_faults(Faults { limited: true, ..Faults::default() });
    let request = world.client.get(format!("{}/v1/events", world.api.url())).bearer_auth(world.stripe.api_key());
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 429);
    assert!(answer.headers().contains_key("stripe-rate-limited-reason"));
    world.api.set_faults(Faults { down: true, ..Faults::default() });
    assert_eq!(world.get("/v1/events").await.0, 503);
    let report = world.api.report();
    assert_eq!((report.calls, report.answered, report.limited, report.faults), (6, 3, 2, 1));
}

#[tokio::test]
async fn all_subscriptions_made_since_a_second_are_listed_newest_first_page_by_page() {
    let world = world(patient()).await;
    let all: Vec<(String, i64)> = {
        let account = world.stripe.account();
        let made = account.subscriptions().map(|object| match object {
            Object::Subscription(one) => (one.id.to_string(), one.created),
            other => panic!("{} is no subscription", other.id()),
        });
        made.collect()
    };
    let since = all[all.len() / 2].1;
    let expected: Vec<&str> = all.iter().filter(|(_, made)| *made >= since).map(|(id, _)| id.as_str()).collect();
    assert!(expected.len() > 10 && expected.len() < all.len(), "{} of {}", expected.len(), all.len());
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let path =
            format!("/v1/subscriptions?created[gte]={since}&limit=10&status=all&expand[]=data.latest_invoice{after}");
        let (status, page) = world.get(&path).await;
        assert_eq!(status, 200, "{page}");
        let rows = page["data"].as_array().unwrap();
        assert!(rows.iter().all(|row| row["latest_invoice"]["object"] == "invoice"), "{page}");
        found.extend(rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()));
        if page["has_more"] == false {
            break;
        }
        after = format!("&starting_after={}", found.last().unwrap());
    }
    assert_eq!(found, expected);
    let (_, running) = world.get("/v1/subscriptions?status=active&limit=100").await;
    assert!(running["data"].as_array().unwrap().iter().all(|row| row["status"] == "active"));
    assert_eq!(world.api.report().wrong, Vec::<String>::new());
}
