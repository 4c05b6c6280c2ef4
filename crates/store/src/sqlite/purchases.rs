//! Purchases: one row each, written whole.

use super::agenda::Deadline;
use super::db::{Db, Outcome, id16, inconsistent, int, limit_of};
use super::{customers, keyed};
use crate::StoreError;
use crate::records::SourcePage;
use paidup_lifecycle::ids::{CustomerId, PurchaseId, SourceId};
use paidup_lifecycle::purchase::Purchase;
use rusqlite::{OptionalExtension, Row};

/// Where a purchase's row is, and what of it the next write needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    /// `None`: there is no row yet.
    pub(super) key: Option<i64>,
    pub(super) customer: Option<CustomerId>,
    pub(super) next_deadline_at: Option<i64>,
    pub(super) last_event: Option<i64>,
    /// `last_event` was moved and is not written yet.
    pub(super) moved: bool,
    /// It has its snowflake.
    pub(super) has_snowflake: bool,
}

impl Slot {
    const VACANT: Slot = Slot {
        key: None,
        customer: None,
        next_deadline_at: None,
        last_event: None,
        moved: false,
        has_snowflake: false,
    };
}

pub(super) const BY_KEY: &str = "
    SELECT key, id, customer_id, next_deadline_at, last_event, body, snowflake IS NOT NULL
    FROM purchases
    WHERE key BETWEEN ?1 AND ?2
    ORDER BY key";

/// Where a purchase is.
pub(super) fn slot(db: &Db, id: PurchaseId) -> Outcome<Slot> {
    Ok(keyed::find(&db.conn, "purchases", BY_KEY, id.0, read_slot)?.unwrap_or(Slot::VACANT))
}

/// The purchase with where it is and how long its JSON is; `None`: there is none.
pub(super) fn load(db: &Db, id: PurchaseId) -> Outcome<(Slot, Option<(Purchase, usize)>)> {
    let found = keyed::find(&db.conn, "purchases", BY_KEY, id.0, |row| Ok((read_slot(row)?, read_body(db, row, 5)?)))?;
    Ok(found.map_or((Slot::VACANT, None), |(slot, purchase)| (slot, Some(purchase))))
}

pub(super) const BY_OTHER_ID: &str = "SELECT purchase_id FROM purchase_other_ids WHERE id = ?1";

/// The purchase that is known by that id besides its own.
pub(super) fn by_other_id(db: &Db, id: PurchaseId) -> Outcome<Option<PurchaseId>> {
    let found: Option<[u8; 16]> =
        db.conn.prepare_cached(BY_OTHER_ID)?.query_row([id.0], |row| row.get(0)).optional()?;
    Ok(found.map(PurchaseId))
}

/// Gives a purchase another id. An id is given once: it stays with whom it was given to.
pub(super) fn put_other_id(db: &Db, other: PurchaseId, purchase: PurchaseId) -> Outcome<()> {
    db.conn
        .prepare_cached(
            "INSERT INTO purchase_other_ids (id, purchase_id)
             VALUES (?1, ?2)
             ON CONFLICT (id) DO NOTHING",
        )?
        .execute((other.0, purchase.0))?;
    Ok(())
}

fn read_slot(row: &Row<'_>) -> Outcome<Slot> {
    let customer = CustomerId(id16(row.get_ref(2)?.as_blob().unwrap_or_default(), "purchases", "customer_id")?);
    Ok(Slot {
        key: Some(row.get(0)?),
        customer: Some(customer),
        next_deadline_at: row.get(3)?,
        last_event: row.get(4)?,
        moved: false,
        has_snowflake: row.get(6)?,
    })
}

/// `id` is in column 1, the body in `column`.
pub(super) fn read_body(db: &Db, row: &Row<'_>, column: usize) -> Outcome<(Purchase, usize)> {
    let id = PurchaseId(id16(row.get_ref(1)?.as_blob().unwrap_or_default(), "purchases", "id")?);
    let json = db.unpack(row.get_ref(column)?.as_blob().unwrap_or_default(), "purchases", "body", id)?;
    let purchase = serde_json::from_slice(&json).map_err(|_| inconsistent("purchases", "body", id))?;
    Ok((purchase, json.len()))
}

/// Writes the whole row. The index by customer is touched only when the customer is another one. Answers the deadline
/// and the row's key when the deadline moved (it has to be noted), and how long the JSON is.
pub(super) fn put(
    db: &Db,
    slot: &mut Slot,
    purchase: &Purchase,
    first_entry: u64,
) -> Outcome<(Option<Deadline>, usize)> {
    let (body, bytes) = db.pack_json(purchase).map_err(|_| inconsistent("purchases", "body", purchase.id))?;
    let deadline = purchase.next_deadline.map(paidup_lifecycle::time::Timestamp::as_millis);
    let key = match slot.key {
        None => {
            let key = keyed::vacant(&db.conn, BY_KEY, purchase.id.0)?;
            db.conn
                .prepare_cached(
                    "INSERT INTO purchases (key, id, customer_id, first_entry, next_deadline_at, last_event, body)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?
                .execute((
                    key,
                    purchase.id.0,
                    purchase.customer.0,
                    int(first_entry),
                    deadline,
                    slot.last_event,
                    body,
                ))?;
            key
        }
        Some(key) => {
            if slot.customer != Some(purchase.customer) {
                db.conn
                    .prepare_cached("UPDATE purchases SET customer_id = ?2 WHERE key = ?1")?
                    .execute((key, purchase.customer.0))?;
            }
            db.conn
                .prepare_cached(
                    "UPDATE purchases
                     SET next_deadline_at = ?2, last_event = ?3, body = ?4
                     WHERE key = ?1",
                )?
                .execute((key, deadline, slot.last_event, body))?;
            key
        }
    };
    let moved = deadline.filter(|_| slot.next_deadline_at != deadline).map(|due_at| (due_at, key));
    *slot = Slot {
        key: Some(key),
        customer: Some(purchase.customer),
        next_deadline_at: deadline,
        last_event: slot.last_event,
        moved: false,
        has_snowflake: slot.has_snowflake,
    };
    Ok((moved, bytes))
}

/// Writes where the purchase's last event is, when the row itself was not written.
pub(super) fn put_last_event(db: &Db, slot: &Slot) -> Outcome<()> {
    if let (true, Some(key)) = (slot.moved, slot.key) {
        db.conn
            .prepare_cached("UPDATE purchases SET last_event = ?2 WHERE key = ?1")?
            .execute((key, slot.last_event))?;
    }
    Ok(())
}

pub(super) const OF_CUSTOMER: &str = "
    SELECT key, id, body, first_entry
    FROM purchases
    WHERE customer_id = ?1
    ORDER BY first_entry, key
    LIMIT ?2";

/// A customer's purchases, oldest first; those that were bought by whoever was merged into the customer too.
pub(super) fn of_customer(db: &Db, customer: CustomerId, limit: usize) -> Outcome<Vec<Purchase>> {
    let mut found: Vec<(i64, i64, Purchase)> = Vec::new();
    for one in customers::with_merged(db, customer)? {
        let mut statement = db.conn.prepare_cached(OF_CUSTOMER)?;
        let mut rows = statement.query((one.0, limit_of(limit)))?;
        while let Some(row) = rows.next()? {
            found.push((row.get(3)?, row.get(0)?, read_body(db, row, 2)?.0));
        }
    }
    found.sort_unstable_by_key(|(first_entry, key, _)| (*first_entry, *key));
    found.truncate(limit);
    Ok(found.into_iter().map(|(_, _, purchase)| purchase).collect())
}

pub(super) const WALKED: &str = "
    SELECT key, id, body
    FROM purchases
    WHERE ?1 IS NULL OR key > ?1
    ORDER BY key
    LIMIT ?2";

/// Purchases of a source among the next rows of the table.
pub(super) fn of_source(db: &Db, source: SourceId, after: Option<i64>, scanned: usize) -> Outcome<SourcePage> {
    let mut statement = db.conn.prepare_cached(WALKED)?;
    let mut rows = statement.query((after, limit_of(scanned)))?;
    let mut page = SourcePage { purchases: Vec::new(), next: None };
    let mut seen = 0;
    while let Some(row) = rows.next()? {
        seen += 1;
        page.next = Some(row.get(0)?);
        match read_body(db, row, 2) {
            Ok((purchase, _)) if purchase.key.source_id == source => page.purchases.push(purchase),
            Ok(_) => {}
            // One that is damaged must not end the walk for all others.
            Err(error @ StoreError::Inconsistent { .. }) => {
                tracing::error!(%error, "a purchase is damaged; it is passed over");
            }
            Err(error) => return Err(error),
        }
    }
    if seen < scanned {
        page.next = None;
    }
    Ok(page)
}
