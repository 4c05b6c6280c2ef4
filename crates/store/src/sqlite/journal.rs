//! The journal: what was decided on, chained so that a change or a gap is found (`verify.rs`).

use super::db::{Db, Outcome, id16, int, limit_of, time, uint};
use super::notifications::{self, Kept};
use super::session::Session;
use crate::digests::{Cell, row_digests};
use crate::records::{Cause, JournalEntry, JournalRecord, KeptNotification, NotificationHead};
use bytes::Bytes;
use paidup_lifecycle::ids::{NotificationId, PurchaseId, SourceId};
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{OptionalExtension, Row};

/// Columns that the digests and the chain cover, in their order.
pub(super) const COLUMNS: [&str; 10] = [
    "entry",
    "decided_at",
    "engine_version",
    "catalogue_revision",
    "policy_revision",
    "seed",
    "input",
    "notifications",
    "kept_from",
    "kept",
];

/// Appends an entry; answers its number.
pub(super) fn append(session: &mut Session, record: &JournalRecord, kept: &Kept) -> Outcome<u64> {
    let entry = session.heads.entry + 1;
    let db = &session.db;
    let input = db.packer.pack(&record.input);
    let read: Vec<u8> = record.notifications.iter().flat_map(|id| id.0).collect();
    let columns = [
        ValueRef::Integer(int(entry)),
        ValueRef::Integer(record.decided_at.as_millis()),
        ValueRef::Integer(i64::from(record.engine_version)),
        ValueRef::Integer(int(record.catalogue_revision)),
        ValueRef::Integer(int(record.policy_revision)),
        ValueRef::Blob(&record.seed),
        ValueRef::Blob(&input),
        ValueRef::Blob(&read),
        ValueRef::Integer(int(kept.from)),
        ValueRef::Blob(&kept.seals),
    ];
    let (digests, chain) = row_digests(&session.heads.chain, &columns.map(Cell::from));
    let columns = columns.map(ToSqlOutput::Borrowed);
    let mut values: Vec<&dyn ToSql> = columns.iter().map(|column| column as &dyn ToSql).collect();
    values.push(&digests);
    values.push(&chain);
    db.conn
        .prepare_cached(
            "INSERT INTO journal (entry, decided_at, engine_version, catalogue_revision, policy_revision, seed, input,
                                  notifications, kept_from, kept, digests, chain)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(values.as_slice())?;
    session.heads.entry = entry;
    session.heads.chain = chain;
    Ok(entry)
}

pub(super) const AFTER: &str = "
    SELECT entry, decided_at, engine_version, catalogue_revision, policy_revision, seed, input, notifications
    FROM journal
    WHERE entry > ?1
    ORDER BY entry
    LIMIT ?2";

/// Entries after one, in order.
pub(super) fn after(db: &Db, entry: u64, limit: usize) -> Outcome<Vec<JournalEntry>> {
    let mut statement = db.conn.prepare_cached(AFTER)?;
    let mut rows = statement.query((int(entry), limit_of(limit)))?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(read(db, row)?);
    }
    Ok(entries)
}

fn read(db: &Db, row: &Row<'_>) -> Outcome<JournalEntry> {
    let entry = uint(row.get(0)?);
    let input = db.unpack(row.get_ref(6)?.as_blob().unwrap_or_default(), "journal", "input", entry)?;
    Ok(JournalEntry {
        partition: 0,
        entry,
        record: JournalRecord {
            decided_at: time(row.get(1)?),
            engine_version: row.get(2)?,
            catalogue_revision: uint(row.get(3)?),
            policy_revision: uint(row.get(4)?),
            seed: row.get(5)?,
            input: Bytes::from(input),
            notifications: ids(row.get_ref(7)?.as_blob().unwrap_or_default())?,
        },
    })
}

fn ids(column: &[u8]) -> Outcome<Vec<NotificationId>> {
    column.chunks(16).map(|id| Ok(NotificationId(id16(id, "journal", "notifications")?))).collect()
}

/// The notifications that an entry read, each as it was kept with that entry, else the newest of that id.
pub(super) fn notifications_of(db: &Db, entry: u64) -> Outcome<Vec<KeptNotification>> {
    let row: Option<(Vec<u8>, i64, i64)> = db
        .conn
        .prepare_cached("SELECT notifications, kept_from, length(kept) / 16 FROM journal WHERE entry = ?1")?
        .query_row([int(entry)], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((read, kept_from, kept)) = row else { return Ok(Vec::new()) };
    let kept = uint(kept_from)..uint(kept_from + kept);
    let mut found = Vec::new();
    for id in ids(&read)? {
        let mut number = None;
        for candidate in kept.clone() {
            if notifications::id_at(db, candidate)? == Some(id) {
                number = Some(candidate);
                break;
            }
        }
        let notification = match number {
            Some(number) => notifications::at(db, number)?,
            None => notifications::by_id(db, id)?,
        };
        found.extend(notification);
    }
    Ok(found)
}

/// Notifications that one cause names at most.
const MOST_NAMED: i64 = 3;

pub(super) const ABOUT: &str = "
    SELECT id, source_id, external_id, label, received_at
    FROM notifications
    WHERE number >= ?1 AND number < ?2 AND (?3 IS NULL OR purchase_id = ?3)
    ORDER BY number
    LIMIT ?4";

/// What told these events, each with its purchase.
pub(super) fn causes(db: &Db, events: &[(u64, PurchaseId)]) -> Outcome<Vec<Cause>> {
    let mut causes = Vec::with_capacity(events.len());
    for (position, purchase) in events {
        let entry: Option<Option<i64>> = db
            .conn
            .prepare_cached("SELECT entry FROM events WHERE position = ?1")?
            .query_row([int(*position)], |row| row.get(0))
            .optional()?;
        let Some(entry) = entry.flatten() else { continue };
        let row = db
            .conn
            .prepare_cached("SELECT decided_at, input, kept_from, length(kept) / 16 FROM journal WHERE entry = ?1")?
            .query_row([entry], |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?, row.get(2)?, row.get::<_, i64>(3)?)))
            .optional()?;
        let Some((decided_at, input, kept_from, kept)) = row else { continue };
        let kept_from: i64 = kept_from;
        // One that is about several purchases names the first of them.
        let mut notifications = about(db, kept_from, kept, Some(*purchase))?;
        if notifications.is_empty() && kept == 1 {
            notifications = about(db, kept_from, kept, None)?;
        }
        causes.push(Cause {
            position: *position,
            entry: uint(entry),
            decided_at: time(decided_at),
            input: db.unpack(&input, "journal", "input", entry)?.into(),
            notifications,
        });
    }
    Ok(causes)
}

fn about(db: &Db, from: i64, count: i64, purchase: Option<PurchaseId>) -> Outcome<Vec<NotificationHead>> {
    let mut statement = db.conn.prepare_cached(ABOUT)?;
    let rows = statement.query_and_then((from, from + count, purchase.map(|id| id.0), MOST_NAMED), |row| {
        Ok(NotificationHead {
            id: NotificationId(row.get(0)?),
            source_id: SourceId(row.get(1)?),
            external_id: row.get(2)?,
            label: row.get(3)?,
            received_at: time(row.get(4)?),
        })
    })?;
    rows.collect()
}
