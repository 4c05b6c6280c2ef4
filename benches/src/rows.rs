//! One function for each row of the table of speed budgets. Each measures the hub from outside, over HTTP, with the
//! limit beside it in the same run.

use crate::apple::Apple;
use crate::hub::{Populated, Receiver, api};
use crate::limits;
use crate::load::{self, Outcome, Plan};
use crate::process::{HubProcess, own_cpu};
use anyhow::Result;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// What one row came to.
pub(crate) struct Row {
    /// What was measured.
    pub(crate) path: String,
    /// What it should be.
    pub(crate) budget: &'static str,
    /// What it was.
    pub(crate) figure: String,
    /// What the machine can do, same run.
    pub(crate) limit: String,
}

/// A row of the table.
pub(crate) fn row(
    path: impl Into<String>,
    budget: &'static str,
    figure: impl Into<String>,
    limit: impl Into<String>,
) -> Row {
    Row { path: path.into(), budget, figure: figure.into(), limit: limit.into() }
}

/// How large and how long.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    /// Subscriptions in the file.
    pub(crate) customers: u64,
    /// How long each load runs.
    pub(crate) duration: Duration,
}

fn full(connections: usize, duration: Duration) -> Plan {
    Plan { connections, requests: u64::MAX, duration, rate: None }
}

fn describe(outcome: &Outcome) -> String {
    format!(
        "{:.0}/s; p50 {:.2} ms, p99 {:.2} ms{}",
        outcome.rate(),
        outcome.ms(50.0),
        outcome.ms(99.0),
        if outcome.failed > 0 { format!("; {} FAILED", outcome.failed) } else { String::new() }
    )
}

/// Accepting, durable: 64 connections and one.
pub(crate) async fn accept(folder: &Path, size: Size) -> Result<Vec<Row>> {
    let populated = Populated::start(folder, size.customers).await?;
    let body = vec![b'x'; 1200];
    let echo = limits::echo(body, 64, size.duration).await?;
    let rows = limits::sqlite_rows(folder, 1200, 200, size.duration / 2)?;
    let (cpu_before, own_before) = (populated.hub.cpu()?, own_cpu());
    let many = populated.toggles_by_zipf(full(64, size.duration)).await?;
    let cpu = (populated.hub.cpu()? - cpu_before).as_secs_f64() * 1000.0 / many.ok.max(1) as f64;
    let own = (own_cpu() - own_before).as_secs_f64() * 1000.0 / many.ok.max(1) as f64;
    let sync = limits::fdatasync(folder, 4096, true, size.duration / 2)?;
    let one = populated.toggles(full(1, size.duration)).await?;
    let memory = populated.hub.memory_mb()?;
    let read = populated.reads(full(64, size.duration)).await?;
    let mut table = vec![
        row(
            format!("accept, durable, 64 connections, {} customers, one event each", size.customers),
            ">= 10,000/s; p99 <= 15 ms",
            format!("{}; CPU {cpu:.3} ms each (generator {own:.3})", describe(&many)),
            format!("echo {:.0}/s; SQLite {rows:.0} rows/s", echo.rate()),
        ),
        row(
            "the same, 1 connection",
            ">= 70 % of overwrite + fdatasync",
            format!("{} = {:.0} %", describe(&one), 100.0 * one.rate() / sync),
            format!("{sync:.0} overwrite + fdatasync/s"),
        ),
        row("memory under full load", "<= 200 MB", format!("{memory:.0} MB"), ""),
        row(
            format!("entitlement read, {} customers, 64 connections", size.customers),
            ">= 25,000/s; p99 <= 5 ms",
            describe(&read),
            format!("echo {:.0}/s", echo.rate()),
        ),
    ];
    populated.hub.stop()?;
    table.extend(cold_start(folder, size.customers)?);
    Ok(table)
}

/// Starting on the file that `accept` left.
fn cold_start(folder: &Path, customers: u64) -> Result<Vec<Row>> {
    let mut times: Vec<u128> = Vec::new();
    for _ in 0..5 {
        let hub = HubProcess::start(folder)?;
        times.push(hub.started_in.as_millis());
        hub.stop()?;
    }
    times.sort_unstable();
    Ok(vec![row(
        format!("cold start until it listens, {customers} subscriptions in the file"),
        "<= 300 ms",
        format!("median {} ms of 5", times[2]),
        "",
    )])
}

/// Accepting and delivering, sustained, signed, one destination; then latency at rates; CPU and memory.
pub(crate) async fn deliver(folder: &Path, size: Size) -> Result<Vec<Row>> {
    let idle = {
        let empty = tempfile::tempdir_in(folder)?;
        let hub = HubProcess::start(empty.path())?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let memory = hub.memory_mb()?;
        hub.stop()?;
        memory
    };
    let populated = Populated::start(folder, size.customers.min(100_000)).await?;
    let receiver = Receiver::start().await?;
    receiver.register(populated.hub.address, "bench").await?;
    let told_before = populated.told().await?;
    let (cpu_before, begin) = (populated.hub.cpu()?, Instant::now());
    let sent = populated.toggles(full(64, size.duration * 2)).await?;
    let told = populated.told().await? - told_before;
    receiver.wait_for(told, Duration::from_secs(120)).await?;
    let elapsed = begin.elapsed().as_secs_f64();
    let rate = told as f64 / elapsed;
    let cpu = (populated.hub.cpu()? - cpu_before).as_secs_f64() * 1000.0 / sent.ok as f64;
    let memory = populated.hub.memory_mb()?;
    let echo = limits::echo(vec![b'x'; 1200], 64, size.duration / 2).await?;
    let mut table = vec![
        row("memory, idle", "<= 40 MB", format!("{idle:.0} MB"), ""),
        row(
            "accepted and delivered, sustained, signed, one destination, one event each",
            ">= 6,000/s",
            format!("{rate:.0}/s"),
            format!("echo {:.0}/s", echo.rate()),
        ),
        row("CPU per accepted and delivered notification", "<= 0.2 ms", format!("{cpu:.3} ms"), ""),
        row("memory under accept and deliver", "<= 200 MB", format!("{memory:.0} MB"), ""),
    ];
    for target in [420.0, rate / 2.0] {
        receiver.latency.lock().reset();
        let told_before = populated.told().await?;
        let before = receiver.received.load(Ordering::Relaxed);
        populated.toggles(paced(target, size)).await?;
        let told = populated.told().await? - told_before;
        receiver.wait_for(before + told, Duration::from_secs(60)).await?;
        table.push(latency(format!("accepted -> received at {target:.0}/s"), &receiver));
    }
    populated.hub.stop()?;
    let three = folder.join("three");
    std::fs::create_dir_all(&three)?;
    table.extend(deliver_three(&three, size).await?);
    Ok(table)
}

/// The same with three events for each notification, all of them delivered.
async fn deliver_three(folder: &Path, size: Size) -> Result<Vec<Row>> {
    let populated = Populated::start(folder, size.customers.min(100_000)).await?;
    let receiver = Receiver::start().await?;
    receiver.register_for(populated.hub.address, "three", &[]).await?;
    let told_before = populated.told().await?;
    let (cpu_before, begin) = (populated.hub.cpu()?, Instant::now());
    let sent = populated.renewals(full(64, size.duration * 2)).await?;
    let told = populated.told().await? - told_before;
    receiver.wait_for(told, Duration::from_secs(180)).await?;
    let elapsed = begin.elapsed().as_secs_f64();
    let rate = sent.ok as f64 / elapsed;
    let cpu = (populated.hub.cpu()? - cpu_before).as_secs_f64() * 1000.0 / sent.ok as f64;
    let mut table = vec![
        row(
            "accepted and delivered, sustained, signed, one destination, three events each",
            "none stated",
            format!("{rate:.0}/s = {:.0} events/s", told as f64 / elapsed),
            format!("{:.2} events each", told as f64 / sent.ok as f64),
        ),
        row("CPU per accepted and delivered notification of three events", "none stated", format!("{cpu:.3} ms"), ""),
    ];
    for target in [420.0, rate / 2.0] {
        receiver.latency.lock().reset();
        let told_before = populated.told().await?;
        let before = receiver.received.load(Ordering::Relaxed);
        populated.renewals(paced(target, size)).await?;
        let told = populated.told().await? - told_before;
        receiver.wait_for(before + told, Duration::from_secs(60)).await?;
        table.push(latency(format!("accepted -> received at {target:.0}/s, three events each"), &receiver));
    }
    populated.hub.stop()?;
    Ok(table)
}

fn paced(rate: f64, size: Size) -> Plan {
    Plan { connections: 32, requests: u64::MAX, duration: size.duration, rate: Some(rate) }
}

fn latency(path: String, receiver: &Receiver) -> Row {
    let latency = receiver.latency.lock();
    let ms = |quantile| latency.value_at_quantile(quantile) as f64 / 1000.0;
    row(path, "p50 <= 3 ms, p99 <= 15 ms", format!("p50 {:.2} ms, p99 {:.2} ms", ms(0.5), ms(0.99)), "")
}

/// Pairs of windows, without and with the hang. The machine's mood changes from minute to minute, so both sides are
/// measured in turn, on one hub, and their medians are compared.
const ISOLATION_ROUNDS: usize = 5;

/// One destination that hangs among 20, at 200 events a second: the others' p99 with and without it. The one that hangs
/// catches up between the windows, which no window counts.
pub(crate) async fn isolation(folder: &Path, window: Duration) -> Result<Vec<Row>> {
    let populated = Populated::start(folder, 10_000).await?;
    let (good, bad) = (Receiver::start().await?, Receiver::start_unsteady().await?);
    for number in 0..20 {
        let target = if number == 0 { &bad } else { &good };
        target.register(populated.hub.address, &format!("d{number}")).await?;
    }
    let plan = |duration| Plan { connections: 8, requests: u64::MAX, duration, rate: Some(200.0) };
    let settled = async |told: u64| -> Result<()> {
        good.wait_for(told * 19, Duration::from_secs(60)).await?;
        bad.wait_for_different(told, Duration::from_secs(300)).await?;
        // Whatever the hub does afterwards (attempts, progress) is over too.
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(())
    };
    let told_before = populated.told().await?;
    populated.toggles(plan(Duration::from_secs(5))).await?;
    settled(populated.told().await? - told_before).await?;
    let mut p99: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    for round in 0..ISOLATION_ROUNDS * 2 {
        // Quiet, hang; hang, quiet; ...: neither side always comes first.
        let hangs = round % 4 == 1 || round % 4 == 2;
        good.latency.lock().reset();
        bad.hang(hangs);
        populated.toggles(plan(window)).await?;
        let told = populated.told().await? - told_before;
        good.wait_for(told * 19, Duration::from_secs(60)).await?;
        let measured = good.latency.lock().value_at_quantile(0.99) as f64 / 1000.0;
        bad.hang(false);
        settled(told).await?;
        p99[usize::from(hangs)].push(measured);
    }
    populated.hub.kill()?;
    let [without, with] = p99.map(|mut all| {
        eprintln!("  p99 in ms: {all:.2?}");
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    });
    Ok(vec![row(
        format!("p99 of 19 destinations at 200 events/s while the 20th hangs for {} s", window.as_secs()),
        "within 10 % of what it was",
        format!("{with:.2} ms = {:+.0} %", 100.0 * (with / without - 1.0)),
        format!("{without:.2} ms without the hang; medians of {ISOLATION_ROUNDS} windows each, in turn"),
    )])
}

/// Bytes on disk for each notification: 1.2 KB generic body, one event, one delivery.
pub(crate) async fn disk(folder: &Path) -> Result<Vec<Row>> {
    let populated = Populated::start(folder, 20_000).await?;
    let receiver = Receiver::start().await?;
    receiver.register(populated.hub.address, "bench").await?;
    let size = |folder: &Path| -> Result<u64> { Ok(std::fs::metadata(folder.join("paidup.db"))?.len()) };
    let count = 60_000;
    let plan = Plan { connections: 64, requests: count / 2, duration: Duration::from_secs(120), rate: None };
    let told_before = populated.told().await?;
    let first = populated.toggles(plan).await?;
    let told = populated.told().await? - told_before;
    receiver.wait_for(told, Duration::from_secs(60)).await?;
    let restart = |populated: Populated| -> Result<()> { populated.hub.stop() };
    restart(populated)?;
    let before = size(folder)?;
    let hub = HubProcess::start(folder)?;
    let sources = api(hub.address, "GET", "/v1/sources", None).await?;
    let ingest = format!("/ingest/{}", sources["data"][0]["id"].as_str().unwrap_or_default());
    let populated = Populated::again(hub, ingest, 20_000, first.ok + first.failed);
    let told_before = populated.told().await?;
    let second = populated.toggles(plan).await?;
    let told = told + populated.told().await? - told_before;
    receiver.wait_for(told, Duration::from_secs(60)).await?;
    populated.hub.stop()?;
    let after = size(folder)?;
    Ok(vec![row(
        "disk: generic 1.2 KB body, one event, one delivery",
        "<= 2.4 KB",
        format!("{:.2} KB", (after - before) as f64 / second.ok as f64 / 1000.0),
        "",
    )])
}

/// Sends these bodies once each; all must be taken.
async fn send_all(hub: &HubProcess, path: &str, bodies: Vec<Vec<u8>>, plan: Plan) -> Result<Outcome> {
    // Whole requests before anything is timed, one body after the other, so that memory holds them about once.
    let requests: Vec<Vec<u8>> = bodies.into_iter().map(|body| load::post(path, None, &body)).collect();
    let plan = Plan { requests: requests.len() as u64, ..plan };
    let outcome = load::run(hub.address, plan, 200, move |number| {
        requests[usize::try_from(number).unwrap_or(usize::MAX)].clone()
    })
    .await?;
    anyhow::ensure!(outcome.failed == 0, "{} of the App Store's notifications were refused", outcome.failed);
    Ok(outcome)
}

/// Accepting signed renewals of many purchases, each three events, beside the signatures that they carry.
pub(crate) async fn app_store_accept(folder: &Path, renewals: usize) -> Result<Vec<Row>> {
    let apple = Apple::new()?;
    let signed = apple.renewals(renewals)?;
    let hub = HubProcess::start(folder)?;
    let path = apple.set_up(hub.address).await?;
    let purchases = signed.starts.len();
    send_all(&hub, &path, signed.starts, full(64, Duration::from_secs(120))).await?;
    let limit = limits::p256_verifications(Duration::from_secs(2))? / 3.0;
    let (cpu_before, own_before) = (hub.cpu()?, own_cpu());
    let sent = send_all(&hub, &path, signed.renewals, full(64, Duration::from_secs(120))).await?;
    let cpu = (hub.cpu()? - cpu_before).as_secs_f64() * 1000.0 / sent.ok.max(1) as f64;
    let own = (own_cpu() - own_before).as_secs_f64() * 1000.0 / sent.ok.max(1) as f64;
    hub.stop()?;
    Ok(vec![row(
        format!("accept an App Store renewal, durable, 64 connections, {purchases} purchases, three events each"),
        ">= 60 % of (P-256 verifications : 3)",
        format!(
            "{} = {:.0} %; CPU {cpu:.3} ms each (generator {own:.3})",
            describe(&sent),
            100.0 * sent.rate() / limit
        ),
        format!("{limit:.0}/s a core"),
    )])
}

/// Bytes on disk for each App Store renewal: three events, one delivery.
pub(crate) async fn app_store_disk(folder: &Path) -> Result<Vec<Row>> {
    let apple = Apple::new()?;
    let mut signed = apple.renewals(20_000)?;
    let second = signed.renewals.split_off(signed.renewals.len() / 2);
    let bytes = second.iter().map(Vec::len).sum::<usize>() as f64 / second.len() as f64;
    let receiver = Receiver::start().await?;
    let size = || -> Result<u64> { Ok(std::fs::metadata(folder.join("paidup.db"))?.len()) };
    let plan = full(64, Duration::from_secs(120));
    let hub = HubProcess::start(folder)?;
    let path = apple.set_up(hub.address).await?;
    send_all(&hub, &path, signed.starts, plan).await?;
    receiver.register_for(hub.address, "bench", &["SUBSCRIPTION_RENEWED"]).await?;
    let first = send_all(&hub, &path, signed.renewals, plan).await?.ok;
    receiver.wait_for(first, Duration::from_secs(60)).await?;
    // Stopping moves the log into the file, so that sizes compare.
    hub.stop()?;
    let before = size()?;
    let hub = HubProcess::start(folder)?;
    let sent = send_all(&hub, &path, second, plan).await?.ok;
    receiver.wait_for(first + sent, Duration::from_secs(60)).await?;
    hub.stop()?;
    Ok(vec![row(
        format!("disk: App Store renewal of {:.1} KB, three events, one delivery", bytes / 1000.0),
        "<= 6 KB",
        format!("{:.2} KB", (size()? - before) as f64 / sent as f64 / 1000.0),
        "",
    )])
}

/// Notices that memory holds with a million events that nobody takes.
pub(crate) async fn backlog(folder: &Path, events: u64) -> Result<Vec<Row>> {
    let populated = Populated::start(folder, 100_000).await?;
    let dead = "http://127.0.0.1:9/none";
    let body = serde_json::json!({
        "type": "webhook", "name": "dead", "config": {"url": dead, "format": "paidup"},
        "filter": {"events": ["RENEWAL_DISABLED", "RENEWAL_ENABLED"]}
    });
    api(populated.hub.address, "POST", "/v1/destinations", Some(body)).await?;
    let plan = Plan { connections: 64, requests: events, duration: Duration::from_secs(400), rate: None };
    let sent = populated.toggles(plan).await?;
    let memory = populated.hub.memory_mb()?;
    populated.hub.stop()?;
    Ok(vec![row(format!("memory with {} undelivered events", sent.ok), "<= 250 MB", format!("{memory:.0} MB"), "")])
}
