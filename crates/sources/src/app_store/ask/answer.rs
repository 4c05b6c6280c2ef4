//! What the App Store Server API answers: proven once, when it arrives, and read again from what was kept.
//!
//! Transactions and renewal infos are signed like notifications, each by itself. What stands around them (`status`, the
//! order of pages) is not: for that the connection vouches, and an answer whose signed parts contradict it is refused. Of
//! a customer's subscriptions only the one is read that was asked about; the others have questions of their own.

use super::history::{MAX_TOKEN, Page};
use super::{Wanted, refusal};
use crate::app_store::read::{Told, label, observed};
use crate::app_store::wire::{
    Envelope, HistoryPage, KeptItem, KeptPage, Payload, StatusItem, StatusResponse, TransactionResponse, Type,
};
use crate::app_store::{AppStore, Checks, Policy, parse};
use crate::{Note, Notification, ProvenAnswer, Reading, Rejection, RejectionKind};
use bytes::Bytes;
use paidup_lifecycle::observation::{Environment, Observation, Origin};
use paidup_lifecycle::time::Timestamp;
use serde_json::json;
use std::time::Duration;

/// Most notifications of a page that are read. Apple gives at most 20.
const MAX_ITEMS: usize = 100;

/// By how much a running period may lie back when Apple says that it runs: a renewal can be late by hours.
const LATE: Duration = Duration::from_secs(86_400);

fn refused(kind: RejectionKind, reason: &'static str, detail: impl Into<String>) -> Rejection {
    Rejection::new(kind, reason, detail.into())
}

fn of_another(what: &str) -> Rejection {
    refused(RejectionKind::WrongAddress, "not_about", format!("it is about another {what} than was asked for"))
}

/// What was asked, by a lookup's name.
fn wanted(name: &str) -> Result<Wanted<'_>, Rejection> {
    Wanted::of_name(name).ok_or_else(|| refused(RejectionKind::Malformed, "unknown_lookup", "this was never asked"))
}

impl AppStore {
    /// Proves an answer and takes the notifications out of a page.
    pub(in crate::app_store) fn prove(
        &self,
        name: &str,
        body: Bytes,
        now: Timestamp,
    ) -> Result<ProvenAnswer, Rejection> {
        let whole = |body| ProvenAnswer { body, notifications: Vec::new() };
        match wanted(name)? {
            Wanted::Status(environment, id) => {
                self.status(environment, id, &body, &heard(name, now), Checks::All)?;
            }
            Wanted::Transaction(environment, id) => {
                self.transaction(environment, id, &body, &heard(name, now), Checks::All)?;
            }
            Wanted::History(environment, _) if body != refusal::STALE_PAGE => {
                return self.prove_page(environment, &body);
            }
            Wanted::History(_, _) | Wanted::Consumption(_, _) | Wanted::Extension(_, _, _) => {}
        }
        Ok(whole(body))
    }

    /// Reads what was kept of an answer under `external_id`, to what was asked at `asked_at`.
    pub(in crate::app_store) fn read_answer(
        &self,
        external_id: &str,
        (asked_at, name, context): (Timestamp, &str, &str),
        body: &[u8],
    ) -> Result<Reading, Rejection> {
        let heard = heard(external_id, asked_at);
        Ok(match wanted(name)? {
            Wanted::Status(environment, id) => {
                Reading::observed(self.status(environment, id, body, &heard, Checks::None)?)
            }
            Wanted::Transaction(environment, id) => {
                Reading::observed(self.transaction(environment, id, body, &heard, Checks::None)?)
            }
            Wanted::History(environment, page) => read_page(environment, page, context, body)?,
            // It says nothing, or nothing about a purchase: it is kept and shown.
            Wanted::Consumption(_, _) | Wanted::Extension(_, _, _) => Reading::noted(Note::Informative),
        })
    }

    /// "Get All Subscription Statuses": the one that was asked about.
    fn status(
        &self,
        environment: Environment,
        id: &str,
        body: &[u8],
        heard: &Heard<'_>,
        checks: Checks,
    ) -> Result<Observation, Rejection> {
        let response: StatusResponse<'_> = parse(body, "answer", "unreadable_answer")?;
        if checks == Checks::All {
            self.address.check_answer(
                environment,
                response.environment.as_deref(),
                response.bundle_id.as_deref(),
                response.app_apple_id,
            )?;
        }
        let mut items = response.data.iter().flat_map(|group| &group.last_transactions);
        let item: &StatusItem<'_> = items
            .rfind(|item| item.original_transaction_id.as_deref() == Some(id))
            .ok_or_else(|| of_another("purchase"))?;
        let missing =
            || refused(RejectionKind::Malformed, "unreadable_answer", "the answer lacks the signed transaction");
        let signed = item.signed_transaction_info.as_deref().ok_or_else(missing)?;
        let opened = self.open_jws(signed, "signedTransactionInfo", checks)?;
        let place = (checks == Checks::All).then_some(environment);
        let transaction = self.read_transaction(&opened, heard.at, place)?;
        let signed = item.signed_renewal_info.as_deref();
        let opened = signed.map(|jws| self.open_jws(jws, "signedRenewalInfo", checks)).transpose()?;
        let renewal = opened.as_ref().map(|opened| self.read_renewal(opened, heard.at, place)).transpose()?;
        let is_of_id = |told: Option<&str>| told == Some(id);
        let renewals = renewal.as_ref().is_none_or(|renewal| is_of_id(renewal.original_transaction_id.as_deref()));
        if !is_of_id(transaction.original_transaction_id.as_deref()) || !renewals {
            return Err(of_another("purchase"));
        }
        let signed_at = renewal.as_ref().and_then(|it| it.signed_date).max(transaction.signed_date);
        let told = Told {
            id: heard.id.into(),
            at: signed_at.map_or(heard.at, |at| at.0),
            origin: Origin::Answer,
            hint: None,
            status: item.status,
        };
        check_status(&told, &transaction)?;
        observed(self.id, environment, told, &transaction, renewal.as_ref()).ok_or_else(|| of_another("purchase"))
    }

    /// "Get Transaction Info".
    fn transaction(
        &self,
        environment: Environment,
        id: &str,
        body: &[u8],
        heard: &Heard<'_>,
        checks: Checks,
    ) -> Result<Observation, Rejection> {
        let response: TransactionResponse<'_> = parse(body, "answer", "unreadable_answer")?;
        let opened = self.open_jws(&response.signed_transaction_info, "signedTransactionInfo", checks)?;
        let place = (checks == Checks::All).then_some(environment);
        let transaction = self.read_transaction(&opened, heard.at, place)?;
        if transaction.original_transaction_id.as_deref() != Some(id) {
            return Err(of_another("purchase"));
        }
        let told = Told {
            id: heard.id.into(),
            at: transaction.signed_date.map_or(heard.at, |at| at.0),
            origin: Origin::Answer,
            hint: None,
            status: None,
        };
        observed(self.id, environment, told, &transaction, None).ok_or_else(|| of_another("purchase"))
    }

    /// A page of history: each notification is proven as if it had been sent. One that is forged refuses the page; one that
    /// cannot be read (of a shape of the future) is left out and named.
    fn prove_page(&self, environment: Environment, body: &[u8]) -> Result<ProvenAnswer, Rejection> {
        let page: HistoryPage<'_> = parse(body, "answer", "unreadable_answer")?;
        if page.notification_history.len() > MAX_ITEMS {
            let detail = format!("a page of more than {MAX_ITEMS} notifications");
            return Err(refused(RejectionKind::TooLarge, "too_many", detail));
        }
        let mut notifications = Vec::with_capacity(page.notification_history.len());
        let mut kept = Vec::with_capacity(page.notification_history.len());
        for item in &page.notification_history {
            let envelope = json!({"signedPayload": item.signed_payload}).to_string();
            let attempts = item.send_attempts.iter().take(MAX_ITEMS).cloned().collect();
            match self.take_in(envelope.as_bytes(), Checks::All, &self.policy) {
                Ok(taken) if taken.environment.is_none_or(|told| told == environment) => {
                    kept.push(KeptItem { id: Some(taken.external_id.clone()), refused: None, send_attempts: attempts });
                    notifications.push(Notification {
                        external_id: taken.external_id.into(),
                        label: taken.label,
                        body: envelope.into_bytes().into(),
                        reading: taken.reading,
                    });
                }
                Ok(_) => return Err(of_another("environment")),
                Err(error) if error.kind == RejectionKind::Forged => return Err(error),
                Err(error) => {
                    kept.push(KeptItem { id: None, refused: Some(error.detail), send_attempts: attempts });
                }
            }
        }
        let rest = KeptPage {
            stale_token: false,
            has_more: page.has_more,
            pagination_token: page.pagination_token.map(std::borrow::Cow::into_owned),
            items: kept,
        };
        let body = serde_json::to_vec(&rest)
            .map_err(|_| refused(RejectionKind::Malformed, "unreadable_answer", "the page cannot be written again"))?;
        Ok(ProvenAnswer { body: body.into(), notifications })
    }
}

/// What an observation is known by.
struct Heard<'a> {
    id: &'a str,
    at: Timestamp,
}

fn heard(id: &str, at: Timestamp) -> Heard<'_> {
    Heard { id, at }
}

/// Whether what is signed bears out what is not.
fn check_status(told: &Told, transaction: &crate::app_store::wire::Transaction<'_>) -> Result<(), Rejection> {
    let ends = transaction.expires_date.map(|at| at.0);
    let is_borne_out = match told.status {
        Some(1) => transaction.revocation_date.is_none() && ends.is_none_or(|ends| ends.plus(LATE) > told.at),
        Some(2) => ends.is_none_or(|ends| ends <= told.at),
        Some(5) => transaction.revocation_date.is_some(),
        Some(_) | None => true,
    };
    if is_borne_out {
        return Ok(());
    }
    let detail = "the status says something else than the signed transaction";
    Err(refused(RejectionKind::Forged, "contradicts_itself", detail))
}

fn read_page(environment: Environment, page: Page, token: &str, body: &[u8]) -> Result<Reading, Rejection> {
    let kept: KeptPage = parse(body, "answer", "unreadable_answer")?;
    let mut reading = Reading::noted(Note::Informative);
    if kept.stale_token {
        reading.lookups.extend(page.again(environment));
        return Ok(reading);
    }
    let next = kept.pagination_token.filter(|next| kept.has_more && !next.is_empty() && next.len() <= MAX_TOKEN);
    // A page that names itself as the next one would never end.
    if let Some(next) = next.filter(|next| next != token) {
        reading.lookups.extend(page.next(environment, &next));
    }
    Ok(reading)
}

impl Policy {
    /// What a notification asks for besides what it says about a purchase.
    pub(in crate::app_store) fn follow_up(
        &self,
        payload: &Payload<'_>,
        transaction: Option<&crate::app_store::wire::Transaction<'_>>,
        environment: Option<Environment>,
        reading: &mut Reading,
    ) {
        let Some(environment) = environment.filter(|_| self.asks) else { return };
        if let (Type::ConsumptionRequest, Some(consumption), Some(transaction)) =
            (Type::of(&payload.notification_type), &self.consumption, transaction)
        {
            consumption.answer(environment, transaction, payload.signed_date.0, reading);
        }
        if let Some(summary) = &payload.summary
            && let (Some(product), Some(request)) = (&summary.product_id, &summary.request_identifier)
        {
            let why = "how far an extension of all subscriptions to a product has come";
            reading.lookups.extend(Wanted::Extension(environment, product, request).lookup(String::new(), why));
        }
    }
}

/// Apple's name of a notification whose signature fits.
pub(super) fn label_of(body: &[u8]) -> Option<String> {
    let envelope: Envelope<'_> = serde_json::from_slice(body).ok()?;
    let payload = crate::proof::jws::Compact::split(&envelope.signed_payload).ok()?.payload_bytes().ok()?;
    Some(label(&serde_json::from_slice(&payload).ok()?))
}
