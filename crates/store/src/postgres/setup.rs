//! Sources, destinations, keys, settings of the installation, answers for Idempotency-Keys.

use super::db::{Db, Outcome, get, id_at, inconsistent, int, json, number, text, text_opt, time, time_opt, uint, word};
use super::session::Session;
use super::{deliveries, events, pruning};
use crate::records::{DestinationRecord, IdempotentRecord, KeyRecord, Progress, ResumeFrom, SourceRecord, Start};
use crate::{Refused, StoreError};
use paidup_lifecycle::ids::{ApiKeyId, DestinationId, SourceId};
use paidup_lifecycle::time::Timestamp;
use postgres::Row;
use std::time::Duration;

/// All sources, oldest first.
pub(super) fn sources(db: &mut Db) -> Outcome<Vec<SourceRecord>> {
    let rows = db.query(
        "SELECT id, kind, name, settings, created_at
         FROM sources
         ORDER BY created_at, number",
        &[],
    )?;
    let read = |row: &Row| {
        Ok(SourceRecord {
            id: SourceId(id_at(row, 0, "sources", "id")?),
            kind: get(row, 1)?,
            name: text(row, 2, "sources", "name")?,
            settings: get(row, 3)?,
            created_at: time(row, 4)?,
        })
    };
    rows.iter().map(read).collect()
}

/// Inserts or replaces.
pub(super) fn put_source(db: &mut Db, source: &SourceRecord) -> Outcome<()> {
    db.execute(
        "INSERT INTO sources (id, kind, name, settings, created_at)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (id) DO UPDATE
         SET kind = excluded.kind, name = excluded.name, settings = excluded.settings,
             created_at = excluded.created_at",
        &[
            &source.id.0.as_slice(),
            &source.kind,
            &source.name.as_bytes(),
            &source.settings,
            &source.created_at.as_millis(),
        ],
    )?;
    Ok(())
}

pub(super) fn delete_source(db: &mut Db, id: SourceId) -> Outcome<bool> {
    Ok(db.execute("DELETE FROM sources WHERE id = $1", &[&id.0.as_slice()])? > 0)
}

/// All destinations, oldest first.
pub(super) fn destinations(db: &mut Db) -> Outcome<Vec<DestinationRecord>> {
    let rows = db.query(
        "SELECT id, kind, name, settings, lane_order, filters, start, start_at, state, state_reason, state_since,
                created_at, max_backlog, gaps, skip_after_s, keep_trying_s
         FROM destinations
         ORDER BY created_at, number",
        &[],
    )?;
    rows.iter().map(read_destination).collect()
}

fn read_destination(row: &Row) -> Outcome<DestinationRecord> {
    const TABLE: &str = "destinations";
    let id = DestinationId(id_at(row, 0, TABLE, "id")?);
    let start = match (get::<&str>(row, 6)?, time_opt(row, 7)?) {
        ("now", None) => Start::Now,
        ("beginning", None) => Start::Beginning,
        ("at", Some(at)) => Start::At(at),
        _ => return Err(inconsistent(TABLE, "start", id)),
    };
    Ok(DestinationRecord {
        id,
        kind: get(row, 1)?,
        name: text(row, 2, TABLE, "name")?,
        settings: get(row, 3)?,
        order: word(row, 4, TABLE, "lane_order", id)?,
        filters: json(row, 5, TABLE, "filters", id)?,
        start,
        state: word(row, 8, TABLE, "state", id)?,
        state_reason: text_opt(row, 9, TABLE, "state_reason")?,
        state_since: time(row, 10)?,
        created_at: time(row, 11)?,
        max_backlog: number(row, 12)?,
        gaps: json(row, 13, TABLE, "gaps", id)?,
        skip_after: get::<Option<i64>>(row, 14)?.map(|seconds| Duration::from_secs(uint(seconds))),
        keep_trying: Duration::from_secs(number(row, 15)?),
    })
}

/// Inserts with its start, or replaces; answers the record as kept.
pub(super) fn put_destination(db: &mut Db, mut destination: DestinationRecord) -> Outcome<DestinationRecord> {
    let head = events::head(db)?;
    destination.resolve_filters(head);
    let id = destination.id;
    let known = deliveries::number_of(db, id)?;
    upsert_destination(db, &destination)?;
    if known.is_none() {
        let cursor = match destination.start {
            Start::Now => head,
            Start::Beginning => pruning::pruned(db)?.position,
            Start::At(at) => events::position_at(db, at)?.saturating_sub(1),
        };
        let number = deliveries::number_of(db, id)?.ok_or_else(|| inconsistent("destinations", "id", id))?;
        deliveries::put_progress(db, number, &Progress::at(0, cursor))?;
    }
    Ok(destination)
}

/// Replaces one that is served again and closes its open gap.
pub(super) fn resume_destination(
    session: &mut Session,
    mut destination: DestinationRecord,
    from: ResumeFrom,
) -> Outcome<DestinationRecord> {
    let head = session.heads.position;
    let (db, id) = (&mut session.db, destination.id);
    let Some(number) = deliveries::number_of(db, id)? else {
        let detail = format!("there is no destination {id}");
        return Err(StoreError::Refused(Refused { status: 404, detail }));
    };
    let progress = deliveries::progress(db, id)?.into_iter().next().unwrap_or(Progress::at(0, 0));
    // Only an open gap lets the log be pruned beyond the cursor.
    let to = match from {
        ResumeFrom::Cursor => pruning::pruned(db)?.position,
        ResumeFrom::Head => head,
    };
    let kept = progress.from(to);
    destination.close_gap(&progress, &kept, head);
    destination.resolve_filters(head);
    upsert_destination(db, &destination)?;
    deliveries::put_progress(db, number, &kept)?;
    Ok(destination)
}

fn upsert_destination(db: &mut Db, destination: &DestinationRecord) -> Outcome<()> {
    let filters = serde_json::to_vec(&destination.filters)
        .map_err(|_| inconsistent("destinations", "filters", destination.id))?;
    let gaps =
        serde_json::to_vec(&destination.gaps).map_err(|_| inconsistent("destinations", "gaps", destination.id))?;
    let (start, start_at) = match destination.start {
        Start::Now => ("now", None),
        Start::Beginning => ("beginning", None),
        Start::At(at) => ("at", Some(at.as_millis())),
    };
    db.execute(
        "INSERT INTO destinations (id, kind, name, settings, lane_order, filters, start, start_at, state,
                                   state_reason, state_since, created_at, max_backlog, gaps, has_open_gap,
                                   skip_after_s, keep_trying_s)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
         ON CONFLICT (id) DO UPDATE
         SET kind = excluded.kind, name = excluded.name, settings = excluded.settings,
             lane_order = excluded.lane_order, filters = excluded.filters, start = excluded.start,
             start_at = excluded.start_at, state = excluded.state, state_reason = excluded.state_reason,
             state_since = excluded.state_since, created_at = excluded.created_at,
             max_backlog = excluded.max_backlog, gaps = excluded.gaps, has_open_gap = excluded.has_open_gap,
             skip_after_s = excluded.skip_after_s, keep_trying_s = excluded.keep_trying_s",
        &[
            &destination.id.0.as_slice(),
            &destination.kind,
            &destination.name.as_bytes(),
            &destination.settings,
            &destination.order.as_str(),
            &filters,
            &start,
            &start_at,
            &destination.state.as_str(),
            &destination.state_reason.as_ref().map(String::as_bytes),
            &destination.state_since.as_millis(),
            &destination.created_at.as_millis(),
            &int(destination.max_backlog),
            &gaps,
            &destination.open_gap().is_some(),
            &destination.skip_after.map(|span| int(span.as_secs())),
            &int(destination.keep_trying.as_secs()),
        ],
    )?;
    Ok(())
}

/// Forgets a destination with its progress and parked events; answers the number whose attempts are to be swept.
pub(super) fn delete_destination(db: &mut Db, id: DestinationId) -> Outcome<Option<i64>> {
    let number = deliveries::number_of(db, id)?;
    if let Some(number) = number {
        db.execute("DELETE FROM destinations WHERE number = $1", &[&number])?;
    }
    Ok(number)
}

const KEY: &str = "SELECT id, name, hash, scopes, created_at, expires_at FROM api_keys";

/// All keys, oldest first.
pub(super) fn keys(db: &mut Db) -> Outcome<Vec<KeyRecord>> {
    db.query(&format!("{KEY} ORDER BY created_at, number"), &[])?.iter().map(read_key).collect()
}

/// The key with that hash.
pub(super) fn key_by_hash(db: &mut Db, hash: [u8; 32]) -> Outcome<Option<KeyRecord>> {
    let row = db.first(&format!("{KEY} WHERE hash = $1"), &[&hash.as_slice()])?;
    row.map(|row| read_key(&row)).transpose()
}

fn read_key(row: &Row) -> Outcome<KeyRecord> {
    const TABLE: &str = "api_keys";
    let id = ApiKeyId(id_at(row, 0, TABLE, "id")?);
    Ok(KeyRecord {
        id,
        name: text(row, 1, TABLE, "name")?,
        hash: get::<&[u8]>(row, 2)?.try_into().map_err(|_| inconsistent(TABLE, "hash", id))?,
        scopes: serde_json::from_str(get(row, 3)?).map_err(|_| inconsistent(TABLE, "scopes", id))?,
        created_at: time(row, 4)?,
        expires_at: time_opt(row, 5)?,
    })
}

/// Inserts or replaces.
pub(super) fn put_key(db: &mut Db, key: &KeyRecord) -> Outcome<()> {
    let scopes = serde_json::to_string(&key.scopes).map_err(|_| inconsistent("api_keys", "scopes", key.id))?;
    db.execute(
        "INSERT INTO api_keys (id, name, hash, scopes, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (id) DO UPDATE
         SET name = excluded.name, hash = excluded.hash, scopes = excluded.scopes,
             created_at = excluded.created_at, expires_at = excluded.expires_at",
        &[
            &key.id.0.as_slice(),
            &key.name.as_bytes(),
            &key.hash.as_slice(),
            &scopes,
            &key.created_at.as_millis(),
            &key.expires_at.map(Timestamp::as_millis),
        ],
    )?;
    Ok(())
}

pub(super) fn delete_key(db: &mut Db, id: ApiKeyId) -> Outcome<bool> {
    Ok(db.execute("DELETE FROM api_keys WHERE id = $1", &[&id.0.as_slice()])? > 0)
}

/// A setting of the installation.
pub(super) fn meta(db: &mut Db, name: &str) -> Outcome<Option<Vec<u8>>> {
    let row = db.first("SELECT value FROM meta WHERE name = $1", &[&name])?;
    row.map(|row| get(&row, 0)).transpose()
}

pub(super) fn put_meta(db: &mut Db, name: &str, value: &[u8]) -> Outcome<()> {
    db.execute(
        "INSERT INTO meta (name, value)
         VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        &[&name, &value],
    )?;
    Ok(())
}

/// The answer that was given for an Idempotency-Key.
pub(super) fn idempotent(db: &mut Db, key: &str) -> Outcome<Option<IdempotentRecord>> {
    const TABLE: &str = "idempotency";
    let row =
        db.first("SELECT key, request, status, body, created_at FROM idempotency WHERE key = $1", &[&key.as_bytes()])?;
    let read = |row: Row| {
        Ok(IdempotentRecord {
            key: text(&row, 0, TABLE, "key")?,
            request: get::<&[u8]>(&row, 1)?.try_into().map_err(|_| inconsistent(TABLE, "request", key))?,
            status: u16::try_from(get::<i32>(&row, 2)?).map_err(|_| inconsistent(TABLE, "status", key))?,
            body: get(&row, 3)?,
            created_at: time(&row, 4)?,
        })
    };
    row.map(read).transpose()
}

/// Forgotten answers go in slices, with each new one.
const FORGOTTEN: i64 = 200;

/// Keeps an answer, and forgets some of those that are older than `forget_before`.
pub(super) fn put_idempotent(db: &mut Db, record: &IdempotentRecord, forget_before: Timestamp) -> Outcome<()> {
    db.execute(
        "DELETE FROM idempotency
         WHERE key IN (SELECT key FROM idempotency WHERE created_at < $1 ORDER BY created_at LIMIT $2)",
        &[&forget_before.as_millis(), &FORGOTTEN],
    )?;
    db.execute(
        "INSERT INTO idempotency (key, request, status, body, created_at)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (key) DO UPDATE
         SET request = excluded.request, status = excluded.status, body = excluded.body,
             created_at = excluded.created_at",
        &[
            &record.key.as_bytes(),
            &record.request.as_slice(),
            &i32::from(record.status),
            &record.body,
            &record.created_at.as_millis(),
        ],
    )?;
    Ok(())
}
