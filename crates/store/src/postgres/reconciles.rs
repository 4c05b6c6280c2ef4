//! Runs that compare what is known with a store.

use super::db::{Db, Outcome, get, id_at, int, limit_of, number, text_opt, time, word};
use super::lookups;
use crate::reconciles::{MAX_KEPT, ReconcileRecord, ReconcileState, ReconcileTally};
use crate::records::LookupRecord;
use crate::{Refused, StoreError};
use paidup_lifecycle::ids::{ReconcileId, SourceId};
use paidup_lifecycle::time::Timestamp;
use postgres::Row;

const RECONCILE: &str = "
    SELECT r.number, r.id, s.id, r.state, r.state_since, r.created_at, r.cause, r.purchases, r.since, r.position, r.walked,
           r.asked, r.same, r.different, r.failed, r.last_error
    FROM reconciles r
    JOIN sources s ON s.number = r.source";

fn read(row: &Row) -> Outcome<(u64, ReconcileRecord)> {
    const TABLE: &str = "reconciles";
    let id = ReconcileId(id_at(row, 1, TABLE, "id")?);
    let record = ReconcileRecord {
        id,
        source: SourceId(id_at(row, 2, "sources", "id")?),
        state: word(row, 3, TABLE, "state", id)?,
        state_since: time(row, 4)?,
        created_at: time(row, 5)?,
        cause: word(row, 6, TABLE, "cause", id)?,
        purchases: word(row, 7, TABLE, "purchases", id)?,
        since: time(row, 8)?,
        position: get(row, 9)?,
        walked: get(row, 10)?,
        asked: number(row, 11)?,
        same: number(row, 12)?,
        different: number(row, 13)?,
        failed: number(row, 14)?,
        last_error: text_opt(row, 15, TABLE, "last_error")?,
    };
    Ok((number(row, 0)?, record))
}

fn refused(status: u16, detail: &str) -> StoreError {
    StoreError::Refused(Refused { status, detail: detail.to_owned() })
}

/// Begins one, and forgets the oldest of its source.
pub(super) fn begin(db: &mut Db, one: &ReconcileRecord, lookups: &[LookupRecord]) -> Outcome<()> {
    let row = db.first("SELECT number FROM sources WHERE id = $1", &[&one.source.0.as_slice()])?;
    let row = row.ok_or_else(|| refused(404, "there is no such source"))?;
    let source: i64 = get(&row, 0)?;
    if db.first("SELECT 1 FROM reconciles WHERE source = $1 AND state = 'running'", &[&source])?.is_some() {
        return Err(refused(409, "this source is being compared already; cancel that run, or wait for its end"));
    }
    db.execute(
        "INSERT INTO reconciles (id, source, state, state_since, created_at, cause, purchases, since, position, walked,
                                 asked, same, different, failed, last_error)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        &[
            &one.id.0.as_slice(),
            &source,
            &one.state.as_str(),
            &one.state_since.as_millis(),
            &one.created_at.as_millis(),
            &one.cause.as_str(),
            &one.purchases.as_str(),
            &one.since.as_millis(),
            &one.position,
            &one.walked,
            &int(one.asked),
            &int(one.same),
            &int(one.different),
            &int(one.failed),
            &one.last_error.as_ref().map(String::as_bytes),
        ],
    )?;
    db.execute(
        "DELETE FROM reconciles
         WHERE source = $1
           AND number <= (SELECT number FROM reconciles WHERE source = $1 ORDER BY number DESC LIMIT 1 OFFSET $2)",
        &[&source, &int(MAX_KEPT)],
    )?;
    lookups.iter().try_for_each(|lookup| lookups::put(db, lookup))
}

pub(super) fn one(db: &mut Db, id: ReconcileId) -> Outcome<Option<ReconcileRecord>> {
    let row = db.first(&format!("{RECONCILE} WHERE r.id = $1"), &[&id.0.as_slice()])?;
    row.map(|row| Ok(read(&row)?.1)).transpose()
}

pub(super) fn list(
    db: &mut Db,
    source: Option<SourceId>,
    before: Option<u64>,
    limit: usize,
) -> Outcome<Vec<(u64, ReconcileRecord)>> {
    let sql = format!(
        "{RECONCILE}
         WHERE r.number < $1 AND ($2::bytea IS NULL OR s.id = $2)
         ORDER BY r.number DESC
         LIMIT $3"
    );
    let source = source.as_ref().map(|source| source.0.as_slice());
    db.query(&sql, &[&before.map_or(i64::MAX, int), &source, &limit_of(limit)])?.iter().map(read).collect()
}

pub(super) fn running(db: &mut Db) -> Outcome<Vec<ReconcileRecord>> {
    let sql = format!("{RECONCILE} WHERE r.state = 'running' ORDER BY r.number");
    db.query(&sql, &[])?.iter().map(|row| Ok(read(row)?.1)).collect()
}

/// Adds up what came of the source's open run.
pub(super) fn tally(db: &mut Db, source: SourceId, tally: &ReconcileTally) -> Outcome<()> {
    let row = db.first(
        "SELECT r.id
         FROM reconciles r
         JOIN sources s ON s.number = r.source
         WHERE s.id = $1 AND r.state = 'running'",
        &[&source.0.as_slice()],
    )?;
    match row {
        Some(row) => add(db, ReconcileId(id_at(&row, 0, "reconciles", "id")?), tally),
        None => Ok(()),
    }
}

fn add(db: &mut Db, id: ReconcileId, tally: &ReconcileTally) -> Outcome<()> {
    db.execute(
        "UPDATE reconciles
         SET asked = asked + $2, same = same + $3, different = different + $4, failed = failed + $5,
             last_error = coalesce($6, last_error)
         WHERE id = $1 AND state = 'running'",
        &[
            &id.0.as_slice(),
            &int(tally.same + tally.different),
            &int(tally.same),
            &int(tally.different),
            &int(tally.failed),
            &tally.last_error.as_ref().map(String::as_bytes),
        ],
    )?;
    Ok(())
}

/// Adds up what came of a page of purchases, and keeps the place.
pub(super) fn walk(db: &mut Db, id: ReconcileId, position: Option<i64>, tally: &ReconcileTally) -> Outcome<()> {
    add(db, id, tally)?;
    db.execute(
        "UPDATE reconciles
         SET position = coalesce($2, position), walked = ($2::bigint IS NULL)
         WHERE id = $1 AND state = 'running'",
        &[&id.0.as_slice(), &position],
    )?;
    Ok(())
}

/// Lookups that the source's open run still waits for.
pub(super) fn lookups_left(db: &mut Db, source: SourceId) -> Outcome<u64> {
    let row = db.first("SELECT count(*) FROM lookups WHERE source_id = $1 AND reconciles", &[&source.0.as_slice()])?;
    row.map_or(Ok(0), |row| number(&row, 0))
}

/// Ends it.
pub(super) fn end(
    db: &mut Db,
    id: ReconcileId,
    state: ReconcileState,
    at: Timestamp,
) -> Outcome<Option<ReconcileRecord>> {
    let changed = db.execute(
        "UPDATE reconciles SET state = $2, state_since = $3 WHERE id = $1 AND state = 'running'",
        &[&id.0.as_slice(), &state.as_str(), &at.as_millis()],
    )?;
    let record = one(db, id)?;
    if let (true, Some(record)) = (changed > 0, &record) {
        db.execute("DELETE FROM lookups WHERE source_id = $1 AND reconciles", &[&record.source.0.as_slice()])?;
    }
    Ok(record)
}
