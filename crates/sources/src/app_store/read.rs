//! From Apple's words to ours: which facets a notification states, and why Apple spoke.
//!
//! Events are made by comparing facets, so what is *not* stated matters as much as what is. Three parts speak, each
//! with its own time of signing: the notification (status), the transaction and the renewal info. The traps: refunds
//! name old transactions while status and renewal info describe the running period; renewal is switched on and off
//! silently; the words of a type are coarser than the facts beside them.

use super::storefront::country;
use super::verify::environment;
use super::wire::{Payload, Renewal, Subtype, Transaction, Type};
use crate::{Note, Reading};
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::money::Money;
use paidup_lifecycle::observation::{
    Consent, Dated, Environment, Facets, Hint, Kind, Observation, Offer, OfferType, Origin, PendingProduct, Period,
    PeriodType, PriceIncrease, PurchaseKey, Reason, RefundFact, RefundStatus, Stamp, Standing, Store, TransactionFacts,
};
use paidup_lifecycle::time::Timestamp;
use std::sync::Arc;

/// The one refund that Apple can give for a transaction at a time: it may be reversed, and given again.
const ONLY_REFUND: &str = "0";

/// Apple's name of the notification, for the operator.
pub(super) fn label(payload: &Payload<'_>) -> String {
    let cut = |text: &str| text.chars().take(60).collect::<String>();
    match &payload.subtype {
        Some(subtype) if !subtype.is_empty() => format!("{}/{}", cut(&payload.notification_type), cut(subtype)),
        Some(_) | None => cut(&payload.notification_type),
    }
}

/// What a notification says.
pub(super) fn read(
    source: SourceId,
    payload: &Payload<'_>,
    transaction: Option<&Transaction<'_>>,
    renewal: Option<&Renewal<'_>>,
) -> Reading {
    let note = |note: Note| Reading::noted(note);
    let data = payload.data.as_ref();
    let environment = environment(data.and_then(|data| data.environment.as_deref()));
    let about = Type::of(&payload.notification_type);
    match (about, environment, transaction) {
        (Type::Test, Some(environment), _) => note(Note::Test { environment, at: payload.signed_date.0 }),
        (Type::Informative, _, _) => note(Note::Informative),
        (Type::Test | Type::Other, _, _) => note(Note::Unknown),
        (_, Some(environment), Some(transaction)) => {
            let statement = Statement {
                about,
                subtype: Subtype::of(payload.subtype.as_deref()),
                status: data.and_then(|data| data.status),
                id: payload.notification_uuid.as_ref().into(),
                at: payload.signed_date.0,
                origin: Origin::Notification,
                why: None,
                transaction,
                // Renewal info of another chain would be said of the wrong purchase.
                renewal: renewal.filter(|renewal| {
                    renewal.original_transaction_id.is_none()
                        || renewal.original_transaction_id == transaction.original_transaction_id
                }),
            };
            match key_of(source, environment, transaction) {
                Some(key) => Reading::observed(statement.observation(key)),
                None => note(Note::Unknown),
            }
        }
        // Of a known type, but without the transaction that would say what it is about.
        (_, _, _) => note(Note::Unknown),
    }
}

fn key_of(source: SourceId, environment: Environment, transaction: &Transaction<'_>) -> Option<PurchaseKey> {
    let id = transaction.original_transaction_id.as_deref().filter(|id| !id.is_empty())?;
    Some(PurchaseKey { source_id: source, environment, store_purchase_id: id.to_owned() })
}

/// What is said without a notification: an answer of the API, or a transaction that an app's backend shows.
pub(super) struct Told {
    /// What the observation is known by.
    pub(super) id: Arc<str>,
    /// Apple's time of saying it.
    pub(super) at: Timestamp,
    pub(super) origin: Origin,
    /// Why, when it is known.
    pub(super) hint: Option<Hint>,
    /// As in a notification's `data`.
    pub(super) status: Option<i64>,
}

/// How a purchase stands, by the transaction of its running (or last) period.
pub(super) fn observed(
    source: SourceId,
    environment: Environment,
    told: Told,
    transaction: &Transaction<'_>,
    renewal: Option<&Renewal<'_>>,
) -> Option<Observation> {
    let key = key_of(source, environment, transaction)?;
    Some(Statement::of(told, transaction, renewal).observation(key))
}

/// What a transaction says that is not of the running period: that it was made, for how much, by whom, and whether it was
/// taken back.
pub(super) fn observed_in_passing(
    source: SourceId,
    environment: Environment,
    told: Told,
    transaction: &Transaction<'_>,
) -> Option<Observation> {
    let key = key_of(source, environment, transaction)?;
    let statement = Statement::of(told, transaction, None);
    let mut facets = Facets { kind: statement.kind().map(|kind| statement.by_transaction(kind)), ..Facets::default() };
    statement.state_transaction(&mut facets);
    statement.state_owner(&mut facets);
    Some(Observation { facets, ..statement.observation(key) })
}

/// A notification, or something else that Apple signed, about a purchase.
struct Statement<'a> {
    about: Type,
    subtype: Subtype,
    status: Option<i64>,
    id: Arc<str>,
    at: Timestamp,
    origin: Origin,
    /// Why Apple spoke, when no type says it.
    why: Option<Hint>,
    transaction: &'a Transaction<'a>,
    renewal: Option<&'a Renewal<'a>>,
}

impl<'a> Statement<'a> {
    fn of(told: Told, transaction: &'a Transaction<'a>, renewal: Option<&'a Renewal<'a>>) -> Statement<'a> {
        let Told { id, at, origin, hint, status } = told;
        Statement {
            about: Type::Other,
            subtype: Subtype::None,
            status,
            id,
            at,
            origin,
            why: hint,
            transaction,
            renewal,
        }
    }
}

impl Statement<'_> {
    fn observation(&self, key: PurchaseKey) -> Observation {
        let transaction_id = self.transaction.transaction_id.as_deref();
        Observation {
            key,
            // ASSUMPTION: Apple does not say on which platform something was bought.
            store: Store::AppStore,
            id: self.id.clone(),
            observed_at: self.at,
            origin: self.origin,
            hint: self.why.unwrap_or_else(|| self.hint()),
            about_transaction: transaction_id.filter(|_| self.about.looks_back()).map(str::to_owned),
            facets: self.facets(),
            backfill: false,
            replaces: None,
            detected_by: None,
        }
    }

    fn facets(&self) -> Facets {
        let mut facets = Facets::default();
        self.state_transaction(&mut facets);
        self.state_standing(&mut facets);
        if self.is_subscription() {
            if self.is_running_transaction() {
                self.state_running(&mut facets);
            } else {
                self.state_running_by_renewal(&mut facets);
            }
            self.state_renewal(&mut facets);
        } else {
            self.state_running(&mut facets);
        }
        self.state_owner(&mut facets);
        facets
    }

    // What the three parts are about.

    fn kind(&self) -> Option<Kind> {
        match self.transaction.kind.as_deref() {
            Some("Auto-Renewable Subscription") => Some(Kind::Subscription),
            Some("Non-Renewing Subscription") => Some(Kind::NonRenewing),
            Some("Non-Consumable") => Some(Kind::NonConsumable),
            Some("Consumable") => Some(Kind::Consumable),
            Some(_) | None => None,
        }
    }

    /// A purchase of an unknown kind is a subscription when Apple says things that only subscriptions have.
    fn is_subscription(&self) -> bool {
        match self.kind() {
            Some(Kind::Subscription) => true,
            Some(Kind::Consumable | Kind::NonConsumable | Kind::NonRenewing | Kind::Grant | Kind::Temporary) => false,
            None => self.renewal.is_some() || self.status.is_some(),
        }
    }

    fn is_family_shared(&self) -> bool {
        self.transaction.in_app_ownership_type.as_deref() == Some("FAMILY_SHARED")
    }

    /// Whether the transaction is the running (or last) period's. A notification that looks back may name an older one:
    /// then product or end differ from the renewal info's, which always describes the running period.
    fn is_running_transaction(&self) -> bool {
        if !self.about.looks_back() {
            return true;
        }
        let Some(renewal) = self.renewal else { return self.status == Some(5) };
        let same_product = renewal.product_id.is_none() || renewal.product_id == self.transaction.product_id;
        let same_end = match (renewal.renewal_date, self.transaction.expires_date) {
            (Some(renews), Some(expires)) => renews.0 == expires.0,
            (Some(_) | None, _) => true,
        };
        same_product && same_end
    }

    fn stamp(&self, as_of: Timestamp) -> Stamp {
        Stamp { as_of, origin: self.origin, by: self.id.clone() }
    }

    fn by_notification<T>(&self, value: T) -> Dated<T> {
        Dated { value, stamp: self.stamp(self.at) }
    }

    fn by_transaction<T>(&self, value: T) -> Dated<T> {
        Dated { value, stamp: self.stamp(self.transaction.signed_date.map_or(self.at, |at| at.0)) }
    }

    /// A refund is as of the moment that Apple gives for it, however late and often it is told: a transaction that is
    /// signed again after a reversal does not repeat the refund, and a later moment is another refund.
    /// ASSUMPTION: whether `revocationDate` stays after a reversal is not documented; this reads both.
    fn by_refund(&self, refund: RefundFact) -> Dated<RefundFact> {
        match self.transaction.revocation_date {
            Some(at) if refund.status == RefundStatus::Refunded => Dated { value: refund, stamp: self.stamp(at.0) },
            Some(_) | None => self.by_transaction(refund),
        }
    }

    fn by_renewal<T>(&self, value: T) -> Dated<T> {
        let signed = self.renewal.and_then(|renewal| renewal.signed_date);
        Dated { value, stamp: self.stamp(signed.map_or(self.at, |at| at.0)) }
    }

    // The transaction.

    fn period(&self) -> Option<Period> {
        Some(Period {
            transaction_id: self.transaction.transaction_id.as_deref().map(str::to_owned),
            starts_at: self.transaction.purchase_date?.0,
            ends_at: self.transaction.expires_date.map(|at| at.0),
        })
    }

    /// The list price. Nobody paid for what a family member shares.
    /// ASSUMPTION: Apple repeats the buyer's price in a family member's transaction.
    fn price(&self) -> Option<Money> {
        if self.is_family_shared() {
            return None;
        }
        money(self.transaction.price, self.transaction.currency.as_deref())
    }

    fn state_transaction(&self, facets: &mut Facets) {
        let Some(id) = self.transaction.transaction_id.as_deref().filter(|id| !id.is_empty()) else { return };
        let mut facts = TransactionFacts {
            product_id: self.transaction.product_id.as_deref().map(|product| self.by_transaction(product.to_owned())),
            period: self.period().map(|period| self.by_transaction(period)),
            price: self.price().map(|price| self.by_transaction(Some(price))),
            ..TransactionFacts::default()
        };
        if let Some(refund) = self.refund() {
            facts.refunds.insert(ONLY_REFUND.to_owned(), self.by_refund(refund));
        }
        if self.about == Type::DidFailToRenew {
            // ASSUMPTION: the charge that failed has no transaction yet, so it is noted at the one it would have
            // followed. Apple tells the first failure only; its own further attempts are silent.
            facts.failures.insert(self.id.to_string(), self.at);
        }
        facets.transactions.insert(id.to_owned(), facts);
    }

    fn refund(&self) -> Option<RefundFact> {
        let revocation_type = self.transaction.revocation_type.as_deref();
        let family = self.about == Type::Revoke || revocation_type == Some("FAMILY_REVOKE");
        let status = match self.about {
            Type::ConsumptionRequest => RefundStatus::Requested,
            Type::RefundDeclined => RefundStatus::Declined,
            Type::RefundReversed => RefundStatus::Reversed,
            Type::Refund | Type::Revoke => RefundStatus::Refunded,
            // The transaction carries its revocation in whatever is told later, so a lost REFUND is made good.
            _ if self.transaction.revocation_date.is_some() => RefundStatus::Refunded,
            _ => return None,
        };
        let is_refunded = status == RefundStatus::Refunded;
        let is_partial = self.is_partial_refund();
        Some(RefundFact {
            status,
            amount: if is_refunded && is_partial && !family { self.prorated() } else { None },
            revokes: if is_refunded { self.refund_revokes(family, is_partial) } else { None },
            family: is_refunded && family,
        })
    }

    fn is_partial_refund(&self) -> bool {
        self.transaction.revocation_type.as_deref() == Some("REFUND_PRORATED")
    }

    fn refund_revokes(&self, family: bool, is_partial: bool) -> Option<bool> {
        if family || self.status == Some(5) {
            return Some(true);
        }
        if !self.is_subscription() {
            return Some(!is_partial);
        }
        // A part of the price gives the rest of the period no reason to end; a refund of an older period neither.
        // Else the engine knows which period runs.
        if is_partial || !self.is_running_transaction() { Some(false) } else { None }
    }

    /// Price times percentage (thousandths of a percent).
    fn prorated(&self) -> Option<Money> {
        let percentage = self.transaction.revocation_percentage.filter(|part| (1..=100_000).contains(part))?;
        let price = self.transaction.price?;
        let part = i128::from(price) * i128::from(percentage) / 100_000;
        money(i64::try_from(part).ok(), self.transaction.currency.as_deref())
    }

    // How the purchase stands.

    fn state_standing(&self, facets: &mut Facets) {
        facets.kind = self.kind().map(|kind| self.by_transaction(kind));
        let Some(standing) = self.standing() else { return };
        facets.standing = Some(self.by_notification(standing));
        facets.expiration_reason = Some(self.by_notification(self.expiration_reason(standing)));
    }

    /// `status` is how the subscription stands now, whatever the type and the transaction are about.
    fn standing(&self) -> Option<Standing> {
        match self.status {
            Some(1) => Some(Standing::Active),
            Some(2) => Some(Standing::Expired),
            Some(3) => Some(Standing::BillingRetry),
            Some(4) => Some(Standing::Grace),
            Some(5) => Some(Standing::Revoked),
            Some(_) | None if self.is_subscription() => self.standing_by_type(),
            Some(_) | None => Some(self.standing_of_one_time()),
        }
    }

    fn standing_by_type(&self) -> Option<Standing> {
        let keeps_trying = self.renewal.and_then(|renewal| renewal.is_in_billing_retry_period);
        match (self.about, self.subtype) {
            (Type::Subscribed | Type::DidRenew | Type::RenewalExtended, _) => Some(Standing::Active),
            (Type::DidChangeRenewalPref | Type::OfferRedeemed, Subtype::Upgrade) => Some(Standing::Active),
            (Type::OfferRedeemed, Subtype::InitialBuy | Subtype::Resubscribe) => Some(Standing::Active),
            (Type::DidFailToRenew, Subtype::GracePeriod) => Some(Standing::Grace),
            (Type::DidFailToRenew, _) => Some(Standing::BillingRetry),
            (Type::GracePeriodExpired, _) if keeps_trying == Some(false) => Some(Standing::Expired),
            (Type::GracePeriodExpired, _) => Some(Standing::BillingRetry),
            (Type::Expired, _) => Some(Standing::Expired),
            (Type::Revoke, _) => Some(Standing::Revoked),
            // Without renewal info nobody knows whether it is the running period's; then the engine compares.
            (Type::Refund, _)
                if !self.is_partial_refund() && self.renewal.is_some() && self.is_running_transaction() =>
            {
                Some(Standing::Revoked)
            }
            // These say nothing about access: the transaction may be an old one, or the change is of the future.
            (
                Type::DidChangeRenewalStatus
                | Type::DidChangeRenewalPref
                | Type::OfferRedeemed
                | Type::PriceIncrease
                | Type::Refund
                | Type::RefundDeclined
                | Type::RefundReversed
                | Type::ConsumptionRequest
                | Type::OneTimeCharge
                | Type::Test
                | Type::Informative
                | Type::Other,
                _,
            ) => None,
        }
    }

    /// One-time purchases have no status; their transaction says whether it was taken back. A part of the price given
    /// back leaves the rest (of a quantity) in place.
    fn standing_of_one_time(&self) -> Standing {
        let is_revoked =
            self.transaction.revocation_date.is_some() || matches!(self.about, Type::Refund | Type::Revoke);
        if is_revoked && !self.is_partial_refund() && self.about != Type::RefundReversed {
            Standing::Revoked
        } else {
            Standing::Active
        }
    }

    fn expiration_reason(&self, standing: Standing) -> Option<Reason> {
        match standing {
            Standing::Pending | Standing::Active | Standing::Grace | Standing::Paused => None,
            Standing::BillingRetry => Some(Reason::BillingError),
            Standing::Revoked if self.refund().is_some_and(|refund| refund.family) => Some(Reason::Unknown),
            Standing::Revoked => Some(Reason::CustomerSupport),
            Standing::Expired => Some(self.reason_of_end()),
        }
    }

    fn reason_of_end(&self) -> Reason {
        match (self.about, self.subtype) {
            (Type::Expired, Subtype::Voluntary) => Reason::Unsubscribe,
            (Type::Expired, Subtype::BillingRetry) => Reason::BillingError,
            (Type::Expired, Subtype::PriceIncrease) => Reason::PriceIncrease,
            (Type::Expired, Subtype::ProductNotForSale) => Reason::DeveloperInitiated,
            (Type::GracePeriodExpired, _) => Reason::BillingError,
            _ => self.intent().unwrap_or(Reason::Unknown),
        }
    }

    fn intent(&self) -> Option<Reason> {
        match self.renewal?.expiration_intent? {
            1 => Some(Reason::Unsubscribe),
            2 => Some(Reason::BillingError),
            3 => Some(Reason::PriceIncrease),
            // ASSUMPTION: a product that is no longer for sale was withdrawn by the developer.
            4 => Some(Reason::DeveloperInitiated),
            _ => Some(Reason::Unknown),
        }
    }

    // The running period.

    /// The transaction is the running period's: it says all about it.
    fn state_running(&self, facets: &mut Facets) {
        facets.product = self.transaction.product_id.as_deref().map(|product| self.by_transaction(product.to_owned()));
        facets.period = self.period().map(|period| self.by_transaction(period));
        facets.period_type = Some(self.by_transaction(self.period_type()));
        facets.offer = Some(self.by_transaction(self.transaction.offer()));
        facets.country = self
            .transaction
            .storefront
            .as_deref()
            .and_then(country)
            .map(|country| self.by_transaction(Some(country.to_owned())));
        let starts_period = match (self.about, self.subtype) {
            (Type::Subscribed | Type::DidRenew, _) => true,
            (Type::DidChangeRenewalPref | Type::OfferRedeemed, subtype) => subtype == Subtype::Upgrade,
            _ => false,
        };
        if self.about == Type::RenewalExtended {
            let until = self.transaction.expires_date.map(|at| at.0);
            facets.extended_until = Some(self.by_transaction(until));
        } else if starts_period {
            facets.extended_until = Some(self.by_transaction(None));
        }
    }

    /// The transaction is an old one: only the renewal info knows the running period. It does not know when that period
    /// began nor its transaction, so what it says of it is dated right before the start of this unbroken run of periods: it fills
    /// the gap when nothing else is known of the run, and every transaction of the run knows better.
    fn state_running_by_renewal(&self, facets: &mut Facets) {
        let Some(renewal) = self.renewal else { return };
        facets.product = renewal.product_id.as_deref().map(|product| self.by_renewal(product.to_owned()));
        if let (Some(began), Some(renews)) = (renewal.recent_subscription_start_date, renewal.renewal_date)
            && began.0 < renews.0
        {
            let period = Period { transaction_id: None, starts_at: began.0, ends_at: Some(renews.0) };
            let stamp = self.stamp(period.reckoned_at());
            facets.period = Some(Dated { value: period, stamp });
        }
    }

    fn period_type(&self) -> PeriodType {
        let offer = self.transaction.offer_type.filter(|_| self.is_subscription());
        match (offer, self.transaction.is_free_offer()) {
            (None, _) => PeriodType::Normal,
            (Some(_), true) => PeriodType::Trial,
            (Some(1 | 3), false) => PeriodType::Intro,
            (Some(_), false) => PeriodType::Normal,
        }
    }

    // What comes after it.

    fn state_renewal(&self, facets: &mut Facets) {
        self.state_will_renew(facets);
        let Some(renewal) = self.renewal else {
            self.state_renewal_by_type(facets);
            return;
        };
        let standing = self.standing();
        let is_unpaid = matches!(standing, Some(Standing::Grace | Standing::BillingRetry));
        let retries = renewal.is_in_billing_retry_period.unwrap_or(is_unpaid);
        facets.billing_retry = Some(self.by_renewal(retries));
        facets.grace_ends_at = Some(self.by_renewal(renewal.grace_period_expires_date.map(|at| at.0)));
        facets.next_offer = Some(self.by_renewal(renewal.offer()));
        if let (Some(next), Some(now)) = (&renewal.auto_renew_product_id, &renewal.product_id) {
            // Without a time: it takes effect at the end of the period, wherever that moves.
            let pending = PendingProduct { product_id: next.clone().into_owned(), effective_at: None };
            facets.pending = Some(self.by_renewal((next != now).then_some(pending)));
        }
        facets.price_increase = Some(self.by_renewal(self.price_increase(renewal)));
    }

    /// Renewal info is the law; it tells of silent switches too. Only without it the type has to do.
    fn state_will_renew(&self, facets: &mut Facets) {
        let told = match self.renewal.and_then(|renewal| renewal.auto_renew_status) {
            Some(status) => Some(status == 1),
            None => match (self.about, self.subtype) {
                (Type::DidChangeRenewalStatus, Subtype::AutoRenewEnabled) => Some(true),
                (Type::DidChangeRenewalStatus, Subtype::AutoRenewDisabled) => Some(false),
                (Type::Subscribed | Type::DidRenew, _) => Some(true),
                (Type::Expired, _) => Some(false),
                _ => None,
            },
        };
        let Some(will_renew) = told else { return };
        facets.will_renew = Some(self.by_renewal(will_renew));
        facets.cancel_reason = Some(self.by_renewal((!will_renew).then(|| self.cancel_reason())));
    }

    fn cancel_reason(&self) -> Reason {
        let is_refunded = self.transaction.revocation_date.is_some() && self.is_running_transaction();
        match (self.about, self.subtype) {
            // ASSUMPTION: Apple switches renewal off by itself when it gives money back for the running period.
            _ if is_refunded => Reason::CustomerSupport,
            (Type::Expired, _) => self.reason_of_end(),
            // Without an intent it was the customer, who has no other way than the switch.
            _ => self.intent().unwrap_or(Reason::Unsubscribe),
        }
    }

    fn state_renewal_by_type(&self, facets: &mut Facets) {
        match (self.about, self.subtype) {
            (Type::DidFailToRenew | Type::GracePeriodExpired, _) => {
                facets.billing_retry = Some(self.by_notification(true));
            }
            (Type::Subscribed | Type::DidRenew, _) => {
                facets.billing_retry = Some(self.by_notification(false));
                facets.grace_ends_at = Some(self.by_notification(None));
            }
            (Type::PriceIncrease, subtype) => {
                let consent = if subtype == Subtype::Accepted { Consent::Accepted } else { Consent::Pending };
                let increase = PriceIncrease { consent, new_price: None, effective_at: None };
                facets.price_increase = Some(self.by_notification(Some(increase)));
            }
            _ => {}
        }
    }

    fn price_increase(&self, renewal: &Renewal<'_>) -> Option<PriceIncrease> {
        let consent = match renewal.price_increase_status? {
            0 => Consent::Pending,
            1 => Consent::Accepted,
            _ => return None,
        };
        let new_price = money(renewal.renewal_price, renewal.currency.as_deref());
        // What has ended will not be charged again.
        if matches!(self.standing(), Some(Standing::Expired | Standing::Revoked)) {
            return None;
        }
        // Apple leaves the status in place after the higher price is in force; then there is nothing to announce.
        if consent == Consent::Accepted && new_price.is_some() && new_price == self.price() {
            return None;
        }
        Some(PriceIncrease { consent, new_price, effective_at: renewal.renewal_date.map(|at| at.0) })
    }

    // Whose it is.

    fn state_owner(&self, facets: &mut Facets) {
        let by_renewal = || self.renewal.and_then(|renewal| renewal.app_account_token.as_deref());
        let owner = self.transaction.app_account_token.as_deref().or_else(by_renewal).filter(|id| !id.is_empty());
        // Absent is the normal case and takes nothing back: the purchase may have been linked otherwise.
        facets.owner = owner.map(|owner| self.by_transaction(Some(owner.to_owned())));
        if self.transaction.in_app_ownership_type.is_some() {
            facets.family_shared = Some(self.by_transaction(self.is_family_shared()));
        }
    }

    // Why Apple spoke.

    fn hint(&self) -> Hint {
        match (self.about, self.subtype) {
            (Type::Subscribed, _) => Hint::Purchased,
            (Type::OfferRedeemed, Subtype::InitialBuy | Subtype::Resubscribe) => Hint::Purchased,
            (Type::DidRenew, Subtype::BillingRecovery) => Hint::Recovered,
            (Type::DidRenew, _) => Hint::Renewed,
            (Type::DidChangeRenewalStatus, Subtype::AutoRenewEnabled) => Hint::RenewalEnabled,
            (Type::DidChangeRenewalStatus, Subtype::AutoRenewDisabled) => Hint::RenewalDisabled,
            (Type::DidChangeRenewalStatus, _) => {
                let is_on = self.renewal.and_then(|renewal| renewal.auto_renew_status) == Some(1);
                if is_on { Hint::RenewalEnabled } else { Hint::RenewalDisabled }
            }
            (Type::DidChangeRenewalPref | Type::OfferRedeemed, Subtype::Upgrade) => Hint::Upgraded,
            (Type::DidChangeRenewalPref | Type::OfferRedeemed, Subtype::Downgrade) => Hint::Downgraded,
            (Type::DidChangeRenewalPref, _) => Hint::ProductChangeCancelled,
            (Type::OfferRedeemed, _) => Hint::OfferRedeemed,
            (Type::DidFailToRenew, Subtype::GracePeriod) => Hint::GraceStarted,
            (Type::DidFailToRenew, _) => Hint::BillingRetryStarted,
            (Type::GracePeriodExpired, _) if self.standing() == Some(Standing::Expired) => Hint::Expired,
            (Type::GracePeriodExpired, _) => Hint::BillingRetryStarted,
            (Type::Expired, _) => Hint::Expired,
            (Type::PriceIncrease, _) => Hint::PriceIncrease,
            (Type::Refund, _) => Hint::Refunded,
            (Type::RefundDeclined, _) => Hint::RefundDeclined,
            (Type::RefundReversed, _) => Hint::RefundReversed,
            (Type::ConsumptionRequest, _) => Hint::RefundRequested,
            (Type::Revoke, _) => Hint::FamilyRevoked,
            (Type::RenewalExtended, _) => Hint::Extended,
            (Type::OneTimeCharge, _) => Hint::OneTimePurchased,
            (Type::Test | Type::Informative | Type::Other, _) => Hint::Answered,
        }
    }
}

impl Transaction<'_> {
    /// Older transactions name no discount type; a price of zero tells.
    fn is_free_offer(&self) -> bool {
        match self.offer_discount_type.as_deref() {
            Some(discount) => discount == "FREE_TRIAL",
            None => self.price == Some(0),
        }
    }

    fn offer(&self) -> Option<Offer> {
        offer(self.offer_type, self.is_free_offer(), self.offer_identifier.as_deref())
    }

    /// Whether its period is free.
    pub(super) fn is_free_trial(&self) -> bool {
        self.offer_type.is_some() && self.is_free_offer()
    }
}

impl Renewal<'_> {
    fn offer(&self) -> Option<Offer> {
        let is_free = self.offer_discount_type.as_deref() == Some("FREE_TRIAL");
        offer(self.offer_type, is_free, self.offer_identifier.as_deref())
    }
}

/// Canonical offers. ASSUMPTION: a win-back offer is a promotional one, and so is any type of the future.
fn offer(offer_type: Option<i64>, is_free: bool, id: Option<&str>) -> Option<Offer> {
    let offer_type = match offer_type? {
        1 if is_free => OfferType::FreeTrial,
        1 => OfferType::IntroOffer,
        3 => OfferType::PromoCode,
        _ => OfferType::PromotionalOffer,
    };
    Some(Offer { offer_type, id: id.map(str::to_owned), code: None })
}

/// Thousandths of a unit, for every currency. A negative price is no price.
fn money(thousandths: Option<i64>, currency: Option<&str>) -> Option<Money> {
    let thousandths = thousandths.filter(|amount| *amount >= 0)?;
    Some(Money::from_thousandths(thousandths, currency?.parse().ok()?))
}
