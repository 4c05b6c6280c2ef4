//! What is to be looked up at stores, and the clues that answer where a store cannot be asked.

use super::db::{Db, Outcome, count, get, id_at, id16, limit_of, text, text_opt, time, time_opt};
use crate::records::{ClueRecord, LookupRecord};
use paidup_lifecycle::ids::{LookupId, PurchaseId, SourceId};
use paidup_lifecycle::time::Timestamp;
use postgres::Row;

const LOOKUP: &str = "
    SELECT id, source_id, name, context, why, unless_known, asked_since, ask_at, attempts, last_error,
           reconciles
    FROM lookups";

/// Waits from now on; one that waits already, or was given up, stays as it is.
pub(super) fn put(db: &mut Db, lookup: &LookupRecord) -> Outcome<()> {
    db.execute(
        "INSERT INTO lookups (id, source_id, name, context, why, unless_known, asked_since, ask_at, attempts,
                              last_error, reconciles)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         ON CONFLICT (id) DO NOTHING",
        &[
            &lookup.id.0.as_slice(),
            &lookup.source_id.0.as_slice(),
            &lookup.name.as_bytes(),
            &lookup.context.as_bytes(),
            &lookup.why.as_bytes(),
            &lookup.unless_known.as_ref().map(|purchase| purchase.0.as_slice()),
            &lookup.asked_since.as_millis(),
            &lookup.ask_at.map(Timestamp::as_millis),
            &i64::from(lookup.attempts),
            &lookup.last_error.as_ref().map(String::as_bytes),
            &lookup.reconciles,
        ],
    )?;
    Ok(())
}

/// Asks again later, or gives up; not when it was answered in the meantime, nor when a clue came while it was tried.
pub(super) fn postpone(db: &mut Db, lookup: &LookupRecord) -> Outcome<()> {
    db.execute(
        "UPDATE lookups
         SET ask_at = $2, attempts = $3, last_error = $4
         WHERE id = $1 AND attempts < $3",
        &[
            &lookup.id.0.as_slice(),
            &lookup.ask_at.map(Timestamp::as_millis),
            &i64::from(lookup.attempts),
            &lookup.last_error.as_ref().map(String::as_bytes),
        ],
    )?;
    Ok(())
}

pub(super) fn forget(db: &mut Db, lookup: LookupId) -> Outcome<()> {
    db.execute("DELETE FROM lookups WHERE id = $1", &[&lookup.0.as_slice()])?;
    Ok(())
}

/// Lookups of a source whose time has come, earliest first.
pub(super) fn due(db: &mut Db, source: SourceId, now: Timestamp, limit: usize) -> Outcome<Vec<LookupRecord>> {
    let sql = format!("{LOOKUP} WHERE source_id = $1 AND ask_at <= $2 ORDER BY ask_at, id LIMIT $3");
    db.query(&sql, &[&source.0.as_slice(), &now.as_millis(), &limit_of(limit)])?.iter().map(read).collect()
}

/// Asks for one that was given up, or waits, at once; answers it as it stands then.
pub(super) fn retry(db: &mut Db, lookup: LookupId, now: Timestamp) -> Outcome<Option<LookupRecord>> {
    // What counts as a try since then must not put it to sleep (see `postpone`), and it gets its whole time anew.
    db.execute(
        "UPDATE lookups
         SET ask_at = $2, asked_since = $2, attempts = attempts + 1
         WHERE id = $1",
        &[&lookup.0.as_slice(), &now.as_millis()],
    )?;
    one(db, lookup)
}

/// One of them.
pub(super) fn one(db: &mut Db, lookup: LookupId) -> Outcome<Option<LookupRecord>> {
    let row = db.first(&format!("{LOOKUP} WHERE id = $1"), &[&lookup.0.as_slice()])?;
    row.map(|row| read(&row)).transpose()
}

/// All of them, oldest first.
pub(super) fn all(db: &mut Db, limit: usize) -> Outcome<Vec<LookupRecord>> {
    let sql = format!("{LOOKUP} ORDER BY asked_since, id LIMIT $1");
    db.query(&sql, &[&limit_of(limit)])?.iter().map(read).collect()
}

fn read(row: &Row) -> Outcome<LookupRecord> {
    const TABLE: &str = "lookups";
    let unless_known: Option<&[u8]> = get(row, 5)?;
    Ok(LookupRecord {
        id: LookupId(id_at(row, 0, TABLE, "id")?),
        source_id: SourceId(id_at(row, 1, TABLE, "source_id")?),
        name: text(row, 2, TABLE, "name")?,
        context: text(row, 3, TABLE, "context")?,
        why: text(row, 4, TABLE, "why")?,
        unless_known: unless_known.map(|id| id16(id, TABLE, "unless_known")).transpose()?.map(PurchaseId),
        asked_since: time(row, 6)?,
        ask_at: time_opt(row, 7)?,
        attempts: count(row, 8)?,
        last_error: text_opt(row, 9, TABLE, "last_error")?,
        reconciles: get(row, 10)?,
    })
}

/// Keeps a clue, and wakes the lookups that it answers, given up or not. That counts as a try, so that one which is under
/// way and did not see the clue does not put them to sleep again.
pub(super) fn put_clue(db: &mut Db, clue: &ClueRecord, now: Timestamp) -> Outcome<()> {
    let answer = db.packer.pack(&clue.answer);
    let (source, name) = (clue.source_id.0.as_slice(), clue.name.as_bytes());
    db.execute(
        "INSERT INTO clues (source_id, name, answer, noted_at)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (source_id, name) DO UPDATE SET answer = excluded.answer, noted_at = excluded.noted_at",
        &[&source, &name, &answer, &now.as_millis()],
    )?;
    db.execute(
        "UPDATE lookups
         SET ask_at = $3, attempts = attempts + 1
         WHERE source_id = $1 AND name = $2",
        &[&source, &name, &now.as_millis()],
    )?;
    Ok(())
}

pub(super) fn clue(db: &mut Db, source: SourceId, name: &str) -> Outcome<Option<bytes::Bytes>> {
    let row = db.first(
        "SELECT answer FROM clues WHERE source_id = $1 AND name = $2",
        &[&source.0.as_slice(), &name.as_bytes()],
    )?;
    row.map(|row| Ok(db.unpack(get(&row, 0)?, "clues", "answer", name)?.into())).transpose()
}

/// Rows of one slice of pruning: small ones.
const SLICE: i64 = 500;

/// Forgets some lookups that were given up and first wanted before `before`; answers how many.
pub(super) fn prune(db: &mut Db, before: Timestamp) -> Outcome<u64> {
    db.execute(
        "DELETE FROM lookups
         WHERE id IN (SELECT id
                      FROM lookups
                      WHERE ask_at IS NULL AND asked_since < $1
                      LIMIT $2)",
        &[&before.as_millis(), &SLICE],
    )
}

/// Forgets some clues that were last written before `before`; answers how many.
pub(super) fn prune_clues(db: &mut Db, before: Timestamp) -> Outcome<u64> {
    db.execute(
        "DELETE FROM clues
         WHERE (source_id, name) IN (SELECT source_id, name
                                     FROM clues
                                     WHERE noted_at < $1
                                     ORDER BY noted_at
                                     LIMIT $2)",
        &[&before.as_millis(), &SLICE],
    )
}
