//! What the writer knows while it works: its connection, the ends of the logs, and what is decided but not sent yet.
//!
//! A commit's rows are gathered and sent with those of its whole group, a statement for each table: a round trip for each
//! row would cost more than the disk. What is gathered is seen by the next decision all the same ([`Session::pending`],
//! [`Session::hot`]). Whatever else writes or reads rows sends it first ([`Session::flush`]).

use super::db::{Db, Outcome, get, int, number};
use super::{customers, events, journal, notifications, purchases};
use crate::StoreError;
use crate::lately::Lately;
use paidup_lifecycle::catalogue::Catalogue;
use paidup_lifecycle::customer::Customer;
use paidup_lifecycle::event::LoggedEvent;
use paidup_lifecycle::ids::{CustomerId, PurchaseId};
use paidup_lifecycle::purchase::Purchase;
use std::collections::BTreeMap;
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
    /// Number of the last customer.
    pub(super) customer: u64,
    /// As of now.
    pub(super) catalogue: Arc<Catalogue>,
}

/// A row as the transaction sees it.
pub(super) struct Known<T> {
    pub(super) row: Arc<T>,
    /// It has its id in Discord's shape.
    pub(super) has_snowflake: bool,
}

impl<T> Clone for Known<T> {
    fn clone(&self) -> Known<T> {
        Known { row: self.row.clone(), has_snowflake: self.has_snowflake }
    }
}

/// Half of what each table of remembered rows may hold, in bytes of their JSON (see the same for SQLite).
const HALF_BYTES: usize = 2 * 1024 * 1024;
/// The same for aliases, in bytes of their texts.
const HALF_ALIAS_BYTES: usize = 128 * 1024;

/// Rows that the writer met lately, decoded. Whatever undoes a write empties it.
pub(super) struct Hot {
    pub(super) purchases: Lately<PurchaseId, Known<Purchase>>,
    pub(super) customers: Lately<CustomerId, Known<Customer>>,
    pub(super) aliases: Lately<String, CustomerId>,
}

impl Hot {
    fn new() -> Hot {
        Hot {
            purchases: Lately::new(HALF_BYTES),
            customers: Lately::new(HALF_BYTES),
            aliases: Lately::new(HALF_ALIAS_BYTES),
        }
    }
}

/// What is decided and not sent.
#[derive(Default)]
pub(super) struct Pending {
    pub(super) notifications: Vec<notifications::NewRow>,
    pub(super) journal: Vec<journal::NewRow>,
    pub(super) events: Vec<events::NewRow>,
    pub(super) purchases: BTreeMap<PurchaseId, purchases::NewRow>,
    pub(super) customers: BTreeMap<CustomerId, customers::NewRow>,
    pub(super) aliases: BTreeMap<String, CustomerId>,
    pub(super) other_ids: BTreeMap<PurchaseId, PurchaseId>,
    /// Rows that need a snowflake, in the order in which they came to need it: that order decides who gets which.
    pub(super) purchases_to_name: Vec<PurchaseId>,
    pub(super) customers_to_name: Vec<CustomerId>,
}

/// The writer's connection inside a transaction.
pub(super) struct Session {
    pub(super) db: Db,
    pub(super) heads: Heads,
    pub(super) hot: Hot,
    pub(super) pending: Pending,
    /// The transaction's new events, in log order.
    pub(super) told: Vec<LoggedEvent>,
    /// Grows with everything that is gathered: whether a command that failed has left something.
    pub(super) gathered: u64,
}

impl Session {
    pub(super) fn new(mut db: Db) -> Outcome<Session> {
        let heads = read_heads(&mut db)?;
        Ok(Session { db, heads, hot: Hot::new(), pending: Pending::default(), told: Vec::new(), gathered: 0 })
    }

    /// Something was undone: nothing of what is remembered may hold any more.
    pub(super) fn forget(&mut self) {
        self.hot = Hot::new();
        self.pending = Pending::default();
    }

    /// How much was gathered or written so far: the same before and after means that there is nothing to undo.
    pub(super) fn traces(&self) -> u64 {
        self.gathered + self.db.written
    }

    /// Sends what is gathered.
    pub(super) fn flush(&mut self) -> Outcome<()> {
        let pending = std::mem::take(&mut self.pending);
        notifications::send(&mut self.db, &pending.notifications)?;
        journal::send(&mut self.db, &pending.journal)?;
        events::send(&mut self.db, &pending.events)?;
        purchases::send(self, pending.purchases, &pending.purchases_to_name)?;
        customers::send(self, pending.customers, &pending.customers_to_name)?;
        customers::send_aliases(&mut self.db, &pending.aliases)?;
        purchases::send_other_ids(&mut self.db, &pending.other_ids)
    }
}

/// Reads the ends of the logs again: at start, and after a transaction that failed as a whole.
pub(super) fn read_heads(db: &mut Db) -> Outcome<Heads> {
    let gone = || StoreError::Corrupt("the ends of the logs (heads) are missing".to_owned());
    let row = db
        .first(
            "SELECT entry, chain, position, notification, customer
             FROM heads
             WHERE partition = 0",
            &[],
        )?
        .ok_or_else(gone)?;
    let latest = db.first("SELECT latest_at FROM events ORDER BY position DESC LIMIT 1", &[])?;
    Ok(Heads {
        entry: number(&row, 0)?,
        chain: get::<&[u8]>(&row, 1)?.try_into().map_err(|_| gone())?,
        position: number(&row, 2)?,
        latest_at: latest.map_or(Ok(i64::MIN), |row| get(&row, 0))?,
        notification: number(&row, 3)?,
        customer: number(&row, 4)?,
        catalogue: Arc::new(read_catalogue(db)?),
    })
}

fn read_catalogue(db: &mut Db) -> Outcome<Catalogue> {
    let Some(row) = db.first("SELECT body FROM catalogue WHERE one = 1", &[])? else {
        return Ok(Catalogue::default());
    };
    super::db::json(&row, 0, "catalogue", "body", "1")
}

impl Heads {
    /// Whether these are the ends of other logs than `before`.
    pub(super) fn moved_since(&self, before: &Heads) -> bool {
        let ends = |heads: &Heads| (heads.entry, heads.position, heads.notification, heads.customer);
        ends(self) != ends(before)
    }
}

/// Writes the ends of the logs, once in each transaction.
pub(super) fn write_heads(db: &mut Db, heads: &Heads) -> Outcome<()> {
    db.execute(
        "UPDATE heads
         SET entry = $1, chain = $2, position = $3, notification = $4, customer = $5
         WHERE partition = 0",
        &[
            &int(heads.entry),
            &heads.chain.as_slice(),
            &int(heads.position),
            &int(heads.notification),
            &int(heads.customer),
        ],
    )?;
    Ok(())
}
