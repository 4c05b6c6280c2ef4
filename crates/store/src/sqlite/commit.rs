//! The one door, inside the writer's transaction: load what is wanted, let it be decided, save.

use super::db::{Outcome, int};
use super::hot::{HotCustomer, HotPurchase};
use super::rows::Rows;
use super::session::Session;
use super::{agenda, claims, customers, events, journal, lookups, notifications, purchases, setup, snowflakes};
use crate::{Before, Changes, Committed, Decision, StoreError, Wants};
use paidup_lifecycle::catalogue::Catalogue;
use paidup_lifecycle::customer::Customer;
use paidup_lifecycle::ids::{CustomerId, PurchaseId};
use paidup_lifecycle::purchase::Purchase;
use paidup_lifecycle::time::Timestamp;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Loads, decides, saves.
pub(super) fn commit(session: &mut Session, decision: &mut dyn Decision) -> Outcome<Committed> {
    let (mut before, mut rows) = load(session, &decision.wants())?;
    for id in decision.wants_also(&before) {
        if !before.purchases.contains_key(&id) {
            load_purchase(session, &mut before, &mut rows, id)?;
        }
    }
    let changes = decision.decide(&before).map_err(StoreError::Refused)?;
    save(session, rows, changes)
}

fn load(session: &mut Session, wants: &Wants) -> Outcome<(Before, Rows)> {
    let mut rows = Rows::default();
    let mut before = Before {
        partition: 0,
        entry: session.heads.entry + 1,
        catalogue: session.heads.catalogue.clone(),
        purchases: BTreeMap::new(),
        other_ids: BTreeMap::new(),
        customers: BTreeMap::new(),
        aliases: BTreeMap::new(),
        notifications: BTreeSet::new(),
        question: None,
        claims: BTreeMap::new(),
    };
    for id in &wants.purchases {
        load_purchase(session, &mut before, &mut rows, *id)?;
    }
    load_claims(session, &mut before, &mut rows, wants)?;
    for id in &wants.customers {
        load_customer(session, &mut before, &mut rows, *id)?;
    }
    for alias in &wants.aliases {
        if let Some(id) = named(session, alias)?
            && let Some(answers_as) = load_customer(session, &mut before, &mut rows, id)?
        {
            before.aliases.insert(alias.clone(), answers_as);
        }
    }
    for id in &wants.notifications {
        if notifications::is_known(&session.db, *id)? {
            before.notifications.insert(*id);
        }
    }
    if let Some(purchase) = wants.question_of {
        before.question = agenda::question_of(&session.db, purchase)?;
    }
    Ok((before, rows))
}

/// Loads claims with the customers that they are for.
fn load_claims(session: &mut Session, before: &mut Before, rows: &mut Rows, wants: &Wants) -> Outcome<()> {
    let mut found = Vec::new();
    for id in &wants.claims {
        found.extend(claims::by_id(&session.db, *id)?);
    }
    for lookup in &wants.claims_for {
        found.extend(claims::waiting_for(&session.db, lookup.0)?);
    }
    // A purchase that is known was dealt with when it was claimed, so what is known costs no look.
    for id in &wants.purchases {
        if !before.purchases.contains_key(id) && !before.other_ids.contains_key(id) {
            found.extend(claims::waiting_for(&session.db, id.0)?);
        }
    }
    for claim in found {
        if let Some(id) = named(session, &claim.customer)?
            && let Some(answers_as) = load_customer(session, before, rows, id)?
        {
            before.aliases.insert(claim.customer.clone(), answers_as);
        }
        before.claims.insert(claim.id, claim);
    }
    Ok(())
}

/// Loads a purchase, by its own or another id of it, and its owner.
fn load_purchase(session: &mut Session, before: &mut Before, rows: &mut Rows, id: PurchaseId) -> Outcome<()> {
    if load_own(session, before, rows, id)? {
        return Ok(());
    }
    // Only who is not known gets here, so what is known costs no second look.
    if let Some(own) = purchases::by_other_id(&session.db, id)?
        && load_own(session, before, rows, own)?
    {
        before.other_ids.insert(id, own);
    }
    Ok(())
}

/// Loads a purchase by its own id, and its owner; `false`: there is none.
fn load_own(session: &mut Session, before: &mut Before, rows: &mut Rows, id: PurchaseId) -> Outcome<bool> {
    let (slot, purchase) = match session.hot.purchase(id) {
        Some(hot) => (hot.slot, Some(hot.purchase.clone())),
        None => {
            let (slot, read) = purchases::load(&session.db, id)?;
            let purchase = read.map(|(purchase, bytes)| {
                let purchase = Arc::new(purchase);
                session.hot.put_purchase(HotPurchase { slot, purchase: purchase.clone(), bytes });
                purchase
            });
            (slot, purchase)
        }
    };
    rows.know_purchase(id, slot);
    let Some(purchase) = purchase else { return Ok(false) };
    load_customer(session, before, rows, purchase.customer)?;
    before.purchases.insert(id, purchase);
    Ok(true)
}

/// Loads a customer and whoever it was merged into; answers the last of them.
fn load_customer(
    session: &mut Session,
    before: &mut Before,
    rows: &mut Rows,
    id: CustomerId,
) -> Outcome<Option<CustomerId>> {
    let mut next = id;
    let mut seen = BTreeSet::new();
    loop {
        if !seen.insert(next) {
            return Err(super::db::inconsistent("customers", "merged_into", id));
        }
        let customer = match before.customers.entry(next) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                let (slot, customer) = customer(session, next)?;
                rows.know_customer(next, slot);
                let Some(customer) = customer else { return Ok(None) };
                unknown.insert(customer)
            }
        };
        match customer.merged_into {
            Some(into) => next = into,
            None => return Ok(Some(next)),
        }
    }
}

fn customer(session: &mut Session, id: CustomerId) -> Outcome<(customers::Slot, Option<Arc<Customer>>)> {
    if let Some(hot) = session.hot.customer(id) {
        return Ok((hot.slot, Some(hot.customer.clone())));
    }
    let (slot, read) = customers::load(&session.db, id)?;
    let Some((customer, bytes)) = read else { return Ok((slot, None)) };
    let customer = Arc::new(customer);
    session.hot.put_customer(HotCustomer { slot, customer: customer.clone(), bytes });
    Ok((slot, Some(customer)))
}

/// The id under which a customer is known by that alias, or by its own id's text form; merges are not followed.
fn named(session: &mut Session, alias: &str) -> Outcome<Option<CustomerId>> {
    if let Some(id) = session.hot.alias(alias) {
        return Ok(Some(id));
    }
    let found = customers::alias(&session.db, alias)?;
    if let Some(id) = found {
        session.hot.put_alias(alias, id);
    }
    Ok(found.or_else(|| alias.parse().ok()))
}

fn save(session: &mut Session, mut rows: Rows, changes: Changes) -> Outcome<Committed> {
    let kept = notifications::keep(session, &changes.notifications)?;
    let entry = match &changes.journal {
        Some(record) => Some(journal::append(session, record, &kept)?),
        None => None,
    };
    let decided_at = changes.journal.as_ref().map_or(Timestamp::MIN, |record| record.decided_at);
    let logged = events::append(session, &mut rows, &kept, entry, changes.events)?;
    let due = save_people(session, &mut rows, changes.purchases, changes.customers, &changes.deadlines)?;
    let db = &session.db;
    for (other, purchase) in &changes.other_ids {
        purchases::put_other_id(db, *other, *purchase)?;
    }
    for (alias, customer) in &changes.aliases {
        customers::put_alias(db, alias, *customer)?;
        session.hot.put_alias(alias, *customer);
    }
    for (due_at, key) in due {
        agenda::put_deadline(db, due_at, key)?;
    }
    for purchase in &changes.answered {
        agenda::forget_question(db, *purchase)?;
    }
    for question in &changes.questions {
        agenda::put_question(db, question)?;
    }
    // Answered first: an answer may ask for the same again.
    for lookup in &changes.looked_up {
        lookups::forget(db, *lookup)?;
    }
    for lookup in &changes.lookups {
        lookups::put(db, lookup)?;
    }
    for clue in &changes.clues {
        lookups::put_clue(db, clue, decided_at)?;
    }
    for claim in &changes.claims {
        claims::put(db, claim)?;
    }
    if let Some((name, value)) = &changes.meta {
        setup::put_meta(&session.db, name, value)?;
    }
    if let Some(catalogue) = changes.catalogue {
        put_catalogue(session, catalogue)?;
    }
    Ok(Committed { entry, events: logged })
}

/// Writes purchases and customers, and keeps them at hand as written; answers the deadlines to note.
fn save_people(
    session: &mut Session,
    rows: &mut Rows,
    purchases: Vec<Purchase>,
    customers: Vec<Customer>,
    deadlines: &[(Timestamp, PurchaseId)],
) -> Outcome<BTreeSet<agenda::Deadline>> {
    let first_entry = session.heads.entry;
    let (db, hot) = (&session.db, &mut session.hot);
    let mut due = BTreeSet::new();
    for purchase in purchases {
        let slot = rows.purchase(db, purchase.id)?;
        let (moved, bytes) = purchases::put(db, slot, &purchase, first_entry)?;
        snowflakes::give_purchase(db, slot, &purchase)?;
        due.extend(moved);
        hot.put_purchase(HotPurchase { slot: *slot, purchase: Arc::new(purchase), bytes });
    }
    for customer in customers {
        let slot = rows.customer(db, customer.id)?;
        let bytes = customers::put(db, slot, &customer)?;
        snowflakes::give_customer(db, slot, &customer)?;
        hot.put_customer(HotCustomer { slot: *slot, customer: Arc::new(customer), bytes });
    }
    rows.finish(db)?;
    for (due_at, purchase) in deadlines {
        let slot = rows.purchase(db, *purchase)?;
        // One that is not the purchase's own is stale from the start.
        if slot.next_deadline_at == Some(due_at.as_millis()) {
            due.extend(slot.key.map(|key| (due_at.as_millis(), key)));
        }
    }
    hot.follow(rows);
    Ok(due)
}

fn put_catalogue(session: &mut Session, catalogue: Catalogue) -> Outcome<()> {
    let body = serde_json::to_vec(&catalogue).map_err(|_| super::db::inconsistent("catalogue", "body", "1"))?;
    session
        .db
        .conn
        .prepare_cached(
            "INSERT INTO catalogue (one, revision, body)
             VALUES (1, ?1, ?2)
             ON CONFLICT (one) DO UPDATE SET revision = excluded.revision, body = excluded.body",
        )?
        .execute((int(catalogue.revision), body))?;
    session.heads.catalogue = Arc::new(catalogue);
    Ok(())
}
