//! From drafts to events: ids, numbers, and what the customer may use after each one.
//!
//! What a customer may use is the union over the purchases of one environment. Events are folded one by one, so that
//! `activated` and `deactivated` of a bundle add up to the difference between before and after.

use crate::catalogue::Catalogue;
use crate::customer::{Customer, Holding};
use crate::dialects::revenuecat::{self, Standing};
use crate::engine::{Draft, Outcome, Subject, state};
use crate::event::{AttributeView, Bundle, CustomerView, EntitlementChange, Event, EventType};
use crate::ids::{BundleId, EventId, PurchaseId};
use crate::observation::{Kind, PeriodType};
use crate::purchase::{Purchase, State};
use crate::time::Timestamp;

/// What sealing needs to know.
#[derive(Debug, Clone, Copy)]
pub struct Sealing<'a> {
    /// What products unlock.
    pub catalogue: &'a Catalogue,
    /// The journal entry that is being decided.
    pub entry: u64,
    /// Our time.
    pub now: Timestamp,
    /// How many events the same entry has given about this purchase before; indices of ids go on from here.
    pub first_index: u32,
}

/// Gives the drafts their ids, numbers and the customer's side, and brings both customers up to date: holdings,
/// attributes, totals, revision. `owner` is who owns the purchase after the input (`outcome.purchase.customer`);
/// `former` is who owned it before, if that is somebody else.
#[must_use]
pub fn seal(
    outcome: Outcome,
    owner: &mut Customer,
    mut former: Option<&mut Customer>,
    sealing: &Sealing<'_>,
) -> (Purchase, Vec<Event>) {
    let Outcome { mut purchase, events: drafts, .. } = outcome;
    take_attributes(&purchase, owner);
    if let Some(former) = former.as_deref_mut() {
        move_money(&purchase, former, owner);
    }
    let told = Told::of(&purchase, &drafts, sealing);
    if drafts.iter().any(|draft| draft.subject == Subject::Owner) {
        owner.revision = owner.revision.saturating_add(1);
    }
    if let Some(former) = former.as_deref_mut()
        && drafts.iter().any(|draft| draft.subject != Subject::Owner)
    {
        former.revision = former.revision.saturating_add(1);
    }
    let mut views = Views { owner: None, former: None };
    let mut events = Vec::with_capacity(drafts.len());
    for (index, draft) in drafts.into_iter().enumerate() {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        let (customer, view) = match (draft.subject, former.as_deref_mut()) {
            (Subject::Former(_), Some(former)) => (former, &mut views.former),
            (Subject::Owner, _) | (Subject::Former(_), None) => (&mut *owner, &mut views.owner),
        };
        let entitlements = fold(customer, &purchase, &draft, sealing.catalogue);
        add_money(customer, &mut purchase, &draft);
        let view = view
            .get_or_insert_with(|| CustomerView {
                other_purchases: customer.purchases_except(Some(purchase.id), purchase.key.environment),
                ..view_of(customer)
            })
            .clone();
        events.push(told.event(&purchase, draft, index, view, entitlements));
    }
    if let Some(former) = former {
        former.holdings.remove(&purchase.id);
    }
    keep_holding(owner, &purchase, sealing.catalogue);
    (purchase, events)
}

/// A customer's view is the same in the whole bundle.
struct Views {
    owner: Option<CustomerView>,
    former: Option<CustomerView>,
}

/// What all events of a bundle share.
struct Told {
    bundle: BundleId,
    types: Vec<EventType>,
    first_seq: u64,
    entry: u64,
    first_index: u32,
    now: Timestamp,
}

impl Told {
    fn of(purchase: &Purchase, drafts: &[Draft], sealing: &Sealing<'_>) -> Told {
        let Sealing { entry, now, first_index, .. } = *sealing;
        Told {
            bundle: BundleId::derive(&[&purchase.id.0, &entry.to_be_bytes(), &first_index.to_be_bytes()]),
            types: drafts.iter().map(|draft| draft.event_type).collect(),
            // `advance` has counted these events already.
            first_seq: purchase.seq.saturating_sub(drafts.len() as u64),
            entry,
            first_index,
            now,
        }
    }

    fn event(
        &self,
        purchase: &Purchase,
        draft: Draft,
        index: u32,
        customer: CustomerView,
        entitlements: EntitlementChange,
    ) -> Event {
        let view = std::sync::Arc::unwrap_or_clone(draft.purchase);
        Event {
            id: EventId::of(purchase.id, self.entry, self.first_index.saturating_add(index), self.now),
            event_type: draft.event_type,
            seq: self.first_seq.saturating_add(u64::from(index)).saturating_add(1),
            bundle: Bundle { id: self.bundle, index, types: self.types.clone() },
            edge: draft.edge,
            occurred_at: draft.occurred_at,
            detected_at: self.now,
            environment: purchase.key.environment,
            store: purchase.store,
            source_id: purchase.key.source_id,
            customer,
            purchase: view,
            previous: draft.previous.map(std::sync::Arc::unwrap_or_clone),
            entitlements,
            transaction: draft.transaction,
            reason: draft.reason,
            hint: draft.hint,
            inferred: draft.inferred,
            backfill: draft.backfill,
            details: draft.details,
        }
    }
}

/// The customer's entitlements after this draft, and what it changed.
fn fold(customer: &mut Customer, purchase: &Purchase, draft: &Draft, catalogue: &Catalogue) -> EntitlementChange {
    let environment = purchase.key.environment;
    let before = customer.active_entitlements(environment);
    let product = draft.access.as_ref().and_then(|view| view.product_id.as_deref());
    let unlocked = unlocked(purchase, product, catalogue);
    match customer.holdings.get_mut(&purchase.id) {
        Some(holding) if holding.entitlements == unlocked => {}
        Some(holding) => holding.entitlements = unlocked,
        None if draft.purchase.kind == Kind::Consumable || unlocked.is_empty() => {}
        None => {
            let holding = Holding {
                store: purchase.store,
                environment,
                kind: draft.purchase.kind,
                product_id: draft.purchase.product_id.clone(),
                period_type: draft.purchase.period_type,
                state: draft.purchase.state,
                entitlements: unlocked,
                until: None,
                status: None,
            };
            customer.holdings.insert(purchase.id, holding);
        }
    }
    let active = customer.active_entitlements(environment);
    let activated = active.iter().filter(|id| !before.contains(id)).cloned().collect();
    let deactivated = before.into_iter().filter(|id| !active.contains(id)).collect();
    EntitlementChange { active, activated, deactivated }
}

fn unlocked(purchase: &Purchase, product: Option<&str>, catalogue: &Catalogue) -> Vec<String> {
    product.map_or_else(Vec::new, |product| catalogue.entitlements_of(purchase.store, product).to_vec())
}

/// What the purchase unlocks as it stands, without regard to events.
#[must_use]
pub fn unlocked_now(purchase: &Purchase, catalogue: &Catalogue) -> Vec<String> {
    let lasting = state::kind_of(&purchase.facets) != Kind::Consumable && purchase.state.has_access();
    unlocked(purchase, state::product_of(purchase).filter(|_| lasting), catalogue)
}

fn keep_holding(owner: &mut Customer, purchase: &Purchase, catalogue: &Catalogue) {
    let facets = &purchase.facets;
    let kind = state::kind_of(facets);
    let never_had =
        matches!(purchase.state, State::None | State::Pending) && !owner.holdings.contains_key(&purchase.id);
    if kind == Kind::Consumable || never_had {
        owner.holdings.remove(&purchase.id);
        return;
    }
    let holding = Holding {
        store: purchase.store,
        environment: purchase.key.environment,
        kind,
        product_id: state::product_of(purchase).map(str::to_owned),
        period_type: facets.period_type.as_ref().map(|period_type| period_type.value),
        state: purchase.state,
        entitlements: unlocked_now(purchase, catalogue),
        until: state::end_by_date(facets, purchase.state).or_else(|| state::end_of_period(facets)),
        status: revenuecat::status_of(&Standing {
            kind,
            state: purchase.state,
            will_renew: facets.will_renew.as_ref().map(|will_renew| will_renew.value),
            period_type: facets.period_type.as_ref().map(|period_type| period_type.value),
            offer: state::offer_of(facets).map(|offer| offer.offer_type),
            price: state::current_transaction(facets).and_then(state::price_of),
        }),
    };
    owner.holdings.insert(purchase.id, holding);
}

fn take_attributes(purchase: &Purchase, owner: &mut Customer) {
    let facets = &purchase.facets;
    for (name, told) in &facets.attributes {
        let updated_at = told.stamp.as_of;
        if owner.attributes.get(name).is_none_or(|known| known.updated_at < updated_at) {
            owner.attributes.insert(name.clone(), AttributeView { value: told.value.clone(), updated_at });
        }
    }
    if let Some(seen_as) = state::cleared(&facets.owner)
        && owner.last_seen_as.as_ref() != Some(seen_as)
        && owner.aliases.contains(seen_as)
    {
        owner.last_seen_as = Some(seen_as.clone());
    }
}

/// What was told of a purchase before it moved counts for its new owner from here on: lifetime totals are those of the
/// purchases that one has, in whatever order owner and money became known.
fn move_money(purchase: &Purchase, former: &mut Customer, owner: &mut Customer) {
    for (currency, amount) in &purchase.totals {
        let key = Customer::total_key(purchase.key.environment, *currency);
        let left = former.totals.entry(key.clone()).or_default();
        *left = left.saturating_sub(*amount);
        if *left == 0 {
            former.totals.remove(&key);
        }
        let total = owner.totals.entry(key).or_default();
        *total = total.saturating_add(*amount);
    }
}

fn add_money(customer: &mut Customer, purchase: &mut Purchase, draft: &Draft) {
    if draft.event_type != EventType::TransactionProcessed {
        return;
    }
    if let Some(money) = draft.transaction.as_ref().and_then(|transaction| transaction.money) {
        let total = customer.totals.entry(Customer::total_key(purchase.key.environment, money.currency)).or_default();
        *total = total.saturating_add(money.amount_minor);
        let told = purchase.totals.entry(money.currency).or_default();
        *told = told.saturating_add(money.amount_minor);
    }
}

/// The customer as an event shows it, but for the other purchases: which they are depends on the event.
#[must_use]
pub fn view_of(customer: &Customer) -> CustomerView {
    let shown = customer.last_seen_as.as_ref().or_else(|| customer.aliases.last());
    CustomerView {
        id: customer.id,
        aliases: customer.aliases.clone(),
        revision: customer.revision,
        app_user_id: shown.cloned().unwrap_or_else(|| customer.id.to_string()),
        original_app_user_id: customer.aliases.first().cloned().unwrap_or_else(|| customer.id.to_string()),
        anonymous: customer.is_anonymous(),
        other_purchases: None,
        attributes: customer.attributes.clone(),
    }
}

/// Trial grants of the customer that this purchase has converted: the customer has paid for something that they unlock.
/// For each of them `Input::Converted` is to be given.
#[must_use]
pub fn converted_grants(purchase: &Purchase, customer: &Customer, catalogue: &Catalogue) -> Vec<PurchaseId> {
    let facets = &purchase.facets;
    let paid = match facets.period_type.as_ref().map(|period_type| period_type.value) {
        Some(PeriodType::Trial | PeriodType::Promotional) => false,
        Some(PeriodType::Intro | PeriodType::Promo | PeriodType::Normal | PeriodType::Prepaid) | None => true,
    };
    if !paid || matches!(state::kind_of(facets), Kind::Grant | Kind::Temporary) {
        return Vec::new();
    }
    let bought = unlocked_now(purchase, catalogue);
    customer
        .holdings
        .iter()
        .filter(|(id, holding)| {
            **id != purchase.id
                && holding.environment == purchase.key.environment
                && holding.kind == Kind::Grant
                && holding.period_type == Some(PeriodType::Trial)
                && holding.entitlements.iter().any(|entitlement| bought.contains(entitlement))
        })
        .map(|(id, _)| *id)
        .collect()
}
