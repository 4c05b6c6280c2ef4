//! `paidup rebuild --verify`: folds the journal into an empty database and compares the two, byte for byte.

use anyhow::{Context, Result, bail};
use paidup_hub::Hub;
use paidup_hub::clock::{SystemChance, SystemClock};
use paidup_hub::config::Config;
use paidup_hub::rebuild;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Check the journal's digests, fold it, compare; exit 1 on any difference.
    #[arg(long)]
    verify: bool,
    /// Keep the folded database in this new file. Without it a temporary one is used and removed.
    #[arg(long, value_name = "FILE")]
    into: Option<PathBuf>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(config: Config, arguments: Arguments) -> Result<ExitCode> {
    if !arguments.verify && arguments.into.is_none() {
        bail!("say --verify to compare, or --into FILE to keep the folded database");
    }
    let url = config.database_url.expose().clone();
    let from = paidup_store::open(&url, paidup_store::OpenOptions::default())
        .await
        .context("the hub must be stopped while its database is folded")?;
    let folder = config.data_dir().join(format!(".paidup-rebuild-{}", std::process::id()));
    let place = match &arguments.into {
        Some(path) if path.exists() => bail!("{} exists already; name a new file", path.display()),
        Some(path) => path.clone(),
        None => {
            std::fs::create_dir(&folder)?;
            folder.join("folded.db")
        }
    };
    let hub = Hub::open(config, from.clone(), Arc::new(SystemClock), Arc::new(SystemChance)).await?;
    let report = fold(&hub, &place, arguments.json).await;
    hub.stop().await?;
    if arguments.into.is_none() {
        std::fs::remove_dir_all(&folder)?;
    }
    let report = report?;
    print(&report, arguments.json)?;
    if arguments.into.is_some() && report.entries == 0 && !report.unchecked.is_empty() {
        bail!("there is nothing in the new file: the journal could not be folded");
    }
    Ok(if report.is_equal() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn fold(hub: &Hub, place: &std::path::Path, quiet: bool) -> Result<rebuild::Report> {
    let into = paidup_store::open(&format!("sqlite:{}", place.display()), paidup_store::OpenOptions::default()).await?;
    let report = rebuild::verify(hub, &into, &|done, all| {
        if !quiet {
            eprint!("\r{done} of {all} journal entries");
        }
    })
    .await;
    if !quiet {
        eprintln!();
    }
    into.close().await?;
    Ok(report?)
}

fn print(report: &rebuild::Report, as_json: bool) -> Result<()> {
    let differences: Vec<_> = report
        .mismatches
        .iter()
        .map(|one| json!({"table": one.table, "row": one.row, "column": one.column, "detail": one.detail}))
        .collect();
    if as_json {
        let value = json!({"entries": report.entries, "events": report.events, "equal": report.is_equal(), "unchecked": report.unchecked, "differences": differences});
        println!("{}", serde_json::to_string_pretty(&value)?);
        return Ok(());
    }
    for one in &report.mismatches {
        let column = one.column.map(|name| format!(".{name}")).unwrap_or_default();
        println!("{}{column} of {}: {}", one.table, one.row, one.detail);
    }
    for one in &report.unchecked {
        println!("NOT CHECKED: {one}");
    }
    let verdict = match (report.is_equal(), report.unchecked.is_empty()) {
        (true, true) => "equal, byte for byte",
        (true, false) => "no difference in what could be checked",
        (false, _) => "NOT equal",
    };
    println!("{} journal entries folded to {} events: {verdict}", report.entries, report.events);
    Ok(())
}
