//! Who sent it, and for whom it is: certificate chain, signature, app and environment.
//!
//! Building a chain costs two signature checks and four parses, and every notification carries the same one three
//! times. So verified chains are kept by the text of the JWS header that they stood in, and a notification costs little
//! more than its three signatures. Times are checked per notification, at the moment of its signing, so that
//! one that is fetched years later still verifies.

use super::wire::{Data, Payload, Type};
use crate::proof::jws::{Compact, JwsError};
use crate::proof::x509::{Chain, ChainError, Trust, verify_chain};
use crate::{Rejection, RejectionKind};
use paidup_lifecycle::observation::Environment;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use x509_parser::der_parser::{Oid, oid};

/// "Receipt signing" on the leaf, by Apple's library.
pub(super) const LEAF_MARK: Oid<'static> = oid!(1.2.840.113635.100.6.11.1);
/// "Worldwide developer relations" on the intermediate.
pub(super) const INTERMEDIATE_MARK: Oid<'static> = oid!(1.2.840.113635.100.6.2.1);

/// How many verified chains are kept. Apple uses one or two at a time; only a genuine signature brings in a new one.
const MAX_CHAINS: usize = 16;

/// Headers longer than this are not kept. Apple's have 4.4 KB.
const MAX_KEPT_HEADER: usize = 16 * 1024;

/// Checks signatures against our own roots.
pub(super) struct Prover {
    trust: Trust,
    /// By the text of the header, which fixes both `alg` and `x5c`. Comparing it is quicker than hashing it. Latest first.
    known: Mutex<VecDeque<(Box<str>, Arc<Chain>)>>,
}

/// A payload whose signature fits. When the certificates must have been valid is known only after reading it.
pub(super) struct Proven {
    pub(super) payload: Vec<u8>,
    pub(super) chain: Arc<Chain>,
}

impl Prover {
    pub(super) fn new(roots: Vec<Vec<u8>>) -> Prover {
        let trust = Trust { roots, leaf_mark: LEAF_MARK, intermediate_mark: INTERMEDIATE_MARK };
        Prover { trust, known: Mutex::new(VecDeque::with_capacity(MAX_CHAINS)) }
    }

    /// The payload of a JWS that was signed by a leaf under one of our roots.
    pub(super) fn prove(&self, jws: &Compact<'_>, what: &str) -> Result<Proven, Rejection> {
        let refused = |error: JwsError| refuse_jws(error, what);
        let known = self.recall(jws.header);
        let is_known = known.is_some();
        let chain = match known {
            Some(chain) => chain,
            None => Arc::new(self.build(jws, what)?),
        };
        jws.check_signature(&chain.leaf_key).map_err(refused)?;
        if !is_known {
            // After the signature: nobody fills the memory with genuine chains in odd spellings.
            self.remember(jws.header, chain.clone());
        }
        Ok(Proven { payload: jws.payload_bytes().map_err(refused)?, chain })
    }

    fn build(&self, jws: &Compact<'_>, what: &str) -> Result<Chain, Rejection> {
        let certificates = jws.certificates().map_err(|error| refuse_jws(error, what))?;
        let [leaf, intermediate, _root_of_the_sender] = certificates.as_slice() else {
            let detail = format!("the {what} carries {} certificates, not 3", certificates.len());
            return Err(Rejection::new(RejectionKind::Forged, "chain_length", detail));
        };
        verify_chain(&self.trust, leaf, intermediate).map_err(|error| refuse_chain(error, what))
    }

    fn recall(&self, header: &str) -> Option<Arc<Chain>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|(text, _)| **text == *header).map(|(_, chain)| chain.clone())
    }

    fn remember(&self, header: &str, chain: Arc<Chain>) {
        if header.len() > MAX_KEPT_HEADER {
            return;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.iter().any(|(text, _)| **text == *header) {
            return;
        }
        known.truncate(MAX_CHAINS - 1);
        known.push_front((header.into(), chain));
    }

    #[cfg(test)]
    pub(super) fn known_chains(&self) -> usize {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// A chain that is not believed.
pub(super) fn refuse_chain(error: ChainError, what: &str) -> Rejection {
    Rejection::new(RejectionKind::Forged, error.reason(), format!("{what}: {error}"))
}

/// A JWS that is not believed, or is none.
pub(super) fn refuse_jws(error: JwsError, what: &str) -> Rejection {
    let kind = match error {
        JwsError::Malformed => RejectionKind::Malformed,
        JwsError::WrongAlgorithm | JwsError::UnknownExtension | JwsError::MissingX5c | JwsError::BadSignature => {
            RejectionKind::Forged
        }
    };
    Rejection::new(kind, error.reason(), format!("the {what} {error}"))
}

/// Which app and environments a source is for.
pub(super) struct Address {
    pub(super) bundle_id: String,
    pub(super) app_apple_id: Option<i64>,
    pub(super) environments: &'static [Environment],
}

impl Address {
    /// Checks the notification as a whole. `Xcode` and `LocalTesting`, whose signatures Apple's own libraries skip, are
    /// environments that no source can be for.
    /// Returns the environment that all nested parts must be of too.
    pub(super) fn check(&self, payload: &Payload<'_>) -> Result<Environment, Rejection> {
        if let Some(data) = &payload.data {
            return self.check_data(payload, data);
        }
        if let Some(part) = payload.summary.as_ref().or(payload.app_data.as_ref()) {
            let environment = self.check_environment(part.environment.as_deref(), "notification")?;
            self.check_bundle(part.bundle_id.as_deref(), "notification")?;
            self.check_app(part.app_apple_id, environment)?;
            return Ok(environment);
        }
        if let Some(token) = &payload.external_purchase_token {
            let is_sandbox = token.external_purchase_id.starts_with("SANDBOX");
            let environment = if is_sandbox { "Sandbox" } else { "Production" };
            let environment = self.check_environment(Some(environment), "notification")?;
            self.check_bundle(token.bundle_id.as_deref(), "notification")?;
            self.check_app(token.app_apple_id, environment)?;
            return Ok(environment);
        }
        // A payload in a shape of the future: for whom it is cannot be known, and it is kept under no purchase.
        let detail = "the notification has none of data, summary, appData and externalPurchaseToken";
        Err(Rejection::new(RejectionKind::Malformed, "no_data", detail.to_owned()))
    }

    fn check_data(&self, payload: &Payload<'_>, data: &Data<'_>) -> Result<Environment, Rejection> {
        let environment = self.check_environment(data.environment.as_deref(), "notification")?;
        self.check_bundle(data.bundle_id.as_deref(), "notification")?;
        // ASSUMPTION: a TEST may lack the app's id in production too, as it does in the sandbox.
        let may_lack_app = Type::of(&payload.notification_type) == Type::Test;
        if data.app_apple_id.is_some() || !may_lack_app {
            self.check_app(data.app_apple_id, environment)?;
        }
        Ok(environment)
    }

    /// Checks what stands by itself: a transaction that an app shows. Answers its environment.
    pub(super) fn check_alone(
        &self,
        told: Option<&str>,
        bundle_id: Option<&str>,
        what: &str,
    ) -> Result<Environment, Rejection> {
        self.check_bundle(bundle_id, what)?;
        self.check_environment(told, what)
    }

    /// Checks what an answer of the API says of itself. It is not signed; what stands in it is, and is checked as nested.
    pub(super) fn check_answer(
        &self,
        asked: Environment,
        told: Option<&str>,
        bundle_id: Option<&str>,
        app_apple_id: Option<i64>,
    ) -> Result<(), Rejection> {
        self.check_nested(asked, told, Some(bundle_id), "answer")?;
        self.check_app(app_apple_id, asked)
    }

    /// Checks a nested part: it is signed on its own, so it could have been signed for somebody else. `bundle_id` is
    /// `None` for renewal info, which names no app.
    pub(super) fn check_nested(
        &self,
        environment_of_notification: Environment,
        told: Option<&str>,
        bundle_id: Option<Option<&str>>,
        what: &str,
    ) -> Result<(), Rejection> {
        if self.check_environment(told, what)? != environment_of_notification {
            let detail = format!("the {what} is of another environment than what it stands in, or was asked for");
            return Err(misaddressed("wrong_environment", detail));
        }
        bundle_id.map_or(Ok(()), |bundle_id| self.check_bundle(bundle_id, what))
    }

    fn check_environment(&self, told: Option<&str>, what: &str) -> Result<Environment, Rejection> {
        match environment(told) {
            Some(environment) if self.environments.contains(&environment) => Ok(environment),
            Some(_) | None => {
                let told: String = told.unwrap_or("no environment").chars().take(40).collect();
                Err(misaddressed("wrong_environment", format!("the {what} is of {told}, which is not taken here")))
            }
        }
    }

    fn check_bundle(&self, told: Option<&str>, what: &str) -> Result<(), Rejection> {
        if told == Some(self.bundle_id.as_str()) {
            return Ok(());
        }
        Err(misaddressed("wrong_bundle", format!("the {what} is not for the bundle {}", self.bundle_id)))
    }

    /// The app's id is absent in the sandbox; in production it must be there.
    fn check_app(&self, told: Option<i64>, environment: Environment) -> Result<(), Rejection> {
        let is_right = match (self.app_apple_id, told) {
            (None, _) => true,
            (Some(wanted), Some(told)) => wanted == told,
            (Some(_), None) => environment == Environment::Sandbox,
        };
        if is_right {
            return Ok(());
        }
        Err(misaddressed("wrong_app", "the notification is for another app id (app_apple_id)".to_owned()))
    }
}

/// Apple's two environments of real stores.
pub(super) fn environment(told: Option<&str>) -> Option<Environment> {
    match told {
        Some("Production") => Some(Environment::Production),
        Some("Sandbox") => Some(Environment::Sandbox),
        Some(_) | None => None,
    }
}

fn misaddressed(reason: &'static str, detail: String) -> Rejection {
    Rejection::new(RejectionKind::WrongAddress, reason, detail)
}
