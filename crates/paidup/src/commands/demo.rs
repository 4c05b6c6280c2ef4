//! `paidup demo`: a hub, simulated stores with their customers, and stand-ins for the vendors that it asks and tells, all
//! on loopback over real HTTP. With `--for` it ends by itself, with a table: what came in, what was told, what arrived,
//! and whether the hub's picture of every customer is the simulator's.

use super::faults::FaultArguments;
use super::serve::{self, Running};
use super::simulate;
use anyhow::{Context, Result, bail};
use paidup_hub::clock::{Chance, SystemChance};
use paidup_hub::config::Config;
use paidup_lifecycle::alert::is_alert;
use paidup_lifecycle::dialects::revenuecat::{self, Options};
use paidup_lifecycle::event::EventType;
use paidup_simulator::compare::{Comparison, wrong_events};
use paidup_simulator::edge::Clock;
use paidup_simulator::reconcile::Reconciled;
use paidup_simulator::setup::{NewDestination, Setup};
use paidup_simulator::simulation::{Simulation, SimulationOptions, Summary, Target};
use paidup_simulator::standins::apis::{Apis, ApisOptions, Asked};
use paidup_simulator::standins::discord::{Discord, DiscordOptions};
use paidup_simulator::standins::intercom::{Intercom, IntercomOptions};
use paidup_simulator::standins::receiver::{Receiver, ReceiverOptions};

use paidup_lifecycle::observation::Environment;
use paidup_simulator::stores::StoreKind;
use paidup_simulator::view::{Arrivals, Picture, Screen};
use paidup_store::records::EventQuery;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The secret that hub and receiver share. Both live on this machine for as long as the demo runs.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// A lived month in seconds at `--speed 1`.
const MONTH_SECONDS: f64 = 6.0;
/// What of `--for` is left for the last deliveries and the comparison.
const SETTLING: Duration = Duration::from_secs(8);
/// How long the last deliveries may take after that: Discord takes 30 messages a minute.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How fast life goes; at 1 a month passes in 6 seconds.
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// Customers.
    #[arg(long, default_value_t = 200)]
    customers: u32,
    /// Decides everything that happens.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Ends after this time with a table, e.g. 60s or 2m. Without it: until Ctrl-C.
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    span: Option<Duration>,
    /// Where customers buy, with commas between: app_store, stripe, play, amazon, discord. Default: all of them.
    #[arg(long, value_delimiter = ',', value_name = "STORES")]
    stores: Vec<StoreKind>,
    /// The hub's database, which must be empty: sqlite:FILE or postgres://USER@HOST/NAME. Without it: a file that goes with
    /// the demo.
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    #[command(flatten)]
    faults: FaultArguments,
    /// Fail when an event is judged wrong too (docs/demo.md says what is open there).
    #[arg(long)]
    strict: bool,
    /// The table as JSON, and no live view.
    #[arg(long)]
    json: bool,
}

fn time(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().map_err(|_| "a time such as 60s or 2m".to_owned())?;
    let seconds = match unit {
        "" | "s" => number,
        "m" => number * 60,
        "h" => number * 3600,
        _ => return Err("a time such as 60s or 2m".to_owned()),
    };
    if (10..=86_400).contains(&seconds) { Ok(Duration::from_secs(seconds)) } else { Err("10s to 24h".to_owned()) }
}

/// The stores that are played: of those asked for, the ones that the hub has a source for.
fn stores(asked_for: &[StoreKind]) -> Vec<StoreKind> {
    let all = StoreKind::ALL.iter().copied().filter(|store| paidup_sources::definition(store.word()).is_some());
    all.filter(|store| asked_for.is_empty() || asked_for.contains(store)).collect()
}

/// How often the live view counts what waits.
const LOOK: Duration = Duration::from_millis(500);

/// The stand-ins.
struct Standins {
    discord: Discord,
    receiver: Arc<Receiver>,
    intercom: Intercom,
    apis: Apis,
}

/// What waits for each destination, in the order in which they were made.
type Waiting = Mutex<Vec<u64>>;

/// Everything that runs.
struct Stage {
    running: Running,
    url: String,
    key: String,
    standins: Standins,
    simulation: Arc<Simulation>,
    target: Target,
    setup: Setup,
    waiting: Waiting,
    is_strict: bool,
}

impl Stage {
    /// What arrived, in the order in which destinations were made.
    fn delivered(&self) -> [u64; 3] {
        let standins = &self.standins;
        [standins.receiver.report().distinct, standins.discord.report().embeds, standins.intercom.report().events]
    }
}

/// The destinations, by the words of the table.
const DESTINATIONS: [&str; 3] = ["webhook", "discord", "intercom"];

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    if !(arguments.speed.is_finite() && arguments.speed > 0.0) {
        bail!("--speed is a number above 0");
    }
    let folder = tempfile::tempdir().context("no folder for the demo's database")?;
    let stage = Arc::new(build(&arguments, folder.path()).await?);
    let stop = CancellationToken::new();
    let asked = serve::asked_to_stop()?;
    let by_hand = stop.clone();
    tokio::spawn(async move {
        asked.await;
        by_hand.cancel();
    });
    let ended = CancellationToken::new();
    let view = (!arguments.json).then(|| show(stage.clone(), ended.clone()));
    // A minute for clocks that are apart.
    let since_ms = Clock::System.now_ms() - 60_000 - arguments.faults.skew_ms().abs();
    let summary = stage.simulation.run(&stage.target, &stop).await;
    if arguments.span.is_none() {
        // Everything is told; the hub stays to be looked at.
        stop.cancelled().await;
    }
    let outcome = settle(&stage, summary, since_ms).await;
    ended.cancel();
    if let Some(view) = view {
        view.await?;
    }
    let stage = Arc::into_inner(stage).context("the view still holds the stage")?;
    stage.running.stop().await?;
    let outcome = outcome?;
    outcome.print(arguments.json)?;
    Ok(if outcome.passes() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn build(arguments: &Arguments, folder: &std::path::Path) -> Result<Stage> {
    let simulation = Arc::new(Simulation::new(simulation_options(arguments))?);
    let apis = Apis::start(&simulation, &ApisOptions::default()).await?;
    let standins = Standins {
        // At Discord too, channels and what an app sells have one address.
        discord: Discord::start_beside(DiscordOptions::default(), apis.discord.router()).await?,
        receiver: Arc::new(Receiver::start(ReceiverOptions::new(SECRET)).await?),
        intercom: Intercom::start(IntercomOptions::default()).await?,
        apis,
    };
    for store in StoreKind::ALL {
        standins.apis.set_faults(*store, arguments.faults.api(*store));
    }
    let chance: &dyn Chance = &SystemChance;
    let key = text_key(chance);
    let own_file = format!("sqlite:{}", folder.join("paidup.db").display());
    let settings = [
        ("PAIDUP_LISTEN", "127.0.0.1:0".to_owned()),
        ("PAIDUP_DATABASE_URL", arguments.database.clone().unwrap_or(own_file)),
        ("PAIDUP_ADMIN_KEY", key.clone()),
        ("PAIDUP_ALLOW_PRIVATE_TARGETS", "127.0.0.0/8".to_owned()),
        ("PAIDUP_DISCORD_API_URL", standins.discord.api_url()),
        ("PAIDUP_INTERCOM_API_URL", standins.intercom.api_url()),
        ("PAIDUP_LOG", "error".to_owned()),
    ];
    // A database that stays is looked at later (`rebuild --verify`): its key stays in the file beside it.
    let passing = arguments.database.is_none().then(|| ("PAIDUP_MASTER_KEY", text_key(chance)));
    let settings = settings.into_iter().chain(passing).chain(standins.apis.settings());
    let config = Config::load(settings.map(|(name, value)| (name.to_owned(), value)), None)?;
    serve::log_to_stderr(&config)?;
    let running = serve::start(config).await?;
    if running.hub.store().head(0).await? > 0 || !running.hub.sources().all().is_empty() {
        running.stop().await?;
        bail!("this database holds a hub already; the demo needs an empty one");
    }
    let url = format!("http://{}", running.address);
    let webhook = standins.discord.add_webhook(1);
    let destinations = [
        NewDestination::webhook("receiver", &standins.receiver.url(), SECRET),
        NewDestination::discord("#sales", &Discord::webhook_url(&webhook)),
        NewDestination::any("intercom", "support", json!({ "access_token": standins.intercom.token() })),
    ];
    let setup = simulation.setup(&url, &key, &destinations).await.context("the hub was not set up")?;
    let target = Target::of(&setup, Some(standins.receiver.clone()));
    Ok(Stage {
        running,
        url,
        key,
        standins,
        simulation,
        target,
        setup,
        waiting: Waiting::default(),
        is_strict: arguments.strict,
    })
}

fn text_key(chance: &dyn Chance) -> String {
    chance.key().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn simulation_options(arguments: &Arguments) -> SimulationOptions {
    let months = match arguments.span {
        Some(span) => {
            let told = span.saturating_sub(SETTLING).as_secs_f64() * arguments.speed / MONTH_SECONDS;
            (told.floor().clamp(1.0, 60.0)) as u32
        }
        None => 60,
    };
    SimulationOptions {
        customers: arguments.customers,
        seed: arguments.seed,
        speed: SimulationOptions::default().speed * arguments.speed,
        months,
        stores: stores(&arguments.stores),
        stripe_is_asked: true,
        app_store_is_asked: true,
        disorder: arguments.faults.disorder(),
        disorder_of: arguments.faults.disorder_of(),
        skew_ms: arguments.faults.skew_ms(),
        ..SimulationOptions::default()
    }
}

fn show(stage: Arc<Stage>, ended: CancellationToken) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let looking = look(&stage, &ended);
        let picture = || picture(&stage);
        tokio::join!(looking, Screen::default().show(&ended, picture));
    })
}

/// Asks the hub what is waiting, again and again.
async fn look(stage: &Stage, ended: &CancellationToken) {
    while !ended.is_cancelled() {
        // A picture that is a moment old is still a picture.
        if let Ok(waiting) = undelivered(stage).await {
            *stage.waiting.lock().unwrap_or_else(PoisonError::into_inner) = waiting;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = ended.cancelled() => {}
        }
    }
}

fn picture(stage: &Stage) -> Picture {
    let counters = stage.simulation.snapshot();
    let receiver = &stage.standins.receiver;
    let newest = stage.standins.discord.messages().into_iter().rev().take(8);
    let waiting = stage.waiting.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let waiting = waiting.into_iter().chain(std::iter::repeat(0));
    let arrivals =
        |((name, delivered), waiting): ((&&str, u64), u64)| Arrivals { name: (*name).to_owned(), delivered, waiting };
    Picture {
        title: format!("paidup demo   {}", stage.url),
        notes: vec![format!("admin key {}   Ctrl-C ends it", stage.key)],
        notifications: simulate::by_store(&counters),
        events: *stage.running.hub.recent().changes().borrow(),
        destinations: DESTINATIONS.iter().zip(stage.delivered()).zip(waiting).map(arrivals).collect(),
        retried: counters.retried,
        latency_ms: receiver.latency_ms(50.0).zip(receiver.latency_ms(99.0)),
        messages: newest.flat_map(|message| message.text().lines().map(str::to_owned).collect::<Vec<_>>()).collect(),
    }
}

/// What it came to.
struct Outcome {
    summary: Summary,
    events: u64,
    told_to_discord: u64,
    told_to_intercom: u64,
    receiver: paidup_simulator::standins::receiver::Report,
    discord: paidup_simulator::standins::discord::Report,
    intercom: paidup_simulator::standins::intercom::Report,
    asked: BTreeMap<StoreKind, Asked>,
    reconciled: Vec<Reconciled>,
    wrong_events: Comparison,
    /// Wrong events count against it.
    is_strict: bool,
    undelivered: Vec<u64>,
    comparison: Comparison,
}

/// Waits for the last deliveries, then counts and compares. Dates that passed are looked at after the last answer, and
/// what they bring is delivered after that, so a difference counts once it has stayed.
async fn settle(stage: &Stage, summary: Summary, since_ms: i64) -> Result<Outcome> {
    let hub = &stage.running.hub;
    // What was lost on the way, or told to nobody, is only found by asking: one cycle, as the hub itself makes them from time
    // to time.
    let reconciled = match summary.counters.dropped {
        0 if !stage.simulation.has_silence() => Vec::new(),
        _ => stage.simulation.reconcile(&stage.url, &stage.key, &stage.setup, since_ms).await?,
    };
    let until = Instant::now() + PATIENCE;
    let (comparison, count, undelivered) = loop {
        let told = hub.store().head(0).await?.saturating_sub(alerts(stage).await?);
        let waiting: u64 = undelivered(stage).await?.iter().sum();
        let arrived = stage.standins.receiver.report().distinct >= told && waiting == 0;
        let is_late = Instant::now() > until;
        if arrived || is_late {
            let comparison = stage.simulation.compare(&stage.url, &stage.key, Some(&stage.standins.receiver)).await?;
            // Time goes on meanwhile: what is counted now must have arrived too.
            let (count, waiting) = (count(stage).await?, undelivered(stage).await?);
            let all = waiting.iter().sum::<u64>() == 0 && stage.standins.receiver.report().distinct >= count.events;
            if is_late || (all && comparison.is_clean()) {
                break (comparison, count, waiting);
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let Count { events, told_to_discord, told_to_intercom } = count;
    Ok(Outcome {
        summary,
        events,
        told_to_discord,
        told_to_intercom,
        receiver: stage.standins.receiver.report(),
        discord: stage.standins.discord.report(),
        intercom: stage.standins.intercom.report(),
        asked: stage.standins.apis.asked(),
        reconciled,
        wrong_events: wrong_events(&stage.standins.receiver, &stage.simulation.truth()),
        is_strict: stage.is_strict,
        undelivered,
        comparison,
    })
}

/// Events that each destination has yet to deliver, in the order in which they were made.
async fn undelivered(stage: &Stage) -> Result<Vec<u64>> {
    let hub = &stage.running.hub;
    let mut counts = vec![0; stage.setup.destination_ids.len()];
    for destination in hub.list_destinations().await? {
        let parked = hub.store().parked(destination.id, 1_000).await?.len() as u64;
        let id = destination.id.to_string();
        let place = stage.setup.destination_ids.iter().position(|made| *made == id);
        if let Some(count) = place.and_then(|place| counts.get_mut(place)) {
            *count = destination.behind + parked;
        }
    }
    Ok(counts)
}

/// Events in the log, and what they are to Discord and Intercom, which are told of PRODUCTION only.
#[derive(Default)]
struct Count {
    events: u64,
    told_to_discord: u64,
    told_to_intercom: u64,
}

/// What the hub told of itself, which no destination of the demo asks for.
async fn alerts(stage: &Stage) -> Result<u64> {
    let types = vec![EventType::OperatorAlert, EventType::OperatorAlertOver];
    let query = EventQuery { types, limit: 200, ..EventQuery::default() };
    Ok(stage.running.hub.store().events(query).await?.len() as u64)
}

async fn count(stage: &Stage) -> Result<Count> {
    let (mut count, mut position) = (Count::default(), 0);
    loop {
        let page = stage.running.hub.store().events_after(0, position, 1000).await?;
        let Some(last) = page.last() else { return Ok(count) };
        position = last.position;
        for logged in page.iter().filter(|logged| logged.event.environment == Environment::Production) {
            let told = |options| revenuecat::integration_events(&logged.event, &options).len() as u64;
            count.told_to_discord += told(Options::discord());
            count.told_to_intercom += told(Options::intercom());
        }
        count.events += page.iter().filter(|logged| !is_alert(logged.event.event_type)).count() as u64;
    }
}

impl Outcome {
    fn lost(&self) -> u64 {
        self.summary.counters.given_up
            + self.events.saturating_sub(self.receiver.distinct)
            + self.told_to_intercom.saturating_sub(self.intercom.events)
            + self.undelivered.iter().sum::<u64>()
    }

    fn passes(&self) -> bool {
        self.lost() == 0
            && self.events > 0
            && self.comparison.is_clean()
            && self.receiver.out_of_order == 0
            && self.receiver.missing_seq == 0
            && self.receiver.bad_signature == 0
            && self.discord.violations.is_empty()
            && self.discord.refused == 0
            && self.intercom.violations.is_empty()
            && self.intercom.unauthorized == 0
            && self.asked.values().all(|asked| asked.wrong.is_empty())
            && self.reconciled.iter().all(Reconciled::is_whole)
            && (!self.is_strict || self.wrong_events.is_clean())
    }

    fn to_json(&self) -> Value {
        json!({
            "lost": self.lost(), "passed": self.passes(), "notifications": self.summary.counters.accepted, "events": self.events,
            "webhook": self.receiver, "discord": self.discord, "discord_messages_due": self.told_to_discord,
            "intercom": self.intercom, "intercom_events_due": self.told_to_intercom,
            "apis": self.asked, "reconciled": self.reconciled, "wrong_events": self.wrong_events, "undelivered": self.undelivered.iter().sum::<u64>(), "simulation": self.summary, "comparison": self.comparison
        })
    }

    fn print(&self, as_json: bool) -> Result<()> {
        if as_json {
            println!("{}", serde_json::to_string_pretty(&self.to_json())?);
            return Ok(());
        }
        let counters = &self.summary.counters;
        println!();
        println!(
            "notifications    {:>8} told, {} accepted in {:.0} s ({:.0}/s), p99 {:.1} ms",
            counters.told, counters.accepted, self.summary.seconds, self.summary.rate, counters.p99_ms
        );
        for (store, figures) in &counters.by_store {
            println!(
                "  {:<15}{:>8} told, {} accepted, {} lost on purpose",
                store.to_string(),
                figures.told,
                figures.accepted,
                figures.dropped
            );
        }
        self.print_asked();
        println!("events           {:>8}", self.events);
        println!(
            "webhook          {:>8} arrived, {} repeats, {} out of order, {} missing, {} wrong signatures",
            self.receiver.distinct,
            self.receiver.repeats,
            self.receiver.out_of_order,
            self.receiver.missing_seq,
            self.receiver.bad_signature
        );
        println!(
            "discord          {:>8} embeds in {} messages for {} events, {} answers 429 ({} avoidable), {} violations",
            self.discord.embeds,
            self.discord.stored,
            self.told_to_discord,
            self.discord.limited,
            self.discord.avoidable,
            self.discord.violations.len()
        );
        println!(
            "intercom         {:>8} events of {} for {} contacts in {} calls, {} answers 429 ({} avoidable), {} violations",
            self.intercom.events,
            self.told_to_intercom,
            self.intercom.contacts,
            self.intercom.calls,
            self.intercom.limited,
            self.intercom.avoidable,
            self.intercom.violations.len()
        );
        self.print_compared();
        println!("lost: {}", self.lost());
        Ok(())
    }
    fn print_asked(&self) {
        for (store, asked) in self.asked.iter().filter(|(_, asked)| asked.calls > 0) {
            println!(
                "asked {:<11}{:>8} calls, {} answered, {} answers 429, {} failed on purpose, {} wrong calls",
                store.to_string(),
                asked.calls,
                asked.answered,
                asked.limited,
                asked.faults,
                asked.wrong.len()
            );
        }
        for one in &self.reconciled {
            let failed = one.last_error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
            println!(
                "reconciled {:<11}{:>3} {}, {} answers, {} differences, {} failed{failed}",
                one.store.to_string(),
                "",
                one.state,
                one.asked,
                one.different,
                one.failed
            );
        }
    }

    fn print_compared(&self) {
        println!(
            "customers        {:>8} compared with the simulator's truth, {} purchases, {} differences",
            self.comparison.customers, self.comparison.purchases, self.comparison.count
        );
        for one in self.comparison.differences.iter().take(20) {
            println!("  {} {}: expected {}, the hub says {}", one.subject, one.what, one.expected, one.found);
        }
        println!("wrong events     {:>8} of {} purchases", self.wrong_events.count, self.wrong_events.purchases);
        for one in self.wrong_events.differences.iter().take(20) {
            println!("  {} {}: {} in truth, {} told", one.subject, one.what, one.expected, one.found);
        }
        let refused =
            self.summary.counters.refusals.iter().chain(&self.discord.violations).chain(&self.discord.refusals);
        for refusal in
            refused.chain(&self.intercom.violations).chain(self.asked.values().flat_map(|asked| &asked.wrong))
        {
            println!("  {refusal}");
        }
    }
}
