//! What the clock waits for: deadlines of purchases, and questions for stores.

use super::db::{Db, Outcome, count, id_at, limit_of, number, text, text_opt, time, time_opt};
use crate::records::{QuestionRecord, Waiting};
use paidup_lifecycle::ids::{PurchaseId, SourceId};
use paidup_lifecycle::time::Timestamp;
use postgres::Row;

/// Purchases with a deadline up to `now`, earliest first.
pub(super) fn due(db: &mut Db, now: Timestamp, limit: usize) -> Outcome<Vec<(Timestamp, PurchaseId)>> {
    let rows = db.query(
        "SELECT due_at, id
         FROM purchases
         WHERE due_at <= $1
         ORDER BY due_at, id
         LIMIT $2",
        &[&now.as_millis(), &limit_of(limit)],
    )?;
    rows.iter().map(|row| Ok((time(row, 0)?, PurchaseId(id_at(row, 1, "purchases", "id")?)))).collect()
}

/// Takes off what has been looked at, but for what has another deadline by now.
pub(super) fn forget(db: &mut Db, done: &[(Timestamp, PurchaseId)]) -> Outcome<()> {
    let times: Vec<i64> = done.iter().map(|(due_at, _)| due_at.as_millis()).collect();
    let ids: Vec<&[u8]> = done.iter().map(|(_, id)| id.0.as_slice()).collect();
    db.execute(
        "UPDATE purchases
         SET due_at = NULL
         FROM unnest($1::bigint[], $2::bytea[]) AS done (due_at, id)
         WHERE purchases.id = done.id AND purchases.due_at = done.due_at",
        &[&times, &ids],
    )?;
    Ok(())
}

/// The earliest deadline.
pub(super) fn next(db: &mut Db) -> Outcome<Option<Timestamp>> {
    Ok(due(db, Timestamp::MAX, 1)?.first().map(|(due_at, _)| *due_at))
}

const QUESTION: &str = "
    SELECT purchase_id, source_id, store_purchase_id, why, asked_since, ask_at, attempts, last_error
    FROM questions";

/// Asks, or asks something else: one question waits for a purchase.
pub(super) fn put_question(db: &mut Db, question: &QuestionRecord) -> Outcome<()> {
    db.execute(
        "INSERT INTO questions (purchase_id, source_id, store_purchase_id, why, asked_since, ask_at, attempts,
                                last_error)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (purchase_id) DO UPDATE
         SET source_id = excluded.source_id, store_purchase_id = excluded.store_purchase_id, why = excluded.why,
             asked_since = excluded.asked_since, ask_at = excluded.ask_at, attempts = excluded.attempts,
             last_error = excluded.last_error",
        &[
            &question.purchase_id.0.as_slice(),
            &question.source_id.0.as_slice(),
            &question.store_purchase_id.as_bytes(),
            &question.why.as_bytes(),
            &question.asked_since.as_millis(),
            &question.ask_at.as_millis(),
            &i64::from(question.attempts),
            &question.last_error.as_ref().map(String::as_bytes),
        ],
    )?;
    Ok(())
}

/// Asks again later; not when the question was answered in the meantime, which must not bring it back.
pub(super) fn postpone(db: &mut Db, question: &QuestionRecord) -> Outcome<()> {
    if question_of(db, question.purchase_id)?.is_some() {
        put_question(db, question)?;
    }
    Ok(())
}

pub(super) fn forget_question(db: &mut Db, purchase: PurchaseId) -> Outcome<()> {
    db.execute("DELETE FROM questions WHERE purchase_id = $1", &[&purchase.0.as_slice()])?;
    Ok(())
}

/// The question that waits about a purchase.
pub(super) fn question_of(db: &mut Db, purchase: PurchaseId) -> Outcome<Option<QuestionRecord>> {
    let row = db.first(&format!("{QUESTION} WHERE purchase_id = $1"), &[&purchase.0.as_slice()])?;
    row.map(|row| read_question(&row)).transpose()
}

/// Questions of a source that may be asked now, earliest first.
pub(super) fn due_questions(
    db: &mut Db,
    source: SourceId,
    now: Timestamp,
    limit: usize,
) -> Outcome<Vec<QuestionRecord>> {
    let sql = format!("{QUESTION} WHERE source_id = $1 AND ask_at <= $2 ORDER BY ask_at, purchase_id LIMIT $3");
    db.query(&sql, &[&source.0.as_slice(), &now.as_millis(), &limit_of(limit)])?.iter().map(read_question).collect()
}

/// All questions, earliest first.
pub(super) fn questions(db: &mut Db, limit: usize) -> Outcome<Vec<QuestionRecord>> {
    let sql = format!("{QUESTION} ORDER BY ask_at, purchase_id LIMIT $1");
    db.query(&sql, &[&limit_of(limit)])?.iter().map(read_question).collect()
}

/// Sources that have something to be asked now, by their ids.
pub(super) fn sources_due(db: &mut Db, now: Timestamp) -> Outcome<Vec<SourceId>> {
    let rows = db.query(
        "SELECT source_id FROM questions WHERE ask_at <= $1
         UNION
         SELECT source_id FROM lookups WHERE ask_at <= $1
         ORDER BY 1",
        &[&now.as_millis()],
    )?;
    rows.iter().map(|row| Ok(SourceId(id_at(row, 0, "lookups", "source_id")?))).collect()
}

/// What waits for a source's store.
pub(super) fn waiting(db: &mut Db, source: SourceId) -> Outcome<Waiting> {
    // What was put off farthest was tried last, or most often.
    let row = db.first(
        "WITH waits AS (
             SELECT true AS is_question, asked_since, ask_at, last_error FROM questions WHERE source_id = $1
             UNION ALL
             SELECT false, asked_since, ask_at, last_error FROM lookups WHERE source_id = $1
         )
         SELECT count(*) FILTER (WHERE is_question),
                count(*) FILTER (WHERE NOT is_question AND ask_at IS NOT NULL),
                count(*) FILTER (WHERE ask_at IS NULL),
                min(asked_since) FILTER (WHERE ask_at IS NOT NULL),
                (SELECT last_error
                 FROM waits
                 WHERE last_error IS NOT NULL AND ask_at IS NOT NULL
                 ORDER BY ask_at DESC
                 LIMIT 1)
         FROM waits",
        &[&source.0.as_slice()],
    )?;
    let Some(row) = row else { return Ok(Waiting::default()) };
    Ok(Waiting {
        questions: number(&row, 0)?,
        lookups: number(&row, 1)?,
        given_up: number(&row, 2)?,
        oldest: time_opt(&row, 3)?,
        last_error: text_opt(&row, 4, "lookups", "last_error")?,
    })
}

fn read_question(row: &Row) -> Outcome<QuestionRecord> {
    const TABLE: &str = "questions";
    Ok(QuestionRecord {
        purchase_id: PurchaseId(id_at(row, 0, TABLE, "purchase_id")?),
        source_id: SourceId(id_at(row, 1, TABLE, "source_id")?),
        store_purchase_id: text(row, 2, TABLE, "store_purchase_id")?,
        why: text(row, 3, TABLE, "why")?,
        asked_since: time(row, 4)?,
        ask_at: time(row, 5)?,
        attempts: count(row, 6)?,
        last_error: text_opt(row, 7, TABLE, "last_error")?,
    })
}
