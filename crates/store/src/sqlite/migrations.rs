//! Brings a file to this version's schema, or says why it cannot.

use super::db::Outcome;
use crate::StoreError;
use rusqlite::{Connection, TransactionBehavior};

/// Numbers grow by one; a released file never changes.
const MIGRATIONS: &[(i64, &str, &str)] = &[(1, "first", include_str!("../../migrations/sqlite/0001_first.sql"))];

/// Marks our files ("Paid"), so that another program's database is never taken for ours.
const APPLICATION_ID: i64 = 0x5061_6964;

/// Runs what is missing, in one transaction.
pub(super) fn run(conn: &mut Connection) -> Outcome<()> {
    let owner: i64 = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if owner != APPLICATION_ID && tables > 0 {
        let detail = "it is an SQLite database of another program; give Paidup a file of its own";
        return Err(StoreError::Corrupt(detail.to_owned()));
    }
    let newest = MIGRATIONS.last().map_or(0, |(version, _, _)| *version);
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if tables == 0 {
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.execute_batch("CREATE TABLE schema_migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT")?;
    }
    let present: i64 = tx.query_row("SELECT coalesce(max(version), 0) FROM schema_migrations", [], |row| row.get(0))?;
    if present > newest {
        return Err(StoreError::Corrupt(format!(
            "its schema is version {present}, and this program knows up to {newest}: run the newer program again, or \
             restore a backup made before the upgrade"
        )));
    }
    for (version, name, sql) in MIGRATIONS.iter().filter(|(version, _, _)| *version > present) {
        tx.execute_batch(sql)?;
        tx.execute("INSERT INTO schema_migrations (version, name) VALUES (?1, ?2)", (version, name))?;
        tracing::info!(version, name, "migrated the database");
    }
    tx.commit()?;
    Ok(())
}
