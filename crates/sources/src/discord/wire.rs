//! Discord's own names: the envelope of webhook events, entitlements, subscriptions, SKUs.
//! <https://discord.com/developers/docs/resources/entitlement>, <https://discord.com/developers/docs/resources/subscription>

use crate::lenient::Object;
use crate::{Rejection, RejectionKind};
use paidup_lifecycle::dialects::discord::{Numbering, Status};
use paidup_lifecycle::observation::{Environment, Kind};
use paidup_lifecycle::snowflake::Snowflake;
use paidup_lifecycle::time::Timestamp;
use serde_json::Value;
use std::time::Duration;

/// How far ahead of our clock an event may be dated.
const AHEAD: Duration = Duration::from_secs(86_400);
/// How many ids of a list are looked at.
const MAX_IDS: usize = 50;

/// Whether a text is an id of Discord's.
pub(super) fn is_id(text: &str) -> bool {
    Snowflake::native(text).is_some()
}

fn id<'a>(object: Object<'a>, name: &str) -> Option<&'a str> {
    object.text(name).filter(|id| is_id(id))
}

/// Discord writes microseconds, and in an envelope no offset: that is UTC (ASSUMPTION).
fn time(object: Object<'_>, name: &str) -> Option<Timestamp> {
    let text = object.text(name)?;
    text.parse().ok().or_else(|| format!("{text}Z").parse().ok())
}

/// What a webhook event comes in.
pub(super) struct Envelope<'a>(Object<'a>);

impl<'a> Envelope<'a> {
    pub(super) fn new(body: &'a Value) -> Result<Envelope<'a>, Rejection> {
        let envelope = Envelope(Object(body));
        let is_known = matches!(envelope.0.int("type"), Some(0 | 1));
        let detail = "this is no webhook event of Discord: type is neither 0 nor 1".to_owned();
        is_known.then_some(envelope).ok_or(Rejection::new(RejectionKind::Malformed, "no_event", detail))
    }

    pub(super) fn check_application(&self, expected: &str) -> Result<(), Rejection> {
        match self.0.text("application_id") {
            Some(found) if found == expected => Ok(()),
            Some(_) | None => {
                let detail = "the event is of another application".to_owned();
                Err(Rejection::new(RejectionKind::WrongAddress, "wrong_application", detail))
            }
        }
    }

    /// `None`: a PING.
    pub(super) fn event(&self) -> Result<Option<Event<'a>>, Rejection> {
        if self.0.int("type") == Some(0) {
            return Ok(None);
        }
        let event = self.0.object("event").map(Event).filter(|event| event.0.text("type").is_some());
        let detail = "this is no webhook event of Discord: event.type is missing".to_owned();
        event.map(Some).ok_or(Rejection::new(RejectionKind::Malformed, "no_event", detail))
    }
}

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    EntitlementCreated,
    EntitlementUpdated,
    EntitlementDeleted,
    /// Known, and about no purchase.
    OfNoConsequence,
    /// Of the future.
    Unknown,
}

/// A webhook event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event<'a>(Object<'a>);

impl<'a> Event<'a> {
    /// An event of the future would hold its facts against everything that is said until then.
    pub(super) fn check_time(&self, now: Timestamp) -> Result<(), Rejection> {
        if self.at().is_some_and(|at| at > now.plus(AHEAD)) {
            let detail = "the event's timestamp is more than a day from now".to_owned();
            return Err(Rejection::new(RejectionKind::WrongAddress, "from_the_future", detail));
        }
        Ok(())
    }

    fn name(&self) -> &'a str {
        self.0.text("type").unwrap_or_default()
    }

    pub(super) fn told(&self) -> Told {
        match self.name() {
            "ENTITLEMENT_CREATE" => Told::EntitlementCreated,
            "ENTITLEMENT_UPDATE" => Told::EntitlementUpdated,
            "ENTITLEMENT_DELETE" => Told::EntitlementDeleted,
            "APPLICATION_AUTHORIZED" | "APPLICATION_DEAUTHORIZED" | "QUEST_USER_ENROLLMENT" => Told::OfNoConsequence,
            name if name.starts_with("LOBBY_MESSAGE_") || name.starts_with("GAME_DIRECT_MESSAGE_") => {
                Told::OfNoConsequence
            }
            _ => Told::Unknown,
        }
    }

    pub(super) fn label(&self) -> String {
        self.name().chars().take(100).collect()
    }

    /// No delivery has an id: the same event of the same thing at the same moment is the same one.
    pub(super) fn external_id(&self) -> String {
        let data = self.0.object("data");
        let about = data.and_then(|data| data.text("id").or_else(|| data.object("user")?.text("id")));
        format!("{}/{}/{}", self.label(), about.unwrap_or("-"), self.0.text("timestamp").unwrap_or("-"))
    }

    pub(super) fn at(&self) -> Option<Timestamp> {
        time(self.0, "timestamp")
    }

    pub(super) fn entitlement(&self) -> Option<Entitlement<'a>> {
        Entitlement::new(self.0.object("data")?)
    }
}

/// An entitlement: the right to use an SKU.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entitlement<'a> {
    fields: Object<'a>,
    pub(super) id: &'a str,
    pub(super) sku: &'a str,
}

/// `type` of what is bought in test mode.
const TEST_MODE_PURCHASE: i64 = 4;
/// `type` of what an application's test entitlement says of itself: it has neither dates nor a subscription.
const APPLICATION_SUBSCRIPTION: i64 = 8;

impl<'a> Entitlement<'a> {
    pub(super) fn new(fields: Object<'a>) -> Option<Entitlement<'a>> {
        Some(Entitlement { fields, id: id(fields, "id")?, sku: id(fields, "sku_id")? })
    }

    pub(super) fn user(&self) -> Option<&'a str> {
        id(self.fields, "user_id")
    }

    /// Undocumented, and in every example: the subscription that it belongs to.
    pub(super) fn subscription(&self) -> Option<&'a str> {
        id(self.fields, "subscription_id")
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.fields.flag("deleted") == Some(true)
    }

    pub(super) fn starts_at(&self) -> Option<Timestamp> {
        time(self.fields, "starts_at")
    }

    pub(super) fn ends_at(&self) -> Option<Timestamp> {
        time(self.fields, "ends_at")
    }

    /// Team members buy with a full discount, and what they buy is live: nothing tells it from what is paid.
    pub(super) fn environment(&self) -> Environment {
        let is_bare = self.subscription().is_none() && self.starts_at().is_none() && self.ends_at().is_none();
        match self.fields.int("type") {
            Some(TEST_MODE_PURCHASE) => Environment::Sandbox,
            Some(APPLICATION_SUBSCRIPTION) if is_bare => Environment::Sandbox,
            Some(_) | None => Environment::Production,
        }
    }
}

/// A subscription.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subscription<'a> {
    fields: Object<'a>,
    pub(super) id: &'a str,
}

impl<'a> Subscription<'a> {
    pub(super) fn new(fields: Object<'a>) -> Option<Subscription<'a>> {
        let id = id(fields, "id")?;
        fields.get("status").is_some().then_some(Subscription { fields, id })
    }

    pub(super) fn user(&self) -> Option<&'a str> {
        id(self.fields, "user_id")
    }

    pub(super) fn skus(&self) -> Vec<&'a str> {
        self.fields.texts("sku_ids", MAX_IDS).filter(|id| is_id(id)).collect()
    }

    pub(super) fn entitlements(&self) -> Vec<&'a str> {
        self.fields.texts("entitlement_ids", MAX_IDS).filter(|id| is_id(id)).collect()
    }

    /// What it will be at the next renewal. Null says nothing: Discord's own example of a running one has it.
    pub(super) fn renewal_sku(&self) -> Option<&'a str> {
        self.fields.texts("renewal_sku_ids", MAX_IDS).find(|id| is_id(id))
    }

    pub(super) fn starts_at(&self) -> Option<Timestamp> {
        time(self.fields, "current_period_start")
    }

    pub(super) fn ends_at(&self) -> Option<Timestamp> {
        time(self.fields, "current_period_end")
    }

    /// Discord always sent INACTIVE as 1 and ENDING as 2, whatever its page said until 2026-06.
    pub(super) fn status(&self) -> Option<Status> {
        let number = u64::try_from(self.fields.int("status")?).ok()?;
        Status::from_number(number, Numbering::Discord)
    }

    pub(super) fn country(&self) -> Option<String> {
        let code = self.fields.text("country")?;
        (code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_alphabetic())).then(|| code.to_ascii_uppercase())
    }
}

/// What can be bought.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sku<'a> {
    pub(super) id: &'a str,
    sku_type: i64,
}

impl<'a> Sku<'a> {
    pub(super) fn new(fields: Object<'a>) -> Option<Sku<'a>> {
        Some(Sku { id: id(fields, "id")?, sku_type: fields.int("type")? })
    }

    /// `None`: what is for sale is not this but what it groups.
    pub(super) fn kind(&self) -> Option<Kind> {
        match self.sku_type {
            2 => Some(Kind::NonConsumable),
            3 => Some(Kind::Consumable),
            5 => Some(Kind::Subscription),
            _ => None,
        }
    }
}
