//! What this version of the engine would tell otherwise than the versions that decided: event by event, each with its
//! journal entry. An event of an entry that this version decided itself may differ only where what it was decided on
//! had been decided by another version; else it is a mistake, and [`Preview`] hands it back as one.

use super::fold::Touched;
use crate::HubError;
use paidup_lifecycle::closed_set;
use paidup_lifecycle::engine::ENGINE_VERSION;
use paidup_lifecycle::event::{Event, EventType, LoggedEvent};
use paidup_lifecycle::ids::{CustomerId, EventId, PurchaseId};
use paidup_store::records::Mismatch;
use paidup_store::{Explained, Store};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

/// Events of the log that are read together.
const PAGE: usize = 256;
/// Most events that are named; all are counted.
const MAX_NAMED: usize = 100;
/// Most fields of an event that are named.
const MAX_FIELDS: usize = 20;

closed_set! {
    /// How an event would differ.
    pub enum Kind {
        /// It would say something else.
        Changed = "changed",
        /// It would not be told.
        Missing = "missing",
        /// It would be told, and was not.
        Added = "added",
    }
}

/// An event that this version would tell otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// How it would differ.
    pub kind: Kind,
    /// The journal entry that tells it.
    pub entry: u64,
    /// The engine that decided the entry. This one: what it was decided on had been decided by another.
    pub engine_version: u32,
    /// Which event.
    pub event: EventId,
    /// Its place in the log; `None`: it was not told.
    pub position: Option<u64>,
    /// Its type as it was told.
    pub then: Option<EventType>,
    /// Its type as it would be told.
    pub now: Option<EventType>,
    /// About what.
    pub purchase: PurchaseId,
    /// Whose.
    pub customer: CustomerId,
    /// The customer's id in the app.
    pub app_user_id: String,
    /// What would change in it, as paths into its JSON (`purchase.state`). At most twenty.
    pub fields: Vec<String>,
}

/// What this version would tell otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Preview {
    /// Entries that other versions of the engine decided.
    pub entries: u64,
    /// Those versions.
    pub versions: BTreeSet<u32>,
    /// Events that would say something else.
    pub changed: u64,
    /// Events that would not be told.
    pub missing: u64,
    /// Events that would be told, and were not.
    pub added: u64,
    /// Entries on which nothing would be decided any more.
    pub undecided: u64,
    /// Rows that would be kept otherwise, by table.
    pub rows: BTreeMap<&'static str, u64>,
    /// The first hundred events.
    pub first: Vec<Difference>,
}

impl Preview {
    /// Events that differ.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.changed + self.missing + self.added
    }

    /// Nothing would differ.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events() == 0 && self.undecided == 0 && self.rows.is_empty()
    }

    fn note(&mut self, difference: Difference) {
        match difference.kind {
            Kind::Changed => self.changed += 1,
            Kind::Missing => self.missing += 1,
            Kind::Added => self.added += 1,
        }
        if self.first.len() < MAX_NAMED {
            self.first.push(difference);
        }
    }
}

/// Walks along the log beside the folding, from the first entry of another version on.
pub(super) struct Previewing {
    pub(super) preview: Preview,
    /// Differences of this version's own, as long as nothing explains them.
    own: Preview,
    /// What other versions decided about, and what was decided on that.
    pub(super) explained: Explained,
    log: Option<Told>,
}

/// The log as it was told, with the entries that told it.
struct Told {
    page: VecDeque<(u64, LoggedEvent)>,
    /// The last position that was read.
    after: u64,
    /// What came before was pruned, and what is left of the first entry may be its end.
    cut: bool,
}

impl Previewing {
    pub(super) fn new() -> Previewing {
        let (preview, own, explained) = <(Preview, Preview, Explained)>::default();
        Previewing { preview, own, explained, log: None }
    }

    /// Compares what an entry told with what it tells now. `told_so_far`: where the folded log stood before it. Answers
    /// whether another version explains whatever it comes to.
    pub(super) async fn entry(
        &mut self,
        store: &dyn Store,
        (entry, engine_version): (u64, u32),
        told_so_far: u64,
        touched: &Touched,
        folded: &[LoggedEvent],
    ) -> Result<bool, HubError> {
        let is_other = engine_version != ENGINE_VERSION;
        if is_other {
            self.preview.entries += 1;
            self.preview.versions.insert(engine_version);
        }
        if self.log.is_none() && !is_other {
            return Ok(false);
        }
        let log = match &mut self.log {
            Some(log) => log,
            None => {
                self.explained.events_after = Some(told_so_far);
                let pruned = store.pruned().await?.position;
                let cut = pruned > told_so_far;
                self.log.insert(Told { page: VecDeque::new(), after: told_so_far.max(pruned), cut })
            }
        };
        let told = log.of_entry(store, entry).await?;
        let folded = log.left_of(folded, &told);
        let owned = told.iter().chain(folded).map(|logged| (logged.event.purchase.id, logged.event.customer.id));
        let owned: Vec<_> = owned.chain(touched.owned.iter().copied()).collect();
        if is_other {
            self.explained.purchases.extend(touched.purchases.iter().chain(owned.iter().map(|(purchase, _)| purchase)));
            self.explained.customers.extend(touched.customers.iter().chain(owned.iter().map(|(_, customer)| customer)));
            self.explained.catalogue |= touched.catalogue;
        } else {
            spread(&mut self.explained, &owned, &touched.merged);
        }
        differences(entry, engine_version, &told, folded, |difference| {
            let (purchase, customer) = (&difference.purchase, &difference.customer);
            let is_explained =
                self.explained.purchases.contains(purchase) || self.explained.customers.contains(customer);
            let into = if is_explained { &mut self.preview } else { &mut self.own };
            into.note(difference);
        });
        let is_explained = is_other || touched.purchases.iter().any(|id| self.explained.purchases.contains(id));
        self.preview.undecided += u64::from(is_explained && touched.undecided.is_some());
        Ok(is_explained)
    }

    /// What the rows came to. Where the catalogue differs because of other versions, that explains everything else.
    pub(super) fn close(mut self, rows: BTreeMap<&'static str, u64>, room: usize) -> (Preview, Vec<Mismatch>) {
        if rows.contains_key(paidup_store::records::DerivedTable::Catalogue.as_str()) {
            self.preview.changed += self.own.changed;
            self.preview.missing += self.own.missing;
            self.preview.added += self.own.added;
            self.preview.first.append(&mut self.own.first);
            self.preview.first.sort_by_key(|difference| difference.entry);
            self.preview.first.truncate(MAX_NAMED);
        }
        self.preview.rows = rows;
        (self.preview, self.own.first.iter().take(room).map(mistake).collect())
    }
}

/// What is explained of a purchase explains its customer too, and the other way round: they are decided on together.
fn spread(explained: &mut Explained, owned: &[(PurchaseId, CustomerId)], merged: &[(CustomerId, CustomerId)]) {
    loop {
        let before = (explained.purchases.len(), explained.customers.len());
        for (purchase, customer) in owned {
            if explained.purchases.contains(purchase) || explained.customers.contains(customer) {
                explained.purchases.insert(*purchase);
                explained.customers.insert(*customer);
            }
        }
        for (one, other) in merged {
            if explained.customers.contains(one) || explained.customers.contains(other) {
                explained.customers.extend([*one, *other]);
            }
        }
        if before == (explained.purchases.len(), explained.customers.len()) {
            return;
        }
    }
}

/// A difference that nothing explains.
fn mistake(difference: &Difference) -> Mismatch {
    let row = match difference.position {
        Some(position) => format!("position {position}"),
        None => format!("{}, which is in no place", difference.event),
    };
    let what = match (difference.then, difference.now) {
        (Some(then), Some(now)) => format!("{then} is {now} in the other ({})", difference.fields.join(", ")),
        (Some(then), None) => format!("{then} is missing in the other"),
        (None, now) => format!("{} is only in the other", now.map_or("it", EventType::as_str)),
    };
    let detail = format!("{what}; journal entry {} tells it", difference.entry);
    Mismatch { table: "events", row, column: None, detail }
}

impl Told {
    /// What the log has of this entry, and of earlier ones that are not in the journal.
    async fn of_entry(&mut self, store: &dyn Store, entry: u64) -> Result<Vec<LoggedEvent>, HubError> {
        let mut told = Vec::new();
        loop {
            if self.page.is_empty() {
                self.fill(store).await?;
            }
            match self.page.pop_front_if(|(by, _)| *by <= entry) {
                Some((_, logged)) => told.push(logged),
                None => return Ok(told),
            }
        }
    }

    async fn fill(&mut self, store: &dyn Store) -> Result<(), HubError> {
        let events = store.events_after(0, self.after, PAGE).await?;
        let Some(last) = events.last() else { return Ok(()) };
        self.after = last.position;
        let places = events.iter().map(|logged| (logged.position, logged.event.purchase.id)).collect();
        let causes = store.causes(places).await?;
        let by: HashMap<u64, u64> = causes.into_iter().map(|cause| (cause.position, cause.entry)).collect();
        // An event whose entry is not in the journal is told by none: it is missing wherever it stands.
        self.page = events.into_iter().map(|logged| (by.get(&logged.position).copied().unwrap_or(0), logged)).collect();
        Ok(())
    }

    /// What of an entry's events can be compared, where the beginning of the log was pruned.
    fn left_of<'a>(&mut self, folded: &'a [LoggedEvent], told: &[LoggedEvent]) -> &'a [LoggedEvent] {
        if !self.cut {
            return folded;
        }
        let Some(first) = told.first() else { return &[] };
        let is_its = |logged: &LoggedEvent| logged.event.id == first.event.id;
        self.cut = false;
        folded.iter().position(is_its).map_or(&[], |from| &folded[from..])
    }
}

/// Names what differs between two tellings of one entry. The same event has the same id in both.
fn differences(
    entry: u64,
    engine_version: u32,
    told: &[LoggedEvent],
    folded: &[LoggedEvent],
    mut note: impl FnMut(Difference),
) {
    let mut now: HashMap<EventId, &LoggedEvent> = folded.iter().map(|logged| (logged.event.id, logged)).collect();
    let difference = |kind, event: &Event| Difference {
        kind,
        entry,
        engine_version,
        event: event.id,
        position: None,
        then: None,
        now: None,
        purchase: event.purchase.id,
        customer: event.customer.id,
        app_user_id: event.customer.app_user_id.clone(),
        fields: Vec::new(),
    };
    for then in told {
        let (position, was) = (Some(then.position), Some(then.event.event_type));
        match now.remove(&then.event.id) {
            Some(now) if now.json == then.json => {}
            Some(now) => note(Difference {
                position,
                then: was,
                now: Some(now.event.event_type),
                fields: fields(&then.json, &now.json),
                ..difference(Kind::Changed, &then.event)
            }),
            None => note(Difference { position, then: was, ..difference(Kind::Missing, &then.event) }),
        }
    }
    for new in folded.iter().filter(|logged| now.contains_key(&logged.event.id)) {
        note(Difference { now: Some(new.event.event_type), ..difference(Kind::Added, &new.event) });
    }
}

/// Paths of what differs between two events' JSON.
fn fields(then: &[u8], now: &[u8]) -> Vec<String> {
    let read = |bytes| serde_json::from_slice::<Value>(bytes).unwrap_or_default();
    let mut found = Vec::new();
    part(&mut found, "", &read(then), &read(now));
    found
}

fn part(found: &mut Vec<String>, path: &str, then: &Value, now: &Value) {
    if then == now || found.len() >= MAX_FIELDS {
        return;
    }
    match (then, now) {
        (Value::Object(then), Value::Object(now)) => {
            let names: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
            for name in names {
                let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                part(found, &below, then.get(name).unwrap_or_default(), now.get(name).unwrap_or_default());
            }
        }
        _ => found.push(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_differs_is_named_by_its_path() {
        for (name, then, now, expected) in [
            ("nothing", json!({"a": 1}), json!({"a": 1}), vec![]),
            ("a leaf", json!({"a": {"b": 1, "c": 2}}), json!({"a": {"b": 1, "c": 3}}), vec!["a.c"]),
            ("one that is new", json!({}), json!({"a": {"b": 1}}), vec!["a"]),
            ("a list", json!({"a": [1, 2], "z": 1}), json!({"a": [2], "z": 2}), vec!["a", "z"]),
        ] {
            assert_eq!(fields(then.to_string().as_bytes(), now.to_string().as_bytes()), expected, "{name}");
        }
        let many: Value = (0..100).map(|number| (format!("f{number}"), json!(number))).collect();
        assert_eq!(fields(b"{}", many.to_string().as_bytes()).len(), MAX_FIELDS);
    }
}
