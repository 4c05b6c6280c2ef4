//! The ids of purchases and customers in Discord's shape: given once, kept for good, found by their index.

use super::db::{Db, Outcome, get, id_at, inconsistent, limit_of};
use super::{customers, purchases};
use crate::records::SnowflakeQuery;
use crate::{Refused, StoreError};
use paidup_lifecycle::ids::CustomerId;
use paidup_lifecycle::purchase::Purchase;
use paidup_lifecycle::snowflake::Snowflake;
use std::collections::{BTreeMap, BTreeSet};

/// Each attempt has two million free places of its own, so this many are never taken.
const MAX_ATTEMPTS: u32 = 10_000;

pub(super) const PURCHASES_TAKEN: &str = "SELECT snowflake FROM purchases WHERE snowflake = ANY($1)";
pub(super) const CUSTOMERS_TAKEN: &str = "SELECT snowflake FROM customers WHERE snowflake = ANY($1)";

/// For each, in this order, the first attempt whose id and twin are both free. All first attempts are looked up at once;
/// hardly ever is a second one needed.
pub(super) fn first_free<I: Ord + Copy>(
    db: &mut Db,
    taken_sql: &str,
    wanted: &[I],
    mint: impl Fn(&I, u32) -> Option<Snowflake>,
) -> Outcome<BTreeMap<I, Snowflake>> {
    let mut names = BTreeMap::new();
    let first: Vec<Snowflake> = wanted.iter().filter_map(|id| mint(id, 0)).collect();
    if first.is_empty() {
        return Ok(names);
    }
    let mut taken = taken(db, taken_sql, &first)?;
    let mut looked_up: BTreeSet<i64> = first.iter().map(|name| name.as_i64()).collect();
    for id in wanted {
        for attempt in 0..MAX_ATTEMPTS {
            let Some(name) = mint(id, attempt) else { break };
            if looked_up.insert(name.as_i64()) {
                taken.extend(self::taken(db, taken_sql, &[name])?);
            }
            if !taken.contains(&name.as_i64()) && !taken.contains(&name.twin().as_i64()) {
                taken.insert(name.as_i64());
                names.insert(*id, name);
                break;
            }
        }
        if !names.contains_key(id) && mint(id, 0).is_some() {
            let detail = "no snowflake is free for this start, which takes billions of purchases".to_owned();
            return Err(StoreError::Refused(Refused { status: 500, detail }));
        }
    }
    Ok(names)
}

/// Those of the names, and of their twins, that somebody has.
fn taken(db: &mut Db, sql: &str, names: &[Snowflake]) -> Outcome<BTreeSet<i64>> {
    let wanted: Vec<i64> = names.iter().flat_map(|name| [name.as_i64(), name.twin().as_i64()]).collect();
    db.query(sql, &[&wanted])?.iter().map(|row| get(row, 0)).collect()
}

const UPWARDS: &str = "
    SELECT id, body, snowflake
    FROM purchases
    WHERE snowflake > $1 AND snowflake < $2 AND ($4::bytea IS NULL OR customer_id = $4)
    ORDER BY snowflake
    LIMIT $3";
const DOWNWARDS: &str = "
    SELECT id, body, snowflake
    FROM purchases
    WHERE snowflake > $1 AND snowflake < $2 AND ($4::bytea IS NULL OR customer_id = $4)
    ORDER BY snowflake DESC
    LIMIT $3";

/// Purchases with their snowflakes, ascending.
pub(super) fn purchases(db: &mut Db, query: &SnowflakeQuery) -> Outcome<Vec<(Snowflake, Purchase)>> {
    let above = query.after.map_or(-1, Snowflake::as_i64);
    // No snowflake is the largest number: it would be of the year 2084.
    let below = query.before.map_or(i64::MAX, Snowflake::as_i64);
    let customer = query.customer.as_ref().map(|customer| customer.0.as_slice());
    let sql = if query.highest { DOWNWARDS } else { UPWARDS };
    let rows = db.query(sql, &[&above, &below, &limit_of(query.limit), &customer])?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let snowflake = Snowflake::from_i64(get(row, 2)?).ok_or_else(|| inconsistent("purchases", "snowflake", "?"))?;
        found.push((snowflake, purchases::read(db, row, 1)?.0));
    }
    if query.highest {
        found.reverse();
    }
    Ok(found)
}

/// Who has that snowflake; merges are not followed.
pub(super) fn customer(db: &mut Db, snowflake: Snowflake) -> Outcome<Option<CustomerId>> {
    let row = db.first("SELECT id FROM customers WHERE snowflake = $1", &[&snowflake.as_i64()])?;
    row.map(|row| Ok(CustomerId(id_at(&row, 0, "customers", "id")?))).transpose()
}

/// The Discord ids under which customers are known.
pub(super) fn of_customers(db: &mut Db, wanted: &BTreeSet<CustomerId>) -> Outcome<BTreeMap<CustomerId, Snowflake>> {
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
fn own(db: &mut Db, id: CustomerId) -> Outcome<Option<Snowflake>> {
    let row = db.first("SELECT snowflake FROM customers WHERE id = $1", &[&id.0.as_slice()])?;
    Ok(row.map(|row| get(&row, 0)).transpose()?.and_then(Snowflake::from_i64))
}
