//! Brings a file to this version's schema, or says why it cannot.

use super::db::Outcome;
use crate::StoreError;
use rusqlite::{Connection, TransactionBehavior};

/// Numbers grow by one; a released file never changes.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "first", include_str!("../../migrations/sqlite/0001_first.sql")),
    (2, "delivery", include_str!("../../migrations/sqlite/0002_delivery.sql")),
    (3, "backfills", include_str!("../../migrations/sqlite/0003_backfills.sql")),
    (4, "lookups", include_str!("../../migrations/sqlite/0004_lookups.sql")),
    (5, "purchase_other_ids", include_str!("../../migrations/sqlite/0005_purchase_other_ids.sql")),
    (6, "asking", include_str!("../../migrations/sqlite/0006_asking.sql")),
    (7, "claims", include_str!("../../migrations/sqlite/0007_claims.sql")),
    (8, "reconciles", include_str!("../../migrations/sqlite/0008_reconciles.sql")),
    (9, "replays", include_str!("../../migrations/sqlite/0009_replays.sql")),
    (10, "lane_policies", include_str!("../../migrations/sqlite/0010_lane_policies.sql")),
    (11, "journal_pruning", include_str!("../../migrations/sqlite/0011_journal_pruning.sql")),
];

/// Marks our files ("Paid"), so that another program's database is never taken for ours.
const APPLICATION_ID: i64 = 0x5061_6964;

/// Refuses another program's database and one of a newer version. Changes nothing.
pub(super) fn check(conn: &Connection) -> Outcome<()> {
    if tables(conn)? == 0 {
        return Ok(());
    }
    let owner: i64 = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    if owner != APPLICATION_ID {
        return Err(StoreError::Corrupt("it is an SQLite database of another program".to_owned()));
    }
    let newest = MIGRATIONS.last().map_or(0, |(version, _, _)| *version);
    let present = version(conn)?;
    if present > newest {
        return Err(StoreError::Corrupt(format!(
            "its schema is version {present}, and this program knows up to {newest}: run the newer program again"
        )));
    }
    Ok(())
}

fn tables(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
}

fn version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("SELECT coalesce(max(version), 0) FROM schema_migrations", [], |row| row.get(0))
}

/// Runs what is missing, in one transaction. The file was checked.
pub(super) fn run(conn: &mut Connection) -> Outcome<()> {
    let is_new = tables(conn)? == 0;
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if is_new {
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.execute_batch("CREATE TABLE schema_migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT")?;
    }
    let present = version(&tx)?;
    for (version, name, sql) in MIGRATIONS.iter().filter(|(version, _, _)| *version > present) {
        tx.execute_batch(sql)?;
        tx.execute("INSERT INTO schema_migrations (version, name) VALUES (?1, ?2)", (version, name))?;
        tracing::info!(version, name, "migrated the database");
    }
    tx.commit()?;
    Ok(())
}
