//! The stores that are played: each signs its notifications as the real one does.

pub mod app_store;
