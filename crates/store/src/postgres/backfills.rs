//! Back-fills and their failures.

use super::db::{Db, Outcome, get, id_at, int, limit_of, number, text, text_opt, time, uint, word};
use super::deliveries;
use crate::backfills::{BackfillFailure, BackfillRecord, BackfillState, MAX_FAILURES, MAX_KEPT};
use crate::{Refused, StoreError};
use paidup_lifecycle::ids::{BackfillId, CustomerId, DestinationId};
use postgres::Row;

const BACKFILL: &str = "
    SELECT b.number, b.id, d.id, b.state, b.reason, b.state_since, b.created_at, b.position, b.last, b.total, b.written,
           b.skipped, b.failed, b.resumed_at, b.resumed_with
    FROM backfills b
    JOIN destinations d ON d.number = b.destination";

fn read(row: &Row) -> Outcome<(u64, BackfillRecord)> {
    const TABLE: &str = "backfills";
    let id = BackfillId(id_at(row, 1, TABLE, "id")?);
    let record = BackfillRecord {
        id,
        destination: DestinationId(id_at(row, 2, "destinations", "id")?),
        state: word(row, 3, TABLE, "state", id)?,
        reason: text_opt(row, 4, TABLE, "reason")?,
        state_since: time(row, 5)?,
        created_at: time(row, 6)?,
        position: number(row, 7)?,
        last: number(row, 8)?,
        total: number(row, 9)?,
        written: number(row, 10)?,
        skipped: number(row, 11)?,
        failed: number(row, 12)?,
        resumed_at: time(row, 13)?,
        resumed_with: number(row, 14)?,
    };
    Ok((number(row, 0)?, record))
}

fn refused(status: u16, detail: &str) -> StoreError {
    StoreError::Refused(Refused { status, detail: detail.to_owned() })
}

/// Begins one; answers it as kept.
pub(super) fn begin(db: &mut Db, mut backfill: BackfillRecord) -> Outcome<BackfillRecord> {
    let destination = deliveries::number_of(db, backfill.destination)?;
    let destination = destination.ok_or_else(|| refused(404, "there is no such destination"))?;
    let open =
        db.first("SELECT 1 FROM backfills WHERE destination = $1 AND state IN ('running', 'paused')", &[&destination])?;
    if open.is_some() {
        return Err(refused(409, "a back-fill of this destination is under way or paused; resume or cancel that one"));
    }
    let last = db.first("SELECT coalesce(max(number), 0) FROM customers", &[])?;
    backfill.last = last.map_or(Ok(0), |row| number(&row, 0))?;
    // Numbers start at 1 and have no gaps as long as nobody is deleted; counting a million rows would hold the writer up.
    backfill.total = backfill.last;
    db.execute(
        "INSERT INTO backfills (id, destination, state, reason, state_since, created_at, position, last, total,
                                written, skipped, failed, resumed_at, resumed_with)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        &[
            &backfill.id.0.as_slice(),
            &destination,
            &backfill.state.as_str(),
            &backfill.reason.as_ref().map(String::as_bytes),
            &backfill.state_since.as_millis(),
            &backfill.created_at.as_millis(),
            &int(backfill.position),
            &int(backfill.last),
            &int(backfill.total),
            &int(backfill.written),
            &int(backfill.skipped),
            &int(backfill.failed),
            &backfill.resumed_at.as_millis(),
            &int(backfill.resumed_with),
        ],
    )?;
    forget_old(db, destination)?;
    Ok(backfill)
}

/// Forgets the oldest ones of a destination that has had many.
fn forget_old(db: &mut Db, destination: i64) -> Outcome<()> {
    db.execute(
        "DELETE FROM backfills
         WHERE destination = $1
           AND number <= (SELECT number FROM backfills
                          WHERE destination = $1
                          ORDER BY number DESC
                          LIMIT 1 OFFSET $2)",
        &[&destination, &int(MAX_KEPT)],
    )?;
    Ok(())
}

/// One.
pub(super) fn one(db: &mut Db, id: BackfillId) -> Outcome<Option<BackfillRecord>> {
    let row = db.first(&format!("{BACKFILL} WHERE b.id = $1"), &[&id.0.as_slice()])?;
    row.map(|row| Ok(read(&row)?.1)).transpose()
}

/// Newest first.
pub(super) fn list(
    db: &mut Db,
    destination: Option<DestinationId>,
    before: Option<u64>,
    limit: usize,
) -> Outcome<Vec<(u64, BackfillRecord)>> {
    let sql = format!(
        "{BACKFILL}
         WHERE ($1::bytea IS NULL OR d.id = $1)
           AND b.number < $2
         ORDER BY b.number DESC
         LIMIT $3"
    );
    let destination = destination.as_ref().map(|id| id.0.as_slice());
    db.query(&sql, &[&destination, &before.map_or(i64::MAX, int), &limit_of(limit)])?.iter().map(read).collect()
}

/// Those that are running, oldest first.
pub(super) fn running(db: &mut Db) -> Outcome<Vec<BackfillRecord>> {
    let sql = format!("{BACKFILL} WHERE b.state = 'running' ORDER BY b.number");
    db.query(&sql, &[])?.iter().map(|row| Ok(read(row)?.1)).collect()
}

/// Saves how one stands, and its new failures.
pub(super) fn save(db: &mut Db, backfill: &BackfillRecord, failures: &[BackfillFailure]) -> Outcome<()> {
    let row = db.first("SELECT number, state FROM backfills WHERE id = $1", &[&backfill.id.0.as_slice()])?;
    let row = row.ok_or_else(|| refused(404, "there is no such back-fill"))?;
    let number: i64 = get(&row, 0)?;
    let state: BackfillState = word(&row, 1, "backfills", "state", backfill.id)?;
    if !state.is_open() {
        return Err(refused(409, "this back-fill has ended"));
    }
    db.execute(
        "UPDATE backfills
         SET state = $2, reason = $3, state_since = $4, position = $5, total = $6, written = $7, skipped = $8,
             failed = $9, resumed_at = $10, resumed_with = $11
         WHERE number = $1",
        &[
            &number,
            &backfill.state.as_str(),
            &backfill.reason.as_ref().map(String::as_bytes),
            &backfill.state_since.as_millis(),
            &int(backfill.position),
            &int(backfill.total),
            &int(backfill.written),
            &int(backfill.skipped),
            &int(backfill.failed),
            &backfill.resumed_at.as_millis(),
            &int(backfill.resumed_with),
        ],
    )?;
    put_failures(db, number, failures)
}

fn put_failures(db: &mut Db, backfill: i64, failures: &[BackfillFailure]) -> Outcome<()> {
    if failures.is_empty() {
        return Ok(());
    }
    let row = db.first("SELECT count(*) FROM backfill_failures WHERE backfill = $1", &[&backfill])?;
    let kept: i64 = row.map_or(Ok(0), |row| get(&row, 0))?;
    let room = usize::try_from(MAX_FAILURES.saturating_sub(uint(kept))).unwrap_or(usize::MAX);
    for failure in failures.iter().take(room) {
        db.execute(
            "INSERT INTO backfill_failures (backfill, customer_id, reason, at)
             VALUES ($1, $2, $3, $4)",
            &[&backfill, &failure.customer.0.as_slice(), &failure.reason.as_bytes(), &failure.at.as_millis()],
        )?;
    }
    Ok(())
}

/// Failures in the order in which they came.
pub(super) fn failures(db: &mut Db, id: BackfillId, after: u64, limit: usize) -> Outcome<Vec<(u64, BackfillFailure)>> {
    let rows = db.query(
        "SELECT f.number, f.customer_id, f.reason, f.at
         FROM backfills b
         JOIN backfill_failures f ON f.backfill = b.number
         WHERE b.id = $1
           AND f.number > $2
         ORDER BY f.number
         LIMIT $3",
        &[&id.0.as_slice(), &int(after), &limit_of(limit)],
    )?;
    let read = |row: &Row| {
        let failure = BackfillFailure {
            customer: CustomerId(id_at(row, 1, "backfill_failures", "customer_id")?),
            reason: text(row, 2, "backfill_failures", "reason")?,
            at: time(row, 3)?,
        };
        Ok((number(row, 0)?, failure))
    };
    rows.iter().map(read).collect()
}
