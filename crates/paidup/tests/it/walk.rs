//! Whole lives of stores that are asked, one notification at a time on a clock that stands in between. In order every question
//! is answered with what was true at that moment, so each event must be told as often as the table of transitions says, and no
//! other. Where notifications are late, lost, repeated and shuffled, the hub's picture is right after it has asked once, and
//! nothing that it told is wrong.

use crate::support::{ADMIN_KEY, TestHub};
use paidup_hub::clock::Clock as _;
use paidup_lifecycle::event::EventType;
use paidup_lifecycle::time::Timestamp;
use paidup_simulator::calendar::{self, Calendar};
use paidup_simulator::compare::{events_exactly, wrong_events};
use paidup_simulator::edge::Clock;
use paidup_simulator::lives::{Told, Turn};
use paidup_simulator::reconcile::Reconciled;
use paidup_simulator::setup::NewDestination;
use paidup_simulator::simulation::{Simulation, SimulationOptions, Target, Way};
use paidup_simulator::standins::amazon::{AmazonApi, AmazonApiOptions};
use paidup_simulator::standins::discord_app::{DiscordAppApi, DiscordAppApiOptions};
use paidup_simulator::standins::limits::Limit;
use paidup_simulator::standins::play::{PlayApi, PlayApiOptions};
use paidup_simulator::standins::receiver::{Receiver, ReceiverOptions};
use paidup_simulator::stores::{StoreKind, amazon, discord, play};
use paidup_simulator::traffic::Disorder;
use paidup_simulator::truth::After;
use paidup_store::records::EventQuery;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const START: &str = "2026-01-01T00:00:00Z";

/// Waits until nothing is due: no date is to be looked at, and no store to be asked.
async fn quiet(hub: &TestHub) {
    hub.until("quiet", async |hub| {
        let (store, now) = (hub.hub.store(), hub.clock.now());
        let busy = !store.due_deadlines(now, 1).await.expect("deadlines").is_empty()
            || !store.sources_due(now).await.expect("sources").is_empty();
        (!busy).then_some(())
    })
    .await;
}

struct Walked {
    hub: TestHub,
    simulation: Simulation,
    receiver: Arc<Receiver>,
    /// What happened, by purchase: for people who have to mend something.
    story: BTreeMap<Arc<str>, Vec<String>>,
}

/// Sends a population's whole life and answers what is left at the end.
async fn walk(settings: &[(&str, &str)], simulation: Simulation, clock: Clock, speed: f64) -> Walked {
    let hub = TestHub::start_with(START, settings).await;
    let url = format!("http://{}", hub.address);
    // Hours pass between a delivery's signature and its arrival, when the clock is moved in between.
    let tolerance = Duration::from_secs(366 * 24 * 3600);
    let receiver_options = ReceiverOptions { clock: clock.clone(), tolerance, ..ReceiverOptions::new(SECRET) };
    let receiver = Arc::new(Receiver::start(receiver_options).await.expect("a receiver"));
    let destinations = [NewDestination::webhook("receiver", &receiver.url(), SECRET)];
    let setup = simulation.setup(&url, ADMIN_KEY, &destinations).await.expect("set up");
    let target = Target::of(&setup, Some(receiver.clone()));
    let mut walk = simulation.walk(&target, clock.clone(), speed).await.expect("a walk");
    let mut story: BTreeMap<Arc<str>, Vec<String>> = BTreeMap::new();
    while let Some(at) = walk.next_at() {
        clock.advance_to(at);
        hub.clock.set(Timestamp::from_millis_clamped(clock.now_ms()));
        quiet(&hub).await;
        let (told, way, accepted) = walk.step().await.expect("a notification");
        assert!(accepted, "{:?}: {:?}", told.turn, simulation.snapshot().refusals);
        quiet(&hub).await;
        let line = line(&hub, &told, way);
        story.entry(told.purchase).or_default().push(line);
    }
    if simulation.has_silence() || simulation.snapshot().dropped > 0 {
        // What was lost, and what happened since the last look, shows to who asks.
        let mut reconcile = Box::pin(simulation.reconcile(&url, ADMIN_KEY, &setup, 0));
        let compared = hub.until("the reconcile", async |hub| {
            // As many calls a minute as the store allows.
            hub.clock.advance(Duration::from_secs(1));
            tokio::time::timeout(Duration::from_millis(20), &mut reconcile).await.ok()
        });
        let compared = compared.await.expect("a reconcile");
        assert!(compared.iter().all(Reconciled::is_whole), "{compared:?}");
        quiet(&hub).await;
    }
    hub.until("every delivery", async |hub| {
        // What was in the way of one passes with time.
        hub.clock.advance(Duration::from_secs(1));
        // What the hub tells of itself, such as that a store is silent for long, is not asked for.
        let types = vec![EventType::OperatorAlert, EventType::OperatorAlertOver];
        let alerts = EventQuery { types, limit: 200, ..EventQuery::default() };
        let alerts = hub.hub.store().events(alerts).await.expect("alerts");
        let head = hub.hub.store().head(0).await.expect("a head");
        (receiver.report().distinct + alerts.len() as u64 >= head).then_some(())
    })
    .await;
    Walked { hub, simulation, receiver, story }
}

fn line(hub: &TestHub, told: &Told, way: Way) -> String {
    let After { state, events, .. } = &told.after;
    let said = told.play().map(|said| format!("{:?}", said.about)).or(told.amazon().map(|said| said.kind.to_owned()));
    let of = told.known_as.as_deref().unwrap_or_default().get(..8).unwrap_or_default();
    format!("{} {way:?} {}. {:?} {of} {said:?} -> {state:?} {events:?}", hub.clock.now(), told.ordinal, told.turn)
}

impl Walked {
    /// The hub's picture is the simulator's; and so is every event, or none is wrong.
    async fn check(self, is_exact: bool) {
        let url = format!("http://{}", self.hub.address);
        let comparison = self.simulation.compare(&url, ADMIN_KEY, Some(&self.receiver)).await.expect("a comparison");
        let truth = self.simulation.truth();
        let events =
            if is_exact { events_exactly(&self.receiver, &truth) } else { wrong_events(&self.receiver, &truth) };
        assert!(events.purchases > 20, "{}", events.purchases);
        let told = self.hub.events().await;
        for different in comparison.differences.iter().chain(&events.differences) {
            eprintln!("{} {}: {} or {}", different.subject, different.what, different.expected, different.found);
            let Some(purchase) = truth.purchases().get(&*different.subject) else { continue };
            self.story[&*different.subject].iter().for_each(|line| eprintln!("    {line}"));
            let is_its = |event: &&serde_json::Value| {
                event["purchase"]["store_purchase_id"].as_str().is_some_and(|id| purchase.names.contains(id))
            };
            for event in told.iter().rev().filter(is_its) {
                eprintln!("      {} {} {}", event["detected_at"], event["occurred_at"], event["type"]);
            }
        }
        assert!(comparison.is_clean() && events.is_clean(), "{} and {} differences", comparison.count, events.count);
        self.hub.stop().await;
    }
}

/// Google, Amazon and Discord, as fast as they are asked: their limits would make a run of seconds one of minutes.
struct Vendors {
    play: PlayApi,
    amazon: AmazonApi,
    discord: DiscordAppApi,
}

impl Vendors {
    async fn start(simulation: &Simulation, clock: &Clock) -> Vendors {
        let limit = Limit { calls: 1_000_000, span_ms: 1 };
        let play = PlayApiOptions { limit, voided_limit: limit, clock: clock.clone(), ..PlayApiOptions::default() };
        let amazon = AmazonApiOptions { limit, clock: clock.clone(), ..AmazonApiOptions::default() };
        let discord = DiscordAppApiOptions { limit, clock: clock.clone(), ..DiscordAppApiOptions::default() };
        Vendors {
            play: PlayApi::start(simulation.play(), play).await.expect("Google"),
            amazon: AmazonApi::start(simulation.amazon(), amazon).await.expect("Amazon"),
            discord: DiscordAppApi::start(simulation.discord(), discord).await.expect("Discord"),
        }
    }

    fn settings(&self) -> [(&'static str, String); 5] {
        [
            ("PAIDUP_PLAY_API_URL", self.play.url()),
            ("PAIDUP_GOOGLE_OAUTH_URL", self.play.token_url()),
            ("PAIDUP_AMAZON_SNS_URL", self.amazon.url()),
            ("PAIDUP_AMAZON_RVS_URL", self.amazon.url()),
            ("PAIDUP_DISCORD_API_URL", self.discord.url()),
        ]
    }

    /// Nobody called them in a way that the vendors would refuse.
    fn are_content(&self) {
        let (play, amazon, discord) = (self.play.report(), self.amazon.report(), self.discord.report());
        assert_eq!((play.wrong, play.unauthorized, amazon.wrong), (vec![], 0, vec![]));
        assert_eq!((discord.wrong, discord.unauthorized), (vec![], 0));
    }
}

/// One walk, and what goes wrong on it.
struct Run {
    store: StoreKind,
    seed: u64,
    /// Lived seconds in one second of the clock.
    speed: f64,
    disorder: Disorder,
}

async fn walked(run: Run) {
    let options = SimulationOptions {
        customers: 40,
        seed: run.seed,
        months: 8,
        stores: vec![run.store],
        disorder: run.disorder,
        ..SimulationOptions::default()
    };
    let simulation = Simulation::new(options).expect("a simulation");
    let clock = Clock::manual(START.parse::<Timestamp>().expect("a time").as_millis());
    let vendors = Vendors::start(&simulation, &clock).await;
    let settings = vendors.settings();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let is_exact = run.speed <= 1.0 && run.disorder == Disorder::NONE;
    walk(&settings, simulation, clock, run.speed).await.check(is_exact).await;
    vendors.are_content();
}

/// Nothing is lost or out of order, and every question is answered at once.
async fn exactly(store: StoreKind, seed: u64) {
    walked(Run { store, seed, speed: 1.0, disorder: Disorder::NONE }).await;
}

/// A lived month in six seconds, as in the demo.
async fn at_the_demos_pace(store: StoreKind, seed: u64, disorder: Disorder) {
    walked(Run { store, seed, speed: SimulationOptions::default().speed, disorder }).await;
}

/// A fifth never arrives, a fifth comes twice, nothing is in order.
const LOST: Disorder = Disorder { drop_percent: 20, repeat_percent: 20, shuffle_window: 6, ..Disorder::NONE };

#[tokio::test]
async fn every_event_of_google_plays_customers_is_told_and_no_other() {
    exactly(StoreKind::Play, 1).await;
    exactly(StoreKind::Play, 2).await;
}

#[tokio::test]
async fn every_event_of_amazons_customers_is_told_and_no_other() {
    exactly(StoreKind::Amazon, 1).await;
    exactly(StoreKind::Amazon, 2).await;
}

/// A day late, in the customers' time: every question is answered with what came of it meanwhile.
const LATE: Disorder = Disorder { late_percent: 100, late_by: calendar::DAY, ..Disorder::NONE };

#[tokio::test]
async fn nothing_wrong_is_told_of_google_plays_customers_in_order() {
    at_the_demos_pace(StoreKind::Play, 2, Disorder::NONE).await;
    at_the_demos_pace(StoreKind::Play, 3, LATE).await;
}

#[tokio::test]
async fn nothing_wrong_is_told_of_amazons_customers_in_order() {
    at_the_demos_pace(StoreKind::Amazon, 2, Disorder::NONE).await;
    at_the_demos_pace(StoreKind::Amazon, 2, LATE).await;
}

#[tokio::test]
async fn google_plays_customers_are_as_they_are_whatever_was_lost_repeated_and_shuffled() {
    for seed in [1, 2, 3] {
        at_the_demos_pace(StoreKind::Play, seed, LOST).await;
    }
}

#[tokio::test]
async fn amazons_customers_are_as_they_are_whatever_was_lost_repeated_and_shuffled() {
    for seed in [1, 2, 3] {
        at_the_demos_pace(StoreKind::Amazon, seed, LOST).await;
    }
}

#[tokio::test]
async fn every_event_of_a_discord_apps_customers_is_told_and_no_other() {
    for seed in [1, 2] {
        exactly(StoreKind::Discord, seed).await;
    }
}

/// In life's own time: Discord bills by the month, and much of how its purchases are read counts on that.
#[tokio::test]
async fn a_discord_apps_customers_are_as_they_are_whatever_was_lost() {
    for seed in [1, 2, 3] {
        let disorder = Disorder { drop_percent: 20, ..Disorder::NONE };
        walked(Run { store: StoreKind::Discord, seed, speed: 1.0, disorder }).await;
    }
}

#[tokio::test]
async fn a_discord_apps_customers_are_as_they_are_whatever_was_lost_repeated_and_shuffled() {
    at_the_demos_pace(StoreKind::Discord, 1, Disorder::NONE).await;
    for seed in [1, 2, 3] {
        at_the_demos_pace(StoreKind::Discord, seed, LOST).await;
    }
}

/// A hub with a source of this store, and a genuine notification.
async fn refuses(store: StoreKind) {
    let options = SimulationOptions { stores: vec![store], ..SimulationOptions::default() };
    let simulation = Simulation::new(options).expect("a simulation");
    let now = START.parse::<Timestamp>().expect("a time").as_millis();
    let vendors = Vendors::start(&simulation, &Clock::manual(now)).await;
    let settings = vendors.settings();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let hub = TestHub::start_with(START, &settings).await;
    let url = format!("http://{}", hub.address);
    let setup = simulation.setup(&url, ADMIN_KEY, &[]).await.expect("set up");
    let mut population = simulation.population(Calendar::new(now, 1.0));
    let told = population.find(|told| told.turn == Turn::Started).expect("a start");
    // The message is published when it happens.
    hub.clock.set(Timestamp::from_millis_clamped(now + told.at));
    let now = now + told.at;
    let forgeries = match store {
        StoreKind::Play => play::forgeries::all(&simulation.play(), told.play().expect("Google's"), now),
        StoreKind::Discord => {
            let event = told.discord().and_then(|change| change.event.as_ref()).expect("an event");
            discord::forgeries::all(&simulation.discord(), event, now)
        }
        _ => amazon::forgeries::all(&simulation.amazon(), told.amazon().expect("Amazon's")).expect("forgeries"),
    };
    let path = format!("/ingest/{}", setup.sources[0].id);
    for forgery in forgeries {
        let headers: Vec<(&str, &str)> = forgery.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = hub.call("POST", &path, None, forgery.body, &headers).await;
        assert!(forgery.answers.contains(&answer.status), "{}: {} {}", forgery.name, answer.status, answer.body);
        if answer.status != 200 {
            assert!(!answer.body["detail"].as_str().unwrap_or_default().is_empty(), "{}", forgery.name);
        }
    }
    quiet(&hub).await;
    assert!(hub.types().await.is_empty());
    assert_eq!(vendors.amazon.report().confirmations, 0, "nobody was talked into confirming");
    hub.stop().await;
}

#[tokio::test]
async fn every_forged_push_of_googles_is_refused() {
    refuses(StoreKind::Play).await;
}

#[tokio::test]
async fn every_forged_message_of_amazons_is_refused() {
    refuses(StoreKind::Amazon).await;
}

#[tokio::test]
async fn every_forged_event_of_discords_is_refused() {
    refuses(StoreKind::Discord).await;
}
