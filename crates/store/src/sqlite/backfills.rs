//! Back-fills and their failures.

use super::db::{Db, Outcome, int, limit_of, time, uint, word};
use super::deliveries;
use crate::backfills::{BackfillFailure, BackfillRecord, BackfillState, MAX_FAILURES, MAX_KEPT};
use crate::{Refused, StoreError};
use paidup_lifecycle::ids::{BackfillId, CustomerId, DestinationId};
use rusqlite::{OptionalExtension, Row};

const BACKFILL: &str = "
    SELECT b.number, b.id, d.id, b.state, b.reason, b.state_since, b.created_at, b.position, b.last, b.total, b.written,
           b.skipped, b.failed, b.resumed_at, b.resumed_with
    FROM backfills b
    JOIN destinations d ON d.number = b.destination";

fn read(row: &Row<'_>) -> Outcome<(u64, BackfillRecord)> {
    let id = BackfillId(row.get(1)?);
    let count = |column: usize| row.get(column).map(uint);
    let record = BackfillRecord {
        id,
        destination: DestinationId(row.get(2)?),
        state: word(row.get_ref(3)?.as_str().unwrap_or_default(), "backfills", "state", id)?,
        reason: row.get(4)?,
        state_since: time(row.get(5)?),
        created_at: time(row.get(6)?),
        position: count(7)?,
        last: count(8)?,
        total: count(9)?,
        written: count(10)?,
        skipped: count(11)?,
        failed: count(12)?,
        resumed_at: time(row.get(13)?),
        resumed_with: count(14)?,
    };
    Ok((uint(row.get(0)?), record))
}

fn refused(status: u16, detail: &str) -> StoreError {
    StoreError::Refused(Refused { status, detail: detail.to_owned() })
}

/// Begins one; answers it as kept.
pub(super) fn begin(db: &Db, mut backfill: BackfillRecord) -> Outcome<BackfillRecord> {
    let destination = deliveries::number_of(db, backfill.destination)?;
    let destination = destination.ok_or_else(|| refused(404, "there is no such destination"))?;
    let is_open: bool = db
        .conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM backfills WHERE destination = ?1 AND state IN ('running', 'paused'))",
        )?
        .query_row([destination], |row| row.get(0))?;
    if is_open {
        return Err(refused(409, "a back-fill of this destination is under way or paused; resume or cancel that one"));
    }
    backfill.last = uint(
        db.conn
            .prepare_cached("SELECT coalesce(max(number), 0) FROM customers_by_age")?
            .query_row([], |row| row.get(0))?,
    );
    // Numbers start at 1 and have no gaps as long as nobody is deleted; counting a million rows would hold the writer up.
    backfill.total = backfill.last;
    db.conn
        .prepare_cached(
            "INSERT INTO backfills (id, destination, state, reason, state_since, created_at, position, last, total,
                                    written, skipped, failed, resumed_at, resumed_with)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )?
        .execute((
            backfill.id.0,
            destination,
            backfill.state.as_str(),
            &backfill.reason,
            backfill.state_since.as_millis(),
            backfill.created_at.as_millis(),
            int(backfill.position),
            int(backfill.last),
            int(backfill.total),
            int(backfill.written),
            int(backfill.skipped),
            int(backfill.failed),
            backfill.resumed_at.as_millis(),
            int(backfill.resumed_with),
        ))?;
    forget_old(db, destination)?;
    Ok(backfill)
}

/// Forgets the oldest ones of a destination that has had many.
fn forget_old(db: &Db, destination: i64) -> Outcome<()> {
    db.conn
        .prepare_cached(
            "DELETE FROM backfills
             WHERE destination = ?1
               AND number <= (SELECT number FROM backfills
                              WHERE destination = ?1
                              ORDER BY number DESC
                              LIMIT 1 OFFSET ?2)",
        )?
        .execute((destination, int(MAX_KEPT)))?;
    Ok(())
}

/// One.
pub(super) fn one(db: &Db, id: BackfillId) -> Outcome<Option<BackfillRecord>> {
    let mut statement = db.conn.prepare_cached(&format!("{BACKFILL} WHERE b.id = ?1"))?;
    let mut rows = statement.query([id.0])?;
    Ok(rows.next()?.map(read).transpose()?.map(|(_, backfill)| backfill))
}

/// Newest first.
pub(super) fn list(
    db: &Db,
    destination: Option<DestinationId>,
    before: Option<u64>,
    limit: usize,
) -> Outcome<Vec<(u64, BackfillRecord)>> {
    let mut statement = db.conn.prepare_cached(&format!(
        "{BACKFILL}
         WHERE (?1 IS NULL OR d.id = ?1)
           AND b.number < ?2
         ORDER BY b.number DESC
         LIMIT ?3"
    ))?;
    let mut rows = statement.query((destination.map(|id| id.0), before.map_or(i64::MAX, int), limit_of(limit)))?;
    let mut backfills = Vec::new();
    while let Some(row) = rows.next()? {
        backfills.push(read(row)?);
    }
    Ok(backfills)
}

/// Those that are running, oldest first.
pub(super) fn running(db: &Db) -> Outcome<Vec<BackfillRecord>> {
    let mut statement = db.conn.prepare_cached(&format!("{BACKFILL} WHERE b.state = 'running' ORDER BY b.number"))?;
    let mut rows = statement.query([])?;
    let mut backfills = Vec::new();
    while let Some(row) = rows.next()? {
        backfills.push(read(row)?.1);
    }
    Ok(backfills)
}

/// Saves how one stands, and its new failures.
pub(super) fn save(db: &Db, backfill: &BackfillRecord, failures: &[BackfillFailure]) -> Outcome<()> {
    let known: Option<(i64, String)> = db
        .conn
        .prepare_cached("SELECT number, state FROM backfills WHERE id = ?1")?
        .query_row([backfill.id.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (number, state) = known.ok_or_else(|| refused(404, "there is no such back-fill"))?;
    let state: BackfillState = word(&state, "backfills", "state", backfill.id)?;
    if !state.is_open() {
        return Err(refused(409, "this back-fill has ended"));
    }
    db.conn
        .prepare_cached(
            "UPDATE backfills
             SET state = ?2, reason = ?3, state_since = ?4, position = ?5, total = ?6, written = ?7, skipped = ?8,
                 failed = ?9, resumed_at = ?10, resumed_with = ?11
             WHERE number = ?1",
        )?
        .execute((
            number,
            backfill.state.as_str(),
            &backfill.reason,
            backfill.state_since.as_millis(),
            int(backfill.position),
            int(backfill.total),
            int(backfill.written),
            int(backfill.skipped),
            int(backfill.failed),
            backfill.resumed_at.as_millis(),
            int(backfill.resumed_with),
        ))?;
    put_failures(db, number, failures)
}

fn put_failures(db: &Db, backfill: i64, failures: &[BackfillFailure]) -> Outcome<()> {
    if failures.is_empty() {
        return Ok(());
    }
    let kept: i64 = db
        .conn
        .prepare_cached("SELECT count(*) FROM backfill_failures WHERE backfill = ?1")?
        .query_row([backfill], |row| row.get(0))?;
    let room = usize::try_from(MAX_FAILURES.saturating_sub(uint(kept))).unwrap_or(usize::MAX);
    for failure in failures.iter().take(room) {
        db.conn
            .prepare_cached(
                "INSERT INTO backfill_failures (backfill, customer_id, reason, at)
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute((backfill, failure.customer.0, &failure.reason, failure.at.as_millis()))?;
    }
    Ok(())
}

/// Failures in the order in which they came.
pub(super) fn failures(db: &Db, id: BackfillId, after: u64, limit: usize) -> Outcome<Vec<(u64, BackfillFailure)>> {
    let mut statement = db.conn.prepare_cached(
        "SELECT f.number, f.customer_id, f.reason, f.at
         FROM backfills b
         JOIN backfill_failures f ON f.backfill = b.number
         WHERE b.id = ?1
           AND f.number > ?2
         ORDER BY f.number
         LIMIT ?3",
    )?;
    let rows = statement.query_map((id.0, int(after), limit_of(limit)), |row| {
        let failure = BackfillFailure { customer: CustomerId(row.get(1)?), reason: row.get(2)?, at: time(row.get(3)?) };
        Ok((uint(row.get(0)?), failure))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
