//! Checks the journal and the kept notifications against their digests, and names what does not fit.
//!
//! A row's short digests name the column that was changed. The chain (for notifications: the seal, which the journal
//! repeats) proves the row as a whole, so it also finds a digest that was changed, a row that is missing and one that
//! was put in between. This finds damage and mistakes. It is no proof against someone who recomputes the whole chain.

use super::db::{Db, Outcome, int, uint};
use super::session::read_heads;
use super::{journal, notifications, pruning};
use crate::digests::{Cell, changed_columns, first16, row_digests};
use crate::records::Mismatch;
use rusqlite::{OptionalExtension, Row};
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
        after: i64,
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
    pub(super) fn step(mut self, db: &Db) -> Outcome<Check> {
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

    fn journal(&mut self, db: &Db, mut after: i64, mut chain: Option<[u8; 32]>) -> Outcome<Stage> {
        let mut statement = db.conn.prepare_cached(JOURNAL)?;
        let mut rows = statement.query((after, SLICE))?;
        let mut seen = 0;
        while let Some(row) = rows.next()? {
            let entry: i64 = row.get(0)?;
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
            seen += 1;
        }
        if seen == SLICE {
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
        db: &Db,
        row: &Row<'_>,
        entry: i64,
        before: Option<[u8; 32]>,
    ) -> Outcome<Option<[u8; 32]>> {
        let name = || format!("entry {entry}");
        let columns = columns(row, journal::COLUMNS.len())?;
        let kept_chain: Option<[u8; 32]> = row.get_ref(11)?.as_blob().ok().and_then(|chain| chain.try_into().ok());
        let (naming, chain) = row_digests(&before.unwrap_or_default(), &columns);
        let changed = changed_columns(&naming, row.get_ref(10)?.as_blob().unwrap_or_default(), &journal::COLUMNS);
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
        if let Err(reason) = db.packer.unpack(row.get_ref(6)?.as_blob().unwrap_or_default()) {
            self.report("journal", name(), Some("input"), &reason);
        }
        self.seals(db, entry, uint(row.get(8)?), row.get_ref(9)?.as_blob().unwrap_or_default())?;
        Ok(next)
    }

    /// Whether the notifications that an entry kept are there, with the seals that it noted.
    fn seals(&mut self, db: &Db, entry: i64, from: u64, seals: &[u8]) -> Outcome<()> {
        for (place, seal) in seals.chunks(16).enumerate() {
            let number = from.saturating_add(place as u64);
            if number <= self.pruned {
                continue;
            }
            let kept: Option<Vec<u8>> = db
                .conn
                .prepare_cached("SELECT seal FROM notifications WHERE number = ?1")?
                .query_row([int(number)], |row| row.get(0))
                .optional()?;
            match kept {
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

    fn notifications(&mut self, db: &Db, mut after: i64) -> Outcome<Stage> {
        let mut statement = db.conn.prepare_cached(NOTIFICATIONS)?;
        let mut rows = statement.query((after, SLICE))?;
        let mut seen = 0;
        while let Some(row) = rows.next()? {
            let number: i64 = row.get(0)?;
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
            seen += 1;
        }
        if seen == SLICE {
            return Ok(Stage::Notifications { after });
        }
        self.missing("notifications", "number", after + 1..=int(self.last_notification));
        Ok(Stage::SharedParts { after: 0 })
    }

    fn notification_row(&mut self, db: &Db, row: &Row<'_>, number: i64) -> Outcome<()> {
        let name = || format!("number {number}");
        let columns = columns(row, notifications::COLUMNS.len())?;
        let (naming, whole) = row_digests(&[], &columns);
        let changed = changed_columns(&naming, row.get_ref(11)?.as_blob().unwrap_or_default(), &notifications::COLUMNS);
        let seal_fits = row.get_ref(12)?.as_blob().unwrap_or_default() == first16(whole);
        if seal_fits && !changed.is_empty() {
            self.report("notifications", name(), Some("digests"), "do not fit the row, while its seal does");
        } else if !seal_fits && changed.is_empty() {
            self.report("notifications", name(), Some("seal"), "does not fit the row");
        } else {
            for column in changed {
                self.report("notifications", name(), Some(column), "was changed");
            }
        }
        if let Err(reason) = db.packer.unpack(row.get_ref(10)?.as_blob().unwrap_or_default()) {
            self.report("notifications", name(), Some("body"), &reason);
        }
        for digest in row.get_ref(9)?.as_blob().unwrap_or_default().chunks(16) {
            let known = db
                .conn
                .prepare_cached("SELECT 1 FROM shared_parts WHERE digest = ?1")?
                .query_row([digest], |_| Ok(()))
                .optional()?;
            if known.is_none() {
                self.report("notifications", name(), Some("shared"), "names a shared part that is missing");
            }
        }
        Ok(())
    }

    fn shared_parts(&mut self, db: &Db, mut after: i64) -> Outcome<Stage> {
        let mut statement = db.conn.prepare_cached(
            "SELECT number, digest, body FROM shared_parts WHERE number > ?1 ORDER BY number LIMIT ?2",
        )?;
        let mut rows = statement.query((after, SLICE))?;
        let mut seen = 0;
        while let Some(row) = rows.next()? {
            after = row.get(0)?;
            seen += 1;
            let name = format!("number {after}");
            match db.packer.unpack(row.get_ref(2)?.as_blob().unwrap_or_default()) {
                Ok(part) => {
                    let digest = first16(Sha256::digest(&part).into());
                    if row.get_ref(1)?.as_blob().unwrap_or_default() != digest {
                        self.report("shared_parts", name, Some("body"), "does not fit its digest");
                    }
                }
                Err(reason) => self.report("shared_parts", name, Some("body"), &reason),
            }
        }
        Ok(if seen == SLICE { Stage::SharedParts { after } } else { Stage::Done })
    }
}

const JOURNAL: &str = "
    SELECT entry, decided_at, engine_version, catalogue_revision, policy_revision, seed, input, notifications,
           kept_from, kept, digests, chain
    FROM journal
    WHERE entry > ?1
    ORDER BY entry
    LIMIT ?2";

const NOTIFICATIONS: &str = "
    SELECT number, id, source_id, external_id, label, received_at, outcome, purchase_id, body_packed, shared, body,
           digests, seal
    FROM notifications
    WHERE number > ?1
    ORDER BY number
    LIMIT ?2";

fn columns<'row>(row: &'row Row<'_>, count: usize) -> Outcome<Vec<Cell<'row>>> {
    Ok((0..count).map(|column| row.get_ref(column).map(Cell::from)).collect::<Result<_, _>>()?)
}
