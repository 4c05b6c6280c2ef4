//! What the clock waits for: deadlines of purchases, and questions for stores.

use super::db::{Db, Outcome, id16, limit_of, time, uint};
use super::purchases;
use crate::StoreError;
use crate::records::{QuestionRecord, Waiting};
use paidup_lifecycle::ids::{PurchaseId, SourceId};
use paidup_lifecycle::time::Timestamp;
use rusqlite::{OptionalExtension, Row};
use std::collections::BTreeSet;

/// Most stale rows that one look steps over, and one sweep removes (under 5 ms).
const SWEPT: usize = 1000;

/// Notes when to look at a purchase again.
pub(super) fn put_deadline(db: &Db, due_at: i64, purchase_key: i64) -> Outcome<()> {
    db.conn
        .prepare_cached("INSERT OR IGNORE INTO deadlines (due_at, purchase_key) VALUES (?1, ?2)")?
        .execute((due_at, purchase_key))?;
    Ok(())
}

/// A row of deadlines: when, and the purchase's key.
pub(super) type Deadline = (i64, i64);

/// What a look at the deadlines found.
pub(super) struct Due {
    pub(super) purchases: Vec<(Timestamp, PurchaseId)>,
    /// Rows that are no purchase's deadline any more: to be swept.
    pub(super) stale: Vec<Deadline>,
    /// It stopped at its bound of stale rows: sweep, then look again.
    pub(super) more: bool,
}

pub(super) const DUE: &str = "
    SELECT due_at, purchase_key
    FROM deadlines
    WHERE due_at <= ?1
    ORDER BY due_at, purchase_key";

const DEADLINE_OF: &str = "
    SELECT id, next_deadline_at
    FROM purchases
    WHERE key = ?1";

/// Purchases with a deadline up to `now`, earliest first. One whose row is damaged is passed over (no join, so that it
/// is known which one it was): the clock goes on for all others.
pub(super) fn due(db: &Db, now: Timestamp, limit: usize) -> Outcome<Due> {
    let mut statement = db.conn.prepare_cached(DUE)?;
    let mut rows = statement.query([now.as_millis()])?;
    let mut due = Due { purchases: Vec::new(), stale: Vec::new(), more: false };
    let mut damaged = 0;
    while due.purchases.len() < limit {
        if due.stale.len() >= SWEPT {
            due.more = true;
            break;
        }
        let Some(row) = rows.next()? else { break };
        let (due_at, key): Deadline = (row.get(0)?, row.get(1)?);
        match deadline_of(db, key) {
            Ok(Some((id, deadline))) if deadline == Some(due_at) => due.purchases.push((time(due_at), id)),
            Ok(_) => due.stale.push((due_at, key)),
            Err(error @ (StoreError::Corrupt(_) | StoreError::Inconsistent { .. })) if damaged < SWEPT => {
                damaged += 1;
                tracing::error!(%error, purchase.key = key, "a purchase is damaged; its deadline is passed over");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(due)
}

fn deadline_of(db: &Db, key: i64) -> Outcome<Option<(PurchaseId, Option<i64>)>> {
    let mut statement = db.conn.prepare_cached(DEADLINE_OF)?;
    let mut rows = statement.query([key])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let id = id16(row.get_ref(0)?.as_blob().unwrap_or_default(), "purchases", "id")?;
    Ok(Some((PurchaseId(id), row.get(1)?)))
}

/// Removes stale rows; one that has become a purchase's deadline in the meantime stays.
pub(super) fn sweep(db: &Db, stale: &[Deadline]) -> Outcome<()> {
    let mut statement = db.conn.prepare_cached(
        "DELETE FROM deadlines
         WHERE due_at = ?1 AND purchase_key = ?2
           AND NOT EXISTS (SELECT 1 FROM purchases WHERE key = ?2 AND next_deadline_at = ?1)",
    )?;
    for row in stale {
        statement.execute(*row)?;
    }
    Ok(())
}

/// Removes what has been looked at.
pub(super) fn forget(db: &Db, done: &[(Timestamp, PurchaseId)]) -> Outcome<()> {
    for (due_at, purchase) in done {
        if let Some(key) = purchases::slot(db, *purchase)?.key {
            db.conn
                .prepare_cached("DELETE FROM deadlines WHERE due_at = ?1 AND purchase_key = ?2")?
                .execute((due_at.as_millis(), key))?;
        }
    }
    Ok(())
}

const QUESTION: &str = "
    SELECT purchase_id, source_id, store_purchase_id, why, asked_since, ask_at, attempts, last_error
    FROM questions";

/// Asks, or asks something else: one question waits for a purchase.
pub(super) fn put_question(db: &Db, question: &QuestionRecord) -> Outcome<()> {
    db.conn
        .prepare_cached(
            "INSERT OR REPLACE INTO questions
                 (purchase_id, source_id, store_purchase_id, why, asked_since, ask_at, attempts, last_error)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute((
            question.purchase_id.0,
            question.source_id.0,
            &question.store_purchase_id,
            &question.why,
            question.asked_since.as_millis(),
            question.ask_at.as_millis(),
            question.attempts,
            &question.last_error,
        ))?;
    Ok(())
}

/// Asks again later; not when the question was answered in the meantime, which must not bring it back.
pub(super) fn postpone(db: &Db, question: &QuestionRecord) -> Outcome<()> {
    if question_of(db, question.purchase_id)?.is_some() {
        put_question(db, question)?;
    }
    Ok(())
}

pub(super) fn forget_question(db: &Db, purchase: PurchaseId) -> Outcome<()> {
    db.conn.prepare_cached("DELETE FROM questions WHERE purchase_id = ?1")?.execute([purchase.0])?;
    Ok(())
}

/// The question that waits about a purchase.
pub(super) fn question_of(db: &Db, purchase: PurchaseId) -> Outcome<Option<QuestionRecord>> {
    let mut statement = db.conn.prepare_cached(&format!("{QUESTION} WHERE purchase_id = ?1"))?;
    let mut rows = statement.query([purchase.0])?;
    rows.next()?.map(read_question).transpose()
}

pub(super) const DUE_QUESTIONS: &str = "
    SELECT purchase_id, source_id, store_purchase_id, why, asked_since, ask_at, attempts, last_error
    FROM questions
    WHERE source_id = ?1 AND ask_at <= ?2
    ORDER BY ask_at
    LIMIT ?3";

/// Questions of a source that may be asked now, earliest first.
pub(super) fn due_questions(db: &Db, source: SourceId, now: Timestamp, limit: usize) -> Outcome<Vec<QuestionRecord>> {
    let mut statement = db.conn.prepare_cached(DUE_QUESTIONS)?;
    let rows = statement.query_and_then((source.0, now.as_millis(), limit_of(limit)), read_question)?;
    rows.collect()
}

/// All questions, earliest first.
pub(super) fn questions(db: &Db, limit: usize) -> Outcome<Vec<QuestionRecord>> {
    let mut statement = db.conn.prepare_cached(&format!("{QUESTION} ORDER BY ask_at, purchase_id LIMIT ?1"))?;
    let rows = statement.query_and_then([limit_of(limit)], read_question)?;
    rows.collect()
}

/// Sources that have something to be asked now, by their ids. It steps from source to source, however much waits for one.
pub(super) fn sources_due(db: &Db, now: Timestamp) -> Outcome<Vec<SourceId>> {
    let mut due = BTreeSet::new();
    for table in ["questions", "lookups"] {
        let next = format!("SELECT source_id FROM {table} WHERE source_id > ?1 ORDER BY source_id LIMIT 1");
        let first = format!("SELECT 1 FROM {table} WHERE source_id = ?1 AND ask_at <= ?2 LIMIT 1");
        let mut after: Vec<u8> = Vec::new();
        while let Some(source) = step(db, &next, &after)? {
            let is_due =
                db.conn.prepare_cached(&first)?.query_row((source, now.as_millis()), |_| Ok(())).optional()?.is_some();
            if is_due {
                due.insert(SourceId(source));
            }
            after = source.to_vec();
        }
    }
    Ok(due.into_iter().collect())
}

fn step(db: &Db, sql: &str, after: &[u8]) -> Outcome<Option<[u8; 16]>> {
    Ok(db.conn.prepare_cached(sql)?.query_row([after], |row| row.get(0)).optional()?)
}

/// What waits for a source's store.
pub(super) fn waiting(db: &Db, source: SourceId) -> Outcome<Waiting> {
    let mut waiting = Waiting::default();
    let mut oldest: [Option<i64>; 2] = [None, None];
    db.conn.prepare_cached("SELECT count(*), min(asked_since) FROM questions WHERE source_id = ?1")?.query_row(
        [source.0],
        |row| {
            waiting.questions = uint(row.get(0)?);
            oldest[0] = row.get(1)?;
            Ok(())
        },
    )?;
    db.conn
        .prepare_cached(
            "SELECT count(ask_at), count(*) - count(ask_at), min(iif(ask_at IS NULL, NULL, asked_since))
             FROM lookups
             WHERE source_id = ?1",
        )?
        .query_row([source.0], |row| {
            (waiting.lookups, waiting.given_up) = (uint(row.get(0)?), uint(row.get(1)?));
            oldest[1] = row.get(2)?;
            Ok(())
        })?;
    waiting.oldest = oldest.into_iter().flatten().min().map(time);
    // What was put off farthest was tried last, or most often.
    waiting.last_error = db
        .conn
        .prepare_cached(
            "SELECT last_error
             FROM (SELECT last_error, ask_at FROM questions WHERE source_id = ?1
                   UNION ALL
                   SELECT last_error, ask_at FROM lookups WHERE source_id = ?1 AND ask_at IS NOT NULL)
             WHERE last_error IS NOT NULL
             ORDER BY ask_at DESC
             LIMIT 1",
        )?
        .query_row([source.0], |row| row.get(0))
        .optional()?;
    Ok(waiting)
}

fn read_question(row: &Row<'_>) -> Outcome<QuestionRecord> {
    Ok(QuestionRecord {
        purchase_id: PurchaseId(row.get(0)?),
        source_id: SourceId(row.get(1)?),
        store_purchase_id: row.get(2)?,
        why: row.get(3)?,
        asked_since: time(row.get(4)?),
        ask_at: time(row.get(5)?),
        attempts: row.get(6)?,
        last_error: row.get(7)?,
    })
}
