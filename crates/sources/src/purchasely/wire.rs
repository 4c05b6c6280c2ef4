//! Purchasely's own names: one flat object, absent fields left out, dates as text and as milliseconds (`x`, `x_ms`).
//! <https://docs.purchasely.com/docs/server-events-attributes>

use crate::lenient::Object;
use crate::{Rejection, RejectionKind};
use paidup_lifecycle::closed_set;
use paidup_lifecycle::money::{Currency, Money};
use paidup_lifecycle::observation::{Environment, OfferType, Store};
use paidup_lifecycle::time::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// How far ahead of our clock an event may be dated.
const AHEAD: Duration = Duration::from_secs(86_400);

closed_set! {
    /// Documented events. (`PURCHASE_VALIDATED` and `SUBSCRIPTION_EXPIRED` are what version 2 called the first two.)
    pub(super) enum Name {
        Activate = "ACTIVATE",
        Deactivate = "DEACTIVATE",
        SubscriptionStarted = "SUBSCRIPTION_STARTED",
        SubscriptionUpgraded = "SUBSCRIPTION_UPGRADED",
        SubscriptionCrossgraded = "SUBSCRIPTION_CROSSGRADED",
        SubscriptionDowngraded = "SUBSCRIPTION_DOWNGRADED",
        SubscriptionRenewed = "SUBSCRIPTION_RENEWED",
        SubscriptionDeferred = "SUBSCRIPTION_DEFERRED",
        SubscriptionReactivated = "SUBSCRIPTION_REACTIVATED",
        RenewalDisabled = "RENEWAL_DISABLED",
        RenewalEnabled = "RENEWAL_ENABLED",
        SubscriptionTerminated = "SUBSCRIPTION_TERMINATED",
        FamilySharedRevoked = "FAMILY_SHARED_REVOKED",
        RetentionMessageRequested = "RETENTION_MESSAGE_REQUESTED",
        GracePeriodStarted = "GRACE_PERIOD_STARTED",
        GracePeriodTerminated = "GRACE_PERIOD_TERMINATED",
        EnteredBillingRetry = "ENTERED_BILLING_RETRY",
        SubscriptionCancelledDuringGracePeriod = "SUBSCRIPTION_CANCELLED_DURING_GRACE_PERIOD",
        SubscriptionRecoveredFromGracePeriod = "SUBSCRIPTION_RECOVERED_FROM_GRACE_PERIOD",
        SubscriptionRecoveredFromBillingRetry = "SUBSCRIPTION_RECOVERED_FROM_BILLING_RETRY",
        SubscriptionWillPause = "SUBSCRIPTION_WILL_PAUSE",
        SubscriptionWillNotPause = "SUBSCRIPTION_WILL_NOT_PAUSE",
        SubscriptionPaused = "SUBSCRIPTION_PAUSED",
        SubscriptionUnpaused = "SUBSCRIPTION_UNPAUSED",
        SubscriptionCancelledDuringPause = "SUBSCRIPTION_CANCELLED_DURING_PAUSE",
        SubscriptionTransferred = "SUBSCRIPTION_TRANSFERRED",
        SubscriptionReceived = "SUBSCRIPTION_RECEIVED",
        OneTimePurchaseTransferred = "ONE_TIME_PURCHASE_TRANSFERRED",
        OneTimePurchaseReceived = "ONE_TIME_PURCHASE_RECEIVED",
        SubscriptionRefundedRevoked = "SUBSCRIPTION_REFUNDED_REVOKED",
        TrialStarted = "TRIAL_STARTED",
        TrialConverted = "TRIAL_CONVERTED",
        TrialNotConverted = "TRIAL_NOT_CONVERTED",
        IntroOfferStarted = "INTRO_OFFER_STARTED",
        IntroOfferConverted = "INTRO_OFFER_CONVERTED",
        IntroOfferNotConverted = "INTRO_OFFER_NOT_CONVERTED",
        PromoCodeStarted = "PROMO_CODE_STARTED",
        PromoCodeConverted = "PROMO_CODE_CONVERTED",
        PromoCodeNotConverted = "PROMO_CODE_NOT_CONVERTED",
        PromotionalOfferStarted = "PROMOTIONAL_OFFER_STARTED",
        PromotionalOfferConverted = "PROMOTIONAL_OFFER_CONVERTED",
        PromotionalOfferNotConverted = "PROMOTIONAL_OFFER_NOT_CONVERTED",
        TransactionProcessed = "TRANSACTION_PROCESSED",
        Test = "TEST",
    }
}

closed_set! {
    /// `subscription_status`.
    pub(super) enum Status {
        AutoRenewing = "AUTO_RENEWING",
        AutoRenewingCanceled = "AUTO_RENEWING_CANCELED",
        InGracePeriod = "IN_GRACE_PERIOD",
        OnHold = "ON_HOLD",
        Paused = "PAUSED",
        Unpaid = "UNPAID",
        Deactivated = "DEACTIVATED",
        Revoked = "REVOKED",
    }
}

closed_set! {
    /// `purchase_type`.
    pub(super) enum PurchaseType {
        Consumable = "CONSUMABLE",
        NonConsumable = "NON_CONSUMABLE",
        NonRenewingSubscription = "NON_RENEWING_SUBSCRIPTION",
        RenewingSubscription = "RENEWING_SUBSCRIPTION",
    }
}

/// An event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event<'a> {
    fields: Object<'a>,
    name: &'a str,
}

impl<'a> Event<'a> {
    pub(super) fn new(body: &'a Value) -> Result<Event<'a>, Rejection> {
        let fields = Object(body);
        let name = fields.text("event_name").ok_or_else(|| {
            let detail = "this is no Purchasely event: event_name is missing or no text".to_owned();
            Rejection::new(RejectionKind::Malformed, "no_event", detail)
        })?;
        Ok(Event { fields, name })
    }

    /// An event of the future would hold its facts against everything that is said until then.
    pub(super) fn check_time(&self, now: Timestamp) -> Result<(), Rejection> {
        if self.at().is_some_and(|at| at > now.plus(AHEAD)) {
            let detail = "event_created_at is more than a day from now".to_owned();
            return Err(Rejection::new(RejectionKind::WrongAddress, "from_the_future", detail));
        }
        Ok(())
    }

    /// The same on every attempt; for the events of before 2022, which have no id, the digest of their bytes.
    pub(super) fn external_id(&self, bytes: &[u8]) -> String {
        let by_digest = || format!("sha256:{}", hex::encode(Sha256::digest(bytes)));
        self.fields.text("event_id").map_or_else(by_digest, str::to_owned)
    }

    /// For the operator.
    pub(super) fn label(&self) -> String {
        self.name.chars().take(100).collect()
    }

    /// `None`: an event of the future.
    pub(super) fn name(&self) -> Option<Name> {
        match self.name {
            "PURCHASE_VALIDATED" => Some(Name::Activate),
            "SUBSCRIPTION_EXPIRED" => Some(Name::Deactivate),
            name => name.parse().ok(),
        }
    }

    /// Either form of a date.
    fn date(&self, name: &str) -> Option<Timestamp> {
        let millis = self.fields.millis(&format!("{name}_ms"));
        millis.or_else(|| self.fields.text(name)?.parse().ok())
    }

    /// When the event was first sent; the same on every attempt.
    pub(super) fn at(&self) -> Option<Timestamp> {
        self.date("event_created_at")
    }

    pub(super) fn environment(&self) -> Option<Environment> {
        self.fields.text("environment")?.parse().ok()
    }

    /// Stores that are none of ours, Huawei's too, are `EXTERNAL`.
    pub(super) fn store(&self) -> Store {
        match self.fields.text("store") {
            Some("APPLE_APP_STORE") => Store::AppStore,
            Some("GOOGLE_PLAY_STORE") => Store::PlayStore,
            // Purchasely's own pages spell it both ways.
            Some("AMAZON_APPSTORE" | "AMAZON_APP_STORE") => Store::Amazon,
            Some(name) => name.parse().unwrap_or(Store::External),
            None => Store::External,
        }
    }

    /// The user as the app knows them.
    pub(super) fn user(&self) -> Option<&'a str> {
        self.fields.text("user_id")
    }

    /// The user whom the app does not know.
    pub(super) fn anonymous_user(&self) -> Option<&'a str> {
        self.fields.text("anonymous_user_id")
    }

    /// To whom a purchase went.
    pub(super) fn transferred_to(&self) -> Option<&'a str> {
        let to = self.fields.text("transferred_to_user_id");
        to.or_else(|| self.fields.text("transferred_to_anonymous_user_id"))
    }

    pub(super) fn purchase_type(&self) -> Option<PurchaseType> {
        self.fields.text("purchase_type")?.parse().ok()
    }

    /// Purchasely's own id of what was bought.
    pub(super) fn purchase_id(&self) -> Option<&'a str> {
        let subscription = self.fields.text("purchasely_subscription_id");
        subscription.or_else(|| self.fields.text("purchasely_one_time_purchase_id"))
    }

    pub(super) fn is_one_time(&self) -> bool {
        let by_id = self.fields.get("purchasely_subscription_id").is_none()
            && self.fields.get("purchasely_one_time_purchase_id").is_some();
        match self.purchase_type() {
            Some(PurchaseType::RenewingSubscription) => false,
            Some(PurchaseType::Consumable | PurchaseType::NonConsumable | PurchaseType::NonRenewingSubscription) => {
                true
            }
            None => by_id,
        }
    }

    /// The subscription whose plan was changed, where it has another id than the new plan's.
    pub(super) fn replaced_subscription(&self) -> Option<&'a str> {
        self.fields.text("from_purchasely_subscription_id").filter(|former| Some(*former) != self.purchase_id())
    }

    /// What was bought, exactly: the plan. Purchasely's `product` is what several plans have in common, and several plans may
    /// be one product of a store.
    pub(super) fn plan(&self) -> Option<&'a str> {
        self.fields.text("plan").or_else(|| self.fields.text("store_product_id"))
    }

    pub(super) fn transaction_id(&self) -> Option<&'a str> {
        self.fields.text("store_transaction_id")
    }

    pub(super) fn original_transaction_id(&self) -> Option<&'a str> {
        self.fields.text("store_original_transaction_id")
    }

    pub(super) fn purchased_at(&self) -> Option<Timestamp> {
        self.date("purchased_at")
    }

    pub(super) fn first_purchased_at(&self) -> Option<Timestamp> {
        self.date("original_purchased_at")
    }

    /// In theory.
    pub(super) fn next_renewal_at(&self) -> Option<Timestamp> {
        self.date("next_renewal_at")
    }

    /// With grace and deferral.
    pub(super) fn effective_next_renewal_at(&self) -> Option<Timestamp> {
        self.date("effective_next_renewal_at")
    }

    pub(super) fn grace_ends_at(&self) -> Option<Timestamp> {
        self.date("grace_period_expires_at")
    }

    pub(super) fn deferred_until(&self) -> Option<Timestamp> {
        self.date("defer_end_at")
    }

    pub(super) fn resumes_at(&self) -> Option<Timestamp> {
        self.date("auto_resume_at")
    }

    pub(super) fn status(&self) -> Option<Status> {
        match self.fields.text("subscription_status")? {
            // The dashboard's spelling.
            "AUTO_RENEWING_CANCELLED" => Some(Status::AutoRenewingCanceled),
            name => name.parse().ok(),
        }
    }

    pub(super) fn is_family_shared(&self) -> Option<bool> {
        self.fields.flag("is_family_shared")
    }

    /// `Some(None)`: none, by its own word.
    pub(super) fn offer_type(&self) -> Option<Option<OfferType>> {
        match self.fields.text("offer_type")? {
            "NONE" => Some(None),
            name => name.parse().ok().map(Some),
        }
    }

    pub(super) fn offer_id(&self) -> Option<&'a str> {
        self.fields.text("offer_identifier").or_else(|| self.fields.text("promotional_offer_id"))
    }

    pub(super) fn offer_code(&self) -> Option<&'a str> {
        self.fields.text("offer_code_ref_name")
    }

    pub(super) fn country(&self) -> Option<String> {
        let code = self.fields.text("store_country")?;
        (code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_alphabetic())).then(|| code.to_ascii_uppercase())
    }

    /// What moved, in the customer's currency; in the app's reference currency only where the other is not told.
    pub(super) fn amount(&self) -> Option<Money> {
        let currency = self.fields.text("customer_currency").and_then(|code| code.parse().ok());
        let told = currency.and_then(|currency| self.fields.amount("amount_in_customer_currency", currency));
        told.or_else(|| self.amount_in_a_currency())
    }

    /// `amount_in_<cur>`, with the currency in the field's name.
    fn amount_in_a_currency(&self) -> Option<Money> {
        let fields = self.fields.0.as_object()?;
        let mut named = fields.keys().filter_map(|name| {
            let currency: Currency = name.strip_prefix("amount_in_")?.parse().ok()?;
            self.fields.amount(name, currency)
        });
        let first = named.next()?;
        named.next().is_none().then_some(first)
    }

    /// The event that the money belongs to.
    pub(super) fn money_of(&self) -> Option<Name> {
        self.fields.text("source_event_name")?.parse().ok()
    }
}
