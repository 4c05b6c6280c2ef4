//! Properties over generated lives: partial facets of all kinds, equal times, repeated refunds, changing owners, in any
//! order and with repeats.

use crate::world::{Shop, World};
use paidup_lifecycle::engine::{Input, state};
use paidup_lifecycle::event::{Event, EventType, MoneyKind};
use paidup_lifecycle::money::{Currency, Money};
use paidup_lifecycle::observation::{
    Dated, Facets, Hint, Kind, Observation, Offer, OfferType, Origin, Pause, PendingProduct, Period, PeriodType,
    Reason, RefundFact, RefundStatus, Stamp, Standing, Store, TransactionFacts,
};
use paidup_lifecycle::purchase::State;
use paidup_lifecycle::time::Timestamp;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const DAY: i64 = 86_400_000;
const PRODUCTS: [&str; 3] = ["basic", "pro", "unmapped"];
const OWNERS: [&str; 3] = ["anna", "bert", "carl"];

fn day(number: i64) -> Timestamp {
    Timestamp::from_millis(1_767_225_600_000 + number * DAY).unwrap()
}

/// What a generated observation says. Small ranges, so that times, transactions and refunds collide often.
#[derive(Debug, Clone)]
struct Saying {
    at: i64,
    hint: Hint,
    origin: Origin,
    standing: Option<Standing>,
    period: Option<(u8, Option<i64>, bool)>,
    product: Option<usize>,
    offer: Option<Option<OfferType>>,
    period_type: Option<PeriodType>,
    will_renew: Option<bool>,
    grace: Option<Option<i64>>,
    pause: Option<Option<(Option<i64>, Option<i64>)>>,
    pending: Option<Option<(usize, Option<i64>)>>,
    extended: Option<Option<i64>>,
    pause_changed: Option<bool>,
    start_is_bound: Option<bool>,
    price: Option<(u8, i64)>,
    refund: Option<(u8, u8, RefundStatus, Option<bool>)>,
    failure: Option<(u8, u8)>,
    owner: Option<usize>,
}

fn maybe<T: Clone + std::fmt::Debug + 'static>(
    one_in: u32,
    some: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = Option<T>> {
    prop_oneof![one_in - 1 => Just(None), 1 => some.prop_map(Some)]
}

fn one_of<T: Clone + std::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = T> {
    (0..all.len()).prop_map(move |index| all[index].clone())
}

const PERIOD_TYPES: [PeriodType; 4] = [PeriodType::Trial, PeriodType::Intro, PeriodType::Normal, PeriodType::Prepaid];

fn saying() -> impl Strategy<Value = Saying> {
    let days = || 0..60i64;
    let first = (
        days(),
        one_of(Hint::ALL),
        prop_oneof![3 => Just(Origin::Notification), 1 => Just(Origin::Answer)],
        maybe(2, one_of(Standing::ALL)),
        maybe(2, (0..5u8, maybe(2, days()), any::<bool>())),
        maybe(2, 0..PRODUCTS.len()),
        maybe(4, maybe(2, one_of(OfferType::ALL))),
        maybe(3, one_of(&PERIOD_TYPES)),
        maybe(3, any::<bool>()),
    );
    let second = (
        maybe(4, maybe(2, days())),
        maybe(6, maybe(2, (maybe(2, days()), maybe(2, days())))),
        maybe(5, maybe(2, (0..PRODUCTS.len(), maybe(2, days())))),
        maybe(8, maybe(2, days())),
        maybe(3, (0..5u8, 0..3i64)),
        maybe(4, (0..5u8, 0..2u8, one_of(RefundStatus::ALL), maybe(2, any::<bool>()))),
        maybe(6, (0..5u8, 0..3u8)),
        maybe(5, 0..OWNERS.len()),
        (maybe(6, Just(true)), maybe(4, any::<bool>())),
    );
    (first, second).prop_map(|(first, second)| {
        let (at, hint, origin, standing, period, product, offer, period_type, will_renew) = first;
        let (grace, pause, pending, extended, price, refund, failure, owner, marks) = second;
        Saying {
            at,
            hint,
            origin,
            standing,
            period,
            product,
            offer,
            period_type,
            will_renew,
            grace,
            pause,
            pending,
            extended,
            pause_changed: marks.0,
            start_is_bound: marks.1,
            price,
            refund,
            failure,
            owner,
        }
    })
}

fn transaction(number: u8) -> String {
    format!("t{number}")
}

impl Saying {
    /// `number` makes the observation's id: two sayings of one time are ordered by it, as stores' ids order theirs.
    fn observation(&self, number: usize, kind: Kind) -> Observation {
        let id: std::sync::Arc<str> = format!("n{number:02}").into();
        let stamp = Stamp { as_of: day(self.at), origin: self.origin, by: id.clone() };
        let dated = |facets: &mut Facets| {
            facets.kind = put(Some(kind), &stamp);
            facets.standing = put(self.standing, &stamp);
            facets.product = put(self.product.map(|index| PRODUCTS[index].to_owned()), &stamp);
            facets.period_type = put(self.period_type, &stamp);
            facets.will_renew = put(self.will_renew, &stamp);
            facets.grace_ends_at = put(self.grace.map(|until| until.map(day)), &stamp);
            facets.extended_until = put(self.extended.map(|until| until.map(day)), &stamp);
        };
        let mut facets = Facets::default();
        dated(&mut facets);
        facets.period = put(
            self.period.map(|(number, length, named)| Period {
                transaction_id: named.then(|| transaction(number)),
                starts_at: day(i64::from(number) * 10),
                ends_at: length.map(|length| day(i64::from(number) * 10 + length)),
            }),
            &stamp,
        );
        let offer = |offer_type| Offer { offer_type, id: None, code: None };
        facets.offer = put(self.offer.map(|told| told.map(offer)), &stamp);
        let pause =
            |(from, until): (Option<i64>, Option<i64>)| Pause { starts_at: from.map(day), resumes_at: until.map(day) };
        facets.pause = put(self.pause.map(|told| told.map(pause)), &stamp);
        facets.pause_changed_at = self.pause_changed.map(|_| day(self.at)).into_iter().collect();
        facets.start_is_bound = put(self.start_is_bound.filter(|_| facets.period.is_some()), &stamp);
        let pending = |(index, at): (usize, Option<i64>)| PendingProduct {
            product_id: PRODUCTS[index].to_owned(),
            effective_at: at.map(day),
        };
        facets.pending = put(self.pending.map(|told| told.map(pending)), &stamp);
        facets.owner = put(self.owner.map(|index| Some(OWNERS[index].to_owned())), &stamp);
        self.transactions(&mut facets, &stamp);
        Observation {
            key: World::key("shop"),
            store: Store::External,
            id,
            observed_at: day(self.at),
            origin: self.origin,
            // The carriers' hold depends on when it was heard (section 5): it has its own stories.
            hint: if self.hint == Hint::Replaced { Hint::Answered } else { self.hint },
            about_transaction: None,
            facets,
            backfill: false,
            replaces: None,
            detected_by: None,
        }
    }

    fn transactions(&self, facets: &mut Facets, stamp: &Stamp) {
        let eur: Currency = "EUR".parse().unwrap();
        let mut of = |number: u8, change: &mut dyn FnMut(&mut TransactionFacts)| {
            change(facets.transactions.entry(transaction(number)).or_default());
        };
        if let Some((number, _)) = self.price {
            // A price is a fact of the transaction: all who name it name the same.
            let money = Money { amount_minor: i64::from(number) * 100, currency: eur };
            of(number, &mut |facts| facts.price = put(Some(Some(money)), stamp));
        }
        if let Some((number, refund, status, revokes)) = self.refund {
            let value = RefundFact { status, amount: None, revokes, family: refund == 1 };
            of(number, &mut |facts| {
                facts.refunds.insert(refund.to_string(), Dated { value: value.clone(), stamp: stamp.clone() });
            });
        }
        if let Some((number, attempt)) = self.failure {
            of(number, &mut |facts| {
                facts.failures.insert(format!("a{attempt}"), stamp.as_of);
            });
        }
    }
}

fn put<T>(value: Option<T>, stamp: &Stamp) -> Option<Dated<T>> {
    value.map(|value| Dated { value, stamp: stamp.clone() })
}

fn world(can_ask: bool, price_follows: bool) -> World {
    let mut world = World::new();
    world.product("basic", Some(1), Some("plans"), &["basic"]);
    world.product("pro", Some(2), Some("plans"), &["basic", "pro"]);
    let shop = Shop { store: Store::External, can_ask, price_follows, had_before: false };
    world.shops.insert("shop".to_owned(), shop);
    world
}

/// Lives a life: `ticks` says before which observations the clock runs.
fn live(sayings: &[Saying], order: &[usize], ticks: &[bool], kind: Kind, ask: bool, wait: bool) -> (World, Vec<Event>) {
    let mut world = world(ask, wait);
    let mut events = Vec::new();
    for (place, index) in order.iter().enumerate() {
        let saying = &sayings[*index];
        let observation = saying.observation(*index, kind);
        // We hear of it after everything was said, so that the clock runs on what is known and not on when it came.
        let now = day(60);
        let owner = saying.owner.map(|index| OWNERS[index]);
        events.extend(world.give("shop", &Input::Observed(observation), owner, now).events);
        if ticks.get(place).copied().unwrap_or(false) {
            events.extend(world.give("shop", &Input::Tick, None, now).events);
        }
    }
    if !ask {
        events.extend(world.clock("shop", day(200)).events);
    }
    (world, events)
}

#[derive(Debug, PartialEq)]
struct Ending {
    state: State,
    product: Option<String>,
    periods: u32,
    money: BTreeMap<String, Money>,
    entitlements: Vec<String>,
    owner: String,
}

fn ending(world: &World) -> Ending {
    let purchase = &world.purchases["shop"];
    Ending {
        state: purchase.state,
        product: state::product_of(purchase).map(str::to_owned),
        periods: purchase.periods,
        money: purchase.told.clone(),
        entitlements: world.active("shop"),
        owner: world.customers[&purchase.customer].aliases.join(" "),
    }
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![6 => Just(Kind::Subscription), 1 => one_of(Kind::ALL)]
}

fn order(length: usize) -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(0..length, 0..length)
        .prop_flat_map(move |repeats| Just((0..length).chain(repeats).collect::<Vec<_>>()).prop_shuffle())
}

fn lives() -> impl Strategy<Value = (Vec<Saying>, Vec<usize>, Vec<usize>, Kind, bool, bool)> {
    proptest::collection::vec(saying(), 1..9).prop_flat_map(|sayings| {
        let length = sayings.len();
        (Just(sayings), order(length), order(length), kinds(), any::<bool>(), any::<bool>())
    })
}

/// Few enough to be quick beside other work; `PROPTEST_CASES=5000` for a long look.
fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(64);
    ProptestConfig { cases, max_shrink_iters: 3000, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    /// Any order, any number of repeats: the same state, product, number of periods, money told, access and owner.
    #[test]
    fn arrival_order_does_not_matter((sayings, one, other, kind, ask, wait) in lives()) {
        let (first, _) = live(&sayings, &one, &[], kind, ask, wait);
        let (second, _) = live(&sayings, &other, &[], kind, ask, wait);
        prop_assert_eq!(ending(&first), ending(&second));
    }

    /// The clock between observations changes nothing in the end, where dates decide.
    #[test]
    fn ticks_in_between_do_not_matter(
        (sayings, one, other, kind, _, wait) in lives(),
        ticks in proptest::collection::vec(any::<bool>(), 0..16),
    ) {
        let (first, _) = live(&sayings, &one, &ticks, kind, false, wait);
        let (second, _) = live(&sayings, &other, &[], kind, false, wait);
        prop_assert_eq!(ending(&first), ending(&second));
    }

    /// Access is only ever moved by ACTIVATE and DEACTIVATE: exactly one DEACTIVATE per edge, and folding the events
    /// gives the state's own answer (`World` checks the entitlement snapshots after every input).
    #[test]
    fn access_follows_its_events(
        (sayings, one, _, kind, ask, wait) in lives(),
        ticks in proptest::collection::vec(any::<bool>(), 0..16),
    ) {
        let (world, events) = live(&sayings, &one, &ticks, kind, ask, wait);
        let mut on: BTreeSet<String> = BTreeSet::new();
        for event in &events {
            let who = event.customer.app_user_id.clone();
            match event.event_type {
                EventType::Activate => { on.insert(who); }
                EventType::Deactivate => prop_assert!(on.remove(&who), "a DEACTIVATE without access before it"),
                _ => {}
            }
        }
        let purchase = &world.purchases["shop"];
        if purchase.state.has_access() && kind != Kind::Consumable {
            let owner = &world.customers[&purchase.customer].aliases[0];
            prop_assert_eq!(on.into_iter().collect::<Vec<_>>(), vec![owner.clone()]);
        } else if kind != Kind::Consumable {
            prop_assert!(on.is_empty(), "{:?} still have access", on);
        }
    }

    /// Money is told once per fact, totals are what was told, and no money is told that no store named.
    #[test]
    fn money_is_told_once((sayings, one, _, kind, ask, wait) in lives()) {
        let (world, events) = live(&sayings, &one, &[], kind, ask, wait);
        let mut seen = BTreeSet::new();
        let mut sum = 0;
        for event in events.iter().filter(|event| event.event_type == EventType::TransactionProcessed) {
            let transaction = event.transaction.as_ref().unwrap();
            let money = transaction.money.unwrap();
            prop_assert_ne!(money.amount_minor, 0);
            prop_assert_eq!(transaction.kind == Some(MoneyKind::Refund), money.amount_minor < 0);
            prop_assert!(seen.insert((transaction.id.clone(), transaction.kind, transaction.refund_id.clone())));
            sum += money.amount_minor;
        }
        let totals: i64 = world.customers.values().flat_map(|customer| customer.totals.values()).sum();
        prop_assert_eq!(totals, sum);
        prop_assert_eq!(world.purchases["shop"].told.len(), seen.len());
    }

    /// Each attempt of the store is told at most once, each refund's request and refusal too.
    #[test]
    fn one_off_facts_are_told_once((sayings, one, _, kind, ask, wait) in lives()) {
        let (_, events) = live(&sayings, &one, &[], kind, ask, wait);
        let mut seen = BTreeSet::new();
        for event in events.iter().filter(|event| event.event_type == EventType::PaymentFailed) {
            let transaction = event.transaction.as_ref().unwrap();
            prop_assert!(seen.insert((transaction.id.clone(), transaction.attempt_id.clone())));
        }
    }

    /// The same inputs give the same bytes.
    #[test]
    fn advance_is_a_function((sayings, one, _, kind, ask, wait) in lives()) {
        let (_, first) = live(&sayings, &one, &[], kind, ask, wait);
        let (_, second) = live(&sayings, &one, &[], kind, ask, wait);
        prop_assert_eq!(serde_json::to_string(&first).unwrap(), serde_json::to_string(&second).unwrap());
    }
}

/// A life longer than what a purchase keeps: the count goes on, nothing old is told again, the row stays small.
#[test]
fn a_long_life_stays_small() {
    let mut world = world(true, false);
    let eur: Currency = "EUR".parse().unwrap();
    let period = |number: i64| {
        let id: std::sync::Arc<str> = format!("n{number:03}").into();
        let stamp = Stamp { as_of: day(number * 30), origin: Origin::Notification, by: id.clone() };
        let transaction_id = Some(format!("t{number:03}"));
        let period = Period { transaction_id, starts_at: day(number * 30), ends_at: Some(day(number * 30 + 30)) };
        let mut facets = Facets {
            standing: put(Some(Standing::Active), &stamp),
            period: put(Some(period), &stamp),
            product: put(Some("pro".to_owned()), &stamp),
            cancel_reason: put(Some(Some(Reason::Unknown)), &stamp),
            ..Facets::default()
        };
        let price = put(Some(Some(Money { amount_minor: 100, currency: eur })), &stamp);
        facets.transactions.insert(format!("t{number:03}"), TransactionFacts { price, ..TransactionFacts::default() });
        Observation {
            key: World::key("shop"),
            store: Store::External,
            id,
            observed_at: day(number * 30),
            origin: Origin::Notification,
            hint: if number == 0 { Hint::Purchased } else { Hint::Renewed },
            about_transaction: None,
            facets,
            backfill: false,
            replaces: None,
            detected_by: None,
        }
    };
    for number in 0..200 {
        let told = world.give("shop", &Input::Observed(period(number)), None, day(number * 30));
        assert_eq!(told.events.len(), 3, "period {number}");
    }
    for number in 0..200 {
        let told = world.give("shop", &Input::Observed(period(number)), None, day(6001));
        assert!(told.events.is_empty(), "period {number} is told again: {:?}", told.rows);
    }
    let purchase = &world.purchases["shop"];
    assert_eq!(purchase.periods, 200);
    assert!(purchase.told.len() <= 70, "{} money facts are kept", purchase.told.len());
    assert!(serde_json::to_vec(purchase).unwrap().len() < 12_000, "the row stays small");
}
