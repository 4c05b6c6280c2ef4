//! The line from a hub to one outlet, and what came out at its end. What stores tell is in the columns' files.

use crate::support::play;
use crate::support::stripe::{Shape, Shop};
use crate::support::{Receiver, TestHub, at};
use paidup_lifecycle::ids::DestinationId;
use paidup_lifecycle::time::Timestamp;
use paidup_simulator::edge::Clock;
use paidup_simulator::standins::discord::{Discord, DiscordOptions};
use paidup_simulator::standins::intercom::{Intercom, IntercomOptions};
use serde_json::{Value, json};
use std::time::Duration;

/// When every life begins.
pub(super) const FROM: &str = "2026-01-01T00:00:00Z";

/// Which of the three tables.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outlet {
    /// RevenueCat's webhooks: `format: revenuecat`.
    Webhook,
    /// RevenueCat's Discord integration.
    Discord,
    /// RevenueCat's Intercom integration, as of 2023-02.
    Intercom,
}

/// The end of the line: what keeps what came.
enum Ear {
    Webhook(Receiver),
    Discord(Discord),
    Intercom(Intercom),
}

/// What belongs to a column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    /// RevenueCat's name of the store, which is in webhooks.
    pub(super) store: &'static str,
    /// How its products' names begin: Discord's messages name no store.
    pub(super) products: &'static str,
}

/// What must be true at the end of a story.
pub(super) struct Expected<'a> {
    pub(super) column: Column,
    pub(super) event: &'static str,
    pub(super) told: &'a [&'a str],
}

/// The page's names with the sentences that the page has for them, as far as they are the same for every customer.
const SENTENCES: [(&str, &str); 9] = [
    ("Initial Purchase", "just started a subscription of"),
    ("Trial Started", "just started a free trial of"),
    ("Trial Converted", "just converted from a free trial of"),
    ("Trial Cancelled", "just cancelled their free trial of"),
    ("Renewal", "just renewed their subscription of"),
    ("Cancellation", "just cancelled their subscription of"),
    ("Non Subscription Purchase", "just purchased"),
    ("Billing Issue", "got a billing issue on"),
    ("Product Change", "got a product change from"),
];

/// A hub with one destination, and one clock for all.
pub(super) struct World {
    pub(super) hub: TestHub,
    clock: Clock,
    ear: Ear,
    destination: DestinationId,
}

impl World {
    pub(super) async fn new(outlet: Outlet) -> World {
        World::with(outlet, &[]).await
    }

    /// In a hub with these settings besides.
    pub(super) async fn with(outlet: Outlet, more: &[(&str, &str)]) -> World {
        let start = async |own: &[(&str, &str)]| TestHub::start_with(FROM, &[own, more].concat()).await;
        let clock = Clock::manual(at(FROM).as_millis());
        let (hub, ear, destination) = match outlet {
            Outlet::Webhook => {
                let receiver = Receiver::start().await;
                let config = json!({"url": receiver.url("/hook"), "format": "revenuecat"});
                let hub = start(&[("PAIDUP_TEMPORARY_ENTITLEMENT_HOURS", "24")]).await;
                (hub, Ear::Webhook(receiver), json!({"type": "webhook", "name": "receiver", "config": config}))
            }
            Outlet::Discord => {
                let options = DiscordOptions { clock: clock.clone(), ..DiscordOptions::default() };
                let discord = Discord::start(options).await.expect("a stand-in");
                let config = json!({"url": Discord::webhook_url(&discord.add_webhook(1))});
                let hub = start(&[("PAIDUP_DISCORD_API_URL", &discord.api_url())]).await;
                (hub, Ear::Discord(discord), json!({"type": "discord_webhook", "name": "channel", "config": config}))
            }
            Outlet::Intercom => {
                let options = IntercomOptions { clock: clock.clone(), ..IntercomOptions::default() };
                let intercom = Intercom::start(options).await.expect("a stand-in");
                let config = json!({"access_token": intercom.token()});
                let hub = start(&[("PAIDUP_INTERCOM_API_URL", &intercom.api_url())]).await;
                (hub, Ear::Intercom(intercom), json!({"type": "intercom", "name": "workspace", "config": config}))
            }
        };
        for product in ["pro_monthly", "pro_yearly"] {
            hub.map(product, &["pro"]).await;
        }
        let made = hub.api("POST", "/v1/destinations", destination).await.expect(201);
        let destination = made["id"].as_str().expect("an id").parse().expect("an id");
        World { hub, clock, ear, destination }
    }

    /// Says which of the products that unlock `pro` is more.
    pub(super) async fn rank(&self, product_id: &str, rank: i64) {
        let product = json!({"product_id": product_id, "entitlements": ["pro"], "rank": rank});
        self.hub.api("POST", "/v1/products", product).await.expect(201);
    }

    /// Plays a story in which Stripe sells.
    pub(super) async fn in_shop(self, story: impl AsyncFnOnce(&Shop)) -> World {
        let shop = Shop::around(self.hub, Shape::New, json!({})).await;
        story(&shop).await;
        World { hub: shop.hub, ..self }
    }

    /// A world in which Google Play sells, after that story.
    pub(super) async fn in_play(outlet: Outlet, story: impl AsyncFnOnce(&play::Shop)) -> World {
        let google = play::Google::start().await;
        let settings = google.settings();
        let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let world = World::with(outlet, &settings).await;
        let shop = play::Shop::around(world.hub, google, json!({})).await;
        story(&shop).await;
        World { hub: shop.hub, clock: world.clock, ear: world.ear, destination: world.destination }
    }

    /// Moves the hub's clock and the stand-in's on.
    fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.hub.clock.advance(by);
    }

    /// The hub's time.
    pub(super) fn now(&self) -> Timestamp {
        self.hub.hub.clock().now()
    }

    /// Lets time pass once all is told, so that no answer is under way for days.
    pub(super) async fn pass_until(&self, moment: Timestamp) {
        self.settled().await;
        self.advance(moment.since(self.now()));
    }

    /// Waits until an event of that type happened.
    pub(super) async fn until(&self, event: &str) {
        self.hub.until(event, async |hub| hub.types().await.iter().any(|one| one == event).then_some(())).await;
    }

    /// Waits until the destination has nothing left to do: every event is settled, or was parked (an answer took long by the
    /// hub's clock) and is settled since. Moves the clock on for what is settled by it.
    async fn settled(&self) {
        let done = async |hub: &TestHub| {
            let path = format!("/v1/destinations/{}", self.destination);
            let parked = async || hub.hub.store().parked(self.destination, 1).await.expect("rows");
            if hub.get(&path).await["behind"] == 0 && parked().await.is_empty() {
                return Some(());
            }
            self.advance(Duration::from_secs(1));
            None
        };
        self.hub.until("everything to be settled", done).await;
    }

    /// What the outlet got, in order.
    fn told(&self, column: Column) -> Vec<String> {
        match &self.ear {
            Ear::Webhook(receiver) => {
                receiver.requests().iter().filter_map(|request| of_webhook(&request.body["event"], column)).collect()
            }
            Ear::Discord(discord) => {
                let messages = discord.messages();
                let embeds =
                    messages.iter().flat_map(|message| message.body["embeds"].as_array().into_iter().flatten());
                embeds.filter_map(|embed| of_discord(embed, column)).collect()
            }
            Ear::Intercom(intercom) => {
                let of_column = intercom.events().into_iter().filter(|event| event.metadata["store"] == column.store);
                of_column.map(|event| event.name).collect()
            }
        }
    }

    /// These canonical events happened, in order, money left out; nothing else. The journal folds to the same.
    pub(super) async fn tells(self, expected: &[&str]) {
        let types = async |hub: &TestHub| {
            let types = hub.types().await;
            types.into_iter().filter(|event| event != "TRANSACTION_PROCESSED").collect::<Vec<_>>()
        };
        self.hub.until("all events", async |hub| (types(hub).await.len() >= expected.len()).then_some(())).await;
        self.settled().await;
        assert_eq!(types(&self.hub).await, expected);
        self.hub.check_rebuild().await;
        self.hub.stop().await;
    }

    /// Money that moved: how much in minor units, and by which transaction.
    pub(super) async fn money(&self) -> Vec<(i64, String)> {
        let mut events = self.hub.events().await;
        events.reverse();
        let moved = events.iter().filter(|event| event["type"] == "TRANSACTION_PROCESSED");
        let of = |event: &Value| {
            let transaction = &event["transaction"];
            let amount = transaction["amount_minor"].as_i64().expect("an amount");
            (amount, transaction["id"].as_str().expect("an id").to_owned())
        };
        moved.map(of).collect()
    }

    pub(super) async fn stop(self) {
        self.hub.stop().await;
    }

    pub(super) async fn ends_with(self, expected: Expected<'_>) {
        self.until(expected.event).await;
        self.settled().await;
        let told = self.told(expected.column);
        assert_eq!(told, expected.told, "of {:?}", self.hub.types().await);
        match &self.ear {
            Ear::Webhook(_) => {}
            Ear::Discord(discord) => {
                let report = discord.report();
                assert_eq!((report.refused, report.violations), (0, Vec::new()), "{:?}", report.refusals);
            }
            Ear::Intercom(intercom) => assert_eq!(intercom.report().violations, Vec::<String>::new()),
        }
        self.hub.stop().await;
    }
}

/// A webhook's type, with its reason where it has one (`CANCELLATION/UNSUBSCRIBE`), if it is of that column. A test of the
/// line is of no store.
fn of_webhook(event: &Value, column: Column) -> Option<String> {
    let text = |name: &str| event[name].as_str();
    let name = text("type").expect("a type");
    let reason = text("cancel_reason").or(text("expiration_reason"));
    let told = reason.map_or_else(|| name.to_owned(), |reason| format!("{name}/{reason}"));
    (name == "TEST" || event["store"] == column.store).then_some(told)
}

/// A message's name by its sentence, if it is of that column. One with another sentence stands for itself.
fn of_discord(embed: &Value, column: Column) -> Option<String> {
    let text = embed["description"].as_str().expect("a sentence").replace(['\\', '`', '*'], "");
    let name = SENTENCES.iter().find(|(_, sentence)| text.contains(&format!(" {sentence} {}", column.products)));
    let is_of_column = name.is_some() || text.contains(column.products);
    is_of_column.then(|| name.map_or(text.clone(), |(name, _)| (*name).to_owned()))
}
