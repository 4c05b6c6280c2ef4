use super::*;
use crate::standins::Server;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::collections::HashMap;

/// `Stripe-Signature`, and the body.
type Signed = (String, Vec<u8>);

/// A hub that only takes notifications in, and says no when it is told to.
#[derive(Clone, Default)]
struct FakeHub {
    /// `originalTransactionId` and `signedDate` of everything that came.
    heard: Arc<Mutex<Vec<(String, i64)>>>,
    /// Answers to give before the 200s.
    answers: Arc<Mutex<Vec<u16>>>,
    made: Arc<Mutex<Vec<Value>>>,
    /// Signatures and bodies of Stripe's events.
    events: Arc<Mutex<Vec<Signed>>>,
}

fn decoded(jws: &Value) -> Value {
    let payload = jws.as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

async fn ingest(State(hub): State<FakeHub>, headers: http::HeaderMap, body: Bytes) -> http::StatusCode {
    if let Some(status) = hub.answers.lock().unwrap().pop() {
        return http::StatusCode::from_u16(status).unwrap();
    }
    if let Some(signature) = headers.get("stripe-signature") {
        hub.events.lock().unwrap().push((signature.to_str().unwrap().to_owned(), body.to_vec()));
        return http::StatusCode::OK;
    }
    let body: Value = serde_json::from_slice(&body).unwrap();
    let payload = decoded(&body["signedPayload"]);
    let transaction = decoded(&payload["data"]["signedTransactionInfo"]);
    let purchase = transaction["originalTransactionId"].as_str().unwrap().to_owned();
    hub.heard.lock().unwrap().push((purchase, payload["signedDate"].as_i64().unwrap()));
    http::StatusCode::OK
}

async fn make(State(hub): State<FakeHub>, body: Bytes) -> axum::Json<Value> {
    let mut made = hub.made.lock().unwrap();
    made.push(serde_json::from_slice(&body).unwrap());
    axum::Json(json!({"id": format!("made_{}", made.len())}))
}

impl FakeHub {
    async fn start(&self) -> Server {
        let router = Router::new()
            .route("/ingest/{source}", post(ingest))
            .route("/v1/{*rest}", post(make))
            .with_state(self.clone());
        Server::start(router, 0).await.unwrap()
    }

    /// Notifications by purchase, in the order of arrival.
    fn lanes(&self) -> HashMap<String, Vec<i64>> {
        let mut lanes: HashMap<String, Vec<i64>> = HashMap::new();
        for (purchase, date) in self.heard.lock().unwrap().iter() {
            lanes.entry(purchase.clone()).or_default().push(*date);
        }
        lanes
    }
}

fn target(server: &Server) -> Target {
    let url = |kind: StoreKind| (kind, format!("{}/ingest/{kind}", server.url()));
    Target { ingest_urls: StoreKind::ALL.iter().copied().map(url).collect(), receiver: None }
}

async fn run(hub: &FakeHub, options: SimulationOptions) -> (Simulation, Summary) {
    let server = hub.start().await;
    let simulation = Simulation::new(options).unwrap();
    let target = target(&server);
    let summary = simulation.run(&target, &CancellationToken::new()).await;
    (simulation, summary)
}

fn options() -> SimulationOptions {
    SimulationOptions {
        customers: 30,
        months: 4,
        pace: Pace::Unbounded,
        connections: 4,
        ..SimulationOptions::default()
    }
}

fn is_sorted(dates: &[i64]) -> bool {
    dates.windows(2).all(|pair| pair[0] < pair[1])
}

#[tokio::test]
async fn everything_arrives_once_and_each_purchase_in_order() {
    let hub = FakeHub::default();
    // Apple tries again after these.
    *hub.answers.lock().unwrap() = vec![503, 500, 429];
    let (simulation, summary) = run(&hub, options()).await;
    let heard = hub.heard.lock().unwrap().len() as u64;
    assert_eq!((summary.counters.told, summary.counters.accepted, summary.counters.given_up), (heard, heard, 0));
    assert_eq!((summary.counters.retried, summary.counters.attempts), (3, heard + 3));
    assert!(hub.lanes().values().all(|dates| is_sorted(dates)));
    assert_eq!(simulation.truth().purchases().len(), hub.lanes().len());
    let learned: u32 = simulation.truth().purchases().values().map(|purchase| purchase.notifications).sum();
    assert_eq!(u64::from(learned), heard);
}

#[tokio::test]
async fn a_refused_notification_is_named_and_not_taken_for_true() {
    let hub = FakeHub::default();
    *hub.answers.lock().unwrap() = vec![401];
    let (simulation, summary) = run(&hub, options()).await;
    assert_eq!((summary.counters.given_up, summary.counters.refusals.len()), (1, 1));
    assert!(summary.counters.refusals[0].contains("401"), "{:?}", summary.counters.refusals);
    let learned: u32 = simulation.truth().purchases().values().map(|purchase| purchase.notifications).sum();
    assert_eq!(u64::from(learned), summary.counters.told - 1);
}

#[tokio::test]
async fn disorder_repeats_and_swaps_but_loses_nothing() {
    let disorder = Disorder { repeat_percent: 30, swap_percent: 30, lost_answer_percent: 10, ..Disorder::NONE };
    let (plain, mixed) = (FakeHub::default(), FakeHub::default());
    run(&plain, options()).await;
    let (_, summary) = run(&mixed, SimulationOptions { disorder, ..options() }).await;
    assert_eq!(summary.counters.given_up, 0);
    assert!(mixed.heard.lock().unwrap().len() > plain.heard.lock().unwrap().len());
    assert!(mixed.lanes().values().any(|dates| !is_sorted(dates)));
    let distinct =
        |hub: &FakeHub| hub.heard.lock().unwrap().iter().cloned().collect::<std::collections::HashSet<_>>().len();
    assert_eq!(distinct(&mixed) as u64, summary.counters.told);
    assert_eq!(distinct(&plain), distinct(&mixed));
}

#[tokio::test]
async fn a_shuffle_leaves_no_purchase_in_order_and_loses_nothing() {
    let disorder = Disorder { repeat_percent: 20, shuffle_window: 6, ..Disorder::default() };
    let (plain, mixed) = (FakeHub::default(), FakeHub::default());
    let (straight, _) = run(&plain, options()).await;
    let (simulation, summary) = run(&mixed, SimulationOptions { disorder, ..options() }).await;
    assert_eq!(summary.counters.given_up, 0);
    let heard = mixed.heard.lock().unwrap().clone();
    let distinct: std::collections::HashSet<_> = heard.iter().cloned().collect();
    assert_eq!(distinct.len() as u64, summary.counters.told);
    assert_eq!(summary.counters.accepted, summary.counters.told, "each is counted once");
    assert!(heard.len() > distinct.len(), "some come again");
    let known = |simulation: &Simulation| {
        let truth = simulation.truth();
        truth.purchases().values().map(|purchase| (purchase.notifications, purchase.totals.clone())).collect::<Vec<_>>()
    };
    let (mut of_straight, mut of_mixed) = (known(&straight), known(&simulation));
    of_straight.sort();
    of_mixed.sort();
    assert_eq!(of_straight, of_mixed);
    let lanes = mixed.lanes();
    let long: Vec<_> = lanes.values().filter(|dates| dates.len() > 5).collect();
    assert!(!long.is_empty());
    assert!(long.iter().filter(|dates| is_sorted(dates)).count() * 10 < long.len(), "the order is broken everywhere");
}

#[tokio::test]
async fn stripes_events_are_signed_for_each_attempt_and_its_account_shows_what_they_tell() {
    let hub = FakeHub::default();
    let stores = vec![StoreKind::AppStore, StoreKind::Stripe];
    let (simulation, summary) = run(&hub, SimulationOptions { stores, seed: 3, ..options() }).await;
    assert_eq!(summary.counters.given_up, 0);
    let stripe = simulation.stripe();
    stripe.account().catch_up(Clock::System.now_ms());
    let events = hub.events.lock().unwrap();
    assert!(events.len() > 50 && !hub.heard.lock().unwrap().is_empty(), "{}", events.len());
    for (header, body) in events.iter() {
        let at: i64 = header.strip_prefix("t=").unwrap().split(',').next().unwrap().parse().unwrap();
        let right = crate::stores::stripe::signature(stripe.signing_secret(), at, body);
        assert!(header.contains(&format!(",v1={right}")), "{header}");
        assert_eq!(header.matches("v1=").count(), 2, "the secret is being rolled: {header}");
        let event: Value = serde_json::from_slice(body).unwrap();
        let object = event["data"]["object"]["id"].as_str().unwrap();
        assert!(stripe.account().object(object).is_some(), "{object}");
    }
}

#[tokio::test]
async fn a_cancelled_run_ends() {
    let hub = FakeHub::default();
    let server = hub.start().await;
    // At this pace the run would take hours.
    let simulation = Simulation::new(SimulationOptions { pace: Pace::Rate(0.01), ..options() }).unwrap();
    let target = target(&server);
    let stop = CancellationToken::new();
    stop.cancel();
    assert_eq!(simulation.run(&target, &stop).await.counters.told, 0);
}

#[tokio::test]
async fn a_hub_is_set_up_through_its_api() {
    let hub = FakeHub::default();
    let server = hub.start().await;
    let simulation = Simulation::new(options()).unwrap();
    let discord = "https://discord.com/api/webhooks/1/token";
    let destinations =
        [NewDestination::discord("team", discord), NewDestination::webhook("app", "http://x/", "whsec_AA==")];
    let setup = simulation.setup(&format!("{}/", server.url()), "key", &destinations).await.unwrap();
    let source = &setup.sources[0];
    assert_eq!(source.ingest_url, format!("{}/ingest/{}", server.url(), source.id));
    assert_eq!(setup.destination_ids.len(), 2);
    let made = hub.made.lock().unwrap();
    let kinds: Vec<_> = made.iter().filter_map(|one| one["type"].as_str()).collect();
    assert_eq!(kinds, ["discord_webhook", "webhook", "app_store"]);
    assert_eq!(made.last().unwrap()["config"]["root_certificates"][0], simulation.store().root_pem());
    assert!(made.iter().any(|one| one["product_id"] == "max_monthly" && one["rank"] == 3));
}

#[test]
fn dates_of_an_unpaced_run_end_about_now() {
    let simulation = Simulation::new(SimulationOptions { speed: 1.0, ..options() }).unwrap();
    let now = 1_767_225_600_000;
    let calendar = simulation.calendar(now);
    let last = calendar.stamp(simulation.horizon());
    assert!(last <= now && now - last < 60_000 && calendar.start_ms() > now - 13 * 3_600_000, "{calendar:?}");
    let simulation = Simulation::new(SimulationOptions { pace: Pace::Life, ..options() }).unwrap();
    assert_eq!(simulation.calendar(now).stamp(0), now);
}

#[tokio::test]
async fn what_is_dropped_is_true_all_the_same_and_the_seed_decides_which() {
    let disorder = Disorder { drop_percent: 20, repeat_percent: 20, shuffle_window: 6, ..Disorder::NONE };
    let mut runs = Vec::new();
    for _ in 0..2 {
        let hub = FakeHub::default();
        let (simulation, summary) = run(&hub, SimulationOptions { disorder, ..options() }).await;
        let counters = &summary.counters;
        assert_eq!(counters.accepted + counters.dropped, counters.told);
        assert!(counters.dropped * 10 > counters.told && counters.dropped * 3 < counters.told, "{}", counters.dropped);
        let truth = simulation.truth();
        let told: u32 = truth.purchases().values().map(|purchase| purchase.notifications).sum();
        let unheard: u32 = truth.purchases().values().map(|purchase| purchase.unheard).sum();
        assert_eq!((u64::from(told), u64::from(unheard)), (counters.told, counters.dropped));
        let repeats = hub.heard.lock().unwrap().len() as u64 - counters.accepted;
        runs.push((counters.dropped, repeats));
    }
    assert_eq!(runs[0], runs[1]);
}

#[tokio::test]
async fn apple_knows_what_did_not_arrive() {
    let disorder = Disorder { drop_percent: 30, ..Disorder::NONE };
    let options = SimulationOptions { disorder, app_store_is_asked: true, ..options() };
    let hub = FakeHub::default();
    *hub.answers.lock().unwrap() = vec![503];
    let (simulation, summary) = run(&hub, options).await;
    let account = simulation.app_store();
    let mut account = account.account();
    account.catch_up(Clock::System.now_ms());
    use crate::stores::app_store::account::SendResult;
    let results = |wanted: SendResult| {
        let attempts = account.told(0).flat_map(|told| account.attempts(&told.uuid));
        attempts.filter(|attempt| attempt.send_attempt_result == wanted).count() as u64
    };
    assert_eq!(results(SendResult::NoResponse), summary.counters.dropped);
    assert_eq!(results(SendResult::Success), summary.counters.accepted);
    assert_eq!(results(SendResult::UnsuccessfulHttpResponseCode), 1);
}

#[tokio::test]
async fn what_is_late_comes_after_what_follows_it() {
    let disorder = Disorder { late_percent: 20, late_by: 20 * crate::calendar::DAY, ..Disorder::NONE };
    let hub = FakeHub::default();
    let (_, summary) = run(&hub, SimulationOptions { disorder, ..options() }).await;
    assert_eq!((summary.counters.accepted, summary.counters.given_up), (summary.counters.told, 0));
    let late = hub.lanes().values().filter(|dates| !is_sorted(dates)).count();
    assert!(late > 3, "{late}");
}

#[tokio::test]
async fn one_store_can_suffer_alone_and_clocks_can_be_wrong() {
    let disorder_of = BTreeMap::from([(StoreKind::Stripe, Disorder { drop_percent: 100, ..Disorder::NONE })]);
    let stores = vec![StoreKind::AppStore, StoreKind::Stripe];
    let hub = FakeHub::default();
    let (_, summary) = run(&hub, SimulationOptions { disorder_of, stores: stores.clone(), ..options() }).await;
    let figures = &summary.counters.by_store;
    assert_eq!((figures[&StoreKind::AppStore].dropped, figures[&StoreKind::Stripe].accepted), (0, 0));
    assert!(figures[&StoreKind::Stripe].dropped > 20);

    let hub = FakeHub::default();
    let before = Clock::System.now_ms();
    run(&hub, SimulationOptions { skew_ms: 120_000, stores, ..options() }).await;
    let events = hub.events.lock().unwrap();
    let signed = events.iter().map(|(header, _)| header.strip_prefix("t=").unwrap().split(',').next().unwrap());
    assert!(signed.map(|at| at.parse::<i64>().unwrap()).all(|at| at * 1_000 > before + 118_000));
}
