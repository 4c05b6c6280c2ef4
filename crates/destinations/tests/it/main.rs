//! Every destination from outside: golden requests, one conformance suite for all kinds, Discord's own schema, hostile texts.

#![allow(clippy::unwrap_used)] // helpers of tests fail by panicking, as tests do

mod conformance;
mod discord;
mod discord_posts;
mod golden;
mod hostile;
mod intercom;
mod support;
