//! The stand-in's own rules, over HTTP.

use super::*;
use crate::calendar::Calendar;
use crate::edge;
use crate::lives::Turn;
use crate::population::{Population, PopulationOptions, Shop};
use crate::stores::amazon::wire::{App, Notification};
use std::time::Duration;

const START: i64 = 1_767_225_600_000;

struct Stage {
    api: AmazonApi,
    amazon: Arc<Amazon>,
    clock: Clock,
    client: reqwest::Client,
}

async fn stage(options: AmazonApiOptions, is_beta: bool) -> Stage {
    let amazon = Amazon::new(1, App { package_name: Arc::from("com.example.paidup"), is_beta }, true).unwrap();
    let (amazon, clock) = (Arc::new(amazon), Clock::manual(START));
    let options = AmazonApiOptions { clock: clock.clone(), ..options };
    let api = AmazonApi::start(Arc::clone(&amazon), options).await.unwrap();
    Stage { api, amazon, clock, client: edge::client().unwrap() }
}

fn notifications(is_beta: bool) -> Vec<(Turn, Notification)> {
    let app = App { package_name: Arc::from("com.example.paidup"), is_beta };
    let options = PopulationOptions { customers: 200, seed: 3, ..PopulationOptions::default() };
    let population = Population::new(options, Calendar::new(START, 1.0), vec![Shop::Amazon(app)]);
    population.filter_map(|told| Some((told.turn, told.amazon()?.clone()))).collect()
}

impl Stage {
    async fn get(&self, path: &str) -> (u16, Value) {
        let answer = self.client.get(format!("{}{path}", self.api.url())).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null))
    }

    async fn verify(&self, secret: &str, user: &str, receipt: &str) -> (u16, Value) {
        self.get(&format!("/version/1.0/verifyReceiptId/developer/{secret}/user/{user}/receiptId/{receipt}")).await
    }
}

#[tokio::test]
async fn a_receipt_is_answered_as_it_stands_and_wrong_calls_by_amazons_numbers() {
    let stage = stage(AmazonApiOptions::default(), false).await;
    let all = notifications(false);
    let feed: Vec<_> = all.iter().map(|(_, one)| (one.at, one.clone())).collect();
    stage.amazon.shelf().follow(Box::new(feed.into_iter()));
    let renewed = all.iter().find(|(turn, _)| *turn == Turn::Renewed).unwrap().1.clone();
    let secret = stage.amazon.shared_secret().to_owned();
    stage.clock.advance_to(renewed.at - 1);
    let (status, before) = stage.verify(&secret, &renewed.user, &renewed.receipt).await;
    assert_eq!(status, 200);
    stage.clock.advance_to(renewed.at + 1);
    let (_, after) = stage.verify(&secret, &renewed.user, &renewed.receipt).await;
    assert!(after["renewalDate"].as_i64() > before["renewalDate"].as_i64(), "the date moved");
    assert_eq!(after["receiptId"], before["receiptId"], "and the id did not");
    assert_eq!(after["purchaseDate"], before["purchaseDate"]);
    let percent = renewed.user.replace('=', "%3D");
    assert_eq!(stage.verify(&secret, &percent, &renewed.receipt.replace('=', "%3D").replace(':', "%3A")).await.0, 200);
    assert_eq!(stage.verify("2:wrong", &renewed.user, &renewed.receipt).await.0, 496);
    assert_eq!(stage.verify(&secret, "somebody", &renewed.receipt).await.0, 497);
    assert_eq!(stage.verify(&secret, &renewed.user, "nothing").await.0, 400);
    assert_eq!(stage.get("/version/2.0/x").await.0, 404);
    let sandbox = format!(
        "/sandbox/version/1.0/verifyReceiptId/developer/{secret}/user/{}/receiptId/{}",
        renewed.user, renewed.receipt
    );
    assert_eq!(stage.get(&sandbox).await.0, 400, "the sandbox knows no real receipts");
    let wrong = stage.api.report().wrong;
    assert!(wrong.len() == 5 && wrong.iter().all(|one| !one.contains(&secret)), "{wrong:?}");
}

#[tokio::test]
async fn a_cancelled_receipt_may_be_gone_and_a_beta_one_is_in_the_sandbox_too() {
    let stage = stage(AmazonApiOptions::default(), true).await;
    let secret = stage.amazon.shared_secret().to_owned();
    let all = notifications(true);
    all.iter().for_each(|(_, one)| stage.amazon.shelf().publish(one));
    let mut statuses = std::collections::BTreeSet::new();
    for (_, one) in all.iter().filter(|(turn, _)| *turn == Turn::RefundedCurrent) {
        statuses.insert(stage.verify(&secret, &one.user, &one.receipt).await.0);
    }
    assert_eq!(statuses.into_iter().collect::<Vec<_>>(), [200, 410]);
    let is_there = |one: &Notification| !stage.amazon.shelf().receipt(&one.receipt).unwrap().is_gone;
    let one = &all.iter().find(|(turn, one)| *turn == Turn::Started && is_there(one)).unwrap().1;
    let path =
        format!("/sandbox/version/1.0/verifyReceiptId/developer/{secret}/user/{}/receiptId/{}", one.user, one.receipt);
    let (status, receipt) = stage.get(&path).await;
    assert_eq!((status, &receipt["betaProduct"]), (200, &json!(true)));
}

#[tokio::test]
async fn the_certificate_is_served_and_the_subscription_confirmed_once_the_token_is_right() {
    let stage = stage(AmazonApiOptions::default(), false).await;
    let confirmation: Value = serde_json::from_slice(&stage.amazon.confirmation(START)).unwrap();
    let certificate = confirmation["SigningCertURL"].as_str().unwrap();
    assert!(certificate.starts_with(&stage.api.url()));
    let pem = stage.client.get(certificate).send().await.unwrap().text().await.unwrap();
    assert_eq!(pem, stage.amazon.certificate());
    let url = confirmation["SubscribeURL"].as_str().unwrap();
    let wrong = url.replace("Token=", "Token=0");
    assert_eq!(stage.client.get(wrong).send().await.unwrap().status(), 400);
    assert!(!stage.amazon.is_confirmed());
    assert_eq!(stage.client.get(url).send().await.unwrap().status(), 200);
    assert!(stage.amazon.is_confirmed());
    assert_eq!((stage.api.report().certificates, stage.api.report().confirmations), (1, 1));
}

#[tokio::test]
async fn limits_and_faults() {
    let options = AmazonApiOptions { limit: Limit { calls: 2, span_ms: 1_000 }, ..AmazonApiOptions::default() };
    let stage = stage(options, false).await;
    let secret = stage.amazon.shared_secret().to_owned();
    let status = async || stage.verify(&secret, "u", "r").await.0;
    assert_eq!([status().await, status().await, status().await], [400, 400, 429]);
    stage.clock.advance(Duration::from_secs(2));
    assert_eq!(status().await, 400);
    stage.api.set_faults(Faults { api: ApiFaults::down(), ..Faults::default() });
    assert_eq!(status().await, 500);
    stage.api.set_faults(Faults { api: ApiFaults { limited: true, ..ApiFaults::default() }, certificate_down: true });
    assert_eq!(status().await, 429);
    assert_eq!(stage.get(CERTIFICATE_PATH).await.0, 503);
    let posted = stage.client.post(stage.api.url()).send().await.unwrap();
    assert_eq!(posted.status(), 405);
}
