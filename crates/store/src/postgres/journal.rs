//! The journal: what was decided on, chained so that a change or a gap is found (`verify.rs`).

use super::db::{Db, Outcome, count, get, id_at, id16, int, limit_of, number, text, time};
use super::notifications::{self, Kept};
use super::session::Session;
use crate::digests::{Cell, row_digests};
use crate::records::{Cause, JournalEntry, JournalRecord, KeptNotification, NotificationHead};
use bytes::Bytes;
use paidup_lifecycle::ids::{NotificationId, PurchaseId, SourceId};
use postgres::Row;

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

/// An entry as it is to be written.
pub(super) struct NewRow {
    entry: i64,
    decided_at: i64,
    engine_version: i64,
    catalogue_revision: i64,
    policy_revision: i64,
    seed: [u8; 16],
    input: Vec<u8>,
    notifications: Vec<u8>,
    kept_from: i64,
    kept: Vec<u8>,
    digests: Vec<u8>,
    chain: [u8; 32],
}

/// Gathers an entry; answers its number.
pub(super) fn append(session: &mut Session, record: &JournalRecord, kept: &Kept) -> u64 {
    let entry = session.heads.entry + 1;
    let mut row = NewRow {
        entry: int(entry),
        decided_at: record.decided_at.as_millis(),
        engine_version: i64::from(record.engine_version),
        catalogue_revision: int(record.catalogue_revision),
        policy_revision: int(record.policy_revision),
        seed: record.seed,
        input: session.db.packer.pack(&record.input),
        notifications: record.notifications.iter().flat_map(|id| id.0).collect(),
        kept_from: int(kept.from),
        kept: kept.seals.clone(),
        digests: Vec::new(),
        chain: [0; 32],
    };
    (row.digests, row.chain) = row_digests(
        &session.heads.chain,
        &[
            Cell::Integer(row.entry),
            Cell::Integer(row.decided_at),
            Cell::Integer(row.engine_version),
            Cell::Integer(row.catalogue_revision),
            Cell::Integer(row.policy_revision),
            Cell::Blob(&row.seed),
            Cell::Blob(&row.input),
            Cell::Blob(&row.notifications),
            Cell::Integer(row.kept_from),
            Cell::Blob(&row.kept),
        ],
    );
    session.heads.entry = entry;
    session.heads.chain = row.chain;
    session.gathered += 1;
    session.pending.journal.push(row);
    entry
}

const PUT: &str = "
    INSERT INTO journal (entry, decided_at, engine_version, catalogue_revision, policy_revision, seed, input,
                         notifications, kept_from, kept, digests, chain)
    SELECT entry, decided_at, engine_version, catalogue_revision, policy_revision, seed, input,
           notifications, kept_from, kept, digests, chain
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bytea[], $7::bytea[],
                $8::bytea[], $9::bigint[], $10::bytea[], $11::bytea[], $12::bytea[])
         AS new (entry, decided_at, engine_version, catalogue_revision, policy_revision, seed, input,
                 notifications, kept_from, kept, digests, chain)";

/// Writes gathered rows.
pub(super) fn send(db: &mut Db, rows: &[NewRow]) -> Outcome<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let of = |column: fn(&NewRow) -> &[u8]| rows.iter().map(column).collect::<Vec<&[u8]>>();
    let numbers = |column: fn(&NewRow) -> i64| rows.iter().map(column).collect::<Vec<i64>>();
    db.execute(
        PUT,
        &[
            &numbers(|row| row.entry),
            &numbers(|row| row.decided_at),
            &numbers(|row| row.engine_version),
            &numbers(|row| row.catalogue_revision),
            &numbers(|row| row.policy_revision),
            &of(|row| &row.seed),
            &of(|row| &row.input),
            &of(|row| &row.notifications),
            &numbers(|row| row.kept_from),
            &of(|row| &row.kept),
            &of(|row| &row.digests),
            &of(|row| &row.chain),
        ],
    )?;
    Ok(())
}

/// Entries after one, in order.
pub(super) fn after(db: &mut Db, entry: u64, limit: usize) -> Outcome<Vec<JournalEntry>> {
    let rows = db.query(
        "SELECT entry, decided_at, engine_version, catalogue_revision, policy_revision, seed, input, notifications
         FROM journal
         WHERE entry > $1
         ORDER BY entry
         LIMIT $2",
        &[&int(entry), &limit_of(limit)],
    )?;
    rows.iter().map(|row| read(db, row)).collect()
}

fn read(db: &Db, row: &Row) -> Outcome<JournalEntry> {
    let entry = number(row, 0)?;
    let input = db.unpack(get(row, 6)?, "journal", "input", entry)?;
    Ok(JournalEntry {
        partition: 0,
        entry,
        record: JournalRecord {
            decided_at: time(row, 1)?,
            engine_version: count(row, 2)?,
            catalogue_revision: number(row, 3)?,
            policy_revision: number(row, 4)?,
            seed: id_at(row, 5, "journal", "seed")?,
            input: Bytes::from(input),
            notifications: ids(get(row, 7)?)?,
        },
    })
}

fn ids(column: &[u8]) -> Outcome<Vec<NotificationId>> {
    column.chunks(16).map(|id| Ok(NotificationId(id16(id, "journal", "notifications")?))).collect()
}

/// The notifications that an entry read, each as it was kept with that entry, else the newest of that id.
pub(super) fn notifications_of(db: &mut Db, entry: u64) -> Outcome<Vec<KeptNotification>> {
    let row = db.first(
        "SELECT notifications, kept_from, octet_length(kept)::bigint / 16 FROM journal WHERE entry = $1",
        &[&int(entry)],
    )?;
    let Some(row) = row else { return Ok(Vec::new()) };
    let (from, kept) = (number(&row, 1)?, number(&row, 2)?);
    let mut found = Vec::new();
    for id in ids(get(&row, 0)?)? {
        let with_it = match kept {
            0 => None,
            kept => notifications::by_id_between(db, id, from, from + kept - 1)?,
        };
        found.extend(match with_it {
            Some(notification) => Some(notification),
            None => notifications::by_id(db, id)?,
        });
    }
    Ok(found)
}

/// Most notifications that are named as one event's cause.
const MOST_NAMED: i64 = 3;

/// What told these events, each with its purchase.
pub(super) fn causes(db: &mut Db, events: &[(u64, PurchaseId)]) -> Outcome<Vec<Cause>> {
    let mut causes = Vec::with_capacity(events.len());
    for (position, purchase) in events {
        let row = db.first(
            "SELECT j.entry, j.decided_at, j.input, j.kept_from, octet_length(j.kept)::bigint / 16
             FROM events e
             JOIN journal j ON j.entry = e.entry
             WHERE e.position = $1",
            &[&int(*position)],
        )?;
        let Some(row) = row else { continue };
        let (entry, from, kept) = (number(&row, 0)?, number(&row, 3)?, number(&row, 4)?);
        // One that is about several purchases names the first of them.
        let mut notifications = about(db, from, kept, Some(*purchase))?;
        if notifications.is_empty() && kept == 1 {
            notifications = about(db, from, kept, None)?;
        }
        causes.push(Cause {
            position: *position,
            entry,
            decided_at: time(&row, 1)?,
            input: db.unpack(get(&row, 2)?, "journal", "input", entry)?.into(),
            notifications,
        });
    }
    Ok(causes)
}

fn about(db: &mut Db, from: u64, count: u64, purchase: Option<PurchaseId>) -> Outcome<Vec<NotificationHead>> {
    const TABLE: &str = "notifications";
    let rows = db.query(
        "SELECT id, source_id, external_id, label, received_at
         FROM notifications
         WHERE number >= $1 AND number < $2 AND ($3::bytea IS NULL OR purchase_id = $3)
         ORDER BY number
         LIMIT $4",
        &[&int(from), &int(from + count), &purchase.as_ref().map(|id| id.0.as_slice()), &MOST_NAMED],
    )?;
    let read = |row: &Row| {
        Ok(NotificationHead {
            id: NotificationId(id_at(row, 0, TABLE, "id")?),
            source_id: SourceId(id_at(row, 1, TABLE, "source_id")?),
            external_id: text(row, 2, TABLE, "external_id")?,
            label: text(row, 3, TABLE, "label")?,
            received_at: time(row, 4)?,
        })
    };
    rows.iter().map(read).collect()
}
