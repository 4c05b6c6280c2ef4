//! What is to be looked up at stores, and the clues that answer where a store cannot be asked.

use super::db::{Db, Outcome, limit_of, time};
use crate::records::{ClueRecord, LookupRecord};
use paidup_lifecycle::ids::{LookupId, PurchaseId, SourceId};
use paidup_lifecycle::time::Timestamp;
use rusqlite::{OptionalExtension, Row};

const LOOKUP: &str = "
    SELECT id, source_id, name, context, why, unless_known, asked_since, ask_at, attempts, last_error,
           reconciles
    FROM lookups";

/// Waits from now on; one that waits already, or was given up, stays as it is.
pub(super) fn put(db: &Db, lookup: &LookupRecord) -> Outcome<()> {
    db.conn
        .prepare_cached(
            "INSERT OR IGNORE INTO lookups
                 (id, source_id, name, context, why, unless_known, asked_since, ask_at, attempts, last_error,
                  reconciles)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute((
            lookup.id.0,
            lookup.source_id.0,
            &lookup.name,
            &lookup.context,
            &lookup.why,
            lookup.unless_known.map(|purchase| purchase.0),
            lookup.asked_since.as_millis(),
            lookup.ask_at.map(Timestamp::as_millis),
            lookup.attempts,
            &lookup.last_error,
            lookup.reconciles,
        ))?;
    Ok(())
}

/// Asks again later, or gives up; not when it was answered in the meantime, nor when a clue came while it was tried.
pub(super) fn postpone(db: &Db, lookup: &LookupRecord) -> Outcome<()> {
    db.conn
        .prepare_cached(
            "UPDATE lookups
             SET ask_at = ?2, attempts = ?3, last_error = ?4
             WHERE id = ?1 AND attempts < ?3",
        )?
        .execute((lookup.id.0, lookup.ask_at.map(Timestamp::as_millis), lookup.attempts, &lookup.last_error))?;
    Ok(())
}

pub(super) fn forget(db: &Db, lookup: LookupId) -> Outcome<()> {
    db.conn.prepare_cached("DELETE FROM lookups WHERE id = ?1")?.execute([lookup.0])?;
    Ok(())
}

pub(super) const DUE: &str = "
    SELECT id, source_id, name, context, why, unless_known, asked_since, ask_at, attempts, last_error,
           reconciles
    FROM lookups
    WHERE source_id = ?1 AND ask_at <= ?2
    ORDER BY ask_at
    LIMIT ?3";

/// Lookups of a source whose time has come, earliest first.
pub(super) fn due(db: &Db, source: SourceId, now: Timestamp, limit: usize) -> Outcome<Vec<LookupRecord>> {
    let mut statement = db.conn.prepare_cached(DUE)?;
    let rows = statement.query_and_then((source.0, now.as_millis(), limit_of(limit)), read)?;
    rows.collect()
}

/// Asks for one that was given up, or waits, at once; answers it as it stands then.
pub(super) fn retry(db: &Db, lookup: LookupId, now: Timestamp) -> Outcome<Option<LookupRecord>> {
    // What counts as a try since then must not put it to sleep (see `postpone`), and it gets its whole time anew.
    db.conn
        .prepare_cached(
            "UPDATE lookups
             SET ask_at = ?2, asked_since = ?2, attempts = attempts + 1
             WHERE id = ?1",
        )?
        .execute((lookup.0, now.as_millis()))?;
    one(db, lookup)
}

/// One of them.
pub(super) fn one(db: &Db, lookup: LookupId) -> Outcome<Option<LookupRecord>> {
    let mut statement = db.conn.prepare_cached(&format!("{LOOKUP} WHERE id = ?1"))?;
    let mut rows = statement.query([lookup.0])?;
    rows.next()?.map(read).transpose()
}

/// All of them, oldest first.
pub(super) fn all(db: &Db, limit: usize) -> Outcome<Vec<LookupRecord>> {
    let mut statement = db.conn.prepare_cached(&format!("{LOOKUP} ORDER BY asked_since, id LIMIT ?1"))?;
    let rows = statement.query_and_then([limit_of(limit)], read)?;
    rows.collect()
}

fn read(row: &Row<'_>) -> Outcome<LookupRecord> {
    let ask_at: Option<i64> = row.get(7)?;
    Ok(LookupRecord {
        id: LookupId(row.get(0)?),
        source_id: SourceId(row.get(1)?),
        name: row.get(2)?,
        context: row.get(3)?,
        why: row.get(4)?,
        unless_known: row.get::<_, Option<[u8; 16]>>(5)?.map(PurchaseId),
        asked_since: time(row.get(6)?),
        ask_at: ask_at.map(time),
        attempts: row.get(8)?,
        last_error: row.get(9)?,
        reconciles: row.get(10)?,
    })
}

/// Keeps a clue, and wakes the lookups that it answers, given up or not. That counts as a try, so that one which is under
/// way and did not see the clue does not put them to sleep again.
pub(super) fn put_clue(db: &Db, clue: &ClueRecord, now: Timestamp) -> Outcome<()> {
    let answer = db.packer.pack(&clue.answer);
    db.conn
        .prepare_cached(
            "INSERT INTO clues (source_id, name, answer, noted_at)
             VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (source_id, name) DO UPDATE SET answer = excluded.answer, noted_at = excluded.noted_at",
        )?
        .execute((clue.source_id.0, &clue.name, answer, now.as_millis()))?;
    db.conn
        .prepare_cached(
            "UPDATE lookups
             SET ask_at = ?3, attempts = attempts + 1
             WHERE source_id = ?1 AND name = ?2",
        )?
        .execute((clue.source_id.0, &clue.name, now.as_millis()))?;
    Ok(())
}

pub(super) fn clue(db: &Db, source: SourceId, name: &str) -> Outcome<Option<bytes::Bytes>> {
    let kept: Option<Vec<u8>> = db
        .conn
        .prepare_cached("SELECT answer FROM clues WHERE source_id = ?1 AND name = ?2")?
        .query_row((source.0, name), |row| row.get(0))
        .optional()?;
    kept.map(|kept| db.unpack(&kept, "clues", "answer", name).map(Into::into)).transpose()
}

/// Forgets some lookups that were given up and first wanted before `before`; answers how many.
pub(super) fn prune(db: &Db, before: Timestamp) -> Outcome<u64> {
    let removed = db
        .conn
        .prepare_cached(
            "DELETE FROM lookups
             WHERE id IN (SELECT id
                          FROM lookups
                          WHERE ask_at IS NULL AND asked_since < ?1
                          LIMIT ?2)",
        )?
        .execute((before.as_millis(), SLICE))?;
    Ok(removed as u64)
}

/// Rows of one slice of pruning: small ones.
const SLICE: i64 = 500;

/// Forgets some clues that were last written before `before`; answers how many.
pub(super) fn prune_clues(db: &Db, before: Timestamp) -> Outcome<u64> {
    let removed = db
        .conn
        .prepare_cached(
            "DELETE FROM clues
             WHERE (source_id, name) IN (SELECT source_id, name
                                         FROM clues
                                         WHERE noted_at < ?1
                                         ORDER BY noted_at
                                         LIMIT ?2)",
        )?
        .execute((before.as_millis(), SLICE))?;
    Ok(removed as u64)
}
