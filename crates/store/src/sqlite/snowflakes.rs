//! The ids of purchases and customers in Discord's shape: given once, kept for good, found by their index.

use super::db::{Db, Outcome, inconsistent, limit_of};
use super::{customers, purchases};
use crate::records::SnowflakeQuery;
use crate::{Refused, StoreError};
use paidup_lifecycle::customer::Customer;
use paidup_lifecycle::dialects::discord;
use paidup_lifecycle::ids::CustomerId;
use paidup_lifecycle::purchase::Purchase;
use paidup_lifecycle::snowflake::Snowflake;
use rusqlite::OptionalExtension;
use std::collections::{BTreeMap, BTreeSet};

/// Each attempt has two million free places of its own, so this many are never taken.
const MAX_ATTEMPTS: u32 = 10_000;

/// Gives a purchase its snowflake as soon as it has a start. Its row was just written, so its page is at hand.
pub(super) fn give_purchase(db: &Db, slot: &mut purchases::Slot, purchase: &Purchase) -> Outcome<()> {
    let (false, Some(key)) = (slot.has_snowflake, slot.key) else { return Ok(()) };
    if discord::snowflake(purchase, 0).is_none() {
        return Ok(());
    }
    let mint = |attempt| discord::snowflake(purchase, attempt);
    let snowflake = first_free(db, PURCHASE_TAKEN, mint)?;
    db.conn.prepare_cached("UPDATE purchases SET snowflake = ?2 WHERE key = ?1")?.execute((key, snowflake.as_i64()))?;
    slot.has_snowflake = true;
    Ok(())
}

/// Gives a new customer its snowflake.
pub(super) fn give_customer(db: &Db, slot: &mut customers::Slot, customer: &Customer) -> Outcome<()> {
    let (false, Some(key)) = (slot.has_snowflake, slot.key) else { return Ok(()) };
    let mint = |attempt| Some(Snowflake::mint(customer.created_at, &customer.id.0, attempt));
    let snowflake = first_free(db, CUSTOMER_TAKEN, mint)?;
    db.conn.prepare_cached("UPDATE customers SET snowflake = ?2 WHERE key = ?1")?.execute((key, snowflake.as_i64()))?;
    slot.has_snowflake = true;
    Ok(())
}

pub(super) const PURCHASE_TAKEN: &str = "SELECT 1 FROM purchases WHERE snowflake IN (?1, ?2)";
pub(super) const CUSTOMER_TAKEN: &str = "SELECT 1 FROM customers WHERE snowflake IN (?1, ?2)";

/// The first attempt whose id and twin are both free.
fn first_free(db: &Db, taken: &str, mint: impl Fn(u32) -> Option<Snowflake>) -> Outcome<Snowflake> {
    let mut statement = db.conn.prepare_cached(taken)?;
    for id in (0..MAX_ATTEMPTS).filter_map(mint) {
        if !statement.exists((id.as_i64(), id.twin().as_i64()))? {
            return Ok(id);
        }
    }
    let detail = "no snowflake is free for this start, which takes billions of purchases".to_owned();
    Err(StoreError::Refused(Refused { status: 500, detail }))
}

/// Of all purchases, in either direction.
pub(super) const UPWARDS: &str = "
    SELECT snowflake, id, body
    FROM purchases
    WHERE snowflake > ?1 AND snowflake < ?2
    ORDER BY snowflake
    LIMIT ?3";
pub(super) const DOWNWARDS: &str = "
    SELECT snowflake, id, body
    FROM purchases
    WHERE snowflake > ?1 AND snowflake < ?2
    ORDER BY snowflake DESC
    LIMIT ?3";

/// Of one customer: few rows, sorted as they come. The other index would read everybody's.
pub(super) const OF_CUSTOMER: &str = "
    SELECT snowflake, id, body
    FROM purchases INDEXED BY purchases_by_customer
    WHERE snowflake > ?1 AND snowflake < ?2 AND customer_id = ?4
    ORDER BY snowflake
    LIMIT ?3";
const OF_CUSTOMER_DOWNWARDS: &str = "
    SELECT snowflake, id, body
    FROM purchases INDEXED BY purchases_by_customer
    WHERE snowflake > ?1 AND snowflake < ?2 AND customer_id = ?4
    ORDER BY snowflake DESC
    LIMIT ?3";

/// Purchases with their snowflakes, ascending.
pub(super) fn purchases(db: &Db, query: &SnowflakeQuery) -> Outcome<Vec<(Snowflake, Purchase)>> {
    let above = query.after.map_or(-1, Snowflake::as_i64);
    // No snowflake is the largest number: it would be of the year 2084.
    let below = query.before.map_or(i64::MAX, Snowflake::as_i64);
    let limit = limit_of(query.limit);
    let (of_all, of_customer) = match query.highest {
        false => (UPWARDS, OF_CUSTOMER),
        true => (DOWNWARDS, OF_CUSTOMER_DOWNWARDS),
    };
    let mut statement = db.conn.prepare_cached(if query.customer.is_some() { of_customer } else { of_all })?;
    let mut rows = match query.customer {
        Some(customer) => statement.query((above, below, limit, customer.0))?,
        None => statement.query((above, below, limit))?,
    };
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let snowflake = Snowflake::from_i64(row.get(0)?).ok_or_else(|| inconsistent("purchases", "snowflake", "?"))?;
        found.push((snowflake, purchases::read_body(db, row, 2)?.0));
    }
    if query.highest {
        found.reverse();
    }
    Ok(found)
}

pub(super) const CUSTOMER: &str = "SELECT id FROM customers WHERE snowflake = ?1";

/// Who has that snowflake; merges are not followed.
pub(super) fn customer(db: &Db, snowflake: Snowflake) -> Outcome<Option<CustomerId>> {
    let found: Option<[u8; 16]> =
        db.conn.prepare_cached(CUSTOMER)?.query_row([snowflake.as_i64()], |row| row.get(0)).optional()?;
    Ok(found.map(CustomerId))
}

/// The Discord ids under which customers are known.
pub(super) fn of_customers(db: &Db, wanted: &BTreeSet<CustomerId>) -> Outcome<BTreeMap<CustomerId, Snowflake>> {
    let mut found = BTreeMap::new();
    for id in wanted {
        let Some(customer) = customers::resolve(db, *id)? else { continue };
        let known = match customer.discord_id() {
            Some(linked) => Some(linked),
            None => own(db, customer.id)?,
        };
        found.extend(known.map(|known| (*id, known)));
    }
    Ok(found)
}

/// A customer's own snowflake.
fn own(db: &Db, id: CustomerId) -> Outcome<Option<Snowflake>> {
    let Some(key) = customers::slot(db, id)?.key else { return Ok(None) };
    let number: Option<i64> =
        db.conn.prepare_cached("SELECT snowflake FROM customers WHERE key = ?1")?.query_row([key], |row| row.get(0))?;
    Ok(number.and_then(Snowflake::from_i64))
}
