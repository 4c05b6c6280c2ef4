//! Folds the journal into an empty database through the same decisions, and compares the two, byte for byte. What was
//! received is read again from its kept bytes; time, chance and the sources' abilities stand in the journal. What other
//! versions of the engine decided is decided again by this one, and every event that would differ is named (`preview.rs`).

mod fold;
mod preview;

pub use preview::{Difference, Kind, Preview};

use crate::commit::Received;
use crate::commit::command::{Command, Input};
use crate::commit::decide::Deciding;
use crate::sources::Opened;
use crate::{Hub, HubError};
use fold::{Folding, Touched};
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use paidup_lifecycle::ids::SourceId;
use paidup_sources::Packed;
use paidup_store::records::{DerivedTable, JournalEntry, KeptNotification, Mismatch};
use paidup_store::{Committed, Store, StoreError, Urgency, compare_except};
use parking_lot::Mutex;
use preview::Previewing;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

/// Entries that are read, and folded, together.
const PAGE: usize = 256;
/// Most differences that are named.
const MAX_NAMED: usize = 200;

/// What a rebuild came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Journal entries folded.
    pub entries: u64,
    /// Events that they gave.
    pub events: u64,
    /// What this version of the engine would tell otherwise than the versions that decided. No mistake.
    pub preview: Preview,
    /// What could not be checked because it was pruned, for people. Empty: everything was.
    pub unchecked: Vec<String>,
    /// What does not fit: damaged rows of the journal first, then differences. At most 200.
    pub mismatches: Vec<Mismatch>,
}

impl Report {
    /// The journal is whole, and what this version of the engine decided it decides again, as far as that can be checked
    /// (`unchecked`).
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.mismatches.is_empty()
    }

    /// It is sound, and nothing that another version decided would differ: the two databases say the same.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.is_sound() && self.preview.is_empty()
    }
}

/// Checks the journal's digests, folds it into `into` (which must be empty) and compares. `progress` is told entries
/// done and entries in all.
pub async fn verify(
    hub: &Hub,
    into: &Arc<dyn Store>,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Report, HubError> {
    let from = hub.store();
    let mut report = Report { mismatches: from.verify_journal(MAX_NAMED).await?, ..Report::default() };
    let pruned = from.pruned().await?;
    if pruned.notification > 0 || pruned.entry > 0 {
        report.unchecked.push(format!(
            "the journal cannot be folded, because notifications up to number {} and journal entries up to {} were pruned; \
             the digests of those that are left were checked",
            pruned.notification, pruned.entry
        ));
        return Ok(report);
    }
    if pruned.position > 0 {
        let detail = format!("events up to position {} were pruned: they cannot be compared", pruned.position);
        report.unchecked.push(detail);
    }
    let sources = hub.every_source().await?;
    let all = last_entry(&**from).await?;
    let mut previewing = Previewing::new();
    let mut after = 0;
    loop {
        let page = match from.journal_after(0, after, PAGE).await {
            Err(error @ StoreError::Inconsistent { .. }) => return report.stopped(error.into()),
            page => page?,
        };
        let Some(last) = page.last() else { break };
        after = last.entry;
        let mut folding = FuturesOrdered::new();
        for entry in page {
            let place = (entry.entry, entry.record.engine_version);
            let touched = Arc::<Mutex<Touched>>::default();
            let record = entry.record.clone();
            let decision = match decision(hub, &sources, entry).await {
                Err(HubError::Store(error @ StoreError::Inconsistent { .. })) => return report.stopped(error.into()),
                decision => decision?,
            };
            let decision = Folding::new(record, decision, touched.clone());
            // Handed in at its first poll, which must not be put off: a task that has done much is made to wait, others
            // overtake it, and the journal would be folded in another order.
            let mut committed = tokio::task::unconstrained(into.commit(Urgency::Rest, Box::new(decision)));
            let at_once = std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut committed).poll(context))).await;
            folding.push_back(async move {
                let committed = match at_once {
                    Poll::Ready(committed) => committed,
                    Poll::Pending => committed.await,
                };
                (place, touched, committed)
            });
        }
        while let Some((place, touched, committed)) = folding.next().await {
            let touched = std::mem::take(&mut *touched.lock());
            report.fold(&mut previewing, &**from, place, &touched, committed).await?;
        }
        progress(report.entries, all);
    }
    let room = MAX_NAMED.saturating_sub(report.mismatches.len());
    let compared = compare_except(&**from, &**into, room, &previewing.explained).await?;
    let rows = compared.explained.into_iter().map(|(table, count)| (DerivedTable::as_str(table), count)).collect();
    let (preview, mistakes) = previewing.close(rows, room);
    report.preview = preview;
    report.mismatches.extend(mistakes.into_iter().chain(compared.mismatches).take(room));
    Ok(report)
}

impl Report {
    /// A damaged row, which the digests have named already, can be read no further: the rest is not folded.
    fn stopped(mut self, error: HubError) -> Result<Report, HubError> {
        if self.mismatches.is_empty() {
            return Err(error);
        }
        self.unchecked.push(format!("the journal cannot be folded: {error}"));
        Ok(self)
    }

    /// Takes in what came of one entry.
    async fn fold(
        &mut self,
        previewing: &mut Previewing,
        from: &dyn Store,
        (entry, version): (u64, u32),
        touched: &Touched,
        committed: Result<Committed, StoreError>,
    ) -> Result<(), HubError> {
        self.entries += 1;
        let events = match committed {
            Ok(committed) => committed.events,
            Err(error) => {
                self.name("input", entry, format!("it cannot be folded: {error}"));
                Vec::new()
            }
        };
        let told_so_far = self.events;
        self.events += events.len() as u64;
        let is_explained = previewing.entry(from, (entry, version), told_so_far, touched, &events).await?;
        let undecided = touched.undecided.iter().filter(|_| !is_explained);
        for detail in touched.unreadable.iter().chain(undecided) {
            self.name("input", entry, detail.clone());
        }
        Ok(())
    }

    fn name(&mut self, column: &'static str, entry: u64, detail: String) {
        if self.mismatches.len() < MAX_NAMED {
            let row = format!("entry {entry}");
            self.mismatches.push(Mismatch { table: "journal", row, column: Some(column), detail });
        }
    }
}

async fn last_entry(store: &dyn Store) -> Result<u64, HubError> {
    let (mut step, mut last) = (1u64 << 40, 0u64);
    // Entries are numbered without gaps, so the last one is found by halving.
    while step > 0 {
        if !store.journal_after(0, last + step - 1, 1).await?.is_empty() {
            last += step;
        }
        step /= 2;
    }
    Ok(last)
}

/// The decision that an entry notes; the inner error says in words why it cannot be read.
pub(crate) async fn decision(
    hub: &Hub,
    sources: &HashMap<SourceId, Arc<Opened>>,
    entry: JournalEntry,
) -> Result<Result<Deciding, String>, HubError> {
    let input: Input = match serde_json::from_slice(&entry.record.input) {
        Ok(input) => input,
        Err(error) => return Ok(Err(format!("it cannot be read: {error}"))),
    };
    let mut received = Vec::new();
    if !entry.record.notifications.is_empty() {
        for kept in hub.store().entry_notifications(entry.partition, entry.entry).await? {
            match read_again(sources, policy_of(&input), kept) {
                Ok(read) => received.push(read),
                Err(detail) => return Ok(Err(detail)),
            }
        }
    }
    Ok(Ok(Deciding {
        command: input.command,
        received,
        beside: None,
        abilities: Arc::new(input.abilities),
        now: entry.record.decided_at,
        seed: entry.record.seed,
        by: input.by,
        report: Arc::default(),
    }))
}

fn policy_of(input: &Input) -> Option<&str> {
    match &input.command {
        Command::Observe { policy, .. } | Command::Claim { policy, .. } => policy.as_deref(),
        _ => None, // the others read nothing
    }
}

fn read_again(
    sources: &HashMap<SourceId, Arc<Opened>>,
    policy: Option<&str>,
    kept: KeptNotification,
) -> Result<Received, String> {
    let opened = sources
        .get(&kept.source_id)
        .ok_or_else(|| format!("the source {} of notification {} is not known any more", kept.source_id, kept.id))?;
    let bytes = bytes_of(opened, &kept).map_err(|detail| format!("notification {}: {detail}", kept.id))?;
    let read = match policy {
        Some(policy) => opened.source.read_kept_under(policy, &kept.external_id, &bytes),
        None => opened.source.read_kept(&kept.external_id, &bytes),
    };
    let reading =
        read.map_err(|rejection| format!("notification {} cannot be read again: {}", kept.id, rejection.detail))?;
    Ok(Received::of_kept(kept, reading))
}

/// The bytes that were received.
fn bytes_of(opened: &Opened, kept: &KeptNotification) -> Result<bytes::Bytes, String> {
    if !kept.packed {
        return Ok(kept.body.bytes().clone());
    }
    let shared = kept.shared.iter().map(|part| part.to_vec()).collect();
    let packed = Packed { rest: kept.body.bytes().to_vec(), shared };
    opened.source.unpack(&packed).map(Into::into).map_err(|rejection| rejection.detail)
}

impl Hub {
    /// What a source received, byte for byte.
    pub async fn received_bytes(&self, kept: &KeptNotification) -> Result<bytes::Bytes, HubError> {
        if !kept.packed {
            return Ok(kept.body.bytes().clone());
        }
        let opened = match self.sources().get(kept.source_id) {
            Some(opened) => Some(opened),
            None => self.every_source().await?.remove(&kept.source_id),
        };
        let unreadable = || HubError::inconsistent("notifications", &kept.id.to_string());
        bytes_of(&*opened.ok_or_else(unreadable)?, kept).map_err(|_| unreadable())
    }
}
