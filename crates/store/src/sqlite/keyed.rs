//! Rows that are found by a random id without an index: the row's key is the beginning of its id.
//!
//! An index on ids would cost every notification one more random page for each row it touches. Ids are hashes, so their
//! first 8 bytes differ; where two agree all the same, the later row takes the next free key.

use super::db::{Outcome, id16};
use crate::{Refused, StoreError};
use rusqlite::{Connection, Row};

/// How many keys from its home on a row may be at.
pub(super) const SPREAD: i64 = 8;

/// Where the row with that id is looked for first. Keeps the order of ids.
pub(super) fn home(id: [u8; 16]) -> i64 {
    let mut start = [0; 8];
    start.copy_from_slice(&id[..8]);
    let key = (u64::from_be_bytes(start) ^ (1 << 63)).cast_signed();
    key.min(i64::MAX - SPREAD)
}

/// The row with that id, or none. `sql` selects key and id first, by a range of keys (`?1` to `?2`), in their order.
pub(super) fn find<T>(
    conn: &Connection,
    table: &'static str,
    sql: &str,
    id: [u8; 16],
    read: impl Fn(&Row<'_>) -> Outcome<T>,
) -> Outcome<Option<T>> {
    let home = home(id);
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([home, home + SPREAD - 1])?;
    while let Some(row) = rows.next()? {
        if id16(row.get_ref(1)?.as_blob().unwrap_or_default(), table, "id")? == id {
            return Ok(Some(read(row)?));
        }
    }
    Ok(None)
}

/// The key that a new row with that id gets. `sql` as for [`find`].
pub(super) fn vacant(conn: &Connection, sql: &str, id: [u8; 16]) -> Outcome<i64> {
    let home = home(id);
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([home, home + SPREAD - 1])?;
    let mut key = home;
    while let Some(row) = rows.next()? {
        if row.get::<_, i64>(0)? == key {
            key += 1;
        }
    }
    if key < home + SPREAD {
        return Ok(key);
    }
    let detail = "eight ids begin with the same eight bytes, which does not happen to hashes".to_owned();
    Err(StoreError::Refused(Refused { status: 500, detail }))
}
