//! `paidup simulate --to URL`: a simulated population's signed store traffic, sent to a running hub.

use anyhow::{Context, Result, bail};
use paidup_simulator::simulation::{Simulation, SimulationOptions, Summary, Target};
use paidup_simulator::traffic::{Disorder, Pace};
use paidup_simulator::view::{Picture, Screen};
use std::process::ExitCode;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The hub, e.g. http://127.0.0.1:8484.
    #[arg(long, value_name = "URL")]
    to: String,
    /// A key of the hub with scope admin; it sets up a source and products there. Better in the variable.
    #[arg(long, env = "PAIDUP_ADMIN_KEY", hide_env_values = true)]
    key: String,
    /// Customers.
    #[arg(long, default_value_t = 200)]
    customers: u32,
    /// Decides everything that happens.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many times faster than life; at the default a month passes in 6 seconds.
    #[arg(long, default_value_t = 432_000.0)]
    speed: f64,
    /// Lived months.
    #[arg(long, default_value_t = 12)]
    months: u32,
    /// Notifications a second instead of the pace of life.
    #[arg(long)]
    rate: Option<f64>,
    /// Of 100 notifications, so many are sent twice.
    #[arg(long, default_value_t = 0)]
    repeat: u64,
    /// Of 100 notifications, so many change places with the next of their purchase.
    #[arg(long, default_value_t = 0)]
    reorder: u64,
    /// Send sandbox notifications instead of production ones.
    #[arg(long)]
    sandbox: bool,
    /// At the end, compare the hub's customers with the truth; exit 1 on any difference.
    #[arg(long)]
    compare: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    if !(arguments.speed.is_finite() && arguments.speed >= 1.0) {
        bail!("--speed is a number of at least 1");
    }
    let options = SimulationOptions {
        customers: arguments.customers,
        seed: arguments.seed,
        speed: arguments.speed,
        months: arguments.months,
        pace: arguments.rate.map_or(Pace::Life, Pace::Rate),
        disorder: Disorder {
            repeat_percent: arguments.repeat.min(100),
            swap_percent: arguments.reorder.min(100),
            ..Disorder::default()
        },
        environment: if arguments.sandbox { "Sandbox" } else { "Production" },
        ..SimulationOptions::default()
    };
    let simulation = Arc::new(Simulation::new(options)?);
    let setup = simulation.setup(&arguments.to, &arguments.key, &[]).await.context("the hub was not set up")?;
    let stop = CancellationToken::new();
    let asked = super::serve::asked_to_stop()?;
    let by_hand = stop.clone();
    tokio::spawn(async move {
        asked.await;
        by_hand.cancel();
    });
    let done = CancellationToken::new();
    let view = (!arguments.json).then(|| show(&simulation, &arguments.to, done.clone()));
    let target = Target { ingest_url: setup.ingest_url, receiver: None };
    let summary = simulation.run(&target, &stop).await;
    done.cancel();
    if let Some(view) = view {
        view.await?;
    }
    let comparison = match arguments.compare {
        true => Some(simulation.compare(&arguments.to, &arguments.key, None).await?),
        false => None,
    };
    let clean = comparison.as_ref().is_none_or(paidup_simulator::compare::Comparison::is_clean);
    if arguments.json {
        let value = serde_json::json!({ "summary": summary, "comparison": comparison });
        println!("{}", serde_json::to_string_pretty(&value)?);
    } else {
        print(&summary);
        if let Some(comparison) = &comparison {
            println!("{} customers compared, {} differences", comparison.customers, comparison.count);
            for one in &comparison.differences {
                println!("  {} {}: expected {}, the hub says {}", one.subject, one.what, one.expected, one.found);
            }
        }
    }
    let sent = summary.counters.given_up == 0;
    Ok(if sent && clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(simulation: &Arc<Simulation>, to: &str, done: CancellationToken) -> tokio::task::JoinHandle<()> {
    let (simulation, title) = (simulation.clone(), format!("paidup simulate, to {to}"));
    tokio::spawn(async move {
        let picture = || {
            let counters = simulation.snapshot();
            Picture {
                title: title.clone(),
                notifications: counters.accepted,
                retried: counters.retried,
                waiting: counters.told.saturating_sub(counters.accepted + counters.given_up),
                latency_ms: (counters.accepted > 0).then_some((counters.p50_ms, counters.p99_ms)),
                ..Picture::default()
            }
        };
        Screen::default().show(&done, picture).await;
    })
}

fn print(summary: &Summary) {
    let counters = &summary.counters;
    println!(
        "{} notifications told, {} accepted, {} given up, {:.1} s, {:.0}/s, p50 {:.1} ms, p99 {:.1} ms",
        counters.told,
        counters.accepted,
        counters.given_up,
        summary.seconds,
        summary.rate,
        counters.p50_ms,
        counters.p99_ms
    );
    for refusal in &counters.refusals {
        println!("  given up: {refusal}");
    }
}
