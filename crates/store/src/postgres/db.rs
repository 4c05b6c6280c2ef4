//! One connection with what belongs to it, and the small conversions between rows and our types.

use crate::pack::{Effort, Packer};
use crate::{Refused, StoreError};
use paidup_lifecycle::time::Timestamp;
use postgres::error::SqlState;
use postgres::types::{FromSql, ToSql};
use postgres::{Client, Config, NoTls, Row, Statement};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::str::FromStr;
use std::time::Duration;

/// How calls inside this engine end.
pub(super) type Outcome<T> = Result<T, StoreError>;

/// Values of a statement.
pub(super) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A connection, the statements that it has prepared, and the packer that its rows need.
pub(super) struct Db {
    client: Client,
    statements: HashMap<String, Statement>,
    pub(super) packer: Packer,
    /// Statements that may have written something.
    pub(super) written: u64,
}

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Write,
    Read,
}

/// How long a connection that says nothing is believed in.
const SILENCE: Duration = Duration::from_secs(30);
/// The longest that the server works at one statement of a reader. A writer's are short; one that is cut off would only
/// be tried again.
const LONGEST_READ: &str = "SET statement_timeout = '60s'";

impl Db {
    pub(super) fn open(config: &Config, purpose: Use, patience: Duration) -> Outcome<Db> {
        let mut config = config.clone();
        config
            .application_name("paidup")
            .connect_timeout(patience.max(Duration::from_secs(1)))
            .keepalives(true)
            .keepalives_idle(SILENCE)
            .tcp_user_timeout(SILENCE);
        let mut client = config.connect(NoTls)?;
        // An answer of 2xx means durable, whatever the server's default is.
        client.batch_execute("SET synchronous_commit = on; SET timezone = 'UTC'; SET client_min_messages = warning")?;
        if purpose == Use::Read {
            client.batch_execute(LONGEST_READ)?;
        }
        let packer = Packer::new(Effort::Writer).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Db { client, statements: HashMap::new(), packer, written: 0 })
    }

    /// The connection is gone.
    pub(super) fn is_gone(&self) -> bool {
        self.client.is_closed()
    }

    fn statement(&mut self, sql: &str) -> Outcome<Statement> {
        if let Some(known) = self.statements.get(sql) {
            return Ok(known.clone());
        }
        let prepared = self.client.prepare(sql)?;
        self.statements.insert(sql.to_owned(), prepared.clone());
        Ok(prepared)
    }

    /// All rows.
    pub(super) fn query(&mut self, sql: &str, values: Values<'_>) -> Outcome<Vec<Row>> {
        let statement = self.statement(sql)?;
        Ok(self.client.query(&statement, values)?)
    }

    /// The row, when there is one.
    pub(super) fn first(&mut self, sql: &str, values: Values<'_>) -> Outcome<Option<Row>> {
        Ok(self.query(sql, values)?.into_iter().next())
    }

    /// How many rows it changed.
    pub(super) fn execute(&mut self, sql: &str, values: Values<'_>) -> Outcome<u64> {
        self.written += 1;
        let statement = self.statement(sql)?;
        Ok(self.client.execute(&statement, values)?)
    }

    /// Statements without values, such as those that begin and end transactions.
    pub(super) fn batch(&mut self, sql: &str) -> Outcome<()> {
        Ok(self.client.batch_execute(sql)?)
    }

    /// A row's JSON, packed, and its length. Every build but a release one reads it again: a row that is remembered must
    /// be the same as one that is read.
    pub(super) fn pack_json<T>(&self, row: &T) -> serde_json::Result<(Vec<u8>, usize)>
    where
        T: Serialize + DeserializeOwned + PartialEq,
    {
        let json = serde_json::to_vec(row)?;
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
            inconsistent(table, column, id)
        })
    }
}

/// A row that makes no sense.
pub(super) fn inconsistent(table: &'static str, column: &'static str, id: impl ToString) -> StoreError {
    StoreError::Inconsistent { table, column, id: id.to_string() }
}

/// A column; one of another type than the schema says is not ours.
pub(super) fn get<'row, T: FromSql<'row>>(row: &'row Row, column: usize) -> Outcome<T> {
    Ok(row.try_get(column)?)
}

/// Numbers of rows and positions. They start at 1 and grow by one: the largest i64 is never reached.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The inverse of [`int`]; the schema's checks keep such columns from being negative.
pub(super) fn uint(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A number column.
pub(super) fn number(row: &Row, column: usize) -> Outcome<u64> {
    Ok(uint(get(row, column)?))
}

/// A small count.
pub(super) fn count<T: TryFrom<i64> + Default>(row: &Row, column: usize) -> Outcome<T> {
    Ok(T::try_from(get::<i64>(row, column)?).unwrap_or_default())
}

/// A list's bound as SQL takes it.
pub(super) fn limit_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// An instant.
pub(super) fn time(row: &Row, column: usize) -> Outcome<Timestamp> {
    Ok(Timestamp::from_millis_clamped(get(row, column)?))
}

/// An instant that may be missing.
pub(super) fn time_opt(row: &Row, column: usize) -> Outcome<Option<Timestamp>> {
    Ok(get::<Option<i64>>(row, column)?.map(Timestamp::from_millis_clamped))
}

/// An id.
pub(super) fn id16(bytes: &[u8], table: &'static str, column: &'static str) -> Outcome<[u8; 16]> {
    bytes.try_into().map_err(|_| inconsistent(table, column, "a row whose id is not 16 bytes"))
}

/// An id column.
pub(super) fn id_at(row: &Row, at: usize, table: &'static str, column: &'static str) -> Outcome<[u8; 16]> {
    id16(get::<&[u8]>(row, at)?, table, column)
}

/// Text that is kept as its bytes.
pub(super) fn text(row: &Row, column: usize, table: &'static str, name: &'static str) -> Outcome<String> {
    String::from_utf8(get(row, column)?).map_err(|_| inconsistent(table, name, "a row whose text is not UTF-8"))
}

/// The same, where it may be missing.
pub(super) fn text_opt(row: &Row, column: usize, table: &'static str, name: &'static str) -> Outcome<Option<String>> {
    let bytes: Option<Vec<u8>> = get(row, column)?;
    bytes
        .map(|bytes| String::from_utf8(bytes).map_err(|_| inconsistent(table, name, "a row whose text is not UTF-8")))
        .transpose()
}

/// A column that holds a word of a closed set.
pub(super) fn word<T: FromStr>(
    row: &Row,
    column: usize,
    table: &'static str,
    name: &'static str,
    id: impl ToString,
) -> Outcome<T> {
    get::<&str>(row, column)?.parse().map_err(|_| inconsistent(table, name, id))
}

/// A column that holds JSON as bytes.
pub(super) fn json<T: DeserializeOwned>(
    row: &Row,
    column: usize,
    table: &'static str,
    name: &'static str,
    id: impl ToString,
) -> Outcome<T> {
    serde_json::from_slice(get(row, column)?).map_err(|_| inconsistent(table, name, id))
}

impl From<postgres::Error> for StoreError {
    /// Tells what a person must mend (`Corrupt`) from what may pass (`Unavailable`) and from a change that breaks a rule
    /// of the schema, which is a mistake of the caller and concerns no neighbour.
    fn from(error: postgres::Error) -> StoreError {
        let Some(database) = error.as_db_error() else {
            return match error.to_string() {
                // The connection's own words name host and port, never the password.
                text if text.contains("deserializing") || text.contains("converting") => StoreError::Corrupt(text),
                text => StoreError::Unavailable(format!("PostgreSQL cannot be reached: {}", with_cause(&error, text))),
            };
        };
        let text = format!("{} ({})", database.message(), database.code().code());
        let class = database.code().code().get(..2).unwrap_or_default();
        match class {
            // Integrity constraints, and values that fit no column.
            "23" | "22" => StoreError::Refused(Refused {
                status: 500,
                detail: format!("a rule of the database refuses it: {text}"),
            }),
            // Damage.
            "XX" => StoreError::Corrupt(text),
            // Tables or columns that are not as our migrations made them.
            "42" if *database.code() != SqlState::INSUFFICIENT_PRIVILEGE => StoreError::Corrupt(text),
            // Rights, authentication, space, locks, restarts: what an operator or time mends.
            _ => StoreError::Unavailable(format!("PostgreSQL says: {text}")),
        }
    }
}

fn with_cause(error: &postgres::Error, text: String) -> String {
    match std::error::Error::source(error) {
        Some(cause) if !text.contains(&cause.to_string()) => format!("{text}: {cause}"),
        Some(_) | None => text,
    }
}
