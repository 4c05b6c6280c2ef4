//! Claims, and what each waits for.

use super::db::{Db, Outcome, get, id_at, limit_of, text, time, word};
use super::lookups;
use super::session::Session;
use crate::claims::ClaimRecord;
use crate::records::LookupRecord;
use paidup_lifecycle::ids::{ClaimId, LookupId, PurchaseId, SourceId};
use paidup_lifecycle::time::Timestamp;
use postgres::Row;
use std::collections::BTreeSet;

/// Rows that one slice of pruning removes.
const SLICE: i64 = 200;

const CLAIM: &str = "SELECT id, source_id, customer, claimed_at, state, state_since, body FROM claims";

/// Keeps a claim as it is now.
pub(super) fn put(db: &mut Db, claim: &ClaimRecord) -> Outcome<()> {
    let body = db.packer.pack(&claim.body);
    let id = claim.id.0.as_slice();
    db.execute(
        "INSERT INTO claims (id, source_id, customer, claimed_at, state, state_since, body)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (id) DO UPDATE
         SET claimed_at = excluded.claimed_at, state = excluded.state, state_since = excluded.state_since,
             body = excluded.body",
        &[
            &id,
            &claim.source_id.0.as_slice(),
            &claim.customer.as_bytes(),
            &claim.claimed_at.as_millis(),
            &claim.state.as_str(),
            &claim.state_since.as_millis(),
            &body,
        ],
    )?;
    db.execute("DELETE FROM claim_waits WHERE claim_id = $1", &[&id])?;
    let all = claim.lookups.iter().map(|id| (id.0, false)).chain(claim.purchases.iter().map(|id| (id.0, true)));
    for (waits_for, is_purchase) in all {
        db.execute(
            "INSERT INTO claim_waits (waits_for, claim_id, is_purchase)
             VALUES ($1, $2, $3)
             ON CONFLICT (waits_for, claim_id) DO NOTHING",
            &[&waits_for.as_slice(), &id, &is_purchase],
        )?;
    }
    Ok(())
}

/// Claims that wait for any of these lookups or purchases.
pub(super) fn waiting_for(db: &mut Db, waits_for: &[&[u8]]) -> Outcome<Vec<ClaimRecord>> {
    if waits_for.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "{CLAIM}
         WHERE id IN (SELECT claim_id FROM claim_waits WHERE waits_for = ANY($1))
         ORDER BY id"
    );
    let rows = db.query(&sql, &[&waits_for])?;
    rows.iter().map(|row| read(db, row)).collect()
}

pub(super) fn by_id(db: &mut Db, id: ClaimId) -> Outcome<Option<ClaimRecord>> {
    let row = db.first(&format!("{CLAIM} WHERE id = $1"), &[&id.0.as_slice()])?;
    row.map(|row| read(db, &row)).transpose()
}

pub(super) fn of_customer(db: &mut Db, customer: &str, limit: usize) -> Outcome<Vec<ClaimRecord>> {
    let sql = format!("{CLAIM} WHERE sha256(customer) = sha256($1) ORDER BY claimed_at DESC, id LIMIT $2");
    let rows = db.query(&sql, &[&customer.as_bytes(), &limit_of(limit)])?;
    rows.iter().map(|row| read(db, row)).collect()
}

pub(super) fn waiting(db: &mut Db, made_before: Timestamp, limit: usize) -> Outcome<Vec<ClaimRecord>> {
    let sql = format!("{CLAIM} WHERE state = 'waiting' AND claimed_at < $1 ORDER BY claimed_at, id LIMIT $2");
    let rows = db.query(&sql, &[&made_before.as_millis(), &limit_of(limit)])?;
    rows.iter().map(|row| read(db, row)).collect()
}

/// Lookups of these ids.
pub(super) fn lookups_of(db: &mut Db, ids: &BTreeSet<LookupId>) -> Outcome<Vec<LookupRecord>> {
    let mut found = Vec::new();
    for id in ids {
        found.extend(lookups::one(db, *id)?);
    }
    Ok(found)
}

/// Forgets some that ended before `before`; answers how many.
pub(super) fn prune(session: &mut Session, before: Timestamp) -> Outcome<u64> {
    session.db.execute(
        "DELETE FROM claims
         WHERE id IN (SELECT id
                      FROM claims
                      WHERE state <> 'waiting' AND state_since < $1
                      ORDER BY state_since
                      LIMIT $2)",
        &[&before.as_millis(), &SLICE],
    )
}

fn read(db: &mut Db, row: &Row) -> Outcome<ClaimRecord> {
    const TABLE: &str = "claims";
    let id = ClaimId(id_at(row, 0, TABLE, "id")?);
    let body = db.unpack(get(row, 6)?, TABLE, "body", id)?;
    let (mut lookups, mut purchases) = (BTreeSet::new(), BTreeSet::new());
    let waits = db.query("SELECT waits_for, is_purchase FROM claim_waits WHERE claim_id = $1", &[&id.0.as_slice()])?;
    for row in &waits {
        let waits_for = id_at(row, 0, "claim_waits", "waits_for")?;
        if get(row, 1)? {
            purchases.insert(PurchaseId(waits_for));
        } else {
            lookups.insert(LookupId(waits_for));
        }
    }
    Ok(ClaimRecord {
        id,
        source_id: SourceId(id_at(row, 1, TABLE, "source_id")?),
        customer: text(row, 2, TABLE, "customer")?,
        claimed_at: time(row, 3)?,
        state: word(row, 4, TABLE, "state", id)?,
        state_since: time(row, 5)?,
        lookups,
        purchases,
        body: body.into(),
    })
}
