//! A store whose API hangs: what it does to the 2xx of that store's notifications and of everybody else's.

use crate::hub::{Populated, api};
use crate::load::{self, Outcome, Plan};
use crate::process::{HubProcess, StartOptions};
use crate::rows::{Row, row};
use anyhow::{Context, Result, bail};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use paidup_simulator::rsa::{Holder, RsaKey};
use paidup_simulator::standins::Server;
use paidup_simulator::stores::play::{AUDIENCE, Google, PUSH_ACCOUNT, SERVICE_ACCOUNT, TOKEN_URI};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Pairs of windows, answering and hanging, in turn on one hub: the machine's mood changes from minute to minute.
const ROUNDS: usize = 5;
/// Notifications a second of the store that hangs: each brings a lookup. Google allows 50 calls a second.
const PUSHES: f64 = 40.0;
/// Notifications a second of another source.
const OTHERS: f64 = 160.0;
/// Purchases that the pushes are about.
const PURCHASES: u64 = 2_000;
/// Lookups that were tried while the API hung wait for their own next try; so many may be left when the next window begins.
const LEFT: u64 = 40;

const PACKAGE: &str = "com.example.bench";

/// Google's API: tokens and keys at once, subscriptions at once or never.
struct StandIn {
    server: Server,
    hangs: watch::Sender<bool>,
    calls: Arc<AtomicU64>,
}

impl StandIn {
    async fn start(google: &Google) -> Result<StandIn> {
        let (hangs, hanging) = watch::channel(false);
        let (calls, keys) = (Arc::new(AtomicU64::new(0)), google.key_set().to_string());
        let counter = calls.clone();
        let app = axum::Router::new().fallback(move |request: Request| {
            let (mut hanging, counter, keys) = (hanging.clone(), counter.clone(), keys.clone());
            async move {
                match request.uri().path() {
                    "/token" => {
                        json_of(json!({"access_token": "t", "expires_in": 3600, "token_type": "Bearer"}).to_string())
                    }
                    "/oauth2/v3/certs" => json_of(keys),
                    _ => {
                        counter.fetch_add(1, Ordering::Relaxed);
                        // An error would mean that the bench is over.
                        let _ = hanging.wait_for(|hangs| !hangs).await;
                        json_of(subscription().to_string())
                    }
                }
            }
        });
        Ok(StandIn { server: Server::start(app, 0).await?, hangs, calls })
    }
}

fn json_of(text: String) -> Response {
    ([("content-type", "application/json")], text).into_response()
}

/// How every subscription stands.
fn subscription() -> Value {
    json!({
        "kind": "androidpublisher#subscriptionPurchaseV2", "startTime": "2026-01-01T00:00:00Z", "regionCode": "US",
        "subscriptionState": "SUBSCRIPTION_STATE_ACTIVE", "acknowledgementState": "ACKNOWLEDGEMENT_STATE_ACKNOWLEDGED",
        "lineItems": [{
            "productId": "pro_monthly", "expiryTime": "2096-02-01T00:00:00Z", "latestSuccessfulOrderId": "GPA.1000-0001",
            "autoRenewingPlan": {"recurringPrice": {"currencyCode": "USD", "units": "9", "nanos": 990_000_000},
                "autoRenewEnabled": true},
            "offerDetails": {"basePlanId": "monthly"}, "offerPhase": {"basePrice": {}}
        }]
    })
}

/// The bytes of a push about one of the purchases.
fn push(path: &str, token: &str, number: u64) -> Vec<u8> {
    let now = millis();
    let notification = json!({
        "version": "1.0", "packageName": PACKAGE, "eventTimeMillis": now.to_string(),
        "subscriptionNotification": {"version": "1.0", "notificationType": 2,
            "purchaseToken": format!("token-{}", number % PURCHASES), "subscriptionId": "pro_monthly"}
    });
    let body = json!({
        "message": {"data": STANDARD.encode(notification.to_string()), "messageId": format!("{now}-{number}"),
            "publishTime": "2026-01-01T00:00:00Z", "attributes": {}},
        "subscription": "projects/p/subscriptions/s"
    });
    load::post(path, Some(token), body.to_string().as_bytes())
}

fn millis() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default()
}

async fn source(hub: SocketAddr) -> Result<String> {
    let key = RsaKey::of(Holder::ServiceAccount).pem();
    let config = json!({
        "package_name": PACKAGE, "audience": AUDIENCE, "service_account_email": PUSH_ACCOUNT,
        "credentials": {"type": "service_account", "client_email": SERVICE_ACCOUNT, "private_key": key,
            "private_key_id": "bench", "token_uri": TOKEN_URI}
    });
    let made = api(hub, "POST", "/v1/sources", Some(json!({"type": "play", "name": "play", "config": config}))).await?;
    Ok(made["id"].as_str().context("source id")?.to_owned())
}

/// Waits until the store has been asked nearly everything again.
async fn settled(hub: SocketAddr, source: &str) -> Result<()> {
    let begin = Instant::now();
    loop {
        let shown = api(hub, "GET", &format!("/v1/sources/{source}"), None).await?;
        let waiting = shown["store"]["lookups"].as_u64().context("how many lookups wait")?;
        if waiting <= LEFT {
            tokio::time::sleep(Duration::from_secs(1)).await;
            return Ok(());
        }
        if begin.elapsed() > Duration::from_secs(600) {
            bail!("{waiting} lookups wait after ten minutes");
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// What one window came to, in milliseconds.
struct Window {
    all: f64,
    pushes: f64,
}

/// Both loads together.
async fn window(populated: &Populated, path: &str, token: &str, duration: Duration) -> Result<Window> {
    let plan = |rate| Plan { connections: 8, requests: u64::MAX, duration, rate: Some(rate) };
    let (address, path, token) = (populated.hub.address, path.to_owned(), token.to_owned());
    let pushes = load::run(address, plan(PUSHES), 200, move |number| push(&path, &token, number));
    let (pushes, others): (Result<Outcome>, Result<Outcome>) = tokio::join!(pushes, populated.toggles(plan(OTHERS)));
    let (pushes, others) = (pushes?, others?);
    anyhow::ensure!(pushes.failed + others.failed == 0, "{} pushes, {} others refused", pushes.failed, others.failed);
    let mut all = others.latency.clone();
    all.add(&pushes.latency)?;
    Ok(Window { all: all.value_at_percentile(99.0) as f64 / 1000.0, pushes: pushes.ms(99.0) })
}

/// The p99 of the 2xx while the store's API answers and while it hangs. What the hang left to be asked is asked between the
/// windows, which none counts.
pub(crate) async fn hang(folder: &Path, duration: Duration) -> Result<Vec<Row>> {
    let google = Google::new();
    let stand_in = StandIn::start(&google).await?;
    let url = stand_in.server.url();
    let settings = vec![
        ("PAIDUP_PLAY_API_URL".to_owned(), url.clone()),
        ("PAIDUP_GOOGLE_OAUTH_URL".to_owned(), format!("{url}/token")),
    ];
    let hub = HubProcess::start_with(folder, &StartOptions { settings, ..StartOptions::default() })?;
    let populated = Populated::on(hub, 10_000).await?;
    let address = populated.hub.address;
    let source = source(address).await?;
    let path = format!("/ingest/{source}");
    // One token for all: it lasts an hour, and the windows less than that.
    let token = google.push_token(i64::try_from(millis())?);
    window(&populated, &path, &token, Duration::from_secs(5).min(duration)).await?;
    settled(address, &source).await?;
    let (mut all, mut pushes): ([Vec<f64>; 2], [Vec<f64>; 2]) = <_>::default();
    let mut calls = [0, 0];
    for round in 0..ROUNDS * 2 {
        // Answering, hanging; hanging, answering; ...: neither side always comes first.
        let hangs = round % 4 == 1 || round % 4 == 2;
        let before = stand_in.calls.load(Ordering::Relaxed);
        stand_in.hangs.send_replace(hangs);
        let measured = window(&populated, &path, &token, duration).await?;
        calls[usize::from(hangs)] += stand_in.calls.load(Ordering::Relaxed) - before;
        stand_in.hangs.send_replace(false);
        settled(address, &source).await?;
        all[usize::from(hangs)].push(measured.all);
        pushes[usize::from(hangs)].push(measured.pushes);
        eprintln!(
            "  {} p99 {:.2} ms, of the pushes {:.2} ms",
            if hangs { "hangs:  " } else { "answers:" },
            measured.all,
            measured.pushes
        );
    }
    populated.hub.kill()?;
    let median = |mut figures: Vec<f64>| {
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    let ([answering, hanging], [of_answering, of_hanging]) = (all.map(median), pushes.map(median));
    let [answered, hung] = calls;
    Ok(vec![row(
        format!(
            "p99 of the 2xx at {:.0}/s, a fifth of them Play's, while Google's API hangs for {} s",
            PUSHES + OTHERS,
            duration.as_secs()
        ),
        "within 10 % of what it was",
        format!(
            "{hanging:.2} ms = {:+.0} %; Play's own {of_hanging:.2} ms = {:+.0} %; {hung} calls hung",
            100.0 * (hanging / answering - 1.0),
            100.0 * (of_hanging / of_answering - 1.0),
        ),
        format!(
            "{answering:.2} ms while it answers ({answered} calls), Play's own {of_answering:.2} ms; medians of {ROUNDS} windows each, in turn"
        ),
    )])
}
