//! `paidup rebuild --verify`: folds the journal into an empty database and compares the two, byte for byte. What other
//! versions of the engine decided is decided again, and what this one would tell otherwise is named: no failure.

use anyhow::{Context, Result, bail};
use paidup_hub::Hub;
use paidup_hub::clock::{SystemChance, SystemClock};
use paidup_hub::config::Config;
use paidup_hub::rebuild::{self, Difference, Preview};
use paidup_lifecycle::engine::ENGINE_VERSION;
use paidup_lifecycle::event::EventType;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Check the journal's digests, fold it, compare; exit 1 on any difference. What only another version of the engine
    /// decided otherwise is named too, and is no failure.
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
    Ok(if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
    if as_json {
        println!("{}", serde_json::to_string_pretty(&json_of(report))?);
        return Ok(());
    }
    for one in &report.mismatches {
        let column = one.column.map(|name| format!(".{name}")).unwrap_or_default();
        println!("{}{column} of {}: {}", one.table, one.row, one.detail);
    }
    for one in &report.unchecked {
        println!("NOT CHECKED: {one}");
    }
    print_preview(&report.preview);
    let verdict = match (report.is_sound(), report.unchecked.is_empty(), report.preview.is_empty()) {
        (true, true, true) => "equal, byte for byte",
        (true, true, false) => "equal, but for what other versions of the engine decided",
        (true, false, _) => "no difference in what could be checked",
        (false, ..) => "NOT equal",
    };
    println!("{} journal entries folded to {} events: {verdict}", report.entries, report.events);
    Ok(())
}

/// What would differ, in words.
fn print_preview(preview: &Preview) {
    if preview.entries == 0 {
        return;
    }
    for one in &preview.first {
        let place = one.position.map(|position| format!(" at position {position}")).unwrap_or_default();
        let what = match (one.then, one.now) {
            (Some(then), Some(now)) if then == now => format!("{then} would differ in {}", one.fields.join(", ")),
            (Some(then), Some(now)) => format!("{then} would be {now} ({})", one.fields.join(", ")),
            (Some(then), None) => format!("{then} would not be told"),
            (None, now) => format!("{} would be told too", now.map_or("it", EventType::as_str)),
        };
        println!(
            "event {}{place}: {what}; journal entry {} by engine {}, purchase {}, customer {} ({})",
            one.event, one.entry, one.engine_version, one.purchase, one.customer, one.app_user_id
        );
    }
    let unnamed = preview.events() - preview.first.len() as u64;
    if unnamed > 0 {
        println!("... and {unnamed} more events");
    }
    let versions: Vec<String> = preview.versions.iter().map(u32::to_string).collect();
    if preview.undecided > 0 {
        println!("on {} journal entries nothing would be decided any more", preview.undecided);
    }
    let rows: Vec<String> = preview.rows.iter().map(|(table, count)| format!(", {count} rows of {table}")).collect();
    println!(
        "{} journal entries were decided by engine {} and not by this one ({ENGINE_VERSION}). It would tell {} events \
         otherwise ({} changed, {} missing, {} added){}. What is stored stays as it is.",
        preview.entries,
        versions.join(", "),
        preview.events(),
        preview.changed,
        preview.missing,
        preview.added,
        rows.concat(),
    );
}

fn json_of(report: &rebuild::Report) -> Value {
    let differences: Vec<_> = report
        .mismatches
        .iter()
        .map(|one| json!({"table": one.table, "row": one.row, "column": one.column, "detail": one.detail}))
        .collect();
    let preview = &report.preview;
    let event = |one: &Difference| {
        json!({
            "kind": one.kind, "event_id": one.event, "position": one.position, "type_then": one.then,
            "type_now": one.now, "purchase_id": one.purchase, "customer_id": one.customer,
            "app_user_id": one.app_user_id, "fields": one.fields, "entry": one.entry,
            "engine_version": one.engine_version,
        })
    };
    json!({
        "entries": report.entries,
        "events": report.events,
        "equal": report.is_equal(),
        "unchecked": report.unchecked,
        "differences": differences,
        "engine_version": ENGINE_VERSION,
        "would_differ": {
            "entries": preview.entries, "engine_versions": preview.versions, "changed": preview.changed,
            "missing": preview.missing, "added": preview.added, "undecided": preview.undecided, "rows": preview.rows,
            "events": preview.first.iter().map(event).collect::<Vec<_>>(),
        },
    })
}
