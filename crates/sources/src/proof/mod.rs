//! How senders prove themselves. Each file knows one kind of proof and no store; a store's `verify.rs` says which of
//! them it takes and what else must hold.

pub(crate) mod ed25519;
pub(crate) mod jws;
pub(crate) mod oidc;
pub(crate) mod shared_secret;
pub(crate) mod sns;
pub(crate) mod x509;
