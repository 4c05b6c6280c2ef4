//! Everything that Paidup knows about subscriptions, and nothing else: no clock, no chance, no I/O.
//!
//! The words first (`observation`, `purchase`, `customer`, `event`, `catalogue`, `ids`, `money`, `time`), then `engine`
//! (what an input makes of a purchase), `entitlement` (what the customer may use after it), `dialects` (the same events
//! in RevenueCat's, Purchasely's and Discord's words) and `filter` (which events a destination wants). `alert` is what events
//! tell of the hub itself.
//! `schema` publishes the shape of events, `sample` plausible ones.

pub mod alert;
pub mod catalogue;
pub mod closed_set;
pub mod customer;
pub mod dialects;
pub mod engine;
pub mod entitlement;
pub mod event;
pub mod filter;
pub mod ids;
pub mod money;
pub mod observation;
pub mod purchase;
pub mod sample;
pub mod schema;
pub mod snowflake;
pub mod text_form;
pub mod time;
