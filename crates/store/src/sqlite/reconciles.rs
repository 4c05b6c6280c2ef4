//! Runs that compare what is known with a store.

use super::db::{Db, Outcome, int, limit_of, time, uint, word};
use super::lookups;
use crate::reconciles::{MAX_KEPT, ReconcileRecord, ReconcileState, ReconcileTally};
use crate::records::LookupRecord;
use crate::{Refused, StoreError};
use paidup_lifecycle::ids::{ReconcileId, SourceId};
use paidup_lifecycle::time::Timestamp;
use rusqlite::{OptionalExtension, Row};

const RECONCILE: &str = "
    SELECT r.number, r.id, s.id, r.state, r.state_since, r.created_at, r.cause, r.purchases, r.since, r.position, r.walked,
           r.asked, r.same, r.different, r.failed, r.last_error
    FROM reconciles r
    JOIN sources s ON s.number = r.source";

fn read(row: &Row<'_>) -> Outcome<(u64, ReconcileRecord)> {
    let id = ReconcileId(row.get(1)?);
    let count = |column: usize| row.get(column).map(uint);
    let text = |column: usize| row.get_ref(column).map(|value| value.as_str().unwrap_or_default());
    let record = ReconcileRecord {
        id,
        source: SourceId(row.get(2)?),
        state: word(text(3)?, "reconciles", "state", id)?,
        state_since: time(row.get(4)?),
        created_at: time(row.get(5)?),
        cause: word(text(6)?, "reconciles", "cause", id)?,
        purchases: word(text(7)?, "reconciles", "purchases", id)?,
        since: time(row.get(8)?),
        position: row.get(9)?,
        walked: row.get(10)?,
        asked: count(11)?,
        same: count(12)?,
        different: count(13)?,
        failed: count(14)?,
        last_error: row.get(15)?,
    };
    Ok((uint(row.get(0)?), record))
}

fn refused(status: u16, detail: &str) -> StoreError {
    StoreError::Refused(Refused { status, detail: detail.to_owned() })
}

/// Begins one, and forgets the oldest of its source.
pub(super) fn begin(db: &Db, one: &ReconcileRecord, lookups: &[LookupRecord]) -> Outcome<()> {
    let source: Option<i64> = db
        .conn
        .prepare_cached("SELECT number FROM sources WHERE id = ?1")?
        .query_row([one.source.0], |row| row.get(0))
        .optional()?;
    let source = source.ok_or_else(|| refused(404, "there is no such source"))?;
    let is_open: bool = db
        .conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM reconciles WHERE source = ?1 AND state = 'running')")?
        .query_row([source], |row| row.get(0))?;
    if is_open {
        return Err(refused(409, "this source is being compared already; cancel that run, or wait for its end"));
    }
    db.conn
        .prepare_cached(
            "INSERT INTO reconciles (id, source, state, state_since, created_at, cause, purchases, since, position, walked,
                                     asked, same, different, failed, last_error)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )?
        .execute((
            one.id.0,
            source,
            one.state.as_str(),
            one.state_since.as_millis(),
            one.created_at.as_millis(),
            one.cause.as_str(),
            one.purchases.as_str(),
            one.since.as_millis(),
            one.position,
            one.walked,
            int(one.asked),
            int(one.same),
            int(one.different),
            int(one.failed),
            &one.last_error,
        ))?;
    db.conn
        .prepare_cached(
            "DELETE FROM reconciles
             WHERE source = ?1
               AND number <= (SELECT number FROM reconciles WHERE source = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute((source, int(MAX_KEPT)))?;
    lookups.iter().try_for_each(|lookup| lookups::put(db, lookup))
}

pub(super) fn one(db: &Db, id: ReconcileId) -> Outcome<Option<ReconcileRecord>> {
    let mut statement = db.conn.prepare_cached(&format!("{RECONCILE} WHERE r.id = ?1"))?;
    let mut rows = statement.query([id.0])?;
    Ok(rows.next()?.map(read).transpose()?.map(|(_, record)| record))
}

pub(super) fn list(
    db: &Db,
    source: Option<SourceId>,
    before: Option<u64>,
    limit: usize,
) -> Outcome<Vec<(u64, ReconcileRecord)>> {
    let sql = format!("{RECONCILE} WHERE r.number < ?1 AND (?2 IS NULL OR s.id = ?2) ORDER BY r.number DESC LIMIT ?3");
    let mut statement = db.conn.prepare_cached(&sql)?;
    let rows = statement
        .query_and_then((before.map_or(i64::MAX, int), source.map(|source| source.0), limit_of(limit)), read)?;
    rows.collect()
}

pub(super) fn running(db: &Db) -> Outcome<Vec<ReconcileRecord>> {
    let mut statement = db.conn.prepare_cached(&format!("{RECONCILE} WHERE r.state = 'running' ORDER BY r.number"))?;
    let rows = statement.query_and_then([], read)?;
    rows.map(|row| row.map(|(_, record)| record)).collect()
}

/// Adds up what came of the source's open run.
pub(super) fn tally(db: &Db, source: SourceId, tally: &ReconcileTally) -> Outcome<()> {
    let id: Option<[u8; 16]> = db
        .conn
        .prepare_cached(
            "SELECT r.id
             FROM reconciles r
             JOIN sources s ON s.number = r.source
             WHERE s.id = ?1 AND r.state = 'running'",
        )?
        .query_row([source.0], |row| row.get(0))
        .optional()?;
    id.map_or(Ok(()), |id| add(db, ReconcileId(id), tally))
}

fn add(db: &Db, id: ReconcileId, tally: &ReconcileTally) -> Outcome<()> {
    db.conn
        .prepare_cached(
            "UPDATE reconciles
             SET asked = asked + ?2, same = same + ?3, different = different + ?4, failed = failed + ?5,
                 last_error = coalesce(?6, last_error)
             WHERE id = ?1 AND state = 'running'",
        )?
        .execute((
            id.0,
            int(tally.same + tally.different),
            int(tally.same),
            int(tally.different),
            int(tally.failed),
            &tally.last_error,
        ))?;
    Ok(())
}

/// Adds up what came of a page of purchases, and keeps the place.
pub(super) fn walk(db: &Db, id: ReconcileId, position: Option<i64>, tally: &ReconcileTally) -> Outcome<()> {
    add(db, id, tally)?;
    db.conn
        .prepare_cached(
            "UPDATE reconciles
             SET position = coalesce(?2, position), walked = (?2 IS NULL)
             WHERE id = ?1 AND state = 'running'",
        )?
        .execute((id.0, position))?;
    Ok(())
}

/// Lookups that the source's open run still waits for.
pub(super) fn lookups_left(db: &Db, source: SourceId) -> Outcome<u64> {
    let count = db
        .conn
        .prepare_cached("SELECT count(*) FROM lookups WHERE source_id = ?1 AND reconciles = 1")?
        .query_row([source.0], |row| row.get(0))?;
    Ok(uint(count))
}

/// Ends it.
pub(super) fn end(db: &Db, id: ReconcileId, state: ReconcileState, at: Timestamp) -> Outcome<Option<ReconcileRecord>> {
    let changed = db
        .conn
        .prepare_cached("UPDATE reconciles SET state = ?2, state_since = ?3 WHERE id = ?1 AND state = 'running'")?
        .execute((id.0, state.as_str(), at.as_millis()))?;
    let record = one(db, id)?;
    if let (true, Some(record)) = (changed > 0, &record) {
        db.conn
            .prepare_cached("DELETE FROM lookups WHERE source_id = ?1 AND reconciles = 1")?
            .execute([record.source.0])?;
    }
    Ok(record)
}
