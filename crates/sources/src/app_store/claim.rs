//! What an app's own backend shows: a transaction as StoreKit gives it to the app, signed by Apple.
//!
//! It proves itself, so it counts at once. An app may show any transaction, an old one too: one whose period was over when
//! it was signed says nothing about the running period, and one that an upgrade replaced neither. So Apple is asked besides
//! how the purchase stands, where it can be.
//! <https://developer.apple.com/documentation/storekit/verificationresult/jwsrepresentation-21vgo>

use super::ask::Wanted;
use super::read::{Told, observed, observed_in_passing};
use super::wire::{Transaction, TransactionResponse};
use super::{AppStore, Checks, MAX_ID, Policy, parse, verify};
use crate::{Claim, Claimed, Notification, Reading, Rejection, RejectionKind};
use paidup_lifecycle::observation::{Environment, Hint, Origin};
use paidup_lifecycle::time::Timestamp;
use serde_json::json;

/// How the external id of a claim begins.
const PREFIX: &str = "claim/";

/// The longest signed transaction. One with its chain has 6 KB.
const MAX_TRANSACTION: usize = 64 * 1024;

/// Whether this was kept for a claim.
pub(super) fn is_claim(external_id: &str) -> bool {
    external_id.starts_with(PREFIX)
}

impl AppStore {
    /// Proves a claim.
    pub(super) fn take_claim(&self, claim: &Claim, now: Timestamp) -> Result<Claimed, Rejection> {
        let refused = |reason, detail: &str| Rejection {
            pointer: Some("/signed_transaction".to_owned()),
            ..Rejection::new(RejectionKind::WrongAddress, reason, detail.to_owned())
        };
        claim.takes_only(&["signed_transaction"])?;
        let signed = claim.signed_transaction.as_deref().map(str::trim).filter(|signed| !signed.is_empty());
        let Some(signed) = signed else {
            let detail =
                "an App Store purchase is shown by `signed_transaction`: the transaction's `jwsRepresentation`";
            return Err(refused("no_transaction", detail));
        };
        if signed.len() > MAX_TRANSACTION {
            return Err(refused("too_long", "this is too long for a signed transaction"));
        }
        let body = json!({"signedTransactionInfo": signed}).to_string();
        // The moment of signing goes into the id, so that the same transaction, shown again later, is news.
        let opened = self.open_jws(signed, "signed_transaction", Checks::All)?;
        let transaction: Transaction<'_> = parse(&opened.payload, "signed_transaction", "unreadable_payload")?;
        let signed_at = transaction.signed_date.map_or(now, |at| at.0);
        let id = transaction.transaction_id.as_deref().filter(|id| (1..=MAX_ID).contains(&id.len()));
        let id = id.ok_or_else(|| refused("unreadable_payload", "the transaction has no id"))?;
        let external_id = format!("{PREFIX}{}/{id}", signed_at.as_millis());
        let reading = self.read_claim(&external_id, body.as_bytes(), &self.policy, Checks::All)?;
        let label = "signed transaction".to_owned();
        let notification = Notification { external_id: external_id.into(), label, body: body.into(), reading };
        Ok(Claimed::Notification(notification))
    }

    /// Reads a claim, fresh or kept.
    pub(super) fn read_claim(
        &self,
        external_id: &str,
        body: &[u8],
        policy: &Policy,
        checks: Checks,
    ) -> Result<Reading, Rejection> {
        let kept: TransactionResponse<'_> = parse(body, "signed transaction", "unreadable_body")?;
        let opened = self.open_jws(&kept.signed_transaction_info, "signed_transaction", checks)?;
        let signed_at = signed_at(external_id)?;
        let transaction: Transaction<'_> = parse(&opened.payload, "signed_transaction", "unreadable_payload")?;
        opened.check_time(signed_at)?;
        let environment = match checks {
            Checks::All => self.address.check_alone(
                transaction.environment.as_deref(),
                transaction.bundle_id.as_deref(),
                "signed transaction",
            )?,
            Checks::None => {
                let told = verify::environment(transaction.environment.as_deref());
                told.ok_or_else(|| unreadable("it is of no environment"))?
            }
        };
        let mut reading = self.observe_claim(external_id, signed_at, environment, &transaction)?;
        if policy.asks
            && let Some(observation) = reading.observations.first()
        {
            let kind = observation.facets.kind.as_ref().map(|kind| kind.value);
            let wanted = Wanted::purchase(environment, kind, &observation.key.store_purchase_id);
            reading.lookups.extend(wanted.lookup(String::new(), "an app's backend shows a transaction of it"));
        }
        Ok(reading)
    }

    fn observe_claim(
        &self,
        external_id: &str,
        at: Timestamp,
        environment: Environment,
        transaction: &Transaction<'_>,
    ) -> Result<Reading, Rejection> {
        let is_revoked = transaction.revocation_date.is_some();
        let is_subscription = transaction.kind.as_deref() == Some("Auto-Renewable Subscription");
        let is_running = transaction.expires_date.is_none_or(|ends| ends.0 > at) && !transaction.is_upgraded;
        let is_first = transaction.transaction_reason.as_deref() == Some("PURCHASE")
            && transaction.transaction_id == transaction.original_transaction_id;
        let hint = match is_subscription {
            _ if is_revoked || !is_first => None,
            true => Some(Hint::Purchased),
            false => Some(Hint::OneTimePurchased),
        };
        let status = match (is_subscription, is_revoked) {
            (true, true) => Some(5),
            (true, false) => Some(1),
            (false, _) => None,
        };
        let told = Told { id: external_id.into(), at, origin: Origin::Notification, hint, status };
        let observation = if is_subscription && !is_running {
            observed_in_passing(self.id, environment, Told { hint: None, status: None, ..told }, transaction)
        } else {
            observed(self.id, environment, told, transaction, None)
        };
        observation.map(Reading::observed).ok_or_else(|| unreadable("it names no purchase"))
    }
}

fn unreadable(detail: &str) -> Rejection {
    Rejection::new(RejectionKind::Malformed, "unreadable_payload", format!("the signed transaction: {detail}"))
}

fn signed_at(external_id: &str) -> Result<Timestamp, Rejection> {
    let millis = external_id.strip_prefix(PREFIX).and_then(|rest| rest.split_once('/')).map(|(millis, _)| millis);
    let at = millis.and_then(|millis| Timestamp::from_millis(millis.parse().ok()?).ok());
    at.ok_or_else(|| unreadable("when it was signed is not known"))
}
