//! Why the hub did not do what it was asked to.

use crate::secrets::SecretError;
use paidup_sources::SettingsError;
use paidup_store::StoreError;

/// Why not. `web` turns it into a problem+json answer.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The request cannot be done as it stands.
    #[error("{detail}")]
    Refused {
        /// HTTP status: 404, 409, 422 ...
        status: u16,
        /// Where in the request, as a JSON pointer; empty: the whole.
        pointer: String,
        /// What is wrong, for people.
        detail: String,
    },
    /// The database.
    #[error(transparent)]
    Store(StoreError),
    /// A stored credential.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

impl HubError {
    pub(crate) fn refused(status: u16, pointer: &str, detail: &str) -> HubError {
        HubError::Refused { status, pointer: pointer.to_owned(), detail: detail.to_owned() }
    }

    pub(crate) fn settings(error: SettingsError) -> HubError {
        HubError::Refused { status: 422, pointer: format!("/config{}", error.pointer), detail: error.detail }
    }

    pub(crate) fn inconsistent(table: &'static str, id: &str) -> HubError {
        HubError::Store(StoreError::Inconsistent { table, column: "value", id: id.to_owned() })
    }

    /// The HTTP status that says it.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            HubError::Refused { status, .. } => *status,
            HubError::Store(StoreError::Unavailable(_) | StoreError::InUse(_)) => 503,
            HubError::Store(StoreError::Refused(refused)) => refused.status,
            HubError::Store(
                StoreError::Corrupt(_) | StoreError::Inconsistent { .. } | StoreError::DecisionPanicked(_),
            )
            | HubError::Secret(_) => 500,
        }
    }
}

impl From<StoreError> for HubError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(refused) => {
                HubError::Refused { status: refused.status, pointer: String::new(), detail: refused.detail }
            }
            other @ (StoreError::Unavailable(_)
            | StoreError::Corrupt(_)
            | StoreError::InUse(_)
            | StoreError::Inconsistent { .. }
            | StoreError::DecisionPanicked(_)) => HubError::Store(other),
        }
    }
}
