//! What sources received, byte for byte, and where each is.

use super::db::{Db, Outcome, id16, inconsistent, int, limit_of, time, uint, word};
use super::session::Session;
use crate::StoreError;
use crate::digests::{Cell, first16, row_digests};
use crate::records::{KeptNotification, NotificationQuery};
use bytes::Bytes;
use paidup_lifecycle::ids::{NotificationId, PurchaseId, SourceId};
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// So many notifications are filed together under their ids (the migration says why).
pub(super) const BUCKET: u64 = 4096;

/// Columns that the digests cover, in their order.
pub(super) const COLUMNS: [&str; 11] = [
    "number",
    "id",
    "source_id",
    "external_id",
    "label",
    "received_at",
    "outcome",
    "purchase_id",
    "body_packed",
    "shared",
    "body",
];

/// What a commit kept: its first notification's number (0: none) and all their seals.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) from: u64,
    pub(super) seals: Vec<u8>,
    /// Number and body of the last one about each purchase: its events may borrow from it.
    pub(super) about: BTreeMap<PurchaseId, (u64, Bytes)>,
}

/// Keeps notifications. One that concerns no purchase and is known already is not kept again.
pub(super) fn keep(session: &mut Session, notifications: &[KeptNotification]) -> Outcome<Kept> {
    let mut kept = Kept::default();
    for notification in notifications {
        let number = session.heads.notification + 1;
        let Some(seal) = insert(&session.db, number, notification)? else { continue };
        session.heads.notification = number;
        if kept.from == 0 {
            kept.from = number;
        }
        kept.seals.extend_from_slice(&seal);
        if let Some(purchase) = notification.purchase_id {
            kept.about.insert(purchase, (number, notification.body.bytes().clone()));
        }
        if number.is_multiple_of(BUCKET) {
            file(&session.db.conn, number)?;
        }
    }
    Ok(kept)
}

/// Inserts one row; answers its seal, or `None` when it is known.
fn insert(db: &Db, number: u64, notification: &KeptNotification) -> Outcome<Option<[u8; 16]>> {
    let mut shared = Vec::with_capacity(notification.shared.len() * 16);
    for part in &notification.shared {
        shared.extend_from_slice(&share(db, part)?);
    }
    let packed_now;
    let body: &[u8] = match notification.body.ahead() {
        Some(ahead) => ahead,
        None => {
            packed_now = db.packer.pack(notification.body.bytes());
            &packed_now
        }
    };
    let purchase = notification.purchase_id.as_ref();
    let columns = [
        ValueRef::Integer(int(number)),
        ValueRef::Blob(&notification.id.0),
        ValueRef::Blob(&notification.source_id.0),
        ValueRef::Text(notification.external_id.as_bytes()),
        ValueRef::Text(notification.label.as_bytes()),
        ValueRef::Integer(notification.received_at.as_millis()),
        ValueRef::Text(notification.outcome.as_str().as_bytes()),
        purchase.map_or(ValueRef::Null, |purchase| ValueRef::Blob(&purchase.0)),
        ValueRef::Integer(i64::from(notification.packed)),
        ValueRef::Blob(&shared),
        ValueRef::Blob(body),
    ];
    let (digests, whole) = row_digests(&[], &columns.map(Cell::from));
    let seal = first16(whole);
    let columns = columns.map(ToSqlOutput::Borrowed);
    let mut values: Vec<&dyn ToSql> = columns.iter().map(|column| column as &dyn ToSql).collect();
    values.push(&digests);
    values.push(&seal);
    let changed = db
        .conn
        .prepare_cached(
            "INSERT INTO notifications (number, id, source_id, external_id, label, received_at, outcome, purchase_id,
                                        body_packed, shared, body, digests, seal)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
             ON CONFLICT (id) WHERE purchase_id IS NULL DO NOTHING",
        )?
        .execute(values.as_slice())?;
    Ok((changed > 0).then_some(seal))
}

/// Stores a shared part once; answers its digest.
fn share(db: &Db, part: &[u8]) -> Outcome<[u8; 16]> {
    let digest = first16(Sha256::digest(part).into());
    let known = db
        .conn
        .prepare_cached("SELECT 1 FROM shared_parts WHERE digest = ?1")?
        .query_row([digest], |_| Ok(()))
        .optional()?;
    if known.is_none() {
        db.conn
            .prepare_cached("INSERT INTO shared_parts (digest, body) VALUES (?1, ?2)")?
            .execute((digest, db.packer.pack(part)))?;
    }
    Ok(digest)
}

/// Files the bucket that ends with `last` under its ids, in their order.
fn file(conn: &Connection, last: u64) -> Outcome<()> {
    conn.prepare_cached(
        "INSERT INTO notification_places (bucket, id_start, number)
         SELECT ?1, substr(id, 1, 8), number
         FROM notifications
         WHERE number BETWEEN ?2 AND ?3
         ORDER BY 2, 3",
    )?
    .execute((int(last / BUCKET - 1), int(last - BUCKET + 1), int(last)))?;
    Ok(())
}

/// Whether one that concerns no purchase is known.
pub(super) fn is_known(db: &Db, id: NotificationId) -> Outcome<bool> {
    let known = db.conn.prepare_cached(KNOWN)?.query_row([id.0], |_| Ok(())).optional()?;
    Ok(known.is_some())
}

pub(super) const KNOWN: &str = "SELECT 1 FROM notifications WHERE purchase_id IS NULL AND id = ?1";

pub(super) const UNFILED: &str = "
    SELECT number
    FROM notifications
    WHERE number > ?1 AND id = ?2
    ORDER BY number DESC
    LIMIT 1";

pub(super) const FILED: &str = "
    SELECT number
    FROM notification_places
    WHERE bucket = ?1 AND id_start = ?2
    ORDER BY number DESC";

/// The number of the newest notification of that id: first the unfiled end, then bucket by bucket.
pub(super) fn number_of(db: &Db, id: NotificationId) -> Outcome<Option<u64>> {
    let last: i64 = db
        .conn
        .prepare_cached("SELECT coalesce(max(number), 0) FROM notifications")?
        .query_row([], |row| row.get(0))?;
    let buckets = uint(last) / BUCKET;
    let unfiled: Option<i64> =
        db.conn.prepare_cached(UNFILED)?.query_row((int(buckets * BUCKET), id.0), |row| row.get(0)).optional()?;
    if let Some(number) = unfiled {
        return Ok(Some(uint(number)));
    }
    let mut statement = db.conn.prepare_cached(FILED)?;
    for bucket in (0..buckets).rev() {
        let mut rows = statement.query((int(bucket), &id.0[..8]))?;
        while let Some(row) = rows.next()? {
            let number: i64 = row.get(0)?;
            if id_at(db, uint(number))? == Some(id) {
                return Ok(Some(uint(number)));
            }
        }
    }
    Ok(None)
}

/// The id of the notification with that number.
pub(super) fn id_at(db: &Db, number: u64) -> Outcome<Option<NotificationId>> {
    let id: Option<[u8; 16]> = db
        .conn
        .prepare_cached("SELECT id FROM notifications WHERE number = ?1")?
        .query_row([int(number)], |row| row.get(0))
        .optional()?;
    Ok(id.map(NotificationId))
}

pub(super) const BY_NUMBER: &str = "
    SELECT number, id, source_id, external_id, label, received_at, outcome, purchase_id, body_packed, shared, body
    FROM notifications
    WHERE number = ?1";

/// One by its number.
pub(super) fn at(db: &Db, number: u64) -> Outcome<Option<KeptNotification>> {
    let mut statement = db.conn.prepare_cached(BY_NUMBER)?;
    let mut rows = statement.query([int(number)])?;
    rows.next()?.map(|row| read(db, row)).transpose()
}

/// One by its id.
pub(super) fn by_id(db: &Db, id: NotificationId) -> Outcome<Option<KeptNotification>> {
    match number_of(db, id)? {
        Some(number) => at(db, number),
        None => Ok(None),
    }
}

fn read(db: &Db, row: &Row<'_>) -> Outcome<KeptNotification> {
    let blob = |column: usize| row.get_ref(column).map(|value| value.as_blob().unwrap_or_default());
    let id = NotificationId(id16(blob(1)?, "notifications", "id")?);
    let purchase_id: Option<[u8; 16]> = row.get(7)?;
    let mut shared = Vec::new();
    for digest in blob(9)?.chunks(16) {
        shared.push(shared_part(db, digest)?.ok_or_else(|| inconsistent("notifications", "shared", id))?);
    }
    Ok(KeptNotification {
        id,
        source_id: SourceId(id16(blob(2)?, "notifications", "source_id")?),
        external_id: row.get(3)?,
        label: row.get(4)?,
        received_at: time(row.get(5)?),
        outcome: word(row.get_ref(6)?.as_str().unwrap_or_default(), "notifications", "outcome", id)?,
        purchase_id: purchase_id.map(PurchaseId),
        packed: row.get(8)?,
        shared,
        body: Bytes::from(db.unpack(blob(10)?, "notifications", "body", id)?).into(),
    })
}

/// The body of the notification with that number, as it was handed in.
pub(super) fn body_at(db: &Db, number: i64) -> Outcome<Vec<u8>> {
    let mut statement = db.conn.prepare_cached("SELECT body FROM notifications WHERE number = ?1")?;
    let mut rows = statement.query([number])?;
    let row = rows.next()?.ok_or_else(|| inconsistent("notifications", "number", number))?;
    db.unpack(row.get_ref(0)?.as_blob().unwrap_or_default(), "notifications", "body", number)
}

fn shared_part(db: &Db, digest: &[u8]) -> Outcome<Option<Bytes>> {
    let mut statement = db.conn.prepare_cached("SELECT number, body FROM shared_parts WHERE digest = ?1")?;
    let mut rows = statement.query([digest])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let number: i64 = row.get(0)?;
    let part = db.unpack(row.get_ref(1)?.as_blob().unwrap_or_default(), "shared_parts", "body", number)?;
    Ok(Some(Bytes::from(part)))
}

pub(super) const LISTED: &str = "
    SELECT number
    FROM notifications
    WHERE number < ?1 AND (?2 IS NULL OR source_id = ?2)
    ORDER BY number DESC
    LIMIT ?3";

pub(super) const LISTED_NOTABLE: &str = "
    SELECT number
    FROM notifications
    WHERE outcome <> 'observed' AND outcome = ?4 AND number < ?1 AND (?2 IS NULL OR source_id = ?2)
    ORDER BY number DESC
    LIMIT ?3";

const LISTED_OBSERVED: &str = "
    SELECT number
    FROM notifications
    WHERE outcome = 'observed' AND number < ?1 AND (?2 IS NULL OR source_id = ?2)
    ORDER BY number DESC
    LIMIT ?3";

/// Newest first, with their numbers.
pub(super) fn list(db: &Db, query: &NotificationQuery) -> Outcome<Vec<(u64, KeptNotification)>> {
    use crate::records::NotificationOutcome::{Informative, Observed, Test, Unknown};
    let before = query.before.map_or(i64::MAX, int);
    let source = query.source.map(|source| source.0);
    let limit = limit_of(query.limit);
    let numbers = match query.outcome {
        None => numbers(&db.conn, LISTED, &[&before, &source, &limit])?,
        Some(Observed) => numbers(&db.conn, LISTED_OBSERVED, &[&before, &source, &limit])?,
        Some(outcome @ (Test | Unknown | Informative)) => {
            numbers(&db.conn, LISTED_NOTABLE, &[&before, &source, &limit, &outcome.as_str()])?
        }
    };
    let missing =
        |number: u64| StoreError::Corrupt(format!("notification {number} is in an index and not in its table"));
    numbers.into_iter().map(|number| Ok((number, at(db, number)?.ok_or_else(|| missing(number))?))).collect()
}

fn numbers(conn: &Connection, sql: &str, values: &[&dyn ToSql]) -> Outcome<Vec<u64>> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    let mut numbers = Vec::new();
    while let Some(row) = rows.next()? {
        numbers.push(uint(row.get(0)?));
    }
    Ok(numbers)
}
