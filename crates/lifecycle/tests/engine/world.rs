//! A small world around the engine for tests: a catalogue, customers, purchases and a clock that is moved by hand.
//! After every input it checks what must always hold.

use paidup_lifecycle::catalogue::{Catalogue, Entitlement, Product};
use paidup_lifecycle::customer::Customer;
use paidup_lifecycle::dialects::revenuecat;
use paidup_lifecycle::engine::{Context, Draft, Input, Question, advance, transitions};
use paidup_lifecycle::entitlement::{Sealing, seal, unlocked_now};
use paidup_lifecycle::event::{Event, EventType};
use paidup_lifecycle::ids::{CustomerId, ProductId, PurchaseId, SourceId};
use paidup_lifecycle::observation::{Environment, PurchaseKey, Store};
use paidup_lifecycle::purchase::Purchase;
use paidup_lifecycle::time::Timestamp;
use std::collections::BTreeMap;

/// Where purchases come from, and what it can do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shop {
    pub(crate) store: Store,
    pub(crate) can_ask: bool,
    pub(crate) price_follows: bool,
    pub(crate) had_before: bool,
}

pub(crate) struct World {
    pub(crate) catalogue: Catalogue,
    pub(crate) shops: BTreeMap<String, Shop>,
    pub(crate) purchases: BTreeMap<String, Purchase>,
    pub(crate) customers: BTreeMap<CustomerId, Customer>,
    entry: u64,
}

/// What one input came to.
pub(crate) struct Told {
    pub(crate) rows: Vec<&'static str>,
    pub(crate) events: Vec<Event>,
    pub(crate) questions: Vec<Question>,
}

impl World {
    pub(crate) fn new() -> World {
        World {
            catalogue: Catalogue::default(),
            shops: BTreeMap::new(),
            purchases: BTreeMap::new(),
            customers: BTreeMap::new(),
            entry: 0,
        }
    }

    pub(crate) fn product(&mut self, id: &str, rank: Option<i32>, group: Option<&str>, unlocks: &[&str]) {
        for entitlement in unlocks {
            let entitlement = Entitlement { id: (*entitlement).to_owned(), name: None, sku_id: None };
            self.catalogue.entitlements.insert(entitlement.id.clone(), entitlement);
        }
        let product = Product {
            id: ProductId::derive(&[id.as_bytes()]),
            product_id: id.to_owned(),
            store: None,
            name: Some(id.to_owned()),
            entitlements: unlocks.iter().map(|entitlement| (*entitlement).to_owned()).collect(),
            rank,
            group: group.map(str::to_owned),
            sku_id: None,
            kind: None,
        };
        self.catalogue.revision += 1;
        self.catalogue.products.insert((id.to_owned(), None), product);
    }

    pub(crate) fn customer(&mut self, name: &str) -> CustomerId {
        let id = CustomerId::derive(&[name.as_bytes()]);
        self.customers.entry(id).or_insert_with(|| {
            let mut customer = Customer::new(id, Timestamp::MIN);
            customer.aliases.push(name.to_owned());
            customer
        });
        id
    }

    pub(crate) fn key(shop: &str) -> PurchaseKey {
        PurchaseKey {
            source_id: SourceId::derive(&[shop.as_bytes()]),
            environment: Environment::Production,
            store_purchase_id: format!("{shop}-purchase"),
        }
    }

    /// Gives `input` to the purchase of `shop`. `owner` is the customer that the input names.
    pub(crate) fn give(&mut self, shop: &str, input: &Input, owner: Option<&str>, now: Timestamp) -> Told {
        let settings = self.shops[shop];
        let named = owner.map(|name| self.customer(name));
        let first_owner = named.unwrap_or_else(|| self.customer("anonymous"));
        let purchase =
            self.purchases.remove(shop).unwrap_or_else(|| Purchase::new(World::key(shop), settings.store, first_owner));
        let former_id = purchase.customer;
        let new_id = match input {
            Input::Moved { to } => *to,
            _ => named.unwrap_or(former_id),
        };
        let owner_ids = self.customers[&former_id].aliases.clone();
        let new_owner_ids = self.customers[&new_id].aliases.clone();
        let context = Context {
            catalogue: &self.catalogue,
            can_ask: settings.can_ask,
            owner: named,
            price_follows: settings.price_follows,
            had_before: settings.had_before,
            owner_ids: &owner_ids,
            new_owner_ids: &new_owner_ids,
            merges: false,
        };
        let seq = purchase.seq;
        let outcome = advance(purchase, input, &context, now);
        assert_eq!(outcome.purchase.seq, seq + outcome.events.len() as u64, "seq counts the events");
        assert_eq!(outcome.next_deadline, outcome.purchase.next_deadline);
        check_drafts(&outcome.events, &outcome.purchase);
        let rows = outcome.events.iter().map(|draft| draft.row).collect();
        let questions = outcome.questions.clone();
        let events = self.seal(shop, outcome, former_id, now);
        self.check_subscriber(self.purchases[shop].customer, now);
        Told { rows, events, questions }
    }

    /// Whoever reads RevenueCat's customer decides by its dates, and must come to what the hub says.
    fn check_subscriber(&self, id: CustomerId, now: Timestamp) {
        let mine: Vec<Purchase> = self.purchases.values().filter(|one| one.customer == id).cloned().collect();
        let shown = revenuecat::subscriber(&self.customers[&id], &mine, &self.catalogue, "someone", now);
        let lies_ahead =
            |at: &serde_json::Value| at.as_str().is_some_and(|at| at.parse::<Timestamp>().is_ok_and(|at| at > now));
        let entitlements = shown["subscriber"]["entitlements"].as_object().unwrap();
        let active: Vec<String> = entitlements
            .iter()
            .filter(|(_, one)| {
                one["expires_date"].is_null()
                    || lies_ahead(&one["expires_date"])
                    || lies_ahead(&one["grace_period_expires_date"])
            })
            .map(|(id, _)| id.clone())
            .collect();
        assert_eq!(active, self.customers[&id].active_entitlements(Environment::Production), "{now}: {shown:#}");
    }

    fn seal(
        &mut self,
        shop: &str,
        outcome: paidup_lifecycle::engine::Outcome,
        former_id: CustomerId,
        now: Timestamp,
    ) -> Vec<Event> {
        self.entry += 1;
        let owner_id = outcome.purchase.customer;
        let mut owner = self.customers.remove(&owner_id).unwrap();
        let mut former = if owner_id == former_id { None } else { self.customers.remove(&former_id) };
        let before = (owner.revision, former.as_ref().map(|former| former.revision));
        let sealing = Sealing { catalogue: &self.catalogue, entry: self.entry, now, first_index: 0 };
        let (purchase, events) = seal(outcome, &mut owner, former.as_mut(), &sealing);
        check_events(&events, &purchase, &owner, former.as_ref(), before);
        let held = owner.holdings.get(&purchase.id).map(|holding| holding.entitlements.clone()).unwrap_or_default();
        assert_eq!(held, unlocked_now(&purchase, &self.catalogue), "the holding is what the state unlocks");
        self.customers.insert(owner_id, owner);
        if let Some(former) = former {
            assert!(!former.holdings.contains_key(&purchase.id), "the former owner holds nothing of it");
            self.customers.insert(former_id, former);
        }
        self.check_totals(&purchase);
        let json = serde_json::to_vec(&purchase).unwrap();
        let kept: Purchase = serde_json::from_slice(&json).unwrap();
        assert_eq!(kept, purchase, "a purchase survives its row");
        self.purchases.insert(shop.to_owned(), kept);
        events
    }

    /// A customer's lifetime totals are the sums of the purchases that the customer has.
    fn check_totals(&self, sealed: &Purchase) {
        for customer in self.customers.values() {
            let others = self.purchases.values().filter(|one| one.id != sealed.id);
            let mut sums = BTreeMap::new();
            for purchase in others.chain([sealed]).filter(|one| one.customer == customer.id) {
                for (currency, amount) in &purchase.totals {
                    *sums.entry(Customer::total_key(purchase.key.environment, *currency)).or_default() += amount;
                }
            }
            assert_eq!(customer.totals, sums, "{:?}", customer.aliases);
        }
    }

    pub(crate) fn active(&self, shop: &str) -> Vec<String> {
        let purchase = &self.purchases[shop];
        self.customers[&purchase.customer].active_entitlements(purchase.key.environment)
    }

    /// Runs every deadline up to `until`, each at its time.
    pub(crate) fn clock(&mut self, shop: &str, until: Timestamp) -> Told {
        let mut all = Told { rows: Vec::new(), events: Vec::new(), questions: Vec::new() };
        for _ in 0..200 {
            let Some(deadline) = self.purchases[shop].next_deadline.filter(|deadline| *deadline <= until) else {
                return all;
            };
            let told = self.give(shop, &Input::Tick, None, deadline);
            all.rows.extend(told.rows);
            all.events.extend(told.events);
            all.questions.extend(told.questions);
        }
        panic!("the clock does not come to rest before {until}: {:?}", self.purchases[shop]);
    }

    pub(crate) fn id(shop: &str) -> PurchaseId {
        Purchase::id_of(&World::key(shop))
    }
}

/// What holds for every bundle of drafts.
fn check_drafts(drafts: &[Draft], purchase: &Purchase) {
    for draft in drafts {
        assert!(
            transitions::table().iter().any(|row| row.number == draft.row),
            "{} comes from a row of the table",
            draft.event_type
        );
    }
    assert!(drafts.len() <= 40, "a bundle is small");
    assert!(purchase.facets.transactions.len() <= 64, "the row stays small");
}

/// What holds for every bundle of events: ids, numbers, revisions, and entitlements that add up.
fn check_events(
    events: &[Event],
    purchase: &Purchase,
    owner: &Customer,
    former: Option<&Customer>,
    before: (u64, Option<u64>),
) {
    let mut ids: Vec<_> = events.iter().map(|event| event.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), events.len(), "ids differ");
    let types: Vec<EventType> = events.iter().map(|event| event.event_type).collect();
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event.bundle.index as usize, index);
        assert_eq!(event.bundle.types, types);
        assert_eq!(event.seq, purchase.seq - events.len() as u64 + index as u64 + 1, "numbered without gaps");
        assert_eq!(event.edge.is_some(), matches!(event.event_type, EventType::Activate | EventType::Deactivate));
        let json = serde_json::to_vec(event).unwrap();
        assert_eq!(&serde_json::from_slice::<Event>(&json).unwrap(), event, "an event survives the log");
    }
    for (customer, revision) in [(Some(owner), Some(before.0)), (former, before.1)] {
        let (Some(customer), Some(revision)) = (customer, revision) else { continue };
        let mine: Vec<&Event> = events.iter().filter(|event| event.customer.id == customer.id).collect();
        assert_eq!(customer.revision, revision + u64::from(!mine.is_empty()), "one revision per bundle");
        assert!(mine.iter().all(|event| event.customer.revision == customer.revision));
        let mut active: Option<Vec<String>> = None;
        for event in &mine {
            if let Some(mut known) = active {
                known.retain(|id| !event.entitlements.deactivated.contains(id));
                known.extend(event.entitlements.activated.iter().cloned());
                known.sort_unstable();
                assert_eq!(known, event.entitlements.active, "changes add up to what is active");
            }
            active = Some(event.entitlements.active.clone());
        }
        if let Some(active) = active {
            let now = customer.active_entitlements(purchase.key.environment);
            assert_eq!(active, now, "the last event says what the state says");
        }
    }
}
