//! Customers: one row each, written whole; their aliases; who was merged into whom.

use super::commit::Found;
use super::db::{Db, Outcome, get, id_at, inconsistent, int, limit_of, number, text};
use super::session::{Known, Session};
use super::snowflakes;
use paidup_lifecycle::customer::Customer;
use paidup_lifecycle::ids::CustomerId;
use paidup_lifecycle::snowflake::Snowflake;
use postgres::Row;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A customer as it is to be written. `number` counts only when it is new.
pub(super) struct NewRow {
    customer: Arc<Customer>,
    number: i64,
    body: Vec<u8>,
}

/// Merges are followed so far. The engine merges into the last one, so chains grow only when that one is merged in turn.
const MERGES_FOLLOWED: usize = 64;

const BY_IDS: &str = "
    SELECT id, body
    FROM customers
    WHERE id = ANY($1)";

/// Those of the wanted ones that are known, as the transaction sees them; merges are not followed.
pub(super) fn load(session: &mut Session, wanted: &[CustomerId]) -> Outcome<Found<CustomerId, Customer>> {
    let mut found = BTreeMap::new();
    let mut missing = Vec::new();
    let mut is_gathered = false;
    for id in wanted {
        match session.hot.customers.get(id) {
            Some(known) => drop(found.insert(*id, known.clone())),
            None => {
                is_gathered |= session.pending.customers.contains_key(id);
                missing.push(id.0.as_slice());
            }
        }
    }
    if missing.is_empty() {
        return Ok(found);
    }
    // What is gathered may have left the rows that are remembered.
    if is_gathered {
        session.flush()?;
    }
    for row in session.db.query(BY_IDS, &[&missing])? {
        let (customer, bytes) = read(&session.db, &row, 1)?;
        let known = Known { row: Arc::new(customer), has_snowflake: true };
        session.hot.customers.put(known.row.id, bytes, known.clone());
        found.insert(known.row.id, known);
    }
    Ok(found)
}

/// `id` is in column 0, the body in `column`; how long its JSON is.
fn read(db: &Db, row: &Row, column: usize) -> Outcome<(Customer, usize)> {
    let id = CustomerId(id_at(row, 0, "customers", "id")?);
    let json = db.unpack(get(row, column)?, "customers", "body", id)?;
    let customer = serde_json::from_slice(&json).map_err(|_| inconsistent("customers", "body", id))?;
    Ok((customer, json.len()))
}

/// Gathers the whole row. A new customer gets its number, and its snowflake when it is sent.
pub(super) fn put(session: &mut Session, customer: Arc<Customer>) -> Outcome<()> {
    let id = customer.id;
    let is_known = !load(session, &[id])?.is_empty();
    if !is_known {
        session.heads.customer += 1;
        session.pending.customers_to_name.push(id);
    }
    let number = int(session.heads.customer);
    let (body, bytes) = session.db.pack_json(&*customer).map_err(|_| inconsistent("customers", "body", id))?;
    session.hot.customers.put(id, bytes, Known { row: customer.clone(), has_snowflake: true });
    session.gathered += 1;
    session
        .pending
        .customers
        .entry(id)
        .and_modify(|row| (row.customer, row.body) = (customer.clone(), body.clone()))
        .or_insert(NewRow { customer, number, body });
    Ok(())
}

/// New ones are inserted; of known ones number and snowflake stay.
const PUT_NEW: &str = "
    INSERT INTO customers (id, number, merged_into, snowflake, body)
    SELECT id, number, merged_into, snowflake, body
    FROM unnest($1::bytea[], $2::bigint[], $3::bytea[], $4::bigint[], $5::bytea[])
         AS new (id, number, merged_into, snowflake, body)";

const PUT_KNOWN: &str = "
    UPDATE customers
    SET merged_into = new.merged_into, body = new.body
    FROM unnest($1::bytea[], $2::bytea[], $3::bytea[]) AS new (id, merged_into, body)
    WHERE customers.id = new.id";

/// Writes gathered rows, and names those that are new.
pub(super) fn send(session: &mut Session, rows: BTreeMap<CustomerId, NewRow>, to_name: &[CustomerId]) -> Outcome<()> {
    let mint = |id: &CustomerId, attempt| {
        rows.get(id).map(|row| Snowflake::mint(row.customer.created_at, &row.customer.id.0, attempt))
    };
    let names = snowflakes::first_free(&mut session.db, snowflakes::CUSTOMERS_TAKEN, to_name, mint)?;
    let (mut ids, mut merged, mut bodies) = (Vec::new(), Vec::new(), Vec::new());
    let (mut new_ids, mut numbers, mut given) = (Vec::new(), Vec::new(), Vec::new());
    let (mut new_merged, mut new_bodies) = (Vec::new(), Vec::new());
    for (id, row) in &rows {
        let into = row.customer.merged_into.as_ref().map(|into| into.0.as_slice());
        match names.get(id) {
            Some(name) => {
                new_ids.push(id.0.as_slice());
                numbers.push(row.number);
                new_merged.push(into);
                given.push(name.as_i64());
                new_bodies.push(row.body.as_slice());
            }
            None => {
                ids.push(id.0.as_slice());
                merged.push(into);
                bodies.push(row.body.as_slice());
            }
        }
    }
    if !new_ids.is_empty() {
        session.db.execute(PUT_NEW, &[&new_ids, &numbers, &new_merged, &given, &new_bodies])?;
    }
    if !ids.is_empty() {
        session.db.execute(PUT_KNOWN, &[&ids, &merged, &bodies])?;
    }
    Ok(())
}

fn digest(alias: &str) -> Vec<u8> {
    Sha256::digest(alias.as_bytes()).to_vec()
}

const ALIASES: &str = "
    SELECT alias, customer_id
    FROM aliases
    WHERE digest = ANY($1)";

/// The ids under which customers are known by these aliases, or by their own ids' text forms, as the transaction sees it;
/// merges are not followed.
pub(super) fn named_all(session: &mut Session, aliases: &[String]) -> Outcome<BTreeMap<String, CustomerId>> {
    let mut found = BTreeMap::new();
    let mut missing = Vec::new();
    for alias in aliases {
        let known = session.pending.aliases.get(alias).copied();
        match known.or_else(|| session.hot.aliases.get(alias.as_str()).map(|id| *id)) {
            Some(id) => drop(found.insert(alias.clone(), id)),
            None => missing.push(alias),
        }
    }
    if missing.is_empty() {
        return Ok(found);
    }
    let digests: Vec<Vec<u8>> = missing.iter().map(|alias| digest(alias)).collect();
    for row in session.db.query(ALIASES, &[&digests])? {
        let alias = text(&row, 0, "aliases", "alias")?;
        let id = CustomerId(id_at(&row, 1, "aliases", "customer_id")?);
        session.hot.aliases.put(alias.clone(), alias.len(), id);
        found.insert(alias, id);
    }
    for alias in missing {
        if let (None, Ok(id)) = (found.get(alias), alias.parse()) {
            found.insert(alias.clone(), id);
        }
    }
    Ok(found)
}

/// Gives aliases to customers, or moves them there.
pub(super) fn send_aliases(db: &mut Db, aliases: &BTreeMap<String, CustomerId>) -> Outcome<()> {
    if aliases.is_empty() {
        return Ok(());
    }
    let (texts, owners): (Vec<&[u8]>, Vec<&[u8]>) =
        aliases.iter().map(|(alias, owner)| (alias.as_bytes(), owner.0.as_slice())).unzip();
    db.execute(
        "INSERT INTO aliases (digest, alias, customer_id)
         SELECT sha256(alias), alias, customer_id
         FROM unnest($1::bytea[], $2::bytea[]) AS new (alias, customer_id)
         ON CONFLICT (digest) DO UPDATE SET customer_id = excluded.customer_id",
        &[&texts, &owners],
    )?;
    Ok(())
}

/// The id under which a customer is known by that alias, or by its own id's text form; merges are not followed.
pub(super) fn named(db: &mut Db, id_or_alias: &str) -> Outcome<Option<CustomerId>> {
    let row = db.first("SELECT customer_id FROM aliases WHERE digest = $1", &[&digest(id_or_alias)])?;
    match row {
        Some(row) => Ok(Some(CustomerId(id_at(&row, 0, "aliases", "customer_id")?))),
        None => Ok(id_or_alias.parse().ok()),
    }
}

/// Aliases from this one on, and those before it, each nearest first.
pub(super) fn aliases_around(db: &mut Db, alias: &str, limit: usize) -> Outcome<Vec<String>> {
    let mut around = Vec::new();
    for (compared, order) in [(">=", ""), ("<", " DESC")] {
        let sql = format!(
            "SELECT alias
             FROM aliases
             WHERE (substring(alias FROM 1 FOR 64), alias) {compared} (substring($1::bytea FROM 1 FOR 64), $1::bytea)
             ORDER BY substring(alias FROM 1 FOR 64){order}, alias{order}
             LIMIT $2"
        );
        for row in db.query(&sql, &[&alias.as_bytes(), &limit_of(limit)])? {
            around.push(text(&row, 0, "aliases", "alias")?);
        }
    }
    Ok(around)
}

/// The customer that `id` answers as: the one at the end of its merges.
pub(super) fn resolve(db: &mut Db, id: CustomerId) -> Outcome<Option<Customer>> {
    let mut next = id;
    for _ in 0..MERGES_FOLLOWED {
        let ids = [next.0.as_slice()];
        let Some(row) = db.first(BY_IDS, &[&ids.as_slice()])? else { return Ok(None) };
        let customer = read(db, &row, 1)?.0;
        match customer.merged_into {
            Some(into) => next = into,
            None => return Ok(Some(customer)),
        }
    }
    Err(inconsistent("customers", "merged_into", id))
}

/// `id` and all customers that were merged into it, directly or in turn.
pub(super) fn with_merged(db: &mut Db, id: CustomerId) -> Outcome<Vec<CustomerId>> {
    let rows = db.query(
        "WITH RECURSIVE family (id) AS (
             SELECT $1::bytea
             UNION
             SELECT c.id FROM customers c JOIN family f ON c.merged_into = f.id
         )
         SELECT id FROM family",
        &[&id.0.as_slice()],
    )?;
    rows.iter().map(|row| Ok(CustomerId(id_at(row, 0, "customers", "id")?))).collect()
}

/// Customers by creation, oldest first, with their numbers.
pub(super) fn by_age(db: &mut Db, after: u64, limit: usize) -> Outcome<Vec<(u64, Customer)>> {
    let rows = db.query(
        "SELECT id, body, number
         FROM customers
         WHERE number > $1
         ORDER BY number
         LIMIT $2",
        &[&int(after), &limit_of(limit)],
    )?;
    rows.iter().map(|row| Ok((number(row, 2)?, read(db, row, 1)?.0))).collect()
}
