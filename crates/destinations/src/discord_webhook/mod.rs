//! A channel in Discord, through a webhook that the user made there (contract.md, Discord webhook destination).
//!
//! Which messages there are and what they say is in `texts.rs` and `template.rs`, how they look in `message.rs` and `embed.rs`,
//! how many go into one in `coalesce.rs`, what Discord's answers mean in `verdict.rs`, its limits in `budget.rs`. Roles, slash
//! commands and posting as a bot are another kind (`discord_bot`).
//! <https://discord.com/developers/docs/resources/webhook#execute-webhook>

pub mod budget;
mod coalesce;
mod embed;
mod markdown;
mod message;
mod template;
mod texts;
mod verdict;
mod wire;

use crate::settings::{ReactivationAs, fault, read, unknown};
use crate::{
    Answer, BudgetGuess, BudgetHint, BudgetKey, Conversation, Definition, Destination, LoggedEvent, Memory, Moment,
    Pace, Poison, Reason, SettingsError, Step, Upstreams, Verdict,
};
use bytes::Bytes;
use message::Look;
use paidup_lifecycle::dialects::revenuecat::Options;
use paidup_lifecycle::event::Event;
use paidup_lifecycle::filter::Filter;
use paidup_lifecycle::observation::{Environment, Store};
use paidup_lifecycle::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
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
    by_customer: |_| false,
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
    /// A thread of the channel to post in; needed for forum channels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
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

struct DiscordWebhook {
    target: Target,
    sender: Sender,
    look: Look,
}

fn prepare(raw: &RawValue, _entropy: &[u8; 32]) -> Result<Box<RawValue>, SettingsError> {
    let settings: Settings = read(raw)?;
    look(&settings, "")?;
    Sender::new(&settings)?;
    serde_json::value::to_raw_value(&settings).map_err(|_| fault("", "the settings cannot be written as JSON"))
}

fn open(raw: &RawValue, upstreams: &Upstreams) -> Result<Box<dyn Destination>, SettingsError> {
    let settings: Settings = read(raw)?;
    Ok(Box::new(DiscordWebhook {
        target: Target::new(&settings, upstreams)?,
        sender: Sender::new(&settings)?,
        look: look(&settings, &upstreams.public_url)?,
    }))
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
        _memory: &Memory,
        moment: Moment,
    ) -> Result<Box<dyn Conversation>, Poison> {
        let notices: Vec<_> = events.iter().flat_map(|logged| self.look.notices(&logged.event)).collect();
        let request = if notices.is_empty() {
            None
        } else {
            let parts = coalesce::parts(&self.look, &notices, events.len(), moment.waiting);
            Some(self.target.request(&self.sender.body(&parts))?)
        };
        Ok(Box::new(Execution {
            request,
            webhook: self.target.id().to_owned(),
            attempt: moment.attempt,
            now: moment.now,
            judged: None,
        }))
    }

    fn skips(&self, event: &LoggedEvent) -> Option<Reason> {
        let event: &Event = &event.event;
        self.look.notices(event).is_empty().then(|| {
            Reason(if event.environment == Environment::Sandbox && self.look.sandbox == Sandbox::Hide {
                "sandbox events are not posted".to_owned()
            } else {
                format!("no message is switched on for {} here", event.event_type)
            })
        })
    }

    fn pace(&self) -> Pace {
        Pace { concurrency: 1, coalesces: coalesce::MAX_EVENTS, timeout: TIMEOUT, settle_each: true }
    }

    fn credentials(&self) -> Vec<&str> {
        vec![self.target.token()]
    }

    fn budgets(&self) -> Vec<BudgetGuess> {
        budget::guesses(self.target.id())
    }
}

/// One execution of the webhook.
struct Execution {
    /// `None`: there is nothing to say.
    request: Option<http::Request<Bytes>>,
    webhook: String,
    attempt: u32,
    now: Timestamp,
    /// The verdict, while the hub is told what the answer says of budgets.
    judged: Option<Verdict>,
}

impl Execution {
    fn budgets(&self) -> Vec<BudgetKey> {
        vec![budget::global(), budget::webhook(&self.webhook), budget::channel_of(&self.webhook)]
    }
}

impl Conversation for Execution {
    fn next(&mut self, answer: Option<&Answer>) -> Step {
        if let Some(verdict) = self.judged.take() {
            return Step::Finish(verdict);
        }
        let Some(answer) = answer else {
            return match self.request.clone() {
                Some(request) => Step::Call { request, budgets: self.budgets() },
                None => Step::Finish(Verdict::Skip(Reason("no message is switched on for these events".to_owned()))),
            };
        };
        let (hints, verdict): (Vec<BudgetHint>, Verdict) = verdict::of(answer, &self.webhook, self.attempt, self.now);
        if hints.is_empty() {
            return Step::Finish(verdict);
        }
        self.judged = Some(verdict);
        Step::Learn(hints)
    }
}
