//! Forgets the oldest notifications and events. Always from the beginning of a log on, so what is left has no gaps and one
//! number says what is missing. Each slice is one command of the writer and takes a few milliseconds.

use super::db::{Db, Outcome, get, int, number, uint};
use super::session::Session;
use crate::records::Pruned;
use paidup_lifecycle::time::Timestamp;

/// Rows of one slice.
const ROWS: u64 = 500;

/// How far both logs were pruned.
pub(super) fn pruned(db: &mut Db) -> Outcome<Pruned> {
    let row = db.first("SELECT pruned_notification, pruned_position FROM heads WHERE partition = 0", &[])?;
    row.map_or(Ok(Pruned::default()), |row| Ok(Pruned { notification: number(&row, 0)?, position: number(&row, 1)? }))
}

const NEEDED: &str = "
    SELECT min(least(p.cursor, coalesce((SELECT min(k.position) - 1
                                         FROM parked k
                                         WHERE k.destination = d.number AND k.partition = p.partition), p.cursor)))
    FROM destinations d
    JOIN progress p ON p.destination = d.number
    WHERE NOT d.has_open_gap";

/// Removes some events detected before `before`; answers how many.
pub(super) fn events(session: &mut Session, before: Timestamp) -> Outcome<u64> {
    let head = session.heads.position;
    let db = &mut session.db;
    // In the same transaction as the removal: no cursor can be set back in between.
    let needed: Option<i64> = db.first(NEEDED, &[])?.map_or(Ok(None), |row| get(&row, 0))?;
    let done = pruned(db)?.position;
    let most = needed.map_or(u64::MAX, uint).min(head.saturating_sub(1)).min(done + ROWS);
    // `latest_at` only grows: whatever is older than the last one that is old enough, is old enough too.
    let row = db.first(
        "SELECT max(position) FROM events WHERE position > $1 AND position <= $2 AND latest_at < $3",
        &[&int(done), &int(most), &before.as_millis()],
    )?;
    let last: Option<i64> = row.map_or(Ok(None), |row| get(&row, 0))?;
    let Some(last) = last else { return Ok(0) };
    let removed = db.execute("DELETE FROM events WHERE position <= $1", &[&last])?;
    db.execute("UPDATE heads SET pruned_position = $1 WHERE partition = 0", &[&last])?;
    Ok(removed)
}

/// Removes some notifications received before `before`; answers how many rows it removed.
pub(super) fn notifications(session: &mut Session, before: Timestamp) -> Outcome<u64> {
    let head = session.heads.notification;
    let db = &mut session.db;
    let done = pruned(db)?.notification;
    let most = head.saturating_sub(1).min(done + ROWS);
    // Times of receipt grow, but for a clock that was set: the first young one ends it.
    let young = db.first(
        "SELECT number
         FROM notifications
         WHERE number > $1 AND number <= $2 AND received_at >= $3
         ORDER BY number
         LIMIT 1",
        &[&int(done), &int(most), &before.as_millis()],
    )?;
    let last = match young {
        Some(row) => number(&row, 0)? - 1,
        None => most,
    };
    if last <= done {
        return Ok(0);
    }
    let removed = db.execute("DELETE FROM notifications WHERE number <= $1", &[&int(last)])?;
    db.execute("UPDATE heads SET pruned_notification = $1 WHERE partition = 0", &[&int(last)])?;
    Ok(removed)
}
