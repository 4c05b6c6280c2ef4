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

/// A hub that only takes notifications in, and says no when it is told to.
#[derive(Clone, Default)]
struct FakeHub {
    /// `originalTransactionId` and `signedDate` of everything that came.
    heard: Arc<Mutex<Vec<(String, i64)>>>,
    /// Answers to give before the 200s.
    answers: Arc<Mutex<Vec<u16>>>,
    made: Arc<Mutex<Vec<Value>>>,
}

fn decoded(jws: &Value) -> Value {
    let payload = jws.as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

async fn ingest(State(hub): State<FakeHub>, body: Bytes) -> http::StatusCode {
    if let Some(status) = hub.answers.lock().unwrap().pop() {
        return http::StatusCode::from_u16(status).unwrap();
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

async fn run(hub: &FakeHub, options: SimulationOptions) -> (Simulation, Summary) {
    let server = hub.start().await;
    let simulation = Simulation::new(options).unwrap();
    let target = Target { ingest_url: format!("{}/ingest/src_1", server.url()), receiver: None };
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
    let disorder = Disorder { repeat_percent: 30, swap_percent: 30, lost_answer_percent: 10 };
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
async fn a_cancelled_run_ends() {
    let hub = FakeHub::default();
    let server = hub.start().await;
    // At this pace the run would take hours.
    let simulation = Simulation::new(SimulationOptions { pace: Pace::Rate(0.01), ..options() }).unwrap();
    let target = Target { ingest_url: format!("{}/ingest/src_1", server.url()), receiver: None };
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
    assert_eq!(setup.ingest_url, format!("{}/ingest/{}", server.url(), setup.source_id));
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
