//! Who may do what: API keys with scopes, and the admin key, which may do everything.
//!
//! Keys are kept as hashes. Who was let in is remembered for a short while, bounded, so that a busy sender does not cost
//! a look-up each time; revoking a key forgets it at once.

use crate::secrets::Secret;
use crate::{Hub, HubError};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use paidup_lifecycle::closed_set;
use paidup_lifecycle::ids::ApiKeyId;
use paidup_lifecycle::time::Timestamp;
use paidup_store::records::KeyRecord;
use parking_lot::RwLock;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use subtle::ConstantTimeEq;

/// What every key starts with, so that it is recognized where it should not be.
pub const PREFIX: &str = "pk_";
/// How long a key that was let in is let in without a look-up.
const REMEMBERED_FOR: Duration = Duration::from_secs(10);
/// Most keys that are remembered.
const MAX_REMEMBERED: usize = 1_024;
/// Most keys.
const MAX_KEYS: usize = 10_000;

closed_set! {
    /// What a key may do.
    pub enum Scope {
        /// Read everything.
        Read = "read",
        /// Change customers, sources, destinations, the catalogue.
        Write = "write",
        /// Everything, keys too.
        Admin = "admin",
        /// Send notifications to sources that take keys.
        Ingest = "ingest",
        /// Make sessions of the customer portal.
        Portal = "portal",
    }
}

/// Somebody who was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The key; `None`: the admin key.
    pub key: Option<ApiKeyId>,
    /// Its name.
    pub name: Arc<str>,
    scopes: Arc<[Scope]>,
}

impl Principal {
    /// The holder of the admin key.
    #[must_use]
    pub fn admin() -> Principal {
        Principal { key: None, name: "admin".into(), scopes: [Scope::Admin].into() }
    }

    /// Whether it has that scope. `admin` has all; `write` may read.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.iter().any(|have| match have {
            Scope::Admin => true,
            Scope::Write => matches!(scope, Scope::Write | Scope::Read),
            Scope::Read | Scope::Ingest | Scope::Portal => *have == scope,
        })
    }

    /// Its scopes.
    #[must_use]
    pub fn scopes(&self) -> &[Scope] {
        &self.scopes
    }
}

/// A key that was just made: the only time that it is shown.
pub struct CreatedKey {
    /// As kept.
    pub record: KeyRecord,
    /// In clear.
    pub key: Secret<String>,
}

/// The gate.
pub(crate) struct Gate {
    admin: [u8; 32],
    remembered: RwLock<HashMap<[u8; 32], (Timestamp, Principal)>>,
}

impl Gate {
    pub(crate) fn new(admin_key: &Secret<String>) -> Gate {
        Gate { admin: hash(admin_key.expose()), remembered: RwLock::default() }
    }

    fn forget_all(&self) {
        self.remembered.write().clear();
    }

    fn remember(&self, hash: [u8; 32], until: Timestamp, principal: &Principal) {
        let mut remembered = self.remembered.write();
        if remembered.len() >= MAX_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(hash, (until, principal.clone()));
    }
}

impl Hub {
    /// Who holds this key; `None`: nobody (any more).
    pub async fn authenticate(&self, key: &str) -> Result<Option<Principal>, HubError> {
        let hash = hash(key);
        // Hashes are compared, in constant time, so that neither the key nor its length can be felt out.
        if bool::from(hash.ct_eq(&self.gate().admin)) {
            return Ok(Some(Principal::admin()));
        }
        let now = self.clock().now();
        if let Some((until, principal)) = self.gate().remembered.read().get(&hash)
            && now < *until
        {
            return Ok(Some(principal.clone()));
        }
        let Some(record) = self.store().key_by_hash(hash).await? else { return Ok(None) };
        if record.expires_at.is_some_and(|at| at <= now) {
            return Ok(None);
        }
        let until = now.plus(REMEMBERED_FOR).min(record.expires_at.unwrap_or(Timestamp::MAX));
        // A scope that this version does not know gives nothing.
        let scopes = record.scopes.iter().filter_map(|scope| scope.parse().ok()).collect();
        let principal = Principal { key: Some(record.id), name: record.name.into(), scopes };
        self.gate().remember(hash, until, &principal);
        Ok(Some(principal))
    }

    /// Makes a key.
    pub async fn create_key(
        &self,
        name: &str,
        scopes: &[Scope],
        expires_at: Option<Timestamp>,
    ) -> Result<CreatedKey, HubError> {
        crate::grants::check_name("name", name)?;
        if scopes.is_empty() {
            return Err(HubError::refused(422, "/scopes", "name at least one of read write admin ingest portal"));
        }
        let now = self.clock().now();
        if expires_at.is_some_and(|at| at <= now) {
            return Err(HubError::refused(422, "/expires_at", "must be in the future"));
        }
        if self.store().keys().await?.len() >= MAX_KEYS {
            return Err(HubError::refused(409, "", "there are as many keys as there may be"));
        }
        let key = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(self.chance().key()));
        let mut scopes: Vec<String> = scopes.iter().map(Scope::to_string).collect();
        scopes.sort_unstable();
        scopes.dedup();
        let record = KeyRecord {
            id: ApiKeyId(self.chance().seed()),
            name: name.to_owned(),
            hash: hash(&key),
            scopes,
            created_at: now,
            expires_at,
        };
        self.store().put_key(record.clone()).await?;
        Ok(CreatedKey { record, key: Secret::new(key) })
    }

    /// All keys, oldest first, without the keys themselves.
    pub async fn list_keys(&self) -> Result<Vec<KeyRecord>, HubError> {
        Ok(self.store().keys().await?)
    }

    /// Makes a key worthless, at once.
    pub async fn revoke_key(&self, id: ApiKeyId) -> Result<(), HubError> {
        let known = self.store().delete_key(id).await?;
        self.gate().forget_all();
        if known { Ok(()) } else { Err(HubError::refused(404, "", "there is no such key")) }
    }
}

fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}
