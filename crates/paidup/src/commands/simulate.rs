//! `paidup simulate --to URL`: a simulated population's signed store traffic, sent to a running hub. With Stripe among the
//! stores it also plays Stripe's API, if it is told where.

use anyhow::{Context, Result, bail};
use paidup_simulator::simulation::{Simulation, SimulationOptions, Summary, Target};
use paidup_simulator::standins::stripe::{StripeApi, StripeApiOptions};
use paidup_simulator::stores::StoreKind;
use paidup_simulator::traffic::{Disorder, Pace, Snapshot};
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
    /// Where customers buy: app_store, stripe, or both with a comma between.
    #[arg(long, value_delimiter = ',', default_value = "app_store", value_name = "STORES")]
    stores: Vec<StoreKind>,
    /// Plays Stripe's API on this port of 127.0.0.1 and gives the hub a key for it. The hub must have been started with
    /// PAIDUP_STRIPE_API_URL=http://127.0.0.1:PORT. Without it the hub has to do with Stripe's events alone.
    #[arg(long, value_name = "PORT")]
    stripe_api_port: Option<u16>,
    #[command(flatten)]
    disorder: DisorderArguments,
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

/// What goes wrong on the way; the demo takes them too.
#[derive(clap::Args)]
pub(super) struct DisorderArguments {
    /// Of 100 notifications, so many are sent twice.
    #[arg(long, default_value_t = 0, value_name = "PERCENT")]
    repeat: u64,
    /// Sends no purchase's notifications in order, and mixes those of different purchases.
    #[arg(long)]
    shuffle: bool,
}

impl DisorderArguments {
    pub(super) fn disorder(&self) -> Disorder {
        let shuffle_window = if self.shuffle { SHUFFLE_WINDOW } else { 0 };
        Disorder { repeat_percent: self.repeat.min(100), shuffle_window, ..Disorder::default() }
    }
}

/// How many notifications of a purchase are shuffled together.
const SHUFFLE_WINDOW: usize = 6;

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    if !(arguments.speed.is_finite() && arguments.speed >= 1.0) {
        bail!("--speed is a number of at least 1");
    }
    let mut stores = arguments.stores;
    stores.sort_unstable();
    stores.dedup();
    let options = SimulationOptions {
        customers: arguments.customers,
        seed: arguments.seed,
        speed: arguments.speed,
        months: arguments.months,
        pace: arguments.rate.map_or(Pace::Life, Pace::Rate),
        disorder: Disorder { swap_percent: arguments.reorder.min(100), ..arguments.disorder.disorder() },
        stores,
        stripe_is_asked: arguments.stripe_api_port.is_some(),
        environment: if arguments.sandbox { "Sandbox" } else { "Production" },
        ..SimulationOptions::default()
    };
    let simulation = Arc::new(Simulation::new(options)?);
    let stripe_api = match arguments.stripe_api_port {
        Some(port) => {
            let options = StripeApiOptions { port, ..StripeApiOptions::default() };
            Some(StripeApi::start(simulation.stripe(), options).await.context("Stripe's API cannot be played there")?)
        }
        None => None,
    };
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
    let target = Target::of(&setup, None);
    let summary = simulation.run(&target, &stop).await;
    done.cancel();
    if let Some(view) = view {
        view.await?;
    }
    let comparison = match arguments.compare {
        true => Some(simulation.compare(&arguments.to, &arguments.key, None).await?),
        false => None,
    };
    drop(stripe_api);
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
                notifications: by_store(&counters),
                retried: counters.retried,
                latency_ms: (counters.accepted > 0).then_some((counters.p50_ms, counters.p99_ms)),
                ..Picture::default()
            }
        };
        Screen::default().show(&done, picture).await;
    })
}

/// What the hub has accepted, by store.
pub(super) fn by_store(counters: &Snapshot) -> Vec<(String, u64)> {
    counters.by_store.iter().map(|(store, figures)| (store.to_string(), figures.accepted)).collect()
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
