//! What every store must do, as cases over a factory: an engine's tests give a fresh store and run them all.
//!
//! A case fails by panicking. Each gets a store of its own, so cases share nothing.

mod agenda;
mod backfills;
mod commits;
mod deliveries;
mod log;
mod people;
mod pruning;
mod reconciles;
mod replays;
mod samples;
mod setup;
mod verify;

pub(crate) use samples::*;

use crate::Store;
use std::pin::Pin;
use std::sync::Arc;

/// A case under way.
pub(crate) type Running = Pin<Box<dyn Future<Output = ()>>>;

/// A case: its name, and what it does with a fresh store.
pub(crate) type Case = (&'static str, fn(Arc<dyn Store>) -> Running);

/// Names functions as cases.
macro_rules! cases {
    ($($case:ident),+ $(,)?) => {
        /// The cases of this file.
        pub(super) const CASES: &[super::Case] = &[$((stringify!($case), |store| Box::pin($case(store)))),+];
    };
}
pub(crate) use cases;

/// Every case.
pub(crate) fn all() -> Vec<Case> {
    [
        commits::CASES,
        log::CASES,
        people::CASES,
        agenda::CASES,
        setup::CASES,
        deliveries::CASES,
        pruning::CASES,
        verify::CASES,
        backfills::CASES,
        reconciles::CASES,
        replays::CASES,
    ]
    .concat()
}
