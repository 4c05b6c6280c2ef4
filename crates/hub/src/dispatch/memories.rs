//! What a destination wants remembered between deliveries (`Step::Remember`): remote ids that save calls, or that lead to
//! what it has made. It names what they are about (`Destination::about`), a customer for most.
//!
//! The database keeps it over restarts (`paidup_store::records::Remembered`); this is the part in memory. It is a cache on
//! both sides: bounded, the oldest may be forgotten, and a destination must do without.

use paidup_destinations::{About, Memory};
use paidup_lifecycle::ids::DestinationId;
use paidup_store::{Store, StoreError};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// What one destination remembers in memory, counted in names; beyond it all are forgotten here and read again.
const IN_MEMORY: usize = 10_000;
/// The same in the database: some tens of megabytes.
pub(crate) const IN_DATABASE: usize = 200_000;
/// Most bytes under one name.
const MAX_BYTES: usize = 4 * 1024;

/// Shared by the deliveries of one destination.
#[derive(Clone, Default)]
pub(super) struct Memories(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    /// Something was remembered, ever: else nothing is read for each delivery.
    any: bool,
    /// An empty one was looked for and not found.
    memories: HashMap<About, Memory>,
}

impl Memories {
    /// `any`: the database has some.
    pub(super) fn new(any: bool) -> Memories {
        Memories(Arc::new(Mutex::new(Known { any, memories: HashMap::new() })))
    }

    /// What is remembered about something.
    pub(super) async fn recall(
        &self,
        store: &dyn Store,
        destination: DestinationId,
        about: About,
    ) -> Result<Memory, StoreError> {
        {
            let known = self.0.lock();
            match known.memories.get(&about) {
                Some(memory) => return Ok(memory.clone()),
                None if !known.any => return Ok(Memory::default()),
                None => {}
            }
        }
        let memory = kept(store, destination, about).await?;
        let mut known = self.0.lock();
        known.make_room();
        // What was remembered meanwhile is newer.
        Ok(known.memories.entry(about).or_insert(memory).clone())
    }

    /// Remembers; answers the bytes to keep, empty to forget. An error: there are too many of them.
    pub(super) fn remember(&self, about: About, memory: Memory) -> Result<Vec<u8>, usize> {
        let body = if memory.0.is_empty() { Vec::new() } else { serde_json::to_vec(&memory.0).unwrap_or_default() };
        if body.len() > MAX_BYTES {
            return Err(body.len());
        }
        let mut known = self.0.lock();
        known.any = true;
        known.make_room();
        known.memories.insert(about, memory);
        Ok(body)
    }
}

/// What the database remembers about something: of a destination that is served, as of its last settlement.
pub(crate) async fn kept(store: &dyn Store, destination: DestinationId, about: About) -> Result<Memory, StoreError> {
    let kept = store.memory(destination, about.0.to_vec()).await?;
    // Bytes that cannot be read are of another version: as if nothing were remembered.
    Ok(kept.and_then(|body| serde_json::from_slice(&body).ok()).map(Memory).unwrap_or_default())
}

impl Known {
    fn make_room(&mut self) {
        if self.memories.len() >= IN_MEMORY {
            self.memories.clear();
        }
    }
}
