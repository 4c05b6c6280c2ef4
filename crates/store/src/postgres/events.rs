//! The event log: appended to, read in order, by id, and by customer or purchase.

use super::customers;
use super::db::{Db, Outcome, Values, get, inconsistent, int, limit_of, number};
use super::session::Session;
use crate::records::EventQuery;
use bytes::Bytes;
use paidup_lifecycle::event::{Event, LoggedEvent};
use paidup_lifecycle::ids::EventId;
use paidup_lifecycle::time::Timestamp;
use postgres::Row;
use std::sync::Arc;

/// An event as it is to be written.
pub(super) struct NewRow {
    position: i64,
    latest_at: i64,
    entry: Option<i64>,
    event: Arc<Event>,
    body: Vec<u8>,
}

/// Gathers events in their order.
pub(super) fn append(session: &mut Session, entry: Option<u64>, events: Vec<Event>) -> Outcome<Vec<LoggedEvent>> {
    let mut logged = Vec::with_capacity(events.len());
    for event in events {
        let position = session.heads.position + 1;
        let latest_at = session.heads.latest_at.max(event.detected_at.as_millis());
        let json = serde_json::to_vec(&event).map_err(|_| inconsistent("events", "body", event.id))?;
        let body = session.db.packer.pack(&json);
        let event = Arc::new(event);
        session.pending.events.push(NewRow {
            position: int(position),
            latest_at,
            entry: entry.map(int),
            event: event.clone(),
            body,
        });
        session.gathered += 1;
        session.heads.position = position;
        session.heads.latest_at = latest_at;
        logged.push(LoggedEvent { partition: 0, position, event, json: Bytes::from(json) });
    }
    session.told.extend_from_slice(&logged);
    Ok(logged)
}

const PUT: &str = "
    INSERT INTO events (position, id, type, environment, source_id, customer_id, purchase_id, detected_at, latest_at,
                        body, entry)
    SELECT position, id, type, environment, source_id, customer_id, purchase_id, detected_at, latest_at, body, entry
    FROM unnest($1::bigint[], $2::bytea[], $3::text[], $4::text[], $5::bytea[], $6::bytea[], $7::bytea[],
                $8::bigint[], $9::bigint[], $10::bytea[], $11::bigint[])
         AS new (position, id, type, environment, source_id, customer_id, purchase_id, detected_at, latest_at, body,
                 entry)";

/// Writes gathered rows.
pub(super) fn send(db: &mut Db, rows: &[NewRow]) -> Outcome<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let of = |column: fn(&NewRow) -> &[u8]| rows.iter().map(column).collect::<Vec<&[u8]>>();
    let words = |column: fn(&NewRow) -> &'static str| rows.iter().map(column).collect::<Vec<&str>>();
    let numbers = |column: fn(&NewRow) -> i64| rows.iter().map(column).collect::<Vec<i64>>();
    db.execute(
        PUT,
        &[
            &numbers(|row| row.position),
            &of(|row| &row.event.id.0),
            &words(|row| row.event.event_type.as_str()),
            &words(|row| row.event.environment.as_str()),
            &of(|row| &row.event.source_id.0),
            &of(|row| &row.event.customer.id.0),
            &of(|row| &row.event.purchase.id.0),
            &numbers(|row| row.event.detected_at.as_millis()),
            &numbers(|row| row.latest_at),
            &of(|row| &row.body),
            &rows.iter().map(|row| row.entry).collect::<Vec<Option<i64>>>(),
        ],
    )?;
    Ok(())
}

pub(super) const AFTER: &str = "
    SELECT position, body
    FROM events
    WHERE position > $1
    ORDER BY position
    LIMIT $2";

/// Events after a position, in order.
pub(super) fn after(db: &mut Db, position: u64, limit: usize) -> Outcome<Vec<LoggedEvent>> {
    let rows = db.query(AFTER, &[&int(position), &limit_of(limit)])?;
    rows.iter().map(|row| read(db, row)).collect()
}

/// An event's JSON. `position` is in column 0, the body in column 1.
pub(super) fn json(db: &Db, row: &Row) -> Outcome<Vec<u8>> {
    let position = number(row, 0)?;
    db.unpack(get(row, 1)?, "events", "body", position)
}

/// Columns as for [`json`].
fn read(db: &Db, row: &Row) -> Outcome<LoggedEvent> {
    let position = number(row, 0)?;
    let json = json(db, row)?;
    let event: Event = serde_json::from_slice(&json).map_err(|_| inconsistent("events", "body", position))?;
    Ok(LoggedEvent { partition: 0, position, event: Arc::new(event), json: Bytes::from(json) })
}

/// One by its id.
pub(super) fn by_id(db: &mut Db, id: EventId) -> Outcome<Option<LoggedEvent>> {
    let row = db.first("SELECT position, body FROM events WHERE id = $1", &[&id.0.as_slice()])?;
    row.map(|row| read(db, &row)).transpose()
}

/// The last position; 0: none. The newest event is never pruned, so its place is the head.
pub(super) fn head(db: &mut Db) -> Outcome<u64> {
    let row = db.first("SELECT coalesce(max(position), 0) FROM events", &[])?;
    row.map_or(Ok(0), |row| number(&row, 0))
}

/// The first position whose event was detected at or after `at`; one past the head when there is none. The first place
/// where `latest_at` reaches `at` is the first event detected then.
pub(super) fn position_at(db: &mut Db, at: Timestamp) -> Outcome<u64> {
    let row = db.first(
        "SELECT position
         FROM events
         WHERE latest_at >= $1
         ORDER BY latest_at, position
         LIMIT 1",
        &[&at.as_millis()],
    )?;
    match row {
        Some(row) => number(&row, 0),
        None => Ok(head(db)? + 1),
    }
}

/// Planned for itself where it asks for a customer or a purchase, so that it narrows along the index that serves it best:
/// its values are known when it is planned only as long as its plan is not kept.
fn listed(query: &EventQuery) -> String {
    let of_customer = if query.customer.is_some() { "customer_id = ANY($8)" } else { "$8::bytea[] IS NULL" };
    let of_purchase = if query.purchase.is_some() { "purchase_id = $9" } else { "$9::bytea IS NULL" };
    format!(
        "
    SELECT position, body
    FROM events
    WHERE position < $1 AND position >= $2
      AND ($3::text[] IS NULL OR type = ANY($3))
      AND ($4::text IS NULL OR environment = $4)
      AND ($5::bytea IS NULL OR source_id = $5)
      AND ($6::bigint IS NULL OR detected_at >= $6)
      AND ($7::bigint IS NULL OR detected_at < $7)
      AND {of_customer}
      AND {of_purchase}
    ORDER BY position DESC
    LIMIT $10"
    )
}

/// Newest first. A customer's are those of all who were merged into it too.
pub(super) fn list(db: &mut Db, query: &EventQuery) -> Outcome<Vec<LoggedEvent>> {
    let family = match query.customer {
        Some(customer) => {
            let answers_as = customers::resolve(db, customer)?.map_or(customer, |customer| customer.id);
            Some(customers::with_merged(db, answers_as)?)
        }
        None => None,
    };
    let family: Option<Vec<&[u8]>> = family.as_ref().map(|family| family.iter().map(|id| id.0.as_slice()).collect());
    let lowest = query.from.map_or(Ok(1), |from| position_at(db, from))?;
    let types: Option<Vec<&str>> =
        (!query.types.is_empty()).then(|| query.types.iter().map(|event_type| event_type.as_str()).collect());
    let values: Values<'_> = &[
        &query.before_position.map_or(i64::MAX, int),
        &int(lowest),
        &types,
        &query.environment.map(|environment| environment.as_str()),
        &query.source.as_ref().map(|source| source.0.as_slice()),
        &query.from.map(Timestamp::as_millis),
        &query.to.map(Timestamp::as_millis),
        &family,
        &query.purchase.as_ref().map(|purchase| purchase.0.as_slice()),
        &limit_of(query.limit),
    ];
    let rows = db.query(&listed(query), values)?;
    rows.iter().map(|row| read(db, row)).collect()
}
