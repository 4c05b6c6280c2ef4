//! Requests to the Android Publisher API, and what its refusals mean.
//!
//! A lookup's name says what is asked for, `subscription/<token>`; this file alone knows which request it stands for. What
//! the answer is wanted for stands in its [`Context`].
//! <https://developers.google.com/android-publisher/api-ref/rest>

use super::wire::{ErrorAnswer, ErrorReason, is_id};
use crate::{Lookup, Refusal, Wanted as Asked};
use bytes::Bytes;
use http::{StatusCode, header};
use paidup_lifecycle::observation::{Environment, PurchaseKey};
use paidup_lifecycle::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How far back Google lists voided purchases, less a margin for the way.
const VOIDED_LISTED_FOR: Duration = Duration::from_secs(30 * 86_400 - 600);
/// The longest token of a page.
const MAX_PAGE: usize = 400;

/// The body that stands for "there is nothing of that name", where that is an answer.
pub(super) const NOTHING: &[u8] = br#"{"paidup":"nothing"}"#;

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted<'a> {
    /// A subscription, by its token.
    Subscription(&'a str),
    /// A one-time purchase, by its token.
    Product(&'a str),
    /// An order: what was paid.
    Order(&'a str),
    /// That a purchase is acknowledged.
    Acknowledge(&'a str),
    /// A page of what was voided since that moment (in milliseconds).
    Voided(i64, Option<&'a str>),
}

impl<'a> Wanted<'a> {
    pub(super) fn name(self) -> String {
        match self {
            Wanted::Subscription(token) => format!("subscription/{token}"),
            Wanted::Product(token) => format!("product/{token}"),
            Wanted::Order(id) => format!("order/{id}"),
            Wanted::Acknowledge(token) => format!("acknowledge/{token}"),
            Wanted::Voided(since, None) => format!("voided/{since}"),
            Wanted::Voided(since, Some(page)) => format!("voided/{since}/{page}"),
        }
    }

    pub(super) fn of_name(name: &'a str) -> Option<Wanted<'a>> {
        let (kind, rest) = name.split_once('/')?;
        if kind == "voided" {
            let (since, page) = rest.split_once('/').map_or((rest, None), |(since, page)| (since, Some(page)));
            return Some(Wanted::Voided(since.parse().ok()?, page));
        }
        if !is_id(rest) {
            return None;
        }
        Some(match kind {
            "subscription" => Wanted::Subscription(rest),
            "product" => Wanted::Product(rest),
            "order" => Wanted::Order(rest),
            "acknowledge" => Wanted::Acknowledge(rest),
            _ => return None,
        })
    }

    pub(super) fn lookup(self, context: &Context, why: &'static str) -> Lookup {
        let context = serde_json::to_string(context).expect("texts, numbers and flags can always be written as JSON");
        Lookup { name: self.name(), context, why, unless_known: None }
    }
}

/// What an answer is wanted for. Kept as text with the lookup; a field that was ever written is never renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Context {
    #[serde(flatten)]
    pub(super) about: About,
    /// What waits for this answer, the next one last: tokens that replaced one that nobody knew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) waiting: Vec<Waiting>,
    /// The token that this one replaced has been asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) walked: bool,
    /// The product of the token that this one replaced, where that was asked for because nobody knew it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) former_product: Option<String>,
}

impl Context {
    pub(super) fn of(about: About) -> Context {
        Context { about, waiting: Vec::new(), walked: false, former_product: None }
    }
}

/// A token whose answer was put aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Waiting {
    pub(super) token: String,
    #[serde(flatten)]
    pub(super) about: About,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case")]
pub(super) enum About {
    /// A notification about a subscription: its number and time.
    Told { number: i64, at: Timestamp },
    /// A notification about a one-time purchase: its number and time.
    ToldOnce { number: i64, at: Timestamp },
    /// Money that went back, or is asked for.
    Refund(Refund),
    /// An app's backend says that its customer bought this.
    Claimed {
        /// What was bought, as it says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        product: Option<String>,
    },
    /// The token that another one replaced.
    Replaced,
    /// A purchase is acknowledged.
    Acknowledge {
        product: String,
        /// A subscription, not a one-time purchase.
        renews: bool,
    },
    /// What a transaction cost.
    Price { key: PurchaseKey, product: String, renews: bool },
    /// A page of a list.
    Listed,
    /// A question of ours.
    Asked,
}

impl About {
    /// When Google spoke, if it did.
    pub(super) fn told_at(&self) -> Option<Timestamp> {
        match self {
            About::Told { at, .. } | About::ToldOnce { at, .. } | About::Refund(Refund { at, .. }) => Some(*at),
            About::Claimed { .. }
            | About::Replaced
            | About::Acknowledge { .. }
            | About::Price { .. }
            | About::Listed
            | About::Asked => None,
        }
    }
}

/// A refund, as far as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refund {
    pub(super) order: String,
    pub(super) at: Timestamp,
    /// Asked for, and not decided yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) requested: bool,
    /// Of some of the quantity only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) partial: bool,
    /// Nobody said yet whether it is of a subscription or of a one-time purchase.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) of_either: bool,
    /// Whose it is, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<PurchaseKey>,
}

/// How a purchase is asked for by `Source::ask`: by its lasting id, which names its kind where that is no subscription,
/// and its product where a token has several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place<'a> {
    pub(super) token: &'a str,
    pub(super) product: Option<&'a str>,
}

impl<'a> Place<'a> {
    pub(super) fn of(store_purchase_id: &'a str) -> Place<'a> {
        match store_purchase_id.split_once('/') {
            Some((token, product)) => Place { token, product: Some(product) },
            None => Place { token: store_purchase_id, product: None },
        }
    }

    /// The store's lasting id of that purchase.
    pub(super) fn id(self) -> String {
        match self.product {
            Some(product) => format!("{}/{product}", self.token),
            None => self.token.to_owned(),
        }
    }
}

/// The API, for one app.
pub(super) struct Api {
    base: String,
    package: String,
}

impl Api {
    pub(super) fn new(base: &str, package: &str) -> Api {
        Api { base: base.trim_end_matches('/').to_owned(), package: package.to_owned() }
    }

    /// `None`: no lookup of ours.
    pub(super) fn request(&self, name: &str, context: &str) -> Option<http::Request<Bytes>> {
        let app = format!("{}/androidpublisher/v3/applications/{}", self.base, self.package);
        let url = match Wanted::of_name(name)? {
            Wanted::Subscription(token) => format!("{app}/purchases/subscriptionsv2/tokens/{token}"),
            Wanted::Product(token) => format!("{app}/purchases/productsv2/tokens/{token}"),
            Wanted::Order(id) => format!("{app}/orders/{id}"),
            Wanted::Acknowledge(token) => return self.acknowledge(&app, token, context),
            Wanted::Voided(since, page) => {
                let page = page.map(|page| format!("&token={}", escaped(page))).unwrap_or_default();
                let query = format!("type=1&includeQuantityBasedPartialRefund=true&startTime={since}{page}");
                format!("{app}/purchases/voidedpurchases?{query}")
            }
        };
        http::Request::get(url).body(Bytes::new()).ok()
    }

    fn acknowledge(&self, app: &str, token: &str, context: &str) -> Option<http::Request<Bytes>> {
        let About::Acknowledge { product, renews } = serde_json::from_str::<Context>(context).ok()?.about else {
            return None;
        };
        let kind = if renews { "subscriptions" } else { "products" };
        if !is_id(&product) {
            return None;
        }
        http::Request::post(format!("{app}/purchases/{kind}/{product}/tokens/{token}:acknowledge"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Bytes::from_static(b"{}"))
            .ok()
    }
}

/// The first page of what was voided since then, as far back as Google lists it.
pub(super) fn voided_since(since: Timestamp, now: Timestamp) -> Lookup {
    let from = since.max(now.minus(VOIDED_LISTED_FOR));
    Wanted::Voided(from.as_millis(), None).lookup(&Context::of(About::Listed), "what was voided meanwhile")
}

/// The page after that; `None`: its token cannot be kept.
pub(super) fn next_page(since: i64, page: &str) -> Option<Lookup> {
    let fits = !page.is_empty() && page.len() <= MAX_PAGE && page.bytes().all(|byte| byte.is_ascii_graphic());
    let why = "the next page of what was voided meanwhile";
    fits.then(|| Wanted::Voided(since, Some(page)).lookup(&Context::of(About::Listed), why))
}

fn escaped(text: &str) -> String {
    let letter = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(letter).collect()
}

/// What an answer means that is no success.
pub(super) fn refused(asked: &Asked<'_>, status: StatusCode, body: &[u8]) -> Refusal {
    let is_gone = matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE);
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::BAD_REQUEST => {
            if may_be_nothing(asked, is_gone) {
                Refusal::Answer(Bytes::from_static(NOTHING))
            } else {
                Refusal::Final
            }
        }
        StatusCode::UNAUTHORIZED => Refusal::Credentials,
        // Google says "too many" with 403 too.
        StatusCode::FORBIDDEN if is_quota(body) => Refusal::Later,
        StatusCode::FORBIDDEN => Refusal::Credentials,
        _ => Refusal::Later,
    }
}

/// Whether it is an answer that there is nothing of that name: a predecessor that is too old, a token that may be of the
/// other kind, a price that is only looked for. Google answers 400 to a token of the other kind.
fn may_be_nothing(asked: &Asked<'_>, is_gone: bool) -> bool {
    let Asked::Lookup(name, context) = asked else { return false };
    let Ok(context) = serde_json::from_str::<Context>(context) else { return false };
    match (Wanted::of_name(name), context.about) {
        (Some(Wanted::Subscription(_)), About::Claimed { .. } | About::Replaced) => true,
        (Some(Wanted::Subscription(_)), About::Refund(refund)) => refund.of_either,
        (Some(Wanted::Order(_)), _) => is_gone,
        (_, _) => false,
    }
}

fn is_quota(body: &[u8]) -> bool {
    let Ok(ErrorAnswer { error }) = serde_json::from_slice::<ErrorAnswer>(body) else { return false };
    let is_limit = |found: &ErrorReason| {
        let known = ["rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "dailyLimitExceeded"];
        found.reason.as_deref().is_some_and(|reason| known.contains(&reason) || reason == "RATE_LIMIT_EXCEEDED")
    };
    error.status.as_deref() == Some("RESOURCE_EXHAUSTED") || error.errors.iter().chain(&error.details).any(is_limit)
}

/// The key of a purchase of this source.
pub(super) fn key(
    source_id: paidup_lifecycle::ids::SourceId,
    environment: Environment,
    place: Place<'_>,
) -> PurchaseKey {
    PurchaseKey { source_id, environment, store_purchase_id: place.id() }
}
