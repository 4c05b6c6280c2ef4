//! The one door, inside the writer's transaction: load what is wanted, let it be decided, gather what is to be saved.

use super::db::{Outcome, int};
use super::session::{Known, Session};
use super::{agenda, claims, customers, events, journal, lookups, notifications, purchases, setup};
use crate::{Before, Changes, Committed, Decision, StoreError, Wants};
use paidup_lifecycle::catalogue::Catalogue;
use paidup_lifecycle::ids::{CustomerId, PurchaseId};
use paidup_lifecycle::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Loads, decides, saves.
pub(super) fn commit(session: &mut Session, decision: &mut dyn Decision) -> Outcome<Committed> {
    let mut before = load(session, &decision.wants())?;
    let also: Vec<PurchaseId> = decision.wants_also(&before);
    load_purchases(session, &mut before, &also)?;
    let changes = decision.decide(&before).map_err(StoreError::Refused)?;
    save(session, changes)
}

fn load(session: &mut Session, wants: &Wants) -> Outcome<Before> {
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
    load_purchases(session, &mut before, &wants.purchases)?;
    load_claims(session, &mut before, wants)?;
    load_customers(session, &mut before, wants.customers.iter().copied().collect())?;
    load_named(session, &mut before, &wants.aliases)?;
    before.notifications = notifications::known(session, &wants.notifications)?;
    if let Some(purchase) = wants.question_of {
        before.question = agenda::question_of(&mut session.db, purchase)?;
    }
    Ok(before)
}

/// Loads customers by their aliases.
fn load_named(session: &mut Session, before: &mut Before, aliases: &[String]) -> Outcome<()> {
    let named = customers::named_all(session, aliases)?;
    load_customers(session, before, named.values().copied().collect())?;
    for (alias, id) in named {
        if let Some(answers_as) = answers_as(before, id)? {
            before.aliases.insert(alias, answers_as);
        }
    }
    Ok(())
}

/// Loads claims with the customers that they are for.
fn load_claims(session: &mut Session, before: &mut Before, wants: &Wants) -> Outcome<()> {
    let mut found = Vec::new();
    for id in &wants.claims {
        found.extend(claims::by_id(&mut session.db, *id)?);
    }
    // A purchase that is known was dealt with when it was claimed, so what is known costs no look.
    let is_unknown = |id: &&PurchaseId| !before.purchases.contains_key(*id) && !before.other_ids.contains_key(*id);
    let purchases = wants.purchases.iter().filter(is_unknown).map(|id| id.0.as_slice());
    let waits_for: Vec<&[u8]> = wants.claims_for.iter().map(|id| id.0.as_slice()).chain(purchases).collect();
    found.extend(claims::waiting_for(&mut session.db, &waits_for)?);
    let customers: Vec<String> = found.iter().map(|claim| claim.customer.clone()).collect();
    before.claims.extend(found.into_iter().map(|claim| (claim.id, claim)));
    load_named(session, before, &customers)
}

/// Loads purchases, by their own or other ids, and their owners.
fn load_purchases(session: &mut Session, before: &mut Before, wanted: &[PurchaseId]) -> Outcome<()> {
    let wanted: Vec<PurchaseId> = wanted.iter().filter(|id| !before.purchases.contains_key(*id)).copied().collect();
    let mut found = purchases::load(session, &wanted)?;
    let missing: Vec<PurchaseId> = wanted.into_iter().filter(|id| !found.contains_key(id)).collect();
    if !missing.is_empty() {
        let others = purchases::own_ids(session, &missing)?;
        let own: Vec<PurchaseId> = others.values().copied().collect();
        let loaded = purchases::load(session, &own)?;
        before.other_ids.extend(others.into_iter().filter(|(_, own)| loaded.contains_key(own)));
        found.extend(loaded);
    }
    let owners = found.values().map(|known| known.row.customer).collect();
    before.purchases.extend(found.into_iter().map(|(id, known)| (id, known.row)));
    load_customers(session, before, owners)
}

/// Loads customers and whoever they were merged into.
fn load_customers(session: &mut Session, before: &mut Before, wanted: BTreeSet<CustomerId>) -> Outcome<()> {
    let mut next: Vec<CustomerId> = wanted.into_iter().collect();
    while !next.is_empty() {
        next.retain(|id| !before.customers.contains_key(id));
        let found = customers::load(session, &next)?;
        next = found.values().filter_map(|known| known.row.merged_into).collect();
        before.customers.extend(found.into_iter().map(|(id, known)| (id, known.row)));
    }
    Ok(())
}

/// The customer at the end of the merges; `None`: nobody has that id.
fn answers_as(before: &Before, id: CustomerId) -> Outcome<Option<CustomerId>> {
    let (mut next, mut seen) = (id, BTreeSet::new());
    while let Some(customer) = before.customers.get(&next) {
        if !seen.insert(next) {
            return Err(super::db::inconsistent("customers", "merged_into", id));
        }
        match customer.merged_into {
            Some(into) => next = into,
            None => return Ok(Some(next)),
        }
    }
    Ok(None)
}

fn save(session: &mut Session, changes: Changes) -> Outcome<Committed> {
    let kept = notifications::keep(session, &changes.notifications)?;
    let entry = changes.journal.as_ref().map(|record| journal::append(session, record, &kept));
    let decided_at = changes.journal.as_ref().map_or(Timestamp::MIN, |record| record.decided_at);
    let logged = events::append(session, entry, changes.events)?;
    for purchase in changes.purchases {
        purchases::put(session, Arc::new(purchase))?;
    }
    for customer in changes.customers {
        customers::put(session, Arc::new(customer))?;
    }
    session.gathered += (changes.aliases.len() + changes.other_ids.len()) as u64;
    for (alias, customer) in changes.aliases {
        session.hot.aliases.put(alias.clone(), alias.len(), customer);
        session.pending.aliases.insert(alias, customer);
    }
    for (other, own) in changes.other_ids {
        session.pending.other_ids.entry(other).or_insert(own);
    }
    let db = &mut session.db;
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
        setup::put_meta(&mut session.db, name, value)?;
    }
    if let Some(catalogue) = changes.catalogue {
        put_catalogue(session, catalogue)?;
    }
    Ok(Committed { entry, events: logged })
}

fn put_catalogue(session: &mut Session, catalogue: Catalogue) -> Outcome<()> {
    let body = serde_json::to_vec(&catalogue).map_err(|_| super::db::inconsistent("catalogue", "body", "1"))?;
    session.db.execute(
        "INSERT INTO catalogue (one, revision, body)
         VALUES (1, $1, $2)
         ON CONFLICT (one) DO UPDATE SET revision = excluded.revision, body = excluded.body",
        &[&int(catalogue.revision), &body],
    )?;
    session.heads.catalogue = Arc::new(catalogue);
    Ok(())
}

/// What was found under which id.
pub(super) type Found<I, T> = BTreeMap<I, Known<T>>;
