//! A raw request becomes a durable decision: find the source, prove the sender, read, commit. The answer is a success
//! only when everything is on disk; a repeat gets the same success.
//!
//! `web` has bounded the body and found the key before; who delivers the events is `dispatch`.

use crate::commit::Received;
use crate::commit::command::Command;
use crate::keys::{Principal, Scope};
use crate::sources::Opened;
use crate::{Hub, HubError};
use paidup_lifecycle::ids::SourceId;
use paidup_sources::{Note, Proof, RawRequest, Rejection, RejectionKind, Verification};
use paidup_store::{StoreError, Urgency};
use std::panic::{AssertUnwindSafe, catch_unwind};
use tokio::time::Instant;

/// Most notifications in one request (contract.md, generic source).
const MAX_NOTIFICATIONS: usize = 1_000;
/// Most keys that proving one request may need.
const MAX_KEYS: usize = 3;

/// Who sends, as far as HTTP tells.
#[derive(Debug, Clone)]
pub enum Sender {
    /// Nobody we know: the notification must prove itself.
    Anonymous,
    /// The holder of one of our keys.
    Key(Principal),
}

/// Durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The store's own success.
    pub status: u16,
    /// How many notifications there were.
    pub notifications: u64,
    /// How many of them were known already.
    pub repeats: u64,
}

/// Why nothing was taken in.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// 404.
    #[error("there is no such source")]
    UnknownSource,
    /// The source refused it.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// 503: it cannot be written now; the store should send it again. The reason may be told to the sender.
    #[error("cannot be kept now: {0}")]
    Unavailable(String),
    /// 500: a mistake of ours; the store should send it again.
    #[error("the hub failed on this notification; it was logged")]
    Failed,
}

impl IntakeError {
    /// The HTTP status that says it.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            IntakeError::UnknownSource => 404,
            IntakeError::Rejected(rejection) => rejection.kind.status(),
            IntakeError::Unavailable(_) => 503,
            IntakeError::Failed => 500,
        }
    }
}

impl Hub {
    /// Takes in what a store sent. `Ok` means durable.
    #[tracing::instrument(name = "intake", level = "debug", skip_all, fields(source.id = %source_id))]
    pub async fn intake(&self, source_id: SourceId, raw: RawRequest, sender: &Sender) -> Result<Accepted, IntakeError> {
        let opened = self.sources().get(source_id).ok_or(IntakeError::UnknownSource)?;
        let kind = opened.definition.kind;
        let taken = self.take_in(&opened, &raw, sender).await;
        match &taken {
            Ok(accepted) => {
                self.metrics().accepted(kind, accepted.notifications);
                self.metrics().repeated(kind, accepted.repeats);
            }
            Err(IntakeError::Rejected(rejection)) => {
                self.metrics().rejected(kind, rejection.kind, rejection.reason);
                // What is addressed to somebody else says to whom: that is how an operator learns it. Other details may
                // hold parts of the body.
                let detail = (rejection.kind == RejectionKind::WrongAddress).then_some(rejection.detail.as_str());
                tracing::info!(
                    reason = rejection.reason,
                    status = rejection.kind.status(),
                    detail,
                    "notification rejected"
                );
            }
            Err(error @ (IntakeError::UnknownSource | IntakeError::Unavailable(_) | IntakeError::Failed)) => {
                self.metrics().rejected(kind, RejectionKind::Unavailable, "not_kept");
                tracing::warn!(%error, "notification not kept");
            }
        }
        taken
    }

    async fn take_in(&self, opened: &Opened, raw: &RawRequest, sender: &Sender) -> Result<Accepted, IntakeError> {
        let definition = opened.definition;
        may_send(definition.proof, sender)?;
        if raw.body.len() > definition.max_body {
            return Err(reject(RejectionKind::TooLarge, "too_large", "the body is too large").into());
        }
        let received = self.read(opened, raw).await?;
        let notifications = received.len() as u64;
        let unknown = received.iter().filter(|received| received.note == Some(Note::Unknown)).count();
        let warnings: Vec<&'static str> =
            received.iter().filter_map(|received| warning_of(received.note.as_ref())).collect();
        let started = Instant::now();
        let command = Command::observe(opened.record.id, &*opened.source);
        let done = self.commit(Urgency::Intake, command, received).await.map_err(not_kept)?;
        self.metrics().commit_took(started.elapsed());
        self.comparing().hear(opened.record.id, self.clock().now());
        self.metrics().unknown(definition.kind, unknown as u64);
        for warning in warnings {
            tracing::warn!(source.id = %opened.record.id, warning, "a store sent something that a person must see");
        }
        Ok(Accepted { status: definition.success, notifications, repeats: done.report.repeats() })
    }

    /// Proves and reads, fetching the sender's keys when the source asks for them.
    async fn read(&self, opened: &Opened, raw: &RawRequest) -> Result<Vec<Received>, IntakeError> {
        let mut fetched = Vec::new();
        for _ in 0..MAX_KEYS {
            match self.verify(opened, raw) {
                Ok(Ok(received)) => return Ok(received),
                Ok(Err(needed)) => {
                    fetched.push(needed.uri().to_string());
                    self.fetch_proof_key(needed).await?;
                }
                Err(IntakeError::Rejected(rejection)) if rejection.kind == RejectionKind::Unavailable => {
                    // What was fetched is no key (a page of a proxy, a cut answer): it must not be kept for hours.
                    self.proof_keys().forget(&fetched, self.clock().now());
                    return Err(rejection.into());
                }
                Err(error) => return Err(error),
            }
        }
        Err(reject(RejectionKind::Forged, "too_many_keys", "it names more keys than a sender needs").into())
    }

    /// One try; the inner error is the request for a key that is needed first. A source that panics fails its own
    /// notification, nothing else.
    fn verify(
        &self,
        opened: &Opened,
        raw: &RawRequest,
    ) -> Result<Result<Vec<Received>, http::Request<bytes::Bytes>>, IntakeError> {
        let now = self.clock().now();
        let keys = self.proof_keys().at(now);
        let (id, source) = (opened.record.id, &*opened.source);
        let work = AssertUnwindSafe(|| match source.verify(raw, &keys, now)? {
            Verification::KeyNeeded(request) => Ok(Err(request)),
            Verification::Verified(verified) if verified.notifications.len() > MAX_NOTIFICATIONS => {
                Err(reject(RejectionKind::TooLarge, "too_many", "more than 1000 notifications in one request"))
            }
            Verification::Verified(verified) => {
                let all = verified.notifications.into_iter();
                Ok(Ok(all.map(|notification| Received::new(id, source, notification, now)).collect()))
            }
        });
        match catch_unwind(work) {
            Ok(read) => Ok(read?),
            Err(_) => {
                tracing::error!("source panicked on a notification");
                Err(IntakeError::Failed)
            }
        }
    }
}

/// What the sender is told of a commit that failed. What a database says of itself stays in the log.
fn not_kept(error: HubError) -> IntakeError {
    match error {
        // The store has words for each cause, written for callers.
        HubError::Store(StoreError::Unavailable(why)) => IntakeError::Unavailable(why),
        HubError::Store(StoreError::InUse(_)) => IntakeError::Unavailable("another hub uses the database".to_owned()),
        HubError::Store(error @ (StoreError::Corrupt(_) | StoreError::Inconsistent { .. })) => {
            tracing::error!(%error, "the database is damaged where a notification needs it");
            let why = "the part of the database that it needs is damaged; the hub's log says more";
            IntakeError::Unavailable(why.to_owned())
        }
        error @ (HubError::Store(StoreError::DecisionPanicked(_) | StoreError::Refused(_))
        | HubError::Refused { .. }
        | HubError::Secret(_)) => {
            tracing::error!(%error, "deciding failed");
            IntakeError::Failed
        }
    }
}

fn warning_of(note: Option<&Note>) -> Option<&'static str> {
    match note {
        Some(Note::Warning(warning)) => Some(warning),
        Some(Note::Test { .. } | Note::Unknown | Note::Informative) | None => None,
    }
}

fn may_send(proof: Proof, sender: &Sender) -> Result<(), Rejection> {
    match (proof, sender) {
        (Proof::Store, _) => Ok(()),
        (Proof::Key, Sender::Anonymous) => {
            Err(reject(RejectionKind::Forged, "no_key", "send a key of scope ingest as Authorization: Bearer"))
        }
        (Proof::Key, Sender::Key(principal)) if principal.may(Scope::Ingest) => Ok(()),
        (Proof::Key, Sender::Key(_)) => {
            Err(reject(RejectionKind::Forbidden, "no_scope", "this key does not have the scope ingest"))
        }
    }
}

fn reject(kind: RejectionKind, reason: &'static str, detail: &str) -> Rejection {
    Rejection { kind, reason, detail: detail.to_owned(), pointer: None }
}
