//! Checks the journal and the kept notifications against their digests, and names what does not fit.
//!
//! A row's short digests name the column that was changed. The chain (for notifications: the seal, which the journal
//! repeats) proves the row as a whole, so it also finds a digest that was changed, a row that is missing and one that
//! was put in between. This finds damage and mistakes. It is no proof against someone who recomputes the whole chain.

use super::db::{Db, Outcome, get, int, uint};
use super::session::read_heads;
use super::{journal, notifications, pruning};
use crate::digests::{Cell, changed_columns, first16, row_digests};
use crate::records::Mismatch;
use postgres::Row;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// Rows in one read, so that no snapshot is held for long.
const SLICE: i64 = 500;

/// How far the check has come.
#[derive(Clone)]
pub(super) struct Check {
    stage: Stage,
    found: BTreeSet<Mismatch>,
    limit: usize,
    /// Where the check began: rows that are appended meanwhile are left for the next check.
    last_entry: u64,
    last_chain: [u8; 32],
    last_notification: u64,
    /// Notifications up to this one were pruned.
    pruned: u64,
}

#[derive(Clone, Copy)]
enum Stage {
    Start,
    /// The chain of the entry `after`; `None`: it is not known, because that entry is missing.
    Journal {
        after: i64,
        chain: Option<[u8; 32]>,
    },
    Notifications {
        after: i64,
    },
    SharedParts {
        after: Option<[u8; 16]>,
    },
    Done,
}

impl Check {
    pub(super) fn new(limit: usize) -> Check {
        Check {
            stage: Stage::Start,
            found: BTreeSet::new(),
            limit,
            last_entry: 0,
            last_chain: [0; 32],
            last_notification: 0,
            pruned: 0,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done) || self.found.len() >= self.limit
    }

    pub(super) fn into_found(self) -> Vec<Mismatch> {
        self.found.into_iter().take(self.limit).collect()
    }

    /// Does the next slice.
    pub(super) fn step(mut self, db: &mut Db) -> Outcome<Check> {
        self.stage = match self.stage {
            Stage::Start => {
                let heads = read_heads(db)?;
                self.last_entry = heads.entry;
                self.last_chain = heads.chain;
                self.last_notification = heads.notification;
                let pruned = pruning::pruned(db)?;
                self.pruned = pruned.notification;
                Stage::Journal { after: int(pruned.entry), chain: Some(pruning::pruned_chain(db)?) }
            }
            Stage::Journal { after, chain } => self.journal(db, after, chain)?,
            Stage::Notifications { after } => self.notifications(db, after)?,
            Stage::SharedParts { after } => self.shared_parts(db, after)?,
            Stage::Done => Stage::Done,
        };
        Ok(self)
    }

    fn report(&mut self, table: &'static str, row: String, column: Option<&'static str>, detail: &str) {
        if self.found.len() < self.limit {
            self.found.insert(Mismatch { table, row, column, detail: detail.to_owned() });
        }
    }

    fn journal(&mut self, db: &mut Db, mut after: i64, mut chain: Option<[u8; 32]>) -> Outcome<Stage> {
        let rows = db.query(JOURNAL, &[&after, &SLICE])?;
        let is_last = int(rows.len() as u64) < SLICE;
        for row in &rows {
            let entry: i64 = get(row, 0)?;
            if uint(entry) > self.last_entry {
                // Appended since the check began, or put there: the end of the log as it is noted now decides.
                if uint(entry) > read_heads(db)?.entry {
                    self.journal_row(db, row, entry, None)?;
                    self.report("journal", format!("entry {entry}"), Some("entry"), "is beyond the end of the journal");
                }
                break;
            }
            if self.missing("journal", "entry", after + 1..=entry - 1) {
                chain = None;
            }
            chain = self.journal_row(db, row, entry, chain)?;
            after = entry;
        }
        if !is_last && uint(after) < self.last_entry {
            return Ok(Stage::Journal { after, chain });
        }
        let gap = self.missing("journal", "entry", after + 1..=int(self.last_entry));
        if !gap && chain.is_some_and(|chain| chain != self.last_chain) {
            self.report("heads", "partition 0".to_owned(), Some("chain"), "is not the chain of the last entry");
        }
        Ok(Stage::Notifications { after: int(self.pruned) })
    }

    /// Reports rows that are not there, a gap as one; answers whether there is one.
    fn missing(&mut self, table: &'static str, column: &'static str, rows: RangeInclusive<i64>) -> bool {
        let (first, last) = rows.into_inner();
        if first <= last {
            let row = if first == last { format!("{column} {first}") } else { format!("{column} {first} to {last}") };
            self.report(table, row, Some(column), "is missing");
        }
        first <= last
    }

    /// Checks one entry; answers the chain that the next one is checked with.
    fn journal_row(
        &mut self,
        db: &mut Db,
        row: &Row,
        entry: i64,
        before: Option<[u8; 32]>,
    ) -> Outcome<Option<[u8; 32]>> {
        let name = || format!("entry {entry}");
        let columns = journal_cells(row)?;
        let kept_chain: Option<[u8; 32]> = get::<&[u8]>(row, 11)?.try_into().ok();
        let (naming, chain) = row_digests(&before.unwrap_or_default(), &columns);
        let changed = changed_columns(&naming, get(row, 10)?, &journal::COLUMNS);
        let chain = before.map(|_| chain);
        let mut next = chain;
        if chain.is_some() && kept_chain == chain {
            if !changed.is_empty() {
                self.report("journal", name(), Some("digests"), "do not fit the row, while its chain does");
            }
        } else if changed.is_empty() && chain.is_some() {
            self.report("journal", name(), Some("chain"), "does not fit the row and the entry before");
        } else {
            for column in changed {
                self.report("journal", name(), Some(column), "was changed");
            }
            // Here the columns are wrong or the entry before is missing: the kept chain is what the next one hangs on.
            next = kept_chain;
        }
        if let Err(reason) = db.packer.unpack(get(row, 6)?) {
            self.report("journal", name(), Some("input"), &reason);
        }
        self.seals(db, entry, uint(get(row, 8)?), get(row, 9)?)?;
        Ok(next)
    }

    /// Whether the notifications that an entry kept are there, with the seals that it noted.
    fn seals(&mut self, db: &mut Db, entry: i64, from: u64, seals: &[u8]) -> Outcome<()> {
        for (place, seal) in seals.chunks(16).enumerate() {
            let number = from.saturating_add(place as u64);
            if number <= self.pruned {
                continue;
            }
            let row = db.first("SELECT seal FROM notifications WHERE number = $1", &[&int(number)])?;
            match row.as_ref().map(|row| get::<&[u8]>(row, 0)).transpose()? {
                Some(kept) if kept == seal => {}
                Some(_) => {
                    let detail = format!("is not the seal that journal entry {entry} noted");
                    self.report("notifications", format!("number {number}"), Some("seal"), &detail);
                }
                None => {
                    let detail = format!("is missing; journal entry {entry} kept it");
                    self.report("notifications", format!("number {number}"), Some("number"), &detail);
                }
            }
        }
        Ok(())
    }

    fn notifications(&mut self, db: &mut Db, mut after: i64) -> Outcome<Stage> {
        let rows = db.query(NOTIFICATIONS, &[&after, &SLICE])?;
        let is_last = int(rows.len() as u64) < SLICE;
        for row in &rows {
            let number: i64 = get(row, 0)?;
            if uint(number) > self.last_notification {
                if uint(number) > read_heads(db)?.notification {
                    self.notification_row(db, row, number)?;
                    let name = format!("number {number}");
                    self.report("notifications", name, Some("number"), "is beyond the end of the notifications");
                }
                break;
            }
            self.missing("notifications", "number", after + 1..=number - 1);
            self.notification_row(db, row, number)?;
            after = number;
        }
        if !is_last && uint(after) < self.last_notification {
            return Ok(Stage::Notifications { after });
        }
        self.missing("notifications", "number", after + 1..=int(self.last_notification));
        Ok(Stage::SharedParts { after: None })
    }

    fn notification_row(&mut self, db: &mut Db, row: &Row, number: i64) -> Outcome<()> {
        let name = || format!("number {number}");
        let columns = notification_cells(row)?;
        let (naming, whole) = row_digests(&[], &columns);
        let changed = changed_columns(&naming, get(row, 11)?, &notifications::COLUMNS);
        let seal_fits = get::<&[u8]>(row, 12)? == first16(whole);
        if seal_fits && !changed.is_empty() {
            self.report("notifications", name(), Some("digests"), "do not fit the row, while its seal does");
        } else if !seal_fits && changed.is_empty() {
            self.report("notifications", name(), Some("seal"), "does not fit the row");
        } else {
            for column in changed {
                self.report("notifications", name(), Some(column), "was changed");
            }
        }
        if let Err(reason) = db.packer.unpack(get(row, 10)?) {
            self.report("notifications", name(), Some("body"), &reason);
        }
        for digest in get::<&[u8]>(row, 9)?.chunks(16) {
            if db.first("SELECT 1 FROM shared_parts WHERE digest = $1", &[&digest])?.is_none() {
                self.report("notifications", name(), Some("shared"), "names a shared part that is missing");
            }
        }
        Ok(())
    }

    fn shared_parts(&mut self, db: &mut Db, after: Option<[u8; 16]>) -> Outcome<Stage> {
        let rows = db.query(
            "SELECT digest, body
             FROM shared_parts
             WHERE $1::bytea IS NULL OR digest > $1
             ORDER BY digest
             LIMIT $2",
            &[&after.as_ref().map(<[u8; 16]>::as_slice), &SLICE],
        )?;
        let mut last = None;
        for row in &rows {
            let digest: &[u8] = get(row, 0)?;
            let name = format!("digest {}", notifications::hex(digest));
            last = digest.try_into().ok();
            match db.packer.unpack(get(row, 1)?) {
                Ok(part) if first16(Sha256::digest(&part).into()) == digest => {}
                Ok(_) => self.report("shared_parts", name, Some("body"), "does not fit its digest"),
                Err(reason) => self.report("shared_parts", name, Some("body"), &reason),
            }
        }
        Ok(if int(rows.len() as u64) == SLICE { Stage::SharedParts { after: last } } else { Stage::Done })
    }
}

const JOURNAL: &str = "
    SELECT entry, decided_at, engine_version, catalogue_revision, policy_revision, seed, input, notifications,
           kept_from, kept, digests, chain
    FROM journal
    WHERE entry > $1
    ORDER BY entry
    LIMIT $2";

const NOTIFICATIONS: &str = "
    SELECT number, id, source_id, external_id, label, received_at, outcome, purchase_id, body_packed, shared, body,
           digests, seal
    FROM notifications
    WHERE number > $1
    ORDER BY number
    LIMIT $2";

fn journal_cells(row: &Row) -> Outcome<[Cell<'_>; 10]> {
    Ok([
        Cell::Integer(get(row, 0)?),
        Cell::Integer(get(row, 1)?),
        Cell::Integer(get(row, 2)?),
        Cell::Integer(get(row, 3)?),
        Cell::Integer(get(row, 4)?),
        Cell::Blob(get(row, 5)?),
        Cell::Blob(get(row, 6)?),
        Cell::Blob(get(row, 7)?),
        Cell::Integer(get(row, 8)?),
        Cell::Blob(get(row, 9)?),
    ])
}

fn notification_cells(row: &Row) -> Outcome<[Cell<'_>; 11]> {
    let purchase: Option<&[u8]> = get(row, 7)?;
    Ok([
        Cell::Integer(get(row, 0)?),
        Cell::Blob(get(row, 1)?),
        Cell::Blob(get(row, 2)?),
        Cell::Text(get(row, 3)?),
        Cell::Text(get(row, 4)?),
        Cell::Integer(get(row, 5)?),
        Cell::Text(get::<&str>(row, 6)?.as_bytes()),
        purchase.map_or(Cell::Null, Cell::Blob),
        Cell::Integer(i64::from(get::<bool>(row, 8)?)),
        Cell::Blob(get(row, 9)?),
        Cell::Blob(get(row, 10)?),
    ])
}
