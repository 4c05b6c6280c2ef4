//! The whole program, over real HTTP: a hub on a free port with its own database and a clock that the test moves, and
//! receivers on loopback. One module for each capability.

#![allow(missing_docs)]

mod support;
mod walk;

mod alerts;
mod amazon;
mod app_store;
mod app_store_api;
mod backfill;
mod bad_input;
mod connect;
mod crash;
mod customers;
mod days;
mod delivery;
mod discord_api;
mod discord_source;
mod disk;
mod docs;
mod effect_once;
mod endpoints;
mod explain;
mod generic;
mod grants;
mod hostile;
mod intercom;
mod keys;
mod matrix;
mod openapi;
mod operations;
mod owners;
mod play;
mod population;
mod purchasely;
mod reads;
mod rebuild;
mod revenuecat;
mod round_trip;
mod start;
mod stripe;
mod tryout;
mod webhooks;
