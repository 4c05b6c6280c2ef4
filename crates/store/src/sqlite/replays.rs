//! Ranges of the log that are told again.

use super::db::{Db, Outcome, inconsistent, int, limit_of, time, uint, word};
use crate::replays::{MAX_KEPT, ReplayRecord, ReplayState};
use paidup_lifecycle::ids::ReplayId;
use paidup_lifecycle::time::Timestamp;
use rusqlite::Row;

const REPLAY: &str = "
    SELECT number, id, state, state_since, created_at, query, per_minute, first, last, position, told
    FROM replays";

fn read(row: &Row<'_>) -> Outcome<(u64, ReplayRecord)> {
    let id = ReplayId(row.get(1)?);
    let count = |column: usize| row.get(column).map(uint);
    let text = |column: usize| row.get_ref(column).map(|value| value.as_str().unwrap_or_default());
    let record = ReplayRecord {
        id,
        state: word(text(2)?, "replays", "state", id)?,
        state_since: time(row.get(3)?),
        created_at: time(row.get(4)?),
        query: serde_json::from_str(text(5)?).map_err(|_| inconsistent("replays", "query", id))?,
        per_minute: row.get(6)?,
        first: count(7)?,
        last: count(8)?,
        position: count(9)?,
        told: count(10)?,
    };
    Ok((uint(row.get(0)?), record))
}

pub(super) fn begin(db: &Db, one: &ReplayRecord) -> Outcome<()> {
    let query = serde_json::to_string(&one.query).map_err(|_| inconsistent("replays", "query", one.id))?;
    db.conn
        .prepare_cached(
            "INSERT INTO replays (id, state, state_since, created_at, query, per_minute, first, last, position, told)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute((
            one.id.0,
            one.state.as_str(),
            one.state_since.as_millis(),
            one.created_at.as_millis(),
            query,
            one.per_minute,
            int(one.first),
            int(one.last),
            int(one.position),
            int(one.told),
        ))?;
    db.conn
        .prepare_cached(
            "DELETE FROM replays
             WHERE state IN ('done', 'cancelled')
               AND number <= (SELECT number FROM replays ORDER BY number DESC LIMIT 1 OFFSET ?1)",
        )?
        .execute([int(MAX_KEPT)])?;
    Ok(())
}

pub(super) fn one(db: &Db, id: ReplayId) -> Outcome<Option<ReplayRecord>> {
    let mut statement = db.conn.prepare_cached(&format!("{REPLAY} WHERE id = ?1"))?;
    let mut rows = statement.query([id.0])?;
    Ok(rows.next()?.map(read).transpose()?.map(|(_, record)| record))
}

pub(super) fn list(db: &Db, before: Option<u64>, limit: usize) -> Outcome<Vec<(u64, ReplayRecord)>> {
    let mut statement = db.conn.prepare_cached(&format!("{REPLAY} WHERE number < ?1 ORDER BY number DESC LIMIT ?2"))?;
    let rows = statement.query_and_then((before.map_or(i64::MAX, int), limit_of(limit)), read)?;
    rows.collect()
}

pub(super) fn open(db: &Db) -> Outcome<Vec<ReplayRecord>> {
    let sql = format!("{REPLAY} WHERE state IN ('running', 'paused') ORDER BY number");
    let mut statement = db.conn.prepare_cached(&sql)?;
    let rows = statement.query_and_then([], read)?;
    rows.map(|row| row.map(|(_, record)| record)).collect()
}

/// Keeps how far a running one has come.
pub(super) fn advance(db: &Db, id: ReplayId, position: u64, told: u64) -> Outcome<()> {
    db.conn
        .prepare_cached("UPDATE replays SET position = ?2, told = ?3 WHERE id = ?1 AND state = 'running'")?
        .execute((id.0, int(position), int(told)))?;
    Ok(())
}

/// Changes how an open one stands.
pub(super) fn change(db: &Db, id: ReplayId, state: ReplayState, at: Timestamp) -> Outcome<Option<ReplayRecord>> {
    db.conn
        .prepare_cached(
            "UPDATE replays SET state = ?2, state_since = ?3
             WHERE id = ?1 AND state IN ('running', 'paused') AND state <> ?2",
        )?
        .execute((id.0, state.as_str(), at.as_millis()))?;
    one(db, id)
}
