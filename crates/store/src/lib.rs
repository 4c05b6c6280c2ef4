//! What Paidup remembers: one interface, one implementation for each database, one suite that all must pass
//! (`conformance`). The only crate with SQL.
//!
//! Purchases, customers, events, the journal and the catalogue change through [`Commits::commit`] alone: load, decide
//! (the caller's pure function), save, in one transaction that is durable when the future resolves. Everything else
//! (sources, destinations, progress, keys) has plain calls, which ride on the same group commit.

pub mod backfills;
pub mod claims;
mod compare;
#[cfg(test)]
mod conformance;
mod digests;
mod lately;
mod pack;
mod postgres;
mod queue;
pub mod reconciles;
pub mod records;
pub mod replays;
mod sqlite;

pub use compare::{Compared, Explained, compare_except};

use backfills::Backfills;
use claims::{ClaimRecord, Claims};
use paidup_lifecycle::catalogue::Catalogue;
use paidup_lifecycle::customer::Customer;
use paidup_lifecycle::event::LoggedEvent;
use paidup_lifecycle::ids::{
    ApiKeyId, ClaimId, CustomerId, DestinationId, EventId, LookupId, NotificationId, PurchaseId, SourceId,
};
use paidup_lifecycle::purchase::Purchase;
use paidup_lifecycle::snowflake::Snowflake;
use paidup_lifecycle::time::Timestamp;
use reconciles::Reconciles;
use records::*;
use replays::Replays;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// How a store is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenOptions {
    /// Make the database when there is none.
    pub create: bool,
    /// Most reads at the same time.
    pub readers: usize,
    /// How long to wait for another program that holds the database, such as a shell.
    pub busy_timeout: Duration,
    /// The database never grows beyond this; `None`: as far as the disk goes. Where it ends, writing ends with
    /// `Unavailable`.
    pub max_bytes: Option<u64>,
}

impl Default for OpenOptions {
    fn default() -> OpenOptions {
        OpenOptions { create: true, readers: 4, busy_timeout: Duration::from_secs(5), max_bytes: None }
    }
}

/// Opens the store that a URL names: `sqlite:paidup.db`, `postgres://user:password@host/name`.
pub async fn open(url: &str, options: OpenOptions) -> Result<Arc<dyn Store>, StoreError> {
    let Some((scheme, rest)) = url.split_once(':') else {
        return Err(StoreError::Unavailable(format!("{SCHEMES}; this is none")));
    };
    match scheme {
        "sqlite" => {
            let path = rest.strip_prefix("//").unwrap_or(rest).to_owned();
            if path.is_empty() || path == ":memory:" || path.contains('?') {
                let detail =
                    "sqlite: takes the path of a file and no options, such as sqlite:/var/lib/paidup/paidup.db";
                return Err(StoreError::Unavailable(detail.to_owned()));
            }
            let opened = tokio::task::spawn_blocking(move || sqlite::SqliteStore::open(Path::new(&path), &options));
            let store =
                opened.await.map_err(|error| StoreError::Unavailable(format!("opening broke off: {error}")))??;
            Ok(Arc::new(store))
        }
        "postgres" | "postgresql" => {
            let url = url.to_owned();
            let opened = tokio::task::spawn_blocking(move || postgres::PostgresStore::open(&url, &options));
            let store =
                opened.await.map_err(|error| StoreError::Unavailable(format!("opening broke off: {error}")))??;
            Ok(Arc::new(store))
        }
        other => Err(StoreError::Unavailable(format!("{SCHEMES}, not {other:?}"))),
    }
}

const SCHEMES: &str = "a database URL begins with sqlite: or postgres:";

/// What a store call answers with.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Why the store did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The disk is full, the file is read-only or locked, or the connection is gone: nothing was changed, and trying
    /// again may help. HTTP 503.
    #[error("the database cannot be used now: {0}")]
    Unavailable(String),
    /// The file is not a database, is damaged, or is of a newer version. A person must act.
    #[error("the database is damaged or not ours: {0}")]
    Corrupt(String),
    /// Another hub holds it.
    #[error("another hub is using this database: {0}; stop it, or name another file with PAIDUP_DATABASE_URL")]
    InUse(String),
    /// A row makes no sense.
    #[error("inconsistent row: {table}.{column} of {id}")]
    Inconsistent {
        /// Table.
        table: &'static str,
        /// Column.
        column: &'static str,
        /// Row.
        id: String,
    },
    /// The caller's decision refused; nothing was changed.
    #[error("{0}")]
    Refused(Refused),
    /// The caller's decision panicked; nothing was changed.
    #[error("deciding failed: {0}")]
    DecisionPanicked(String),
}

/// A decision that changes nothing, with its reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refused {
    /// HTTP status of the reason (404, 409, 422 ...).
    pub status: u16,
    /// For people.
    pub detail: String,
}

/// What a decision wants to see.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wants {
    /// Purchases, by their id or any other id of theirs; their customers come along.
    pub purchases: Vec<PurchaseId>,
    /// Customers by id.
    pub customers: Vec<CustomerId>,
    /// Customers by alias (or by their id's text form).
    pub aliases: Vec<String>,
    /// Whether these notifications are known already (asked for those that concern no purchase).
    pub notifications: Vec<NotificationId>,
    /// The question that waits about this purchase.
    pub question_of: Option<PurchaseId>,
    /// Claims.
    pub claims: Vec<ClaimId>,
    /// Lookups whose waiting claims come along.
    pub claims_for: Vec<LookupId>,
}

/// What there was before.
#[derive(Debug, Clone)]
pub struct Before {
    /// The partition that decides. SQLite has one: 0.
    pub partition: u16,
    /// The number that this decision's journal entry gets.
    pub entry: u64,
    /// The catalogue now.
    pub catalogue: Arc<Catalogue>,
    /// The purchases that are known.
    pub purchases: BTreeMap<PurchaseId, Arc<Purchase>>,
    /// Wanted ids that are other ids of a purchase, with the purchase's own.
    pub other_ids: BTreeMap<PurchaseId, PurchaseId>,
    /// The customers that are known: wanted ones, owners of wanted purchases, and whoever those were merged into.
    pub customers: BTreeMap<CustomerId, Arc<Customer>>,
    /// Wanted aliases that are known, with whom they answer as: merges are followed to their end.
    pub aliases: BTreeMap<String, CustomerId>,
    /// Wanted notifications that are known, among those that concern no purchase.
    pub notifications: BTreeSet<NotificationId>,
    /// The wanted question, when it waits.
    pub question: Option<QuestionRecord>,
    /// Wanted claims; those that wait for wanted lookups; and those that wait for wanted purchases which nobody knows. Their
    /// customers are among `aliases`.
    pub claims: BTreeMap<ClaimId, ClaimRecord>,
}

/// What is to be saved, in one transaction.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// What to keep of what was received.
    pub notifications: Vec<KeptNotification>,
    /// What was decided on; absent when nothing is decided (a repeat).
    pub journal: Option<JournalRecord>,
    /// Whole rows.
    pub purchases: Vec<Purchase>,
    /// Other ids under which a purchase is known from now on, with its own.
    pub other_ids: Vec<(PurchaseId, PurchaseId)>,
    /// Whole rows.
    pub customers: Vec<Customer>,
    /// New aliases. An alias belongs to one customer; setting it again moves it.
    pub aliases: Vec<(String, CustomerId)>,
    /// Appended to the log, in this order.
    pub events: Vec<paidup_lifecycle::event::Event>,
    /// Deadlines: looked at again at that time. A purchase's older deadlines are stale and may stay.
    pub deadlines: Vec<(Timestamp, PurchaseId)>,
    /// Questions for stores. One per purchase: a new one replaces the old.
    pub questions: Vec<QuestionRecord>,
    /// Questions that are answered.
    pub answered: Vec<PurchaseId>,
    /// To be looked up; one that waits already stays as it is.
    pub lookups: Vec<LookupRecord>,
    /// Lookups that are answered.
    pub looked_up: Vec<LookupId>,
    /// What answers lookups; wakes those that wait for it.
    pub clues: Vec<ClueRecord>,
    /// Claims as they are now.
    pub claims: Vec<ClaimRecord>,
    /// The whole new catalogue, its revision one higher.
    pub catalogue: Option<Catalogue>,
    /// A small thing that the hub keeps by name ([`Setup::put_meta`]), where it must hold together with the rest.
    pub meta: Option<(&'static str, Vec<u8>)>,
}

/// A pure decision: what to load, and what to make of it. It runs inside the store's transaction; a panic or a refusal
/// undoes this decision only, not its neighbours in the group.
pub trait Decision: Send {
    /// What it wants to see.
    fn wants(&self) -> Wants;
    /// Further purchases that it wants to see, as follows from what was loaded (another purchase of the same customer).
    /// Asked once, in the same transaction; their owners come along.
    fn wants_also(&self, _before: &Before) -> Vec<PurchaseId> {
        Vec::new()
    }
    /// What is to be saved. May be called again with another `before` when a transaction had to be repeated.
    fn decide(&mut self, before: &Before) -> Result<Changes, Refused>;
}

/// What a commit came to. Durable.
#[derive(Debug, Clone, Default)]
pub struct Committed {
    /// The journal entry's number, when there is one.
    pub entry: Option<u64>,
    /// The new events in their places.
    pub events: Vec<LoggedEvent>,
}

/// How urgent a commit is: intake, then settling, then roles, then the rest (architecture.md section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// A store waits for its answer.
    Intake,
    /// Progress of deliveries.
    Settling,
    /// Everything else.
    Rest,
}

/// Is told of new events by the writer. Must be quick and must not call the store.
pub type Listener = Box<dyn Fn(&[LoggedEvent]) + Send + Sync>;

/// The one door.
pub trait Commits {
    /// From now on `listener` is called after each durable transaction with its new events, in log order and before
    /// the callers of `commit` are answered. Only the writer knows that order: callers resolve in any order, or not at
    /// all when they were cancelled. One listener at a time; a second replaces the first.
    fn listen(&self, listener: Listener);
    /// Loads what `decision` wants, lets it decide, saves. Resolves when durable.
    fn commit(&self, urgency: Urgency, decision: Box<dyn Decision>) -> Answer<'_, Committed>;
    /// The catalogue as of the last commit, without waiting.
    fn catalogue(&self) -> Arc<Catalogue>;
}

/// What was received, decided and told.
pub trait Log {
    /// The last position of a partition; 0: empty.
    fn head(&self, partition: u16) -> Answer<'_, u64>;
    /// Up to `limit` events after `position`, in order.
    fn events_after(&self, partition: u16, position: u64, limit: usize) -> Answer<'_, Vec<LoggedEvent>>;
    /// The first position whose event was detected at or after `at`; `head + 1` when there is none.
    fn position_at(&self, partition: u16, at: Timestamp) -> Answer<'_, u64>;
    /// One event.
    fn event(&self, id: EventId) -> Answer<'_, Option<LoggedEvent>>;
    /// Newest first; page on with the last one's position.
    fn events(&self, query: EventQuery) -> Answer<'_, Vec<LoggedEvent>>;
    /// One notification; of several kept under one id the newest.
    fn notification(&self, id: NotificationId) -> Answer<'_, Option<KeptNotification>>;
    /// Removes events detected before `before`, from the beginning of the log on, in slices of a few milliseconds. Stops
    /// at the lowest cursor and the lowest parked event of all destinations; one whose gap is open holds nothing back.
    /// The newest event stays. Answers how many.
    fn prune_events(&self, before: Timestamp) -> Answer<'_, u64>;
    /// Removes notifications received before `before`, in the same way. The newest one stays.
    fn prune_notifications(&self, before: Timestamp) -> Answer<'_, u64>;
    /// Removes journal entries decided before `before`, in the same way, as long as neither an event nor a notification
    /// that is kept came from them. The newest one stays.
    fn prune_journal(&self, before: Timestamp) -> Answer<'_, u64>;
    /// How far all three were pruned.
    fn pruned(&self) -> Answer<'_, Pruned>;
    /// Newest first, optionally only those that concern no purchase; page on with the last one's number.
    fn notifications(&self, query: NotificationQuery) -> Answer<'_, Vec<(u64, KeptNotification)>>;
    /// Up to `limit` journal entries after `entry`, in order.
    fn journal_after(&self, partition: u16, entry: u64, limit: usize) -> Answer<'_, Vec<JournalEntry>>;
    /// The notifications that a journal entry read, in its order, each as it was kept with that entry (a store that
    /// sends the same id again may have signed other bytes): what a rebuild reads.
    fn entry_notifications(&self, partition: u16, entry: u64) -> Answer<'_, Vec<KeptNotification>>;
    /// What told these events, each with its purchase. Left out are events that are pruned and those of versions that did
    /// not note their journal entry.
    fn causes(&self, events: Vec<(u64, PurchaseId)>) -> Answer<'_, Vec<Cause>>;
    /// Checks every row of the journal and every kept notification against its digests. Names each that does not fit,
    /// with its column; at most `limit`.
    fn verify_journal(&self, limit: usize) -> Answer<'_, Vec<Mismatch>>;
    /// Compares what folding gave (events that neither side has pruned, purchases, customers, aliases, catalogue) with another store, byte for byte.
    /// Names each difference; at most `limit`.
    fn compare<'a>(&'a self, other: &'a dyn Store, limit: usize) -> Answer<'a, Vec<Mismatch>>;
    /// Rows of one derived table after a key, as (key, exact bytes), in key order: what `compare` reads on both sides.
    fn derived_rows(
        &self,
        table: DerivedTable,
        after: Option<Vec<u8>>,
        limit: usize,
    ) -> Answer<'_, Vec<(Vec<u8>, Vec<u8>)>>;
}

/// Who bought what.
pub trait People {
    /// By our id or any alias; merged customers answer as the one they were merged into.
    fn customer(&self, id_or_alias: &str) -> Answer<'_, Option<Customer>>;
    /// Ids of customers that come right before and right after this one in order: what may have been meant.
    fn aliases_around(&self, alias: &str, limit: usize) -> Answer<'_, Vec<String>>;
    /// A customer's purchases, oldest first, at most `limit`.
    fn purchases_of(&self, customer: CustomerId, limit: usize) -> Answer<'_, Vec<Purchase>>;
    /// One purchase.
    fn purchase(&self, id: PurchaseId) -> Answer<'_, Option<Purchase>>;
    /// Purchases of a source among the next `scanned` of all purchases after a place. They have no index by source: a walk
    /// over all is for work that can wait.
    fn purchases_of_source(&self, source: SourceId, after: Option<i64>, scanned: usize) -> Answer<'_, SourcePage>;
    /// Customers by creation, oldest first; page on with the last one's number.
    fn customers(&self, after: u64, limit: usize) -> Answer<'_, Vec<(u64, Customer)>>;
    /// Purchases by the ids that they have in Discord's shape, ascending.
    fn purchases_by_snowflake(&self, query: SnowflakeQuery) -> Answer<'_, Vec<(Snowflake, Purchase)>>;
    /// The customer who has that snowflake; merged customers answer as the one they were merged into.
    fn customer_by_snowflake(&self, snowflake: Snowflake) -> Answer<'_, Option<Customer>>;
    /// The Discord ids under which these customers are known: the linked account's, else the snowflake of whoever they
    /// were merged into. Unknown customers are left out.
    fn snowflakes_of(&self, customers: BTreeSet<CustomerId>) -> Answer<'_, BTreeMap<CustomerId, Snowflake>>;
}

/// What the clock waits for.
pub trait Agenda {
    /// Purchases with a deadline at or before `now`, earliest first, each once.
    fn due_deadlines(&self, now: Timestamp, limit: usize) -> Answer<'_, Vec<(Timestamp, PurchaseId)>>;
    /// These have been looked at. (A tick's own commit sets the next deadline; this forgets the old rows.)
    fn forget_deadlines(&self, done: Vec<(Timestamp, PurchaseId)>) -> Answer<'_, ()>;
    /// The earliest deadline.
    fn next_deadline(&self) -> Answer<'_, Option<Timestamp>>;
    /// Sources with a question or lookup that may be asked at `now`, by their ids.
    fn sources_due(&self, now: Timestamp) -> Answer<'_, Vec<SourceId>>;
    /// What waits for a source's store, counted.
    fn waiting(&self, source: SourceId) -> Answer<'_, Waiting>;
    /// Questions of a source that may be asked at `now`, earliest first.
    fn due_questions(&self, source: SourceId, now: Timestamp, limit: usize) -> Answer<'_, Vec<QuestionRecord>>;
    /// Asks again later, with the reason.
    fn postpone_question(&self, question: QuestionRecord) -> Answer<'_, ()>;
    /// All that wait, earliest first.
    fn questions(&self, limit: usize) -> Answer<'_, Vec<QuestionRecord>>;
    /// Lookups of a source that may be asked at `now`, earliest first.
    fn due_lookups(&self, source: SourceId, now: Timestamp, limit: usize) -> Answer<'_, Vec<LookupRecord>>;
    /// One lookup.
    fn lookup(&self, lookup: LookupId) -> Answer<'_, Option<LookupRecord>>;
    /// Asks for one that was given up, or waits, at once. Answers it as it stands then; `None`: it is gone.
    fn retry_lookup(&self, lookup: LookupId, now: Timestamp) -> Answer<'_, Option<LookupRecord>>;
    /// Asks again later, or gives up, with the reason.
    fn postpone_lookup(&self, lookup: LookupRecord) -> Answer<'_, ()>;
    /// It is not wanted any more.
    fn forget_lookup(&self, lookup: LookupId) -> Answer<'_, ()>;
    /// All that wait or were given up, oldest first.
    fn lookups(&self, limit: usize) -> Answer<'_, Vec<LookupRecord>>;
    /// What answers lookups of that name in the store's stead.
    fn clue(&self, source: SourceId, name: &str) -> Answer<'_, Option<bytes::Bytes>>;
    /// Forgets clues that were last written before `before`, in slices; answers how many.
    fn prune_clues(&self, before: Timestamp) -> Answer<'_, u64>;
    /// Forgets lookups that were given up and first wanted before `before`, in slices. Answers how many.
    fn prune_lookups(&self, before: Timestamp) -> Answer<'_, u64>;
}

/// Sources, destinations, keys.
pub trait Setup {
    /// All sources, oldest first.
    fn sources(&self) -> Answer<'_, Vec<SourceRecord>>;
    /// Inserts or replaces.
    fn put_source(&self, source: SourceRecord) -> Answer<'_, ()>;
    /// All destinations, oldest first.
    fn destinations(&self) -> Answer<'_, Vec<DestinationRecord>>;
    /// Inserts with its start position, or replaces. A `start` of now is resolved to the head of this transaction.
    /// Answers the record as kept.
    fn put_destination(&self, destination: DestinationRecord) -> Answer<'_, DestinationRecord>;
    /// Replaces a destination that is served again, and forgets since when it was failing. An open gap is closed: from
    /// the head it is skipped; from the cursor it will be caught up, but for what was pruned meanwhile. Parked events
    /// stay. Answers the record as kept; refused with 404 when the destination is gone.
    fn resume_destination(&self, destination: DestinationRecord, from: ResumeFrom) -> Answer<'_, DestinationRecord>;
    /// Forgets a destination with its progress, parked lanes and attempts.
    fn delete_destination(&self, id: DestinationId) -> Answer<'_, bool>;
    /// Forgets a source; its purchases stay.
    fn delete_source(&self, id: SourceId) -> Answer<'_, bool>;
    /// All keys, oldest first.
    fn keys(&self) -> Answer<'_, Vec<KeyRecord>>;
    /// The key with that hash, when it is not revoked.
    fn key_by_hash(&self, hash: [u8; 32]) -> Answer<'_, Option<KeyRecord>>;
    /// Inserts or replaces.
    fn put_key(&self, key: KeyRecord) -> Answer<'_, ()>;
    /// Forgets a key.
    fn delete_key(&self, id: ApiKeyId) -> Answer<'_, bool>;
    /// A setting of the installation (check value of the master key ...).
    fn meta(&self, name: &'static str) -> Answer<'_, Option<Vec<u8>>>;
    /// Sets it.
    fn put_meta(&self, name: &'static str, value: Vec<u8>) -> Answer<'_, ()>;
    /// The answer that was given for an Idempotency-Key.
    fn idempotent(&self, key: &str) -> Answer<'_, Option<IdempotentRecord>>;
    /// Keeps it; forgets those older than `forget_before`.
    fn put_idempotent(&self, record: IdempotentRecord, forget_before: Timestamp) -> Answer<'_, ()>;
}

/// How far destinations have come.
pub trait Deliveries {
    /// Progress in every partition.
    fn progress(&self, destination: DestinationId) -> Answer<'_, Vec<Progress>>;
    /// Events that wait, by position.
    fn parked(&self, destination: DestinationId, limit: usize) -> Answer<'_, Vec<Parked>>;
    /// Lanes that wait, and events that their lanes went on without, by the position of the first event; page on with the
    /// last one's position.
    fn waiting_lanes(&self, destination: DestinationId, after: u64, limit: usize) -> Answer<'_, Vec<WaitingLane>>;
    /// Events behind `after` and up to `last` with an attempt that gave them up, by position. A later attempt may have told
    /// them all the same.
    fn given_up(
        &self,
        destination: DestinationId,
        after: u64,
        last: u64,
        limit: usize,
    ) -> Answer<'_, Vec<(u64, EventId)>>;
    /// Whether a destination remembers anything.
    fn remembers(&self, destination: DestinationId) -> Answer<'_, bool>;
    /// What a destination remembers under a key.
    fn memory(&self, destination: DestinationId, key: Vec<u8>) -> Answer<'_, Option<Vec<u8>>>;
    /// Keeps the newest `keep` memories of each destination, in slices; answers how many were forgotten.
    fn prune_memories(&self, keep: usize) -> Answer<'_, u64>;
    /// Saves progress, parked, unparked and passed events, attempts and memories of several destinations together: all or nothing. Refused
    /// with 404 when a destination is gone, so that a late batch cannot bring it back.
    fn settle(&self, settlements: Vec<Settlement>) -> Answer<'_, ()>;
    /// Attempts, newest first; page on with the last one's number.
    fn attempts(&self, query: AttemptQuery) -> Answer<'_, Vec<Attempt>>;
    /// Removes attempts older than `before`, in slices; answers how many.
    fn prune_attempts(&self, before: Timestamp) -> Answer<'_, u64>;
}

/// The store, and how it is.
pub trait Store:
    Commits + Log + People + Agenda + Setup + Deliveries + Backfills + Claims + Reconciles + Replays + Send + Sync
{
    /// Figures for `/metrics` and `/readyz`.
    fn health(&self) -> Answer<'_, Health>;
    /// Waits until everything that was handed in is durable, then closes. Later calls answer `Unavailable`.
    fn close(&self) -> Answer<'_, ()>;
}
