//! Kills the hub again and again under load and counts what was lost. Every notification that was answered with 200
//! must come out as an event, each lane in order; what came twice is counted.

use crate::hub::api;
use crate::load::{self, Connection};
use crate::process::{ADMIN_KEY, HubProcess, StartOptions};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const WORKERS: u64 = 8;
const PURCHASES_EACH: u64 = 20;
/// A day between the periods of one purchase, from 2026-01-01 on.
const EPOCH_MS: i64 = 1_767_225_600_000;

/// What came to the receiver about one purchase.
#[derive(Default)]
struct Lane {
    /// The largest `seq` so far.
    last: u64,
    /// Every `seq`.
    seen: BTreeSet<u64>,
    /// The transactions of starts and renewals.
    told: BTreeSet<String>,
    repeats: u64,
    disorder: u64,
}

#[derive(Default)]
struct Received {
    lanes: BTreeMap<String, Lane>,
}

impl Received {
    fn take(&mut self, event: &Value) {
        let (Some(purchase), Some(seq)) = (event["purchase"]["store_purchase_id"].as_str(), event["seq"].as_u64())
        else {
            return;
        };
        let lane = self.lanes.entry(purchase.to_owned()).or_default();
        if !lane.seen.insert(seq) {
            lane.repeats += 1;
        } else if seq < lane.last {
            lane.disorder += 1;
        }
        lane.last = lane.last.max(seq);
        if let (Some("SUBSCRIPTION_STARTED" | "SUBSCRIPTION_RENEWED"), Some(id)) =
            (event["type"].as_str(), event["transaction"]["id"].as_str())
        {
            lane.told.insert(id.to_owned());
        }
    }
}

/// What a whole run came to.
pub(crate) struct Report {
    pub(crate) kills: u64,
    pub(crate) acknowledged: u64,
    pub(crate) lost: u64,
    pub(crate) gaps: u64,
    pub(crate) disorder: u64,
    pub(crate) repeats: u64,
    pub(crate) received: u64,
    pub(crate) redelivery_ms: Vec<u64>,
}

impl Report {
    /// Nothing lost, nothing out of order.
    pub(crate) fn passes(&self) -> bool {
        self.lost == 0 && self.gaps == 0 && self.disorder == 0 && self.acknowledged > 0
    }
}

fn notification(purchase: u64, period: u64) -> Vec<u8> {
    let day = |number: u64| {
        let ms = EPOCH_MS + i64::try_from(number).unwrap_or(0) * 86_400_000;
        paidup_lifecycle::time::Timestamp::from_millis_clamped(ms).to_string()
    };
    json!({
        "id": format!("n-{purchase}-{period}"), "observed_at": day(period),
        "reason": if period == 1 { "purchased" } else { "renewed" }, "environment": "PRODUCTION", "store": "STRIPE",
        "customer_id": format!("user-{purchase}"), "purchase_id": format!("p-{purchase}"), "kind": "subscription",
        "transaction_id": format!("t-{purchase}-{period}"), "product_id": "pro", "period_type": "normal",
        // Periods reach far ahead, so that the clock of the machine ends none of them.
        "period": {"starts_at": day(period), "ends_at": day(period + 36_500)},
        "will_renew": true, "price": {"amount_minor": 999, "currency": "USD"}
    })
    .to_string()
    .into_bytes()
}

/// Sends one purchase's periods in order, each until it is acknowledged; answers the last acknowledged one of each.
async fn work(
    worker: u64,
    address: SocketAddr,
    ingest: String,
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
) -> Vec<(u64, u64)> {
    let mut periods = vec![0u64; usize::try_from(PURCHASES_EACH).unwrap_or(0)];
    let mut connection: Option<Connection> = None;
    let mut turn = 0usize;
    while !stop.load(Ordering::Relaxed) {
        let slot = turn % periods.len();
        let purchase = worker * PURCHASES_EACH + slot as u64;
        let request = load::post(&ingest, Some(ADMIN_KEY), &notification(purchase, periods[slot] + 1));
        if connection.is_none() {
            connection = Connection::open(address).await.ok();
        }
        let answer = match connection.as_mut() {
            Some(open) => open.call(&request).await,
            None => Err(anyhow::anyhow!("not connected")),
        };
        match answer {
            Ok((200, _)) => {
                periods[slot] += 1;
                count.fetch_add(1, Ordering::Relaxed);
                turn += 1;
            }
            Ok((status, body)) => {
                eprintln!("unexpected {status}: {}", String::from_utf8_lossy(&body));
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(_) => {
                connection = None;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    }
    periods.iter().enumerate().map(|(slot, period)| (worker * PURCHASES_EACH + slot as u64, *period)).collect()
}

async fn receiver(received: Arc<parking_lot::Mutex<Received>>, count: Arc<AtomicU64>) -> Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let app = axum::Router::new().fallback(move |body: axum::body::Bytes| {
        let (received, count) = (received.clone(), count.clone());
        async move {
            if let Ok(event) = serde_json::from_slice::<Value>(&body) {
                received.lock().take(&event);
                count.fetch_add(1, Ordering::Relaxed);
            }
            axum::http::StatusCode::OK
        }
    });
    tokio::spawn(async move {
        let _ = axum::serve(listener, app).await;
    });
    Ok(address)
}

/// A port that is free now; the hub gets the same one after every kill.
fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Runs `kills` kills at moments drawn from `seed`, on a database in `folder`, optionally over a layer that drops what
/// was not synced.
pub(crate) async fn run(folder: &Path, kills: u64, seed: u64, layer: Option<PathBuf>) -> Result<Report> {
    let options = StartOptions { port: free_port()?, preload: layer, ..StartOptions::default() };
    let mut hub = HubProcess::start_with(folder, &options)?;
    let made =
        api(hub.address, "POST", "/v1/sources", Some(json!({"type": "generic", "name": "kill", "config": {}}))).await?;
    let ingest = format!("/ingest/{}", made["id"].as_str().context("source id")?);
    let received = Arc::new(parking_lot::Mutex::new(Received::default()));
    let arrived = Arc::new(AtomicU64::new(0));
    let target = receiver(received.clone(), arrived.clone()).await?;
    let body =
        json!({"type": "webhook", "name": "kill", "config": {"url": format!("http://{target}/"), "format": "paidup"}});
    api(hub.address, "POST", "/v1/destinations", Some(body)).await?;

    let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let workers: Vec<_> = (0..WORKERS)
        .map(|worker| tokio::spawn(work(worker, hub.address, ingest.clone(), stop.clone(), acknowledged.clone())))
        .collect();
    let mut chance = seed | 1;
    let mut redelivery_ms = Vec::new();
    for kill in 0..kills {
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        tokio::time::sleep(Duration::from_millis(30 + chance % 370)).await;
        hub.kill()?;
        let before = arrived.load(Ordering::Relaxed);
        hub = HubProcess::start_with(folder, &options)?;
        let up = Instant::now();
        while arrived.load(Ordering::Relaxed) == before && up.elapsed() < Duration::from_secs(30) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        redelivery_ms.push(u64::try_from(up.elapsed().as_millis())?);
        if (kill + 1) % 20 == 0 {
            eprintln!(
                "  {} kills, {} acknowledged, {} arrived",
                kill + 1,
                acknowledged.load(Ordering::Relaxed),
                arrived.load(Ordering::Relaxed)
            );
        }
    }
    stop.store(true, Ordering::Relaxed);
    let mut sent = Vec::new();
    for worker in workers {
        sent.extend(worker.await?);
    }
    let expected: BTreeSet<String> = sent
        .iter()
        .flat_map(|(purchase, last)| (1..=*last).map(move |period| format!("t-{purchase}-{period}")))
        .collect();
    let lost = drained(&received, &expected).await;
    hub.stop()?;
    let received = received.lock();
    Ok(Report {
        kills,
        acknowledged: expected.len() as u64,
        lost,
        gaps: received.lanes.values().map(|lane| lane.last - lane.seen.len() as u64).sum(),
        disorder: received.lanes.values().map(|lane| lane.disorder).sum(),
        repeats: received.lanes.values().map(|lane| lane.repeats).sum(),
        received: arrived.load(Ordering::Relaxed),
        redelivery_ms,
    })
}

/// Waits until everything expected has come or nothing more comes for 20 s; answers how much is missing.
async fn drained(received: &parking_lot::Mutex<Received>, expected: &BTreeSet<String>) -> u64 {
    let (mut missing, mut since) = (u64::MAX, Instant::now());
    loop {
        let now = {
            let received = received.lock();
            let told: BTreeSet<&String> = received.lanes.values().flat_map(|lane| lane.told.iter()).collect();
            expected.iter().filter(|id| !told.contains(id)).count() as u64
        };
        if now == 0 || since.elapsed() > Duration::from_secs(20) {
            // What follows the last renewal in its bundle may still be on its way.
            tokio::time::sleep(Duration::from_secs(1)).await;
            return now;
        }
        if now < missing {
            (missing, since) = (now, Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Runs both kinds and prints what came of them; an error when anything was lost.
pub(crate) async fn both(folder: &Path, kills: u64, seed: u64) -> Result<()> {
    let library = std::env::current_exe()?.parent().context("no folder")?.join("libpaidup_unsynced.so");
    if !library.exists() {
        bail!("build the file layer first: cargo build --release -p paidup-unsynced");
    }
    let mut failed = false;
    for (name, layer) in [("kill -9", None), ("kill -9 over a file layer that drops unsynced writes", Some(library))] {
        let place = tempfile::tempdir_in(folder)?;
        println!("{name}: {kills} kills, seed {seed}");
        let report = run(place.path(), kills, seed, layer).await?;
        let mut slow = report.redelivery_ms.clone();
        slow.sort_unstable();
        println!(
            "  acknowledged {}, lost {}, gaps {}, out of order {}, repeats {} of {} received; first delivery after a restart: median {} ms, longest {} ms",
            report.acknowledged,
            report.lost,
            report.gaps,
            report.disorder,
            report.repeats,
            report.received,
            slow.get(slow.len() / 2).unwrap_or(&0),
            slow.last().unwrap_or(&0),
        );
        println!("  {} after {} kills", if report.passes() { "PASSED" } else { "FAILED" }, report.kills);
        failed |= !report.passes();
    }
    if failed {
        bail!("something was lost or out of order");
    }
    Ok(())
}
