//! Grants: entitlements given by hand (lifecycle.md section 12). A grant is a purchase of the store PROMOTIONAL and lives
//! like every other one: it ends by date, is told in events, and stays in the customer's history.

use crate::commit::command::Command;
use crate::{Hub, HubError};
use paidup_lifecycle::ids::{GrantId, SourceId};
use paidup_lifecycle::observation::{Environment, PeriodType, PurchaseKey};
use paidup_lifecycle::purchase::Purchase;
use paidup_lifecycle::time::Timestamp;
use paidup_store::Urgency;
use std::time::Duration;

/// Longest name of an entitlement or id of a customer, in bytes.
pub(crate) const MAX_NAME: usize = 255;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantRequest {
    /// Which entitlement; made if unknown.
    pub entitlement: String,
    /// When it ends.
    pub ends: GrantEnd,
    /// `promotional` or `trial`.
    pub period_type: PeriodType,
}

/// When a grant ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantEnd {
    /// Never.
    Never,
    /// At that moment.
    At(Timestamp),
    /// So long after it was given.
    After(Duration),
}

/// The one source of all grants. It has no record: nobody can send to it.
#[must_use]
pub fn source_id() -> SourceId {
    SourceId::derive(&[b"grants"])
}

/// The name under which a grant is a purchase.
#[must_use]
pub fn key_of(id: GrantId) -> PurchaseKey {
    PurchaseKey { source_id: source_id(), environment: Environment::Production, store_purchase_id: id.to_string() }
}

/// The grant that a purchase is; `None` for other purchases.
#[must_use]
pub fn grant_of(key: &PurchaseKey) -> Option<GrantId> {
    (key.source_id == source_id()).then(|| key.store_purchase_id.parse().ok()).flatten()
}

impl Hub {
    /// Gives an entitlement by hand. Answers the grant as the purchase that it is.
    pub async fn grant(&self, customer: &str, request: GrantRequest) -> Result<Purchase, HubError> {
        check_customer("customer", customer)?;
        check_name("entitlement", &request.entitlement)?;
        let now = self.clock().now();
        let expires_at = match request.ends {
            GrantEnd::Never => None,
            GrantEnd::At(at) => Some(at),
            GrantEnd::After(span) => Some(now.plus(span)),
        };
        in_the_future(expires_at, now)?;
        let period_type = match request.period_type {
            PeriodType::Trial | PeriodType::Promotional => request.period_type,
            PeriodType::Intro | PeriodType::Promo | PeriodType::Normal | PeriodType::Prepaid => {
                return Err(HubError::refused(422, "/period_type", "must be promotional or trial"));
            }
        };
        let id = GrantId(self.chance().seed());
        let command = Command::Grant {
            id,
            customer: customer.to_owned(),
            entitlement: request.entitlement,
            expires_at,
            period_type,
        };
        self.commit(Urgency::Rest, command, Vec::new()).await?;
        self.granted(id).await
    }

    /// Lets a grant end at another time; `None`: never.
    pub async fn change_grant(&self, id: GrantId, expires_at: Option<Timestamp>) -> Result<Purchase, HubError> {
        in_the_future(expires_at, self.clock().now())?;
        self.commit(Urgency::Rest, Command::ChangeGrant { id, expires_at }, Vec::new()).await?;
        self.granted(id).await
    }

    /// Lets a grant end so much later than it would.
    pub async fn extend_grant(&self, id: GrantId, by: Duration) -> Result<Purchase, HubError> {
        let by_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.commit(Urgency::Rest, Command::ExtendGrant { id, by_ms }, Vec::new()).await?;
        self.granted(id).await
    }

    /// Takes a grant away at once. Answers it as it ended.
    pub async fn revoke_grant(&self, id: GrantId) -> Result<Purchase, HubError> {
        self.commit(Urgency::Rest, Command::RevokeGrant { id }, Vec::new()).await?;
        self.granted(id).await
    }

    async fn granted(&self, id: GrantId) -> Result<Purchase, HubError> {
        let purchase = self.store().purchase(Purchase::id_of(&key_of(id))).await?;
        purchase.ok_or_else(|| HubError::refused(404, "", "there is no such grant"))
    }
}

fn in_the_future(expires_at: Option<Timestamp>, now: Timestamp) -> Result<(), HubError> {
    if expires_at.is_some_and(|at| at <= now) {
        return Err(HubError::refused(422, "/expires_at", "must be in the future; to end a grant now, delete it"));
    }
    Ok(())
}

pub(crate) fn check_name(field: &str, name: &str) -> Result<(), HubError> {
    if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
        let detail = format!("must be 1 to {MAX_NAME} bytes of text without control characters");
        return Err(HubError::refused(422, &format!("/{field}"), &detail));
    }
    Ok(())
}

/// Texts that apps send as a user's id when they have none. A customer of that name would be everybody: RevenueCat refuses
/// the same ones (revenuecat-events.md section 6).
const NOBODY: [&str; 18] = [
    "no_user",
    "null",
    "none",
    "nil",
    "(null)",
    "NaN",
    "NUL",
    "unidentified",
    "undefined",
    "unknown",
    "anonymous",
    "guest",
    "-1",
    "0",
    "[]",
    "{}",
    "[object Object]",
    "",
];

/// Whether an id is what apps send when they have none.
pub(crate) fn is_nobody(id: &str) -> bool {
    NOBODY.contains(&id.trim())
}

/// Marks that turn the direction of the text around them: an id with one of them looks like another id.
fn turns_text(letter: char) -> bool {
    matches!(letter, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// An id that a customer may get by command.
pub(crate) fn check_customer(field: &str, id: &str) -> Result<(), HubError> {
    check_name(field, id)?;
    let detail = if is_nobody(id) {
        "this is what apps send for a user whom they do not know; a customer of this id would be everybody"
    } else if id.chars().any(turns_text) {
        "must not contain marks that turn the direction of text: it would look like another id"
    } else {
        return Ok(());
    };
    Err(HubError::refused(422, &format!("/{field}"), detail))
}
