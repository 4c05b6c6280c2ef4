//! One decision being worked out: what was there before, what has changed since, and what happened.
//!
//! This file moves purchases through the engine and finds their owners; `by_hand.rs` holds what operators do (grants,
//! links, the catalogue).

use super::command::Abilities;
use super::{Received, Report, followers, skus, substance};
use paidup_lifecycle::catalogue::{Catalogue, Product, granted_entitlement};
use paidup_lifecycle::customer::Customer;
use paidup_lifecycle::engine::{self, Context, Draft, Input, Outcome, Subject};
use paidup_lifecycle::entitlement::{self, Sealing};
use paidup_lifecycle::event::{Details, Event, EventType, PurchaseView};
use paidup_lifecycle::ids::{ClaimId, CustomerId, ProductId, PurchaseId, SourceId};
use paidup_lifecycle::observation::{Environment, Facets, Hint, Kind, Observation, Origin, PurchaseKey, Store};
use paidup_lifecycle::purchase::{Purchase, State};
use paidup_lifecycle::time::Timestamp;
use paidup_store::claims::ClaimRecord;
use paidup_store::records::QuestionRecord;
use paidup_store::{Before, Changes};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Most products that nobody mapped. A sender who invents product ids cannot fill the catalogue beyond that.
const MAX_UNMAPPED: usize = 10_000;

pub(crate) struct Work<'a> {
    before: &'a Before,
    pub(super) now: Timestamp,
    seed: [u8; 16],
    minted: u32,
    abilities: &'a Abilities,
    used: Abilities,
    pub(super) catalogue: Cow<'a, Catalogue>,
    purchases: BTreeMap<PurchaseId, Purchase>,
    other_ids: BTreeMap<PurchaseId, PurchaseId>,
    customers: BTreeMap<CustomerId, Customer>,
    aliases: BTreeMap<String, CustomerId>,
    events: Vec<Event>,
    questions: BTreeMap<PurchaseId, QuestionRecord>,
    pub(super) answered: Vec<PurchaseId>,
    claims: BTreeMap<ClaimId, ClaimRecord>,
    /// Purchases that nobody knew before, and that were given to whoever claimed them.
    fresh: BTreeSet<PurchaseId>,
}

impl<'a> Work<'a> {
    pub(crate) fn new(before: &'a Before, now: Timestamp, seed: [u8; 16], abilities: &'a Abilities) -> Work<'a> {
        Work {
            before,
            now,
            seed,
            minted: 0,
            abilities,
            used: Abilities::default(),
            catalogue: Cow::Borrowed(&before.catalogue),
            purchases: BTreeMap::new(),
            other_ids: BTreeMap::new(),
            customers: BTreeMap::new(),
            aliases: BTreeMap::new(),
            events: Vec::new(),
            questions: BTreeMap::new(),
            answered: Vec::new(),
            claims: BTreeMap::new(),
            fresh: BTreeSet::new(),
        }
    }

    /// Nothing has changed so far.
    pub(crate) fn is_untouched(&self) -> bool {
        let people = self.purchases.is_empty() && self.customers.is_empty() && self.aliases.is_empty();
        people && self.events.is_empty() && self.claims.is_empty()
    }

    /// What was heard changes nothing but moments.
    pub(super) fn says_nothing_new(&self) -> bool {
        let same = |purchase: &Purchase| {
            self.before.purchases.get(&purchase.id).is_some_and(|known| substance::same_purchase(known, purchase))
        };
        let same_customer = |customer: &Customer| {
            self.before.customers.get(&customer.id).is_some_and(|known| substance::same_customer(known, customer))
        };
        self.events.is_empty()
            && self.claims.is_empty()
            && self.questions.is_empty()
            && self.aliases.is_empty()
            && self.other_ids.is_empty()
            && matches!(self.catalogue, Cow::Borrowed(_))
            && self.purchases.values().all(same)
            && self.customers.values().all(same_customer)
    }

    /// Writes down what changed; answers which abilities of sources were looked at and found.
    pub(crate) fn save(self, changes: &mut Changes, report: &Report) -> Abilities {
        for purchase in self.purchases.values() {
            let known = self.before.purchases.get(&purchase.id);
            let Some(deadline) = purchase.next_deadline else { continue };
            if known.is_none_or(|known| known.next_deadline != Some(deadline)) {
                report.deadline(deadline);
                changes.deadlines.push((deadline, purchase.id));
            }
        }
        if !self.questions.is_empty() {
            report.ask();
        }
        changes.purchases = self.purchases.into_values().collect();
        changes.other_ids = self.other_ids.into_iter().collect();
        changes.customers = self.customers.into_values().collect();
        changes.aliases = self.aliases.into_iter().collect();
        changes.events = self.events;
        changes.questions = self.questions.into_values().collect();
        changes.answered = self.answered;
        changes.claims = self.claims.into_values().collect();
        if let Cow::Owned(mut catalogue) = self.catalogue {
            catalogue.revision = self.before.catalogue.revision + 1;
            changes.catalogue = Some(catalogue);
        }
        self.used
    }

    /// Every purchase that it concerns has seen it (or, when it concerns none, it is kept already).
    pub(crate) fn is_repeat(&self, received: &Received) -> bool {
        let digest = received.digest();
        let mut concerned = received.purchases().peekable();
        if concerned.peek().is_none() {
            return self.before.notifications.contains(&received.kept.id);
        }
        concerned.all(|id| self.purchase(id).is_some_and(|purchase| purchase.recent.contains(&digest)))
    }

    /// A store spoke about a purchase. One that nobody knows yet belongs to `claimant`, if somebody claimed it.
    pub(crate) fn observe(&mut self, digest: u64, input: &Input, claimant: Option<&str>) -> Option<PurchaseId> {
        let Input::Observed(observation) = input else { return None };
        let key = self.key_of(observation);
        let id = self.own_id(Purchase::id_of(&key));
        let known = self.purchase(id).cloned();
        // Seen before this decision: one notification may say several things of a purchase, one after another.
        let before = self.before.purchases.get(&id);
        if before.is_some_and(|purchase| purchase.recent.contains(&digest)) {
            return Some(id);
        }
        self.know_products(observation.store, &observation.facets);
        let claimant = claimant.filter(|_| known.is_none()).and_then(|alias| self.claim_by_hand(alias, None).ok());
        let owner = claimant.or_else(|| self.owner_of(observation, known.as_ref()));
        let mut purchase = known.unwrap_or_else(|| {
            let customer = owner.unwrap_or_else(|| self.mint_customer());
            Purchase::new(key, observation.store, customer)
        });
        if let Some(former) = &observation.replaces {
            purchase.replaced(former, &observation.key.store_purchase_id);
        }
        remember(&mut purchase, digest);
        if observation.origin == Origin::Answer {
            self.answered.push(id);
        }
        if let Some(claimant) = claimant {
            self.fresh.insert(purchase.id);
            self.take_store_customer(claimant, observation);
        }
        if purchase.is_former(&observation.key.store_purchase_id) {
            self.apply(purchase.clone(), &Input::Observed(of_former(observation, &purchase)), owner);
        } else {
            self.apply(purchase, input, owner);
        }
        if observation.hint == Hint::Replaced || !self.before.purchases.contains_key(&id) {
            followers::close_followed(self, id);
        }
        followers::close_former(self, observation, id);
        Some(id)
    }

    /// It was made for whoever claimed it.
    pub(super) fn is_fresh(&self, id: PurchaseId) -> bool {
        self.fresh.contains(&id)
    }

    /// The key under which the purchase of an observation is known, or will be: one whose id replaced another's is that
    /// other, whichever of the two is told first. Where both were told as purchases of their own before their connection was,
    /// they stay two: what was told of either cannot be taken back, and the store ends the former one.
    fn key_of(&mut self, observation: &Observation) -> PurchaseKey {
        let key = &observation.key;
        let Some(former) = observation.replaces.as_ref().filter(|former| **former != key.store_purchase_id) else {
            return key.clone();
        };
        let former = PurchaseKey { store_purchase_id: former.clone(), ..key.clone() };
        let (id, former_id) = (Purchase::id_of(key), Purchase::id_of(&former));
        let own = |known: Option<&Purchase>| known.map(|known| known.id);
        match (own(self.purchase(id)), own(self.purchase(former_id))) {
            (Some(_), Some(_)) => key.clone(),
            (Some(own), None) => {
                self.other_ids.insert(former_id, own);
                key.clone()
            }
            (None, known) => {
                self.other_ids.insert(id, known.unwrap_or(former_id));
                former
            }
        }
    }

    /// The id of the purchase that is known by `id`.
    fn own_id(&self, id: PurchaseId) -> PurchaseId {
        self.other_ids.get(&id).or_else(|| self.before.other_ids.get(&id)).copied().unwrap_or(id)
    }

    /// The clock looks at a purchase; `false` when its deadline has not come (or has gone meanwhile).
    pub(crate) fn tick(&mut self, id: PurchaseId) -> bool {
        let Some(purchase) = self.purchase(id) else { return false };
        if purchase.next_deadline.is_none_or(|deadline| deadline > self.now) {
            return false;
        }
        self.apply_to_known(id, &Input::Tick);
        true
    }

    /// Moves a known purchase on. One that changes nothing and says nothing is not written.
    pub(crate) fn apply_to_known(&mut self, id: PurchaseId, input: &Input) {
        if let Some(purchase) = self.purchase(id).cloned() {
            self.apply(purchase, input, None);
        }
    }

    /// The catalogue may say something else about a purchase's product than when it was last looked at.
    pub(crate) fn recompute(&mut self, id: PurchaseId) {
        let Some(purchase) = self.purchase(id) else { return };
        let holder = self.known_customer(self.follow(purchase.customer));
        let Some(holding) = holder.and_then(|customer| customer.holdings.get(&id)) else { return };
        let input = Input::CatalogueChanged { unlocked_before: holding.entitlements.clone() };
        self.apply_to_known(id, &input);
    }

    /// The engine decides, the customers on both sides are brought up to date, events get their places.
    pub(super) fn apply(&mut self, purchase: Purchase, input: &Input, owner: Option<CustomerId>) {
        let (id, from) = (purchase.id, self.follow(purchase.customer));
        // Whoever owned it without being identified is the one who owns it now: no transfer to RevenueCat.
        let merges = !self.known_customer(from).is_some_and(Customer::is_identified);
        self.advance(purchase, input, owner, merges);
        if !merges || !matches!(input, Input::Observed(_)) {
            return;
        }
        let to = self.purchase(id).map_or(from, |purchase| self.follow(purchase.customer));
        if to != from && self.holds_only_known(from) {
            // Only its bound on ids can keep it from it; then the empty customer stays.
            let _ = self.unite(from, to);
        }
    }

    /// The same for a purchase whose owner and new owner are made one.
    pub(super) fn apply_merging(&mut self, purchase: Purchase, input: &Input) {
        self.advance(purchase, input, None, true);
    }

    fn holds_only_known(&self, customer: CustomerId) -> bool {
        let known = |id: &PurchaseId| self.purchase(*id).is_some();
        self.known_customer(customer).is_some_and(|customer| customer.holdings.keys().all(known))
    }

    fn advance(&mut self, purchase: Purchase, input: &Input, owner: Option<CustomerId>, merges: bool) {
        let (id, from) = (purchase.id, self.follow(purchase.customer));
        let to = match input {
            Input::Moved { to } => Some(*to),
            Input::Observed(_)
            | Input::Tick
            | Input::Unanswered
            | Input::CatalogueChanged { .. }
            | Input::Converted => owner,
        };
        let purchase = Purchase { customer: from, ..purchase };
        let mut outcome = {
            let had_before = match input {
                Input::Observed(observation) => self.had_before(to.unwrap_or(from), &purchase, observation),
                Input::Tick
                | Input::Unanswered
                | Input::Moved { .. }
                | Input::CatalogueChanged { .. }
                | Input::Converted => false,
            };
            let context = Context {
                can_ask: look_up(&self.abilities.asks, &mut self.used.asks, purchase.key.source_id),
                price_follows: look_up(
                    &self.abilities.prices_follow,
                    &mut self.used.prices_follow,
                    purchase.key.source_id,
                ),
                catalogue: &self.catalogue,
                owner: to,
                had_before,
                owner_ids: &self.ids_of(from),
                new_owner_ids: &to.map(|to| self.ids_of(to)).unwrap_or_default(),
                merges,
            };
            engine::advance(purchase, input, &context, self.now)
        };
        for question in std::mem::take(&mut outcome.questions) {
            let key = &outcome.purchase.key;
            self.questions.insert(
                id,
                QuestionRecord {
                    purchase_id: id,
                    source_id: key.source_id,
                    store_purchase_id: outcome.purchase.newest_id().to_owned(),
                    why: question.why,
                    asked_since: self.now,
                    ask_at: question.ask_at,
                    attempts: 0,
                    last_error: None,
                },
            );
        }
        self.seal(outcome, from);
    }

    pub(super) fn seal(&mut self, outcome: Outcome, from: CustomerId) {
        let mut owner = self.customer(outcome.purchase.customer);
        let mut former = (owner.id != from).then(|| self.customer(from));
        let sealing = Sealing {
            catalogue: &self.catalogue,
            entry: self.before.entry,
            now: self.now,
            first_index: u32::try_from(self.events.len()).unwrap_or(u32::MAX),
        };
        let (purchase, events) = entitlement::seal(outcome, &mut owner, former.as_mut(), &sealing);
        let converted = match events.is_empty() {
            true => Vec::new(),
            false => entitlement::converted_grants(&purchase, &owner, &self.catalogue),
        };
        self.events.extend(events);
        for customer in former.into_iter().chain([owner]) {
            if self.known_customer(customer.id) != Some(&customer) {
                self.customers.insert(customer.id, customer);
            }
        }
        if self.purchase(purchase.id) != Some(&purchase) {
            self.purchases.insert(purchase.id, purchase);
        }
        // A grant converts nothing itself, so this goes one step deep.
        for grant in converted {
            self.apply_to_known(grant, &Input::Converted);
        }
    }

    /// The line is tested: one TEST event, about the source's test purchase.
    pub(crate) fn test(&mut self, received: &Received, environment: Environment, at: Timestamp) -> PurchaseId {
        let key = received.test_key(environment);
        let id = Purchase::id_of(&key);
        let mut purchase = match self.purchase(id) {
            Some(known) => known.clone(),
            None => {
                let customer = self.mint_customer();
                Purchase::new(key, Store::External, customer)
            }
        };
        remember(&mut purchase, received.digest());
        purchase.seq += 1;
        let view = test_view(&purchase, &self.catalogue);
        let draft = Draft { hint: Some(Hint::Test), ..alone("test", EventType::Test, at, view) };
        let from = purchase.customer;
        self.seal(Outcome { purchase, events: vec![draft], questions: Vec::new(), next_deadline: None }, from);
        id
    }

    /// The customer that the observation names as the owner, made or attached when needed. `None`: it names none, or an
    /// older one than is known.
    fn owner_of(&mut self, observation: &Observation, known: Option<&Purchase>) -> Option<CustomerId> {
        let said = observation.facets.owner.as_ref()?;
        // What apps send when they do not know the user is nobody's id.
        let alias = said.value.as_deref().filter(|alias| !crate::grants::is_nobody(alias))?;
        let newest = known.and_then(|purchase| purchase.facets.owner.as_ref());
        if newest.is_some_and(|newest| newest.stamp >= said.stamp) {
            return None;
        }
        Some(self.claim(alias, known.map(|purchase| purchase.customer)))
    }

    /// The customer of that alias. An unknown alias claims `holder` when nobody identified did yet, else a new customer is
    /// made.
    pub(super) fn claim(&mut self, alias: &str, holder: Option<CustomerId>) -> CustomerId {
        if let Some(id) = self.alias(alias) {
            return id;
        }
        let holder = holder.map(|id| self.follow(id)).map(|id| self.customer(id));
        let mut customer = match holder {
            Some(holder) if !holder.is_identified() => holder,
            Some(_) | None => {
                let id = self.mint_customer();
                self.customer(id)
            }
        };
        customer.aliases.push(alias.to_owned());
        let id = customer.id;
        self.aliases.insert(alias.to_owned(), id);
        self.customers.insert(id, customer);
        id
    }

    /// The same product of the same store, bought before by the same customer, and ended.
    fn had_before(&self, customer: CustomerId, purchase: &Purchase, observation: &Observation) -> bool {
        let Some(customer) = self.known_customer(customer) else { return false };
        let product = observation.facets.product.as_ref().or(purchase.facets.product.as_ref());
        let Some(product) = product.map(|product| product.value.as_str()) else { return false };
        customer.holdings.iter().any(|(id, holding)| {
            *id != purchase.id
                && holding.kind != Kind::Temporary
                && holding.store == observation.store
                && holding.environment == observation.key.environment
                && holding.product_id.as_deref() == Some(product)
                && matches!(holding.state, State::Expired | State::Revoked)
        })
    }

    /// Products that the catalogue does not know are put into it unmapped, for every store: whoever maps the id later,
    /// with or without a store, finds nothing in the way.
    fn know_products(&mut self, store: Store, facets: &Facets) {
        let pending = facets.pending.as_ref().and_then(|pending| pending.value.as_ref());
        let named = facets.product.as_ref().map(|product| &product.value);
        for product_id in named.into_iter().chain(pending.map(|pending| &pending.product_id)) {
            if let Some(entitlement) = granted_entitlement(product_id).filter(|_| store == Store::Promotional) {
                self.know_entitlement(entitlement);
                continue;
            }
            if self.catalogue.product(store, product_id).is_some() || unmapped(&self.catalogue) >= MAX_UNMAPPED {
                continue;
            }
            let mut product = Product {
                id: product_id_of(product_id, None),
                product_id: product_id.clone(),
                store: None,
                name: None,
                entitlements: Vec::new(),
                rank: None,
                group: None,
                sku_id: None,
                kind: None,
            };
            product.sku_id = Some(skus::of_product(&self.catalogue, &product, self.now));
            self.catalogue.to_mut().products.insert((product_id.clone(), None), product);
        }
        if let (Some(product_id), Some(kind)) = (named, &facets.kind) {
            self.learn_kind(store, product_id, kind.value);
        }
    }

    /// The first purchase of a product says what it is; stores do not change that.
    fn learn_kind(&mut self, store: Store, product_id: &str, kind: Kind) {
        let unknown = self.catalogue.product(store, product_id).filter(|product| product.kind.is_none());
        let Some(key) = unknown.map(|product| (product.product_id.clone(), product.store)) else { return };
        if let Some(product) = self.catalogue.to_mut().products.get_mut(&key) {
            product.kind = Some(kind);
        }
    }

    pub(super) fn claim_record(&self, id: ClaimId) -> Option<&ClaimRecord> {
        self.claims.get(&id).or_else(|| self.before.claims.get(&id))
    }

    /// Claims that were waiting when this decision began.
    pub(super) fn waiting_claims(&self) -> impl Iterator<Item = &ClaimRecord> {
        self.before.claims.values()
    }

    pub(super) fn put_claim(&mut self, claim: ClaimRecord) {
        if self.claim_record(claim.id) != Some(&claim) {
            self.claims.insert(claim.id, claim);
        }
    }

    pub(super) fn purchase(&self, id: PurchaseId) -> Option<&Purchase> {
        let id = self.own_id(id);
        self.purchases.get(&id).or_else(|| self.before.purchases.get(&id).map(|known| &**known))
    }

    pub(super) fn known_customer(&self, id: CustomerId) -> Option<&Customer> {
        self.customers.get(&id).or_else(|| self.before.customers.get(&id).map(|known| &**known))
    }

    /// The customer as it stands now; a new one when there is none of that id.
    pub(super) fn customer(&self, id: CustomerId) -> Customer {
        self.known_customer(id).cloned().unwrap_or_else(|| Customer::new(id, self.now))
    }

    /// The known purchases of a customer.
    pub(super) fn purchases_of(&self, customer: CustomerId) -> Vec<Purchase> {
        let ids: BTreeSet<PurchaseId> = self.before.purchases.keys().chain(self.purchases.keys()).copied().collect();
        let owned = |purchase: &&Purchase| self.follow(purchase.customer) == customer;
        ids.into_iter().filter_map(|id| self.purchase(id)).filter(owned).cloned().collect()
    }

    pub(super) fn put_customer(&mut self, customer: Customer) {
        self.customers.insert(customer.id, customer);
    }

    pub(super) fn put_alias(&mut self, alias: String, customer: CustomerId) {
        self.aliases.insert(alias, customer);
    }

    pub(super) fn alias(&self, alias: &str) -> Option<CustomerId> {
        let id = self.aliases.get(alias).or_else(|| self.before.aliases.get(alias))?;
        Some(self.follow(*id))
    }

    /// Whoever `id` was merged into, in the end. Merges never form a ring: the one who stays is never merged itself.
    pub(super) fn follow(&self, mut id: CustomerId) -> CustomerId {
        while let Some(next) = self.known_customer(id).and_then(|customer| customer.merged_into) {
            id = next;
        }
        id
    }

    /// All ids of a customer, as the outside knows them.
    fn ids_of(&self, id: CustomerId) -> Vec<String> {
        match self.known_customer(id) {
            Some(customer) if !customer.is_anonymous() => customer.aliases.clone(),
            Some(_) | None => vec![id.to_string()],
        }
    }

    fn mint_customer(&mut self) -> CustomerId {
        self.minted += 1;
        CustomerId::derive(&[&self.seed, &self.minted.to_be_bytes()])
    }

    /// A number that orders commands of the same moment.
    pub(super) fn command_id(&self) -> Arc<str> {
        format!("{:020}", self.before.entry).into()
    }
}

/// What is said of an id that another has taken the place of since: how the purchase stands is the newest id's to say. That it
/// was replaced is known, so nothing is waited for.
fn of_former(observation: &Observation, purchase: &Purchase) -> Observation {
    let facets = observation.facets.clone();
    if observation.hint != Hint::Replaced {
        return Observation { facets: facets.yielding_to(&purchase.facets), ..observation.clone() };
    }
    let facets = Facets {
        kind: facets.kind,
        attributes: facets.attributes,
        transactions: facets.transactions,
        ..Facets::default()
    };
    Observation { hint: Hint::Answered, facets, ..observation.clone() }
}

fn look_up(all: &BTreeSet<SourceId>, used: &mut BTreeSet<SourceId>, source: SourceId) -> bool {
    let can = all.contains(&source);
    if can {
        used.insert(source);
    }
    can
}

pub(super) fn remember(purchase: &mut Purchase, digest: u64) {
    if purchase.recent.last() == Some(&digest) {
        return;
    }
    if purchase.recent.len() >= Purchase::MAX_RECENT {
        purchase.recent.remove(0);
    }
    purchase.recent.push(digest);
}

/// Products that unlock nothing.
pub(crate) fn unmapped(catalogue: &Catalogue) -> usize {
    catalogue.products.values().filter(|product| product.entitlements.is_empty()).count()
}

/// A product's id always follows from its key, so that a rebuild gives the same.
pub(crate) fn product_id_of(product_id: &str, store: Option<Store>) -> ProductId {
    ProductId::derive(&[product_id.as_bytes(), store.map_or("", Store::as_str).as_bytes()])
}

/// An event that is about no access and no money, alone in its bundle.
pub(super) fn alone(row: &'static str, event_type: EventType, occurred_at: Timestamp, view: PurchaseView) -> Draft {
    Draft {
        row,
        event_type,
        subject: Subject::Owner,
        edge: None,
        occurred_at,
        purchase: Arc::new(view),
        previous: None,
        access: None,
        transaction: None,
        reason: None,
        hint: None,
        inferred: false,
        backfill: false,
        details: Details::default(),
    }
}

/// A purchase of which nothing is known, with the product that RevenueCat's TEST names.
fn test_view(purchase: &Purchase, catalogue: &Catalogue) -> PurchaseView {
    PurchaseView { product_id: Some("test_product".to_owned()), ..engine::view(purchase, catalogue) }
}
