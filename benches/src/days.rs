//! Thirty virtual days of the same traffic with everything kept for a week: latency of the 2xx and sizes, day by day.
//!
//! The clock has to be moved, so the hub runs inside of this process, over HTTP all the same; the generator shares its runtime.

use crate::hub::{Receiver, api, purchase, toggle};
use crate::load::{self, Outcome, Plan};
use crate::process::ADMIN_KEY;
use crate::rows::{Row, row};
use anyhow::{Context, Result, ensure};
use paidup_hub::Hub;
use paidup_hub::clock::{SystemChance, VirtualClock};
use paidup_hub::config::Config;
use paidup_lifecycle::time::Timestamp;
use paidup_store::OpenOptions;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How many.
const DAYS: u64 = 30;
/// How long everything is kept.
const KEPT_DAYS: u64 = 7;
/// Whose renewal is switched, in turn.
const CUSTOMERS: u64 = 10_000;
/// Notifications a day, each one event and one delivery.
const A_DAY: u64 = 20_000;
const DAY: Duration = Duration::from_secs(86_400);
/// 2026-02-01: later than what the traffic is dated.
const BEGIN: Timestamp = Timestamp::from_millis_clamped(1_769_904_000_000);

/// A hub whose clock this moves.
struct Inside {
    hub: Hub,
    clock: VirtualClock,
    address: SocketAddr,
    closing: CancellationToken,
}

impl Inside {
    async fn start(folder: &Path) -> Result<Inside> {
        let url = format!("sqlite:{}", folder.join("paidup.db").display());
        let kept = KEPT_DAYS.to_string();
        let settings = [
            ("PAIDUP_DATABASE_URL", url.as_str()),
            ("PAIDUP_ADMIN_KEY", ADMIN_KEY),
            ("PAIDUP_ALLOW_PRIVATE_TARGETS", "127.0.0.0/8"),
            ("PAIDUP_RECONCILE_HOURS", "0"),
            ("PAIDUP_RETENTION_NOTIFICATIONS_DAYS", &kept),
            ("PAIDUP_RETENTION_EVENTS_DAYS", &kept),
            ("PAIDUP_RETENTION_ATTEMPTS_DAYS", &kept),
        ];
        let mut config = Config::load(settings.map(|(name, value)| (name.to_owned(), value.to_owned())), None)?;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        config.listen = address;
        let store = paidup_store::open(&url, OpenOptions::default()).await?;
        let clock = VirtualClock::new(BEGIN);
        let hub = Hub::open(config, store, Arc::new(clock.clone()), Arc::new(SystemChance)).await?;
        hub.start().await?;
        let closing = CancellationToken::new();
        tokio::spawn(paidup_web::serve(listener, hub.clone(), closing.clone().cancelled_owned()));
        // What is saved now and then is saved by the clock: it runs ten times as fast as ours.
        let (ticking, stopped) = (clock.clone(), closing.clone());
        tokio::spawn(async move {
            while !stopped.is_cancelled() {
                tokio::time::sleep(Duration::from_millis(5)).await;
                ticking.advance(Duration::from_millis(50));
            }
        });
        Ok(Inside { hub, clock, address, closing })
    }

    async fn stop(self) -> Result<()> {
        self.closing.cancel();
        Ok(self.hub.stop().await?)
    }
}

/// Rows of the tables that are pruned, and pages of the file.
struct Sizes {
    notifications: i64,
    events: i64,
    attempts: i64,
    journal: i64,
    megabytes: f64,
}

fn sizes(folder: &Path) -> Result<Sizes> {
    let file = Connection::open_with_flags(folder.join("paidup.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let number = |sql: &str| file.query_row(sql, [], |row| row.get::<_, i64>(0));
    Ok(Sizes {
        notifications: number("SELECT count(*) FROM notifications")?,
        events: number("SELECT count(*) FROM events")?,
        attempts: number("SELECT count(*) FROM attempts")?,
        journal: number("SELECT count(*) FROM journal")?,
        megabytes: number("PRAGMA page_count")? as f64 * number("PRAGMA page_size")? as f64 / 1_000_000.0,
    })
}

async fn populate(address: SocketAddr) -> Result<String> {
    let body = json!({"type": "generic", "name": "bench", "config": {}});
    let source = api(address, "POST", "/v1/sources", Some(body)).await?;
    let ingest = format!("/ingest/{}", source["id"].as_str().context("source id")?);
    let path = ingest.clone();
    let plan = Plan { connections: 4, requests: CUSTOMERS / 1_000, duration: DAY, rate: None };
    let outcome = load::run(address, plan, 200, move |batch| {
        let list: Vec<Value> = (batch * 1_000..(batch + 1) * 1_000).map(purchase).collect();
        load::post(&path, Some(ADMIN_KEY), Value::Array(list).to_string().as_bytes())
    });
    ensure!(outcome.await?.failed == 0, "the subscriptions were refused");
    Ok(ingest)
}

/// One day's traffic: customers in turn, so that each notification is one event.
async fn one_day(address: SocketAddr, ingest: &str, day: u64) -> Result<Outcome> {
    let ingest = ingest.to_owned();
    let plan = Plan { connections: 16, requests: A_DAY, duration: DAY, rate: None };
    let outcome = load::run(address, plan, 200, move |number| {
        let number = day * A_DAY + number;
        let off = (number / CUSTOMERS).is_multiple_of(2);
        load::post(&ingest, Some(ADMIN_KEY), &toggle(number, number % CUSTOMERS, off))
    });
    let outcome = outcome.await?;
    ensure!(outcome.failed == 0, "{} were refused on day {day}", outcome.failed);
    Ok(outcome)
}

/// Prints each day, and answers the second week beside the last.
pub(crate) async fn days(folder: &Path) -> Result<Vec<Row>> {
    let inside = Inside::start(folder).await?;
    let receiver = Receiver::start().await?;
    receiver.register(inside.address, "bench").await?;
    let ingest = populate(inside.address).await?;
    let mut of_days = Vec::new();
    for day in 0..DAYS {
        inside.clock.set(BEGIN.plus(DAY * u32::try_from(day)?));
        let outcome = one_day(inside.address, &ingest, day).await?;
        receiver.wait_for((day + 1) * A_DAY, Duration::from_secs(120)).await?;
        inside.hub.prune().await?;
        let sizes = sizes(folder)?;
        eprintln!(
            "  day {:2}: p50 {:.2} ms, p99 {:.2} ms; rows: {} notifications, {} events, {} attempts, {} journal; {:.1} MB",
            day + 1,
            outcome.ms(50.0),
            outcome.ms(99.0),
            sizes.notifications,
            sizes.events,
            sizes.attempts,
            sizes.journal,
            sizes.megabytes
        );
        of_days.push((outcome.ms(99.0), sizes.megabytes));
    }
    inside.stop().await?;
    let week = |from: usize| {
        let days = &of_days[from..from + 7];
        let mut p99: Vec<f64> = days.iter().map(|(p99, _)| *p99).collect();
        p99.sort_by(f64::total_cmp);
        (p99[3], days[6].1)
    };
    let ((early, small), (late, large)) = (week(8), week(23));
    Ok(vec![row(
        format!(
            "{DAYS} virtual days of {A_DAY} notifications, everything kept for {KEPT_DAYS}: p99 of the 2xx, the file"
        ),
        "flat",
        format!("last week: {late:.2} ms, {large:.1} MB"),
        format!("second week: {early:.2} ms, {small:.1} MB; medians of the days"),
    )])
}
