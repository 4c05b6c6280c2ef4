//! The records that go in and come out. Plain; no SQL.

use bytes::Bytes;
use paidup_lifecycle::closed_set;
use paidup_lifecycle::event::EventType;
use paidup_lifecycle::filter::Filter;
use paidup_lifecycle::ids::{
    ApiKeyId, CustomerId, DestinationId, EventId, LookupId, NotificationId, PurchaseId, SourceId,
};
use paidup_lifecycle::observation::Environment;
use paidup_lifecycle::snowflake::Snowflake;
use paidup_lifecycle::time::Timestamp;
use std::time::Duration;

/// What a source received, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptNotification {
    /// Derived from source and `external_id`.
    pub id: NotificationId,
    /// Who received it.
    pub source_id: SourceId,
    /// The store's own id.
    pub external_id: String,
    /// The store's name of its type.
    pub label: String,
    /// Our time.
    pub received_at: Timestamp,
    /// The body, or its own part when `shared` is not empty or `packed` is set.
    pub body: Body,
    /// `body` went through the source's `pack`.
    pub packed: bool,
    /// Parts that it shares with others: stored once each.
    pub shared: Vec<Bytes>,
    /// What came of it.
    pub outcome: NotificationOutcome,
    /// The purchase that it was about, when it was about one.
    pub purchase_id: Option<PurchaseId>,
}

/// A notification's body. Whoever makes one can pack it ahead, so that the one who writes need not.
#[derive(Debug, Clone, Default)]
pub struct Body {
    bytes: Bytes,
    ahead: Option<Bytes>,
}

impl Body {
    /// Packed here and now, on the caller's thread.
    #[must_use]
    pub fn packed_ahead(bytes: Bytes) -> Body {
        let ahead = crate::pack::ahead(&bytes).map(Bytes::from);
        Body { bytes, ahead }
    }

    /// As it was received.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// As it is kept, when it was packed ahead.
    pub(crate) fn ahead(&self) -> Option<&Bytes> {
        self.ahead.as_ref()
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Body {
        Body { bytes, ahead: None }
    }
}

impl PartialEq for Body {
    fn eq(&self, other: &Body) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Body {}

closed_set! {
    /// What came of a notification.
    pub enum NotificationOutcome {
        /// It said something about purchases.
        Observed = "observed",
        /// The store tested the line.
        Test = "test",
        /// Of a type that this version does not know.
        Unknown = "unknown",
        /// Known and of no consequence for a purchase.
        Informative = "informative",
    }
}

/// What was decided on. The store adds partition, number and digests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRecord {
    /// Our time.
    pub decided_at: Timestamp,
    /// `paidup_lifecycle::engine::ENGINE_VERSION`.
    pub engine_version: u32,
    /// The catalogue that it was decided with.
    pub catalogue_revision: u64,
    /// The policies that it was decided with.
    pub policy_revision: u64,
    /// From which ids were minted.
    pub seed: [u8; 16],
    /// The command as JSON. Notifications stand in it by their ids.
    pub input: Bytes,
    /// The notifications that it read.
    pub notifications: Vec<NotificationId>,
}

/// A journal record in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// Partition.
    pub partition: u16,
    /// From 1, without gaps.
    pub entry: u64,
    /// What was decided on.
    pub record: JournalRecord,
}

/// A row that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mismatch {
    /// Table.
    pub table: &'static str,
    /// Row, for people.
    pub row: String,
    /// Column, where it can be told.
    pub column: Option<&'static str>,
    /// What is wrong.
    pub detail: String,
}

/// What told an event: its journal entry, and what of what was received concerns the event's purchase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The event's place.
    pub position: u64,
    /// The journal entry.
    pub entry: u64,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// The command as JSON.
    pub input: Bytes,
    /// What was received, without bodies; at most a few.
    pub notifications: Vec<NotificationHead>,
}

/// A notification without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotificationHead {
    /// Its id.
    pub id: NotificationId,
    /// Who received it.
    pub source_id: SourceId,
    /// The store's own id.
    pub external_id: String,
    /// The store's name of its type.
    pub label: String,
    /// Our time.
    pub received_at: Timestamp,
}

closed_set! {
    /// Tables that folding the journal gives.
    pub enum DerivedTable {
        /// Events.
        Events = "events",
        /// Purchases.
        Purchases = "purchases",
        /// Other ids of purchases.
        PurchaseOtherIds = "purchase_other_ids",
        /// Customers.
        Customers = "customers",
        /// Aliases.
        Aliases = "aliases",
        /// Catalogue.
        Catalogue = "catalogue",
    }
}

/// Which events to list; newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventQuery {
    /// Only of these types; empty: all.
    pub types: Vec<EventType>,
    /// Only of this customer.
    pub customer: Option<CustomerId>,
    /// Only about this purchase.
    pub purchase: Option<PurchaseId>,
    /// Only of this environment.
    pub environment: Option<Environment>,
    /// Only of this source.
    pub source: Option<SourceId>,
    /// Detected at or after.
    pub from: Option<Timestamp>,
    /// Detected before.
    pub to: Option<Timestamp>,
    /// Only older than this position.
    pub before_position: Option<u64>,
    /// At most so many (1-200).
    pub limit: usize,
}

/// Which notifications to list; newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NotificationQuery {
    /// Only of this source.
    pub source: Option<SourceId>,
    /// Only with this outcome.
    pub outcome: Option<NotificationOutcome>,
    /// Only older than this number.
    pub before: Option<u64>,
    /// At most so many (1-200).
    pub limit: usize,
}

/// Which purchases to list by their snowflakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnowflakeQuery {
    /// Only of this customer.
    pub customer: Option<CustomerId>,
    /// Only above it.
    pub after: Option<Snowflake>,
    /// Only below it.
    pub before: Option<Snowflake>,
    /// Of those the highest, not the lowest.
    pub highest: bool,
    /// At most so many.
    pub limit: usize,
}

/// Some purchases of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePage {
    /// In the order in which they lie.
    pub purchases: Vec<paidup_lifecycle::purchase::Purchase>,
    /// Where to go on; `None`: there are no more.
    pub next: Option<i64>,
}

/// A question that waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuestionRecord {
    /// About what.
    pub purchase_id: PurchaseId,
    /// Whom to ask.
    pub source_id: SourceId,
    /// In the store's words.
    pub store_purchase_id: String,
    /// Why.
    pub why: String,
    /// When it was first due.
    pub asked_since: Timestamp,
    /// Not before.
    pub ask_at: Timestamp,
    /// Tries so far.
    pub attempts: u32,
    /// What came of the last one.
    pub last_error: Option<String>,
}

/// What waits for a source's store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Waiting {
    /// Questions how purchases stand.
    pub questions: u64,
    /// Lookups that will be tried again.
    pub lookups: u64,
    /// Lookups that were given up: a person must act.
    pub given_up: u64,
    /// Since when the oldest question or lookup waits that was not given up.
    pub oldest: Option<Timestamp>,
    /// What came of one of the last tries at those.
    pub last_error: Option<String>,
}

/// Something that is to be looked up at a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupRecord {
    /// Derived from source, name and context.
    pub id: LookupId,
    /// Whom to ask.
    pub source_id: SourceId,
    /// What, in the source's words.
    pub name: String,
    /// What for, in the source's words.
    pub context: String,
    /// Why, for people.
    pub why: String,
    /// Not wanted when this purchase is known by then.
    pub unless_known: Option<PurchaseId>,
    /// When it was first wanted.
    pub asked_since: Timestamp,
    /// Not before; `None`: given up, a person must act.
    pub ask_at: Option<Timestamp>,
    /// Tries so far.
    pub attempts: u32,
    /// What came of the last one.
    pub last_error: Option<String>,
    /// It is wanted to compare what is known with the store, not by a notification.
    pub reconciles: bool,
}

/// What answers lookups of a name where the store cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClueRecord {
    /// Whose.
    pub source_id: SourceId,
    /// The lookups' name.
    pub name: String,
    /// The answer's body.
    pub answer: Bytes,
}

/// A source as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRecord {
    /// Its id.
    pub id: SourceId,
    /// `app_store`, ...
    pub kind: String,
    /// For people.
    pub name: String,
    /// Settings as JSON, secrets encrypted by the hub.
    pub settings: Vec<u8>,
    /// Since when.
    pub created_at: Timestamp,
}

closed_set! {
    /// What must stay in order (contract.md).
    pub enum LaneOrder {
        /// One purchase's events.
        Purchase = "purchase",
        /// One customer's events.
        Customer = "customer",
        /// Nothing.
        None = "none",
    }
}

closed_set! {
    /// Whether a destination is served.
    pub enum DestinationState {
        /// Served.
        Active = "active",
        /// Held by a person; catches up when resumed.
        Paused = "paused",
        /// Held by us: it said that it is gone, its credentials are wrong, or too many events could not be rendered.
        SwitchedOff = "switched_off",
    }
}

/// Where a new destination starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the head of the transaction that creates it.
    Now,
    /// At the first event kept.
    Beginning,
    /// At the first event detected at or after.
    At(Timestamp),
}

/// A filter, and from which position on it holds.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FilterVersion {
    /// Partition and first position, for each partition; a partition that is not named: from 1.
    pub from: Vec<(u16, u64)>,
    /// The filter.
    pub filter: Filter,
}

/// A destination as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationRecord {
    /// Its id.
    pub id: DestinationId,
    /// `webhook`, ...
    pub kind: String,
    /// For people.
    pub name: String,
    /// Settings as JSON, secrets encrypted by the hub.
    pub settings: Vec<u8>,
    /// What must stay in order.
    pub order: LaneOrder,
    /// Filters, oldest first. `put_destination` resolves a version with an empty `from` to the head of its transaction.
    pub filters: Vec<FilterVersion>,
    /// Only used when it is created.
    pub start: Start,
    /// Whether it is served.
    pub state: DestinationState,
    /// Why not.
    pub state_reason: Option<String>,
    /// Since when it is in that state.
    pub state_since: Timestamp,
    /// So many events may wait for it; more, and it is switched off with a gap on record. At least 1.
    pub max_backlog: u64,
    /// Its gaps, oldest first; at most the last one is open.
    pub gaps: Vec<Gap>,
    /// A lane goes on without its first event when that has failed for so long; `None`: the lane waits. Whole seconds, at
    /// least one.
    pub skip_after: Option<Duration>,
    /// From its first failure on an event is tried for at least so long, and a destination that takes nothing is served.
    /// Whole seconds, at least one.
    pub keep_trying: Duration,
    /// Since when it exists.
    pub created_at: Timestamp,
}

impl DestinationRecord {
    /// The gap that is not decided yet.
    #[must_use]
    pub fn open_gap(&self) -> Option<&Gap> {
        self.gaps.last().filter(|gap| gap.state == GapState::Open)
    }

    /// What of an open gap lies below where the destination goes on is skipped; the rest will be caught up.
    pub(crate) fn close_gap(&mut self, before: &Progress, after: &Progress, head: u64) {
        let Some(open) = self.gaps.pop_if(|gap| gap.state == GapState::Open) else { return };
        let (behind, left) = (before.behind(head), after.behind(head));
        if behind > left {
            let (first, last, events) = (before.cursor + 1, after.cursor, behind - left);
            self.gaps.push(Gap { first, last, events, state: GapState::Skipped, ..open.clone() });
        }
        if left > 0 {
            let (first, last) = (after.cursor + 1, head);
            self.gaps.push(Gap { first, last, events: left, state: GapState::CaughtUp, ..open });
        }
    }

    /// The first filter holds from the beginning, whatever the start; a later one, when it is not said, from after the
    /// head.
    pub(crate) fn resolve_filters(&mut self, head: u64) {
        for (place, version) in self.filters.iter_mut().enumerate() {
            if version.from.is_empty() {
                version.from = vec![(0, if place == 0 { 1 } else { head + 1 })];
            }
        }
    }
}

/// Backlogs when nobody says: some days of a busy shop, and about a gigabyte of log.
pub const DEFAULT_MAX_BACKLOG: u64 = 1_000_000;

/// How long events are tried when nobody says: an outage from Friday evening to Monday evening loses nothing.
pub const DEFAULT_KEEP_TRYING: Duration = Duration::from_secs(75 * 3600);

closed_set! {
    /// What became of a gap.
    pub enum GapState {
        /// Nobody has decided yet. It grows with the log.
        Open = "open",
        /// The destination went on behind it: these events were not told.
        Skipped = "skipped",
        /// The destination went on in front of it: these events were told after all.
        CaughtUp = "caught_up",
    }
}

/// Events that a destination was not told, or not in time.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Gap {
    /// First position.
    pub first: u64,
    /// Last position; of an open one as of when it was noted.
    pub last: u64,
    /// Events in it that were neither settled nor parked, wanted or not; of an open one as of when it was noted.
    pub events: u64,
    /// When it was noted.
    pub noted_at: Timestamp,
    /// Why, for people.
    pub reason: String,
    /// What became of it.
    pub state: GapState,
}

/// Where a destination goes on that has a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResumeFrom {
    /// Where it stopped.
    Cursor,
    /// Behind the newest event: what lies between is skipped, and stands on record.
    Head,
}

/// How far a destination has come in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Partition.
    pub partition: u16,
    /// Everything up to here is settled or parked.
    pub cursor: u64,
    /// Settled ranges above the cursor, first and last position, ascending, not touching.
    pub settled: Vec<(u64, u64)>,
    /// Since when nothing was taken any more; `None`: the last attempt was.
    pub failing_since: Option<Timestamp>,
}

impl Progress {
    /// Everything up to `cursor`, and nothing above.
    #[must_use]
    pub fn at(partition: u16, cursor: u64) -> Progress {
        Progress { partition, cursor, settled: Vec::new(), failing_since: None }
    }

    /// The same, going on behind `cursor` when that is farther, as if nothing had failed.
    #[must_use]
    pub fn from(&self, cursor: u64) -> Progress {
        let mut next = Progress::at(self.partition, cursor.max(self.cursor));
        for (first, last) in self.settled.iter().filter(|(_, last)| *last > cursor) {
            if *first <= next.cursor + 1 {
                next.cursor = next.cursor.max(*last);
            } else {
                next.settled.push((*first, *last));
            }
        }
        next
    }

    /// Positions up to `head` that are neither settled nor parked.
    #[must_use]
    pub fn behind(&self, head: u64) -> u64 {
        let covered: u64 = self.settled.iter().map(|(first, last)| last - first + 1).sum();
        head.saturating_sub(self.cursor).saturating_sub(covered)
    }
}

/// What a destination remembers about a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The customer's id.
    pub key: Vec<u8>,
    /// The destination's own bytes; empty: forget it.
    pub body: Vec<u8>,
}

/// An event that waits for its next try, or behind one in its lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// Partition.
    pub partition: u16,
    /// Place in the log.
    pub position: u64,
    /// The event.
    pub event_id: EventId,
    /// The lane's name: the purchase's or customer's id.
    pub lane: Vec<u8>,
    /// Tries so far; 0: it waits behind another.
    pub attempts: u32,
    /// First failure.
    pub parked_at: Timestamp,
    /// Not before.
    pub next_try_at: Timestamp,
    /// What came of the last try.
    pub last_error: Option<String>,
    /// A person asked for it (replay); it is delivered even when it was settled before.
    pub replay: bool,
    /// When its lane went on without it; `None`: the lane waits for it.
    pub passed_at: Option<Timestamp>,
}

/// A lane that waits, or an event that its lane went on without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingLane {
    /// Its first event.
    pub head: Parked,
    /// How many parked events wait behind it.
    pub behind: u64,
}

/// What one batch of deliveries came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// Whose.
    pub destination: DestinationId,
    /// New progress of the partitions that moved.
    pub progress: Vec<Progress>,
    /// Inserted or replaced, by (partition, position).
    pub parked: Vec<Parked>,
    /// Removed.
    pub unparked: Vec<(u16, u64)>,
    /// Parked events that their lanes went on without, by (partition, position), and when.
    pub passed: Vec<(u16, u64, Timestamp)>,
    /// Appended.
    pub attempts: Vec<AttemptRecord>,
    /// Replaced by key, or forgotten.
    pub memories: Vec<Remembered>,
}

impl Settlement {
    /// Nothing yet.
    #[must_use]
    pub fn of(destination: DestinationId) -> Settlement {
        Settlement {
            destination,
            progress: Vec::new(),
            parked: Vec::new(),
            unparked: Vec::new(),
            passed: Vec::new(),
            attempts: Vec::new(),
            memories: Vec::new(),
        }
    }
}

closed_set! {
    /// How a delivery stands.
    pub enum DeliveryState {
        /// Arrived.
        Delivered = "delivered",
        /// Will be tried again.
        Retrying = "retrying",
        /// Given up.
        Failed = "failed",
        /// Not needed.
        Skipped = "skipped",
    }
}

/// One try at delivering one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRecord {
    /// Partition of the event.
    pub partition: u16,
    /// Place of the event.
    pub position: u64,
    /// The event.
    pub event_id: EventId,
    /// Which try, from 1.
    pub attempt: u32,
    /// When it began.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: u32,
    /// HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// What it came to.
    pub state: DeliveryState,
    /// Why, and an excerpt of the answer (at most 500 bytes), never secrets.
    pub detail: Option<String>,
    /// No answer came, and the far side cannot tell repeats: the next attempt may tell it twice.
    pub may_repeat: bool,
}

/// An attempt in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Number, for paging.
    pub number: u64,
    /// Whose.
    pub destination: DestinationId,
    /// What.
    pub record: AttemptRecord,
}

/// Which attempts to list; newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AttemptQuery {
    /// Only to this destination.
    pub destination: Option<DestinationId>,
    /// Only of this event.
    pub event: Option<EventId>,
    /// Only those that came to this.
    pub state: Option<DeliveryState>,
    /// Only with this HTTP status.
    pub status: Option<u16>,
    /// At or after.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
    /// Only older than this number.
    pub before: Option<u64>,
    /// At most so many (1-200).
    pub limit: usize,
}

/// A key, without the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Its id.
    pub id: ApiKeyId,
    /// For people.
    pub name: String,
    /// SHA-256 of the key.
    pub hash: [u8; 32],
    /// `read`, `write`, `admin`, `ingest`, `portal`.
    pub scopes: Vec<String>,
    /// Since when.
    pub created_at: Timestamp,
    /// Until when; `None`: for ever.
    pub expires_at: Option<Timestamp>,
}

/// An answer that was given for an Idempotency-Key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotentRecord {
    /// The API key's id and the Idempotency-Key.
    pub key: String,
    /// SHA-256 of method, path and body: another request under the same key is a conflict.
    pub request: [u8; 32],
    /// Status.
    pub status: u16,
    /// Body.
    pub body: Vec<u8>,
    /// When.
    pub created_at: Timestamp,
}

/// How far the logs were pruned, from their beginning on. What is left has no gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Number of the last notification that was removed; 0: none was.
    pub notification: u64,
    /// Position of the last event that was removed; 0: none was.
    pub position: u64,
    /// The last journal entry that was removed; 0: none was.
    pub entry: u64,
}

/// How the store is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// Bytes on disk.
    pub bytes: u64,
    /// Positions of the partitions.
    pub heads: Vec<(u16, u64)>,
    /// Commands that wait for the writer.
    pub queued: u64,
    /// Transactions so far.
    pub transactions: u64,
    /// Commands so far.
    pub commands: u64,
    /// The last write failed, with its reason; `None`: it did not.
    pub failing: Option<String>,
}
