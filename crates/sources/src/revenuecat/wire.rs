//! RevenueCat's own names. Every field but `type` and `id` may be missing: new ones appear and old ones go without
//! notice, and samples leave out what the tables call common.
//! <https://www.revenuecat.com/docs/integrations/webhooks/event-types-and-fields>

use crate::lenient::Object;
use crate::{Rejection, RejectionKind};
use paidup_lifecycle::closed_set;
use paidup_lifecycle::money::Money;
use paidup_lifecycle::observation::{Environment, PeriodType, Reason, Store};
use paidup_lifecycle::time::Timestamp;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

/// How far ahead of our clock an event may be dated.
const AHEAD: Duration = Duration::from_secs(86_400);
/// How many ids of one customer are looked at.
const MAX_ALIASES: usize = 200;
/// How many attributes are kept; RevenueCat allows 50 besides its reserved ones.
const MAX_ATTRIBUTES: usize = 100;
/// RevenueCat's bounds on them.
const MAX_ATTRIBUTE_NAME: usize = 40;
const MAX_ATTRIBUTE_VALUE: usize = 500;

closed_set! {
    /// Documented types. All others are [`Type::Other`], or informative by their family.
    pub(super) enum Type {
        Test = "TEST",
        InitialPurchase = "INITIAL_PURCHASE",
        Renewal = "RENEWAL",
        Cancellation = "CANCELLATION",
        Uncancellation = "UNCANCELLATION",
        NonRenewingPurchase = "NON_RENEWING_PURCHASE",
        SubscriptionPaused = "SUBSCRIPTION_PAUSED",
        Expiration = "EXPIRATION",
        BillingIssue = "BILLING_ISSUE",
        ProductChange = "PRODUCT_CHANGE",
        Transfer = "TRANSFER",
        SubscriptionExtended = "SUBSCRIPTION_EXTENDED",
        TemporaryEntitlementGrant = "TEMPORARY_ENTITLEMENT_GRANT",
        RefundReversed = "REFUND_REVERSED",
        InvoiceIssuance = "INVOICE_ISSUANCE",
        VirtualCurrencyTransaction = "VIRTUAL_CURRENCY_TRANSACTION",
        ExperimentEnrollment = "EXPERIMENT_ENROLLMENT",
        SubscriberAlias = "SUBSCRIBER_ALIAS",
        PurchaseRedeemed = "PURCHASE_REDEEMED",
        PriceIncreaseConsentRequired = "PRICE_INCREASE_CONSENT_REQUIRED",
        PriceIncreaseConsentApproved = "PRICE_INCREASE_CONSENT_APPROVED",
        PaywallImpression = "PAYWALL_IMPRESSION",
        PaywallClose = "PAYWALL_CLOSE",
        PaywallCancel = "PAYWALL_CANCEL",
        PaywallExitOffer = "PAYWALL_EXIT_OFFER",
        PaywallComponentInteracted = "PAYWALL_COMPONENT_INTERACTED",
    }
}

/// An event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event<'a> {
    fields: Object<'a>,
    /// The same on every attempt.
    pub(super) id: &'a str,
    name: &'a str,
}

/// An attribute of a customer.
pub(super) struct Attribute<'a> {
    pub(super) name: &'a str,
    /// Empty: deleted.
    pub(super) value: &'a str,
    pub(super) updated_at: Timestamp,
}

impl<'a> Event<'a> {
    pub(super) fn new(body: &'a Value) -> Result<Event<'a>, Rejection> {
        let missing = |what: &str| {
            let detail = format!("this is no RevenueCat event: {what} is missing or no text");
            Rejection::new(RejectionKind::Malformed, "no_event", detail)
        };
        let fields = Object(body).object("event").ok_or_else(|| missing("event"))?;
        let id = fields.text("id").ok_or_else(|| missing("event.id"))?;
        let name = fields.text("type").ok_or_else(|| missing("event.type"))?;
        Ok(Event { fields, id, name })
    }

    /// An event of the future would hold its facts against everything that is said until then.
    pub(super) fn check_time(&self, now: Timestamp) -> Result<(), Rejection> {
        if self.at().is_some_and(|at| at > now.plus(AHEAD)) {
            let detail = "event_timestamp_ms is more than a day from now".to_owned();
            return Err(Rejection::new(RejectionKind::WrongAddress, "from_the_future", detail));
        }
        Ok(())
    }

    /// For the operator: the type, with its reason where it has one.
    pub(super) fn label(&self) -> String {
        let reason = self.fields.text("cancel_reason").or_else(|| self.fields.text("expiration_reason"));
        let told = reason.map_or_else(|| self.name.to_owned(), |reason| format!("{}/{reason}", self.name));
        told.chars().take(100).collect()
    }

    /// `None`: a type of the future.
    pub(super) fn kind(&self) -> Option<Type> {
        self.name.parse().ok()
    }

    /// When RevenueCat made the event.
    pub(super) fn at(&self) -> Option<Timestamp> {
        self.fields.millis("event_timestamp_ms")
    }

    /// ASSUMPTION: an event that names no environment is shown, not guessed at, but for grants, which are always
    /// production, and the test store, which never is.
    pub(super) fn environment(&self) -> Option<Environment> {
        let named = || self.fields.text("environment").or_else(|| self.fields.text("purchase_environment"));
        match self.fields.text("store") {
            Some("TEST_STORE") => Some(Environment::Sandbox),
            Some("PROMOTIONAL") => Some(Environment::Production),
            Some(_) | None => named()?.parse().ok(),
        }
    }

    /// The seller. RevenueCat's own billing, Roku and its test store are none of ours, and `EXTERNAL`.
    pub(super) fn store(&self) -> Store {
        self.store_named().unwrap_or(Store::External)
    }

    /// The seller, where it is one of ours.
    pub(super) fn store_named(&self) -> Option<Store> {
        self.fields.text("store")?.parse().ok()
    }

    /// `expiration_at_ms` of these has the grace period in it, and `grace_period_expiration_at_ms` is always null.
    pub(super) fn is_sold_on_the_web(&self) -> bool {
        matches!(self.fields.text("store"), Some("STRIPE" | "RC_BILLING" | "PADDLE"))
    }

    pub(super) fn app_user_id(&self) -> Option<&'a str> {
        self.fields.text("app_user_id")
    }

    /// All ids of the customer: `aliases` may leave out the other two.
    pub(super) fn ids(&self) -> Vec<String> {
        let named = [self.app_user_id(), self.fields.text("original_app_user_id")].into_iter().flatten();
        distinct(named.chain(self.fields.texts("aliases", MAX_ALIASES)))
    }

    pub(super) fn transferred_from(&self) -> Vec<String> {
        distinct(self.fields.texts("transferred_from", crate::Transfer::MAX_IDS))
    }

    pub(super) fn transferred_to(&self) -> Vec<String> {
        distinct(self.fields.texts("transferred_to", crate::Transfer::MAX_IDS))
    }

    pub(super) fn attributes(&self) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        let all = self.fields.object("subscriber_attributes").and_then(|all| all.0.as_object());
        all.into_iter().flatten().take(MAX_ATTRIBUTES).filter_map(|(name, told)| {
            let told = Object(told);
            let value = told.get("value").and_then(Value::as_str).unwrap_or_default();
            let fits = !name.is_empty() && name.len() <= MAX_ATTRIBUTE_NAME && value.len() <= MAX_ATTRIBUTE_VALUE;
            let updated_at = told.millis("updated_at_ms")?;
            fits.then_some(Attribute { name, value, updated_at })
        })
    }

    /// On a change the product before it.
    pub(super) fn product(&self) -> Option<&'a str> {
        self.fields.text("product_id")
    }

    pub(super) fn new_product(&self) -> Option<&'a str> {
        self.fields.text("new_product_id")
    }

    /// RevenueCat maps the product to something that lasts.
    pub(super) fn has_entitlements(&self) -> bool {
        self.fields.texts("entitlement_ids", 1).next().is_some() || self.fields.text("entitlement_id").is_some()
    }

    pub(super) fn period_type(&self) -> Option<PeriodType> {
        Some(match self.fields.text("period_type")? {
            "TRIAL" => PeriodType::Trial,
            "INTRO" => PeriodType::Intro,
            "NORMAL" => PeriodType::Normal,
            "PREPAID" => PeriodType::Prepaid,
            "PROMOTIONAL" => PeriodType::Promotional,
            _ => return None,
        })
    }

    pub(super) fn purchased_at(&self) -> Option<Timestamp> {
        self.fields.millis("purchased_at_ms")
    }

    /// `None`: what was bought does not end.
    pub(super) fn expires_at(&self) -> Option<Timestamp> {
        self.fields.millis("expiration_at_ms")
    }

    pub(super) fn grace_ends_at(&self) -> Option<Timestamp> {
        self.fields.millis("grace_period_expiration_at_ms")
    }

    pub(super) fn resumes_at(&self) -> Option<Timestamp> {
        self.fields.millis("auto_resume_at_ms")
    }

    pub(super) fn cancel_reason(&self) -> Option<Reason> {
        self.fields.text("cancel_reason").map(reason)
    }

    pub(super) fn expiration_reason(&self) -> Option<Reason> {
        self.fields.text("expiration_reason").map(reason)
    }

    /// What was paid, in the currency in which it was: `price` is in dollars, converted, and no other.
    pub(super) fn price(&self) -> Option<Money> {
        let currency: paidup_lifecycle::money::Currency = self.fields.text("currency")?.parse().ok()?;
        let told = self.fields.amount("price_in_purchased_currency", currency);
        let in_dollars = || self.fields.amount("price", currency);
        told.or_else(|| if currency == paidup_lifecycle::money::Currency::USD { in_dollars() } else { None })
    }

    pub(super) fn transaction_id(&self) -> Option<&'a str> {
        self.fields.text("transaction_id")
    }

    pub(super) fn original_transaction_id(&self) -> Option<&'a str> {
        self.fields.text("original_transaction_id")
    }

    pub(super) fn original_app_user_id(&self) -> Option<&'a str> {
        self.fields.text("original_app_user_id").or_else(|| self.app_user_id())
    }

    pub(super) fn is_family_share(&self) -> Option<bool> {
        self.fields.flag("is_family_share")
    }

    pub(super) fn country(&self) -> Option<String> {
        let code = self.fields.text("country_code")?;
        (code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_alphabetic())).then(|| code.to_ascii_uppercase())
    }

    pub(super) fn offer_code(&self) -> Option<&'a str> {
        self.fields.text("offer_code")
    }
}

/// The list of reasons is open.
fn reason(name: &str) -> Reason {
    name.parse().unwrap_or(Reason::Unknown)
}

/// Without repeats, in order.
fn distinct<'a>(ids: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    ids.filter(|id| seen.insert(*id)).map(str::to_owned).collect()
}
