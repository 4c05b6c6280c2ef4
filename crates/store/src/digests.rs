//! Digests of rows: short ones that name the column which was changed, and one over the whole. Neutral of the engine.

use sha2::{Digest, Sha256};

/// A column's value as it is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cell<'a> {
    Null,
    Integer(i64),
    /// In none of our tables; a damaged one may hold it.
    Real(f64),
    Text(&'a [u8]),
    Blob(&'a [u8]),
}

/// SHA-256 of a column's value as it is kept, with its type.
pub(crate) fn column_digest(value: Cell<'_>) -> [u8; 32] {
    let mut hash = Sha256::new();
    match value {
        Cell::Null => hash.update([0]),
        Cell::Integer(number) => {
            hash.update([1]);
            hash.update(number.to_be_bytes());
        }
        Cell::Real(number) => {
            hash.update([2]);
            hash.update(number.to_be_bytes());
        }
        Cell::Text(bytes) => {
            hash.update([3]);
            hash.update(bytes);
        }
        Cell::Blob(bytes) => {
            hash.update([4]);
            hash.update(bytes);
        }
    }
    hash.finalize().into()
}

/// How many bytes of each column's digest a row keeps to name the column that was changed.
const NAMING_BYTES: usize = 4;

/// Digests of a row's columns: the short ones that name, and the one over all (after `before`).
pub(crate) fn row_digests(before: &[u8], columns: &[Cell<'_>]) -> (Vec<u8>, [u8; 32]) {
    let mut naming = Vec::with_capacity(columns.len() * NAMING_BYTES);
    let mut whole = Sha256::new();
    whole.update(before);
    for column in columns {
        let digest = column_digest(*column);
        naming.extend_from_slice(&digest[..NAMING_BYTES]);
        whole.update(digest);
    }
    (naming, whole.finalize().into())
}

/// The first 16 bytes.
pub(crate) fn first16(digest: [u8; 32]) -> [u8; 16] {
    let mut first = [0; 16];
    first.copy_from_slice(&digest[..16]);
    first
}

/// The columns whose short digests differ.
pub(crate) fn changed_columns(now: &[u8], kept: &[u8], names: &[&'static str]) -> Vec<&'static str> {
    let kept = kept.chunks(NAMING_BYTES).map(Some).chain(std::iter::repeat(None));
    now.chunks(NAMING_BYTES)
        .zip(kept)
        .zip(names)
        .filter(|((now, kept), _)| Some(*now) != *kept)
        .map(|(_, name)| *name)
        .collect()
}
