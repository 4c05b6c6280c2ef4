//! The event log: appended to, read in order, by id, and back along the chains of a customer or a purchase.

use super::db::{Db, Outcome, inconsistent, int, limit_of, uint};
use super::notifications::Kept;
use super::rows::Rows;
use super::session::Session;
use super::{borrow, customers, notifications, purchases};
use crate::records::EventQuery;
use bytes::Bytes;
use paidup_lifecycle::event::{Event, LoggedEvent};
use paidup_lifecycle::ids::EventId;
use paidup_lifecycle::time::Timestamp;
use rusqlite::{OptionalExtension, Row};
use std::collections::BinaryHeap;
use std::sync::Arc;

/// Appends events in their order; `rows` learn where the last event of each customer and purchase is. They borrow from
/// what was kept with them.
pub(super) fn append(
    session: &mut Session,
    rows: &mut Rows,
    kept: &Kept,
    entry: Option<u64>,
    events: Vec<Event>,
) -> Outcome<Vec<LoggedEvent>> {
    let mut logged = Vec::with_capacity(events.len());
    // Lenders never fall from one event to the next: pruning goes along the log and stops at the first that stays.
    let mut lowest = 0;
    for event in events {
        let position = session.heads.position + 1;
        let latest_at = session.heads.latest_at.max(event.detected_at.as_millis());
        let json = session.db.json(&event).map_err(|_| inconsistent("events", "body", event.id))?;
        let lender = kept.about.get(&event.purchase.id).filter(|(number, _)| *number >= lowest);
        let borrowing = lender.and_then(|(_, body)| borrow::borrow(&event, &json, body));
        if let (Some((number, _)), true) = (lender, borrowing.is_some()) {
            lowest = *number;
        }
        let body = session.db.packer.pack(borrowing.as_ref().map_or(&json, |borrowing| &borrowing.rest));
        let customer = rows.customer(&session.db, event.customer.id)?;
        let before_of_customer = customer.last_event.replace(int(position));
        customer.moved = true;
        let purchase = rows.purchase(&session.db, event.purchase.id)?;
        let before_of_purchase = purchase.last_event.replace(int(position));
        purchase.moved = true;
        session
            .db
            .conn
            .prepare_cached(
                "INSERT INTO events (position, id, type, environment, source_id, detected_at, latest_at,
                                     before_of_customer, before_of_purchase, body, borrows_from, borrowed, entry)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
            )?
            .execute((
                int(position),
                event.id.0,
                event.event_type.as_str(),
                event.environment.as_str(),
                event.source_id.0,
                event.detected_at.as_millis(),
                latest_at,
                before_of_customer,
                before_of_purchase,
                body,
                lender.filter(|_| borrowing.is_some()).map(|(number, _)| int(*number)),
                borrowing.map(|borrowing| borrowing.notes),
                entry.map(int),
            ))?;
        session.heads.position = position;
        session.heads.latest_at = latest_at;
        logged.push(LoggedEvent { partition: 0, position, event: Arc::new(event), json });
    }
    session.told.extend_from_slice(&logged);
    Ok(logged)
}

/// The last position; 0: none.
pub(super) fn head(db: &Db) -> Outcome<u64> {
    // The newest event is never pruned, so its place is the head.
    let head: i64 =
        db.conn.prepare_cached("SELECT coalesce(max(position), 0) FROM events")?.query_row([], |row| row.get(0))?;
    Ok(uint(head))
}

pub(super) const AFTER: &str = "
    SELECT position, body, borrows_from, borrowed
    FROM events
    WHERE position > ?1
    ORDER BY position
    LIMIT ?2";

/// Events after a position, in order.
pub(super) fn after(db: &Db, position: u64, limit: usize) -> Outcome<Vec<LoggedEvent>> {
    let mut statement = db.conn.prepare_cached(AFTER)?;
    let mut rows = statement.query((int(position), limit_of(limit)))?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        events.push(read(db, row)?);
    }
    Ok(events)
}

/// An event's JSON. `position` is in column 0, the body in column 1, then what it borrows.
pub(super) fn json(db: &Db, row: &Row<'_>) -> Outcome<Vec<u8>> {
    let position: i64 = row.get(0)?;
    let rest = db.unpack(row.get_ref(1)?.as_blob().unwrap_or_default(), "events", "body", position)?;
    let Some(number) = row.get(2)? else { return Ok(rest) };
    let body = notifications::body_at(db, number)?;
    let notes = row.get_ref(3)?.as_blob().unwrap_or_default();
    borrow::give_back(&rest, notes, &body).ok_or_else(|| inconsistent("events", "borrowed", position))
}

/// Columns as for [`json`].
fn read(db: &Db, row: &Row<'_>) -> Outcome<LoggedEvent> {
    let position = uint(row.get(0)?);
    let json = json(db, row)?;
    let event: Event = serde_json::from_slice(&json).map_err(|_| inconsistent("events", "body", position))?;
    Ok(LoggedEvent { partition: 0, position, event: Arc::new(event), json: Bytes::from(json) })
}

const AT: &str = "SELECT position, body, borrows_from, borrowed FROM events WHERE position = ?1";

/// One by its place.
fn at(db: &Db, position: u64) -> Outcome<Option<LoggedEvent>> {
    let mut statement = db.conn.prepare_cached(AT)?;
    let mut rows = statement.query([int(position)])?;
    rows.next()?.map(|row| read(db, row)).transpose()
}

pub(super) const BY_ID: &str = "SELECT position, body, borrows_from, borrowed FROM events WHERE id = ?1";

/// One by its id.
pub(super) fn by_id(db: &Db, id: EventId) -> Outcome<Option<LoggedEvent>> {
    let mut statement = db.conn.prepare_cached(BY_ID)?;
    let mut rows = statement.query([id.0])?;
    rows.next()?.map(|row| read(db, row)).transpose()
}

/// The first position whose event was detected at or after `at`; one past the head when there is none. Halves the log
/// by `latest_at`: the first place where it reaches `at` is the first event detected then.
pub(super) fn position_at(db: &Db, at: Timestamp) -> Outcome<u64> {
    let (first, last): (Option<i64>, Option<i64>) = db
        .conn
        .prepare_cached(
            "SELECT (SELECT position FROM events ORDER BY position LIMIT 1),
                    (SELECT position FROM events ORDER BY position DESC LIMIT 1)",
        )?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (Some(first), Some(last)) = (first, last) else { return Ok(1) };
    let mut statement = db.conn.prepare_cached("SELECT latest_at FROM events WHERE position = ?1")?;
    let (mut low, mut high) = (first, last + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let latest_at: Option<i64> = statement.query_row([middle], |row| row.get(0)).optional()?;
        if latest_at.is_none() && !is_pruned(db, middle)? {
            return Err(inconsistent("events", "position", middle));
        }
        if latest_at.is_none_or(|latest_at| latest_at < at.as_millis()) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(uint(low))
}

pub(super) const LISTED: &str = "
    SELECT position
    FROM events INDEXED BY events_listed
    WHERE position < ?1 AND position >= ?2
      AND (?3 IS NULL OR instr(?3, ',' || type || ',') > 0)
      AND (?4 IS NULL OR environment = ?4)
      AND (?5 IS NULL OR source_id = ?5)
      AND (?6 IS NULL OR detected_at >= ?6)
      AND (?7 IS NULL OR detected_at < ?7)
    ORDER BY position DESC
    LIMIT ?8";

/// Newest first. By customer or purchase along their chains, else along the index that holds what is filtered by.
pub(super) fn list(db: &Db, query: &EventQuery) -> Outcome<Vec<LoggedEvent>> {
    if query.customer.is_some() || query.purchase.is_some() {
        return list_chain(db, query);
    }
    let lowest = query.from.map_or(Ok(1), |from| position_at(db, from))?;
    let types = (!query.types.is_empty()).then(|| {
        let words: Vec<&str> = query.types.iter().map(|event_type| event_type.as_str()).collect();
        format!(",{},", words.join(","))
    });
    let mut statement = db.conn.prepare_cached(LISTED)?;
    let mut rows = statement.query((
        query.before_position.map_or(i64::MAX, int),
        int(lowest),
        types,
        query.environment.map(|environment| environment.as_str()),
        query.source.map(|source| source.0),
        query.from.map(Timestamp::as_millis),
        query.to.map(Timestamp::as_millis),
        limit_of(query.limit),
    ))?;
    let mut positions = Vec::new();
    while let Some(row) = rows.next()? {
        positions.push(uint(row.get(0)?));
    }
    let mut listed = Vec::with_capacity(positions.len());
    for position in positions {
        match at(db, position)? {
            Some(logged) => listed.push(logged),
            None if is_pruned(db, int(position))? => break,
            None => return Err(inconsistent("events", "position", position)),
        }
    }
    Ok(listed)
}

/// Whether a place is empty because its event was pruned. Asked when one is missing: pruning goes on while others read.
fn is_pruned(db: &Db, position: i64) -> Outcome<bool> {
    Ok(uint(position) <= super::pruning::pruned(db)?.position)
}

/// One event as the chains see it.
struct Link {
    before_of_customer: Option<i64>,
    before_of_purchase: Option<i64>,
}

/// Walks back from the last event of the purchase, or of the customer and of all who were merged into it. Where the log
/// was pruned, the walk ends.
fn list_chain(db: &Db, query: &EventQuery) -> Outcome<Vec<LoggedEvent>> {
    let family = match query.customer {
        Some(customer) => {
            let answers_as = customers::resolve(db, customer)?.map_or(customer, |customer| customer.id);
            customers::with_merged(db, answers_as)?
        }
        None => Vec::new(),
    };
    let mut ends: BinaryHeap<i64> = BinaryHeap::new();
    if let Some(purchase) = query.purchase {
        ends.extend(purchases::slot(db, purchase)?.last_event);
    } else {
        for customer in &family {
            ends.extend(customers::slot(db, *customer)?.last_event);
        }
    }
    let newest = query.before_position.map_or(i64::MAX, int);
    let lowest = int(query.from.map_or(Ok(1), |from| position_at(db, from))?);
    let mut found = Vec::new();
    while let Some(position) = ends.pop() {
        if position < lowest || found.len() >= query.limit {
            break;
        }
        let Some(link) = link(db, position)? else { break };
        let before = if query.purchase.is_some() { link.before_of_purchase } else { link.before_of_customer };
        ends.extend(before);
        if position >= newest {
            continue;
        }
        let Some(logged) = at(db, uint(position))? else { break };
        if matches(query, &logged.event) && (family.is_empty() || family.contains(&logged.event.customer.id)) {
            found.push(logged);
        }
    }
    Ok(found)
}

/// `None`: it was pruned, and so is everything before it.
fn link(db: &Db, position: i64) -> Outcome<Option<Link>> {
    let link = db
        .conn
        .prepare_cached("SELECT before_of_customer, before_of_purchase FROM events WHERE position = ?1")?
        .query_row([position], |row| Ok(Link { before_of_customer: row.get(0)?, before_of_purchase: row.get(1)? }))
        .optional()?;
    match link {
        None if !is_pruned(db, position)? => Err(inconsistent("events", "position", position)),
        link => Ok(link),
    }
}

/// What the chains do not decide.
fn matches(query: &EventQuery, event: &Event) -> bool {
    (query.types.is_empty() || query.types.contains(&event.event_type))
        && query.environment.is_none_or(|environment| environment == event.environment)
        && query.source.is_none_or(|source| source == event.source_id)
        && query.from.is_none_or(|from| event.detected_at >= from)
        && query.to.is_none_or(|to| event.detected_at < to)
}
