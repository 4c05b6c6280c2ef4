//! What sources received, byte for byte.

use super::db::{Db, Outcome, get, id_at, inconsistent, int, limit_of, number, text, time, word};
use super::session::Session;
use crate::digests::{Cell, first16, row_digests};
use crate::records::{KeptNotification, NotificationQuery};
use bytes::Bytes;
use paidup_lifecycle::ids::{NotificationId, PurchaseId, SourceId};
use postgres::Row;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

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
}

/// A notification as it is to be written.
pub(super) struct NewRow {
    number: i64,
    kept: KeptNotification,
    shared: Vec<u8>,
    body: Bytes,
    digests: Vec<u8>,
    seal: [u8; 16],
}

/// Gathers notifications. One that concerns no purchase and is known already is not kept again.
pub(super) fn keep(session: &mut Session, notifications: &[KeptNotification]) -> Outcome<Kept> {
    let mut kept = Kept::default();
    for notification in notifications {
        if notification.purchase_id.is_none() && !known(session, &[notification.id])?.is_empty() {
            continue;
        }
        let number = session.heads.notification + 1;
        let row = row(session, number, notification)?;
        session.heads.notification = number;
        if kept.from == 0 {
            kept.from = number;
        }
        kept.seals.extend_from_slice(&row.seal);
        session.gathered += 1;
        session.pending.notifications.push(row);
    }
    Ok(kept)
}

fn row(session: &mut Session, number: u64, notification: &KeptNotification) -> Outcome<NewRow> {
    let mut shared = Vec::with_capacity(notification.shared.len() * 16);
    for part in &notification.shared {
        shared.extend_from_slice(&share(&mut session.db, part)?);
    }
    let body = match notification.body.ahead() {
        Some(ahead) => ahead.clone(),
        None => Bytes::from(session.db.packer.pack(notification.body.bytes())),
    };
    let (digests, whole) = row_digests(
        &[],
        &[
            Cell::Integer(int(number)),
            Cell::Blob(&notification.id.0),
            Cell::Blob(&notification.source_id.0),
            Cell::Text(notification.external_id.as_bytes()),
            Cell::Text(notification.label.as_bytes()),
            Cell::Integer(notification.received_at.as_millis()),
            Cell::Text(notification.outcome.as_str().as_bytes()),
            notification.purchase_id.as_ref().map_or(Cell::Null, |purchase| Cell::Blob(&purchase.0)),
            Cell::Integer(i64::from(notification.packed)),
            Cell::Blob(&shared),
            Cell::Blob(&body),
        ],
    );
    let seal = first16(whole);
    Ok(NewRow { number: int(number), kept: notification.clone(), shared, body, digests, seal })
}

/// Stores a shared part once; answers its digest.
fn share(db: &mut Db, part: &[u8]) -> Outcome<[u8; 16]> {
    let digest = first16(Sha256::digest(part).into());
    if db.first("SELECT 1 FROM shared_parts WHERE digest = $1", &[&digest.as_slice()])?.is_none() {
        let body = db.packer.pack(part);
        db.execute(
            "INSERT INTO shared_parts (digest, body) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING",
            &[&digest.as_slice(), &body],
        )?;
    }
    Ok(digest)
}

const PUT: &str = "
    INSERT INTO notifications (number, id, source_id, external_id, label, received_at, outcome, purchase_id,
                               body_packed, shared, body, digests, seal)
    SELECT number, id, source_id, external_id, label, received_at, outcome, purchase_id,
           body_packed, shared, body, digests, seal
    FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::bytea[], $5::bytea[], $6::bigint[], $7::text[],
                $8::bytea[], $9::boolean[], $10::bytea[], $11::bytea[], $12::bytea[], $13::bytea[])
         AS new (number, id, source_id, external_id, label, received_at, outcome, purchase_id,
                 body_packed, shared, body, digests, seal)";

/// Writes gathered rows.
pub(super) fn send(db: &mut Db, rows: &[NewRow]) -> Outcome<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let of = |column: fn(&NewRow) -> &[u8]| rows.iter().map(column).collect::<Vec<&[u8]>>();
    let numbers: Vec<i64> = rows.iter().map(|row| row.number).collect();
    let times: Vec<i64> = rows.iter().map(|row| row.kept.received_at.as_millis()).collect();
    let outcomes: Vec<&str> = rows.iter().map(|row| row.kept.outcome.as_str()).collect();
    let purchases: Vec<Option<&[u8]>> =
        rows.iter().map(|row| row.kept.purchase_id.as_ref().map(|id| id.0.as_slice())).collect();
    let packed: Vec<bool> = rows.iter().map(|row| row.kept.packed).collect();
    db.execute(
        PUT,
        &[
            &numbers,
            &of(|row| &row.kept.id.0),
            &of(|row| &row.kept.source_id.0),
            &of(|row| row.kept.external_id.as_bytes()),
            &of(|row| row.kept.label.as_bytes()),
            &times,
            &outcomes,
            &purchases,
            &packed,
            &of(|row| &row.shared),
            &of(|row| &row.body),
            &of(|row| &row.digests),
            &of(|row| &row.seal),
        ],
    )?;
    Ok(())
}

/// Those that concern no purchase and are known, as the transaction sees it.
pub(super) fn known(session: &mut Session, wanted: &[NotificationId]) -> Outcome<BTreeSet<NotificationId>> {
    if wanted.is_empty() {
        return Ok(BTreeSet::new());
    }
    let gathered = session.pending.notifications.iter().filter(|row| row.kept.purchase_id.is_none());
    let mut known: BTreeSet<NotificationId> =
        gathered.map(|row| row.kept.id).filter(|id| wanted.contains(id)).collect();
    let ids: Vec<&[u8]> = wanted.iter().map(|id| id.0.as_slice()).collect();
    for row in session.db.query("SELECT id FROM notifications WHERE purchase_id IS NULL AND id = ANY($1)", &[&ids])? {
        known.insert(NotificationId(id_at(&row, 0, "notifications", "id")?));
    }
    Ok(known)
}

const COLUMNS_SQL: &str = "
    SELECT number, id, source_id, external_id, label, received_at, outcome, purchase_id, body_packed, shared, body
    FROM notifications";

/// One by its id, of several the newest.
pub(super) fn by_id(db: &mut Db, id: NotificationId) -> Outcome<Option<KeptNotification>> {
    let sql = format!("{COLUMNS_SQL} WHERE id = $1 ORDER BY number DESC LIMIT 1");
    let row = db.first(&sql, &[&id.0.as_slice()])?;
    row.map(|row| read(db, &row)).transpose()
}

/// The one of that id among those with these numbers.
pub(super) fn by_id_between(
    db: &mut Db,
    id: NotificationId,
    first: u64,
    last: u64,
) -> Outcome<Option<KeptNotification>> {
    let sql = format!("{COLUMNS_SQL} WHERE id = $1 AND number BETWEEN $2 AND $3 ORDER BY number LIMIT 1");
    let row = db.first(&sql, &[&id.0.as_slice(), &int(first), &int(last)])?;
    row.map(|row| read(db, &row)).transpose()
}

fn read(db: &mut Db, row: &Row) -> Outcome<KeptNotification> {
    let id = NotificationId(id_at(row, 1, "notifications", "id")?);
    let purchase_id: Option<&[u8]> = get(row, 7)?;
    let purchase_id = purchase_id.map(|id| super::db::id16(id, "notifications", "purchase_id")).transpose()?;
    let digests: Vec<&[u8]> = get::<&[u8]>(row, 9)?.chunks(16).collect();
    let shared = shared_parts(db, &digests)?.ok_or_else(|| inconsistent("notifications", "shared", id))?;
    Ok(KeptNotification {
        id,
        source_id: SourceId(id_at(row, 2, "notifications", "source_id")?),
        external_id: text(row, 3, "notifications", "external_id")?,
        label: text(row, 4, "notifications", "label")?,
        received_at: time(row, 5)?,
        outcome: word(row, 6, "notifications", "outcome", id)?,
        purchase_id: purchase_id.map(PurchaseId),
        packed: get(row, 8)?,
        shared,
        body: Bytes::from(db.unpack(get(row, 10)?, "notifications", "body", id)?).into(),
    })
}

/// Shared parts in this order; `None`: one is missing.
fn shared_parts(db: &mut Db, digests: &[&[u8]]) -> Outcome<Option<Vec<Bytes>>> {
    if digests.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let rows = db.query("SELECT digest, body FROM shared_parts WHERE digest = ANY($1)", &[&digests])?;
    let mut parts: BTreeMap<Vec<u8>, Bytes> = BTreeMap::new();
    for row in &rows {
        let digest: Vec<u8> = get(row, 0)?;
        let name = hex(&digest);
        parts.insert(digest, Bytes::from(db.unpack(get(row, 1)?, "shared_parts", "body", name)?));
    }
    Ok(digests.iter().map(|digest| parts.get(*digest).cloned()).collect())
}

/// A digest for people.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Newest first, with their numbers.
pub(super) fn list(db: &mut Db, query: &NotificationQuery) -> Outcome<Vec<(u64, KeptNotification)>> {
    let outcome = match query.outcome {
        // In words, so that the partial index of the odd ones serves it.
        Some(outcome) => format!("outcome = '{outcome}'"),
        None => "true".to_owned(),
    };
    let sql = format!(
        "{COLUMNS_SQL}
         WHERE {outcome} AND number < $1 AND ($2::bytea IS NULL OR source_id = $2)
         ORDER BY number DESC
         LIMIT $3"
    );
    let source = query.source.as_ref().map(|source| source.0.as_slice());
    let rows = db.query(&sql, &[&query.before.map_or(i64::MAX, int), &source, &limit_of(query.limit)])?;
    rows.iter().map(|row| Ok((number(row, 0)?, read(db, row)?))).collect()
}
