//! Discord's own names and shapes, written by hand from the pages "Entitlement", "Subscription", "SKU" and "Webhook Events".
//! Only what the simulation tells is here. Dates are milliseconds since 1970, ids are snowflakes.

use crate::calendar::MONTH;
use crate::catalogue::{Kind, PLANS, Plan};
use serde_json::{Map, Value, json};

/// A snowflake: its upper 42 bits are the milliseconds since 2015.
pub type Id = u64;

/// 2015-01-01: where Discord's ids begin.
pub const EPOCH_MS: i64 = 1_420_070_400_000;

/// The id of something that is made at this moment; of `tail` the lower 22 bits tell apart what is made together.
#[must_use]
pub fn snowflake(at_ms: i64, tail: u64) -> Id {
    (u64::try_from(at_ms - EPOCH_MS).unwrap_or(0) << 22) | (tail & 0x3F_FFFF)
}

/// When it was made, in milliseconds since 1970.
#[must_use]
pub fn made_at(id: Id) -> i64 {
    EPOCH_MS + i64::try_from(id >> 22).unwrap_or(i64::MAX / 2)
}

/// Whom an app sells subscriptions to: an app has subscriptions of one sort on sale, never of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// The buyer alone has what was bought.
    Users,
    /// A whole server has it.
    Guilds,
}

/// The app that sells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct App {
    /// `application_id`.
    pub id: Id,
    /// Whom it sells subscriptions to.
    pub audience: Audience,
}

/// Something that changes at Discord, and what Discord tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The webhook event. `None`: Discord has none for it, and a hub only finds out by asking.
    pub event: Option<Event>,
    /// What its API shows from now on.
    pub shown: Vec<Shown>,
}

/// A webhook event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `type`.
    pub kind: &'static str,
    /// `timestamp`.
    pub at: i64,
    /// `data`.
    pub entitlement: Entitlement,
}

/// Something that the API shows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Shown {
    Entitlement(Entitlement),
    Subscription(Subscription),
}

/// `type` of an entitlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Discord's and their page explains them")]
pub enum EntitlementType {
    Purchase = 1,
    DeveloperGift = 3,
    UserGift = 6,
    /// What an app gives as a test says this of itself.
    ApplicationSubscription = 8,
}

/// The right to use an SKU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Discord's and their page explains them")]
pub struct Entitlement {
    pub id: Id,
    pub sku: Id,
    /// Absent where an app gave a test to a server. ASSUMPTION: Discord's page calls it optional, its OpenAPI document does not.
    pub user: Option<Id>,
    pub guild: Option<Id>,
    pub kind: EntitlementType,
    pub deleted: bool,
    pub consumed: bool,
    pub starts_at: Option<i64>,
    pub ends_at: Option<i64>,
    /// In no list of fields, and in every example.
    pub subscription: Option<Id>,
}

/// `status` of a subscription, in the numbers that Discord has always sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Discord's and their page explains them")]
pub enum Status {
    Active = 0,
    Inactive = 1,
    Ending = 2,
}

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Discord's and their page explains them")]
pub struct Subscription {
    pub id: Id,
    pub user: Id,
    pub sku: Id,
    /// `null`: nothing, or nothing yet.
    pub renewal_sku: Option<Id>,
    pub entitlement: Option<Id>,
    pub current_period_start: i64,
    pub current_period_end: i64,
    pub status: Status,
    pub canceled_at: Option<i64>,
}

/// What can be bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sku {
    /// Its id.
    pub id: Id,
    /// `type`.
    pub kind: u8,
    plan: &'static Plan,
    audience: Audience,
}

const DURABLE: u8 = 2;
/// `type` of what is used up.
pub const CONSUMABLE: u8 = 3;
const SUBSCRIPTION: u8 = 5;
/// Discord shows one beside every subscription, and says to ignore it.
const SUBSCRIPTION_GROUP: u8 = 6;
/// The first SKU's id.
const FIRST_SKU: Id = 1_158_857_122_189_168_803;

/// What is sold: Discord bills by the month, and has no trials.
pub fn plans() -> impl Iterator<Item = &'static Plan> {
    PLANS.iter().filter(|plan| plan.period <= MONTH)
}

/// The SKU of a plan.
#[must_use]
pub fn sku_id(plan: &Plan) -> Id {
    let place = PLANS.iter().position(|one| one.id == plan.id).unwrap_or_default();
    FIRST_SKU + 2 * place as u64
}

impl App {
    /// Everything that it sells or sold.
    pub fn skus(self) -> impl Iterator<Item = Sku> {
        let sku = move |plan: &'static Plan| {
            let kind = match plan.kind {
                Kind::Subscription => SUBSCRIPTION,
                Kind::Consumable => CONSUMABLE,
                Kind::NonConsumable => DURABLE,
            };
            let own = Sku { id: sku_id(plan), kind, plan, audience: self.audience };
            let group = (kind == SUBSCRIPTION).then_some(Sku { id: own.id + 1, kind: SUBSCRIPTION_GROUP, ..own });
            std::iter::once(own).chain(group)
        };
        plans().flat_map(sku)
    }
}

impl Sku {
    /// As `GET /applications/{application}/skus` shows it.
    #[must_use]
    pub fn json(&self, app: &App) -> Value {
        const AVAILABLE: u64 = 1 << 2;
        let sort = match (self.kind, self.audience) {
            (SUBSCRIPTION | SUBSCRIPTION_GROUP, Audience::Guilds) => 1 << 7,
            (SUBSCRIPTION | SUBSCRIPTION_GROUP, Audience::Users) => 1 << 8,
            _ => 0,
        };
        json!({
            "id": self.id.to_string(), "type": self.kind, "dependent_sku_id": null, "application_id": app.id.to_string(),
            "manifest_labels": null, "access_type": 1, "name": self.plan.name, "features": [], "release_date": null,
            "premium": false, "slug": self.plan.id.replace('_', "-"), "flags": AVAILABLE | sort, "show_age_gate": false,
        })
    }
}

/// Microseconds of every date, which Discord writes and a hub may drop.
const MICROSECONDS: &str = "602";

/// `2024-08-27T19:48:44.406602`, without an offset.
fn bare_time(at_ms: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(at_ms).unwrap_or_default();
    format!("{}{MICROSECONDS}", at.strftime("%Y-%m-%dT%H:%M:%S.%3f"))
}

fn time(at_ms: i64) -> String {
    format!("{}+00:00", bare_time(at_ms))
}

impl Entitlement {
    /// As the API and events show it.
    #[must_use]
    pub fn json(&self, app: &App) -> Value {
        let mut all = Map::new();
        let mut put = |name: &str, value: Value| drop(all.insert(name.to_owned(), value));
        put("id", self.id.to_string().into());
        put("sku_id", self.sku.to_string().into());
        put("application_id", app.id.to_string().into());
        if let Some(user) = self.user {
            put("user_id", user.to_string().into());
        }
        if let Some(guild) = self.guild {
            put("guild_id", guild.to_string().into());
        }
        put("promotion_id", Value::Null);
        put("type", (self.kind as u8).into());
        put("deleted", self.deleted.into());
        put("gift_code_flags", 0.into());
        put("consumed", self.consumed.into());
        put("starts_at", self.starts_at.map(time).into());
        put("ends_at", self.ends_at.map(time).into());
        if let Some(subscription) = self.subscription {
            put("subscription_id", subscription.to_string().into());
        }
        Value::Object(all)
    }
}

impl Subscription {
    /// As the API shows it.
    #[must_use]
    pub fn json(&self) -> Value {
        let list = |id: Option<Id>| id.map(|id| id.to_string()).into_iter().collect::<Vec<_>>();
        json!({
            "id": self.id.to_string(), "user_id": self.user.to_string(), "sku_ids": [self.sku.to_string()],
            "renewal_sku_ids": self.renewal_sku.map(|sku| list(Some(sku))),
            "entitlement_ids": list(self.entitlement),
            "current_period_start": time(self.current_period_start), "current_period_end": time(self.current_period_end),
            "status": self.status as u8, "canceled_at": self.canceled_at.map(time),
        })
    }
}

impl Event {
    /// The body of its request.
    #[must_use]
    pub fn json(&self, app: &App) -> Value {
        let event = json!({"type": self.kind, "timestamp": bare_time(self.at), "data": self.entitlement.json(app)});
        json!({"version": 1, "application_id": app.id.to_string(), "type": 1, "event": event})
    }
}
