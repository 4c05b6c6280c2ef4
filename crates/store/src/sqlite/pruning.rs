//! Forgets the oldest notifications and events. Always from the beginning of a log on, so what is left has no gaps and one
//! number says what is missing. Each slice is one command of the writer and takes a few milliseconds.

use super::db::{Db, Outcome, int, uint};
use super::session::Session;
use crate::records::Pruned;
use paidup_lifecycle::time::Timestamp;
use rusqlite::OptionalExtension;

/// Rows of one slice. They may be of several kilobytes each, with two entries in indexes.
const ROWS: u64 = 100;
/// Entries of filed places in one slice: small, side by side, without indexes.
const PLACES: i64 = 1_000;

/// How far both logs were pruned.
pub(super) fn pruned(db: &Db) -> Outcome<Pruned> {
    let mut statement =
        db.conn.prepare_cached("SELECT pruned_notification, pruned_position FROM heads WHERE partition = 0")?;
    Ok(statement.query_row([], |row| Ok(Pruned { notification: uint(row.get(0)?), position: uint(row.get(1)?) }))?)
}

pub(super) const NEEDED: &str = "
    SELECT min(min(p.cursor, coalesce((SELECT k.position - 1
                                       FROM parked k
                                       WHERE k.destination = d.number AND k.partition = p.partition
                                       ORDER BY k.position
                                       LIMIT 1), p.cursor)))
    FROM destinations d
    JOIN progress p ON p.destination = d.number
    WHERE coalesce(json_extract(d.gaps, '$[#-1].state'), '') <> 'open'";

/// Removes some events detected before `before`; answers how many.
pub(super) fn events(session: &mut Session, before: Timestamp) -> Outcome<u64> {
    let (db, head) = (&session.db, session.heads.position);
    // In the same transaction as the removal: no cursor can be set back in between.
    let needed: Option<i64> = db.conn.prepare_cached(NEEDED)?.query_row([], |row| row.get(0))?;
    let done = pruned(db)?.position;
    let most = needed.map_or(u64::MAX, uint).min(head.saturating_sub(1)).min(done + ROWS);
    // `latest_at` only grows: whatever is older than the last one that is old enough, is old enough too.
    let last: Option<i64> = db
        .conn
        .prepare_cached("SELECT max(position) FROM events WHERE position > ?1 AND position <= ?2 AND latest_at < ?3")?
        .query_row((int(done), int(most), before.as_millis()), |row| row.get(0))?;
    let Some(last) = last else { return Ok(0) };
    let removed = db.conn.prepare_cached("DELETE FROM events WHERE position <= ?1")?.execute([last])?;
    db.conn.prepare_cached("UPDATE heads SET pruned_position = ?1 WHERE partition = 0")?.execute([last])?;
    Ok(removed as u64)
}

/// Removes some notifications received before `before`; answers how many rows it removed.
pub(super) fn notifications(session: &mut Session, before: Timestamp) -> Outcome<u64> {
    let (db, head) = (&session.db, session.heads.notification);
    let done = pruned(db)?.notification;
    let removed = places(db, done)?;
    if removed > 0 {
        return Ok(removed);
    }
    let most = head.saturating_sub(1).min(done + ROWS);
    // Times of receipt grow, but for a clock that was set: the first young one ends it.
    let young: Option<i64> = db
        .conn
        .prepare_cached(
            "SELECT number
             FROM notifications
             WHERE number > ?1 AND number <= ?2 AND received_at >= ?3
             ORDER BY number
             LIMIT 1",
        )?
        .query_row((int(done), int(most), before.as_millis()), |row| row.get(0))
        .optional()?;
    let last = young.map_or(most, |young| uint(young) - 1);
    if last <= done {
        return Ok(0);
    }
    let removed = db.conn.prepare_cached("DELETE FROM notifications WHERE number <= ?1")?.execute([int(last)])?;
    db.conn.prepare_cached("UPDATE heads SET pruned_notification = ?1 WHERE partition = 0")?.execute([int(last)])?;
    Ok(removed as u64)
}

/// Removes some filed places of whole buckets that were pruned; answers how many.
fn places(db: &Db, pruned: u64) -> Outcome<u64> {
    let removed = db
        .conn
        .prepare_cached(
            "DELETE FROM notification_places
             WHERE (bucket, id_start, number) IN (SELECT bucket, id_start, number
                                                  FROM notification_places
                                                  WHERE bucket < ?1
                                                  ORDER BY bucket, id_start, number
                                                  LIMIT ?2)",
        )?
        .execute((int(pruned / super::notifications::BUCKET), PLACES))?;
    Ok(removed as u64)
}
