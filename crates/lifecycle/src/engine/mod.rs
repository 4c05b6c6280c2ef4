//! The engine: `advance` takes what is known of a purchase and one input, and says what is known now, what happened,
//! what to ask the store and when to look again. No I/O, no clock, no chance.
//!
//! The way through: the input's facets are absorbed (`crate::observation`), `state` says what they amount to, `classify`
//! names the changes between before and after, `transitions` (the table, as data that can be printed) says what is told
//! of each, and `tell` makes the events. `facts` keeps one-off facts apart, `deadlines` the clock. What the customer may
//! use after each event is filled in by `crate::entitlement::seal`.

mod advance;
mod change;
mod classify;
mod deadlines;
mod facts;
pub mod grants;
pub mod state;
mod tell;
pub mod temporary;
pub mod transitions;
mod view;

pub use advance::advance;
pub use change::Change;
pub use view::view;

use crate::catalogue::Catalogue;
use crate::event::{Details, Edge, EventType, PurchaseView, TransactionView};
use crate::ids::CustomerId;
use crate::observation::{Hint, Observation, Reason};
use crate::purchase::Purchase;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The version of the engine's decisions. It is noted in every journal entry; a rebuild with another one reports which
/// events would differ.
pub const ENGINE_VERSION: u32 = 4;

/// What comes in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "input", rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every input is an observation, and inputs are passed by reference"
)]
pub enum Input {
    /// A store spoke.
    Observed(Observation),
    /// The clock: `now` has reached a deadline.
    Tick,
    /// The store was asked and could not be reached by `now`.
    Unanswered,
    /// The purchase now belongs to this customer, by our own command.
    Moved {
        /// The new owner.
        to: CustomerId,
    },
    /// The catalogue says something else about the product.
    CatalogueChanged {
        /// What the product unlocked before: the `entitlements` of the customer's holding.
        unlocked_before: Vec<String>,
    },
    /// A trial grant's entitlement was bought (see `crate::entitlement::converted_grants`): the grant ends, and the trial
    /// counts as converted.
    Converted,
}

/// What the engine must know besides the purchase.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Ranks, groups and what products unlock.
    pub catalogue: &'a Catalogue,
    /// Whether the source can be asked how the purchase stands. Those that cannot end by date.
    pub can_ask: bool,
    /// The customer that the observation's owner facet names, when it names one: resolved by the caller.
    pub owner: Option<CustomerId>,
    /// The source tells prices in a later notification (Stripe's invoice): a paid start whose price is not known yet is
    /// told when the price comes, at most 10 minutes later; ACTIVATE never waits (architecture.md section 2).
    pub price_follows: bool,
    /// The customer had the same product in this store before and it has ended: a new purchase is a reactivation.
    pub had_before: bool,
    /// All ids of the present owner and of the one it moves to, for the two transfer events.
    pub owner_ids: &'a [String],
    /// See `owner_ids`.
    pub new_owner_ids: &'a [String],
    /// If the purchase moves, the present owner and the one it moves to turn out to be one person: they are merged, or
    /// nobody had claimed the present one. RevenueCat calls only the other moves a transfer.
    pub merges: bool,
}

/// For whom an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The owner after the input.
    Owner,
    /// The owner before it, in a transfer.
    Former(CustomerId),
}

/// An event before it has its id, its number and the customer's side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The row of the transition table that told it.
    pub row: &'static str,
    /// Canonical name.
    pub event_type: EventType,
    /// For whom.
    pub subject: Subject,
    /// Why access moved.
    pub edge: Option<Edge>,
    /// The store's time.
    pub occurred_at: Timestamp,
    /// The purchase as this event shows it. (On DEACTIVATE of a plan change: with the old product.)
    pub purchase: Arc<PurchaseView>,
    /// Before the bundle.
    pub previous: Option<Arc<PurchaseView>>,
    /// The reading of the purchase whose product unlocks something for the subject after this event; `None`: no access.
    pub access: Option<Arc<PurchaseView>>,
    /// Money, or the transaction that it is about.
    pub transaction: Option<TransactionView>,
    /// Why.
    pub reason: Option<Reason>,
    /// Why the store spoke.
    pub hint: Option<Hint>,
    /// Concluded, not told.
    pub inferred: bool,
    /// From history.
    pub backfill: bool,
    /// What only some events carry.
    pub details: Details,
}

/// What to ask a store. The source's `ask` makes the request; the answer is kept and read like a notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// How things stand with this purchase.
    pub purchase: crate::ids::PurchaseId,
    /// Why it is asked, for the operator.
    pub why: String,
    /// Not before.
    pub ask_at: Timestamp,
}

/// What comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// As it stands now (its `seq` grown by the number of events).
    pub purchase: Purchase,
    /// What happened, in order. All of one bundle.
    pub events: Vec<Draft>,
    /// What to ask the store.
    pub questions: Vec<Question>,
    /// When the clock has something to decide again. Equal to `purchase.next_deadline`.
    pub next_deadline: Option<Timestamp>,
}
