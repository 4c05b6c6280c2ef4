//! Customers: one row each, written whole; their aliases; who was merged into whom.

use super::db::{Db, Outcome, id16, inconsistent, int, limit_of, uint};
use super::keyed;
use paidup_lifecycle::customer::Customer;
use paidup_lifecycle::ids::CustomerId;
use rusqlite::{OptionalExtension, Row};

/// Where a customer's row is, and what of it the next write needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    /// `None`: there is no row yet.
    pub(super) key: Option<i64>,
    pub(super) merged_into: Option<CustomerId>,
    pub(super) last_event: Option<i64>,
    /// `last_event` was moved and is not written yet.
    pub(super) moved: bool,
    /// It has its snowflake.
    pub(super) has_snowflake: bool,
}

impl Slot {
    const VACANT: Slot = Slot { key: None, merged_into: None, last_event: None, moved: false, has_snowflake: false };
}

/// Merges are followed so far. The engine merges into the last one, so chains grow only when that one is merged in turn.
const MERGES_FOLLOWED: usize = 64;

pub(super) const BY_KEY: &str = "
    SELECT key, id, merged_into, last_event, body, snowflake IS NOT NULL
    FROM customers
    WHERE key BETWEEN ?1 AND ?2
    ORDER BY key";

/// Where a customer is.
pub(super) fn slot(db: &Db, id: CustomerId) -> Outcome<Slot> {
    Ok(keyed::find(&db.conn, "customers", BY_KEY, id.0, read_slot)?.unwrap_or(Slot::VACANT))
}

/// The customer itself, merged or not, with where it is and how long its JSON is.
pub(super) fn load(db: &Db, id: CustomerId) -> Outcome<(Slot, Option<(Customer, usize)>)> {
    let found = keyed::find(&db.conn, "customers", BY_KEY, id.0, |row| Ok((read_slot(row)?, read_body(db, row, 4)?)))?;
    Ok(found.map_or((Slot::VACANT, None), |(slot, customer)| (slot, Some(customer))))
}

/// The customer that `id` answers as: the one at the end of its merges.
pub(super) fn resolve(db: &Db, id: CustomerId) -> Outcome<Option<Customer>> {
    let mut next = id;
    for _ in 0..MERGES_FOLLOWED {
        let customer = load(db, next)?.1.map(|(customer, _)| customer);
        match customer.as_ref().and_then(|customer| customer.merged_into) {
            Some(into) => next = into,
            None => return Ok(customer),
        }
    }
    Err(inconsistent("customers", "merged_into", id))
}

/// The id under which a customer is known by that alias, or by its own id's text form; merges are not followed.
pub(super) fn named(db: &Db, id_or_alias: &str) -> Outcome<Option<CustomerId>> {
    let by_alias = alias(db, id_or_alias)?;
    Ok(by_alias.or_else(|| id_or_alias.parse().ok()))
}

pub(super) const ALIAS: &str = "SELECT customer_id FROM aliases WHERE alias = ?1";

/// Whose alias it is.
pub(super) fn alias(db: &Db, alias: &str) -> Outcome<Option<CustomerId>> {
    let found: Option<[u8; 16]> = db.conn.prepare_cached(ALIAS)?.query_row([alias], |row| row.get(0)).optional()?;
    Ok(found.map(CustomerId))
}

pub(super) const ALIASES_FROM: &str = "SELECT alias FROM aliases WHERE alias >= ?1 ORDER BY alias LIMIT ?2";
pub(super) const ALIASES_BEFORE: &str = "SELECT alias FROM aliases WHERE alias < ?1 ORDER BY alias DESC LIMIT ?2";

/// Aliases beside that text, on both sides.
pub(super) fn aliases_around(db: &Db, alias: &str, limit: usize) -> Outcome<Vec<String>> {
    let mut around = Vec::new();
    for sql in [ALIASES_FROM, ALIASES_BEFORE] {
        let mut statement = db.conn.prepare_cached(sql)?;
        let rows = statement.query_map((alias, limit_of(limit)), |row| row.get(0))?;
        around.extend(rows.collect::<rusqlite::Result<Vec<String>>>()?);
    }
    Ok(around)
}

/// Gives an alias to a customer, or moves it there.
pub(super) fn put_alias(db: &Db, alias: &str, customer: CustomerId) -> Outcome<()> {
    db.conn
        .prepare_cached(
            "INSERT INTO aliases (alias, customer_id)
             VALUES (?1, ?2)
             ON CONFLICT (alias) DO UPDATE SET customer_id = excluded.customer_id",
        )?
        .execute((alias, customer.0))?;
    Ok(())
}

fn read_slot(row: &Row<'_>) -> Outcome<Slot> {
    let merged_into: Option<[u8; 16]> = row.get(2)?;
    Ok(Slot {
        key: Some(row.get(0)?),
        merged_into: merged_into.map(CustomerId),
        last_event: row.get(3)?,
        moved: false,
        has_snowflake: row.get(5)?,
    })
}

/// `id` is in column 1, the body in `column`.
fn read_body(db: &Db, row: &Row<'_>, column: usize) -> Outcome<(Customer, usize)> {
    let id = CustomerId(id16(row.get_ref(1)?.as_blob().unwrap_or_default(), "customers", "id")?);
    let json = db.unpack(row.get_ref(column)?.as_blob().unwrap_or_default(), "customers", "body", id)?;
    let customer = serde_json::from_slice(&json).map_err(|_| inconsistent("customers", "body", id))?;
    Ok((customer, json.len()))
}

/// Writes the whole row; answers how long its JSON is.
pub(super) fn put(db: &Db, slot: &mut Slot, customer: &Customer) -> Outcome<usize> {
    let (body, bytes) = db.pack_json(customer).map_err(|_| inconsistent("customers", "body", customer.id))?;
    let key = match slot.key {
        None => {
            let key = keyed::vacant(&db.conn, BY_KEY, customer.id.0)?;
            db.conn
                .prepare_cached(
                    "INSERT INTO customers (key, id, merged_into, last_event, body)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute((key, customer.id.0, customer.merged_into.map(|into| into.0), slot.last_event, body))?;
            db.conn.prepare_cached("INSERT INTO customers_by_age (customer_key) VALUES (?1)")?.execute([key])?;
            key
        }
        Some(key) => {
            if slot.merged_into != customer.merged_into {
                db.conn
                    .prepare_cached("UPDATE customers SET merged_into = ?2 WHERE key = ?1")?
                    .execute((key, customer.merged_into.map(|into| into.0)))?;
            }
            db.conn.prepare_cached("UPDATE customers SET last_event = ?2, body = ?3 WHERE key = ?1")?.execute((
                key,
                slot.last_event,
                body,
            ))?;
            key
        }
    };
    *slot = Slot { key: Some(key), merged_into: customer.merged_into, moved: false, ..*slot };
    Ok(bytes)
}

/// Writes where the customer's last event is, when the row itself was not written.
pub(super) fn put_last_event(db: &Db, slot: &Slot) -> Outcome<()> {
    if let (true, Some(key)) = (slot.moved, slot.key) {
        db.conn
            .prepare_cached("UPDATE customers SET last_event = ?2 WHERE key = ?1")?
            .execute((key, slot.last_event))?;
    }
    Ok(())
}

pub(super) const MERGED_INTO: &str = "SELECT id FROM customers WHERE merged_into = ?1 ORDER BY id";

/// `id` and all customers that were merged into it, directly or in turn.
pub(super) fn with_merged(db: &Db, id: CustomerId) -> Outcome<Vec<CustomerId>> {
    let mut all = vec![id];
    let mut next = 0;
    while let Some(into) = all.get(next).copied() {
        next += 1;
        let mut statement = db.conn.prepare_cached(MERGED_INTO)?;
        let mut rows = statement.query([into.0])?;
        while let Some(row) = rows.next()? {
            let merged = CustomerId(row.get(0)?);
            if !all.contains(&merged) {
                all.push(merged);
            }
        }
    }
    Ok(all)
}

pub(super) const BY_AGE: &str = "
    SELECT c.key, c.id, c.body, a.number
    FROM customers_by_age a
    JOIN customers c ON c.key = a.customer_key
    WHERE a.number > ?1
    ORDER BY a.number
    LIMIT ?2";

/// Customers by creation, oldest first, with their numbers.
pub(super) fn by_age(db: &Db, after: u64, limit: usize) -> Outcome<Vec<(u64, Customer)>> {
    let mut statement = db.conn.prepare_cached(BY_AGE)?;
    let mut rows = statement.query((int(after), limit_of(limit)))?;
    let mut customers = Vec::new();
    while let Some(row) = rows.next()? {
        customers.push((uint(row.get(3)?), read_body(db, row, 2)?.0));
    }
    Ok(customers)
}
