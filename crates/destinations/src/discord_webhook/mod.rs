//! A channel in Discord, through a webhook that the user made there (contract.md, Discord webhook destination).
//!
//! Which messages there are and what they say is in `texts.rs` and `template.rs`, how they look in `message.rs` and `embed.rs`,
//! how many go into one in `coalesce.rs`, one for each purchase in `follow.rs`. `posting.rs` is a delivery, `notes.rs` what it
//! remembers, `verdict.rs` what Discord's answers mean, `budget.rs` its limits. Roles, slash commands and posting as a bot are
//! another kind (`discord_bot`).
//! <https://discord.com/developers/docs/resources/webhook#execute-webhook>

pub mod budget;
mod coalesce;
mod embed;
mod follow;
mod markdown;
mod message;
mod notes;
mod posting;
mod template;
mod texts;
mod verdict;
mod wire;

use crate::settings::{ReactivationAs, fault, read, unknown};
use crate::{
    About, BudgetGuess, Conversation, Definition, Destination, LoggedEvent, Memory, Moment, Pace, Poison, Reason,
    SettingsError, Together, Upstreams,
};
use message::Look;
use notes::Notes;
use paidup_lifecycle::alert::is_alert;
use paidup_lifecycle::dialects::revenuecat::Options;
use paidup_lifecycle::event::{Event, EventType};
use paidup_lifecycle::filter::Filter;
use paidup_lifecycle::observation::{Environment, Store};
use posting::{Draft, Followed, Nothing, Place, Posting, When};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use template::Template;
use texts::Topic;
use wire::{Sender, Target};

/// A Discord channel, by webhook.
pub const DEFINITION: Definition = Definition {
    kind: "discord_webhook",
    title: "Discord webhook",
    setup: include_str!("setup.md"),
    settings_schema: || schemars::schema_for!(Settings),
    // The URL holds the token, which is the credential.
    secrets: &["url"],
    prepare,
    open,
    default_filter: || Filter { environments: vec![Environment::Production], ..Filter::default() },
    rotate: None,
    // In a customer's post everything stands in order.
    by_customer: |raw| read::<Settings>(raw).is_ok_and(|settings| settings.post_per == Some(PostPer::Customer)),
};

/// A webhook has nothing that makes a retry harmless, so an answer is given time: giving up early doubles messages.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Settings of a Discord webhook destination.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The webhook's URL as Discord shows it (channel settings, Integrations, Webhooks).
    pub url: String,
    /// Which messages are sent, by event: RevenueCat's nine are on unless switched off here, `EXPIRATION` and every
    /// canonical event (`SUBSCRIPTION_PAUSED`, ...) can be switched on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub messages: BTreeMap<String, MessageSettings>,
    /// How a message looks.
    #[serde(default)]
    pub style: Style,
    /// What happens with sandbox events that the filter lets through.
    #[serde(default)]
    pub sandbox: Sandbox,
    /// How a customer is named.
    #[serde(default)]
    pub privacy: Privacy,
    /// Which amount is shown.
    #[serde(default)]
    pub revenue: Revenue,
    /// For `revenue: proceeds`: what each store keeps of the price (commission and tax), as a fraction from 0 to 1, e.g.
    /// `{"APP_STORE": 0.15}`. A store that is not listed shows the gross amount and says so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub commission: BTreeMap<String, f64>,
    /// How the return of a lapsed customer is told; `renewal` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reactivation_as: Option<ReactivationAs>,
    /// What is told of a failed charge, for which RevenueCat's integration has two messages.
    #[serde(default)]
    pub billing_issues: BillingIssues,
    /// Whether everything that happens is a new message, or each purchase has one that is edited as its life goes on.
    #[serde(default)]
    pub updates: Updates,
    /// A thread of the channel, or a post of the forum, to post in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// For forum channels: a post for each customer, or for each day (UTC), made with its first message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_per: Option<PostPer>,
    /// Tags of these posts: ids, at most 5. Some forums ask for one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applied_tags: Vec<String>,
    /// The sender's name; absent: the webhook's own (with style `revenuecat_embed`: `RevenueCat`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The sender's picture; absent: the webhook's own (with style `revenuecat_embed`: RevenueCat's).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageSettings {
    /// Whether it is sent.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Its text: Discord markup with `{{variables}}`. Blank: the default text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

const fn yes() -> bool {
    true
}

/// How a message looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Style {
    /// Title, sentence, product, revenue, store, reason, dates, link to the customer.
    #[default]
    Default,
    /// As RevenueCat's integration looks.
    RevenuecatEmbed,
    /// The text alone, without an embed: one line.
    Text,
}

/// What happens with sandbox events that the filter lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sandbox {
    /// They are marked.
    #[default]
    Badge,
    /// They are not posted.
    Hide,
}

/// How a customer is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Privacy {
    /// By the id that the app uses.
    #[default]
    Full,
    /// By the last 8 characters of our own id, which say nothing about the person.
    ShortId,
}

/// Which amount is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Revenue {
    /// What the customer paid.
    #[default]
    Gross,
    /// What is left after the store's share (`commission`).
    Proceeds,
    /// None.
    Hide,
}

/// What is told of a failed charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BillingIssues {
    /// `BILLING_ISSUE` and `CANCELLATION`, as RevenueCat's integration does.
    #[default]
    Both,
    /// One message for one cause: `BILLING_ISSUE`, if it is switched on.
    Collapse,
}

/// What becomes of a message when more happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Updates {
    /// Everything is a new message.
    #[default]
    Post,
    /// One message for each purchase: its state, what happened last, and a short history. Events that have no message of
    /// their own change it too.
    Edit,
}

/// Whose posts a forum has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PostPer {
    /// Each customer has one.
    Customer,
    /// Each day has one.
    Day,
}

/// Most tags of a post.
const MAX_TAGS: usize = 5;
/// What a day's post is remembered under: it is about nobody.
const ABOUT_THE_DAY: About = About(*b"discord/day-post");

struct DiscordWebhook {
    target: Arc<Target>,
    sender: Sender,
    look: Look,
    updates: Updates,
    post_per: Option<PostPer>,
    tags: Vec<String>,
}

fn prepare(raw: &RawValue, _entropy: &[u8; 32]) -> Result<Box<RawValue>, SettingsError> {
    let settings: Settings = read(raw)?;
    look(&settings, "")?;
    posts(&settings)?;
    Sender::new(&settings)?;
    serde_json::value::to_raw_value(&settings).map_err(|_| fault("", "the settings cannot be written as JSON"))
}

fn open(raw: &RawValue, upstreams: &Upstreams) -> Result<Box<dyn Destination>, SettingsError> {
    let settings: Settings = read(raw)?;
    posts(&settings)?;
    Ok(Box::new(DiscordWebhook {
        target: Arc::new(Target::new(&settings, upstreams)?),
        sender: Sender::new(&settings)?,
        look: look(&settings, &upstreams.public_url)?,
        updates: settings.updates,
        post_per: settings.post_per,
        tags: settings.applied_tags,
    }))
}

/// Whether the settings about posts fit together.
fn posts(settings: &Settings) -> Result<(), SettingsError> {
    if settings.post_per == Some(PostPer::Day) && settings.updates == Updates::Edit {
        return Err(fault("/updates", "`edit` would change messages in the posts of days long past; use `post`"));
    }
    if settings.post_per.is_none() && !settings.applied_tags.is_empty() {
        return Err(fault("/applied_tags", "only posts that are made here have tags: set `post_per` too"));
    }
    if settings.applied_tags.len() > MAX_TAGS || !settings.applied_tags.iter().all(|tag| wire::is_id(tag)) {
        return Err(fault("/applied_tags", format!("must be at most {MAX_TAGS} ids of 1 to 20 digits")));
    }
    Ok(())
}

fn look(settings: &Settings, public_url: &str) -> Result<Look, SettingsError> {
    let mut dialect = Options::discord();
    if let Some(chosen) = settings.reactivation_as {
        dialect.reactivation_as = chosen.into();
    }
    Ok(Look {
        style: settings.style,
        sandbox: settings.sandbox,
        privacy: settings.privacy,
        revenue: settings.revenue,
        billing_issues: settings.billing_issues,
        commission: commission(settings)?,
        dialect,
        topics: topics(settings)?,
        public_url: wire::linkable(public_url),
    })
}

/// The topics that are on: the defaults, as changed by the settings.
fn topics(settings: &Settings) -> Result<BTreeMap<Topic, Option<Template>>, SettingsError> {
    let mut topics: BTreeMap<Topic, Option<Template>> =
        Topic::all().filter(|topic| topic.is_on_by_default()).map(|topic| (topic, None)).collect();
    for (name, message) in &settings.messages {
        let pointer = format!("/messages/{}", name.replace('~', "~0").replace('/', "~1"));
        let Some(topic) = Topic::parse(name) else {
            let known: Vec<&str> = Topic::all().map(Topic::as_str).collect();
            return Err(fault(pointer, unknown("event", name, &known)));
        };
        let text = message.text.as_deref().filter(|text| !text.trim().is_empty());
        let template =
            text.map(Template::parse).transpose().map_err(|detail| fault(format!("{pointer}/text"), detail))?;
        if message.enabled {
            topics.insert(topic, template);
        } else {
            topics.remove(&topic);
        }
    }
    Ok(topics)
}

/// Fractions as millionths.
fn commission(settings: &Settings) -> Result<BTreeMap<Store, u32>, SettingsError> {
    let mut shares = BTreeMap::new();
    for (name, share) in &settings.commission {
        let pointer = format!("/commission/{}", name.replace('~', "~0").replace('/', "~1"));
        let Ok(store) = name.parse::<Store>() else {
            let known: Vec<&str> = Store::ALL.iter().map(|store| store.as_str()).collect();
            return Err(fault(pointer, unknown("store", name, &known)));
        };
        if !(0.0..=1.0).contains(share) {
            return Err(fault(pointer, "must be a fraction from 0 to 1, e.g. 0.15"));
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // from 0 to 1,000,000
        shares.insert(store, (share * 1_000_000.0).round() as u32);
    }
    Ok(shares)
}

impl Destination for DiscordWebhook {
    fn deliver(
        &self,
        events: &[LoggedEvent],
        memory: &Memory,
        moment: Moment,
    ) -> Result<Box<dyn Conversation>, Poison> {
        let Some(first) = events.first() else { return Ok(Box::new(Nothing("there is no event"))) };
        let mut notes = Notes::read(memory, self.target.id());
        if self.post_per == Some(PostPer::Day) {
            notes = notes.on(day(moment));
        }
        let drafted = if self.follows(&first.event) {
            self.drafted_for_purchase(events, &notes, moment)
        } else {
            self.drafted(events, moment)
        };
        let draft = match drafted {
            Ok(draft) => draft,
            Err(nothing) => return Ok(Box::new(nothing)),
        };
        let when = When { now: moment.now, attempt: moment.attempt };
        Ok(Box::new(Posting::new(Arc::clone(&self.target), draft, notes, when)?))
    }

    fn skips(&self, event: &LoggedEvent) -> Option<Reason> {
        let event: &Event = &event.event;
        let is_hidden = event.environment == Environment::Sandbox && self.look.sandbox == Sandbox::Hide;
        if is_hidden {
            return Some(Reason("sandbox events are not posted".to_owned()));
        }
        let changes = self.updates == Updates::Edit && follow::changes_the_message(event.event_type);
        (!changes && self.look.notices(event).is_empty())
            .then(|| Reason(format!("no message is switched on for {} here", event.event_type)))
    }

    fn pace(&self) -> Pace {
        Pace { concurrency: 1, coalesces: coalesce::MAX_EVENTS, timeout: TIMEOUT, settle_each: true }
    }

    fn about(&self, event: &Event) -> About {
        match (self.post_per, self.updates) {
            (Some(PostPer::Customer), _) => About(event.customer.id.0),
            (None, Updates::Edit) => About(event.purchase.id.0),
            (Some(PostPer::Day), _) | (None, Updates::Post) => ABOUT_THE_DAY,
        }
    }

    fn together(&self) -> Option<Together> {
        match (self.updates, self.post_per) {
            (Updates::Edit, _) => Some(|first, other| {
                // Tests are no part of a purchase's life.
                let is_test = |event: &Event| event.event_type == EventType::Test;
                first.purchase.id == other.purchase.id && is_test(first) == is_test(other)
            }),
            (Updates::Post, Some(PostPer::Customer)) => Some(|first, other| first.customer.id == other.customer.id),
            (Updates::Post, Some(PostPer::Day) | None) => None,
        }
    }

    fn credentials(&self) -> Vec<&str> {
        vec![self.target.token()]
    }

    fn budgets(&self) -> Vec<BudgetGuess> {
        budget::guesses(self.target.id(), self.updates == Updates::Edit)
    }
}

impl DiscordWebhook {
    /// Whether the event belongs into the one message of its purchase. What is about no purchase is told anew each time: nobody
    /// is shown that a message was edited.
    fn follows(&self, event: &Event) -> bool {
        self.updates == Updates::Edit && event.event_type != EventType::Test && !is_alert(event.event_type)
    }

    /// A message of its own for these events.
    fn drafted(&self, events: &[LoggedEvent], moment: Moment) -> Result<Draft, Nothing> {
        let notices: Vec<_> = events.iter().flat_map(|logged| self.look.notices(&logged.event)).collect();
        let first = events.first().filter(|_| !notices.is_empty());
        let first = first.ok_or(Nothing("no message is switched on for these events"))?;
        // What waits for others, in other posts, is no pressure here.
        let waiting = if self.together().is_some() { 0 } else { moment.waiting };
        let parts = coalesce::parts(&self.look, &notices, events.len(), waiting);
        Ok(Draft { body: self.sender.body(&parts), place: self.place(&first.event, moment), followed: None })
    }

    /// The message of the purchase that these events are about, as it is after them.
    fn drafted_for_purchase(&self, events: &[LoggedEvent], notes: &Notes, moment: Moment) -> Result<Draft, Nothing> {
        let (Some(first), Some(last)) = (events.first(), events.last()) else {
            return Err(Nothing("there is no event"));
        };
        let purchase = first.event.purchase.id.to_string();
        let told = notes.told(&purchase);
        let shown = told.map_or(0, |told| told.seq);
        if last.event.seq < shown {
            return Err(Nothing("the purchase's message shows something newer"));
        }
        // The same once more is told once more: nothing changes by it.
        let is_news = |event: &&Event| event.seq > shown || last.event.seq == shown;
        let news: Vec<&Event> = events.iter().map(|logged| &*logged.event).filter(is_news).collect();
        let chapter = follow::chapter(&self.look, &news, told);
        let chapter = chapter.ok_or(Nothing("nothing is switched on that would begin a message"))?;
        let parts = chapter.parts(&self.look);
        let edited = Sender::edited(&parts);
        Ok(Draft {
            body: self.sender.body(&parts),
            place: self.place(&last.event, moment),
            followed: Some(Followed { purchase, edited, seq: chapter.seq, lines: chapter.lines }),
        })
    }

    fn place(&self, event: &Event, moment: Moment) -> Place {
        let title = match self.post_per {
            None => return Place::Channel,
            Some(PostPer::Customer) => markdown::title(&self.look.customer_label(event)),
            Some(PostPer::Day) => day(moment),
        };
        Place::Post { title, tags: self.tags.clone() }
    }
}

/// The day, in UTC, e.g. `2026-03-05`.
fn day(moment: Moment) -> String {
    let text = moment.now.to_rfc3339_seconds();
    text.split('T').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::template::Variable;
    use super::*;

    /// The page for operators says what there is.
    #[test]
    fn every_setting_variable_and_default_text_is_on_the_page() {
        let page = include_str!("../../../../docs/destinations/discord.md");
        let has = |name: &str| page.contains(&format!("`{name}`"));
        let schema = serde_json::to_value((DEFINITION.settings_schema)()).unwrap();
        for setting in schema["properties"].as_object().unwrap().keys() {
            assert!(has(setting), "{setting}");
        }
        for variable in Variable::ALL {
            assert!(has(variable.as_str()), "{}", variable.as_str());
        }
        for topic in
            Topic::all().filter(|topic| topic.is_on_by_default() && *topic != Topic::Canonical(EventType::Test))
        {
            assert!(page.contains(&format!("| `{topic}` | `{}` |", texts::words(topic).text)), "{topic}");
        }
    }
}
