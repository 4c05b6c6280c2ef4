//! RevenueCat's documented flows, from what stores say through the engine to what is told
//! (<https://www.revenuecat.com/docs/integrations/webhooks/event-flows>).

use super::super::{Message, Options, RcType, integration_events, messages};
use super::codes;
use crate::catalogue::{Catalogue, grant_product_id};
use crate::customer::Customer;
use crate::engine::{self, Context, Input, grants};
use crate::entitlement::{Sealing, seal};
use crate::event::Event;
use crate::ids::{CustomerId, SourceId};
use crate::money::{Currency, Money};
use crate::observation::{
    Dated, Environment, Facets, Hint, Kind, Observation, Offer, OfferType, Origin, Pause, PendingProduct, Period,
    PeriodType, PurchaseKey, Reason, RefundFact, RefundStatus, Stamp, Standing, Store, TransactionFacts,
};
use crate::purchase::Purchase;
use crate::time::Timestamp;
use std::time::Duration;

/// Day `n` of the story.
fn day(n: u64) -> Timestamp {
    Timestamp::from_millis_clamped(1_767_225_600_000).plus(Duration::from_secs(86_400) * u32::try_from(n).unwrap())
}

/// One purchase, its customer, and what was told so far.
struct Life {
    purchase: Purchase,
    customer: Customer,
    catalogue: Catalogue,
    entry: u64,
}

impl Life {
    fn new(store: Store) -> Life {
        let customer = Customer::new(CustomerId::derive(&[b"flow"]), day(0));
        Life {
            purchase: Purchase::new(Life::key(), store, customer.id),
            customer,
            catalogue: Catalogue::default(),
            entry: 0,
        }
    }

    fn key() -> PurchaseKey {
        PurchaseKey {
            source_id: SourceId::derive(&[b"flow"]),
            environment: Environment::Production,
            store_purchase_id: "flow".to_owned(),
        }
    }

    /// The store says something.
    fn says(&mut self, on: u64, hint: Hint, said: impl FnOnce(&mut Says)) -> Vec<Event> {
        self.entry += 1;
        let stamp = Stamp { as_of: day(on), origin: Origin::Notification, by: format!("n{}", self.entry).into() };
        let mut says = Says { facets: Facets::default(), stamp: stamp.clone() };
        says.facets.kind = says.dated(Kind::Subscription);
        said(&mut says);
        let observation = Observation {
            key: Life::key(),
            store: self.purchase.store,
            id: stamp.by,
            observed_at: stamp.as_of,
            origin: Origin::Notification,
            hint,
            about_transaction: None,
            facets: says.facets,
            backfill: false,
            replaces: None,
            detected_by: None,
        };
        self.takes(on, &Input::Observed(observation))
    }

    fn takes(&mut self, on: u64, input: &Input) -> Vec<Event> {
        let context = Context {
            catalogue: &self.catalogue,
            can_ask: true,
            owner: None,
            price_follows: false,
            had_before: false,
            owner_ids: &[],
            new_owner_ids: &[],
            merges: false,
        };
        let outcome = engine::advance(self.purchase.clone(), input, &context, day(on));
        let sealing = Sealing { catalogue: &self.catalogue, entry: self.entry, now: day(on), first_index: 0 };
        let (purchase, events) = seal(outcome, &mut self.customer, None, &sealing);
        self.purchase = purchase;
        events
    }
}

/// What one notification says.
struct Says {
    facets: Facets,
    stamp: Stamp,
}

impl Says {
    fn dated<T>(&self, value: T) -> Option<Dated<T>> {
        Some(Dated { value, stamp: self.stamp.clone() })
    }

    fn standing(&mut self, standing: Standing) {
        self.facets.standing = self.dated(standing);
    }

    /// A period of `product`, number `n`, in these days, that cost so many cents.
    fn period(&mut self, n: u32, product: &str, days: std::ops::Range<u64>, cents: i64) {
        let id = format!("t{n}");
        let period =
            Period { transaction_id: Some(id.clone()), starts_at: day(days.start), ends_at: Some(day(days.end)) };
        let price = Money { amount_minor: cents, currency: Currency::USD };
        self.facets.period = self.dated(period.clone());
        self.facets.product = self.dated(product.to_owned());
        let facts = TransactionFacts {
            product_id: self.dated(product.to_owned()),
            period: self.dated(period),
            price: self.dated(Some(price)),
            ..TransactionFacts::default()
        };
        self.facets.transactions.insert(id, facts);
        let is_free = cents == 0;
        let trial = is_free.then_some(Offer { offer_type: OfferType::FreeTrial, id: None, code: None });
        self.facets.offer = self.dated(trial);
        self.facets.period_type = self.dated(if is_free { PeriodType::Trial } else { PeriodType::Normal });
        self.renews(true, None);
        self.standing(Standing::Active);
    }

    fn renews(&mut self, will_renew: bool, reason: Option<Reason>) {
        self.facets.will_renew = self.dated(will_renew);
        self.facets.cancel_reason = self.dated(reason);
    }

    fn expired(&mut self, reason: Reason) {
        self.standing(Standing::Expired);
        self.facets.will_renew = self.dated(false);
        self.facets.expiration_reason = self.dated(Some(reason));
    }

    fn refunded(&mut self, transaction: &str) {
        let refund = RefundFact { status: RefundStatus::Refunded, amount: None, revokes: Some(true), family: false };
        let facts = TransactionFacts {
            refunds: [("0".to_owned(), Dated { value: refund, stamp: self.stamp.clone() })].into(),
            ..TransactionFacts::default()
        };
        self.facets.transactions.insert(transaction.to_owned(), facts);
        self.standing(Standing::Revoked);
    }
}

fn told(events: &[Event]) -> Vec<Message> {
    events.iter().flat_map(|event| messages(event, &Options::webhook())).collect()
}

/// Asserts what is told of one step.
#[track_caller]
fn tells(events: &[Event], expected: &str) {
    let types: Vec<_> = events.iter().map(|event| event.event_type.as_str()).collect();
    assert_eq!(codes(&told(events)), expected, "of {types:?}");
}

fn bought(store: Store, cents: i64) -> Life {
    let mut life = Life::new(store);
    let expected = if cents == 0 { "IP.T" } else { "IP+" };
    tells(&life.says(0, Hint::Purchased, |says| says.period(1, "monthly", 0..30, cents)), expected);
    life
}

#[test]
fn bought_cancelled_lapsed() {
    let mut life = bought(Store::AppStore, 999);
    tells(&life.says(5, Hint::RenewalDisabled, |says| says.renews(false, Some(Reason::Unsubscribe))), "CA/U");
    tells(&life.says(6, Hint::RenewalEnabled, |says| says.renews(true, None)), "UC");
    tells(&life.says(7, Hint::RenewalDisabled, |says| says.renews(false, Some(Reason::Unsubscribe))), "CA/U");
    tells(&life.says(30, Hint::Expired, |says| says.expired(Reason::Unsubscribe)), "EX/U");
    tells(&life.says(60, Hint::Purchased, |says| says.period(2, "monthly", 60..90, 999)), "RN+");
}

#[test]
fn a_trial_converts_or_lapses() {
    let mut life = bought(Store::AppStore, 0);
    tells(&life.says(30, Hint::Renewed, |says| says.period(2, "monthly", 30..60, 999)), "RN!+");
    let mut life = bought(Store::AppStore, 0);
    tells(&life.says(5, Hint::RenewalDisabled, |says| says.renews(false, Some(Reason::Unsubscribe))), "CA/U.T");
    tells(&life.says(30, Hint::Expired, |says| says.expired(Reason::Unsubscribe)), "EX/U.T");
    tells(&life.says(60, Hint::Purchased, |says| says.period(2, "monthly", 60..90, 999)), "RN!+");
}

/// The store never said that renewal was off: RevenueCat says it before the end.
#[test]
fn an_unannounced_end() {
    let mut life = bought(Store::AppStore, 999);
    tells(&life.says(30, Hint::Expired, |says| says.expired(Reason::PriceIncrease)), "CA/I EX/I");
}

#[test]
fn a_failed_charge_without_grace() {
    let mut life = bought(Store::AppStore, 999);
    let failed = life.says(30, Hint::BillingRetryStarted, |says| says.standing(Standing::BillingRetry));
    tells(&failed, "BI CA/B EX/B");
    tells(&life.says(33, Hint::Recovered, |says| says.period(2, "monthly", 33..63, 999)), "RN+");
}

#[test]
fn a_failed_charge_with_grace() {
    let in_grace = |life: &mut Life| {
        life.says(30, Hint::GraceStarted, |says| {
            says.standing(Standing::Grace);
            says.facets.grace_ends_at = says.dated(Some(day(36)));
        })
    };
    let mut life = bought(Store::AppStore, 999);
    tells(&in_grace(&mut life), "BI CA/B");
    tells(&life.says(33, Hint::Recovered, |says| says.period(2, "monthly", 30..60, 999)), "RN+");

    let mut life = bought(Store::AppStore, 999);
    tells(&in_grace(&mut life), "BI CA/B");
    let retry = life.says(36, Hint::BillingRetryStarted, |says| says.standing(Standing::BillingRetry));
    tells(&retry, "EX/B");
    tells(&life.says(90, Hint::Expired, |says| says.expired(Reason::BillingError)), "-");

    let mut life = bought(Store::AppStore, 999);
    tells(&in_grace(&mut life), "BI CA/B");
    tells(&life.says(36, Hint::Expired, |says| says.expired(Reason::BillingError)), "EX/B");
}

#[test]
fn a_refund() {
    let mut life = bought(Store::AppStore, 999);
    tells(&life.says(5, Hint::Refunded, |says| says.refunded("t1")), "CA/C- EX/C");
}

#[test]
fn a_pause() {
    let mut life = bought(Store::PlayStore, 999);
    let planned = |says: &mut Says| {
        says.facets.pause = says.dated(Some(Pause { starts_at: Some(day(30)), resumes_at: Some(day(60)) }));
    };
    tells(&life.says(5, Hint::PauseScheduled, planned), "SP");
    tells(&life.says(30, Hint::Paused, |says| says.standing(Standing::Paused)), "EX/P");
    let resumed = life.says(60, Hint::Resumed, |says| {
        says.period(2, "monthly", 60..90, 999);
        says.facets.pause = says.dated(None);
    });
    tells(&resumed, "RN+");
}

#[test]
fn a_product_change() {
    for (store, expected) in
        [(Store::AppStore, "PC RN+"), (Store::Stripe, "PC RN+"), (Store::PlayStore, "PC IP+"), (Store::Amazon, "IP+")]
    {
        let mut life = bought(store, 999);
        let changed = life.says(5, Hint::Upgraded, |says| says.period(2, "yearly", 5..370, 9900));
        tells(&changed, expected);
        let change = told(&changed).into_iter().find(|message| message.rc_type == RcType::ProductChange);
        if let Some(change) = change {
            assert_eq!(change.product_id.as_deref(), Some("monthly"), "{store}");
            assert_eq!(change.new_product_id.as_deref(), Some("yearly"), "{store}");
        }
    }
    let mut life = bought(Store::AppStore, 999);
    let planned = life.says(5, Hint::ProductChangeScheduled, |says| {
        let pending = PendingProduct { product_id: "weekly".to_owned(), effective_at: None };
        says.facets.pending = says.dated(Some(pending));
    });
    tells(&planned, "PC");
    let renewed = life.says(30, Hint::Renewed, |says| {
        says.period(2, "weekly", 30..37, 299);
        says.facets.pending = says.dated(None);
    });
    tells(&renewed, "RN+");
}

#[test]
fn a_grant() {
    for (period_type, given, removed) in [
        (PeriodType::Promotional, "NON_SUBSCRIPTION_PURCHASE", "CANCELLATION"),
        (PeriodType::Trial, "TRIAL_STARTED", "TRIAL_CANCELLED"),
    ] {
        let mut life = Life::new(Store::Promotional);
        let grant = grants::Grant {
            product_id: grant_product_id("pro", "custom"),
            starts_at: day(0),
            ends_at: Some(day(30)),
            period_type,
        };
        let events = life.takes(0, &Input::Observed(grants::given(Life::key(), "g1".into(), day(0), &grant, true)));
        tells(&events, "NP.G");
        assert_eq!(named(&events), [given]);
        let mut early =
            Life { purchase: life.purchase.clone(), customer: life.customer.clone(), ..Life::new(Store::Promotional) };
        let events = early.takes(5, &Input::Observed(grants::removed(Life::key(), "g2".into(), day(5))));
        tells(&events, "CA/D.G EX/D.G");
        assert_eq!(named(&events), [removed, "EXPIRATION"]);
        tells(&life.takes(31, &Input::Tick), "EX/?.G");
    }
}

#[test]
fn a_trial_grant_that_is_bought() {
    let mut life = Life::new(Store::Promotional);
    let grant = grants::Grant {
        product_id: grant_product_id("pro", "custom"),
        starts_at: day(0),
        ends_at: Some(day(30)),
        period_type: PeriodType::Trial,
    };
    life.takes(0, &Input::Observed(grants::given(Life::key(), "g1".into(), day(0), &grant, true)));
    let events = life.takes(5, &Input::Converted);
    tells(&events, "-");
    assert_eq!(named(&events), ["TRIAL_CONVERTED"]);
}

/// What Intercom is told.
fn named(events: &[Event]) -> Vec<&'static str> {
    let options = Options::intercom();
    events.iter().flat_map(|event| integration_events(event, &options)).map(|told| told.event.as_str()).collect()
}
