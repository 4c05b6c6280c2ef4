//! The App Store: signs Server Notifications V2 as Apple does, under a root of its own.
//!
//! The root stands in for "Apple Root CA - G3": a hub trusts it through the source's `root_certificates`.
//! What is said is decided in `lives`; what is wrong on purpose in `forgeries`.

pub mod forgeries;
pub(crate) mod lives;
mod sign;
#[cfg(test)]
mod tests;
pub mod wire;

pub use sign::{SignError, Signer};

use sign::{Authority, ChainPlan};
use wire::{App, Body, Data, Notification, Payload};

/// The version of the app that Apple names.
const BUNDLE_VERSION: &str = "1.0";

/// An App Store with its own root, for one app.
pub struct AppStore {
    app: App,
    authority: Authority,
    signer: Signer,
}

impl AppStore {
    /// A store with a fresh chain.
    pub fn new(app: App) -> Result<AppStore, SignError> {
        let authority = Authority::new("Simulated Apple Root CA - G3")?;
        let signer = authority.signer(ChainPlan::default())?;
        Ok(AppStore { app, authority, signer })
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

    /// The leaf that signs.
    #[must_use]
    pub const fn signer(&self) -> &Signer {
        &self.signer
    }

    /// The body of Apple's request: `{"signedPayload": "..."}` with the transaction and renewal signed inside.
    pub fn body(&self, notification: &Notification) -> Result<Vec<u8>, SignError> {
        let jws = self.signed_payload(&self.signer, &self.app, notification)?;
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

    /// The body of a `TEST` notification, which names no transaction.
    pub fn test_body(&self, uuid: &str, signed_date: i64) -> Result<Vec<u8>, SignError> {
        let jws = self.signer.sign(&Payload {
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
        })?;
        Ok(serde_json::to_vec(&Body { signed_payload: &jws })?)
    }
}
