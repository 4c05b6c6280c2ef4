//! The App Store: signs Server Notifications V2 as Apple does, under a root of its own.
//!
//! The root stands in for "Apple Root CA - G3": a hub trusts it through the source's `root_certificates`.
//! What is said is decided in `lives`; what is wrong on purpose in `forgeries`.

pub mod account;
pub mod forgeries;
pub(crate) mod lives;
mod sign;
#[cfg(test)]
mod tests;
pub mod wire;

pub use sign::{SignError, Signer};

use super::{CannotTell, Feed, Outcome, Played, StoreKind};
use crate::catalogue::{PLANS, Plan};
use crate::lives::Said;
use crate::population::Shop;
use account::{Account, SendResult};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde::Serialize;
use serde_json::{Value, json};
use sign::{Authority, ChainPlan};
use std::sync::{Mutex, MutexGuard, PoisonError};
use wire::{App, Body, Data, Notification, Payload};

/// The version of the app that Apple names.
const BUNDLE_VERSION: &str = "1.0";

/// An App Store with its own root, for one app.
pub struct AppStore {
    app: App,
    authority: Authority,
    signer: Signer,
    api_key: ApiKey,
    account: Mutex<Account>,
    is_asked: bool,
}

/// A key for the App Store Server API, as App Store Connect hands it out.
pub struct ApiKey {
    /// "Issuer ID".
    pub issuer_id: String,
    /// "Key ID".
    pub key_id: String,
    /// The text of the .p8 file: PKCS#8 in PEM. It opens nothing but simulations.
    pub private_key: String,
    /// What Apple keeps of it: the point, uncompressed.
    pub(crate) public_key: Vec<u8>,
}

impl ApiKey {
    fn fresh() -> Result<ApiKey, SignError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        Ok(ApiKey {
            issuer_id: "57246542-96fe-1a63-e053-0824d011072a".to_owned(),
            key_id: "2X9R4HXF34".to_owned(),
            private_key: key.serialize_pem(),
            public_key: key.public_key_raw().to_vec(),
        })
    }
}

impl AppStore {
    /// A store with a fresh chain.
    pub fn new(app: App) -> Result<AppStore, SignError> {
        let authority = Authority::new("Simulated Apple Root CA - G3")?;
        let signer = authority.signer(ChainPlan::default())?;
        let (api_key, account) = (ApiKey::fresh()?, Mutex::default());
        Ok(AppStore { app, authority, signer, api_key, account, is_asked: false })
    }

    /// Whether hubs are given its key for the App Store Server API.
    #[must_use]
    pub fn asked(self, is_asked: bool) -> AppStore {
        AppStore { is_asked, ..self }
    }

    /// The app that it sells for.
    #[must_use]
    pub const fn app(&self) -> &App {
        &self.app
    }

    /// The root in PEM: what `root_certificates` of the source takes.
    #[must_use]
    pub fn root_pem(&self) -> String {
        self.authority.root_pem()
    }

    /// The root in DER: what Apple's libraries take.
    #[must_use]
    pub fn root_der(&self) -> &[u8] {
        self.authority.root_der()
    }

    /// `api` of the source.
    #[must_use]
    pub const fn api_key(&self) -> &ApiKey {
        &self.api_key
    }

    /// What its API shows.
    pub fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `signedPayload` of a notification.
    pub fn signed(&self, notification: &Notification) -> Result<String, SignError> {
        self.signed_payload(&self.signer, &self.app, notification)
    }

    /// A transaction or renewal as the API gives it.
    pub fn sign(&self, payload: &impl Serialize) -> Result<String, SignError> {
        self.signer.sign(payload)
    }

    /// The leaf that signs.
    #[must_use]
    pub const fn signer(&self) -> &Signer {
        &self.signer
    }

    /// The body of Apple's request: `{"signedPayload": "..."}` with the transaction and renewal signed inside.
    pub fn body(&self, notification: &Notification) -> Result<Vec<u8>, SignError> {
        let jws = self.signed(notification)?;
        Ok(serde_json::to_vec(&Body { signed_payload: &jws })?)
    }

    fn signed_payload(&self, signer: &Signer, app: &App, said: &Notification) -> Result<String, SignError> {
        let renewal = said.renewal.as_ref().map(|renewal| self.signer.sign(renewal)).transpose()?;
        signer.sign(&Payload {
            notification_type: said.kind,
            subtype: said.subtype,
            notification_uuid: &said.uuid,
            data: Data {
                app_apple_id: app.app_apple_id,
                bundle_id: &app.bundle_id,
                bundle_version: BUNDLE_VERSION,
                environment: app.environment,
                signed_transaction_info: Some(self.signer.sign(&said.transaction)?),
                signed_renewal_info: renewal,
                status: said.status,
                consumption_request_reason: said.consumption_request_reason,
            },
            version: "2.0",
            signed_date: said.signed_date,
        })
    }

    /// `signedPayload` of a `TEST` notification, which names no transaction.
    pub fn signed_test(&self, uuid: &str, signed_date: i64) -> Result<String, SignError> {
        self.signer.sign(&Payload {
            notification_type: "TEST",
            subtype: None,
            notification_uuid: uuid,
            data: Data {
                app_apple_id: self.app.app_apple_id,
                bundle_id: &self.app.bundle_id,
                bundle_version: BUNDLE_VERSION,
                environment: self.app.environment,
                signed_transaction_info: None,
                signed_renewal_info: None,
                status: None,
                consumption_request_reason: None,
            },
            version: "2.0",
            signed_date,
        })
    }

    /// The body of a `TEST` notification.
    pub fn test_body(&self, uuid: &str, signed_date: i64) -> Result<Vec<u8>, SignError> {
        let jws = self.signed_test(uuid, signed_date)?;
        Ok(serde_json::to_vec(&Body { signed_payload: &jws })?)
    }
}

impl Played for AppStore {
    fn kind(&self) -> StoreKind {
        StoreKind::AppStore
    }

    fn title(&self) -> &'static str {
        "Simulated App Store"
    }

    fn config(&self) -> Value {
        let mut config = json!({
            "bundle_id": &*self.app.bundle_id,
            "app_apple_id": self.app.app_apple_id,
            "root_certificates": [self.root_pem()],
            // There is one of it: a hub that asks for the other environment too would hear of this one.
            "environment": self.app.environment.to_uppercase(),
        });
        if self.is_asked {
            let key = &self.api_key;
            config["api"] = json!({"issuer_id": key.issuer_id, "key_id": key.key_id, "private_key": key.private_key});
        }
        config
    }

    fn products(&self) -> Vec<(&'static Plan, String)> {
        PLANS.iter().map(|plan| (plan, plan.id.to_owned())).collect()
    }

    fn shop(&self) -> Shop {
        Shop::AppStore(self.app.clone())
    }

    fn body(&self, said: &Said) -> Result<Vec<u8>, CannotTell> {
        let Said::AppStore(notification) = said else { return Err(CannotTell::Misplaced) };
        AppStore::body(self, notification).map_err(CannotTell::because)
    }
    /// Nobody asks: nothing has to be remembered.
    fn follow(&self, lives: Feed) {
        if !self.is_asked {
            return;
        }
        let own = lives.filter_map(|(at, told)| match told.said {
            Said::AppStore(notification) => Some((at, *notification)),
            Said::Stripe(_) | Said::Play(_) | Said::Amazon(_) | Said::Discord(_) => None,
        });
        self.account().follow(Box::new(own));
    }

    fn freeze(&self) {
        self.account().freeze();
    }

    fn attempted(&self, said: &Said, at_ms: i64, outcome: Outcome) {
        let Said::AppStore(notification) = said else { return };
        let result = match outcome {
            Outcome::Accepted => SendResult::Success,
            Outcome::Refused => SendResult::UnsuccessfulHttpResponseCode,
            Outcome::TimedOut => SendResult::TimedOut,
            Outcome::NoConnection => SendResult::SocketIssue,
            Outcome::Lost => SendResult::NoResponse,
        };
        self.account().attempted(&notification.uuid, at_ms, result);
    }
}
