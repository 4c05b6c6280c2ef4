//! The loop against Discord's rules: the stand-in's own limits, in virtual time, with calls that take their time on the way.

use super::tests::{Append, dispatch, record};
use super::*;
use crate::clock::{Chance as _, SeededChance, VirtualClock};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use paidup_destinations::{Answer, CallFailure, Upstreams};
use paidup_lifecycle::event::{Event, EventType};
use paidup_lifecycle::ids::{CustomerId, EventId, PurchaseId};
use paidup_lifecycle::money::{Currency, Money};
use paidup_lifecycle::sample;
use paidup_lifecycle::time::Timestamp;
use paidup_simulator::edge;
use paidup_simulator::standins::discord::{Discord, DiscordOptions, Message, Webhook};
use paidup_store::{OpenOptions, Urgency};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use url::Url;

const CHANNEL: u64 = 7;

/// The way to Discord and back, each of 5 to 400 ms.
#[derive(Clone)]
struct Wire {
    discord: Arc<Discord>,
    /// Discord's clock, which follows ours.
    time: edge::Clock,
    clock: VirtualClock,
    chance: Arc<SeededChance>,
    /// When calls arrived, and how.
    arrived: Arc<Mutex<Vec<(Timestamp, http::Method)>>>,
    /// So many answers are lost on their way back.
    lost: Arc<AtomicU32>,
}

impl Wire {
    fn travel(&self) -> Duration {
        let mut bytes = [0; 2];
        self.chance.fill(&mut bytes);
        Duration::from_millis(5 + u64::from(u16::from_le_bytes(bytes)) % 396)
    }
}

impl Outbound for Wire {
    fn call_up_to(&self, request: http::Request<Bytes>, _: Duration, _: usize) -> BoxFuture<'static, Answer> {
        let wire = self.clone();
        Box::pin(async move {
            wire.clock.sleep(wire.travel()).await;
            let now = wire.clock.now();
            wire.time.advance_to(now.as_millis());
            wire.arrived.lock().push((now, request.method().clone()));
            let answer = wire.discord.call(&request);
            wire.clock.sleep(wire.travel()).await;
            let one_less = |left: u32| left.checked_sub(1);
            let is_lost = wire.lost.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok();
            let answer = answer.filter(|_| !is_lost);
            answer.map_or(Answer::Failed(CallFailure::ConnectionLost), Answer::Response)
        })
    }

    fn check(&self, _: Url) -> BoxFuture<'static, Result<(), CallFailure>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

struct World {
    store: Arc<dyn Store>,
    clock: VirtualClock,
    wire: Wire,
    dispatch: Dispatch,
    halts: mpsc::UnboundedReceiver<Halt>,
    made: u64,
    _dir: tempfile::TempDir,
}

impl World {
    async fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("test.db").display());
        let store = paidup_store::open(&url, OpenOptions::default()).await.unwrap();
        let clock = VirtualClock::new("2026-03-05T12:00:00Z".parse().unwrap());
        let time = edge::Clock::manual(clock.now().as_millis());
        let options = DiscordOptions { clock: time.clone(), keep: 100_000, ..DiscordOptions::default() };
        let discord = Arc::new(Discord::in_memory(options));
        let chance = Arc::new(SeededChance::new(5));
        let (arrived, lost) = Default::default();
        let wire = Wire { discord, time, clock: clock.clone(), chance, arrived, lost };
        let (dispatch, halts) = started(&store, &clock, &wire);
        World { store, clock, wire, dispatch, halts, made: 0, _dir: dir }
    }

    /// Begins to serve a destination that posts by `webhook`.
    async fn serve(&self, number: u8, webhook: &Webhook, more: Value) {
        let record = record(DestinationId([number; 16]), self.clock.now());
        self.store.put_destination(record).await.unwrap();
        self.start(number, webhook, more);
    }

    fn start(&self, number: u8, webhook: &Webhook, more: Value) {
        let mut settings = json!({"url": Discord::webhook_url(webhook)});
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let definition = paidup_destinations::definition("discord_webhook").unwrap();
        let raw = serde_json::value::to_raw_value(&settings).unwrap();
        let discord_api = self.wire.discord.api_url();
        let upstreams = Upstreams { discord_api, intercom_api: None, public_url: "https://hub.example".into() };
        let destination = Arc::from((definition.open)(&raw, &upstreams).unwrap());
        self.dispatch.start(Target {
            id: DestinationId([number; 16]),
            order: LaneOrder::Purchase,
            skip_after: None,
            keep_trying: paidup_store::records::DEFAULT_KEEP_TRYING,
            gently: false,
            broke_off: false,
            filters: Vec::new(),
            destination,
            secrets: Arc::from([]),
        });
    }

    /// As after a crash: nothing in memory, everything from the database.
    fn forget(&mut self) {
        (self.dispatch, self.halts) = started(&self.store, &self.clock, &self.wire);
    }

    async fn append(&mut self, events: Vec<Event>) {
        self.made += events.len() as u64;
        self.store.commit(Urgency::Intake, Box::new(Append(events))).await.unwrap();
    }

    /// Lets the loops work while time passes.
    async fn pass(&self, span: Duration) {
        let until = self.clock.now().plus(span);
        while self.clock.now() < until {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            self.clock.advance(Duration::from_millis(50));
        }
    }

    /// Lets time pass until these destinations are through with everything. Real time only bounds a test that fails.
    async fn through(&mut self, destinations: &[u8]) {
        let wait = async {
            for number in destinations {
                while self.cursor(*number).await != (self.made, 0) {
                    self.pass(Duration::from_millis(500)).await;
                }
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(120), wait).await.is_ok(), "never through");
        assert!(self.halts.try_recv().is_err());
    }

    async fn cursor(&self, number: u8) -> (u64, usize) {
        let id = DestinationId([number; 16]);
        let progress = self.store.progress(id).await.unwrap();
        (progress[0].cursor, self.store.parked(id, 1_000).await.unwrap().len())
    }

    /// Discord had nothing to complain about.
    fn assert_without_complaints(&self) {
        let report = self.wire.discord.report();
        assert_eq!((report.limited, report.avoidable, report.refused), (0, 0, 0), "{report:?}");
        assert!(report.violations.is_empty(), "{report:?}");
    }

    /// The same, and the channel was called at most 30 times a minute.
    fn assert_well_behaved(&self) {
        self.assert_without_complaints();
        let arrived = self.wire.arrived.lock();
        for window in arrived.windows(31) {
            let span = window[30].0.since(window[0].0);
            assert!(span >= Duration::from_secs(60), "31 calls in {span:?} at {}", window[0].0);
        }
    }
}

fn started(store: &Arc<dyn Store>, clock: &VirtualClock, wire: &Wire) -> (Dispatch, mpsc::UnboundedReceiver<Halt>) {
    let recent = Arc::new(Recent::default());
    let fill = Arc::clone(&recent);
    store.listen(Box::new(move |events| fill.push(events)));
    dispatch(store, clock, Arc::new(wire.clone()), &recent)
}

/// What messages say in sum: how many of each kind, and how much money of each currency.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals(BTreeMap<String, (u64, BTreeMap<String, i64>)>);

impl Totals {
    fn add(&mut self, title: &str, count: u64, money: Option<Money>) {
        let (counted, sums) = self.0.entry(title.to_owned()).or_default();
        *counted += count;
        if let Some(money) = money {
            *sums.entry(money.currency.to_string()).or_default() += money.amount_minor;
        }
    }

    /// Reads a message as a person would: embeds of their own, a list, or a digest.
    fn read(&mut self, message: &Message) {
        for embed in message.body["embeds"].as_array().unwrap() {
            let title = embed["title"].as_str().unwrap();
            let lines = embed["description"].as_str().unwrap().lines();
            if title.contains(" messages about ") {
                lines.take_while(|line| !line.is_empty()).for_each(|line| self.read_total(line));
            } else if title.ends_with(" messages") {
                lines.for_each(|line| self.read_line(line));
            } else {
                let fields = embed["fields"].as_array().unwrap();
                let revenue = fields.iter().find(|field| field["name"] == "Revenue");
                let money = revenue.map(|field| money(field["value"].as_str().unwrap()));
                self.add(title.split_once(' ').unwrap().1, 1, money);
            }
        }
    }

    /// `😺 **Renewal**: 43 · $239.60 · 7.50 EUR`
    fn read_total(&mut self, line: &str) {
        let (title, rest) = line.split_once("**").unwrap().1.split_once("**: ").unwrap();
        let mut parts = rest.split(" · ");
        self.add(title, parts.next().unwrap().parse().unwrap(), None);
        parts.for_each(|part| self.add(title, 0, Some(money(part))));
    }

    /// `😺 Customer user-1 just renewed their subscription of pro · $5.99`
    fn read_line(&mut self, line: &str) {
        let sentences = [
            ("Initial Purchase", "just started a subscription"),
            ("Renewal", "just renewed"),
            ("Cancellation", "just cancelled"),
            ("Billing Issue", "got a billing issue"),
        ];
        let (title, _) = sentences.iter().find(|(_, sentence)| line.contains(sentence)).unwrap();
        self.add(title, 1, line.split_once(" · ").map(|(_, amount)| money(amount)));
    }
}

/// `$5.99`, `7.50 EUR`, `500 JPY`
fn money(text: &str) -> Money {
    let (digits, currency) = match text.strip_prefix('$') {
        Some(digits) => (digits, "USD"),
        None => text.split_once(' ').unwrap(),
    };
    Money { amount_minor: digits.replace('.', "").parse().unwrap(), currency: currency.parse().unwrap() }
}

/// Events of many purchases, with what they amount to.
struct Shop {
    chance: SeededChance,
    bases: Vec<Event>,
    made: u64,
    expected: Totals,
}

impl Shop {
    fn new() -> Shop {
        let types = [
            EventType::SubscriptionStarted,
            EventType::SubscriptionRenewed,
            EventType::SubscriptionRenewed,
            EventType::RenewalDisabled,
            EventType::GracePeriodStarted,
        ];
        let store = paidup_lifecycle::observation::Store::AppStore;
        let bases = types.iter().map(|event_type| sample::event(*event_type, store)).collect();
        Shop { chance: SeededChance::new(9), bases, made: 0, expected: Totals::default() }
    }

    fn draw(&self, below: u64) -> u64 {
        let mut bytes = [0; 8];
        self.chance.fill(&mut bytes);
        u64::from_le_bytes(bytes) % below
    }

    fn events(&mut self, count: u64, now: Timestamp) -> Vec<Event> {
        (0..count).map(|_| self.event(now)).collect()
    }

    fn event(&mut self, now: Timestamp) -> Event {
        self.made += 1;
        let mut event = self.bases[usize::try_from(self.draw(5)).unwrap()].clone();
        event.id = EventId::derive(&[&self.made.to_be_bytes()]);
        event.purchase.id = PurchaseId((u128::from(self.draw(3_000)) + 1).to_be_bytes());
        event.seq = self.made;
        event.occurred_at = now;
        let currency: Currency = ["USD", "EUR", "JPY"][usize::try_from(self.draw(3)).unwrap()].parse().unwrap();
        let price = Money { amount_minor: 1 + i64::try_from(self.draw(20_000)).unwrap(), currency };
        let titles: &[(&str, bool)] = match event.event_type {
            EventType::SubscriptionStarted => &[("Initial Purchase", true)],
            EventType::SubscriptionRenewed => &[("Renewal", true)],
            EventType::RenewalDisabled => &[("Cancellation", false)],
            _ => &[("Billing Issue", false), ("Cancellation", false)],
        };
        for (title, pays) in titles {
            self.expected.add(title, 1, pays.then_some(price));
        }
        event.purchase.price = Some(price);
        if let Some(transaction) = &mut event.transaction {
            transaction.money = Some(price);
        }
        event
    }
}

#[tokio::test]
async fn ten_thousand_events_in_a_minute_are_all_told_within_the_limits() {
    let mut world = World::new().await;
    let mut shop = Shop::new();
    world.serve(1, &world.wire.discord.add_webhook(CHANNEL), json!({})).await;
    for _ in 0..100 {
        let events = shop.events(100, world.clock.now());
        world.append(events).await;
        world.pass(Duration::from_millis(600)).await;
    }
    world.through(&[1]).await;
    assert_eq!(world.made, 10_000);
    world.assert_well_behaved();
    let messages = world.wire.discord.messages();
    let mut told = Totals::default();
    messages.iter().for_each(|message| told.read(message));
    assert_eq!(told, shop.expected);
    assert_eq!(messages.len(), world.wire.arrived.lock().len(), "every call brought something");
    let last = world.wire.arrived.lock().last().unwrap().0;
    let begun: Timestamp = "2026-03-05T12:00:00Z".parse().unwrap();
    assert!(last.since(begun) < Duration::from_secs(180), "and not for long: {last}");
    world.dispatch.stop(DestinationId([1; 16])).await;
}

/// Two webhooks of one channel, one of them used by two destinations: they learn that they share its limit.
#[tokio::test]
async fn destinations_that_share_a_channel_share_its_limit() {
    let mut world = World::new().await;
    let mut shop = Shop::new();
    let webhooks = [world.wire.discord.add_webhook(CHANNEL), world.wire.discord.add_webhook(CHANNEL)];
    for (number, webhook) in [(1, &webhooks[0]), (2, &webhooks[0]), (3, &webhooks[1])] {
        world.serve(number, webhook, json!({})).await;
    }
    for _ in 0..40 {
        let events = shop.events(75, world.clock.now());
        world.append(events).await;
        world.pass(Duration::from_millis(1_500)).await;
    }
    world.through(&[1, 2, 3]).await;
    world.assert_well_behaved();
    let mut told = Totals::default();
    world.wire.discord.messages().iter().for_each(|message| told.read(message));
    for (count, sums) in shop.expected.0.values_mut() {
        *count *= 3;
        sums.values_mut().for_each(|sum| *sum *= 3);
    }
    assert_eq!(told, shop.expected, "each destination told everything");
    for number in 1..=3 {
        world.dispatch.stop(DestinationId([number; 16])).await;
    }
}

/// Sixty channels begin at the same moment: the address has a limit of its own, 50 calls a second.
#[tokio::test]
async fn many_channels_share_the_addresss_limit() {
    let mut world = World::new().await;
    let mut shop = Shop::new();
    for number in 1..=60 {
        world.serve(number, &world.wire.discord.add_webhook(u64::from(number)), json!({})).await;
    }
    let events = shop.events(4, world.clock.now());
    world.append(events).await;
    let all: Vec<u8> = (1..=60).collect();
    world.through(&all).await;
    world.assert_without_complaints();
    let arrived = world.wire.arrived.lock().clone();
    assert_eq!(arrived.len(), 240);
    assert!(arrived.windows(51).all(|window| window[50].0.since(window[0].0) >= Duration::from_secs(1)));
    for number in all {
        world.dispatch.stop(DestinationId([number; 16])).await;
    }
}

/// Discord blocks those who go on calling a webhook that is gone: one call finds out, and it is the last one.
#[tokio::test]
async fn a_webhook_that_is_gone_is_called_once() {
    for updates in ["post", "edit"] {
        let mut world = World::new().await;
        let webhook = world.wire.discord.add_webhook(CHANNEL);
        world.serve(1, &webhook, json!({"updates": updates})).await;
        let mut seq = 0;
        world.append(life(1, &[EventType::SubscriptionStarted], &mut seq)).await;
        world.through(&[1]).await;
        let before = world.wire.arrived.lock().len();
        world.wire.discord.delete_webhook(&webhook);
        world.append(life(1, &[EventType::SubscriptionRenewed], &mut seq)).await;
        world.append(life(2, &[EventType::SubscriptionStarted], &mut 0)).await;
        world.pass(Duration::from_secs(60)).await;
        let halt = world.halts.try_recv().unwrap();
        assert_eq!(halt.state, DestinationState::SwitchedOff);
        assert!(halt.reason.contains("10015"), "{}", halt.reason);
        assert_eq!(world.wire.arrived.lock().len(), before + 1, "{updates}");
        assert!(world.wire.discord.report().violations.is_empty());
        assert!(world.cursor(1).await.0 < world.made, "what waits is told when it is resumed");
        world.dispatch.stop(DestinationId([1; 16])).await;
    }
}

/// An edit whose answer was lost is made again, and nothing stands twice; only a first message may.
#[tokio::test]
async fn an_edit_whose_answer_was_lost_is_made_again_and_changes_nothing() {
    use EventType as E;
    let mut world = World::new().await;
    world.serve(1, &world.wire.discord.add_webhook(CHANNEL), json!({"updates": "edit"})).await;
    let mut seq = 0;
    world.append(life(1, &[E::SubscriptionStarted], &mut seq)).await;
    world.through(&[1]).await;
    for event_type in [E::SubscriptionRenewed, E::RenewalDisabled, E::SubscriptionTerminated] {
        world.wire.lost.store(2, Ordering::Relaxed);
        world.append(life(1, &[event_type], &mut seq)).await;
        world.through(&[1]).await;
        assert_eq!(world.wire.lost.load(Ordering::Relaxed), 0);
    }
    world.assert_without_complaints();
    let messages = world.wire.discord.messages();
    assert_eq!(
        (messages.len(), world.wire.discord.report().edited >= 9),
        (1, true),
        "three edits, each made three times"
    );
    let embed = &messages[0].body["embeds"][0];
    let history = embed["fields"].as_array().unwrap().iter().find(|field| field["name"] == "Before").unwrap();
    let lines: Vec<&str> =
        history["value"].as_str().unwrap().lines().map(|line| line.split_once("> ").unwrap().1).collect();
    assert_eq!(lines, ["😿 Cancellation", "😺 Renewal · $9.99", "😺 Initial Purchase · $9.99"]);
    world.dispatch.stop(DestinationId([1; 16])).await;
}

/// A purchase's life: bundles as the engine tells them.
fn life(purchase: u8, types: &[EventType], seq: &mut u64) -> Vec<Event> {
    let store = paidup_lifecycle::observation::Store::AppStore;
    let mut events = Vec::new();
    for event in types.iter().flat_map(|event_type| sample::bundle(*event_type, store)) {
        *seq += 1;
        let id = EventId::derive(&[&[purchase], &seq.to_be_bytes()]);
        let mut event = Event { id, seq: *seq, ..event };
        event.purchase.id = PurchaseId([purchase; 16]);
        event.customer.id = CustomerId([purchase; 16]);
        event.customer.app_user_id = format!("user-{purchase}");
        events.push(event);
    }
    events
}

/// What is remembered leads to the messages again, after a crash too; what people did in between is put right.
#[tokio::test]
async fn messages_follow_their_purchases_through_crashes_and_moderators() {
    use EventType as E;
    let mut world = World::new().await;
    let webhook = world.wire.discord.add_webhook(CHANNEL);
    world.wire.discord.make_forum(CHANNEL, false);
    let settings = || json!({"updates": "edit", "post_per": "customer"});
    world.serve(1, &webhook, settings()).await;
    let mut seqs = [0; 4];
    for (purchase, seq) in (1..).zip(&mut seqs) {
        world.append(life(purchase, &[E::SubscriptionStarted], seq)).await;
    }
    world.through(&[1]).await;
    let discord = Arc::clone(&world.wire.discord);
    let first = discord.messages();
    let titles: Vec<String> = discord.threads().into_iter().map(|thread| thread.name).collect();
    assert_eq!((first.len(), titles), (4, (1..=4).map(|n| format!("user-{n}")).collect()));

    discord.delete_message(first[1].id);
    discord.delete_thread(first[2].channel_id);
    discord.archive_thread(first[3].channel_id);
    world.dispatch.stop(DestinationId([1; 16])).await;
    world.forget();
    for (purchase, seq) in (1..).zip(&mut seqs) {
        world.append(life(purchase, &[E::SubscriptionRenewed, E::SubscriptionTerminated], seq)).await;
    }
    world.start(1, &webhook, settings());
    world.through(&[1]).await;
    let report = discord.report();
    assert_eq!((report.limited, report.avoidable, report.refused), (0, 0, 0), "{report:?}");
    let messages = discord.messages();
    // (purchase, the message it had stands, messages in its thread)
    for (purchase, stands, count) in [(1, true, 1), (2, false, 1), (3, false, 1), (4, true, 2)] {
        let name = format!("user-{purchase}");
        let threads: Vec<u64> =
            discord.threads().iter().filter(|thread| thread.name == name).map(|thread| thread.id).collect();
        let inside: Vec<&Message> = messages.iter().filter(|message| threads.contains(&message.channel_id)).collect();
        assert_eq!((threads.len(), inside.len()), (1, count), "{name}");
        assert_eq!(messages.iter().any(|message| message.id == first[purchase - 1].id), stands, "{name}");
        let newest = inside.last().unwrap();
        let embed = &newest.body["embeds"][0];
        let state = embed["fields"].as_array().unwrap().iter().find(|field| field["name"] == "State").unwrap();
        assert_eq!(state["value"], "Ended", "{name}");
        let history = embed["fields"].as_array().unwrap().iter().find(|field| field["name"] == "Before").unwrap();
        let history = history["value"].as_str().unwrap();
        assert!(history.contains("Renewal") && history.contains("Initial Purchase"), "{name}: {history}");
    }
    assert!(discord.threads().iter().all(|thread| !thread.archived), "a new message took it out again");
    world.dispatch.stop(DestinationId([1; 16])).await;
}
