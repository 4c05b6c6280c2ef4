//! Rows that folding the journal gives, as key and exact bytes, in key order: what a comparison of two stores reads. The
//! same bytes as from SQLite.

use super::db::{Db, Outcome, get, id_at, inconsistent, limit_of};
use crate::compare::or_damaged;
use crate::records::DerivedTable;
use paidup_lifecycle::ids::{CustomerId, PurchaseId};

/// A row: its key and its bytes.
type Derived = (Vec<u8>, Vec<u8>);

/// Rows of `table` after a key, in key order.
pub(super) fn rows(db: &mut Db, table: DerivedTable, after: Option<&[u8]>, limit: usize) -> Outcome<Vec<Derived>> {
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
fn events(db: &mut Db, after: Option<&[u8]>, limit: usize) -> Outcome<Vec<Derived>> {
    let after = match after {
        Some(key) => i64::from_be_bytes(key.try_into().map_err(|_| inconsistent("events", "position", "a key"))?),
        None => 0,
    };
    let rows = db.query(super::events::AFTER, &[&after, &limit_of(limit)])?;
    let key = |row| get::<i64>(row, 0).map(|position| position.to_be_bytes().to_vec());
    rows.iter().map(|row| Ok((key(row)?, or_damaged(super::events::json(db, row))?))).collect()
}

const PURCHASES: &str = "
    SELECT id, body, snowflake
    FROM purchases
    WHERE $1::bytea IS NULL OR id > $1
    ORDER BY id
    LIMIT $2";

const CUSTOMERS: &str = "
    SELECT id, body, snowflake
    FROM customers
    WHERE $1::bytea IS NULL OR id > $1
    ORDER BY id
    LIMIT $2";

/// Key: the id. Bytes: the row's JSON, then its snowflake.
fn keyed_rows(
    db: &mut Db,
    table: &'static str,
    sql: &str,
    after: Option<&[u8]>,
    limit: usize,
) -> Outcome<Vec<Derived>> {
    let mut derived = Vec::new();
    for row in db.query(sql, &[&after, &limit_of(limit)])? {
        let mut bytes = or_damaged(db.unpack(get(&row, 1)?, table, "body", "a derived row"))?;
        let snowflake: Option<i64> = get(&row, 2)?;
        bytes.extend(snowflake.map(|id| format!("\nsnowflake {id}")).unwrap_or_default().bytes());
        derived.push((get(&row, 0)?, bytes));
    }
    Ok(derived)
}

/// Key: the other id. Bytes: the purchase's own as text.
fn other_ids(db: &mut Db, after: Option<&[u8]>, limit: usize) -> Outcome<Vec<Derived>> {
    let rows = db.query(
        "SELECT id, purchase_id
         FROM purchase_other_ids
         WHERE $1::bytea IS NULL OR id > $1
         ORDER BY id
         LIMIT $2",
        &[&after, &limit_of(limit)],
    )?;
    rows.iter()
        .map(|row| {
            let own = PurchaseId(id_at(row, 1, "purchase_other_ids", "purchase_id")?);
            Ok((get(row, 0)?, own.to_string().into_bytes()))
        })
        .collect()
}

/// Key: the alias. Bytes: the customer's id as text.
fn aliases(db: &mut Db, after: Option<&[u8]>, limit: usize) -> Outcome<Vec<Derived>> {
    let rows = db.query(
        "SELECT alias, customer_id
         FROM aliases
         WHERE $1::bytea IS NULL
            OR (substring(alias FROM 1 FOR 64), alias) > (substring($1 FROM 1 FOR 64), $1)
         ORDER BY substring(alias FROM 1 FOR 64), alias
         LIMIT $2",
        &[&after, &limit_of(limit)],
    )?;
    rows.iter()
        .map(|row| {
            let customer = CustomerId(id_at(row, 1, "aliases", "customer_id")?);
            Ok((get(row, 0)?, customer.to_string().into_bytes()))
        })
        .collect()
}

/// One row with an empty key, once the catalogue was changed.
fn catalogue(db: &mut Db, after: Option<&[u8]>, limit: usize) -> Outcome<Vec<Derived>> {
    if after.is_some() || limit == 0 {
        return Ok(Vec::new());
    }
    let row = db.first("SELECT body FROM catalogue WHERE one = 1", &[])?;
    row.iter().map(|row| Ok((Vec::new(), get(row, 0)?))).collect()
}
