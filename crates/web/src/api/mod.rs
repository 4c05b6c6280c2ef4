//! The API of `/v1`: one file per resource.

pub(crate) mod backfills;
pub(crate) mod catalogue;
pub(crate) mod connect;
pub(crate) mod customers;
pub(crate) mod deliveries;
pub(crate) mod destinations;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod feed;
pub(crate) mod grants;
pub(crate) mod keys;
pub(crate) mod lookups;
pub(crate) mod notifications;
pub(crate) mod parked;
pub(crate) mod purchases;
pub(crate) mod reconciles;
pub(crate) mod replays;
pub(crate) mod schemas;
pub(crate) mod sources;
pub(crate) mod subscribers;
