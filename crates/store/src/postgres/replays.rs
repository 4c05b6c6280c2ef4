//! Ranges of the log that are told again.

use super::db::{Db, Outcome, get, id_at, inconsistent, int, limit_of, number, time, word};
use crate::replays::{MAX_KEPT, ReplayRecord, ReplayState};
use paidup_lifecycle::ids::ReplayId;
use paidup_lifecycle::time::Timestamp;
use postgres::Row;

const REPLAY: &str = "
    SELECT number, id, state, state_since, created_at, query, per_minute, first, last, position, told
    FROM replays";

fn read(row: &Row) -> Outcome<(u64, ReplayRecord)> {
    const TABLE: &str = "replays";
    let id = ReplayId(id_at(row, 1, TABLE, "id")?);
    let query: &[u8] = get(row, 5)?;
    let record = ReplayRecord {
        id,
        state: word(row, 2, TABLE, "state", id)?,
        state_since: time(row, 3)?,
        created_at: time(row, 4)?,
        query: serde_json::from_slice(query).map_err(|_| inconsistent(TABLE, "query", id))?,
        per_minute: u32::try_from(number(row, 6)?).map_err(|_| inconsistent(TABLE, "per_minute", id))?,
        first: number(row, 7)?,
        last: number(row, 8)?,
        position: number(row, 9)?,
        told: number(row, 10)?,
    };
    Ok((number(row, 0)?, record))
}

pub(super) fn begin(db: &mut Db, one: &ReplayRecord) -> Outcome<()> {
    let query = serde_json::to_vec(&one.query).map_err(|_| inconsistent("replays", "query", one.id))?;
    db.execute(
        "INSERT INTO replays (id, state, state_since, created_at, query, per_minute, first, last, position, told)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        &[
            &one.id.0.as_slice(),
            &one.state.as_str(),
            &one.state_since.as_millis(),
            &one.created_at.as_millis(),
            &query,
            &i64::from(one.per_minute),
            &int(one.first),
            &int(one.last),
            &int(one.position),
            &int(one.told),
        ],
    )?;
    db.execute(
        "DELETE FROM replays
         WHERE state IN ('done', 'cancelled')
           AND number <= (SELECT number FROM replays ORDER BY number DESC LIMIT 1 OFFSET $1)",
        &[&int(MAX_KEPT)],
    )?;
    Ok(())
}

pub(super) fn one(db: &mut Db, id: ReplayId) -> Outcome<Option<ReplayRecord>> {
    let row = db.first(&format!("{REPLAY} WHERE id = $1"), &[&id.0.as_slice()])?;
    Ok(row.map(|row| read(&row)).transpose()?.map(|(_, record)| record))
}

pub(super) fn list(db: &mut Db, before: Option<u64>, limit: usize) -> Outcome<Vec<(u64, ReplayRecord)>> {
    let sql = format!("{REPLAY} WHERE number < $1 ORDER BY number DESC LIMIT $2");
    db.query(&sql, &[&before.map_or(i64::MAX, int), &limit_of(limit)])?.iter().map(read).collect()
}

pub(super) fn open(db: &mut Db) -> Outcome<Vec<ReplayRecord>> {
    let sql = format!("{REPLAY} WHERE state IN ('running', 'paused') ORDER BY number");
    db.query(&sql, &[])?.iter().map(|row| read(row).map(|(_, record)| record)).collect()
}

/// Keeps how far a running one has come.
pub(super) fn advance(db: &mut Db, id: ReplayId, position: u64, told: u64) -> Outcome<()> {
    db.execute(
        "UPDATE replays SET position = $2, told = $3 WHERE id = $1 AND state = 'running'",
        &[&id.0.as_slice(), &int(position), &int(told)],
    )?;
    Ok(())
}

/// Changes how an open one stands.
pub(super) fn change(db: &mut Db, id: ReplayId, state: ReplayState, at: Timestamp) -> Outcome<Option<ReplayRecord>> {
    db.execute(
        "UPDATE replays SET state = $2, state_since = $3
         WHERE id = $1 AND state IN ('running', 'paused') AND state <> $2",
        &[&id.0.as_slice(), &state.as_str(), &at.as_millis()],
    )?;
    one(db, id)
}
