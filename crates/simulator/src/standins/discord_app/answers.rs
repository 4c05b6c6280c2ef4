//! What Discord answers: SKUs, entitlements and subscriptions as they stand.
//!
//! ASSUMPTION: which status has which code is published for few of these routes; where a page is silent, the code is the
//! official one of that name.

use super::query::{Query, snowflake};
use crate::standins::discord::answers::{Answer, Content};
use crate::stores::discord::Discord;
use crate::stores::discord::shelf::Shelf;
use crate::stores::discord::wire::{CONSUMABLE, Entitlement, Id, Subscription};
use http::{Method, StatusCode};
use serde_json::Value;

type Code = (StatusCode, u32, &'static str);

pub(super) const UNAUTHORIZED: Code = (StatusCode::UNAUTHORIZED, 0, "401: Unauthorized");
pub(super) const NO_ROUTE: Code = (StatusCode::NOT_FOUND, 0, "404: Not Found");
const NO_METHOD: Code = (StatusCode::METHOD_NOT_ALLOWED, 0, "405: Method Not Allowed");
const MISSING_ACCESS: Code = (StatusCode::FORBIDDEN, 50_001, "Missing Access");
const UNKNOWN_SKU: Code = (StatusCode::NOT_FOUND, 10_027, "Unknown SKU");
const UNKNOWN_ENTITLEMENT: Code = (StatusCode::NOT_FOUND, 10_029, "Unknown Entitlement");
/// ASSUMPTION: the code is in no official list.
const UNKNOWN_SUBSCRIPTION: Code = (StatusCode::NOT_FOUND, 100_003, "Unknown subscription");
const NOT_CONSUMABLE: Code = (StatusCode::BAD_REQUEST, 40_018, "Only consumable SKUs can be consumed");
/// Rows on a page of entitlements when nobody says, and of subscriptions.
const USUAL_ENTITLEMENTS: usize = 100;
const USUAL_SUBSCRIPTIONS: usize = 50;

/// `path` comes after the version.
pub(super) fn answer(discord: &Discord, shelf: &mut Shelf, method: &Method, path: &str, query: &str) -> Answer {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let (is_get, is_post) = (*method == Method::GET, *method == Method::POST);
    let mut query = Query::new(query);
    let told = match *parts.as_slice() {
        ["applications", app, ref rest @ ..] => {
            if snowflake(app) != Some(discord.app().id) {
                return Answer::code(MISSING_ACCESS);
            }
            match *rest {
                ["skus"] if is_get => {
                    Ok(Value::Array(discord.app().skus().map(|sku| sku.json(discord.app())).collect()))
                }
                ["entitlements"] if is_get => Ok(entitlements(discord, shelf, &mut query)),
                ["entitlements", id] if is_get => entitlement(discord, shelf, id),
                ["entitlements", id, "consume"] if is_post => return consume(discord, shelf, id),
                ["skus"] | ["entitlements"] | ["entitlements", _] | ["entitlements", _, "consume"] => Err(NO_METHOD),
                _ => Err(NO_ROUTE),
            }
        }
        ["skus", sku, "subscriptions", ref rest @ ..] => match (sold(discord, sku), rest) {
            (Some(sku), []) if is_get => Ok(subscriptions(discord, shelf, sku, &mut query)),
            (Some(sku), [id]) if is_get => subscription(shelf, sku, id, &mut query),
            (_, [] | [_]) if !is_get => Err(NO_METHOD),
            (None, [] | [_]) => Err(UNKNOWN_SKU),
            _ => Err(NO_ROUTE),
        },
        _ => Err(NO_ROUTE),
    };
    if !query.faults.list().is_empty() {
        return Answer::form(&query.faults, true);
    }
    match told {
        Ok(value) => Answer::json(StatusCode::OK, value),
        Err(code) => Answer::code(code),
    }
}

impl Answer {
    /// Whether it is that refusal.
    pub(super) fn is(&self, (status, code, message): Code) -> bool {
        let Content::Json(body) = &self.body else { return false };
        self.status == status && body["code"] == code && body["message"] == message
    }
}

fn sold(discord: &Discord, sku: &str) -> Option<Id> {
    let sku = snowflake(sku)?;
    discord.app().skus().any(|one| one.id == sku).then_some(sku)
}

/// One page of what has an id. `after` gives the nearest above, `before` the nearest below.
struct Page {
    before: Option<Id>,
    after: Option<Id>,
    limit: usize,
    is_oldest_first: bool,
}

impl Page {
    fn of(query: &mut Query, usual: usize, is_oldest_first: bool) -> Page {
        Page { before: query.id("before"), after: query.id("after"), limit: query.limit(usual), is_oldest_first }
    }

    /// ASSUMPTION: Discord does not say in which order it answers, and which page it gives when neither end is asked for.
    fn cut<T>(&self, all: impl DoubleEndedIterator<Item = T>, id: impl Fn(&T) -> Id) -> Vec<T> {
        let is_inside = |one: &T| {
            self.before.is_none_or(|before| id(one) < before) && self.after.is_none_or(|after| id(one) > after)
        };
        let inside = all.filter(is_inside);
        let from_below = match (self.before, self.after) {
            (_, Some(_)) => true,
            (Some(_), None) => false,
            (None, None) => self.is_oldest_first,
        };
        let mut page: Vec<T> =
            if from_below { inside.take(self.limit).collect() } else { inside.rev().take(self.limit).collect() };
        if from_below != self.is_oldest_first {
            page.reverse();
        }
        page
    }
}

/// <https://discord.com/developers/docs/resources/entitlement#list-entitlements>
fn entitlements(discord: &Discord, shelf: &Shelf, query: &mut Query) -> Value {
    let (user, guild, skus) = (query.id("user_id"), query.id("guild_id"), query.ids("sku_ids"));
    let page = Page::of(query, USUAL_ENTITLEMENTS, discord.is_oldest_first());
    let (no_ended, no_deleted) = (query.flag("exclude_ended", false), query.flag("exclude_deleted", true));
    let is_wanted = |one: &&Entitlement| {
        user.is_none_or(|user| one.user == Some(user))
            && guild.is_none_or(|guild| one.guild == Some(guild))
            && skus.as_ref().is_none_or(|skus| skus.contains(&one.sku))
            && !(no_ended && one.ends_at.is_some())
            && !(no_deleted && one.deleted)
    };
    let rows = page.cut(shelf.entitlements().filter(is_wanted), |one| one.id);
    Value::Array(rows.into_iter().map(|one| one.json(discord.app())).collect())
}

fn entitlement(discord: &Discord, shelf: &Shelf, id: &str) -> Result<Value, Code> {
    let found = snowflake(id).and_then(|id| shelf.entitlement(id)).ok_or(UNKNOWN_ENTITLEMENT)?;
    Ok(found.json(discord.app()))
}

/// A second time changes nothing (ASSUMPTION).
fn consume(discord: &Discord, shelf: &mut Shelf, id: &str) -> Answer {
    let Some(found) = snowflake(id).and_then(|id| shelf.entitlement(id)).filter(|one| !one.deleted) else {
        return Answer::code(UNKNOWN_ENTITLEMENT);
    };
    let (id, sku) = (found.id, found.sku);
    if !discord.app().skus().any(|one| one.id == sku && one.kind == CONSUMABLE) {
        return Answer::code(NOT_CONSUMABLE);
    }
    shelf.consume(id);
    Answer::empty()
}

/// With a bot's token a user has to be named: nobody can list what all users have.
/// <https://discord.com/developers/docs/resources/subscription#list-sku-subscriptions>
fn subscriptions(discord: &Discord, shelf: &Shelf, sku: Id, query: &mut Query) -> Value {
    let user = query.needed_id("user_id");
    let page = Page::of(query, USUAL_SUBSCRIPTIONS, discord.is_oldest_first());
    let is_wanted = |one: &&Subscription| one.sku == sku && Some(one.user) == user;
    let rows = page.cut(shelf.subscriptions().filter(is_wanted), |one| one.id);
    Value::Array(rows.into_iter().map(Subscription::json).collect())
}

/// ASSUMPTION: a subscription is not found under an SKU that it has no more, nor for another user.
fn subscription(shelf: &Shelf, sku: Id, id: &str, query: &mut Query) -> Result<Value, Code> {
    let user = query.id("user_id");
    let found = snowflake(id).and_then(|id| shelf.subscription(id));
    let found = found.filter(|one| one.sku == sku && user.is_none_or(|user| one.user == user));
    found.map(Subscription::json).ok_or(UNKNOWN_SUBSCRIPTION)
}
