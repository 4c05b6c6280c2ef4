//! Sources that are set up: opened once, found by id for every notification, changed by operators.
//!
//! Nothing here asks which kind a source is: what differs is in its `Definition`.

use crate::commit::command::Abilities;
use crate::config::Upstream;
use crate::secrets::{mask_settings, unmask_settings};
use crate::{Hub, HubError};
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::time::Timestamp;
use paidup_sources::{Definition, Source, Upstreams};
use paidup_store::records::SourceRecord;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::sync::Arc;

/// Where records of deleted sources stay, so that what they received can be read again in a rebuild.
const FORMER: &str = "former_sources";
/// Most sources, and most deleted ones. Each is one line of an operator's setup.
const MAX_SOURCES: usize = 1_000;

/// A source that takes notifications.
pub struct Opened {
    /// Its record, secrets sealed.
    pub record: SourceRecord,
    /// Its kind.
    pub definition: &'static Definition,
    /// It.
    pub source: Box<dyn Source>,
}

/// All sources that are set up.
pub struct Registry {
    definitions: Vec<&'static Definition>,
    opened: RwLock<HashMap<SourceId, Arc<Opened>>>,
    abilities: RwLock<Arc<Abilities>>,
}

/// A source as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceView {
    /// Its id.
    pub id: SourceId,
    /// `app_store`, ...
    pub kind: String,
    /// For people.
    pub name: String,
    /// Settings, secrets masked.
    pub config: serde_json::Value,
    /// Where the store sends its notifications.
    pub ingest_url: String,
    /// Since when.
    pub created_at: Timestamp,
}

impl Registry {
    pub(crate) fn new(definitions: impl IntoIterator<Item = &'static Definition>) -> Registry {
        Registry {
            definitions: definitions.into_iter().collect(),
            opened: RwLock::default(),
            abilities: RwLock::default(),
        }
    }

    /// The source of that id.
    #[must_use]
    pub fn get(&self, id: SourceId) -> Option<Arc<Opened>> {
        self.opened.read().get(&id).cloned()
    }

    /// The kind of that name.
    #[must_use]
    pub fn definition(&self, kind: &str) -> Option<&'static Definition> {
        self.definitions.iter().copied().find(|definition| definition.kind == kind)
    }

    /// All kinds.
    #[must_use]
    pub fn definitions(&self) -> &[&'static Definition] {
        &self.definitions
    }

    /// All sources that are set up, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Opened>> {
        let mut all: Vec<Arc<Opened>> = self.opened.read().values().cloned().collect();
        all.sort_by_key(|opened| (opened.record.created_at, opened.record.id));
        all
    }

    pub(crate) fn abilities(&self) -> Arc<Abilities> {
        self.abilities.read().clone()
    }

    fn insert(&self, opened: Opened) {
        self.opened.write().insert(opened.record.id, Arc::new(opened));
        self.note_abilities();
    }

    fn remove(&self, id: SourceId) {
        self.opened.write().remove(&id);
        self.note_abilities();
    }

    fn note_abilities(&self) {
        let opened = self.opened.read();
        let which = |able: fn(&dyn Source) -> bool| {
            opened.values().filter(|opened| able(&*opened.source)).map(|opened| opened.record.id).collect()
        };
        let abilities =
            Abilities { asks: which(|source| source.can_ask()), prices_follow: which(|source| source.price_follows()) };
        *self.abilities.write() = Arc::new(abilities);
    }
}

impl Hub {
    /// Opens all sources of the database. One that cannot be opened is said so and left closed: the others go on.
    pub(crate) async fn open_sources(&self) -> Result<(), HubError> {
        for record in self.store().sources().await? {
            let id = record.id;
            match self.open_source(record) {
                Ok(opened) => self.sources().insert(opened),
                Err(error) => tracing::error!(source.id = %id, %error, "source cannot be opened"),
            }
        }
        Ok(())
    }

    pub(crate) fn open_source(&self, record: SourceRecord) -> Result<Opened, HubError> {
        let definition = self.known_kind(&record.kind)?;
        let id = record.id.to_string();
        let settings = self.secrets().open_settings(&id, definition.secrets, &record.settings)?;
        let source = (definition.open)(record.id, &settings, &self.store_upstreams()).map_err(HubError::settings)?;
        Ok(Opened { record, definition, source })
    }

    /// Where stores are asked, as the operator set it.
    fn store_upstreams(&self) -> Upstreams {
        let upstreams = &self.config().upstreams;
        let place = |upstream: &Upstream| upstream.url.as_str().trim_end_matches('/').to_owned();
        Upstreams {
            stripe_api: place(&upstreams.stripe_api),
            play_api: place(&upstreams.play_api),
            google_token: place(&upstreams.google_oauth),
            google_keys: place(&upstreams.google_keys),
            appstore_api: upstreams.appstore_api.as_ref().map(place),
            amazon_rvs: place(&upstreams.amazon_rvs),
            amazon_sns: upstreams.amazon_sns.as_ref().map(place),
            discord_api: place(&upstreams.discord_api),
        }
    }

    fn known_kind(&self, kind: &str) -> Result<&'static Definition, HubError> {
        self.sources().definition(kind).ok_or_else(|| {
            let kinds: Vec<&str> = self.sources().definitions().iter().map(|definition| definition.kind).collect();
            HubError::refused(422, "/type", &format!("unknown type; known: {}", kinds.join(" ")))
        })
    }

    /// Sets up a source.
    pub async fn create_source(&self, kind: &str, name: &str, config: &RawValue) -> Result<SourceView, HubError> {
        crate::grants::check_name("name", name)?;
        if self.sources().opened.read().len() >= MAX_SOURCES {
            return Err(HubError::refused(409, "", "there are as many sources as there may be"));
        }
        let definition = self.known_kind(kind)?;
        let id = SourceId(self.chance().seed());
        let record = SourceRecord {
            id,
            kind: definition.kind.to_owned(),
            name: name.to_owned(),
            settings: self.secrets().seal_settings(&**self.chance(), &id.to_string(), definition.secrets, config),
            created_at: self.clock().now(),
        };
        self.put_source(record).await
    }

    /// Changes a source's name or settings; secrets that are sent back masked stay as they are.
    pub async fn update_source(
        &self,
        id: SourceId,
        name: Option<&str>,
        config: Option<&RawValue>,
    ) -> Result<SourceView, HubError> {
        let mut record = self.source_record(id).await?;
        if let Some(name) = name {
            crate::grants::check_name("name", name)?;
            record.name = name.to_owned();
        }
        if let Some(config) = config {
            let definition = self.known_kind(&record.kind)?;
            let place = id.to_string();
            let old = self.secrets().open_settings(&place, definition.secrets, &record.settings)?;
            let new = unmask_settings(definition.secrets, config, &old);
            record.settings = self.secrets().seal_settings(&**self.chance(), &place, definition.secrets, &new);
        }
        self.put_source(record).await
    }

    async fn put_source(&self, record: SourceRecord) -> Result<SourceView, HubError> {
        let opened = self.open_source(record.clone())?;
        let id = record.id;
        self.store().put_source(record).await?;
        let view = self.view_source(&opened.record, opened.definition.secrets);
        self.sources().insert(opened);
        self.desks().renew(id);
        Ok(view)
    }

    /// Takes nothing in for it any more. Its purchases stay, and what it received can still be read in a rebuild.
    pub async fn delete_source(&self, id: SourceId) -> Result<(), HubError> {
        let record = self.source_record(id).await?;
        let mut former = self.former_sources().await?;
        former.retain(|known| known.id != id);
        if former.len() >= MAX_SOURCES {
            return Err(HubError::refused(409, "", "as many sources as may be were deleted already"));
        }
        former.push(Former { id, kind: record.kind, settings: String::from_utf8_lossy(&record.settings).into_owned() });
        let list = serde_json::to_vec(&former).expect("texts can always be written as JSON");
        self.store().put_meta(FORMER, list).await?;
        self.store().delete_source(id).await?;
        self.sources().remove(id);
        self.desks().renew(id);
        self.alerts().forget_source(id);
        self.metrics().forget_store_waiting(&id.to_string());
        Ok(())
    }

    /// All sources, secrets masked.
    pub async fn list_sources(&self) -> Result<Vec<SourceView>, HubError> {
        let records = self.store().sources().await?;
        let secrets = |kind: &str| self.sources().definition(kind).map_or(&[][..], |definition| definition.secrets);
        Ok(records.iter().map(|record| self.view_source(record, secrets(&record.kind))).collect())
    }

    /// One source, secrets masked.
    pub async fn show_source(&self, id: SourceId) -> Result<SourceView, HubError> {
        let record = self.source_record(id).await?;
        let secrets = self.sources().definition(&record.kind).map_or(&[][..], |definition| definition.secrets);
        Ok(self.view_source(&record, secrets))
    }

    async fn source_record(&self, id: SourceId) -> Result<SourceRecord, HubError> {
        let records = self.store().sources().await?;
        let found = records.into_iter().find(|record| record.id == id);
        found.ok_or_else(|| HubError::refused(404, "", "there is no such source"))
    }

    fn view_source(&self, record: &SourceRecord, secrets: &[&str]) -> SourceView {
        SourceView {
            id: record.id,
            kind: record.kind.clone(),
            name: record.name.clone(),
            config: mask_settings(secrets, &record.settings),
            ingest_url: format!("{}/ingest/{}", self.public_url(), record.id),
            created_at: record.created_at,
        }
    }

    /// Records of sources that are or were set up, opened for reading what they received.
    pub(crate) async fn every_source(&self) -> Result<HashMap<SourceId, Arc<Opened>>, HubError> {
        let mut every = HashMap::new();
        let former = self.former_sources().await?.into_iter().map(|former| SourceRecord {
            id: former.id,
            kind: former.kind,
            name: String::new(),
            settings: former.settings.into_bytes(),
            created_at: Timestamp::MIN,
        });
        for record in former.chain(self.store().sources().await?) {
            every.insert(record.id, Arc::new(self.open_source(record)?));
        }
        Ok(every)
    }

    async fn former_sources(&self) -> Result<Vec<Former>, HubError> {
        let Some(list) = self.store().meta(FORMER).await? else { return Ok(Vec::new()) };
        let unreadable = |_| HubError::inconsistent("meta", FORMER);
        serde_json::from_slice(&list).map_err(unreadable)
    }
}

#[derive(Serialize, Deserialize)]
struct Former {
    id: SourceId,
    kind: String,
    settings: String,
}
