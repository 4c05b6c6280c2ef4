//! How senders prove themselves. Each file knows one kind of proof and no store; a store's `verify.rs` says which of
//! them it takes and what else must hold.

pub(crate) mod jws;
pub(crate) mod x509;
