//! The transition table that the engine runs, as data: for every state and every change a row, or the reason why nothing
//! is told. `paidup lifecycle` prints it.
//!
//! The rows stand in `rows.rs` and `others.rs`, the reasons for silence in `ignored.rs`. How a change is recognised is in
//! `classify.rs`, how a row becomes events in `tell.rs`.

mod ignored;
mod others;
mod rows;

pub use ignored::IGNORED;

use super::change::Change;
use crate::event::{Edge, EventType};
use crate::purchase::State;
use others::{FACTS, GRANTS, ONCE, TEMPORARY};
use rows::{ENDINGS, PLANS, RUN, STARTS};
use std::fmt::Write as _;
use std::sync::LazyLock;

/// One event of a row, or a choice that the facets decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emit {
    /// ACTIVATE.
    Activate(Edge),
    /// DEACTIVATE. A consumable never gave lasting access, so it is left out there.
    Deactivate(Edge),
    /// DEACTIVATE with the product before the change.
    DeactivateOld,
    /// This event.
    Tell(EventType),
    /// UPGRADED, CROSSGRADED or DOWNGRADED by rank within the group, else the store's word, else CROSSGRADED.
    Grade,
    /// `<offer>_STARTED` if an offer is in use that was not before.
    OfferStarted,
    /// `<old offer>_CONVERTED` if it gave way to the regular price, or a free one to a paid one.
    OfferConverted,
    /// `<offer>_NOT_CONVERTED` if the period was in an offer.
    OfferNotConverted,
    /// TRANSACTION_PROCESSED for each money fact of the transaction that is known and was not told.
    Money,
    /// For the former owner: DEACTIVATE, then this event.
    Former(EventType),
}

/// What is told of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Number in the canonical lifecycle, with a letter where the engine is finer.
    pub number: &'static str,
    /// In words.
    pub name: &'static str,
    /// In these states.
    pub from: &'static [State],
    /// The change.
    pub change: Change,
    /// When the change is recognised, in words.
    pub guard: &'static str,
    /// The state after it; absent: unchanged, or as told.
    pub to: Option<State>,
    /// Events, in the order in which they are told.
    pub emits: &'static [Emit],
    /// Where it is written.
    pub reference: &'static str,
}

/// What a state makes of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// This is told.
    Row(&'static Row),
    /// Nothing is told, for this reason.
    Ignored(&'static str),
}

/// A change that is not told in some states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ignored {
    /// The change.
    pub change: Change,
    /// In these states.
    pub from: &'static [State],
    /// Why.
    pub reason: &'static str,
}

/// Groups of states that rows and reasons share.
mod states {
    use crate::purchase::State::{
        self, Active, BillingRetry, Expired, Grace, None as Unknown, Paused, Pending, Revoked,
    };

    pub(super) const ALL: &[State] = State::ALL;
    pub(super) const RUNNING: &[State] = &[Active, Grace, BillingRetry, Paused];
    pub(super) const ACCESS: &[State] = &[Active, Grace];
    pub(super) const NOT_RUNNING: &[State] = &[Unknown, Pending, Expired, Revoked];
    pub(super) const FRESH: &[State] = &[Unknown, Pending];
    pub(super) const SEEN: &[State] = &[Active, Grace, BillingRetry, Paused, Expired, Revoked];
    pub(super) const OVER: &[State] = &[Expired, Revoked];
    pub(super) const NOT_ACTIVE: &[State] = &[Unknown, Pending, Grace, BillingRetry, Paused, Expired, Revoked];
    pub(super) const NOT_EXPIRED: &[State] = &[Unknown, Pending, Active, Grace, BillingRetry, Paused, Revoked];
}

static TABLE: LazyLock<Vec<Row>> =
    LazyLock::new(|| [STARTS, ENDINGS, PLANS, RUN, ONCE, GRANTS, TEMPORARY, FACTS].concat());

/// All rows.
#[must_use]
pub fn table() -> &'static [Row] {
    &TABLE
}

static CELLS: LazyLock<Vec<Cell>> = LazyLock::new(|| {
    let mut cells = Vec::with_capacity(State::ALL.len() * Change::ALL.len());
    for state in State::ALL {
        for change in Change::ALL {
            let row = table().iter().find(|row| row.change == *change && row.from.contains(state));
            let ignored = IGNORED.iter().find(|cell| cell.change == *change && cell.from.contains(state));
            cells.push(match (row, ignored) {
                (Some(row), _) => Cell::Row(row),
                (None, Some(cell)) => Cell::Ignored(cell.reason),
                (None, None) => Cell::Ignored("not decided"), // a test proves that this never stands in the table
            });
        }
    }
    cells
});

/// What `from` makes of `change`: this is what the engine runs.
#[must_use]
pub fn cell(from: State, change: Change) -> Cell {
    CELLS[from as usize * Change::ALL.len() + change as usize]
}

impl Emit {
    /// As the table is printed.
    #[must_use]
    pub fn text(self) -> String {
        match self {
            Emit::Activate(edge) => format!("ACTIVATE ({edge})"),
            Emit::Deactivate(edge) => format!("DEACTIVATE ({edge})"),
            Emit::DeactivateOld => "DEACTIVATE (replaced, old product)".to_owned(),
            Emit::Tell(event) => event.to_string(),
            Emit::Grade => "SUBSCRIPTION_UPGRADED | CROSSGRADED | DOWNGRADED".to_owned(),
            Emit::OfferStarted => "<offer>_STARTED?".to_owned(),
            Emit::OfferConverted => "<old offer>_CONVERTED?".to_owned(),
            Emit::OfferNotConverted => "<offer>_NOT_CONVERTED?".to_owned(),
            Emit::Money => "TRANSACTION_PROCESSED?".to_owned(),
            Emit::Former(event) => format!("former owner: DEACTIVATE (transferred), {event}; new owner"),
        }
    }
}

/// The table as a Mermaid state diagram: moves between states as arrows, what stays in a state as a note.
#[must_use]
pub fn to_mermaid() -> String {
    let mut text = String::from("stateDiagram-v2\n    [*] --> none\n");
    for row in table() {
        if let Some(to) = row.to {
            for from in row.from.iter().filter(|from| **from != to) {
                let _ = writeln!(text, "    {from} --> {to}: {} {}", row.number, row.name);
            }
        }
    }
    for state in State::ALL {
        let stays: Vec<String> = table()
            .iter()
            .filter(|row| row.from.contains(state) && !row.emits.is_empty() && row.to.is_none_or(|to| to == *state))
            .map(|row| format!("        {} {}", row.number, row.name))
            .collect();
        if !stays.is_empty() {
            let _ = writeln!(text, "    note right of {state}\n{}\n    end note", stays.join("\n"));
        }
    }
    text
}

/// The table as JSON: `rows` and `ignored`, both over the closed sets `states` and `changes`.
#[must_use]
pub fn to_json() -> serde_json::Value {
    let rows: Vec<_> = table()
        .iter()
        .map(|row| {
            serde_json::json!({
                "number": row.number, "name": row.name, "from": row.from, "change": row.change, "guard": row.guard,
                "to": row.to, "events": row.emits.iter().map(|emit| emit.text()).collect::<Vec<_>>(),
                "reference": row.reference,
            })
        })
        .collect();
    let ignored: Vec<_> = IGNORED
        .iter()
        .map(|cell| serde_json::json!({ "change": cell.change, "from": cell.from, "reason": cell.reason }))
        .collect();
    serde_json::json!({ "states": State::ALL, "changes": Change::ALL, "rows": rows, "ignored": ignored })
}
