//! Brings a schema to this version, or says why it cannot. Same numbers and names as for SQLite.

use super::db::{Db, Outcome, get};
use crate::StoreError;

/// Numbers grow by one; a released file never changes.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "first", include_str!("../../migrations/postgres/0001_first.sql")),
    (2, "delivery", include_str!("../../migrations/postgres/0002_delivery.sql")),
    (3, "backfills", include_str!("../../migrations/postgres/0003_backfills.sql")),
    (4, "lookups", include_str!("../../migrations/postgres/0004_lookups.sql")),
    (5, "purchase_other_ids", include_str!("../../migrations/postgres/0005_purchase_other_ids.sql")),
    (6, "asking", include_str!("../../migrations/postgres/0006_asking.sql")),
    (7, "claims", include_str!("../../migrations/postgres/0007_claims.sql")),
    (8, "reconciles", include_str!("../../migrations/postgres/0008_reconciles.sql")),
    (9, "replays", include_str!("../../migrations/postgres/0009_replays.sql")),
    (10, "lane_policies", include_str!("../../migrations/postgres/0010_lane_policies.sql")),
    (11, "journal_pruning", include_str!("../../migrations/postgres/0011_journal_pruning.sql")),
];

/// Whether our tables are there. Refuses a schema with another program's tables and one of a newer version; changes
/// nothing.
pub(super) fn check(db: &mut Db) -> Outcome<bool> {
    let tables = db.query("SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()", &[])?;
    let tables: Vec<String> = tables.iter().map(|row| get(row, 0)).collect::<Outcome<_>>()?;
    if tables.is_empty() {
        return Ok(false);
    }
    if !tables.iter().any(|table| table == "paidup_migrations") {
        let detail = "the schema holds tables of another program; give Paidup a database, or a schema, of its own";
        return Err(StoreError::Corrupt(detail.to_owned()));
    }
    let newest = MIGRATIONS.last().map_or(0, |(version, _, _)| *version);
    let present = version(db)?;
    if present > newest {
        return Err(StoreError::Corrupt(format!(
            "its schema is version {present}, and this program knows up to {newest}: run the newer program again"
        )));
    }
    Ok(true)
}

fn version(db: &mut Db) -> Outcome<i64> {
    let row = db.first("SELECT coalesce(max(version), 0) FROM paidup_migrations", &[])?;
    row.map_or(Ok(0), |row| get(&row, 0))
}

/// Runs what is missing, in one transaction. The schema was checked, and nobody else writes to it.
pub(super) fn run(db: &mut Db) -> Outcome<()> {
    db.batch(
        "BEGIN;
         CREATE TABLE IF NOT EXISTS paidup_migrations (version BIGINT PRIMARY KEY, name TEXT NOT NULL)",
    )?;
    let present = version(db)?;
    for (version, name, sql) in MIGRATIONS.iter().filter(|(version, _, _)| *version > present) {
        db.batch(sql)?;
        db.execute("INSERT INTO paidup_migrations (version, name) VALUES ($1, $2)", &[version, name])?;
        tracing::info!(version, name, "migrated the database");
    }
    db.batch("COMMIT")
}
