//! `paidup simulate --to URL`: a simulated population's signed store traffic, sent to a running hub. It also plays what the
//! hub asks: Stripe's API if it is told where, Google's, Amazon's and Discord's always when they are among the stores.

use super::faults::FaultArguments;
use anyhow::{Context, Result, bail};
use paidup_simulator::simulation::{Simulation, SimulationOptions, Summary, Target};
use paidup_simulator::standins::amazon::{self, AmazonApi, AmazonApiOptions};
use paidup_simulator::standins::app_store::{AppStoreApi, AppStoreApiOptions};
use paidup_simulator::standins::discord_app::{DiscordAppApi, DiscordAppApiOptions};
use paidup_simulator::standins::play::{self, PlayApi, PlayApiOptions};
use paidup_simulator::standins::stripe::{StripeApi, StripeApiOptions};
use paidup_simulator::stores::StoreKind;
use paidup_simulator::traffic::{Pace, Snapshot};
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
    /// Where customers buy: any of app_store, stripe, play, amazon and discord, with commas between.
    #[arg(long, value_delimiter = ',', default_value = "app_store", value_name = "STORES")]
    stores: Vec<StoreKind>,
    /// Plays Stripe's API on this port of 127.0.0.1 and gives the hub a key for it. The hub must have been started with
    /// PAIDUP_STRIPE_API_URL=http://127.0.0.1:PORT. Without it the hub has to do with Stripe's events alone.
    #[arg(long, value_name = "PORT")]
    stripe_api_port: Option<u16>,
    /// The same for the App Store Server API, with PAIDUP_APPSTORE_API_URL.
    #[arg(long, value_name = "PORT")]
    app_store_api_port: Option<u16>,
    /// With play among the stores: plays Google's tokens, keys and Developer API on this port of 127.0.0.1. The hub must have
    /// been started with PAIDUP_PLAY_API_URL=http://127.0.0.1:PORT and PAIDUP_GOOGLE_OAUTH_URL=http://127.0.0.1:PORT/token.
    #[arg(long, value_name = "PORT")]
    play_api_port: Option<u16>,
    /// With amazon among the stores: plays SNS's certificate and Amazon's receipt verification on this port of 127.0.0.1. The
    /// hub must have been started with PAIDUP_AMAZON_SNS_URL and PAIDUP_AMAZON_RVS_URL=http://127.0.0.1:PORT.
    #[arg(long, value_name = "PORT")]
    amazon_api_port: Option<u16>,
    /// With discord among the stores: plays Discord's API of an app's SKUs, entitlements and subscriptions on this port of
    /// 127.0.0.1. The hub must have been started with PAIDUP_DISCORD_API_URL=http://127.0.0.1:PORT/api/v10.
    #[arg(long, value_name = "PORT")]
    discord_api_port: Option<u16>,
    #[command(flatten)]
    faults: FaultArguments,
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
    let stores = stores(&arguments)?;
    let options = SimulationOptions {
        customers: arguments.customers,
        seed: arguments.seed,
        speed: arguments.speed,
        months: arguments.months,
        pace: arguments.rate.map_or(Pace::Life, Pace::Rate),
        disorder: arguments.faults.disorder(),
        disorder_of: arguments.faults.disorder_of(),
        skew_ms: arguments.faults.skew_ms(),
        stores,
        stripe_is_asked: arguments.stripe_api_port.is_some(),
        app_store_is_asked: arguments.app_store_api_port.is_some(),
        environment: if arguments.sandbox { "Sandbox" } else { "Production" },
        ..SimulationOptions::default()
    };
    let simulation = Arc::new(Simulation::new(options)?);
    let ports = Ports {
        stripe: arguments.stripe_api_port,
        app_store: arguments.app_store_api_port,
        play: arguments.play_api_port,
        amazon: arguments.amazon_api_port,
        discord: arguments.discord_api_port,
    };
    let apis = apis(&ports, &arguments.faults, &simulation).await?;
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
    drop(apis);
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

/// The stores that are played, each once; what does not fit together is said.
fn stores(arguments: &Arguments) -> Result<Vec<StoreKind>> {
    if !(arguments.speed.is_finite() && arguments.speed >= 1.0) {
        bail!("--speed is a number of at least 1");
    }
    let mut stores = arguments.stores.clone();
    stores.sort_unstable();
    stores.dedup();
    for (store, port, name) in [
        (StoreKind::Play, arguments.play_api_port, "--play-api-port"),
        (StoreKind::Amazon, arguments.amazon_api_port, "--amazon-api-port"),
        (StoreKind::Discord, arguments.discord_api_port, "--discord-api-port"),
    ] {
        if stores.contains(&store) && port.is_none() {
            bail!(
                "{store} needs {name}: what it pushes can be neither proven nor read, or not whole, without its own services"
            );
        }
    }
    Ok(stores)
}

/// Where each API is played; `None`: it is not.
struct Ports {
    stripe: Option<u16>,
    app_store: Option<u16>,
    play: Option<u16>,
    amazon: Option<u16>,
    discord: Option<u16>,
}

/// The APIs that are played, for as long as this lives.
#[derive(Default)]
struct Apis {
    stripe: Option<StripeApi>,
    app_store: Option<AppStoreApi>,
    play: Option<PlayApi>,
    amazon: Option<AmazonApi>,
    discord: Option<DiscordAppApi>,
}

async fn apis(ports: &Ports, faults: &FaultArguments, simulation: &Simulation) -> Result<Apis> {
    let mut apis = Apis::default();
    if let Some(port) = ports.stripe {
        let options = StripeApiOptions { port, ..StripeApiOptions::default() };
        let api = StripeApi::start(simulation.stripe(), options).await;
        let api = api.context("Stripe's API cannot be played there")?;
        api.set_faults(faults.api(StoreKind::Stripe));
        apis.stripe = Some(api);
    }
    if let Some(port) = ports.app_store {
        let options = AppStoreApiOptions { port, ..AppStoreApiOptions::default() };
        let api = AppStoreApi::start(simulation.app_store(), options).await;
        let api = api.context("the App Store Server API cannot be played there")?;
        api.set_faults(faults.api(StoreKind::AppStore));
        apis.app_store = Some(api);
    }
    if let Some(port) = ports.play {
        let options = PlayApiOptions { port, ..PlayApiOptions::default() };
        let api = PlayApi::start(simulation.play(), options).await.context("Google cannot be played there")?;
        api.set_faults(play::Faults { api: faults.api(StoreKind::Play), ..play::Faults::default() });
        apis.play = Some(api);
    }
    if let Some(port) = ports.amazon {
        let options = AmazonApiOptions { port, ..AmazonApiOptions::default() };
        let api = AmazonApi::start(simulation.amazon(), options).await.context("Amazon cannot be played there")?;
        api.set_faults(amazon::Faults { api: faults.api(StoreKind::Amazon), ..amazon::Faults::default() });
        apis.amazon = Some(api);
    }
    if let Some(port) = ports.discord {
        let options = DiscordAppApiOptions { port, ..DiscordAppApiOptions::default() };
        let api = DiscordAppApi::start(simulation.discord(), options).await;
        let api = api.context("Discord's API cannot be played there")?;
        api.set_faults(faults.api(StoreKind::Discord));
        apis.discord = Some(api);
    }
    Ok(apis)
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
