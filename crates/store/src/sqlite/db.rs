//! One connection with what belongs to it, and the small conversions between rows and our types.

use crate::Refused;
use crate::StoreError;
use crate::digests::Cell;
use crate::pack::{Effort, Packer};
use bytes::Bytes;
use paidup_lifecycle::time::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::RefCell;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

/// How calls inside this engine end.
pub(super) type Outcome<T> = Result<T, StoreError>;

/// A connection, and the packer that its rows need.
pub(super) struct Db {
    pub(super) conn: Connection,
    pub(super) packer: Packer,
    /// Where JSON is written before it is packed, for reuse.
    json: RefCell<Vec<u8>>,
}

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Write,
    Read,
    Checkpoint,
}

/// Page cache of the writer, in KiB: the hot ends of the logs and the upper levels of the trees. Not larger: a commit in
/// which a tree was balanced goes through the whole cache, the system's own cache holds the rest, and the rows of busy
/// customers are remembered decoded.
const WRITER_CACHE_KIB: i64 = 8 * 1024;

/// Page cache of each reader, in KiB.
const READER_CACHE_KIB: i64 = 6 * 1024;

impl Db {
    pub(super) fn open(path: &Path, purpose: Use, busy_timeout: Duration) -> Outcome<Db> {
        let access = match purpose {
            Use::Write => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
            Use::Checkpoint => OpenFlags::SQLITE_OPEN_READ_WRITE,
            Use::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
        };
        let conn = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        conn.busy_timeout(busy_timeout)?;
        conn.set_prepared_statement_cache_capacity(128);
        conn.pragma_update(None, "temp_store", "MEMORY")?;
        conn.pragma_update(None, "trusted_schema", false)?;
        let cache = match purpose {
            Use::Write => WRITER_CACHE_KIB,
            Use::Read | Use::Checkpoint => READER_CACHE_KIB,
        };
        conn.pragma_update(None, "cache_size", -cache)?;
        let packer = Packer::new(Effort::Writer).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Db { conn, packer, json: RefCell::default() })
    }

    /// JSON in a piece of memory of just its length: it may live long.
    pub(super) fn json(&self, value: &impl Serialize) -> serde_json::Result<Bytes> {
        let mut json = self.json.borrow_mut();
        json.clear();
        serde_json::to_writer(&mut *json, value)?;
        Ok(Bytes::copy_from_slice(&json))
    }

    /// A row's JSON, packed, and its length. Every build but a release one reads it again: a row that is remembered must
    /// be the same as one that is read.
    pub(super) fn pack_json<T>(&self, row: &T) -> serde_json::Result<(Vec<u8>, usize)>
    where
        T: Serialize + DeserializeOwned + PartialEq,
    {
        let mut json = self.json.borrow_mut();
        json.clear();
        serde_json::to_writer(&mut *json, row)?;
        debug_assert!(serde_json::from_slice::<T>(&json)? == *row, "{}", String::from_utf8_lossy(&json));
        Ok((self.packer.pack(&json), json.len()))
    }

    /// Unpacks a column, or says which row is damaged.
    pub(super) fn unpack(
        &self,
        kept: &[u8],
        table: &'static str,
        column: &'static str,
        id: impl ToString,
    ) -> Outcome<Vec<u8>> {
        self.packer.unpack(kept).map_err(|reason| {
            tracing::error!(table, column, reason, "a row cannot be unpacked");
            StoreError::Inconsistent { table, column, id: id.to_string() }
        })
    }
}

/// A row that makes no sense.
pub(super) fn inconsistent(table: &'static str, column: &'static str, id: impl ToString) -> StoreError {
    StoreError::Inconsistent { table, column, id: id.to_string() }
}

/// Numbers of rows and positions. They start at 1 and grow by one: the largest i64 is never reached.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The inverse of [`int`]; the schema's checks keep such columns from being negative.
pub(super) fn uint(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A list's bound as SQL takes it.
pub(super) fn limit_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(super) fn time(at: i64) -> Timestamp {
    Timestamp::from_millis_clamped(at)
}

/// An id column.
pub(super) fn id16(bytes: &[u8], table: &'static str, column: &'static str) -> Outcome<[u8; 16]> {
    bytes.try_into().map_err(|_| inconsistent(table, column, "a row whose id is not 16 bytes"))
}

/// A column that holds a word of a closed set.
pub(super) fn word<T: FromStr>(text: &str, table: &'static str, column: &'static str, id: impl ToString) -> Outcome<T> {
    text.parse().map_err(|_| inconsistent(table, column, id))
}

impl<'a> From<ValueRef<'a>> for Cell<'a> {
    fn from(value: ValueRef<'a>) -> Cell<'a> {
        match value {
            ValueRef::Null => Cell::Null,
            ValueRef::Integer(number) => Cell::Integer(number),
            ValueRef::Real(number) => Cell::Real(number),
            ValueRef::Text(bytes) => Cell::Text(bytes),
            ValueRef::Blob(bytes) => Cell::Blob(bytes),
        }
    }
}

/// What passes, in words that tell an operator what to look at. It is answered to callers, so it names no path.
fn why_unavailable(code: ErrorCode, error: &rusqlite::Error) -> String {
    let number = error.sqlite_error().map_or(0, |error| error.extended_code);
    match code {
        ErrorCode::DiskFull => "the disk is full".to_owned(),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            "another program holds a lock on the database file".to_owned()
        }
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied => "the database file may not be written".to_owned(),
        ErrorCode::CannotOpen => "the database file cannot be opened".to_owned(),
        // Also how a quota or a limit on the size of files shows.
        ErrorCode::SystemIoFailure => {
            format!("the disk does not take or give what it should: disk I/O error {number}")
        }
        _ => error.to_string(),
    }
}

impl From<rusqlite::Error> for StoreError {
    /// Tells what a person must mend (`Corrupt`) from what may pass (`Unavailable`) and from a change that breaks a
    /// rule of the schema, which is a mistake of the caller and concerns no neighbour.
    fn from(error: rusqlite::Error) -> StoreError {
        let text = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt(text),
            Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig) => StoreError::Refused(Refused {
                status: 500,
                detail: format!("a rule of the database refuses it: {text}"),
            }),
            Some(code) => StoreError::Unavailable(why_unavailable(code, &error)),
            // No code: a column of another type than the schema says, or a statement that does not fit it.
            None => StoreError::Corrupt(text),
        }
    }
}
