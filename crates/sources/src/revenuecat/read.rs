//! From an event to our words.
//!
//! **Keys.** A purchase is known by `original_transaction_id`, which continues across renewals. Apple's and Google's
//! periods have ids of their own (`transaction_id`); elsewhere a receipt or subscription keeps its id from period to
//! period, so there a period is known by its start.
//!
//! **Partial.** An event tells what its type is about. What it shows besides (the period on a BILLING_ISSUE, the old
//! product on a PRODUCT_CHANGE) counts only where nothing else is known ([`Statement::weak`]).
//!
//! **Order.** `event_timestamp_ms` is when RevenueCat made the event. Of the same moment, the later period counts more,
//! then BILLING_ISSUE, CANCELLATION, EXPIRATION in this order (ASSUMPTION: the tie rule is ours).

use super::wire::{Event, Type};
use crate::{Note, Reading, Transfer};
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::money::Money;
use paidup_lifecycle::observation::{
    Consent, Dated, Environment, Facets, Hint, Kind, Observation, Offer, OfferType, Origin, Pause, PendingProduct,
    Period, PeriodType, PriceIncrease, PurchaseKey, Reason, RefundFact, RefundStatus, Stamp, Standing, Store,
    TransactionFacts,
};
use paidup_lifecycle::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// RevenueCat tells one refund of a transaction.
const ONLY_REFUND: &str = "0";
/// And one failure of a period's charge, until the next renewal.
const ONLY_FAILURE: &str = "billing_issue";
/// Access that RevenueCat gives while a store is down lasts no longer.
const TEMPORARY: Duration = Duration::from_secs(86_400);

/// What an event says.
pub(super) fn read(source: SourceId, event: &Event<'_>) -> Reading {
    let Some(kind) = event.kind() else { return Reading::noted(Note::Unknown) };
    let mut reading = match kind {
        Type::Test => test(event),
        Type::Transfer => transfer(event),
        Type::TemporaryEntitlementGrant => temporary_grant(source, event),
        // An announcement without the product that it announces says nothing: what comes with it does.
        Type::ProductChange if event.new_product().is_none() => Reading::noted(Note::Informative),
        Type::InvoiceIssuance
        | Type::VirtualCurrencyTransaction
        | Type::ExperimentEnrollment
        | Type::SubscriberAlias
        | Type::PurchaseRedeemed
        | Type::PaywallImpression
        | Type::PaywallClose
        | Type::PaywallCancel
        | Type::PaywallExitOffer
        | Type::PaywallComponentInteracted => Reading::noted(Note::Informative),
        Type::InitialPurchase
        | Type::Renewal
        | Type::Cancellation
        | Type::Uncancellation
        | Type::NonRenewingPurchase
        | Type::SubscriptionPaused
        | Type::Expiration
        | Type::BillingIssue
        | Type::ProductChange
        | Type::SubscriptionExtended
        | Type::RefundReversed
        | Type::PriceIncreaseConsentRequired
        | Type::PriceIncreaseConsentApproved => match Statement::of(source, kind, event) {
            Some(statement) => Reading::observed(statement.observation()),
            // Which purchase, in which environment or when is not told: shown to the operator.
            None => Reading::noted(Note::Unknown),
        },
    };
    // A merge of customers sends no event of its own: the next event shows it.
    let ids = event.ids();
    if ids.len() > 1 && kind != Type::Test {
        reading.same.push(ids);
    }
    reading
}

fn test(event: &Event<'_>) -> Reading {
    let Some(at) = event.at() else { return Reading::noted(Note::Unknown) };
    Reading::noted(Note::Test { environment: event.environment().unwrap_or(Environment::Sandbox), at })
}

/// It names both customers and no purchase. ASSUMPTION: it is of one store, because what moves purchases is a store's
/// receipt that was restored.
fn transfer(event: &Event<'_>) -> Reading {
    let (from, to) = (event.transferred_from(), event.transferred_to());
    let (Some(at), Some(environment), false, false) = (event.at(), event.environment(), from.is_empty(), to.is_empty())
    else {
        return Reading::noted(Note::Unknown);
    };
    let same = [&from, &to].into_iter().filter(|ids| ids.len() > 1).cloned().collect();
    let transfer = Transfer { id: event.id.into(), at, environment, store: event.store_named(), from, to };
    Reading { transfers: vec![transfer], same, ..Reading::default() }
}

/// Access of at most a day while a store is down. Its product and ids may differ from those of the purchase that follows,
/// so it is a purchase of its own, which ends by date. Where RevenueCat does not say of what, it is shown only.
fn temporary_grant(source: SourceId, event: &Event<'_>) -> Reading {
    let (Some(at), Some(product)) = (event.at(), event.product()) else { return Reading::noted(Note::Informative) };
    // ASSUMPTION: where the environment is not told, as in the sample, it is what people paid for.
    let environment = event.environment().unwrap_or(Environment::Production);
    let id = format!("temporary:{}", event.transaction_id().unwrap_or(event.id));
    let statement = Statement { source, kind: Type::TemporaryEntitlementGrant, event, at, environment, purchase: id };
    let starts_at = event.purchased_at().unwrap_or(at);
    let ends_at = event.expires_at().unwrap_or(at.plus(TEMPORARY)).min(at.plus(TEMPORARY));
    if ends_at <= starts_at {
        return Reading::noted(Note::Unknown);
    }
    let mut facets = Facets {
        kind: Some(statement.dated(Kind::Grant)),
        standing: Some(statement.dated(Standing::Active)),
        product: Some(statement.dated(product.to_owned())),
        period: Some(statement.dated(Period { transaction_id: None, starts_at, ends_at: Some(ends_at) })),
        period_type: Some(statement.dated(PeriodType::Promotional)),
        ..Facets::default()
    };
    statement.tell_customer(&mut facets);
    Reading::observed(statement.observed(Hint::Purchased, facets))
}

/// An event about a purchase.
struct Statement<'a> {
    source: SourceId,
    kind: Type,
    event: &'a Event<'a>,
    at: Timestamp,
    environment: Environment,
    purchase: String,
}

impl<'a> Statement<'a> {
    /// `None`: it does not say enough.
    fn of(source: SourceId, kind: Type, event: &'a Event<'a>) -> Option<Statement<'a>> {
        let (at, environment) = (event.at()?, event.environment()?);
        let told = event.original_transaction_id().or_else(|| event.transaction_id()).map(str::to_owned);
        // ASSUMPTION: where a store has no transactions (grants), a customer has a product once.
        let by_product = || Some(format!("{}/{}", event.original_app_user_id()?, event.product()?));
        Some(Statement { source, kind, event, at, environment, purchase: told.or_else(by_product)? })
    }

    fn stamp(&self, as_of: Timestamp) -> Stamp {
        let rank = match self.kind {
            Type::ProductChange | Type::PriceIncreaseConsentRequired => 'b',
            Type::InitialPurchase | Type::NonRenewingPurchase | Type::TemporaryEntitlementGrant => 'c',
            Type::Renewal => 'd',
            Type::BillingIssue => 'f',
            Type::Cancellation => 'g',
            Type::Expiration => 'h',
            Type::RefundReversed => 'i',
            Type::Uncancellation
            | Type::SubscriptionPaused
            | Type::SubscriptionExtended
            | Type::PriceIncreaseConsentApproved => 'e',
            // No purchase is spoken of.
            Type::Test
            | Type::Transfer
            | Type::InvoiceIssuance
            | Type::VirtualCurrencyTransaction
            | Type::ExperimentEnrollment
            | Type::SubscriberAlias
            | Type::PurchaseRedeemed
            | Type::PaywallImpression
            | Type::PaywallClose
            | Type::PaywallCancel
            | Type::PaywallExitOffer
            | Type::PaywallComponentInteracted => 'a',
        };
        let period = self.event.purchased_at().map_or(0, |at| at.as_millis().max(0));
        let by: Arc<str> = format!("{period:012x}{rank}/{}", self.event.id).into();
        Stamp { as_of, origin: Origin::Notification, by }
    }

    fn dated<T>(&self, value: T) -> Dated<T> {
        Dated { value, stamp: self.stamp(self.at) }
    }

    /// Counts only as long as nothing else is known.
    fn weak<T>(&self, value: T) -> Dated<T> {
        Dated { value, stamp: self.stamp(Timestamp::MIN) }
    }

    fn observation(&self) -> Observation {
        let mut facets = Facets::default();
        self.tell_customer(&mut facets);
        self.tell_kind(&mut facets);
        self.tell_period(&mut facets);
        let hint = self.tell_own(&mut facets);
        self.observed(hint, facets)
    }

    fn observed(&self, hint: Hint, facets: Facets) -> Observation {
        Observation {
            key: PurchaseKey {
                source_id: self.source,
                environment: self.environment,
                store_purchase_id: self.purchase.clone(),
            },
            store: self.event.store(),
            id: self.event.id.into(),
            observed_at: self.at,
            origin: Origin::Notification,
            hint,
            about_transaction: None,
            facets,
            backfill: false,
            replaces: None,
            detected_by: None,
        }
    }

    fn tell_customer(&self, facets: &mut Facets) {
        facets.owner = self.event.app_user_id().map(|id| self.dated(Some(id.to_owned())));
        facets.country = self.event.country().map(|code| self.dated(Some(code)));
        for attribute in self.event.attributes() {
            // Dated by itself, so that an event that repeats it brings nothing new.
            let stamp = Stamp { as_of: attribute.updated_at, origin: Origin::Notification, by: "".into() };
            facets.attributes.insert(attribute.name.to_owned(), Dated { value: attribute.value.to_owned(), stamp });
        }
    }

    fn is_granted(&self) -> bool {
        self.event.store_named() == Some(Store::Promotional)
    }

    /// What was bought. ASSUMPTION: RevenueCat tells no kinds of what is bought once; what it maps to no entitlement gives
    /// nothing that lasts.
    fn kind_of_purchase(&self) -> Kind {
        let is_once = match self.kind {
            Type::NonRenewingPurchase => true,
            // Only what is bought once has no end.
            Type::Cancellation | Type::RefundReversed => self.event.expires_at().is_none(),
            _ => false, // the others are about subscriptions
        };
        match (is_once, self.event.expires_at()) {
            _ if self.is_granted() => Kind::Grant,
            (false, _) => Kind::Subscription,
            (true, Some(_)) => Kind::NonRenewing,
            (true, None) if self.event.has_entitlements() => Kind::NonConsumable,
            (true, None) => Kind::Consumable,
        }
    }

    /// Whether its words on kind, product and period are of what is in force.
    fn is_about_what_runs(&self) -> bool {
        match self.kind {
            Type::ProductChange | Type::BillingIssue | Type::Expiration => false,
            Type::Cancellation => self.event.cancel_reason() != Some(Reason::BillingError),
            _ => true,
        }
    }

    fn maybe_weak<T>(&self, value: T) -> Dated<T> {
        if self.is_about_what_runs() { self.dated(value) } else { self.weak(value) }
    }

    fn tell_kind(&self, facets: &mut Facets) {
        // An EXPIRATION may be of anything.
        facets.kind = Some(match self.kind {
            Type::Expiration => self.weak(self.kind_of_purchase()),
            _ => self.maybe_weak(self.kind_of_purchase()),
        });
        facets.product = self.event.product().map(|product| self.maybe_weak(product.to_owned()));
        facets.period_type = self.event.period_type().map(|period_type| self.maybe_weak(period_type));
        facets.family_shared = self.event.is_family_share().map(|shared| self.dated(shared));
    }

    /// Stores that give every period an id of its own (lifecycle.md section 2).
    fn periods_have_ids(&self) -> bool {
        matches!(self.event.store_named(), Some(Store::AppStore | Store::MacAppStore | Store::PlayStore))
    }

    fn period(&self) -> Option<Period> {
        let starts_at = self.event.purchased_at()?;
        let ends_at = self.event.expires_at();
        if ends_at.is_some_and(|end| end <= starts_at) {
            return None;
        }
        let transaction_id = self.event.transaction_id().filter(|_| self.periods_have_ids()).map(str::to_owned);
        Some(Period { transaction_id, starts_at, ends_at })
    }

    fn tell_period(&self, facets: &mut Facets) {
        // With the charge open, the end has a grace period in it on the web: that is no end of a period.
        let is_stretched = self.event.is_sold_on_the_web() && !self.is_about_what_runs();
        facets.period = self.period().filter(|_| !is_stretched).map(|period| self.maybe_weak(period));
    }

    /// The facts of the transaction that the event is about.
    fn transaction<'f>(&self, facets: &'f mut Facets) -> Option<&'f mut TransactionFacts> {
        let by_start = || self.event.purchased_at().map(|at| format!("@{at}"));
        let by_id = || self.event.transaction_id().map(str::to_owned);
        let key = if self.periods_have_ids() { by_id().or_else(by_start) } else { by_start().or_else(by_id) }?;
        let told = self.event.transaction_id().filter(|id| *id != key);
        let facts = facets.transactions.entry(key).or_default();
        facts.store_id = told.map(|id| self.dated(id.to_owned()));
        facts.product_id = self.event.product().map(|product| self.maybe_weak(product.to_owned()));
        Some(facts)
    }

    /// What the type itself says.
    fn tell_own(&self, facets: &mut Facets) -> Hint {
        match self.kind {
            Type::InitialPurchase => {
                self.tell_paid(facets);
                Hint::Purchased
            }
            Type::Renewal => {
                self.tell_paid(facets);
                Hint::Renewed
            }
            Type::NonRenewingPurchase => {
                self.tell_price(facets);
                facets.standing = Some(self.dated(Standing::Active));
                Hint::OneTimePurchased
            }
            Type::Cancellation => self.tell_cancelled(facets),
            Type::Uncancellation => {
                facets.will_renew = Some(self.dated(true));
                facets.cancel_reason = Some(self.dated(None));
                Hint::RenewalEnabled
            }
            Type::SubscriptionPaused => {
                let pause = Pause { starts_at: None, resumes_at: self.event.resumes_at() };
                facets.pause = Some(self.dated(Some(pause)));
                Hint::PauseScheduled
            }
            Type::Expiration => self.tell_expired(facets),
            Type::BillingIssue => self.tell_failed(facets),
            Type::ProductChange => {
                let product = self.event.new_product().unwrap_or_default().to_owned();
                let pending = PendingProduct { product_id: product, effective_at: None };
                facets.pending = Some(self.dated(Some(pending)));
                Hint::ProductChangeScheduled
            }
            Type::SubscriptionExtended => {
                facets.extended_until = Some(self.dated(self.event.expires_at()));
                Hint::Extended
            }
            Type::RefundReversed => {
                self.tell_refund(facets, RefundStatus::Reversed, None);
                Hint::RefundReversed
            }
            Type::PriceIncreaseConsentRequired => self.tell_price_increase(facets, Consent::Pending),
            Type::PriceIncreaseConsentApproved => self.tell_price_increase(facets, Consent::Accepted),
            // `read` takes these elsewhere.
            Type::Test
            | Type::Transfer
            | Type::TemporaryEntitlementGrant
            | Type::InvoiceIssuance
            | Type::VirtualCurrencyTransaction
            | Type::ExperimentEnrollment
            | Type::SubscriberAlias
            | Type::PurchaseRedeemed
            | Type::PaywallImpression
            | Type::PaywallClose
            | Type::PaywallCancel
            | Type::PaywallExitOffer
            | Type::PaywallComponentInteracted => Hint::Answered,
        }
    }

    /// A period was paid for, or is free: whatever was wrong with the last one is over.
    fn tell_paid(&self, facets: &mut Facets) {
        facets.standing = Some(self.dated(Standing::Active));
        // ASSUMPTION: what was just charged will be again, unless it is told otherwise. A prepaid plan never is.
        facets.will_renew = Some(self.dated(self.event.period_type() != Some(PeriodType::Prepaid)));
        facets.cancel_reason = Some(self.dated(None));
        facets.expiration_reason = Some(self.dated(None));
        facets.billing_retry = Some(self.dated(false));
        facets.grace_ends_at = Some(self.dated(None));
        facets.extended_until = Some(self.dated(None));
        facets.pause = Some(self.dated(None));
        facets.pending = Some(self.dated(None));
        facets.offer = Some(self.dated(self.offer()));
        self.tell_price(facets);
    }

    /// What the period's type and the code say of an offer. ASSUMPTION: a code on a regular price is a promotional offer's.
    fn offer(&self) -> Option<Offer> {
        let code = self.event.offer_code().map(str::to_owned);
        let (offer_type, id, code) = match (self.event.period_type()?, code) {
            (PeriodType::Trial, code) => (OfferType::FreeTrial, None, code),
            (PeriodType::Intro, None) => (OfferType::IntroOffer, None, None),
            (PeriodType::Intro, code) => (OfferType::PromoCode, None, code),
            (PeriodType::Normal | PeriodType::Promo, Some(id)) => (OfferType::PromotionalOffer, Some(id), None),
            (PeriodType::Normal | PeriodType::Promo, None) => return None,
            (PeriodType::Prepaid | PeriodType::Promotional, _) => return None,
        };
        Some(Offer { offer_type, id, code })
    }

    fn tell_price(&self, facets: &mut Facets) {
        let price = self.event.price().filter(|price| price.amount_minor >= 0);
        let told = price.map(|price| self.dated(Some(price)));
        if let Some(facts) = self.transaction(facets) {
            facts.price = told;
        }
    }

    fn tell_cancelled(&self, facets: &mut Facets) -> Hint {
        match self.event.cancel_reason() {
            Some(Reason::BillingError) => {
                self.tell_failure(facets);
                Hint::PaymentFailed
            }
            Some(Reason::CustomerSupport) => {
                // Access ends with the EXPIRATION. What is bought once has none, and what was over then loses nothing.
                let is_once = self.event.expires_at().is_none();
                let is_over = self.event.expires_at().is_some_and(|end| end <= self.at);
                self.tell_refund(facets, RefundStatus::Refunded, (!is_once).then_some(is_over));
                Hint::Refunded
            }
            _ if self.is_granted() => {
                facets.standing = Some(self.dated(Standing::Revoked));
                Hint::Revoked
            }
            reason => {
                facets.will_renew = Some(self.dated(false));
                facets.cancel_reason = Some(self.dated(Some(reason.unwrap_or(Reason::Unknown))));
                Hint::RenewalDisabled
            }
        }
    }

    fn tell_expired(&self, facets: &mut Facets) -> Hint {
        let reason = self.event.expiration_reason();
        let (standing, hint) = match reason {
            Some(Reason::SubscriptionPaused) => (Standing::Paused, Hint::Paused),
            Some(Reason::CustomerSupport) => (Standing::Revoked, Hint::Revoked),
            Some(Reason::DeveloperInitiated) if self.is_granted() => (Standing::Revoked, Hint::Revoked),
            _ => (Standing::Expired, Hint::Expired),
        };
        facets.standing = Some(self.dated(standing));
        facets.expiration_reason = Some(self.dated(reason));
        hint
    }

    /// The charge failed. Access is kept where the event says until when; where it says nothing an EXPIRATION comes along.
    fn tell_failed(&self, facets: &mut Facets) -> Hint {
        self.tell_failure(facets);
        let in_period = self.event.expires_at().filter(|_| self.event.is_sold_on_the_web());
        let Some(until) = self.event.grace_ends_at().or(in_period).filter(|until| *until > self.at) else {
            return Hint::PaymentFailed;
        };
        facets.standing = Some(self.dated(Standing::Grace));
        facets.grace_ends_at = Some(self.dated(Some(until)));
        Hint::GraceStarted
    }

    fn tell_failure(&self, facets: &mut Facets) {
        facets.billing_retry = Some(self.dated(true));
        let at = self.at;
        if let Some(facts) = self.transaction(facets) {
            facts.failures.insert(ONLY_FAILURE.to_owned(), at);
        }
    }

    fn tell_refund(&self, facets: &mut Facets, status: RefundStatus, revokes: Option<bool>) {
        let back = |price: Money| Money { amount_minor: price.amount_minor.abs(), ..price };
        let amount = self.event.price().map(back).filter(|amount| amount.amount_minor != 0);
        let fact = self.dated(RefundFact { status, amount, revokes, family: false });
        if let Some(facts) = self.transaction(facets) {
            facts.refunds.insert(ONLY_REFUND.to_owned(), fact);
        }
    }

    fn tell_price_increase(&self, facets: &mut Facets, consent: Consent) -> Hint {
        let increase = PriceIncrease { consent, new_price: None, effective_at: None };
        facets.price_increase = Some(self.dated(Some(increase)));
        Hint::PriceIncrease
    }
}
