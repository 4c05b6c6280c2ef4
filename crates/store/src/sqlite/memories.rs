//! What destinations remember about customers. A cache of theirs: bounded, the oldest are forgotten.

use super::db::{Db, Outcome, limit_of};
use super::deliveries::SLICE;
use crate::records::Remembered;
use paidup_lifecycle::ids::DestinationId;
use rusqlite::OptionalExtension;

/// Whether there is any.
pub(super) fn any(db: &Db, destination: DestinationId) -> Outcome<bool> {
    let mut statement = db.conn.prepare_cached(
        "SELECT 1
         FROM destinations d
         JOIN memories m ON m.destination = d.number
         WHERE d.id = ?1
         LIMIT 1",
    )?;
    Ok(statement.exists([destination.0])?)
}

pub(super) const RECALL: &str = "
    SELECT m.body
    FROM destinations d
    JOIN memories m ON m.destination = d.number
    WHERE d.id = ?1 AND m.key = ?2";

/// What is remembered under a key.
pub(super) fn recall(db: &Db, destination: DestinationId, key: &[u8]) -> Outcome<Option<Vec<u8>>> {
    Ok(db.conn.prepare_cached(RECALL)?.query_row((destination.0, key), |row| row.get(0)).optional()?)
}

/// Replaces what is remembered under a key, or forgets it.
pub(super) fn keep(db: &Db, destination: i64, remembered: &Remembered) -> Outcome<()> {
    if remembered.body.is_empty() {
        db.conn
            .prepare_cached("DELETE FROM memories WHERE destination = ?1 AND key = ?2")?
            .execute((destination, &remembered.key))?;
    } else {
        db.conn
            .prepare_cached("INSERT OR REPLACE INTO memories (destination, key, body) VALUES (?1, ?2, ?3)")?
            .execute((destination, &remembered.key, &remembered.body))?;
    }
    Ok(())
}

/// Destinations that remember more than `keep`, each with the number of the newest memory that is too many.
pub(super) fn excess(db: &Db, keep: usize) -> Outcome<Vec<(i64, i64)>> {
    let mut numbers = db.conn.prepare_cached("SELECT number FROM destinations ORDER BY number")?;
    let destinations = numbers.query_map([], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
    let mut newest = db.conn.prepare_cached(
        "SELECT number
         FROM memories
         WHERE destination = ?1
         ORDER BY number DESC
         LIMIT 1 OFFSET ?2",
    )?;
    let mut excess = Vec::new();
    for destination in destinations {
        let last: Option<i64> = newest.query_row((destination, limit_of(keep)), |row| row.get(0)).optional()?;
        excess.extend(last.map(|last| (destination, last)));
    }
    Ok(excess)
}

/// Forgets some of those up to `last`; answers how many.
pub(super) fn forget_slice(db: &Db, destination: i64, last: i64) -> Outcome<u64> {
    let removed = db
        .conn
        .prepare_cached(
            "DELETE FROM memories
             WHERE number IN (SELECT number
                              FROM memories
                              WHERE destination = ?1 AND number <= ?2
                              ORDER BY number
                              LIMIT ?3)",
        )?
        .execute((destination, last, SLICE))?;
    Ok(removed as u64)
}
