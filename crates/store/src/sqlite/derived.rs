//! Rows that folding the journal gives, as key and exact bytes, in key order: what a comparison of two stores reads.

use super::db::{Db, Outcome, inconsistent, limit_of};
use super::keyed;
use crate::compare::or_damaged;
use crate::records::DerivedTable;
use paidup_lifecycle::ids::{CustomerId, PurchaseId};
use rusqlite::OptionalExtension;
use rusqlite::types::ToSql;

/// A row: its key and its bytes.
type Derived = (Vec<u8>, Vec<u8>);

/// Rows of `table` after a key, in key order.
pub(super) fn rows(db: &Db, table: DerivedTable, after: Option<&[u8]>, limit: usize) -> Outcome<Vec<Derived>> {
    match table {
        DerivedTable::Events => events(db, after, limit),
        DerivedTable::Purchases => keyed_rows(db, "purchases", PURCHASES, after, limit),
        DerivedTable::PurchaseOtherIds => other_ids(db, after, limit),
        DerivedTable::Customers => keyed_rows(db, "customers", CUSTOMERS, after, limit),
        DerivedTable::Aliases => aliases(db, after, limit),
        DerivedTable::Catalogue => catalogue(db, after, limit),
    }
}

/// Key: the position, most significant byte first.
fn events(db: &Db, after: Option<&[u8]>, limit: usize) -> Outcome<Vec<Derived>> {
    let after = match after {
        Some(key) => i64::from_be_bytes(key.try_into().map_err(|_| inconsistent("events", "position", "a key"))?),
        None => 0,
    };
    let mut statement = db.conn.prepare_cached(super::events::AFTER)?;
    let mut rows = statement.query((after, limit_of(limit)))?;
    let mut derived = Vec::new();
    while let Some(row) = rows.next()? {
        let position: i64 = row.get(0)?;
        derived.push((position.to_be_bytes().to_vec(), or_damaged(super::events::json(db, row))?));
    }
    Ok(derived)
}

pub(super) const PURCHASES: &str = "
    SELECT id, body, snowflake
    FROM purchases
    WHERE key >= ?1 AND (?2 IS NULL OR id > ?2)
    ORDER BY key
    LIMIT ?3";

pub(super) const CUSTOMERS: &str = "
    SELECT id, body, snowflake
    FROM customers
    WHERE key >= ?1 AND (?2 IS NULL OR id > ?2)
    ORDER BY key
    LIMIT ?3";

/// Key: the id. Bytes: the row's JSON, then its snowflake. Keys of rows keep the order of ids but for rows that are off their home, by less than `SPREAD` places:
/// so many more are read, sorted and cut off.
fn keyed_rows(db: &Db, table: &'static str, sql: &str, after: Option<&[u8]>, limit: usize) -> Outcome<Vec<Derived>> {
    let home = match after {
        Some(id) => keyed::home(super::db::id16(id, table, "id")?),
        None => i64::MIN,
    };
    let more = limit.saturating_add(keyed::SPREAD.unsigned_abs() as usize);
    let mut statement = db.conn.prepare_cached(sql)?;
    let values: [&dyn ToSql; 3] = [&home, &after, &limit_of(more)];
    let mut rows = statement.query(values.as_slice())?;
    let mut derived = Vec::new();
    while let Some(row) = rows.next()? {
        let id: Vec<u8> = row.get(0)?;
        let body = row.get_ref(1)?.as_blob().unwrap_or_default();
        let mut bytes = or_damaged(db.unpack(body, table, "body", "a derived row"))?;
        let snowflake: Option<i64> = row.get(2)?;
        bytes.extend(snowflake.map(|id| format!("\nsnowflake {id}")).unwrap_or_default().bytes());
        derived.push((id, bytes));
    }
    derived.sort_unstable();
    derived.truncate(limit);
    Ok(derived)
}

/// Key: the other id. Bytes: the purchase's own as text.
fn other_ids(db: &Db, after: Option<&[u8]>, limit: usize) -> Outcome<Vec<Derived>> {
    let mut statement = db.conn.prepare_cached(
        "SELECT id, purchase_id
         FROM purchase_other_ids
         WHERE ?1 IS NULL OR id > ?1
         ORDER BY id
         LIMIT ?2",
    )?;
    let mut rows = statement.query((after, limit_of(limit)))?;
    let mut derived = Vec::new();
    while let Some(row) = rows.next()? {
        derived.push((row.get(0)?, PurchaseId(row.get(1)?).to_string().into_bytes()));
    }
    Ok(derived)
}

/// Key: the alias. Bytes: the customer's id as text.
fn aliases(db: &Db, after: Option<&[u8]>, limit: usize) -> Outcome<Vec<Derived>> {
    let after = match after {
        Some(alias) => Some(std::str::from_utf8(alias).map_err(|_| inconsistent("aliases", "alias", "a key"))?),
        None => None,
    };
    let mut statement = db.conn.prepare_cached(
        "SELECT alias, customer_id
         FROM aliases
         WHERE ?1 IS NULL OR alias > ?1
         ORDER BY alias
         LIMIT ?2",
    )?;
    let mut rows = statement.query((after, limit_of(limit)))?;
    let mut derived = Vec::new();
    while let Some(row) = rows.next()? {
        let alias: String = row.get(0)?;
        let customer = CustomerId(row.get(1)?);
        derived.push((alias.into_bytes(), customer.to_string().into_bytes()));
    }
    Ok(derived)
}

/// One row with an empty key, once the catalogue was changed.
fn catalogue(db: &Db, after: Option<&[u8]>, limit: usize) -> Outcome<Vec<Derived>> {
    if after.is_some() || limit == 0 {
        return Ok(Vec::new());
    }
    let body: Option<Vec<u8>> =
        db.conn.query_row("SELECT body FROM catalogue WHERE one = 1", [], |row| row.get(0)).optional()?;
    Ok(body.map(|body| (Vec::new(), body)).into_iter().collect())
}
