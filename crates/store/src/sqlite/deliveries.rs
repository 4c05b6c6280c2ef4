//! How far destinations have come: cursors, parked events, attempts.

use super::db::{Db, Outcome, inconsistent, int, limit_of, time, uint, word};
use super::memories;
use crate::records::{Attempt, AttemptQuery, AttemptRecord, Parked, Progress, Settlement, WaitingLane};
use crate::{Refused, StoreError};
use paidup_lifecycle::ids::{DestinationId, EventId};
use paidup_lifecycle::time::Timestamp;
use rusqlite::types::ToSql;
use rusqlite::{OptionalExtension, Row};

/// Rows that one slice of a long removal looks at (under 5 ms).
pub(super) const SLICE: i64 = 1000;

/// The number of a destination's row.
pub(super) fn number_of(db: &Db, destination: DestinationId) -> Outcome<Option<i64>> {
    Ok(db
        .conn
        .prepare_cached("SELECT number FROM destinations WHERE id = ?1")?
        .query_row([destination.0], |row| row.get(0))
        .optional()?)
}

/// Progress in every partition.
pub(super) fn progress(db: &Db, destination: DestinationId) -> Outcome<Vec<Progress>> {
    let mut statement = db.conn.prepare_cached(
        "SELECT p.partition, p.cursor, p.settled, p.failing_since
         FROM destinations d
         JOIN progress p ON p.destination = d.number
         WHERE d.id = ?1
         ORDER BY p.partition",
    )?;
    let mut rows = statement.query([destination.0])?;
    let mut progress = Vec::new();
    while let Some(row) = rows.next()? {
        let settled = serde_json::from_str(row.get_ref(2)?.as_str().unwrap_or_default())
            .map_err(|_| inconsistent("progress", "settled", destination))?;
        let failing_since: Option<i64> = row.get(3)?;
        progress.push(Progress {
            partition: row.get(0)?,
            cursor: uint(row.get(1)?),
            settled,
            failing_since: failing_since.map(time),
        });
    }
    Ok(progress)
}

/// Sets the progress in one partition.
pub(super) fn put_progress(db: &Db, destination: i64, progress: &Progress) -> Outcome<()> {
    let settled =
        serde_json::to_string(&progress.settled).map_err(|_| inconsistent("progress", "settled", destination))?;
    db.conn
        .prepare_cached(
            "INSERT INTO progress (destination, partition, cursor, settled, failing_since)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (destination, partition) DO UPDATE
             SET cursor = excluded.cursor, settled = excluded.settled, failing_since = excluded.failing_since",
        )?
        .execute((
            destination,
            progress.partition,
            int(progress.cursor),
            settled,
            progress.failing_since.map(Timestamp::as_millis),
        ))?;
    Ok(())
}

/// Events that wait, by place.
pub(super) fn parked(db: &Db, destination: DestinationId, limit: usize) -> Outcome<Vec<Parked>> {
    let mut statement = db.conn.prepare_cached(PARKED)?;
    let mut rows = statement.query((destination.0, limit_of(limit)))?;
    let mut parked = Vec::new();
    while let Some(row) = rows.next()? {
        parked.push(read_parked(row)?);
    }
    Ok(parked)
}

fn read_parked(row: &Row<'_>) -> Outcome<Parked> {
    let passed_at: Option<i64> = row.get(9)?;
    Ok(Parked {
        partition: row.get(0)?,
        position: uint(row.get(1)?),
        event_id: EventId(row.get(2)?),
        lane: row.get(3)?,
        attempts: row.get(4)?,
        parked_at: time(row.get(5)?),
        next_try_at: time(row.get(6)?),
        last_error: row.get(7)?,
        replay: row.get(8)?,
        passed_at: passed_at.map(time),
    })
}

pub(super) const PARKED: &str = "
    SELECT p.partition, p.position, p.event_id, p.lane, p.attempts, p.parked_at, p.next_try_at, p.last_error, p.replay,
           p.passed_at
    FROM destinations d
    JOIN parked p ON p.destination = d.number
    WHERE d.id = ?1
    ORDER BY p.partition, p.position
    LIMIT ?2";

/// Lanes that wait, by the position of their first event.
pub(super) fn waiting_lanes(
    db: &Db,
    destination: DestinationId,
    after: u64,
    limit: usize,
) -> Outcome<Vec<WaitingLane>> {
    let mut statement = db.conn.prepare_cached(WAITING_LANES)?;
    let mut rows = statement.query((destination.0, int(after), limit_of(limit)))?;
    let mut lanes = Vec::new();
    while let Some(row) = rows.next()? {
        lanes.push(WaitingLane { head: read_parked(row)?, behind: uint(row.get(10)?) });
    }
    Ok(lanes)
}

pub(super) const WAITING_LANES: &str = "
    SELECT p.partition, p.position, p.event_id, p.lane, p.attempts, p.parked_at, p.next_try_at, p.last_error, p.replay,
           p.passed_at,
           iif(p.passed_at IS NULL,
               (SELECT count(*)
                FROM parked f
                WHERE f.destination = p.destination AND f.lane = p.lane AND f.position > p.position
                  AND f.passed_at IS NULL),
               0)
    FROM destinations d
    JOIN parked p ON p.destination = d.number
    WHERE d.id = ?1 AND p.partition = 0 AND p.position > ?2
      AND (p.passed_at IS NOT NULL
           OR NOT EXISTS (SELECT 1
                          FROM parked e
                          WHERE e.destination = p.destination AND e.lane = p.lane AND e.position < p.position
                            AND e.passed_at IS NULL))
    ORDER BY p.position
    LIMIT ?3";

/// Events that an attempt gave up, by position.
pub(super) fn given_up(
    db: &Db,
    destination: DestinationId,
    after: u64,
    last: u64,
    limit: usize,
) -> Outcome<Vec<(u64, EventId)>> {
    let mut statement = db.conn.prepare_cached(GIVEN_UP)?;
    let rows = statement.query_map((destination.0, int(after), int(last), limit_of(limit)), |row| {
        Ok((uint(row.get(0)?), EventId(row.get(1)?)))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) const GIVEN_UP: &str = "
    SELECT a.position, a.event_id
    FROM attempts a INDEXED BY attempts_given_up
    WHERE a.destination = (SELECT number FROM destinations WHERE id = ?1)
      AND a.state = 'failed' AND a.position > ?2 AND a.position <= ?3
    GROUP BY a.position
    ORDER BY a.position
    LIMIT ?4";

/// Saves what a batch of deliveries came to.
pub(super) fn settle(db: &Db, settlement: &Settlement) -> Outcome<()> {
    let Some(destination) = number_of(db, settlement.destination)? else {
        let detail = format!("there is no destination {}", settlement.destination);
        return Err(StoreError::Refused(Refused { status: 404, detail }));
    };
    for progress in &settlement.progress {
        put_progress(db, destination, progress)?;
    }
    for (partition, position) in &settlement.unparked {
        db.conn
            .prepare_cached("DELETE FROM parked WHERE destination = ?1 AND partition = ?2 AND position = ?3")?
            .execute((destination, partition, int(*position)))?;
    }
    for parked in &settlement.parked {
        put_parked(db, destination, parked)?;
    }
    for (partition, position, at) in &settlement.passed {
        db.conn
            .prepare_cached(
                "UPDATE parked SET passed_at = ?4 WHERE destination = ?1 AND partition = ?2 AND position = ?3",
            )?
            .execute((destination, partition, int(*position), at.as_millis()))?;
    }
    for attempt in &settlement.attempts {
        append_attempt(db, destination, attempt)?;
    }
    for remembered in &settlement.memories {
        memories::keep(db, destination, remembered)?;
    }
    Ok(())
}

fn put_parked(db: &Db, destination: i64, parked: &Parked) -> Outcome<()> {
    db.conn
        .prepare_cached(
            "INSERT OR REPLACE INTO parked
                 (destination, partition, position, event_id, lane, attempts, parked_at, next_try_at, last_error, replay,
                  passed_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute((
            destination,
            parked.partition,
            int(parked.position),
            parked.event_id.0,
            &parked.lane,
            parked.attempts,
            parked.parked_at.as_millis(),
            parked.next_try_at.as_millis(),
            &parked.last_error,
            parked.replay,
            parked.passed_at.map(Timestamp::as_millis),
        ))?;
    Ok(())
}

fn append_attempt(db: &Db, destination: i64, attempt: &AttemptRecord) -> Outcome<()> {
    db.conn
        .prepare_cached(
            "INSERT INTO attempts (destination, position, event_id, attempt, at, duration_ms, status, state, detail,
                                   may_repeat)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute((
            destination,
            int(attempt.position),
            attempt.event_id.0,
            attempt.attempt,
            attempt.at.as_millis(),
            attempt.duration_ms,
            attempt.status,
            attempt.state.as_str(),
            &attempt.detail,
            attempt.may_repeat,
        ))?;
    Ok(())
}

/// The statement that lists attempts, along the index that narrows the query most.
pub(super) fn attempts_sql(query: &AttemptQuery) -> String {
    use crate::records::DeliveryState::{Delivered, Failed, Retrying, Skipped};
    let index = match (query.event, query.state, query.destination) {
        (Some(_), _, _) => "INDEXED BY attempts_by_event",
        (None, Some(Retrying | Failed | Skipped), _) => "INDEXED BY attempts_in_trouble",
        (None, Some(Delivered) | None, Some(_)) => "INDEXED BY attempts_by_destination",
        (None, Some(Delivered) | None, None) => "",
    };
    let trouble = match query.state {
        Some(Retrying | Failed | Skipped) => "AND a.state <> 'delivered'",
        Some(Delivered) | None => "",
    };
    let destination = if query.destination.is_some() {
        "AND a.destination = (SELECT number FROM destinations WHERE id = ?2)"
    } else {
        "AND ?2 IS NULL"
    };
    let event = if query.event.is_some() { "AND a.event_id = ?3" } else { "AND ?3 IS NULL" };
    let state = if query.state.is_some() { "AND a.state = ?4" } else { "AND ?4 IS NULL" };
    format!(
        "SELECT a.number, d.id, a.position, a.event_id, a.attempt, a.at, a.duration_ms, a.status, a.state, a.detail,
                a.may_repeat
         FROM attempts a {index}
         JOIN destinations d ON d.number = a.destination
         WHERE a.number < ?1 {trouble} {destination} {event} {state}
           AND (?5 IS NULL OR a.status = ?5)
           AND (?6 IS NULL OR a.at >= ?6)
           AND (?7 IS NULL OR a.at < ?7)
         ORDER BY a.number DESC
         LIMIT ?8"
    )
}

/// Attempts, newest first.
pub(super) fn attempts(db: &Db, query: &AttemptQuery) -> Outcome<Vec<Attempt>> {
    let mut statement = db.conn.prepare_cached(&attempts_sql(query))?;
    let values: [&dyn ToSql; 8] = [
        &query.before.map_or(i64::MAX, int),
        &query.destination.map(|id| id.0),
        &query.event.map(|id| id.0),
        &query.state.map(|state| state.as_str()),
        &query.status,
        &query.from.map(Timestamp::as_millis),
        &query.to.map(Timestamp::as_millis),
        &limit_of(query.limit),
    ];
    let mut rows = statement.query(values.as_slice())?;
    let mut attempts = Vec::new();
    while let Some(row) = rows.next()? {
        attempts.push(read_attempt(row)?);
    }
    Ok(attempts)
}

fn read_attempt(row: &Row<'_>) -> Outcome<Attempt> {
    let number = uint(row.get(0)?);
    Ok(Attempt {
        number,
        destination: DestinationId(row.get(1)?),
        record: AttemptRecord {
            partition: 0,
            position: uint(row.get(2)?),
            event_id: EventId(row.get(3)?),
            attempt: row.get(4)?,
            at: time(row.get(5)?),
            duration_ms: row.get(6)?,
            status: row.get(7)?,
            state: word(row.get_ref(8)?.as_str().unwrap_or_default(), "attempts", "state", number)?,
            detail: row.get(9)?,
            may_repeat: row.get(10)?,
        },
    })
}

/// What one slice of pruning came to.
pub(super) struct Pruned {
    pub(super) removed: u64,
    /// Where the next slice begins; `None`: done.
    pub(super) next: Option<i64>,
}

/// Removes, of the next rows after `after`, those that began before `before`. Attempts are appended about in the order
/// of their beginnings: a whole slice without an old one is the end.
pub(super) fn prune_slice(db: &Db, after: i64, before: Timestamp) -> Outcome<Pruned> {
    let last: Option<i64> = db
        .conn
        .prepare_cached(
            "SELECT max(number)
             FROM (SELECT number FROM attempts WHERE number > ?1 ORDER BY number LIMIT ?2)",
        )?
        .query_row((after, SLICE), |row| row.get(0))?;
    let Some(last) = last else { return Ok(Pruned { removed: 0, next: None }) };
    let removed = db
        .conn
        .prepare_cached("DELETE FROM attempts WHERE number > ?1 AND number <= ?2 AND at < ?3")?
        .execute((after, last, before.as_millis()))?;
    Ok(Pruned { removed: removed as u64, next: (removed > 0).then_some(last) })
}

/// Removes some attempts of a deleted destination; `false`: there are no more.
pub(super) fn sweep_slice(db: &Db, destination: i64) -> Outcome<bool> {
    let removed = db
        .conn
        .prepare_cached(
            "DELETE FROM attempts
             WHERE number IN (SELECT number FROM attempts WHERE destination = ?1 ORDER BY number LIMIT ?2)",
        )?
        .execute((destination, SLICE))?;
    Ok(removed > 0)
}
