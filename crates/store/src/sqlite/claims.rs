//! Claims, and what each waits for.

use super::db::{Db, Outcome, inconsistent, limit_of, time};
use super::lookups;
use super::session::Session;
use crate::claims::{ClaimRecord, ClaimState};
use crate::records::LookupRecord;
use paidup_lifecycle::ids::{ClaimId, LookupId, PurchaseId, SourceId};
use paidup_lifecycle::time::Timestamp;
use rusqlite::Row;
use std::collections::BTreeSet;

/// Rows that one slice of pruning removes.
const SLICE: i64 = 200;

const CLAIM: &str = "SELECT id, source_id, customer, claimed_at, state, state_since, body FROM claims";

pub(super) const WAITING_FOR: &str = "SELECT claim_id FROM claim_waits WHERE waits_for = ?1 ORDER BY claim_id";
pub(super) const OF_CUSTOMER: &str = "
    SELECT id, source_id, customer, claimed_at, state, state_since, body
    FROM claims
    WHERE customer = ?1
    ORDER BY claimed_at DESC
    LIMIT ?2";
pub(super) const WAITING: &str = "
    SELECT id, source_id, customer, claimed_at, state, state_since, body
    FROM claims
    WHERE state = 'waiting' AND claimed_at < ?1
    ORDER BY claimed_at
    LIMIT ?2";

/// Keeps a claim as it is now.
pub(super) fn put(db: &Db, claim: &ClaimRecord) -> Outcome<()> {
    let body = db.packer.pack(&claim.body);
    db.conn
        .prepare_cached(
            "INSERT INTO claims (id, source_id, customer, claimed_at, state, state_since, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (id) DO UPDATE SET claimed_at = excluded.claimed_at, state = excluded.state, state_since = excluded.state_since,
                                            body = excluded.body",
        )?
        .execute((
            claim.id.0,
            claim.source_id.0,
            &claim.customer,
            claim.claimed_at.as_millis(),
            claim.state.as_str(),
            claim.state_since.as_millis(),
            body,
        ))?;
    db.conn.prepare_cached("DELETE FROM claim_waits WHERE claim_id = ?1")?.execute([claim.id.0])?;
    let all = claim.lookups.iter().map(|id| (id.0, false)).chain(claim.purchases.iter().map(|id| (id.0, true)));
    for (waits_for, is_purchase) in all {
        db.conn
            .prepare_cached("INSERT OR IGNORE INTO claim_waits (waits_for, claim_id, is_purchase) VALUES (?1, ?2, ?3)")?
            .execute((waits_for, claim.id.0, is_purchase))?;
    }
    Ok(())
}

/// Claims that wait for a lookup or a purchase.
pub(super) fn waiting_for(db: &Db, waits_for: [u8; 16]) -> Outcome<Vec<ClaimRecord>> {
    let mut statement = db.conn.prepare_cached(WAITING_FOR)?;
    let ids = statement.query_and_then([waits_for], |row| row.get(0))?.collect::<rusqlite::Result<Vec<[u8; 16]>>>()?;
    let missing = |id: [u8; 16]| inconsistent("claim_waits", "claim_id", ClaimId(id));
    ids.into_iter().map(|id| by_id(db, ClaimId(id))?.ok_or_else(|| missing(id))).collect()
}

pub(super) fn by_id(db: &Db, id: ClaimId) -> Outcome<Option<ClaimRecord>> {
    let mut statement = db.conn.prepare_cached(&format!("{CLAIM} WHERE id = ?1"))?;
    let mut rows = statement.query([id.0])?;
    rows.next()?.map(|row| read(db, row)).transpose()
}

pub(super) fn of_customer(db: &Db, customer: &str, limit: usize) -> Outcome<Vec<ClaimRecord>> {
    let mut statement = db.conn.prepare_cached(OF_CUSTOMER)?;
    let rows = statement.query_and_then((customer, limit_of(limit)), |row| read(db, row))?;
    rows.collect()
}

pub(super) fn waiting(db: &Db, made_before: Timestamp, limit: usize) -> Outcome<Vec<ClaimRecord>> {
    let mut statement = db.conn.prepare_cached(WAITING)?;
    let rows = statement.query_and_then((made_before.as_millis(), limit_of(limit)), |row| read(db, row))?;
    rows.collect()
}

/// Lookups of these ids.
pub(super) fn lookups_of(db: &Db, ids: &BTreeSet<LookupId>) -> Outcome<Vec<LookupRecord>> {
    let mut found = Vec::new();
    for id in ids {
        found.extend(lookups::one(db, *id)?);
    }
    Ok(found)
}

/// Forgets some that ended before `before`; answers how many.
pub(super) fn prune(session: &mut Session, before: Timestamp) -> Outcome<u64> {
    let removed = session
        .db
        .conn
        .prepare_cached(
            "DELETE FROM claims
             WHERE id IN (SELECT id FROM claims WHERE state <> 'waiting' AND state_since < ?1
                          ORDER BY state_since LIMIT ?2)",
        )?
        .execute((before.as_millis(), SLICE))?;
    Ok(removed as u64)
}

fn read(db: &Db, row: &Row<'_>) -> Outcome<ClaimRecord> {
    let id = ClaimId(row.get(0)?);
    let state: String = row.get(4)?;
    let state: ClaimState = state.parse().map_err(|_| inconsistent("claims", "state", id))?;
    let body = db.unpack(row.get_ref(6)?.as_blob().unwrap_or_default(), "claims", "body", id)?;
    let (mut lookups, mut purchases) = (BTreeSet::new(), BTreeSet::new());
    let mut statement = db.conn.prepare_cached("SELECT waits_for, is_purchase FROM claim_waits WHERE claim_id = ?1")?;
    let mut rows = statement.query([id.0])?;
    while let Some(row) = rows.next()? {
        let waits_for: [u8; 16] = row.get(0)?;
        if row.get(1)? {
            purchases.insert(PurchaseId(waits_for));
        } else {
            lookups.insert(LookupId(waits_for));
        }
    }
    Ok(ClaimRecord {
        id,
        source_id: SourceId(row.get(1)?),
        customer: row.get(2)?,
        claimed_at: time(row.get(3)?),
        state,
        state_since: time(row.get(5)?),
        lookups,
        purchases,
        body: body.into(),
    })
}
