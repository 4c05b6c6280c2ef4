//! The App Store, through signed Server Notifications version 2 and the App Store Server API.
//!
//! `verify.rs` says who sent a notification and for whom it is, `wire.rs` holds Apple's own names, `read.rs` turns them
//! into observations, `ask/` asks Apple, `claim.rs` takes what an app's backend shows, `pack.rs` takes the certificate
//! chains out of what is kept, `storefront.rs` knows the countries, `settings.rs` what an operator sets.
//! <https://developer.apple.com/documentation/appstoreservernotifications>

mod ask;
mod claim;
mod pack;
mod read;
mod settings;
mod storefront;
mod verify;
mod wire;

#[cfg(test)]
mod tests;

use crate::proof::jws::Compact;
use crate::{
    Ask, Claim, Claimed, Definition, Keys, Lookup, Notification, Packed, Proof, ProvenAnswer, RawRequest, Reading,
    Refusal, Rejection, RejectionKind, Source, Testing, Verification, Verified, Wanted, parse_looked_up_id,
};
use ask::consumption::Consumption;
use ask::line::AppStoreTest;
use ask::{Api, history, refusal};
use bytes::Bytes;
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::observation::{Environment, Store};
use paidup_lifecycle::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use verify::{Address, Prover};

/// The largest body. A notification with three chains is 19 KB; Advanced Commerce adds item lists.
const MAX_BODY: usize = 256 * 1024;

/// The longest id that is taken as one. Apple's are UUIDs of 36 characters.
const MAX_ID: usize = 200;

/// What the rest of the crate sees of this folder.
pub(crate) const DEFINITION: Definition = Definition {
    kind: "app_store",
    title: "App Store",
    setup: include_str!("setup.md"),
    settings_schema: || schemars::schema_for!(settings::Settings),
    secrets: &["/api/private_key"],
    open: settings::open,
    max_body: MAX_BODY,
    proof: Proof::Store,
    success: 200,
};

/// Calls a minute that are made at most: half of what Apple allows for most endpoints in production (50 a second), because
/// the limit is the app's, and its own servers call too; in the sandbox it allows a tenth.
const CALLS_A_MINUTE: u32 = 1_500;
const CALLS_A_MINUTE_IN_SANDBOX: u32 = 150;

/// An App Store source, opened.
struct AppStore {
    id: SourceId,
    address: Address,
    prover: Prover,
    api: Option<Arc<Api>>,
    policy: Policy,
}

/// The settings that reading depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Policy {
    /// Apple can be asked.
    asks: bool,
    /// What Apple is told of a purchase's use; only with consent.
    #[serde(skip_serializing_if = "Option::is_none")]
    consumption: Option<Consumption>,
}

impl Source for AppStore {
    fn verify(&self, raw: &RawRequest, _keys: &Keys, _now: Timestamp) -> Result<Verification, Rejection> {
        let taken = self.take_in(&raw.body, Checks::All, &self.policy)?;
        let notification = Notification {
            external_id: taken.external_id.into(),
            label: taken.label,
            body: raw.body.clone(),
            reading: taken.reading,
        };
        Ok(Verification::Verified(Verified { notifications: vec![notification] }))
    }

    /// Without a policy: notifications of a time that knew none, and answers that are fresh.
    fn read_kept(&self, external_id: &str, body: &[u8]) -> Result<Reading, Rejection> {
        let is_told = parse_looked_up_id(external_id).is_none() && !claim::is_claim(external_id);
        let none = Policy::default();
        self.read(if is_told { &none } else { &self.policy }, external_id, body)
    }

    fn policy(&self) -> Option<String> {
        Some(serde_json::to_string(&self.policy).expect("flags and words can always be written as JSON"))
    }

    fn read_kept_under(&self, policy: &str, external_id: &str, body: &[u8]) -> Result<Reading, Rejection> {
        let policy: Policy = serde_json::from_str(policy).map_err(|error| {
            let detail = format!("the settings that it was read with cannot be read: {error}");
            Rejection::new(RejectionKind::Malformed, "unreadable_policy", detail)
        })?;
        self.read(&policy, external_id, body)
    }

    /// Apple can be asked how a subscription stands, so dates alone end nothing: without a key the App Store counts as a
    /// store that cannot be reached, and is given a day after the last word.
    fn can_ask(&self) -> bool {
        true
    }

    fn ask_by(&self, question: &Ask) -> Option<Lookup> {
        self.api.as_ref()?;
        // Which of the two it was bought in is part of every purchase that Apple told of.
        let environment = question.environment.or_else(|| self.address.environments.first().copied())?;
        let wanted = ask::Wanted::purchase(environment, question.kind, &question.store_purchase_id);
        wanted.lookup(String::new(), "how a purchase stands")
    }

    fn look_up(&self, lookup: &Lookup, now: Timestamp) -> Option<http::Request<Bytes>> {
        self.api.as_ref()?.look_up(&lookup.name, &lookup.context, now)
    }

    fn prove_answer(&self, wanted: &Wanted<'_>, body: Bytes, now: Timestamp) -> Result<ProvenAnswer, Rejection> {
        match wanted {
            Wanted::Lookup(name, _) => self.prove(name, body, now),
            Wanted::Purchase(_) => {
                let detail = "the App Store is asked by lookups".to_owned();
                Err(Rejection::new(RejectionKind::Malformed, "unknown_lookup", detail))
            }
        }
    }

    fn calls_a_minute(&self) -> Option<u32> {
        let sells = self.address.environments.contains(&Environment::Production);
        Some(if sells { CALLS_A_MINUTE } else { CALLS_A_MINUTE_IN_SANDBOX })
    }

    fn ask_again_at(&self, headers: &http::HeaderMap, now: Timestamp) -> Option<Timestamp> {
        refusal::again_at(headers, now)
    }

    fn refused(&self, wanted: &Wanted<'_>, status: http::StatusCode, body: &[u8]) -> Refusal {
        match wanted {
            Wanted::Lookup(name, _) => refusal::meaning(name, status, body),
            Wanted::Purchase(_) => refusal::meaning("", status, body),
        }
    }

    /// Everything that Apple sent, or tried to: also what another server took, or what a database that was restored from
    /// a backup has lost again.
    fn reconcile(&self, since: Timestamp, now: Timestamp) -> Vec<Lookup> {
        self.history(false, since, now)
    }

    /// What Apple could not deliver: whatever we answered with success is on disk.
    fn missed(&self, since: Timestamp, now: Timestamp) -> Vec<Lookup> {
        self.history(true, since, now)
    }

    fn store(&self) -> Store {
        Store::AppStore
    }

    fn claim(&self, claim: &Claim, now: Timestamp) -> Result<Claimed, Rejection> {
        self.take_claim(claim, now)
    }

    fn test(&self) -> Testing {
        match &self.api {
            Some(api) => Testing::Calls(Box::new(AppStoreTest::new(api.clone(), self.address.environments))),
            None => {
                let how = "without `api` Apple cannot be asked to send a test: set it, or call POST \
                           /inApps/v1/notifications/test of Apple's API yourself; a TEST event shows that it arrived";
                Testing::ByHand(how.to_owned())
            }
        }
    }

    fn pack(&self, body: &[u8]) -> Option<Packed> {
        pack::pack(body)
    }

    fn unpack(&self, packed: &Packed) -> Result<Vec<u8>, Rejection> {
        pack::unpack(packed).ok_or_else(|| {
            let detail = "a kept notification cannot be put together again";
            Rejection::new(RejectionKind::Malformed, "unreadable_packed", detail.to_owned())
        })
    }
}

/// What is checked on the way in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Checks {
    /// Signatures, times, addresses.
    All,
    /// Nothing: the bytes were proven when they were kept.
    None,
}

struct Taken {
    external_id: String,
    label: String,
    environment: Option<Environment>,
    reading: Reading,
}

impl AppStore {
    /// Reads what was kept: an answer, a claim or a notification.
    fn read(&self, policy: &Policy, external_id: &str, body: &[u8]) -> Result<Reading, Rejection> {
        if let Some(asked) = parse_looked_up_id(external_id) {
            return self.read_answer(external_id, asked, body);
        }
        if claim::is_claim(external_id) {
            return self.read_claim(external_id, body, policy, Checks::None);
        }
        Ok(self.take_in(body, Checks::None, policy)?.reading)
    }

    fn history(&self, only_failures: bool, since: Timestamp, now: Timestamp) -> Vec<Lookup> {
        match self.api {
            Some(_) => history::first_pages(self.address.environments, only_failures, since, now),
            None => Vec::new(),
        }
    }

    /// The one way in, for fresh and for kept bytes. Every layer is decoded and parsed once, and only after its
    /// signature fits.
    fn take_in(&self, body: &[u8], checks: Checks, policy: &Policy) -> Result<Taken, Rejection> {
        if body.len() > MAX_BODY {
            let detail = format!("the body is larger than {MAX_BODY} bytes");
            return Err(Rejection::new(RejectionKind::TooLarge, "body_too_large", detail));
        }
        let envelope: wire::Envelope<'_> = parse(body, "body", "unreadable_body")?;
        let outer = self.open_jws(&envelope.signed_payload, "signedPayload", checks)?;
        let payload: wire::Payload<'_> = parse(&outer.payload, "signedPayload", "unreadable_payload")?;
        outer.check_time(payload.signed_date.0)?;
        let is_id = (1..=MAX_ID).contains(&payload.notification_uuid.len());
        if !is_id {
            let detail = format!("notificationUUID must have 1 to {MAX_ID} characters");
            return Err(Rejection::new(RejectionKind::Malformed, "unreadable_payload", detail));
        }
        let checked = match checks {
            Checks::All => Some(self.address.check(&payload)?),
            Checks::None => None,
        };

        let (data, at) = (payload.data.as_ref(), payload.signed_date.0);
        let signed_transaction = data.and_then(|data| data.signed_transaction_info.as_deref());
        let inner = signed_transaction.map(|jws| self.open_jws(jws, "signedTransactionInfo", checks)).transpose()?;
        let transaction = inner.as_ref().map(|inner| self.read_transaction(inner, at, checked)).transpose()?;
        let signed_renewal = data.and_then(|data| data.signed_renewal_info.as_deref());
        let inner = signed_renewal.map(|jws| self.open_jws(jws, "signedRenewalInfo", checks)).transpose()?;
        let renewal = inner.as_ref().map(|inner| self.read_renewal(inner, at, checked)).transpose()?;

        let environment = payload.environment();
        let mut reading = read::read(self.id, &payload, transaction.as_ref(), renewal.as_ref());
        policy.follow_up(&payload, transaction.as_ref(), environment, &mut reading);
        let label = read::label(&payload);
        Ok(Taken { label, reading, environment, external_id: payload.notification_uuid.into_owned() })
    }

    fn open_jws(&self, text: &str, what: &'static str, checks: Checks) -> Result<Opened, Rejection> {
        let jws = Compact::split(text).map_err(|error| verify::refuse_jws(error, what))?;
        match checks {
            Checks::All => {
                let proven = self.prover.prove(&jws, what)?;
                Ok(Opened { what, payload: proven.payload, chain: Some(proven.chain) })
            }
            Checks::None => {
                let payload = jws.payload_bytes().map_err(|error| verify::refuse_jws(error, what))?;
                Ok(Opened { what, payload, chain: None })
            }
        }
    }

    /// `checked` is the environment of what it stands in, when it has to be checked against it; `at` is when that was
    /// signed, for what does not say when it was signed itself.
    fn read_transaction<'a>(
        &self,
        opened: &'a Opened,
        at: Timestamp,
        checked: Option<Environment>,
    ) -> Result<wire::Transaction<'a>, Rejection> {
        let transaction: wire::Transaction<'a> = parse(&opened.payload, opened.what, "unreadable_payload")?;
        opened.check_time(transaction.signed_date.map_or(at, |at| at.0))?;
        if let Some(environment) = checked {
            let (told, bundle) = (transaction.environment.as_deref(), transaction.bundle_id.as_deref());
            self.address.check_nested(environment, told, Some(bundle), opened.what)?;
        }
        Ok(transaction)
    }

    fn read_renewal<'a>(
        &self,
        opened: &'a Opened,
        at: Timestamp,
        checked: Option<Environment>,
    ) -> Result<wire::Renewal<'a>, Rejection> {
        let renewal: wire::Renewal<'a> = parse(&opened.payload, opened.what, "unreadable_payload")?;
        opened.check_time(renewal.signed_date.map_or(at, |at| at.0))?;
        if let Some(environment) = checked {
            self.address.check_nested(environment, renewal.environment.as_deref(), None, opened.what)?;
        }
        Ok(renewal)
    }
}

/// A JWS, decoded, and the chain that it was proven with.
struct Opened {
    what: &'static str,
    payload: Vec<u8>,
    chain: Option<std::sync::Arc<crate::proof::x509::Chain>>,
}

impl Opened {
    fn check_time(&self, signed_at: Timestamp) -> Result<(), Rejection> {
        let Some(chain) = &self.chain else { return Ok(()) };
        chain.check_time(signed_at).map_err(|error| verify::refuse_chain(error, self.what))
    }
}

/// Reads JSON. The reader goes at most 128 levels deep into what it keeps and skips the rest without recursion.
fn parse<'a, T: Deserialize<'a>>(json: &'a [u8], what: &str, reason: &'static str) -> Result<T, Rejection> {
    serde_json::from_slice(json).map_err(|error| {
        Rejection::new(RejectionKind::Malformed, reason, format!("{what}: {}", crate::settings::explain(&error)))
    })
}
