//! What destinations remember about customers. A cache of theirs: bounded, the oldest are forgotten.

use super::db::{Db, Outcome, get, limit_of};
use super::deliveries::SLICE;
use crate::records::Remembered;
use paidup_lifecycle::ids::DestinationId;

/// Whether there is any.
pub(super) fn any(db: &mut Db, destination: DestinationId) -> Outcome<bool> {
    let row = db.first(
        "SELECT 1
         FROM destinations d
         JOIN memories m ON m.destination = d.number
         WHERE d.id = $1
         LIMIT 1",
        &[&destination.0.as_slice()],
    )?;
    Ok(row.is_some())
}

/// What is remembered under a key.
pub(super) fn recall(db: &mut Db, destination: DestinationId, key: &[u8]) -> Outcome<Option<Vec<u8>>> {
    let row = db.first(
        "SELECT m.body
         FROM destinations d
         JOIN memories m ON m.destination = d.number
         WHERE d.id = $1 AND m.key = $2",
        &[&destination.0.as_slice(), &key],
    )?;
    row.map(|row| get(&row, 0)).transpose()
}

/// Replaces what is remembered under a key, or forgets it.
pub(super) fn keep(db: &mut Db, destination: i64, remembered: &Remembered) -> Outcome<()> {
    // Deleted and made anew: its number says when it was written last.
    db.execute("DELETE FROM memories WHERE destination = $1 AND key = $2", &[&destination, &remembered.key])?;
    if !remembered.body.is_empty() {
        db.execute(
            "INSERT INTO memories (destination, key, body) VALUES ($1, $2, $3)",
            &[&destination, &remembered.key, &remembered.body],
        )?;
    }
    Ok(())
}

/// Destinations that remember more than `keep`, each with the number of the newest memory that is too many.
pub(super) fn excess(db: &mut Db, keep: usize) -> Outcome<Vec<(i64, i64)>> {
    let rows = db.query(
        "SELECT d.number, m.number
         FROM destinations d
         JOIN LATERAL (SELECT number
                       FROM memories
                       WHERE destination = d.number
                       ORDER BY number DESC
                       LIMIT 1 OFFSET $1) AS m ON true
         ORDER BY d.number",
        &[&limit_of(keep)],
    )?;
    rows.iter().map(|row| Ok((get(row, 0)?, get(row, 1)?))).collect()
}

/// Forgets some of those up to `last`; answers how many.
pub(super) fn forget_slice(db: &mut Db, destination: i64, last: i64) -> Outcome<u64> {
    db.execute(
        "DELETE FROM memories
         WHERE number IN (SELECT number
                          FROM memories
                          WHERE destination = $1 AND number <= $2
                          ORDER BY number
                          LIMIT $3)",
        &[&destination, &last, &SLICE],
    )
}
