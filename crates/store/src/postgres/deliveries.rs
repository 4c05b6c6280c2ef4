//! How far destinations have come: cursors, parked events, attempts.

use super::db::{
    Db, Outcome, Values, count, get, id_at, inconsistent, int, limit_of, number, text_opt, time, time_opt, word,
};
use super::memories;
use crate::records::{Attempt, AttemptQuery, AttemptRecord, Parked, Progress, Settlement, WaitingLane};
use crate::{Refused, StoreError};
use paidup_lifecycle::ids::{DestinationId, EventId};
use paidup_lifecycle::time::Timestamp;
use postgres::Row;

/// Rows that one slice of a long removal looks at.
pub(super) const SLICE: i64 = 1000;

/// The number of a destination's row.
pub(super) fn number_of(db: &mut Db, destination: DestinationId) -> Outcome<Option<i64>> {
    let row = db.first("SELECT number FROM destinations WHERE id = $1", &[&destination.0.as_slice()])?;
    row.map(|row| get(&row, 0)).transpose()
}

/// Progress in every partition.
pub(super) fn progress(db: &mut Db, destination: DestinationId) -> Outcome<Vec<Progress>> {
    let rows = db.query(
        "SELECT p.partition, p.cursor, p.settled, p.failing_since
         FROM destinations d
         JOIN progress p ON p.destination = d.number
         WHERE d.id = $1
         ORDER BY p.partition",
        &[&destination.0.as_slice()],
    )?;
    let read = |row: &Row| {
        Ok(Progress {
            partition: u16::try_from(get::<i16>(row, 0)?).unwrap_or_default(),
            cursor: number(row, 1)?,
            settled: serde_json::from_str(get(row, 2)?)
                .map_err(|_| inconsistent("progress", "settled", destination))?,
            failing_since: time_opt(row, 3)?,
        })
    };
    rows.iter().map(read).collect()
}

fn partition(number: u16) -> i16 {
    i16::try_from(number).unwrap_or(i16::MAX)
}

/// Sets the progress in one partition.
pub(super) fn put_progress(db: &mut Db, destination: i64, progress: &Progress) -> Outcome<()> {
    let settled =
        serde_json::to_string(&progress.settled).map_err(|_| inconsistent("progress", "settled", destination))?;
    db.execute(
        "INSERT INTO progress (destination, partition, cursor, settled, failing_since)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (destination, partition) DO UPDATE
         SET cursor = excluded.cursor, settled = excluded.settled, failing_since = excluded.failing_since",
        &[
            &destination,
            &partition(progress.partition),
            &int(progress.cursor),
            &settled,
            &progress.failing_since.map(Timestamp::as_millis),
        ],
    )?;
    Ok(())
}

/// Events that wait, by place.
pub(super) fn parked(db: &mut Db, destination: DestinationId, limit: usize) -> Outcome<Vec<Parked>> {
    let rows = db.query(
        "SELECT p.partition, p.position, p.event_id, p.lane, p.attempts, p.parked_at, p.next_try_at, p.last_error,
                p.replay, p.passed_at
         FROM destinations d
         JOIN parked p ON p.destination = d.number
         WHERE d.id = $1
         ORDER BY p.partition, p.position
         LIMIT $2",
        &[&destination.0.as_slice(), &limit_of(limit)],
    )?;
    rows.iter().map(read_parked).collect()
}

fn read_parked(row: &Row) -> Outcome<Parked> {
    Ok(Parked {
        partition: u16::try_from(get::<i16>(row, 0)?).unwrap_or_default(),
        position: number(row, 1)?,
        event_id: EventId(id_at(row, 2, "parked", "event_id")?),
        lane: get(row, 3)?,
        attempts: count(row, 4)?,
        parked_at: time(row, 5)?,
        next_try_at: time(row, 6)?,
        last_error: text_opt(row, 7, "parked", "last_error")?,
        replay: get(row, 8)?,
        passed_at: time_opt(row, 9)?,
    })
}

/// Lanes that wait, by the position of their first event.
pub(super) fn waiting_lanes(
    db: &mut Db,
    destination: DestinationId,
    after: u64,
    limit: usize,
) -> Outcome<Vec<WaitingLane>> {
    let rows = db.query(
        "SELECT p.partition, p.position, p.event_id, p.lane, p.attempts, p.parked_at, p.next_try_at, p.last_error,
                p.replay, p.passed_at,
                CASE WHEN p.passed_at IS NULL
                     THEN (SELECT count(*)
                           FROM parked f
                           WHERE f.destination = p.destination AND f.lane = p.lane AND f.position > p.position
                             AND f.passed_at IS NULL)
                     ELSE 0 END
         FROM destinations d
         JOIN parked p ON p.destination = d.number
         WHERE d.id = $1 AND p.partition = 0 AND p.position > $2
           AND (p.passed_at IS NOT NULL
                OR NOT EXISTS (SELECT 1
                               FROM parked e
                               WHERE e.destination = p.destination AND e.lane = p.lane AND e.position < p.position
                                 AND e.passed_at IS NULL))
         ORDER BY p.position
         LIMIT $3",
        &[&destination.0.as_slice(), &int(after), &limit_of(limit)],
    )?;
    let read = |row: &Row| Ok(WaitingLane { head: read_parked(row)?, behind: number(row, 10)? });
    rows.iter().map(read).collect()
}

/// Events that an attempt gave up, by position.
pub(super) fn given_up(
    db: &mut Db,
    destination: DestinationId,
    after: u64,
    last: u64,
    limit: usize,
) -> Outcome<Vec<(u64, EventId)>> {
    let rows = db.query(
        "SELECT DISTINCT a.position, a.event_id
         FROM attempts a
         WHERE a.destination = (SELECT number FROM destinations WHERE id = $1)
           AND a.state = 'failed' AND a.position > $2 AND a.position <= $3
         ORDER BY a.position
         LIMIT $4",
        &[&destination.0.as_slice(), &int(after), &int(last), &limit_of(limit)],
    )?;
    let read = |row: &Row| Ok((number(row, 0)?, EventId(id_at(row, 1, "attempts", "event_id")?)));
    rows.iter().map(read).collect()
}

/// Saves what a batch of deliveries came to.
pub(super) fn settle(db: &mut Db, settlement: &Settlement) -> Outcome<()> {
    let Some(destination) = number_of(db, settlement.destination)? else {
        let detail = format!("there is no destination {}", settlement.destination);
        return Err(StoreError::Refused(Refused { status: 404, detail }));
    };
    for progress in &settlement.progress {
        put_progress(db, destination, progress)?;
    }
    for (partition_number, position) in &settlement.unparked {
        db.execute(
            "DELETE FROM parked WHERE destination = $1 AND partition = $2 AND position = $3",
            &[&destination, &partition(*partition_number), &int(*position)],
        )?;
    }
    for parked in &settlement.parked {
        put_parked(db, destination, parked)?;
    }
    for (partition_number, position, at) in &settlement.passed {
        db.execute(
            "UPDATE parked SET passed_at = $4 WHERE destination = $1 AND partition = $2 AND position = $3",
            &[&destination, &partition(*partition_number), &int(*position), &at.as_millis()],
        )?;
    }
    append_attempts(db, destination, &settlement.attempts)?;
    for remembered in &settlement.memories {
        memories::keep(db, destination, remembered)?;
    }
    Ok(())
}

fn put_parked(db: &mut Db, destination: i64, parked: &Parked) -> Outcome<()> {
    db.execute(
        "INSERT INTO parked (destination, partition, position, event_id, lane, attempts, parked_at, next_try_at,
                             last_error, replay, passed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         ON CONFLICT (destination, partition, position) DO UPDATE
         SET event_id = excluded.event_id, lane = excluded.lane, attempts = excluded.attempts,
             parked_at = excluded.parked_at, next_try_at = excluded.next_try_at, last_error = excluded.last_error,
             replay = excluded.replay, passed_at = excluded.passed_at",
        &[
            &destination,
            &partition(parked.partition),
            &int(parked.position),
            &parked.event_id.0.as_slice(),
            &parked.lane,
            &i64::from(parked.attempts),
            &parked.parked_at.as_millis(),
            &parked.next_try_at.as_millis(),
            &parked.last_error.as_ref().map(String::as_bytes),
            &parked.replay,
            &parked.passed_at.map(Timestamp::as_millis),
        ],
    )?;
    Ok(())
}

/// In their order, with one statement: numbers are given in the order of the rows.
fn append_attempts(db: &mut Db, destination: i64, attempts: &[AttemptRecord]) -> Outcome<()> {
    if attempts.is_empty() {
        return Ok(());
    }
    let numbers = |column: fn(&AttemptRecord) -> i64| attempts.iter().map(column).collect::<Vec<i64>>();
    let events: Vec<&[u8]> = attempts.iter().map(|attempt| attempt.event_id.0.as_slice()).collect();
    let statuses: Vec<Option<i32>> = attempts.iter().map(|attempt| attempt.status.map(i32::from)).collect();
    let states: Vec<&str> = attempts.iter().map(|attempt| attempt.state.as_str()).collect();
    let details: Vec<Option<&[u8]>> =
        attempts.iter().map(|attempt| attempt.detail.as_ref().map(String::as_bytes)).collect();
    let may_repeat: Vec<bool> = attempts.iter().map(|attempt| attempt.may_repeat).collect();
    db.execute(
        "INSERT INTO attempts (destination, position, event_id, attempt, at, duration_ms, status, state, detail,
                               may_repeat)
         SELECT $1, position, event_id, attempt, at, duration_ms, status, state, detail, may_repeat
         FROM unnest($2::bigint[], $3::bytea[], $4::bigint[], $5::bigint[], $6::bigint[], $7::integer[], $8::text[],
                     $9::bytea[], $10::boolean[]) WITH ORDINALITY
              AS new (position, event_id, attempt, at, duration_ms, status, state, detail, may_repeat, place)
         ORDER BY place",
        &[
            &destination,
            &numbers(|attempt| int(attempt.position)),
            &events,
            &numbers(|attempt| i64::from(attempt.attempt)),
            &numbers(|attempt| attempt.at.as_millis()),
            &numbers(|attempt| i64::from(attempt.duration_ms)),
            &statuses,
            &states,
            &details,
            &may_repeat,
        ],
    )?;
    Ok(())
}

/// The statement that lists attempts, with only the conditions that narrow, so that each has its own plan.
fn attempts_sql(query: &AttemptQuery) -> String {
    let trouble = match query.state {
        Some(state) => format!("AND a.state = '{state}' AND $4::text IS NOT NULL"),
        None => "AND $4::text IS NULL".to_owned(),
    };
    let destination = match query.destination {
        Some(_) => "AND a.destination = (SELECT number FROM destinations WHERE id = $2)",
        None => "AND $2::bytea IS NULL",
    };
    let event = if query.event.is_some() { "AND a.event_id = $3" } else { "AND $3::bytea IS NULL" };
    format!(
        "SELECT a.number, d.id, a.position, a.event_id, a.attempt, a.at, a.duration_ms, a.status, a.state, a.detail,
                a.may_repeat
         FROM attempts a
         JOIN destinations d ON d.number = a.destination
         WHERE a.number < $1 {trouble} {destination} {event}
           AND ($5::integer IS NULL OR a.status = $5)
           AND ($6::bigint IS NULL OR a.at >= $6)
           AND ($7::bigint IS NULL OR a.at < $7)
         ORDER BY a.number DESC
         LIMIT $8"
    )
}

/// Attempts, newest first.
pub(super) fn attempts(db: &mut Db, query: &AttemptQuery) -> Outcome<Vec<Attempt>> {
    let values: Values<'_> = &[
        &query.before.map_or(i64::MAX, int),
        &query.destination.as_ref().map(|id| id.0.as_slice()),
        &query.event.as_ref().map(|id| id.0.as_slice()),
        &query.state.map(|state| state.as_str()),
        &query.status.map(i32::from),
        &query.from.map(Timestamp::as_millis),
        &query.to.map(Timestamp::as_millis),
        &limit_of(query.limit),
    ];
    db.query(&attempts_sql(query), values)?.iter().map(read_attempt).collect()
}

fn read_attempt(row: &Row) -> Outcome<Attempt> {
    const TABLE: &str = "attempts";
    let place = number(row, 0)?;
    Ok(Attempt {
        number: place,
        destination: DestinationId(id_at(row, 1, "destinations", "id")?),
        record: AttemptRecord {
            partition: 0,
            position: number(row, 2)?,
            event_id: EventId(id_at(row, 3, TABLE, "event_id")?),
            attempt: count(row, 4)?,
            at: time(row, 5)?,
            duration_ms: count(row, 6)?,
            status: get::<Option<i32>>(row, 7)?.and_then(|status| u16::try_from(status).ok()),
            state: word(row, 8, TABLE, "state", place)?,
            detail: text_opt(row, 9, TABLE, "detail")?,
            may_repeat: get(row, 10)?,
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
pub(super) fn prune_slice(db: &mut Db, after: i64, before: Timestamp) -> Outcome<Pruned> {
    let row = db.first(
        "SELECT max(number)
         FROM (SELECT number FROM attempts WHERE number > $1 ORDER BY number LIMIT $2) AS slice",
        &[&after, &SLICE],
    )?;
    let last: Option<i64> = row.map_or(Ok(None), |row| get(&row, 0))?;
    let Some(last) = last else { return Ok(Pruned { removed: 0, next: None }) };
    let removed = db.execute(
        "DELETE FROM attempts WHERE number > $1 AND number <= $2 AND at < $3",
        &[&after, &last, &before.as_millis()],
    )?;
    Ok(Pruned { removed, next: (removed > 0).then_some(last) })
}

/// Removes some attempts of a deleted destination; `false`: there are no more.
pub(super) fn sweep_slice(db: &mut Db, destination: i64) -> Outcome<bool> {
    let removed = db.execute(
        "DELETE FROM attempts
         WHERE number IN (SELECT number FROM attempts WHERE destination = $1 ORDER BY number LIMIT $2)",
        &[&destination, &SLICE],
    )?;
    Ok(removed > 0)
}
