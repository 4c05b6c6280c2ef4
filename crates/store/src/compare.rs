//! Compares what folding gave with another store, byte for byte. Neutral of the engines.

use crate::records::{DerivedTable, Mismatch};
use crate::{Log, Store, StoreError};
use paidup_lifecycle::ids::{CustomerId, PurchaseId};
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet, VecDeque};

/// Rows that are read from each side at a time.
const PAGE: usize = 500;

/// What a comparison counts and does not name: differences that are explained otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Explained {
    /// Events beyond this position are not read at all.
    pub events_after: Option<u64>,
    /// Their rows, and their other ids.
    pub purchases: HashSet<PurchaseId>,
    /// Their rows, and their aliases.
    pub customers: HashSet<CustomerId>,
    /// The catalogue.
    pub catalogue: bool,
}

/// What a comparison came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Compared {
    /// Every difference that is not explained; at most as many as were asked for.
    pub mismatches: Vec<Mismatch>,
    /// Rows that differ and are explained.
    pub explained: BTreeMap<DerivedTable, u64>,
}

/// One side of the comparison, read page by page.
struct Side<'a> {
    store: &'a dyn Store,
    table: DerivedTable,
    page: VecDeque<Row>,
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
    Ok(compare_except(one, other, limit, &Explained::default()).await?.mismatches)
}

/// The same, without naming what is explained.
pub async fn compare_except(
    one: &dyn Store,
    other: &dyn Store,
    limit: usize,
    explained: &Explained,
) -> Result<Compared, StoreError> {
    let mut compared = Compared::default();
    for table in DerivedTable::ALL {
        let (mut left, mut right) = (Side::new(one, *table), Side::new(other, *table));
        if *table == DerivedTable::Events {
            let pruned = one.pruned().await?.position.max(other.pruned().await?.position);
            let after = pruned.to_be_bytes().to_vec();
            (left.last, right.last) = (Some(after.clone()), Some(after));
        }
        while compared.mismatches.len() < limit {
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
            if explained.ends(*table, left.as_ref().or(right.as_ref())) {
                break;
            }
            let is_explained = explained.covers(*table, &left, &right);
            match difference(*table, left, right) {
                Some(_) if is_explained => *compared.explained.entry(*table).or_default() += 1,
                Some(mismatch) => compared.mismatches.push(mismatch),
                None => {}
            }
        }
    }
    Ok(compared)
}

type Row = (Vec<u8>, Vec<u8>);

/// A row's bytes; of one that is damaged what stands in their place, so that it is named like any other difference.
pub(crate) fn or_damaged(bytes: Result<Vec<u8>, StoreError>) -> Result<Vec<u8>, StoreError> {
    match bytes {
        Err(StoreError::Inconsistent { .. }) => Ok(b"cannot be read: it was changed".to_vec()),
        Ok(_) | Err(_) => bytes,
    }
}

impl Explained {
    /// Nothing from this row on is read.
    fn ends(&self, table: DerivedTable, row: Option<&Row>) -> bool {
        let position = row.and_then(|(key, _)| key.as_slice().try_into().ok()).map(u64::from_be_bytes);
        table == DerivedTable::Events && self.events_after.zip(position).is_some_and(|(last, position)| position > last)
    }

    fn covers(&self, table: DerivedTable, one: &Option<Row>, other: &Option<Row>) -> bool {
        let rows = || one.iter().chain(other);
        let key = |(key, _): &Row| <[u8; 16]>::try_from(key.as_slice()).unwrap_or_default();
        let purchase = |(_, bytes): &Row| std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
        let customer = |(_, bytes): &Row| std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
        match table {
            DerivedTable::Events => false,
            DerivedTable::Purchases => rows().any(|row| self.purchases.contains(&PurchaseId(key(row)))),
            DerivedTable::PurchaseOtherIds => rows().any(|row| {
                let own = purchase(row);
                self.purchases.contains(&PurchaseId(key(row))) || own.is_some_and(|id| self.purchases.contains(&id))
            }),
            DerivedTable::Customers => rows().any(|row| self.customers.contains(&CustomerId(key(row)))),
            DerivedTable::Aliases => rows().any(|row| customer(row).is_some_and(|id| self.customers.contains(&id))),
            DerivedTable::Catalogue => self.catalogue,
        }
    }
}

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
        DerivedTable::Purchases | DerivedTable::PurchaseOtherIds => PurchaseId(id()).to_string(),
        DerivedTable::Customers => CustomerId(id()).to_string(),
        DerivedTable::Aliases => String::from_utf8_lossy(key).into_owned(),
        DerivedTable::Catalogue => "the catalogue".to_owned(),
    }
}
