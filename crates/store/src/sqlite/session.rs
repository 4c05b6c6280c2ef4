//! What the writer knows while it works: its connection and the ends of the logs.

use super::db::{Db, Outcome, int, uint};
use super::hot::Hot;
use crate::StoreError;
use paidup_lifecycle::catalogue::Catalogue;
use paidup_lifecycle::event::LoggedEvent;
use rusqlite::OptionalExtension;
use std::sync::Arc;

/// The ends of the logs, and the catalogue. Taken back when a command or a transaction is undone.
#[derive(Clone)]
pub(super) struct Heads {
    /// Last journal entry.
    pub(super) entry: u64,
    /// Its chain digest.
    pub(super) chain: [u8; 32],
    /// Last position of the event log.
    pub(super) position: u64,
    /// The latest `detected_at` so far.
    pub(super) latest_at: i64,
    /// Number of the last notification.
    pub(super) notification: u64,
    /// As of now.
    pub(super) catalogue: Arc<Catalogue>,
}

/// The writer's connection inside a transaction.
pub(super) struct Session {
    pub(super) db: Db,
    pub(super) heads: Heads,
    /// Rows as the transaction sees them.
    pub(super) hot: Hot,
    /// The transaction's new events, in log order.
    pub(super) told: Vec<LoggedEvent>,
}

impl Session {
    pub(super) fn new(db: Db) -> Outcome<Session> {
        let heads = read_heads(&db)?;
        Ok(Session { db, heads, hot: Hot::new(), told: Vec::new() })
    }
}

/// Reads the ends of the logs again: at start, and after a transaction that failed as a whole.
pub(super) fn read_heads(db: &Db) -> Outcome<Heads> {
    let (entry, chain, position, notification): (i64, [u8; 32], i64, i64) = db.conn.query_row(
        "SELECT entry, chain, position, notification
         FROM heads
         WHERE partition = 0",
        [],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
    )?;
    let latest_at = db
        .conn
        .query_row("SELECT latest_at FROM events ORDER BY position DESC LIMIT 1", [], |row| row.get(0))
        .optional()?
        .unwrap_or(i64::MIN);
    Ok(Heads {
        entry: uint(entry),
        chain,
        position: uint(position),
        latest_at,
        notification: uint(notification),
        catalogue: Arc::new(read_catalogue(db)?),
    })
}

fn read_catalogue(db: &Db) -> Outcome<Catalogue> {
    let body: Option<Vec<u8>> =
        db.conn.query_row("SELECT body FROM catalogue WHERE one = 1", [], |row| row.get(0)).optional()?;
    let Some(body) = body else { return Ok(Catalogue::default()) };
    serde_json::from_slice(&body).map_err(|_| StoreError::Inconsistent {
        table: "catalogue",
        column: "body",
        id: "1".to_owned(),
    })
}

impl Heads {
    /// Whether these are the ends of other logs than `before`.
    pub(super) fn moved_since(&self, before: &Heads) -> bool {
        (self.entry, self.position, self.notification) != (before.entry, before.position, before.notification)
    }
}

/// Writes the ends of the logs, once in each transaction.
pub(super) fn write_heads(db: &Db, heads: &Heads) -> Outcome<()> {
    db.conn
        .prepare_cached(
            "UPDATE heads
             SET entry = ?1, chain = ?2, position = ?3, notification = ?4
             WHERE partition = 0",
        )?
        .execute((int(heads.entry), heads.chain, int(heads.position), int(heads.notification)))?;
    Ok(())
}
