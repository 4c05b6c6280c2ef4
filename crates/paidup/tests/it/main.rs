//! The whole program, over real HTTP: a hub on a free port with its own database and a clock that the test moves, and
//! receivers on loopback. One module for each capability.

#![allow(missing_docs)]

mod support;

mod app_store;
mod backfill;
mod bad_input;
mod connect;
mod crash;
mod customers;
mod delivery;
mod discord_api;
mod disk;
mod docs;
mod generic;
mod grants;
mod intercom;
mod keys;
mod matrix;
mod openapi;
mod population;
mod reads;
mod start;
mod stripe;
