//! Forgets the oldest notifications, events and journal entries. Always from the beginning of a log on, so what is left has
//! no gaps and one number says what is missing. Each slice is one command of the writer and takes a few milliseconds.

use super::db::{Db, Outcome, get, int, number, uint};
use super::session::Session;
use crate::records::Pruned;
use paidup_lifecycle::time::Timestamp;

/// Rows of one slice.
const ROWS: u64 = 500;

/// How far the logs were pruned.
pub(super) fn pruned(db: &mut Db) -> Outcome<Pruned> {
    let row =
        db.first("SELECT pruned_notification, pruned_position, pruned_entry FROM heads WHERE partition = 0", &[])?;
    let Some(row) = row else { return Ok(Pruned::default()) };
    Ok(Pruned { notification: number(&row, 0)?, position: number(&row, 1)?, entry: number(&row, 2)? })
}

/// The chain digest of the last journal entry that was pruned: the one before the first that is left.
pub(super) fn pruned_chain(db: &mut Db) -> Outcome<[u8; 32]> {
    let row = db.first("SELECT pruned_chain FROM heads WHERE partition = 0", &[])?;
    let chain: Vec<u8> = row.map_or(Ok(vec![0; 32]), |row| get(&row, 0))?;
    chain.try_into().map_err(|_| super::db::inconsistent("heads", "pruned_chain", 0))
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

/// Removes some journal entries decided before `before`; answers how many.
pub(super) fn journal(session: &mut Session, before: Timestamp) -> Outcome<u64> {
    let head = session.heads.entry;
    let db = &mut session.db;
    let done = pruned(db)?;
    // Events say which entry told them: what is kept can be explained. Those of old versions do not.
    let told = db
        .first("SELECT entry FROM events WHERE position > $1 ORDER BY position LIMIT 1", &[&int(done.position)])?
        .map(|row| get::<Option<i64>>(&row, 0))
        .transpose()?;
    let told = told.map_or(head, |entry| entry.map_or(0, uint));
    let most = told.min(head).saturating_sub(1).min(done.entry + ROWS);
    let needed = db.first(
        "SELECT entry
         FROM journal
         WHERE entry > $1 AND entry <= $2 AND (decided_at >= $3 OR kept_from + octet_length(kept) / 16 - 1 > $4)
         ORDER BY entry
         LIMIT 1",
        &[&int(done.entry), &int(most), &before.as_millis(), &int(done.notification)],
    )?;
    let last = match needed {
        Some(row) => number(&row, 0)? - 1,
        None => most,
    };
    if last <= done.entry {
        return Ok(0);
    }
    db.execute(
        "UPDATE heads
         SET pruned_entry = $1, pruned_chain = (SELECT chain FROM journal WHERE entry = $1)
         WHERE partition = 0",
        &[&int(last)],
    )?;
    db.execute("DELETE FROM journal WHERE entry <= $1", &[&int(last)])
}
