//! Compares what folding gave with another store, byte for byte. Neutral of the engines.

use crate::records::{DerivedTable, Mismatch};
use crate::{Log, Store, StoreError};
use std::cmp::Ordering;
use std::collections::VecDeque;

/// Rows that are read from each side at a time.
const PAGE: usize = 500;

/// One side of the comparison, read page by page.
struct Side<'a> {
    store: &'a dyn Store,
    table: DerivedTable,
    page: VecDeque<(Vec<u8>, Vec<u8>)>,
    last: Option<Vec<u8>>,
    ended: bool,
}

impl<'a> Side<'a> {
    fn new(store: &'a dyn Store, table: DerivedTable) -> Side<'a> {
        Side { store, table, page: VecDeque::new(), last: None, ended: false }
    }

    /// Makes sure that the next row is at hand, when there is one.
    async fn fill(&mut self) -> Result<(), StoreError> {
        if self.page.is_empty() && !self.ended {
            self.page = Log::derived_rows(self.store, self.table, self.last.clone(), PAGE).await?.into();
            self.ended = self.page.len() < PAGE;
            if let Some((key, _)) = self.page.back() {
                self.last = Some(key.clone());
            }
        }
        Ok(())
    }
}

/// Every difference between the derived tables of two stores; at most `limit`.
pub(crate) async fn compare(one: &dyn Store, other: &dyn Store, limit: usize) -> Result<Vec<Mismatch>, StoreError> {
    let mut found = Vec::new();
    for table in DerivedTable::ALL {
        let (mut left, mut right) = (Side::new(one, *table), Side::new(other, *table));
        if *table == DerivedTable::Events {
            let pruned = one.pruned().await?.position.max(other.pruned().await?.position);
            let after = pruned.to_be_bytes().to_vec();
            (left.last, right.last) = (Some(after.clone()), Some(after));
        }
        while found.len() < limit {
            left.fill().await?;
            right.fill().await?;
            let order = match (left.page.front(), right.page.front()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((left, _)), Some((right, _))) => left.cmp(right),
            };
            let left = if order.is_le() { left.page.pop_front() } else { None };
            let right = if order.is_ge() { right.page.pop_front() } else { None };
            found.extend(difference(*table, left, right));
        }
    }
    Ok(found)
}

type Row = (Vec<u8>, Vec<u8>);

fn difference(table: DerivedTable, one: Option<Row>, other: Option<Row>) -> Option<Mismatch> {
    let mismatch = |key: &[u8], detail: String| {
        Some(Mismatch { table: table.as_str(), row: name(table, key), column: None, detail })
    };
    match (one, other) {
        (Some((key, one)), Some((_, other))) if one != other => mismatch(&key, first_difference(&one, &other)),
        (Some(_), Some(_)) | (None, None) => None,
        (Some((key, _)), None) => mismatch(&key, "is missing in the other".to_owned()),
        (None, Some((key, _))) => mismatch(&key, "is only in the other".to_owned()),
    }
}

/// Where two rows part, with what stands around it.
fn first_difference(one: &[u8], other: &[u8]) -> String {
    let at = one.iter().zip(other).take_while(|(one, other)| one == other).count();
    let excerpt = |bytes: &[u8]| {
        let from = at.saturating_sub(24).min(bytes.len());
        let to = (at + 24).min(bytes.len());
        String::from_utf8_lossy(&bytes[from..to]).into_owned()
    };
    format!("differs from byte {at} on: {:?} is {:?} in the other", excerpt(one), excerpt(other))
}

/// A row's key for people.
fn name(table: DerivedTable, key: &[u8]) -> String {
    let id = || <[u8; 16]>::try_from(key).unwrap_or_default();
    match table {
        DerivedTable::Events => format!("position {}", u64::from_be_bytes(key.try_into().unwrap_or_default())),
        DerivedTable::Purchases | DerivedTable::PurchaseOtherIds => paidup_lifecycle::ids::PurchaseId(id()).to_string(),
        DerivedTable::Customers => paidup_lifecycle::ids::CustomerId(id()).to_string(),
        DerivedTable::Aliases => String::from_utf8_lossy(key).into_owned(),
        DerivedTable::Catalogue => "the catalogue".to_owned(),
    }
}
