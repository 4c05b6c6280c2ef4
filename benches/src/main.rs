//! Measures Paidup from outside, over HTTP, with the machine's own limits beside each figure.
//!
//! `cargo run --release -p paidup-benches -- all` prints the table that goes into BENCHMARKS.md. The hub runs as a
//! process of its own; load generator and receiver share the machine with it, and their CPU is stated.

// A bench measures: it reads the clock.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::cast_precision_loss, missing_docs)]

mod apple;
mod days;
mod hang;
mod hub;
mod kill;
mod limits;
mod load;
mod process;
mod pure;
mod rows;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use std::time::Duration;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Every row.
    All,
    /// Accepting, reading, cold start.
    Accept,
    /// Accepting what Apple signed.
    AppStore,
    /// Accepting and delivering, latency, CPU, memory.
    Deliver,
    /// A destination that hangs among others.
    Isolation,
    /// A store whose API hangs, for six times `seconds` in each of ten windows; not part of `all`.
    Hang,
    /// Thirty virtual days with pruning, day by day; not part of `all`.
    Days,
    /// Bytes on disk.
    Disk,
    /// Memory with undelivered events.
    Backlog,
    /// The lifecycle engine alone; needs no hub.
    Engine,
    /// Proving and packing what Apple signed; needs no hub.
    Verify,
    /// What the machine itself can do.
    Limits,
    /// Kills the hub under load; not part of `all`.
    KillTest,
}

#[derive(Parser)]
#[command(about = "Measures Paidup beside the limits of the machine")]
struct Arguments {
    /// What to measure.
    #[arg(value_enum, default_value = "all")]
    what: What,
    /// Subscriptions in the file.
    #[arg(long, default_value_t = 1_000_000)]
    customers: u64,
    /// Seconds that each load runs.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Events that nobody takes, for the memory row.
    #[arg(long, default_value_t = 1_000_000)]
    backlog: u64,
    /// Renewals that the App Store sends; they are signed before anything is timed, at 20 KB of memory each.
    #[arg(long, default_value_t = 20_000)]
    renewals: usize,
    /// How often kill-test kills.
    #[arg(long, default_value_t = 200)]
    kills: u64,
    /// When kill-test kills.
    #[arg(long, default_value_t = 42)]
    seed: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let size = rows::Size { customers: arguments.customers, duration: Duration::from_secs(arguments.seconds) };
    let place = tempfile::tempdir_in(std::env::current_exe()?.parent().unwrap_or(std::path::Path::new(".")))?;
    if arguments.what == What::KillTest {
        return kill::both(place.path(), arguments.kills, arguments.seed).await;
    }
    let folder = |name: &str| -> Result<std::path::PathBuf> {
        let path = place.path().join(name);
        std::fs::create_dir_all(&path)?;
        Ok(path)
    };
    let wants = |what: What| arguments.what == What::All || arguments.what == what;
    let mut table = Vec::new();
    if wants(What::Limits) {
        println!("P-256 verifications: {:.0}/s a core", limits::p256_verifications(Duration::from_secs(2))?);
        println!("append + fdatasync: {:.0}/s", limits::fdatasync(&folder("limits")?, 4096, false, size.duration / 4)?);
    }
    if wants(What::Engine) {
        table.extend(pure::engine()?);
    }
    if wants(What::Verify) {
        table.extend(pure::verify()?);
    }
    if wants(What::Accept) {
        table.extend(rows::accept(&folder("accept")?, size).await?);
    }
    if wants(What::AppStore) {
        table.extend(rows::app_store_accept(&folder("app_store")?, arguments.renewals).await?);
    }
    if wants(What::Deliver) {
        table.extend(rows::deliver(&folder("deliver")?, size).await?);
    }
    if wants(What::Isolation) {
        table.extend(rows::isolation(&folder("isolation")?, size.duration * 3).await?);
    }
    if arguments.what == What::Hang {
        table.extend(hang::hang(&folder("hang")?, size.duration * 6).await?);
    }
    if arguments.what == What::Days {
        table.extend(days::days(&folder("days")?).await?);
    }
    if wants(What::Disk) {
        table.extend(rows::disk(&folder("disk")?).await?);
        table.extend(rows::app_store_disk(&folder("app_store_disk")?).await?);
    }
    if wants(What::Backlog) {
        table.extend(rows::backlog(&folder("backlog")?, arguments.backlog).await?);
    }
    println!("| Path | Budget | Measured | Limit, same run |\n|---|---|---|---|");
    for row in table {
        println!("| {} | {} | {} | {} |", row.path, row.budget, row.figure, row.limit);
    }
    Ok(())
}
