//! Sources, destinations, keys, settings of the installation, answers for Idempotency-Keys.

use super::db::{Db, Outcome, inconsistent, int, time, uint, word};
use super::session::Session;
use super::{deliveries, events, pruning};
use crate::records::{DestinationRecord, IdempotentRecord, KeyRecord, Progress, ResumeFrom, SourceRecord, Start};
use crate::{Refused, StoreError};
use paidup_lifecycle::ids::{ApiKeyId, DestinationId, SourceId};
use paidup_lifecycle::time::Timestamp;
use rusqlite::{OptionalExtension, Row};
use std::time::Duration;

/// All sources, oldest first.
pub(super) fn sources(db: &Db) -> Outcome<Vec<SourceRecord>> {
    let mut statement = db.conn.prepare_cached(
        "SELECT id, kind, name, settings, created_at
         FROM sources
         ORDER BY created_at, number",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(SourceRecord {
            id: SourceId(row.get(0)?),
            kind: row.get(1)?,
            name: row.get(2)?,
            settings: row.get(3)?,
            created_at: time(row.get(4)?),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Inserts or replaces.
pub(super) fn put_source(db: &Db, source: &SourceRecord) -> Outcome<()> {
    db.conn
        .prepare_cached(
            "INSERT INTO sources (id, kind, name, settings, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (id) DO UPDATE
             SET kind = excluded.kind, name = excluded.name, settings = excluded.settings,
                 created_at = excluded.created_at",
        )?
        .execute((source.id.0, &source.kind, &source.name, &source.settings, source.created_at.as_millis()))?;
    Ok(())
}

pub(super) fn delete_source(db: &Db, id: SourceId) -> Outcome<bool> {
    Ok(db.conn.prepare_cached("DELETE FROM sources WHERE id = ?1")?.execute([id.0])? > 0)
}

const DESTINATION: &str = "
    SELECT id, kind, name, settings, lane_order, filters, start, start_at, state, state_reason, state_since, created_at,
           max_backlog, gaps, skip_after_s, keep_trying_s
    FROM destinations";

/// All destinations, oldest first.
pub(super) fn destinations(db: &Db) -> Outcome<Vec<DestinationRecord>> {
    let mut statement = db.conn.prepare_cached(&format!("{DESTINATION} ORDER BY created_at, number"))?;
    let mut rows = statement.query([])?;
    let mut destinations = Vec::new();
    while let Some(row) = rows.next()? {
        destinations.push(read_destination(row)?);
    }
    Ok(destinations)
}

fn read_destination(row: &Row<'_>) -> Outcome<DestinationRecord> {
    let id = DestinationId(row.get(0)?);
    let text = |column: usize| row.get_ref(column).map(|value| value.as_str().unwrap_or_default());
    let start_at: Option<i64> = row.get(7)?;
    let skip_after_s: Option<i64> = row.get(14)?;
    let start = match (text(6)?, start_at) {
        ("now", None) => Start::Now,
        ("beginning", None) => Start::Beginning,
        ("at", Some(at)) => Start::At(time(at)),
        _ => return Err(inconsistent("destinations", "start", id)),
    };
    Ok(DestinationRecord {
        id,
        kind: row.get(1)?,
        name: row.get(2)?,
        settings: row.get(3)?,
        order: word(text(4)?, "destinations", "lane_order", id)?,
        filters: serde_json::from_str(text(5)?).map_err(|_| inconsistent("destinations", "filters", id))?,
        start,
        state: word(text(8)?, "destinations", "state", id)?,
        state_reason: row.get(9)?,
        state_since: time(row.get(10)?),
        created_at: time(row.get(11)?),
        max_backlog: uint(row.get(12)?),
        gaps: serde_json::from_str(text(13)?).map_err(|_| inconsistent("destinations", "gaps", id))?,
        skip_after: skip_after_s.map(|seconds| Duration::from_secs(uint(seconds))),
        keep_trying: Duration::from_secs(uint(row.get(15)?)),
    })
}

/// Inserts with its start, or replaces; answers the record as kept.
pub(super) fn put_destination(db: &Db, mut destination: DestinationRecord) -> Outcome<DestinationRecord> {
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
    session: &Session,
    mut destination: DestinationRecord,
    from: ResumeFrom,
) -> Outcome<DestinationRecord> {
    let (db, id) = (&session.db, destination.id);
    let Some(number) = deliveries::number_of(db, id)? else {
        let detail = format!("there is no destination {id}");
        return Err(StoreError::Refused(Refused { status: 404, detail }));
    };
    let head = session.heads.position;
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

fn upsert_destination(db: &Db, destination: &DestinationRecord) -> Outcome<()> {
    let filters = serde_json::to_string(&destination.filters)
        .map_err(|_| inconsistent("destinations", "filters", destination.id))?;
    let gaps =
        serde_json::to_string(&destination.gaps).map_err(|_| inconsistent("destinations", "gaps", destination.id))?;
    let (start, start_at) = match destination.start {
        Start::Now => ("now", None),
        Start::Beginning => ("beginning", None),
        Start::At(at) => ("at", Some(at.as_millis())),
    };
    db.conn
        .prepare_cached(
            "INSERT INTO destinations (id, kind, name, settings, lane_order, filters, start, start_at, state,
                                       state_reason, state_since, created_at, max_backlog, gaps, skip_after_s,
                                       keep_trying_s)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
             ON CONFLICT (id) DO UPDATE
             SET kind = excluded.kind, name = excluded.name, settings = excluded.settings,
                 lane_order = excluded.lane_order, filters = excluded.filters, start = excluded.start,
                 start_at = excluded.start_at, state = excluded.state, state_reason = excluded.state_reason,
                 state_since = excluded.state_since, created_at = excluded.created_at,
                 max_backlog = excluded.max_backlog, gaps = excluded.gaps, skip_after_s = excluded.skip_after_s,
                 keep_trying_s = excluded.keep_trying_s",
        )?
        .execute((
            destination.id.0,
            &destination.kind,
            &destination.name,
            &destination.settings,
            destination.order.as_str(),
            filters,
            start,
            start_at,
            destination.state.as_str(),
            &destination.state_reason,
            destination.state_since.as_millis(),
            destination.created_at.as_millis(),
            int(destination.max_backlog),
            gaps,
            destination.skip_after.map(|span| int(span.as_secs())),
            int(destination.keep_trying.as_secs()),
        ))?;
    Ok(())
}

/// Forgets a destination with its progress and parked events; answers the number whose attempts are to be swept.
pub(super) fn delete_destination(db: &Db, id: DestinationId) -> Outcome<Option<i64>> {
    let number = deliveries::number_of(db, id)?;
    if let Some(number) = number {
        db.conn.prepare_cached("DELETE FROM destinations WHERE number = ?1")?.execute([number])?;
    }
    Ok(number)
}

const KEY: &str = "SELECT id, name, hash, scopes, created_at, expires_at FROM api_keys";

/// All keys, oldest first.
pub(super) fn keys(db: &Db) -> Outcome<Vec<KeyRecord>> {
    let mut statement = db.conn.prepare_cached(&format!("{KEY} ORDER BY created_at, number"))?;
    let mut rows = statement.query([])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        keys.push(read_key(row)?);
    }
    Ok(keys)
}

/// The key with that hash.
pub(super) fn key_by_hash(db: &Db, hash: [u8; 32]) -> Outcome<Option<KeyRecord>> {
    let mut statement = db.conn.prepare_cached(&format!("{KEY} WHERE hash = ?1"))?;
    let mut rows = statement.query([hash])?;
    rows.next()?.map(read_key).transpose()
}

fn read_key(row: &Row<'_>) -> Outcome<KeyRecord> {
    let id = ApiKeyId(row.get(0)?);
    let expires_at: Option<i64> = row.get(5)?;
    Ok(KeyRecord {
        id,
        name: row.get(1)?,
        hash: row.get(2)?,
        scopes: serde_json::from_str(row.get_ref(3)?.as_str().unwrap_or_default())
            .map_err(|_| inconsistent("api_keys", "scopes", id))?,
        created_at: time(row.get(4)?),
        expires_at: expires_at.map(time),
    })
}

/// Inserts or replaces.
pub(super) fn put_key(db: &Db, key: &KeyRecord) -> Outcome<()> {
    let scopes = serde_json::to_string(&key.scopes).map_err(|_| inconsistent("api_keys", "scopes", key.id))?;
    db.conn
        .prepare_cached(
            "INSERT INTO api_keys (id, name, hash, scopes, created_at, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (id) DO UPDATE
             SET name = excluded.name, hash = excluded.hash, scopes = excluded.scopes,
                 created_at = excluded.created_at, expires_at = excluded.expires_at",
        )?
        .execute((
            key.id.0,
            &key.name,
            key.hash,
            scopes,
            key.created_at.as_millis(),
            key.expires_at.map(Timestamp::as_millis),
        ))?;
    Ok(())
}

pub(super) fn delete_key(db: &Db, id: ApiKeyId) -> Outcome<bool> {
    Ok(db.conn.prepare_cached("DELETE FROM api_keys WHERE id = ?1")?.execute([id.0])? > 0)
}

/// A setting of the installation.
pub(super) fn meta(db: &Db, name: &str) -> Outcome<Option<Vec<u8>>> {
    Ok(db
        .conn
        .prepare_cached("SELECT value FROM meta WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?)
}

pub(super) fn put_meta(db: &Db, name: &str, value: &[u8]) -> Outcome<()> {
    db.conn
        .prepare_cached(
            "INSERT INTO meta (name, value)
             VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )?
        .execute((name, value))?;
    Ok(())
}

/// The answer that was given for an Idempotency-Key.
pub(super) fn idempotent(db: &Db, key: &str) -> Outcome<Option<IdempotentRecord>> {
    Ok(db
        .conn
        .prepare_cached("SELECT key, request, status, body, created_at FROM idempotency WHERE key = ?1")?
        .query_row([key], |row| {
            Ok(IdempotentRecord {
                key: row.get(0)?,
                request: row.get(1)?,
                status: row.get(2)?,
                body: row.get(3)?,
                created_at: time(row.get(4)?),
            })
        })
        .optional()?)
}

/// Forgotten answers go in slices, with each new one.
const FORGOTTEN: i64 = 200;

/// Keeps an answer, and forgets some of those that are older than `forget_before`.
pub(super) fn put_idempotent(db: &Db, record: &IdempotentRecord, forget_before: Timestamp) -> Outcome<()> {
    db.conn
        .prepare_cached(
            "DELETE FROM idempotency
             WHERE key IN (SELECT key FROM idempotency WHERE created_at < ?1 ORDER BY created_at LIMIT ?2)",
        )?
        .execute((forget_before.as_millis(), FORGOTTEN))?;
    db.conn
        .prepare_cached(
            "INSERT OR REPLACE INTO idempotency (key, request, status, body, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((&record.key, record.request, record.status, &record.body, record.created_at.as_millis()))?;
    Ok(())
}
