//! Forgets the oldest notifications, events and journal entries. Always from the beginning of a log on, so what is left has
//! no gaps and one number says what is missing. Each slice is one command of the writer and takes a few milliseconds.

use super::db::{Db, Outcome, int, uint};
use super::session::Session;
use crate::records::Pruned;
use paidup_lifecycle::time::Timestamp;
use rusqlite::OptionalExtension;

/// Rows of one slice. They may be of several kilobytes each, with two entries in indexes.
const ROWS: u64 = 100;
/// Entries of filed places in one slice: small, side by side, without indexes.
const PLACES: i64 = 1_000;

/// How far the logs were pruned.
pub(super) fn pruned(db: &Db) -> Outcome<Pruned> {
    let mut statement = db
        .conn
        .prepare_cached("SELECT pruned_notification, pruned_position, pruned_entry FROM heads WHERE partition = 0")?;
    Ok(statement.query_row([], |row| {
        Ok(Pruned { notification: uint(row.get(0)?), position: uint(row.get(1)?), entry: uint(row.get(2)?) })
    })?)
}

/// The chain digest of the last journal entry that was pruned: the one before the first that is left.
pub(super) fn pruned_chain(db: &Db) -> Outcome<[u8; 32]> {
    let mut statement = db.conn.prepare_cached("SELECT pruned_chain FROM heads WHERE partition = 0")?;
    Ok(statement.query_row([], |row| row.get(0))?)
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

/// Before notifications received before `before` go: gives some events back what they borrow from them. Answers how many
/// events it passed; 0: done.
pub(super) fn repay(session: &mut Session, before: Timestamp) -> Outcome<u64> {
    let db = &session.db;
    let done = repaid(db)?;
    let mut last = done;
    for (position, lender, json) in events_after(db, done)? {
        if let Some(lender) = lender {
            if !is_older(db, lender, before)? {
                break;
            }
            db.conn
                .prepare_cached(
                    "UPDATE events
                     SET body = ?2, borrows_from = NULL, borrowed = NULL
                     WHERE position = ?1",
                )?
                .execute((position, db.packer.pack(&json)))?;
        }
        last = position;
    }
    if last > done {
        db.conn.prepare_cached("UPDATE heads SET repaid_position = ?1 WHERE partition = 0")?.execute([last])?;
    }
    Ok(uint(last - done))
}

/// An event's position, the notification that it borrows from, and its whole JSON.
type Debt = (i64, Option<i64>, Vec<u8>);

/// Some events, in order.
fn events_after(db: &Db, position: i64) -> Outcome<Vec<Debt>> {
    let mut statement = db.conn.prepare_cached(super::events::AFTER)?;
    let mut rows = statement.query((position, int(ROWS)))?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        events.push((row.get(0)?, row.get(2)?, super::events::json(db, row)?));
    }
    Ok(events)
}

fn repaid(db: &Db) -> Outcome<i64> {
    let mut statement = db.conn.prepare_cached("SELECT repaid_position FROM heads WHERE partition = 0")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

fn is_older(db: &Db, number: i64, before: Timestamp) -> Outcome<bool> {
    let mut statement = db.conn.prepare_cached("SELECT received_at FROM notifications WHERE number = ?1")?;
    let received_at: Option<i64> = statement.query_row([number], |row| row.get(0)).optional()?;
    Ok(received_at.is_some_and(|received_at| received_at < before.as_millis()))
}

/// The first notification that an event still borrows from; `None`: there is none. After [`repay`] it is the next event's.
fn lent(db: &Db) -> Outcome<Option<i64>> {
    let mut statement = db.conn.prepare_cached(
        "SELECT borrows_from
         FROM events
         WHERE position > ?1 AND borrows_from IS NOT NULL
         ORDER BY position
         LIMIT 1",
    )?;
    Ok(statement.query_row([repaid(db)?], |row| row.get(0)).optional()?)
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
    // In the same transaction as the removal: what is still lent stays.
    let last = young.map_or(most, |young| uint(young) - 1).min(lent(db)?.map_or(u64::MAX, |lent| uint(lent) - 1));
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

/// Removes some journal entries decided before `before`; answers how many.
pub(super) fn journal(session: &mut Session, before: Timestamp) -> Outcome<u64> {
    let (db, head) = (&session.db, session.heads.entry);
    let done = pruned(db)?;
    // Events say which entry told them: what is kept can be explained. Those of old versions do not.
    let told: Option<Option<i64>> = db
        .conn
        .prepare_cached("SELECT entry FROM events WHERE position > ?1 ORDER BY position LIMIT 1")?
        .query_row([int(done.position)], |row| row.get(0))
        .optional()?;
    let told = told.map_or(head, |entry| entry.map_or(0, uint));
    let most = told.min(head).saturating_sub(1).min(done.entry + ROWS);
    let needed: Option<i64> = db
        .conn
        .prepare_cached(
            "SELECT entry
             FROM journal
             WHERE entry > ?1 AND entry <= ?2 AND (decided_at >= ?3 OR kept_from + length(kept) / 16 - 1 > ?4)
             ORDER BY entry
             LIMIT 1",
        )?
        .query_row((int(done.entry), int(most), before.as_millis(), int(done.notification)), |row| row.get(0))
        .optional()?;
    let last = needed.map_or(most, |needed| uint(needed) - 1);
    if last <= done.entry {
        return Ok(0);
    }
    db.conn
        .prepare_cached(
            "UPDATE heads
             SET pruned_entry = ?1, pruned_chain = (SELECT chain FROM journal WHERE entry = ?1)
             WHERE partition = 0",
        )?
        .execute([int(last)])?;
    let removed = db.conn.prepare_cached("DELETE FROM journal WHERE entry <= ?1")?.execute([int(last)])?;
    Ok(removed as u64)
}
