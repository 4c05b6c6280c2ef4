//! Local services that answer as the vendors document, and keep to the vendors' limits: a message that Discord would
//! refuse, ours refuses. What a page leaves open is marked `ASSUMPTION:`.
//!
//! They take time from a [`crate::edge::Clock`], so that a limit of a minute is tested in a millisecond.

pub mod amazon;
pub mod apis;
pub mod app_store;
pub mod discord;
pub mod discord_app;
pub mod faults;
pub mod intercom;
pub mod limits;
mod path;
pub mod play;
pub mod receiver;
mod server;
pub mod stripe;

pub use server::Server;
