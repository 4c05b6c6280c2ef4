//! A request that a hub must refuse, and the answers that are right. Each store makes its own: a genuine one with one thing
//! wrong, by name.

/// Nobody vouches for it.
pub const FORGED: &[u16] = &[401, 403];
/// It cannot be read. Where the fault can also be seen as a missing proof, 401 and 403 are as right.
pub const MALFORMED: &[u16] = &[400, 401, 403];
/// It is genuine, but for another app or environment.
pub const MISDIRECTED: &[u16] = &[422];
/// More than a hub reads.
pub const TOO_LARGE: &[u16] = &[413];

/// A request that must not be believed.
#[derive(Debug, Clone)]
pub struct Forgery {
    /// What is wrong.
    pub name: &'static str,
    /// The headers that it is sent with.
    pub headers: Vec<(&'static str, String)>,
    /// The body to POST.
    pub body: Vec<u8>,
    /// The answers that are right, by the contract of `POST /ingest/{source_id}`.
    pub answers: &'static [u16],
}
