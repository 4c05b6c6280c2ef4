//! Purchases: one row each, written whole; the other ids that they are known by.

use super::commit::Found;
use super::db::{Db, Outcome, get, id_at, inconsistent, int, limit_of};
use super::session::{Known, Session};
use super::{customers, snowflakes};
use crate::StoreError;
use crate::records::SourcePage;
use paidup_lifecycle::dialects::discord;
use paidup_lifecycle::ids::{CustomerId, PurchaseId, SourceId};
use paidup_lifecycle::purchase::Purchase;
use paidup_lifecycle::time::Timestamp;
use postgres::Row;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A purchase as it is to be written.
pub(super) struct NewRow {
    purchase: Arc<Purchase>,
    first_entry: i64,
    body: Vec<u8>,
}

const BY_IDS: &str = "
    SELECT id, body, snowflake IS NOT NULL
    FROM purchases
    WHERE id = ANY($1)";

/// Those of the wanted ones that are known, as the transaction sees them.
pub(super) fn load(session: &mut Session, wanted: &[PurchaseId]) -> Outcome<Found<PurchaseId, Purchase>> {
    let mut found = BTreeMap::new();
    let mut missing = Vec::new();
    let mut is_gathered = false;
    for id in wanted {
        match session.hot.purchases.get(id) {
            Some(known) => drop(found.insert(*id, known.clone())),
            None => {
                is_gathered |= session.pending.purchases.contains_key(id);
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
        let (purchase, bytes) = read(&session.db, &row, 1)?;
        let known = Known { row: Arc::new(purchase), has_snowflake: get(&row, 2)? };
        session.hot.purchases.put(known.row.id, bytes, known.clone());
        found.insert(known.row.id, known);
    }
    Ok(found)
}

/// `id` is in column 0, the body in `column`; how long its JSON is.
pub(super) fn read(db: &Db, row: &Row, column: usize) -> Outcome<(Purchase, usize)> {
    let id = PurchaseId(id_at(row, 0, "purchases", "id")?);
    let json = db.unpack(get(row, column)?, "purchases", "body", id)?;
    let purchase = serde_json::from_slice(&json).map_err(|_| inconsistent("purchases", "body", id))?;
    Ok((purchase, json.len()))
}

/// Gathers the whole row.
pub(super) fn put(session: &mut Session, purchase: Arc<Purchase>) -> Outcome<()> {
    let id = purchase.id;
    let has_snowflake = session.hot.purchases.get(&id).is_some_and(|known| known.has_snowflake);
    let waits = session.pending.purchases_to_name.contains(&id);
    if !has_snowflake && !waits && discord::snowflake(&purchase, 0).is_some() {
        session.pending.purchases_to_name.push(id);
    }
    let (body, bytes) = session.db.pack_json(&*purchase).map_err(|_| inconsistent("purchases", "body", id))?;
    session.hot.purchases.put(id, bytes, Known { row: purchase.clone(), has_snowflake });
    let first_entry = int(session.heads.entry);
    session.gathered += 1;
    session
        .pending
        .purchases
        .entry(id)
        .and_modify(|row| (row.purchase, row.body) = (purchase.clone(), body.clone()))
        .or_insert(NewRow { purchase, first_entry, body });
    Ok(())
}

const PUT: &str = "
    INSERT INTO purchases (id, customer_id, first_entry, next_deadline_at, due_at, snowflake, body)
    SELECT id, customer_id, first_entry, next_deadline_at, next_deadline_at, snowflake, body
    FROM unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bytea[])
         AS new (id, customer_id, first_entry, next_deadline_at, snowflake, body)
    ON CONFLICT (id) DO UPDATE
    SET customer_id = excluded.customer_id,
        next_deadline_at = excluded.next_deadline_at,
        due_at = CASE WHEN purchases.next_deadline_at IS DISTINCT FROM excluded.next_deadline_at
                      THEN excluded.next_deadline_at
                      ELSE purchases.due_at END,
        snowflake = coalesce(purchases.snowflake, excluded.snowflake),
        body = excluded.body";

/// Writes gathered rows, and names those that need it.
pub(super) fn send(session: &mut Session, rows: BTreeMap<PurchaseId, NewRow>, to_name: &[PurchaseId]) -> Outcome<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let unnamed = without_snowflake(&mut session.db, to_name)?;
    let mint = |id: &PurchaseId, attempt| rows.get(id).and_then(|row| discord::snowflake(&row.purchase, attempt));
    let names = snowflakes::first_free(&mut session.db, snowflakes::PURCHASES_TAKEN, &unnamed, mint)?;
    for id in to_name {
        if let Some(known) = session.hot.purchases.get(id) {
            known.has_snowflake = true;
        }
    }
    let (mut ids, mut customers, mut entries) = (Vec::new(), Vec::new(), Vec::new());
    let (mut deadlines, mut given, mut bodies) = (Vec::new(), Vec::new(), Vec::new());
    for (id, row) in &rows {
        ids.push(id.0.as_slice());
        customers.push(row.purchase.customer.0.as_slice());
        entries.push(row.first_entry);
        deadlines.push(row.purchase.next_deadline.map(Timestamp::as_millis));
        given.push(names.get(id).map(|name| name.as_i64()));
        bodies.push(row.body.as_slice());
    }
    session.db.execute(PUT, &[&ids, &customers, &entries, &deadlines, &given, &bodies])?;
    Ok(())
}

/// Those that have none yet: what is remembered may have been forgotten meanwhile.
fn without_snowflake(db: &mut Db, ids: &[PurchaseId]) -> Outcome<Vec<PurchaseId>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let wanted: Vec<&[u8]> = ids.iter().map(|id| id.0.as_slice()).collect();
    let rows = db.query("SELECT id FROM purchases WHERE id = ANY($1) AND snowflake IS NOT NULL", &[&wanted])?;
    let named: Vec<[u8; 16]> = rows.iter().map(|row| id_at(row, 0, "purchases", "id")).collect::<Outcome<_>>()?;
    Ok(ids.iter().filter(|id| !named.contains(&id.0)).copied().collect())
}

/// The purchases that are known by these ids besides their own.
pub(super) fn own_ids(session: &mut Session, ids: &[PurchaseId]) -> Outcome<BTreeMap<PurchaseId, PurchaseId>> {
    let mut found = BTreeMap::new();
    let mut missing: Vec<&[u8]> = Vec::new();
    for id in ids {
        match session.pending.other_ids.get(id) {
            Some(own) => drop(found.insert(*id, *own)),
            None => missing.push(&id.0),
        }
    }
    if !missing.is_empty() {
        for row in session.db.query(OWN_IDS, &[&missing])? {
            let (id, own) = (id_at(&row, 0, OTHER_IDS, "id")?, id_at(&row, 1, OTHER_IDS, "purchase_id")?);
            found.insert(PurchaseId(id), PurchaseId(own));
        }
    }
    Ok(found)
}

const OTHER_IDS: &str = "purchase_other_ids";

const OWN_IDS: &str = "
    SELECT id, purchase_id
    FROM purchase_other_ids
    WHERE id = ANY($1)";

/// Writes other ids. An id is given once: it stays with whom it was given to.
pub(super) fn send_other_ids(db: &mut Db, other_ids: &BTreeMap<PurchaseId, PurchaseId>) -> Outcome<()> {
    if other_ids.is_empty() {
        return Ok(());
    }
    let (ids, own): (Vec<&[u8]>, Vec<&[u8]>) =
        other_ids.iter().map(|(id, own)| (id.0.as_slice(), own.0.as_slice())).unzip();
    db.execute(
        "INSERT INTO purchase_other_ids (id, purchase_id)
         SELECT id, purchase_id
         FROM unnest($1::bytea[], $2::bytea[]) AS new (id, purchase_id)
         ON CONFLICT (id) DO NOTHING",
        &[&ids, &own],
    )?;
    Ok(())
}

/// One, by its own or another id of it.
pub(super) fn one(db: &mut Db, id: PurchaseId) -> Outcome<Option<Purchase>> {
    let row = db.first(
        "SELECT id, body
         FROM purchases
         WHERE id = $1 OR id = (SELECT purchase_id FROM purchase_other_ids WHERE id = $1)
         ORDER BY id = $1 DESC
         LIMIT 1",
        &[&id.0.as_slice()],
    )?;
    row.map(|row| Ok(read(db, &row, 1)?.0)).transpose()
}

/// A customer's purchases, oldest first; those that were bought by whoever was merged into the customer too.
pub(super) fn of_customer(db: &mut Db, customer: CustomerId, limit: usize) -> Outcome<Vec<Purchase>> {
    let family = customers::with_merged(db, customer)?;
    let family: Vec<&[u8]> = family.iter().map(|id| id.0.as_slice()).collect();
    let rows = db.query(
        "SELECT id, body
         FROM purchases
         WHERE customer_id = ANY($1)
         ORDER BY first_entry, id
         LIMIT $2",
        &[&family, &limit_of(limit)],
    )?;
    rows.iter().map(|row| Ok(read(db, row, 1)?.0)).collect()
}

/// Purchases of a source among the next rows of the table.
pub(super) fn of_source(db: &mut Db, source: SourceId, after: Option<i64>, scanned: usize) -> Outcome<SourcePage> {
    let rows = db.query(
        "SELECT id, body, number
         FROM purchases
         WHERE $1::bigint IS NULL OR number > $1
         ORDER BY number
         LIMIT $2",
        &[&after, &limit_of(scanned)],
    )?;
    let mut page = SourcePage { purchases: Vec::new(), next: None };
    for row in &rows {
        match read(db, row, 1) {
            Ok((purchase, _)) if purchase.key.source_id == source => page.purchases.push(purchase),
            Ok(_) => {}
            // One that is damaged must not end the walk for all others.
            Err(error @ StoreError::Inconsistent { .. }) => {
                tracing::error!(%error, "a purchase is damaged; it is passed over");
            }
            Err(error) => return Err(error),
        }
    }
    if rows.len() >= scanned {
        page.next = rows.last().map(|row| get(row, 2)).transpose()?;
    }
    Ok(page)
}
