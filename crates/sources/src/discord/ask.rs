//! Requests to Discord's API. A lookup's name says what is wanted; this file alone knows which request it stands for.
//! <https://discord.com/developers/docs/resources/entitlement#list-entitlements>,
//! <https://discord.com/developers/docs/resources/subscription#list-sku-subscriptions>
//!
//! **Lists** are walked in both directions from their first page: whether Discord answers oldest or newest first is not
//! documented, and was seen both ways. Of each page the smallest id leads down and the largest up, until a page is empty.

use super::wire::is_id;
use crate::{Ask, Lookup, Refusal};
use bytes::Bytes;
use http::header::{self, HeaderValue};
use paidup_lifecycle::observation::{Environment, Period};
use paidup_lifecycle::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Rows on a page: the most that Discord allows.
pub(super) const PAGE: usize = 100;

/// Discord asks every client to name itself in this form, and may turn others away.
const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("DiscordBot (https://github.com/paidup/paidup, ", env!("CARGO_PKG_VERSION"), ")"));

/// How a one-time purchase is asked for again (`Facets::ask_with`); a subscription by its SKU.
pub(super) const ONE_TIME: &str = "entitlement";

/// What is kept as the answer where there is nothing under an SKU.
pub(super) const NOTHING: Bytes = Bytes::from_static(b"null");

/// Discord's API, with a bot's token.
pub(super) struct Api {
    base: String,
    application: String,
    authorization: HeaderValue,
}

/// What can be looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted<'a> {
    /// Entitlements of everybody: some page.
    FirstPage,
    /// The page of the highest ids below one.
    PageBelow(&'a str),
    /// The page of the lowest ids above one.
    PageAbove(&'a str),
    /// All of one user's.
    EntitlementsOf(&'a str),
    /// One entitlement.
    Entitlement(&'a str),
    /// One subscription, by its SKU and id.
    Subscription(&'a str, &'a str),
    /// What is for sale.
    Skus,
}

/// What a lookup is for. Kept as text with it; a field that was ever written is never renamed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Context {
    /// What is known of the entitlement that led here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) entitlement: Option<Known>,
    /// The subscription whose access the user's entitlements decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) decides: Option<Decides>,
    /// The id that somebody claims, or that is not where it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) find: Option<String>,
    /// The hub knows the subscription: if it is not under this SKU any more, it is under another.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_known: bool,
    /// It is one of several places to look for something: that it is not there says nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_one_of_many: bool,
    /// Older entitlements are not wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<Timestamp>,
}

/// An entitlement, as far as reading needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    pub(super) id: String,
    pub(super) sku: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) starts_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ends_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) deleted: bool,
    pub(super) environment: Environment,
}

impl Known {
    /// It gives access at that time.
    pub(super) fn is_live(&self, at: Timestamp) -> bool {
        !self.deleted && self.ends_at.is_none_or(|end| end > at)
    }
}

/// What Discord says of a subscription whose access is to be decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Decides {
    pub(super) subscription: String,
    /// It is still being charged.
    pub(super) is_charged: bool,
    /// The period that it says it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) period: Option<Period>,
}

impl<'a> Wanted<'a> {
    pub(super) fn name(self) -> String {
        match self {
            Wanted::FirstPage => "entitlements".to_owned(),
            Wanted::PageBelow(id) => format!("entitlements/below/{id}"),
            Wanted::PageAbove(id) => format!("entitlements/above/{id}"),
            Wanted::EntitlementsOf(user) => format!("entitlements_of/{user}"),
            Wanted::Entitlement(id) => format!("entitlement/{id}"),
            Wanted::Subscription(sku, id) => format!("subscription/{sku}/{id}"),
            Wanted::Skus => "skus".to_owned(),
        }
    }

    /// `None`: no lookup of ours.
    pub(super) fn of_name(name: &'a str) -> Option<Wanted<'a>> {
        let parts: Vec<&str> = name.split('/').collect();
        let wanted = match *parts.as_slice() {
            ["entitlements"] => Wanted::FirstPage,
            ["entitlements", "below", id] => Wanted::PageBelow(id),
            ["entitlements", "above", id] => Wanted::PageAbove(id),
            ["entitlements_of", user] => Wanted::EntitlementsOf(user),
            ["entitlement", id] => Wanted::Entitlement(id),
            ["subscription", sku, id] => Wanted::Subscription(sku, id),
            ["skus"] => Wanted::Skus,
            _ => return None,
        };
        let ids = parts.iter().skip(1).filter(|part| !matches!(**part, "below" | "above"));
        ids.into_iter().all(|id| is_id(id)).then_some(wanted)
    }

    pub(super) fn lookup(self, context: &Context, why: &'static str) -> Lookup {
        let context = serde_json::to_string(context).expect("texts and flags can always be written as JSON");
        Lookup { name: self.name(), context, why, unless_known: None }
    }

    /// How a purchase stands.
    pub(super) fn of_question(question: &'a Ask) -> Option<Lookup> {
        let id = question.store_purchase_id.as_str();
        let wanted = match question.ask_with.as_deref()? {
            ONE_TIME => Wanted::Entitlement(id),
            sku => Wanted::Subscription(sku, id),
        };
        let context = Context { is_known: true, ..Context::default() };
        is_id(id).then(|| wanted.lookup(&context, "how the purchase stands"))
    }

    /// Entitlements since then.
    pub(super) fn first_page(since: Timestamp) -> Lookup {
        let context = Context { since: Some(since), ..Context::default() };
        Wanted::FirstPage.lookup(&context, "what was bought that no event told")
    }

    /// What somebody claims: a subscription of that SKU, else a subscription of any, or an entitlement.
    pub(super) fn of_claim(id: &'a str, sku: Option<&'a str>) -> Vec<Lookup> {
        const WHY: &str = "an app's backend says that it was bought";
        let context = Context { find: Some(id.to_owned()), ..Context::default() };
        match sku.filter(|sku| is_id(sku)) {
            Some(sku) => vec![Wanted::Subscription(sku, id).lookup(&Context::default(), WHY)],
            None => vec![Wanted::Entitlement(id).lookup(&context, WHY), Wanted::Skus.lookup(&context, WHY)],
        }
    }

    /// What it means that Discord does not know what was wanted.
    ///
    /// A change of plan takes its subscription to another SKU: under the old one it is found no more, and under the new one
    /// not before Discord is done.
    pub(super) fn not_found(self, context: &Context) -> Refusal {
        let is_subscription = matches!(self, Wanted::Subscription(..));
        let led_here = context.entitlement.as_ref();
        match (is_subscription, led_here.map(|known| !known.deleted && known.ends_at.is_none())) {
            (true, Some(true)) => Refusal::Later,
            (true, Some(false)) => Refusal::Answer(NOTHING),
            (true, None) if context.is_known || context.is_one_of_many => Refusal::Answer(NOTHING),
            _ => Refusal::Final,
        }
    }

    fn path(self, application: &str) -> String {
        // Deleted ones are left out unless they are asked for.
        let entitlements = |filter: &str| {
            format!("/applications/{application}/entitlements?limit={PAGE}&exclude_deleted=false{filter}")
        };
        match self {
            Wanted::FirstPage => entitlements(""),
            Wanted::PageBelow(id) => entitlements(&format!("&before={id}")),
            Wanted::PageAbove(id) => entitlements(&format!("&after={id}")),
            Wanted::EntitlementsOf(user) => entitlements(&format!("&user_id={user}")),
            Wanted::Entitlement(id) => format!("/applications/{application}/entitlements/{id}"),
            Wanted::Subscription(sku, id) => format!("/skus/{sku}/subscriptions/{id}"),
            Wanted::Skus => format!("/applications/{application}/skus"),
        }
    }
}

impl Api {
    /// `token` is printable ASCII.
    pub(super) fn new(base: &str, application: &str, token: &str) -> Api {
        let bot = HeaderValue::from_str(&format!("Bot {token}"));
        let mut authorization = bot.expect("a checked token is printable ASCII, which a header can hold");
        authorization.set_sensitive(true);
        let base = base.trim_end_matches('/').to_owned();
        Api { base, application: application.to_owned(), authorization }
    }

    /// `None`: no lookup of ours.
    pub(super) fn look_up(&self, name: &str) -> Option<http::Request<Bytes>> {
        let path = Wanted::of_name(name)?.path(&self.application);
        let request = http::Request::get(format!("{}{path}", self.base))
            .header(header::AUTHORIZATION, self.authorization.clone())
            .header(header::USER_AGENT, USER_AGENT)
            .header(header::ACCEPT, "application/json");
        request.body(Bytes::new()).ok()
    }
}
