//! Amazon's own names: the message inside of the SNS envelope, and the receipt that the verification service (RVS) answers
//! with. Amazon prints some names in both casings (`AutoRenewing`, `autoRenewing`), so casing is not looked at; a field that
//! stands there twice, in whatever casing, is refused. What is missing, null or of another type is absent.
//! <https://developer.amazon.com/docs/in-app-purchasing/real-time-notifications.html>,
//! <https://developer.amazon.com/docs/in-app-purchasing/iap-rvs-for-android-apps.html>

use crate::{Rejection, RejectionKind};
use paidup_lifecycle::observation::{Environment, Kind};
use paidup_lifecycle::time::Timestamp;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The longest id that is taken as one. Amazon promises 200 for receipts and 128 for users.
const MAX_ID: usize = 256;
/// Most fields of one object.
const MAX_FIELDS: usize = 256;
/// How many promotions of a receipt are looked at.
const MAX_PROMOTIONS: usize = 50;

/// An object, its names in small letters.
struct Fields(BTreeMap<String, Box<RawValue>>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fields, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Fields;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    if fields.len() >= MAX_FIELDS {
                        return Err(A::Error::custom("too many fields"));
                    }
                    if fields.insert(name.to_ascii_lowercase(), value).is_some() {
                        return Err(A::Error::custom("a field stands there twice"));
                    }
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Names)
    }
}

impl Fields {
    fn get<T: serde::de::DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_str(self.0.get(name)?.get()).ok()
    }

    fn text(&self, name: &str) -> Option<String> {
        self.get::<String>(name).filter(|text| !text.is_empty())
    }

    /// An id: printable, and short enough to be one.
    fn id(&self, name: &str) -> Option<String> {
        self.text(name).filter(|id| id.len() <= MAX_ID && id.bytes().all(|byte| byte.is_ascii_graphic()))
    }

    /// Milliseconds since 1970. Zero is none.
    fn time(&self, name: &str) -> Option<Timestamp> {
        Timestamp::from_millis(self.get::<i64>(name).filter(|millis| *millis > 0)?).ok()
    }
}

/// The types of the reference, and whatever else Amazon may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Purchased,
    Converted,
    Renewed,
    RenewalOff,
    RenewalOn,
    ScheduledToEnd,
    GraceBegan,
    GraceOver,
    ChangeDeferred,
    Changed,
    Cancelled,
    Expired,
    OnceBought(Kind),
    OnceCancelled(Kind),
    Unknown,
}

impl Type {
    pub(super) fn of(name: &str) -> Type {
        match name {
            "SUBSCRIPTION_PURCHASED" => Type::Purchased,
            "SUBSCRIPTION_CONVERTED_FREE_TRIAL_TO_PAID" => Type::Converted,
            "SUBSCRIPTION_RENEWED" => Type::Renewed,
            "SUBSCRIPTION_AUTO_RENEWAL_OFF" => Type::RenewalOff,
            "SUBSCRIPTION_AUTO_RENEWAL_ON" => Type::RenewalOn,
            "SUBSCRIPTION_SCHEDULED_TO_END" => Type::ScheduledToEnd,
            "SUBSCRIPTION_IN_GRACE_PERIOD" => Type::GraceBegan,
            "SUBSCRIPTION_OUT_OF_GRACE_PERIOD" => Type::GraceOver,
            "SUBSCRIPTION_MODIFIED_DEFERRED" => Type::ChangeDeferred,
            "SUBSCRIPTION_MODIFIED_IMMEDIATE" => Type::Changed,
            "SUBSCRIPTION_CANCELLED" => Type::Cancelled,
            "SUBSCRIPTION_EXPIRED" => Type::Expired,
            "CONSUMABLE_PURCHASED" => Type::OnceBought(Kind::Consumable),
            "CONSUMABLE_CANCELLED" => Type::OnceCancelled(Kind::Consumable),
            "ENTITLEMENT_PURCHASED" => Type::OnceBought(Kind::NonConsumable),
            "ENTITLEMENT_CANCELLED" => Type::OnceCancelled(Kind::NonConsumable),
            _ => Type::Unknown,
        }
    }
}

/// What Amazon wrote.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) type_name: String,
    pub(super) package: Option<String>,
    pub(super) user: Option<String>,
    pub(super) receipt: Option<String>,
    /// The receipt that this one took the place of.
    pub(super) cancelled_receipt: Option<String>,
    pub(super) at: Option<Timestamp>,
    pub(super) environment: Environment,
}

impl Message {
    pub(super) fn parse(text: &str) -> Result<Message, Rejection> {
        let fields: Fields = serde_json::from_str(text).map_err(|error| {
            unreadable("unreadable_message", format!("Message is no JSON object that can be read: {error}"))
        })?;
        let type_name = fields.id("notificationtype");
        let type_name = type_name.ok_or_else(|| unreadable("no_type", "Message has no notificationType".to_owned()))?;
        let related = fields.get::<Fields>("relatedreceipts");
        let is_beta = fields.get::<bool>("betaproducttransaction") == Some(true);
        Ok(Message {
            type_name,
            package: fields.text("apppackagename"),
            user: fields.id("appuserid"),
            receipt: fields.id("receiptid"),
            cancelled_receipt: related.and_then(|related| related.id("cancelledreceiptid")),
            at: fields.time("timestamp"),
            environment: if is_beta { Environment::Sandbox } else { Environment::Production },
        })
    }
}

/// A receipt as RVS answers with it.
#[derive(Debug, Default)]
pub(super) struct Receipt {
    pub(super) product: Option<String>,
    /// The plan of a subscription.
    pub(super) term_sku: Option<String>,
    pub(super) kind: Option<Kind>,
    pub(super) term: Option<super::term::Term>,
    /// Of the first purchase, never of a renewal.
    pub(super) purchased_at: Option<Timestamp>,
    pub(super) renews_at: Option<Timestamp>,
    pub(super) cancelled_at: Option<Timestamp>,
    pub(super) cancel_reason: Option<i64>,
    pub(super) auto_renews: Option<bool>,
    pub(super) trial_ends_at: Option<Timestamp>,
    pub(super) grace_ends_at: Option<Timestamp>,
    pub(super) deferred_at: Option<Timestamp>,
    pub(super) deferred_sku: Option<String>,
    pub(super) country: Option<String>,
    /// A promotional price is in force.
    pub(super) promotion_runs: bool,
    /// One was, and the regular price was paid since.
    pub(super) promotion_is_over: bool,
    /// One will be.
    pub(super) promotion_waits: bool,
}

impl Receipt {
    /// An answer that is no receipt is none: a page of a proxy, an error in JSON.
    pub(super) fn parse(body: &[u8]) -> Result<Receipt, Rejection> {
        let no_receipt = || unreadable("no_receipt", "the answer is no receipt".to_owned());
        let fields: Fields = serde_json::from_slice(body).map_err(|_| no_receipt())?;
        if fields.id("productid").is_none() && fields.id("termsku").is_none() {
            return Err(no_receipt());
        }
        let promotions = fields.get::<Vec<Fields>>("promotions").unwrap_or_default();
        let is_any = |status: &str| {
            let found = |promotion: &Fields| {
                promotion.text("promotionstatus").is_some_and(|it| it.eq_ignore_ascii_case(status))
            };
            promotions.iter().take(MAX_PROMOTIONS).any(found)
        };
        let country = fields.text("countrycode").filter(|code| code.len() == 2);
        Ok(Receipt {
            product: fields.id("productid"),
            term_sku: fields.id("termsku"),
            kind: fields.text("producttype").and_then(|name| kind_of(&name)),
            term: fields.text("term").and_then(|term| super::term::Term::parse(&term)),
            purchased_at: fields.time("purchasedate"),
            renews_at: fields.time("renewaldate"),
            cancelled_at: fields.time("canceldate"),
            cancel_reason: fields.get("cancelreason"),
            auto_renews: fields.get("autorenewing"),
            trial_ends_at: fields.time("freetrialenddate"),
            grace_ends_at: fields.time("graceperiodenddate"),
            deferred_at: fields.time("deferreddate"),
            deferred_sku: fields.id("deferredsku"),
            country: country.filter(|code| code.bytes().all(|byte| byte.is_ascii_alphabetic())),
            promotion_runs: is_any("InProgress"),
            promotion_is_over: is_any("Completed"),
            promotion_waits: is_any("Queued"),
        })
    }
}

fn kind_of(name: &str) -> Option<Kind> {
    match name {
        "SUBSCRIPTION" => Some(Kind::Subscription),
        "CONSUMABLE" => Some(Kind::Consumable),
        "ENTITLED" => Some(Kind::NonConsumable),
        _ => None,
    }
}

fn unreadable(reason: &'static str, detail: String) -> Rejection {
    Rejection::new(RejectionKind::Malformed, reason, detail.chars().take(300).collect())
}
