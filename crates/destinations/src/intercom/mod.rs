//! Contacts and events in an Intercom workspace, as RevenueCat's integration leaves them there (contract.md, Intercom
//! destination), under API version 2.14.
//!
//! What is told of an event is in `event.rs`, what a contact shows in `attributes.rs`, who it is in `contact.rs`; the order of
//! calls is in `delivery.rs`, what answers mean in `verdict.rs`, what is remembered in `notes.rs`, requests in `api.rs`, and the
//! look at the set-up in `check.rs`. Conversations, companies and Intercom's own webhooks are none of its business; neither
//! is getting a token (OAuth), which the hub does.
//! <https://www.revenuecat.com/docs/integrations/third-party-integrations/intercom>

mod api;
mod attributes;
mod check;
mod connect;
mod contact;
mod delivery;
mod event;
mod notes;
#[cfg(test)]
mod tests;
mod text;
mod verdict;

pub use api::Region;
pub use attributes::EntitlementChoice;
pub use connect::CONNECTOR;
pub use contact::{Anonymous, MatchBy, MissingContact};

use crate::settings::{ReactivationAs, fault, read, unknown};
use crate::{
    Answer, BudgetGuess, Check, Conversation, Definition, Destination, LoggedEvent, Memory, Moment, Pace, Poison,
    Reason, Refresh, SettingsError, Step, Upstreams, Verdict,
};
use api::Api;
use attributes::{Painter, changes_contact};
use bytes::Bytes;
use check::SetUpCheck;
use contact::{Person, Rules};
use delivery::{Delivery, Task};
use event::{Occurrence, Telling, default_name};
use http::{Request, StatusCode};
use paidup_lifecycle::dialects::revenuecat::{IntegrationEvent, Options, Outlet};
use paidup_lifecycle::entitlement::view_of;
use paidup_lifecycle::event::EventType;
use paidup_lifecycle::filter::Filter;
use paidup_lifecycle::observation::{Environment, Store};
use paidup_lifecycle::sample;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use text::MAX_TEXT;
use url::Url;

/// Contacts and events in an Intercom workspace.
pub const DEFINITION: Definition = Definition {
    kind: "intercom",
    title: "Intercom",
    setup: include_str!("setup.md"),
    settings_schema: || schemars::schema_for!(Settings),
    secrets: &["access_token"],
    prepare,
    open,
    default_filter: || Filter { environments: vec![Environment::Production], ..Filter::default() },
    // A contact is one thing, and the second of an event depends on the one before it.
    rotate: None,
    by_customer: |_| true,
};

/// Everything may be repeated without harm, so a slow answer need not be waited for.
const TIMEOUT: Duration = Duration::from_secs(20);
/// With some 200 ms for a call and two to three calls for an event this is half of what Intercom allows.
const CONCURRENCY: usize = 8;
/// A contact is waited for this long after its event; then the event is passed over. Less than the hub's own patience, after
/// which a destination that takes nothing counts as down.
const WAIT_FOR: Duration = Duration::from_secs(72 * 3600);
/// Longest name of a custom attribute.
const MAX_ATTRIBUTE: usize = 190;

/// Settings of an Intercom destination.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The access token of your app (Developer Hub, Configure, Authentication).
    pub access_token: String,
    /// Where the workspace's data is kept.
    #[serde(default)]
    pub region: Region,
    /// Which events are told, and under which names. All ten are, unless switched off here: `INITIAL_PURCHASE`,
    /// `TRIAL_STARTED`, `TRIAL_CONVERTED`, `TRIAL_CANCELLED`, `RENEWAL`, `CANCELLATION`, `NON_SUBSCRIPTION_PURCHASE`,
    /// `EXPIRATION`, `BILLING_ISSUE`, `PRODUCT_CHANGE`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub events: BTreeMap<String, EventSettings>,
    /// What happens when the customer has no contact.
    #[serde(default)]
    pub missing_contact: MissingContact,
    /// What happens with customers whom nobody has identified.
    #[serde(default)]
    pub anonymous: Anonymous,
    /// By what the contact of a customer is found.
    #[serde(default)]
    pub match_by: MatchBy,
    /// With `match_by: attribute`: the custom attribute that holds the id that the app uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub match_attribute: Option<String>,
    /// Which entitlement is told where a product unlocks several.
    #[serde(default)]
    pub entitlement: EntitlementChoice,
    /// How the return of a lapsed customer is told; `initial_purchase` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reactivation_as: Option<ReactivationAs>,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventSettings {
    /// Whether it is told.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Its name at Intercom. Blank: RevenueCat's, such as `rc_renewal_event`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

const fn yes() -> bool {
    true
}

/// What all deliveries to one workspace share. No `Debug`: it holds the token.
struct Desk {
    api: Api,
    region: Region,
    /// The operator pointed Intercom elsewhere: the region says nothing.
    elsewhere: bool,
    rules: Rules,
    missing: MissingContact,
    telling: Telling,
    painter: Painter,
}

impl Desk {
    fn new(settings: &Settings, upstreams: Option<&Upstreams>) -> Result<Desk, SettingsError> {
        let elsewhere = upstreams.and_then(|upstreams| upstreams.intercom_api.as_deref());
        let mut dialect = Options::intercom();
        if let Some(chosen) = settings.reactivation_as {
            dialect.reactivation_as = chosen.into();
        }
        let public_url = upstreams.and_then(|upstreams| linkable(&upstreams.public_url));
        Ok(Desk {
            api: Api::new(&settings.access_token, settings.region, elsewhere)?,
            region: settings.region,
            elsewhere: elsewhere.is_some(),
            rules: rules(settings)?,
            missing: settings.missing_contact,
            telling: Telling { names: names(settings)?, dialect, entitlement: settings.entitlement },
            painter: Painter { entitlement: settings.entitlement, public_url },
        })
    }

    /// The verdict without the token, should an answer have repeated it.
    fn masked(&self, verdict: Verdict) -> Verdict {
        let masked = |reason: Reason| Reason(self.api.masked(&reason.0));
        match verdict {
            Verdict::Delivered => Verdict::Delivered,
            Verdict::Retry { after, counts, reason } => Verdict::Retry { after, counts, reason: masked(reason) },
            Verdict::GiveUp(reason) => Verdict::GiveUp(masked(reason)),
            Verdict::SwitchOff(reason) => Verdict::SwitchOff(masked(reason)),
            Verdict::Skip(reason) => Verdict::Skip(masked(reason)),
        }
    }

    /// An event as it would be told, for the look at the set-up.
    fn sample(&self) -> Option<Occurrence> {
        let samples = EventType::ALL.iter().map(|told| sample::event(*told, Store::AppStore));
        samples.flat_map(|event| self.telling.occurrences(&event)).next()
    }
}

fn prepare(raw: &RawValue, _entropy: &[u8; 32]) -> Result<Box<RawValue>, SettingsError> {
    let settings: Settings = read(raw)?;
    Desk::new(&settings, None)?;
    serde_json::value::to_raw_value(&settings).map_err(|_| fault("", "the settings cannot be written as JSON"))
}

fn open(raw: &RawValue, upstreams: &Upstreams) -> Result<Box<dyn Destination>, SettingsError> {
    Ok(Box::new(Intercom { desk: Arc::new(Desk::new(&read(raw)?, Some(upstreams))?) }))
}

/// The events that are on, with their names.
fn names(settings: &Settings) -> Result<BTreeMap<IntegrationEvent, String>, SettingsError> {
    let on = IntegrationEvent::ALL.iter().filter(|event| event.is_on_by_default(Outlet::Intercom));
    let mut names: BTreeMap<_, _> = on.map(|event| (*event, default_name(*event).to_owned())).collect();
    for (name, chosen) in &settings.events {
        let pointer = format!("/events/{}", name.replace('~', "~0").replace('/', "~1"));
        let Ok(event) = name.parse::<IntegrationEvent>() else {
            let known: Vec<&str> = IntegrationEvent::ALL.iter().map(|event| event.as_str()).collect();
            return Err(fault(pointer, unknown("event", name, &known)));
        };
        let own = chosen.name.as_deref().map(str::trim).filter(|own| !own.is_empty());
        if own.is_some_and(|own| own.chars().count() > MAX_TEXT || own.chars().any(char::is_control)) {
            let detail = format!("at most {MAX_TEXT} characters, and no control characters");
            return Err(fault(format!("{pointer}/name"), detail));
        }
        if chosen.enabled {
            names.insert(event, own.unwrap_or(default_name(event)).to_owned());
        } else {
            names.remove(&event);
        }
    }
    Ok(names)
}

fn rules(settings: &Settings) -> Result<Rules, SettingsError> {
    let attribute = settings.match_attribute.as_deref().map(str::trim).unwrap_or_default();
    let fits = |one: char| !one.is_control() && one != '.' && one != '$';
    match settings.match_by {
        MatchBy::Attribute if attribute.is_empty() => {
            return Err(fault("/match_attribute", "needed with `match_by: attribute`: the name of a custom attribute"));
        }
        MatchBy::Attribute if attribute.chars().count() > MAX_ATTRIBUTE || !attribute.chars().all(fits) => {
            let detail =
                format!("no name of a custom attribute: at most {MAX_ATTRIBUTE} characters, without `.` and `$`");
            return Err(fault("/match_attribute", detail));
        }
        MatchBy::ExternalId | MatchBy::Email if !attribute.is_empty() => {
            return Err(fault("/match_attribute", "only used with `match_by: attribute`"));
        }
        MatchBy::ExternalId | MatchBy::Email | MatchBy::Attribute => {}
    }
    Ok(Rules { anonymous: settings.anonymous, match_by: settings.match_by, attribute: attribute.to_owned() })
}

/// The hub's address without a slash at the end, when it is one that a browser opens and that leaves room in an attribute.
fn linkable(public_url: &str) -> Option<String> {
    let url = Url::parse(public_url).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let text = url.as_str().trim_end_matches('/').to_owned();
    (text.len() <= MAX_TEXT - 50).then_some(text)
}

/// A conversation that is over before it begins.
struct Nothing(Reason);

impl Conversation for Nothing {
    fn next(&mut self, _: Option<&Answer>) -> Step {
        Step::Finish(Verdict::Skip(self.0.clone()))
    }
}

/// An opened Intercom destination.
struct Intercom {
    desk: Arc<Desk>,
}

impl Destination for Intercom {
    fn deliver(
        &self,
        events: &[LoggedEvent],
        memory: &Memory,
        moment: Moment,
    ) -> Result<Box<dyn Conversation>, Poison> {
        // It never coalesces.
        let [logged] = events else { return Err(Poison("events are told one by one".to_owned())) };
        let event = &logged.event;
        let person = Person::of(&event.customer, &self.desk.rules).map_err(|reason| Poison(reason.0))?;
        let told = self.desk.telling.occurrences(event);
        let missing = match self.desk.missing {
            MissingContact::Wait if moment.now.since(event.detected_at) >= WAIT_FOR => MissingContact::Skip,
            chosen @ (MissingContact::Create | MissingContact::Wait | MissingContact::Skip) => chosen,
        };
        let task = Task {
            person,
            picture: self.desk.painter.of_event(event),
            // Nobody becomes a contact only to be shown to have nothing.
            missing: (!told.is_empty()).then_some(missing),
            told: (!told.is_empty()).then_some((event.id, told)),
        };
        Ok(Box::new(Delivery::new(Arc::clone(&self.desk), task, memory, moment.now)))
    }

    fn skips(&self, event: &LoggedEvent) -> Option<Reason> {
        let event = &event.event;
        if !changes_contact(event.event_type) && !self.desk.telling.tells(event) {
            return Some(Reason(format!("nothing is told of {} here", event.event_type)));
        }
        Person::of(&event.customer, &self.desk.rules).err()
    }

    fn pace(&self) -> Pace {
        Pace { concurrency: CONCURRENCY, coalesces: 1, timeout: TIMEOUT, settle_each: true }
    }

    /// Contacts are written as they should be, and of two events with the same name, person and second one is ignored.
    fn tells_repeats(&self) -> bool {
        true
    }

    fn check(&self, moment: Moment) -> Option<Box<dyn Check>> {
        Some(Box::new(SetUpCheck::new(Arc::clone(&self.desk), self.desk.sample(), moment.now)))
    }

    fn refresh(&self, of: &Refresh<'_>, memory: &Memory, moment: Moment) -> Option<Box<dyn Conversation>> {
        let picture = self.desk.painter.of_customer(of.customer, of.environment);
        let person = match Person::of(&view_of(of.customer), &self.desk.rules) {
            Ok(person) if !picture.is_empty() => person,
            Ok(_) => return Some(Box::new(Nothing(Reason("the customer has bought nothing".to_owned())))),
            Err(reason) => return Some(Box::new(Nothing(reason))),
        };
        // Who looks through all customers does not wait for one of them.
        let missing = match self.desk.missing {
            MissingContact::Create => Some(MissingContact::Create),
            MissingContact::Wait | MissingContact::Skip => None,
        };
        let task = Task { person, picture, told: None, missing };
        Some(Box::new(Delivery::new(Arc::clone(&self.desk), task, memory, moment.now)))
    }

    fn rehearsal(&self, request: &Request<Bytes>) -> Answer {
        let path = request.uri().path();
        let contact = json!({ "type": "contact", "id": "0123456789abcdef01234567", "custom_attributes": {} });
        let (status, body) = if path.ends_with("/events") {
            (StatusCode::ACCEPTED, Bytes::new())
        } else if path.ends_with("/search") {
            (StatusCode::OK, json!({ "type": "list", "data": [contact] }).to_string().into())
        } else {
            let mut found = contact;
            let name = path.rsplit_once("/find_by_external_id/").map(|(_, name)| name.as_bytes());
            // There are no pluses in it, so it is decoded as a form is.
            found["external_id"] = json!(name.and_then(|name| Some(url::form_urlencoded::parse(name).next()?.0)));
            (StatusCode::OK, found.to_string().into())
        };
        let mut response = http::Response::new(body);
        *response.status_mut() = status;
        Answer::Response(response)
    }

    fn budgets(&self) -> Vec<BudgetGuess> {
        vec![self.desk.api.guess()]
    }
}
